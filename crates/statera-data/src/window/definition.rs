//! A declaration that was checked, with what a state needs of it worked out.

use super::declaration::{Feature, SINCE_LAST, Shift, Steps, What, Windows};
use super::plan::{GroupPlan, MAX_SUMS, plan_groups};
use crate::toml_text;
use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_schema::DataType;
use statera_core::{Error, Result};
use std::collections::BTreeSet;

/// Most columns that a declaration makes.
const MAX_COLUMNS: usize = 2_000;
/// Most columns of a key.
const MAX_KEY: usize = 3;
/// Most levels whose shares are told.
const MAX_LEVELS: usize = 15;
/// Most tiles that windows of a feature reach back over, and the longest tile in days.
const MAX_TILES: i64 = 100_000;
const MAX_TILE_DAYS: i64 = 100;
/// Most steps of a sequence.
const MAX_STEPS: usize = 100;
/// Most digits after the point.
pub(super) const MAX_DECIMALS: u8 = 6;
/// Largest number that is kept, in units of its last decimal. With at most 2^22 events in a window sums stay within 64 bits, and
/// sums of squares times the count within 128.
pub const MAX_UNITS: i64 = 1_000_000_000_000;
/// Most events of a key in its longest window.
pub const MAX_EVENTS: u32 = 1 << 22;

/// A number column as it is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct NumberPlan {
    /// Its name.
    pub name: String,
    /// Digits after the point.
    pub decimals: u8,
    /// 10 to the power of the decimals.
    pub scale: f64,
    /// The least and the largest, in units of the last decimal.
    pub range: [i64; 2],
}

/// A checked declaration.
#[derive(Debug, Clone, PartialEq)]
pub struct Definition {
    pub(super) windows: Windows,
    digest: String,
    pub(super) numbers: Vec<NumberPlan>,
    /// Columns whose different cells are counted.
    pub(super) codes: Vec<String>,
    /// Columns and levels whose shares are told.
    pub(super) levels: Vec<(String, String)>,
    pub(super) groups: Vec<GroupPlan>,
    /// The columns that are made, and whether they are whole numbers.
    pub(super) columns: Vec<(String, bool)>,
    /// Microseconds of the label delay.
    pub(super) label_delay: i64,
}

impl Definition {
    /// Checks a declaration whose decimals are all given.
    ///
    /// # Errors
    /// Contradictions, values out of range, columns that would be made twice: the place, the value and what is allowed.
    pub fn new(windows: Windows) -> Result<Definition> {
        Definition::of(windows).map_err(|e| e.at("windows"))
    }

    /// Checks a declaration against the table of the training: decimals that are not given are those of its columns.
    ///
    /// # Errors
    /// As [`Definition::new`]; columns that the table does not have; numbers without a fixed number of decimals.
    pub fn of_table(mut windows: Windows, batch: &RecordBatch) -> Result<Definition> {
        let place = |e: Error| e.at("windows");
        check(&windows).map_err(place)?;
        let schema = batch.schema();
        let names: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
        if let Some(name) = windows.inputs().into_iter().find(|name| !names.contains(name)) {
            return Err(Error::request(format!("windows: no column «{name}»; there are {}", names.join(", "))));
        }
        if let Some(name) = windows.column_names().into_iter().find(|made| names.contains(&made.as_str())) {
            return Err(Error::request(format!(
                "windows: column «{name}» is in the table already; leave it out there, or the feature here"
            )));
        }
        for name in number_columns(&windows) {
            let entry = windows.number.entry(name.clone()).or_default();
            if entry.decimals.is_none() {
                entry.decimals = Some(decimals_of(batch, &name)?);
            }
        }
        Definition::new(windows)
    }

    /// Reads what [`Definition::to_toml`] has written.
    ///
    /// # Errors
    /// As [`Definition::new`], and what is no TOML of a declaration.
    pub fn parse(text: &str, path: &str) -> Result<Definition> {
        Definition::of(toml_text::read(text, path)?).map_err(|e| e.at(path))
    }

    /// The declaration with its decimals, as TOML.
    ///
    /// # Errors
    /// None of a declaration that was checked.
    pub fn to_toml(&self) -> Result<String> {
        toml::to_string(&self.windows).map_err(|e| Error::io(format!("windows: {e}")))
    }

