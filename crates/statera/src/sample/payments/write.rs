//! The text of the payments' tables.

use super::purchase::{self, Purchase};
use super::transfer::{self, Account, Transfer, Transfers};
use super::{Counts, FIRST_DAY, N_DAYS, REPORTS, SCENARIOS, World, Written};
use jiff::ToSpan;
use rayon::prelude::*;
use statera_core::{Result, Rng, Run};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

/// The tables with their columns.
pub(crate) const TABLES: [(&str, &str); 9] = [
    ("cards.csv", "card_id,customer_id,home_x_km,home_y_km\n"),
    ("terminals.csv", "terminal_id,x_km,y_km\n"),
    ("accounts.csv", "account_id,customer_id,opened_on,address_id,consent_credit\n"),
    ("devices.csv", "device_id,customer_id,first_seen\n"),
    ("transactions.csv", "transaction_id,tx_datetime,card_id,customer_id,terminal_id,tx_amount,tx_fraud\n"),
    ("transfers.csv", "transfer_id,transfer_datetime,from_account,to_account,amount,device_id,transfer_fraud\n"),
    ("network.csv", "from_customer,to_customer,relation,since,consent_credit\n"),
    ("fraud_reports.csv", "event_id,reported_at\n"),
    ("fraud_answers.csv", "event_id,scenario\n"),
];
const CARDS: usize = 0;
const TERMINALS: usize = 1;
const ACCOUNTS: usize = 2;
const DEVICES: usize = 3;
const TRANSACTIONS: usize = 4;
const TRANSFERS: usize = 5;
const NETWORK: usize = 6;
const FRAUD_REPORTS: usize = 7;
const ANSWERS: usize = 8;

/// Days whose transactions are drawn at a time.
const BLOCK_DAYS: u16 = 8;
/// Latest report of a fraud, in days.
const LATEST_REPORT: f64 = 14.0;
const DAY_SECONDS: u64 = 86_400;
/// Terminals are watched that had so many frauds reported before the first of August.
const WATCHED_FRAUDS: usize = 3;
const WATCHED_BEFORE: u64 = 122 * DAY_SECONDS;

/// Adds text to one of [`TABLES`].
type Append<'a> = &'a mut dyn FnMut(usize, &[u8]) -> Result<()>;

/// Draws the payments of a bank and gives their text to `append`, table by table, a part at a time. Memory grows with the number of
/// cards, which has a bound, and not with time.
pub(crate) fn write(seed: u64, rows: usize, cards: usize, run: &Run, append: Append) -> Result<Written> {
    let world = World::new(seed, rows, cards);
    let last = i64::from(N_DAYS) + LATEST_REPORT as i64 + 1;
    let days: Vec<String> = (0..last).map(date).collect();
    let transfers = transfer::transfers(&world);
    people(&world, &transfers, append)?;
    network(&world, &transfers, append)?;
    let mut counts = Counts { cards: world.people.len(), terminals: world.terminals.len(), ..Counts::default() };
    let mut known: BTreeMap<u32, usize> = BTreeMap::new();
    run.progress.start("writing the bank's payments", u64::from(N_DAYS));
    for first in (0..N_DAYS).step_by(usize::from(BLOCK_DAYS)) {
        run.check()?;
        let block = first..(first + BLOCK_DAYS).min(N_DAYS);
        let drawn: Vec<Vec<Purchase>> = block.clone().into_par_iter().map(|day| purchase::day(&world, day)).collect();
        let mut numbers = Vec::with_capacity(drawn.len());
        for purchases in &drawn {
            numbers.push(counts.transactions[0]);
            counts.transactions[0] += purchases.len();
            counts.transactions[1] += purchases.iter().filter(|p| p.scenario > 0).count();
        }
        let texts: Vec<([Vec<u8>; 3], Vec<u32>)> = (drawn.par_iter().zip(block.clone().into_par_iter()).zip(&numbers))
            .map(|((purchases, day), number)| day_text(&world, purchases, (day, *number), &days))
            .collect();
        for (text, early) in &texts {
            for (table, text) in [TRANSACTIONS, FRAUD_REPORTS, ANSWERS].into_iter().zip(text) {
                append(table, text)?;
            }
            early.iter().for_each(|terminal| *known.entry(*terminal).or_default() += 1);
        }
        run.progress.update(u64::from(block.end), "days");
    }
    let mut text: [Vec<u8>; 3] = Default::default();
    for (number, transfer) in transfers.all.iter().enumerate() {
        push_transfer(&world, transfer, number, &days, &mut text);
        counts.transfers[0] += 1;
        counts.transfers[1] += usize::from(transfer.scenario > 0);
    }
    for (table, text) in [TRANSFERS, FRAUD_REPORTS, ANSWERS].into_iter().zip(&text) {
        append(table, text)?;
    }
    run.progress.finish();
    let watched = known.into_iter().filter(|(_, n)| *n >= WATCHED_FRAUDS).map(|(terminal, _)| terminal_name(terminal));
    Ok(Written { counts, watched: watched.collect() })
}

