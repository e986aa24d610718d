//! Rules and what they would have done, in the terminal.

use crate::console::{Console, count};
use serde_json::json;
use statera::reasons::Language;
use statera::rules::{Mode, Overlap, RuleResult, RuleSet, TableBacktest};
use statera_core::metric::Interval;

/// The line of the model alone; no code of a rule has a blank.
const MODEL: &str = "the model";

/// The rules in the order in which they decide, those in shadow last.
pub fn rules(set: &RuleSet, language: Language, console: &Console) -> anyhow::Result<()> {
    let mut order: Vec<_> = set.rules.iter().enumerate().collect();
    order.sort_by_key(|(place, rule)| {
        let strength = std::cmp::Reverse((rule.precedence, rule.action));
        (rule.mode == Mode::Shadow, strength, *place)
    });
    if console.json {
        let rules: Vec<_> = order.iter().map(|(_, rule)| rule).collect();
        return console.print_json(&json!({
            "version": set.version, "time": set.time, "tz": set.tz,
            "lists": set.lists.iter().map(|(name, l)| (name.clone(), json!(l.len()))).collect::<serde_json::Map<_, _>>(),
            "rules": rules,
        }));
    }
    console.line(format!("Rules {}, the one that decides before the others first", set.version));
    for (_, rule) in order {
        let action = match rule.mode {
            Mode::Active => rule.action.name().to_string(),
            Mode::Shadow => format!("{} in shadow", rule.action.name()),
        };
        let end =
            |key: &str, day: &Option<String>| day.as_ref().map(|day| format!(", {key} {day}")).unwrap_or_default();
        let days = end("from", &rule.valid_from) + &end("to", &rule.valid_to);
        let (code, name, precedence) = (&rule.code, rule.name(language), rule.precedence);
        console.paragraph(format!("\n{code}  {name}: {action}, precedence {precedence}{days}"));
        console.line(format!("    {}", rule.when.split_whitespace().collect::<Vec<_>>().join(" ")));
    }
    Ok(())
}

/// What rules would have done.
pub fn backtest(found: &TableBacktest, console: &Console) {
    let back = &found.backtest;
    let days = back.n_days.map_or(String::new(), |n| format!(" on {} days", count(n as f64)));
    console.line(format!(
        "Rules {} on {} rows{days}, {} of them events ({})",
        back.version,
        count(back.n_rows as f64),
        count(back.n_events as f64),
        percent(back.n_events as f64 / back.n_rows as f64)
    ));
    if found.n_without_outcome > 0 {
        let n = count(found.n_without_outcome as f64);
        console.note(format!("{n} rows without an outcome are left out"));
    }
    if found.is_training_table {
        console.note("these are the rows that the model was trained on; its figures flatter it");
    }
    for (column, n) in &found.missing {
        let n = count(*n as f64);
        console.note(format!("column «{column}» has {n} missing cells; tests of them are false, but for «is missing»"));
    }
    let lines = || back.rules.iter().map(|r| (name(r), r)).chain([("all that act".to_string(), &back.total)]);
    let lines = || lines().chain(back.model.iter().map(|m| (MODEL.to_string(), m)));
    main_table(lines(), back.n_days.is_some(), console);
    if back.total.money.is_some() {
        console.paragraph("Money of the alerts [95 % interval]");
        let rows = lines().filter_map(|(name, r)| {
            let money = r.money?;
            Some(vec![name, interval(money.events, &|v| count(v.round())), interval(money.good, &|v| count(v.round()))])
        });
        console.table(&["Rule", "Of events: caught", "Of others: stopped"], rows.collect());
    }
    if let Some(threshold) = back.threshold {
        console.paragraph(format!("Alerts beside the model's from a probability of {threshold:.4}: rows (events)"));
        let rows = lines().filter_map(|(name, r)| r.overlap.map(|overlap| overlap_row(name, overlap)));
        console.table(&["Rule", "Both", "Rule only", "Model only"], rows.collect());
    }
    console.paragraph("Rows by action: what the deciding rule does");
    let rows = back
        .actions
        .iter()
        .map(|(action, n, events)| vec![action.name().to_string(), count(*n as f64), count(*events as f64)]);
    console.table(&["Action", "Rows", "Events"], rows.collect());
}

fn name(result: &RuleResult) -> String {
    match (result.mode, result.action) {
        (Mode::Shadow, Some(action)) => format!("{} ({}, shadow)", result.code, action.name()),
        (Mode::Active, Some(action)) => format!("{} ({})", result.code, action.name()),
        (_, None) => result.code.clone(),
    }
}

fn main_table<'a>(lines: impl Iterator<Item = (String, &'a RuleResult)>, has_days: bool, console: &Console) {
    let share = |i: Option<Interval>| {
        let [value, low, high] = i.map_or([f64::NAN; 3], |i| [i.value, i.low, i.high].map(|share| 100.0 * share));
        if i.is_none() { "–".into() } else { format!("{value:.1} [{low:.1}–{high:.1}]") }
    };
    let rows = lines.map(|(name, r)| {
        // The model decides nothing by itself here.
        let decided = if name == MODEL { "–".into() } else { count(r.decided as f64) };
        let mut row = vec![name, count(r.alerts as f64), decided];
        row.extend(has_days.then(|| r.alerts_a_day.map_or("–".into(), |i| format!("{:.1}", i.value))));
        row.extend([count(r.events as f64), share(r.precision), share(r.recall)]);
        row
    });
    let mut header = vec!["Rule", "Alerts", "Decides"];
    header.extend(has_days.then_some("A day"));
    header.extend(["Events", "Precision, % [95 %]", "Recall, % [95 %]"]);
    console.table(&header, rows.collect());
}

fn overlap_row(name: String, overlap: Overlap) -> Vec<String> {
    let cell = |[rows, events]: [usize; 2]| format!("{} ({})", count(rows as f64), count(events as f64));
    vec![name, cell(overlap.both), cell(overlap.rule_only), cell(overlap.model_only)]
}

fn interval(interval: Interval, shown: &dyn Fn(f64) -> String) -> String {
    format!("{} [{} to {}]", shown(interval.value), shown(interval.low), shown(interval.high))
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}
