//! HMRC's challenge, which it sends before it accepts a callback URL and which anyone can send.

use serde_json::Value;
use url::Url;

use super::{
    super::{
        ReceiverResponse, Sender, SenderRequest, hmrc,
        redirect::{RedirectChain, RedirectStep},
    },
    definition::{Check, CheckFacts, SenderFact},
    report::{Grade, plain},
    run::{CheckRun, NotTriedError, ProbeAssessment, ProbeResult},
    timed_response::{TimedResponse, summary},
};

pub(super) static CHECKS: &[&Check] = &[&ECHO, &REDIRECTED, &JSON, &QUERY, &MALFORMED, &HTML];

static ECHO: Check = Check {
    id: "challenge-echo",
    title: "The challenge is echoed exactly, with 200",
    facts: CheckFacts::Hmrc(SenderFact {
        why: "HMRC saves a callback URL only if a GET with ?challenge= returns a JSON object whose \
              string `challenge` is the same. The Developer Hub shows every failure as \"Invalid \
              callback URL\".",
        source: "hmrc/push-pull-notifications-api, CallbackValidator.scala",
    }),
    fix: "Answer the GET with 200 and {\"challenge\":\"…\"}, the unchanged value, without a \
          byte order mark and without a login.",
};

static REDIRECTED: Check = Check {
    id: "challenge-redirect",
    title: "The challenge is not redirected",
    facts: CheckFacts::Hmrc(SenderFact {
        why: "HMRC follows redirects of a challenge, so it saves this URL, and nothing warns of \
              the loss that follows: every push is redirected too, arrives as a GET without a \
              body, and is lost if that is answered 200.",
        source: "playframework/play-ws with async-http-client, Redirect30xInterceptor.java, \
                 defaults, observed by running them",
    }),
    fix: "Register the URL that the redirect leads to. Turn off redirects for slashes, letter \
          case and canonical hosts on the callback paths.",
};

static JSON: Check = Check {
    id: "challenge-json",
    title: "The echo has a JSON content type",
    facts: CheckFacts::Hmrc(SenderFact {
        why: "HMRC's code ignores the content type, but its documentation requires JSON, and \
              without a content type a browser may run the response.",
        source: "HMRC Developer Hub, Push Pull Notifications guide",
    }),
    fix: "Send Content-Type: application/json.",
};

static QUERY: Check = Check {
    id: "challenge-query",
    title: "The challenge is found after other parameters",
    facts: CheckFacts::Hmrc(SenderFact {
        why: "HMRC keeps the query of the callback URL, and appends the challenge.",
        source: "hmrc/push-pull-notifications-api, OutboundProxyConnector.scala",
    }),
    fix: "Read the parameter named `challenge` at any position in the query.",
};

static MALFORMED: Check = Check {
    id: "challenge-malformed",
    title: "An empty challenge or two challenges get no 2xx",
    facts: CheckFacts::Hmrc(SenderFact {
        why: "Challenges are not signed, so anyone can send one. HMRC sends exactly one, and it is \
              never empty. A handler that answers 200 to anything also does so after a redirect \
              has turned a push into a GET.",
        source: "hmrc/push-pull-notifications-api, ChallengeGenerator.scala",
    }),
    fix: "Answer 400 unless there is exactly one challenge that is not empty.",
};

static HTML: Check = Check {
    id: "challenge-html",
    title: "No challenge is returned as a page",
    facts: CheckFacts::Hmrc(SenderFact {
        why: "Challenges are not signed: a link to the callback URL with a script as its challenge \
              would run that script in the receiver's domain.",
        source: "hmrc/push-pull-notifications-api, OutboundProxyConnector.scala: no header \
                 authenticates HMRC",
    }),
    fix: "Answer as application/json with X-Content-Type-Options: nosniff, and return only \
          letters, digits and dashes. HMRC's challenges contain nothing else.",
};

/// Must not be returned as a page, once or repeated.
const SCRIPT: &str = "<script>alert(1)</script>";
const SCRIPT_REPEATS: usize = 8;

pub(super) async fn probe(run: &mut CheckRun<'_>) {
    if run.sender != Sender::Hmrc {
        return;
    }
    let (request, url) = hmrc::challenge(run.url, run.clock);
    match follow(run, request.clone(), url).await {
        Err(over) => {
            run.conclude(&ECHO, Err(over.clone()));
            run.conclude(&REDIRECTED, Err(over.clone()));
            run.conclude(&JSON, Err(over));
        }
        Ok((reply, redirect)) => {
            run.conclude(&ECHO, Ok(echo(&request.id, &reply)));
            run.conclude(&REDIRECTED, Ok(redirected(&request.id, &reply, redirect)));
            run.conclude(
                &JSON,
                reply
                    .response
                    .as_ref()
                    .map(json)
                    .map_err(|_| NotTriedError(reply.described())),
            );
        }
    }
    run.probe(&QUERY, query).await;
    run.probe(&MALFORMED, malformed).await;
    run.probe(&HTML, html).await;
}

