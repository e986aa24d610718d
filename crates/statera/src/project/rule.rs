//! Exclusion rules: `age < 18`, `status in (closed, 'written off')`, `opened < 2020-01-01`, `income is missing`.

use super::token::{Comparison, Token, Tokens};
use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{Array, ArrayRef, cast::AsArray};
use arrow_schema::DataType;
use statera_core::{Error, Kind, Result};

/// What a rule asks of a cell.
#[derive(Debug, Clone, PartialEq)]
pub enum Test {
    /// The cell compared with a value; a missing cell never passes.
    Compare(Comparison, String),
    /// The cell is one of the values.
    OneOf(Vec<String>),
    /// The cell is missing.
    Missing,
    /// The cell is not missing.
    Present,
}

/// A rule on one column.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// The column.
    pub column: String,
    /// What its cells must pass.
    pub test: Test,
}

impl Rule {
    /// Reads a rule.
    ///
    /// # Errors
    /// Anything that is no rule, by its position and what is allowed there.
    pub fn parse(text: &str) -> Result<Rule> {
        let mut tokens = Tokens::new(text)?;
        let column = tokens.name("a column")?;
        let test = if tokens.take_word("is") {
            match tokens.next() {
                Some(Token::Word(word)) if word.eq_ignore_ascii_case("missing") => Test::Missing,
                Some(Token::Word(word)) if word.eq_ignore_ascii_case("present") => Test::Present,
                _ => return Err(tokens.error("missing or present")),
            }
        } else if tokens.take_word("in") {
            Test::OneOf(values(&mut tokens)?)
        } else {
            match tokens.next() {
                Some(Token::Compare(comparison)) => Test::Compare(comparison, tokens.name("a value")?),
                _ => return Err(tokens.error("one of = != < <= > >= in is")),
            }
        };
        tokens.end("the end; a rule has one condition")?;
        Ok(Rule { column, test })
    }

    /// Which cells pass.
    ///
    /// # Errors
    /// A value that cannot be compared with cells of that kind.
    pub fn passes(&self, cells: &ArrayRef, kind: Kind, zone: &jiff::tz::TimeZone) -> Result<Vec<bool>> {
        let (comparison, values) = match &self.test {
            Test::Missing => return Ok((0..cells.len()).map(|i| cells.is_null(i)).collect()),
            Test::Present => return Ok((0..cells.len()).map(|i| !cells.is_null(i)).collect()),
            Test::Compare(comparison, value) => (*comparison, std::slice::from_ref(value)),
            Test::OneOf(values) => (Comparison::Equal, &values[..]),
        };
        match kind {
            Kind::Number => {
                let values =
                    self.read(values, "a finite number", |v| v.parse::<f64>().ok().filter(|x| x.is_finite()))?;
                let cells = numbers(cells, &self.column)?;
                Ok(cells.iter().map(|cell| values.iter().any(|v| comparison.holds(cell, v))).collect())
            }
            Kind::Time => {
                let values = self.read(values, "a date such as 2024-01-31", |v| instant(v, zone))?;
                let cells = times(cells, &self.column)?;
                Ok(cells.iter().map(|c| c.is_some_and(|c| values.iter().any(|v| comparison.holds(&c, v)))).collect())
            }
            Kind::Category | Kind::Text | Kind::Identifier => {
                let cells = texts(cells, &self.column)?;
                let test = |c: &String| values.iter().any(|v| comparison.holds(c.as_str(), v.as_str()));
                Ok(cells.iter().map(|c| c.as_ref().is_some_and(test)).collect())
            }
        }
    }

