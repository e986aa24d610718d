//! From a table and the settings to what candidates are fitted on: one batch, the columns that are features, the target
//! as numbers, and what splits and figures need.

use crate::note::Note;
use crate::project::{Settings, UseCase, Window};
use crate::rows;
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch, UInt64Array};
use arrow_schema::DataType;
use statera_core::{Error, Kind, Result, Role, Task};
use statera_data::preparer::{number_cells, time_cells};
pub use statera_data::texts_of;
use statera_data::{ColumnInfo, Table, personal};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Display;

/// More classes than this are taken for a mistake.
pub const MAX_CLASSES: usize = 100;

/// Values that mean the event when a target has two and none was named, lower case.
const EVENT_WORDS: [&str; 13] =
    ["1", "1.0", "true", "yes", "y", "bad", "default", "defaulted", "fraud", "churn", "event", "positive", "failed"];

/// What candidates are fitted on.
#[derive(Debug, Clone)]
pub struct TrainingSet {
    /// Where the table came from, for messages.
    pub origin: String,
    /// The rows that are used, with every column of the table.
    pub batch: RecordBatch,
    /// Kinds of the batch's columns, in its order.
    pub columns: Vec<ColumnInfo>,
    /// Raw columns that are features, with their kinds, in the table's order.
    pub features: Vec<(String, Kind)>,
    /// What is predicted.
    pub task: Task,
    /// Names of the classes by index; for a binary task the second is the event. Empty for a regression.
    pub classes: Vec<String>,
    /// Binary 0/1, class index, or value.
    pub target: Vec<f64>,
    /// Importance of rows.
    pub weight: Option<Vec<f64>>,
    /// Microseconds UTC.
    pub time: Option<Vec<i64>>,
    /// When the label was known, microseconds UTC; with a label delay only.
    pub known: Option<Vec<i64>>,
    /// Rows of equal group belong together.
    pub group: Option<Vec<u64>>,
    /// Number of the card of each row.
    pub card: Option<Vec<u64>>,
    /// Money at stake.
    pub amount: Option<Vec<f64>>,
    /// The bank's present score.
    pub baseline: Option<Vec<f64>>,
    /// Fingerprint of the table as it was read.
    pub fingerprint: String,
    /// The same of its features alone.
    pub features_fingerprint: Option<String>,
    /// What the user should know: rows dropped, columns left out.
    pub notes: Vec<Note>,
}

impl TrainingSet {
    /// Checks the settings against the table and takes it apart.
    ///
    /// # Errors
    /// What [`Settings::check`] refuses; personal data among the features; a target, weight, time or baseline that
    /// cannot be used. Messages name column, row (1 is the first) and value.
    pub fn new(table: Table, settings: &Settings) -> Result<TrainingSet> {
        let mut notes = Vec::new();
        let settings = &leave_out_keys_and_text(&table, settings, &mut notes);
        settings.check(&table)?;
        let origin = table.origin.clone();
        TrainingSet::of(table, settings, notes).map_err(|e| e.at(origin))
    }

    fn of(table: Table, settings: &Settings, mut notes: Vec<Note>) -> Result<TrainingSet> {
        let Table { columns, batches, origin } = table;
        let batch = arrow_select::concat::concat_batches(&batches[0].schema(), &batches)
            .map_err(|e| Error::data(e.to_string()))?;
        drop(batches);
        if batch.num_rows() < 2 {
            return Err(Error::data(format!("{} row; training needs at least 2", batch.num_rows())));
        }
        refuse_infinite(&batch)?;
        let digests = rows::row_digests(&batch);
        let fingerprint = rows::fingerprint(&batch, &digests);
        let features: Vec<(String, Kind)> =
            columns.iter().filter(|c| settings.is_feature(&c.name)).map(|c| (c.name.clone(), c.kind)).collect();
        let features_fingerprint = rows::fingerprint_of(&batch, features.iter().map(|(name, _)| name.as_str()));
        let batch = without_repeats(batch, &digests, settings, &mut notes)?;
        let batch = without_weightless(batch, settings, &mut notes)?;
        refuse_empty(&batch, &features, settings)?;
        refuse_personal_data(&batch, &features, &mut notes)?;
        let (task, classes, target) = match settings.use_case {
            // Classes are what is going to be found; before that all rows are of one.
            UseCase::Segment => (Task::Classes(1), Vec::new(), Vec::new()),
            UseCase::Credit | UseCase::Fraud | UseCase::Table => target_of(&batch, &columns, settings)?,
        };
        refuse_directions(task, settings)?;
        let numbers = |role: &Option<String>, what: &str| -> Result<Option<Vec<f64>>> {
            role.as_ref().map(|name| complete_numbers(&batch, name, what)).transpose()
        };
        let time = settings.time.as_ref().map(|name| complete_times(&batch, name)).transpose()?;
        let set = TrainingSet {
            known: known(time.as_deref(), settings)?,
            weight: numbers(&settings.weight, "a weight")?,
            amount: numbers(&settings.amount, "an amount")?,
            baseline: varied(numbers(&settings.baseline, "a score")?, settings)?,
            time,
            group: settings.group.as_ref().map(|name| groups(&batch, name)).transpose()?,
            card: settings.card.as_ref().map(|name| groups(&batch, name)).transpose()?,
            origin,
            batch,
            columns,
            features,
            task,
            classes,
            target,
            fingerprint,
            features_fingerprint,
            notes,
        };
        Ok(set)
    }

