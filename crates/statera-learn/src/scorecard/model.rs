//! The fitted card: scoring, attribution, saving, and what is printed of it.

use super::bins_file::{BINS_FILE, BinsFile, FeatureBins};
use super::{BinKind, Binning, NAME, ScorecardParams};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use statera_core::{Attributions, Background, Column, Error, Frame, FrameSpec, Model, Parts, Result, Scores};

/// Version of the saved form.
const FORMAT: u32 = 1;
/// Rows that one task scores.
const BLOCK: usize = 8192;
/// Points beyond this are not believed when a card is loaded.
const MAX_POINTS: i32 = 1_000_000;

/// A coefficient with its tests.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Estimate {
    /// Change of the log-odds of bad per unit of weight of evidence: negative, or 0 for a forced characteristic that would
    /// get the wrong sign.
    pub coefficient: f64,
    /// Its standard error.
    pub std_error: f64,
    /// Two-sided p-value of the Wald test.
    pub p_value: f64,
    /// Variance inflation factor among the characteristics of the card.
    pub vif: f64,
}

/// A feature with its bins and figures, on the card or left out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Characteristic {
    /// Name of the feature.
    pub feature: String,
    /// The bank's name for it.
    pub label: Option<String>,
    /// Its bins.
    pub binning: Binning,
    /// Information value.
    pub iv: f64,
    /// Gini coefficient of the characteristic alone.
    pub gini: f64,
    /// Information value that the rest of the card does not yet have; for one left out: what it would add.
    pub marginal_iv: f64,
    /// Coefficient and tests; `None` if it is left out.
    pub estimate: Option<Estimate>,
    /// Why it is left out.
    pub left_out: Option<String>,
    /// Mean points of the training rows.
    pub neutral_points: f64,
}

impl Characteristic {
    /// The bank's name for it, else the feature's.
    pub fn title(&self) -> &str {
        self.label.as_deref().unwrap_or(&self.feature)
    }
}

/// One line of [`ScorecardModel::table`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CardRow {
    /// Characteristic, as the bank calls it.
    pub characteristic: String,
    /// Raw column it comes from.
    pub raw_column: String,
    /// Bin in words.
    pub bin: String,
    /// Kind of the bin.
    pub kind: BinKind,
    /// Weight of the training rows in it.
    pub rows: f64,
    /// Share of the training weight.
    pub share: f64,
    /// Weight of goods.
    pub goods: f64,
    /// Weight of bads.
    pub bads: f64,
    /// Share of bads in the bin.
    pub bad_rate: f64,
    /// Weight of evidence.
    pub woe: f64,
    /// Part of the information value.
    pub iv: f64,
    /// Points.
    pub points: i32,
    /// Points less the mean points of the characteristic.
    pub from_neutral: f64,
}

/// What is written to `model.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Card {
    family: String,
    format: u32,
    spec: FrameSpec,
    base_points: f64,
    base_odds: f64,
    double_odds: f64,
    /// Log-odds of bad per point lost, ln 2 / double_odds.
    unit: f64,
    /// Margin of a total of 0 points.
    anchor: f64,
    intercept: f64,
    iterations: usize,
    start_points: i32,
    characteristics: Vec<Characteristic>,
}

/// How a characteristic on the card turns cells into points; derived from the card.
#[derive(Debug, Clone)]
struct Lookup {
    /// Index of the characteristic and of the feature.
    feature: usize,
    /// Points by bin.
    points: Vec<i32>,
    /// Points by level code, for a category.
    by_code: Vec<i32>,
}

/// A fitted scorecard.
#[derive(Debug, Clone)]
pub struct ScorecardModel {
    card: Card,
    bins: BinsFile,
    /// The file as it was written: a later program may word its comments differently.
    bins_text: String,
    lookups: Vec<Lookup>,
}

