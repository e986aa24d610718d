//! What the registry answers, as tables.

use crate::command::door::{cell, minute};
use crate::console::Console;
use serde_json::Value;

/// Prints rows of an answer, or the answer itself for machines.
fn table(
    answer: &Value,
    console: &Console,
    header: &[&str],
    empty: &str,
    row: impl Fn(&Value) -> Vec<String>,
) -> anyhow::Result<()> {
    if console.json {
        return console.print_json(answer);
    }
    let rows: Vec<Vec<String>> = answer.as_array().map_or(&[][..], Vec::as_slice).iter().map(row).collect();
    if rows.is_empty() {
        console.line(empty);
    } else {
        console.table(header, rows);
    }
    Ok(())
}

pub fn models(answer: &Value, console: &Console) -> anyhow::Result<()> {
    let header = ["model", "tier", "versions", "champion", "challenger", "backup", "stopped"];
    table(answer, console, &header, "no models; `statera registry add-model` begins one", |m| {
        let (route, challenger) = (&m["route"], &m["route"]["challenger"]);
        let challenger = match challenger.is_null() {
            true => "–".into(),
            false => {
                let how = if challenger["shadow"] == true { "shadow" } else { "split" };
                format!("{} ({how}, {} ‰)", challenger["version"], challenger["per_mille"])
            }
        };
        vec![
            cell(&m["name"]),
            cell(&m["tier"]),
            m["versions"].as_array().map_or(0, Vec::len).to_string(),
            cell(&route["champion"]),
            challenger,
            cell(&route["backup"]),
            cell(&route["stopped"]),
        ]
    })
}

/// A proposal a paragraph: its name is copied from here, so that no table may break it.
pub fn proposals(answer: &Value, console: &Console) -> anyhow::Result<()> {
    if console.json {
        return console.print_json(answer);
    }
    let all = answer.as_array().map_or(&[][..], Vec::as_slice);
    if all.is_empty() {
        console.line("no proposals");
    }
    for p in all {
        let change = &p["change"];
        let version = if change["version"].is_null() { &change["challenger"]["version"] } else { &change["version"] };
        let version = if version.is_null() { String::new() } else { format!(" {version}") };
        let (model, kind, state) = (cell(&p["model"]), cell(&change["change"]), cell(&p["state"]));
        console.line(format!("{}  {model}: {kind}{version}, {state}", cell(&p["id"])));
        let n_approved = p["approved_by"].as_array().map_or(0, Vec::len);
        let names = if n_approved == 0 { String::new() } else { format!(" ({})", cell(&p["approved_by"])) };
        let needed = cell(&p["approvals_needed"]);
        let proposed = format!("by {}, {}", cell(&p["by"]), minute(&p["at"]));
        console.line(format!("    {proposed}; {n_approved} of {needed} approvals{names}"));
        console.line(format!("    {}", cell(&p["note"])));
        if !p["rejected_by"].is_null() {
            console.line(format!("    rejected by {}: {}", cell(&p["rejected_by"]), cell(&p["rejected_why"])));
        }
    }
    Ok(())
}

pub fn people(answer: &Value, console: &Console) -> anyhow::Result<()> {
    table(answer, console, &["person", "roles", "password", "disabled", "waits until"], "nobody", |p| {
        vec![
            cell(&p["name"]),
            cell(&p["roles"]),
            cell(&p["has_password"]),
            cell(&p["disabled"]),
            minute(&p["locked_until"]),
        ]
    })
}

pub fn keys(answer: &Value, console: &Console) -> anyhow::Result<()> {
    let header = ["key", "for", "roles", "rate", "urgent", "ends", "revoked", "by"];
    table(answer, console, &header, "no keys; `statera registry add-key` makes one", |k| {
        vec![
            cell(&k["prefix"]),
            cell(&k["label"]),
            cell(&k["roles"]),
            cell(&k["rate_per_second"]),
            cell(&k["urgent"]),
            minute(&k["expires"]),
            cell(&k["revoked"]),
            cell(&k["by"]),
        ]
    })
}
