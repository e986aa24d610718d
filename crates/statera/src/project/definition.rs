//! The definition of bad: `max(days_past_due) >= 90 within 12 months`.
//!
//! ```text
//! definition := clause { and|or clause }            «and» binds tighter than «or»
//! clause     := function ( column ) comparison value [ within N months|days ]
//! function   := max | min | sum | count | any
//! ```
//! The cells are those of the loan's rows in the performance table, dated after the observation and up to the end of the
//! window. Missing cells are passed over: a `max`, `min` or `sum` of no cell makes the clause false, a `count` of none is 0.

use super::token::{Comparison, Token, Tokens};
use statera_core::{Error, Result};

/// What is taken of a loan's cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Function {
    /// The highest.
    Max,
    /// The lowest.
    Min,
    /// The sum.
    Sum,
    /// How many are not missing.
    Count,
    /// True if the comparison holds for any of them; the only function of a column that is no number.
    Any,
}

impl Function {
    const ALL: [(&str, Function); 5] = [
        ("max", Function::Max),
        ("min", Function::Min),
        ("sum", Function::Sum),
        ("count", Function::Count),
        ("any", Function::Any),
    ];
}

/// How long after the observation cells are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    /// Calendar months in the project's time zone.
    Months(u32),
    /// Days of 24 hours.
    Days(u32),
}

/// What a cell is compared with.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A number.
    Number(f64),
    /// Text, written in quotes.
    Text(String),
}

/// One comparison.
#[derive(Debug, Clone, PartialEq)]
pub struct Clause {
    /// What is taken of the cells.
    pub function: Function,
    /// The column of the performance table.
    pub column: String,
    /// How it is compared.
    pub comparison: Comparison,
    /// With what.
    pub value: Value,
    /// The window; `None`: the project's performance window.
    pub window: Option<Window>,
}

/// A definition: it holds if all clauses of any of its alternatives hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Definition {
    /// Alternatives, each of one clause or more.
    pub alternatives: Vec<Vec<Clause>>,
}

impl Definition {
    /// Reads a definition.
    ///
    /// # Errors
    /// Anything that is no definition, by its position and what is allowed there.
    ///
    /// ```
    /// use statera::project::Definition;
    /// assert!(Definition::parse("max(days_past_due) >= 90 within 12 months").is_ok());
    /// let error = Definition::parse("mean(days_past_due) >= 90").unwrap_err();
    /// assert!(error.to_string().contains("position 1: «mean» is not allowed; allowed is max, min, sum, count or any"));
    /// ```
    pub fn parse(text: &str) -> Result<Definition> {
        let mut tokens = Tokens::new(text)?;
        let mut alternatives = vec![vec![clause(&mut tokens)?]];
        while tokens.peek().is_some() {
            if tokens.take_word("or") {
                alternatives.push(vec![clause(&mut tokens)?]);
            } else if tokens.take_word("and") {
                let clause = clause(&mut tokens)?;
                alternatives.last_mut().into_iter().for_each(|all| all.push(clause.clone()));
            } else {
                tokens.end("within, and, or, or the end")?;
            }
        }
        Ok(Definition { alternatives })
    }

    /// Every clause.
    pub fn clauses(&self) -> impl Iterator<Item = &Clause> {
        self.alternatives.iter().flatten()
    }

    /// Whether the definition holds, given whether each clause does.
    pub fn holds(&self, mut clause_holds: impl FnMut(&Clause) -> bool) -> bool {
        self.alternatives.iter().any(|all| all.iter().all(&mut clause_holds))
    }
}

fn clause(tokens: &mut Tokens) -> Result<Clause> {
    let functions = "max, min, sum, count or any";
    let name = match tokens.next() {
        Some(Token::Word(name)) => name.to_ascii_lowercase(),
        _ => return Err(tokens.error(functions)),
    };
    let Some((_, function)) = Function::ALL.into_iter().find(|(known, _)| *known == name) else {
        return Err(tokens.error(functions));
    };
    tokens.expect(&Token::Open, "( and a column of the performance table")?;
    let column = tokens.name("a column of the performance table")?;
    tokens.expect(&Token::Close, ")")?;
    let comparison = tokens.comparison()?;
    let value = value(tokens, function, comparison)?;
    let window = if tokens.take_word("within") { Some(window(tokens)?) } else { None };
    Ok(Clause { function, column, comparison, value, window })
}

fn value(tokens: &mut Tokens, function: Function, comparison: Comparison) -> Result<Value> {
    match tokens.next() {
        Some(Token::Word(word)) => match word.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Value::Number(number)),
            _ => Err(tokens.error("a number, or text in quotes")),
        },
        Some(Token::Quoted(text) | Token::Backticked(text)) => {
            let equality = matches!(comparison, Comparison::Equal | Comparison::Different);
            if function == Function::Any && equality {
                Ok(Value::Text(text))
            } else {
                Err(tokens.error("a number; text can only be compared by any(…) = and any(…) !="))
            }
        }
        _ => Err(tokens.error("a number, or text in quotes")),
    }
}

fn window(tokens: &mut Tokens) -> Result<Window> {
    let length = match tokens.next() {
        Some(Token::Word(word)) => word.parse::<u32>().ok().filter(|n| (1..=36_500).contains(n)),
        _ => None,
    };
    let Some(length) = length else { return Err(tokens.error("a whole number from 1 to 36500, then days or months")) };
    match tokens.next() {
        Some(Token::Word(unit)) if matches!(unit.as_str(), "month" | "months") && length <= 1200 => {
            Ok(Window::Months(length))
        }
        Some(Token::Word(unit)) if matches!(unit.as_str(), "day" | "days") => Ok(Window::Days(length)),
        _ => Err(tokens.error("days, or at most 1200 months")),
    }
}

