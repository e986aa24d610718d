//! One case as a reviewer would see it: the card that was caught and stood first in the queue, what happened on it, and other
//! cards with known frauds at the same terminals.
//!
//! A bundle keeps no customer's row, and this keeps what a picture needs of one card: no id, no date, hours since the first
//! transaction that is told, amounts of two significant digits. Cards and terminals have numbers of the case's own. Its
//! size does not grow with the table's.

#[cfg(test)]
mod tests;

use crate::project::Settings;
use crate::training_set::{TrainingSet, texts_of};
use arrow_array::{ArrayRef, UInt64Array};
use arrow_select::take::take;
use serde::{Deserialize, Serialize};
use statera_core::metric::{AlertQueue, Review, Transactions};
use statera_core::{Error, Result};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Most transactions that are told: those around the alert.
pub const MAX_TRANSACTIONS: usize = 120;
/// Most terminals that are told.
pub const MAX_TERMINALS: usize = 12;
/// Most other cards that are told.
pub const MAX_CARDS: usize = 30;
/// Microseconds of an hour.
const HOUR: i64 = 3_600_000_000;

/// A card that was caught.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// Its place in the queue of the day on which it was caught, from 1.
    pub rank: usize,
    /// Its transactions among the measured ones, of which those around the alert are told.
    pub n_transactions: usize,
    /// At most [`MAX_TRANSACTIONS`], in the order of time.
    pub transactions: Vec<CaseTransaction>,
    /// Where it was used; `None` if no column tells that.
    pub network: Option<CaseNetwork>,
}

/// A transaction of the card.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaseTransaction {
    /// Whole hours since the first transaction that is told.
    pub hour: u32,
    /// Money, to two significant digits; `None` where no amounts are known.
    pub amount: Option<f64>,
    /// The model's probability of fraud, to three decimals.
    pub probability: f64,
    /// True of a fraud.
    pub is_fraud: bool,
    /// True if the card was reviewed on that day because of it: its riskiest of the day.
    pub is_alerted: bool,
    /// Index of its terminal in the network; `None` without one, or if it is left out.
    pub terminal: Option<usize>,
}

/// Terminals of the card, and who else was defrauded there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaseNetwork {
    /// The column whose cells name the terminals.
    pub column: String,
    /// Terminals of the card's measured transactions.
    pub n_terminals: usize,
    /// Other cards with frauds at the told terminals that were known when the alert was raised.
    pub n_cards: usize,
    /// At most [`MAX_TERMINALS`], in the order in which the card came to them.
    pub terminals: Vec<CaseTerminal>,
    /// At most [`MAX_CARDS`], ordered so that neighbours share terminals.
    pub cards: Vec<CaseCard>,
}

/// A terminal of the card.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaseTerminal {
    /// The card's measured transactions there.
    pub n_transactions: usize,
    /// Frauds among these.
    pub n_frauds: usize,
}

/// Another card with known frauds at the case's terminals.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaseCard {
    /// Indices of the terminals where these were, ascending.
    pub terminals: Vec<usize>,
    /// How many there were.
    pub n_frauds: usize,
}

/// What a case is looked for in.
#[derive(Clone, Copy)]
pub(super) struct Desk<'a> {
    /// The measured rows.
    pub rows: &'a TrainingSet,
    /// The rows that were trained on.
    pub train: &'a TrainingSet,
    /// Probabilities of the measured rows.
    pub probabilities: &'a [f64],
    /// The measured rows that stand in the queue: their cards are not known to be compromised.
    pub kept: &'a [usize],
    /// These rows as the queue sees them.
    pub table: Transactions<'a>,
}

