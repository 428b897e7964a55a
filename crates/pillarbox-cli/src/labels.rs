//! Stored names -> the words people read.

use pillarbox::domain::{HeldReason, State, Timestamp};

/// What happened, for a person: "Payment captured". A type we don't know is shown as it is.
pub(crate) fn event(event_type: &str) -> &str {
    match event_type {
        "notification" => "HMRC notification",
        "card_payment_started" => "Payment started",
        "card_payment_succeeded" => "Payment succeeded",
        "card_payment_captured" => "Payment captured",
        "card_payment_settled" => "Payment settled",
        "card_payment_refunded" => "Payment refunded",
        "card_payment_failed" => "Payment failed",
        "card_payment_expired" => "Payment expired",
        other => other,
    }
}

/// What a state means for whoever waits for the notification.
pub(crate) fn state(state: State) -> &'static str {
    match state {
        State::Recorded => "Stored, and not handed on yet.",
        State::Delivered => "Handed on to its destination.",
        State::Repeat => {
            "The same event came before under another key. This copy is kept and not handed on."
        }
        State::Dead => "Could not be handed on. It is kept until someone replays or discards it.",
        State::Held => {
            "Genuine, but not to be acted on by itself. It is kept until someone replays or \
             discards it."
        }
        State::Discarded => "Ended by a person. It will not be handed on.",
    }
}

/// Why a notification is held, for a person; `None` for any other reason.
pub(crate) fn held(reason: &str) -> Option<&'static str> {
    let is = |known: HeldReason| known.as_str() == reason;
    if is(HeldReason::Unreadable) {
        Some("Its identifier or its date could not be read.")
    } else if is(HeldReason::Conflict) {
        Some("Another notification has the same identifier and different content.")
    } else if is(HeldReason::Stale) {
        Some("Its date is too old, or too far ahead, to be accepted without a check.")
    } else {
        None
    }
}

/// An instant as the clock on the wall shows it.
pub(crate) fn local_time(at: Timestamp) -> String {
    match jiff::Timestamp::from_millisecond(at.as_millis()) {
        Ok(instant) => instant
            .to_zoned_datetime(jiff::tz::TimeZone::system())
            .strftime("%Y-%m-%d %H:%M:%S")
            .to_string(),
        Err(_) => at.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_events_are_words_and_unknown_ones_stay_as_they_are() {
        for (event_type, words) in [
            ("notification", "HMRC notification"),
            ("card_payment_captured", "Payment captured"),
            ("card_payment_expired", "Payment expired"),
            ("card_payment_disputed", "card_payment_disputed"),
            ("unknown", "unknown"),
            ("CARD_PAYMENT_CAPTURED", "CARD_PAYMENT_CAPTURED"),
            ("<script>", "<script>"),
        ] {
            assert_eq!(event(event_type), words);
        }
    }

    #[test]
    fn every_state_and_every_reason_to_hold_is_explained_in_a_sentence() {
        for known in State::ALL {
            assert!(state(known).ends_with('.'), "{known}");
        }
        for reason in [
            HeldReason::Unreadable,
            HeldReason::Conflict,
            HeldReason::Stale,
        ] {
            assert!(
                held(reason.as_str()).is_some_and(|words| words.ends_with('.')),
                "{reason}"
            );
        }
        assert_eq!(held("budget spent"), None);
    }
}
