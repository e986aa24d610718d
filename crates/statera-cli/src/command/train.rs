//! `statera train`.

use super::{chart, judgement, reading, segment};
use crate::args::{Mitigation, Prefer, RejectInference, Train, UseCase};
use crate::console::{Console, count, counted, figure, seconds};
use serde_json::json;
use statera::alerts::{Alerts, Reviewed};
use statera::bundle::Bundle;
use statera::card::CardLine;
use statera::checkpoint::CheckpointFolder;
use statera::decision::Own;
use statera::ensemble;
use statera::facts::Facts;
use statera::given::Given;
use statera::judge;
use statera::leaderboard::{BASELINE, Entry};
use statera::models::{self, SCORECARD};
use statera::pipeline::{self, Timing, Trained};
use statera::policy::Policy;
use statera::project::{self, Project, Settings};
use statera::reasons::Reasons;
use statera::search::{SearchFacts, TUNED};
use statera::segment::parse_clusters;
use statera::use_case;
use statera_core::metric::{self, Interval, Measured};
use statera_core::{Error, Result, Run, Task};
use statera_data::Table;
use statera_data::infer::TextFormat;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub fn run(args: &Train, console: &Console, run: &Run) -> anyhow::Result<()> {
    // Said before the work, not after it.
    Bundle::check_place(&args.out, args.force)?;
    let bins = args.bins.as_ref().map(|path| read_bins(path)).transpose()?;
    let Input { table, settings, formats, given } =
        if args.data.ends_with(".toml") { from_project(args, console, run)? } else { from_table(args, run)? };
    let given = Given { bins, ..given };
    given.check_settings(&settings)?;
    let checkpoint = Arc::new(CheckpointFolder::beside(&args.out, args.resume, console.noting()));
    let run = run.clone().with_seed(settings.seed).with_checkpoints(checkpoint.clone());
    if settings.use_case == project::UseCase::Segment {
        return segment::run(table, &settings, &formats, args, console, &run);
    }
    let trained = pipeline::train(table, &settings, &formats, &given, &run);
    let mut trained = trained.map_err(|e| checkpoint.explain(e))?;
    trained.bundle.write(&args.out, args.force, &run).map_err(|e| checkpoint.explain(e))?;
    checkpoint.remove()?;
    if console.json {
        return console.print_json(&json!({
            "bundle": args.out,
            "digest": trained.bundle.digest()?,
            "facts": trained.facts,
            "judgement": trained.bundle.deciding.judgement,
            "timings": trained.timings,
        }));
    }
    print(&trained, console);
    judgement::print(&trained.bundle.deciding, console);
    console.line(format!("\nThe bundle is {}; next:", args.out.display()));
    console.line(format!("  statera score {} NEW.csv{} --out scores.csv", args.out.display(), beside(&trained)));
    Ok(())
}

/// What is given beside rows to be scored: windows count what came before them, networks are made of edges.
fn beside(trained: &Trained) -> &'static str {
    match (trained.bundle.windows.is_some(), trained.bundle.network.is_some()) {
        (_, true) => " --history BEFORE.csv --edges EDGES.csv",
        (true, false) => " --history BEFORE.csv",
        (false, false) => "",
    }
}

fn read_text(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|e| Error::request(format!("{}: {e}", path.display())))
}

/// A `bins.toml`, known to be one.
fn read_bins(path: &Path) -> Result<String> {
    let text = read_text(path)?;
    models::check_bins(&text, None).map_err(|e| e.at(path.display()))?;
    Ok(text)
}

/// What a training is of.
struct Input {
    table: Table,
    settings: Settings,
    formats: BTreeMap<String, TextFormat>,
    given: Given,
}

/// The bank's files at paths that flags or a project file name.
fn read_files(paths: [Option<PathBuf>; 3], rejects: Option<String>, edges: Option<String>) -> Result<Given> {
    let [policy, reasons, rules] = paths;
    Ok(Given {
        bins: None,
        policy: policy.map(|path| Own::read(&path, Policy::parse)).transpose()?,
        reasons: reasons.map(|path| Own::read(&path, Reasons::parse)).transpose()?,
        rules: rules.map(|path| Own::read(&path, judge::parse_rules)).transpose()?,
        rejects,
        edges,
    })
}

