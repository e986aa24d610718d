//! The last chapter: everything that was done is in a ledger, which is read again from its first row.

use super::{Scene, live, path_text};
use crate::console::count;
use serde_json::{Value, json};
use statera::bundle::Bundle;
use statera_core::{Error, Result};
use statera_store::ledger::{self, Extent};
use std::path::Path;

/// What a check of the whole ledger found.
///
/// # Errors
/// A ledger that is not intact.
pub fn verified(store: &Path) -> Result<Value> {
    let place = path_text(store);
    let mut verified = ledger::verify(&place, None, None)?;
    if let Some(folder) = ledger::bundles_beside(&place) {
        ledger::verify_bundles(&mut verified, &folder, Extent::Whole, Bundle::checked_digest)?;
    }
    if let Some(finding) = verified.findings.first() {
        return Err(Error::damaged(format!("the ledger of the demo's server is not intact: {finding}")));
    }
    let n_rows: u64 = verified.chains.iter().map(|(_, n)| n).sum();
    Ok(json!({
        "is_intact": verified.n_findings == 0, "rows": n_rows, "records": verified.n_records,
        "checkpoints": verified.n_checkpoints, "bundles": verified.n_bundles.map(|(n, _)| n),
    }))
}

/// Rows of the whole ledger.
///
/// # Errors
/// A store that cannot be read.
pub fn n_rows(store: &Path) -> Result<u64> {
    let verified = ledger::verify(&path_text(store), None, None)?;
    Ok(verified.chains.iter().map(|(_, n)| n).sum())
}

/// What it was.
pub fn tell(ledger: &Value, scene: &Scene) {
    let n = |name: &str| count(ledger[name].as_f64().unwrap_or(0.0));
    scene.begin("The ledger");
    scene.console.paragraph(format!(
        "Everything that the server was told, answered and had done to it, and who did it, is in a ledger of {} rows \
         under {} signed checkpoints. It was read again from its first row: no row was changed, dropped or put in, \
         and the {} versions of the model are those that were approved.",
        n("rows"),
        n("checkpoints"),
        n("bundles"),
    ));
    scene.by_hand(&[format!("statera audit verify {}", scene.at(live::SERVER).join(live::STORE).display())]);
}
