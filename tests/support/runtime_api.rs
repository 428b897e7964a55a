//! Simulates Lambda: starts the shipped `bootstrap` under a Runtime API that gives it invocations
//! and receives its replies.

use std::{
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    thread::JoinHandle,
    time::Duration,
};

use pillarbox::domain::{Clock, SystemClock};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    time::timeout,
};

use super::{
    binary,
    client::{CheckedResponse, DEADLINE},
    function::{TRACE_HEADER, answer_of},
    http_request::read_request,
    message::{hmrc, pay},
    process::{assert_discreet, searched_log_level},
    table,
};

const API: &str = "/2018-06-01/runtime";

/// What the process reported to Lambda.
#[derive(Clone, Debug, PartialEq)]
pub enum RuntimeReport {
    /// The reply to this invocation.
    Reply(usize, Value),
    /// The error of this invocation.
    Failed(usize, Value),
    /// The error of initialisation.
    InitError(Value),
}

/// The API's state, shared by its connections.
struct RuntimeApiState {
    /// The invocations to come: the text and the time limit of each.
    events: tokio::sync::Mutex<UnboundedReceiver<(String, Duration)>>,
    reports: UnboundedSender<RuntimeReport>,
    count: Mutex<usize>,
}

/// A `bootstrap` under Lambda's API.
pub struct BootstrapProcess {
    child: Child,
    invoke: UnboundedSender<(String, Duration)>,
    reports: UnboundedReceiver<RuntimeReport>,
    lines: Arc<Mutex<Vec<String>>>,
    readers: Vec<JoinHandle<()>>,
    invoked: usize,
}

/// The variables of a function with this handler and this table, and the secrets of
/// [`super::message`].
pub fn deployed(handler: &str, table: &str) -> Vec<(&'static str, String)> {
    let mut variables = table::variables();
    variables.extend([
        ("_HANDLER", handler.to_owned()),
        ("PILLARBOX_CONFIG", configuration(table)),
        ("HMRC", hmrc().secrets[0].clone()),
        ("PAY", pay().secrets[0].clone()),
    ]);
    variables
}

fn configuration(table: &str) -> String {
    format!(
        "[sources.hmrc]\nkind = \"hmrc\"\nsecrets = [\"env:HMRC\"]\n\
         [sources.pay]\nkind = \"govuk-pay\"\nsecrets = [\"env:PAY\"]\n\
         [inbox]\nkind = \"dynamodb\"\ntable = \"{table}\"\n\
         [destination]\nkind = \"log\"\n"
    )
}

/// The binary of these tests, or the command in `PILLARBOX_TEST_BOOTSTRAP`: another build, after an
/// emulator if it is for another processor.
#[expect(
    clippy::disallowed_methods,
    reason = "a setting of the person who runs the tests"
)]
fn program() -> Command {
    let configured = std::env::var("PILLARBOX_TEST_BOOTSTRAP").unwrap_or_default();
    let mut words = configured.split_whitespace();
    let program = words
        .next()
        .map_or_else(|| binary("bootstrap-under-test"), PathBuf::from);
    let mut command = Command::new(program);
    command.args(words);
    command
}

