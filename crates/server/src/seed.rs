//! Seeds: accounts, keys and VPCs that an operator wants to be there, as a TOML file.
//!
//! ```toml
//! [[account]]
//! uin = 2407912486
//! app_id = 1351000042        # drawn when absent
//! name = "first"
//!
//! [[account.key]]
//! secret_id = "AKIDz8krbsJ5yKBZQpn74WFkmLPx3gnPhESA"
//! secret_key = "Gu5t9xGARNpq86cd98joQYCN3Cozk1qA"
//!
//! [[account.vpc]]
//! id = "gz_vpc_226"          # the legacy id; the region is part of it
//! name = "web"
//! cidr = "10.226.0.0/16"
//!
//! [[account.vpc.subnet]]
//! name = "a"
//! cidr = "10.226.1.0/24"
//! zone = 100002
//! ```
//!
//! A seed is applied through the use cases, so names, blocks and quotas are checked as for callers.
//! What is there already and equal is left alone; what is there and differs is an error before
//! anything is made. What the seed does not mention is never touched.
//!
//! Networks are their owner's once they are made: another name is no difference, and what an account
//! that was there before stands in the way of, by what it has made or deleted since, is a warning.
//! What was deleted is made again.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use model::command::{Command, SubnetCreate, SubnetSpec, VpcCreate};
use model::{
    AccessKey, AppId, CidrBlock, CidrError, IdError, LegacyVpcId, Subnet, Uin, Vpc, VpcRef, World,
    Zone,
};
use serde::Deserialize;

use crate::catalog::Catalog;
use crate::core::{AccountCreate, Core, KeyCreate};
use crate::error::UseCaseError;

/// What an operator wants to be there.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seed {
    /// The accounts.
    #[serde(default, rename = "account")]
    pub accounts: Vec<AccountSeed>,
}

/// An account with its keys and VPCs.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountSeed {
    /// The account number.
    pub uin: u64,
    /// The application number; drawn when absent, and then not compared.
    pub app_id: Option<u64>,
    /// A name for the operator.
    pub name: String,
    /// Its access keys.
    #[serde(default, rename = "key")]
    pub keys: Vec<KeySeed>,
    /// Its VPCs.
    #[serde(default, rename = "vpc")]
    pub vpcs: Vec<VpcSeed>,
}

/// An access key. Printing it shows no secret.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeySeed {
    /// The public half.
    pub secret_id: String,
    /// The secret half.
    pub secret_key: String,
}

impl std::fmt::Debug for KeySeed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeySeed")
            .field("secret_id", &self.secret_id)
            .finish_non_exhaustive()
    }
}

/// A VPC.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VpcSeed {
    /// The legacy id, such as `gz_vpc_226`.
    #[serde(deserialize_with = "from_text")]
    pub id: LegacyVpcId,
    /// Its name.
    pub name: String,
    /// Its block.
    #[serde(deserialize_with = "from_text")]
    pub cidr: CidrBlock,
    /// Its subnets.
    #[serde(default, rename = "subnet")]
    pub subnets: Vec<SubnetSeed>,
}

/// A subnet, known by its name.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubnetSeed {
    /// Its name.
    pub name: String,
    /// Its block.
    #[serde(deserialize_with = "from_text")]
    pub cidr: CidrBlock,
    /// Its zone, such as 100002.
    pub zone: u32,
}

impl SubnetSeed {
    fn spec(&self) -> SubnetSpec {
        SubnetSpec {
            name: self.name.clone(),
            cidr: self.cidr,
            zone: Zone(self.zone),
        }
    }
}

/// A text that a field of the seed has to be.
trait FieldText: FromStr<Err: std::fmt::Display> {}
impl FieldText for LegacyVpcId where IdError: std::fmt::Display {}
impl FieldText for CidrBlock where CidrError: std::fmt::Display {}

fn from_text<'de, T: FieldText, D: serde::Deserializer<'de>>(from: D) -> Result<T, D::Error> {
    String::deserialize(from)?
        .parse()
        .map_err(serde::de::Error::custom)
}

