//! The log of all calls, in order, against which a test checks its client.

use std::time::Duration;

use bytes::Bytes;

use crate::Timestamp;

const SECOND: Duration = Duration::from_secs(1);

/// One call and its outcome. `E` is the type of the API's endpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiCall<E> {
    /// When the server received it.
    pub at: Timestamp,
    /// The endpoint; `None` if the path or method has none.
    pub endpoint: Option<E>,
    /// The HTTP method.
    pub method: String,
    /// Path and query, as in the request line.
    pub target: String,
    /// The request's body.
    pub body: Bytes,
    /// The outcome.
    pub outcome: CallOutcome,
}

/// The outcome of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallOutcome {
    /// The client received this status.
    Answered(u16),
    /// The call had its effect and this status, but the connection closed before the response.
    Withheld(u16),
    /// The call had no effect and no response.
    Lost,
}

impl<E> ApiCall<E> {
    /// The status that the client received.
    pub fn status(&self) -> Option<u16> {
        match self.outcome {
            CallOutcome::Answered(status) => Some(status),
            CallOutcome::Withheld(_) | CallOutcome::Lost => None,
        }
    }

    /// The status that the API decided, whether or not the client received it.
    pub fn decided(&self) -> Option<u16> {
        match self.outcome {
            CallOutcome::Answered(status) | CallOutcome::Withheld(status) => Some(status),
            CallOutcome::Lost => None,
        }
    }
}

/// Calls in the order received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallLog<E>(Vec<ApiCall<E>>);

impl<E: Copy + PartialEq> CallLog<E> {
    pub(super) fn new(calls: Vec<ApiCall<E>>) -> Self {
        Self(calls)
    }

    /// The calls to one endpoint.
    pub fn to(&self, endpoint: E) -> Self {
        self.filtered(|call| call.endpoint == Some(endpoint))
    }

    /// The calls that match.
    pub fn filtered(&self, matches: impl Fn(&ApiCall<E>) -> bool) -> Self {
        Self(
            self.0
                .iter()
                .filter(|call| matches(call))
                .cloned()
                .collect(),
        )
    }

    /// Iterates over the calls.
    pub fn iter(&self) -> std::slice::Iter<'_, ApiCall<E>> {
        self.0.iter()
    }

    /// The number of calls.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no calls.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The statuses that the client received, in order.
    pub fn statuses(&self) -> Vec<Option<u16>> {
        self.0.iter().map(ApiCall::status).collect()
    }

    /// The shortest time between two consecutive calls; `None` if there are fewer than two.
    pub fn smallest_gap(&self) -> Option<Duration> {
        self.0
            .windows(2)
            .map(|pair| pair[1].at.since(pair[0].at))
            .min()
    }

    /// The largest number of calls in any second. The end of the second is not part of it.
    pub fn max_calls_per_second(&self) -> usize {
        let within = |first: Timestamp| {
            self.0
                .iter()
                .filter(move |call| call.at >= first && call.at < first.plus(SECOND))
        };
        self.0
            .iter()
            .map(|first| within(first.at).count())
            .max()
            .unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calls(times: &[i64]) -> CallLog<()> {
        let call = |ms: &i64| ApiCall {
            at: Timestamp::from_millis(*ms),
            endpoint: Some(()),
            method: "GET".to_owned(),
            target: "/".to_owned(),
            body: Bytes::new(),
            outcome: CallOutcome::Lost,
        };
        CallLog(times.iter().map(call).collect())
    }

    #[test]
    fn gaps_and_the_busiest_second_are_measured_between_calls() {
        let ms = |ms| Some(Duration::from_millis(ms));
        for (times, gap, most) in [
            (&[][..], None, 0),
            (&[5], None, 1),
            (&[0, 999, 1000, 1999], ms(1), 2),
            (&[0, 400, 999, 1000], ms(1), 3),
            (&[0, 10_000, 25_000], ms(10_000), 1),
            (&[7, 7, 7], ms(0), 3),
        ] {
            assert_eq!(
                (
                    calls(times).smallest_gap(),
                    calls(times).max_calls_per_second()
                ),
                (gap, most),
                "{times:?}"
            );
        }
    }
}
