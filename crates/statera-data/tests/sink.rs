//! Sinks that write files: every row exactly once, whatever happens on the way.

use arrow_array::{Array, ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow_schema::SchemaRef;
use statera_core::Result;
use statera_data::sink::{Encoding, Sink, SinkOptions, open};
use statera_data::source::{ReadOptions, parquet};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const N_ROWS: usize = 1000;
const CHUNK_ROWS: usize = 100;

fn rows(n_rows: usize) -> RecordBatch {
    let ids = Int64Array::from_iter_values(0..n_rows as i64);
    let scores = Float64Array::from_iter((0..n_rows).map(|i| (i % 11 != 0).then_some(1.0 / (i + 1) as f64)));
    let names = StringArray::from_iter((0..n_rows).map(|i| (i % 5 != 0).then(|| format!("이름, \"{i}\""))));
    let times =
        TimestampMicrosecondArray::from_iter((0..n_rows).map(|i| Some(i as i64 * 1_000_001))).with_timezone("UTC");
    let columns: [(&str, ArrayRef); 4] =
        [("id", Arc::new(ids)), ("score", Arc::new(scores)), ("name", Arc::new(names)), ("time", Arc::new(times))];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, array)| (name, array, true))).expect("valid")
}

fn options() -> SinkOptions {
    SinkOptions { fingerprint: "run 1".into(), chunk_rows: CHUNK_ROWS, replace: true, ..Default::default() }
}

fn start(out: &Path, options: &SinkOptions) -> Result<Box<dyn Sink>> {
    open(out.to_str().expect("UTF-8"), &rows(0).schema(), options)
}

/// Writes what is not there yet, `step` rows at a time, at most `n_batches` batches; finishes if that was all.
fn run(out: &Path, all: &RecordBatch, step: usize, n_batches: usize) -> Result<u64> {
    let mut sink = start(out, &options())?;
    let done = sink.rows_done();
    let mut at = done as usize;
    for _ in 0..n_batches {
        if at >= all.num_rows() {
            break;
        }
        let n = step.min(all.num_rows() - at);
        sink.write(&all.slice(at, n))?;
        at += n;
    }
    if n_batches == usize::MAX {
        sink.finish()?;
    }
    Ok(done)
}

/// The lines that the rows are in a CSV file, written by another library.
fn expected_csv(all: &RecordBatch) -> Vec<Vec<String>> {
    let column = |at: usize| all.column(at).clone();
    let (ids, scores, names, times) = (column(0), column(1), column(2), column(3));
    let ids = ids.as_any().downcast_ref::<Int64Array>().expect("ids");
    let scores = scores.as_any().downcast_ref::<Float64Array>().expect("scores");
    let names = names.as_any().downcast_ref::<StringArray>().expect("names");
    let times = times.as_any().downcast_ref::<TimestampMicrosecondArray>().expect("times");
    (0..all.num_rows())
        .map(|i| {
            let time = jiff::Timestamp::from_microsecond(times.value(i)).expect("in range");
            vec![
                ids.value(i).to_string(),
                if scores.is_null(i) { String::new() } else { scores.value(i).to_string() },
                if names.is_null(i) { String::new() } else { names.value(i).to_string() },
                time.to_string(),
            ]
        })
        .collect()
}

fn check_csv(out: &Path, all: &RecordBatch) {
    let bytes = fs::read(out).expect("the output");
    let text = std::str::from_utf8(bytes.strip_prefix(b"\xef\xbb\xbf").expect("a mark")).expect("UTF-8");
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    assert_eq!(reader.headers().expect("a header"), vec!["id", "score", "name", "time"]);
    let found: Vec<Vec<String>> =
        reader.records().map(|r| r.expect("a record").iter().map(str::to_string).collect()).collect();
    let expected = expected_csv(all);
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(&expected) {
        // ryu and the standard library write exponents differently: numbers are compared as numbers.
        assert_eq!(found[1].parse::<f64>().ok(), expected[1].parse::<f64>().ok());
        assert_eq!((&found[0], &found[2], &found[3]), (&expected[0], &expected[2], &expected[3]));
    }
}

