//! `pillarbox serve`: runs the receiver, the deliveries, reconciling and the console in one
//! process.

use std::{
    collections::BTreeSet,
    future::Future,
    io::{self, IsTerminal},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use clap::Args;
use sender_simulator::Sender;
use tokio::{
    net::{TcpListener, TcpSocket},
    signal::unix::{SignalKind, signal},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;
use tracing::Level;
use tracing_subscriber::{
    filter::{LevelFilter, Targets},
    prelude::*,
};
use url::Url;

use super::{
    CommandError, ErrorCode, GlobalArgs, demo,
    output::{BOLD, Output, paint},
    settings::{CommandSettings, aws, outside, outside_with, variable, wrong},
};
use crate::{
    acts::{aws_actor, local_actor},
    console::{Console, ConsoleAccess, ConsoleInbox, ConsoleSettings, SampleSource, SenderLookup},
    labels,
    listener::raise_descriptor_limit,
    lock_holder::LocalProcess,
    metrics::{CountedFailures, ServeMetrics},
    refusals::{CandidateSecrets, RefusalLog},
    server::{NewRowHints, NewRows, ServeInbox, Server, SweepDuty, reconcile_loop, sweep_lease},
    sqlite::{ServeLock, SqliteInbox},
};
use pillarbox::{
    aws::{Aws, AwsService},
    config::{Config, DestinationSecrets, InboxConfig, Overrides, SourceConfig},
    delivery::DeliveryWorker,
    destinations::{Destination, DestinationDeps, LogDestination, RouteSettings},
    domain::{Clock, SourceName, SystemClock},
    inbox::{
        RetentionPolicy,
        dynamodb::{DynamoInbox, PreflightError, TableSettings},
    },
    receive::Receiver,
    reconcile::{Reconciler, ReconcilerDeps, TokioSleeper},
    secrets::{FetchedSecrets, Keyring, SecretsCaller, SecretsManager, arns},
    telemetry::{LogFormat, LogLayer, log_panics},
};

/// The connections that may wait to be accepted; Linux takes at most `net.core.somaxconn` of them.
/// When the queue is full, a sender's first packet is dropped and sent again a second later.
const BACKLOG: u32 = 1024;

/// How long reconcile runs may take to end when the process stops. They are stopped together with
/// the requests and the attempts, and are waited for once those have ended.
const RECONCILE_DRAIN: Duration = Duration::from_secs(2);

/// When a row falls due that the replica which recorded it has not attempted, because it was killed
/// or has too many: soon, since no stream delivers it.
const FIRST_DUE_ON_A_TABLE: Duration = Duration::from_secs(30);

/// Receives notifications, stores them, and hands them on.
#[derive(Args, Default)]
pub(super) struct ServeArgs {
    /// The address for senders [default: 127.0.0.1:8080]; overrides PILLARBOX_LISTEN and the
    /// configuration
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// The address of the console [default: 127.0.0.1:8081]; overrides PILLARBOX_CONSOLE and the
    /// configuration
    #[arg(long, value_name = "ADDR")]
    console: Option<String>,
    /// Let the console replay, discard and erase; the demo's always may
    #[arg(long)]
    allow_changes: bool,
}

/// What `serve` needs, before anything is opened.
struct LoadedServe {
    settings: CommandSettings,
    keyring: Arc<Keyring>,
    secrets: DestinationSecrets,
    refusals: Arc<RefusalLog>,
    aws: Option<Aws>,
    access: ConsoleAccess,
}

impl ServeArgs {
    pub(super) async fn run(
        self,
        global: &GlobalArgs,
        output: &mut Output,
    ) -> Result<(), CommandError> {
        let metrics = ServeMetrics::new();
        log_to_stderr(&metrics, output)?;
        let LoadedServe {
            settings,
            keyring,
            secrets,
            refusals,
            aws,
            access,
        } = self.load(global).await?;
        let clock = Arc::new(SystemClock);
        let log = LogDestination::on_stdout().map_err(|error| {
            ErrorCode::Output.error(format!("standard output cannot be used: {error}"))
        })?;
        let routes = settings.config.route_settings(&secrets);
        let (destination, errors) = routes.build(&DestinationDeps {
            aws: aws.as_ref(),
            clock: clock.clone(),
            outside: &outside(),
            log: &|| Ok(log.clone()),
        });
        if let Some(error) = errors.first() {
            return Err(ErrorCode::Config.error(error));
        }
        let goes_to = destination_lines(&settings.config);
        let starting = Starting {
            settings,
            keyring,
            aws,
            access,
            destination,
            goes_to: &goes_to,
            metrics,
            refusals,
            clock,
        };
        run(starting, output).await
    }

    /// The same with a custom destination, which no configuration names.
    pub(super) async fn run_to(
        self,
        destination: impl Destination,
        global: &GlobalArgs,
        output: &mut Output,
    ) -> Result<(), CommandError> {
        let metrics = ServeMetrics::new();
        log_to_stderr(&metrics, output)?;
        let LoadedServe {
            settings,
            keyring,
            refusals,
            aws,
            access,
            ..
        } = self.load(global).await?;
        let checked = settings.config.check_own_destination();
        checked.map_err(|error| ErrorCode::Config.error(format!("{} {error}", settings.place)))?;
        let starting = Starting {
            settings,
            keyring,
            aws,
            access,
            destination,
            goes_to: &["of this program".to_owned()],
            metrics,
            refusals,
            clock: Arc::new(SystemClock),
        };
        run(starting, output).await
    }

    /// Reads the configuration and the secrets; creates the demo's secrets first.
    async fn load(self, global: &GlobalArgs) -> Result<LoadedServe, CommandError> {
        let allow_changes = self.allow_changes;
        let flags = Overrides {
            listen: self.listen,
            console: self.console,
            inbox: None,
        };
        let settings = CommandSettings::load(global, flags.clone());
        if let Ok(settings) = &settings
            && settings.is_demo()
        {
            demo::prepare(&settings.config, &SystemClock)?;
        }
        let settings = CommandSettings::load_to_use(global, flags)?;
        let access = if allow_changes || settings.is_demo() {
            ConsoleAccess::Changes
        } else {
            ConsoleAccess::ReadOnly
        };
        let config = &settings.config;
        let aws = if config.is_on_aws() || config.inbox.is_on_aws() {
            Some(aws().await?)
        } else {
            None
        };
        let manager = aws.as_ref().map(SecretsManager::new);
        let vault = match &manager {
            Some(manager) => {
                manager
                    .read(&arns(config.references()), SecretsCaller::Background)
                    .await
            }
            None => FetchedSecrets::default(),
        };
        let outside = outside_with(&vault);
        let secrets = config.secrets(&outside).map_err(wrong)?;
        let candidates = CandidateSecrets::read(&config.sources, &outside);
        let keyring = Keyring::new(
            config.source_secrets(),
            &outside,
            manager,
            Arc::new(SystemClock),
        );
        Ok(LoadedServe {
            settings,
            keyring,
            secrets: secrets.destinations,
            refusals: RefusalLog::new(candidates, Arc::new(SystemClock)),
            aws,
            access,
        })
    }
}

/// A `serve` that is about to open its inbox.
struct Starting<'a, D> {
    settings: CommandSettings,
    keyring: Arc<Keyring>,
    aws: Option<Aws>,
    access: ConsoleAccess,
    destination: D,
    /// Where events go, for a person.
    goes_to: &'a [String],
    metrics: Arc<ServeMetrics>,
    refusals: Arc<RefusalLog>,
    clock: Arc<SystemClock>,
}

/// Opens everything, prints the addresses, and serves until a signal.
async fn run<D: Destination>(
    starting: Starting<'_, D>,
    output: &mut Output,
) -> Result<(), CommandError> {
    raise_descriptor_limit();
    match starting.settings.config.inbox.clone() {
        InboxConfig::Sqlite { path } => {
            let lock = ServeLock::take(&path)?;
            let inbox = Arc::new(SqliteInbox::create_locked(&path, lock)?);
            let alone = |_: &CancellationToken| (SweepDuty::always(), std::future::ready(()));
            let name = path.display().to_string();
            starting.serve(inbox, name, None, alone, output).await
        }
        InboxConfig::DynamoDb { table, shards } => {
            let inbox = Arc::new(starting.open_table(&table, shards).await?);
            let (sources, clock) = (starting.source_names(), starting.clock.clone());
            let competitor = Arc::clone(&inbox);
            let names = sources.clone();
            let compete = move |stop: &CancellationToken| {
                let (duty, competing) =
                    sweep_lease::compete(competitor, clock, &names, stop.clone());
                (duty, async move { drop(competing.await) })
            };
            let name = format!("table {table}");
            starting
                .serve(inbox, name, Some(sources), compete, output)
                .await
        }
    }
}

impl<D: Destination> Starting<'_, D> {
    fn source_names(&self) -> BTreeSet<String> {
        let sources = self.settings.config.sources.iter();
        sources
            .map(|source| source.name.as_str().to_owned())
            .collect()
    }

    /// Opens the table, and checks that a server can use it. A table that cannot be reached now may
    /// be reached later: until then `/-/readyz` and senders get 503.
    async fn open_table(&self, table: &str, shards: u32) -> Result<DynamoInbox, CommandError> {
        let Some(aws) = &self.aws else {
            unreachable!("AWS is loaded for an inbox on AWS");
        };
        let table = TableSettings {
            first_due: FIRST_DUE_ON_A_TABLE,
            ..TableSettings::new(table, shards, self.settings.config.retention)
        };
        let inbox = DynamoInbox::new(&aws.config(AwsService::DynamoDb), table);
        match inbox.preflight(self.clock.now(), self.clock.random()).await {
            Ok(()) => {}
            Err(error @ PreflightError::Misconfigured(_)) => {
                return Err(ErrorCode::TableSetup.error(error));
            }
            Err(PreflightError::Unreachable(reason)) => {
                tracing::error!(%reason, "the inbox is out of reach; starting all the same");
            }
        }
        Ok(inbox)
    }

    /// Serves until a signal. `take_duty` decides whether this process reads what is due, and
    /// returns what ends with that.
    async fn serve<I: ServeInbox + ConsoleInbox, F: Future<Output = ()>>(
        self,
        inbox: Arc<I>,
        inbox_name: String,
        known_sources: Option<BTreeSet<String>>,
        take_duty: impl FnOnce(&CancellationToken) -> (SweepDuty, F),
        output: &mut Output,
    ) -> Result<(), CommandError> {
        let Self {
            settings, keyring, ..
        } = self;
        let listener = bind(settings.config.listen, "listen")?;
        let console_listener = bind(settings.config.console, "console")?;
        let (bound, console_bound) = (listener.local_addr()?, console_listener.local_addr()?);

        let stop = stop_on_signals()?;
        let metrics = self.metrics;
        let sources = pushed_sources(&settings.config);
        metrics.declare(&sources);
        metrics.watch(&inbox, &sources, self.clock.clone());
        let console = ConsoleSettings {
            config: Arc::new(settings.config.clone()),
            inbox_name: inbox_name.clone(),
            access: self.access,
            is_demo: settings.is_demo(),
            hosts: Vec::new(),
            token: None,
            metrics: Some(Arc::clone(&metrics)),
            refusals: Some(Arc::clone(&self.refusals)),
            senders: sender_lookup(&keyring),
            actor: match &self.aws {
                // Only who may change something has to be asked for, which takes a request.
                Some(aws)
                    if settings.config.inbox.is_on_aws()
                        && self.access == ConsoleAccess::Changes =>
                {
                    aws_actor(aws).await
                }
                _ => local_actor(),
            },
            samples: samples(&settings, bound),
            clock: self.clock.clone(),
        };
        let console = Console::new(Arc::clone(&inbox), console, console_bound);
        let stopped = stop.clone();
        tokio::spawn(console.serve(console_listener, stopped.cancelled_owned()));
        let addresses = (bound, console_bound);
        let shown = (self.goes_to, inbox_name.as_str());
        welcome(&settings, &keyring, addresses, shown, output)?;
        let secrets = DestinationSecrets::default();
        tokio::spawn(log_unreachable(settings.config.route_settings(&secrets)));
        let (duty, duty_ended) = take_duty(&stop);
        let new_rows = NewRows::default();
        let hints = new_rows.hints();
        let reconciling = reconciler(&settings.config, self.aws.as_ref(), &inbox, hints)
            .map(|reconciler| reconcile_loop::start(reconciler, &metrics, &duty, &stop))
            .unwrap_or_default();
        let retention = RetentionPolicy {
            retention: settings.config.retention,
        };
        let (clock, destination) = (self.clock, self.destination);
        let server = Server {
            worker: DeliveryWorker::new(Arc::clone(&inbox), destination, clock.clone(), retention),
            receiver: Receiver::new(keyring, inbox, settings.config.acceptance, clock),
            new_rows,
            metrics,
            refusals: self.refusals,
            sources: known_sources,
            duty,
        };
        server.run(listener, stop).await?;
        end_runs(duty_ended, reconciling).await;
        output.say("Stopped. What was stored and not handed on goes out at the next start.")?;
        Ok(())
    }
}

