//! One conditional write, whose refusal is an answer and no failure.

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
    /// Written; after an update, what the item is now.
    Done(TableItem),
    /// Not written, since its condition doesn't hold: what stands there; empty if nothing does.
    Refused(TableItem),
}

impl DynamoInbox {
    /// A write of a whole item.
    pub(super) fn put(&self, item: TableItem) -> PutItemFluentBuilder {
        self.client
            .put_item()
            .table_name(&self.settings.table)
            .set_item(Some(item))
    }

    /// Sends the write of a whole item.
    pub(super) async fn send_put(
        &self,
        put: PutItemFluentBuilder,
    ) -> Result<ConditionalWrite, InboxError> {
        match put.send().await {
            Ok(_) => Ok(ConditionalWrite::Done(TableItem::new())),
            Err(error) => match error.as_service_error() {
                Some(PutItemError::ConditionalCheckFailedException(refused)) => Ok(
                    ConditionalWrite::Refused(refused.item().cloned().unwrap_or_default()),
                ),
                _ => Err(self.failed("PutItem", &error)),
            },
        }
    }
}

/// An update being put together: what it sets and removes, and what must hold for it.
///
/// Every name in it is a placeholder: DynamoDB reserves several hundred words, `state` among them.
pub(super) struct UpdateExpression {
    update: UpdateItemFluentBuilder,
    set: Vec<String>,
    remove: Vec<String>,
    conditions: Vec<&'static str>,
}

impl UpdateExpression {
    /// A change of one item.
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
        let (word, stands_for) = (
            format!("#s{}", self.set.len()),
            format!(":s{}", self.set.len()),
        );
        self.set.push(format!("{word} = {stands_for}"));
        self.name(&word, name).value(&stands_for, value)
    }

    /// Removes an attribute.
    pub(super) fn remove(mut self, name: &str) -> Self {
        let word = format!("#r{}", self.remove.len());
        self.remove.push(word.clone());
        self.name(&word, name)
    }

    /// Sets an attribute if there is a value for it, and removes it otherwise.
    pub(super) fn set_or_remove(self, name: &str, value: Option<AttributeValue>) -> Self {
        match value {
            Some(value) => self.set(name, value),
            None => self.remove(name),
        }
    }

    /// Adds something that must hold.
    pub(super) fn only_if(mut self, condition: &'static str) -> Self {
        self.conditions.push(condition);
        self
    }

    /// Adds that the row must stand in `state` and be of no later version than this program knows.
    pub(super) fn only_in(self, state: State) -> Self {
        self.only_if("#state = :state")
            .name("#state", "state")
            .value(":state", text(state.as_str()))
            .only_known()
    }

    /// Adds that the row must be of no later version than this program knows.
    pub(super) fn only_known(self) -> Self {
        self.only_if("v <= :v").value(":v", number(ROW_VERSION))
    }

    /// Says what a `#word` stands for.
    pub(super) fn name(self, word: &str, name: &str) -> Self {
        Self {
            update: self.update.expression_attribute_names(word, name),
            ..self
        }
    }

    /// Says what a `:word` stands for.
    pub(super) fn value(self, word: &str, value: AttributeValue) -> Self {
        Self {
            update: self.update.expression_attribute_values(word, value),
            ..self
        }
    }

    /// Asks for nothing back: an item may be long.
    pub(super) fn quietly(self) -> Self {
        let update = self.update.return_values(ReturnValue::None);
        let nothing = ReturnValuesOnConditionCheckFailure::None;
        Self {
            update: update.return_values_on_condition_check_failure(nothing),
            ..self
        }
    }

    /// Sends it.
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
            Ok(done) => Ok(ConditionalWrite::Done(done.attributes.unwrap_or_default())),
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(refused)) => Ok(
                    ConditionalWrite::Refused(refused.item().cloned().unwrap_or_default()),
                ),
                _ => Err(inbox.failed("UpdateItem", &error)),
            },
        }
    }
}
