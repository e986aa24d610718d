//! One case of the alerts: its timeline, and the network around it.

use crate::alerts::{
    Alerts, CaseCard, CaseNetwork, CaseTerminal, CaseTransaction, MAX_CARDS, MAX_TERMINALS, MAX_TRANSACTIONS,
};
use crate::report::chart::graph::{self, Graph, Link, Node, Outline};
use crate::report::chart::{self, Axis, Chart, Color, Mark, Shape};
use crate::report::subject::Subject;
use crate::report::view::{Block, Cell, Figure, Table};
use crate::report::words::{Words, cut};
use statera_core::Result;

/// Transactions that are written out: alerts and frauds.
const MAX_LINES: usize = 12;
/// Hours of a day.
const HOURS: f64 = 24.0;
/// Where the axis of values ends on either side; what lies beyond is drawn there.
const MAX_END: f64 = 1e15;

/// What the chapter of alerts shows of its case; a gap without one.
pub(super) fn blocks(subject: &Subject<'_>, alerts: &Alerts) -> Result<Vec<Block>> {
    let words = &subject.words;
    let mut blocks = vec![Block::heading(words.get("alerts.case_title"))];
    let Some(case) = &alerts.case else {
        blocks.push(Block::gap(words.get("alerts.case_gap"), words.get("page.train_again")));
        return Ok(blocks);
    };
    // A bundle that was made by hand may hold more than a page can.
    let told = &case.transactions[..case.transactions.len().min(MAX_TRANSACTIONS)];
    let count = |is: fn(&CaseTransaction) -> bool| words.count(told.iter().filter(|t| is(t)).count());
    let lead = words.fill(
        "alerts.case_lead",
        &[
            ("rank", &words.count(case.rank)),
            ("told", &words.count(told.len())),
            ("all", &words.count(case.n_transactions)),
            ("frauds", &count(|t| t.is_fraud)),
            ("alerts", &count(|t| t.is_alerted)),
        ],
    );
    blocks.push(Block::text(lead));
    blocks.push(Block::remark(words.get("alerts.case_private")));
    // A card whose terminals are missing in every row has a network of itself alone.
    let network = case.network.as_ref().filter(|network| !network.terminals.is_empty());
    let mut figures = timelines(subject, told)?;
    if let Some(network) = network {
        figures.push(network_picture(words, network, told)?);
    }
    blocks.push(Block::Figures { figures });
    blocks.push(highlights(words, told, network.is_some()));
    blocks.push(match network {
        Some(network) => terminals(words, network),
        None => Block::gap(words.get("alerts.case_nowhere"), "statera train DATA --use-case fraud … --terminal COL"),
    });
    Ok(blocks)
}

/// Days since the first transaction that is told.
fn days(transaction: &CaseTransaction) -> f64 {
    f64::from(transaction.hour) / HOURS
}

/// Probability by time, and before it amount by time where amounts are known.
fn timelines(subject: &Subject<'_>, told: &[CaseTransaction]) -> Result<Vec<Figure>> {
    let words = &subject.words;
    let mut figures = Vec::new();
    if told.iter().any(|t| t.amount.is_some()) {
        let number = |v: f64| words.number(v);
        figures.push(timeline(words, told, "alerts.case_amount", (None, &number), &|t| t.amount)?);
    }
    let percent = |v: f64| words.percent((v * 1000.0).round() / 1000.0).replace(".0", "");
    let cutoff = Some(subject.facts.leaderboard.cutoff);
    figures.push(timeline(words, told, "alerts.case_probability", (cutoff, &percent), &|t| Some(t.probability))?);
    Ok(figures)
}

