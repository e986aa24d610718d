//! The report of a bundle: the same bytes, bounded, escaped, in three languages, with a gap for all that is missing.

mod common;

use arrow_array::{ArrayRef, RecordBatch, StringArray};
use statera::bundle::Bundle;
use statera::decision::Own;
use statera::facts::Facts;
use statera::given::Given;
use statera::judge::{self, MeasuredOn};
use statera::pipeline;
use statera::policy::{Decision, Policy};
use statera::project::{Prefer, Settings};
use statera::reasons::{Language, Reasons};
use statera::recourse::Outcome;
use statera::report::{self, PACKS, Pack, Subject};
use statera_core::fairness::Rules;
use statera_core::{Kind, Rng, Run};
use statera_data::{ColumnInfo, Table};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, LazyLock};

const LANGUAGES: [Language; 3] = [Language::En, Language::Ko, Language::Zh];

const POLICY: &str = "version = \"2026-1\"\nreview_capacity = 0.1\n[decision]\nby = \"cost\"\nbad_approved = 5\n\
    good_declined = 1\n[[grade]]\nname = \"A\"\nfrom = 0\nto = 0.1\n[[grade]]\nname = \"B\"\nfrom = 0.1\nto = 1\n";

const REASONS: &str = "version = \"2026-1\"\n\
    [[reason]]\ncode = \"income\"\ncolumns = [\"income\", \"debt\"]\nen = \"The income is low for the debt\"\n\
    ko = \"부채에 비해 소득이 낮습니다\"\nzh = \"收入相对债务偏低\"\n\
    [[reason]]\ncode = \"late\"\ncolumns = [\"months\"]\nactionable = true\nen = \"Payments were late\"\n\
    ko = \"납부가 늦었습니다\"\nzh = \"还款有延迟\"\n\
    [[reason]]\ncode = \"place\"\ncolumns = [\"constant\", \"opened\"]\n\
    en = \"The account is young\"\nko = \"계좌 개설 기간이 짧습니다\"\nzh = \"账户开立时间短\"\n";

/// A bundle with everything that a report shows.
static WHOLE: LazyLock<Bundle> = LazyLock::new(train_whole);

fn train_whole() -> Bundle {
    let settings = Settings {
        models: vec!["scorecard".into(), "boosting".into()],
        protected: vec!["region".into()],
        drop: vec!["loss".into()],
        baseline: Some("weight".into()),
        units: [("income".to_string(), "KRW".to_string())].into(),
        sequences: BTreeMap::new(),
        ..common::settings("bad", "boosting")
    };
    let rules = Rules { min_rows: 30, n_bootstrap: 40, ..Rules::default() };
    let given = Given {
        policy: Some(Own { text: POLICY.into(), read: Policy::parse(POLICY).unwrap() }),
        reasons: Some(Own { text: REASONS.into(), read: Reasons::parse(REASONS).unwrap() }),
        rules: Some(Own { text: String::new(), read: rules }),
        ..Given::default()
    };
    let mut trained =
        pipeline::train(common::table(1500, 5), &settings, &BTreeMap::new(), &given, &Run::new(1, 2)).unwrap();
    // As `statera policy --recourse` does, which keeps the policy and its judgement.
    trained.bundle = trained.bundle.decided_by(None, None, Some(RECOURSE)).unwrap();
    assert!(trained.bundle.deciding.judgement.is_some());
    trained.bundle
}

const RECOURSE: &str = "version = \"r-7\"\n[[change]]\ncolumn = \"income\"\ndirection = \"increase\"\nstep = 100\n\
    max = 6000\n[[change]]\ncolumn = \"debt\"\ndirection = \"decrease\"\nmin = -3\nstep = 0.1\n[[change]]\n\
    column = \"months\"\ndirection = \"decrease\"\nmin = 0\n";

fn whole(language: Language) -> Subject<'static> {
    Subject::of(&WHOLE, report::judgement(&WHOLE), language).unwrap()
}

