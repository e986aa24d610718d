//! Bundles for the benchmarks of serving: boosting of 100 trees on taiwan that declines a fifth and says why.
//!
//! `cargo run --release -p statera-bench --bin serving_model -- --out DIR [--models N] [--data DIR] [--threads N]`
//!
//! The trees are those of LightGBM's settings (100 of 31 leaves), fitted on four folds of five (row i is in fold i mod 5),
//! calibrated on the fifth; the rest of the bundle is what `train` makes. Its facts are of the model that `train` made
//! before: these bundles are for measuring the server. N bundles differ by the version of their policy alone.

use anyhow::{Context, Result, bail};
use arrow_array::RecordBatch;
use statera::bundle::Bundle;
use statera::given::Given;
use statera::pipeline;
use statera::project::Settings;
use statera::scorer::{Member, RowSource, Scorer};
use statera::training_set::target_by_classes;
use statera_bench::sets::{folder, rows_of};
use statera_core::{Frame, Model, Run, Task};
use statera_data::source::{self, ReadOptions};
use statera_learn::gbdt::GbdtParams;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

const FILE: &str = "taiwan_credit_default/default_of_credit_card_clients.csv.gz";
/// Share of the held-out rows that is declined.
const DECLINED: f64 = 0.2;

struct Options {
    data: PathBuf,
    out: PathBuf,
    models: usize,
    threads: usize,
}

fn main() -> Result<()> {
    let options = options()?;
    rayon::ThreadPoolBuilder::new().num_threads(options.threads).build_global()?;
    let run = Run::new(1, options.threads);
    let mut bundle = with_hundred_trees(&options, &run)?;
    let cutoff = bundle.1;
    std::fs::create_dir_all(&options.out)?;
    for number in 1..=options.models {
        let policy = format!("version = \"serving-{number}\"\n[decision]\nby = \"cutoff\"\ndecline_from = {cutoff}\n");
        bundle.0 = bundle.0.decided_by(Some(&policy), Some(REASONS), None)?;
        let path = options.out.join(format!("taiwan-{number}.zip"));
        bundle.0.write(&path, true, &run)?;
        println!("{}\t{}", path.display(), bundle.0.digest()?);
    }
    Ok(())
}

/// The bundle of `train` with another model in it, and from which probability on a fifth of the held-out rows is.
fn with_hundred_trees(options: &Options, run: &Run) -> Result<(Bundle, f64)> {
    let address = options.data.join(FILE);
    let table = source::read_table(&address.to_string_lossy(), &ReadOptions::default(), run)?;
    let settings = Settings {
        target: "class".into(),
        positive: Some("1".into()),
        drop: vec!["ID".into()],
        models: vec!["boosting".into()],
        test_share: 0.0,
        ..Settings::default()
    };
    let (train, held) = (rows_of(&table, |row| row % 5 != 0)?, rows_of(&table, |row| row % 5 == 0)?);
    let bundle = pipeline::train(train.clone(), &settings, &BTreeMap::new(), &Given::default(), run)?.bundle;
    let Member { preparer, family, .. } = bundle.scorer.members()[0].clone();
    let schema = bundle.scorer.schema().clone();
    let prepared = |rows: &RecordBatch| -> Result<Frame> {
        let target = target_by_classes(rows, "class", Task::Binary, &schema.classes)?;
        let inputs = bundle.scorer.inputs(rows, RowSource::default())?;
        Ok(Frame { target, ..preparer.transform(&inputs)? })
    };
    let (train, test) = (prepared(&train.batches[0])?, prepared(&held.batches[0])?);
    let nothing = Frame { spec: train.spec.clone(), ..Frame::default() };
    let model = GbdtParams::lightgbm_parity().fit_model(&train, &nothing, run)?;
    let margins = model.predict(&test)?.margins;
    let calibrator = statera_learn::calibration::fit(Task::Binary, &margins, &test.target, None, 1)?;
    let member = Member { family, weight: 1, preparer, model: Arc::new(model) };
    let scorer = Scorer::new(schema, vec![member], calibrator)?;
    let mut probabilities = scorer.score(&held.batches[0])?.probabilities;
    probabilities.sort_by(f64::total_cmp);
    let cutoff = probabilities[((1.0 - DECLINED) * probabilities.len() as f64) as usize];
    println!("declined from\t{cutoff}");
    Ok((Bundle { scorer, ..bundle }, cutoff))
}

fn options() -> Result<Options> {
    let mut options = Options { data: folder(), out: "serving".into(), models: 1, threads: 2 };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().with_context(|| format!("{word} needs a value"));
        match word.as_str() {
            "--data" => options.data = value()?.into(),
            "--out" => options.out = value()?.into(),
            "--models" => options.models = value()?.parse()?,
            "--threads" => options.threads = value()?.parse()?,
            other => bail!("«{other}» is not one of --data, --out, --models, --threads"),
        }
    }
    Ok(options)
}

const REASONS: &str = r#"version = "serving"
max_reasons = 4
[[reason]]
code = "late"
columns = ["PAY_0", "PAY_2", "PAY_3", "PAY_4", "PAY_5", "PAY_6"]
direction = "against"
en = "Payments were late in recent months"
ko = "최근 몇 달간 납부가 늦었습니다"
zh = "最近几个月还款有延迟"
[[reason]]
code = "owed"
columns = ["BILL_AMT1", "BILL_AMT2", "BILL_AMT3", "BILL_AMT4", "BILL_AMT5", "BILL_AMT6"]
actionable = true
en = "The amounts owed on your card in recent months"
ko = "최근 몇 달간 카드 청구 금액"
zh = "最近几个月的信用卡账单金额"
[[reason]]
code = "paid"
columns = ["PAY_AMT1", "PAY_AMT2", "PAY_AMT3", "PAY_AMT4", "PAY_AMT5", "PAY_AMT6"]
actionable = true
en = "The amounts you paid back in recent months"
ko = "최근 몇 달간 상환하신 금액"
zh = "最近几个月的还款金额"
[[reason]]
code = "limit"
columns = ["LIMIT_BAL"]
en = "The credit line that you have with us"
ko = "당행에서 보유하신 신용 한도"
zh = "您在我行的信用额度"
[[reason]]
code = "person"
columns = ["SEX", "EDUCATION", "MARRIAGE", "AGE"]
en = "Your personal circumstances as stated in the application"
ko = "신청서에 기재하신 개인 사정"
zh = "您在申请中填写的个人情况"
"#;
