//! What the console needs of an inbox.
//!
//! Pages take the traits of the inbox that they need: `ReadInbox` to show, `OperatorInbox` to act.
//! The queries here are the console's alone.

use std::future::Future;

use crate::{
    any_inbox::AnyInbox,
    search::SearchInbox,
    sqlite::{ArrivalCount, SqliteInbox},
};
use pillarbox::{
    domain::Timestamp,
    inbox::{Inbox, InboxError, PageRequest, RowFilter, RowPage, dynamodb::DynamoInbox},
};

/// The most rows of a local file that one page examines, because deliveries wait for reads of the
/// same file.
const EXAMINED_ROWS: u32 = 100_000;

/// What it costs to read the newest rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListCost {
    /// Very little: the rows of a local file are in order of arrival.
    Local,
    /// A scan of the whole table, which AWS charges: its rows have no order.
    Scan,
}

/// An inbox that a console can show.
pub trait ConsoleInbox: Inbox + SearchInbox {
    /// What it costs to read the newest rows.
    fn list_cost(&self) -> ListCost;

    /// One page of a list. A page that is not full may have a next page.
    fn list_page(
        &self,
        filter: &RowFilter,
        page: PageRequest,
    ) -> impl Future<Output = Result<RowPage, InboxError>> + Send {
        self.list(filter, page)
    }

    /// How many notifications arrived from each of `bounds` to the next; `None` if that takes a
    /// scan of the whole inbox.
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

    async fn list_page(
        &self,
        filter: &RowFilter,
        page: PageRequest,
    ) -> Result<RowPage, InboxError> {
        self.list_within(filter, page, EXAMINED_ROWS).await
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

    async fn list_page(
        &self,
        filter: &RowFilter,
        page: PageRequest,
    ) -> Result<RowPage, InboxError> {
        match self {
            Self::Sqlite(inbox) => inbox.list_page(filter, page).await,
            Self::DynamoDb(inbox) => inbox.list_page(filter, page).await,
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
