//! How many calls an account may make of one action in a second.
//!
//! A token bucket for each account and action that holds the calls of one second and fills evenly,
//! kept as the time at which it will be full again (the virtual scheduling form of the generic cell
//! rate algorithm, ITU-T I.371). So an account without calls is nothing to remember: a bucket that is
//! full is dropped when room is needed.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use model::{Uin, UnixMillis};

/// Calls in a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate(pub u32);

impl Rate {
    /// What an account may make of each action unless the operator decides otherwise.
    pub const DEFAULT: Rate = Rate(100);

    /// No limit.
    pub const UNLIMITED: Rate = Rate(0);
}

/// The buckets that are not full, at most. One is not full for a second after its last call, so the
/// bound is reached only by more calls in a second than a server answers.
const BUCKETS: usize = 1 << 16;

const SECOND_NANOS: i64 = 1_000_000_000;

/// The buckets of all accounts.
#[derive(Debug, Default)]
pub(crate) struct Buckets {
    /// When each is full again, in nanoseconds of Unix time.
    full_at: Mutex<HashMap<(Uin, &'static str), i64>>,
}

impl Buckets {
    /// Takes a call out of a bucket; `false` when there is none left.
    pub(crate) fn take(
        &self,
        account: Uin,
        action: &'static str,
        rate: Rate,
        now: UnixMillis,
    ) -> bool {
        if rate == Rate::UNLIMITED {
            return true;
        }
        let now = now.0.saturating_mul(1_000_000);
        let each = SECOND_NANOS / i64::from(rate.0);
        let mut buckets = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (account, action);
        // Later than in a second no bucket is full again, unless the clock was set back: then what is
        // known of the bucket says nothing.
        let latest = now.saturating_add(SECOND_NANOS);
        let is_known = |full_at: &i64| (now..=latest).contains(full_at);
        let full_at = buckets.get(&key).copied().filter(is_known);
        let after = full_at.unwrap_or(now).saturating_add(each);
        if after > latest {
            return false;
        }
        if buckets.len() >= BUCKETS && !buckets.contains_key(&key) {
            buckets.retain(|_, full_at| *full_at > now && is_known(full_at));
            if buckets.len() >= BUCKETS {
                return false;
            }
        }
        buckets.insert(key, after);
        true
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.full_at.lock().unwrap().len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Uin = Uin(1);
    const READ: &str = "DescribeVpcEx";
    const START: i64 = 1_800_000_000_000;

    fn taken(buckets: &Buckets, account: Uin, rate: u32, at: i64, calls: usize) -> usize {
        let now = UnixMillis(START + at);
        let take = |_: &usize| buckets.take(account, READ, Rate(rate), now);
        (0..calls).filter(take).count()
    }

    #[test]
    fn a_bucket_holds_the_calls_of_one_second_and_fills_evenly() {
        for rate in [1, 3, 7, 100, 999, 30_000] {
            let buckets = Buckets::default();
            let calls = rate as usize;
            assert_eq!(taken(&buckets, ONE, rate, 0, 2 * calls), calls, "{rate}");
            let half = taken(&buckets, ONE, rate, 500, 2 * calls);
            assert!(half.abs_diff(calls / 2) <= 1, "{half} of {rate}");
            assert_eq!(taken(&buckets, ONE, rate, 5000, 2 * calls), calls);
        }
    }

    #[test]
    fn in_the_long_run_the_rate_is_kept() {
        let buckets = Buckets::default();
        let made: usize = (0..100_000)
            .step_by(3)
            .map(|at| taken(&buckets, ONE, 100, at, 2))
            .sum();
        // 100 seconds, and the full bucket at the start.
        assert!((10_090..=10_100).contains(&made), "{made}");
    }

    #[test]
    fn accounts_and_actions_do_not_share_buckets() {
        let buckets = Buckets::default();
        assert_eq!(taken(&buckets, ONE, 2, 0, 5), 2);
        assert_eq!(taken(&buckets, Uin(2), 2, 0, 5), 2);
        assert!(buckets.take(ONE, "DescribeSubnetEx", Rate(2), UnixMillis(START)));
        assert_eq!(taken(&buckets, ONE, 2, 0, 5), 0);
    }

    #[test]
    fn without_a_limit_nothing_is_remembered() {
        let buckets = Buckets::default();
        assert_eq!(taken(&buckets, ONE, 0, 0, 1000), 1000);
        assert_eq!(buckets.len(), 0);
    }

    #[test]
    fn a_clock_that_is_set_back_locks_nobody_out() {
        let buckets = Buckets::default();
        assert_eq!(taken(&buckets, ONE, 10, 3_600_000, 20), 10);
        assert_eq!(taken(&buckets, ONE, 10, 0, 20), 10);
        assert_eq!(taken(&buckets, ONE, 10, 500, 20), 5);
    }

    #[test]
    fn a_rate_that_changes_counts_at_once() {
        let buckets = Buckets::default();
        assert_eq!(taken(&buckets, ONE, 2, 0, 5), 2);
        assert_eq!(taken(&buckets, ONE, 1000, 100, 2000), 100);
        assert_eq!(taken(&buckets, ONE, 2, 100, 5), 0);
    }

    #[test]
    fn full_buckets_make_room_for_others() {
        let buckets = Buckets::default();
        for account in 0..BUCKETS as u64 {
            assert_eq!(taken(&buckets, Uin(account), 10, 0, 1), 1);
        }
        assert_eq!(taken(&buckets, Uin(u64::MAX), 10, 99, 1), 0);
        assert_eq!(taken(&buckets, Uin(7), 10, 99, 1), 1, "it has its bucket");
        assert_eq!(taken(&buckets, Uin(u64::MAX), 10, 100, 1), 1);
        assert_eq!(buckets.len(), 2);
    }
}
