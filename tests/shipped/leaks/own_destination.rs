//! A destination in a team's own Rust that panics with the event in its message.

use rustix::process::Signal;
use test_support::{
    binary,
    canaries::CanaryKind::{Hostile, Secret},
    client::HttpConnection,
    process::{CommandResult, FREE_PORTS, ProgramFolder, RunningServe, until},
};

use super::{serving::variables, sources::CanarySources};

#[tokio::test(flavor = "multi_thread")]
async fn nothing_leaks_from_a_destination_that_panics_with_the_event() {
    let mut sources = CanarySources::new();
    let folder = ProgramFolder::with(&sources.configuration("http://127.0.0.1:1"));
    let program = binary("panicking-destination-under-test");
    let mut command = folder.command_of(program, FREE_PORTS);
    let mut serve = RunningServe::spawn(command.envs(variables(&sources)));
    serve.await_ready();
    let address = format!("127.0.0.1:{}", serve.url("pay").port().unwrap());
    for source in [sources.pay.clone(), sources.hmrc.clone()] {
        let message = sources.message(&source, "panics");
        let request = sources.post(&source, &message, false);
        let mut client = HttpConnection::connect(address.parse().unwrap()).await;
        assert_eq!(client.send(request.bytes()).await.status, 200);
    }
    until("both have panicked", || {
        let log = serve.stderr.all().concat();
        log.matches("a bug: the program panicked").count() >= 2
            && log.matches("the attempt panicked").count() >= 2
    });
    let shown = CommandResult::of(
        folder
            .command(&["list", "--json"])
            .envs(variables(&sources)),
    );
    assert_eq!(shown.code, 0, "{shown:?}");
    assert!(serve.stop(Signal::TERM).success());
    let canaries = &sources.canaries;
    canaries.assert_none("standard error", serve.stderr.all().join("\n"));
    canaries.assert_none("standard output", serve.stdout.all().join("\n"));
    canaries.assert_none("list", &shown.stdout);
    let file = folder.path().join("pillarbox.db");
    let kinds = [Secret, Hostile];
    canaries.assert_no(&kinds, "the inbox", std::fs::read(file).unwrap());
}
