//! The stack of the template, expanded by AWS's own translator and created on MiniStack, which
//! enforces its policies. Tests every front and destination, from a signed notification to its
//! event.

use std::process::Command;

use test_support::{binary, ministack::MiniStackProcess, repository};

/// The translator comes with SAM (`.ci/aws-tools` installs it).
const PYTHON: &str = "target/tools/sam/bin/python";

#[test]
fn the_stack_delivers_behind_every_front_and_needs_its_permissions() {
    let ministack = MiniStackProcess::with_policies();
    let ended = Command::new(repository(PYTHON))
        .args(["-W", "ignore"])
        .arg(repository("tests/external/stack.py"))
        .arg(ministack.url())
        .arg(binary("bootstrap-under-test"))
        .arg(repository("template.yaml"))
        .status()
        .unwrap_or_else(|_| panic!("{PYTHON} is missing: run .ci/aws-tools first"));
    assert!(ended.success(), "stack.py failed: see above");
}