fn check_parquet(out: &Path, all: &RecordBatch) {
    let mut reader = parquet::open(out.to_str().expect("UTF-8"), &ReadOptions::default()).expect("opens");
    let mut batches = Vec::new();
    while let Some(batch) = reader.next_batch().expect("reads") {
        batches.push(batch);
    }
    let found = arrow_select::concat::concat_batches(&batches[0].schema(), &batches).expect("one schema");
    assert_eq!(&found, all);
}

fn beside(out: &Path, ending: &str) -> PathBuf {
    PathBuf::from(format!("{}{ending}", out.display()))
}

fn append(path: &Path, bytes: &[u8]) {
    fs::OpenOptions::new().append(true).open(path).expect("opens").write_all(bytes).expect("writes");
}

/// A crash leaves the files like this.
fn damage(out: &Path, way: usize) {
    let partial = beside(out, ".partial");
    match way {
        1 if partial.is_dir() => fs::write(partial.join("part-000099.parquet"), b"garbage").expect("writes"),
        1 => append(&partial, b"999,0.5,half a li"),
        2 => append(&beside(out, ".journal"), b"{\"rows\":999,\"si"),
        3 => append(&beside(out, ".journal"), b"\0\0\0\0\n{\"rows\":999,\"size\":999999}\n"),
        // A disk that lost the last chunk although it said that it had it.
        4 if partial.is_dir() => {
            let last = fs::read_dir(&partial).expect("a folder").map(|e| e.expect("an entry").path()).max();
            last.iter().for_each(|path| fs::remove_file(path).expect("removes"));
        }
        4 => {
            let file = fs::OpenOptions::new().write(true).open(&partial).expect("opens");
            let len = file.metadata().expect("metadata").len();
            file.set_len(len.saturating_sub(5)).expect("truncates");
        }
        _ => {}
    }
}

/// Crashes after any batch, in every way, then again, then goes on. `chunk` rows are complete at a time.
fn check_crashes(name: &str, chunk: usize, check: fn(&Path, &RecordBatch)) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let out = folder.path().join(name);
    let all = rows(N_ROWS);
    for n_batches in [0, 1, 3, 4, 7, 8, 34] {
        for way in 0..5 {
            fs::write(&out, b"an older file").expect("writes");
            assert_eq!(run(&out, &all, 30, n_batches).expect("runs"), 0);
            damage(&out, way);
            assert_eq!(fs::read(&out).expect("reads"), b"an older file");
            let whole = (30 * n_batches).min(N_ROWS) / chunk * chunk;
            let done = run(&out, &all, 70, 2).expect("continues") as usize;
            assert!(done == whole || way == 4 && done + chunk == whole, "{done} rows where {whole} are whole");
            run(&out, &all, 64, usize::MAX).expect("finishes");
            check(&out, &all);
            let left = fs::read_dir(folder.path()).expect("a folder").map(|e| e.expect("an entry").path());
            assert_eq!(left.collect::<Vec<_>>(), [out.as_path()], "leftovers");
        }
    }
}

#[test]
fn csv_survives_a_crash_anywhere() {
    // Batches of 30 are made durable once they are 100 rows or more.
    check_crashes("scores.csv", 120, check_csv);
}

#[test]
fn parquet_survives_a_crash_anywhere() {
    // Parts are cut at 100 rows, whatever the batches.
    check_crashes("scores.parquet", 100, check_parquet);
}

