//! Values against scikit-learn's and hand-computed ones, and what must hold for every entry of [`METRICS`].

use super::*;
use crate::Rng;

// import numpy as np; from sklearn.metrics import *
// p = 1 / (1 + np.exp(-s)); t = (p >= .4).astype(int)
const TARGET: [f64; 20] = [0., 1., 0., 1., 1., 0., 0., 1., 0., 0., 1., 0., 0., 1., 0., 0., 1., 0., 0., 0.];
const SCORE: [f64; 20] =
    [-2., 1.5, -1., -0.5, 0.75, -1., 0.5, 2., -1.5, -0.5, -0.5, -3., 0.75, 0.25, -1.25, 1., 3., -0.75, -2.5, -1.];
const WEIGHT: [f64; 20] = [1., 2., 1., 0.5, 1., 3., 1., 1., 2., 1., 1., 1., 0.5, 2., 1., 1., 1.5, 1., 1., 2.];
const CUTOFF: f64 = 0.4;

fn probabilities() -> Vec<f64> {
    SCORE.iter().map(|s| 1.0 / (1.0 + (-s).exp())).collect()
}

fn sample(weight: Option<&[f64]>) -> Sample {
    let probabilities = probabilities();
    let predicted = Predicted { margins: &SCORE, probabilities: &probabilities };
    Sample::new(Task::Binary, &TARGET, predicted, weight, CUTOFF).unwrap()
}

fn check(sample: &Sample, expected: &[(&str, f64)]) {
    for &(name, expected) in expected {
        let value = (find(name).unwrap().compute)(sample);
        assert!((value - expected).abs() < 1e-12, "{name} is {value}, expected {expected}");
    }
}

#[test]
fn binary_values_are_those_of_scikit_learn() {
    // roc_auc_score(y, s), max(tpr - fpr) of roc_curve, average_precision_score(y, s), log_loss(y, p),
    // brier_score_loss(y, p), accuracy_score(y, t), precision_score, recall_score, f1_score; then with sample_weight=w
    check(
        &sample(None),
        &[
            ("auc", 0.8736263736263736),
            ("gini", 2.0 * 0.8736263736263736 - 1.0),
            ("ks", 0.6923076923076923),
            ("average_precision", 0.7949134199134198),
            ("log_loss", 0.4610291610926859),
            ("brier", 0.1534994859099344),
            ("accuracy", 0.75),
            ("precision", 0.625),
            ("recall", 0.7142857142857143),
            ("f1", 0.6666666666666666),
        ],
    );
    check(
        &sample(Some(&WEIGHT)),
        &[
            ("auc", 0.9276094276094277),
            ("ks", 0.7878787878787878),
            ("average_precision", 0.873968253968254),
            ("log_loss", 0.39639035062321964),
            ("brier", 0.12243061517448181),
            ("accuracy", 0.8431372549019608),
            ("precision", 0.75),
            ("recall", 0.8333333333333334),
            ("f1", 0.7894736842105263),
        ],
    );
}

#[test]
fn delong_variance_is_that_of_the_definition() {
    // The quadratic definition of DeLong et al. (1988) in numpy:
    // psi = (s[P][:, None] > s[N]) + .5 * (s[P][:, None] == s[N]); v10 = psi @ w[N] / w[N].sum(); v01 = w[P] @ psi / w[P].sum()
    // part(v, w) = (w * (v - w @ v / w.sum())) ** 2 summed / w.sum() ** 2 * m / (m - 1); variance = part(v10) + part(v01)
    let variance = |weight: &[f64]| delong_variance(&SCORE, &TARGET, weight).unwrap();
    assert!((variance(&[1.0; 20]) - 0.0060479813227065984).abs() < 1e-15);
    assert!((variance(&WEIGHT) - 0.002867653879803227).abs() < 1e-15);
    let doubled = WEIGHT.map(|w| 2.0 * w);
    assert!((variance(&doubled) - variance(&WEIGHT)).abs() < 1e-15, "a common factor says nothing");
    let interval = (find("auc").unwrap().interval.unwrap())(&sample(None));
    let half = 1.959963984540054 * 0.0060479813227065984f64.sqrt();
    assert!((interval.low - (0.8736263736263736 - half)).abs() < 1e-12 && interval.high == 1.0, "{interval:?}");
}

