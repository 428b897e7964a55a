//! Splits HMRC's list into its elements, each with its exact bytes.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{domain::Timestamp, senders::Pulled};

/// A notification's id, in the form that HMRC's acknowledgements take.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct AcknowledgeableId(String);

impl AcknowledgeableId {
    /// Reads `text` if it is a UUID. HMRC compares ids by value, so letter case makes no
    /// difference.
    pub(super) fn new(text: &str) -> Option<Self> {
        let hex = |group: &str| {
            group
                .bytes()
                .all(|b| b.is_ascii_hexdigit())
                .then_some(group.len())
        };
        text.split('-')
            .map(hex)
            .eq([8, 4, 4, 4, 12].map(Some))
            .then(|| Self(text.to_ascii_lowercase()))
    }

    /// The id in lower case.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// One notification of a list.
#[derive(Debug)]
pub(super) struct ListedNotification {
    /// The id; `None` if it cannot be acknowledged.
    pub(super) id: Option<AcknowledgeableId>,
    /// When it was created. HMRC lists in this order.
    pub(super) created_at: Option<Timestamp>,
    /// The whole element.
    pub(super) pulled: Pulled,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListedEnvelope<'a> {
    #[serde(borrow)]
    notification_id: Option<&'a RawValue>,
    #[serde(borrow)]
    created_date_time: Option<&'a RawValue>,
}

/// The elements of a list; `None` if the text is not a list.
pub(super) fn elements(list: &Bytes) -> Option<Vec<ListedNotification>> {
    let raw: Vec<&RawValue> = serde_json::from_slice(list).ok()?;
    Some(raw.into_iter().map(|raw| element(list, raw)).collect())
}

/// For each element of a list: the id to acknowledge, and the bytes.
#[cfg(any(test, feature = "test-support"))]
pub fn list_for_tests(list: &Bytes) -> Option<Vec<(Option<String>, Pulled)>> {
    let plain = |listed: ListedNotification| {
        let id = listed.id.map(|id| id.as_str().to_owned());
        (id, listed.pulled)
    };
    Some(elements(list)?.into_iter().map(plain).collect())
}

fn element(list: &Bytes, raw: &RawValue) -> ListedNotification {
    // An unreadable element has no id and no date here, and is held when it is recorded.
    let envelope: ListedEnvelope<'_> = serde_json::from_str(raw.get()).unwrap_or_default();
    let text = |raw: Option<&RawValue>| serde_json::from_str::<String>(raw?.get()).ok();
    ListedNotification {
        id: text(envelope.notification_id).and_then(|id| AcknowledgeableId::new(&id)),
        created_at: text(envelope.created_date_time).and_then(|date| Timestamp::parse(&date)),
        pulled: Pulled::listed(list.slice_ref(raw.get().as_bytes())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "1ed5f407-8096-40d1-87ef-9a2a103eeb85";

    #[test]
    fn elements_are_taken_out_byte_for_byte() {
        let odd = concat!(
            r#"{ "notificationId" : "1ED5F407-8096-40D1-87EF-9A2A103EEB85", "#,
            r#""n": 1.10, "x":"\uD83D\uDE00é" }"#,
        );
        let list = Bytes::from(format!(
            " [ {odd},42 ,\n{{\"createdDateTime\":\"2020-06-01T10:20:23.160+0000\"}} ]"
        ));
        let elements = elements(&list).unwrap();
        assert_eq!(elements.len(), 3);
        assert_eq!(elements[0].pulled.body(), odd);
        assert_eq!(
            elements[0].id.as_ref().map(AcknowledgeableId::as_str),
            Some(ID)
        );
        assert_eq!(
            (elements[1].pulled.body(), elements[1].id.is_none()),
            (&Bytes::from("42"), true)
        );
        assert_eq!(
            elements[2].created_at,
            Some(Timestamp::from_millis(1_591_006_823_160))
        );
    }

    #[test]
    fn an_element_with_two_ids_has_none() {
        let twice = format!(r#"[{{"notificationId":"{ID}","notificationId":"{ID}"}}]"#);
        assert!(elements(&twice.into()).unwrap()[0].id.is_none());
    }

    #[test]
    fn a_text_that_is_not_a_list_has_no_elements() {
        for body in ["", "{}", "null", "[", "[1,]", "\"[]\"", "<html>"] {
            assert!(elements(&Bytes::from(body)).is_none(), "{body}");
        }
        assert!(elements(&Bytes::from("[]")).unwrap().is_empty());
    }

    #[test]
    fn only_a_uuid_can_be_acknowledged() {
        assert!(AcknowledgeableId::new(ID).is_some());
        for bad in [
            "",
            "n1",
            "1ed5f40780964 0d187ef9a2a103eeb85",
            &ID[1..],
            &format!("{ID}0"),
            &format!("{{{ID}}}"),
        ] {
            assert!(AcknowledgeableId::new(bad).is_none(), "{bad}");
        }
    }
}
