//! `statera fraud`: through a server's interface, as `statera registry`.

pub mod arguments;
mod edges;
mod show;

use super::door::{Door, cell, part, told};
use crate::console::Console;
use arguments::{Alerts, AlertsVerb as Verb, Fraud, FraudVerb, List};
use serde_json::{Value, json};
use statera_core::Error;
use std::collections::HashSet;

/// The queue.
const ALERTS: &str = "/api/v1/alerts";
/// Cases of a page where all are asked for: as many as the server gives.
const PAGE: u32 = 1_000;

pub fn run(args: &Fraud, console: &Console) -> anyhow::Result<()> {
    let entrance = match &args.verb {
        FraudVerb::Alerts(args) => &args.entrance,
        FraudVerb::Edges(args) => &args.entrance,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let door = Door::open(entrance).await?;
        let done = match &args.verb {
            FraudVerb::Alerts(args) => act(&door, args, console).await,
            FraudVerb::Edges(args) => edges::send(&door, args, console).await,
        };
        // A session that stays open would be one more to be stolen.
        door.close().await;
        done
    })
}

async fn act(door: &Door, args: &Alerts, console: &Console) -> anyhow::Result<()> {
    let of = |id: &str| format!("{ALERTS}/{}", part(id));
    match &args.verb {
        None => show::queue(&door.get(&queue(&List::default())).await?, console),
        Some(Verb::List(list)) if list.all => show::queue(&all(door, list).await?, console),
        Some(Verb::List(list)) => show::queue(&door.get(&queue(list)).await?, console),
        Some(Verb::Show { id }) => show::case(&door.get(&of(id)).await?, console),
        Some(Verb::Assign { id, to, from, note }) => {
            let me = || Error::request("--to is missing: who works on it; a key stands for nobody");
            let to = to.as_ref().or(args.entrance.person.as_ref()).ok_or_else(me)?;
            let body = json!({ "to": to, "from": from, "note": note });
            let answer = door.post(&format!("{}/assign", of(id)), body).await?;
            told(console, &answer, &format!("{to} works on {id}"))
        }
        Some(Verb::Confirm { id, transactions, note }) => {
            let body = json!({ "transactions": transactions, "note": note });
            let answer = door.post(&format!("{}/confirm", of(id)), body).await?;
            told(console, &answer, &show::labelled(&answer, "confirmed", "frauds"))
        }
        Some(Verb::Dismiss { id, reason, note }) => {
            let body = json!({ "reason": reason, "note": note });
            let answer = door.post(&format!("{}/dismiss", of(id)), body).await?;
            told(console, &answer, &show::labelled(&answer, "dismissed", "genuine"))
        }
    }
}

/// All pages of a list as one answer. A case that changed its place meanwhile stands where it was met first.
async fn all(door: &Door, asked: &List) -> anyhow::Result<Value> {
    let page = |after: Option<String>| List {
        model: asked.model.clone(),
        state: asked.state,
        limit: Some(PAGE),
        after,
        all: false,
    };
    let mut whole = door.get(&queue(&page(asked.after.clone()))).await?;
    let mut cases = list(&whole, "alerts").to_vec();
    let mut seen: HashSet<String> = cases.iter().map(|case| cell(&case["id"])).collect();
    let mut next = whole["next"].as_str().map(String::from);
    while let Some(after) = next {
        let more = door.get(&queue(&page(Some(after)))).await?;
        next = more["next"].as_str().map(String::from);
        cases.extend(list(&more, "alerts").iter().filter(|case| seen.insert(cell(&case["id"]))).cloned());
    }
    whole["n_all"] = cases.len().into();
    whole["below"] = 0.into();
    whole["alerts"] = cases.into();
    if let Some(answer) = whole.as_object_mut() {
        answer.remove("next");
    }
    Ok(whole)
}

/// The path of a list.
fn queue(list: &List) -> String {
    let model = list.model.as_ref().map(|model| format!("model={}", part(model)));
    let state = list.state.map(|state| format!("state={}", state.name()));
    let limit = list.limit.map(|limit| format!("limit={limit}"));
    let after = list.after.as_ref().map(|after| format!("after={}", part(after)));
    let query: Vec<String> = [model, state, limit, after].into_iter().flatten().collect();
    if query.is_empty() { ALERTS.into() } else { format!("{ALERTS}?{}", query.join("&")) }
}

/// Fields of an object that are there.
fn list<'a>(answer: &'a Value, name: &str) -> &'a [Value] {
    answer[name].as_array().map_or(&[], Vec::as_slice)
}
