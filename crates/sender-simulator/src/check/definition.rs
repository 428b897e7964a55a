//! The definition of a check: its name, why it matters, who causes it, and how to fix it. Each
//! module of probes defines the checks that it makes.

use super::super::Sender;

/// A check. Its id is stable, because people search for it and scripts compare it.
#[derive(Debug)]
pub struct Check {
    /// The name in kebab case, which has a row in `docs/check.md`.
    pub id: &'static str,
    /// The behaviour of a correct receiver.
    pub title: &'static str,
    pub(super) facts: CheckFacts,
    pub(super) fix: &'static str,
}

/// The sender that a check applies to, with its facts.
#[derive(Debug)]
pub(super) enum CheckFacts {
    /// Anyone who knows the URL, with either sender.
    Anyone(SenderFact),
    /// Only HMRC.
    Hmrc(SenderFact),
    /// Only GOV.UK Pay.
    Pay(SenderFact),
    /// Both senders, each with a different fact.
    Each { hmrc: SenderFact, pay: SenderFact },
}

/// Why a check matters, and the source.
#[derive(Debug)]
pub(super) struct SenderFact {
    pub(super) why: &'static str,
    pub(super) source: &'static str,
}

impl Check {
    /// Who causes it, and the fact; `None` if the check does not apply to this sender.
    pub(super) fn of(&self, sender: Sender) -> Option<(&'static str, &SenderFact)> {
        match (&self.facts, sender) {
            (CheckFacts::Anyone(fact), _) => Some(("anyone who knows the URL", fact)),
            (CheckFacts::Hmrc(fact) | CheckFacts::Each { hmrc: fact, .. }, Sender::Hmrc) => {
                Some(("HMRC", fact))
            }
            (CheckFacts::Pay(fact) | CheckFacts::Each { pay: fact, .. }, Sender::GovukPay) => {
                Some(("GOV.UK Pay", fact))
            }
            (CheckFacts::Hmrc(_), Sender::GovukPay) | (CheckFacts::Pay(_), Sender::Hmrc) => None,
        }
    }
}
