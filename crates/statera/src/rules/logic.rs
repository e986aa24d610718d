//! What can be known of conditions before any row is seen: that one can never hold, and that a rule can never decide because wherever
//! it holds another one holds that goes before it.
//!
//! A condition becomes a disjunction of conjunctions, each of which says for every column which cells are possible: missing or
//! not, spans of numbers, sets of texts. Tests of other forms (lists in files, times of day, two columns) stand for
//! themselves. The analysis is sound, not complete: what it refuses is wrong, and it does not find everything that is.

use super::compile::{Node, Source, Test};
use super::{Mode, RuleSet};
use crate::project::Comparison;
use statera_core::{Error, Result};
use statera_data::conform::InputColumn;
use std::collections::{BTreeMap, BTreeSet};

/// Conjunctions of one condition that are looked at; a condition of more is taken as it is.
const MAX_CONJUNCTIONS: usize = 64;

/// Numbers between two ends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Span {
    /// Lower end; `has_low` if it belongs to the span.
    pub low: f64,
    pub has_low: bool,
    /// Upper end; `has_high` if it belongs to the span.
    pub high: f64,
    pub has_high: bool,
}

impl Span {
    /// Every number.
    pub const ALL: Span = Span { low: f64::NEG_INFINITY, has_low: true, high: f64::INFINITY, has_high: true };

    /// One number.
    pub fn point(value: f64) -> Span {
        Span { low: value, has_low: true, high: value, has_high: true }
    }

    /// The numbers that compare so with a value.
    pub fn of(comparison: Comparison, value: f64) -> Vec<Span> {
        let below = |has_high| Span { high: value, has_high, ..Span::ALL };
        let above = |has_low| Span { low: value, has_low, ..Span::ALL };
        match comparison {
            Comparison::Equal => vec![Span::point(value)],
            Comparison::Different => complement(&[Span::point(value)]),
            Comparison::Less => vec![below(false)],
            Comparison::AtMost => vec![below(true)],
            Comparison::More => vec![above(false)],
            Comparison::AtLeast => vec![above(true)],
        }
    }

    /// True if the number lies in the span; never for NaN.
    pub fn holds(self, value: f64) -> bool {
        (value > self.low || self.has_low && value == self.low)
            && (value < self.high || self.has_high && value == self.high)
    }

    fn is_empty(self) -> bool {
        self.low > self.high || (self.low == self.high && !(self.has_low && self.has_high))
    }

    fn and(self, other: Span) -> Span {
        let (low, has_low) = match self.low.total_cmp(&other.low) {
            std::cmp::Ordering::Less => (other.low, other.has_low),
            std::cmp::Ordering::Greater => (self.low, self.has_low),
            std::cmp::Ordering::Equal => (self.low, self.has_low && other.has_low),
        };
        let (high, has_high) = match self.high.total_cmp(&other.high) {
            std::cmp::Ordering::Less => (self.high, self.has_high),
            std::cmp::Ordering::Greater => (other.high, other.has_high),
            std::cmp::Ordering::Equal => (self.high, self.has_high && other.has_high),
        };
        Span { low, has_low, high, has_high }
    }
}

/// The numbers outside spans that rise and do not overlap.
pub(super) fn complement(spans: &[Span]) -> Vec<Span> {
    let mut rest = Vec::with_capacity(spans.len() + 1);
    let mut from = (Span::ALL.low, true);
    for span in spans {
        rest.push(Span { low: from.0, has_low: from.1, high: span.low, has_high: !span.has_low });
        from = (span.high, !span.has_high);
    }
    rest.push(Span { low: from.0, has_low: from.1, ..Span::ALL });
    rest.retain(|span| !span.is_empty());
    rest
}

/// Which cells that are there are possible.
#[derive(Debug, Clone, PartialEq)]
enum Cells {
    /// Numbers in spans that rise and do not overlap.
    Numbers(Vec<Span>),
    /// Texts among these, or outside them if `except`.
    Texts { values: BTreeSet<String>, except: bool },
    /// All, of whatever kind.
    Every,
    /// None.
    Nothing,
}

impl Cells {
    fn is_empty(&self) -> bool {
        match self {
            Cells::Nothing => true,
            Cells::Numbers(spans) => spans.is_empty(),
            Cells::Texts { values, except } => !except && values.is_empty(),
            Cells::Every => false,
        }
    }

