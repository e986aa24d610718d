//! `GET /api/v1/decisions/{id}/replay`: the decision made again from what is kept, and compared to the last bit.

use super::answer::{Document, Facts, documents, fired};
use super::{RowDoc, blocking, decision_record, json_of, time_text};
use crate::app::Shared;
use crate::compute::{Answers, Explain, Rows, Wanted, score_alone};
use crate::http::failure::Failure;
use crate::models::Loaded;
use crate::who::Who;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use statera::explain::ATTRIBUTIONS;
use statera::rules::Rule;
use statera_core::{Error, Result};
use statera_store::people::Role;
use statera_store::record::Id;
use std::collections::BTreeMap;

/// How far contributions to a margin (log-odds) may be from those of an earlier arithmetic.
const CONTRIBUTIONS_WITHIN: f64 = 1e-9;

/// What a replay found.
#[derive(Debug, Serialize)]
struct Replayed {
    id: Id,
    /// «identical», «different», or «erased» where nothing is left to compare.
    result: &'static str,
    model: String,
    version: u32,
    digest: String,
    /// The program that decided, and the one that replayed.
    decided_by: String,
    replayed_by: &'static str,
    rows_compared: usize,
    /// When parts were erased: «erased on …».
    #[serde(skip_serializing_if = "Vec::is_empty")]
    erased: Vec<String>,
    /// How near contributions had to be, where the program's way of adding them is another since: else to the last bit.
    #[serde(skip_serializing_if = "Option::is_none")]
    contributions_within: Option<f64>,
    /// What differs, by row.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    differences: Vec<Difference>,
    /// Codes of the reasons by row, where the request asked for none and the replay finds them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    reasons: BTreeMap<usize, Vec<String>>,
}

/// Something that is not what it was.
#[derive(Debug, PartialEq, Serialize)]
struct Difference {
    row: usize,
    what: &'static str,
    recorded: String,
    replayed: String,
}

/// What a row's answer says that a replay compares.
#[derive(Debug, Deserialize)]
struct Answered {
    #[serde(default)]
    grade: Option<String>,
    #[serde(default)]
    decision: Option<String>,
    #[serde(default)]
    action: Option<String>,
    #[serde(default)]
    rules: Option<Vec<Coded>>,
    #[serde(default)]
    shadow_rules: Vec<String>,
    #[serde(default)]
    reasons: Option<Vec<Coded>>,
}

#[derive(Debug, Deserialize)]
struct Coded {
    code: String,
}

/// Replays a decision. What it tells is not personal: it holds no input.
pub(super) async fn get(
    State(app): State<Shared>,
    who: Who,
    Path(id): Path<String>,
) -> std::result::Result<Response, Failure> {
    who.needs(&[Role::Viewer, Role::Maker, Role::Checker, Role::Admin])?;
    let id: Id = id.parse()?;
    let turn = app.replays.turn().await?;
    let replayed = blocking(move || {
        let _turn = turn;
        replay(&app, id)
    });
    json_of(&replayed.await?)
}

fn replay(app: &Shared, id: Id) -> Result<Replayed> {
    let record = decision_record(&*app.store, id)?;
    let facts = Facts::read(&record)?;
    let (mut rows, mut erased) = (Vec::new(), Vec::new());
    for document in documents(&record)? {
        match document {
            Document::Erased(at) => erased.push(format!("erased on {}", time_text(at))),
            Document::Plain(part) => rows.extend(part.rows),
        }
    }
    rows.sort_by_key(|r| r.row);
    let mut replayed = Replayed {
        id,
        result: "erased",
        model: facts.model.to_string(),
        version: facts.version,
        digest: facts.digest.to_string(),
        decided_by: facts.software.to_string(),
        replayed_by: statera::pipeline::SOFTWARE,
        rows_compared: rows.len(),
        erased,
        contributions_within: None,
        differences: Vec::new(),
        reasons: BTreeMap::new(),
    };
    if rows.is_empty() {
        return Ok(replayed);
    }
    let model = app.models.archived(&facts.model, facts.version, &facts.digest)?;
    let again = again(&model, &rows, &facts)?;
    for (at, row) in rows.iter().enumerate() {
        compare(row, (&model, &again), at, &facts, &mut replayed)?;
    }
    replayed.result = if replayed.differences.is_empty() { "identical" } else { "different" };
    Ok(replayed)
}

