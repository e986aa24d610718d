//! The project file: what a training run is made of, kept under version control. Its schema is documented in
//! `docs/project-file.md`; `statera init` writes one with every key explained.
//!
//! It is read in three steps: [`Project::parse`] reads and checks it, [`Project::assemble`] reads the sources and makes
//! one flat table of them, and [`Settings::check`] compares the settings with that table. Nothing is checked twice.
//!
//! Time never leaks: a join as of a date takes rows dated at or before the observation date minus the lag, and the outcome
//! is computed from rows dated after it.

mod assemble;
mod definition;
mod file;
mod images;
mod link;
mod rule;
mod settings;
mod template;
mod token;

pub use assemble::{Assembled, JoinCount, Step};
pub use definition::{Clause, Definition, Function, Value, Window};
pub use file::NoRows;
pub use images::{ImageColumns, Sequences};
pub(crate) use rule::instant;
pub use rule::{Rule, Test};
pub use settings::{MAX_REJECT_FACTOR, Mitigation, Prefer, RejectInference, Sensitivity, Settings, UseCase};
pub use template::{TemplateColumn, guess_columns, template};
pub use token::Comparison;
pub(crate) use token::{Token, Tokens};

use crate::network;
use file::{OutcomeFile, ProjectFile, Scalar};
use statera_core::{Error, Kind, Result};
use statera_data::network::Network;
use statera_data::window::Windows;
use std::collections::{BTreeMap, BTreeSet};

/// A checked project.
#[derive(Debug, Clone, PartialEq)]
pub struct Project {
    /// Where it was read, for messages.
    pub path: String,
    /// Addresses of tables by name; paths are relative to the project file.
    pub sources: BTreeMap<String, String>,
    /// The table with one row a decision.
    pub main: Main,
    /// Tables whose columns are added to the main one, in order.
    pub joins: Vec<Join>,
    /// How the target follows from what happened later; `None`: the main table has a ready target.
    pub outcome: Option<Outcome>,
    /// Rows that are left out, by rules that are counted one by one.
    pub exclusions: Vec<Exclusion>,
    /// Roles, columns, split, candidates, policy.
    pub settings: Settings,
    /// The bank's own files that the bundle decides by.
    pub files: Files,
    /// The source of declined applications without outcome, with the columns of the assembled table.
    pub rejects: Option<String>,
}

/// Paths of the bank's own files, relative to the project file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Files {
    /// Cut-offs and grades.
    pub policy: Option<String>,
    /// What customers are told.
    pub reasons: Option<String>,
    /// Limits that groups are judged by.
    pub rules: Option<String>,
}

/// The main table.
#[derive(Debug, Clone, PartialEq)]
pub struct Main {
    /// Its source.
    pub source: String,
    /// The column with the observation date: what is known later does not enter.
    pub date: Option<String>,
}

/// A table that is joined.
#[derive(Debug, Clone, PartialEq)]
pub struct Join {
    /// Its source.
    pub source: String,
    /// Columns that must be equal: of the main table, of this table.
    pub on: Vec<(String, String)>,
    /// The date of its rows: the latest at or before the observation date minus `lag_days` is joined. `None`: its key is unique.
    pub date: Option<String>,
    /// Days that pass until a row is known.
    pub lag_days: u32,
    /// The columns that are added.
    pub columns: Vec<String>,
    /// Put before their names.
    pub prefix: String,
}

/// How the target is computed.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The source of the performance table.
    pub source: String,
    /// Columns that must be equal: of the main table, of the performance table.
    pub on: Vec<(String, String)>,
    /// The date of its rows.
    pub date: String,
    /// When a loan is bad.
    pub bad: Definition,
    /// When a loan that is not bad is not good either.
    pub indeterminate: Option<Definition>,
    /// Weight of indeterminate rows, which then count as good; `None`: they are left out.
    pub indeterminate_weight: Option<f64>,
    /// The performance window in months: rows whose window is not over when the data end are left out.
    pub performance_months: u32,
    /// When the data end, in microseconds UTC; `None`: the latest date of the performance table.
    pub data_until: Option<i64>,
    /// What becomes of rows without performance.
    pub no_rows: NoRows,
    /// Name of the new column, 1 for bad and 0 for good.
    pub target: String,
}

/// A rule by which rows are left out.
#[derive(Debug, Clone, PartialEq)]
pub struct Exclusion {
    /// Its name in the counts.
    pub name: String,
    /// Rows that pass are left out.
    pub rule: Rule,
}