/// What a reader sees: without styles, markup, what is typed, and what is recorded in English.
fn visible(page: &str) -> String {
    let without = |text: &str, open: &str, close: &str| {
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once(open) {
            out.push_str(before);
            out.push(' ');
            rest = after.split_once(close).map_or("", |(_, after)| after);
        }
        out + rest
    };
    let mut text = page.to_string();
    for (open, close) in
        [("<style>", "</style>"), ("<ul lang=\"en\">", "</ul>"), ("<code>", "</code>"), ("<pre", "</pre>")]
    {
        text = without(&text, open, close);
    }
    without(&text, "<", ">")
}

#[test]
fn the_same_bundle_gives_the_same_bytes() {
    for language in LANGUAGES {
        let (a, b) = (report::html(&whole(language)).unwrap(), report::html(&whole(language)).unwrap());
        assert_eq!(a, b);
        assert!(a.len() < 1 << 20, "{} bytes", a.len());
        for what in ["<script", "src=", "@import", "url(", "javascript:", "<link", "⟦", " on"] {
            let what = what.trim();
            let found = if what == "on" { a.contains(" onclick") || a.contains(" onload") } else { a.contains(what) };
            assert!(!found, "{language:?}: {what}");
        }
        let addresses: Vec<&str> = a.match_indices("http").map(|(i, _)| &a[i..(i + 30).min(a.len())]).collect();
        assert!(addresses.iter().all(|t| t.starts_with("http://www.w3.org/2000/svg") || t.starts_with("http-equiv")));
        assert!(a.contains("default-src 'none'"));
    }
    assert_eq!(report::json(&whole(Language::En)).unwrap(), report::json(&whole(Language::En)).unwrap());
}

/// Writes the pages to the folder `$STATERA_PAGES`, where one wants to look at them.
#[test]
fn pages_can_be_looked_at() {
    let Ok(folder) = std::env::var("STATERA_PAGES") else { return };
    for (language, code) in LANGUAGES.into_iter().zip(["en", "ko", "zh"]) {
        let page = report::html(&whole(language)).unwrap();
        std::fs::write(Path::new(&folder).join(format!("report-{code}.html")), page).unwrap();
    }
}

#[test]
fn every_section_is_there_with_its_figures() {
    let page = report::html(&whole(Language::En)).unwrap();
    for name in [
        "purpose",
        "data",
        "leaderboard",
        "performance",
        "learning",
        "cutoff",
        "scorecard",
        "explanation",
        "examples",
        "reasons",
        "fairness",
        "stability",
        "privacy",
        "reproduce",
    ] {
        assert!(page.contains(&format!("<section id=\"{name}\"")), "{name}");
    }
    // Both lines of the KS picture have a band, and so have the other curves.
    let ks = page.split("<figcaption>KS</figcaption>").nth(1).unwrap().split("</figure>").next().unwrap();
    assert_eq!(ks.matches("<polygon").count(), 2);
    assert!(ks.contains("with the event, 95 % band") && ks.contains("without the event, 95 % band"));
    let scores = page.split("<figcaption>Distribution of scores</figcaption>").nth(1).unwrap();
    let scores = scores.split("</figure>").next().unwrap();
    assert!(scores.contains("with the event, 95 % intervals") && scores.contains("without the event, 95 % intervals"));
    // Six pictures of performance, one of learning, one of the what-if.
    assert_eq!(page.matches("<svg").count(), 8);
    assert_eq!(page.matches("<svg").count(), page.matches("role=\"img\"><title>").count());
    assert!(page.contains("The income is low for the debt") && page.contains("region east"));
    for what in [
        "Proxies of the protected columns",
        "all columns together",
        "Less discriminatory alternatives",
        "on the frontier",
        "under the model stands before the bar, that under the present score behind it",
        "they hold for all groups of a column at once",
    ] {
        assert!(page.contains(what), "{what}");
    }
    assert!(page.contains("Judged on the test rows") && page.contains("the first reason of"));
    let korean = report::html(&whole(Language::Ko)).unwrap();
    assert!(korean.contains("부채에 비해 소득이 낮습니다") && !korean.contains("The income is low"));
    // Money in won has no decimals.
    let facts: Facts = serde_json::from_value(WHOLE.facts.clone()).unwrap();
    assert!(facts.dependence.iter().any(|d| d.column == "income"));
    let income = page.split("income = ").nth(1).unwrap().split('<').next().unwrap();
    assert!(!income.contains('.'), "{income}");
}

