//! Prequential validation of transactions: train on some days, wait for the labels, test on the days after; and again, some
//! days earlier (Gama et al. 2013; Fraud Detection Handbook, § 5.3).

use crate::metric::check_target;
use crate::{Error, Result, Task};
use std::collections::HashSet;

/// Most days of all windows together: ten years.
const MAX_DAYS: i64 = 3_660;

/// The windows of each fold, in whole days, and how the folds follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Windows {
    /// Days whose rows train, at least 1.
    pub train: i64,
    /// Days after them whose labels are not known yet when the test begins, 0 or more. Within the test too a day's labels
    /// are known after so many days more.
    pub delay: i64,
    /// Days that are tested, at least 1.
    pub test: i64,
    /// Days by which a fold is earlier than the one after it, at least 1.
    pub step: i64,
    /// Folds, at least 1.
    pub folds: usize,
    /// First training day of the latest fold; `None`: its test ends with the last day of the table.
    pub last_start: Option<i64>,
}

impl Default for Windows {
    /// Those of the handbook: 7 days each, 4 folds a week apart.
    fn default() -> Windows {
        Windows { train: 7, delay: 7, test: 7, step: 7, folds: 4, last_start: None }
    }
}

/// Rows of a fold, ascending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrequentialFold {
    /// First training day.
    pub start: i64,
    /// Rows that train.
    pub train: Vec<usize>,
    /// Rows that are tested.
    pub test: Vec<usize>,
    /// Rows of the test window that are left out because their card was known to be compromised.
    pub n_known: usize,
}

/// The folds, the latest first.
///
/// `day`: number of each row's day, such as days since 1970-01-01 in the bank's zone; `target`: 1 fraud, 0 not; `card`: number
/// of each row's card. A card with a fraud that is known on a test day, on the training days or after them and more than
/// `delay` days before that day, leaves the test from that day: it would be blocked in life.
///
/// # Errors
/// Windows outside their ranges, different lengths, a target that is not 0 or 1, a fold that has no rows of both classes on
/// each side; the message names the fold and its days.
pub fn prequential(windows: Windows, day: &[i64], target: &[f64], card: &[u64]) -> Result<Vec<PrequentialFold>> {
    windows.check()?;
    for (what, len) in [("days", day.len()), ("cards", card.len())] {
        if len != target.len() {
            return Err(Error::data(format!("{len} {what} for {} targets; as many are needed", target.len())));
        }
    }
    check_target(Task::Binary, target)?;
    let Some(&last) = day.iter().max() else {
        return Err(Error::data("there are no transactions; folds need some"));
    };
    let last_start = windows.last_start.unwrap_or(last + 1 - windows.length());
    let starts = (0..windows.folds as i64).map(|fold| last_start - fold * windows.step);
    starts.map(|start| windows.fold(start, day, target, card)).collect()
}

impl Windows {
    fn length(&self) -> i64 {
        self.train + self.delay + self.test
    }

    fn check(&self) -> Result<()> {
        let days = 1..=MAX_DAYS;
        let rules = [
            ("training days", self.train, days.contains(&self.train)),
            ("days of delay", self.delay, (0..=MAX_DAYS).contains(&self.delay)),
            ("test days", self.test, days.contains(&self.test)),
            ("days between folds", self.step, days.contains(&self.step)),
            ("folds", self.folds as i64, (1..=200).contains(&self.folds)),
        ];
        match rules.into_iter().find(|(_, _, holds)| !holds) {
            None => Ok(()),
            Some((what, value, _)) => {
                let allowed = match what {
                    "folds" => "1 to 200".to_string(),
                    "days of delay" => format!("0 to {MAX_DAYS}"),
                    _ => format!("1 to {MAX_DAYS}"),
                };
                Err(Error::request(format!("{value} {what}; allowed are {allowed}")))
            }
        }
    }

