//! The guest's network, set by rtnetlink: links found by MAC and named, addresses, routes, and the loopback up.
//! All changes leave in one datagram. Refuses addresses that do not parse and MACs nobody has.

mod message;

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::libc;
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket};
use sandbox_protocol::{Link, Route};

use message::{Request, find_attribute, replies, u32_at};

/// Index of `lo` in every network namespace (`LOOPBACK_IFINDEX`).
const LOOPBACK: u32 = 1;
/// Length of `struct ifinfomsg`.
const IFINFO: usize = 16;
/// Bytes for one datagram of the kernel; its own largest is 32 KiB.
const DATAGRAM: usize = 32 << 10;

/// Sets up the loopback and `links`.
///
/// # Errors
/// What was tried and why it failed.
pub(crate) fn configure(links: &[Link]) -> Result<(), String> {
    let route = Channel::open().map_err(|error| format!("open rtnetlink: {error}"))?;
    let mut batch = Batch::default();
    batch.add("bring lo up".into(), |sequence| set_up(LOOPBACK, sequence));
    if !links.is_empty() {
        let present = route.links().map_err(|error| format!("list the network interfaces: {error}"))?;
        for link in links {
            batch.link(link, &present)?;
        }
    }
    route.apply(&batch)
}

/// Requests that leave together, and what each was for.
#[derive(Debug, Default)]
struct Batch {
    bytes: Vec<u8>,
    purposes: Vec<String>,
}

impl Batch {
    fn add(&mut self, purpose: String, request: impl FnOnce(u32) -> Request) {
        self.bytes.extend(request(self.purposes.len() as u32).finish());
        self.purposes.push(purpose);
    }

    fn link(&mut self, link: &Link, present: &[(Vec<u8>, u32)]) -> Result<(), String> {
        let name = &link.name;
        let index = present
            .iter()
            .find_map(|(mac, index)| (*mac == link.mac).then_some(*index))
            .ok_or_else(|| format!("configure {name}: no interface has the MAC {:02x?}", link.mac))?;
        self.add(format!("name interface {index} {name:?}"), |sequence| {
            let mut zero_terminated = name.clone().into_bytes();
            zero_terminated.push(0);
            let request = Request::new(libc::RTM_NEWLINK, libc::NLM_F_ACK, sequence, &ifinfo(index, 0))
                .attribute(libc::IFLA_IFNAME, &zero_terminated);
            if link.mtu == 0 { request } else { request.attribute(libc::IFLA_MTU, &link.mtu.to_ne_bytes()) }
        });
        for text in &link.addresses {
            let (address, prefix) = parse_cidr(text)?;
            self.add(format!("add {text} to {name}"), |sequence| {
                add_address(index, address, prefix, sequence)
            });
        }
        self.add(format!("bring {name} up"), |sequence| set_up(index, sequence));
        for route in &link.routes {
            let (destination, gateway) = parse_route(route)?;
            let purpose = format!("route {:?} by {:?} on {name}", route.destination, route.gateway);
            self.add(purpose, |sequence| add_route(index, destination, gateway, sequence));
        }
        Ok(())
    }
}

fn ifinfo(index: u32, up: u32) -> Vec<u8> {
    let mut fixed = vec![libc::AF_UNSPEC as u8, 0, 0, 0];
    for word in [index, up, up] {
        fixed.extend_from_slice(&word.to_ne_bytes());
    }
    fixed
}

fn set_up(index: u32, sequence: u32) -> Request {
    Request::new(libc::RTM_NEWLINK, libc::NLM_F_ACK, sequence, &ifinfo(index, libc::IFF_UP as u32))
}

fn octets(address: IpAddr) -> (u8, Vec<u8>) {
    match address {
        IpAddr::V4(v4) => (libc::AF_INET as u8, v4.octets().to_vec()),
        IpAddr::V6(v6) => (libc::AF_INET6 as u8, v6.octets().to_vec()),
    }
}

fn add_address(index: u32, address: IpAddr, prefix: u8, sequence: u32) -> Request {
    let (family, bytes) = octets(address);
    // The host gave the address out: nobody else has it, and waiting to find that out would be lost time.
    let flags = if address.is_ipv6() { libc::IFA_F_NODAD as u8 } else { 0 };
    let mut fixed = vec![family, prefix, flags, libc::RT_SCOPE_UNIVERSE];
    fixed.extend_from_slice(&index.to_ne_bytes());
    let how = libc::NLM_F_ACK | libc::NLM_F_CREATE | libc::NLM_F_REPLACE;
    Request::new(libc::RTM_NEWADDR, how, sequence, &fixed)
        .attribute(libc::IFA_LOCAL, &bytes)
        .attribute(libc::IFA_ADDRESS, &bytes)
}

