//! What is wrong with tags, in the words of two products.

use model::TagError;

/// For actions on networks and peerings.
pub(super) fn code(error: &TagError) -> &'static str {
    match error {
        TagError::Key(_) => "InvalidParameterValue.TagInvalidKey",
        TagError::KeyTooLong(_) => "InvalidParameterValue.TagInvalidKeyLen",
        TagError::Reserved(_) => "UnsupportedOperation.TagSystemReservedTagKey",
        TagError::Value(_) | TagError::ValueTooLong(_) => "InvalidParameterValue.TagInvalidVal",
        TagError::Duplicate(_) => "InvalidParameterValue.TagDuplicateKey",
        TagError::TooMany => "LimitExceeded.TagKeyPerResourceExceeded",
    }
}

/// For actions on tags.
pub(super) fn code_of_tags(error: &TagError) -> &'static str {
    match error {
        TagError::Key(_) => "InvalidParameterValue.TagKeyCharacterIllegal",
        TagError::KeyTooLong(_) => "InvalidParameterValue.TagKeyLengthExceeded",
        TagError::Reserved(_) => "InvalidParameterValue.ReservedTagKey",
        TagError::Value(_) => "InvalidParameterValue.TagValueCharacterIllegal",
        TagError::ValueTooLong(_) => "InvalidParameterValue.TagValueLengthExceeded",
        TagError::Duplicate(_) => "InvalidParameterValue.TagKeyDuplicate",
        TagError::TooMany => "LimitExceeded.ResourceAttachedTags",
    }
}
