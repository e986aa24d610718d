//! The ledger: rows in a hash chain, one chain for each process that writes.

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
