//! `reasons.toml`: the principal reasons of a decision, in the bank's own words.
//!
//! A reason is a column or a group of columns with a text in English, Korean and Chinese. The reasons of a row are the groups
//! whose attributions together raise its risk most above that of the average approved row (without a policy, of the average of
//! all rows); their order is that of the sums. Every column belongs to one reason that speaks against approval: what a
//! declined row has beyond the average approved one then lies in such reasons, so that one of them has a sum above 0. Texts
//! that name no reason are refused when the file is read: the US Regulation B (12 CFR 1002.9(b)(2)) does not accept that an
//! applicant «failed to achieve a qualifying score», nor a reference to internal standards, and an applicant cannot act on it.

#[cfg(test)]
mod tests;
mod vague;

use serde::{Deserialize, Serialize};
use statera_core::{Error, Result};
use statera_data::toml_text;

/// Name of the file in a bundle, and its place in messages.
pub const REASONS_FILE: &str = "reasons.toml";

/// Most reasons that may be given: more do not tell an applicant what mattered (official interpretation of 1002.9(b)(2)).
pub const MAX_REASONS: usize = 4;

/// The whole file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reasons {
    /// Which file this is; stands beside every decision.
    pub version: String,
    /// Reasons that a row gets, 1 to 4. Default: 4.
    #[serde(default = "max_reasons")]
    pub max_reasons: usize,
    /// Every reason; each column of the model belongs to exactly one that speaks against approval and to at most one that
    /// speaks for it.
    pub reason: Vec<Reason>,
}

fn max_reasons() -> usize {
    MAX_REASONS
}

/// A column or a group of columns, with what it is called before a customer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reason {
    /// Short name for files and tables, unique.
    pub code: String,
    /// Columns of the model, at least one.
    pub columns: Vec<String>,
    /// True if the customer can do something about it.
    #[serde(default)]
    pub actionable: bool,
    /// Which way the reason speaks. Default: against approval only.
    #[serde(default)]
    pub direction: Direction,
    /// In English.
    pub en: String,
    /// In Korean.
    pub ko: String,
    /// In Chinese.
    pub zh: String,
}

/// Which way a reason may speak.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// A reason of declining: where the columns raise the risk.
    #[default]
    Against,
    /// A reason of approving: where they lower it.
    For,
    /// Both.
    Either,
}

impl Direction {
    /// As the file says it.
    fn name(self) -> &'static str {
        match self {
            Direction::Against => "against",
            Direction::For => "for",
            Direction::Either => "either",
        }
    }

    /// True if a reason of this direction may be given for (or against) approval.
    fn speaks(self, wanted: Direction) -> bool {
        self == wanted || self == Direction::Either
    }
}

/// Languages that customers and supervisors read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// English.
    #[default]
    En,
    /// Korean.
    Ko,
    /// Chinese.
    Zh,
}

/// Every language, with its key in the file.
const LANGUAGES: [(Language, &str); 3] = [(Language::En, "en"), (Language::Ko, "ko"), (Language::Zh, "zh")];

impl Language {
    /// What stands behind a reason that the customer can do something about.
    pub fn actionable(self) -> &'static str {
        match self {
            Language::En => "can be changed",
            Language::Ko => "바꿀 수 있음",
            Language::Zh => "可以改变",
        }
    }
}

impl Reason {
    /// True if it may be given against approval.
    pub(crate) fn is_adverse(&self) -> bool {
        self.direction.speaks(Direction::Against)
    }

    /// Its text in a language.
    pub fn text(&self, language: Language) -> &str {
        match language {
            Language::En => &self.en,
            Language::Ko => &self.ko,
            Language::Zh => &self.zh,
        }
    }
}

/// A reason of a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Given<'a> {
    /// The reason.
    pub reason: &'a Reason,
    /// What its columns add to the margin.
    pub contribution: f64,
}