impl Desk<'_> {
    /// The case of the card that stood highest in the queue of the day on which it was caught; of several that stood equally
    /// high the one with the highest score, and of equal ones the earliest. `None` if no card is caught.
    ///
    /// # Errors
    /// As [`AlertQueue::new`]; a column of terminals that is not in the table.
    pub(super) fn case(&self, capacity: usize, settings: &Settings) -> Result<Option<Case>> {
        let reviews = AlertQueue::new(&self.table)?.reviews(capacity);
        let Some(caught) = self.first(&reviews) else { return Ok(None) };
        let reviewed: BTreeSet<i64> = reviews.iter().filter(|r| r.card == caught.card).map(|r| r.day).collect();
        let alerts: BTreeMap<i64, usize> =
            reviewed.into_iter().filter_map(|day| Some((day, self.riskiest(day, caught.card)?))).collect();
        let (Some(time), Some(&alert)) = (&self.rows.time, alerts.get(&caught.day)) else { return Ok(None) };
        let mut rows: Vec<usize> = self.rows_of(caught.card);
        rows.sort_by_key(|&row| (time[row], row));
        let (network, terminal_of) = match terminal_column(settings) {
            None => (None, HashMap::new()),
            Some(column) => {
                let (network, terminal_of) = self.network(column, caught.card, &rows, time[alert])?;
                (Some(network), terminal_of)
            }
        };
        let n_transactions = rows.len();
        let rows = around(rows, alert);
        let first = rows.first().map_or(0, |&row| time[row]);
        let transaction = |&row: &usize| CaseTransaction {
            hour: u32::try_from((time[row] - first).div_euclid(HOUR)).unwrap_or(u32::MAX),
            amount: self.rows.amount.as_ref().map(|amount| two_digits(amount[row])),
            probability: (self.probabilities[row] * 1000.0).round() / 1000.0,
            is_fraud: self.rows.target[row] == 1.0,
            is_alerted: alerts.values().any(|&alert| alert == row),
            terminal: terminal_of.get(&row).copied(),
        };
        let transactions = rows.iter().map(transaction).collect();
        Ok(Some(Case { rank: caught.rank, n_transactions, transactions, network }))
    }

    /// Which of the cards that are caught is told.
    fn first(&self, reviews: &[Review]) -> Option<Review> {
        let caught = || reviews.iter().filter(|r| r.is_caught);
        let rank = caught().map(|r| r.rank).min()?;
        let score = |r: &Review| self.riskiest_place(r.day, r.card).map(|place| self.table.score[place]);
        let mut first: Option<(f64, Review)> = None;
        for review in caught().filter(|r| r.rank == rank) {
            let score = score(review)?;
            if first.is_none_or(|(highest, _)| score > highest) {
                first = Some((score, *review));
            }
        }
        first.map(|(_, review)| review)
    }

    /// Where in the queue's table the riskiest transaction of a card on a day stands, the first of equal ones.
    fn riskiest_place(&self, day: i64, card: u64) -> Option<usize> {
        let table = &self.table;
        let of_both = (0..table.n_rows()).filter(|&place| table.day[place] == day && table.card[place] == card);
        of_both.reduce(|best, place| if table.score[place] > table.score[best] { place } else { best })
    }

    /// The measured row of that transaction.
    fn riskiest(&self, day: i64, card: u64) -> Option<usize> {
        self.riskiest_place(day, card).map(|place| self.kept[place])
    }

    fn rows_of(&self, card: u64) -> Vec<usize> {
        let cards = self.rows.card.iter().flatten();
        cards.enumerate().filter(|(_, of)| **of == card).map(|(row, _)| row).collect()
    }

    /// Terminals of the card's rows, which are in the order of time, with what was known at `alert` of other cards there; and
    /// the index of each row's terminal.
    fn network(
        &self,
        column: &str,
        card: u64,
        rows: &[usize],
        alert: i64,
    ) -> Result<(CaseNetwork, HashMap<usize, usize>)> {
        let texts = cells(self.rows, column, rows)?;
        let mut visited: HashMap<&str, Visited> = HashMap::new();
        for (place, (&row, text)) in rows.iter().zip(&texts).enumerate() {
            let Some(text) = text else { continue };
            let visited = visited.entry(text.as_str()).or_insert(Visited { first: place, ..Visited::default() });
            visited.n_transactions += 1;
            visited.n_frauds += usize::from(self.rows.target[row] == 1.0);
        }
        for (other, text) in self.known_frauds(column, card, alert)? {
            if let Some(visited) = visited.get_mut(text.as_str()) {
                *visited.others.entry(other).or_default() += 1;
            }
        }
        let n_terminals = visited.len();
        let mut told: Vec<(&str, Visited)> = visited.into_iter().collect();
        // Where the card was defrauded, where most others were, and where it went most often.
        told.sort_by_key(|(_, v)| (Reverse(v.n_frauds), Reverse(v.others.len()), Reverse(v.n_transactions), v.first));
        told.truncate(MAX_TERMINALS);
        told.sort_by_key(|(_, v)| v.first);
        let number: HashMap<&str, usize> = told.iter().enumerate().map(|(i, (text, _))| (*text, i)).collect();
        let terminal_of = rows.iter().zip(&texts);
        let terminal_of = terminal_of.filter_map(|(&row, text)| Some((row, *number.get(text.as_deref()?)?))).collect();
        let terminal = |v: &Visited| CaseTerminal { n_transactions: v.n_transactions, n_frauds: v.n_frauds };
        let terminals: Vec<Visited> = told.into_iter().map(|(_, v)| v).collect();
        let (n_cards, cards) = others(&terminals);
        let terminals = terminals.iter().map(terminal).collect();
        Ok((CaseNetwork { column: column.into(), n_terminals, n_cards, terminals, cards }, terminal_of))
    }

    /// Cards and terminals of other cards' frauds that were known at `alert`: of the measured rows, and of those that were
    /// trained on and lie before them.
    fn known_frauds(&self, column: &str, card: u64, alert: i64) -> Result<Vec<(u64, String)>> {
        let first = self.rows.time.iter().flatten().min().copied().unwrap_or(i64::MIN);
        let mut found = Vec::new();
        for (set, end) in [(self.train, first), (self.rows, i64::MAX)] {
            let (Some(time), Some(cards)) = (&set.time, &set.card) else { continue };
            // Without a delay a fraud is known at once.
            let known = set.known.as_ref().unwrap_or(time);
            let is_known =
                |&row: &usize| set.target[row] == 1.0 && cards[row] != card && time[row] < end && known[row] <= alert;
            let rows: Vec<usize> = (0..set.n_rows()).filter(is_known).collect();
            let texts = cells(set, column, &rows)?;
            found.extend(rows.iter().zip(texts).filter_map(|(&row, text)| Some((cards[row], text?))));
        }
        Ok(found)
    }
}