fn from_table(args: &Train, run: &Run) -> Result<Input> {
    let files = [&args.policy, &args.reasons, &args.rules].map(Clone::clone);
    let given = read_files(files, args.rejects.clone(), args.edges.clone())?;
    let mut settings = Settings::default();
    override_settings(&mut settings, args)?;
    if settings.target.is_empty() && settings.use_case != project::UseCase::Segment {
        return Err(Error::request(format!(
            "which column of {} is to be predicted? name it with --target COL",
            args.data
        )));
    }
    let mut options = reading::options(&args.reading)?;
    options.tz = settings.tz.clone();
    settings.types = options.types.clone();
    let (table, facts) = reading::table(&args.data, &options, run)?;
    let formats = reading::formats(&facts);
    Ok(Input { table, settings, formats, given })
}

fn from_project(args: &Train, console: &Console, run: &Run) -> Result<Input> {
    if !args.reading.types.is_empty() || args.reading.tz.is_some() {
        return Err(Error::request(format!(
            "--types and --tz say how a table is read; with a project file they belong into {}",
            args.data
        )));
    }
    let path = Path::new(&args.data);
    let project = Project::parse(&read_text(path)?, &args.data)?;
    let base = path.parent().unwrap_or(Path::new(""));
    let files = &project.files;
    let named = [(&args.policy, &files.policy), (&args.reasons, &files.reasons), (&args.rules, &files.rules)];
    let files = named.map(|(flag, named)| flag.clone().or_else(|| named.as_ref().map(|name| base.join(name))));
    let rejects = args.rejects.clone().or_else(|| project.rejects_address(base));
    let given = read_files(files, rejects, args.edges.clone())?;
    let assembled = project.assemble(base, run)?;
    for join in &assembled.joins {
        console.note(format!("join of {}: {} of {} rows have a match", join.source, join.matched, join.rows));
    }
    for step in &assembled.steps {
        console.note(format!("{}: {} of {} rows left", step.name, step.after, step.before));
    }
    if let Some(edges) = assembled.edges {
        let left_out = [(edges.n_without_consent, "without consent"), (edges.n_to_itself, "from a node to itself")];
        let left_out =
            left_out.iter().filter(|(n, _)| *n > 0).map(|(n, why)| format!(", {} {why} left out", count(*n as f64)));
        console.note(format!("edges: {} used{}", count(edges.n_used as f64), left_out.collect::<String>()));
    }
    let mut settings = assembled.settings;
    override_settings(&mut settings, args)?;
    Ok(Input { table: assembled.table, settings, formats: assembled.formats, given })
}

/// Flags that are given take the place of what the project file says.
fn override_settings(settings: &mut Settings, args: &Train) -> Result<()> {
    let set = |to: &mut Option<String>, from: &Option<String>| {
        if from.is_some() {
            to.clone_from(from);
        }
    };
    if let Some(use_case) = args.use_case {
        settings.use_case = match use_case {
            UseCase::Table => project::UseCase::Table,
            UseCase::Credit => project::UseCase::Credit,
            UseCase::Fraud => project::UseCase::Fraud,
            UseCase::Segment => project::UseCase::Segment,
        };
    }
    settings.clusters = args.clusters.as_deref().map(parse_clusters).transpose()?.or(settings.clusters);
    if let Some(target) = &args.target {
        settings.target.clone_from(target);
    }
    set(&mut settings.positive, &args.positive);
    set(&mut settings.id, &args.id);
    set(&mut settings.time, &args.time);
    set(&mut settings.label_delay, &args.label_delay);
    set(&mut settings.group, &args.group);
    set(&mut settings.weight, &args.weight);
    set(&mut settings.amount, &args.amount);
    set(&mut settings.card, &args.card);
    set(&mut settings.terminal, &args.terminal);
    settings.capacity = args.capacity.or(settings.capacity);
    settings.review_cost = args.review_cost.or(settings.review_cost);
    set(&mut settings.baseline, &args.baseline);
    set(&mut settings.tz, &args.reading.tz);
    settings.protected.extend(args.protected.iter().cloned());
    settings.drop.extend(args.drop.iter().cloned());
    if !args.models.is_empty() {
        settings.models.clone_from(&args.models);
    }
    if let Some(prefer) = args.prefer {
        settings.prefer = match prefer {
            Prefer::Best => project::Prefer::Best,
            Prefer::Simple => project::Prefer::Simple,
            Prefer::Ensemble => project::Prefer::Ensemble,
        };
    }
    if args.trials.is_some() || args.budget.is_some() {
        (settings.trials, settings.budget) = (args.trials, args.budget.clone());
    }
    settings.winsorize = args.winsorize.or(settings.winsorize);
    settings.test_share = args.test.unwrap_or(settings.test_share);
    settings.folds = args.folds.unwrap_or(settings.folds);
    settings.seed = args.seed.unwrap_or(settings.seed);
    if args.cutoff.is_some() || args.approval_rate.is_some() {
        (settings.cutoff, settings.approval_rate) = (args.cutoff, args.approval_rate);
    }
    override_variants(settings, args);
    for flag in &args.missing {
        let (column, values) = flag
            .split_once('=')
            .filter(|(_, values)| !values.is_empty())
            .ok_or_else(|| Error::request(format!("--missing {flag}: allowed is COL=VALUE,VALUE")))?;
        settings.missing.entry(column.into()).or_default().extend(values.split(',').map(String::from));
    }
    for flag in &args.monotone {
        let direction = flag.rsplit_once('=').and_then(|(column, sign)| match sign {
            "+" | "1" => Some((column, 1)),
            "-" | "-1" => Some((column, -1)),
            _ => None,
        });
        let (column, direction) = direction.ok_or_else(|| {
            Error::request(format!("--monotone {flag}: allowed is COL=+ (rising) or COL=- (falling)"))
        })?;
        settings.monotone.insert(column.into(), direction);
    }
    use_case::complete(settings)
}

