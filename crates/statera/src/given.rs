//! What a training is given beside its table and settings: the bank's own files, and declined applications.

use crate::bundle::Bundle;
use crate::decision::{Own, Typical};
use crate::models;
use crate::policy::Policy;
use crate::project::{Settings, UseCase};
use crate::reasons::Reasons;
use crate::training_set::TrainingSet;
use statera_core::fairness::Rules;
use statera_core::{Error, Result, Task};

/// The bank's own files, and declined applications. Nothing is needed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Given {
    /// `bins.toml` of the scorecard.
    pub bins: Option<String>,
    /// Cut-offs and grades that the bundle decides by.
    pub policy: Option<Own<Policy>>,
    /// What customers are told.
    pub reasons: Option<Own<Reasons>>,
    /// Limits that groups are judged by; those that ship if not given.
    pub rules: Option<Own<Rules>>,
    /// Address of a table of declined applications.
    pub rejects: Option<String>,
    /// Address of a table of edges.
    pub edges: Option<String>,
}

impl Given {
    /// The part of `Given::check` that needs no table.
    ///
    /// # Errors
    /// Files or settings that would not be used.
    pub fn check_settings(&self, settings: &Settings) -> Result<()> {
        if self.rules.is_some() && settings.protected.is_empty() {
            return Err(Error::request("rules: given without protected columns, whose groups they judge"));
        }
        let given =
            [("policy", self.policy.is_some()), ("reasons", self.reasons.is_some()), ("rules", self.rules.is_some())];
        if let Some((what, _)) = given.into_iter().find(|(_, is)| *is && settings.use_case == UseCase::Segment) {
            return Err(Error::request(format!("{what}: segments have no outcome to decide by; leave it out")));
        }
        if self.edges.is_some() && settings.use_case == UseCase::Segment {
            return Err(Error::request(
                "edges: segments read those of [network] in a project file only; declare it, or leave them out",
            ));
        }
        let own = [("cutoff", settings.cutoff), ("approval_rate", settings.approval_rate)];
        if let (Some(_), Some((what, value))) = (&self.policy, own.into_iter().find_map(|(w, v)| Some((w, v?)))) {
            return Err(Error::request(format!(
                "policy: given beside {what} {value}; a policy says itself where approval ends, so that only one can hold"
            )));
        }
        match (&self.rejects, settings.reject_inference) {
            (Some(_), None) => Err(Error::request(
                "rejects: given without a way to infer their outcomes; allowed for reject_inference are parcelling and fuzzy",
            )),
            (None, Some(_)) => Err(Error::request("reject_inference: given without rejects; name a table of them")),
            _ => Ok(()),
        }
    }

    /// Refuses what the training could not use at its end.
    ///
    /// # Errors
    /// A policy, reasons, rules, mitigation or rejects for a target that is no event; reasons of other columns than the features;
    /// bins that are of other columns.
    pub(crate) fn check(&self, set: &TrainingSet, settings: &Settings) -> Result<()> {
        self.check_settings(settings)?;
        let needs_event = [
            ("policy", self.policy.is_some()),
            ("reasons", self.reasons.is_some()),
            ("rules", self.rules.is_some()),
            ("mitigate", settings.mitigate.is_some()),
            ("rejects", self.rejects.is_some()),
        ];
        if let Some((what, _)) = needs_event.into_iter().find(|(_, is)| *is && set.task != Task::Binary) {
            return Err(Error::request(format!(
                "{what}: needs a target of two classes, one of them the event; «{}» is {}",
                settings.target,
                models::task_title(set.task)
            )));
        }
        let names: Vec<String> = set.features.iter().map(|(name, _)| name.clone()).collect();
        if let Some(reasons) = &self.reasons {
            reasons.read.check_columns(&names)?;
        }
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        self.bins.as_ref().map_or(Ok(()), |text| models::check_bins(text, Some(&names)))
    }

    /// The trained bundle under what was given; `train` are the rows that it was trained on.
    ///
    /// # Errors
    /// As [`Bundle::decided_by`].
    pub(crate) fn decide(&self, bundle: Bundle, train: &TrainingSet) -> Result<Bundle> {
        let policy = self.policy.as_ref().map(|own| own.text.as_str());
        let reasons = self.reasons.as_ref().map(|own| own.text.as_str());
        let is_decided = policy.is_some() || reasons.is_some();
        let typical = policy.map(|_| Typical::of_training(train)).transpose()?;
        let mut bundle =
            if is_decided { bundle.decided_among(policy, reasons, None, typical.as_ref())? } else { bundle };
        bundle.deciding.rules.clone_from(&self.rules);
        Ok(bundle)
    }
}
