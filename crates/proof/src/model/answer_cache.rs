//! A cache of answers by the hash of their question.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

/// Caches answers for all threads of a search.
pub(super) struct AnswerCache<T>(RwLock<HashMap<u64, Arc<T>>>);

impl<T> Default for AnswerCache<T> {
    fn default() -> Self {
        Self(RwLock::default())
    }
}

impl<T> AnswerCache<T> {
    /// The answer to `question`, computed by `answer` if it is new. Two threads may both compute
    /// it.
    pub(super) fn get(&self, question: u64, answer: impl FnOnce() -> T) -> Arc<T> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(answer) = known.get(&question) {
            return Arc::clone(answer);
        }
        drop(known);
        let answer = Arc::new(answer());
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        known.insert(question, Arc::clone(&answer));
        answer
    }
}
