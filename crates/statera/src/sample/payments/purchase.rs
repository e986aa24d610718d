//! Card transactions of a day.

use super::person::{Person, Spread};
use super::{COMPROMISED_CARD, COMPROMISED_TERMINAL, LARGE_AMOUNT, PURCHASES, World, is_within, poisson};
use rayon::prelude::*;
use statera_core::Rng;

/// Amounts above this are fraud, in cents.
const LARGE_CENTS: u32 = 22_000;
/// Days that a terminal and a card stay in wrong hands.
const TERMINAL_DAYS: u16 = 28;
const CARD_DAYS: u16 = 14;
/// Share of a compromised card's transactions that are fraud, and what their amounts are multiplied by.
const STOLEN: f64 = 1.0 / 3.0;
const STOLEN_FACTOR: u32 = 5;
/// Standard deviation of the logarithm of lognormal amounts: a third of the mean.
const LOG_SPREAD: f64 = 0.3246;
/// Seconds of a day, and how times of day are spread around noon.
const DAY_SECONDS: f64 = 86_400.0;
const SECONDS_SPREAD: f64 = 20_000.0;

/// A card transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Purchase {
    /// Of the day.
    pub second: u32,
    pub card: u32,
    pub terminal: u32,
    pub cents: u32,
    /// From 1; 0 is no fraud.
    pub scenario: u8,
}

/// The transactions of a day in the order of their times.
pub(super) fn day(world: &World, day: u16) -> Vec<Purchase> {
    let cards = (0..world.people.len()).into_par_iter();
    let mut all: Vec<Purchase> = cards.flat_map_iter(|card| of_card(world, card, day)).collect();
    all.sort_unstable();
    all
}

fn of_card(world: &World, card: usize, day: u16) -> Vec<Purchase> {
    let person = &world.people[card];
    let mut rng = Rng::fork(world.seed ^ PURCHASES, (card as u64) << 16 | u64::from(day));
    let is_stolen = is_within(&world.card_starts[card], day, CARD_DAYS);
    let n = poisson(&mut rng, person.purchases_a_day);
    let mut own = Vec::with_capacity(n);
    for _ in 0..n {
        let second = (DAY_SECONDS / 2.0 + SECONDS_SPREAD * rng.normal()).floor();
        let mut cents = cents(person, &mut rng);
        let terminal = world.reach[card][rng.below(world.reach[card].len())];
        let theft = rng.uniform();
        // As in the handbook, what would fall on another day does not happen.
        if !(0.0..DAY_SECONDS).contains(&second) {
            continue;
        }
        let mut scenario = 0;
        if cents > LARGE_CENTS {
            scenario = LARGE_AMOUNT;
        }
        if is_within(&world.terminal_starts[terminal as usize], day, TERMINAL_DAYS) {
            scenario = COMPROMISED_TERMINAL;
        }
        if is_stolen && theft < STOLEN {
            cents *= STOLEN_FACTOR;
            scenario = COMPROMISED_CARD;
        }
        own.push(Purchase { second: second as u32, card: card as u32, terminal, cents, scenario });
    }
    own
}

/// What a customer spends at once, at least a cent.
fn cents(person: &Person, rng: &mut Rng) -> u32 {
    let mean = person.mean_amount;
    let amount = match person.spread {
        Spread::Normal => {
            let amount = mean * (1.0 + 0.5 * rng.normal());
            if amount < 0.0 { 2.0 * mean * rng.uniform() } else { amount }
        }
        Spread::Lognormal => mean * (LOG_SPREAD * rng.normal() - LOG_SPREAD * LOG_SPREAD / 2.0).exp(),
    };
    ((100.0 * amount).round() as u32).max(1)
}
