use std::net::{TcpListener, UdpSocket};

use nix::sched::{CloneFlags, unshare};

use super::*;

/// Runs `test` on a thread that has a network namespace of its own.
fn in_new_network(test: impl FnOnce() + Send + 'static) {
    let thread = std::thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNET).expect("unshare the network");
        test();
    });
    thread.join().expect("the test");
}

fn interface(mac: [u8; 6]) -> Link {
    let channel = Channel::open().unwrap();
    let mut batch = Batch::default();
    batch.add("make an interface".into(), |sequence| {
        // IFLA_LINKINFO { IFLA_INFO_KIND "ifb" }
        let kind = Request::new(0, 0, 0, &[]).attribute(1, b"ifb").finish();
        let how = libc::NLM_F_ACK | libc::NLM_F_CREATE | libc::NLM_F_EXCL;
        Request::new(libc::RTM_NEWLINK, how, sequence, &ifinfo(0, 0))
            .attribute(libc::IFLA_ADDRESS, &mac)
            .attribute(libc::IFLA_LINKINFO, &kind[16..])
    });
    channel.apply(&batch).unwrap();
    Link { name: "eth0".into(), mac: mac.to_vec(), mtu: 1400, ..Link::default() }
}

#[test]
fn the_loopback_comes_up() {
    in_new_network(|| {
        assert!(
            TcpListener::bind("127.0.0.1:0")
                .and_then(|l| std::net::TcpStream::connect(l.local_addr()?))
                .is_err()
        );
        configure(&[]).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert!(TcpListener::bind("[::1]:0").is_ok());
    });
}

#[test]
fn a_link_is_found_by_its_mac_and_gets_addresses_and_routes() {
    in_new_network(|| {
        let mut link = interface([2, 0, 0, 0, 0, 9]);
        link.addresses = vec!["10.88.0.2/24".into(), "fd00::2/64".into()];
        link.routes = vec![
            Route { destination: String::new(), gateway: "10.88.0.1".into() },
            Route { destination: "192.0.2.0/24".into(), gateway: String::new() },
            Route { destination: "::/0".into(), gateway: "fd00::1".into() },
        ];
        configure(std::slice::from_ref(&link)).unwrap();
        // Again: a restored guest may have them already.
        configure(&[link]).unwrap();
        for (bind, peer, own) in [
            ("0.0.0.0:0", "198.51.100.7:9", "10.88.0.2"),
            ("0.0.0.0:0", "192.0.2.7:9", "10.88.0.2"),
            ("[::]:0", "[2001:db8::7]:9", "fd00::2"),
        ] {
            let socket = UdpSocket::bind(bind).unwrap();
            socket.connect(peer).unwrap_or_else(|error| panic!("{peer}: {error}"));
            assert_eq!(socket.local_addr().unwrap().ip().to_string(), own);
        }
        let links = std::fs::read_to_string("/proc/thread-self/net/dev").unwrap();
        assert!(links.contains("eth0:"), "{links}");
    });
}

#[test]
fn errors_name_what_was_tried() {
    in_new_network(|| {
        let mut link = interface([2, 0, 0, 0, 0, 9]);
        link.routes = vec![Route { destination: String::new(), gateway: "10.88.0.1".into() }];
        let error = configure(std::slice::from_ref(&link)).unwrap_err();
        assert!(error.starts_with("route \"\" by \"10.88.0.1\" on eth0: "), "{error}");
        link.addresses = vec!["10.88.0.2".into()];
        assert_eq!(
            configure(&[link.clone()]).unwrap_err(),
            "\"10.88.0.2\" is not an address in CIDR notation"
        );
        link.mac[5] = 7;
        assert!(
            configure(&[link]).unwrap_err().contains("no interface has the MAC [02, 00, 00, 00, 00, 07]")
        );
    });
}

#[test]
fn prefixes_have_bounds() {
    assert!(parse_cidr("10.0.0.1/32").is_ok() && parse_cidr("::1/128").is_ok());
    for bad in ["10.0.0.1/33", "::1/129", "10.0.0/8", "/8", "10.0.0.1/-1", ""] {
        assert!(parse_cidr(bad).is_err(), "{bad}");
    }
}
