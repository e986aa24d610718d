//! What a training run is told, whether by a project file or by flags on the command line.

use super::definition::Window;
use super::images::ImageColumns;
use crate::search::Limit;
use crate::segment::{DEFAULT_CLUSTERS, MAX_CLUSTERS};
use serde::{Deserialize, Serialize};
use statera_core::{Error, Kind, Result, Role};
use statera_data::network::Network;
use statera_data::window::Windows;
use statera_data::{ColumnInfo, Table};
use std::collections::{BTreeMap, HashMap};

/// How carefully a column's cells must be treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sensitivity {
    /// May be shown to anyone.
    Public,
    /// Stays inside the bank.
    Internal,
    /// About a person: shown only to those who decide about that person.
    Personal,
    /// Health, origin, belief and the like (article 9 of the GDPR): refused as a feature.
    Special,
}

/// Which candidate is used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Prefer {
    /// The best cross-fitted metric.
    #[default]
    Best,
    /// The simplest within one standard error of the paired difference.
    Simple,
    /// The ensemble, where one was built; else the best.
    Ensemble,
}

/// How unequal treatment of protected groups is mitigated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mitigation {
    /// Rows are weighed so that group and outcome are independent
    /// ([`statera_core::fairness::reweighing`]).
    Reweighing,
}

/// How the outcomes of declined applications are inferred (see [`crate::reject`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RejectInference {
    /// In each band of the score as many are bad, drawn by the seed, as among the accepted, times the factor.
    Parcelling,
    /// Each enters twice, as bad with its probability times the factor as weight, as good with the rest.
    Fuzzy,
}

/// Largest factor of [`Settings::reject_factor`].
pub const MAX_REJECT_FACTOR: f64 = 20.0;

/// What is to be found in a table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UseCase {
    /// The outcome in any table.
    #[default]
    Table,
    /// Loans that go bad: so far the same as a table.
    Credit,
    /// Transactions that are not their card holder's.
    Fraud,
    /// Groups of rows that are alike; there is no outcome.
    Segment,
}

