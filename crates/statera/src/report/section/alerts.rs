//! What a fraud desk finds: card precision and money saved by its capacity, how both go from week to week, and one case.

use super::{Section, case, day};
use crate::alerts::Alerts;
use crate::report::chart::{self, Axis, Chart, Color, Mark};
use crate::report::subject::Subject;
use crate::report::view::{Block, Cell, Figure, Table};
use statera_core::Result;
use statera_core::metric::{CapacityPoint, Interval, measured};

pub(in super::super) const ALERTS: Section = Section { name: "alerts", view };

/// Microseconds of a day.
const DAY: f64 = 86_400e6;
/// The customary sign of a large shift.
const LARGE: f64 = 0.25;

fn view(subject: &Subject<'_>) -> Result<Vec<Block>> {
    let words = &subject.words;
    let Some(alerts) = &subject.facts.alerts else {
        return Ok(vec![Block::gap(
            words.get("alerts.not_cards"),
            "statera train DATA --use-case fraud --card COL --time COL",
        )]);
    };
    let of_day = |number: i64| day(number as f64 * DAY);
    let lead = words.fill(
        "alerts.lead",
        &[
            ("rows", &words.count(alerts.n_rows)),
            ("frauds", &words.count(alerts.n_frauds)),
            ("known", &words.count(alerts.n_known)),
            ("from", &of_day(alerts.days[0])),
            ("to", &of_day(alerts.days[1])),
            ("capacity", &words.count(alerts.capacity)),
        ],
    );
    let mut blocks = vec![Block::text(lead), tiles(subject, alerts)];
    if alerts.review_cost > 0.0 {
        blocks.push(Block::remark(words.fill("alerts.cost", &[("cost", &words.number(alerts.review_cost))])));
    }
    blocks.push(Block::heading(words.get("alerts.capacity_title")));
    blocks.push(Block::Figures { figures: pictures(subject, alerts)? });
    blocks.push(by_capacity(subject, alerts));
    blocks.push(Block::heading(words.get("alerts.weeks_title")));
    blocks.extend(week_picture(subject, alerts)?.map(|figure| Block::Figures { figures: vec![figure] }));
    blocks.push(by_week(subject, alerts, &of_day));
    blocks.extend(case::blocks(subject, alerts)?);
    Ok(blocks)
}

/// The point of the capacity itself.
fn own(alerts: &Alerts) -> Option<&CapacityPoint> {
    alerts.by_capacity.iter().find(|p| p.capacity == alerts.capacity)
}

fn tiles(subject: &Subject<'_>, alerts: &Alerts) -> Block {
    let words = &subject.words;
    let capacity = words.count(alerts.capacity);
    let percent = |i: Interval| words.percent(i.value);
    let mut tiles = Vec::new();
    if let Some(point) = own(alerts) {
        let precision = words.fill("alerts.tile_precision", &[("capacity", &capacity)]);
        tiles.push((percent(point.card_precision), precision));
        tiles.extend(point.share_saved.map(|share| (percent(share), words.get("alerts.tile_saved"))));
        tiles.extend(point.money_saved.map(|money| (words.number(money.value), words.get("alerts.tile_money"))));
    }
    let recall = measured(&alerts.figures, "recall_at_1_percent_fpr");
    tiles.extend(recall.map(|recall| (percent(recall), words.get("alerts.tile_recall"))));
    Block::Tiles { tiles }
}

fn pictures(subject: &Subject<'_>, alerts: &Alerts) -> Result<Vec<Figure>> {
    let precision = |p: &CapacityPoint| Some(p.card_precision);
    let mut figures = vec![picture(subject, alerts, ("alerts.precision", "alerts.precision"), &precision)?];
    if alerts.by_capacity.iter().all(|p| p.share_saved.is_some()) {
        figures.push(picture(subject, alerts, ("alerts.money", "alerts.share_saved"), &|p| p.share_saved)?);
    }
    Ok(figures)
}

