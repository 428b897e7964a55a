//! Decides which page of a box to list next. Pure.
//!
//! HMRC lists the oldest notifications first, and omits acknowledged ones from the next list. So
//! the same query returns the next page, unless the page has notifications that cannot be
//! acknowledged: those stay in every list, and a page full of them would hide all others. Then the
//! next query starts from the creation time of the last one, which HMRC includes.

use std::time::Duration;

use crate::domain::Timestamp;

/// The notifications of a page: as many as one acknowledgement accepts.
pub(super) const PAGE: usize = 100;

/// The next query of a box.
#[derive(Clone, Debug)]
pub(super) struct BoxPager {
    /// Lists notifications created since then.
    pub(super) from: Option<Timestamp>,
    /// The maximum number of notifications to list.
    pub(super) count: usize,
    /// The current page size, which shrinks when a response is too long.
    page: usize,
    /// The creation time of the last notification of the last page.
    last: Option<Timestamp>,
}

/// The result of one page.
#[derive(Clone, Copy, Debug)]
pub(super) struct PageResult {
    /// The notifications on the page.
    pub(super) listed: usize,
    /// Those that cannot be acknowledged, so that HMRC lists them again.
    pub(super) stuck: usize,
    /// When the youngest of them was created, if its date can be read.
    pub(super) last: Option<Timestamp>,
}

/// Whether the box may have another page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PagerStep {
    /// There may be another page.
    Page,
    /// There is no other page.
    End,
}

impl BoxPager {
    /// Starts with notifications created since `from`.
    pub(super) fn new(from: Option<Timestamp>) -> Self {
        Self {
            from,
            count: PAGE,
            page: PAGE,
            last: None,
        }
    }

    /// Moves to the page after this one.
    pub(super) fn after(&mut self, page: PageResult) -> PagerStep {
        self.last = page.last;
        // HMRC may list fewer than requested, so a list of exactly one page is not the end.
        let is_cut_off = self.count > PAGE && page.listed == PAGE;
        if page.listed < self.count && !is_cut_off {
            return PagerStep::End;
        }
        let is_further = page
            .last
            .is_some_and(|last| self.from.is_none_or(|from| last > from));
        if page.stuck == 0 {
            self.count = self.page;
        } else if is_further {
            (self.from, self.count) = (page.last, self.page);
        } else if is_cut_off {
            return self.skip();
        } else {
            // The whole page has one creation time, so the next list must be longer than the number
            // that stays.
            self.count = page.stuck + self.page;
        }
        PagerStep::Page
    }

    /// Skips the other notifications with the last creation time, because a longer list is not
    /// possible. Without a creation time, the box ends here.
    pub(super) fn skip(&mut self) -> PagerStep {
        let Some(full) = self.last else {
            return PagerStep::End;
        };
        (self.from, self.count) = (Some(full.plus(Duration::from_millis(1))), self.page);
        PagerStep::Page
    }

