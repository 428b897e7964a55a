//! How a faulty receiver handles a body with an accepted signature.

use pillarbox::domain::Timestamp;
use sender_simulator::Sender;
use serde_json::Value;

use super::{FaultyState, fault::PlantedFault};

/// The reaction to a request.
pub(super) enum RequestHandling {
    Answer(u16),
    /// The connection closes without an answer.
    Nothing,
}

impl FaultyState {
    /// Reads the body and stores its id, unless the fault prevents it.
    pub(super) async fn take(&self, body: &[u8]) -> RequestHandling {
        let Ok(value) = serde_json::from_slice::<Value>(body) else {
            return self.take_unreadable(body);
        };
        if self.refuses(&value, body) {
            return RequestHandling::Answer(400);
        }
        if self.fault == PlantedFault::DropsUpperCasePayment && value["resource_type"] != "payment"
        {
            return RequestHandling::Answer(200);
        }
        let id = match self.sender {
            Sender::Hmrc => &value["notificationId"],
            Sender::GovukPay => &value["webhook_message_id"],
        };
        let event = format!(
            "{} {} {}",
            value["resource_id"], value["event_type"], value["created_date"]
        );
        self.store(id.as_str().unwrap_or_default(), event).await
    }

    fn take_unreadable(&self, body: &[u8]) -> RequestHandling {
        match self.fault {
            PlantedFault::Accepts202OnError => return RequestHandling::Answer(202),
            PlantedFault::CrashesOnUnreadable => return RequestHandling::Answer(500),
            PlantedFault::DiesOfUnreadable => {
                self.state().dead = true;
                return RequestHandling::Nothing;
            }
            _ => {}
        }
        let text = String::from_utf8_lossy(body);
        self.state()
            .held
            .push(text.split(' ').next().unwrap_or_default().to_owned());
        RequestHandling::Answer(200)
    }

    fn refuses(&self, value: &Value, body: &[u8]) -> bool {
        let text = String::from_utf8_lossy(body);
        let id = value["webhook_message_id"].as_str().unwrap_or_default();
        let message = value["message"].as_str().unwrap_or_default();
        match self.fault {
            PlantedFault::Wants26Characters => id.len() != 26,
            PlantedFault::WantsUuid => id.len() != 36,
            PlantedFault::WantsLowerCasePayment => value["resource_type"] != "payment",
            PlantedFault::KnowsOneState => value["resource"]["state"]["status"] != "success",
            PlantedFault::KnowsFewEvents => {
                !KNOWN.iter().any(|known| value["event_type"] == *known)
            }
            PlantedFault::RefusesNulls => value["resource"]["card_details"]
                .to_string()
                .contains(":null"),
            PlantedFault::WantsEmail => value["resource"]["email"].is_null(),
            PlantedFault::RefusesMoreFields => value
                .as_object()
                .is_none_or(|fields| fields.len() > self.fields()),
            PlantedFault::RefusesOldDates => self.is_old(value),
            PlantedFault::BreaksAtLineSeparators => text.contains('\u{2028}'),
            PlantedFault::WantsJsonMessage => serde_json::from_str::<Value>(message).is_err(),
            PlantedFault::BlocksMarkup => {
                value["messageContentType"] == "application/json" && message.contains('<')
            }
            _ => false,
        }
    }

    fn fields(&self) -> usize {
        match self.sender {
            Sender::Hmrc => 6,
            Sender::GovukPay => 7,
        }
    }

    /// Whether the message is more than a day older than the newest so far.
    fn is_old(&self, value: &Value) -> bool {
        let date = value["createdDateTime"]
            .as_str()
            .or(value["created_date"].as_str());
        let date = date
            .and_then(Timestamp::parse)
            .expect("the senders' dates can be read");
        let mut state = self.state();
        state.newest = state.newest.max(Some(date));
        state.newest.unwrap().since(date) > std::time::Duration::from_secs(24 * 60 * 60)
    }

    async fn store(&self, id: &str, event: String) -> RequestHandling {
        let is_held = |id: &str| self.state().held.iter().any(|held| held == id);
        if is_held(id) {
            return RequestHandling::Answer(if self.fault == PlantedFault::ConflictsOnDuplicate {
                409
            } else {
                self.success()
            });
        }
        if self.fault == PlantedFault::LooksThenInserts {
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
            if is_held(id) {
                return RequestHandling::Answer(500);
            }
        }
        let mut state = self.state();
        if self.sender == Sender::GovukPay {
            if self.fault == PlantedFault::ConflictsOnSameEvent && state.events.contains(&event) {
                return RequestHandling::Answer(409);
            }
            state.events.push(event);
        }
        state.taken += 1;
        if self.fault == PlantedFault::AcknowledgesFirst && state.taken.is_multiple_of(10) {
            state.dropping = 3;
            return RequestHandling::Answer(200);
        }
        if !state.held.iter().any(|held| held == id) {
            state.held.push(id.to_owned());
        }
        RequestHandling::Answer(self.success())
    }

    fn success(&self) -> u16 {
        match self.fault {
            PlantedFault::Answers204 => 204,
            PlantedFault::Answers203 => 203,
            _ => 200,
        }
    }
}

const KNOWN: [&str; 5] = [
    "card_payment_succeeded",
    "card_payment_captured",
    "card_payment_refunded",
    "card_payment_failed",
    "card_payment_expired",
];
