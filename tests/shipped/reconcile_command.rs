//! `pillarbox reconcile`, and the clock of `serve` that does the same, against the
//! senders' APIs.

use std::{collections::BTreeSet, process::Stdio, sync::Arc, time::Duration};

use rustix::process::Signal;
use sender_simulator::{
    Clock, SystemClock,
    apis::{
        PayApi, PpnsApi,
        pay_api::{PaymentLifecycle, SimulatedPayment},
        ppns::{BoxNotificationStatus, PpnsApplication, PpnsError},
    },
    hmrc::HmrcMessage,
};
use serde_json::Value;
use tokio::runtime::Runtime;

use test_support::{
    process::{BOTH_SOURCES, CommandResult, FREE_PORTS, ProgramFolder, RunningServe, until},
    table,
};

const BOX: &str = "50dca3fc-c37c-4f03-b719-63571333624c";
const CLIENT: [&str; 2] = ["a-client-id-of-hmrc-s", "a-client-secret-of-hmrc-s"];
const KEY: &str = "api_test_7mrp1d5lsa5pdfs2bvim2f9cdu";
const VARIABLES: [(&str, &str); 3] = [
    ("CLIENT_ID", CLIENT[0]),
    ("CLIENT_SECRET", CLIENT[1]),
    ("API_KEY", KEY),
];

/// Both senders, whose APIs are on this machine.
struct SenderApis {
    runtime: Runtime,
    ppns: PpnsApi,
    pay: PayApi,
}

impl SenderApis {
    fn start() -> Self {
        let runtime = Runtime::new().unwrap();
        let (ppns, pay) = runtime.block_on(async {
            (
                PpnsApi::start(0, Arc::new(SystemClock)).await.unwrap(),
                PayApi::start(0, Arc::new(SystemClock)).await.unwrap(),
            )
        });
        ppns.with(|boxes| {
            boxes.register(PpnsApplication::new(CLIENT[0], CLIENT[1]));
            boxes.open(BOX, CLIENT[0]);
        });
        pay.with(|accounts| accounts.open(KEY));
        Self { runtime, ppns, pay }
    }

    /// A folder that is configured to pull from these two.
    fn folder(&self) -> ProgramFolder {
        let (hmrc, pay) = (self.ppns.base_url(), self.pay.base_url());
        ProgramFolder::with(&format!(
            "{BOTH_SOURCES}\n[sources.hmrc.pull]\nbase_url = \"{hmrc}\"\nboxes = [\"{BOX}\"]\n\
             client_id = \"env:CLIENT_ID\"\nclient_secret = \"env:CLIENT_SECRET\"\n\
             [sources.pay.pull]\nbase_url = \"{pay}\"\napi_key = \"env:API_KEY\"\n"
        ))
    }

    /// Messages that were not pushed.
    fn keep(&self, count: usize) -> Vec<String> {
        (0..count)
            .map(|n| {
                self.ppns
                    .post(BOX, HmrcMessage::json(format!("{{\"n\":{n}}}")))
            })
            .collect()
    }
}

/// Runs a command with the credentials in its environment.
fn run(folder: &ProgramFolder, arguments: &[&str]) -> CommandResult {
    CommandResult::of(folder.command(arguments).envs(VARIABLES))
}

fn json(ran: &CommandResult) -> (Vec<Value>, Value) {
    let mut lines: Vec<Value> = ran
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let summary = lines.pop().unwrap()["summary"].clone();
    (lines, summary)
}

// Each run waits for HMRC's limit on lists, so each has a test, and they wait side by side.
#[test]
fn a_dry_run_counts_what_hmrc_keeps_and_neither_records_nor_acknowledges_it() {
    let senders = SenderApis::start();
    let folder = senders.folder();
    assert_eq!(run(&folder, &["inbox", "init"]).code, 0);
    senders.keep(3);

    let ran = run(&folder, &["reconcile", "hmrc", "--dry-run", "--json"]);
    assert_eq!(
        (ran.code, json(&ran).1["seen"].clone()),
        (0, 3.into()),
        "{ran:?}"
    );
    assert!(folder.list(&[]).is_empty());
    assert_eq!(
        senders.ppns.with(|boxes| boxes.count_by_status().pending),
        3
    );
}

