//! Acts on all notifications that match a filter: first a page with their count, then a background
//! task with a progress page.
//!
//! One act runs at a time, so that two people do not replay the same rows at twice the rate. A task
//! ends with the process. Its changes are in the audit trail, and another run does the rest.

use std::{
    collections::BTreeMap,
    num::NonZeroU32,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use askama::Template;
use axum::{
    Extension,
    extract::{Path, RawQuery, State},
    http::{HeaderValue, StatusCode, header},
    response::Response,
};
use tokio_util::sync::CancellationToken;

use super::{
    acts,
    form::ConsoleForm,
    frame::PageFrame,
    inbox::{ConsoleInbox, ListCost},
    page::{PageError, page},
    query::ListPageQuery,
    row_page,
    sign_in::see_other,
    state::{ConsoleState, SharedConsoleState},
};
use crate::acts::{ActProgress, ActScope, Operator, RowAct, RowResult, RowSelection};
use pillarbox::{
    domain::Key,
    inbox::{AuditOutcome, InboxError},
    telemetry::visible,
};

/// The most acts whose progress pages are kept.
const MAX_KEPT: usize = 20;
/// The most notifications that a page names.
const MAX_NAMED: usize = 20;
/// The suggested number of notifications a second.
const SUGGESTED_RATE: u32 = 10;
/// How often the progress page of a running act reloads.
const RELOAD_SECONDS: &str = "2";

/// The acts of one console, by id.
#[derive(Default)]
pub(super) struct BulkActs(Mutex<BTreeMap<u64, Arc<BulkAct>>>);

/// One act on many notifications.
struct BulkAct {
    act: RowAct,
    scope: String,
    rate: Option<NonZeroU32>,
    stop: CancellationToken,
    state: Mutex<BulkState>,
}

#[derive(Clone, Default)]
struct BulkState {
    progress: ActProgress,
    /// The first rows that were left alone, and why.
    left_alone: Vec<String>,
    end: Option<BulkEnd>,
}

#[derive(Clone)]
struct BulkEnd {
    outcome: AuditOutcome,
    failure: Option<String>,
}

#[derive(Template)]
#[template(path = "bulk.html")]
struct BulkPage {
    frame: PageFrame,
    name: &'static str,
    effect: &'static str,
    participle: &'static str,
    scope: String,
    count: usize,
    /// Whether other notifications match than were confirmed.
    has_changed: bool,
    /// The first of them: address and key.
    first: Vec<(String, String)>,
    refused: Vec<String>,
    refused_count: usize,
    unreadable: usize,
    query: String,
    rate: u32,
    list: String,
}

#[derive(Template)]
#[template(path = "bulk_progress.html")]
struct BulkProgressPage {
    frame: PageFrame,
    id: String,
    title: String,
    name: &'static str,
    participle: &'static str,
    scope: String,
    rate: Option<u32>,
    progress: ActProgress,
    handled: usize,
    remaining: usize,
    left_alone: Vec<String>,
    outcome: Option<&'static str>,
    failure: Option<String>,
    reloads: bool,
}

/// An act, and the filter of its notifications, from a query string.
struct BulkQuery {
    act: RowAct,
    list_query: ListPageQuery,
    /// The query itself, for the form.
    text: String,
}

impl BulkQuery {
    fn read(query: &str) -> Result<Self, PageError> {
        let mut fields = url::form_urlencoded::parse(query.as_bytes());
        let act = fields.find(|(name, _)| name == "act");
        let act = act.and_then(|(_, word)| acts::parse(&word));
        let list_query = ListPageQuery::read(query)?;
        let act = act.unwrap_or(RowAct::Replay);
        if act == RowAct::Erase && list_query.subject.is_empty() {
            let why = "Everything of one payment or box can be erased at once, so name one. More \
                       can be erased with pillarbox discard --erase.";
            return Err(PageError::Refused(why.to_owned()));
        }
        let text = query.to_owned();
        Ok(Self {
            act,
            list_query,
            text,
        })
    }

    fn scope(&self) -> ActScope {
        ActScope::new(self.act, self.list_query.filter())
    }

    async fn select<I: ConsoleInbox>(
        &self,
        state: &ConsoleState<I>,
    ) -> Result<RowSelection, PageError> {
        let scope = self.scope();
        let mut listed = scope.listed_filters().into_iter();
        let is_indexed = self.list_query.is_indexed()
            || listed.all(|filter| {
                filter
                    .state
                    .is_some_and(|state| state.index_partition().is_some())
            });
        if state.inbox.list_cost() == ListCost::Scan && !is_indexed && !self.list_query.scan {
            let why = "A table finds these only by a scan, which AWS charges: choose the state \
                       dead or held, or a source and a payment.";
            return Err(PageError::Refused(why.to_owned()));
        }
        // A table is scanned for one page as for all of them.
        let page = match state.inbox.list_cost() {
            ListCost::Scan => usize::MAX,
            ListCost::Local => 500,
        };
        Ok(state.operator.select(&scope, page).await?)
    }
}

/// `GET /bulk`: how many notifications match, and what would happen to them.
pub(super) async fn choose<I: ConsoleInbox>(
    State(state): State<SharedConsoleState<I>>,
    Extension(frame): Extension<PageFrame>,
    RawQuery(query): RawQuery,
) -> Result<Response, PageError> {
    if !state.changes_allowed() {
        return Err(PageError::ReadOnly);
    }
    let query = BulkQuery::read(query.as_deref().unwrap_or(""))?;
    let selection = query.select(&state).await?;
    let chosen = BulkPage::of(frame, query, &selection, SUGGESTED_RATE);
    Ok(page(StatusCode::OK, &chosen))
}

/// `POST /acts/bulk`: starts the act, if the number that matches is the one that was confirmed.
pub(super) async fn start<I: ConsoleInbox>(
    State(state): State<SharedConsoleState<I>>,
    Extension(frame): Extension<PageFrame>,
    Extension(form): Extension<ConsoleForm>,
) -> Result<Response, PageError> {
    let query = BulkQuery::read(form.get("query").unwrap_or_default())?;
    let rate = form.get("rate").unwrap_or_default().trim();
    let rate: u32 = match rate {
        "" => 0,
        rate => rate.parse().map_err(|_| {
            PageError::Refused("The rate is not a whole number, such as 10.".to_owned())
        })?,
    };
    let selection = query.select(&state).await?;
    let expected = form.get("expected").and_then(|count| count.parse().ok());
    if expected != Some(selection.keys.len()) {
        let changed = BulkPage {
            has_changed: true,
            ..BulkPage::of(frame, query, &selection, rate)
        };
        return Ok(page(StatusCode::CONFLICT, &changed));
    }
    let id = state.bulk.start(&state, selection, NonZeroU32::new(rate))?;
    Ok(see_other(&format!("/bulk/{id:016x}")))
}

/// `POST /acts/stop`.
pub(super) async fn stop<I: ConsoleInbox>(
    State(state): State<SharedConsoleState<I>>,
    Extension(form): Extension<ConsoleForm>,
) -> Result<Response, PageError> {
    let id = form.get("id").unwrap_or_default();
    state.bulk.find(id)?.stop.cancel();
    Ok(see_other(&format!("/bulk/{id}")))
}

/// `GET /bulk/{id}`: the progress of an act.
pub(super) async fn progress<I: ConsoleInbox>(
    State(state): State<SharedConsoleState<I>>,
    Extension(frame): Extension<PageFrame>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, PageError> {
    let act = state.bulk.find(&id)?;
    let is_paused = query.as_deref() == Some("updates=off");
    let shown = BulkProgressPage::of(frame, id, &act, !is_paused);
    let reloads = shown.reloads;
    let mut response = page(StatusCode::OK, &shown);
    if reloads {
        let value = HeaderValue::from_static(RELOAD_SECONDS);
        response.headers_mut().insert(header::REFRESH, value);
    }
    Ok(response)
}

impl BulkActs {
    /// Starts an act, unless one is running. Returns its id.
    fn start<I: ConsoleInbox>(
        &self,
        state: &ConsoleState<I>,
        selection: RowSelection,
        rate: Option<NonZeroU32>,
    ) -> Result<u64, PageError> {
        let act = Arc::new(BulkAct {
            act: selection.act,
            scope: selection.scope.clone(),
            rate,
            stop: state.stop.child_token(),
            state: Mutex::new(BulkState {
                progress: ActProgress {
                    total: selection.keys.len(),
                    ..ActProgress::default()
                },
                ..BulkState::default()
            }),
        });
        let id = state.settings.clock.random();
        let mut kept = self.lock();
        if let Some((running, _)) = kept.iter().find(|(_, act)| act.state().end.is_none()) {
            let why =
                format!("Another act is under way: /bulk/{running:016x} has a button to stop it.");
            return Err(PageError::Refused(why));
        }
        while kept.len() >= MAX_KEPT {
            kept.pop_first();
        }
        kept.insert(id, Arc::clone(&act));
        drop(kept);
        tokio::spawn(run(state.operator.clone(), act, selection));
        Ok(id)
    }

    fn find(&self, id: &str) -> Result<Arc<BulkAct>, PageError> {
        let id = u64::from_str_radix(id, 16).map_err(|_| PageError::NoPage)?;
        self.lock().get(&id).cloned().ok_or(PageError::NoPage)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<BulkAct>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn run<I: ConsoleInbox>(operator: Operator<I>, act: Arc<BulkAct>, selection: RowSelection) {
    let mut on_row = |key: &Key, result: &RowResult, progress: ActProgress| {
        let mut state = act.state();
        state.progress = progress;
        if state.left_alone.len() < MAX_NAMED
            && let Some(why) = reason_unchanged(result)
        {
            state
                .left_alone
                .push(visible(&format!("{key}: {why}")).into_owned());
        }
    };
    let report = operator.act_on_all(&selection, act.rate, &act.stop, &mut on_row);
    let end = match report.await {
        Ok(report) => BulkEnd {
            outcome: report.outcome,
            failure: report.failure.as_ref().map(InboxError::to_string),
        },
        Err(error) => BulkEnd {
            outcome: AuditOutcome::Failed,
            failure: Some(error.to_string()),
        },
    };
    act.state().end = Some(end);
}

fn reason_unchanged(result: &RowResult) -> Option<String> {
    match result {
        RowResult::Done => None,
        RowResult::Absent => Some("it no longer exists".to_owned()),
        RowResult::Refused(why) => Some((*why).to_owned()),
        RowResult::BytesLeft(copies) => {
            Some(format!("{} copies of its bytes are left", copies.len()))
        }
        RowResult::Unreadable(error) => Some(error.to_string()),
    }
}

impl BulkAct {
    fn state(&self) -> MutexGuard<'_, BulkState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl BulkPage {
    fn of(frame: PageFrame, query: BulkQuery, selection: &RowSelection, rate: u32) -> Self {
        let first = selection.keys.iter().take(MAX_NAMED);
        let refused = selection.refused.iter().take(MAX_NAMED);
        Self {
            frame,
            name: acts::name(query.act),
            effect: acts::effect(query.act),
            participle: query.act.participle(),
            scope: visible(&selection.scope).into_owned(),
            count: selection.keys.len(),
            has_changed: false,
            first: first
                .map(|key| (row_page::address(key), in_words(key)))
                .collect(),
            refused: refused
                .map(|(key, why)| format!("{}: {why}", in_words(key)))
                .collect(),
            refused_count: selection.refused.len(),
            unreadable: selection.newer.len() + selection.damaged.len(),
            list: query.list_query.address(None),
            query: query.text,
            rate,
        }
    }
}

fn in_words(key: &Key) -> String {
    visible(key.as_str()).into_owned()
}

impl BulkProgressPage {
    fn of(frame: PageFrame, id: String, act: &BulkAct, may_reload: bool) -> Self {
        let state = act.state().clone();
        let ActProgress {
            total,
            done,
            left_alone,
        } = state.progress;
        let handled = done + left_alone;
        let (outcome, failure) = state
            .end
            .map(|end| (end.outcome.as_str(), end.failure))
            .unzip();
        Self {
            frame,
            id,
            title: format!("{handled} of {total} {}", act.act.participle()),
            name: acts::name(act.act),
            participle: act.act.participle(),
            scope: visible(&act.scope).into_owned(),
            rate: act.rate.map(NonZeroU32::get),
            progress: state.progress,
            handled,
            remaining: state.progress.remaining(),
            left_alone: state.left_alone,
            reloads: may_reload && outcome.is_none(),
            outcome,
            failure: failure.flatten().map(|why| visible(&why).into_owned()),
        }
    }
}