impl ScorecardModel {
    /// Turns coefficients into points.
    pub(super) fn new(
        params: &ScorecardParams,
        spec: FrameSpec,
        intercept: f64,
        iterations: usize,
        mut characteristics: Vec<Characteristic>,
    ) -> ScorecardModel {
        let unit = std::f64::consts::LN_2 / params.double_odds;
        // At base_points the log-odds of bad are -ln base_odds.
        let anchor = params.base_points * unit - params.base_odds.ln();
        let mut start_points = ((anchor - intercept) / unit).round() as i32;
        for c in &mut characteristics {
            let Some(estimate) = c.estimate else { continue };
            for bin in &mut c.binning.bins {
                bin.points = (-estimate.coefficient * bin.woe / unit).round() as i32;
            }
            // The worst bin of every characteristic gets 0: all points are gains over the start.
            let least = c.binning.bins.iter().map(|b| b.points).min().unwrap_or(0);
            start_points += least;
            c.binning.bins.iter_mut().for_each(|b| b.points -= least);
            let weight: f64 = c.binning.bins.iter().map(|b| b.weight()).sum();
            c.neutral_points = c.binning.bins.iter().map(|b| b.weight() * f64::from(b.points)).sum::<f64>() / weight;
        }
        let bins = bins_of(params, &spec, &characteristics);
        let card = Card {
            family: NAME.into(),
            format: FORMAT,
            spec,
            base_points: params.base_points,
            base_odds: params.base_odds,
            double_odds: params.double_odds,
            unit,
            anchor,
            intercept,
            iterations,
            start_points,
            characteristics,
        };
        let bins_text = bins_text(&card, &bins);
        ScorecardModel { lookups: lookups(&card), card, bins, bins_text }
    }

    /// Loads a saved card.
    ///
    /// # Errors
    /// A damaged-bundle error that says what does not fit together, or «newer» for a later format.
    pub fn load(parts: &Parts) -> Result<ScorecardModel> {
        let format = parts.json.get("format").and_then(serde_json::Value::as_u64);
        if format.is_some_and(|f| f > u64::from(FORMAT)) {
            return Err(Error::newer(format!(
                "model.json: scorecard format {}; this program reads up to {FORMAT}, install a newer one",
                format.unwrap_or_default()
            )));
        }
        let card: Card = Deserialize::deserialize(&parts.json)
            .map_err(|e: serde_json::Error| Error::damaged(format!("model.json: not a scorecard: {e}")))?;
        check_card(&card).map_err(|reason| Error::damaged(format!("model.json: scorecard: {reason}")))?;
        let text =
            parts.files.get(BINS_FILE).ok_or_else(|| Error::damaged(format!("{BINS_FILE}: the file is missing")))?;
        let bins = BinsFile::parse(text).map_err(|e| Error::damaged(e.to_string()))?;
        if !belongs(&bins, &card) {
            return Err(Error::damaged(format!(
                "{BINS_FILE}: does not belong to this card; train again to use edited bins"
            )));
        }
        Ok(ScorecardModel { lookups: lookups(&card), card, bins, bins_text: text.clone() })
    }

    /// Every feature in frame order, on the card or left out.
    pub fn characteristics(&self) -> &[Characteristic] {
        &self.card.characteristics
    }

    /// The points that every row starts with; the bins only add.
    pub fn start_points(&self) -> i32 {
        self.card.start_points
    }

    /// Intercept of the regression: log-odds of bad where every weight of evidence is 0.
    pub fn intercept(&self) -> f64 {
        self.card.intercept
    }

    /// The bins as an editable file.
    pub fn bins_file(&self) -> &BinsFile {
        &self.bins
    }

    /// The card, line by line: the bins of every characteristic that is on it, in frame order.
    pub fn table(&self) -> Vec<CardRow> {
        let mut out = Vec::new();
        for (spec, c) in self.card.spec.features.iter().zip(&self.card.characteristics) {
            let weight: f64 = c.binning.bins.iter().map(|b| b.weight()).sum();
            for bin in c.binning.bins.iter().filter(|_| c.estimate.is_some()) {
                out.push(CardRow {
                    characteristic: c.title().to_string(),
                    raw_column: self.card.spec.raw_columns[spec.raw].clone(),
                    bin: bin.label.clone(),
                    kind: bin.kind,
                    rows: bin.weight(),
                    share: bin.weight() / weight,
                    goods: bin.goods,
                    bads: bin.bads,
                    bad_rate: bin.bad_rate(),
                    woe: bin.woe,
                    iv: bin.iv,
                    points: bin.points,
                    from_neutral: f64::from(bin.points) - c.neutral_points,
                });
            }
        }
        out
    }

