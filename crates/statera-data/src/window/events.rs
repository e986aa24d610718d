//! Events as a state takes them: times, codes of ids and keys, numbers in fixed point, flags; made of the typed columns of a
//! table or of single rows.

use super::definition::{Definition, NumberPlan};
use super::index::hash;
use super::plan::GroupPlan;
use super::refusal::Refusal;
use crate::conform::shown;
use crate::preparer::{number_cells, time_cells};
use crate::table::{texts_of, told};
use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::DataType;
use rayon::prelude::*;
use statera_core::{Error, Result};
use std::collections::BTreeMap;

/// A number that is missing.
pub(super) const MISSING: i64 = i64::MIN;
/// A key with a missing cell.
pub(crate) const NO_KEY: u128 = 0;
/// What is known of a label.
pub(super) const UNKNOWN: u8 = 0;
pub(super) const GENUINE: u8 = 1;
pub(crate) const FRAUD: u8 = 2;
/// Rows from which codes are made on all cores; single transactions are not worth waking them.
const MANY_ROWS: usize = 10_000;
/// Microseconds of the years 1 to 9999.
const YEARS: std::ops::RangeInclusive<i64> = -62_135_596_800_000_000..=253_402_300_799_999_999;
/// Marks codes that are hashes.
const HASHED: u128 = 1 << 127;
/// Marks codes of ids that are short texts.
const SHORT: u128 = 1 << 126;
const SHORT_BYTES: usize = 15;
/// Marks codes of ids that are UUIDs.
const UUID: u128 = 1 << 125;
/// Marks codes of whole numbers, so that none is [`NO_KEY`].
const WHOLE: u128 = 1 << 64;

/// Events of one table, column by column.
#[derive(Debug, Clone)]
pub struct Events {
    /// Microseconds UTC.
    pub(super) times: Vec<i64>,
    pub(super) ids: Vec<u128>,
    /// Per group.
    pub(super) keys: Vec<Vec<u128>>,
    /// Per number column, in units of its last decimal.
    pub(super) numbers: Vec<Vec<i64>>,
    /// Per column whose different cells are counted; 0 is missing.
    pub(super) codes: Vec<Vec<u64>>,
    /// A bit per level.
    pub(super) levels: Vec<u16>,
    /// Empty without labels.
    pub(super) labels: Vec<u8>,
    /// When labels became known; empty without.
    pub(super) known: Vec<i64>,
    /// Rows that are refused whatever the state.
    pub(super) refused: BTreeMap<usize, Refusal>,
    /// The column of ids, where it is at hand.
    id: Option<ArrayRef>,
}

/// The code of a whole number: codes are in the order of their numbers.
pub(super) fn code_of_i64(value: i64) -> u128 {
    WHOLE | u128::from(value as u64 ^ 1 << 63)
}

/// The code of a text: that of a whole number where the text writes one as numbers are written, else a hash of 127 bits.
pub(super) fn code_of_text(text: &str) -> u128 {
    match text.parse::<i64>() {
        Ok(value) if value.to_string() == text => code_of_i64(value),
        _ => code_of_bytes(text.as_bytes()),
    }
}

/// The code of an id. Ids of one time are ordered by it: whole numbers by their value, then UUIDs, then texts of at most 15 bytes, both
/// as they are written; longer texts come last, by their hash.
pub(super) fn code_of_id(text: &str) -> u128 {
    let code = code_of_text(text);
    if code & HASHED == 0 {
        return code;
    }
    let bytes = text.as_bytes();
    if bytes.len() <= SHORT_BYTES {
        let mut padded = [0; SHORT_BYTES];
        padded[..bytes.len()].copy_from_slice(bytes);
        let value = padded.iter().fold(0, |value, byte| value << 8 | u128::from(*byte));
        return SHORT | value << 4 | bytes.len() as u128;
    }
    code_of_uuid(bytes).unwrap_or(code)
}

