//! What the command line says where a request cannot be fulfilled: roles, outputs, bins, pages.

mod common;

use common::{check, statera};
use std::fs;

/// Loans whose outcome depends on income; notes and e-mail are text, `flat` is constant.
fn loans(n: usize) -> String {
    let mut csv = String::from("loan,income,region,flat,note,mail,phone,bad\n");
    for i in 0..n {
        let income = 900 + (i * 7919) % 3000;
        let region = ["north", "south", "east"][(i * 31) % 3];
        let bad = u8::from((i * 104_729) % 1000 < if income < 2000 { 350 } else { 120 });
        let note = if i % 4 == 3 { "late" } else { "7" };
        csv += &format!("L{i:05},{income},{region},5,{note},p{i}@bank.example,+82-10-{:04}-{:04},{bad}\n", i, 9999 - i);
    }
    csv
}

const PLAIN: [&str; 9] = [
    "train",
    "loans.csv",
    "--target=bad",
    "--id=loan",
    "--drop=flat,note,mail,phone",
    "--models=logistic",
    "--folds=3",
    "--seed=1",
    "--out=m.statera",
];

fn plain(more: &[&'static str]) -> Vec<&'static str> {
    let is_given = |flag: &&str| more.iter().any(|m| m.split('=').next() == flag.split('=').next());
    PLAIN.iter().filter(|f| !f.starts_with("--") || !is_given(f)).chain(more).copied().collect()
}

fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("loans.csv"), loans(400)).unwrap();
    dir
}

