use super::*;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow_schema::{Field, Schema};
use statera_core::{Rng, Run};
use statera_data::{ColumnInfo, Table};
use std::sync::Arc;

const DAY: i64 = 86_400_000_000;

fn numbers(cells: Vec<Option<i64>>) -> (Kind, ArrayRef) {
    (Kind::Number, Arc::new(Int64Array::from(cells)))
}

fn words(cells: Vec<Option<&str>>) -> (Kind, ArrayRef) {
    (Kind::Category, Arc::new(StringArray::from(cells)))
}

/// Days since 1970 as times.
fn days(cells: Vec<Option<i64>>) -> (Kind, ArrayRef) {
    let cells: Vec<Option<i64>> = cells.into_iter().map(|c| c.map(|d| d * DAY)).collect();
    (Kind::Time, Arc::new(TimestampMicrosecondArray::from(cells).with_timezone("UTC")))
}

/// A table in batches of at most `batch` rows.
fn table(origin: &str, batch: usize, columns: Vec<(&str, (Kind, ArrayRef))>) -> Table {
    let fields: Vec<Field> =
        columns.iter().map(|(name, (_, cells))| Field::new(*name, cells.data_type().clone(), true)).collect();
    let all = RecordBatch::try_new(
        Arc::new(Schema::new(fields)),
        columns.iter().map(|(_, (_, cells))| cells.clone()).collect(),
    )
    .unwrap();
    let n = all.num_rows();
    let batches = (0..n.max(1)).step_by(batch).map(|start| all.slice(start, batch.min(n - start))).collect();
    let columns = columns.iter().map(|(name, (kind, _))| ColumnInfo { name: (*name).into(), kind: *kind }).collect();
    Table { columns, batches, origin: origin.into() }
}

fn column(table: &Table, name: &str) -> Vec<Option<f64>> {
    let index = table.column(name).unwrap();
    let cells = |b: &RecordBatch| -> Vec<Option<f64>> {
        match b.column(index).as_primitive_opt::<Int64Type>() {
            Some(cells) => cells.iter().map(|c| c.map(|c| c as f64)).collect(),
            None => b.column(index).as_primitive::<Float64Type>().iter().collect(),
        }
    };
    table.batches.iter().flat_map(cells).collect()
}

fn run() -> Run {
    Run::new(1, 2)
}

/// A file that computes its target, with more text after it.
fn file(outcome: &str, rest: &str) -> String {
    format!(
        "[sources]\nloans = \"loans.csv\"\npayments = \"payments.csv\"\naccounts = \"accounts.csv\"\n\
         [main]\nsource = \"loans\"\nkey = \"loan\"\ndate = \"day\"\n\
         [outcome]\nsource = \"payments\"\non = \"loan\"\ndate = \"paid\"\n{outcome}\n{rest}"
    )
}

const BAD: &str = "bad = \"max(late) >= 90 within 3 months\"";

fn refused(text: &str, message: &str) {
    match Project::parse(text, "p.toml") {
        Ok(_) => panic!("accepted; expected: {message}"),
        Err(e) => {
            let e = e.to_string();
            assert!(e.starts_with("p.toml") && e.contains(message), "«{e}» does not contain «{message}»");
            assert!(!e.ends_with('.') && !e.contains('\n'), "«{e}»");
        }
    }
}

