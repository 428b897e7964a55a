//! The credentials of an ECS task, from the address that ECS uses: 169.254.170.2. The test creates
//! it in a network namespace.

use test_support::{
    binary,
    process::{BOTH_SOURCES, CommandResult, ProgramFolder},
    repository,
};

const NETWORK: &str = "ip link set lo up && ip addr add 169.254.170.2/32 dev lo && exec \"$@\"";

#[test]
fn the_credentials_of_an_ecs_task_come_from_the_ecs_agent() {
    let folder = ProgramFolder::with(BOTH_SOURCES);
    let script = repository("tests/external/task_role.py");
    let program = binary("pillarbox-under-test");
    let mut arguments = vec!["--map-root-user", "--net", "sh", "-c", NETWORK, "network"];
    arguments.extend([
        "python3",
        script.to_str().unwrap(),
        program.to_str().unwrap(),
    ]);
    arguments.extend(["list", "--state", "dead", "--inbox", "dynamodb:inbox"]);
    let ran = CommandResult::of(
        folder
            .command_of("unshare", &arguments)
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("AWS_REGION", "eu-west-2")
            .env("AWS_ENDPOINT_URL_DYNAMODB", "http://127.0.0.1:8000")
            .env(
                "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
                "/v2/credentials/a-task",
            ),
    );
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(
        ran.stdout.lines().collect::<Vec<_>>(),
        ["agent /v2/credentials/a-task", "table by AKIDTASK"]
    );
}
