//! Whether the first record of a text names the columns.
//!
//! A record without a number or a date names them, unless most of its cells are values of their own columns again further
//! down. Where some cells look like numbers or dates, the whole record is compared with the records below: it is a header if
//! its cells are distinct, one at least is text above numbers or dates (or a date above numbers), and more cells are unlike
//! their columns than like them. What remains undecided, numbers above numbers of their size or a number among texts above
//! texts, is data: the notes of the source then say that no header was found.

use crate::infer::{self, MISSING_TOKENS};
use crate::time;
use std::collections::HashSet;

/// Records below the first that are looked at.
pub(super) const SAMPLE_RECORDS: usize = 200;

/// The notes of a source with or without a header.
pub(super) fn notes(header: bool) -> Vec<String> {
    if header { Vec::new() } else { vec!["no header was found; columns are column_1 …".into()] }
}

/// A cell as detection sees it.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Cell {
    Missing,
    Number(f64),
    Time,
    Text,
}

fn cell(text: &str) -> Cell {
    if MISSING_TOKENS.contains(&text) {
        Cell::Missing
    } else if let Some(value) = infer::number_of(text) {
        Cell::Number(value)
    } else if time::is_time(text) {
        Cell::Time
    } else {
        Cell::Text
    }
}

/// How the first cell of a column compares with those below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Likeness {
    /// Text above numbers or times, or a time above numbers: hardly a value.
    OtherKind,
    /// A number of another size than those below, or above texts and times.
    Unlike,
    /// A number in the range of those below, a time above times, a text that comes again.
    Like,
    /// Nothing can be told.
    Silent,
}

/// True if `first` names the columns of the records `below`; both are without blanks around the cells. Records with another
/// number of cells are passed over.
pub(super) fn is_header(first: &[String], below: &[Vec<String>]) -> bool {
    if first.iter().all(String::is_empty) {
        return false;
    }
    let below: Vec<&Vec<String>> = below.iter().filter(|r| r.len() == first.len()).take(SAMPLE_RECORDS).collect();
    let names: Vec<Cell> = first.iter().map(|name| cell(name)).collect();
    let run = in_runs(&names, &below);
    let likeness: Vec<Likeness> = (0..first.len())
        .map(|j| match compare(j, first, names[j], &below) {
            Likeness::Like if run[j] => Likeness::Unlike,
            likeness => likeness,
        })
        .collect();
    let count = |wanted: Likeness| likeness.iter().filter(|&&l| l == wanted).count();
    let (other_kind, unlike, like) = (count(Likeness::OtherKind), count(Likeness::Unlike), count(Likeness::Like));
    if !names.iter().any(|n| matches!(n, Cell::Number(_) | Cell::Time)) {
        // Only texts. One column's name may well be one of its values.
        return other_kind > 0 || like < 2 || 2 * like <= first.len();
    }
    // An index is often written with an empty name, in the first column.
    let distinct: HashSet<&String> = first.iter().collect();
    let are_names = distinct.len() == first.len() && !first[1..].iter().any(String::is_empty);
    are_names && other_kind > 0 && other_kind + unlike > like
}

fn compare(j: usize, first: &[String], name: Cell, below: &[&Vec<String>]) -> Likeness {
    let (mut n, mut n_numbers, mut n_times) = (0usize, 0usize, 0usize);
    let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
    for record in below {
        match cell(&record[j]) {
            Cell::Missing => continue,
            Cell::Number(x) => {
                n_numbers += 1;
                (low, high) = (low.min(x), high.max(x));
            }
            Cell::Time => n_times += 1,
            Cell::Text => {}
        }
        n += 1;
    }
    // A column of numbers or times may have some cells that are none.
    let is_all = |count: usize| n > 0 && 10 * count >= 9 * n;
    match name {
        Cell::Missing => Likeness::Silent,
        Cell::Text if is_all(n_numbers) || is_all(n_times) => Likeness::OtherKind,
        Cell::Text => {
            // A record that repeats the first whole is a header again, of files put one after the other.
            let comes_again = below.iter().any(|r| r[j] == first[j] && r.as_slice() != first);
            if comes_again { Likeness::Like } else { Likeness::Silent }
        }
        Cell::Time if is_all(n_numbers) => Likeness::OtherKind,
        Cell::Time if n_times > 0 => Likeness::Like,
        Cell::Number(x) if is_all(n_numbers) => {
            // Beyond the range by more than its width, and by more than half of the greatest size.
            let margin = (high - low).max(0.5 * low.abs().max(high.abs()));
            let is_far = !x.is_finite() || (low - x).max(x - high) > margin;
            if is_far { Likeness::Unlike } else { Likeness::Like }
        }
        Cell::Number(_) if n_numbers > 0 => Likeness::Like,
        Cell::Time | Cell::Number(_) if n > 0 => Likeness::Unlike,
        Cell::Time | Cell::Number(_) => Likeness::Silent,
    }
}

