//! Pictures as SVG: the one module that draws. Every picture is small enough to be read on a phone without being shrunk, has
//! a title and a description for those who do not see it, and uses colours that a page may change.
//!
//! plotters lays out axes and writes the marks; it measures no fonts here, so that a picture does not depend on a machine's.
//! Colours are written as fixed values that stand for a role ([`Color`]); [`STYLE`] maps them to the page's own, light and
//! dark, by attribute selectors. Without the style a picture has those of a light page.

pub mod graph;

use minijinja::HtmlEscape;
use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::Cartesian2d;
use plotters::prelude::{
    ChartBuilder, ChartContext, Circle, DrawingArea, IntoDrawingArea, IntoFont, PathElement, Polygon, RGBColor,
    Rectangle, SVGBackend, TriangleMarker,
};
use plotters::style::{Color as _, ShapeStyle};
use statera_core::{Error, Result};

/// What maps the colours of pictures to those of a page.
pub const STYLE: &str = include_str!("chart.css");

/// Size in units of the picture, and of its text (the library makes letters a fifth smaller): a phone shows about as many
/// pixels.
const SIZE: (u32, u32) = (360, 264);
const TEXT: u32 = 15;
/// The library places things at whole units; tenths keep curves smooth.
const FINE: u32 = 10;
/// Most labels of an axis.
const MAX_LABELS: usize = 6;

type Root<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Plot<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// A colour by its role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Color {
    /// What the picture is about.
    First,
    /// What it is compared with.
    Second,
    /// A third, fourth and fifth line.
    Third,
    /// See [`Color::Third`].
    Fourth,
    /// See [`Color::Third`].
    Fifth,
    /// What helps to read, drawn in dashes: a diagonal, a limit.
    Guide,
}

impl Color {
    /// Lines of one kind, in order; after the last the first comes again.
    pub const LINES: [Color; 5] = [Color::First, Color::Second, Color::Third, Color::Fourth, Color::Fifth];

    fn rgb(self) -> RGBColor {
        match self {
            Color::First => RGBColor(15, 118, 110),
            Color::Second => RGBColor(194, 101, 12),
            Color::Third => RGBColor(109, 91, 208),
            Color::Fourth => RGBColor(37, 99, 235),
            Color::Fifth => RGBColor(190, 24, 93),
            Color::Guide => RGBColor(138, 150, 147),
        }
    }

    /// Class of a swatch beside a word of a legend.
    pub fn class(self) -> &'static str {
        match self {
            Color::First => "k1",
            Color::Second => "k2",
            Color::Third => "k3",
            Color::Fourth => "k4",
            Color::Fifth => "k5",
            Color::Guide => "k0",
        }
    }
}

const GRID: RGBColor = RGBColor(225, 230, 228);
const WORDS: RGBColor = RGBColor(93, 106, 103);

/// An axis.
pub struct Axis<'a> {
    /// What it shows, with the unit.
    pub label: String,
    /// Lowest value shown; less than `high`, both finite.
    pub low: f64,
    /// Highest value shown.
    pub high: f64,
    /// Puts a value into words.
    pub words: &'a dyn Fn(f64) -> String,
}

/// Something drawn. Values beyond the axes are drawn at their ends.
pub enum Mark {
    /// A line through points.
    Line(Color, Vec<(f64, f64)>),
    /// What lies between two heights, by place: (x, low, high).
    Band(Color, Vec<(f64, f64, f64)>),
    /// Bars from 0: (from, to, height).
    Bars(Color, Vec<(f64, f64, f64)>),
    /// Boxes between two heights: (from, to, low, high).
    Spans(Color, Vec<(f64, f64, f64, f64)>),
    /// Values with their intervals: (x, value, low, high).
    Whiskers(Color, Vec<(f64, f64, f64, f64)>),
    /// Single values: (x, value).
    Points(Color, Shape, Vec<(f64, f64)>),
}

/// How a single value is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A small disc.
    Dot,
    /// A triangle, larger than a dot.
    Triangle,
    /// A ring around either.
    Ring,
}

/// A picture.
pub struct Chart<'a> {
    /// What it is, for those who do not see it.
    pub title: &'a str,
    /// What it shows, likewise.
    pub description: &'a str,
    /// Across.
    pub x: Axis<'a>,
    /// Up.
    pub y: Axis<'a>,
    /// In the order in which they are drawn.
    pub marks: Vec<Mark>,
}

