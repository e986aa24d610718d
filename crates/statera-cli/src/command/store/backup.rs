//! `statera backup` and `statera restore`.

use super::arguments::{Backup, Restore};
use super::options;
use crate::console::{Console, counted};
use serde_json::json;
use statera_store::act::{Act, Actor};
use statera_store::{copy_keys, open};

pub fn backup(args: &Backup, console: &Console) -> anyhow::Result<()> {
    let options = options(&args.place)?;
    let store = open(&options)?;
    store.backup(&args.to)?;
    if let Some(keys) = &args.keys_to {
        copy_keys(&options.folder, keys)?;
    }
    store.act(&Actor::System, Act::Note { what: "a backup was taken".into() })?;
    if console.json {
        return console.print_json(&json!({ "backup": args.to, "keys": args.keys_to }));
    }
    console.line(format!("{} is a backup; `statera audit verify {}` checks it.", args.to.display(), args.to.display()));
    match &args.keys_to {
        Some(keys) => console.line(format!("Its secret keys are in {}; keep the two apart.", keys.display())),
        None => console.note(format!(
            "the secret keys are not in it; without a copy of {} its payloads cannot be read",
            options.folder.join(statera_store::KEYS).display()
        )),
    }
    Ok(())
}

pub fn restore(args: &Restore, console: &Console) -> anyhow::Result<()> {
    let options = options(&args.place)?;
    let restored = statera_store::restore(&args.backup, &args.keys, &options)?;
    if console.json {
        return console.print_json(&json!({ "rows": restored.n_rows, "records": restored.n_records }));
    }
    console.line(format!(
        "{} and {} of the ledger are restored.",
        counted(restored.n_records as usize, "record", "records"),
        counted(restored.n_rows as usize, "row", "rows")
    ));
    console.note("what was erased after the backup was taken is there again; erase it again");
    Ok(())
}
