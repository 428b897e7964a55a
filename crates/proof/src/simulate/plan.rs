//! The plan of one simulated history: a seed and a few numbers, which fit in one line.

use std::{fmt, str::FromStr, time::Duration};

use super::random::SplitMix64;

macro_rules! faults {
    ($($(#[doc = $text:literal])+ $name:ident = $word:literal,)+) => {
        /// A kind of fault.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) enum FaultKind {
            $($(#[doc = $text])+ $name,)+
        }

        impl FaultKind {
            /// Every kind.
            pub(crate) const ALL: &[Self] = &[$(Self::$name,)+];

            /// The name in a line.
            pub(crate) fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)+
                }
            }
        }
    };
}

faults! {
    /// The inbox refuses a call without a change.
    Refused = "refused",
    /// The inbox makes the change, and the reply is lost.
    LostReply = "lost-reply",
    /// The inbox replies late, before or after the change, when the caller may have given up.
    Late = "late",
    /// The inbox makes the change after the caller has received an error.
    Delayed = "delayed",
    /// The inbox receives a repeatable call twice, and the reply is to the second.
    Repeated = "repeated",
    /// The index lists rows that are not due, or omits due rows.
    StaleIndex = "stale-index",
    /// A process crashes during a call.
    Crash = "crash",
    /// A process is frozen for minutes or hours during a call.
    Freeze = "freeze",
    /// A process's clock jumps by up to a day, forward or back.
    ClockJump = "clock-jump",
    /// The stream loses a record.
    StreamLoss = "stream-loss",
    /// The stream delivers a batch twice, even after a success.
    StreamRepeat = "stream-repeat",
    /// One shard of the stream is delayed by hours.
    StreamDelay = "stream-delay",
    /// The destination fails.
    DestinationDown = "destination-down",
    /// The destination accepts the event, and its answer is lost.
    DestinationLost = "destination-lost",
    /// The destination refuses the event permanently.
    DestinationRefuses = "destination-refuses",
    /// The destination takes longer than the time limit of an attempt.
    DestinationSlow = "destination-slow",
    /// The code of a destination panics.
    DestinationPanics = "destination-panics",
    /// A sender's request is lost.
    RequestLost = "request-lost",
    /// The answer to a sender is lost.
    AnswerLost = "answer-lost",
    /// A sender's request arrives twice.
    RequestRepeated = "request-repeated",
    /// The sender's API fails or is slow, or its response is lost.
    ApiFails = "api-fails",
    /// A person replays and discards rows.
    Person = "person",
    /// An attacker posts forgeries and captured requests.
    Stranger = "stranger",
    /// A sender's secret is rotated.
    Rotation = "rotation",
}

/// The kinds of fault of a history.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct FaultSet(u32);

impl FaultSet {
    pub(crate) fn has(self, kind: FaultKind) -> bool {
        self.0 & (1 << kind as u32) != 0
    }

    pub(crate) fn with(self, kind: FaultKind) -> Self {
        Self(self.0 | 1 << kind as u32)
    }

    pub(crate) fn without(self, kind: FaultKind) -> Self {
        Self(self.0 & !(1 << kind as u32))
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = FaultKind> {
        FaultKind::ALL
            .iter()
            .copied()
            .filter(move |kind| self.has(*kind))
    }
}

/// The largest number of HMRC's notifications that are created at different times.
pub(crate) const BURST: u64 = 4;

/// The numbers of one history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HistoryPlan {
    pub(crate) seed: u64,
    /// Payments, each with one to four webhooks.
    pub(crate) payments: u64,
    /// HMRC's notifications. More than [`BURST`] are created within one second.
    pub(crate) boxed: u64,
    /// Payment events that are also sent under a second id, in thousandths.
    pub(crate) twins: u64,
    /// Messages that their sender never pushes, in thousandths.
    pub(crate) unpushed: u64,
    /// The duration of the faults, in seconds.
    pub(crate) span: u64,
    /// Calls with a fault, in thousandths.
    pub(crate) rate: u64,
    pub(crate) receivers: u64,
    /// The time from the start for which the destination is down, in seconds.
    pub(crate) outage: u64,
    /// The acceptance window in days. The retention is eight days longer.
    pub(crate) window: u64,
    pub(crate) faults: FaultSet,
}