/// A seed that cannot be read or applied.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    /// The file cannot be read.
    #[error("the seed file `{}` cannot be read", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is not a seed.
    #[error("the seed is malformed")]
    Malformed(#[from] toml::de::Error),
    /// Something is there already and differs.
    #[error("the seed wants {what} to be {wanted}, but it is {found}")]
    Differs {
        /// What differs.
        what: String,
        /// The seed's value.
        wanted: String,
        /// The value that is there.
        found: String,
    },
    /// A use case refused.
    #[error("the seed's {what} cannot be made")]
    Refused {
        /// What was to be made.
        what: String,
        /// Why not.
        source: UseCaseError,
    },
}

/// What applying a seed made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SeedReport {
    /// Accounts made.
    pub accounts: usize,
    /// Access keys made.
    pub keys: usize,
    /// VPCs made.
    pub vpcs: usize,
    /// Subnets made, those of new VPCs included.
    pub subnets: usize,
}

impl Seed {
    /// Parses a seed.
    ///
    /// # Errors
    /// [`SeedError::Malformed`], which names line and field.
    pub fn parse(text: &str) -> Result<Seed, SeedError> {
        Ok(toml::from_str(text)?)
    }

    /// Reads a seed from a file.
    ///
    /// # Errors
    /// [`SeedError::File`] and [`SeedError::Malformed`].
    pub fn load(path: &Path) -> Result<Seed, SeedError> {
        let text = fs::read_to_string(path).map_err(|source| SeedError::File {
            path: path.to_owned(),
            source,
        })?;
        Seed::parse(&text)
    }
}

impl Core {
    /// Makes what a seed wants and what is not there. Applying the same seed again makes nothing.
    ///
    /// # Errors
    /// [`SeedError::Differs`], before anything is made, and [`SeedError::Refused`], after which the
    /// seed can be corrected and applied again.
    pub async fn apply_seed(&self, seed: &Seed) -> Result<SeedReport, SeedError> {
        for account in &seed.accounts {
            self.compare(&self.catalog(), account)?;
        }
        let mut report = SeedReport::default();
        for account in &seed.accounts {
            let owner = Uin(account.uin);
            let is_new = self.catalog().account(owner).is_none();
            self.apply_account(account, &mut report).await?;
            for key in &account.keys {
                self.apply_key(owner, key, &mut report).await?;
            }
            for vpc in &account.vpcs {
                match self.apply_vpc(owner, vpc, &mut report).await {
                    Err(SeedError::Refused {
                        what,
                        source: UseCaseError::Domain(source),
                    }) if !is_new => {
                        tracing::warn!(
                            account = %owner, what, error = %source,
                            "the account stands in the way of the seed; that part is left out"
                        );
                    }
                    made => made?,
                }
            }
        }
        Ok(report)
    }

    fn compare(&self, catalog: &Catalog, seed: &AccountSeed) -> Result<(), SeedError> {
        let owner = Uin(seed.uin);
        if let Some(account) = catalog.account(owner) {
            let what = |field: &str| format!("the {field} of account {owner}");
            same(what("name"), &seed.name, &account.name)?;
            if let Some(app_id) = seed.app_id {
                same(what("app id"), &AppId(app_id), &account.app_id)?;
            }
        }
        for key in &seed.keys {
            if let Some(found) = catalog.key(&key.secret_id) {
                self.compare_key(owner, key, found)?;
            }
        }
        for vpc in &seed.vpcs {
            if let Some(found) = catalog.vpc_by_ref(vpc.id.region, VpcRef::Legacy(vpc.id)) {
                compare_vpc(owner, vpc, found)?;
                for subnet in &vpc.subnets {
                    if let Some(there) = subnet_at(catalog, found, subnet.cidr) {
                        compare_subnet(vpc, subnet, there)?;
                    }
                }
            }
        }
        Ok(())
    }

    // The secrets themselves are not for an error's text.
    fn compare_key(&self, owner: Uin, seed: &KeySeed, found: &AccessKey) -> Result<(), SeedError> {
        let what = |field: &str| format!("the {field} of access key {}", seed.secret_id);
        same(what("owner"), &owner, &found.owner)?;
        let is_same = self
            .secret_key(found)
            .is_ok_and(|secret| secret.expose() == seed.secret_key.as_bytes());
        if is_same {
            return Ok(());
        }
        Err(SeedError::Differs {
            what: what("secret"),
            wanted: "the one in the seed".to_owned(),
            found: "another one".to_owned(),
        })
    }

