//! An `https` destination as its configuration describes it: networks, certificates, proxy,
//! rotation, and the number of concurrent deliveries.

use std::{
    collections::HashMap,
    fs, io,
    net::SocketAddr,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use pillarbox::{
    config::Config,
    delivery::{DeliveryLimits, DeliveryWorker, sweep::Sweep},
    destinations::{
        AnyDestination, DeliveryError, Destination, DestinationDeps, DestinationRoutes,
        LogDestination,
    },
    domain::SystemClock,
    inbox::{MemoryInbox, ReceiveInbox, RetentionPolicy},
    secrets::{FetchedSecrets, SecretSources},
    senders::example::{NOW, pay},
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{ServerConfig, pki_types::PrivateKeyDer};
use tempfile::TempDir;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

use test_support::{
    endpoint::{ConsumerEndpoint, EndpointReply},
    process::WHSEC,
    sample_events::captured,
};

const OTHER_WHSEC: &str = "whsec_YW5vdGhlci1zZWNyZXQtb2YtMzItYnl0ZXMtbG9uZyE=";

/// The destinations of `document`, with these variables besides the secrets.
fn routes(document: &str, variables: &[(&str, &str)]) -> DestinationRoutes<AnyDestination> {
    let document = format!("{document}\n[sources.pay]\nkind = \"govuk-pay\"\nsecrets = []\n");
    let secrets = [("LEDGER_WHSEC", WHSEC), ("OTHER_WHSEC", OTHER_WHSEC)];
    let set: HashMap<_, _> = secrets.iter().chain(variables).copied().collect();
    let secret_sources = SecretSources {
        env: &|name| set.get(name).map(|value| (*value).to_owned()),
        file: &|path: &Path| fs::read_to_string(path),
        vault: FetchedSecrets::NOTHING,
    };
    let config = Config::read(&document, "test").unwrap();
    let secrets = config.destination_secrets(&secret_sources).unwrap();
    let (routes, errors) = config.route_settings(&secrets).build(&DestinationDeps {
        aws: None,
        clock: Arc::new(SystemClock),
        secret_sources: &secret_sources,
        log: &|| LogDestination::new(io::sink()),
    });
    assert!(errors.is_empty(), "{errors:?}");
    routes
}

async fn deliver(routes: &DestinationRoutes<AnyDestination>) -> Result<(), DeliveryError> {
    let (key, event) = captured("pay:1", Some("p1"));
    routes.deliver(&key, &event).await
}

fn unavailable(reason: &str) -> Result<(), DeliveryError> {
    Err(DeliveryError::Unavailable(reason.to_owned()))
}

/// An authority with its certificate in a file, and servers that it has certified.
struct CertificateAuthority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

impl CertificateAuthority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let issuer = CertifiedIssuer::self_signed(params, key).unwrap();
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { issuer, folder }
    }

    fn file(&self) -> String {
        self.folder.path().join("ca.pem").display().to_string()
    }

    /// A server of `name` that answers every request with 204.
    async fn server(&self, name: &str) -> SocketAddr {
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
            )
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        answer(stream).await;
                    }
                });
            }
        });
        address
    }
}

async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let mut request = Vec::new();
    while !request.windows(4).any(|four| four == b"\r\n\r\n") {
        if stream.read_buf(&mut request).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let reply = b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n";
    let _ = stream.write_all(reply).await;
    let _ = stream.shutdown().await;
}

fn https(url: &str, more: &str) -> String {
    format!(
        "[destination]\nkind = \"https\"\nurl = \"{url}\"\nsecret = \"env:LEDGER_WHSEC\"\n{more}"
    )
}