#[test]
fn a_crash_during_the_last_step_is_continued() {
    for (name, check) in [("x.csv", check_csv as fn(&Path, &RecordBatch)), ("x.parquet", check_parquet)] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let out = folder.path().join(name);
        let all = rows(N_ROWS);
        run(&out, &all, 100, 10).expect("writes");
        let mut journal = fs::read(beside(&out, ".journal")).expect("a journal");
        run(&out, &all, 100, usize::MAX).expect("finishes");
        // The output has its name, the journal is still there.
        let size = fs::metadata(&out).expect("metadata").len();
        let parts = if name == "x.csv" { size } else { 10 };
        journal.extend(format!("{{\"rows\":{N_ROWS},\"size\":{parts},\"finished\":{size}}}\n").bytes());
        fs::write(beside(&out, ".journal"), &journal).expect("writes");
        assert_eq!(run(&out, &all, 100, usize::MAX).expect("finishes"), N_ROWS as u64);
        check(&out, &all);
        assert!(!beside(&out, ".journal").exists());
        // The output has been replaced by something else: then nothing is done.
        fs::write(beside(&out, ".journal"), &journal).expect("writes");
        fs::write(&out, b"something else").expect("writes");
        assert_eq!(run(&out, &all, 100, usize::MAX).expect("finishes"), 0);
        check(&out, &all);
    }
}

#[test]
fn a_table_without_rows_has_its_columns() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let csv = folder.path().join("x.csv");
    run(&csv, &rows(0), 10, usize::MAX).expect("writes");
    assert_eq!(fs::read(&csv).expect("reads"), b"\xef\xbb\xbfid,score,name,time\n");
    let parquet = folder.path().join("x.parquet");
    run(&parquet, &rows(0), 10, usize::MAX).expect("writes");
    check_parquet(&parquet, &rows(0));
}

#[test]
fn encodings_are_those_asked_for() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let out = folder.path().join("x.csv");
    let names: ArrayRef = Arc::new(StringArray::from(vec![Some("가"), None]));
    let batch = RecordBatch::try_from_iter([("이름", names)]).expect("valid");
    for (encoding, expected) in [
        (Encoding::Utf8Bom, "\u{feff}이름\n가\n\"\"\n".as_bytes()),
        (Encoding::Utf8, "이름\n가\n\"\"\n".as_bytes()),
        // Python: "이름\n가\n".encode("cp949")
        (Encoding::Cp949, b"\xc0\xcc\xb8\xa7\n\xb0\xa1\n\"\"\n"),
    ] {
        let options = SinkOptions { encoding, ..options() };
        let mut sink = open(out.to_str().expect("UTF-8"), &batch.schema(), &options).expect("opens");
        sink.write(&batch).expect("writes");
        sink.finish().expect("finishes");
        assert_eq!(fs::read(&out).expect("reads"), expected);
        assert_eq!(Encoding::parse(encoding.name()), Some(encoding));
    }
}

fn check_error(result: Result<impl Sized>, expected: &str) {
    let error = result.err().expect("must fail").to_string();
    assert!(error.contains(expected), "«{error}» does not hold «{expected}»");
}

#[test]
fn another_run_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let out = folder.path().join("x.csv");
    run(&out, &rows(N_ROWS), 100, 3).expect("writes");
    let other = SinkOptions { fingerprint: "run 2".into(), ..options() };
    check_error(
        start(&out, &other),
        "x.csv.journal: an unfinished run of another input or bundle; finish that run with its",
    );
    let cp949 = SinkOptions { encoding: Encoding::Cp949, ..options() };
    check_error(start(&out, &cp949), "an unfinished run wrote utf-8-bom(id Int64, score Float64");
    let schema: SchemaRef = Arc::new(rows(0).schema().project(&[0]).expect("one column"));
    check_error(open(out.to_str().expect("UTF-8"), &schema, &options()), "this one writes utf-8-bom(id Int64)");
    // Nothing was touched: the run goes on.
    assert_eq!(start(&out, &options()).expect("opens").rows_done(), 300);
    fs::write(beside(&out, ".journal"), b"my notes\n").expect("writes");
    check_error(start(&out, &options()), "x.csv.journal: not a journal of statera; finish");
    fs::write(beside(&out, ".journal"), b"{\"statera_journal\":2,\"x\":1}\n").expect("writes");
    check_error(start(&out, &options()), "x.csv.journal: written by a newer version; finish");
}

