//! Patterns of paths: the files in the order of their names, as one table.

use super::{BatchReader, ReadOptions, SourceFacts, open_one};
use crate::infer::SurveyedBatch;
use arrow_array::RecordBatch;
use arrow_schema::{Field, Schema};
use statera_core::{Error, Result};
use std::path::Path;
use std::sync::Arc;

/// True if an address is a pattern (`*`, `?`, `[…]`), and not the name of a file that has such characters.
pub(super) fn is_pattern(address: &str) -> bool {
    address.contains(['*', '?', '[']) && !address.contains("://") && !Path::new(address).exists()
}

/// Opens all files that match; they must have the same columns, in any order.
pub(super) fn open(pattern: &str, options: &ReadOptions) -> Result<Box<dyn BatchReader>> {
    let matches =
        ::glob::glob(pattern).map_err(|e| Error::request(format!("{pattern}: not a pattern of paths: {}", e.msg)))?;
    let mut files = Vec::new();
    for path in matches {
        let path = path.map_err(|e| Error::io(format!("{pattern}: {e}")))?;
        if path.is_file() {
            files.push(path.to_string_lossy().into_owned());
        }
    }
    files.sort();
    let Some(first) = files.first() else {
        return Err(Error::request(format!("{pattern}: no file matches this pattern")));
    };
    let reader = open_one(first, options)?;
    Ok(Box::new(GlobReader {
        is_text: reader.is_text(),
        parts: vec![Part { reader, first_row: 0, order: None }],
        files,
        options: options.clone(),
        schema: None,
        n_rows: 0,
    }))
}

/// A file of the pattern that was opened.
struct Part {
    reader: Box<dyn BatchReader>,
    /// Rows of the files before it.
    first_row: usize,
    /// For each column of the first file, where it stands in this one; known after its first batch.
    order: Option<Vec<usize>>,
}

/// Files being read one after the other. Those that are finished stay for what they tell about places.
struct GlobReader {
    files: Vec<String>,
    options: ReadOptions,
    is_text: bool,
    parts: Vec<Part>,
    /// Columns of the first file.
    schema: Option<Arc<Schema>>,
    n_rows: usize,
}

impl BatchReader for GlobReader {
    fn is_text(&self) -> bool {
        self.is_text
    }

    fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            let current = self.parts.len() - 1;
            if let Some(batch) = self.parts[current].reader.next_batch()? {
                let batch = self.aligned(current, batch)?;
                self.n_rows += batch.num_rows();
                return Ok(Some(batch));
            }
            if !self.open_next()? {
                return Ok(None);
            }
        }
    }

    fn next_surveyed(&mut self) -> Result<Option<SurveyedBatch>> {
        loop {
            let current = self.parts.len() - 1;
            if let Some(mut batch) = self.parts[current].reader.next_surveyed()? {
                if let Some(order) = self.order(current, &batch.schema)? {
                    batch = batch.reordered(order);
                }
                self.n_rows += batch.n_rows;
                return Ok(Some(batch));
            }
            if !self.open_next()? {
                return Ok(None);
            }
        }
    }

    fn facts(&self) -> SourceFacts {
        let mut facts = self.parts[0].reader.facts();
        facts.notes.push(format!("{} files, from {}", self.files.len(), self.files[0]));
        for (file, part) in self.files.iter().zip(&self.parts).skip(1) {
            let encoding = part.reader.facts().encoding;
            if let Some(encoding) = encoding.filter(|e| Some(e) != facts.encoding.as_ref()) {
                facts.notes.push(format!("{file} is in {encoding}"));
            }
        }
        facts
    }

    fn place(&self, row: usize) -> String {
        let part = self.parts.partition_point(|p| p.first_row <= row).saturating_sub(1);
        self.parts[part].reader.place(row - self.parts[part].first_row)
    }
}

impl GlobReader {
    /// Opens the next file; false if there is none.
    fn open_next(&mut self) -> Result<bool> {
        let Some(next) = self.files.get(self.parts.len()) else { return Ok(false) };
        let reader = open_one(next, &self.options)?;
        if reader.is_text() != self.is_text {
            return Err(Error::data(format!(
                "{next}: text and typed files cannot be one table; {} is of the other sort",
                self.files[0]
            )));
        }
        self.parts.push(Part { reader, first_row: self.n_rows, order: None });
        Ok(true)
    }

    /// The batch with the columns of the first file, in its order.
    fn aligned(&mut self, part: usize, batch: RecordBatch) -> Result<RecordBatch> {
        let Some(order) = self.order(part, &batch.schema())? else { return Ok(batch) };
        let columns = order.iter().map(|&i| batch.column(i).clone()).collect();
        let schema = self.schema.clone().unwrap_or_else(|| batch.schema());
        RecordBatch::try_new(schema, columns).map_err(|e| Error::data(format!("{}: {e}", self.files[part])))
    }

    /// Where the columns of the first file stand in a part; `None` where they do already.
    fn order(&mut self, part: usize, schema: &Arc<Schema>) -> Result<Option<&[usize]>> {
        let first = self.schema.get_or_insert_with(|| schema.clone()).clone();
        if *schema == first {
            return Ok(None);
        }
        if self.parts[part].order.is_none() {
            self.parts[part].order = Some(self.order_of(part, &first, schema)?);
        }
        Ok(self.parts[part].order.as_deref())
    }

    /// Where the columns of the first file stand in another.
    fn order_of(&self, part: usize, first: &Schema, other: &Schema) -> Result<Vec<usize>> {
        let (file, reference) = (&self.files[part], &self.files[0]);
        if let Some(extra) = other.fields().iter().find(|f| first.index_of(f.name()).is_err()) {
            return Err(Error::data(format!(
                "{file}: column «{}» is not in {reference}; all files of a pattern must have the same columns",
                extra.name()
            )));
        }
        let find = |field: &Arc<Field>| {
            let i = other.index_of(field.name()).map_err(|_| {
                Error::data(format!(
                    "{file}: no column «{}», which {reference} has; all files of a pattern must have the same columns",
                    field.name()
                ))
            })?;
            let (expected, found) = (field.data_type(), other.field(i).data_type());
            if expected != found {
                return Err(Error::data(format!(
                    "{file}: column «{}» is {found}; in {reference} it is {expected}",
                    field.name()
                )));
            }
            Ok(i)
        };
        first.fields().iter().map(find).collect()
    }
}
