use super::*;
use arrow_array::{
    ArrayRef, Decimal128Array, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow_schema::{DataType, TimeUnit};
use statera_data::conform::{InputColumn, RowOrigin};
use statera_data::time::Zone;
use std::collections::HashMap;

fn no_file(name: &str) -> Result<Vec<u8>> {
    Err(Error::io(format!("{name}: not found")))
}

/// A file of rules that act, each (code, action, precedence, when).
fn file(rules: &[(&str, &str, u16, &str)]) -> String {
    let mut text = String::from("version = \"1\"\n");
    for (code, action, precedence, when) in rules {
        text += &format!(
            "[[rule]]\ncode = \"{code}\"\nen = \"n\"\nko = \"이\"\nzh = \"名\"\naction = \"{action}\"\nprecedence = {precedence}\nwhen = '''{when}'''\n"
        );
    }
    text
}

fn columns() -> Vec<InputColumn> {
    let of = |name: &str, kind, data_type: DataType| InputColumn { name: name.into(), kind, data_type, text: None };
    vec![
        of("amount", Kind::Number, DataType::Decimal128(12, 2)),
        of("limit", Kind::Number, DataType::Float64),
        of("n_1d", Kind::Number, DataType::Int64),
        of("country", Kind::Category, DataType::Utf8),
        of("home", Kind::Category, DataType::Utf8),
        of("at", Kind::Time, DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))),
        of("device", Kind::Identifier, DataType::Int64),
    ]
}

fn instants(cells: &[Option<&str>]) -> ArrayRef {
    let micros = |text: &&str| crate::project::instant(text, &jiff::tz::TimeZone::UTC).unwrap();
    let cells: Vec<Option<i64>> = cells.iter().map(|c| c.as_ref().map(micros)).collect();
    Arc::new(TimestampMicrosecondArray::from(cells).with_timezone("UTC"))
}

/// Four rows; the last one has nothing but a time. The times are Thursday 23:30, Friday 05:59, Saturday 06:00, Sunday 12:00.
fn batch() -> RecordBatch {
    let amount = Decimal128Array::from(vec![Some(22_000), Some(22_001), Some(10), None]);
    let arrays: Vec<(&str, ArrayRef)> = vec![
        ("amount", Arc::new(amount.with_precision_and_scale(12, 2).unwrap())),
        ("limit", Arc::new(Float64Array::from(vec![Some(220.0), Some(500.0), None, None]))),
        ("n_1d", Arc::new(Int64Array::from(vec![Some(1), Some(5), Some(9), None]))),
        ("country", Arc::new(StringArray::from(vec![Some("KR"), Some("US"), Some("KR"), None]))),
        ("home", Arc::new(StringArray::from(vec![Some("KR"), Some("KR"), None, None]))),
        (
            "at",
            instants(&[
                Some("2026-11-05T23:30"),
                Some("2026-11-06T05:59"),
                Some("2026-11-07T06:00"),
                Some("2026-11-08T12:00"),
            ]),
        ),
        ("device", Arc::new(Int64Array::from(vec![Some(7), Some(8), Some(-9), None]))),
    ];
    RecordBatch::try_from_iter_with_nullable(arrays.into_iter().map(|(n, a)| (n, a, true))).unwrap()
}

const SCORES: [f64; 4] = [0.1, 0.5, 0.9, f64::NAN];

fn compiled(text: &str) -> Result<(RuleSet, Compiled)> {
    let set = RuleSet::parse(text, no_file)?;
    let compiled = set.compile(&columns(), false, "UTC")?;
    Ok((set, compiled))
}

fn verdicts(compiled: &Compiled, batch: &RecordBatch, scores: &[f64]) -> Vec<Verdict> {
    let zone = Zone::utc();
    let inputs = compiled.inputs(batch, RowOrigin { zone: &zone, is_text: false, first_row: 0 }).unwrap();
    compiled.verdicts(&inputs, Some(scores)).unwrap()
}

/// The rows of [`batch`] for which a condition holds.
fn holds(when: &str) -> Vec<usize> {
    let (_, compiled) = compiled(&file(&[("R", "hold", 0, when)])).unwrap_or_else(|e| panic!("{when}: {e}"));
    let verdicts = verdicts(&compiled, &batch(), &SCORES);
    (0..4).filter(|&row| verdicts[row].fired.has(0)).collect()
}

