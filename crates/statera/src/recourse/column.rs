//! A column that may change, seen from a row: the places that its cell can move to.
//!
//! Places are numbered: 0 is where the row is; place k of a number is the k-th multiple of its step above that, −k below it, and
//! of a category the k-th of its allowed levels. A number is computed in its own type, so that an amount keeps every digit.

use super::{Changeable, Direction};
use crate::background::distance::{Cell, Scale};
use crate::reference::{Distribution, Reference};
use crate::resolution;
use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Float64Type, Int64Type};
use arrow_array::{ArrayRef, Decimal128Array, Float64Array, Int64Array, StringArray};
use arrow_schema::DataType;
use statera_core::{Error, Result};
use std::sync::Arc;

/// Places that are looked at one by one.
pub(super) const SWEEP: usize = 128;
/// Farthest place.
const MAX_STEPS: f64 = (1u64 << 40) as f64;
/// Part of a step by which a bound may be missed: one that is met but for rounding is met.
const ROUNDING: f64 = 1e-6;

/// A column that may change.
pub(super) struct Column<'a> {
    /// Its place among the input columns.
    pub input: usize,
    /// Its place among the columns that the distance compares.
    pub at: usize,
    /// How its cells are compared.
    pub scale: &'a Scale,
    /// Where the row is.
    pub start: Cell<'a>,
    places: Places<'a>,
    data_type: DataType,
}

enum Places<'a> {
    Integer { start: i128, step: i128, range: (i64, i64) },
    Decimal { start: i128, step: i128, range: (i64, i64), unit: f64 },
    Float { start: f64, step: f64, range: (i64, i64), digits: Option<u32> },
    Levels(&'a [String]),
}

/// What a column is made from.
pub(super) struct Source<'a> {
    /// What the bank says of it.
    pub change: &'a Changeable,
    /// Its place among the input columns.
    pub input: usize,
    /// Its place among the columns that the distance compares.
    pub at: usize,
    /// How its cells are compared.
    pub scale: &'a Scale,
    /// The row's cell, and the array of one that it is in.
    pub start: Cell<'a>,
    /// The array.
    pub array: &'a ArrayRef,
}

impl<'a> Column<'a> {
    /// The column; `None` if its cell is missing or a sentinel, or can move nowhere.
    pub fn new(source: Source<'a>, reference: &Reference) -> Result<Option<Column<'a>>> {
        let Source { change, input, at, scale, start, array } = source;
        if scale.is_nothing(start) {
            return Ok(None);
        }
        let data_type = array.data_type().clone();
        let places = match start {
            Cell::Number(value) => {
                let distribution = reference.columns.get(&change.column);
                number_places(change, value, array, scale, distribution)?
            }
            _ => Places::Levels(&change.levels),
        };
        let column = Column { input, at, scale, start, places, data_type };
        let can_move = match &column.places {
            Places::Levels(levels) => levels.iter().any(|l| Cell::Level(l) != start),
            _ => column.range() != (0, 0),
        };
        Ok(can_move.then_some(column))
    }

    /// The places of a number: 0 need not lie between them where the row is outside the bank's bounds.
    fn range(&self) -> (i64, i64) {
        match &self.places {
            Places::Integer { range, .. } | Places::Decimal { range, .. } | Places::Float { range, .. } => *range,
            Places::Levels(levels) => (0, levels.len() as i64),
        }
    }

    /// The cell at a place.
    pub fn cell(&self, place: i64) -> Cell<'a> {
        match &self.places {
            _ if place == 0 => self.start,
            Places::Levels(levels) => Cell::Level(&levels[place as usize - 1]),
            _ => Cell::Number(self.number(place)),
        }
    }

    fn number(&self, place: i64) -> f64 {
        match &self.places {
            Places::Integer { start, step, .. } => exact(*start, *step, place) as f64,
            Places::Decimal { start, step, unit, .. } => exact(*start, *step, place) as f64 / unit,
            Places::Float { start, .. } if place == 0 => *start,
            Places::Float { start, step, digits, .. } => {
                let (below, above) = around(*start, *step);
                let value = step * (if place > 0 { below } else { above } + place as f64);
                digits.map_or(value, |digits| resolution::round(value, digits))
            }
            Places::Levels(_) => f64::NAN,
        }
    }

