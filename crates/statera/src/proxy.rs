//! The search for proxies: columns, and small groups of columns, from which one can tell to which protected group a row belongs.
//! A model that never sees the protected column can still decide by it through them.
//!
//! Looked at are each column alone; pairs and threes of the strongest that tell more together than the best of them; and all
//! columns of the model together, by gradient boosting whose trees have not seen the rows that judge it. Beside each stands how
//! much it moves the score. What counts as a proxy is said by the rules.

use crate::groups::Labels;
use crate::scorer::{RowSource, Schema, Scorer};
use arrow_array::{Array, RecordBatch};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use statera_core::fairness::proxy::{Association, association, auc_of, folds_by_group, meet, parts};
use statera_core::fairness::{Judged, Rules, Verdict};
use statera_core::metric::Interval;
use statera_core::{Estimator, Form, Frame, Kind, Result, Rng, Run};
use statera_data::preparer::{Preparer, PreparerParams};
use statera_learn::gbdt::GbdtParams;

/// Rows that columns are looked at on, and those that the boosting of all columns has; more tell the same.
const MAX_ROWS: usize = 20_000;
const MAX_BOOSTED_ROWS: usize = 10_000;
/// Parts of a column alone, and of one that meets others.
const N_PARTS: usize = 20;
const N_PARTS_TOGETHER: usize = 6;
/// Columns among which groups are looked for, and groups that are shown.
const N_TOGETHER: usize = 8;
const MAX_GROUPS: usize = 5;
/// Folds of the shares, and of the boosting.
const N_FOLDS: usize = 5;
const N_BOOSTED_FOLDS: usize = 3;

/// What tells the groups of a protected column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProxySearch {
    /// The protected column.
    pub protected: String,
    /// Rows that were looked at.
    pub n_rows: usize,
    /// Each column alone, the one that tells most first.
    pub columns: Vec<Proxy>,
    /// Pairs and threes of columns that tell more together than the best of them by the rules' gain, the most telling first.
    pub together: Vec<Proxy>,
    /// All columns of the model together.
    pub all: Option<Proxy>,
}

/// What columns tell of a protected group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proxy {
    /// The columns, or parts of columns.
    pub columns: Vec<String>,
    /// The group that is told best, among those that are large enough by the rules.
    pub group: String,
    /// Area under the curve of telling it from the others, out of fold; it *fails* where the columns are a proxy by the rules,
    /// and is not judged where every group is too small.
    pub auc: Judged,
    /// Share of the uncertainty about all groups that the columns remove, 0 to 1; `None` for all columns together.
    pub information: Option<f64>,
    /// How much the columns move the score: the sum of their mean absolute contributions, in log-odds; `None` if unknown.
    pub importance: Option<f64>,
    /// That as a share of the sum over all columns.
    pub importance_share: Option<f64>,
}

/// Searches for proxies of each protected column among the columns that a scorer reads. `importance` is what each raw column
/// moves the score by.
///
/// # Errors
/// Rows that the scorer cannot read, an interruption.
pub fn search(
    scorer: &Scorer,
    batch: &RecordBatch,
    labels: &[Labels],
    importance: &[(String, f64)],
    rules: &Rules,
    run: &Run,
) -> Result<Vec<ProxySearch>> {
    if labels.is_empty() {
        return Ok(Vec::new());
    }
    let drawn = drawn(batch.num_rows(), MAX_ROWS, run.seed);
    let inputs = scorer.inputs(&crate::training_set::take_rows(batch, &drawn)?, RowSource::default())?;
    let frame = features(scorer.schema(), &inputs)?;
    let of = |labels: &Labels| -> Result<ProxySearch> {
        run.check()?;
        let labels = labels.take(&drawn);
        let (names, numbers) = labels.numbers();
        let known: Vec<usize> = (0..numbers.len()).filter(|&row| numbers[row].is_some()).collect();
        let group: Vec<usize> = known.iter().filter_map(|&row| numbers[row]).collect();
        let frame = frame.take(&known);
        let folds = folds_by_group(&group, N_FOLDS, run.seed);
        let (asked, is_judged) = asked(&group, names.len(), rules);
        let (group, asked) = (&group[..], &asked[..]);
        let names = &names[..];
        let searched = Searched { frame: &frame, group, names, asked, is_judged, folds: &folds, importance, rules };
        let columns = searched.alone();
        let together = searched.together(&columns);
        Ok(ProxySearch {
            protected: labels.column.clone(),
            n_rows: known.len(),
            all: searched.all(run)?,
            columns: columns.into_iter().map(|(_, proxy)| proxy).collect(),
            together,
        })
    };
    labels.iter().map(of).collect()
}

