//! `statera policy`.

use super::reading;
use crate::args::Policy;
use crate::console::{Console, count};
use serde_json::json;
use statera::bundle::Bundle;
use statera::judge::{self, Judgement};
use statera::{policy, reasons, recourse};
use statera_core::fairness::{GroupFigures, Judged, Rules, Verdict};
use statera_core::metric::Interval;
use statera_core::{Error, Run};

pub fn run(args: &Policy, console: &Console, run: &Run) -> anyhow::Result<()> {
    if let Some(out) = &args.out {
        Bundle::check_place(out, args.force)?;
    }
    let is_changed = args.policy.is_some() || args.reasons.is_some() || args.recourse.is_some();
    if !is_changed && args.data.is_none() {
        return Err(Error::request(
            "nothing to do: give --policy, --reasons or --recourse, or --data to judge the bundle's policy",
        )
        .into());
    }
    let rules = args.rules.as_ref().map_or_else(|| Ok(Rules::default()), |path| judge::read_rules(path))?;
    let policy = args.policy.as_ref().map(|path| policy::Policy::read(path)).transpose()?;
    let reasons = args.reasons.as_ref().map(|path| reasons::Reasons::read(path)).transpose()?;
    let recourse = args.recourse.as_ref().map(|path| recourse::Recourse::read(path)).transpose()?;
    let bundle = Bundle::read(&args.bundle)?;
    let mut bundle = bundle.decided_by(
        policy.as_ref().map(|p| p.1.as_str()),
        reasons.as_ref().map(|r| r.1.as_str()),
        recourse.as_ref().map(|r| r.1.as_str()),
    )?;
    let notes = match (&bundle.deciding.recourse, &bundle.deciding.reasons) {
        (Some(recourse), Some(reasons)) if is_changed => recourse.read.disagreements(&reasons.read),
        _ => Vec::new(),
    };
    notes.iter().for_each(|note| console.note(note));
    let judgement = match &args.data {
        None => None,
        Some(data) => {
            let mut options = reading::options(&args.reading)?;
            if options.tz.is_none() {
                options.tz = Some(bundle.scorer.schema().tz.clone());
            }
            let (table, _) = reading::table(data, &options, run)?;
            Some(judge::judge(&bundle, &table, &args.protected, &rules)?)
        }
    };
    if let Some(out) = &args.out {
        bundle.write(out, args.force, run)?;
    } else if is_changed && judgement.is_none() {
        console.note("nothing was written: name the new bundle with --out");
    }
    if console.json {
        let cutoffs = bundle.deciding.policy.as_ref().map(|(_, fitted)| fitted.cutoffs);
        return console
            .print_json(&json!({ "bundle": args.out, "cutoffs": cutoffs, "judgement": judgement, "notes": notes }));
    }
    if let Some((own, fitted)) = &bundle.deciding.policy {
        let cutoffs = fitted.cutoffs;
        let review = if cutoffs.review_from < cutoffs.decline_from {
            format!("reviewed from {:.4}, ", cutoffs.review_from)
        } else {
            String::new()
        };
        console.paragraph(format!(
            "Policy {}: approved below a probability of {:.4}, {review}declined from {:.4}",
            own.read.version, cutoffs.review_from, cutoffs.decline_from
        ));
    }
    if let Some(judgement) = &judgement {
        print(judgement, console);
    }
    if let Some(out) = &args.out {
        console.line(format!("The bundle is {}", out.display()));
    }
    Ok(())
}

fn print(judgement: &Judgement, console: &Console) {
    if judgement.is_training_table {
        console.note("this is the table the model was trained on; the figures flatter it");
    }
    let [approved, reviewed, declined] = judgement.shares.map(percent);
    console.paragraph(format!(
        "{} rows: {approved} approved, {reviewed} reviewed, {declined} declined",
        count(judgement.n_rows as f64)
    ));
    if !judgement.grades.is_empty() {
        let rows = judgement.grades.iter().map(|g| {
            let share = |v: Option<f64>| v.map_or("–".into(), percent);
            vec![g.grade.clone(), count(g.n_rows as f64), share(g.predicted), share(g.observed)]
        });
        console.table(&["Grade", "Rows", "Predicted", "Observed"], rows.collect());
    }
    what_if(judgement, console);
    if judgement.fairness.is_empty() {
        return;
    }
    console.paragraph(format!(
        "Groups, judged by the rules {} (* fails, ? the rows cannot tell, – too small to be judged)",
        judgement.rules.version
    ));
    console.table(
        &["Group", "Rows", "Approved", "Of reference", "AUC", "Calibration", "Good declined", "Bad approved"],
        judgement.fairness.iter().map(group).collect(),
    );
}

fn what_if(judgement: &Judgement, console: &Console) {
    let with_value = judgement.what_if.iter().any(|w| w.model.value.is_some());
    let with_baseline = judgement.what_if.iter().any(|w| w.baseline.is_some());
    let mut header = vec!["Cut-off", "Approved", "Bad rate"];
    header.extend(with_value.then_some("Value a row"));
    header.extend(with_baseline.then_some("Bad rate, present score"));
    let rows = judgement.what_if.iter().enumerate().map(|(i, w)| {
        let mark = if i == 0 { " (the policy's)" } else { "" };
        let cutoff = if w.cutoff > 1.0 { "none".into() } else { format!("{:.4}", w.cutoff) };
        let mut row = vec![format!("{cutoff}{mark}"), percent(w.model.approval_rate), percent(w.model.bad_rate)];
        if with_value {
            row.push(w.model.value.map_or("–".into(), |v| format!("{v:.4}")));
        }
        if with_baseline {
            row.push(w.baseline.map_or("–".into(), |b| percent(b.bad_rate)));
        }
        row
    });
    console.table(&header, rows.collect());
}

fn group(figures: &GroupFigures) -> Vec<String> {
    let judged = |judged: Option<Judged>, shown: &dyn Fn(f64) -> String| {
        judged.map_or("–".into(), |j| {
            let mark = match j.verdict {
                Verdict::Fails => " *",
                Verdict::Unclear => " ?",
                Verdict::Holds | Verdict::NotJudged => "",
            };
            format!("{}{mark}", shown(j.figure.value))
        })
    };
    let with_mark = |value: Option<Interval>, gap: Option<Judged>, shown: &dyn Fn(f64) -> String| {
        let mark = match gap.map(|g| g.verdict) {
            Some(Verdict::Fails) => " *",
            Some(Verdict::Unclear) => " ?",
            _ => "",
        };
        value.map_or("–".into(), |i| format!("{}{mark}", shown(i.value)))
    };
    let plain = |v: f64| format!("{v:.3}");
    let name = match (figures.is_reference, figures.is_small) {
        (true, _) => format!("{} (reference)", figures.group),
        (_, true) => format!("{} –", figures.group),
        _ => figures.group.clone(),
    };
    vec![
        name,
        count(figures.n_rows as f64),
        percent(figures.approval_rate.value),
        judged(figures.approval_ratio, &plain),
        with_mark(figures.auc, figures.auc_gap, &plain),
        judged(Some(figures.calibration_gap), &|v| format!("{v:+.3}")),
        with_mark(figures.false_positive_rate, figures.false_positive_gap, &percent),
        with_mark(figures.false_negative_rate, figures.false_negative_gap, &percent),
    ]
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}
