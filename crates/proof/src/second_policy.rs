//! A second implementation of the check for public addresses: IANA's registries of special
//! addresses, as a list of networks.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Every network that is not on the public internet, or that must not receive events.
const SPECIAL_V4: [(&str, u32); 17] = [
    ("0.0.0.0", 8),
    ("10.0.0.0", 8),
    ("100.64.0.0", 10),
    ("127.0.0.0", 8),
    ("168.63.129.16", 32),
    ("169.254.0.0", 16),
    ("172.16.0.0", 12),
    ("192.0.0.0", 24),
    ("192.0.2.0", 24),
    ("192.88.99.0", 24),
    ("192.168.0.0", 16),
    ("198.18.0.0", 15),
    ("198.51.100.0", 24),
    ("203.0.113.0", 24),
    ("224.0.0.0", 4),
    ("240.0.0.0", 4),
    ("255.255.255.255", 32),
];

/// The same within 2000::/3. Outside it, only translated addresses are public.
const SPECIAL_V6: [(&str, u32); 3] = [("2001::", 23), ("2001:db8::", 32), ("3fff::", 20)];

/// The networks whose addresses contain an IPv4 address: prefix, prefix length, and the position
/// of the IPv4 address in bits.
const EMBEDDING: [(&str, u32, u32); 4] = [
    ("::ffff:0:0", 96, 96),
    ("::", 96, 96),
    ("64:ff9b::", 96, 96),
    ("2002::", 16, 16),
];

/// Whether an address is public.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let bits = u32::from(address);
    let mut special = SPECIAL_V4.iter();
    !special.any(|(network, length)| {
        let network: Ipv4Addr = network.parse().expect("an address");
        bits >> (32 - length) == u32::from(network) >> (32 - length)
    })
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let bits = u128::from(address);
    let within = |network: &str, length: u32| {
        let network: Ipv6Addr = network.parse().expect("an address");
        bits >> (128 - length) == u128::from(network) >> (128 - length)
    };
    for (network, length, skipped) in EMBEDDING {
        if within(network, length) {
            let embedded = (bits >> (96 - skipped)) & u128::from(u32::MAX);
            let embedded = u32::try_from(embedded).expect("32 bits");
            return is_public_v4(Ipv4Addr::from(embedded));
        }
    }
    let mut special = SPECIAL_V6.iter();
    within("2000::", 3) && !special.any(|(network, length)| within(network, *length))
}
