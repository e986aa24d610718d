//! The settings of a learner that a search may change: their ranges, and points of them.

use serde_json::Value;

/// What a setting may be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Range {
    /// A real number.
    Real {
        /// Least.
        low: f64,
        /// Greatest, more than `low`.
        high: f64,
        /// Searched by its logarithm; `low` is above 0.
        log: bool,
        /// May also be 0, which switches something off; half of the draws are.
        or_zero: bool,
    },
    /// A whole number.
    Whole {
        /// Least.
        low: u32,
        /// Greatest, more than `low`.
        high: u32,
        /// Searched by its logarithm; `low` is above 0.
        log: bool,
    },
    /// One of these numbers, which stand in no order.
    Choice(&'static [f64]),
}

/// A setting that a search may change.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dimension {
    /// Name of the setting, unique in its space.
    pub name: &'static str,
    /// What it may be.
    pub range: Range,
    /// What it is without a search; within the range.
    pub default: f64,
}

impl Dimension {
    /// A real number from `low` to `high`, searched evenly.
    pub const fn real(name: &'static str, low: f64, high: f64, default: f64) -> Dimension {
        Dimension { name, range: Range::Real { low, high, log: false, or_zero: false }, default }
    }
    /// A real number from `low` to `high`, searched by its logarithm.
    pub const fn log(name: &'static str, low: f64, high: f64, default: f64) -> Dimension {
        Dimension { name, range: Range::Real { low, high, log: true, or_zero: false }, default }
    }
    /// 0, or a real number from `low` to `high`, searched evenly.
    pub const fn real_or_zero(name: &'static str, low: f64, high: f64, default: f64) -> Dimension {
        Dimension { name, range: Range::Real { low, high, log: false, or_zero: true }, default }
    }
    /// 0, or a real number from `low` to `high`, searched by its logarithm.
    pub const fn log_or_zero(name: &'static str, low: f64, high: f64, default: f64) -> Dimension {
        Dimension { name, range: Range::Real { low, high, log: true, or_zero: true }, default }
    }
    /// A whole number from `low` to `high`, searched evenly.
    pub const fn whole(name: &'static str, low: u32, high: u32, default: u32) -> Dimension {
        Dimension { name, range: Range::Whole { low, high, log: false }, default: default as f64 }
    }
    /// A whole number from `low` to `high`, searched by its logarithm.
    pub const fn whole_log(name: &'static str, low: u32, high: u32, default: u32) -> Dimension {
        Dimension { name, range: Range::Whole { low, high, log: true }, default: default as f64 }
    }
    /// One of a few numbers.
    pub const fn choice(name: &'static str, values: &'static [f64], default: f64) -> Dimension {
        Dimension { name, range: Range::Choice(values), default }
    }

    /// True if a setting of that value is allowed.
    pub fn holds(&self, value: f64) -> bool {
        match self.range {
            Range::Real { low, high, or_zero, .. } => (low..=high).contains(&value) || (or_zero && value == 0.0),
            Range::Whole { low, high, .. } => {
                (f64::from(low)..=f64::from(high)).contains(&value) && value.fract() == 0.0
            }
            Range::Choice(values) => values.contains(&value),
        }
    }
}

/// A value for each dimension of a space, in its order.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Point {
    values: Vec<(&'static str, f64)>,
}

impl Point {
    /// The point of those values.
    ///
    /// # Panics
    /// Unless there is one value for each dimension, within its range: those who make points are of this program.
    pub fn new(space: &[Dimension], values: &[f64]) -> Point {
        assert_eq!(space.len(), values.len(), "a point has a value for each dimension");
        let pair = |(dimension, &value): (&Dimension, &f64)| {
            assert!(dimension.holds(value), "{} is {value}; allowed is {:?}", dimension.name, dimension.range);
            (dimension.name, value)
        };
        Point { values: space.iter().zip(values).map(pair).collect() }
    }

    /// The settings without a search.
    pub fn default_of(space: &[Dimension]) -> Point {
        Point::new(space, &space.iter().map(|d| d.default).collect::<Vec<_>>())
    }

    /// The value of a setting.
    ///
    /// # Panics
    /// Without such a dimension: a family asks for what its own space has.
    pub fn real(&self, name: &str) -> f64 {
        let found = self.values.iter().find(|(n, _)| *n == name);
        found.unwrap_or_else(|| panic!("the space has no dimension «{name}»")).1
    }

    /// The value of a setting that is a whole number.
    ///
    /// # Panics
    /// As [`Point::real`].
    pub fn whole(&self, name: &str) -> usize {
        self.real(name) as usize
    }

    /// The values by name, in the order of the space.
    pub fn values(&self) -> &[(&'static str, f64)] {
        &self.values
    }

    /// The values for a file; whole numbers as such.
    pub fn to_json(&self) -> Value {
        let json = |value: f64| {
            if value.fract() == 0.0 && value.abs() < 1e15 { Value::from(value as i64) } else { Value::from(value) }
        };
        self.values
            .iter()
            .map(|(name, value)| (name.to_string(), json(*value)))
            .collect::<serde_json::Map<_, _>>()
            .into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_hold_what_their_space_allows() {
        let space = [
            Dimension::log_or_zero("decay", 1e-4, 0.1, 0.0),
            Dimension::whole_log("width", 64, 1024, 512),
            Dimension::choice("layers", &[1.0, 3.0], 3.0),
        ];
        let point = Point::default_of(&space);
        assert_eq!((point.real("decay"), point.whole("width")), (0.0, 512));
        assert_eq!(point.to_json().to_string(), r#"{"decay":0,"layers":3,"width":512}"#);
        let cases = [(0, 0.05, true), (0, 1e-5, false), (0, 0.2, false), (1, 64.5, false), (1, 1024.0, true)];
        for (dimension, value, holds) in cases {
            assert_eq!(space[dimension].holds(value), holds, "{} {value}", space[dimension].name);
        }
        assert!(!space[2].holds(2.0) && space[2].holds(1.0) && !space[1].holds(f64::NAN));
    }
}