#[test]
fn errors_name_file_key_value_and_what_is_allowed() {
    refused(
        "[sources]\n[main]\nsource = 3\n",
        "p.toml, line 3 («source = 3»): invalid type: integer `3`, expected a string",
    );
    refused("purposes = \"x\"\n[sources]\n", "line 1 («purposes = \"x\"»): unknown field `purposes`, expected one of");
    refused("[sources]\n[main\n", "line 2");
    refused("[sources]\na = \"a.csv\"\n", "missing field `main`");
    refused("[sources]\na = \"a.csv\"\n[main]\nsource = \"b\"\n", "main.source: no source «b»; [sources] has a");
    refused("[sources]\na = \"a.csv\"\n[main]\nsource = \"a\"\n", "roles.target: missing");
    refused(&file(BAD, "[split]\nfolds = 1"), "folds: 1 is not allowed; allowed is from 2 to 20");
    refused(&file(BAD, "[columns.x]\nkind = \"word\""), "unknown variant `word`, expected one of `number`");
    refused(&file(BAD, "[columns.x]\nmonotone = 3"), "monotone of column «x»: 3 is not allowed");
    refused(
        &file(BAD, "[candidates]\nprefer = \"fast\""),
        "unknown variant `fast`, expected one of `best`, `simple`, `ensemble`",
    );
    refused(&file(BAD, "[roles]\ntarget = \"worse\""), "roles.target: «worse» and outcome.target «bad» are different");
    for (key, value) in [("cutoff", 0.12), ("approval_rate", 0.85)] {
        refused(
            &file(BAD, &format!("[policy]\nfile = \"policy.toml\"\n{key} = {value}")),
            &format!(
                "p.toml: policy.{key}: {value} is given beside policy.file «policy.toml», which says itself where approval ends; \
                 only one can hold"
            ),
        );
    }
    refused(&file(BAD, "[roles]\npositive = 0"), "roles.positive: with [outcome] it is always 1");
    refused(&file(BAD, "[roles]\ndrop = [\"loan\"]"), "column «loan» has two roles, id and drop");
    refused(&file("bad = \"max(late) > \"", ""), "outcome.bad: «max(late) > », at the end: something is missing");
    refused(&file("bad = \"max(late) > 3\"", ""), "outcome.performance_months: missing");
    refused(&file(&format!("{BAD}\nperformance_months = 0"), ""), "performance_months: 0 is not allowed");
    refused(
        &file(&format!("{BAD}\nindeterminate_weight = 0.5"), ""),
        "0.5 has no meaning without outcome.indeterminate",
    );
    refused(&file(&format!("{BAD}\ndata_until = \"soon\""), ""), "outcome.data_until: «soon» is no date");
    refused(
        &file(BAD, "[[exclude]]\nname = \"young\"\nrule = \"age under 18\""),
        "exclude 1 («young»), rule: «age under 18», position 5: «under» is not allowed",
    );
    let join = "[[join]]\nsource = \"accounts\"\non = \"loan\"\ncolumns = [\"bad\"]";
    refused(&file(BAD, join), "column «bad» would be added twice");
    refused(&file(BAD, &format!("{join}\nlag_days = 2")), "lag_days: 2 has no meaning without date");
    refused(&file(BAD, &join.replace("\"loan\"", "3")), "a column, a list of columns, or {");
    let undated = file(BAD, "").replace("date = \"day\"\n", "");
    refused(&undated, "main.date: missing; outcome needs the observation date");
    refused(&format!("tz = \"Mars\"\n{}", file(BAD, "")), "tz: «Mars» is no time zone");
}

#[test]
fn settings_follow_from_the_file() {
    let rest = "[roles]\nbaseline = \"old\"\n[columns.x]\nmissing = [-1, \"none\", 0.5]\nkind = \"number\"\n\
                [columns.a_y]\nkind = \"category\"\n\
                [[join]]\nsource = \"accounts\"\non = { owner = \"person\" }\ndate = \"as_of\"\ncolumns = [\"y\"]\nprefix = \"a_\"";
    let project = Project::parse(&file(BAD, rest), "p.toml").unwrap();
    let s = &project.settings;
    assert_eq!((s.target.as_str(), s.positive.as_deref()), ("bad", Some("1")));
    assert_eq!((s.id.as_deref(), s.time.as_deref()), (Some("loan"), Some("day")));
    assert_eq!(s.missing["x"], ["-1", "none", "0.5"]);
    assert_eq!(project.outcome.as_ref().unwrap().performance_months, 3);
    assert_eq!(project.joins[0].on, [("owner".to_string(), "person".to_string())]);
    // Kinds go to the source that has the column, under its own name there.
    assert_eq!(project.types_of("loans"), BTreeMap::from([("x".to_string(), Kind::Number)]));
    assert_eq!(project.types_of("accounts"), BTreeMap::from([("y".to_string(), Kind::Category)]));
}

fn tables(list: Vec<(&str, Table)>) -> BTreeMap<String, Table> {
    list.into_iter().map(|(name, table)| (name.to_string(), table)).collect()
}