/// Everything `train` is told besides the table. Checked once, by [`Settings::check`]; nothing re-validates afterwards.
///
/// A column has one role. Columns without a role are features; the `amount` column is a feature too unless `drop` also
/// names it, because the money asked for is known when the decision is made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// What is to be found.
    pub use_case: UseCase,
    /// The column that is predicted; empty for segments.
    pub target: String,
    /// Least and most clusters that segments are searched among; `None`: 2 to 8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clusters: Option<[usize; 2]>,
    /// The value of a two-valued target that is the event (bad, fraud); `None`: 1, or the only sensible reading.
    pub positive: Option<String>,
    /// Names the row in outputs; never a feature.
    pub id: Option<String>,
    /// When the row was observed; makes splits out-of-time.
    pub time: Option<String>,
    /// Rows of one group stay on one side of every split.
    pub group: Option<String>,
    /// How much a row counts, non-negative.
    pub weight: Option<String>,
    /// Money at stake in the row, for figures in money.
    pub amount: Option<String>,
    /// The card or account that a transaction is of: what alerts are of, and never a feature. Unlike a group, its rows may train
    /// and judge.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub card: Option<String>,
    /// Where a transaction is made (terminal, merchant, payee): what windows are counted by, and never a feature.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub terminal: Option<String>,
    /// Cards that can be reviewed a day, at least 1. With `card` it sets the cut-off where nothing else does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capacity: Option<usize>,
    /// Money that a review costs, 0 or more; with a capacity only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub review_cost: Option<f64>,
    /// The bank's present score, to compare with; never a feature.
    pub baseline: Option<String>,
    /// Known for fairness figures, never features.
    pub protected: Vec<String>,
    /// Not used.
    pub drop: Vec<String>,
    /// Kinds set by the user, by column; the others are guessed.
    pub types: BTreeMap<String, Kind>,
    /// Values that stand for something else than an amount (`-1`, `999`), by column.
    pub missing: BTreeMap<String, Vec<String>>,
    /// Required direction of the risk in a number column: 1 rising, -1 falling, 0 free.
    pub monotone: BTreeMap<String, i8>,
    /// Number columns that tell the same at successive times, by the sequence's name: the columns of each step, the
    /// earliest step first. For models that read sequences; to the others they are columns like any.
    pub sequences: BTreeMap<String, Vec<Vec<String>>>,
    /// Neighbours of a node and of each of these, by the name of a sequence whose steps are the nodes of a neighbourhood: itself, its
    /// neighbours, and those of the first, of the second, … . Filled in from the network's declaration.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub fans: BTreeMap<String, [usize; 2]>,
    /// Number columns that are the points of an image, by the image's name; those that a source unpacks from image files are
    /// found without being declared. For models that read images; to the others they are columns like any.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub images: BTreeMap<String, ImageColumns>,
    /// What a column may be used for, by column; a column that is not named may be used for everything.
    pub purposes: BTreeMap<String, Vec<String>>,
    /// How carefully a column must be treated, by column.
    pub sensitivity: BTreeMap<String, Sensitivity>,
    /// Unit of a number column, for reports.
    pub units: BTreeMap<String, String>,
    /// IANA zone of times that name none; `None` is UTC.
    pub tz: Option<String>,
    /// How long after the observation the outcome is known, such as `12 months` or `7 days`: a row trains only for rows
    /// that were observed after that. `None`: at once. Needs `time`.
    pub label_delay: Option<String>,
    /// Share of the rows held back for the final test, 0 to 0.9; the latest ones where `time` is given.
    pub test_share: f64,
    /// Folds of the cross-fitting, 2 to 20.
    pub folds: usize,
    /// Candidates by name; empty: those marked fast. `["all"]`: every one.
    pub models: Vec<String>,
    /// Trials of the search for better settings of the candidates, 1 and above; `None`: no search, unless `budget` says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trials: Option<usize>,
    /// How long the search goes on, such as `10m`; excludes `trials`. A bundle holds the trials that were made instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget: Option<String>,
    /// Fit smaller models that take a moment, to try a project out.
    pub quick: bool,
    /// Which candidate is used.
    pub prefer: Prefer,
    /// Every random draw derives from it.
    pub seed: u64,
    /// Cuts each number at this share from both ends, above 0 and below 0.5; `None`: not at all.
    pub winsorize: Option<f64>,
    /// Probability from which a row is declined, above 0 and below 1; excludes `approval_rate`.
    pub cutoff: Option<f64>,
    /// Share of the rows that is approved, above 0 and below 1; excludes `cutoff`.
    pub approval_rate: Option<f64>,
    /// How unequal treatment of the groups of `protected` is mitigated; `None`: not at all. Each candidate then stands on the
    /// leaderboard twice, and only the mitigated ones can be chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mitigate: Option<Mitigation>,
    /// How the outcomes of declined applications are inferred; `None` where none are given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reject_inference: Option<RejectInference>,
    /// How many times as often as accepted rows of the same score declined ones are assumed bad, above 0 and at most
    /// [`MAX_REJECT_FACTOR`]; `None`: 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reject_factor: Option<f64>,
    /// Features that are counted of the rows of the table itself, by key and over time; their columns are made when the table is
    /// read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub windows: Option<Windows>,
    /// Figures of who has to do with whom, made of a table of edges; their columns are made when the table is read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<Network>,
    /// What the model is for; columns whose purposes do not name it are refused as features.
    pub purpose: String,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            use_case: UseCase::Table,
            target: String::new(),
            clusters: None,
            positive: None,
            id: None,
            time: None,
            group: None,
            weight: None,
            amount: None,
            card: None,
            terminal: None,
            capacity: None,
            review_cost: None,
            baseline: None,
            protected: Vec::new(),
            drop: Vec::new(),
            types: BTreeMap::new(),
            missing: BTreeMap::new(),
            monotone: BTreeMap::new(),
            sequences: BTreeMap::new(),
            fans: BTreeMap::new(),
            images: BTreeMap::new(),
            purposes: BTreeMap::new(),
            sensitivity: BTreeMap::new(),
            units: BTreeMap::new(),
            tz: None,
            label_delay: None,
            test_share: 0.2,
            folds: 5,
            models: Vec::new(),
            trials: None,
            budget: None,
            quick: false,
            prefer: Prefer::Best,
            seed: 1,
            winsorize: None,
            cutoff: None,
            approval_rate: None,
            mitigate: None,
            reject_inference: None,
            reject_factor: None,
            windows: None,
            network: None,
            purpose: "credit".into(),
        }
    }
}