    fn of(windows: Windows) -> Result<Definition> {
        check(&windows)?;
        let numbers = number_columns(&windows).into_iter().map(|name| number_plan(&windows, name));
        let numbers: Vec<NumberPlan> = numbers.collect::<Result<_>>()?;
        let (mut codes, mut levels) = (Vec::new(), Vec::new());
        for feature in &windows.features {
            let Some(of) = &feature.of else { continue };
            if feature.what.contains(&What::Distinct) && !codes.contains(of) {
                codes.push(of.clone());
            }
            if let Some(level) = &feature.level
                && !levels.contains(&(of.clone(), level.clone()))
            {
                levels.push((of.clone(), level.clone()));
            }
        }
        if levels.len() > MAX_LEVELS {
            return Err(Error::request(format!("{} levels have a share; allowed are {MAX_LEVELS}", levels.len())));
        }
        let canonical = serde_json::to_vec(&windows).map_err(|e| Error::request(e.to_string()))?;
        let digest = blake3::hash(&canonical).to_hex().to_string();
        let names = windows.column_names();
        let label_delay = windows.label_delay.map_or(0, super::Span::micros);
        let mut definition = Definition {
            windows,
            digest,
            numbers,
            codes,
            levels,
            groups: Vec::new(),
            columns: names.into_iter().map(|name| (name, false)).collect(),
            label_delay,
        };
        definition.groups = plan_groups(&mut definition);
        if let Some(group) = definition.groups.iter().find(|g| g.numbers.len() > MAX_SUMS) {
            let (key, n) = (group.key.join(", "), group.numbers.len());
            return Err(Error::request(format!("key {key}: {n} number columns; allowed are {MAX_SUMS}")));
        }
        Ok(definition)
    }

    /// What was declared.
    pub fn windows(&self) -> &Windows {
        &self.windows
    }

    /// BLAKE3 of the declaration, hexadecimal: states of other definitions are refused.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Names of the columns that it makes, in their order.
    pub fn column_names(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|(name, _)| name.as_str())
    }

    /// Columns that it makes.
    pub fn n_columns(&self) -> usize {
        self.columns.len()
    }

    /// True if labels matter.
    pub fn has_label(&self) -> bool {
        self.groups.iter().any(|g| g.label.is_some())
    }

    /// The longest time that an event matters for, in microseconds.
    pub fn horizon(&self) -> i64 {
        self.groups.iter().map(|g| g.horizon).max().unwrap_or(0)
    }
}

/// Columns that are kept as numbers, each once, in the order of their first use.
fn number_columns(windows: &Windows) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let features = windows.features.iter().filter(|f| needs_number(f) && f.of != windows.label).flat_map(|f| &f.of);
    let steps = windows.sequences.iter().flat_map(|s| &s.of).filter(|name| *name != SINCE_LAST);
    for name in features.chain(steps) {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    names
}

/// True if a feature has a figure that is of numbers.
fn needs_number(feature: &Feature) -> bool {
    feature.what.iter().any(|what| !what.is_of_events() && !what.is_of_levels())
}

fn number_plan(windows: &Windows, name: String) -> Result<NumberPlan> {
    let entry = windows.number.get(&name).cloned().unwrap_or_default();
    let Some(decimals) = entry.decimals else {
        return Err(Error::request(format!("number.{name}.decimals: missing; allowed are 0 to {MAX_DECIMALS}")));
    };
    let scale = 10f64.powi(i32::from(decimals));
    let most = MAX_UNITS as f64;
    // Casts of doubles within the limits are exact to the unit.
    let units = |value: f64, round: fn(f64) -> f64| round(value * scale).clamp(-most, most) as i64;
    let range = [
        entry.least.map_or(-MAX_UNITS, |v| units(v, f64::ceil)),
        entry.most.map_or(MAX_UNITS, |v| units(v, f64::floor)),
    ];
    Ok(NumberPlan { name, decimals, scale, range })
}