#[test]
fn what_hmrc_keeps_is_recorded_acknowledged_and_reported_in_words() {
    let senders = SenderApis::start();
    let folder = senders.folder();
    assert_eq!(run(&folder, &["inbox", "init"]).code, 0);
    let ids = senders.keep(3);

    let ran = run(&folder, &["reconcile", "hmrc"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(
        ran.stdout.contains(BOX) && ran.stderr.contains("3 recorded now: push had missed them"),
        "{ran:?}"
    );
    let rows = folder.list(&[]);
    assert!(
        rows.iter()
            .all(|row| row["origin"] == "pull" && row["state"] == "recorded"),
        "{rows:?}"
    );
    assert_eq!(rows.len(), 3);
    assert!(
        ids.iter()
            .all(|id| senders.ppns.with(|boxes| boxes.status(id))
                == Some(BoxNotificationStatus::Acknowledged))
    );
}

#[test]
fn after_a_killed_run_the_next_resumes_immediately_or_names_the_lock_it_waits_for() {
    let on_table = |table: &str| format!("--inbox=dynamodb:{table}");
    for is_local in [true, false] {
        let senders = SenderApis::start();
        let folder = senders.folder();
        let inbox = if is_local {
            assert_eq!(run(&folder, &["inbox", "init"]).code, 0);
            "--inbox=sqlite:pillarbox.db".to_owned()
        } else {
            on_table(senders.runtime.block_on(table::fresh("killed")).table())
        };
        let reconcile = || {
            let mut command = folder.command(&["reconcile", "hmrc", &inbox]);
            command.envs(VARIABLES).envs(table::variables());
            command
        };
        let ids = senders.keep(3);
        let acknowledged = |id: &String| {
            senders.ppns.with(|boxes| boxes.status(id)) == Some(BoxNotificationStatus::Acknowledged)
        };
        let mut killed = reconcile().stderr(Stdio::null()).spawn().unwrap();
        until("a run waits for its second list", || {
            ids.iter().all(acknowledged)
        });
        killed.kill().unwrap();
        killed.wait().unwrap();

        let next = CommandResult::of(&mut reconcile());
        if is_local {
            assert_eq!(next.code, 0, "{next:?}");
            continue;
        }
        assert_eq!(next.code, 1, "{next:?}");
        let holder = format!(
            "error[PB112]: another run is under way: process {} on ",
            killed.id()
        );
        for words in [
            &holder,
            " holds the lock, which ends in ",
            " s unless it is renewed",
        ] {
            assert!(next.stderr.contains(words), "{words}: {next:?}");
        }
    }
}

#[test]
fn an_empty_box_is_reported_in_json() {
    let senders = SenderApis::start();
    let folder = senders.folder();
    assert_eq!(run(&folder, &["inbox", "init"]).code, 0);

    let (boxes, summary) = json(&run(&folder, &["reconcile", "hmrc", "--json"]));
    assert_eq!(
        (
            boxes.len(),
            summary["seen"].clone(),
            summary["ended"].clone()
        ),
        (1, 0.into(), "everything was looked at".into())
    );
}

#[test]
fn a_payment_with_a_missing_event_is_listed_recorded_once_and_exits_with_1() {
    let senders = SenderApis::start();
    let folder = senders.folder();
    assert_eq!(run(&folder, &["inbox", "init"]).code, 0);
    let begun = SystemClock
        .now()
        .minus(Duration::from_secs(2 * 24 * 60 * 60));
    let payment = SimulatedPayment::new(PaymentLifecycle::Failed, begun, &SystemClock);
    let id = payment.id().to_owned();
    senders.pay.with(|accounts| accounts.add(KEY, [payment]));

    for (observed, recorded) in [("recorded", 1), ("recorded before", 0)] {
        let ran = run(&folder, &["reconcile", "pay", "--json"]);
        assert_eq!(ran.code, 1, "{ran:?}");
        let (missing, summary) = json(&ran);
        assert_eq!(missing.len(), 1, "{ran:?}");
        assert_eq!(
            (&missing[0]["payment"], &missing[0]["observed"]),
            (&id.clone().into(), &observed.into())
        );
        assert_eq!(missing[0]["missing"], "card_payment_failed");
        assert_eq!(summary["recorded"], recorded);
    }
    let rows = folder.list(&["--type", "observed"]);
    assert_eq!((rows.len(), &rows[0]["subject"]), (1, &id.clone().into()));
    assert!(
        rows[0]["key"]
            .as_str()
            .unwrap()
            .starts_with(&format!("pay:observed-{id}-"))
    );
}

#[test]
fn serve_reconciles_delivers_and_logs_it() {
    let senders = SenderApis::start();
    let folder = senders.folder();
    senders.keep(2);
    let mut serve = RunningServe::spawn(
        folder
            .command(&[&["serve"], FREE_PORTS].concat())
            .envs(VARIABLES),
    );
    serve.await_ready();
    assert!(
        serve.stderr.find("reconciled every 5 minutes").is_some(),
        "{:?}",
        serve.stderr.all()
    );
    until("both are delivered", || folder.count("delivered") == 2);
    until("both sources have logged a run", || {
        serve
            .stderr
            .all()
            .iter()
            .filter(|line| line.contains("reconciled") && line.contains("completed"))
            .count()
            == 2
    });
    assert!(serve.stop(Signal::TERM).success());
    for line in serve.stderr.all() {
        assert!(
            VARIABLES.iter().all(|(_, secret)| !line.contains(secret)),
            "{line}"
        );
    }

    let doctor = run(&folder, &["doctor"]);
    for words in [
        "pull hmrc: last run",
        "2 that were not pushed",
        "pull pay: last run",
    ] {
        assert!(doctor.stdout.contains(words), "{words}: {doctor:?}");
    }
}

#[test]
fn an_error_says_what_to_do_and_nothing_is_acknowledged() {
    let senders = SenderApis::start();
    let folder = senders.folder();
    assert_eq!(run(&folder, &["inbox", "init"]).code, 0);
    senders.keep(1);
    let wrong = [
        ("CLIENT_ID", CLIENT[0]),
        ("CLIENT_SECRET", "another-client-secret"),
        ("API_KEY", "api_test_another_key"),
    ];
    for (arguments, variables, code, words) in [
        (
            &["reconcile", "nobody"][..],
            &VARIABLES[..],
            2,
            "there is no source `nobody`",
        ),
        (
            &["reconcile", "hmrc", "--since", "soon"],
            &VARIABLES,
            2,
            "--since is neither",
        ),
        (&["reconcile", "hmrc"], &[], 2, "env:CLIENT_ID"),
        (
            &["reconcile", "hmrc"],
            &wrong,
            1,
            "the client id or the client secret is not accepted",
        ),
        (
            &["reconcile", "pay"],
            &wrong,
            1,
            "the API key is not accepted",
        ),
        (
            &["reconcile", "hmrc", "--inbox", "sqlite:none.db"],
            &VARIABLES,
            1,
            "there is no inbox",
        ),
    ] {
        let ran = CommandResult::of(folder.command(arguments).envs(variables.iter().copied()));
        assert_eq!(ran.code, code, "{ran:?}");
        assert!(ran.stderr.contains(words), "{words}: {ran:?}");
    }
    let plain = ProgramFolder::with(BOTH_SOURCES);
    let ran = plain.run(&["reconcile", "pay"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("add [sources.pay.pull]"), "{ran:?}");

    let doctor = run(&folder, &["doctor"]);
    assert_eq!(doctor.code, 1, "the last run needs a person: {doctor:?}");
    assert!(doctor.stdout.contains("wrong  pull hmrc"), "{doctor:?}");
    assert_eq!(
        senders.ppns.with(|boxes| boxes.count_by_status().pending),
        1
    );

    senders.ppns.refuse_next(
        1,
        sender_simulator::apis::ppns::PpnsEndpoint::List,
        PpnsError::NoBox,
    );
    let ran = run(&folder, &["reconcile", "hmrc"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stdout.contains("there is no such box"), "{ran:?}");
    drop(senders.runtime);
}

#[test]
fn sources_without_a_webhook_are_reconciled_alone_and_nothing_of_them_is_missing() {
    let senders = SenderApis::start();
    let (hmrc, pay) = (senders.ppns.base_url(), senders.pay.base_url());
    let folder = ProgramFolder::with(&format!(
        "[sources.pushed]\nkind = \"govuk-pay\"\nsecrets = [\"env:PAY_SIGNING_SECRET\"]\n\
         [sources.mopup]\nkind = \"govuk-pay\"\nwebhook = false\n\
         pull = {{ api_key = \"env:API_KEY\", base_url = \"{pay}\", every = \"1m\", \
         after = \"1h\" }}\n\
         [sources.boxes]\nkind = \"hmrc\"\nwebhook = false\n[sources.boxes.pull]\n\
         base_url = \"{hmrc}\"\nboxes = [\"{BOX}\"]\nclient_id = \"env:CLIENT_ID\"\n\
         client_secret = \"env:CLIENT_SECRET\"\n"
    ));
    senders.keep(2);
    let begun = SystemClock
        .now()
        .minus(Duration::from_secs(2 * 24 * 60 * 60));
    let mut settled = BTreeSet::new();
    for life in [
        PaymentLifecycle::Captured,
        PaymentLifecycle::Failed,
        PaymentLifecycle::Capturable,
        PaymentLifecycle::Submitted,
    ] {
        let payment = SimulatedPayment::new(life, begun, &SystemClock);
        if life != PaymentLifecycle::Submitted {
            settled.insert(payment.id().to_owned());
        }
        senders.pay.with(|accounts| accounts.add(KEY, [payment]));
    }

    let mut command = folder.command(&[&["serve"], FREE_PORTS].concat());
    let mut serve = RunningServe::spawn(command.envs(VARIABLES));
    serve.await_ready();
    until("all are delivered", || folder.count("delivered") == 5);
    let observed = folder.list(&["--source", "mopup"]);
    let of_payments = observed.iter().map(|row| {
        assert_eq!(
            (&row["event_type"], &row["origin"]),
            (&"observed".into(), &"pull".into())
        );
        row["subject"].as_str().unwrap().to_owned()
    });
    assert_eq!(of_payments.collect::<BTreeSet<_>>(), settled);
    assert!(
        serve.stderr.find("WARN").is_none(),
        "{:?}",
        serve.stderr.all()
    );
    for source in ["mopup", "boxes"] {
        let url = serve.url("pushed").join(source).unwrap();
        let ran = run(&folder, &["send", "pushed", "--to", url.as_str()]);
        assert!(ran.code == 1 && ran.stdout.contains(": 404 "), "{ran:?}");
    }

    assert!(serve.stop(Signal::TERM).success());
    let again = run(&folder, &["reconcile", "mopup", "--json"]);
    let (missing, summary) = json(&again);
    assert_eq!((again.code, missing.len()), (0, 0), "{again:?}");
    assert_eq!(summary["recorded"], 0, "{again:?}");
}
