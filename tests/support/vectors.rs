//! Test vectors: valid and invalid signatures with the signed bytes.

use base64::{Engine, prelude::BASE64_STANDARD};
use pillarbox::senders::SenderKind;
use serde::Deserialize;

use super::repository;

#[derive(Deserialize)]
pub struct SignatureVector {
    pub name: String,
    pub scheme: String,
    pub secret: String,
    pub body_base64: String,
    pub signature: String,
    pub valid: bool,
}

impl SignatureVector {
    pub fn kind(&self) -> SenderKind {
        match self.scheme.as_str() {
            "hmrc-sha1" => SenderKind::HMRC,
            "pay-sha256" => SenderKind::GOVUK_PAY,
            other => panic!("unknown scheme: {other}"),
        }
    }

    pub fn body(&self) -> Vec<u8> {
        BASE64_STANDARD.decode(&self.body_base64).unwrap()
    }
}

pub fn vectors() -> Vec<SignatureVector> {
    let text = std::fs::read_to_string(repository("tests/fixtures/vectors.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}
