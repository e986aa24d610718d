//! Who has to do with whom: nodes in columns, lines between them. Where a node stands depends on its column and its place
//! in it alone, so that the same network gives the same picture.

use super::{Color, FINE, Fault, Root, SIZE, TEXT, WORDS, picture};
use plotters::prelude::{Circle, IntoFont, PathElement, Polygon, RGBColor, Text};
use plotters::style::Color as _;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use statera_core::{Error, Result};

/// What lies under the picture; a page maps it to its own.
const GROUND: RGBColor = RGBColor(255, 255, 255);
/// Half the size of a node, which holds two letters.
const RADIUS: u32 = 11;
/// What stays free around the nodes' centres.
const MARGIN: u32 = 22;
/// Height that a node takes, and takes in a column that is staggered.
const PITCH: u32 = 30;
const STAGGERED_PITCH: u32 = 15;
/// A column of more nodes is staggered: every other node stands aside by so much.
const MAX_STRAIGHT: usize = 12;
const ASIDE: u32 = 36;
/// Least height of a picture.
const MIN_HEIGHT: u32 = 120;
/// Most nodes of a column.
pub const MAX_NODES: usize = 60;

/// How a node is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outline {
    /// A circle.
    Round,
    /// A square.
    Square,
}

/// Somebody or something.
#[derive(Debug, Clone)]
pub struct Node {
    /// One or two letters or digits.
    pub label: String,
    /// Of the outline.
    pub color: Color,
    /// Which outline.
    pub outline: Outline,
}

/// A line between two nodes, each named by its column and its place there, both from 0.
#[derive(Debug, Clone, Copy)]
pub struct Link {
    /// Where it begins.
    pub from: (usize, usize),
    /// Where it ends.
    pub to: (usize, usize),
    /// Of the line; [`Color::Guide`] is dashed.
    pub color: Color,
}

/// A network.
pub struct Graph<'a> {
    /// What it is, for those who do not see it.
    pub title: &'a str,
    /// What it shows, likewise.
    pub description: &'a str,
    /// Nodes from left to right and from top to bottom.
    pub columns: Vec<Vec<Node>>,
    /// In the order in which they are drawn, below the nodes.
    pub links: Vec<Link>,
}

/// Draws a network; the same one gives the same bytes.
///
/// # Errors
/// A column of more than [`MAX_NODES`]; a link to a node that is not there.
pub fn svg(graph: &Graph<'_>) -> Result<String> {
    let refused = |why: String| Err(Error::data(format!("picture «{}»: {why}", graph.title)));
    if let Some(column) = graph.columns.iter().find(|column| column.len() > MAX_NODES) {
        return refused(format!("{} nodes in a column; allowed are {MAX_NODES}", column.len()));
    }
    let (height, places) = places(&graph.columns.iter().map(Vec::len).collect::<Vec<_>>());
    let place = |(column, node): (usize, usize)| places.get(column).and_then(|column| column.get(node)).copied();
    let mut lines = Vec::new();
    for link in &graph.links {
        let (Some(from), Some(to)) = (place(link.from), place(link.to)) else {
            return refused(format!("a link from {:?} to {:?}, one of which is not there", link.from, link.to));
        };
        lines.push((link.color, vec![from, to]));
    }
    picture((SIZE.0, height), (graph.title, graph.description), |root| {
        for (color, line) in lines {
            root.draw(&PathElement::new(line, color.rgb().mix(0.6).stroke_width(FINE)))?;
        }
        for (nodes, places) in graph.columns.iter().zip(&places) {
            for (node, place) in nodes.iter().zip(places) {
                draw(root, node, *place)?;
            }
        }
        root.present()?;
        Ok(())
    })
}

/// Height of the picture in its units, and centres of the nodes in tenths of them, of columns of so many nodes.
fn places(sizes: &[usize]) -> (u32, Vec<Vec<(i32, i32)>>) {
    let is_staggered = |size: usize| size > MAX_STRAIGHT;
    let needed = |&size: &usize| size as u32 * if is_staggered(size) { STAGGERED_PITCH } else { PITCH };
    let height = (sizes.iter().map(needed).max().unwrap_or(0) + 2 * MARGIN).max(MIN_HEIGHT);
    let inner = f64::from(height - 2 * MARGIN);
    let aside = if sizes.last().copied().is_some_and(is_staggered) { ASIDE } else { 0 };
    let step = f64::from(SIZE.0 - 2 * MARGIN - aside) / sizes.len().saturating_sub(1).max(1) as f64;
    let fine = |v: f64| (v * f64::from(FINE)).round() as i32;
    let column = |(c, &size): (usize, &usize)| {
        let node = |i: usize| {
            let aside = if is_staggered(size) && i % 2 == 1 { ASIDE } else { 0 };
            let x = f64::from(MARGIN + aside) + step * c as f64;
            (fine(x), fine(f64::from(MARGIN) + inner * (i as f64 + 0.5) / size as f64))
        };
        (0..size).map(node).collect()
    };
    (height, sizes.iter().enumerate().map(column).collect())
}