    /// Rows.
    pub fn n_rows(&self) -> usize {
        self.batch.num_rows()
    }
}

/// A score that is the same for everybody ranks nobody.
fn varied(baseline: Option<Vec<f64>>, settings: &Settings) -> Result<Option<Vec<f64>>> {
    if let Some(score) = &baseline
        && score.iter().all(|s| *s == score[0])
    {
        return Err(Error::data(format!(
            "baseline «{}» is {} in every row; a score that can be compared with takes at least two values",
            settings.baseline.as_deref().unwrap_or_default(),
            score[0]
        )));
    }
    Ok(baseline)
}

/// When each row's label was known.
fn known(time: Option<&[i64]>, settings: &Settings) -> Result<Option<Vec<i64>>> {
    let (Some(time), Some(delay)) = (time, &settings.label_delay) else { return Ok(None) };
    let window = Window::parse(delay).map_err(|e| e.at("label_delay"))?;
    let zone = settings.tz.as_deref().unwrap_or("UTC");
    let zone = jiff::tz::TimeZone::get(zone).map_err(|e| Error::request(format!("tz: {e}")))?;
    // Many rows are observed at the same instant, and a calendar is slow.
    let mut ends = HashMap::new();
    let end = |&observed: &i64| -> Result<i64> {
        if let Some(&end) = ends.get(&observed) {
            return Ok(end);
        }
        let end = window.end(observed, &zone)?;
        ends.insert(observed, end);
        Ok(end)
    };
    Ok(Some(time.iter().map(end).collect::<Result<_>>()?))
}

/// Keys and free text without a role are no features: they are left out, and the user is told.
fn leave_out_keys_and_text(table: &Table, settings: &Settings, notes: &mut Vec<Note>) -> Settings {
    let mut settings = settings.clone();
    for column in &table.columns {
        let untold = settings.role(&column.name) == Role::Feature && !settings.types.contains_key(&column.name);
        let code = match column.kind {
            Kind::Identifier => "key_left_out",
            Kind::Text => "text_left_out",
            _ => continue,
        };
        if untold {
            notes.push(Note::new(code, &[("column", &column.name)]));
            settings.drop.push(column.name.clone());
        } else if column.kind == Kind::Text && settings.role(&column.name) == Role::Feature {
            settings.drop.push(column.name.clone());
        }
    }
    settings
}

/// Exact repeats of a row that has an id are one row sent twice; without an id they may be two alike customers.
fn without_repeats(
    batch: RecordBatch,
    digests: &[[u8; 16]],
    settings: &Settings,
    notes: &mut Vec<Note>,
) -> Result<RecordBatch> {
    let distinct = rows::distinct_rows(digests);
    let repeats = batch.num_rows() - distinct.len();
    let Some(id) = &settings.id else {
        if repeats > 0 {
            notes.push(Note::new("repeats_stay", &[("n", &repeats)]));
        }
        return Ok(batch);
    };
    let batch = if repeats > 0 {
        notes.push(Note::new("repeats_dropped", &[("n", &repeats)]));
        take_rows(&batch, &distinct)?
    } else {
        batch
    };
    let ids = texts_of(column_of(&batch, id)?);
    let mut seen = HashSet::new();
    let n_again = ids.iter().flatten().filter(|id| !seen.insert(id.as_str())).count();
    if n_again > 0 && settings.group.is_none() {
        notes.push(Note::new("ids_again", &[("n", &n_again), ("id", id)]));
    }
    Ok(batch)
}

