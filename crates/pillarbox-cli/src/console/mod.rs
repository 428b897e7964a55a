//! The operator's console: pages that show notifications and their states, and forms that change
//! them.
//!
//! Pages take the inbox's traits by role: those that show need `ReadInbox`, and only the forms of
//! `acts` need `OperatorInbox`. The guard checks every request first. Every text of a sender is
//! escaped, and pages work without scripts.

mod acts;
mod assets;
mod audit;
mod bulk;
mod charts;
mod downloads;
mod form;
mod frame;
mod guard;
mod inbox;
mod list;
mod live;
mod overview_page;
mod page;
mod payment_page;
mod preferences;
mod query;
mod refusals;
mod row_page;
mod samples;
mod search;
mod sender_schedule;
mod sign_in;
mod state;
#[cfg(test)]
mod tests;
mod unmask;

use std::{future::Future, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::State,
    http::{Method, Request, StatusCode, header},
    middleware,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use http_body_util::{BodyExt, Limited};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::listener::{
    BodyFraming, ConnectionWatch, HttpService, Incoming, Service, connection_limits, listen,
};
pub use inbox::{ConsoleInbox, ListCost};
use page::PageError;
use pillarbox::{
    receive::{HttpAnswer, Refusal, answer},
    telemetry::RequestRecord,
};
pub use samples::SampleSource;
pub use state::{ConsoleAccess, ConsoleSettings, SenderLookup};
use state::{ConsoleState, SharedConsoleState};

/// The address of the style sheet, which pages need even before signing in.
const STYLE_ADDRESS: &str = "/console.css";

/// How long a browser may take to send a form.
const FORM_TIMEOUT: Duration = Duration::from_secs(5);

/// A console before it listens.
pub struct Console {
    router: Router,
    /// Ends the open streams.
    stop: CancellationToken,
}

impl Console {
    /// The console over `inbox`, for browsers that reach it at `bound`.
    ///
    /// Requests with another `Host` are refused, so that another site cannot read the console
    /// through a name that resolves to this machine.
    pub fn new<I: ConsoleInbox>(
        inbox: Arc<I>,
        settings: ConsoleSettings,
        bound: SocketAddr,
    ) -> Self {
        let state = Arc::new(ConsoleState::new(inbox, settings, bound));
        Self {
            stop: state.stop.clone(),
            router: router(state),
        }
    }

    /// Serves on `listener` until `shutdown`. Requests in flight then get a few more seconds.
    pub async fn serve(
        self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) {
        let (_, limits) = connection_limits();
        let stop = self.stop;
        let stopped = stop.clone();
        let shutdown = tokio::spawn(async move {
            shutdown.await;
            stopped.cancel();
        });
        let service = Arc::new(ConsoleService(self.router));
        listen(listener, service, limits, stop).await;
        shutdown.abort();
    }
}

fn router<I: ConsoleInbox>(state: SharedConsoleState<I>) -> Router {
    Router::new()
        .route("/", get(overview_page::show::<I>))
        .route("/notifications", get(list::show::<I>))
        .route("/notifications/{key}", get(row_page::show::<I>))
        .route(
            "/notifications/{key}/show",
            post(row_page::show_fields::<I>),
        )
        .route("/notifications/{key}/raw", post(downloads::raw::<I>))
        .route("/notifications/{key}/event", post(downloads::event::<I>))
        .route("/notifications/{key}/fixture", get(downloads::fixture::<I>))
        .route("/live", get(live::events::<I>))
        .route("/search", get(search::show::<I>))
        .route("/payments/{source}/{payment}", get(payment_page::show::<I>))
        .route("/charts", get(charts::show::<I>))
        .route("/refusals", get(refusals::show::<I>))
        .route("/refusals.json", get(refusals::json::<I>))
        .route("/audit", get(audit::show::<I>))
        .merge(acts::routes::<I>())
        .route(
            sign_in::ADDRESS,
            get(sign_in::show).post(sign_in::sign_in::<I>),
        )
        .route("/sign-out", post(sign_in::sign_out))
        .route("/preferences", post(preferences::set))
        .route("/metrics", get(expose::<I>))
        .route(STYLE_ADDRESS, get(assets::style))
        .route("/console.js", get(assets::script))
        .fallback(|| async { PageError::NoPage })
        .method_not_allowed_fallback(|| async { PageError::NoForm })
        .layer(middleware::from_fn_with_state(
            Arc::clone(&state),
            guard::guard::<I>,
        ))
        .with_state(state)
}

/// The console as the listener sees it.
struct ConsoleService(Router);

impl HttpService for ConsoleService {
    type Answer = Body;

    async fn answer(&self, request: Request<Incoming>, watch: &ConnectionWatch) -> Response {
        let framing = watch.begin(request.headers().len());
        // A form is read here, so that a connection that sends one slowly can be evicted.
        let request = match buffer_form(request, framing).await {
            Ok(request) => request,
            Err(status) => {
                watch.end(false);
                return status.into_response();
            }
        };
        watch.received();
        let router = TowerToHyperService::new(self.0.clone());
        let Ok(response) = router.call(request).await;
        watch.end(false);
        if is_stream(&response) {
            return response.map(|body| live::watched(body, watch.clone()));
        }
        response
    }

    fn refuse(&self, refusal: Refusal) -> HttpAnswer {
        answer(&Err(refusal), &mut RequestRecord::default())
    }
}

/// Reads the form of a POST into memory. The bodies of other methods are not read.
async fn buffer_form(
    request: Request<Incoming>,
    framing: Option<BodyFraming>,
) -> Result<Request<Body>, StatusCode> {
    let (parts, body) = request.into_parts();
    if parts.method != Method::POST {
        return Ok(Request::from_parts(parts, Body::empty()));
    }
    let is_chunked = parts.headers.contains_key(header::TRANSFER_ENCODING);
    if framing == Some(BodyFraming::Ambiguous) || (framing.is_none() && is_chunked) {
        return Err(StatusCode::BAD_REQUEST);
    }
    // One byte more than the guard accepts, so that the guard answers with its page.
    let body = Limited::new(body, guard::MAX_FORM_BYTES + 1).collect();
    let bytes = match tokio::time::timeout(FORM_TIMEOUT, body).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(_)) => return Err(StatusCode::PAYLOAD_TOO_LARGE),
        Err(_) => return Err(StatusCode::REQUEST_TIMEOUT),
    };
    Ok(Request::from_parts(parts, Body::from(bytes)))
}

fn is_stream(response: &Response) -> bool {
    let media_type = response.headers().get(header::CONTENT_TYPE);
    media_type.is_some_and(|given| given.as_bytes() == live::MEDIA_TYPE.as_bytes())
}

/// `GET /metrics`, in a process that has metrics.
async fn expose<I: ConsoleInbox>(
    State(state): State<SharedConsoleState<I>>,
) -> Result<impl IntoResponse, PageError> {
    let metrics = state.settings.metrics.as_ref().ok_or(PageError::NoPage)?;
    let (media_type, text) = metrics.scrape().await;
    Ok(([(header::CONTENT_TYPE, media_type)], text))
}
