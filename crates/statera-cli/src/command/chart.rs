//! Learning curves, and other values in a row, in the terminal.

use crate::console::Console;
use statera::facts::{Facts, FitCurve};
use statera_core::LearningCurve;

/// Widest chart.
const MAX_WIDTH: usize = 50;
/// Characters of a line, whatever the terminal's width.
const LINE: usize = 80;
/// From the least to the largest.
const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// A chart of the first fold's fit of each candidate that learns step by step; all are in the facts.
pub fn learning_curves(facts: &Facts, console: &Console) {
    let shown: Vec<&FitCurve> = facts.learning_curves.iter().filter(|c| c.fold == Some(1)).collect();
    if shown.is_empty() {
        return;
    }
    let title = |name: &str| {
        facts.leaderboard.entries.iter().find(|e| e.model == name).map_or(name.to_string(), |e| e.title.clone())
    };
    let titles: Vec<String> = shown.iter().map(|c| title(&c.model)).collect();
    let width = titles.iter().map(|t| t.chars().count()).max().unwrap_or(0);
    console.line("Learning curves of the first fold's models, on rows held back from learning:");
    for (title, fit) in titles.iter().zip(shown) {
        let chart = chart(&fit.curve, MAX_WIDTH.min(LINE - width - 6));
        console.line(format!("  {title:<width$}  {chart}"));
        console.line(format!("    {}", in_words(&fit.curve)));
    }
}

/// One character a step, from the smallest to the largest value; a step of several points is their mean.
fn chart(curve: &LearningCurve, width: usize) -> String {
    let values: Vec<f64> = curve.points.iter().filter_map(|p| curve.shown(p)).filter(|v| v.is_finite()).collect();
    blocks(&values, width)
}

/// Finite values as at most `width` characters, from the smallest to the largest; a character of several values is their mean.
pub fn blocks(values: &[f64], width: usize) -> String {
    let n = values.len().min(width);
    let mean = |step: usize| {
        let part = &values[step * values.len() / n..(step + 1) * values.len() / n];
        part.iter().sum::<f64>() / part.len() as f64
    };
    let steps: Vec<f64> = (0..n).map(mean).collect();
    let (low, high) = steps.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(*v), h.max(*v)));
    let level = |v: &f64| if high > low { (v - low) / (high - low) * 7.0 } else { 0.0 };
    steps.iter().map(|v| BLOCKS[(level(v).round() as usize).min(7)]).collect()
}

/// First, best, last and kept.
fn in_words(curve: &LearningCurve) -> String {
    let value = |p: &statera_core::LearningPoint| curve.shown(p).map_or("–".into(), short);
    let at = |p: Option<&statera_core::LearningPoint>| p.map_or("–".into(), value);
    let best = curve.best();
    format!(
        "{} {}, best {} at {}, last {}; {} {} kept",
        curve.figure.as_deref().unwrap_or("training loss"),
        at(curve.points.first()),
        at(best),
        best.map_or(0, |p| p.unit),
        at(curve.points.last()),
        curve.unit,
        curve.kept,
    )
}

/// Four decimals, or four digits of a large number.
fn short(value: f64) -> String {
    if value.abs() < 1e3 { format!("{value:.4}") } else { format!("{value:.3e}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use statera_core::LearningPoint;

    fn curve(figures: &[f64]) -> LearningCurve {
        let point = |(i, f): (usize, &f64)| LearningPoint { unit: i + 1, loss: Some(0.5), figure: Some(*f) };
        LearningCurve {
            unit: "epoch".into(),
            figure: Some("mean squared error".into()),
            higher_is_better: false,
            kept: 2,
            n_units: figures.len(),
            points: figures.iter().enumerate().map(point).collect(),
        }
    }

    #[test]
    fn a_chart_has_a_block_a_step_between_the_extremes() {
        assert_eq!(chart(&curve(&[8.0, 1.0, 4.5]), 50), "█▁▅");
        assert_eq!(chart(&curve(&[8.0, 8.0, 1.0, 1.0, 4.5, 4.5]), 3), "█▁▅");
        assert_eq!(chart(&curve(&[2.0, 2.0]), 50), "▁▁");
        assert_eq!(chart(&curve(&[]), 50), "");
        let many: Vec<f64> = (0..203).map(f64::from).collect();
        assert_eq!(chart(&curve(&many), 50).chars().count(), 50);
    }

    #[test]
    fn the_words_fit_a_line() {
        assert_eq!(
            in_words(&curve(&[0.8, 0.5, 0.6])),
            "mean squared error 0.8000, best 0.5000 at 2, last 0.6000; epoch 2 kept"
        );
        let mut long = curve(&[123_456.0; 2000]);
        long.kept = 1999;
        assert!(in_words(&long).chars().count() + 4 <= LINE, "{}", in_words(&long));
    }
}
