//! Genuine notifications, and the rows that they leave.

use sender_simulator::Sender;

use test_support::{
    fronts::FrontRequest,
    function::{post, unsigned},
    message::{both, hmrc, hmrc_too, pay, with},
    request::{signature, signature_header},
    server::{NOW, WINDOW},
};

use super::ConformanceCase;

/// What is stored, under which key, and in which state.
pub(super) fn genuine_notifications() -> Vec<ConformanceCase> {
    let mut cases = Vec::new();
    for source in both() {
        let name = &source.name;
        let key = |id: &str| format!("{name}:{id}");
        let text = source.message("stored", NOW);
        cases.push(ConformanceCase::stored(
            "stored",
            post(&source, &text),
            "recorded",
            key("stored"),
        ));
        cases.push(ConformanceCase::duplicate(
            "the same again",
            post(&source, &text),
        ));
        cases.push(ConformanceCase::duplicate(
            "in base64",
            post(&source, &text).base64(),
        ));

        let long = format!("team={}", "%C3%A9".repeat(1_400)); // a head may have 10 KB
        for (name, id, query) in [
            ("a query", "with-query", "team=7"),
            ("a query of 8.4 KB", "with-long-query", &long),
        ] {
            let request = FrontRequest {
                query: query.to_owned(),
                ..post(&source, source.message(id, NOW))
            };
            let case = ConformanceCase::stored(name, request, "recorded", key(id));
            cases.push(case);
        }
        let header = signature_header(source.sender);
        for (at, header) in [
            header.to_owned(),
            header.to_lowercase(),
            header.to_uppercase(),
        ]
        .iter()
        .enumerate()
        {
            let id = format!("header-{at}");
            let body = source.message(&id, NOW);
            let request = unsigned(&source, &body).header(header, source.sign(&body));
            cases.push(ConformanceCase::stored(
                header,
                request,
                "recorded",
                key(&id),
            ));
        }
        let body = source.message("city", NOW);
        let city = post(&source, &body).header("X-City", "Llanfairpwllgwyngyll – café");
        cases.push(ConformanceCase::stored(
            "not ASCII",
            city.clone(),
            "recorded",
            key("city"),
        ));
        cases.push(ConformanceCase::duplicate(
            "not ASCII, in base64",
            city.base64(),
        ));

        let at_the_edge = source.message("edge", NOW.minus(WINDOW));
        cases.push(ConformanceCase::stored(
            "as old as may be",
            post(&source, at_the_edge),
            "recorded",
            key("edge"),
        ));
        let day = std::time::Duration::from_secs(24 * 60 * 60);
        let stale = source.message("stale", NOW.minus(WINDOW + day));
        cases.push(ConformanceCase::stored(
            "too old",
            post(&source, stale),
            "held stale",
            key("stale"),
        ));
        for bytes in ["", "{}", "null", "\u{feff}{}", "é😀\u{2028}\0\u{7f}"] {
            cases.push(ConformanceCase::stored(
                format!("unreadable: {bytes:?}"),
                post(&source, bytes),
                "held unreadable",
                source.unreadable_key(bytes),
            ));
        }
    }
    for (secret, (id, label)) in hmrc()
        .secrets
        .iter()
        .zip([("secret-1", "1:env:TEST"), ("secret-2", "2:env:TEST")])
    {
        let body = hmrc().message(id, NOW);
        let signature = signature(Sender::Hmrc, secret, &body);
        let request = unsigned(&hmrc(), &body).header("X-Hub-Signature", signature);
        let case = ConformanceCase::stored(id, request, "recorded", format!("hmrc:{id}"));
        cases.push(case.matched_by(label));
    }
    // The second box of the same application has the same secret, and a row apart.
    let too = post(&hmrc_too(), hmrc_too().message("stored", NOW));
    cases.push(ConformanceCase::stored(
        "the other box",
        too,
        "recorded",
        "hmrc-too:stored",
    ));
    cases
}

/// HMRC signs a string and sends it escaped, so those two forms count and no other.
pub(super) fn characters_beyond_the_basic_plane() -> Vec<ConformanceCase> {
    let body = |id: &str, name: &str| {
        let text = format!(r#"\"n\":\"{name}\""#);
        with(&hmrc().message(id, NOW), r#"\"n\":1"#, &text)
    };
    let request = |id: &str, sent: &str, signed: &str| {
        let signature = hmrc().sign(body(id, signed));
        unsigned(&hmrc(), body(id, sent)).header("X-Hub-Signature", signature)
    };
    let mut cases = Vec::new();
    for (id, sent, signed) in [
        ("escaped", r"\uD83D\uDE00", "😀"),
        ("lower-case", r"\ud83d\ude00", "😀"),
        ("as-sent", r"\uD83D\uDE00", r"\uD83D\uDE00"),
        ("never-escaped", "😀", "😀"),
        ("text-about-an-escape", r"\\ud83d\\ude00", r"\\ud83d\\ude00"),
        ("both", r"\\ud83d\\ude00 \uD83D\uDE00", r"\\ud83d\\ude00 😀"),
    ] {
        let case = request(id, sent, signed);
        cases.push(ConformanceCase::stored(
            id,
            case.clone(),
            "recorded",
            format!("hmrc:{id}"),
        ));
        cases.push(ConformanceCase::duplicate(
            format!("{id} in base64"),
            case.base64(),
        ));
    }
    for (id, sent, signed) in [
        ("text-rewritten", r"\\ud83d\\ude00", "😀"),
        (
            "half-rewritten",
            r"\uD83D\uDE00 \uD83D\uDE00",
            r"😀 \uD83D\uDE00",
        ),
        ("in-the-bmp", r"\u00e9", "é"),
        ("other-way-round", "😀", r"\uD83D\uDE00"),
    ] {
        cases.push(ConformanceCase::refused(
            id,
            request(id, sent, signed),
            401,
            "signature",
        ));
    }
    let pays = |name: &str| {
        let amount = format!(r#"5000,"x":"{name}""#);
        with(&pay().message("n1", NOW), "5000", &amount)
    };
    let signature = pay().sign(pays("😀"));
    let request = unsigned(&pay(), pays(r"\uD83D\uDE00")).header("Pay-Signature", signature);
    cases.push(ConformanceCase::refused(
        "Pay has one form",
        request,
        401,
        "signature",
    ));
    cases
}
