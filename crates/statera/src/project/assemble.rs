//! From the sources to one flat table with a ready target, and an account of every row on the way.

use super::definition::{Clause, Function, Value, Window};
use super::link::{Index, Keys};
use super::rule::{numbers, texts, times};
use super::{Join, NoRows, Outcome, Project, Settings, zone_of};
use crate::network;
use crate::windows;
use arrow_array::{Array, ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, UInt64Array};
use arrow_schema::{ArrowError, Field, Schema};
use arrow_select::concat::concat_batches;
use arrow_select::filter::filter_record_batch;
use arrow_select::take::take;
use statera_core::{Error, Kind, Result, Run};
use statera_data::infer::TextFormat;
use statera_data::network::EdgeCounts;
use statera_data::source::{ReadOptions, read_table_with_facts};
use statera_data::{ColumnInfo, Table};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

/// One flat table, ready for training.
#[derive(Debug, Clone)]
pub struct Assembled {
    /// The main table's rows that are left, its columns, the joined ones, the target, and the weight where there is one.
    pub table: Table,
    /// The project's settings; they have been compared with the table.
    pub settings: Settings,
    /// How the text cells of the sources' columns were written, by column.
    pub formats: BTreeMap<String, TextFormat>,
    /// What left rows out, in order.
    pub steps: Vec<Step>,
    /// What was joined.
    pub joins: Vec<JoinCount>,
    /// What became of the edges of a network.
    pub edges: Option<EdgeCounts>,
}

/// A step that may leave rows out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Why.
    pub name: String,
    /// Rows before it.
    pub before: usize,
    /// Rows after it.
    pub after: usize,
}

/// How many rows found a partner in a joined table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinCount {
    /// The joined source.
    pub source: String,
    /// Rows of the main table.
    pub rows: usize,
    /// Those with a row to join.
    pub matched: usize,
}

impl Project {
    /// Reads the sources, joins, leaves out, computes the target, and compares the settings with the result.
    ///
    /// `base_dir` is the folder of the project file: relative paths start there.
    ///
    /// # Errors
    /// What the sources report; columns that do not exist or are of an unsuitable kind; an outcome for which no row is left.
    pub fn assemble(&self, base_dir: &Path, run: &Run) -> Result<Assembled> {
        let mut tables = BTreeMap::new();
        let mut formats = BTreeMap::new();
        let used = [&self.main.source].into_iter().chain(self.joins.iter().map(|j| &j.source));
        for source in used.chain(self.outcome.iter().map(|o| &o.source)).chain(self.edges_source()) {
            if !tables.contains_key(source) {
                let options = ReadOptions { types: self.types_of(source), tz: self.settings.tz.clone() };
                let (table, facts) = read_table_with_facts(&resolve(&self.sources[source], base_dir), &options, run)?;
                formats.extend(facts.columns.into_iter().map(|c| (c.name, c.format)));
                tables.insert(source.clone(), table);
            }
        }
        Ok(Assembled { formats, ..self.assemble_tables(tables, run)? })
    }

    /// Where the declined applications are, seen from the folder that the program runs in; `base_dir` as in
    /// [`Project::assemble`].
    pub fn rejects_address(&self, base_dir: &Path) -> Option<String> {
        self.rejects.as_ref().map(|source| resolve(&self.sources[source], base_dir))
    }

