//! One request and its response, over a new connection. Redirects are not followed.

use std::io;

use url::Url;

use super::{
    ClientProfile, ExchangeOutcome, ReceiverConnection, ReceiverResponse, SenderRequest,
    TargetError,
};

/// There is no response.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// The URL is not allowed. Nothing was sent.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// No connection could be opened.
    #[error(
        "cannot connect to {host}:{port}: {error}; check that the receiver runs and the URL is \
         correct"
    )]
    Connect {
        /// The host in the URL.
        host: String,
        /// The port in the URL, or the default.
        port: u16,
        /// The operating system's error.
        error: io::Error,
    },
    /// The certificate is not valid for the host, or no TLS version is shared.
    #[error(
        "no TLS with {host}: {error}; the senders need a public, full certificate chain, and HMRC \
         needs TLS 1.2"
    )]
    Tls {
        /// The host in the URL.
        host: String,
        /// The error of the handshake.
        error: io::Error,
    },
    /// The sender's time limit passed.
    #[error("no response within the sender's time limit; respond first, process afterwards")]
    TimedOut,
    /// The connection closed without a response.
    #[error(
        "the connection closed without a response; look for a crash or a limit at the receiver"
    )]
    Closed,
    /// The connection was reset before the response was complete.
    #[error(
        "the connection was reset before the response was complete; look for a crash or a limit \
         at the receiver, or in a proxy in front of it"
    )]
    Reset,
    /// The connection closed within the body of the response.
    #[error(
        "the body of the response was cut short; look for a crash at the receiver, or a wrong \
         Content-Length"
    )]
    BodyCutShort,
    /// The response is not HTTP/1.1.
    #[error("the response is not valid: {0}; check that the URL is that of an HTTP/1.1 server")]
    Garbled(&'static str),
}

impl ExchangeError {
    /// The outcome that decides the sender's next action; `None` if nothing was sent.
    pub fn outcome(&self) -> Option<ExchangeOutcome> {
        match self {
            Self::Target(_) => None,
            Self::Connect { .. } | Self::Tls { .. } => Some(ExchangeOutcome::Unreachable),
            Self::TimedOut => Some(ExchangeOutcome::TimedOut),
            Self::Closed => Some(ExchangeOutcome::Closed),
            Self::Reset => Some(ExchangeOutcome::Reset),
            Self::BodyCutShort => Some(ExchangeOutcome::BodyCutShort),
            Self::Garbled(_) => Some(ExchangeOutcome::Garbled),
        }
    }
}