/// A figure of the transactions by time, with a dashed line at a limit where there is one and the picture reaches it.
fn timeline(
    words: &Words,
    told: &[CaseTransaction],
    key: &str,
    (limit, value): (Option<f64>, &dyn Fn(f64) -> String),
    of: &dyn Fn(&CaseTransaction) -> Option<f64>,
) -> Result<Figure> {
    let points = |is: &dyn Fn(&CaseTransaction) -> bool| -> Vec<(f64, f64)> {
        told.iter().filter(|t| is(t)).filter_map(|t| Some((days(t), of(t)?))).collect()
    };
    let all = points(&|_| true);
    let (low, high) = all.iter().fold((0.0f64, 0.0f64), |(low, high), p| (low.min(p.1), high.max(p.1)));
    let (low, high) = (-round_end(-low).min(MAX_END), round_end(high).min(MAX_END));
    let high = if high > low { high } else { 1.0 };
    let last = all.iter().map(|p| p.0).fold(1.0, f64::max);
    let number = |v: f64| words.number((v * 10.0).round() / 10.0);
    let mut marks = vec![
        Mark::Points(Color::First, Shape::Dot, points(&|t| !t.is_fraud)),
        Mark::Points(Color::Fifth, Shape::Triangle, points(&|t| t.is_fraud)),
        Mark::Points(Color::Third, Shape::Ring, points(&|t| t.is_alerted)),
    ];
    let mut legend = vec![
        (Color::First, words.get("alerts.case_genuine")),
        (Color::Fifth, words.get("alerts.case_fraud")),
        (Color::Third, words.get("alerts.case_alerted")),
    ];
    if let Some(limit) = limit.filter(|limit| *limit <= high) {
        marks.insert(0, Mark::Line(Color::Guide, vec![(-0.04 * last, limit), (1.04 * last, limit)]));
        legend.push((Color::Guide, words.fill("alerts.case_cutoff", &[("cutoff", &value(limit))])));
    }
    let title = words.get(&format!("{key}_picture"));
    let svg = chart::svg(&Chart {
        title: &title,
        description: &words.get(&format!("{key}_line")),
        // Points at the ends stay off the frame.
        x: Axis { label: words.get("alerts.case_days"), low: -0.04 * last, high: 1.04 * last, words: &number },
        y: Axis { label: words.get(key), low, high, words: value },
        marks,
    })?;
    Ok(Figure::new(title, svg, legend))
}

/// The least of 1, 2 and 5 times the powers of ten that is not below a value; 0 for what is not above it.
fn round_end(value: f64) -> f64 {
    if value <= 0.0 {
        return 0.0;
    }
    let power = 10f64.powi(value.log10().floor() as i32);
    [1.0, 2.0, 5.0, 10.0].map(|step| step * power).into_iter().find(|end| *end >= value).unwrap_or(value)
}

/// The card at the left, its terminals in the middle, other cards with known frauds there at the right.
fn network_picture(words: &Words, network: &CaseNetwork, told: &[CaseTransaction]) -> Result<Figure> {
    let (terminals, cards) = shown(network);
    let is_known = |terminal: usize| cards.iter().any(|card| card.terminals.contains(&terminal));
    let tone = |is_marked: bool| if is_marked { Color::Fifth } else { Color::First };
    let own_frauds = told.iter().any(|t| t.is_fraud);
    let own = Node { label: letters(0), color: tone(own_frauds), outline: Outline::Round };
    let terminal = |(i, t): (usize, &CaseTerminal)| Node {
        label: (i + 1).to_string(),
        color: tone(t.n_frauds > 0 || is_known(i)),
        outline: Outline::Square,
    };
    let other = |i: usize| Node { label: letters(i + 1), color: Color::Fifth, outline: Outline::Round };
    let mut columns = vec![vec![own], terminals.iter().enumerate().map(terminal).collect()];
    let mut links: Vec<Link> = Vec::new();
    for (i, terminal) in terminals.iter().enumerate() {
        let color = if terminal.n_frauds > 0 { Color::Fifth } else { Color::Guide };
        links.push(Link { from: (0, 0), to: (1, i), color });
    }
    for (i, card) in cards.iter().enumerate() {
        let ends = card.terminals.iter().filter(|&&terminal| terminal < terminals.len());
        links.extend(ends.map(|&terminal| Link { from: (1, terminal), to: (2, i), color: Color::Fifth }));
    }
    if !cards.is_empty() {
        columns.push((0..cards.len()).map(other).collect());
    }
    let title = words.get("alerts.case_network_picture");
    let description = words.get("alerts.case_network_line");
    let svg = graph::svg(&Graph { title: &title, description: &description, columns, links })?;
    let legend = vec![
        (Color::Fifth, words.get("alerts.case_with_fraud")),
        (Color::First, words.get("alerts.case_without_fraud")),
        (Color::Guide, words.get("alerts.case_genuine_only")),
    ];
    Ok(Figure::new(title, svg, legend))
}

