//! The parameters of an action as one tree, whether they came as JSON, as a flattened form or as a
//! multipart form.
//!
//! A flattened name such as `Filters.0.Values.1` leads through lists and objects; lists are rebuilt by
//! index, because clients send them in any order. All text of a form is [`Node::Text`]; which type it
//! has is decided by the table of actions. Depth and number of nodes are bounded while decoding, so a
//! small body cannot become a large tree.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use futures::{FutureExt as _, StreamExt as _};
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::tencent::parameters::Parameters;

/// The deepest nesting: no declared parameter needs more than five levels.
const MOST_LEVELS: usize = 16;

/// The most values in a tree: a hundred subnets with all their fields are a tenth of it.
const MOST_NODES: usize = 10_000;

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub enum Node {
    /// Nothing, which counts as absent.
    Null,
    /// A JSON boolean.
    Boolean(bool),
    /// A JSON number that is an integer.
    Integer(i64),
    /// Any other JSON number, or one that is too large.
    Number,
    /// A JSON string, or any value of a form.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// An object, in the order received; names are unique.
    Object(Vec<(String, Node)>),
}

/// Why parameters are no tree.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// The body is not UTF-8.
    #[error("the body is not UTF-8")]
    Encoding,
    /// The body is not JSON.
    #[error("the body is not a JSON object: {0}")]
    Json(String),
    /// The body is JSON but no object.
    #[error("the body is not a JSON object")]
    NoObject,
    /// Two parameters contradict each other, as `A=1&A.0=2`.
    #[error("parameter `{0}` is given twice or with two shapes")]
    Shape(String),
    /// Nested too deeply.
    #[error("the parameters are nested more than {MOST_LEVELS} levels deep")]
    Depth,
    /// Too many.
    #[error("there are more than {MOST_NODES} values")]
    TooMany,
    /// A multipart body that cannot be read.
    #[error("the multipart body cannot be read: {0}")]
    Multipart(String),
}

/// Decodes a JSON body. An empty one counts as `{}`.
///
/// # Errors
/// [`TreeError`].
pub fn from_json(body: &[u8]) -> Result<Node, TreeError> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(Node::Object(Vec::new()));
    }
    let node = json(body)?;
    match node {
        Node::Object(_) => Ok(node),
        _ => Err(TreeError::NoObject),
    }
}

fn json(text: &[u8]) -> Result<Node, TreeError> {
    let fault = Cell::new(None);
    let room = Cell::new(MOST_NODES);
    let seed = Seed {
        level: 0,
        room: &room,
        fault: &fault,
    };
    let text = std::str::from_utf8(text).map_err(|_| TreeError::Encoding)?;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let read = seed
        .deserialize(&mut deserializer)
        .and_then(|node| deserializer.end().map(|()| node));
    read.map_err(|error| {
        let named = fault.take();
        named.unwrap_or_else(|| TreeError::Json(error.to_string()))
    })
}

/// Reads one value with what is left of the bounds. What is wrong with it besides syntax goes to
/// `fault`, because a deserializer's errors are texts.
#[derive(Clone, Copy)]
struct Seed<'a> {
    level: usize,
    room: &'a Cell<usize>,
    fault: &'a Cell<Option<TreeError>>,
}

