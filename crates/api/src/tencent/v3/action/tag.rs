//! Tags of resources, a product of their own (`tag`).

use model::command::{Direction, TagModify, TagQuery};
use model::{Command, Region, Tagged, Uin};

use super::{Action, Build, Product, answer, paging, tag_specs};
use crate::tencent::v3::error::{Error, Fault};
use crate::tencent::v3::field::{
    Arguments, Declared, Kind, MOST_ENTRIES, optional, required, shown,
};
use crate::tencent::v3::response;

const TEXT: Kind = Kind::Text;
const MOST: usize = MOST_ENTRIES as usize;
const TAG: Kind = Kind::Object(&[required("TagKey", TEXT), optional("TagValue", TEXT)]);
const TAG_KEY: Kind = Kind::Object(&[required("TagKey", TEXT)]);

/// The only product whose resources are here.
pub(in crate::tencent::v3) const SERVICE: &str = "vpc";

pub(super) const ACTIONS: &[Action] = &[
    Action {
        name: "DescribeResourceTagsByResourceIds",
        product: Product::Tag,
        fields: &[
            required("ServiceType", TEXT),
            required("ResourcePrefix", TEXT),
            required(
                "ResourceIds",
                Kind::List {
                    of: &TEXT,
                    most: MOST,
                },
            ),
            required("ResourceRegion", TEXT),
            optional("Offset", Kind::Offset(Declared::Plain)),
            optional("Limit", Kind::Limit(Declared::Plain)),
        ],
        answer: answer::RESOURCE_TAGS,
        errors: &[
            "InvalidParameterValue.RegionInvalid",
            "InvalidParameterValue.ResourceIdInvalid",
            "InvalidParameterValue.ResourcePrefixInvalid",
            "InvalidParameterValue.ServiceTypeInvalid",
        ],
        build: Build::Anywhere(list),
        render: response::resource_tags,
    },
    Action {
        name: "ModifyResourceTags",
        product: Product::Tag,
        fields: &[
            required("Resource", TEXT),
            optional(
                "ReplaceTags",
                Kind::List {
                    of: &TAG,
                    most: MOST,
                },
            ),
            optional(
                "DeleteTags",
                Kind::List {
                    of: &TAG_KEY,
                    most: MOST,
                },
            ),
        ],
        answer: &[],
        errors: &[
            "InvalidParameterValue.RegionInvalid",
            "InvalidParameterValue.ReservedTagKey",
            "InvalidParameterValue.ResourceDescriptionError",
            "InvalidParameterValue.ResourceIdInvalid",
            "InvalidParameterValue.ResourcePrefixInvalid",
            "InvalidParameterValue.ServiceTypeInvalid",
            "InvalidParameterValue.TagKeyCharacterIllegal",
            "InvalidParameterValue.TagKeyDuplicate",
            "InvalidParameterValue.TagKeyLengthExceeded",
            "InvalidParameterValue.TagValueCharacterIllegal",
            "InvalidParameterValue.TagValueLengthExceeded",
            "LimitExceeded.ResourceAttachedTags",
        ],
        build: Build::Anywhere(modify),
        render: response::done,
    },
];

fn list(_: Uin, arguments: &Arguments) -> Result<Command, Error> {
    service("ServiceType", arguments.required_text("ServiceType")?)?;
    let prefix = arguments.required_text("ResourcePrefix")?;
    let resources = arguments
        .texts("ResourceIds")
        .map(|id| tagged("ResourceIds", prefix, id));
    Ok(Command::TagList(TagQuery {
        region: region("ResourceRegion", arguments.required_text("ResourceRegion")?)?,
        resources: resources.collect::<Result<_, _>>()?,
        paging: paging(arguments, Direction::Ascending),
    }))
}

fn modify(_: Uin, arguments: &Arguments) -> Result<Command, Error> {
    let named = named(arguments.required_text("Resource")?)?;
    let gone = arguments.objects("DeleteTags");
    let gone = gone.filter_map(|tag| tag.text("TagKey"));
    Ok(Command::TagModify(TagModify {
        region: named.region,
        owner: named.owner,
        resource: named.resource,
        replace: tag_specs(arguments, "ReplaceTags", "TagKey", "TagValue"),
        remove: gone.map(str::to_owned).collect(),
    }))
}

/// A resource as it is named in six parts.
struct Named {
    region: Region,
    owner: Option<Uin>,
    resource: Tagged,
}

/// Reads `qcs::vpc:<region>:uin/<account>:<prefix>/<id>`; clients leave the account's number out.
fn named(text: &str) -> Result<Named, Error> {
    let malformed = || {
        let reason = format!(
            "`{}` is not `qcs::vpc:<region>:uin/<account>:<prefix>/<id>`",
            shown(text)
        );
        Error::value("Resource", Fault::Resource, reason)
    };
    let parts: Vec<&str> = text.split(':').collect();
    let ["qcs", _, service_type, of_region, account, resource] = parts[..] else {
        return Err(malformed());
    };
    service("Resource", service_type)?;
    let owner = match account.strip_prefix("uin/") {
        None if account.is_empty() => None,
        Some("") => None,
        Some(uin) => Some(uin.parse().map_err(|_| malformed())?),
        None => return Err(malformed()),
    };
    let (prefix, id) = resource.split_once('/').ok_or_else(malformed)?;
    Ok(Named {
        region: region("Resource", of_region)?,
        owner,
        resource: tagged("Resource", prefix, id)?,
    })
}

fn service(name: &str, text: &str) -> Result<(), Error> {
    if text == SERVICE {
        return Ok(());
    }
    let reason = format!("`{}` is not a product with resources here", shown(text));
    Err(Error::value(name, Fault::Service, reason))
}

fn region(name: &str, text: &str) -> Result<Region, Error> {
    text.parse().map_err(|_| {
        let reason = format!("`{}` is not a region", shown(text));
        Error::value(name, Fault::Region, reason)
    })
}

fn tagged(name: &str, prefix: &str, id: &str) -> Result<Tagged, Error> {
    let resource = match prefix {
        "vpc" => id.parse().map(Tagged::Vpc),
        "subnet" => id.parse().map(Tagged::Subnet),
        "rtb" => id.parse().map(Tagged::RouteTable),
        "pcx" => id.parse().map(Tagged::Peering),
        other => {
            let reason = format!("`{}` is not vpc, subnet, rtb or pcx", shown(other));
            return Err(Error::value(name, Fault::Prefix, reason));
        }
    };
    resource.map_err(|error| Error::value(name, Fault::ResourceId, error.to_string()))
}