#[test]
fn declined_examples_say_what_would_turn_them() {
    let subject = whole(Language::En);
    let asked: Vec<_> = subject.examples.iter().filter_map(|e| e.explanation.recourse.as_ref()).collect();
    assert!(!asked.is_empty() && asked.len() < subject.examples.len(), "some example is approved and some is not");
    for example in &subject.examples {
        let decision = example.explanation.decision.unwrap();
        assert_eq!(example.explanation.recourse.is_none(), decision == Decision::Approve);
    }
    let found = asked.iter().find(|f| f.outcome == Outcome::Found).expect("the changes go far enough");
    // No clock limits the search, so that the report has the same bytes everywhere.
    assert!(asked.iter().all(|f| f.time_limit_ms.is_none() && f.outcome != Outcome::TimeRanOut));
    let change = &found.answers[0].changes[0];
    let page = report::html(&subject).unwrap();
    assert!(page.contains("Recourse r-7. With one of these changes, each scored again"));
    assert!(page.contains(&format!("1. {}: ", change.column)) && page.contains("(probability then "), "{change:?}");
    let document = report::json(&subject).unwrap();
    assert_eq!(document["recourse"]["version"], "r-7");
    let in_json: Vec<_> =
        document["examples"].as_array().unwrap().iter().map(|e| &e["explanation"]["recourse"]).collect();
    assert_eq!(in_json.iter().filter(|r| !r.is_null()).count(), asked.len());
    for (language, words) in [(Language::Ko, "변경 안내 r-7."), (Language::Zh, "改善建议 r-7。")] {
        assert!(report::html(&whole(language)).unwrap().contains(words));
    }
}

#[test]
fn groups_and_notes_are_in_the_language_of_the_page() {
    // Parts of the protected number, by value: below the first quarter, between, from the last one.
    let protected = ["region", "loss"].map(String::from);
    let judgement = judge::judge(&WHOLE, &common::table(900, 9), &protected, &Run::new(1, 2)).unwrap();
    let recorded: Vec<&String> = judgement.groups.iter().filter(|g| g.starts_with("loss below ")).collect();
    assert_eq!(recorded.len(), 1, "{:?}", judgement.groups);
    let said = |language| {
        let subject = Subject::of(&WHOLE, Some(&judgement), language).unwrap();
        let card = report::document(&subject, Pack::find("model-card").unwrap(), None).unwrap();
        assert!(card.contains("region east, loss "), "{card}");
        [report::html(&subject).unwrap(), card]
    };
    assert!(said(Language::En).iter().all(|text| text.contains("loss below")));
    for (language, below) in [(Language::Ko, "미만"), (Language::Zh, "低于")] {
        for text in said(language) {
            assert!(!text.contains("loss below") && text.contains(below), "{language:?}");
        }
    }
    // A bundle of a former version has its names in English only: they stay.
    let mut former = judgement.clone();
    former.group_parts.clear();
    let subject = Subject::of(&WHOLE, Some(&former), Language::Ko).unwrap();
    assert!(report::html(&subject).unwrap().contains(recorded[0].as_str()));

    let mut settings = common::settings("bad", "logistic");
    settings.models = vec!["scorecard".into()];
    settings.prefer = Prefer::Ensemble;
    let trained =
        pipeline::train(common::table(600, 5), &settings, &BTreeMap::new(), &Given::default(), &Run::new(1, 2))
            .unwrap();
    let english = "an ensemble needs at least two candidates; the only one is used alone";
    assert!(trained.facts.notes.iter().any(|n| n == english), "machines and terminals read English");
    let page = |bundle: &Bundle, language| report::html(&Subject::of(bundle, None, language).unwrap()).unwrap();
    assert!(page(&trained.bundle, Language::En).contains(english));
    let korean = page(&trained.bundle, Language::Ko);
    assert!(!korean.contains(english) && korean.contains("앙상블에는 후보가 둘 이상 필요합니다"));
    let mut bundle = trained.bundle;
    bundle.facts.as_object_mut().unwrap().remove("coded_notes");
    assert!(page(&bundle, Language::Ko).contains(english), "what was recorded in English only stays");
}

