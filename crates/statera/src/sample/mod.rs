//! The sample bank: three years of loan applications, and six months of payments, of a bank that does not exist.
//!
//! Everything is invented. The default of each loan is drawn from a probability that is written to a file of its own, so
//! that a model can be measured against the best that is possible (an AUC of .80) and not only against another model.
//! The columns are correlated through hidden traits; the probability holds hinges, ratios and interactions that a linear
//! model cannot write down; cells are missing, some because of the risk; the population and the economy drift; sex and age
//! move some columns and enter the probability nowhere.

mod application;
mod file;
mod outcome;
mod payments;
mod risk;

pub use risk::expected_auc;

use application::{Application, draw};
use file::Files;
use outcome::{Lottery, payments};
use rayon::prelude::*;
use risk::{Attainable, Truth, old_card};
use statera_core::{Error, Result, Run};
use std::path::{Path, PathBuf};

/// Rows drawn and written at a time.
const BLOCK: usize = 65_536;
/// Rows a thread draws at a time.
const PART: usize = 4_096;
/// Applications for each card of the payments.
const APPLICATIONS_A_CARD: usize = 40;

/// What bank to write.
#[derive(Debug, Clone, PartialEq)]
pub struct SampleBank {
    /// Applications, 1 to 1,000,000,000.
    pub rows: usize,
    /// The same seed writes the same bytes.
    pub seed: u64,
    /// Loans, at most, whose monthly payments and customers are written too; spread evenly over the applications.
    pub performance_rows: usize,
    /// Cards, at most, whose payments of six months are written too, one for each 40 applications; 0 for none.
    pub cards: usize,
    /// Replaces files of an earlier sample; otherwise they are an error.
    pub overwrite: bool,
}

impl Default for SampleBank {
    fn default() -> Self {
        SampleBank { rows: 20_000, seed: 1, performance_rows: 20_000, cards: 5_000, overwrite: false }
    }
}

/// Where the sample bank was written, and what is true of it.
#[derive(Debug, Clone, PartialEq)]
pub struct SampleFiles {
    /// The table: one row an application, target `default`.
    pub applications: PathBuf,
    /// `application_id` and the true `probability`.
    pub truth: PathBuf,
    /// Monthly days past due of loans.
    pub performance: PathBuf,
    /// Snapshots of customers, to be joined as of the application's date.
    pub customers: PathBuf,
    /// Six months of card transactions, target `tx_fraud`.
    pub transactions: PathBuf,
    /// Account transfers of these months, target `transfer_fraud`.
    pub transfers: PathBuf,
    /// Which kind of fraud each one is; no model sees it.
    pub fraud_answers: PathBuf,
    /// Decision rules for the transactions.
    pub fraud_rules: PathBuf,
    /// A project file that trains from these tables.
    pub project: PathBuf,
    /// What the columns mean.
    pub readme: PathBuf,
    /// Applications written.
    pub rows: usize,
    /// Defaults among them.
    pub defaults: usize,
    /// Cards whose payments were written.
    pub n_cards: usize,
    /// Card transactions written, and frauds among them.
    pub n_transactions: [usize; 2],
    /// Account transfers written, and frauds among them.
    pub n_transfers: [usize; 2],
    /// [`expected_auc`] of the true probabilities; `None` for a bank of one row.
    pub expected_auc: Option<f64>,
    /// AUC of the true probabilities against the drawn defaults; `None` without a default or without a good loan.
    pub drawn_auc: Option<f64>,
}

/// A row with everything that is written of it.
struct Loan {
    row: usize,
    application: Application,
    bank_score: u16,
    probability: f64,
    default: bool,
}