#[tokio::test]
async fn a_back_office_on_an_allowed_network_is_verified_by_its_own_authority() {
    let (ours, other) = (CertificateAuthority::new(), CertificateAuthority::new());
    let port = ours.server("localhost").await.port();
    let misnamed = ours.server("ledger.example.gov.uk").await.port();
    let url = format!("https://localhost:{port}/events");
    let allow = "allow = [\"127.0.0.0/8\", \"::1/128\"]\n";
    let ca = |authority: &CertificateAuthority| format!("ca = \"{}\"\n", authority.file());
    for (url, more, outcome) in [
        (&*url, format!("{allow}{}", ca(&ours)), Ok(())),
        (
            &url,
            format!("{allow}{}", ca(&other)),
            unavailable("https: its certificate is from an authority that is not trusted"),
        ),
        (
            &url,
            allow.to_owned(),
            unavailable("https: its certificate is from an authority that is not trusted"),
        ),
        (
            &format!("https://localhost:{misnamed}/"),
            format!("{allow}{}", ca(&ours)),
            unavailable("https: its certificate is for another name"),
        ),
    ] {
        let delivered = deliver(&routes(&https(url, &more), &[])).await;
        assert_eq!(delivered, outcome, "{url} {more}");
    }
}

#[test]
fn a_network_that_is_too_wide_or_a_metadata_service_is_refused() {
    for (url, allow, words) in [
        ("https://10.1.2.3/", "0.0.0.0/0", "is too wide"),
        ("https://[fd00::1]/", "::/0", "is too wide"),
        ("https://10.1.2.3/", "10.1.2.3.4", "must be a network"),
        (
            "https://10.1.2.3/",
            "192.168.0.0/16",
            "is https to a private",
        ),
        (
            "https://169.254.169.254/",
            "169.254.0.0/16",
            "is https to a private",
        ),
        (
            "https://[fd00:ec2::254]/",
            "fd00:ec2::/32",
            "is https to a private",
        ),
    ] {
        let document = https(url, &format!("allow = [\"{allow}\"]\n"))
            + "[sources.pay]\nkind = \"govuk-pay\"\nsecrets = []\n";
        let problems = Config::read(&document, "test").unwrap_err().to_string();
        assert!(problems.contains(words), "{allow}: {problems}");
    }
}

/// A proxy that only tunnels: every request goes to `target`, whatever name it has. Returns its
/// address and the first line of each request.
async fn proxy(target: SocketAddr) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let requested = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&requested);
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let noted = Arc::clone(&noted);
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    if client.read_buf(&mut head).await.unwrap_or(0) == 0 {
                        return;
                    }
                }
                let head = String::from_utf8_lossy(&head).into_owned();
                noted
                    .lock()
                    .unwrap()
                    .push(head.lines().next().unwrap().to_owned());
                let mut server = TcpStream::connect(target).await.unwrap();
                client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
                let _ = copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    (address, requested)
}

#[tokio::test]
async fn a_proxy_is_used_only_if_configured_and_never_for_a_private_name_or_an_exception() {
    let authority = CertificateAuthority::new();
    let server = authority.server("ledger.example.invalid").await;
    let (address, requested) = proxy(server).await;
    let with_proxy = format!("http://{address}");
    let url = "https://ledger.example.invalid/events";
    let ca = format!("ca = \"{}\"\n", authority.file());
    let delivered = async |url: &str, is_on: bool, except: &str, more: &str| {
        let document = format!(
            "outbound_proxy = {is_on}\n{}",
            https(url, &format!("{ca}{more}"))
        );
        let set = [("HTTPS_PROXY", &*with_proxy), ("NO_PROXY", except)];
        let ended = deliver(&routes(&document, &set)).await;
        (ended, std::mem::take(&mut *requested.lock().unwrap()))
    };
    // This machine resolves no `.invalid`; the proxy does.
    let tunnel = vec!["CONNECT ledger.example.invalid:443 HTTP/1.1".to_owned()];
    assert_eq!(delivered(url, true, "", "").await, (Ok(()), tunnel));
    let none = (unavailable("https: no connection"), Vec::new());
    assert_eq!(delivered(url, false, "", "").await, none);
    assert_eq!(delivered(url, true, "example.invalid", "").await, none);

    // The name resolves to addresses of which none is allowed: the proxy would connect to itself.
    let allow = "allow = [\"::1/128\"]\n";
    let resolves = tokio::net::lookup_host("localhost:0").await.unwrap();
    if resolves.into_iter().all(|found| found.is_ipv4()) {
        let (ended, requested) = delivered("https://localhost/", true, "", allow).await;
        let words = "https: the name resolves to a private address, where nothing is sent";
        assert_eq!((ended, requested), (unavailable(words), Vec::new()));
    }
}

