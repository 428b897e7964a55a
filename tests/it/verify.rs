//! What counts as a genuine signature, and that nothing else does.
//!
//! One string verifies one body under one key; where HMRC signs another form than it sends, two do.

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use pillarbox::{
    domain::Timestamp,
    secrets::Secret,
    senders::{MacAlgorithm, SenderKind, SignatureError, SigningKey, Verified, verify},
};
use proptest::{prelude::*, sample::Index};
use sha1::{Digest, Sha1};
use sha2::Sha256;

use test_support::vectors::{SignatureVector, vectors};

fn check_vector(
    vector: &SignatureVector,
    header: impl AsRef<[u8]>,
) -> Result<Verified, SignatureError> {
    check(
        vector.kind(),
        &vector.secret,
        &[header.as_ref()],
        &vector.body(),
    )
}

fn genuine() -> Vec<SignatureVector> {
    let genuine: Vec<SignatureVector> = vectors()
        .into_iter()
        .filter(|vector| vector.valid)
        .collect();
    assert!(
        SenderKind::ALL
            .iter()
            .all(|kind| genuine.iter().any(|vector| vector.kind() == *kind))
    );
    genuine
}

/// Verifies under one key.
/// Neither sender signs a time, so that any will do.
const NOW: Timestamp = Timestamp::from_millis(1_772_446_531_480);

fn check(
    kind: SenderKind,
    secret: &str,
    headers: &[&[u8]],
    body: &[u8],
) -> Result<Verified, SignatureError> {
    let key = SigningKey::new(kind, "1:env:TEST", &Secret::new(secret.to_owned()));
    verify(kind, &[key], headers, Bytes::copy_from_slice(body), NOW)
}

fn fault(found: Result<Verified, SignatureError>) -> Option<SignatureError> {
    found.err()
}

/// HMAC as RFC 2104 says it, apart from the crate that the receiver trusts.
fn hmac<D: Digest>(key: &[u8], body: &[u8]) -> Vec<u8> {
    const BLOCK: usize = 64; // of SHA-1 and of SHA-256
    let mut block = if key.len() > BLOCK {
        D::digest(key).to_vec()
    } else {
        key.to_vec()
    };
    block.resize(BLOCK, 0);
    let pad = |with: u8| block.iter().map(|byte| byte ^ with).collect::<Vec<u8>>();
    let inner = D::digest([&pad(0x36), body].concat());
    D::digest([&pad(0x5c), inner.as_slice()].concat()).to_vec()
}

/// The header that `key` makes over `body`.
fn sign(kind: SenderKind, key: impl AsRef<[u8]>, body: &[u8]) -> String {
    hex::encode(match kind.signature.algorithm {
        MacAlgorithm::HmacSha1 => hmac::<Sha1>(key.as_ref(), body),
        MacAlgorithm::HmacSha256 => hmac::<Sha256>(key.as_ref(), body),
    })
}

fn other(kind: SenderKind) -> SenderKind {
    if kind == SenderKind::HMRC {
        SenderKind::GOVUK_PAY
    } else {
        SenderKind::HMRC
    }
}

#[test]
fn every_vector_is_accepted_or_refused_as_marked() {
    let vectors = vectors();
    assert_eq!(
        (
            vectors.len(),
            vectors.iter().filter(|vector| vector.valid).count()
        ),
        (11, 8)
    );
    for vector in vectors {
        match check_vector(&vector, &vector.signature) {
            Ok(verified) => {
                assert!(vector.valid, "{}", vector.name);
                assert_eq!(verified.body().as_ref(), vector.body(), "{}", vector.name);
                assert_eq!(
                    (verified.signature(), verified.key_label()),
                    (vector.signature.as_str(), "1:env:TEST")
                );
            }
            Err(fault) => {
                assert!(!vector.valid, "{}", vector.name);
                assert_eq!(fault, SignatureError::Wrong, "{}", vector.name);
            }
        }
    }
}

