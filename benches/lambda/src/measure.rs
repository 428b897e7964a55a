//! The three things that are measured of a program, each in fresh processes.

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
/// The time that a program may still work after it requested its first event.
const SETTLE: Duration = Duration::from_millis(20);

/// What every measurement needs.
pub(crate) struct Bench {
    dynamodb: DynamoDb,
    sender: Sender,
    throttle: Throttle,
    folder: PathBuf,
}

/// From exec to the first answer, the first event waiting when the program requests it.
pub(crate) struct Cold {
    pub(crate) ready: Duration,
    pub(crate) answered: Duration,
    pub(crate) cpu: Duration,
}

/// The first invocation of a program that has started, with the processor of a small function.
pub(crate) struct First {
    pub(crate) took: Duration,
    pub(crate) cpu: Duration,
    /// Connections to DynamoDB it opened, though a program could have had one since its init.
    pub(crate) connections: u64,
}

/// Invocations one after another.
pub(crate) struct Warm {
    pub(crate) took: Vec<Duration>,
    /// The same without what DynamoDB's stand-in took of each.
    pub(crate) besides: Vec<Duration>,
    /// Of one invocation, on average.
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
        run.api.give(event.json.clone());
        let run = run.start(self);
        let ready = run.checked(run.api.await_next());
        let exchange = run.checked(run.api.await_response());
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
        run.checked(run.api.await_next());
        std::thread::sleep(SETTLE);
        let held = self.throttle.hold(run.process().pid());
        let event = self.sender.next();
        let (before, connected) = (run.process().cpu(), self.dynamodb.connections());
        let exchange = run.invoke(&event);
        let cpu = run.process().cpu() - before;
        let connections = self.dynamodb.connections() - connected;
        drop(held);
        run.check(&exchange, &event, &self.dynamodb.take_calls());
        First {
            took: exchange.answered - exchange.given,
            cpu,
            connections,
        }
    }

    pub(crate) fn warm(&mut self, program: &Program, count: usize) -> Warm {
        let run = Run::prepare(self, program).start(self);
        let (mut took, mut besides, mut before) = (Vec::new(), Vec::new(), Duration::ZERO);
        for number in 0..WARM_UP + count {
            run.checked(run.api.await_next());
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
                besides.push(whole.saturating_sub(calls.iter().map(|call| call.took).sum()));
            }
        }
        let of_all = run.process().cpu() - before;
        let cpu = of_all / u32::try_from(count).expect("the count fits");
        Warm {
            took,
            besides,
            cpu,
            memory: run.process().peak_memory(),
        }
    }

    /// Answers `count` invocations in a process that can then end in its own time.
    pub(crate) fn serve(&mut self, program: &Program, count: u32) {
        let mut run = Run::prepare(self, program).start(self);
        for _ in 0..count {
            run.checked(run.api.await_next());
            let event = self.sender.next();
            let exchange = run.invoke(&event);
            run.check(&exchange, &event, &self.dynamodb.take_calls());
        }
        run.checked(run.api.await_next());
        if let Some(process) = run.process.take() {
            process.end();
        }
    }

    /// The variables of every program; each reads those that it knows.
    fn variables(&self) -> Vec<(&'static str, String)> {
        let authority = self
            .dynamodb
            .authority()
            .to_str()
            .expect("paths here are text");
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
                python.to_str().expect("paths here are text").to_owned(),
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

/// One process and the Runtime API it talks to.
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
        self.process.as_ref().expect("it was started")
    }

    fn invoke(&self, event: &Event) -> Exchange {
        self.api.give(event.json.clone());
        self.checked(self.api.await_response())
    }

    fn checked<T>(&self, result: Result<T, String>) -> T {
        result.unwrap_or_else(|error| self.fail(&error))
    }

    /// A benchmark of errors is worth nothing: every answer is the right one, and what it says is
    /// stored is.
    fn check(&self, exchange: &Exchange, event: &Event, calls: &[Call]) {
        let answer = String::from_utf8_lossy(&exchange.answer);
        if !says_so(&answer, self.program.stores) {
            self.fail(&format!("it answered {answer}"));
        }
        let stored = match self.program.stores {
            Stores::Nothing => true,
            Stores::Something => calls.iter().any(|call| call.stores_new("")),
            Stores::ItsId => calls.iter().any(|call| call.stores_new(&event.id)),
        };
        if !stored {
            self.fail(&format!(
                "it answered {answer}, and had not stored {}",
                event.id
            ));
        }
    }

    fn fail(&self, error: &str) -> ! {
        let log_tail = self
            .process
            .as_ref()
            .map(Process::log_tail)
            .unwrap_or_default();
        panic!("{}: {error}\n{log_tail}", self.program.name)
    }
}

/// Whether this answer is 200 and, from a program that stores, says that it did.
fn says_so(answer: &str, stores: Stores) -> bool {
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
        assert!(says_so(recorded, Stores::ItsId));
        assert!(!says_so(&recorded.replace("200", "503"), Stores::ItsId));
        assert!(!says_so(
            &recorded.replace("recorded", "duplicate"),
            Stores::ItsId
        ));
        assert!(!says_so("", Stores::Nothing));
    }
}
