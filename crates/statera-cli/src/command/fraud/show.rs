//! What the queue answers, for people.

use super::list;
use crate::command::door::{cell, minute};
use crate::console::{Console, count, counted};
use serde_json::Value;

/// The queue. A case is a paragraph: its name is copied from here, so that no table may break it.
pub fn queue(answer: &Value, console: &Console) -> anyhow::Result<()> {
    if console.json {
        return console.print_json(answer);
    }
    let shift = &answer["shift"];
    let (began, ends) = (minute(&shift["began"]), minute(&shift["ends"]));
    let (done, capacity, left) = (cell(&shift["done"]), cell(&shift["capacity"]), cell(&shift["left"]));
    console.line(format!("shift of {began} to {ends} UTC: {done} of {capacity} done, room for {left}"));
    let cases = list(answer, "alerts");
    for (i, case) in cases.iter().enumerate() {
        console.line(format!("{:>4}  {}  {}: {}", i + 1, cell(&case["id"]), cell(&case["model"]), at_stake(case)));
        console.line(format!("      {}", standing(case)));
    }
    let below = answer["below"].as_u64().unwrap_or(0);
    match (cases.len(), below) {
        (0, 0) => console.line("no cases"),
        (_, 0) => {}
        (n, below) => {
            let more =
                answer["next"].as_str().map_or_else(String::new, |next| format!("; the next: list --after {next}"));
            console.line(format!(
                "{} shown; {} below the line, list --limit shows more, list --all shows all{more}",
                count(n as f64),
                count(below as f64)
            ));
        }
    }
    Ok(())
}

/// What a case may cost.
fn at_stake(case: &Value) -> String {
    match (case["expected_loss"].as_f64(), case["probability_sum"].as_f64()) {
        (Some(loss), _) => format!("expected loss {loss:.2}"),
        (None, Some(sum)) => format!("probabilities of {sum:.4} together (no amount is known)"),
        (None, None) => "nothing at stake".into(),
    }
}

/// How a case stands, on a line.
fn standing(case: &Value) -> String {
    let waiting = counted(case["waiting"].as_u64().unwrap_or(0) as usize, "transaction waits", "transactions wait");
    let times = format!("from {} to {}", minute(&case["opened"]), minute(&case["last"]));
    let who = match (case["verdict"].as_str(), case["assigned"].as_str()) {
        (Some(verdict), who) => format!("{verdict} by {} on {}", who.unwrap_or("–"), minute(&case["closed"])),
        (None, Some(who)) => format!("{who} works on it"),
        (None, None) => "nobody works on it".into(),
    };
    format!("{waiting}, {times}; {who}")
}

/// What became of a case of which transactions were labelled: of some only it stays with who works on it.
pub fn labelled(case: &Value, verdict: &str, labels: &str) -> String {
    let id = cell(&case["id"]);
    match case["verdict"].as_str() {
        Some(_) => format!("{id} is {verdict}; what waited of it is labelled as {labels}"),
        None => format!("what was named of {id} is labelled as {labels}; it stays open: {}", standing(case)),
    }
}

/// A case.
pub fn case(answer: &Value, console: &Console) -> anyhow::Result<()> {
    if console.json {
        return console.print_json(answer);
    }
    console.line(format!("{}  {}: {}", cell(&answer["id"]), cell(&answer["model"]), at_stake(answer)));
    console.line(standing(answer));
    if let Some(card) = answer["card"].as_str() {
        console.line(format!("card {card}"));
    }
    for step in list(answer, "steps") {
        console.line(format!("{}  {}: {}", minute(&step["at"]), cell(&step["by"]), done(step)));
    }
    timeline(list(answer, "timeline"), console);
    for other in list(answer, "neighbours") {
        let (id, shared) = (cell(&other["id"]), cell(&other["shared"]));
        console.line(format!("{id} shares {shared}: {}; {}", at_stake(other), standing(other)));
    }
    Ok(())
}

/// A step, in words.
fn done(step: &Value) -> String {
    let mut text = match step["step"].as_str() {
        Some("assign") => format!("given to {}", cell(&step["to"])),
        Some(other) => format!("{other}, {} labelled", cell(&step["n_labels"])),
        None => "–".into(),
    };
    for (name, before) in [("reason", ", "), ("note", ": ")] {
        if let Some(more) = step[name].as_str() {
            text += &format!("{before}{more}");
        }
    }
    text
}

/// What the card did. Whoever may not see what is personal sees when, and what of it is the case's.
fn timeline(items: &[Value], console: &Console) {
    let header = ["transaction", "time", "amount", "probability", "action", "rules", "said", "sent"];
    let rows = items.iter().map(|item| {
        let answer = &item["answer"];
        let codes: Vec<String> =
            list(answer, "rules").iter().chain(list(answer, "reasons")).map(|r| cell(&r["code"])).collect();
        let mark = if item["suspicious"] == true { " *" } else { "" };
        let name = if item["transaction"].is_null() { "–".into() } else { cell(&item["transaction"]) };
        let time = if item["time"].is_null() { minute(&item["recorded"]) } else { minute(&item["time"]) };
        let probability = answer["probability"].as_f64().map_or_else(|| "–".into(), |p| format!("{p:.4}"));
        vec![
            format!("{name}{mark}"),
            time,
            cell(&item["amount"]),
            probability,
            cell(&answer["action"]),
            codes.join(" "),
            cell(&item["outcome"]),
            sent(item),
        ]
    });
    console.table(&header, rows.collect());
    console.line("* is of the case");
}

/// The other cells as they were sent.
fn sent(item: &Value) -> String {
    let known = [&item["transaction"], &item["time"], &item["amount"]].map(cell);
    let Some(cells) = item["sent"].as_object() else { return "–".into() };
    let others = cells.iter().filter(|(_, value)| !known.contains(&cell(value)));
    others.map(|(name, value)| format!("{name}={}", cell(value))).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_case_of_which_something_waits_is_not_told_to_be_closed() {
        let mut case = json!({
            "id": "019a", "waiting": 1, "opened": "2026-05-03T14:02:11Z", "last": "2026-05-03T15:00:00Z", "assigned": "ben"
        });
        assert_eq!(
            labelled(&case, "confirmed", "frauds"),
            "what was named of 019a is labelled as frauds; it stays open: 1 transaction waits, from 2026-05-03 14:02 to \
             2026-05-03 15:00; ben works on it"
        );
        case["verdict"] = json!("confirmed");
        assert_eq!(
            labelled(&case, "confirmed", "frauds"),
            "019a is confirmed; what waited of it is labelled as frauds"
        );
    }
}
