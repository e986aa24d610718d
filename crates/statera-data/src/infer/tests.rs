use super::*;
use crate::source::SourceFacts;
use arrow_array::types::{Decimal128Type, Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, StringArray};

/// A reader that was read.
struct Done(Option<char>);

impl BatchReader for Done {
    fn is_text(&self) -> bool {
        true
    }
    fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        Ok(None)
    }
    fn facts(&self) -> SourceFacts {
        SourceFacts { separator: self.0, ..SourceFacts::default() }
    }
    fn place(&self, row: usize) -> String {
        format!("t.csv, line {}", row + 2)
    }
}

/// Infers a table of columns, each cut into two batches.
fn infer_all(
    columns: &[(&str, &[&str])],
    wishes: &[(&str, Kind)],
    separator: char,
) -> Result<(Table, Vec<ColumnFacts>)> {
    let fields: Vec<Field> = columns.iter().map(|(name, _)| Field::new(*name, DataType::Utf8, true)).collect();
    let arrays = columns.iter().map(|(_, cells)| Arc::new(StringArray::from(cells.to_vec())) as ArrayRef).collect();
    let whole = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap();
    let half = whole.num_rows() / 2;
    let halves = [whole.slice(0, half), whole.slice(half, whole.num_rows() - half)];
    let batches = halves.iter().map(SurveyedBatch::of).collect();
    let types = wishes.iter().map(|(name, kind)| (name.to_string(), *kind)).collect();
    let options = ReadOptions { types, tz: None };
    infer("t.csv", batches, &options, &Zone::utc(), &Done(Some(separator)), &Run::new(1, 1))
}

fn column_of(table: &Table, column: usize) -> ArrayRef {
    let parts: Vec<&dyn Array> = table.batches.iter().map(|b| b.column(column).as_ref()).collect();
    arrow_select::concat::concat(&parts).unwrap()
}

/// Infers one column.
fn infer_one(name: &str, cells: &[&str]) -> (Kind, ArrayRef, ColumnFacts) {
    let (table, mut facts) = infer_all(&[(name, cells)], &[], ',').unwrap();
    (table.columns[0].kind, column_of(&table, 0), facts.remove(0))
}

#[test]
fn integers_floats_and_decimals_keep_every_digit() {
    let i64s = |cells: &[&str]| infer_one("x", cells).1.as_primitive::<Int64Type>().iter().collect::<Vec<_>>();
    assert_eq!(i64s(&["1", "-2", "NA", "", "9223372036854775807"]), [Some(1), Some(-2), None, None, Some(i64::MAX)]);
    assert_eq!(i64s(&["1,234", "12", "(5)"]), [Some(1234), Some(12), Some(-5)]);
    assert_eq!(i64s(&["₩1,234", "₩5", "?"]), [Some(1234), Some(5), None]);
    let f64s = |cells: &[&str]| infer_one("x", cells).1.as_primitive::<Float64Type>().iter().collect::<Vec<_>>();
    assert_eq!(f64s(&["1.5", "2", "."]), [Some(1.5), Some(2.0), None]);
    assert_eq!(f64s(&["24.608617782592773", "0.1"]), [Some(24.608617782592773), Some(0.1)]);
    assert_eq!(f64s(&["1,5", "1234,25"]), [Some(1.5), Some(1234.25)]);
    assert_eq!(f64s(&["1.234,5", "7"]), [Some(1234.5), Some(7.0)]);
    assert_eq!(f64s(&["12.5%", "3 %"]), [Some(12.5), Some(3.0)]);
    assert_eq!(f64s(&["1e3", "2.5E-1"]), [Some(1000.0), Some(0.25)]);
    let (_, array, _) = infer_one("x", &["12345678901234567.89", "0.5", "-1"]);
    assert_eq!(array.data_type(), &DataType::Decimal128(38, 2));
    assert_eq!(array.as_primitive::<Decimal128Type>().values(), &[1_234_567_890_123_456_789, 50, -100]);
    let (_, array, _) = infer_one("x", &["9007199254740993", "0.5"]);
    assert_eq!(array.data_type(), &DataType::Decimal128(38, 1));
    let (_, array, _) = infer_one("x", &["18446744073709551616", "5"]);
    assert_eq!(array.as_primitive::<Decimal128Type>().values(), &[18_446_744_073_709_551_616, 5]);
}

#[test]
fn infinite_cells_stay_infinite_and_are_noted() {
    for cell in ["inf", "1e999"] {
        let (kind, array, facts) = infer_one("x", &["1.5", cell, "-inf"]);
        assert_eq!(kind, Kind::Number);
        assert_eq!(array.as_primitive::<Float64Type>().values(), &[1.5, f64::INFINITY, f64::NEG_INFINITY]);
        assert_eq!(facts.notes, ["some cells are infinite"]);
    }
}

