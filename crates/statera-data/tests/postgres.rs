//! PostgreSQL as source and sink, against a real server that the test starts from the installed binaries.

use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{
    Array, ArrayRef, Decimal128Array, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow_schema::DataType;
use statera_core::Result;
use statera_data::sink::{Sink, SinkOptions};
use statera_data::source::{ReadOptions, postgres};
use std::sync::Arc;
use std::time::{Duration, Instant};

mod server;

use server::Server;

fn read_with(address: &str, options: &ReadOptions) -> Result<RecordBatch> {
    let mut reader = postgres::open(address, options)?;
    let mut batches = Vec::new();
    while let Some(batch) = reader.next_batch()? {
        batches.push(batch);
    }
    Ok(arrow_select::concat::concat_batches(&batches[0].schema(), &batches).expect("one schema"))
}

fn read(address: &str) -> Result<RecordBatch> {
    read_with(address, &ReadOptions::default())
}

fn check_error<T>(result: Result<T>, expected: &[&str]) {
    let error = result.err().expect("must fail").to_string();
    for part in expected {
        assert!(error.contains(part), "«{error}» does not hold «{part}»");
    }
    assert!(!error.contains("cret"), "a password in «{error}»");
}

#[test]
fn source_and_sink_against_a_real_server() {
    let Some(server) = Server::start() else { return };
    reads_every_type(&server);
    reads_many_rows_in_batches(&server);
    finds_the_scale_of_numerics(&server);
    reads_times_in_the_zone(&server);
    reports_what_it_cannot_read(&server);
    writes_every_type(&server);
    writes_each_row_once(&server);
    refuses_other_runs_and_tables(&server);
}

fn reads_every_type(server: &Server) {
    server.sql(
        "CREATE TYPE grade AS ENUM ('good', 'bad'); CREATE DOMAIN rate AS float8;
         CREATE TABLE every (a int2, b int4, c int8, d float4, e float8, f numeric(12,3), g text, h varchar(9), i char(5),
           j uuid, k json, l jsonb, m bool, n date, o timestamp, p timestamptz, q grade, r rate);
         INSERT INTO every VALUES (-2, 70000, 9007199254740993, 0.1, 0.1, 12345.678, '가', 'v', 'ab',
           'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '{\"x\": 1}', '{\"x\": 1}', true, '1999-12-31', '2024-02-29 12:00:00.000001',
           '2024-02-29 12:00:00+09', 'bad', 2.5);
         INSERT INTO every (m) VALUES (NULL);
         INSERT INTO every (d, e, f, m, i) VALUES ('NaN', 'infinity', -0.5, false, '');",
    );
    let rows = read(&server.table("public.every")).expect("reads");
    assert_eq!(rows.num_rows(), 3);
    let int = |at: usize| rows.column(at).as_primitive::<Int64Type>().iter().collect::<Vec<_>>();
    assert_eq!(int(0), [Some(-2), None, None]);
    assert_eq!(int(1), [Some(70_000), None, None]);
    assert_eq!(int(2), [Some(9_007_199_254_740_993), None, None]);
    let float = |at: usize| rows.column(at).as_primitive::<Float64Type>().iter().collect::<Vec<_>>();
    assert_eq!(float(3), [Some(f64::from(0.1f32)), None, None]);
    assert_eq!(float(4), [Some(0.1), None, Some(f64::INFINITY)]);
    assert_eq!(float(17), [Some(2.5), None, None]);
    assert_eq!(rows.column(5).data_type(), &DataType::Decimal128(38, 3));
    let decimals: Vec<_> = rows.column(5).as_primitive::<Decimal128Type>().iter().collect();
    assert_eq!(decimals, [Some(12_345_678), None, Some(-500)]);
    let text = |at: usize| rows.column(at).as_string::<i32>().iter().collect::<Vec<_>>();
    assert_eq!(text(6), [Some("가"), None, None]);
    assert_eq!(text(7), [Some("v"), None, None]);
    assert_eq!(text(8), [Some("ab"), None, Some("")]);
    assert_eq!(text(9), [Some("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"), None, None]);
    assert_eq!(text(10), [Some("{\"x\": 1}"), None, None]);
    assert_eq!(text(11), [Some("{\"x\": 1}"), None, None]);
    assert_eq!(text(12), [Some("true"), None, Some("false")]);
    assert_eq!(text(16), [Some("bad"), None, None]);
    let time = |at: usize| rows.column(at).as_primitive::<TimestampMicrosecondType>().iter().collect::<Vec<_>>();
    // Python: datetime(…, tzinfo=utc).timestamp()
    assert_eq!(time(13), [Some(946_598_400_000_000), None, None]);
    assert_eq!(time(14), [Some(1_709_208_000_000_001), None, None]);
    assert_eq!(time(15), [Some(1_709_175_600_000_000), None, None]);
}

fn reads_many_rows_in_batches(server: &Server) {
    let address = server.source("SELECT g AS id, 'x' || g AS name FROM generate_series(1, 40000) g ORDER BY g");
    let mut reader = postgres::open(&address, &ReadOptions::default()).expect("opens");
    let (mut next, mut n_batches) = (1, 0);
    while let Some(batch) = reader.next_batch().expect("reads") {
        for (id, name) in
            batch.column(0).as_primitive::<Int64Type>().values().iter().zip(batch.column(1).as_string::<i32>())
        {
            assert_eq!((*id, name), (next, Some(format!("x{next}").as_str())));
            next += 1;
        }
        n_batches += 1;
    }
    assert_eq!((next, n_batches), (40_001, 3));
    assert!(reader.next_batch().expect("stays at the end").is_none());
    // A reader may leave at any time.
    let mut reader =
        postgres::open(&server.source("SELECT g FROM generate_series(1, 100000000) g"), &ReadOptions::default())
            .expect("opens");
    assert!(reader.next_batch().expect("reads").is_some());
    drop(reader);
    let none = read(&server.source("SELECT 1 AS a, 'x' AS b WHERE false")).expect("reads");
    assert_eq!((none.num_rows(), none.num_columns()), (0, 2));
}

fn finds_the_scale_of_numerics(server: &Server) {
    server.sql(
        "CREATE TABLE amounts (at int, declared numeric(9,4), bare numeric);
         INSERT INTO amounts SELECT g, NULL, CASE WHEN g <= 20000 THEN 1.5 ELSE 1.25 END FROM generate_series(1, 30000) g;
         INSERT INTO amounts VALUES (30001, 7.0001, NULL);",
    );
    // The scale is declared, although the first batch holds nothing.
    let rows = read(&server.source("SELECT declared FROM amounts ORDER BY at")).expect("reads");
    assert_eq!(rows.column(0).data_type(), &DataType::Decimal128(38, 4));
    assert_eq!(rows.column(0).as_primitive::<Decimal128Type>().value(30_000), 70_001);
    check_error(
        read(&server.source("SELECT bare FROM amounts ORDER BY at")),
        &[
            "column «bare», row 20001: the numeric has 2 decimals where the rows before have at most 1",
            "cast it in the query to numeric(38, decimals)",
        ],
    );
    let rows = read(&server.source("SELECT bare FROM amounts ORDER BY at DESC")).expect("reads");
    assert_eq!(rows.column(0).data_type(), &DataType::Decimal128(38, 2));
}

fn reads_times_in_the_zone(server: &Server) {
    let options = ReadOptions { tz: Some("Asia/Seoul".into()), ..Default::default() };
    let address = server.source(
        "SELECT timestamp '1970-01-01 09:00' AS a, date '1970-01-02' AS b, timestamptz '1970-01-01 00:00Z' AS c",
    );
    let rows = read_with(&address, &options).expect("reads");
    let first = |at: usize| rows.column(at).as_primitive::<TimestampMicrosecondType>().value(0);
    assert_eq!([first(0), first(1), first(2)], [0, 15 * 3_600_000_000, 0]);
}

fn reports_what_it_cannot_read(server: &Server) {
    let label = format!("PostgreSQL database «postgres» at host 127.0.0.1, port {}, as user «bank»", server.port);
    for (sql, expected) in [
        (
            "SELECT 1 AS ok, interval '1 day' AS term",
            "column «term» is of type interval, which is not read; allowed are integers",
        ),
        ("SELECT ARRAY[1] AS list", "column «list» is of type int4[], which is not read"),
        ("SELECT * FROM no_such", "relation \"no_such\" does not exist"),
        ("SELECT 'NaN'::numeric AS x", "column «x», row 1: the numeric is NaN; allowed are numbers and null"),
        ("SELECT 'infinity'::date AS x", "column «x», row 1: the time is infinity; allowed are dates and null"),
        ("SELECT 1e40::numeric AS x", "column «x», row 1: the numeric has more than 38 digits; cast it"),
        ("SELECT 1 / (g - 3) AS x FROM generate_series(1, 5) g", "division by zero"),
        ("DELETE FROM every RETURNING a", "cannot execute DELETE in a read-only transaction"),
        ("SELECT 1 AS a, 2 AS a", "the query has two columns «a»; name one otherwise"),
        ("SET search_path = public", "the query returns no columns; allowed is a SELECT"),
    ] {
        check_error(read(&server.source(sql)), &[&label, expected]);
    }
    check_error(read(&server.base()), &["say what to read by one of ?query=SELECT… or ?table=schema.name"]);
    let wrong = server.table("every").replace("se%25cret", "wrongsecret");
    check_error(
        read(&wrong),
        &["cannot connect to", "password authentication failed for user \"bank\"; check user, password"],
    );
    let wrong = server.table("every").replace("/postgres?", "/nowhere?");
    check_error(read(&wrong), &["database \"nowhere\" does not exist; check"]);
}

fn sample(n_rows: usize) -> RecordBatch {
    let ids = Int64Array::from_iter_values(0..n_rows as i64);
    let scores = Float64Array::from_iter((0..n_rows).map(|i| (i % 7 != 0).then_some(1.0 / (i + 1) as f64)));
    let amounts = Decimal128Array::from_iter((0..n_rows).map(|i| (i % 3 != 0).then_some(i as i128 * 101 - 5000)))
        .with_precision_and_scale(14, 2)
        .expect("valid");
    let text = |i: usize| match i % 5 {
        0 => None,
        1 => Some(String::new()),
        2 => Some("\\.".to_string()),
        _ => Some(format!("이름, \"{i}\"\n")),
    };
    let names = StringArray::from_iter((0..n_rows).map(text));
    let times =
        TimestampMicrosecondArray::from_iter((0..n_rows).map(|i| (i % 4 != 0).then_some(i as i64 * 86_400_000_001)));
    let columns: [(&str, ArrayRef); 5] = [
        ("id", Arc::new(ids)),
        ("score", Arc::new(scores)),
        ("amount", Arc::new(amounts)),
        ("na\"me", Arc::new(names)),
        ("time", Arc::new(times.with_timezone("UTC"))),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, array)| (name, array, true))).expect("valid")
}

