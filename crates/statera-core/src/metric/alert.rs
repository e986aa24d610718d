//! What reviewers who look at a fixed number of cards a day would find.
//!
//! Each day the cards that are still open are ranked by the highest score of their transactions of that day, and the first
//! `capacity` of them are reviewed. A reviewed card with a fraudulent transaction on that day is caught: it is blocked and
//! leaves the days after. Card precision is the share of the capacity that is caught, averaged over the days (Dal Pozzolo et
//! al. 2015; Fraud Detection Handbook, § 4.4). Cards of equal score are taken in order of their number, so no figure depends
//! on the order of the rows.

use super::sample::{check_finite, check_length, check_target};
use crate::{Error, Result, Task};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// Scored transactions, one entry a row.
#[derive(Debug, Clone, Copy)]
pub struct Transactions<'a> {
    /// Number of the day, such as days since 1970-01-01 in the bank's zone.
    pub day: &'a [i64],
    /// Number of the card.
    pub card: &'a [u64],
    /// 1 fraud, 0 not.
    pub target: &'a [f64],
    /// Any score that rises with the risk.
    pub score: &'a [f64],
    /// Money of the transaction; what is negative (a refund) counts as none. Empty: not known.
    pub amount: &'a [f64],
}

impl Transactions<'_> {
    /// Rows.
    pub fn n_rows(&self) -> usize {
        self.target.len()
    }

    /// Fails where lengths differ, a target is not 0 or 1, or a score or an amount is not finite.
    pub(super) fn check(&self) -> Result<()> {
        let n = self.n_rows();
        check_length("days", self.day.len(), n, 1)?;
        check_length("cards", self.card.len(), n, 1)?;
        check_length("scores", self.score.len(), n, 1)?;
        check_target(Task::Binary, self.target)?;
        check_finite("score", self.score, 1)?;
        if !self.amount.is_empty() {
            check_length("amounts", self.amount.len(), n, 1)?;
            check_finite("amount", self.amount, 1)?;
        }
        Ok(())
    }
}

/// A card on a day.
#[derive(Debug, Clone, Copy)]
struct CardDay {
    /// Index among the queue's cards.
    card: u32,
    /// One of its transactions of the day is fraudulent.
    is_fraud: bool,
    /// Money of its fraudulent transactions of the day.
    money: f64,
}

/// Transactions as reviewers meet them: for each day its cards, the riskiest first. Ranked once, worked often.
#[derive(Debug, Clone)]
pub struct AlertQueue {
    /// Numbers of the cards, ascending.
    cards: Vec<u64>,
    /// Numbers of the days, ascending.
    numbers: Vec<i64>,
    /// What stands on each of these days.
    days: Vec<Vec<CardDay>>,
}

/// A card that is reviewed on a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Review {
    /// Number of the day.
    pub day: i64,
    /// Number of the card.
    pub card: u64,
    /// Its place among the open cards of the day, from 1.
    pub rank: usize,
    /// True if one of its transactions of the day is fraudulent: the card leaves.
    pub is_caught: bool,
}

/// What reviewing comes to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Worked {
    /// Share of the capacity that was caught, mean over the days, 0 … 1.
    pub card_precision: f64,
    /// Cards reviewed on all days.
    pub reviewed: f64,
    /// Cards caught.
    pub caught: f64,
    /// Fraudulent money on the day on which its card was caught, and after it.
    pub saved: f64,
    /// All fraudulent money.
    pub at_stake: f64,
}

impl AlertQueue {
    /// Ranks the cards of each day.
    ///
    /// # Errors
    /// No rows, different lengths, a target other than 0 and 1, a score or amount that is not finite.
    pub fn new(rows: &Transactions<'_>) -> Result<AlertQueue> {
        rows.check()?;
        if rows.n_rows() == 0 {
            return Err(Error::data("there are no transactions; at least 1 is needed"));
        }
        let mut cards = rows.card.to_vec();
        cards.sort_unstable();
        cards.dedup();
        let index: HashMap<u64, u32> = cards.iter().enumerate().map(|(i, &card)| (card, i as u32)).collect();
        let mut order: Vec<(i64, u32, usize)> =
            (0..rows.n_rows()).map(|row| (rows.day[row], index[&rows.card[row]], row)).collect();
        order.sort_unstable();
        let numbers = order.chunk_by(|a, b| a.0 == b.0).map(|day| day[0].0).collect();
        let days = order.chunk_by(|a, b| a.0 == b.0).map(|day| ranked(day, rows)).collect();
        Ok(AlertQueue { cards, numbers, days })
    }

    /// Numbers of the cards, ascending.
    pub fn cards(&self) -> &[u64] {
        &self.cards
    }

