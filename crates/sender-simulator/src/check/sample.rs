//! Notifications that the senders do send, or once will: each a text that is right but for one thing.

use std::time::Duration;

use super::{
    super::{Body, Sender, govuk_pay, hmrc, random},
    run::Run,
};
use crate::Clock;

/// How long most of Pay's ids are; they are not padded, so some are shorter.
pub(super) const PAY_ID: usize = 26;
/// How old what comes after an outage, or a callback URL's first registration, may well be.
const BACKLOG: Duration = Duration::from_secs(35 * 24 * 60 * 60);

/// An ordinary notification, new and of the commonest shape.
pub(super) fn ordinary(run: &Run<'_>) -> Body {
    match run.sender {
        Sender::Hmrc => hmrc::body(&reference(run.clock, ""), hmrc::SAMPLE_BOX, run.clock),
        Sender::GovukPay => pay(govuk_pay::Event::Succeeded, run.clock),
    }
}

/// A payment's event of its own, under an id that is as long as most.
pub(super) fn pay(event: govuk_pay::Event, clock: &dyn Clock) -> Body {
    full_length(govuk_pay::body(event, clock))
}

/// The same event of one payment, under two ids.
pub(super) fn same_event_twice(clock: &dyn Clock) -> [Body; 2] {
    let event = govuk_pay::Event::Captured;
    let payment = govuk_pay::Payment::new(clock.now().minus(event.after()), clock);
    [(); 2].map(|()| full_length(payment.body(event, clock)))
}

fn full_length(body: Body) -> Body {
    let id = format!("{:v>PAY_ID$}", body.id);
    with_id(body, id)
}

/// A message of HMRC's with a reference by which people find it, and `more` behind it.
fn reference(clock: &dyn Clock, more: &str) -> hmrc::Message {
    hmrc::Message::json(format!(
        r#"{{"reference":"{}","key":"value"{more}}}"#,
        test_reference(clock)
    ))
}

/// What test data is known by.
pub(super) fn test_reference(clock: &dyn Clock) -> String {
    format!("PILLARBOX-TEST-{}", random::hex16(clock))
}

/// From 35 days ago.
pub(super) fn old(run: &Run<'_>) -> Body {
    let clock = run.clock;
    let then = clock.now().minus(BACKLOG);
    match run.sender {
        Sender::Hmrc => hmrc::envelope(
            &random::uuid(clock),
            &reference(clock, ""),
            hmrc::SAMPLE_BOX,
            then,
        ),
        Sender::GovukPay => {
            let event = govuk_pay::Event::Captured;
            full_length(
                govuk_pay::Payment::new(then.minus(event.after()), clock).body(event, clock),
            )
        }
    }
}

/// HMRC's, with a message of so many bytes.
pub(super) fn long(clock: &dyn Clock, bytes: usize) -> Body {
    let more = format!(r#","filler":"{}""#, "0123456789abcdef".repeat(bytes / 16));
    hmrc::body(&reference(clock, &more), hmrc::SAMPLE_BOX, clock)
}

/// Pay's, with everything a service can put into a payment at its longest, in four-byte characters.
pub(super) fn longest_of_pay(clock: &dyn Clock) -> Body {
    let wide = |count: usize| "💷".repeat(count);
    let metadata: Vec<String> = (0..15)
        .map(|n| format!(r#""a_metadata_key_of_full_len_{n:03}":"{}""#, wide(100)))
        .collect();
    let body = pay(govuk_pay::Event::Succeeded, clock);
    let body = edited(
        body,
        r#""team":7,"urgent":false,"case_id":"C-1029""#,
        &metadata.join(","),
    );
    let body = edited(
        body,
        "/return\"",
        &format!("/return?{}\"", "r".repeat(1_950)),
    );
    edited(body, "Test payment", &format!("Test payment {}", wide(210)))
}

/// With fields, one of them null, that nobody has heard of yet.
pub(super) fn extended(run: &Run<'_>) -> Body {
    let body = ordinary(run);
    match run.sender {
        Sender::Hmrc => edited(
            body,
            r#""status":"#,
            r#""readDateTime":null,"attempt":{"number":1},"status":"#,
        ),
        Sender::GovukPay => edited(
            body,
            r#""api_version":1"#,
            r#""api_version":1,"live":null,"links":[{"rel":"self"}]"#,
        ),
    }
}

/// The same body with one part of it written in another way, in both forms.
pub(super) fn edited(body: Body, part: &str, other: &str) -> Body {
    let edit = |text: &str| text.replacen(part, other, 1);
    Body {
        signed: edit(&body.signed),
        wire: edit(&body.wire),
        id: body.id,
    }
}

/// The same body under another id.
pub(super) fn with_id(body: Body, id: String) -> Body {
    let was = body.id.clone();
    Body {
        id: id.clone(),
        ..edited(body, &was, &id)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::{
        super::{super::tests::TestClock, run::played},
        *,
    };

    fn read(body: &Body) -> Value {
        assert_eq!(read_text(&body.wire), read_text(&body.signed));
        read_text(&body.wire)
    }

    fn read_text(text: &str) -> Value {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn every_edit_finds_what_it_changes_and_leaves_json() {
        let clock = TestClock::new();
        let plain = pay(govuk_pay::Event::Succeeded, &clock);
        assert_eq!(
            (plain.id.len(), read(&plain)["webhook_message_id"].as_str()),
            (PAY_ID, Some(&*plain.id))
        );

        let [one, other] = same_event_twice(&clock).map(|body| read(&body));
        assert_ne!(one["webhook_message_id"], other["webhook_message_id"]);
        for field in ["resource_id", "event_type", "created_date"] {
            assert_eq!(one[field], other[field]);
        }

        let long = long(&clock, 100_000);
        assert!((100_000..101_000).contains(&long.wire.len()));
        read(&long);

        let longest = longest_of_pay(&clock);
        assert!(
            (10_000..15_000).contains(&longest.wire.len()),
            "{}",
            longest.wire.len()
        );
        let resource = &read(&longest)["resource"];
        let metadata = resource["metadata"].as_object().unwrap();
        assert!(
            metadata.len() == 15 && metadata.keys().all(|key| key.len() == 30),
            "{metadata:?}"
        );
        let characters = |field: &str| resource[field].as_str().unwrap().chars().count();
        assert!(
            (1_900..=2_000).contains(&characters("return_url"))
                && (240..=255).contains(&characters("description"))
        );
    }

    #[test]
    fn what_is_sent_for_either_sender_is_json_with_its_id_in_it() {
        played(|run| {
            for body in [ordinary(run), old(run), extended(run)] {
                let field = if run.sender == Sender::Hmrc {
                    "notificationId"
                } else {
                    "webhook_message_id"
                };
                assert_eq!(read(&body)[field], body.id);
                assert!(body.wire.contains("PILLARBOX-TEST-"));
            }
            assert!(ordinary(run).wire.contains("2026-03-02T10:15:31.480"));
            assert!(old(run).wire.contains("2026-01-26T10:15:31.480"));
        });
    }
}