    fn fold(&self, start: i64, day: &[i64], target: &[f64], card: &[u64]) -> Result<PrequentialFold> {
        let test_start = start + self.train + self.delay;
        // For each card with fraud the first day on which it is known: that is when it leaves the test.
        let known_on = |row: usize| day[row] + self.delay + 1;
        let mut known: Vec<(i64, u64)> = (0..day.len())
            .filter(|&row| target[row] == 1.0 && (start..test_start + self.test).contains(&day[row]))
            .map(|row| (known_on(row), card[row]))
            .collect();
        known.sort_unstable();
        let train: Vec<usize> = (0..day.len()).filter(|&r| (start..start + self.train).contains(&day[r])).collect();
        let mut test = Vec::new();
        let (mut n_known, mut compromised, mut next) = (0, HashSet::new(), 0);
        for today in test_start..test_start + self.test {
            while next < known.len() && known[next].0 <= today {
                compromised.insert(known[next].1);
                next += 1;
            }
            let rows = (0..day.len()).filter(|&row| day[row] == today);
            let (left, kept): (Vec<usize>, Vec<usize>) = rows.partition(|&row| compromised.contains(&card[row]));
            n_known += left.len();
            test.extend(kept);
        }
        test.sort_unstable();
        for (side, rows, first, length) in
            [("train", &train, start, self.train), ("test", &test, test_start, self.test)]
        {
            let n_fraud = rows.iter().filter(|&&row| target[row] == 1.0).count();
            if n_fraud == 0 || n_fraud == rows.len() {
                return Err(Error::data(format!(
                    "the fold whose training starts on day {start} has {n_fraud} frauds among {} rows to {side} on (days {first} \
                     to {}); both kinds are needed",
                    rows.len(),
                    first + length - 1
                )));
            }
        }
        Ok(PrequentialFold { start, train, test, n_known })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Four cards on each of 12 days; card 0 is fraudulent on day 1, card 1 on days 4 and 9, card 2 on day 6, card 3 on day 10.
    fn table() -> (Vec<i64>, Vec<f64>, Vec<u64>) {
        let (mut day, mut target, mut card) = (vec![], vec![], vec![]);
        for d in 0..12 {
            for c in 0..4 {
                day.push(d);
                card.push(c);
                let is_fraud = [(0, 1), (1, 4), (1, 9), (2, 6), (3, 10)].contains(&(c, d));
                target.push(f64::from(u8::from(is_fraud)));
            }
        }
        (day, target, card)
    }

    #[test]
    fn cards_leave_the_test_when_their_fraud_is_known() {
        let (day, target, card) = table();
        let windows = Windows { train: 3, delay: 2, test: 4, step: 3, folds: 2, last_start: None };
        let folds = prequential(windows, &day, &target, &card).unwrap();
        // The latest fold trains on days 3 to 5 (card 1 is known), waits 6 and 7, tests 8 to 11. Card 2's fraud on day 6 is
        // known from day 9.
        let of = |fold: &PrequentialFold| -> Vec<(i64, u64)> { fold.test.iter().map(|&r| (day[r], card[r])).collect() };
        assert_eq!((folds[0].start, folds[0].train.len(), folds[0].n_known), (3, 12, 7));
        let expected = [(8, 0), (8, 2), (8, 3), (9, 0), (9, 3), (10, 0), (10, 3), (11, 0), (11, 3)];
        assert_eq!(of(&folds[0]), expected);
        // The one before trains on days 0 to 2, tests 5 to 8; card 0 is known, card 1's fraud on day 4 from day 7.
        assert_eq!((folds[1].start, folds[1].train.clone()), (0, (0..12).collect()));
        assert_eq!(of(&folds[1]), [(5, 1), (5, 2), (5, 3), (6, 1), (6, 2), (6, 3), (7, 2), (7, 3), (8, 2), (8, 3)]);
    }

    #[test]
    fn without_a_delay_a_fraud_is_known_the_day_after() {
        let (day, target, card) = table();
        let windows = Windows { train: 5, delay: 0, test: 6, step: 1, folds: 1, last_start: Some(0) };
        let fold = &prequential(windows, &day, &target, &card).unwrap()[0];
        let days_of = |c: u64| fold.test.iter().filter(|&&r| card[r] == c).map(|&r| day[r]).collect::<Vec<_>>();
        assert_eq!((days_of(0), days_of(1), days_of(2)), (vec![], vec![], vec![5, 6]));
    }

    #[test]
    fn says_what_is_wrong() {
        let (day, target, card) = table();
        let refuse = |windows, expected: &str| {
            assert_eq!(prequential(windows, &day, &target, &card).unwrap_err().to_string(), expected);
        };
        refuse(Windows { train: 0, ..Windows::default() }, "0 training days; allowed are 1 to 3660");
        refuse(Windows { folds: 0, ..Windows::default() }, "0 folds; allowed are 1 to 200");
        refuse(
            Windows::default(),
            "the fold whose training starts on day -9 has 0 frauds among 0 rows to train on (days -9 to -3); both kinds are \
             needed",
        );
        let short = prequential(Windows::default(), &day[..3], &target, &card).unwrap_err().to_string();
        assert_eq!(short, "3 days for 48 targets; as many are needed");
    }
}