/// The date of a day, counted from the first.
fn date(day: i64) -> String {
    FIRST_DAY.saturating_add(day.days()).to_string()
}

fn clock(second: u64) -> String {
    format!("{:02}:{:02}:{:02}", second / 3600, second / 60 % 60, second % 60)
}

/// An instant counted in seconds from the beginning of the first day.
fn instant(second: u64, days: &[String]) -> String {
    let day = ((second / DAY_SECONDS) as usize).min(days.len() - 1);
    format!("{}T{}", days[day], clock(second % DAY_SECONDS))
}

/// When a fraud becomes known: about a week later.
fn reported(seed: u64, stream: u64, second: u64) -> u64 {
    let mut rng = Rng::fork(seed ^ REPORTS, stream);
    let days = (7.0 + 2.5 * rng.normal()).clamp(1.0, LATEST_REPORT);
    second + (days * DAY_SECONDS as f64) as u64
}

fn terminal_name(terminal: u32) -> String {
    format!("T{:06}", terminal + 1)
}

/// The text of a day's transactions, their reports and answers, and the terminals of frauds that were reported early.
fn day_text(
    world: &World,
    purchases: &[Purchase],
    (day, number): (u16, usize),
    days: &[String],
) -> ([Vec<u8>; 3], Vec<u32>) {
    let [mut rows, mut reports, mut answers]: [Vec<u8>; 3] = Default::default();
    let mut early = Vec::new();
    for (i, p) in purchases.iter().enumerate() {
        let (id, customer) = (number + i + 1, world.people[p.card as usize].customer + 1);
        // Writing to memory cannot fail.
        let _ = writeln!(
            rows,
            "P{id:08},{}T{},K{:06},C{customer:08},{},{}.{:02},{}",
            days[usize::from(day)],
            clock(p.second.into()),
            p.card + 1,
            terminal_name(p.terminal),
            p.cents / 100,
            p.cents % 100,
            u8::from(p.scenario > 0)
        );
        if p.scenario > 0 {
            let at = reported(world.seed, id as u64, DAY_SECONDS * u64::from(day) + u64::from(p.second));
            if at < WATCHED_BEFORE {
                early.push(p.terminal);
            }
            let _ = writeln!(reports, "P{id:08},{}", instant(at, days));
            let _ = writeln!(answers, "P{id:08},{}", SCENARIOS[usize::from(p.scenario - 1)]);
        }
    }
    ([rows, reports, answers], early)
}

fn push_transfer(world: &World, t: &Transfer, number: usize, days: &[String], text: &mut [Vec<u8>; 3]) {
    let account = |account: Account| match account {
        Account::Here(place) => format!("B{:06}", place + 1),
        Account::Elsewhere(number) => format!("X{:07}", number + 1),
    };
    let id = number + 1;
    let device = t.device.map_or(String::new(), |device| format!("D{:06}", device + 1));
    let _ = writeln!(
        text[0],
        "Q{id:08},{},{},{},{}.{:02},{device},{}",
        instant(t.second, days),
        account(t.from),
        account(t.to),
        t.cents / 100,
        t.cents % 100,
        u8::from(t.scenario > 0)
    );
    if t.scenario > 0 {
        let at = reported(world.seed, 1 << 40 | id as u64, t.second);
        let _ = writeln!(text[1], "Q{id:08},{}", instant(at, days));
        let _ = writeln!(text[2], "Q{id:08},{}", SCENARIOS[usize::from(t.scenario - 1)]);
    }
}