/// Terminals and other cards that a picture has place for.
fn shown(network: &CaseNetwork) -> (&[CaseTerminal], &[CaseCard]) {
    let terminals = &network.terminals[..network.terminals.len().min(MAX_TERMINALS)];
    (terminals, &network.cards[..network.cards.len().min(MAX_CARDS)])
}

/// The name of a card by its number from 0: A to Z, then AA, AB and so on.
fn letters(number: usize) -> String {
    let letter = |n: usize| char::from(b'A' + (n % 26) as u8);
    match number / 26 {
        0 => letter(number).to_string(),
        more => format!("{}{}", letter(more - 1), letter(number)),
    }
}

/// Alerts and frauds in words, the first ones.
fn highlights(words: &Words, told: &[CaseTransaction], has_terminals: bool) -> Block {
    let mut keys = vec!["alerts.case_days", "<alerts.case_what", "alerts.case_probability"];
    let has_amounts = told.iter().any(|t| t.amount.is_some());
    if has_amounts {
        keys.push("alerts.case_amount");
    }
    if has_terminals {
        keys.push("alerts.case_terminal");
    }
    let mut table = Table::of(words, &keys);
    let all: Vec<&CaseTransaction> = told.iter().filter(|t| t.is_fraud || t.is_alerted).collect();
    let (all, hidden) = super::first(words, all, MAX_LINES);
    for transaction in all {
        let (what, tone) = match (transaction.is_fraud, transaction.is_alerted) {
            (true, true) => ("alerts.case_found", "grave"),
            (true, false) => ("alerts.case_missed", "warn"),
            (false, _) => ("alerts.case_in_vain", ""),
        };
        let mut row = vec![
            Cell::of(words.number((days(transaction) * 10.0).round() / 10.0)),
            Cell::badge(words.get(what), tone),
            Cell::of(words.percent(transaction.probability)),
        ];
        if has_amounts {
            row.push(Cell::of(transaction.amount.map_or("–".into(), |amount| words.number(amount))));
        }
        if has_terminals {
            row.push(Cell::of(
                transaction.terminal.map_or("–".into(), |terminal| words.count(terminal.saturating_add(1))),
            ));
        }
        table.rows.push(row);
    }
    table.note = hidden;
    Block::Table(table)
}

/// The terminals in figures, and what of the network is not shown.
fn terminals(words: &Words, network: &CaseNetwork) -> Block {
    let keys = ["alerts.case_terminal", "alerts.case_own", "alerts.case_own_frauds", "<alerts.case_others"];
    let mut table = Table::of(words, &keys);
    let (terminals, cards) = shown(network);
    for (i, terminal) in terminals.iter().enumerate() {
        let there = cards.iter().enumerate().filter(|(_, card)| card.terminals.contains(&i));
        let there: Vec<String> = there.map(|(card, _)| letters(card + 1)).collect();
        table.rows.push(vec![
            Cell::of(words.count(i + 1)),
            Cell::of(words.count(terminal.n_transactions)),
            Cell::of(words.count(terminal.n_frauds)),
            Cell::toned(there.join(", "), "wide"),
        ]);
    }
    let hidden = |all: usize, shown: usize| words.count(all.saturating_sub(shown));
    table.note = Some(words.fill(
        "alerts.case_network_note",
        &[
            ("column", &cut(&network.column)),
            ("terminals", &hidden(network.n_terminals, terminals.len())),
            ("cards", &hidden(network.n_cards, cards.len())),
        ],
    ));
    Block::Table(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cards_have_letters() {
        for (number, expected) in [(0, "A"), (25, "Z"), (26, "AA"), (30, "AE"), (52, "BA")] {
            assert_eq!(letters(number), expected);
        }
    }

    #[test]
    fn ends_of_axes_are_round() {
        for (value, expected) in [(0.0, 0.0), (-3.0, 0.0), (1.0, 1.0), (0.3, 0.5), (990.0, 1000.0), (1200.0, 2000.0)] {
            assert!((round_end(value) - expected).abs() < 1e-9, "{value}: {}", round_end(value));
        }
    }
}