    /// Total points of each row.
    ///
    /// # Errors
    /// A request error if the frame's features are not those of the card.
    pub fn points(&self, frame: &Frame) -> Result<Vec<i32>> {
        self.check_frame(frame)?;
        let mut total = vec![self.card.start_points; frame.n_rows];
        total.par_chunks_mut(BLOCK).enumerate().for_each(|(block, total)| {
            for lookup in &self.lookups {
                self.each_points(lookup, frame, block * BLOCK, total.len(), |i, points| total[i] += points);
            }
        });
        Ok(total)
    }

    /// The margin of a total: log-odds of bad.
    pub fn margin(&self, points: i32) -> f64 {
        self.card.anchor - self.card.unit * f64::from(points)
    }

    /// Calls `take(i, points)` for the rows `first + i`, `i` in `0..n`.
    fn each_points(&self, lookup: &Lookup, frame: &Frame, first: usize, n: usize, mut take: impl FnMut(usize, i32)) {
        let binning = &self.card.characteristics[lookup.feature].binning;
        match &frame.columns[lookup.feature] {
            Column::Number(cells) => {
                for (i, &x) in cells[first..first + n].iter().enumerate() {
                    take(i, lookup.points[binning.bin_of_number(x) as usize]);
                }
            }
            Column::Codes(codes) => {
                // The last bin of a category is the unknown one.
                let unknown = lookup.points[lookup.points.len() - 1];
                for (i, &code) in codes[first..first + n].iter().enumerate() {
                    take(i, lookup.by_code.get(code as usize).copied().unwrap_or(unknown));
                }
            }
        }
    }

    /// Refuses a frame with other features.
    fn check_frame(&self, frame: &Frame) -> Result<()> {
        let (own, other) = (&self.card.spec.features, &frame.spec.features);
        if own.len() != other.len() || frame.columns.len() != own.len() {
            return Err(Error::request(format!(
                "scorecard: {} features in {} columns; the card was trained on {} features in the form «codes»",
                other.len(),
                frame.columns.len(),
                own.len()
            )));
        }
        for ((own, other), column) in own.iter().zip(other).zip(&frame.columns) {
            let is_number = matches!(column, Column::Number(_));
            if own.name != other.name || own.levels != other.levels || own.levels.is_none() != is_number {
                return Err(Error::request(format!(
                    "scorecard: feature «{}» ({}) where the card was trained on «{}» ({})",
                    other.name,
                    kind(other.levels.as_deref()),
                    own.name,
                    kind(own.levels.as_deref())
                )));
            }
            if column.len() != frame.n_rows {
                return Err(Error::request(format!(
                    "scorecard: feature «{}» has {} cells for {} rows",
                    own.name,
                    column.len(),
                    frame.n_rows
                )));
            }
        }
        Ok(())
    }
}

impl Model for ScorecardModel {
    fn predict(&self, frame: &Frame) -> Result<Scores> {
        let points = self.points(frame)?;
        Ok(Scores { n_outputs: 1, margins: points.into_iter().map(|p| self.margin(p)).collect() })
    }

    /// Points from neutral, as log-odds: exact, needs no background. The base is the margin of the mean points of the
    /// training rows.
    fn attribute(&self, frame: &Frame, _background: &Background) -> Result<Attributions> {
        self.check_frame(frame)?;
        let (n_raw, spec) = (self.card.spec.raw_columns.len(), &self.card.spec);
        let mut values = vec![0.0; frame.n_rows * n_raw];
        if n_raw > 0 {
            values.par_chunks_mut(BLOCK * n_raw).enumerate().for_each(|(block, values)| {
                for lookup in &self.lookups {
                    let raw = spec.features[lookup.feature].raw;
                    let neutral = self.card.characteristics[lookup.feature].neutral_points;
                    self.each_points(lookup, frame, block * BLOCK, values.len() / n_raw, |i, points| {
                        values[i * n_raw + raw] += self.card.unit * (neutral - f64::from(points));
                    });
                }
            });
        }
        let neutral: f64 = self.lookups.iter().map(|l| self.card.characteristics[l.feature].neutral_points).sum();
        let base = self.card.anchor - self.card.unit * (f64::from(self.card.start_points) + neutral);
        Ok(Attributions { n_outputs: 1, n_raw, base: vec![base], values, remainder: Vec::new() })
    }

