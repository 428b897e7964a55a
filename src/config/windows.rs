//! The retention of rows and the acceptance window of notifications: `retention_days` and
//! `acceptance_days`.

use std::time::Duration;

use super::document_reader::TableReader;
use crate::senders::Acceptance;

/// The maximum of both windows: ten years.
const MAX_DAYS: u32 = 3650;
/// HMRC retains a notification for 30 days, and may push it on the last of them.
const HMRC_RETENTION_DAYS: u32 = 30;
/// The days by which retention must exceed acceptance.
const MARGIN_DAYS: u32 = 7;

/// Both windows, which are valid only in combination.
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

    /// The nearest valid windows: retention stays, because it decides how long data is kept, and
    /// acceptance changes. Older notifications are then held, and not lost.
    fn fitted(self) -> Self {
        let most = self.retention.saturating_sub(MARGIN_DAYS + 1);
        Self {
            acceptance: self.acceptance.max(HMRC_RETENTION_DAYS + 1).min(most),
            ..self
        }
    }

    fn is_valid(self) -> bool {
        self.acceptance > HMRC_RETENTION_DAYS && self.acceptance + MARGIN_DAYS < self.retention
    }
}

/// Reads both windows. After an error, they are the nearest ones that are safe.
pub(super) fn read(root: &mut TableReader<'_, '_>) -> TimeWindows {
    let default = TimeWindows::default();
    let (retention, acceptance) = (root.take("retention_days"), root.take("acceptance_days"));
    let windows = TimeWindows {
        retention: retention
            .as_ref()
            .and_then(|item| item.count(MAX_DAYS))
            .unwrap_or(default.retention),
        acceptance: acceptance
            .as_ref()
            .and_then(|item| item.count(MAX_DAYS))
            .unwrap_or(default.acceptance),
    };
    if let (false, Some(item)) = (windows.is_valid(), acceptance.or(retention)) {
        item.report(invalid_windows(windows));
    }
    windows.fitted()
}

fn invalid_windows(
    TimeWindows {
        retention,
        acceptance,
    }: TimeWindows,
) -> String {
    format!(
        "is not valid: acceptance_days ({acceptance}) must be more than {HMRC_RETENTION_DAYS}, \
         because HMRC may push notifications of that age, and {MARGIN_DAYS} days more must be less \
         than retention_days ({retention}), so that a row outlasts its repeats"
    )
}

fn days(count: u32) -> Duration {
    Duration::from_secs(u64::from(count) * 24 * 60 * 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_that_do_not_fit_keep_their_retention_and_move_their_acceptance() {
        for (retention, acceptance, fitted) in [
            (90, 60, 60),
            (90, 85, 82),
            (90, 20, 31),
            (60, 60, 52),
            (39, 60, 31),
            (30, 60, 22),
            (5, 60, 0),
        ] {
            let windows = TimeWindows {
                retention,
                acceptance,
            };
            let moved = windows.fitted();
            assert_eq!(
                (moved.retention, moved.acceptance),
                (retention, fitted),
                "{windows:?}"
            );
        }
    }

    #[test]
    fn acceptance_lies_between_hmrc_s_retention_and_ours() {
        for (retention, acceptance, is_valid) in [
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
                .is_valid(),
                is_valid,
                "{retention} {acceptance}"
            );
        }
    }
}
