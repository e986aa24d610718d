use super::*;
use arrow_array::cast::AsArray;
use statera_core::Rng;
use std::io::Write;
use std::path::Path;

/// Writes a file into `dir`: its path.
fn write(dir: &Path, name: &str, bytes: &[u8]) -> String {
    let path = dir.join(name);
    std::fs::write(&path, bytes).unwrap();
    path.to_str().unwrap().to_string()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A workbook with one sheet «Loans» of that XML, styles 0 (general) and 1 (date), and shared strings.
fn workbook(sheet: &str) -> Vec<u8> {
    let main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main";
    let relations = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
    let package = "http://schemas.openxmlformats.org/package/2006/relationships";
    let parts = [
        (
            "_rels/.rels",
            format!(
                r#"<Relationships xmlns="{package}"><Relationship Id="rId1" Type="{relations}/officeDocument" Target="xl/workbook.xml"/></Relationships>"#
            ),
        ),
        (
            "xl/workbook.xml",
            format!(
                r#"<workbook xmlns="{main}" xmlns:r="{relations}"><sheets><sheet name="Loans" sheetId="1" r:id="rId1"/></sheets></workbook>"#
            ),
        ),
        (
            "xl/_rels/workbook.xml.rels",
            format!(
                r#"<Relationships xmlns="{package}"><Relationship Id="rId1" Type="{relations}/worksheet" Target="worksheets/sheet1.xml"/><Relationship Id="rId2" Type="{relations}/styles" Target="styles.xml"/></Relationships>"#
            ),
        ),
        (
            "xl/styles.xml",
            format!(
                r#"<styleSheet xmlns="{main}"><cellXfs><xf numFmtId="0"/><xf numFmtId="14"/></cellXfs></styleSheet>"#
            ),
        ),
        (
            "xl/worksheets/sheet1.xml",
            format!(r#"<worksheet xmlns="{main}"><sheetData>{sheet}</sheetData></worksheet>"#),
        ),
    ];
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, text) in parts {
        writer.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        writer.write_all(text.as_bytes()).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// Every cell of a source as text, row by row.
fn cells(address: &str) -> Result<Vec<Vec<Option<String>>>> {
    let mut reader = open(address, &ReadOptions::default())?;
    let mut rows = Vec::new();
    while let Some(batch) = reader.next_batch()? {
        for row in 0..batch.num_rows() {
            let cell = |c: &arrow_array::ArrayRef| c.as_string::<i32>().iter().nth(row).flatten().map(str::to_string);
            rows.push(batch.columns().iter().map(cell).collect());
        }
    }
    Ok(rows)
}

fn read(address: &str) -> Result<Table> {
    read_table(address, &ReadOptions::default(), &Run::new(1, 1))
}

/// The message of reading a file of these bytes, without the folder.
fn message(name: &str, bytes: &[u8]) -> String {
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path(), name, bytes);
    let folder = format!("{}/", dir.path().display());
    read(&path).expect_err("the file was accepted").to_string().replace(&folder, "")
}

#[test]
fn bad_files_are_told_apart() {
    let check = |name: &str, bytes: &[u8], expected: &str| assert_eq!(message(name, bytes), expected);
    check("t.csv", b"", "t.csv: empty; expected column names and rows");
    check("t.csv", b"a,b\n", "t.csv: column names and no rows");
    check("t.csv", b"a,b\n1,2\n3\n", "t.csv, line 3: 1 field; the header has 2");
    check("t.csv", b"a,b\n\"1\n1\",2\n3,4,5\n", "t.csv, line 4: 3 fields; the header has 2");
    check("t.csv", b"1,2\n3,4,5\n", "t.csv, line 2: 3 fields; the first record has 2");
    check(
        "t.csv",
        b"a,b\n1,2\n3,\"4\n5,6\n",
        "t.csv, line 3: a quote is opened and never closed; the file may be truncated",
    );
    check(
        "t.csv",
        b"a,a\n1,2\n",
        "t.csv, line 1: the column name «a» is given twice (fields 1 and 2); names must differ",
    );
    check("t.csv", b"a,b\n1,\0\n", "t.csv, line 2, offset 6: a zero byte; this is not a text file");
    check("t.csv", b"PK\x03\x04rest", "t.csv: a zip archive or a workbook; name a workbook .xlsx");
    check(
        "t.csv",
        b"a,b\n1,caf\xE9\n",
        "t.csv, line 2, offset 9: byte 0xE9 is not UTF-8; text is read as UTF-8, UTF-16 with a mark, CP949 or GB18030",
    );
    let whole = gzip("a,b\n1,2\n".repeat(1000).as_bytes());
    check("t.csv.gz", &whole[..whole.len() - 9], "t.csv.gz: the gzip data are truncated");
    check("t.jsonl", b"\n", "t.jsonl: empty; expected one JSON object per line");
    check(
        "t.jsonl",
        b"{\"a\":1}\n{\"a\":[1]}\n",
        "t.jsonl, line 2: the value of «a» is nested; expected text, a number, true, false or null",
    );
    check(
        "t.jsonl",
        b"{\"a\":1}\n\n{\"a\":1\n",
        "t.jsonl, line 3, character 6: EOF while parsing an object; expected one flat JSON object per line",
    );
    check("t.jsonl", b"{\"a\":1,\"a\":2}\n", "t.jsonl, line 1: the key «a» is given twice");
    assert!(message("t.xlsx", b"a,b\n1,2\n").starts_with("t.xlsx: not a readable .xlsx workbook: "));
    let failed = workbook(
        r#"<row r="1"><c r="A1" t="inlineStr"><is><t>a</t></is></c></row><row r="2"><c r="A2" t="e"><v>#DIV/0!</v></c></row>"#,
    );
    check("t.xlsx", &failed, "t.xlsx#Loans, cell A2: the error #DIV/0!; correct the formula or empty the cell");
    let wide = workbook(
        r#"<row r="1"><c r="A1" t="inlineStr"><is><t>a</t></is></c></row><row r="2"><c r="AB2"><v>1</v></c></row>"#,
    );
    check("t.xlsx", &wide, "t.xlsx#Loans, cell AB2: a value outside the columns of the first row (A1 to A1)");
}

#[test]
fn addresses_are_checked() {
    assert_eq!(read("no/such.csv").unwrap_err().to_string(), "no/such.csv: no such file");
    assert_eq!(read("no/such.xlsx").unwrap_err().to_string(), "no/such.xlsx: no such file");
    assert_eq!(read("no/such-*.csv").unwrap_err().to_string(), "no/such-*.csv: no file matches this pattern");
    let e = read("loans.docx").unwrap_err();
    assert!(e.is_request());
    let message = e.to_string();
    assert!(message.starts_with("loans.docx: no reader for this ending; there are CSV (loans.csv"), "{message}");
    for source in SOURCES {
        assert!(message.contains(source.example), "{message}");
        let first = source.example.split([',', ' ']).next().unwrap();
        assert!((source.accepts)(first), "{first}");
    }
    let options = ReadOptions { tz: Some("Mars/Olympus".into()), ..ReadOptions::default() };
    let e = read_table("loans.csv", &options, &Run::new(1, 1)).unwrap_err();
    assert!(e.to_string().starts_with("no time zone «Mars/Olympus»"), "{e}");
}

#[test]
fn a_table_is_the_same_in_every_text_form() {
    let dir = tempfile::tempdir().unwrap();
    let csv = "name,amount,day,note\n김철수,\"1,234.5\",2024-03-05,\"a \"\"b\"\"\nc\"\n이영희,2,2024-03-06,\n";
    let expected = [["김철수", "1,234.5", "2024-03-05", "a \"b\"\nc"], ["이영희", "2", "2024-03-06", ""]];
    let check = |path: &str| {
        let found = cells(path).unwrap();
        let found: Vec<Vec<&str>> =
            found.iter().map(|r| r.iter().map(|c| c.as_deref().unwrap_or("")).collect()).collect();
        assert_eq!(found, expected, "{path}");
        let table = read(path).unwrap();
        let kinds: Vec<Kind> = table.columns.iter().map(|c| c.kind).collect();
        assert_eq!(kinds, [Kind::Category, Kind::Number, Kind::Time, Kind::Category], "{path}");
        assert_eq!(table.n_rows(), 2);
    };
    check(&write(dir.path(), "a.csv", csv.as_bytes()));
    check(&write(dir.path(), "a.csv.gz", &gzip(csv.as_bytes())));
    check(&write(dir.path(), "b.csv", &encoding_rs::EUC_KR.encode(csv).0));
    check(&write(dir.path(), "c.csv", csv.replace('\n', "\r\n").replace("b\"\"\r\n", "b\"\"\n").as_bytes()));
    check(&write(dir.path(), "d.csv", csv.trim_end().as_bytes()));
    let json = r#"{"name":"김철수","amount":"1,234.5","day":"2024-03-05","note":"a \"b\"\nc"}
{"amount":2,"name":"이영희","day":"2024-03-06","note":null}"#;
    check(&write(dir.path(), "a.jsonl", json.as_bytes()));
    let text = |cell: &str, t: &str| format!(r#"<c r="{cell}" t="inlineStr"><is><t>{t}</t></is></c>"#);
    let sheet = format!(
        r#"<row r="3">{}{}{}{}</row><row r="5">{}{}<c r="D5" s="1"><v>45356</v></c>{}</row><row r="6">{}<c r="C6"><v>2</v></c><c r="D6" s="1"><v>45357</v></c></row>"#,
        text("B3", "name"),
        text("C3", "amount"),
        text("D3", "day"),
        text("E3", "note"),
        text("B5", "김철수"),
        text("C5", "1,234.5"),
        text("E5", "a &quot;b&quot;\nc"),
        text("B6", "이영희")
    );
    check(&write(dir.path(), "a.xlsx", &workbook(&sheet)));
    check(&format!("{}#Loans", write(dir.path(), "b.xlsx", &workbook(&sheet))));
    let e = read(&format!("{}/b.xlsx#Cars", dir.path().display())).unwrap_err();
    assert!(e.to_string().ends_with("b.xlsx: no sheet «Cars»; there are Loans"), "{e}");
}

#[test]
fn numbers_of_json_keep_their_digits() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path(), "t.jsonl", b"{\"a\":12345678901234567.89}\n{\"a\":0.5,\"b\":true}\n");
    let expected = [[Some("12345678901234567.89"), None], [Some("0.5"), Some("true")]];
    assert_eq!(cells(&path).unwrap(), expected.map(|r| r.map(|c| c.map(str::to_string)).to_vec()));
    assert_eq!(read(&path).unwrap().batches[0].column(0).data_type(), &arrow_schema::DataType::Decimal128(38, 2));
}

#[test]
fn a_pattern_is_one_table() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "2.csv", b"b,a\n4,3\nx,5\n");
    write(dir.path(), "1.csv", b"a,b\n1,2\n");
    let pattern = format!("{}/*.csv", dir.path().display());
    let expected = [["1", "2"], ["3", "4"], ["5", "x"]];
    assert_eq!(cells(&pattern).unwrap(), expected.map(|r| r.map(|c| Some(c.to_string())).to_vec()));
    let options = ReadOptions { types: [("b".to_string(), Kind::Number)].into(), tz: None };
    let e = read_table(&pattern, &options, &Run::new(1, 1)).unwrap_err().to_string();
    assert!(e.ends_with("2.csv, line 3, column «b»: «x» is not a number"), "{e}");
    let (_, facts) = read_table_with_facts(&pattern, &ReadOptions::default(), &Run::new(1, 1)).unwrap();
    assert_eq!((facts.source.encoding.as_deref(), facts.source.header), (Some("UTF-8"), Some(true)));
    write(dir.path(), "3.csv", b"a,c\n1,2\n");
    let e = read(&pattern).unwrap_err().to_string();
    assert!(e.contains("3.csv: column «c» is not in ") && e.ends_with("must have the same columns"), "{e}");
    write(dir.path(), "3.csv", b"a\n1\n");
    let e = read(&pattern).unwrap_err().to_string();
    assert!(e.contains("3.csv: no column «b», which ") && e.ends_with("must have the same columns"), "{e}");
}

