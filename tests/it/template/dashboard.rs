//! The dashboard: valid JSON for all parameters, with series that exist.

use serde_json::Value;

use super::{TemplateStack, alarms, series, series::SeriesStatistic, stacks};

fn body(stack: &TemplateStack) -> Option<Value> {
    let dashboard = stack
        .of_type("AWS::CloudWatch::Dashboard")
        .remove("Dashboard")?;
    let body = dashboard["Properties"]["DashboardBody"].as_str().unwrap();
    Some(serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {body}")))
}

fn widgets(body: &Value, kind: &str) -> Vec<Value> {
    let widgets = body["widgets"].as_array().unwrap().iter();
    widgets
        .filter(|widget| widget["type"] == kind)
        .cloned()
        .collect()
}

/// The series that a stack's dashboard shows, and the values of their dimensions.
pub(super) fn shown(stack: &TemplateStack) -> Vec<(SeriesStatistic, Vec<String>)> {
    let body = body(stack).unwrap_or_else(|| serde_json::json!({"widgets": []}));
    let mut shown = Vec::new();
    for widget in widgets(&body, "metric") {
        let properties = &widget["properties"];
        for metric in properties["metrics"].as_array().unwrap() {
            let parts = metric.as_array().unwrap();
            let words: Vec<String> = parts
                .iter()
                .filter_map(|part| part.as_str().map(str::to_owned))
                .collect();
            let of_metric = parts.last().unwrap().get("stat").and_then(Value::as_str);
            let statistic = of_metric.or(properties["stat"].as_str()).unwrap();
            let pairs = words[2..].chunks(2);
            let series = SeriesStatistic {
                namespace: words[0].clone(),
                name: words[1].clone(),
                dimensions: pairs.clone().map(|pair| pair[0].clone()).collect(),
                statistic: statistic.to_owned(),
                unit: None,
            };
            shown.push((series, pairs.map(|pair| pair[1].clone()).collect()));
        }
    }
    shown
}

#[test]
fn every_widget_shows_series_that_exist_of_resources_of_the_stack() {
    for stack in stacks() {
        for (series, values) in shown(&stack) {
            series::assert_exists(&series, false, "the dashboard");
            assert!(values.iter().all(|value| !value.is_empty()), "{series:?}");
        }
    }
}

#[test]
fn the_dashboard_is_one_screen_whatever_is_switched_on() {
    for front in ["http-api", "rest-waf", "function-url"] {
        for off in [&[][..], &[("Pay", "off")], &[("Hmrc", "off")]] {
            let stack = TemplateStack::with(&[&[("FrontDoor", front)], off].concat());
            let body = body(&stack).unwrap();
            let number = |widget: &Value, name: &str| widget[name].as_u64().unwrap();
            for widget in body["widgets"].as_array().unwrap() {
                assert!(
                    number(widget, "x") + number(widget, "width") <= 24,
                    "{widget}"
                );
                assert!(
                    number(widget, "y") + number(widget, "height") <= 17,
                    "{widget}"
                );
            }
            let metrics = widgets(&body, "metric");
            assert_eq!(metrics.len(), if off.is_empty() { 8 } else { 7 });
            let text = body.to_string();
            for (name, source) in [("Hmrc", "\"hmrc\""), ("Pay", "\"pay\"")] {
                let is_on = !off.iter().any(|(sender, _)| *sender == name);
                assert_eq!(text.contains(source), is_on, "{name}");
            }
        }
    }
}

#[test]
fn the_dashboard_shows_every_alarm_of_its_stack_and_where_the_runbook_is() {
    for stack in stacks() {
        let Some(body) = body(&stack) else { continue };
        let alarms = &widgets(&body, "alarm")[0]["properties"]["alarms"];
        assert_eq!(
            alarms.as_array().unwrap().len(),
            alarms::by_name(&stack).len(),
            "{alarms}"
        );
    }
    for (given, expected) in [
        (&[][..], "Runbook: docs/runbook.md"),
        (
            &[("RunBookURL", "https://example.gov.uk/runbook")],
            "[Runbook](https://example.gov.uk/runbook)",
        ),
    ] {
        let body = body(&TemplateStack::with(given)).unwrap();
        let text = &widgets(&body, "text")[0]["properties"]["markdown"];
        assert!(text.as_str().unwrap().ends_with(expected), "{text}");
    }
}