/// A node hides the lines that end in it.
fn draw(root: &Root<'_>, node: &Node, (x, y): (i32, i32)) -> std::result::Result<(), Fault> {
    let color = node.color.rgb();
    let radius = RADIUS * FINE;
    match node.outline {
        Outline::Round => {
            root.draw(&Circle::new((x, y), radius, GROUND.filled()))?;
            root.draw(&Circle::new((x, y), radius, color.mix(0.15).filled()))?;
            root.draw(&Circle::new((x, y), radius, color.stroke_width(2 * FINE)))?;
        }
        Outline::Square => {
            // A page colours rectangles by itself, and the library's have no width of line: the outline of this square is
            // what a smaller one leaves over.
            let square = |half: u32| {
                let half = half as i32;
                vec![(x - half, y - half), (x + half, y - half), (x + half, y + half), (x - half, y + half)]
            };
            root.draw(&Polygon::new(square(radius), color.filled()))?;
            root.draw(&Polygon::new(square(radius - 2 * FINE), GROUND.filled()))?;
            root.draw(&Polygon::new(square(radius - 2 * FINE), color.mix(0.15).filled()))?;
        }
    }
    let words = ("sans-serif", TEXT * FINE).into_font().color(&WORDS).pos(Pos::new(HPos::Center, VPos::Center));
    root.draw(&Text::new(node.label.as_str(), (x, y), words))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(label: &str, outline: Outline) -> Node {
        Node { label: label.into(), color: Color::Fifth, outline }
    }

    fn graph(columns: Vec<Vec<Node>>, links: Vec<Link>) -> Graph<'static> {
        Graph { title: "<b>", description: "a & b", columns, links }
    }

    fn link(from: (usize, usize), to: (usize, usize)) -> Link {
        Link { from, to, color: Color::Guide }
    }

    #[test]
    fn nodes_are_drawn_above_lines_and_the_same_twice() {
        let columns =
            || vec![vec![node("A", Outline::Round)], vec![node("1", Outline::Square), node("</svg>", Outline::Square)]];
        let links = || vec![link((0, 0), (1, 0)), link((0, 0), (1, 1))];
        let drawn = svg(&graph(columns(), links())).unwrap();
        assert_eq!(drawn, svg(&graph(columns(), links())).unwrap());
        assert!(drawn.contains("<title>&lt;b&gt;</title><desc>a &amp; b</desc>"), "{drawn}");
        assert_eq!(drawn.matches("</svg>").count(), 1, "labels are escaped");
        assert_eq!(
            (drawn.matches("<polyline").count(), drawn.matches("<circle").count(), drawn.matches("<polygon").count()),
            (2, 3, 6)
        );
        assert!(drawn.rfind("<polyline").unwrap() < drawn.find("<circle").unwrap());
        // One against two nodes of a column: the middle, and a quarter and three quarters of what lies between the margins.
        assert!(drawn.contains("viewBox=\"0 0 3600 1200\""), "{drawn}");
        assert!(drawn.contains("220,600 3380,410") && drawn.contains("220,600 3380,790"), "{drawn}");
    }

    #[test]
    fn nodes_stay_inside_and_apart() {
        for sizes in [vec![1, 12, 30], vec![1, 3, 13], vec![1, 12], vec![1, 0, 0], vec![MAX_NODES; 3], vec![]] {
            let (height, columns) = places(&sizes);
            let all: Vec<(i32, i32)> = columns.into_iter().flatten().collect();
            assert_eq!(all.len(), sizes.iter().sum::<usize>());
            let most = ((SIZE.0 - RADIUS) * FINE) as i32;
            let lowest = ((height - RADIUS) * FINE) as i32;
            let least = (RADIUS * FINE) as i32;
            assert!(all.iter().all(|p| (least..=most).contains(&p.0) && (least..=lowest).contains(&p.1)), "{sizes:?}");
            let is_apart = |a: &(i32, i32), b: &(i32, i32)| (a.0 - b.0).abs().max((a.1 - b.1).abs()) > 2 * least;
            for (i, a) in all.iter().enumerate() {
                assert!(all[..i].iter().all(|b| is_apart(a, b)), "{sizes:?}: {a:?}");
            }
        }
    }

    #[test]
    fn refuses_what_it_cannot_draw() {
        let message = |columns, links| svg(&graph(columns, links)).unwrap_err().to_string();
        assert_eq!(
            message(vec![vec![node("A", Outline::Round)]], vec![link((0, 0), (1, 0))]),
            "picture «<b>»: a link from (0, 0) to (1, 0), one of which is not there"
        );
        assert_eq!(
            message(vec![vec![node("A", Outline::Round); 61]], Vec::new()),
            "picture «<b>»: 61 nodes in a column; allowed are 60"
        );
    }
}
