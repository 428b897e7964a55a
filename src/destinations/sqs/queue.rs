//! Parses the URL of an SQS queue.

use url::Url;

use crate::http_client::{EndpointError, endpoint};

/// The end of a FIFO queue's name.
const FIFO: &str = ".fifo";

/// A queue, by its URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqsQueue {
    url: Url,
    name: String,
}

/// Why a text is not the URL of a queue. Never contains the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SqsQueueError {
    /// Not a URL that requests may be sent to.
    #[error(transparent)]
    Url(#[from] EndpointError),
    /// Not the URL of a queue.
    #[error(
        "is not the URL of a queue: copy it whole, such as \
         https://sqs.eu-west-2.amazonaws.com/111122223333/NAME"
    )]
    NoQueue,
}

impl SqsQueue {
    /// Reads a queue's URL: https, or http on loopback.
    pub fn parse(text: &str) -> Result<Self, SqsQueueError> {
        let url = endpoint(text)?;
        let name = url.path().rsplit('/').next().unwrap_or_default();
        let bare = name.strip_suffix(FIFO).unwrap_or(name);
        let plain = bare
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
        let is_queue = plain && !bare.is_empty() && name.len() <= 80 && url.query().is_none();
        if is_queue {
            Ok(Self {
                name: name.to_owned(),
                url,
            })
        } else {
            Err(SqsQueueError::NoQueue)
        }
    }

    /// The URL of the queue.
    pub fn url(&self) -> &str {
        self.url.as_str()
    }

    /// The name of the queue.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is a FIFO queue. SQS requires the name to end in `.fifo`.
    pub fn is_fifo(&self) -> bool {
        self.name.ends_with(FIFO)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_of_a_queue_ends_with_its_name() {
        const HOST: &str = "https://sqs.eu-west-2.amazonaws.com";
        let path = "/111122223333/Ledger_1-a.fifo";
        for (url, name, is_fifo) in [
            (format!("{HOST}/111122223333/ledger"), "ledger", false),
            (format!("{HOST}{path}"), "Ledger_1-a.fifo", true),
            ("http://127.0.0.1:4566/0/fifo".to_owned(), "fifo", false),
        ] {
            let queue = SqsQueue::parse(&url).unwrap();
            let found = (queue.url(), queue.name(), queue.is_fifo());
            assert_eq!(found, (url.as_str(), name, is_fifo));
        }
        let long = format!("/111122223333/{}", "q".repeat(81));
        for path in [
            "",
            "/1/",
            "/1/.fifo",
            "/1/a.b",
            "/1/q?Action=SendMessage",
            &long,
        ] {
            let parsed = SqsQueue::parse(&format!("{HOST}{path}"));
            assert_eq!(parsed, Err(SqsQueueError::NoQueue), "{path}");
        }
        for (text, error) in [
            ("ledger", EndpointError::NoUrl),
            (
                "http://sqs.eu-west-2.amazonaws.com/1/q",
                EndpointError::Plain,
            ),
        ] {
            assert_eq!(
                SqsQueue::parse(text),
                Err(SqsQueueError::Url(error)),
                "{text}"
            );
        }
    }
}