impl Settings {
    /// The columns that have a role, with the setting that gives it; `drop` last.
    fn roles(&self) -> Vec<(&str, &'static str, Role)> {
        let mut roles = Vec::new();
        if !self.target.is_empty() {
            roles.push((self.target.as_str(), "target", Role::Target));
        }
        let single = [
            (&self.id, "id", Role::Id),
            (&self.time, "time", Role::Time),
            (&self.group, "group", Role::Group),
            (&self.weight, "weight", Role::Weight),
            (&self.amount, "amount", Role::Amount),
            (&self.baseline, "baseline", Role::Baseline),
            (&self.card, "card", Role::Group),
            (&self.terminal, "terminal", Role::Group),
        ];
        roles
            .extend(single.into_iter().filter_map(|(column, setting, role)| Some((column.as_deref()?, setting, role))));
        roles.extend(self.protected.iter().map(|c| (c.as_str(), "protected", Role::Protected)));
        roles.extend(self.drop.iter().map(|c| (c.as_str(), "drop", Role::Ignored)));
        roles
    }

    /// The role of a column; [`Role::Feature`] where none was given.
    pub fn role(&self, column: &str) -> Role {
        self.roles().into_iter().find(|(c, _, _)| *c == column).map_or(Role::Feature, |(_, _, role)| role)
    }

    /// True if the model may see the column: no other role (or that of the amount), not dropped, and not declared an
    /// identifier in `types`.
    pub fn is_feature(&self, column: &str) -> bool {
        matches!(self.role(column), Role::Feature | Role::Amount)
            && !self.drop.iter().any(|c| c == column)
            && self.types.get(column) != Some(&Kind::Identifier)
    }

    /// Refuses, by a message that names the setting, the value and what is allowed: numbers out of range, unknown
    /// columns, a column with two roles, an identifier as a feature, a feature whose purpose or sensitivity forbids its
    /// use, a monotone direction of something that is no number.
    pub fn check(&self, table: &Table) -> Result<()> {
        self.check_values()?;
        self.check_columns(table)?;
        for info in &table.columns {
            if self.is_feature(&info.name) {
                self.check_feature(&info.name, *self.types.get(&info.name).unwrap_or(&info.kind))?;
            }
        }
        self.check_sequences(table)?;
        if table.columns.iter().any(|c| self.is_feature(&c.name)) {
            Ok(())
        } else {
            Err(Error::request(format!("{}: no column is left to learn from; every one has a role", table.origin)))
        }
    }

    /// The part of [`Settings::check`] that needs no table: ranges, contradictions, columns with two roles.
    pub fn check_values(&self) -> Result<()> {
        if self.use_case == UseCase::Segment {
            self.check_segment()?;
        } else if self.clusters.is_some() {
            return Err(Error::request("clusters: given without the use case segment, which alone has clusters"));
        } else if self.target.is_empty() {
            return Err(Error::request("target: missing; name the column that is predicted"));
        }
        within("test_share", self.test_share, (0.0..=0.9).contains(&self.test_share), "from 0 to 0.9")?;
        within("folds", self.folds, (2..=20).contains(&self.folds), "from 2 to 20")?;
        if let Some(share) = self.winsorize {
            within("winsorize", share, share > 0.0 && share < 0.5, "above 0 and below 0.5")?;
        }
        if let Some(cutoff) = self.cutoff {
            within("cutoff", cutoff, cutoff > 0.0 && cutoff < 1.0, "above 0 and below 1")?;
        }
        if let Some(rate) = self.approval_rate {
            within("approval_rate", rate, rate > 0.0 && rate < 1.0, "above 0 and below 1")?;
        }
        self.check_alerts()?;
        Limit::of(self)?;
        self.check_variants()?;
        if self.cutoff.is_some() && self.approval_rate.is_some() {
            return Err(Error::request("cutoff and approval_rate are both given; only one can hold"));
        }
        for (column, &direction) in &self.monotone {
            within(
                &format!("monotone of column «{column}»"),
                direction,
                (-1..=1).contains(&direction),
                "1 (rising), -1 (falling) or 0 (free)",
            )?;
        }
        if let Some(delay) = &self.label_delay {
            Window::parse(delay).map_err(|e| e.at("label_delay"))?;
            if self.time.is_none() {
                return Err(Error::request(format!("label_delay: «{delay}» has no meaning without time")));
            }
        }
        if let Some(zone) = &self.tz {
            jiff::tz::TimeZone::get(zone).map_err(|_| {
                Error::request(format!("tz: «{zone}» is no time zone; allowed are IANA names such as Asia/Seoul"))
            })?;
        }
        self.check_roles()
    }

