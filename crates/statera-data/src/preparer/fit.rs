//! Learning what the transformation needs, from training rows only.

use super::cell::{category_cells, number_cells, time_cells};
use super::{ColumnPlan, DatePart, Derived, NumberPlan, Preparer, PreparerParams};
use arrow_array::{Array, ArrayRef, RecordBatch};
use jiff::tz::TimeZone;
use rayon::prelude::*;
use statera_core::{Error, Kind, Result};
use std::collections::HashMap;

impl Preparer {
    /// Learns from the rows `rows` of `batch`; `weight` (by row of the batch) counts rows, and a row of weight 0 is none.
    ///
    /// # Errors
    /// A column that is absent, of another type, infinite somewhere, or without a value in every training row.
    pub fn fit(
        params: &PreparerParams,
        batch: &RecordBatch,
        rows: &[usize],
        weight: Option<&[f64]>,
    ) -> Result<Preparer> {
        if let Some(share) = params.winsorize.filter(|s| !(0.0..0.5).contains(s)) {
            return Err(Error::request(format!("winsorize is {share}; it must be at least 0 and below 0.5")));
        }
        let mut rows = rows.to_vec();
        if let Some(weight) = weight {
            rows.retain(|&r| weight[r] > 0.0);
        }
        let fit = Fit { params, rows: &rows, weight, zone: zone(&params.tz)?, as_of: as_of(params, batch)? };
        let plans: Vec<ColumnPlan> = params
            .columns
            .par_iter()
            .map(|(name, kind)| fit.column(name, *kind, column(batch, name)?))
            .collect::<Result<_>>()?;
        let monotone = params.columns.iter().map(|(name, _)| params.monotone.get(name).copied().unwrap_or(0)).collect();
        let mut preparer = Preparer {
            form: params.form,
            tz: params.tz.clone(),
            as_of: params.as_of.clone(),
            raw_columns: params.columns.iter().map(|(name, _)| name.clone()).collect(),
            plans,
            monotone,
            sequences: params.sequences.clone(),
            grids: params.grids.clone(),
            fans: params.fans.clone(),
            derived: Derived::default(),
        };
        preparer.derive()?;
        Ok(preparer)
    }
}

/// The zone of that name.
fn zone(name: &str) -> Result<TimeZone> {
    TimeZone::get(name)
        .map_err(|_| Error::request(format!("time zone «{name}» is not known; use an IANA name such as Asia/Seoul")))
}

/// A column of a batch by name.
pub(super) fn column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef> {
    batch.column_by_name(name).ok_or_else(|| Error::data(format!("column «{name}» is missing")))
}

/// Observation times, where a column is declared.
pub(super) fn as_of(params: &PreparerParams, batch: &RecordBatch) -> Result<Option<Vec<Option<i64>>>> {
    params.as_of.as_ref().map(|name| time_cells(name, column(batch, name)?)).transpose()
}

struct Fit<'a> {
    params: &'a PreparerParams,
    rows: &'a [usize],
    weight: Option<&'a [f64]>,
    zone: TimeZone,
    as_of: Option<Vec<Option<i64>>>,
}