    /// Days with transactions.
    pub fn n_days(&self) -> usize {
        self.days.len()
    }

    /// Reviews the first `capacity` open cards of every day.
    pub fn work(&self, capacity: usize) -> Worked {
        self.work_and_catch(capacity).0
    }

    /// The same, with the numbers of the cards that are caught, ascending.
    pub fn work_and_catch(&self, capacity: usize) -> (Worked, Vec<u64>) {
        let mut open = vec![1; self.cards.len()];
        let worked = self.work_open(capacity, &mut open);
        let caught = self.cards.iter().zip(open).filter(|(_, open)| *open == 0).map(|(card, _)| *card);
        (worked, caught.collect())
    }

    /// Who is reviewed when the first `capacity` open cards of every day are, in the order of the days and of their places.
    pub fn reviews(&self, capacity: usize) -> Vec<Review> {
        let mut is_open = vec![true; self.cards.len()];
        let mut reviews = Vec::new();
        for (&day, cards) in self.numbers.iter().zip(&self.days) {
            // A card stands on a day once, so that none is caught between two of its places.
            let mut rank = 0;
            for at in cards {
                let is_open = &mut is_open[at.card as usize];
                if !*is_open || rank == capacity {
                    continue;
                }
                rank += 1;
                *is_open = !at.is_fraud;
                reviews.push(Review { day, card: self.cards[at.card as usize], rank, is_caught: at.is_fraud });
            }
        }
        reviews
    }

    /// What [`AlertQueue::work`] finds in a table in which each card stands `copies` times; copies are caught one by one, as cards of equal score are.
    pub(super) fn work_drawn(&self, capacity: usize, copies: &[u32]) -> Worked {
        self.work_open(capacity, &mut copies.to_vec())
    }

    /// Works the queue of cards that stand `open` times, and leaves those that are not caught.
    fn work_open(&self, capacity: usize, open: &mut [u32]) -> Worked {
        let copies = open.to_vec();
        let mut sum = Worked::default();
        for day in &self.days {
            let (mut left, mut hits) = (capacity, 0.0);
            for at in day {
                let open = &mut open[at.card as usize];
                let blocked = f64::from(copies[at.card as usize] - *open);
                sum.at_stake += at.money * f64::from(copies[at.card as usize]);
                let taken = (*open as usize).min(left);
                left -= taken;
                sum.reviewed += taken as f64;
                sum.saved += at.money * blocked;
                if at.is_fraud {
                    hits += taken as f64;
                    sum.saved += at.money * taken as f64;
                    *open -= taken as u32;
                }
            }
            sum.caught += hits;
            sum.card_precision += hits / (capacity.max(1) * self.days.len()) as f64;
        }
        sum
    }
}

