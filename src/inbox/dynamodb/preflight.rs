//! The checks of a table before a server starts on it: what would keep every notification from
//! being stored, found or delivered, and needs a person.
//!
//! Each check sends a request of the kind that the server sends later, so that it needs the same
//! permissions and no others. Nothing is changed, except for one small entry that says how the rows
//! are laid out: a replica that would write them in another way does not start.

use std::time::Duration;

use aws_sdk_dynamodb::{
    error::{ProvideErrorMetadata, SdkError},
    operation::{put_item::PutItemError, update_item::UpdateItemError},
};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use jiff::fmt::rfc2822;

use super::{
    DynamoInbox, client,
    error::{describe, is_permanent},
    kv,
    names::{INDEX, PK, TableItem, WARM, index_partition_of, text},
};
use crate::{
    domain::Timestamp,
    inbox::{CasOutcome, InboxError, KvEntry, KvKey, ROW_VERSION},
};

/// A condition that holds for no item.
const NEVER: &str = "attribute_exists(pk) AND attribute_not_exists(pk)";

/// How far this machine's clock may be from DynamoDB's. A lease must not look lapsed to one replica
/// while it holds for another.
pub const MAX_CLOCK_DIFFERENCE: Duration = Duration::from_secs(60);

/// Why a server cannot start on a table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PreflightError {
    /// A person must correct something: each sentence says what.
    #[error("{}", .0.join("\n"))]
    Misconfigured(Vec<String>),
    /// The table cannot be reached now. A retry may succeed.
    #[error("{0}")]
    Unreachable(String),
}

impl From<InboxError> for PreflightError {
    fn from(error: InboxError) -> Self {
        Self::Unreachable(error.to_string())
    }
}

impl DynamoInbox {
    /// Checks the table before a server starts on it at `now`. `version` is a new random number.
    ///
    /// # Errors
    /// If the table cannot be used as it is, or cannot be reached.
    pub async fn preflight(&self, now: Timestamp, version: u64) -> Result<(), PreflightError> {
        self.check_schema().await?;
        let read = self
            .client
            .get_item()
            .table_name(self.table())
            .key(PK, text(WARM));
        let read = read.customize().config_override(client::long_timeouts());
        read.send()
            .await
            .map_err(|error| self.rejected("GetItem", &error))?;
        self.check_index().await?;
        self.check_put(now).await?;
        self.check_update().await?;
        self.check_layout(version).await
    }

    /// Checks the schema, if this process may describe the table.
    async fn check_schema(&self) -> Result<(), PreflightError> {
        let faults = match self.faults().await {
            Ok(faults) => faults,
            Err(_) => return Ok(()), // the requests that follow show what is wrong
        };
        let faults: Vec<String> = faults
            .iter()
            .filter(|fault| !fault.lets_a_server_work())
            .map(|fault| format!("table {} {}", self.table(), fault.0))
            .collect();
        if faults.is_empty() {
            Ok(())
        } else {
            Err(PreflightError::Misconfigured(faults))
        }
    }

    async fn check_index(&self) -> Result<(), PreflightError> {
        let query = self
            .client
            .query()
            .table_name(self.table())
            .index_name(INDEX)
            .key_condition_expression("shelf = :shelf")
            .expression_attribute_values(":shelf", text(index_partition_of("open", 0)))
            .limit(1);
        let queried = query.send().await;
        queried
            .map(drop)
            .map_err(|error| self.rejected("Query", &error))
    }

    /// Checks that items may be put, and compares the clocks by the answer's date.
    async fn check_put(&self, now: Timestamp) -> Result<(), PreflightError> {
        let put = self
            .put(TableItem::from([(PK.to_owned(), text(WARM))]))
            .condition_expression(NEVER);
        match put.send().await {
            Ok(_) => Ok(()),
            Err(error)
                if matches!(
                    error.as_service_error(),
                    Some(PutItemError::ConditionalCheckFailedException(_))
                ) =>
            {
                self.check_clock(error.raw_response(), now)
            }
            Err(error) => Err(self.rejected("PutItem", &error)),
        }
    }

    async fn check_update(&self) -> Result<(), PreflightError> {
        let update = self
            .client
            .update_item()
            .table_name(self.table())
            .key(PK, text(WARM))
            .update_expression("SET probed = :probed")
            .expression_attribute_values(":probed", text("yes"))
            .condition_expression(NEVER);
        match update.send().await {
            Ok(_) => Ok(()),
            Err(error)
                if matches!(
                    error.as_service_error(),
                    Some(UpdateItemError::ConditionalCheckFailedException(_))
                ) =>
            {
                Ok(())
            }
            Err(error) => Err(self.rejected("UpdateItem", &error)),
        }
    }

