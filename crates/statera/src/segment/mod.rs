//! The use case of segments: rows without an outcome, grouped by their likeness.
//!
//! Columns are prepared as for linear models (scaled numbers, indicators, one-hot levels), or squeezed into the code of an
//! autoencoder. Each clustering chooses its number
//! of clusters by its own criterion, silhouette or BIC, and is then resampled; the more stable one is used, because
//! without labels nothing else says which is better. The bundle is that of a model of k classes, named segment 1 … k from
//! the largest to the smallest, so that scoring, attributions and golden rows are those of every other model.

mod code;
mod describe;
#[cfg(test)]
mod tests;

pub use code::CodeClusterModel;
pub use describe::{LevelDifference, NumberDifference, Segment};

use crate::bundle::{Bundle, FORMAT_VERSION, Manifest};
use crate::cross_fit::preparer_params;
use crate::decision::Deciding;
use crate::groups;
use crate::models::BIC;
use crate::models::{self, Clustering};
use crate::network::{self, OwnNetwork};
use crate::note::Note;
use crate::pipeline;
use crate::project::Settings;
use crate::reference::{self, Reference};
use crate::scorer::{Member, Schema, Scorer};
use crate::training_set::TrainingSet;
use crate::windows::{self, OwnWindows};
use code::Encoder;
use serde::{Deserialize, Serialize};
use serde_json::json;
use statera_core::{Error, Form, Frame, FrameSpec, Model, Result, Run, Task};
use statera_data::Table;
use statera_data::infer::TextFormat;
use statera_data::preparer::Preparer;
use statera_learn::calibration::Calibrator;
use statera_learn::cluster::{self, ClusterModel, Covariance, GmmParams, KMeansParams, Mixture, Points, Stability};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

/// Numbers of clusters that are tried where the settings name none.
pub const DEFAULT_CLUSTERS: [usize; 2] = [2, 8];
/// Most clusters: more segments than this tell nobody anything.
pub const MAX_CLUSTERS: usize = 50;
/// Rows that the number of clusters is chosen on; more change it seldom.
const CHOICE_ROWS: usize = 20_000;
/// Rows of the silhouette, which is quadratic in them.
const SILHOUETTE_ROWS: usize = 2_000;
/// Rows that are resampled, and how often.
const STABILITY_ROWS: usize = 5_000;
const N_RESAMPLES: usize = 20;

/// Segments with their bundle, not yet written.
pub struct Segmented {
    /// Scores rows to segments.
    pub bundle: Bundle,
    /// Every figure that is shown.
    pub facts: SegmentFacts,
}

/// What was found: the `facts.json` of a bundle of segments.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SegmentFacts {
    /// Rows used.
    pub n_rows: usize,
    /// Columns that rows are compared by.
    pub columns: Vec<String>,
    /// What the user should know.
    pub notes: Vec<String>,
    /// Clusterings side by side.
    pub candidates: Vec<SegmentCandidate>,
    /// The clustering that is used: the one with the greatest mean Jaccard similarity.
    pub chosen: String,
    /// From the largest to the smallest.
    pub segments: Vec<Segment>,
    /// Everything that was asked for.
    pub settings: Settings,
}

/// A clustering with its own number of clusters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SegmentCandidate {
    /// Clustering by name.
    pub model: String,
    /// Name in tables.
    pub title: String,
    /// What chose the number: `silhouette` (the greatest) or `BIC` (the smallest).
    pub criterion: String,
    /// Numbers of clusters that were tried, with the criterion; one alone has none to be compared by.
    pub tried: Vec<(usize, f64)>,
    /// The number that was chosen.
    pub k: usize,
    /// Mean over clusters of the Jaccard similarity under resampling.
    pub jaccard: f64,
    /// Mean adjusted Rand index under resampling.
    pub adjusted_rand: f64,
    /// A few figures of the fit.
    pub about: Vec<(String, String)>,
}

