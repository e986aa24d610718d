//! Pictures: bars and lines in SVG coordinates, sparklines in text.

use serde::Serialize;

/// A bar of a histogram, in a picture of given size, with what it says when pointed at.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Bar {
    pub x: String,
    pub y: String,
    pub width: String,
    pub height: String,
    pub title: String,
}

/// Bars of equal width that fill a picture of `width × height`; a bin that is not empty is never invisible.
pub(super) fn bars(counts: &[usize], titles: impl Fn(usize) -> String, width: f64, height: f64) -> Vec<Bar> {
    let most = counts.iter().copied().max().unwrap_or(0).max(1) as f64;
    let step = width / counts.len().max(1) as f64;
    // Few bins stay slim columns with air between them.
    let bar = (step * 0.88).min(36.0);
    counts
        .iter()
        .enumerate()
        .filter(|(_, n)| **n > 0)
        .map(|(i, &n)| {
            let tall = (n as f64 / most * height).max(1.0);
            Bar {
                x: format!("{:.2}", step * i as f64 + (step - bar) / 2.0),
                y: format!("{:.2}", height - tall),
                width: format!("{bar:.2}"),
                height: format!("{tall:.2}"),
                title: titles(i),
            }
        })
        .collect()
}

/// Points of a line over `values` in a picture of `width × height` whose top is `top`; `n_places` places across.
pub(super) fn line(values: &[f64], n_places: usize, top: f64, width: f64, height: f64) -> String {
    let step = width / n_places.saturating_sub(1).max(1) as f64;
    let y = |v: f64| height - v / if top > 0.0 { top } else { 1.0 } * height;
    let points: Vec<String> =
        values.iter().enumerate().map(|(i, &v)| format!("{:.1},{:.1}", step * i as f64, y(v))).collect();
    points.join(" ")
}

/// The least number not below `value` whose half is as short to write.
pub(super) fn nice_top(value: f64) -> f64 {
    if value <= 0.0 {
        return 1.0;
    }
    let power = 10f64.powf(value.log10().floor());
    [1.0, 1.2, 1.6, 2.0, 2.4, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0]
        .into_iter()
        .map(|m| m * power)
        .find(|&top| top >= value * (1.0 - 1e-9))
        .unwrap_or(value)
}

/// Eighths of a line by count, at most `max` characters; where there are more counts, neighbours are averaged.
pub(super) fn sparkline(counts: &[usize], max: usize) -> String {
    if counts.is_empty() || max == 0 {
        return String::new();
    }
    let mean = |c: &[usize]| c.iter().sum::<usize>() as f64 / c.len() as f64;
    let (n, n_chars) = (counts.len(), counts.len().min(max));
    let means: Vec<f64> = (0..n_chars).map(|i| mean(&counts[i * n / n_chars..(i + 1) * n / n_chars])).collect();
    let most = means.iter().copied().fold(0.0, f64::max);
    let eighth = |&n: &f64| match n {
        0.0 => ' ',
        n => ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'][((n / most * 8.0) as usize).clamp(1, 8) - 1],
    };
    means.iter().map(eighth).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sparklines_show_counts() {
        assert_eq!(sparkline(&[0, 1, 4, 8], 10), " ▁▄█");
        assert_eq!(sparkline(&[8, 4, 4, 2, 2], 3), "█▄▂");
        assert_eq!(sparkline(&[], 3), "");
        assert_eq!(sparkline(&[0, 0], 3), "  ");
    }

    #[test]
    fn bars_fill_the_picture() {
        let bars = bars(&[2, 0, 4], |i| format!("bin {i}"), 30.0, 10.0);
        assert_eq!(bars.len(), 2);
        assert_eq!((bars[0].x.as_str(), bars[0].y.as_str(), bars[0].height.as_str()), ("0.60", "5.00", "5.00"));
        assert_eq!((bars[1].x.as_str(), bars[1].title.as_str()), ("20.60", "bin 2"));
    }

    #[test]
    fn axes_end_at_round_numbers() {
        for (value, top) in [(0.0, 1.0), (0.07, 0.08), (0.21, 0.24), (0.25, 0.3), (3.0, 3.0), (17.0, 20.0)] {
            assert!((nice_top(value) - top).abs() < 1e-12, "{value}: {}", nice_top(value));
        }
        assert_eq!(line(&[0.0, 0.5, 1.0], 3, 1.0, 100.0, 20.0), "0.0,20.0 50.0,10.0 100.0,0.0");
    }
}
