//! Decisions: a bundle's policy and reasons, and what they say of scored rows; and the changes that a recourse may make.
//!
//! The files are the bank's own and are copied into the bundle as they are. A change of one makes a new bundle whose
//! parent is the old one; the model and its scores stay the same to the bit.

#[cfg(test)]
mod tests;

use crate::bundle::{Bundle, FORMAT_VERSION, Manifest};
use crate::judge::{self, JUDGEMENT_FILE, Judgement, RULES_FILE};
use crate::note::Note;
use crate::pipeline::SOFTWARE;
use crate::policy::{Cutoffs, Decision, POLICY_FILE, Policy};
use crate::reasons::{Given, REASONS_FILE, Reasons};
use crate::recourse::{RECOURSE_FILE, Recourse};
use crate::rules::{DECISION_RULES_FILE, RuleSet, Ruling, list_part};
use crate::scorer::{RowSource, Scored, Scorer};
use crate::training_set::{TrainingSet, even_steps, take_rows};
use crate::windows::OwnWindows;
use arrow_array::RecordBatch;
use serde::{Deserialize, Serialize};
use statera_core::fairness::Rules;
use statera_core::{Attributions, Error, Result, Task};
use std::path::Path;

/// Files of the bank that decide.
pub(crate) const OWN_FILES: [&str; 5] = [POLICY_FILE, REASONS_FILE, RECOURSE_FILE, RULES_FILE, DECISION_RULES_FILE];
/// Name in a bundle of what the policy comes to for its model.
pub(crate) const FITTED_FILE: &str = "policy.json";
/// Synthetic rows among which approved ones are looked for in bundles without background rows.
const N_DRAWN: usize = 1_000;
/// Most training rows that approved ones are looked for among, at even steps over all.
const MAX_TYPICAL: usize = 5_000;
/// Approved rows that reasons are measured from at least: the average of fewer could tell of one customer.
const LEAST_APPROVED: usize = 10;
/// Multiplications that attributing approved rows may take, and the rows that are attributed at least and at most.
const NEUTRAL_WORK: f64 = 2e10;
const LEAST_ATTRIBUTED: usize = 50;
const MAX_ATTRIBUTED: usize = 2_000;
/// Steps from one quantile of the training's margins to the next, between which rows are taken to lie evenly.
const N_BETWEEN: usize = 100;

/// A file of the bank with what was read from it.
#[derive(Debug, Clone, PartialEq)]
pub struct Own<T> {
    /// As the bank wrote it.
    pub text: String,
    /// What it says.
    pub read: T,
}

impl<T> Own<T> {
    /// Reads and checks a file; `parse` says what it must be.
    ///
    /// # Errors
    /// A file that cannot be read, and what `parse` refuses, with the path.
    pub fn read(path: &Path, parse: fn(&str) -> Result<T>) -> Result<Own<T>> {
        let text = std::fs::read_to_string(path).map_err(|e| Error::io(format!("{}: {e}", path.display())))?;
        let read = parse(&text).map_err(|e| e.at(path.display()))?;
        Ok(Own { text, read })
    }
}

/// What a policy comes to for a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fitted {
    /// Where rows are reviewed and declined.
    pub cutoffs: Cutoffs,
    /// What each raw column adds to the margin of the average approved row (`Typical` says of which rows): reasons are measured
    /// from there, so that every row that is not approved has one. Measured from the average of all rows, a row could be declined
    /// without any, because it is better than that average.
    pub neutral: Vec<f64>,
}

/// What decides about rows.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Deciding {
    /// The policy, with what it comes to.
    pub policy: Option<(Own<Policy>, Fitted)>,
    /// The reasons.
    pub reasons: Option<Own<Reasons>>,
    /// Which changes may turn a decision.
    pub recourse: Option<Own<Recourse>>,
    /// Limits that groups are judged by, where the bank has given its own.
    pub rules: Option<Own<Rules>>,
    /// Rules beside the model: what is done with rows for which they hold.
    pub decision_rules: Option<Own<RuleSet>>,
    /// What the policy came to on rows whose outcomes are known: those held back in training, or those it was last judged on.
    pub judgement: Option<Judgement>,
}

/// What is decided of a row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decided {
    /// By the master scale, where the policy has one.
    pub grade: Option<String>,
    /// What is done.
    pub decision: Decision,
    /// Codes of the principal reasons, the strongest first; of rows that are not approved, where the bundle has reasons.
    pub reasons: Vec<String>,
}

