//! Conditional writes. A failed condition is an outcome, not an error.

use aws_sdk_dynamodb::{
    operation::{
        put_item::{PutItemError, builders::PutItemFluentBuilder},
        update_item::{UpdateItemError, builders::UpdateItemFluentBuilder},
    },
    types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure},
};

use super::{
    DynamoInbox,
    names::{PK, TableItem, number, text},
};
use crate::{
    domain::State,
    inbox::{InboxError, ROW_VERSION},
};

/// The outcome of a conditional write.
#[derive(Debug)]
pub(super) enum ConditionalWrite {
    /// Written. Contains the new item after an update.
    Written(TableItem),
    /// Not written, because the condition does not hold for this stored item; empty if there is
    /// none.
    ConditionFailed(TableItem),
}

impl DynamoInbox {
    /// A request that writes a whole item.
    pub(super) fn put(&self, item: TableItem) -> PutItemFluentBuilder {
        self.client
            .put_item()
            .table_name(&self.settings.table)
            .set_item(Some(item))
    }

    /// Sends a request of [`put`](Self::put).
    pub(super) async fn send_put(
        &self,
        put: PutItemFluentBuilder,
    ) -> Result<ConditionalWrite, InboxError> {
        match put.send().await {
            Ok(_) => Ok(ConditionalWrite::Written(TableItem::new())),
            Err(error) => match error.as_service_error() {
                Some(PutItemError::ConditionalCheckFailedException(failed)) => Ok(
                    ConditionalWrite::ConditionFailed(failed.item().cloned().unwrap_or_default()),
                ),
                _ => Err(self.failed("PutItem", &error)),
            },
        }
    }
}

/// A builder of an update, with its conditions.
///
/// Every attribute name is a placeholder, because DynamoDB reserves several hundred words, among
/// them `state`.
pub(super) struct UpdateExpression {
    update: UpdateItemFluentBuilder,
    set: Vec<String>,
    remove: Vec<String>,
    conditions: Vec<&'static str>,
}

impl UpdateExpression {
    /// An update of the item with the key `pk`.
    pub(super) fn of(inbox: &DynamoInbox, pk: impl Into<String>) -> Self {
        let update = inbox
            .client
            .update_item()
            .table_name(&inbox.settings.table)
            .key(PK, text(pk))
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        Self {
            update,
            set: Vec::new(),
            remove: Vec::new(),
            conditions: Vec::new(),
        }
    }

    /// Sets an attribute.
    pub(super) fn set(mut self, name: &str, value: AttributeValue) -> Self {
        let name_placeholder = format!("#s{}", self.set.len());
        let value_placeholder = format!(":s{}", self.set.len());
        self.set
            .push(format!("{name_placeholder} = {value_placeholder}"));
        self.name(&name_placeholder, name)
            .value(&value_placeholder, value)
    }

    /// Removes an attribute.
    pub(super) fn remove(mut self, name: &str) -> Self {
        let placeholder = format!("#r{}", self.remove.len());
        self.remove.push(placeholder.clone());
        self.name(&placeholder, name)
    }

    /// Sets an attribute to a value, or removes it if there is none.
    pub(super) fn set_or_remove(self, name: &str, value: Option<AttributeValue>) -> Self {
        match value {
            Some(value) => self.set(name, value),
            None => self.remove(name),
        }
    }

    /// Adds a condition.
    pub(super) fn only_if(mut self, condition: &'static str) -> Self {
        self.conditions.push(condition);
        self
    }

    /// Requires that the row is in `state` and has a version that this program knows.
    pub(super) fn require_state(self, state: State) -> Self {
        self.only_if("#state = :state")
            .name("#state", "state")
            .value(":state", text(state.as_str()))
            .require_known_version()
    }

    /// Requires that the row has a version that this program knows.
    pub(super) fn require_known_version(self) -> Self {
        self.only_if("v <= :v").value(":v", number(ROW_VERSION))
    }

    /// Defines a placeholder for a name.
    pub(super) fn name(self, placeholder: &str, name: &str) -> Self {
        Self {
            update: self.update.expression_attribute_names(placeholder, name),
            ..self
        }
    }

    /// Defines a placeholder for a value.
    pub(super) fn value(self, placeholder: &str, value: AttributeValue) -> Self {
        Self {
            update: self.update.expression_attribute_values(placeholder, value),
            ..self
        }
    }

    /// Returns no item, because it may be long.
    pub(super) fn without_item(self) -> Self {
        let update = self.update.return_values(ReturnValue::None);
        let none = ReturnValuesOnConditionCheckFailure::None;
        Self {
            update: update.return_values_on_condition_check_failure(none),
            ..self
        }
    }

    /// Sends the update.
    pub(super) async fn send(self, inbox: &DynamoInbox) -> Result<ConditionalWrite, InboxError> {
        let clause = |keyword: &str, actions: &[String]| match actions {
            [] => String::new(),
            actions => format!("{keyword} {} ", actions.join(", ")),
        };
        let update = self
            .update
            .update_expression(clause("SET", &self.set) + &clause("REMOVE", &self.remove))
            .condition_expression(self.conditions.join(" AND "));
        match update.send().await {
            Ok(done) => Ok(ConditionalWrite::Written(
                done.attributes.unwrap_or_default(),
            )),
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(failed)) => Ok(
                    ConditionalWrite::ConditionFailed(failed.item().cloned().unwrap_or_default()),
                ),
                _ => Err(inbox.failed("UpdateItem", &error)),
            },
        }
    }
}