/// Which columns have names that count on, `1`, `2`, `3` or `202312`, `202401`, over records that do not.
fn in_runs(names: &[Cell], below: &[&Vec<String>]) -> Vec<bool> {
    let follows = |a: Cell, b: Cell| match (a, b) {
        (Cell::Number(a), Cell::Number(b)) => {
            b == a + 1.0 || ((190_012.0..300_000.0).contains(&a) && a % 100.0 == 12.0 && b == a + 89.0)
        }
        _ => false,
    };
    let mut run = vec![false; names.len()];
    for j in 1..names.len() {
        let n_too = || below.iter().filter(|r| follows(cell(&r[j - 1]), cell(&r[j]))).count();
        if follows(names[j - 1], names[j]) && 2 * n_too() < below.len() {
            (run[j - 1], run[j]) = (true, true);
        }
    }
    run
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: bool) {
        let mut records: Vec<Vec<String>> =
            text.lines().map(|line| line.split(',').map(str::to_string).collect()).collect();
        let first = records.remove(0);
        assert_eq!(is_header(&first, &records), expected, "{text}");
    }

    #[test]
    fn names_that_look_like_values_are_names() {
        check("id,202401,202402,target\n1,350.5,20,0\n2,12,80.25,1\n3,0,41,0", true);
        // Amounts of the size of the months' names, too.
        check("id,202311,202312,202401,target\n1,350000,20,7,0\n2,12,280000,5,1\n3,0,41,900000,0", true);
        check("customer,2024,amount\n1,yes,5\n2,no,8", true);
        check("a,1,2,b\n7,0.5,3,8\n6,9,1.5,9", true);
        check("a,2024-01-31,b\n7,0.5,8\n6,9,9", true);
        check("a,inf,b\n7,0.5,8\n6,9,9", true);
        check("x,2024\n1,5\n2,7", true);
        check(",a,2024\n0,1,5\n1,2,7", true);
        // One record below is enough.
        check("id,1,2,target\n4711,350,20,0", true);
        // Missing cells below, and a text among numbers.
        check("id,2024,target\n1,NA,0\n2,5,\n3,6,1\n4,7,1\n5,8,1\n6,9,1\n7,1,1\n8,2,1\n9,3,1\n10,4,1\n11,x,1", true);
    }

    #[test]
    fn records_of_values_are_no_header() {
        // Numbers; the first is the largest.
        check("5,1,7.5\n3,2,8\n4,9,7", false);
        check("100000\n1\n2\n3", false);
        check("9000,1,70\n3,2,8\n4,9,7", false);
        check("1,2,3\n4,5,6\n7,8,9", false);
        // Mixed kinds: texts above texts, numbers above numbers, dates above dates.
        check("A11,6,A34,1169\nA12,48,A32,5951\nA14,12,A34,2096", false);
        check("2024-03-05,7\n2024-03-06,8", false);
        check("Bob,31,Paris\nAnn,17,Rome\nJim,60,Oslo", false);
        check("Bob,2024,Paris\nAnn,17,Rome\nJim,60,Oslo", false);
        // A first record with a hole or a word where numbers stand.
        check("3,NA,7\n4,5,6\n5,6,7", false);
        check("A,unknown,5\nB,3,6\nA,4,7", false);
        check("unknown,5\n3,6\n4,7", false);
        // Names must differ; none but the first may be empty.
        check("a,1,1\n7,0.5,8\n6,9,9", false);
        check("a,,2024,b\n7,0,0.5,8\n6,9,9,9", false);
        check("3,4", false);
    }

    #[test]
    fn texts_above_texts_are_names_unless_they_come_again() {
        check("city,grade\nSeoul,good\nBusan,bad", true);
        check("Seoul,good\nBusan,bad\nSeoul,bad\nBusan,good", false);
        check("question\nhello\nbye", true);
        check("a,b", true);
        check(",", false);
        // One name that is also a value.
        check("male,city,grade\nmale,Seoul,good\nfemale,Busan,bad", true);
        // Two files one after the other.
        check("city,grade\nSeoul,good\ncity,grade\nBusan,bad", true);
    }
}
