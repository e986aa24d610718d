//! The cells of a raw column in a few bins, to be counted and shown: parts of about equal size, single values, levels.
//!
//! What few rows have is not told apart: such values and levels are counted among the others.

use crate::scorer::Schema;
use arrow_array::{ArrayRef, RecordBatch};
use serde::{Deserialize, Serialize};
use statera_core::{Error, Kind, Result};
use statera_data::preparer::{category_cells, number_cells, time_cells};
use std::collections::BTreeMap;

/// A value or level of fewer rows may tell of one customer.
pub(crate) const MIN_ROWS: usize = 10;

/// What the cells of a bin have in common. Times are microseconds since 1970, UTC.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum BinLabel {
    /// Numbers from `from` to below `to`; without an end nothing limits them there.
    Range {
        /// Lowest number.
        from: Option<f64>,
        /// Lowest number above.
        to: Option<f64>,
    },
    /// One number.
    Value(f64),
    /// One level.
    Level(String),
    /// Every other value or level, unknown ones included.
    Others,
    /// No cell.
    Missing,
}

/// How the cells of a column fall into bins.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Bins {
    column: String,
    kind: Kind,
    /// In the order of their places; the last two are [`BinLabel::Others`] and [`BinLabel::Missing`].
    labels: Vec<BinLabel>,
    /// Numbers that no range holds.
    sentinels: Vec<f64>,
}

impl Bins {
    /// At most `max_bins` bins (at least 2), sentinels, the others and the missing not counted, of a conformed batch's column:
    /// numbers of few values by value, other numbers and times in parts of about equal size, levels the most frequent first.
    /// `sentinels` are numbers that stand for something else than an amount; each is a bin of its own.
    pub fn of(batch: &RecordBatch, column: &str, kind: Kind, max_bins: usize, sentinels: &[f64]) -> Result<Bins> {
        let cells = Cells::of(batch, column, kind)?;
        let mut labels = match cells {
            Cells::Numbers(values) => {
                let (special, amounts): (Vec<f64>, Vec<f64>) = values.into_iter().partition(|v| sentinels.contains(v));
                let is_frequent = |s: &&f64| special.iter().filter(|v| v == s).count() >= MIN_ROWS;
                let mut labels = number_labels(amounts, max_bins.max(2));
                labels.extend(sentinels.iter().filter(is_frequent).map(|s| BinLabel::Value(*s)));
                labels
            }
            Cells::Levels(levels) => {
                let mut counts: BTreeMap<String, usize> = BTreeMap::new();
                levels.into_iter().flatten().for_each(|level| *counts.entry(level).or_default() += 1);
                let mut order: Vec<(String, usize)> = counts.into_iter().filter(|l| l.1 >= MIN_ROWS).collect();
                order.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
                order.into_iter().take(max_bins.max(2)).map(|(level, _)| BinLabel::Level(level)).collect()
            }
        };
        labels.extend([BinLabel::Others, BinLabel::Missing]);
        Ok(Bins { column: column.into(), kind, labels, sentinels: sentinels.to_vec() })
    }

    /// What the bins are, by place.
    pub fn labels(&self) -> &[BinLabel] {
        &self.labels
    }

    /// The bin of each row.
    pub fn places(&self, batch: &RecordBatch) -> Result<Vec<usize>> {
        let (others, missing) = (self.labels.len() - 2, self.labels.len() - 1);
        Ok(match Cells::of(batch, &self.column, self.kind)? {
            Cells::Numbers(values) => {
                values.iter().map(|&v| if v.is_nan() { missing } else { self.place_of(v).unwrap_or(others) }).collect()
            }
            Cells::Levels(levels) => {
                let known: BTreeMap<&str, usize> =
                    self.labels.iter().enumerate().filter_map(|(i, l)| Some((level(l)?, i))).collect();
                let place = |cell: &Option<String>| match cell {
                    None => missing,
                    Some(cell) => known.get(cell.as_str()).copied().unwrap_or(others),
                };
                levels.iter().map(place).collect()
            }
        })
    }

    /// Rows of each bin.
    pub fn counts(&self, batch: &RecordBatch) -> Result<Vec<f64>> {
        let mut counts = vec![0.0; self.labels.len()];
        self.places(batch)?.into_iter().for_each(|place| counts[place] += 1.0);
        Ok(counts)
    }

