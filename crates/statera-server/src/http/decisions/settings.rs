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
            outcomes: ["paid", "late", "defaulted", "fraud", "genuine", "cancelled"].map(String::from).into(),
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

    /// Refuses an override beyond every authority of the roles. An amount below 0 is within no limit: a sign that was lost on
    /// the way of the data would otherwise lift every one.
    ///
    /// # Errors
    /// `Denied`, with the amount and the highest limit.
    pub fn allow_override(&self, roles: &BTreeSet<Role>, amount: Option<f64>) -> Result<()> {
        let own: Vec<&Authority> = self.authority.iter().filter(|a| roles.contains(&a.role)).collect();
        if own.is_empty() {
            return Err(Error::denied("none of your roles has the authority to override decisions"));
        }
        let is_within = |limit: f64| amount.is_some_and(|amount| (0.0..=limit).contains(&amount));
        if own.iter().any(|a| a.up_to.is_none_or(is_within)) {
            return Ok(());
        }
        let limit = own.iter().filter_map(|a| a.up_to).fold(f64::NEG_INFINITY, f64::max);
        Err(Error::denied(match amount {
            Some(amount) if amount < 0.0 => {
                format!(
                    "the amount is {amount}; your authority is from 0 to {limit}, and no limit holds for less than 0"
                )
            }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authority_is_from_nothing_to_its_limit() {
        let limited = DecisionsSettings {
            authority: vec![Authority { role: Role::Checker, up_to: Some(1_000.0) }],
            ..DecisionsSettings::default()
        };
        let allowed = |settings: &DecisionsSettings, amount| {
            settings.allow_override(&[Role::Checker].into(), amount).map_err(|e| e.to_string())
        };
        for (amount, why) in [
            (Some(0.0), None),
            (Some(1_000.0), None),
            (Some(1_000.5), Some("the amount is 1000.5; your authority ends at 1000")),
            (
                Some(-5.0),
                Some("the amount is -5; your authority is from 0 to 1000, and no limit holds for less than 0"),
            ),
            (None, Some("the amount is not known, and your authority ends at 1000")),
        ] {
            assert_eq!(allowed(&limited, amount).err().as_deref(), why, "{amount:?}");
            assert_eq!(allowed(&DecisionsSettings::default(), amount), Ok(()), "without a limit any amount");
        }
        let negative = DecisionsSettings {
            authority: vec![Authority { role: Role::Checker, up_to: Some(-1.0) }],
            ..DecisionsSettings::default()
        };
        let told = negative.check().expect_err("refused").to_string();
        assert_eq!(told, "decisions.authority: up_to is -1; allowed is 0 or more");
    }
}