#[test]
fn decile_figures_are_those_counted_by_hand() {
    // Top decile: scores 3 and 2, both positive, of 7 in 20. Top six: 3 2 1.5 1 .75 .75, four of them positive.
    check(&sample(None), &[("lift_top_decile", 1.0 / 0.35), ("gain_top_3_deciles", 4.0 / 7.0)]);
    let table = deciles(&TARGET, &SCORE, None).unwrap();
    // Places 9 to 11 tie at -.5 with two positives in three: decile 5 (places 9, 10) has 4/3, decile 6 has 2/3 and none.
    assert_eq!(table.iter().map(|d| d.n_rows).collect::<Vec<_>>(), [2.0; 10]);
    assert!((table[4].n_positive - 4.0 / 3.0).abs() < 1e-12 && (table[5].n_positive - 2.0 / 3.0).abs() < 1e-12);
    assert_eq!((table[0].rate, table[9].gain, table[9].n_positive), (1.0, 1.0, 0.0));
    assert!((table[0].lift - 1.0 / 0.35).abs() < 1e-12);
}

#[test]
fn calibration_error_is_that_counted_by_hand() {
    // Twenty different probabilities .025, .075, …: bin b holds two, of mean (b + .5) / 10. Outcomes: the upper half is 1.
    let p: Vec<f64> = (0..20).map(|i| (f64::from(i) + 0.5) / 20.0).collect();
    let y: Vec<f64> = (0..20).map(|i| f64::from(u8::from(i >= 10))).collect();
    let predicted = Predicted { margins: &p, probabilities: &p };
    let even = Sample::new(Task::Binary, &y, predicted, None, 0.5).unwrap();
    check(&even, &[("calibration_error", (0.05 + 0.15 + 0.25 + 0.35 + 0.45) / 5.0)]);
    // All probabilities tie: one bin.
    let predicted = Predicted { margins: &p, probabilities: &[0.3; 20] };
    check(&Sample::new(Task::Binary, &y, predicted, None, 0.5).unwrap(), &[("calibration_error", 0.2)]);
}

// M, then P = np.exp(M); P /= P.sum(1, keepdims=True)
const CLASSES: [f64; 10] = [0., 1., 2., 0., 1., 2., 2., 1., 0., 2.];
const CLASS_WEIGHT: [f64; 10] = [1., 2., 1., 1., 0.5, 1., 3., 1., 1., 2.];
const LOGITS: [f64; 30] = [
    1., 0., -1., 0., 0.5, 0., -1., 0.25, 1., 0.5, 0.5, -0.5, 1., 0.75, 0., 0., 0., 0.5, 0.25, -0.5, 0., -1., 2., 0.,
    2., -1., 0.5, 0., 1., 0.75,
];

fn softmax(scale: f64) -> Vec<f64> {
    let rows = LOGITS.chunks_exact(3).flat_map(|row| {
        let sum: f64 = row.iter().map(|m| (m * scale).exp()).sum();
        row.iter().map(move |m| (m * scale).exp() / sum)
    });
    rows.collect()
}

#[test]
fn class_values_are_those_of_scikit_learn() {
    // log_loss(y, P), mean of roc_auc_score(y == c, P[:, c]), accuracy_score(y, P.argmax(1)); then with sample_weight=w
    let p = softmax(1.0);
    let predicted = Predicted { margins: &LOGITS, probabilities: &p };
    let sample = |weight| Sample::new(Task::Classes(3), &CLASSES, predicted, weight, 0.5).unwrap();
    check(&sample(None), &[("log_loss", 0.6833611383460761), ("auc_macro", 0.9206349206349206), ("accuracy", 0.7)]);
    check(
        &sample(Some(&CLASS_WEIGHT)),
        &[("log_loss", 0.7598405356742277), ("auc_macro", 0.9105820105820106), ("accuracy", 0.5925925925925926)],
    );
}

