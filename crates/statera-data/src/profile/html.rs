//! The profile as one page. Everything is put into words here; the template only places it, and escapes it.

use super::chart::{Bar, bars, line, nice_top};
use super::column::{ColumnProfile, Detail};
use super::figure::{auc, count, cut, number, percent};
use super::loan::BUCKETS;
use super::number::{Histogram, NumberSummary};
use super::target::TargetKind;
use super::{DRIFT_PSI, LEAK_AUC, Profile, period, share, terminal};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior};
use serde::Serialize;
use statera_core::text::counted;
use statera_core::{Error, Kind, Result};

/// Size of a column's picture, in units of its own.
const PICTURE: (f64, f64) = (320.0, 64.0);
/// Size of the line charts.
const CHART: (f64, f64) = (720.0, 180.0);
/// Columns shown in the table of stability indices.
const N_DRIFT_SHOWN: usize = 25;
/// Characters of a level that are shown.
const N_LEVEL_CHARS: usize = 48;

#[derive(Serialize)]
struct Page<'a> {
    title: &'a str,
    origin: &'a str,
    lead: Option<String>,
    tiles: Vec<Tile>,
    warnings: Vec<Note>,
    has_auc: bool,
    columns: Vec<Card>,
    drift: Option<DriftView>,
    loans: Option<LoanView>,
}

#[derive(Serialize)]
struct Tile {
    value: String,
    label: String,
}

#[derive(Serialize)]
struct Note {
    tone: &'static str,
    name: &'static str,
    column: Option<String>,
    anchor: Option<usize>,
    text: String,
    advice: Option<String>,
}