    /// [`Project::assemble`] of tables that were read already, by source name.
    ///
    /// # Errors
    /// As there, and a source without a table.
    pub fn assemble_tables(&self, mut tables: BTreeMap<String, Table>, run: &Run) -> Result<Assembled> {
        let missing = |source: &str| Error::request(format!("{}: no table for source «{source}»", self.path));
        let shared = self.joins.iter().map(|j| &j.source).chain(self.outcome.iter().map(|o| &o.source));
        let shared = shared.chain(self.edges_source());
        let main = if shared.into_iter().any(|source| *source == self.main.source) {
            tables.get(&self.main.source).cloned()
        } else {
            tables.remove(&self.main.source)
        };
        let mut work = Work::new(self, main.ok_or_else(|| missing(&self.main.source))?)?;
        for join in &self.joins {
            run.check()?;
            work.join(join, tables.get(&join.source).ok_or_else(|| missing(&join.source))?)
                .map_err(|e| e.at(format!("{}: join of «{}»", self.path, join.source)))?;
        }
        // Before rows are left out: what they did is part of what happened.
        let mut settings = self.settings.clone();
        work.table = windows::add(work.table, &mut settings).map_err(|e| e.at(&self.path))?;
        if let Some(source) = self.edges_source() {
            let edges = tables.get(source).ok_or_else(|| missing(source))?;
            let (table, counts) = network::add(work.table, &mut settings, network::Source::Table(edges), run)
                .map_err(|e| e.at(&self.path))?;
            (work.table, work.edges) = (table, counts);
        }
        work.exclude(self).map_err(|e| e.at(&self.path))?;
        if let Some(outcome) = &self.outcome {
            run.check()?;
            let table = tables.get(&outcome.source).ok_or_else(|| missing(&outcome.source))?;
            work.judge(outcome, table).map_err(|e| e.at(format!("{}: outcome", self.path)))?;
        }
        settings.check(&work.table).map_err(|e| e.at(&self.path))?;
        let Work { table, steps, joins, edges, .. } = work;
        Ok(Assembled { table, settings, formats: BTreeMap::new(), steps, joins, edges })
    }
}

/// An address as the project file writes it, seen from elsewhere.
fn resolve(address: &str, base_dir: &Path) -> String {
    if address == "-" || address.contains("://") || Path::new(address).is_absolute() {
        address.to_string()
    } else {
        base_dir.join(address).to_string_lossy().into_owned()
    }
}

/// The main table on its way.
struct Work {
    table: Table,
    date: Option<String>,
    zone: jiff::tz::TimeZone,
    steps: Vec<Step>,
    joins: Vec<JoinCount>,
    edges: Option<EdgeCounts>,
}

impl Work {
    /// The main table without the rows that have no observation date, if one is named.
    fn new(project: &Project, table: Table) -> Result<Work> {
        let zone = zone_of(&project.settings)?;
        let date = project.main.date.clone();
        let mut work = Work { table, date, zone, steps: Vec::new(), joins: Vec::new(), edges: None };
        if let Some(date) = &project.main.date {
            let observed = work.observed().map_err(|e| e.at("main.date"))?;
            let known = observed.iter().map(|b| b.iter().map(Option::is_some).collect()).collect();
            work.retain(&format!("no observation date ({date})"), known)?;
            if work.table.n_rows() == 0 {
                return Err(Error::data(format!("{}: no row has an observation date in «{date}»", work.table.origin)));
            }
        }
        Ok(work)
    }

    /// The observation dates of each batch.
    fn observed(&self) -> Result<Vec<Vec<Option<i64>>>> {
        let Some(date) = &self.date else { return Err(Error::request("main.date: missing")) };
        let column = self.table.column(date)?;
        self.table.batches.iter().map(|batch| times(batch.column(column), date)).collect()
    }

    /// Keeps the rows that are marked, batch by batch, and counts the others under a name.
    fn retain(&mut self, name: &str, marks: Vec<Vec<bool>>) -> Result<()> {
        let before = self.table.n_rows();
        for (batch, marks) in self.table.batches.iter_mut().zip(marks) {
            *batch = filter_record_batch(batch, &BooleanArray::from(marks)).map_err(arrow)?;
        }
        self.steps.push(Step { name: name.into(), before, after: self.table.n_rows() });
        Ok(())
    }

