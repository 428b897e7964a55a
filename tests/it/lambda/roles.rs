//! Every kind of event into every role: its own is worked on, any other is an error and never a
//! success.

use pillarbox::lambda::{InvocationError, Role};
use serde_json::{Value, json};

use test_support::{
    fronts::{FrontRequest, LambdaFront, batch},
    function::DeployedFunction,
    server::{NOW, RecordingDestination},
};

const ROLES: [Role; 5] = [
    Role::Receive,
    Role::Process,
    Role::Sweep,
    Role::Reconcile,
    Role::All,
];

#[tokio::test]
async fn each_role_takes_its_own_events_and_no_others() {
    let challenge = FrontRequest::new("GET", "/hmrc?challenge=abc");
    let mut events: Vec<(Role, Value)> = LambdaFront::ALL
        .map(|front| (Role::Receive, front.invocation(&challenge, NOW)))
        .to_vec();
    events.extend([
        (Role::Process, batch(&[("hmrc:n1", "recorded")])),
        (Role::Sweep, json!({"role": "sweep"})),
        (
            Role::Sweep,
            json!({"version": "0", "source": "aws.events", "detail-type": "Scheduled \
         Event", "detail": {}}),
        ),
    ]);
    for role in ROLES {
        let deployed = DeployedFunction::with(role, RecordingDestination::default());
        for (own, event) in &events {
            let done = deployed.invoke(event).await;
            match (role == *own || role == Role::All, own) {
                (true, Role::Receive) => assert_eq!(done.unwrap()["statusCode"], 200),
                (true, Role::Process) => {
                    assert_eq!(done.unwrap(), json!({"batchItemFailures": []}))
                }
                (true, _) => assert_eq!(
                    done.unwrap(),
                    json!({"delivered": 0, "retry": 0, "dead": 0})
                ),
                (false, _) => assert!(
                    matches!(done, Err(InvocationError::Foreign { .. })),
                    "{role} {event}"
                ),
            }
        }
    }
}

#[tokio::test]
async fn what_is_no_event_of_ours_is_an_error_in_every_role_that_repeats_nothing_of_it() {
    let load_balancer = json!({
        "requestContext": {"elb": {"targetGroupArn": "arn:canary"}},
        "httpMethod": "POST", "path": "/pay", "headers": {}, "body": "canary",
            "isBase64Encoded": false,
    });
    for role in ROLES {
        let deployed = DeployedFunction::with(role, RecordingDestination::default());
        for event in [
            json!(null),
            json!([]),
            json!("canary"),
            json!({}),
            json!({"canary": "canary"}),
            json!({"challenge": "canary"}),
            json!({"Records": []}),
            json!({"Records": [{"eventSource": "aws:sqs", "body": "canary"}]}),
            json!({"Records": [{"EventSource": "aws:sns", "Sns": {"Message": "canary"}}]}),
            // No source of these functions is pulled from.
            json!({"role": "reconcile"}),
            json!({"role": "canary"}),
            json!({"source": "canary", "detail-type": "canary", "detail": {}}),
            json!({"requestContext": {"routeKey": "$connect", "connectionId": "canary"}}),
            load_balancer.clone(),
        ] {
            let failure = deployed.invoke(&event).await.unwrap_err();
            assert_eq!(failure.name(), "ForeignEvent", "{role} {event}");
            assert!(!failure.to_string().contains("canary"), "{failure}");
            assert!(failure.to_string().contains(role.as_str()), "{failure}");
        }
    }
}
