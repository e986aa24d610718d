//! Where approval ends, and what other cut-offs would do.

use super::Section;
use crate::judge::Judgement;
use crate::policy::{Alternative, DecisionRule, Policy, WhatIf};
use crate::report::chart::{self, Axis, Chart, Color, Mark};
use crate::report::subject::Subject;
use crate::report::view::{Block, Cell, Figure, Table};
use crate::report::words::cut;
use statera_core::Result;

pub(in super::super) const CUTOFF: Section = Section { name: "cutoff", view };

fn view(subject: &Subject<'_>) -> Result<Vec<Block>> {
    let words = &subject.words;
    if !subject.is_binary() {
        return Ok(vec![Block::text(words.get("cutoff.not_for_task"))]);
    }
    let mut blocks = Vec::new();
    match &subject.bundle.deciding.policy {
        Some((policy, fitted)) => {
            let (review, decline) = (fitted.cutoffs.review_from, fitted.cutoffs.decline_from);
            let values = [
                ("version", cut(&policy.read.version)),
                ("rule", rule(subject, &policy.read)),
                ("review", words.percent(review)),
                ("decline", words.percent(decline)),
            ];
            let values: Vec<(&str, &str)> = values.iter().map(|(k, v)| (*k, v.as_str())).collect();
            let key = if review < decline { "cutoff.policy_review" } else { "cutoff.policy" };
            blocks.push(Block::text(words.fill(key, &values)));
        }
        None => {
            let cutoff = words.percent(subject.facts.leaderboard.cutoff);
            blocks.push(Block::text(words.fill("cutoff.no_policy", &[("cutoff", &cutoff)])));
            blocks.push(Block::gap(
                words.get("cutoff.gap_policy"),
                "statera policy BUNDLE --policy policy.toml --out NEW",
            ));
        }
    }
    match subject.judgement {
        Some(judgement) => blocks.extend(judged(subject, judgement)?),
        None => {
            blocks.push(Block::gap(words.get("cutoff.gap_judgement"), "statera policy BUNDLE --data DATA --out NEW"))
        }
    }
    Ok(blocks)
}

/// Why approval ends where it does.
fn rule(subject: &Subject<'_>, policy: &Policy) -> String {
    let words = &subject.words;
    match policy.decision {
        DecisionRule::Cost { bad_approved, good_declined } => words
            .fill("cutoff.rule_cost", &[("bad", &words.number(bad_approved)), ("good", &words.number(good_declined))]),
        DecisionRule::Profit { good, bad } => {
            words.fill("cutoff.rule_profit", &[("good", &words.number(good)), ("bad", &words.number(bad))])
        }
        DecisionRule::Cutoff { decline_from } => {
            words.fill("cutoff.rule_cutoff", &[("cutoff", &words.percent(decline_from))])
        }
    }
}

fn judged(subject: &Subject<'_>, judgement: &Judgement) -> Result<Vec<Block>> {
    let words = &subject.words;
    let [approved, reviewed, declined] = judgement.shares.map(|s| words.percent(s));
    let mut blocks = vec![Block::Tiles {
        tiles: vec![
            (words.count(judgement.n_rows), words.get("cutoff.judged_rows")),
            (approved, words.get("decision.approve")),
            (reviewed, words.get("decision.review")),
            (declined, words.get("decision.decline")),
        ],
    }];
    blocks.extend(subject.judged_on().into_iter().map(Block::remark));
    blocks.extend(grades(subject, judgement));
    blocks.push(Block::heading(words.get("cutoff.what_if_title")));
    blocks.extend(picture(subject, judgement)?);
    blocks.push(what_if(subject, judgement));
    Ok(blocks)
}

fn grades(subject: &Subject<'_>, judgement: &Judgement) -> Option<Block> {
    let words = &subject.words;
    let mut table = Table::of(words, &["<cutoff.grade", "word.n_rows", "cutoff.predicted", "cutoff.observed"]);
    let share = |v: Option<f64>| v.map_or("–".into(), |v| words.percent(v));
    table.rows = judgement
        .grades
        .iter()
        .map(|g| {
            let figures = [words.count(g.n_rows), share(g.predicted), share(g.observed)];
            [cut(&g.grade)].into_iter().chain(figures).map(Cell::of).collect()
        })
        .collect();
    (!table.rows.is_empty()).then_some(Block::Table(table))
}

