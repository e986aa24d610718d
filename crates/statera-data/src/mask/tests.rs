//! Whole batches through a policy and back.

use super::*;
use crate::source::physical::instant_type;
use arrow_array::{Decimal128Array, Float64Array, Int64Array, TimestampMicrosecondArray};

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter(columns).unwrap()
}

fn text(cells: &[Option<&str>]) -> ArrayRef {
    Arc::new(StringArray::from(cells.to_vec()))
}

fn masker(policy: &str, rows: &RecordBatch, is_text: bool, key: &Key, is_inverse: bool) -> Result<Masker> {
    let policy = Policy::parse(policy, "mask.toml")?;
    Masker::new(&policy, &rows.schema(), is_text, key, &Zone::utc(), is_inverse)
}

#[test]
fn every_type_comes_back() {
    let rows = batch(vec![
        ("i", Arc::new(Int64Array::from(vec![Some(-1_234_567), None, Some(i64::MAX)]))),
        ("f", Arc::new(Float64Array::from(vec![Some(0.1), Some(-1e300), Some(f64::INFINITY)]))),
        (
            "d",
            Arc::new(
                Decimal128Array::from(vec![Some(-1205), Some(i128::from(i64::MAX) * 1000), None])
                    .with_precision_and_scale(38, 2)
                    .unwrap(),
            ),
        ),
        ("t", Arc::new(TimestampMicrosecondArray::from(vec![0, 1_700_000_000_123_456, -1]).with_timezone("UTC"))),
        ("s", text(&[Some("홍길동"), Some(""), None])),
        ("n", text(&[Some("010-1234-5678"), None, Some("0000000")])),
    ]);
    let policy = "[columns]
        i = { method = 'token', type = 'integer' }
        f = { method = 'encrypt', type = 'number' }
        d = { method = 'encrypt', type = 'decimal(38,2)' }
        t = { method = 'encrypt', type = 'time' }
        s = 'encrypt'
        n = 'token'";
    let key = Key::random().unwrap();
    let masked = masker(policy, &rows, false, &key, false).unwrap().apply(&rows, 0).unwrap();
    assert!(masked.schema().fields().iter().all(|f| *f.data_type() == DataType::Utf8));
    for (a, b) in masked.columns().iter().zip(rows.columns()) {
        assert_eq!(a.null_count(), b.null_count());
        assert!(texts_of(a).iter().zip(texts_of(b)).all(|(a, b)| a.is_none() || *a != b));
    }
    let again = masker(policy, &masked, false, &key, true).unwrap().apply(&masked, 0).unwrap();
    assert_eq!(again.columns(), rows.columns());
    assert_eq!(*again.schema().field(3).data_type(), instant_type());
}

#[test]
fn joins_stay_possible_across_tables_and_types() {
    let key = Key::random().unwrap();
    let policy =
        "[columns]\na = { method = 'token', domain = 'customer' }\nb = { method = 'hash', domain = 'customer' }";
    let typed = batch(vec![("a", Arc::new(Int64Array::from(vec![1234567]))), ("b", text(&[Some("x")]))]);
    let other = batch(vec![("b", text(&[Some("x"), Some("")])), ("a", text(&[Some("1234567"), Some("")]))]);
    let typed = masker(policy, &typed, false, &key, false).unwrap().apply(&typed, 0).unwrap();
    let other = masker(policy, &other, true, &key, false).unwrap().apply(&other, 77).unwrap();
    for name in ["a", "b"] {
        let of = |rows: &RecordBatch| texts_of(rows.column_by_name(name).unwrap());
        assert_eq!(of(&typed)[0], of(&other)[0]);
        assert_eq!(of(&other)[1], None, "an empty cell of a text is missing");
    }
}

#[test]
fn refused_cells_are_named_by_place_only() {
    let key = Key::random().unwrap();
    let mut cells = vec![Some("1234567"); 5000];
    (cells[3000], cells[2500], cells[4999]) = (Some("secret"), Some("secret2"), Some("secret3"));
    let rows = batch(vec![("x", text(&cells)), ("y", text(&cells))]);
    let policy = "[columns]\nx = 'keep'\ny = 'token'";
    let said = masker(policy, &rows, true, &key, false).unwrap().apply(&rows, 10).unwrap_err().to_string();
    assert!(said.starts_with("row 2511, column «y»: character 1 is neither of the alphabet «digits»"), "{said}");
    let policy = "[columns]\nx = 'keep'\ny = { method = 'encrypt', type = 'integer' }";
    let masked = masker(policy, &rows, true, &key, false).unwrap().apply(&rows, 0).unwrap();
    let said = masker(policy, &masked, true, &key, true).unwrap().apply(&masked, 0).unwrap_err().to_string();
    assert_eq!(said, "row 2501, column «y»: not of the type integer, which the policy declares");
    let said = masker("default = 'drop'", &rows, true, &key, false).err().expect("refused").to_string();
    assert_eq!(said, "mask.toml: every column is dropped; nothing is left to write");
    let typed = batch(vec![("y", Arc::new(Int64Array::from(vec![7])))]);
    let said = masker("[columns]\ny = { method = 'encrypt', type = 'time' }", &typed, false, &key, false);
    let said = said.err().expect("refused").to_string();
    assert_eq!(said, "mask.toml: column «y» is of type integer, and type = \"time\" is declared");
}

#[test]
fn an_inverse_keeps_what_cannot_come_back() {
    let key = Key::random().unwrap();
    let policy =
        "[columns]\na = 'drop'\nb = 'redact'\nc = 'keep'\nd = { method = 'generalise', width = 10 }\ne = 'encrypt'";
    let cell = || text(&[Some("7")]);
    let rows = batch(vec![("a", cell()), ("b", cell()), ("c", cell()), ("d", cell()), ("e", cell())]);
    let masked = masker(policy, &rows, true, &key, false).unwrap().apply(&rows, 0).unwrap();
    let again = masker(policy, &masked, true, &key, true).unwrap().apply(&masked, 0).unwrap();
    let cells: Vec<Option<String>> = again.columns().iter().flat_map(texts_of).collect();
    assert_eq!(cells.iter().flatten().collect::<Vec<_>>(), ["[REDACTED]", "7", "[0, 10)", "7"]);
}

#[test]
fn methods_are_listed_once_each() {
    for (i, method) in METHODS.iter().enumerate() {
        assert!(METHODS[..i].iter().all(|m| m.name != method.name) && !method.about.is_empty());
    }
}
