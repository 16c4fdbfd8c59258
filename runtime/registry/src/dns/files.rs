//! What this machine says about names: `/etc/hosts` and `/etc/resolv.conf` (hosts(5), resolv.conf(5)).

use std::io::Read;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::path::Path;
use std::time::Duration;

const PORT: u16 = 53;
/// As glibc: MAXNS and MAXDNSRCH.
const SERVERS: usize = 3;
const SEARCH: usize = 6;
const FILE_SIZE: u64 = 4 << 20;

/// How names are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Resolution {
    pub(crate) servers: Vec<SocketAddr>,
    pub(crate) search: Vec<String>,
    /// Names with fewer dots are tried with the search domains first.
    pub(crate) ndots: usize,
    pub(crate) timeout: Duration,
    pub(crate) attempts: u32,
}

impl Resolution {
    pub(crate) fn parse(text: &str) -> Self {
        let mut resolution = Self {
            servers: Vec::new(),
            search: Vec::new(),
            ndots: 1,
            timeout: Duration::from_secs(5),
            attempts: 2,
        };
        for line in text.lines() {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") if resolution.servers.len() < SERVERS => {
                    resolution.servers.extend(words.next().and_then(server));
                }
                Some("domain") => resolution.search = words.take(1).map(domain).collect(),
                Some("search") => resolution.search = words.take(SEARCH).map(domain).collect(),
                Some("options") => words.for_each(|option| resolution.option(option)),
                _ => {}
            }
        }
        if resolution.servers.is_empty() {
            resolution.servers.push(SocketAddr::new(IpAddr::from([127, 0, 0, 1]), PORT));
        }
        resolution
    }

    fn option(&mut self, option: &str) {
        let Some((name, value)) = option.split_once(':') else { return };
        let Ok(value) = value.parse::<u32>() else { return };
        match name {
            "ndots" => self.ndots = value.min(15) as usize,
            "timeout" => self.timeout = Duration::from_secs(value.clamp(1, 30).into()),
            "attempts" => self.attempts = value.clamp(1, 5),
            _ => {}
        }
    }

    /// The names to ask for, in order.
    pub(crate) fn candidates(&self, host: &str) -> Vec<String> {
        if host.ends_with('.') {
            return vec![host.to_owned()];
        }
        let mut candidates: Vec<String> =
            self.search.iter().map(|domain| format!("{host}.{domain}")).collect();
        let at = if host.matches('.').count() >= self.ndots { 0 } else { candidates.len() };
        candidates.insert(at, host.to_owned());
        candidates
    }
}

fn domain(text: &str) -> String {
    text.trim_end_matches('.').to_ascii_lowercase()
}

/// An address, possibly of a link: `fe80::1%eth0`.
fn server(text: &str) -> Option<SocketAddr> {
    let Some((address, interface)) = text.split_once('%') else {
        return Some(SocketAddr::new(text.parse().ok()?, PORT));
    };
    let plain = interface.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/') && interface != "..";
    let scope = interface.parse().ok().or_else(|| {
        let index = plain.then(|| read(Path::new(&format!("/sys/class/net/{interface}/ifindex"))))?;
        index.trim().parse().ok()
    })?;
    Some(SocketAddr::V6(SocketAddrV6::new(address.parse::<Ipv6Addr>().ok()?, PORT, 0, scope)))
}

/// The addresses that `hosts` has for `host`.
pub(crate) fn in_hosts(hosts: &str, host: &str) -> Vec<IpAddr> {
    let host = host.trim_end_matches('.');
    let mut found = Vec::new();
    for line in hosts.lines() {
        let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
        let Some(address) = words.next().and_then(|word| word.parse().ok()) else { continue };
        if words.any(|name| name.trim_end_matches('.').eq_ignore_ascii_case(host))
            && !found.contains(&address)
        {
            found.push(address);
        }
    }
    found
}

/// A file's text; nothing if it is not there: a machine may do without.
pub(crate) fn read(path: &Path) -> String {
    let mut bytes = Vec::new();
    let _ = std::fs::File::open(path).and_then(|file| file.take(FILE_SIZE).read_to_end(&mut bytes));
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_resolv_conf() {
        let text = "# comment\nnameserver 10.0.0.2\nnameserver fd00::1\nnameserver nonsense\nsearch Corp.example. b\n\
            options ndots:2 timeout:1 attempts:9 rotate\n";
        let resolution = Resolution::parse(text);
        assert_eq!(
            resolution,
            Resolution {
                servers: vec!["10.0.0.2:53".parse().unwrap(), "[fd00::1]:53".parse().unwrap()],
                search: vec!["corp.example".into(), "b".into()],
                ndots: 2,
                timeout: Duration::from_secs(1),
                attempts: 5,
            }
        );
        assert_eq!(resolution.candidates("a"), ["a.corp.example", "a.b", "a"]);
        assert_eq!(resolution.candidates("a.b.c"), ["a.b.c", "a.b.c.corp.example", "a.b.c.b"]);
        assert_eq!(resolution.candidates("a."), ["a."]);
    }

    #[test]
    fn an_empty_one_means_this_machine() {
        assert_eq!(Resolution::parse("").servers, ["127.0.0.1:53".parse().unwrap()]);
    }

    #[test]
    fn reads_hosts() {
        let hosts =
            "127.0.0.1 localhost # x.io\n10.0.0.5\tx.io X.alias\nfd00::5 x.io\nbad x.io\n10.0.0.5 x.io\n";
        let (four, six): (IpAddr, IpAddr) = ("10.0.0.5".parse().unwrap(), "fd00::5".parse().unwrap());
        assert_eq!(in_hosts(hosts, "X.io."), [four, six]);
        assert_eq!(in_hosts(hosts, "x.ALIAS"), [four]);
        assert!(in_hosts(hosts, "alias").is_empty());
    }
}
