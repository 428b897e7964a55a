//! Bytes that a sender's API returned: authentic by TLS and token, and not signed.

use bytes::Bytes;

use super::SenderKind;

/// Bytes that a sender's API returned. Only the pull clients make one.
///
/// ```compile_fail,E0451
/// use pillarbox::senders::Pulled;
/// let forged = Pulled { kind: todo!(), body: "{}".into() };
/// ```
///
/// ```compile_fail,E0624
/// use pillarbox::senders::Pulled;
/// let forged = Pulled::listed("{}".into());
/// ```
#[derive(Clone, Debug)]
pub struct Pulled {
    kind: SenderKind,
    body: Bytes,
}

impl Pulled {
    /// For the constructors in the senders' folders, each of which names what was requested.
    pub(super) fn new(kind: SenderKind, body: Bytes) -> Self {
        Self { kind, body }
    }

    /// Which sender returned them.
    pub fn kind(&self) -> SenderKind {
        self.kind
    }

    /// The bytes exactly as received.
    pub fn body(&self) -> &Bytes {
        &self.body
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        domain::{HeldReason, Origin, SourceName},
        senders::{
            Acceptance, Entry,
            example::{NOW, hmrc, hmrc_pulled, observed},
            read,
        },
    };

    fn read_as(pulled: Pulled) -> Entry {
        read(
            &SourceName::new("s").unwrap(),
            pulled,
            NOW,
            Acceptance(Duration::from_secs(60 * 24 * 60 * 60)),
        )
    }

    #[test]
    fn a_notification_is_the_same_whether_it_was_pushed_or_pulled() {
        let (pushed, pulled) = (hmrc("n1", "[1]"), hmrc_pulled("n1", "[1]"));
        assert_eq!(
            (&pulled.key, pulled.content_digest),
            (&pushed.key, pushed.content_digest)
        );
        assert_ne!(
            pulled.digest, pushed.digest,
            "the bytes differ, because the status in a pull is FAILED"
        );
        assert_eq!(
            (pulled.origin, pulled.signature, pulled.key_label),
            (Origin::Pull, None, None)
        );
        assert_eq!((pulled.held, pulled.event_at), (None, pushed.event_at));
    }

    #[test]
    fn an_unreadable_element_is_held_like_an_unreadable_push() {
        for element in [
            "42",
            "null",
            "{}",
            r#"{"notificationId":"n1"}"#,
            r#"{"notificationId":"n1","notificationId":"n1"}"#,
        ] {
            let entry = read_as(Pulled::listed(element.into()));
            assert_eq!(entry.held, Some(HeldReason::Unreadable), "{element}");
            assert!(
                entry.key.as_str().starts_with("s:sha256-") && entry.body == element,
                "{element}"
            );
        }
    }

    #[test]
    fn an_observation_is_never_stale_however_old_the_payment_is() {
        let entry = observed("7k2m9vq0d4r6t8b1n3p5h0j2e4");
        assert_eq!(
            entry.key.as_str(),
            "pay:observed-7k2m9vq0d4r6t8b1n3p5h0j2e4-976a381d26e28147"
        );
        assert_eq!(
            (entry.held, entry.event_at, entry.origin),
            (None, Some(NOW), Origin::Pull)
        );
        assert_eq!(
            (entry.event_type.as_str(), entry.subject.as_deref()),
            ("observed", Some("7k2m9vq0d4r6t8b1n3p5h0j2e4"))
        );
    }

    #[test]
    fn a_response_without_a_payment_is_held_as_unreadable() {
        let entry = read_as(Pulled::payment(r#"{"code":"P0200"}"#.into()));
        assert_eq!(entry.held, Some(HeldReason::Unreadable));
    }
}
