//! The operator's console: pages that show notifications and their states.
//!
//! The console serves pages without scripts to a browser on this machine. It never changes a row,
//! and it escapes every text of a sender.

mod detail;
mod guard;
mod list;
mod page;
mod query;
#[cfg(test)]
mod tests;

use std::{future::Future, net::SocketAddr, sync::Arc};

use axum::{
    Router,
    body::Body,
    extract::State,
    http::{Request, header},
    middleware,
    response::{IntoResponse, Response},
    routing::get,
};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    listener::{ConnectionWatch, HttpService, Incoming, Service, connection_limits, listen},
    metrics::ServeMetrics,
};
use guard::AllowedHosts;
use page::PageError;
use pillarbox::{
    inbox::ReadInbox,
    receive::{HttpAnswer, Refusal, answer},
    telemetry::RequestRecord,
};

/// The only asset; it is part of the program, so that nothing is fetched from elsewhere.
const STYLE: &str = include_str!("style.css");

/// The console over `inbox`, for browsers that reach it at `bound`; `/metrics` has `metrics`.
///
/// Requests with another `Host` are refused, so that another site cannot read the console through a
/// name that resolves to this machine.
pub fn router<I: ReadInbox>(
    inbox: Arc<I>,
    metrics: Arc<ServeMetrics>,
    bound: SocketAddr,
) -> Router {
    let metrics = Router::new()
        .route("/metrics", get(expose))
        .with_state(metrics);
    Router::new()
        .route("/", get(list::show::<I>))
        .route("/notifications/{key}", get(detail::show::<I>))
        .route("/notifications/{key}/raw", get(detail::raw::<I>))
        .route("/style.css", get(style))
        .fallback(|| async { PageError::NoPage })
        .with_state(inbox)
        .merge(metrics)
        .layer(middleware::from_fn_with_state(
            AllowedHosts::of(bound),
            guard::guard,
        ))
}

/// Serves `router` on `listener` until `shutdown`; answers under way then get a few seconds more.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    shutdown: impl Future<Output = ()> + Send + 'static,
) {
    let stop = CancellationToken::new();
    let (_, limits) = connection_limits();
    let stopped = stop.clone();
    let shutdown = tokio::spawn(async move {
        shutdown.await;
        stopped.cancel();
    });
    listen(listener, Arc::new(ConsoleService(router)), limits, stop).await;
    shutdown.abort();
}

/// The console as the listener sees it.
struct ConsoleService(Router);

impl HttpService for ConsoleService {
    type Answer = Body;

    async fn answer(&self, request: Request<Incoming>, watch: &ConnectionWatch) -> Response {
        let _ = watch.begin(request.headers().len()); // the console reads no body
        watch.received();
        let router = TowerToHyperService::new(self.0.clone());
        let Ok(response) = router.call(request).await;
        watch.end(false);
        response
    }

    fn refuse(&self, refusal: Refusal) -> HttpAnswer {
        answer(&Err(refusal), &mut RequestRecord::default())
    }
}

async fn expose(State(metrics): State<Arc<ServeMetrics>>) -> impl IntoResponse {
    let (media_type, text) = metrics.scrape().await;
    ([(header::CONTENT_TYPE, media_type)], text)
}

async fn style() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], STYLE)
}
