//! Decision rules beside the model: velocity, lists, amounts, times of day and combinations with the score, each with an
//! action.
//!
//! The file is the bank's own, has a version, and is copied into the bundle with its lists, so that a change of a rule makes a
//! new bundle and is approved as every bundle is, by another person. Rules see raw columns, columns of windows and the
//! model's probability; conditions are compiled once for a table's columns and evaluated over batches. What a rule says of a row
//! follows from the row alone: no clock is read, validity is by the row's own time, so that every action can be replayed.
//!
//! Of the rules that hold and act, the one of the highest precedence decides; among equals the one of the strongest action, then the
//! one that stands first. A rule in shadow is evaluated and recorded, and never acts.

mod backtest;
mod compile;
mod condition;
mod evaluate;
mod list;
mod logic;
mod table;
#[cfg(test)]
mod tests;

pub use backtest::{Backtest, Cases, Caught, Overlap, RuleResult, backtest};
pub(crate) use compile::declared;
pub use compile::{Compiled, seen_columns, table_columns};
pub use condition::{CellTest, Condition, Operand, Subject};
pub use evaluate::{Fired, Ruling, Scratch, Verdict};
pub use list::{List, ListSet, list_part};

pub use table::{Labelled, TableBacktest, backtest_table};

use crate::reasons::Language;
use jiff::civil::Date;
use list::MAX_LISTS;
use serde::{Deserialize, Deserializer, Serialize};
use statera_core::{Error, Kind, Result};
use statera_data::toml_text;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// Name of the file in a bundle, where `rules.toml` holds the limits that groups of people are judged by.
pub const DECISION_RULES_FILE: &str = "decision-rules.toml";
/// Rules of one file: as many as a verdict has bits.
pub const MAX_RULES: usize = 256;
/// Longest code, in characters.
const MAX_CODE: usize = 32;
/// Longest name, in characters.
const MAX_NAME: usize = 200;
/// Highest precedence.
const MAX_PRECEDENCE: u16 = 1000;

/// What is done with a row, from the weakest to the strongest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// It goes through; what happens to a row for which no rule holds.
    #[default]
    Allow,
    /// The customer must prove who they are.
    Challenge,
    /// It waits until a person has looked at it.
    Hold,
    /// It is refused.
    Block,
}

impl Action {
    /// Every action, from the weakest.
    pub const ALL: [Action; 4] = [Action::Allow, Action::Challenge, Action::Hold, Action::Block];

    /// Its name in files.
    pub fn name(self) -> &'static str {
        match self {
            Action::Allow => "allow",
            Action::Challenge => "challenge",
            Action::Hold => "hold",
            Action::Block => "block",
        }
    }
}

/// Whether a rule acts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// It acts.
    #[default]
    Active,
    /// It is evaluated and recorded, and never acts.
    Shadow,
}

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Short name for files and tables, unique: letters, digits, `-`, `_` and `.`.
    pub code: String,
    /// What it is called, in English.
    pub en: String,
    /// In Korean.
    pub ko: String,
    /// In Chinese.
    pub zh: String,
    /// What it does.
    pub action: Action,
    /// Goes before rules of a lower one, 0 (the default) to 1000.
    #[serde(default)]
    pub precedence: u16,
    /// Whether it acts. Default: it does.
    #[serde(default)]
    pub mode: Mode,
    /// First day on which it holds, by the file's time column and zone.
    #[serde(default, deserialize_with = "day", skip_serializing_if = "Option::is_none")]
    pub valid_from: Option<String>,
    /// Last day on which it holds.
    #[serde(default, deserialize_with = "day", skip_serializing_if = "Option::is_none")]
    pub valid_to: Option<String>,
    /// When it holds: see [`Condition`].
    pub when: String,
}

/// The whole file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RulesFile {
    version: String,
    #[serde(default)]
    time: Option<String>,
    #[serde(default)]
    tz: Option<String>,
    #[serde(default)]
    columns: BTreeMap<String, Kind>,
    #[serde(default)]
    list: Vec<List>,
    #[serde(default)]
    rule: Vec<Rule>,
}

/// A date in quotes, or without them as TOML has it.
fn day<'de, D: Deserializer<'de>>(from: D) -> std::result::Result<Option<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Day {
        Text(String),
        Date(toml::value::Datetime),
    }
    Ok(Some(match Day::deserialize(from)? {
        Day::Text(text) => text,
        Day::Date(date) => date.to_string(),
    }))
}

