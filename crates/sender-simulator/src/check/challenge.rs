//! HMRC's challenge, as it comes before a callback URL is accepted, and as anybody may send it.

use serde_json::Value;
use url::Url;

use super::{
    super::{Answer, Request, Sender, hmrc},
    fact::{Check, Fact, Facts},
    reply::{Reply, summary},
    report::{Grade, plain},
    run::{Judged, Judgement, NotTried, Run},
};

pub(super) static CHECKS: &[&Check] = &[&ECHO, &JSON, &QUERY, &MALFORMED, &HTML];

static ECHO: Check = Check {
    id: "challenge-echo",
    title: "The challenge is echoed, to the letter, with 200",
    facts: Facts::Hmrc(Fact {
        why: "HMRC saves a callback URL only if a GET of it with ?challenge= brings back a JSON object whose string \
              `challenge` is the same. Every failure looks alike in the Developer Hub: \"Invalid callback URL\".",
        source: "hmrc/push-pull-notifications-api, CallbackValidator.scala",
    }),
    fix: "Answer the GET with 200 and {\"challenge\":\"…\"}, the value as it came, without a byte order mark and \
          without signing in first.",
};

static JSON: Check = Check {
    id: "challenge-json",
    title: "The echo is said to be JSON",
    facts: Facts::Hmrc(Fact {
        why: "HMRC's code does not look at the content type, but its documentation asks for JSON, and a browser that \
              is told nothing may run what it is sent.",
        source: "HMRC Developer Hub, Push Pull Notifications guide",
    }),
    fix: "Send Content-Type: application/json with it.",
};

static QUERY: Check = Check {
    id: "challenge-query",
    title: "The challenge is found behind other parameters",
    facts: Facts::Hmrc(Fact {
        why: "A query that the callback URL has is kept, and the challenge comes at its end.",
        source: "hmrc/push-pull-notifications-api, OutboundProxyConnector.scala",
    }),
    fix: "Read the parameter named `challenge`, wherever in the query it stands.",
};

static MALFORMED: Check = Check {
    id: "challenge-malformed",
    title: "An empty challenge, or two, get no 2xx",
    facts: Facts::Hmrc(Fact {
        why: "A challenge is not signed, so anybody can send one, and HMRC sends exactly one that is not empty. \
              A handler that says 200 to anything also says it where a redirect has turned a push into a GET.",
        source: "hmrc/push-pull-notifications-api, ChallengeGenerator.scala",
    }),
    fix: "Answer 400 unless there is exactly one challenge, and not an empty one.",
};

static HTML: Check = Check {
    id: "challenge-html",
    title: "No challenge comes back as a page",
    facts: Facts::Hmrc(Fact {
        why: "A challenge is not signed: a link to the callback URL with a script for a challenge runs that script in \
              the receiver's own domain, for whoever follows it.",
        source: "hmrc/push-pull-notifications-api, OutboundProxyConnector.scala: no header proves who asks",
    }),
    fix: "Answer as application/json with X-Content-Type-Options: nosniff, and give back only letters, digits and \
          dashes, which is all that HMRC's challenges hold.",
};

/// Not to be given back as a page; neither is a long row of it.
const SCRIPT: &str = "<script>alert(1)</script>";
const IN_A_ROW: usize = 8;

pub(super) async fn probe(run: &mut Run<'_>) {
    if run.sender != Sender::Hmrc {
        return;
    }
    let (request, url) = hmrc::challenge(run.url, run.clock);
    match run.ask(&request, &url).await {
        Err(over) => {
            run.conclude(&ECHO, Err(over.clone()));
            run.conclude(&JSON, Err(over));
        }
        Ok(reply) => {
            run.conclude(&ECHO, Ok(echo(&request.id, &reply)));
            run.conclude(
                &JSON,
                reply
                    .answer
                    .as_ref()
                    .map(json)
                    .map_err(|_| NotTried(reply.said())),
            );
        }
    }
    run.probe(&QUERY, query).await;
    run.probe(&MALFORMED, malformed).await;
    run.probe(&HTML, html).await;
}

async fn query(run: &mut Run<'_>) -> Judged {
    let mut longer = run.url.clone();
    longer.query_pairs_mut().append_pair("pillarbox", "check");
    let (request, url) = hmrc::challenge(&longer, run.clock);
    let reply = run.ask(&request, &url).await?;
    let Judgement { grade, seen } = echo(&request.id, &reply);
    // It only matters to those whose URL has a query; theirs was part of the first challenge already.
    Ok(Judgement::new(grade.min(Grade::Warning), seen))
}

