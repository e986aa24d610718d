use super::*;
use statera_core::{Background, FeatureSpec, Frame, FrameSpec, Matrix, Model, Rng};

/// `k` round groups of `n` rows each in `d` columns, `apart` standard deviations from each other, and the group of each row.
fn groups(k: usize, n: usize, d: usize, apart: f64, seed: u64) -> (Vec<f32>, Vec<usize>) {
    let mut rng = Rng::new(seed);
    let (mut data, mut labels) = (Vec::new(), Vec::new());
    for i in 0..k * n {
        let group = i % k;
        // Groups stand on different axes, or on the same one farther out.
        let shift =
            |c: usize| if group > 0 && c == (group - 1) % d { apart * (1 + (group - 1) / d) as f64 } else { 0.0 };
        data.extend((0..d).map(|c| (shift(c) + rng.normal()) as f32));
        labels.push(group);
    }
    (data, labels)
}

fn points(data: &[f32], n_cols: usize) -> Points<'_> {
    Points { data, n_cols, weight: None }
}

fn kmeans(k: usize) -> KMeansParams {
    KMeansParams { k, ..KMeansParams::default() }
}

fn gmm(k: usize, covariance: Covariance) -> GmmParams {
    GmmParams { k, covariance, ..GmmParams::default() }
}

const SHAPES: [Covariance; 2] = [Covariance::Diagonal, Covariance::Full];

#[test]
fn planted_groups_are_found_again() {
    let run = Run::new(1, 2);
    for (k, d) in [(3, 2), (5, 4), (4, 8)] {
        let (data, truth) = groups(k, 300, d, 7.0, 3);
        let points = points(&data, d);
        let found = kmeans(k).fit(&points, &run).unwrap().assign(&data);
        assert!(adjusted_rand_index(&found, &truth) > 0.95, "k-means, {k} groups");
        for shape in SHAPES {
            let found = gmm(k, shape).fit(&points, &run).unwrap().assign(&data);
            assert!(adjusted_rand_index(&found, &truth) > 0.95, "{shape:?}, {k} groups");
        }
    }
}

#[test]
fn silhouette_and_bic_tell_how_many_groups_there_are() {
    let run = Run::new(1, 2);
    let (data, _) = groups(4, 150, 4, 6.0, 8);
    let points = points(&data, 4);
    let best = |values: &[f64]| (0..values.len()).fold(0, |b, i| if values[i] > values[b] { i } else { b }) + 2;
    let by_silhouette: Vec<f64> = (2..=7)
        .map(|k| silhouette(&points, &kmeans(k).fit(&points, &run).unwrap().assign(&data), &run).unwrap())
        .collect();
    assert_eq!(best(&by_silhouette), 4, "{by_silhouette:?}");
    for shape in SHAPES {
        let by_bic: Vec<f64> =
            (2..=7).map(|k| -gmm(k, shape).fit(&points, &run).unwrap().bic(&points, &run).unwrap()).collect();
        assert_eq!(best(&by_bic), 4, "{shape:?}: {by_bic:?}");
    }
}

#[test]
fn real_groups_are_stable_and_parts_of_one_are_not() {
    let run = Run::new(1, 2);
    let of = |groups_there: usize, k: usize| {
        let (data, _) = groups(groups_there, 600 / groups_there, 3, 7.0, 4);
        let points = points(&data, 3);
        let params = KMeansParams { starts: 3, ..kmeans(k) };
        let clusters = params.fit(&points, &run).unwrap().assign(&data);
        stability(&points, &clusters, 20, |p, run| params.fit(p, run), |m: &KMeans, x: &[f32]| m.assign(x), &run)
            .unwrap()
    };
    let real = of(3, 3);
    assert!(real.jaccard.iter().all(|j| *j > 0.95) && real.adjusted_rand > 0.95, "{real:?}");
    let blob = of(1, 4);
    assert!(blob.jaccard.iter().all(|j| *j < 0.75) && blob.adjusted_rand < 0.7, "{blob:?}");
}