#[test]
fn roles_that_cannot_be_filled() {
    let folder = folder();
    let refused = |more: &[&'static str], code, words: &[&str]| check(folder.path(), &plain(more), code, words);
    let no_drop = "--drop=flat,mail,phone";
    refused(
        &[no_drop, "--weight=note"],
        2,
        &["column «note», row 4: «late» is text; a weight is a number in every row"],
    );
    refused(&[no_drop, "--baseline=note"], 2, &["«late» is text; a score is a number"]);
    refused(
        &["--drop=note,mail,phone", "--baseline=flat"],
        1,
        &["baseline «flat» is 5 in every row; a score that can be compared with takes at least two values"],
    );
    // All of them at once, with what to type.
    refused(
        &["--drop=flat,note", "--types=mail=category,phone=category"],
        1,
        &["column «mail» holds", "column «phone» holds", "leave them out with --drop mail,phone"],
    );
    refused(
        &["--models=mlp", "--monotone=income=-"],
        2,
        &["model «mlp» cannot promise that risk rises or falls with a column"],
    );
    fs::write(folder.path().join("inf.csv"), loans(400).replacen(",900,", ",inf,", 1)).unwrap();
    let infinite: Vec<&str> = plain(&[]).iter().map(|a| if *a == "loans.csv" { "inf.csv" } else { a }).collect();
    let words = ["inf.csv: column «income», row 1: inf is infinite; numbers must be finite or missing"];
    check(folder.path(), &infinite, 1, &words);
}

#[test]
fn bins_for_nobody_or_of_no_bins_file() {
    let folder = folder();
    fs::write(folder.path().join("bins.toml"), "this is no bins file").unwrap();
    check(folder.path(), &plain(&["--bins=bins.toml"]), 2, &["bins.toml: "]);
    check(folder.path(), &plain(&["--bins=gone.toml"]), 2, &["gone.toml: No such file"]);
    let trained = statera(folder.path(), &plain(&["--models=scorecard"]));
    assert!(trained.status.success(), "{}", String::from_utf8_lossy(&trained.stderr));
    let shown = String::from_utf8_lossy(&trained.stdout);
    for word in ["Marginal IV", "Coefficient", "p-value", "VIF", "income"] {
        assert!(shown.contains(word), "«{word}» is not in:\n{shown}");
    }
    fs::copy(folder.path().join("m.statera/bins.toml"), folder.path().join("bins.toml")).unwrap();
    check(
        folder.path(),
        &plain(&["--bins=bins.toml", "--out=n.statera"]),
        2,
        &["the bins are for the scorecard, which is not among the candidates; add scorecard to --models"],
    );
}

#[test]
fn an_ensemble_of_one_is_told() {
    let folder = folder();
    let words = ["an ensemble needs at least two candidates"];
    check(folder.path(), &plain(&["--prefer=ensemble"]), 0, &words);
}

#[test]
fn a_finished_output_is_not_touched_unasked() {
    let folder = folder();
    let dir = folder.path();
    check(dir, &plain(&[]), 0, &[]);
    check(dir, &["score", "m.statera", "loans.csv", "--out", "s.csv"], 0, &[]);
    let first = fs::read(dir.join("s.csv")).unwrap();
    let exists = ["s.csv exists; name another file, or replace it with --force"];
    check(dir, &["score", "m.statera", "loans.csv", "--out", "s.csv"], 2, &exists);
    check(dir, &["score", "m.statera", "loans.csv", "--out", "s.csv", "--start-over"], 2, &exists);
    fs::write(dir.join("few.csv"), loans(10)).unwrap();
    check(dir, &["score", "m.statera", "few.csv", "--out", "s.csv", "--force"], 0, &[]);
    assert!(fs::read(dir.join("s.csv")).unwrap().len() < first.len());
    let append = ["score", "m.statera", "few.csv", "--out", "t.csv", "--append"];
    check(dir, &append, 2, &["--append adds to a database table; t.csv is a file"]);
    let nowhere = ["score", "m.statera", "few.csv", "--out", "no/such/s.csv"];
    check(dir, &nowhere, 2, &["no/such/s.csv cannot be written: there is no folder no/such; make it first"]);
    let names = || fs::read_dir(dir).unwrap().count();
    let before = names();
    fs::write(dir.join("few.csv"), loans(0)).unwrap();
    check(dir, &["score", "m.statera", "few.csv", "--out", "none.csv"], 1, &["few.csv: no rows"]);
    assert_eq!(names(), before, "nothing is left of a table without rows");
    fs::write(dir.join("few.csv"), loans(10).replace("L00003", "").replace("L00005", " ")).unwrap();
    check(dir, &["score", "m.statera", "few.csv", "--out", "u.csv"], 0, &["2 rows have no «loan»"]);
    check(
        dir,
        &["profile", "few.csv", "--out", "page.pdf"],
        2,
        &["--out page.pdf: the page is HTML; end its name in .html"],
    );
    check(dir, &["score", ".", "few.csv", "--out", "v.csv"], 2, &[".: a folder without manifest.json is no bundle"]);
}

#[test]
fn a_table_that_cannot_be_scored_leaves_nothing_of_its_own_and_all_of_others() {
    let folder = folder();
    let dir = folder.path();
    check(dir, &plain(&[]), 0, &[]);
    // Far behind the first rows, after chunks have been written.
    let many = loans(150_000);
    let bad = many.replacen("L149990,", "L149990,x", 1);
    fs::write(dir.join("bad.csv"), bad).unwrap();
    let before = fs::read_dir(dir).unwrap().count();
    check(dir, &["score", "m.statera", "bad.csv", "--out", "s.csv"], 1, &["bad.csv", "income"]);
    assert_eq!(fs::read_dir(dir).unwrap().count(), before, "half-written files stay");
    // Another run's beginning is refused, and kept.
    fs::write(dir.join("s.csv.journal"), "{\"statera_journal\":1,\"fingerprint\":\"x\",\"layout\":\"y\"}\n").unwrap();
    fs::write(dir.join("s.csv.partial"), "loan,probability\n").unwrap();
    let refused = ["s.csv.journal: an unfinished run of another input or bundle; finish that run with its own command"];
    check(dir, &["score", "m.statera", "loans.csv", "--out", "s.csv"], 2, &refused);
    assert!(dir.join("s.csv.journal").exists() && dir.join("s.csv.partial").exists());
}

#[test]
fn classes_that_are_too_small_are_named() {
    let folder = folder();
    let few = loans(400).replacen("north", "moon", 2);
    fs::write(folder.path().join("few.csv"), few).unwrap();
    let args = ["train", "few.csv", "--target=region", "--drop=flat,note,mail,phone", "--id=loan", "--out=r.statera"];
    check(folder.path(), &args, 1, &["target «region» (class 0 is «east», class 1 is «moon»"]);
}

#[test]
fn an_exclusion_that_leaves_nobody_is_named() {
    let folder = folder();
    let project = "[sources]\nloans = \"loans.csv\"\n\n[main]\nsource = \"loans\"\n\n[[exclude]]\nname = \"staff\"\n\
                   rule = \"income > 0\"\n\n[roles]\ntarget = \"bad\"\nid = \"loan\"\n";
    fs::write(folder.path().join("p.toml"), project).unwrap();
    let args = ["train", "p.toml", "--out", "m.statera"];
    check(folder.path(), &args, 1, &["exclude «staff» takes all of the 400 rows that are left; no row remains"]);
}