#[test]
fn a_source_without_names_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let facts = |path: &str| read_table_with_facts(path, &ReadOptions::default(), &Run::new(1, 1)).unwrap().1.source;
    let found = facts(&write(dir.path(), "t.csv", b"7,2024\n8,2023\n"));
    let note = "no header was found; columns are column_1 …".to_string();
    assert_eq!((found.header, found.notes), (Some(false), vec![note.clone()]));
    let found = facts(&write(dir.path(), "u.csv", b"id,202401,202402,target\n7,12.5,3,0\n8,9,2,1\n"));
    assert_eq!((found.header, found.notes.len()), (Some(true), 0));
    // A sheet: two numbers above two, then a name and a year above them.
    let numbers = r#"<c r="A2"><v>7</v></c><c r="B2"><v>12.5</v></c></row>"#;
    let first = r#"<row r="1"><c r="A1"><v>8</v></c><c r="B1"><v>11</v></c></row><row r="2">"#;
    let found = facts(&write(dir.path(), "t.xlsx", &workbook(&format!("{first}{numbers}"))));
    assert_eq!((found.header, found.notes), (Some(false), vec![note]));
    let first =
        r#"<row r="1"><c r="A1" t="inlineStr"><is><t>id</t></is></c><c r="B1"><v>2024</v></c></row><row r="2">"#;
    let table = read(&write(dir.path(), "u.xlsx", &workbook(&format!("{first}{numbers}")))).unwrap();
    assert_eq!(table.columns.iter().map(|c| c.name.as_str()).collect::<Vec<_>>(), ["id", "2024"]);
    assert_eq!(table.n_rows(), 1);
}