impl Project {
    /// Reads and checks a project file; `path` is for messages.
    ///
    /// # Errors
    /// Unknown keys, values of a wrong type or out of range, names that no source or table has, by file, key, value and
    /// what is allowed.
    pub fn parse(text: &str, path: &str) -> Result<Project> {
        Self::check(statera_data::toml_text::read(text, path)?, path).map_err(|e| e.at(path))
    }

    fn check(file: ProjectFile, path: &str) -> Result<Project> {
        let settings = settings_of(&file)?;
        let keys = file.main.key.map(file::OneOrMany::list).unwrap_or_default();
        let main = Main { source: file.main.source, date: file.main.date };
        let joins: Vec<Join> = file
            .joins
            .into_iter()
            .map(|j| Join {
                source: j.source,
                on: j.on.pairs(),
                date: j.date,
                lag_days: j.lag_days,
                columns: j.columns,
                prefix: j.prefix,
            })
            .collect();
        let zone = zone_of(&settings)?;
        let outcome = file.outcome.map(|o| check_outcome(o, &zone)).transpose()?;
        let mut exclusions = Vec::new();
        for (i, e) in file.exclusions.into_iter().enumerate() {
            let place = format!("exclude {} («{}»), rule", i + 1, e.name);
            exclusions.push(Exclusion { name: e.name, rule: Rule::parse(&e.rule).map_err(|e| e.at(place))? });
        }
        check_policy(&file.policy)?;
        let files = Files { policy: file.policy.file, reasons: file.policy.reasons, rules: file.policy.rules };
        let rejects = file.rejects.map(|r| r.source);
        let mut project = Project {
            path: path.into(),
            sources: file.sources,
            main,
            joins,
            outcome,
            exclusions,
            settings,
            files,
            rejects,
        };
        project.check_sources()?;
        project.check_dates()?;
        project.check_added_columns()?;
        project.complete_settings(&keys)?;
        project.settings.check_values()?;
        Ok(project)
    }

    /// The source of the edges, where one is named.
    fn edges_source(&self) -> Option<&String> {
        self.settings.network.as_ref()?.edges.source.as_ref()
    }

    fn check_sources(&self) -> Result<()> {
        let named = [("main.source", &self.main.source)]
            .into_iter()
            .chain(self.joins.iter().map(|j| ("join.source", &j.source)))
            .chain(self.outcome.iter().map(|o| ("outcome.source", &o.source)))
            .chain(self.rejects.iter().map(|source| ("rejects.source", source)))
            .chain(self.edges_source().map(|source| ("network.edges.source", source)));
        for (key, source) in named {
            if !self.sources.contains_key(source) {
                let known: Vec<&str> = self.sources.keys().map(String::as_str).collect();
                return Err(Error::request(format!(
                    "{key}: no source «{source}»; [sources] has {}",
                    if known.is_empty() { "none".into() } else { known.join(", ") }
                )));
            }
        }
        Ok(())
    }

    fn check_dates(&self) -> Result<()> {
        let dated = self.joins.iter().find(|j| j.date.is_some()).map(|j| format!("join of «{}»", j.source));
        let dated = dated.or(self.outcome.as_ref().map(|_| "outcome".to_string()));
        if let (None, Some(what)) = (&self.main.date, dated) {
            return Err(Error::request(format!("main.date: missing; {what} needs the observation date")));
        }
        for join in &self.joins {
            if join.on.is_empty() || join.columns.is_empty() {
                return Err(Error::request(format!(
                    "join of «{}»: on and columns name at least one column each",
                    join.source
                )));
            }
            if join.lag_days > 0 && join.date.is_none() {
                return Err(Error::request(format!(
                    "join of «{}», lag_days: {} has no meaning without date",
                    join.source, join.lag_days
                )));
            }
        }
        Ok(())
    }

    fn check_added_columns(&self) -> Result<()> {
        let mut added = BTreeSet::new();
        let joined = self.joins.iter().flat_map(|j| j.columns.iter().map(move |c| format!("{}{c}", j.prefix)));
        for column in joined.chain(self.outcome.iter().map(|o| o.target.clone())) {
            if !added.insert(column.clone()) {
                return Err(Error::request(format!(
                    "column «{column}» would be added twice; give one of the joins a prefix"
                )));
            }
        }
        Ok(())
    }

