//! Old bundles stay readable: one of each model and format version is kept, with the scores it gave when it was written.
//!
//! `tests/artifact/format-1` was made from the sample bank, whose data are invented, by a program of that format:
//!
//! ```text
//! statera sample bank --rows 1500 --seed 1
//! for model in scorecard logistic boosting; do
//!     statera train bank/applications.csv --target default --id application_id --time application_date --test 0.1 \
//!         --missing months_since_delinquency=999 --models $model --out $model.zip --drop customer_id,sex,age,region,\
//! education,employment_years,housing,dependants,requested_amount,term_months,purpose,channel,customer_months,\
//! card_utilisation,open_accounts,history_months,inquiries_6m,delinquencies_24m,savings_balance,bank_score
//!     statera score $model.zip rows.csv --out $model.csv --encoding utf-8
//! done
//! ```
//!
//! `tests/artifact/format-2` has an ensemble too, of `--models scorecard,logistic,boosting --prefer ensemble`.
//!
//! `tests/artifact/format-3` has a multilayer perceptron too, and a policy: each bundle went through
//! `statera policy $model.zip --policy policy.toml`, whose text is in the bundle.
//!
//! `tests/artifact/format-4` was trained with `--policy policy.toml --protected sex` and went through `statera policy $model.zip
//! --recourse recourse.toml`: it has background rows and a judgement.
//!
//! `format-4/$model-contributions.csv` has what each column adds to the margin of each row, as `statera explain --json` told it with
//! the attributions of version 2: who changes their arithmetic on purpose raises `statera::explain::ATTRIBUTIONS`.
//!
//! `tests/artifact/format-5` has windows and decision rules (`boosting`, of transactions), a network (`logistic`, of transfers) and
//! a policy beside rules (`scorecard`, of applications). Its rows carry the columns of windows and networks.
//!
//! `format-5/transactions` and `format-5/transfers` have bundles whose rows are raw: windows, sequences, tiles and the figures of a
//! network are made of them anew. They are of `statera sample bank --rows 4000 --seed 2` and the project file beside each, read in
//! the bank's parent folder: `statera train $model.toml --out $model.zip`, then `statera score $model.zip rows.csv --out $model.csv
//! --encoding utf-8`, of transfers with `--edges rows.csv`. `attention` and `boosting_autoencoder` have the small networks of
//! `Settings::quick`. `rows.csv` there has rows of the same bank, some transactions without their amount. Most cards do little: the
//! first steps of most sequences are padding, which `lstm`, `gru` and `cnn` of that program read as missing cells.
//!
//! `rows.csv` was written by hand; of format 5 each bundle has its own, such as `boosting-rows.csv`. A new format gets a folder
//! of its own; the old ones are never changed.

#[path = "common/sealed.rs"]
mod sealed;

use sealed::{parts, seal, write};
use statera::batch::{self, BatchOptions};
use statera::bundle::{Bundle, FORMAT_VERSION};
use statera::explain::ATTRIBUTIONS;
use statera::scorer::RowSource;
use statera_core::{ErrorKind, Run};
use statera_data::sink::Encoding;
use statera_data::source::{self, ReadOptions};
use std::fs;
use std::path::Path;

#[test]
fn old_bundles_give_the_same_bits() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/artifact");
    for version in 1..=FORMAT_VERSION {
        let folder = folder.join(format!("format-{version}"));
        let mut n_bundles = 0;
        for entry in fs::read_dir(&folder).expect("every format has its artifacts") {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|ending| ending != "zip") {
                continue;
            }
            let bundle = Bundle::read(&path).unwrap();
            assert_eq!(bundle.manifest.format_version, version);
            let family = bundle.manifest.family.as_str();
            assert_eq!(path.file_stem().unwrap(), family);
            check_scores(&bundle, &folder);
            n_bundles += 1;
        }
        assert!(n_bundles >= 3, "{}: {n_bundles} bundles", folder.display());
    }
}