#[test]
fn every_row_is_accounted_for() {
    let outcome = format!("{BAD}\nindeterminate = \"max(late) >= 30 within 3 months\"");
    let rest =
        "[[exclude]]\nname = \"minors\"\nrule = \"age < 18\"\n[[exclude]]\nname = \"staff\"\nrule = \"kind = staff\"";
    let project = Project::parse(&file(&outcome, rest), "p.toml").unwrap();
    //          bad, indeterminate, good, minor, staff, no date, window open, unseen, late bad
    let loans = table(
        "loans.csv",
        4,
        vec![
            ("loan", words((1..10).map(|i| Some(["", "1", "2", "3", "4", "5", "6", "7", "8", "9"][i])).collect())),
            ("day", days(vec![Some(0), Some(0), Some(0), Some(0), Some(0), None, Some(300), Some(0), Some(0)])),
            ("age", numbers([30, 31, 32, 17, 33, 34, 35, 36, 37].map(Some).into())),
            ("kind", words([None, None, Some("x"), None, Some("staff"), None, None, None, None].into())),
        ],
    );
    // Row 1 reaches 90 on the last day of its window (1970-04-01 is day 90), row 9 a day after it; row 8 only before it.
    let payments = table(
        "payments.csv",
        3,
        vec![
            ("loan", numbers([1, 2, 2, 3, 4, 5, 7, 8, 9, 9].map(Some).into())),
            ("paid", days([90, 30, 60, 31, 31, 31, 320, 0, 91, 10].map(Some).into())),
            (
                "late",
                numbers(vec![
                    Some(90),
                    Some(30),
                    None,
                    Some(29),
                    Some(95),
                    Some(0),
                    Some(0),
                    Some(99),
                    Some(95),
                    Some(1),
                ]),
            ),
        ],
    );
    let assembled = project
        .assemble_tables(tables(vec![("loans", loans.clone()), ("payments", payments.clone())]), &run())
        .unwrap();
    let steps: Vec<(&str, usize, usize)> =
        assembled.steps.iter().map(|s| (s.name.as_str(), s.before, s.after)).collect();
    assert_eq!(
        steps,
        [
            ("no observation date (day)", 9, 8),
            ("minors", 8, 7),
            ("staff", 7, 6),
            ("performance window of 3 months not over", 6, 5),
            ("no row in «payments» within the window", 5, 4),
            ("indeterminate", 4, 3),
        ]
    );
    assert_eq!(column(&assembled.table, "bad"), [Some(1.0), Some(0.0), Some(0.0)]);
    assert_eq!(column(&assembled.table, "age"), [Some(30.0), Some(32.0), Some(37.0)]);

    // Kept with a weight, and rows without performance as good ones.
    let kept = file(&format!("{outcome}\nindeterminate_weight = 0.25\nno_rows = \"good\""), rest);
    let assembled = Project::parse(&kept, "p.toml")
        .unwrap()
        .assemble_tables(tables(vec![("loans", loans), ("payments", payments)]), &run())
        .unwrap();
    assert_eq!(column(&assembled.table, "age"), [30.0, 31.0, 32.0, 36.0, 37.0].map(Some));
    assert_eq!(column(&assembled.table, "bad"), [1.0, 0.0, 0.0, 0.0, 0.0].map(Some));
    assert_eq!(column(&assembled.table, "bad_weight"), [1.0, 0.25, 1.0, 1.0, 1.0].map(Some));
    assert_eq!(assembled.settings.weight.as_deref(), Some("bad_weight"));
}

#[test]
fn wrong_tables_are_refused_by_message() {
    let loans = |names: [&'static str; 3]| {
        table(
            "loans.csv",
            9,
            vec![
                (names[0], words(vec![Some("1"), Some("2")])),
                (names[1], days(vec![Some(0), Some(1)])),
                (names[2], numbers(vec![Some(5), Some(6)])),
            ],
        )
    };
    let payments = table(
        "payments.csv",
        9,
        vec![("loan", numbers(vec![Some(1)])), ("paid", days(vec![Some(20)])), ("late", words(vec![Some("much")]))],
    );
    let check = |text: &str, loans: Table, message: &str| {
        let project = Project::parse(text, "p.toml").unwrap();
        let list = tables(vec![("loans", loans), ("payments", payments.clone()), ("accounts", payments.clone())]);
        let error = project.assemble_tables(list, &run()).unwrap_err().to_string();
        assert!(error.contains(message), "«{error}» does not contain «{message}»");
    };
    let any = "bad = \"any(late) = 'much' within 1 months\"";
    check(
        &file(BAD, ""),
        loans(["loan", "day", "x"]),
        "column «late» is of kind category; the definition needs numbers",
    );
    check(
        &file(BAD, ""),
        loans(["loan", "date", "x"]),
        "main.date: loans.csv: no column «day»; there are loan, date, x",
    );
    check(&file(BAD, ""), loans(["loan", "x", "day"]), "main.date: column «day»: Int64 is no time");
    check(&file(any, ""), loans(["id", "day", "x"]), "outcome: loans.csv: no column «loan»");
    check(&file(any, ""), loans(["loan", "day", "bad"]), "column «bad» exists already in loans.csv");
    check(&file(any, ""), loans(["loan", "day", "x"]), "no row is left: the window of 1 months is not over for 2");
    check(
        &file(any, "[[exclude]]\nname = \"small\"\nrule = \"x < few\""),
        loans(["loan", "day", "x"]),
        "exclude «small»: column «x» cannot be compared with «few»; allowed is a finite number",
    );
    check(
        &file(any, "[[join]]\nsource = \"accounts\"\non = \"loan\"\ncolumns = [\"sum\"]"),
        loans(["loan", "day", "x"]),
        "p.toml: join of «accounts»: payments.csv: no column «sum»",
    );
}