impl HistoryPlan {
    /// The history number `number` of a run.
    pub(crate) fn of(run: u64, number: u64) -> Self {
        let seed = SplitMix64::of(run, number).next();
        let mut random = SplitMix64::of(seed, 1);
        let minute = 60;
        let day = 24 * 60 * minute;
        let span = match random.below(100) {
            0..=54 => random.between(minute, 20 * minute),
            55..=84 => random.between(20 * minute, 7 * 60 * minute),
            85..=95 => random.between(day / 4, 2 * day),
            _ => random.between(3 * day, 5 * day),
        };
        let outage = match random.below(100) {
            _ if span >= 3 * day && random.is(250) => span,
            0..15 => random.between(minute, span),
            _ => 0,
        };
        let mut faults = FaultSet::default();
        // A history has no, some or all kinds of fault.
        let share = random.pick(&[0, 60, 150, 300, 600, 1000]);
        for &kind in FaultKind::ALL {
            if random.is(share) {
                faults = faults.with(kind);
            }
        }
        Self {
            seed,
            payments: random.below(3),
            // Sometimes a burst, so that a batch of the stream has several records.
            boxed: if random.is(60) {
                random.between(8, 20)
            } else {
                random.below(4)
            },
            twins: random.pick(&[0, 0, 200, 500]),
            unpushed: random.pick(&[0, 0, 200, 600]),
            span,
            rate: random.pick(&[0, 20, 60, 150, 300]),
            receivers: random.between(1, 3),
            outage,
            window: if random.is(100) { 2 } else { 60 },
            faults,
        }
    }

    pub(crate) fn span(&self) -> Duration {
        Duration::from_secs(self.span)
    }

    pub(crate) fn acceptance(&self) -> Duration {
        Duration::from_secs(self.window * 24 * 60 * 60)
    }

    pub(crate) fn retention(&self) -> Duration {
        Duration::from_secs((self.window + 8) * 24 * 60 * 60)
    }

    /// The numbers of a line, each with its name and the smallest value to which it is shrunk.
    fn numbers(&mut self) -> [(&'static str, Option<u64>, &mut u64); 10] {
        [
            ("seed", None, &mut self.seed),
            ("payments", Some(0), &mut self.payments),
            ("boxed", Some(0), &mut self.boxed),
            ("twins", Some(0), &mut self.twins),
            ("unpushed", Some(0), &mut self.unpushed),
            ("span", Some(60), &mut self.span),
            ("rate", Some(0), &mut self.rate),
            ("receivers", Some(1), &mut self.receivers),
            ("outage", Some(0), &mut self.outage),
            ("window", None, &mut self.window),
        ]
    }

    /// Plans that are each smaller in one number or kind of fault, the largest steps first.
    pub(crate) fn smaller_plans(&self) -> Vec<Self> {
        let mut plans = Vec::new();
        for (index, (_, least, now)) in self.clone().numbers().into_iter().enumerate() {
            let least = least.unwrap_or(*now);
            for next in [least, *now / 2, now.saturating_sub(1)] {
                if (least..*now).contains(&next) {
                    let mut plan = self.clone();
                    *plan.numbers()[index].2 = next;
                    plans.push(plan);
                }
            }
        }
        for kind in self.faults.iter() {
            plans.push(Self {
                faults: self.faults.without(kind),
                ..self.clone()
            });
        }
        plans
    }
}

impl fmt::Display for HistoryPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, _, number) in self.clone().numbers() {
            write!(f, "{name}={number} ")?;
        }
        let faults: Vec<&str> = self.faults.iter().map(FaultKind::as_str).collect();
        write!(f, "faults={}", faults.join(","))
    }
}

impl FromStr for HistoryPlan {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let mut plan = Self {
            seed: 0,
            payments: 0,
            boxed: 0,
            twins: 0,
            unpushed: 0,
            span: 60,
            rate: 0,
            receivers: 1,
            outage: 0,
            window: 60,
            faults: FaultSet::default(),
        };
        for word in line.split_whitespace() {
            let (name, value) = word
                .split_once('=')
                .ok_or(format!("`{word}` is not NAME=VALUE"))?;
            if name == "faults" {
                for word in value.split(',').filter(|word| !word.is_empty()) {
                    let mut kinds = FaultKind::ALL.iter();
                    let kind = kinds.find(|kind| kind.as_str() == word);
                    let kind = kind.ok_or(format!("unknown fault `{word}`"))?;
                    plan.faults = plan.faults.with(*kind);
                }
                continue;
            }
            let mut numbers = plan.numbers().into_iter();
            let number = numbers.find(|(known, ..)| *known == name);
            let (.., number) = number.ok_or(format!("unknown name `{name}`"))?;
            *number = value
                .parse()
                .map_err(|_| format!("`{word}` needs a number"))?;
        }
        Ok(plan)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_parsed_from_its_line() {
        for number in 0..200 {
            let plan = HistoryPlan::of(7, number);
            assert_eq!(plan.to_string().parse(), Ok(plan));
        }
        assert!("seed=1 faults=nonsense".parse::<HistoryPlan>().is_err());
        assert!("seed".parse::<HistoryPlan>().is_err());
    }

    #[test]
    fn shrinking_a_plan_ends() {
        let mut plan = HistoryPlan::of(7, 3);
        let mut steps = 0;
        while let Some(smaller) = plan.smaller_plans().into_iter().next() {
            assert_ne!(smaller, plan);
            plan = smaller;
            steps += 1;
        }
        assert!(steps < 100, "{steps}");
    }
}
