//! Any JSON whatever, and genuine events with anything in their places: an answer or an error, and
//! no panic.

use std::cell::Cell;

use pillarbox::lambda::{Invocation, InvocationError, InvocationReply};
use proptest::{collection::vec, prelude::*, test_runner::TestRunner};
use serde_json::{Map, Value, json, value::RawValue};

use test_support::{
    fronts::{LambdaFront, batch},
    function::{DeployedFunction, post},
    message::{both, pay},
    server::{NOW, RecordingDestination},
};

/// Words that mean something somewhere, and any text.
fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "2.0",
            "1.0",
            "/pay",
            "/hmrc",
            "POST",
            "GET",
            "$default",
            "prod",
            "host",
            "Host",
            "x-forwarded-proto",
            "https",
            "pay-signature",
            "%zz",
            "[::1",
            "a b",
            "",
            "é",
            "e30=",
            "aws:dynamodb",
            "INSERT",
            "recorded",
            "pay:n1",
            "sweep",
            "aws.events",
            "Scheduled Event",
            "/{source}",
            "/../pay",
            ":99999",
            "//",
            "\u{0}",
            "challenge=abc",
            "<",
        ])
        .prop_map(str::to_owned),
        any::<String>(),
    ]
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        9 => prop::sample::select(vec![
            "version", "httpMethod", "path", "rawPath", "rawQueryString", "resource", "headers",
                "multiValueHeaders",
            "queryStringParameters", "multiValueQueryStringParameters", "pathParameters",
                "requestContext", "http",
            "method", "stage", "domainName", "timeEpoch", "requestTimeEpoch", "body",
                "isBase64Encoded", "cookies",
            "Records", "eventSource", "eventName", "dynamodb", "Keys", "pk", "S", "NewImage",
                "state",
            "SequenceNumber", "role", "source", "detail-type", "elb", "host",
        ])
        .prop_map(str::to_owned),
        1 => any::<String>(),
    ]
}

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        word().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 64, 8, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec((name(), inner), 0..8)
                .prop_map(|entries| Value::Object(entries.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// Where a change can be made in a value: every place in it.
fn places(value: &Value, at: &str, all: &mut Vec<String>) {
    all.push(at.to_owned());
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, value)| {
            places(
                value,
                &format!("{at}/{}", name.replace('~', "~0").replace('/', "~1")),
                all,
            );
        }),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .for_each(|(n, item)| places(item, &format!("{at}/{n}"), all)),
        _ => {}
    }
}

fn genuine() -> Vec<Value> {
    let mut events: Vec<Value> = LambdaFront::ALL
        .into_iter()
        .flat_map(|front| {
            both().map(|source| front.invocation(&post(&source, source.message("n1", NOW)), NOW))
        })
        .collect();
    events.push(
        LambdaFront::HttpApi.invocation(&post(&pay(), pay().message("n2", NOW)).base64(), NOW),
    );
    events.push(batch(&[("pay:n1", "recorded"), ("hmrc:n1", "recorded")]));
    events.push(json!({"role": "sweep"}));
    events
}

/// Nothing panicked: a panic would be a failure of that name. A 200 to a POST needs a genuine body.
fn judge(done: &Result<Value, InvocationError>) {
    match done {
        Ok(reply) => assert!(reply.is_object()),
        Err(failure) => assert_ne!(failure.name(), "Panic"),
    }
}

fn on_a_runtime<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(work)
}

thread_local! {
    static DEPLOYED: DeployedFunction<RecordingDestination> = DeployedFunction::new();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn no_json_whatever_panics(event in json()) {
        DEPLOYED.with(|deployed| judge(&on_a_runtime(deployed.invoke(&event))));
    }

    #[test]
    fn no_change_in_a_genuine_event_panics(
        which in any::<prop::sample::Index>(),
        changes in vec((any::<prop::sample::Index>(), json()), 1..4),
    ) {
        let mut event = which.get(&genuine()).clone();
        for (place, value) in changes {
            let mut all = Vec::new();
            places(&event, "", &mut all);
            *event.pointer_mut(place.get(&all[..]).as_str()).unwrap() = value;
        }
        DEPLOYED.with(|deployed| judge(&on_a_runtime(deployed.invoke(&event))));
    }

    #[test]
    fn no_name_and_value_of_a_header_panics(
        front in prop::sample::select(LambdaFront::ALL.to_vec()),
        name in word(),
        value in word(),
    ) {
        let mut event = front.invocation(&post(&pay(), pay().message("n1", NOW)), NOW);
        event["headers"][&name] = json!(value);
        if event["multiValueHeaders"].is_object() {
            event["multiValueHeaders"][&name] = json!([value]);
        }
        DEPLOYED.with(|deployed| judge(&on_a_runtime(deployed.invoke(&event))));
    }
}

/// JSON as text: numbers that fit nowhere, escapes that are not characters, repeated names,
/// white space, and nesting.
fn json_text() -> impl Strategy<Value = String> {
    let quoted = |text: String| json!(text).to_string();
    let leaf = prop_oneof![
        2 => word().prop_map(quoted),
        2 => "-?(0|[1-9][0-9]{0,30})(\\.[0-9]{1,30})?([eE][+-]?[0-9]{1,4})?",
        1 => prop::sample::select(vec!["null", "true", "false", "\"\\ud800\"", "\"\\u0000\""])
            .prop_map(str::to_owned),
        1 => (1..200_usize).prop_map(|depth| "[".repeat(depth) + &"]".repeat(depth)),
    ];
    leaf.prop_recursive(5, 64, 8, move |inner| {
        let space = || "[ \t\r\n]{0,2}";
        let field = (space(), name().prop_map(quoted), space(), inner.clone())
            .prop_map(|(before, name, after, value)| format!("{before}{name}{after}:{value}"));
        prop_oneof![
            vec((space(), inner), 0..4).prop_map(|items| {
                let items: Vec<String> = items.into_iter().map(|(s, item)| s + &item).collect();
                format!("[{}]", items.join(","))
            }),
            vec(field, 0..8).prop_map(|fields| format!("{{{}}}", fields.join(","))),
        ]
    })
}

#[test]
fn no_text_in_place_of_an_event_panics() {
    let (generated, tried) = (Cell::new(0), Cell::new(0));
    let mut runner = TestRunner::new(ProptestConfig {
        cases: 2_000,
        ..ProptestConfig::default()
    });
    let property = |text: String| {
        generated.set(generated.get() + 1);
        let Ok(raw) = serde_json::from_str::<Box<RawValue>>(&text) else {
            return Ok(());
        };
        tried.set(tried.get() + 1);
        let invocation = Invocation {
            id: String::new(),
            deadline: NOW,
            trace_header: Some(String::new()),
        };
        let done: Result<InvocationReply, InvocationError> =
            DEPLOYED.with(|deployed| on_a_runtime(deployed.function.handle(&raw, &invocation)));
        match done {
            Ok(_) => prop_assert!(text.starts_with('{'), "taken for an event"),
            Err(error) => prop_assert_ne!(error.name(), "Panic"),
        }
        Ok(())
    };
    runner.run(&json_text(), property).unwrap();
    assert!(
        tried.get() * 100 >= generated.get() * 99,
        "only {} of {} texts were JSON, and reached the function",
        tried.get(),
        generated.get()
    );
}
