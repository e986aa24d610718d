//! The auditor's check, on a copy and without a secret key: every row of every chain is recomputed, signed checkpoints are
//! compared, and all tables are compared with what the ledger says of them.
//!
//! What it cannot see: rows that were written after the last checkpoint and cut off at the end together with everything of
//! them in the other tables; and plaintexts, which it does not need.

mod alerts;
mod bundles;
mod chain;
mod records;
mod unknown;

use crate::act::Act;
use crate::alert::Step;
use crate::ledger::body::Erased;
use crate::ledger::checkpoint::{self, Checkpoint};
use crate::ledger::derived::{self, Deed};
use crate::sql::migrate::{has_tables, meta_int, refuse_newer};
use crate::sql::{self, Attempt, BULK_LIMIT, Connection, Database, Use};
use crate::state;
use crate::{keys, ledger};
use statera_core::{Error, Result};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::path::{Path, PathBuf};

/// Findings that are kept; more are counted.
const FINDINGS_MAX: usize = 100;

pub use bundles::{Extent, bundles_beside, verify_bundles};

/// Something that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Where in the ledger: the chain and the row's number in it. None: in a table, in no row's place.
    pub place: Option<(String, u64)>,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Some((chain, seq)) => write!(f, "chain {chain}, row {seq}: {}", self.what),
            None => f.write_str(&self.what),
        }
    }
}

/// A bundle that the ledger names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedBundle {
    /// Its digest.
    pub digest: String,
    /// The model that it was added to first.
    pub model: String,
    /// The row that says so: the chain and the number in it.
    pub place: (String, u64),
}

/// What a check has seen.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verified {
    /// Rows of every chain.
    pub chains: Vec<(String, u64)>,
    /// Records with everything that belongs to them.
    pub n_records: u64,
    /// Encrypted parts.
    pub n_parts: u64,
    /// Signed checkpoints; 0: there was no file of them, and rows cut off at the end of a chain cannot be seen.
    pub n_checkpoints: u64,
    /// When the last of them was signed, microseconds since 1970 UTC.
    pub last_checkpoint_us: Option<i64>,
    /// Bundles that rows of the ledger name, each once.
    pub named_bundles: Vec<NamedBundle>,
    /// Bundles that were compared with their digests, and those of them that no row names (sent, and then not taken as a
    /// version). None: they were not looked at ([`verify_bundles`]).
    pub n_bundles: Option<(u64, u64)>,
    /// Bundles that rows name and that a folder lacks which is the cache of an object store; of another folder each is a
    /// finding.
    pub n_not_cached: u64,
    /// What is wrong, the first hundred.
    pub findings: Vec<Finding>,
    /// What is wrong, all of it.
    pub n_findings: u64,
}

impl Verified {
    fn find(&mut self, place: Option<(&str, u64)>, what: impl Into<String>) {
        self.n_findings += 1;
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(Finding { place: place.map(|(c, s)| (c.into(), s)), what: what.into() });
        }
    }
}

/// Checks a copy: a folder that `statera backup` wrote or a copied store, an SQLite file, or `postgres://…`. Checkpoints and
/// public key are those of the folder where they are not given; an auditor brings the public key from elsewhere, since who
/// can change a copy can change the key in it.
///
/// # Errors
/// A copy that cannot be opened, or of a newer program; a key that is none. What is wrong inside is no error but a finding.
pub fn verify(copy: &str, checkpoints: Option<&Path>, public_key: Option<&Path>) -> Result<Verified> {
    let (database, folder) = open(copy)?;
    let mut verified = Verified::default();
    let heads = read_checkpoints(folder.as_deref(), checkpoints, public_key, &mut verified)?;
    let mut connection = database.connect(Use::Inspect)?;
    let label = database.label();
    if !has_tables(&mut connection)? {
        return Err(Error::request(format!("{label} is no store")));
    }
    refuse_newer(&mut connection)?;
    let mut check = Check { verified, heads, ..Check::default() };
    connection.limited(BULK_LIMIT, |c| c.snapshot(|c| check.everything(c))).map_err(|e| Error::from(e).at(label))?;
    Ok(check.verified)
}

