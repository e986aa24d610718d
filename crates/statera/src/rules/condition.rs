//! The condition of a rule as it is written: `amount > 220 and (country in list watched or not channel = branch)`.
//!
//! Tests of one column are joined by `and`, `or` and `not`. `and` and `or` never stand beside each other without brackets: who
//! reviews a rule must not have to know which of them binds stronger.

use crate::project::{Comparison, Token, Tokens};
use statera_core::{Error, Result};
use std::fmt;

/// Longest text of a condition, in characters.
const MAX_LENGTH: usize = 4_000;
/// Brackets within brackets.
const MAX_DEPTH: usize = 16;
/// Tests of one condition.
pub(super) const MAX_TESTS: usize = 64;
/// Values of one `in (…)`; longer lists are lists of the file.
const MAX_VALUES: usize = 200;
/// What stands for the model's probability where a column could stand.
const SCORE: &str = "score";

/// A condition.
#[derive(Debug, Clone, PartialEq)]
pub enum Condition {
    /// Every part holds.
    All(Vec<Condition>),
    /// At least one part holds.
    Any(Vec<Condition>),
    /// The part does not hold.
    Not(Box<Condition>),
    /// One test of one cell.
    Test(CellTest),
}

/// A test of one cell, of two cells of a row, or of the score. Of a missing cell all of them are false but `is missing`.
#[derive(Debug, Clone, PartialEq)]
pub enum CellTest {
    /// Compared with a value or with another column.
    Compare(Subject, Comparison, Operand),
    /// One of these values; `true` for none of them.
    OneOf(Subject, Vec<String>, bool),
    /// In the list of that name; `true` for not in it.
    InList(String, String, bool),
    /// The cell is missing.
    Missing(Subject),
    /// The cell is there.
    Present(Subject),
    /// The time of day lies in [from, to), minutes from midnight; over midnight where `to` is not above `from`.
    TimeOfDay(String, [u16; 2]),
    /// The day of the week is one of these, bits from Monday.
    Weekday(String, u8),
}

/// What is tested.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// The cell of a column.
    Column(String),
    /// The model's probability of the event.
    Score,
}

/// What a cell is compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operand {
    /// A column where there is one of that name, else a value.
    Word(String),
    /// A value, written in quotes.
    Value(String),
    /// A column, written in backticks.
    Column(String),
}

/// Days of the week, from Monday.
const DAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

impl Condition {
    /// Reads a condition.
    ///
    /// # Errors
    /// Anything that is no condition, by its position and what is allowed there; too long or too deep ones.
    pub fn parse(text: &str) -> Result<Condition> {
        let length = text.chars().count();
        if length > MAX_LENGTH {
            return Err(Error::request(format!(
                "the condition has {length} characters; allowed: at most {MAX_LENGTH}"
            )));
        }
        let mut tokens = Tokens::new(text)?;
        let condition = chain(&mut tokens, 0)?;
        tokens.end("and, or, or the end")?;
        let n = condition.tests().len();
        if n > MAX_TESTS {
            return Err(Error::request(format!("the condition has {n} tests; allowed: at most {MAX_TESTS}")));
        }
        Ok(condition)
    }

    /// Its tests, in the order of the text.
    pub fn tests(&self) -> Vec<&CellTest> {
        match self {
            Condition::All(parts) | Condition::Any(parts) => parts.iter().flat_map(Condition::tests).collect(),
            Condition::Not(part) => part.tests(),
            Condition::Test(test) => vec![test],
        }
    }
}

impl CellTest {
    /// True if the test names a column, or what is one where there is one of that name.
    pub fn reads(&self, name: &str) -> bool {
        let is = |subject: &Subject| matches!(subject, Subject::Column(own) if own == name);
        match self {
            CellTest::Compare(subject, _, Operand::Word(other) | Operand::Column(other)) => {
                is(subject) || other == name
            }
            CellTest::Compare(subject, ..)
            | CellTest::OneOf(subject, ..)
            | CellTest::Missing(subject)
            | CellTest::Present(subject) => is(subject),
            CellTest::InList(own, ..) | CellTest::TimeOfDay(own, _) | CellTest::Weekday(own, _) => own == name,
        }
    }
}

