//! How long rows are kept and how old a notification may be: `retention_days` and
//! `acceptance_days`.

use std::time::Duration;

use super::document_reader::TableReader;
use crate::senders::Acceptance;

/// The most days either window may have: ten years.
const MOST: u32 = 3650;
/// HMRC keeps a notification this long, and may push it on the last day.
const HMRC_KEEPS: u32 = 30;
/// How much longer a row has to last than its repeats are accepted.
const MARGIN: u32 = 7;

/// Both windows, which only make sense together.
#[derive(Clone, Copy, Debug)]
pub(super) struct TimeWindows {
    retention: u32,
    acceptance: u32,
}

impl Default for TimeWindows {
    fn default() -> Self {
        Self {
            retention: 90,
            acceptance: 60,
        }
    }
}

impl TimeWindows {
    /// How long finished rows are kept.
    pub(super) fn retention(self) -> Duration {
        days(self.retention)
    }

    /// How old a notification may be.
    pub(super) fn acceptance(self) -> Acceptance {
        Acceptance(days(self.acceptance))
    }

    fn fit(self) -> bool {
        self.acceptance > HMRC_KEEPS && self.acceptance + MARGIN < self.retention
    }
}

/// Reads both windows.
pub(super) fn read(root: &mut TableReader<'_, '_>) -> Option<TimeWindows> {
    let default = TimeWindows::default();
    let (retention, acceptance) = (root.take("retention_days"), root.take("acceptance_days"));
    let windows = TimeWindows {
        retention: retention
            .as_ref()
            .map_or(Some(default.retention), |item| item.count(MOST))?,
        acceptance: acceptance
            .as_ref()
            .map_or(Some(default.acceptance), |item| item.count(MOST))?,
    };
    if let (false, Some(item)) = (windows.fit(), acceptance.or(retention)) {
        item.complain(misfit(windows));
    }
    Some(windows)
}

fn misfit(
    TimeWindows {
        retention,
        acceptance,
    }: TimeWindows,
) -> String {
    format!(
        "does not fit: acceptance_days ({acceptance}) must be more than {HMRC_KEEPS}, since HMRC \
         may push what is that \
         old, and {MARGIN} days more must be less than retention_days ({retention}), so that a \
          row outlasts its repeats"
    )
}

fn days(count: u32) -> Duration {
    Duration::from_secs(u64::from(count) * 24 * 60 * 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acceptance_lies_between_what_hmrc_keeps_and_what_we_keep() {
        for (retention, acceptance, fit) in [
            (90, 60, true),
            (90, 31, true),
            (90, 30, false),
            (90, 82, true),
            (90, 83, false),
            (38, 31, false),
        ] {
            assert_eq!(
                TimeWindows {
                    retention,
                    acceptance
                }
                .fit(),
                fit,
                "{retention} {acceptance}"
            );
        }
    }
}
