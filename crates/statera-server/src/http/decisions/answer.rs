//! What is answered, what is kept of it, and the way back from what is kept to what was answered.

use super::time_text;
use crate::compute::{Answers, Explain};
use crate::live::joined;
use crate::models::{Chosen, Loaded, Part};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use statera::decision::{Decided, Own};
use statera::explain::ATTRIBUTIONS;
use statera::pipeline::SOFTWARE;
use statera::policy::Decision;
use statera::reasons::Language;
use statera::rules::{Action, Rule, RuleSet, Verdict};
use statera_core::{Error, Result, Task};
use statera_store::record::{Id, RecordKind, StoredPart, StoredRecord};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// What is told of a request without personal data: the ledger has it as it is, and it stays when a subject is erased.
///
/// While servers are upgraded one after the other, and after a way back, a program reads what the next one has written. So no
/// document that is kept refuses a field that it does not know; a field that changes what the others mean needs another name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Facts<'a> {
    #[serde(borrow)]
    pub model: Cow<'a, str>,
    pub version: u32,
    #[serde(borrow)]
    pub digest: Cow<'a, str>,
    pub part: Part,
    #[serde(borrow)]
    pub software: Cow<'a, str>,
    /// Version of the bundle's policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<Cow<'a, str>>,
    /// Version of the bundle's reasons.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasons: Option<Cow<'a, str>>,
    /// Version of the bundle's rules, where they were asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<Cow<'a, str>>,
    /// Of a transaction: its place in the order in which the model's state took what it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<u64>,
    pub explain: Explain,
    pub language: Language,
    /// Which arithmetic gave the contributions: [`ATTRIBUTIONS`].
    #[serde(default = "first_attributions")]
    pub attributions: u32,
    pub rows: usize,
    /// Rows by decision; none without a policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counts: Option<Counts>,
}

/// Of records that do not say.
fn first_attributions() -> u32 {
    1
}

/// Rows by decision.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Counts {
    pub approve: usize,
    pub review: usize,
    pub decline: usize,
}

impl Counts {
    pub(super) fn of(decided: &[Decided]) -> Counts {
        let n = |what| decided.iter().filter(|d| d.decision == what).count();
        Counts { approve: n(Decision::Approve), review: n(Decision::Review), decline: n(Decision::Decline) }
    }
}

impl<'a> Facts<'a> {
    pub(super) fn of(chosen: &'a Chosen, explain: Explain, language: Language, answers: &Answers) -> Facts<'a> {
        let model: &'a Loaded = &chosen.model;
        let deciding = &model.bundle.deciding;
        let counts = answers.decided.as_deref().map(Counts::of);
        Facts {
            model: Cow::Borrowed(&model.name),
            version: model.version,
            digest: Cow::Borrowed(&model.digest),
            part: chosen.part,
            software: Cow::Borrowed(SOFTWARE),
            policy: deciding.policy.as_ref().map(|(own, _)| Cow::Borrowed(own.read.version.as_str())),
            reasons: deciding.reasons.as_ref().map(|own| Cow::Borrowed(own.read.version.as_str())),
            rules: deciding.decision_rules.as_ref().filter(|_| answers.verdicts.is_some()).map(version_of),
            state: None,
            explain,
            language,
            attributions: ATTRIBUTIONS,
            rows: answers.n_rows(),
            counts,
        }
    }

    /// The facts of a record that holds decisions.
    pub(crate) fn read(record: &StoredRecord) -> Result<Facts<'_>> {
        if !matches!(record.kind, RecordKind::Decision | RecordKind::Objection) {
            return Err(Error::not_found(format!("record {} is no decision", record.id)));
        }
        serde_json::from_str(&record.facts).map_err(|e| Error::damaged(format!("record {}: facts: {e}", record.id)))
    }
}

fn version_of(own: &Own<RuleSet>) -> Cow<'_, str> {
    Cow::Borrowed(own.read.version.as_str())
}

/// What a client reads of a row.
#[derive(Serialize)]
struct RowAnswer<'a> {
    row: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    probability: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prediction: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    probabilities: Option<BTreeMap<&'a str, f64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    grade: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    decision: Option<Decision>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasons: Option<Vec<ReasonAnswer<'a>>>,
    /// What the rules do with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<Action>,
    /// The rules that hold and act, the deciding one first.
    #[serde(skip_serializing_if = "Option::is_none")]
    rules: Option<Vec<ReasonAnswer<'a>>>,
    /// Codes of the rules in shadow that hold.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    shadow_rules: Vec<&'a str>,
}

#[derive(Serialize)]
struct ReasonAnswer<'a> {
    code: &'a str,
    text: &'a str,
}