/// The flags of candidates that are fitted on other weights or more rows.
fn override_variants(settings: &mut Settings, args: &Train) {
    settings.mitigate =
        args.mitigate.map(|Mitigation::Reweighing| project::Mitigation::Reweighing).or(settings.mitigate);
    let inference = args.reject_inference.map(|inference| match inference {
        RejectInference::Parcelling => project::RejectInference::Parcelling,
        RejectInference::Fuzzy => project::RejectInference::Fuzzy,
    });
    settings.reject_inference = inference.or(settings.reject_inference);
    settings.reject_factor = args.reject_factor.or(settings.reject_factor);
}

/// What was found, on one screen.
pub fn print(trained: &Trained, console: &Console) {
    let facts = &trained.facts;
    for note in &facts.notes {
        console.note(note);
    }
    let rate = facts.event_rate.map_or(String::new(), |rate| {
        let event = facts.classes.last().map_or("", String::as_str);
        format!(", {} = {event} in {:.1} %", facts.target, 100.0 * rate)
    });
    console.paragraph(format!("{} rows{rate}; split {}", count(facts.n_rows as f64), facts.split));
    print_board(trained, console);
    let board = &facts.leaderboard;
    if [&board.best, &board.simplest, &board.chosen].iter().any(|name| name.starts_with(SCORECARD)) {
        card(&facts.scorecard, console);
    }
    swap_set(facts, console);
    alerts(facts, console);
}

/// What a fraud desk finds, in a paragraph.
fn alerts(facts: &Facts, console: &Console) {
    let Some(alerts) = &facts.alerts else { return };
    let text = desk(alerts);
    console.paragraph(format!("{text} Alerts from a probability of {}", figure(facts.leaderboard.cutoff)));
}

/// What a desk of the capacity looks at, what is fraud among it, and which share of all frauds that is.
pub fn desk(alerts: &Alerts) -> String {
    let Some(Reviewed { n_days, n_alerts, n_caught, n_with_fraud }) = alerts.reviewed else { return String::new() };
    let own = alerts.by_capacity.iter().find(|p| p.capacity == alerts.capacity);
    let percent = |i: &Interval| format!("{:.1} % [{:.1}, {:.1}]", 100.0 * i.value, 100.0 * i.low, 100.0 * i.high);
    let share = |n: usize, of: usize| format!("{:.1} %", 100.0 * n as f64 / of.max(1) as f64);
    let saved = own.and_then(|p| p.share_saved.as_ref());
    let saved = saved.map_or(String::new(), |s| format!(", and saves {} of the fraudulent money", percent(s)));
    let precision = own.map_or(String::new(), |p| format!(" Card precision: {}.", percent(&p.card_precision)));
    format!(
        "A desk that looks at up to {} a day has {} in {}; {} of them {} fraud ({}). It finds {} of {}{saved}.{precision}",
        counted(alerts.capacity, "card", "cards"),
        counted(n_alerts, "alert", "alerts"),
        counted(n_days, "day", "days"),
        count(n_caught as f64),
        if n_caught == 1 { "is" } else { "are" },
        share(n_caught, n_alerts),
        share(n_caught, n_with_fraud),
        counted(n_with_fraud, "card with a fraud", "cards with a fraud"),
    )
}

