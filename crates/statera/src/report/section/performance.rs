//! How good the chosen model is: every metric, and the pictures of a ranking and of probabilities.

use super::Section;
use crate::report::chart::{self, Axis, Chart, Color, Mark};
use crate::report::subject::Subject;
use crate::report::view::{Block, Cell, Figure, Table};
use crate::report::words::Words;
use statera_core::Result;
use statera_core::metric::{BandPoint, ReliabilityBin, ScoreBin};

pub(in super::super) const PERFORMANCE: Section = Section { name: "performance", view };

fn view(subject: &Subject<'_>) -> Result<Vec<Block>> {
    let (words, facts) = (&subject.words, &subject.facts);
    let mut blocks = vec![Block::text(subject.measured_on())];
    if subject.is_binary() {
        let gap = match &facts.bands {
            None => Some("gap_bands"),
            Some(bands) => bands.negatives.is_empty().then_some("gap_ks_bands"),
        };
        blocks
            .extend(gap.map(|key| Block::gap(words.get(&format!("performance.{key}")), words.get("page.train_again"))));
        if facts.score_distribution.is_empty() {
            blocks.push(Block::gap(words.get("performance.gap_distribution"), words.get("page.train_again")));
        } else if facts.score_distribution.iter().any(|b| b.events_interval.is_none()) {
            blocks.push(Block::gap(words.get("performance.gap_intervals"), words.get("page.train_again")));
        }
        blocks.push(Block::Figures { figures: figures(subject)? });
    } else {
        blocks.push(Block::text(words.get("performance.no_pictures")));
    }
    blocks.push(metrics(subject));
    if !facts.deciles.is_empty() {
        blocks.push(Block::heading(words.get("performance.deciles_title")));
        blocks.push(deciles(subject));
    }
    Ok(blocks)
}

/// An axis from 0 to 1 in percent.
fn share_axis<'a>(label: String, words: &'a dyn Fn(f64) -> String) -> Axis<'a> {
    Axis { label, low: 0.0, high: 1.0, words }
}

fn figures(subject: &Subject<'_>) -> Result<Vec<Figure>> {
    let facts = &subject.facts;
    let mut figures = Vec::new();
    if !facts.roc.is_empty() {
        let bands = facts.bands.as_ref().map(|b| b.roc.as_slice());
        let points: Vec<(f64, f64)> = facts.roc.iter().map(|p| (p.x, p.y)).collect();
        figures.push(curve(subject, "roc", points, bands, Some(vec![(0.0, 0.0), (1.0, 1.0)]))?);
    }
    if !facts.precision_recall.is_empty() {
        let bands = facts.bands.as_ref().map(|b| b.precision_recall.as_slice());
        let points: Vec<(f64, f64)> = facts.precision_recall.iter().map(|p| (p.x, p.y)).collect();
        // At a recall of 1 every row is taken: the share of the event among the rows that are measured.
        let rate = points.last().map_or(0.0, |p| p.1);
        figures.push(curve(subject, "precision_recall", points, bands, Some(vec![(0.0, rate), (1.0, rate)]))?);
    }
    if !facts.ks.is_empty() {
        figures.push(ks(subject)?);
    }
    if !facts.deciles.is_empty() {
        let bands = facts.bands.as_ref().map(|b| b.gain.as_slice());
        let gains = facts.deciles.iter().map(|d| (d.decile as f64 / 10.0, d.gain));
        let points: Vec<(f64, f64)> = [(0.0, 0.0)].into_iter().chain(gains).collect();
        figures.push(curve(subject, "gain", points, bands, Some(vec![(0.0, 0.0), (1.0, 1.0)]))?);
    }
    if !facts.reliability.is_empty() {
        figures.push(reliability(&subject.words, &facts.reliability)?);
    }
    if !facts.score_distribution.is_empty() {
        figures.push(distribution(subject, &facts.score_distribution)?);
    }
    Ok(figures)
}

/// A curve within its band, beside what chance would give.
fn curve(
    subject: &Subject<'_>,
    name: &str,
    points: Vec<(f64, f64)>,
    band: Option<&[BandPoint]>,
    chance: Option<Vec<(f64, f64)>>,
) -> Result<Figure> {
    let words = &subject.words;
    let percent = |v: f64| words.percent((v * 100.0).round() / 100.0).replace(".0", "");
    let text = |part: &str| words.get(&format!("performance.{name}{part}"));
    let mut marks = Vec::new();
    let mut legend = vec![(Color::First, text("_line"))];
    if let Some(band) = band {
        marks.push(Mark::Band(Color::First, band.iter().map(|b| (b.x, b.low, b.high)).collect()));
    }
    if let Some(chance) = chance {
        marks.push(Mark::Line(Color::Guide, chance));
        legend.push((Color::Guide, words.get("performance.chance")));
    }
    marks.push(Mark::Line(Color::First, points));
    let metric = match name {
        "roc" => "auc",
        "precision_recall" => "average_precision",
        _ => "gain_top_3_deciles",
    };
    let figure = subject.measured().iter().find(|m| m.name == metric);
    let description = figure.map_or_else(String::new, |m| {
        let name = words.get(&format!("metric.{metric}"));
        format!("{name} {}", words.interval(m.interval, &|v| words.fixed(v)))
    });
    let title = text("_title");
    let svg = chart::svg(&Chart {
        title: &title,
        description: &description,
        x: share_axis(text("_x"), &percent),
        y: share_axis(text("_y"), &percent),
        marks,
    })?;
    if !description.is_empty() {
        legend[0].1 = format!("{}: {description}", legend[0].1);
    }
    Ok(Figure::new(title, svg, legend))
}

