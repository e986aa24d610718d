//! The fifth chapter: the day's cases, those with the most at stake first, worked on through the server's interface by
//! somebody who finds out what is true of each.

use super::bank::{MAKER, MODEL, Serving, Staff};
use super::weeks::Purchase;
use super::{Scene, live, money, percent};
use crate::command::door::{Door, cell};
use crate::console::{count, counted};
use serde::Serialize;
use serde_json::{Value, json};
use statera_core::Result;
use std::collections::{BTreeSet, HashMap};

/// The cases that were worked on.
pub const CASES: &str = "alerts.csv";

const ALERTS: &str = "/api/v1/alerts";
/// Cases that one list has at most.
const LIMIT: usize = 1_000;
/// Cases that the story shows.
const SHOWN: usize = 5;
/// Why a case is dismissed.
const REASON: &str = "customer_confirmed";

/// What the desk did.
#[derive(Debug, Serialize)]
pub struct Desk {
    /// Cases of the day, and those that a shift has room for.
    n_cases: usize,
    capacity: u64,
    worked: Vec<Worked>,
    /// Frauds of the day, those of confirmed cases, and the money of both.
    n_frauds: usize,
    n_found: usize,
    money: f64,
    money_found: f64,
}

/// A case that was closed.
#[derive(Debug, Serialize)]
struct Worked {
    id: String,
    card: String,
    expected_loss: f64,
    n_transactions: usize,
    n_frauds: usize,
    /// Of its frauds.
    money: f64,
    /// The largest probability, and the codes of rules that held.
    probability: f64,
    rules: BTreeSet<String>,
}

/// Works on as many cases as the shift has room for, from the top.
///
/// # Errors
/// What the server refuses; an interruption.
pub async fn work(staff: &Staff<'_>, serving: &Serving, today: &[Purchase<'_>], scene: &Scene<'_>) -> Result<Desk> {
    let person = staff.person(serving, MAKER).await?;
    let queue = person.get(&format!("{ALERTS}?model={MODEL}&limit={LIMIT}")).await?;
    let capacity = queue["shift"]["left"].as_u64().unwrap_or(0);
    let frauds: HashMap<&str, f64> = today.iter().filter(|p| p.is_fraud).map(|p| (p.id, p.amount)).collect();
    let cases = queue["alerts"].as_array().map_or(&[][..], Vec::as_slice);
    let mut worked = Vec::new();
    for case in cases.iter().take(capacity as usize) {
        staff.run.check()?;
        worked.push(work_on(&person, case, &frauds).await?);
    }
    person.close().await;
    let header = "case,card,expected_loss,transactions,frauds,fraud_money,largest_probability,rules";
    let line = |case: &Worked| {
        let Worked { id, card, expected_loss, n_transactions, n_frauds, money, probability, rules } = case;
        let rules = rules.iter().cloned().collect::<Vec<_>>().join(" ");
        format!("{id},{card},{expected_loss:.2},{n_transactions},{n_frauds},{money:.2},{probability},{rules}")
    };
    scene.write(CASES, header, worked.iter().map(line))?;
    Ok(Desk {
        n_cases: queue["n_all"].as_u64().unwrap_or(0) as usize,
        capacity,
        n_frauds: frauds.len(),
        n_found: worked.iter().map(|case| case.n_frauds).sum(),
        money: frauds.values().sum(),
        money_found: worked.iter().map(|case| case.money).sum(),
        worked,
    })
}

/// Takes a case, looks at it, asks the customer (who knows), and says what is true.
async fn work_on(person: &Door, case: &Value, frauds: &HashMap<&str, f64>) -> Result<Worked> {
    let path = format!("{ALERTS}/{}", case["id"].as_str().unwrap_or_default());
    person.post(&format!("{path}/assign"), json!({ "to": MAKER, "from": null, "note": "" })).await?;
    let shown = person.get(&path).await?;
    let items: Vec<&Value> =
        shown["timeline"].as_array().into_iter().flatten().filter(|item| item["suspicious"] == true).collect();
    let name = |item: &Value| item["transaction"].as_str().unwrap_or_default().to_string();
    let found: Vec<String> =
        items.iter().map(|item| name(item)).filter(|id| frauds.contains_key(id.as_str())).collect();
    if !found.is_empty() {
        // Of a case that has others too only those are confirmed, and it stays open.
        let which = (found.len() < items.len()).then_some(&found);
        let body = json!({ "transactions": which, "note": "the customer knows nothing of it" });
        person.post(&format!("{path}/confirm"), body).await?;
    }
    if found.len() < items.len() {
        person.post(&format!("{path}/dismiss"), json!({ "reason": REASON, "note": "" })).await?;
    }
    let rules = items.iter().flat_map(|item| item["answer"]["rules"].as_array().into_iter().flatten());
    Ok(Worked {
        id: cell(&shown["id"]),
        card: cell(&shown["card"]),
        expected_loss: case["expected_loss"].as_f64().unwrap_or(0.0),
        n_transactions: items.len(),
        n_frauds: found.len(),
        money: found.iter().filter_map(|id| frauds.get(id.as_str())).sum(),
        probability: items.iter().filter_map(|item| item["answer"]["probability"].as_f64()).fold(0.0, f64::max),
        rules: rules.map(|rule| cell(&rule["code"])).collect(),
    })
}

impl Desk {
    /// The first cases, and what all came to.
    pub fn tell(&self, scene: &Scene) {
        let console = scene.console;
        scene.begin("The desk");
        console.paragraph(format!(
            "The day has made {}, a card each. People can work on {} of them in a shift: those with the largest \
             expected loss, the sum of probability times amount. The first of them, and what {MAKER} found out:\n",
            counted(self.n_cases, "case", "cases"),
            self.capacity
        ));
        let line = |case: &Worked| {
            let truth = match case.n_frauds {
                0 => "dismissed: genuine".into(),
                n if n == case.n_transactions => format!("confirmed: {}", money(case.money)),
                n => format!("{n} confirmed: {}", money(case.money)),
            };
            let rules: Vec<&str> = case.rules.iter().map(String::as_str).collect();
            let (loss, n) = (format!("{:.2}", case.expected_loss), count(case.n_transactions as f64));
            vec![case.card.clone(), loss, n, format!("{:.3}", case.probability), rules.join(" "), truth]
        };
        let header = ["Card", "Expected loss", "Transactions", "Probability", "Rules", "What it was"];
        console.table(&header, self.worked.iter().take(SHOWN).map(line).collect());
        let n_caught = self.worked.iter().filter(|case| case.n_frauds > 0).count();
        let share = if self.money > 0.0 {
            format!(", {} of it", percent(self.money_found / self.money))
        } else {
            String::new()
        };
        console.paragraph(format!(
            "Of {} that were worked on {} had a fraud. With them {} of the day's {} are found, worth {} of {}{share}. \
             Each answer is a label, which the terminals' figures learn.",
            counted(self.worked.len(), "case", "cases"),
            count(n_caught as f64),
            count(self.n_found as f64),
            counted(self.n_frauds, "fraud", "frauds"),
            money(self.money_found),
            money(self.money),
        ));
        let file = super::bank::password_file(MAKER);
        let verbs = [
            "list --limit 20",
            "assign CASE",
            "show CASE",
            "confirm CASE --note 'the customer knows nothing of it'",
            &format!("dismiss CASE --reason {REASON}"),
        ];
        let commands = verbs.map(|verb| format!("statera fraud alerts --person {MAKER} --password-file {file} {verb}"));
        let folder = format!("cd {}    while the server runs", scene.shown(live::SERVER));
        scene.by_hand(&[&[folder], &commands[..]].concat());
    }
}