#[test]
fn a_join_without_a_date_needs_a_unique_key() {
    let text = "[sources]\na = \"a\"\nb = \"b\"\n[main]\nsource = \"a\"\n[roles]\ntarget = \"y\"\n\
                [[join]]\nsource = \"b\"\non = [\"k\", \"l\"]\ncolumns = [\"v\"]";
    let project = Project::parse(text, "p.toml").unwrap();
    let main = || {
        let (k, l) = (numbers(vec![Some(1), Some(1), None]), words(vec![Some("a"), Some("b"), Some("a")]));
        table("a", 2, vec![("k", k), ("l", l), ("y", numbers(vec![Some(0), Some(1), Some(0)]))])
    };
    let other = |l: Vec<Option<&'static str>>| {
        table(
            "b",
            9,
            vec![("k", words(vec![Some("1"), Some("1")])), ("l", words(l)), ("v", numbers(vec![Some(7), Some(8)]))],
        )
    };
    let list = tables(vec![("a", main()), ("b", other(vec![Some("b"), Some("c")]))]);
    let assembled = project.assemble_tables(list, &run()).unwrap();
    assert_eq!(column(&assembled.table, "v"), [None, Some(7.0), None]);
    assert_eq!(assembled.joins, [JoinCount { source: "b".into(), rows: 3, matched: 1 }]);
    let twice = tables(vec![("a", main()), ("b", other(vec![Some("b"), Some("b")]))]);
    let error = project.assemble_tables(twice, &run()).unwrap_err().to_string();
    assert_eq!(
        error,
        "p.toml: join of «b»: b: rows 1 and 2 have the same key (k, l); give the join a date, or a key that is unique"
    );
}

/// Key, day and cell of a row of the other table.
type Other = (Option<i64>, Option<i64>, Option<i64>);

/// Random loans, payments and accounts with missing keys, dates and cells, unsorted.
struct Random {
    loans: Vec<(Option<i64>, Option<i64>)>,
    others: Vec<Other>,
}

impl Random {
    fn new(rng: &mut Rng) -> Random {
        let mut maybe = |n: usize| if rng.uniform() < 0.05 { None } else { Some(rng.below(n) as i64) };
        let loans = (0..60).map(|_| (maybe(20), maybe(400))).collect();
        let others = (0..200).map(|_| (maybe(20), maybe(500), maybe(100))).collect();
        Random { loans, others }
    }

    fn tables(&self, batch: usize) -> BTreeMap<String, Table> {
        let row = (0..self.loans.len() as i64).map(Some).collect();
        let loans = vec![
            ("loan", numbers(self.loans.iter().map(|r| r.0).collect())),
            ("day", days(self.loans.iter().map(|r| r.1).collect())),
            ("row", numbers(row)),
        ];
        let number = (0..self.others.len() as i64).map(Some).collect();
        let others = table(
            "others.csv",
            batch,
            vec![
                ("loan", numbers(self.others.iter().map(|r| r.0).collect())),
                ("paid", days(self.others.iter().map(|r| r.1).collect())),
                ("late", numbers(self.others.iter().map(|r| r.2).collect())),
                ("number", numbers(number)),
            ],
        );
        tables(vec![("loans", table("loans.csv", batch, loans)), ("payments", others.clone()), ("accounts", others)])
    }
}

