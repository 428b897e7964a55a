//! How a faulty receiver verifies a request. Shares no code with the receiver or the simulator.

use hmac::{Hmac, KeyInit, Mac};
use sender_simulator::Sender;
use sha1::Sha1;
use sha2::Sha256;

use super::fault::PlantedFault;

/// Whether the receiver accepts a body with these signature headers.
pub(super) fn is_accepted(
    fault: PlantedFault,
    sender: Sender,
    secret: &str,
    signatures: &[String],
    body: &[u8],
) -> bool {
    let right = |given: &str| {
        forms(fault, sender, body)
            .iter()
            .any(|form| is_right(fault, given, sender, secret, form))
    };
    match (fault, signatures) {
        (PlantedFault::RefusesOtherCharacters, _) if !body.is_ascii() => false,
        (PlantedFault::AcceptsUnsigned, []) => true,
        (PlantedFault::AcceptsEmptySignature, [only]) if only.is_empty() => true,
        (PlantedFault::TakesFirstSignature, [first, ..]) => right(first),
        (_, [only]) => right(only),
        _ => false,
    }
}

fn is_right(fault: PlantedFault, given: &str, sender: Sender, secret: &str, form: &[u8]) -> bool {
    let expected = mac(sender, secret, form);
    let is_equal = given == expected;
    match fault {
        PlantedFault::ComparesPrefix => !given.is_empty() && expected.starts_with(given),
        PlantedFault::ComparesBeginning => {
            given.len() == expected.len() && given[..8] == expected[..8]
        }
        PlantedFault::ChecksFormOnly => {
            given.len() == expected.len() && given.bytes().all(|b| b.is_ascii_hexdigit())
        }
        PlantedFault::AcceptsUpperCase => given.to_ascii_lowercase() == expected,
        PlantedFault::AcceptsPrefix => given.rsplit('=').next() == Some(&expected),
        PlantedFault::AcceptsEmptyKey => is_equal || given == mac(sender, "", form),
        PlantedFault::AcceptsEitherAlgorithm => Sender::ALL
            .into_iter()
            .any(|sender| given == mac(sender, secret, form)),
        _ => is_equal,
    }
}

/// The length of a valid signature.
pub(super) fn length(sender: Sender) -> usize {
    match sender {
        Sender::Hmrc => 40,
        Sender::GovukPay => 64,
    }
}

fn mac(sender: Sender, key: &str, bytes: &[u8]) -> String {
    match sender {
        Sender::Hmrc => hex::encode(
            Hmac::<Sha1>::new_from_slice(key.as_bytes())
                .unwrap()
                .chain_update(bytes)
                .finalize()
                .into_bytes(),
        ),
        Sender::GovukPay => hex::encode(
            Hmac::<Sha256>::new_from_slice(key.as_bytes())
                .unwrap()
                .chain_update(bytes)
                .finalize()
                .into_bytes(),
        ),
    }
}

/// The forms of the body that the signature may cover: the body, and the form that HMRC signs.
fn forms(fault: PlantedFault, sender: Sender, body: &[u8]) -> Vec<Vec<u8>> {
    let body = if fault == PlantedFault::Reserialises {
        rewritten(body)
    } else {
        body.to_vec()
    };
    if sender == Sender::GovukPay || fault == PlantedFault::RefusesAstral {
        return vec![body];
    }
    let signed = String::from_utf8_lossy(&body).replace(r"\uD83D\uDE00", "😀");
    vec![body, signed.into_bytes()]
}

/// The body as `JSON.stringify(JSON.parse(body))` writes it, except for numbers that it changes.
fn rewritten(body: &[u8]) -> Vec<u8> {
    let mut rest = String::from_utf8_lossy(body).into_owned();
    let mut out = String::new();
    while let Some(first) = rest.chars().next() {
        let mut used = first.len_utf8();
        if first == '"' {
            let mut strings = serde_json::Deserializer::from_str(&rest).into_iter::<String>();
            let Some(Ok(string)) = strings.next() else {
                return body.to_vec();
            };
            used = strings.byte_offset();
            out.push_str(&serde_json::to_string(&string).unwrap());
        } else if !first.is_whitespace() {
            out.push(first);
        }
        rest.drain(..used);
    }
    out.into_bytes()
}