/// A UUID as its standard writes it (RFC 9562), in lower case: all bits but those of the variant, the version last.
fn code_of_uuid(bytes: &[u8]) -> Option<u128> {
    let is_hyphen = |at: usize| matches!(at, 8 | 13 | 18 | 23);
    let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let is_right = |(at, byte): (usize, &u8)| if is_hyphen(at) { *byte == b'-' } else { is_hex(*byte) };
    if bytes.len() != 36 || !bytes.iter().enumerate().all(is_right) {
        return None;
    }
    let digit = |byte: &u8| u128::from(if *byte <= b'9' { byte - b'0' } else { byte - b'a' + 10 });
    let digits = bytes.iter().enumerate().filter(|(at, _)| !is_hyphen(*at));
    let value = digits.fold(0, |value, (_, byte)| value << 4 | digit(byte));
    let (version, variant) = (value >> 76 & 0xf, value >> 62 & 3);
    if !(1..=8).contains(&version) || variant != 2 {
        return None;
    }
    let (high, middle, low) = (value >> 80, value >> 64 & 0xfff, value & ((1 << 62) - 1));
    Some(UUID | ((high << 12 | middle) << 62 | low) << 3 | version & 7)
}

fn code_of_bytes(bytes: &[u8]) -> u128 {
    let mut first = [0; 16];
    first.copy_from_slice(&blake3::hash(bytes).as_bytes()[..16]);
    HASHED | u128::from_le_bytes(first)
}

/// Codes of cells; [`NO_KEY`] where missing.
pub(crate) fn codes(column: &ArrayRef) -> Vec<u128> {
    codes_by(column, code_of_text)
}

fn codes_by(column: &ArrayRef, code: impl Fn(&str) -> u128) -> Vec<u128> {
    match column.data_type() {
        DataType::Int64 if column.null_count() == 0 => {
            column.as_primitive::<Int64Type>().values().iter().map(|v| code_of_i64(*v)).collect()
        }
        DataType::Int64 => {
            let cells = column.as_primitive::<Int64Type>();
            cells.iter().map(|v| v.map_or(NO_KEY, code_of_i64)).collect()
        }
        DataType::Utf8 => column.as_string::<i32>().iter().map(|t| t.map_or(NO_KEY, &code)).collect(),
        _ => texts_of(column).into_iter().map(|t| t.map_or(NO_KEY, |t| code(&t))).collect(),
    }
}

impl Events {
    /// The code of a row's id.
    pub fn code(&self, row: usize) -> u128 {
        self.ids[row]
    }

