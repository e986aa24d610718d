use super::*;
use crate::ColumnInfo;
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{
    ArrayRef, Decimal128Array, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow_schema::{Field, Schema};
use statera_core::Rng;
use std::io::Read;
use std::sync::Arc;

/// A table of the given columns, cut into batches of at most `batch` rows.
fn table(columns: Vec<(&str, Kind, ArrayRef)>, batch: usize) -> Table {
    let fields: Vec<Field> = columns.iter().map(|(n, _, a)| Field::new(*n, a.data_type().clone(), true)).collect();
    let schema = Arc::new(Schema::new(fields));
    let infos = columns.iter().map(|(n, k, _)| ColumnInfo { name: (*n).into(), kind: *k }).collect();
    let all = RecordBatch::try_new(schema, columns.into_iter().map(|c| c.2).collect()).expect("columns of one length");
    let n = all.num_rows();
    let batches = match n {
        0 => vec![all],
        _ => (0..n).step_by(batch).map(|at| all.slice(at, batch.min(n - at))).collect(),
    };
    Table { columns: infos, batches, origin: "test.csv".into() }
}

fn integers(values: impl IntoIterator<Item = i64>) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(values))
}

fn floats(values: impl IntoIterator<Item = Option<f64>>) -> ArrayRef {
    Arc::new(Float64Array::from_iter(values))
}

fn texts<S: AsRef<str>>(values: impl IntoIterator<Item = S>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(values))
}

/// Times at midnight, in days since 1970.
fn days(values: impl IntoIterator<Item = i64>) -> ArrayRef {
    let micros = TimestampMicrosecondArray::from_iter_values(values.into_iter().map(|d| d * 86_400_000_000));
    Arc::new(micros.with_timezone("UTC"))
}

fn of(table: &Table, options: &ProfileOptions) -> Profile {
    Profile::of(table, options, &Run::new(1, 2)).expect("a profile")
}

fn with_target(target: &str) -> ProfileOptions {
    ProfileOptions { target: Some(target.into()), ..Default::default() }
}

fn number_of<'a>(profile: &'a Profile, name: &str) -> &'a NumberSummary {
    match &column_of(profile, name).detail {
        Detail::Number(summary) => summary,
        other => panic!("{name} is {other:?}"),
    }
}

fn column_of<'a>(profile: &'a Profile, name: &str) -> &'a ColumnProfile {
    profile.columns.iter().find(|c| c.name == name).expect("a column of that name")
}

fn kinds(profile: &Profile) -> Vec<(WarningKind, &str)> {
    profile.warnings.iter().map(|w| (w.kind, w.column.as_deref().unwrap_or(""))).collect()
}