    fn and(&self, other: &Cells) -> Cells {
        match (self, other) {
            (Cells::Every, cells) | (cells, Cells::Every) => cells.clone(),
            (Cells::Nothing, _) | (_, Cells::Nothing) => Cells::Nothing,
            (Cells::Numbers(a), Cells::Numbers(b)) => {
                let pairs = a.iter().flat_map(|a| b.iter().map(move |b| a.and(*b)));
                Cells::Numbers(pairs.filter(|span| !span.is_empty()).collect())
            }
            (Cells::Texts { values: a, except: false }, Cells::Texts { values: b, except }) => Cells::Texts {
                values: a.iter().filter(|v| b.contains(*v) != *except).cloned().collect(),
                except: false,
            },
            (Cells::Texts { .. }, Cells::Texts { except: false, .. }) => other.and(self),
            (Cells::Texts { values: a, .. }, Cells::Texts { values: b, .. }) => {
                Cells::Texts { values: a.union(b).cloned().collect(), except: true }
            }
            // A column is of one kind.
            (Cells::Numbers(_), Cells::Texts { .. }) | (Cells::Texts { .. }, Cells::Numbers(_)) => Cells::Nothing,
        }
    }

    fn not(&self) -> Cells {
        match self {
            Cells::Numbers(spans) => Cells::Numbers(complement(spans)),
            Cells::Texts { values, except } => Cells::Texts { values: values.clone(), except: !except },
            Cells::Every => Cells::Nothing,
            Cells::Nothing => Cells::Every,
        }
    }

    /// True if every cell that is possible here is possible there.
    fn is_within(&self, other: &Cells) -> bool {
        match other {
            Cells::Every => true,
            Cells::Nothing => self.is_empty(),
            _ => !matches!(self, Cells::Every) && self.and(&other.not()).is_empty(),
        }
    }
}

/// Which cells of a column are possible.
#[derive(Debug, Clone, PartialEq)]
struct Domain {
    missing: bool,
    present: Cells,
}

impl Domain {
    fn and(&self, other: &Domain) -> Domain {
        Domain { missing: self.missing && other.missing, present: self.present.and(&other.present) }
    }

    fn is_empty(&self) -> bool {
        !self.missing && self.present.is_empty()
    }

    fn is_within(&self, other: &Domain) -> bool {
        (!self.missing || other.missing) && (self.present.is_empty() || self.present.is_within(&other.present))
    }
}

/// What must be true at once.
#[derive(Debug, Clone, Default, PartialEq)]
struct Conjunction {
    cells: BTreeMap<Source, Domain>,
    /// Tests that stand for themselves, and whether they hold.
    tests: BTreeMap<usize, bool>,
    /// True if nothing can be all of this.
    is_empty: bool,
}

impl Conjunction {
    fn and(&self, other: &Conjunction) -> Conjunction {
        let mut both = self.clone();
        for (source, domain) in &other.cells {
            let joined = both.cells.get(source).map_or_else(|| domain.clone(), |own| own.and(domain));
            both.is_empty |= joined.is_empty();
            both.cells.insert(*source, joined);
        }
        for (test, holds) in &other.tests {
            both.is_empty |= both.tests.insert(*test, *holds).is_some_and(|own| own != *holds);
        }
        both.is_empty |= other.is_empty;
        both
    }

    /// True if the other holds wherever this does.
    fn implies(&self, other: &Conjunction) -> bool {
        let all = Domain { missing: true, present: Cells::Every };
        let cells = other.cells.iter().all(|(s, domain)| self.cells.get(s).unwrap_or(&all).is_within(domain));
        cells && other.tests.iter().all(|(test, holds)| self.tests.get(test) == Some(holds))
    }

    /// The first column of which nothing is possible.
    fn nothing_of(&self) -> Option<Source> {
        self.cells.iter().find(|(_, domain)| domain.is_empty()).map(|(source, _)| *source)
    }
}

