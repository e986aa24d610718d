//! A store that keeps nothing and is always ready: what is tested here does not depend on what is kept.

use statera_core::{Error, Result};
use statera_store::Store;
use statera_store::act::{Act, Acted, Actor};
use statera_store::ledger::AuditRow;
use statera_store::people::{ApiKey, NewSession, Person, Session, Sessions};
use statera_store::record::{Done, Id, NewRecord, StoredRecord};
use statera_store::registry::Registry;
use std::path::{Path, PathBuf};

pub struct NoStore;

fn nothing<T>() -> Result<T> {
    Err(Error::not_found("nothing is kept here"))
}

impl Store for NoStore {
    fn submit(&self, _: NewRecord, _: Done) -> Result<()> {
        nothing()
    }
    fn record(&self, _: Id) -> Result<StoredRecord> {
        nothing()
    }
    fn records_of(&self, _: Id, _: usize) -> Result<Vec<StoredRecord>> {
        nothing()
    }
    fn registry(&self) -> Result<Registry> {
        Ok(Registry::default())
    }
    fn registry_revision(&self) -> Result<u64> {
        Ok(0)
    }
    fn act(&self, _: &Actor, _: Act) -> Result<Acted> {
        nothing()
    }
    fn put_bundle(&self, _: &str, _: &Path) -> Result<PathBuf> {
        nothing()
    }
    fn bundle(&self, _: &str) -> Result<PathBuf> {
        nothing()
    }
    fn person(&self, _: &str) -> Result<Person> {
        nothing()
    }
    fn people(&self) -> Result<Vec<Person>> {
        Ok(Vec::new())
    }
    fn api_key(&self, _: &str) -> Result<ApiKey> {
        nothing()
    }
    fn api_keys(&self) -> Result<Vec<ApiKey>> {
        Ok(Vec::new())
    }
    fn open_session(&self, _: NewSession) -> Result<()> {
        nothing()
    }
    fn session(&self, _: &[u8; 32]) -> Result<Session> {
        nothing()
    }
    fn close_sessions(&self, _: Sessions<'_>) -> Result<()> {
        nothing()
    }
    fn audit_rows(&self, _: &str, _: u64, _: usize) -> Result<Vec<AuditRow>> {
        nothing()
    }
    fn chains(&self) -> Result<Vec<String>> {
        nothing()
    }
    fn erase(&self, _: &Actor, _: &str, _: &str) -> Result<u64> {
        nothing()
    }
    fn backup(&self, _: &Path) -> Result<()> {
        nothing()
    }
    fn is_ready(&self) -> bool {
        true
    }
}
