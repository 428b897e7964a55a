//! One request and its answer, over a connection of its own. No redirect is followed.

use std::io;

use url::Url;

use super::{Answer, Connection, Manner, Outcome, Request, TargetError};

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// Nothing may be sent there; nothing was.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// Nobody is there.
    #[error(
        "can't connect to {host}:{port}: {error}; check that the receiver runs and the URL is right"
    )]
    Connect {
        /// Where to.
        host: String,
        /// Where to.
        port: u16,
        /// What the system says.
        error: io::Error,
    },
    /// Somebody is there who can't prove to be the receiver, or speaks no common TLS.
    #[error(
        "no TLS with {host}: {error}; the senders need a public, full certificate chain, and HMRC needs TLS 1.2"
    )]
    Tls {
        /// Who with.
        host: String,
        /// What TLS says.
        error: io::Error,
    },
    /// The sender's patience ran out.
    #[error("no answer within the sender's time; answer first, work afterwards")]
    TimedOut,
    /// The connection closed first.
    #[error(
        "the connection closed before an answer came; look for a crash or a limit at the receiver"
    )]
    Closed,
    /// What came is not HTTP/1.1.
    #[error("the answer can't be read: {0}; check that the URL leads to an HTTP/1.1 server")]
    Garbled(&'static str),
}

impl ExchangeError {
    /// What the sender makes its decision by; `None` where nothing was sent at all.
    pub fn outcome(&self) -> Option<Outcome> {
        match self {
            Self::Target(_) => None,
            Self::Connect { .. } | Self::Tls { .. } => Some(Outcome::Unreachable),
            Self::TimedOut => Some(Outcome::TimedOut),
            Self::Closed => Some(Outcome::Closed),
            Self::Garbled(_) => Some(Outcome::Garbled),
        }
    }
}