#[test]
fn conditions_hold_where_they_say() {
    let cases: &[(&str, &[usize])] = &[
        ("amount > 220", &[1]),
        ("amount >= 220.00", &[0, 1]),
        ("amount < 220", &[2]),
        ("amount <= 0.1", &[2]),
        ("amount = 220", &[0]),
        ("amount != 220", &[1, 2]),
        ("amount in (220, 0.10)", &[0, 2]),
        ("amount not in (220, 0.10)", &[1]),
        ("amount is missing", &[3]),
        ("amount is present", &[0, 1, 2]),
        // A test of a missing cell is false, and so its opposite is true.
        ("not amount > 220", &[0, 2, 3]),
        ("not amount != 220", &[0, 3]),
        ("amount > limit", &[]),
        ("amount <= limit", &[0, 1]),
        ("amount >= `limit`", &[0]),
        ("country = KR", &[0, 2]),
        ("country != KR", &[1]),
        ("country = 'KR'", &[0, 2]),
        ("country != home", &[1]),
        ("country in (KR, US)", &[0, 1, 2]),
        ("country = home", &[0]),
        ("device = 7", &[0]),
        ("device in (-9, 8)", &[1, 2]),
        // Identifiers are compared as they are written.
        ("device = 07", &[]),
        ("score >= 0.5", &[1, 2]),
        ("score is missing", &[3]),
        ("not score < 0.5", &[1, 2, 3]),
        ("n_1d >= 5 and score > 0.6", &[2]),
        ("n_1d >= 5 or country = KR", &[0, 1, 2]),
        ("(n_1d >= 5 or country = KR) and not (amount = 220 or home is missing)", &[1]),
        ("not (n_1d >= 5 and country = KR)", &[0, 1, 3]),
        ("time of at from 22:00 to 06:00", &[0, 1]),
        ("time of at from 06:00 to 22:00", &[2, 3]),
        ("time of at from 23:30 to 24:00", &[0]),
        ("weekday of at in (saturday, Sunday)", &[2, 3]),
        ("weekday of at in (thursday)", &[0]),
        ("at < 2026-11-07", &[0, 1]),
        ("at >= 2026-11-07T06:00 and at < 2026-11-08", &[2]),
    ];
    for (when, rows) in cases {
        assert_eq!(holds(when), *rows, "{when}");
    }
}

#[test]
fn days_and_times_are_those_of_the_zone() {
    let text = file(&[
        ("night", "hold", 0, "time of at from 22:00 to 06:00"),
        ("friday", "hold", 0, "weekday of at in (friday)"),
        ("day", "hold", 0, "at < 2026-11-07"),
    ]);
    // Seoul is nine hours ahead: 08:30 and 14:59 on Friday, 15:00 on Saturday, 21:00 on Sunday.
    let text = text.replacen("version", "tz = \"Asia/Seoul\"\nversion", 1);
    let (_, compiled) = compiled(&text).unwrap();
    let verdicts = verdicts(&compiled, &batch(), &SCORES);
    let rows = |rule: usize| (0..4).filter(|&row| verdicts[row].fired.has(rule)).collect::<Vec<_>>();
    assert_eq!([rows(0), rows(1), rows(2)], [vec![], vec![0, 1], vec![0, 1]]);
}

#[test]
fn precedence_then_the_stronger_action_then_the_place_decides() {
    let (set, compiled) = compiled(&file(&[
        ("known", "allow", 10, "device = 8"),
        ("first", "hold", 0, "country in (KR, US)"),
        ("second", "hold", 0, "amount >= 220 or n_1d = 9"),
        ("strong", "block", 0, "n_1d >= 9"),
        ("soft", "challenge", 0, "limit >= 0 or country is missing"),
    ]))
    .unwrap();
    let verdicts = verdicts(&compiled, &batch(), &SCORES);
    let told: Vec<_> = verdicts
        .iter()
        .map(|v| (v.action.name(), v.deciding.map(|d| set.rules[usize::from(d)].code.as_str()), set.codes(v.fired)))
        .collect();
    assert_eq!(
        told,
        [
            ("hold", Some("first"), vec!["first", "second", "soft"]),
            ("allow", Some("known"), vec!["known", "first", "second", "soft"]),
            ("block", Some("strong"), vec!["first", "second", "strong"]),
            ("challenge", Some("soft"), vec!["soft"]),
        ]
    );
}

