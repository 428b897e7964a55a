//! The emulator of DynamoDB. Each test binary starts one, which ends with the binary.
//!
//! `PILLARBOX_TEST_DYNAMODB` names another emulator, for a second opinion.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{LazyLock, Mutex},
};

/// The emulator of this test program.
pub static EMULATOR: LazyLock<DynamoEmulator> = LazyLock::new(DynamoEmulator::start);

pub struct DynamoEmulator {
    /// Its URL.
    pub endpoint: String,
    own: Option<OwnProcess>,
}

/// The process of an emulator that the tests started.
struct OwnProcess {
    pipes: Mutex<(ChildStdin, BufReader<ChildStdout>)>,
    _child: Child,
}

impl DynamoEmulator {
    #[expect(
        clippy::disallowed_methods,
        reason = "a setting of the person who runs the tests"
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
            .expect("the emulator is built: `touch tests/build.rs` builds it again");
        let stdin = child.stdin.take().expect("stdin is piped");
        let mut stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let address = line(&mut stdout);
        let own = OwnProcess {
            pipes: Mutex::new((stdin, stdout)),
            _child: child,
        };
        Self {
            endpoint: format!("http://{address}"),
            own: Some(own),
        }
    }

    /// Removes the expired rows now, and returns their number. DynamoDB removes them later.
    pub fn expire(&self) -> usize {
        let own = self
            .own
            .as_ref()
            .expect("only an emulator of the tests expires rows on request");
        let mut pipes = own
            .pipes
            .lock()
            .expect("no test panicked during an exchange");
        writeln!(pipes.0, "expire").expect("the emulator reads its input");
        line(&mut pipes.1)
            .parse()
            .expect("it answers with a number")
    }
}

fn line(from: &mut impl BufRead) -> String {
    let mut line = String::new();
    from.read_line(&mut line)
        .expect("the emulator writes a line");
    line.trim().to_owned()
}

/// The path of the emulator, which the build script of the tests builds. The library's unit tests
/// have no such script and build it here, in the same folder of the target directory.
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
    assert!(built.success(), "the emulator builds");
    format!("{}/debug/dynamodb-emulator", target.display())
}