/// A row as a part keeps it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct RowDoc<'a> {
    pub row: usize,
    #[serde(default, skip_serializing_if = "str_is_empty", borrow)]
    pub subject: Cow<'a, str>,
    /// As it was sent.
    #[serde(borrow)]
    pub input: &'a RawValue,
    /// Of a transaction: the columns that the state has counted.
    #[serde(default, skip_serializing_if = "Option::is_none", borrow)]
    pub windows: Option<&'a RawValue>,
    /// As it was answered.
    #[serde(borrow)]
    pub answer: &'a RawValue,
    pub margins: Vec<f64>,
    pub probabilities: Vec<f64>,
    /// What each raw column adds to the margin, where the row was explained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contributions: Option<Vec<f64>>,
}

impl RowDoc<'_> {
    /// The row as it was scored: as it was sent, with what a state had counted of it.
    pub(super) fn whole(&self) -> String {
        joined(self.input.get(), self.windows.map(RawValue::get))
    }
}

fn str_is_empty(text: &str) -> bool {
    text.is_empty()
}

/// What a part holds.
#[derive(Debug, Deserialize)]
pub(crate) struct PartDoc<'a> {
    #[serde(borrow)]
    pub rows: Vec<RowDoc<'a>>,
    /// Of the whole request, in its first part.
    #[serde(default)]
    pub ignored_columns: BTreeSet<String>,
    /// What was said with an objection.
    #[serde(default)]
    pub note: Option<String>,
    /// The row of the decision before that it is about.
    #[serde(default)]
    pub of_row: Option<usize>,
}

/// A stored part with what it says, or when it was erased.
pub(crate) enum Document<'a> {
    Plain(PartDoc<'a>),
    Erased(i64),
}

/// What the parts of a record say.
pub(crate) fn documents(record: &StoredRecord) -> Result<Vec<Document<'_>>> {
    record.parts.iter().map(|part| document(record.id, part)).collect()
}

/// What a part of a record says.
pub(super) fn document(id: Id, part: &StoredPart) -> Result<Document<'_>> {
    match part {
        StoredPart::Erased { at_us } => Ok(Document::Erased(*at_us)),
        StoredPart::Plain(bytes) => serde_json::from_slice(bytes)
            .map(Document::Plain)
            .map_err(|e| Error::damaged(format!("record {id}: a part: {e}"))),
    }
}

/// The head of an answer: all of it comes from the record's name and facts.
#[derive(Serialize)]
struct Head<'a> {
    id: Id,
    #[serde(skip_serializing_if = "Option::is_none")]
    of: Option<Id>,
    model: &'a str,
    version: u32,
    digest: &'a str,
    part: Part,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<&'a str>,
}

/// The answer: the head and the rows' answers in their order.
pub(super) fn encode<'r>(
    (id, of): (Id, Option<Id>),
    facts: &Facts<'_>,
    rows: impl Iterator<Item = &'r [u8]>,
    ignored: &BTreeSet<String>,
    erased: &[i64],
) -> Result<Vec<u8>> {
    let head = Head {
        id,
        of,
        model: &facts.model,
        version: facts.version,
        digest: &facts.digest,
        part: facts.part,
        policy: facts.policy.as_deref(),
    };
    let mut out = Vec::with_capacity(320 + 320 * facts.rows);
    write(&mut out, &head)?;
    out.pop();
    if !ignored.is_empty() {
        out.extend_from_slice(b",\"ignored_columns\":");
        write(&mut out, ignored)?;
    }
    if !erased.is_empty() {
        let times: Vec<String> = erased.iter().map(|&at| time_text(at)).collect();
        out.extend_from_slice(b",\"erased\":");
        write(&mut out, &times)?;
    }
    out.extend_from_slice(b",\"decisions\":[");
    for (i, row) in rows.enumerate() {
        if i > 0 {
            out.push(b',');
        }
        out.extend_from_slice(row);
    }
    out.extend_from_slice(b"]}");
    Ok(out)
}

/// The answer that was given, from the record: the same bytes, unless subjects were erased since.
pub(super) fn again(record: &StoredRecord) -> Result<Vec<u8>> {
    let facts = Facts::read(record)?;
    let (mut rows, mut erased, mut ignored) = (Vec::new(), Vec::new(), BTreeSet::new());
    for document in documents(record)? {
        match document {
            Document::Erased(at) => erased.push(at),
            Document::Plain(part) => {
                ignored.extend(part.ignored_columns);
                rows.extend(part.rows.into_iter().map(|r| (r.row, r.answer)));
            }
        }
    }
    rows.sort_by_key(|(row, _)| *row);
    encode((record.id, record.of), &facts, rows.iter().map(|(_, a)| a.get().as_bytes()), &ignored, &erased)
}