    /// Refuses a capacity without cards and times, and a cost without a capacity.
    fn check_alerts(&self) -> Result<()> {
        if let Some(capacity) = self.capacity {
            within("capacity", capacity, (1..=1_000_000).contains(&capacity), "from 1 to 1000000")?;
            if self.card.is_none() || self.time.is_none() {
                return Err(Error::request(format!(
                    "capacity: {capacity} cards a day have no meaning without card and time"
                )));
            }
        }
        let Some(cost) = self.review_cost else { return Ok(()) };
        within("review_cost", cost, cost >= 0.0 && cost.is_finite(), "0 and above")?;
        match self.capacity {
            None => Err(Error::request(format!("review_cost: {cost} has no meaning without capacity"))),
            Some(_) => Ok(()),
        }
    }

    /// Refuses mitigation and reject inference that contradict each other or have nothing to work on.
    fn check_variants(&self) -> Result<()> {
        if self.mitigate.is_some() && self.protected.is_empty() {
            return Err(Error::request("mitigate: given without protected columns; name them with protected"));
        }
        if self.mitigate.is_some() && self.reject_inference.is_some() {
            return Err(Error::request(
                "mitigate and reject_inference are both given; only one can hold, because inferred outcomes would be \
                 weighed as if they had been observed",
            ));
        }
        let Some(factor) = self.reject_factor else { return Ok(()) };
        if self.reject_inference.is_none() {
            return Err(Error::request(format!("reject_factor: {factor} has no meaning without reject_inference")));
        }
        let holds = factor > 0.0 && factor <= MAX_REJECT_FACTOR;
        within("reject_factor", factor, holds, &format!("above 0 and at most {MAX_REJECT_FACTOR}"))
    }

    /// Fills what windows say of the training: the label's event, and the delay after which a label is known, in whole days.
    pub(super) fn complete_windows(&mut self) {
        let Some(windows) = &mut self.windows else { return };
        if windows.label.as_ref() != Some(&self.target) {
            return;
        }
        if windows.positive.is_none() {
            windows.positive.clone_from(&self.positive);
        }
        if let (None, Some(delay), Some(_)) = (&self.label_delay, windows.label_delay, &self.time) {
            self.label_delay = Some(format!("{} days", (delay.micros() + 86_399_999_999) / 86_400_000_000));
        }
    }

    /// Fills what a network's figures take from the training: the value of the label that is the event.
    pub(super) fn complete_network(&mut self) {
        if let Some(network) = &mut self.network
            && network.label.as_ref() == Some(&self.target)
            && network.positive.is_none()
        {
            network.positive.clone_from(&self.positive);
        }
    }