    fn check_clock(
        &self,
        answer: Option<&HttpResponse>,
        now: Timestamp,
    ) -> Result<(), PreflightError> {
        let Some(theirs) = answer.and_then(|answer| date(answer.headers().get("date")?)) else {
            return Ok(());
        };
        let (ahead, behind) = (now.since(theirs), theirs.since(now));
        let (difference, side) = if ahead > behind {
            (ahead, "ahead of")
        } else {
            (behind, "behind")
        };
        if difference <= MAX_CLOCK_DIFFERENCE {
            return Ok(());
        }
        Err(PreflightError::Misconfigured(vec![format!(
            "this machine's clock is {} s {side} DynamoDB's: correct it, and keep it right with \
             NTP. It decides which notifications are too old, and which replica works on a row",
            difference.as_secs()
        )]))
    }

    /// Checks that the rows are laid out as this process would write them, and notes the layout if
    /// none is noted.
    async fn check_layout(&self, version: u64) -> Result<(), PreflightError> {
        let key = KvKey::new("layout", "table");
        let own = RowLayout {
            row_version: ROW_VERSION,
            shards: self.settings.shards,
        };
        // Another replica that starts now may note its layout first.
        for _ in 0..3 {
            let stored = kv::get(self, &key).await?;
            let found = stored
                .as_ref()
                .and_then(|entry| RowLayout::parse(&entry.text));
            if let Some(found) = found {
                own.check(found, self.table())?;
                if found == own {
                    return Ok(());
                }
            }
            let next = KvEntry {
                version,
                text: own.to_text(),
            };
            let expected = stored.map(|entry| entry.version);
            if kv::compare_and_swap(self, &key, expected, &next).await? == CasOutcome::Stored {
                return Ok(());
            }
        }
        Err(PreflightError::Unreachable(format!(
            "table {}: its layout changes again and again",
            self.table()
        )))
    }

    fn rejected<E: ProvideErrorMetadata, R>(
        &self,
        operation: &str,
        error: &SdkError<E, R>,
    ) -> PreflightError {
        let text = describe(operation, self.table(), error);
        if is_permanent(error) {
            PreflightError::Misconfigured(vec![text])
        } else {
            PreflightError::Unreachable(text)
        }
    }
}

/// The date of an HTTP answer.
fn date(header: &str) -> Option<Timestamp> {
    let parsed = rfc2822::DateTimeParser::new().parse_timestamp(header);
    parsed
        .ok()
        .map(|at| Timestamp::from_millis(at.as_millisecond()))
}

/// How the rows of a table are laid out. Both numbers may grow and never shrink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct RowLayout {
    row_version: u32,
    shards: u32,
}

impl RowLayout {
    fn parse(text: &str) -> Option<Self> {
        let (row_version, shards) = text.strip_prefix("rows ")?.split_once(" shards ")?;
        Some(Self {
            row_version: row_version.parse().ok()?,
            shards: shards.parse().ok()?,
        })
    }

    fn to_text(self) -> String {
        format!("rows {} shards {}", self.row_version, self.shards)
    }

    /// Checks that a process with this layout finds and reads what one with `found` has written.
    fn check(self, found: Self, table: &str) -> Result<(), PreflightError> {
        let mut faults = Vec::new();
        if found.row_version > self.row_version {
            faults.push(format!(
                "table {table} has rows of version {}, and this program knows version {}: run a \
                 newer Pillarbox",
                found.row_version, self.row_version
            ));
        }
        if found.shards > self.shards {
            faults.push(format!(
                "table {table} is used with {} shards, and [inbox] shards is {} here: set it to \
                 {}, or the rows in the others would never be found",
                found.shards, self.shards, found.shards
            ));
        }
        if faults.is_empty() {
            Ok(())
        } else {
            Err(PreflightError::Misconfigured(faults))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layout_may_grow_and_never_shrink() {
        let layout = |row_version, shards| RowLayout {
            row_version,
            shards,
        };
        let own = layout(1, 16);
        for (found, faults) in [
            (layout(1, 16), &[][..]),
            (layout(1, 4), &[]),
            (layout(2, 16), &["run a newer Pillarbox"]),
            (layout(1, 32), &["set it to 32"]),
            (layout(3, 17), &["run a newer Pillarbox", "set it to 17"]),
        ] {
            assert_eq!(RowLayout::parse(&found.to_text()), Some(found));
            let sentences = match own.check(found, "inbox") {
                Err(PreflightError::Misconfigured(sentences)) => sentences,
                Err(PreflightError::Unreachable(reason)) => panic!("{reason}"),
                Ok(()) => Vec::new(),
            };
            assert_eq!(sentences.len(), faults.len(), "{sentences:?}");
            for (sentence, fault) in sentences.iter().zip(faults) {
                assert!(sentence.contains(fault), "{sentence}");
            }
        }
        for unknown in ["", "rows 1", "rows x shards 16", "shards 16"] {
            assert_eq!(RowLayout::parse(unknown), None);
        }
    }

    #[test]
    fn the_date_of_an_answer_is_read() {
        assert_eq!(
            date("Mon, 02 Mar 2026 10:15:31 GMT"),
            Some(Timestamp::from_millis(1_772_446_531_000))
        );
        assert_eq!(date("yesterday"), None);
    }
}
