//! Identifiers inside free text, in English, Korean and Chinese: where they are, and the text with tokens in their place.
//!
//! Recall goes before precision: what has the form of an identifier, and its check digit where there is one, is masked, and
//! where two findings overlap both are covered. What random digits are taken for is measured in the tests and written down
//! in `docs/mask.md`. Full-width characters, the dashes of typesetting and ideographic blanks are read as their plain forms.
//! Adding a scanner is one file and one line in [`SCANNERS`]. Deliberately absent: street addresses, and names without a
//! word that shows them.

use super::{Cell, account, advertising, card, china, email, iban, korea, name, phone};
use std::ops::{Range, RangeInclusive};

/// Every scanner; where two find the same, the first one names it.
pub const SCANNERS: &[Scanner] = &[
    email::SCANNER,
    card::SCANNER,
    korea::SCANNER,
    china::SCANNER,
    iban::SCANNER,
    account::SCANNER,
    phone::SCANNER,
    advertising::SCANNER,
    name::SCANNER,
];

/// A way to find one sort of identifier in text.
pub struct Scanner {
    /// Its name in a policy.
    pub name: &'static str,
    /// What stands in the identifier's place.
    pub token: &'static str,
    /// Finds what there is.
    pub(super) scan: fn(&Text, &mut Vec<Found>),
}

/// A place in a [`Text`].
pub(super) struct Found {
    /// Its characters.
    pub range: Range<usize>,
    /// True if a check digit or an unmistakable form proves it.
    pub is_sure: bool,
}

/// An identifier in a text.
#[derive(Debug, Clone, PartialEq)]
pub struct Identifier {
    /// Its bytes in the text.
    pub range: Range<usize>,
    /// [`Scanner::name`].
    pub kind: &'static str,
    /// [`Scanner::token`].
    pub token: &'static str,
}

