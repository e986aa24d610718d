//! How a model depends on its most important columns: what each adds by its own value, and which act together.

use crate::bins::{self, BinLabel, Bins, MIN_ROWS};
use crate::scorer::Scorer;
use crate::training_set::{at_even_steps, take_rows};
use arrow_array::RecordBatch;
use serde::{Deserialize, Serialize};
use statera_core::metric::Z_95;
use statera_core::{Attributions, Error, Kind, Result};

/// Columns whose dependence is kept.
const N_COLUMNS: usize = 8;
/// Bins of a column, and the rows that each should have at least.
const N_BINS: usize = 10;
const ROWS_A_BIN: usize = 20;
/// Columns whose pairs are tried, and the rows that are.
const N_INTERACTING: usize = 6;
const INTERACTION_ROWS: usize = 300;

/// What a column adds to the margin, by its own value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dependence {
    /// The raw column.
    pub column: String,
    /// Its bins that have enough rows, ascending; levels the most frequent first.
    pub bins: Vec<DependenceBin>,
}

/// What the cells of a bin add on average.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DependenceBin {
    /// The cells.
    pub label: BinLabel,
    /// Rows.
    pub n_rows: usize,
    /// Mean attribution, in margin units.
    pub mean: f64,
    /// Lower end of the mean's 95 % interval (normal).
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// Two columns that act together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Interaction {
    /// The two raw columns.
    pub columns: [String; 2],
    /// Mean of |f(x) − f(xᵢ) − f(xⱼ) + f(xᵢⱼ)| in margin units, where the cell of a column, of the other, or of both is
    /// taken from another row: 0 exactly where what one adds does not depend on the other.
    pub strength: f64,
    /// Rows that it is the mean of.
    pub n_rows: usize,
}

/// Mean attributions by value of the columns that `importance` names first, of a model of one output.
///
/// `attributions` are of the rows of `batch`, in the order of `scorer.raw_columns()`.
pub(crate) fn dependence(
    scorer: &Scorer,
    batch: &RecordBatch,
    attributions: &Attributions,
    importance: &[(String, f64)],
) -> Result<Vec<Dependence>> {
    if attributions.n_outputs != 1 {
        return Ok(Vec::new());
    }
    let n_bins = (batch.num_rows() / ROWS_A_BIN).clamp(2, N_BINS);
    let moving = importance.iter().filter(|(_, size)| *size > 0.0).take(N_COLUMNS);
    moving.map(|(column, _)| of_column(scorer, batch, attributions, column, n_bins)).collect()
}

fn of_column(
    scorer: &Scorer,
    batch: &RecordBatch,
    attributions: &Attributions,
    column: &str,
    n_bins: usize,
) -> Result<Dependence> {
    let place = scorer.raw_columns().iter().position(|c| c == column);
    let place = place.ok_or_else(|| Error::data(format!("column «{column}» is not the model's")))?;
    let bins = Bins::of(batch, column, kind_of(scorer, column), n_bins, &bins::sentinels(scorer.schema(), column))?;
    let mut values: Vec<Vec<f64>> = vec![Vec::new(); bins.labels().len()];
    for (row, bin) in bins.places(batch)?.into_iter().enumerate() {
        values[bin].push(attributions.of(row, 0)[place]);
    }
    let shown = bins.labels().iter().zip(values).filter(|(_, values)| values.len() >= MIN_ROWS);
    Ok(Dependence { column: column.into(), bins: shown.map(|(label, values)| bin_of(label, &values)).collect() })
}

fn bin_of(label: &BinLabel, values: &[f64]) -> DependenceBin {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0).max(1.0);
    let half = Z_95 * (variance / n).sqrt();
    DependenceBin { label: label.clone(), n_rows: values.len(), mean, low: mean - half, high: mean + half }
}

fn kind_of(scorer: &Scorer, column: &str) -> Kind {
    scorer.schema().inputs.iter().find(|i| i.name == column).map_or(Kind::Category, |i| i.kind)
}

/// Pairs of the most important columns by how much they act together, the strongest first, of a model of one output; pairs
/// that do not are left out. Each row takes its other cells from the row half the table away.
pub(crate) fn interactions(
    scorer: &Scorer,
    batch: &RecordBatch,
    importance: &[(String, f64)],
) -> Result<Vec<Interaction>> {
    let own = at_even_steps(batch, INTERACTION_ROWS)?;
    let n = own.num_rows();
    if n < 2 || scorer.schema().task.n_outputs() != 1 {
        return Ok(Vec::new());
    }
    let columns: Vec<&String> =
        importance.iter().filter(|(_, size)| *size > 0.0).take(N_INTERACTING).map(|(c, _)| c).collect();
    let other = take_rows(&own, &(0..n).map(|row| (row + n / 2) % n).collect::<Vec<_>>())?;
    let margins = |swapped: &[&String]| -> Result<Vec<f64>> {
        let schema = own.schema();
        let cells = schema.fields().iter().zip(own.columns().iter().zip(other.columns()));
        let cells = cells.map(|(field, (own, other))| if swapped.contains(&field.name()) { other } else { own });
        let mixed = RecordBatch::try_new(schema.clone(), cells.cloned().collect());
        Ok(scorer.score(&mixed.map_err(|e| Error::data(e.to_string()))?)?.margins)
    };
    let whole = margins(&[])?;
    let single: Vec<Vec<f64>> = columns.iter().map(|c| margins(&[c])).collect::<Result<_>>()?;
    let mut found = Vec::new();
    for i in 0..columns.len() {
        for j in i + 1..columns.len() {
            let both = margins(&[columns[i], columns[j]])?;
            let second = |row: usize| (whole[row] - single[i][row] - single[j][row] + both[row]).abs();
            let size = |row: usize| whole[row].abs() + single[i][row].abs() + single[j][row].abs() + both[row].abs();
            // What rounding leaves of four margins is no interaction.
            let beyond = |row: usize| if second(row) > 1e-9 * size(row) { second(row) } else { 0.0 };
            let strength = (0..n).map(beyond).sum::<f64>() / n as f64;
            if strength > 0.0 {
                found.push(Interaction { columns: [columns[i].clone(), columns[j].clone()], strength, n_rows: n });
            }
        }
    }
    found.sort_by(|a, b| b.strength.total_cmp(&a.strength).then_with(|| a.columns.cmp(&b.columns)));
    Ok(found)
}
