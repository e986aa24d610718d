//! Parquet (zstd): one part file per chunk in the folder `OUT.partial`; at the end their row groups are copied, as they
//! are, into one file. Memory holds one chunk; the disk holds the output twice for the moment of copying.

use super::journal::{Entry, Journal, beside, failed, sync_folder};
use super::{Sink, SinkOptions, broken, check_schema, layout};
use ::parquet::arrow::ArrowWriter;
use ::parquet::basic::{Compression, ZstdLevel};
use ::parquet::column::writer::ColumnCloseResult;
use ::parquet::errors::ParquetError;
use ::parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader};
use ::parquet::file::properties::WriterProperties;
use ::parquet::file::writer::SerializedFileWriter;
use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use statera_core::{Error, Result};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

struct ParquetSink {
    schema: SchemaRef,
    chunk_rows: usize,
    parts: Parts,
    journal: Journal,
    /// Rows of earlier runs.
    rows_done: u64,
    /// What the journal knows.
    noted: Entry,
    /// The part being written, and its rows.
    part: Option<(ArrowWriter<File>, u64)>,
    is_broken: bool,
}

/// The folder of parts.
struct Parts {
    folder: PathBuf,
}

impl Parts {
    fn path(&self, part: u64) -> PathBuf {
        self.folder.join(format!("part-{part:06}.parquet"))
    }

    fn merged(&self) -> PathBuf {
        self.folder.join("merged.parquet")
    }

    /// Parts that are there, from the first without a gap.
    fn count(&self) -> u64 {
        (0..).find(|&part| !self.path(part).exists()).unwrap_or(0)
    }

    /// Removes everything that is not one of the first `n_parts`.
    fn keep(&self, n_parts: u64, merged: bool) -> Result<()> {
        std::fs::create_dir_all(&self.folder).map_err(|e| failed(&self.folder, &e))?;
        let kept: Vec<PathBuf> = (0..n_parts).map(|part| self.path(part)).collect();
        for entry in std::fs::read_dir(&self.folder).map_err(|e| failed(&self.folder, &e))? {
            let path = entry.map_err(|e| failed(&self.folder, &e))?.path();
            let is_merged = merged && path == self.merged();
            if !is_merged && !kept.contains(&path) {
                std::fs::remove_file(&path).map_err(|e| failed(&path, &e))?;
            }
        }
        sync_folder(&self.folder)
    }
}

/// Opens the folder of parts and its journal.
pub(super) fn open(address: &str, schema: &SchemaRef, options: &SinkOptions) -> Result<Box<dyn Sink>> {
    let out = Path::new(address);
    let mut journal = Journal::open(out, layout(schema, None), options)?;
    let parts = Parts { folder: beside(out, ".partial") };
    let size = |path: &Path| std::fs::metadata(path).map(|m| m.len()).ok();
    let (n_parts, merged_size, out_size) = (parts.count(), size(&parts.merged()), size(out));
    let done = journal.last(|entry| match entry.finished {
        Some(bytes) => merged_size.or(out_size) == Some(bytes),
        None => n_parts >= entry.size,
    })?;
    if done.finished.is_none() {
        parts.keep(done.size, false)?;
    }
    Ok(Box::new(ParquetSink {
        schema: schema.clone(),
        chunk_rows: options.chunk_rows.max(1),
        parts,
        journal,
        rows_done: done.rows,
        noted: done,
        part: None,
        is_broken: false,
    }))
}

/// An error of writing at a path; a full disk keeps its own advice.
fn unwritten(path: &Path, error: ParquetError) -> Error {
    match error {
        ParquetError::External(e) => match e.downcast::<std::io::Error>() {
            Ok(e) => failed(path, &e),
            Err(e) => Error::io(format!("{}: {e}", path.display())),
        },
        other => Error::io(format!("{}: {other}", path.display())),
    }
}

impl ParquetSink {
    fn begin_part(&self) -> Result<ArrowWriter<File>> {
        let path = self.parts.path(self.noted.size);
        let file = File::create(&path).map_err(|e| failed(&path, &e))?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_max_row_group_row_count(None)
            .build();
        ArrowWriter::try_new(file, self.schema.clone(), Some(properties)).map_err(|e| unwritten(&path, e))
    }

    fn write_rows(&mut self, rows: &RecordBatch) -> Result<()> {
        check_schema(&self.schema, rows)?;
        let mut from = 0;
        while from < rows.num_rows() {
            let (mut writer, in_part) = match self.part.take() {
                Some(part) => part,
                None => (self.begin_part()?, 0),
            };
            let n = (rows.num_rows() - from).min(self.chunk_rows - in_part as usize);
            let path = self.parts.path(self.noted.size);
            writer.write(&rows.slice(from, n)).map_err(|e| unwritten(&path, e))?;
            from += n;
            self.part = Some((writer, in_part + n as u64));
            if in_part as usize + n == self.chunk_rows {
                self.end_part()?;
            }
        }
        Ok(())
    }