fn check_scores(bundle: &Bundle, folder: &Path) {
    let family = &bundle.manifest.family;
    let own = folder.join(format!("{family}-rows.csv"));
    let rows = if own.exists() { own } else { folder.join("rows.csv") };
    let address = rows.to_string_lossy().into_owned();
    // Text, as `score` reads it: the bundle says what the cells are.
    let mut reader = source::open(&address, &ReadOptions::default()).unwrap();
    let ruling = bundle.ruling().unwrap();
    let (mut found, mut decided, mut acted) = (Vec::new(), Vec::new(), Vec::new());
    while let Some(batch) = reader.next_batch().unwrap() {
        let source = RowSource { is_text: reader.is_text(), first_row: found.len() };
        let scored = bundle.scorer.score_rows(&batch, reader.is_text(), found.len()).unwrap();
        let more = bundle.deciding.decide(&bundle.scorer, &batch, &scored, source).unwrap();
        decided.extend(more.into_iter().flatten().map(|d| d.decision.name().to_string()));
        if let Some(ruling) = &ruling {
            let verdicts = ruling.verdicts(&batch, &scored.probabilities, source).unwrap();
            acted.extend(verdicts.into_iter().map(|v| v.action.name().to_string()));
        }
        found.extend(scored.probabilities);
    }
    let expected = fs::read_to_string(folder.join(format!("{family}.csv"))).unwrap();
    let names: Vec<&str> = expected.lines().next().unwrap().split(',').collect();
    let column = |name: &str| -> Vec<&str> {
        let Some(at) = names.iter().position(|n| *n == name) else { return Vec::new() };
        expected.lines().skip(1).map(|line| line.split(',').nth(at).unwrap()).collect()
    };
    assert_eq!(decided, column("decision"), "{family}: decisions");
    assert_eq!(acted, column("action"), "{family}: actions");
    let expected: Vec<f64> = column("probability").into_iter().map(|p| p.parse().unwrap()).collect();
    assert!(expected.len() > 5);
    assert_eq!(found.len(), expected.len(), "{family}");
    for (row, (found, expected)) in found.iter().zip(&expected).enumerate() {
        assert_eq!(found.to_bits(), expected.to_bits(), "{family}, row {}: {found} for {expected}", row + 1);
    }
    assert!(expected.iter().any(|p| p != &expected[0]), "{family}: all rows have one score");
}

/// The families of the bundles whose rows are raw, by the folder of those rows; edges are the rows themselves where a network is
/// declared.
const OF_RAW_ROWS: [(&str, bool, &[&str]); 2] = [
    (
        "transactions",
        false,
        &["attention", "autoencoder", "boosting_autoencoder", "boosting_isolation", "cnn", "gru", "isolation", "lstm"],
    ),
    ("transfers", true, &["graphsage"]),
];

#[test]
fn what_kept_bundles_make_of_raw_rows_scores_to_the_same_bits() {
    for (folder, has_edges, families) in OF_RAW_ROWS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/artifact/format-5").join(folder);
        let rows = folder.join("rows.csv").to_string_lossy().into_owned();
        let zips = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
        assert_eq!(zips.filter(|p| p.extension().is_some_and(|e| e == "zip")).count(), families.len());
        for family in families {
            let bundle = Bundle::read(&folder.join(format!("{family}.zip"))).unwrap();
            assert_eq!(bundle.manifest.family, *family);
            assert_eq!(bundle.network.is_some(), has_edges, "{family}");
            let options = BatchOptions {
                encoding: Encoding::Utf8,
                edges: has_edges.then(|| rows.clone()),
                ..BatchOptions::default()
            };
            let dir = tempfile::tempdir().unwrap();
            let out = dir.path().join("scores.csv");
            let read = ReadOptions::default();
            batch::score(&bundle, &rows, &read, &out.to_string_lossy(), &options, &Run::new(1, 2)).unwrap();
            // Decimal text of a score that leads back to its bits: equal texts are equal bits.
            let found = fs::read_to_string(&out).unwrap();
            let expected = fs::read_to_string(folder.join(format!("{family}.csv"))).unwrap();
            assert!(expected.lines().count() > 100, "{family}");
            for (row, (found, expected)) in found.lines().zip(expected.lines()).enumerate() {
                assert_eq!(found, expected, "{family}, line {}", row + 1);
            }
            assert_eq!(found, expected, "{family}");
        }
    }
}

