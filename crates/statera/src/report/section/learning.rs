//! How the fits of the candidates went.

use super::Section;
use crate::facts::FitCurve;
use crate::report::chart::{self, Axis, Chart, Color, Mark};
use crate::report::subject::Subject;
use crate::report::view::{Block, Figure};
use statera_core::Result;

pub(in super::super) const LEARNING: Section = Section { name: "learning", view };

/// Most pictures, and lines of one.
const MAX_FIGURES: usize = 16;
const MAX_LINES: usize = 5;

fn view(subject: &Subject<'_>) -> Result<Vec<Block>> {
    let (words, curves) = (&subject.words, &subject.facts.learning_curves);
    let mut models: Vec<&str> = Vec::new();
    for curve in curves {
        if !models.contains(&curve.model.as_str()) {
            models.push(&curve.model);
        }
    }
    let mut figures = Vec::new();
    for model in models.into_iter().take(MAX_FIGURES) {
        let own: Vec<&FitCurve> = curves.iter().filter(|c| c.model == model && c.fold.is_some()).collect();
        figures.extend(figure(subject, model, &own)?);
    }
    if figures.is_empty() {
        let has_steps = subject.facts.leaderboard.entries.iter().any(|e| !STEPLESS.contains(&e.model.as_str()));
        return Ok(vec![if has_steps && curves.is_empty() {
            Block::gap(words.get("learning.gap"), words.get("page.train_again"))
        } else {
            Block::text(words.get("learning.no_steps"))
        }]);
    }
    Ok(vec![Block::text(words.get("learning.lead")), Block::Figures { figures }])
}

/// Candidates that are fitted in one piece.
const STEPLESS: [&str; 4] = ["baseline", "scorecard", "logistic", "ensemble"];

/// The validation figure of each fold by units, else the loss; `None` where there are no two points.
fn figure(subject: &Subject<'_>, model: &str, curves: &[&FitCurve]) -> Result<Option<Figure>> {
    let words = &subject.words;
    let has_figure = curves.iter().all(|c| c.curve.figure.is_some());
    let lines: Vec<Vec<(f64, f64)>> = curves
        .iter()
        .take(MAX_LINES)
        .map(|c| {
            let point = |p: &statera_core::LearningPoint| {
                let value = if has_figure { p.figure } else { p.loss };
                Some((p.unit as f64, value.filter(|v| v.is_finite())?))
            };
            c.curve.points.iter().filter_map(point).collect()
        })
        .collect();
    let ends = |of: &dyn Fn(&(f64, f64)) -> f64| {
        let all = || lines.iter().flatten().map(of);
        (all().fold(f64::INFINITY, f64::min), all().fold(f64::NEG_INFINITY, f64::max))
    };
    let ((x0, x1), (y0, y1)) = (ends(&|p| p.0), ends(&|p| p.1));
    if !(x1 > x0 && y1 > y0) {
        return Ok(None);
    }
    let Some(first) = curves.first() else { return Ok(None) };
    let unit = words.known(&format!("learning.unit_{}", first.curve.unit)).unwrap_or_else(|| first.curve.unit.clone());
    let shown = match &first.curve.figure {
        Some(name) if has_figure => {
            let key = format!("metric.{}", name.to_lowercase().replace(' ', "_"));
            words.known(&key).unwrap_or_else(|| words.get("learning.figure"))
        }
        _ => words.get("learning.loss"),
    };
    let title = words.model(model, model);
    let kept: Vec<String> = curves.iter().map(|c| words.count(c.curve.kept)).collect();
    let description = words.fill("learning.kept", &[("unit", &unit), ("kept", &kept.join(", "))]);
    let pad = 0.05 * (y1 - y0);
    let svg = chart::svg(&Chart {
        title: &title,
        description: &description,
        x: Axis { label: unit, low: x0.min(1.0), high: x1, words: &|v| words.number(v.round()) },
        y: Axis { label: shown, low: y0 - pad, high: y1 + pad, words: &|v| words.number((v * 1e4).round() / 1e4) },
        marks: lines.into_iter().zip(Color::LINES).map(|(line, color)| Mark::Line(color, line)).collect(),
    })?;
    let fold = |(c, color): (&&FitCurve, Color)| {
        let n = c.fold.map_or_else(String::new, |f| words.count(f));
        (color, words.fill("learning.fold", &[("n", &n), ("kept", &words.count(c.curve.kept))]))
    };
    Ok(Some(Figure::new(title, svg, curves.iter().zip(Color::LINES).map(fold).collect())))
}
