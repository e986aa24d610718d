//! Groups of people by protected columns, and the cells where two or more of them meet.
//!
//! A missing cell and a sentinel (a value that stands for something else than what the column holds) are nobody's group.

use crate::bins::BinLabel;
use crate::note::Note;
use crate::project::Settings;
use crate::training_set::texts_of;
use arrow_array::RecordBatch;
use arrow_schema::DataType;
use serde::{Deserialize, Serialize};
use statera_core::fairness::{Group, proxy};
use statera_core::{Error, Result, Task};
use statera_data::preparer::number_cells;
use std::collections::BTreeMap;

/// A number of at most so many values is grouped by them.
const MAX_VALUES: usize = 10;
/// Other numbers are grouped in so many parts of about as many rows.
const N_PARTS: usize = 4;
/// Most levels of a protected column; more are no groups.
const MAX_LEVELS: usize = 50;
/// Most cells of an intersection.
const MAX_CELLS: usize = 500;

/// To which group of a protected column each row belongs.
#[derive(Debug, Clone, PartialEq)]
pub struct Labels {
    /// The protected column.
    pub column: String,
    /// The group of each row, such as `female` or `30 to below 40`; `None` where the cell is missing or a sentinel.
    pub of_rows: Vec<Option<String>>,
    /// What the cells of each group have in common.
    pub meaning: BTreeMap<String, BinLabel>,
}

/// What a group has in common in one of the protected columns: with it a report names the group in its own language.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupPart {
    /// The protected column.
    pub column: String,
    /// Its cells.
    pub label: BinLabel,
}

impl Labels {
    /// Those of the rows at `rows`, in that order.
    #[must_use]
    pub fn take(&self, rows: &[usize]) -> Labels {
        let of_rows = rows.iter().map(|&row| self.of_rows[row].clone()).collect();
        Labels { column: self.column.clone(), of_rows, meaning: self.meaning.clone() }
    }

    /// The groups by name in their order, and the number of each row's among them; `None` where the cell is missing.
    pub fn numbers(&self) -> (Vec<&str>, Vec<Option<usize>>) {
        let mut names: Vec<&str> = self.of_rows.iter().flatten().map(String::as_str).collect();
        names.sort_unstable();
        names.dedup();
        let number = |label: &Option<String>| label.as_ref().and_then(|l| names.binary_search(&l.as_str()).ok());
        let numbers = self.of_rows.iter().map(number).collect();
        (names, numbers)
    }
}

/// To which groups each row belongs, by protected column; `sentinels` are the values that stand for nobody's group, by column.
///
/// # Errors
/// A column that does not exist, has one level or too many.
pub fn labels(
    batch: &RecordBatch,
    protected: &[String],
    sentinels: &BTreeMap<String, Vec<String>>,
) -> Result<Vec<Labels>> {
    let of = |column: &String| -> Result<Labels> {
        let sentinels = sentinels.get(column).map_or(&[][..], Vec::as_slice);
        labels_of(batch, column, sentinels).map_err(|e| e.at(format!("protected column «{column}»")))
    };
    protected.iter().map(of).collect()
}

/// What is said of protected columns where no decision about an event could treat their groups unequally; `None` where one
/// can, or no column is protected.
pub(crate) fn note_without_event(task: Task, settings: &Settings) -> Option<Note> {
    if task == Task::Binary || settings.protected.is_empty() {
        return None;
    }
    let columns = format!("«{}»", settings.protected.join("», «"));
    Some(match settings.target.as_str() {
        "" => Note::new("groups_no_target", &[("columns", &columns)]),
        target => Note::new("groups_no_event", &[("columns", &columns), ("target", &target)]),
    })
}

