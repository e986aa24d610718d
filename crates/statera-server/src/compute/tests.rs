use super::*;
use crate::testing::{APPROVED, DECLINED, Server};
use std::sync::mpsc::{Receiver, channel};

fn columns(inputs: &[(&str, &str)]) -> Columns {
    let input = |(name, data_type): &(&str, &str)| {
        let kind = if *data_type == "text" {
            "category"
        } else if *data_type == "time" {
            "time"
        } else {
            "number"
        };
        serde_json::json!({"name": name, "kind": kind, "data_type": data_type, "text": null})
    };
    let schema = serde_json::json!({
        "task": "binary", "target": "bad", "classes": ["0", "1"], "inputs": inputs.iter().map(input).collect::<Vec<_>>(),
        "id": "application", "time": null, "tz": "Asia/Seoul", "sentinels": {}, "units": {}, "sensitivity": {},
        "purposes": {}, "purpose": ""
    });
    Columns::new(&serde_json::from_value(schema).expect("a schema")).expect("columns")
}

/// The rows as text, a line each: cells in the order of the columns, «-» if missing.
fn read(columns: &Columns, rows: &[&str]) -> Result<Vec<String>> {
    let mut builder = RowsBuilder::new(columns, rows.len())?;
    for (i, row) in rows.iter().enumerate() {
        builder.push(row, i + 1)?;
    }
    let batch = builder.finish()?;
    let texts: Vec<Vec<Option<String>>> = batch.columns().iter().map(statera_data::texts_of).collect();
    let line = |row: usize| {
        let cells = texts.iter().map(|column| column[row].clone().unwrap_or("-".into()));
        cells.collect::<Vec<_>>().join(" ")
    };
    Ok((0..rows.len()).map(line).collect())
}