impl BootstrapProcess {
    /// Starts the shipped binary with these variables and those of Lambda.
    pub async fn start(variables: &[(&'static str, String)]) -> Self {
        Self::start_program(program(), variables).await
    }

    /// Starts another program in the same way.
    pub async fn start_program(mut command: Command, variables: &[(&'static str, String)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let ((invoke, events), (reporter, reports)) = (unbounded_channel(), unbounded_channel());
        tokio::spawn(accept(
            listener,
            Arc::new(RuntimeApiState {
                events: events.into(),
                reports: reporter,
                count: Mutex::default(),
            }),
        ));

        command
            .env_clear()
            .env("AWS_LAMBDA_RUNTIME_API", address.to_string());
        command
            .env("AWS_LAMBDA_FUNCTION_NAME", "pillarbox")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST");
        command.env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256");
        command.envs(searched_log_level().map(|level| ("PILLARBOX_LOG", level)));
        command.envs(
            variables
                .iter()
                .map(|(name, value)| (*name, value.as_str())),
        );
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let readers = vec![
            gather(child.stdout.take().unwrap(), &lines),
            gather(child.stderr.take().unwrap(), &lines),
        ];
        Self {
            child,
            invoke,
            reports,
            lines,
            readers,
            invoked: 0,
        }
    }

    /// Invokes the function, and waits for its report.
    pub async fn invoke(&mut self, event: &Value) -> RuntimeReport {
        self.invoke_for(event, Duration::from_secs(60)).await
    }

    /// The same, with this time limit.
    pub async fn invoke_for(&mut self, event: &Value, time: Duration) -> RuntimeReport {
        self.invoke_text(event.to_string(), time).await
    }

    pub async fn invoke_text(&mut self, event: String, time: Duration) -> RuntimeReport {
        self.send(event, time);
        self.next_report().await
    }

    /// Queues an invocation.
    pub fn send(&mut self, event: String, time: Duration) {
        self.invoke.send((event, time)).unwrap();
        self.invoked += 1;
    }

    /// Waits for the next report, which must belong to the last invocation.
    pub async fn next_report(&mut self) -> RuntimeReport {
        let report = timeout(DEADLINE, self.reports.recv())
            .await
            .expect("the function reports in time")
            .unwrap();
        if let RuntimeReport::Reply(number, _) | RuntimeReport::Failed(number, _) = &report {
            assert_eq!(*number, self.invoked, "{report:?} {:?}", self.lines());
        }
        report
    }

    /// Invokes the function with the event of a request, and checks the answer.
    pub async fn answer(&mut self, event: &Value) -> CheckedResponse {
        match self.invoke(event).await {
            RuntimeReport::Reply(_, reply) => answer_of(&reply),
            other => panic!("{other:?} {:?}", self.lines()),
        }
    }

    /// The output so far.
    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    /// The output from this line on.
    pub fn lines_from(&self, first: usize) -> Vec<String> {
        let lines = self.lines.lock().unwrap();
        lines.get(first..).unwrap_or_default().to_vec()
    }

    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Whether the process still runs.
    pub fn is_alive(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits for the process to exit, and returns its status and output.
    pub fn end(mut self) -> (ExitStatus, Vec<String>) {
        let status = self.child.wait().unwrap();
        self.read_to_the_end();
        (status, self.lines())
    }

    /// Kills the process, and returns its output.
    pub fn kill(mut self) -> Vec<String> {
        self.child.kill().unwrap();
        self.end().1
    }

    fn read_to_the_end(&mut self) {
        for reader in self.readers.drain(..) {
            reader.join().unwrap();
        }
    }
}

impl Drop for BootstrapProcess {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it waits for the next invocation
        let _ = self.child.wait();
        if !std::thread::panicking() {
            self.read_to_the_end();
            assert_discreet("the log of the function", &self.lines().join("\n"));
        }
    }
}

fn gather(
    pipe: impl std::io::Read + Send + 'static,
    lines: &Arc<Mutex<Vec<String>>>,
) -> JoinHandle<()> {
    let lines = Arc::clone(lines);
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines() {
            lines.lock().unwrap().push(line.unwrap());
        }
    })
}

async fn accept(listener: TcpListener, api: Arc<RuntimeApiState>) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(serve_connection(stream, Arc::clone(&api)));
    }
}

async fn serve_connection(mut stream: TcpStream, api: Arc<RuntimeApiState>) {
    let mut unread = Vec::new();
    while let Some(request) = read_request(&mut stream, &mut unread).await {
        let answer = match request.target().split(' ').collect::<Vec<_>>()[..] {
            ["GET", path] if path == format!("{API}/invocation/next") => match next(&api).await {
                Some(invocation) => invocation,
                None => return,
            },
            ["POST", path] => {
                let path = path.strip_prefix(API).unwrap();
                receive_report(&api, path, serde_json::from_slice(&request.body).unwrap());
                "HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n".to_owned()
            }
            _ => panic!("{}", request.head),
        };
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

async fn next(api: &RuntimeApiState) -> Option<String> {
    let (event, time) = api.events.lock().await.recv().await?;
    let number = {
        let mut count = api.count.lock().unwrap();
        *count += 1;
        *count
    };
    let deadline = SystemClock.now().plus(time).as_millis();
    Some(format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nlambda-runtime-aws-request-id: \
         {number}\r\n\
         lambda-runtime-trace-id: {TRACE_HEADER}\r\n\
         lambda-runtime-deadline-ms: {deadline}\r\n\
         lambda-runtime-invoked-function-arn: \
          arn:aws:lambda:eu-west-2:123456789012:function:pillarbox\r\n\
         content-length: {}\r\n\r\n{event}",
        event.len()
    ))
}

fn receive_report(api: &RuntimeApiState, path: &str, body: Value) {
    let number = |text: &str| text.parse().unwrap();
    let report = match path.trim_start_matches('/').split('/').collect::<Vec<_>>()[..] {
        ["invocation", id, "response"] => RuntimeReport::Reply(number(id), body),
        ["invocation", id, "error"] => RuntimeReport::Failed(number(id), body),
        ["init", "error"] => RuntimeReport::InitError(body),
        _ => panic!("{path}"),
    };
    let _ = api.reports.send(report); // the receiver is gone after the test
}
