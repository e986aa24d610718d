//! Images among the columns: those that a project file declares, and those that a source has unpacked.

use super::Settings;
use serde::{Deserialize, Serialize};
use statera_core::{Error, Result};
use statera_data::source::images::Geometry;
use std::collections::BTreeMap;

/// An image whose points are number columns, line after line, point after point, the channels of a point together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageColumns {
    /// Lines.
    pub height: usize,
    /// Points of a line.
    pub width: usize,
    /// Numbers of a point, 1 (grey) or 3 (colour).
    #[serde(default = "grey")]
    pub channels: usize,
    /// The columns by name; a name with a `*` stands for all that match, in the table's order.
    pub columns: Vec<String>,
}

fn grey() -> usize {
    1
}

/// Columns that belong together, as the preparer wants them.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Sequences {
    /// By name: the columns of each step, or of each point of an image.
    pub steps: BTreeMap<String, Vec<Vec<String>>>,
    /// Lines, and points of a line, of the images among them.
    pub grids: BTreeMap<String, [usize; 2]>,
    /// Neighbours of a node and of each of these, of the neighbourhoods among them.
    pub fans: BTreeMap<String, [usize; 2]>,
}

impl Settings {
    /// The sequences that are declared, the images that are declared, and those whose columns a source has named; `features`
    /// are the columns that are features, in the table's order.
    ///
    /// # Errors
    /// An image of another number of columns than its sizes say; two of one name.
    pub fn sequences_among(&self, features: &[&str]) -> Result<Sequences> {
        let (steps, fans) = (self.sequences.clone(), self.fans.clone());
        let mut found = Sequences { steps, fans, ..Sequences::default() };
        for (name, image) in &self.images {
            let wrong = |what: String| Err(Error::request(format!("image «{name}»: {what}")));
            let geometry = Geometry { height: image.height, width: image.width, channels: image.channels };
            let columns: Vec<String> = image.columns.iter().flat_map(|c| matching(c, features)).collect();
            if columns.is_empty() || columns.len() != geometry.n_columns() {
                return wrong(format!(
                    "{} columns; {} × {} points of {} channels are {}",
                    columns.len(),
                    image.height,
                    image.width,
                    image.channels,
                    geometry.n_columns()
                ));
            }
            found.add(name, geometry, columns)?;
        }
        let mut unpacked: BTreeMap<(&str, [usize; 3]), BTreeMap<usize, &str>> = BTreeMap::new();
        for column in features {
            if let Some((name, g, place)) = Geometry::of(column) {
                unpacked.entry((name, [g.height, g.width, g.channels])).or_default().insert(place, column);
            }
        }
        for ((name, [height, width, channels]), columns) in unpacked {
            let geometry = Geometry { height, width, channels };
            // A part of an image is no image: its columns are numbers like any.
            if columns.len() == geometry.n_columns() {
                found.add(name, geometry, columns.into_values().map(String::from).collect())?;
            }
        }
        Ok(found)
    }
}

impl Sequences {
    fn add(&mut self, name: &str, geometry: Geometry, columns: Vec<String>) -> Result<()> {
        let points = columns.chunks(geometry.channels).map(<[String]>::to_vec).collect();
        self.grids.insert(name.into(), [geometry.height, geometry.width]);
        match self.steps.insert(name.into(), points) {
            None => Ok(()),
            Some(_) => Err(Error::request(format!("image «{name}»: a sequence or another image has that name"))),
        }
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// True if there is a sequence or an image, which is no neighbourhood.
    pub fn has_steps(&self) -> bool {
        self.steps.keys().any(|name| !self.fans.contains_key(name))
    }
}

/// The names that a name or pattern stands for; a name without `*` stands for itself, whether it is there or not.
fn matching(pattern: &str, names: &[&str]) -> Vec<String> {
    match pattern.split_once('*') {
        None => vec![pattern.into()],
        Some((start, end)) => {
            let fits = |n: &&&str| n.len() >= start.len() + end.len() && n.starts_with(start) && n.ends_with(end);
            names.iter().filter(fits).map(|n| (*n).to_string()).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_found_declared_and_unpacked() {
        let columns = ["a", "p_0", "p_1", "p_2", "p_3", "scan.1x2x1.1", "scan.1x2x1.0", "half.1x2x1.0"];
        let image = ImageColumns { height: 2, width: 2, channels: 1, columns: vec!["p_*".into()] };
        let settings = Settings { images: [("digit".to_string(), image.clone())].into(), ..Settings::default() };
        let found = settings.sequences_among(&columns).expect("two images");
        assert_eq!(found.steps["digit"], [["p_0"], ["p_1"], ["p_2"], ["p_3"]]);
        assert_eq!(found.steps["scan"], [["scan.1x2x1.0"], ["scan.1x2x1.1"]]);
        assert_eq!(found.grids, [("digit".to_string(), [2, 2]), ("scan".to_string(), [1, 2])].into());
        let colour = ImageColumns { height: 1, width: 2, channels: 2, ..image.clone() };
        let settings = Settings { images: [("digit".to_string(), colour)].into(), ..Settings::default() };
        let found = settings.sequences_among(&columns).expect("an image");
        assert_eq!(found.steps["digit"], [["p_0", "p_1"], ["p_2", "p_3"]]);
        let wrong = ImageColumns { height: 3, ..image };
        let settings = Settings { images: [("digit".to_string(), wrong)].into(), ..Settings::default() };
        let error = settings.sequences_among(&columns).expect_err("too few").to_string();
        assert_eq!(error, "image «digit»: 4 columns; 3 × 2 points of 1 channels are 6");
    }
}
