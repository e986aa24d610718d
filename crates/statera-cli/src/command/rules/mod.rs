//! `statera rules`.

pub mod arguments;
mod show;

use super::reading;
use crate::console::{Console, count};
use arguments::{Backtest, Rules, Verb};
use serde_json::json;
use statera::bundle::Bundle;
use statera::network;
use statera::rules::{DECISION_RULES_FILE, Labelled, RuleSet, backtest_table, seen_columns, table_columns};
use statera_core::{Error, Result, Run};
use std::path::Path;

pub fn run(args: &Rules, console: &Console, run: &Run) -> anyhow::Result<()> {
    match &args.verb {
        Verb::Check { rules, data, bundle, reading } => {
            let (_, set) = RuleSet::read(rules)?;
            check(&set, (rules, data.as_deref(), bundle.as_deref()), &reading::options(reading)?, console, run)
        }
        Verb::Show { rules, lang } => show::rules(&read(rules)?, (*lang).into(), console),
        Verb::Backtest(args) => backtest(args, console, run),
        Verb::Put { rules, bundle, out, force } => {
            Bundle::check_place(out, *force)?;
            let (text, set) = RuleSet::read(rules)?;
            let (version, [acting, shadow]) = (set.version.clone(), set.n_by_mode());
            let mut ruled = Bundle::read(bundle)?.ruled_by(&text, set)?;
            ruled.write(out, *force, run)?;
            if console.json {
                let digest = ruled.digest()?;
                return console.print_json(&json!({ "bundle": out, "digest": digest, "rules": version }));
            }
            console.line(format!(
                "{} has the rules {version}: {acting} that act, {shadow} in shadow. Others approve it once it is a version of its \
                 model (statera registry add-version, propose, approve)",
                out.display()
            ));
            Ok(())
        }
    }
}

/// The rules of a file, or of a bundle.
fn read(path: &Path) -> Result<RuleSet> {
    let is_bundle = path.is_dir() || path.extension().is_some_and(|e| e.eq_ignore_ascii_case("zip"));
    if !is_bundle {
        return Ok(RuleSet::read(path)?.1);
    }
    let own = Bundle::read(path)?.deciding.decision_rules;
    own.map(|own| own.read).ok_or_else(|| {
        Error::request(format!("{} has no {DECISION_RULES_FILE}; statera rules put gives it one", path.display()))
    })
}

fn check(
    set: &RuleSet,
    (path, data, bundle): (&Path, Option<&str>, Option<&Path>),
    options: &statera_data::source::ReadOptions,
    console: &Console,
    run: &Run,
) -> anyhow::Result<()> {
    let at = |e: Error| e.at(path.display());
    let compiled = match (data, bundle) {
        (Some(data), _) => {
            let (table, _) = reading::table(data, options, run)?;
            set.compile(&table_columns(&table), false, options.tz.as_deref().unwrap_or("UTC")).map_err(at)?
        }
        (None, Some(bundle)) => {
            let bundle = Bundle::read(bundle)?;
            let seen = seen_columns(&bundle.scorer, bundle.windows.as_ref());
            set.compile(&seen, true, &bundle.scorer.schema().tz).map_err(at)?
        }
        (None, None) => {
            console.note("kinds of columns that the file does not declare are guessed from the values beside them");
            set.compile(&set.guessed_columns(), true, "UTC").map_err(at)?
        }
    };
    let [acting, shadow] = set.n_by_mode();
    let columns: Vec<String> = compiled.inputs.iter().map(|i| format!("{} ({})", i.name, i.kind.name())).collect();
    if console.json {
        let lists: serde_json::Map<_, _> = set.lists.iter().map(|(name, l)| (name.clone(), json!(l.len()))).collect();
        return console.print_json(&json!({
            "version": set.version, "acting": acting, "shadow": shadow, "lists": lists,
            "columns": compiled.inputs.iter().map(|i| json!({ "name": i.name, "kind": i.kind.name() })).collect::<Vec<_>>(),
            "uses_score": compiled.uses_score,
        }));
    }
    console.line(format!(
        "Rules {}: {acting} that act, {shadow} in shadow. Each can hold, and each that acts can decide",
        set.version
    ));
    console.line(format!("They read {}", if columns.is_empty() { "no column".into() } else { columns.join(", ") }));
    if compiled.uses_score {
        console.line("They ask for the model's probability");
    }
    for (name, list) in &set.lists {
        console.line(format!("List {name}: {} values", count(list.len() as f64)));
    }
    Ok(())
}

fn backtest(args: &Backtest, console: &Console, run: &Run) -> anyhow::Result<()> {
    let set = read(&args.rules)?;
    let bundle = args.bundle.as_ref().map(|path| Bundle::read(path)).transpose()?;
    let mut options = reading::options(&args.reading)?;
    if options.tz.is_none() {
        options.tz = bundle.as_ref().map(|b| b.scorer.schema().tz.clone());
    }
    let (mut table, _) = reading::table(&args.data, &options, run)?;
    if let Some(bundle) = &bundle {
        let before = args.history.as_ref().map(|history| reading::table(history, &options, run)).transpose()?;
        let before = before.as_ref().map(|(before, _)| before);
        table = network::complete_after(bundle, &table, before, args.edges.as_deref(), run)?;
    }
    let how = Labelled {
        target: args.target.as_deref(),
        positive: args.positive.as_deref(),
        amount: args.amount.as_deref(),
        time: args.time.as_deref(),
        score: args.score.as_deref(),
        threshold: args.threshold,
    };
    let found = backtest_table(&set, &table, bundle.as_ref(), how)?;
    if console.json {
        return console.print_json(&found);
    }
    show::backtest(&found, console);
    Ok(())
}
