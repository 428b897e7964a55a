//! Several `serve` on one table, as containers run them.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use pillarbox::{
    domain::{Clock, Key, SystemClock},
    inbox::{
        CasOutcome, Claim, DeliveryInbox, KvEntry, KvKey, Lease, LeaseId, ReadInbox,
        ReconcileInbox, Row, dynamodb::DynamoInbox,
    },
};
use rustix::process::Signal;
use sender_simulator::apis::{
    PayApi,
    pay_api::{PaymentLifecycle, SimulatedPayment},
};
use serde_json::json;

use test_support::{
    client::HttpConnection,
    cloud::{AwsCall, CloudReply, SimulatedAws, variables},
    endpoint::{ConsumerEndpoint, EndpointReply},
    fault_proxy::{FaultProxy, InjectedFault},
    message::{Source, hmrc, pay},
    process::{
        BOTH_SOURCES, CommandResult, FREE_PORTS, ProgramFolder, RunningServe, until, within,
    },
    request::RawRequest,
    table,
};

/// Longer than a row falls due that its replica did not attempt, and than the sweep lease lapses.
const FOUND_BY_THE_SWEEP: Duration = Duration::from_secs(60);
/// Shorter than the sweep lease of a replica lasts that does not renew it.
const BEFORE_IT_LAPSES: Duration = Duration::from_secs(12);
/// Shorter than a row falls due: only the replica that recorded it can have delivered it.
const AT_ONCE: Duration = Duration::from_secs(20);

/// A configuration of the inbox.
fn inbox(table: &DynamoInbox) -> String {
    format!(
        "[inbox]\nkind = \"dynamodb\"\ntable = \"{}\"\n",
        table.table()
    )
}

fn both_on(table: &DynamoInbox) -> ProgramFolder {
    ProgramFolder::with(&format!("{BOTH_SOURCES}{}", inbox(table)))
}

/// A replica that reaches the table at `endpoint`.
fn replica_at(folder: &ProgramFolder, endpoint: &str) -> RunningServe {
    let mut command = folder.command(&[&["serve"], FREE_PORTS].concat());
    command
        .envs(table::variables())
        .env("AWS_ENDPOINT_URL_DYNAMODB", endpoint);
    let mut serve = RunningServe::spawn(&mut command);
    serve.await_ready();
    serve
}

fn replica(folder: &ProgramFolder) -> RunningServe {
    replica_at(folder, &test_support::dynamodb::EMULATOR.endpoint)
}

async fn post(serve: &RunningServe, source: &Source, id: &str) -> Key {
    let body = source.message(id, SystemClock.now());
    let url = serve.url(&source.name);
    let address = format!("127.0.0.1:{}", url.port().unwrap());
    let request = RawRequest::post(source, body).bytes();
    let answer = HttpConnection::connect(address.parse().unwrap())
        .await
        .send(request)
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    Key::parse(&format!("{}:{id}", source.name)).unwrap()
}

async fn row(table: &DynamoInbox, key: &Key) -> Row {
    table.get(key).await.unwrap().unwrap()
}

