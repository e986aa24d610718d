use super::*;
use crate::bundle::Bundle;
use crate::evaluate;
use arrow_array::{ArrayRef, Float64Array, RecordBatch, StringArray};
use statera_core::{Kind, Rng};
use statera_data::ColumnInfo;
use statera_learn::cluster::adjusted_rand_index;

/// Three kinds of customers, of 500, 300 and 200 rows, told apart by two numbers, and a constant column; where it
/// `is_mixed`, a level that nearly goes with one of them and some missing cells too.
fn table(is_mixed: bool) -> (Table, Vec<usize>) {
    let mut rng = Rng::new(3);
    let truth: Vec<usize> = (0..1000).map(|i| [0, 0, 0, 0, 0, 1, 1, 1, 2, 2][i % 10]).collect();
    let (mut income, mut age, mut channel) = (Vec::new(), Vec::new(), Vec::new());
    for &group in &truth {
        let middle = [(2_000.0, 30.0), (6_000.0, 35.0), (3_000.0, 70.0)][group];
        income.push((rng.uniform() > 0.02 || !is_mixed).then(|| middle.0 + 300.0 * rng.normal()));
        age.push(Some(middle.1 + 3.0 * rng.normal()));
        channel.push(Some(if rng.uniform() < [0.02, 0.02, 0.98][group] { "branch" } else { "phone" }));
    }
    let mut columns: Vec<(&str, ArrayRef)> = vec![
        ("income", Arc::new(Float64Array::from(income))),
        ("age", Arc::new(Float64Array::from(age))),
        ("constant", Arc::new(Float64Array::from(vec![7.0; 1000]))),
    ];
    if is_mixed {
        columns.push(("channel", Arc::new(StringArray::from(channel))));
    }
    let batch = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, c)| (n, c, true))).unwrap();
    let kind = |name: &str| if name == "channel" { Kind::Category } else { Kind::Number };
    let columns =
        batch.schema().fields().iter().map(|f| ColumnInfo { name: f.name().clone(), kind: kind(f.name()) }).collect();
    (Table { columns, batches: vec![batch], origin: "invented".into() }, truth)
}

fn settings(models: &[&str], clusters: Option<[usize; 2]>) -> Settings {
    let models = models.iter().map(ToString::to_string).collect();
    Settings { use_case: crate::project::UseCase::Segment, models, clusters, ..Settings::default() }
}

fn segmented(settings: &Settings, is_mixed: bool, threads: usize) -> Segmented {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    pool.install(|| train(table(is_mixed).0, settings, &BTreeMap::new(), &Run::new(1, threads)).unwrap())
}

#[test]
fn planted_segments_are_found_described_and_scored() {
    // A mixture takes each rare level for a component of its own: it is for numbers.
    for (name, is_mixed) in [("kmeans", true), ("kmeans", false), ("gmm", false)] {
        let (table, truth) = table(is_mixed);
        let mut found = segmented(&settings(&[name], Some([2, 6])), is_mixed, 2);
        let facts = &found.facts;
        assert_eq!((facts.candidates[0].k, facts.chosen.as_str()), (3, name), "{facts:?}");
        assert_eq!(facts.segments.iter().map(|s| s.n_rows).sum::<usize>(), 1000);
        assert!(facts.segments.windows(2).all(|w| w[0].n_rows >= w[1].n_rows));
        assert!(facts.segments.iter().all(|s| s.stability > 0.9), "{name}: {:?}", facts.segments);
        // The third is the old customers, who come to the branch.
        let last = &facts.segments[2];
        assert_eq!(last.numbers[0].column, "age");
        assert!((last.numbers[0].mean - 70.0).abs() < 1.0 && last.numbers[0].standardised > 1.5, "{last:?}");
        let far = |d: &LevelDifference| d.column == "channel" && (d.share - d.overall).abs() > 0.3;
        assert_eq!(last.levels.first().is_some_and(far), is_mixed, "{last:?}");
        let scored = found.bundle.scorer.score(&table.batches[0]).unwrap();
        let likeliest = |row: &[f64]| (0..3).fold(0, |best, j| if row[j] > row[best] { j } else { best });
        let clusters: Vec<usize> = scored.margins.chunks_exact(3).map(likeliest).collect();
        assert!(adjusted_rand_index(&clusters, &truth) > 0.95, "{name}");
        // Out of the bundle the same scores, and a refusal to be measured.
        let dir = tempfile::tempdir().unwrap();
        found.bundle.write(&dir.path().join("s.statera"), false, &Run::new(1, 2)).unwrap();
        let read = Bundle::read(&dir.path().join("s.statera")).unwrap();
        assert_eq!(read.scorer.score(&table.batches[0]).unwrap(), scored);
        assert_eq!(serde_json::from_value::<SegmentFacts>(read.facts.clone()).unwrap(), found.facts);
        let error = evaluate::evaluate(&read, &table, None).unwrap_err();
        assert!(error.is_request() && error.to_string().contains("segments"), "{error}");
    }
}

