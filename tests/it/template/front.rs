//! What senders meet first.

use std::collections::BTreeMap;

use serde_json::json;
use sha2::{Digest, Sha256};

use super::{TemplateStack, shapes};

#[test]
fn one_route_takes_any_method_and_a_domain_closes_the_other_entrance() {
    let (open, domain) = (TemplateStack::with(&[]), TemplateStack::with(&shapes()[3]));
    assert_eq!(open.properties("ApiRoute")["RouteKey"], "ANY /{source}");
    assert_eq!(
        open.properties("ApiProbeRoute")["RouteKey"],
        "ANY /-/{probe}"
    );
    assert_eq!(open.of_type("AWS::ApiGatewayV2::Route").len(), 2);
    assert_eq!(open.properties("Api")["DisableExecuteApiEndpoint"], false);
    assert_eq!(domain.properties("Api")["DisableExecuteApiEndpoint"], true);
    assert_eq!(open.of_type("AWS::ApiGatewayV2::DomainName").len(), 0);
    let rest = TemplateStack::with(&shapes()[4]);
    assert_eq!(
        rest.properties("RestApi")["DisableExecuteApiEndpoint"],
        true
    );
    for (stack, api, stage) in [
        (&domain, "Api", "ApiStage"),
        (&rest, "RestApi", "RestStage"),
    ] {
        let name = &stack.properties("Domain")["DomainNameConfigurations"][0];
        assert_eq!(name["SecurityPolicy"], "TLS_1_2");
        let mapping = stack.properties("DomainMapping");
        for (property, of) in [("ApiId", api), ("Stage", stage)] {
            let expected = stack.resolve(&json!({ "Ref": of })).unwrap();
            assert_eq!(mapping[property], expected, "{property}");
        }
    }
    assert_eq!(rest.properties("RestNotFound")["StatusCode"], "404");
    assert_eq!(
        rest.properties("RestApi")["BinaryMediaTypes"],
        json!(["*~1*"])
    );
}

/// A deployment is a copy of the API that nothing updates: a change of the API or of its other
/// entrance shows only in a new one, and a new logical id makes one.
#[test]
fn a_change_of_the_rest_api_is_deployed() {
    let rest = ("FrontDoor", "rest-waf");
    let (open, closed) = (
        TemplateStack::with(&[rest]),
        TemplateStack::with(&shapes()[4]),
    );
    let resources = &open.template()["Resources"];
    let ids = [
        "RestApi",
        "RestSource",
        "RestMethod",
        "RestMonitors",
        "RestProbe",
        "RestProbeMethod",
        "RestNotFound",
    ];
    let parts: BTreeMap<_, _> = ids.map(|id| (id, &resources[id]["Properties"])).into();
    let digest = hex::encode(Sha256::digest(serde_json::to_vec(&parts).unwrap()));
    for (stack, entrance) in [(&open, "Open"), (&closed, "Closed")] {
        let deployments = stack.of_type("AWS::ApiGateway::Deployment");
        let expected = format!("RestDeployment{}{entrance}", &digest[..10]);
        assert_eq!(deployments.keys().collect::<Vec<_>>(), [&expected]);
        assert_eq!(
            stack.properties("RestStage")["DeploymentId"],
            stack.resolve(&json!({ "Ref": expected })).unwrap()
        );
    }
}

/// Public reports say that API Gateway answers 500 where the permission names a path parameter.
#[test]
fn the_gateway_may_invoke_receive_for_any_stage_method_and_path() {
    for (front, permission, api) in [
        ("http-api", "ApiMayInvoke", "Api"),
        ("rest-waf", "RestMayInvoke", "RestApi"),
    ] {
        let stack = TemplateStack::with(&[("FrontDoor", front)]);
        let source = stack.properties(permission)["SourceArn"].clone();
        let api = stack.resolve(&json!({ "Ref": api })).unwrap();
        let expected = format!(
            "arn:aws:execute-api:eu-west-2:123456789012:{}/*/*/*",
            api.as_str().unwrap()
        );
        assert_eq!(source, expected, "{front}");
    }
}

#[test]
fn a_monitor_reaches_receive_through_a_rest_api_too() {
    let stack = TemplateStack::with(&[("FrontDoor", "rest-waf")]);
    let (source, probe) = (
        stack.properties("RestMethod"),
        stack.properties("RestProbeMethod"),
    );
    assert_eq!(stack.properties("RestMonitors")["PathPart"], "-");
    assert_eq!(stack.properties("RestProbe")["PathPart"], "{probe}");
    let is_of = |value: &serde_json::Value, id: &str| value.as_str().unwrap().contains(id);
    assert!(is_of(
        &stack.properties("RestProbe")["ParentId"],
        "RestMonitors"
    ));
    assert!(is_of(&probe["ResourceId"], "RestProbe"));
    for part in ["HttpMethod", "AuthorizationType", "Integration"] {
        assert_eq!(probe[part], source[part], "{part}");
    }
    for (id, deployment) in stack.of_type("AWS::ApiGateway::Deployment") {
        let dependencies = deployment["DependsOn"].to_string();
        assert!(dependencies.contains("RestProbeMethod"), "{id}");
    }
}

#[test]
fn each_front_is_alone_and_throttled_far_above_what_senders_do() {
    for (front, kinds) in [
        ("http-api", &["AWS::ApiGatewayV2::Api"][..]),
        (
            "rest-waf",
            &["AWS::ApiGateway::RestApi", "AWS::WAFv2::WebACL"],
        ),
        ("function-url", &["AWS::Lambda::Url"]),
    ] {
        let stack = TemplateStack::with(&[("FrontDoor", front)]);
        let fronts = [
            "AWS::ApiGateway::RestApi",
            "AWS::ApiGatewayV2::Api",
            "AWS::Lambda::Url",
            "AWS::WAFv2::WebACL",
        ];
        let found: Vec<_> = fronts
            .into_iter()
            .filter(|kind| !stack.of_type(kind).is_empty())
            .collect();
        assert_eq!(found, kinds);
    }
    let http = TemplateStack::with(&[]).properties("ApiStage");
    assert_eq!(
        http["DefaultRouteSettings"],
        json!({"ThrottlingRateLimit": "500", "ThrottlingBurstLimit": "1000"})
    );
    let rest = TemplateStack::with(&[("FrontDoor", "rest-waf")]).properties("RestStage");
    assert_eq!(rest["MethodSettings"][0]["ThrottlingRateLimit"], "500");
}

#[test]
fn the_access_log_is_json_with_the_field_names_of_splunk() {
    for (front, stage, settings) in [
        ("http-api", "ApiStage", "AccessLogSettings"),
        ("rest-waf", "RestStage", "AccessLogSetting"),
    ] {
        let stage = TemplateStack::with(&[("FrontDoor", front)]).properties(stage);
        let format: BTreeMap<String, String> =
            serde_json::from_str(stage[settings]["Format"].as_str().unwrap()).unwrap();
        let words: Vec<_> = format.keys().map(String::as_str).collect();
        let expected = [
            "latency",
            "length",
            "method",
            "path",
            "protocol",
            "requestId",
            "routeKey",
            "src",
            "status",
            "time",
        ];
        assert_eq!(words, expected, "{front}");
    }
}

#[test]
fn the_firewall_never_answers_for_us_and_never_reads_a_body() {
    let firewall = TemplateStack::with(&[("FrontDoor", "rest-waf")])
        .properties("Firewall")
        .to_string();
    for forbidden in ["CustomResponse", "Body", "Captcha", "Challenge"] {
        assert!(!firewall.contains(forbidden), "{forbidden}");
    }
}