fn ks(subject: &Subject<'_>) -> Result<Figure> {
    let (words, points) = (&subject.words, &subject.facts.ks);
    let percent = |v: f64| words.percent((v * 100.0).round() / 100.0).replace(".0", "");
    let greatest = points.iter().max_by(|a, b| {
        let distance = |p: &statera_core::metric::KsPoint| (p.positive - p.negative).abs();
        distance(a).total_cmp(&distance(b))
    });
    let mut marks = Vec::new();
    // Both bands or none: one alone would look like the surer line.
    let bands = subject.facts.bands.as_ref().filter(|b| !b.negatives.is_empty());
    for (color, band) in bands.into_iter().flat_map(|b| [(Color::Second, &b.gain), (Color::First, &b.negatives)]) {
        marks.push(Mark::Band(color, band.iter().map(|b| (b.x, b.low, b.high)).collect()));
    }
    if let Some(p) = greatest {
        marks.push(Mark::Line(Color::Guide, vec![(p.share, p.negative), (p.share, p.positive)]));
    }
    marks.push(Mark::Line(Color::Second, points.iter().map(|p| (p.share, p.positive)).collect()));
    marks.push(Mark::Line(Color::First, points.iter().map(|p| (p.share, p.negative)).collect()));
    let value = subject.measured().iter().find(|m| m.name == "ks");
    let value = value.map_or_else(String::new, |m| words.interval(m.interval, &|v| words.fixed(v)));
    let description = words.fill("performance.ks_distance", &[("value", &value)]);
    let title = words.get("performance.ks_title");
    let svg = chart::svg(&Chart {
        title: &title,
        description: &description,
        x: share_axis(words.get("performance.ks_x"), &percent),
        y: share_axis(words.get("performance.ks_y"), &percent),
        marks,
    })?;
    let line = |key: &str| {
        let name = words.get(&format!("performance.{key}"));
        if bands.is_some() { words.fill("performance.with_band", &[("line", &name)]) } else { name }
    };
    let legend = vec![
        (Color::Second, line("with_event")),
        (Color::First, line("without_event")),
        (Color::Guide, description.clone()),
    ];
    Ok(Figure::new(title, svg, legend))
}

fn reliability(words: &Words, bins: &[ReliabilityBin]) -> Result<Figure> {
    let end = nice_end(bins.iter().map(|b| b.high.max(b.probability)).fold(0.0, f64::max));
    let percent = |v: f64| words.percent((v * 1000.0).round() / 1000.0).replace(".0", "");
    let marks = vec![
        Mark::Line(Color::Guide, vec![(0.0, 0.0), (end, end)]),
        Mark::Whiskers(Color::First, bins.iter().map(|b| (b.probability, b.rate, b.low, b.high)).collect()),
    ];
    let title = words.get("performance.reliability_title");
    let inside = bins.iter().filter(|b| b.low <= b.probability && b.probability <= b.high).count();
    let description = words
        .fill("performance.reliability_line", &[("inside", &words.count(inside)), ("n", &words.count(bins.len()))]);
    let svg = chart::svg(&Chart {
        title: &title,
        description: &description,
        x: Axis { label: words.get("performance.reliability_x"), low: 0.0, high: end, words: &percent },
        y: Axis { label: words.get("performance.reliability_y"), low: 0.0, high: end, words: &percent },
        marks,
    })?;
    let legend = vec![(Color::First, description.clone()), (Color::Guide, words.get("performance.reliability_ideal"))];
    Ok(Figure::new(title, svg, legend))
}

/// A bin's share of the rows of an outcome.
struct Share {
    from: f64,
    to: f64,
    share: f64,
    interval: Option<[f64; 2]>,
}

fn shares(bins: &[ScoreBin], of: impl Fn(&ScoreBin) -> (f64, Option<[f64; 2]>)) -> Vec<Share> {
    let share = |bin: &ScoreBin| {
        let (share, interval) = of(bin);
        Share { from: bin.from, to: bin.to, share, interval }
    };
    bins.iter().map(share).collect()
}

