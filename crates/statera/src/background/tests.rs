use super::distance::{self, Cell, Distance};
use super::*;
use crate::bundle::Bundle;
use crate::pipeline;
use crate::project::Settings;
use crate::reference::Reference;
use crate::training_set::TrainingSet;
use arrow_array::{StringArray, TimestampMicrosecondArray};
use statera_core::{ErrorKind, Kind, Rng, Run};
use statera_data::{ColumnInfo, Table};
use std::collections::BTreeMap;

fn table(columns: Vec<(&str, Kind, ArrayRef)>) -> Table {
    let infos = columns.iter().map(|(name, kind, _)| ColumnInfo { name: (*name).into(), kind: *kind }).collect();
    let batch =
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, _, array)| (name, array, true)));
    Table { columns: infos, batches: vec![batch.unwrap()], origin: "invented".into() }
}

fn settings() -> Settings {
    Settings { target: "bad".into(), quick: true, ..Settings::default() }
}

fn made(table: Table, settings: &Settings, threads: usize) -> Option<BackgroundRows> {
    let set = TrainingSet::new(table, settings).unwrap();
    let schema = pipeline::schema(&set, settings, &BTreeMap::new()).unwrap();
    let reference = Reference::of(&set.batch, &schema.inputs).unwrap();
    make(&set, &schema, &reference, settings, &Run::new(1, threads)).unwrap()
}

fn bad(n: usize) -> (&'static str, Kind, ArrayRef) {
    ("bad", Kind::Number, Arc::new(Int64Array::from_iter_values((0..n).map(|i| (i % 2) as i64))))
}

#[test]
fn a_cell_is_its_mean_numbers_and_most_frequent_levels() {
    // 20 rows are one cell.
    let sentinels = [("months".to_string(), vec!["999".to_string()])].into();
    let settings = Settings { missing: sentinels, ..settings() };
    let n = 20;
    let day = 86_400_000_000i64;
    let rows = made(
        table(vec![
            ("x", Kind::Number, Arc::new(Int64Array::from_iter_values(0..20))),
            ("rate", Kind::Number, Arc::new(Float64Array::from_iter_values((0..20).map(|i| 0.25 * f64::from(i % 3))))),
            (
                "months",
                Kind::Number,
                Arc::new(Int64Array::from_iter_values((0..20).map(|i| if i < 12 { 999 } else { i }))),
            ),
            ("gap", Kind::Number, Arc::new(Float64Array::from_iter((0..20).map(|i| (i < 4).then_some(1.5))))),
            (
                "level",
                Kind::Category,
                Arc::new(StringArray::from_iter_values((0..20).map(|i| if i < 11 { "a" } else { "b" }))),
            ),
            ("few", Kind::Category, Arc::new(StringArray::from_iter_values((0..20).map(|i| ["p", "q", "r"][i % 3])))),
            (
                "opened",
                Kind::Time,
                Arc::new(TimestampMicrosecondArray::from_iter_values((0..20).map(|i| day * i)).with_timezone("UTC")),
            ),
            bad(n),
        ]),
        &settings,
        2,
    )
    .unwrap();
    assert_eq!(rows.n_rows, [20]);
    let text = |name: &str| crate::training_set::texts_of(rows.rows.column_by_name(name).unwrap()).remove(0);
    // 9.5, as a whole number.
    assert_eq!(text("x").as_deref(), Some("10"));
    // 0, .25, .5 seven, seven and six times: .2375, as finely as the column is written.
    assert_eq!(text("rate").as_deref(), Some("0.24"));
    assert_eq!(text("months").as_deref(), Some("999"), "the sentinel is more frequent than amounts");
    assert_eq!(text("gap"), None, "most cells are missing");
    assert_eq!(text("level").as_deref(), Some("a"));
    assert_eq!(text("few"), None, "no level of ten rows is told");
    assert_eq!(text("opened").as_deref(), Some("1970-01-11"), "9.5 days, as a date");
}

/// One cell of twenty customers: `x` is 0 … 19, `y` what the customers of a test have.
fn twenty(y: impl Fn(i64) -> i64) -> (RecordBatch, Option<BackgroundRows>) {
    let columns = || -> Vec<(&str, Kind, ArrayRef)> {
        vec![
            ("x", Kind::Number, Arc::new(Int64Array::from_iter_values(0..20))),
            ("y", Kind::Number, Arc::new(Int64Array::from_iter_values((0..20).map(&y)))),
            bad(20),
        ]
    };
    (table(columns()).batches.remove(0), made(table(columns()), &settings(), 1))
}

