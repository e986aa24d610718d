//! The words: every name in every language, the same places, and none that sections ask for is absent.

use super::words::Words;
use super::{PACKS, SECTIONS};
use crate::reasons::Language;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const LANGUAGES: [Language; 3] = [Language::En, Language::Ko, Language::Zh];

fn words(language: Language) -> Words {
    Words::of(language).unwrap()
}

/// The places of a text, `{name}`.
fn places(text: &str) -> BTreeSet<String> {
    text.split('{').skip(1).filter_map(|part| Some(part.split_once('}')?.0.to_string())).collect()
}

#[test]
fn every_language_has_the_same_names_and_places() {
    let english = words(Language::En);
    let names: Vec<String> = english.keys().map(String::from).collect();
    assert!(names.len() > 300, "{}", names.len());
    for language in [Language::Ko, Language::Zh] {
        let own = words(language);
        assert_eq!(own.keys().map(String::from).collect::<Vec<_>>(), names, "{language:?}");
        for name in &names {
            assert_eq!(places(&own.get(name)), places(&english.get(name)), "{language:?}: {name}");
        }
    }
}

/// True of a letter of the language's own script.
fn is_own(language: Language, c: char) -> bool {
    match language {
        Language::En => c.is_ascii_alphabetic(),
        Language::Ko => ('가'..='힣').contains(&c),
        Language::Zh => ('\u{4e00}'..='\u{9fff}').contains(&c),
    }
}

#[test]
fn words_are_in_their_own_script_unless_they_are_names() {
    // Names of methods and figures, and what is typed.
    const NAMES: [&str; 20] = [
        "RealMLP",
        "TabM",
        "TabM-mini",
        "GRU",
        "LSTM",
        "GraphSAGE",
        "Transformer",
        "AUC",
        "KS",
        "F1",
        "RMSE",
        "MAE",
        "R²",
        "VIF",
        "PSI",
        "–",
        "statera train … (with this version or a later one)",
        "{column} = {cell}",
        "{middle} ({low} to {high})",
        "Gini",
    ];
    let english = words(Language::En);
    for language in [Language::Ko, Language::Zh] {
        let own = words(language);
        for name in english.keys() {
            let (text, original) = (own.get(name), english.get(name));
            let is_name = NAMES.contains(&original.as_str());
            assert!(is_name || text.chars().any(|c| is_own(language, c)), "{language:?}: {name} is «{text}»");
        }
    }
}

/// Names between quotes after `opening` in the sources of the report.
fn asked(opening: &str) -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/report");
    let mut files: Vec<_> = [folder.clone(), folder.join("section"), folder.join("pack")]
        .iter()
        .flat_map(|f| fs::read_dir(f).unwrap().map(|e| e.unwrap().path()))
        .filter(|p| p.extension().is_some_and(|e| e == "rs" || e == "md") && !p.ends_with("tests.rs"))
        .collect();
    files.sort();
    let mut found = BTreeSet::new();
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let names = text.split(opening).skip(1).filter_map(|part| part.split_once('"'));
        found.extend(names.map(|(name, _)| name.trim_start_matches('<').to_string()));
    }
    found
}

#[test]
fn no_name_that_is_asked_for_is_without_words() {
    let english = words(Language::En);
    let names: Vec<String> = ["words.get(\"", "words.fill(\"", "words.fill(\n        \"", "t(\"", "&[\"<"]
        .iter()
        .flat_map(|opening| asked(opening))
        .filter(|name| name.contains('.') && !name.contains('{'))
        .collect();
    assert!(names.len() > 150, "{}", names.len());
    for name in names.iter().filter(|n| !["t.t", "no.such"].contains(&n.as_str())) {
        assert!(english.known(name).is_some(), "«{name}» has no words");
    }
    for section in SECTIONS {
        assert!(english.known(&format!("{}.title", section.name)).is_some(), "{}", section.name);
    }
}

#[test]
fn packs_and_sections_have_names_of_their_own() {
    let sections: BTreeSet<&str> = SECTIONS.iter().map(|s| s.name).collect();
    let packs: BTreeSet<&str> = PACKS.iter().map(|p| p.name).collect();
    assert_eq!((sections.len(), packs.len()), (SECTIONS.len(), PACKS.len()));
    assert_eq!(LANGUAGES.len(), 3);
}