/// Draws a picture; the same chart gives the same bytes.
///
/// # Errors
/// An axis without extent; a fault of the drawing library would be reported as data.
pub fn svg(chart: &Chart<'_>) -> Result<String> {
    for axis in [&chart.x, &chart.y] {
        if !(axis.low.is_finite() && axis.high.is_finite() && axis.low < axis.high) {
            return Err(Error::data(format!(
                "picture «{}»: an axis from {} to {}; allowed: finite, rising",
                chart.title, axis.low, axis.high
            )));
        }
    }
    picture(SIZE, (chart.title, chart.description), |root| draw(root, chart))
}

/// A picture of a size, with its title and description, as it is drawn on an empty one.
fn picture(
    (width, height): (u32, u32),
    (title, description): (&str, &str),
    draw: impl FnOnce(&Root<'_>) -> std::result::Result<(), Fault>,
) -> Result<String> {
    let (width, height) = (width * FINE, height * FINE);
    let mut text = String::new();
    {
        let root = SVGBackend::with_string(&mut text, (width, height)).into_drawing_area();
        draw(&root).map_err(|e| Error::data(format!("picture «{title}» could not be drawn: {e}")))?;
    }
    let body = text.split_once('>').map_or("", |(_, body)| body);
    let (title, description) = (HtmlEscape(title), HtmlEscape(description));
    Ok(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" role=\"img\"><title>{title}</title>\
         <desc>{description}</desc>{body}"
    ))
}

type Fault = Box<dyn std::error::Error>;

fn draw(root: &Root<'_>, chart: &Chart<'_>) -> std::result::Result<(), Fault> {
    let mut plot = ChartBuilder::on(root)
        .margin_top(12 * FINE)
        .margin_right(18 * FINE)
        .margin_bottom(4 * FINE)
        .margin_left(4 * FINE)
        .x_label_area_size(44 * FINE)
        .y_label_area_size(62 * FINE)
        .build_cartesian_2d(chart.x.low..chart.x.high, chart.y.low..chart.y.high)?;
    let words = || ("sans-serif", TEXT * FINE).into_font().color(&WORDS);
    plot.configure_mesh()
        .disable_x_mesh()
        .max_light_lines(0)
        .bold_line_style(GRID.stroke_width(FINE))
        .axis_style(GRID.stroke_width(FINE))
        .set_all_tick_mark_size(5 * FINE)
        .x_labels(MAX_LABELS)
        .y_labels(MAX_LABELS)
        .x_label_formatter(&|v| (chart.x.words)(*v))
        .y_label_formatter(&|v| (chart.y.words)(*v))
        .x_desc(&chart.x.label)
        .y_desc(&chart.y.label)
        .label_style(words())
        .axis_desc_style(words())
        .draw()?;
    for mark in &chart.marks {
        draw_mark(&mut plot, mark, chart)?;
    }
    root.present()?;
    Ok(())
}