/// Cards, terminals, accounts and devices.
fn people(world: &World, transfers: &Transfers, append: Append) -> Result<()> {
    let [mut cards, mut accounts, mut devices]: [Vec<u8>; 3] = Default::default();
    for (i, person) in world.people.iter().enumerate() {
        let (customer, [x, y]) = (person.customer + 1, person.place);
        let _ = writeln!(cards, "K{:06},C{customer:08},{x:.2},{y:.2}", i + 1);
        let (opened, address) = (date(person.opened), person.address + 1);
        let consent = yes(person.has_consent);
        let _ = writeln!(accounts, "B{:06},C{customer:08},{opened},H{address:06},{consent}", i + 1);
        for (device, first) in &person.devices {
            let _ = writeln!(devices, "D{:06},C{customer:08},{}", device + 1, date(*first));
        }
    }
    for (device, place, day) in &transfers.stolen {
        let customer = world.people[*place].customer + 1;
        let _ = writeln!(devices, "D{:06},C{customer:08},{}", device + 1, date(*day));
    }
    let mut terminals = Vec::new();
    for (terminal, [x, y]) in (0..).zip(&world.terminals) {
        let _ = writeln!(terminals, "{},{x:.2},{y:.2}", terminal_name(terminal));
    }
    for (table, text) in [(CARDS, cards), (TERMINALS, terminals), (ACCOUNTS, accounts), (DEVICES, devices)] {
        append(table, &text)?;
    }
    Ok(())
}

/// Who shares an address or a device with whom, and who pays whom; consent is that of both.
fn network(world: &World, transfers: &Transfers, append: Append) -> Result<()> {
    let people = &world.people;
    let mut pairs: BTreeMap<(usize, usize, &str), i64> = BTreeMap::new();
    let mut add = |a: usize, b: usize, relation: &'static str, day: i64| {
        let first = pairs.entry((a, b, relation)).or_insert(day);
        *first = day.min(*first);
    };
    let mut by_address: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
    let mut by_device: BTreeMap<usize, Vec<(usize, i64)>> = BTreeMap::new();
    for (i, person) in people.iter().enumerate() {
        by_address.entry(person.address).or_default().insert(i);
        person.devices.iter().for_each(|(device, first)| by_device.entry(*device).or_default().push((i, *first)));
    }
    for those in by_address.values() {
        for (a, b) in ordered_pairs(&those.iter().copied().collect::<Vec<_>>()) {
            add(a, b, "address", people[a].opened.max(people[b].opened));
        }
    }
    for those in by_device.values() {
        for ((a, from), (b, other)) in ordered_pairs(those) {
            add(a, b, "device", from.max(other));
        }
    }
    for transfer in &transfers.all {
        if let (Account::Here(from), Account::Here(to)) = (transfer.from, transfer.to) {
            add(from, to, "payment", (transfer.second / DAY_SECONDS) as i64);
        }
    }
    let mut text = Vec::new();
    for ((a, b, relation), day) in &pairs {
        let (from, to) = (&people[*a], &people[*b]);
        let consent = yes(from.has_consent && to.has_consent);
        let (from, to) = (from.customer + 1, to.customer + 1);
        let _ = writeln!(text, "C{from:08},C{to:08},{relation},{},{consent}", date(*day));
    }
    append(NETWORK, &text)
}

/// Each two different ones, in both orders: sharing goes both ways.
fn ordered_pairs<T: Copy>(those: &[T]) -> Vec<(T, T)> {
    let all = (0..those.len()).flat_map(|i| (0..those.len()).filter(move |j| *j != i).map(move |j| (i, j)));
    all.map(|(i, j)| (those[i], those[j])).collect()
}

fn yes(is: bool) -> &'static str {
    if is { "yes" } else { "no" }
}
