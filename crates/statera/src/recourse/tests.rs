//! Recourse by hand: a model whose margin is 0.001 · debt − 0.002 · income (+ 0.6 for renters), approved below 0.

use super::*;
use crate::background::BackgroundRows;
use crate::bundle::{Bundle, FORMAT_VERSION, Manifest};
use crate::decision::Deciding;
use crate::reasons::Language;
use crate::reference::Reference;
use crate::scorer::{Member, RowSource, Schema};
use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use statera_core::{Attributions, Background, Form, Frame, Model, Parts, Scores, Task};
use statera_data::preparer::{Preparer, PreparerParams};
use statera_learn::calibration::Calibrator;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// 0.001 · debt − 0.002 · income + 0.6 for renters, missing numbers as 0; age and months since a payment was late count nothing.
struct Known;

impl Model for Known {
    fn predict(&self, frame: &Frame) -> Result<Scores> {
        let number = |i: usize| -> Vec<f64> {
            match &frame.columns[i] {
                statera_core::Column::Number(v) => v.iter().map(|v| if v.is_nan() { 0.0 } else { *v }).collect(),
                statera_core::Column::Codes(_) => panic!("column {i} is a number"),
            }
        };
        let (debt, income) = (number(0), number(1));
        let statera_core::Column::Codes(housing) = &frame.columns[2] else { panic!("housing is a category") };
        let spec = frame.spec.features[2].levels.as_ref().expect("levels");
        let rent = statera_core::FIRST_LEVEL + spec.iter().position(|l| l == "rent").expect("renters") as u32;
        let margin = |i: usize| 0.001 * debt[i] - 0.002 * income[i] + if housing[i] == rent { 0.6 } else { 0.0 };
        Ok(Scores { n_outputs: 1, margins: (0..frame.n_rows).map(margin).collect() })
    }
    fn attribute(&self, frame: &Frame, _: &Background) -> Result<Attributions> {
        let margins = self.predict(frame)?.margins;
        let values = margins.iter().flat_map(|m| [*m, 0.0, 0.0, 0.0, 0.0]).collect();
        Ok(Attributions { n_outputs: 1, n_raw: 5, base: vec![0.0], values, remainder: Vec::new() })
    }
    fn save(&self) -> Parts {
        Parts::default()
    }
    fn describe(&self) -> Vec<(String, String)> {
        Vec::new()
    }
    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

/// A customer.
#[derive(Clone, Copy)]
struct Row {
    debt: Option<i64>,
    income: f64,
    housing: &'static str,
    age: i64,
    months: i64,
}

/// Margin 0.001 · 3000 − 0.002 · 1000 = 1: declined.
const DECLINED: Row = Row { debt: Some(3000), income: 1000.0, housing: "own", age: 40, months: 12 };

fn batch(rows: &[Row]) -> RecordBatch {
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("debt", Arc::new(rows.iter().map(|r| r.debt).collect::<Int64Array>())),
        ("income", Arc::new(Float64Array::from_iter_values(rows.iter().map(|r| r.income)))),
        ("housing", Arc::new(StringArray::from_iter_values(rows.iter().map(|r| r.housing)))),
        ("age", Arc::new(Int64Array::from_iter_values(rows.iter().map(|r| r.age)))),
        ("months", Arc::new(Int64Array::from_iter_values(rows.iter().map(|r| r.months)))),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, a)| (n, a, true))).expect("equal lengths")
}

const KINDS: [(&str, Kind); 5] = [
    ("debt", Kind::Number),
    ("income", Kind::Number),
    ("housing", Kind::Category),
    ("age", Kind::Number),
    ("months", Kind::Number),
];

/// 1,001 customers: debts 0, 10 … 10,000, so that the spread is 9,000; incomes 500.00, 502.50 … 3,000.00, spread 2,250.
fn customers() -> Vec<Row> {
    let row = |i: i64| Row {
        debt: Some(10 * i),
        income: 500.0 + 2.5 * ((i * 5) % 1001) as f64,
        housing: ["own", "rent"][(i % 2) as usize],
        age: 20 + i % 50,
        months: if i % 10 == 0 { 999 } else { i % 60 },
    };
    (0..=1000).map(row).collect()
}