/// Numbers of scikit-learn on a small case.
fn oracle() -> serde_json::Value {
    serde_json::from_str(include_str!("oracle/sklearn.json")).unwrap()
}

fn numbers(value: &serde_json::Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

#[test]
fn agrees_with_scikit_learn() {
    let (oracle, run) = (oracle(), Run::new(1, 2));
    let data: Vec<f32> = numbers(&oracle["x"]).into_iter().map(|v| v as f32).collect();
    let labels = |name: &str| numbers(&oracle[name]).into_iter().map(|v| v as usize).collect::<Vec<_>>();
    let points = points(&data, 2);
    let near = |a: f64, b: &serde_json::Value, within: f64| {
        let b = b.as_f64().unwrap();
        assert!((a - b).abs() <= within * b.abs(), "{a} against {b}");
    };
    let model = KMeansParams { tolerance: 0.0, ..kmeans(3) }.fit(&points, &run).unwrap();
    near(model.inertia, &oracle["inertia"], 1e-6);
    assert_eq!(adjusted_rand_index(&model.assign(&data), &labels("labels")), 1.0);
    near(silhouette(&points, &labels("labels"), &run).unwrap(), &oracle["silhouette"], 1e-6);
    near(adjusted_rand_index(&labels("labels"), &labels("other")), &oracle["ari"], 1e-9);
    for (name, shape) in [("full", Covariance::Full), ("diagonal", Covariance::Diagonal)] {
        let params = GmmParams { tolerance: 1e-10, max_iterations: 1000, ..gmm(3, shape) };
        let model = params.fit(&points, &run).unwrap();
        near(model.mean_log_likelihood(&points, &run).unwrap(), &oracle[name]["mean_log_likelihood"], 1e-6);
        near(model.bic(&points, &run).unwrap(), &oracle[name]["bic"], 1e-6);
    }
}

#[test]
fn the_likelihood_never_falls() {
    // With a ridge that is next to nothing every step is the exact maximum of its own bound.
    for shape in SHAPES {
        let (data, _) = groups(3, 200, 3, 2.0, 6);
        let params = GmmParams { ridge: 1e-12, tolerance: 1e-12, max_iterations: 100, ..gmm(3, shape) };
        let curve = params.fit(&points(&data, 3), &Run::new(1, 2)).unwrap().curve;
        assert!(curve.len() > 10 && curve.windows(2).all(|w| w[1] >= w[0] - 1e-12), "{shape:?}: {curve:?}");
    }
}

#[test]
fn a_single_gaussian_has_the_likelihood_of_its_formula() {
    let data = [0.0f32, 1.0, 2.0, 5.0];
    let params = GmmParams { ridge: 1e-12, ..gmm(1, Covariance::Full) };
    let model = params.fit(&points(&data, 1), &Run::new(1, 1)).unwrap();
    // Mean 2, variance (4 + 1 + 0 + 9) / 4 = 3.5: mean log-likelihood -½ (ln(2π · 3.5) + 1).
    let expected = -0.5 * ((std::f64::consts::TAU * 3.5).ln() + 1.0);
    assert!((model.curve.last().unwrap() - expected).abs() < 1e-9);
    assert!((model.means[0] - 2.0).abs() < 1e-9 && model.ln_weights[0].abs() < 1e-12);
}

#[test]
fn the_same_bits_for_any_threads() {
    let (data, _) = groups(4, 1_500, 5, 2.0, 2);
    let with = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let (run, points) = (Run::new(7, threads), points(&data, 5));
            let params = KMeansParams { starts: 3, ..kmeans(6) };
            let centres = params.fit(&points, &run).unwrap();
            let mixtures = SHAPES.map(|shape| gmm(4, shape).fit(&points, &run).unwrap());
            let clusters = centres.assign(&data);
            let found =
                stability(&points, &clusters, 4, |p, r| params.fit(p, r), |m: &KMeans, x: &[f32]| m.assign(x), &run);
            (centres, mixtures, found.unwrap())
        })
    };
    let one = with(1);
    assert_eq!(one, with(2));
    assert_eq!(one, with(3));
}

