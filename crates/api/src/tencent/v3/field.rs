//! Declared parameters: their types and constraints, and reading a tree by them.
//!
//! The order of the checks is unknown, missing, typed. Numbers may come as decimal text and text
//! fields that hold numbers as numbers, because clients of one action or another send either; all
//! values of a form are text. Everything else is strict.

use super::error::{Error, Fault};
use super::tree::Node;

/// A declared parameter or member.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// Its type and constraints.
    pub kind: Kind,
    /// Whether it must be there.
    pub required: bool,
}

/// A type with its constraints.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// Any text; the domain judges it.
    Text,
    /// An id with this prefix.
    Id(&'static str),
    /// The name of a resource.
    Name,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A number.
    Integer {
        /// The smallest.
        least: i64,
        /// The largest.
        most: i64,
    },
    /// How many entries to answer, declared as a number or as text.
    Limit(Declared),
    /// How many entries to skip, declared as a number or as text.
    Offset(Declared),
    /// A truth value, declared as such or as text.
    Boolean(Declared),
    /// A list.
    List {
        /// Of what.
        of: &'static Kind,
        /// The most elements.
        most: usize,
    },
    /// An object.
    Object(&'static [Field]),
    /// A list of filters of these names.
    Filters(&'static [&'static str]),
    /// A token that makes a creation happen once.
    ClientToken,
}

/// How a number or a truth value is declared; requests may use either.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Declared {
    /// As what it is.
    Plain,
    /// As text.
    AsText,
}

/// The entries of a list that is asked for without a limit.
pub const DEFAULT_LIMIT: i64 = 20;

/// The most entries of a list.
pub const MOST_ENTRIES: i64 = 100;

/// The longest name in characters; the domain has the same bound.
const LONGEST_NAME: usize = model::Name::MAX_CHARS;

/// The longest text of a kind that has no bound of its own.
const LONGEST_TEXT: usize = 1024;

/// The longest ClientToken.
pub const LONGEST_TOKEN: usize = 64;

const MOST_FILTERS: usize = 10;
const MOST_FILTER_VALUES: usize = 100;

/// A required parameter.
pub const fn required(name: &'static str, kind: Kind) -> Field {
    Field {
        name,
        kind,
        required: true,
    }
}

/// An optional parameter.
pub const fn optional(name: &'static str, kind: Kind) -> Field {
    Field {
        name,
        kind,
        required: false,
    }
}

/// A value that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Argument {
    /// A text.
    Text(String),
    /// A number.
    Integer(i64),
    /// A truth value.
    Boolean(bool),
    /// A list.
    List(Vec<Argument>),
    /// An object.
    Object(Arguments),
}

/// The parameters of one action, or the members of one object, as declared.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Arguments(Vec<(&'static str, Argument)>);

/// One filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Filter<'a> {
    /// Its name.
    pub name: &'a str,
    /// What it admits.
    pub values: &'a [Argument],
}

impl Arguments {
    /// Reads the members of an object by what is declared.
    ///
    /// # Errors
    /// [`Error::Unknown`], [`Error::Missing`] and those of single values, naming the parameter by its
    /// path.
    pub fn read(fields: &'static [Field], node: Node, path: &str) -> Result<Arguments, Error> {
        let Node::Object(members) = node else {
            let name = path.trim_end_matches('.').to_owned();
            let reason = "an object is expected";
            return Err(Error::Type { name, reason });
        };
        let field_of = |name: &str| fields.iter().find(|field| field.name == name);
        if let Some((name, _)) = members.iter().find(|(name, _)| field_of(name).is_none()) {
            return Err(Error::Unknown {
                name: format!("{path}{}", shown(name)),
                guess: guess(fields, name),
            });
        }
        let is_there = |name: &str| {
            let mut given = members.iter();
            given.any(|(other, node)| other == name && *node != Node::Null)
        };
        if let Some(field) = fields
            .iter()
            .find(|field| field.required && !is_there(field.name))
        {
            return Err(Error::Missing(format!("{path}{}", field.name)));
        }
        let mut arguments = Arguments::default();
        for (name, node) in members {
            let Some(field) = field_of(&name).filter(|_| node != Node::Null) else {
                continue;
            };
            let path = format!("{path}{name}");
            if let Some(argument) = field.read(node, &path)? {
                arguments.0.push((field.name, argument));
            }
        }
        Ok(arguments)
    }

