//! What people did against the model's decisions, and what became of them, as tables.

use crate::command::door::cell;
use crate::console::{Console, count, counted};
use serde_json::Value;

/// Prints the report of a window.
pub fn print(report: &Value, console: &Console) -> anyhow::Result<()> {
    if console.json {
        return console.print_json(report);
    }
    let total = &report["total"];
    console.line(format!(
        "{} of the last {}",
        counted(number(&total["decisions"]) as usize, "decision", "decisions"),
        counted(number(&report["days"]) as usize, "day", "days")
    ));
    if report["complete"] == false {
        let (n, from) = (count(number(&report["records"]) as f64), cell(&report["from"]));
        console.note(format!(
            "{n} records were read: decisions from {from} on, overrides of decisions from {} on; there are more, and so there is \
             no rate of overrides",
            cell(&report["overrides_from"])
        ));
    }
    let unreadable = number(&report["unreadable"]);
    if unreadable > 0 {
        let records = counted(unreadable as usize, "record", "records");
        console.note(format!(
            "the facts of {records} cannot be read; `statera audit verify` tells whether they were changed"
        ));
    }
    versions(report, console);
    outcomes(total, console);
    acts(report, "persons", "person", console);
    acts(report, "reasons", "reason", console);
    for version in list(&report["versions"]).filter(|v| is_flagged(v)) {
        console.line(format!(
            "Above the limit of {}: {} version {}.",
            percent(&report["override_rate_max"]),
            cell(&version["model"]),
            cell(&version["version"])
        ));
    }
    Ok(())
}

fn versions(report: &Value, console: &Console) {
    let row = |model: String, version: String, v: &Value| {
        let rate = &v["override_rate"];
        vec![
            model,
            version,
            cell(&v["decisions"]),
            cell(&rate["n"]),
            share(rate),
            verdict(v),
            cell(&v["settled"]["decisions"]),
            cell(&v["undone"]),
        ]
    };
    let of_all = |v: &Value| row(cell(&v["model"]), cell(&v["version"]), v);
    let mut rows: Vec<Vec<String>> = list(&report["versions"]).map(of_all).collect();
    if rows.len() > 1 {
        rows.push(row("all".into(), String::new(), &report["total"]));
    }
    let header = ["model", "version", "decisions", "overridden", "rate (95 %)", "limit", "settled", "undone"];
    if !rows.is_empty() {
        console.table(&header, rows);
    }
}

/// What became of decisions: of each direction, and of those that stand as they were made.
fn outcomes(total: &Value, console: &Console) {
    let row = |name: String, of: &Value| {
        let n = |field: &str| cell(&of[field]);
        let others = [n("good"), n("bad"), n("contradictory"), n("other"), n("unknown")];
        [vec![name, n("decisions"), share(&of["bad_rate"])], others.to_vec()].concat()
    };
    let mut rows = vec![row("not overridden".into(), &total["not_overridden"])];
    for direction in list(&total["directions"]) {
        rows.push(row(format!("{} → {}", cell(&direction["from"]), cell(&direction["to"])), direction));
    }
    let header = ["what", "decisions", "bad rate (95 %)", "good", "bad", "both", "neither", "none yet"];
    console.table(&header, rows);
    console.note("both: a good and a bad outcome of one decision, in no rate; none yet: decisions without an outcome");
}

/// Who overrode, or why.
fn acts(report: &Value, field: &str, of: &str, console: &Console) {
    let row = |a: &Value| {
        let overridden = &a["overridden"];
        vec![
            cell(&a[of]),
            cell(&overridden["decisions"]),
            percent(&a["share"]["rate"]),
            share(&overridden["bad_rate"]),
            cell(&overridden["unknown"]),
            cell(&a["settled"]),
        ]
    };
    let rows: Vec<Vec<String>> = list(&report[field]).map(row).collect();
    if !rows.is_empty() {
        let header = [of, "overridden", "of all", "bad rate (95 %)", "none yet", "settled"];
        console.table(&header, rows);
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().map_or(&[][..], Vec::as_slice).iter()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}

fn percent(value: &Value) -> String {
    value.as_f64().map_or_else(|| "–".into(), |share| format!("{:.1} %", 100.0 * share))
}

/// `5.0 % (3.1–7.9)`; a dash of nothing.
fn share(share: &Value) -> String {
    match (share["rate"].as_f64(), share["low"].as_f64(), share["high"].as_f64()) {
        (Some(rate), Some(low), Some(high)) => {
            format!("{:.1} % ({:.1}–{:.1})", 100.0 * rate, 100.0 * low, 100.0 * high)
        }
        _ => "–".into(),
    }
}

fn is_flagged(figures: &Value) -> bool {
    ["above", "clearly_above"].iter().any(|verdict| figures["verdict"] == *verdict)
}

fn verdict(figures: &Value) -> String {
    match figures["verdict"].as_str() {
        Some("within") => "within".into(),
        Some("above") => "perhaps above".into(),
        Some("clearly_above") => "above".into(),
        Some("incomplete") => "not known".into(),
        _ => "–".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn shares_have_their_interval_and_verdicts_say_how_sure_they_are() {
        let of = json!({"rate": 0.05, "low": 0.0318, "high": 0.0789});
        assert_eq!(share(&of), "5.0 % (3.2–7.9)");
        assert_eq!(share(&json!({"rate": null, "low": null, "high": null})), "–");
        for (name, told, flagged) in [
            ("nothing", "–", false),
            ("within", "within", false),
            ("above", "perhaps above", true),
            ("clearly_above", "above", true),
            ("incomplete", "not known", false),
        ] {
            let figures = json!({ "verdict": name });
            assert_eq!((verdict(&figures).as_str(), is_flagged(&figures)), (told, flagged), "{name}");
        }
    }
}
