//! Masking: what a policy does with every column of a table, and what it leaves to find out.
//!
//! A [`Policy`] names a method for each column; a [`Masker`] applies it to any batch, or undoes what can be undone. Missing
//! cells stay missing under every method. Errors name row and column and never a cell's content. [`risk`] measures how well
//! the rows hide among each other. Adding a method is one file and one line in [`METHODS`].

mod encrypt;
mod generalise;
mod hash;
mod key;
mod policy;
mod redact;
pub mod risk;
mod scrub;
mod token;

pub use key::{KEY_BYTES, Key, refuse_open_door};
pub use policy::{Policy, RiskColumns, Rule};

use crate::source::physical::{instant_type, rebuild};
use crate::table::texts_of;
use crate::time::{TimeFormat, Zone, parse_cell};
use arrow_array::{Array, ArrayRef, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow_cast::{CastOptions, cast_with_options};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use rayon::prelude::*;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use statera_core::{Error, Result};
use std::sync::Arc;

/// Every method; a new one is a file and a line here.
pub const METHODS: &[MethodKind] =
    &[KEEP, DROP, redact::KIND, generalise::KIND, hash::KIND, token::KIND, encrypt::KIND, scrub::KIND];

const KEEP: MethodKind = MethodKind {
    name: "keep",
    about: "the column stays as it is",
    needs_key: false,
    build: |setup| setup.read::<Nothing>().map(|_| Action::Keep),
};
const DROP: MethodKind = MethodKind {
    name: "drop",
    about: "the column is left out",
    needs_key: false,
    build: |setup| setup.read::<Nothing>().map(|_| Action::Drop),
};

/// No settings.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

/// A result, or the row at which it failed and why.
type AtRow<T> = std::result::Result<T, (u64, Error)>;

/// Rows that one task masks.
const BLOCK_ROWS: usize = 1024;

/// A kind of method.
pub struct MethodKind {
    /// Its name in a policy.
    pub name: &'static str,
    /// What it does, with its settings in parentheses.
    pub about: &'static str,
    /// True if it needs a key file.
    pub needs_key: bool,
    /// Makes the action of a column; an error names the setting, the value and what is allowed.
    pub build: fn(&Setup<'_>) -> Result<Action>,
}

/// What a method is made from.
pub struct Setup<'a> {
    /// The column.
    pub column: &'a str,
    /// Its settings in the policy, without `method`.
    pub settings: toml::Table,
    /// The master key.
    pub key: &'a Key,
    /// The zone of times that name none.
    pub zone: &'a Zone,
}

impl Setup<'_> {
    /// The settings as a struct; an unknown one is an error that names those there are.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<T> {
        let read = toml::Value::Table(self.settings.clone()).try_into();
        read.map_err(|e: toml::de::Error| Error::request(e.message().trim().replace('\n', " ")))
    }
}

/// What happens to a column.
pub enum Action {
    /// It stays.
    Keep,
    /// It is left out.
    Drop,
    /// Its cells are replaced by text.
    Replace(Box<dyn Method>),
}

/// How a cell that is not missing is replaced. Errors never hold the cell.
pub trait Method: Send + Sync {
    /// The masked cell; `row` counts from 0 over the table.
    fn mask(&self, cell: &str, row: u64) -> Result<String>;
    /// The cell that was masked; only for methods with a [`Method::cell_type`].
    fn unmask(&self, _: &str) -> Result<String> {
        Err(Error::request("this method cannot be undone"))
    }
    /// The type that cells have again when the mask is undone; `None` where it cannot be undone.
    fn cell_type(&self) -> Option<&CellType> {
        None
    }
    /// True if masked cells do not even tell which of them were equal.
    fn tells_nothing(&self) -> bool {
        false
    }
}

/// The type of a column that can be unmasked: `text`, `integer`, `number`, `decimal(P,S)` or `time`.
#[derive(Debug, Clone, PartialEq)]
pub struct CellType(DataType);

impl Default for CellType {
    fn default() -> Self {
        CellType(DataType::Utf8)
    }
}

