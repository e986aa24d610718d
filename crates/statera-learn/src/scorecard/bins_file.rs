//! `bins.toml`: the bins of a scorecard as a file that a bank edits and that survives refitting.

use super::optimal::Trend;
use serde::{Deserialize, Serialize};
use statera_core::{Error, FeatureSpec, FrameSpec, Result};
use std::fmt::Write;

/// Name of the file in a bundle, and its place in messages.
pub const BINS_FILE: &str = "bins.toml";

/// The whole file: one entry per feature; a feature without an entry is binned automatically.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BinsFile {
    /// Entries in file order, names unique.
    #[serde(default)]
    pub feature: Vec<FeatureBins>,
}

/// What the bank has decided for one feature.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeatureBins {
    /// Name of the feature.
    pub name: String,
    /// Name shown on the card instead of the feature's.
    #[serde(default)]
    pub label: Option<String>,
    /// Keeps `cuts` and `groups` when the card is fitted again; only weights of evidence and points follow the data.
    #[serde(default)]
    pub fixed: bool,
    /// Stays on the card whatever its information value, correlation and p-value.
    #[serde(default)]
    pub force: bool,
    /// Never on the card.
    #[serde(default)]
    pub exclude: bool,
    /// How the bad rate runs from low to high values. Numbers only.
    #[serde(default)]
    pub trend: Option<Trend>,
    /// Cuts of a number, ascending: a value below the cut lies left of it, an equal one right. Used if `fixed`.
    #[serde(default)]
    pub cuts: Vec<f64>,
    /// Numbers with a bin of their own, besides those that the data declare.
    #[serde(default)]
    pub special: Vec<f64>,
    /// Levels of a category that share a bin. Used if `fixed`; a level in no group counts as unknown.
    #[serde(default)]
    pub groups: Vec<Vec<String>>,
    /// Texts for the bins made by `cuts` or `groups`, one each, in order. Only if `fixed`.
    #[serde(default)]
    pub labels: Vec<String>,
}

/// Explains the keys to whoever opens the file.
const HEADER: &str = "\
# The bins of this scorecard. Edit and train again with this file; what is set here survives refitting.
#
# One [[feature]] block for each feature; a feature without a block is binned automatically.
#   name     the feature (required)
#   label    its name on the card
#   fixed    true keeps cuts and groups; only weights of evidence, coefficients and points follow the data.
#            false: cuts and groups below are what was found, and will be found anew
#   force    true: stays on the card whatever its information value, correlation and p-value
#   exclude  true: never on the card
#   trend    numbers: how the bad rate runs from low to high values:
#            monotone (rising or falling), ascending, descending, peak, valley,
#            turning (peak or valley), free, or auto (monotone, unless a turn is
#            significant)
#   cuts     numbers: ascending; a value below a cut lies left of it, an equal one right of it
#   special  numbers with a bin of their own (999 = never)
#   groups   categories: levels that share a bin; a level in no group counts as unknown
#   labels   texts for the bins of cuts or groups, one each; only with fixed = true
# The comments under a feature show what this card found; they are not read.
";

impl BinsFile {
    /// Reads the text of the file.
    ///
    /// # Errors
    /// A request error that names file, feature, value and what is allowed: text that is not TOML, unknown keys, wrong
    /// types, cuts that do not ascend, a feature or level twice, `force` with `exclude`, labels without `fixed`.
    pub fn parse(text: &str) -> Result<BinsFile> {
        let table: toml::Table = text.parse().map_err(|e: toml::de::Error| {
            let line = e.span().map_or(1, |s| text[..s.start.min(text.len())].matches('\n').count() + 1);
            Error::request(format!("{BINS_FILE}: line {line}: {}", e.message()))
        })?;
        if let Some(key) = table.keys().find(|k| *k != "feature") {
            return Err(Error::request(format!(
                "{BINS_FILE}: unknown key «{key}»; only [[feature]] blocks are allowed"
            )));
        }
        let blocks = match table.get("feature") {
            None => &[][..],
            Some(toml::Value::Array(blocks)) => blocks,
            Some(_) => return Err(Error::request(format!("{BINS_FILE}: «feature» must be blocks [[feature]]"))),
        };
        let mut file = BinsFile::default();
        for (i, block) in blocks.iter().enumerate() {
            let place = match block.get("name").and_then(toml::Value::as_str) {
                Some(name) => format!("{BINS_FILE}: feature «{name}»"),
                None => format!("{BINS_FILE}: feature block {}", i + 1),
            };
            let entry: FeatureBins =
                block.clone().try_into().map_err(|e: toml::de::Error| Error::request(one_line(&e)).at(&place))?;
            entry.validate().map_err(|e| e.at(&place))?;
            if file.entry(&entry.name).is_some() {
                return Err(Error::request("is there twice; one block a feature is allowed").at(&place));
            }
            file.feature.push(entry);
        }
        Ok(file)
    }

