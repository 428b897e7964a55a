//! What the console needs of an inbox.
//!
//! Pages take the traits of the inbox that they need: `ReadInbox` to show, `OperatorInbox` to act.
//! What only the console asks is here.

use std::future::Future;

use crate::{
    any_inbox::AnyInbox,
    sqlite::{ArrivalCount, SqliteInbox},
};
use pillarbox::{
    domain::Timestamp,
    inbox::{Inbox, InboxError, dynamodb::DynamoInbox},
};

/// What it costs to read the newest rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListCost {
    /// Nothing that counts: a local file has them in order.
    Local,
    /// One read of the whole table, which has no order, and which AWS charges.
    Scan,
}

/// An inbox that a console can show.
pub trait ConsoleInbox: Inbox {
    /// What it costs to read the newest rows.
    fn list_cost(&self) -> ListCost;

    /// How many notifications arrived from each of `bounds` to the next; `None` if only a read of
    /// everything would show that.
    fn arrivals(
        &self,
        _bounds: Vec<Timestamp>,
    ) -> impl Future<Output = Result<Option<Vec<ArrivalCount>>, InboxError>> + Send {
        async { Ok(None) }
    }
}

impl ConsoleInbox for SqliteInbox {
    fn list_cost(&self) -> ListCost {
        ListCost::Local
    }

    async fn arrivals(
        &self,
        bounds: Vec<Timestamp>,
    ) -> Result<Option<Vec<ArrivalCount>>, InboxError> {
        Self::arrivals(self, bounds).await.map(Some)
    }
}

impl ConsoleInbox for DynamoInbox {
    fn list_cost(&self) -> ListCost {
        ListCost::Scan
    }
}

impl ConsoleInbox for AnyInbox {
    fn list_cost(&self) -> ListCost {
        match self {
            Self::Sqlite(inbox) => inbox.list_cost(),
            Self::DynamoDb(inbox) => inbox.list_cost(),
        }
    }

    async fn arrivals(
        &self,
        bounds: Vec<Timestamp>,
    ) -> Result<Option<Vec<ArrivalCount>>, InboxError> {
        match self {
            Self::Sqlite(inbox) => ConsoleInbox::arrivals(inbox, bounds).await,
            Self::DynamoDb(inbox) => ConsoleInbox::arrivals(inbox, bounds).await,
        }
    }
}