/// At most `n` rows of a batch, at least 1, at even steps: the first ones of a sorted table are not like the others.
pub(crate) fn at_even_steps(batch: &RecordBatch, n: usize) -> Result<RecordBatch> {
    let rows: Vec<usize> = even_steps(batch.num_rows(), n).collect();
    if rows.len() == batch.num_rows() { Ok(batch.clone()) } else { take_rows(batch, &rows) }
}

/// At most `n` of the numbers below `n_rows`, at least 1 if there are any, at even steps from 0.
pub(crate) fn even_steps(n_rows: usize, n: usize) -> impl Iterator<Item = usize> {
    (0..n_rows).step_by(n_rows.div_ceil(n.max(1)).max(1))
}

/// The rows at `rows`, in that order.
pub(crate) fn take_rows(batch: &RecordBatch, rows: &[usize]) -> Result<RecordBatch> {
    let index = UInt64Array::from_iter_values(rows.iter().map(|&r| r as u64));
    arrow_select::take::take_record_batch(batch, &index).map_err(|e| Error::data(e.to_string()))
}

/// Infinite numbers are refused while rows still have the numbers that the table gives them.
fn refuse_infinite(batch: &RecordBatch) -> Result<()> {
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        if *column.data_type() == DataType::Float64 {
            number_cells(field.name(), column)?;
        }
    }
    Ok(())
}

/// A column without a value anywhere cannot teach anything; one that is empty in a part of the rows only (a source that
/// came later) is left to the preparer, and so is a step of a sequence: no key may have happened so often, no node have so many
/// neighbours.
fn refuse_empty(batch: &RecordBatch, features: &[(String, Kind)], settings: &Settings) -> Result<()> {
    let is_empty = |name: &str| batch.column_by_name(name).is_some_and(|c| c.null_count() == c.len());
    let is_step = |name: &String| settings.sequences.values().flatten().flatten().any(|column| column == name);
    match features.iter().find(|(name, _)| is_empty(name) && !is_step(name)) {
        Some((name, _)) => Err(Error::data(format!(
            "column «{name}» has no value in any of the {} rows; leave it out with --drop {name}",
            batch.num_rows()
        ))),
        None => Ok(()),
    }
}

/// A column that surely or probably identifies persons is refused; a faint likeness is told.
fn refuse_personal_data(batch: &RecordBatch, features: &[(String, Kind)], notes: &mut Vec<Note>) -> Result<()> {
    let mut refused = Vec::new();
    for (name, _) in features {
        let Some(column) = batch.column_by_name(name) else { continue };
        if let Some(found) = personal::detect_array(name, std::slice::from_ref(column)) {
            if found.confidence == personal::Confidence::Low {
                let share = format!("{:.0}", found.share * 100.0);
                let values: [(&str, &dyn Display); 3] =
                    [("column", name), ("what", &found.detector), ("share", &share)];
                notes.push(Note::new("faint_likeness", &values));
                continue;
            }
            refused.push((name.as_str(), format!("{} ({:.0} % of its cells)", found.detector, found.share * 100.0)));
        }
    }
    let names: Vec<&str> = refused.iter().map(|(name, _)| *name).collect();
    let found: Vec<String> = refused.iter().map(|(name, what)| format!("column «{name}» holds {what}")).collect();
    match refused.len() {
        0 => Ok(()),
        n => Err(Error::data(format!(
            "{}; a person's identifier cannot be a feature; leave {} out with --drop {}",
            found.join(", "),
            if n == 1 { "it" } else { "them" },
            names.join(",")
        ))),
    }
}

fn column_of<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef> {
    batch.column_by_name(name).ok_or_else(|| Error::request(format!("no column «{name}»")))
}

/// A column of numbers without a missing cell.
pub(crate) fn complete_numbers(batch: &RecordBatch, name: &str, what: &str) -> Result<Vec<f64>> {
    let column = column_of(batch, name)?;
    if *column.data_type() == DataType::Utf8 {
        let texts = column.as_string::<i32>();
        // The first cell that is no number says more than the first cell.
        let is_text = |t: Option<&str>| t.is_some_and(|t| t.trim().parse::<f64>().is_err());
        let row = texts.iter().position(is_text).unwrap_or(0);
        let cell = texts.iter().nth(row).flatten().unwrap_or_default();
        return Err(Error::request(format!(
            "column «{name}», row {}: «{cell}» is text; {what} is a number in every row",
            row + 1
        )));
    }
    let cells = number_cells(name, column)?;
    match cells.iter().position(|v| v.is_nan()) {
        Some(row) => Err(Error::data(format!("column «{name}», row {}: missing; {what} is a number", row + 1))),
        None => Ok(cells),
    }
}