impl Reasons {
    /// Reads and checks the text of the file.
    ///
    /// # Errors
    /// Text that is not TOML, unknown keys, texts that are empty, vague or used twice, a column with two reasons of one
    /// direction or with reasons for approval only; the message names the file, the reason and what is allowed.
    pub fn parse(text: &str) -> Result<Reasons> {
        let reasons = Reasons::stored(text)?;
        let check = || -> Result<()> {
            for reason in &reasons.reason {
                reason.check_texts().map_err(|e| e.at(format!("reason «{}»", reason.code)))?;
            }
            reasons.check_adverse()
        };
        check().map_err(|e| e.at(REASONS_FILE))?;
        Ok(reasons)
    }

    /// Reads the text of a bundle: files of former versions may have columns with reasons for approval only, and texts that they
    /// did not find vague, which are refused when a file is given.
    ///
    /// # Errors
    /// As [`Reasons::parse`] otherwise.
    pub(crate) fn stored(text: &str) -> Result<Reasons> {
        let reasons: Reasons = toml_text::read(text, REASONS_FILE)?;
        reasons.check().map_err(|e| e.at(REASONS_FILE))?;
        Ok(reasons)
    }

    /// Refuses columns that only speak for approval: a row that is declined for them alone would have no reason.
    fn check_adverse(&self) -> Result<()> {
        let adverse = |column: &&String| self.reason.iter().any(|r| r.is_adverse() && r.columns.contains(column));
        for reason in self.reason.iter().filter(|r| r.direction == Direction::For) {
            if let Some(column) = reason.columns.iter().find(|c| !adverse(c)) {
                return Err(Error::request(format!(
                    "reason «{}»: direction is for, and no reason against approval has column «{column}»: a row declined for it \
                     would have no reason; allowed: direction either, or another reason with it whose direction is against",
                    reason.code
                )));
            }
        }
        Ok(())
    }

    fn check(&self) -> Result<()> {
        if self.version.trim().is_empty() {
            return Err(Error::request("version is empty; it names the reasons beside every decision"));
        }
        if !(1..=MAX_REASONS).contains(&self.max_reasons) {
            let n = self.max_reasons;
            return Err(Error::request(format!("max_reasons is {n}; allowed: 1 to {MAX_REASONS}")));
        }
        if self.reason.is_empty() {
            return Err(Error::request("there is no [[reason]]"));
        }
        for (i, reason) in self.reason.iter().enumerate() {
            let others = &self.reason[..i];
            reason.check(others).map_err(|e| e.at(format!("reason «{}»", reason.code)))?;
        }
        Ok(())
    }

    /// Checks that the reasons are of a model's columns, each of which has one.
    ///
    /// # Errors
    /// Columns that the model does not have, and columns of it without a reason.
    pub fn check_columns(&self, columns: &[String]) -> Result<()> {
        for reason in &self.reason {
            if let Some(column) = reason.columns.iter().find(|c| !columns.contains(c)) {
                let known = columns.join(", ");
                let code = &reason.code;
                return Err(Error::request(format!(
                    "{REASONS_FILE}: reason «{code}»: the model has no column «{column}»; its columns are {known}"
                )));
            }
        }
        let is_named = |column: &&String| self.reason.iter().any(|r| r.columns.contains(column));
        let without: Vec<&str> = columns.iter().filter(|c| !is_named(c)).map(String::as_str).collect();
        if without.is_empty() {
            return Ok(());
        }
        Err(Error::request(format!(
            "{REASONS_FILE}: no reason is given for {}; each column that moves the score needs one",
            without.join(", ")
        )))
    }

