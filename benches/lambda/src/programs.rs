//! What is measured, and how each of it is built.

use std::{
    env, fs,
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};

use flate2::{Compression, write::DeflateEncoder};

/// The names of the programs that the report compares.
pub(crate) const HELLO: &str = "hello";
pub(crate) const FLOOR: &str = "floor";
pub(crate) const BOOTSTRAP: &str = "bootstrap";
pub(crate) const PYTHON: &str = "python powertools";

/// A program that answers invocations.
pub(crate) struct Program {
    pub(crate) name: String,
    /// What it is, for a reader of the report.
    pub(crate) what: String,
    pub(crate) path: PathBuf,
    pub(crate) arguments: Vec<String>,
    pub(crate) stores: Stores,
}

/// What a right answer leaves behind.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stores {
    Nothing,
    /// One new item at least, under a name of the program's own making.
    Something,
    /// One new item at least, which mentions the notification's id.
    ItsId,
}

/// What is uploaded to Lambda: the file, and an archive with it alone.
pub(crate) struct Size {
    pub(crate) file: usize,
    pub(crate) zip: usize,
}

impl Program {
    fn new(name: &str, what: &str, path: PathBuf, stores: Stores) -> Self {
        Self {
            name: name.to_owned(),
            what: what.to_owned(),
            path,
            arguments: Vec::new(),
            stores,
        }
    }

    /// The same under valgrind, which counts its instructions by function in `file`.
    pub(crate) fn under_valgrind(&self, file: &Path) -> Self {
        let valgrind = [
            "--tool=callgrind".to_owned(),
            format!("--callgrind-out-file={}", file.display()),
            self.path.display().to_string(),
        ];
        Self {
            name: self.name.clone(),
            what: self.what.clone(),
            path: "valgrind".into(),
            arguments: valgrind.into_iter().chain(self.arguments.clone()).collect(),
            stores: self.stores,
        }
    }

    /// `None` unless it is a single file.
    pub(crate) fn size(&self) -> Option<Size> {
        if !self.arguments.is_empty() {
            return None;
        }
        let bytes =
            fs::read(&self.path).unwrap_or_else(|error| panic!("{}: {error}", self.path.display()));
        let mut deflated = DeflateEncoder::new(Vec::new(), Compression::best());
        deflated.write_all(&bytes).expect("memory takes everything");
        // An archive names its one file twice and adds three headers.
        let headers = 30 + 46 + 22 + 2 * "bootstrap".len();
        Some(Size {
            file: bytes.len(),
            zip: deflated.finish().expect("memory takes everything").len() + headers,
        })
    }
}

/// The yardsticks, built from this package; the floor also optimised for speed.
pub(crate) fn yardsticks(build: bool) -> Vec<Program> {
    let programs = [
        (
            HELLO,
            "hello",
            "smallest",
            "`lambda_http`, checks and stores nothing; opt-level z",
            Stores::Nothing,
        ),
        (
            FLOOR,
            "floor",
            "smallest",
            "SDK floor: one HMAC, one conditional PutItem; opt-level z",
            Stores::ItsId,
        ),
        (
            "floor at 3",
            "floor",
            "release",
            "the same at opt-level 3",
            Stores::ItsId,
        ),
    ];
    let target = package().join("target");
    let program = |(name, bin, profile, what, stores)| {
        let arguments = [
            "--profile",
            profile,
            "--bin",
            bin,
            "--no-default-features",
            "--features",
            bin,
        ];
        if build {
            cargo(&package(), &target, &arguments);
        }
        Program::new(name, what, target.join(profile).join(bin), stores)
    };
    programs.into_iter().map(program).collect()
}

/// What is shipped, built as the deployment does.
pub(crate) fn bootstrap(build: bool) -> Program {
    let target = package().join("target/bootstrap");
    if build {
        cargo(
            &project(),
            &target,
            &["--release", "--package", "pillarbox", "--bin", "bootstrap"],
        );
    }
    Program::new(
        BOOTSTRAP,
        "the project's own profile",
        target.join("release/bootstrap"),
        Stores::ItsId,
    )
}

/// One that was built otherwise, to compare.
pub(crate) fn also(name: &str, path: &str) -> Program {
    Program::new(name, path, path.into(), Stores::ItsId)
}

/// The same job in Python: awslambdaric, boto3 and Powertools' idempotency, installed by pip into
/// this target.
pub(crate) fn python(build: bool) -> Program {
    let (folder, own) = (package().join("target/python"), package().join("python"));
    if build {
        run(Command::new("python3").args(["-m", "venv"]).arg(&folder));
        run(Command::new(folder.join("bin/pip"))
            .args(["install", "-q", "-r"])
            .arg(own.join("requirements.txt")));
    }
    let what = "`python3`, awslambdaric, boto3, Powertools idempotency";
    let program = Program::new(PYTHON, what, folder.join("bin/python"), Stores::Something);
    Program {
        arguments: ["-m", "awslambdaric", "handler.handler"]
            .map(str::to_owned)
            .to_vec(),
        ..program
    }
}

/// Where everything that a run leaves behind lies.
pub(crate) fn folder() -> PathBuf {
    let folder = package().join("target/run");
    fs::create_dir_all(&folder).expect("this package's target can be written to");
    folder
}

pub(crate) fn package() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn project() -> PathBuf {
    package()
        .ancestors()
        .nth(2)
        .expect("this package lies within the project")
        .to_owned()
}

/// Builds into `target`, wherever `CARGO_TARGET_DIR` or a configuration points.
fn cargo(package: &Path, target: &Path, arguments: &[&str]) {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // What cargo tells the programs it runs makes the build scripts of some believe that everything
    // has changed.
    let is_set_by_cargo =
        |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
    for (name, _) in env::vars_os().filter(|(name, _)| name.to_str().is_some_and(is_set_by_cargo)) {
        command.env_remove(name);
    }
    run(command
        .args(["build", "--locked"])
        .args(arguments)
        .arg("--target-dir")
        .arg(target)
        .arg("--manifest-path")
        .arg(package.join("Cargo.toml")));
}

fn run(command: &mut Command) {
    let status = command
        .status()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(status.success(), "{command:?} failed");
}
