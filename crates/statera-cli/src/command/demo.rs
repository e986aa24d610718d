//! `statera demo`: the main job on the sample bank, told as a story.

mod fraud;

use super::{reading, train};
use crate::args::{Demo, Story as Told};
use crate::console::{Console, count};
use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use serde_json::json;
use statera::given::Given;
use statera::leaderboard::BASELINE;
use statera::pipeline::{self, Trained};
use statera::project::Settings;
use statera::sample::{SampleBank, SampleFiles, expected_auc};
use statera_core::metric::SwapSet;
use statera_core::{Error, ErrorKind, Result, Run};
use statera_data::source::ReadOptions;
use std::collections::HashMap;
use std::path::Path;

/// Share of applicants that the story approves.
const APPROVAL_RATE: f64 = 0.8;

pub fn run(args: &Demo, console: &Console, run: &Run) -> anyhow::Result<()> {
    if args.use_case == Told::Fraud {
        fraud::check_place(args)?;
    }
    let bank = SampleBank { rows: args.rows, seed: args.seed, overwrite: true, ..SampleBank::default() };
    let files = bank.write(&args.out, run)?;
    let interrupted = |e: Error| match e.kind() {
        ErrorKind::Cancelled => {
            let left = match args.use_case {
                Told::Credit => "the bank's tables are complete, a model was not written",
                Told::Fraud => "what has its name there is complete",
            };
            Error::interrupted(format!("interrupted; in {} {left}", args.out.display()))
        }
        _ => e,
    };
    if args.use_case == Told::Fraud {
        let told = fraud::run(args, &files, console, run).map_err(interrupted)?;
        return if console.json { console.print_json(&told) } else { Ok(()) };
    }
    let bundle = args.out.join("credit.statera");
    let trained = train_on(&files, &bundle, args.seed, run).map_err(interrupted)?;
    let story = Story::new(&trained, &files, run)?;
    if console.json {
        return console.print_json(&json!({
            "bundle": bundle, "facts": trained.facts, "attainable_auc_of_test": story.attainable,
            "attained_auc_of_test": story.attained, "baseline_auc_of_test": story.baseline,
        }));
    }
    story.tell(args, &trained, &bundle, console);
    Ok(())
}

fn train_on(files: &SampleFiles, bundle: &Path, seed: u64, run: &Run) -> Result<Trained> {
    let (table, facts) = reading::table(&path_text(&files.applications), &ReadOptions::default(), run)?;
    let mut trained = pipeline::train(table, &settings(seed), &reading::formats(&facts), &Given::default(), run)?;
    trained.bundle.write(bundle, true, run)?;
    Ok(trained)
}

fn path_text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// What the sample bank's columns are for.
fn settings(seed: u64) -> Settings {
    Settings {
        target: "default".into(),
        id: Some("application_id".into()),
        time: Some("application_date".into()),
        baseline: Some("bank_score".into()),
        amount: Some("requested_amount".into()),
        protected: vec!["sex".into(), "age".into()],
        drop: vec!["customer_id".into()],
        missing: [("months_since_delinquency".to_string(), vec!["999".to_string()])].into(),
        approval_rate: Some(APPROVAL_RATE),
        seed,
        ..Settings::default()
    }
}

/// What there is to tell.
struct Story {
    baseline: f64,
    attained: f64,
    attainable: f64,
    applicant: Option<Applicant>,
}

/// An applicant whom the present card and the model judge differently.
struct Applicant {
    id: String,
    bank_score: f64,
    declined_by_card: bool,
    probability: f64,
    reasons: Vec<(String, String, f64)>,
    defaulted: bool,
}

impl Story {
    fn new(trained: &Trained, files: &SampleFiles, run: &Run) -> Result<Story> {
        let auc = |model: &str| {
            let entry = trained.facts.leaderboard.entries.iter().find(|e| e.model == model);
            let measured = entry.and_then(|e| e.test.iter().find(|m| m.name == "auc"));
            measured
                .map(|m| m.interval.value)
                .ok_or_else(|| Error::data("the demo needs a test part; ask for more rows"))
        };
        Ok(Story {
            baseline: auc(BASELINE)?,
            attained: auc(&trained.facts.leaderboard.chosen)?,
            attainable: attainable(trained, files, run)?,
            applicant: applicant(trained)?,
        })
    }

    fn tell(&self, args: &Demo, trained: &Trained, bundle: &Path, console: &Console) {
        let facts = &trained.facts;
        console.paragraph(format!(
            "An invented bank has {} loan applications of three years; {:.1} % of the loans went bad.",
            count(facts.n_rows as f64),
            100.0 * facts.event_rate.unwrap_or_default()
        ));
        console.paragraph(format!(
            "Its old card ranks the latest {} of them with an AUC of {:.3}. Statera trained three models on the time before:\n",
            count(facts.n_test as f64),
            self.baseline
        ));
        train::print_board(trained, console);
        let gain = (self.attained - 0.5) / (self.attainable - 0.5);
        console.paragraph(format!(
            "\nThe new model reaches {:.3} there. The truth behind this bank is known: nobody can expect more than {:.3}; of the way \
             from a coin to that, the old card goes {:.0} % and the model {:.0} %.",
            self.attained,
            self.attainable,
            100.0 * (self.baseline - 0.5) / (self.attainable - 0.5),
            100.0 * gain
        ));
        if let Some(swap) = &facts.swap_set {
            console.paragraph(money(swap));
        }
        if let Some(applicant) = &self.applicant {
            console.paragraph(applicant.tell());
        }
        console.paragraph(format!(
            "\nThe bank's tables and the model ({}) are in {}. Next:",
            bundle.display(),
            args.out.display()
        ));
        let table = args.out.join("applications.csv");
        console.line(format!("  statera score {} {} --out scores.csv", bundle.display(), table.display()));
        console.line(format!(
            "  statera profile {} --target default --time application_date --out profile.html",
            table.display()
        ));
        console.line("  statera train YOUR.csv --target YOUR_COLUMN --out yours.statera");
    }
}

