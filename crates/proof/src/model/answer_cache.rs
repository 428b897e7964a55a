//! What was found out once, by a number that stands for the question.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

/// Answers by the hash of their question.
pub(super) struct AnswerCache<T>(RwLock<HashMap<u64, Arc<T>>>);

impl<T> Default for AnswerCache<T> {
    fn default() -> Self {
        Self(RwLock::default())
    }
}

impl<T> AnswerCache<T> {
    /// The answer to `question`, found by `answer` if it is new. Two threads may both find it.
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