    fn place_of(&self, value: f64) -> Option<usize> {
        self.labels.iter().position(|label| match label {
            BinLabel::Range { from, to } => {
                !self.sentinels.contains(&value) && from.is_none_or(|f| value >= f) && to.is_none_or(|t| value < t)
            }
            BinLabel::Value(v) => *v == value,
            _ => false,
        })
    }
}

fn level(label: &BinLabel) -> Option<&str> {
    match label {
        BinLabel::Level(level) => Some(level),
        _ => None,
    }
}

/// The numbers among a column's sentinels.
pub(crate) fn sentinels(schema: &Schema, column: &str) -> Vec<f64> {
    schema.sentinels.get(column).into_iter().flatten().filter_map(|s| s.trim().parse().ok()).collect()
}

enum Cells {
    /// NaN where missing.
    Numbers(Vec<f64>),
    Levels(Vec<Option<String>>),
}

impl Cells {
    fn of(batch: &RecordBatch, column: &str, kind: Kind) -> Result<Cells> {
        let array: &ArrayRef =
            batch.column_by_name(column).ok_or_else(|| Error::data(format!("column «{column}» is missing")))?;
        Ok(match kind {
            Kind::Number => Cells::Numbers(number_cells(column, array)?),
            Kind::Time => {
                let times = time_cells(column, array)?;
                Cells::Numbers(times.into_iter().map(|t| t.map_or(f64::NAN, |t| t as f64)).collect())
            }
            _ => Cells::Levels(category_cells(column, array)?.iter().map(|c| c.map(str::to_string)).collect()),
        })
    }
}

/// Share of the numbers that must recur for them to be told by value.
const RECURRING: f64 = 0.9;