/// Waits until the row of `key` is as wanted.
async fn row_until(table: &DynamoInbox, key: &Key, deadline: Duration, is: fn(&Row) -> bool) {
    let waited = tokio::time::timeout(deadline, async {
        while !is(&row(table, key).await) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    let is_in_time = waited.await.is_ok();
    assert!(is_in_time, "{:?}", row(table, key).await);
}

fn is_delivered(row: &Row) -> bool {
    row.state.as_str() == "delivered"
}

#[tokio::test(flavor = "multi_thread")]
async fn each_replica_delivers_what_it_records_at_once_and_one_of_them_sweeps() {
    let table = table::fresh("replicas").await;
    let folder = both_on(&table);
    let mut replicas = [replica(&folder), replica(&folder), replica(&folder)];
    for (nth, serve) in replicas.iter().enumerate() {
        let key = post(serve, &pay(), &format!("m{nth}")).await;
        row_until(&table, &key, AT_ONCE, is_delivered).await;
    }
    let printed = replicas[0].stderr.find("  inbox  ").unwrap();
    assert!(
        printed.ends_with(&format!("table {}", table.table())),
        "{printed}"
    );

    let sweepers = |replicas: &[RunningServe]| {
        let sweeps = |serve: &&RunningServe| serve.stderr.find("this replica sweeps now").is_some();
        replicas.iter().filter(sweeps).count()
    };
    until("one replica sweeps", || sweepers(&replicas) == 1);
    // A replay wakes no replica, so the sweep finds the row.
    let key = Key::parse("pay:m0").unwrap();
    let ran = CommandResult::of(
        folder
            .command(&["replay", "pay:m0"])
            .envs(table::variables()),
    );
    assert_eq!(ran.code, 0, "{ran:?}");
    row_until(&table, &key, AT_ONCE, is_delivered).await;

    let sweeper = replicas
        .iter_mut()
        .find(|serve| serve.stderr.find("this replica sweeps now").is_some())
        .unwrap();
    assert!(sweeper.stop(Signal::TERM).success());
    within(
        BEFORE_IT_LAPSES,
        "another goes on before the lease would lapse",
        || sweepers(&replicas) == 2,
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_leaves_the_leases_of_other_replicas_alone() {
    let table = table::fresh("leases").await;
    let now = SystemClock.now();
    let key = table::store(&table, "m1", "p1", "card_payment_captured", now).await;
    let lease = Lease {
        id: LeaseId(1),
        until: now.plus(Duration::from_secs(150)),
    };
    let claim = Claim {
        now,
        lease,
        first_backoff: Duration::from_secs(5),
    };
    table.claim(&key, &claim).await.unwrap().unwrap();
    let mut serve = replica(&both_on(&table));
    until("it sweeps", || {
        serve.stderr.find("this replica sweeps now").is_some()
    });
    tokio::time::sleep(Duration::from_secs(6)).await; // two sweeps
    let found = row(&table, &key).await;
    assert_eq!((found.attempts, found.lease), (1, Some(lease)));
    assert!(serve.stop(Signal::TERM).success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_stops_cuts_off_what_hangs_and_another_delivers_it_at_once() {
    let table = table::fresh("drains").await;
    let endpoint = ConsumerEndpoint::opened();
    endpoint.answers(|_, before| match before {
        0 => EndpointReply::Silence,
        _ => EndpointReply::Status(204),
    });
    let folder = ProgramFolder::with(&format!("{}{}", endpoint.configuration(), inbox(&table)));
    let mut stopping = replica(&folder);
    let key = post(&stopping, &pay(), "m1").await;
    until("the delivery hangs", || endpoint.times() == 1);
    let other = replica(&folder);
    let began = tokio::time::Instant::now();
    assert!(stopping.stop(Signal::TERM).success());
    let took = began.elapsed();
    assert!(took < Duration::from_secs(25), "documented: {took:?}");
    row_until(&table, &key, AT_ONCE, is_delivered).await;
    assert_eq!(row(&table, &key).await.attempts, 2);
    assert!(other.stderr.find("this replica sweeps now").is_some());
    let keys: BTreeSet<String> = endpoint
        .received()
        .iter()
        .map(|delivery| delivery.key().to_owned())
        .collect();
    assert_eq!(keys, BTreeSet::from([key.to_string()]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_of_a_source_that_a_replica_does_not_know_is_left_for_one_that_does() {
    let table = table::fresh("sources").await;
    let now = SystemClock.now().minus(Duration::from_secs(300));
    let key = table::store(&table, "m1", "p1", "card_payment_captured", now).await;
    let hmrc_only = "[sources.hmrc]\nkind = \"hmrc\"\nsecrets = [\"env:HMRC_PUSH_SECRET\"]\n";
    let narrow = ProgramFolder::with(&format!("{hmrc_only}{}", inbox(&table)));
    let serve = replica(&narrow);
    until("the log reports it", || {
        let line = serve
            .stderr
            .find("rows of a source that is not configured here");
        line.is_some_and(|line| line.contains(r#""source":"pay""#))
    });
    let found = row(&table, &key).await;
    assert_eq!((found.state.as_str(), found.attempts), ("recorded", 0));
    // The other sweeps although the first holds a lease: their sources differ.
    let other = replica(&both_on(&table));
    row_until(&table, &key, AT_ONCE, is_delivered).await;
    drop((serve, other));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_replicas_rows_are_delivered_by_another() {
    let table = table::fresh("killed").await;
    let endpoint = ConsumerEndpoint::closed(); // what is recorded now fails, and is due again later
    let folder = ProgramFolder::with(&format!("{}{}", endpoint.configuration(), inbox(&table)));
    let mut killed = replica(&folder);
    let key = post(&killed, &pay(), "m1").await;
    row_until(&table, &key, AT_ONCE, |row| row.last_error.is_some()).await;
    killed.kill();
    let mut endpoint = endpoint;
    endpoint.open();
    let other = replica(&folder);
    row_until(&table, &key, FOUND_BY_THE_SWEEP, is_delivered).await;
    assert_eq!(endpoint.times(), 1);
    drop(other);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_replica_at_a_time_reconciles() {
    let table = table::fresh("reconciling").await;
    let api = PayApi::start(0, Arc::new(sender_simulator::SystemClock))
        .await
        .unwrap();
    let key = "api_test_7mrp1d5lsa5pdfs2bvim2f9cdu";
    api.with(|accounts| accounts.open(key));
    let folder = ProgramFolder::with(&format!(
        "{BOTH_SOURCES}[sources.pay.pull]\nbase_url = \"{}\"\napi_key = \"file:key\"\n{}",
        api.base_url(),
        inbox(&table)
    ));
    folder.write("key", key);
    let has_reconciled =
        |serve: &RunningServe| serve.stderr.find(r#""message":"reconciled""#).is_some();
    let mut first = replica(&folder);
    until("the first reconciles", || has_reconciled(&first));
    let second = replica(&folder);
    tokio::time::sleep(Duration::from_secs(6)).await; // it has tried to acquire the lease
    assert!(!has_reconciled(&second));
    assert!(first.stop(Signal::TERM).success());
    until("the second reconciles", || has_reconciled(&second));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_replica_that_reconciles_delivers_what_it_records_immediately() {
    let table = table::fresh("pulled").await;
    let clock = Arc::new(sender_simulator::SystemClock);
    let api = PayApi::start(0, clock.clone()).await.unwrap();
    let key = "api_test_7mrp1d5lsa5pdfs2bvim2f9cdu";
    let lifecycle = PaymentLifecycle::Captured;
    let created = sender_simulator::Clock::now(&*clock).minus(Duration::from_secs(24 * 60 * 60));
    api.with(|accounts| {
        accounts.open(key);
        accounts.add(key, [SimulatedPayment::new(lifecycle, created, &*clock)]);
    });
    let folder = ProgramFolder::with(&format!(
        "[sources.mopup]\nkind = \"govuk-pay\"\nwebhook = false\n[sources.mopup.pull]\n\
         base_url = \"{}\"\napi_key = \"file:key\"\n{}",
        api.base_url(),
        inbox(&table)
    ));
    folder.write("key", key);
    let replica = replica(&folder);
    within(AT_ONCE, "the payment is delivered", || {
        !replica.stdout.all().is_empty()
    });
}

/// What a table stand-in answers when nothing is wrong with it.
fn usable(call: &AwsCall) -> CloudReply {
    match call.target.as_str() {
        "DescribeTable" => denied(),
        "PutItem" => condition_failed(),
        "UpdateItem"
            if call.body["ConditionExpression"]
                .as_str()
                .unwrap()
                .starts_with("attr") =>
        {
            condition_failed()
        }
        "Query" => CloudReply::Done(json!({"Items": [], "Count": 0})),
        _ => CloudReply::Done(json!({})),
    }
}

fn condition_failed() -> CloudReply {
    CloudReply::Fault(
        400,
        "ConditionalCheckFailedException",
        "The conditional request failed",
    )
}

fn denied() -> CloudReply {
    CloudReply::Fault(
        400,
        "AccessDeniedException",
        "User canary is not authorized",
    )
}

/// Starts `serve` with an inbox at `endpoint`, which must refuse with exit code 2 and listen
/// nowhere; returns its error.
#[track_caller]
fn refused(endpoint: &str, drop_variable: &str) -> String {
    let folder = ProgramFolder::with(&format!(
        "{BOTH_SOURCES}[inbox]\nkind = \"dynamodb\"\ntable = \"inbox\"\n"
    ));
    let mut command = folder.command(&[&["serve"], FREE_PORTS].concat());
    command
        .envs(variables(endpoint))
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env_remove(drop_variable);
    let ran = CommandResult::of(&mut command);
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(!ran.stderr.contains("callback  "), "{ran:?}");
    assert!(!ran.stderr.contains("canary"), "{ran:?}");
    ran.stderr
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_cannot_be_used_is_refused_with_what_to_do_before_anything_listens() {
    let cloud = SimulatedAws::answering(usable).await;
    type Answers = fn(&AwsCall) -> CloudReply;
    let cases: [(Answers, &str, &str); 8] = [
        (
            |_| CloudReply::Fault(400, "ResourceNotFoundException", "canary"),
            "there is no such table here: check its name, the region and the account",
            "",
        ),
        (
            |call| match call.target.as_str() {
                "PutItem" => denied(),
                _ => usable(call),
            },
            "PutItem: AccessDeniedException: permission is missing: grant it",
            "",
        ),
        (
            |call| match call.target.as_str() {
                "UpdateItem" => denied(),
                _ => usable(call),
            },
            "UpdateItem: AccessDeniedException: permission is missing: grant it",
            "",
        ),
        (
            |call| match call.target.as_str() {
                "Query" => denied(),
                _ => usable(call),
            },
            "Query: AccessDeniedException: permission is missing: grant it",
            "",
        ),
        (
            |call| match call.target.as_str() {
                "Query" => CloudReply::Fault(
                    400,
                    "ValidationException",
                    "The table does not have the specified index: shelf",
                ),
                _ => usable(call),
            },
            "it has no index `shelf`: deploy the template's table",
            "",
        ),
        (
            |_| CloudReply::Fault(400, "UnrecognizedClientException", "canary"),
            "the credentials are not accepted: renew them",
            "",
        ),
        (
            |_| {
                let text = "Signature expired: 20260302T101531Z is now earlier than 20260302T1020Z";
                CloudReply::Fault(400, "InvalidSignatureException", text)
            },
            "this machine's clock is wrong by minutes: correct it",
            "",
        ),
        (usable, "AWS_REGION is not set", "AWS_REGION"),
    ];
    for (answers, sentence, drop_variable) in cases {
        cloud.answers(answers);
        let error = refused(&cloud.url(), drop_variable);
        assert!(error.contains(sentence), "{sentence}: {error}");
    }
    cloud.answers(usable);
    let error = refused(&cloud.url(), "AWS_ACCESS_KEY_ID");
    assert!(
        error.contains("no AWS credentials were found: give the container a role"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_of_another_layout_is_refused_with_what_to_do() {
    let table = table::fresh("layout").await;
    let key = KvKey::new("layout", "table");
    let mut version = None;
    for (text, sentences) in [
        (
            "rows 2 shards 16",
            &["rows of version 2", "run a newer Pillarbox"][..],
        ),
        ("rows 1 shards 32", &["used with 32 shards", "set it to 32"]),
        ("rows 1 shards 8", &[]),
    ] {
        let next = KvEntry {
            version: SystemClock.random(),
            text: text.to_owned(),
        };
        let stored = table.compare_and_swap(&key, version, &next).await.unwrap();
        assert_eq!(stored, CasOutcome::Stored);
        version = Some(next.version);
        let folder = both_on(&table);
        if sentences.is_empty() {
            replica(&folder);
            continue;
        }
        let mut command = folder.serve_command();
        let ran = CommandResult::of(command.envs(table::variables()));
        assert_eq!(ran.code, 2, "{ran:?}");
        for sentence in sentences {
            assert!(ran.stderr.contains(sentence), "{ran:?}");
        }
    }
    let stored = table.kv_get(&key).await.unwrap().unwrap();
    assert_eq!(stored.text, "rows 1 shards 16", "the layout grows");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_cannot_reach_its_table_starts_and_is_ready_once_it_can() {
    let table = table::fresh("away").await;
    let is_away = Arc::new(AtomicBool::new(true));
    let plan = Arc::clone(&is_away);
    let proxy = FaultProxy::before(
        &test_support::dynamodb::EMULATOR.endpoint,
        move |_| match plan.load(Ordering::Relaxed) {
            true => InjectedFault::FailsBefore,
            false => InjectedFault::None,
        },
    )
    .await;
    let folder = both_on(&table);
    let serve = replica_at(&folder, &proxy.endpoint);
    let address = format!("127.0.0.1:{}", serve.url("pay").port().unwrap());
    let ready = async || {
        let request = RawRequest::new("GET", "/-/readyz").bytes();
        let mut client = HttpConnection::connect(address.parse().unwrap()).await;
        client.send(request).await.status
    };
    assert_eq!(ready().await, 503);
    is_away.store(false, Ordering::Relaxed);
    let mut status = 503;
    for _ in 0..200 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        status = ready().await;
        if status == 200 {
            break;
        }
    }
    assert_eq!(status, 200);
    let key = post(&serve, &hmrc(), "n1").await;
    row_until(&table, &key, AT_ONCE, is_delivered).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_whose_clock_is_wrong_by_minutes_is_refused() {
    let cloud = SimulatedAws::answering(usable).await;
    for (date, sentence) in [
        (
            "Mon, 02 Mar 2020 10:15:31 GMT",
            "s ahead of DynamoDB's: correct it",
        ),
        (
            "Sat, 02 Mar 2080 10:15:31 GMT",
            "s behind DynamoDB's: correct it",
        ),
    ] {
        cloud.dates_answers(date);
        let error = refused(&cloud.url(), "");
        assert!(
            error.contains("this machine's clock is ") && error.contains(sentence),
            "{error}"
        );
    }
}

/// What an idle replica sends to its table: docs/containers.md states it for a month.
#[tokio::test(flavor = "multi_thread")]
async fn an_idle_replica_sends_few_requests_and_an_idle_sweeper_as_many_as_documented() {
    let table = table::fresh("idle").await;
    let folder = both_on(&table);
    let mut counted = Vec::new();
    let mut running = Vec::new();
    for _ in 0..2 {
        let calls = Arc::new(Mutex::new(Vec::<String>::new()));
        let seen = Arc::clone(&calls);
        let proxy = FaultProxy::before(&test_support::dynamodb::EMULATOR.endpoint, move |call| {
            seen.lock().unwrap().push(call.operation.to_owned());
            InjectedFault::None
        })
        .await;
        running.push((replica_at(&folder, &proxy.endpoint), proxy));
        counted.push(calls);
        until("the first sweeps", || {
            running[0]
                .0
                .stderr
                .find("this replica sweeps now")
                .is_some()
        });
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    counted
        .iter()
        .for_each(|calls| calls.lock().unwrap().clear());
    tokio::time::sleep(Duration::from_secs(20)).await;
    let count = |replica: usize, operation: &str| {
        let calls = counted[replica].lock().unwrap();
        calls.iter().filter(|call| *call == operation).count()
    };
    println!(
        "in 20 s: sweeper {} Query, {} UpdateItem, {} GetItem; other {} Query, {} UpdateItem, {} \
         GetItem",
        count(0, "Query"),
        count(0, "UpdateItem"),
        count(0, "GetItem"),
        count(1, "Query"),
        count(1, "UpdateItem"),
        count(1, "GetItem"),
    );
    // A third of a minute: 4 sweeps of 32 queries, 4 renewals; 16 queries a minute for bodies.
    assert!((3 * 32..=5 * 32 + 16).contains(&count(0, "Query")));
    assert!((1..=5).contains(&count(0, "UpdateItem")));
    assert!(
        (3..=5).contains(&count(1, "GetItem")),
        "it looks whether the lease is free"
    );
    assert!(
        count(0, "GetItem") <= 1,
        "it stores once a minute when it last swept"
    );
    assert_eq!(count(1, "Query") + count(1, "UpdateItem"), 0);
}