async fn malformed(run: &mut Run<'_>) -> Judged {
    let empty = run
        .ask(&get(run), &with_query(run.url, "challenge="))
        .await?;
    let two = run
        .ask(
            &get(run),
            &with_query(run.url, "challenge=one&challenge=two"),
        )
        .await?;
    let grade = match [&empty, &two].into_iter().any(Reply::is_success) {
        true => Grade::Warning,
        false if empty.answer.is_err() || two.answer.is_err() => Grade::Failed,
        false => Grade::Passed,
    };
    Ok(Judgement::new(
        grade,
        summary([("empty", &empty), ("two", &two)]),
    ))
}

async fn html(run: &mut Run<'_>) -> Judged {
    let mut worst = Judgement::new(Grade::Passed, "");
    let mut seen = Vec::new();
    for (name, times) in [("a script", 1), ("200 characters", IN_A_ROW)] {
        let mut url = run.url.clone();
        url.query_pairs_mut()
            .append_pair("challenge", &SCRIPT.repeat(times));
        let (grade, how) = page(&run.ask(&get(run), &url).await?);
        worst.grade = worst.grade.max(grade);
        seen.push(format!("{name}: {how}"));
    }
    Ok(Judgement {
        seen: seen.join("; "),
        ..worst
    })
}

/// A GET like HMRC's.
fn get(run: &Run<'_>) -> Request {
    hmrc::challenge(run.url, run.clock).0
}

fn with_query(url: &Url, more: &str) -> Url {
    let mut url = url.clone();
    let query = url
        .query()
        .filter(|query| !query.is_empty())
        .map_or_else(String::new, |query| format!("{query}&"));
    url.set_query(Some(&format!("{query}{more}")));
    url
}

/// Judges the echo as HMRC does, and says what is wrong with it as HMRC does not.
fn echo(challenge: &str, reply: &Reply) -> Judgement {
    let Ok(answer) = &reply.answer else {
        return Judgement::new(Grade::Failed, reply.said());
    };
    if hmrc::echoes(challenge, answer.status, &answer.body) {
        return match answer.status {
            200 => Judgement::new(Grade::Passed, reply.said_when()),
            status => Judgement::new(
                Grade::Warning,
                format!("{status}, which only HMRC's code takes for 200"),
            ),
        };
    }
    Judgement::new(
        Grade::Failed,
        format!("{}: {}", reply.said(), why_no_echo(challenge, answer)),
    )
}

fn why_no_echo(challenge: &str, answer: &Answer) -> &'static str {
    let (status, body) = (answer.status, &answer.body[..]);
    if status >= 300 {
        return "not an answer to the challenge";
    }
    if body.is_empty() {
        return "the body is empty";
    }
    if body.starts_with(b"\xef\xbb\xbf") {
        return "the body begins with a byte order mark";
    }
    if String::from_utf8_lossy(body).trim() == challenge {
        return "the challenge alone, which is plain text and no JSON object";
    }
    match serde_json::from_slice::<Value>(body) {
        Err(_) => "the body is no JSON",
        Ok(Value::Object(object)) => match object.get("challenge") {
            None => "the JSON object has no field `challenge`",
            Some(Value::String(_)) => "its `challenge` is another string",
            Some(_) => "its `challenge` is no string",
        },
        Ok(_) => "the JSON is no object",
    }
}

fn json(answer: &Answer) -> Judgement {
    match answer.header("content-type") {
        Some(kind) if is_json(kind) => Judgement::new(Grade::Passed, plain(kind, 60)),
        Some(kind) => Judgement::new(Grade::Warning, plain(kind, 60)),
        None => Judgement::new(Grade::Warning, "no content type"),
    }
}

fn is_json(content_type: &str) -> bool {
    let kind = content_type
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"))
}

