//! A panic -> an error that says nothing of what was worked on.
//!
//! What a panic says may quote the text it stumbled over, and the runtime would pass that on.

use std::{
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind, set_hook},
    pin::pin,
    task::Poll,
};

/// Something panicked, and where is in the log.
#[derive(Debug)]
pub(super) struct PanicError;

/// From now on a panic is one line with its place, and nothing else.
pub(super) fn say_only_where() {
    set_hook(Box::new(|panic| {
        let at = panic
            .location()
            .map(|at| format!("{}:{}", at.file(), at.line()))
            .unwrap_or_default();
        tracing::error!(at = at.as_str(), "a bug: the program panicked");
    }));
}

/// Does `work`, whatever happens in it.
pub(super) async fn caught<T>(work: impl Future<Output = T>) -> Result<T, PanicError> {
    let mut work = pin!(work);
    // Nothing half done is looked at afterwards: what was being changed was another's (the inbox's)
    // or is dropped.
    let polled = |context: &mut std::task::Context<'_>| match catch_unwind(AssertUnwindSafe(|| {
        work.as_mut().poll(context)
    })) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(done)) => Poll::Ready(Ok(done)),
        Err(_) => Poll::Ready(Err(PanicError)),
    };
    poll_fn(polled).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_caught_before_and_after_work_was_waited_for() {
        assert_eq!(caught(async { 7 }).await.unwrap(), 7);
        for waits in [0, 1, 3] {
            let work = async {
                for _ in 0..waits {
                    tokio::task::yield_now().await;
                }
                panic!("A Tester, 1 High Street");
            };
            let Err(PanicError) = caught::<()>(work).await else {
                panic!("it was not caught")
            };
        }
    }
}