/// The bundle with one background row, an approved one, of a reach that lets everything in unless a test narrows it.
fn bundle(recourse: &str, prototype: Row, reach: f64) -> Result<Bundle> {
    let table = batch(&customers());
    let arrow = table.schema();
    let inputs = KINDS.iter().zip(arrow.fields()).map(|((name, kind), field)| InputColumn {
        name: (*name).into(),
        kind: *kind,
        data_type: field.data_type().clone(),
        text: None,
    });
    let sentinels: BTreeMap<String, Vec<String>> = [("months".to_string(), vec!["999".to_string()])].into();
    let schema = Schema {
        task: Task::Binary,
        target: "bad".into(),
        classes: vec!["0".into(), "1".into()],
        inputs: inputs.collect(),
        id: None,
        time: None,
        tz: "UTC".into(),
        sentinels: sentinels.clone(),
        units: BTreeMap::new(),
        sensitivity: BTreeMap::new(),
        purposes: BTreeMap::new(),
        purpose: String::new(),
    };
    let columns = KINDS.iter().map(|(name, kind)| ((*name).to_string(), *kind)).collect();
    let params = PreparerParams { form: Form::Codes, columns, sentinels, ..PreparerParams::default() };
    let preparer = Preparer::fit(&params, &table, &(0..table.num_rows()).collect::<Vec<_>>(), None)?;
    let mut reference = Reference::of(&table, &schema.inputs)?;
    reference.margins = vec![(-50..=50).map(f64::from).collect()];
    let member = Member { family: "known", weight: 1, preparer: Arc::new(preparer), model: Arc::new(Known) };
    let scorer = Scorer::new(schema, vec![member], Calibrator::Platt { a: 1.0, b: 0.0 })?;
    let background = BackgroundRows { rows: batch(&[prototype]), n_rows: vec![10], reach: vec![reach] };
    let manifest = Manifest {
        format_version: FORMAT_VERSION,
        software: "test".into(),
        seed: 1,
        family: "known".into(),
        data_fingerprint: String::new(),
        parents: Vec::new(),
        parts: BTreeMap::new(),
    };
    let (facts, run) = (serde_json::Value::Null, serde_json::Value::Null);
    let bundle = Bundle {
        manifest,
        scorer,
        reference,
        background: Some(background),
        windows: None,
        network: None,
        facts,
        deciding: Deciding::default(),
        run,
    };
    let policy = "version = \"p\"\n[decision]\nby = \"cutoff\"\ndecline_from = 0.5\n";
    bundle.decided_by(Some(policy), None, Some(recourse))
}

const APPROVED: Row = Row { debt: Some(500), income: 2000.0, housing: "own", age: 40, months: 12 };

fn find(recourse: &str, row: Row) -> Found {
    let bundle = bundle(recourse, APPROVED, 1.0).expect("a bundle");
    found(&bundle, row)
}

fn found(bundle: &Bundle, row: Row) -> Found {
    let searcher = Searcher::new(bundle).expect("a searcher").expect("a recourse");
    searcher.find(&batch(&[row]), RowSource::default(), Duration::from_secs(60)).expect("a search").expect("declined")
}

/// The changes of each answer, as `column: from → to`.
fn told(found: &Found) -> Vec<String> {
    let change = |c: &Change| format!("{}: {} → {}", c.column, c.from, c.to);
    found.answers.iter().map(|a| a.changes.iter().map(change).collect::<Vec<_>>().join("; ")).collect()
}

const DEBT: &str = "version = \"r1\"\n[[change]]\ncolumn = \"debt\"\ndirection = \"decrease\"\nmin = 0\n";
const INCOME: &str = "[[change]]\ncolumn = \"income\"\ndirection = \"increase\"\n";

