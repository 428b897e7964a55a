//! Rows in people's words, the same on the command line and in the console.

use crate::{inbox::Row, notification::Timestamp, source::Kind};

/// What happened, in a few words; an event type we don't know speaks for itself.
pub(super) fn event(row: &Row) -> String {
    let known = match row.event_type.as_str() {
        _ if row.is_unreadable() => "Unreadable",
        _ if row.kind() == Kind::Hmrc => "HMRC notification",
        "card_payment_succeeded" => "Payment succeeded",
        "card_payment_captured" => "Payment captured",
        "card_payment_refunded" => "Payment refunded",
        "card_payment_failed" => "Payment failed",
        "card_payment_expired" => "Payment expired",
        other => return crate::observe::visible(other),
    };
    known.to_owned()
}

/// An instant as the clock on the wall shows it.
pub(super) fn local(at: Timestamp) -> String {
    match jiff::Timestamp::from_millisecond(at.as_millis()) {
        Ok(instant) => {
            instant.to_zoned_datetime(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string()
        }
        Err(_) => at.to_string(),
    }
}
