//! `mask.toml`: a method for every column, and the columns by which the risk is measured.

use super::{Action, Key, METHODS, MethodKind, Setup};
use crate::time::Zone;
use crate::toml_text::{line_at, read};
use serde::Deserialize;
use statera_core::{Error, Result};
use std::collections::BTreeMap;
use toml::Spanned;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    default: Option<Spanned<toml::Value>>,
    key_check: Option<String>,
    #[serde(default)]
    columns: BTreeMap<String, Spanned<toml::Value>>,
    risk: Option<RiskColumns>,
}

/// The columns by which the risk is measured.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RiskColumns {
    /// Columns that others may know of a person too: together they may single one out.
    pub quasi_identifiers: Vec<String>,
    /// Columns that nobody should learn of a person.
    #[serde(default)]
    pub sensitive: Vec<String>,
}

/// What happens to a column.
pub struct Rule {
    /// The method.
    pub method: &'static MethodKind,
    settings: toml::Table,
    line: usize,
}

/// A policy that was read and checked: every method can be made from its settings.
pub struct Policy {
    path: String,
    default: Option<Rule>,
    key_check: Option<String>,
    columns: BTreeMap<String, Rule>,
    risk: Option<RiskColumns>,
}

impl Policy {
    /// Reads a policy; `path` is for messages.
    ///
    /// # Errors
    /// Unknown keys, methods and settings, values out of range: the file, the line and what is allowed.
    pub fn parse(text: &str, path: &str) -> Result<Policy> {
        let file: File = read(text, path)?;
        let rule = |value: Spanned<toml::Value>, name: &str| {
            let line = line_at(text, value.span().start);
            let place = format!("{path}, line {line}, {name}");
            let rule = Rule::of(value.into_inner(), line).map_err(|e| e.at(&place))?;
            // Settings are tried out now: nothing is read before they are right.
            rule.action("", &Key::of_nobody(), &Zone::utc()).map_err(|e| e.at(&place))?;
            Ok::<Rule, Error>(rule)
        };
        let default = file.default.map(|value| rule(value, "default")).transpose()?;
        let columns = file.columns.into_iter().map(|(name, value)| {
            let read = rule(value, &format!("column «{name}»"))?;
            Ok((name, read))
        });
        let columns = columns.collect::<Result<_>>()?;
        if file.risk.as_ref().is_some_and(|risk| risk.quasi_identifiers.is_empty()) {
            return Err(Error::request(format!(
                "{path}: risk.quasi_identifiers is empty; allowed is one column or more"
            )));
        }
        Ok(Policy { path: path.into(), default, key_check: file.key_check, columns, risk: file.risk })
    }

    /// The file's name.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The columns by which the risk is measured.
    pub fn risk(&self) -> Option<&RiskColumns> {
        self.risk.as_ref()
    }

    /// The rule of a column: its own or the default.
    pub fn rule(&self, column: &str) -> Option<&Rule> {
        self.columns.get(column).or(self.default.as_ref())
    }

    /// True if a method needs a key file.
    pub fn needs_key(&self) -> bool {
        self.columns.values().chain(&self.default).any(|rule| rule.method.needs_key)
    }

    /// Refuses a key that is not the policy's; `key_file` is for messages.
    ///
    /// # Errors
    /// A policy without `key_check`, or with another.
    pub fn check_key(&self, key: &Key, key_file: &str, is_inverse: bool) -> Result<()> {
        let (path, found) = (&self.path, key.check());
        match &self.key_check {
            Some(expected) if *expected == found => Ok(()),
            Some(expected) => Err(Error::request(format!(
                "{key_file} is not the key of {path}: its check is «{found}», and key_check is «{expected}»"
            ))),
            None if is_inverse => Err(Error::request(format!(
                "{path}: key_check is missing, without which a wrong key would not be noticed; take the policy that the \
                 table was masked with"
            ))),
            None => Err(Error::request(format!(
                "{path}: key_check is missing, without which a wrong key would not be noticed; if {key_file} is the right \
                 one, write at the beginning of the file: key_check = \"{found}\""
            ))),
        }
    }

    /// Refuses columns of the policy that a table lacks, and of the table that the policy does not name.
    pub(super) fn check_columns(&self, names: &[&str], is_inverse: bool) -> Result<()> {
        let path = &self.path;
        let unknown = |what: &str, name: &str| {
            let there = names.join(", ");
            Err(Error::request(format!("{path}, {what}: no column «{name}» in the table; there are {there}")))
        };
        for (name, rule) in &self.columns {
            let is_gone = is_inverse && rule.method.name == "drop";
            if !is_gone && !names.contains(&name.as_str()) {
                return unknown(&format!("line {}", rule.line), name);
            }
        }
        if let Some(risk) = self.risk.as_ref().filter(|_| !is_inverse) {
            let named = risk.quasi_identifiers.iter().chain(&risk.sensitive);
            if let Some(name) = named.into_iter().find(|name| !names.contains(&name.as_str())) {
                return unknown("risk", name);
            }
        }
        let unnamed: Vec<String> =
            names.iter().filter(|name| self.rule(name).is_none()).map(|name| format!("«{name}»")).collect();
        if unnamed.is_empty() {
            return Ok(());
        }
        Err(Error::request(format!(
            "{path}: no method for {}; name them, or say for all that are not named, at the beginning of the file: default = \
             \"drop\" (or \"keep\")",
            unnamed.join(", ")
        )))
    }

