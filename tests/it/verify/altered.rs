//! Signatures and bodies that were altered.

use pillarbox::senders::SignatureError;

use super::{check, check_vector, fault, genuine};

#[test]
fn a_signature_with_any_one_character_changed_is_refused() {
    for vector in genuine() {
        for at in 0..vector.signature.len() {
            for replacement in (0x20..=0x7e).filter(|byte| *byte != vector.signature.as_bytes()[at])
            {
                let mut header = vector.signature.clone().into_bytes();
                header[at] = replacement;
                let lower_hex =
                    replacement.is_ascii_digit() || (b'a'..=b'f').contains(&replacement);
                let expected = if lower_hex {
                    SignatureError::Wrong
                } else {
                    SignatureError::Malformed
                };
                let position = format!("{} {at} {replacement:#x}", vector.name);
                assert_eq!(
                    fault(check_vector(&vector, header)),
                    Some(expected),
                    "{position}"
                );
            }
        }
    }
}

#[test]
fn a_signature_of_any_other_length_is_refused() {
    for vector in genuine() {
        let right = vector.signature.len();
        let repeated = vector.signature.repeat(4);
        for length in (0..=128).filter(|length| *length != right) {
            let found = fault(check_vector(&vector, &repeated[..length]));
            assert_eq!(
                found,
                Some(SignatureError::Malformed),
                "{} {length}",
                vector.name
            );
            let zeros = format!("{:0<length$.length$}", vector.signature);
            assert_eq!(
                fault(check_vector(&vector, zeros)),
                Some(SignatureError::Malformed),
                "{} {length}",
                vector.name
            );
            let end = &repeated[repeated.len() - length..];
            assert_eq!(
                fault(check_vector(&vector, end)),
                Some(SignatureError::Malformed),
                "{} {length}",
                vector.name
            );
        }
    }
}

#[test]
fn a_signature_in_any_other_form_is_refused() {
    for vector in genuine() {
        let right = vector.signature.as_str();
        let full_width = right.replace(|c: char| c.is_ascii_digit(), "\u{ff11}");
        let mixed: String = right
            .char_indices()
            .map(|(at, c)| {
                if at % 2 == 0 {
                    c.to_ascii_uppercase()
                } else {
                    c
                }
            })
            .collect();
        let mut forms: Vec<Vec<u8>> = ["sha1=", "sha256=", "v1,", "0x", "\"", "t=1,v1="]
            .iter()
            .map(|prefix| format!("{prefix}{right}"))
            .chain([right.to_uppercase(), mixed, full_width, right.repeat(2)])
            .chain([
                format!("{right},{right}"),
                format!("{right}, {right}"),
                format!("{right};"),
            ])
            .chain(
                ["+f", "0x", "-1", " f", "é"]
                    .iter()
                    .map(|start| format!("{start}{}", &right[2..])),
            )
            .map(String::into_bytes)
            .collect();
        for space in [
            &b" "[..],
            b"\t",
            b"\n",
            b"\r\n",
            b"\0",
            b"\x0b",
            b"\xa0",
            b"\xc2\xa0",
            b"\xe2\x80\x8b",
        ] {
            let (before, after) = (
                [space, right.as_bytes()].concat(),
                [right.as_bytes(), space].concat(),
            );
            forms.extend([[&before[..], space].concat(), before.clone(), after.clone()]);
            // Cut to the right length, so that only the characters differ.
            forms.extend([
                before[..right.len()].to_vec(),
                after[space.len()..].to_vec(),
            ]);
        }
        for form in forms {
            let shown = String::from_utf8_lossy(&form).into_owned();
            assert_eq!(
                fault(check_vector(&vector, form)),
                Some(SignatureError::Malformed),
                "{} {shown:?}",
                vector.name
            );
        }
    }
}

#[test]
fn no_signature_and_several_are_refused_even_when_each_is_genuine() {
    for vector in genuine() {
        let (good, bad) = (
            vector.signature.as_bytes(),
            "0".repeat(vector.signature.len()),
        );
        let bad = bad.as_bytes();
        let found = |headers: &[&[u8]]| {
            fault(check(
                vector.kind(),
                &vector.secret,
                headers,
                &vector.body(),
            ))
        };
        assert_eq!(found(&[]), Some(SignatureError::Missing));
        for headers in [
            [good, bad],
            [bad, good],
            [good, good],
            [good, b""],
            [b"", good],
        ] {
            assert_eq!(
                found(&headers),
                Some(SignatureError::Several),
                "{}",
                vector.name
            );
        }
        assert_eq!(found(&[good, good, good]), Some(SignatureError::Several));
        assert_eq!(found(&[good]), None);
    }
}

#[test]
fn a_body_with_any_one_bit_changed_is_refused() {
    for vector in genuine() {
        for bit in 0..vector.body().len() * 8 {
            let mut body = vector.body();
            body[bit / 8] ^= 1 << (bit % 8);
            let found = check(
                vector.kind(),
                &vector.secret,
                &[vector.signature.as_bytes()],
                &body,
            );
            // In the form HMRC signs, the digits of an escape may be of either letter case.
            let same_when_signed = vector.name == "hmrc-D-astral-header-signature"
                && differ_in_case(&vector.body(), &body);
            let expected = if same_when_signed {
                None
            } else {
                Some(SignatureError::Wrong)
            };
            assert_eq!(fault(found), expected, "{} bit {bit}", vector.name);
        }
    }
}

/// Whether two bodies differ only in the letter case of the hex digits in `\uD83D\uDE00`.
fn differ_in_case(a: &[u8], b: &[u8]) -> bool {
    let escape = a
        .windows(12)
        .position(|window| window == br"\uD83D\uDE00")
        .unwrap();
    let digits = [escape + 2..escape + 6, escape + 8..escape + 12];
    a.iter().zip(b).enumerate().all(|(at, (a, b))| {
        a == b
            || (a.eq_ignore_ascii_case(b)
                && a.is_ascii_hexdigit()
                && digits.iter().any(|range| range.contains(&at)))
    })
}

#[test]
fn a_body_cut_or_extended_by_one_byte_is_refused() {
    for vector in genuine() {
        let body = vector.body();
        let extended = [&b"\n"[..], b" ", b"\0"].map(|byte| [&body[..], byte].concat());
        let prefixed = [&b"\xef\xbb\xbf"[..], b" "].map(|byte| [byte, &body[..]].concat());
        let cut = [
            body[1..].to_vec(),
            body[..body.len() - 1].to_vec(),
            Vec::new(),
        ];
        for changed in extended.into_iter().chain(prefixed).chain(cut) {
            let found = check(
                vector.kind(),
                &vector.secret,
                &[vector.signature.as_bytes()],
                &changed,
            );
            assert_eq!(
                fault(found),
                Some(SignatureError::Wrong),
                "{} {changed:?}",
                vector.name
            );
        }
    }
}
