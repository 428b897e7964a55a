//! Checks the messages of senders, the answers to them, and acknowledgements at HMRC.

use std::{collections::BTreeSet, time::Duration};

use super::{HistoryChecker, OpenPost, row::RowLife};
use crate::history::{BodyGenuineness, RecordedEvent};

/// The longest time until an answer.
const ANSWER_LIMIT: Duration = Duration::from_millis(2_500);

/// The largest number of ids in one acknowledgement.
const MAX_ACKNOWLEDGED: usize = 100;

impl<'a> HistoryChecker<'a> {
    /// Checks an event of a message: at its sender, or at its sender's API.
    pub(super) fn check_message(&mut self, event: &'a RecordedEvent) {
        match event {
            RecordedEvent::Created {
                source,
                id,
                payment,
                content,
            } => {
                let message = self.messages.entry((source, id)).or_default();
                message.payment = payment.as_deref();
                message.content = *content;
            }
            RecordedEvent::Posted {
                post,
                source,
                id,
                content,
                digest,
                genuine,
            } => {
                if *genuine == BodyGenuineness::Proven {
                    self.proven.insert(*digest);
                }
                let open = OpenPost {
                    source,
                    id,
                    content: *content,
                    genuine: *genuine,
                };
                self.posts.insert(*post, open);
            }
            RecordedEvent::Answered { post, status, took } => self.answered(*post, *status, *took),
            RecordedEvent::Ended {
                source,
                id,
                acknowledged,
            } => {
                let message = self.messages.entry((source, id)).or_default();
                message.acknowledged = Some(*acknowledged);
            }
            RecordedEvent::Listed { digest, .. } => {
                self.proven.insert(*digest);
            }
            RecordedEvent::PullAcknowledged { source, ids } => self.pull_acknowledged(source, ids),
            other => unreachable!("not an event of a message: {other:?}"),
        }
    }

    fn answered(&mut self, post: u32, status: u16, took: Duration) {
        let Some(OpenPost {
            source,
            id,
            content,
            genuine,
        }) = self.posts.remove(&post)
        else {
            return self.report("I1", format!("request {post} was answered without a post"));
        };
        let allowed: &[u16] = match genuine {
            BodyGenuineness::Proven => &[200, 503],
            // A secret may be installed while the request is in progress.
            BodyGenuineness::Unknown => &[200, 401, 503],
            BodyGenuineness::Forged => &[401, 503],
        };
        self.require(allowed.contains(&status), "I9", || {
            format!("a {genuine:?} request for {source}:{id} was answered {status}")
        });
        self.require(took <= ANSWER_LIMIT, "I1b", || {
            format!("{source}:{id} was answered after {took:?}")
        });
        if status == 200 && genuine != BodyGenuineness::Forged {
            let is_stored = self.is_stored(source, id, content);
            self.require(is_stored, "I1", || {
                format!("{source}:{id} was answered 200 and its content is not stored")
            });
        }
    }

    /// Whether this content is stored under its sender's id, or was stored and has expired.
    fn is_stored(&self, source: &str, id: &str, content: u64) -> bool {
        let key = format!("{source}:{id}");
        self.contents.contains_key(&(key.as_str(), content))
    }

    fn pull_acknowledged(&mut self, source: &str, ids: &[String]) {
        let distinct: BTreeSet<&String> = ids.iter().collect();
        let is_well_formed = distinct.len() == ids.len() && ids.len() <= MAX_ACKNOWLEDGED;
        self.require(is_well_formed, "I11", || {
            format!(
                "an acknowledgement has {} ids, {} of them distinct",
                ids.len(),
                distinct.len()
            )
        });
        for id in ids {
            let key = format!("{source}:{id}");
            let is_stored = self.rows.get(key.as_str()).is_some_and(RowLife::was_stored);
            self.require(is_stored, "I11", || {
                format!("{key} was acknowledged and is not stored")
            });
        }
    }
}
