//! Category, free text or identifier: by the name of a column, its distinct values and how its cells look.

use super::cells::Cells;
use super::survey::{missing_token, trimmed};
use rayon::prelude::*;
use statera_core::Kind;
use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};

/// Share of distinct cells from which a column that is named like a key is one.
const NEAR_UNIQUE: f64 = 0.9;
/// Distinct values above which a column named `…id` is a key even where values repeat, as in a table of transactions.
const KEYS_MIN: f64 = 1000.0;
/// Rows from which uniqueness alone says something.
const ROWS_MIN: usize = 50;
/// Letters on average above which levels are free text.
const LEVEL_LENGTH_MAX: usize = 60;
/// Hashes kept by [`Distinct`]: counts are exact up to here.
const HASHES_MAX: usize = 1 << 16;

/// Words that name a key whatever its values look like.
const KEY_WORDS: [&str; 4] = ["id", "ids", "uuid", "guid"];
/// Words that name a key where nearly every value is another.
const NUMBER_WORDS: [&str; 8] = ["key", "no", "nr", "num", "number", "ref", "code", "serial"];
/// Endings that do so in Korean and Chinese.
const NUMBER_ENDINGS: [&str; 7] = ["번호", "아이디", "编号", "号码", "号", "編號", "证件"];

/// How much a name says that the column is a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
enum Hint {
    None,
    Weak,
    Strong,
}

/// True if the name alone suggests a key.
pub(super) fn is_named_like_key(name: &str) -> bool {
    hint(name) > Hint::None
}

fn hint(name: &str) -> Hint {
    let words = words(name);
    let is = |word: Option<&String>, list: &[&str]| word.is_some_and(|w| list.contains(&w.as_str()));
    if is(words.last(), &KEY_WORDS) || is(words.first(), &KEY_WORDS) {
        Hint::Strong
    } else if is(words.last(), &NUMBER_WORDS) || NUMBER_ENDINGS.iter().any(|e| name.trim().ends_with(e)) {
        Hint::Weak
    } else {
        Hint::None
    }
}

/// The words of a name in lower case, split at everything but letters and digits and where `camelCase` changes.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before_lower = false;
    for c in name.chars() {
        if !c.is_alphanumeric() || (before_lower && c.is_uppercase()) {
            words.push(String::new());
        }
        if c.is_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.extend(c.to_lowercase());
        }
        before_lower = c.is_lowercase();
    }
    words.retain(|w| !w.is_empty());
    words
}

/// The kind of a column of integers if its name and values say that it is not a number.
pub(super) fn kind_of_integers(name: &str, chunks: &[Cells]) -> Option<Kind> {
    let hint = hint(name);
    if hint == Hint::None {
        return None;
    }
    let looks = Looks::of(chunks);
    if looks.is_near_unique() || (hint == Hint::Strong && looks.distinct > KEYS_MIN) {
        Some(Kind::Identifier)
    } else if hint == Hint::Strong && looks.n > 0 {
        Some(Kind::Category)
    } else {
        None
    }
}

/// The kind of a column of text.
pub(super) fn kind_of_text(name: &str, chunks: &[Cells]) -> Kind {
    let looks = Looks::of(chunks);
    if looks.n == 0 {
        return Kind::Category;
    }
    let hint = hint(name);
    if (hint > Hint::None && looks.is_near_unique()) || (hint == Hint::Strong && looks.distinct > KEYS_MIN) {
        return Kind::Identifier;
    }
    let most = |n: usize| n * 2 > looks.n;
    if looks.n >= ROWS_MIN && looks.distinct * 2.0 > looks.n as f64 {
        return if !most(looks.n_blank) && most(looks.n_digit) { Kind::Identifier } else { Kind::Text };
    }
    if looks.n_bytes > LEVEL_LENGTH_MAX * looks.n { Kind::Text } else { Kind::Category }
}

/// How the cells of a column look.
#[derive(Default)]
struct Looks {
    /// Cells that are not missing.
    n: usize,
    /// Distinct values, exact up to [`HASHES_MAX`].
    distinct: f64,
    /// Cells with a blank inside.
    n_blank: usize,
    /// Cells with a digit.
    n_digit: usize,
    /// Bytes of all cells.
    n_bytes: usize,
}

impl Looks {
    fn of(chunks: &[Cells]) -> Looks {
        let parts = chunks.par_iter().map(|cells| {
            let mut part = (Looks::default(), Distinct::default());
            cells.each(|cell| part.0.see(cell, &mut part.1));
            part
        });
        // Which hashes are kept does not depend on the order in which parts are joined.
        let joined = parts.reduce(Default::default, |a, b| (a.0.and(&b.0), a.1.and(b.1)));
        Looks { distinct: joined.1.count(), ..joined.0 }
    }

    fn see(&mut self, cell: &str, distinct: &mut Distinct) {
        let cell = trimmed(cell);
        if missing_token(cell).is_some() {
            return;
        }
        self.n += 1;
        self.n_bytes += cell.len();
        self.n_blank += usize::from(cell.bytes().any(|b| b == b' '));
        self.n_digit += usize::from(cell.bytes().any(|b| b.is_ascii_digit()));
        distinct.see(cell);
    }

    /// Both parts but for the distinct values, which are not sums.
    fn and(&self, other: &Looks) -> Looks {
        Looks {
            n: self.n + other.n,
            distinct: 0.0,
            n_blank: self.n_blank + other.n_blank,
            n_digit: self.n_digit + other.n_digit,
            n_bytes: self.n_bytes + other.n_bytes,
        }
    }

