//! Keys, bodies and headers by chance, judged by a second implementation as well.

use proptest::{prelude::*, sample::Index};

use pillarbox::senders::{MacAlgorithm, SenderKind};

use super::{check, sign};

/// What happens to a signature on the way in the test below.
#[derive(Clone, Debug)]
enum SignatureChange {
    Nothing,
    Byte(Index, u8),
    Cut(Index),
    Append(u8),
    Upper,
    Other(Vec<u8>),
}

impl SignatureChange {
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

fn change() -> impl Strategy<Value = SignatureChange> {
    prop_oneof![
        4 => Just(SignatureChange::Nothing),
        4 => (any::<Index>(), prop::sample::select(&b"0123456789abcdef"[..])).prop_map(|(at,
            byte)| SignatureChange::Byte(at, byte)),
        2 => (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| SignatureChange::Byte(at, byte)),
        1 => any::<Index>().prop_map(SignatureChange::Cut),
        1 => any::<u8>().prop_map(SignatureChange::Append),
        1 => Just(SignatureChange::Upper),
        1 => "[0-9a-f]{40}|[0-9a-f]{64}".prop_map(|text| SignatureChange::Other(text.into_bytes())),
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
