//! One decision explained: what each column adds to the score, the reasons, what is left unexplained, and what would turn it.

use crate::bundle::Bundle;
use crate::network;
use crate::policy::Decision;
use crate::reasons::Language;
use crate::recourse::{Found, LimitBy, Searcher};
use crate::scorer::RowSource;
use crate::training_set::texts_of;
use arrow_array::RecordBatch;
use serde::{Deserialize, Serialize};
use statera_core::{Attributions, Error, Result, Run, Task};
use statera_data::source::{self, ReadOptions};

/// Version of the arithmetic of attributions. It is raised when a change of the program changes a bit of what they are for a
/// bundle that was written before, so that whoever compares them with kept ones knows: 2 walks trees once for all leaves.
pub const ATTRIBUTIONS: u32 = 2;

/// Why a row has its score.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Explanation {
    /// The row's id, or its number from 1.
    pub row: String,
    /// Of several classes the likeliest one, which is explained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// The next likeliest class, against which it is explained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub against: Option<String>,
    /// The probability of the event or of the class, or the predicted value.
    pub score: f64,
    /// The margin that contributions add up to: log-odds before calibration, or the predicted value. Of several classes those of
    /// the likeliest against the next, the difference of their margins.
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
    /// Why not approve, or of an approved row why to; the strongest first, where the bundle has reasons.
    pub reasons: Vec<Reason>,
    /// What would turn the decision into approve, where it was asked for, the bundle has a recourse and the row is not approved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recourse: Option<Found>,
}

/// What an explanation holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Asked {
    /// Language of the reasons.
    pub language: Language,
    /// True if contributions are measured against the bundle's background rows ([`crate::scorer::Scorer::attribute_against`]). The
    /// reasons are those of the decision either way.
    pub against_background: bool,
    /// What limits the search for recourse; `None` if none is asked for.
    pub recourse: Option<LimitBy>,
}

impl From<Language> for Asked {
    fn from(language: Language) -> Asked {
        Asked { language, ..Asked::default() }
    }
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

/// Explains the row of a batch of one.
///
/// # Errors
/// A model of segments; background rows that the bundle does not have; as
/// [`crate::scorer::Scorer::attribute`].
pub fn explain(
    bundle: &Bundle,
    one: &RecordBatch,
    source: RowSource,
    name: &str,
    asked: impl Into<Asked>,
) -> Result<Explanation> {
    let scorer = &bundle.scorer;
    let asked = asked.into();
    if scorer.schema().target.is_empty() {
        return Err(Error::request(
            "the bundle assigns segments; explanations are of probabilities and predicted values",
        ));
    }
    let scored = scorer.score_rows(one, source.is_text, source.first_row)?;
    let outputs = Outputs::of(scorer.schema().task, &scored.probabilities);
    let parts = scorer.attribute_rows(one, source)?;
    let columns = scorer.raw_columns();
    let decided = bundle.deciding.decide(scorer, one, &scored, source)?;
    let decided = decided.and_then(|d| d.into_iter().next());
    let reasons = match decided.as_ref().map(|d| d.decision) {
        Some(Decision::Approve) => bundle.deciding.reasons_for(parts.of(0, 0), columns),
        _ => bundle.deciding.reasons_of(parts.of(0, 0), columns),
    };
    let parts = if asked.against_background { against_background(bundle, one, source)? } else { parts };
    let cell = |column: &String| {
        let array = one.column_by_name(column)?;
        texts_of(array).into_iter().next().flatten()
    };
    let contribution = |(place, column): (usize, &String)| {
        let value = outputs.difference(|output| parts.of(0, output)[place]);
        Contribution { column: column.clone(), cell: cell(column), value }
    };
    let mut contributions: Vec<Contribution> = columns.iter().enumerate().map(contribution).collect();
    contributions.sort_by(|a, b| b.value.abs().total_cmp(&a.value.abs()).then_with(|| a.column.cmp(&b.column)));
    let reason = |given: crate::reasons::Given<'_>| Reason {
        code: given.reason.code.clone(),
        text: given.reason.text(asked.language).into(),
        actionable: given.reason.actionable,
        contribution: given.contribution,
    };
    let class = |output: usize| outputs.against.and(scorer.schema().classes.get(output).cloned());
    Ok(Explanation {
        row: name.into(),
        class: class(outputs.own),
        against: outputs.against.and_then(class),
        score: scored.probabilities[outputs.own],
        margin: outputs.difference(|output| scored.margins[output]),
        base: outputs.difference(|output| parts.base[output]),
        contributions,
        remainder: outputs.difference(|output| parts.remainder_of(0, output)),
        decision: decided.as_ref().map(|d| d.decision),
        grade: decided.and_then(|d| d.grade),
        reasons: reasons.into_iter().map(reason).collect(),
        recourse: recourse(bundle, one, source, asked.recourse)?,
    })
}

