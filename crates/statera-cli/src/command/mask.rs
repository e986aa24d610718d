//! `statera mask`.

use super::reading;
use crate::args::Mask;
use crate::console::{Console, count};
use serde_json::json;
use statera::mask::{self, MaskOptions, MaskSummary, RiskChange};
use statera_core::{Error, Run};
use statera_data::mask::risk::Risk;
use statera_data::mask::{Key, Policy};
use statera_data::source::{self, ReadOptions};
use std::path::Path;

pub fn run(args: &Mask, console: &Console, run: &Run) -> anyhow::Result<()> {
    if let Some(file) = &args.new_key {
        return new_key(file, console);
    }
    // The command line requires both where no key is made.
    let (Some(data), Some(policy_file)) = (&args.data, &args.policy) else { return Ok(()) };
    let path = policy_file.display().to_string();
    let text = std::fs::read_to_string(policy_file).map_err(|e| Error::request(format!("{path}: {e}")))?;
    let policy = Policy::parse(&text, &path)?;
    let options = MaskOptions {
        out: args.out.clone(),
        key_file: args.key_file.clone(),
        is_inverse: args.inverse,
        encoding: reading::encoding(&args.encoding)?,
        replace: args.force,
        append: args.append,
    };
    let summary =
        mask::mask(&policy, data, &ReadOptions { tz: args.tz.clone(), ..ReadOptions::default() }, &options, run)?;
    if console.json {
        return console.print_json(&summary);
    }
    print(&summary, args, console);
    Ok(())
}

fn new_key(file: &Path, console: &Console) -> anyhow::Result<()> {
    let check = Key::create(file)?.check();
    if console.json {
        return console.print_json(&json!({ "key_file": file, "key_check": check }));
    }
    console.line(format!("{} is a new key that only you can read; keep a copy in a safe place.", file.display()));
    console.line("Write at the beginning of the policy, so that a wrong key is noticed:");
    console.line(format!("  key_check = \"{check}\""));
    Ok(())
}

fn print(summary: &MaskSummary, args: &Mask, console: &Console) {
    if let Some(change) = &summary.risk {
        print_risk(change, console);
    }
    let Some(out) = &args.out else { return };
    let rows = count(summary.n_rows as f64);
    let out = source::label(out);
    if args.inverse {
        let stay: Vec<&str> = summary
            .columns
            .iter()
            .filter(|c| !matches!(c.method, "keep" | "token" | "encrypt"))
            .map(|c| c.name.as_str())
            .collect();
        if !stay.is_empty() {
            console.note(format!("what cannot come back stays as it is: {}", stay.join(", ")));
        }
        console.line(format!("{rows} rows unmasked; they are in {out}"));
        return;
    }
    if summary.risk.is_none() {
        console.note("no risk was measured: the policy has no [risk] with quasi_identifiers");
    }
    let kept: Vec<&str> = summary.columns.iter().filter(|c| c.method == "keep").map(|c| c.name.as_str()).collect();
    if !kept.is_empty() {
        console.note(format!("columns that stay as they are: {}", kept.join(", ")));
    }
    console.line(format!("{rows} rows masked; they are in {out}"));
}

fn print_risk(change: &RiskChange, console: &Console) {
    let row = |name: &str, figure: &dyn Fn(&Risk) -> String| {
        vec![name.to_string(), figure(&change.before), figure(&change.after)]
    };
    let mut rows = vec![
        row("Rows", &|r| count(r.n_rows as f64)),
        row("Equivalence classes", &|r| count(r.n_classes as f64)),
        row("Smallest class (k-anonymity)", &|r| count(f64::from(r.k))),
        row("Rows alone in their class", &|r| percent(r.share_unique)),
        row("Highest risk of a row", &|r| percent(r.risk_max)),
        row("Mean risk of the rows", &|r| percent(r.risk_mean)),
    ];
    for (i, diversity) in change.before.diversity.iter().enumerate() {
        let name = &diversity.column;
        rows.push(row(&format!("l-diversity of {name}"), &|r| count(f64::from(r.diversity[i].l))));
        rows.push(row("  by entropy", &|r| format!("{:.2}", r.diversity[i].l_entropy)));
        rows.push(row(&format!("  rows whose {name} is known"), &|r| percent(r.diversity[i].share_known)));
    }
    for (i, sizes) in change.before.sizes.iter().enumerate() {
        let name = match sizes.to {
            Some(to) if to == sizes.from => format!("Rows in classes of {to}"),
            Some(to) => format!("Rows in classes of {} to {to}", sizes.from),
            None => format!("Rows in classes of {} and more", sizes.from),
        };
        rows.push(row(&name, &|r| count(r.sizes[i].n_rows as f64)));
    }
    console.table(&["Re-identification", "Before", "After"], rows);
    console.paragraph(
        "Who knows a person's quasi-identifiers finds its row with probability 1 / rows of the class. After masking, dropped \
         and encrypted columns single nobody out; hashes and tokens do, as far as they differ.",
    );
}

fn percent(share: f64) -> String {
    format!("{:.2} %", 100.0 * share)
}