impl CellType {
    fn parse(text: &str) -> Option<CellType> {
        let decimal = |text: &str| {
            let (precision, scale) = text.strip_prefix("decimal(")?.strip_suffix(')')?.split_once(',')?;
            let (precision, scale) = (precision.trim().parse::<u8>().ok()?, scale.trim().parse::<i8>().ok()?);
            let fits = (1..=38).contains(&precision) && (0..=precision as i8).contains(&scale);
            fits.then_some(DataType::Decimal128(precision, scale))
        };
        Some(CellType(match text {
            "text" => DataType::Utf8,
            "integer" => DataType::Int64,
            "number" => DataType::Float64,
            "time" => instant_type(),
            other => decimal(other)?,
        }))
    }

    /// The name in a policy of a table's type.
    fn name(data_type: &DataType) -> String {
        match data_type {
            DataType::Utf8 => "text".into(),
            DataType::Int64 => "integer".into(),
            DataType::Float64 => "number".into(),
            DataType::Decimal128(precision, scale) => format!("decimal({precision},{scale})"),
            _ => "time".into(),
        }
    }
}

impl<'de> Deserialize<'de> for CellType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        CellType::parse(&text).ok_or_else(|| {
            serde::de::Error::custom(format!(
                "type «{text}» is not allowed; allowed are text, integer, number, decimal(P,S) such as decimal(18,2), and time"
            ))
        })
    }
}

/// A policy made ready for the columns of a table.
pub struct Masker {
    columns: Vec<Planned>,
    schema: SchemaRef,
    is_text: bool,
    is_inverse: bool,
}

struct Planned {
    name: String,
    action: Action,
}

impl Masker {
    /// Fits a policy to columns. `is_text` says that the source has no types of its own: its empty cells are missing ones.
    /// `is_inverse` undoes the mask: columns that were dropped are not expected, and what cannot be undone stays.
    ///
    /// # Errors
    /// Columns of the policy that the table lacks, columns that the policy does not name (unless it has a default), a
    /// declared type that is not the column's.
    pub fn new(
        policy: &Policy,
        schema: &Schema,
        is_text: bool,
        key: &Key,
        zone: &Zone,
        is_inverse: bool,
    ) -> Result<Masker> {
        let names: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
        policy.check_columns(&names, is_inverse)?;
        let mut columns = Vec::with_capacity(names.len());
        let mut fields = Vec::new();
        for field in schema.fields() {
            let mut action = policy.action(field.name(), key, zone)?;
            if is_inverse && !matches!(&action, Action::Replace(method) if method.cell_type().is_some()) {
                action = Action::Keep;
            }
            let output = match &action {
                Action::Keep => Some(field.data_type().clone()),
                Action::Drop => None,
                Action::Replace(method) if is_inverse => method.cell_type().map(|t| t.0.clone()),
                Action::Replace(method) => {
                    if let Some(declared) = method.cell_type() {
                        check_type(policy, field, declared, is_text)?;
                    }
                    Some(DataType::Utf8)
                }
            };
            fields.extend(output.map(|data_type| Field::new(field.name(), data_type, true)));
            columns.push(Planned { name: field.name().clone(), action });
        }
        if fields.is_empty() {
            return Err(Error::request(format!(
                "{}: every column is dropped; nothing is left to write",
                policy.path()
            )));
        }
        Ok(Masker { columns, schema: Arc::new(Schema::new(fields)), is_text, is_inverse })
    }

    /// The columns of what [`Masker::apply`] makes.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// True if masked cells of the column tell nothing, not even which were equal; a dropped column is such a one.
    pub fn tells_nothing(&self, column: &str) -> bool {
        self.columns.iter().any(|c| {
            c.name == column
                && match &c.action {
                    Action::Keep => false,
                    Action::Drop => true,
                    Action::Replace(method) => method.tells_nothing(),
                }
        })
    }

