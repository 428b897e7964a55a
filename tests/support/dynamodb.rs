//! The emulator of DynamoDB, started once by each test binary; it ends when the binary does.
//!
//! `PILLARBOX_TEST_DYNAMODB` names another to test against, for a second opinion.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{LazyLock, Mutex},
};

/// The emulator of this test program.
pub static EMULATOR: LazyLock<DynamoEmulator> = LazyLock::new(DynamoEmulator::start);

/// A running emulator.
pub struct DynamoEmulator {
    /// Where it answers.
    pub endpoint: String,
    own: Option<OwnProcess>,
}

/// The process of an emulator that the tests started.
struct OwnProcess {
    talk: Mutex<(ChildStdin, BufReader<ChildStdout>)>,
    _child: Child,
}

impl DynamoEmulator {
    #[expect(
        clippy::disallowed_methods,
        reason = "a person who runs the tests says where it is"
    )]
    pub fn start() -> Self {
        match std::env::var("PILLARBOX_TEST_DYNAMODB") {
            Ok(endpoint) => Self {
                endpoint,
                own: None,
            },
            Err(_) => Self::spawn(),
        }
    }

    fn spawn() -> Self {
        let mut child = Command::new(program())
            .arg("--with-parent")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("`touch tests/build.rs` has the emulator built again");
        let stdin = child.stdin.take().expect("stdin is piped");
        let mut stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let address = line(&mut stdout);
        let own = OwnProcess {
            talk: Mutex::new((stdin, stdout)),
            _child: child,
        };
        Self {
            endpoint: format!("http://{address}"),
            own: Some(own),
        }
    }

    /// Removes the rows that have expired by the machine's clock. DynamoDB does so some time later.
    pub fn expire(&self) -> usize {
        let own = self
            .own
            .as_ref()
            .expect("only an emulator of the tests expires rows on request");
        let mut talk = own
            .talk
            .lock()
            .expect("no test panicked during an exchange");
        writeln!(talk.0, "expire").expect("the emulator reads its input");
        line(&mut talk.1).parse().expect("it answers with a number")
    }
}

fn line(from: &mut impl BufRead) -> String {
    let mut line = String::new();
    from.read_line(&mut line)
        .expect("the emulator writes a line");
    line.trim().to_owned()
}

/// Where the build script of the tests put it. The library's unit tests, which have no such script,
/// build it in the same place: their program is TARGET/PROFILE/deps/PROGRAM.
fn program() -> String {
    if let Some(built) = option_env!("DYNAMODB_EMULATOR") {
        return built.to_owned();
    }
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/dynamodb/Cargo.toml");
    let this_program = std::env::current_exe().expect("this program has a path");
    let target = this_program.ancestors().nth(3);
    let target = target
        .expect("the target directory")
        .join("dynamodb-emulator");
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--locked", "--manifest-path", manifest])
        .arg("--target-dir")
        .arg(&target)
        .status()
        .expect("cargo runs");
    assert!(built.success(), "the emulator is not built");
    format!("{}/debug/dynamodb-emulator", target.display())
}
