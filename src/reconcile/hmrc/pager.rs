//! How to get through a box whose lists are cut off: pure.
//!
//! HMRC lists the oldest first, and what is acknowledged is gone from the next list. So the same
//! query brings the next page, unless something in this one can't be acknowledged: it would stand
//! there for ever, and a page full of that would hide all the others. Then the query is for what
//! was created since the last of them, which HMRC takes to include that instant.

use std::time::Duration;

use crate::domain::Timestamp;

/// How many notifications are asked for at once: the most that can be acknowledged at once.
pub(super) const PAGE: usize = 100;

/// Where in a box the next query is asked.
#[derive(Clone, Debug)]
pub(super) struct BoxPager {
    /// Only what was created since then.
    pub(super) from: Option<Timestamp>,
    /// How many at most.
    pub(super) count: usize,
    /// How many there are to a page, now that longer ones have come out too long.
    page: usize,
    /// The last instant of the last page.
    last: Option<Timestamp>,
}

/// What came of one page.
#[derive(Clone, Copy, Debug)]
pub(super) struct PageResult {
    /// How many were in it.
    pub(super) listed: usize,
    /// How many of them will be listed again.
    pub(super) stuck: usize,
    /// When the youngest of them was created, as far as can be read.
    pub(super) last: Option<Timestamp>,
}

/// Whether there is more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PagerStep {
    /// There may be.
    Page,
    /// There is not.
    End,
}

impl BoxPager {
    /// Begins with what was created since `from`.
    pub(super) fn new(from: Option<Timestamp>) -> Self {
        Self {
            from,
            count: PAGE,
            page: PAGE,
            last: None,
        }
    }

    /// Goes on after a page.
    pub(super) fn after(&mut self, page: PageResult) -> PagerStep {
        self.last = page.last;
        // HMRC may have a most of its own: what it cuts off there is not the end.
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
            // A page full of one instant: as many again as stand in the way of the next ones.
            self.count = page.stuck + self.page;
        }
        PagerStep::Page
    }

    /// Passes over what else was created in the last instant seen, since more of it can't be asked
    /// for at once. Without an instant there is no way past.
    pub(super) fn skip(&mut self) -> PagerStep {
        let Some(full) = self.last else {
            return PagerStep::End;
        };
        (self.from, self.count) = (Some(full.plus(Duration::from_millis(1))), self.page);
        PagerStep::Page
    }

    /// Asks for less at once; false if it is one already.
    pub(super) fn shrink(&mut self) -> bool {
        let can = self.count > 1;
        self.page = (self.count / 2).clamp(1, PAGE);
        self.count = self.page;
        can
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn at(millis: i64) -> Option<Timestamp> {
        Some(Timestamp::from_millis(millis))
    }

    #[test]
    fn the_next_question_is_the_same_unless_something_stands_in_the_way() {
        let pager = |from, count| BoxPager {
            count,
            ..BoxPager::new(from)
        };
        let page = |listed, stuck, last| PageResult {
            listed,
            stuck,
            last,
        };
        for (before, page, next, after) in [
            (
                pager(None, 100),
                page(0, 0, None),
                PagerStep::End,
                pager(None, 100),
            ),
            (
                pager(None, 100),
                page(99, 0, at(5)),
                PagerStep::End,
                pager(None, 100),
            ),
            (
                pager(None, 100),
                page(99, 99, at(5)),
                PagerStep::End,
                pager(None, 100),
            ),
            (
                pager(None, 100),
                page(100, 0, at(5)),
                PagerStep::Page,
                pager(None, 100),
            ),
            (
                pager(at(3), 100),
                page(100, 0, at(5)),
                PagerStep::Page,
                pager(at(3), 100),
            ),
            (
                pager(None, 100),
                page(100, 1, at(5)),
                PagerStep::Page,
                pager(at(5), 100),
            ),
            (
                pager(at(5), 100),
                page(100, 100, at(6)),
                PagerStep::Page,
                pager(at(6), 100),
            ),
            (
                pager(at(5), 100),
                page(100, 100, at(5)),
                PagerStep::Page,
                pager(at(5), 200),
            ),
            (
                pager(at(5), 100),
                page(100, 40, at(5)),
                PagerStep::Page,
                pager(at(5), 140),
            ),
            (
                pager(at(5), 200),
                page(200, 200, at(5)),
                PagerStep::Page,
                pager(at(5), 300),
            ),
            (
                pager(at(5), 200),
                page(200, 150, at(7)),
                PagerStep::Page,
                pager(at(7), 100),
            ),
            (
                pager(at(5), 200),
                page(150, 150, at(7)),
                PagerStep::End,
                pager(at(5), 200),
            ),
            (
                pager(at(5), 200),
                page(100, 100, at(5)),
                PagerStep::Page,
                pager(at(6), 100),
            ),
            (
                pager(None, 100),
                page(100, 100, None),
                PagerStep::Page,
                pager(None, 200),
            ),
            (
                pager(None, 200),
                page(100, 100, None),
                PagerStep::End,
                pager(None, 200),
            ),
        ] {
            let mut pager = before.clone();
            assert_eq!(pager.after(page), next, "{before:?} {page:?}");
            assert_eq!(
                (pager.from, pager.count),
                (after.from, after.count),
                "{before:?} {page:?}"
            );
        }
    }

    #[test]
    fn too_long_a_page_is_halved_until_it_is_one_notification() {
        let mut pager = BoxPager::new(None);
        let mut counts = Vec::new();
        while pager.shrink() {
            counts.push(pager.count);
        }
        assert_eq!(counts, [50, 25, 12, 6, 3, 1]);
    }

    /// A box: when each was created, and whether it can be acknowledged.
    type WaitingNotification = Vec<(i64, bool)>;

    /// Walks through a box as HMRC would list it; says who was met, and in how many lists.
    fn walked(
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
        let (mut met, mut lists, mut pager) = (BTreeSet::new(), 0, BoxPager::new(None));
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
            met.extend(page.iter().map(|(n, ..)| *n));
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
            }) == PagerStep::End
            {
                return (met, lists);
            }
        }
    }

    proptest! {
        #[test]
        fn nobody_is_passed_over_and_there_is_an_end(
            waiting in prop::collection::vec((0i64..6, prop::bool::weighted(0.5)), 0..900),
            looks_only: bool,
        ) {
            let all = waiting.len();
            let (met, lists) = walked(waiting, usize::MAX, looks_only);
            prop_assert_eq!(met.len(), all);
            prop_assert!(lists <= 2 * all / PAGE + 12, "{} lists for {}", lists, all);
        }
    }

    #[test]
    fn a_box_in_which_everything_can_be_acknowledged_takes_the_fewest_lists() {
        for (waiting, lists) in [(0, 1), (1, 1), (99, 1), (100, 2), (101, 2), (5000, 51)] {
            let (met, counted) = walked(
                (0..waiting).map(|at| (at, true)).collect(),
                usize::MAX,
                false,
            );
            assert_eq!(
                (met.len(), counted),
                (usize::try_from(waiting).unwrap(), lists)
            );
        }
    }

    #[test]
    fn where_hmrc_cuts_off_longer_lists_only_the_rest_of_one_full_instant_is_passed_over() {
        let waiting = (0..150)
            .map(|_| (1, false))
            .chain((0..10).map(|_| (2, true)))
            .collect();
        let (met, _) = walked(waiting, PAGE, false);
        assert_eq!(
            met.len(),
            110,
            "100 of the first instant, and all of the second"
        );
    }
}