    /// Halves the page size; false if it is one already.
    pub(super) fn shrink(&mut self) -> bool {
        let can_shrink = self.count > 1;
        self.page = (self.count / 2).clamp(1, PAGE);
        self.count = self.page;
        can_shrink
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::{
        PagerStep::{End, Page},
        *,
    };

    fn at(millis: i64) -> Option<Timestamp> {
        Some(Timestamp::from_millis(millis))
    }

    #[test]
    fn the_next_query_is_the_same_unless_a_notification_cannot_be_acknowledged() {
        for (query, (listed, stuck, last), step, next) in [
            ((None, 100), (0, 0, None), End, (None, 100)),
            ((None, 100), (99, 0, at(5)), End, (None, 100)),
            ((None, 100), (99, 99, at(5)), End, (None, 100)),
            ((None, 100), (100, 0, at(5)), Page, (None, 100)),
            ((at(3), 100), (100, 0, at(5)), Page, (at(3), 100)),
            ((None, 100), (100, 1, at(5)), Page, (at(5), 100)),
            ((at(5), 100), (100, 100, at(6)), Page, (at(6), 100)),
            ((at(5), 100), (100, 100, at(5)), Page, (at(5), 200)),
            ((at(5), 100), (100, 40, at(5)), Page, (at(5), 140)),
            ((at(5), 200), (200, 200, at(5)), Page, (at(5), 300)),
            ((at(5), 200), (200, 150, at(7)), Page, (at(7), 100)),
            ((at(5), 200), (150, 150, at(7)), End, (at(5), 200)),
            ((at(5), 200), (100, 100, at(5)), Page, (at(6), 100)),
            ((None, 100), (100, 100, None), Page, (None, 200)),
            ((None, 200), (100, 100, None), End, (None, 200)),
        ] {
            let (from, count) = query;
            let mut pager = BoxPager {
                count,
                ..BoxPager::new(from)
            };
            let page = PageResult {
                listed,
                stuck,
                last,
            };
            assert_eq!(pager.after(page), step, "{query:?} {page:?}");
            assert_eq!((pager.from, pager.count), next, "{query:?} {page:?}");
        }
    }

    #[test]
    fn a_page_that_is_too_long_is_halved_down_to_one_notification() {
        let mut pager = BoxPager::new(None);
        let mut counts = Vec::new();
        while pager.shrink() {
            counts.push(pager.count);
        }
        assert_eq!(counts, [50, 25, 12, 6, 3, 1]);
    }

    /// A box: the creation time of each notification, and whether it can be acknowledged.
    type WaitingNotification = Vec<(i64, bool)>;

    /// Pages through a box as HMRC would list it; returns the notifications seen and the number of
    /// lists.
    fn page_through(
        mut waiting: WaitingNotification,
        most: usize,
        looks_only: bool,
    ) -> (BTreeSet<usize>, usize) {
        waiting.sort_unstable();
        let mut there: Vec<(usize, i64, bool)> = waiting
            .iter()
            .enumerate()
            .map(|(n, (at, ok))| (n, *at, *ok))
            .collect();
        let (mut listed, mut lists, mut pager) = (BTreeSet::new(), 0, BoxPager::new(None));
        loop {
            lists += 1;
            let since = |(_, at, _): &&(usize, i64, bool)| {
                pager.from.is_none_or(|from| *at >= from.as_millis())
            };
            let page: Vec<_> = there
                .iter()
                .filter(since)
                .take(pager.count.min(most))
                .copied()
                .collect();
            listed.extend(page.iter().map(|(n, ..)| *n));
            let cleared = |n: &usize, ok: bool| {
                ok && !looks_only && page.iter().any(|(other, ..)| other == n)
            };
            let stuck = page.iter().filter(|(n, _, ok)| !cleared(n, *ok)).count();
            there.retain(|(n, _, ok)| !cleared(n, *ok));
            let last = page
                .iter()
                .map(|(_, at, _)| Timestamp::from_millis(*at))
                .max();
            if pager.after(PageResult {
                listed: page.len(),
                stuck,
                last,
            }) == End
            {
                return (listed, lists);
            }
        }
    }

    proptest! {
        #[test]
        fn every_notification_is_listed_and_paging_ends(
            waiting in prop::collection::vec((0i64..6, prop::bool::weighted(0.5)), 0..900),
            looks_only: bool,
        ) {
            let all = waiting.len();
            let (listed, lists) = page_through(waiting, usize::MAX, looks_only);
            prop_assert_eq!(listed.len(), all);
            prop_assert!(lists <= 2 * all / PAGE + 12, "{} lists for {}", lists, all);
        }
    }

    #[test]
    fn a_box_in_which_everything_can_be_acknowledged_takes_the_fewest_lists() {
        for (waiting, lists) in [(0, 1), (1, 1), (99, 1), (100, 2), (101, 2), (5000, 51)] {
            let (listed, counted) = page_through(
                (0..waiting).map(|at| (at, true)).collect(),
                usize::MAX,
                false,
            );
            assert_eq!(
                (listed.len(), counted),
                (usize::try_from(waiting).unwrap(), lists)
            );
        }
    }

    #[test]
    fn if_hmrc_cuts_off_long_lists_only_the_rest_of_one_full_instant_is_skipped() {
        let waiting = (0..150)
            .map(|_| (1, false))
            .chain((0..10).map(|_| (2, true)))
            .collect();
        let (listed, _) = page_through(waiting, PAGE, false);
        assert_eq!(
            listed.len(),
            110,
            "100 of the first instant, and all of the second"
        );
    }
}