#[test]
fn codes_and_mixtures_are_no_numbers() {
    for cells in [
        &["007", "8"][..],
        &["+5", "8"],
        &["5%", "8"],
        &["$5", "8"],
        &["$5", "€8"],
        &["1,234,567", "1 234"],
        &["5", "x"],
        &["1.5", "1,5"],
        &["true", "false"],
        &["yes", "no"],
        &["inf.", "5"],
    ] {
        let (kind, array, _) = infer_one("x", cells);
        assert_eq!((kind, array.data_type()), (Kind::Category, &DataType::Utf8), "{cells:?}");
        assert_eq!(array.as_string::<i32>().iter().flatten().collect::<Vec<_>>(), cells);
    }
}

#[test]
fn the_table_decides_where_a_column_leaves_the_mark_open() {
    let read = |columns: &[(&str, &[&str])], separator| {
        let (table, facts) = infer_all(columns, &[], separator).unwrap();
        let array = arrow_cast::cast(&column_of(&table, 0), &DataType::Float64).unwrap();
        (array.as_primitive::<Float64Type>().value(0), facts[0].notes.len())
    };
    assert_eq!(read(&[("x", &["1,234", "5,678"])], ','), (1234.0, 1));
    assert_eq!(read(&[("x", &["1,234", "5,678"])], ';'), (1.234, 1));
    assert_eq!(read(&[("x", &["1.234", "5.678"])], ';'), (1.234, 1));
    assert_eq!(read(&[("x", &["1.234", "5.678"]), ("y", &["0,5", "1,5"])], ';'), (1234.0, 1));
    assert_eq!(read(&[("x", &["1,234", "5,678"]), ("y", &["0.5", "1.5"])], ';'), (1234.0, 1));
    assert_eq!(read(&[("x", &["1,234", "5,678.5"])], ';'), (1234.0, 0));
}

#[test]
fn times_are_found_and_read() {
    for cells in [
        &["2024-03-05", "", "2024-03-06"][..],
        &["20240305", "NA", "20240306"],
        &["05.03.2024", "?", "6.3.2024"],
        &["2024년 3월 5일", "null", "2024년 3월 6일"],
        &["03/05/2024", "NaN", "03/06/2024"],
    ] {
        let cells: Vec<&str> =
            cells.iter().copied().chain(["12/31/2023"].into_iter().filter(|_| cells[0] == "03/05/2024")).collect();
        let (kind, array, facts) = infer_one("x", &cells);
        assert_eq!((kind, array.data_type()), (Kind::Time, &time_type()), "{cells:?}");
        let days: Vec<_> = array
            .as_primitive::<TimestampMicrosecondType>()
            .iter()
            .take(3)
            .map(|t| t.map(|t| t / 86_400_000_000))
            .collect();
        assert_eq!(days, [Some(19787), None, Some(19788)], "{cells:?}");
        assert!(facts.notes.is_empty());
    }
    let (_, array, facts) = infer_one("x", &["03/05/2024", "04/05/2024"]);
    assert_eq!(array.as_primitive::<TimestampMicrosecondType>().value(0) / 86_400_000_000, 19846);
    assert_eq!(facts.notes, ["day and month could be exchanged in every cell; read as day, month, year"]);
    assert_eq!(infer_one("x", &["20240305", "20241305"]).0, Kind::Number);
}

#[test]
fn keys_by_name_and_missing_tokens_are_told() {
    let ids: Vec<String> = (1..=100).map(|i| i.to_string()).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    assert_eq!(infer_one("ID", &ids).0, Kind::Identifier);
    assert_eq!(infer_one("ID", &ids).1.data_type(), &DataType::Int64);
    assert_eq!(infer_one("balance", &ids).0, Kind::Number);
    let branches: Vec<&str> = ids.iter().map(|i| if *i < "5" { "1" } else { "2" }).collect();
    assert_eq!(infer_one("branch_id", &branches).0, Kind::Category);
    let (kind, array, facts) = infer_one("x", &["NA", "NA", " ", "null"]);
    assert_eq!((kind, array.data_type(), array.null_count()), (Kind::Number, &DataType::Float64, 4));
    assert_eq!(facts.missing, [(String::new(), 1), ("NA".to_string(), 2), ("null".to_string(), 1)]);
    assert_eq!(facts.notes, ["all cells are missing"]);
}

#[test]
fn text_loses_only_blanks_around_it() {
    let (_, array, _) = infer_one("x", &[" a b ", "None", "NAN", "\u{3000}가\u{A0}"]);
    let cells: Vec<_> = array.as_string::<i32>().iter().collect();
    assert_eq!(cells, [Some("a b"), None, Some("NAN"), Some("가")]);
}