/// Groups the rows of a table and makes a bundle that assigns new rows to the groups.
///
/// # Errors
/// What [`TrainingSet::new`] refuses, more clusters than distinct rows, an interruption; nothing is written.
pub fn train(
    table: Table,
    settings: &Settings,
    formats: &BTreeMap<String, TextFormat>,
    run: &Run,
) -> Result<Segmented> {
    let started = Instant::now();
    let mut settings = settings.clone();
    let table = windows::add(table, &mut settings)?;
    let (table, _) = network::add(table, &mut settings, network::Source::Nowhere, run)?;
    let settings = &settings;
    let set = TrainingSet::new(table, settings)?;
    let windows = OwnWindows::of_training(&set, settings, formats)?;
    let network = OwnNetwork::of_training(&set, settings, formats)?;
    let clusterings = models::clusterings(&settings.models)?;
    let run = &run.clone().with_seed(settings.seed);

    let mut found: Vec<(SegmentCandidate, Mixture, Stability)> = Vec::new();
    let mut spaces: [Option<Space>; 2] = [None, None];
    run.progress.start("Segments", clusterings.len() as u64);
    for (i, clustering) in clusterings.iter().enumerate() {
        let space = &mut spaces[usize::from(clustering.on_code)];
        let space = match space {
            Some(space) => space,
            None => space.insert(Space::new(&set, settings, clustering.on_code, run)?),
        };
        found.push(candidate(clustering, space, settings, run).map_err(|e| e.at(clustering.title))?);
        run.progress.update(i as u64 + 1, clustering.title);
    }
    run.progress.finish();
    let best = (1..found.len()).fold(0, |b, i| if found[i].0.jaccard > found[b].0.jaccard { i } else { b });
    let candidates: Vec<SegmentCandidate> = found.iter().map(|(c, ..)| c.clone()).collect();
    let (chosen, mixture, stability) = found.swap_remove(best);

    let on_code = models::clusterings(std::slice::from_ref(&chosen.model))?.iter().any(|c| c.on_code);
    let space = spaces[usize::from(on_code)].take().ok_or_else(|| Error::request("no clustering"))?;
    let (mixture, jaccard) = by_size(mixture, &space.data, &stability);
    let clusters = mixture.assign(&space.data);
    let mut notes: Vec<String> = set.notes.iter().map(Note::english).collect();
    notes.extend(groups::note_without_event(set.task, settings).map(|note| note.english()));
    if matches!(mixture, Mixture::Gmm(_)) && !space.is_numeric {
        notes.push(
            "a Gaussian mixture on columns with levels or missing cells may take each rare level for a segment of its own; \
             compare --models kmeans,gmm_code"
                .into(),
        );
    }
    let names: Vec<String> = (1..=mixture.k()).map(|j| format!("segment {j}")).collect();
    let facts = SegmentFacts {
        n_rows: set.n_rows(),
        columns: set.features.iter().map(|(name, _)| name.clone()).collect(),
        notes,
        candidates,
        chosen: chosen.model,
        segments: describe::segments(&set, &clusters, &names, &jaccard, settings)?,
        settings: settings.clone(),
    };
    let bundle = bundle(&set, settings, formats, (space, mixture), names)?;
    let run = json!({ "seconds": started.elapsed().as_secs_f64(), "threads": run.threads });
    let bundle = Bundle {
        windows,
        network,
        facts: serde_json::to_value(&facts).map_err(|e| Error::io(e.to_string()))?,
        run,
        ..bundle
    };
    Ok(Segmented { bundle, facts })
}

/// Where rows are compared: by their prepared columns, or by their codes.
struct Space {
    /// Row-major.
    data: Vec<f32>,
    weight: Option<Vec<f64>>,
    /// What the columns of `data` are.
    spec: FrameSpec,
    /// True if every one of them is a plain number, so that components of a mixture may tilt: a full covariance of one-hot
    /// levels has no inverse.
    is_numeric: bool,
    preparer: Preparer,
    encoder: Option<Encoder>,
}

impl Space {
    fn new(set: &TrainingSet, settings: &Settings, on_code: bool, run: &Run) -> Result<Space> {
        let all: Vec<usize> = (0..set.n_rows()).collect();
        let form = if on_code { Form::Codes } else { Form::Dense };
        let params = preparer_params(form, set, settings)?;
        let preparer = Preparer::fit(&params, &set.batch, &all, set.weight.as_deref())?;
        let frame = Frame { weight: set.weight.clone(), ..preparer.transform(&set.batch)? };
        let weight = set.weight.clone();
        if on_code {
            let encoder = Encoder::fit(&frame, settings.quick, run).map_err(|e| e.at("autoencoder"))?;
            let (data, spec) = (encoder.apply(&frame)?, encoder.spec());
            return Ok(Space { data, weight, spec, is_numeric: true, preparer, encoder: Some(encoder) });
        }
        let is_numeric = frame.spec.features.iter().all(|f| f.levels.is_none() && f.sentinels.is_empty())
            && frame.spec.features.len() == frame.spec.raw_columns.len();
        let (data, spec) = (frame.dense.data, (*frame.spec).clone());
        Ok(Space { data, weight, spec, is_numeric, preparer, encoder: None })
    }