    fn is_near_unique(&self) -> bool {
        self.n > 0 && self.distinct >= NEAR_UNIQUE * self.n as f64
    }
}

/// Counts distinct values at constant memory: of the hashes, those that end in `depth` zero bits are kept, so that each
/// stands for `2^depth` values (Wegman's adaptive sampling; Flajolet 1990). Exact while `depth` is 0.
#[derive(Default)]
struct Distinct {
    hashes: HashSet<u64, BuildHasherDefault<AsIs>>,
    depth: u32,
    /// Repeated values often stand together.
    last: Option<u64>,
}

impl Distinct {
    fn see(&mut self, cell: &str) {
        let hash = hash(cell.as_bytes());
        if self.last.replace(hash) != Some(hash) {
            self.insert(hash);
        }
    }

    fn insert(&mut self, hash: u64) {
        if hash.trailing_zeros() < self.depth {
            return;
        }
        self.hashes.insert(hash);
        while self.hashes.len() > HASHES_MAX {
            self.depth += 1;
            self.hashes.retain(|h| h.trailing_zeros() >= self.depth);
        }
    }

    fn and(self, other: Distinct) -> Distinct {
        let (mut all, fewer) = if self.hashes.len() < other.hashes.len() { (other, self) } else { (self, other) };
        if fewer.depth > all.depth {
            all.depth = fewer.depth;
            all.hashes.retain(|h| h.trailing_zeros() >= fewer.depth);
        }
        fewer.hashes.into_iter().for_each(|hash| all.insert(hash));
        all
    }

    fn count(&self) -> f64 {
        self.hashes.len() as f64 * f64::from(self.depth).exp2()
    }
}

/// A hash of 64 bits: words are folded in by full multiplications, as in wyhash (Wang 2019).
fn hash(cell: &[u8]) -> u64 {
    let fold = |state: u64, word: u64| {
        let product = u128::from(state ^ 0xA076_1D64_78BD_642F) * u128::from(word ^ 0xE703_7ED1_A0B4_28DB);
        (product as u64) ^ (product >> 64) as u64
    };
    let words = cell.chunks(8).map(|chunk| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        u64::from_le_bytes(word)
    });
    fold(words.fold(0x8EBC_6AF0_9C88_C6E3, fold), cell.len() as u64)
}

/// Hashes that are hashes already; the set takes the low bits for the place, which [`Distinct`] leaves zero, so they turn.
#[derive(Default)]
struct AsIs(u64);

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash.rotate_left(32);
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = hash(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::StringArray;

    #[test]
    fn names_hint_at_keys() {
        let check = |name: &str, expected: Hint| assert_eq!(hint(name), expected, "{name}");
        for name in ["ID", "customer_id", "customerId", "TRANSACTION_ID", "id_client", "Row ID"] {
            check(name, Hint::Strong);
        }
        for name in ["account_no", "phone number", "고객번호", "客户编号", "postal_code"] {
            check(name, Hint::Weak);
        }
        for name in ["paid", "bid", "number_of_loans", "age", "idea", ""] {
            check(name, Hint::None);
        }
    }

    #[test]
    fn counts_distinct_values_exactly_and_then_within_two_percent() {
        let count = |n: usize| {
            let mut distinct = Distinct::default();
            for i in 0..3 * n {
                distinct.see(&format!("v{}", i % n));
            }
            distinct.count()
        };
        assert_eq!(count(60_000), 60_000.0);
        let many = count(1_000_000);
        assert!((many / 1e6 - 1.0).abs() < 0.02, "{many}");
        let parts = (0..10).map(|part| {
            let mut distinct = Distinct::default();
            (0..200_000).for_each(|i| distinct.see(&format!("v{}", part * 100_000 + i)));
            distinct
        });
        let mut whole = Distinct::default();
        (0..1_100_000).for_each(|i| whole.see(&format!("v{i}")));
        let joined = parts.fold(Distinct::default(), Distinct::and);
        assert_eq!((joined.depth, joined.hashes), (whole.depth, whole.hashes));
    }

    #[test]
    fn cells_decide_between_category_text_and_identifier() {
        let check = |name: &str, cells: Vec<String>, expected: Kind| {
            let half = cells.len() / 2;
            let chunks = [&cells[..half], &cells[half..]].map(|part| Cells::of(StringArray::from(part.to_vec())));
            assert_eq!(kind_of_text(name, &chunks), expected, "{name}");
        };
        let each = |n: usize, f: fn(usize) -> String| (0..n).map(f).collect::<Vec<_>>();
        check("city", each(8, |i| format!("town {i}")), Kind::Category);
        check("city", each(100, |i| format!("town{}", i % 30)), Kind::Category);
        check("account", each(100, |i| format!("AC{i:05}")), Kind::Identifier);
        check("comment", each(100, |i| format!("the {i} th remark")), Kind::Text);
        check("surname", each(100, |i| "ab".repeat(i + 1)), Kind::Text);
        check("customer_id", each(10, |i| format!("C{i}")), Kind::Identifier);
        check("customer_id", each(5000, |i| format!("C{}", i % 2000)), Kind::Identifier);
        check("branch_id", each(5000, |i| format!("B{}", i % 20)), Kind::Category);
        check("terms", each(100, |i| format!("{} {}", "long ".repeat(20), i % 3)), Kind::Text);
    }
}