/// Rows whose margins are told by column.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Explained {
    /// Which rows of the batch, ascending.
    pub rows: Vec<usize>,
    /// Of these rows, in their order; empty without any.
    pub parts: Attributions,
}

impl Deciding {
    /// Decides about scored rows.
    ///
    /// # Errors
    /// As [`Scorer::attribute`].
    pub fn decide(
        &self,
        scorer: &Scorer,
        batch: &RecordBatch,
        scored: &Scored,
        source: RowSource,
    ) -> Result<Option<Vec<Decided>>> {
        let is_explained = |_, decision| self.reasons.is_some() && decision != Decision::Approve;
        let explained = self.decide_explained(scorer, batch, scored, source, is_explained)?;
        Ok(explained.map(|(decided, _)| decided))
    }

    /// As [`Deciding::decide`], with what each raw column adds to the margins of the rows that `is_explained` says of a row
    /// and its decision; a row that is not explained has no reasons.
    ///
    /// # Errors
    /// As [`Scorer::attribute`].
    pub fn decide_explained(
        &self,
        scorer: &Scorer,
        batch: &RecordBatch,
        scored: &Scored,
        source: RowSource,
        is_explained: impl Fn(usize, Decision) -> bool,
    ) -> Result<Option<(Vec<Decided>, Explained)>> {
        let Some((policy, fitted)) = &self.policy else { return Ok(None) };
        let one = |&p: &f64| Decided {
            grade: policy.read.grade_of(p).map(String::from),
            decision: fitted.cutoffs.decide(p),
            reasons: Vec::new(),
        };
        let mut decided: Vec<Decided> = scored.probabilities.iter().map(one).collect();
        let rows: Vec<usize> = (0..decided.len()).filter(|&i| is_explained(i, decided[i].decision)).collect();
        let mut explained = Explained { rows, parts: Attributions::default() };
        if !explained.rows.is_empty() {
            explained.parts = if explained.rows.len() == decided.len() {
                scorer.attribute_rows(batch, source)?
            } else {
                scorer.attribute_rows(&take_rows(batch, &explained.rows)?, source)?
            };
        }
        for (at, &row) in explained.rows.iter().enumerate() {
            if decided[row].decision != Decision::Approve {
                let given = self.reasons_of(explained.parts.of(at, 0), scorer.raw_columns());
                decided[row].reasons = given.iter().map(|g| g.reason.code.clone()).collect();
            }
        }
        Ok(Some((decided, explained)))
    }

    /// The principal reasons against a row, the strongest first, of what each of its columns adds to the margin; none where
    /// the bundle has no reasons.
    pub fn reasons_of(&self, contributions: &[f64], columns: &[String]) -> Vec<Given<'_>> {
        let Some(reasons) = &self.reasons else { return Vec::new() };
        reasons.read.against(&self.beyond_neutral(contributions), columns)
    }

    /// The reasons for approving a row, the strongest first: where its columns lower the risk below that of the average
    /// approved row.
    pub fn reasons_for(&self, contributions: &[f64], columns: &[String]) -> Vec<Given<'_>> {
        let Some(reasons) = &self.reasons else { return Vec::new() };
        reasons.read.in_favour(&self.beyond_neutral(contributions), columns)
    }

    /// What columns add beyond what they add for the average approved row.
    fn beyond_neutral(&self, contributions: &[f64]) -> Vec<f64> {
        let neutral = self.policy.as_ref().map_or(&[][..], |(_, fitted)| &fitted.neutral);
        let zero = std::iter::repeat(&0.0);
        contributions.iter().zip(neutral.iter().chain(zero)).map(|(c, n)| c - n).collect()
    }
}

impl Bundle {
    /// The same model under a policy, reasons and a recourse, given as the texts of their files; what is not given is kept.
    ///
    /// # Errors
    /// A model of no two classes; files that cannot be what they are; reasons or changes of other columns than the model's; a
    /// recourse without a policy or without background rows.
    pub fn decided_by(self, policy: Option<&str>, reasons: Option<&str>, recourse: Option<&str>) -> Result<Bundle> {
        self.decided_among(policy, reasons, recourse, None)
    }