impl SampleBank {
    /// Writes the bank's tables into `dir`, which is made if it does not exist. Memory does not grow with `rows`.
    ///
    /// # Errors
    /// A number of rows out of range, files in the way (unless `overwrite`), a disk that is full, an interruption. Nothing
    /// half-written is left: files are written beside their place and renamed when all are complete.
    ///
    /// ```
    /// # fn main() -> statera_core::Result<()> {
    /// # let parent = std::env::temp_dir().join(format!("statera-doc-{}", std::process::id()));
    /// use statera::sample::SampleBank;
    /// let bank = SampleBank { rows: 500, ..SampleBank::default() };
    /// let files = bank.write(&parent.join("bank"), &statera_core::Run::new(1, 2))?;
    /// assert_eq!(files.rows, 500);
    /// # std::fs::remove_dir_all(parent)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn write(&self, dir: &Path, run: &Run) -> Result<SampleFiles> {
        if !(1..=1_000_000_000).contains(&self.rows) {
            let rows = self.rows;
            return Err(Error::request(format!("rows: {rows} is not allowed; allowed is from 1 to 1000000000")));
        }
        let mut files = Files::create(dir, self.overwrite)?;
        let truth = Truth::new(self.seed);
        let mut lottery = Lottery::new(self.seed);
        let mut attainable = Attainable::new();
        let mut defaults = 0;
        run.progress.start("writing the sample bank", self.rows as u64);
        for start in (0..self.rows).step_by(BLOCK) {
            run.check()?;
            let mut loans = self.draw_block(&truth, start..(start + BLOCK).min(self.rows));
            // The lottery goes row by row; everything around it is parallel.
            for loan in &mut loans {
                loan.default = lottery.draw(loan.probability);
                defaults += usize::from(loan.default);
                attainable.add(loan.probability, loan.default);
            }
            self.write_block(&mut files, &loans)?;
            run.progress.update((start + loans.len()) as u64, "");
        }
        let n_cards = self.rows.div_ceil(APPLICATIONS_A_CARD).min(self.cards);
        let written = if n_cards == 0 {
            payments::Written::default()
        } else {
            payments::write(self.seed, self.rows, n_cards, run, &mut |table, text| files.append_payments(table, text))?
        };
        files.write_texts(self.rows, self.seed, &written.watched)?;
        run.check()?;
        let place = files.finish()?;
        run.progress.finish();
        Ok(SampleFiles {
            applications: place.join(file::APPLICATIONS),
            truth: place.join(file::TRUTH),
            performance: place.join(file::PERFORMANCE),
            customers: place.join(file::CUSTOMERS),
            transactions: place.join("transactions.csv"),
            transfers: place.join("transfers.csv"),
            fraud_answers: place.join("fraud_answers.csv"),
            fraud_rules: place.join(file::FRAUD_RULES),
            project: place.join(file::PROJECT),
            readme: place.join(file::README),
            rows: self.rows,
            defaults,
            n_cards: written.counts.cards,
            n_transactions: written.counts.transactions,
            n_transfers: written.counts.transfers,
            expected_auc: attainable.expected().filter(|_| self.rows > 1),
            drawn_auc: attainable.drawn(),
        })
    }

    fn draw_block(&self, truth: &Truth, rows: std::ops::Range<usize>) -> Vec<Loan> {
        rows.into_par_iter()
            .with_min_len(PART)
            .map(|row| {
                let application = draw(self.seed, row, self.rows);
                let bank_score = old_card(self.seed, row, &application);
                let probability = truth.probability(&application);
                Loan { row, application, bank_score, probability, default: false }
            })
            .collect()
    }

    fn write_block(&self, files: &mut Files, loans: &[Loan]) -> Result<()> {
        let every = self.rows.div_ceil(self.performance_rows.max(1));
        let parts: Vec<[Vec<u8>; 4]> = loans
            .par_chunks(PART)
            .map(|part| {
                let mut text: [Vec<u8>; 4] = Default::default();
                for loan in part {
                    files.push_application(&mut text[0], loan);
                    file::push_truth(&mut text[1], loan);
                    if self.performance_rows > 0 && loan.row.is_multiple_of(every) {
                        let days = payments(self.seed, loan.row, loan.probability, loan.default);
                        files.push_performance(&mut text[2], loan, &days);
                        files.push_customer(&mut text[3], loan, self.seed);
                    }
                }
                text
            })
            .collect();
        parts.iter().try_for_each(|part| files.append(part))
    }
}

#[cfg(test)]
mod tests;
