//! What senders post, and what they are answered.

use std::{sync::atomic::Ordering, time::Duration};

use super::HistoryRecorder;
use crate::{
    history::{BodyGenuineness, RecordedEvent},
    processes::lateness,
    simulate::content::{content_of, digest_of},
};

/// What a machine that many processes share may add to the 2.5 s: Pay waits for 3 s.
const ALLOWANCE: Duration = Duration::from_millis(500);

/// A request that was recorded.
pub(crate) struct PostedRequest {
    pub(crate) post: u32,
    began: tokio::time::Instant,
    lateness: Duration,
}

impl HistoryRecorder {
    pub(crate) fn created(&self, source: &str, id: &str, body: &[u8]) {
        let what = RecordedEvent::Created {
            source: source.to_owned(),
            id: id.to_owned(),
            payment: None,
            content: content_of(body),
        };
        self.push(&mut self.lock(), what);
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
            let place = recording.history.moments.len();
            recording.first_posts.entry(digest).or_insert(place);
        }
        let what = RecordedEvent::Posted {
            post,
            source: source.to_owned(),
            id: id.to_owned(),
            content,
            digest,
            genuine,
        };
        self.push(recording, what);
        PostedRequest {
            post,
            began: tokio::time::Instant::now(),
            lateness: lateness::total(),
        }
    }

    /// The time to the answer is less what the machine was late meanwhile, and an allowance.
    pub(crate) fn answered(&self, request: &PostedRequest, status: u16) {
        let late = lateness::total().saturating_sub(request.lateness);
        let took = request.began.elapsed();
        self.slow
            .fetch_add(u64::from(took > ALLOWANCE * 5), Ordering::Relaxed);
        let took = took.saturating_sub(late + ALLOWANCE);
        let post = request.post;
        let what = RecordedEvent::Answered { post, status, took };
        self.push(&mut self.lock(), what);
    }

    pub(crate) fn ended(&self, source: &str, id: &str, acknowledged: bool) {
        let what = RecordedEvent::Ended {
            source: source.to_owned(),
            id: id.to_owned(),
            acknowledged,
        };
        self.push(&mut self.lock(), what);
    }
}