#[test]
fn a_rule_in_shadow_is_recorded_and_never_acts() {
    let text = file(&[("shadow", "block", 100, "n_1d > 0"), ("acts", "challenge", 0, "n_1d > 5")]);
    let text = text.replacen("precedence = 100", "precedence = 100\nmode = \"shadow\"", 1);
    let (set, compiled) = compiled(&text).unwrap();
    let verdicts = verdicts(&compiled, &batch(), &SCORES);
    let actions: Vec<_> = verdicts.iter().map(|v| (v.action, v.deciding, set.codes(v.fired).len())).collect();
    let (allow, challenge) = (Action::Allow, Action::Challenge);
    assert_eq!(actions, [(allow, None, 1), (allow, None, 1), (challenge, Some(1), 2), (allow, None, 0)]);
}

#[test]
fn a_rule_holds_on_its_days_by_the_rows_own_time() {
    let days = "valid_from = 2026-11-06\nvalid_to = \"2026-11-07\"\n";
    let text = file(&[("R", "hold", 0, "device is present or device is missing")]);
    let text = text.replacen("version", "time = \"at\"\nversion", 1).replacen("when", &format!("{days}when"), 1);
    let (_, compiled) = compiled(&text).unwrap();
    let fired: Vec<bool> = verdicts(&compiled, &batch(), &SCORES).iter().map(|v| v.fired.has(0)).collect();
    assert_eq!(fired, [false, true, true, false]);
}

#[test]
fn lists_are_beside_the_file_and_named_by_their_digest() {
    let bytes = b"# watched\n7\n\n-9 \nKR\n".to_vec();
    let digest = blake3::hash(&bytes).to_hex().to_string();
    let rules = file(&[("A", "hold", 0, "device in list watched"), ("B", "hold", 0, "country not in list watched")]);
    let list = |digest: &str| format!("{rules}[[list]]\nname = \"watched\"\nfile = \"watched.txt\"\n{digest}");
    let files = HashMap::from([("watched.txt", bytes)]);
    let open = |name: &str| files.get(name).cloned().ok_or_else(|| Error::io("not found"));
    let set = RuleSet::parse(&list(&format!("blake3 = \"{digest}\"")), open).unwrap();
    assert_eq!(set.lists["watched"].len(), 3);
    let compiled = set.compile(&columns(), false, "UTC").unwrap();
    let fired: Vec<Vec<&str>> = verdicts(&compiled, &batch(), &SCORES).iter().map(|v| set.codes(v.fired)).collect();
    assert_eq!(fired, [vec!["A"], vec!["B"], vec!["A"], vec![]]);

    let error = RuleSet::parse(&list(""), open).unwrap_err().to_string();
    assert!(error.contains(&format!("allowed: blake3 = \"{digest}\"")), "{error}");
    let error = RuleSet::parse(&list("blake3 = \"00\""), open).unwrap_err().to_string();
    assert!(error.starts_with("list «watched»: watched.txt was altered"), "{error}");
    let away = list("").replace("watched.txt", "../watched.txt");
    let error = RuleSet::parse(&away, open).unwrap_err().to_string();
    assert!(error.contains("file is «../watched.txt»; allowed: the plain name of a file beside"), "{error}");
}

fn refused(text: &str, message: &str) {
    let error = compiled(text).err().map(|e| e.to_string()).unwrap_or_else(|| panic!("accepted: {text}"));
    assert!(error.contains(message), "«{error}» does not contain «{message}»");
}