/// The scorecard, a line a characteristic.
fn card(lines: &[CardLine], console: &Console) {
    let header = ["Scorecard", "Bins", "IV", "Marginal IV", "Coefficient", "p-value", "VIF", "Points"];
    let on_card = lines.iter().filter_map(|line| Some((line, line.estimate?)));
    let rows = on_card.map(|(line, estimate)| {
        vec![
            line.characteristic.clone(),
            line.n_bins.to_string(),
            figure(line.iv),
            figure(line.marginal_iv),
            figure(estimate.coefficient),
            p_value(estimate.p_value),
            format!("{:.2}", estimate.vif),
            format!("0–{}", line.most_points.unwrap_or_default()),
        ]
    });
    console.line("");
    console.table(&header, rows.collect());
    let left_out: Vec<String> = lines
        .iter()
        .filter_map(|line| Some(format!("{} ({})", line.characteristic, line.left_out.as_ref()?)))
        .collect();
    if !left_out.is_empty() {
        console.paragraph(format!("Not on the card: {}", left_out.join("; ")));
    }
}

fn p_value(p: f64) -> String {
    if p < 1e-4 { "< 0.0001".into() } else { format!("{p:.4}") }
}

/// The leaderboard and what was chosen.
pub fn print_board(trained: &Trained, console: &Console) {
    let facts = &trained.facts;
    leaderboard(facts, &trained.timings, console);
    let title = |name: &str| {
        facts.leaderboard.entries.iter().find(|e| e.model == name).map_or(name.into(), |e| e.title.clone())
    };
    chart::learning_curves(facts, console);
    let board = &facts.leaderboard;
    if let Some(search) = &facts.search {
        search_lines(search, facts, console);
    }
    if let Some(entry) = board.entries.iter().find(|e| e.model == ensemble::NAME) {
        console.paragraph(ensemble_line(entry, trained));
    }
    let mut chosen = format!("Best: {}.", title(&board.best));
    if board.simplest != board.best {
        chosen += &format!(" Simplest within one standard error: {}.", title(&board.simplest));
    }
    chosen += &match facts.task {
        Task::Regression => format!(" Used: {}.", title(&board.chosen)),
        _ => format!(" Used: {}, calibrated by {}.", title(&board.chosen), facts.calibration),
    };
    console.paragraph(chosen);
    let most: Vec<String> = facts.importance.iter().take(5).map(|(name, value)| format!("{name} {value:.2}")).collect();
    let unit = match facts.task {
        Task::Regression => facts.target.as_str(),
        _ => "the log-odds",
    };
    console.paragraph(format!(
        "What moves the score most (mean |contribution| to {unit} over {} rows): {}",
        count(facts.n_importance as f64),
        most.join(", ")
    ));
}

/// What the search tried, what the best settings gained where they were found, and what they gain on other rows.
fn search_lines(search: &SearchFacts, facts: &Facts, console: &Console) {
    let metric = metric::primary(facts.task);
    let count = |n: usize| count(n as f64);
    let title = |name: &str| models::family(name).map_or(name.to_string(), |f| f.title_for(facts.task).to_string());
    console.paragraph(format!(
        "Search: {}, fitted on {} rows and judged on {} others; the leaderboard is of the remaining {}.",
        counted(search.trials.len(), "trial", "trials"),
        search.n_rows.iter().map(|n| count(*n)).collect::<Vec<_>>().join(", then "),
        count(search.n_judging),
        count(search.n_leaderboard),
    ));
    for family in &search.families {
        let title = title(&family.family);
        let pruned = search.trials.iter().filter(|t| t.family == family.family && t.pruned).count();
        let mut line =
            format!("  {title}: {}, {pruned} of them ended early.", counted(family.n_trials, "trial", "trials"));
        let best = family.best_trial.and_then(|number| search.trials.iter().find(|t| t.number == number));
        if let (Some(best), Some(gain)) = (best, &family.gain) {
            line += &format!(
                " Best settings: {}; {} {} against {} of the defaults, a gain of {:+.4} (standard error {:.4}).",
                settings_in_words(&best.settings),
                metric.title,
                best.figure.map_or("–".into(), figure),
                figure(family.default_figure),
                gain.gain.value,
                gain.standard_error,
            );
        }
        let entry = facts.leaderboard.entries.iter().find(|e| e.model == format!("{}{TUNED}", family.family));
        line += &match entry.and_then(|e| e.gains_over_default.as_ref()) {
            Some(again) => format!(
                " On the leaderboard's rows they gain {:+.4} (standard error {:.4}): {}.",
                again.gain.value,
                again.standard_error,
                if again.gain.value > again.standard_error { "they hold" } else { "the defaults stay" },
            ),
            None => " The defaults stay.".to_string(),
        };
        console.paragraph(line);
    }
    if !search.untried.is_empty() {
        let names: Vec<String> = search.untried.iter().map(|name| title(name)).collect();
        console.paragraph(format!(
            "  The search ended before the turn of {}, whose defaults stay; give more trials or time.",
            names.join(", ")
        ));
    }
}

