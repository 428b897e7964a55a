//! The words that people read for stored names.

use jiff::tz::{Offset, TimeZone};

use pillarbox::{
    config::DestinationConfig,
    domain::{HeldReason, State, Timestamp},
    inbox::Row,
    telemetry::visible,
};

/// The event in words, such as "Payment captured". An unknown type is shown unchanged.
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

/// The meaning of a state, for an operator.
pub(crate) fn state(state: State) -> &'static str {
    match state {
        State::Recorded => "Stored, and not delivered yet.",
        State::Delivered => "Delivered to its destination.",
        State::Repeat => {
            "The same event was received before under another key. This copy is kept and not \
             delivered."
        }
        State::Dead => "Could not be delivered. It is kept until someone replays or discards it.",
        State::Held => {
            "Genuine, but not delivered automatically. It is kept until someone replays or \
             discards it."
        }
        State::Discarded => "Ended by a person. No further attempt is made.",
    }
}

/// Why a notification is held, for a person; `None` for any other reason.
pub(crate) fn held(reason: &str) -> Option<&'static str> {
    let is_reason = |known: HeldReason| known.as_str() == reason;
    if is_reason(HeldReason::Unreadable) {
        Some("Its identifier or its date could not be read.")
    } else if is_reason(HeldReason::Conflict) {
        Some("Another notification has the same identifier and different content.")
    } else if is_reason(HeldReason::Stale) {
        Some("Its date is too old, or too far ahead, to be accepted without a check.")
    } else if is_reason(HeldReason::Unsigned) {
        Some("It was requested from its sender, which signs only what it posts.")
    } else if is_reason(HeldReason::Imported) {
        Some("It was open in the inbox that it was imported from, which may deliver it, too.")
    } else {
        None
    }
}

/// Why a request was refused, for a person.
pub(crate) fn refusal(reason: &str) -> &'static str {
    match reason {
        "missing" => "There was no signature header.",
        "several" => "There was more than one signature header.",
        "malformed" => "The signature was not in its sender's format.",
        "wrong_length" => "The signature had too few or too many digits.",
        "wrong_case" => "The signature was in upper-case digits.",
        "wrong" => "No active secret of this source made the signature over these bytes.",
        "expired" => "The signature was made too long ago, or too far ahead of this clock.",
        "no_secret" => "The source has no secret that can be used.",
        "too_large" => "The body was longer than 8 MiB.",
        "slow" => "The body was not complete in time.",
        "broken_off" => "The request could not be read to its end.",
        "inbox" => "The body was genuine, but could not be stored.",
        _ => "The request was refused.",
    }
}