#[test]
fn errors_name_the_rule_the_place_and_what_is_allowed() {
    let when = |when: &str, message: &str| refused(&file(&[("R1", "hold", 0, when)]), message);
    when("amuont > 5", "rule «R1»: «amuont > 5»: there is no column «amuont»; there are amount, limit");
    when(
        "country > KR",
        "rule «R1»: «country > KR»: column «country» is of kind category; > compares numbers and times",
    );
    when("amount = much", "«much» is neither a number nor a column; allowed: a finite number");
    when("amount > inf", "«inf» is neither a number nor a column");
    when("score > 5", "«5» is no probability; allowed: a number from 0 to 1");
    when("at > noon", "«noon» is no time; allowed: a day such as 2026-11-30");
    when("amount = country", "column «amount» is of kind number and «country» of kind category");
    when("amount = amount", "column «amount» is compared with itself");
    when("time of amount from 01:00 to 02:00", "column «amount» is of kind number; a time is needed");
    when("time of at from 1:00 to 02:00", "«1:00» is not allowed; allowed is a time of day");
    when("time of at from 01:00 to 01:00", "another time of day than the first");
    when("weekday of at in (sun)", "«sun» is no day of the week");
    when("limit in list x", "there is no list «x»; lists: none");
    when("amount >", "at the end: something is missing; allowed is a value, or a column");
    when("amount > 5 and", "at the end: something is missing; allowed is a column");
    when("amount > 5 and n_1d > 1 or n_1d > 2", "position 25: «or» is not allowed; allowed is and, or brackets");
    when("(amount > 5", "at the end: something is missing; allowed is and, or, or )");
    when("amount > 5)", "position 11: «)» is not allowed; allowed is and, or, or the end");
    when("amount is odd", "position 11: «odd» is not allowed; allowed is missing or present");
    when("amount not 5", "position 12: «5» is not allowed; allowed is in");
    when(&format!("{}amount > 5{}", "(".repeat(20), ")".repeat(20)), "lie 17 deep; allowed: at most 16");
    when(&vec!["amount > 5"; 65].join(" or "), "the condition has 65 tests; allowed: at most 64");
    refused("version = \"1\"\n", "there are 0 [[rule]]; allowed: 1 to 256");
    refused(&file(&[("R", "hold", 0, "amount > 1"), ("r", "hold", 0, "n_1d > 1")]), "rule «r»: the code is taken");
    refused(&file(&[("R 1", "hold", 0, "amount > 1")]), "code is «R 1»; allowed: 1 to 32 letters");
    refused(&file(&[("R", "stop", 0, "amount > 1")]), "unknown variant `stop`, expected one of `allow`");
    refused(&file(&[("R", "hold", 1001, "amount > 1")]), "precedence is 1001; allowed: 0 to 1000");
    let plain = file(&[("R", "hold", 0, "amount > 1")]);
    refused(&plain.replace("version = \"1\"", "version = \" \""), "version is empty");
    refused(&plain.replace("ko = \"이\"", "ko = \"\""), "rule «R»: ko has 0 characters; allowed: 1 to 200");
    refused(&plain.replace("when", "valid_from = 2026-11-31\nwhen"), "line 9");
    refused(&plain.replace("when", "valid_from = \"soon\"\nwhen"), "valid_from is «soon»; allowed: a day such as");
    refused(&plain.replace("when", "valid_to = 2026-11-30\nwhen"), "name its column at the top: time");
    let timed = plain.replace("version", "time = \"at\"\nversion");
    let backwards = "valid_from = 2026-12-01\nvalid_to = 2026-11-30\nwhen";
    refused(&timed.replace("when", backwards), "valid_to 2026-11-30 is before valid_from 2026-12-01");
    refused(&format!("{plain}[[list]]\nname = \"x\"\nvalues = [\"1\"]\n"), "list «x» is in no condition");
}

#[test]
fn conditions_that_can_never_hold_are_refused() {
    let never = |when: &str| refused(&file(&[("R1", "hold", 0, when)]), "rule «R1»: its condition can never hold");
    never("amount > 5 and amount < 5");
    never("amount >= 5 and amount < 5");
    never("amount = 5 and amount != 5");
    never("amount in (1, 2) and amount in (3, 4)");
    never("amount > 5 and amount is missing");
    never("not amount is missing and not amount is present");
    never("country = KR and country = US");
    never("country in (KR, US) and country not in (US, KR)");
    never("score > 0.9 and score < 0.1");
    never("(country = KR or country = US) and country = CN");
    never("time of at from 01:00 to 02:00 and at is missing");
    never("amount > limit and not amount > limit");
    // What can hold is not refused.
    for when in [
        "amount >= 5 and amount <= 5",
        "not amount > 5 and not amount <= 5",
        "country != KR and country != US",
        "amount > 5 or amount < 5",
    ] {
        compiled(&file(&[("R1", "hold", 0, when)])).unwrap();
    }
}