/// A column, in the overview and as a card.
#[derive(Serialize)]
struct Card {
    name: String,
    kind: &'static str,
    physical: String,
    badges: Vec<(&'static str, &'static str)>,
    missing: String,
    missing_bar: String,
    distinct: String,
    auc: String,
    summary: String,
    picture: Option<Picture>,
    mini: Vec<Bar>,
    levels: Vec<LevelView>,
    has_rates: bool,
    facts: Vec<(&'static str, String)>,
    remark: Option<String>,
}

#[derive(Serialize)]
struct Picture {
    width: f64,
    height: f64,
    bars: Vec<Bar>,
    from: String,
    to: String,
    label: String,
}

#[derive(Serialize)]
struct LevelView {
    level: String,
    share: String,
    bar: String,
    count: String,
    rate: String,
    other: bool,
}

#[derive(Serialize)]
struct DriftView {
    lead: String,
    chart: Option<Chart>,
    periods: Vec<String>,
    rows: Vec<(String, Vec<Heat>)>,
    counts: Vec<String>,
    rates: Vec<String>,
    n_hidden: usize,
}

/// A cell whose shade says how large it is, in percent of the full colour.
#[derive(Serialize)]
struct Heat {
    text: String,
    shade: u32,
    strong: bool,
}

#[derive(Serialize)]
struct Chart {
    width: f64,
    height: f64,
    lines: Vec<Line>,
    top: String,
    middle: String,
    from: String,
    to: String,
    label: String,
}

#[derive(Serialize)]
struct Line {
    points: String,
    title: String,
    /// 0 for the earliest line to 100 for the latest.
    age: u32,
    dot: Option<(String, String)>,
}

#[derive(Serialize)]
struct LoanView {
    lead: String,
    chart: Option<Chart>,
    months: Vec<String>,
    cohorts: Vec<(String, String, Vec<Heat>)>,
    buckets: [&'static str; 5],
    rolls: Vec<(&'static str, String, Vec<Heat>)>,
}

/// Renders the page.
pub(super) fn render(profile: &Profile, title: &str) -> Result<String> {
    let fault = |e: minijinja::Error| Error::data(format!("the page of {} could not be made: {e:#}", profile.origin));
    let mut env = Environment::new();
    env.set_undefined_behavior(UndefinedBehavior::Strict);
    env.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build().map_err(fault)?);
    // The name's ending turns escaping on.
    env.add_template("page.html", include_str!("page.html")).map_err(fault)?;
    let page = env.get_template("page.html").map_err(fault)?;
    page.render(Serde(view(profile, title))).map_err(fault)
}

fn view<'a>(profile: &'a Profile, title: &'a str) -> Page<'a> {
    Page {
        title,
        origin: &profile.origin,
        lead: profile.target.as_ref().map(terminal::target_line),
        tiles: tiles(profile),
        warnings: notes(profile),
        has_auc: profile.columns.iter().any(|c| c.auc.is_some()),
        columns: profile.columns.iter().map(|c| card(profile, c)).collect(),
        drift: profile.drift.as_ref().map(drift_view),
        loans: profile.loans.as_ref().map(loan_view),
    }
}

fn tiles(profile: &Profile) -> Vec<Tile> {
    let tile = |value: String, label: &str| Tile { value, label: label.into() };
    let mut tiles = vec![
        tile(count(profile.n_rows), "rows"),
        tile(count(profile.columns.len()), "columns"),
        tile(percent(profile.missing_share()), "of cells missing"),
        tile(count(profile.duplicates.n_exact), "repeated rows"),
    ];
    if let Some((TargetKind::Binary, Some(rate))) = profile.target.as_ref().map(|t| (t.kind, t.rate)) {
        tiles.push(tile(percent(rate), "target rate"));
    }
    tiles
}

fn notes(profile: &Profile) -> Vec<Note> {
    use super::WarningKind::{Constant, Drift, Duplicate, Identifier, Infinite, Leak, NearUnique, Sentinel, Target};
    let place = |name: &String| profile.columns.iter().position(|c| &c.name == name);
    let note = |w: &super::Warning| Note {
        tone: match w.kind {
            Target | Identifier | Leak => "grave",
            Duplicate | Drift | Sentinel | Infinite => "warn",
            Constant | NearUnique => "mild",
        },
        name: w.kind.name(),
        anchor: w.column.as_ref().and_then(place),
        column: w.column.clone(),
        text: w.text.clone(),
        advice: w.advice.clone(),
    };
    profile.warnings.iter().map(note).collect()
}

fn card(profile: &Profile, column: &ColumnProfile) -> Card {
    let n_cells = profile.n_rows - column.n_nothing() - column.n_infinite;
    let mut facts = Vec::new();
    let (mut picture, mut levels, mut mini) = (None, Vec::new(), Vec::new());
    match &column.detail {
        Detail::Number(s) => {
            picture = Some(number_picture(s, column));
            facts = number_facts(s, n_cells);
        }
        Detail::Time(s) => {
            picture = Some(time_picture(&s.histogram, &s.first, &s.last, column));
            facts = vec![("first", s.first.clone()), ("median", s.median.clone()), ("last", s.last.clone())];
        }
        Detail::Levels(s) => {
            levels = level_rows(s, n_cells);
            mini = level_bars(s);
        }
        Detail::Lengths(_) | Detail::Empty => {}
    }
    let remark = match &column.detail {
        Detail::Lengths(_) if column.personal.is_some() => Some("Cells are not shown: they identify persons."),
        Detail::Lengths(_) if column.kind == Kind::Text => Some("Cells are not shown: free text may name persons."),
        Detail::Lengths(_) if column.kind == Kind::Identifier => {
            Some("Cells are not shown: they name rows or persons.")
        }
        Detail::Lengths(_) => Some("Cells are not shown: nearly every row has its own."),
        Detail::Empty => Some("No cell has a value."),
        _ => None,
    };
    Card {
        name: column.name.clone(),
        kind: column.kind.name(),
        physical: column.physical.clone(),
        badges: badges(profile, column),
        missing: percent(column.missing_share),
        missing_bar: format!("{:.1}", column.missing_share * 100.0),
        distinct: count(column.n_distinct),
        auc: column.auc.map_or("–".into(), auc),
        summary: terminal::summary(column),
        mini: picture.as_ref().map_or(mini, |p: &Picture| p.bars.clone()),
        has_rates: levels.iter().any(|l: &LevelView| !l.rate.is_empty()),
        picture,
        levels,
        facts,
        remark: remark.map(str::to_owned),
    }
}

/// Words that stand beside a column's name, with their tone.
fn badges(profile: &Profile, column: &ColumnProfile) -> Vec<(&'static str, &'static str)> {
    let is_target = profile.target.as_ref().is_some_and(|t| t.column == column.name);
    let mut badges = Vec::new();
    let mut add = |when: bool, tone, word| {
        if when {
            badges.push((tone, word));
        }
    };
    add(is_target, "accent", "target");
    add(column.personal.is_some(), "grave", "identifies persons");
    add(column.auc.is_some_and(|a| a > LEAK_AUC), "grave", "leak suspect");
    add(column.constant, "mild", "constant");
    add(column.near_unique, "mild", "near-unique");
    let suspect = matches!(&column.detail, Detail::Number(s) if !s.sentinels.is_empty());
    add(suspect, "warn", "sentinel?");
    add(column.n_infinite > 0, "warn", "infinite cells");
    badges
}

fn number_facts(s: &NumberSummary, n_cells: usize) -> Vec<(&'static str, String)> {
    let q = s.quantiles;
    let mut facts = vec![
        ("mean", number(s.mean)),
        ("std. dev.", number(s.sd)),
        ("median", number(q[4])),
        ("quartiles", format!("{} to {}", number(q[3]), number(q[5]))),
        ("5 to 95 %", format!("{} to {}", number(q[2]), number(q[6]))),
        ("1 to 99 %", format!("{} to {}", number(q[1]), number(q[7]))),
    ];
    let part = |n: usize| if n == 0 { "none".to_owned() } else { percent(share(n, n_cells)) };
    facts.extend([("zero", part(s.n_zero)), ("negative", part(s.n_negative))]);
    facts.push(("outliers", if s.n_outliers == 0 { "none".into() } else { count(s.n_outliers) }));
    facts
}

fn number_picture(s: &NumberSummary, column: &ColumnProfile) -> Picture {
    let h = &s.histogram;
    let whole_bins = s.is_whole && h.edges.windows(2).all(|e| e[1] - e[0] == 1.0);
    let n_bins = h.counts.len();
    let title = |i: usize| {
        let span = if whole_bins {
            number(h.edges[i])
        } else {
            format!("{} to {}", number(h.edges[i]), number(h.edges[i + 1]))
        };
        let side = match (h.open_below && i == 0, h.open_above && i + 1 == n_bins) {
            (true, _) => " and below",
            (_, true) => " and above",
            _ => "",
        };
        format!("{span}{side}: {}", count(h.counts[i]))
    };
    let q = s.quantiles;
    let from = if h.open_below { format!("≤ {}", number(h.edges[1])) } else { number(q[0]) };
    let to = if h.open_above { format!("≥ {}", number(h.edges[n_bins - 1])) } else { number(q[8]) };
    let label = format!("Histogram of {}, {} to {}", column.name, number(q[0]), number(q[8]));
    Picture { width: PICTURE.0, height: PICTURE.1, bars: bars(&h.counts, title, PICTURE.0, PICTURE.1), from, to, label }
}

fn time_picture(h: &Histogram, first: &str, last: &str, column: &ColumnProfile) -> Picture {
    let title = |i: usize| format!("from {}: {}", period::instant(h.edges[i] as i64), count(h.counts[i]));
    Picture {
        width: PICTURE.0,
        height: PICTURE.1,
        bars: bars(&h.counts, title, PICTURE.0, PICTURE.1),
        from: first.into(),
        to: last.into(),
        label: format!("Histogram of {}, {first} to {last}", column.name),
    }
}

/// Bars of the listed levels; a few levels take a part of the width only.
fn level_bars(s: &super::LevelSummary) -> Vec<Bar> {
    let mut counts: Vec<usize> = s.top.iter().map(|l| l.n).collect();
    counts.resize(counts.len().max(10), 0);
    bars(&counts, |_| String::new(), PICTURE.0, PICTURE.1)
}

fn level_rows(s: &super::LevelSummary, n_cells: usize) -> Vec<LevelView> {
    let most = s.top.first().map_or(1, |l| l.n).max(1);
    let row = |level: String, n: usize, rate: Option<f64>, other: bool| LevelView {
        level,
        share: percent(share(n, n_cells)),
        bar: format!("{:.1}", share(n, most).min(1.0) * 100.0),
        count: count(n),
        rate: rate.map_or(String::new(), percent),
        other,
    };
    let named = |l: &super::LevelCount| {
        let text = if l.level.trim().is_empty() { "(blank)".into() } else { cut(&l.level, N_LEVEL_CHARS) };
        row(text, l.n, l.rate, false)
    };
    let mut rows: Vec<LevelView> = s.top.iter().map(named).collect();
    if s.n_other_levels > 0 {
        rows.push(row(counted(s.n_other_levels, "other level", "other levels"), s.n_other, None, true));
    }
    rows
}

fn drift_view(drift: &super::Drift) -> DriftView {
    let rates: Vec<f64> = drift.periods.iter().filter_map(|p| p.rate).collect();
    let complete = rates.len() == drift.periods.len() && rates.len() > 1;
    let heat = |psi: &Option<f64>| match psi {
        Some(psi) => {
            let shade = (psi / DRIFT_PSI * 45.0).clamp(0.0, 90.0) as u32;
            Heat { text: format!("{psi:.2}"), shade, strong: *psi > DRIFT_PSI }
        }
        None => Heat { text: "·".into(), shade: 0, strong: false },
    };
    let reference = match drift.n_reference {
        0 | 1 => drift.periods.first().map_or(String::new(), |p| p.label.clone()),
        n => format!("{} to {}", drift.periods[0].label, drift.periods[n - 1].label),
    };
    let without = match drift.n_without_time {
        0 => String::new(),
        n => format!(" {} without a time left aside.", counted(n, "row", "rows")),
    };
    DriftView {
        lead: format!(
            "By {} of {}. Population stability index against {reference}; above {DRIFT_PSI} a column has moved.{without}",
            drift.unit.name(),
            drift.column
        ),
        chart: complete.then(|| rate_chart(drift, &rates)),
        periods: drift.periods.iter().map(|p| p.label.clone()).collect(),
        counts: drift.periods.iter().map(|p| count(p.n_rows)).collect(),
        rates: drift.periods.iter().filter(|_| !rates.is_empty()).map(|p| p.rate.map_or("–".into(), percent)).collect(),
        rows: drift
            .columns
            .iter()
            .take(N_DRIFT_SHOWN)
            .map(|c| (c.column.clone(), c.psi.iter().map(heat).collect()))
            .collect(),
        n_hidden: drift.columns.len().saturating_sub(N_DRIFT_SHOWN),
    }
}

/// The line chart of one share, or of several.
fn chart(lines: Vec<Line>, top: f64, from: String, to: String, label: String) -> Chart {
    Chart { width: CHART.0, height: CHART.1, lines, top: percent(top), middle: percent(top / 2.0), from, to, label }
}

fn rate_chart(drift: &super::Drift, rates: &[f64]) -> Chart {
    let top = nice_top(rates.iter().copied().fold(0.0, f64::max));
    let line = Line {
        points: line(rates, rates.len(), top, CHART.0, CHART.1),
        title: "target rate".into(),
        age: 100,
        dot: None,
    };
    let label = |p: Option<&super::PeriodRow>| p.map_or(String::new(), |p| p.label.clone());
    chart(
        vec![line],
        top,
        label(drift.periods.first()),
        label(drift.periods.last()),
        format!("Target rate by {}", drift.unit.name()),
    )
}

fn loan_view(loans: &super::LoanPerformance) -> LoanView {
    let n_months = loans.cohorts.iter().map(|c| c.bad_rate.len()).max().unwrap_or(0);
    let most = loans.cohorts.iter().flat_map(|c| c.bad_rate.last()).copied().fold(0.0, f64::max);
    let top = nice_top(most);
    let shade = |v: f64, full: f64| if full > 0.0 { (v / full * 80.0).clamp(0.0, 80.0) as u32 } else { 0 };
    // Every third month up to a year, then every sixth, is enough to read.
    let months: Vec<usize> = (0..n_months).filter(|m| if *m <= 12 { m % 3 == 0 } else { m % 6 == 0 }).collect();
    let n_lines = loans.cohorts.len();
    let lines = loans.cohorts.iter().enumerate().filter(|(_, c)| !c.bad_rate.is_empty()).map(|(i, c)| {
        let points = line(&c.bad_rate, n_months, top, CHART.0, CHART.1);
        let dot = points.rsplit(' ').next().and_then(|p| p.split_once(',')).map(|(x, y)| (x.into(), y.into()));
        Line { title: c.label.clone(), age: (100 * (i + 1) / n_lines) as u32, points, dot }
    });
    let lines: Vec<Line> = lines.collect();
    let cohort = |c: &super::Cohort| {
        let cell = |m: &usize| match c.bad_rate.get(*m) {
            Some(&rate) => Heat { text: percent(rate), shade: shade(rate, most), strong: false },
            None => Heat { text: String::new(), shade: 0, strong: false },
        };
        (c.label.clone(), count(c.n_loans), months.iter().map(cell).collect())
    };
    let roll = |from: usize| {
        let cell = |to: usize| match loans.roll_rates.rate(from, to) {
            Some(rate) => Heat { text: percent(rate), shade: shade(rate, 1.0), strong: from == to },
            None => Heat { text: "–".into(), shade: 0, strong: false },
        };
        let n: usize = loans.roll_rates.counts[from].iter().sum();
        (BUCKETS[from], count(n), (0..5).map(cell).collect())
    };
    let skipped = match loans.n_skipped {
        0 => String::new(),
        n => format!(" {} without loan, month or days left aside.", counted(n, "row", "rows")),
    };
    LoanView {
        lead: format!(
            "{} by origination: the share that was ever {} days or more past due, by months on book.{skipped}",
            counted(loans.n_loans, "loan", "loans"),
            loans.bad_days
        ),
        chart: (n_months > 1 && !lines.is_empty()).then(|| {
            let to = format!("{} months on book", n_months - 1);
            chart(lines, top, "0".into(), to, "Cumulative bad rate by cohort".into())
        }),
        months: months.iter().map(usize::to_string).collect(),
        cohorts: loans.cohorts.iter().map(cohort).collect(),
        buckets: BUCKETS,
        rolls: (0..5).map(roll).collect(),
    }
}
