//! Rules brought to the columns of a table: names to places, values to numbers and instants, and what can be known before any row
//! is seen.

use super::condition::{CellTest, Condition, Operand, Subject};
use super::list::ListSet;
use super::logic::{self, Span};
use super::{Action, Fired, Mode, RuleSet};
use crate::project::{Comparison, instant};
use crate::scorer::Scorer;
use crate::windows::OwnWindows;
use arrow_schema::{DataType, TimeUnit};
use jiff::ToSpan;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use statera_core::{Error, Kind, Result};
use statera_data::Table;
use statera_data::conform::InputColumn;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// Where a tested cell comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Source {
    /// The place among [`Compiled::inputs`].
    Column(usize),
    /// The model's probability.
    Score,
}

/// A test whose values are of its column's kind; false of a missing cell, but for `Missing`.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Test {
    /// A number, or an instant in microseconds UTC, in one of the spans.
    Spans(Source, Vec<Span>),
    /// A text, or a whole number, among values (or, if `except`, not among them); `values` where they stand in the condition.
    Member { at: usize, set: Arc<ListSet>, except: bool, values: Option<BTreeSet<String>> },
    /// Two cells of a row, of one kind.
    Pair(usize, Comparison, usize),
    /// Nothing is there.
    Missing(Source),
    /// Something is there.
    Present(Source),
    /// Minutes from local midnight in [from, to), over midnight where `to` is not above `from`.
    TimeOfDay(usize, [u16; 2]),
    /// Local days of the week, bits from Monday.
    Weekday(usize, u8),
}

/// A condition over tests by their places.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    All(Vec<Node>),
    Any(Vec<Node>),
    Not(Box<Node>),
    Test(usize),
}

/// Rules over the columns of a table, ready for rows.
#[derive(Debug, Clone)]
pub struct Compiled {
    /// The columns that the rules read, in the order in which [`Compiled::evaluate`] wants them.
    pub inputs: Vec<InputColumn>,
    /// True if a rule asks for the model's probability.
    pub uses_score: bool,
    pub(super) tests: Vec<Test>,
    pub(super) nodes: Vec<Node>,
    /// Rules that act, the one that decides before all others first.
    pub(super) order: Vec<usize>,
    pub(super) actions: Vec<Action>,
    pub(super) zone: TimeZone,
    /// Rules that act.
    pub(super) active: Fired,
}

/// The columns of a table, for [`RuleSet::compile`].
pub fn table_columns(table: &Table) -> Vec<InputColumn> {
    let schema = table.batches[0].schema();
    let column = |(info, field): (&statera_data::ColumnInfo, &Arc<arrow_schema::Field>)| InputColumn {
        name: info.name.clone(),
        kind: info.kind,
        data_type: field.data_type().clone(),
        text: None,
    };
    table.columns.iter().zip(schema.fields()).map(column).collect()
}

/// The columns of the raw rows that a scorer sees: the model's, those that windows read, and those that windows make.
pub fn seen_columns(scorer: &Scorer, windows: Option<&OwnWindows>) -> Vec<InputColumn> {
    let mut columns = scorer.schema().inputs.clone();
    let read = windows.iter().flat_map(|own| own.inputs.iter().cloned());
    let made = windows.iter().flat_map(|own| own.definition.column_names().map(|name| declared(name, Kind::Number)));
    for column in read.chain(made) {
        if !columns.iter().any(|c| c.name == column.name) {
            columns.push(column);
        }
    }
    columns
}

/// How a column of a kind is stored where nothing else is known of it.
pub(crate) fn declared(name: &str, kind: Kind) -> InputColumn {
    let data_type = match kind {
        Kind::Number => DataType::Float64,
        Kind::Time => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        Kind::Category | Kind::Text | Kind::Identifier => DataType::Utf8,
    };
    InputColumn { name: name.into(), kind, data_type, text: None }
}

