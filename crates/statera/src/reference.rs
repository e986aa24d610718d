//! How the training rows were distributed: kept for monitoring, and for drawing synthetic rows that are taken from no customer.

use arrow_array::{
    Array, ArrayRef, Decimal128Array, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow_schema::{DataType, Field, Schema as ArrowSchema};
use serde::{Deserialize, Serialize};
use statera_core::{Error, Kind, Result, Rng};
use statera_data::conform::InputColumn;
use statera_data::preparer::{category_cells, number_cells, time_cells};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Quantiles that are kept of a number.
const N_QUANTILES: usize = 101;
/// Levels that are kept of a category, the most frequent ones.
const MAX_LEVELS: usize = 100;
/// A level of fewer rows may tell of one customer; it counts among the others.
const MIN_LEVEL_ROWS: usize = 10;

/// A level that is drawn in place of those that scoring may meet and training did not.
pub(crate) const UNKNOWN_LEVEL: &str = "a level that training did not see";

/// The distribution of one raw column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Distribution {
    /// Numbers and times (microseconds UTC).
    Quantiles {
        /// Share of missing cells, 0 to 1.
        missing: f64,
        /// Quantiles 0, 1 %, … 100 % of the cells that are there, empty if none is; the ends are those at 1 % and 99 %,
        /// because the smallest and the largest value belong to single customers.
        values: Vec<f64>,
    },
    /// Levels with their shares among the cells that are there, the most frequent first.
    Levels {
        /// Share of missing cells, 0 to 1.
        missing: f64,
        /// Level and share.
        levels: Vec<(String, f64)>,
        /// Share of the levels that are not listed.
        others: f64,
    },
}

/// `reference.json`: the training rows' distributions, by raw column, and that of the margin.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reference {
    /// Training rows.
    pub n_rows: usize,
    /// By raw column.
    pub columns: BTreeMap<String, Distribution>,
    /// Quantiles 0, 1 %, … 100 % of the out-of-fold margins, drawn together as the final model's average is, one list per
    /// output.
    pub margins: Vec<Vec<f64>>,
}

impl Reference {
    /// The distributions of the columns `inputs` of a conformed batch.
    pub fn of(batch: &RecordBatch, inputs: &[InputColumn]) -> Result<Reference> {
        let mut columns = BTreeMap::new();
        for input in inputs {
            let column = batch
                .column_by_name(&input.name)
                .ok_or_else(|| Error::data(format!("column «{}» is missing", input.name)))?;
            let distribution = match input.kind {
                Kind::Number => quantiles_of(number_cells(&input.name, column)?),
                Kind::Time => quantiles_of(
                    time_cells(&input.name, column)?.into_iter().map(|t| t.map_or(f64::NAN, |t| t as f64)).collect(),
                ),
                _ => levels_of(category_cells(&input.name, column)?),
            };
            columns.insert(input.name.clone(), distribution);
        }
        Ok(Reference { n_rows: batch.num_rows(), columns, margins: Vec::new() })
    }

    /// `n` synthetic rows: every column is drawn by itself from its distribution, so that a row equals a training row
    /// by chance only; some cells are missing and some levels unknown, whatever the training rows had.
    pub fn draw(&self, inputs: &[InputColumn], n: usize, seed: u64) -> Result<RecordBatch> {
        let mut fields = Vec::new();
        let mut arrays: Vec<ArrayRef> = Vec::new();
        for (i, input) in inputs.iter().enumerate() {
            let distribution = self
                .columns
                .get(&input.name)
                .ok_or_else(|| Error::damaged(format!("reference.json: no distribution of column «{}»", input.name)))?;
            let mut rng = Rng::fork(seed, i as u64);
            fields.push(Field::new(&input.name, input.data_type.clone(), true));
            arrays.push(match distribution {
                Distribution::Quantiles { missing, values } => {
                    let cells = (0..n).map(|_| draw_number(&mut rng, *missing, values)).collect();
                    number_array(cells, &input.data_type)?
                }
                Distribution::Levels { missing, levels, .. } => {
                    Arc::new((0..n).map(|_| draw_level(&mut rng, *missing, levels)).collect::<StringArray>())
                }
            });
        }
        RecordBatch::try_new(Arc::new(ArrowSchema::new(fields)), arrays).map_err(|e| Error::damaged(e.to_string()))
    }
}

/// Quantiles 0, 1 %, … 100 % of values without NaN.
pub fn quantiles(mut values: Vec<f64>) -> Vec<f64> {
    if values.is_empty() {
        return values;
    }
    values.sort_unstable_by(f64::total_cmp);
    let last = values.len() - 1;
    (0..N_QUANTILES).map(|q| values[(last * q + (N_QUANTILES - 1) / 2) / (N_QUANTILES - 1)]).collect()
}