/// The demo's own sources, to which the console may send samples.
fn samples(settings: &CommandSettings, bound: SocketAddr) -> Vec<SampleSource> {
    let sources = settings.config.sources.iter();
    let sources = sources.filter(|_| settings.is_demo() && bound.ip().is_loopback());
    let sample = |source: &SourceConfig| {
        Some(SampleSource {
            source: source.name.to_string(),
            sender: Sender::parse(source.kind.as_str())?,
            url: Url::parse(&format!("http://{bound}/{}", source.name)).ok()?,
            secret: source.secrets.first()?.value.fetch(&outside()).ok()?,
        })
    };
    sources.filter_map(sample).collect()
}

/// The senders with the keys that `keyring` has at that moment.
pub(super) fn sender_lookup(keyring: &Arc<Keyring>) -> SenderLookup {
    let keyring = Arc::clone(keyring);
    Arc::new(move || {
        let keys = keyring.keys();
        let sources = keys.sources().iter();
        sources
            .map(|(name, source)| (name.as_str().to_owned(), source.clone()))
            .collect()
    })
}

/// The sources whose sender pushes.
fn pushed_sources(config: &Config) -> Vec<SourceName> {
    let pushed = config.sources.iter().filter(|source| source.webhook);
    pushed.map(|source| source.name.clone()).collect()
}