impl Seed<'_> {
    fn fail<E: serde::de::Error>(self, error: TreeError) -> E {
        let text = error.to_string();
        self.fault.set(Some(error));
        E::custom(text)
    }

    fn below<E: serde::de::Error>(self) -> Result<Self, E> {
        let level = self.level + 1;
        if level > MOST_LEVELS {
            return Err(self.fail(TreeError::Depth));
        }
        Ok(Seed { level, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        let Some(left) = self.room.get().checked_sub(1) else {
            return Err(self.fail(TreeError::TooMany));
        };
        self.room.set(left);
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Boolean(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Integer(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(i64::try_from(value).map_or(Node::Number, Node::Integer))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Node, E> {
        Ok(Node::Number)
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Node, E> {
        Ok(Node::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Node, A::Error> {
        let below = self.below()?;
        let mut items = Vec::new();
        while let Some(item) = access.next_element_seed(below)? {
            items.push(item);
        }
        Ok(Node::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Node, A::Error> {
        let below = self.below()?;
        let mut members: Vec<(String, Node)> = Vec::new();
        while let Some(name) = access.next_key::<String>()? {
            // Objects are small wherever they are declared; an undeclared one is bounded like all.
            if members.len() > MOST_MEMBERS {
                return Err(self.fail(TreeError::TooMany));
            }
            if members.iter().any(|(other, _)| *other == name) {
                return Err(self.fail(TreeError::Shape(shown(&name))));
            }
            let node = access.next_value_seed(below)?;
            members.push((name, node));
        }
        Ok(Node::Object(members))
    }
}

/// The most members of one object, which are compared with each other.
const MOST_MEMBERS: usize = 256;

fn shown(name: &str) -> String {
    name.chars().take(64).collect()
}

/// Builds the tree of a flattened form, whose pairs that count are given.
///
/// # Errors
/// [`TreeError::Shape`], [`TreeError::Depth`].
pub fn from_form<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Result<Node, TreeError> {
    let mut root = Branch::default();
    for (name, value) in pairs {
        root.insert(name, Node::Text(value.to_owned()))?;
    }
    Ok(root.into_object())
}

/// The pairs of a form that are parameters of the action: all but those that every v1 request has.
pub fn action_pairs<'a>(
    parameters: &'a Parameters,
    common: &'a [&'a str],
) -> impl Iterator<Item = (&'a str, &'a str)> {
    parameters
        .effective()
        .filter(|(_, received, _)| !common.contains(received))
        .map(|(_, received, value)| (received, value))
}

/// The values of a tree that are no lists or objects, under the names that a form would give them.
pub fn flatten(node: &Node, name: &str, pairs: &mut Vec<(String, String)>) {
    let below = |part: &str| match name {
        "" => part.to_owned(),
        name => format!("{name}.{part}"),
    };
    let mut push = |text: String| pairs.push((name.to_owned(), text));
    match node {
        Node::Null | Node::Number => {}
        Node::Boolean(value) => push(value.to_string()),
        Node::Integer(value) => push(value.to_string()),
        Node::Text(text) => push(text.clone()),
        Node::List(items) => {
            for (index, item) in items.iter().enumerate() {
                flatten(item, &below(&index.to_string()), pairs);
            }
        }
        Node::Object(members) => {
            for (part, member) in members {
                flatten(member, &below(part), pairs);
            }
        }
    }
}

/// A part of a form's tree while it is built.
#[derive(Default)]
struct Branch {
    leaf: Option<Node>,
    members: BTreeMap<String, Branch>,
}

impl Branch {
    fn insert(&mut self, name: &str, value: Node) -> Result<(), TreeError> {
        let mut branch = self;
        for (level, part) in name.split('.').enumerate() {
            if level >= MOST_LEVELS {
                return Err(TreeError::Depth);
            }
            branch = branch.members.entry(part.to_owned()).or_default();
            if branch.leaf.is_some() {
                return Err(TreeError::Shape(shown(name)));
            }
        }
        if !branch.members.is_empty() {
            return Err(TreeError::Shape(shown(name)));
        }
        branch.leaf = Some(value);
        Ok(())
    }

    fn into_node(self) -> Node {
        if let Some(leaf) = self.leaf {
            return leaf;
        }
        let index = |name: &str| name.parse::<u32>().ok().filter(|n| n.to_string() == *name);
        if self.members.keys().all(|name| index(name).is_some()) {
            let mut items: Vec<(Option<u32>, Branch)> = self
                .members
                .into_iter()
                .map(|(name, branch)| (index(&name), branch))
                .collect();
            items.sort_by_key(|(index, _)| *index);
            return Node::List(
                items
                    .into_iter()
                    .map(|(_, item)| item.into_node())
                    .collect(),
            );
        }
        self.into_object()
    }

    fn into_object(self) -> Node {
        let members = self.members.into_iter();
        Node::Object(
            members
                .map(|(name, branch)| (name, branch.into_node()))
                .collect(),
        )
    }
}

/// Decodes a multipart body: text parts are values as in a form, parts of type `application/json` are
/// JSON.
///
/// # Errors
/// [`TreeError`].
pub fn from_multipart(content_type: &str, body: &[u8]) -> Result<Node, TreeError> {
    let unreadable = |error: multer::Error| TreeError::Multipart(error.to_string());
    let boundary = multer::parse_boundary(content_type).map_err(unreadable)?;
    // The whole body is at hand, so the parser never has to wait; should it all the same, it is
    // because the body ended where it must not.
    let whole = Ok::<_, std::convert::Infallible>(Bytes::copy_from_slice(body));
    let mut parts = multer::Multipart::new(futures::stream::iter([whole]).boxed(), boundary);
    let read = async {
        let mut root = Branch::default();
        let mut count = 0;
        while let Some(part) = parts.next_field().await.map_err(unreadable)? {
            count += 1;
            if count > MOST_MEMBERS {
                return Err(TreeError::TooMany);
            }
            let Some(name) = part.name().map(str::to_owned) else {
                return Err(TreeError::Multipart("a part has no name".to_owned()));
            };
            let is_json = part
                .content_type()
                .is_some_and(|media_type| media_type.essence_str() == "application/json");
            let value = part.bytes().await.map_err(unreadable)?;
            let node = match is_json {
                true => json(&value)?,
                false => Node::Text(String::from_utf8(value.to_vec()).map_err(|_| {
                    TreeError::Multipart(format!("`{}` is not UTF-8", shown(&name)))
                })?),
            };
            root.insert(&name, node)?;
        }
        Ok(root.into_object())
    };
    read.now_or_never()
        .unwrap_or_else(|| Err(TreeError::Multipart("it ends early".to_owned())))
}

#[cfg(test)]
#[path = "tree_tests.rs"]
mod tests;
