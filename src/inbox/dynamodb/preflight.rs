//! Checks a table before a server starts on it, for errors that only a person can correct and that
//! would stop every notification from being stored, found or delivered.
//!
//! Each check sends a request of a kind that the server sends later, so it needs the same
//! permissions and no others. The checks change nothing, except for one small entry with the layout
//! of the rows. A replica with an incompatible layout does not start.

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
    names::{NEVER, PK, TableItem, WARM, index_partition_of, text},
};
use crate::{
    domain::Timestamp,
    inbox::{CasOutcome, InboxError, KvEntry, KvKey, ROW_VERSION},
};

/// How much this machine's clock may differ from DynamoDB's. A lease must not be expired for one
/// replica while it is valid for another.
pub const MAX_CLOCK_DIFFERENCE: Duration = Duration::from_secs(60);

/// Why a server cannot start on a table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PreflightError {
    /// A person must correct the configuration. Each sentence is one correction.
    #[error("{}", .0.join("\n"))]
    Misconfigured(Vec<String>),
    /// The table cannot be reached. A retry may succeed.
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
    /// If the table cannot be used or cannot be reached.
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
        let Ok(errors) = self.errors().await else {
            return Ok(()); // the other checks find what prevents a start
        };
        let errors = errors.iter().filter(|error| !error.is_tolerable());
        let table = self.table();
        misconfigured(errors.map(|error| format!("table {table} {}", error.0)))
    }

    async fn check_index(&self) -> Result<(), PreflightError> {
        let query = self
            .query_index(index_partition_of("open", 0))
            .key_condition_expression("shelf = :shelf")
            .limit(1);
        let queried = query.send().await;
        queried
            .map(drop)
            .map_err(|error| self.rejected("Query", &error))
    }

    /// Checks that putting items is permitted, and compares the clocks by the date of the answer.
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
        let Some(date) = answer.and_then(|answer| date(answer.headers().get("date")?)) else {
            return Ok(());
        };
        let (ahead, behind) = (now.since(date), date.since(now));
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

    /// Checks that the stored layout of the rows is compatible with that of this process. Stores
    /// the latter if none is stored or if it has grown.
    async fn check_layout(&self, version: u64) -> Result<(), PreflightError> {
        let key = KvKey::new("layout", "table");
        let own = RowLayout {
            row_version: ROW_VERSION,
            shards: self.settings.shards,
        };
        // Another replica that starts now may store its layout first.
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
            "table {}: other processes keep changing its layout",
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

/// The layout of the rows of a table. Both numbers may grow but must not shrink.
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

    /// Checks that a process with this layout finds and can read rows with the layout `found`.
    fn check(self, found: Self, table: &str) -> Result<(), PreflightError> {
        let mut errors = Vec::new();
        if found.row_version > self.row_version {
            errors.push(format!(
                "table {table} has rows of version {}, and this program knows version {}: run a \
                 newer Pillarbox",
                found.row_version, self.row_version
            ));
        }
        if found.shards > self.shards {
            errors.push(format!(
                "table {table} is used with {} shards, and [inbox] shards is {} here: set it to \
                 {}, or the rows in the others would never be found",
                found.shards, self.shards, found.shards
            ));
        }
        misconfigured(errors)
    }
}

/// An error if there are any sentences.
fn misconfigured(sentences: impl IntoIterator<Item = String>) -> Result<(), PreflightError> {
    let sentences: Vec<String> = sentences.into_iter().collect();
    if sentences.is_empty() {
        Ok(())
    } else {
        Err(PreflightError::Misconfigured(sentences))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layout_may_grow_but_not_shrink() {
        let layout = |row_version, shards| RowLayout {
            row_version,
            shards,
        };
        let own = layout(1, 16);
        for (found, expected) in [
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
            assert_eq!(sentences.len(), expected.len(), "{sentences:?}");
            for (sentence, advice) in sentences.iter().zip(expected) {
                assert!(sentence.contains(advice), "{sentence}");
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