/// Parts joined by `and`, or by `or`.
fn chain(tokens: &mut Tokens, depth: usize) -> Result<Condition> {
    if depth > MAX_DEPTH {
        return Err(Error::request(format!("brackets and not lie {depth} deep; allowed: at most {MAX_DEPTH}")));
    }
    let mut parts = vec![part(tokens, depth)?];
    let mut joined: Option<&str> = None;
    loop {
        let word = if tokens.take_word("and") {
            "and"
        } else if tokens.take_word("or") {
            "or"
        } else {
            break;
        };
        if let Some(other) = joined.filter(|other| *other != word) {
            return Err(tokens.error(&format!("{other}, or brackets around what belongs together")));
        }
        joined = Some(word);
        parts.push(part(tokens, depth)?);
    }
    Ok(match joined {
        Some("or") => Condition::Any(parts),
        Some(_) => Condition::All(parts),
        None => parts.swap_remove(0),
    })
}

fn part(tokens: &mut Tokens, depth: usize) -> Result<Condition> {
    if depth > MAX_DEPTH {
        return Err(Error::request(format!("brackets and not lie {depth} deep; allowed: at most {MAX_DEPTH}")));
    }
    if tokens.take_word("not") {
        return Ok(Condition::Not(Box::new(part(tokens, depth + 1)?)));
    }
    if tokens.peek() == Some(&Token::Open) {
        tokens.next();
        let inner = chain(tokens, depth + 1)?;
        tokens.expect(&Token::Close, "and, or, or )")?;
        return Ok(inner);
    }
    Ok(Condition::Test(test(tokens)?))
}

fn test(tokens: &mut Tokens) -> Result<CellTest> {
    let subject = match tokens.next() {
        Some(Token::Backticked(name)) => Subject::Column(name),
        Some(Token::Word(word)) => {
            let is = |name: &str| word.eq_ignore_ascii_case(name);
            if is("time") && tokens.take_word("of") {
                return time_of_day(tokens);
            }
            if is("weekday") && tokens.take_word("of") {
                return weekday(tokens);
            }
            if is(SCORE) { Subject::Score } else { Subject::Column(word) }
        }
        _ => {
            return Err(
                tokens.error("a column (in backticks if it is no plain word), score, time of, weekday of, not or (")
            );
        }
    };
    if tokens.take_word("is") {
        return if tokens.take_word("missing") {
            Ok(CellTest::Missing(subject))
        } else if tokens.take_word("present") {
            Ok(CellTest::Present(subject))
        } else {
            tokens.next();
            Err(tokens.error("missing or present"))
        };
    }
    let is_negated = tokens.take_word("not");
    if tokens.take_word("in") {
        return membership(tokens, subject, is_negated);
    }
    match tokens.next() {
        Some(Token::Compare(comparison)) if !is_negated => Ok(CellTest::Compare(subject, comparison, operand(tokens)?)),
        _ if is_negated => Err(tokens.error("in")),
        _ => Err(tokens.error("one of = != < <= > >= in, not in, is")),
    }
}

fn membership(tokens: &mut Tokens, subject: Subject, is_negated: bool) -> Result<CellTest> {
    if tokens.take_word("list") {
        let list = tokens.name("the name of a list")?;
        return match subject {
            Subject::Column(column) => Ok(CellTest::InList(column, list, is_negated)),
            Subject::Score => {
                Err(Error::request("the score is in no list; allowed are comparisons with a probability"))
            }
        };
    }
    let values = values(tokens)?;
    Ok(CellTest::OneOf(subject, values, is_negated))
}

fn operand(tokens: &mut Tokens) -> Result<Operand> {
    match tokens.next() {
        Some(Token::Word(word)) => Ok(Operand::Word(word)),
        Some(Token::Quoted(text)) => Ok(Operand::Value(text)),
        Some(Token::Backticked(name)) => Ok(Operand::Column(name)),
        _ => Err(tokens.error("a value, or a column")),
    }
}