/// Waits for the reconcile runs. Each ends between two steps; one that does not is continued by the
/// next run.
async fn end_runs(duty_ended: impl Future<Output = ()>, mut runs: JoinSet<()>) {
    let ended = async {
        duty_ended.await;
        while runs.join_next().await.is_some() {}
    };
    if tokio::time::timeout(RECONCILE_DRAIN, ended).await.is_err() {
        tracing::warn!("a reconcile run did not end in time and was cut off");
    }
}

/// Logs the https destinations without an address that deliveries may use. Name servers may be
/// slow, so nothing waits for this.
async fn log_unreachable(routes: RouteSettings) {
    for (destination, https) in routes.https() {
        let clock = Arc::new(SystemClock);
        let endpoint = https.endpoint(routes.outbound_proxy, &outside(), clock);
        let resolved = match endpoint {
            Ok(endpoint) => endpoint.resolve().await.map_err(|why| why.to_string()),
            Err(why) => Err(why.to_string()),
        };
        if let Err(reason) = resolved {
            tracing::warn!(%destination, reason, "destination cannot be reached");
        }
    }
}

/// Reconciles every source that has a `pull`; `None` if there is none.
fn reconciler<I: ServeInbox>(
    config: &Config,
    aws: Option<&Aws>,
    inbox: &Arc<I>,
    hints: NewRowHints,
) -> Option<Reconciler<I>> {
    let deps = ReconcilerDeps {
        clock: Arc::new(SystemClock),
        sleeper: Box::new(TokioSleeper),
        holder: Box::new(LocalProcess::new(&config.inbox)),
        reporter: Box::new(hints),
        env: variable,
        manager: aws.map(SecretsManager::new),
        metrics: None,
    };
    Reconciler::new(config, Arc::clone(inbox), deps)
}