    /// The entry of a feature.
    pub fn entry(&self, name: &str) -> Option<&FeatureBins> {
        self.feature.iter().find(|f| f.name == name)
    }

    /// The same file with every feature fixed: fitted on the same rows it gives the same card.
    #[must_use]
    pub fn fix_all(mut self) -> BinsFile {
        for feature in &mut self.feature {
            feature.fixed = true;
        }
        self
    }

    /// Checks the file against the columns of a table. `has_rare` tells for a feature whether the training rows have
    /// rare levels: a level of the file may then be one of those.
    ///
    /// # Errors
    /// Unknown columns and levels, keys that do not fit the kind of a feature, a trend against the required one.
    pub fn check(&self, spec: &FrameSpec, has_rare: impl Fn(usize) -> bool) -> Result<()> {
        for entry in &self.feature {
            let Some(i) = spec.features.iter().position(|f| f.name == entry.name) else {
                let names: Vec<&str> = spec.features.iter().map(|f| f.name.as_str()).collect();
                return Err(Error::request(format!(
                    "{BINS_FILE}: no feature «{}»; there are {}",
                    entry.name,
                    names.join(", ")
                )));
            };
            // A file made in code has not been through `parse`.
            entry
                .validate()
                .and_then(|()| entry.check(&spec.features[i], has_rare(i)))
                .map_err(|e| e.at(format!("{BINS_FILE}: feature «{}»", entry.name)))?;
        }
        Ok(())
    }

    /// The file as text; `comments` gives the lines shown under the feature of an index. [`BinsFile::parse`] reads it
    /// back to the same entries.
    pub fn to_toml(&self, comments: impl Fn(usize) -> Vec<String>) -> String {
        let mut out = HEADER.to_string();
        for (i, feature) in self.feature.iter().enumerate() {
            out.push('\n');
            feature.write(&mut out);
            for comment in comments(i) {
                // A line break inside a level would end the comment.
                let _ = writeln!(out, "# {}", comment.replace(|c: char| c.is_control(), " "));
            }
        }
        out
    }
}

impl FeatureBins {
    /// What can be checked without the data.
    fn validate(&self) -> Result<()> {
        let finite = |key: &str, values: &[f64]| match values.iter().find(|v| !v.is_finite()) {
            Some(v) => Err(Error::request(format!("{key}: {v} is not allowed; values must be finite"))),
            None => Ok(()),
        };
        finite("cuts", &self.cuts)?;
        finite("special", &self.special)?;
        if let Some(pair) = self.cuts.windows(2).find(|p| p[0] >= p[1]) {
            return Err(Error::request(format!("cuts: {} after {}; cuts must ascend", pair[1], pair[0])));
        }
        let mut seen = std::collections::BTreeSet::new();
        if let Some(level) = self.groups.iter().flatten().find(|level| !seen.insert(*level)) {
            return Err(Error::request(format!(
                "groups: level «{level}» is there twice; a level is in one group at most"
            )));
        }
        if self.groups.iter().any(Vec::is_empty) {
            return Err(Error::request("groups: an empty group; each group needs at least one level"));
        }
        if self.force && self.exclude {
            return Err(Error::request("force and exclude are both true; at most one of them is allowed"));
        }
        if !self.labels.is_empty() {
            let n = if self.groups.is_empty() { self.cuts.len() + 1 } else { self.groups.len() };
            if !self.fixed {
                return Err(Error::request("labels need fixed = true, else the bins they name may change"));
            }
            if self.labels.len() != n {
                return Err(Error::request(format!(
                    "labels: {} texts for {n} bins; one each is needed",
                    self.labels.len()
                )));
            }
        }
        Ok(())
    }

