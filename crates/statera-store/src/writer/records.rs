//! Records in groups: sealed, chained, inserted by a few statements.

use super::acts::actor_json;
use super::queue::Waiting;
use super::{Tx, Writer};
use crate::Group;
use crate::alert::AlertChange;
use crate::ledger::body::{self, PartLine};
use crate::read;
use crate::record::{Id, NewRecord, RecordKind, Recorded};
use crate::sql::migrate::{READS_EDGES, meta_int, need_program};
use crate::sql::table::{PART, RECORD, REQUEST, SUBJECT_KEY};
use crate::sql::{Attempt, Failure, Value};
use crate::vault::{LiveKey, Sealer, key_digest, part_digest, period};
use statera_core::{Error, Result};
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use uuid::Uuid;

/// Values that one query looks for.
const LOOKUP: usize = 64;
/// Groups after one that met a request recorded before, for which names are looked for beforehand.
const LOOKING: u32 = 256;

/// What becomes of a record of a group.
enum Fate {
    New { at_us: i64 },
    Before(Id),
    Refused(Error),
}

impl Writer {
    /// Commits records in one transaction and answers those who wait.
    pub(crate) fn write_records(&mut self, group: Vec<Waiting>) {
        let (records, dones): (Vec<NewRecord>, Vec<_>) = group.into_iter().unzip();
        // The names of most groups are new: the database itself refuses one that is not, and the group is written again with
        // a look for what was recorded. A step that is made again would be refused for its number before that.
        let is_step =
            |record: &NewRecord| record.request.is_some() && matches!(record.alert, Some(AlertChange::Step(_)));
        let (looks, mut n_tries) = (self.n_looking > 0 || records.iter().any(is_step), 0);
        let mut written = self.transact(|tx| {
            n_tries += 1;
            tx.write_group(&records, looks || n_tries > 1)
        });
        if !looks && n_tries == 1 && matches!(written, Err(Failure::Unique(_))) {
            n_tries += 1;
            written = self.transact(|tx| tx.write_group(&records, true));
        }
        let is_new = |fate: &Fate| matches!(fate, Fate::New { .. });
        let met = n_tries > 1 || written.as_ref().is_ok_and(|fates| !fates.iter().all(is_new));
        self.n_looking = if met { LOOKING } else { self.n_looking.saturating_sub(1) };
        let fates = match written {
            Ok(fates) => fates,
            // One of them is what cannot be inserted twice; the others must not suffer.
            Err(Failure::Unique(_)) => records.iter().map(|record| self.write_one(record)).collect(),
            Err(e) => {
                let e = Error::from(e);
                records.iter().map(|_| Fate::Refused(e.clone())).collect()
            }
        };
        self.signals.announce(Group::Begins);
        for (fate, done) in fates.into_iter().zip(dones) {
            let told = match fate {
                Fate::New { at_us } => Ok(Recorded::New { at_us }),
                Fate::Before(id) => self.before(id),
                Fate::Refused(e) => Err(e),
            };
            // Somebody's callback must not take the others' answers, nor the writer, with it.
            let _ = catch_unwind(AssertUnwindSafe(|| done(told)));
        }
        self.signals.announce(Group::Ends);
    }

    fn write_one(&mut self, record: &NewRecord) -> Fate {
        match self.transact(|tx| tx.write_group(std::slice::from_ref(record), true)) {
            Ok(mut fates) => fates.pop().unwrap_or_else(|| Fate::Refused(Error::busy("nothing was written"))),
            Err(Failure::Unique(_)) => {
                Fate::Refused(Error::conflict(format!("there is a record {} already", record.id)))
            }
            Err(e) => Fate::Refused(e.into()),
        }
    }

    fn before(&mut self, id: Id) -> Result<Recorded> {
        let vault = self.vault();
        let record = read::record(self.connection()?, &vault, id)?;
        Ok(Recorded::Before(Box::new(record)))
    }
}

/// Rows that a group inserts, a table each.
#[derive(Default)]
struct Rows {
    records: Vec<Value>,
    parts: Vec<Value>,
    keys: Vec<Value>,
    requests: Vec<Value>,
}

