//! Destinations and routes.

use super::{FINE, check, problems};
use crate::config::*;

/// The start of a document whose destination is a handler of one sender's own messages.
const AS_SENT: &str = "[destination]\nkind = \"https\"\n\
                       url = \"https://handler.example.gov.uk/pay\"\n\
                       format = \"as-sent\"\n";

#[test]
fn messages_as_sent_go_to_an_https_handler_and_what_was_pulled_elsewhere() {
    let ledger = "[destinations.ledger]\nkind = \"sqs\"\n\
                  url = \"https://sqs.eu-west-2.amazonaws.com/1/q\"\n";
    let other = "[destinations.other]\nkind = \"https\"\nurl = \"https://other.example.gov.uk/\"\n\
                 format = \"as-sent\"\n";
    let only = "is for kind = \"https\" only: a queue, a bus and a log carry no header of the \
                sender, so nothing could be verified there; remove it";
    let sqs =
        "[destination]\nkind = \"sqs\"\nurl = \"https://sqs.eu-west-2.amazonaws.com/1/q.fifo\"\n";
    for (document, problem) in [
        (AS_SENT.to_owned(), String::new()),
        (
            format!("{AS_SENT}pulled = \"ledger\"\n{ledger}"),
            String::new(),
        ),
        (
            format!("{AS_SENT}pulled = \"leger\"\n{ledger}"),
            "5: destination.pulled names an unknown destination: did you mean \"ledger\"?"
                .to_owned(),
        ),
        (
            format!("{AS_SENT}pulled = \"ledger\"\n"),
            "5: destination.pulled names an unknown destination: add [destinations.NAME], or \
             remove this key"
                .to_owned(),
        ),
        (
            format!("{AS_SENT}pulled = \"other\"\n{other}"),
            "5: destination.pulled names a destination that takes only what its sender signed, \
             too: name one with another format"
                .to_owned(),
        ),
        (
            format!("{other}pulled = \"other\"\n"),
            "5: destinations.other.pulled names a destination that takes only what its sender \
             signed, too: name one with another format"
                .to_owned(),
        ),
        (
            format!("{AS_SENT}secret = \"env:A\"\n"),
            "5: destination.secret is not used with format = \"as-sent\", which carries the \
             sender's own signature: remove it, or the format"
                .to_owned(),
        ),
        (
            AS_SENT.replace("as-sent", "as_sent"),
            "4: destination.format must be \"cloudevents\" or \"as-sent\": did you mean \
             \"as-sent\"?"
                .to_owned(),
        ),
        (
            format!("{sqs}format = \"as-sent\"\n"),
            format!("4: destination.format {only}"),
        ),
        (
            "[destination]\nkind = \"eventbridge\"\nbus = \"b\"\nformat = \"as-sent\"\n".to_owned(),
            format!("4: destination.format {only}"),
        ),
        (
            "[destination]\nkind = \"log\"\nformat = \"as-sent\"\n".to_owned(),
            format!("3: destination.format {only}"),
        ),
    ] {
        let document = format!("{document}{FINE}");
        if problem.is_empty() {
            Config::read(&document, "p").unwrap();
        } else {
            let found = problems(&document);
            assert!(
                found.contains(&format!("pillarbox.toml:{problem}")),
                "{document}\n{found}"
            );
        }
    }
}