fn draw_mark(plot: &mut Plot<'_, '_>, mark: &Mark, chart: &Chart<'_>) -> std::result::Result<(), Fault> {
    let at = |x: f64, y: f64| (x.clamp(chart.x.low, chart.x.high), y.clamp(chart.y.low, chart.y.high));
    let stroke = |color: Color| -> ShapeStyle { color.rgb().stroke_width(2 * FINE) };
    match mark {
        Mark::Line(color, points) => {
            let points: Vec<(f64, f64)> = points.iter().map(|p| at(p.0, p.1)).collect();
            plot.draw_series([PathElement::new(points, stroke(*color))])?;
        }
        Mark::Band(color, points) => {
            let upper = points.iter().map(|p| at(p.0, p.2));
            let lower = points.iter().rev().map(|p| at(p.0, p.1));
            let outline: Vec<(f64, f64)> = upper.chain(lower).collect();
            plot.draw_series([Polygon::new(outline, color.rgb().mix(0.2).filled())])?;
        }
        Mark::Bars(color, bars) => {
            let bar = |b: &(f64, f64, f64)| {
                let gap = 0.06 * (b.1 - b.0);
                Rectangle::new([at(b.0 + gap, b.2), at(b.1 - gap, 0.0)], color.rgb().mix(0.5).filled())
            };
            plot.draw_series(bars.iter().filter(|b| b.2 > 0.0).map(bar))?;
        }
        Mark::Spans(color, spans) => {
            let span = |s: &(f64, f64, f64, f64)| Rectangle::new([at(s.0, s.3), at(s.1, s.2)], color.rgb().filled());
            plot.draw_series(spans.iter().map(span))?;
        }
        Mark::Whiskers(color, points) => {
            let line = |p: &(f64, f64, f64, f64)| PathElement::new(vec![at(p.0, p.2), at(p.0, p.3)], stroke(*color));
            plot.draw_series(points.iter().map(line))?;
            let dot = |p: &(f64, f64, f64, f64)| Circle::new(at(p.0, p.1), 4 * FINE, color.rgb().filled());
            plot.draw_series(points.iter().map(dot))?;
        }
        Mark::Points(color, shape, points) => {
            let (fill, points) = (color.rgb().filled(), points.iter().map(|p| at(p.0, p.1)));
            match shape {
                Shape::Dot => {
                    plot.draw_series(points.map(|p| Circle::new(p, 4 * FINE, fill)))?;
                }
                Shape::Triangle => {
                    plot.draw_series(points.map(|p| TriangleMarker::new(p, 7 * FINE, fill)))?;
                }
                Shape::Ring => {
                    plot.draw_series(points.map(|p| Circle::new(p, 10 * FINE, stroke(*color))))?;
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart<'a>(title: &'a str, label: &str, marks: Vec<Mark>) -> Chart<'a> {
        let axis = || Axis { label: label.into(), low: 0.0, high: 1.0, words: &|v| format!("<{v:.1}>") };
        Chart { title, description: "a & b", x: axis(), y: axis(), marks }
    }

    #[test]
    fn pictures_are_escaped_described_and_the_same_twice() {
        let marks = || {
            vec![
                Mark::Line(Color::First, vec![(0.0, 0.0), (1.0, 5.0)]),
                Mark::Band(Color::Second, vec![(0.0, 0.1, 0.2), (1.0, 0.3, 0.4)]),
                Mark::Bars(Color::Third, vec![(0.0, 0.5, 0.5), (0.5, 1.0, 0.0)]),
                Mark::Spans(Color::Fifth, vec![(0.2, 0.3, 0.4, 0.6)]),
                Mark::Whiskers(Color::Fourth, vec![(0.5, 0.5, 0.4, 0.6)]),
                Mark::Points(Color::First, Shape::Dot, vec![(0.1, 0.9), (0.2, 0.9)]),
                Mark::Points(Color::Second, Shape::Triangle, vec![(0.3, 0.9)]),
                Mark::Points(Color::Third, Shape::Ring, vec![(0.3, 0.9)]),
            ]
        };
        let picture = svg(&chart("<b>", "</svg>", marks())).unwrap();
        assert_eq!(picture, svg(&chart("<b>", "</svg>", marks())).unwrap());
        assert!(picture.contains("<title>&lt;b&gt;</title><desc>a &amp; b</desc>"), "{picture}");
        assert_eq!(picture.matches("</svg>").count(), 1, "labels are escaped");
        assert!(picture.contains("&lt;0.0&gt;") && picture.contains("#0F766E"));
        assert_eq!(picture.matches("<polygon").count(), 2, "a band and a triangle");
        // The dot of the whisker and two of values are filled; the ring is not.
        assert_eq!(picture.matches("<circle").count(), 4);
        assert_eq!(picture.matches("fill=\"none\" stroke=\"#6D5BD0\"").count(), 1);
        assert_eq!(picture.matches("fill=\"#BE185D\"").count(), 1, "a box is filled");
        // The line ends in the corner: 18 of 360 units from the right, 12 of 264 from above, however high its value is.
        assert!(picture.contains("3419,120") || picture.contains("3420,120"), "{picture}");
    }

    #[test]
    fn axes_without_extent_are_refused() {
        let mut flat = chart("t", "l", Vec::new());
        flat.x.high = 0.0;
        assert_eq!(svg(&flat).unwrap_err().to_string(), "picture «t»: an axis from 0 to 0; allowed: finite, rising");
    }
}
