//! What a search did, for `facts.json`: every trial, and what the best settings gained.

use super::Study;
use super::arena::Arena;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use statera_core::Task;
use statera_core::metric::{self, Difference};

/// A search. It holds no time: a search that was ended by its time is the search of as many trials.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SearchFacts {
    /// Metric that settings are chosen by.
    pub metric: String,
    /// Rows that trials are fitted on, by rung; the last is all there are.
    pub n_rows: Vec<usize>,
    /// Rows that judge trials, and no candidate on the leaderboard.
    pub n_judging: usize,
    /// Rows that judge on the leaderboard.
    pub n_leaderboard: usize,
    /// By family, the simplest first.
    pub families: Vec<FamilySearch>,
    /// Families whose turn did not come before the end of the search.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub untried: Vec<String>,
    /// In the order in which they were made.
    pub trials: Vec<Trial>,
}

/// What was found for a family.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FamilySearch {
    /// Family by name.
    pub family: String,
    /// Trials made, that of the default settings included.
    pub n_trials: usize,
    /// The metric with the default settings.
    pub default_figure: f64,
    /// The number of the best trial beside the defaults; `None` if none reached the last rung.
    pub best_trial: Option<usize>,
    /// What the best trial gains over the default settings, on the same rows.
    pub gain: Option<Difference>,
    /// True if the gain is more than one standard error, so that the settings became a candidate.
    pub tuned: bool,
}

/// Settings that were tried.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trial {
    /// From 1.
    pub number: usize,
    /// Family by name.
    pub family: String,
    /// Settings by name.
    pub settings: Value,
    /// Rungs that were reached, from 1.
    pub rung: usize,
    /// The metric on the last of them; `None` if the fit failed.
    pub figure: Option<f64>,
    /// True if it was ended before the last rung.
    pub pruned: bool,
    /// Why the fit failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

pub(super) fn gather(studies: &[Study], arena: &Arena, task: Task, judging: &[usize]) -> SearchFacts {
    let metric = metric::primary(task);
    let sign = if metric.higher_is_better { 1.0 } else { -1.0 };
    let last = arena.n_rows.len();
    let trial = |study: &Study, tried: &super::Tried| Trial {
        number: tried.number,
        family: study.family.name.into(),
        settings: tried.point.to_json(),
        rung: tried.goodness.len(),
        figure: tried.goodness.last().filter(|g| g.is_finite()).map(|g| sign * g),
        pruned: tried.goodness.len() < last && tried.error.is_none(),
        error: tried.error.clone(),
    };
    let mut trials: Vec<Trial> =
        studies.iter().flat_map(|study| study.trials.iter().map(move |t| trial(study, t))).collect();
    trials.sort_by_key(|t| t.number);
    let family = |study: &Study| FamilySearch {
        family: study.family.name.into(),
        n_trials: study.trials.len(),
        default_figure: sign * arena.goodness(&study.default_margins),
        best_trial: study.winner.as_ref().map(|w| study.trials[w.trial].number),
        gain: study.winner.as_ref().map(|w| w.gain.clone()),
        tuned: study.winner.as_ref().is_some_and(|w| w.stands),
    };
    SearchFacts {
        metric: metric.name.into(),
        n_rows: arena.n_rows.clone(),
        n_judging: arena.n_judging,
        n_leaderboard: judging.len(),
        families: studies.iter().filter(|s| !s.trials.is_empty()).map(family).collect(),
        untried: studies.iter().filter(|s| s.trials.is_empty()).map(|s| s.family.name.into()).collect(),
        trials,
    }
}
