//! A chain from its first row to its last.

use super::Check;
use crate::act::Actor;
use crate::ledger::body::{self, Body};
use crate::ledger::derived::Deed;
use crate::ledger::{of_place, place, row_hash};
use crate::sql::{Attempt, Connection, Row};
use crate::{keys, ledger};
use statera_core::Error;

/// Rows that are read at once.
const PAGE: usize = 1000;
/// Rows among which the true place of one that was moved is looked for, and how often.
const MOVED_WITHIN: usize = 50;
const MOVED_SEARCHES: u32 = 20;

/// A row as it is in the table.
pub(super) struct Stored {
    pub(super) seq: u64,
    pub(super) at_us: i64,
    pub(super) actor: String,
    pub(super) body: String,
    pub(super) hash: [u8; 32],
}

/// Where in a chain the check stands.
struct Walk<'a> {
    id: i64,
    name: &'a str,
    /// The number of the next row.
    next: u64,
    /// What the row before it may hash to: as stored, and as recomputed. One of both is right if that row alone was changed.
    before: [[u8; 32]; 2],
    at_us: i64,
    n_searches: u32,
    next_part: u64,
}

impl Check {
    pub(super) fn chain(&mut self, connection: &mut Connection, id: i64, name: &str) -> Attempt<()> {
        let mut walk = Walk { id, name, next: 1, before: [[0; 32]; 2], at_us: i64::MIN, n_searches: 0, next_part: 0 };
        let mut signed = self.heads.remove(name).unwrap_or_default().into_iter().peekable();
        let sql = "SELECT place, at_us, actor, body, hash FROM audit WHERE place >= $1 AND place < $2 ORDER BY place LIMIT $3";
        let mut from = place(id, 0);
        loop {
            let values = vec![from.into(), place(id + 1, 0).into(), (PAGE as i64).into()];
            let found = connection.fetch(sql, values)?;
            let Some(last) = found.last() else { break };
            from = last.int(0)? + 1;
            self.n_known[0] += found.len() as u64;
            let mut rows = Vec::with_capacity(found.len());
            for row in &found {
                let (_, seq) = of_place(row.int(0)?);
                match stored(row, seq) {
                    Ok(row) => rows.push(row),
                    Err(_) => self.verified.find(Some((name, seq)), "changed: a value of it cannot be read"),
                }
            }
            for at in 0..rows.len() {
                self.row(&mut walk, &rows, at);
                while let Some((seq, hash)) = signed.next_if(|(seq, _)| *seq <= rows[at].seq) {
                    if seq == rows[at].seq && hash != keys::hex(&rows[at].hash) {
                        let what = format!("it is not the row that a checkpoint has signed ({hash})");
                        self.verified.find(Some((name, seq)), what);
                    }
                }
            }
            self.bodies(connection, &mut walk, &rows)?;
        }
        let n_rows = walk.next - 1;
        if let Some((seq, _)) = signed.last() {
            let what = format!("cut off at the end: a checkpoint names row {seq}, and the chain ends at {n_rows}");
            self.verified.find(Some((name, n_rows)), what);
        }
        self.verified.chains.push((name.into(), n_rows));
        Ok(())
    }

    /// Checks a row against the one before it.
    fn row(&mut self, walk: &mut Walk<'_>, rows: &[Stored], at: usize) {
        let row = &rows[at];
        let hash = |before: &[u8; 32]| row_hash(before, walk.name, row.seq, row.at_us, &row.actor, &row.body);
        let [stored, recomputed] = walk.before.map(|b| hash(&b));
        let place = Some((walk.name, row.seq));
        if row.seq != walk.next {
            let missing = match (walk.next, row.seq) {
                (_, 0) => "it has no place in the chain: rows begin at 1".into(),
                (first, end) if first + 1 == end => format!("row {first} before it was dropped"),
                (first, end) => format!("rows {first} to {} before it were dropped", end - 1),
            };
            self.verified.find(place, missing);
            walk.before = [row.hash; 2];
        } else if row.hash == stored || row.hash == recomputed {
            if row.at_us < walk.at_us {
                self.verified.find(place, "its time is before that of the row before it");
            }
            walk.before = [row.hash; 2];
        } else {
            let what = match walk.true_place(rows, at) {
                Some(seq) => format!("reordered: this is row {seq} of the chain"),
                None => "changed: its hash is not that of its content and of the row before it".into(),
            };
            self.verified.find(place, what);
            walk.before = [row.hash, stored];
        }
        (walk.next, walk.at_us) = (row.seq + 1, row.at_us);
    }