#[test]
fn the_smallest_change_is_found_to_the_last_unit() {
    // Margin 1: a debt of 2,000 leaves 0, which is declined; 1,999 is approved. An income of 1,500 leaves 0; the percentiles of
    // incomes are whole numbers, so that 1,501 is the least that is approved. Both alone, the cheaper by spread first: 1,001 of
    // 9,000 against 501 of 2,250.
    let one = find(&format!("{DEBT}{INCOME}"), DECLINED);
    assert_eq!(one.outcome, Outcome::Found);
    assert_eq!(told(&one), ["debt: 3000 → 1999", "income: 1000 → 1501"]);
    assert!((one.answers[0].cost - 1001.0 / 9000.0).abs() < 1e-12, "{}", one.answers[0].cost);
    assert!((one.answers[1].cost - 501.0 / 2250.0).abs() < 1e-12, "{}", one.answers[1].cost);
    // Scored again: the sigmoid of −0.001 and of −0.002.
    assert!((one.answers[0].score - 1.0 / (1.0 + 0.001f64.exp())).abs() < 1e-12);
    assert!((one.answers[1].score - 1.0 / (1.0 + 0.002f64.exp())).abs() < 1e-9);
    assert!(one.is_shortest && one.answers.iter().all(|a| a.score < 0.5 && a.distance <= a.reach));
    assert_eq!((one.changeable.join(","), one.history.join(",")), ("debt,income".into(), "housing,age,months".into()));
    // The same again: nothing depends on anything but the row.
    assert_eq!(find(&format!("{DEBT}{INCOME}"), DECLINED), one);
}

#[test]
fn steps_and_bounds_are_kept() {
    // Multiples of 250: 2,000 is not enough, 1,750 is, wherever the debt was.
    assert_eq!(told(&find(&format!("{DEBT}step = 250\n"), DECLINED)), ["debt: 3000 → 1750"]);
    let odd = Row { debt: Some(3030), ..DECLINED };
    assert_eq!(told(&find(&format!("{DEBT}step = 250\n"), odd)), ["debt: 3030 → 1750"]);
    let odd = Row { income: 1013.75, ..DECLINED };
    assert_eq!(told(&find(&format!("version = \"r\"\n{INCOME}step = 100\n"), odd)), ["income: 1013.75 → 1600"]);
    // Between 1,760 and 1,990 there is no multiple of 250.
    let none = format!("{DEBT}step = 250\nmax = 1990\n").replace("min = 0", "min = 1760");
    assert_eq!(find(&none, DECLINED).outcome, Outcome::NothingToChange);
    // Income may rise to 1,400 only, which leaves 0.2: the debt must fall too, below 3,000 − 200.
    let both =
        find(&format!("{DEBT}step = 10\n{INCOME}step = 100\nmax = 1400\n").replace("min = 0", "min = 2200"), DECLINED);
    assert_eq!(both.outcome, Outcome::Found);
    let answer = &both.answers[0];
    assert_eq!(answer.changes.len(), 2, "{both:?}");
    let to = |column: &str| -> f64 { answer.changes.iter().find(|c| c.column == column).unwrap().to.parse().unwrap() };
    let (debt, income) = (to("debt"), to("income"));
    assert!((2200.0..=3000.0).contains(&debt) && income <= 1400.0 && debt % 10.0 == 0.0 && income % 100.0 == 0.0);
    assert!(0.001 * debt - 0.002 * income < 0.0, "{debt} {income}");
    // No smaller one on either axis turns it.
    assert!(0.001 * (debt + 10.0) - 0.002 * income >= 0.0 && 0.001 * debt - 0.002 * (income - 100.0) >= 0.0);
    // Up is the wrong way for a debt.
    let up = find(&DEBT.replace("decrease", "increase").replace("min = 0\n", ""), DECLINED);
    assert_eq!((up.outcome, up.answers.len()), (Outcome::NoneTurns { is_complete: true }, 0));
    // Not beyond the training's 99th percentile, 9,900, where the bank names no bound: a row beyond it stays.
    let far = Row { debt: Some(9950), ..DECLINED };
    assert_eq!(
        find(&DEBT.replace("decrease", "increase").replace("min = 0\n", ""), far).outcome,
        Outcome::NothingToChange
    );
}

