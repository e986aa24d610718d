//! Cells of the training rows, each as one synthetic row.

use super::apart::{Apart, Seen};
use super::distance::{self, Cell, Distance};
use super::{BackgroundRows, MAX_CELLS, MIN_CELL_ROWS};
use crate::cross_fit::{preparer_params, sequences};
use crate::project::Settings;
use crate::reference::{Distribution, Reference, number_array};
use crate::resolution;
use crate::scorer::Schema;
use crate::training_set::{TrainingSet, at_even_steps};
use arrow_array::{ArrayRef, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema as ArrowSchema};
use statera_core::{Error, Form, Kind, Result, Run};
use statera_data::conform::InputColumn;
use statera_data::preparer::{Preparer, PreparerParams};
use statera_learn::cluster::{KMeans, KMeansParams, Points};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

/// Rows that cells are made from, at even steps; more move no mean by much.
const MAX_ROWS: usize = 20_000;
/// Prepared cells that k-means sees, for tables of very many columns or levels.
const MAX_POINTS: usize = 1 << 22;
/// Rows of an average cell, at least.
const MEAN_CELL_ROWS: usize = 20;
/// Share of the rows cut off at each end of a number, so that cells are not spent on single large numbers.
const WINSORIZE: f64 = 0.01;
/// Levels of a column that rows are divided by; the rarer ones count as one.
const MAX_LEVELS: usize = 20;
/// Passes of k-means: cells need not be the best ones.
const MAX_ITERATIONS: usize = 20;
/// Share of a cell's rows within its reach.
const REACH: f64 = 0.95;
/// Microseconds of a day.
const DAY: f64 = 86_400e6;

/// The background rows of a training; `None` for sequences and images, and for fewer rows than a cell needs.
///
/// # Errors
/// An interruption.
pub(crate) fn make(
    train: &TrainingSet,
    schema: &Schema,
    reference: &Reference,
    settings: &Settings,
    run: &Run,
) -> Result<Option<BackgroundRows>> {
    if train.n_rows() < MIN_CELL_ROWS as usize || !sequences(train, settings)?.is_empty() {
        return Ok(None);
    }
    let batch = at_even_steps(&train.batch, MAX_ROWS)?;
    let params = PreparerParams {
        winsorize: Some(WINSORIZE),
        max_levels: MAX_LEVELS,
        ..preparer_params(Form::Dense, train, settings)?
    };
    let all: Vec<usize> = (0..batch.num_rows()).collect();
    let preparer = Preparer::fit(&params, &batch, &all, None)?;
    let n_cols = preparer.spec().features.len();
    let batch = at_even_steps(&batch, (MAX_POINTS / n_cols.max(1)).max(MIN_CELL_ROWS as usize))?;
    let points = preparer.transform(&batch)?.dense.data;
    let cells = divide(&Points { data: &points, n_cols, weight: None }, &run.silent(settings.seed ^ 0xbac6))?;

    let distance = Distance::new(schema, reference)?;
    let seen = Seen::new(&train.batch, &schema.inputs)?;
    let apart = Apart { seen: &seen, schema, reference, distance: &distance };
    let rows = apart.altered(rows(&batch, &cells, schema, reference)?)?;
    let (own, centres) = (distance.cells(&schema.inputs, &batch)?, distance.cells(&schema.inputs, &rows)?);
    let reach = cells.iter().enumerate().map(|(cell, members)| {
        let mut distances: Vec<f64> = members.iter().map(|&i| distance.between((&own, i), (&centres, cell))).collect();
        distances.sort_by(f64::total_cmp);
        distances[(REACH * distances.len() as f64).ceil() as usize - 1]
    });
    Ok(Some(BackgroundRows {
        reach: reach.collect(),
        n_rows: cells.iter().map(|members| members.len() as u64).collect(),
        rows,
    }))
}

/// The rows of each cell, ascending; the cell of most rows first. No cell is empty.
fn divide(points: &Points<'_>, run: &Run) -> Result<Vec<Vec<usize>>> {
    let n = points.n_rows();
    // Adding 0 makes one value of 0 and -0.
    let bits = |i: usize| points.row(i).iter().map(|v| (v + 0.0).to_bits()).collect::<Vec<u32>>();
    let wanted = (n / MEAN_CELL_ROWS).clamp(1, MAX_CELLS);
    let mut distinct = HashSet::new();
    for i in 0..n {
        distinct.insert(bits(i));
        if distinct.len() == wanted {
            break;
        }
    }
    let k = distinct.len();
    let model = KMeansParams { k, starts: 1, max_iterations: MAX_ITERATIONS, ..KMeansParams::default() };
    let model = model.fit(points, run)?;
    let mut cells = large_enough(&model, points);
    cells.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
    Ok(cells)
}

/// The rows by nearest centre, after the centres of too few rows, the least first, gave theirs to the next nearest.
fn large_enough(model: &KMeans, points: &Points<'_>) -> Vec<Vec<usize>> {
    let k = model.k();
    let margins = model.margins(points.data);
    let mut is_open = vec![true; k];
    let nearest = |row: usize, is_open: &[bool]| {
        let margins = &margins[row * k..][..k];
        let open = (0..k).filter(|&j| is_open[j]);
        open.fold(None, |best: Option<usize>, j| match best {
            Some(b) if margins[b] >= margins[j] => best,
            _ => Some(j),
        })
    };
    let mut cells: Vec<Vec<usize>> = vec![Vec::new(); k];
    for row in 0..points.n_rows() {
        if let Some(cell) = nearest(row, &is_open) {
            cells[cell].push(row);
        }
    }
    // One cell stays open whatever its rows.
    for _ in 1..k {
        let open = (0..k).filter(|&j| is_open[j]);
        let Some(least) = open.min_by_key(|&j| cells[j].len()).filter(|&j| cells[j].len() < MIN_CELL_ROWS as usize)
        else {
            break;
        };
        is_open[least] = false;
        for row in std::mem::take(&mut cells[least]) {
            if let Some(cell) = nearest(row, &is_open) {
                cells[cell].push(row);
            }
        }
    }
    cells.retain(|rows| !rows.is_empty());
    cells.iter_mut().for_each(|rows| rows.sort_unstable());
    cells
}