    /// Which rows pass where the value is the name of another column: `cells` and `others` hold the two columns, both of `kind`.
    /// A missing cell never passes.
    ///
    /// # Errors
    /// A rule that is no comparison; cells that are not of that kind.
    pub fn passes_between(&self, cells: &ArrayRef, others: &ArrayRef, kind: Kind) -> Result<Vec<bool>> {
        let Test::Compare(comparison, other) = &self.test else {
            return Err(Error::request(format!(
                "column «{}» can be compared with another one by = != < <= > >= only",
                self.column
            )));
        };
        Ok(match kind {
            Kind::Number => {
                let pairs = numbers(cells, &self.column)?.into_iter().zip(numbers(others, other)?);
                pairs.map(|(a, b)| comparison.holds(&a, &b)).collect()
            }
            Kind::Time => both(times(cells, &self.column)?, times(others, other)?, *comparison),
            Kind::Category | Kind::Text | Kind::Identifier => {
                both(texts(cells, &self.column)?, texts(others, other)?, *comparison)
            }
        })
    }

    fn read<T>(&self, values: &[String], allowed: &str, parse: impl Fn(&str) -> Option<T>) -> Result<Vec<T>> {
        let refused =
            |v| Error::request(format!("column «{}» cannot be compared with «{v}»; allowed is {allowed}", self.column));
        values.iter().map(|v| parse(v).ok_or_else(|| refused(v))).collect()
    }
}

/// Where a comparison holds between cells that are both there.
fn both<T: PartialOrd>(left: Vec<Option<T>>, right: Vec<Option<T>>, comparison: Comparison) -> Vec<bool> {
    let holds = |(a, b): (Option<T>, Option<T>)| a.zip(b).is_some_and(|(a, b)| comparison.holds(&a, &b));
    left.into_iter().zip(right).map(holds).collect()
}

fn values(tokens: &mut Tokens) -> Result<Vec<String>> {
    tokens.expect(&Token::Open, "( and values")?;
    let mut values = vec![tokens.name("a value")?];
    loop {
        match tokens.next() {
            Some(Token::Comma) => values.push(tokens.name("a value")?),
            Some(Token::Close) => return Ok(values),
            _ => return Err(tokens.error(", or )")),
        }
    }
}

/// The instant of a date, or of a date and a time of day, in microseconds UTC.
pub(crate) fn instant(text: &str, zone: &jiff::tz::TimeZone) -> Option<i64> {
    let local: jiff::civil::DateTime = text.parse().ok()?;
    Some(local.to_zoned(zone.clone()).ok()?.timestamp().as_microsecond())
}

/// The cells of a number column; NaN is missing.
pub(super) fn numbers(cells: &ArrayRef, column: &str) -> Result<Vec<f64>> {
    use arrow_array::types::{Decimal128Type, Float64Type, Int64Type};
    Ok(match cells.data_type() {
        DataType::Int64 => cells.as_primitive::<Int64Type>().iter().map(|v| v.map_or(f64::NAN, |v| v as f64)).collect(),
        DataType::Float64 => cells.as_primitive::<Float64Type>().iter().map(|v| v.unwrap_or(f64::NAN)).collect(),
        DataType::Decimal128(_, scale) => {
            let unit = 10f64.powi(i32::from(*scale));
            cells.as_primitive::<Decimal128Type>().iter().map(|v| v.map_or(f64::NAN, |v| v as f64 / unit)).collect()
        }
        other => return Err(Error::data(format!("column «{column}»: {other} is no number"))),
    })
}

/// The cells of a time column.
pub(super) fn times(cells: &ArrayRef, column: &str) -> Result<Vec<Option<i64>>> {
    match cells.as_primitive_opt::<TimestampMicrosecondType>() {
        Some(cells) => Ok(cells.iter().collect()),
        None => Err(Error::data(format!("column «{column}»: {} is no time", cells.data_type()))),
    }
}

