//! Account transfers: what customers usually pay, and three ways of fraud.
//!
//! *Phishing*: somebody signs in as the customer with a device that was never seen, and pays payees that were never paid. *Mules*:
//! a young account receives from many within a day, victims of this bank and of others, and pays nearly all of it out within
//! hours. *Rings*: customers who share devices and an address pay each other in circles, so that their accounts look busy.

use super::person::{Person, Role};
use super::{MULE, N_DAYS, PHISHING, RING, TRANSFERS, World, poisson};
use statera_core::Rng;

/// Seconds of an hour and a day.
const HOUR: u64 = 3_600;
const DAY: u64 = 24 * HOUR;
/// Transfers a customer makes a day, the share that goes to somebody new, and payees that a customer knows at least.
const TRANSFERS_A_DAY: f64 = 0.12;
const TO_NEW: f64 = 0.08;
const LEAST_PAYEES: usize = 3;
/// Share of known payees that have their account here, and of transfers made with the newest device.
const PAYEE_HERE: f64 = 0.5;
const WITH_NEWEST: f64 = 0.85;
/// Median of a transfer in cents, and the standard deviation of its logarithm.
const MEDIAN_CENTS: f64 = 12_000.0;
const SPREAD: f64 = 0.9;
/// Days from one salary to the next.
const SALARY_DAYS: u16 = 30;
/// Customers for each burst of a mule; accounts at other banks.
const CUSTOMERS_A_BURST: usize = 100;
const EXTERNAL_A_CUSTOMER: usize = 20;
/// Share of those who pay a mule that are customers of this bank.
const VICTIM_HERE: f64 = 0.5;
/// Days from one circle of a ring to the next.
const CIRCLE_DAYS: usize = 12;

/// An account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Account {
    /// That of a customer, by place among the people.
    Here(usize),
    /// At another bank.
    Elsewhere(usize),
}

/// A transfer; transfers are in the order of their times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Transfer {
    /// Seconds from the beginning of the first day.
    pub second: u64,
    pub from: Account,
    pub to: Account,
    pub cents: u64,
    /// That it was made with, of accounts here.
    pub device: Option<usize>,
    /// From 1; 0 is no fraud.
    pub scenario: u8,
}

/// Every transfer, and the devices that came to customers by fraud: device, customer's place, first day.
#[derive(Debug, Default)]
pub(super) struct Transfers {
    pub all: Vec<Transfer>,
    pub stolen: Vec<(usize, usize, i64)>,
}

/// The transfers of the six months in the order of their times.
pub(super) fn transfers(world: &World) -> Transfers {
    let mut out = Transfers::default();
    for place in 0..world.people.len() {
        usual(world, place, &mut out.all);
    }
    let mut frauds = Rng::fork(world.seed ^ TRANSFERS, u64::MAX);
    bursts(world, &mut frauds, &mut out);
    circles(world, &mut frauds, &mut out.all);
    out.all.retain(|t| t.second < DAY * u64::from(N_DAYS));
    out.all.sort_unstable();
    out
}

fn amount(rng: &mut Rng, median: f64) -> u64 {
    ((median * (SPREAD * rng.normal()).exp()).round() as u64).max(100)
}

/// Seconds of a day as people are awake: around two in the afternoon.
fn time_of_day(rng: &mut Rng) -> u64 {
    ((14.0 + 4.0 * rng.normal()).clamp(0.0, 23.99) * HOUR as f64) as u64
}

fn elsewhere(world: &World, rng: &mut Rng) -> Account {
    Account::Elsewhere(rng.below(EXTERNAL_A_CUSTOMER * world.people.len()))
}

/// The device that somebody signs in with on a day.
fn device(person: &Person, day: i64, rng: &mut Rng) -> usize {
    let begun: Vec<usize> = person.devices.iter().filter(|(_, from)| *from <= day).map(|(device, _)| *device).collect();
    match begun.last() {
        Some(&newest) if rng.uniform() < WITH_NEWEST => newest,
        Some(_) => begun[rng.below(begun.len())],
        None => person.devices[0].0,
    }
}

/// Nobody pays themselves, and whoever pays a mule does so once, deceived.
fn is_payee(world: &World, account: Account, payer: usize) -> bool {
    match account {
        Account::Here(place) => place != payer && world.people[place].role != Role::Mule,
        Account::Elsewhere(_) => true,
    }
}

/// What a customer pays, and the salary.
fn usual(world: &World, place: usize, all: &mut Vec<Transfer>) {
    let person = &world.people[place];
    let mut rng = Rng::fork(world.seed ^ TRANSFERS, place as u64);
    let n_payees = LEAST_PAYEES + rng.below(5);
    let payees: Vec<Account> = (0..n_payees)
        .map(|_| {
            if rng.uniform() < PAYEE_HERE {
                Account::Here(rng.below(world.people.len()))
            } else {
                elsewhere(world, &mut rng)
            }
        })
        .filter(|account| is_payee(world, *account, place))
        .collect();
    let employer = elsewhere(world, &mut rng);
    let salary = amount(&mut rng, 220_000.0).min(1_500_000);
    let pay_day = rng.below(usize::from(SALARY_DAYS)) as u16;
    let is_open = |account: Account, day: u16| match account {
        Account::Here(place) => world.people[place].opened <= i64::from(day),
        Account::Elsewhere(_) => true,
    };
    for day in (0..N_DAYS).filter(|day| is_open(Account::Here(place), *day)) {
        let begin = DAY * u64::from(day);
        if day % SALARY_DAYS == pay_day {
            let second = begin + 9 * HOUR + rng.below(7_200) as u64;
            let (from, to) = (employer, Account::Here(place));
            all.push(Transfer { second, from, to, cents: salary, device: None, scenario: 0 });
        }
        for _ in 0..poisson(&mut rng, TRANSFERS_A_DAY) {
            let known = if payees.is_empty() { None } else { Some(payees[rng.below(payees.len())]) };
            let is_new = rng.uniform() < TO_NEW;
            let new = elsewhere(world, &mut rng);
            let to = known.filter(|to| !is_new && is_open(*to, day)).unwrap_or(new);
            let device = Some(device(person, i64::from(day), &mut rng));
            let second = begin + time_of_day(&mut rng);
            let cents = amount(&mut rng, MEDIAN_CENTS);
            all.push(Transfer { second, from: Account::Here(place), to, cents, device, scenario: 0 });
        }
    }
}

