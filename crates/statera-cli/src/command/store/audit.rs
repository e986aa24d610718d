//! `statera audit`.

use super::arguments::{Audit, AuditCommand, Verify};
use super::time;
use crate::console::{Console, count, counted};
use serde_json::json;
use statera::bundle::Bundle;
use statera_core::Error;
use statera_store::ledger::{self, Extent, Verified};
use std::path::PathBuf;

pub fn run(args: &Audit, console: &Console) -> anyhow::Result<()> {
    match &args.command {
        AuditCommand::Verify(args) => verify(args, console),
    }
}

fn verify(args: &Verify, console: &Console) -> anyhow::Result<()> {
    let mut verified = ledger::verify(&args.copy, args.checkpoints.as_deref(), args.public_key.as_deref())?;
    if let Some(folder) = bundles(args)? {
        let extent = if args.cache { Extent::Cache } else { Extent::Whole };
        ledger::verify_bundles(&mut verified, &folder, extent, Bundle::checked_digest)?;
    }
    if console.json {
        console.print_json(&as_json(&verified))?;
    } else {
        print(&verified, args, console);
    }
    match verified.n_findings {
        0 => Ok(()),
        n => Err(Error::damaged(format!("{}: {}", args.copy, counted(n as usize, "finding", "findings"))).into()),
    }
}

/// The folder of the bundles, if they are to be checked.
fn bundles(args: &Verify) -> anyhow::Result<Option<PathBuf>> {
    match &args.bundles {
        _ if args.no_bundles => Ok(None),
        None => Ok(ledger::bundles_beside(&args.copy)),
        Some(folder) if folder.is_dir() => Ok(Some(folder.clone())),
        Some(folder) => Err(Error::request(format!("--bundles {}: there is no such folder", folder.display())).into()),
    }
}

fn as_json(verified: &Verified) -> serde_json::Value {
    let finding = |f: &ledger::Finding| {
        let (chain, row) = f.place.clone().unzip();
        json!({ "chain": chain, "row": row, "what": f.what })
    };
    json!({
        "is_intact": verified.n_findings == 0,
        "chains": verified.chains.iter().map(|(name, n)| json!({ "chain": name, "rows": n })).collect::<Vec<_>>(),
        "records": verified.n_records,
        "parts": verified.n_parts,
        "checkpoints": verified.n_checkpoints,
        "last_checkpoint": verified.last_checkpoint_us.map(time),
        "bundles": verified.n_bundles.map(|(n, _)| n),
        "bundles_unnamed": verified.n_bundles.map(|(_, n_unnamed)| n_unnamed),
        "bundles_not_cached": verified.n_not_cached,
        "findings": verified.findings.iter().map(finding).collect::<Vec<_>>(),
        "n_findings": verified.n_findings,
    })
}

fn print(verified: &Verified, args: &Verify, console: &Console) {
    let rows = verified.chains.iter().map(|(name, n)| vec![name.clone(), count(*n as f64)]).collect();
    console.table(&["Chain", "Rows"], rows);
    console.line(format!(
        "{} with {}; {}",
        counted(verified.n_records as usize, "record", "records"),
        counted(verified.n_parts as usize, "encrypted part", "encrypted parts"),
        match verified.last_checkpoint_us {
            Some(at_us) => format!(
                "{}, the last of {}",
                counted(verified.n_checkpoints as usize, "signed checkpoint", "signed checkpoints"),
                time(at_us)
            ),
            None => "no signed checkpoint".into(),
        }
    ));
    tell_bundles(verified, console);
    if verified.n_checkpoints == 0 {
        console.note("without checkpoints, rows that were cut off at the end of a chain cannot be seen");
    } else if args.public_key.is_none() {
        console.note("the public key is the copy's own; bring it from elsewhere with --public-key");
    }
    if verified.n_findings == 0 {
        let what = match (verified.n_bundles, verified.n_not_cached) {
            (None, _) => "table",
            (Some(_), 0) => "table and every bundle",
            (Some(_), _) => "table and every bundle that is here",
        };
        console.line(format!(
            "Intact: every row is as it was written, and every {what} is what the ledger says; of alerts it says what people did, \
             not which there were."
        ));
    }
    for finding in &verified.findings {
        console.paragraph(finding);
    }
    let n_more = verified.n_findings - verified.findings.len() as u64;
    if n_more > 0 {
        console.line(format!("… and {} more", count(n_more as f64)));
    }
}

fn tell_bundles(verified: &Verified, console: &Console) {
    match verified.n_bundles {
        Some((n, n_unnamed)) => {
            let bundles = counted(n as usize, "bundle", "bundles");
            let unnamed = match n_unnamed {
                0 => String::new(),
                n => format!("; no row names {}: sent, and then not taken as a version", count(n as f64)),
            };
            console.line(format!("{bundles} read and compared{unnamed}"));
            if verified.n_not_cached > 0 {
                let (one, many) = ("bundle that the ledger names is", "bundles that the ledger names are");
                let n = counted(verified.n_not_cached as usize, one, many);
                console.note(format!("{n} not in this folder, which is a cache; a backup of the server has them all"));
            }
        }
        None if verified.named_bundles.is_empty() => {}
        None => console.note(format!(
            "{} that the ledger names were not looked at; --bundles names their folder",
            counted(verified.named_bundles.len(), "bundle", "bundles")
        )),
    }
}