#[test]
fn korean_and_chinese_pages_hold_no_english_but_names() {
    // Names: of the bank's columns, levels and features, of methods, figures and files.
    const NAMES: &[&str] = &[
        "income",
        "loss",
        "month",
        "weekday",
        "day",
        "hour",
        "debt",
        "months",
        "region",
        "constant",
        "opened",
        "weight",
        "bad",
        "north",
        "south",
        "east",
        "west",
        "rare",
        "AUC",
        "ROC",
        "KS",
        "ECE",
        "PSI",
        "VIF",
        "WoE",
        "RMSE",
        "DeLong",
        "Brier",
        "BLAKE3",
        "KRW",
        "json",
        "late",
        "place",
        "project",
        "toml",
        "sensitivity",
        "personal",
        "docs",
        "file",
        "statera",
        "zip",
        "LSTM",
        "GRU",
        "Platt",
        "UTC",
    ];
    for language in [Language::Ko, Language::Zh] {
        let text = visible(&report::html(&whole(language)).unwrap());
        let words = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|w| w.len() > 2);
        let english: Vec<&str> = words
            .filter(|w| w.chars().all(|c| c.is_ascii_alphabetic()))
            .filter(|w| !NAMES.iter().any(|n| n.eq_ignore_ascii_case(w)))
            .collect();
        assert!(english.is_empty(), "{language:?}: {english:?}");
    }
}

#[test]
fn a_bundle_that_knows_little_says_so() {
    let settings = Settings { test_share: 0.0, ..common::settings("bad", "logistic") };
    let trained =
        pipeline::train(common::table(600, 5), &settings, &BTreeMap::new(), &Given::default(), &Run::new(1, 2))
            .unwrap();
    let document = report::json(&Subject::of(&trained.bundle, None, Language::En).unwrap()).unwrap();
    let gaps: Vec<&str> = document["gaps"].as_array().unwrap().iter().map(|g| g["section"].as_str().unwrap()).collect();
    assert_eq!(
        gaps,
        [
            "data",
            "data",
            "leaderboard",
            "leaderboard",
            "cutoff",
            "cutoff",
            "scorecard",
            "reasons",
            "fairness",
            "stability",
            "privacy"
        ]
    );
    let page = report::html(&Subject::of(&trained.bundle, None, Language::En).unwrap()).unwrap();
    assert_eq!(page.matches("<div class=\"gap\">").count(), gaps.len());
    assert!(page.contains("--protected A,B"), "the gap says what would fill it");
}

#[test]
fn bundles_of_former_formats_have_reports() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/artifact");
    for (format, name) in [(1, "scorecard"), (2, "ensemble"), (3, "boosting"), (3, "mlp")] {
        let bundle = Bundle::read(&folder.join(format!("format-{format}/{name}.zip"))).unwrap();
        let page = report::html(&Subject::of(&bundle, None, Language::Zh).unwrap()).unwrap();
        assert!(page.contains("模型包没有曲线的区间带") && page.contains("未测量各群体的情况"), "format {format}");
        assert_eq!(page.matches("<svg").count(), if name == "boosting" || name == "mlp" { 6 } else { 5 });
    }
}

