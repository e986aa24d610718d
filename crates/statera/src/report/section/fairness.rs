//! How groups of people fare under the policy.

use super::{Section, first};
use crate::judge::{Frontier, Judgement};
use crate::leaderboard::BASELINE;
use crate::proxy::Proxy;
use crate::report::subject::Subject;
use crate::report::view::{Bar, Block, Cell, Panel, Table};
use crate::report::words::{Words, cut, cut_text};
use statera_core::Result;
use statera_core::fairness::{Disparity, GroupFigures, Judged, Verdict};
use statera_core::metric::Interval;

pub(in super::super) const FAIRNESS: Section = Section { name: "fairness", view };

/// Most groups that a page shows.
const MAX_GROUPS: usize = 120;
/// Most groups with a bar.
const MAX_BARS: usize = 24;

fn view(subject: &Subject<'_>) -> Result<Vec<Block>> {
    let words = &subject.words;
    if !subject.is_binary() {
        return Ok(vec![Block::text(words.get("fairness.not_for_task"))]);
    }
    let Some(judgement) = subject.judgement.filter(|j| !j.fairness.is_empty()) else {
        let protected = &subject.facts.settings.protected;
        let columns = if protected.is_empty() { "A,B".to_string() } else { protected.join(",") };
        let how = format!("statera policy BUNDLE --data DATA --protected {} --out NEW", cut_text(&columns));
        return Ok(vec![Block::gap(words.get("fairness.gap"), how)]);
    };
    let rules = &judgement.rules;
    let lead = words.fill(
        "fairness.lead",
        &[
            ("rules", &cut(&rules.version)),
            ("rows", &words.count(judgement.n_rows)),
            ("ratio", &words.number(rules.approval_ratio)),
            ("min_rows", &words.count(rules.min_rows)),
            ("min_events", &words.count(rules.min_events)),
        ],
    );
    let mut blocks = vec![Block::text(lead)];
    blocks.extend(subject.judged_on().into_iter().map(Block::remark));
    blocks.push(Block::text(verdict(words, &judgement.fairness)));
    blocks.push(Block::Panels { panels: vec![approvals(subject, judgement)] });
    blocks.push(rates(subject, judgement));
    blocks.push(errors(subject, judgement));
    blocks.push(Block::heading(words.get("fairness.proxies_title")));
    blocks.extend(proxies(subject, judgement));
    blocks.push(Block::heading(words.get("fairness.frontier_title")));
    blocks.push(match &judgement.frontier {
        Some(frontier) => alternatives(subject, frontier),
        None => Block::gap(words.get("fairness.gap_frontier"), "statera train … --protected A,B"),
    });
    Ok(blocks)
}

fn all_judged(figures: &GroupFigures) -> impl Iterator<Item = Judged> {
    let gaps = [figures.approval_ratio, figures.auc_gap, figures.false_positive_gap, figures.false_negative_gap];
    gaps.into_iter().chain([figures.calibration_gap]).flatten()
}

/// How many groups the rules find treated worse, and how many they cannot tell.
fn verdict(words: &Words, fairness: &[GroupFigures]) -> String {
    let n = |wanted: Verdict| fairness.iter().filter(|g| all_judged(g).any(|j| j.verdict == wanted)).count();
    let small = fairness.iter().filter(|g| g.is_small).count();
    let counts = [n(Verdict::Fails), n(Verdict::Unclear), small, fairness.len()].map(|n| words.count(n));
    let [fails, unclear, small, all] = counts.each_ref().map(String::as_str);
    words.fill("fairness.verdict", &[("fails", fails), ("unclear", unclear), ("small", small), ("all", all)])
}