    /// Masks rows, or undoes it; `first_row` rows came before.
    ///
    /// # Errors
    /// The first cell of a column that a method refuses: row and column and why, never the cell.
    pub fn apply(&self, rows: &RecordBatch, first_row: u64) -> Result<RecordBatch> {
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.schema.fields().len());
        for (planned, column) in self.columns.iter().zip(rows.columns()) {
            let masked = match &planned.action {
                Action::Drop => continue,
                Action::Keep if !self.is_text => Ok(column.clone()),
                Action::Keep => Ok(Arc::new(StringArray::from(self.texts(column))) as ArrayRef),
                Action::Replace(method) => self.replace(&**method, column, first_row),
            };
            let place = |(row, e): (u64, Error)| e.at(format!("row {}, column «{}»", row + 1, planned.name));
            columns.push(masked.map_err(place)?);
        }
        let fields = self.schema.fields().iter().map(|f| f.as_ref().clone()).collect();
        rebuild(fields, columns, rows.num_rows())
    }

    /// Cells as text, missing ones `None`.
    pub fn texts(&self, column: &ArrayRef) -> Vec<Option<String>> {
        let mut texts = texts_of(column);
        if self.is_text {
            texts.iter_mut().filter(|t| t.as_deref() == Some("")).for_each(|t| *t = None);
        }
        texts
    }

    fn replace(&self, method: &dyn Method, column: &ArrayRef, first_row: u64) -> AtRow<ArrayRef> {
        let texts = self.texts(column);
        let block = |(at, cells): (usize, &[Option<String>])| {
            let mut masked = Vec::with_capacity(cells.len());
            for (i, cell) in cells.iter().enumerate() {
                let row = first_row + (at * BLOCK_ROWS + i) as u64;
                let one = |cell: &String| if self.is_inverse { method.unmask(cell) } else { method.mask(cell, row) };
                masked.push(cell.as_ref().map(one).transpose().map_err(|e| (row, e))?);
            }
            Ok(masked)
        };
        let blocks: Vec<AtRow<Vec<Option<String>>>> = texts.par_chunks(BLOCK_ROWS).enumerate().map(block).collect();
        let mut masked = Vec::with_capacity(texts.len());
        for block in blocks {
            // In the order of the rows, so that the first refused one is named whatever the threads did.
            masked.extend(block?);
        }
        let masked = StringArray::from(masked);
        match method.cell_type() {
            Some(CellType(data_type)) if self.is_inverse && *data_type != DataType::Utf8 => {
                typed(&masked, data_type, first_row)
            }
            _ => Ok(Arc::new(masked)),
        }
    }
}

/// Text as cells of a type.
fn typed(texts: &StringArray, data_type: &DataType, first_row: u64) -> AtRow<ArrayRef> {
    let name = CellType::name(data_type);
    let cast = if *data_type == instant_type() {
        let instant = |cell: &str| parse_cell(cell, TimeFormat { day_first: false }, &Zone::utc());
        let instants = TimestampMicrosecondArray::from_iter(texts.iter().map(|cell| cell.and_then(instant)));
        Arc::new(instants.with_data_type(data_type.clone())) as ArrayRef
    } else {
        cast_with_options(texts, data_type, &CastOptions { safe: true, ..Default::default() })
            .map_err(|_| (first_row, Error::data(format!("text cannot become {name}"))))?
    };
    // A cell that does not fit has become null.
    match (0..texts.len()).find(|&row| cast.is_null(row) && !texts.is_null(row)) {
        None => Ok(cast),
        Some(row) => {
            Err((first_row + row as u64, Error::data(format!("not of the type {name}, which the policy declares"))))
        }
    }
}

/// What is declared must be what the source has, or the mask could not be undone.
fn check_type(policy: &Policy, field: &Field, declared: &CellType, is_text: bool) -> Result<()> {
    // A source of text has no types; nothing contradicts what is declared until the mask is undone.
    if is_text || declared.0 == *field.data_type() || declared.0 == DataType::Utf8 {
        return Ok(());
    }
    Err(Error::request(format!(
        "{}: column «{}» is of type {}, and type = \"{}\" is declared",
        policy.path(),
        field.name(),
        CellType::name(field.data_type()),
        CellType::name(&declared.0)
    )))
}

#[cfg(test)]
mod tests;
