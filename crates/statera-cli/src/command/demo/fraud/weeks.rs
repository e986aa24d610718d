//! The bank's transactions as a system of the bank sends them: the weeks before the last day, and the day.

use super::no_test;
use serde_json::{Value, json};
use statera::bundle::Bundle;
use statera_core::{Error, Result};
use statera_data::window::{Feature, Shift};

/// Days from a fraud to its label: what the model was trained on knew each after seven.
const LABEL_DAYS: usize = 6;
const DAY_US: i64 = 86_400_000_000;

/// A transaction as the bank's file has it.
pub struct Purchase<'a> {
    pub id: &'a str,
    pub at: &'a str,
    pub card: &'a str,
    pub terminal: &'a str,
    pub amount: f64,
    pub is_fraud: bool,
}

impl<'a> Purchase<'a> {
    fn of(line: &'a str) -> Result<Purchase<'a>> {
        let wrong = || Error::damaged(format!("transactions.csv: «{line}» is no transaction of the sample bank"));
        let cells: Vec<&str> = line.split(',').collect();
        let [id, at, card, _, terminal, amount, fraud] = cells[..] else { return Err(wrong()) };
        let amount = amount.parse().map_err(|_| wrong())?;
        Ok(Purchase { id, at, card, terminal, amount, is_fraud: fraud == "1" })
    }

    /// The day, as `2025-09-30`.
    fn day(&self) -> &'a str {
        self.at.get(..10).unwrap_or(self.at)
    }

    /// As a bank's system sends it.
    pub fn sent(&self) -> Value {
        json!({
            "subject": self.card,
            "row": {
                "transaction_id": self.id, "tx_datetime": self.at, "card_id": self.card, "terminal_id": self.terminal,
                "tx_amount": self.amount,
            },
        })
    }
}

/// The last day, and those before it that windows reach back to.
pub struct Weeks<'a> {
    /// Days that there are.
    pub days: Vec<&'a str>,
    /// Transactions before the last day, from the first day that a window reaches.
    pub before: Vec<Purchase<'a>>,
    pub n_days_before: usize,
    /// Those of the last day.
    pub today: Vec<Purchase<'a>>,
}

impl<'a> Weeks<'a> {
    /// Takes the bank's table apart; windows look back for `reach` days.
    ///
    /// # Errors
    /// A line that is none of the sample bank's; no transaction.
    pub fn of(text: &'a str, reach: usize) -> Result<Weeks<'a>> {
        let all: Vec<Purchase> = text.lines().skip(1).map(Purchase::of).collect::<Result<_>>()?;
        let mut days: Vec<&str> = all.iter().map(Purchase::day).collect();
        days.dedup();
        let last = *days.last().ok_or_else(no_test)?;
        let first = days.len().saturating_sub(1 + reach);
        let since = days[first];
        let (before, today): (Vec<_>, Vec<_>) =
            all.into_iter().filter(|p| p.day() >= since).partition(|p| p.day() < last);
        Ok(Weeks { n_days_before: days.len() - 1 - first, days, before, today })
    }

    /// When a fraud of the weeks before is told: some days later; `None` if that is not before the last day.
    pub fn told_on(&self, purchase: &Purchase) -> Option<&'a str> {
        let at = self.days.binary_search(&purchase.day()).ok()?;
        self.days[..self.days.len() - 1].get(at + LABEL_DAYS).copied()
    }
}

/// Days that the windows of a bundle look back.
///
/// # Errors
/// A bundle without windows.
pub fn reach(bundle: &Bundle) -> Result<usize> {
    let windows = bundle.windows.as_ref().ok_or_else(|| Error::data("the model of cards has no windows"))?;
    let windows = windows.definition.windows();
    let of_feature = |feature: &Feature| {
        let shift = match feature.shift {
            None => 0,
            Some(Shift::By(span)) => span.micros(),
            Some(Shift::Label) => windows.label_delay.map_or(0, |delay| delay.micros()),
        };
        shift + feature.over.iter().map(|span| span.micros()).max().unwrap_or(0)
    };
    let longest = windows.features.iter().map(of_feature).max().unwrap_or(0);
    Ok((longest.max(0) as u64).div_ceil(DAY_US as u64) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_day_and_what_windows_reach_before_it() {
        let mut text = String::from("transaction_id,tx_datetime,card_id,customer_id,terminal_id,tx_amount,tx_fraud\n");
        for day in 1..=20 {
            text += &format!("P{day:02},2025-09-{day:02}T10:00:00,K1,C1,T1,{day}.50,{}\n", u8::from(day % 2 == 0));
        }
        let weeks = Weeks::of(&text, 9).unwrap();
        assert_eq!((weeks.n_days_before, weeks.before.len(), weeks.today.len()), (9, 9, 1));
        assert_eq!((weeks.before[0].id, weeks.today[0].id), ("P11", "P20"));
        // Told six days later, if that is before the last day.
        let told: Vec<Option<&str>> = weeks.before.iter().map(|p| weeks.told_on(p)).collect();
        assert_eq!(told[..3], [Some("2025-09-17"), Some("2025-09-18"), Some("2025-09-19")]);
        assert!(told[3..].iter().all(Option::is_none), "{told:?}");
        assert_eq!(weeks.today[0].sent()["row"]["tx_amount"], 20.5);
        // A bank that is younger than its windows has what it has.
        assert_eq!(Weeks::of(&text, 400).unwrap().before.len(), 19);
        let wrong = Weeks::of("header\nP1,2025-09-01T10:00:00,K1,C1,T1,much,0\n", 9).err().unwrap().to_string();
        assert_eq!(
            wrong,
            "transactions.csv: «P1,2025-09-01T10:00:00,K1,C1,T1,much,0» is no transaction of the sample bank"
        );
    }
}