#[test]
fn event_types_are_routed_by_names_that_are_configured() {
    let document = |routes: &str| {
        format!(
            "{routes}\n[destinations.ledger]\nkind = \"log\"\n[destinations.refunds]\nkind = \
             \"log\"\n[sources.pay]\nkind = \"govuk-pay\"\nsecrets = []{FINE}"
        )
    };
    let route = |source: &str, types: &str, destination: &str| {
        format!(
            "[[routes]]\nsource = \"{source}\"\ntypes = {types}\ndestination = \"{destination}\"\n"
        )
    };
    let refunded = r#"["card_payment_refunded"]"#;
    let fine = route("pay", refunded, "refunds") + &route("hmrc", r#"["notification"]"#, "ledger");
    let config = Config::read(&document(&fine), "p").unwrap();
    let routes: Vec<_> = config
        .routes
        .iter()
        .map(|route| (route.source.as_str(), &*route.types[0], &*route.destination))
        .collect();
    assert_eq!(
        routes,
        [
            ("pay", "card_payment_refunded", "refunds"),
            ("hmrc", "notification", "ledger")
        ]
    );
    for (routes, expected) in [
        (
            route("pa", refunded, "refunds"),
            "2: routes[0].source names an unknown source: did you mean \"pay\"?",
        ),
        (
            route("stripe", refunded, "refunds"),
            "2: routes[0].source names an unknown source: write one of those configured, pay or \
             hmrc",
        ),
        (
            route("pay", r#"["card_payment_refund"]"#, "refunds"),
            "did you mean \"card_payment_refunded\"?",
        ),
        (
            route("hmrc", refunded, "refunds"),
            "3: routes[0].types[0] must be \"notification\"",
        ),
        (
            route("pay", "[]", "refunds"),
            "3: routes[0].types must be a list of one or more event types",
        ),
        (
            route("pay", refunded, "refund"),
            "4: routes[0].destination names an unknown destination: did you mean \"refunds\"?",
        ),
        (
            route("pay", refunded, "refunds") + &route("pay", refunded, "ledger"),
            "5: routes[1] routes card_payment_refunded of pay, as routes[0] does: name a type in \
             one route only",
        ),
        (
            "[routes]\nsource = \"pay\"\n".to_owned(),
            "1: routes must be a list of tables: write [[routes]]",
        ),
        (
            route("pay", refunded, "refunds").replace("source", "sauce"),
            "1: routes[0] needs source",
        ),
    ] {
        let found = problems(&document(&routes));
        assert!(found.contains(expected), "{routes}{found}");
    }
}

#[test]
fn the_error_of_an_invalid_inbox_or_destination_says_what_to_write() {
    for (table, expected) in [
        (
            "[inbox]",
            "1: inbox needs kind: write kind = \"sqlite\" or kind = \"dynamodb\"",
        ),
        ("[inbox]\nkind = \"sqlite\"", ""),
        (
            "[inbox]\nkind = \"sqlte\"",
            "2: inbox.kind must be \"sqlite\" or \"dynamodb\": did you mean \"sqlite\"?",
        ),
        (
            "[inbox]\nkind = \"dynamodb\"\ntable = \"pillarbox\"\nshards = 4",
            "",
        ),
        (
            "[inbox]\nkind = \"dynamodb\"",
            "1: inbox needs table: write table = \"NAME\"",
        ),
        (
            "[inbox]\nkind = \"dynamodb\"\ntable = \"a b\"",
            "3: inbox.table is not a valid table name: write 3 to 255 of A-Z, a-z, 0-9, _, - and .",
        ),
        (
            "[inbox]\nkind = \"dynamodb\"\ntable = \"pillarbox\"\nshards = 0",
            "4: inbox.shards must be a whole number from 1 to 1024",
        ),
        (
            "[inbox]\nkind = \"sqlite\"\npth = \"p\"",
            "3: inbox.pth is not a known key: did you mean path?",
        ),
        (
            "[inbox]\nkind = \"sqlite\"\npath = 1",
            "3: inbox.path must be a path in quotes",
        ),
        (
            "[inbox]\nkind = \"sqlite\"\npath = \":memory:\"",
            "3: inbox.path does not name a file on disk: write its path, such as pillarbox.db",
        ),
        (
            "[destination]",
            "1: destination needs kind: write kind = \"log\", \"https\", \"sqs\" \
             or \"eventbridge\"",
        ),
        (
            "[destination]\nkind = \"kafka\"",
            "2: destination.kind must be \"log\", \"https\", \"sqs\" or \"eventbridge\"",
        ),
        (
            "[destination]\nkind = \"sqs\"\nurl = \"https://sqs.eu-west-2.amazonaws.com/1/q.fifo\"",
            "",
        ),
        (
            "[destination]\nkind = \"sqs\"\nurl = \"http://127.0.0.1:4566/1/q\"",
            "",
        ),
        (
            "[destination]\nkind = \"sqs\"",
            "1: destination needs url: write url \
             = \"https://sqs.REGION.amazonaws.com/ACCOUNT/NAME\"",
        ),
        (
            "[destination]\nkind = \"sqs\"\nurl = \"https://sqs.eu-west-2.amazonaws.com\"",
            "3: destination.url is not the URL of a queue: copy it whole, such as \
             https://sqs.eu-west-2.amazonaws.com/111122223333/NAME",
        ),
        (
            "[destination]\nkind = \"sqs\"\nurl = \"http://sqs.eu-west-2.amazonaws.com/1/q\"",
            "3: destination.url is plain http to another machine: write https, which http may \
             replace on loopback only",
        ),
        (
            "[destination]\nkind = \"sqs\"\nurl \
             = \"https://sqs.eu-west-2.amazonaws.com/1/q\"\nbus = \"b\"",
            "4: destination.bus is not a known key: known here are kind, url",
        ),
        (
            "[destination]\nkind = \"eventbridge\"\nbus = \"ledger\"",
            "",
        ),
        (
            "[destination]\nkind = \"eventbridge\"",
            "1: destination needs bus: write bus = \"NAME\"",
        ),
        (
            "[destination]\nkind = \"eventbridge\"\nbus = \"a bus\"",
            "3: destination.bus is not a bus: write its name, or its ARN \
             (arn:aws:events:REGION:ACCOUNT:event-bus/NAME)",
        ),
        (
            "[destination]\nkind = \"log\"\nurl = \"https://x.example\"",
            "3: destination.url is not a known key: known here are kind",
        ),
        (
            "[destination]\nkind = \"https\"\nurl = \"http://x.example\"\nsecret = \"env:A\"",
            "3: destination.url is plain http to another machine: write https, which http may \
             replace on loopback only",
        ),
        (
            "[destination]\nkind = \"https\"\nurl = \"http://127.0.0.1:9000\"",
            "1: destination needs secret: write secret = \"env:NAME\"",
        ),
        (
            "[destinations.Ledger]\nkind = \"log\"",
            "1: destinations.Ledger is not a valid destination name: begin with a-z, then up to 31 \
             of a-z, 0-9 and -",
        ),
    ] {
        let read = Config::read(&format!("{table}{FINE}"), "p");
        let message = read.map_or_else(|problems| problems.to_string(), |_| String::new());
        assert_eq!(
            message.strip_prefix("p:").unwrap_or(&message),
            expected,
            "{table}"
        );
    }
}

#[test]
fn a_source_names_a_configured_destination() {
    let document = |name: &str, rest: &str| {
        format!("[sources.pay]\nkind = \"govuk-pay\"\nsecrets = []\ndestination = {name}\n{rest}")
    };
    let none = "4: sources.pay.destination names an unknown destination: add [destinations.NAME], \
     or remove this key";
    check(&document("\"ledger\"", ""), &[none]);
    let two = "[destinations.a]\nkind = \"log\"\n[destinations.b]\nkind = \"log\"\n";
    let written = "4: sources.pay.destination names an unknown destination: write one of \
     those configured, a or b";
    check(&document("\"ledger\"", two), &[written]);
    check(
        &document("1", two),
        &["4: sources.pay.destination must be the name of a destination in quotes"],
    );
    let broken = "[destinations.ledger]\nkind = \"logg\"\n";
    let kind = "6: destinations.ledger.kind must be \"log\", \"https\", \"sqs\" \
     or \"eventbridge\": did you mean \"log\"?";
    check(&document("\"ledger\"", broken), &[kind]);
}

#[test]
fn debug_shows_no_more_of_a_destination_than_its_origin() {
    let document = format!(
        "[destination]\nkind = \"https\"\nurl \
         = \"https://x.example/hook/s3cr3t?token=s3cr3t\"\nsecret = \"env:A\"{FINE}"
    );
    let shown = format!("{:?}", Config::read(&document, "p").unwrap());
    assert!(
        shown.contains("https://x.example") && !shown.contains("s3cr3t"),
        "{shown}"
    );
}