/// The text with tokens in place of the identifiers that `scanners` find.
pub fn replace(text: &str, scanners: &[&'static Scanner]) -> String {
    let found = identifiers(text, scanners);
    let mut out = String::with_capacity(text.len());
    let mut from = 0;
    for identifier in found {
        out.push_str(&text[from..identifier.range.start]);
        out.push_str(identifier.token);
        from = identifier.range.end;
    }
    out.push_str(&text[from..]);
    out
}

/// The identifiers that `scanners` find, in order and without overlap. Findings that overlap become one, named after the
/// surest, then the longest of them.
pub fn identifiers(text: &str, scanners: &[&'static Scanner]) -> Vec<Identifier> {
    let text = Text::of(text);
    let mut all: Vec<(Found, &'static Scanner)> = Vec::new();
    let mut found = Vec::new();
    for &scanner in scanners {
        (scanner.scan)(&text, &mut found);
        all.extend(found.drain(..).map(|found| (found, scanner)));
    }
    // A stable sort: of equals the scanner that comes first in the list stays first.
    all.sort_by_key(|(found, _)| (found.range.start, std::cmp::Reverse(found.range.end)));
    let mut merged: Vec<(Found, &'static Scanner, (bool, usize))> = Vec::new();
    for (found, scanner) in all {
        let rank = (found.is_sure, found.range.len());
        match merged.last_mut() {
            Some((last, best, best_rank)) if found.range.start < last.range.end => {
                last.range.end = last.range.end.max(found.range.end);
                if rank > *best_rank {
                    (*best, *best_rank) = (scanner, rank);
                }
            }
            _ => merged.push((found, scanner, rank)),
        }
    }
    let bytes = |range: Range<usize>| text.starts[range.start]..text.starts[range.end];
    let identifier = |(found, scanner, _): (Found, &'static Scanner, _)| Identifier {
        range: bytes(found.range),
        kind: scanner.name,
        token: scanner.token,
    };
    merged.into_iter().map(identifier).collect()
}

/// A text as the scanners read it: plain forms of its characters, and where each stood.
pub(super) struct Text {
    /// Characters in their plain form.
    pub chars: Vec<char>,
    /// The first byte of each, and the end.
    starts: Vec<usize>,
    /// Runs of digits.
    groups: Vec<Range<usize>>,
}

impl Text {
    fn of(text: &str) -> Text {
        let chars: Vec<char> = text.chars().map(plain).collect();
        let starts = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
        let mut groups: Vec<Range<usize>> = Vec::new();
        for at in (0..chars.len()).filter(|&i| chars[i].is_ascii_digit()) {
            match groups.last_mut() {
                Some(group) if group.end == at => group.end += 1,
                _ => groups.push(at..at + 1),
            }
        }
        Text { chars, starts, groups }
    }

    /// Calls `f` for every sequence of one to `n_groups_max` runs of digits with separators between them, that has so many
    /// digits in all.
    pub fn sequences(&self, n_groups_max: usize, n_digits: RangeInclusive<usize>, mut f: impl FnMut(&Sequence<'_>)) {
        for first in 0..self.groups.len() {
            let mut n = 0;
            for last in first..self.groups.len().min(first + n_groups_max) {
                if last > first && !is_gap(&self.chars[self.groups[last - 1].end..self.groups[last].start]) {
                    break;
                }
                n += self.groups[last].len();
                if n > *n_digits.end() {
                    break;
                }
                if n >= *n_digits.start() {
                    f(&Sequence { text: self, groups: &self.groups[first..=last] });
                }
            }
        }
    }

    /// Where one of the words stands, without regard to case; those of ASCII letters as whole words. The words are in lower
    /// case.
    pub fn words(&self, words: &[&str]) -> Vec<(usize, usize)> {
        let is_word_letter =
            |i: Option<usize>| i.and_then(|i| self.chars.get(i)).is_some_and(char::is_ascii_alphabetic);
        // Most characters begin no word: one bit tells.
        let bit = |c: char| 1u128 << (u32::from(c) % 128);
        let begins = words.iter().filter_map(|word| word.chars().next()).fold(0, |all, c| all | bit(c));
        let mut found = Vec::new();
        for start in 0..self.chars.len() {
            if begins & bit(self.chars[start].to_ascii_lowercase()) == 0 {
                continue;
            }
            for word in words {
                let mut here = self.chars[start..].iter();
                if !word.chars().all(|w| here.next().is_some_and(|c| c.to_ascii_lowercase() == w)) {
                    continue;
                }
                let end = self.chars.len() - here.len();
                if !word.is_ascii() || !(is_word_letter(start.checked_sub(1)) || is_word_letter(Some(end))) {
                    found.push((start, end));
                }
            }
        }
        found
    }

    /// Finds numbers of so many digits after one of the words: at once, after linking words and signs, or after up to
    /// `n_between` more characters of any kind but digits and line ends. An amount of money is none.
    pub fn numbers_after(
        &self,
        words: &[&str],
        n_digits: RangeInclusive<usize>,
        n_between: usize,
        found: &mut Vec<Found>,
    ) {
        const LINKS: &[&str] =
            &["number", "no", "nr", "num", "is", "번호", "号码", "号", "은", "는", "이", "가", "로", "为", "是"];
        let words = if self.groups.is_empty() { Vec::new() } else { self.words(words) };
        for (_, end) in words {
            let mut at = end;
            loop {
                let rest = &self.chars[at..];
                let link = LINKS.iter().map(|link| link.chars().collect::<Vec<_>>()).find(|link| {
                    rest.len() >= link.len() && link.iter().zip(rest).all(|(l, c)| *l == c.to_ascii_lowercase())
                });
                at += match (rest.first(), link) {
                    (Some(' ' | ':' | '.' | '#' | '=' | '(' | ')' | '+' | '-' | '/'), _) => 1,
                    (_, Some(link)) => link.len(),
                    _ => break,
                };
            }
            let between = self.chars[at..]
                .iter()
                .take(n_between)
                .take_while(|c| !c.is_ascii_digit() && !"\n,.;。，".contains(**c));
            let at = at + between.count();
            let Some(first) = self.groups.iter().position(|g| g.start == at) else { continue };
            let mut last = first;
            let mut n = self.groups[first].len();
            while let Some(next) = self.groups.get(last + 1)
                && is_gap(&self.chars[self.groups[last].end..next.start])
                && n + next.len() <= *n_digits.end()
            {
                last += 1;
                n += next.len();
            }
            let range = self.groups[first].start..self.groups[last].end;
            if n_digits.contains(&n) && !self.is_amount(&range) {
                found.push(Found { range, is_sure: false });
            }
        }
    }

    /// True if a currency stands before or after the number, or it goes on as one with thousands or decimals.
    fn is_amount(&self, range: &Range<usize>) -> bool {
        const UNITS: &[&str] =
            &["원", "元", "块", "圆", "won", "krw", "usd", "eur", "cny", "rmb", "dollar", "만", "억", "万", "亿", "%"];
        let before = self.chars[..range.start].iter().rev().find(|c| **c != ' ');
        let after: String =
            self.chars[range.end..].iter().skip_while(|c| **c == ' ').take(6).map(char::to_ascii_lowercase).collect();
        let goes_on = after.starts_with(',') && after[1..].starts_with(|c: char| c.is_ascii_digit());
        before.is_some_and(|c| "₩$€£¥￥".contains(*c)) || UNITS.iter().any(|unit| after.starts_with(unit)) || goes_on
    }
}

/// Runs of digits with separators between them.
pub(super) struct Sequence<'a> {
    text: &'a Text,
    pub groups: &'a [Range<usize>],
}

impl Sequence<'_> {
    /// Its characters.
    pub fn range(&self) -> Range<usize> {
        self.groups[0].start..self.groups[self.groups.len() - 1].end
    }

    /// The digits alone.
    pub fn digits(&self) -> String {
        self.groups.iter().flat_map(|g| &self.text.chars[g.clone()]).collect()
    }

    /// The runs with a hyphen between them.
    pub fn joined(&self) -> String {
        let groups = self.groups.iter().map(|g| self.text.chars[g.clone()].iter().collect::<String>());
        groups.collect::<Vec<_>>().join("-")
    }

    /// [`Sequence::joined`] as a detector takes it.
    pub fn cell(&self) -> Cell<'static> {
        Cell { text: self.joined().into(), integer: false }
    }
}

/// True if one to three characters may divide the groups of one number: a hyphen, point or low line, blanks, parentheses.
fn is_gap(chars: &[char]) -> bool {
    (1..=3).contains(&chars.len())
        && chars.iter().all(|c| " -._()".contains(*c))
        && chars.iter().filter(|c| "-._".contains(**c)).count() <= 1
}

/// The plain form of a character: ASCII for full-width ones, one hyphen, one blank.
fn plain(c: char) -> char {
    match c {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(c as u32 - 0xfee0).unwrap_or(c),
        '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{fe63}' => '-',
        '\u{a0}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{3000}' | '\t' => ' ',
        _ => c,
    }
}

#[cfg(test)]
#[path = "text_tests.rs"]
mod tests;