const VALUES: [f64; 5] = [3., -0.5, 2., 7., 4.5];
const FORECAST: [f64; 5] = [2.5, 0., 2., 8., 4.];

#[test]
fn regression_values_are_those_of_scikit_learn() {
    // mean_squared_error(y, p) ** .5, mean_absolute_error(y, p), r2_score(y, p); then with sample_weight=w
    let predicted = Predicted { margins: &FORECAST, probabilities: &[] };
    let sample = |weight| Sample::new(Task::Regression, &VALUES, predicted, weight, 0.5).unwrap();
    check(&sample(None), &[("rmse", 0.5916079783099616), ("mae", 0.5), ("r2", 0.9440894568690096)]);
    check(
        &sample(Some(&[1., 2., 1., 0.5, 3.])),
        &[("rmse", 0.5163977794943222), ("mae", 0.4666666666666667), ("r2", 0.9499374217772215)],
    );
}

#[test]
fn paired_differences_are_those_of_the_definitions() {
    fn check(found: &Difference, gain: f64, error: f64) {
        assert!((found.gain.value - gain).abs() < 1e-12, "{found:?}");
        assert!((found.standard_error - error).abs() < 1e-12, "{found:?}");
        assert!((found.gain.high - found.gain.low - 2.0 * 1.959963984540054 * error).abs() < 1e-12);
    }
    // roc_auc_score(y, s) - roc_auc_score(y, s2), and the root of the variance above with v10 - v10(s2), v01 - v01(s2)
    let other = [-1., 0.5, -1.5, 0.5, 1., 0., 0.25, 1., -2., -0.25, -1., -2., 0.5, 0.75, -1., 0., 2., 0.25, -2., -0.5];
    let first = Predicted { margins: &SCORE, probabilities: &[] };
    let second = Predicted { margins: &other, probabilities: &[] };
    let binary = |weight| paired_difference(Task::Binary, &TARGET, first, second, weight).unwrap();
    check(&binary(None), -0.027472527472527486, 0.0894721918540237);
    check(&binary(Some(&WEIGHT)), 0.002525252525252708, 0.07844507993518682);
    // l = log(P[i, y]) - log(P2[i, y]) with P2 the softmax of M / 2; mean, ((w * (l - mean)) ** 2).sum() ** .5 * (10 / 9) ** .5 / w.sum()
    let (p, p2) = (softmax(1.0), softmax(0.5));
    let first = Predicted { margins: &LOGITS, probabilities: &p };
    let second = Predicted { margins: &LOGITS, probabilities: &p2 };
    let classes = |weight| paired_difference(Task::Classes(3), &CLASSES, first, second, weight).unwrap();
    check(&classes(None), 0.1538127603536367, 0.03638994811378425);
    check(&classes(Some(&CLASS_WEIGHT)), 0.1265965281530226, 0.04022831245715869);
    // e = (y - p)**2; f = (y - b)**2; i = (f - f.mean()) / (2 * f.mean()**.5) - (e - e.mean()) / (2 * e.mean()**.5)
    // i.std(ddof=1) / 5**.5
    let first = Predicted { margins: &FORECAST, probabilities: &[] };
    let second = Predicted { margins: &[3., 0.5, 1., 6., 5.], probabilities: &[] };
    let found = paired_difference(Task::Regression, &VALUES, first, second, None).unwrap();
    check(&found, 0.806225774829855 - 0.5916079783099616, 0.1721407933455294);
}

/// A sample of each task with a model better than chance.
fn invented(task: Task, n: usize, seed: u64) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
    let mut rng = Rng::new(seed);
    let (k, mut target, mut margins, mut probabilities) = (task.n_outputs(), vec![], vec![], vec![]);
    for _ in 0..n {
        // One decimal, so that margins tie.
        let row: Vec<f64> = (0..k).map(|_| (rng.normal() * 10.0).round() / 10.0).collect();
        match task {
            Task::Binary => {
                let p = 1.0 / (1.0 + (-row[0]).exp());
                target.push(f64::from(u8::from(rng.uniform() < p)));
                probabilities.push(p);
            }
            Task::Classes(_) => {
                let sum: f64 = row.iter().map(|m| m.exp()).sum();
                let p: Vec<f64> = row.iter().map(|m| m.exp() / sum).collect();
                let (mut class, mut u) = (0, rng.uniform());
                while class < k - 1 && u >= p[class] {
                    u -= p[class];
                    class += 1;
                }
                target.push(class as f64);
                probabilities.extend(p);
            }
            Task::Regression => target.push(row[0] + rng.normal()),
        }
        margins.extend(row);
    }
    (target, margins, probabilities)
}

