use super::*;
use std::collections::HashMap;
use std::fs;

fn write(dir: &Path, bank: SampleBank) -> SampleFiles {
    bank.write(dir, &Run::new(1, 2)).unwrap()
}

/// The cells of a file by column name.
fn columns(path: &Path) -> HashMap<String, Vec<String>> {
    let text = fs::read_to_string(path).unwrap();
    let mut lines = text.lines();
    let names: Vec<&str> = lines.next().unwrap().split(',').collect();
    let mut columns: HashMap<String, Vec<String>> = names.iter().map(|n| ((*n).into(), Vec::new())).collect();
    for line in lines {
        let cells: Vec<&str> = line.split(',').collect();
        assert_eq!(cells.len(), names.len(), "{line}");
        for (name, cell) in names.iter().zip(cells) {
            columns.get_mut(*name).unwrap().push(cell.into());
        }
    }
    columns
}

fn numbers(cells: &[String]) -> Vec<f64> {
    cells.iter().map(|c| c.parse().unwrap_or(f64::NAN)).collect()
}

/// Area under the curve by counting pairs through ranks; ties count half.
fn auc(score: &[f64], default: &[f64]) -> f64 {
    let mut order: Vec<usize> = (0..score.len()).collect();
    order.sort_by(|&a, &b| score[a].total_cmp(&score[b]));
    let (mut goods, mut bads, mut wins) = (0.0, 0.0, 0.0);
    for tie in order.chunk_by(|&a, &b| score[a] == score[b]) {
        let bad: f64 = tie.iter().map(|&i| default[i]).sum();
        let good = tie.len() as f64 - bad;
        wins += bad * (goods + 0.5 * good);
        goods += good;
        bads += bad;
    }
    wins / (goods * bads)
}

/// Pearson correlation over the rows where both are known.
fn correlation(x: &[f64], y: &[f64]) -> f64 {
    let known: Vec<(f64, f64)> = x.iter().zip(y).map(|(a, b)| (*a, *b)).filter(|(a, b)| (a + b).is_finite()).collect();
    let n = known.len() as f64;
    let (mx, my) = known.iter().fold((0.0, 0.0), |(a, b), (x, y)| (a + x / n, b + y / n));
    let (mut xy, mut xx, mut yy) = (0.0, 0.0, 0.0);
    for (x, y) in known {
        xy += (x - mx) * (y - my);
        xx += (x - mx).powi(2);
        yy += (y - my).powi(2);
    }
    xy / (xx * yy).sqrt()
}

#[test]
fn rate_and_attainable_auc_hold_for_several_seeds() {
    for seed in [1, 2, 3, 7, 42, 2026] {
        let dir = tempfile::tempdir().unwrap();
        let files = write(dir.path(), SampleBank { seed, performance_rows: 0, cards: 0, ..SampleBank::default() });
        let table = columns(&files.applications);
        let default = numbers(&table["default"]);
        let rate = default.iter().sum::<f64>() / default.len() as f64;
        assert!((rate - 0.08).abs() <= 0.002, "seed {seed}: default rate {rate}");
        assert_eq!(files.defaults as f64, default.iter().sum::<f64>());

        let truth = numbers(&columns(&files.truth)["probability"]);
        let (drawn, expected) = (auc(&truth, &default), expected_auc(&truth).unwrap());
        assert!((drawn - 0.80).abs() <= 0.01, "seed {seed}: attainable AUC {drawn}");
        assert!((expected - 0.80).abs() <= 0.01, "seed {seed}: attainable AUC in expectation {expected}");
        assert!((files.expected_auc.unwrap() - expected).abs() < 2e-4);
        assert!((files.drawn_auc.unwrap() - drawn).abs() < 2e-4);

        let bank = auc(&numbers(&table["bank_score"]).iter().map(|s| -s).collect::<Vec<_>>(), &default);
        assert!((bank - 0.70).abs() < 0.02, "seed {seed}: AUC of the old card {bank}");
    }
}

