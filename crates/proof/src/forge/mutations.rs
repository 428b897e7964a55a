//! The changes of a genuine request: its body, signature header, key or algorithm, and the rest of
//! its head.

use bytes::Bytes;
use proof::{receiver_under_test::SOURCES, second_verifier::SigningSender};
use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::{
    genuine::{GenuineRequest, SIGNATURE},
    heads,
};
use crate::simulate::SplitMix64;

/// Changes a request. It may still be genuine afterwards: the second implementation decides.
pub(super) type RequestMutation = fn(&mut GenuineRequest, &mut SplitMix64);

/// Every kind of change, by name.
pub(super) const MUTATIONS: [(&str, RequestMutation); 27] = [
    ("none", |_, _| {}),
    ("body: a bit flipped", flip_bit),
    ("body: bytes replaced, inserted or removed", edit_bytes),
    ("body: cut", cut_body),
    ("body: extended", extend_body),
    ("body: written again", rewrite_body),
    ("body: in Latin-1", to_latin_1),
    ("body: surrogate escapes", escape_characters),
    ("body: of another message", other_body),
    ("header: a digit changed", change_digit),
    ("header: cut", cut_header),
    ("header: extended", extend_header),
    ("header: letter case", change_case),
    ("header: white space", add_space),
    ("header: a prefix", add_prefix),
    ("header: several", heads::several_headers),
    ("header: none or empty", heads::no_header),
    ("header: another name", heads::other_name),
    ("header: no hexadecimal digits", other_digits),
    ("header: any of the right length", random_header),
    ("key: of another source, old or unknown", other_key),
    ("key: decoded, cut, padded or empty", other_form_of_key),
    ("algorithm: another", other_algorithm),
    ("path: of another source", heads::other_source),
    ("path: another spelling", heads::other_path),
    ("method: another", heads::other_method),
    ("query: a challenge", heads::challenge),
];

fn byte(random: &mut SplitMix64) -> u8 {
    random.next().to_le_bytes()[0]
}

fn flip_bit(genuine: &mut GenuineRequest, random: &mut SplitMix64) {
    genuine.edit_body(|body| {
        if !body.is_empty() {
            let at = random.index(body.len());
            body[at] ^= 1 << random.below(8);
        }
    });
}

fn edit_bytes(genuine: &mut GenuineRequest, random: &mut SplitMix64) {
    genuine.edit_body(|body| {
        for _ in 0..=random.below(3) {
            let at = random.index(body.len() + 1);
            match random.below(3) {
                0 => body.insert(at, byte(random)),
                1 if at < body.len() => drop(body.remove(at)),
                _ if at < body.len() => body[at] = byte(random),
                _ => {}
            }
        }
    });
}

fn cut_body(genuine: &mut GenuineRequest, random: &mut SplitMix64) {
    genuine.edit_body(|body| {
        let at = random.index(body.len());
        match random.is(500) {
            true => body.truncate(at),
            false => drop(body.drain(..at)),
        }
    });
}

fn extend_body(genuine: &mut GenuineRequest, random: &mut SplitMix64) {
    const ADDED: [&[u8]; 8] = [
        b"\n",
        b"\0",
        b" ",
        b"\xef\xbb\xbf",
        b"\r\n",
        b"{}",
        b"\x80",
        b"",
    ];
    let added = random.pick(&ADDED);
    let is_before = random.is(500);
    genuine.edit_body(|body| {
        let at = if is_before { 0 } else { body.len() };
        body.splice(at..at, added.iter().copied());
    });
}

/// The same JSON, serialised again: with sorted keys, or with white space.
fn rewrite_body(genuine: &mut GenuineRequest, random: &mut SplitMix64) {
    genuine.edit_body(|body| {
        let Ok(value) = serde_json::from_slice::<serde_json::Value>(body) else {
            return;
        };
        let written = match random.is(500) {
            true => serde_json::to_vec(&value),
            false => serde_json::to_vec_pretty(&value),
        };
        if let Ok(written) = written {
            *body = written;
        }
    });
}