/// Every block, its order and its rows, against the `csv` crate, over a text of several blocks.
#[test]
fn agrees_with_the_csv_crate() {
    const FIELDS: [&str; 6] = ["\"x, \"\"y\"\"\n\"", "5\" pipe", "\"\"", "\"q\"tail", "12345.5", ""];
    let mut rng = Rng::new(7);
    let mut text = String::from("a,b,c\n");
    while text.len() < 5 << 20 {
        for i in 0..3 {
            text.push_str(["", ","][usize::from(i > 0)]);
            text.push_str(FIELDS[rng.below(FIELDS.len())]);
        }
        text.push_str(if rng.below(2) == 0 { "\n" } else { "\r\n" });
    }
    let dir = tempfile::tempdir().unwrap();
    let found = cells(&write(dir.path(), "t.csv", text.as_bytes())).unwrap();
    let mut expected = ::csv::Reader::from_reader(text.as_bytes());
    let mut n_rows = 0;
    for (record, row) in expected.records().zip(&found) {
        let record = record.unwrap();
        assert!(record.iter().eq(row.iter().map(|c| c.as_deref().unwrap_or(""))), "row {n_rows}: {record:?} {row:?}");
        n_rows += 1;
    }
    assert_eq!((n_rows, expected.records().count()), (found.len(), 0));
}