/// Digits after the point that the cells of a column have.
fn decimals_of(batch: &RecordBatch, name: &str) -> Result<u8> {
    let wrong = |what: String| {
        Err(Error::request(format!(
            "windows: column «{name}» {what}; say to how many digits it counts with [windows.number.{name}] decimals = 0 to \
             {MAX_DECIMALS}"
        )))
    };
    let Some(column) = batch.column_by_name(name) else {
        return Err(Error::request(format!("windows: no column «{name}»")));
    };
    match column.data_type() {
        DataType::Int64 => Ok(0),
        DataType::Decimal128(_, scale) if (0..=MAX_DECIMALS as i8).contains(scale) => Ok(scale.unsigned_abs()),
        DataType::Decimal128(_, scale) => wrong(format!("has {scale} digits after the point")),
        DataType::Float64 => {
            let cells = column.as_primitive::<Float64Type>();
            let fits = |decimals: &u8| {
                let scale = 10f64.powi(i32::from(*decimals));
                // The shortest text of a double that was written with so many digits reads back to the same double.
                cells.iter().flatten().all(|v| (v * scale).round() / scale == v)
            };
            match (0..=MAX_DECIMALS).find(fits) {
                Some(decimals) => Ok(decimals),
                None => wrong(format!("has cells with more than {MAX_DECIMALS} digits after the point")),
            }
        }
        _ => Err(Error::request(format!("windows: column «{name}» is no number; sums, means and steps need one"))),
    }
}

/// Microseconds of a day.
const DAY: i64 = 86_400_000_000;

/// What needs no table.
fn check(windows: &Windows) -> Result<()> {
    if windows.features.is_empty() && windows.sequences.is_empty() {
        return Err(Error::request("no feature and no sequence; declare at least one [[windows.feature]]"));
    }
    if windows.label.is_none() {
        let alone = [
            ("positive", windows.positive.is_some()),
            ("label_delay", windows.label_delay.is_some()),
            ("label_time", windows.label_time.is_some()),
        ];
        if let Some((key, _)) = alone.into_iter().find(|(_, given)| *given) {
            return Err(Error::request(format!("{key}: has no meaning without label")));
        }
    }
    for (i, feature) in windows.features.iter().enumerate() {
        check_feature(feature, windows).map_err(|e| e.at(format!("feature {}", i + 1)))?;
    }
    for (i, steps) in windows.sequences.iter().enumerate() {
        check_steps(steps, windows).map_err(|e| e.at(format!("sequence {} («{}»)", i + 1, steps.name)))?;
    }
    let used = number_columns(windows);
    for (name, number) in &windows.number {
        if !used.contains(name) {
            let used = if used.is_empty() { "none".into() } else { used.join(", ") };
            return Err(Error::request(format!(
                "number.{name}: no feature counts that column as a number; those are {used}"
            )));
        }
        if let Some(decimals) = number.decimals.filter(|d| *d > MAX_DECIMALS) {
            return Err(Error::request(format!(
                "number.{name}.decimals: {decimals} is not allowed; allowed are 0 to {MAX_DECIMALS}"
            )));
        }
        let (least, most) = (number.least.unwrap_or(f64::MIN), number.most.unwrap_or(f64::MAX));
        if !(least.is_finite() && most.is_finite() && least <= most) {
            return Err(Error::request(format!(
                "number.{name}: least {least} and most {most}; allowed is least up to most"
            )));
        }
    }
    let names = windows.column_names();
    if names.len() > MAX_COLUMNS {
        return Err(Error::request(format!("{} columns; allowed are {MAX_COLUMNS}", names.len())));
    }
    let mut seen: BTreeSet<&str> = windows.inputs().into_iter().collect();
    match names.iter().find(|name| !seen.insert(name)) {
        Some(name) => Err(Error::request(format!("column «{name}» would be made twice or is read; declare it once"))),
        None => Ok(()),
    }
}

fn check_key(key: &[String], windows: &Windows) -> Result<()> {
    let different: BTreeSet<&String> = key.iter().collect();
    if key.is_empty() || key.len() > MAX_KEY || different.len() < key.len() {
        return Err(Error::request(format!(
            "key: {key:?} is not allowed; allowed are 1 to {MAX_KEY} different columns"
        )));
    }
    match key.iter().find(|name| is_late(name, windows)) {
        Some(name) => {
            Err(Error::request(format!("key: «{name}» is known later only; allowed are columns known with the event")))
        }
        None => Ok(()),
    }
}

/// True of the label and what comes with it.
fn is_late(name: &String, windows: &Windows) -> bool {
    windows.label.as_ref() == Some(name) || windows.label_time.as_ref() == Some(name)
}