/// The same where row i counts `weight[i]`: at each share the smallest value up to which the rows have that share of the weight.
/// One finite weight a value, 0 or more.
pub fn weighted_quantiles(values: &[f64], weight: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).filter(|&row| weight[row] > 0.0).collect();
    order.sort_unstable_by(|&a, &b| values[a].total_cmp(&values[b]));
    let total: f64 = order.iter().map(|&row| weight[row]).sum();
    let mut quantiles = Vec::with_capacity(N_QUANTILES);
    let mut up_to = 0.0;
    for row in order {
        up_to += weight[row];
        // The last value ends every share, however its sum is rounded.
        while quantiles.len() < N_QUANTILES && up_to >= total * quantiles.len() as f64 / (N_QUANTILES - 1) as f64 {
            quantiles.push(values[row]);
        }
    }
    if let Some(last) = quantiles.last().copied() {
        quantiles.resize(N_QUANTILES, last);
    }
    quantiles
}

fn quantiles_of(cells: Vec<f64>) -> Distribution {
    let n = cells.len().max(1);
    let there: Vec<f64> = cells.into_iter().filter(|v| !v.is_nan()).collect();
    let missing = (n - there.len().min(n)) as f64 / n as f64;
    let mut values = quantiles(there);
    if let [first, second, .., last_but_one, last] = values.as_mut_slice() {
        *first = *second;
        *last = *last_but_one;
    }
    Distribution::Quantiles { missing, values }
}

fn levels_of(cells: &StringArray) -> Distribution {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for level in cells.iter().flatten() {
        *counts.entry(level).or_default() += 1;
    }
    let there: usize = counts.values().sum();
    let mut order: Vec<(&str, usize)> = counts.into_iter().collect();
    order.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0)));
    let share = |count: usize| count as f64 / there.max(1) as f64;
    let n_kept = order.iter().take(MAX_LEVELS).filter(|o| o.1 >= MIN_LEVEL_ROWS).count();
    let others = order.iter().skip(n_kept).map(|o| share(o.1)).sum();
    let levels = order.into_iter().take(n_kept).map(|(level, count)| (level.to_string(), share(count))).collect();
    let n = cells.len().max(1);
    Distribution::Levels { missing: (n - there.min(n)) as f64 / n as f64, levels, others }
}

fn draw_number(rng: &mut Rng, missing: f64, values: &[f64]) -> Option<f64> {
    let (nothing, u) = (rng.uniform(), rng.uniform());
    if values.is_empty() || nothing < missing.max(0.02) {
        return None;
    }
    let at = u * (values.len() - 1) as f64;
    let (low, share) = (at as usize, at - at.floor());
    let high = (low + 1).min(values.len() - 1);
    Some(values[low] + share * (values[high] - values[low]))
}

fn draw_level(rng: &mut Rng, missing: f64, levels: &[(String, f64)]) -> Option<String> {
    let (nothing, mut u) = (rng.uniform(), rng.uniform());
    if nothing < missing.max(0.02) {
        return None;
    }
    if nothing > 0.98 {
        return Some(UNKNOWN_LEVEL.into());
    }
    for (level, share) in levels {
        if u < *share {
            return Some(level.clone());
        }
        u -= share;
    }
    levels.first().map(|l| l.0.clone())
}

/// Numbers, or times in microseconds UTC, as an array of a raw column's type.
pub(crate) fn number_array(cells: Vec<Option<f64>>, data_type: &DataType) -> Result<ArrayRef> {
    Ok(match data_type {
        DataType::Int64 => Arc::new(cells.into_iter().map(|v| v.map(|v| v.round() as i64)).collect::<Int64Array>()),
        DataType::Float64 => Arc::new(cells.into_iter().collect::<Float64Array>()),
        DataType::Decimal128(precision, scale) => {
            let unit = 10f64.powi(i32::from(*scale));
            let cells = cells.into_iter().map(|v| v.map(|v| (v * unit).round() as i128));
            let array = cells.collect::<Decimal128Array>().with_precision_and_scale(*precision, *scale);
            Arc::new(array.map_err(|e| Error::damaged(e.to_string()))?)
        }
        DataType::Timestamp(..) => Arc::new(
            cells
                .into_iter()
                .map(|v| v.map(|v| v.round() as i64))
                .collect::<TimestampMicrosecondArray>()
                .with_timezone_opt(timezone(data_type)),
        ),
        other => return Err(Error::damaged(format!("schema.json: a number cannot be {other}"))),
    })
}

fn timezone(data_type: &DataType) -> Option<Arc<str>> {
    match data_type {
        DataType::Timestamp(_, zone) => zone.clone(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weight_of_two_is_the_value_twice_and_of_zero_no_value() {
        let (values, weight) = ([4.0, 1.0, 9.0, 2.0], [2.0, 1.0, 0.0, 1.0]);
        let found = weighted_quantiles(&values, &weight);
        assert_eq!(found, weighted_quantiles(&[1.0, 2.0, 4.0, 4.0], &[0.1; 4]));
        // A quarter of the weight is 1, a quarter 2, half 4.
        assert_eq!((found.len(), found[0], found[25], found[26]), (N_QUANTILES, 1.0, 1.0, 2.0));
        assert_eq!((found[50], found[51], found[100]), (2.0, 4.0, 4.0));
        assert_eq!(weighted_quantiles(&[], &[]), [0.0; 0]);
    }
}
