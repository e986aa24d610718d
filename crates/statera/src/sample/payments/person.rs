//! Customers with a card and an account: what they usually do, where they live, what they sign in with.

use super::{N_DAYS, PEOPLE, SIDE_KM};
use statera_core::Rng;

/// Days before the first one in which accounts were opened.
const HISTORY_DAYS: usize = 2_000;
/// People a colluding ring, of whom there is one for each of so many customers, and at most.
const RING_SIZE: usize = 6;
const CUSTOMERS_A_RING: usize = 400;
/// Customers for each mule.
const CUSTOMERS_A_MULE: usize = 200;
/// Share of customers who live with the customer before them; a part of these share a device too.
const HOUSEHOLD: f64 = 0.2;
const SHARED_DEVICE: f64 = 0.3;
/// Share of customers who take another device within the six months.
const NEW_DEVICE: f64 = 0.3;
/// Share of customers who agree that whom they know and pay is used to judge their credit.
const CONSENT: f64 = 0.7;

/// What a customer does beside what all do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Honest,
    /// Lends the account to fraudsters.
    Mule,
    /// Belongs to the ring of that number.
    Ring(usize),
}

/// How a customer's amounts are spread.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Spread {
    /// Normal, with half of the mean as standard deviation; the handbook's.
    Normal,
    /// Lognormal, with a third of it.
    Lognormal,
}

/// A customer.
#[derive(Debug, Clone)]
pub(super) struct Person {
    /// Number in the applications.
    pub customer: usize,
    pub place: [f64; 2],
    /// Money a transaction, and transactions a day.
    pub mean_amount: f64,
    pub spread: Spread,
    pub purchases_a_day: f64,
    pub role: Role,
    /// Day of opening the account; below 0 is before the first.
    pub opened: i64,
    pub address: usize,
    /// Devices, each from its first day on (below 0 is before the first); the last one that began is used most.
    pub devices: Vec<(usize, i64)>,
    pub has_consent: bool,
}

/// One person for each customer; devices and addresses are numbered from 0.
pub(super) fn people(seed: u64, customers: &[usize]) -> Vec<Person> {
    let mut people: Vec<Person> = Vec::with_capacity(customers.len());
    let mut n_devices = 0;
    for (i, &customer) in customers.iter().enumerate() {
        let mut rng = Rng::fork(seed ^ PEOPLE, i as u64);
        let mut device = || {
            n_devices += 1;
            n_devices - 1
        };
        let opened = -1 - rng.below(HISTORY_DAYS) as i64;
        let mut person = Person {
            customer,
            place: [SIDE_KM * rng.uniform(), SIDE_KM * rng.uniform()],
            mean_amount: 5.0 + 95.0 * rng.uniform(),
            spread: if rng.uniform() < 0.5 { Spread::Normal } else { Spread::Lognormal },
            purchases_a_day: 4.0 * rng.uniform(),
            role: Role::Honest,
            opened,
            address: i,
            devices: vec![(device(), opened)],
            has_consent: rng.uniform() < CONSENT,
        };
        if rng.uniform() < NEW_DEVICE {
            person.devices.push((device(), rng.below(usize::from(N_DAYS)) as i64));
        }
        if let Some(other) = people.last().filter(|_| rng.uniform() < HOUSEHOLD) {
            person.address = other.address;
            person.place = other.place;
            if rng.uniform() < SHARED_DEVICE {
                person.devices[0].0 = other.devices[0].0;
            }
        }
        people.push(person);
    }
    assign_roles(seed, &mut people);
    people
}

/// Rings and mules among them. A ring has one address and two devices; accounts of both are young.
fn assign_roles(seed: u64, people: &mut [Person]) {
    let n = people.len();
    let mut order: Vec<usize> = (0..n).collect();
    let mut rng = Rng::fork(seed ^ PEOPLE, u64::MAX);
    rng.shuffle(&mut order);
    let mut rest = order.into_iter();
    // A bank of a few customers has honest ones only.
    let n_rings = if n < 5 * RING_SIZE { 0 } else { (n / CUSTOMERS_A_RING).max(1) };
    for ring in 0..n_rings {
        let members: Vec<usize> = rest.by_ref().take(RING_SIZE).collect();
        let Some(&first) = members.first() else { break };
        let (address, devices) = (people[first].address, [0, 1].map(|k| people[members[k]].devices[0].0));
        let opened = -90 + rng.below(60) as i64;
        for (k, &member) in members.iter().enumerate() {
            let person = &mut people[member];
            person.role = Role::Ring(ring);
            person.opened = opened + rng.below(15) as i64;
            person.address = address;
            person.devices = vec![(devices[k % 2], person.opened)];
        }
    }
    let n_mules = if n_rings == 0 { 0 } else { (n / CUSTOMERS_A_MULE).max(2) };
    for mule in rest.take(n_mules) {
        let person = &mut people[mule];
        person.role = Role::Mule;
        person.opened = -60 + rng.below(60) as i64;
        person.devices.truncate(1);
        person.devices[0].1 = person.opened;
    }
}
