//! Decodes Base32 (RFC 4648), to detect an HMRC secret that was decoded by mistake.

/// Decodes capital letters and digits 2 to 7, with or without padding.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let (mut bits, mut bit_count) = (0u16, 0);
    for digit in text.trim_end_matches('=').bytes() {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'2'..=b'7' => digit - b'2' + 26,
            _ => return None,
        };
        bits = (bits << 5) | u16::from(value);
        bit_count += 5;
        if bit_count >= 8 {
            bit_count -= 8;
            bytes.push(u8::try_from((bits >> bit_count) & 0xff).ok()?);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_of_rfc_4648_are_decoded() {
        for (text, bytes) in [
            ("", Some("")),
            ("MY======", Some("f")),
            ("MZXQ====", Some("fo")),
            ("MZXW6===", Some("foo")),
            ("MZXW6YQ=", Some("foob")),
            ("MZXW6YTB", Some("fooba")),
            ("MZXW6YTBOI", Some("foobar")),
            ("mzxw6", None),
            ("MZXW1", None),
        ] {
            assert_eq!(decode(text).as_deref(), bytes.map(str::as_bytes), "{text}");
        }
    }
}
