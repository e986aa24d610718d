//! Reject inference on simulated applications whose true outcomes are known: what it recovers and what it cannot.

use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch};
use statera::given::Given;
use statera::pipeline::{self, Trained};
use statera::project::{RejectInference, Settings};
use statera_core::metric::area;
use statera_core::{Kind, Rng, Run};
use statera_data::{ColumnInfo, Table};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Applications with their true outcomes: `x` and `z` are columns, `u` is what only the bank's clerks saw.
struct Population {
    x: Vec<f64>,
    z: Vec<f64>,
    bad: Vec<f64>,
    is_accepted: Vec<bool>,
}

impl Population {
    /// Half of the applications are accepted: by `x` and noise, or by `x` and what the model does not see.
    fn new(n: usize, by_unseen: bool) -> Population {
        let mut rng = Rng::new(11);
        let (mut x, mut z, mut bad, mut is_accepted) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for _ in 0..n {
            let (own_x, own_z, u, noise) = (rng.normal(), rng.normal(), rng.normal(), rng.normal());
            let margin = -1.0 + own_x + 0.7 * own_z + u;
            bad.push(f64::from(u8::from(rng.uniform() < 1.0 / (1.0 + (-margin).exp()))));
            is_accepted.push(own_x + if by_unseen { u } else { noise } < 0.0);
            x.push(own_x);
            z.push(own_z);
        }
        Population { x, z, bad, is_accepted }
    }

    fn rows(&self, are_accepted: bool) -> Vec<usize> {
        (0..self.x.len()).filter(|&i| self.is_accepted[i] == are_accepted).collect()
    }

    fn batch(&self, rows: &[usize], with_outcome: bool) -> RecordBatch {
        let number = |v: &[f64]| Arc::new(Float64Array::from_iter_values(rows.iter().map(|&i| v[i]))) as ArrayRef;
        let mut columns = vec![("x", number(&self.x)), ("z", number(&self.z))];
        let bad = || Arc::new(Int64Array::from_iter_values(rows.iter().map(|&i| self.bad[i] as i64))) as ArrayRef;
        columns.extend(with_outcome.then(|| ("bad", bad())));
        RecordBatch::try_from_iter(columns).unwrap()
    }

    /// Trains on the accepted rows, with the declined ones if a way is given.
    fn train(&self, model: &str, way: Option<(RejectInference, f64)>) -> Trained {
        let batch = self.batch(&self.rows(true), true);
        let columns = ["x", "z", "bad"].map(|name| ColumnInfo { name: name.into(), kind: Kind::Number }).to_vec();
        let table = Table { columns, batches: vec![batch], origin: "accepted".into() };
        let settings = Settings {
            target: "bad".into(),
            models: vec![model.into()],
            reject_inference: way.map(|w| w.0),
            reject_factor: way.map(|w| w.1),
            ..Settings::default()
        };
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("declined.csv");
        let mut csv = String::from("x,z\n");
        self.rows(false).into_iter().for_each(|i| csv += &format!("{},{}\n", self.x[i], self.z[i]));
        std::fs::write(&path, csv).unwrap();
        let rejects = way.map(|_| path.to_string_lossy().into_owned());
        let given = Given { rejects, ..Given::default() };
        pipeline::train(table, &settings, &BTreeMap::new(), &given, &Run::new(1, 2)).unwrap()
    }

    /// Mean uncalibrated probability of the declined rows over their true bad rate, and the area under the curve of all rows.
    fn of_truth(&self, trained: &Trained) -> (f64, f64) {
        let declined = self.rows(false);
        let scored = trained.bundle.scorer.score(&self.batch(&declined, false)).unwrap();
        let mean = scored.margins.iter().map(|m| 1.0 / (1.0 + (-m).exp())).sum::<f64>() / declined.len() as f64;
        let truth = declined.iter().map(|&i| self.bad[i]).sum::<f64>() / declined.len() as f64;
        let all: Vec<usize> = (0..self.x.len()).collect();
        let margins = trained.bundle.scorer.score(&self.batch(&all, false)).unwrap().margins;
        (mean / truth, area(&margins, &self.bad, &vec![1.0; all.len()]))
    }
}