/// A share by capacity with its interval; a dashed line stands at the capacity that was named.
fn picture(
    subject: &Subject<'_>,
    alerts: &Alerts,
    (key, height): (&str, &str),
    of: &dyn Fn(&CapacityPoint) -> Option<Interval>,
) -> Result<Figure> {
    let words = &subject.words;
    let points: Vec<(f64, Interval)> =
        alerts.by_capacity.iter().filter_map(|p| Some((p.capacity as f64, of(p)?))).collect();
    let most = points.iter().map(|p| p.1.high).fold(0.0, f64::max);
    let top = super::performance::nice_end(most.max(0.01)).min(1.0);
    let last = points.last().map_or(1.0, |p| p.0).max(1.0);
    let percent = |v: f64| words.percent((v * 1000.0).round() / 1000.0).replace(".0", "");
    let count = |v: f64| words.count(v.round().max(0.0) as usize);
    let title = words.get(&format!("{key}_picture"));
    let capacity = alerts.capacity as f64;
    let svg = chart::svg(&Chart {
        title: &title,
        description: &words.get(&format!("{key}_line")),
        x: Axis { label: words.get("alerts.capacity"), low: 0.0, high: last, words: &count },
        y: Axis { label: words.get(height), low: 0.0, high: top, words: &percent },
        marks: vec![
            Mark::Band(Color::First, points.iter().map(|(x, i)| (*x, i.low, i.high)).collect()),
            Mark::Line(Color::Guide, vec![(capacity, 0.0), (capacity, top)]),
            Mark::Line(Color::First, points.iter().map(|(x, i)| (*x, i.value)).collect()),
        ],
    })?;
    Ok(Figure::new(title, svg, vec![(Color::First, subject.model())]))
}

fn by_capacity(subject: &Subject<'_>, alerts: &Alerts) -> Block {
    let words = &subject.words;
    let has_money = alerts.by_capacity.iter().any(|p| p.money_saved.is_some());
    let keys = ["alerts.capacity", "alerts.precision", "alerts.share_saved", "alerts.money_saved"];
    let mut table = Table::of(words, &keys[..if has_money { 4 } else { 2 }]);
    for point in &alerts.by_capacity {
        let tone = if point.capacity == alerts.capacity { "accent" } else { "" };
        let percent = |i: Interval| Cell::of(words.interval(i, &|v| words.percent(v)));
        let mut row = vec![Cell::toned(words.count(point.capacity), tone), percent(point.card_precision)];
        row.extend(point.share_saved.map(percent));
        row.extend(point.money_saved.map(|i| Cell::of(words.interval(i, &|v| words.number(v)))));
        table.rows.push(row);
    }
    table.note = Some(words.get("alerts.capacity_note"));
    Block::Table(table)
}

/// Bars of card precision; of one week there is nothing to compare.
fn week_picture(subject: &Subject<'_>, alerts: &Alerts) -> Result<Option<Figure>> {
    let words = &subject.words;
    if alerts.weeks.len() < 2 {
        return Ok(None);
    }
    let most = alerts.weeks.iter().map(|w| w.card_precision).fold(0.0, f64::max);
    let top = super::performance::nice_end(most.max(0.01)).min(1.0);
    let percent = |v: f64| words.percent((v * 1000.0).round() / 1000.0).replace(".0", "");
    let (first, last) = (alerts.weeks[0].start, alerts.weeks[alerts.weeks.len() - 1].start + 7);
    let date = |v: f64| day(v * DAY).get(5..).unwrap_or_default().to_string();
    let bars = alerts.weeks.iter().map(|w| (w.start as f64 + 0.5, w.start as f64 + 6.5, w.card_precision));
    let title = words.get("alerts.weeks_picture");
    let svg = chart::svg(&Chart {
        title: &title,
        description: &words.get("alerts.weeks_line"),
        x: Axis { label: words.get("alerts.week"), low: first as f64, high: last as f64, words: &date },
        y: Axis { label: words.get("alerts.precision"), low: 0.0, high: top, words: &percent },
        marks: vec![Mark::Bars(Color::First, bars.collect())],
    })?;
    Ok(Some(Figure::new(title, svg, vec![(Color::First, words.get("alerts.precision"))])))
}

fn by_week(subject: &Subject<'_>, alerts: &Alerts, of_day: &dyn Fn(i64) -> String) -> Block {
    let words = &subject.words;
    let keys = [
        "<alerts.week",
        "alerts.n_rows",
        "alerts.n_frauds",
        "alerts.precision",
        "alerts.share_saved",
        "alerts.psi",
        "alerts.bound",
    ];
    let mut table = Table::of(words, &keys);
    for week in &alerts.weeks {
        let psi = match week.psi {
            psi if psi > LARGE => Cell::badge(words.fixed(psi), "grave"),
            psi => Cell::of(words.fixed(psi)),
        };
        table.rows.push(vec![
            Cell::of(of_day(week.start)),
            Cell::of(words.count(week.n_rows)),
            Cell::of(words.count(week.n_frauds)),
            Cell::of(words.percent(week.card_precision)),
            Cell::of(week.share_saved.map_or("–".into(), |share| words.percent(share))),
            psi,
            Cell::toned(words.fixed(week.psi_bound), "soft"),
        ]);
    }
    table.note = Some(words.get("alerts.weeks_note"));
    Block::Table(table)
}