    fn save(&self) -> Parts {
        let json = serde_json::to_value(&self.card).expect("a card has text keys and finite numbers only");
        let mut parts = Parts { json, ..Parts::default() };
        parts.files.insert(BINS_FILE.into(), self.bins_text.clone());
        parts
    }

    fn describe(&self) -> Vec<(String, String)> {
        let card = &self.card;
        let most: i32 = self.lookups.iter().map(|l| l.points.iter().max().copied().unwrap_or(0)).sum();
        let mut out = vec![
            ("characteristics".to_string(), format!("{} of {}", self.lookups.len(), card.characteristics.len())),
            ("points".to_string(), format!("{} to {}", card.start_points, card.start_points + most)),
            (
                "scale".to_string(),
                format!(
                    "{} points at odds {}:1, {} double the odds",
                    card.base_points, card.base_odds, card.double_odds
                ),
            ),
            ("intercept".to_string(), format!("{:.4} after {} iterations", card.intercept, card.iterations)),
        ];
        for c in &card.characteristics {
            let values = format!("IV {:.4}, marginal IV {:.4}, Gini {:.3}", c.iv, c.marginal_iv, c.gini);
            let text = match (&c.estimate, &c.left_out) {
                (Some(e), _) => {
                    let most = c.binning.bins.iter().map(|b| b.points).max().unwrap_or(0);
                    format!(
                        "coefficient {:.4} (error {:.4}, p {:.2e}, VIF {:.2}), {values}, points 0 to {most}",
                        e.coefficient, e.std_error, e.p_value, e.vif
                    )
                }
                (None, why) => format!("left out: {}; {values}", why.as_deref().unwrap_or("")),
            };
            out.push((c.title().to_string(), text));
        }
        out
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

fn kind(levels: Option<&[String]>) -> String {
    levels.map_or("number".into(), |l| format!("category of {} levels", l.len()))
}

/// The editable file of a card: what was found, with what the bank had decided.
fn bins_of(params: &ScorecardParams, spec: &FrameSpec, characteristics: &[Characteristic]) -> BinsFile {
    let feature = spec.features.iter().zip(characteristics).map(|(spec, c)| {
        let entry = params.bins.as_ref().and_then(|f| f.entry(&spec.name)).cloned().unwrap_or_default();
        FeatureBins {
            name: spec.name.clone(),
            trend: spec
                .levels
                .is_none()
                .then(|| entry.trend.unwrap_or(if spec.monotone == 0 { params.trend } else { super::Trend::Auto })),
            cuts: c.binning.cuts.clone(),
            special: c.binning.special.clone(),
            groups: c.binning.groups.iter().filter(|g| !g.is_empty()).cloned().collect(),
            ..entry
        }
    });
    BinsFile { feature: feature.collect() }
}

/// The text of `bins.toml`, with the card's figures as comments.
fn bins_text(card: &Card, bins: &BinsFile) -> String {
    bins.to_toml(|i| {
        let c = &card.characteristics[i];
        let weight: f64 = c.binning.bins.iter().map(|b| b.weight()).sum();
        let state = c.left_out.as_deref().map_or("on the card".to_string(), |why| format!("left out: {why}"));
        let mut lines = vec![format!("{state}; information value {:.4}", c.iv)];
        lines.extend(c.binning.bins.iter().map(|b| {
            let (share, rate) = (100.0 * b.weight() / weight, 100.0 * b.bad_rate());
            format!("  {}: {share:.1} % of rows, {rate:.2} % bad, evidence {:+.4}, {} points", b.label, b.woe, b.points)
        }));
        lines
    })
}

/// True if the file lists the card's features with the card's bins.
fn belongs(bins: &BinsFile, card: &Card) -> bool {
    let same = |(entry, c): (&FeatureBins, &Characteristic)| {
        let groups = c.binning.groups.iter().filter(|g| !g.is_empty());
        entry.name == c.feature
            && entry.cuts == c.binning.cuts
            && entry.special == c.binning.special
            && entry.groups.iter().eq(groups)
    };
    bins.feature.len() == card.characteristics.len() && bins.feature.iter().zip(&card.characteristics).all(same)
}

fn lookups(card: &Card) -> Vec<Lookup> {
    let mut out = Vec::new();
    for (feature, (spec, c)) in card.spec.features.iter().zip(&card.characteristics).enumerate() {
        if c.estimate.is_none() {
            continue;
        }
        let points: Vec<i32> = c.binning.bins.iter().map(|b| b.points).collect();
        let by_code = match spec.levels {
            Some(_) => c.binning.bin_by_code(spec).into_iter().map(|bin| points[bin as usize]).collect(),
            None => Vec::new(),
        };
        out.push(Lookup { feature, points, by_code });
    }
    out
}

/// What scoring relies on; the error is the reason.
fn check_card(card: &Card) -> std::result::Result<(), String> {
    if card.family != NAME || card.format != FORMAT {
        return Err(format!("family «{}» format {}; «{NAME}» format {FORMAT} is needed", card.family, card.format));
    }
    if card.spec.features.len() != card.characteristics.len() {
        return Err(format!(
            "{} characteristics for {} features",
            card.characteristics.len(),
            card.spec.features.len()
        ));
    }
    if !(card.unit > 0.0 && card.unit.is_finite() && card.anchor.is_finite()) {
        return Err(format!(
            "unit {} and anchor {}; a positive and a finite number are needed",
            card.unit, card.anchor
        ));
    }
    if card.start_points.abs() > MAX_POINTS {
        return Err(format!("{} points at the start; at most {MAX_POINTS} are believed", card.start_points));
    }
    for (spec, c) in card.spec.features.iter().zip(&card.characteristics) {
        check_characteristic(card, spec, c).map_err(|reason| format!("feature «{}»: {reason}", spec.name))?;
    }
    Ok(())
}

fn check_characteristic(
    card: &Card,
    spec: &statera_core::FeatureSpec,
    c: &Characteristic,
) -> std::result::Result<(), String> {
    let b = &c.binning;
    if c.feature != spec.name {
        return Err(format!("characteristic «{}» in its place", c.feature));
    }
    if spec.raw >= card.spec.raw_columns.len() {
        return Err(format!("raw column {} of {}", spec.raw, card.spec.raw_columns.len()));
    }
    if c.estimate.is_some() == c.left_out.is_some() {
        return Err("it must have either an estimate or a reason to be left out".into());
    }
    let n_bins = match spec.levels {
        Some(_) if b.groups.is_empty() || !b.cuts.is_empty() || !b.special.is_empty() => {
            return Err("a category needs groups, and neither cuts nor special values".into());
        }
        None if !b.groups.is_empty() => return Err("a number has no groups".into()),
        Some(_) => b.groups.len() + 3,
        None => b.cuts.len() + b.special.len() + 2,
    };
    if b.bins.len() != n_bins || n_bins > usize::from(u16::MAX) {
        return Err(format!("{} bins; {n_bins} are needed", b.bins.len()));
    }
    let ascend = |v: &[f64]| v.iter().all(|x| x.is_finite()) && v.windows(2).all(|p| p[0] < p[1]);
    if !ascend(&b.cuts) || !ascend(&b.special) {
        return Err("cuts and special values must be finite and ascend".into());
    }
    if let Some(bin) = b.bins.iter().find(|bin| bin.points.abs() > MAX_POINTS) {
        return Err(format!("{} points; at most {MAX_POINTS} are believed", bin.points));
    }
    Ok(())
}