    /// Makes the open part durable and notes it.
    fn end_part(&mut self) -> Result<()> {
        let Some((writer, rows)) = self.part.take() else { return Ok(()) };
        let path = self.parts.path(self.noted.size);
        let file = writer.into_inner().map_err(|e| unwritten(&path, e))?;
        file.sync_all().map_err(|e| failed(&path, &e))?;
        sync_folder(&path)?;
        self.noted = Entry { rows: self.noted.rows + rows, size: self.noted.size + 1, finished: None };
        self.journal.note(self.noted)
    }

    /// Copies the row groups of all parts into one file; returns its bytes.
    fn merge(&self) -> Result<u64> {
        let path = self.parts.merged();
        let (first, metadata) = open_part(&self.parts.path(0))?;
        drop(first);
        let file_metadata = metadata.file_metadata();
        // The parts' own note of the Arrow types goes along.
        let notes = file_metadata.key_value_metadata().cloned();
        let properties = Arc::new(WriterProperties::builder().set_key_value_metadata(notes).build());
        let root = file_metadata.schema_descr().root_schema_ptr();
        let out = File::create(&path).map_err(|e| failed(&path, &e))?;
        let mut writer = SerializedFileWriter::new(out, root, properties).map_err(|e| unwritten(&path, e))?;
        let mut rows = 0;
        for part in 0..self.noted.size {
            let part_path = self.parts.path(part);
            let (input, metadata) = open_part(&part_path)?;
            rows += metadata.file_metadata().num_rows().max(0) as u64;
            copy_groups(&input, &metadata, &mut writer).map_err(|e| unwritten(&path, e))?;
        }
        if rows != self.noted.rows {
            let folder = self.parts.folder.display();
            return Err(Error::io(format!(
                "{folder}: its parts hold {rows} rows where {} are due; delete it and start over",
                self.noted.rows
            )));
        }
        let file = writer.into_inner().map_err(|e| unwritten(&path, e))?;
        file.sync_all().map_err(|e| failed(&path, &e))?;
        file.metadata().map(|m| m.len()).map_err(|e| failed(&path, &e))
    }
}

fn open_part(path: &Path) -> Result<(File, ParquetMetaData)> {
    let file = File::open(path).map_err(|e| failed(path, &e))?;
    let metadata =
        ParquetMetaDataReader::new().with_page_index_policy(PageIndexPolicy::Optional).parse_and_finish(&file);
    let metadata =
        metadata.map_err(|e| Error::io(format!("{}: {e}; delete the folder and start over", path.display())))?;
    Ok((file, metadata))
}

/// Copies encoded column chunks; nothing is decoded.
fn copy_groups(
    input: &File,
    metadata: &ParquetMetaData,
    writer: &mut SerializedFileWriter<File>,
) -> std::result::Result<(), ParquetError> {
    let index = metadata.page_index();
    for (at, group) in metadata.row_groups().iter().enumerate() {
        let mut out = writer.next_row_group()?;
        for (column_at, column) in group.columns().iter().enumerate() {
            out.append_column(
                input,
                ColumnCloseResult {
                    bytes_written: column.compressed_size().max(0) as u64,
                    rows_written: group.num_rows().max(0) as u64,
                    metadata: column.clone(),
                    bloom_filter: None,
                    column_index: index.and_then(|i| i.column_index(at, column_at)).cloned(),
                    offset_index: index.and_then(|i| i.offset_index(at, column_at)).cloned(),
                },
            )?;
        }
        out.close()?;
    }
    Ok(())
}

impl Sink for ParquetSink {
    fn rows_done(&self) -> u64 {
        self.rows_done
    }

    fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        if rows.num_rows() == 0 {
            return Ok(());
        }
        if self.is_broken || self.noted.finished.is_some() {
            return Err(broken(&self.parts.folder.display().to_string()));
        }
        let result = self.write_rows(rows);
        self.is_broken = result.is_err();
        result
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        if self.is_broken {
            return Err(broken(&self.parts.folder.display().to_string()));
        }
        if self.noted.finished.is_none() {
            if self.part.is_none() && self.noted.size == 0 {
                // A table without rows has its columns all the same.
                self.part = Some((self.begin_part()?, 0));
            }
            self.end_part()?;
            self.noted.finished = Some(self.merge()?);
            sync_folder(&self.parts.merged())?;
            self.journal.note(self.noted)?;
        }
        let ParquetSink { parts, journal, .. } = *self;
        // The parts go after the output has its name and before the journal that could find them again.
        journal.publish_and(&parts.merged(), || match std::fs::remove_dir_all(&parts.folder) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(failed(&parts.folder, &e)),
            _ => Ok(()),
        })
    }
}