pub(super) fn bind(address: SocketAddr, flag: &str) -> Result<TcpListener, CommandError> {
    listen(address).map_err(|error| {
        ErrorCode::Listen.error(format!(
            "cannot listen on {address} ({error}): stop the program that uses it, or choose \
             another with --{flag}"
        ))
    })
}

/// Listens as [`TcpListener::bind`] does, with a longer queue.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Prints the addresses, and commands to try first.
fn welcome(
    settings: &CommandSettings,
    keyring: &Keyring,
    (bound, console): (SocketAddr, SocketAddr),
    (goes_to, inbox): (&[String], &str),
    output: &mut Output,
) -> Result<(), CommandError> {
    output.say(&format!(
        "{} {}",
        paint("Pillarbox", BOLD),
        env!("CARGO_PKG_VERSION")
    ))?;
    output.say(&format!("  configuration  {}", settings.place))?;
    for source in &settings.config.sources {
        for line in source_lines(source, keyring, bound) {
            output.say(&line)?;
        }
    }
    for line in goes_to {
        output.say(&format!("  destination    {line}"))?;
    }
    output.say(&format!("  console        http://{console}/"))?;
    output.say(&format!("  inbox          {inbox}"))?;
    if settings.is_demo() {
        invite(bound, output)?;
    }
    output.say("Ready. Ctrl-C finishes what is in flight and stops.")?;
    Ok(())
}