/// Sends a challenge and follows redirects as HMRC's client does. Returns the last response, and
/// the first redirect if there was one.
async fn follow(
    run: &CheckRun<'_>,
    request: SenderRequest,
    url: Url,
) -> Result<(TimedResponse, Option<String>), NotTriedError> {
    let mut chain = RedirectChain::new(run.sender, request, url);
    let mut first = None;
    loop {
        let reply = run.send(&chain.request, &chain.url).await?;
        let location = match &reply.response {
            Ok(response) if matches!(response.status, 301..=303 | 307 | 308) => {
                response.header("location").map(str::to_owned)
            }
            _ => None,
        };
        let Some(location) = location else {
            return Ok((reply, first));
        };
        first.get_or_insert_with(|| reply.described());
        if chain.follow(true, &location) != RedirectStep::Follow {
            return Ok((reply, first));
        }
    }
}

fn redirected(challenge: &str, last: &TimedResponse, redirect: Option<String>) -> ProbeAssessment {
    let Some(redirect) = redirect else {
        return ProbeAssessment::new(Grade::Passed, "not redirected");
    };
    let saves_url = echo(challenge, last).grade != Grade::Failed;
    let then = if saves_url {
        "; HMRC accepts this URL, and every push to it is redirected"
    } else {
        ""
    };
    ProbeAssessment::new(Grade::Failed, format!("{redirect}{then}"))
}

async fn query(run: &mut CheckRun<'_>) -> ProbeResult {
    let mut longer = run.url.clone();
    longer.query_pairs_mut().append_pair("pillarbox", "check");
    let (request, url) = hmrc::challenge(&longer, run.clock);
    let id = request.id.clone();
    let (reply, _) = follow(run, request, url).await?;
    let ProbeAssessment { grade, seen } = echo(&id, &reply);
    // This only matters if the callback URL has a query, and then the first challenge had it too.
    Ok(ProbeAssessment::new(grade.min(Grade::Warning), seen))
}

async fn malformed(run: &mut CheckRun<'_>) -> ProbeResult {
    let empty = run
        .send(&get(run), &with_query(run.url, "challenge="))
        .await?;
    let two = run
        .send(
            &get(run),
            &with_query(run.url, "challenge=one&challenge=two"),
        )
        .await?;
    let replies = [("empty", empty), ("two", two)];
    let grade = if replies.iter().any(|(_, reply)| reply.is_success()) {
        Grade::Warning
    } else if replies.iter().any(|(_, reply)| reply.response.is_err()) {
        Grade::Failed
    } else {
        Grade::Passed
    };
    Ok(ProbeAssessment::new(grade, summary(&replies)))
}

async fn html(run: &mut CheckRun<'_>) -> ProbeResult {
    let mut worst = ProbeAssessment::new(Grade::Passed, "");
    let mut seen = Vec::new();
    for (name, times) in [("a script", 1), ("200 characters", SCRIPT_REPEATS)] {
        let mut url = run.url.clone();
        url.query_pairs_mut()
            .append_pair("challenge", &SCRIPT.repeat(times));
        let (grade, how) = page(&run.send(&get(run), &url).await?);
        worst.grade = worst.grade.max(grade);
        seen.push(format!("{name}: {how}"));
    }
    Ok(ProbeAssessment {
        seen: seen.join("; "),
        ..worst
    })
}

