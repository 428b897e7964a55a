//! Reads `template.yaml` as CloudFormation does: its short tags, and its resources for a set of
//! parameters.

use std::{collections::BTreeMap, fs};

use saphyr::{LoadableYamlNode, Scalar, Yaml};
use serde_json::{Map, Value, json};

/// CloudFormation's pseudo parameters. No account or region is longer than these.
const PSEUDO: &[(&str, &str)] = &[
    ("AWS::AccountId", "123456789012"),
    ("AWS::Partition", "aws"),
    ("AWS::Region", "eu-west-2"),
    ("AWS::URLSuffix", "amazonaws.com"),
];

/// The template with a set of parameters.
pub struct TemplateStack {
    template: Value,
    parameters: BTreeMap<String, String>,
    name: String,
}

impl TemplateStack {
    /// The template with these parameters, and the defaults of the others.
    pub fn with(given: &[(&str, &str)]) -> Self {
        let path = super::repository("template.yaml");
        let template = read(&fs::read_to_string(path).unwrap());
        let defaults = template["Parameters"].as_object().unwrap().iter();
        let mut parameters: BTreeMap<_, _> = defaults
            .map(|(name, parameter)| (name.clone(), text(&parameter["Default"])))
            .collect();
        for (name, value) in given {
            assert!(
                parameters
                    .insert((*name).to_owned(), (*value).to_owned())
                    .is_some(),
                "unknown parameter {name}"
            );
        }
        Self {
            template,
            parameters,
            name: "pillarbox".to_owned(),
        }
    }

    /// The same stack with another name.
    pub fn named(self, name: &str) -> Self {
        Self {
            name: name.to_owned(),
            ..self
        }
    }

    /// The template, with unresolved functions.
    pub fn template(&self) -> &Value {
        &self.template
    }

    /// The resources of the stack, resolved, by their logical ids.
    pub fn resources(&self) -> BTreeMap<String, Value> {
        let all = self.template["Resources"].as_object().unwrap().iter();
        let created = all.filter(|(_, resource)| {
            resource["Condition"]
                .as_str()
                .is_none_or(|name| self.condition(name))
        });
        created
            .map(|(id, resource)| (id.clone(), self.resolve(resource).unwrap()))
            .collect()
    }

    /// The properties of a resource of the stack, for a function with those of `Globals`.
    pub fn properties(&self, id: &str) -> Value {
        let resource = &self.resources()[id];
        if resource["Type"] != "AWS::Serverless::Function" {
            return resource["Properties"].clone();
        }
        let mut properties = self.resolve(&self.template["Globals"]["Function"]).unwrap();
        merge(&mut properties, &resource["Properties"]);
        properties
    }

    /// The resources of one type.
    pub fn of_type(&self, kind: &str) -> BTreeMap<String, Value> {
        self.resources()
            .into_iter()
            .filter(|(_, resource)| resource["Type"] == kind)
            .collect()
    }

    /// Resolves a value; `None` for `AWS::NoValue`.
    pub fn resolve(&self, value: &Value) -> Option<Value> {
        match value {
            Value::Array(items) => {
                Some(items.iter().filter_map(|item| self.resolve(item)).collect())
            }
            Value::Object(map) => match function(map) {
                Some(("Ref", name)) if name == "AWS::NoValue" => None,
                Some(("Fn::If", arguments)) => {
                    let holds = self.condition(arguments[0].as_str().unwrap());
                    self.resolve(&arguments[if holds { 1 } else { 2 }])
                }
                Some((name, arguments)) => Some(self.call(name, arguments)),
                None => {
                    let entries = map
                        .iter()
                        .filter_map(|(key, value)| Some((key.clone(), self.resolve(value)?)));
                    Some(Value::Object(entries.collect()))
                }
            },
            plain => Some(plain.clone()),
        }
    }

    fn call(&self, function: &str, arguments: &Value) -> Value {
        let resolved = |value: &Value| self.resolve(value).unwrap();
        match function {
            "Ref" => self.reference(arguments.as_str().unwrap()).into(),
            // An attribute stands for itself: nothing here depends on its form.
            "Fn::GetAtt" => format!("<{}>", arguments.as_str().unwrap()).into(),
            "Fn::Sub" => match arguments {
                Value::Array(two) => self
                    .substitute(two[0].as_str().unwrap(), &resolved(&two[1]))
                    .into(),
                one => self.substitute(one.as_str().unwrap(), &Value::Null).into(),
            },
            "Fn::Join" => {
                let items = resolved(&arguments[1]);
                let items: Vec<_> = items.as_array().unwrap().iter().map(text).collect();
                items.join(arguments[0].as_str().unwrap()).into()
            }
            "Fn::Split" => {
                let whole = text(&resolved(&arguments[1]));
                whole
                    .split(arguments[0].as_str().unwrap())
                    .collect::<Vec<_>>()
                    .into()
            }
            "Fn::Select" => {
                let index = usize::try_from(arguments[0].as_u64().unwrap()).unwrap();
                resolved(&arguments[1])[index].clone()
            }
            "Fn::FindInMap" => {
                let [map, first, second] =
                    [0, 1, 2].map(|index| text(&resolved(&arguments[index])));
                self.template["Mappings"][map][first][second].clone()
            }
            other => panic!("unknown function {other}"),
        }
    }

