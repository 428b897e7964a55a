//! The forms that a body may have had before it was parsed and serialised again.
//!
//! Numbers keep their digits. Members keep their order, except in the forms with another order.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

use pillarbox::senders::{SenderKind, json};

/// A parsed JSON text that keeps the details in which serialisers differ.
enum JsonTree<'a> {
    Object(Vec<(String, JsonTree<'a>)>),
    Array(Vec<JsonTree<'a>>),
    Text(String),
    /// A number, a literal, or a string that is not valid Unicode: unchanged.
    Other(&'a str),
}

/// The white space that a serialiser writes.
struct JsonLayout {
    name: &'static str,
    comma: &'static str,
    colon: &'static str,
    /// One level of indentation; `None` if everything is on one line.
    indent: Option<&'static str>,
}

/// The layouts of the senders, and of tools that sign test bodies.
const LAYOUTS: [JsonLayout; 4] = [
    JsonLayout {
        name: "compact",
        comma: ",",
        colon: ":",
        indent: None,
    },
    JsonLayout {
        name: "with a space after each comma and colon",
        comma: ", ",
        colon: ": ",
        indent: None,
    },
    JsonLayout {
        name: "pretty-printed",
        comma: ",",
        colon: ": ",
        indent: Some("  "),
    },
    JsonLayout {
        name: "pretty-printed",
        comma: ",",
        colon: ": ",
        indent: Some("    "),
    },
];

/// The ends of a text: most serialisers add no newline, and files have one.
const ENDS: [&str; 2] = ["", "\n"];

/// The order in which members are written.
#[derive(Clone, Copy)]
enum MemberOrder {
    AsTheyAre,
    Sorted,
    /// The sender's order at the top level.
    Sender(SenderKind),
    /// The order of Pay's database below the top level.
    ShorterFirst,
}

/// Every form to try, with its name; none if `body` is not a JSON object.
pub(super) fn forms(kind: SenderKind, body: &[u8]) -> impl Iterator<Item = (String, &'static str)> {
    let mut tree = parse(body);
    [
        MemberOrder::AsTheyAre,
        MemberOrder::Sorted,
        MemberOrder::Sender(kind),
    ]
    .into_iter()
    .flat_map(move |order| {
        if let Some(tree) = &mut tree {
            tree.reorder(order);
        }
        let written = tree.iter().flat_map(|tree| {
            LAYOUTS.iter().flat_map(|layout| {
                let text = layout.write(tree);
                ENDS.map(|end| (format!("{text}{end}"), order.name(layout)))
            })
        });
        written.collect::<Vec<_>>()
    })
}

impl MemberOrder {
    /// The name of a form: its order if that differs from the body's, otherwise its layout.
    fn name(self, layout: &JsonLayout) -> &'static str {
        match self {
            Self::AsTheyAre => layout.name,
            Self::Sorted => "with its keys sorted",
            Self::Sender(_) | Self::ShorterFirst => "with its keys in the sender's own order",
        }
    }

    /// The order one level down.
    fn below(self) -> Self {
        if let Self::Sender(_) = self {
            Self::ShorterFirst
        } else {
            self
        }
    }
}

fn parse(body: &[u8]) -> Option<JsonTree<'_>> {
    let body = body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(body);
    let raw: &RawValue = json::object(body).ok()?; // limits the nesting, and so the recursion below
    Some(JsonTree::from_text(raw.get()))
}

impl<'a> JsonTree<'a> {
    /// Parses one level of a valid JSON text, and recurses.
    fn from_text(text: &'a str) -> Self {
        let parsed = match text.as_bytes().first() {
            Some(b'{') => serde_json::from_str(text).map(|JsonMembers(members)| {
                Self::Object(
                    members
                        .into_iter()
                        .map(|(name, value)| (name, Self::from_text(value.get())))
                        .collect(),
                )
            }),
            Some(b'[') => serde_json::from_str(text).map(|items: Vec<&'a RawValue>| {
                Self::Array(
                    items
                        .into_iter()
                        .map(|value| Self::from_text(value.get()))
                        .collect(),
                )
            }),
            Some(b'"') => serde_json::from_str(text).map(Self::Text),
            _ => Ok(Self::Other(text)),
        };
        parsed.unwrap_or(Self::Other(text))
    }

    fn reorder(&mut self, order: MemberOrder) {
        match self {
            Self::Object(members) => {
                match order {
                    MemberOrder::AsTheyAre => {}
                    MemberOrder::Sorted => members.sort_by(|(a, _), (b, _)| a.cmp(b)),
                    MemberOrder::Sender(kind) => {
                        members.sort_by_key(|(name, _)| position(kind, name))
                    }
                    MemberOrder::ShorterFirst => {
                        members.sort_by(|(a, _), (b, _)| (a.len(), a).cmp(&(b.len(), b)))
                    }
                }
                members
                    .iter_mut()
                    .for_each(|(_, value)| value.reorder(order.below()));
            }
            Self::Array(items) => items.iter_mut().for_each(|item| item.reorder(order)),
            Self::Text(_) | Self::Other(_) => {}
        }
    }
}

/// The position at which a sender writes the member `name`; unknown members come last.
fn position(kind: SenderKind, name: &str) -> usize {
    let order = kind.envelope.members;
    order
        .iter()
        .position(|known| *known == name)
        .unwrap_or(order.len())
}

impl JsonLayout {
    fn write(&self, tree: &JsonTree<'_>) -> String {
        let mut out = String::new();
        self.write_value(&mut out, tree, 0);
        out
    }

    fn write_value(&self, out: &mut String, tree: &JsonTree<'_>, depth: usize) {
        match tree {
            JsonTree::Object(members) => {
                self.write_list(out, ['{', '}'], members, depth, |out, (name, value)| {
                    write_string(out, name);
                    out.push_str(self.colon);
                    self.write_value(out, value, depth + 1);
                })
            }
            JsonTree::Array(items) => {
                self.write_list(out, ['[', ']'], items, depth, |out, item| {
                    self.write_value(out, item, depth + 1)
                });
            }
            JsonTree::Text(text) => write_string(out, text),
            JsonTree::Other(text) => out.push_str(text),
        }
    }

    fn write_list<T>(
        &self,
        out: &mut String,
        ends: [char; 2],
        items: &[T],
        depth: usize,
        item: impl Fn(&mut String, &T),
    ) {
        out.push(ends[0]);
        for (index, one) in items.iter().enumerate() {
            out.push_str(if index == 0 { "" } else { self.comma });
            self.begin_line(out, depth + 1);
            item(out, one);
        }
        if !items.is_empty() {
            self.begin_line(out, depth);
        }
        out.push(ends[1]);
    }

    /// Begins a line, if the layout has more than one.
    fn begin_line(&self, out: &mut String, depth: usize) {
        if let Some(indent) = self.indent {
            out.push('\n');
            out.push_str(&indent.repeat(depth));
        }
    }
}

/// Writes a JSON string as both senders do: with no unnecessary escape.
fn write_string(out: &mut String, text: &str) {
    out.push_str(&serde_json::Value::from(text).to_string());
}

/// An object's members in their order, including repeated names.
struct JsonMembers<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for JsonMembers<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor).map(Self)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Vec<(String, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(members)
    }
}