/// Mules receive from victims within a day and pay out within hours.
fn bursts(world: &World, rng: &mut Rng, out: &mut Transfers) {
    let mules = world.of_role(Role::Mule);
    let mut honest = world.of_role(Role::Honest);
    rng.shuffle(&mut honest);
    if mules.is_empty() {
        return;
    }
    let mut n_devices = world.people.iter().flat_map(|p| &p.devices).map(|(device, _)| device + 1).max().unwrap_or(0);
    let n_bursts = (world.people.len() / CUSTOMERS_A_BURST).max(mules.len());
    for burst in 0..n_bursts {
        let mule = mules[burst % mules.len()];
        // Bursts lie evenly over the days, the last one early enough that its reports come in time.
        let last = f64::from(N_DAYS) - 10.0;
        let day = (last * (burst as f64 + rng.uniform()) / n_bursts as f64) as u64;
        let begin = DAY * day + 8 * HOUR;
        let mut received = 0;
        let mut latest = begin;
        for _ in 0..4 + rng.below(4) {
            let second = begin + rng.below(20 * HOUR as usize) as u64;
            let cents = amount(rng, 90_000.0).min(800_000);
            let victim = if rng.uniform() < VICTIM_HERE { honest.pop() } else { None };
            match victim {
                Some(victim) => {
                    phish(world, rng, (victim, mule, second, cents), n_devices, &mut out.all);
                    out.stolen.push((n_devices, victim, (second / DAY) as i64));
                    n_devices += 1;
                }
                None => {
                    let (from, to) = (elsewhere(world, rng), Account::Here(mule));
                    out.all.push(Transfer { second, from, to, cents, device: None, scenario: MULE });
                }
            }
            received += cents;
            latest = latest.max(second);
        }
        pay_out(world, rng, (mule, latest, received), &mut out.all);
    }
}

/// A victim's payment to the mule from a device never seen before, and perhaps more to payees never paid.
fn phish(
    world: &World,
    rng: &mut Rng,
    (victim, mule, second, cents): (usize, usize, u64, u64),
    device: usize,
    all: &mut Vec<Transfer>,
) {
    let from = Account::Here(victim);
    let one = Transfer { second, from, to: Account::Here(mule), cents, device: Some(device), scenario: PHISHING };
    all.push(one);
    for k in 0..rng.below(3) as u64 {
        let second = second + (k + 1) * (300 + rng.below(1_200) as u64);
        all.push(Transfer { second, to: elsewhere(world, rng), cents: amount(rng, 90_000.0).min(800_000), ..one });
    }
}

/// Nearly all that a mule received goes on to a few accounts elsewhere.
fn pay_out(world: &World, rng: &mut Rng, (mule, latest, received): (usize, u64, u64), all: &mut Vec<Transfer>) {
    let n = 2 + rng.below(3) as u64;
    for k in 0..n {
        let second = latest + HOUR + k * (900 + rng.below(3_600) as u64);
        let cents = (received * 95 / 100 / n).max(100);
        let device = Some(device(&world.people[mule], (second / DAY) as i64, rng));
        let (from, to) = (Account::Here(mule), elsewhere(world, rng));
        all.push(Transfer { second, from, to, cents, device, scenario: MULE });
    }
}

/// The members of each ring pay each other in a circle, the same amount but for a little.
fn circles(world: &World, rng: &mut Rng, all: &mut Vec<Transfer>) {
    let rings =
        world.people.iter().filter_map(|p| if let Role::Ring(ring) = p.role { Some(ring + 1) } else { None }).max();
    for ring in 0..rings.unwrap_or(0) {
        let mut members = world.of_role(Role::Ring(ring));
        let mut day = rng.below(CIRCLE_DAYS);
        while day + 5 < usize::from(N_DAYS) {
            rng.shuffle(&mut members);
            let n = 3 + rng.below(members.len() - 2);
            let mut second = DAY * day as u64 + time_of_day(rng);
            let mut cents = 80_000 + rng.below(170_000) as u64;
            for k in 0..n {
                let (from, to) = (members[k], members[(k + 1) % n]);
                let device = Some(device(&world.people[from], (second / DAY) as i64, rng));
                let (from, to) = (Account::Here(from), Account::Here(to));
                all.push(Transfer { second, from, to, cents, device, scenario: RING });
                second += HOUR + rng.below(12 * HOUR as usize) as u64;
                cents = cents * 99 / 100;
            }
            day += CIRCLE_DAYS - 2 + rng.below(5);
        }
    }
}
