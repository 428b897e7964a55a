//! Hostile destinations: every special address in every spelling, and names and redirects that lead
//! to one when a connection is opened.

use std::net::{IpAddr, Ipv4Addr};

use pillarbox::config::destination_url;
use proof::second_policy::is_public;

use super::connections;

/// Addresses of this machine, of private networks, of metadata services, and reserved ones; and, as
/// controls, three public addresses.
const ADDRESSES: [&str; 31] = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.1",
    "100.100.100.200",
    "100.127.255.254",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.0.1",
    "169.254.169.254",
    "169.254.170.2",
    "172.16.0.1",
    "172.31.255.254",
    "192.0.0.1",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.1",
    "192.168.255.254",
    "198.18.0.1",
    "198.19.255.254",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "1.1.1.1",
    "9.9.9.9",
    "151.101.1.6",
];

/// Other hosts and whole URLs, each of which is refused.
const REFUSED: [&str; 60] = [
    "https://localhost/",
    "https://LOCALHOST/",
    "https://%6cocalhost/",
    "https://ｌocalhost/",
    "https://[::]/",
    "https://[::1]/",
    "https://[0:0:0:0:0:0:0:1]:9001/",
    "https://[::ffff:0:127.0.0.1]/",
    "https://[fe80::1]/",
    "https://[fe80::1%25eth0]/",
    "https://[febf::1]/",
    "https://[fec0::1]/",
    "https://[fc00::1]/",
    "https://[fd00::1]/",
    "https://[fd00:ec2::254]/",
    "https://[fdff:ffff::1]/",
    "https://[ff02::1]/",
    "https://[100::1]/",
    "https://[2001::1]/",
    "https://[2001:10::1]/",
    "https://[2001:db8::1]/",
    "https://[3fff::1]/",
    "https://[5f00::1]/",
    "https://[64:ff9b:1::1]/",
    "https://me@ledger.example.gov.uk/",
    "https://:word@ledger.example.gov.uk/",
    "https://me:word@ledger.example.gov.uk/",
    "https://ledger.example.gov.uk@127.0.0.1/",
    "https://127.0.0.1#@ledger.example.gov.uk/",
    "https://127.0.0.1\\@ledger.example.gov.uk/",
    "https://127.0.0.1:80:443/",
    "https://ledger.example.gov.uk:99999/",
    "https://ledger.example.gov.uk:-1/",
    "https://ledger.example.gov.uk/#x",
    "https://127.0.0.1%2f@x/",
    "https://127.0.0.1%00.example.gov.uk/",
    "https://ex%00ample/",
    "https://ex ample/",
    "https://<x>/",
    "https://xn--a/",
    "https://256.1.1.1/",
    "https://1.2.3.4.5/",
    "https://0x100000000/",
    "https://",
    "https:///",
    "//ledger.example.gov.uk/",
    "ledger.example.gov.uk",
    "/events",
    "",
    "http://ledger.example.gov.uk/",
    "http://localhost.example.gov.uk/",
    "http://localhost./",
    "http://127.0.0.1.example.gov.uk/",
    "http://[::ffff:127.0.0.1]/",
    "ftp://127.0.0.1/",
    "file:///etc/passwd",
    "gopher://127.0.0.1:6379/_x",
    "data:text/plain,x",
    "unix:/run/docker.sock",
    "javascript:0",
];

/// Checks every URL with the policy, and delivers events to hostile names and redirects.
pub(super) fn check() -> bool {
    let mut wrong = Vec::new();
    let urls = table();
    for (url, must_pass) in &urls {
        if destination_url(url, &[]).is_ok() != *must_pass {
            wrong.push(format!(
                "{url} must{}",
                if *must_pass { "" } else { " not" }
            ));
        }
    }
    let refused = urls.iter().filter(|(_, must_pass)| !must_pass).count();
    let opened = connections::open();
    println!(
        "{} URLs, {refused} of them hostile: {} decided wrongly; {} names and {} redirects that \
         lead to this machine: {} connections",
        urls.len(),
        wrong.len(),
        opened.names,
        opened.redirects,
        opened.connections
    );
    for url in &wrong {
        println!("WRONG {url} be sent to");
    }
    if opened.connections > 0 {
        println!("WRONG a name or a redirect led to this machine");
    }
    wrong.is_empty() && opened.connections == 0
}

/// Every URL, and whether events may be sent there.
pub(super) fn table() -> Vec<(String, bool)> {
    let mut urls = Vec::new();
    for address in ADDRESSES {
        let address: Ipv4Addr = address.parse().expect("an address");
        let is_public = is_public(IpAddr::V4(address));
        for host in spellings(address) {
            urls.push((format!("https://{host}/"), is_public));
            urls.push((format!("https://{host}:9001/x?y"), is_public));
            let is_loopback = address.is_loopback() && !host.starts_with('[');
            urls.push((format!("http://{host}/"), is_loopback));
        }
    }
    urls.extend(REFUSED.map(|url| (url.to_owned(), false)));
    urls
}

/// All spellings of an address as the host of a URL.
fn spellings(address: Ipv4Addr) -> Vec<String> {
    let [a, b, c, d] = address.octets();
    let (whole, text) = (u32::from(address), address.to_string());
    let (high, low) = (whole >> 16, whole & 0xffff);
    let wide = |c: char| match c.to_digit(10) {
        Some(digit) => char::from_u32(u32::from('０') + digit).unwrap_or(c),
        None => c,
    };
    vec![
        text.clone(),
        format!("{text}."),
        whole.to_string(),
        format!("0x{whole:x}"),
        format!("0X{whole:08X}"),
        format!("0{whole:o}"),
        format!("0{a:o}.0{b:o}.0{c:o}.0{d:o}"),
        format!("0x{a:x}.0x{b:x}.0x{c:x}.0x{d:x}"),
        format!("{a}.{}", whole & 0x00ff_ffff),
        format!("{a}.{b}.{low}"),
        format!("{a}.0x{b:x}.0{c:o}.{d}"),
        text.chars().map(wide).collect(),
        text.replace('.', "。"),
        text.replace('.', "%2e"),
        format!("%{:02x}{}", text.as_bytes()[0], &text[1..]),
        format!("[::ffff:{text}]"),
        format!("[::FFFF:{high:x}:{low:x}]"),
        format!("[0:0:0:0:0:ffff:{high:x}:{low:x}]"),
        format!("[::{text}]"),
        format!("[64:ff9b::{text}]"),
        format!("[64:ff9b::{high:x}:{low:x}]"),
        format!("[2002:{high:x}:{low:x}::]"),
        format!("[2002:{high:x}:{low:x}:1:2:3:4:5]"),
    ]
}
