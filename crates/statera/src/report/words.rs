//! Words and figures in the report's language.

use crate::reasons::Language;
use crate::search::TUNED;
use crate::variant::Variant;
use statera_core::Result;
use statera_core::metric::Interval;
use statera_data::profile::figure;
use statera_data::toml_text;
use std::collections::BTreeMap;

/// Units of money that have no smaller coin in use.
const WITHOUT_DECIMALS: [&str; 4] = ["KRW", "JPY", "VND", "IDR"];
/// Units of money with two decimals.
const WITH_DECIMALS: [&str; 12] = ["USD", "EUR", "GBP", "CNY", "CHF", "CAD", "AUD", "HKD", "SGD", "TWD", "DM", "INR"];
/// What the names of candidates end with that were fitted on other weights, or on more rows.
const REWEIGHED: &str = Variant::Reweighed.ending();
const REJECTS: &str = Variant::WithRejects.ending();
/// Characters of a name, and of a text, that are shown: a bank's words are not bounded, a page is.
const NAME_CHARS: usize = 60;
const TEXT_CHARS: usize = 600;

/// The words of a language.
#[derive(Debug, Clone)]
pub struct Words {
    /// Which.
    pub language: Language,
    texts: BTreeMap<String, String>,
}

impl Words {
    /// The words that ship.
    ///
    /// # Errors
    /// None: tests read every file.
    pub fn of(language: Language) -> Result<Words> {
        let text = match language {
            Language::En => include_str!("text/en.toml"),
            Language::Ko => include_str!("text/ko.toml"),
            Language::Zh => include_str!("text/zh.toml"),
        };
        let tables: BTreeMap<String, BTreeMap<String, String>> = toml_text::read(text, "the report's words")?;
        let named = |(section, words): (String, BTreeMap<String, String>)| {
            words.into_iter().map(move |(word, text)| (format!("{section}.{word}"), text))
        };
        Ok(Words { language, texts: tables.into_iter().flat_map(named).collect() })
    }

    /// Names of all words.
    #[cfg(test)]
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.texts.keys().map(String::as_str)
    }

    /// The words of a name, `section.word`; a name without words is shown in brackets, which a test looks for.
    pub fn get(&self, key: &str) -> String {
        self.known(key).unwrap_or_else(|| format!("⟦{key}⟧"))
    }

    /// The words of a name that may have none.
    pub fn known(&self, key: &str) -> Option<String> {
        self.texts.get(key).cloned()
    }

    /// The words of a name with what stands in their places, `{name}`.
    pub fn fill(&self, key: &str, values: &[(&str, &str)]) -> String {
        let template = self.get(key);
        let mut text = String::with_capacity(template.len() + 32);
        let mut rest = template.as_str();
        // Left to right in one pass, so that a value that looks like a place is left alone.
        while let Some(open) = rest.find('{') {
            text.push_str(&rest[..open]);
            rest = &rest[open..];
            let place = rest.find('}').map(|close| (&rest[1..close], &rest[close + 1..]));
            let value = place.and_then(|(name, after)| Some((values.iter().find(|v| v.0 == name)?.1, after)));
            match value {
                Some((value, after)) => {
                    text.push_str(value);
                    rest = after;
                }
                None => {
                    text.push('{');
                    rest = &rest[1..];
                }
            }
        }
        text + rest
    }

    /// The title of a candidate by its name, in words where there are some, else as the program has it.
    pub fn model(&self, name: &str, title: &str) -> String {
        let mut family = name;
        let mut endings = Vec::new();
        let known =
            [(TUNED, "model.with_search"), (REWEIGHED, "model.with_reweighing"), (REJECTS, "model.with_rejects")];
        while let Some((ending, key)) = known.iter().find(|(ending, _)| family.ends_with(ending)) {
            family = &family[..family.len() - ending.len()];
            endings.push(key);
        }
        let Some(words) = self.known(&format!("model.{family}")) else { return cut(title) };
        endings.iter().rev().fold(words, |model, key| self.fill(key, &[("model", &model)]))
    }

    /// A count.
    pub fn count(&self, n: usize) -> String {
        figure::count(n)
    }

    /// A sum of weights: a count where all weigh 1.
    pub fn weight(&self, n: f64) -> String {
        if n.fract() == 0.0 && n.abs() < 1e15 { figure::count(n.max(0.0) as usize) } else { figure::number(n) }
    }

    /// A share of 0 to 1 in percent.
    pub fn percent(&self, share: f64) -> String {
        let text = figure::percent(share);
        match self.language {
            Language::En => text,
            Language::Ko | Language::Zh => text.replace(" %", "%"),
        }
    }

    /// A number.
    pub fn number(&self, value: f64) -> String {
        figure::number(value)
    }

    /// A number with its sign.
    pub fn signed(&self, value: f64) -> String {
        let text = format!("{:.3}", value.abs());
        match value {
            _ if !text.bytes().any(|b| (b'1'..=b'9').contains(&b)) => text,
            v if v < 0.0 => format!("−{text}"),
            _ => format!("+{text}"),
        }
    }

    /// A figure of three decimals.
    pub fn fixed(&self, value: f64) -> String {
        let text = format!("{:.3}", value.abs());
        if value < 0.0 { format!("−{text}") } else { text }
    }

    /// A value of a column in its unit: money as it is written, without decimals where its unit has no smaller coin.
    pub fn in_unit(&self, value: f64, unit: Option<&str>) -> String {
        let code = unit.map(str::trim).map(str::to_uppercase);
        let is = |codes: &[&str]| code.as_deref().is_some_and(|c| codes.contains(&c));
        if is(&WITHOUT_DECIMALS) || code.as_deref().is_some_and(|c| ["₩", "원", "WON", "円", "YEN"].contains(&c)) {
            return self.number(value.round());
        }
        if is(&WITH_DECIMALS) && value.fract() != 0.0 && value.abs() < 1e12 {
            let cents = format!("{:.2}", value.abs().fract());
            let Some((_, decimals)) = cents.split_once('.') else { return self.number(value) };
            // A fraction that rounds up to the next unit.
            let whole = value.abs().trunc() + if cents.starts_with('1') { 1.0 } else { 0.0 };
            let sign = if value < 0.0 { "−" } else { "" };
            return format!("{sign}{}.{decimals}", self.number(whole));
        }
        self.number(value)
    }

    /// A value with the ends of its interval.
    pub fn interval(&self, interval: Interval, words: &dyn Fn(f64) -> String) -> String {
        format!("{} ({} – {})", words(interval.value), words(interval.low), words(interval.high))
    }

    /// Yes or no.
    pub fn yes(&self, is_so: bool) -> String {
        self.get(if is_so { "word.yes" } else { "word.no" })
    }
}

