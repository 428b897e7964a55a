//! The programs that are measured, and how each is built.

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
    /// Its description in the report.
    pub(crate) description: String,
    pub(crate) path: PathBuf,
    pub(crate) arguments: Vec<String>,
    pub(crate) stores: Stores,
}

/// What a program must store before it answers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stores {
    Nothing,
    /// At least one new item, under any key.
    Something,
    /// At least one new item that contains the notification's id.
    NotificationId,
}

/// The bytes of the file, and of the archive that is uploaded to Lambda.
pub(crate) struct Size {
    pub(crate) file: usize,
    pub(crate) zip: usize,
}

impl Program {
    fn new(name: &str, description: &str, path: PathBuf, stores: Stores) -> Self {
        Self {
            name: name.to_owned(),
            description: description.to_owned(),
            path,
            arguments: Vec::new(),
            stores,
        }
    }

    /// The same program under valgrind, which writes its instruction counts to `file`.
    pub(crate) fn under_valgrind(&self, file: &Path) -> Self {
        let valgrind = [
            "--tool=callgrind".to_owned(),
            format!("--callgrind-out-file={}", file.display()),
            self.path.display().to_string(),
        ];
        Self {
            name: self.name.clone(),
            description: self.description.clone(),
            path: "valgrind".into(),
            arguments: valgrind.into_iter().chain(self.arguments.clone()).collect(),
            stores: self.stores,
        }
    }

    /// Its size; `None` if it is not a single file.
    pub(crate) fn size(&self) -> Option<Size> {
        if !self.arguments.is_empty() {
            return None;
        }
        let bytes =
            fs::read(&self.path).unwrap_or_else(|error| panic!("{}: {error}", self.path.display()));
        let mut deflated = DeflateEncoder::new(Vec::new(), Compression::best());
        deflated
            .write_all(&bytes)
            .expect("a write to memory cannot fail");
        // An archive names its one file twice and adds three headers.
        let headers = 30 + 46 + 22 + 2 * "bootstrap".len();
        Some(Size {
            file: bytes.len(),
            zip: deflated
                .finish()
                .expect("a write to memory cannot fail")
                .len()
                + headers,
        })
    }
}

/// The baselines, built from this package. The floor is also built for speed.
pub(crate) fn baselines(build: bool) -> Vec<Program> {
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
            Stores::NotificationId,
        ),
        (
            "floor at 3",
            "floor",
            "release",
            "the same at opt-level 3",
            Stores::NotificationId,
        ),
    ];
    let target = package().join("target");
    let program = |(name, bin, profile, description, stores)| {
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
        Program::new(name, description, target.join(profile).join(bin), stores)
    };
    programs.into_iter().map(program).collect()
}

/// The shipped function, built as for a deployment.
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
        Stores::NotificationId,
    )
}

/// Another build, for comparison.
pub(crate) fn also(name: &str, path: &str) -> Program {
    Program::new(name, path, path.into(), Stores::NotificationId)
}

/// The same work in Python: awslambdaric, boto3 and the idempotency of Powertools, which pip
/// installs below `target`.
pub(crate) fn python(build: bool) -> Program {
    let folder = package().join("target/python");
    if build {
        run(Command::new("python3").args(["-m", "venv"]).arg(&folder));
        run(Command::new(folder.join("bin/pip"))
            .args(["install", "-q", "-r"])
            .arg(package().join("python/requirements.txt")));
    }
    let description = "`python3`, awslambdaric, boto3, Powertools idempotency";
    let python = folder.join("bin/python");
    let program = Program::new(PYTHON, description, python, Stores::Something);
    Program {
        arguments: ["-m", "awslambdaric", "handler.handler"]
            .map(str::to_owned)
            .to_vec(),
        ..program
    }
}

/// The folder for the files of a run.
pub(crate) fn folder() -> PathBuf {
    let folder = package().join("target/run");
    fs::create_dir_all(&folder).expect("the folder can be created");
    folder
}

pub(crate) fn package() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn project() -> PathBuf {
    package()
        .ancestors()
        .nth(2)
        .expect("this package is within the project")
        .to_owned()
}

/// Builds into `target`, whatever `CARGO_TARGET_DIR` or a configuration says.
fn cargo(package: &Path, target: &Path, arguments: &[&str]) {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // Cargo sets these variables for programs that it runs. With them, some build scripts would run
    // again.
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