#[test]
fn rules_that_can_never_decide_are_refused() {
    let pair = |first: (&str, u16, &str), second: (&str, u16, &str)| {
        file(&[("A", first.0, first.1, first.2), ("B", second.0, second.1, second.2)])
    };
    let unreachable = |code: &str, a, b| refused(&pair(a, b), &format!("rule «{code}» can never decide: wherever"));
    unreachable("B", ("hold", 0, "amount > 100"), ("hold", 0, "amount > 500"));
    unreachable("A", ("hold", 0, "amount > 500"), ("block", 0, "amount > 100"));
    unreachable("A", ("block", 0, "amount > 500 and country = KR"), ("allow", 5, "country in (KR, US)"));
    unreachable("B", ("hold", 0, "amount > 100 or country = KR"), ("hold", 0, "country = KR and n_1d > 5"));
    unreachable("B", ("hold", 0, "amount is missing"), ("hold", 0, "amount is missing and n_1d > 1"));
    let fine = |a, b| compiled(&pair(a, b)).map(|_| ()).unwrap();
    fine(("hold", 0, "amount > 500"), ("hold", 0, "amount > 100"));
    fine(("hold", 0, "amount > 100"), ("block", 0, "amount > 500"));
    fine(("hold", 0, "amount > 100"), ("hold", 1, "amount > 500"));
    fine(("hold", 0, "country is missing"), ("hold", 0, "country = KR"));
    fine(("hold", 0, "not amount > 100"), ("hold", 0, "amount is missing or amount > 50"));
    // Together two rules may leave nothing to a third.
    let three = file(&[
        ("A", "hold", 0, "amount > 100"),
        ("B", "hold", 0, "country = KR"),
        ("C", "hold", 0, "(amount > 200 and n_1d > 1) or (country = KR and n_1d > 2)"),
    ]);
    refused(&three, "rule «C» can never decide: wherever it holds, «A» or «B» holds too");
    // In shadow it may stand behind others, and others behind it.
    let shadow = |code: &str| {
        let own = format!("code = \"{code}\"\n");
        pair(("hold", 0, "amount > 100"), ("hold", 0, "amount > 500"))
            .replace(&own, &format!("{own}mode = \"shadow\"\n"))
    };
    compiled(&shadow("A")).unwrap();
    compiled(&shadow("B")).unwrap();
    // Behind a rule of other days it is reached.
    let days = pair(("hold", 0, "amount > 100"), ("hold", 0, "amount > 500"))
        .replacen("version", "time = \"at\"\nversion", 1)
        .replacen("when", "valid_to = 2026-11-30\nwhen", 1);
    compiled(&days).unwrap();
}

#[test]
fn kinds_are_guessed_from_values_before_there_is_a_table() {
    let set = RuleSet::parse(
        &file(&[
            ("A", "hold", 0, "amount > limit and country = KR and code in (5411, A7)"),
            ("B", "hold", 0, "opened < 2026-01-31 and time of at from 01:00 to 02:00 and n >= 3"),
        ]),
        no_file,
    )
    .unwrap();
    let kinds: Vec<String> = set.guessed_columns().iter().map(|c| format!("{} {}", c.name, c.kind.name())).collect();
    assert_eq!(
        kinds,
        ["amount number", "limit number", "country category", "code category", "opened time", "at time", "n number"]
    );
    set.compile(&set.guessed_columns(), false, "UTC").unwrap();
}

#[test]
fn declared_kinds_go_before_those_of_the_table() {
    let text = file(&[("R", "hold", 0, "n_1d in (5, '09')")]).replacen(
        "[[rule]]",
        "[columns]\nn_1d = \"category\"\n[[rule]]",
        1,
    );
    let (_, compiled) = compiled(&text).unwrap();
    let fired: Vec<bool> = verdicts(&compiled, &batch(), &SCORES).iter().map(|v| v.fired.has(0)).collect();
    assert_eq!(fired, [false, true, false, false], "the text 09 is not the text 9");
}

