//! Paths, methods and challenges.

use test_support::{
    fronts::FrontRequest,
    function::post,
    message::{NO_CHALLENGES, both, hmrc, pay, without_secret},
    server::NOW,
};

use super::ConformanceCase;

/// No other spelling of a path is a source's, and none is redirected.
pub(super) fn paths() -> Vec<ConformanceCase> {
    let mut cases = Vec::new();
    for source in both() {
        let name = &source.name;
        let genuine = post(&source, source.message("n1", NOW));
        for target in [
            "/".to_owned(),
            format!("/{name}/"),
            format!("//{name}"),
            format!("/{name}//"),
            format!("/./{name}"),
            format!("/x/../{name}"),
            format!("/../{name}"),
            format!("/%2e%2e/{name}"),
            format!("/{name}/.."),
            format!("/{name}/../{name}"),
            format!("/%2F{name}"),
            format!("/{name}%2F"),
            format!("/{name}%2f?x=1"),
            format!("/{name}%00"),
            format!("/{name}%20"),
            format!("/{name};x"),
            format!("/{name};jsessionid=1?a=b"),
            format!("/{}", name.to_uppercase()),
            format!("/{}{}", name[..1].to_uppercase(), &name[1..]),
            format!("/%{:02x}{}", name.as_bytes()[0], &name[1..]),
            format!("/prod/{name}"),
            format!("/{name}/{name}"),
            format!("/{name}x"),
            name.clone(),
            "/unknown".to_owned(),
            "/~body".to_owned(),
            "/é".to_owned(),
            "*".to_owned(),
        ] {
            for method in ["POST", "GET", "PUT", "HEAD", "OPTIONS"] {
                let FrontRequest { path, query, .. } = FrontRequest::new(method, &target);
                let request = FrontRequest {
                    method: method.to_owned(),
                    path,
                    query,
                    ..genuine.clone()
                };
                cases.push(ConformanceCase::refused(
                    format!("{method} {target}"),
                    request,
                    404,
                    "not_found",
                ));
            }
        }
    }
    cases
}

/// Monitors have two paths, which take GET alone and no other spelling.
pub(super) fn probes() -> Vec<ConformanceCase> {
    let mut cases = Vec::new();
    for path in ["/-/healthz", "/-/readyz"] {
        for target in [path.to_owned(), format!("{path}?challenge=abc")] {
            cases.push(ConformanceCase {
                name: target.clone(),
                request: FrontRequest::new("GET", &target),
                status: 200,
                body: Some("ok".to_owned()),
                row: None,
            });
        }
        for method in ["HEAD", "OPTIONS", "POST", "PUT", "DELETE", "get", "BREW"] {
            let request = FrontRequest::new(method, path);
            let name = format!("{method} {path}");
            cases.push(ConformanceCase::refused(name, request, 405, "method"));
        }
        for target in [
            format!("{path}/"),
            format!("/{path}"),
            path.to_uppercase(),
            path.replace("/-/", "/-//"),
            path.replace("/-/", "/%2d/"),
            path.replace("/-", ""),
            format!("{path}/pay"),
            "/-".to_owned(),
            "/-/".to_owned(),
        ] {
            for method in ["GET", "POST", "HEAD"] {
                let request = FrontRequest::new(method, &target);
                let name = format!("{method} {target}");
                cases.push(ConformanceCase::refused(name, request, 404, "not_found"));
            }
        }
    }
    cases
}

pub(super) fn methods() -> Vec<ConformanceCase> {
    let mut cases = Vec::new();
    for source in both().iter().chain(&without_secret()) {
        for method in [
            "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE", "TRACE", "post", "get", "BREW",
        ] {
            let target = format!("{}?challenge=abc", source.path());
            let request = FrontRequest::new(method, &target);
            cases.push(ConformanceCase::refused(
                format!("{method} {target}"),
                request,
                405,
                "method",
            ));
        }
    }
    cases
}

/// HMRC's challenge, with or without a secret, and no other sender's.
pub(super) fn challenges() -> Vec<ConformanceCase> {
    let longest = "a".repeat(128);
    let longer = format!("challenge={longest}a");
    let mut cases = Vec::new();
    for source in [&hmrc(), &without_secret()[0]] {
        let get = |query: &str| FrontRequest::new("GET", &format!("{}?{query}", source.path()));
        for (query, value) in [
            (
                "challenge=1ed5f407-8096-40d1-87ef-9a2a103eeb85",
                "1ed5f407-8096-40d1-87ef-9a2a103eeb85",
            ),
            ("team=7&challenge=A-z0&x", "A-z0"),
            ("challenge=%31ab", "1ab"),
            (&format!("challenge={longest}"), &longest),
        ] {
            cases.push(ConformanceCase::challenge(query, get(query), value));
        }
        for query in NO_CHALLENGES
            .into_iter()
            .chain([longer.as_str(), "challenge[]=a"])
        {
            let case = ConformanceCase::refused(query, get(query), 400, "challenge");
            let is_uri = query
                .chars()
                .all(|c| c.is_ascii_graphic() && !"<>\"".contains(c));
            cases.push(if is_uri { case } else { case.by_status_alone() });
        }
    }
    for source in [&pay(), &without_secret()[1]] {
        let request = FrontRequest::new("GET", &format!("{}?challenge=abc", source.path()));
        cases.push(ConformanceCase::refused(
            "a challenge that Pay never sends",
            request,
            400,
            "challenge",
        ));
    }
    cases
}