#[test]
fn the_user_decides_and_impossible_wishes_name_the_first_cell() {
    let read = |name: &str, cells: &[&str], kind: Kind| {
        infer_all(&[(name, cells)], &[(name, kind)], ',').map(|(table, _)| column_of(&table, 0))
    };
    assert_eq!(read("x", &["1", "2"], Kind::Category).unwrap().data_type(), &DataType::Utf8);
    assert_eq!(read("x", &["007", "+8"], Kind::Number).unwrap().as_primitive::<Int64Type>().values(), &[7, 8]);
    assert_eq!(read("x", &["20240305", "20240306"], Kind::Number).unwrap().data_type(), &DataType::Int64);
    assert_eq!(read("x", &["20240305", "20240306"], Kind::Time).unwrap().data_type(), &time_type());
    assert_eq!(read("x", &["1", "2"], Kind::Identifier).unwrap().data_type(), &DataType::Int64);
    assert_eq!(read("x", &["01", "2"], Kind::Identifier).unwrap().data_type(), &DataType::Utf8);
    let fails = |cells: &[&str], kind| read("x", cells, kind).unwrap_err().to_string();
    assert_eq!(fails(&["1", "2", "", "a lot"], Kind::Number), "t.csv, line 5, column «x»: «a lot» is not a number");
    assert_eq!(fails(&["2024-03-05", "soon"], Kind::Time), "t.csv, line 3, column «x»: «soon» is not a date or time");
    assert_eq!(
        fails(&["13/04/2024", "04/13/2024"], Kind::Time),
        "t.csv, line 3, column «x»: «04/13/2024» is not a date or time"
    );
    assert_eq!(fails(&["5%", "5%", "5"], Kind::Number), "t.csv, line 4, column «x»: «5» is not a number");
    let (Err(e), name) = (infer_all(&[("x", &["1", "2"])], &[("y", Kind::Number)], ','), "y") else { panic!() };
    assert_eq!(e.to_string(), format!("t.csv: a kind is given for «{name}», which is not a column; there are x"));
}

#[test]
fn new_cells_are_read_by_the_format_of_the_column() {
    let format = TextFormat { decimal_comma: true, thousands: Some('.'), ..TextFormat::default() };
    let read = |cells: &[&str], to: &DataType| convert(&StringArray::from(cells.to_vec()), to, &format, &Zone::utc());
    let array = read(&["1.234,5", "NA", "7"], &DataType::Float64).unwrap();
    assert_eq!(array.as_primitive::<Float64Type>().iter().collect::<Vec<_>>(), [Some(1234.5), None, Some(7.0)]);
    let misfit = read(&["5", "5,5"], &DataType::Int64).unwrap_err();
    assert_eq!((misfit.row, misfit.describe()), (1, "«5,5» is not a whole number of 64 bits".to_string()));
    assert_eq!(read(&["5", "5,0"], &DataType::Int64).unwrap().as_primitive::<Int64Type>().values(), &[5, 5]);
    assert_eq!(read(&["1,25"], &DataType::Decimal128(38, 1)).unwrap_err().row, 0);
    let stored = serde_json::to_string(&format).unwrap();
    assert_eq!(serde_json::from_str::<TextFormat>(&stored).unwrap(), format);
}

#[test]
fn typed_columns_get_kinds_and_wishes() {
    let fields = vec![
        Field::new("loan_id", DataType::Int64, false),
        Field::new("grade", DataType::Int64, true),
        Field::new("city", DataType::Utf8, true),
        Field::new("when", DataType::Int64, true),
    ];
    let schema = Arc::new(Schema::new(fields));
    let batch = RecordBatch::try_new(
        schema.clone(),
        vec![
            Arc::new(arrow_array::Int64Array::from(vec![1, 2])),
            Arc::new(arrow_array::Int64Array::from(vec![Some(3), None])),
            Arc::new(StringArray::from(vec![Some("a"), None])),
            Arc::new(arrow_array::Int64Array::from(vec![20240305, 20240306])),
        ],
    )
    .unwrap();
    let read = |wishes: &[(&str, Kind)]| {
        let types = wishes.iter().map(|(name, kind)| (name.to_string(), *kind)).collect();
        kinds_of_typed("t", &schema, vec![batch.clone()], &ReadOptions { types, tz: None }, &Zone::utc())
    };
    let kinds = |wishes| read(wishes).unwrap().0.iter().map(|c| c.kind).collect::<Vec<_>>();
    assert_eq!(kinds(&[]), [Kind::Identifier, Kind::Number, Kind::Category, Kind::Number]);
    let (columns, batches) = read(&[("grade", Kind::Category), ("when", Kind::Time)]).unwrap();
    assert_eq!((columns[1].kind, columns[3].kind), (Kind::Category, Kind::Time));
    assert_eq!(batches[0].column(1).as_string::<i32>().iter().collect::<Vec<_>>(), [Some("3"), None]);
    assert_eq!(batches[0].column(3).data_type(), &time_type());
    assert_eq!(
        read(&[("city", Kind::Number)]).unwrap_err().to_string(),
        "t, row 1, column «city»: «a» is not a number"
    );
}

#[test]
fn a_survey_does_not_depend_on_how_cells_are_kept() {
    let check = |cells: &[&str]| {
        let text = StringArray::from(cells.to_vec());
        let parts = Cells::of(text.clone());
        assert!(matches!(parts, Cells::Integers { .. }));
        assert_eq!(Survey::of(&parts), Survey::of(&Cells::Text(text)), "{cells:?}");
    };
    check(&["20240305", "20240306", "NA", "20241305", "-7"]);
    check(&["20240305143000", "20240305143001", "7", "9007199254740993"]);
    check(&["1e+05", "20240305", "007", "+5", "1,234", "5%", "$3", "", "123456789012345678"]);
    check(&["NA", "null", "", " 5 ", "-0"]);
    check(&["9007199254740992", "1.5", "20240305"]);
}
