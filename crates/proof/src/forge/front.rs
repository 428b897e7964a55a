//! How a request arrives: at the receiver itself, or as the event that a front of the Lambda makes
//! of it.

use std::time::Duration;

use pillarbox::{
    inbox::ReceiveInbox,
    lambda::answer_event,
    receive::{HttpAnswer, Receiver},
};
use proof::{
    attacked::{
        NOW,
        fronts::{Front, FrontRequest},
    },
    second_verifier::PlainRequest,
};
use serde_json::value::RawValue;

use crate::simulate::Random;

/// How a request arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WayIn {
    Direct,
    Front(Front),
}

impl WayIn {
    /// Any way that can carry the request: an event is text, and a REST API takes one segment.
    pub(super) fn for_request(request: &PlainRequest, random: &mut Random) -> Self {
        const WAYS: [WayIn; 4] = [
            WayIn::Direct,
            WayIn::Front(Front::HttpApi),
            WayIn::Front(Front::FunctionUrl),
            WayIn::Front(Front::Rest),
        ];
        let way = random.pick(&WAYS).unwrap_or(Self::Direct);
        let is_text = request
            .headers
            .iter()
            .all(|(_, value)| std::str::from_utf8(value).is_ok());
        let is_one_segment = request.path.rfind('/') == Some(0);
        let is_passed_on = is_text && (way != Self::Front(Front::Rest) || is_one_segment);
        if is_passed_on { way } else { Self::Direct }
    }

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Front(front) => front.as_str(),
        }
    }
}

/// The answer to a request that `front` passed on.
pub(super) async fn answer<I: ReceiveInbox>(
    receiver: &Receiver<I>,
    front: Front,
    request: &PlainRequest,
) -> HttpAnswer {
    let headers = request.headers.iter();
    let headers = headers
        .map(|(name, value)| (name.clone(), String::from_utf8_lossy(value).into_owned()))
        .collect();
    let asked = FrontRequest {
        method: request.method.clone(),
        path: request.path.clone(),
        query: request.query.clone(),
        headers,
        body: request.body.to_vec(),
        is_base64: false,
    };
    let event = front.invocation(&asked, NOW).to_string();
    let event = RawValue::from_string(event).expect("a front writes JSON");
    let stopped_at = NOW.plus(Duration::from_secs(10));
    let answer = answer_event(receiver, &event, stopped_at).await;
    answer.expect("a front's event is recognised")
}