/// The first two are from RFC 2202 and RFC 4231; the others, by Python's `hmac`, fill two and three
/// blocks.
#[test]
fn both_implementations_give_the_known_answers() {
    let long_key = "a key that is longer than one block of the hash, so that it must be hashed \
     before it is used";
    assert!(long_key.len() > 64);
    let (two_blocks, three_blocks) = ("0123456789".repeat(7), "0123456789".repeat(13));
    for (kind, key, body, signature) in [
        (
            SenderKind::HMRC,
            "Jefe",
            "what do ya want for nothing?",
            "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79",
        ),
        (
            SenderKind::GOVUK_PAY,
            "Jefe",
            "what do ya want for nothing?",
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        ),
        (
            SenderKind::HMRC,
            "sample key",
            two_blocks.as_str(),
            "d2d5a4595c8a3acf790cdb168fce25f227b18c70",
        ),
        (
            SenderKind::GOVUK_PAY,
            "sample key",
            two_blocks.as_str(),
            "e45734101921a890819354ee525bed3e2a7e779e33f1ca009150568e2ccfab15",
        ),
        (
            SenderKind::HMRC,
            long_key,
            two_blocks.as_str(),
            "aa72126df043ac20d3caee07b8263341accd7fb7",
        ),
        (
            SenderKind::GOVUK_PAY,
            long_key,
            two_blocks.as_str(),
            "d2150f25da36071824d9467344d51c6e19d0a996a7c9c4cb14e412395b454e6d",
        ),
        (
            SenderKind::HMRC,
            "sample key",
            three_blocks.as_str(),
            "948aa953936ea8229b4942a250549643bb19f873",
        ),
        (
            SenderKind::GOVUK_PAY,
            "sample key",
            three_blocks.as_str(),
            "53131386f468d374a061c68550dc873cd4735a4805162b55c4c91739d4a5f18c",
        ),
        (
            SenderKind::HMRC,
            long_key,
            three_blocks.as_str(),
            "bdccebb938237f44d7dc13e84d97760f65c8d4fd",
        ),
        (
            SenderKind::GOVUK_PAY,
            long_key,
            three_blocks.as_str(),
            "0b14c08fb343e0a1c0de34de0d0586393b6e2d11a1d27a8545f5cd3898dd4b31",
        ),
    ] {
        assert_eq!(sign(kind, key, body.as_bytes()), signature, "{key} {body}");
        assert!(
            check(kind, key, &[signature.as_bytes()], body.as_bytes()).is_ok(),
            "{key} {body}"
        );
    }
}

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
            // Cut to the right length, so that only the characters can tell.
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

#[test]
fn the_other_senders_signature_over_the_same_key_and_body_is_refused() {
    for vector in genuine() {
        let foreign = sign(other(vector.kind()), &vector.secret, &vector.body());
        assert_eq!(
            fault(check_vector(&vector, &foreign)),
            Some(SignatureError::Malformed)
        );
        let stretched = format!("{foreign:0<width$.width$}", width = vector.signature.len());
        assert_eq!(
            fault(check_vector(&vector, stretched)),
            Some(SignatureError::Wrong)
        );
    }
}

#[test]
fn only_the_secrets_own_text_is_the_key() {
    let (base32, base32_decoded) = ("JBSWY3DPEHPK3PXP", b"Hello!\xde\xad\xbe\xef");
    let (hex_text, base64) = ("00112233445566778899", "c2l4dGVlbiBieXRlcyBvZiBrZXk=");
    let pay = "webhook_test_7mrp1d5lsa5pdfs2bvim2f9cdu";
    let body = br#"{"sample": "payload"}"#;
    for kind in [SenderKind::HMRC, SenderKind::GOVUK_PAY] {
        for (secret, signed_with) in [
            (base32, base32_decoded.to_vec()),
            (hex_text, hex::decode(hex_text).unwrap()),
            (base64, BASE64_STANDARD.decode(base64).unwrap()),
            (base32, base32.to_lowercase().into()),
            (base32, format!("{base32}\n").into()),
            (base32, format!(" {base32}").into()),
            (pay, pay["webhook_test_".len()..].into()),
            (pay, pay.replace("test", "live").into()),
            (pay, Vec::new()),
        ] {
            let found = check(
                kind,
                secret,
                &[sign(kind, &signed_with, body).as_bytes()],
                body,
            );
            assert_eq!(
                fault(found),
                Some(SignatureError::Wrong),
                "{secret} {signed_with:?}"
            );
            let found = check(kind, secret, &[sign(kind, secret, body).as_bytes()], body);
            assert_eq!(fault(found), None);
        }
    }
}

#[test]
fn any_listed_secret_counts_and_no_other() {
    let body = Bytes::from_static(b"{}");
    for kind in [SenderKind::HMRC, SenderKind::GOVUK_PAY] {
        let key = |label: &str, secret: &str| {
            SigningKey::new(kind, label, &Secret::new(secret.to_owned()))
        };
        let keys = [
            key("1:env:OLD", "the old secret"),
            key("2:env:NEW", "the new secret"),
        ];
        let matched = |keys: &[SigningKey], secret: &str| {
            let header = sign(kind, secret, &body);
            verify(kind, keys, &[header.as_bytes()], body.clone(), NOW)
                .map(|verified| verified.key_label().to_owned())
        };
        assert_eq!(matched(&keys, "the old secret"), Ok("1:env:OLD".to_owned()));
        assert_eq!(matched(&keys, "the new secret"), Ok("2:env:NEW".to_owned()));
        assert_eq!(matched(&keys, "another secret"), Err(SignatureError::Wrong));
        assert_eq!(
            matched(&keys[1..], "the old secret"),
            Err(SignatureError::Wrong)
        );
        assert_eq!(matched(&[], "the old secret"), Err(SignatureError::Wrong));
    }
}