/// What a logistic regression says of the declined over the truth, and its area over all applications: of the accepted alone,
/// and with the declined by a way at the factors 1 and 4.
fn at_factors(population: &Population, way: RejectInference) -> [(f64, f64); 3] {
    let of = |way| population.of_truth(&population.train("logistic", way));
    [of(None), of(Some((way, 1.0))), of(Some((way, 4.0)))]
}

#[test]
fn what_inference_recovers_and_what_it_cannot() {
    let (seen, unseen) = (Population::new(20_000, false), Population::new(20_000, true));
    // Accepted by the model's own columns and chance: the accepted alone say the truth of the declined, and who assumes them
    // worse spoils both level and ranking.
    let [alone, one, four] = at_factors(&seen, RejectInference::Fuzzy);
    assert!((alone.0 - 1.0).abs() < 0.05, "{alone:?}");
    // With the weights of its own probabilities a logistic regression finds itself again.
    assert!((one.0 - alone.0).abs() < 1e-3 && (one.1 - alone.1).abs() < 1e-4, "{one:?} after {alone:?}");
    assert!(four.0 > 1.5 && four.1 < alone.1 - 0.005, "{four:?} after {alone:?}");
    let [_, one, four] = at_factors(&seen, RejectInference::Parcelling);
    assert!((one.0 - alone.0).abs() < 0.06 && (one.1 - alone.1).abs() < 2e-3, "{one:?} after {alone:?}");
    assert!(four.0 > 1.5 && four.1 < alone.1 - 0.005, "{four:?} after {alone:?}");
    // Accepted by what the model does not see: the declined are far worse than they look. At factor 1 inference knows nothing
    // of it; at the factor that is true of this population it mends both. Nothing in the rows tells the two populations apart.
    let [alone, one, four] = at_factors(&unseen, RejectInference::Fuzzy);
    assert!(alone.0 < 0.5, "{alone:?}");
    assert!((one.0 - alone.0).abs() < 1e-3, "{one:?} after {alone:?}");
    assert!((four.0 - 1.0).abs() < 0.15 && four.1 > alone.1 + 0.015, "{four:?} after {alone:?}");
    let [_, one, four] = at_factors(&unseen, RejectInference::Parcelling);
    assert!((one.0 - alone.0).abs() < 0.06, "{one:?} after {alone:?}");
    assert!((four.0 - 1.0).abs() < 0.15 && four.1 > alone.1 + 0.015, "{four:?} after {alone:?}");
}

#[test]
fn declined_rows_train_and_judge_nothing() {
    let population = Population::new(2_000, false);
    let trained = population.train("scorecard", Some((RejectInference::Parcelling, 1.0)));
    let names: Vec<&str> = trained.facts.leaderboard.entries.iter().map(|e| e.model.as_str()).collect();
    assert_eq!(names, ["scorecard", "scorecard_rejects"]);
    assert_eq!(trained.facts.leaderboard.chosen, "scorecard_rejects");
    assert_eq!(trained.facts.n_rows, population.rows(true).len(), "figures are of accepted rows");
    let note = trained.facts.notes.iter().find(|n| n.contains("were never observed")).unwrap();
    assert!(note.contains(&format!("{} declined applications", population.rows(false).len())), "{note}");
    let plain = population.train("scorecard", None);
    let (with, without) = (&trained.facts.leaderboard.entries[0], &plain.facts.leaderboard.entries[0]);
    assert_eq!(with.cross_fitted, without.cross_fitted, "the twin without rejects is the candidate without rejects");
    let again = population.train("scorecard", Some((RejectInference::Parcelling, 1.0)));
    assert_eq!(again.facts, trained.facts, "the same seed, the same facts");
}