/// What is known of a terminal.
#[derive(Default)]
struct Visited {
    /// Which of the card's rows came here first.
    first: usize,
    n_transactions: usize,
    n_frauds: usize,
    /// Known frauds here by other card.
    others: BTreeMap<u64, usize>,
}

/// How many other cards there are, and those that are told: with most terminals, then with most frauds. They are ordered by
/// the mean index of their terminals, so that lines to them cross little.
fn others(terminals: &[Visited]) -> (usize, Vec<CaseCard>) {
    let mut cards: BTreeMap<u64, CaseCard> = BTreeMap::new();
    for (i, terminal) in terminals.iter().enumerate() {
        for (&other, n_frauds) in &terminal.others {
            let card = cards.entry(other).or_insert(CaseCard { terminals: Vec::new(), n_frauds: 0 });
            card.terminals.push(i);
            card.n_frauds += n_frauds;
        }
    }
    let n_cards = cards.len();
    let mut cards: Vec<CaseCard> = cards.into_values().collect();
    cards.sort_by_key(|card| (Reverse(card.terminals.len()), Reverse(card.n_frauds)));
    cards.truncate(MAX_CARDS);
    let mean = |card: &CaseCard| card.terminals.iter().sum::<usize>() as f64 / card.terminals.len() as f64;
    cards.sort_by(|a, b| mean(a).total_cmp(&mean(b)));
    (n_cards, cards)
}

/// The column that tells where a transaction is made: what was named, or the first key of the windows that is not the card.
fn terminal_column(settings: &Settings) -> Option<&str> {
    let named = settings.terminal.as_deref();
    let mut keys = settings.windows.iter().flat_map(|windows| windows.features.iter().flat_map(|f| &f.key));
    named.or_else(|| keys.find(|key| settings.card.as_ref() != Some(*key)).map(String::as_str))
}

/// Cells of a column at some rows, as texts.
fn cells(set: &TrainingSet, column: &str, rows: &[usize]) -> Result<Vec<Option<String>>> {
    let of = set.batch.column_by_name(column).ok_or_else(|| Error::request(format!("no column «{column}»")))?;
    let index = UInt64Array::from_iter_values(rows.iter().map(|&row| row as u64));
    let taken: ArrayRef = take(of, &index, None).map_err(|e| Error::data(e.to_string()))?;
    Ok(texts_of(&taken))
}

/// The rows around the one of the alert, as many before it as after it where there are.
fn around(mut rows: Vec<usize>, alert: usize) -> Vec<usize> {
    let place = rows.iter().position(|&row| row == alert).unwrap_or(0);
    let most = rows.len().saturating_sub(MAX_TRANSACTIONS);
    rows.drain(..place.saturating_sub(MAX_TRANSACTIONS / 2).min(most));
    rows.truncate(MAX_TRANSACTIONS);
    rows
}

/// A number to two significant digits.
fn two_digits(value: f64) -> f64 {
    format!("{value:.1e}").parse().unwrap_or(0.0)
}