    /// The value of `Ref`: a parameter, or the name of a resource with a suffix as long as
    /// CloudFormation's.
    fn reference(&self, name: &str) -> String {
        if let Some(value) = self.parameters.get(name) {
            return value.clone();
        }
        if name == "AWS::StackName" {
            return self.name.clone();
        }
        if let Some((_, value)) = PSEUDO.iter().find(|(pseudo, _)| *pseudo == name) {
            return (*value).to_owned();
        }
        // The alias that SAM creates for a function.
        if let Some(function) = name.strip_suffix(".Alias") {
            return format!("<{function}.Arn>:live");
        }
        let physical = format!("{}-{name}-1ABCDEFGHIJKL", self.name);
        let resource = &self.template["Resources"][name];
        match resource["Type"]
            .as_str()
            .unwrap_or_else(|| panic!("{name} is neither a parameter nor a resource"))
        {
            "AWS::SecretsManager::Secret" => {
                format!("arn:aws:secretsmanager:eu-west-2:123456789012:secret:{physical}-AbCdEf")
            }
            "AWS::ApiGateway::Stage" => {
                text(&self.resolve(&resource["Properties"]["StageName"]).unwrap())
            }
            "AWS::Events::EventBus" => {
                text(&self.resolve(&resource["Properties"]["Name"]).unwrap())
            }
            _ => physical,
        }
    }

    fn substitute(&self, pattern: &str, own: &Value) -> String {
        let mut parts = pattern.split("${");
        let mut whole = parts.next().unwrap().to_owned();
        for part in parts {
            let (name, rest) = part.split_once('}').unwrap();
            whole += &match own.get(name) {
                Some(value) => text(value),
                None if name.contains('.') && !name.starts_with("AWS::") => format!("<{name}>"),
                None => self.reference(name),
            };
            whole += rest;
        }
        whole
    }

    /// Whether a condition holds.
    pub fn condition(&self, name: &str) -> bool {
        let condition = &self.template["Conditions"][name];
        assert!(condition.is_object(), "unknown condition {name}");
        self.holds(condition)
    }

    fn holds(&self, condition: &Value) -> bool {
        let (function, arguments) = function(condition.as_object().unwrap()).unwrap();
        let each = || {
            arguments
                .as_array()
                .unwrap()
                .iter()
                .map(|argument| self.holds(argument))
        };
        match function {
            "Condition" => self.condition(arguments.as_str().unwrap()),
            "Fn::Not" => !self.holds(&arguments[0]),
            "Fn::And" => each().all(|holds| holds),
            "Fn::Or" => each().any(|holds| holds),
            "Fn::Equals" => {
                let [left, right] =
                    [0, 1].map(|index| text(&self.resolve(&arguments[index]).unwrap()));
                left == right
            }
            "Fn::Contains" => {
                let [all, one] = [0, 1].map(|index| self.resolve(&arguments[index]).unwrap());
                all.as_array()
                    .unwrap()
                    .iter()
                    .any(|item| text(item) == text(&one))
            }
            other => panic!("unknown condition function {other}"),
        }
    }

    /// The messages of the rules that reject these parameters.
    pub fn refusals(&self) -> Vec<String> {
        let rules = self.template["Rules"].as_object().unwrap().values();
        let applying = rules.filter(|rule| {
            rule.get("RuleCondition")
                .is_none_or(|condition| self.holds(condition))
        });
        let assertions = applying.flat_map(|rule| rule["Assertions"].as_array().unwrap());
        let broken = assertions.filter(|assertion| !self.holds(&assertion["Assert"]));
        broken
            .map(|assertion| text(&assertion["AssertDescription"]))
            .collect()
    }
}

/// The function that a mapping contains, if it is one.
fn function(map: &Map<String, Value>) -> Option<(&str, &Value)> {
    let (name, arguments) = map.iter().next().filter(|_| map.len() == 1)?;
    let named = matches!(name.as_str(), "Ref" | "Condition") && arguments.is_string();
    (named || name.starts_with("Fn::")).then_some((name, arguments))
}

/// A scalar as text.
fn text(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from.clone(),
    }
}

/// Reads a YAML document and replaces each short tag by its function.
fn read(document: &str) -> Value {
    convert(&Yaml::load_from_str(document).unwrap()[0])
}

fn convert(yaml: &Yaml<'_>) -> Value {
    match yaml {
        Yaml::Value(Scalar::Null) => Value::Null,
        Yaml::Value(Scalar::Boolean(value)) => json!(value),
        Yaml::Value(Scalar::Integer(value)) => json!(value),
        Yaml::Value(Scalar::String(value)) => json!(value),
        Yaml::Sequence(items) => items.iter().map(convert).collect(),
        Yaml::Mapping(entries) => entries
            .iter()
            .map(|(key, value)| (key.as_str().unwrap().to_owned(), convert(value)))
            .collect(),
        Yaml::Tagged(tag, value) => {
            let name = match tag.suffix.as_str() {
                plain @ ("Ref" | "Condition") => plain.to_owned(),
                function => format!("Fn::{function}"),
            };
            json!({ name: convert(value) })
        }
        other => panic!("unexpected YAML in a template: {other:?}"),
    }
}
