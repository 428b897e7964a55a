//! Checks at the start of `serve` that its destinations can be reached.

use std::sync::Arc;

use crate::commands::settings::secret_sources;
use pillarbox::{destinations::RouteSettings, domain::SystemClock};

/// Logs the https destinations without an address that deliveries may use. DNS can be slow, so
/// nothing waits for this.
pub(super) async fn log_unreachable(routes: RouteSettings) {
    for (destination, https) in routes.https() {
        let clock = Arc::new(SystemClock);
        let endpoint = https.endpoint(routes.outbound_proxy, &secret_sources(), clock);
        let resolved = match endpoint {
            Ok(endpoint) => endpoint.resolve().await.map_err(|why| why.to_string()),
            Err(why) => Err(why.to_string()),
        };
        if let Err(reason) = resolved {
            tracing::warn!(%destination, reason, "destination cannot be reached");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Mutex, PoisonError},
    };

    use tracing_subscriber::prelude::*;

    use super::*;
    use pillarbox::{
        config::{Config, DestinationSecrets},
        destinations::DestinationSettings,
        telemetry::{LogFormat, LogLayer},
    };

    #[derive(Clone, Default)]
    struct TestLog(Arc<Mutex<Vec<u8>>>);

    impl io::Write for TestLog {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            log.write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn each_destination_that_cannot_be_reached_is_logged_at_the_start() {
        let document = "[sources.pay]\nkind = \"govuk-pay\"\nsecrets = []\n\
            [destination]\nkind = \"https\"\nurl = \"https://localhost./\"\nsecret = \"env:A\"\n\
            [destinations.near]\nkind = \"https\"\nurl = \"http://localhost:1/\"\n\
             secret = \"env:A\"\n[destinations.log]\nkind = \"log\"\n";
        let config = Config::read(document, "test").unwrap();
        let mut routes = config.route_settings(&DestinationSecrets::default());
        assert_eq!(routes.https().count(), 2);
        // The configuration refuses `localhost`, and not every system resolves `localhost.`.
        if let DestinationSettings::Https(https) = &mut routes.default {
            https.url = "https://localhost/".parse().unwrap();
        }

        let log = TestLog::default();
        let (layer, guard) =
            LogLayer::new(log.clone(), LogFormat::Json, Arc::new(SystemClock)).unwrap();
        let subscriber =
            tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));
        log_unreachable(routes).await;
        drop((subscriber, guard));
        let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        assert_eq!(log.lines().count(), 1, "{log}");
        assert!(log.contains(r#""destination":"(default)""#), "{log}");
        assert!(log.contains("private"), "{log}");
    }
}