/// Family and what else there is to a route: destination with prefix, gateway.
type Hop = (Option<(IpAddr, u8)>, Option<IpAddr>);

fn add_route(
    index: u32,
    destination: Option<(IpAddr, u8)>,
    gateway: Option<IpAddr>,
    sequence: u32,
) -> Request {
    let v6 = gateway.or(destination.map(|(address, _)| address)).is_some_and(|address| address.is_ipv6());
    let family = if v6 { libc::AF_INET6 } else { libc::AF_INET } as u8;
    let prefix = destination.map_or(0, |(_, prefix)| prefix);
    let scope = if gateway.is_some() { libc::RT_SCOPE_UNIVERSE } else { libc::RT_SCOPE_LINK };
    let fixed = [
        family,
        prefix,
        0,
        0,
        libc::RT_TABLE_MAIN,
        libc::RTPROT_STATIC,
        scope,
        libc::RTN_UNICAST,
        0,
        0,
        0,
        0,
    ];
    let how = libc::NLM_F_ACK | libc::NLM_F_CREATE | libc::NLM_F_REPLACE;
    let mut request = Request::new(libc::RTM_NEWROUTE, how, sequence, &fixed);
    if let Some((address, _)) = destination {
        request = request.attribute(libc::RTA_DST, &octets(address).1);
    }
    if let Some(address) = gateway {
        request = request.attribute(libc::RTA_GATEWAY, &octets(address).1);
    }
    request.attribute(libc::RTA_OIF, &index.to_ne_bytes())
}

fn parse_cidr(text: &str) -> Result<(IpAddr, u8), String> {
    let parsed = text.split_once('/').and_then(|(address, prefix)| {
        let address: IpAddr = address.parse().ok()?;
        let prefix: u8 = prefix.parse().ok()?;
        (prefix <= if address.is_ipv4() { 32 } else { 128 }).then_some((address, prefix))
    });
    parsed.ok_or_else(|| format!("{text:?} is not an address in CIDR notation"))
}

fn parse_route(route: &Route) -> Result<Hop, String> {
    let destination = match route.destination.as_str() {
        "" => None,
        text => Some(parse_cidr(text)?),
    };
    let gateway = match route.gateway.as_str() {
        "" => None,
        text => Some(text.parse().map_err(|_| format!("{text:?} is not the address of a gateway"))?),
    };
    Ok((destination, gateway))
}

/// An rtnetlink socket.
#[derive(Debug)]
struct Channel(OwnedFd);

impl Channel {
    fn open() -> io::Result<Self> {
        let protocol = SockProtocol::NetlinkRoute;
        Ok(Self(socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol)?))
    }

    /// Sends a batch and waits for as many acknowledgements; the first failure is the result.
    fn apply(&self, batch: &Batch) -> Result<(), String> {
        send(self.0.as_raw_fd(), &batch.bytes, MsgFlags::empty())
            .map_err(|error| format!("send to rtnetlink: {error}"))?;
        let mut pending = batch.purposes.len();
        let mut result = Ok(());
        let mut buffer = vec![0; DATAGRAM];
        while pending > 0 {
            let length = recv(self.0.as_raw_fd(), &mut buffer, MsgFlags::empty())
                .map_err(|error| format!("receive from rtnetlink: {error}"))?;
            let datagram = buffer.get(..length).unwrap_or_default();
            for reply in replies(datagram).filter(|reply| i32::from(reply.kind) == libc::NLMSG_ERROR) {
                pending = pending.saturating_sub(1);
                let error = u32_at(reply.body, 0).map_or(0, |word| -(word as i32));
                if error != 0 && result.is_ok() {
                    let purpose =
                        batch.purposes.get(reply.sequence as usize).map_or("change", String::as_str);
                    result = Err(format!("{purpose}: {}", io::Error::from_raw_os_error(error)));
                }
            }
        }
        result
    }

    /// MAC and index of every interface.
    fn links(&self) -> io::Result<Vec<(Vec<u8>, u32)>> {
        let dump = Request::new(libc::RTM_GETLINK, libc::NLM_F_DUMP, 0, &ifinfo(0, 0)).finish();
        send(self.0.as_raw_fd(), &dump, MsgFlags::empty())?;
        let mut found = Vec::new();
        let mut buffer = vec![0; DATAGRAM];
        loop {
            let length = recv(self.0.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
            for reply in replies(buffer.get(..length).unwrap_or_default()) {
                match i32::from(reply.kind) {
                    libc::NLMSG_DONE | libc::NLMSG_ERROR => return Ok(found),
                    _ => {
                        let mac = find_attribute(reply.body, IFINFO, libc::IFLA_ADDRESS);
                        if let (Some(mac), Some(index)) = (mac, u32_at(reply.body, 4)) {
                            found.push((mac.to_vec(), index));
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
