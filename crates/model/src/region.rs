//! The regions, with the short and the long name of each, and their zones.
//!
//! Source: legacy VPC API, "regions and zones". Both spellings are accepted everywhere; the legacy
//! API answers with the short one.

use std::fmt;
use std::str::FromStr;

/// A text that names no region.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a region (for example `gz` or `ap-guangzhou`)")]
pub struct RegionError(pub String);

macro_rules! regions {
    ($($variant:ident $short:literal $long:literal $zone_prefix:literal $city:literal;)+) => {
        /// A region: where a VPC lives.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Region {
            $(#[doc = $city] $variant,)+
        }

        impl Region {
            /// Every region, in the order of the vendor's table.
            pub const ALL: &'static [Region] = &[$(Region::$variant,)+];

            /// The short code, such as `gz`. It is also the first part of legacy ids.
            pub fn short(self) -> &'static str {
                match self { $(Region::$variant => $short,)+ }
            }

            /// The long name, such as `ap-guangzhou`.
            pub fn long(self) -> &'static str {
                match self { $(Region::$variant => $long,)+ }
            }

            /// The number whose hundred-thousandfold starts the region's zone ids: 1 for
            /// Guangzhou, whose zones are 100001, 100002 and so on.
            pub fn zone_prefix(self) -> u32 {
                match self { $(Region::$variant => $zone_prefix,)+ }
            }

            /// Looks a region up by its short code alone.
            pub fn from_short(text: &str) -> Option<Region> {
                match text { $($short => Some(Region::$variant),)+ _ => None }
            }

            /// Looks a region up by its long name alone.
            pub fn from_long(text: &str) -> Option<Region> {
                match text { $($long => Some(Region::$variant),)+ _ => None }
            }
        }
    };
}

// Zone prefixes 1 to 9 are documented; the vendor does not publish the others for this API, so
// they continue with the numbers its later API uses where known and with free ones elsewhere.
regions! {
    Guangzhou "gz" "ap-guangzhou" 1 "Guangzhou.";
    GuangzhouOpen "gzopen" "ap-guangzhou-open" 12 "Guangzhou Open.";
    Shanghai "sh" "ap-shanghai" 2 "Shanghai.";
    HongKong "hk" "ap-hongkong" 3 "Hong Kong.";
    Toronto "ca" "na-toronto" 4 "Toronto.";
    ShanghaiFinance "shjr" "ap-shanghai-fsi" 7 "Shanghai Finance.";
    Beijing "bj" "ap-beijing" 8 "Beijing.";
    Singapore "sg" "ap-singapore" 9 "Singapore.";
    ShenzhenFinance "szjr" "ap-shenzhen-fsi" 11 "Shenzhen Finance.";
    SiliconValley "usw" "na-siliconvalley" 15 "Silicon Valley.";
    Chengdu "cd" "ap-chengdu" 16 "Chengdu.";
    Frankfurt "de" "eu-frankfurt" 17 "Frankfurt.";
    Seoul "kr" "ap-seoul" 18 "Seoul.";
    Chongqing "cq" "ap-chongqing" 19 "Chongqing.";
    Mumbai "in" "ap-mumbai" 21 "Mumbai.";
    Virginia "use" "na-ashburn" 22 "Virginia.";
    Bangkok "th" "ap-bangkok" 23 "Bangkok.";
    Moscow "ru" "eu-moscow" 24 "Moscow.";
    Tokyo "jp" "ap-tokyo" 25 "Tokyo.";
    Nanjing "nj" "ap-nanjing" 33 "Nanjing.";
    Taipei "tpe" "ap-taipei" 39 "Taipei.";
    Jakarta "jkt" "ap-jakarta" 72 "Jakarta.";
    SaoPaulo "sao" "sa-saopaulo" 74 "São Paulo.";
    Tianjin "tsn" "ap-tianjin" 36 "Tianjin.";
    BeijingFinance "bjjr" "ap-beijing-fsi" 46 "Beijing Finance.";
    Shenzhen "szx" "ap-shenzhen" 37 "Shenzhen.";
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.short())
    }
}

impl fmt::Debug for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.short())
    }
}

impl FromStr for Region {
    type Err = RegionError;

    fn from_str(text: &str) -> Result<Self, RegionError> {
        Region::from_short(text)
            .or_else(|| Region::from_long(text))
            .ok_or_else(|| RegionError(text.to_owned()))
    }
}

/// A zone inside a region, by the number that the API shows (`100002`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Zone(pub u32);

impl Zone {
    /// The zones of a region that lists tell: those of the first numbers. Others can be named as well,
    /// because nothing depends on the zone.
    pub fn listed(region: Region) -> impl Iterator<Item = Zone> {
        const LISTED: u32 = 7;
        (1..=LISTED).map(move |index| Zone(region.zone_prefix() * 100_000 + index))
    }

    /// The zone's name in a region, such as `ap-guangzhou-2`. Documented samples pair zones of one
    /// region with VPCs of another, so the region is taken from the subnet, not from the number.
    pub fn name(self, region: Region) -> String {
        format!("{}-{}", region.long(), self.0 % 100_000)
    }

    /// Whether the number has the form region number × 100000 + index, index from 1.
    pub fn is_well_formed(self) -> bool {
        self.0 > 100_000 && !self.0.is_multiple_of(100_000)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn both_spellings_name_the_same_region() {
        for region in Region::ALL {
            assert_eq!(region.short().parse(), Ok(*region));
            assert_eq!(region.long().parse(), Ok(*region));
        }
        assert!("GZ".parse::<Region>().is_err());
        assert!("".parse::<Region>().is_err());
    }

    #[test]
    fn no_two_regions_share_a_name_or_a_zone_prefix() {
        let names: BTreeSet<_> = Region::ALL
            .iter()
            .flat_map(|r| [r.short(), r.long()])
            .collect();
        let zones: BTreeSet<_> = Region::ALL.iter().map(|r| r.zone_prefix()).collect();
        assert_eq!(names.len(), 2 * Region::ALL.len());
        assert_eq!(zones.len(), Region::ALL.len());
    }

    #[test]
    fn zone_names_follow_the_region() {
        assert_eq!(Zone(100_002).name(Region::Guangzhou), "ap-guangzhou-2");
        assert!(!Zone(100_000).is_well_formed());
        assert!(!Zone(7).is_well_formed());
    }
}