    /// What depends on the feature.
    fn check(&self, spec: &FeatureSpec, has_rare: bool) -> Result<()> {
        let Some(levels) = &spec.levels else {
            if !self.groups.is_empty() {
                return Err(Error::request("groups: the feature is a number; use cuts"));
            }
            let asked = self.trend.unwrap_or_default();
            let fits = match spec.monotone {
                1 => matches!(asked, Trend::Auto | Trend::Monotone | Trend::Ascending),
                -1 => matches!(asked, Trend::Auto | Trend::Monotone | Trend::Descending),
                _ => true,
            };
            if !fits {
                let required = if spec.monotone == 1 { "ascending" } else { "descending" };
                return Err(Error::request(format!(
                    "trend: «{}» is against the direction required of this feature; allowed: auto, monotone, {required}",
                    asked.name()
                )));
            }
            return Ok(());
        };
        for (key, is_used) in
            [("cuts", !self.cuts.is_empty()), ("special", !self.special.is_empty()), ("trend", self.trend.is_some())]
        {
            if is_used {
                return Err(Error::request(format!("{key}: the feature is a category; use groups")));
            }
        }
        if self.fixed && self.groups.is_empty() && !levels.is_empty() {
            return Err(Error::request("fixed = true needs groups, at least one"));
        }
        let unknown = self.groups.iter().flatten().find(|level| !levels.contains(level));
        match unknown {
            Some(level) if !has_rare => {
                Err(Error::request(format!("groups: no level «{level}»; there are {}", levels.join(", "))))
            }
            _ => Ok(()),
        }
    }

    /// Appends the block of this feature.
    fn write(&self, out: &mut String) {
        let text = |s: &str| toml::Value::String(s.to_string()).to_string();
        let texts = |list: &[String]| list.iter().map(|s| text(s)).collect::<Vec<_>>().join(", ");
        let numbers = |list: &[f64]| list.iter().map(|&v| number(v)).collect::<Vec<_>>().join(", ");
        // Writing to a string cannot fail.
        let _ = writeln!(out, "[[feature]]\nname = {}", text(&self.name));
        if let Some(label) = &self.label {
            let _ = writeln!(out, "label = {}", text(label));
        }
        let _ = writeln!(out, "fixed = {}", self.fixed);
        if self.force {
            let _ = writeln!(out, "force = true");
        }
        if self.exclude {
            let _ = writeln!(out, "exclude = true");
        }
        if let Some(trend) = self.trend {
            let _ = writeln!(out, "trend = \"{}\"", trend.name());
        }
        if !self.cuts.is_empty() {
            let _ = writeln!(out, "cuts = [{}]", numbers(&self.cuts));
        }
        if !self.special.is_empty() {
            let _ = writeln!(out, "special = [{}]", numbers(&self.special));
        }
        if !self.groups.is_empty() {
            let _ = writeln!(out, "groups = [");
            for group in &self.groups {
                let _ = writeln!(out, "  [{}],", texts(group));
            }
            let _ = writeln!(out, "]");
        }
        if !self.labels.is_empty() {
            let _ = writeln!(out, "labels = [{}]", texts(&self.labels));
        }
    }
}

/// A number as short as it can be without losing a bit: `5`, `0.25`, `1e300`.
pub(super) fn number(value: f64) -> String {
    if value.fract() == 0.0 && value.abs() < 1e15 { format!("{value:.0}") } else { format!("{value:?}") }
}