#[test]
fn a_row_alone_has_the_verdict_that_it_has_in_a_large_batch() {
    let (_, compiled) = compiled(&file(&[
        ("A", "hold", 0, "amount > limit or time of at from 22:00 to 06:00"),
        ("B", "block", 0, "not (country = KR and score < 0.6) and n_1d is present"),
        ("C", "allow", 7, "score >= 0.99"),
    ]))
    .unwrap();
    let many: Vec<RecordBatch> = vec![batch(); 5_000];
    let large = arrow_select::concat::concat_batches(&many[0].schema(), &many).unwrap();
    let scores: Vec<f64> = (0..20_000).map(|i| f64::from(i % 101) / 100.0).collect();
    let all = verdicts(&compiled, &large, &scores);
    let zone = Zone::utc();
    let inputs = compiled.inputs(&large, RowOrigin { zone: &zone, is_text: false, first_row: 0 }).unwrap();
    let (mut scratch, mut one) = (Scratch::default(), [Verdict::default()]);
    for row in (0..20_000).step_by(37).chain([63, 64, 8_191, 8_192, 19_999]) {
        compiled.evaluate(&inputs.slice(row, 1), Some(&scores[row..=row]), &mut scratch, &mut one).unwrap();
        assert_eq!(one[0], all[row], "row {row}");
    }
    assert!(all.iter().any(|v| v.action == Action::Block) && all.iter().any(|v| v.action == Action::Allow));
}

#[test]
fn rules_of_the_score_alone_need_no_column() {
    let (_, compiled) = compiled(&file(&[("R", "block", 0, "score > 0.8")])).unwrap();
    assert!(compiled.inputs.is_empty() && compiled.uses_score);
    let fired: Vec<bool> = verdicts(&compiled, &batch(), &SCORES).iter().map(|v| v.fired.has(0)).collect();
    assert_eq!(fired, [false, false, true, false]);
    let zone = Zone::utc();
    let inputs = compiled.inputs(&batch(), RowOrigin { zone: &zone, is_text: false, first_row: 0 }).unwrap();
    let error = compiled.verdicts(&inputs, None).unwrap_err().to_string();
    assert!(error.contains("a rule asks for the score"), "{error}");
    let error = compiled.verdicts(&inputs, Some(&SCORES[..3])).unwrap_err().to_string();
    assert_eq!(error, "3 scores for 4 rows");
}