/// One byte per character, under the signature of the UTF-8 text, as Pay sent bodies until June
/// 2025.
fn to_latin_1(genuine: &mut GenuineRequest, _: &mut SplitMix64) {
    genuine.edit_body(|body| {
        let text = String::from_utf8_lossy(body).into_owned();
        *body = text
            .chars()
            .map(|character| u8::try_from(u32::from(character)).unwrap_or(b'?'))
            .collect();
    });
}

/// Other spellings of characters beyond U+FFFF. HMRC's signature covers some of them too.
fn escape_characters(genuine: &mut GenuineRequest, random: &mut SplitMix64) {
    const SPELLINGS: [&str; 9] = [
        "😀",
        r"\uD83D\uDE00",
        r"\ud83d\ude00",
        r"\uD83d\uDe00",
        r"\\uD83D\\uDE00",
        r"\\\uD83D\uDE00",
        r"\uD83D",
        r"\uDE00\uD83D",
        r"\uD83D \uDE00",
    ];
    let (from, to) = (random.pick(&SPELLINGS[..4]), random.pick(&SPELLINGS));
    genuine.edit_body(|body| {
        if let Ok(text) = std::str::from_utf8(body) {
            *body = text.replace(from, to).into_bytes();
        }
    });
}

fn other_body(genuine: &mut GenuineRequest, random: &mut SplitMix64) {
    genuine.request.body = GenuineRequest::any(random).request.body;
}

fn change_digit(genuine: &mut GenuineRequest, random: &mut SplitMix64) {
    let header = genuine.signature();
    for _ in 0..=random.below(2) {
        let at = random.index(header.len());
        if let Some(digit) = header.get_mut(at) {
            *digit = random.pick(b"0123456789abcdef");
        }
    }
}

fn cut_header(genuine: &mut GenuineRequest, random: &mut SplitMix64) {
    let header = genuine.signature();
    let at = random.index(header.len());
    match random.is(500) {
        true => header.truncate(at),
        false => drop(header.drain(..at)),
    }
}

fn extend_header(genuine: &mut GenuineRequest, random: &mut SplitMix64) {
    let header = genuine.signature();
    let copy = header.clone();
    let at = random.index(copy.len());
    match random.below(3) {
        0 => header.extend_from_slice(&copy[..=at.min(copy.len() - 1)]),
        1 => header.push(random.pick(b"0123456789abcdef")),
        _ => header.insert(at, b'0'),
    }
}

fn change_case(genuine: &mut GenuineRequest, random: &mut SplitMix64) {
    let is_mixed = random.is(500);
    for digit in genuine.signature() {
        if !is_mixed || random.is(500) {
            digit.make_ascii_uppercase();
        }
    }
}

fn add_space(genuine: &mut GenuineRequest, random: &mut SplitMix64) {
    const SPACES: [&[u8]; 9] = [
        b" ",
        b"\t",
        b"\n",
        b"\r\n",
        b"\0",
        b"\x0b",
        b"\xa0",
        b"\xc2\xa0",
        b"\xe2\x80\x8b",
    ];
    let space = random.pick(&SPACES);
    let header = genuine.signature();
    let at = match random.below(3) {
        0 => 0,
        1 => header.len(),
        _ => random.index(header.len()),
    };
    let length = header.len();
    header.splice(at..at, space.iter().copied());
    if random.is(300) {
        header.truncate(length);
    }
}

fn add_prefix(genuine: &mut GenuineRequest, random: &mut SplitMix64) {
    const PREFIXES: [&str; 10] = [
        "sha1=", "sha256=", "v1,", "v1=", "0x", "\"", "t=1,v1=", "hmac ", "+", "-",
    ];
    let prefix = random.pick(&PREFIXES);
    let length = genuine.signature().len();
    genuine.signature().splice(0..0, prefix.bytes());
    if random.is(300) {
        genuine.signature().truncate(length);
    }
}