    /// Fills the settings that follow from the tables: the computed target, the observation date as time, the key as id.
    fn complete_settings(&mut self, keys: &[String]) -> Result<()> {
        let settings = &mut self.settings;
        if let Some(outcome) = &self.outcome {
            if !settings.target.is_empty() && settings.target != outcome.target {
                return Err(Error::request(format!(
                    "roles.target: «{}» and outcome.target «{}» are different; with [outcome] the target is computed",
                    settings.target, outcome.target
                )));
            }
            if settings.positive.as_deref().is_some_and(|p| p != "1") {
                return Err(Error::request("roles.positive: with [outcome] it is always 1; leave it out"));
            }
            settings.target.clone_from(&outcome.target);
            settings.positive = Some("1".into());
            if outcome.indeterminate_weight.is_some() {
                if let Some(weight) = &settings.weight {
                    return Err(Error::request(format!(
                        "roles.weight «{weight}» and outcome.indeterminate_weight are both given; only one can hold"
                    )));
                }
                settings.weight = Some(outcome.weight_column());
            }
        } else if settings.target.is_empty() {
            return Err(Error::request("roles.target: missing; name the target, or describe [outcome]"));
        }
        if settings.time.is_none() {
            settings.time.clone_from(&self.main.date);
        }
        settings.complete_windows();
        settings.complete_network();
        match keys {
            [key] if settings.id.is_none() && settings.group.as_ref() != Some(key) => settings.id = Some(key.clone()),
            _ => {}
        }
        Ok(())
    }

    /// Kinds set by the user for the columns of a source, by the source's own names.
    fn types_of(&self, source: &str) -> BTreeMap<String, Kind> {
        let joined: BTreeMap<String, (&str, &str)> = self
            .joins
            .iter()
            .flat_map(|j| j.columns.iter().map(move |c| (format!("{}{c}", j.prefix), (j.source.as_str(), c.as_str()))))
            .collect();
        let mut made: Vec<String> = self.outcome.iter().flat_map(|o| [o.target.clone(), o.weight_column()]).collect();
        made.extend(self.settings.windows.iter().flat_map(Windows::column_names));
        made.extend(self.settings.network.iter().flat_map(Network::column_names));
        let types = self.settings.types.iter().filter(|(name, _)| !made.contains(name));
        let of_edges = self.settings.network.as_ref().map(|network| &network.edges);
        let of_edges = of_edges.filter(|edges| edges.source.as_deref() == Some(source) && self.main.source != source);
        let of_edges = of_edges.map(network::edge_types).unwrap_or_default();
        let declared = types.filter_map(|(name, kind)| match joined.get(name) {
            Some((from, column)) => (*from == source).then(|| ((*column).to_string(), *kind)),
            None => (self.main.source == source).then(|| (name.clone(), *kind)),
        });
        of_edges.into_iter().chain(declared).collect()
    }
}

impl Outcome {
    /// Name of the weight column that keeps indeterminate rows.
    pub fn weight_column(&self) -> String {
        format!("{}_weight", self.target)
    }

    /// Both definitions' clauses.
    fn clauses(&self) -> impl Iterator<Item = &Clause> {
        self.bad.clauses().chain(self.indeterminate.iter().flat_map(Definition::clauses))
    }
}

fn zone_of(settings: &Settings) -> Result<jiff::tz::TimeZone> {
    match &settings.tz {
        None => Ok(jiff::tz::TimeZone::UTC),
        Some(name) => jiff::tz::TimeZone::get(name).map_err(|_| {
            Error::request(format!("tz: «{name}» is no time zone; allowed are IANA names such as Asia/Seoul"))
        }),
    }
}

