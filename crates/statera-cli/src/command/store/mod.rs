//! Commands on a store: `statera audit`, `ledger`, `backup` and `restore`. They work beside a server that runs.

pub mod arguments;
pub mod audit;
pub mod backup;
pub mod ledger;

use arguments::Place;
use statera_server::objects;
use statera_server::settings::Settings;
use statera_store::StoreOptions;
use std::path::Path;

/// How the store of a command is opened.
fn options(place: &Place) -> anyhow::Result<StoreOptions> {
    Ok(StoreOptions::at(&place.store, place.folder.as_deref())?)
}

/// The same, with the object store that a server's settings name.
fn options_with_objects(place: &Place, settings: Option<&Path>) -> anyhow::Result<StoreOptions> {
    let of = |settings: Settings| objects::open(&settings.bundles, settings.who.upload_bytes_max);
    let objects = settings.map(|file| of(Settings::read(file)?)).transpose()?.flatten();
    Ok(StoreOptions { objects, ..options(place)? })
}

/// A time in ISO 8601.
fn time(micros: i64) -> String {
    statera_data::iso(micros)
}