/// A bar of each group's approval rate.
fn approvals(subject: &Subject<'_>, judgement: &Judgement) -> Panel {
    let words = &subject.words;
    let bar = |g: &GroupFigures| Bar {
        label: group(subject, g),
        value: g.approval_rate.map_or("–".into(), |rate| words.interval(rate, &|v| words.percent(v))),
        from: "0".into(),
        width: format!("{:.1}", 100.0 * g.approval_rate.map_or(0.0, |rate| rate.value.clamp(0.0, 1.0))),
        tone: match g.approval_ratio.map(|r| r.verdict) {
            Some(Verdict::Fails) => "minus",
            Some(Verdict::Unclear) => "warn",
            _ if g.is_small => "faint",
            _ => "",
        },
    };
    let hidden = judgement.fairness.len().saturating_sub(MAX_BARS);
    Panel {
        title: words.get("fairness.approval_rate"),
        aside: String::new(),
        lead: String::new(),
        bars: judgement.fairness.iter().take(MAX_BARS).map(bar).collect(),
        notes: (hidden > 0).then(|| words.fill("page.hidden", &[("n", &words.count(hidden))])).into_iter().collect(),
    }
}

fn group(subject: &Subject<'_>, g: &GroupFigures) -> String {
    let (words, name) = (&subject.words, subject.group(&g.group));
    match (g.is_reference, g.is_small) {
        (true, true) => words.fill("fairness.small_reference", &[("group", &name)]),
        (true, _) => words.fill("fairness.reference", &[("group", &name)]),
        (_, true) => words.fill("fairness.small", &[("group", &name)]),
        _ => name,
    }
}

/// A figure with what the rules say of it, in colour and as a mark that survives a printer.
fn judged(words: &Words, judged: Option<Judged>, shown: &dyn Fn(f64) -> String) -> Cell {
    let Some(judged) = judged else { return Cell::toned("–", "soft") };
    let text = words.interval(judged.figure, shown);
    match judged.verdict {
        Verdict::Fails => Cell::toned(format!("✕ {text}"), "grave"),
        Verdict::Unclear => Cell::toned(format!("? {text}"), "warn"),
        Verdict::Holds => Cell::of(format!("✓ {text}")),
        Verdict::NotJudged => Cell::toned(text, "soft"),
    }
}

fn plain(words: &Words, interval: Option<Interval>, shown: &dyn Fn(f64) -> String) -> Cell {
    Cell::of(interval.map_or("–".into(), |i| words.interval(i, shown)))
}

/// Counts, rates and ratios.
fn rates(subject: &Subject<'_>, judgement: &Judgement) -> Block {
    let words = &subject.words;
    let mut table = Table::of(
        words,
        &[
            "<fairness.group",
            "word.n_rows",
            "fairness.events",
            "fairness.approval_rate",
            "fairness.ratio",
            "word.event_rate",
            "fairness.calibration",
        ],
    );
    let (groups, hidden) = first(words, judgement.fairness.iter().collect(), MAX_GROUPS);
    let percent = |v: f64| words.percent(v);
    for g in groups {
        table.rows.push(vec![
            Cell::of(group(subject, g)),
            Cell::of(words.count(g.n_rows)),
            Cell::of(words.count(g.n_events)),
            plain(words, g.approval_rate, &percent),
            judged(words, g.approval_ratio, &|v| words.fixed(v)),
            plain(words, g.event_rate, &percent),
            judged(words, g.calibration_gap, &|v| words.signed(v)),
        ]);
    }
    table.note = hidden;
    Block::Table(table)
}

/// Ranking and errors.
fn errors(subject: &Subject<'_>, judgement: &Judgement) -> Block {
    let words = &subject.words;
    let mut table = Table::of(
        words,
        &[
            "<fairness.group",
            "metric.auc",
            "fairness.auc_gap",
            "fairness.false_positive",
            "fairness.gap_word",
            "fairness.false_negative",
            "fairness.gap_word",
        ],
    );
    let (groups, hidden) = first(words, judgement.fairness.iter().collect(), MAX_GROUPS);
    let percent = |v: f64| words.percent(v);
    for g in groups {
        table.rows.push(vec![
            Cell::of(group(subject, g)),
            plain(words, g.auc, &|v| words.fixed(v)),
            judged(words, g.auc_gap, &|v| words.signed(v)),
            plain(words, g.false_positive_rate, &percent),
            judged(words, g.false_positive_gap, &|v| words.signed(v)),
            plain(words, g.false_negative_rate, &percent),
            judged(words, g.false_negative_gap, &|v| words.signed(v)),
        ]);
    }
    let legend = words.get("fairness.marks");
    table.note = Some(hidden.map_or(legend.clone(), |hidden| format!("{legend} {hidden}")));
    Block::Table(table)
}