#[tokio::test]
async fn two_secrets_sign_each_event_so_that_a_consumer_may_change_its_own_at_any_time() {
    let endpoint = ConsumerEndpoint::opened();
    let both = https(&endpoint.url(), "").replace(
        "secret = \"env:LEDGER_WHSEC\"",
        "secrets = [\"env:OTHER_WHSEC\", \"env:LEDGER_WHSEC\"]",
    );
    assert_eq!(deliver(&routes(&both, &[])).await, Ok(()));
    let first = both.replace("\"env:OTHER_WHSEC\", ", "");
    assert_eq!(deliver(&routes(&first, &[])).await, Ok(()));
    let received = endpoint.received();
    let signatures: Vec<&str> = received[0].header("webhook-signature").split(' ').collect();
    assert_eq!(signatures.len(), 2);
    assert!(
        signatures
            .iter()
            .all(|signature| signature.starts_with("v1,"))
    );
    assert_ne!(signatures[0], signatures[1]);
    received[1].check_signature();
    if received[0].header("webhook-timestamp") == received[1].header("webhook-timestamp") {
        assert_eq!(signatures[1], received[1].header("webhook-signature"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destination_takes_as_many_at_once_as_it_allows_and_holds_up_no_other() {
    let (slow, fast) = (ConsumerEndpoint::opened(), ConsumerEndpoint::opened());
    let (at_once, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (running, peak) = (Arc::clone(&at_once), Arc::clone(&most));
    slow.answers(move |_, _| {
        peak.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        let running = Arc::clone(&running);
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(10)).await;
            running.fetch_sub(1, Ordering::SeqCst);
        });
        EndpointReply::Late(Duration::from_millis(20))
    });
    let document = format!(
        "{}[destinations.slow]\nkind = \"https\"\nurl = \"{}\"\nsecret = \"env:LEDGER_WHSEC\"\n\
         in_flight = 2\n[[routes]]\nsource = \"pay\"\ntypes = [\"card_payment_captured\"]\n\
         destination = \"slow\"\n",
        https(&fast.url(), ""),
        slow.url()
    );
    let inbox = Arc::new(MemoryInbox::default());
    for n in 0..40 {
        let (id, payment) = (format!("m{n}"), format!("p{n}"));
        let entry = pay(&id, &payment, "card_payment_captured", NOW);
        inbox.record(&entry).await.unwrap();
        let other = pillarbox::senders::example::hmrc(&id, "{}");
        inbox.record(&other).await.unwrap();
    }
    let retention = RetentionPolicy {
        retention: Duration::from_secs(90 * 24 * 60 * 60),
    };
    let worker = DeliveryWorker::new(
        inbox,
        routes(&document, &[]),
        Arc::new(SystemClock),
        retention,
    );
    let mut sweep = Sweep::new(Arc::new(worker), Arc::default(), DeliveryLimits::SERVER);
    sweep.begin_round().await.unwrap();
    let mut ended = Vec::new();
    loop {
        sweep.fill().await.unwrap();
        let Some(attempt) = sweep.next_result().await else {
            break;
        };
        ended.push(attempt.key.source().to_owned());
    }
    assert_eq!((slow.times(), fast.times()), (40, 40));
    assert_eq!(most.load(Ordering::SeqCst), 2);
    let last_fast = ended.iter().rposition(|source| source == "hmrc").unwrap();
    let slow_before = ended[..last_fast]
        .iter()
        .filter(|source| *source == "pay")
        .count();
    assert!(slow_before < 40, "the others are delivered meanwhile");
}
