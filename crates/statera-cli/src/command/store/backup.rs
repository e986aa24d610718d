//! `statera backup` and `statera restore`.

use super::arguments::{Backup, Restore};
use super::options_with_objects;
use crate::console::{Console, counted};
use serde_json::json;
use statera_core::Error;
use statera_store::act::{Act, Actor};
use statera_store::{BundleFailure, copy_keys, open_existing};
use std::path::Path;

pub fn backup(args: &Backup, console: &Console) -> anyhow::Result<()> {
    let options = options_with_objects(&args.place, args.settings.as_deref())?;
    let store = open_existing(&options)?;
    let missing = store.backup(&args.to)?.missing;
    if let Some(keys) = &args.keys_to {
        copy_keys(&options.folder, keys)?;
    }
    store.act(&Actor::System, Act::Note { what: "a backup was taken".into() })?;
    if console.json {
        let told = json!({ "backup": args.to, "keys": args.keys_to, "missing": as_json(&missing) });
        console.print_json(&told)?;
        return refuse_missing(&args.to, &missing, console);
    }
    console.line(format!("{} is a backup; `statera audit verify {}` checks it.", args.to.display(), args.to.display()));
    match &args.keys_to {
        Some(keys) => console.line(format!("Its secret keys are in {}; keep the two apart.", keys.display())),
        None => console.note(format!(
            "the secret keys are not in it; without a copy of {} its payloads cannot be read",
            options.folder.join(statera_store::KEYS).display()
        )),
    }
    if !missing.is_empty() && args.settings.is_none() {
        console.note("if bundles are in an object store, name its settings with --settings");
    }
    refuse_missing(&args.to, &missing, console)
}

pub fn restore(args: &Restore, console: &Console) -> anyhow::Result<()> {
    let options = options_with_objects(&args.place, args.settings.as_deref())?;
    let restored = statera_store::restore(&args.backup, &args.keys, &options)?;
    if console.json {
        let missing = as_json(&restored.missing);
        console.print_json(&json!({ "rows": restored.n_rows, "records": restored.n_records, "missing": missing }))?;
        return refuse_missing(&options.folder, &restored.missing, console);
    }
    console.line(format!(
        "{} and {} of the ledger are restored.",
        counted(restored.n_records as usize, "record", "records"),
        counted(restored.n_rows as usize, "row", "rows")
    ));
    // An address may hold a password.
    let of = if options.address.contains("://") { "postgres://…" } else { &options.address };
    console.line(format!("`statera audit verify {of}` checks them."));
    console.note("what was erased after the backup was taken is there again; erase it again");
    refuse_missing(&options.folder, &restored.missing, console)
}

fn as_json(missing: &[BundleFailure]) -> Vec<serde_json::Value> {
    missing.iter().map(|b| json!({ "digest": b.digest, "error": b.error.to_string() })).collect()
}

/// Names the bundles that are not where they should be. The rest is kept, and the command has failed nevertheless: who has it
/// run every night must hear of it.
fn refuse_missing(place: &Path, missing: &[BundleFailure], console: &Console) -> anyhow::Result<()> {
    if missing.is_empty() {
        return Ok(());
    }
    for bundle in missing {
        console.note(format!("the bundle {} is missing: {}", bundle.digest, bundle.error));
    }
    let n = counted(missing.len(), "bundle is missing", "bundles are missing");
    Err(Error::io(format!("{}: {n}; everything else is there", place.display())).into())
}
