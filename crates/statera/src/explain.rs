//! One decision explained: what each column adds to the score, the reasons, and what is left unexplained.

use crate::bundle::Bundle;
use crate::policy::Decision;
use crate::reasons::Language;
use crate::scorer::RowSource;
use crate::training_set::texts_of;
use arrow_array::RecordBatch;
use serde::{Deserialize, Serialize};
use statera_core::{Error, Result, Task};
use statera_data::Table;

/// Why a row has its score.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Explanation {
    /// The row's id, or its number from 1.
    pub row: String,
    /// The probability of the event, or the predicted value.
    pub score: f64,
    /// The margin that contributions add up to: log-odds before calibration, or the predicted value.
    pub margin: f64,
    /// The margin of the average row.
    pub base: f64,
    /// What each column adds, the largest first.
    pub contributions: Vec<Contribution>,
    /// What the method leaves unexplained; 0 where it is exact.
    pub remainder: f64,
    /// By the bundle's policy, where it has one.
    pub decision: Option<Decision>,
    /// By its master scale, where it has one.
    pub grade: Option<String>,
    /// Why not approve, the strongest first; where the bundle has reasons.
    pub reasons: Vec<Reason>,
}

/// What a column adds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contribution {
    /// The column.
    pub column: String,
    /// The row's cell as text; `None` if it is missing.
    pub cell: Option<String>,
    /// Added to the margin.
    pub value: f64,
}

/// A reason in the customer's language.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reason {
    /// As in the bank's file.
    pub code: String,
    /// What the customer reads.
    pub text: String,
    /// True if the customer can do something about it.
    pub actionable: bool,
    /// What its columns add to the margin beyond what they add for the average approved row.
    pub contribution: f64,
}

/// Explains a row of a batch.
///
/// # Errors
/// A model of several classes; as [`crate::scorer::Scorer::attribute`].
pub fn explain(
    bundle: &Bundle,
    batch: &RecordBatch,
    row: usize,
    name: &str,
    language: Language,
) -> Result<Explanation> {
    let scorer = &bundle.scorer;
    if matches!(scorer.schema().task, Task::Classes(_)) {
        return Err(Error::request(
            "the bundle predicts several classes; explanations are of one probability or value",
        ));
    }
    let one = batch.slice(row, 1);
    let scored = scorer.score(&one)?;
    let parts = scorer.attribute(&one)?;
    let columns = scorer.raw_columns();
    let cell = |column: &String| {
        let array = one.column_by_name(column)?;
        texts_of(array).into_iter().next().flatten()
    };
    let contribution =
        |(column, &value): (&String, &f64)| Contribution { column: column.clone(), cell: cell(column), value };
    let mut contributions: Vec<Contribution> = columns.iter().zip(parts.of(0, 0)).map(contribution).collect();
    contributions.sort_by(|a, b| b.value.abs().total_cmp(&a.value.abs()).then_with(|| a.column.cmp(&b.column)));
    let decided = bundle.deciding.decide(scorer, &one, &scored, RowSource::default())?;
    let decided = decided.and_then(|d| d.into_iter().next());
    let reasons = bundle.deciding.reasons_of(parts.of(0, 0), columns);
    let reason = |given: crate::reasons::Given<'_>| Reason {
        code: given.reason.code.clone(),
        text: given.reason.text(language).into(),
        actionable: given.reason.actionable,
        contribution: given.contribution,
    };
    Ok(Explanation {
        row: name.into(),
        score: scored.probabilities[0],
        margin: scored.margins[0],
        base: parts.base[0],
        contributions,
        remainder: parts.remainder_of(0, 0),
        decision: decided.as_ref().map(|d| d.decision),
        grade: decided.and_then(|d| d.grade),
        reasons: reasons.into_iter().map(reason).collect(),
    })
}

/// Explains the row of a table that a name means (see [`find`]).
///
/// # Errors
/// As [`find`] and [`explain`], with the table's name.
pub fn explain_row(bundle: &Bundle, table: &Table, name: &str, language: Language) -> Result<Explanation> {
    let found = || {
        let batch = arrow_select::concat::concat_batches(&table.batches[0].schema(), &table.batches)
            .map_err(|e| Error::data(e.to_string()))?;
        explain(bundle, &batch, find(bundle, &batch, name)?, name, language)
    };
    found().map_err(|e| e.at(&table.origin))
}

/// The row that a name means: the one whose id is that, or the number of a row from 1 where the bundle knows no id.
///
/// # Errors
/// No such row, or several.
pub fn find(bundle: &Bundle, batch: &RecordBatch, name: &str) -> Result<usize> {
    let id = bundle.scorer.schema().id.as_deref().and_then(|id| Some((id, batch.column_by_name(id)?)));
    let Some((id, cells)) = id else {
        let n = batch.num_rows();
        let number = name.parse::<usize>().ok().filter(|i| (1..=n).contains(i));
        return number.map(|i| i - 1).ok_or_else(|| {
            Error::request(format!(
                "--row {name}: the table has no id of the bundle; allowed: row numbers from 1 to {n}"
            ))
        });
    };
    let texts = texts_of(cells);
    let mut rows = (0..texts.len()).filter(|&i| texts[i].as_deref().is_some_and(|t| t.trim() == name.trim()));
    match (rows.next(), rows.next()) {
        (Some(row), None) => Ok(row),
        (None, _) => Err(Error::request(format!("--row {name}: no row has that «{id}»"))),
        (Some(a), Some(b)) => {
            Err(Error::request(format!("--row {name}: rows {} and {} both have that «{id}»", a + 1, b + 1)))
        }
    }
}