    fn points(&self) -> Points<'_> {
        Points { data: &self.data, n_cols: self.spec.features.len(), weight: self.weight.as_deref() }
    }
}

/// At most `n` rows at even steps.
fn sample(points: &Points<'_>, n: usize) -> (Vec<f32>, Option<Vec<f64>>) {
    let every = points.n_rows().div_ceil(n).max(1);
    let rows = || (0..points.n_rows()).step_by(every);
    (
        rows().flat_map(|i| points.row(i).iter().copied()).collect(),
        points.weight.map(|w| rows().map(|i| w[i]).collect()),
    )
}

/// Fits a clustering with every number of clusters on a sample, the best of them on all rows, and resamples it.
fn candidate(
    clustering: &Clustering,
    space: &Space,
    settings: &Settings,
    run: &Run,
) -> Result<(SegmentCandidate, Mixture, Stability)> {
    let [low, high] = settings.clusters.unwrap_or(DEFAULT_CLUSTERS);
    let points = &space.points();
    let (data, weight) = sample(points, CHOICE_ROWS);
    let few = Points { data: &data, n_cols: points.n_cols, weight: weight.as_deref() };
    let mut shapes = vec![Covariance::Diagonal];
    if space.is_numeric && clustering.criterion == BIC {
        shapes.push(Covariance::Full);
    }
    let (mut tried, mut best) = (Vec::new(), None::<(f64, usize, Covariance)>);
    for k in low..=high {
        let mut of_k = f64::INFINITY;
        for &shape in &shapes {
            run.check()?;
            // One number alone needs no criterion.
            let badness =
                if low == high && shapes.len() == 1 { 0.0 } else { badness(clustering, k, shape, &few, run)? };
            of_k = of_k.min(badness);
            if best.is_none_or(|(least, ..)| badness < least) {
                best = Some((badness, k, shape));
            }
        }
        tried.push((k, if clustering.criterion == BIC { of_k } else { -of_k }));
    }
    let Some((_, k, shape)) = best else { return Err(Error::request("no number of clusters")) };
    let mixture = fit(clustering, k, shape, 10, points, run)?;
    let (data, weight) = sample(points, STABILITY_ROWS);
    let few = Points { data: &data, n_cols: points.n_cols, weight: weight.as_deref() };
    let again = |drawn: &Points<'_>, run: &Run| fit(clustering, k, shape, 3, drawn, run);
    let assign = |mixture: &Mixture, data: &[f32]| mixture.assign(data);
    let mut stability = cluster::stability(&few, &mixture.assign(&data), N_RESAMPLES, again, assign, run)?;
    // A cluster without rows in the sample was never found again.
    stability.jaccard.resize(k, 0.0);
    let mut about = ClusterModel { spec: space.spec.clone(), mixture: mixture.clone() }.describe();
    if space.encoder.is_some() {
        about.push(("numbers of a code".into(), space.spec.features.len().to_string()));
    }
    let candidate = SegmentCandidate {
        model: clustering.name.into(),
        title: clustering.title.into(),
        criterion: clustering.criterion.into(),
        tried: if low == high { Vec::new() } else { tried },
        k,
        jaccard: stability.jaccard.iter().sum::<f64>() / k as f64,
        adjusted_rand: stability.adjusted_rand,
        about,
    };
    Ok((candidate, mixture, stability))
}

fn fit(
    c: &Clustering,
    k: usize,
    covariance: Covariance,
    starts: usize,
    points: &Points<'_>,
    run: &Run,
) -> Result<Mixture> {
    if c.criterion != BIC {
        return Ok(Mixture::KMeans(KMeansParams { k, starts, ..Default::default() }.fit(points, run)?));
    }
    Ok(Mixture::Gmm(GmmParams { k, covariance, starts, ..Default::default() }.fit(points, run)?))
}