#[test]
fn a_weight_of_two_is_the_row_twice() {
    let (data, _) = groups(2, 100, 2, 8.0, 9);
    let twice: Vec<f32> = data.chunks_exact(2).enumerate().flat_map(|(i, r)| r.repeat(1 + i % 2)).collect();
    let weight: Vec<f64> = (0..200).map(|i| (1 + i % 2) as f64).collect();
    let run = Run::new(1, 2);
    let weighted = Points { data: &data, n_cols: 2, weight: Some(&weight) };
    let sorted = |mut v: Vec<f64>| {
        v.sort_by(f64::total_cmp);
        v
    };
    let (a, b) = (kmeans(2).fit(&weighted, &run).unwrap(), kmeans(2).fit(&points(&twice, 2), &run).unwrap());
    assert!((a.inertia - b.inertia).abs() < 1e-9 * a.inertia);
    let close = |a: Vec<f64>, b: Vec<f64>| a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-6);
    assert!(close(sorted(a.centres), sorted(b.centres)));
    let (a, b) =
        (gmm(2, Covariance::Full).fit(&weighted, &run), gmm(2, Covariance::Full).fit(&points(&twice, 2), &run));
    assert!(close(sorted(a.unwrap().means), sorted(b.unwrap().means)));
}

#[test]
fn extremes_have_a_value_or_a_clear_error() {
    let run = Run::new(1, 2);
    let refused = |data: &[f32], d: usize, k: usize| kmeans(k).fit(&points(data, d), &run).unwrap_err().to_string();
    assert_eq!(refused(&[1.0, 1.0, 2.0, 2.0], 1, 3), "2 distinct rows; 3 clusters need at least 3");
    assert_eq!(refused(&[0.0, -0.0], 1, 2), "1 distinct row; 2 clusters need at least 2");
    assert_eq!(refused(&[1.0, 2.0, f32::NAN, 4.0], 2, 1), "row 2, column 0: NaN; allowed: finite numbers");
    assert_eq!(refused(&[1.0], 1, 0), "0 clusters; allowed: 1 and above");
    assert_eq!(refused(&[], 3, 1), "0 rows of 3 columns; at least one of each is needed");
    let bad = GmmParams { ridge: 0.0, ..gmm(1, Covariance::Full) }.fit(&points(&[1.0], 1), &run).unwrap_err();
    assert_eq!(bad.to_string(), "ridge is 0; allowed: above 0");
    // One row, one cluster; constant columns; as many clusters as rows.
    let one = kmeans(1).fit(&points(&[3.0, 4.0], 2), &run).unwrap();
    assert_eq!((one.centres, one.inertia), (vec![3.0, 4.0], 0.0));
    let data = [1.0f32, 7.0, 2.0, 7.0, 9.0, 7.0];
    for k in 1..=3 {
        let centres = kmeans(k).fit(&points(&data, 2), &run).unwrap();
        assert!(centres.inertia.is_finite() && (k < 3 || centres.inertia < 1e-12), "{k}");
        for shape in SHAPES {
            let model = gmm(k, shape).fit(&points(&data, 2), &run).unwrap();
            assert!(model.margins(&data).iter().all(|m| m.is_finite()), "{shape:?} {k}");
        }
    }
    let (data, _) = groups(1, 50, 2, 0.0, 1);
    assert_eq!(silhouette(&points(&data, 2), &[0; 50], &run).unwrap(), 0.0);
    assert_eq!(adjusted_rand_index(&[0, 0, 1, 1], &[1, 1, 0, 0]), 1.0);
}