fn open(copy: &str) -> Result<(Database, Option<PathBuf>)> {
    if sql::is_postgres(copy) {
        return Ok((Database::at(copy)?, None));
    }
    let path = Path::new(copy);
    let (file, folder) = if path.is_file() { (path.into(), path.parent()) } else { (path.join(sql::FILE), Some(path)) };
    if !file.is_file() {
        return Err(Error::request(format!("{} is not there; a store or its backup has that file", file.display())));
    }
    Ok((Database::file(&file), folder.map(Path::to_path_buf)))
}

/// The rows that checkpoints name, by chain: number and hash.
type Heads = BTreeMap<String, Vec<(u64, String)>>;

fn read_checkpoints(
    folder: Option<&Path>,
    file: Option<&Path>,
    key: Option<&Path>,
    verified: &mut Verified,
) -> Result<Heads> {
    let beside = |name: &str| folder.map(|f| f.join(name)).filter(|p| p.exists());
    let mut heads = Heads::new();
    let Some(file) = file.map(PathBuf::from).or_else(|| beside(checkpoint::FILE)) else { return Ok(heads) };
    let key = key.map(PathBuf::from).or_else(|| beside(keys::CHECKPOINT_PUBLIC));
    let Some(key) = key else {
        return Err(Error::request("checkpoints cannot be checked without the public key; give its file"));
    };
    let key = checkpoint::public_key(&key)?;
    let mut wrong = Vec::new();
    let (mut n, mut last) = (0, None);
    let each = |line: usize, checkpoint: Checkpoint| {
        n += 1;
        last = Some(checkpoint.at_us);
        for head in checkpoint.heads {
            let rows = heads.entry(head.chain).or_default();
            match rows.last() {
                Some((seq, hash)) if *seq == head.seq && *hash == head.hash => {}
                // A chain never becomes shorter.
                Some((seq, _)) if *seq >= head.seq => rows.push((head.seq, format!("line {line} falls behind {seq}"))),
                _ => rows.push((head.seq, head.hash)),
            }
        }
    };
    checkpoint::read_all(&file, &key, each, |line, what| wrong.push((line, what)))?;
    (verified.n_checkpoints, verified.last_checkpoint_us) = (n, last);
    for (line, what) in wrong {
        verified.find(None, format!("{}, line {line}: {what}", file.display()));
    }
    for rows in heads.values_mut() {
        rows.sort();
    }
    Ok(heads)
}

/// The state of a check.
#[derive(Default)]
struct Check {
    verified: Verified,
    heads: Heads,
    deeds: Vec<Deed>,
    /// Rows of `audit`, `record`, `part`, `subject_key` and `request` that the ledger knows.
    n_known: [u64; 5],
    /// Keys that rows say were erased, with the row's time and place.
    erased: HashMap<[u8; 16], (i64, String, u64)>,
    /// Erasures by age: keys of earlier periods were erased, at that time.
    retained: Vec<(i64, i64)>,
    /// Of earlier periods than this no key is left.
    all_gone: Option<i64>,
    n_erasures: i64,
    /// The last step of each case that was worked on.
    steps: HashMap<[u8; 16], Step>,
    /// Keys whose rows say that they were erased: when, their period, and where they were made.
    gone: Vec<Gone>,
}

/// A key that was erased, as its table has it.
struct Gone {
    id: [u8; 16],
    erased_us: i64,
    period: i64,
    chain: String,
    seq: u64,
}

impl Check {
    fn everything(&mut self, connection: &mut Connection) -> Attempt<()> {
        for row in connection.fetch("SELECT id, name FROM chain ORDER BY id", Vec::new())? {
            match (row.int(0), row.text(1)) {
                (Ok(id), Ok(name)) => self.chain(connection, id, &name)?,
                _ => self.verified.find(None, "a row of the table chain cannot be read"),
            }
        }
        for chain in std::mem::take(&mut self.heads).into_keys() {
            self.verified.find(None, format!("chain {chain} is missing, which a checkpoint names"));
        }
        self.erasures(connection)?;
        self.tables(connection)?;
        self.name_bundles();
        self.alerts(connection)?;
        self.unknown_rows(connection)
    }