    /// The events of a batch whose columns have the types of a [`Table`](crate::Table); columns beyond those that the definition
    /// reads are passed over, and so is a label that is not there.
    ///
    /// # Errors
    /// Columns that are missing or of an unsuitable type; an event without time or id. Numbers that are not allowed are
    /// refused row by row when the events are taken.
    pub fn of(batch: &RecordBatch, definition: &Definition) -> Result<Events> {
        let windows = definition.windows();
        let column = |name: &str| {
            let missing =
                || Error::data(format!("column «{name}» is missing; windows read {}", windows.inputs().join(", ")));
            batch.column_by_name(name).ok_or_else(missing)
        };
        let id = column(&windows.id)?;
        let of_keys = |group: &GroupPlan| -> Result<Vec<u128>> {
            Ok(joined(group.key.iter().map(|name| Ok(codes(column(name)?))).collect::<Result<Vec<_>>>()?))
        };
        let of_ids = || codes_by(id, code_of_id);
        let of_times = || complete_times(&windows.time, column(&windows.time)?, "event");
        let of_numbers = |number: &NumberPlan| fixed_point(column(&number.name)?, number);
        let ((ids, keys), (times, numbers)) = if batch.num_rows() >= MANY_ROWS {
            let keys = || definition.groups.par_iter().map(of_keys).collect::<Result<Vec<_>>>();
            let numbers = || definition.numbers.par_iter().map(of_numbers).collect::<Result<Vec<_>>>();
            rayon::join(|| rayon::join(of_ids, keys), || rayon::join(of_times, numbers))
        } else {
            let keys = definition.groups.iter().map(of_keys).collect();
            ((of_ids(), keys), (of_times(), definition.numbers.iter().map(of_numbers).collect()))
        };
        if let Some(row) = ids.iter().position(|id| *id == NO_KEY) {
            return Err(Error::data(format!(
                "column «{}», row {}: missing; every event needs an id",
                windows.id,
                row + 1
            )));
        }
        let mut events = Events {
            times: times?,
            ids,
            keys: keys?,
            numbers: Vec::new(),
            codes: Vec::new(),
            levels: vec![0; batch.num_rows()],
            labels: Vec::new(),
            known: Vec::new(),
            refused: BTreeMap::new(),
            id: Some(id.clone()),
        };
        events.refuse_times(&windows.time);
        for (cells, refused) in numbers? {
            for (row, refusal) in refused {
                events.refused.entry(row).or_insert(refusal);
            }
            events.numbers.push(cells);
        }
        for name in &definition.codes {
            let code = |c: u128| if c == NO_KEY { 0 } else { hash(c).max(1) };
            events.codes.push(codes(column(name)?).into_iter().map(code).collect());
        }
        for (bit, (name, level)) in definition.levels.iter().enumerate() {
            let code = code_of_text(level);
            let cells = codes(column(name)?);
            events.levels.iter_mut().zip(cells).for_each(|(bits, cell)| *bits |= u16::from(cell == code) << bit);
        }
        if let Some(labels) = windows.label.as_ref().and_then(|name| batch.column_by_name(name)) {
            events.read_labels(labels, batch, definition)?;
        }
        Ok(events)
    }

    /// Rows.
    pub fn n_rows(&self) -> usize {
        self.times.len()
    }

    /// The time of an event, microseconds UTC.
    pub fn time(&self, row: usize) -> i64 {
        self.times[row]
    }

    /// The id of an event as its column writes it.
    pub fn id(&self, row: usize) -> String {
        let text = self.id.as_ref().and_then(|id| texts_of(&id.slice(row, 1)).pop().flatten());
        text.unwrap_or_default()
    }

    /// What is known of the label when its delay is over, and when it is known.
    pub(super) fn label(&self, row: usize, delay: i64) -> Option<(bool, i64)> {
        let label = self.labels.get(row).copied().filter(|label| *label != UNKNOWN)?;
        let known = self.known.get(row).copied().unwrap_or(self.times[row].saturating_add(delay));
        Some((label == FRAUD, known))
    }

    /// Refuses times that no calendar has: differences of the others fit 64 bits.
    fn refuse_times(&mut self, column: &str) {
        for (row, time) in self.times.iter().enumerate().filter(|(_, time)| !YEARS.contains(*time)) {
            let allowed = "from the year 1 to the year 9999".to_string();
            let refusal = Refusal::Number { column: column.into(), value: format!("{time} µs"), allowed };
            self.refused.insert(row, refusal);
        }
    }