#[test]
fn a_row_outside_the_bounds_is_asked_to_come_inside() {
    // Debts may be 500 to 1,000; what turns the decision of a debt of 3,000 is 1,000, the nearest that is allowed.
    let inside = find(&format!("{DEBT}max = 1000\n").replace("min = 0", "min = 500"), DECLINED);
    assert_eq!(told(&inside), ["debt: 3000 → 1000"]);
}

#[test]
fn levels_are_changed_to_those_that_are_allowed() {
    // A renter of margin 0.3 is declined for renting alone.
    let renter = Row { debt: Some(1700), housing: "rent", ..DECLINED };
    let file = "version = \"r\"\n[[change]]\ncolumn = \"housing\"\nlevels = [\"own\", \"rent\"]\n";
    let home = find(file, renter);
    assert_eq!(told(&home), ["housing: rent → own"]);
    assert_eq!(home.answers[0].cost, 1.0);
    assert_eq!(find(&file.replace("\"own\", ", ""), renter).outcome, Outcome::NothingToChange);
    // An owner of margin 1 cannot do better with housing.
    assert_eq!(find(file, DECLINED).outcome, Outcome::NoneTurns { is_complete: true });
}

#[test]
fn rules_between_columns_hold() {
    let rule = |text: &str| format!("{DEBT}{INCOME}[[rule]]\nkeep = \"{text}\"\n");
    // Debt must stay at least the income's number: 1,999 keeps that, and an income of 1,501 too.
    assert_eq!(find(&rule("debt >= income"), DECLINED).answers.len(), 2);
    // Debt at most the income: 1,000 breaks nothing, 1,999 does; an income of 3,000 is beyond the training's 2,975.
    let below = find(&rule("debt <= income"), DECLINED);
    assert_eq!(told(&below), ["debt: 3000 → 1000"]);
    // A rule about a level of history keeps the debt from changing, not the income, of which it does not speak.
    assert_eq!(told(&find(&rule("debt >= 2500"), DECLINED)), ["income: 1000 → 1501"]);
    // What the row itself breaks is no matter of a change elsewhere.
    let broken = Row { debt: Some(2400), ..DECLINED };
    assert_eq!(told(&find(&rule("debt >= 2500"), broken)), ["income: 1000 → 1201"]);
}

#[test]
fn history_missing_cells_and_sentinels_stay() {
    let file = format!("{DEBT}[[change]]\ncolumn = \"months\"\nmax = 2000\n");
    let bundle = bundle(&file, APPROVED, 1.0).expect("a bundle");
    // A renter without income, of margin 0.6: no debt is known that could fall, and 999 is no number of months.
    let missing = Row { debt: None, income: 0.0, housing: "rent", months: 999, ..DECLINED };
    assert_eq!(found(&bundle, missing).outcome, Outcome::NothingToChange);
    assert_eq!(found(&bundle, Row { months: 12, ..missing }).outcome, Outcome::NoneTurns { is_complete: true });
    // Whatever is found names changeable columns only.
    for row in customers().into_iter().step_by(37).filter(|r| 0.001 * r.debt.unwrap() as f64 - 0.002 * r.income >= 0.0)
    {
        for answer in found(&bundle, row).answers {
            assert!(answer.changes.iter().all(|c| ["debt", "months"].contains(&c.column.as_str()) && c.to != "999"));
        }
    }
}

