//! One box, served in steps: its turn -> list -> record, and then acknowledge.

use std::{
    collections::{HashSet, VecDeque},
    time::Duration,
};

use super::{
    BoxPosition, BoxReport, HmrcError, NotificationStatus,
    client::{BoxQuery, HmrcCallError, HmrcClient},
    error::ErrorScope,
    pager::{BoxPager, PAGE, PageResult, PagerStep},
    record::{ElementOutcome, RecordedAs, StoredId, record},
};
use crate::{
    domain::{Clock, Key, Timestamp},
    inbox::{Inbox, KvKey},
    reconcile::{
        LockedRun, ProgressEvent, RunEnd, Sleeper,
        backoff::{MOST, backoff},
        rate_limiter::RateLimiter,
    },
};

/// HMRC lets a box be listed once in 10 s. A little longer, since two calls that leave 10 s apart may arrive closer.
const LISTED_EVERY: Duration = Duration::from_millis(10_250);

/// A box, and how far it is emptied.
pub(super) struct Mailbox {
    id: String,
    since: Option<Timestamp>,
    status: NotificationStatus,
    walk: BoxPager,
    turns: RateLimiter,
    /// What came of the last page, until all of it that can be is acknowledged.
    page: Option<PageResult>,
    /// What of it is stored and not acknowledged yet, and when it was created.
    owed: VecDeque<(StoredId, Option<Timestamp>)>,
    /// What HMRC was told of. Should it list that again, telling it once more would not help.
    told: HashSet<StoredId>,
    /// What was counted: at the edge of two pages the same is listed twice.
    counted: HashSet<Key>,
    /// When it was last put off, and for how long.
    put_off: Option<(Timestamp, Duration)>,
    /// How often in a row it went wrong.
    failures: u32,
    is_through: bool,
    report: BoxReport,
}

impl Mailbox {
    /// The box `id`, from what was created since `since` on.
    pub(super) fn new(id: &str, since: Option<Timestamp>) -> Self {
        Self {
            id: id.to_owned(),
            since,
            status: NotificationStatus::Pending,
            walk: BoxPager::new(since),
            turns: RateLimiter::new(KvKey::new("list", id), LISTED_EVERY),
            page: None,
            owed: VecDeque::new(),
            told: HashSet::new(),
            counted: HashSet::new(),
            put_off: None,
            failures: 0,
            is_through: false,
            report: BoxReport::new(id),
        }
    }

    /// Its id.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Whether there is nothing left to do for it in this run.
    pub(super) fn is_done(&self) -> bool {
        self.is_through || self.report.trouble.is_some()
    }

    /// How long it is to be left alone.
    pub(super) fn wait(&self, now: Timestamp) -> Duration {
        match self.put_off {
            Some((at, time)) if now >= at => at.plus(time).since(now),
            _ => Duration::ZERO, // also where the clock was set back: its turns don't go by the clock alone
        }
    }

    /// Where it is.
    pub(super) fn place(&self) -> BoxPosition {
        BoxPosition {
            status: self.status,
            from: self.walk.from,
        }
    }

    /// Goes on where an earlier run stopped.
    pub(super) fn go_on(&mut self, place: BoxPosition) {
        (self.status, self.walk) = (place.status, BoxPager::new(place.from));
    }

    /// What was found in it.
    pub(super) fn report(&self) -> BoxReport {
        let owed = self
            .owed
            .iter()
            .filter_map(|(_, created_at)| *created_at)
            .min();
        BoxReport {
            oldest: self.report.oldest.into_iter().chain(owed).min(),
            place: (!self.is_through).then(|| self.place()),
            ..self.report.clone()
        }
    }

    /// Does what is next for it: a page, from the list to its acknowledgement. Fails only if the whole run has to end.
    pub(super) async fn serve<I: Inbox, W: Clock, S: Sleeper>(
        &mut self,
        run: &mut LockedRun<'_, I, W, S>,
        client: &mut HmrcClient<'_>,
    ) -> Result<(), RunEnd> {
        match self.turn_page(run, client).await {
            Ok(()) => Ok(()),
            Err(HmrcCallError::Ended(ended)) => Err(ended),
            Err(HmrcCallError::Fault(fault)) => self.meet(run, fault),
        }
    }

    async fn turn_page<I: Inbox, W: Clock, S: Sleeper>(
        &mut self,
        run: &mut LockedRun<'_, I, W, S>,
        client: &mut HmrcClient<'_>,
    ) -> Result<(), HmrcCallError> {
        if self.page.is_none() {
            if !self.has_turn(run, client).await? {
                return Ok(());
            }
            self.page = Some(self.list(run, client).await?);
        }
        while !self.owed.is_empty() {
            self.acknowledge(run, client).await?;
        }
        if let Some(page) = self.page.take()
            && self.walk.after(page) == PagerStep::End
        {
            self.end_part();
        }
        Ok(())
    }