/// The groups that are to be told from all others, and whether what tells them is judged: those that are large enough, as
/// all others together are; else all, unjudged. One of two is told as well as the other.
fn asked(group: &[usize], n_groups: usize, rules: &Rules) -> (Vec<usize>, bool) {
    let size = |g: usize| group.iter().filter(|own| **own == g).count();
    let is_large = |g: &usize| size(*g) >= rules.min_rows && group.len() - size(*g) >= rules.min_rows;
    let all = if n_groups == 2 { 1..2 } else { 0..n_groups };
    let large: Vec<usize> = all.clone().filter(is_large).collect();
    if large.is_empty() { (all.collect(), false) } else { (large, true) }
}

/// About `most` of `n` rows, always the same ones, ascending.
fn drawn(n: usize, most: usize, seed: u64) -> Vec<usize> {
    let mut rows: Vec<usize> = (0..n).collect();
    if n > most {
        Rng::fork(seed, 0x7072_6f78).shuffle(&mut rows);
        rows.truncate(most);
        rows.sort_unstable();
    }
    rows
}

/// The columns of a model as numbers and codes; a column without a value in these rows tells nothing and is left out.
fn features(schema: &Schema, inputs: &RecordBatch) -> Result<Frame> {
    // The observation time among the inputs is there to measure other times from.
    let as_of = schema.time.clone().filter(|time| schema.inputs.iter().any(|i| i.name == *time));
    let has_values = |name: &str| inputs.column_by_name(name).is_some_and(|c| c.null_count() < c.len());
    let is_feature = |name: &str| as_of.as_deref() != Some(name) && has_values(name);
    let columns: Vec<(String, Kind)> =
        schema.inputs.iter().filter(|i| is_feature(&i.name)).map(|i| (i.name.clone(), i.kind)).collect();
    let params = PreparerParams {
        form: Form::Codes,
        columns,
        sentinels: schema.sentinels.clone(),
        tz: schema.tz.clone(),
        as_of,
        ..PreparerParams::default()
    };
    let all: Vec<usize> = (0..inputs.num_rows()).collect();
    Preparer::fit(&params, inputs, &all, None)?.transform(inputs)
}

/// The search for one protected column.
struct Searched<'a> {
    frame: &'a Frame,
    /// The group of each row.
    group: &'a [usize],
    names: &'a [&'a str],
    /// Groups that are told from all others.
    asked: &'a [usize],
    is_judged: bool,
    folds: &'a [usize],
    importance: &'a [(String, f64)],
    rules: &'a Rules,
}