pub(crate) fn complete_times(batch: &RecordBatch, name: &str) -> Result<Vec<i64>> {
    let cells = time_cells(name, column_of(batch, name)?)?;
    let complete = |(row, cell): (usize, Option<i64>)| {
        cell.ok_or_else(|| Error::data(format!("column «{name}», row {}: missing; every row needs a time", row + 1)))
    };
    cells.into_iter().enumerate().map(complete).collect()
}

/// A row of weight 0 is no row: it takes no part in splits, preparing or figures.
fn without_weightless(batch: RecordBatch, settings: &Settings, notes: &mut Vec<Note>) -> Result<RecordBatch> {
    let Some(name) = &settings.weight else { return Ok(batch) };
    let weight = complete_numbers(&batch, name, "a weight")?;
    if let Some(row) = weight.iter().position(|&w| w < 0.0) {
        return Err(Error::data(format!(
            "column «{name}», row {}: {} is negative; a weight is 0 or more",
            row + 1,
            weight[row]
        )));
    }
    let kept: Vec<usize> = (0..weight.len()).filter(|&row| weight[row] > 0.0).collect();
    if kept.is_empty() {
        return Err(Error::data(format!("column «{name}»: every weight is 0; some must be positive")));
    }
    if kept.len() == weight.len() {
        return Ok(batch);
    }
    notes.push(Note::new("weightless", &[("n", &(weight.len() - kept.len()))]));
    take_rows(&batch, &kept)
}

/// Group numbers in order of first appearance; a missing cell is a group of its own.
fn groups(batch: &RecordBatch, name: &str) -> Result<Vec<u64>> {
    let texts = texts_of(column_of(batch, name)?);
    let mut numbers: HashMap<String, u64> = HashMap::new();
    let mut next = 0;
    let mut group = |text: Option<String>| {
        let Some(text) = text else {
            next += 1;
            return next - 1;
        };
        *numbers.entry(text).or_insert_with(|| {
            next += 1;
            next - 1
        })
    };
    Ok(texts.into_iter().map(&mut group).collect())
}

/// Of more than two classes none is the risk that could rise with a number.
fn refuse_directions(task: Task, settings: &Settings) -> Result<()> {
    let Task::Classes(k) = task else { return Ok(()) };
    match settings.monotone.iter().find(|(_, direction)| **direction != 0) {
        Some((column, _)) => Err(Error::request(format!(
            "monotone: column «{column}» cannot have a direction, because the target «{}» has {k} classes; allowed is a \
             target with two values or a number",
            settings.target
        ))),
        None => Ok(()),
    }
}

/// What is predicted, the classes' names, and the target as numbers.
fn target_of(
    batch: &RecordBatch,
    columns: &[ColumnInfo],
    settings: &Settings,
) -> Result<(Task, Vec<String>, Vec<f64>)> {
    let name = &settings.target;
    let column = column_of(batch, name)?;
    let missing = column.null_count();
    if missing > 0 {
        let row = (0..column.len()).find(|&r| column.is_null(r)).unwrap_or(0);
        return Err(Error::data(format!(
            "target «{name}» is missing in {missing} of {} rows (first in row {}); remove those rows",
            column.len(),
            row + 1
        )));
    }
    let texts = texts_of(column);
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for text in texts.iter().flatten() {
        *counts.entry(text).or_default() += 1;
        if counts.len() > MAX_CLASSES {
            break;
        }
    }
    if counts.len() < 2 {
        let only = counts.keys().next().copied().unwrap_or_default();
        return Err(Error::data(format!("target «{name}» is «{only}» in every row; it must take at least two values")));
    }
    let kind = columns.iter().find(|c| c.name == *name).map_or(Kind::Number, |c| c.kind);
    if counts.len() > 2 && kind == Kind::Number && settings.positive.is_none() {
        refuse_few_values(name, &texts, &counts, settings)?;
        return Ok((Task::Regression, Vec::new(), number_cells(name, column)?));
    }
    if counts.len() > MAX_CLASSES {
        return Err(Error::data(format!(
            "target «{name}» has more than {MAX_CLASSES} values; at most {MAX_CLASSES} classes can be told apart"
        )));
    }
    let classes = class_order(name, &counts, settings.positive.as_deref())?;
    let index: HashMap<&str, usize> = classes.iter().enumerate().map(|(i, c)| (c.as_str(), i)).collect();
    let target = texts.iter().flatten().map(|t| index[t.as_str()] as f64).collect();
    let task = if classes.len() == 2 { Task::Binary } else { Task::Classes(classes.len()) };
    Ok((task, classes, target))
}