fn check_outcome(file: OutcomeFile, zone: &jiff::tz::TimeZone) -> Result<Outcome> {
    let on = file.on.pairs();
    if on.is_empty() {
        return Err(Error::request("outcome.on: empty; name the columns that must be equal"));
    }
    let bad = Definition::parse(&file.bad).map_err(|e| e.at("outcome.bad"))?;
    let parse = |text: &String| Definition::parse(text).map_err(|e| e.at("outcome.indeterminate"));
    let indeterminate = file.indeterminate.as_ref().map(parse).transpose()?;
    if let Some(weight) = file.indeterminate_weight {
        if indeterminate.is_none() {
            return Err(Error::request(format!(
                "outcome.indeterminate_weight: {weight} has no meaning without outcome.indeterminate"
            )));
        }
        if !(weight > 0.0 && weight <= 1.0) {
            return Err(Error::request(format!(
                "outcome.indeterminate_weight: {weight} is not allowed; allowed is above 0 and at most 1"
            )));
        }
    }
    let clauses = || bad.clauses().chain(indeterminate.iter().flat_map(Definition::clauses));
    let longest = clauses().filter_map(|c| match c.window {
        Some(Window::Months(n)) => Some(n),
        Some(Window::Days(n)) => Some(n.div_ceil(31)),
        None => None,
    });
    let performance_months = match (file.performance_months, longest.max()) {
        (Some(n), _) if (1..=1200).contains(&n) => n,
        (Some(n), _) => {
            return Err(Error::request(format!(
                "outcome.performance_months: {n} is not allowed; allowed is from 1 to 1200"
            )));
        }
        (None, Some(n)) if clauses().all(|c| c.window.is_some()) => n,
        _ => {
            return Err(Error::request(
                "outcome.performance_months: missing; the definition has a part without «within N months»",
            ));
        }
    };
    let data_until = file.data_until.as_ref().map(|text| {
        let refused = || Error::request(format!("outcome.data_until: «{text}» is no date such as 2024-12-31"));
        rule::instant(text, zone).ok_or_else(refused)
    });
    Ok(Outcome {
        source: file.source,
        on,
        date: file.date,
        data_until: data_until.transpose()?,
        no_rows: file.no_rows,
        target: file.target,
        indeterminate_weight: file.indeterminate_weight,
        bad,
        indeterminate,
        performance_months,
    })
}

/// Refuses a cut-off or a rate beside a file that says where approval ends.
fn check_policy(policy: &file::PolicyFile) -> Result<()> {
    let Some(name) = &policy.file else { return Ok(()) };
    let own = [("cutoff", policy.cutoff), ("approval_rate", policy.approval_rate)];
    match own.into_iter().find_map(|(key, value)| Some((key, value?))) {
        Some((key, value)) => Err(Error::request(format!(
            "policy.{key}: {value} is given beside policy.file «{name}», which says itself where approval ends; only one can \
             hold"
        ))),
        None => Ok(()),
    }
}

/// The settings that the file states outright.
fn settings_of(file: &ProjectFile) -> Result<Settings> {
    let (roles, standard) = (&file.roles, Settings::default());
    let mut settings = Settings {
        use_case: file.use_case,
        target: roles.target.clone().unwrap_or_default(),
        positive: roles.positive.as_ref().map(Scalar::text),
        id: roles.id.clone(),
        time: roles.time.clone(),
        group: roles.group.clone(),
        weight: roles.weight.clone(),
        amount: roles.amount.clone(),
        card: roles.card.clone(),
        terminal: roles.terminal.clone(),
        capacity: file.policy.capacity,
        review_cost: file.policy.review_cost,
        baseline: roles.baseline.clone(),
        protected: roles.protected.clone(),
        drop: roles.drop.clone(),
        tz: file.tz.clone(),
        sequences: file.sequences.iter().map(|(name, s)| (name.clone(), s.steps.clone())).collect(),
        images: file.images.clone(),
        label_delay: file.split.label_delay.clone(),
        test_share: file.split.test_share.unwrap_or(standard.test_share),
        folds: file.split.folds.unwrap_or(standard.folds),
        models: file.candidates.models.clone(),
        prefer: file.candidates.prefer,
        seed: file.candidates.seed.unwrap_or(standard.seed),
        winsorize: file.candidates.winsorize,
        trials: file.candidates.trials,
        budget: file.candidates.budget.clone(),
        cutoff: file.policy.cutoff,
        approval_rate: file.policy.approval_rate,
        mitigate: file.candidates.mitigate,
        reject_inference: file.rejects.as_ref().map(|r| r.inference),
        reject_factor: file.rejects.as_ref().and_then(|r| r.factor),
        windows: file.windows.clone(),
        network: file.network.clone(),
        purpose: file.purpose.clone(),
        ..standard
    };
    for (name, column) in &file.columns {
        let name = || name.clone();
        settings.types.extend(column.kind.map(|kind| (name(), kind)));
        if !column.missing.is_empty() {
            settings.missing.insert(name(), column.missing.iter().map(Scalar::text).collect());
        }
        settings.monotone.extend(column.monotone.map(|direction| (name(), direction)));
        settings.units.extend(column.unit.clone().map(|unit| (name(), unit)));
        settings.purposes.extend(column.purpose.clone().map(|purposes| (name(), purposes)));
        settings.sensitivity.extend(column.sensitivity.map(|sensitivity| (name(), sensitivity)));
    }
    Ok(settings)
}

#[cfg(test)]
mod tests;