    /// Cells at places, one a row, in the column's own type; at place 0 the row's own cell.
    pub fn array(&self, places: impl Iterator<Item = i64>) -> Result<ArrayRef> {
        Ok(match &self.places {
            Places::Integer { start, step, .. } => {
                Arc::new(places.map(|k| i64::try_from(exact(*start, *step, k)).ok()).collect::<Int64Array>())
            }
            Places::Decimal { start, step, .. } => {
                let array = places.map(|k| Some(exact(*start, *step, k))).collect::<Decimal128Array>();
                Arc::new(array.with_data_type(self.data_type.clone()))
            }
            Places::Float { .. } => Arc::new(Float64Array::from_iter_values(places.map(|k| self.number(k)))),
            Places::Levels(_) => {
                let level = |k| match self.cell(k) {
                    Cell::Level(level) => Some(level),
                    _ => None,
                };
                Arc::new(places.map(level).collect::<StringArray>())
            }
        })
    }

    /// What moving to a place costs: the number's change in spreads, 1 for a level.
    pub fn cost(&self, place: i64) -> f64 {
        self.scale.size(self.start, self.cell(place))
    }

    /// True if places between 0 and another one are smaller changes.
    pub fn is_number(&self) -> bool {
        !matches!(self.places, Places::Levels(_))
    }

    /// At most [`SWEEP`] places to look at, without 0, by cost: every level; of a number the ends of its range and the places
    /// around `values`, thinned evenly.
    pub fn sweep(&self, values: impl Iterator<Item = f64>) -> Vec<i64> {
        let (low, high) = self.range();
        let mut places: Vec<i64> = match &self.places {
            Places::Levels(levels) => {
                (1..=high).filter(|&k| Cell::Level(&levels[k as usize - 1]) != self.start).collect()
            }
            _ => {
                let near = values.flat_map(|v| self.places_around(v));
                let inside = near.filter(|k| (low as f64..=high as f64).contains(k)).map(|k| k as i64);
                inside.chain([low, high]).filter(|&k| k != 0 && !self.scale.is_nothing(self.cell(k))).collect()
            }
        };
        places.sort_by(|&a, &b| self.cost(a).total_cmp(&self.cost(b)).then(a.cmp(&b)));
        places.dedup();
        thinned(&places, SWEEP)
    }

    /// The least place that is allowed between 0 and `place`, on its side.
    pub fn nearest(&self, place: i64) -> i64 {
        let (low, high) = self.range();
        if place > 0 { low.max(1) } else { high.min(-1) }
    }

    /// The place other than 0 whose cell differs least from another one, of equals the one that costs least. Around sentinels, which
    /// are no places, the next ones count.
    pub fn nearest_to(&self, cell: Cell<'_>) -> Option<i64> {
        let (low, high) = self.range();
        let places: Vec<i64> = match (&self.places, cell) {
            (Places::Levels(_), _) => (1..=high).filter(|&k| self.cell(k) != self.start).collect(),
            (_, Cell::Number(v)) => {
                let [below, above] = self.places_around(v);
                let near = [below - 1.0, below, above, above + 1.0].map(|k| (k.clamp(low as f64, high as f64)) as i64);
                near.into_iter().chain([-1, 1]).collect()
            }
            _ => vec![-1, 1, low, high],
        };
        let is_place = |k: &i64| *k != 0 && (low..=high).contains(k) && !self.scale.is_nothing(self.cell(*k));
        let difference = |k: i64| self.scale.difference(self.cell(k), cell);
        places.into_iter().filter(is_place).min_by(|&a, &b| {
            difference(a).total_cmp(&difference(b)).then(self.cost(a).total_cmp(&self.cost(b))).then(a.cmp(&b))
        })
    }

    /// The places of the multiples at or next to a number, wherever the bank's bounds are.
    fn places_around(&self, value: f64) -> [f64; 2] {
        let (below, above) = around(value, self.step());
        let own = around(self.number(0), self.step());
        [place_of(below, own), place_of(above, own)]
    }