    /// Refuses what has a meaning with an outcome only.
    fn check_segment(&self) -> Result<()> {
        if !self.target.is_empty() {
            let target = &self.target;
            return Err(Error::request(format!(
                "target: «{target}» is given, and segments have no outcome; leave it out, or out of the segments too with \
                 --drop {target}"
            )));
        }
        let given = [
            ("positive", self.positive.is_some()),
            ("baseline", self.baseline.is_some()),
            ("label_delay", self.label_delay.is_some()),
            ("card", self.card.is_some()),
            ("monotone", !self.monotone.is_empty()),
            ("cutoff", self.cutoff.is_some()),
            ("approval_rate", self.approval_rate.is_some()),
            ("mitigate", self.mitigate.is_some()),
            ("reject_inference", self.reject_inference.is_some()),
            ("trials", self.trials.is_some()),
            ("budget", self.budget.is_some()),
        ];
        if let Some((setting, _)) = given.into_iter().find(|(_, given)| *given) {
            return Err(Error::request(format!("{setting}: segments have no outcome; leave it out")));
        }
        let [low, high] = self.clusters.unwrap_or(DEFAULT_CLUSTERS);
        let holds = 1 <= low && low <= high && high <= MAX_CLUSTERS;
        within("clusters", format!("{low}..{high}"), holds, &format!("a range within 1..{MAX_CLUSTERS}"))
    }

    fn check_roles(&self) -> Result<()> {
        let roles = self.roles();
        for (i, (column, setting, _)) in roles.iter().enumerate() {
            let Some((_, other, _)) = roles[..i].iter().find(|(c, _, _)| c == column) else { continue };
            // An amount that is dropped still counts the money; it only is no feature.
            if (*other, *setting) == ("amount", "drop") {
                continue;
            }
            return Err(Error::request(if other == setting {
                format!("{setting}: column «{column}» is named twice")
            } else {
                format!("column «{column}» has two roles, {other} and {setting}; a column has one")
            }));
        }
        Ok(())
    }

    fn check_columns(&self, table: &Table) -> Result<()> {
        for (column, setting, _) in self.roles() {
            table.column(column).map_err(|e| e.at(setting))?;
        }
        let named = [
            ("types", self.types.keys().collect::<Vec<_>>()),
            ("missing", self.missing.keys().collect()),
            ("monotone", self.monotone.keys().collect()),
            ("purposes", self.purposes.keys().collect()),
            ("sensitivity", self.sensitivity.keys().collect()),
            ("units", self.units.keys().collect()),
        ];
        for (setting, columns) in named {
            for column in columns {
                table.column(column).map_err(|e| e.at(setting))?;
            }
        }
        let time = self.time.as_deref().and_then(|name| table.columns.iter().find(|c| c.name == name));
        match time {
            Some(column) if column.kind != Kind::Time => Err(Error::request(format!(
                "time: column «{}» is of kind {}; allowed is kind time (--types {}=time reads text as times)",
                column.name,
                column.kind.name(),
                column.name
            ))),
            _ => Ok(()),
        }
    }

    fn check_sequences(&self, table: &Table) -> Result<()> {
        let features: Vec<&str> =
            table.columns.iter().map(|c| c.name.as_str()).filter(|name| self.is_feature(name)).collect();
        let infos: HashMap<&str, &ColumnInfo> = table.columns.iter().map(|c| (c.name.as_str(), c)).collect();
        let sequences = self.sequences_among(&features)?;
        for (name, steps) in &sequences.steps {
            let what = if sequences.grids.contains_key(name) { "image" } else { "sequence" };
            let wrong = |problem: String| Err(Error::request(format!("{what} «{name}»: {problem}")));
            if steps.len() < 2 {
                return wrong(format!("{} steps; at least 2 are needed", steps.len()));
            }
            if let Some(step) = steps.iter().position(|s| s.is_empty() || s.len() != steps[0].len()) {
                let (n, first) = (steps[step].len(), steps[0].len());
                return wrong(format!("step {} has {n} columns, step 1 has {first}; all need as many", step + 1));
            }
            let mut seen = std::collections::BTreeSet::new();
            for column in steps.iter().flatten() {
                if !seen.insert(column) {
                    return wrong(format!("column «{column}» is named twice"));
                }
                let Some(info) = infos.get(column.as_str()) else { return wrong(format!("no column «{column}»")) };
                let kind = *self.types.get(column).unwrap_or(&info.kind);
                if kind != Kind::Number || !self.is_feature(column) {
                    return wrong(format!("column «{column}» is not a number feature; only those can be steps"));
                }
            }
        }
        Ok(())
    }