/// Sends `request` to `url` and reads the response. `limits` is a sender's [`ClientProfile`], or
/// one [`Duration`](std::time::Duration) for the whole exchange.
pub async fn exchange(
    request: &SenderRequest,
    url: &Url,
    limits: impl Into<ClientProfile>,
) -> Result<ReceiverResponse, ExchangeError> {
    let profile = limits.into();
    let both = async {
        ReceiverConnection::open(url, profile)
            .await?
            .send(request)
            .await
    };
    tokio::time::timeout(profile.total_timeout, both)
        .await
        .unwrap_or(Err(ExchangeError::TimedOut))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{TcpListener, TcpStream},
        task::JoinHandle,
    };

    use super::{
        super::{Sender, tests::TestClock},
        *,
    };

    const TIME_LIMIT: Duration = Duration::from_secs(10);

    /// A receiver that accepts one request per response on one connection, then closes it.
    async fn receiver(responses: &[&str]) -> (Url, JoinHandle<Vec<String>>) {
        let responses: Vec<String> = responses
            .iter()
            .map(|&response| response.to_owned())
            .collect();
        let (listener, url) = listener("http").await;
        let received = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut received = Vec::new();
            for response in responses {
                received.push(read_request(&mut stream).await);
                stream.write_all(response.as_bytes()).await.unwrap();
            }
            received
        });
        (url, received)
    }

    async fn listener(scheme: &str) -> (TcpListener, Url) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        (
            listener,
            Url::parse(&format!("{scheme}://localhost:{port}/pay?team=7")).unwrap(),
        )
    }

    /// Reads one request, up to its content length.
    async fn read_request(stream: &mut TcpStream) -> String {
        let mut bytes = Vec::new();
        loop {
            assert_ne!(
                stream.read_buf(&mut bytes).await.unwrap(),
                0,
                "the request is cut off"
            );
            let text = String::from_utf8_lossy(&bytes);
            let Some((head, body)) = text.split_once("\r\n\r\n") else {
                continue;
            };
            let length = head.lines().find_map(|line| {
                line.to_ascii_lowercase()
                    .strip_prefix("content-length: ")?
                    .parse()
                    .ok()
            });
            if body.len() >= length.unwrap_or(0) {
                return text.into_owned();
            }
        }
    }

    fn request(sender: Sender, url: &Url) -> SenderRequest {
        let body = sender.body(None, &TestClock::new()).unwrap();
        sender.request(&body, "webhook_test_abc", url)
    }

    #[tokio::test]
    async fn headers_keep_their_case_and_order_on_the_wire() {
        for (sender, names) in [
            (
                Sender::GovukPay,
                "Content-Type Pay-Signature Accept-Encoding Host Content-Length Connection \
                 User-Agent",
            ),
            (
                Sender::Hmrc,
                "Content-Type Http-ClientV2-Version User-Agent X-Hub-Signature content-length host \
                 accept",
            ),
        ] {
            let (url, received) =
                receiver(&["HTTP/1.1 200 OK\r\nX-Seen: yes\r\ncontent-length: 2\r\n\r\nok"]).await;
            let request = request(sender, &url);
            let response = exchange(&request, &url, sender.client_profile())
                .await
                .unwrap();
            assert_eq!(
                (
                    response.status,
                    response.body.as_slice(),
                    response.header("x-seen")
                ),
                (200, b"ok".as_slice(), Some("yes"))
            );

            let received = received.await.unwrap().remove(0);
            let (head, body) = received.split_once("\r\n\r\n").unwrap();
            let mut lines = head.lines();
            assert_eq!(lines.next(), Some("POST /pay?team=7 HTTP/1.1"));
            let sent: Vec<&str> = lines.map(|line| line.split_once(": ").unwrap().0).collect();
            assert_eq!(sent.join(" "), names);
            assert_eq!(body.as_bytes(), request.body);
        }
    }

    #[tokio::test]
    async fn a_connection_is_reused_until_the_receiver_closes_it() {
        let kept = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
        let (url, received) =
            receiver(&[kept, "HTTP/1.1 503 Busy\r\nconnection: close\r\n\r\n"]).await;
        let request = request(Sender::GovukPay, &url);
        let mut connection = ReceiverConnection::open(&url, TIME_LIMIT).await.unwrap();
        assert_eq!(connection.send(&request).await.unwrap().status, 200);
        assert!(connection.is_open());
        assert_eq!(connection.send(&request).await.unwrap().status, 503);
        assert!(!connection.is_open());
        assert!(matches!(
            connection.send(&request).await,
            Err(ExchangeError::Closed)
        ));
        let received = received.await.unwrap();
        assert_eq!(received[0], received[1]);
    }

    #[tokio::test]
    async fn a_redirect_is_returned_and_not_followed() {
        let (url, received) =
            receiver(&["HTTP/1.1 302 Found\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n"])
                .await;
        let response = exchange(&request(Sender::Hmrc, &url), &url, TIME_LIMIT)
            .await
            .unwrap();
        assert_eq!(
            (response.status, response.header("location")),
            (302, Some("/elsewhere"))
        );
        assert_eq!(received.await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn an_early_response_is_read_while_a_large_body_is_being_sent() {
        let (listener, url) = listener("http").await;
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream
                .write_all(b"HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n")
                .await
                .unwrap();
            stream // stays open and is never read
        });
        let mut large = request(Sender::GovukPay, &url);
        large.body = vec![b' '; 32 * 1024 * 1024];
        let mut connection = ReceiverConnection::open(&url, TIME_LIMIT).await.unwrap();
        assert_eq!(connection.send(&large).await.unwrap().status, 413);
        assert!(!connection.is_open(), "half of a request was sent");
        drop(server);
    }

    #[tokio::test]
    async fn each_failure_has_a_separate_outcome() {
        for (response, expected) in [
            ("", ExchangeOutcome::Closed),
            ("HTTP/1.1 200 OK\r\nserver: x", ExchangeOutcome::Garbled),
            ("hello", ExchangeOutcome::Garbled),
            (
                "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok",
                ExchangeOutcome::BodyCutShort,
            ),
        ] {
            let (url, _received) = receiver(&[response]).await;
            let error = exchange(&request(Sender::Hmrc, &url), &url, TIME_LIMIT)
                .await
                .unwrap_err();
            assert_eq!(error.outcome(), Some(expected), "{response}");
        }
        let (listener, url) = listener("http").await;
        drop(listener);
        let error = exchange(&request(Sender::Hmrc, &url), &url, TIME_LIMIT)
            .await
            .unwrap_err();
        assert_eq!(
            error.outcome(),
            Some(ExchangeOutcome::Unreachable),
            "{error}"
        );
    }

    #[tokio::test]
    async fn nothing_is_sent_to_a_url_that_is_not_allowed() {
        let url = Url::parse("http://receiver.example.gov.uk/").unwrap();
        let error = exchange(&request(Sender::Hmrc, &url), &url, TIME_LIMIT)
            .await
            .unwrap_err();
        assert!(matches!(
            error,
            ExchangeError::Target(TargetError::PlainHttp(_))
        ));
        assert_eq!(error.outcome(), None);
    }

    /// A receiver that sends one byte of its response per interval.
    async fn dripping(every: Duration) -> Url {
        let (listener, url) = listener("http").await;
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            read_request(&mut stream).await;
            for byte in b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n" {
                tokio::time::sleep(every).await;
                if stream.write_all(&[*byte]).await.is_err() {
                    return;
                }
            }
        });
        url
    }

    #[tokio::test]
    async fn pay_limits_each_read_and_hmrc_the_whole_exchange() {
        let (tick, lasting) = (Duration::from_millis(30), Duration::from_secs(10));
        let url = dripping(tick).await; // for longer than a second
        let by_read = ClientProfile {
            read_timeout: Duration::from_secs(1),
            ..ClientProfile::from(lasting)
        };
        assert_eq!(
            exchange(&request(Sender::GovukPay, &url), &url, by_read)
                .await
                .unwrap()
                .status,
            200
        );

        let url = dripping(tick).await;
        let by_whole = ClientProfile {
            total_timeout: 5 * tick,
            ..ClientProfile::from(lasting)
        };
        let error = exchange(&request(Sender::Hmrc, &url), &url, by_whole)
            .await
            .unwrap_err();
        assert_eq!(error.outcome(), Some(ExchangeOutcome::TimedOut));

        let url = dripping(lasting).await;
        let by_read = ClientProfile {
            read_timeout: 5 * tick,
            ..ClientProfile::from(lasting)
        };
        let error = exchange(&request(Sender::GovukPay, &url), &url, by_read)
            .await
            .unwrap_err();
        assert_eq!(error.outcome(), Some(ExchangeOutcome::TimedOut));
    }

    #[tokio::test]
    async fn a_stalled_handshake_is_no_connection_and_has_a_separate_limit() {
        for (sender, seconds) in [(Sender::Hmrc, 10), (Sender::GovukPay, 3)] {
            let profile = sender.client_profile();
            assert_eq!(profile.tls_timeout, Duration::from_secs(seconds));
            let (listener, url) = listener("https").await;
            let silent = tokio::spawn(async move { listener.accept().await });
            let profile = ClientProfile {
                tls_timeout: Duration::from_millis(50),
                ..profile
            };
            let error = exchange(&request(sender, &url), &url, profile)
                .await
                .unwrap_err();
            assert!(matches!(error, ExchangeError::Tls { .. }), "{error}");
            assert_eq!(error.outcome(), Some(ExchangeOutcome::Unreachable));
            drop(silent);
        }
    }

    #[tokio::test]
    async fn hmrc_offers_tls_1_2_only_and_pay_offers_both() {
        const SUPPORTED_VERSIONS: [u8; 2] = [0, 43];
        for (sender, offered) in [
            (Sender::Hmrc, vec![2, 3, 3]),
            (Sender::GovukPay, vec![4, 3, 4, 3, 3]),
        ] {
            let (listener, url) = listener("https").await;
            let hello = tokio::spawn(async move {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut hello = vec![0; 2048];
                let length = stream.read(&mut hello).await.unwrap();
                hello.truncate(length);
                hello
            });
            let error = exchange(&request(sender, &url), &url, sender.client_profile())
                .await
                .unwrap_err();
            assert!(matches!(error, ExchangeError::Tls { .. }), "{error}");
            let hello = hello.await.unwrap();
            let contains = |part: &[u8]| hello.windows(part.len()).any(|window| window == part);
            let length = u8::try_from(offered.len()).unwrap();
            assert!(contains(b"localhost"), "the server's name is sent");
            assert!(
                contains(&[&SUPPORTED_VERSIONS[..], &[0, length], &offered].concat()),
                "{sender:?} {hello:?}"
            );
        }
    }
}