/// The groups of each protected column, then those of all of them together where there are two or more; groups of one family
/// divide the rows.
///
/// # Errors
/// More cells where the columns meet than can be looked at.
pub fn families(labels: &[Labels]) -> Result<Vec<Vec<Group>>> {
    let of_column = |Labels { column, of_rows, .. }: &Labels| {
        collected(of_rows.iter().map(|l| l.as_ref().map(|l| format!("{column} {l}"))))
    };
    let mut all: Vec<Vec<Group>> = labels.iter().map(of_column).collect();
    let n_rows = labels.first().map_or(0, |l| l.of_rows.len());
    if labels.len() > 1 {
        let name = |row: usize| {
            let parts: Option<Vec<String>> =
                labels.iter().map(|l| Some(format!("{} {}", l.column, l.of_rows[row].as_ref()?))).collect();
            parts.map(|p| p.join(", "))
        };
        let cells = collected((0..n_rows).map(name));
        if cells.len() > MAX_CELLS {
            return Err(Error::request(format!(
                "the protected columns meet in {} cells; allowed: at most {MAX_CELLS}; name fewer columns",
                cells.len()
            )));
        }
        all.push(cells);
    }
    Ok(all)
}

/// What the groups of [`families`] have in common, by name.
pub fn parts(labels: &[Labels], families: &[Vec<Group>]) -> BTreeMap<String, Vec<GroupPart>> {
    let mut parts = BTreeMap::new();
    for (at, family) in families.iter().enumerate() {
        // A family a column, then that of the cells where all of them meet.
        let columns = labels.get(at..=at).unwrap_or(labels);
        for group in family {
            let Some(&row) = group.rows.first() else { continue };
            let part = |own: &Labels| {
                let label = own.meaning.get(own.of_rows[row].as_ref()?)?.clone();
                Some(GroupPart { column: own.column.clone(), label })
            };
            parts.extend(columns.iter().map(part).collect::<Option<Vec<_>>>().map(|p| (group.name.clone(), p)));
        }
    }
    parts
}

/// The groups of all [`families`].
///
/// # Errors
/// As there.
pub fn groups(labels: &[Labels]) -> Result<Vec<Group>> {
    Ok(families(labels)?.concat())
}

/// The cell of each row where all protected columns meet, by number; missing cells are a level of their own here, so that
/// every row has one.
pub fn cells(labels: &[Labels]) -> Vec<usize> {
    let mut cells = vec![0; labels.first().map_or(0, |l| l.of_rows.len())];
    for label in labels {
        let numbers: Vec<usize> = label.numbers().1.into_iter().map(|n| n.map_or(0, |n| n + 1)).collect();
        cells = proxy::meet(&cells, &numbers);
    }
    cells
}

/// Groups of rows of one label, in the order of the labels; rows without a label are in none.
fn collected(labels: impl Iterator<Item = Option<String>>) -> Vec<Group> {
    let mut rows: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (row, label) in labels.enumerate() {
        if let Some(label) = label {
            rows.entry(label).or_default().push(row);
        }
    }
    rows.into_iter().map(|(name, rows)| Group { name, rows }).collect()
}

/// The group of each row; `None` where the cell is missing or a sentinel.
fn labels_of(batch: &RecordBatch, column: &str, sentinels: &[String]) -> Result<Labels> {
    let array = batch.column_by_name(column).ok_or_else(|| {
        let names: Vec<String> = batch.schema().fields().iter().map(|f| f.name().clone()).collect();
        Error::request(format!("the table has no such column; there are {}", names.join(", ")))
    })?;
    let labels: Vec<Option<BinLabel>> = match array.data_type() {
        DataType::Int64 | DataType::Float64 | DataType::Decimal128(..) => {
            of_numbers(number_cells(column, array)?, sentinels)
        }
        _ => {
            let texts = texts_of(array).into_iter();
            texts.map(|text| text.filter(|t| !sentinels.contains(t)).map(BinLabel::Level)).collect()
        }
    };
    let mut meaning = BTreeMap::new();
    let mut of_rows = Vec::with_capacity(labels.len());
    for label in labels {
        let group = label.as_ref().map(name);
        meaning.extend(group.clone().zip(label));
        of_rows.push(group);
    }
    match meaning.len() {
        0 => Err(Error::data("every cell is missing or a sentinel")),
        1 => {
            let only = meaning.keys().next().map_or("", String::as_str);
            Err(Error::data(format!("«{only}» is its only level; at least two are needed to compare")))
        }
        n if n > MAX_LEVELS => Err(Error::data(format!("{n} levels; allowed: at most {MAX_LEVELS}"))),
        _ => Ok(Labels { column: column.into(), of_rows, meaning }),
    }
}

