//! The serving dial: a trained TabM with fewer members, faster and a little less accurate, with the loss shown.
//!
//! Members are chosen greedily, as TabM's authors do: first the best alone, then each time the one that makes the average
//! best in the task's primary metric; the first k of that order are the k that stay. Every network of a bundle (of each
//! fold, of each family in an ensemble) has its own order. The order is chosen on one half of the rows and judged on the
//! other. The calibrator is kept: it was fitted on all out-of-fold rows, and an average of fewer members is of the same
//! scale; the judged log loss would show if it were not.

use crate::bundle::{Bundle, FORMAT_VERSION, Manifest};
use crate::decision::Deciding;
use crate::evaluate::{self, Outcomes};
use crate::pipeline::{SOFTWARE, scoring_speed};
use crate::scorer::{Member, Scorer};
use crate::training_set::take_rows;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use statera_core::metric::{self, DEFAULT_BOOTSTRAP, Difference, Interval, Measured, Predicted};
use statera_core::split::{self, Keys};
use statera_core::{Error, Result, Run, Task};
use statera_data::Table;
use statera_nn::model::NetworkModel;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Rows that members are chosen by; more rows tell them apart no better.
const MAX_ROWS: usize = 20_000;

/// A number of members and what it comes to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setting {
    /// Members of each network.
    pub members: usize,
    /// The task's primary metric on the judging rows.
    pub figure: Measured,
    /// How much better this is than all members, on the same rows: negative for a loss.
    pub gain: Difference,
    /// Log loss of the probabilities with the kept calibrator; classification only.
    pub log_loss: Option<Interval>,
}

/// What fewer members cost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dial {
    /// Rows that members were chosen by.
    pub n_choosing: usize,
    /// Other rows, that all figures are of.
    pub n_judging: usize,
    /// True if this is the very table the model was trained on: then the figures flatter it.
    pub is_training_table: bool,
    /// All members first, then in the order asked for.
    pub settings: Vec<Setting>,
}

/// What a bundle was cut to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cut {
    /// Members of each network.
    pub members: usize,
    /// What was measured before.
    pub dial: Dial,
}

/// What was found, with what cannot be repeated.
pub struct Dialled {
    /// The figures.
    pub dial: Dial,
    /// Raw rows a second, by setting.
    pub rows_per_second: Vec<f64>,
    /// Of each member of the bundle, the order in which its network's members are taken; empty without any.
    orders: Vec<Vec<usize>>,
}

/// Measures a bundle with each number of members on a table that has the target.
///
/// # Errors
/// A bundle without TabM, a number that is 0 or above what its networks have, what [`evaluate::evaluate`] refuses, an
/// interruption.
pub fn dial(bundle: &Bundle, table: &Table, members: &[usize], run: &Run) -> Result<Dialled> {
    let scorer = &bundle.scorer;
    let most = fewest_members(scorer).ok_or_else(|| {
        let (family, names) = (&bundle.manifest.family, "tabm and tabm_mini");
        Error::request(format!("the model is «{family}», which has no members to leave out; allowed: {names}"))
    })?;
    if let Some(k) = members.iter().find(|k| !(1..=most).contains(*k)) {
        return Err(Error::request(format!("members is {k}; allowed: 1 to {most}")));
    }
    let outcomes = Outcomes::of(bundle, table).map_err(|e| e.at(&table.origin))?;
    let schema = scorer.schema();
    let keys = Keys { task: schema.task, target: &outcomes.target, time: None, known: None, group: None };
    let (choosing, judging) = split::holdout(&keys, 0.5, bundle.manifest.seed)?;
    let every = choosing.len().div_ceil(MAX_ROWS).max(1);
    let choosing: Vec<usize> = choosing.into_iter().step_by(every).collect();

    run.progress.start("Choosing members", scorer.members().len() as u64);
    let chosen_by = outcomes.take(&choosing)?;
    let most_wanted = members.iter().copied().max().unwrap_or(0);
    let mut orders = Vec::new();
    for (i, member) in scorer.members().iter().enumerate() {
        orders.push(match tabm(member) {
            Some(network) => order(network, scorer, member, &chosen_by, most_wanted, run)?,
            None => Vec::new(),
        });
        run.progress.update(i as u64 + 1, &format!("network {} of {}", i + 1, scorer.members().len()));
    }

    run.progress.start("Measuring", members.len() as u64 + 1);
    let judged_by = outcomes.take(&judging)?;
    let full = Judged::new(scorer, &judged_by)?;
    let mut settings = vec![full.setting(most, &full, &judged_by, bundle)?];
    let mut rows_per_second = vec![scoring_speed(scorer, &judged_by.batch)?];
    for (i, &k) in members.iter().enumerate() {
        run.check()?;
        run.progress.update(i as u64 + 1, &format!("{k} members"));
        let cut = cut_scorer(scorer, &orders, k)?;
        settings.push(Judged::new(&cut, &judged_by)?.setting(k, &full, &judged_by, bundle)?);
        rows_per_second.push(scoring_speed(&cut, &judged_by.batch)?);
    }
    run.progress.finish();
    let (n_choosing, n_judging) = (choosing.len(), judging.len());
    let dial = Dial { n_choosing, n_judging, is_training_table: outcomes.is_training_table, settings };
    Ok(Dialled { dial, rows_per_second, orders })
}

