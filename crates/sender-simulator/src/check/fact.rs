//! What can be found, in words that never change with the receiver: a name, why it matters, whose
//! doing it is, and how to put it right. Each family of probes keeps its own beside them.

use super::super::Sender;

/// One thing that is checked. Its id is stable: people search for it, and scripts compare it.
#[derive(Debug)]
pub struct Check {
    /// A word in kebab case, which has a row in `docs/check.md`.
    pub id: &'static str,
    /// What a sound receiver does.
    pub title: &'static str,
    pub(super) facts: Facts,
    pub(super) fix: &'static str,
}

/// Whom a check is about.
#[derive(Debug)]
pub(super) enum Facts {
    /// Anybody who knows the URL, whichever sender it is for.
    Strangers(Fact),
    /// HMRC alone.
    Hmrc(Fact),
    /// GOV.UK Pay alone.
    Pay(Fact),
    /// Both senders, each for reasons of its own.
    Each { hmrc: Fact, pay: Fact },
}

/// Why something matters, and where that can be read.
#[derive(Debug)]
pub(super) struct Fact {
    pub(super) why: &'static str,
    pub(super) source: &'static str,
}

impl Check {
    /// Who does what is checked, and the fact; `None` where the check is not about this sender.
    pub(super) fn of(&self, sender: Sender) -> Option<(&'static str, &Fact)> {
        match (&self.facts, sender) {
            (Facts::Strangers(fact), _) => Some(("anybody who knows the URL", fact)),
            (Facts::Hmrc(fact) | Facts::Each { hmrc: fact, .. }, Sender::Hmrc) => {
                Some(("HMRC", fact))
            }
            (Facts::Pay(fact) | Facts::Each { pay: fact, .. }, Sender::GovukPay) => {
                Some(("GOV.UK Pay", fact))
            }
            (Facts::Hmrc(_), Sender::GovukPay) | (Facts::Pay(_), Sender::Hmrc) => None,
        }
    }
}