    /// Keys are gone where the ledger says so, and nowhere else.
    fn erasures(&mut self, connection: &mut Connection) -> Attempt<()> {
        for gone in std::mem::take(&mut self.gone) {
            let by_name = self.erased.get(&gone.id).is_some_and(|(at_us, ..)| *at_us == gone.erased_us);
            let by_age = self.retained.iter().any(|(p, at_us)| gone.period < *p && *at_us == gone.erased_us);
            if !by_name && !by_age {
                let what = format!("the key {} was erased, and no row of the ledger says so", keys::hex(&gone.id));
                self.verified.find(Some((&gone.chain, gone.seq)), what);
            }
        }
        for (id, (_, chain, seq)) in std::mem::take(&mut self.erased) {
            let sql = "SELECT count(*) FROM subject_key WHERE id = $1 AND wrapped IS NOT NULL";
            let row = connection.first(sql, vec![(&id).into()])?;
            if row.map(|r| r.int(0)).transpose()? != Some(0) {
                let what = format!("it says that the key {} was erased, and it is there", keys::hex(&id));
                self.verified.find(Some((&chain, seq)), what);
            }
        }
        if let Some(period) = self.all_gone {
            let sql = "SELECT id FROM subject_key WHERE wrapped IS NOT NULL AND period < $1 ORDER BY id LIMIT 100";
            for row in connection.fetch(sql, vec![period.into()])? {
                let id = keys::hex(&row.blob(0)?);
                self.verified.find(None, format!("the key {id} is there, although it was old enough to be erased"));
            }
        }
        Ok(())
    }

    /// Registry and people.
    fn tables(&mut self, connection: &mut Connection) -> Attempt<()> {
        let verified = &mut self.verified;
        let (registry, people) =
            derived::replay(&mut self.deeds, |chain, seq, what| verified.find(Some((chain, seq)), what));
        let tables = state::load_registry(connection, true).and_then(|r| Ok((r, state::load_people(connection)?)));
        match tables {
            Ok((tabled, everybody)) => {
                let mut registry = registry;
                registry.proposals.sort_by_key(|p| (p.at_us, p.id));
                let everybody = derived::without_secrets(everybody);
                for what in derived::differences((&registry, &people), (&tabled, &everybody)) {
                    verified.find(None, what);
                }
            }
            Err(sql::Failure::Refused(e)) => verified.find(None, format!("the registry or the people: {e}")),
            Err(e) => return Err(e),
        }
        let last = self.deeds.last().map_or(0, |d| d.turn) as i64;
        for (name, expected) in [("turn", last), ("erasures", self.n_erasures)] {
            match meta_int(connection, name) {
                Ok(found) if found == expected => {}
                Ok(found) => {
                    self.verified.find(None, format!("the table meta has {name} {found}; the ledger {expected}"))
                }
                Err(sql::Failure::Refused(e)) => self.verified.find(None, e.to_string()),
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    /// Bundles of versions, in the order in which they were added.
    fn name_bundles(&mut self) {
        let mut seen = HashSet::new();
        for deed in &self.deeds {
            let Some(Act::AddVersion { model, digest, .. }) = &deed.act else { continue };
            if seen.insert(digest.as_str()) {
                let place = (deed.chain.clone(), deed.seq);
                let (digest, model) = (digest.clone(), model.clone());
                self.verified.named_bundles.push(NamedBundle { digest, model, place });
            }
        }
    }

    fn note_erased(&mut self, erased: &Erased, at_us: i64, chain: &str, seq: u64) {
        self.n_erasures += 1;
        for key in &erased.keys {
            match keys::unhex(key) {
                Some(id) => drop(self.erased.insert(id, (at_us, chain.into(), seq))),
                None => self.verified.find(Some((chain, seq)), format!("«{key}» is no key")),
            }
        }
    }

    fn note_retained(&mut self, retained: &ledger::body::Retained, at_us: i64) {
        self.n_erasures += i64::from(retained.keys > 0);
        if retained.keys > 0 {
            self.retained.push((retained.before_period, at_us));
        }
        // After a batch there may be more: the program was stopped there, or is still at it. Its last row is one of none.
        if retained.keys == 0 {
            self.all_gone = self.all_gone.max(Some(retained.before_period));
        }
    }
}
