//! `statera audit`.

use super::arguments::{Audit, AuditCommand, Verify};
use super::time;
use crate::console::{Console, count, counted};
use serde_json::json;
use statera_core::Error;
use statera_store::ledger::{self, Verified};

pub fn run(args: &Audit, console: &Console) -> anyhow::Result<()> {
    match &args.command {
        AuditCommand::Verify(args) => verify(args, console),
    }
}

fn verify(args: &Verify, console: &Console) -> anyhow::Result<()> {
    let verified = ledger::verify(&args.copy, args.checkpoints.as_deref(), args.public_key.as_deref())?;
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
    if verified.n_checkpoints == 0 {
        console.note("without checkpoints, rows that were cut off at the end of a chain cannot be seen");
    } else if args.public_key.is_none() {
        console.note("the public key is the copy's own; bring it from elsewhere with --public-key");
    }
    if verified.n_findings == 0 {
        console.line("Intact: every row is as it was written, and every table is what the ledger says.");
    }
    for finding in &verified.findings {
        console.paragraph(finding);
    }
    let n_more = verified.n_findings - verified.findings.len() as u64;
    if n_more > 0 {
        console.line(format!("… and {} more", count(n_more as f64)));
    }
}
