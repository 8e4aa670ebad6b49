//! Names that tenants give to their resources.

use std::fmt;

/// A name of 1 to 60 Unicode characters without control characters.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(String);

/// Why a text is no name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing was given.
    #[error("it is empty")]
    Empty,
    /// Longer than 60 characters.
    #[error("it has {0} characters, at most 60 are allowed")]
    TooLong(usize),
    /// A line feed, a NUL or the like.
    #[error("it contains a control character")]
    Control,
}

impl Name {
    /// The most characters that a name may have.
    pub const MAX_CHARS: usize = 60;

    /// Checks a text.
    ///
    /// # Errors
    /// [`NameError`] when it is empty, too long or contains control characters.
    pub fn new(text: &str) -> Result<Name, NameError> {
        let chars = text.chars().count();
        if chars == 0 {
            return Err(NameError::Empty);
        }
        if chars > Self::MAX_CHARS {
            return Err(NameError::TooLong(chars));
        }
        if text.chars().any(char::is_control) {
            return Err(NameError::Control);
        }
        Ok(Name(text.to_owned()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a tenant says that something is for: 1 to 60 Unicode characters without control characters,
/// as a name.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Description(Name);

impl Description {
    /// Checks a text.
    ///
    /// # Errors
    /// [`NameError`] when it is empty, too long or contains control characters.
    pub fn new(text: &str) -> Result<Description, NameError> {
        Name::new(text).map(Description)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixty_characters_are_counted_as_characters_not_bytes() {
        assert!(Name::new(&"\u{793a}".repeat(60)).is_ok());
        assert_eq!(Name::new(&"x".repeat(61)), Err(NameError::TooLong(61)));
        assert_eq!(Name::new(""), Err(NameError::Empty));
        assert_eq!(Name::new("a\nb"), Err(NameError::Control));
    }
}