    /// Takes this box's turn, if it has come. It is the last thing before the call, so that what goes before doesn't
    /// bring this call closer to the next.
    async fn has_turn<I: Inbox, W: Clock, S: Sleeper>(
        &mut self,
        run: &mut LockedRun<'_, I, W, S>,
        client: &mut HmrcClient<'_>,
    ) -> Result<bool, HmrcCallError> {
        let mut wait = self.turns.due(run).await?;
        if wait.is_zero() {
            client.ready(run).await?;
            wait = self.turns.take(run).await?.unwrap_or_default();
        }
        if !wait.is_zero() {
            self.put_off = Some((run.now(), wait));
        }
        Ok(wait.is_zero())
    }

    /// Asks for a page and records it.
    async fn list<I: Inbox, W: Clock, S: Sleeper>(
        &mut self,
        run: &mut LockedRun<'_, I, W, S>,
        client: &mut HmrcClient<'_>,
    ) -> Result<PageResult, HmrcCallError> {
        let question = BoxQuery {
            box_id: &self.id,
            status: self.status,
            from: self.walk.from,
            count: self.walk.count,
        };
        let elements = client.list(run, question).await?;
        (self.failures, self.put_off) = (0, Some((run.now(), LISTED_EVERY)));
        run.around.observer.tell(ProgressEvent::Listed {
            box_id: &self.id,
            status: self.status,
            count: elements.len(),
        });
        let outcomes = record(run, elements).await?;
        let last = outcomes
            .iter()
            .filter_map(|outcome| outcome.created_at)
            .max();
        let listed = outcomes.len();
        let stuck = outcomes
            .into_iter()
            .filter(|outcome| !self.take_in(outcome))
            .count();
        Ok(PageResult {
            listed,
            stuck,
            last,
        })
    }

    /// Counts what became of an element; says whether it will be acknowledged.
    fn take_in(&mut self, outcome: &ElementOutcome) -> bool {
        let is_owed = match &outcome.stored {
            Some(stored) if self.told.insert(stored.clone()) => {
                self.owed.push_back((stored.clone(), outcome.created_at));
                true
            }
            // HMRC refuses an acknowledgement that names one twice.
            Some(stored) => self.owed.iter().any(|(owed, _)| owed == stored),
            None => false,
        };
        if !is_owed {
            self.report.oldest = self
                .report
                .oldest
                .into_iter()
                .chain(outcome.created_at)
                .min();
        }
        if self.counted.insert(outcome.key.clone()) {
            self.report.listed += 1;
            match &outcome.how {
                RecordedAs::First => self.report.missed += 1,
                RecordedAs::Duplicate => self.report.duplicates += 1,
                RecordedAs::Held => self.report.held += 1,
                RecordedAs::Refused(error) => self.report.refused = Some(error.clone()),
                RecordedAs::OnlySeen => {}
            }
            self.report.stuck +=
                usize::from(!is_owed && !matches!(outcome.how, RecordedAs::OnlySeen));
        }
        is_owed
    }

    /// Acknowledges what is stored, as many at once as HMRC takes.
    async fn acknowledge<I: Inbox, W: Clock, S: Sleeper>(
        &mut self,
        run: &mut LockedRun<'_, I, W, S>,
        client: &mut HmrcClient<'_>,
    ) -> Result<(), HmrcCallError> {
        let ids: Vec<StoredId> = self
            .owed
            .iter()
            .take(PAGE)
            .map(|(stored, _)| stored.clone())
            .collect();
        client.ready(run).await?;
        client.acknowledge(run, &self.id, &ids).await?;
        self.failures = 0;
        self.owed.drain(..ids.len());
        self.report.acknowledged += ids.len();
        run.around.observer.tell(ProgressEvent::Acknowledged {
            box_id: &self.id,
            count: ids.len(),
        });
        Ok(())
    }

    /// Goes on to what HMRC has given up, and then to the end.
    fn end_part(&mut self) {
        match self.status {
            NotificationStatus::Pending => {
                (self.status, self.walk) = (NotificationStatus::Failed, BoxPager::new(self.since))
            }
            NotificationStatus::Failed => self.is_through = true,
        }
    }

    /// Decides what follows a fault: the same again later, less at once, the end of this box, or of the run.
    fn meet<I: Inbox, W: Clock, S: Sleeper>(
        &mut self,
        run: &LockedRun<'_, I, W, S>,
        fault: HmrcError,
    ) -> Result<(), RunEnd> {
        run.around.observer.tell(ProgressEvent::BoxTrouble {
            box_id: &self.id,
            fault: &fault,
        });
        match (&fault, fault.reach()) {
            (_, ErrorScope::Application) => return Err(RunEnd::Hmrc(fault)),
            (HmrcError::TokenExpired, _) => self.put_off = None, // a fresh one is fetched at once
            (HmrcError::TooLong, _) if self.walk.shrink() => {}
            (HmrcError::Refused { status: 400, .. }, _)
                if self.page.is_none() && self.walk.count > PAGE =>
            {
                if self.walk.skip() == PagerStep::End {
                    self.end_part();
                }
            }
            (_, ErrorScope::Passing) if self.failures + 1 < MOST => {
                self.failures += 1;
                self.put_off = Some((run.now(), backoff(self.failures, run.random())));
            }
            (_, ErrorScope::Passing | ErrorScope::Box) => self.report.trouble = Some(fault),
        }
        Ok(())
    }
}