    fn get(&self, name: &str) -> Option<&Argument> {
        self.0
            .iter()
            .find(|(other, _)| *other == name)
            .map(|(_, argument)| argument)
    }

    /// A text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name)?.as_text()
    }

    /// A text that the table says is required.
    pub fn required_text(&self, name: &str) -> Result<&str, Error> {
        self.text(name)
            .ok_or_else(|| Error::Missing(name.to_owned()))
    }

    /// A number.
    pub fn integer(&self, name: &str) -> Option<i64> {
        match self.get(name)? {
            Argument::Integer(value) => Some(*value),
            _ => None,
        }
    }

    /// A truth value.
    pub fn boolean(&self, name: &str) -> Option<bool> {
        match self.get(name)? {
            Argument::Boolean(value) => Some(*value),
            _ => None,
        }
    }

    /// The elements of a list, none when it is absent.
    pub fn list(&self, name: &str) -> &[Argument] {
        match self.get(name) {
            Some(Argument::List(items)) => items,
            _ => &[],
        }
    }

    /// Whether a parameter was given, an empty list included.
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// The texts of a list.
    pub fn texts(&self, name: &str) -> impl Iterator<Item = &str> {
        self.list(name).iter().filter_map(Argument::as_text)
    }

    /// The numbers of a list.
    pub fn integers(&self, name: &str) -> impl Iterator<Item = i64> {
        self.list(name)
            .iter()
            .filter_map(|argument| match argument {
                Argument::Integer(value) => Some(*value),
                _ => None,
            })
    }

    /// The objects of a list.
    pub fn objects(&self, name: &str) -> impl Iterator<Item = &Arguments> {
        self.list(name)
            .iter()
            .filter_map(|argument| match argument {
                Argument::Object(arguments) => Some(arguments),
                _ => None,
            })
    }

    /// The filters.
    pub fn filters(&self) -> impl Iterator<Item = Filter<'_>> {
        self.objects("Filters").map(|filter| Filter {
            name: filter.text("Name").unwrap_or_default(),
            values: filter.list("Values"),
        })
    }
}

impl Argument {
    /// The text of a text.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Argument::Text(text) => Some(text),
            _ => None,
        }
    }
}

impl<'a> Filter<'a> {
    /// The values.
    pub fn texts(self) -> impl Iterator<Item = &'a str> {
        self.values.iter().filter_map(Argument::as_text)
    }
}