/// What the number of clusters is chosen by, turned so that less is better.
fn badness(c: &Clustering, k: usize, covariance: Covariance, points: &Points<'_>, run: &Run) -> Result<f64> {
    match fit(c, k, covariance, 10, points, run)? {
        Mixture::KMeans(model) => {
            let (data, _) = sample(points, SILHOUETTE_ROWS);
            let few = Points { data: &data, n_cols: points.n_cols, weight: None };
            Ok(-cluster::silhouette(&few, &model.assign(&data), run)?)
        }
        Mixture::Gmm(model) => model.bic(points, run),
    }
}

/// The clusters from the one of most rows to the one of fewest, with their stability.
fn by_size(mixture: Mixture, data: &[f32], stability: &Stability) -> (Mixture, Vec<f64>) {
    let mut sizes = vec![0usize; mixture.k()];
    mixture.assign(data).into_iter().for_each(|j| sizes[j] += 1);
    let mut order: Vec<usize> = (0..sizes.len()).collect();
    order.sort_by(|&a, &b| sizes[b].cmp(&sizes[a]).then(a.cmp(&b)));
    let jaccard = order.iter().map(|&j| stability.jaccard[j]).collect();
    (mixture.reordered(&order), jaccard)
}

/// A bundle of the clusters; its facts and run are empty.
fn bundle(
    set: &TrainingSet,
    settings: &Settings,
    formats: &BTreeMap<String, TextFormat>,
    (space, mixture): (Space, Mixture),
    names: Vec<String>,
) -> Result<Bundle> {
    let task = Task::Classes(names.len());
    let schema = Schema { task, classes: names, ..pipeline::schema(set, settings, formats)? };
    // The softmax of a mixture's margins is the probability; squared distances have none.
    let calibrator = match mixture {
        Mixture::KMeans(_) => Calibrator::Identity {},
        Mixture::Gmm(_) => Calibrator::Temperature { t: 1.0 },
    };
    let mut reference = Reference::of(&set.batch, &schema.inputs)?;
    let (family, model): (&str, Arc<dyn Model>) = match space.encoder {
        Some(encoder) => {
            let model = CodeClusterModel::new(encoder, mixture, &space.data);
            (model.family(), Arc::new(model))
        }
        None => {
            let model = ClusterModel { spec: space.spec, mixture };
            (model.family(), Arc::new(model))
        }
    };
    let member = Member { family, weight: 1, preparer: Arc::new(space.preparer), model };
    let scorer = Scorer::new(schema, vec![member], calibrator)?;
    let margins = scorer.score(&set.batch)?.margins;
    let k = task.n_outputs();
    reference.margins =
        (0..k).map(|o| reference::quantiles(margins.iter().skip(o).step_by(k).copied().collect())).collect();
    let manifest = Manifest {
        format_version: FORMAT_VERSION,
        software: concat!("statera ", env!("CARGO_PKG_VERSION")).into(),
        seed: settings.seed,
        family: family.into(),
        data_fingerprint: set.fingerprint.clone(),
        parents: Vec::new(),
        parts: BTreeMap::new(),
    };
    let (facts, run) = (serde_json::Value::Null, serde_json::Value::Null);
    Ok(Bundle {
        manifest,
        scorer,
        reference,
        background: None,
        windows: None,
        network: None,
        facts,
        deciding: Deciding::default(),
        run,
    })
}

/// A number of clusters, or a range of them: `5` or `2..8`.
///
/// # Errors
/// Anything else.
pub fn parse_clusters(text: &str) -> Result<[usize; 2]> {
    let range = match text.split_once("..") {
        Some((low, high)) => low.trim().parse().ok().zip(high.trim().parse().ok()),
        None => text.trim().parse().ok().map(|k| (k, k)),
    };
    let allowed = range.filter(|(low, high)| 1 <= *low && low <= high && *high <= MAX_CLUSTERS);
    allowed.map(|(low, high)| [low, high]).ok_or_else(|| {
        Error::request(format!(
            "clusters: «{text}» is not allowed; allowed is a number from 1 to {MAX_CLUSTERS} or a range such as 2..8"
        ))
    })
}
