//! Decisions: a bundle's policy and reasons, and what they say of scored rows.
//!
//! Both files are the bank's own and are copied into the bundle as they are. A change of either makes a new bundle whose
//! parent is the old one; the model and its scores stay the same to the bit.

use crate::bundle::{Bundle, Manifest};
use crate::pipeline::SOFTWARE;
use crate::policy::{Cutoffs, Decision, POLICY_FILE, Policy};
use crate::reasons::{Given, REASONS_FILE, Reasons};
use crate::scorer::{RowSource, Scored, Scorer};
use crate::training_set::take_rows;
use arrow_array::RecordBatch;
use serde::{Deserialize, Serialize};
use statera_core::{Error, Result, Task};

/// Name of the cut-offs in a bundle: what the policy comes to for its model.
pub(crate) const CUTOFFS_FILE: &str = "policy.json";

/// A file of the bank with what was read from it.
#[derive(Debug, Clone, PartialEq)]
pub struct Own<T> {
    /// As the bank wrote it.
    pub text: String,
    /// What it says.
    pub read: T,
}

/// What decides about rows.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Deciding {
    /// The policy, with the cut-offs that it comes to.
    pub policy: Option<(Own<Policy>, Cutoffs)>,
    /// The reasons.
    pub reasons: Option<Own<Reasons>>,
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
        let Some((policy, cutoffs)) = &self.policy else { return Ok(None) };
        let one = |&p: &f64| Decided {
            grade: policy.read.grade_of(p).map(String::from),
            decision: cutoffs.decide(p),
            reasons: Vec::new(),
        };
        let mut decided: Vec<Decided> = scored.probabilities.iter().map(one).collect();
        let Some(reasons) = &self.reasons else { return Ok(Some(decided)) };
        let adverse: Vec<usize> = (0..decided.len()).filter(|&i| decided[i].decision != Decision::Approve).collect();
        if !adverse.is_empty() {
            let parts = scorer.attribute_rows(&take_rows(batch, &adverse)?, source)?;
            for (at, row) in adverse.into_iter().enumerate() {
                let given = reasons.read.against(parts.of(at, 0), scorer.raw_columns());
                decided[row].reasons = codes(&given).into_iter().map(String::from).collect();
            }
        }
        Ok(Some(decided))
    }
}

/// The codes of reasons, in their order.
pub fn codes<'a>(given: &[Given<'a>]) -> Vec<&'a str> {
    given.iter().map(|g| g.reason.code.as_str()).collect()
}

impl Bundle {
    /// The same model under a policy and reasons, given as the texts of their files; what is not given is kept.
    ///
    /// # Errors
    /// A model of no two classes; files that cannot be what they are; reasons of other columns than the model's.
    pub fn decided_by(self, policy: Option<&str>, reasons: Option<&str>) -> Result<Bundle> {
        let parent = if self.manifest.parts.is_empty() { None } else { Some(self.digest()?) };
        let task = self.scorer.schema().task;
        if task != Task::Binary {
            return Err(Error::request(format!(
                "a policy decides by the probability of an event; the bundle predicts {}",
                crate::models::task_title(task)
            )));
        }
        let mut deciding = self.deciding.clone();
        if let Some(text) = policy {
            let read = Policy::parse(text)?;
            let probabilities = self.reference_probabilities();
            let cutoffs = read.cutoffs(&probabilities)?;
            deciding.policy = Some((Own { text: text.into(), read }, cutoffs));
        }
        if let Some(text) = reasons {
            let read = Reasons::parse(text)?;
            read.check_columns(self.scorer.raw_columns())?;
            deciding.reasons = Some(Own { text: text.into(), read });
        }
        let mut parents = self.manifest.parents.clone();
        parents.extend(parent);
        let manifest = Manifest { software: SOFTWARE.into(), parents, ..self.manifest.clone() };
        Ok(Bundle { manifest, deciding, ..self })
    }

    /// Probabilities of rows like those of the training: at the quantiles of its out-of-fold margins.
    fn reference_probabilities(&self) -> Vec<f64> {
        let margins = self.reference.margins.first().cloned().unwrap_or_default();
        self.scorer.calibrator().probabilities(Task::Binary, &margins)
    }

    /// The parts of the bundle that decide.
    pub(crate) fn deciding_parts(&self) -> Result<Vec<(&'static str, Vec<u8>)>> {
        let mut parts = Vec::new();
        if let Some((policy, cutoffs)) = &self.deciding.policy {
            parts.push((POLICY_FILE, policy.text.clone().into_bytes()));
            parts.push((CUTOFFS_FILE, crate::bundle::codec::json(cutoffs)?));
        }
        if let Some(reasons) = &self.deciding.reasons {
            parts.push((REASONS_FILE, reasons.text.clone().into_bytes()));
        }
        Ok(parts)
    }
}

/// Loads what decides from a bundle's parts, by name.
pub(crate) fn load<'a>(part: impl Fn(&str) -> Option<&'a [u8]>, columns: &[String]) -> Result<Deciding> {
    let text = |name: &str| -> Result<Option<String>> {
        let text = part(name).map(|bytes| String::from_utf8(bytes.to_vec()));
        text.transpose().map_err(|_| Error::damaged(format!("{name} is not UTF-8")))
    };
    let damaged = |e: Error| Error::damaged(e.to_string());
    let mut deciding = Deciding::default();
    if let Some(text) = text(POLICY_FILE)? {
        let read = Policy::parse(&text).map_err(damaged)?;
        let bytes = part(CUTOFFS_FILE).ok_or_else(|| Error::damaged(format!("{CUTOFFS_FILE} is missing")))?;
        let cutoffs: Cutoffs = crate::bundle::codec::parse(CUTOFFS_FILE, bytes)?;
        if !(0.0..=1.0).contains(&cutoffs.review_from) || !(cutoffs.review_from..=1.0).contains(&cutoffs.decline_from) {
            return Err(Error::damaged(format!("{CUTOFFS_FILE}: {cutoffs:?}; allowed: 0 to 1, rising")));
        }
        deciding.policy = Some((Own { text, read }, cutoffs));
    }
    if let Some(text) = text(REASONS_FILE)? {
        let read = Reasons::parse(&text).map_err(damaged)?;
        read.check_columns(columns).map_err(damaged)?;
        deciding.reasons = Some(Own { text, read });
    }
    Ok(deciding)
}