#[test]
fn changes_that_end_far_from_approved_customers_are_refused() {
    // The one approved background row lies at a debt of 500. With this reach, in fifths of a difference of one column, a debt may be
    // 450 away from there: 1,999 would turn the decision, 950 is the nearest that is plausible.
    let reach = (450.0 / 9000.0 + 1000.0 / 2250.0) / 5.0;
    let file = format!("{DEBT}step = 50\n");
    let near = found(&bundle(&file, APPROVED, reach).unwrap(), DECLINED);
    assert_eq!(told(&near), ["debt: 3000 → 950"]);
    assert!((near.answers[0].distance - reach).abs() < 1e-12 && near.answers[0].reach == reach);
    // The income, which is history, is 1,000 of 2,250 away: a reach below a fifth of that is out of the question.
    let history = found(&bundle(&file, APPROVED, 0.088).unwrap(), DECLINED);
    assert_eq!((history.outcome, history.n_scored), (Outcome::HistoryTooFar, 0));
    // Near enough by history, but the debt may not come near enough.
    let stuck = found(&bundle(&file.replace("min = 0", "min = 1500"), APPROVED, reach).unwrap(), DECLINED);
    assert_eq!((stuck.outcome, stuck.n_scored), (Outcome::NonePlausible, 0));
    let said = stuck.paragraphs(Language::En).remove(0);
    assert!(said.contains("directions, bounds, steps and levels"), "{said}");
    // A background row that is itself declined makes nothing plausible.
    let none = found(&bundle(&file, DECLINED, 1.0).unwrap(), DECLINED);
    assert_eq!(none.outcome, Outcome::NoneApproved);
}

#[test]
fn what_is_in_the_way_is_named() {
    // The approved row owes 500 and earns 2,000; debt alone ends 1,000 of 2,250 away, income alone 2,500 of 9,000: one column is
    // too far, both are near.
    let file = format!("{DEBT}{INCOME}");
    let reach = 0.25 / 5.0;
    let of = |max_changes: usize, more: &str| {
        let file = file.replace("version = \"r1\"", &format!("version = \"r1\"\nmax_changes = {max_changes}")) + more;
        found(&bundle(&file, APPROVED, reach).unwrap(), DECLINED)
    };
    let one = of(1, "");
    assert_eq!((one.outcome, one.n_scored), (Outcome::MaxChanges { needed: 2 }, 0));
    let said = one.paragraphs(Language::En);
    assert!(said[0].contains("at least 2 columns would have to change at once, and at most 1 may"), "{said:?}");
    let both = of(2, "");
    assert_eq!(both.outcome, Outcome::Found);
    assert!(both.answers.iter().all(|a| a.changes.len() == 2 && a.distance <= a.reach + 1e-9));
    // A rule that no plausible change keeps: it is the rule that is in the way.
    let ruled = of(2, "[[rule]]\nkeep = \"debt >= 2900\"\n");
    assert_eq!((ruled.outcome, ruled.n_scored), (Outcome::NoneWithinRules, 0));
    assert!(ruled.paragraphs(Language::En)[0].contains("breaks a rule of the bank"));
    // More columns than an answer may change were not tried, and that is said.
    let few = format!("max_changes = 1\n{DEBT}{INCOME}max = 1400\n").replace("min = 0", "min = 2200");
    let none = find(&few, DECLINED);
    assert_eq!(none.outcome, Outcome::NoneTurns { is_complete: true });
    assert!(none.paragraphs(Language::En)[0].contains("(of at most 1 columns at once)"));
}

#[test]
fn a_model_that_is_all_changeable_has_no_history() {
    let of = |language| {
        let found = Found { history: Vec::new(), ..find(DEBT, DECLINED) };
        found.paragraphs(language).pop().unwrap()
    };
    assert_eq!(of(Language::En), "Every column of the model may change: debt.");
    assert_eq!(of(Language::Ko), "모형의 모든 항목을 변경할 수 있습니다: debt.");
    assert_eq!(of(Language::Zh), "模型的全部项目都可以改变：debt。");
}

#[test]
fn time_that_ran_out_is_told_from_a_search_that_ended() {
    let bundle = bundle(DEBT, APPROVED, 1.0).unwrap();
    let searcher = Searcher::new(&bundle).unwrap().unwrap();
    let one = batch(&[DECLINED]);
    let found = searcher.find(&one, RowSource::default(), Duration::ZERO).unwrap().unwrap();
    assert_eq!((found.outcome, found.answers.len(), found.n_scored), (Outcome::TimeRanOut, 0, 0));
    let said = found.paragraphs(Language::En);
    assert_eq!(said[0], "No change that leads to approval was found within 0 seconds; there may be one.");
    assert!(said[1].starts_with("May change: debt. History, which stays as it is: income, housing"), "{said:?}");
    // An approved row needs none.
    assert_eq!(searcher.find(&batch(&[APPROVED]), RowSource::default(), Duration::from_secs(9)).unwrap(), None);
}