#[test]
fn the_same_bytes_for_any_threads() {
    let digest = |threads: usize| {
        let mut found = segmented(&settings(&[], Some([2, 4])), true, threads);
        let dir = tempfile::tempdir().unwrap();
        found.bundle.write(&dir.path().join("s.statera"), false, &Run::new(1, 2)).unwrap();
        found.bundle.digest().unwrap()
    };
    let one = digest(1);
    assert_eq!(one, digest(2));
    assert_eq!(one, digest(3));
}

#[test]
fn one_segment_is_all_rows() {
    let found = segmented(&settings(&[], Some([1, 1])), true, 2);
    assert_eq!(found.facts.segments.len(), 1);
    assert_eq!((found.facts.segments[0].n_rows, found.facts.segments[0].stability), (1000, 1.0));
    assert!(found.facts.candidates[0].tried.is_empty());
}

#[test]
fn bad_requests_get_a_clear_error() {
    let refused = |settings: Settings| {
        train(table(true).0, &settings, &BTreeMap::new(), &Run::new(1, 2)).err().expect("refused").to_string()
    };
    let plain = || settings(&[], None);
    let cases = [
        (
            settings(&["boosting"], None),
            "«boosting» finds no segments; allowed are kmeans, gmm, kmeans_code, gmm_code, and all",
        ),
        (Settings { target: "age".into(), ..plain() }, "target: «age» is given, and segments have no outcome"),
        (Settings { trials: Some(5), ..plain() }, "trials: segments have no outcome; leave it out"),
        (settings(&[], Some([0, 3])), "clusters: 0..3 is not allowed; allowed is a range within 1..50"),
        (
            Settings {
                drop: vec!["income".into(), "age".into(), "channel".into()],
                ..settings(&["kmeans"], Some([3, 3]))
            },
            "1 distinct row; 3 clusters need at least 3",
        ),
    ];
    for (settings, expected) in cases {
        let error = refused(settings);
        assert!(error.contains(expected), "«{error}» does not contain «{expected}»");
    }
    assert_eq!(parse_clusters("5").unwrap(), [5, 5]);
    assert_eq!(parse_clusters("2..8").unwrap(), [2, 8]);
    for text in ["", "0", "8..2", "2..", "two", "2..99", "-3"] {
        let error = parse_clusters(text).unwrap_err();
        assert!(
            error.is_request() && error.to_string().contains(&format!("clusters: «{text}» is not allowed")),
            "{error}"
        );
    }
}

#[test]
fn segments_are_found_in_codes_and_explained_by_columns() {
    // As on columns, a mixture is for numbers.
    for (name, is_mixed) in [("kmeans_code", true), ("gmm_code", false)] {
        let (table, truth) = table(is_mixed);
        let mut found = segmented(&settings(&[name], Some([3, 3])), is_mixed, 2);
        assert_eq!((found.facts.chosen.as_str(), found.facts.candidates[0].k), (name, 3));
        let batch = &table.batches[0];
        let scored = found.bundle.scorer.score(batch).unwrap();
        let likeliest = |row: &[f64]| (0..3).fold(0, |best, j| if row[j] > row[best] { j } else { best });
        let clusters: Vec<usize> = scored.margins.chunks_exact(3).map(likeliest).collect();
        let agreement = adjusted_rand_index(&clusters, &truth);
        assert!(agreement > 0.8, "{name}: {agreement}");
        // Out of the bundle the same scores and codes; attributions are of the columns and add up (the scorer checks that).
        let dir = tempfile::tempdir().unwrap();
        found.bundle.write(&dir.path().join("s.statera"), false, &Run::new(1, 2)).unwrap();
        let read = Bundle::read(&dir.path().join("s.statera")).unwrap();
        assert_eq!(read.scorer.score(batch).unwrap(), scored);
        let codes = read.scorer.codes(batch, false, 0).unwrap();
        assert_eq!(codes, found.bundle.scorer.codes(batch, false, 0).unwrap());
        assert_eq!(codes[..codes.len() / 1000], read.scorer.codes(&batch.slice(0, 1), false, 0).unwrap());
        let parts = read.scorer.attribute(&batch.slice(0, 50)).unwrap();
        assert_eq!(parts.n_raw, if is_mixed { 4 } else { 3 });
        let column = read.scorer.raw_columns().iter().position(|c| c == "age").unwrap();
        assert!((0..50).any(|row| parts.of(row, 0)[column].abs() > 0.1));
        // Damaged parts are refused.
        let model = &read.scorer.members()[0].model;
        let mut parts = model.save();
        parts.tensors.remove("code.deviation");
        let refused = CodeClusterModel::load(&parts).map(|_| ()).unwrap_err().to_string();
        assert!(refused.contains("no array «code.deviation»"), "{refused}");
    }
    let refused =
        segmented(&settings(&["kmeans"], Some([2, 2])), true, 2).bundle.scorer.encoder().map(|_| ()).unwrap_err();
    assert!(refused.to_string().starts_with("--code: the bundle's model is «kmeans», which has no code"), "{refused}");
}