fn options(fingerprint: &str) -> SinkOptions {
    SinkOptions { fingerprint: fingerprint.into(), chunk_rows: 100, ..Default::default() }
}

fn open(address: &str, fingerprint: &str) -> Result<Box<dyn Sink>> {
    statera_data::sink::open(address, &sample(0).schema(), &options(fingerprint))
}

/// Writes the rows that are not there yet in batches of 30, at most `n_batches`; finishes if that was all.
fn write(address: &str, all: &RecordBatch, n_batches: usize) -> u64 {
    let mut sink = open(address, "run 1").expect("opens");
    let done = sink.rows_done();
    let mut at = done as usize;
    for _ in 0..n_batches {
        let n = 30.min(all.num_rows() - at);
        sink.write(&all.slice(at, n)).expect("writes");
        at += n;
    }
    if n_batches == usize::MAX || at == all.num_rows() {
        sink.finish().expect("finishes");
    }
    done
}

/// Reads a table back; precision is the reader's 38 digits.
fn check_table(server: &Server, name: &str, all: &RecordBatch) {
    let found = read(&server.source(&format!("SELECT * FROM {name} ORDER BY id"))).expect("reads");
    assert_eq!(found.num_rows(), all.num_rows());
    for (found, expected) in found.columns().iter().zip(all.columns()) {
        match expected.data_type() {
            DataType::Decimal128(..) => {
                let cells = |a: &ArrayRef| a.as_primitive::<Decimal128Type>().iter().collect::<Vec<_>>();
                assert_eq!(cells(found), cells(expected));
            }
            _ => assert_eq!(found, expected),
        }
    }
}