impl RuleSet {
    /// The rules for rows of these columns. Kinds that the file declares go before those given, and declared columns that are not
    /// given are taken to be there if `with_declared`; `tz` is the zone of days and times of day where the file names none.
    ///
    /// # Errors
    /// Columns that are not there, tests that their kind does not have, values that are none of that kind, a condition that can
    /// never hold, a rule that can never decide because others always go before it; the message names the rule and the test.
    pub fn compile(&self, columns: &[InputColumn], with_declared: bool, tz: &str) -> Result<Compiled> {
        let tz = self.tz.as_deref().unwrap_or(tz);
        let zone = TimeZone::get(tz).map_err(|_| {
            Error::request(format!("no time zone «{tz}»; allowed: an IANA name such as Asia/Seoul or UTC"))
        })?;
        let of_kind = |column: &InputColumn| match self.columns.get(&column.name) {
            Some(&kind) if kind != column.kind => declared(&column.name, kind),
            _ => column.clone(),
        };
        let mut known: Vec<InputColumn> = columns.iter().map(of_kind).collect();
        if with_declared {
            let others = self.columns.iter().filter(|(name, _)| !columns.iter().any(|c| c.name == **name));
            known.extend(others.map(|(name, kind)| declared(name, *kind)));
        }
        let mut compiler = Compiler {
            set: self,
            known: &known,
            with_declared,
            zone,
            inputs: Vec::new(),
            tests: Vec::new(),
            places: HashMap::new(),
        };
        let mut nodes = Vec::with_capacity(self.rules.len());
        for (rule, condition) in self.rules.iter().zip(&self.conditions) {
            let node = compiler.rule(rule, condition).map_err(|e| e.at(format!("rule «{}»", rule.code)))?;
            nodes.push(node);
        }
        let Compiler { inputs, tests, zone, .. } = compiler;
        logic::check(self, &nodes, &tests, &inputs)?;
        let mut order: Vec<usize> = (0..self.rules.len()).filter(|&i| self.rules[i].mode == Mode::Active).collect();
        order.sort_by(
            |&a, &b| if self.goes_before(a, b) { std::cmp::Ordering::Less } else { std::cmp::Ordering::Greater },
        );
        let uses_score = tests.iter().any(|t| {
            matches!(t, Test::Spans(Source::Score, _) | Test::Missing(Source::Score) | Test::Present(Source::Score))
        });
        let actions = self.rules.iter().map(|r| r.action).collect();
        Ok(Compiled { inputs, uses_score, tests, nodes, order, actions, zone, active: self.active() })
    }

    /// The columns that the conditions name, with kinds as the file declares them or as the values beside them look: what can be
    /// checked before there is a table.
    pub fn guessed_columns(&self) -> Vec<InputColumn> {
        let mut kinds: Vec<(String, Option<Kind>)> = Vec::new();
        let mut note = |name: &str, kind: Option<Kind>| match kinds.iter_mut().find(|(n, _)| n == name) {
            Some((_, known)) => {
                // A value that is no number makes its column text, whatever other values look like.
                let is_text = *known == Some(Kind::Category) || kind == Some(Kind::Category);
                *known = if is_text { Some(Kind::Category) } else { known.or(kind) };
            }
            None => kinds.push((name.into(), kind)),
        };
        self.time.iter().for_each(|name| note(name, Some(Kind::Time)));
        for test in self.conditions.iter().flat_map(Condition::tests) {
            match test {
                CellTest::Compare(Subject::Column(name), comparison, operand) => match operand {
                    Operand::Column(other) => [name, other].into_iter().for_each(|n| note(n, None)),
                    Operand::Word(text) if kind_of(text).is_none() && !is_equality(*comparison) => {
                        [name, text].into_iter().for_each(|n| note(n, None));
                    }
                    Operand::Word(text) | Operand::Value(text) => {
                        note(name, Some(kind_of(text).unwrap_or(Kind::Category)));
                    }
                },
                CellTest::OneOf(Subject::Column(name), values, _) => {
                    values.iter().for_each(|v| note(name, Some(kind_of(v).unwrap_or(Kind::Category))));
                }
                CellTest::InList(name, ..) => note(name, Some(Kind::Category)),
                CellTest::TimeOfDay(name, _) | CellTest::Weekday(name, _) => note(name, Some(Kind::Time)),
                CellTest::Missing(Subject::Column(name)) | CellTest::Present(Subject::Column(name)) => note(name, None),
                CellTest::Compare(Subject::Score, ..)
                | CellTest::OneOf(Subject::Score, ..)
                | CellTest::Missing(Subject::Score)
                | CellTest::Present(Subject::Score) => {}
            }
        }
        let kind = |(name, guessed): &(String, Option<Kind>)| {
            declared(name, self.columns.get(name).copied().or(*guessed).unwrap_or(Kind::Number))
        };
        kinds.iter().map(kind).collect()
    }
}

/// What a value looks like; `None` for text.
fn kind_of(value: &str) -> Option<Kind> {
    if value.parse::<f64>().is_ok_and(f64::is_finite) {
        return Some(Kind::Number);
    }
    instant(value, &TimeZone::UTC).map(|_| Kind::Time)
}

fn is_equality(comparison: Comparison) -> bool {
    matches!(comparison, Comparison::Equal | Comparison::Different)
}

struct Compiler<'a> {
    set: &'a RuleSet,
    known: &'a [InputColumn],
    with_declared: bool,
    zone: TimeZone,
    inputs: Vec<InputColumn>,
    tests: Vec<Test>,
    /// Tests that stand in several rules are evaluated once.
    places: HashMap<String, usize>,
}

