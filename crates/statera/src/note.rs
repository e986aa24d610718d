//! What a training tells its user, by code with values, so that a report can say it in its own language.
//!
//! The words of a code stand with those of the report, `note.CODE` in `report/text`; a bundle holds a note both in English and by
//! its code.

use crate::reasons::Language;
use crate::report::Words;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::LazyLock;

/// Something that the user should know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Note {
    /// Which.
    pub code: String,
    /// What stands in the places of its words.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<String, String>,
}

static ENGLISH: LazyLock<Option<Words>> = LazyLock::new(|| Words::of(Language::En).ok());

impl Note {
    /// A note of a code with its values.
    pub(crate) fn new(code: &str, values: &[(&str, &dyn Display)]) -> Note {
        let values = values.iter().map(|(name, value)| ((*name).to_string(), value.to_string())).collect();
        Note { code: code.into(), values }
    }

    /// In English, as training says it.
    pub fn english(&self) -> String {
        ENGLISH.as_ref().and_then(|words| self.words(words)).unwrap_or_else(|| self.code.clone())
    }

    /// In a report's language; `None` of a code that this program does not know.
    pub(crate) fn words(&self, words: &Words) -> Option<String> {
        let key = format!("note.{}", self.code);
        words.known(&key)?;
        let values: Vec<(&str, &str)> =
            self.values.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        Some(words.fill(&key, &values))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_said_in_every_language() {
        let note = Note::new("key_left_out", &[("column", &"loan")]);
        assert_eq!(
            note.english(),
            "column «loan» is a key and was left out (--types loan=number or =category keeps it)"
        );
        let [ko, zh] = [Language::Ko, Language::Zh].map(|l| note.words(&Words::of(l).unwrap()).unwrap());
        assert!(ko.starts_with("열 «loan»") && zh.starts_with("列«loan»"), "{ko} {zh}");
        let later = Note::new("of_a_later_version", &[]);
        assert_eq!(
            (later.words(&Words::of(Language::Ko).unwrap()), later.english()),
            (None, "of_a_later_version".into())
        );
    }
}