fn settings_in_words(settings: &serde_json::Value) -> String {
    let words = |map: &serde_json::Map<String, serde_json::Value>| {
        map.iter().map(|(name, value)| format!("{name} {value}")).collect::<Vec<_>>().join(", ")
    };
    settings.as_object().map(words).unwrap_or_default()
}

/// What the ensemble is made of, what it gains and what it costs.
fn ensemble_line(entry: &Entry, trained: &Trained) -> String {
    let board = &trained.facts.leaderboard;
    let metric = metric::primary(trained.facts.task);
    let parts: Vec<String> = entry.about.iter().map(|(title, share)| format!("{title} {share}")).collect();
    let value = |e: &Entry| find(&e.cross_fitted, metric.name).map(|i| i.value);
    let singles = board.entries.iter().filter(|e| e.model != BASELINE && e.model != ensemble::NAME);
    let better = |a: f64, b: f64| if metric.higher_is_better { a.total_cmp(&b) } else { b.total_cmp(&a) };
    let best = singles.filter_map(|e| Some((e, value(e)?))).max_by(|a, b| better(a.1, b.1));
    let (Some((best, value_of_best)), Some(own)) = (best, value(entry)) else { return String::new() };
    let speed = |name: &str| trained.timings.get(name).map_or(f64::NAN, |t| t.rows_per_second);
    format!(
        "The ensemble ({}) changes {} in folds by {:+.4} against {} and scores at {:.2} of its speed.",
        parts.join(", "),
        metric.title,
        own - value_of_best,
        best.title,
        speed(ensemble::NAME) / speed(&best.model),
    )
}

fn leaderboard(facts: &Facts, timings: &BTreeMap<String, Timing>, console: &Console) {
    let primary = metric::primary(facts.task);
    let shown: &[&str] = match facts.task {
        Task::Binary => &["ks", "brier"],
        Task::Classes(_) => &["accuracy"],
        Task::Regression => &["mae", "r2"],
    };
    let mut header = vec!["".to_string(), format!("{} in folds", primary.title), format!("{} on test", primary.title)];
    header
        .extend(shown.iter().map(|name| metric::find(name).map_or((*name).into(), |m| m.title.replace(" score", ""))));
    if facts.n_test == 0 {
        header.iter_mut().skip(3).for_each(|title| *title += " in folds");
    }
    header.extend(["Fit".into(), "Rows/s".into()]);
    let rows = facts.leaderboard.entries.iter().map(|entry| {
        let on_test = if entry.test.is_empty() { &entry.cross_fitted } else { &entry.test };
        let mut row = vec![
            marked(entry, facts),
            find(&entry.cross_fitted, primary.name).map_or("–".into(), |i| figure(i.value)),
            find(&entry.test, primary.name)
                .map_or("–".into(), |i| format!("{} ± {:.3}", figure(i.value), (i.high - i.low) / 2.0)),
        ];
        row.extend(shown.iter().map(|name| find(on_test, name).map_or("–".into(), |i| figure(i.value))));
        let timing = timings.get(&entry.model);
        row.push(timing.map_or("–".into(), |t| seconds(t.fit_seconds)));
        row.push(timing.map_or("–".into(), |t| count(t.rows_per_second)));
        row
    });
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    console.table(&header, rows.collect());
}

fn marked(entry: &Entry, facts: &Facts) -> String {
    let board = &facts.leaderboard;
    match &entry.model {
        name if name == BASELINE => entry.title.clone(),
        name if *name == board.best => format!("{} (best)", entry.title),
        name if *name == board.simplest => format!("{} (simplest)", entry.title),
        _ => entry.title.clone(),
    }
}

fn find(measured: &[Measured], name: &str) -> Option<Interval> {
    measured.iter().find(|m| m.name == name).map(|m| m.interval)
}

fn swap_set(facts: &Facts, console: &Console) {
    let Some(swap) = &facts.swap_set else { return };
    let range = |i: &Interval| format!("{} [{}, {}]", count(i.value), count(i.low), count(i.high));
    console.paragraph(format!(
        "Against the present score, approving {:.0} % of {} rows: {} fewer bads{}; or {} more approvals at the same bad rate",
        100.0 * swap.approval_rate,
        count(swap.n_rows),
        range(&swap.bads_avoided),
        swap.money_avoided.as_ref().map_or(String::new(), |m| format!(" ({} in money)", range(m))),
        range(&swap.approvals_gained),
    ));
}