#[test]
fn a_mean_that_is_a_customer_is_altered() {
    let cells = |rows: &RecordBatch| -> Vec<[i64; 2]> {
        let column = |name: &str| rows.column_by_name(name).unwrap().as_primitive::<Int64Type>().values().to_vec();
        column("x").into_iter().zip(column("y")).map(|(x, y)| [x, y]).collect()
    };
    // The means are 9.5 and 109.5, as whole numbers 10 and 110: the customer of x = 10 has y = 100 + 70 mod 20 = 110.
    let (customers, rows) = twenty(|x| 100 + 7 * x % 20);
    let rows = rows.unwrap();
    assert!(cells(&customers).contains(&[10, 110]));
    assert_eq!(cells(&rows.rows), [[9, 110]], "the first number is moved by one");
    // Where all ten neighbours are customers too the row stays, and is counted.
    let inputs = |names: &[&str]| -> Vec<statera_data::conform::InputColumn> {
        let input = |name: &&str| statera_data::conform::InputColumn {
            name: (*name).into(),
            kind: Kind::Number,
            data_type: DataType::Int64,
            text: None,
        };
        names.iter().map(input).collect()
    };
    let seen = |names: &[&str]| apart::Seen::new(&customers, &inputs(names)).unwrap();
    assert_eq!(seen(&["x", "y"]).alike(&rows.rows).unwrap(), Vec::<usize>::new());
    assert_eq!(seen(&["x"]).alike(&rows.rows).unwrap(), [0], "of x alone every number is a customer's");
    // What ten customers share tells of nobody: x is 10 for half of them.
    let same: ArrayRef = Arc::new(Int64Array::from_iter_values((0..20).map(|i| if i < 10 { 9 } else { 10 })));
    let rows = made(table(vec![("x", Kind::Number, same), bad(20)]), &settings(), 1).unwrap();
    assert!(rows.rows.column(0).as_primitive::<Int64Type>().values().iter().all(|x| [9, 10].contains(x)));
}

#[test]
fn the_reach_holds_95_of_100_rows() {
    let x: ArrayRef = Arc::new(Int64Array::from_iter_values(0..20));
    let rows = made(table(vec![("x", Kind::Number, x), bad(20)]), &settings(), 1).unwrap();
    // The row is 10; quantiles 5 % and 95 % of 0 … 19 are 1 and 18. The 19th of 20 distances, in their order, is 9 / 17.
    assert_eq!(rows.reach, [9.0 / 17.0]);
}

/// `n` customers in two crowds, with a few far away.
fn crowds(n: usize) -> Table {
    let mut rng = Rng::new(3);
    let (mut income, mut debt, mut region) = (Vec::new(), Vec::new(), Vec::new());
    for i in 0..n {
        let centre = if i % 2 == 0 { 1_000.0 } else { 5_000.0 };
        let far = if i % 97 == 0 { 100_000.0 } else { 0.0 };
        income.push((centre + 100.0 * rng.normal() + far).round() as i64);
        debt.push((100.0 * rng.normal()).round() / 100.0);
        region.push(["north", "south", "east"][rng.below(3)]);
    }
    table(vec![
        ("income", Kind::Number, Arc::new(Int64Array::from(income))),
        ("debt", Kind::Number, Arc::new(Float64Array::from(debt))),
        ("region", Kind::Category, Arc::new(StringArray::from(region))),
        bad(n),
    ])
}

#[test]
fn cells_are_large_enough_and_the_same_for_any_number_of_threads() {
    let rows = made(crowds(3_000), &settings(), 1).unwrap();
    assert!(rows.n_rows.iter().all(|&n| n >= MIN_CELL_ROWS), "{:?}", rows.n_rows);
    assert_eq!(rows.n_rows.iter().sum::<u64>(), 3_000);
    assert!((20..=MAX_CELLS).contains(&rows.n_rows.len()), "{}", rows.n_rows.len());
    assert!(rows.n_rows.is_sorted_by(|a, b| a >= b));
    assert!(rows.reach.iter().all(|r| (0.0..=1.0).contains(r)));
    assert_eq!(made(crowds(3_000), &settings(), 2).unwrap().parquet().unwrap(), rows.parquet().unwrap());
    // Each crowd has rows of its own; the far ones did not take cells of fewer rows than are allowed.
    let incomes = rows.rows.column_by_name("income").unwrap().as_primitive::<Int64Type>();
    assert!(incomes.values().iter().any(|v| (800..1_200).contains(v)) && incomes.values().iter().any(|v| *v > 4_700));
}

#[test]
fn tables_that_make_no_cells_have_none() {
    assert_eq!(made(crowds(9), &settings(), 1), None, "fewer rows than a cell needs");
    let steps = vec![vec!["income".to_string()], vec!["debt".to_string()]];
    let sequences = Settings { sequences: [("steps".to_string(), steps)].into(), ..settings() };
    assert_eq!(made(crowds(100), &sequences, 1), None, "the mean of sequences is no sequence");
    // Rows that are all alike are one cell.
    let same: ArrayRef = Arc::new(Int64Array::from(vec![7; 100]));
    let rows = made(table(vec![("x", Kind::Number, same), bad(100)]), &settings(), 1).unwrap();
    assert_eq!((rows.n_rows, rows.reach), (vec![100], vec![0.0]));
}

