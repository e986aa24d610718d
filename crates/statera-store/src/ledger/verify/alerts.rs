//! How cases stand beside what the steps in the ledger say, and whether their tables agree with each other and with the
//! records. Which decisions are suspicious and what they put at stake is not in the ledger, which keeps nothing that an erasure
//! would have to take out: a case that nobody took, and that was deleted with its decisions, is not missed.

use super::Check;
use super::chain::readable;
use super::records::Known;
use crate::alert::{RISKS, SUSPECTS_MAX, Step};
use crate::sql::migrate::has_table;
use crate::sql::{Attempt, Connection, Row};
use uuid::Uuid;

/// Cases that are read at once.
const PAGE: i64 = 1_000;
/// Suspicious decisions (`s`) that cannot be, and why.
const WRONG: [(&str, &str); 3] = [
    ("NOT EXISTS (SELECT 1 FROM alert a WHERE a.id = s.of_alert)", "is of an alert that is missing from its table"),
    ("NOT EXISTS (SELECT 1 FROM record r WHERE r.id = s.record)", "is unknown to the ledger"),
    (
        "s.answered <> 0 AND NOT EXISTS (SELECT 1 FROM record r WHERE r.follows = s.record AND r.follows IS NOT NULL)",
        "passes for answered, and no record follows it",
    ),
];

impl Check {
    /// Notes the last step of each case.
    pub(super) fn note_steps(&mut self, chain: &str, records: &[Known<'_>]) {
        for (stored, record) in records {
            let Some(step) = &record.step else { continue };
            let Some(of) = record.of else {
                self.verified.find(Some((chain, stored.seq)), "a step follows no alert");
                continue;
            };
            let last = self.steps.entry(*of.0.as_bytes()).or_default();
            if last.number < step.number {
                last.clone_from(step);
            }
        }
    }

    /// Compares the tables of cases.
    pub(super) fn alerts(&mut self, connection: &mut Connection) -> Attempt<()> {
        let mut steps = std::mem::take(&mut self.steps);
        if has_table(connection, "alert")? {
            self.suspects(connection)?;
            let mut after: Vec<u8> = Vec::new();
            loop {
                // Risk and number as the writer sums them up.
                let sql = format!(
                    "SELECT a.id, a.steps, a.assigned, a.verdict, (SELECT count(*) FROM record r WHERE r.id = a.id), a.risk, \
                     a.n_waiting, (SELECT CAST(coalesce(sum(top.risk), 0) AS BIGINT) FROM (SELECT s.risk FROM suspect s WHERE \
                     s.of_alert = a.id AND s.answered = 0 ORDER BY s.risk DESC LIMIT {RISKS}) AS top), (SELECT count(*) FROM \
                     (SELECT s.record FROM suspect s WHERE s.of_alert = a.id AND s.answered = 0 LIMIT {SUSPECTS_MAX}) AS \
                     waiting) FROM alert a WHERE a.id > $1 ORDER BY a.id LIMIT $2"
                );
                let rows = connection.fetch(&sql, vec![after.clone().into(), PAGE.into()])?;
                let Some(last) = rows.last() else { break };
                after = last.blob(0)?;
                for row in &rows {
                    let id: [u8; 16] = row.bytes(0)?;
                    let expected = steps.remove(&id).unwrap_or_default();
                    let wrong = match readable(stands(row))? {
                        Some((_, 0, _)) => "is of a decision that is unknown to the ledger",
                        Some((found, _, true)) if found == values(&expected) => continue,
                        _ => "was changed in its table",
                    };
                    self.verified.find(None, format!("the alert {} {wrong}", Uuid::from_bytes(id)));
                }
            }
        }
        // One that is missing may have been forgotten with its card.
        if self.n_erasures == 0 {
            for id in steps.into_keys() {
                let what = format!("the alert {} of the ledger is missing from its table", Uuid::from_bytes(id));
                self.verified.find(None, what);
            }
        }
        Ok(())
    }

    /// Looks for suspicious decisions that cannot be, the first hundred of each kind.
    fn suspects(&mut self, connection: &mut Connection) -> Attempt<()> {
        for (which, wrong) in WRONG {
            let sql = format!("SELECT s.record FROM suspect s WHERE {which} ORDER BY s.record LIMIT 100");
            for row in connection.fetch(&sql, Vec::new())? {
                let what = match readable(row.bytes::<16>(0))? {
                    Some(id) => format!("the suspicious decision {} {wrong}", Uuid::from_bytes(id)),
                    None => format!("a suspicious decision whose name cannot be read {wrong}"),
                };
                self.verified.find(None, what);
            }
        }
        Ok(())
    }
}

/// Steps, who works on it, and the verdict.
type Stands = (i64, Option<String>, Option<String>);

fn values(step: &Step) -> Stands {
    (i64::from(step.number), step.assigned.clone(), step.closed.map(|v| v.name().to_string()))
}

/// How a case stands, the records of its name, and whether risk and number are those of its decisions.
fn stands(row: &Row) -> Attempt<(Stands, i64, bool)> {
    let agrees = (row.int(5)?, row.int(6)?) == (row.int(7)?, row.int(8)?);
    Ok(((row.int(1)?, row.maybe_text(2)?, row.maybe_text(3)?), row.int(4)?, agrees))
}