#[test]
fn an_as_of_join_takes_the_latest_row_and_never_a_later_one() {
    for seed in 0..40 {
        let mut rng = Rng::new(seed);
        let random = Random::new(&mut rng);
        let lag = rng.below(3) as i64 * 10;
        let text = format!(
            "[sources]\nloans = \"l\"\naccounts = \"a\"\n[main]\nsource = \"loans\"\ndate = \"day\"\n[roles]\ntarget = \"row\"\n\
             [[join]]\nsource = \"accounts\"\non = \"loan\"\ndate = \"paid\"\nlag_days = {lag}\ncolumns = [\"late\", \"number\"]"
        );
        let project = Project::parse(&text, "p.toml").unwrap();
        let assembled = project.assemble_tables(random.tables(1 + rng.below(70)), &run()).unwrap();
        let (rows, found) = (column(&assembled.table, "row"), column(&assembled.table, "number"));
        assert_eq!(rows.len(), random.loans.iter().filter(|l| l.1.is_some()).count());
        for (row, found) in rows.iter().zip(found) {
            let (loan, day) = random.loans[row.unwrap() as usize];
            let known = |(_, o): &(usize, &Other)| {
                loan.is_some() && o.0 == loan && o.1.is_some_and(|paid| paid + lag <= day.unwrap())
            };
            // max_by_key keeps the last of equal dates, as the join does.
            let expected =
                random.others.iter().enumerate().filter(known).max_by_key(|(_, o)| o.1).map(|(i, _)| i as f64);
            assert_eq!(found, expected, "seed {seed}, row {row:?}");
            if let Some(found) = found {
                assert!(random.others[found as usize].1.unwrap() + lag <= day.unwrap(), "a later row was joined");
            }
        }
    }
}

#[test]
fn the_definition_of_bad_agrees_with_a_naive_computation() {
    type Naive = fn(&[i64]) -> bool;
    let definitions: [(&str, Naive); 6] = [
        ("max(late) >= 90", |c| c.iter().any(|&x| x >= 90)),
        ("min(late) < 5", |c| c.iter().any(|&x| x < 5)),
        ("sum(late) > 150", |c| c.iter().sum::<i64>() > 150),
        ("count(late) = 2", |c| c.len() == 2),
        ("any(late) = 50 or max(late) < 20", |c| c.contains(&50) || (!c.is_empty() && c.iter().all(|&x| x < 20))),
        ("max(late) > 60 and count(late) >= 3", |c| c.iter().any(|&x| x > 60) && c.len() >= 3),
    ];
    for seed in 0..30 {
        let mut rng = Rng::new(1000 + seed);
        let random = Random::new(&mut rng);
        let data_end = random.others.iter().filter(|o| o.0.is_some()).filter_map(|o| o.1).max().unwrap();
        for (definition, naive) in definitions {
            let outcome = format!("bad = \"{definition}\"\nperformance_months = 2\nno_rows = \"good\"");
            let project = Project::parse(&file(&outcome, ""), "p.toml").unwrap();
            let mut all = random.tables(1 + rng.below(70));
            all.remove("accounts");
            let assembled = project.assemble_tables(all, &run()).unwrap();
            let mut expected = Vec::new();
            for (row, (loan, day)) in random.loans.iter().enumerate() {
                let Some(day) = day else { continue };
                let start = jiff::civil::date(1970, 1, 1).saturating_add(jiff::Span::new().days(*day));
                let window =
                    jiff::civil::date(1970, 1, 1).until(start.saturating_add(jiff::Span::new().months(2))).unwrap();
                let end = i64::from(window.get_days());
                if end > data_end {
                    continue;
                }
                let inside =
                    |o: &&Other| loan.is_some() && o.0 == *loan && o.1.is_some_and(|paid| paid > *day && paid <= end);
                let cells: Vec<i64> = random.others.iter().filter(inside).filter_map(|o| o.2).collect();
                expected.push((Some(row as f64), Some(f64::from(u8::from(naive(&cells))))));
            }
            let got: Vec<_> =
                column(&assembled.table, "row").into_iter().zip(column(&assembled.table, "bad")).collect();
            assert_eq!(got, expected, "{definition}, seed {seed}");
        }
    }
}

