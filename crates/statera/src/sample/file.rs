//! The sample bank's files: their text, and that none is left half-written.

use super::Loan;
use super::application::{
    Application, CHANNELS, EDUCATIONS, EMPLOYMENTS, HOUSINGS, N_MONTHS, PURPOSES, REGIONS, RETIRED, UNEMPLOYED,
};
use super::outcome::PERFORMANCE_MONTHS;
use super::payments;
use crate::file::Partial;
use jiff::ToSpan;
use jiff::civil::{Date, date};
use statera_core::{Error, Result, Rng};
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

pub(super) const APPLICATIONS: &str = "applications.csv";
pub(super) const TRUTH: &str = "truth.csv";
pub(super) const PERFORMANCE: &str = "performance.csv";
pub(super) const CUSTOMERS: &str = "customers.csv";
pub(super) const PROJECT: &str = "project.toml";
pub(super) const README: &str = "README.txt";
pub(super) const FRAUD_RULES: &str = "fraud-rules.toml";
pub(super) const WATCHED: &str = "watched-terminals.txt";
/// What is not a table.
const TEXTS: [&str; 4] = [PROJECT, README, FRAUD_RULES, WATCHED];

/// The tables in the order of [`Files::append`], with their columns.
const TABLES: [(&str, &str); 4] = [
    (
        APPLICATIONS,
        "application_id,customer_id,application_date,sex,age,region,education,employment,employment_years,monthly_income,\
         housing,dependants,requested_amount,term_months,purpose,channel,customer_months,debt_ratio,card_utilisation,\
         open_accounts,history_months,inquiries_6m,delinquencies_24m,months_since_delinquency,savings_balance,bank_score,\
         default\n",
    ),
    (TRUTH, "application_id,probability\n"),
    (PERFORMANCE, "application_id,month_end,days_past_due\n"),
    (CUSTOMERS, "customer_id,snapshot_date,average_balance,overdraft_days\n"),
];

/// Every table with its columns: those above, then those of the payments.
fn tables() -> impl Iterator<Item = (&'static str, &'static str)> {
    TABLES.into_iter().chain(payments::TABLES)
}

/// Begins the hidden name of the folder in which a process writes.
const WORK: &str = ".statera-sample-";

/// The day the applications begin.
const FIRST_DAY: Date = date(2022, 10, 1);

/// Files being written beside their place; dropping them unfinished removes every trace, the folder too if it was made
/// for them.
pub(super) struct Files {
    dir: PathBuf,
    /// Where they are until they are whole.
    work: Partial,
    writers: Vec<BufWriter<File>>,
    /// ISO text of the days of the applications, so that the rows need no calendar.
    days: Vec<String>,
}