const TASKS: [Task; 3] = [Task::Binary, Task::Classes(4), Task::Regression];

#[test]
fn every_metric_takes_a_weight_as_repetition_and_ignores_the_order() {
    for task in TASKS {
        let (target, margins, probabilities) = invented(task, 300, 3);
        let (k, kp) = (task.n_outputs(), probabilities.len() / 300);
        let mut rng = Rng::new(8);
        let weight: Vec<f64> = (0..300).map(|_| rng.below(4) as f64).collect();
        let mut rows: Vec<usize> = (0..300).flat_map(|r| vec![r; weight[r] as usize]).collect();
        rng.shuffle(&mut rows);
        let take = |v: &[f64], k: usize| rows.iter().flat_map(|&r| v[r * k..][..k].to_vec()).collect::<Vec<f64>>();
        let (t, m, p) = (take(&target, 1), take(&margins, k), take(&probabilities, kp));
        let weighted = Predicted { margins: &margins, probabilities: &probabilities };
        let weighted = Sample::new(task, &target, weighted, Some(&weight), 0.5).unwrap();
        let repeated = Sample::new(task, &t, Predicted { margins: &m, probabilities: &p }, None, 0.5).unwrap();
        for metric in METRICS.iter().filter(|m| (m.applies)(task)) {
            let (a, b) = ((metric.compute)(&weighted), (metric.compute)(&repeated));
            assert!((a - b).abs() < 1e-9, "{}: {a} weighted, {b} repeated", metric.name);
        }
    }
}

#[test]
fn every_metric_has_an_interval_around_its_value_and_the_same_for_a_seed() {
    for task in TASKS {
        let (target, margins, probabilities) = invented(task, 400, 4);
        let predicted = Predicted { margins: &margins, probabilities: &probabilities };
        let measure = |seed| evaluate(task, &target, predicted, None, 0.5, seed, 100).unwrap();
        let measured = measure(1);
        assert_eq!(measured.len(), METRICS.iter().filter(|m| (m.applies)(task)).count());
        assert_eq!(measured[0].name, primary(task).name);
        for m in &measured {
            let i = m.interval;
            assert!(i.low < i.value && i.value < i.high && i.low.is_finite() && i.high.is_finite(), "{m:?}");
        }
        assert_eq!(measured, measure(1));
        assert_ne!(measured, measure(2));
        let file = serde_json::to_string(&measured).unwrap();
        assert_eq!(serde_json::from_str::<Vec<Measured>>(&file).unwrap(), measured);
    }
}

#[test]
fn bootstrap_intervals_have_the_width_of_theory() {
    let (target, margins, probabilities) = invented(Task::Binary, 4000, 5);
    let predicted = Predicted { margins: &margins, probabilities: &probabilities };
    let measured = evaluate(Task::Binary, &target, predicted, None, 0.5, 1, 400).unwrap();
    let brier = measured.iter().find(|m| m.name == "brier").unwrap().interval;
    let losses: Vec<f64> = probabilities.iter().zip(&target).map(|(p, y)| (p - y).powi(2)).collect();
    let variance = losses.iter().map(|l| (l - brier.value).powi(2)).sum::<f64>() / 3999.0;
    let width = 2.0 * Z_95 * (variance / 4000.0).sqrt();
    assert!(((brier.high - brier.low) / width - 1.0).abs() < 0.15, "{} for {width}", brier.high - brier.low);
}

