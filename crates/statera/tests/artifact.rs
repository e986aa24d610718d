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
//! `rows.csv` was written by hand. A new format gets a folder of its own; the old ones are never changed.

use statera::bundle::{Bundle, FORMAT_VERSION};
use statera::scorer::RowSource;
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
    let address = folder.join("rows.csv").to_string_lossy().into_owned();
    // Text, as `score` reads it: the bundle says what the cells are.
    let mut reader = source::open(&address, &ReadOptions::default()).unwrap();
    let (mut found, mut decided) = (Vec::new(), Vec::new());
    while let Some(batch) = reader.next_batch().unwrap() {
        let source = RowSource { is_text: reader.is_text(), first_row: found.len() };
        let scored = bundle.scorer.score_rows(&batch, reader.is_text(), found.len()).unwrap();
        let more = bundle.deciding.decide(&bundle.scorer, &batch, &scored, source).unwrap();
        decided.extend(more.into_iter().flatten().map(|d| d.decision.name().to_string()));
        found.extend(scored.probabilities);
    }
    let expected = fs::read_to_string(folder.join(format!("{family}.csv"))).unwrap();
    let decisions: Vec<&str> = expected.lines().skip(1).filter_map(|line| line.split(',').nth(3)).collect();
    assert_eq!(decided, decisions, "{family}: decisions");
    let expected: Vec<f64> =
        expected.lines().skip(1).map(|line| line.split(',').nth(1).unwrap().parse().unwrap()).collect();
    assert!(expected.len() > 5);
    assert_eq!(found.len(), expected.len(), "{family}");
    for (row, (found, expected)) in found.iter().zip(&expected).enumerate() {
        assert_eq!(found.to_bits(), expected.to_bits(), "{family}, row {}: {found} for {expected}", row + 1);
    }
    assert!(expected.iter().any(|p| p != &expected[0]), "{family}: all rows have one score");
}