impl Fit<'_> {
    fn weight_of(&self, row: usize) -> f64 {
        self.weight.map_or(1.0, |w| w[row])
    }

    fn column(&self, name: &str, kind: Kind, cells: &ArrayRef) -> Result<ColumnPlan> {
        match kind {
            Kind::Number => {
                let cells = number_cells(name, cells)?;
                Ok(ColumnPlan::Number(self.number(&cells, &self.sentinels(name)?)))
            }
            Kind::Category => self.category(name, cells),
            Kind::Time => self.time(name, cells),
            Kind::Text | Kind::Identifier => {
                Err(Error::request(format!("column «{name}» is of kind {}, which is no feature", kind.name())))
            }
        }
    }

    /// The declared sentinels of a number column, ascending.
    fn sentinels(&self, name: &str) -> Result<Vec<f64>> {
        let mut values = Vec::new();
        for text in self.params.sentinels.get(name).into_iter().flatten() {
            let value = text.trim().parse::<f64>().ok().filter(|v| v.is_finite());
            values.push(value.ok_or_else(|| {
                Error::request(format!("--missing {name}={text}: column «{name}» holds numbers, and «{text}» is none"))
            })?);
        }
        values.sort_by(f64::total_cmp);
        values.dedup();
        Ok(values)
    }

    fn number(&self, cells: &[f64], sentinels: &[f64]) -> NumberPlan {
        let mut amounts: Vec<(f64, f64)> = Vec::with_capacity(self.rows.len());
        let mut has_missing = false;
        for &row in self.rows {
            let value = cells[row];
            has_missing |= value.is_nan();
            if !value.is_nan() && !sentinels.contains(&value) {
                amounts.push((value, self.weight_of(row)));
            }
        }
        // Without any amount (a source that came later) the column is a constant, and its missing cells are flagged.
        amounts.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        let limits = self.params.winsorize.map(|share| [quantile(&amounts, share), quantile(&amounts, 1.0 - share)]);
        let median = quantile(&amounts, 0.5);
        let clip = |v: f64| limits.map_or(v, |[low, high]| v.max(low).min(high));
        // Cells that are no amount are filled with the median, so they enter mean and deviation as such.
        let filled: f64 = self.rows.iter().map(|&r| self.weight_of(r)).sum::<f64>();
        let (mut sum, mut weight) = (0.0, 0.0);
        for &(v, w) in &amounts {
            sum += clip(v) * w;
            weight += w;
        }
        let mean = (sum + (filled - weight).max(0.0) * clip(median)) / filled;
        // A sum of numbers near the largest there are overflows; then the median is centre enough.
        let mean = if mean.is_finite() { mean } else { clip(median) };
        let mut squares = (filled - weight).max(0.0) * (clip(median) - mean).powi(2);
        squares += amounts.iter().map(|&(v, w)| w * (clip(v) - mean).powi(2)).sum::<f64>();
        let sd = (squares / filled).sqrt();
        let sd = if sd > 1e-12 * mean.abs().max(1e-300) && sd.is_finite() { sd } else { 1.0 };
        NumberPlan { limits, sentinels: sentinels.to_vec(), has_missing, median: clip(median), mean, sd }
    }

    fn category(&self, name: &str, cells: &ArrayRef) -> Result<ColumnPlan> {
        let cells = category_cells(name, cells)?;
        let mut weights: HashMap<&str, f64> = HashMap::new();
        let mut has_missing = false;
        for &row in self.rows {
            if cells.is_null(row) {
                has_missing = true;
            } else {
                *weights.entry(cells.value(row)).or_default() += self.weight_of(row);
            }
        }
        let declared = self.params.sentinels.get(name);
        let mut order: Vec<(&str, f64)> = weights.into_iter().collect();
        order.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(b.0)));
        let (mut levels, mut rare) = (Vec::new(), Vec::new());
        for (level, weight) in order {
            // A declared sentinel stands alone however rare it is: it is a different thing from a rare level.
            let sentinel = declared.is_some_and(|s| s.iter().any(|x| x == level));
            let frequent = weight >= self.params.rare_rows && levels.len() < self.params.max_levels;
            if sentinel || frequent { levels.push(level.to_string()) } else { rare.push(level.to_string()) }
        }
        rare.sort();
        Ok(ColumnPlan::Category { levels, rare, has_missing })
    }

    fn time(&self, name: &str, cells: &ArrayRef) -> Result<ColumnPlan> {
        let cells = time_cells(name, cells)?;
        let mut parts = vec![DatePart::Month, DatePart::Day, DatePart::Weekday];
        let has_hours =
            self.rows.iter().filter_map(|&r| cells[r]).any(|t| date_part(DatePart::Hour, t, None, &self.zone) != 0.0);
        if has_hours {
            parts.push(DatePart::Hour);
        }
        if self.as_of.is_some() {
            parts.push(DatePart::DaysBefore);
        }
        let plans = parts.into_iter().map(|part| {
            let values = part_cells(part, &cells, self.as_of.as_deref(), &self.zone);
            (part, self.number(&values, &[]))
        });
        Ok(ColumnPlan::Time(plans.collect()))
    }
}

/// A part of each time, NaN where missing.
pub(super) fn part_cells(
    part: DatePart,
    cells: &[Option<i64>],
    as_of: Option<&[Option<i64>]>,
    zone: &TimeZone,
) -> Vec<f64> {
    let value = |(row, cell): (usize, &Option<i64>)| {
        cell.map_or(f64::NAN, |t| date_part(part, t, as_of.and_then(|times| times[row]), zone))
    };
    cells.iter().enumerate().map(value).collect()
}

fn date_part(part: DatePart, micros: i64, as_of: Option<i64>, zone: &TimeZone) -> f64 {
    if part == DatePart::DaysBefore {
        return as_of.map_or(f64::NAN, |now| (now - micros).div_euclid(86_400_000_000) as f64);
    }
    let Ok(instant) = jiff::Timestamp::from_microsecond(micros) else { return f64::NAN };
    let local = zone.to_datetime(instant);
    match part {
        DatePart::Month => f64::from(local.month()),
        DatePart::Day => f64::from(local.day()),
        DatePart::Weekday => f64::from(local.weekday().to_monday_one_offset()),
        DatePart::Hour | DatePart::DaysBefore => f64::from(local.hour()),
    }
}

/// The smallest value with at least the share `q` of the weight at or below it; 0 without values.
fn quantile(sorted: &[(f64, f64)], q: f64) -> f64 {
    let total: f64 = sorted.iter().map(|&(_, w)| w).sum();
    let mut seen = 0.0;
    for &(value, weight) in sorted {
        seen += weight;
        if seen >= q * total {
            return value;
        }
    }
    sorted.last().map_or(0.0, |&(value, _)| value)
}
