//! The facts over SQLite.

mod facts;

use facts::Place;

#[test]
fn every_fact_holds_over_sqlite() {
    let folder = tempfile::tempdir().expect("a folder");
    facts::every_fact(|name| {
        let folder = folder.path().join(name);
        Place { address: folder.display().to_string(), folder }
    });
}