/// Judges whether a browser could run what came back.
fn page(reply: &Reply) -> (Grade, String) {
    let Ok(answer) = &reply.answer else {
        return (Grade::Failed, reply.said());
    };
    let kind = answer.header("content-type").unwrap_or_default();
    let reflected = String::from_utf8_lossy(&answer.body).contains(SCRIPT);
    let text = kind.to_ascii_lowercase().starts_with("text/plain");
    let grade = match (reflected, is_json(kind)) {
        (true, false) if text => Grade::Warning,
        (true, false) => Grade::Failed,
        (true, true) | (false, _) => Grade::Passed,
    };
    let how = if !reflected {
        "not given back".to_owned()
    } else if kind.is_empty() {
        "given back without a content type".to_owned()
    } else {
        format!("given back as {}", plain(kind, 60))
    };
    (grade, format!("{}, {how}", answer.status))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn reply(status: u16, kind: Option<&str>, body: &str) -> Reply {
        let headers = kind
            .map(|kind| ("content-type".to_owned(), kind.to_owned()))
            .into_iter()
            .collect();
        let answer = Answer {
            status,
            headers,
            body: body.as_bytes().to_vec(),
            truncated: false,
        };
        Reply {
            answer: Ok(answer),
            took: Duration::ZERO,
        }
    }

    #[test]
    fn an_echo_is_judged_as_hmrc_judges_it_and_its_fault_is_named() {
        for (status, body, grade, words) in [
            (200, r#"{"challenge":"12-ab"}"#, Grade::Passed, "200"),
            (
                200,
                r#" {"more":1,"challenge":"12-ab"} "#,
                Grade::Passed,
                "200",
            ),
            (201, r#"{"challenge":"12-ab"}"#, Grade::Warning, "201"),
            (
                400,
                r#"{"challenge":"12-ab"}"#,
                Grade::Failed,
                "not an answer",
            ),
            (302, "", Grade::Failed, "not an answer"),
            (204, "", Grade::Failed, "empty"),
            (
                200,
                "\u{feff}{\"challenge\":\"12-ab\"}",
                Grade::Failed,
                "byte order mark",
            ),
            (200, "12-ab", Grade::Failed, "plain text"),
            (200, "<p>12-ab", Grade::Failed, "no JSON"),
            (200, r#"["12-ab"]"#, Grade::Failed, "no object"),
            (200, r#""12-ab""#, Grade::Failed, "no object"),
            (200, r#"{"Challenge":"12-ab"}"#, Grade::Failed, "no field"),
            (
                200,
                r#"{"challenge":"12-AB"}"#,
                Grade::Failed,
                "another string",
            ),
            (200, r#"{"challenge":12}"#, Grade::Failed, "no string"),
        ] {
            let judgement = echo("12-ab", &reply(status, None, body));
            assert_eq!(judgement.grade, grade, "{status} {body}");
            assert!(judgement.seen.contains(words), "{body}: {}", judgement.seen);
        }
    }

    #[test]
    fn what_comes_back_must_not_be_a_page() {
        let script = r#"{"challenge":"<script>alert(1)</script>"}"#;
        for (kind, body, grade) in [
            (Some("application/json"), script, Grade::Passed),
            (
                Some("application/problem+json; charset=utf-8"),
                script,
                Grade::Passed,
            ),
            (Some("text/html"), script, Grade::Failed),
            (Some("application/xhtml+xml"), script, Grade::Failed),
            (None, script, Grade::Failed),
            (Some("text/plain"), script, Grade::Warning),
            (
                Some("text/html"),
                "&lt;script&gt;alert(1)&lt;/script&gt;",
                Grade::Passed,
            ),
            (Some("text/html"), "no", Grade::Passed),
        ] {
            assert_eq!(page(&reply(200, kind, body)).0, grade, "{kind:?} {body}");
        }
    }

    #[test]
    fn an_echo_says_that_it_is_json() {
        for (kind, grade) in [
            (Some("application/json"), Grade::Passed),
            (Some("Application/JSON; charset=utf-8"), Grade::Passed),
            (Some("text/html"), Grade::Warning),
            (Some("application/jsonp"), Grade::Warning),
            (None, Grade::Warning),
        ] {
            let Ok(answer) = reply(200, kind, "{}").answer else {
                unreachable!()
            };
            assert_eq!(json(&answer).grade, grade, "{kind:?}");
        }
    }

    #[test]
    fn a_query_is_kept_before_the_challenge() {
        for (url, expected) in [
            ("http://localhost/hmrc", "http://localhost/hmrc?challenge="),
            (
                "http://localhost/hmrc?team=7",
                "http://localhost/hmrc?team=7&challenge=",
            ),
        ] {
            assert_eq!(
                with_query(&Url::parse(url).unwrap(), "challenge=").as_str(),
                expected
            );
        }
    }
}