/// The name of a group, in English as bundles and terminals have it.
fn name(label: &BinLabel) -> String {
    match label {
        BinLabel::Range { from: Some(from), to: Some(to) } => format!("{from} to below {to}"),
        BinLabel::Range { from: Some(from), to: None } => format!("from {from}"),
        BinLabel::Range { from: None, to: Some(to) } => format!("below {to}"),
        BinLabel::Range { from: None, to: None } => "all values".into(),
        BinLabel::Value(value) => value.to_string(),
        BinLabel::Level(level) => level.clone(),
        BinLabel::Others => "others".into(),
        BinLabel::Missing => "missing".into(),
    }
}

/// Single values where there are few, else parts of about as many rows; `None` where the cell is missing or a sentinel.
fn of_numbers(cells: Vec<f64>, sentinels: &[String]) -> Vec<Option<BinLabel>> {
    // A sentinel that is a word (of a table whose column held words too) is none of these numbers.
    let sentinels: Vec<f64> = sentinels.iter().filter_map(|s| s.trim().parse().ok()).collect();
    // -0 and 0 are one number: their sum with 0 is 0.
    let known = |v: f64| if sentinels.contains(&v) { f64::NAN } else { v + 0.0 };
    let cells: Vec<f64> = cells.into_iter().map(known).collect();
    let mut sorted: Vec<f64> = cells.iter().copied().filter(|v| !v.is_nan()).collect();
    sorted.sort_by(f64::total_cmp);
    let mut values = sorted.clone();
    values.dedup();
    if values.len() <= MAX_VALUES {
        return cells.iter().map(|v| (!v.is_nan()).then_some(BinLabel::Value(*v))).collect();
    }
    // Equal values stay together, so that parts may differ in size.
    let mut edges: Vec<f64> = (1..N_PARTS).map(|i| sorted[i * sorted.len() / N_PARTS]).collect();
    edges.dedup();
    let low = sorted[0];
    edges.retain(|e| *e > low);
    let label = |v: f64| {
        let part = edges.partition_point(|e| *e <= v);
        BinLabel::Range { from: part.checked_sub(1).map(|i| edges[i]), to: edges.get(part).copied() }
    };
    cells.iter().map(|&v| (!v.is_nan()).then(|| label(v))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{ArrayRef, Float64Array, Int64Array, StringArray};
    use std::sync::Arc;

    fn labels(batch: &RecordBatch, protected: &[String]) -> Result<Vec<Labels>> {
        super::labels(batch, protected, &BTreeMap::new())
    }

    fn batch() -> RecordBatch {
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("sex", Arc::new(StringArray::from_iter((0..40).map(|i| (i % 10 != 9).then_some(["f", "m"][i % 2]))))),
            ("age", Arc::new(Int64Array::from_iter_values((0..40).map(|i| 20 + i)))),
            ("children", Arc::new(Int64Array::from_iter_values((0..40).map(|i| i % 3)))),
            ("same", Arc::new(StringArray::from(vec!["x"; 40]))),
        ];
        RecordBatch::try_from_iter(columns).unwrap()
    }

    #[test]
    fn levels_values_and_parts_are_groups_and_meet() {
        let of = |columns: &[&str]| {
            groups(&labels(&batch(), &columns.iter().map(|c| c.to_string()).collect::<Vec<_>>()).unwrap()).unwrap()
        };
        let names =
            |groups: &[Group]| groups.iter().map(|g| format!("{}: {}", g.name, g.rows.len())).collect::<Vec<_>>();
        assert_eq!(names(&of(&["sex"])), ["sex f: 20", "sex m: 16"]);
        assert_eq!(names(&of(&["children"])), ["children 0: 14", "children 1: 13", "children 2: 13"]);
        assert_eq!(
            names(&of(&["age"])),
            ["age 30 to below 40: 10", "age 40 to below 50: 10", "age below 30: 10", "age from 50: 10"]
        );
        let both = of(&["sex", "children"]);
        assert_eq!(both.len(), 2 + 3 + 6);
        assert_eq!(both[5].name, "sex f, children 0");
        assert_eq!(both[5..].iter().map(|g| g.rows.len()).sum::<usize>(), 36, "rows without a label are in no cell");
        let columns = ["sex", "age"].map(String::from);
        let labels = labels(&batch(), &columns).unwrap();
        let parts = parts(&labels, &families(&labels).unwrap());
        let range = |from: Option<f64>, to: Option<f64>| BinLabel::Range { from, to };
        let part = |column: &str, label: BinLabel| GroupPart { column: column.into(), label };
        assert_eq!(parts["age below 30"], [part("age", range(None, Some(30.0)))]);
        assert_eq!(
            parts["sex m, age 30 to below 40"],
            [part("sex", BinLabel::Level("m".into())), part("age", range(Some(30.0), Some(40.0)))]
        );
        assert_eq!(parts.len(), 2 + 4 + 8);
        let columns = ["sex".to_string(), "children".to_string()];
        let labels = super::labels(&batch(), &columns, &BTreeMap::new()).unwrap();
        let cells = cells(&labels);
        assert_eq!((cells.len(), cells.iter().max()), (40, Some(&8)), "a missing sex is a level of its own");
    }

    #[test]
    fn refuses_columns_that_make_no_groups() {
        let refused = |column: &str| labels(&batch(), &[column.to_string()]).unwrap_err().to_string();
        assert_eq!(
            refused("religion"),
            "protected column «religion»: the table has no such column; there are sex, age, children, same"
        );
        assert_eq!(
            refused("same"),
            "protected column «same»: «x» is its only level; at least two are needed to compare"
        );
    }

    #[test]
    fn sentinels_are_nobodys_group_and_the_zeros_are_one() {
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("age", Arc::new(Int64Array::from_iter_values((0..40).map(|i| if i < 8 { -1 } else { 20 + i })))),
            ("sex", Arc::new(StringArray::from_iter_values((0..40).map(|i| ["f", "m", "unknown"][i % 3])))),
            ("debt", Arc::new(Float64Array::from_iter_values((0..40).map(|i| [0.0, -0.0, 1.0, 99.0][i % 4])))),
        ];
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let sentinels = [("age", vec!["-1"]), ("sex", vec!["unknown"]), ("debt", vec![" 99.0", "none"])];
        let text = |values: Vec<&str>| values.into_iter().map(str::to_string).collect();
        let sentinels: BTreeMap<String, Vec<String>> =
            sentinels.into_iter().map(|(column, values)| (column.to_string(), text(values))).collect();
        let check = |column: &str, expected: &[&str]| {
            let found = super::labels(&batch, &[column.to_string()], &sentinels).unwrap();
            let found = groups(&found).unwrap();
            assert_eq!(found.iter().map(|g| format!("{}: {}", g.name, g.rows.len())).collect::<Vec<_>>(), expected);
        };
        // The quarters are of the 32 ages, not of ages and sentinels.
        check("age", &["age 36 to below 44: 8", "age 44 to below 52: 8", "age below 36: 8", "age from 52: 8"]);
        check("sex", &["sex f: 14", "sex m: 13"]);
        check("debt", &["debt 0: 20", "debt 1: 10"]);
        let only = [("sex".to_string(), text(vec!["f", "m", "unknown"]))].into();
        let refused = super::labels(&batch, &["sex".to_string()], &only).unwrap_err().to_string();
        assert_eq!(refused, "protected column «sex»: every cell is missing or a sentinel");
    }
}
