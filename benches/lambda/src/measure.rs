//! The three measurements of a program, each in new processes.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    dynamodb::{Call, DynamoDb},
    event::{Event, SECRET, Sender},
    process::Process,
    programs::{self, Program, Stores},
    runtime_api::{Exchange, RuntimeApi},
    throttle::Throttle,
};

/// Not counted: the first invocations fill caches and allocate.
const WARM_UP: usize = 100;
/// The time for work that a program still does after it requests its first event.
const SETTLE: Duration = Duration::from_millis(20);

/// The servers and the sender of all measurements.
pub(crate) struct Bench {
    dynamodb: DynamoDb,
    sender: Sender,
    throttle: Throttle,
    folder: PathBuf,
}

/// From exec to the first answer. The event is queued before the start.
pub(crate) struct Cold {
    pub(crate) ready: Duration,
    pub(crate) answered: Duration,
    pub(crate) cpu: Duration,
}

/// The first invocation of a started program, with the processor share of a small function.
pub(crate) struct First {
    pub(crate) took: Duration,
    pub(crate) cpu: Duration,
    /// Connections to DynamoDB that it opened, although a program can open one during init.
    pub(crate) connections: u64,
}

/// Invocations one after another.
pub(crate) struct Warm {
    pub(crate) took: Vec<Duration>,
    /// The same without the time of DynamoDB's stand-in.
    pub(crate) without_dynamodb: Vec<Duration>,
    /// The average of one invocation.
    pub(crate) cpu: Duration,
    /// The most memory, in bytes.
    pub(crate) memory: u64,
}

impl Bench {
    pub(crate) fn new(throttle: Throttle) -> Self {
        let folder = programs::folder();
        Self {
            dynamodb: DynamoDb::start(&folder),
            sender: Sender::new(),
            throttle,
            folder,
        }
    }

    pub(crate) fn throttle(&self) -> &Throttle {
        &self.throttle
    }

    pub(crate) fn cold(&mut self, program: &Program) -> Cold {
        let event = self.sender.next();
        let run = Run::prepare(self, program);
        run.api.queue(event.json.clone());
        let run = run.start(self);
        let ready = run.unwrap_or_fail(run.api.await_next());
        let exchange = run.unwrap_or_fail(run.api.await_response());
        let cpu = run.process().cpu();
        run.check(&exchange, &event, &self.dynamodb.take_calls());
        let since = |at: Instant| at - run.process().started;
        Cold {
            ready: since(ready),
            answered: since(exchange.answered),
            cpu,
        }
    }

    pub(crate) fn first(&mut self, program: &Program) -> First {
        let run = Run::prepare(self, program).start(self);
        run.unwrap_or_fail(run.api.await_next());
        std::thread::sleep(SETTLE);
        let throttled = self.throttle.limit(run.process().pid());
        let event = self.sender.next();
        let (before, connected) = (run.process().cpu(), self.dynamodb.connections());
        let exchange = run.invoke(&event);
        let cpu = run.process().cpu() - before;
        let connections = self.dynamodb.connections() - connected;
        drop(throttled);
        run.check(&exchange, &event, &self.dynamodb.take_calls());
        First {
            took: exchange.answered - exchange.given,
            cpu,
            connections,
        }
    }

    pub(crate) fn warm(&mut self, program: &Program, count: usize) -> Warm {
        let run = Run::prepare(self, program).start(self);
        let (mut took, mut without_dynamodb, mut before) = (Vec::new(), Vec::new(), Duration::ZERO);
        for number in 0..WARM_UP + count {
            run.unwrap_or_fail(run.api.await_next());
            let event = self.sender.next();
            self.dynamodb.take_calls();
            if number == WARM_UP {
                before = run.process().cpu();
            }
            let exchange = run.invoke(&event);
            let calls = self.dynamodb.take_calls();
            run.check(&exchange, &event, &calls);
            if number >= WARM_UP {
                let whole = exchange.answered - exchange.given;
                took.push(whole);
                without_dynamodb
                    .push(whole.saturating_sub(calls.iter().map(|call| call.took).sum()));
            }
        }
        let of_all = run.process().cpu() - before;
        let cpu = of_all / u32::try_from(count).expect("the count fits");
        Warm {
            took,
            without_dynamodb,
            cpu,
            memory: run.process().peak_memory(),
        }
    }

    /// Answers `count` invocations in one process, and then stops it with SIGTERM, so that it can
    /// write its results.
    pub(crate) fn serve(&mut self, program: &Program, count: u32) {
        let mut run = Run::prepare(self, program).start(self);
        for _ in 0..count {
            run.unwrap_or_fail(run.api.await_next());
            let event = self.sender.next();
            let exchange = run.invoke(&event);
            run.check(&exchange, &event, &self.dynamodb.take_calls());
        }
        run.unwrap_or_fail(run.api.await_next());
        if let Some(process) = run.process.take() {
            process.stop();
        }
    }