/// A GET with HMRC's headers.
fn get(run: &CheckRun<'_>) -> SenderRequest {
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

/// Grades the echo like HMRC, and explains its mistake.
fn echo(challenge: &str, reply: &TimedResponse) -> ProbeAssessment {
    let Ok(response) = &reply.response else {
        return ProbeAssessment::new(Grade::Failed, reply.described());
    };
    if hmrc::is_echo(challenge, response.status, &response.body) {
        return match response.status {
            200 => ProbeAssessment::new(Grade::Passed, reply.described_with_time()),
            status => ProbeAssessment::new(
                Grade::Warning,
                format!("{status}, which only HMRC's code accepts like 200"),
            ),
        };
    }
    ProbeAssessment::new(
        Grade::Failed,
        format!(
            "{}: {}",
            reply.described(),
            why_no_echo(challenge, response)
        ),
    )
}

fn why_no_echo(challenge: &str, response: &ReceiverResponse) -> &'static str {
    let (status, body) = (response.status, &response.body[..]);
    if status >= 300 {
        return "not a response to the challenge";
    }
    if body.is_empty() {
        return "the body is empty";
    }
    if body.starts_with(b"\xef\xbb\xbf") {
        return "the body begins with a byte order mark";
    }
    if String::from_utf8_lossy(body).trim() == challenge {
        return "the challenge alone, which is plain text instead of a JSON object";
    }
    match serde_json::from_slice::<Value>(body) {
        Err(_) => "the body is not JSON",
        Ok(Value::Object(object)) => match object.get("challenge") {
            None => "the JSON object has no field `challenge`",
            Some(Value::String(_)) => "its `challenge` is another string",
            Some(_) => "its `challenge` is not a string",
        },
        Ok(_) => "the JSON is not an object",
    }
}

fn json(response: &ReceiverResponse) -> ProbeAssessment {
    match response.header("content-type") {
        Some(kind) if is_json(kind) => ProbeAssessment::new(Grade::Passed, plain(kind, 60)),
        Some(kind) => ProbeAssessment::new(Grade::Warning, plain(kind, 60)),
        None => ProbeAssessment::new(Grade::Warning, "no content type"),
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

/// Grades whether a browser could run the response.
fn page(reply: &TimedResponse) -> (Grade, String) {
    let Ok(response) = &reply.response else {
        return (Grade::Failed, reply.described());
    };
    let kind = response.header("content-type").unwrap_or_default();
    let reflected = String::from_utf8_lossy(&response.body).contains(SCRIPT);
    let text = kind.to_ascii_lowercase().starts_with("text/plain");
    let grade = match (reflected, is_json(kind)) {
        (true, false) if text => Grade::Warning,
        (true, false) => Grade::Failed,
        (true, true) | (false, _) => Grade::Passed,
    };
    let how = if !reflected {
        "not returned".to_owned()
    } else if kind.is_empty() {
        "returned without a content type".to_owned()
    } else {
        format!("returned as {}", plain(kind, 60))
    };
    (grade, format!("{}, {how}", response.status))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(status: u16, kind: Option<&str>, body: &str) -> TimedResponse {
        let headers: Vec<_> = kind
            .map(|kind| ("content-type", kind.to_owned()))
            .into_iter()
            .collect();
        TimedResponse::of(Ok(ReceiverResponse::new(status, &headers, body)))
    }

    #[test]
    fn an_echo_is_graded_like_hmrc_does_and_its_fault_is_named() {
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
                "not a response",
            ),
            (302, "", Grade::Failed, "not a response"),
            (204, "", Grade::Failed, "empty"),
            (
                200,
                "\u{feff}{\"challenge\":\"12-ab\"}",
                Grade::Failed,
                "byte order mark",
            ),
            (200, "12-ab", Grade::Failed, "plain text"),
            (200, "<p>12-ab", Grade::Failed, "not JSON"),
            (200, r#"["12-ab"]"#, Grade::Failed, "not an object"),
            (200, r#""12-ab""#, Grade::Failed, "not an object"),
            (200, r#"{"Challenge":"12-ab"}"#, Grade::Failed, "no field"),
            (
                200,
                r#"{"challenge":"12-AB"}"#,
                Grade::Failed,
                "another string",
            ),
            (200, r#"{"challenge":12}"#, Grade::Failed, "not a string"),
        ] {
            let assessment = echo("12-ab", &reply(status, None, body));
            assert_eq!(assessment.grade, grade, "{status} {body}");
            assert!(
                assessment.seen.contains(words),
                "{body}: {}",
                assessment.seen
            );
        }
    }

    #[test]
    fn a_challenge_must_not_be_returned_as_a_page() {
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
    fn an_echo_must_have_a_json_content_type() {
        for (kind, grade) in [
            (Some("application/json"), Grade::Passed),
            (Some("Application/JSON; charset=utf-8"), Grade::Passed),
            (Some("text/html"), Grade::Warning),
            (Some("application/jsonp"), Grade::Warning),
            (None, Grade::Warning),
        ] {
            let Ok(response) = reply(200, kind, "{}").response else {
                unreachable!()
            };
            assert_eq!(json(&response).grade, grade, "{kind:?}");
        }
    }

    #[test]
    fn the_challenge_follows_an_existing_query() {
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