#[test]
fn what_a_part_holds_that_is_not_known_here_is_told_to_be_newer_and_not_damaged() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/artifact/format-5");
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("changed.statera");
    // The bundle, its part, what is written there, and what instead; what a newer program may know, or is of no program.
    let newer = [
        ("transactions/isolation", "model.json", "\"isolation\"", "\"moss\"", "model.json: unknown model «moss»"),
        ("transactions/lstm", "model.json", "\"reader\": \"lstm\"", "\"reader\": \"moss\"", "unknown variant `moss`"),
        ("transactions/gru", "model.json", "\"reader\":", "\"moss\": 1, \"reader\":", "unknown field `moss`"),
        ("transactions/cnn", "calibration.json", "\"platt\"", "\"moss\"", "calibration: unknown variant `moss`"),
        ("transactions/cnn", "windows.toml", "steps = ", "stride = 1\nsteps = ", "unknown field `stride`"),
        ("transactions/isolation", "windows.toml", "\"std\"", "\"skew\"", "unknown variant `skew`"),
        ("transfers/graphsage", "network.toml", "\"fan_in\"", "\"moss\"", "unknown variant `moss`"),
    ];
    let damaged = [
        ("transactions/lstm", "model.json", "\"units\": 22", "\"units\": 0", "units is 0; allowed: 1 to 4096"),
        ("transactions/lstm", "model.json", "\"units\": 22", "\"units\": 21", ""),
        ("transactions/lstm", "calibration.json", "\"platt\"", "platt", "calibration.json: "),
        ("transfers/graphsage", "network.toml", "over = [", "over = [1, ", "network.toml"),
    ];
    for (cases, kind) in [(&newer[..], ErrorKind::Newer), (&damaged[..], ErrorKind::Damaged)] {
        for (name, part, written, instead, expected) in cases {
            let mut parts = parts(&folder.join(format!("{name}.zip")));
            let text = String::from_utf8(parts[*part].clone()).unwrap();
            assert!(text.contains(written), "{name}, {part}: no {written}");
            parts.insert(part.to_string(), text.replace(written, instead).into_bytes());
            // A change that the manifest does not know of is damage, whatever it is.
            write(&parts, &place);
            let unsealed = Bundle::read(&place).err().expect("altered");
            assert_eq!(unsealed.kind(), ErrorKind::Damaged, "{unsealed}");
            seal(&mut parts, part);
            write(&parts, &place);
            let error = Bundle::read(&place).err().expect("refused");
            assert!(error.kind() == kind && error.to_string().contains(expected), "{:?}: {error}", error.kind());
            let tells = "does not know that, a newer version may: the bundle is as statera 0.1.0 wrote it";
            assert_eq!(error.to_string().ends_with(tells), kind == ErrorKind::Newer, "{error}");
        }
    }
}

/// How far a contribution to a margin (log-odds) may be from the kept one: as replays of earlier arithmetic allow.
const CONTRIBUTIONS_WITHIN: f64 = 1e-9;

#[test]
fn kept_bundles_explain_their_rows_as_they_did() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/artifact/format-4");
    for family in ["scorecard", "logistic", "boosting", "ensemble"] {
        check_contributions(&folder, family);
    }
}

fn check_contributions(folder: &Path, family: &str) {
    let bundle = Bundle::read(&folder.join(format!("{family}.zip"))).unwrap();
    let kept = fs::read_to_string(folder.join(format!("{family}-contributions.csv"))).unwrap();
    let mut lines = kept.lines();
    let columns: Vec<&str> = lines.next().unwrap().split(',').skip(2).collect();
    let raw: Vec<&str> = bundle.scorer.schema().inputs.iter().map(|c| c.name.as_str()).collect();
    // Another order of columns would move contributions unseen.
    assert_eq!(raw, columns, "{family}");
    let expected: Vec<Vec<f64>> =
        lines.map(|line| line.split(',').skip(1).map(|cell| cell.parse().unwrap()).collect()).collect();
    let address = folder.join("rows.csv").to_string_lossy().into_owned();
    let mut reader = source::open(&address, &ReadOptions::default()).unwrap();
    let mut n_rows = 0;
    while let Some(batch) = reader.next_batch().unwrap() {
        let source = RowSource { is_text: reader.is_text(), first_row: n_rows };
        let found = bundle.scorer.attribute_rows(&batch, source).unwrap();
        for row in 0..batch.num_rows() {
            let told = [&found.base[..], found.of(row, 0)].concat();
            for ((what, told), kept) in ["base"].iter().chain(&columns).zip(&told).zip(&expected[n_rows + row]) {
                let place = format!("{family}, row {}, {what}", n_rows + row + 1);
                assert!((told - kept).abs() <= CONTRIBUTIONS_WITHIN, "{place}: {told} for {kept}");
            }
        }
        n_rows += batch.num_rows();
    }
    assert_eq!(n_rows, expected.len(), "{family}");
    assert_eq!(ATTRIBUTIONS, 2, "kept contributions are of another version; write them again");
}
