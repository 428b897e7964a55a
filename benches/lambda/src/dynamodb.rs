//! A stand-in for DynamoDB that answers immediately, over TLS 1.3 on loopback, and records its
//! requests.
//!
//! It answers as for a first notification: no item exists, and every condition is true.
//! It stores nothing, so that the measurement excludes DynamoDB.

use std::{
    fs,
    io::{self, Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair,
    KeyUsagePurpose,
};
use rustls::{
    ServerConfig, ServerConnection,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer},
    version::TLS13,
};

use crate::http::{self, Request};

pub(crate) struct DynamoDb {
    endpoint: String,
    authority: PathBuf,
    calls: Arc<Mutex<Vec<Call>>>,
    connections: Arc<AtomicU64>,
}

/// One request that was answered.
pub(crate) struct Call {
    target: String,
    body: Vec<u8>,
    /// From the arrival of the request until its answer is ready.
    pub(crate) took: Duration,
}

impl DynamoDb {
    /// Starts the stand-in, and writes the certificate of its authority to `folder`.
    pub(crate) fn start(folder: &Path) -> Self {
        let (config, certificate) = identity();
        let authority = folder.join("authority.pem");
        fs::write(&authority, certificate).expect("the folder can be written to");
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let port = listener
            .local_addr()
            .expect("a bound socket has an address")
            .port();
        let (calls, config) = (Arc::new(Mutex::new(Vec::new())), Arc::new(config));
        let connections = Arc::new(AtomicU64::new(0));
        let (recorded, opened) = (calls.clone(), connections.clone());
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                opened.fetch_add(1, Ordering::Relaxed);
                let (config, recorded) = (config.clone(), recorded.clone());
                // A client that is killed leaves its connection in any state.
                thread::spawn(move || serve(stream, config, &recorded));
            }
        });
        Self {
            endpoint: format!("https://localhost:{port}"),
            authority,
            calls,
            connections,
        }
    }

    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The path of the authority's certificate.
    pub(crate) fn authority(&self) -> &Path {
        &self.authority
    }

    /// The number of connections so far.
    pub(crate) fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    /// The calls since this was last called.
    pub(crate) fn take_calls(&self) -> Vec<Call> {
        std::mem::take(
            &mut self
                .calls
                .lock()
                .expect("no thread panics while holding the lock"),
        )
    }
}

impl Call {
    /// Whether this call stores a new item that contains `name`.
    pub(crate) fn stores_new(&self, name: &str) -> bool {
        let body = String::from_utf8_lossy(&self.body);
        self.target.ends_with(".PutItem")
            && body.contains("attribute_not_exists")
            && body.contains(name)
    }
}

fn serve(
    mut stream: TcpStream,
    config: Arc<ServerConfig>,
    calls: &Mutex<Vec<Call>>,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut tls = ServerConnection::new(config).map_err(io::Error::other)?;
    let (mut bytes, mut block) = (Vec::new(), vec![0; 64 * 1024]);
    let mut began = None;
    while tls.read_tls(&mut stream)? > 0 {
        let now = Instant::now();
        let state = tls.process_new_packets().map_err(io::Error::other)?;
        if state.plaintext_bytes_to_read() > 0 {
            let length = tls.reader().read(&mut block)?;
            bytes.extend_from_slice(&block[..length]);
            began.get_or_insert(now);
        }
        if let Some(request) = http::take(&mut bytes) {
            tls.writer().write_all(&answer())?;
            let took = began.take().map_or(Duration::ZERO, |began| began.elapsed());
            // Recorded before the answer is written, so that every answered call is recorded.
            record(request, took, calls);
        }
        while tls.wants_write() {
            tls.write_tls(&mut stream)?;
        }
    }
    Ok(())
}

fn record(request: Request, took: Duration, calls: &Mutex<Vec<Call>>) {
    let call = Call {
        target: request.target,
        body: request.body,
        took,
    };
    calls
        .lock()
        .expect("no thread panics while holding the lock")
        .push(call);
}

/// The same response to every call: no item, or a successful write.
fn answer() -> Vec<u8> {
    let headers = "x-amzn-RequestId: \
     0D24QH6RG3T5PSIKCNOLPF3OP7VV4KQNSO5AEMVJF66Q9ASUAAJG\r\nx-amz-crc32: 2745614147\r\n";
    http::reply("200 OK", headers, "{}")
}

/// A new certificate for `localhost`, and that of the authority which signs it.
fn identity() -> (ServerConfig, String) {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    authority.distinguished_name = named("Pillarbox benchmark authority");
    let authority =
        CertifiedIssuer::self_signed(authority, key()).expect("the parameters are valid");
    let key = key();
    let mut server = CertificateParams::new(["localhost".to_owned()]).expect("localhost is a name");
    server.distinguished_name = named("localhost");
    server.use_authority_key_identifier_extension = true;
    let certificate = server
        .signed_by(&key, &authority)
        .expect("the parameters are valid");
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&TLS13])
        .expect("ring supports TLS 1.3")
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from(certificate)],
            PrivateKeyDer::from(key),
        )
        .expect("the key is the certificate's");
    (config, authority.pem())
}

fn key() -> KeyPair {
    KeyPair::generate().expect("the system has randomness")
}

fn named(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}
