//! Runs the tests of the console in Chromium, on SQLite and on a table (tests/external/browser).

use std::process::Command;

use pillarbox::config::variable;
use test_support::{binary, dynamodb::EMULATOR, repository};

#[test]
fn the_console_is_accessible_and_resists_attacks_in_a_browser() {
    let tools = variable("PILLARBOX_TEST_BROWSER").map_or_else(
        || repository("target/tools/browser"),
        std::path::PathBuf::from,
    );
    assert!(
        tools.join("node_modules").exists(),
        "{} has no node_modules: run .ci/browser",
        tools.display()
    );
    let folder = repository("tests/external/browser");
    let mut tests: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_string_lossy().ends_with(".test.mjs"))
        .collect();
    tests.sort();
    let ended = Command::new("node")
        .args(["--test", "--test-reporter=spec"])
        .args(tests)
        .env("PILLARBOX_TEST_BROWSER", &tools)
        .env("PILLARBOX_TEST_BINARY", binary("pillarbox-under-test"))
        .env("PILLARBOX_TEST_DYNAMODB", &EMULATOR.endpoint)
        .status()
        .unwrap();
    assert!(ended.success(), "a test of the console failed: see above");
}