    fn step(&self) -> f64 {
        match &self.places {
            Places::Integer { step, .. } => *step as f64,
            Places::Decimal { step, unit, .. } => *step as f64 / unit,
            Places::Float { step, .. } => *step,
            Places::Levels(_) => 1.0,
        }
    }
}

/// At most `n` of the items at even steps; the first and the last stay.
pub(super) fn thinned<T: Copy>(items: &[T], n: usize) -> Vec<T> {
    if items.len() <= n {
        return items.to_vec();
    }
    let last = items.len() - 1;
    (0..n).map(|i| items[if n > 1 { i * last / (n - 1) } else { 0 }]).collect()
}

/// The places of a number that a row has.
fn number_places<'a>(
    change: &Changeable,
    value: f64,
    array: &ArrayRef,
    scale: &Scale,
    distribution: Option<&Distribution>,
) -> Result<Places<'a>> {
    let (mut low, mut high) = change.bounds(distribution);
    match change.direction {
        Direction::Increase => low = low.max(value),
        Direction::Decrease => high = high.min(value),
        Direction::Either => {}
    }
    Ok(match array.data_type() {
        DataType::Int64 => {
            // Numbers beyond this could leave 64 bits on the way.
            let most = (1i64 << 62) as f64;
            let step = change.step.map_or(1.0, f64::round).min(most);
            let range = steps(value, step, low.max(-most), high.min(most));
            let start = array.as_primitive::<Int64Type>().value(0).into();
            Places::Integer { start, step: step as i128, range }
        }
        DataType::Decimal128(precision, scale) => {
            let unit = 10f64.powi(i32::from(*scale));
            let most = 10f64.powi(i32::from(*precision) - i32::from(*scale)) - 1.0 / unit;
            let step = (change.step.unwrap_or(1.0 / unit) * unit).round();
            let range = steps(value, step / unit, low.max(-most), high.min(most));
            let start = array.as_primitive::<Decimal128Type>().value(0);
            Places::Decimal { start, step: step as i128, range, unit }
        }
        DataType::Float64 => {
            let quantiles = match distribution {
                Some(Distribution::Quantiles { values, .. }) => values.as_slice(),
                _ => &[],
            };
            // Where the bank names no step: as finely as the percentiles of the training rows are written.
            let step = change.step.unwrap_or_else(|| resolution::fineness(quantiles, scale.spread));
            let start = array.as_primitive::<Float64Type>().value(0);
            let digits = resolution::digits(std::iter::once(step));
            Places::Float { start, step, range: steps(value, step, low, high), digits }
        }
        other => return Err(Error::damaged(format!("schema.json: a number cannot be {other}"))),
    })
}

/// The multiples of a step at or next to a value, below and above: one and the same where the value is one but for rounding.
fn around(value: f64, step: f64) -> (f64, f64) {
    let times = value / step;
    if (times - times.round()).abs() <= ROUNDING {
        (times.round(), times.round())
    } else {
        (times.floor(), times.ceil())
    }
}

/// The place of a multiple, seen from a value that lies at or between two.
fn place_of(multiple: f64, (below, above): (f64, f64)) -> f64 {
    let place = if multiple >= above { multiple - below } else { multiple - above };
    place.clamp(-MAX_STEPS, MAX_STEPS)
}

/// The number at a place: at 0 the row's own, else so many multiples of the step further.
fn exact(start: i128, step: i128, place: i64) -> i128 {
    let multiple = match place {
        0 => return start,
        1.. => start.div_euclid(step),
        _ => -(-start).div_euclid(step),
    };
    step.saturating_mul(multiple.saturating_add(place.into()))
}

/// The first and the last place whose number is a multiple of the step between two bounds; (0, 0) if there is none.
fn steps(value: f64, step: f64, low: f64, high: f64) -> (i64, i64) {
    let (first, last) = ((low / step - ROUNDING).ceil(), (high / step + ROUNDING).floor());
    if low > high || first > last {
        return (0, 0);
    }
    let own = around(value, step);
    (place_of(first, own) as i64, place_of(last, own) as i64)
}
