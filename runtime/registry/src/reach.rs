//! Where an address leads: to the internet, into a private network, to this machine, or to its link.
//!
//! A registry names further places: redirects, upload locations, token services. It may name public ones and those that
//! are as near as it is itself. Without this rule any registry could make this machine talk to its own services, to
//! its network or to a cloud's metadata service (server-side request forgery).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Kinds of addresses, from far to near.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Reach {
    Public,
    /// RFC 1918, carrier-grade NAT, unique local addresses.
    Private,
    /// This machine.
    Loopback,
    /// This link; clouds put their metadata service there.
    Link,
    /// No host to talk to: unspecified, multicast, reserved.
    Nowhere,
}

impl Reach {
    pub(crate) fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::of_v4(address),
            IpAddr::V6(address) => Self::of_v6(address),
        }
    }

    fn of_v4(address: Ipv4Addr) -> Self {
        let [first, second, third, _] = address.octets();
        match (first, second) {
            (127, _) => Self::Loopback,
            (169, 254) => Self::Link,
            // Benchmarking networks (198.18.0.0/15) are somebody's laboratory.
            (10, _) | (172, 16..=31) | (192, 168) | (100, 64..=127) | (198, 18 | 19) => Self::Private,
            (192, 0) if third == 0 => Self::Nowhere,
            (0 | 224.., _) => Self::Nowhere,
            _ => Self::Public,
        }
    }

    fn of_v6(address: Ipv6Addr) -> Self {
        if let Some(embedded) = embedded_v4(address) {
            return Self::of_v4(embedded);
        }
        match address.segments() {
            [0, 0, 0, 0, 0, 0, 0, 1] => Self::Loopback,
            [0xfe80..=0xfebf, ..] => Self::Link,
            // Unique local, and the site-local ones they replaced.
            [0xfc00..=0xfdff | 0xfec0..=0xfeff, ..] => Self::Private,
            [0x2000..=0x3fff, ..] => Self::Public,
            _ => Self::Nowhere,
        }
    }

    fn from_u8(value: u8) -> Self {
        match value {
            0 => Self::Public,
            1 => Self::Private,
            2 => Self::Loopback,
            3 => Self::Link,
            _ => Self::Nowhere,
        }
    }

    /// May somebody at this distance send us to `target`?
    pub(crate) fn may_name(self, target: Self) -> bool {
        match target {
            Self::Public => true,
            Self::Private => matches!(self, Self::Private | Self::Loopback),
            Self::Loopback | Self::Link => self == target,
            Self::Nowhere => false,
        }
    }

    /// For messages: what is wrong with an address of this kind.
    pub(crate) fn describe(self) -> &'static str {
        match self {
            Self::Public => "a public address",
            Self::Private => "an address of a private network",
            Self::Loopback => "an address of this machine",
            Self::Link => "a link-local address, where cloud metadata services are",
            Self::Nowhere => "an address that no host has",
        }
    }
}

/// IPv4 addresses in IPv6 clothes: mapped and compatible ones, NAT64 and 6to4.
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let join = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0x64, 0xff9b, _, _, _, _, high, low]
        | [0x2002, high, low, ..] => Some(join(high, low)),
        _ => None,
    }
}

/// The farthest that a host was ever seen at. A host with several addresses, or whose name changes its mind, has the
/// rights of the farthest: an answer that came over the internet cannot be told from one that did not.
#[derive(Debug)]
pub(crate) struct Farthest(std::sync::atomic::AtomicU8);

impl Farthest {
    pub(crate) fn unknown() -> Self {
        Self(std::sync::atomic::AtomicU8::new(u8::MAX))
    }

    pub(crate) fn see(&self, reach: Reach) {
        self.0.fetch_min(reach as u8, std::sync::atomic::Ordering::Relaxed);
    }

    /// Public as long as nothing is known, as behind a proxy.
    pub(crate) fn get(&self) -> Reach {
        match self.0.load(std::sync::atomic::Ordering::Relaxed) {
            u8::MAX => Reach::Public,
            value => Reach::from_u8(value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_addresses_apart() {
        for (text, expected) in [
            ("1.1.1.1", Reach::Public),
            ("2606:4700::1111", Reach::Public),
            ("10.1.2.3", Reach::Private),
            ("172.31.0.1", Reach::Private),
            ("172.32.0.1", Reach::Public),
            ("192.168.1.1", Reach::Private),
            ("100.100.100.200", Reach::Private),
            ("fd00:ec2::254", Reach::Private),
            ("127.0.0.1", Reach::Loopback),
            ("127.255.0.9", Reach::Loopback),
            ("::1", Reach::Loopback),
            ("169.254.169.254", Reach::Link),
            ("fe80::1", Reach::Link),
            ("febf::1", Reach::Link),
            ("0.0.0.0", Reach::Nowhere),
            ("::", Reach::Nowhere),
            ("224.0.0.1", Reach::Nowhere),
            ("255.255.255.255", Reach::Nowhere),
            ("ff02::1", Reach::Nowhere),
            ("::ffff:127.0.0.1", Reach::Loopback),
            ("::ffff:169.254.169.254", Reach::Link),
            ("::127.0.0.1", Reach::Loopback),
            ("64:ff9b::10.0.0.1", Reach::Private),
            ("2002:7f00:1::", Reach::Loopback),
            ("::ffff:8.8.8.8", Reach::Public),
        ] {
            assert_eq!(Reach::of(text.parse().unwrap()), expected, "{text}");
        }
    }

    #[test]
    fn nobody_sends_us_nearer_than_he_is() {
        assert!(Reach::Public.may_name(Reach::Public));
        assert!(!Reach::Public.may_name(Reach::Private));
        assert!(!Reach::Public.may_name(Reach::Loopback));
        assert!(!Reach::Public.may_name(Reach::Link));
        assert!(Reach::Private.may_name(Reach::Private));
        assert!(!Reach::Private.may_name(Reach::Loopback));
        assert!(Reach::Loopback.may_name(Reach::Loopback));
        assert!(!Reach::Loopback.may_name(Reach::Link), "not even a local registry needs a metadata service");
        assert!(!Reach::Link.may_name(Reach::Nowhere));
    }

    #[test]
    fn a_host_that_changes_its_address_has_the_least_rights() {
        let farthest = Farthest::unknown();
        assert_eq!(farthest.get(), Reach::Public);
        farthest.see(Reach::Loopback);
        assert_eq!(farthest.get(), Reach::Loopback);
        farthest.see(Reach::Public);
        farthest.see(Reach::Loopback);
        assert_eq!(farthest.get(), Reach::Public);
    }
}
