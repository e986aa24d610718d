//! Reports and documents from the command line.

mod common;

use common::statera;
use serde_json::Value;
use std::fs;
use std::path::Path;

fn done(dir: &Path, args: &[&str]) -> String {
    let output = statera(dir, args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// A command must end with `code` and say all of `words` on standard error.
fn refused(dir: &Path, args: &[&str], code: i32, words: &[&str]) {
    let output = statera(dir, args);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
    for word in words {
        assert!(said.contains(word), "{args:?}: «{word}» is not in: {said}");
    }
}

/// A folder with loans and a bundle of them.
fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let mut csv = String::from("loan,income,late,bad\n");
    for i in 0..900 {
        let (income, late) = (900 + (i * 7919) % 3000, (i * 31) % 5);
        let risk = if income < 2000 { 300 } else { 60 } + 60 * late;
        csv += &format!("L{i:05},{income},{late},{}\n", u8::from((i * 104_729) % 1000 < risk));
    }
    fs::write(dir.path().join("loans.csv"), csv).unwrap();
    let train = ["train", "loans.csv", "--target=bad", "--id=loan", "--models=scorecard", "--out=m.statera"];
    done(dir.path(), &train);
    dir
}

#[test]
fn a_bundle_becomes_pages_a_document_for_machines_and_packs() {
    let dir = folder();
    let dir = dir.path();
    let said = done(dir, &["report", "m.statera", "--out=report.html"]);
    assert!(said.contains("The report is report.html"), "{said}");
    let page = fs::read_to_string(dir.join("report.html")).unwrap();
    assert!(page.starts_with("<!doctype html>\n<html lang=\"en\">") && page.ends_with("</html>\n"));
    done(dir, &["report", "m.statera", "--out=again.html"]);
    assert_eq!(page, fs::read_to_string(dir.join("again.html")).unwrap(), "the same bundle gives the same bytes");
    done(dir, &["report", "m.statera", "--out=zh.html", "--lang=zh"]);
    assert!(fs::read_to_string(dir.join("zh.html")).unwrap().contains("<html lang=\"zh-Hans\">"));

    let document: Value = serde_json::from_str(&done(dir, &["report", "m.statera", "--json"])).unwrap();
    assert_eq!(document["document_version"], 1);
    assert_eq!(document["facts"]["n_rows"], 900);
    let keys: Vec<&String> = document.as_object().unwrap().keys().collect();
    assert_eq!(
        keys,
        [
            "bundle",
            "cutoffs",
            "document_version",
            "examples",
            "facts",
            "gaps",
            "judgement",
            "policy",
            "reasons",
            "recourse",
            "reference",
            "schema"
        ]
    );

    done(dir, &["report", "m.statera", "--pack=kr-fsc", "--lang=ko", "--out=fsc.md"]);
    assert!(fs::read_to_string(dir.join("fsc.md")).unwrap().contains("## 3. 보조수단성"));
    let said = done(dir, &["report", "--write-templates=templates"]);
    assert!(said.contains("13 templates are in templates"), "{said}");
    fs::write(dir.join("templates/model-card.en.md"), "{{ facts.n_rows|count }} loans of our bank\n").unwrap();
    done(dir, &["report", "m.statera", "--pack=model-card", "--templates=templates", "--out=card.md"]);
    assert_eq!(fs::read_to_string(dir.join("card.md")).unwrap(), "900 loans of our bank\n");
}

#[test]
fn what_cannot_be_done_is_said() {
    let dir = folder();
    let dir = dir.path();
    refused(dir, &["report", "m.statera"], 2, &["nothing to do", "--out FILE", "--json"]);
    refused(dir, &["report", "m.statera", "--out=report.pdf"], 2, &["report.pdf", "the page is HTML"]);
    refused(dir, &["report", "m.statera", "--out=no/report.html"], 2, &["no/report.html", "there is no folder no"]);
    refused(dir, &["report", "m.statera", "--pack=nis2", "--out=a.md"], 2, &["nis2", "model-card", "kr-fsc"]);
    refused(dir, &["report", "none.statera", "--out=a.html"], 2, &["none.statera"]);
    refused(dir, &["report", "--out=a.html"], 2, &["BUNDLE"]);
    done(dir, &["report", "--write-templates=t"]);
    refused(dir, &["report", "--write-templates=t"], 2, &["common.md exists", "--force"]);
    done(dir, &["report", "--write-templates=t", "--force"]);
    fs::write(dir.join("t/kr-fsc.en.md"), "line\n{{ facts.no.such }}\n").unwrap();
    let args = ["report", "m.statera", "--pack=kr-fsc", "--templates=t", "--out=a.md"];
    refused(dir, &args, 2, &["t/kr-fsc.en.md", ":2)"]);
    assert!(!dir.join("a.md").exists(), "nothing half-written stays");
}
