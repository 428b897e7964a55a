//! Notifications for checks: correctly signed, and each special in one respect.

use std::time::Duration;

use super::{
    super::{MessageBody, Sender, govuk_pay, hmrc, ids},
    run::CheckRun,
};
use crate::Clock;

/// The length of most of Pay's ids. They are not padded, so some are shorter.
pub(super) const PAY_ID_CHARS: usize = 26;
/// The age of a notification after an outage or the first registration of a callback URL.
const BACKLOG_AGE: Duration = Duration::from_secs(35 * 24 * 60 * 60);

/// A new ordinary notification of the most common form.
pub(super) fn ordinary(run: &CheckRun<'_>) -> MessageBody {
    match run.sender {
        Sender::Hmrc => hmrc::body(&reference(run.clock, ""), hmrc::SAMPLE_BOX, run.clock),
        Sender::GovukPay => pay(govuk_pay::PaymentEvent::Succeeded, run.clock),
    }
}

/// An event of a new payment, with an id of the usual length.
pub(super) fn pay(event: govuk_pay::PaymentEvent, clock: &dyn Clock) -> MessageBody {
    plain(govuk_pay::body(event, clock))
}

/// The first event of a new payment of this kind.
pub(super) fn pay_kind(kind: govuk_pay::PaymentKind, clock: &dyn Clock) -> MessageBody {
    plain(govuk_pay::body_of_kind(kind, clock))
}

/// The same event of one payment, with two ids.
pub(super) fn same_event_twice(clock: &dyn Clock) -> [MessageBody; 2] {
    let event = govuk_pay::PaymentEvent::Captured;
    let payment = govuk_pay::PaymentMessages::new(clock.now().minus(event.after()), clock);
    [(); 2].map(|()| plain(payment.body(event, clock)))
}

/// Gives a message an id of full length and plain ASCII text, so that only the checks of other
/// characters depend on them.
fn plain(body: MessageBody) -> MessageBody {
    let id = format!("{:v>PAY_ID_CHARS$}", body.id);
    edited(with_id(body, id), " – café licence 💷", " for a licence")
}

/// A message of HMRC with a test reference, followed by `more`.
fn reference(clock: &dyn Clock, more: &str) -> hmrc::HmrcMessage {
    hmrc::HmrcMessage::json(format!(
        r#"{{"reference":"{}","key":"value"{more}}}"#,
        ids::test_reference(clock)
    ))
}

/// A notification that is 35 days old.
pub(super) fn old(run: &CheckRun<'_>) -> MessageBody {
    let clock = run.clock;
    let then = clock.now().minus(BACKLOG_AGE);
    match run.sender {
        Sender::Hmrc => hmrc::envelope(
            &ids::uuid(clock),
            &reference(clock, ""),
            hmrc::SAMPLE_BOX,
            then,
        ),
        Sender::GovukPay => {
            let event = govuk_pay::PaymentEvent::Captured;
            plain(
                govuk_pay::PaymentMessages::new(then.minus(event.after()), clock)
                    .body(event, clock),
            )
        }
    }
}

/// A notification of HMRC with a message of this length.
pub(super) fn long(clock: &dyn Clock, bytes: usize) -> MessageBody {
    let more = format!(r#","filler":"{}""#, "0123456789abcdef".repeat(bytes / 16));
    hmrc::body(&reference(clock, &more), hmrc::SAMPLE_BOX, clock)
}

/// A notification of Pay whose fields all have their maximum length, in four-byte characters.
pub(super) fn longest_of_pay(clock: &dyn Clock) -> MessageBody {
    let wide = |count: usize| "💷".repeat(count);
    let metadata: Vec<String> = (0..15)
        .map(|n| format!(r#""a_metadata_key_of_full_len_{n:03}":"{}""#, wide(100)))
        .collect();
    let body = pay(govuk_pay::PaymentEvent::Succeeded, clock);
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
    edited(body, "Test payment", &format!("Test payment {}", wide(220)))
}

/// A notification with unknown fields, one of them null.
pub(super) fn extended(run: &CheckRun<'_>) -> MessageBody {
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

/// The same body with one part replaced, in both forms.
pub(super) fn edited(body: MessageBody, part: &str, other: &str) -> MessageBody {
    let edit = |text: &str| text.replacen(part, other, 1);
    MessageBody {
        signed: edit(&body.signed),
        wire: edit(&body.wire),
        id: body.id,
    }
}

/// The same body with another id.
pub(super) fn with_id(body: MessageBody, id: String) -> MessageBody {
    let previous_id = body.id.clone();
    MessageBody {
        id: id.clone(),
        ..edited(body, &previous_id, &id)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::{
        super::{super::tests::TestClock, run::with_each_sender},
        *,
    };

    fn read(body: &MessageBody) -> Value {
        assert_eq!(read_text(&body.wire), read_text(&body.signed));
        read_text(&body.wire)
    }

    fn read_text(text: &str) -> Value {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn every_edit_finds_its_place_and_leaves_json() {
        let clock = TestClock::new();
        let plain = pay(govuk_pay::PaymentEvent::Succeeded, &clock);
        assert_eq!(
            (plain.id.len(), read(&plain)["webhook_message_id"].as_str()),
            (PAY_ID_CHARS, Some(&*plain.id))
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
    fn every_notification_is_json_and_contains_its_id() {
        with_each_sender(|run| {
            for body in [ordinary(run), old(run), extended(run)] {
                assert!(body.wire.is_ascii(), "{}", body.wire);
                assert_eq!(read(&body)[run.sender.id_field()], body.id);
                assert!(body.wire.contains("PILLARBOX-TEST-"));
            }
            assert!(ordinary(run).wire.contains("2026-03-02T10:15:31.480"));
            assert!(old(run).wire.contains("2026-01-26T10:15:31.480"));
        });
    }
}