fn check_feature(feature: &Feature, windows: &Windows) -> Result<()> {
    check_key(&feature.key, windows)?;
    if feature.what.is_empty() || feature.over.is_empty() {
        return Err(Error::request("what and over name at least one figure and one window each"));
    }
    let what = |what: What| feature.what.contains(&what);
    match &feature.of {
        None => {
            if let Some(what) = feature.what.iter().find(|w| !w.is_of_events()) {
                return Err(Error::request(format!("of: missing; {} is of a column", what.name())));
            }
        }
        Some(of) if windows.label.as_ref() == Some(of) => {
            if feature.shift != Some(Shift::Label) {
                return Err(Error::request(format!(
                    "of: «{of}» is the label, which is known later only; add shift = \"label\""
                )));
            }
            if let Some(other) = feature.what.iter().find(|w| !matches!(w, What::Count | What::Sum | What::Mean)) {
                return Err(Error::request(format!("what: {} of a label; allowed are count, sum, mean", other.name())));
            }
        }
        Some(of) if is_late(of, windows) => {
            return Err(Error::request(format!(
                "of: «{of}» is known later only; allowed are columns known with the event"
            )));
        }
        Some(_) => {}
    }
    match &feature.level {
        None if what(What::Share) => return Err(Error::request("level: missing; share is of a level")),
        Some(level) if !what(What::Share) => {
            return Err(Error::request(format!("level: «{level}» has no meaning without share")));
        }
        _ => {}
    }
    check_resolution(feature, windows)?;
    match feature.shift {
        Some(Shift::Label) if windows.label_delay.is_none() => {
            Err(Error::request("shift: label needs windows.label and windows.label_delay"))
        }
        Some(_) if what(What::SinceLast) => {
            Err(Error::request("shift: has no meaning for since_last, which is of the event before"))
        }
        Some(_) if !feature.current => Err(Error::request(
            "current: has no meaning beside shift: a window that is moved back holds no event of now",
        )),
        _ => Ok(()),
    }
}

/// What tiles can tell, and that windows are whole numbers of them.
fn check_resolution(feature: &Feature, windows: &Windows) -> Result<()> {
    let Some(resolution) = feature.resolution else { return Ok(()) };
    let refused = |why: String| Err(Error::request(format!("resolution: {why}")));
    if feature.what.contains(&What::Distinct) {
        return refused(format!(
            "{resolution} has no meaning for distinct: a tile has counts and sums, not which cells there were; declare distinct in \
             a feature of its own without resolution"
        ));
    }
    if resolution.micros() > MAX_TILE_DAYS * DAY {
        return refused(format!("{resolution} is not allowed; allowed are 1s to {MAX_TILE_DAYS}d"));
    }
    if let Some(over) = feature.over.iter().find(|over| over.micros() % resolution.micros() != 0) {
        return refused(format!(
            "{resolution} does not divide {over}; allowed is what all lengths of over are multiples of"
        ));
    }
    let shift = match feature.shift {
        None => 0,
        Some(Shift::Label) => windows.label_delay.map_or(0, super::Span::micros),
        Some(Shift::By(span)) => span.micros(),
    };
    let reach = shift + feature.over.iter().map(|over| over.micros()).max().unwrap_or(0);
    let n_tiles = reach / resolution.micros();
    if n_tiles > MAX_TILES {
        return refused(format!(
            "{resolution} makes {n_tiles} tiles a key; allowed are {MAX_TILES}: give a longer one"
        ));
    }
    Ok(())
}

fn check_steps(steps: &Steps, windows: &Windows) -> Result<()> {
    check_key(&steps.key, windows)?;
    if !(2..=MAX_STEPS).contains(&steps.steps) {
        return Err(Error::request(format!("steps: {} is not allowed; allowed are 2 to {MAX_STEPS}", steps.steps)));
    }
    if steps.name.is_empty() || steps.of.is_empty() {
        return Err(Error::request("name and of are empty; name it and at least one column"));
    }
    match steps.of.iter().find(|name| is_late(name, windows)) {
        Some(name) => {
            Err(Error::request(format!("of: «{name}» is known later only; allowed are columns known with the event")))
        }
        None => Ok(()),
    }
}
