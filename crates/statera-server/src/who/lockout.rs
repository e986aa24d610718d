//! How long who fails to sign in must wait: of a person (kept in the store) and of an address (kept here).

use super::SECOND_US;
use super::origin::counted;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

/// Failures of a person that cost no wait.
const FREE_OF_PERSON: u32 = 4;
/// Failures of an address that cost no wait: an office has one address.
const FREE_OF_ADDRESS: u32 = 19;
/// The first wait; each one after is twice as long.
const FIRST_US: i64 = 30 * SECOND_US;
/// No wait is longer, so that nobody can be kept out for good by somebody else.
const LONGEST_US: i64 = 900 * SECOND_US;
/// Failures of an address are forgotten after so long without another.
const FORGOTTEN_US: i64 = 2 * LONGEST_US;
/// Addresses that are counted at most.
const ADDRESSES_MAX: usize = 4096;

/// The wait after so many failures of a person in a row, microseconds.
pub fn wait_of_person_us(failures: u32) -> i64 {
    wait_us(failures, FREE_OF_PERSON)
}

fn wait_us(failures: u32, free: u32) -> i64 {
    let Some(step) = failures.checked_sub(free + 1) else { return 0 };
    FIRST_US.saturating_mul(1 << step.min(10)).min(LONGEST_US)
}

/// Failures by address.
#[derive(Default)]
pub struct Lockout(Mutex<HashMap<IpAddr, Failures>>);

#[derive(Clone, Copy)]
struct Failures {
    n: u32,
    last_us: i64,
    until_us: i64,
}

impl Lockout {
    /// Seconds that an address must wait, 0 for none.
    pub fn wait_s(&self, address: Option<IpAddr>, now_us: i64) -> u32 {
        let Some(address) = address.map(counted) else { return 0 };
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let left_us = all.get(&address).map_or(0, |f| f.until_us - now_us).clamp(0, LONGEST_US);
        u32::try_from((left_us + SECOND_US - 1) / SECOND_US).unwrap_or(0)
    }

    /// Counts a failure.
    pub fn failed(&self, address: Option<IpAddr>, now_us: i64) {
        let Some(address) = address.map(counted) else { return };
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= ADDRESSES_MAX && !all.contains_key(&address) {
            all.retain(|_, f| now_us < f.last_us + FORGOTTEN_US);
            let oldest = all.iter().min_by_key(|(_, f)| f.last_us).map(|(a, _)| *a);
            if let Some(oldest) = oldest.filter(|_| all.len() >= ADDRESSES_MAX) {
                all.remove(&oldest);
            }
        }
        let failures = all.entry(address).or_insert(Failures { n: 0, last_us: now_us, until_us: 0 });
        if now_us >= failures.last_us + FORGOTTEN_US {
            failures.n = 0;
        }
        failures.n = failures.n.saturating_add(1);
        failures.last_us = now_us;
        failures.until_us = now_us + wait_us(failures.n, FREE_OF_ADDRESS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_quarter_of_an_hour() {
        let waits: Vec<i64> = (3..=12).map(|n| wait_of_person_us(n) / SECOND_US).collect();
        assert_eq!(waits, [0, 0, 30, 60, 120, 240, 480, 900, 900, 900]);
        assert_eq!(wait_of_person_us(u32::MAX), LONGEST_US);
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
    fn addresses_are_bounded() {
        let lockout = Lockout::default();
        for i in 0..5000_u32 {
            lockout.failed(Some(IpAddr::from(i.to_be_bytes())), i64::from(i));
        }
        assert_eq!(lockout.0.lock().unwrap().len(), ADDRESSES_MAX);
    }
}
