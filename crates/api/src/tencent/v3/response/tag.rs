//! Tags of resources.

use md5::{Digest, Md5};
use model::outcome::TagView;
use model::{Outcome, Tags};
use serde::Serialize;

use super::object;
use crate::tencent::v3::action::tag::SERVICE;
use crate::tencent::v3::field::{Arguments, DEFAULT_LIMIT};

/// A tag as a member of what has it.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct TagBody {
    key: String,
    value: String,
}

/// All tags of something, by key.
pub(super) fn tag_set(tags: &Tags) -> Vec<TagBody> {
    let body = |(key, value): (&str, &str)| TagBody {
        key: key.to_owned(),
        value: value.to_owned(),
    };
    tags.iter().map(body).collect()
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ResourceTags {
    total_count: u64,
    offset: i64,
    limit: i64,
    tags: Vec<ResourceTag>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ResourceTag {
    tag_key: String,
    tag_value: String,
    resource_id: String,
    tag_key_md5: String,
    tag_value_md5: String,
    service_type: &'static str,
    category: &'static str,
}

impl From<&TagView> for ResourceTag {
    fn from(view: &TagView) -> Self {
        ResourceTag {
            tag_key: view.key.clone(),
            tag_value: view.value.clone(),
            resource_id: view.resource.to_string(),
            tag_key_md5: digest(&view.key),
            tag_value_md5: digest(&view.value),
            service_type: SERVICE,
            // The other word is for tags that the vendor gives.
            category: "Custom",
        }
    }
}

fn digest(text: &str) -> String {
    hex::encode(Md5::digest(text))
}

pub(in crate::tencent::v3) fn resource_tags(
    outcome: &Outcome,
    arguments: &Arguments,
) -> Option<Vec<u8>> {
    let Outcome::Tags(page) = outcome else {
        return None;
    };
    Some(object(&ResourceTags {
        total_count: page.total,
        offset: arguments.integer("Offset").unwrap_or(0),
        limit: arguments.integer("Limit").unwrap_or(DEFAULT_LIMIT),
        tags: page.items.iter().map(ResourceTag::from).collect(),
    }))
}