fn writes_every_type(server: &Server) {
    server.sql("CREATE SCHEMA risk");
    let all = sample(50);
    let mut sink = open(&server.table("risk.scores"), "a").expect("opens");
    sink.write(&all).expect("writes");
    sink.finish().expect("finishes");
    check_table(server, "risk.scores", &all);
    // Nothing to write makes a table all the same.
    open(&server.table("risk.empty"), "a").expect("opens").finish().expect("finishes");
    check_table(server, "risk.empty", &sample(0));
}

fn writes_each_row_once(server: &Server) {
    let all = sample(500);
    for n_batches in [0, 1, 4, 9, 16] {
        let name = format!("once_{n_batches}");
        let address = server.table(&name);
        // Dropped without an end: a crash. Batches of 30 make chunks of 120.
        assert_eq!(write(&address, &all, n_batches), 0);
        let done = 30 * n_batches as u64 / 120 * 120;
        let again = write_when_free(&address, &all, 2);
        assert_eq!(again, done);
        finish_when_free(&address, &all);
        check_table(server, &name, &all);
        // The same command again adds nothing.
        let sink = open_when_free(&address);
        assert_eq!(sink.rows_done(), 500);
        sink.finish().expect("finishes");
        check_table(server, &name, &all);
    }
}

/// The server notices the end of a session a moment after it.
#[track_caller]
fn when_free(open: impl Fn() -> Result<Box<dyn Sink>>) -> Result<Box<dyn Sink>> {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        match open() {
            Err(e) if e.to_string().contains("another process is writing table «") => {
                assert!(Instant::now() < end, "the lock is never given back");
            }
            other => return other,
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn open_when_free(address: &str) -> Box<dyn Sink> {
    when_free(|| open(address, "run 1")).expect("opens")
}

fn write_when_free(address: &str, all: &RecordBatch, n_batches: usize) -> u64 {
    let mut sink = open_when_free(address);
    let done = sink.rows_done();
    let mut at = done as usize;
    for _ in 0..n_batches {
        let n = 30.min(all.num_rows() - at);
        if n > 0 {
            sink.write(&all.slice(at, n)).expect("writes");
            at += n;
        }
    }
    done
}

fn finish_when_free(address: &str, all: &RecordBatch) {
    let mut sink = open_when_free(address);
    let mut at = sink.rows_done() as usize;
    while at < all.num_rows() {
        let n = 64.min(all.num_rows() - at);
        sink.write(&all.slice(at, n)).expect("writes");
        at += n;
    }
    sink.finish().expect("finishes");
}

fn refuses_other_runs_and_tables(server: &Server) {
    let address = server.table("others");
    let mut sink = open(&address, "run 1").expect("opens");
    sink.write(&sample(100)).expect("writes");
    check_error(open(&address, "run 1"), &["another process is writing table «others»"]);
    drop(sink);
    drop(open_when_free(&address));
    let refused = when_free(|| open(&address, "run 2"));
    check_error(
        refused,
        &["table «public.others» holds 100 rows of an unfinished run of another input or bundle; finish that run"],
    );
    finish_when_free(&address, &sample(100));
    drop(open_when_free(&address));
    adds_only_where_asked(server, &address);
    server.sql("CREATE TABLE narrow (id bigint)");
    check_error(
        open(&server.table("narrow"), "run 1"),
        &[
            "table «public.narrow» lacks «score» (double precision), «amount» (numeric(14, 2)), «na\"me» (text), «time» (timestamptz); add them",
        ],
    );
    server.sql("CREATE TABLE strict (LIKE others); ALTER TABLE strict ADD CHECK (id < 50)");
    let mut sink = open(&server.table("strict"), "run 1").expect("opens");
    check_error(sink.write(&sample(100)), &["new row for relation \"strict\" violates check constraint"]);
    check_error(sink.write(&sample(1)), &["an earlier write failed"]);
    check_error(open(&server.base(), "run 1"), &["say where to write by ?table=name or ?table=schema.name"]);
}

/// `address` holds 100 rows of the finished «run 1».
fn adds_only_where_asked(server: &Server, address: &str) {
    let open_with =
        |options: SinkOptions| when_free(|| statera_data::sink::open(address, &sample(0).schema(), &options));
    let refused =
        ["table «public.others» holds rows already; empty it, name another table, or add to it with --append"];
    check_error(open_with(options("run 2")), &refused);
    check_error(open_with(SinkOptions { resume: false, ..options("run 1") }), &refused);
    let mut sink = open_with(SinkOptions { append: true, ..options("run 2") }).expect("opens");
    assert_eq!(sink.rows_done(), 0);
    sink.write(&sample(30)).expect("writes");
    sink.finish().expect("finishes");
    assert!(server.sql("SELECT count(*) FROM others").contains("130"));
    // An emptied table is begun anew, whatever had been written to it.
    server.sql("DELETE FROM others");
    finish_when_free(address, &sample(100));
    check_table(server, "others", &sample(100));
}
