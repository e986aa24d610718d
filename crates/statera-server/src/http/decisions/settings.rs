//! `[decisions]` of `server.toml`.

use serde::{Deserialize, Serialize};
use statera_core::{Error, Result};
use statera_store::people::Role;
use std::collections::{BTreeMap, BTreeSet};

/// Overrides and outcomes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DecisionsSettings {
    /// Reasons that an override may give.
    pub override_reasons: Vec<OverrideReason>,
    /// Who may override what; nobody else may.
    pub authority: Vec<Authority>,
    /// The column that holds the amount of a decision, by model; limits of authority are compared with it.
    pub amount_columns: BTreeMap<String, String>,
    /// What may become of a decision.
    pub outcomes: BTreeSet<String>,
}

/// A coded reason of an override.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OverrideReason {
    /// What requests and the ledger say.
    pub code: String,
    /// What people read.
    pub text: String,
}

/// An authority limit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Authority {
    /// Whose.
    pub role: Role,
    /// Up to this amount; none: any amount, also one that is not known.
    #[serde(default)]
    pub up_to: Option<f64>,
}

impl Default for DecisionsSettings {
    fn default() -> DecisionsSettings {
        let reason = |code: &str, text: &str| OverrideReason { code: code.into(), text: text.into() };
        DecisionsSettings {
            override_reasons: vec![
                reason("data_error", "the data that were scored were wrong or out of date"),
                reason("new_information", "something is known that the model does not see"),
                reason("mitigation", "collateral, a guarantor or an income makes up for the risk"),
                reason("policy_exception", "an exception that the lending policy allows"),
                reason("fraud_suspected", "signs of fraud that the model does not see"),
            ],
            authority: vec![Authority { role: Role::Checker, up_to: None }],
            amount_columns: BTreeMap::new(),
            outcomes: ["paid", "late", "defaulted", "fraud", "cancelled"].map(String::from).into(),
        }
    }
}

/// Most entries of a list, and most characters of a code: they are labels of metrics.
const MAX_ENTRIES: usize = 100;
const MAX_CODE_CHARS: usize = 64;

impl DecisionsSettings {
    /// What each field is for, as `server.toml` says it.
    pub const ABOUT: &[(&str, &str)] = &[
        ("override_reasons", "Reasons that an override may give"),
        ("authority", "Who may override what: a role, and up to which amount; nobody else may"),
        ("amount_columns", "The column that holds the amount, by model: authority is compared with it"),
        ("outcomes", "What may become of a decision"),
    ];

    /// Refuses what cannot be meant.
    ///
    /// # Errors
    /// The first entry that is too long, empty or there twice; limits that are no amounts.
    pub fn check(&self) -> Result<()> {
        let codes: Vec<&str> = self.override_reasons.iter().map(|r| r.code.as_str()).collect();
        let outcomes: Vec<&str> = self.outcomes.iter().map(String::as_str).collect();
        for (field, all) in [("override_reasons", codes), ("outcomes", outcomes)] {
            if all.len() > MAX_ENTRIES {
                let n = all.len();
                return Err(Error::request(format!("decisions.{field} has {n} entries; allowed is {MAX_ENTRIES}")));
            }
            for (i, code) in all.iter().enumerate() {
                if code.is_empty() || code.chars().count() > MAX_CODE_CHARS || all[..i].contains(code) {
                    return Err(Error::request(format!(
                        "decisions.{field}: «{}»; allowed are 1 to {MAX_CODE_CHARS} characters, each code once",
                        cut(code)
                    )));
                }
            }
        }
        match self.authority.iter().filter_map(|a| a.up_to).find(|limit| !limit.is_finite() || *limit < 0.0) {
            None => Ok(()),
            Some(limit) => Err(Error::request(format!("decisions.authority: up_to is {limit}; allowed is 0 or more"))),
        }
    }

    /// The reason of a code.
    ///
    /// # Errors
    /// A code that is not listed.
    pub fn reason(&self, code: &str) -> Result<&OverrideReason> {
        self.override_reasons.iter().find(|r| r.code == code).ok_or_else(|| {
            let known: Vec<&str> = self.override_reasons.iter().map(|r| r.code.as_str()).collect();
            Error::request(format!("reason «{}» is not known; allowed: {}", cut(code), known.join(", ")))
        })
    }

    /// Refuses an override beyond every authority of the roles.
    ///
    /// # Errors
    /// `Denied`, with the amount and the highest limit.
    pub fn allow_override(&self, roles: &BTreeSet<Role>, amount: Option<f64>) -> Result<()> {
        let own: Vec<&Authority> = self.authority.iter().filter(|a| roles.contains(&a.role)).collect();
        if own.is_empty() {
            return Err(Error::denied("none of your roles has the authority to override decisions"));
        }
        if own.iter().any(|a| a.up_to.is_none_or(|limit| amount.is_some_and(|amount| amount <= limit))) {
            return Ok(());
        }
        let limit = own.iter().filter_map(|a| a.up_to).fold(f64::NEG_INFINITY, f64::max);
        Err(Error::denied(match amount {
            Some(amount) => format!("the amount is {amount}; your authority ends at {limit}"),
            None => format!("the amount is not known, and your authority ends at {limit}"),
        }))
    }

    /// Refuses an outcome that is not listed.
    ///
    /// # Errors
    /// With what is allowed.
    pub fn check_outcome(&self, outcome: &str) -> Result<()> {
        if self.outcomes.contains(outcome) {
            return Ok(());
        }
        let known: Vec<&str> = self.outcomes.iter().map(String::as_str).collect();
        Err(Error::request(format!("outcome «{}» is not known; allowed: {}", cut(outcome), known.join(", "))))
    }
}

fn cut(text: &str) -> String {
    text.chars().take(64).collect()
}