impl Tx<'_> {
    /// Writes records. One whose request was recorded before is not written if it is looked for, and else no record is.
    fn write_group(&mut self, group: &[NewRecord], looks: bool) -> Attempt<Vec<Fate>> {
        let mut earlier = if looks { self.earlier_requests(group)? } else { HashMap::with_capacity(group.len()) };
        self.load_keys(group)?;
        let mut rows = Rows::default();
        let mut fates = Vec::with_capacity(group.len());
        for record in group {
            let name = record.request.as_ref().map(|r| ((r.scope.as_str(), r.name.as_str()), r));
            if let Some((name, request)) = name
                && let Some((id, digest)) = earlier.get(&name)
            {
                fates.push(if *digest == request.body_digest {
                    Fate::Before(*id)
                } else {
                    Fate::Refused(read::other_body(&request.name))
                });
                continue;
            }
            if let Some(refused) = self.change_alert(record)? {
                fates.push(Fate::Refused(refused));
                continue;
            }
            if let Some((name, request)) = name {
                earlier.insert(name, (record.id, request.body_digest));
            }
            self.write_record(record, &mut rows)?;
            fates.push(Fate::New { at_us: self.at_us });
        }
        self.connection.insert(&SUBJECT_KEY, rows.keys)?;
        self.connection.insert(&RECORD, rows.records)?;
        self.connection.insert(&PART, rows.parts)?;
        self.connection.insert(&REQUEST, rows.requests)?;
        Ok(fates)
    }

    /// Requests of the group's names that were recorded before.
    fn earlier_requests<'r>(&mut self, group: &'r [NewRecord]) -> Attempt<Earlier<'r>> {
        let names: Vec<(&str, &str)> =
            group.iter().filter_map(|r| r.request.as_ref()).map(|r| (r.scope.as_str(), r.name.as_str())).collect();
        let mut earlier = HashMap::with_capacity(names.len());
        for names in names.chunks(LOOKUP) {
            let sql = format!(
                "SELECT scope, name, record, body_digest FROM request WHERE (scope, name) IN (VALUES {})",
                placeholders(names.len(), 2)
            );
            let values = names.iter().flat_map(|(scope, name)| [Value::from(*scope), Value::from(*name)]).collect();
            for row in self.connection.fetch(&sql, values)? {
                let (scope, name) = (row.text(0)?, row.text(1)?);
                // The keys borrow from the group, so that looking one up allocates nothing.
                if let Some(name) = names.iter().find(|n| (n.0, n.1) == (scope.as_str(), name.as_str())) {
                    earlier.insert(*name, (Id(Uuid::from_bytes(row.bytes(2)?)), row.bytes(3)?));
                }
            }
        }
        Ok(earlier)
    }

    /// Loads the keys of the group's named subjects that are not remembered.
    fn load_keys(&mut self, group: &[NewRecord]) -> Attempt<()> {
        let named = group.iter().flat_map(|r| &r.parts).filter(|p| !p.subject.is_empty());
        let mut subjects: Vec<[u8; 32]> = named.map(|p| self.seals.vault.subject(&p.subject)).collect();
        if subjects.is_empty() {
            return Ok(());
        }
        // Keys that another process destroyed must not be used any more.
        let n_erasures = meta_int(self.connection, "erasures")?;
        if self.seals.n_erasures != n_erasures {
            self.seals.cache.clear();
            self.seals.n_erasures = n_erasures;
        }
        let now = period(self.at_us);
        subjects.retain(|s| self.seals.cache.get(s, now).is_none());
        subjects.sort_unstable();
        subjects.dedup();
        for subjects in subjects.chunks(LOOKUP) {
            let list: Vec<String> = (2..subjects.len() + 2).map(|i| format!("${i}")).collect();
            let sql = format!(
                "SELECT id, subject, wrapped FROM subject_key WHERE period = $1 AND subject IS NOT NULL AND wrapped IS NOT \
                 NULL AND subject IN ({})",
                list.join(", ")
            );
            let values = std::iter::once(now.into()).chain(subjects.iter().map(Value::from)).collect();
            for row in self.connection.fetch(&sql, values)? {
                let id = row.bytes(0)?;
                let key = self.seals.vault.unwrap(&id, &row.blob(2)?)?;
                self.seals.cache.put(row.bytes(1)?, LiveKey { id, period: now, key });
            }
        }
        Ok(())
    }

    fn write_record(&mut self, record: &NewRecord, rows: &mut Rows) -> Attempt<()> {
        if record.kind == RecordKind::Edges {
            need_program(self.connection, READS_EDGES)?;
        }
        let id = record.id.0.as_bytes();
        let place = self.place();
        let first_part = self.take_parts(record.parts.len());
        let mut lines = Vec::with_capacity(record.parts.len());
        let mut made = Vec::new();
        // The key of parts that name nobody.
        let mut own: Option<Sealer> = None;
        for (number, part) in record.parts.iter().enumerate() {
            let nonce = self.seals.random.take()?;
            let (key, sealed) = if part.subject.is_empty() {
                let sealer = match &own {
                    Some(sealer) => sealer,
                    None => own.insert(self.make_key(*id, None, rows, &mut made)?.0),
                };
                (None, sealer.seal(id, number, &nonce, &part.plain)?)
            } else {
                let (sealer, key) = self.key_of(&part.subject, rows, &mut made)?;
                (Some(key), sealer.seal(id, number, &nonce, &part.plain)?)
            };
            self.n_bytes += sealed.len() as u64;
            lines.push(PartLine { key, digest: part_digest(key.as_ref().unwrap_or(id), &sealed) });
            let key: Option<Vec<u8>> = key.map(|k| k.to_vec());
            rows.parts.extend([(first_part + number as i64).into(), place.into(), key.into(), sealed.into()]);
        }
        let follows: Option<Vec<u8>> = record.of.map(|of| of.0.as_bytes().to_vec());
        let n_parts = record.parts.len() as i64;
        rows.records.extend([Value::from(id), follows.into(), place.into(), first_part.into(), n_parts.into()]);
        if let Some(request) = &record.request {
            rows.requests.extend([
                request.scope.as_str().into(),
                request.name.as_str().into(),
                Value::from(id),
                Value::from(&request.body_digest),
            ]);
        }
        let actor = actor_json(&record.actor)?;
        let body = body::of_record(record, &lines, &made)?;
        self.append(actor, body);
        Ok(())
    }

    /// What seals the parts of a named subject, and the key's id.
    fn key_of(&mut self, name: &str, rows: &mut Rows, made: &mut Made) -> Attempt<(Sealer, [u8; 16])> {
        let subject = self.seals.vault.subject(name);
        if let Some(live) = self.seals.cache.get(&subject, period(self.at_us)) {
            return Ok((Sealer::new(&live.key), live.id));
        }
        let id = *Id::new(self.at_us).0.as_bytes();
        let (sealer, live) = self.make_key(id, Some(subject), rows, made)?;
        self.seals.cache.put(subject, live);
        Ok((sealer, id))
    }

    /// A new key.
    fn make_key(
        &mut self,
        id: [u8; 16],
        subject: Option<[u8; 32]>,
        rows: &mut Rows,
        made: &mut Made,
    ) -> Attempt<(Sealer, LiveKey)> {
        let seals = &mut *self.seals;
        let key = zeroize::Zeroizing::new(seals.random.take()?);
        let wrapped = seals.vault.wrap(&id, &key, &seals.random.take()?)?;
        let now = period(self.at_us);
        made.push((id, key_digest(&id, subject.as_ref().map(|s| &s[..]), &wrapped)));
        let subject: Option<Vec<u8>> = subject.map(|s| s.to_vec());
        rows.keys.extend([Value::from(&id), subject.into(), now.into(), wrapped.into(), Value::Int(None)]);
        Ok((Sealer::new(&key), LiveKey { id, period: now, key }))
    }
}

/// Earlier requests by scope and name: the record, and the digest of the body.
type Earlier<'r> = HashMap<(&'r str, &'r str), (Id, [u8; 32])>;
/// Keys that were made for a record, each with its digest.
type Made = Vec<([u8; 16], blake3::Hash)>;

/// `($1,$2),($3,$4)`.
fn placeholders(n_rows: usize, width: usize) -> String {
    let row = |i: usize| {
        let names: Vec<String> = (1..=width).map(|j| format!("${}", i * width + j)).collect();
        format!("({})", names.join(","))
    };
    (0..n_rows).map(row).collect::<Vec<_>>().join(",")
}
