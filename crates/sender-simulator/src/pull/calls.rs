//! What was asked, in the order it came: the ledger that a test holds a client to.

use std::time::Duration;

use bytes::Bytes;

use crate::Timestamp;

const SECOND: Duration = Duration::from_secs(1);

/// One request, and what became of it. `E` is the service's endpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call<E> {
    /// When it came.
    pub at: Timestamp,
    /// Which endpoint it was for; `None` if there is no such one.
    pub endpoint: Option<E>,
    /// `GET`, `PUT` and so on.
    pub method: String,
    /// Path and query, as they stood in the request line.
    pub target: String,
    /// The request's body.
    pub body: Bytes,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was answered with this status.
    Answered(u16),
    /// It was worked on and would have been answered with this status, but the connection closed.
    Withheld(u16),
    /// Nothing was done, and there was no answer.
    Lost,
}

impl<E> Call<E> {
    /// The status that the client saw.
    pub fn status(&self) -> Option<u16> {
        match self.outcome {
            Outcome::Answered(status) => Some(status),
            Outcome::Withheld(_) | Outcome::Lost => None,
        }
    }

    /// The status that the service decided on, whether or not the client saw it.
    pub fn decided(&self) -> Option<u16> {
        match self.outcome {
            Outcome::Answered(status) | Outcome::Withheld(status) => Some(status),
            Outcome::Lost => None,
        }
    }
}

/// Calls in the order they came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Calls<E>(Vec<Call<E>>);

impl<E: Copy + PartialEq> Calls<E> {
    pub(super) fn new(calls: Vec<Call<E>>) -> Self {
        Self(calls)
    }

    /// Those of one endpoint.
    pub fn to(&self, endpoint: E) -> Self {
        self.filtered(|call| call.endpoint == Some(endpoint))
    }

    /// Those for which `keep` holds.
    pub fn filtered(&self, keep: impl Fn(&Call<E>) -> bool) -> Self {
        Self(self.0.iter().filter(|call| keep(call)).cloned().collect())
    }

    /// Each of them.
    pub fn iter(&self) -> std::slice::Iter<'_, Call<E>> {
        self.0.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The statuses that the client saw, in order.
    pub fn statuses(&self) -> Vec<Option<u16>> {
        self.0.iter().map(Call::status).collect()
    }

    /// The shortest time from one call to the next; `None` if there are not two.
    pub fn smallest_gap(&self) -> Option<Duration> {
        self.0
            .windows(2)
            .map(|pair| pair[1].at.since(pair[0].at))
            .min()
    }

    /// The most calls in any second: an instant belongs to the second that it begins, and the one a second later does not.
    pub fn most_in_a_second(&self) -> usize {
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

    fn calls(times: &[i64]) -> Calls<()> {
        let call = |ms: &i64| Call {
            at: Timestamp::from_millis(*ms),
            endpoint: Some(()),
            method: "GET".to_owned(),
            target: "/".to_owned(),
            body: Bytes::new(),
            outcome: Outcome::Lost,
        };
        Calls(times.iter().map(call).collect())
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
                (calls(times).smallest_gap(), calls(times).most_in_a_second()),
                (gap, most),
                "{times:?}"
            );
        }
    }
}