/// Asserts that of the signatures over all of `others`, a body `sent` by HMRC verifies under none.
fn refuses_forms(sent: &str, others: &[&str]) {
    for form in others {
        assert_ne!(*form, sent);
        let header = sign(SenderKind::HMRC, "sample key", form.as_bytes());
        let found = check(
            SenderKind::HMRC,
            "sample key",
            &[header.as_bytes()],
            sent.as_bytes(),
        );
        assert_eq!(
            fault(found),
            Some(SignatureError::Wrong),
            "{sent} signed as {form}"
        );
    }
}

/// Asserts that a body `sent` by HMRC verifies under the signature over `signed`.
fn accepts_form(sent: &str, signed: &str) {
    let header = sign(SenderKind::HMRC, "sample key", signed.as_bytes());
    let verified = check(
        SenderKind::HMRC,
        "sample key",
        &[header.as_bytes()],
        sent.as_bytes(),
    )
    .unwrap();
    assert_eq!(
        verified.body(),
        sent,
        "the bytes kept are the bytes received"
    );
}

#[test]
fn a_body_with_a_character_beyond_u_ffff_has_two_forms_and_no_third() {
    let sent = r#"{"message":"one \uD83D\uDE00 two \uD83D\uDCB7"}"#;
    accepts_form(sent, sent);
    accepts_form(sent, r#"{"message":"one 😀 two 💷"}"#);
    refuses_forms(
        sent,
        &[
            r#"{"message":"one \ud83d\ude00 two \ud83d\udcb7"}"#,
            r#"{"message":"one 😀 two \uD83D\uDCB7"}"#,
            r#"{"message":"one \uD83D\uDE00 two 💷"}"#,
            r#"{"message":"one \u{1F600} two \u{1F4B7}"}"#,
            r#"{"message":"one ? two ?"}"#,
            r#"{"message":"one  two "}"#,
            r#"{"message": "one 😀 two 💷"}"#,
        ],
    );
}

#[test]
fn a_pair_of_escapes_is_put_back_only_where_it_is_one() {
    for sent in [
        r#"{"message":"{\"a\":\"\\uD83D\\uDE00\"}"}"#,
        r#"{"message":"{\"a\":\"\\ud83d\\ude00\"}"}"#,
        r#"{"message":"{\"a\":\"\\\\uD83D\\\\uDE00\"}"}"#,
        r#"{"message":"\uD83D alone"}"#,
        r#"{"message":"\uDE00\uD83D"}"#,
        r#"{"message":"\uD83D\\uDE00"}"#,
        r#"{"message":"\uD83D \uDE00"}"#,
    ] {
        accepts_form(sent, sent);
        let rewritten = [
            r"\uD83D\uDE00",
            r"\ud83d\ude00",
            r"\\uD83D\\uDE00",
            r"\\ud83d\\ude00",
            r"\\\\uD83D\\\\uDE00",
        ]
        .iter()
        .fold(sent.to_owned(), |text, pair| text.replace(pair, "😀"))
        .replace(r"\uD83D", "?")
        .replace(r"\uDE00", "?");
        refuses_forms(sent, &[&rewritten]);
    }
    let half_inside = r#"{"message":"\\\uD83D\uDE00 \\uD83D\\uDE00"}"#;
    accepts_form(half_inside, r#"{"message":"\\😀 \\uD83D\\uDE00"}"#);
    refuses_forms(
        half_inside,
        &[r#"{"message":"\\😀 \😀"}"#, r#"{"message":"\\😀 😀"}"#],
    );
}

#[test]
fn characters_that_hmrc_sends_raw_have_one_form() {
    accepts_form(r#"{"a":"é€"}"#, r#"{"a":"é€"}"#);
    refuses_forms(r#"{"a":"é€"}"#, &[r#"{"a":"\u00E9\u20AC"}"#]);
    refuses_forms(r#"{"a":"\u00E9\u20AC\u2028"}"#, &["{\"a\":\"é€\u{2028}\"}"]);
    refuses_forms("{\"a\":\"😀\"}", &[r#"{"a":"\uD83D\uDE00"}"#]);
}

#[test]
fn govuk_pay_has_no_second_form() {
    let (sent, raw) = (r#"{"reference":"\uD83D\uDCB7"}"#, r#"{"reference":"💷"}"#);
    let header = sign(SenderKind::GOVUK_PAY, "sample key", raw.as_bytes());
    let found = check(
        SenderKind::GOVUK_PAY,
        "sample key",
        &[header.as_bytes()],
        sent.as_bytes(),
    );
    assert_eq!(fault(found), Some(SignatureError::Wrong));
}

/// What happens to a signature on the way in the test below.
#[derive(Clone, Debug)]
enum Change {
    Nothing,
    Byte(Index, u8),
    Cut(Index),
    Append(u8),
    Upper,
    Other(Vec<u8>),
}

impl Change {
    fn apply(self, mut header: Vec<u8>) -> Vec<u8> {
        match self {
            Self::Nothing => {}
            Self::Byte(at, byte) => {
                let at = at.index(header.len());
                header[at] = byte;
            }
            Self::Cut(at) => header.truncate(at.index(header.len())),
            Self::Append(byte) => header.push(byte),
            Self::Upper => header.make_ascii_uppercase(),
            Self::Other(bytes) => header = bytes,
        }
        header
    }
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        4 => Just(Change::Nothing),
        4 => (any::<Index>(), prop::sample::select(&b"0123456789abcdef"[..])).prop_map(|(at,
            byte)| Change::Byte(at, byte)),
        2 => (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Change::Byte(at, byte)),
        1 => any::<Index>().prop_map(Change::Cut),
        1 => any::<u8>().prop_map(Change::Append),
        1 => Just(Change::Upper),
        1 => "[0-9a-f]{40}|[0-9a-f]{64}".prop_map(|text| Change::Other(text.into_bytes())),
    ]
}

/// Text of 1 to 100 bytes.
fn key() -> impl Strategy<Value = String> {
    ".{1,100}".prop_map(|text| {
        let end = (1..=100.min(text.len()))
            .rev()
            .find(|end| text.is_char_boundary(*end));
        text[..end.unwrap_or(text.len())].to_owned()
    })
}

/// Bytes as they come, and text in which escapes are frequent.
fn body() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop::sample::select(
        &[
            "\\",
            "\\\\",
            "\\u",
            "\\uD83D",
            "\\uDE00",
            "\\uD83D\\uDE00",
            "\\ud83d",
            "\\udcb7",
            "\"",
            "é",
            "😀",
            "a",
            "0",
        ][..],
    );
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..300),
        prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat().into_bytes()),
    ]
}

/// The form HMRC signs, found by another way than the receiver's: each run of backslashes counts.
fn hmrc_signs(body: &[u8]) -> Vec<u8> {
    let mut out: Vec<u8> = Vec::new();
    let mut at = 0;
    while at < body.len() {
        let slashes = body[at..].iter().take_while(|byte| **byte == b'\\').count();
        if slashes == 0 {
            out.push(body[at]);
            at += 1;
            continue;
        }
        let last = at + slashes - 1;
        let pair = body
            .get(last..last + 12)
            .filter(|_| slashes % 2 == 1)
            .and_then(pair_in);
        out.extend(&body[at..last]);
        match pair {
            Some(character) => {
                out.extend(character.to_string().bytes());
                at = last + 12;
            }
            None => {
                out.push(b'\\');
                at = last + 1;
            }
        }
    }
    out
}

fn pair_in(escapes: &[u8]) -> Option<char> {
    let text: String = serde_json::from_slice(&[b"\"", escapes, b"\""].concat()).ok()?;
    let mut characters = text.chars();
    characters
        .next()
        .filter(|c| u32::from(*c) > 0xffff && characters.next().is_none())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None,
        ..ProptestConfig::default() })]

    /// The receiver and a second implementation agree on what is genuine.
    #[test]
    fn exactly_what_a_second_implementation_signs_is_accepted(
        kind in prop::sample::select(SenderKind::ALL),
        key in key(),
        body in body(),
        signs_canonical in any::<bool>(),
        change in change(),
    ) {
        let forms = match kind.signature.algorithm {
            MacAlgorithm::HmacSha1 => vec![body.clone(), hmrc_signs(&body)],
            MacAlgorithm::HmacSha256 => vec![body.clone()],
        };
        let right: Vec<String> = forms.iter().map(|form| sign(kind, &key, form)).collect();
        let signed = if signs_canonical { &right[right.len() - 1] } else { &right[0] };
        let header = change.apply(signed.clone().into_bytes());

        let found = check(kind, &key, &[&header], &body);

        let expected = right.iter().any(|right| right.as_bytes() == header);
        prop_assert_eq!(found.is_ok(), expected);
        if let Ok(verified) = found {
            prop_assert_eq!(verified.body(), &body);
            prop_assert_eq!(verified.signature().as_bytes(), header);
        }
    }
}