    /// Adds columns; `cells` has one list of arrays a batch.
    fn add(&mut self, infos: &[ColumnInfo], cells: Vec<Vec<ArrayRef>>) -> Result<()> {
        for info in infos {
            if self.table.columns.iter().any(|c| c.name == info.name) {
                return Err(Error::request(format!(
                    "column «{}» exists already in {}; give the join a prefix, or the target another name",
                    info.name, self.table.origin
                )));
            }
        }
        for (batch, cells) in self.table.batches.iter_mut().zip(cells) {
            let old = batch.schema();
            let fields = old.fields().iter().cloned().chain(
                infos.iter().zip(&cells).map(|(i, c)| Arc::new(Field::new(&i.name, c.data_type().clone(), true))),
            );
            let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
            let columns = batch.columns().iter().cloned().chain(cells).collect();
            *batch = RecordBatch::try_new(schema, columns).map_err(arrow)?;
        }
        self.table.columns.extend_from_slice(infos);
        Ok(())
    }

    /// Adds the columns of the row of `other` that belongs to each row, null where none does.
    fn join(&mut self, join: &Join, other: &Table) -> Result<()> {
        let (mine, theirs): (Vec<&str>, Vec<&str>) = join.on.iter().map(|(a, b)| (a.as_str(), b.as_str())).unzip();
        let infos = join.columns.iter().map(|name| {
            let info = &other.columns[other.column(name)?];
            Ok(ColumnInfo { name: format!("{}{}", join.prefix, info.name), kind: info.kind })
        });
        let infos: Vec<ColumnInfo> = infos.collect::<Result<_>>()?;
        let rows = one_batch(other)?;
        let index = Index::new(other, &rows, &theirs, join.date.as_deref())?;
        let observed = if join.date.is_some() { self.observed()? } else { Vec::new() };
        let lag = i64::from(join.lag_days) * 86_400_000_000;
        let (mut cells, mut matched, mut bytes) = (Vec::new(), 0, Vec::new());
        for (i, batch) in self.table.batches.iter().enumerate() {
            let keys = Keys::new(&self.table, batch, &mine)?;
            let found = (0..batch.num_rows()).map(|row| {
                // Without dates every row of the other table is known at any time.
                let until = match observed.get(i) {
                    Some(dates) => dates[row]?.checked_sub(lag)?,
                    None => i64::MAX,
                };
                if keys.write(row, &mut bytes) { index.latest(&bytes, until).map(|r| r as u64) } else { None }
            });
            let found = UInt64Array::from(found.collect::<Vec<_>>());
            matched += found.len() - found.null_count();
            let take_column = |name: &String| take(rows.column(other.column(name)?), &found, None).map_err(arrow);
            cells.push(join.columns.iter().map(take_column).collect::<Result<Vec<_>>>()?);
        }
        self.joins.push(JoinCount { source: join.source.clone(), rows: self.table.n_rows(), matched });
        self.add(&infos, cells)
    }

    fn exclude(&mut self, project: &Project) -> Result<()> {
        for exclusion in &project.exclusions {
            let place = || format!("exclude «{}»", exclusion.name);
            let column = self.table.column(&exclusion.rule.column).map_err(|e| e.at(place()))?;
            let kind = self.table.columns[column].kind;
            let mut marks = Vec::new();
            for batch in &self.table.batches {
                let passes = exclusion.rule.passes(batch.column(column), kind, &self.zone);
                marks.push(passes.map_err(|e| e.at(place()))?.into_iter().map(|p| !p).collect());
            }
            self.retain(&exclusion.name, marks)?;
            if self.table.n_rows() == 0 {
                let before = self.steps.last().map_or(0, |step| step.before);
                return Err(Error::data(format!(
                    "{} takes all of the {before} rows that are left; no row remains",
                    place()
                )));
            }
        }
        Ok(())
    }