    /// As [`Bundle::decided_by`], with reasons measured from the rows given; from those that the bundle has if there are none.
    pub(crate) fn decided_among(
        self,
        policy: Option<&str>,
        reasons: Option<&str>,
        recourse: Option<&str>,
        typical: Option<&Typical>,
    ) -> Result<Bundle> {
        let parent = if self.manifest.parts.is_empty() { None } else { Some(self.digest()?) };
        let task = self.scorer.schema().task;
        if task != Task::Binary {
            return Err(Error::request(format!(
                "a policy decides by the probability of an event; the bundle predicts {}",
                crate::models::task_title(task)
            )));
        }
        let mut deciding = self.deciding.clone();
        // The same policy keeps what it came to where it was first given, with what was at hand there.
        let is_held = |text: &&str| self.deciding.policy.as_ref().is_some_and(|(own, _)| own.text == *text);
        if let Some(text) = policy.filter(|text| !is_held(text)) {
            let read = Policy::parse(text)?;
            let probabilities = self.reference_probabilities();
            let cutoffs = read.cutoffs(&probabilities)?;
            let neutral = match typical {
                Some(typical) => neutral(&self.scorer, typical, cutoffs)?,
                None => neutral(&self.scorer, &Typical::of_bundle(&self)?, cutoffs)?,
            };
            deciding.policy = Some((Own { text: text.into(), read }, Fitted { cutoffs, neutral }));
        }
        if let Some(text) = reasons {
            let read = Reasons::parse(text)?;
            read.check_columns(self.scorer.raw_columns())?;
            deciding.reasons = Some(Own { text: text.into(), read });
        }
        if let Some(text) = recourse {
            let read = Recourse::parse(text)?;
            read.check_bundle(&self.scorer, deciding.policy.is_some(), self.background.is_some())?;
            deciding.recourse = Some(Own { text: text.into(), read });
        }
        if (&deciding.policy, &deciding.reasons) != (&self.deciding.policy, &self.deciding.reasons) {
            // What was found of the former policy and reasons is not true of these.
            deciding.judgement = None;
        }
        let mut parents = self.manifest.parents.clone();
        parents.extend(parent);
        let software = SOFTWARE.into();
        // What is written is of the format that this program writes, whatever was read.
        let manifest = Manifest { format_version: FORMAT_VERSION, software, parents, ..self.manifest.clone() };
        Ok(Bundle { manifest, deciding, ..self })
    }

    /// The same model with rules beside it, given as the text of their file and what was read from it.
    ///
    /// # Errors
    /// A model of no two classes; the rules that the bundle has already; what [`RuleSet::compile`] refuses of the model's columns
    /// and those that the file declares.
    pub fn ruled_by(self, text: &str, read: RuleSet) -> Result<Bundle> {
        if self.scorer.schema().task != Task::Binary {
            return Err(Error::request(
                "rules stand beside the probability of an event, which this bundle does not predict",
            ));
        }
        if self.deciding.decision_rules.as_ref().is_some_and(|own| own.read == read && own.text == text) {
            return Err(Error::request(format!(
                "the bundle has these rules already, version «{}»; a new bundle would be a copy",
                read.version
            )));
        }
        let ruling = Ruling::new(&read, &self.scorer, self.windows.as_ref());
        ruling
            .and_then(|ruling| read.refuse_late(&ruling.compiled, &self.known_late()))
            .map_err(|e| e.at(DECISION_RULES_FILE))?;
        let mut deciding = self.deciding.clone();
        deciding.decision_rules = Some(Own { text: text.into(), read });
        let mut parents = self.manifest.parents.clone();
        parents.extend(if self.manifest.parts.is_empty() { None } else { Some(self.digest()?) });
        let software = SOFTWARE.into();
        let manifest = Manifest { format_version: FORMAT_VERSION, software, parents, ..self.manifest.clone() };
        Ok(Bundle { manifest, deciding, ..self })
    }

    /// Columns that are known later than their row: the outcome, and when it became known.
    pub(crate) fn known_late(&self) -> Vec<&str> {
        let windows = self.windows.as_ref().map(|own| own.definition.windows());
        let of_windows = windows.iter().flat_map(|own| [&own.label, &own.label_time]).flatten();
        let network = self.network.as_ref().map(|own| own.definition.network());
        let of_network = network.iter().flat_map(|own| [&own.label, &own.label_time]).flatten();
        let made_of = of_windows.chain(of_network).map(String::as_str);
        made_of.chain([self.scorer.schema().target.as_str()]).collect()
    }

    /// The rules beside the model, ready for rows; `None` where the bundle has none. To be made once, not for each row.
    ///
    /// # Errors
    /// As [`RuleSet::compile`], which loading and putting them in have checked.
    pub fn ruling(&self) -> Result<Option<Ruling>> {
        let rules = self.deciding.decision_rules.as_ref();
        rules.map(|own| Ruling::new(&own.read, &self.scorer, self.windows.as_ref())).transpose()
    }