/// The declared name that an unknown one is like.
fn guess(fields: &'static [Field], name: &str) -> Option<&'static str> {
    const FAR: usize = 3;
    let near = |field: &&Field| {
        let distance = strsim::levenshtein(field.name, name);
        field.name.eq_ignore_ascii_case(name) || distance < FAR.min(field.name.len())
    };
    // Long names are no typing errors, and comparing them is work.
    let is_short = name.len() <= 64;
    fields
        .iter()
        .filter(|_| is_short)
        .find(near)
        .map(|field| field.name)
}

impl Field {
    /// Reads one value. `None` when it is empty and an empty one counts as absent.
    fn read(&self, node: Node, path: &str) -> Result<Option<Argument>, Error> {
        let is_empty = matches!(&node, Node::Text(text) if text.is_empty());
        if is_empty && !self.required && !matches!(self.kind, Kind::Name) {
            return Ok(None);
        }
        self.kind.read(node, path).map(Some)
    }
}

impl Kind {
    fn read(&self, node: Node, path: &str) -> Result<Argument, Error> {
        match self {
            Kind::Text => text(node, path, LONGEST_TEXT),
            Kind::Id(prefix) => id(prefix, node, path),
            Kind::Name => name(node, path),
            Kind::Word(words) => word(words, node, path),
            Kind::ClientToken => token(node, path),
            Kind::Integer { least, most } => {
                let value = integer(node, path)?;
                if value < *least || value > *most {
                    let reason = format!("{value} is not from {least} to {most}");
                    return Err(Error::value(path, Fault::Range, reason));
                }
                Ok(Argument::Integer(value))
            }
            Kind::Limit(_) => limit(integer(node, path)?, path),
            Kind::Offset(_) => match integer(node, path)? {
                value @ 0.. => Ok(Argument::Integer(value)),
                value => Err(Error::value(
                    path,
                    Fault::Range,
                    format!("{value} is negative"),
                )),
            },
            Kind::Boolean(declared) => boolean(*declared, node, path),
            Kind::List { of, most } => list(of, *most, node, path),
            Kind::Object(fields) => {
                Arguments::read(fields, node, &format!("{path}.")).map(Argument::Object)
            }
            Kind::Filters(known) => filters(known, node, path),
        }
    }
}

fn type_error(path: &str, reason: &'static str) -> Error {
    Error::Type {
        name: path.to_owned(),
        reason,
    }
}

fn plain_text(node: Node, path: &str) -> Result<String, Error> {
    match node {
        Node::Text(text) if text.is_empty() => Err(Error::value(path, Fault::Empty, "it is empty")),
        Node::Text(text) => Ok(text),
        _ => Err(type_error(path, "a string is expected")),
    }
}

fn text(node: Node, path: &str, longest: usize) -> Result<Argument, Error> {
    let text = plain_text(node, path)?;
    if text.len() > longest {
        let reason = format!("it is longer than {longest} bytes");
        return Err(Error::value(path, Fault::TooLong, reason));
    }
    Ok(Argument::Text(text))
}

fn name(node: Node, path: &str) -> Result<Argument, Error> {
    let text = plain_text(node, path)?;
    if text.chars().count() > LONGEST_NAME {
        let reason = format!("it has more than {LONGEST_NAME} characters");
        return Err(Error::value(path, Fault::TooLong, reason));
    }
    Ok(Argument::Text(text))
}

fn id(prefix: &str, node: Node, path: &str) -> Result<Argument, Error> {
    let text = plain_text(node, path)?;
    let is_tail = |tail: &str| {
        let is_allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        tail.len() == 8 && tail.bytes().all(is_allowed)
    };
    if text.strip_prefix(prefix).is_some_and(is_tail) {
        return Ok(Argument::Text(text));
    }
    let reason = format!("`{}` is not {prefix} and 8 letters or digits", shown(&text));
    Err(Error::value(path, Fault::Malformed, reason))
}

fn word(words: &[&str], node: Node, path: &str) -> Result<Argument, Error> {
    let text = plain_text(node, path)?;
    if words.contains(&&*text) {
        return Ok(Argument::Text(text));
    }
    let reason = format!("`{}` is not one of {}", shown(&text), words.join(", "));
    Err(Error::value(path, Fault::NotAllowed, reason))
}

fn token(node: Node, path: &str) -> Result<Argument, Error> {
    let text = plain_text(node, path)?;
    if text.len() > LONGEST_TOKEN || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        let reason = format!("it is not 1 to {LONGEST_TOKEN} visible ASCII characters");
        return Err(Error::value(path, Fault::NotAllowed, reason));
    }
    Ok(Argument::Text(text))
}

fn integer(node: Node, path: &str) -> Result<i64, Error> {
    let expected = || type_error(path, "an integer is expected");
    match node {
        Node::Integer(value) => Ok(value),
        Node::Text(text) => {
            let digits = text.strip_prefix('-').unwrap_or(&text);
            let is_decimal = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            let value = Some(&text).filter(|_| is_decimal).map(|text| text.parse());
            value.and_then(Result::ok).ok_or_else(expected)
        }
        _ => Err(expected()),
    }
}