    /// Computes the target from the performance table and leaves out the rows that have none.
    fn judge(&mut self, outcome: &Outcome, performance: &Table) -> Result<()> {
        let verdicts = self.verdicts(outcome, performance)?;
        let marks = |test: &dyn Fn(Verdict) -> bool| -> Vec<Vec<bool>> {
            verdicts.iter().map(|b| b.iter().map(|v| test(*v)).collect()).collect()
        };
        // The target goes in first, so that it shrinks with the rows.
        let flag = |v: &Verdict| i64::from(*v == Verdict::Bad);
        let targets = verdicts.iter().map(|b| Arc::new(Int64Array::from_iter_values(b.iter().map(flag))) as ArrayRef);
        let mut infos = vec![ColumnInfo { name: outcome.target.clone(), kind: Kind::Number }];
        let mut cells: Vec<Vec<ArrayRef>> = targets.map(|t| vec![t]).collect();
        if let Some(weight) = outcome.indeterminate_weight {
            infos.push(ColumnInfo { name: outcome.weight_column(), kind: Kind::Number });
            let weight_of = |v: &Verdict| if *v == Verdict::Indeterminate { weight } else { 1.0 };
            for (cells, batch) in cells.iter_mut().zip(&verdicts) {
                cells.push(Arc::new(Float64Array::from_iter_values(batch.iter().map(weight_of))));
            }
        }
        self.add(&infos, cells)?;

        let months = outcome.performance_months;
        let mut left: Vec<(String, Verdict)> =
            vec![(format!("performance window of {months} months not over"), Verdict::Open)];
        left.push((format!("no row in «{}» within the window", outcome.source), Verdict::Unseen));
        if outcome.indeterminate.is_some() && outcome.indeterminate_weight.is_none() {
            left.push(("indeterminate".into(), Verdict::Indeterminate));
        }
        let mut remaining = verdicts.clone();
        for (name, verdict) in left {
            let keep = remaining.iter().map(|b| b.iter().map(|v| *v != verdict).collect()).collect();
            self.retain(&name, keep)?;
            remaining.iter_mut().for_each(|b| b.retain(|v| *v != verdict));
        }
        if self.table.n_rows() == 0 {
            let open = marks(&|v| v == Verdict::Open).iter().flatten().filter(|m| **m).count();
            let unseen = marks(&|v| v == Verdict::Unseen).iter().flatten().filter(|m| **m).count();
            return Err(Error::data(format!(
                "no row is left: the window of {months} months is not over for {open}, and {unseen} have no row in «{}»",
                outcome.source
            )));
        }
        Ok(())
    }

    /// What became of each row, batch by batch.
    fn verdicts(&self, outcome: &Outcome, performance: &Table) -> Result<Vec<Vec<Verdict>>> {
        let (mine, theirs): (Vec<&str>, Vec<&str>) = outcome.on.iter().map(|(a, b)| (a.as_str(), b.as_str())).unzip();
        let rows = one_batch(performance)?;
        let index = Index::new(performance, &rows, &theirs, Some(&outcome.date))?;
        let cells = Cells::new(outcome, performance, &rows)?;
        let data_end = outcome.data_until.or_else(|| index.dates.iter().max().copied()).unwrap_or(i64::MIN);
        let mut windows = Windows { zone: &self.zone, known: HashMap::new() };
        let whole = Window::Months(outcome.performance_months);
        let mut verdicts = Vec::new();
        let mut bytes = Vec::new();
        for (batch, observed) in self.table.batches.iter().zip(self.observed()?) {
            let keys = Keys::new(&self.table, batch, &mine)?;
            let mut of_batch = Vec::with_capacity(batch.num_rows());
            for (row, observed) in observed.into_iter().enumerate() {
                // Rows without a date have been left out before.
                let Some(observed) = observed else { continue };
                let mut end = windows.end(whole, observed)?;
                for window in outcome.clauses().filter_map(|c| c.window) {
                    end = end.max(windows.end(window, observed)?);
                }
                let known = keys.write(row, &mut bytes);
                let seen = known && !index.between(&bytes, observed, end).is_empty();
                of_batch.push(if end > data_end {
                    Verdict::Open
                } else if !seen && outcome.no_rows == NoRows::Exclude {
                    Verdict::Unseen
                } else {
                    // A window that cannot be placed was reported just above.
                    let mut holds = |clause: &Clause| {
                        let until = windows.end(clause.window.unwrap_or(whole), observed).unwrap_or(observed);
                        let entries = if known { index.between(&bytes, observed, until) } else { 0..0 };
                        cells.hold(clause, index.rows[entries].iter().copied())
                    };
                    if outcome.bad.holds(&mut holds) {
                        Verdict::Bad
                    } else if outcome.indeterminate.as_ref().is_some_and(|d| d.holds(&mut holds)) {
                        Verdict::Indeterminate
                    } else {
                        Verdict::Good
                    }
                });
            }
            verdicts.push(of_batch);
        }
        Ok(verdicts)
    }
}

