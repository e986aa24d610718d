//! Six months of payments of the invented bank: card transactions with the generating process and the three fraud patterns of the
//! Fraud Detection Handbook (Le Borgne, Siblini, Lebichot & Bontempi 2022, chapter 3.2), and account transfers with phishing
//! victims, mule accounts and colluding rings.
//!
//! Of a bank of 5,000 cards and 10,000 terminals the rates are the handbook's; smaller banks have as many terminals a card, as many
//! terminals within reach of one, and as many compromised ones of each thousand.

mod person;
mod purchase;
#[cfg(test)]
mod tests;
mod transfer;
mod write;

pub(super) use write::{TABLES, write};

use super::application::draw;
use person::{Person, Role};
use statera_core::Rng;
use std::collections::HashSet;

/// Days that the payments span: April to September 2025.
pub(super) const N_DAYS: u16 = 183;
/// The first of them.
pub(super) const FIRST_DAY: jiff::civil::Date = jiff::civil::date(2025, 4, 1);
/// Terminals for each card.
const TERMINALS_A_CARD: usize = 2;
/// Side of the square in which cards and terminals lie.
const SIDE_KM: f64 = 100.0;
/// Terminals and cards of the handbook's bank, the radius in which a card is used there, and how many of each fall into wrong
/// hands on a day.
const HANDBOOK_TERMINALS: f64 = 10_000.0;
const HANDBOOK_CARDS: f64 = 5_000.0;
const HANDBOOK_RADIUS_KM: f64 = 5.0;
const HANDBOOK_TERMINALS_A_DAY: f64 = 2.0;
const HANDBOOK_CARDS_A_DAY: f64 = 3.0;

// Streams of the generator, so that no two parts draw the same numbers.
const PLACES: u64 = 0xf4a1;
const PEOPLE: u64 = 0xf4a2;
const COMPROMISED: u64 = 0xf4a3;
const PURCHASES: u64 = 0xf4a4;
const TRANSFERS: u64 = 0xf4a5;
const REPORTS: u64 = 0xf4a6;

/// The scenarios that answers name, from 1.
pub(super) const SCENARIOS: [&str; 6] =
    ["large_amount", "compromised_terminal", "compromised_card", "phishing", "mule", "ring"];
const LARGE_AMOUNT: u8 = 1;
const COMPROMISED_TERMINAL: u8 = 2;
const COMPROMISED_CARD: u8 = 3;
const PHISHING: u8 = 4;
const MULE: u8 = 5;
const RING: u8 = 6;

/// What was written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub cards: usize,
    pub terminals: usize,
    /// Card transactions, and frauds among them.
    pub transactions: [usize; 2],
    /// Account transfers, and frauds among them.
    pub transfers: [usize; 2],
}

/// What was written, and what a bank's rules may look at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Written {
    pub counts: Counts,
    /// Names of terminals with several frauds reported before the first of August.
    pub watched: Vec<String>,
}

/// Who and what there is before anything is paid.
pub(super) struct World {
    seed: u64,
    people: Vec<Person>,
    /// Where terminals stand, in km.
    terminals: Vec<[f64; 2]>,
    /// Terminals that each card is used at, by card.
    reach: Vec<Vec<u32>>,
    /// First days of being compromised, by terminal and by card.
    terminal_starts: Vec<Vec<u16>>,
    card_starts: Vec<Vec<u16>>,
}

impl World {
    /// The world of a bank with this many applications and cards, at least one of each; a card a customer.
    pub fn new(seed: u64, rows: usize, cards: usize) -> World {
        let customers = customers(seed, rows, cards);
        let people = person::people(seed, &customers);
        let mut rng = Rng::fork(seed, PLACES);
        let n_terminals = TERMINALS_A_CARD * people.len();
        let terminals: Vec<[f64; 2]> =
            (0..n_terminals).map(|_| [SIDE_KM * rng.uniform(), SIDE_KM * rng.uniform()]).collect();
        let reach = people.iter().map(|p| within_reach(p.place, &terminals)).collect();
        let mut rng = Rng::fork(seed, COMPROMISED);
        let share = |n: usize, of: f64, a_day: f64| n as f64 / of * a_day;
        let terminals_a_day = share(n_terminals, HANDBOOK_TERMINALS, HANDBOOK_TERMINALS_A_DAY);
        let cards_a_day = share(people.len(), HANDBOOK_CARDS, HANDBOOK_CARDS_A_DAY);
        let terminal_starts = starts(&mut rng, n_terminals, terminals_a_day);
        let card_starts = starts(&mut rng, people.len(), cards_a_day);
        World { seed, people, terminals, reach, terminal_starts, card_starts }
    }

    /// People of a role, by their places.
    fn of_role(&self, role: Role) -> Vec<usize> {
        (0..self.people.len()).filter(|&i| self.people[i].role == role).collect()
    }
}

/// So many different customers, spread over the applications; fewer where not as many have applied.
fn customers(seed: u64, rows: usize, n: usize) -> Vec<usize> {
    let every = (rows / n).max(1);
    let mut seen = HashSet::new();
    // A customer may come back: what lies between is looked at too, until there are enough.
    let places = (0..every).flat_map(|first| (first..rows).step_by(every));
    let applicants = places.map(|row| draw(seed, row, rows).customer);
    applicants.filter(|customer| seen.insert(*customer)).take(n).collect()
}

/// Terminals within the radius that holds as many as the handbook's does; the nearest one where none is.
fn within_reach(place: [f64; 2], terminals: &[[f64; 2]]) -> Vec<u32> {
    let radius = HANDBOOK_RADIUS_KM * (HANDBOOK_TERMINALS / terminals.len() as f64).sqrt();
    let square = |t: &[f64; 2]| (t[0] - place[0]).powi(2) + (t[1] - place[1]).powi(2);
    let near: Vec<u32> =
        (0..terminals.len()).filter(|&t| square(&terminals[t]) < radius * radius).map(|t| t as u32).collect();
    if !near.is_empty() {
        return near;
    }
    let nearest = (0..terminals.len()).min_by(|&a, &b| square(&terminals[a]).total_cmp(&square(&terminals[b])));
    nearest.into_iter().map(|t| t as u32).collect()
}

/// The days on which each of `n` falls into wrong hands: as many as `a_day` says, spread evenly over the days from a random place.
fn starts(rng: &mut Rng, n: usize, a_day: f64) -> Vec<Vec<u16>> {
    let mut starts = vec![Vec::new(); n];
    let mut filled = rng.uniform();
    for day in 0..N_DAYS {
        filled += a_day;
        while filled >= 1.0 {
            filled -= 1.0;
            starts[rng.below(n)].push(day);
        }
    }
    starts
}

/// True within so many days from one of the first days.
fn is_within(starts: &[u16], day: u16, days: u16) -> bool {
    starts.iter().any(|&start| day >= start && day < start + days)
}

/// A count with the mean given (Knuth, *The Art of Computer Programming* 2, 3.4.1); means are small here.
fn poisson(rng: &mut Rng, mean: f64) -> usize {
    let end = (-mean).exp();
    let (mut n, mut product) = (0, rng.uniform());
    while product > end {
        n += 1;
        product *= rng.uniform();
    }
    n
}