#[test]
fn the_template_is_a_project_that_parses() {
    let main = table(
        "loans.csv",
        9,
        vec![
            ("loan id", (Kind::Identifier, words(vec![Some("x"), Some("y")]).1)),
            ("client", (Kind::Identifier, words(vec![Some("x"), Some("x")]).1)),
            ("Day", days(vec![Some(1), Some(2)])),
            ("sex", words(vec![Some("F"), Some("M")])),
            ("amount", (Kind::Number, Arc::new(Float64Array::from(vec![1.5, 2.5])))),
            ("score", numbers(vec![Some(500), Some(600)])),
            ("default", numbers(vec![Some(0), Some(1)])),
        ],
    );
    let columns = guess_columns(&main);
    let text = template(Some("data \"x\"/loans.csv"), &columns);
    let project = Project::parse(&text, "p.toml").unwrap_or_else(|e| panic!("{e}\n{text}"));
    assert_eq!(project.sources["main"], "data \"x\"/loans.csv");
    let s = &project.settings;
    assert_eq!((s.target.as_str(), s.id.as_deref(), s.time.as_deref()), ("default", Some("loan id"), Some("Day")));
    assert_eq!((s.amount.as_deref(), s.baseline.as_deref()), (Some("amount"), Some("score")));
    assert_eq!((&s.protected[..], &s.drop[..]), (&["sex".to_string()][..], &["client".to_string()][..]));
    assert_eq!(s.types["amount"], Kind::Number);
    assert_eq!(s.types.len(), 7);
    project.assemble_tables(tables(vec![("main", main)]), &run()).unwrap();

    Project::parse(&template(None, &[]), "p.toml").unwrap();
    // What is commented out parses as well once the signs are removed, and with it every key is shown.
    let full: String = template(None, &[])
        .lines()
        .filter(|l| {
            !l.starts_with("target = ")
                && !l.contains("cutoff = ")
                && !l.contains("# approval_rate = ")
                && !l.contains("# weight = ")
                && !l.contains("# positive = ")
                && !l.contains("# mitigate = ")
        })
        .map(|l| match l.strip_prefix("# ") {
            Some(rest)
                if rest.starts_with("[[")
                    || rest.starts_with("[outcome]")
                    || rest.starts_with("[sequence")
                    || rest.starts_with("[image")
                    || rest.starts_with("[rejects]")
                    || rest.starts_with("[windows]")
                    || rest.contains(" = ") =>
            {
                format!("{rest}\n")
            }
            _ => format!("{l}\n"),
        })
        .collect();
    let project = Project::parse(&full, "p.toml").unwrap_or_else(|e| panic!("{e}\n{full}"));
    assert!(project.outcome.is_some() && project.joins.len() == 1 && project.exclusions.len() == 1);
    assert_eq!((project.settings.sequences.len(), project.settings.images["scan"].height), (1, 28));
    assert_eq!((project.rejects.as_deref(), project.settings.reject_factor), (Some("declined"), Some(1.0)));
    assert_eq!(project.settings.windows.map(|w| w.column_names().len()), Some(6));
}

#[test]
fn the_documented_example_parses_and_every_key_is_documented() {
    let guide = include_str!("../../../../docs/project-file.md");
    let example = guide.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let project = Project::parse(example, "docs/project-file.md").unwrap();
    assert_eq!(project.outcome.as_ref().unwrap().indeterminate_weight, Some(0.5));
    assert_eq!(project.files.reasons.as_deref(), Some("reasons.toml"));
    assert_eq!(project.settings.reject_inference, Some(RejectInference::Parcelling));
    let windows = guide.split("```toml\n").nth(2).and_then(|rest| rest.split("```").next()).unwrap();
    let project = Project::parse(&format!("{example}\n{windows}"), "docs/project-file.md").unwrap();
    assert_eq!(project.settings.windows.map(|w| w.column_names().len()), Some(9 + 6 + 20));
    for place in [
        "",
        "main.",
        "join.",
        "outcome.",
        "exclude.",
        "roles.",
        "columns.x.",
        "split.",
        "candidates.",
        "policy.",
        "rejects.",
    ] {
        // The reader itself tells which keys there are.
        let wrong = match place {
            "join." | "exclude." => format!("{example}\n[[{}]]\nnonsense = 1\n", place.trim_end_matches('.')),
            "" => format!("nonsense = 1\n{example}"),
            "columns.x." => format!("{example}\n[columns.x]\nnonsense = 1\n"),
            _ => example.replace(
                &format!("[{}]\n", place.trim_end_matches('.')),
                &format!("[{}]\nnonsense = 1\n", place.trim_end_matches('.')),
            ),
        };
        let error = Project::parse(&wrong, "p.toml").unwrap_err().to_string();
        let (_, keys) = error.split_once("expected one of ").or_else(|| error.split_once("expected ")).expect(&error);
        for key in keys.split('`').skip(1).step_by(2) {
            assert!(guide.contains(key), "docs/project-file.md does not explain {place}{key}");
        }
    }
}