fn distribution(subject: &Subject<'_>, bins: &[ScoreBin]) -> Result<Figure> {
    let words = &subject.words;
    // The picture shows where rows are divided: by the policy, where there is one.
    let (cutoff, key) = match subject.declined_from() {
        Some(decline) => (decline, "performance.declined_from"),
        None => (subject.facts.leaderboard.cutoff, "performance.cutoff"),
    };
    let (events, others) = bins.iter().fold((0.0, 0.0), |sum, b| (sum.0 + b.n_events, sum.1 + b.n_others));
    let share = |n: f64, of: f64| if of > 0.0 { n / of } else { 0.0 };
    let (first, last) = (bins.first().map_or(0.0, |b| b.from), bins.last().map_or(1.0, |b| b.to));
    // Each class has half of a bin's width, for its bar and the interval of that.
    let classes: [(Color, &str, f64, Vec<Share>); 2] = [
        (Color::First, "without_event", 0.0, shares(bins, |b| (share(b.n_others, others), b.others_interval))),
        (Color::Second, "with_event", 0.5, shares(bins, |b| (share(b.n_events, events), b.events_interval))),
    ];
    let ends = classes.iter().flat_map(|c| &c.3).map(|s| s.interval.map_or(s.share, |i| i[1]));
    let top = nice_end(ends.fold(0.0, f64::max));
    let (mut marks, mut legend) = (Vec::new(), Vec::new());
    for (color, key, place, own) in &classes {
        let at = |s: &Share, part: f64| s.from + (place + part) * (s.to - s.from);
        marks.push(Mark::Bars(*color, own.iter().map(|s| (at(s, 0.0), at(s, 0.5), s.share)).collect()));
        let span = |s: &Share| s.interval.map(|[low, high]| (at(s, 0.2), at(s, 0.3), low, high));
        let spans: Vec<(f64, f64, f64, f64)> = own.iter().filter_map(span).collect();
        let name = words.get(&format!("performance.{key}"));
        let name = if spans.is_empty() { name } else { words.fill("performance.with_intervals", &[("bars", &name)]) };
        legend.push((*color, name));
        marks.push(Mark::Spans(*color, spans));
    }
    if cutoff > first && cutoff < last {
        marks.push(Mark::Line(Color::Guide, vec![(cutoff, 0.0), (cutoff, top)]));
        legend.push((Color::Guide, words.fill(key, &[("value", &words.percent(cutoff))])));
    }
    let percent = |v: f64| words.percent((v * 1000.0).round() / 1000.0).replace(".0", "");
    let title = words.get("performance.distribution_title");
    let description = words.get("performance.distribution_line");
    let svg = chart::svg(&Chart {
        title: &title,
        description: &description,
        x: Axis { label: words.get("performance.reliability_x"), low: first, high: last, words: &percent },
        y: Axis { label: words.get("performance.distribution_y"), low: 0.0, high: top, words: &percent },
        marks,
    })?;
    Ok(Figure::new(title, svg, legend))
}

/// The least round number that is not below a share, above 0 and at most 1.
pub(super) fn nice_end(share: f64) -> f64 {
    let ends = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8];
    ends.into_iter().find(|end| *end >= share).unwrap_or(1.0)
}

fn metrics(subject: &Subject<'_>) -> Block {
    let words = &subject.words;
    let head = [
        format!("<{}", words.get("performance.metric")),
        words.get("performance.value"),
        words.get("performance.interval"),
    ];
    let mut table = Table::new(&head);
    let row = |m: &statera_core::metric::Measured| {
        let figure = |v: f64| if v.abs() < 10.0 { words.fixed(v) } else { words.number(v) };
        vec![
            Cell::of(words.get(&format!("metric.{}", m.name))),
            Cell::of(figure(m.interval.value)),
            Cell::toned(format!("{} – {}", figure(m.interval.low), figure(m.interval.high)), "soft"),
        ]
    };
    table.rows = subject.measured().iter().map(row).collect();
    table.note = Some(subject.cutoff_note().unwrap_or_else(|| words.get("performance.metrics_note_plain")));
    Block::Table(table)
}

fn deciles(subject: &Subject<'_>) -> Block {
    let words = &subject.words;
    let mut table = Table::of(
        words,
        &[
            "performance.decile_decile",
            "performance.decile_rows",
            "performance.decile_events",
            "performance.decile_rate",
            "performance.decile_lift",
            "performance.decile_gain",
        ],
    );
    let row = |d: &statera_core::metric::Decile| {
        vec![
            Cell::of(d.decile.to_string()),
            Cell::of(words.weight(d.n_rows)),
            Cell::of(words.weight(d.n_positive)),
            Cell::of(words.percent(d.rate)),
            Cell::of(format!("{:.2}", d.lift)),
            Cell::of(words.percent(d.gain)),
        ]
    };
    table.rows = subject.facts.deciles.iter().map(row).collect();
    table.note = Some(words.get("performance.deciles_note"));
    Block::Table(table)
}