/// A table of many columns with hostile names and long, numerous levels.
fn hostile(n: usize, n_columns: usize) -> Table {
    let mut rng = Rng::new(3);
    let bad: Vec<String> = (0..n).map(|_| rng.below(2).to_string()).collect();
    let name = |c: usize| format!("<script>alert({c})</script> \"'&|*_`{}", "long".repeat(40));
    let mut columns: Vec<(String, ArrayRef)> = (0..n_columns)
        .map(|c| {
            let level = |i: usize| format!("</td><img src=x onerror=alert(1)> {} {}", (i + c) % 12, "y".repeat(300));
            (name(c), Arc::new((0..n).map(|i| Some(level(i))).collect::<StringArray>()) as ArrayRef)
        })
        .collect();
    columns.push(("bad".into(), Arc::new(StringArray::from(bad))));
    let infos = columns.iter().map(|(name, _)| ColumnInfo { name: name.clone(), kind: Kind::Category }).collect();
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    Table { columns: infos, batches: vec![batch], origin: "hostile".into() }
}

#[test]
fn hostile_names_are_escaped_and_the_size_is_bounded() {
    let settings =
        Settings { target: "bad".into(), quick: true, models: vec!["logistic".into()], ..Settings::default() };
    let table = hostile(240, 400);
    let trained = pipeline::train(table, &settings, &BTreeMap::new(), &Given::default(), &Run::new(1, 2)).unwrap();
    let subject = Subject::of(&trained.bundle, None, Language::En).unwrap();
    let page = report::html(&subject).unwrap();
    for what in ["<script", "<img", "</td><img", "onerror=alert(1)>"] {
        assert!(!page.contains(what), "{what}");
    }
    assert!(page.contains("&lt;script&gt;"));
    assert!(page.len() < 2 << 20, "{} bytes", page.len());
    for pack in PACKS {
        let text = report::document(&subject, pack, None).unwrap();
        assert!(!text.contains("<script") && !text.contains("<img"), "{}", pack.name);
        let rows: Vec<&str> = text.lines().filter(|l| l.starts_with("| &lt;")).collect();
        assert!(!rows.is_empty() && rows.iter().all(|l| l.matches(" | ").count() <= 2), "a name ends no cell");
    }
}

#[test]
fn documents_are_filled_in_every_language() {
    for pack in PACKS {
        for language in LANGUAGES {
            let text = report::document(&whole(language), pack, None).unwrap();
            for what in ["{{", "{%", "⟦", "none", "undefined"] {
                assert!(!text.contains(what), "{} {language:?}: {what}", pack.name);
            }
            assert!(text.contains(&whole(language).digest), "{}", pack.name);
            assert!(text.matches("**[").count() > 4, "{}: what only people can say is a gap", pack.name);
            let own = match language {
                Language::En => "to be filled in",
                Language::Ko => "작성 필요",
                Language::Zh => "待填写",
            };
            assert!(text.contains(own), "{} {language:?}", pack.name);
        }
    }
    let annex = report::document(&whole(Language::En), Pack::find("eu-annex-iv").unwrap(), None).unwrap();
    let points: Vec<&str> = annex.lines().filter(|l| l.starts_with("## ")).map(|l| &l[3..5]).collect();
    assert_eq!(points, ["1.", "2.", "3.", "4.", "5.", "6.", "7.", "8.", "9.", "Wh"]);
}