/// Sends `request` to `url` and reads the answer. `patience` is a sender's [`Manner`], or one
/// [`Duration`](std::time::Duration) for the whole.
pub async fn exchange(
    request: &Request,
    url: &Url,
    patience: impl Into<Manner>,
) -> Result<Answer, ExchangeError> {
    let manner = patience.into();
    let both = async { Connection::open(url, manner).await?.send(request).await };
    tokio::time::timeout(manner.whole, both)
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

    const PATIENCE: Duration = Duration::from_secs(10);

    /// A receiver that hears one request per answer on one connection, and then closes it.
    async fn receiver(answers: &[&str]) -> (Url, JoinHandle<Vec<String>>) {
        let answers: Vec<String> = answers.iter().map(|&answer| answer.to_owned()).collect();
        let (listener, url) = listener("http").await;
        let heard = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut heard = Vec::new();
            for answer in answers {
                heard.push(hear(&mut stream).await);
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
            heard
        });
        (url, heard)
    }

    async fn listener(scheme: &str) -> (TcpListener, Url) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        (
            listener,
            Url::parse(&format!("{scheme}://localhost:{port}/pay?team=7")).unwrap(),
        )
    }

    /// One request, whole: up to its content length.
    async fn hear(stream: &mut TcpStream) -> String {
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

    fn request(sender: Sender, url: &Url) -> Request {
        let body = sender.body(None, &TestClock::new()).unwrap();
        sender.request(&body, "webhook_test_abc", url)
    }

    #[tokio::test]
    async fn the_bytes_on_the_wire_keep_case_and_order() {
        for (sender, names) in [
            (
                Sender::GovukPay,
                "Content-Type Pay-Signature Accept-Encoding Host Content-Length Connection User-Agent",
            ),
            (
                Sender::Hmrc,
                "Content-Type X-Hub-Signature User-Agent Http-ClientV2-Version content-length host accept",
            ),
        ] {
            let (url, heard) =
                receiver(&["HTTP/1.1 200 OK\r\nX-Seen: yes\r\ncontent-length: 2\r\n\r\nok"]).await;
            let request = request(sender, &url);
            let answer = exchange(&request, &url, sender.manner()).await.unwrap();
            assert_eq!(
                (
                    answer.status,
                    answer.body.as_slice(),
                    answer.header("x-seen")
                ),
                (200, b"ok".as_slice(), Some("yes"))
            );

            let heard = heard.await.unwrap().remove(0);
            let (head, body) = heard.split_once("\r\n\r\n").unwrap();
            let mut lines = head.lines();
            assert_eq!(lines.next(), Some("POST /pay?team=7 HTTP/1.1"));
            let sent: Vec<&str> = lines.map(|line| line.split_once(": ").unwrap().0).collect();
            assert_eq!(sent.join(" "), names);
            assert_eq!(body.as_bytes(), request.body);
        }
    }

    #[tokio::test]
    async fn a_connection_carries_one_request_after_another_while_it_is_kept() {
        let kept = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
        let (url, heard) =
            receiver(&[kept, "HTTP/1.1 503 Busy\r\nconnection: close\r\n\r\n"]).await;
        let request = request(Sender::GovukPay, &url);
        let mut connection = Connection::open(&url, PATIENCE).await.unwrap();
        assert_eq!(connection.send(&request).await.unwrap().status, 200);
        assert!(connection.is_open());
        assert_eq!(connection.send(&request).await.unwrap().status, 503);
        assert!(!connection.is_open());
        assert!(matches!(
            connection.send(&request).await,
            Err(ExchangeError::Closed)
        ));
        let heard = heard.await.unwrap();
        assert_eq!(heard[0], heard[1]);
    }

    #[tokio::test]
    async fn a_redirect_is_an_answer_like_any_other() {
        let (url, heard) =
            receiver(&["HTTP/1.1 302 Found\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n"])
                .await;
        let answer = exchange(&request(Sender::Hmrc, &url), &url, PATIENCE)
            .await
            .unwrap();
        assert_eq!(
            (answer.status, answer.header("location")),
            (302, Some("/elsewhere"))
        );
        assert_eq!(heard.await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn an_early_answer_is_heard_while_a_large_body_is_still_going_out() {
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
        let mut connection = Connection::open(&url, PATIENCE).await.unwrap();
        assert_eq!(connection.send(&large).await.unwrap().status, 413);
        assert!(!connection.is_open(), "half a request is still on its way");
        drop(server);
    }

    #[tokio::test]
    async fn failures_are_told_apart() {
        for (answer, expected) in [
            ("", Outcome::Closed),
            ("HTTP/1.1 200 OK\r\nserver: x", Outcome::Closed),
            ("hello", Outcome::Garbled),
            (
                "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok",
                Outcome::Garbled,
            ),
        ] {
            let (url, _heard) = receiver(&[answer]).await;
            let error = exchange(&request(Sender::Hmrc, &url), &url, PATIENCE)
                .await
                .unwrap_err();
            assert_eq!(error.outcome(), Some(expected), "{answer}");
        }
        let (listener, url) = listener("http").await;
        drop(listener);
        let error = exchange(&request(Sender::Hmrc, &url), &url, PATIENCE)
            .await
            .unwrap_err();
        assert_eq!(error.outcome(), Some(Outcome::Unreachable), "{error}");
    }

    #[tokio::test]
    async fn nothing_is_sent_to_a_url_that_is_not_cleared() {
        let url = Url::parse("http://receiver.example.gov.uk/").unwrap();
        let error = exchange(&request(Sender::Hmrc, &url), &url, PATIENCE)
            .await
            .unwrap_err();
        assert!(matches!(
            error,
            ExchangeError::Target(TargetError::PlainHttp(_))
        ));
        assert_eq!(error.outcome(), None);
    }

    /// A receiver that sends a byte of its answer every so often.
    async fn dripping(every: Duration) -> Url {
        let (listener, url) = listener("http").await;
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            hear(&mut stream).await;
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
    async fn pay_waits_for_each_byte_and_hmrc_for_the_whole() {
        let (tick, lasting) = (Duration::from_millis(30), Duration::from_secs(10));
        let url = dripping(tick).await; // for longer than a second
        let by_read = Manner {
            read: Duration::from_secs(1),
            ..Manner::from(lasting)
        };
        assert_eq!(
            exchange(&request(Sender::GovukPay, &url), &url, by_read)
                .await
                .unwrap()
                .status,
            200
        );

        let url = dripping(tick).await;
        let by_whole = Manner {
            whole: 5 * tick,
            ..Manner::from(lasting)
        };
        let error = exchange(&request(Sender::Hmrc, &url), &url, by_whole)
            .await
            .unwrap_err();
        assert_eq!(error.outcome(), Some(Outcome::TimedOut));

        let url = dripping(lasting).await;
        let by_read = Manner {
            read: 5 * tick,
            ..Manner::from(lasting)
        };
        let error = exchange(&request(Sender::GovukPay, &url), &url, by_read)
            .await
            .unwrap_err();
        assert_eq!(error.outcome(), Some(Outcome::TimedOut));
    }

    #[tokio::test]
    async fn hmrc_offers_tls_1_2_only_and_pay_both() {
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
            let error = exchange(&request(sender, &url), &url, sender.manner())
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