    /// Probabilities of rows like those of the training (see [`typical_probabilities`]).
    pub(crate) fn reference_probabilities(&self) -> Vec<f64> {
        typical_probabilities(&self.scorer, self.reference.margins.first().map_or(&[], Vec::as_slice))
    }

    /// What the bank should know of its policy's capacity for reviews (see [`Policy::review_note`]).
    pub fn review_note(&self) -> Option<Note> {
        let (policy, _) = self.deciding.policy.as_ref()?;
        policy.read.review_note(&self.reference_probabilities())
    }

    /// The parts of the bundle that decide.
    pub(crate) fn deciding_parts(&self) -> Result<Vec<(String, Vec<u8>)>> {
        let mut parts: Vec<(&str, Vec<u8>)> = Vec::new();
        if let Some((policy, fitted)) = &self.deciding.policy {
            parts.push((POLICY_FILE, policy.text.clone().into_bytes()));
            parts.push((FITTED_FILE, crate::bundle::codec::json(fitted)?));
        }
        if let Some(reasons) = &self.deciding.reasons {
            parts.push((REASONS_FILE, reasons.text.clone().into_bytes()));
        }
        if let Some(recourse) = &self.deciding.recourse {
            parts.push((RECOURSE_FILE, recourse.text.clone().into_bytes()));
        }
        if let Some(rules) = &self.deciding.rules {
            parts.push((RULES_FILE, rules.text.clone().into_bytes()));
        }
        if let Some(judgement) = &self.deciding.judgement {
            parts.push((JUDGEMENT_FILE, crate::bundle::codec::json(judgement)?));
        }
        let mut parts: Vec<(String, Vec<u8>)> = parts.into_iter().map(|(name, bytes)| (name.into(), bytes)).collect();
        if let Some(rules) = &self.deciding.decision_rules {
            parts.push((DECISION_RULES_FILE.into(), rules.text.clone().into_bytes()));
            let lists = rules.read.list_files.iter();
            parts.extend(lists.map(|(name, bytes)| (list_part(name), bytes.clone())));
        }
        Ok(parts)
    }
}

/// Probabilities of rows like those whose margins have these quantiles: at the quantiles, and at even steps between each two, so
/// that a share of the rows is met to a part of a hundredth.
pub(crate) fn typical_probabilities(scorer: &Scorer, quantiles: &[f64]) -> Vec<f64> {
    let step = |pair: &[f64], k: usize| pair[0] + (pair[1] - pair[0]) * k as f64 / N_BETWEEN as f64;
    let between = quantiles.windows(2).flat_map(|pair| (0..N_BETWEEN).map(move |k| step(pair, k)));
    let margins: Vec<f64> = between.chain(quantiles.last().copied()).collect();
    scorer.calibrator().probabilities(Task::Binary, &margins)
}

/// Rows like those that will be decided, among which the approved ones are what reasons are measured from.
pub(crate) struct Typical {
    /// The raw columns, with more or without.
    rows: RecordBatch,
    /// How much each row counts.
    weight: Vec<f64>,
    /// Approved rows whose average is told at least.
    least: usize,
}

impl Typical {
    /// The training rows, of a large table some at even steps.
    pub fn of_training(train: &TrainingSet) -> Result<Typical> {
        let rows: Vec<usize> = even_steps(train.n_rows(), MAX_TYPICAL).collect();
        let weight = rows.iter().map(|&row| train.weight.as_ref().map_or(1.0, |w| w[row])).collect();
        Ok(Typical { rows: take_rows(&train.batch, &rows)?, weight, least: LEAST_APPROVED })
    }

    /// Those that stand for the training rows in a bundle: its background rows, each in proportion to its cell; synthetic rows,
    /// whose columns are drawn one by one, where it has none.
    fn of_bundle(bundle: &Bundle) -> Result<Typical> {
        if let Some(background) = &bundle.background {
            let weight = background.n_rows.iter().map(|&n| n as f64).collect();
            // A background row is the mean of ten customers or more.
            return Ok(Typical { rows: background.rows.clone(), weight, least: 1 });
        }
        let rows = bundle.reference.draw(&bundle.scorer.schema().inputs, N_DRAWN, bundle.manifest.seed ^ 0x6e65)?;
        Ok(Typical { weight: vec![1.0; rows.num_rows()], rows, least: 1 })
    }
}