    /// The principal reasons of a row against approval, the strongest first: of what each column adds to its margin (in the
    /// order of `columns`), the groups with the largest sums above 0.
    pub fn against(&self, contributions: &[f64], columns: &[String]) -> Vec<Given<'_>> {
        self.given(contributions, columns, Direction::Against)
    }

    /// The reasons for approval, the strongest first.
    pub fn in_favour(&self, contributions: &[f64], columns: &[String]) -> Vec<Given<'_>> {
        self.given(contributions, columns, Direction::For)
    }

    fn given(&self, contributions: &[f64], columns: &[String], direction: Direction) -> Vec<Given<'_>> {
        let sign = if direction == Direction::For { -1.0 } else { 1.0 };
        let sum = |reason: &Reason| -> f64 {
            let own = columns.iter().zip(contributions).filter(|(c, _)| reason.columns.contains(c));
            own.map(|(_, v)| v).sum()
        };
        let all = self
            .reason
            .iter()
            .filter(|r| r.direction.speaks(direction))
            .map(|reason| Given { reason, contribution: sum(reason) });
        let mut given: Vec<Given<'_>> = all.filter(|g| sign * g.contribution > 0.0).collect();
        // Equal sums keep the order of the file.
        given.sort_by(|a, b| (sign * b.contribution).total_cmp(&(sign * a.contribution)));
        given.truncate(self.max_reasons);
        given
    }
}

impl Reason {
    /// Refuses texts that name no reason.
    fn check_texts(&self) -> Result<()> {
        LANGUAGES.iter().try_for_each(|&(language, key)| {
            vague::check(self.text(language), language, &self.columns).map_err(|e| e.at(key))
        })
    }

    fn check(&self, others: &[Reason]) -> Result<()> {
        if self.code.trim().is_empty() || others.iter().any(|o| o.code == self.code) {
            return Err(Error::request("the code is empty or taken"));
        }
        if self.columns.is_empty() {
            return Err(Error::request("columns is empty; name at least one column of the model"));
        }
        for (i, column) in self.columns.iter().enumerate() {
            let has_both = |o: &&Reason| {
                let both = |d: Direction| o.direction.speaks(d) && self.direction.speaks(d);
                o.columns.contains(column) && (both(Direction::Against) || both(Direction::For))
            };
            let elsewhere = others.iter().find(has_both);
            if self.columns[..i].contains(column) || elsewhere.is_some() {
                let place = elsewhere.unwrap_or(self);
                return Err(Error::request(format!(
                    "column «{column}» is already in reason «{}», whose direction is {}; allowed: one reason against approval \
                     and one for it",
                    place.code,
                    place.direction.name()
                )));
            }
        }
        for (language, key) in LANGUAGES {
            let text = self.text(language);
            if let Some(other) = others.iter().find(|o| o.text(language).trim() == text.trim()) {
                let code = &other.code;
                return Err(Error::request(format!(
                    "{key}: «{text}» is the text of reason «{code}» too; two reasons with one text tell a customer nothing"
                )));
            }
        }
        Ok(())
    }
}

/// How often reasons stay the same when a model is fitted again.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stability {
    /// Rows that were compared.
    pub n_rows: usize,
    /// Fits that were compared with the model.
    pub n_fits: usize,
    /// Share of rows, averaged over the fits, whose first reason stays.
    pub first_stays: f64,
    /// Share of a row's reasons that are among those of the other fit, averaged over rows and fits.
    pub overlap: f64,
}

/// Compares the reasons of rows under a model with those under other fits of it: `model` and each of `fits` hold the
/// codes of each row, the strongest first. Rows without reasons under the model are left out. `None` if none is left.
pub fn stability(model: &[Vec<&str>], fits: &[Vec<Vec<&str>>]) -> Option<Stability> {
    let rows: Vec<usize> = (0..model.len()).filter(|&i| !model[i].is_empty()).collect();
    if rows.is_empty() || fits.is_empty() {
        return None;
    }
    let (mut first, mut overlap) = (0usize, 0.0);
    for fit in fits {
        for &i in &rows {
            first += usize::from(fit[i].first() == model[i].first());
            let kept = model[i].iter().filter(|code| fit[i].contains(code)).count();
            overlap += kept as f64 / model[i].len() as f64;
        }
    }
    let n = (rows.len() * fits.len()) as f64;
    Some(Stability { n_rows: rows.len(), n_fits: fits.len(), first_stays: first as f64 / n, overlap: overlap / n })
}