    /// Some events, lying together, with the key of one group: who goes through them in their order does not wait for memory.
    /// Without `all` those columns are left out that only rings read.
    pub(super) fn picked(&self, rows: &[u32], at: usize, plan: &GroupPlan, all: bool) -> Events {
        fn pick<T: Copy>(cells: &[T], rows: &[u32]) -> Vec<T> {
            rows.iter().map(|row| cells[*row as usize]).collect()
        }
        let has_levels = all || plan.tracks.iter().any(|track| !track.levels.is_empty());
        let optional = |cells: &[i64]| if cells.is_empty() { Vec::new() } else { pick(cells, rows) };
        let mut keys = vec![Vec::new(); self.keys.len()];
        keys[at] = pick(&self.keys[at], rows);
        let number =
            |(of, cells): (usize, &Vec<i64>)| if plan.numbers.contains(&of) { pick(cells, rows) } else { Vec::new() };
        let code =
            |(of, cells): (usize, &Vec<u64>)| if plan.codes.contains(&of) { pick(cells, rows) } else { Vec::new() };
        Events {
            times: pick(&self.times, rows),
            ids: if all { pick(&self.ids, rows) } else { Vec::new() },
            keys,
            numbers: self.numbers.iter().enumerate().map(number).collect(),
            codes: self.codes.iter().enumerate().map(code).collect(),
            levels: if has_levels { pick(&self.levels, rows) } else { Vec::new() },
            labels: if self.labels.is_empty() || plan.label.is_none() { Vec::new() } else { pick(&self.labels, rows) },
            known: optional(&self.known),
            refused: BTreeMap::new(),
            id: None,
        }
    }

    fn read_labels(&mut self, labels: &ArrayRef, batch: &RecordBatch, definition: &Definition) -> Result<()> {
        let windows = definition.windows();
        let name = windows.label.as_deref().unwrap_or_default();
        self.labels = label_cells(name, labels, windows.positive.as_deref())?;
        let Some(known) = &windows.label_time else { return Ok(()) };
        let Some(column) = batch.column_by_name(known) else { return Ok(()) };
        let delay = definition.label_delay;
        let times = time_cells(known, column)?.into_iter().zip(&self.times);
        self.known = times.map(|(known, time)| known.unwrap_or(time.saturating_add(delay))).collect();
        if let Some(row) = (0..self.n_rows()).find(|row| self.known[*row] < self.times[*row]) {
            let (id, time, when) = (self.id(row), self.times[row], self.known[row]);
            self.refused.entry(row).or_insert(Refusal::EarlyLabel { id, time, when });
        }
        Ok(())
    }
}

/// Rows that are refused, and why.
type Refused = Vec<(usize, Refusal)>;

/// Cells in units of the last decimal, rounded to the nearest, halves away from zero; and the rows of those that are refused.
fn fixed_point(column: &ArrayRef, plan: &NumberPlan) -> Result<(Vec<i64>, Refused)> {
    let unit = 10i128.pow(u32::from(plan.decimals));
    let allowed = plan.range[0]..=plan.range[1];
    let mut refused = Vec::new();
    let mut take = |row: usize, units: Option<i128>, value: &dyn Fn() -> String| match units.map(i64::try_from) {
        Some(Ok(units)) if allowed.contains(&units) => units,
        _ => {
            refused.push((row, value()));
            MISSING
        }
    };
    let cells = match column.data_type() {
        DataType::Int64 => {
            let cells = column.as_primitive::<Int64Type>().iter().enumerate();
            let units = |v: i64| i128::from(v).checked_mul(unit);
            cells.map(|(row, v)| v.map_or(MISSING, |v| take(row, units(v), &|| v.to_string()))).collect()
        }
        DataType::Float64 => {
            let cells = column.as_primitive::<Float64Type>().iter().enumerate();
            let cell = |(row, v): (usize, Option<f64>)| match v {
                Some(v) if !v.is_nan() => {
                    // A cast of a double beyond the range gives its end, which is no allowed number.
                    let units = (v * plan.scale).round() as i64;
                    if allowed.contains(&units) { units } else { take(row, None, &|| told(v)) }
                }
                _ => MISSING,
            };
            cells.map(cell).collect()
        }
        DataType::Decimal128(_, scale) if (0..=38).contains(scale) => {
            let (scale, of) = (scale.unsigned_abs(), column.as_primitive::<Decimal128Type>());
            let units = |v: i128| match plan.decimals.checked_sub(scale) {
                Some(more) => v.checked_mul(10i128.pow(u32::from(more))),
                None => {
                    let part = 10i128.pow(u32::from(scale - plan.decimals));
                    let rest = v % part;
                    Some(v / part + if rest.abs() >= part - rest.abs() { rest.signum() } else { 0 })
                }
            };
            let cells = of.iter().enumerate();
            cells.map(|(row, v)| v.map_or(MISSING, |v| take(row, units(v), &|| shown(v, scale)))).collect()
        }
        DataType::Null => vec![MISSING; column.len()],
        other => return Err(Error::data(format!("column «{}» holds {other}, not numbers", plan.name))),
    };
    let show = |units: i64| shown(i128::from(units), plan.decimals);
    let refusal = |(row, value): (usize, String)| {
        let allowed = format!("from {} to {}", show(plan.range[0]), show(plan.range[1]));
        (row, Refusal::Number { column: plan.name.clone(), value, allowed })
    };
    Ok((cells, refused.into_iter().map(refusal).collect()))
}