fn limit(value: i64, path: &str) -> Result<Argument, Error> {
    let (fault, reason) = match value {
        1..=MOST_ENTRIES => return Ok(Argument::Integer(value)),
        ..1 => (Fault::Range, format!("{value} is less than 1")),
        _ => (
            Fault::TooMany,
            format!("{value} is more than {MOST_ENTRIES}"),
        ),
    };
    Err(Error::value(path, fault, reason))
}

// Forms carry text, and one client writes its own spelling of the two words into them.
fn boolean(declared: Declared, node: Node, path: &str) -> Result<Argument, Error> {
    match node {
        Node::Boolean(value) => Ok(Argument::Boolean(value)),
        Node::Text(text) if text.eq_ignore_ascii_case("true") => Ok(Argument::Boolean(true)),
        Node::Text(text) if text.eq_ignore_ascii_case("false") => Ok(Argument::Boolean(false)),
        _ => Err(type_error(
            path,
            match declared {
                Declared::Plain => "true or false is expected",
                Declared::AsText => "the string true or false is expected",
            },
        )),
    }
}

fn list(of: &Kind, most: usize, node: Node, path: &str) -> Result<Argument, Error> {
    let Node::List(items) = node else {
        return Err(type_error(path, "a list is expected"));
    };
    if items.len() > most {
        let reason = format!(
            "there are {} elements, at most {most} are allowed",
            items.len()
        );
        return Err(Error::value(path, Fault::TooMany, reason));
    }
    let numbered = items.into_iter().enumerate();
    let read = numbered.map(|(index, item)| of.read(item, &format!("{path}.{index}")));
    read.collect::<Result<_, _>>().map(Argument::List)
}

fn filters(known: &'static [&'static str], node: Node, path: &str) -> Result<Argument, Error> {
    const VALUE: Kind = Kind::Text;
    const FIELDS: &[Field] = &[
        required("Name", Kind::Text),
        required(
            "Values",
            Kind::List {
                of: &VALUE,
                most: MOST_FILTER_VALUES,
            },
        ),
    ];
    let Node::List(items) = node else {
        return Err(type_error(path, "a list of filters is expected"));
    };
    if items.len() > MOST_FILTERS {
        let reason = format!(
            "there are {} filters, at most {MOST_FILTERS} are allowed",
            items.len()
        );
        return Err(Error::value(path, Fault::TooMany, reason));
    }
    let read = |(index, item)| {
        let path = format!("{path}.{index}");
        let Node::Object(members) = &item else {
            return Err(Error::FilterShape(path));
        };
        let is_no_list = |(name, node): &(String, Node)| {
            name == "Values" && !matches!(node, Node::List(_) | Node::Null)
        };
        if members.iter().any(is_no_list) {
            return Err(Error::FilterValues(format!("{path}.Values")));
        }
        let filter = Arguments::read(FIELDS, item, &format!("{path}."))?;
        let name = filter.required_text("Name")?;
        let is_known = |pattern: &&str| match pattern.strip_suffix('*') {
            Some(prefix) => name.len() > prefix.len() && name.starts_with(prefix),
            None => *pattern == name,
        };
        if !known.iter().any(is_known) {
            let name = shown(name);
            return Err(Error::FilterName { name, known });
        }
        Ok(Argument::Object(filter))
    };
    items
        .into_iter()
        .enumerate()
        .map(read)
        .collect::<Result<_, _>>()
        .map(Argument::List)
}

/// Answers repeat what was given, but not all of a long text.
pub(super) fn shown(text: &str) -> String {
    text.chars().take(64).collect()
}

#[cfg(test)]
#[path = "field_tests.rs"]
mod tests;
