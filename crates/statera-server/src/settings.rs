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
use statera_data::toml_text;
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
        let settings: Settings = toml_text::read(&text, &path.display().to_string())?;
        settings.check().map_err(|e| e.at(path.display()))?;
        Ok(settings)
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    /// As [`Settings::read`].
    pub fn parse(text: &str) -> Result<Settings> {
        let settings: Settings = toml_text::read(text, "settings")?;
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
        self.check_labels()?;
        self.monitoring.check()?;
        self.alerts.check()?;
        self.retention.check()
    }

    /// Refuses lists of outcomes of which none may be reported, as misspelt ones: nothing would ever say fraud, or genuine. Lists that
    /// were not touched are no mistake of a bank that has other outcomes and no transactions.
    fn check_labels(&self) -> Result<()> {
        let (transactions, default) = (&self.transactions, TransactionsSettings::default());
        let lists =
            [("fraud", &transactions.fraud, &default.fraud), ("genuine", &transactions.genuine, &default.genuine)];
        let known = &self.decisions.outcomes;
        for (name, list, default) in lists {
            if let (Some(first), true) = (list.first(), list != default && list.is_disjoint(known)) {
                let known = known.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
                return Err(Error::request(format!(
                    "transactions.{name}: «{first}» is none of decisions.outcomes; allowed is one of them at least: {known}"
                )));
            }
        }
        Ok(())
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
    fn what_a_file_has_is_told_by_its_name_and_line() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("server.toml");
        let told = |text: &str| {
            std::fs::write(&file, text).expect("written");
            let told = Settings::read(&file).expect_err("refused").to_string();
            told.replace(&file.display().to_string(), "server.toml")
        };
        assert_eq!(
            told("[alerts]\ncapacity = -1\n"),
            "server.toml, line 2 («capacity = -1»): invalid value: integer `-1`, expected a whole number of 0 to 4294967295"
        );
        assert_eq!(told("[flow]\nin_flight = 0\n"), "server.toml: flow.in_flight is 0; allowed is 3 to 100000");
    }

    #[test]
    fn labels_are_outcomes_that_may_be_reported() {
        let told = Settings::parse("[transactions]\nfraud = [\"frod\"]\n").expect_err("refused").to_string();
        assert_eq!(
            told,
            "transactions.fraud: «frod» is none of decisions.outcomes; allowed is one of them at least: cancelled, defaulted, \
             fraud, genuine, late, paid"
        );
        for allowed in [
            "[decisions]\noutcomes = [\"paid\", \"defaulted\"]\n",
            "[transactions]\nfraud = [\"fraud\", \"stolen\"]\ngenuine = []\n",
            "[decisions]\noutcomes = [\"paid\", \"stolen\", \"fine\"]\n[transactions]\nfraud = [\"stolen\"]\ngenuine = [\"fine\"]\n",
        ] {
            assert_eq!(Settings::parse(allowed).map(drop), Ok(()), "{allowed}");
        }
    }

    #[test]
    fn nothing_said_is_the_default() {
        assert_eq!(Settings::parse(""), Ok(Settings::default()));
    }
}
