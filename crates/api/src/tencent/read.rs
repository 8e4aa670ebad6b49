//! Reading single parameters, with errors that name them.

use std::str::FromStr;

use model::command::{Direction, Paging};

use super::error::ApiError;
use super::parameters::Parameters;

/// A parameter that must be there and not be empty.
pub(super) fn required<'a>(parameters: &'a Parameters, name: &str) -> Result<&'a str, ApiError> {
    optional(parameters, name).ok_or_else(|| ApiError::missing(name))
}

/// A parameter that must be there; names have a code of their own for being empty.
pub(super) fn given<'a>(parameters: &'a Parameters, name: &str) -> Result<&'a str, ApiError> {
    parameters.get(name).ok_or_else(|| ApiError::missing(name))
}

/// A parameter that may be absent. An empty one counts as absent: some SDKs drop empty values and
/// others send them.
pub(super) fn optional<'a>(parameters: &'a Parameters, name: &str) -> Option<&'a str> {
    parameters.get(name).filter(|value| !value.is_empty())
}

/// A decimal number without sign. The standard parser alone would let a plus sign pass.
pub(super) fn number<T: FromStr>(name: &str, text: &str) -> Result<T, ApiError> {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(ApiError::invalid(name, "it is not a decimal number"));
    }
    // Digits alone are refused only where there are too many of them.
    text.parse()
        .map_err(|_| ApiError::invalid(name, "it is too large"))
}

/// Answers repeat what was given, but not all of a long text.
pub(super) fn shown(text: &str) -> String {
    text.chars().take(64).collect()
}

/// `offset`, `limit` and `orderDirection`.
pub(super) fn paging(parameters: &Parameters, max_limit: u64) -> Result<Paging, ApiError> {
    const DEFAULT_LIMIT: u64 = 20;

    let optional_number = |name| {
        optional(parameters, name)
            .map(|text| number::<u64>(name, text))
            .transpose()
    };
    let limit = optional_number("limit")?.unwrap_or(DEFAULT_LIMIT);
    if limit > max_limit {
        return Err(ApiError::invalid(
            "limit",
            format!("it is {limit}, at most {max_limit} is allowed"),
        ));
    }
    Ok(Paging {
        offset: optional_number("offset")?.unwrap_or(0),
        limit,
        direction: match optional(parameters, "orderDirection") {
            None | Some("desc") => Direction::Descending,
            Some("asc") => Direction::Ascending,
            Some(_) => return Err(ApiError::invalid("orderDirection", "it is not asc or desc")),
        },
    })
}

/// The indexes of a list, named in errors by the parameter that has a bad one.
pub(super) fn indexes(parameters: &Parameters, name: &str) -> Result<Vec<u32>, ApiError> {
    parameters
        .indexes(name)
        .map_err(|bad| ApiError::invalid(bad, "the index of a list is a decimal number from 0"))
}
