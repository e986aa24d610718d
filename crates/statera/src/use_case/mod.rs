//! What a use case brings with it: what it must be told, what holds where nothing is said, which candidates are tried, which
//! figures judge them, and the sections of the report that are its own.
//!
//! A use case is one file here and one line in [`USE_CASES`]. It declares; the work is done by parts that know no use case.

mod credit;
pub mod fraud;
mod network;
mod segment;
mod table;

pub use network::network;

use crate::note::Note;
use crate::project::{Settings, UseCase};
use statera_core::Result;

/// A use case.
pub struct Declaration {
    /// Which one.
    pub use_case: UseCase,
    /// Name on the command line and in files.
    pub name: &'static str,
    /// What is found, in a few words.
    pub about: &'static str,
    /// True if there is an outcome that is predicted.
    pub has_target: bool,
    /// Candidates that are tried where none is named; empty: those that are fast.
    pub models: &'static [&'static str],
    /// Candidates that are tried besides where none is named and a sequence is declared that is no neighbourhood.
    pub models_of_sequences: &'static [&'static str],
    /// Metrics by which such models are usually compared, besides the primary one.
    pub metrics: &'static [&'static str],
    /// Sections of the report that are shown for this use case only.
    pub sections: &'static [&'static str],
    /// Fills in what was not said, and refuses what the use case cannot do without.
    pub complete: fn(&mut Settings) -> Result<()>,
    /// What the user should know of completed settings: what else could be given, and what it would bring.
    pub note: fn(&Settings) -> Option<Note>,
}

/// Every use case, the most general first.
pub const USE_CASES: &[Declaration] = &[table::TABLE, credit::CREDIT, fraud::FRAUD, segment::SEGMENT];

/// What a use case declares.
pub fn of(use_case: UseCase) -> &'static Declaration {
    USE_CASES.iter().find(|d| d.use_case == use_case).expect("USE_CASES has an entry for each; a test checks it")
}

/// Fills in what the settings' use case says where nothing was said.
///
/// # Errors
/// What the use case cannot do without.
pub fn complete(settings: &mut Settings) -> Result<()> {
    let declared = of(settings.use_case);
    if settings.models.is_empty() {
        let of_windows = settings.windows.as_ref().is_some_and(|windows| !windows.sequences.is_empty());
        // Neighbourhoods are declared as sequences too, and no network of sequences reads them.
        let of_columns = settings.sequences.keys().any(|name| !settings.fans.contains_key(name));
        let of_sequences = if of_windows || of_columns { declared.models_of_sequences } else { &[] };
        settings.models = declared.models.iter().chain(of_sequences).map(|m| (*m).to_string()).collect();
    }
    (declared.complete)(settings)
}

/// What a model of these settings is for: what was said, or what the use case is for where nothing was.
pub fn purpose(settings: &Settings) -> &str {
    let is_said = settings.use_case != UseCase::Fraud || settings.purpose != Settings::default().purpose;
    if is_said { &settings.purpose } else { "fraud" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models;
    use statera_core::metric;

    #[test]
    fn every_use_case_is_declared_once_and_names_what_there_is() {
        for use_case in [UseCase::Table, UseCase::Credit, UseCase::Fraud, UseCase::Segment] {
            assert_eq!(USE_CASES.iter().filter(|d| d.use_case == use_case).count(), 1, "{use_case:?}");
            let declared = of(use_case);
            assert_eq!(serde_json::json!(use_case), declared.name);
            let named = declared.models.iter().chain(declared.models_of_sequences);
            named.for_each(|name| assert!(models::family(name).is_ok(), "{name}"));
            declared.metrics.iter().for_each(|name| assert!(metric::find(name).is_ok(), "{name}"));
        }
    }
}