/// Each cell as one row.
fn rows(batch: &RecordBatch, cells: &[Vec<usize>], schema: &Schema, reference: &Reference) -> Result<RecordBatch> {
    let mut fields = Vec::new();
    let mut arrays: Vec<ArrayRef> = Vec::new();
    for input in &schema.inputs {
        let array = batch.column_by_name(&input.name);
        let array = array.ok_or_else(|| Error::data(format!("column «{}» is missing", input.name)))?;
        let values = distance::cells(input, array)?;
        fields.push(Field::new(&input.name, input.data_type.clone(), true));
        arrays.push(match input.kind {
            Kind::Number | Kind::Time => {
                let sentinels = distance::sentinels(schema, &input.name);
                let round = rounding(input, &values);
                let ends = ends(reference, &input.name);
                let of = |rows: &Vec<usize>| mean(rows.iter().map(|&i| values[i]), &sentinels, ends).map(&round);
                number_array(cells.iter().map(of).collect(), &input.data_type)?
            }
            _ => {
                let known = known_levels(reference, &input.name);
                let of = |rows: &Vec<usize>| mode(rows.iter().map(|&i| values[i]), &known);
                Arc::new(cells.iter().map(of).collect::<StringArray>())
            }
        });
    }
    RecordBatch::try_new(Arc::new(ArrowSchema::new(fields)), arrays).map_err(|e| Error::data(e.to_string()))
}

/// To as many digits as the column has itself: a mean of whole numbers is whole, of dates a date. Integers and decimals are
/// rounded where the array is made.
fn rounding(input: &InputColumn, values: &[Cell<'_>]) -> impl Fn(f64) -> f64 + use<> {
    let numbers = || values.iter().filter_map(|v| if let Cell::Number(v) = v { Some(*v) } else { None });
    let is_dates = input.kind == Kind::Time && numbers().all(|v| v % DAY == 0.0);
    let digits = if input.data_type == DataType::Float64 { resolution::digits(numbers()) } else { None };
    move |v| match digits {
        Some(digits) => resolution::round(v, digits),
        None if is_dates => (v / DAY).round() * DAY,
        None => v,
    }
}

/// Between what amounts are taken: one amount far beyond the others could be read from its cell's mean.
fn ends(reference: &Reference, column: &str) -> (f64, f64) {
    let ends = match reference.columns.get(column) {
        Some(Distribution::Quantiles { values, .. }) => values.first().copied().zip(values.last().copied()),
        _ => None,
    };
    ends.filter(|(low, high)| low <= high).unwrap_or((f64::NEG_INFINITY, f64::INFINITY))
}

/// The mean of the amounts, each taken between the ends; nothing or a sentinel where that is more frequent than amounts, or
/// where amounts are too few to stand for more than their own rows.
fn mean<'a>(values: impl Iterator<Item = Cell<'a>>, sentinels: &[f64], (low, high): (f64, f64)) -> Option<f64> {
    let (mut amounts, mut n_missing) = (Vec::new(), 0usize);
    let mut n_sentinels = vec![0usize; sentinels.len()];
    for value in values {
        match value {
            Cell::Number(v) => match sentinels.iter().position(|s| *s == v) {
                Some(at) => n_sentinels[at] += 1,
                None => amounts.push(v.clamp(low, high)),
            },
            _ => n_missing += 1,
        }
    }
    let n = amounts.len();
    let most = n_missing.max(n_sentinels.iter().copied().max().unwrap_or(0));
    if n >= most && (n >= MIN_CELL_ROWS as usize || most == 0) && n > 0 {
        let mean = amounts.iter().sum::<f64>() / n as f64;
        // A sum of numbers near the largest there are overflows.
        return Some(if mean.is_finite() { mean } else { amounts.iter().map(|v| v / n as f64).sum() });
    }
    n_sentinels.iter().position(|&n| n == most).map(|at| sentinels[at])
}

/// The most frequent level among those that are frequent in the whole training, or nothing if that is more frequent; of
/// equals nothing, then the first by name.
fn mode<'a>(values: impl Iterator<Item = Cell<'a>>, known: &HashSet<&str>) -> Option<&'a str> {
    let mut counts: BTreeMap<Option<&str>, usize> = BTreeMap::new();
    for value in values {
        match value {
            Cell::Level(level) if known.contains(level) => *counts.entry(Some(level)).or_default() += 1,
            Cell::Level(_) => {}
            _ => *counts.entry(None).or_default() += 1,
        }
    }
    let most = counts.values().copied().max()?;
    counts.into_iter().find(|(_, n)| *n == most).and_then(|(level, _)| level)
}

/// Levels that may be told: those that so many rows have that they are in the reference.
fn known_levels<'a>(reference: &'a Reference, column: &str) -> HashSet<&'a str> {
    match reference.columns.get(column) {
        Some(Distribution::Levels { levels, .. }) => levels.iter().map(|(level, _)| level.as_str()).collect(),
        _ => HashSet::new(),
    }
}