/// What a test (or, if `holds` is false, its opposite) says of a row.
fn of_test(at: usize, test: &Test, holds: bool) -> Conjunction {
    let mut one = Conjunction::default();
    let mut says = |source: Source, present: Cells| {
        let cells = if holds { present } else { present.not() };
        one.cells.insert(source, Domain { missing: !holds, present: cells });
    };
    match test {
        Test::Spans(source, spans) => says(*source, Cells::Numbers(spans.clone())),
        Test::Member { at, values: Some(values), except, .. } => {
            says(Source::Column(*at), Cells::Texts { values: values.clone(), except: *except });
        }
        Test::Present(source) => says(*source, Cells::Every),
        Test::Missing(source) => {
            let present = if holds { Cells::Nothing } else { Cells::Every };
            one.cells.insert(*source, Domain { missing: holds, present });
        }
        // What stands for itself holds only of cells that are there.
        Test::Member { at: column, values: None, .. } | Test::TimeOfDay(column, _) | Test::Weekday(column, _) => {
            if holds {
                says(Source::Column(*column), Cells::Every);
            }
            one.tests.insert(at, holds);
        }
        Test::Pair(left, _, right) => {
            if holds {
                says(Source::Column(*left), Cells::Every);
                says(Source::Column(*right), Cells::Every);
            }
            one.tests.insert(at, holds);
        }
    }
    one
}

/// The conjunctions of which at least one is true where the condition (or, if `holds` is false, its opposite) is; `None` if they
/// are too many.
fn disjunction(node: &Node, tests: &[Test], holds: bool) -> Option<Vec<Conjunction>> {
    let (parts, is_all) = match node {
        Node::Test(at) => return Some(vec![of_test(*at, &tests[*at], holds)]),
        Node::Not(part) => return disjunction(part, tests, !holds),
        Node::All(parts) => (parts, holds),
        Node::Any(parts) => (parts, !holds),
    };
    let mut all = if is_all { vec![Conjunction::default()] } else { Vec::new() };
    for part in parts {
        let own = disjunction(part, tests, holds)?;
        if is_all && all.len() * own.len() > MAX_CONJUNCTIONS {
            return None;
        }
        if is_all {
            all = all.iter().flat_map(|a| own.iter().map(|b| a.and(b))).collect();
        } else {
            all.extend(own);
        }
        if all.len() > MAX_CONJUNCTIONS {
            return None;
        }
    }
    Some(all)
}

/// Refuses rules that can never hold, and rules that act but can never decide.
pub(super) fn check(set: &RuleSet, nodes: &[Node], tests: &[Test], inputs: &[InputColumn]) -> Result<()> {
    let mut known: Vec<Option<Vec<Conjunction>>> = Vec::with_capacity(nodes.len());
    for (rule, node) in set.rules.iter().zip(nodes) {
        let mut found = disjunction(node, tests, true);
        if let Some(all) = &mut found {
            if let Some(first) = all.iter().find(|c| c.is_empty).filter(|_| all.iter().all(|c| c.is_empty)) {
                let why = match first.nothing_of() {
                    Some(Source::Column(at)) => format!("no cell of «{}» is all that it asks for", inputs[at].name),
                    Some(Source::Score) => "no score is all that it asks for".into(),
                    None => "it asks that one test is true and false".into(),
                };
                let (code, when) = (&rule.code, rule.when.trim());
                return Err(Error::request(format!("rule «{code}»: its condition can never hold, {why}: «{when}»")));
            }
            all.retain(|c| !c.is_empty);
        }
        known.push(found);
    }
    (0..nodes.len()).try_for_each(|i| check_reach(set, &known, i))
}

/// Refuses a rule that acts, if wherever it holds others hold that act and go before it.
fn check_reach(set: &RuleSet, known: &[Option<Vec<Conjunction>>], i: usize) -> Result<()> {
    let (rule, Some(own)) = (&set.rules[i], &known[i]) else { return Ok(()) };
    if rule.mode == Mode::Shadow {
        return Ok(());
    }
    let before: Vec<usize> =
        (0..known.len()).filter(|&j| j != i && set.rules[j].mode == Mode::Active && set.goes_before(j, i)).collect();
    let mut covers = BTreeSet::new();
    for conjunction in own {
        let holds = |j: &&usize| known[**j].iter().flatten().any(|other| conjunction.implies(other));
        match before.iter().find(holds) {
            Some(j) => covers.insert(*j),
            None => return Ok(()),
        };
    }
    let others: Vec<String> = covers.iter().map(|&j| format!("«{}»", set.rules[j].code)).collect();
    Err(Error::request(format!(
        "rule «{}» can never decide: wherever it holds, {} holds too and goes before it (higher precedence, then the stronger \
         action, then the place in the file); allowed: a higher precedence, a place before it, or mode = \"shadow\"",
        rule.code,
        others.join(" or ")
    )))
}