/// Most columns and groups of columns shown of a search for proxies.
const MAX_PROXIES: usize = 10;

/// What tells the groups of each protected column.
fn proxies(subject: &Subject<'_>, judgement: &Judgement) -> Vec<Block> {
    let words = &subject.words;
    if judgement.proxies.is_empty() {
        return vec![Block::gap(
            words.get("fairness.gap_proxies"),
            "statera policy BUNDLE --data DATA --protected A,B --out NEW",
        )];
    }
    let mut blocks = Vec::new();
    for search in &judgement.proxies {
        let keys = ["<fairness.columns", "<fairness.group", "metric.auc", "fairness.information", "fairness.moves"];
        let mut table = Table::of(words, &keys);
        let row = |proxy: &Proxy, name: String| {
            let share = |v: Option<f64>| Cell::toned(v.map_or("–".into(), |v| words.percent(v)), "soft");
            let auc = judged(words, Some(proxy.auc), &|v| words.fixed(v));
            vec![
                Cell::of(name),
                Cell::of(subject.group_of(&search.protected, &proxy.group)),
                auc,
                share(proxy.information),
                share(proxy.importance_share),
            ]
        };
        let named = |proxy: &Proxy| cut_text(&proxy.columns.join(" + "));
        table.rows.extend(search.all.iter().map(|p| row(p, words.get("fairness.all_columns"))));
        table.rows.extend(search.columns.iter().take(MAX_PROXIES).map(|p| row(p, named(p))));
        table.rows.extend(search.together.iter().take(MAX_PROXIES).map(|p| row(p, named(p))));
        let values = [("column", cut(&search.protected)), ("rows", words.count(search.n_rows))];
        let values: Vec<(&str, &str)> = values.iter().map(|(k, v)| (*k, v.as_str())).collect();
        blocks.push(Block::text(words.fill("fairness.proxies", &values)));
        blocks.push(Block::Table(table));
    }
    blocks.push(Block::remark(words.get("fairness.proxies_note")));
    blocks
}

/// Every candidate's accuracy beside its disparity.
fn alternatives(subject: &Subject<'_>, frontier: &Frontier) -> Block {
    let words = &subject.words;
    let keys = [
        "<leaderboard.candidate",
        "<",
        "metric.auc",
        "fairness.least_ratio",
        "fairness.largest_gap",
        "<fairness.between",
    ];
    let mut table = Table::of(words, &keys);
    for line in &frontier.candidates {
        let mark = match (line.is_chosen, line.is_optimal) {
            (true, _) => Cell::badge(words.get("leaderboard.chosen"), "accent"),
            (_, true) => Cell::badge(words.get("fairness.optimal"), ""),
            _ => Cell::of(""),
        };
        let name = match line.model.as_str() {
            BASELINE => words.get("leaderboard.present_score"),
            model => words.model(model, &line.title),
        };
        let figure = |of: &dyn Fn(&Disparity) -> Interval, shown: &dyn Fn(f64) -> String| {
            Cell::of(line.disparity.as_ref().map_or("–".into(), |d| words.interval(of(d), shown)))
        };
        let between =
            line.disparity.as_ref().map(|d| format!("{} – {}", subject.group(&d.least), subject.group(&d.greatest)));
        table.rows.push(vec![
            Cell::of(name),
            mark,
            Cell::of(words.interval(line.auc, &|v| words.fixed(v))),
            figure(&|d| d.approval_ratio, &|v| words.fixed(v)),
            figure(&|d| d.approval_gap, &|v| words.percent(v)),
            Cell::toned(between.unwrap_or_else(|| "–".into()), "soft"),
        ]);
    }
    let (rows, rate) = (words.count(frontier.n_rows), words.percent(frontier.approval_rate));
    table.note = Some(words.fill("fairness.frontier_note", &[("rows", &rows), ("rate", &rate)]));
    Block::Table(table)
}
