//! What deserves a second look, gravest first.

use super::column::{ColumnProfile, Detail};
use super::target::TargetKind;
use super::{DRIFT_PSI, LEAK_AUC, Profile, figure};
use serde::{Deserialize, Serialize};
use statera_core::Kind;
use statera_core::text::counted;

/// What a warning is about, gravest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WarningKind {
    /// The target cannot be learnt.
    Target,
    /// A column identifies persons.
    Identifier,
    /// A column alone gives the target away.
    Leak,
    /// Rows occur more than once.
    Duplicate,
    /// A column holds one value or none.
    Constant,
    /// A column moved with time.
    Drift,
    /// A number seems to mean missing.
    Sentinel,
    /// A column names rows.
    NearUnique,
    /// Cells are infinite.
    Infinite,
}

impl WarningKind {
    /// The words shown to the user.
    pub fn name(self) -> &'static str {
        match self {
            WarningKind::Target => "target",
            WarningKind::Identifier => "identifier",
            WarningKind::Leak => "leak suspect",
            WarningKind::Duplicate => "duplicates",
            WarningKind::Constant => "constant",
            WarningKind::Drift => "drift",
            WarningKind::Sentinel => "sentinel",
            WarningKind::NearUnique => "near-unique",
            WarningKind::Infinite => "infinite",
        }
    }
}

/// One thing to look at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Warning {
    /// What it is about.
    pub kind: WarningKind,
    /// The column, if it is about one.
    pub column: Option<String>,
    /// What was found, in a sentence without final full stop.
    pub text: String,
    /// What to do, where there is something to type.
    pub advice: Option<String>,
}

/// The warnings of a profile.
pub(super) fn of(profile: &Profile) -> Vec<Warning> {
    let mut out = Vec::new();
    if let Some(target) = &profile.target
        && target.kind == TargetKind::Constant
    {
        let text = match target.n_classes {
            0 => "the target has no value at all".into(),
            _ => format!("the target has one value in all {} rows", figure::count(target.n_known)),
        };
        out.push(Warning { kind: WarningKind::Target, column: Some(target.column.clone()), text, advice: None });
    }
    for column in &profile.columns {
        of_column(profile, column, &mut out);
    }
    out.extend(of_duplicates(profile));
    out.extend(of_drift(profile));
    // Stable: within a kind, columns keep the table's order.
    out.sort_by_key(|w| w.kind);
    out
}

fn of_column(profile: &Profile, column: &ColumnProfile, out: &mut Vec<Warning>) {
    let mut push = |kind, text: String, advice: Option<String>| {
        out.push(Warning { kind, column: Some(column.name.clone()), text, advice });
    };
    let is_target = profile.target.as_ref().is_some_and(|t| t.column == column.name);
    if let Some(found) = &column.personal {
        let text = format!(
            "{}: {} of {} cells checked, {} confidence",
            found.detector,
            figure::percent(found.share),
            figure::count(found.n_checked),
            found.confidence.name()
        );
        push(WarningKind::Identifier, text, Some(format!("--drop {}", column.name)));
    }
    if let Some(auc) = column.auc.filter(|&auc| auc > LEAK_AUC) {
        let text = format!(
            "alone it separates the target with AUC {}; is it known when the decision is made?",
            figure::auc(auc)
        );
        push(WarningKind::Leak, text, Some(format!("--drop {}", column.name)));
    }
    if column.constant && !is_target && profile.n_rows > 1 {
        let text = match (column.n_distinct, column.n_nothing()) {
            (0, _) => "no cell has a value".into(),
            (_, 0) => "one value in every row".into(),
            (_, n) => format!("one value in every row, besides {}", counted(n, "missing cell", "missing cells")),
        };
        push(WarningKind::Constant, text, None);
    }
    if let Detail::Number(summary) = &column.detail
        && !summary.sentinels.is_empty()
        && !is_target
    {
        let codes: Vec<String> = summary.sentinels.iter().map(|v| figure::plain(*v)).collect();
        let text =
            format!("{} is frequent and stands apart from the other values: it may mean missing", codes.join(" and "));
        push(WarningKind::Sentinel, text, Some(format!("--missing {}={}", column.name, codes.join(","))));
    }
    if column.near_unique && column.kind != Kind::Identifier && column.kind != Kind::Text && column.personal.is_none() {
        let text = format!(
            "{} different values in {} rows: it names rows rather than describing them",
            figure::count(column.n_distinct),
            figure::count(profile.n_rows)
        );
        push(WarningKind::NearUnique, text, Some(format!("--id {}", column.name)));
    }
    if column.n_infinite > 0 {
        let text =
            format!("{}, left out of every figure", counted(column.n_infinite, "infinite cell", "infinite cells"));
        push(WarningKind::Infinite, text, None);
    }
}

fn of_duplicates(profile: &Profile) -> Option<Warning> {
    let counts = &profile.duplicates;
    let n = counts.n_without_ids.max(counts.n_exact);
    if n == 0 {
        return None;
    }
    let repeat =
        |n: usize| if n == 1 { "1 row repeats".to_owned() } else { format!("{} rows repeat", figure::count(n)) };
    let names = figure::cut(&counts.without.join(", "), 60);
    let text = match (counts.n_exact, counts.without.is_empty()) {
        (0, _) => format!("{} an earlier one, with {names} left aside", repeat(n)),
        (n_exact, true) => format!("{} an earlier one in every column", repeat(n_exact)),
        (n_exact, false) => {
            let rest = figure::count(counts.n_without_ids);
            format!("{} an earlier one in every column, {rest} with {names} left aside", repeat(n_exact))
        }
    };
    Some(Warning { kind: WarningKind::Duplicate, column: None, text, advice: None })
}

fn of_drift(profile: &Profile) -> Vec<Warning> {
    let Some(drift) = &profile.drift else { return Vec::new() };
    let moved = drift.columns.iter().filter_map(|row| row.worst.filter(|w| w.0 > DRIFT_PSI).map(|w| (row, w)));
    moved
        .map(|(row, (psi, place))| Warning {
            kind: WarningKind::Drift,
            column: Some(row.column.clone()),
            text: format!(
                "stability index {psi:.2} in {} against {}",
                drift.periods[place].label, drift.periods[0].label
            ),
            advice: None,
        })
        .collect()
}