/// Mutated files are read or refused; nothing panics, and the same bytes give the same answer.
#[test]
fn mutated_files_never_panic() {
    let dir = tempfile::tempdir().unwrap();
    let csv = "id,이름,amount,day\n1,\"김 \"\"철\"\"수\",\"1,234.5\",2024-03-05\n2,이영희,(7),2024-03-06\r\n3,,5%,05/03/2024\n";
    let json = "{\"a\":1,\"b\":\"x\\n\"}\n{\"a\":-2.5e3,\"b\":null}\n";
    let sheet = r#"<row r="1"><c r="A1" t="inlineStr"><is><t>a</t></is></c></row><row r="2"><c r="A2" s="1"><v>45356</v></c></row>"#;
    let files: [(&str, Vec<u8>); 5] = [
        ("t.csv", csv.as_bytes().to_vec()),
        ("u.csv", encoding_rs::EUC_KR.encode(csv).0.into_owned()),
        ("v.csv.gz", gzip(csv.as_bytes())),
        ("t.jsonl", json.as_bytes().to_vec()),
        ("t.xlsx", workbook(sheet)),
    ];
    let mut rng = Rng::new(11);
    for (name, bytes) in files {
        for _ in 0..300 {
            let mut mutated = bytes.clone();
            for _ in 0..=rng.below(4) {
                let at = rng.below(mutated.len());
                match rng.below(4) {
                    0 => mutated[at] = rng.below(256) as u8,
                    1 => mutated.truncate(at.max(1)),
                    2 => mutated.insert(at, b"\",;\n\r\0\xFF."[rng.below(8)]),
                    _ => drop(mutated.remove(at)),
                }
                if mutated.is_empty() {
                    mutated.push(b'a');
                }
            }
            let path = write(dir.path(), name, &mutated);
            let outcome = || read(&path).map(|t| t.batches).map_err(|e| e.to_string());
            assert_eq!(outcome(), outcome(), "{name}: {:?}", String::from_utf8_lossy(&mutated));
        }
    }
}

#[test]
fn reads_the_real_sets() {
    let folder = std::env::var("STATERA_DATA")
        .unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data").to_string());
    if !Path::new(&folder).exists() {
        println!("skipped: no real data at {folder}");
        return;
    }
    let kinds = |name: &str| {
        let table = read(&format!("{folder}/{name}")).unwrap();
        let count = |kind| table.columns.iter().filter(|c| c.kind == kind).count();
        (table.n_rows(), Kind::ALL.map(count))
    };
    // Number, category, time, text, identifier.
    assert_eq!(kinds("taiwan_credit_default/default_of_credit_card_clients.csv.gz"), (30_000, [24, 0, 0, 0, 1]));
    assert_eq!(kinds("german_credit/german_credit.csv"), (1_000, [7, 14, 0, 0, 0]));
    assert_eq!(kinds("uci_bank_marketing/bank-additional-full.csv.gz"), (41_188, [10, 11, 0, 0, 0]));
    assert_eq!(kinds("uci_bank_marketing/bank-full.csv.gz"), (45_211, [7, 10, 0, 0, 0]));
    assert_eq!(kinds("sp500_stocks_5yr/all_stocks_5yr.csv.gz"), (619_040, [5, 1, 1, 0, 0]));
    assert_eq!(kinds("banking77/train.csv"), (10_003, [0, 1, 0, 1, 0]));
}

#[test]
fn a_kept_address_has_no_password() {
    let check = |address: &str, expected: &str| assert_eq!(without_password(address), expected);
    check("loans.csv", "loans.csv");
    check("postgres://ann:se@cret@db:6432/loans?query=SELECT%201", "postgres://ann@db:6432/loans?query=SELECT%201");
    check("postgres://ann@db/loans?password=secret&table=a", "postgres://ann@db/loans?table=a");
    check("postgres://db/loans?password=secret", "postgres://db/loans");
}
