//! The ledger: rows in a hash chain, one chain for each process that writes.
//!
//! A row's hash covers the row before it, so that no row can be changed, dropped or reordered unseen; signed checkpoints
//! ([`checkpoint`]) lie in a file apart, so that the end cannot be cut off unseen either. Bodies hold no personal data: of
//! encrypted parts they have digests, which stay right when the keys are destroyed.

pub(crate) mod body;
pub mod checkpoint;
pub(crate) mod derived;
mod verify;

pub use verify::{Extent, Finding, NamedBundle, Verified, bundles_beside, verify, verify_bundles};

use crate::record::{Id, RecordKind};
use statera_core::Result;

/// A row of the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRow {
    /// The chain.
    pub chain: String,
    /// Its number in the chain, from 1, without a gap.
    pub seq: u64,
    /// When, microseconds since 1970 UTC; never less than in the row before, even if the clock was set back.
    pub at_us: i64,
    /// Who, as JSON of [`crate::act::Actor`].
    pub actor: String,
    /// What, as one line of JSON without personal data; of a record its id, kind, facts and the digests of its encrypted parts.
    pub body: String,
    /// Hash of the row before; zeros before the first.
    pub previous: [u8; 32],
    /// BLAKE3 of the other fields, each with its length before it.
    pub hash: [u8; 32],
}

/// What a row of the ledger says of a record, beside its parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerRecord {
    /// Its name.
    pub id: Id,
    /// What it is of.
    pub kind: RecordKind,
    /// The decision that it follows.
    pub of: Option<Id>,
    /// As given.
    pub facts: String,
}

impl From<body::RecordBody<'_>> for LedgerRecord {
    fn from(body: body::RecordBody<'_>) -> LedgerRecord {
        LedgerRecord { id: body.id, kind: body.kind, of: body.of, facts: body.facts.get().into() }
    }
}

/// What the hash of every row begins with; never changed.
const DOMAIN: &[u8] = b"statera ledger row v1";

impl AuditRow {
    /// The record that the row is of; `None` for something that was done.
    ///
    /// # Errors
    /// `Damaged` for a body that is none.
    pub fn record(&self) -> Result<Option<LedgerRecord>> {
        Ok(body::parse(&self.body)?.record.map(LedgerRecord::from))
    }

    /// What [`AuditRow::hash`] must be.
    pub fn expected_hash(&self) -> [u8; 32] {
        row_hash(&self.previous, &self.chain, self.seq, self.at_us, &self.actor, &self.body)
    }
}

/// BLAKE3 of a row's fields, each with its length before it.
pub(crate) fn row_hash(previous: &[u8; 32], chain: &str, seq: u64, at_us: i64, actor: &str, body: &str) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    let (seq, at_us) = (seq.to_le_bytes(), at_us.to_le_bytes());
    let fields: [&[u8]; 7] = [DOMAIN, previous, chain.as_bytes(), &seq, &at_us, actor.as_bytes(), body.as_bytes()];
    for field in fields {
        hasher.update(&(field.len() as u64).to_le_bytes());
        hasher.update(field);
    }
    *hasher.finalize().as_bytes()
}

/// Bits of a place that are the row's number in its chain; those above are the chain's number. The same holds for parts.
const SEQ_BITS: u32 = 40;
/// Chains at most.
pub(crate) const CHAINS_MAX: i64 = 4096;

/// Where a row, or a part, is in its table: one number that grows at the end of its chain.
pub(crate) fn place(chain: i64, seq: u64) -> i64 {
    (chain << SEQ_BITS) | seq as i64
}

/// The chain's number and the row's number in it.
pub(crate) fn of_place(place: i64) -> (i64, u64) {
    (place >> SEQ_BITS, (place & ((1 << SEQ_BITS) - 1)) as u64)
}

/// The end of a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Head {
    /// Number of its last row; 0 before the first.
    pub(crate) seq: u64,
    pub(crate) hash: [u8; 32],
    pub(crate) at_us: i64,
}