/// A checked file of rules with its lists.
#[derive(Debug, Clone, PartialEq)]
pub struct RuleSet {
    /// Which rules these are; stands beside every action.
    pub version: String,
    /// Column of the row's time, for rules that hold for a while only.
    pub time: Option<String>,
    /// Zone of days and times of day; that of the table or the bundle if not given.
    pub tz: Option<String>,
    /// Kinds of columns that the model does not see.
    pub columns: BTreeMap<String, Kind>,
    /// The rules in the order of the file.
    pub rules: Vec<Rule>,
    /// The condition of each rule.
    pub conditions: Vec<Condition>,
    /// Lists by name.
    pub lists: BTreeMap<String, Arc<ListSet>>,
    /// The files of lists, by name.
    pub list_files: BTreeMap<String, Vec<u8>>,
}

impl RuleSet {
    /// Reads a file of rules, and the files of lists that lie beside it; with its text.
    ///
    /// # Errors
    /// Files that cannot be read, and what [`RuleSet::parse`] refuses, with the path.
    pub fn read(path: &Path) -> Result<(String, RuleSet)> {
        let text = std::fs::read_to_string(path).map_err(|e| Error::io(format!("{}: {e}", path.display())))?;
        let dir = path.parent().unwrap_or(Path::new(""));
        let read = toml_text::read(&text, &path.display().to_string())?;
        let set = RuleSet::of(read, |name| list::read_beside(dir, name)).map_err(|e| e.at(path.display()))?;
        Ok((text, set))
    }

    /// Reads and checks the text of the file; `file` gives the bytes of a list's file.
    ///
    /// # Errors
    /// Text that is not TOML, unknown keys, empty or taken codes, names that are missing, conditions that are none, days that are
    /// none or end before they begin, lists that are unknown, altered or never used; the message names the rule, the value and what
    /// is allowed. What depends on columns is checked by [`RuleSet::compile`].
    pub fn parse(text: &str, file: impl Fn(&str) -> Result<Vec<u8>>) -> Result<RuleSet> {
        RuleSet::of(toml_text::read(text, DECISION_RULES_FILE)?, file)
    }

    /// Checks what was read.
    fn of(read: RulesFile, file: impl Fn(&str) -> Result<Vec<u8>>) -> Result<RuleSet> {
        if read.version.trim().is_empty() {
            return Err(Error::request("version is empty; it names the rules beside every action"));
        }
        let bounds = [("rule", read.rule.len(), 1, MAX_RULES), ("list", read.list.len(), 0, MAX_LISTS)];
        for (what, n, least, most) in bounds {
            if n < least || n > most {
                return Err(Error::request(format!("there are {n} [[{what}]]; allowed: {least} to {most}")));
            }
        }
        let (lists, list_files) = list::load(&read.list, file)?;
        let mut conditions = Vec::with_capacity(read.rule.len());
        for (i, rule) in read.rule.iter().enumerate() {
            let place =
                if rule.code.trim().is_empty() { format!("rule {}", i + 1) } else { format!("rule «{}»", rule.code) };
            let condition = || -> Result<Condition> {
                rule.check(&read.rule[..i], read.time.is_some())?;
                Condition::parse(&rule.when).map_err(|e| e.at("when"))
            };
            conditions.push(condition().map_err(|e| e.at(&place))?);
        }
        let RulesFile { version, time, tz, columns, rule: rules, .. } = read;
        let set = RuleSet { version, time, tz, columns, rules, conditions, lists, list_files };
        set.check_lists()?;
        Ok(set)
    }

    /// Every list that is named is there, and every list is named.
    fn check_lists(&self) -> Result<()> {
        let mut unused: Vec<&String> = self.lists.keys().collect();
        for (rule, condition) in self.rules.iter().zip(&self.conditions) {
            for test in condition.tests() {
                let CellTest::InList(_, name, _) = test else { continue };
                unused.retain(|list| *list != name);
                if !self.lists.contains_key(name) {
                    let known: Vec<&str> = self.lists.keys().map(String::as_str).collect();
                    let known = if known.is_empty() { "none".into() } else { known.join(", ") };
                    let code = &rule.code;
                    return Err(Error::request(format!("rule «{code}»: there is no list «{name}»; lists: {known}")));
                }
            }
        }
        match unused.first() {
            Some(name) => {
                Err(Error::request(format!("list «{name}» is in no condition; name it in one or leave it out")))
            }
            None => Ok(()),
        }
    }