/// The bundle with `k` members in each TabM network, not yet written: its golden rows are made when it is, its parent is
/// the bundle that was cut, and its facts say what that costs. What the facts say of training is the parent's.
///
/// # Errors
/// A number that was not measured.
pub fn cut(bundle: Bundle, dialled: &Dialled, k: usize) -> Result<Bundle> {
    if !dialled.dial.settings.iter().skip(1).any(|s| s.members == k) {
        return Err(Error::request(format!("members is {k}, which was not measured")));
    }
    let parent = bundle.digest()?;
    let mut facts = bundle.facts;
    if let Some(facts) = facts.as_object_mut() {
        let cut = Cut { members: k, dial: dialled.dial.clone() };
        facts.insert("cut".into(), serde_json::to_value(&cut).map_err(|e| Error::io(e.to_string()))?);
    }
    let manifest = Manifest {
        format_version: FORMAT_VERSION,
        software: SOFTWARE.into(),
        parents: vec![parent],
        parts: BTreeMap::new(),
        ..bundle.manifest
    };
    let scorer = cut_scorer(&bundle.scorer, &dialled.orders, k)?;
    let run = serde_json::json!({ "rows_per_second": dialled.rows_per_second });
    // What the policy came to was found with the whole model.
    let deciding = Deciding { judgement: None, ..bundle.deciding };
    Ok(Bundle { manifest, scorer, facts, deciding, run, ..bundle })
}

/// The network of a member, if it has members of its own.
fn tabm(member: &Member) -> Option<&NetworkModel> {
    let network: &NetworkModel = member.model.as_any().downcast_ref()?;
    (network.n_members() > 1).then_some(network)
}

/// Members of the smallest TabM network.
fn fewest_members(scorer: &Scorer) -> Option<usize> {
    scorer.members().iter().filter_map(tabm).map(NetworkModel::n_members).min()
}

/// The same scorer with the first `k` of each network's order.
fn cut_scorer(scorer: &Scorer, orders: &[Vec<usize>], k: usize) -> Result<Scorer> {
    let cut = |(member, order): (&Member, &Vec<usize>)| -> Result<Member> {
        let Some(network) = tabm(member) else { return Ok(member.clone()) };
        let mut kept = order[..k].to_vec();
        kept.sort_unstable();
        Ok(Member { model: Arc::new(network.with_members(&kept)?), ..member.clone() })
    };
    let members = scorer.members().iter().zip(orders).map(cut).collect::<Result<_>>()?;
    Scorer::new(scorer.schema().clone(), members, scorer.calibrator().clone())
}

/// The first `n` members of a network in the order in which they make the average best.
fn order(
    network: &NetworkModel,
    scorer: &Scorer,
    member: &Member,
    rows: &Outcomes,
    n: usize,
    run: &Run,
) -> Result<Vec<usize>> {
    let outputs = network.member_outputs(&scorer.frame(member, &rows.batch)?)?;
    let mut chosen: Vec<usize> = Vec::new();
    let task = scorer.schema().task;
    while chosen.len() < n {
        run.check()?;
        let left: Vec<usize> = (0..network.n_members()).filter(|m| !chosen.contains(m)).collect();
        let goodness = |m: &usize| {
            let with = [&chosen[..], &[*m]].concat();
            let margins = network.margins_of(&outputs, &with);
            crate::ensemble::goodness(task, &rows.target, &margins, rows.weight.as_deref())
        };
        let values: Vec<f64> = left.par_iter().map(goodness).collect();
        // The first of equals.
        let best = (1..left.len()).fold(0, |best, i| if values[i] > values[best] { i } else { best });
        chosen.push(left[best]);
    }
    Ok(chosen)
}

/// What a scorer says of the judging rows.
struct Judged {
    task: Task,
    margins: Vec<f64>,
    probabilities: Vec<f64>,
}

impl Judged {
    fn new(scorer: &Scorer, rows: &Outcomes) -> Result<Judged> {
        let scored = scorer.score(&rows.batch)?;
        Ok(Judged { task: scorer.schema().task, margins: scored.margins, probabilities: scored.probabilities })
    }

    fn predicted(&self) -> Predicted<'_> {
        Predicted { margins: &self.margins, probabilities: &self.probabilities }
    }

    fn setting(&self, members: usize, full: &Judged, rows: &Outcomes, bundle: &Bundle) -> Result<Setting> {
        let (target, weight) = (&rows.target, rows.weight.as_deref());
        let cutoff = evaluate::stored_cutoff(bundle);
        let seed = bundle.manifest.seed;
        let all = metric::evaluate(self.task, target, self.predicted(), weight, cutoff, seed, DEFAULT_BOOTSTRAP)?;
        let find = |name: &str| all.iter().find(|m| m.name == name).cloned();
        let primary = metric::primary(self.task).name;
        let figure = find(primary).ok_or_else(|| Error::data(format!("no {primary} of the judging rows")))?;
        let gain = metric::paired_difference(self.task, target, self.predicted(), full.predicted(), weight)?;
        Ok(Setting { members, figure, gain, log_loss: find("log_loss").map(|m| m.interval) })
    }
}

impl Outcomes {
    /// The rows at `rows`, in that order.
    fn take(&self, rows: &[usize]) -> Result<Outcomes> {
        Ok(Outcomes {
            batch: take_rows(&self.batch, rows)?,
            target: rows.iter().map(|&r| self.target[r]).collect(),
            weight: self.weight.as_ref().map(|w| rows.iter().map(|&r| w[r]).collect()),
            is_training_table: self.is_training_table,
        })
    }
}