/// One of the real sets as a table, or `None` with a line where it is absent: numbers where every cell reads as one.
fn real(file: &str, separator: u8) -> Option<Table> {
    let root =
        std::env::var("STATERA_DATA").unwrap_or(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data").into());
    let path = std::path::Path::new(&root).join(file);
    let Ok(bytes) = std::fs::read(&path) else {
        println!("skipped: no real data at {}", path.display());
        return None;
    };
    let mut text = String::new();
    if file.ends_with(".gz") {
        flate2::read::GzDecoder::new(&bytes[..]).read_to_string(&mut text).expect("gzip");
    } else {
        text = String::from_utf8(bytes).expect("UTF-8");
    }
    let mut reader = csv::ReaderBuilder::new().delimiter(separator).from_reader(text.as_bytes());
    let names: Vec<String> = reader.headers().expect("a header").iter().map(str::to_owned).collect();
    let mut cells: Vec<Vec<String>> = vec![Vec::new(); names.len()];
    for record in reader.records() {
        for (column, cell) in cells.iter_mut().zip(record.expect("a record").iter()) {
            column.push(cell.to_owned());
        }
    }
    let columns = names.iter().zip(&cells).map(|(name, cells)| {
        let whole: Option<Vec<i64>> = cells.iter().map(|c| c.parse().ok()).collect();
        let real: Option<Vec<Option<f64>>> = cells.iter().map(|c| c.parse().ok().map(Some)).collect();
        match (whole, real) {
            (Some(whole), _) => (name.as_str(), Kind::Number, integers(whole)),
            (_, Some(real)) => (name.as_str(), Kind::Number, floats(real)),
            _ => (name.as_str(), Kind::Category, texts(cells)),
        }
    });
    let mut table = table(columns.collect(), 8192);
    table.origin = file.rsplit('/').next().unwrap_or(file).into();
    Some(table)
}

/// Writes a page to `$STATERA_PAGES`, where one wants to look at it.
fn show(profile: &Profile, name: &str) {
    if let Ok(folder) = std::env::var("STATERA_PAGES") {
        let page = profile.to_html(name).expect("a page");
        std::fs::write(format!("{folder}/{name}.html"), page).expect("a writable folder");
        std::fs::write(format!("{folder}/{name}.txt"), profile.to_text(120)).expect("a writable folder");
    }
}

fn assert_close(found: &[f64], expected: &[f64]) {
    for (a, b) in found.iter().zip(expected) {
        assert!((a - b).abs() <= 1e-9 * b.abs().max(1.0), "{found:?} is not {expected:?}");
    }
}

#[test]
fn small_numbers_by_hand() {
    let values = [4.0, 1.0, 2.0, 3.0, 100.0];
    let cells = values.iter().map(|v| Some(*v)).chain([None, Some(f64::NAN), Some(f64::INFINITY)]);
    let profile = of(&table(vec![("x", Kind::Number, floats(cells))], 3), &ProfileOptions::default());
    let column = &profile.columns[0];
    assert_eq!((column.n_missing, column.n_infinite, column.n_distinct), (2, 1, 5));
    assert_eq!(column.missing_share, 0.25);
    let s = number_of(&profile, "x");
    // Type 7: place p·(n − 1) between the sorted 1, 2, 3, 4, 100.
    assert_close(&s.quantiles, &[1.0, 1.04, 1.2, 2.0, 3.0, 4.0, 80.8, 96.16, 100.0]);
    assert_eq!(s.mean, 22.0);
    // Squares about the mean: 441 + 400 + 361 + 324 + 6084 = 7610; 7610 / 4 = 1902.5.
    assert_close(&[s.sd], &[1902.5f64.sqrt()]);
    // Fences: 2 − 3·2 = −4 and 4 + 3·2 = 10.
    assert_eq!(s.n_outliers, 1);
    assert_eq!(s.histogram.counts.iter().sum::<usize>(), 5);
    // An empty cell and NaN are the same nothing.
    assert_eq!(kinds(&profile), [(WarningKind::Duplicate, ""), (WarningKind::Infinite, "x")]);
}

#[test]
fn histograms_count_every_cell_once() {
    let mut rng = Rng::new(5);
    let normal: Vec<f64> = (0..5000).map(|_| rng.normal()).collect();
    let lognormal: Vec<i64> = (0..5000).map(|_| (rng.normal() * 2.0 + 8.0).exp() as i64).collect();
    let profile = of(
        &table(
            vec![
                ("normal", Kind::Number, floats(normal.iter().map(|v| Some(*v)))),
                ("lognormal", Kind::Number, integers(lognormal)),
                ("dice", Kind::Number, integers((0..5000).map(|i| 1 + i % 6))),
                ("big", Kind::Number, integers((0..5000).map(|i| i64::MAX - i))),
                ("one", Kind::Number, floats((0..5000).map(|_| Some(0.5)))),
            ],
            700,
        ),
        &ProfileOptions::default(),
    );
    for column in &profile.columns {
        let h = &number_of(&profile, &column.name).histogram;
        assert_eq!(h.counts.iter().sum::<usize>(), 5000, "{}", column.name);
        assert!(h.counts.len() <= number::N_BINS_MAX && h.edges.len() == h.counts.len() + 1, "{}", column.name);
        assert!(h.edges.windows(2).all(|e| e[0] < e[1]), "{}: {:?}", column.name, h.edges);
    }
    assert_eq!(number_of(&profile, "dice").histogram.counts.len(), 6);
    assert!(number_of(&profile, "lognormal").histogram.open_above);
    assert_eq!(column_of(&profile, "big").n_distinct, 5000, "integers beyond 53 bits are told apart");
    let h = &number_of(&profile, "normal").histogram;
    let inner = normal.iter().filter(|v| **v >= h.edges[10] && **v < h.edges[11]).count();
    assert_eq!(h.counts[10], inner);
}

#[test]
fn decimals_and_levels() {
    let money = Decimal128Array::from(vec![Some(12345), None, Some(-50), Some(12345)])
        .with_precision_and_scale(12, 2)
        .expect("a decimal");
    let city: ArrayRef = Arc::new(StringArray::from(vec![Some("Seoul"), Some("Busan"), None, Some("Seoul")]));
    let profile = of(
        &table(vec![("money", Kind::Number, Arc::new(money)), ("city", Kind::Category, city)], 2),
        &Default::default(),
    );
    let s = number_of(&profile, "money");
    assert_eq!((s.quantiles[0], s.quantiles[8], s.n_negative), (-0.5, 123.45, 1));
    assert_eq!(profile.columns[0].physical, "decimal(12, 2)");
    let Detail::Levels(levels) = &profile.columns[1].detail else { panic!("{:?}", profile.columns[1]) };
    let top: Vec<(&str, usize)> = levels.top.iter().map(|l| (l.level.as_str(), l.n)).collect();
    assert_eq!(top, [("Seoul", 2), ("Busan", 1)]);
    assert_eq!(profile.missing_share(), 0.25);
}

#[test]
fn duplicates_with_and_without_ids() {
    let t = table(
        vec![
            ("id", Kind::Identifier, integers([1, 2, 3, 4, 4, 6])),
            ("a", Kind::Number, floats([Some(1.0), Some(1.0), None, Some(f64::NAN), Some(f64::NAN), Some(0.0)])),
            (
                "b",
                Kind::Category,
                texts(["x", "x", "a long level of text", "a long level of text", "a long level of text", "y"]),
            ),
        ],
        2,
    );
    let d = of(&t, &ProfileOptions::default()).duplicates;
    // Rows 4 and 5 agree; an id that repeats is a column like any other.
    assert_eq!((d.n_exact, d.n_without_ids, d.without.len()), (1, 1, 0));
    let d = of(&t, &ProfileOptions { id: Some("id".into()), ..Default::default() }).duplicates;
    // Without the id, 2 repeats 1, and 4 and 5 repeat 3 (NaN is missing).
    assert_eq!((d.n_exact, d.n_without_ids, d.without), (1, 3, vec!["id".to_owned()]));
    let shifted = table(vec![("a", Kind::Category, texts(["p", "q"])), ("b", Kind::Category, texts(["q", "p"]))], 9);
    assert_eq!(of(&shifted, &ProfileOptions::default()).duplicates.n_exact, 0, "columns are told apart");
}

#[test]
fn leaks_are_found_and_near_unique_levels_are_not_leaks() {
    let mut rng = Rng::new(3);
    let n = 2000;
    let y: Vec<i64> = (0..n).map(|_| i64::from(rng.uniform() < 0.2)).collect();
    let noisy: Vec<f64> = y.iter().map(|&y| y as f64 + rng.normal() * 0.3).collect();
    let flipped: Vec<&str> =
        y.iter().map(|&y| if (y == 1) ^ (rng.uniform() < 0.01) { "closed" } else { "open" }).collect();
    // A code whose order tells nothing but whose values do.
    let code: Vec<i64> = y.iter().map(|&y| rng.below(4) as i64 * 2 + y).collect();
    let recovered = y.iter().map(|&y| (y == 1).then_some(17.0));
    let t = table(
        vec![
            ("y", Kind::Number, integers(y.iter().copied())),
            ("noisy", Kind::Number, floats(noisy.iter().map(|v| Some(-v)))),
            ("flipped", Kind::Category, texts(&flipped)),
            ("code", Kind::Number, integers(code)),
            ("recovered", Kind::Number, floats(recovered)),
            ("name", Kind::Category, texts((0..n).map(|i| format!("customer {}", i / 2)))),
            ("honest", Kind::Number, floats(y.iter().map(|&y| Some(y as f64 * 0.5 + rng.normal())))),
        ],
        333,
    );
    let profile = of(&t, &with_target("y"));
    let leaks: Vec<&str> =
        profile.warnings.iter().filter(|w| w.kind == WarningKind::Leak).filter_map(|w| w.column.as_deref()).collect();
    assert_eq!(leaks, ["noisy", "flipped", "code", "recovered"]);
    let batch = arrow_select::concat::concat_batches(&t.batches[0].schema(), &t.batches).expect("one schema");
    let is_event: Vec<f64> = y.iter().map(|&y| y as f64).collect();
    let suspects = leak_suspects(&batch, &t.columns[1..], &is_event).expect("judges");
    let expected = ["recovered", "noisy", "flipped", "code"].map(|name| (name, column_of(&profile, name).auc));
    for (name, auc) in expected {
        assert!(suspects.iter().any(|s| s.0 == name && Some(s.1) == auc), "{name}: {suspects:?}");
    }
    assert_eq!((suspects.len(), suspects[0].1), (4, 1.0));
    let auc = |name: &str| column_of(&profile, name).auc.expect("an AUC");
    assert!((auc("name") - 0.5).abs() < 0.05, "{}", auc("name"));
    // Normal scores half a deviation apart: Φ(0.5 / √2) = .638.
    assert!((auc("honest") - 0.638).abs() < 0.03, "{}", auc("honest"));
    assert_eq!(auc("recovered"), 1.0);
    assert_eq!(column_of(&profile, "y").auc, None);
    let target = profile.target.expect("a target");
    assert_eq!((target.kind, target.positive.as_deref()), (TargetKind::Binary, Some("1")));
    assert_eq!(target.n_positive, y.iter().filter(|&&y| y == 1).count());
}

#[test]
fn leaks_of_long_tables_are_found_in_a_part_of_the_rows() {
    let mut rng = Rng::new(4);
    let n = 350_000;
    let y: Vec<f64> = (0..n).map(|_| f64::from(u8::from(rng.uniform() < 0.1))).collect();
    let t = table(
        vec![
            ("late", Kind::Number, floats(y.iter().map(|&y| Some(4.0 * y + rng.normal())))),
            ("honest", Kind::Number, floats(y.iter().map(|&y| Some(y + rng.normal())))),
        ],
        n,
    );
    let suspects = leak_suspects(&t.batches[0], &t.columns, &y).expect("judges");
    // Normal scores four deviations apart: Φ(4 / √2) = .9977.
    assert!(suspects.len() == 1 && suspects[0].0 == "late" && (suspects[0].1 - 0.9977).abs() < 1e-3, "{suspects:?}");
}

#[test]
fn auc_of_ties_by_hand() {
    use leak::{Tie, auc};
    let ties = |counts: &[(usize, usize)]| auc(counts.iter().map(|&(p, n)| Tie { n_positive: p, n_negative: n }));
    // Events win against what lies below, half against ties: (0·10 + 10·15 + 10·25 … )
    assert_eq!(ties(&[(0, 20), (20, 0)]), Some(1.0));
    assert_eq!(ties(&[(20, 20)]), Some(0.5));
    // (5·(0 + 10/2) + 15·(10 + 10/2)) / (20·20) = (25 + 225) / 400.
    assert_eq!(ties(&[(5, 10), (15, 10)]), Some(0.625));
    assert_eq!(ties(&[(9, 10), (0, 10)]), None, "nine events are an accident");
}

#[test]
fn sentinels_stand_apart() {
    let mut rng = Rng::new(8);
    let mut column = |share: f64, code: i64, low: i64, span: usize| {
        integers(
            (0..4000)
                .map(|_| if rng.uniform() < share { code } else { low + rng.below(span) as i64 })
                .collect::<Vec<_>>(),
        )
    };
    let cases: Vec<(&str, ArrayRef, &[f64])> = vec![
        ("days since", column(0.8, 999, 0, 28), &[999.0]),
        ("before", column(0.8, -1, 1, 870), &[-1.0]),
        ("far below", column(0.02, -999, 0, 100), &[-999.0]),
        ("age up to 99", column(0.01, 99, 18, 81), &[]),
        ("balance", column(0.01, -1, -500, 1000), &[]),
        ("three signs", column(0.3, -1, 0, 2), &[]),
        ("once", column(0.0004, 9999, 0, 50), &[]),
        ("amount", column(0.2, 10_000, 0, 9000), &[]),
        ("largest amount 96", column(0.2, 999, 0, 97), &[999.0]),
    ];
    for (name, cells, expected) in cases {
        let profile = of(&table(vec![("x", Kind::Number, cells)], 4000), &ProfileOptions::default());
        assert_eq!(number_of(&profile, "x").sentinels, expected, "{name}");
        let advice = profile.warnings.iter().find_map(|w| w.advice.as_deref());
        match expected {
            [code] => assert_eq!(advice, Some(format!("--missing x={code}").as_str())),
            _ => assert_eq!(advice, None, "{name}"),
        }
    }
    let t = table(vec![("x", Kind::Number, integers([1, 2, 999])), ("c", Kind::Category, texts(["a", "999", "b"]))], 9);
    let missing = BTreeMap::from([("x".to_owned(), vec![999.0]), ("c".to_owned(), vec![999.0])]);
    let profile = of(&t, &ProfileOptions { missing, ..Default::default() });
    let nothing: Vec<(usize, usize, usize)> =
        profile.columns.iter().map(|c| (c.n_missing, c.n_sentinel, c.n_distinct)).collect();
    assert_eq!(nothing, [(0, 1, 2), (0, 1, 2)]);
}

#[test]
fn drift_is_found_by_month() {
    // Index by hand: shares .5/.5 against .8/.2 are Σ (q − p) ln(q/p) = .3 ln 1.6 + .3 ln 2.5 = .41589.
    assert!((drift::psi(&[500_000, 500_000], &[800_000, 200_000]) - 0.415_888).abs() < 1e-5);
    assert_eq!(drift::psi(&[50, 50, 0], &[50, 50, 0]), 0.0);
    let mut rng = Rng::new(2);
    let n = 6000usize;
    // 2024-01-01 is day 19,723; 500 rows a month of 30 days.
    let day = |i: usize| 19_723 + (i / 500) as i64 * 30 + (i % 30) as i64;
    let late = |i: usize| i >= 4000;
    let t = table(
        vec![
            ("seen", Kind::Time, days((0..n).map(day))),
            ("steady", Kind::Number, floats((0..n).map(|_| Some(rng.normal())).collect::<Vec<_>>())),
            (
                "moving",
                Kind::Number,
                floats((0..n).map(|i| Some(rng.normal() + f64::from(late(i)))).collect::<Vec<_>>()),
            ),
            ("channel", Kind::Category, texts((0..n).map(|i| if late(i) { "app" } else { ["branch", "app"][i % 2] }))),
            ("y", Kind::Category, texts((0..n).map(|i| if i % 10 < 1 + i / 3000 { "yes" } else { "no" }))),
        ],
        1000,
    );
    let options = ProfileOptions { time: Some("seen".into()), ..with_target("y") };
    let profile = of(&t, &options);
    let drift = profile.drift.as_ref().expect("drift");
    assert_eq!((drift.unit, drift.n_reference, drift.n_without_time), (Period::Month, 1, 0));
    assert_eq!(drift.periods[0].label, "2024-01");
    assert_eq!(drift.periods.iter().map(|p| p.n_rows).sum::<usize>(), n);
    let names: Vec<&str> = drift.columns.iter().map(|c| c.column.as_str()).collect();
    assert_eq!(names.len(), 3, "the target, and times, are left aside: {names:?}");
    assert_eq!(names[2], "steady");
    assert_eq!(kinds(&profile), [(WarningKind::Drift, "channel"), (WarningKind::Drift, "moving")]);
    let rates: Vec<f64> = drift.periods.iter().filter_map(|p| p.rate).collect();
    assert!((rates[0] - 0.1).abs() < 0.05 && (rates[10] - 0.2).abs() < 0.05, "{rates:?}");
    let by_year = of(&t, &ProfileOptions { period: Some(Period::Year), ..options.clone() });
    assert_eq!(by_year.drift.expect("drift").periods.len(), 1);
    let by_quarter = of(&t, &ProfileOptions { period: Some(Period::Quarter), ..options });
    let labels: Vec<String> = by_quarter.drift.expect("drift").periods.into_iter().map(|p| p.label).collect();
    assert_eq!(labels, ["2024-Q1", "2024-Q2", "2024-Q3", "2024-Q4"]);
    // A column that alternates, as does the target: folds must not follow the order of rows.
    let auc = column_of(&profile, "channel").auc.expect("an AUC");
    assert!(auc > 0.5, "{auc}");
    show(&profile, "drift");
}

#[test]
fn vintages_and_roll_rates_by_hand() {
    // Loan, month, days past due. A: good; B: 30 days, then bad in its third month; C: a month later, bad at once, then cured.
    let rows = [
        ("A", 202401, 0),
        ("A", 202402, 0),
        ("A", 202403, 0),
        ("B", 202401, 0),
        ("B", 202402, 30),
        ("B", 202403, 95),
        ("C", 202402, 90),
        ("C", 202403, 10),
        ("C", 202403, 0),
    ];
    let t = table(
        vec![
            ("loan", Kind::Identifier, texts(rows.iter().map(|r| r.0))),
            ("month", Kind::Number, integers(rows.iter().map(|r| r.1))),
            ("dpd", Kind::Number, integers(rows.iter().map(|r| r.2))),
        ],
        4,
    );
    let names = LoanColumns {
        id: "loan".into(),
        period: "month".into(),
        days_past_due: "dpd".into(),
        origination: None,
        bad_days: 90,
    };
    let profile = of(&t, &ProfileOptions { loans: Some(names.clone()), ..Default::default() });
    let loans = profile.loans.as_ref().expect("loans");
    assert_eq!((loans.n_loans, loans.n_skipped), (3, 0));
    let cohorts: Vec<(&str, usize, &[f64])> =
        loans.cohorts.iter().map(|c| (c.label.as_str(), c.n_loans, c.bad_rate.as_slice())).collect();
    // Months on book 0 … 3 and 0 … 2: the first report is month 1. B is bad in its third report, C in its first.
    assert_eq!(cohorts, [("2024-01", 2, &[0.0, 0.0, 0.0, 0.5][..]), ("2024-02", 1, &[0.0, 1.0, 1.0][..])]);
    let mut counts = [[0; 5]; 5];
    counts[0][0] = 2; // A, twice
    counts[0][2] = 1; // B to 30
    counts[2][4] = 1; // B to 95
    counts[4][1] = 1; // C: of two rows in March the worse counts
    assert_eq!(loans.roll_rates.counts, counts);
    assert_eq!(loans.roll_rates.rate(0, 2), Some(1.0 / 3.0));
    assert_eq!(loans.roll_rates.rate(1, 1), None);
    let text = profile.to_text(80);
    assert!(text.contains("Roll rates") && text.contains("2024-01"), "{text}");
    let bad = table(
        vec![
            ("loan", Kind::Identifier, texts(["A"])),
            ("month", Kind::Number, integers([202413])),
            ("dpd", Kind::Number, integers([0])),
        ],
        4,
    );
    let error = Profile::of(&bad, &ProfileOptions { loans: Some(names), ..Default::default() }, &Run::new(1, 1));
    assert_eq!(
        error.expect_err("month 13").to_string(),
        "test.csv: column «month» has the value «202413»; a month is a time, or of the form 202403, 20240331 or 2024-03"
    );
}

#[test]
fn a_vintage_ends_where_its_last_loan_was_seen() {
    let rows = [("A", 202401), ("A", 202402), ("B", 202401), ("C", 202405), ("C", 202406), ("C", 202407)];
    let t = table(
        vec![
            ("loan", Kind::Identifier, texts(rows.iter().map(|r| r.0))),
            ("month", Kind::Number, integers(rows.iter().map(|r| r.1))),
            ("dpd", Kind::Number, integers(rows.iter().map(|_| 0))),
        ],
        4,
    );
    let names = LoanColumns {
        id: "loan".into(),
        period: "month".into(),
        days_past_due: "dpd".into(),
        origination: None,
        bad_days: 90,
    };
    let profile = of(&t, &ProfileOptions { loans: Some(names), ..Default::default() });
    let loans = profile.loans.as_ref().expect("loans");
    let lengths: Vec<(&str, usize)> = loans.cohorts.iter().map(|c| (c.label.as_str(), c.bad_rate.len())).collect();
    // Two and three reports, and month 0 before them.
    assert_eq!(lengths, [("2024-01", 3), ("2024-05", 4)]);
}

#[test]
fn month_twelve_holds_twelve_reports() {
    // A is bad in its twelfth report, B in its third, C in its fourth; the window has the twelve reports of 2024. With an
    // origination the same reports are months 1 … 12 after December, and 0 … 11 after January.
    let check = |origination: Option<i64>, label: &str, expected: &[(usize, f64)], n_months: usize| {
        let rows: Vec<(&str, i64, i64)> = [("A", 12), ("B", 3), ("C", 4)]
            .into_iter()
            .flat_map(|(loan, bad)| (1..=12).map(move |m| (loan, 202_400 + m, if m == bad { 90 } else { 0 })))
            .collect();
        let mut columns = vec![
            ("loan", Kind::Identifier, texts(rows.iter().map(|r| r.0))),
            ("month", Kind::Number, integers(rows.iter().map(|r| r.1))),
            ("dpd", Kind::Number, integers(rows.iter().map(|r| r.2))),
        ];
        if let Some(month) = origination {
            columns.push(("opened", Kind::Number, integers(rows.iter().map(|_| month))));
        }
        let names = LoanColumns {
            id: "loan".into(),
            period: "month".into(),
            days_past_due: "dpd".into(),
            origination: origination.map(|_| "opened".into()),
            bad_days: 90,
        };
        let profile = of(&table(columns, 50), &ProfileOptions { loans: Some(names), ..Default::default() });
        let loans = profile.loans.as_ref().expect("loans");
        assert_eq!((loans.cohorts.len(), loans.cohorts[0].label.as_str()), (1, label));
        let rates = &loans.cohorts[0].bad_rate;
        assert_eq!(rates.len(), n_months, "{rates:?}");
        for &(month, rate) in expected {
            assert_eq!(rates[month], rate, "month {month} of {rates:?}");
        }
    };
    let third = 1.0 / 3.0;
    let from_one = [(0, 0.0), (2, 0.0), (3, third), (4, 2.0 * third), (11, 2.0 * third), (12, 1.0)];
    check(None, "2024-01", &from_one, 13);
    check(Some(202_312), "2023-12", &from_one, 13);
    check(Some(202_401), "2024-01", &[(1, 0.0), (2, third), (3, 2.0 * third), (10, 2.0 * third), (11, 1.0)], 12);
}

/// A performance table of which one can see whether the pictures are right.
#[test]
fn older_vintages_are_longer() {
    let mut rng = Rng::new(4);
    let (mut id, mut month, mut dpd) = (Vec::new(), Vec::new(), Vec::new());
    for loan in 0..3000i64 {
        let start = rng.below(24) as i64;
        let mut days = 0i64;
        for m in start..30 {
            id.push(loan + 70_000);
            month.push((2022 + m / 12) * 100 + m % 12 + 1);
            dpd.push(days);
            let hazard = 0.02 + 0.001 * start as f64;
            days = if days > 0 && rng.uniform() < 0.6 || rng.uniform() < hazard { days + 30 } else { 0 };
        }
    }
    let t = table(
        vec![
            ("loan", Kind::Identifier, integers(id)),
            ("month", Kind::Number, integers(month)),
            ("dpd", Kind::Number, integers(dpd)),
        ],
        50_000,
    );
    let names = LoanColumns {
        id: "loan".into(),
        period: "month".into(),
        days_past_due: "dpd".into(),
        origination: None,
        bad_days: 90,
    };
    let profile = of(&t, &ProfileOptions { loans: Some(names), ..Default::default() });
    let loans = profile.loans.as_ref().expect("loans");
    assert_eq!(loans.cohorts.len(), 24);
    let lengths: Vec<usize> = loans.cohorts.iter().map(|c| c.bad_rate.len()).collect();
    assert_eq!(lengths, (0..24).map(|i| 31 - i).collect::<Vec<_>>());
    assert!(loans.cohorts.iter().all(|c| c.bad_rate.is_sorted()), "cumulative rates never fall");
    assert_eq!(loans.cohorts.iter().map(|c| c.n_loans).sum::<usize>(), 3000);
    show(&profile, "loans");
}

#[test]
fn personal_cells_are_never_shown() {
    let cards = ["4111111111111111", "5555555555554444", "378282246310005", "6011111111111117"];
    let t = table(
        vec![
            ("contact", Kind::Category, texts((0..40).map(|i| format!("hong{}@secret.example", i % 4)))),
            ("card", Kind::Number, integers((0..40).map(|i| cards[i % 4].parse().expect("digits")))),
            ("account", Kind::Identifier, integers((0..40).map(|i| 777_000 + i))),
            ("remark", Kind::Text, texts((0..40).map(|i| format!("called Mr Kim {}", i % 3)))),
        ],
        16,
    );
    let profile = of(&t, &ProfileOptions::default());
    assert_eq!(&kinds(&profile)[..2], &[(WarningKind::Identifier, "contact"), (WarningKind::Identifier, "card")]);
    let told =
        [profile.to_html("t").expect("a page"), profile.to_text(100), serde_json::to_string(&profile).expect("json")];
    for text in told {
        for secret in ["secret", "hong", "41111", "4,111", "55555", "37828", "777", "Kim"] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
}

#[test]
fn any_number_of_threads_gives_the_same_bytes() {
    let mut rng = Rng::new(6);
    let n = 20_000;
    let x: Vec<f64> = (0..n).map(|_| rng.normal() * 1e6).collect();
    let t = table(
        vec![
            ("x", Kind::Number, floats(x.iter().map(|v| Some(*v)))),
            ("seen", Kind::Time, days((0..n as i64).map(|i| 18_000 + i % 700))),
            ("c", Kind::Category, texts((0..n).map(|_| format!("level {}", rng.below(300))).collect::<Vec<_>>())),
            ("y", Kind::Number, integers(x.iter().map(|v| i64::from(*v > 1e6)))),
        ],
        1111,
    );
    let options = ProfileOptions { time: Some("seen".into()), ..with_target("y") };
    let bytes = |threads| {
        let profile = Profile::of(&t, &options, &Run::new(1, threads)).expect("a profile");
        (serde_json::to_string(&profile).expect("json"), profile.to_html("t").expect("a page"))
    };
    let one = bytes(1);
    assert_eq!(one, bytes(7));
    let back: Profile = serde_json::from_str(&one.0).expect("the same profile");
    assert_eq!(serde_json::to_string(&back).expect("json"), one.0);
}

#[test]
fn the_page_stands_alone_and_escapes() {
    let evil = "<script>alert('x')</script>";
    let t = table(
        vec![
            (evil, Kind::Category, texts((0..30).map(|i| if i % 2 == 0 { "<img src=x onerror=1>" } else { "b&b" }))),
            ("y", Kind::Number, integers((0..30).map(|i| i % 2))),
        ],
        30,
    );
    let page = of(&t, &with_target("y")).to_html("a \"title\" <b>").expect("a page");
    for forbidden in ["<script", "<img", "http:", "https:", "@import", "url(", "<link", "src=\"", "<b>\"", "onerror=1>"]
    {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
    assert!(page.contains("&lt;script&gt;") && page.contains("prefers-color-scheme: dark"));
}

#[test]
fn text_fits_its_width() {
    let t = table(
        vec![
            (
                "고객의 아주 긴 열 이름입니다 정말로 깁니다",
                Kind::Category,
                texts((0..50).map(|i| ["서울특별시", "부산"][i % 2])),
            ),
            ("a_rather_long_column_name_that_goes_on", Kind::Number, integers((0..50).map(|i| i % 7 * 1_000_000_007))),
            (
                "constant",
                Kind::Category,
                texts((0..50).map(|_| "a very long level that would not fit on any line at all")),
            ),
            ("y", Kind::Category, texts((0..50).map(|i| if i % 3 == 0 { "yes" } else { "no" }))),
        ],
        50,
    );
    let profile = of(&t, &with_target("y"));
    for width in [20, 60, 80, 100, 160] {
        for line in profile.to_text(width).lines() {
            assert!(terminal::display_width(line) <= width.max(60), "{width}: {line}");
        }
    }
    let text = profile.to_text(80);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines[..3],
        ["test.csv", "50 rows × 4 columns, 0 % of cells missing", "target y = yes in 17 of 50 rows (34.0 %)"]
    );
    assert_eq!(lines[4], "2 things to look at");
}

#[test]
fn odd_tables_have_profiles() {
    let empty = table(vec![("x", Kind::Number, floats([])), ("c", Kind::Category, texts::<&str>([]))], 1);
    let missing = table(vec![("x", Kind::Number, floats([None, None])), ("seen", Kind::Time, days([0, 1]))], 1);
    let single = table(vec![("x", Kind::Number, floats([Some(1.0)])), ("y", Kind::Number, integers([1]))], 1);
    let infinite = table(vec![("x", Kind::Number, floats([Some(f64::INFINITY), Some(f64::NEG_INFINITY)]))], 1);
    let far = table(vec![("seen", Kind::Time, days([-25_567, 2_932_896, 19_723]))], 9);
    for t in [&empty, &missing, &single, &infinite, &far] {
        let target = t.columns.iter().any(|c| c.name == "y").then(|| "y".to_owned());
        let time = t.columns.iter().any(|c| c.name == "seen").then(|| "seen".to_owned());
        let profile = of(t, &ProfileOptions { target, time, ..Default::default() });
        assert!(!profile.to_text(80).is_empty());
        assert!(profile.to_html("t").expect("a page").contains("</html>"));
    }
    let profile = of(&missing, &ProfileOptions::default());
    assert_eq!(profile.columns[0].detail, Detail::Empty);
    assert_eq!(kinds(&profile), [(WarningKind::Constant, "x")]);
    let profile = of(&single, &with_target("y"));
    assert_eq!(kinds(&profile), [(WarningKind::Target, "y")]);
    let profile = of(&far, &ProfileOptions::default());
    let Detail::Time(time) = &profile.columns[0].detail else { panic!("{profile:?}") };
    assert_eq!((time.first.as_str(), time.last.as_str()), ("1900-01-01", "9999-12-31"));
}

#[test]
fn wrong_requests_are_refused() {
    let t = table(
        vec![
            ("x", Kind::Number, floats([Some(1.0), Some(2.0), Some(3.0)])),
            ("y", Kind::Category, texts(["good", "bad", "good"])),
        ],
        3,
    );
    let cases = [
        (with_target("z"), "test.csv: no column «z»; there are x, y"),
        (ProfileOptions { id: Some("z".into()), ..Default::default() }, "test.csv: no column «z»; there are x, y"),
        (
            ProfileOptions { positive: Some("1".into()), ..with_target("y") },
            "test.csv: target «y» has no value «1»; it has «good» and «bad»",
        ),
        (
            ProfileOptions { positive: Some("1".into()), ..with_target("x") },
            "test.csv: target «x» has 3 values, so «1» cannot be its positive value; a binary target has 2",
        ),
        (
            ProfileOptions { time: Some("x".into()), ..Default::default() },
            "test.csv: column «x» is of kind number; drift needs one of kind time",
        ),
    ];
    for (options, expected) in cases {
        let error = Profile::of(&t, &options, &Run::new(1, 1)).expect_err(expected);
        assert_eq!((error.to_string().as_str(), error.is_request()), (expected, true));
    }
    let positive = of(&t, &with_target("y")).target.and_then(|t| t.positive);
    assert_eq!(positive.as_deref(), Some("bad"));
    let run = Run::new(1, 1);
    run.cancel_flag().store(true, std::sync::atomic::Ordering::Relaxed);
    assert!(Profile::of(&t, &ProfileOptions::default(), &run).expect_err("cancelled").is_cancelled());
}

#[test]
fn taiwan_agrees_with_pandas() {
    let Some(t) = real("taiwan_credit_default/default_of_credit_card_clients.csv.gz", b',') else { return };
    let start = std::time::Instant::now();
    let profile = of(&t, &with_target("class"));
    println!("taiwan: 30,000 × 25 profiled in {:.3} s", start.elapsed().as_secs_f64());
    show(&profile, "taiwan");
    let batch = arrow_select::concat::concat_batches(&t.batches[0].schema(), &t.batches).expect("one schema");
    let class = batch.column_by_name("class").expect("the target").as_primitive::<Int64Type>();
    let is_event: Vec<f64> = class.values().iter().map(|&y| y as f64).collect();
    let features: Vec<_> = t.columns.iter().filter(|c| c.name != "class").cloned().collect();
    let start = std::time::Instant::now();
    assert_eq!(leak_suspects(&batch, &features, &is_event).expect("judges"), []);
    println!("taiwan: searched for leaks in {:.3} s", start.elapsed().as_secs_f64());
    // numpy 2 and pandas: quantile, mean, std, nunique; scikit-learn: roc_auc_score.
    let s = number_of(&profile, "BILL_AMT1");
    assert_close(
        &s.quantiles,
        &[-165580.0, -81.0, 0.0, 3558.75, 22381.5, 67091.0, 201203.05, 350110.6799999999, 964511.0],
    );
    assert_close(&[s.mean, s.sd], &[51223.3309, 73635.86057552956]);
    assert_eq!((s.n_outliers, column_of(&profile, "BILL_AMT1").n_distinct), (786, 22723));
    let s = number_of(&profile, "PAY_0");
    assert_close(&[s.mean, s.sd], &[-0.0167, 1.1238015279973348]);
    assert_eq!((s.n_outliers, s.sentinels.len()), (141, 0));
    let auc = column_of(&profile, "LIMIT_BAL").auc.expect("an AUC");
    assert_close(&[auc], &[1.0 - 0.3821973573301078]);
    let d = &profile.duplicates;
    assert_eq!((d.n_exact, d.n_without_ids, d.without.as_slice()), (0, 35, &["ID".to_owned()][..]));
    assert_eq!(profile.warnings[0].text, "35 rows repeat an earlier one, with ID left aside");
    assert_eq!(kinds(&profile), [(WarningKind::Duplicate, ""), (WarningKind::NearUnique, "ID")]);
    let target = profile.target.expect("a target");
    assert_eq!((target.n_positive, target.n_known), (6636, 30_000));
}

#[test]
fn other_real_sets_agree_with_pandas() {
    if let Some(t) = real("german_credit/german_credit.csv", b',') {
        let profile = of(&t, &with_target("class"));
        show(&profile, "german_credit");
        let s = number_of(&profile, "credit_amount");
        assert_close(&s.quantiles[1..4], &[425.83, 708.95, 1365.5]);
        assert_close(&[s.mean, s.sd], &[3271.258, 2822.7368759604406]);
        let Detail::Levels(levels) = &column_of(&profile, "checking_status").detail else { panic!("levels") };
        let top: Vec<(&str, usize)> = levels.top.iter().map(|l| (l.level.as_str(), l.n)).collect();
        assert_eq!(top, [("A14", 394), ("A11", 274), ("A12", 269), ("A13", 63)]);
        assert_eq!(profile.target.as_ref().and_then(|t| t.positive.as_deref()), Some("bad"));
        assert_eq!(kinds(&profile), []);
    }
    if let Some(t) = real("uci_bank_marketing/bank-full.csv.gz", b';') {
        let profile = of(&t, &with_target("y"));
        show(&profile, "bank_marketing");
        assert_close(&[column_of(&profile, "duration").auc.expect("an AUC")], &[0.8075955951124923]);
        assert_eq!(kinds(&profile), [(WarningKind::Sentinel, "pdays")]);
        assert_eq!(profile.warnings[0].advice.as_deref(), Some("--missing pdays=-1"));
    }
    if let Some(t) = real("uci_bank_marketing/bank-additional-full.csv.gz", b';') {
        let profile = of(&t, &with_target("y"));
        assert_eq!(profile.duplicates.n_exact, 12);
        assert!(
            profile.warnings.iter().any(|w| w.advice.as_deref() == Some("--missing pdays=999")),
            "{:?}",
            profile.warnings
        );
    }
}
