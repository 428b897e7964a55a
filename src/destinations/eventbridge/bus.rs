//! Parses the name or ARN of an event bus.

/// An event bus, by its name or its ARN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventBus(String);

/// The text is neither the name nor the ARN of a bus. Never contains the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not a bus: write its name, or its ARN (arn:aws:events:REGION:ACCOUNT:event-bus/NAME)")]
pub struct EventBusError;

impl EventBus {
    /// Reads a bus's name or ARN.
    pub fn parse(text: &str) -> Result<Self, EventBusError> {
        let name = if text.starts_with("arn:") {
            name_of(text)
        } else {
            Some(text)
        };
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/_.-".contains(&byte);
        let is_name =
            name.is_some_and(|name| (1..=256).contains(&name.len()) && name.bytes().all(plain));
        if is_name {
            Ok(Self(text.to_owned()))
        } else {
            Err(EventBusError)
        }
    }

    /// The name or ARN as configured; EventBridge accepts both.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name alone.
    pub fn name(&self) -> &str {
        name_of(&self.0).unwrap_or(&self.0)
    }
}

/// The name in `arn:aws…:events:REGION:ACCOUNT:event-bus/NAME`.
fn name_of(arn: &str) -> Option<&str> {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let ["arn", partition, "events", region, account, resource] = parts[..] else {
        return None;
    };
    let is_valid = partition.starts_with("aws")
        && !region.is_empty()
        && account.bytes().all(|b| b.is_ascii_digit());
    resource.strip_prefix("event-bus/").filter(|_| is_valid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bus_is_a_name_or_an_arn() {
        for (text, name) in [
            ("default", "default"),
            ("team/ledger_1.a-b", "team/ledger_1.a-b"),
            (
                "arn:aws:events:eu-west-2:111122223333:event-bus/ledger",
                "ledger",
            ),
            (
                "arn:aws-us-gov:events:us-gov-west-1:111122223333:event-bus/team/ledger",
                "team/ledger",
            ),
        ] {
            assert_eq!(EventBus::parse(text).unwrap().name(), name);
        }
        for bad in [
            "",
            "a bus",
            "a:b",
            &"b".repeat(257),
            "arn:aws:events:eu-west-2:111122223333:rule/ledger",
            "arn:aws:events:eu-west-2:111122223333:event-bus/",
            "arn:aws:sqs:eu-west-2:111122223333:event-bus/ledger",
            "arn:aws:events::111122223333:event-bus/ledger",
        ] {
            assert_eq!(EventBus::parse(bad), Err(EventBusError), "{bad}");
        }
    }
}