/// Single values where there are few, else parts that end at quantiles.
fn number_labels(values: Vec<f64>, max_bins: usize) -> Vec<BinLabel> {
    let mut sorted: Vec<f64> = values.into_iter().filter(|v| !v.is_nan()).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    let runs: Vec<(f64, usize)> = sorted.chunk_by(|a, b| a == b).map(|run| (run[0], run.len())).collect();
    let frequent: Vec<(f64, usize)> = runs.iter().filter(|r| r.1 >= MIN_ROWS).copied().collect();
    // A number of few values is one whose values nearly all recur; the few that do not are the others. In a small table most
    // values of a count may be rare: then it is cut into parts as any number is.
    let n_frequent: usize = frequent.iter().map(|r| r.1).sum();
    let is_covered = !sorted.is_empty() && n_frequent as f64 >= RECURRING * sorted.len() as f64;
    if runs.len() <= 2 * max_bins && frequent.len() <= max_bins && is_covered {
        return frequent.into_iter().map(|r| BinLabel::Value(r.0)).collect();
    }
    if sorted.is_empty() {
        return Vec::new();
    }
    let mut edges: Vec<f64> = (1..max_bins).map(|i| sorted[i * sorted.len() / max_bins]).collect();
    edges.dedup();
    edges.retain(|e| *e > sorted[0]);
    let at = |i: usize| edges.get(i).copied();
    (0..=edges.len()).map(|i| BinLabel::Range { from: i.checked_sub(1).and_then(at), to: at(i) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{Float64Array, StringArray};
    use std::sync::Arc;

    fn batch() -> RecordBatch {
        let age: Vec<Option<f64>> = (0..100).map(|i| (i % 20 != 0).then_some(f64::from(i))).collect();
        let children: Vec<f64> = (0..100).map(|i| if i == 7 { 9.0 } else { f64::from(i % 3) }).collect();
        let city: Vec<Option<&str>> = (0..100).map(|i| [Some("A"), Some("B"), None, Some("B")][i % 4]).collect();
        let city = city.into_iter().enumerate().map(|(i, c)| if i == 1 { Some("alone") } else { c });
        RecordBatch::try_from_iter([
            ("age", Arc::new(Float64Array::from(age)) as ArrayRef),
            ("children", Arc::new(Float64Array::from(children))),
            ("city", Arc::new(city.collect::<StringArray>())),
        ])
        .unwrap()
    }

    fn counts(column: &str, kind: Kind, max_bins: usize) -> (Vec<BinLabel>, Vec<f64>) {
        let bins = Bins::of(&batch(), column, kind, max_bins, &[]).unwrap();
        (bins.labels().to_vec(), bins.counts(&batch()).unwrap())
    }

    #[test]
    fn numbers_fall_into_parts_or_values_and_levels_into_the_frequent() {
        let (labels, n) = counts("age", Kind::Number, 4);
        assert_eq!(n, [23.0, 24.0, 24.0, 24.0, 0.0, 5.0]);
        assert_eq!(labels[0], BinLabel::Range { from: None, to: Some(25.0) });
        assert_eq!(labels[3], BinLabel::Range { from: Some(75.0), to: None });
        let (labels, n) = counts("children", Kind::Number, 4);
        let shown: Vec<BinLabel> = [0.0, 1.0, 2.0].map(BinLabel::Value).to_vec();
        assert_eq!((&labels[..3], n), (&shown[..], vec![34.0, 32.0, 33.0, 1.0, 0.0]));
        let (labels, n) = counts("city", Kind::Category, 4);
        assert_eq!((&labels[0], &labels[1]), (&BinLabel::Level("B".into()), &BinLabel::Level("A".into())));
        assert_eq!(n, [49.0, 25.0, 1.0, 25.0], "a level of one row is among the others");
    }

    #[test]
    fn counts_of_many_rare_values_fall_into_parts() {
        // Of 100 rows 0 has 12, 1 has 11 and each of 2 … 12 has seven: told by value, 77 rows would be the others.
        let open = [vec![0.0; 12], vec![1.0; 11], (0..77).map(|i| f64::from(2 + i / 7)).collect()].concat();
        let batch = RecordBatch::try_from_iter([("open", Arc::new(Float64Array::from(open)) as ArrayRef)]).unwrap();
        let bins = Bins::of(&batch, "open", Kind::Number, 10, &[]).unwrap();
        let counts = bins.counts(&batch).unwrap();
        let n = bins.labels().len() - 2;
        assert!(bins.labels()[..n].iter().all(|l| matches!(l, BinLabel::Range { .. })), "{:?}", bins.labels());
        assert_eq!((&counts[n..], counts[..n].iter().sum::<f64>()), (&[0.0, 0.0][..], 100.0));
        assert!(n >= 8 && counts[..n].iter().all(|c| (7.0..=23.0).contains(c)), "{counts:?}");
    }

    #[test]
    fn sentinels_are_bins_of_their_own() {
        let months = |i: usize| {
            if i.is_multiple_of(4) {
                999.0
            } else if i == 1 {
                -1.0
            } else {
                i as f64
            }
        };
        let cells = Float64Array::from_iter_values((0..100).map(months));
        let batch = RecordBatch::try_from_iter([("m", Arc::new(cells) as ArrayRef)]).unwrap();
        let bins = Bins::of(&batch, "m", Kind::Number, 2, &[999.0, -1.0]).unwrap();
        let range = |from: Option<f64>, to: Option<f64>| BinLabel::Range { from, to };
        assert_eq!(
            bins.labels(),
            [
                range(None, Some(51.0)),
                range(Some(51.0), None),
                BinLabel::Value(999.0),
                BinLabel::Others,
                BinLabel::Missing
            ]
        );
        assert_eq!(
            bins.counts(&batch).unwrap(),
            [37.0, 37.0, 25.0, 1.0, 0.0],
            "a sentinel of one row is among the others"
        );
    }

    #[test]
    fn empty_and_constant_columns_have_bins() {
        let none = RecordBatch::try_from_iter([
            ("x", Arc::new(Float64Array::from(vec![None; 20])) as ArrayRef),
            ("c", Arc::new(Float64Array::from(vec![3.0; 20])) as ArrayRef),
        ])
        .unwrap();
        let of = |column: &str| Bins::of(&none, column, Kind::Number, 4, &[]).unwrap().counts(&none).unwrap();
        assert_eq!(of("x"), [0.0, 20.0]);
        assert_eq!(of("c"), [20.0, 0.0, 0.0]);
    }
}