#[test]
fn columns_are_correlated_missing_coded_and_drift() {
    let dir = tempfile::tempdir().unwrap();
    let table = columns(&write(dir.path(), SampleBank::default()).applications);
    let column = |name: &str| numbers(&table[name]);
    let strong = [
        ("monthly_income", "requested_amount", 0.25, 0.6),
        ("requested_amount", "term_months", 0.5, 0.8),
        ("debt_ratio", "card_utilisation", 0.2, 0.5),
        ("card_utilisation", "delinquencies_24m", 0.15, 0.5),
        ("inquiries_6m", "debt_ratio", 0.2, 0.5),
        ("age", "history_months", 0.4, 0.8),
    ];
    for (a, b, low, high) in strong {
        let r = correlation(&column(a), &column(b));
        assert!((low..high).contains(&r), "{a} and {b}: {r}");
    }
    let female: Vec<f64> = table["sex"].iter().map(|s| f64::from(u8::from(s == "F"))).collect();
    let r = correlation(&female, &column("monthly_income"));
    assert!((-0.2..-0.03).contains(&r), "sex and income: {r}");

    let missing = |name: &str| table[name].iter().filter(|c| c.is_empty()).count() as f64 / 20_000.0;
    for name in ["monthly_income", "employment_years", "card_utilisation", "savings_balance", "history_months"] {
        assert!((0.01..0.3).contains(&missing(name)), "{name}: {} missing", missing(name));
    }
    // A hidden income is a bad sign.
    let default = column("default");
    let (mut hidden, mut shown) = ((0.0, 0.0), (0.0, 0.0));
    for (cell, d) in table["monthly_income"].iter().zip(&default) {
        let side = if cell.is_empty() { &mut hidden } else { &mut shown };
        *side = (side.0 + d, side.1 + 1.0);
    }
    assert!(hidden.0 / hidden.1 > 1.4 * shown.0 / shown.1, "{hidden:?} {shown:?}");
    let recency = column("months_since_delinquency");
    assert!(recency.iter().all(|&m| m == 999.0 || m < 100.0) && recency.contains(&999.0));

    assert!(table["application_date"].is_sorted());
    assert_eq!(table["application_date"][0], "2022-10-01");
    assert_eq!(table["application_date"][19_999], "2025-09-30");
    let app = |half: std::ops::Range<usize>| table["channel"][half].iter().filter(|c| *c == "app").count();
    assert!(app(10_000..20_000) as f64 > 1.3 * app(0..10_000) as f64, "the app's share grows");
    assert!(table["requested_amount"].iter().all(|a| a.parse::<u32>().is_ok()), "money is whole");
}

#[test]
fn payments_and_accounts_agree_with_the_applications() {
    let dir = tempfile::tempdir().unwrap();
    let files = write(dir.path(), SampleBank { rows: 3000, performance_rows: 1000, ..SampleBank::default() });
    let table = columns(&files.applications);
    let payments = columns(&files.performance);
    let mut most: HashMap<&str, (usize, u32)> = HashMap::new();
    for (id, days) in payments["application_id"].iter().zip(&payments["days_past_due"]) {
        let entry = most.entry(id).or_default();
        *entry = (entry.0 + 1, entry.1.max(days.parse().unwrap()));
    }
    assert_eq!(most.len(), 1000);
    for (id, default) in table["application_id"].iter().zip(&table["default"]) {
        if let Some((months, days)) = most.get(id.as_str()) {
            assert_eq!((*months, *days >= 90), (12, default == "1"), "{id}");
        }
    }
    let customers: std::collections::HashSet<&String> = table["customer_id"].iter().collect();
    assert!(columns(&files.customers)["customer_id"].iter().all(|c| customers.contains(c)));
}

#[test]
fn a_seed_is_its_bytes_whatever_the_threads() {
    let parent = tempfile::tempdir().unwrap();
    let bytes = |name: &str, seed: u64, threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let bank = SampleBank { rows: 70_000, seed, performance_rows: 500, cards: 60, ..SampleBank::default() };
        let files = pool.install(|| write(&parent.path().join(name), bank));
        let lending = [files.applications, files.truth, files.performance, files.customers];
        let payments = [files.transactions, files.transfers, files.fraud_answers, files.fraud_rules];
        lending.into_iter().chain(payments).map(|path| fs::read(path).unwrap()).collect::<Vec<_>>()
    };
    let first = bytes("a", 5, 1);
    assert!(first == bytes("b", 5, 3), "the same seed gives other bytes");
    for (a, c) in first.iter().zip(&bytes("c", 6, 2)) {
        assert!(a != c, "another seed gives the same bytes");
    }
}

