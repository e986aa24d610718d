//! Candidates side by side, the bank's present score, and what changes when the model takes its place.

use super::Section;
use crate::leaderboard::{BASELINE, Entry};
use crate::report::subject::Subject;
use crate::report::view::{Block, Cell, Table};
use crate::report::words::{Words, cut, cut_text};
use statera_core::Result;
use statera_core::metric::{Measured, SwapSet};

pub(in super::super) const LEADERBOARD: Section = Section { name: "leaderboard", view };

/// Metrics beside the one that candidates are chosen by, of a probability.
const BESIDE: [&str; 2] = ["log_loss", "brier"];

fn view(subject: &Subject<'_>) -> Result<Vec<Block>> {
    let (words, board) = (&subject.words, &subject.facts.leaderboard);
    let metric = words.get(&format!("metric.{}", board.metric));
    let mut blocks = vec![Block::text(words.fill("leaderboard.lead", &[("metric", &metric)]))];
    blocks.push(Block::Table(entries(subject, &metric)));
    blocks.extend(about(subject));
    blocks.extend(search(subject));
    blocks.push(Block::heading(words.get("leaderboard.swap_title")));
    match (&subject.facts.swap_set, board.entries.iter().any(|e| e.model == BASELINE)) {
        (Some(swap), _) => blocks.extend(swap_set(words, swap, subject.facts.settings.amount.as_deref(), subject)),
        (None, true) => blocks.push(Block::text(words.get("leaderboard.swap_not_for_task"))),
        (None, false) => {
            blocks.push(Block::gap(words.get("leaderboard.gap_baseline"), "statera train … --baseline COLUMN"));
        }
    }
    Ok(blocks)
}

fn entries(subject: &Subject<'_>, metric: &str) -> Table {
    let (words, board) = (&subject.words, &subject.facts.leaderboard);
    let of = |measured: &[Measured], name: &str| {
        let found = measured.iter().find(|m| m.name == name);
        found.map_or("–".into(), |m| words.interval(m.interval, &|v| words.fixed(v)))
    };
    let beside: Vec<&str> = BESIDE
        .into_iter()
        .filter(|name| *name != board.metric)
        .filter(|name| board.entries.iter().any(|e| e.cross_fitted.iter().any(|m| m.name == *name)))
        .collect();
    let mut head = vec![format!("<{}", words.get("leaderboard.candidate")), "<".into()];
    head.push(words.fill("leaderboard.cross_fitted", &[("metric", metric)]));
    head.push(words.fill("leaderboard.on_test", &[("metric", metric)]));
    head.extend(beside.iter().map(|name| words.get(&format!("metric.{name}"))));
    head.push(words.get("leaderboard.behind"));
    let mut table = Table::new(&head);
    let row = |entry: &Entry| {
        let mark = match entry.model.as_str() {
            model if model == board.chosen => Cell::badge(words.get("leaderboard.chosen"), "accent"),
            BASELINE => Cell::badge(words.get("leaderboard.present"), ""),
            model if model == board.simplest => Cell::badge(words.get("leaderboard.simplest"), ""),
            _ => Cell::of(""),
        };
        let title = if entry.model == BASELINE {
            words.get("leaderboard.present_score")
        } else {
            words.model(&entry.model, &entry.title)
        };
        let measured = if entry.test.is_empty() { &entry.cross_fitted } else { &entry.test };
        let mut row = vec![Cell::of(title), mark, Cell::of(of(&entry.cross_fitted, &board.metric))];
        row.push(Cell::of(of(&entry.test, &board.metric)));
        row.extend(beside.iter().map(|name| Cell::toned(of(measured, name), "soft")));
        row.push(Cell::of(
            entry
                .best_gains
                .as_ref()
                .map_or(words.get("leaderboard.is_best"), |g| words.interval(g.gain, &|v| words.signed(v))),
        ));
        row
    };
    table.rows = board.entries.iter().map(row).collect();
    table.note = Some(words.get("leaderboard.note"));
    table
}

/// What the program says of the chosen model, as recorded.
fn about(subject: &Subject<'_>) -> Option<Block> {
    let board = &subject.facts.leaderboard;
    let entry = board.entries.iter().find(|e| e.model == board.chosen)?;
    let items: Vec<String> =
        entry.about.iter().map(|(what, value)| format!("{}: {}", cut(what), cut_text(value))).collect();
    let lead = subject.words.fill("leaderboard.about", &[("model", &subject.model())]);
    (!items.is_empty()).then_some(Block::Recorded { lead, items, is_english: true })
}

fn search(subject: &Subject<'_>) -> Vec<Block> {
    let words = &subject.words;
    let Some(search) = &subject.facts.search else {
        return vec![Block::gap(words.get("leaderboard.gap_search"), "statera train … --trials 50")];
    };
    let mut table =
        Table::of(words, &["<leaderboard.candidate", "leaderboard.trials", "leaderboard.gain", "<leaderboard.kept"]);
    table.rows = search
        .families
        .iter()
        .map(|f| {
            let gain = f.gain.as_ref().map_or("–".into(), |g| words.interval(g.gain, &|v| words.signed(v)));
            let kept = words.get(if f.tuned { "leaderboard.kept_tuned" } else { "leaderboard.kept_default" });
            vec![
                Cell::of(words.model(&f.family, &f.family)),
                Cell::of(words.count(f.n_trials)),
                Cell::of(gain),
                Cell::toned(kept, "soft"),
            ]
        })
        .collect();
    vec![Block::heading(words.get("leaderboard.search_title")), Block::Table(table)]
}

fn swap_set(words: &Words, swap: &SwapSet, amount: Option<&str>, subject: &Subject<'_>) -> Vec<Block> {
    let rate = words.percent(swap.approval_rate);
    let lead = words.fill(
        "leaderboard.swap",
        &[
            ("rate", &rate),
            ("n", &words.weight(swap.n_swapped.round())),
            ("model", &words.percent(swap.bad_rate_model)),
            ("present", &words.percent(swap.bad_rate_baseline)),
        ],
    );
    let count = |v: f64| words.number(v.round());
    let mut tiles = vec![
        (words.interval(swap.bads_avoided, &count), words.get("leaderboard.bads_avoided")),
        (words.interval(swap.approvals_gained, &count), words.get("leaderboard.approvals_gained")),
    ];
    if let Some(money) = swap.money_avoided {
        let unit = amount.and_then(|a| subject.unit(a));
        let name = words.get("leaderboard.money_avoided");
        let name = unit.map_or(name.clone(), |unit| format!("{name}, {}", cut(unit)));
        tiles.push((words.interval(money, &|v| words.in_unit(v, unit)), name));
    }
    vec![Block::text(lead), Block::Tiles { tiles }]
}
