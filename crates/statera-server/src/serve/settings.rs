//! `[serve]` of `server.toml`.

use super::connection::Manners;
use super::watched::Patience;
use serde::{Deserialize, Serialize};
use statera_core::{Error, Result};
use std::path::PathBuf;
use std::time::Duration;

/// Where the server listens, and how it treats connections.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServeSettings {
    /// Address and port.
    pub listen: String,
    /// A folder, or `postgres://…`.
    pub store: String,
    /// Where bundles, checkpoints and key files lie if the store is a database; empty: `statera-store`.
    pub folder: PathBuf,
    /// Threads for connections; 0: one for each core.
    pub threads: usize,
    /// Connections at once.
    pub connections: usize,
    /// Of them from one address that is no trusted proxy.
    pub connections_per_address: usize,
    /// Bytes of a request's head: its line and its headers.
    pub head_bytes_max: usize,
    /// Headers of a request.
    pub head_lines_max: usize,
    /// A head must be whole within so many milliseconds after its first byte.
    pub head_timeout_ms: u32,
    /// A connection without a request is closed after so many milliseconds.
    pub idle_timeout_ms: u32,
    /// A client that takes nothing of its answer is left after so many milliseconds.
    pub answer_timeout_ms: u32,
    /// What is worked on at the end has so many milliseconds.
    pub stop_ms: u32,
    /// Records that wait for the store's writer.
    pub queue: usize,
    /// Rows of the ledger between signed checkpoints.
    pub checkpoint_rows: u64,
    /// Seconds between signed checkpoints while rows come.
    pub checkpoint_seconds: u64,
}

/// What the protocol's reader has room for without allocating.
pub(super) const HEAD_LINES: usize = 100;

impl Default for ServeSettings {
    fn default() -> Self {
        ServeSettings {
            listen: "127.0.0.1:8420".into(),
            store: "statera-store".into(),
            folder: PathBuf::new(),
            threads: 0,
            connections: 4_096,
            connections_per_address: 1_024,
            head_bytes_max: 64 << 10,
            head_lines_max: HEAD_LINES,
            head_timeout_ms: 10_000,
            idle_timeout_ms: 75_000,
            answer_timeout_ms: 30_000,
            stop_ms: 30_000,
            queue: 8_192,
            checkpoint_rows: 100_000,
            checkpoint_seconds: 60,
        }
    }
}

impl ServeSettings {
    /// What each field is for, as `server.toml` says it.
    pub const ABOUT: &[(&str, &str)] = &[
        ("listen", "Address and port"),
        ("store", "A folder (SQLite), or postgres://USER@HOST/DATABASE, whose password is read from PGPASSFILE"),
        ("folder", "Where bundles and key files lie if the store is a database; empty: statera-store"),
        ("threads", "Threads for connections; 0: one for each core"),
        ("connections", "Connections at once"),
        ("connections_per_address", "of them from one address that is no trusted proxy"),
        ("head_bytes_max", "Bytes of a request's line and headers; more are answered 431"),
        ("head_lines_max", "Headers of a request; more are answered 431"),
        ("head_timeout_ms", "A head that is not whole by then ends its connection"),
        ("idle_timeout_ms", "A connection without a request is closed after this"),
        ("answer_timeout_ms", "A client that takes nothing of its answer is left after this"),
        ("stop_ms", "At the end, what is worked on has so long"),
        ("queue", "Records that wait for the store's writer; more are answered 503"),
        ("checkpoint_rows", "Rows of the ledger between signed checkpoints"),
        ("checkpoint_seconds", "and seconds between them while rows come"),
    ];

    /// Refuses what cannot be meant.
    ///
    /// # Errors
    /// The first field that is out of its range, with the range.
    pub fn check(&self) -> Result<()> {
        let time = 10..=86_400_000;
        let fields = [
            ("threads", self.threads as u64, 0..=1_024),
            ("connections", self.connections as u64, 1..=1_000_000),
            ("connections_per_address", self.connections_per_address as u64, 1..=1_000_000),
            // Less than 8 KiB the protocol's reader does not take.
            ("head_bytes_max", self.head_bytes_max as u64, 8 << 10..=1 << 20),
            ("head_lines_max", self.head_lines_max as u64, 8..=1_000),
            ("head_timeout_ms", u64::from(self.head_timeout_ms), time.clone()),
            ("idle_timeout_ms", u64::from(self.idle_timeout_ms), time.clone()),
            ("answer_timeout_ms", u64::from(self.answer_timeout_ms), time.clone()),
            ("stop_ms", u64::from(self.stop_ms), 0..=600_000),
            ("queue", self.queue as u64, 1..=1_000_000),
            ("checkpoint_rows", self.checkpoint_rows, 1..=1_000_000_000),
            ("checkpoint_seconds", self.checkpoint_seconds, 1..=86_400),
        ];
        for (name, value, allowed) in fields {
            if !allowed.contains(&value) {
                let (least, most) = allowed.into_inner();
                return Err(Error::request(format!("serve.{name} is {value}; allowed is {least} to {most}")));
            }
        }
        Ok(())
    }

    /// The folder of bundles and key files.
    pub fn store_folder(&self) -> PathBuf {
        let is_database = self.store.contains("://");
        match (self.folder.as_os_str().is_empty(), is_database) {
            (true, true) => PathBuf::from("statera-store"),
            (true, false) => PathBuf::from(&self.store),
            (false, _) => self.folder.clone(),
        }
    }

    /// The store as it may be shown: a database's address without user and password.
    pub fn store_shown(&self) -> String {
        match (self.store.split_once("://"), self.store.rsplit_once('@')) {
            (Some((scheme, _)), Some((_, place))) => format!("{scheme}://{place}"),
            _ => self.store.clone(),
        }
    }

    pub(super) fn manners(&self) -> Manners {
        let ms = |n: u32| Duration::from_millis(n.into());
        Manners {
            head_bytes_max: self.head_bytes_max,
            head_lines_max: self.head_lines_max,
            patience: Patience {
                head: ms(self.head_timeout_ms),
                idle: ms(self.idle_timeout_ms),
                answer: ms(self.answer_timeout_ms),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_is_shown_without_its_password() {
        let with = |store: &str| ServeSettings { store: store.into(), ..ServeSettings::default() };
        assert_eq!(with("postgres://kim:s3cr@t@db/bank").store_shown(), "postgres://db/bank");
        assert_eq!(with("/srv/kim@home").store_shown(), "/srv/kim@home");
        assert_eq!(with("/srv/statera").store_folder(), PathBuf::from("/srv/statera"));
        assert_eq!(with("postgres://db/bank").store_folder(), PathBuf::from("statera-store"));
    }
}