#[test]
fn a_run_may_start_over() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let out = folder.path().join("x.csv");
    run(&out, &rows(N_ROWS), 100, 3).expect("writes");
    let anew = SinkOptions { resume: false, fingerprint: "run 2".into(), ..options() };
    let mut sink = start(&out, &anew).expect("opens");
    assert_eq!(sink.rows_done(), 0);
    sink.write(&rows(5)).expect("writes");
    check_error(start(&out, &anew), "x.csv: another process is writing it");
    sink.finish().expect("finishes");
    check_csv(&out, &rows(5));
}

#[test]
fn a_finished_file_is_replaced_only_where_asked() {
    for name in ["x.csv", "x.parquet"] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let out = folder.path().join(name);
        fs::write(&out, b"last month's").expect("writes");
        let refused = format!("{name} exists; name another file, or replace it with --force");
        let unasked = SinkOptions { replace: false, ..options() };
        let anew = SinkOptions { resume: false, ..unasked.clone() };
        check_error(start(&out, &unasked), &refused);
        check_error(start(&out, &anew), &refused);
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1, "nothing is left beside it");
        let mut sink = start(&out, &options()).expect("opens");
        sink.write(&rows(200)).expect("writes");
        drop(sink);
        // The run that is continued was allowed to replace it; a new one is not.
        assert_eq!(fs::read(&out).expect("reads"), b"last month's");
        check_error(start(&out, &anew), &refused);
        assert_eq!(start(&out, &unasked).expect("continues").rows_done(), 200);
        run(&out, &rows(N_ROWS), 100, usize::MAX).expect("finishes");
        if name.ends_with("csv") { check_csv(&out, &rows(N_ROWS)) } else { check_parquet(&out, &rows(N_ROWS)) }
    }
}

#[test]
fn wrong_addresses_are_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    check_error(
        start(Path::new("scores.xlsx"), &options()),
        "cannot write to «scores.xlsx»; allowed are scores.csv, scores.parquet",
    );
    check_error(
        start(Path::new("no/such/x.csv"), &options()),
        "no/such/x.csv cannot be written: No such file or directory",
    );
    let inside = folder.path().join("a.csv");
    fs::create_dir(&inside).expect("creates");
    check_error(start(&inside, &options()), "a.csv: a folder; allowed is the name of a file");
    let flags: ArrayRef = Arc::new(arrow_array::BooleanArray::from(vec![true]));
    let schema = RecordBatch::try_from_iter([("flag", flags)]).expect("valid").schema();
    check_error(open("x.csv", &schema, &options()), "column «flag» is of type Boolean; allowed are Int64");
    let out = folder.path().join("x.csv");
    let mut sink = start(&out, &options()).expect("opens");
    let fewer = rows(3).project(&[1, 0]).expect("columns");
    check_error(sink.write(&fewer), "rows of the columns (score Float64, id Int64) where (id Int64, score Float64");
    check_error(sink.write(&rows(3)), "x.csv.partial: an earlier write failed; run the same command again");
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_keeps_what_is_complete() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let out = folder.path().join("x.csv");
    // The file system is full from the first byte.
    std::os::unix::fs::symlink("/dev/full", beside(&out, ".partial")).expect("links");
    check_error(start(&out, &options()), "No space left on device");
    check_error(start(&out, &options()), "free some space and run the same command again to continue");
    assert!(!out.exists());
    fs::remove_file(beside(&out, ".partial")).expect("removes");
    run(&out, &rows(N_ROWS), 100, usize::MAX).expect("finishes");
    check_csv(&out, &rows(N_ROWS));
}