/// A bank's name, of a length that a page can hold.
pub fn cut(name: &str) -> String {
    figure::cut(name.trim(), NAME_CHARS)
}

/// A bank's text, likewise.
pub fn cut_text(text: &str) -> String {
    figure::cut(text.trim(), TEXT_CHARS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_and_shares_are_written_as_people_write_them() {
        let [en, ko] = [Language::En, Language::Ko].map(|l| Words::of(l).unwrap());
        let cases = [
            (1234567.4, Some("KRW"), "1,234,567"),
            (-0.4, Some("krw"), "0"),
            (1500.5, Some("JPY"), "1,501"),
            (1234.5, Some("EUR"), "1,234.50"),
            (-1234.999, Some("USD"), "−1,235.00"),
            (7.0, Some("EUR"), "7"),
            (0.125, None, "0.125"),
            (35.4855, Some("months"), "35.49"),
        ];
        for (value, unit, expected) in cases {
            assert_eq!(ko.in_unit(value, unit), expected, "{value} {unit:?}");
        }
        assert_eq!((en.percent(0.2212), ko.percent(0.2212)), ("22.1 %".into(), "22.1%".into()));
        assert_eq!(
            (en.signed(-0.25), en.signed(0.0001), en.fixed(-0.5)),
            ("−0.250".into(), "0.000".into(), "−0.500".into())
        );
    }

    #[test]
    fn places_are_filled_once() {
        let mut words = Words::of(Language::En).unwrap();
        words.texts.insert("t.t".into(), "{a} and {b}, {c} {".into());
        assert_eq!(words.fill("t.t", &[("a", "{b}"), ("b", "two")]), "{b} and two, {c} {");
        assert_eq!(words.get("no.such"), "⟦no.such⟧");
    }

    #[test]
    fn models_have_names_in_every_language() {
        for language in [Language::En, Language::Ko, Language::Zh] {
            let words = Words::of(language).unwrap();
            for family in crate::models::MODELS {
                assert!(
                    words.known(&format!("model.{}", family.name)).is_some(),
                    "{language:?}: model {}",
                    family.name
                );
            }
            for metric in statera_core::metric::METRICS {
                assert!(words.known(&format!("metric.{}", metric.name)).is_some(), "{language:?}: {}", metric.name);
            }
        }
    }
}