pub(super) fn write(out: &mut Vec<u8>, value: &impl Serialize) -> Result<()> {
    serde_json::to_writer(out, value).map_err(|e| Error::damaged(format!("an answer cannot be written: {e}")))
}

/// Writes what the client reads of a row.
pub(super) fn write_row(
    out: &mut Vec<u8>,
    model: &Loaded,
    language: Language,
    answers: &Answers,
    row: usize,
) -> Result<()> {
    let schema = model.bundle.scorer.schema();
    let k = answers.n_outputs;
    let (margins, values) = (&answers.margins[row * k..][..k], &answers.probabilities[row * k..][..k]);
    let decided = answers.decided.as_ref().and_then(|decided| decided.get(row));
    let reasons = model.bundle.deciding.reasons.as_ref().zip(decided).filter(|(_, d)| d.decision != Decision::Approve);
    let reasons = reasons.map(|(own, decided)| {
        let find = |code: &'_ String| own.read.reason.iter().find(|r| r.code == *code);
        let found = decided.reasons.iter().filter_map(find);
        found.map(|r| ReasonAnswer { code: &r.code, text: r.text(language) }).collect()
    });
    let is_classes = matches!(schema.task, Task::Classes(_));
    // Of equal probabilities the margins still tell the likelier class, as batch scoring does.
    let best = (0..k).fold(0, |best, i| if margins[i] > margins[best] { i } else { best });
    let ruled = answers.verdicts.as_ref().and_then(|verdicts| verdicts.get(row));
    let ruled = ruled.zip(model.bundle.deciding.decision_rules.as_ref()).map(|(v, own)| (v, &own.read));
    let [acting, in_shadow] = ruled.map(|(verdict, rules)| fired(verdict, rules)).unwrap_or_default();
    let named = || schema.classes.iter().map(String::as_str).zip(values.iter().copied()).collect();
    write(
        out,
        &RowAnswer {
            row,
            probability: (schema.task == Task::Binary).then(|| values[0]),
            prediction: (schema.task == Task::Regression).then(|| values[0]),
            class: schema.classes.get(best).map(String::as_str).filter(|_| is_classes),
            probabilities: is_classes.then(named),
            grade: decided.and_then(|d| d.grade.as_deref()),
            decision: decided.map(|d| d.decision),
            reasons,
            action: ruled.map(|(verdict, _)| verdict.action),
            rules: ruled.map(|_| acting.into_iter().map(|rule| named_rule(rule, language)).collect()),
            shadow_rules: in_shadow.into_iter().map(|rule| rule.code.as_str()).collect(),
        },
    )
}

fn named_rule(rule: &Rule, language: Language) -> ReasonAnswer<'_> {
    ReasonAnswer { code: &rule.code, text: rule.name(language) }
}

/// The rules that hold: those that act, the deciding one first, and those in shadow.
pub(super) fn fired<'a>(verdict: &Verdict, rules: &'a RuleSet) -> [Vec<&'a Rule>; 2] {
    let deciding = verdict.deciding.map(usize::from);
    let active = rules.active();
    let others = verdict.fired.and(active).iter().filter(|at| Some(*at) != deciding);
    let acting = deciding.into_iter().chain(others).filter_map(|at| rules.rules.get(at)).collect();
    [acting, verdict.fired.without(active).iter().filter_map(|at| rules.rules.get(at)).collect()]
}

/// Writes the row as a part keeps it; `windows` is an object of JSON.
pub(super) fn write_doc(
    out: &mut Vec<u8>,
    (row, subject): (usize, &str),
    (input, windows, answer): (&[u8], Option<&str>, &[u8]),
    answers: &Answers,
    contributions: Option<&Vec<f64>>,
) -> Result<()> {
    let k = answers.n_outputs;
    // By hand, because what is inserted is JSON already and must not be read again.
    out.extend_from_slice(b"{\"row\":");
    write(out, &row)?;
    if !subject.is_empty() {
        out.extend_from_slice(b",\"subject\":");
        write(out, &subject)?;
    }
    out.extend_from_slice(b",\"input\":");
    out.extend_from_slice(input);
    if let Some(windows) = windows {
        out.extend_from_slice(b",\"windows\":");
        out.extend_from_slice(windows.as_bytes());
    }
    out.extend_from_slice(b",\"answer\":");
    out.extend_from_slice(answer);
    out.extend_from_slice(b",\"margins\":");
    write(out, &&answers.margins[row * k..][..k])?;
    out.extend_from_slice(b",\"probabilities\":");
    write(out, &&answers.probabilities[row * k..][..k])?;
    if let Some(contributions) = contributions {
        out.extend_from_slice(b",\"contributions\":");
        write(out, contributions)?;
    }
    out.push(b'}');
    Ok(())
}