/// What each raw column adds to the margin of the average approved row. Of a policy that approves fewer rows than may be told,
/// that of the rows nearest to approval, as many as may be and at least a twentieth.
pub(crate) fn neutral(scorer: &Scorer, typical: &Typical, cutoffs: Cutoffs) -> Result<Vec<f64>> {
    let p = scorer.score(&typical.rows)?.probabilities;
    let is_counted = |&i: &usize| typical.weight[i] > 0.0;
    let mut order: Vec<usize> = (0..p.len()).filter(is_counted).collect();
    let approved: Vec<usize> = order.iter().copied().filter(|&i| cutoffs.decide(p[i]) == Decision::Approve).collect();
    if approved.len() >= typical.least {
        order = approved;
    } else {
        order.sort_by(|&a, &b| p[a].total_cmp(&p[b]).then(a.cmp(&b)));
        order.truncate(typical.least.max(order.len().div_ceil(20)));
    }
    let work: f64 = scorer.members().iter().map(|m| m.model.attribution_work()).sum();
    let affordable = ((NEUTRAL_WORK / work.max(1.0)) as usize).clamp(LEAST_ATTRIBUTED, MAX_ATTRIBUTED);
    let order: Vec<usize> = even_steps(order.len(), affordable).map(|at| order[at]).collect();
    let parts = scorer.attribute(&take_rows(&typical.rows, &order)?)?;
    let total: f64 = order.iter().map(|&i| typical.weight[i]).sum();
    let sum = |j: usize| order.iter().enumerate().map(|(at, &i)| typical.weight[i] * parts.of(at, 0)[j]).sum::<f64>();
    Ok((0..parts.n_raw).map(|j| sum(j) / total).collect())
}

/// Loads what decides from a bundle's parts, by name.
pub(crate) fn load<'a>(
    part: impl Fn(&str) -> Option<&'a [u8]>,
    scorer: &Scorer,
    (windows, has_background): (Option<&OwnWindows>, bool),
) -> Result<Deciding> {
    let columns = scorer.raw_columns();
    let text = |name: &str| -> Result<Option<String>> {
        let text = part(name).map(|bytes| String::from_utf8(bytes.to_vec()));
        text.transpose().map_err(|_| Error::damaged(format!("{name} is not UTF-8")))
    };
    let damaged = |e: Error| Error::damaged(e.to_string());
    let mut deciding = Deciding::default();
    if let Some(text) = text(POLICY_FILE)? {
        let read = Policy::parse(&text).map_err(damaged)?;
        let bytes = part(FITTED_FILE).ok_or_else(|| Error::damaged(format!("{FITTED_FILE} is missing")))?;
        let fitted: Fitted = crate::bundle::codec::parse(FITTED_FILE, bytes)?;
        let cutoffs = fitted.cutoffs;
        if fitted.neutral.len() != columns.len() || fitted.neutral.iter().any(|v| !v.is_finite()) {
            return Err(Error::damaged(format!("{FITTED_FILE}: not a number for each of {} columns", columns.len())));
        }
        if !(0.0..=1.0).contains(&cutoffs.review_from) || !(cutoffs.review_from..=1.0).contains(&cutoffs.decline_from) {
            return Err(Error::damaged(format!("{FITTED_FILE}: {cutoffs:?}; allowed: 0 to 1, rising")));
        }
        deciding.policy = Some((Own { text, read }, fitted));
    }
    if let Some(text) = text(REASONS_FILE)? {
        let read = Reasons::stored(&text).map_err(damaged)?;
        read.check_columns(columns).map_err(damaged)?;
        deciding.reasons = Some(Own { text, read });
    }
    if let Some(text) = text(RECOURSE_FILE)? {
        let read = Recourse::parse(&text).map_err(damaged)?;
        read.check_bundle(scorer, deciding.policy.is_some(), has_background).map_err(damaged)?;
        deciding.recourse = Some(Own { text, read });
    }
    if let Some(text) = text(RULES_FILE)? {
        let read = judge::parse_rules(&text).map_err(damaged)?;
        deciding.rules = Some(Own { text, read });
    }
    if let Some(text) = text(DECISION_RULES_FILE)? {
        let list = |name: &str| {
            let name = list_part(name);
            part(&name).map(<[u8]>::to_vec).ok_or_else(|| Error::damaged(format!("{name} is missing")))
        };
        let read = RuleSet::parse(&text, list).map_err(|e| damaged(e.at(DECISION_RULES_FILE)))?;
        Ruling::new(&read, scorer, windows).map_err(|e| damaged(e.at(DECISION_RULES_FILE)))?;
        deciding.decision_rules = Some(Own { text, read });
    }
    deciding.judgement =
        part(JUDGEMENT_FILE).map(|bytes| crate::bundle::codec::parse(JUDGEMENT_FILE, bytes)).transpose()?;
    Ok(deciding)
}