    async fn apply_account(
        &self,
        seed: &AccountSeed,
        report: &mut SeedReport,
    ) -> Result<(), SeedError> {
        if self.catalog().account(Uin(seed.uin)).is_some() {
            return Ok(());
        }
        let ask = AccountCreate {
            uin: Some(Uin(seed.uin)),
            app_id: seed.app_id.map(AppId),
            name: seed.name.clone(),
        };
        let made = self.account_create(ask).await;
        made.map_err(refused(format!("account {}", seed.uin)))?;
        report.accounts += 1;
        Ok(())
    }

    async fn apply_key(
        &self,
        owner: Uin,
        seed: &KeySeed,
        report: &mut SeedReport,
    ) -> Result<(), SeedError> {
        if self.catalog().key(&seed.secret_id).is_some() {
            return Ok(());
        }
        let ask = KeyCreate {
            secret_id: Some(seed.secret_id.clone()),
            secret_key: Some(seed.secret_key.clone()),
            ..KeyCreate::of_account(owner)
        };
        let made = self.key_create(ask).await;
        made.map_err(refused(format!("access key {}", seed.secret_id)))?;
        report.keys += 1;
        Ok(())
    }

    async fn apply_vpc(
        &self,
        owner: Uin,
        seed: &VpcSeed,
        report: &mut SeedReport,
    ) -> Result<(), SeedError> {
        let region = seed.id.region;
        let catalog = self.catalog();
        let Some(vpc) = catalog.vpc_by_ref(region, VpcRef::Legacy(seed.id)) else {
            let ask = VpcCreate {
                tags: Vec::new(),
                region,
                name: seed.name.clone(),
                cidr: seed.cidr,
                subnets: seed.subnets.iter().map(SubnetSeed::spec).collect(),
            };
            let made = self.vpc_create_with_number(owner, ask, seed.id.number);
            made.await.map_err(refused(seed.id.to_string()))?;
            report.vpcs += 1;
            report.subnets += seed.subnets.len();
            return Ok(());
        };
        let missing: Vec<SubnetSpec> = seed
            .subnets
            .iter()
            .filter(|subnet| subnet_at(&catalog, vpc, subnet.cidr).is_none())
            .map(SubnetSeed::spec)
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        let count = missing.len();
        let command = Command::SubnetCreate(SubnetCreate {
            tags: Vec::new(),
            region,
            vpc: vpc.id.into(),
            subnets: missing,
        });
        let made = self.execute(owner, command).await;
        made.map_err(refused(format!("subnets of {}", seed.id)))?;
        report.subnets += count;
        Ok(())
    }
}

fn compare_vpc(owner: Uin, seed: &VpcSeed, found: &Vpc) -> Result<(), SeedError> {
    let what = |field: &str| format!("the {field} of {}", seed.id);
    same(what("owner"), &owner, &found.owner)?;
    same(what("CIDR block"), &seed.cidr, &found.cidr)
}

fn compare_subnet(vpc: &VpcSeed, seed: &SubnetSeed, found: &Subnet) -> Result<(), SeedError> {
    let what = format!("the zone of subnet {} of {}", seed.cidr, vpc.id);
    same(what, &seed.zone, &found.zone.0)
}

fn subnet_at<'a>(catalog: &'a Catalog, vpc: &Vpc, cidr: CidrBlock) -> Option<&'a Subnet> {
    catalog
        .subnets_of(vpc.id)
        .map(|(subnet, _)| subnet)
        .find(|subnet| subnet.cidr == cidr)
}

fn same<T: PartialEq + ToString>(what: String, wanted: &T, found: &T) -> Result<(), SeedError> {
    if wanted == found {
        return Ok(());
    }
    Err(SeedError::Differs {
        what,
        wanted: wanted.to_string(),
        found: found.to_string(),
    })
}

fn refused(what: String) -> impl FnOnce(UseCaseError) -> SeedError {
    move |source| SeedError::Refused { what, source }
}
