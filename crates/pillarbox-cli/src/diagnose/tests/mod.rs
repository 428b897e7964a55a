mod header;
mod secret;
mod body;
mod scheme;
mod sentences;

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::Sha256;

use super::*;
use pillarbox::senders::MacAlgorithm;

const HMRC_SECRET: &str = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP";

const HMRC_OTHER: &str = "KRSXG5CTMVRXEZLUKRSXG5CTMVRXEZLU";

const PAY_SECRET: &str = "webhook_test_7mrp1d5lsa5pdfs2bvim2f9cdu";

const PAY_OTHER: &str = "webhook_live_another-source";

const HMRC_BODY: &str = concat!(
    r#"{"notificationId":"1ed5f407","boxId":"50dca3fc","#,
    r#""messageContentType":"application/json","message":"{\"n\":1.10}","#,
    r#""status":"PENDING","createdDateTime":"2020-06-01T10:20:23.160+0000"}"#,
);

const PAY_BODY: &str = concat!(
    r#"{"webhook_message_id":"6l0p","created_date":"2026-03-02T11:40:09.300Z","#,
    r#""resource_id":"4u0c","api_version":1,"resource_type":"PAYMENT","#,
    r#""event_type":"card_payment_failed","#,
    r#""resource":{"moto":false,"state":{"code":"P0010","status":"declined"},"#,
    r#""amount":5000,"metadata":{},"reference":"café","#,
    r#""created_date":"2026-03-02T11:38:50.921Z"}}"#,
);

/// The hex signature of `kind` that `key` makes.
fn sign(kind: SenderKind, key: impl AsRef<[u8]>, body: impl AsRef<[u8]>) -> String {
    let (key, body) = (key.as_ref(), body.as_ref());
    match kind.signature.algorithm {
        MacAlgorithm::HmacSha1 => hex::encode(mac::<Hmac<Sha1>>(key, body)),
        MacAlgorithm::HmacSha256 => hex::encode(mac::<Hmac<Sha256>>(key, body)),
    }
}

fn mac<M: Mac + KeyInit>(key: &[u8], body: &[u8]) -> Vec<u8> {
    let mac = <M as KeyInit>::new_from_slice(key).unwrap();
    mac.chain_update(body).finalize().into_bytes().to_vec()
}

fn named(kind: SenderKind, label: &str, text: &str) -> NamedSecret {
    NamedSecret {
        kind,
        label: label.to_owned(),
        secret: Secret::new(text.to_owned()),
    }
}

/// The diagnosis for a source with the secrets `own`, beside another source with `others`.
fn diagnosis_among(
    kind: SenderKind,
    own: &[NamedSecret],
    others: &[NamedSecret],
    header: impl AsRef<[u8]>,
    body: impl AsRef<[u8]>,
) -> Diagnosis {
    let (own, others): (Vec<_>, Vec<_>) = (own.iter().collect(), others.iter().collect());
    let (header, body) = (header.as_ref(), body.as_ref());
    diagnose(kind, &own, &others, header, body, Timestamp::from_millis(0))
}

/// The diagnosis for a source with `secrets`, beside one other source of each kind.
fn diagnosis(
    kind: SenderKind,
    secrets: &[&str],
    header: impl AsRef<[u8]>,
    body: impl AsRef<[u8]>,
) -> Diagnosis {
    let own: Vec<NamedSecret> = (1..)
        .zip(secrets)
        .map(|(position, text)| named(kind, &format!("{position}:env:OWN"), text))
        .collect();
    let others = [
        named(SenderKind::HMRC, "hmrc-two 1:env:HMRC", HMRC_OTHER),
        named(SenderKind::GOVUK_PAY, "pay-two 1:env:PAY", PAY_OTHER),
    ];
    diagnosis_among(kind, &own, &others, header, body)
}

fn hmrc(header: impl AsRef<[u8]>, body: impl AsRef<[u8]>) -> Diagnosis {
    diagnosis(SenderKind::HMRC, &[HMRC_SECRET], header, body)
}

fn pay(header: impl AsRef<[u8]>, body: impl AsRef<[u8]>) -> Diagnosis {
    diagnosis(SenderKind::GOVUK_PAY, &[PAY_SECRET], header, body)
}

fn explained(causes: impl Into<Vec<FailureCause>>) -> Diagnosis {
    explained_with("1:env:OWN", causes)
}

fn explained_with(key_label: &str, causes: impl Into<Vec<FailureCause>>) -> Diagnosis {
    Diagnosis::Explained {
        key_label: key_label.to_owned(),
        causes: causes.into(),
    }
}

fn genuine(key_label: &str, canonical: bool) -> Diagnosis {
    Diagnosis::Genuine {
        key_label: key_label.into(),
        canonical,
    }
}
