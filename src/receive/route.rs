//! Routes a request by method, path and query, before the body is read.

use std::collections::HashMap;

use super::Refusal;
use crate::{domain::SourceName, senders::Source};

/// The purpose of a request.
#[derive(Debug)]
pub enum Route<'a> {
    /// HMRC expects this challenge back.
    Challenge(String),
    /// A notification for this source.
    Callback(&'a Source),
    /// A monitor asks whether the process answers.
    Health,
    /// A monitor asks whether a notification could be stored.
    Readiness,
}

/// Paths of monitors. No source's name can begin with `-`.
const HEALTH_PATH: &str = "/-/healthz";
const READINESS_PATH: &str = "/-/readyz";

/// Finds the source and the purpose of a request. A path is exactly `/{name}`: no other spelling is
/// served, and none is redirected, because both senders would follow and lose the notification.
pub fn route<'a>(
    sources: &'a HashMap<SourceName, Source>,
    method: &str,
    path: &str,
    query: &str,
) -> Result<Route<'a>, Refusal> {
    match path {
        HEALTH_PATH => return probe(method, Route::Health),
        READINESS_PATH => return probe(method, Route::Readiness),
        _ => {}
    }
    let name = path
        .strip_prefix('/')
        .and_then(SourceName::new)
        .ok_or(Refusal::NotFound)?;
    let source = sources.get(&name).ok_or(Refusal::NotFound)?;
    match method {
        "POST" => Ok(Route::Callback(source)),
        "GET" if source.kind.sends_challenges => challenge(query).map(Route::Challenge),
        "GET" => Err(Refusal::Challenge("only HMRC sends challenges")),
        _ => Err(Refusal::Method("GET, POST")),
    }
}

fn probe<'a>(method: &str, route: Route<'a>) -> Result<Route<'a>, Refusal> {
    match method {
        "GET" => Ok(route),
        _ => Err(Refusal::Method("GET")),
    }
}

/// The one challenge in a query: 1 to 128 characters `[A-Za-z0-9-]`, which are safe in an answer.
fn challenge(query: &str) -> Result<String, Refusal> {
    let mut found =
        url::form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == "challenge");
    let (_, value) = found
        .next()
        .ok_or(Refusal::Challenge("the query has no challenge"))?;
    if found.next().is_some() {
        return Err(Refusal::Challenge("the query has more than one challenge"));
    }
    let plain = value
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if plain && (1..=128).contains(&value.len()) {
        Ok(value.into_owned())
    } else {
        Err(Refusal::Challenge(
            "the challenge is not 1 to 128 letters, digits and dashes",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::senders::SenderKind;

    fn sources() -> HashMap<SourceName, Source> {
        let source = |(name, kind)| {
            let name = SourceName::new(name).unwrap();
            let keys = Vec::new();
            (name.clone(), Source { name, kind, keys })
        };
        [("hmrc", SenderKind::HMRC), ("pay", SenderKind::GOVUK_PAY)]
            .map(source)
            .into()
    }

    fn outcome(method: &str, target: &str) -> String {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        match route(&sources(), method, path, query) {
            Ok(Route::Challenge(value)) => format!("challenge {value}"),
            Ok(Route::Callback(source)) => format!("callback {}", source.name),
            Ok(Route::Health) => "health".to_owned(),
            Ok(Route::Readiness) => "readiness".to_owned(),
            Err(refusal) => refusal.code().to_owned(),
        }
    }

    #[test]
    fn only_the_exact_name_of_a_source_is_a_path() {
        assert_eq!(outcome("POST", "/pay"), "callback pay");
        assert_eq!(outcome("POST", "/hmrc?x=1"), "callback hmrc");
        for other in [
            "/",
            "",
            "/pay/",
            "//pay",
            "/Pay",
            "/PAY",
            "/p%61y",
            "/pay%2f",
            "/pay%00",
            "/pay;x",
            "/./pay",
            "/x/../pay",
            "/%2e%2e/pay",
            "/pay/pay",
            "/unknown",
            "pay",
            "/pay ",
            "/päy",
        ] {
            for method in ["POST", "GET", "PUT", "HEAD"] {
                assert_eq!(outcome(method, other), "not_found", "{method} {other}");
            }
        }
    }

    #[test]
    fn only_a_single_well_formed_challenge_is_echoed() {
        let longest = "a".repeat(128);
        for (query, value) in [
            (
                "challenge=1ed5f407-8096-40d1-87ef-9a2a103eeb85",
                "1ed5f407-8096-40d1-87ef-9a2a103eeb85",
            ),
            ("team=7&challenge=A-z0", "A-z0"),
            ("challenge=%31ab", "1ab"),
            (&format!("challenge={longest}"), &longest),
        ] {
            assert_eq!(
                outcome("GET", &format!("/hmrc?{query}")),
                format!("challenge {value}")
            );
        }
        for query in [
            "",
            "challenge",
            "challenge=",
            "Challenge=abc",
            "challenge=a&challenge=b",
            "challenge=a&%63hallenge=b",
            &format!("challenge={longest}a"),
            "challenge=<script>",
            "challenge=a%0d%0ab",
            "challenge=a%22",
            "challenge=a'",
            "challenge=a+b",
            "challenge=%C3%A9",
            "challenge=a_b",
            "challenge=a%00",
        ] {
            assert_eq!(
                outcome("GET", &format!("/hmrc?{query}")),
                "challenge",
                "{query}"
            );
        }
        assert_eq!(
            outcome("GET", "/pay?challenge=abc"),
            "challenge",
            "Pay sends none"
        );
        assert_eq!(outcome("GET", "/hmrc"), "challenge");
    }

    #[test]
    fn every_other_method_is_refused() {
        for method in [
            "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE", "TRACE", "CONNECT", "post", "BREW",
        ] {
            assert_eq!(outcome(method, "/hmrc?challenge=abc"), "method", "{method}");
        }
    }

    #[test]
    fn monitors_have_two_paths_that_take_only_get() {
        assert_eq!(outcome("GET", "/-/healthz"), "health");
        assert_eq!(outcome("GET", "/-/readyz?x=1"), "readiness");
        for method in ["HEAD", "POST", "OPTIONS", "PUT", "get"] {
            assert_eq!(outcome(method, "/-/healthz"), "method", "{method}");
            assert_eq!(outcome(method, "/-/readyz"), "method", "{method}");
        }
        for other in [
            "/-",
            "/-/",
            "/-/healthz/",
            "/-//readyz",
            "/-/Readyz",
            "/%2d/healthz",
        ] {
            assert_eq!(outcome("GET", other), "not_found", "{other}");
        }
        assert!(SourceName::new("-").is_none());
    }
}
