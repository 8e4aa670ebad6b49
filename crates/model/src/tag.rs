//! Tags: what accounts call their resources by, beside names.
//!
//! A tag is a key with a value, which may be empty; a resource has a key once. Both accounts of a
//! peering have tags of their own on it, and see only those. The bounds are the vendor's.

use std::collections::BTreeMap;
use std::fmt;

use crate::id::{PeeringConnectionId, RouteTableId, SubnetId, VpcId};

/// The tags of one resource, by key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tags(BTreeMap<String, String>);

/// Why tags are not allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TagError {
    /// A key is empty, or has a control character in it.
    #[error("tag key `{}` is not allowed: it is empty or has a control character", shown(.0))]
    Key(String),
    /// A key is too long.
    #[error("tag key `{}` has more than {} characters", shown(.0), Tags::LONGEST_KEY)]
    KeyTooLong(String),
    /// A key that the vendor keeps for itself.
    #[error("tag key `{}` is reserved", shown(.0))]
    Reserved(String),
    /// The value of a key has a control character in it.
    #[error("the value of tag key `{}` has a control character", shown(.0))]
    Value(String),
    /// The value of a key is too long.
    #[error("the value of tag key `{}` has more than {} characters", shown(.0), Tags::LONGEST_VALUE)]
    ValueTooLong(String),
    /// A key is given twice.
    #[error("tag key `{}` is given twice", shown(.0))]
    Duplicate(String),
    /// The resource would have too many tags.
    #[error("a resource may have {} tags", Tags::MOST)]
    TooMany,
}

// An error repeats what was given, but not all of a long text.
fn shown(text: &str) -> String {
    text.chars().take(64).collect()
}

impl Tags {
    /// The most tags of a resource.
    pub const MOST: usize = 50;
    /// The characters of the longest key.
    pub const LONGEST_KEY: usize = 127;
    /// The characters of the longest value.
    pub const LONGEST_VALUE: usize = 255;

    /// Checks keys and values.
    ///
    /// # Errors
    /// [`TagError`], the first thing that is not allowed.
    pub fn new<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Tags, TagError> {
        let mut tags = BTreeMap::new();
        for (key, value) in pairs {
            check_key(key)?;
            check_value(key, value)?;
            if tags.insert(key.to_owned(), value.to_owned()).is_some() {
                return Err(TagError::Duplicate(key.to_owned()));
            }
        }
        Tags(tags).bounded()
    }

    /// The tags after a change: some keys go, then some get new values or are added.
    ///
    /// # Errors
    /// [`TagError::Duplicate`] for a key that is to go and to stay, [`TagError::TooMany`].
    pub fn changed(&self, replace: &Tags, remove: &[String]) -> Result<Tags, TagError> {
        if let Some(key) = remove.iter().find(|key| replace.0.contains_key(*key)) {
            return Err(TagError::Duplicate(key.clone()));
        }
        let mut tags = self.0.clone();
        tags.retain(|key, _| !remove.contains(key));
        tags.extend(replace.0.clone());
        Tags(tags).bounded()
    }

    fn bounded(self) -> Result<Tags, TagError> {
        match self.0.len() {
            0..=Self::MOST => Ok(self),
            _ => Err(TagError::TooMany),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// Keys and values, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
    }
}

fn check_key(key: &str) -> Result<(), TagError> {
    const RESERVED_START: &str = "qcs:";
    const RESERVED: [&str; 2] = ["project", "\u{9879}\u{76ee}"];

    if key.is_empty() || key.chars().any(char::is_control) {
        return Err(TagError::Key(key.to_owned()));
    }
    if key.chars().count() > Tags::LONGEST_KEY {
        return Err(TagError::KeyTooLong(key.to_owned()));
    }
    if key.starts_with(RESERVED_START) || RESERVED.contains(&key) {
        return Err(TagError::Reserved(key.to_owned()));
    }
    Ok(())
}

fn check_value(key: &str, value: &str) -> Result<(), TagError> {
    if value.chars().any(char::is_control) {
        return Err(TagError::Value(key.to_owned()));
    }
    if value.chars().count() > Tags::LONGEST_VALUE {
        return Err(TagError::ValueTooLong(key.to_owned()));
    }
    Ok(())
}

/// A filter by tags; it admits what matches one of its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TagFilter {
    /// By a key that is there, with whatever value.
    Keys(Vec<String>),
    /// By the value of one key.
    Values {
        /// The key.
        key: String,
        /// The values.
        values: Vec<String>,
    },
}

