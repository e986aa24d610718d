//! What can be typed.

use clap::{Args, Subcommand};
use std::path::PathBuf;

pub const AUDIT_EXAMPLES: &str = "Examples:
  statera audit verify backup-2026-11-21
  statera audit verify backup-2026-11-21 --public-key from-the-auditors-safe.pub
  statera audit verify /var/lib/statera --cache
  statera audit verify copy/store.sqlite --checkpoints checkpoints.jsonl --public-key checkpoint.pub --bundles bundles";

pub const LEDGER_EXAMPLES: &str = "Examples:
  statera ledger erase customer-4711 --store /var/lib/statera --why 'asked on 2026-11-20, letter 12'
  statera ledger erase - --store /var/lib/statera --why 'account closed' < names.txt
  statera ledger retain --older-than 5y --store /var/lib/statera";

pub const BACKUP_EXAMPLES: &str = "Examples:
  statera backup --store /var/lib/statera --to /backup/2026-11-21
  statera backup --store /var/lib/statera --to /backup/2026-11-21 --keys-to /media/safe/keys
  statera backup --store postgres://statera@db/bank --folder /var/lib/statera --to /backup/2026-11-21 --settings server.toml";

pub const RESTORE_EXAMPLES: &str = "Examples:
  statera restore /backup/2026-11-21 --keys /media/safe/keys --store /var/lib/statera-new
  statera restore /backup/2026-11-21 --keys /media/safe/keys --store postgres://statera@db/new --folder /var/lib/statera-new";

/// Which store.
#[derive(Args)]
pub struct Place {
    /// The store: its folder, or postgres://…
    #[arg(long, value_name = "DIR|URL")]
    pub store: String,
    /// Folder of bundles, checkpoints and keys, where the store is a PostgreSQL database
    #[arg(long, value_name = "DIR")]
    pub folder: Option<PathBuf>,
}

#[derive(Args)]
pub struct Audit {
    #[command(subcommand)]
    pub command: AuditCommand,
}

#[derive(Subcommand)]
pub enum AuditCommand {
    /// Check a copy of a store, without any secret key: recompute every row of the ledger, compare signed checkpoints, compare
    /// all tables and bundles with the ledger; name what was changed, dropped, reordered, cut off or added
    #[command(after_help = AUDIT_EXAMPLES)]
    Verify(Verify),
}

#[derive(Args)]
pub struct Verify {
    /// A backup, the folder of a copied store, its store.sqlite, or postgres://…
    pub copy: String,
    /// Signed checkpoints; those beside the copy if not given
    #[arg(long, value_name = "FILE.jsonl")]
    pub checkpoints: Option<PathBuf>,
    /// Public key that signed them, as the auditor has it; the one beside the copy if not given, which proves less: who can
    /// change a copy can change that too
    #[arg(long, value_name = "FILE.pub")]
    pub public_key: Option<PathBuf>,
    /// Folder of the bundles, which are compared with the digests that the ledger names; the one beside the copy if not given
    #[arg(long, value_name = "DIR")]
    pub bundles: Option<PathBuf>,
    /// The folder is that of a server whose bundles are in an object store: bundles that it has not needed yet, and so lacks,
    /// are counted and not found fault with
    #[arg(long)]
    pub cache: bool,
    /// Leave the bundles out, where reading all of them takes too long
    #[arg(long, conflicts_with_all = ["bundles", "cache"])]
    pub no_bundles: bool,
}

#[derive(Args)]
pub struct Ledger {
    #[command(subcommand)]
    pub command: LedgerCommand,
}

#[derive(Subcommand)]
pub enum LedgerCommand {
    /// Destroy the key of a subject: what was recorded of it can never be read again, and the ledger still verifies
    #[command(after_help = LEDGER_EXAMPLES)]
    Erase(Erase),
    /// Destroy the keys of everything that was recorded before a time, as a policy of retention asks; a server does it by itself
    /// where [retention] of its settings names an age
    #[command(after_help = LEDGER_EXAMPLES)]
    Retain(Retain),
}

#[derive(Args)]
pub struct Erase {
    /// The subject as the bank names it, or the id of a record that names nobody; - reads one a line from standard input, so
    /// that no name stands in the shell's history
    pub subject: String,
    #[command(flatten)]
    pub place: Place,
    /// Why; it stands in the ledger, without personal data
    #[arg(long, value_name = "TEXT")]
    pub why: String,
    /// Who does it, by their name in the store; the ledger says so. Without it the ledger says that the system did, on whose
    /// machine only who may read the key files can
    #[arg(long, value_name = "PERSON")]
    pub by: Option<String>,
}

#[derive(Args)]
pub struct Retain {
    /// Age, such as 5y, 18m (months) or 400d; exact to the 30 days of a key, rounded to what is kept longer
    #[arg(long, value_name = "AGE")]
    pub older_than: String,
    #[command(flatten)]
    pub place: Place,
    /// Why; it stands in the ledger
    #[arg(long, value_name = "TEXT", default_value = "retention")]
    pub why: String,
    /// Who does it, by their name in the store; without it the system, as of a policy that a timer carries out, which is refused
    /// where the clock may be wrong
    #[arg(long, value_name = "PERSON")]
    pub by: Option<String>,
    /// Also where the clock is more than 35 days ahead of the ledger's last row, or where it goes more than 60 days further than
    /// the last time, without anybody's name
    #[arg(long)]
    pub clock_is_right: bool,
}

#[derive(Args)]
pub struct Backup {
    #[command(flatten)]
    pub place: Place,
    /// Folder to make
    #[arg(long, value_name = "DIR")]
    pub to: PathBuf,
    /// Folder to make for the secret keys, which a backup does not hold: without them its payloads cannot be read
    #[arg(long, value_name = "DIR")]
    pub keys_to: Option<PathBuf>,
    /// Settings of the server, where its bundles are in an object store: those that the folder lacks are brought from there
    #[arg(long, value_name = "SERVER.toml")]
    pub settings: Option<PathBuf>,
}

#[derive(Args)]
pub struct Restore {
    /// A folder that `statera backup` made
    pub backup: PathBuf,
    /// Folder of the secret keys
    #[arg(long, value_name = "DIR")]
    pub keys: PathBuf,
    #[command(flatten)]
    pub place: Place,
    /// Settings of the server, where its bundles are to be in an object store: those of the backup are put there
    #[arg(long, value_name = "SERVER.toml")]
    pub settings: Option<PathBuf>,
}