#[test]
fn no_more_columns_than_needed_change() {
    // Debt and income must both move; months and age count nothing and stay.
    let file = format!("{DEBT}{INCOME}max = 1400\n[[change]]\ncolumn = \"months\"\n[[change]]\ncolumn = \"age\"\n")
        .replace("min = 0", "min = 2200");
    let both = find(&file, DECLINED);
    assert!(
        both.answers.iter().all(|a| a.changes.iter().map(|c| c.column.as_str()).eq(["debt", "income"])),
        "{both:?}"
    );
    assert_eq!(both.answers.len(), 1);
    assert_eq!(find(&file.replace("version = \"r1\"", "version = \"r1\"\nmax_changes = 1"), DECLINED).answers.len(), 0);
}

#[test]
fn people_read_it_in_three_languages() {
    let one = find(DEBT, DECLINED);
    let en = one.paragraphs(Language::En);
    assert_eq!(en[0], "With one of these changes, each scored again, the decision would be approve:");
    assert_eq!(en[1], "1. debt: 3000 → 1999  (score then 0.4998)");
    assert_eq!(en[2], "May change: debt. History, which stays as it is: income, housing, age, months.");
    for (language, words) in [(Language::Ko, ["승인", "이력"]), (Language::Zh, ["批准", "历史"])] {
        let text = one.paragraphs(language).join("\n");
        assert!(words.iter().all(|w| text.contains(w)) && text.contains("debt: 3000 → 1999"), "{text}");
        for outcome in [
            Outcome::TimeRanOut,
            Outcome::WorkRanOut { n_rows: 5_000 },
            Outcome::MaxChanges { needed: 3 },
            Outcome::NoneWithinRules,
            Outcome::NothingToChange,
            Outcome::NoneApproved,
            Outcome::HistoryTooFar,
            Outcome::NonePlausible,
            Outcome::NoneTurns { is_complete: true },
            Outcome::NoneTurns { is_complete: false },
        ] {
            let none = Found { outcome, answers: Vec::new(), ..one.clone() };
            let first = none.paragraphs(language).remove(0);
            assert!(first.contains(words[0]) || first.contains("타당") || first.contains("合理"), "{first}");
            assert!(!first.contains("approv"), "{first}");
        }
    }
}

