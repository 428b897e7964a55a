//! A stand-in for AWS on loopback that speaks its JSON protocols. It records the calls and gives
//! the answers that a test configures, errors and invalid answers included.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use md5::{Digest, Md5};
use pillarbox::aws::AwsConfig;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::{
    http_request::{HttpRequest, read_request},
    table,
};

/// One received call.
#[derive(Clone, Debug)]
pub struct AwsCall {
    /// The name of the operation, such as `SendMessage`.
    pub target: String,
    pub body: Value,
}

impl AwsCall {
    fn of(request: &HttpRequest) -> Self {
        let signature = request.header("authorization").unwrap_or_default();
        assert!(
            signature.starts_with("AWS4-HMAC-SHA256"),
            "{}",
            request.head
        );
        let target = request.header("x-amz-target").unwrap();
        Self {
            target: target.rsplit('.').next().unwrap().to_owned(),
            body: serde_json::from_slice(&request.body).unwrap(),
        }
    }
}

/// The answer to a call.
#[derive(Clone, Debug)]
pub enum CloudReply {
    /// 200.
    Done(Value),
    /// 200, after a delay.
    Late(Duration, Value),
    /// An error from AWS: status, code and message.
    Fault(u16, &'static str, &'static str),
    /// A status and JSON without a request id, as from a server that is not AWS.
    Foreign(u16, Value),
    /// A status and an HTML page, as from a proxy.
    Page(u16),
    /// 200, and only the first half of the body.
    Half(Value),
    /// The connection is closed.
    Drop,
    /// Nothing, on a connection that stays open.
    Silence,
}

type CloudBehaviour = Box<dyn Fn(&AwsCall) -> CloudReply + Send + Sync>;

/// The running stand-in.
#[derive(Clone)]
pub struct SimulatedAws {
    pub address: SocketAddr,
    shared: Arc<CloudState>,
}

struct CloudState {
    calls: Mutex<Vec<AwsCall>>,
    behaviour: Mutex<CloudBehaviour>,
    /// The `Date` of every answer, if they have one.
    date: Mutex<Option<&'static str>>,
}

impl SimulatedAws {
    /// Starts a stand-in that answers every call with `behaviour`.
    pub async fn answering(
        behaviour: impl Fn(&AwsCall) -> CloudReply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let shared = Arc::new(CloudState {
            calls: Mutex::default(),
            behaviour: Mutex::new(Box::new(behaviour)),
            date: Mutex::default(),
        });
        let address = listener.local_addr().unwrap();
        tokio::spawn(accept(listener, Arc::clone(&shared)));
        Self { address, shared }
    }

    /// Sets the answers from now on.
    pub fn answers(&self, behaviour: impl Fn(&AwsCall) -> CloudReply + Send + Sync + 'static) {
        *self.shared.behaviour.lock().unwrap() = Box::new(behaviour);
    }

    /// Sets the `Date` of every answer from now on.
    pub fn dates_answers(&self, date: &'static str) {
        *self.shared.date.lock().unwrap() = Some(date);
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The calls of this operation.
    pub fn calls(&self, target: &str) -> Vec<AwsCall> {
        self.shared
            .calls
            .lock()
            .unwrap()
            .iter()
            .filter(|call| call.target == target)
            .cloned()
            .collect()
    }

    /// The number of calls.
    pub fn times(&self) -> usize {
        self.shared.calls.lock().unwrap().len()
    }

    /// The configuration by which our clients reach it.
    pub fn aws(&self) -> AwsConfig {
        reached_at(&self.url())
    }
}

/// The configuration for AWS at this address, with dummy credentials.
pub fn reached_at(url: &str) -> AwsConfig {
    table::aws(&variables(url))
}

/// The variables by which a process reaches it.
pub fn variables(url: &str) -> [(&'static str, String); 4] {
    [
        ("AWS_ENDPOINT_URL", url.to_owned()),
        ("AWS_REGION", "eu-west-2".to_owned()),
        ("AWS_ACCESS_KEY_ID", "test".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
    ]
}

async fn accept(listener: TcpListener, shared: Arc<CloudState>) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(serve_connection(stream, Arc::clone(&shared)));
    }
}

async fn serve_connection(mut stream: TcpStream, shared: Arc<CloudState>) {
    let mut unread = Vec::new();
    while let Some(request) = read_request(&mut stream, &mut unread).await {
        let call = AwsCall::of(&request);
        let reply = (shared.behaviour.lock().unwrap())(&call);
        let reply = match reply {
            CloudReply::Done(value) => CloudReply::Done(complete(&call, value)),
            CloudReply::Late(delay, value) => CloudReply::Late(delay, complete(&call, value)),
            other => other,
        };
        shared.calls.lock().unwrap().push(call);
        let date = *shared.date.lock().unwrap();
        if answer(&mut stream, reply, date).await.is_none() {
            return;
        }
    }
}

/// Adds the members by which AWS confirms a call, if the answer lacks them.
fn complete(call: &AwsCall, mut value: Value) -> Value {
    let Some(members) = value.as_object_mut() else {
        return value;
    };
    if members.contains_key("SecretString") || members.contains_key("SecretBinary") {
        let arn = call.body["SecretId"].clone();
        members.entry("ARN").or_insert(arn);
    }
    if members.contains_key("MessageId") {
        let body = call.body["MessageBody"].as_str().unwrap_or_default();
        let digest = hex::encode(Md5::digest(body));
        members.entry("MD5OfMessageBody").or_insert(json!(digest));
    }
    value
}

/// `None` if the connection cannot be reused.
async fn answer(stream: &mut TcpStream, reply: CloudReply, date: Option<&str>) -> Option<()> {
    // Only answers of AWS have a request id.
    let id = match &reply {
        CloudReply::Page(_) | CloudReply::Foreign(..) => "",
        _ => "x-amzn-requestid: 4d4a0cf3-dd04-bf48-a9d0-0b5a1f5e8c11\r\n",
    };
    let date = date.map_or(String::new(), |date| format!("date: {date}\r\n"));
    let mut send = async |status: u16, body: &str, length: usize| {
        let head = format!(
            "HTTP/1.1 {status} X\r\ncontent-type: application/x-amz-json-1.1\r\n{id}{date}"
        );
        let text = format!("{head}content-length: {length}\r\n\r\n{body}");
        stream.write_all(text.as_bytes()).await.ok()
    };
    match reply {
        CloudReply::Done(value) => send(200, &value.to_string(), value.to_string().len()).await,
        CloudReply::Late(delay, value) => {
            tokio::time::sleep(delay).await;
            send(200, &value.to_string(), value.to_string().len()).await
        }
        CloudReply::Fault(status, code, message) => {
            let text =
                json!({"__type": format!("com.amazonaws.example#{code}"), "message": message})
                    .to_string();
            send(status, &text, text.len()).await
        }
        CloudReply::Foreign(status, value) => {
            send(status, &value.to_string(), value.to_string().len()).await
        }
        CloudReply::Page(status) => send(status, "<html></html>", 13).await,
        CloudReply::Half(value) => {
            let text = value.to_string();
            send(200, &text[..text.len() / 2], text.len()).await;
            None
        }
        CloudReply::Drop => None,
        CloudReply::Silence => {
            let mut ignored = [0; 1024];
            while stream.read(&mut ignored).await.ok()? > 0 {}
            None
        }
    }
}
