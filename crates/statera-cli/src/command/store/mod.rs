//! Commands on a store: `statera audit`, `ledger`, `backup` and `restore`. They work beside a server that runs.

pub mod arguments;
pub mod audit;
pub mod backup;
pub mod ledger;

use arguments::Place;
use statera_store::StoreOptions;

/// How the store of a command is opened.
fn options(place: &Place) -> anyhow::Result<StoreOptions> {
    Ok(StoreOptions::at(&place.store, place.folder.as_deref())?)
}

/// A time in ISO 8601.
fn time(micros: i64) -> String {
    statera_data::iso(micros)
}