#[test]
fn documents_say_of_which_rows_and_cut_off_their_figures_are() {
    let mut judgement = report::judgement(&WHOLE).unwrap().clone();
    let own = report::document(&whole(Language::En), Pack::find("sr-26-2").unwrap(), None).unwrap();
    assert!(own.contains("Judged on the test rows. Rows: ") && own.contains("From there the policy declines."));
    (judgement.measured_on, judgement.is_training_table) = (MeasuredOn::Table, true);
    let group = judgement.fairness[0].clone();
    judgement.fairness.resize(75, group);
    (judgement.fairness[0].is_small, judgement.fairness[0].is_reference) = (true, true);
    for (language, said) in [
        (
            Language::En,
            [
                "the rows that the model was trained on: the figures flatter",
                "(reference) (too small to be judged)",
                "15 more are not shown",
                "count a row as an event from a probability of",
            ],
        ),
        (
            Language::Ko,
            [
                "모형을 학습한 바로 그 행",
                "(기준) (너무 작아 판단하지 않음)",
                "15건은 표시하지 않았습니다",
                "부터 사건으로 봅니다",
            ],
        ),
        (Language::Zh, ["这正是训练模型所用的行", "(参照) (太小，不作判断)", "另有 15 项未显示", "起视为事件"]),
    ] {
        let subject = Subject::of(&WHOLE, Some(&judgement), language).unwrap();
        for pack in PACKS {
            let text = report::document(&subject, pack, None).unwrap();
            for words in said {
                assert!(text.contains(words), "{} {language:?}: «{words}» is not in\n{text}", pack.name);
            }
            assert!(!text.contains("Judged on the test rows"), "{}", pack.name);
        }
        let page = report::html(&subject).unwrap();
        assert!(page.contains(said[0]));
    }
}

#[test]
fn figures_name_the_rows_and_the_cut_off_that_they_are_of() {
    let facts: Facts = serde_json::from_value(WHOLE.facts.clone()).unwrap();
    let page = report::html(&whole(Language::En)).unwrap();
    let n = facts.n_train;
    assert!(n < facts.n_rows && page.contains(&format!("trained on {},{:03} of 1,500 rows", n / 1000, n % 1000)));
    assert!(page.contains("From there the policy declines.") && page.contains("declined from "));
    // Another policy, given later: the figures stay those of the training, and say so.
    let later = POLICY.replace("bad_approved = 5", "bad_approved = 9");
    let bundle = train_whole().decided_by(Some(&later), None, None).unwrap();
    let subject = Subject::of(&bundle, None, Language::En).unwrap();
    let card = report::document(&subject, Pack::find("model-card").unwrap(), None).unwrap();
    for text in [report::html(&subject).unwrap(), card] {
        assert!(text.contains("This is not the cut-off of the policy, which declines from "), "{text}");
    }
    assert!(
        report::html(&subject).unwrap().contains("in accuracy, precision, recall and F1; the policy declines from")
    );
}

#[test]
fn a_bank_edits_templates_and_its_mistakes_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("templates");
    let written = report::write_templates(&place, false).unwrap();
    assert_eq!(written.len(), 1 + 3 * PACKS.len());
    let again = report::write_templates(&place, false).unwrap_err().to_string();
    assert!(again.ends_with("common.md exists; replace it with --force"), "{again}");
    report::write_templates(&place, true).unwrap();
    let (subject, card) = (whole(Language::En), Pack::find("model-card").unwrap());
    assert_eq!(
        report::document(&subject, card, Some(&place)).unwrap(),
        report::document(&subject, card, None).unwrap()
    );
    let own = place.join("model-card.en.md");
    let filled = |text: &str| {
        std::fs::write(&own, text).unwrap();
        report::document(&subject, card, Some(&place)).map_err(|e| e.to_string())
    };
    let text = "{{ facts.n_rows|count }} rows; {{ facts.no_such|percent }}; {{ todo('owner') }}";
    assert_eq!(filled(text).unwrap(), "1,500 rows; **[not known]**; **[to be filled in: owner]**\n");
    for (text, said) in [
        ("{{ nothing.at.all }}", "undefined"),
        ("{% for %}", "syntax error"),
        ("{% for i in range(10000) %}{% for j in range(10000) %}{{ j }}{% endfor %}{% endfor %}", "fuel"),
        ("{% include '/etc/passwd' %}", "template not found"),
    ] {
        let error = filled(text).unwrap_err();
        assert!(error.contains("model-card.en.md") && error.contains(said), "{text}: {error}");
    }
    std::fs::remove_file(&own).unwrap();
    std::fs::write(place.join("model-card.en.html"), "<p>{{ '<b>' }}</p>").unwrap();
    assert_eq!(report::document(&subject, card, Some(&place)).unwrap(), "<p>&lt;b&gt;</p>\n");
    let nowhere = report::document(&subject, card, Some(Path::new("no-such-folder"))).unwrap_err().to_string();
    assert_eq!(nowhere, "--templates no-such-folder: there is no such folder");
    assert_eq!(
        Pack::find("nis2").unwrap_err().to_string(),
        "no document «nis2»; there are model-card, eu-annex-iv, sr-26-2, kr-fsc"
    );
}

