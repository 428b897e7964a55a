//! Converts a panic to an error that does not repeat the panic's text.
//!
//! That text may quote a notification, and the Lambda runtime would log it.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;

/// The work panicked. The log has the place.
#[derive(Debug)]
pub(super) struct PanicError;

/// Runs `work`, and returns its panic as an error.
pub(super) async fn catch_panic<T>(work: impl Future<Output = T>) -> Result<T, PanicError> {
    // No half-changed state is used afterwards: a change of the inbox is one write, and the rest is
    // dropped.
    AssertUnwindSafe(work)
        .catch_unwind()
        .await
        .map_err(|_| PanicError)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_caught_at_the_first_poll_and_at_a_later_one() {
        assert_eq!(catch_panic(async { 7 }).await.unwrap(), 7);
        for waits in [0, 1, 3] {
            let work = async {
                for _ in 0..waits {
                    tokio::task::yield_now().await;
                }
                panic!("A Tester, 1 High Street");
            };
            let Err(PanicError) = catch_panic::<()>(work).await else {
                panic!("the panic was not caught")
            };
        }
    }
}
