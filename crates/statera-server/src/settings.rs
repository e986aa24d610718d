//! `server.toml`: each area has its own table, defined beside its code.

use crate::compute::ComputeSettings;
use crate::flow::FlowSettings;
use crate::http::alerts::AlertsSettings;
use crate::http::decisions::DecisionsSettings;
use crate::http::monitoring::MonitoringSettings;
use crate::live::TransactionsSettings;
use crate::log::LogSettings;
use crate::models::ModelsSettings;
use crate::objects::BundlesSettings;
use crate::retention::RetentionSettings;
use crate::serve::ServeSettings;
use crate::who::WhoSettings;
use serde::{Deserialize, Serialize};
use statera_core::{Error, Result};
use std::fmt::Write;
use std::path::Path;

/// Everything that can be configured; every field has a default that works.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Where the server listens, and how it treats connections.
    pub serve: ServeSettings,
    /// What is logged.
    pub log: LogSettings,
    /// Limits and targets.
    pub flow: FlowSettings,
    /// People, keys, sessions, directories.
    pub who: WhoSettings,
    /// Loading and challengers.
    pub models: ModelsSettings,
    /// An object store that several servers share.
    pub bundles: BundlesSettings,
    /// The pool that scores.
    pub compute: ComputeSettings,
    /// Overrides and outcomes.
    pub decisions: DecisionsSettings,
    /// Transactions that are scored as they happen.
    pub transactions: TransactionsSettings,
    /// What becomes of decisions.
    pub monitoring: MonitoringSettings,
    /// Transactions that people look at.
    pub alerts: AlertsSettings,
    /// How long decisions can be read.
    pub retention: RetentionSettings,
}

/// An area of the file: its table, what it is about, and what each of its fields is for, in the order in which they are shown.
type Area = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

const AREAS: &[Area] = &[
    ("serve", "Where the server listens, and how it treats connections", ServeSettings::ABOUT),
    ("log", "What is logged: never bodies, queries, names or addresses", LogSettings::ABOUT),
    ("flow", "Flow control: how many requests are let in, whose first", FlowSettings::ABOUT),
    ("who", "People, keys, sessions, directories, TLS", WhoSettings::ABOUT),
    ("models", "How models are loaded", ModelsSettings::ABOUT),
    (
        "bundles",
        "An object store of bundles, where servers with folders of their own share them",
        BundlesSettings::ABOUT,
    ),
    ("compute", "The pool that scores", ComputeSettings::ABOUT),
    ("decisions", "Overrides and outcomes", DecisionsSettings::ABOUT),
    (
        "transactions",
        "Transactions that are scored as they happen, of models with windows",
        TransactionsSettings::ABOUT,
    ),
    ("monitoring", "What becomes of decisions, and when it is flagged", MonitoringSettings::ABOUT),
    ("alerts", "Which transactions people look at, and how many they can", AlertsSettings::ABOUT),
    ("retention", "How long what is personal in decisions can be read", RetentionSettings::ABOUT),
];

const HEAD: &str =
    "# Settings of `statera serve --settings server.toml`. Every line may be left out; then what stands here counts.\n";

impl Settings {
    /// Reads a file.
    ///
    /// # Errors
    /// A file that cannot be read; a key that does not exist (with those that do); a value that cannot be meant.
    pub fn read(path: &Path) -> Result<Settings> {
        let text = std::fs::read_to_string(path).map_err(|e| Error::request(format!("{}: {e}", path.display())))?;
        Settings::parse(&text).map_err(|e| e.at(path.display()))
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    /// As [`Settings::read`].
    pub fn parse(text: &str) -> Result<Settings> {
        let settings: Settings =
            toml::from_str(text).map_err(|e| Error::request(e.to_string().trim_end().to_string()))?;
        settings.check()?;
        Ok(settings)
    }

    /// Refuses what cannot be meant, as far as it can be told without the machine.
    ///
    /// # Errors
    /// The first field that is out of its range, with the range.
    pub fn check(&self) -> Result<()> {
        self.serve.check()?;
        self.log.check()?;
        self.who.check()?;
        self.flow.check()?;
        self.models.check()?;
        self.bundles.check()?;
        self.compute.check()?;
        self.decisions.check()?;
        self.transactions.check()?;
        self.monitoring.check()?;
        self.alerts.check()?;
        self.retention.check()
    }

    /// The whole file with these values and a remark on each; [`Settings::parse`] gives the same settings again.
    ///
    /// # Errors
    /// None that a user could cause.
    pub fn commented(&self) -> Result<String> {
        let all = toml::Table::try_from(self).map_err(|e| Error::request(format!("settings: {e}")))?;
        let mut text = String::from(HEAD);
        for (area, about, fields) in AREAS {
            let _ = write!(text, "\n# {about}.\n[{area}]\n");
            let values = all.get(*area).and_then(toml::Value::as_table);
            for (field, about) in *fields {
                let _ = match values.and_then(|values| values.get(*field)) {
                    Some(value) => writeln!(text, "{:<36} # {about}", format!("{field} = {value}")),
                    // What has no default is shown as it could be written.
                    None => writeln!(text, "# {field} = …  {about}"),
                };
            }
        }
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commented_file_says_everything_and_reads_back() {
        let mut settings = Settings::default();
        assert_eq!(Settings::parse(&settings.commented().expect("text")), Ok(settings.clone()));
        settings.flow.rate_per_second = 1_000;
        settings.serve.listen = "0.0.0.0:443".into();
        let text = settings.commented().expect("text");
        assert_eq!(Settings::parse(&text), Ok(settings.clone()));
        let all = toml::Table::try_from(&settings).expect("a table");
        assert_eq!(all.len(), AREAS.len());
        for (area, _, fields) in AREAS {
            for field in all[*area].as_table().expect("a table").keys() {
                assert!(fields.iter().any(|(name, _)| name == field), "{area}.{field} has no remark");
            }
        }
    }

    #[test]
    fn a_key_that_does_not_exist_is_told_with_those_that_do() {
        let told = Settings::parse("[flow]\nrate = 5\n").expect_err("refused");
        assert!(told.is_request());
        let told = told.to_string();
        for word in ["line 2", "unknown field `rate`", "`rate_per_second`"] {
            assert!(told.contains(word), "«{word}» is not in: {told}");
        }
        let told = Settings::parse("[flow]\nin_flight = 0\n").expect_err("refused").to_string();
        assert_eq!(told, "flow.in_flight is 0; allowed is 3 to 100000");
    }

    #[test]
    fn nothing_said_is_the_default() {
        assert_eq!(Settings::parse(""), Ok(Settings::default()));
    }
}