/// Where the sender of a source reaches it, and how often it is asked.
fn source_lines(source: &SourceConfig, keyring: &Keyring, bound: SocketAddr) -> Vec<String> {
    let (name, kind) = (&source.name, source.kind.as_str());
    if !source.webhook {
        return vec![format!("  reconciled     {name} ({kind}; no webhook)")];
    }
    let keys = keyring.keys();
    let has_keys = keys
        .sources()
        .get(name)
        .is_some_and(|source| !source.keys.is_empty());
    let pending = if !has_keys {
        "; no secret yet, so POSTs are answered 503"
    } else {
        ""
    };
    let callback = format!("  callback       http://{bound}/{name} ({kind}{pending})");
    let mut lines = vec![callback];
    if let (Some(pull), Some(keys)) = (&source.pull, &source.kind.config.pull) {
        let minutes = pull.every.unwrap_or(keys.every).as_secs() / 60;
        lines.push(format!(
            "                 reconciled every {minutes} minutes"
        ));
    }
    lines
}

/// Where events go: the default destination if a source uses it, and each named one with what
/// goes there.
fn destination_lines(config: &Config) -> Vec<String> {
    let users = |name: Option<&str>| {
        let sources = config
            .sources
            .iter()
            .filter(|source| source.destination.as_deref() == name)
            .map(|source| source.name.to_string());
        let routed = config
            .routes
            .iter()
            .filter(|route| Some(route.destination.as_str()) == name)
            .map(|route| format!("{} {}", route.source, route.types.join(" ")));
        let gets_pulled = |source: &&SourceConfig| {
            let mut destinations = config.destinations_of(source);
            destinations.any(|destination| {
                let pulled = destination.pulled().map(|pulled| pulled.value.as_str());
                pulled.is_some() && pulled == name
            })
        };
        let pulled = config
            .sources
            .iter()
            .filter(gets_pulled)
            .map(|source| format!("pulled from {}", source.name));
        let users = sources.chain(routed).chain(pulled);
        users.collect::<Vec<_>>().join(", ")
    };
    let mut lines = Vec::new();
    if config
        .sources
        .iter()
        .any(|source| source.destination.is_none())
    {
        lines.push(labels::destination(&config.destination));
    }
    for (name, kind) in &config.destinations {
        let users = users(Some(name));
        if !users.is_empty() {
            lines.push(format!("{name}: {} ({users})", labels::destination(kind)));
        }
    }
    lines
}