#[test]
fn delong_intervals_cover_the_true_area_as_often_as_they_say() {
    // Positive rows are N(1, 1), negative ones N(0, 1): the area is Φ(1 / √2) = .760250.
    let mut rng = Rng::new(12);
    let covered = (0..1000).filter(|_| {
        let target: Vec<f64> = (0..150).map(|i| f64::from(u8::from(i % 3 == 0))).collect();
        let score: Vec<f64> = target.iter().map(|y| y + rng.normal()).collect();
        let sample =
            Sample::new(Task::Binary, &target, Predicted { margins: &score, probabilities: &[] }, None, 0.5).unwrap();
        let i = auc::delong_interval(&sample);
        i.low <= 0.760250 && 0.760250 <= i.high
    });
    let covered = covered.count();
    assert!((925..=970).contains(&covered), "{covered} of 1000");
}

#[test]
fn a_ranking_without_probabilities_gets_the_metrics_of_rankings() {
    let predicted = Predicted { margins: &SCORE, probabilities: &[] };
    let measured = evaluate(Task::Binary, &TARGET, predicted, None, 0.5, 1, 50).unwrap();
    let names: Vec<&str> = measured.iter().map(|m| m.name.as_str()).collect();
    assert_eq!(
        names,
        ["auc", "gini", "ks", "average_precision", "recall_at_1_percent_fpr", "lift_top_decile", "gain_top_3_deciles"]
    );
}

#[test]
fn extremes_have_values() {
    // Perfect, reversed and constant scores; a single positive row, whose spread is unknown.
    let y = [0.0, 0.0, 1.0];
    let area = |s: &[f64]| {
        let sample = Sample::new(Task::Binary, &y, Predicted { margins: s, probabilities: &[] }, None, 0.5).unwrap();
        ((find("auc").unwrap().compute)(&sample), auc::delong_interval(&sample))
    };
    assert_eq!(area(&[1.0, 2.0, 3.0]), (1.0, Interval { value: 1.0, low: 0.0, high: 1.0 }));
    assert_eq!(area(&[3.0, 2.0, 1.0]).0, 0.0);
    assert_eq!(area(&[-0.0, 0.0, 0.0]).0, 0.5);
    let certain = Predicted { margins: &y, probabilities: &[1.0, 0.0, 0.0] };
    let sample = Sample::new(Task::Binary, &y, certain, None, 1.0).unwrap();
    // Wrong with certainty twice of three times: (2 · -ln 2⁻⁵²) / 3; at the cut-off 1 one row is taken, wrongly.
    let loss = (find("log_loss").unwrap().compute)(&sample);
    assert!((loss - 2.0 * 52.0 * std::f64::consts::LN_2 / 3.0).abs() < 1e-9, "{loss}");
    check(&sample, &[("precision", 0.0), ("recall", 0.0), ("f1", 0.0)]);
}

#[test]
fn stability_is_that_computed_by_hand() {
    // .1 ln(.6 / .5) - .1 ln(.4 / .5) = .040547
    let psi = |e: &[f64], a: &[f64]| population_stability(e, a).unwrap();
    assert!((psi(&[50.0, 50.0], &[60.0, 40.0]) - 0.04054651081081644).abs() < 1e-15);
    assert_eq!(psi(&[3.0, 0.0, 1.0], &[6.0, 0.0, 2.0]), 0.0);
    // An empty bin: shares 1.5/3 and 1.5/3 against .5/3 and 2.5/3.
    let expected = (0.5 / 3.0 - 0.5) * f64::ln((0.5 / 3.0) / 0.5) + (2.5 / 3.0 - 0.5) * f64::ln((2.5 / 3.0) / 0.5);
    assert!((psi(&[1.0, 1.0], &[0.0, 2.0]) - expected).abs() < 1e-15);
    let fails = |e: &[f64], a: &[f64], message: &str| {
        assert_eq!(population_stability(e, a).unwrap_err().to_string(), message);
    };
    fails(&[1.0], &[1.0, 2.0], "2 actual bins for 1 expected ones; the bins must be the same");
    fails(&[1.0], &[-1.0], "the actual count of bin 0 (from 0) is -1; it must be finite and at least 0");
    fails(&[0.0, 0.0], &[1.0, 1.0], "all 2 expected counts are 0; at least one row is needed");
}