    /// What happens to a column that [`Policy::check_columns`] has seen.
    pub(super) fn action(&self, column: &str, key: &Key, zone: &Zone) -> Result<Action> {
        match self.rule(column) {
            Some(rule) => rule.action(column, key, zone),
            None => Err(Error::request(format!("{}: no method for «{column}»", self.path))),
        }
    }
}

impl Rule {
    /// A method's name, or a table with `method` and its settings.
    fn of(value: toml::Value, line: usize) -> Result<Rule> {
        let (name, settings) = match value {
            toml::Value::String(name) => (name, toml::Table::new()),
            toml::Value::Table(mut table) => match table.remove("method") {
                Some(toml::Value::String(name)) => (name, table),
                _ => return Err(Error::request(format!("method is missing; allowed are {}", names()))),
            },
            _ => return Err(Error::request("allowed are a method's name and a table with method and its settings")),
        };
        let method = METHODS.iter().find(|m| m.name == name);
        let method = method.ok_or_else(|| Error::request(format!("no method «{name}»; allowed are {}", names())))?;
        Ok(Rule { method, settings, line })
    }

    fn action(&self, column: &str, key: &Key, zone: &Zone) -> Result<Action> {
        (self.method.build)(&Setup { column, settings: self.settings.clone(), key, zone })
    }
}

fn names() -> String {
    METHODS.iter().map(|m| m.name).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> String {
        Policy::parse(text, "mask.toml").err().expect("refused").to_string()
    }

    #[test]
    fn errors_name_the_line_and_what_is_allowed() {
        let cases = [
            (
                "defualt = 'keep'",
                "mask.toml, line 1 («defualt = 'keep'»): unknown field `defualt`, expected one of `default`",
            ),
            (
                "\n[columns]\na = 'keep'\nb = 'encrpyt'\n",
                "mask.toml, line 4, column «b»: no method «encrpyt»; allowed are keep, drop, redact, generalise, hash, token, \
                 encrypt, text",
            ),
            ("[columns.a]\nwidth = 3\n", "mask.toml, line 1, column «a»: method is missing; allowed are keep, drop"),
            ("[columns]\na = 3\n", "mask.toml, line 2, column «a»: allowed are a method's name and a table"),
            (
                "[columns]\na = { method = 'token', alphabet = 'x' }\n",
                "mask.toml, line 2, column «a»: alphabet «x» has 1 characters; allowed are digits",
            ),
            ("[columns]\na = { method = 'token', typ = 'x' }\n", "unknown field `typ`, expected one of `domain`"),
            (
                "[columns]\na = { method = 'token', type = 'float' }\n",
                "type «float» is not allowed; allowed are text, integer, number, decimal(P,S)",
            ),
            (
                "[columns]\na = { method = 'hash', length = 8 }\n",
                "length «8» is not allowed; allowed are 32 to 64 digits",
            ),
            (
                "[columns]\na = { method = 'text', kinds = ['mail'] }\n",
                "kinds: «mail» is not allowed; allowed are email, card, korean-id",
            ),
            ("[columns]\na = { method = 'keep', x = 1 }\n", "unknown field `x`"),
            ("[risk]\nquasi_identifiers = []\n", "mask.toml: risk.quasi_identifiers is empty"),
            ("[columns]\na = 'keep'\na = 'drop'\n", "mask.toml, line 3 («a = 'drop'»): duplicate key"),
        ];
        for (text, expected) in cases {
            let said = said(text);
            assert!(said.contains(expected), "{text}: {said}");
        }
    }

    #[test]
    fn columns_of_policy_and_table_must_be_the_same() {
        let policy =
            Policy::parse("[columns]\na = 'keep'\nb = 'drop'\n[risk]\nquasi_identifiers = ['c']\n", "m").unwrap();
        let said = |names: &[&str], is_inverse| policy.check_columns(names, is_inverse).err().map(|e| e.to_string());
        assert_eq!(said(&["a", "c"], false).as_deref(), Some("m, line 3: no column «b» in the table; there are a, c"));
        assert_eq!(said(&["a", "b"], false).as_deref(), Some("m, risk: no column «c» in the table; there are a, b"));
        let unnamed = said(&["a", "b", "c", "d"], false).unwrap();
        assert!(unnamed.starts_with("m: no method for «c», «d»; name them, or say"), "{unnamed}");
        assert_eq!(said(&["a"], true), None);
    }

    #[test]
    fn a_wrong_key_is_noticed() {
        let (right, wrong) = (Key::random().unwrap(), Key::random().unwrap());
        let policy = |first: &str| Policy::parse(&format!("{first}\n[columns]\na = 'hash'\n"), "m").unwrap();
        let checked = policy(&format!("key_check = '{}'", right.check()));
        assert!(checked.needs_key() && checked.check_key(&right, "k", false).is_ok());
        let said = checked.check_key(&wrong, "k", true).unwrap_err().to_string();
        let (is, expected) = (wrong.check(), right.check());
        assert_eq!(said, format!("k is not the key of m: its check is «{is}», and key_check is «{expected}»"));
        let unchecked = policy("");
        let said = unchecked.check_key(&wrong, "k", false).unwrap_err().to_string();
        assert!(said.contains(&format!("key_check = \"{is}\"")), "{said}");
        let said = unchecked.check_key(&wrong, "k", true).unwrap_err().to_string();
        assert!(said.contains("take the policy that the table was masked with") && !said.contains(&is), "{said}");
    }
}
