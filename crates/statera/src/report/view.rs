//! What sections are made of. A section says what is to be shown; the template `page.html` alone says how it looks.

use super::chart::Color;
use super::words::Words;
use serde::Serialize;

/// A piece of a section, in words and figures of the report's language.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Block {
    /// A paragraph.
    Text {
        /// Its words.
        text: String,
    },
    /// What helps to read what stands above.
    Remark {
        /// Its words.
        text: String,
    },
    /// A part of the section.
    Heading {
        /// Its words.
        text: String,
    },
    /// Statements, one under the other.
    List {
        /// Their words.
        items: Vec<String>,
    },
    /// What was recorded at training.
    Recorded {
        /// What it is, in the report's language.
        lead: String,
        /// As recorded, or in the report's language.
        items: Vec<String>,
        /// True if they were recorded in English only and are shown as they stand.
        is_english: bool,
    },
    /// Something that is not known, and how it would be.
    Gap {
        /// What is missing.
        what: String,
        /// What a person would do or type.
        how: String,
    },
    /// A few large figures.
    Tiles {
        /// Value and what it is.
        tiles: Vec<(String, String)>,
    },
    /// Rows and columns.
    Table(Table),
    /// Pictures side by side.
    Figures {
        /// The pictures.
        figures: Vec<Figure>,
    },
    /// Bars side by side.
    Panels {
        /// The groups of bars.
        panels: Vec<Panel>,
    },
    /// Something to type, or as recorded by a machine.
    Code {
        /// As it is.
        text: String,
    },
}

impl Block {
    /// A paragraph.
    pub fn text(text: impl Into<String>) -> Block {
        Block::Text { text: text.into() }
    }
    /// A remark.
    pub fn remark(text: impl Into<String>) -> Block {
        Block::Remark { text: text.into() }
    }
    /// A heading.
    pub fn heading(text: impl Into<String>) -> Block {
        Block::Heading { text: text.into() }
    }
    /// A gap.
    pub fn gap(what: impl Into<String>, how: impl Into<String>) -> Block {
        Block::Gap { what: what.into(), how: how.into() }
    }
}

/// Rows and columns; the first column names the row.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Table {
    /// Names of the columns, and whether they hold words rather than figures.
    pub head: Vec<(String, bool)>,
    /// As many cells a row as names.
    pub rows: Vec<Vec<Cell>>,
    /// Below it.
    pub note: Option<String>,
}

impl Table {
    /// A table whose columns are called by these words; a `<` before the key says that a column holds words itself.
    pub fn of(words: &Words, keys: &[&str]) -> Table {
        let name = |key: &&str| match key.strip_prefix('<') {
            Some("") => "<".to_string(),
            Some(key) => format!("<{}", words.get(key)),
            None => words.get(key),
        };
        Table::new(&keys.iter().map(name).collect::<Vec<_>>())
    }

    /// A table of columns: those whose names begin with `<` hold words.
    pub fn new(head: &[String]) -> Table {
        let column = |name: &String| match name.strip_prefix('<') {
            Some(name) => (name.to_string(), true),
            None => (name.clone(), false),
        };
        Table { head: head.iter().map(column).collect(), ..Table::default() }
    }
}

/// A cell of a table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Cell {
    /// What it shows.
    pub text: String,
    /// `""`, `soft`, `accent`, `warn` or `grave`.
    pub tone: &'static str,
    /// True if it stands as a badge.
    pub badge: bool,
}

impl Cell {
    /// A plain cell.
    pub fn of(text: impl Into<String>) -> Cell {
        Cell { text: text.into(), tone: "", badge: false }
    }
    /// A cell of a tone.
    pub fn toned(text: impl Into<String>, tone: &'static str) -> Cell {
        Cell { text: text.into(), tone, badge: false }
    }
    /// A badge.
    pub fn badge(text: impl Into<String>, tone: &'static str) -> Cell {
        Cell { text: text.into(), tone, badge: true }
    }
}

/// A picture with its words.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figure {
    /// What it is.
    pub title: String,
    /// The picture.
    pub svg: String,
    /// Class of the colour and what it stands for.
    pub legend: Vec<(&'static str, String)>,
}

impl Figure {
    /// A figure of a drawn picture.
    pub fn new(title: impl Into<String>, svg: String, legend: Vec<(Color, String)>) -> Figure {
        let legend = legend.into_iter().map(|(color, words)| (color.class(), words)).collect();
        Figure { title: title.into(), svg, legend }
    }
}

/// Bars under a title.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Panel {
    /// What they are of.
    pub title: String,
    /// Beside the title.
    pub aside: String,
    /// Below the title.
    pub lead: String,
    /// The bars.
    pub bars: Vec<Bar>,
    /// Below the bars.
    pub notes: Vec<String>,
}

/// A bar on a track.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Bar {
    /// What it is of.
    pub label: String,
    /// How long it is, in words.
    pub value: String,
    /// Where it begins, in percent of the track.
    pub from: String,
    /// How long it is, in percent of the track.
    pub width: String,
    /// `""`, `plus`, `minus` or `warn`.
    pub tone: &'static str,
}

/// A thing with its value and the value in words.
pub type Named = (String, f64, String);

/// Bars of values that are not negative; the longest fills the track.
pub fn bars(values: Vec<Named>) -> Vec<Bar> {
    let most = values.iter().map(|v| v.1).fold(0.0, f64::max);
    let width = |value: f64| if most > 0.0 { 100.0 * value / most } else { 0.0 };
    let bar = |(label, size, value): Named| Bar {
        label,
        value,
        from: "0".into(),
        width: format!("{:.1}", width(size).clamp(0.0, 100.0)),
        tone: "",
    };
    values.into_iter().map(bar).collect()
}

/// Bars to both sides of 0: values above raise the risk, values below lower it.
pub fn diverging(values: Vec<Named>) -> Vec<Bar> {
    let high = values.iter().map(|v| v.1).fold(0.0, f64::max);
    let low = values.iter().map(|v| v.1).fold(0.0, f64::min);
    let span = if high > low { high - low } else { 1.0 };
    let bar = |(label, size, value): Named| Bar {
        label,
        value,
        from: format!("{:.1}", 100.0 * (size.min(0.0) - low) / span),
        width: format!("{:.1}", 100.0 * size.abs() / span),
        tone: if size < 0.0 { "minus" } else { "plus" },
    };
    values.into_iter().map(bar).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placed(bars: Vec<Bar>) -> Vec<(String, String)> {
        bars.into_iter().map(|b| (b.from, b.width)).collect()
    }

    #[test]
    fn bars_fill_the_track_and_share_a_zero() {
        let named = |v: f64| (String::new(), v, String::new());
        let of = |from: &str, width: &str| (from.to_string(), width.to_string());
        assert_eq!(placed(bars(vec![named(2.0), named(1.0)])), [of("0", "100.0"), of("0", "50.0")]);
        assert_eq!(placed(diverging(vec![named(3.0), named(-1.0)])), [of("25.0", "75.0"), of("0.0", "25.0")]);
        assert_eq!(placed(bars(vec![named(0.0)])), [of("0", "0.0")]);
        assert_eq!(placed(diverging(vec![named(0.0)])), [of("0.0", "0.0")]);
    }
}