/// Ten rows on two days: rule A alerts rows 0 to 3, the model rows 2 to 5; rows 0, 2, 4 and 9 are events.
#[test]
fn a_backtest_counts_what_is_counted_by_hand() {
    let set = RuleSet::parse(&file(&[("A", "hold", 0, "amount > 1"), ("B", "allow", 9, "n > 1")]), no_file).unwrap();
    let hold = |row: usize| {
        let mut verdict = Verdict { action: Action::Hold, deciding: Some(0), ..Verdict::default() };
        verdict.fired.set(0);
        if row == 3 {
            verdict.fired.set(1);
            verdict = Verdict { action: Action::Allow, deciding: Some(1), ..verdict };
        }
        verdict
    };
    let verdicts: Vec<Verdict> = (0..10).map(|row| if row < 4 { hold(row) } else { Verdict::default() }).collect();
    let is_event: Vec<bool> = (0..10).map(|row| [0, 2, 4, 9].contains(&row)).collect();
    let amounts: Vec<f64> = (0..10).map(|row| f64::from(10 * row + 10)).collect();
    let days: Vec<i64> = (0..10).map(|row| 100 + i64::from(row >= 2)).collect();
    let scores: Vec<f64> = (0..10).map(|row| if (2..6).contains(&row) { 0.9 } else { 0.1 }).collect();
    let cases = Cases { is_event: &is_event, amounts: Some(&amounts), days: Some(&days), model: Some((&scores, 0.9)) };
    let found = backtest(&set, &verdicts, cases).unwrap();
    assert_eq!((found.n_rows, found.n_events, found.n_days), (10, 4, Some(2)));
    let a = &found.rules[0];
    assert_eq!((a.alerts, a.events, a.decided), (4, 2, 3));
    assert_eq!((a.precision.unwrap().value, a.recall.unwrap().value), (0.5, 0.5));
    // Both days have two alerts with one event: the variance between days is 0, and the four rows are counted as they are.
    let wilson = statera_core::metric::wilson(0.5, 4.0, 1.959_963_984_540_054);
    assert_eq!((a.precision.unwrap().low, a.precision.unwrap().high), wilson);
    let money = a.money.unwrap();
    assert_eq!((money.events.value, money.good.value), (10.0 + 30.0, 20.0 + 40.0));
    // Money of events by day is 10 and 30: variance 200 of a day, 400 of the sum.
    assert!((money.events.high - (40.0 + 1.959_963_984_540_054 * 20.0)).abs() < 1e-9, "{money:?}");
    assert_eq!(money.events.low, 40.0 - 1.959_963_984_540_054 * 20.0);
    assert_eq!(a.alerts_a_day.unwrap().value, 2.0);
    let overlap = a.overlap.unwrap();
    assert_eq!((overlap.both, overlap.rule_only, overlap.model_only), ([2, 1], [2, 1], [2, 1]));
    // Row 3 is allowed by the rule of higher precedence.
    assert_eq!((found.total.alerts, found.total.events), (3, 2));
    assert_eq!(found.total.overlap.unwrap().both, [1, 1]);
    assert_eq!((found.model.as_ref().unwrap().alerts, found.model.as_ref().unwrap().events), (4, 2));
    assert_eq!(
        found.actions,
        [(Action::Allow, 7, 2), (Action::Challenge, 0, 0), (Action::Hold, 3, 2), (Action::Block, 0, 0)]
    );
    assert_eq!((found.rules[1].alerts, found.rules[1].precision.unwrap().value), (1, 0.0));

    let negative = [-1.0; 10];
    let error = backtest(&set, &verdicts, Cases { amounts: Some(&negative), ..cases }).unwrap_err().to_string();
    assert_eq!(error, "row 1 has no amount of 0 or more; money cannot be counted");
    assert!(backtest(&set, &[], cases).unwrap_err().to_string().starts_with("0 rows"));
}

/// Frauds that all fall on few days are known less well than as many that fall anywhere.
#[test]
fn intervals_widen_where_events_come_in_runs() {
    let set = RuleSet::parse(&file(&[("A", "hold", 0, "amount > 1")]), no_file).unwrap();
    let mut alert = Verdict { action: Action::Hold, deciding: Some(0), ..Verdict::default() };
    alert.fired.set(0);
    let verdicts = vec![alert; 1_000];
    let days: Vec<i64> = (0..1_000).map(|row| row / 50).collect();
    let width = |is_event: &[bool]| {
        let found = backtest(&set, &verdicts, Cases { is_event, amounts: None, days: Some(&days), model: None });
        let precision = found.unwrap().rules[0].precision.unwrap();
        assert_eq!(precision.value, 0.1);
        precision.high - precision.low
    };
    let spread: Vec<bool> = (0..1_000).map(|row| row % 10 == 0).collect();
    let bunched: Vec<bool> = (0..1_000).map(|row| row < 100).collect();
    assert!(width(&bunched) > 3.0 * width(&spread), "{} {}", width(&bunched), width(&spread));
}

#[test]
fn what_toml_does_not_allow_is_told_by_the_name_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fraud.toml");
    let told = |text: &str| {
        std::fs::write(&path, text).unwrap();
        RuleSet::read(&path).expect_err("refused").to_string().replace(&path.display().to_string(), "fraud.toml")
    };
    let text = file(&[("R", "hold", 1, "amount > 1")]);
    assert_eq!(
        told(&text.replace("precedence = 1", "precedence = -1")),
        "fraud.toml, line 8 («precedence = -1»): invalid value: integer `-1`, expected a whole number of 0 to 65535"
    );
    assert_eq!(
        told(&text.replace("version = \"1\"", "version = \" \"")),
        "fraud.toml: version is empty; it names the rules beside every action"
    );
}