/// What became of a loan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Good,
    Bad,
    Indeterminate,
    /// Its window is not over.
    Open,
    /// Nothing is known of it.
    Unseen,
}

/// Ends of windows; many rows are observed at the same instant, and a calendar is slow.
struct Windows<'a> {
    zone: &'a jiff::tz::TimeZone,
    known: HashMap<(bool, u32, i64), i64>,
}

impl Windows<'_> {
    fn end(&mut self, window: Window, observed: i64) -> Result<i64> {
        let (months, length) = match window {
            Window::Months(n) => (true, n),
            Window::Days(n) => (false, n),
        };
        if let Some(end) = self.known.get(&(months, length, observed)) {
            return Ok(*end);
        }
        let end = window.end(observed, self.zone)?;
        self.known.insert((months, length, observed), end);
        Ok(end)
    }
}

/// The cells of the performance table that the definitions look at.
struct Cells {
    numbers: HashMap<String, Vec<f64>>,
    texts: HashMap<String, Vec<Option<String>>>,
}

impl Cells {
    fn new(outcome: &Outcome, table: &Table, rows: &RecordBatch) -> Result<Cells> {
        let mut cells = Cells { numbers: HashMap::new(), texts: HashMap::new() };
        for clause in outcome.clauses() {
            let name = &clause.column;
            let column = table.column(name)?;
            let (array, kind) = (rows.column(column), table.columns[column].kind);
            match &clause.value {
                Value::Text(_) => {
                    cells.texts.insert(name.clone(), texts(array, name).map_err(|e| e.at(&table.origin))?);
                }
                Value::Number(_) if kind == Kind::Number => {
                    cells.numbers.insert(name.clone(), numbers(array, name)?);
                }
                // A count asks only which cells are missing.
                Value::Number(_) if clause.function == Function::Count => {
                    let present = (0..array.len()).map(|i| if array.is_null(i) { f64::NAN } else { 1.0 });
                    cells.numbers.insert(name.clone(), present.collect());
                }
                Value::Number(_) => {
                    return Err(Error::request(format!(
                        "{}: column «{name}» is of kind {}; the definition needs numbers",
                        table.origin,
                        kind.name()
                    )));
                }
            }
        }
        Ok(cells)
    }

    /// Whether a clause holds for the cells at `rows`.
    fn hold(&self, clause: &Clause, rows: impl Iterator<Item = usize>) -> bool {
        match &clause.value {
            Value::Text(value) => {
                let cells = &self.texts[&clause.column];
                rows.filter_map(|r| cells[r].as_deref()).any(|cell| clause.comparison.holds(cell, value.as_str()))
            }
            Value::Number(value) => {
                let cells = &self.numbers[&clause.column];
                let mut present = rows.map(|r| cells[r]).filter(|x| !x.is_nan());
                let taken = match clause.function {
                    Function::Any => return present.any(|x| clause.comparison.holds(&x, value)),
                    Function::Count => Some(present.count() as f64),
                    Function::Max => present.reduce(f64::max),
                    Function::Min => present.reduce(f64::min),
                    Function::Sum => present.reduce(|a, b| a + b),
                };
                taken.is_some_and(|x| clause.comparison.holds(&x, value))
            }
        }
    }
}

/// All rows of a table in one batch.
fn one_batch(table: &Table) -> Result<RecordBatch> {
    match table.batches.as_slice() {
        [batch] => Ok(batch.clone()),
        [first, ..] => concat_batches(&first.schema(), &table.batches).map_err(|e| arrow(e).at(&table.origin)),
        [] => Err(Error::data(format!("{}: no rows", table.origin))),
    }
}

fn arrow(error: ArrowError) -> Error {
    Error::data(error.to_string())
}
