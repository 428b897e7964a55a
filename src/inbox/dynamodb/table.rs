//! The schema of the table. Creates a development table, and checks an existing one.
//!
//! The template describes the same table. A test compares the two.

use std::time::Duration;

use aws_sdk_dynamodb::{
    operation::{create_table::CreateTableError, describe_table::DescribeTableOutput},
    types::{
        AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType,
        Projection, ProjectionType, ScalarAttributeType, StreamSpecification, StreamViewType,
        TableDescription, TableStatus, TimeToLiveSpecification, TimeToLiveStatus,
    },
};

use super::{
    DynamoInbox, client,
    names::{INDEX, PK},
};
use crate::inbox::InboxError;

/// The attributes that the index has besides its keys.
pub const PROJECTED: [&str; 4] = ["state", "event_type", "subject", "received_at"];
/// The index's partition key.
pub const INDEX_PARTITION: &str = "shelf";
/// The index's sort key.
pub const DUE_AT: &str = "due_at";
/// The attribute by which DynamoDB removes expired items.
pub const EXPIRES_AT: &str = "expires_at";

/// An error of a table, with advice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableError(pub &'static str);

impl TableError {
    /// Whether a server can still store, find and deliver rows: only the Lambda needs the stream,
    /// and without TTL rows are only kept for too long.
    pub(super) fn is_tolerable(&self) -> bool {
        [NO_STREAM, NO_TTL].contains(&self.0)
    }
}

const NO_STREAM: &str = "has no stream with new images: only the sweep delivers rows, minutes \
                         late; enable it";
const NO_TTL: &str = "does not remove expired items: enable its TTL on the attribute expires_at";

impl DynamoInbox {
    /// The name of the table.
    pub fn table(&self) -> &str {
        &self.settings.table
    }

    /// Creates the table, or updates an existing one. Returns whether it existed.
    pub async fn init(&self) -> Result<bool, InboxError> {
        let existed = self.create().await?;
        self.wait_until_active().await?;
        self.enable_ttl().await?;
        Ok(existed)
    }

    async fn create(&self) -> Result<bool, InboxError> {
        let index = GlobalSecondaryIndex::builder()
            .index_name(INDEX)
            .key_schema(key(INDEX_PARTITION, KeyType::Hash))
            .key_schema(key(DUE_AT, KeyType::Range))
            .projection(
                Projection::builder()
                    .projection_type(ProjectionType::Include)
                    .set_non_key_attributes(Some(PROJECTED.map(str::to_owned).to_vec()))
                    .build(),
            );
        let stream = StreamSpecification::builder()
            .stream_enabled(true)
            .stream_view_type(StreamViewType::NewImage);
        let create = self
            .client
            .create_table()
            .table_name(self.table())
            .billing_mode(BillingMode::PayPerRequest)
            .attribute_definitions(attribute(PK, ScalarAttributeType::S))
            .attribute_definitions(attribute(INDEX_PARTITION, ScalarAttributeType::S))
            .attribute_definitions(attribute(DUE_AT, ScalarAttributeType::N))
            .key_schema(key(PK, KeyType::Hash))
            .global_secondary_indexes(built(index.build()))
            .stream_specification(built(stream.build()));
        match create
            .customize()
            .config_override(client::long_timeouts())
            .send()
            .await
        {
            Ok(_) => Ok(false),
            Err(error)
                if matches!(
                    error.as_service_error(),
                    Some(CreateTableError::ResourceInUseException(_))
                ) =>
            {
                Ok(true)
            }
            Err(error) => Err(self.failed("CreateTable", &error)),
        }
    }