    /// Refuses rules that read what is known of a row later only, as its outcome: on known outcomes they would find every event, and
    /// none when it happens.
    ///
    /// # Errors
    /// The rule and the column.
    pub(crate) fn refuse_late(&self, compiled: &Compiled, late: &[&str]) -> Result<()> {
        let read = |name: &&&str| compiled.inputs.iter().any(|input| input.name == **name);
        let Some(name) = late.iter().find(read) else { return Ok(()) };
        let by = self.rules.iter().zip(&self.conditions);
        let by =
            by.filter(|(_, condition)| condition.tests().iter().any(|test| test.reads(name))).map(|(rule, _)| rule);
        let place = by.map(|rule| format!("rule «{}»: ", rule.code)).next().unwrap_or_default();
        Err(Error::request(format!(
            "{place}«{name}» is known later than the row; allowed are columns that are known when it is decided"
        )))
    }

    /// The rules that act.
    pub fn active(&self) -> Fired {
        let mut active = Fired::default();
        (0..self.rules.len()).filter(|&i| self.rules[i].mode == Mode::Active).for_each(|i| active.set(i));
        active
    }

    /// Rules that act, and rules in shadow.
    pub fn n_by_mode(&self) -> [usize; 2] {
        let n = |mode| self.rules.iter().filter(|r| r.mode == mode).count();
        [n(Mode::Active), n(Mode::Shadow)]
    }

    /// Codes of the rules whose bits are set, in the order of the file.
    pub fn codes(&self, fired: Fired) -> Vec<&str> {
        fired.iter().filter_map(|i| self.rules.get(i)).map(|r| r.code.as_str()).collect()
    }

    /// True if the first rule decides where both hold and act: the higher precedence, then the stronger action, then the place.
    fn goes_before(&self, a: usize, b: usize) -> bool {
        let rank = |i: usize| (self.rules[i].precedence, self.rules[i].action, std::cmp::Reverse(i));
        rank(a) > rank(b)
    }
}

impl Rule {
    /// Its name in a language.
    pub fn name(&self, language: Language) -> &str {
        match language {
            Language::En => &self.en,
            Language::Ko => &self.ko,
            Language::Zh => &self.zh,
        }
    }

    fn check(&self, others: &[Rule], has_time: bool) -> Result<()> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if self.code.is_empty() || self.code.len() > MAX_CODE || !self.code.chars().all(is_plain) {
            return Err(Error::request(format!(
                "code is «{}»; allowed: 1 to {MAX_CODE} letters, digits, -, _ and .",
                self.code
            )));
        }
        if others.iter().any(|o| o.code.eq_ignore_ascii_case(&self.code)) {
            return Err(Error::request("the code is taken by a rule before; codes differ, whatever their case"));
        }
        for (key, name) in [("en", &self.en), ("ko", &self.ko), ("zh", &self.zh)] {
            let length = name.trim().chars().count();
            if !(1..=MAX_NAME).contains(&length) {
                return Err(Error::request(format!("{key} has {length} characters; allowed: 1 to {MAX_NAME}")));
            }
        }
        if self.precedence > MAX_PRECEDENCE {
            let value = self.precedence;
            return Err(Error::request(format!("precedence is {value}; allowed: 0 to {MAX_PRECEDENCE}")));
        }
        let days = self.days()?;
        if days != [None, None] && !has_time {
            return Err(Error::request(
                "valid_from and valid_to are of the row's time; name its column at the top: time = \"…\"",
            ));
        }
        match days {
            [Some(from), Some(to)] if to < from => Err(Error::request(format!(
                "valid_to {to} is before valid_from {from}; allowed: the same day or later"
            ))),
            _ => Ok(()),
        }
    }

    /// First and last day on which it holds.
    fn days(&self) -> Result<[Option<Date>; 2]> {
        let read = |key: &str, day: &Option<String>| -> Result<Option<Date>> {
            let parse = |text: &String| text.parse::<Date>().ok().filter(|_| text.len() == 10);
            let refused =
                |text: &String| Error::request(format!("{key} is «{text}»; allowed: a day such as 2026-11-30"));
            day.as_ref().map(|text| parse(text).ok_or_else(|| refused(text))).transpose()
        };
        Ok([read("valid_from", &self.valid_from)?, read("valid_to", &self.valid_to)?])
    }
}
