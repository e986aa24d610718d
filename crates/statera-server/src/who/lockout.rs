//! How long who fails to sign in must wait: of a person (until when is kept in the store) and of an address (kept here).

use super::SECOND_US;
use super::origin::counted;
use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Failures of a person that cost no wait.
const FREE_OF_PERSON: u32 = 4;
/// Those of them that count after a wait is over: two more are free.
const LEFT_OF_PERSON: u32 = 2;
/// Failures of an address that cost no wait: an office has one address.
const FREE_OF_ADDRESS: u32 = 19;
/// The first wait; each one after is twice as long.
const FIRST_US: i64 = 30 * SECOND_US;
/// No wait is longer. An address that goes on guessing comes to one try in each, and a person to three failures before each:
/// so one address alone cannot keep a person out for good. Many can, for as long as they go on.
const LONGEST_US: i64 = 900 * SECOND_US;
/// Failures of an address are forgotten after so long without another.
const FORGOTTEN_US: i64 = 2 * LONGEST_US;
/// Those of a person likewise.
const FORGOTTEN_OF_PERSON_US: i64 = 24 * 3600 * SECOND_US;
/// Addresses that are counted at most, and people.
const COUNTED_MAX: usize = 4096;

/// The wait after so many waits before, microseconds.
fn wait_us(before: u32) -> i64 {
    FIRST_US.saturating_mul(1 << before.min(10)).min(LONGEST_US)
}

/// Failures by address and by person. How often a person had to wait is forgotten when the process ends; a wait is not.
#[derive(Default)]
pub struct Lockout {
    addresses: Mutex<HashMap<IpAddr, Failures>>,
    people: Mutex<HashMap<String, Failures>>,
}

#[derive(Clone, Copy, Default)]
struct Failures {
    n: u32,
    /// Waits that there were.
    waits: u32,
    last_us: i64,
    until_us: i64,
}

/// Makes room for another one: of those that are forgotten, or the oldest.
fn make_room<K: Eq + Hash + Clone>(all: &mut HashMap<K, Failures>, key: &K, oldest_us: i64) {
    if all.len() < COUNTED_MAX || all.contains_key(key) {
        return;
    }
    all.retain(|_, f| oldest_us < f.last_us);
    let oldest = all.iter().min_by_key(|(_, f)| f.last_us).map(|(key, _)| key.clone());
    if let Some(oldest) = oldest.filter(|_| all.len() >= COUNTED_MAX) {
        all.remove(&oldest);
    }
}