/// The cells of a column as text, whole numbers in decimal.
pub(super) fn texts(cells: &ArrayRef, column: &str) -> Result<Vec<Option<String>>> {
    use arrow_array::types::Int64Type;
    Ok(match cells.data_type() {
        DataType::Utf8 => cells.as_string::<i32>().iter().map(|v| v.map(str::to_string)).collect(),
        DataType::Int64 => cells.as_primitive::<Int64Type>().iter().map(|v| v.map(|v| v.to_string())).collect(),
        other => return Err(Error::data(format!("column «{column}»: {other} is neither text nor a whole number"))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{Int64Array, StringArray, TimestampMicrosecondArray};
    use std::sync::Arc;

    fn check(rule: &str, cells: ArrayRef, kind: Kind, expected: &[bool]) {
        let passes = Rule::parse(rule).unwrap().passes(&cells, kind, &jiff::tz::TimeZone::UTC).unwrap();
        assert_eq!(passes, expected, "{rule}");
    }

    #[test]
    fn rules_hold_where_they_say() {
        let ages: ArrayRef = Arc::new(Int64Array::from(vec![Some(17), None, Some(18), Some(-1)]));
        check("age < 18", ages.clone(), Kind::Number, &[true, false, false, true]);
        check("age != 18", ages.clone(), Kind::Number, &[true, false, false, true]);
        check("age = -1", ages.clone(), Kind::Number, &[false, false, false, true]);
        check("age is missing", ages.clone(), Kind::Number, &[false, true, false, false]);
        check("age is present", ages.clone(), Kind::Number, &[true, false, true, true]);
        check("age in (17, 18)", ages, Kind::Number, &[true, false, true, false]);
        let status: ArrayRef = Arc::new(StringArray::from(vec![Some("closed"), Some("written off"), None]));
        check("`loan status` in (closed, 'written off')", status.clone(), Kind::Category, &[true, true, false]);
        check("status = closed", status, Kind::Category, &[true, false, false]);
        let day = |text| instant(text, &jiff::tz::TimeZone::UTC);
        let days: ArrayRef =
            Arc::new(TimestampMicrosecondArray::from(vec![day("2024-01-30"), day("2024-01-31"), None]));
        check("opened >= 2024-01-31", days, Kind::Time, &[false, true, false]);
    }

    #[test]
    fn rules_hold_between_columns() {
        let balance: ArrayRef = Arc::new(Int64Array::from(vec![Some(5), Some(7), None, Some(7)]));
        let limit: ArrayRef = Arc::new(arrow_array::Float64Array::from(vec![Some(7.0), Some(7.0), Some(1.0), None]));
        let rule = Rule::parse("balance < limit").unwrap();
        assert_eq!(rule.passes_between(&balance, &limit, Kind::Number).unwrap(), [true, false, false, false]);
        let (a, b): (ArrayRef, ArrayRef) =
            (Arc::new(StringArray::from(vec![Some("x"), None])), Arc::new(StringArray::from(vec!["x", "x"])));
        let rule = Rule::parse("a = b").unwrap();
        assert_eq!(rule.passes_between(&a, &b, Kind::Category).unwrap(), [true, false]);
        let error = Rule::parse("a in (b, c)").unwrap().passes_between(&a, &b, Kind::Category).unwrap_err();
        assert_eq!(error.to_string(), "column «a» can be compared with another one by = != < <= > >= only");
    }

    fn refused(rule: &str, message: &str) {
        let error = Rule::parse(rule).unwrap_err().to_string();
        assert!(error.contains(message), "«{error}» does not contain «{message}»");
    }

    #[test]
    fn errors_show_the_position() {
        refused("", "at the end: something is missing; allowed is a column");
        refused("age is old", "position 8: «old» is not allowed; allowed is missing or present");
        refused("age ~ 3", "position 5: «~» is not allowed");
        refused("age 3", "position 5: «3» is not allowed; allowed is one of = != < <= > >= in is");
        refused("age < 3 and sex = F", "position 9: «and» is not allowed; allowed is the end");
        refused("age in (3 4)", "position 11: «4» is not allowed; allowed is , or )");
        let ages: ArrayRef = Arc::new(Int64Array::from(vec![1]));
        let rule = Rule::parse("age < old").unwrap();
        let error = rule.passes(&ages, Kind::Number, &jiff::tz::TimeZone::UTC).unwrap_err().to_string();
        assert_eq!(error, "column «age» cannot be compared with «old»; allowed is a finite number");
    }
}
