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
        MacAlgorithm::HmacSha1 => hex::encode(
            Hmac::<Sha1>::new_from_slice(key)
                .unwrap()
                .chain_update(body)
                .finalize()
                .into_bytes(),
        ),
        MacAlgorithm::HmacSha256 => hex::encode(
            Hmac::<Sha256>::new_from_slice(key)
                .unwrap()
                .chain_update(body)
                .finalize()
                .into_bytes(),
        ),
    }
}

/// Diagnoses for a source with `secrets`, beside one other source of each kind.
fn diagnosis(
    kind: SenderKind,
    secrets: &[&str],
    header: impl AsRef<[u8]>,
    body: impl AsRef<[u8]>,
) -> Diagnosis {
    let secret = |text: &str| Secret::new(text.to_owned());
    let own: Vec<(String, Secret)> = secrets
        .iter()
        .enumerate()
        .map(|(at, text)| (format!("{}:env:OWN", at + 1), secret(text)))
        .collect();
    let own: Vec<NamedSecret<'_>> = own
        .iter()
        .map(|(label, secret)| NamedSecret {
            kind,
            label,
            secret,
        })
        .collect();
    let (hmrc, pay) = (secret(HMRC_OTHER), secret("webhook_live_another-source"));
    let others = [
        NamedSecret {
            kind: SenderKind::HMRC,
            label: "hmrc-two 1:env:HMRC",
            secret: &hmrc,
        },
        NamedSecret {
            kind: SenderKind::GOVUK_PAY,
            label: "pay-two 1:env:PAY",
            secret: &pay,
        },
    ];
    diagnose(
        kind,
        &own,
        &others,
        header.as_ref(),
        body.as_ref(),
        Timestamp::from_millis(0),
    )
}

fn hmrc(header: impl AsRef<[u8]>, body: impl AsRef<[u8]>) -> Diagnosis {
    diagnosis(SenderKind::HMRC, &[HMRC_SECRET], header, body)
}

fn pay(header: impl AsRef<[u8]>, body: impl AsRef<[u8]>) -> Diagnosis {
    diagnosis(SenderKind::GOVUK_PAY, &[PAY_SECRET], header, body)
}

fn explained(causes: impl Into<Vec<FailureCause>>) -> Diagnosis {
    Diagnosis::Explained {
        key_label: "1:env:OWN".into(),
        causes: causes.into(),
    }
}

fn genuine(key_label: &str, canonical: bool) -> Diagnosis {
    Diagnosis::Genuine {
        key_label: key_label.into(),
        canonical,
    }
}