impl TagFilter {
    /// Whether it admits a resource with these tags.
    pub fn admits(&self, tags: &Tags) -> bool {
        match self {
            TagFilter::Keys(keys) => keys.iter().any(|key| tags.get(key).is_some()),
            TagFilter::Values { key, values } => tags
                .get(key)
                .is_some_and(|value| values.iter().any(|wanted| wanted == value)),
        }
    }
}

/// Something that can have tags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tagged {
    /// A VPC.
    Vpc(VpcId),
    /// A subnet.
    Subnet(SubnetId),
    /// A route table.
    RouteTable(RouteTableId),
    /// A peering connection.
    Peering(PeeringConnectionId),
}

impl fmt::Display for Tagged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Tagged::Vpc(id) => id.fmt(f),
            Tagged::Subnet(id) => id.fmt(f),
            Tagged::RouteTable(id) => id.fmt(f),
            Tagged::Peering(id) => id.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(key: &str, value: &str) -> Result<Tags, TagError> {
        Tags::new([(key, value)])
    }

    #[test]
    fn keys_and_values_have_bounds_in_characters() {
        let long = |count| "\u{793a}".repeat(count);
        assert!(one(&long(127), &long(255)).is_ok());
        assert!(one("k", "").is_ok());
        let key = long(128);
        assert_eq!(one(&key, ""), Err(TagError::KeyTooLong(key.clone())));
        let error = one("k", &long(256));
        assert_eq!(error, Err(TagError::ValueTooLong("k".to_owned())));
        assert_eq!(one("", "v"), Err(TagError::Key(String::new())));
        assert_eq!(one("a\nb", "v"), Err(TagError::Key("a\nb".to_owned())));
        assert_eq!(one("k", "a\0"), Err(TagError::Value("k".to_owned())));
        for key in ["qcs:a", "project", "\u{9879}\u{76ee}"] {
            assert_eq!(one(key, "v"), Err(TagError::Reserved(key.to_owned())));
        }
        assert!(one("projects", "v").is_ok());
    }

    #[test]
    fn a_resource_has_a_key_once_and_not_too_many() {
        let twice = Tags::new([("k", "a"), ("k", "b")]);
        assert_eq!(twice, Err(TagError::Duplicate("k".to_owned())));
        let keys: Vec<String> = (0..=Tags::MOST).map(|n| format!("k{n}")).collect();
        let all = |count: usize| Tags::new(keys[..count].iter().map(|key| (key.as_str(), "v")));
        assert_eq!(all(Tags::MOST + 1), Err(TagError::TooMany));
        let full = all(Tags::MOST).unwrap();
        let more = one("another", "v").unwrap();
        assert_eq!(full.changed(&more, &[]), Err(TagError::TooMany));
        // What goes makes room, and a new value takes none.
        let swapped = full.changed(&more, &["k7".to_owned()]).unwrap();
        assert_eq!(
            (swapped.get("k7"), swapped.get("another")),
            (None, Some("v"))
        );
        let replaced = full.changed(&one("k7", "w").unwrap(), &[]).unwrap();
        assert_eq!(replaced.get("k7"), Some("w"));
        let both = full.changed(&one("k7", "w").unwrap(), &["k7".to_owned()]);
        assert_eq!(both, Err(TagError::Duplicate("k7".to_owned())));
    }

    #[test]
    fn filters_admit_what_matches_one_value() {
        let tags = Tags::new([("city", "gz"), ("empty", "")]).unwrap();
        let values = |key: &str, values: &[&str]| TagFilter::Values {
            key: key.to_owned(),
            values: values.iter().map(|value| (*value).to_owned()).collect(),
        };
        assert!(TagFilter::Keys(vec!["x".to_owned(), "empty".to_owned()]).admits(&tags));
        assert!(!TagFilter::Keys(vec!["x".to_owned()]).admits(&tags));
        assert!(values("city", &["sh", "gz"]).admits(&tags));
        assert!(!values("city", &["g"]).admits(&tags));
        assert!(values("empty", &[""]).admits(&tags));
        assert!(!values("x", &[""]).admits(&tags));
    }
}