fn models() -> (Vec<ClusterModel>, Frame) {
    let (data, _) = groups(3, 100, 3, 4.0, 5);
    let run = Run::new(1, 2);
    let feature =
        |name: &str, raw| FeatureSpec { name: name.into(), raw, levels: None, sentinels: vec![], monotone: 0 };
    // Two columns of one raw column and one of another.
    let features = vec![feature("a", 0), feature("a missing", 0), feature("b", 1)];
    let spec = FrameSpec { features, raw_columns: vec!["a".into(), "b".into()], ..FrameSpec::default() };
    let points = points(&data, 3);
    let mut mixtures = vec![Mixture::KMeans(kmeans(3).fit(&points, &run).unwrap())];
    mixtures.extend(SHAPES.map(|shape| Mixture::Gmm(gmm(3, shape).fit(&points, &run).unwrap())));
    let models = mixtures.into_iter().map(|mixture| ClusterModel { spec: spec.clone(), mixture }).collect();
    let dense = Matrix { data, n_cols: 3 };
    (models, Frame { spec: spec.into(), n_rows: 300, dense, ..Frame::default() })
}

#[test]
fn models_return_from_their_parts_and_explain_themselves() {
    let (models, frame) = models();
    for model in models {
        let scores = model.predict(&frame).unwrap();
        let again = ClusterModel::load(&model.save()).unwrap();
        assert_eq!((again.predict(&frame).unwrap(), again.save()), (scores.clone(), model.save()));
        let alone = model.predict(&frame.take(&[17])).unwrap();
        assert_eq!(alone.row(0), scores.row(17));
        let parts = model.attribute(&frame, &Background::default()).unwrap();
        for row in 0..frame.n_rows {
            for j in 0..3 {
                let sum = parts.base[j] + parts.of(row, j).iter().sum::<f64>();
                assert!((sum - scores.row(row)[j]).abs() < 1e-9 * sum.abs().max(1.0), "{}", model.family());
            }
        }
        // Cluster 2 first: the same margins in another order.
        let turned = ClusterModel { mixture: model.mixture.clone().reordered(&[2, 0, 1]), ..model.clone() };
        let turned = turned.predict(&frame).unwrap();
        assert_eq!([turned.row(9)[0], turned.row(9)[1]], [scores.row(9)[2], scores.row(9)[0]]);
    }
}

#[test]
fn damaged_parts_are_refused() {
    for model in models().0 {
        let mut short = model.save();
        short.json["k"] = 4.into();
        assert!(ClusterModel::load(&short).unwrap_err().to_string().contains("centres"));
        let mut empty = model.save();
        empty.json["k"] = 0.into();
        assert!(ClusterModel::load(&empty).unwrap_err().to_string().contains("0 clusters"));
        let mut other = model.save();
        other.json["family"] = "dbscan".into();
        assert!(ClusterModel::load(&other).unwrap_err().to_string().contains("dbscan"));
    }
}

#[test]
fn slopes_are_those_of_finite_differences() {
    let mut rng = Rng::new(5);
    let data: Vec<f32> = (0..900).map(|_| rng.normal() as f32).collect();
    let points = Points { data: &data, n_cols: 3, weight: None };
    let run = Run::new(1, 1);
    let gmm = |covariance| {
        Mixture::Gmm(GmmParams { k: 2, covariance, ..Default::default() }.fit(&points, &run).expect("it fits"))
    };
    let kmeans = Mixture::KMeans(KMeansParams { k: 2, ..Default::default() }.fit(&points, &run).expect("it fits"));
    for mixture in [kmeans, gmm(Covariance::Diagonal), gmm(Covariance::Full)] {
        for j in 0..2 {
            let row = [0.5f32, -1.0, 0.25];
            let slope = mixture.slope(&row, j);
            for c in 0..3 {
                let at = |h: f32| {
                    let mut moved = row;
                    moved[c] += h;
                    mixture.margins(&moved)[j]
                };
                let numeric = (at(1.0 / 128.0) - at(-1.0 / 128.0)) * 64.0;
                assert!((numeric - slope[c]).abs() < 1e-4 * slope[c].abs().max(1.0), "{numeric}, {slope:?}");
            }
        }
    }
}