#[test]
fn names_are_unique_and_each_task_has_a_primary_metric() {
    let mut names: Vec<&str> = METRICS.iter().map(|m| m.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), METRICS.len());
    assert_eq!(TASKS.map(|t| primary(t).name), ["auc", "log_loss", "rmse"]);
    assert!(find("aus").unwrap_err().to_string().starts_with("no metric «aus»; there are auc, gini, ks"));
}

#[test]
fn refuses_what_cannot_be_measured() {
    let fails =
        |task, target: &[f64], margins: &[f64], probabilities: &[f64], weight: Option<&[f64]>, expected: &str| {
            let found = evaluate(task, target, Predicted { margins, probabilities }, weight, 0.5, 1, 200).unwrap_err();
            assert_eq!(found.to_string(), expected);
        };
    let (b, y) = (Task::Binary, [0.0, 1.0]);
    fails(b, &y, &[0.0], &[], None, "1 margins for 2 targets; 2 are needed");
    fails(Task::Classes(3), &y, &[0.0], &[], None, "1 margins for 2 targets; 2 × 3 = 6 are needed");
    fails(b, &y, &[0.0, f64::NAN], &[], None, "the margin of row 1 (from 0) is NaN; it must be finite");
    fails(b, &y, &y, &[0.5, 1.5], None, "the probability of row 1 (from 0) is 1.5; it must lie in 0 to 1");
    fails(b, &y, &y, &[0.5], None, "1 probabilities for 2 targets; 2 are needed");
    fails(b, &[0.0, 0.5], &y, &[], None, "the target of row 1 (from 0) is 0.5; it must be 0 or 1");
    fails(b, &[1.0, 1.0], &y, &[], None, "the target is 1 on all 2 rows; at least 2 different classes are needed");
    fails(b, &y, &y, &[], Some(&[1.0]), "1 weights for 2 targets; 2 are needed");
    fails(b, &y, &y, &[], Some(&[1.0, -1.0]), "the weight of row 1 (from 0) is -1; it must be finite and at least 0");
    fails(b, &y, &y, &[], Some(&[1.0, 0.0]), "the target is 0 on all 1 rows; at least 2 different classes are needed");
    fails(b, &[], &[], &[], None, "there are no rows with a positive weight to measure on; at least 2 are needed");
    let r = Task::Regression;
    fails(r, &[2.5, 2.5], &y, &[], None, "the target is 2.5 on all 2 rows; at least 2 different values are needed");
    fails(r, &[f64::INFINITY, 1.0], &y, &[], None, "the target of row 0 (from 0) is inf; it must be finite");
    let (c, m) = (Task::Classes(3), [0.0; 6]);
    fails(c, &[0.0, 3.0], &m, &[], None, "the target of row 1 (from 0) is 3; it must be a whole number from 0 to 2");
    let p = [0.25, 0.25, 0.5, 0.25, 0.25, 0.25];
    fails(c, &y, &m, &p, None, "the probabilities of row 1 (from 0) sum to 0.75; it must be 1");
    let predicted = Predicted { margins: &y, probabilities: &[] };
    let few = evaluate(b, &y, predicted, None, 0.5, 1, 10).unwrap_err();
    assert_eq!(few.to_string(), "10 bootstrap replicates; at least 40 are needed");
    let cutoff = evaluate(b, &y, predicted, None, 1.5, 1, 200).unwrap_err();
    assert_eq!(cutoff.to_string(), "the cut-off is 1.5; it must lie in 0 to 1");
    let single = paired_difference(b, &y, predicted, predicted, None).unwrap_err();
    assert_eq!(single.to_string(), "1 positive and 1 negative rows; comparing two models needs at least 2 of each");
    let margins = Predicted { margins: &m, probabilities: &[] };
    assert_eq!(
        paired_difference(c, &y, margins, margins, None).unwrap_err().to_string(),
        "there are margins only; comparing log loss needs probabilities"
    );
}