/// Removes the unfinished files of processes that were killed.
fn remove_leftovers(dir: &Path) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries.flatten().filter(|e| e.file_name().to_string_lossy().starts_with(WORK)) {
        let is_alive = File::open(entry.path().join(APPLICATIONS)).is_ok_and(|file| file.try_lock().is_err());
        if !is_alive {
            // What cannot be removed is in nobody's way.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

impl Files {
    pub fn create(dir: &Path, overwrite: bool) -> Result<Files> {
        let at = |e: std::io::Error, path: &Path| Error::io(format!("{}: {e}", path.display()));
        let made_dir = !dir.exists();
        // Only an earlier sample is replaced, never somebody's files of the same names.
        let is_sample = fs::read_to_string(dir.join(README)).is_ok_and(|text| text.starts_with("The sample bank ("));
        if !overwrite || !is_sample {
            for name in tables().map(|(name, _)| name).chain(TEXTS) {
                if dir.join(name).exists() {
                    let path = dir.join(name);
                    let path = path.display();
                    return Err(Error::request(format!("{path} exists already; name an empty or a new folder")));
                }
            }
        }
        fs::create_dir_all(dir).map_err(|e| at(e, dir))?;
        remove_leftovers(dir);
        let work = Partial::at(dir.join(format!("{WORK}{}", std::process::id())), made_dir);
        let mut files = Files { dir: dir.into(), work, writers: Vec::new(), days: Vec::new() };
        fs::create_dir(files.work.path()).map_err(|e| at(e, files.work.path()))?;
        for (name, header) in tables() {
            let path = files.work.path().join(name);
            let file = File::create(&path).map_err(|e| at(e, &path))?;
            // Tells another process that this one lives; where a disk knows no locks, the folder is merely kept.
            let _ = file.try_lock();
            let mut writer = BufWriter::with_capacity(1 << 20, file);
            writer.write_all(header.as_bytes()).map_err(|e| at(e, &path))?;
            files.writers.push(writer);
        }
        let end = FIRST_DAY.saturating_add((N_MONTHS as i64).months());
        files.days = FIRST_DAY.series(1.day()).take_while(|day| *day < end).map(|day| day.to_string()).collect();
        Ok(files)
    }

    /// Adds text to one of the payments' tables.
    pub fn append_payments(&mut self, table: usize, text: &[u8]) -> Result<()> {
        let name = payments::TABLES[table].0;
        let written = self.writers[TABLES.len() + table].write_all(text);
        written.map_err(|e| Error::io(format!("{}: {e}", self.dir.join(name).display())))
    }

    /// Adds text to each of the four tables.
    pub fn append(&mut self, text: &[Vec<u8>; 4]) -> Result<()> {
        for ((writer, text), (name, _)) in self.writers.iter_mut().zip(text).zip(TABLES) {
            writer.write_all(text).map_err(|e| Error::io(format!("{}: {e}", self.dir.join(name).display())))?;
        }
        Ok(())
    }

    /// Writes the project file, the explanation and the bank's rules with their list.
    pub fn write_texts(&mut self, rows: usize, seed: u64, watched: &[String]) -> Result<()> {
        let readme =
            include_str!("readme.txt").replace("{rows}", &rows.to_string()).replace("{seed}", &seed.to_string());
        let list =
            watched.iter().fold(String::from("# terminals with frauds reported before August 2025\n"), |list, name| {
                list + name + "\n"
            });
        let digest = blake3::hash(list.as_bytes()).to_hex();
        let rules = include_str!("fraud-rules.toml").replace("{digest}", &digest);
        let texts =
            [(PROJECT, include_str!("project.toml")), (README, &readme), (FRAUD_RULES, &rules), (WATCHED, &list)];
        for (name, text) in texts {
            fs::write(self.work.path().join(name), text)
                .map_err(|e| Error::io(format!("{}: {e}", self.dir.join(name).display())))?;
        }
        Ok(())
    }

    /// Puts everything in its place and tells the folder.
    pub fn finish(mut self) -> Result<PathBuf> {
        for (writer, (name, _)) in self.writers.drain(..).zip(tables()) {
            let failed = |e: std::io::Error| Error::io(format!("{}: {e}", self.dir.join(name).display()));
            let file = writer.into_inner().map_err(|e| failed(e.into_error()))?;
            file.sync_all().map_err(failed)?;
        }
        let Files { dir, work, .. } = self;
        work.publish(|work| {
            for name in tables().map(|(name, _)| name).chain(TEXTS) {
                let to = dir.join(name);
                fs::rename(work.join(name), &to).map_err(|e| Error::io(format!("{}: {e}", to.display())))?;
            }
            Ok(())
        })?;
        Ok(dir)
    }

    fn day_of(&self, a: &Application) -> usize {
        ((a.time * self.days.len() as f64) as usize).min(self.days.len() - 1)
    }

    pub fn push_application(&self, out: &mut Vec<u8>, loan: &Loan) {
        let a = &loan.application;
        // Writing to memory cannot fail.
        let _ = write!(
            out,
            "A{:08},C{:08},{},{},{},{},{},{},",
            loan.row + 1,
            a.customer + 1,
            self.days[self.day_of(a)],
            if a.female { "F" } else { "M" },
            a.age,
            REGIONS[a.region as usize],
            EDUCATIONS[a.education as usize],
            EMPLOYMENTS[a.employment as usize],
        );
        // Who does not work has no years of work.
        let no_years = a.employment_years_missing || matches!(a.employment, RETIRED | UNEMPLOYED);
        push_cell(out, (!no_years).then(|| format!("{:.1}", a.employment_years)));
        push_cell(out, (!a.income_missing).then(|| format!("{:.0}", a.income)));
        let _ = write!(
            out,
            "{},{},{:.0},{},{},{},{},{:.3},",
            HOUSINGS[a.housing as usize],
            a.dependants,
            a.requested_amount,
            a.term_months,
            PURPOSES[a.purpose as usize],
            CHANNELS[a.channel as usize],
            a.customer_months,
            a.debt_ratio,
        );
        push_cell(out, a.utilisation.map(|u| format!("{u:.3}")));
        let _ = write!(out, "{},", a.open_accounts);
        push_cell(out, (!a.history_missing).then(|| a.history_months.to_string()));
        let _ = write!(out, "{},{},{},", a.inquiries_6m, a.delinquencies_24m, a.months_since_delinquency);
        push_cell(out, (!a.savings_missing).then(|| format!("{:.0}", a.savings)));
        let _ = writeln!(out, "{},{}", loan.bank_score, u8::from(loan.default));
    }

    pub fn push_performance(&self, out: &mut Vec<u8>, loan: &Loan, days_past_due: &[u16; PERFORMANCE_MONTHS]) {
        let origin = FIRST_DAY.saturating_add((self.day_of(&loan.application) as i64).days());
        for (i, days) in days_past_due.iter().enumerate() {
            let day = origin.saturating_add((i as i64 + 1).months());
            let _ = writeln!(out, "A{:08},{day},{days}", loan.row + 1);
        }
    }

    /// A snapshot before the application and one after it. The latter shows what followed, so a join that looks ahead is
    /// rewarded with a leak.
    pub fn push_customer(&self, out: &mut Vec<u8>, loan: &Loan, seed: u64) {
        let a = &loan.application;
        let mut rng = Rng::fork(seed ^ 0xc057, loan.row as u64);
        let day = self.day_of(a) as i64;
        let balance = 0.25 * a.savings + 0.4 * a.income;
        let (before, after) = (day - 20 - rng.below(180) as i64, day + 60 + rng.below(240) as i64);
        let strain = a.burden() + a.utilisation.unwrap_or(0.3);
        for (day, strain) in [(before, strain), (after, if loan.default { 4.0 } else { strain })] {
            let average = balance * (0.4 * rng.normal() - 0.3 * strain).exp();
            let overdraft = (6.0 * strain * rng.uniform() * rng.uniform()) as u32;
            // A new customer had no account before.
            if day > self.day_of(a) as i64 || a.customer_months > 6 {
                let day = FIRST_DAY.saturating_add(day.days());
                let _ = writeln!(out, "C{:08},{day},{average:.0},{overdraft}", a.customer + 1);
            }
        }
    }
}

pub(super) fn push_truth(out: &mut Vec<u8>, loan: &Loan) {
    let _ = writeln!(out, "A{:08},{:.6}", loan.row + 1, loan.probability);
}

/// The text of a cell that may be missing, and the comma after it.
fn push_cell(out: &mut Vec<u8>, text: Option<String>) {
    out.extend_from_slice(text.unwrap_or_default().as_bytes());
    out.push(b',');
}
