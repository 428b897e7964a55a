//! Records the posts of senders and their answers.

use std::{sync::atomic::Ordering, time::Duration};

use super::HistoryRecorder;
use crate::{
    history::{BodyGenuineness, RecordedEvent},
    processes::lateness,
    simulate::content::{content_of, digest_of},
};

/// Allowed in addition to 2.5 s, because many processes share the machine. Pay waits for 3 s.
const ALLOWANCE: Duration = Duration::from_millis(500);

/// A recorded request.
pub(crate) struct PostedRequest {
    pub(crate) post: u32,
    began: tokio::time::Instant,
    lateness: Duration,
}

impl HistoryRecorder {
    pub(crate) fn created(&self, source: &str, id: &str, body: &[u8]) {
        let event = RecordedEvent::Created {
            source: source.to_owned(),
            id: id.to_owned(),
            payment: None,
            content: content_of(body),
        };
        self.push(&mut self.lock(), event);
    }

    pub(crate) fn posted(
        &self,
        (source, id): (&str, &str),
        body: &[u8],
        genuine: BodyGenuineness,
    ) -> PostedRequest {
        let post = self.posts.fetch_add(1, Ordering::Relaxed);
        let (content, digest) = (content_of(body), digest_of(body));
        let recording = &mut *self.lock();
        recording.contents.insert(digest, content);
        if genuine == BodyGenuineness::Proven {
            let index = recording.history.records.len();
            recording.first_posts.entry(digest).or_insert(index);
        }
        let event = RecordedEvent::Posted {
            post,
            source: source.to_owned(),
            id: id.to_owned(),
            content,
            digest,
            genuine,
        };
        self.push(recording, event);
        PostedRequest {
            post,
            began: tokio::time::Instant::now(),
            lateness: lateness::total(),
        }
    }

    /// Records an answer. Its time is reduced by the machine's scheduling delay and an allowance.
    pub(crate) fn answered(&self, request: &PostedRequest, status: u16) {
        let late = lateness::total().saturating_sub(request.lateness);
        let took = request.began.elapsed();
        self.slow
            .fetch_add(u64::from(took > ALLOWANCE * 5), Ordering::Relaxed);
        let took = took.saturating_sub(late + ALLOWANCE);
        let post = request.post;
        let event = RecordedEvent::Answered { post, status, took };
        self.push(&mut self.lock(), event);
    }

    pub(crate) fn ended(&self, source: &str, id: &str, acknowledged: bool) {
        let event = RecordedEvent::Ended {
            source: source.to_owned(),
            id: id.to_owned(),
            acknowledged,
        };
        self.push(&mut self.lock(), event);
    }
}