/// Commands to try next, ready to paste into a shell.
fn invite(bound: SocketAddr, output: &mut Output) -> io::Result<()> {
    let program = output.program();
    output.say("Try, in another terminal in this folder:")?;
    for (source, rest) in [
        ("hmrc", ""),
        ("hmrc", " --xml"),
        ("pay", " --event captured"),
        ("pay", " --event refunded --repeat 1"),
    ] {
        // `send` knows the default address, but not one that a flag set.
        let to = if bound.port() == 8080 {
            String::new()
        } else {
            format!(" --to http://{bound}/{source}")
        };
        output.say(&format!(
            "  {}",
            paint(&format!("{program} send {source}{rest}{to}"), BOLD)
        ))?;
    }
    output.say(&format!("  {}", paint(&format!("{program} list"), BOLD)))
}

/// Stops gracefully at the first SIGTERM or Ctrl-C, and at once at the second.
pub(super) fn stop_on_signals() -> io::Result<CancellationToken> {
    let (mut terminate, mut interrupt) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    let stop = CancellationToken::new();
    let stopping = stop.clone();
    tokio::spawn(async move {
        for is_last in [false, true] {
            tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
            if is_last {
                std::process::exit(1); // what was acknowledged is stored, so this loses nothing
            }
            stopping.cancel();
        }
    });
    Ok(stop)
}

