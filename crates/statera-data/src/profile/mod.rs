//! What a table holds, before anything is learnt from it: a summary of each column, and what deserves a second look —
//! identifiers of persons, columns that give the target away, duplicates, constants, drift.
//!
//! Figures are exact, not sampled (only [`crate::personal`] samples long columns), and the same for any number of threads.
//! Cells of identifiers and free text are never shown: such columns are described by the length of their cells. Deliberately
//! absent: correlations between columns, and any change to the table.

mod cells;
mod chart;
mod column;
mod drift;
mod duplicate;
pub mod figure;
mod hash;
mod html;
mod leak;
mod level;
mod loan;
mod number;
mod period;
mod target;
mod terminal;
#[cfg(test)]
mod tests;
mod warning;

pub use column::{ColumnProfile, Detail, KeyLengths, TimeSummary};
pub use drift::{Drift, DriftRow, PeriodRow};
pub use duplicate::Duplicates;
pub use leak::leak_suspects;
pub use level::{LevelCount, LevelSummary};
pub use loan::{Cohort, LoanColumns, LoanPerformance, RollRates};
pub use number::{Histogram, NumberSummary};
pub use period::Period;
pub use target::{TargetKind, TargetProfile};
pub use warning::{Warning, WarningKind};

use crate::Table;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use statera_core::{Error, Kind, Result, Run};
use std::collections::BTreeMap;
use target::Classes;

/// A single column with a higher AUC than this is suspected to know the target.
pub const LEAK_AUC: f64 = 0.95;
/// Population stability index above which a column has drifted, by the usual rule of thumb.
pub const DRIFT_PSI: f64 = 0.25;

/// What to look at.
#[derive(Debug, Clone, Default)]
pub struct ProfileOptions {
    /// Column to be predicted.
    pub target: Option<String>,
    /// The target's value that counts as the event; `None` takes `1`, `yes`, `true`, `bad`, `default` or `fraud` where there is
    /// one, else the rarer value.
    pub positive: Option<String>,
    /// Column of kind time that orders the rows; turns on drift.
    pub time: Option<String>,
    /// Calendar unit of drift; `None` takes the finest that makes a readable number of periods.
    pub period: Option<Period>,
    /// Column that names the rows, left aside when looking for repeated rows, beside columns in which nearly every cell differs.
    pub id: Option<String>,
    /// Numbers that mean missing, by column.
    pub missing: BTreeMap<String, Vec<f64>>,
    /// Columns of a performance table; turns on vintages and roll rates.
    pub loans: Option<LoanColumns>,
}

/// A table's profile. Shares are between 0 and 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Where the table came from.
    pub origin: String,
    /// Rows.
    pub n_rows: usize,
    /// What deserves a second look, gravest first.
    pub warnings: Vec<Warning>,
    /// The target, where one was named.
    pub target: Option<TargetProfile>,
    /// Rows that occur more than once.
    pub duplicates: Duplicates,
    /// One entry per column, in the table's order.
    pub columns: Vec<ColumnProfile>,
    /// How columns and target move with time, where a time column was named.
    pub drift: Option<Drift>,
    /// Vintages and roll rates, where loan columns were named.
    pub loans: Option<LoanPerformance>,
}

impl Profile {
    /// Profiles a table on `run.threads` threads.
    ///
    /// # Errors
    /// A column named in the options is absent or of the wrong kind; the positive value does not occur in the target; a
    /// column's physical type is none of those of [`Table`]; the run is cancelled.
    pub fn of(table: &Table, options: &ProfileOptions, run: &Run) -> Result<Profile> {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(run.threads)
            .build()
            .map_err(|e| Error::io(format!("{} threads could not be started: {e}", run.threads)))?;
        pool.install(|| profile(table, options, run))
    }

    /// One self-contained page: own styles, system fonts, light and dark, nothing fetched.
    ///
    /// # Errors
    /// None for a profile made by [`Profile::of`]; a template fault would be reported as data.
    pub fn to_html(&self, title: &str) -> Result<String> {
        html::render(self, title)
    }

    /// Lines for a terminal of `width` columns (at least 60 are used), warnings first.
    pub fn to_text(&self, width: usize) -> String {
        terminal::render(self, width)
    }

    /// Share of missing cells in the table.
    pub fn missing_share(&self) -> f64 {
        let n_missing: usize = self.columns.iter().map(ColumnProfile::n_nothing).sum();
        share(n_missing, self.n_rows * self.columns.len())
    }
}

/// The whole profile, inside the pool.
fn profile(table: &Table, options: &ProfileOptions, run: &Run) -> Result<Profile> {
    check_names(table, options)?;
    let sentinels = |name: &str| options.missing.get(name).map_or(&[][..], Vec::as_slice);
    let classes = match &options.target {
        Some(name) => target::read(table, name, options.positive.as_deref(), sentinels(name))?,
        None => Classes::none(table.n_rows()),
    };
    let timeline = match &options.time {
        Some(name) => Some(period::Timeline::read(table, name, options.period)?),
        None => None,
    };
    run.progress.start("profiling", table.columns.len() as u64);
    let n_done = std::sync::atomic::AtomicU64::new(0);
    let parts: Vec<(ColumnProfile, Option<Vec<Option<f64>>>)> = (0..table.columns.len())
        .into_par_iter()
        .map(|idx| {
            run.check()?;
            let info = &table.columns[idx];
            let cells = cells::read(table, idx, sentinels(&info.name))?;
            let is_target = options.target.as_ref() == Some(&info.name);
            let column = column::summarise(table, idx, &cells, &classes, is_target)?;
            let moves = matches!(info.kind, Kind::Number | Kind::Category) && column.personal.is_none() && !is_target;
            let psi = timeline.as_ref().filter(|_| moves).map(|t| drift::stability(&cells, t));
            run.progress.update(n_done.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1, &info.name);
            Ok((column, psi))
        })
        .collect::<Result<_>>()?;
    let (columns, psi): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
    let is_id = |c: &ColumnProfile| c.near_unique || options.id.as_ref().is_some_and(|id| *id == c.name);
    let ids: Vec<bool> = columns.iter().map(is_id).collect();
    let duplicates = duplicate::count(table, &ids, run)?;
    let drift = timeline.map(|t| drift::assemble(&t, &columns, psi, &classes));
    let loans = options.loans.as_ref().map(|names| loan::performance(table, names)).transpose()?;
    run.progress.finish();
    let target = classes.profile;
    let mut out = Profile {
        origin: table.origin.clone(),
        n_rows: table.n_rows(),
        warnings: Vec::new(),
        target,
        duplicates,
        columns,
        drift,
        loans,
    };
    out.warnings = warning::of(&out);
    Ok(out)
}

/// Refuses options that name columns which are not there.
fn check_names(table: &Table, options: &ProfileOptions) -> Result<()> {
    for name in options.id.iter().chain(options.missing.keys()) {
        table.column(name)?;
    }
    Ok(())
}

/// `part / whole`, 0 where the whole is empty.
pub(crate) fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}