fn other_digits(genuine: &mut GenuineRequest, random: &mut SplitMix64) {
    const DIGITS: [&[u8]; 8] = [
        "１".as_bytes(),
        "é".as_bytes(),
        b"+f",
        b"0x",
        b"g",
        b"\xff",
        b"\xc3",
        "٣".as_bytes(),
    ];
    let digit = random.pick(&DIGITS);
    let header = genuine.signature();
    let at = random.index(header.len().saturating_sub(digit.len()) + 1);
    let end = (at + digit.len()).min(header.len());
    header.splice(at..end, digit.iter().copied());
}

fn random_header(genuine: &mut GenuineRequest, random: &mut SplitMix64) {
    for digit in genuine.signature() {
        *digit = random.pick(b"0123456789abcdef");
    }
}

fn other_key(genuine: &mut GenuineRequest, random: &mut SplitMix64) {
    const UNKNOWN: [&str; 3] = [
        "ZYXWVUTSRQPONMLKJIHGFEDCBA765432",
        "webhook_test_ffffffffffffffffffffffffff",
        "webhook_live_7mrp1d5lsa5pdfs2bvim2f9cdu",
    ];
    let installed: Vec<&str> = SOURCES
        .iter()
        .flat_map(|source| source.secrets.iter().copied())
        .chain(UNKNOWN)
        .collect();
    let key = random.pick(&installed);
    genuine.sign_with(key.as_bytes());
}

fn other_form_of_key(genuine: &mut GenuineRequest, random: &mut SplitMix64) {
    let secret = random.pick(genuine.source.secrets);
    let key = match random.below(8) {
        0 => Vec::new(),
        1 => secret.as_bytes()[..random.index(secret.len())].to_vec(),
        2 => secret.trim_start_matches("webhook_test_").into(),
        3 => format!("{secret}\n").into_bytes(),
        4 => format!(" {secret}").into_bytes(),
        5 => secret.to_ascii_lowercase().into_bytes(),
        6 => secret.bytes().map(|letter| letter % 32).collect(),
        _ => Sha256::digest(secret).to_vec(),
    };
    genuine.sign_with(&key);
}

fn other_algorithm(genuine: &mut GenuineRequest, random: &mut SplitMix64) {
    let secret = random.pick(genuine.source.secrets);
    let (key, body) = (secret.as_bytes(), genuine.request.body.clone());
    let other = match genuine.source.sender {
        SigningSender::Hmrc => SigningSender::GovukPay,
        SigningSender::GovukPay => SigningSender::Hmrc,
    };
    let hex = |bytes: Vec<u8>| bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let length = genuine.signature().len();
    let signature: String = match random.below(8) {
        0 => other.sign(key, &body),
        1 => hex(Sha256::digest(&body).to_vec()),
        2 => hex(Sha1::digest(&body).to_vec()),
        3 => hex(Sha256::digest([key, &body].concat()).to_vec()),
        4 => genuine.source.sender.sign(&body, key),
        5 => SigningSender::Hmrc.sign(key, &body).repeat(2),
        6 => SigningSender::GovukPay.sign(key, genuine.signature()),
        _ => genuine.source.sender.sign(key, b""),
    };
    *genuine.signature() = signature.into_bytes();
    if random.is(500) {
        genuine.signature().truncate(length);
    }
}

impl GenuineRequest {
    /// The value of the signature header.
    pub(super) fn signature(&mut self) -> &mut Vec<u8> {
        &mut self.request.headers[SIGNATURE].1
    }

    fn edit_body(&mut self, edit: impl FnOnce(&mut Vec<u8>)) {
        let mut body = self.request.body.to_vec();
        edit(&mut body);
        self.request.body = Bytes::from(body);
    }

    fn sign_with(&mut self, key: &[u8]) {
        let signature = self.source.sender.sign(key, &self.request.body);
        *self.signature() = signature.into_bytes();
    }
}