/// One line a request on standard error: readable on a terminal, JSON elsewhere. What `output` says
/// to people joins these lines, so that a full disk or a reader that has stopped holds up neither
/// the start nor the end.
pub(super) fn log_to_stderr(
    metrics: &Arc<ServeMetrics>,
    output: &mut Output,
) -> Result<(), CommandError> {
    let level = match variable("PILLARBOX_LOG").as_deref() {
        None | Some("") => Level::INFO,
        Some(word) => word.parse().map_err(|_| {
            ErrorCode::Config.error("PILLARBOX_LOG must be one of error, warn, info, debug, trace")
        })?,
    };
    let colour = anstream::AutoStream::choice(&io::stderr()) != anstream::ColorChoice::Never;
    let format = if io::stderr().is_terminal() {
        LogFormat::Readable { colour }
    } else {
        LogFormat::Json
    };
    let (lines, printer) = LogLayer::new(io::stderr(), format, Arc::new(SystemClock))?;
    // Libraries may say what they carry at their finer levels, so they are never asked for those.
    let which = Targets::new()
        .with_target("pillarbox", level)
        .with_default(Level::WARN);
    tracing_subscriber::registry()
        .with(lines.with_filter(which))
        .with(CountedFailures(Arc::clone(metrics)).with_filter(LevelFilter::ERROR))
        .init();
    log_panics();
    output.print_words_with(printer, colour);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{
        path::Path,
        sync::{Mutex, PoisonError},
    };

    use pillarbox::destinations::DestinationSettings;

    use super::*;
    use crate::commands::output::tests::paste;

    #[test]
    fn the_lines_to_try_run_in_a_shell_as_they_are() {
        let folder = tempfile::tempdir().unwrap();
        for (bound, to) in [
            ("127.0.0.1:8080", ""),
            ("[::1]:9000", "--to\nhttp://[::1]:9000/pay"),
        ] {
            let (mut output, printed) = Output::captured();
            invite(bound.parse().unwrap(), &mut output).unwrap();
            let text = printed.text();
            let commands: Vec<&str> = text.lines().filter(|line| line.starts_with("  ")).collect();
            let ran = paste(&commands.join("\n"), folder.path());
            assert_eq!(ran.len(), 5, "{ran:?}");
            assert_eq!(ran[0].lines().take(2).collect::<Vec<_>>(), ["send", "hmrc"]);
            assert!(ran[2].ends_with(to), "{ran:?}");
            assert_eq!(ran[4], "list");
        }
    }

    #[test]
    fn the_banner_says_where_the_events_of_each_source_go() {
        let document = r#"
            [sources.hmrc]
            kind = "hmrc"
            secrets = []
            destination = "ledger"
            [sources.pay]
            kind = "govuk-pay"
            secrets = []
            [destinations.ledger]
            kind = "https"
            url = "https://ledger.example.gov.uk/events?tenant=secret"
            secret = "env:LEDGER_WHSEC"
            [destinations.unused]
            kind = "log"
        "#;
        let config = Config::read(document, "a test").unwrap();
        assert_eq!(
            destination_lines(&config),
            [
                "log, on standard output",
                "ledger: https, https://ledger.example.gov.uk (hmrc)",
            ]
        );
        assert_eq!(
            destination_lines(&Config::demo(Path::new("demo"))),
            ["log, on standard output"]
        );
    }

    #[derive(Clone, Default)]
    struct TestLog(Arc<Mutex<Vec<u8>>>);

    impl io::Write for TestLog {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            log.write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn the_start_names_each_destination_that_nothing_will_be_delivered_to() {
        let document = "[sources.pay]\nkind = \"govuk-pay\"\nsecrets = []\n\
            [destination]\nkind = \"https\"\nurl = \"https://localhost./\"\nsecret = \"env:A\"\n\
            [destinations.near]\nkind = \"https\"\nurl = \"http://localhost:1/\"\n\
             secret = \"env:A\"\n[destinations.log]\nkind = \"log\"\n";
        let config = Config::read(document, "test").unwrap();
        let mut routes = config.route_settings(&DestinationSecrets::default());
        assert_eq!(routes.https().count(), 2);
        // The configuration refuses `localhost`, and not every system resolves `localhost.`.
        if let DestinationSettings::Https(https) = &mut routes.default {
            https.url = "https://localhost/".parse().unwrap();
        }

        let log = TestLog::default();
        let (layer, guard) =
            LogLayer::new(log.clone(), LogFormat::Json, Arc::new(SystemClock)).unwrap();
        let subscriber =
            tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));
        log_unreachable(routes).await;
        drop((subscriber, guard));
        let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        assert_eq!(log.lines().count(), 1, "{log}");
        assert!(log.contains(r#""destination":"(default)""#), "{log}");
        assert!(log.contains("private"), "{log}");
    }

    #[cfg(target_os = "linux")] // other systems allow a queue of 128
    #[tokio::test]
    async fn connections_that_are_not_accepted_yet_wait_in_a_long_queue() {
        let listener = bind("127.0.0.1:0".parse().unwrap(), "listen").unwrap();
        let address = listener.local_addr().unwrap();
        let mut waiting = Vec::new();
        for nth in 0..400 {
            let connect = tokio::net::TcpStream::connect(address);
            let connected = tokio::time::timeout(std::time::Duration::from_millis(500), connect);
            match connected.await {
                Ok(stream) => waiting.push(stream.unwrap()),
                Err(_) => panic!("connection {nth} was not taken into the queue"),
            }
        }
    }
}