fn locked<T>(all: &Mutex<T>) -> MutexGuard<'_, T> {
    all.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Lockout {
    /// Seconds that an address must wait, 0 for none.
    pub fn wait_s(&self, address: Option<IpAddr>, now_us: i64) -> u32 {
        let Some(address) = address.map(counted) else { return 0 };
        let all = locked(&self.addresses);
        let left_us = all.get(&address).map_or(0, |f| f.until_us - now_us).clamp(0, LONGEST_US);
        u32::try_from((left_us + SECOND_US - 1) / SECOND_US).unwrap_or(0)
    }

    /// Counts a failure of an address.
    pub fn failed(&self, address: Option<IpAddr>, now_us: i64) {
        let Some(address) = address.map(counted) else { return };
        let mut all = locked(&self.addresses);
        make_room(&mut all, &address, now_us - FORGOTTEN_US);
        let failures = all.entry(address).or_default();
        if now_us >= failures.last_us.saturating_add(FORGOTTEN_US) {
            *failures = Failures::default();
        }
        failures.n = failures.n.saturating_add(1);
        failures.last_us = now_us;
        if let Some(before) = failures.n.checked_sub(FREE_OF_ADDRESS + 1) {
            failures.until_us = now_us + wait_us(before);
        }
    }

    /// Counts a failure of a person; gives the wait that follows, microseconds, 0 for none. `kept` are the failures that the
    /// store has since the last sign-in that succeeded or the last new password: without any, it is the first.
    pub fn failed_of_person(&self, name: &str, kept: u32, now_us: i64) -> i64 {
        let mut all = locked(&self.people);
        let key = name.to_string();
        make_room(&mut all, &key, now_us - FORGOTTEN_OF_PERSON_US);
        // Of before this process began, or of another one.
        let first = Failures { n: kept.min(LEFT_OF_PERSON), last_us: now_us, ..Failures::default() };
        let failures = all.entry(key).or_insert(first);
        if kept == 0 || now_us >= failures.last_us.saturating_add(FORGOTTEN_OF_PERSON_US) {
            *failures = Failures::default();
        }
        failures.n = failures.n.saturating_add(1);
        failures.last_us = now_us;
        if failures.n <= FREE_OF_PERSON {
            return 0;
        }
        let wait = wait_us(failures.waits);
        failures.waits = failures.waits.saturating_add(1);
        failures.n = LEFT_OF_PERSON;
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Waits in seconds of failures that come one after the other, each `pause_s` after the last and its wait.
    fn waits(lockout: &Lockout, n: u32, pause_s: i64) -> Vec<i64> {
        let mut now_us = 0;
        let fail = |kept| {
            let wait_us = lockout.failed_of_person("ann", kept, now_us);
            now_us += wait_us + pause_s * SECOND_US;
            wait_us / SECOND_US
        };
        (0..n).map(fail).collect()
    }

    #[test]
    fn waits_double_up_to_a_quarter_of_an_hour_and_tries_come_between() {
        let first = [0, 0, 0, 0, 30, 0, 0, 60, 0, 0, 120, 0, 0, 240, 0, 0, 480, 0, 0, 900, 0, 0, 900];
        assert_eq!(waits(&Lockout::default(), 23, 0), first);
        assert_eq!(wait_us(u32::MAX), LONGEST_US);
        // One guess in a quarter of an hour: in a day each third one costs a wait, and never two in a row.
        let day = waits(&Lockout::default(), 96, 900);
        assert!(day.windows(2).all(|w| w[0] == 0 || w[1] == 0), "{day:?}");
        assert!(day.iter().filter(|w| **w > 0).count() <= 32, "{day:?}");
    }

    #[test]
    fn failures_of_a_person_are_forgotten() {
        let lockout = Lockout::default();
        let fail = |kept, now_us| lockout.failed_of_person("ann", kept, now_us);
        assert_eq!((0..4).map(|kept| fail(kept, 0)).sum::<i64>(), 0);
        assert_eq!(fail(4, FORGOTTEN_OF_PERSON_US - 1), FIRST_US);
        assert_eq!((5..9).map(|kept| fail(kept, 3 * FORGOTTEN_OF_PERSON_US)).sum::<i64>(), 0, "a day later");
        assert_eq!(fail(9, 3 * FORGOTTEN_OF_PERSON_US), FIRST_US);
        // A sign-in that succeeded, or a new password.
        assert_eq!((0..4).map(|kept| fail(kept, 3 * FORGOTTEN_OF_PERSON_US)).sum::<i64>(), 0);
        // Another process goes on where the store is, below the limit.
        let other = Lockout::default();
        let waits: Vec<i64> = (50..53).map(|kept| other.failed_of_person("ann", kept, 0)).collect();
        assert_eq!(waits, [0, 0, FIRST_US]);
    }

    #[test]
    fn an_address_waits_after_twenty_failures_and_is_forgotten() {
        let lockout = Lockout::default();
        let address = Some("192.0.2.1".parse().unwrap());
        for _ in 0..19 {
            lockout.failed(address, 0);
        }
        assert_eq!(lockout.wait_s(address, 0), 0);
        lockout.failed(address, 0);
        assert_eq!((lockout.wait_s(address, 0), lockout.wait_s(address, 29_500_000)), (30, 1));
        assert_eq!(lockout.wait_s(Some("192.0.2.2".parse().unwrap()), 0), 0);
        lockout.failed(address, FORGOTTEN_US);
        assert_eq!(lockout.wait_s(address, FORGOTTEN_US), 0);
    }

    #[test]
    fn a_network_of_version_6_is_one_address() {
        let lockout = Lockout::default();
        for i in 0..20 {
            lockout.failed(Some(format!("2001:db8:0:1::{i:x}").parse().unwrap()), 0);
        }
        assert_eq!(lockout.wait_s(Some("2001:db8:0:1:ffff::1".parse().unwrap()), 0), 30);
        assert_eq!(lockout.wait_s(Some("2001:db8:0:2::1".parse().unwrap()), 0), 0);
    }

    #[test]
    fn what_is_counted_is_bounded() {
        let lockout = Lockout::default();
        for i in 0..5000_u32 {
            lockout.failed(Some(IpAddr::from(i.to_be_bytes())), i64::from(i));
        }
        assert_eq!(lockout.addresses.lock().unwrap().len(), COUNTED_MAX);
        for i in 0..5000_i64 {
            lockout.failed_of_person(&i.to_string(), 0, i);
        }
        assert_eq!(lockout.people.lock().unwrap().len(), COUNTED_MAX);
    }
}
