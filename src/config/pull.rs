//! How to ask a sender for what it never pushed: `[sources.NAME.pull]`.

use url::Url;

use super::{
    destination::url,
    document_reader::{TableReader, TomlItem, all},
    error::Located,
    reference,
};
use crate::{secrets::SecretRef, senders::SenderKind};

/// The API of HMRC's sandbox.
const HMRC_SANDBOX: &str = "https://test-api.service.hmrc.gov.uk";
/// HMRC's API.
const HMRC_PRODUCTION: &str = "https://api.service.hmrc.gov.uk";
/// GOV.UK Pay's API; the key decides between test and live.
const PAY: &str = "https://publicapi.payments.service.gov.uk";

/// How one source is asked, by its kind.
#[derive(Clone, Debug)]
pub enum PullConfig {
    /// HMRC's boxes.
    Hmrc(HmrcPullConfig),
    /// GOV.UK Pay's payments.
    GovukPay(PayPullConfig),
}

impl PullConfig {
    /// Where what it needs is.
    pub(super) fn references(&self) -> Vec<&SecretRef> {
        match self {
            Self::Hmrc(pull) => vec![&pull.client_id.value, &pull.client_secret.value],
            Self::GovukPay(pull) => vec![&pull.api_key.value],
        }
    }
}

/// How to read HMRC's boxes.
#[derive(Clone, Debug)]
pub struct HmrcPullConfig {
    /// The API: that of the environment named, unless a document gives another.
    pub base_url: Url,
    /// The ids of the boxes to read.
    pub boxes: Vec<String>,
    /// The application's client id.
    pub client_id: Located<SecretRef>,
    /// The application's client secret.
    pub client_secret: Located<SecretRef>,
}

/// How to read GOV.UK Pay's payments.
#[derive(Clone, Debug)]
pub struct PayPullConfig {
    /// The API.
    pub base_url: Url,
    /// The API key.
    pub api_key: Located<SecretRef>,
}

/// Reads a source's `pull` table; of a source whose kind is not known, only that it is a table.
pub(super) fn read(item: TomlItem<'_, '_>, kind: Option<SenderKind>) -> Option<PullConfig> {
    let mut table = item.table()?;
    let pull = match kind? {
        SenderKind::Hmrc => hmrc(&mut table).map(PullConfig::Hmrc),
        SenderKind::GovukPay => pay(&mut table).map(PullConfig::GovukPay),
    };
    table.finish();
    pull
}

fn hmrc(table: &mut TableReader<'_, '_>) -> Option<HmrcPullConfig> {
    let base_url = hmrc_base_url(table);
    let boxes = table
        .need("boxes", "write boxes = [\"the box's id\"]")
        .and_then(|item| boxes(&item));
    let client_id = table
        .need("client_id", "write client_id = \"env:NAME\"")
        .and_then(reference::read);
    let client_secret = table
        .need("client_secret", "write client_secret = \"env:NAME\"")
        .and_then(reference::read);
    Some(HmrcPullConfig {
        base_url: base_url?,
        boxes: boxes?,
        client_id: client_id?,
        client_secret: client_secret?,
    })
}

/// `base_url` beats `environment`, so that a test changes one line of a document.
fn hmrc_base_url(table: &mut TableReader<'_, '_>) -> Option<Url> {
    let given = table.take("base_url").map(url);
    let environment = table
        .take("environment")
        .map(|item| item.word(&["sandbox", "production"]));
    match (given, environment) {
        (Some(url), _) => url,
        (None, Some(word)) => word.map(|word| {
            fixed(if word == "sandbox" {
                HMRC_SANDBOX
            } else {
                HMRC_PRODUCTION
            })
        }),
        (None, None) => {
            table.complain("needs environment: write environment = \"sandbox\" or environment = \"production\"");
            None
        }
    }
}

fn boxes(item: &TomlItem<'_, '_>) -> Option<Vec<String>> {
    let must =
        "must be a list of one or more box ids: write [\"50dca3fc-c37c-4f03-b719-63571333624c\"]";
    let list = item.list(must)?;
    if list.is_empty() {
        item.complain(must);
    }
    all(list.iter().map(box_id))
}

fn box_id(item: &TomlItem<'_, '_>) -> Option<String> {
    let must = "must be a box id, a UUID such as 50dca3fc-c37c-4f03-b719-63571333624c";
    let id = item.text(must)?;
    if is_uuid(&id) {
        return Some(id);
    }
    item.complain(must);
    None
}

fn is_uuid(text: &str) -> bool {
    let groups = text.split('-').map(|group| {
        group
            .bytes()
            .all(|b| b.is_ascii_hexdigit())
            .then_some(group.len())
    });
    groups.eq([8, 4, 4, 4, 12].map(Some))
}

fn pay(table: &mut TableReader<'_, '_>) -> Option<PayPullConfig> {
    let base_url = table.take("base_url").map_or_else(|| Some(fixed(PAY)), url);
    let api_key = table
        .need("api_key", "write api_key = \"env:NAME\"")
        .and_then(reference::read);
    Some(PayPullConfig {
        base_url: base_url?,
        api_key: api_key?,
    })
}

fn fixed(url: &str) -> Url {
    Url::parse(url).expect("the senders' own URLs are written correctly above")
}