#[test]
fn other_tasks_have_reports_too() {
    for target in ["loss", "region"] {
        let settings = Settings { models: vec!["boosting".into()], ..common::settings(target, "boosting") };
        let table = common::table_for(target, 900);
        let trained = pipeline::train(table, &settings, &BTreeMap::new(), &Given::default(), &Run::new(1, 2)).unwrap();
        let subject = Subject::of(&trained.bundle, None, Language::Ko).unwrap();
        let page = report::html(&subject).unwrap();
        assert!(page.contains("한 사건을 예측하는 모형에만 있습니다"), "{target}");
        assert_eq!(subject.examples.len(), if target == "loss" { 3 } else { 0 });
        for pack in PACKS {
            report::document(&subject, pack, None).unwrap();
        }
    }
}

#[test]
fn facts_hold_what_the_pictures_need() {
    let facts: Facts = serde_json::from_value(WHOLE.facts.clone()).unwrap();
    let bands = facts.bands.expect("a binary model has bands");
    assert!(bands.roc.iter().all(|b| 0.0 <= b.low && b.low <= b.high && b.high <= 1.0));
    let n: f64 = facts.score_distribution.iter().map(|b| b.n_events + b.n_others).sum();
    assert_eq!(n, facts.n_test as f64);
    let income = facts.dependence.iter().find(|d| d.column == "income").expect("income matters");
    assert!(income.bins.len() > 3 && income.bins.iter().all(|b| b.n_rows >= 10 && b.low <= b.mean && b.mean <= b.high));
    // Higher income, lower risk: the first bin adds more than the last.
    let numbers: Vec<f64> = income
        .bins
        .iter()
        .filter(|b| matches!(b.label, statera::bins::BinLabel::Range { .. }))
        .map(|b| b.mean)
        .collect();
    assert!(numbers[0] > 0.0 && numbers[numbers.len() - 1] < 0.0, "{numbers:?}");
    let stability = facts.stability.expect("there is a test");
    assert_eq!((stability.n_train, stability.n_test), (facts.n_train, facts.n_test));
    assert!(stability.columns.iter().all(|s| s.psi >= 0.0 && s.bound > 0.0) && stability.columns.len() > 2);
    assert!(stability.columns.iter().all(|s| s.column != "opened"), "times are left out");
    let background = facts.background.expect("a table has background rows");
    assert!(background.n_rows == WHOLE.background.as_ref().unwrap().rows.num_rows() && background.n_alike == 0);
}

#[test]
fn additive_models_have_no_interactions_and_trees_do() {
    let interactions = |model: &str| {
        let settings = Settings { quick: false, ..common::settings("bad", model) };
        let table = common::table(900, 5);
        let trained = pipeline::train(table, &settings, &BTreeMap::new(), &Given::default(), &Run::new(1, 2)).unwrap();
        trained.facts.interactions.expect("measured")
    };
    assert_eq!(interactions("logistic"), []);
    let found = interactions("boosting");
    assert!(!found.is_empty() && found.windows(2).all(|w| w[0].strength >= w[1].strength), "{found:?}");
}
