//! What one simulated history is made of: a seed and a few numbers, which one line holds.

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
    /// The inbox refuses a call, and changes nothing.
    Refused = "refused",
    /// The inbox makes the change, and its reply is lost.
    LostReply = "lost-reply",
    /// The inbox answers late, before or after the change, and the caller has given up.
    Late = "late",
    /// The inbox makes the change after the caller was told that it failed.
    Delayed = "delayed",
    /// The inbox gets a repeatable call twice, and the reply is the second one's.
    Repeated = "repeated",
    /// The index lists rows that are no longer due, or not those that are.
    StaleIndex = "stale-index",
    /// A process ends in the middle of a call.
    Crash = "crash",
    /// A process stands still for minutes or hours in the middle of a call.
    Freeze = "freeze",
    /// A process's clock is set ahead or back, up to a day.
    ClockJump = "clock-jump",
    /// The stream never brings a record.
    StreamLoss = "stream-loss",
    /// The stream brings a batch twice, or again after a success.
    StreamRepeat = "stream-repeat",
    /// A shard of the stream is hours behind the other.
    StreamDelay = "stream-delay",
    /// The destination fails.
    DestinationDown = "destination-down",
    /// The destination takes the event, and its answer is lost.
    DestinationLost = "destination-lost",
    /// The destination refuses the event for good.
    DestinationRefuses = "destination-refuses",
    /// The destination takes longer than an attempt may.
    DestinationSlow = "destination-slow",
    /// The code of a destination panics.
    DestinationPanics = "destination-panics",
    /// A request of the sender is lost on its way.
    RequestLost = "request-lost",
    /// The answer to the sender is lost on its way.
    AnswerLost = "answer-lost",
    /// A request of the sender arrives twice.
    RequestRepeated = "request-repeated",
    /// The sender's API fails, is slow, or its answer is lost.
    ApiFails = "api-fails",
    /// A person replays and discards rows.
    Person = "person",
    /// A stranger posts what he made up, and again what he saw.
    Stranger = "stranger",
    /// A sender's secret is replaced.
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

/// The most notifications of HMRC that are created at different times.
pub(crate) const BURST: u64 = 4;

/// The numbers of one history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HistoryPlan {
    pub(crate) seed: u64,
    /// Payments, each with one to four webhooks.
    pub(crate) payments: u64,
    /// HMRC's notifications. More than [`BURST`] are created within one second.
    pub(crate) boxed: u64,
    /// Messages that repeat an event, or an id with another content, in thousandths.
    pub(crate) twins: u64,
    /// Messages that their sender never pushes, in thousandths.
    pub(crate) unpushed: u64,
    /// How long faults last, in seconds.
    pub(crate) span: u64,
    /// How many calls in a thousand meet a fault.
    pub(crate) rate: u64,
    pub(crate) receivers: u64,
    /// For how long the destination is down, in seconds.
    pub(crate) outage: u64,
    /// The acceptance window in days; rows are kept eight days longer.
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
        // Some histories have one kind of fault, some many, a few none.
        let share = [0, 60, 150, 300, 600, 1000][usize::try_from(random.below(6)).unwrap_or(0)];
        for &kind in FaultKind::ALL {
            if random.is(share) {
                faults = faults.with(kind);
            }
        }
        Self {
            seed,
            payments: random.below(3),
            // A burst now and then, so that a batch of the stream has more than one record.
            boxed: if random.is(60) {
                random.between(8, 20)
            } else {
                random.below(4)
            },
            twins: [0, 0, 200, 500][usize::try_from(random.below(4)).unwrap_or(0)],
            unpushed: [0, 0, 200, 600][usize::try_from(random.below(4)).unwrap_or(0)],
            span,
            rate: [0, 20, 60, 150, 300][usize::try_from(random.below(5)).unwrap_or(0)],
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

    /// Plans that are smaller in one way each, the greatest steps first.
    pub(crate) fn smaller(&self) -> Vec<Self> {
        let mut plans = Vec::new();
        let mut numbers = |of: fn(&mut Self) -> &mut u64, least: u64| {
            let now = *of(&mut self.clone());
            for next in [least, now / 2, now.saturating_sub(1)] {
                if next < now && next >= least {
                    let mut plan = self.clone();
                    *of(&mut plan) = next;
                    plans.push(plan);
                }
            }
        };
        numbers(|plan| &mut plan.payments, 0);
        numbers(|plan| &mut plan.boxed, 0);
        numbers(|plan| &mut plan.twins, 0);
        numbers(|plan| &mut plan.unpushed, 0);
        numbers(|plan| &mut plan.receivers, 1);
        numbers(|plan| &mut plan.outage, 0);
        numbers(|plan| &mut plan.span, 60);
        numbers(|plan| &mut plan.rate, 0);
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
        let Self {
            seed,
            payments,
            boxed,
            twins,
            unpushed,
            span,
            rate,
            receivers,
            outage,
            window,
            faults,
        } = self;
        write!(
            f,
            "seed={seed} payments={payments} boxed={boxed} twins={twins} unpushed={unpushed} \
             span={span} rate={rate} receivers={receivers} outage={outage} window={window} faults="
        )?;
        let faults: Vec<&str> = faults.iter().map(FaultKind::as_str).collect();
        f.write_str(&faults.join(","))
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
            let field = match name {
                "seed" => &mut plan.seed,
                "payments" => &mut plan.payments,
                "boxed" => &mut plan.boxed,
                "twins" => &mut plan.twins,
                "unpushed" => &mut plan.unpushed,
                "span" => &mut plan.span,
                "rate" => &mut plan.rate,
                "receivers" => &mut plan.receivers,
                "outage" => &mut plan.outage,
                "window" => &mut plan.window,
                "faults" => {
                    for word in value.split(',').filter(|word| !word.is_empty()) {
                        let mut kinds = FaultKind::ALL.iter();
                        let kind = kinds.find(|kind| kind.as_str() == word);
                        let kind = kind.ok_or(format!("unknown fault `{word}`"))?;
                        plan.faults = plan.faults.with(*kind);
                    }
                    continue;
                }
                _ => return Err(format!("unknown name `{name}`")),
            };
            *field = value
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
    fn a_plan_reads_back_from_its_line() {
        for number in 0..200 {
            let plan = HistoryPlan::of(7, number);
            assert_eq!(plan.to_string().parse(), Ok(plan));
        }
        assert!("seed=1 faults=nonsense".parse::<HistoryPlan>().is_err());
        assert!("seed".parse::<HistoryPlan>().is_err());
    }

    #[test]
    fn smaller_plans_are_smaller_and_end() {
        let mut plan = HistoryPlan::of(7, 3);
        let mut steps = 0;
        while let Some(smaller) = plan.smaller().into_iter().next() {
            assert_ne!(smaller, plan);
            plan = smaller;
            steps += 1;
        }
        assert!(steps < 100, "{steps}");
    }
}