#[test]
fn rows_come_as_often_as_their_cells_ask() {
    let x: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3]));
    let rows = RecordBatch::try_from_iter([("x", x)]).unwrap();
    let check = |n_rows: [u64; 3], expected: [usize; 3]| {
        let background = BackgroundRows { rows: rows.clone(), n_rows: n_rows.to_vec(), reach: vec![0.0; 3] };
        let drawn = background.in_proportion().unwrap();
        let count = |v| drawn.column(0).as_primitive::<Int64Type>().values().iter().filter(|x| **x == v).count();
        assert_eq!([count(1), count(2), count(3)], expected);
    };
    check([32, 16, 16], [64, 32, 32]);
    check([10, 10, 10], [43, 43, 42]);
    check([100_000, 10, 10], [128, 0, 0]);
}

#[test]
fn differences_are_those_of_the_definition() {
    let scale = distance::Scale { column: "x".into(), spread: 10.0, sentinels: vec![999.0] };
    let check = |a, b, difference: f64, size: f64| {
        assert_eq!((scale.difference(a, b), scale.size(a, b)), (difference, size), "{a:?} {b:?}");
    };
    check(Cell::Number(1.0), Cell::Number(4.0), 0.3, 0.3);
    check(Cell::Number(0.0), Cell::Number(25.0), 1.0, 2.5);
    check(Cell::Number(999.0), Cell::Number(999.0), 0.0, 0.0);
    check(Cell::Number(999.0), Cell::Number(998.0), 1.0, 1.0);
    check(Cell::Missing, Cell::Missing, 0.0, 0.0);
    check(Cell::Missing, Cell::Number(0.0), 1.0, 1.0);
    check(Cell::Level("a"), Cell::Level("b"), 1.0, 1.0);
    let constant = distance::Scale { spread: 0.0, ..scale.clone() };
    assert_eq!(constant.difference(Cell::Number(1.0), Cell::Number(1.5)), 1.0);
    // The mean over the columns: (.3 + 1) / 2.
    let both = Distance { scales: vec![scale.clone(), distance::Scale { column: "y".into(), ..scale }] };
    let (a, b) =
        (vec![vec![Cell::Number(1.0)], vec![Cell::Missing]], vec![vec![Cell::Number(4.0)], vec![Cell::Number(0.0)]]);
    assert_eq!(both.between((&a, 0), (&b, 0)), 0.65);
}

fn trained(model: &str) -> Bundle {
    let settings = Settings { models: vec![model.into()], folds: 2, ..settings() };
    pipeline::train(crowds(400), &settings, &BTreeMap::new(), &crate::given::Given::default(), &Run::new(1, 2))
        .unwrap()
        .bundle
}

#[test]
fn a_damaged_part_is_refused() {
    let bundle = trained("logistic");
    let rows = bundle.background.clone().unwrap();
    let read = |rows: &BackgroundRows| BackgroundRows::read(&rows.parquet().unwrap(), &bundle.scorer);
    assert_eq!(read(&rows).unwrap().as_ref(), Some(&rows));
    let refused = |rows: BackgroundRows, message: &str| {
        let error = read(&rows).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Damaged);
        assert!(error.to_string().contains(message), "{error}");
    };
    let n = rows.n_rows.len();
    let few = [&rows.n_rows[..n - 1], &[3]].concat();
    refused(BackgroundRows { n_rows: few, ..rows.clone() }, &format!("background.parquet: row {n}: a cell of 3 rows"));
    let reach = [&rows.reach[..n - 1], &[1.5]].concat();
    refused(BackgroundRows { reach, ..rows.clone() }, "a reach of 1.5; allowed: 0 to 1");
    let none = BackgroundRows { rows: rows.rows.slice(0, 0), n_rows: Vec::new(), reach: Vec::new() };
    refused(none, "background.parquet: 0 rows; allowed: 1 to 100");
    let fewer = BackgroundRows { rows: rows.rows.project(&[0, 1]).unwrap(), ..rows.clone() };
    refused(fewer, "background.parquet: a column is missing that the model was trained on: «region»");
    assert!(BackgroundRows::read(b"no Parquet", &bundle.scorer).is_err());
    // As bundles of format 3 have them: rows without cells are nobody's background.
    let old = codec::parquet(&rows.rows).unwrap();
    assert_eq!(BackgroundRows::read(&old, &bundle.scorer).unwrap(), None);
}

#[test]
fn attributions_are_measured_from_the_background_rows() {
    let bundle = trained("boosting");
    let background = bundle.background.as_ref().unwrap().in_proportion().unwrap();
    let (rows, source) = (crowds(50).batches.remove(0), RowSource::default());
    let parts = bundle.scorer.attribute_against(&rows, source, Some(&background)).unwrap();
    let mean = |batch: &RecordBatch| {
        let margins = bundle.scorer.score(batch).unwrap().margins;
        margins.iter().sum::<f64>() / margins.len() as f64
    };
    assert!((parts.base[0] - mean(&background)).abs() < 1e-12, "the base is the mean margin of the background rows");
    let margins = bundle.scorer.score(&rows).unwrap().margins;
    for (row, margin) in margins.iter().enumerate() {
        assert!((parts.base[0] + parts.of(row, 0).iter().sum::<f64>() - margin).abs() < 1e-9);
    }
    assert_ne!(parts, bundle.scorer.attribute(&rows).unwrap());
}