/// The cards of a day, by descending score and then by their number; `day` is sorted by card.
fn ranked(day: &[(i64, u32, usize)], rows: &Transactions<'_>) -> Vec<CardDay> {
    let of_card = |of: &[(i64, u32, usize)]| {
        let fraud = || of.iter().map(|at| at.2).filter(|&row| rows.target[row] == 1.0);
        let money = fraud().filter_map(|row| rows.amount.get(row)).map(|money| money.max(0.0)).sum();
        let score = of.iter().map(|at| rows.score[at.2]).fold(f64::NEG_INFINITY, f64::max);
        (score, CardDay { card: of[0].1, is_fraud: fraud().next().is_some(), money })
    };
    let mut cards: Vec<(f64, CardDay)> = day.chunk_by(|a, b| a.1 == b.1).map(of_card).collect();
    cards.sort_by(|a, b| b.0.total_cmp(&a.0));
    cards.into_iter().map(|(_, at)| at).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Day, card, target, score and amount by row.
    type Columns = (Vec<i64>, Vec<u64>, Vec<f64>, Vec<f64>, Vec<f64>);

    /// Three days; capacity 2. Day 1: card 1 (.9, fraud), 2 (.8), 3 (.7, fraud). Day 2: card 1 (.9, fraud, but caught),
    /// 2 (.6), 3 (.6, fraud). Day 3: card 3 only (fraud, caught).
    fn rows() -> Columns {
        (
            vec![1, 1, 1, 1, 2, 2, 2, 3],
            vec![1, 1, 2, 3, 1, 2, 3, 3],
            vec![0.0, 1.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0],
            vec![0.9, 0.1, 0.8, 0.7, 0.9, 0.6, 0.6, 0.2],
            vec![5.0, 10.0, 7.0, 20.0, 40.0, 3.0, 80.0, 160.0],
        )
    }

    fn check(capacity: usize, expected: Worked) {
        let (day, card, target, score, amount) = rows();
        let table = Transactions { day: &day, card: &card, target: &target, score: &score, amount: &amount };
        let worked = AlertQueue::new(&table).unwrap().work(capacity);
        let same = |a: f64, b: f64| (a - b).abs() < 1e-12;
        assert!(same(worked.card_precision, expected.card_precision), "{worked:?}");
        assert_eq!(Worked { card_precision: 0.0, ..worked }, Worked { card_precision: 0.0, ..expected });
    }

    #[test]
    fn caught_cards_leave_and_their_later_fraud_is_saved() {
        // Day 1 catches card 1 (its 10 of that day and 40 later), and card 3 is missed (20); day 2 reviews 2 and 3 and
        // catches 3 (80, and 160 later); day 3 has nobody left: 1/2, 1/2, 0.
        let expected = Worked { card_precision: 1.0 / 3.0, reviewed: 4.0, caught: 2.0, saved: 290.0, at_stake: 310.0 };
        check(2, expected);
    }

    #[test]
    fn reviews_are_those_that_the_queue_works() {
        let (day, card, target, score, amount) = rows();
        let table = Transactions { day: &day, card: &card, target: &target, score: &score, amount: &amount };
        let queue = AlertQueue::new(&table).unwrap();
        let of: Vec<_> = queue.reviews(2).iter().map(|r| (r.day, r.card, r.rank, r.is_caught)).collect();
        // On day 2 card 1 has left, so that 2 and 3 stand first and second; on day 3 nobody is open.
        assert_eq!(of, [(1, 1, 1, true), (1, 2, 2, false), (2, 2, 1, false), (2, 3, 2, true)]);
        for capacity in 0..5 {
            let (worked, caught) = queue.work_and_catch(capacity);
            let reviews = queue.reviews(capacity);
            let mut cards: Vec<u64> = reviews.iter().filter(|r| r.is_caught).map(|r| r.card).collect();
            cards.sort_unstable();
            assert_eq!((reviews.len() as f64, cards), (worked.reviewed, caught), "capacity {capacity}");
        }
    }

    #[test]
    fn equal_scores_go_by_the_number_of_the_card() {
        // With one review a day: card 1; on day 2 cards 2 and 3 tie at .6 and 2 is taken; day 3 takes card 3.
        let expected = Worked { card_precision: 2.0 / 3.0, reviewed: 3.0, caught: 2.0, saved: 210.0, at_stake: 310.0 };
        check(1, expected);
    }

    #[test]
    fn a_capacity_above_the_cards_divides_by_the_capacity() {
        // Day 1 catches both frauds among 3 cards of 10 reviews; card 2 alone is left on day 2, and nobody on day 3.
        let expected = Worked { card_precision: 2.0 / 30.0, reviewed: 4.0, caught: 2.0, saved: 310.0, at_stake: 310.0 };
        check(10, expected);
        check(0, Worked { at_stake: 310.0, ..Worked::default() });
    }

    #[test]
    fn copies_of_a_card_are_caught_one_by_one() {
        let (day, card, target, score, amount) = rows();
        let table = Transactions { day: &day, card: &card, target: &target, score: &score, amount: &amount };
        let queue = AlertQueue::new(&table).unwrap();
        // Card 1 three times, card 2 never, card 3 once. Day 1 catches two of card 1; day 2 the third, and card 3.
        let worked = queue.work_drawn(2, &[3, 0, 1]);
        assert!((worked.card_precision - 2.0 / 3.0).abs() < 1e-12, "{worked:?}");
        assert_eq!((worked.caught, worked.at_stake), (4.0, 3.0 * 50.0 + 260.0));
        // 2 · 50, 40 of the third copy, 80 and 160.
        assert_eq!(worked.saved, 100.0 + 40.0 + 240.0);
    }

    #[test]
    fn says_what_is_wrong() {
        let refuse = |table: Transactions<'_>, expected: &str| {
            assert_eq!(AlertQueue::new(&table).map(|_| ()).unwrap_err().to_string(), expected);
        };
        let good = Transactions { day: &[1], card: &[1], target: &[1.0], score: &[0.5], amount: &[] };
        refuse(Transactions { day: &[], ..good }, "0 days for 1 targets; 1 are needed");
        refuse(Transactions { score: &[f64::NAN], ..good }, "the score of row 0 (from 0) is NaN; it must be finite");
        refuse(Transactions { target: &[2.0], ..good }, "the target of row 0 (from 0) is 2; it must be 0 or 1");
        let none = Transactions { day: &[], card: &[], target: &[], score: &[], amount: &[] };
        refuse(none, "there are no transactions; at least 1 is needed");
    }
}
