//! CSV: separated by commas, one header line, lines ending in a line feed; see [`Encoding`] for its characters.

use super::cell::{Format, header, lines};
use super::journal::{Entry, Journal, beside, failed, sync_folder};
use super::{Encoding, Sink, SinkOptions, broken, check_schema, layout};
use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use statera_core::Result;
use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// The byte order mark of UTF-8.
const MARK: &[u8] = b"\xef\xbb\xbf";

struct CsvSink {
    schema: SchemaRef,
    format: Format,
    chunk_rows: u64,
    partial: PathBuf,
    file: File,
    journal: Journal,
    /// Rows of earlier runs.
    rows_done: u64,
    /// What is in the file, durable or not.
    written: Entry,
    /// Rows the journal knows.
    noted_rows: u64,
    is_broken: bool,
}

/// Opens `OUT.partial` and its journal.
pub(super) fn open(address: &str, schema: &SchemaRef, options: &SinkOptions) -> Result<Box<dyn Sink>> {
    let out = Path::new(address);
    // An empty line would be no row to most readers: the null of a single column is written as empty text.
    let null = if schema.fields().len() == 1 { "\"\"" } else { "" };
    let format = Format { encoding: options.encoding, null };
    let mut first = if options.encoding == Encoding::Utf8Bom { MARK.to_vec() } else { Vec::new() };
    first.extend(header(schema, format)?);

    let mut journal = Journal::open(out, layout(schema, Some(options.encoding)), options)?;
    let partial = beside(out, ".partial");
    let size = |path: &Path| std::fs::metadata(path).map(|m| m.len()).ok();
    let (partial_size, out_size) = (size(&partial), size(out));
    let done = journal.last(|entry| match (entry.finished, partial_size) {
        (Some(bytes), None) => out_size == Some(bytes),
        (_, bytes) => bytes.is_some_and(|bytes| bytes >= entry.size),
    })?;
    let file = if done.finished.is_some() && partial_size.is_none() {
        // Everything is there, under its final name.
        File::open(out).map_err(|e| failed(out, &e))?
    } else {
        reopen(&partial, done.size)?
    };
    let mut sink = CsvSink {
        schema: schema.clone(),
        format,
        chunk_rows: options.chunk_rows.max(1) as u64,
        partial,
        file,
        journal,
        rows_done: done.rows,
        written: done,
        noted_rows: done.rows,
        is_broken: false,
    };
    if done.size == 0 {
        sink.append(&first)?;
    }
    Ok(Box::new(sink))
}

/// Opens the partial file and cuts off what is behind `size`.
fn reopen(partial: &Path, size: u64) -> Result<File> {
    let mut options = OpenOptions::new();
    let file = options.write(true).create(true).truncate(size == 0).open(partial).and_then(|mut file| {
        if size > 0 {
            file.set_len(size)?;
        }
        file.seek(SeekFrom::Start(size))?;
        Ok(file)
    });
    let file = file.map_err(|e| failed(partial, &e))?;
    sync_folder(partial)?;
    Ok(file)
}

impl CsvSink {
    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).map_err(|e| failed(&self.partial, &e))?;
        self.written.size += bytes.len() as u64;
        Ok(())
    }

    fn write_rows(&mut self, rows: &RecordBatch) -> Result<()> {
        check_schema(&self.schema, rows)?;
        for block in lines(rows, self.format, self.written.rows)? {
            self.append(&block)?;
        }
        self.written.rows += rows.num_rows() as u64;
        if self.written.rows - self.noted_rows >= self.chunk_rows {
            self.file.sync_data().map_err(|e| failed(&self.partial, &e))?;
            self.journal.note(self.written)?;
            self.noted_rows = self.written.rows;
        }
        Ok(())
    }
}

impl Sink for CsvSink {
    fn rows_done(&self) -> u64 {
        self.rows_done
    }

    fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        if rows.num_rows() == 0 {
            return Ok(());
        }
        if self.is_broken || self.written.finished.is_some() {
            return Err(broken(&self.partial.display().to_string()));
        }
        let result = self.write_rows(rows);
        self.is_broken = result.is_err();
        result
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        if self.is_broken {
            return Err(broken(&self.partial.display().to_string()));
        }
        if self.written.finished.is_none() {
            self.file.sync_all().map_err(|e| failed(&self.partial, &e))?;
            self.written.finished = Some(self.written.size);
            self.journal.note(self.written)?;
        }
        self.journal.publish(&self.partial)
    }
}