fn money(swap: &SwapSet) -> String {
    let saved = swap.money_avoided.as_ref().map_or(String::new(), |m| {
        format!(", {} less lent to people who do not pay back [{} to {}]", count(m.value), count(m.low), count(m.high))
    });
    format!(
        "Approving the same {:.0} % of applicants, it takes on {} fewer bad loans than the old card [{} to {}]{saved}.",
        100.0 * swap.approval_rate,
        count(swap.bads_avoided.value),
        count(swap.bads_avoided.low),
        count(swap.bads_avoided.high),
    )
}

impl Applicant {
    fn tell(&self) -> String {
        let reasons: Vec<String> =
            self.reasons.iter().map(|(column, value, weight)| format!("{column} {value} ({weight:+.2})")).collect();
        let (card, model) = if self.declined_by_card { ("declines", "approves") } else { ("approves", "declines") };
        let end = if self.defaulted { "The loan went bad." } else { "The loan was paid back." };
        format!(
            "Applicant {}: the old card {card} with {:.0} points, the model {model} with a default probability of {:.1} %, mostly \
             for {} (contributions to the log-odds). {end}",
            self.id,
            self.bank_score,
            100.0 * self.probability,
            reasons.join(", ")
        )
    }
}

/// The AUC that the true probabilities of the test rows can expect.
fn attainable(trained: &Trained, files: &SampleFiles, run: &Run) -> Result<f64> {
    let (table, _) = reading::table(&path_text(&files.truth), &ReadOptions::default(), run)?;
    let (id_at, probability_at) = (table.column("application_id")?, table.column("probability")?);
    let mut truth = HashMap::new();
    for batch in &table.batches {
        let probabilities = batch.column(probability_at).as_primitive::<Float64Type>();
        for (id, probability) in statera::training_set::texts_of(batch.column(id_at)).into_iter().zip(probabilities) {
            truth.insert(id.unwrap_or_default(), probability.unwrap_or(f64::NAN));
        }
    }
    let Some(test) = &trained.test else { return Err(Error::data("the demo needs a test part")) };
    let ids = test.batch.column_by_name("application_id").map(statera::training_set::texts_of).unwrap_or_default();
    let probabilities: Vec<f64> = ids.into_iter().flatten().filter_map(|id| truth.get(&id).copied()).collect();
    expected_auc(&probabilities).ok_or_else(|| Error::data("the truth file does not name the applications"))
}

/// Among the test rows, the one that the card and the model judge most differently at the same approval rate, with the
/// outcome that the model expected; a model is not right about everyone, so the story says how it ended.
fn applicant(trained: &Trained) -> Result<Option<Applicant>> {
    let Some(test) = &trained.test else { return Ok(None) };
    let (Some(score), Some(ids)) = (&test.baseline, test.batch.column_by_name("application_id")) else {
        return Ok(None);
    };
    let scorer = &trained.bundle.scorer;
    let scored = scorer.score(&test.batch)?;
    let n = test.n_rows();
    // Ranks from 0 (least risky) to 1; the card's points fall with risk.
    let model_rank = ranks(&scored.margins);
    let card_rank = ranks(&score.iter().map(|s| -s).collect::<Vec<_>>());
    let differs = |row: usize| (model_rank[row] < APPROVAL_RATE) != (card_rank[row] < APPROVAL_RATE);
    let as_expected = |row: usize| (test.target[row] == 1.0) == (model_rank[row] >= APPROVAL_RATE);
    let gap = |row: usize| (model_rank[row] - card_rank[row]).abs();
    let Some(row) = (0..n).filter(|&r| differs(r) && as_expected(r)).max_by(|&a, &b| gap(a).total_cmp(&gap(b))) else {
        return Ok(None);
    };
    let one = test.batch.slice(row, 1);
    let attributions = scorer.attribute(&one)?;
    let declined = model_rank[row] >= APPROVAL_RATE;
    let mut reasons: Vec<(String, String, f64)> = Vec::new();
    for (name, &weight) in scorer.raw_columns().iter().zip(attributions.of(0, 0)) {
        if (weight > 0.0) == declined {
            let value = one.column_by_name(name).map(statera::training_set::texts_of).unwrap_or_default();
            reasons.push((name.clone(), value.into_iter().next().flatten().unwrap_or("missing".into()), weight));
        }
    }
    reasons.sort_by(|a, b| b.2.abs().total_cmp(&a.2.abs()));
    reasons.truncate(3);
    Ok(Some(Applicant {
        id: statera::training_set::texts_of(ids)[row].clone().unwrap_or_default(),
        bank_score: score[row],
        declined_by_card: card_rank[row] >= APPROVAL_RATE,
        probability: scored.probabilities[row],
        reasons,
        defaulted: test.target[row] == 1.0,
    }))
}

fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]).then(a.cmp(&b)));
    let mut ranks = vec![0.0; values.len()];
    for (rank, row) in order.into_iter().enumerate() {
        ranks[row] = rank as f64 / values.len() as f64;
    }
    ranks
}
