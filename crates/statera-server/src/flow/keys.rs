//! A bucket for each key, person and address that asked lately.

use super::Asker;
use super::bucket::Bucket;
use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;

/// Askers of each kind that are remembered at most. Keys and persons are as many as the bank has made; addresses can be
/// many, and share one bucket beyond this.
const MAX_ASKERS: usize = 20_000;

/// The buckets.
#[derive(Debug, Default)]
pub struct Keys {
    keys: Remembered<Box<str>>,
    people: Remembered<Box<str>>,
    addresses: Remembered<u64>,
}

impl Keys {
    /// The bucket of who asks.
    pub fn bucket(&mut self, by: Asker<'_>, now_ns: u64) -> &mut Bucket {
        match by {
            Asker::Key(prefix) => named(&mut self.keys, prefix, now_ns),
            Asker::Person(name) => named(&mut self.people, name, now_ns),
            Asker::Address(address) => self.addresses.of(network(address), now_ns),
        }
    }
}

/// Allocates only for who is new.
fn named<'a>(remembered: &'a mut Remembered<Box<str>>, name: &str, now_ns: u64) -> &'a mut Bucket {
    if remembered.buckets.contains_key(name) {
        return remembered.buckets.get_mut(name).unwrap_or(&mut remembered.others);
    }
    remembered.of(name.into(), now_ns)
}

/// An address as far as it names a subscriber: the first 64 bits of IPv6, which one of them has as a whole.
fn network(address: IpAddr) -> u64 {
    match address.to_canonical() {
        IpAddr::V4(v4) => u64::from(v4.to_bits()),
        IpAddr::V6(v6) => (v6.to_bits() >> 64) as u64,
    }
}

#[derive(Debug)]
struct Remembered<K> {
    buckets: HashMap<K, Bucket>,
    /// Of all who are not remembered.
    others: Bucket,
    /// Nothing is forgotten before: looking through all costs more than a request may.
    next_sweep_ns: u64,
}

impl<K> Default for Remembered<K> {
    fn default() -> Self {
        Remembered { buckets: HashMap::new(), others: Bucket::default(), next_sweep_ns: 0 }
    }
}

impl<K: Hash + Eq> Remembered<K> {
    fn of(&mut self, key: K, now_ns: u64) -> &mut Bucket {
        if self.buckets.len() >= MAX_ASKERS && now_ns >= self.next_sweep_ns {
            // Whose bucket is full again is as good as new.
            self.buckets.retain(|_, bucket| !bucket.is_full(now_ns));
            self.next_sweep_ns = now_ns + 1_000_000_000;
        }
        if self.buckets.len() >= MAX_ASKERS && !self.buckets.contains_key(&key) {
            return &mut self.others;
        }
        self.buckets.entry(key).or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::super::bucket::Target;
    use super::*;

    #[test]
    fn each_has_a_bucket_of_their_own() {
        let target = Target::per_second(1, 0, 1);
        let mut keys = Keys::default();
        keys.bucket(Asker::Key("kim"), 0).take(target, 0);
        assert!(keys.bucket(Asker::Key("kim"), 0).wait_ns(target, 0) > 0);
        assert_eq!(keys.bucket(Asker::Person("kim"), 0).wait_ns(target, 0), 0, "a person of a key's name");
        assert_eq!(keys.bucket(Asker::Key("lee"), 0).wait_ns(target, 0), 0);
        let address = |text: &str| Asker::Address(text.parse().expect("an address"));
        keys.bucket(address("2001:db8:1:2:3::4"), 0).take(target, 0);
        assert!(keys.bucket(address("2001:db8:1:2:ffff::"), 0).wait_ns(target, 0) > 0, "the same subscriber");
        assert_eq!(keys.bucket(address("2001:db8:1:3::4"), 0).wait_ns(target, 0), 0);
        keys.bucket(address("::ffff:10.0.0.1"), 0).take(target, 0);
        assert!(keys.bucket(address("10.0.0.1"), 0).wait_ns(target, 0) > 0, "the same address, written as IPv6");
    }

    #[test]
    fn a_flood_of_addresses_takes_bounded_memory_and_shares_a_bucket() {
        let target = Target::per_second(1, 0, 1);
        let mut keys = Keys::default();
        let asker = |i: usize| Asker::Address(IpAddr::from((i as u32).to_be_bytes()));
        for i in 0..MAX_ASKERS + 5 {
            keys.bucket(asker(i), 0).take(target, 0);
        }
        assert_eq!(keys.addresses.buckets.len(), MAX_ASKERS);
        assert!(keys.bucket(asker(MAX_ASKERS + 9), 0).wait_ns(target, 0) > 0, "those beyond share");
        let later = 2_000_000_000;
        assert_eq!(keys.bucket(asker(MAX_ASKERS + 9), later).wait_ns(target, later), 0, "the first are forgotten");
        assert_eq!(keys.addresses.buckets.len(), 1);
    }
}
