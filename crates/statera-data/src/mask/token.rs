//! Format-preserving tokens: FF1 of NIST SP 800-38G (revision 1) over AES-256.
//!
//! Characters of the alphabet become others of it, punctuation stays where it is, and the length stays. A token is the same
//! wherever the domain is, so that joins stay possible, and who holds the key gets the cell back. FF1 with a wrong key gives
//! another cell and no sign of it: the policy's `key_check` is what notices.

use super::key::{KEY_BYTES, Key};
use super::{Action, CellType, Method, MethodKind};
use aes::Aes256;
use fpe::ff1::{FF1, FlexibleNumeralString};
use serde::Deserialize;
use statera_core::{Error, Result};
use std::collections::HashMap;

pub(super) const KIND: MethodKind = MethodKind {
    name: "token",
    about: "a token of the same form (FF1); joins; reversible (domain, alphabet, keep, type)",
    needs_key: true,
    build: |setup| {
        let settings: Settings = setup.read()?;
        let domain = settings.domain.as_deref().unwrap_or(setup.column);
        let keep = settings.keep.as_deref().unwrap_or(PUNCTUATION);
        let alphabet = settings.alphabet.as_deref().unwrap_or("digits");
        let token = Token::new(setup.key, domain, alphabet, keep, settings.r#type)?;
        Ok(Action::Replace(Box::new(token)))
    },
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    domain: Option<String>,
    alphabet: Option<String>,
    keep: Option<String>,
    #[serde(default)]
    r#type: CellType,
}

/// Alphabets that have a name.
const ALPHABETS: &[(&str, &str)] = &[
    ("digits", "0123456789"),
    ("hex", "0123456789abcdef"),
    ("lower", "abcdefghijklmnopqrstuvwxyz"),
    ("upper", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
    ("alphanumeric", "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"),
];
/// What stays in its place unless the policy says otherwise.
const PUNCTUATION: &str = " -./()+";
/// Least number of values that cells of one length may take (SP 800-38G revision 1, section 5.1): below it the cells could
/// be found by trying.
const DOMAIN_MIN: u64 = 1_000_000;
/// Longer cells are not tokens of anything, and the work grows with the square of the length.
const LENGTH_MAX: usize = 256;

struct Token {
    cipher: FF1<Aes256>,
    /// The alphabet as the policy names it.
    name: String,
    letters: Vec<char>,
    numerals: HashMap<char, u16>,
    /// Characters that stay.
    keep: String,
    /// Least characters of the alphabet in a cell.
    length_min: usize,
    cell_type: CellType,
}

impl Token {
    fn new(key: &Key, domain: &str, alphabet: &str, keep: &str, cell_type: CellType) -> Result<Token> {
        let name = alphabet;
        let letters: Vec<char> =
            ALPHABETS.iter().find(|(n, _)| *n == name).map_or(name, |(_, letters)| letters).chars().collect();
        let wrong = |why: String| {
            let names: Vec<&str> = ALPHABETS.iter().map(|(n, _)| *n).collect();
            Error::request(format!(
                "alphabet «{name}» {why}; allowed are {}, and 2 to 65,536 different characters",
                names.join(", ")
            ))
        };
        if !(2..=65_536).contains(&letters.len()) {
            return Err(wrong(format!("has {} characters", letters.len())));
        }
        let mut numerals = HashMap::new();
        for (numeral, &letter) in letters.iter().enumerate() {
            if numerals.insert(letter, numeral as u16).is_some() {
                return Err(wrong(format!("holds «{letter}» twice")));
            }
        }
        // A character of both belongs to the alphabet.
        let keep: String = keep.chars().filter(|c| !numerals.contains_key(c)).collect();
        let radix = letters.len() as u64;
        let length_min = (2..).find(|&n| radix.checked_pow(n).is_none_or(|size| size >= DOMAIN_MIN)).unwrap_or(20);
        let subkey: &[u8; KEY_BYTES] = &key.subkey("token", domain);
        let cipher = FF1::new(subkey, radix as u32).map_err(|e| wrong(e.to_string()))?;
        Ok(Token { cipher, name: name.into(), letters, numerals, keep, length_min: length_min as usize, cell_type })
    }

    /// The cell with the numerals that `permute` makes of its own.
    fn through(
        &self,
        cell: &str,
        permute: impl Fn(&FlexibleNumeralString) -> std::result::Result<FlexibleNumeralString, fpe::ff1::NumeralStringError>,
    ) -> Result<String> {
        let mut numerals = Vec::with_capacity(cell.len());
        for (at, c) in cell.chars().enumerate() {
            match self.numerals.get(&c) {
                Some(&numeral) => numerals.push(numeral),
                None if self.keep.contains(c) => {}
                None => {
                    return Err(Error::data(format!(
                        "character {} is neither of the alphabet «{}» nor one of «{}», which stay",
                        at + 1,
                        self.name,
                        self.keep
                    )));
                }
            }
        }
        let n = numerals.len();
        if n < self.length_min {
            let radix = self.letters.len();
            return Err(Error::data(format!(
                "{n} characters of an alphabet of {radix} take only {radix}^{n} values, and FF1 needs 1,000,000: allowed \
                 are {} characters and more; «hash» and «encrypt» take shorter cells",
                self.length_min
            )));
        }
        if n > LENGTH_MAX {
            return Err(Error::data(format!("{n} characters; allowed are {} to {LENGTH_MAX}", self.length_min)));
        }
        let permuted = permute(&FlexibleNumeralString::from(numerals)).map_err(|e| Error::data(format!("FF1: {e}")))?;
        let mut permuted = Vec::<u16>::from(permuted).into_iter();
        Ok(cell
            .chars()
            .map(|c| match self.numerals.contains_key(&c) {
                true => permuted.next().map_or(c, |numeral| self.letters[usize::from(numeral)]),
                false => c,
            })
            .collect())
    }
}

impl Method for Token {
    fn mask(&self, cell: &str, _: u64) -> Result<String> {
        self.through(cell, |numerals| self.cipher.encrypt(&[], numerals))
    }

    fn unmask(&self, cell: &str) -> Result<String> {
        self.through(cell, |numerals| self.cipher.decrypt(&[], numerals))
    }

    fn cell_type(&self) -> Option<&CellType> {
        Some(&self.cell_type)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aes::{Aes128, Aes192};
    use statera_core::Rng;
    use std::collections::HashSet;

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
    }

    /// The nine samples that NIST publishes for FF1: key, radix, tweak, plaintext, ciphertext.
    const SAMPLES: [(&str, u32, &str, &str, &str); 9] = {
        const K128: &str = "2B7E151628AED2A6ABF7158809CF4F3C";
        const K192: &str = "2B7E151628AED2A6ABF7158809CF4F3CEF4359D8D580AA4F";
        const K256: &str = "2B7E151628AED2A6ABF7158809CF4F3CEF4359D8D580AA4F7F036D6F04FC6A94";
        const T10: &str = "39383736353433323130";
        const T36: &str = "3737373770717273373737";
        const P10: &str = "0123456789";
        const P36: &str = "0123456789abcdefghi";
        [
            (K128, 10, "", P10, "2433477484"),
            (K128, 10, T10, P10, "6124200773"),
            (K128, 36, T36, P36, "a9tv40mll9kdu509eum"),
            (K192, 10, "", P10, "2830668132"),
            (K192, 10, T10, P10, "2496655549"),
            (K192, 36, T36, P36, "xbj3kv35jrawxv32ysr"),
            (K256, 10, "", P10, "6657667009"),
            (K256, 10, T10, P10, "1001623463"),
            (K256, 36, T36, P36, "xs8a0azh2avyalyzuwd"),
        ]
    };

    #[test]
    fn ff1_passes_the_nine_samples_of_nist() {
        for (key, radix, tweak, plain, masked) in SAMPLES {
            let numerals = |text: &str| {
                FlexibleNumeralString::from(text.chars().map(|c| c.to_digit(36).unwrap() as u16).collect::<Vec<_>>())
            };
            let text = |numerals: FlexibleNumeralString| -> String {
                Vec::<u16>::from(numerals).into_iter().map(|n| char::from_digit(n.into(), 36).unwrap()).collect()
            };
            let (key, tweak) = (hex(key), hex(tweak));
            macro_rules! check {
                ($cipher:ty) => {{
                    let ff1 = FF1::<$cipher>::new(&key, radix).unwrap();
                    assert_eq!(text(ff1.encrypt(&tweak, &numerals(plain)).unwrap()), masked);
                    assert_eq!(text(ff1.decrypt(&tweak, &numerals(masked)).unwrap()), plain);
                }};
            }
            match key.len() {
                16 => check!(Aes128),
                24 => check!(Aes192),
                _ => check!(Aes256),
            }
        }
    }

    fn token(alphabet: &str) -> Token {
        Token::new(&Key::of_nobody(), "card", alphabet, PUNCTUATION, CellType::default()).unwrap()
    }

    #[test]
    fn the_form_stays_and_the_cell_comes_back() {
        let mut rng = Rng::new(5);
        let digits = token("digits");
        let mut seen = HashSet::new();
        for _ in 0..3000 {
            let cell: String = (0..16).map(|_| char::from(b'0' + rng.below(10) as u8)).collect();
            let cell = format!("{}-{}-{} {}", &cell[..4], &cell[4..8], &cell[8..12], &cell[12..]);
            let masked = digits.mask(&cell, 0).unwrap();
            let form = |text: &str| text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect::<String>();
            assert_eq!((form(&masked), digits.unmask(&masked).unwrap()), (form(&cell), cell.clone()));
            assert!(masked != cell && seen.insert(masked));
        }
        let korean = token("가나다라마바사아자차카타파하");
        let masked = korean.mask("가나-다라 마바", 0).unwrap();
        assert_eq!(korean.unmask(&masked).unwrap(), "가나-다라 마바");
        assert!(masked.chars().nth(2) == Some('-') && masked.chars().nth(5) == Some(' '));
        let id = token("alphanumeric");
        assert_eq!(id.unmask(&id.mask("Kim-2026/A", 0).unwrap()).unwrap(), "Kim-2026/A");
    }

    #[test]
    fn what_cannot_be_a_token_is_named_and_not_shown() {
        let said = |cell: &str| token("digits").mask(cell, 0).unwrap_err().to_string();
        assert_eq!(
            said("12-345"),
            "5 characters of an alphabet of 10 take only 10^5 values, and FF1 needs 1,000,000: allowed are 6 characters and \
             more; «hash» and «encrypt» take shorter cells"
        );
        assert_eq!(
            said("1234x678"),
            "character 5 is neither of the alphabet «digits» nor one of « -./()+», which stay"
        );
        assert_eq!(said(&"1".repeat(257)), "257 characters; allowed are 6 to 256");
        for (alphabet, why) in [("x", "has 1 characters"), ("abca", "holds «a» twice")] {
            let made = Token::new(&Key::of_nobody(), "", alphabet, "", CellType::default());
            let said = made.err().expect("refused").to_string();
            assert!(said.starts_with(&format!("alphabet «{alphabet}» {why}; allowed are digits, hex")), "{said}");
        }
        // The least length of each alphabet is the library's too.
        for (alphabet, least) in [("01", 20), ("digits", 6), ("hex", 5), ("lower", 5), ("alphanumeric", 4)] {
            let token = token(alphabet);
            let cell: String = token.letters.iter().cycle().take(least).collect();
            assert!(token.mask(&cell, 0).is_ok() && token.mask(&cell[1..], 0).is_err(), "{alphabet}");
        }
    }
}