/// Times without a missing one; `what` a row is, for messages.
pub(crate) fn complete_times(name: &str, column: &ArrayRef, what: &str) -> Result<Vec<i64>> {
    if let Some(times) = column.as_primitive_opt::<TimestampMicrosecondType>()
        && times.null_count() == 0
    {
        return Ok(times.values().to_vec());
    }
    let missing = |row| Error::data(format!("column «{name}», row {}: missing; every {what} needs a time", row + 1));
    let cells = time_cells(name, column)?.into_iter().enumerate();
    cells.map(|(row, cell)| cell.ok_or_else(|| missing(row))).collect()
}

/// One code of the codes of a key's columns.
fn joined(mut parts: Vec<Vec<u128>>) -> Vec<u128> {
    if parts.len() == 1 {
        return parts.remove(0);
    }
    let n_rows = parts.first().map_or(0, Vec::len);
    let key = |row: usize| {
        let mut bytes = Vec::with_capacity(48);
        for part in &parts {
            if part[row] == NO_KEY {
                return NO_KEY;
            }
            bytes.extend(part[row].to_le_bytes());
        }
        code_of_bytes(&bytes)
    };
    (0..n_rows).map(key).collect()
}

/// Cells of a label: 1, 1.0 and true are fraud, 0, 0.0 and false are not, unless `positive` says which value is fraud; a missing
/// cell is not known.
pub(crate) fn label_cells(name: &str, column: &ArrayRef, positive: Option<&str>) -> Result<Vec<u8>> {
    let refused = |row: usize, value: &str| {
        Error::data(format!(
            "label «{name}», row {}: «{value}» is not allowed; allowed are 0 and 1, true and false, or any with positive",
            row + 1
        ))
    };
    if *column.data_type() == DataType::Utf8 {
        let word = |(row, text): (usize, Option<&str>)| {
            let text = text.map(str::trim).unwrap_or_default();
            let lower = text.to_ascii_lowercase();
            match (positive, lower.as_str()) {
                (_, "") => Ok(UNKNOWN),
                (Some(positive), _) => Ok(if text == positive { FRAUD } else { GENUINE }),
                (None, "1" | "1.0" | "true") => Ok(FRAUD),
                (None, "0" | "0.0" | "false") => Ok(GENUINE),
                _ => Err(refused(row, text)),
            }
        };
        return column.as_string::<i32>().iter().enumerate().map(word).collect();
    }
    let fraud = match positive.map(str::parse::<f64>) {
        None => 1.0,
        Some(Ok(value)) => value,
        Some(Err(_)) => {
            return Err(Error::request(format!(
                "positive: «{}» is no value of «{name}», which holds numbers",
                positive.unwrap_or_default()
            )));
        }
    };
    let cell = |(row, value): (usize, f64)| match value {
        value if value.is_nan() => Ok(UNKNOWN),
        value if value == fraud => Ok(FRAUD),
        value if positive.is_some() || value == 0.0 => Ok(GENUINE),
        value => Err(refused(row, &value.to_string())),
    };
    number_cells(name, column)?.into_iter().enumerate().map(cell).collect()
}
