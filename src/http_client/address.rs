//! Which addresses requests may go to: public ones, and the networks that the configuration allows.
//! An address that embeds a private one does not count as public.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// The addresses that requests may go to.
#[derive(Clone, Debug, Default)]
pub(crate) struct AddressRule {
    allow: Vec<IpNet>,
}

impl AddressRule {
    /// Public addresses, and those of `allow`.
    pub(crate) fn allowing(allow: &[IpNet]) -> Self {
        Self {
            allow: allow.to_vec(),
        }
    }

    /// Whether requests may go to `address`. Never to a link-local one or to the metadata service
    /// of a cloud, which serves credentials.
    pub(super) fn permits(&self, address: IpAddr) -> bool {
        let embedded = match address {
            IpAddr::V4(_) => None,
            IpAddr::V6(v6) => embedded_v4(v6).map(IpAddr::V4),
        };
        let forms = || std::iter::once(address).chain(embedded);
        let is_allowed = |form| self.allow.iter().any(|network| network.contains(&form));
        !forms().any(is_metadata) && (is_public(address) || forms().any(is_allowed))
    }
}

/// Whether `address` is link-local, where the metadata services of clouds are, or another address
/// of one.
fn is_metadata(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            v4.is_link_local() || matches!(v4.octets(), [168, 63, 129, 16] | [100, 100, 100, 200])
        }
        IpAddr::V6(v6) => v6.is_unicast_link_local() || v6.segments()[..2] == [0xfd00, 0xec2],
    }
}

/// Whether `address` is on the public internet, so that a request to it cannot reach a private
/// network.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => embedded_v4(v6).map_or_else(|| is_public_v6(v6), is_public_v4),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let shared = a == 100 && (64..128).contains(&b);
    let protocol = a == 192 && b == 0 && c == 0;
    let benchmark = a == 198 && (b == 18 || b == 19);
    let relay = a == 192 && b == 88 && c == 99;
    !(a == 0
        || a >= 240
        || address.is_loopback()
        || address.is_private()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_documentation()
        || shared
        || protocol
        || benchmark
        || relay)
}

/// Only global unicast (2000::/3), without its reserved ranges.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, ..] = address.segments();
    let documentation = (a == 0x2001 && b == 0xdb8) || (a == 0x3fff && b < 0x1000);
    let protocols = a == 0x2001 && b < 0x200;
    a & 0xe000 == 0x2000 && !documentation && !protocols
}

/// The IPv4 address that is embedded in an IPv6 one: mapped, translated or tunnelled.
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let from_halves = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    match address.segments() {
        [0, 0, 0, 0, 0, 0xffff | 0, high, low] => Some(from_halves(high, low)),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(from_halves(high, low)),
        [0x2002, high, low, ..] => Some(from_halves(high, low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_allowed_network_is_permitted_in_every_form_and_a_metadata_service_never() {
        let allow = [
            "10.20.0.0/16",
            "127.0.0.0/8",
            "::1/128",
            "fd12:3456::/32",
            "160.0.0.0/4",
        ];
        let everything = ["0.0.0.0/0", "::/0"];
        let rule = |networks: &[&str]| {
            let networks = networks.iter().map(|network| network.parse().unwrap());
            AddressRule::allowing(&networks.collect::<Vec<_>>())
        };
        for (address, by_some, by_all) in [
            ("1.1.1.1", true, true),
            ("10.20.0.1", true, true),
            ("::ffff:10.20.0.1", true, true),
            ("64:ff9b::a14:1", true, true),
            ("10.21.0.1", false, true),
            ("::ffff:10.21.0.1", false, true),
            ("127.0.0.1", true, true),
            ("::1", true, true),
            ("::", false, true),
            ("fd12:3456:1::1", true, true),
            ("fd12:3457::1", false, true),
            ("169.254.169.254", false, false),
            ("169.254.170.2", false, false),
            ("::ffff:169.254.169.254", false, false),
            ("64:ff9b::a9fe:a9fe", false, false),
            ("2002:a9fe:a9fe::", false, false),
            ("fd00:ec2::254", false, false),
            ("fe80::a9fe:a9fe", false, false),
            ("168.63.129.16", false, false),
            ("100.100.100.200", false, false),
        ] {
            let address: IpAddr = address.parse().unwrap();
            let found = (
                rule(&allow).permits(address),
                rule(&everything).permits(address),
            );
            assert_eq!(found, (by_some, by_all), "{address}");
            let is_public = AddressRule::default().permits(address);
            assert_eq!(is_public, address.to_string() == "1.1.1.1", "{address}");
        }
    }

    #[test]
    fn private_and_reserved_addresses_are_not_public() {
        for public in [
            "1.1.1.1",
            "151.101.1.6",
            "2606:4700::1111",
            "2a00:1450::1",
            "64:ff9b::101:101",
            "::ffff:1.1.1.1",
        ] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
        for private in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "127.9.9.9",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "fe80::1",
            "fc00::1",
            "fd00:ec2::254",
            "ff02::1",
            "2001:db8::1",
            "2001::1",
            "100::1",
            "3fff::1",
            "64:ff9b:1::1",
        ] {
            assert!(!is_public(private.parse().unwrap()), "{private}");
        }
    }
}