/// The rows scored again, by the way of requests. Rules are asked where they were asked: there was a time when they were of
/// transactions only, and rows of other decisions may lack what they read.
fn again(model: &Loaded, rows: &[RowDoc<'_>], facts: &Facts<'_>) -> Result<Answers> {
    let explain = if facts.explain == Explain::None { Explain::Adverse } else { facts.explain };
    let wanted = if facts.rules.is_some() { Wanted::Ruled(explain) } else { Wanted::Decisions(explain) };
    if let Some(live) = model.live.as_ref().filter(|_| rows.iter().all(|row| row.windows.is_some())) {
        let texts: Vec<String> = rows.iter().map(RowDoc::whole).collect();
        return score_alone(model, &Rows::Columns(live.recorded(&texts)?), wanted);
    }
    let mut body = Vec::new();
    let mut places = Vec::with_capacity(rows.len());
    for row in rows {
        let start = body.len();
        body.extend_from_slice(row.whole().as_bytes());
        places.push(start..body.len());
    }
    score_alone(model, &Rows::Json { body: Bytes::from(body), rows: places }, wanted)
}

fn compare(
    row: &RowDoc<'_>,
    (model, again): (&Loaded, &Answers),
    at: usize,
    facts: &Facts<'_>,
    out: &mut Replayed,
) -> Result<()> {
    let mut differ = |what: &'static str, recorded: String, replayed: String| {
        if recorded != replayed {
            out.differences.push(Difference { row: row.row, what, recorded, replayed });
        }
    };
    let k = again.n_outputs;
    // Shortest decimal texts are equal exactly where the bits are.
    differ("margin", numbers(&row.margins), numbers(&again.margins[at * k..][..k]));
    differ("probability", numbers(&row.probabilities), numbers(&again.probabilities[at * k..][..k]));
    let answered: Answered = serde_json::from_str(row.answer.get())
        .map_err(|e| Error::damaged(format!("row {}: the recorded answer: {e}", row.row)))?;
    let decided = again.decided.as_ref().map(|decided| &decided[at]);
    let text = |value: Option<&str>| value.unwrap_or("none").to_string();
    differ("grade", text(answered.grade.as_deref()), text(decided.and_then(|d| d.grade.as_deref())));
    differ("decision", text(answered.decision.as_deref()), text(decided.map(|d| d.decision.name())));
    let verdict = again.verdicts.as_ref().map(|verdicts| &verdicts[at]);
    differ("action", text(answered.action.as_deref()), text(verdict.map(|v| v.action.name())));
    let coded = |all: Vec<Coded>| all.into_iter().map(|one| one.code).collect::<Vec<_>>().join(", ");
    let fired = verdict.zip(model.bundle.deciding.decision_rules.as_ref()).map(|(v, own)| fired(v, &own.read));
    let codes = |rules: Vec<&Rule>| rules.into_iter().map(|rule| rule.code.as_str()).collect::<Vec<_>>().join(", ");
    let [acting, in_shadow] = fired.unwrap_or_default().map(codes);
    differ("rules", coded(answered.rules.unwrap_or_default()), acting);
    differ("shadow_rules", answered.shadow_rules.join(", "), in_shadow);
    let codes = decided.map(|d| d.reasons.clone()).unwrap_or_default();
    if facts.explain == Explain::None {
        if !codes.is_empty() {
            out.reasons.insert(row.row, codes);
        }
        return Ok(());
    }
    differ("reasons", coded(answered.reasons.unwrap_or_default()), codes.join(", "));
    let own = again.contributions.iter().find(|(row, _)| *row == at).map(|(_, values)| values);
    let list = |values: Option<&Vec<f64>>| values.map_or("none".into(), |v| numbers(v));
    if facts.attributions == ATTRIBUTIONS {
        differ("contributions", list(row.contributions.as_ref()), list(own));
        return Ok(());
    }
    // Another order of the same sums: margins, decisions and reasons are compared to the last bit all the same.
    let recorded = row.contributions.as_deref().unwrap_or_default();
    let own_values = own.map_or(&[][..], |own| own);
    let is_near = |(a, b): (&f64, &f64)| (a - b).abs() <= CONTRIBUTIONS_WITHIN;
    if recorded.len() != own_values.len() || !recorded.iter().zip(own_values).all(is_near) {
        differ("contributions", list(row.contributions.as_ref()), list(own));
    }
    out.contributions_within = Some(CONTRIBUTIONS_WITHIN);
    Ok(())
}

fn numbers(values: &[f64]) -> String {
    values.iter().map(|v| format!("{v:?}")).collect::<Vec<_>>().join(", ")
}