#[test]
fn where_no_table_says_how_it_was_written_cells_read_in_one_way_alone() {
    let inputs = [("at", "time"), ("sum", "float64")];
    let (lax, plain) = (columns(&inputs), columns(&inputs).plain());
    for cells in
        [r#""at":"2026-05-03T14:02:11Z","sum":1.5"#, r#""at":"2026-05-03","sum":"-2.50""#, r#""at":null,"sum":"NA""#]
    {
        let row = format!("{{{cells}}}");
        assert_eq!(read(&plain, &[&row]).expect(&row), read(&lax, &[&row]).expect(&row), "{row}");
    }
    let day = r#""at":"2026-05-03""#;
    for (cells, told) in [
        (
            r#""at":"03/05/2026","sum":1"#.to_string(),
            "column «at», row 1: «03/05/2026» is not a time in ISO 8601; allowed are such as 2026-05-03, ",
        ),
        (r#""at":"2026/05/03","sum":1"#.to_string(), "column «at», row 1: «2026/05/03» is not a time in ISO 8601; "),
        (r#""at":20260503,"sum":1"#.to_string(), "column «at», row 1: «20260503» is not a time in ISO 8601; "),
        (
            format!("{day},\"sum\":\"1,5\""),
            "column «sum», row 1: «1,5» is not a plain number; allowed are such as 1250, 1250.5 and -3",
        ),
        (format!("{day},\"sum\":\"5 %\""), "column «sum», row 1: «5 %» is not a plain number; "),
    ] {
        let error = read(&plain, &[&format!("{{{cells}}}")]).expect_err(&cells).to_string();
        assert!(error.starts_with(told), "{error}\nwanted {told}");
    }
}

#[test]
fn cells_mean_what_they_mean_in_json_lines() {
    let columns = columns(&[("f", "float64"), ("i", "int64"), ("t", "text")]);
    let cases = [
        (r#"{"f":1.5,"i":7,"t":"x y"}"#, "1.5 7 x y"),
        // In any order, with further columns.
        (r#"{"t":"a","z":{"deep":[1]},"i":-3,"f":-0.25,"application":"A1"}"#, "-0.25 -3 a"),
        // A number where text is wanted is its digits; numbers may be text.
        (r#"{"f":"2.50","i":"8","t":1.0}"#, "2.5 8 1.0"),
        (r#"{"f":1e2,"i":5.00,"t":true}"#, "100 5 true"),
        (r#"{"f":null,"i":"NA","t":null}"#, "- - -"),
        (r#"{"f":"","i":"?","t":"\u00e9\n\"q\""}"#, "- - é\n\"q\""),
        (r#"{"f":9007199254740992,"i":9223372036854775807,"t":"x"}"#, "9007199254740992 9223372036854775807 x"),
    ];
    for (row, cells) in cases {
        assert_eq!(read(&columns, &[row]).expect(row), [cells], "{row}");
    }
    let rows: Vec<&str> = cases.iter().map(|(row, _)| *row).collect();
    let cells: Vec<&str> = cases.iter().map(|(_, cells)| *cells).collect();
    assert_eq!(read(&columns, &rows).expect("together"), cells);
}

#[test]
fn cells_that_cannot_be_are_named() {
    let columns = columns(&[("f", "float64"), ("i", "int64")]);
    let check = |row: &str, message: &str| {
        let error = read(&columns, &[row]).expect_err(row).to_string();
        assert!(error.starts_with(message), "{row}: {error}");
    };
    check(r#"{"f":1}"#, "row 1: a column is missing that the model was trained on: «i» (number)");
    check(r#"{"f":1,"i":2,"f":1}"#, "row 1: the column «f» is given twice");
    check(r#"{"f":9007199254740993,"i":1}"#, "column «f», row 1: 9007199254740993 has more digits");
    check(r#"{"f":-123456789012345678901,"i":1}"#, "column «f», row 1: -123456789012345678901 has more digits");
    check(r#"{"f":1,"i":9223372036854775808}"#, "column «i», row 1: «9223372036854775808» is not a whole number of 64");
    check(r#"{"f":1,"i":{}}"#, "column «i», row 1: the value is nested");
    check(r#"{"f":"\ud800","i":1}"#, "column «f», row 1: ");
    check(r#"{"f":1,"i":2} 3"#, "row 1: trailing characters");
    check(r#"{"f":1,"i":"#, "row 1: EOF while parsing");
    check(&format!(r#"{{"f":"{}","i":1}}"#, "x".repeat(70_000)), "column «f», row 1: the text has 70000 bytes");
}

#[test]
fn a_raw_row_of_a_model_with_windows_is_told_where_it_belongs() {
    let columns = columns(&[("f", "float64"), ("card_count_1d", "int64")]).with_windows();
    let told = read(&columns, &[r#"{"f":1}"#]).expect_err("refused").to_string();
    assert_eq!(
        told,
        "row 1: a column is missing that the model was trained on: «card_count_1d» (number); give null for a value that is not \
         known, or send the raw row to /api/v1/transactions, which counts the columns of windows"
    );
}

#[test]
fn what_is_no_time_is_told_what_one_looks_like() {
    let columns = columns(&[("at", "time")]);
    let told = read(&columns, &[r#"{"at":"yesterday"}"#]).expect_err("refused").to_string();
    assert_eq!(
        told,
        "column «at», row 1: «yesterday» is not a date or time; the model was trained on times, such as 2026-05-03T14:02:11Z"
    );
}

#[test]
fn a_row_that_is_taken_back_leaves_nothing() {
    let columns = columns(&[("f", "float64"), ("t", "text"), ("i", "int64")]);
    let mut builder = RowsBuilder::new(&columns, 4).expect("columns");
    builder.push(r#"{"f":1,"t":"a","i":null}"#, 1).expect("a row");
    for wrong in [r#"{"f":null,"t":"bcd","i":"x"}"#, r#"{"t":null,"i":2,"new":1}"#] {
        builder.push(wrong, 1).expect_err("wrong");
        builder.truncate(1);
        builder.take_ignored();
    }
    builder.push(r#"{"f":2,"t":"e","i":3}"#, 1).expect("a row");
    assert!(builder.take_ignored().is_empty());
    let batch = builder.finish().expect("columns");
    let texts: Vec<Vec<Option<String>>> = batch.columns().iter().map(statera_data::texts_of).collect();
    let some = |texts: [&str; 2]| texts.map(|t| (t != "-").then(|| t.to_string())).to_vec();
    assert_eq!(texts, [some(["1", "2"]), some(["a", "e"]), some(["-", "3"])]);
}

fn job(server: &Server, rows: &[&str], lane: Lane) -> (Job, Receiver<Result<Answers>>) {
    let model = server.app.models.route("credit", "k").expect("a champion").model;
    let mut body = Vec::new();
    let mut places = Vec::new();
    for row in rows {
        places.push(body.len()..body.len() + row.len());
        body.extend_from_slice(row.as_bytes());
    }
    let (tell, told) = channel();
    let done = Box::new(move |answers| drop(tell.send(answers)));
    let rows = Rows::Json { body: body.into(), rows: places };
    (Job { model, rows, wanted: Wanted::Decisions(Explain::Adverse), lane, deadline: None, done }, told)
}

#[test]
fn what_is_handed_over_waits_until_it_is_said_to_be_all() {
    let server = Server::new(Default::default());
    let compute = Compute::start(&ComputeSettings { threads: 1, ..ComputeSettings::default() }).expect("a thread");
    let told = |told: Receiver<Result<Answers>>| told.recv_timeout(Duration::from_secs(60)).expect("is called");
    let (first, answer) = job(&server, &[APPROVED], Lane::Plain);
    compute.submit(first).expect("room");
    told(answer).expect("scored");
    // Whether the thread sleeps by then is up to the machine; one that is not asleep yet takes what it finds. Once is enough to
    // see that nobody wakes it.
    let was_left_waiting = (0..20).any(|_| {
        std::thread::sleep(Duration::from_millis(200));
        let (one, answer) = job(&server, &[APPROVED], Lane::Plain);
        let (other, other_answer) = job(&server, &[DECLINED], Lane::Plain);
        let wakes = [compute.enqueue(one).expect("room"), compute.enqueue(other).expect("room")];
        let early = answer.recv_timeout(Duration::from_millis(50)).ok();
        let n_waiting = compute.n_waiting();
        drop(wakes);
        let is_left = early.is_none() && n_waiting == 2;
        early.unwrap_or_else(|| told(answer)).expect("scored");
        told(other_answer).expect("scored");
        is_left
    });
    assert!(was_left_waiting, "nobody was to be woken yet");
}

/// Lanes of a pool without threads, so that what waits is put together as a test says.
fn lanes(settings: &ComputeSettings) -> Lanes {
    Lanes::new(settings)
}

#[test]
fn one_wrong_row_fails_alone() {
    let server = Server::new(Default::default());
    let lanes = lanes(&ComputeSettings::default());
    let wrong = DECLINED.replace("0.9", "\"much\"");
    // Readable, but no number that can be scored: only scoring finds it.
    let infinite = DECLINED.replace("0.9", "\"inf\"");
    let mut told = Vec::new();
    for row in [APPROVED, &wrong, DECLINED, &infinite, APPROVED] {
        let (job, answer) = job(&server, &[row], Lane::Plain);
        lanes.push(job).expect("room");
        told.push(answer);
    }
    lanes.close();
    let turn = lanes.take().expect("something waits");
    assert!(matches!(&turn, lanes::Turn::Small(together) if together.len() == 5));
    score::serve(&lanes, turn);
    let told: Vec<Result<Answers>> = told.into_iter().map(|t| t.recv().expect("told")).collect();
    let alone = |row: &str| {
        let (job, _) = job(&server, &[row], Lane::Plain);
        score_alone(&job.model, &job.rows, job.wanted).expect("scored")
    };
    for (at, row) in [(0, APPROVED), (2, DECLINED), (4, APPROVED)] {
        let (got, want) = (told[at].as_ref().expect("answered"), alone(row));
        assert_eq!(got.margins[0].to_bits(), want.margins[0].to_bits());
        assert_eq!((&got.decided, &got.contributions), (&want.decided, &want.contributions));
    }
    for at in [1, 3] {
        let error = told[at].as_ref().expect_err("wrong").to_string();
        assert!(error.starts_with("column «debt_ratio», row 1: "), "{error}");
    }
}

#[test]
fn urgent_requests_go_first_and_full_lanes_refuse() {
    let server = Server::new(Default::default());
    let settings = ComputeSettings { queue: 2, shadow_queue: 1, batch_rows: 1, ..ComputeSettings::default() };
    let lanes = lanes(&settings);
    let push = |lane| {
        let (job, _) = job(&server, &[APPROVED], lane);
        lanes.push(job)
    };
    push(Lane::Shadow).expect("room");
    assert_eq!(push(Lane::Shadow).expect_err("full").kind(), statera_core::ErrorKind::Busy);
    push(Lane::Plain).expect("room");
    push(Lane::Plain).expect("room");
    let full = push(Lane::Plain).expect_err("full").to_string();
    assert_eq!(full, "2 requests wait to be scored; allowed: at most 2");
    push(Lane::Urgent).expect("a lane of its own");
    let order: Vec<Lane> = (0..4)
        .map(|_| match lanes.take() {
            Some(lanes::Turn::Small(all)) => all[0].job.lane,
            _ => panic!("small ones"),
        })
        .collect();
    assert_eq!(order, [Lane::Urgent, Lane::Plain, Lane::Plain, Lane::Shadow]);
}

#[test]
fn a_large_request_is_scored_in_slices_between_small_ones() {
    let server = Server::new(Default::default());
    let lanes = lanes(&ComputeSettings { batch_rows: 1, ..ComputeSettings::default() });
    let rows: Vec<&str> = (0..600).map(|i| if i % 7 == 0 { DECLINED } else { APPROVED }).collect();
    let (large, told) = job(&server, &rows, Lane::Plain);
    let of = large.model.clone();
    let whole = score_alone(&of, &large.rows, large.wanted).expect("scored");
    lanes.push(large).expect("room");
    let mut small = Vec::new();
    for _ in 0..20 {
        let (job, answer) = job(&server, &[APPROVED], Lane::Plain);
        lanes.push(job).expect("room");
        small.push(answer);
    }
    lanes.close();
    let mut turns = String::new();
    while let Some(turn) = lanes.take() {
        turns.push(if matches!(turn, lanes::Turn::Slice(_)) { 'L' } else { 's' });
        score::serve(&lanes, turn);
    }
    assert_eq!(turns, "ssssssssLssssssssLssssL");
    let answers = told.recv().expect("told").expect("scored");
    assert_eq!((answers.margins, answers.decided), (whole.margins, whole.decided));
    assert_eq!(answers.contributions, whole.contributions);
    assert!(small.iter().all(|told| told.recv().is_ok_and(|answers| answers.is_ok())));
}

#[test]
fn what_is_too_late_is_not_scored() {
    let server = Server::new(Default::default());
    let (mut late, told) = job(&server, &[APPROVED], Lane::Plain);
    late.deadline = Some(Instant::now());
    server.app.compute.submit(late).expect("room");
    let error = told.recv().expect("told").expect_err("late");
    assert_eq!(error.kind(), statera_core::ErrorKind::Busy);
    let (none, _) = job(&server, &[], Lane::Plain);
    assert_eq!(server.app.compute.submit(none).expect_err("nothing").to_string(), "0 rows; allowed: 1 to 10000");
}

#[test]
fn settings_outside_their_ranges_are_refused() {
    let settings = ComputeSettings { queue: 0, ..ComputeSettings::default() };
    let error = Compute::start(&settings).err().expect("refused").to_string();
    assert_eq!(error, "compute.queue is 0; allowed is 1 to 100000");
}