/// A number with thousands separators: `10,000`.
pub(crate) fn number(number: usize) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (nth, digit) in digits.chars().enumerate() {
        if nth > 0 && (digits.len() - nth).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// The state of a row in a list, with its reason or its next attempt: "retrying (6), next
/// 14:05, https 500".
pub(crate) fn row_state(row: &Row, zone: &ListZone) -> String {
    match (&row.last_error, &row.reason) {
        (Some(error), _) if row.state == State::Recorded && row.attempts > 0 => {
            let next = row
                .due_at
                .map_or(String::new(), |at| format!(", next {}", zone.time(at)));
            let error = error.replace(": status ", " ");
            format!("retrying ({}){next}, {}", row.attempts, visible(&error))
        }
        (_, Some(reason)) => format!("{} ({})", row.state, visible(reason)),
        (_, None) => row.state.to_string(),
    }
}

/// Where events go, without anything of a URL that might be confidential.
pub(crate) fn destination(kind: &DestinationConfig) -> String {
    match kind {
        DestinationConfig::Log => "log, on standard output".to_owned(),
        DestinationConfig::Https(https) => {
            let as_sent = if kind.takes_signed_only() {
                ", as sent"
            } else {
                ""
            };
            format!(
                "https, {}{as_sent}",
                https.url.origin().ascii_serialization()
            )
        }
        DestinationConfig::Sqs(queue) => format!("sqs, {}", queue.url()),
        DestinationConfig::EventBridge(bus) => format!("eventbridge, {}", bus.as_str()),
    }
}

/// An instant in this machine's time zone, which is named.
pub(crate) fn local_time(at: Timestamp) -> String {
    in_zone(at, TimeZone::system(), "%Y-%m-%d %H:%M:%S %Z")
}

/// An instant in UTC, as a front of Lambda writes it: `25/Nov/2026:03:00:00 +0000`.
pub(crate) fn request_time(at: Timestamp) -> String {
    in_zone(at, TimeZone::UTC, "%d/%b/%Y:%H:%M:%S %z")
}

/// The time zone of a list: this machine's, with today's offset for all times, so that they can be
/// compared across a change of clocks, and the head of the list names one zone.
pub(crate) struct ListZone {
    zone: TimeZone,
    now: Timestamp,
}

impl ListZone {
    pub(crate) fn at(now: Timestamp, system: &TimeZone) -> Self {
        let offset = jiff::Timestamp::from_millisecond(now.as_millis())
            .map_or(Offset::UTC, |instant| system.to_offset(instant));
        Self {
            zone: TimeZone::fixed(offset),
            now,
        }
    }

    /// `UTC`, or the difference from it.
    pub(crate) fn name(&self) -> String {
        match in_zone(self.now, self.zone.clone(), "%:z").as_str() {
            "+00:00" => "UTC".to_owned(),
            offset => format!("UTC{offset}"),
        }
    }

    /// The day and the time, as `02 Mar 10:15`.
    pub(crate) fn day_and_time(&self, at: Timestamp) -> String {
        in_zone(at, self.zone.clone(), "%d %b %H:%M")
    }

    /// The time of an instant today, or its day and time.
    pub(crate) fn time(&self, at: Timestamp) -> String {
        let day = |at| in_zone(at, self.zone.clone(), "%F");
        if day(at) == day(self.now) {
            in_zone(at, self.zone.clone(), "%H:%M")
        } else {
            self.day_and_time(at)
        }
    }
}

fn in_zone(at: Timestamp, zone: TimeZone, format: &str) -> String {
    match jiff::Timestamp::from_millisecond(at.as_millis()) {
        Ok(instant) => instant.to_zoned_datetime(zone).strftime(format).to_string(),
        Err(_) => at.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_events_have_labels_and_unknown_ones_stay_unchanged() {
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
        for reason in HeldReason::ALL {
            assert!(
                held(reason.as_str()).is_some_and(|words| words.ends_with('.')),
                "{reason}"
            );
        }
        assert_eq!(held("budget spent"), None);
    }

    #[test]
    fn a_number_has_thousands_separators() {
        for (given, expected) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(number(given), expected);
        }
    }

    #[test]
    fn every_time_names_its_zone() {
        let named = local_time(Timestamp::parse("2026-03-02T10:15:30Z").unwrap());
        let zone = named.rsplit(' ').next().unwrap();
        assert!(named.len() > 20 && zone.parse::<u8>().is_err(), "{named}");
    }

    #[test]
    fn a_list_has_one_zone_on_both_sides_of_a_change_of_clocks() {
        let at = |text| Timestamp::parse(text).unwrap();
        let london = TimeZone::posix("GMT0BST,M3.5.0/1,M10.5.0").unwrap();
        let (winter, summer) = (at("2026-03-02T10:15:00Z"), at("2026-07-02T10:15:00Z"));
        for (now, name, winter_time, summer_time) in [
            (winter, "UTC", "02 Mar 10:15", "02 Jul 10:15"),
            (summer, "UTC+01:00", "02 Mar 11:15", "02 Jul 11:15"),
        ] {
            let zone = ListZone::at(now, &london);
            assert_eq!(zone.name(), name);
            assert_eq!(zone.day_and_time(winter), winter_time);
            assert_eq!(zone.day_and_time(summer), summer_time);
        }
        let zone = ListZone::at(winter, &london);
        assert_eq!(zone.time(at("2026-03-02T14:05:00Z")), "14:05");
        assert_eq!(zone.time(at("2026-03-03T00:05:00Z")), "03 Mar 00:05");
    }
}