impl Compiler<'_> {
    /// The condition of a rule, and the days on which it holds.
    fn rule(&mut self, rule: &super::Rule, condition: &Condition) -> Result<Node> {
        let node = self.node(condition)?;
        let [from, to] = rule.days()?;
        let (Some(time), true) = (&self.set.time, from.is_some() || to.is_some()) else { return Ok(node) };
        let at = self.column(time)?;
        if self.inputs[at].kind != Kind::Time {
            return Err(self.wrong_kind(at, "valid_from and valid_to need a time"));
        }
        let midnight = |day: Date| -> Result<f64> {
            let start = day.to_zoned(self.zone.clone()).map_err(|e| Error::request(format!("day {day}: {e}")))?;
            Ok(start.timestamp().as_microsecond() as f64)
        };
        let mut span = Span::ALL;
        if let Some(from) = from {
            span = Span { low: midnight(from)?, ..span };
        }
        if let Some(to) = to {
            let next = to.checked_add(1.day()).map_err(|e| Error::request(format!("valid_to {to}: {e}")))?;
            span = Span { high: midnight(next)?, has_high: false, ..span };
        }
        let key = format!("valid {from:?} {to:?}");
        let valid = self.place(key, |_| Ok(Test::Spans(Source::Column(at), vec![span])))?;
        Ok(Node::All(vec![Node::Test(valid), node]))
    }

    fn node(&mut self, condition: &Condition) -> Result<Node> {
        let mut each = |parts: &[Condition]| parts.iter().map(|part| self.node(part)).collect::<Result<Vec<Node>>>();
        Ok(match condition {
            Condition::All(parts) => Node::All(each(parts)?),
            Condition::Any(parts) => Node::Any(each(parts)?),
            Condition::Not(part) => Node::Not(Box::new(self.node(part)?)),
            Condition::Test(test) => Node::Test(
                self.place(format!("{test:?}"), |own| own.test(test)).map_err(|e| e.at(format!("«{test}»")))?,
            ),
        })
    }

    fn place(&mut self, key: String, make: impl FnOnce(&mut Self) -> Result<Test>) -> Result<usize> {
        if let Some(&at) = self.places.get(&key) {
            return Ok(at);
        }
        let test = make(self)?;
        self.tests.push(test);
        self.places.insert(key, self.tests.len() - 1);
        Ok(self.tests.len() - 1)
    }

    /// The place of a column among those that the rules read.
    fn column(&mut self, name: &str) -> Result<usize> {
        if let Some(at) = self.inputs.iter().position(|i| i.name == name) {
            return Ok(at);
        }
        let Some(column) = self.known.iter().find(|c| c.name == name) else {
            let names: Vec<&str> = self.known.iter().map(|c| c.name.as_str()).collect();
            let hint = if self.with_declared { "; [columns] declares those that the model does not see" } else { "" };
            return Err(Error::request(format!("there is no column «{name}»; there are {}{hint}", names.join(", "))));
        };
        self.inputs.push(column.clone());
        Ok(self.inputs.len() - 1)
    }

    fn source(&mut self, subject: &Subject) -> Result<Source> {
        match subject {
            Subject::Column(name) => self.column(name).map(Source::Column),
            Subject::Score => Ok(Source::Score),
        }
    }

    fn test(&mut self, test: &CellTest) -> Result<Test> {
        match test {
            CellTest::Missing(subject) => Ok(Test::Missing(self.source(subject)?)),
            CellTest::Present(subject) => Ok(Test::Present(self.source(subject)?)),
            CellTest::TimeOfDay(name, ends) => Ok(Test::TimeOfDay(self.time(name)?, *ends)),
            CellTest::Weekday(name, days) => Ok(Test::Weekday(self.time(name)?, *days)),
            CellTest::InList(name, list, except) => self.in_list(name, list, *except),
            CellTest::OneOf(subject, values, except) => {
                let source = self.source(subject)?;
                self.one_of(source, values, *except)
            }
            CellTest::Compare(subject, comparison, operand) => self.compare(subject, *comparison, operand),
        }
    }

    fn time(&mut self, name: &str) -> Result<usize> {
        let at = self.column(name)?;
        if self.inputs[at].kind == Kind::Time { Ok(at) } else { Err(self.wrong_kind(at, "a time is needed")) }
    }

    fn wrong_kind(&self, at: usize, needed: &str) -> Error {
        let InputColumn { name, kind, .. } = &self.inputs[at];
        Error::request(format!("column «{name}» is of kind {}; {needed}; [columns] declares another kind", kind.name()))
    }

    fn in_list(&mut self, name: &str, list: &str, except: bool) -> Result<Test> {
        let at = self.column(name)?;
        let is_whole = self.inputs[at].data_type == DataType::Int64;
        if !is_whole && matches!(self.inputs[at].kind, Kind::Number | Kind::Time) {
            return Err(self.wrong_kind(at, "a list is of texts or whole numbers"));
        }
        // The file was checked: every list that is named is there.
        let set = self.set.lists.get(list).cloned().unwrap_or_default();
        Ok(Test::Member { at, set, except, values: None })
    }

    /// One of values, or none of them.
    fn one_of(&mut self, source: Source, values: &[String], except: bool) -> Result<Test> {
        let number_kind = match source {
            Source::Score => Kind::Number,
            Source::Column(at) => self.inputs[at].kind,
        };
        if let (Kind::Category | Kind::Text | Kind::Identifier, Source::Column(at)) = (number_kind, source) {
            let set = Arc::new(ListSet::new(values.iter().map(String::as_str)));
            let values = Some(values.iter().cloned().collect());
            return Ok(Test::Member { at, set, except, values });
        }
        let mut points = values.iter().map(|v| self.number(source, v)).collect::<Result<Vec<f64>>>()?;
        points.sort_by(f64::total_cmp);
        points.dedup();
        let spans: Vec<Span> = points.into_iter().map(Span::point).collect();
        Ok(Test::Spans(source, if except { logic::complement(&spans) } else { spans }))
    }

    fn compare(&mut self, subject: &Subject, comparison: Comparison, operand: &Operand) -> Result<Test> {
        let source = self.source(subject)?;
        let other = match operand {
            Operand::Column(name) => Some(name),
            Operand::Word(word) => Some(word).filter(|word| self.known.iter().any(|c| c.name == **word)),
            Operand::Value(_) => None,
        };
        if let Some(name) = other {
            let Source::Column(left) = source else {
                return Err(Error::request("the score is compared with a probability from 0 to 1, not with a column"));
            };
            let right = self.column(name)?;
            return self.pair(left, comparison, right);
        }
        let (Operand::Word(value) | Operand::Value(value) | Operand::Column(value)) = operand;
        let is_text =
            matches!(source, Source::Column(at) if !matches!(self.inputs[at].kind, Kind::Number | Kind::Time));
        if is_text {
            if !is_equality(comparison) {
                let Source::Column(at) = source else { return Err(Error::request("the score is a number")) };
                return Err(self.wrong_kind(at, &format!("{comparison} compares numbers and times")));
            }
            return self.one_of(source, std::slice::from_ref(value), comparison == Comparison::Different);
        }
        let value = self.number(source, value)?;
        Ok(Test::Spans(source, Span::of(comparison, value)))
    }

    fn pair(&self, left: usize, comparison: Comparison, right: usize) -> Result<Test> {
        let group = |kind: Kind| match kind {
            Kind::Number => 0,
            Kind::Time => 1,
            Kind::Category | Kind::Text | Kind::Identifier => 2,
        };
        let (a, b) = (&self.inputs[left], &self.inputs[right]);
        if group(a.kind) != group(b.kind) || (group(a.kind) == 2 && a.data_type != b.data_type) {
            return Err(Error::request(format!(
                "column «{}» is of kind {} and «{}» of kind {}; allowed: two columns of one kind",
                a.name,
                a.kind.name(),
                b.name,
                b.kind.name()
            )));
        }
        if group(a.kind) == 2 && !is_equality(comparison) {
            return Err(self.wrong_kind(left, &format!("{comparison} compares numbers and times")));
        }
        if left == right {
            return Err(Error::request(format!("column «{}» is compared with itself", a.name)));
        }
        Ok(Test::Pair(left, comparison, right))
    }

    /// A value as the number of its column: itself, a probability, or microseconds UTC.
    fn number(&self, source: Source, value: &str) -> Result<f64> {
        let number = value.parse::<f64>().ok().filter(|v| v.is_finite());
        let refused =
            |what: &str, allowed: &str| Err(Error::request(format!("«{value}» is {what}; allowed: {allowed}")));
        match source {
            Source::Score => match number {
                Some(p) if (0.0..=1.0).contains(&p) => Ok(p),
                _ => refused("no probability", "a number from 0 to 1, which the score is"),
            },
            Source::Column(at) if self.inputs[at].kind == Kind::Time => match instant(value, &self.zone) {
                Some(micros) => Ok(micros as f64),
                None => refused("no time", "a day such as 2026-11-30, or with a time of day"),
            },
            Source::Column(at) => match number {
                Some(number) => Ok(number),
                None => {
                    let column = &self.inputs[at].name;
                    refused(
                        "neither a number nor a column",
                        &format!("a finite number, as «{column}» has, or a column"),
                    )
                }
            },
        }
    }
}