/// Bad rate by approval rate, of the model and of the present score.
fn picture(subject: &Subject<'_>, judgement: &Judgement) -> Result<Option<Block>> {
    let words = &subject.words;
    let line = |of: &dyn Fn(&WhatIf) -> Option<Alternative>| {
        let point = |a: Alternative| Some((a.approval_rate, a.bad_rate?));
        let mut points: Vec<(f64, f64)> = judgement.what_if.iter().filter_map(of).filter_map(point).collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
        points
    };
    let model = line(&|w| Some(w.model));
    let present = line(&|w| w.baseline);
    let (Some(first), Some(last)) = (model.first(), model.last()) else { return Ok(None) };
    let most = model.iter().chain(&present).map(|p| p.1).fold(0.0, f64::max);
    if last.0 <= first.0 || most <= 0.0 {
        return Ok(None);
    }
    let (low, high, top) = (first.0, last.0, super::performance::nice_end(most));
    let percent = |v: f64| words.percent((v * 1000.0).round() / 1000.0).replace(".0", "");
    let mut marks = Vec::new();
    let mut legend = vec![(Color::First, subject.model())];
    if !present.is_empty() {
        marks.push(Mark::Line(Color::Second, present));
        legend.push((Color::Second, words.get("leaderboard.present_score")));
    }
    if let Some(own) = judgement.what_if.first().filter(|w| w.model.approval_rate > low) {
        let at = own.model.approval_rate;
        marks.push(Mark::Line(Color::Guide, vec![(at, 0.0), (at, top)]));
        legend.push((Color::Guide, words.get("cutoff.the_policy")));
    }
    marks.push(Mark::Line(Color::First, model));
    let title = words.get("cutoff.picture_title");
    let svg = chart::svg(&Chart {
        title: &title,
        description: &words.get("cutoff.picture_line"),
        x: Axis { label: words.get("cutoff.approval_rate"), low, high, words: &percent },
        y: Axis { label: words.get("cutoff.bad_rate"), low: 0.0, high: top, words: &percent },
        marks,
    })?;
    Ok(Some(Block::Figures { figures: vec![Figure::new(title, svg, legend)] }))
}

fn what_if(subject: &Subject<'_>, judgement: &Judgement) -> Block {
    let words = &subject.words;
    let with_value = judgement.what_if.iter().any(|w| w.model.value.is_some());
    let with_present = judgement.what_if.iter().any(|w| w.baseline.is_some());
    let mut head =
        vec![words.get("cutoff.declined_from"), words.get("cutoff.approval_rate"), words.get("cutoff.bad_rate")];
    head.extend(with_value.then(|| words.get("cutoff.value")));
    head.extend(with_present.then(|| words.get("cutoff.present_bad_rate")));
    let groups: Vec<usize> = judgement.large_groups().take(MAX_GROUPS).collect();
    head.extend(groups.iter().map(|&g| words.fill("cutoff.group", &[("group", &subject.group(&judgement.groups[g]))])));
    let bad_rate = |a: &Alternative| a.bad_rate.map_or_else(|| words.get("cutoff.nobody"), |b| words.percent(b));
    let mut table = Table::new(&head);
    for (i, w) in judgement.what_if.iter().enumerate() {
        let cutoff = w.cutoff.map_or_else(|| words.get("cutoff.none"), |cutoff| words.percent(cutoff));
        let cutoff = if i == 0 { format!("{cutoff} ({})", words.get("cutoff.the_policy")) } else { cutoff };
        let mut row = vec![
            Cell::toned(cutoff, if i == 0 { "accent" } else { "" }),
            Cell::of(words.percent(w.model.approval_rate)),
            Cell::of(bad_rate(&w.model)),
        ];
        if with_value {
            row.push(Cell::of(w.model.value.map_or("–".into(), |v| words.signed(v))));
        }
        if with_present {
            row.push(Cell::of(w.baseline.as_ref().map_or("–".into(), bad_rate)));
        }
        let share = |of: &[Option<f64>], g: usize| of.get(g).copied().flatten().map(|s| words.percent(s));
        let both = |&g: &usize| {
            let model = share(&w.groups, g).unwrap_or_else(|| "–".into());
            let present = share(&w.baseline_groups, g).map_or(String::new(), |s| format!(" | {s}"));
            Cell::toned(model + &present, "soft")
        };
        row.extend(groups.iter().map(both));
        table.rows.push(row);
    }
    let beside = judgement.what_if.iter().any(|w| !w.baseline_groups.is_empty()) && !groups.is_empty();
    let note = words.get("cutoff.what_if_note");
    table.note = Some(if beside { format!("{note} {}", words.get("cutoff.beside_present")) } else { note });
    Block::Table(table)
}

/// Most groups whose approval rate has a column.
const MAX_GROUPS: usize = 8;