    /// The variables for every program, each of which reads those that it needs.
    fn variables(&self) -> Vec<(&'static str, String)> {
        let authority = self
            .dynamodb
            .authority()
            .to_str()
            .expect("the path is UTF-8");
        let python = programs::package().join("python");
        vec![
            ("AWS_CA_BUNDLE", authority.to_owned()),
            (
                "AWS_ENDPOINT_URL_DYNAMODB",
                self.dynamodb.endpoint().to_owned(),
            ),
            (
                "HMRC_PUSH_SECRET",
                "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP".to_owned(),
            ),
            ("PAY_SIGNING_SECRET", SECRET.to_owned()),
            ("PILLARBOX_CONFIG", CONFIG.to_owned()),
            ("TABLE", "pillarbox".to_owned()),
            ("_HANDLER", "receive".to_owned()),
            ("PYTHONDONTWRITEBYTECODE", "1".to_owned()),
            (
                "PYTHONPATH",
                python.to_str().expect("the path is UTF-8").to_owned(),
            ),
        ]
    }
}

const CONFIG: &str = r#"
[sources.hmrc]
kind = "hmrc"
secrets = ["env:HMRC_PUSH_SECRET"]

[sources.pay]
kind = "govuk-pay"
secrets = ["env:PAY_SIGNING_SECRET"]

[inbox]
kind = "dynamodb"
table = "pillarbox"

[destination]
kind = "log"
"#;

/// One process and its Runtime API.
struct Run<'a> {
    program: &'a Program,
    api: RuntimeApi,
    process: Option<Process>,
}

impl<'a> Run<'a> {
    fn prepare(bench: &Bench, program: &'a Program) -> Self {
        bench.dynamodb.take_calls();
        Self {
            program,
            api: RuntimeApi::start(),
            process: None,
        }
    }

    fn start(self, bench: &Bench) -> Self {
        let process = Process::start(
            self.program,
            self.api.address(),
            &bench.variables(),
            &bench.folder,
        );
        Self {
            process: Some(process),
            ..self
        }
    }

    fn process(&self) -> &Process {
        self.process.as_ref().expect("the process was started")
    }

    fn invoke(&self, event: &Event) -> Exchange {
        self.api.queue(event.json.clone());
        self.unwrap_or_fail(self.api.await_response())
    }

    fn unwrap_or_fail<T>(&self, result: Result<T, String>) -> T {
        result.unwrap_or_else(|error| self.fail(&error))
    }

    /// Checks that the answer is right and that the program stored the notification: a benchmark of
    /// errors is worthless.
    fn check(&self, exchange: &Exchange, event: &Event, calls: &[Call]) {
        let answer = String::from_utf8_lossy(&exchange.answer);
        if !is_success(&answer, self.program.stores) {
            self.fail(&format!("unexpected answer {answer}"));
        }
        let stored = match self.program.stores {
            Stores::Nothing => true,
            Stores::Something => calls.iter().any(|call| call.stores_new("")),
            Stores::NotificationId => calls.iter().any(|call| call.stores_new(&event.id)),
        };
        if !stored {
            self.fail(&format!(
                "the answer is {answer}, but {} is not stored",
                event.id
            ));
        }
    }

    fn fail(&self, error: &str) -> ! {
        let output = self
            .process
            .as_ref()
            .map(Process::last_output)
            .unwrap_or_default();
        panic!("{}: {error}\n{output}", self.program.name)
    }
}

/// Whether the answer is 200 and, from a program that stores, says `recorded`.
fn is_success(answer: &str, stores: Stores) -> bool {
    let answer: Value = serde_json::from_str(answer).unwrap_or_default();
    let body: Value = answer["body"]
        .as_str()
        .and_then(|body| serde_json::from_str(body).ok())
        .unwrap_or_default();
    answer["statusCode"] == 200 && (stores == Stores::Nothing || body["status"] == "recorded")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_recorded_notification_counts() {
        let recorded = r#"{"statusCode":200,"body":"{\"status\":\"recorded\"}"}"#;
        assert!(is_success(recorded, Stores::NotificationId));
        assert!(!is_success(
            &recorded.replace("200", "503"),
            Stores::NotificationId
        ));
        assert!(!is_success(
            &recorded.replace("recorded", "duplicate"),
            Stores::NotificationId
        ));
        assert!(!is_success("", Stores::Nothing));
    }
}
