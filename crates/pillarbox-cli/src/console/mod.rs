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

use std::{future::Future, net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, http::header, middleware, response::IntoResponse, routing::get};
use tokio::{net::TcpListener, sync::oneshot};

use guard::AllowedHosts;
use page::PageError;
use pillarbox::inbox::ReadInbox;

/// The only asset; it is part of the program, so that nothing is fetched from elsewhere.
const STYLE: &str = include_str!("style.css");
/// How long an answer under way may still take once the console is told to stop.
const GRACE: Duration = Duration::from_secs(5);

/// The console over `inbox`, for browsers that reach it at `bound`.
///
/// Requests with another `Host` are refused, so that another site cannot read the console through a
/// name that resolves to this machine.
pub fn router<I: ReadInbox>(inbox: Arc<I>, bound: SocketAddr) -> Router {
    Router::new()
        .route("/", get(list::show::<I>))
        .route("/notifications/{key}", get(detail::show::<I>))
        .route("/notifications/{key}/raw", get(detail::raw::<I>))
        .route("/style.css", get(style))
        .fallback(|| async { PageError::NoPage })
        .with_state(inbox)
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
    let (stopping, stopped) = oneshot::channel();
    let told = async move {
        shutdown.await;
        let _ = stopping.send(()); // nobody waits any more if the server has ended by itself
    };
    let overdue = async move {
        // A dropped sender means that the server has ended and the other branch is about to win.
        match stopped.await {
            Ok(()) => tokio::time::sleep(GRACE).await,
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        ended = axum::serve(listener, router).with_graceful_shutdown(told).into_future() => {
            if let Err(error) = ended {
                tracing::error!(%error, "The console stopped: {error}");
            }
        }
        () = overdue => {}
    }
}

async fn style() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], STYLE)
}
