//! Conditional writes. A condition that does not hold is an outcome, not an error.

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

/// How a conditional write ended.
#[derive(Debug)]
pub(super) enum ConditionalWrite {
    /// Written. After an update, the new item.
    Written(TableItem),
    /// Not written: the condition does not hold for the stored item, given here; empty if there is
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

/// A builder of an update: what it sets and removes, and its conditions.
///
/// Every attribute name is a placeholder: DynamoDB reserves several hundred words, `state` among
/// them.
pub(super) struct UpdateExpression {
    update: UpdateItemFluentBuilder,
    set: Vec<String>,
    remove: Vec<String>,
    conditions: Vec<&'static str>,
}

impl UpdateExpression {
    /// An update of one item.
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
        let name_word = format!("#s{}", self.set.len());
        let value_word = format!(":s{}", self.set.len());
        self.set.push(format!("{name_word} = {value_word}"));
        self.name(&name_word, name).value(&value_word, value)
    }

    /// Removes an attribute.
    pub(super) fn remove(mut self, name: &str) -> Self {
        let word = format!("#r{}", self.remove.len());
        self.remove.push(word.clone());
        self.name(&word, name)
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

    /// Requires that the row is in `state`, and of a version that this program knows.
    pub(super) fn only_in(self, state: State) -> Self {
        self.only_if("#state = :state")
            .name("#state", "state")
            .value(":state", text(state.as_str()))
            .only_known()
    }

    /// Requires that the row is of a version that this program knows.
    pub(super) fn only_known(self) -> Self {
        self.only_if("v <= :v").value(":v", number(ROW_VERSION))
    }

    /// Defines a placeholder for a name.
    pub(super) fn name(self, word: &str, name: &str) -> Self {
        Self {
            update: self.update.expression_attribute_names(word, name),
            ..self
        }
    }

    /// Defines a placeholder for a value.
    pub(super) fn value(self, word: &str, value: AttributeValue) -> Self {
        Self {
            update: self.update.expression_attribute_values(word, value),
            ..self
        }
    }

    /// Returns no item: it may be long.
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
        let section = |verb: &str, parts: &[String]| match parts {
            [] => String::new(),
            parts => format!("{verb} {} ", parts.join(", ")),
        };
        let update = self
            .update
            .update_expression(section("SET", &self.set) + &section("REMOVE", &self.remove))
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
