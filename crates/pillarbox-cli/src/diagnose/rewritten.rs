//! The forms that a body may have had before it was parsed and serialised again.
//!
//! Numbers keep their digits. Members keep their order unless another is asked for.

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
    /// A number, a name, or a string that no text can hold: as it was written.
    Other(&'a str),
}

/// The white space of a serialiser.
struct JsonLayout {
    name: &'static str,
    comma: &'static str,
    colon: &'static str,
    /// One level of indentation, for writers that begin lines.
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

/// How a text ends: most writers add no line end, files have one.
const ENDS: [&str; 2] = ["", "\n"];

/// In which order members are written.
#[derive(Clone, Copy)]
enum MemberOrder {
    AsTheyAre,
    Sorted,
    /// As the sender writes the top.
    Sender(SenderKind),
    /// As Pay's database writes what is below it.
    ShorterFirst,
}

/// Every form worth trying, with its name; none if `body` is not a JSON object.
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
    /// What to call a form: by its order if that is not the body's, else by its layout.
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
    let raw: &RawValue = json::object(body).ok()?; // refuses what nests too deep for what follows
    Some(JsonTree::from_text(raw.get()))
}

impl<'a> JsonTree<'a> {
    /// Takes one valid JSON text apart.
    fn from_text(text: &'a str) -> Self {
        let taken = match text.as_bytes().first() {
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
        taken.unwrap_or(Self::Other(text))
    }

    fn reorder(&mut self, order: MemberOrder) {
        match self {
            Self::Object(members) => {
                match order {
                    MemberOrder::AsTheyAre => {}
                    MemberOrder::Sorted => members.sort_by(|(a, _), (b, _)| a.cmp(b)),
                    MemberOrder::Sender(kind) => members.sort_by_key(|(name, _)| place(kind, name)),
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

/// Where a sender writes the member `name`; what it has added since comes last.
fn place(kind: SenderKind, name: &str) -> usize {
    let order = kind.envelope.members;
    order
        .iter()
        .position(|known| *known == name)
        .unwrap_or(order.len())
}

impl JsonLayout {
    fn write(&self, tree: &JsonTree<'_>) -> String {
        let mut out = String::new();
        self.value(&mut out, tree, 0);
        out
    }

    fn value(&self, out: &mut String, tree: &JsonTree<'_>, depth: usize) {
        match tree {
            JsonTree::Object(members) => {
                self.list(out, ['{', '}'], members, depth, |out, (name, value)| {
                    quote(out, name);
                    out.push_str(self.colon);
                    self.value(out, value, depth + 1);
                })
            }
            JsonTree::Array(items) => {
                self.list(out, ['[', ']'], items, depth, |out, item| {
                    self.value(out, item, depth + 1)
                });
            }
            JsonTree::Text(text) => quote(out, text),
            JsonTree::Other(text) => out.push_str(text),
        }
    }

    fn list<T>(
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
            self.line(out, depth + 1);
            item(out, one);
        }
        if !items.is_empty() {
            self.line(out, depth);
        }
        out.push(ends[1]);
    }

    /// Begins a line, for layouts that have any.
    fn line(&self, out: &mut String, depth: usize) {
        if let Some(indent) = self.indent {
            out.push('\n');
            out.push_str(&indent.repeat(depth));
        }
    }
}

/// Writes a JSON string as both senders do: nothing is escaped that need not be.
fn quote(out: &mut String, text: &str) {
    out.push_str(&serde_json::Value::from(text).to_string());
}

/// An object's members in their order, repeated names and all.
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
