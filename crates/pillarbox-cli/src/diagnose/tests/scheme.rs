//! A scheme that signs its time and writes its header in parts.

use std::time::Duration;

use super::explained;
use crate::diagnose::*;
use pillarbox::senders::example::{NOW, TIMESTAMPED};

const SECRET: &str = "ts_7mrp1d5lsa5pdfs2bvim2f9c";
const BODY: &str = r#"{"id":"m1"}"#;

/// The header of a body, signed now with that secret.
fn sign(secret: &str, body: &str) -> String {
    let seconds = NOW.as_seconds();
    let digits = super::sign(TIMESTAMPED, secret, format!("{seconds}.{body}"));
    format!("t={seconds},v1={digits}")
}

fn diagnosis_at(now: Timestamp, header: &str, body: &str) -> Diagnosis {
    let own = NamedSecret {
        kind: TIMESTAMPED,
        label: "1:env:OWN".to_owned(),
        secret: Secret::new(SECRET.to_owned()),
    };
    diagnose(
        TIMESTAMPED,
        &[&own],
        &[],
        header.as_bytes(),
        body.as_bytes(),
        now,
    )
}

#[test]
fn what_the_receiver_accepts_is_genuine() {
    let found = diagnosis_at(NOW, &sign(SECRET, BODY), BODY);
    assert_eq!(found, super::genuine("1:env:OWN", false));
}

#[test]
fn what_is_wrong_is_found_in_the_parts_of_the_header() {
    use FailureCause::{
        BodyNewlineAdded, HeaderExpired, HeaderMalformed, HeaderPadded, HeaderUpperCase,
        NoneOfThese, SignedWithPaddedSecret,
    };
    let header = sign(SECRET, BODY);
    let digits = header.split_once("v1=").unwrap().1;
    let upper = header.replace(digits, &digits.to_uppercase());
    let padded = sign(&format!("{SECRET}\n"), BODY);
    let late = NOW.plus(Duration::from_secs(301));
    for (now, header, body, causes) in [
        (NOW, format!("{header}\n"), BODY, vec![HeaderPadded]),
        (NOW, upper, BODY, vec![HeaderUpperCase]),
        (NOW, padded, BODY, vec![SignedWithPaddedSecret]),
        (
            NOW,
            header.clone(),
            "{\"id\":\"m1\"}\n",
            vec![BodyNewlineAdded],
        ),
        (late, header.clone(), BODY, vec![HeaderExpired]),
    ] {
        assert_eq!(
            diagnosis_at(now, &header, body),
            explained(causes),
            "{header}"
        );
    }
    let other = sign("another secret", BODY);
    let prefixed = format!("sha256={digits}");
    for (header, causes) in [
        (&*other, vec![NoneOfThese]),
        (digits, vec![HeaderMalformed, NoneOfThese]),
        (&prefixed, vec![HeaderMalformed, NoneOfThese]),
    ] {
        let found = diagnosis_at(NOW, header, BODY);
        assert_eq!(found, Diagnosis::Unexplained(causes), "{header}");
    }
}