    fn check_feature(&self, column: &str, kind: Kind) -> Result<()> {
        if kind == Kind::Identifier {
            return Err(Error::request(format!(
                "column «{column}» is an identifier and cannot be a feature; give it a role (id, group), drop it, or set \
                 its type to number or category if it is none"
            )));
        }
        if let Some(purposes) = self.purposes.get(column)
            && !purposes.contains(&self.purpose)
        {
            let allowed = if purposes.is_empty() { "nothing".to_string() } else { purposes.join(", ") };
            return Err(Error::request(format!(
                "column «{column}» may be used for {allowed}, not for {}; drop it",
                self.purpose
            )));
        }
        if self.sensitivity.get(column) == Some(&Sensitivity::Special) {
            return Err(Error::request(format!(
                "column «{column}» has sensitivity special and cannot be a feature; drop it or make it protected"
            )));
        }
        match self.monotone.get(column) {
            Some(&direction) if direction != 0 && kind != Kind::Number => Err(Error::request(format!(
                "monotone: column «{column}» is of kind {}; only a number can have a direction",
                kind.name()
            ))),
            _ => Ok(()),
        }
    }
}

/// An error naming the setting, its value and what is allowed, unless `holds`.
fn within(setting: &str, value: impl std::fmt::Display, holds: bool, allowed: &str) -> Result<()> {
    if holds { Ok(()) } else { Err(Error::request(format!("{setting}: {value} is not allowed; allowed is {allowed}"))) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use statera_data::ColumnInfo;

    fn table() -> Table {
        let kinds = [
            ("key", Kind::Identifier),
            ("day", Kind::Time),
            ("income", Kind::Number),
            ("region", Kind::Category),
            ("sex", Kind::Category),
            ("bad", Kind::Number),
        ];
        let columns = kinds.iter().map(|(name, kind)| ColumnInfo { name: (*name).into(), kind: *kind }).collect();
        Table { columns, batches: Vec::new(), origin: "loans.csv".into() }
    }

    fn good() -> Settings {
        Settings {
            target: "bad".into(),
            id: Some("key".into()),
            time: Some("day".into()),
            protected: vec!["sex".into()],
            ..Settings::default()
        }
    }

    /// Ends a closure that only changes something.
    fn set<T>(_: T) {}

    fn check(change: impl Fn(&mut Settings), message: &str) {
        let mut settings = good();
        change(&mut settings);
        match settings.check(&table()) {
            Ok(()) => panic!("accepted; expected: {message}"),
            Err(e) => assert!(e.is_request() && e.to_string().contains(message), "«{e}» does not contain «{message}»"),
        }
    }

    #[test]
    fn good_settings_pass_and_tell_roles() {
        let settings = good();
        settings.check(&table()).unwrap();
        assert_eq!(settings.role("bad"), Role::Target);
        assert_eq!(settings.role("sex"), Role::Protected);
        assert_eq!(settings.role("income"), Role::Feature);
        let features: Vec<String> =
            table().columns.into_iter().map(|c| c.name).filter(|c| settings.is_feature(c)).collect();
        assert_eq!(features, ["income", "region"]);
    }

    #[test]
    fn amount_is_a_feature_unless_dropped() {
        let mut settings = good();
        settings.amount = Some("income".into());
        assert!(settings.is_feature("income"));
        settings.drop = vec!["income".into()];
        settings.check(&table()).unwrap();
        assert!(!settings.is_feature("income"));
        assert_eq!(settings.role("income"), Role::Amount);
    }

    #[test]
    fn refuses_by_message() {
        check(|s| s.target = String::new(), "target: missing");
        check(|s| s.target = "worse".into(), "target: loans.csv: no column «worse»; there are key, day, income");
        check(|s| s.drop = vec!["sex".into()], "column «sex» has two roles, protected and drop");
        check(|s| s.drop = vec!["region".into(), "region".into()], "drop: column «region» is named twice");
        check(|s| s.group = Some("key".into()), "column «key» has two roles, id and group");
        check(|s| s.id = None, "column «key» is an identifier and cannot be a feature");
        check(|s| s.time = Some("income".into()), "time: column «income» is of kind number; allowed is kind time");
        check(|s| s.test_share = 1.0, "test_share: 1 is not allowed; allowed is from 0 to 0.9");
        check(|s| s.test_share = f64::NAN, "test_share: NaN is not allowed");
        let sequence = |columns: &[&[&str]], message| {
            let steps: Vec<Vec<String>> = columns.iter().map(|s| s.iter().map(ToString::to_string).collect()).collect();
            check(|s| set(s.sequences.insert("bills".into(), steps.clone())), message);
        };
        sequence(&[&["income"]], "sequence «bills»: 1 steps; at least 2 are needed");
        sequence(&[&["income"], &[]], "sequence «bills»: step 2 has 0 columns, step 1 has 1; all need as many");
        sequence(&[&["income"], &["income"]], "sequence «bills»: column «income» is named twice");
        sequence(&[&["income"], &["incom"]], "sequence «bills»: no column «incom»");
        sequence(&[&["income"], &["region"]], "column «region» is not a number feature; only those can be steps");
        check(
            |s| s.label_delay = Some("12".into()),
            "label_delay: «12», at the end: something is missing; allowed is days, or at most",
        );
        check(|s| s.label_delay = Some("12 weeks".into()), "«weeks» is not allowed; allowed is days, or at most 1200");
        check(|s| (s.label_delay, s.time) = (Some("7 days".into()), None), "«7 days» has no meaning without time");
        check(|s| s.folds = 1, "folds: 1 is not allowed; allowed is from 2 to 20");
        check(|s| s.winsorize = Some(0.5), "winsorize: 0.5 is not allowed; allowed is above 0 and below 0.5");
        check(|s| s.cutoff = Some(0.0), "cutoff: 0 is not allowed");
        check(
            |s| {
                s.cutoff = Some(0.1);
                s.approval_rate = Some(0.9);
            },
            "cutoff and approval_rate are both given",
        );
        let mitigated = |s: &mut Settings| s.mitigate = Some(Mitigation::Reweighing);
        check(
            |s| {
                mitigated(s);
                s.protected.clear();
            },
            "mitigate: given without protected columns; name them with protected",
        );
        check(
            |s| {
                mitigated(s);
                s.reject_inference = Some(RejectInference::Fuzzy);
            },
            "mitigate and reject_inference are both given; only one can hold",
        );
        check(|s| s.reject_factor = Some(2.0), "reject_factor: 2 has no meaning without reject_inference");
        check(
            |s| (s.reject_inference, s.reject_factor) = (Some(RejectInference::Parcelling), Some(21.0)),
            "reject_factor: 21 is not allowed; allowed is above 0 and at most 20",
        );
        check(|s| s.tz = Some("Asia/Soul".into()), "tz: «Asia/Soul» is no time zone");
        check(|s| set(s.monotone.insert("income".into(), 2)), "monotone of column «income»: 2 is not allowed");
        check(|s| set(s.monotone.insert("region".into(), 1)), "column «region» is of kind category; only a number");
        check(|s| set(s.types.insert("reg".into(), Kind::Text)), "types: loans.csv: no column «reg»");
        check(
            |s| set(s.purposes.insert("income".into(), vec!["marketing".into()])),
            "column «income» may be used for marketing, not for credit",
        );
        check(
            |s| set(s.sensitivity.insert("region".into(), Sensitivity::Special)),
            "column «region» has sensitivity special",
        );
        check(|s| s.drop = vec!["income".into(), "region".into()], "no column is left to learn from");
    }

    #[test]
    fn a_declared_identifier_is_no_feature_and_no_error() {
        let mut settings = good();
        settings.id = None;
        settings.types.insert("key".into(), Kind::Identifier);
        settings.check(&table()).unwrap();
        assert!(!settings.is_feature("key"));
    }

    #[test]
    fn unknown_settings_are_refused() {
        let text = "target = \"bad\"\ntest_shar = 0.1\n";
        let error = toml::from_str::<Settings>(text).unwrap_err().to_string();
        assert!(error.contains("unknown field `test_shar`"), "{error}");
        let settings: Settings = toml::from_str("target = \"bad\"\n[types]\nincome = \"category\"\n").unwrap();
        assert_eq!(settings.types["income"], Kind::Category);
        assert_eq!(settings.folds, 5);
    }
}