#[test]
fn files_that_cannot_be_are_refused() {
    let refused = |text: &str, message: &str| {
        let error = bundle(text, APPROVED, 1.0).err().expect(message).to_string();
        assert_eq!(error, message);
    };
    let with = |more: &str| format!("{DEBT}{more}");
    refused(&DEBT.replace("r1", " "), "recourse.toml: version is empty; it names the recourse beside every answer");
    refused("version = \"r\"\nchange = []\n", "recourse.toml: 0 entries of [[change]]; allowed: 1 to 32");
    refused(&format!("max_changes = 5\n{DEBT}"), "recourse.toml: max_changes is 5; allowed: 1 to 4");
    refused(&format!("time_limit_ms = 0\n{DEBT}"), "recourse.toml: time_limit_ms is 0; allowed: 1 to 60000");
    refused(&with("[[change]]\ncolumn = \"debt\"\n"), "recourse.toml: change 2 («debt»): the column is listed twice");
    refused(&with("max = -1\n"), "recourse.toml: change 1 («debt»): min is 0 and max -1; allowed: min up to max");
    refused(&with("step = 0\n"), "recourse.toml: change 1 («debt»): step is 0; allowed: finite numbers above 0");
    refused(
        &with("step = 0.5\n"),
        "recourse.toml: change «debt»: step is 0.5; allowed: multiples of 1, as the column is written",
    );
    refused(
        &with("levels = [\"a\"]\n"),
        "recourse.toml: change «debt»: levels are given, but the column is a number; allowed: min, max and step",
    );
    refused(
        &with("[[change]]\ncolumn = \"pets\"\n"),
        "recourse.toml: change «pets»: the model has no such column; its columns are debt, income, housing, age, months",
    );
    refused(
        &with("[[change]]\ncolumn = \"housing\"\n"),
        "recourse.toml: change «housing»: levels is empty; name the levels that the category may take",
    );
    refused(
        &with("[[change]]\ncolumn = \"housing\"\nlevels = [\"castle\"]\n"),
        "recourse.toml: change «housing»: training saw no level «castle»; allowed: own, rent",
    );
    refused(
        &with("[[change]]\ncolumn = \"housing\"\nlevels = [\"own\"]\nmin = 1\n"),
        "recourse.toml: change «housing»: direction, min, max and step are of numbers; a category has levels",
    );
    refused(
        &with("[[rule]]\nkeep = \"age >\"\n"),
        "recourse.toml: rule 1: «age >», at the end: something is missing; allowed is a value",
    );
    refused(
        &with("[[rule]]\nkeep = \"age > 18\"\n"),
        "recourse.toml: rule 1 («age > 18»): none of its columns can change, so that no change keeps or breaks it",
    );
    refused(
        &with("[[rule]]\nkeep = \"debt < housing\"\n"),
        "recourse.toml: rule 1 («debt < housing»): «debt» is a number and «housing» a category; allowed: columns of one kind",
    );
    refused(
        &with("[[rule]]\nkeep = \"debt < lots\"\n"),
        "recourse.toml: rule 1 («debt < lots»): column «debt» cannot be compared with «lots»; allowed is a finite number",
    );
    let typo = bundle(&DEBT.replace("decrease", "down"), APPROVED, 1.0).err().unwrap().to_string();
    assert!(typo.contains("recourse.toml, line 4 («direction = \"down\"»): unknown variant `down`"), "{typo}");
}

#[test]
fn a_bundle_without_policy_or_background_has_no_recourse() {
    let whole = bundle(DEBT, APPROVED, 1.0).unwrap();
    let bare = Bundle { background: None, deciding: Deciding { recourse: None, ..whole.deciding.clone() }, ..whole };
    let error = bare.decided_by(None, None, Some(DEBT)).err().unwrap().to_string();
    assert!(
        error.starts_with("recourse.toml: the bundle has no background rows, by which changes are told"),
        "{error}"
    );
    let whole = bundle(DEBT, APPROVED, 1.0).unwrap();
    let error = Bundle { deciding: Deciding::default(), ..whole }.decided_by(None, None, Some(DEBT)).err().unwrap();
    assert_eq!(
        error.to_string(),
        "recourse.toml: the bundle has no policy whose decision could be turned; give one with --policy"
    );
}

#[test]
fn disagreements_with_the_reasons_are_told() {
    let reasons = |actionable: [bool; 2]| {
        let [debts, months] = actionable;
        Reasons::parse(&format!(
            "version = \"1\"\n[[reason]]\ncode = \"debts\"\ncolumns = [\"debt\", \"income\"]\nactionable = {debts}\n\
             en = \"Debts are high for this income\"\nko = \"소득에 비해 부채가 많습니다\"\nzh = \"相对收入负债较高\"\n\
             [[reason]]\ncode = \"late\"\ncolumns = [\"months\"]\nactionable = {months}\n\
             en = \"A payment was late recently\"\nko = \"최근 연체가 있었습니다\"\nzh = \"最近有逾期还款\"\n"
        ))
        .unwrap()
    };
    let recourse = Recourse::parse(DEBT).unwrap();
    assert_eq!(recourse.disagreements(&reasons([true, false])), Vec::<String>::new());
    assert_eq!(
        recourse.disagreements(&reasons([false, true])),
        [
            "recourse.toml lets «debt» change, but its reason «debts» is not actionable",
            "reason «late» is actionable, but recourse.toml lets none of its columns change"
        ]
    );
}
