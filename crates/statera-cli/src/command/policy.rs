//! `statera policy`.

use super::{judgement, reading};
use crate::args::Policy;
use crate::console::Console;
use serde_json::json;
use statera::bundle::Bundle;
use statera::decision::Own;
use statera::{judge, policy, reasons, recourse};
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
    let rules = args.rules.as_ref().map(|path| Own::read(path, judge::parse_rules)).transpose()?;
    let policy = args.policy.as_ref().map(|path| Own::read(path, policy::Policy::parse)).transpose()?;
    let reasons = args.reasons.as_ref().map(|path| Own::read(path, reasons::Reasons::parse)).transpose()?;
    let recourse = args.recourse.as_ref().map(|path| Own::read(path, recourse::Recourse::parse)).transpose()?;
    let bundle = Bundle::read(&args.bundle)?;
    let before = bundle.deciding.clone();
    let mut bundle = bundle.decided_by(
        policy.as_ref().map(|p| p.text.as_str()),
        reasons.as_ref().map(|r| r.text.as_str()),
        recourse.as_ref().map(|r| r.text.as_str()),
    )?;
    let mut notes = match (&bundle.deciding.recourse, &bundle.deciding.reasons) {
        (Some(recourse), Some(reasons)) if bundle.deciding != before => recourse.read.disagreements(&reasons.read),
        _ => Vec::new(),
    };
    notes.extend(policy.and_then(|_| bundle.review_note()).map(|note| note.english()));
    if rules.is_some() {
        bundle.deciding.rules = rules;
    }
    if let Some(data) = &args.data {
        let mut options = reading::options(&args.reading)?;
        if options.tz.is_none() {
            options.tz = Some(bundle.scorer.schema().tz.clone());
        }
        let (table, _) = reading::table(data, &options, run)?;
        let judgement = judge::judge(&bundle, &table, &args.protected, run)?;
        let had_frontier = bundle.deciding.judgement.as_ref().is_some_and(|j| j.frontier.is_some());
        if had_frontier && judgement.frontier.is_none() {
            notes.push(
                "what other candidates would do is left out: the training found it for other protected columns or by other rules"
                    .into(),
            );
        }
        bundle.deciding.judgement = Some(judgement);
    } else if before.judgement.is_some() && bundle.deciding.judgement.is_none() {
        console.note("what the former policy came to is left out of the new bundle; --data judges the new one");
    }
    notes.iter().for_each(|note| console.note(note));
    let is_changed = bundle.deciding != before;
    if let Some(out) = &args.out {
        if !is_changed {
            return Err(Error::request(format!(
                "nothing was given that {} does not hold already; {} would be a copy of it",
                args.bundle.display(),
                out.display()
            ))
            .into());
        }
        bundle.write(out, args.force, run)?;
    } else if is_changed && args.data.is_none() {
        console.note("nothing was written: name the new bundle with --out");
    }
    let deciding = &bundle.deciding;
    if console.json {
        let cutoffs = deciding.policy.as_ref().map(|(_, fitted)| fitted.cutoffs);
        let judgement = deciding.judgement.as_ref().filter(|_| args.data.is_some());
        return console
            .print_json(&json!({ "bundle": args.out, "cutoffs": cutoffs, "judgement": judgement, "notes": notes }));
    }
    judgement::print(deciding, console);
    if let Some(out) = &args.out {
        console.line(format!("The bundle is {}", out.display()));
    }
    Ok(())
}
