//! What tells a segment from all rows, in the table's own units.

use crate::project::Settings;
use crate::training_set::TrainingSet;
use arrow_array::Array;
use serde::{Deserialize, Serialize};
use statera_core::{Kind, Result};
use statera_data::preparer::{category_cells, number_cells};
use std::collections::BTreeMap;

/// Differences of a segment that are kept.
const MAX_DIFFERENCES: usize = 5;

/// One segment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Segment {
    /// Its name, the class in scores.
    pub name: String,
    /// Rows.
    pub n_rows: usize,
    /// Share of all rows.
    pub share: f64,
    /// Mean Jaccard similarity to its likest cluster under resampling (Hennig 2007): above 0.75 it is stable, below 0.6 it
    /// should not be trusted.
    pub stability: f64,
    /// The numbers in which it differs most from all rows.
    pub numbers: Vec<NumberDifference>,
    /// The levels in which it differs most from all rows.
    pub levels: Vec<LevelDifference>,
}

/// A number column within a segment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NumberDifference {
    /// Raw column.
    pub column: String,
    /// Mean in the segment, of the cells that are amounts.
    pub mean: f64,
    /// Mean of all rows.
    pub overall: f64,
    /// The difference in standard deviations of all rows.
    pub standardised: f64,
}

/// A level of a category within a segment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LevelDifference {
    /// Raw column.
    pub column: String,
    /// Level.
    pub level: String,
    /// Share of the segment's rows.
    pub share: f64,
    /// Share of all rows.
    pub overall: f64,
}

/// Every segment of the rows in `clusters`.
pub(super) fn segments(
    set: &TrainingSet,
    clusters: &[usize],
    names: &[String],
    stability: &[f64],
    settings: &Settings,
) -> Result<Vec<Segment>> {
    let mut segments: Vec<Segment> = Vec::new();
    for (j, name) in names.iter().enumerate() {
        let rows: Vec<usize> = (0..clusters.len()).filter(|&i| clusters[i] == j).collect();
        segments.push(Segment {
            name: name.clone(),
            n_rows: rows.len(),
            share: rows.len() as f64 / clusters.len() as f64,
            stability: stability[j],
            numbers: numbers(set, &rows, settings)?,
            levels: levels(set, &rows)?,
        });
    }
    Ok(segments)
}

/// The numbers whose mean in `rows` is farthest from that of all rows, the farthest first.
fn numbers(set: &TrainingSet, rows: &[usize], settings: &Settings) -> Result<Vec<NumberDifference>> {
    let mut found = Vec::new();
    for (name, _) in set.features.iter().filter(|(_, kind)| *kind == Kind::Number) {
        let Some(column) = set.batch.column_by_name(name) else { continue };
        let sentinels: Vec<f64> =
            settings.missing.get(name).into_iter().flatten().filter_map(|text| text.trim().parse().ok()).collect();
        let cells = number_cells(name, column)?;
        let is_amount = |v: &f64| !v.is_nan() && !sentinels.contains(v);
        let mean = |values: &mut dyn Iterator<Item = f64>| {
            let (sum, n) = values.filter(is_amount).fold((0.0, 0.0), |(sum, n), v| (sum + v, n + 1.0));
            (n > 0.0).then(|| sum / n)
        };
        let overall = mean(&mut cells.iter().copied());
        let (Some(overall), Some(own)) = (overall, mean(&mut rows.iter().map(|&i| cells[i]))) else { continue };
        let squares = mean(&mut cells.iter().map(|v| if is_amount(v) { (v - overall).powi(2) } else { f64::NAN }));
        let deviation = squares.unwrap_or(0.0).sqrt();
        if deviation > 0.0 {
            let standardised = (own - overall) / deviation;
            found.push(NumberDifference { column: name.clone(), mean: own, overall, standardised });
        }
    }
    found.sort_by(|a, b| b.standardised.abs().total_cmp(&a.standardised.abs()).then_with(|| a.column.cmp(&b.column)));
    found.truncate(MAX_DIFFERENCES);
    Ok(found)
}

/// The levels whose share in `rows` is farthest from that in all rows, the farthest first.
fn levels(set: &TrainingSet, rows: &[usize]) -> Result<Vec<LevelDifference>> {
    let mut found = Vec::new();
    for (name, _) in set.features.iter().filter(|(_, kind)| *kind == Kind::Category) {
        let Some(column) = set.batch.column_by_name(name) else { continue };
        let cells = category_cells(name, column)?;
        let mut counts: BTreeMap<&str, [usize; 2]> = BTreeMap::new();
        cells.iter().flatten().for_each(|level| counts.entry(level).or_default()[1] += 1);
        for &row in rows.iter().filter(|&&row| cells.is_valid(row)) {
            counts.entry(cells.value(row)).or_default()[0] += 1;
        }
        found.extend(counts.into_iter().map(|(level, [own, all])| LevelDifference {
            column: name.clone(),
            level: level.into(),
            share: own as f64 / rows.len().max(1) as f64,
            overall: all as f64 / cells.len() as f64,
        }));
    }
    let far = |d: &LevelDifference| (d.share - d.overall).abs();
    found.sort_by(|a, b| far(b).total_cmp(&far(a)).then_with(|| (&a.column, &a.level).cmp(&(&b.column, &b.level))));
    found.truncate(MAX_DIFFERENCES);
    Ok(found)
}
