//! The one table of actions: what the dispatcher, the list of supported actions, the authorisation
//! test and the OpenAPI document are made from.

mod answer;
mod assistant;
mod neighbour;
pub(super) mod network;
mod peering;
mod route;
pub(super) mod tag;

use std::str::FromStr;

use model::command::{Direction, Paging, TagSpec};
use model::tag::TagFilter;
use model::{Command, IdError, Outcome, Region, Uin, VpcId, VpcRef};

use super::error::{Error, Fault};
use super::field::{
    Arguments, DEFAULT_LIMIT, Field, Filter, Kind, MOST_ENTRIES, optional, required,
};
use crate::tencent::request::Limits;

/// A product of the vendor, as far as clients of peerings call it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Product {
    /// Sub-accounts.
    Cam,
    /// Hosts, which tells regions and zones to all.
    Cvm,
    /// Identities.
    Sts,
    /// Tags.
    Tag,
    /// Networks and peerings.
    Vpc,
}

impl Product {
    /// Its name in host names, credentials and policies.
    pub fn service(self) -> &'static str {
        match self {
            Product::Cam => "cam",
            Product::Cvm => "cvm",
            Product::Sts => "sts",
            Product::Tag => "tag",
            Product::Vpc => "vpc",
        }
    }

    /// The version that its actions have.
    pub fn version(self) -> &'static str {
        match self {
            Product::Cam => "2019-01-16",
            Product::Sts | Product::Tag => "2018-08-13",
            Product::Cvm | Product::Vpc => "2017-03-12",
        }
    }
}

/// The versions of all products.
pub const VERSIONS: &[&str] = &["2017-03-12", "2018-08-13", "2019-01-16"];

/// An action.
pub struct Action {
    /// Its name.
    pub name: &'static str,
    /// The product that it belongs to.
    pub product: Product,
    /// Its parameters.
    pub fields: &'static [Field],
    /// The members of its answer, `RequestId` left out.
    pub answer: &'static [Field],
    /// The codes that its page lists.
    pub errors: &'static [&'static str],
    build: Build,
    render: Render,
}

/// Nearly every action works in a region, which is then required.
#[derive(Clone, Copy)]
enum Build {
    /// Given who signed.
    Anywhere(fn(Uin, &Arguments) -> Result<Command, Error>),
    InRegion(fn(Region, &Arguments, &Limits) -> Result<Command, Error>),
}

/// Writes the members of an answer as a JSON object. `None` for an outcome that is not the action's.
type Render = fn(&Outcome, &Arguments) -> Option<Vec<u8>>;

/// Every action, by product and name.
pub const ACTIONS: &[&[Action]] = &[
    peering::ACTIONS,
    network::ACTIONS,
    assistant::ACTIONS,
    route::ACTIONS,
    neighbour::ACTIONS,
    tag::ACTIONS,
];

/// All actions.
pub fn all() -> impl Iterator<Item = &'static Action> {
    ACTIONS.iter().copied().flatten()
}

/// Looks an action up.
pub fn find(name: &str, version: &str) -> Option<&'static Action> {
    all().find(|action| action.name == name && action.product.version() == version)
}

impl Action {
    /// Whether a region has to be given.
    pub fn needs_region(&self) -> bool {
        match self.build {
            Build::Anywhere(_) => false,
            Build::InRegion(_) => true,
        }
    }

    pub(super) fn command(
        &self,
        region: Option<Region>,
        signer: Uin,
        arguments: &Arguments,
        limits: &Limits,
    ) -> Result<Command, Error> {
        match self.build {
            Build::Anywhere(build) => build(signer, arguments),
            Build::InRegion(build) => {
                let region = region.ok_or_else(|| Error::Missing("Region".to_owned()))?;
                build(region, arguments, limits)
            }
        }
    }

    pub(super) fn render(&self, outcome: &Outcome, arguments: &Arguments) -> Option<Vec<u8>> {
        (self.render)(outcome, arguments)
    }

    /// Whether it changes something. The vendor's verbs tell.
    pub fn is_write(&self) -> bool {
        let reads = ["Check", "Describe", "Get"];
        !reads.iter().any(|verb| self.name.starts_with(verb))
    }

    /// Whether it makes something, so that a `ClientToken` may come with it.
    pub fn is_creation(&self) -> bool {
        let mut fields = self.fields.iter();
        fields.any(|field| matches!(field.kind, Kind::ClientToken))
    }

    /// The action's name in policies.
    pub fn policy_name(&self) -> String {
        format!("name/{}:{}", self.product.service(), self.name)
    }
}

fn paging(arguments: &Arguments, direction: Direction) -> Paging {
    let number = |name, absent| {
        let value = arguments.integer(name).unwrap_or(absent);
        u64::try_from(value).unwrap_or_default()
    };
    Paging {
        offset: number("Offset", 0),
        limit: number("Limit", DEFAULT_LIMIT),
        direction,
    }
}

const TAG: Kind = Kind::Object(&[required("Key", Kind::Text), optional("Value", Kind::Text)]);

/// More than a resource may have: the domain judges how many are too many.
const TAGS: Kind = Kind::List {
    of: &TAG,
    most: MOST_ENTRIES as usize,
};

/// The tags of a new resource; a tag without a value has an empty one.
fn tags(arguments: &Arguments) -> Vec<TagSpec> {
    tag_specs(arguments, "Tags", "Key", "Value")
}

fn tag_specs(arguments: &Arguments, list: &str, key: &str, value: &str) -> Vec<TagSpec> {
    let text = |tag: &Arguments, name| tag.text(name).unwrap_or_default().to_owned();
    arguments
        .objects(list)
        .map(|tag| TagSpec {
            key: text(tag, key),
            value: text(tag, value),
        })
        .collect()
}

/// A filter by tags, by its name.
fn tag_filter(filter: Filter<'_>) -> Option<TagFilter> {
    let values = || filter.texts().map(str::to_owned).collect();
    if filter.name == "tag-key" {
        return Some(TagFilter::Keys(values()));
    }
    let key = filter.name.strip_prefix("tag:")?.to_owned();
    let values = values();
    Some(TagFilter::Values { key, values })
}

fn parse_id<T: FromStr<Err = IdError>>(name: &str, id: &str) -> Result<T, Error> {
    id.parse()
        .map_err(|error: IdError| Error::value(name, Fault::Malformed, error.to_string()))
}

/// What `each` makes of the filters that are given; `None` for one that everything passes.
fn filters<'a, T>(
    arguments: &'a Arguments,
    each: impl Fn(Filter<'a>) -> Result<Option<T>, Error>,
) -> Result<Vec<T>, Error> {
    arguments
        .filters()
        .filter_map(|filter| each(filter).transpose())
        .collect()
}

/// Refuses a list of ids that comes together with filters.
fn apart_from_filters(arguments: &Arguments, ids: &'static str) -> Result<(), Error> {
    if arguments.has(ids) && arguments.has("Filters") {
        return Err(Error::Coexist(ids, "Filters"));
    }
    Ok(())
}

/// A VPC by its id.
fn vpc(arguments: &Arguments, name: &str) -> Result<VpcRef, Error> {
    parse_id::<VpcId>(name, arguments.required_text(name)?).map(VpcRef::Unified)
}

fn ids<T: FromStr<Err = IdError>>(arguments: &Arguments, name: &str) -> Result<Vec<T>, Error> {
    arguments.texts(name).map(|id| parse_id(name, id)).collect()
}

impl PartialEq for Action {
    fn eq(&self, other: &Self) -> bool {
        (self.name, self.product) == (other.name, other.product)
    }
}

impl std::fmt::Debug for Action {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}