/// Values of a number below which it is taken for a list of classes, or for two classes with stray values.
const FEW_VALUES: usize = 6;

/// A target of a few whole numbers is more likely classes, or 0 and 1 with a stray value, than an amount: the user decides.
fn refuse_few_values(
    name: &str,
    texts: &[Option<String>],
    counts: &BTreeMap<&str, usize>,
    settings: &Settings,
) -> Result<()> {
    if counts.len() >= FEW_VALUES || settings.types.contains_key(name) || texts.len() < 10 * counts.len() {
        return Ok(());
    }
    let listed: Vec<String> = counts.iter().map(|(v, n)| format!("«{v}» ({n} rows)")).collect();
    Err(Error::request(format!(
        "target «{name}» has the values {}; say what it is: --types {name}=category for classes, --types {name}=number for an \
         amount, or --positive VALUE after the other rows but those of two values are removed",
        listed.join(", ")
    )))
}

/// Classes by index; of two, the event is the second.
pub(crate) fn class_order(name: &str, counts: &BTreeMap<&str, usize>, positive: Option<&str>) -> Result<Vec<String>> {
    let listed = || counts.iter().map(|(v, n)| format!("«{v}» ({n} rows)")).collect::<Vec<_>>().join(", ");
    let mut classes: Vec<String> = counts.keys().map(|c| (*c).to_string()).collect();
    if counts.len() > 2 {
        return match positive {
            Some(positive) => Err(Error::data(format!(
                "target «{name}» has {} values where --positive {positive} asks for two: {}",
                counts.len(),
                listed()
            ))),
            None => Ok(classes),
        };
    }
    let event = match positive {
        Some(positive) => classes.iter().position(|c| c == positive || same_number(c, positive)).ok_or_else(|| {
            Error::request(format!("--positive {positive}: target «{name}» has no such value; it has {}", listed()))
        })?,
        None => {
            // 1 is the event beside 0 and -1; beside 2 it may as well be the good ones.
            let is_one = |c: &str| c.parse::<f64>() == Ok(1.0);
            let is_none = |c: &str| c.parse::<f64>().map_or(true, |v| v == 0.0 || v == -1.0);
            let says_so = |i: usize| {
                EVENT_WORDS.contains(&classes[i].to_lowercase().as_str())
                    && (!is_one(&classes[i]) || is_none(&classes[1 - i]))
            };
            let likely: Vec<usize> = (0..2).filter(|&i| says_so(i)).collect();
            let [event] = likely[..] else {
                return Err(Error::request(format!(
                    "target «{name}» has the values {}; name the one that is the event with --positive",
                    listed()
                )));
            };
            event
        }
    };
    if event == 0 {
        classes.reverse();
    }
    Ok(classes)
}

/// The target of new rows by the classes of training, for evaluation.
///
/// # Errors
/// A value that is no class, or a cell that is missing.
pub fn target_by_classes(batch: &RecordBatch, name: &str, task: Task, classes: &[String]) -> Result<Vec<f64>> {
    let column = column_of(batch, name)?;
    if task == Task::Regression {
        return complete_numbers(batch, name, "a target");
    }
    let class_of = |(row, text): (usize, Option<String>)| {
        let text = text.ok_or_else(|| Error::data(format!("target «{name}», row {}: missing", row + 1)))?;
        let index = classes.iter().position(|c| *c == text || same_number(c, &text)).ok_or_else(|| {
            Error::data(format!("target «{name}», row {}: «{text}» is not one of {}", row + 1, classes.join(", ")))
        })?;
        Ok(index as f64)
    };
    texts_of(column).into_iter().enumerate().map(class_of).collect()
}

/// `1` and `1.0` are one class when a column is read as integers once and as floats another time.
fn same_number(a: &str, b: &str) -> bool {
    matches!((a.parse::<f64>(), b.parse::<f64>()), (Ok(a), Ok(b)) if a == b)
}