fn values(tokens: &mut Tokens) -> Result<Vec<String>> {
    tokens.expect(&Token::Open, "list and its name, or ( and values")?;
    let mut values = vec![tokens.name("a value")?];
    loop {
        match tokens.next() {
            Some(Token::Comma) => values.push(tokens.name("a value")?),
            Some(Token::Close) => break,
            _ => return Err(tokens.error(", or )")),
        }
    }
    if values.len() > MAX_VALUES {
        let n = values.len();
        return Err(Error::request(format!(
            "in: {n} values; allowed: at most {MAX_VALUES}, more belong in a [[list]]"
        )));
    }
    Ok(values)
}

/// After `time of`: `tx_datetime from 22:00 to 06:00`.
fn time_of_day(tokens: &mut Tokens) -> Result<CellTest> {
    let column = tokens.name("a column of times")?;
    let mut ends = [0; 2];
    for (word, end) in ["from", "to"].into_iter().zip(&mut ends) {
        if !tokens.take_word(word) {
            tokens.next();
            return Err(tokens.error(word));
        }
        let text = tokens.name("a time of day such as 22:00")?;
        *end = minutes(&text).ok_or_else(|| tokens.error("a time of day from 00:00 to 24:00"))?;
    }
    if ends[0] % 1440 == ends[1] % 1440 {
        return Err(tokens.error("another time of day than the first; the two hold no or every time"));
    }
    Ok(CellTest::TimeOfDay(column, [ends[0] % 1440, ends[1]]))
}

/// Minutes from midnight of `HH:MM`, up to 24:00.
fn minutes(text: &str) -> Option<u16> {
    let (hour, minute) = text.split_once(':')?;
    let two = |part: &str| (part.len() == 2).then(|| part.parse::<u16>().ok()).flatten();
    let (hour, minute) = (two(hour)?, two(minute)?);
    let all = 60 * hour + minute;
    (minute < 60 && all <= 1440).then_some(all)
}

/// After `weekday of`: `tx_datetime in (saturday, sunday)`.
fn weekday(tokens: &mut Tokens) -> Result<CellTest> {
    let column = tokens.name("a column of times")?;
    if !tokens.take_word("in") {
        tokens.next();
        return Err(tokens.error("in and days such as (saturday, sunday)"));
    }
    let mut days = 0;
    for name in values(tokens)? {
        let day = DAYS.iter().position(|day| *day == name.to_lowercase());
        let day = day.ok_or_else(|| {
            Error::request(format!("«{name}» is no day of the week; allowed are {}", DAYS.join(", ")))
        })?;
        days |= 1 << day;
    }
    Ok(CellTest::Weekday(column, days))
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Subject::Column(name) => f.write_str(name),
            Subject::Score => f.write_str(SCORE),
        }
    }
}

impl fmt::Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Operand::Word(text) | Operand::Value(text) | Operand::Column(text)) = self;
        f.write_str(text)
    }
}

impl fmt::Display for CellTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let not = |is_negated: &bool| if *is_negated { "not " } else { "" };
        match self {
            CellTest::Compare(subject, comparison, operand) => write!(f, "{subject} {comparison} {operand}"),
            CellTest::OneOf(subject, values, negated) => {
                write!(f, "{subject} {}in ({})", not(negated), values.join(", "))
            }
            CellTest::InList(column, list, negated) => write!(f, "{column} {}in list {list}", not(negated)),
            CellTest::Missing(subject) => write!(f, "{subject} is missing"),
            CellTest::Present(subject) => write!(f, "{subject} is present"),
            CellTest::TimeOfDay(column, ends) => {
                let [from, to] = ends.map(|m| format!("{:02}:{:02}", m / 60, m % 60));
                write!(f, "time of {column} from {from} to {to}")
            }
            CellTest::Weekday(column, days) => {
                let names: Vec<&str> = (0..7).filter(|d| days >> d & 1 == 1).map(|d| DAYS[d]).collect();
                write!(f, "weekday of {column} in ({})", names.join(", "))
            }
        }
    }
}