/// The message of a TOML error without its picture of the line.
fn one_line(e: &toml::de::Error) -> String {
    e.to_string().lines().map(str::trim).filter(|l| !l.is_empty()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> FrameSpec {
        let feature = |name: &str, levels: Option<&[&str]>, monotone| FeatureSpec {
            name: name.into(),
            raw: 0,
            levels: levels.map(|l| l.iter().map(ToString::to_string).collect()),
            sentinels: vec![],
            monotone,
        };
        FrameSpec {
            features: vec![
                feature("age", None, 0),
                feature("debt", None, 1),
                feature("job", Some(&["clerk", "none"]), 0),
            ],
            raw_columns: vec!["age".into()],
            ..FrameSpec::default()
        }
    }

    #[test]
    fn errors_name_feature_value_and_what_is_allowed() {
        for (text, expected) in [
            ("[[feature]\n", "bins.toml: line 1: "),
            ("bins = 3", "bins.toml: unknown key «bins»; only [[feature]] blocks are allowed"),
            ("feature = 3", "bins.toml: «feature» must be blocks [[feature]]"),
            ("[[feature]]\nfixed = true", "bins.toml: feature block 1: missing field `name`"),
            (
                "[[feature]]\nname = \"age\"\ncut = [1]",
                "bins.toml: feature «age»: unknown field `cut`, expected one of `name`",
            ),
            (
                "[[feature]]\nname = \"age\"\ntrend = \"up\"",
                "bins.toml: feature «age»: unknown variant `up`, expected one of `auto`",
            ),
            (
                "[[feature]]\nname = \"age\"\ncuts = [\"x\"]",
                "bins.toml: feature «age»: invalid type: string \"x\", expected f64",
            ),
            (
                "[[feature]]\nname = \"age\"\ncuts = [30, 20.5]",
                "bins.toml: feature «age»: cuts: 20.5 after 30; cuts must ascend",
            ),
            (
                "[[feature]]\nname = \"age\"\ncuts = [nan]",
                "bins.toml: feature «age»: cuts: NaN is not allowed; values must be finite",
            ),
            (
                "[[feature]]\nname = \"age\"\nspecial = [inf]",
                "bins.toml: feature «age»: special: inf is not allowed; values must be finite",
            ),
            ("[[feature]]\nname = \"age\"\n[[feature]]\nname = \"age\"", "bins.toml: feature «age»: is there twice"),
            (
                "[[feature]]\nname = \"age\"\nforce = true\nexclude = true",
                "bins.toml: feature «age»: force and exclude are both true",
            ),
            ("[[feature]]\nname = \"age\"\nlabels = [\"all\"]", "bins.toml: feature «age»: labels need fixed = true"),
            (
                "[[feature]]\nname = \"age\"\nfixed = true\ncuts = [1]\nlabels = [\"all\"]",
                "bins.toml: feature «age»: labels: 1 texts for 2 bins; one each is needed",
            ),
            (
                "[[feature]]\nname = \"job\"\ngroups = [[\"a\"], [\"a\"]]",
                "bins.toml: feature «job»: groups: level «a» is there twice",
            ),
            ("[[feature]]\nname = \"job\"\ngroups = [[]]", "bins.toml: feature «job»: groups: an empty group"),
            ("[[feature]]\nname = \"sex\"", "bins.toml: no feature «sex»; there are age, debt, job"),
            (
                "[[feature]]\nname = \"age\"\ngroups = [[\"a\"]]",
                "bins.toml: feature «age»: groups: the feature is a number; use cuts",
            ),
            (
                "[[feature]]\nname = \"job\"\ncuts = [1]",
                "bins.toml: feature «job»: cuts: the feature is a category; use groups",
            ),
            ("[[feature]]\nname = \"job\"\nfixed = true", "bins.toml: feature «job»: fixed = true needs groups"),
            (
                "[[feature]]\nname = \"job\"\ngroups = [[\"smith\"]]",
                "bins.toml: feature «job»: groups: no level «smith»; there are clerk, none",
            ),
            (
                "[[feature]]\nname = \"debt\"\ntrend = \"peak\"",
                "bins.toml: feature «debt»: trend: «peak» is against the direction required",
            ),
        ] {
            let error = BinsFile::parse(text).and_then(|f| f.check(&spec(), |_| false)).expect_err(text);
            assert!(error.is_request());
            assert!(error.to_string().starts_with(expected), "{text:?}\n gave {error}\n not {expected}");
        }
    }

    #[test]
    fn a_level_may_be_among_the_rare_ones() {
        let file =
            BinsFile::parse("[[feature]]\nname = \"job\"\nfixed = true\ngroups = [[\"smith\"], [\"none\"]]").unwrap();
        assert!(file.check(&spec(), |_| true).is_ok());
    }

    #[test]
    fn written_file_reads_back_the_same() {
        let file = BinsFile {
            feature: vec![
                FeatureBins {
                    name: "a \"quoted\"\nname".into(),
                    label: Some("Alter – 나이".into()),
                    fixed: true,
                    force: true,
                    trend: Some(Trend::Valley),
                    cuts: vec![-1e300, -0.1, 1.0 / 3.0, 5.0, 1e20],
                    special: vec![-1.0, 999.0],
                    labels: (0..6).map(|i| format!("bin {i}")).collect(),
                    ..Default::default()
                },
                FeatureBins {
                    name: "job".into(),
                    exclude: true,
                    groups: vec![vec!["x, y".into(), "#".into()], vec![String::new()]],
                    ..Default::default()
                },
            ],
        };
        let text = file.to_toml(|_| vec!["a comment\nwith a break".into()]);
        assert_eq!(BinsFile::parse(&text).unwrap(), file);
        assert!(file.clone().fix_all().feature.iter().all(|f| f.fixed));
    }
}