#[test]
fn one_row_is_a_bank_and_none_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let files = write(&dir.path().join("one"), SampleBank { rows: 1, ..SampleBank::default() });
    assert_eq!((columns(&files.applications)["default"].len(), files.expected_auc, files.drawn_auc), (1, None, None));
    let none = SampleBank { rows: 0, ..SampleBank::default() };
    let error = none.write(&dir.path().join("none"), &Run::new(1, 1)).unwrap_err();
    assert_eq!(error.to_string(), "rows: 0 is not allowed; allowed is from 1 to 1000000000");
    assert!(!dir.path().join("none").exists());
}

#[test]
fn nothing_half_written_remains_and_nothing_is_overwritten_unasked() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("bank");
    let run = Run::new(1, 1);
    run.cancel_flag().store(true, std::sync::atomic::Ordering::Relaxed);
    assert!(SampleBank::default().write(&dir, &run).unwrap_err().is_cancelled());
    assert!(!dir.exists(), "the folder that was made is removed");

    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("project.toml"), "mine").unwrap();
    let error = SampleBank::default().write(&dir, &Run::new(1, 1)).unwrap_err();
    assert!(error.to_string().ends_with("project.toml exists already; name an empty or a new folder"), "{error}");
    // Not even when asked: the folder is no earlier sample.
    let overwrite = SampleBank { rows: 10, overwrite: true, ..SampleBank::default() };
    assert!(overwrite.write(&dir, &Run::new(1, 1)).unwrap_err().is_request());
    assert_eq!(fs::read_to_string(dir.join("project.toml")).unwrap(), "mine");
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 1, "no trace of the work");

    fs::remove_file(dir.join("project.toml")).unwrap();
    write(&dir, SampleBank { rows: 20, ..SampleBank::default() });
    let earlier = fs::read(dir.join("applications.csv")).unwrap();
    assert!(overwrite.write(&dir, &run).unwrap_err().is_cancelled());
    assert_eq!(fs::read(dir.join("applications.csv")).unwrap(), earlier, "an interruption leaves the earlier sample");
    write(&dir, overwrite);
    assert_ne!(fs::read(dir.join("applications.csv")).unwrap(), earlier, "an earlier sample is replaced when asked");
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 17);

    let file = parent.path().join("file");
    fs::write(&file, "").unwrap();
    let error = SampleBank::default().write(&file.join("bank"), &Run::new(1, 1)).unwrap_err().to_string();
    assert!(error.starts_with(&file.join("bank").display().to_string()), "{error}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "");
}

#[test]
fn the_project_file_computes_the_target_of_the_table() {
    let dir = tempfile::tempdir().unwrap();
    let files = write(dir.path(), SampleBank { rows: 2000, ..SampleBank::default() });
    let text = fs::read_to_string(&files.project).unwrap();
    let project = crate::project::Project::parse(&text, "project.toml").unwrap();
    let assembled = project.assemble(dir.path(), &Run::new(1, 2)).unwrap();
    let table = columns(&files.applications);
    let defaults: HashMap<&str, i64> = table["application_id"]
        .iter()
        .map(String::as_str)
        .zip(table["default"].iter().map(|d| d.parse().unwrap()))
        .collect();
    let (id, bad) = (assembled.table.column("application_id").unwrap(), assembled.table.column("bad").unwrap());
    let mut bads = 0;
    for batch in &assembled.table.batches {
        use arrow_array::cast::AsArray;
        let ids = batch.column(id).as_string::<i32>();
        let targets = batch.column(bad).as_primitive::<arrow_array::types::Int64Type>();
        for (id, target) in ids.iter().zip(targets.values()) {
            assert_eq!(defaults[id.unwrap()], *target);
            bads += target;
        }
    }
    assert!(bads > 100, "{bads}");
    let names: Vec<&str> = assembled.steps.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "no observation date (application_date)",
            "very small loans",
            "performance window of 12 months not over",
            "no row in «performance» within the window",
            "indeterminate"
        ]
    );
    assert!(assembled.joins[0].matched > 500, "{:?}", assembled.joins);
}