    async fn wait_until_active(&self) -> Result<(), InboxError> {
        for _ in 0..120 {
            let described = self.describe().await?;
            if described.table().and_then(TableDescription::table_status)
                == Some(&TableStatus::Active)
            {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        Err(InboxError::Unavailable(format!(
            "table {} is not active after a minute: run this again",
            self.table()
        )))
    }

    async fn enable_ttl(&self) -> Result<(), InboxError> {
        if self.has_ttl().await? {
            return Ok(());
        }
        let expiry = TimeToLiveSpecification::builder()
            .enabled(true)
            .attribute_name(EXPIRES_AT)
            .build();
        let update = self
            .client
            .update_time_to_live()
            .table_name(self.table())
            .time_to_live_specification(built(expiry));
        let done = update
            .customize()
            .config_override(client::long_timeouts())
            .send()
            .await;
        done.map(drop)
            .map_err(|error| self.failed("UpdateTimeToLive", &error))
    }

    async fn has_ttl(&self) -> Result<bool, InboxError> {
        let described = self
            .client
            .describe_time_to_live()
            .table_name(self.table())
            .send()
            .await;
        let described = described.map_err(|error| self.failed("DescribeTimeToLive", &error))?;
        let expiry = described.time_to_live_description();
        let is_enabled = |status| {
            matches!(
                status,
                Some(TimeToLiveStatus::Enabled | TimeToLiveStatus::Enabling)
            )
        };
        Ok(expiry.is_some_and(|expiry| {
            is_enabled(expiry.time_to_live_status().cloned())
                && expiry.attribute_name() == Some(EXPIRES_AT)
        }))
    }

    async fn describe(&self) -> Result<DescribeTableOutput, InboxError> {
        let described = self
            .client
            .describe_table()
            .table_name(self.table())
            .send()
            .await;
        described.map_err(|error| self.failed("DescribeTable", &error))
    }

    /// The errors of the table that would lose or delay a notification.
    pub async fn errors(&self) -> Result<Vec<TableError>, InboxError> {
        let described = self.describe().await?;
        let table = described
            .table()
            .cloned()
            .unwrap_or_else(|| TableDescription::builder().build());
        let mut errors = schema_errors(&table);
        if !self.has_ttl().await? {
            errors.push(TableError(NO_TTL));
        }
        Ok(errors)
    }
}

fn schema_errors(table: &TableDescription) -> Vec<TableError> {
    let mut errors = Vec::new();
    if table
        .table_status()
        .is_some_and(|status| *status != TableStatus::Active)
    {
        errors.push(TableError("is not active yet: wait, and try again"));
    }
    if !has_keys(table.key_schema(), &[PK]) {
        errors.push(TableError(
            "has a different key from pk: it is not a table of Pillarbox; name another",
        ));
    }
    match table
        .global_secondary_indexes()
        .iter()
        .find(|index| index.index_name() == Some(INDEX))
    {
        None => errors.push(TableError(
            "has no index `shelf`, so due rows would not be found: deploy the template's table",
        )),
        Some(index) if !has_keys(index.key_schema(), &[INDEX_PARTITION, DUE_AT]) => {
            errors.push(TableError(
                "has an index `shelf` with other keys than shelf and due_at: \
                 deploy the template's table",
            ));
        }
        Some(index) if !has_required_projection(index.projection()) => errors.push(TableError(
            "has an index `shelf` that lacks state, event_type, subject or received_at: deploy \
             the template's table",
        )),
        Some(_) => {}
    }
    let stream = table.stream_specification();
    if !stream.is_some_and(|stream| {
        stream.stream_enabled()
            && matches!(
                stream.stream_view_type(),
                Some(StreamViewType::NewImage | StreamViewType::NewAndOldImages)
            )
    }) {
        errors.push(TableError(NO_STREAM));
    }
    errors
}

fn has_keys(schema: &[KeySchemaElement], names: &[&str]) -> bool {
    schema
        .iter()
        .map(KeySchemaElement::attribute_name)
        .eq(names.iter().copied())
}

fn has_required_projection(projection: Option<&Projection>) -> bool {
    projection.is_some_and(|projection| {
        let projected = projection.non_key_attributes();
        projection.projection_type() == Some(&ProjectionType::All)
            || PROJECTED
                .iter()
                .all(|name| projected.iter().any(|projected| projected == name))
    })
}

fn attribute(name: &str, of_type: ScalarAttributeType) -> AttributeDefinition {
    built(
        AttributeDefinition::builder()
            .attribute_name(name)
            .attribute_type(of_type)
            .build(),
    )
}

fn key(name: &str, of_type: KeyType) -> KeySchemaElement {
    built(
        KeySchemaElement::builder()
            .attribute_name(name)
            .key_type(of_type)
            .build(),
    )
}

fn built<T, E: std::fmt::Debug>(result: Result<T, E>) -> T {
    result.expect("every required field was set")
}