impl Searched<'_> {
    fn n_features(&self) -> usize {
        self.frame.spec.features.len()
    }

    fn associate(&self, parts: &[usize]) -> Option<Association> {
        association(parts, self.group, self.names.len(), self.asked, self.folds)
    }

    /// Every feature alone, the most telling first, with its index.
    fn alone(&self) -> Vec<(usize, Proxy)> {
        let one = |feature: usize| {
            let found = self.associate(&parts(&self.frame.columns[feature], N_PARTS))?;
            Some((feature, self.proxy(&[feature], found.auc, found.group, Some(found.information))))
        };
        let found: Vec<Option<(usize, Proxy)>> = (0..self.n_features()).into_par_iter().map(one).collect();
        let mut found: Vec<(usize, Proxy)> = found.into_iter().flatten().collect();
        found.sort_by(|a, b| b.1.auc.figure.value.total_cmp(&a.1.auc.figure.value).then(a.0.cmp(&b.0)));
        found
    }

    /// Pairs of the strongest features, and threes of the strongest pairs, that tell more than the best they are made of.
    fn together(&self, alone: &[(usize, Proxy)]) -> Vec<Proxy> {
        // A cell where columns meet needs rows, so that columns have fewer parts here, and must tell more than alone with more.
        let strongest: Vec<(usize, f64, Vec<usize>)> = alone
            .iter()
            .take(N_TOGETHER)
            .map(|(f, p)| (*f, p.auc.figure.value, parts(&self.frame.columns[*f], N_PARTS_TOGETHER)))
            .collect();
        let join = |(features, best, cells): &(Vec<usize>, f64, Vec<usize>), other: usize| {
            let (feature, auc, own) = &strongest[other];
            if features.contains(feature) {
                return None;
            }
            let cells = meet(cells, own);
            let found = self.associate(&cells)?;
            let is_more = found.auc.value >= best.max(*auc) + self.rules.proxy_gain;
            let mut joined = features.clone();
            joined.push(*feature);
            joined.sort_unstable();
            is_more.then_some((joined, found, cells))
        };
        let sorted = |mut found: Vec<(Vec<usize>, Association, Vec<usize>)>| {
            found.sort_by(|a, b| b.1.auc.value.total_cmp(&a.1.auc.value).then_with(|| a.0.cmp(&b.0)));
            found.dedup_by(|a, b| a.0 == b.0);
            found.truncate(MAX_GROUPS);
            found
        };
        let n = strongest.len();
        let pairs: Vec<(usize, usize)> = (0..n).flat_map(|i| (i + 1..n).map(move |j| (i, j))).collect();
        let of_pair = |&(i, j): &(usize, usize)| {
            let (feature, auc, cells) = &strongest[i];
            join(&(vec![*feature], *auc, cells.clone()), j)
        };
        let found: Vec<_> = pairs.par_iter().map(of_pair).collect();
        let pairs = sorted(found.into_iter().flatten().collect());
        let threes: Vec<_> = pairs
            .par_iter()
            .flat_map_iter(|(features, found, cells)| {
                let pair = (features.clone(), found.auc.value, cells.clone());
                (0..n).filter_map(|other| join(&pair, other)).collect::<Vec<_>>()
            })
            .collect();
        let all = sorted(pairs.into_iter().chain(threes).collect());
        all.into_iter().map(|(f, found, _)| self.proxy(&f, found.auc, found.group, Some(found.information))).collect()
    }

    /// All features in one boosting, which is asked about rows that it has not seen; `None` if there are too few rows.
    fn all(&self, run: &Run) -> Result<Option<Proxy>> {
        let drawn = drawn(self.group.len(), MAX_BOOSTED_ROWS, run.seed);
        let group: Vec<usize> = drawn.iter().map(|&row| self.group[row]).collect();
        let frame = self.frame.take(&drawn);
        let folds = folds_by_group(&group, N_BOOSTED_FOLDS, run.seed);
        let params =
            GbdtParams { max_trees: 100, learning_rate: 0.1, max_leaves: 8, patience: 0, ..GbdtParams::default() };
        let mut best: Option<(Interval, usize)> = None;
        for &asked in self.asked {
            let is_in: Vec<bool> = group.iter().map(|g| *g == asked).collect();
            let target: Vec<f64> = is_in.iter().map(|is| f64::from(u8::from(*is))).collect();
            let mut margins = vec![0.0; group.len()];
            let mut is_told = true;
            for fold in 0..N_BOOSTED_FOLDS {
                run.check()?;
                let (judged, learnt): (Vec<usize>, Vec<usize>) = (0..group.len()).partition(|&row| folds[row] == fold);
                let n_in = learnt.iter().filter(|&&row| is_in[row]).count();
                if n_in == 0 || n_in == learnt.len() || judged.is_empty() {
                    is_told = false;
                    break;
                }
                let mut train = frame.take(&learnt);
                train.target = learnt.iter().map(|&row| target[row]).collect();
                let nothing = Frame { spec: frame.spec.clone(), ..Frame::default() };
                let model = params.fit(&train, &nothing, &run.silent(run.seed))?;
                let scores = model.predict(&frame.take(&judged))?;
                judged.iter().zip(scores.margins).for_each(|(&row, margin)| margins[row] = margin);
            }
            if let Some(auc) = auc_of(&margins, &is_in, &folds).filter(|_| is_told)
                && best.is_none_or(|(known, _)| auc.value > known.value)
            {
                best = Some((auc, asked));
            }
        }
        let all: Vec<usize> = (0..self.n_features()).collect();
        Ok(best.map(|(auc, asked)| self.proxy(&all, auc, asked, None)))
    }

    fn proxy(&self, features: &[usize], auc: Interval, group: usize, information: Option<f64>) -> Proxy {
        let spec = &self.frame.spec;
        let mut raw: Vec<&String> = features.iter().map(|&f| &spec.raw_columns[spec.features[f].raw]).collect();
        raw.sort_unstable();
        raw.dedup();
        let total: f64 = self.importance.iter().map(|(_, value)| value).sum();
        let own: f64 = self.importance.iter().filter(|(name, _)| raw.contains(&name)).map(|(_, value)| value).sum();
        let is_known = total > 0.0;
        let verdict = if self.is_judged { Verdict::up_to(self.rules.proxy_auc, auc) } else { Verdict::NotJudged };
        Proxy {
            columns: features.iter().map(|&f| spec.features[f].name.clone()).collect(),
            group: self.names[group].to_string(),
            auc: Judged { figure: auc, verdict },
            information,
            importance: is_known.then_some(own),
            importance_share: is_known.then(|| own / total),
        }
    }
}