    /// What the rows of a page say, and whether the other tables agree.
    fn bodies(&mut self, connection: &mut Connection, walk: &mut Walk<'_>, rows: &[Stored]) -> Attempt<()> {
        let mut records = Vec::new();
        for row in rows {
            match body::parse(&row.body) {
                Ok(Body { record: Some(record), .. }) => records.push((row, record)),
                Ok(body) => self.deed(walk.name, row, body),
                Err(e) => self.verified.find(Some((walk.name, row.seq)), e.to_string()),
            }
        }
        self.records(connection, walk.id, walk.name, &mut walk.next_part, &records)
    }

    fn deed(&mut self, chain: &str, row: &Stored, body: Body<'_>) {
        let Ok(actor) = serde_json::from_str::<Actor>(&row.actor) else {
            return self.verified.find(Some((chain, row.seq)), "its actor cannot be read");
        };
        if let Some(erased) = &body.erase {
            self.note_erased(erased, row.at_us, chain, row.seq);
        }
        if let Some(retained) = &body.retain {
            self.note_retained(retained, row.at_us);
        }
        let Some(turn) = body.turn else {
            return self.verified.find(Some((chain, row.seq)), "it is neither a record nor something that was done");
        };
        self.deeds.push(Deed {
            turn,
            chain: chain.into(),
            seq: row.seq,
            at_us: row.at_us,
            actor,
            act: body.act,
            made: body.made,
            secret: body.secret,
        });
    }
}

impl Walk<'_> {
    /// The number under which a row fits its hash: it was moved.
    fn true_place(&mut self, rows: &[Stored], at: usize) -> Option<u64> {
        self.n_searches += 1;
        if self.n_searches > MOVED_SEARCHES {
            return None;
        }
        let row = &rows[at];
        let near = &rows[at.saturating_sub(MOVED_WITHIN)..rows.len().min(at + MOVED_WITHIN)];
        let candidates = near.iter().map(|r| r.seq).filter(|seq| *seq != row.seq);
        for seq in candidates {
            for before in near.iter().map(|r| &r.hash).chain(&self.before) {
                if row_hash(before, self.name, seq, row.at_us, &row.actor, &row.body) == row.hash {
                    return Some(seq);
                }
            }
        }
        None
    }
}

fn stored(row: &Row, seq: u64) -> Attempt<Stored> {
    Ok(Stored { seq, at_us: row.int(1)?, actor: row.text(2)?, body: row.text(3)?, hash: row.bytes(4)? })
}

/// The record's row at a place, for rows of other tables that point there.
pub(super) fn body_at(connection: &mut Connection, place: i64) -> Attempt<Option<String>> {
    let row = connection.first("SELECT body FROM audit WHERE place = $1", vec![place.into()])?;
    match row.map(|r| r.text(0)).transpose() {
        Ok(body) => Ok(body),
        Err(crate::sql::Failure::Refused(_)) => Ok(None),
        Err(e) => Err(e),
    }
}

/// Where in the ledger a place is, for messages.
pub(super) fn place_name(place: i64) -> String {
    let (chain, seq) = ledger::of_place(place);
    format!("row {seq} of chain number {chain}")
}

/// A table's row that cannot be read is a finding, not a failure.
pub(super) fn readable<T>(read: Attempt<T>) -> Attempt<Option<T>> {
    match read {
        Ok(value) => Ok(Some(value)),
        Err(crate::sql::Failure::Refused(e)) if e.kind() == Error::damaged("").kind() => Ok(None),
        Err(e) => Err(e),
    }
}