impl Window {
    /// Reads `12 months` or `7 days`, and `7d`, as the lengths of windows are written.
    ///
    /// # Errors
    /// Anything else, by its position and what is allowed there.
    pub fn parse(text: &str) -> Result<Window> {
        let days = text.trim().strip_suffix('d').and_then(|days| days.parse().ok());
        if let Some(days) = days.filter(|days| (1..=36_500).contains(days)) {
            return Ok(Window::Days(days));
        }
        let mut tokens = Tokens::new(text)?;
        let window = window(&mut tokens)?;
        if tokens.peek().is_some() {
            tokens.end("the end")?;
        }
        Ok(window)
    }

    /// The last instant of the window, in microseconds UTC.
    ///
    /// # Errors
    /// An instant beyond the year 9999.
    pub fn end(self, observed: i64, zone: &jiff::tz::TimeZone) -> Result<i64> {
        let beyond = |_| Error::data(format!("a window of {self:?} after {observed} µs ends beyond the year 9999"));
        let start = jiff::Timestamp::from_microsecond(observed).map_err(beyond)?;
        let span = match self {
            Window::Months(n) => jiff::Span::new().try_months(n),
            Window::Days(n) => jiff::Span::new().try_hours(i64::from(n) * 24),
        }
        .map_err(beyond)?;
        let end = start.to_zoned(zone.clone()).checked_add(span).map_err(beyond)?;
        Ok(end.timestamp().as_microsecond())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_functions_names_windows_and_precedence() {
        let text = "max(days_past_due) >= 90 within 12 months or ANY(`loan status`) = 'charged off' and count(x) < 3";
        let definition = Definition::parse(text).unwrap();
        assert_eq!(definition.alternatives.len(), 2);
        assert_eq!(
            definition.alternatives[0],
            [Clause {
                function: Function::Max,
                column: "days_past_due".into(),
                comparison: Comparison::AtLeast,
                value: Value::Number(90.0),
                window: Some(Window::Months(12)),
            }]
        );
        let [second, third] = &definition.alternatives[1][..] else { panic!("two clauses") };
        assert_eq!((second.column.as_str(), &second.value), ("loan status", &Value::Text("charged off".into())));
        assert_eq!((third.function, third.window), (Function::Count, None));
        assert!(definition.holds(|c| c.function == Function::Max));
        assert!(!definition.holds(|c| c.function == Function::Any));
        assert!(definition.holds(|c| c.function != Function::Max));
    }

    fn refused(text: &str, message: &str) {
        let error = Definition::parse(text).unwrap_err();
        assert!(error.is_request() && error.to_string().contains(message), "«{error}» does not contain «{message}»");
    }

    #[test]
    fn errors_show_the_position() {
        refused("", "at the end: something is missing; allowed is max, min, sum, count or any");
        refused("max days", "position 5: «days» is not allowed; allowed is ( and a column");
        refused("max()", "position 5: «)» is not allowed; allowed is a column of the performance table");
        refused("max(d) 90", "position 8: «90» is not allowed; allowed is one of = != < <= > >=");
        refused("max(d) ! 90", "position 8: «!» is not allowed; allowed is !=");
        refused("max(d) >= many", "position 11: «many» is not allowed; allowed is a number, or text in quotes");
        refused("max(d) >= inf", "position 11: «inf» is not allowed");
        refused("max(d) = 'x'", "position 10: «x» is not allowed; allowed is a number; text can only");
        refused("max(d) >= 90 within 0 months", "position 21: «0» is not allowed; allowed is a whole number from 1");
        refused("max(d) >= 90 within 12 weeks", "position 24: «weeks» is not allowed; allowed is days");
        refused("max(d) >= 90 12", "position 14: «12» is not allowed; allowed is within, and, or, or the end");
        refused("any(s) = 'x", "position 10: the quote ' is not closed");
        refused("max(d) ≥ 90", "position 8: «≥» is not allowed");
    }

    #[test]
    fn a_length_of_time_is_read_as_windows_have_it_too() {
        for (text, window) in [
            ("7 days", Window::Days(7)),
            ("7d", Window::Days(7)),
            (" 1d ", Window::Days(1)),
            ("12 months", Window::Months(12)),
        ] {
            assert_eq!(Window::parse(text), Ok(window), "{text}");
        }
        for text in ["0d", "36501d", "d", "7h", "soon", "7"] {
            assert!(Window::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn windows_end_by_the_calendar_of_the_zone() {
        let at = |text: &str| text.parse::<jiff::Timestamp>().unwrap().as_microsecond();
        let utc = jiff::tz::TimeZone::UTC;
        assert_eq!(Window::Months(1).end(at("2024-01-31T00:00:00Z"), &utc).unwrap(), at("2024-02-29T00:00:00Z"));
        assert_eq!(Window::Days(30).end(at("2024-01-31T00:00:00Z"), &utc).unwrap(), at("2024-03-01T00:00:00Z"));
        let paris = jiff::tz::TimeZone::get("Europe/Paris").unwrap();
        assert_eq!(Window::Months(6).end(at("2024-01-14T23:00:00Z"), &paris).unwrap(), at("2024-07-14T22:00:00Z"));
        assert!(Window::Months(1200).end(at("9990-01-01T00:00:00Z"), &utc).is_err());
    }
}