/// The outputs of a model that an explanation is of.
#[derive(Debug, Clone, Copy)]
struct Outputs {
    own: usize,
    /// Of several classes the one that it is compared with.
    against: Option<usize>,
}

impl Outputs {
    /// The only output, or of several classes the likeliest against the next likeliest; of equals the first.
    fn of(task: Task, probabilities: &[f64]) -> Outputs {
        let mut order: Vec<usize> = (0..probabilities.len()).collect();
        order.sort_by(|&a, &b| probabilities[b].total_cmp(&probabilities[a]).then(a.cmp(&b)));
        match (task, order.as_slice()) {
            (Task::Classes(_), [own, against, ..]) => Outputs { own: *own, against: Some(*against) },
            _ => Outputs { own: 0, against: None },
        }
    }

    /// A figure of the output, less that of the one that it is compared with. The margins of classes have a meaning only beside
    /// each other: the difference of two is the log-odds of one class against the other, whatever the rest.
    fn difference(self, of: impl Fn(usize) -> f64) -> f64 {
        of(self.own) - self.against.map_or(0.0, of)
    }
}

/// What would turn the decision, if that is asked for.
fn recourse(bundle: &Bundle, one: &RecordBatch, source: RowSource, by: Option<LimitBy>) -> Result<Option<Found>> {
    let Some(by) = by else { return Ok(None) };
    match Searcher::new(bundle)? {
        Some(searcher) => searcher.find(one, source, searcher.limit(by)),
        None => Ok(None),
    }
}

/// What each column adds, measured against the bundle's background rows.
fn against_background(bundle: &Bundle, one: &RecordBatch, source: RowSource) -> Result<Attributions> {
    let background = bundle.background.as_ref().ok_or_else(|| {
        Error::request(
            "the bundle has no background rows to measure from: it was trained on sequences or by an earlier version; train it \
             again",
        )
    })?;
    bundle.scorer.attribute_against(one, source, Some(&background.in_proportion()?))
}

/// Explains the row of a table that a name means: the one whose id is that, or the number of a row from 1 where the bundle
/// or the table knows no id. The table is read as [`crate::batch::score`] reads it.
///
/// # Errors
/// No such row, or several; as [`explain`], with the table's name.
pub fn explain_row(
    bundle: &Bundle,
    address: &str,
    read: &ReadOptions,
    name: &str,
    asked: Asked,
    run: &Run,
) -> Result<Explanation> {
    let place = source::label(address);
    let mut reader = network::open(bundle, address, network::Beside::default(), read, run)?;
    let (mut seen, mut found) = (0, None::<(RecordBatch, usize)>);
    let mut id = None;
    run.progress.start("Looking for the row", 0);
    while let Some(batch) = reader.next_batch()? {
        run.check()?;
        id = bundle.scorer.schema().id.as_deref().filter(|id| batch.column_by_name(id).is_some());
        for row in rows_of(&batch, id, seen, name) {
            if let (Some(id), Some((_, first))) = (id, &found) {
                let (a, b) = (first + 1, seen + row + 1);
                return Err(Error::request(format!("{place}: --row {name}: rows {a} and {b} both have that «{id}»")));
            }
            found = Some((batch.slice(row, 1), seen + row));
        }
        seen += batch.num_rows();
    }
    run.progress.finish();
    let (one, first_row) = found.ok_or_else(|| {
        Error::request(match id {
            Some(id) => format!("{place}: --row {name}: no row has that «{id}»"),
            None => format!(
                "{place}: --row {name}: the table has no id of the bundle; allowed: row numbers from 1 to {seen}"
            ),
        })
    })?;
    let source = RowSource { is_text: reader.is_text(), first_row };
    explain(bundle, &one, source, name, asked).map_err(|e| e.at(place))
}

/// The rows of a batch, of which `before` come before it, that a name means.
fn rows_of(batch: &RecordBatch, id: Option<&str>, before: usize, name: &str) -> Vec<usize> {
    match id.and_then(|id| batch.column_by_name(id)) {
        None => {
            let row = name.parse::<usize>().ok().and_then(|n| n.checked_sub(before + 1));
            row.filter(|row| *row < batch.num_rows()).into_iter().collect()
        }
        Some(cells) => {
            let texts = texts_of(cells);
            let is_it = |row: &usize| texts[*row].as_deref().is_some_and(|t| t.trim() == name.trim());
            (0..texts.len()).filter(is_it).collect()
        }
    }
}
