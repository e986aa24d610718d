//! `statera mask` through the binary: a table is masked, joined and unmasked, and every refusal leaves nothing behind.

mod common;

use common::statera;
use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::Path;

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs a command that must succeed; standard output.
fn done(dir: &Path, args: &[&str]) -> String {
    let output = statera(dir, args);
    assert!(output.status.success(), "{args:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

fn names(dir: &Path) -> HashSet<String> {
    fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect()
}

/// A command must end with code 2 or 1, say all of `words` and none of the cells, and leave the folder as it was.
fn refused(dir: &Path, args: &[&str], words: &[&str]) {
    let before = names(dir);
    let output = statera(dir, args);
    let said = text(&output.stderr);
    assert!(matches!(output.status.code(), Some(1 | 2)), "{args:?}: {said}");
    assert!(words.iter().all(|w| said.contains(w)), "{args:?}: {words:?} are not all in: {said}");
    assert!(!said.contains("Secret") && !said.contains("010-"), "a cell is shown: {said}");
    assert_eq!(names(dir), before, "{args:?}");
}

const N: usize = 3000;

/// A card's form: no cell occurs twice.
fn card(i: usize) -> String {
    format!("{:04}-{:04}-{:04}-{:04}", 4000 + i % 97, (i * 7919) % 10_000, i, (i * 31) % 10_000)
}

fn customers() -> String {
    let mut csv = String::from("\u{feff}customer,name,card,age,born,postcode,city,memo,balance,ill\n");
    for i in 0..N {
        let (age, postcode, city) = (18 + i % 60, 10_000 + (i * 37) % 400, ["서울", "부산", "광주"][i % 3]);
        let memo = match i % 3 {
            0 => format!("\"고객명: 홍길동, 전화 010-{:04}-{:04}\"", 2000 + i, i),
            1 => format!("\"mail Secret{i}@example.com, \"\"urgent\"\"\""),
            _ => String::new(),
        };
        let born = format!("{}-{:02}-{:02}", 2026 - age, 1 + i % 12, 1 + i % 28);
        let ill = ["flu", "cold", "none"][(i * 7 / 5) % 3];
        csv += &format!("{i:08},Secret{i},{},{age},{born},{postcode},{city},{memo},{}.50,{ill}\n", card(i), i * 13);
    }
    csv
}

const POLICY: &str = "
[columns]
customer = { method = \"token\", domain = \"customer\" }
name = \"encrypt\"
card = \"token\"
age = { method = \"generalise\", width = 10 }
born = { method = \"generalise\", to = \"year\" }
postcode = { method = \"generalise\", prefix = 2 }
city = { method = \"generalise\", map = { \"서울\" = \"capital\" }, other = \"elsewhere\" }
memo = \"text\"
balance = \"keep\"
ill = \"keep\"

[risk]
quasi_identifiers = [\"age\", \"born\", \"postcode\", \"city\"]
sensitive = [\"ill\"]
";

/// A folder with the table, a key and the policy that names it.
fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path();
    fs::write(path.join("customers.csv"), customers()).unwrap();
    policy(path, "bank.key", "mask.toml", POLICY);
    dir
}

/// Makes a key and writes a policy that names it.
fn policy(dir: &Path, key: &str, file: &str, policy: &str) {
    let made: serde_json::Value = serde_json::from_str(&done(dir, &["mask", "--new-key", key, "--json"])).unwrap();
    let check = made["key_check"].as_str().unwrap();
    assert!(!fs::read_to_string(dir.join(key)).unwrap().contains(check), "the check is a part of the key");
    fs::write(dir.join(file), format!("key_check = \"{check}\"\n{policy}")).unwrap();
}

const MASK: [&str; 8] =
    ["mask", "customers.csv", "--policy", "mask.toml", "--key-file", "bank.key", "--out", "masked.csv"];

fn rows(path: &Path) -> Vec<Vec<String>> {
    let text = fs::read_to_string(path).unwrap();
    // Fields of the tests hold no line ends; a quoted one may hold commas.
    let fields = |line: &str| {
        let (mut fields, mut is_quoted) = (vec![String::new()], false);
        for c in line.chars() {
            match c {
                '"' => is_quoted = !is_quoted,
                ',' if !is_quoted => fields.push(String::new()),
                c => fields.last_mut().unwrap().push(c),
            }
        }
        fields
    };
    text.trim_start_matches('\u{feff}').lines().map(fields).collect()
}

#[test]
fn a_table_is_masked_joined_and_unmasked() {
    let dir = folder();
    let path = dir.path();
    let shown = done(path, &MASK);
    for word in
        ["k-anonymity", "Rows alone in their class", "l-diversity of ill", "3,000 rows masked; they are in masked.csv"]
    {
        assert!(shown.contains(word), "«{word}» is not in: {shown}");
    }
    let masked_text = fs::read_to_string(path.join("masked.csv")).unwrap();
    for gone in ["Secret", "홍길동", "서울", "@example.com"] {
        assert!(!masked_text.contains(gone), "«{gone}» is still there");
    }
    let (raw, masked) = (rows(&path.join("customers.csv")), rows(&path.join("masked.csv")));
    assert_eq!((masked.len(), &masked[0]), (N + 1, &raw[0]));
    assert_eq!(masked[1][3..7], ["[10, 20)", "2008", "10*", "capital"].map(String::from));
    assert_eq!(masked[1][7], "고객명: [NAME], 전화 [PHONE]");
    assert_eq!((masked[3][7].as_str(), &masked[3][8]), ("", &raw[3][8]));
    let is_card = |c: &String| c.len() == 19 && c.bytes().enumerate().all(|(i, b)| (b == b'-') == (i % 5 == 4));
    assert!(masked[1..].iter().all(|row| is_card(&row[2])));
    assert!(masked[1..].iter().all(|row| !row[7].contains(|c: char| c.is_ascii_digit())));
    let tokens: HashSet<&String> = masked[1..].iter().map(|row| &row[0]).collect();
    assert_eq!(tokens.len(), N, "tokens are as many as customers");
    // Another table of the same customers, from Parquet's types or text, joins by the tokens.
    let mut loans = String::from("loan,customer\n");
    (0..N).rev().step_by(2).for_each(|i| loans += &format!("L{i},{i:08}\n"));
    fs::write(path.join("loans.csv"), loans).unwrap();
    let check = fs::read_to_string(path.join("mask.toml")).unwrap().lines().next().unwrap().to_string();
    let loans = "default = \"keep\"\n[columns.customer]\nmethod = \"token\"\ndomain = \"customer\"\n";
    fs::write(path.join("loans.toml"), format!("{check}\n{loans}")).unwrap();
    done(path, &["mask", "loans.csv", "--policy", "loans.toml", "--key-file", "bank.key", "--out", "masked-loans.csv"]);
    let customer_of: BTreeMap<&String, usize> = masked[1..].iter().enumerate().map(|(i, row)| (&row[0], i)).collect();
    for loan in &rows(&path.join("masked-loans.csv"))[1..] {
        assert_eq!(format!("L{}", customer_of[&loan[1]]), loan[0]);
    }
    // The same command gives the same bytes, in Parquet and back too.
    done(path, &[&MASK[..7], &["again.csv"]].concat());
    assert_eq!(fs::read_to_string(path.join("again.csv")).unwrap(), masked_text);
    let inverse = |from: &str, to: &str| {
        let args = ["mask", from, "--policy", "mask.toml", "--key-file", "bank.key", "--inverse", "--out", to];
        done(path, &args);
    };
    inverse("masked.csv", "back.csv");
    let back = rows(&path.join("back.csv"));
    for (back, raw) in back.iter().zip(&raw) {
        assert_eq!((&back[..3], &back[8..]), (&raw[..3], &raw[8..]));
    }
    done(path, &[&MASK[..7], &["masked.parquet"]].concat());
    inverse("masked.parquet", "back.parquet");
    inverse("masked.parquet", "back-2.csv");
    assert_eq!(fs::read(path.join("back.csv")).unwrap(), fs::read(path.join("back-2.csv")).unwrap());
    // Without --out nothing is written and no key is needed; the figures are the same.
    let before = names(path);
    let json = |args: &[&str]| -> serde_json::Value { serde_json::from_str(&done(path, args)).unwrap() };
    let dry = json(&["mask", "customers.csv", "--policy", "mask.toml", "--json"]);
    assert_eq!(names(path), before);
    assert_eq!(dry, json(&[&MASK[..], &["--force", "--json"]].concat()));
    let (b, a) = (&dry["risk"]["before"], &dry["risk"]["after"]);
    assert_eq!((b["n_rows"].as_u64(), a["n_rows"].as_u64()), (Some(N as u64), Some(N as u64)));
    // Age, date of birth, postcode and city single nearly everyone out; decades, years and prefixes do not.
    let risk = |v: &serde_json::Value| v["risk_mean"].as_f64().unwrap();
    assert!(risk(b) > 0.5 && risk(a) < 0.1, "{} {}", risk(b), risk(a));
    assert!(b["share_unique"].as_f64() > a["share_unique"].as_f64());
}

#[test]
fn a_reversible_mask_gives_back_the_same_bytes() {
    let dir = folder();
    let path = dir.path();
    let reversible = "default = \"encrypt\"\n[columns]\ncustomer = \"token\"\ncard = \"token\"\nbalance = \"keep\"\n";
    policy(path, "other.key", "all.toml", reversible);
    let args = ["--policy", "all.toml", "--key-file", "other.key", "--out"];
    done(path, &[&["mask", "customers.csv"], &args[..], &["all.csv"]].concat());
    done(path, &[&["mask", "all.csv", "--inverse"], &args[..], &["back.csv"]].concat());
    assert_eq!(fs::read(path.join("customers.csv")).unwrap(), fs::read(path.join("back.csv")).unwrap());
}

#[test]
fn what_is_wrong_is_named_and_leaves_nothing() {
    let dir = folder();
    let path = dir.path();
    done(path, &MASK);
    refused(path, &MASK, &["masked.csv exists; name another file, or replace it with --force"]);
    done(path, &["mask", "--new-key", "wrong.key"]);
    let with = |out: &'static str, more: &[&'static str]| -> Vec<&'static str> {
        [&["mask", "customers.csv", "--policy", "mask.toml", "--out", out], more].concat()
    };
    refused(path, &with("x.csv", &[]), &["mask.toml: a method needs a key; name its file with --key-file"]);
    refused(path, &with("x.csv", &["--key-file", "no.key"]), &["no.key"]);
    refused(path, &with("customers.csv", &["--key-file", "bank.key", "--force"]), &["is the table that is read"]);
    refused(path, &with("x.csv", &["--key-file", "bank.key", "--encoding", "cp949"]), &["utf-8-bom or utf-8"]);
    refused(path, &["mask", "--new-key", "bank.key"], &["bank.key exists, and a key is never replaced"]);
    refused(path, &["mask", "customers.csv"], &["--policy"]);
    let wrong = "wrong.key is not the key of mask.toml: its check is «";
    refused(path, &with("x.csv", &["--key-file", "wrong.key"]), &[wrong]);
    let inverse = ["mask", "masked.csv", "--policy", "mask.toml", "--inverse", "--out", "x.csv", "--key-file"];
    refused(path, &[&inverse[..], &["wrong.key"]].concat(), &[wrong]);
    fs::write(path.join("short.key"), "00ff").unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let open = "others than its owner can use it (mode 0644); a key file has the mode 0600: chmod 600 short.key";
        fs::set_permissions(path.join("short.key"), PermissionsExt::from_mode(0o644)).unwrap();
        refused(path, &with("x.csv", &["--key-file", "short.key"]), &[open]);
        fs::set_permissions(path.join("short.key"), PermissionsExt::from_mode(0o600)).unwrap();
    }
    refused(path, &with("x.csv", &["--key-file", "short.key"]), &["short.key: 3 bytes; a key file holds 32 bytes"]);
}

#[test]
fn refused_cells_and_policies_leave_nothing() {
    let dir = folder();
    let path = dir.path();
    let check = fs::read_to_string(path.join("mask.toml")).unwrap().lines().next().unwrap().to_string();
    let refuse = |data: &str, policy: &str, more: &[&str], words: &[&str]| {
        fs::write(path.join("p.toml"), format!("{check}\n{policy}")).unwrap();
        for out in ["x.csv", "x.parquet"] {
            let args = ["mask", data, "--policy", "p.toml", "--key-file", "bank.key", "--out", out];
            refused(path, &[&args[..], more].concat(), words);
        }
    };
    refuse(
        "customers.csv",
        "[columns]\nnmae = \"drop\"",
        &[],
        &["p.toml, line 3: no column «nmae» in the table; there are customer, name"],
    );
    refuse(
        "customers.csv",
        "[columns]\nname = \"drop\"",
        &[],
        &["p.toml: no method for «customer», «card»", "default = \"drop\""],
    );
    refuse(
        "customers.csv",
        "[columns]\nname = \"hide\"",
        &[],
        &["p.toml, line 3, column «name»: no method «hide»; allowed are keep"],
    );
    // The refused cell stands behind what has been written by then.
    let mut rows = String::from("id,pin\n");
    (0..140_000).for_each(|i| rows += &format!("{i},{:06}\n", i % 1_000_000));
    fs::write(path.join("long.csv"), format!("{rows}140000,7\n")).unwrap();
    let token = "[columns]\nid = \"keep\"\npin = \"token\"";
    let small = "long.csv: row 140001, column «pin»: 1 characters of an alphabet of 10 take only 10^1 values";
    refuse("long.csv", token, &[], &[small, "allowed are 6 characters and more"]);
    fs::write(path.join("long.csv"), format!("{rows}140000,Secret\n")).unwrap();
    refuse("long.csv", token, &[], &["row 140001, column «pin»: character 1 is neither of the alphabet «digits»"]);
    // A masked cell that was changed, or the policy's domain: the key is right and the cell does not open.
    let encrypt = "[columns]\nid = \"keep\"\npin = \"encrypt\"";
    fs::write(path.join("p.toml"), format!("{check}\n{encrypt}")).unwrap();
    fs::write(path.join("two.csv"), "id,pin\n1,Secret\n2,Secret\n").unwrap();
    done(path, &["mask", "two.csv", "--policy", "p.toml", "--key-file", "bank.key", "--out", "sealed.csv"]);
    let domain = "[columns]\nid = \"keep\"\npin = { method = \"encrypt\", domain = \"other\" }";
    let cannot =
        "sealed.csv: row 1, column «pin»: the cell cannot be decrypted: it was masked with another key or domain";
    refuse("sealed.csv", domain, &["--inverse"], &[cannot]);
    let sealed = fs::read_to_string(path.join("sealed.csv")).unwrap();
    fs::write(path.join("sealed.csv"), sealed.trim_end().to_string() + "AA\n").unwrap();
    refuse("sealed.csv", encrypt, &["--inverse"], &["sealed.csv: row 2, column «pin»: "]);
    let unchecked = fs::read_to_string(path.join("mask.toml")).unwrap().replace(&check, "");
    fs::write(path.join("u.toml"), unchecked).unwrap();
    let args = ["mask", "customers.csv", "--policy", "u.toml", "--key-file", "bank.key", "--out", "x.csv"];
    refused(path, &args, &["u.toml: key_check is missing", "write at the beginning of the file: key_check = \""]);
    refused(
        path,
        &["mask", "customers.csv", "--policy", "p.toml"],
        &["without --out the risk is measured, and [risk]"],
    );
}
