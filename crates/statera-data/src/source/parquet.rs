//! Parquet files, decoded in parallel: every worker reads a share of the columns, batch by batch in step with the others,
//! so that memory is bounded by a few batches whatever the size of the file's row groups.

use super::physical::{normalise, rebuild};
use super::{BatchReader, ReadOptions, Source, images};
use crate::time::Zone;
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::Field;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use statera_core::{Error, Result};
use std::fs::File;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

/// Parquet files.
pub const SOURCE: Source = Source { name: "Parquet", example: "loans.parquet", accepts, open };

/// Rows decoded at a time.
const BATCH_ROWS: usize = 32_768;
/// Batches a worker may be ahead of the reader.
const LOOK_AHEAD: usize = 2;
/// Workers at most: beyond, a disk is slower than decoding.
const WORKERS_MAX: usize = 8;

/// True if the address names a Parquet file.
pub fn accepts(address: &str) -> bool {
    let lower = address.to_ascii_lowercase();
    [".parquet", ".pq"].iter().any(|end| lower.ends_with(end)) && !address.contains("://")
}

/// Opens a file. Errors name the path; columns of a type no table keeps are refused here, before any row is read.
pub fn open(path: &str, options: &ReadOptions) -> Result<Box<dyn BatchReader>> {
    let zone = Zone::new(options.tz.as_deref())?;
    let file = File::open(path).map_err(|e| Error::io(format!("{path}: {e}")))?;
    let metadata = ArrowReaderMetadata::load(&file, Default::default()).map_err(|e| damaged(path, e))?;
    if let Some(at) = images::column_of_images(metadata.schema())
        && let Some(reader) = images::open_parquet(path, at, options)?
    {
        return Ok(reader);
    }
    let empty = normalise(&RecordBatch::new_empty(metadata.schema().clone()), &zone, 0).map_err(|e| e.at(path))?;
    let workers = thread::available_parallelism().map_or(1, usize::from).min(WORKERS_MAX);
    let shares = share_columns(&metadata, workers);
    let workers = shares
        .into_iter()
        .map(|columns| Worker::start(path, &metadata, columns, zone.clone()))
        .collect::<Result<Vec<Worker>>>()?;
    let n_rows = metadata.metadata().file_metadata().num_rows().max(0) as usize;
    Ok(Box::new(ParquetReader {
        path: path.into(),
        workers,
        empty,
        is_first: true,
        is_ended: false,
        rows_read: 0,
        n_rows,
    }))
}

fn damaged(path: &str, error: impl std::fmt::Display) -> Error {
    Error::data(format!("{path}: not a complete Parquet file ({error})"))
}

/// Gives each of at most `workers` workers columns of about the same weight (bytes unpacked), the heaviest first.
fn share_columns(metadata: &ArrowReaderMetadata, workers: usize) -> Vec<Vec<usize>> {
    let schema = metadata.parquet_schema();
    let mut weights = vec![0i64; metadata.schema().fields().len()];
    for group in metadata.metadata().row_groups() {
        for (leaf, column) in group.columns().iter().enumerate() {
            weights[schema.get_column_root_idx(leaf)] += column.uncompressed_size().max(0);
        }
    }
    let mut order: Vec<usize> = (0..weights.len()).collect();
    order.sort_by_key(|&c| (-weights[c], c));
    let mut shares = vec![(0i64, Vec::new()); workers.min(weights.len())];
    for column in order {
        if let Some(lightest) = shares.iter_mut().min_by_key(|s| s.0) {
            // One more than its bytes, so that columns of empty files spread too.
            lightest.0 += weights[column] + 1;
            lightest.1.push(column);
        }
    }
    shares
        .into_iter()
        .map(|(_, mut columns)| {
            columns.sort_unstable();
            columns
        })
        .collect()
}

/// What a worker sends: rows of its columns, or `None` when it has read them all.
type Message = Result<Option<RecordBatch>>;

/// A thread that decodes some of the columns.
struct Worker {
    /// Positions of its columns in the table, ascending.
    columns: Vec<usize>,
    batches: Receiver<Message>,
}

impl Worker {
    fn start(path: &str, metadata: &ArrowReaderMetadata, columns: Vec<usize>, zone: Zone) -> Result<Worker> {
        // A file of its own: copies of one handle share its position, which every worker moves.
        let file = File::open(path).map_err(|e| Error::io(format!("{path}: {e}")))?;
        let mask = ProjectionMask::roots(metadata.parquet_schema(), columns.iter().copied());
        let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata.clone())
            .with_projection(mask)
            .with_batch_size(BATCH_ROWS)
            .build()
            .map_err(|e| damaged(path, e))?;
        let (sender, batches) = sync_channel(LOOK_AHEAD);
        let path = path.to_string();
        thread::Builder::new()
            .name("parquet".into())
            .spawn(move || decode(&path, reader, &zone, &sender))
            .map_err(|e| Error::io(format!("cannot start a thread: {e}")))?;
        Ok(Worker { columns, batches })
    }

    fn next(&self, path: &str) -> Message {
        // A closed channel without an end means that the decoder gave up on damaged bytes.
        self.batches.recv().unwrap_or_else(|_| Err(damaged(path, "a column cannot be decoded")))
    }
}

/// Decodes until the end, an error, or until nobody listens.
fn decode(path: &str, reader: ParquetRecordBatchReader, zone: &Zone, sender: &SyncSender<Message>) {
    let mut n_rows = 0;
    for batch in reader {
        let rows = batch.map_err(|e| damaged(path, e)).and_then(|batch| {
            let first_row = n_rows;
            n_rows += batch.num_rows();
            normalise(&batch, zone, first_row).map_err(|e| e.at(path))
        });
        let stop = rows.is_err();
        if sender.send(rows.map(Some)).is_err() || stop {
            return;
        }
    }
    // The reader may be gone; then there is nobody to tell.
    let _ = sender.send(Ok(None));
}

struct ParquetReader {
    path: String,
    workers: Vec<Worker>,
    /// No rows, all columns.
    empty: RecordBatch,
    is_first: bool,
    is_ended: bool,
    rows_read: usize,
    /// Rows the file says it has.
    n_rows: usize,
}

impl ParquetReader {
    /// Puts the pieces of a batch together; `None` when all workers are at the end.
    fn assemble(&self) -> Result<Option<RecordBatch>> {
        let fields = self.empty.schema();
        let mut columns: Vec<Option<ArrayRef>> = vec![None; fields.fields().len()];
        let mut n_rows = None;
        for worker in &self.workers {
            let piece = worker.next(&self.path)?;
            let rows = piece.as_ref().map(RecordBatch::num_rows);
            if n_rows.is_some_and(|n| n != rows) {
                return Err(damaged(&self.path, "its columns differ in length"));
            }
            n_rows = Some(rows);
            let arrays = piece.iter().flat_map(RecordBatch::columns);
            for (&column, array) in worker.columns.iter().zip(arrays) {
                columns[column] = Some(array.clone());
            }
        }
        let Some(Some(n_rows)) = n_rows else { return Ok(None) };
        let columns = columns.into_iter().collect::<Option<Vec<ArrayRef>>>();
        let columns = columns.ok_or_else(|| damaged(&self.path, "a column is missing"))?;
        let fields = fields.fields().iter().map(|f| Field::clone(f)).collect();
        rebuild(fields, columns, n_rows).map(Some)
    }
}

impl BatchReader for ParquetReader {
    fn is_text(&self) -> bool {
        false
    }

    fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        if self.is_ended {
            return Ok(None);
        }
        let batch = self.assemble();
        self.is_ended = !matches!(batch, Ok(Some(_)));
        let is_first = std::mem::replace(&mut self.is_first, false);
        match batch? {
            Some(batch) => {
                self.rows_read += batch.num_rows();
                Ok(Some(batch))
            }
            None if self.rows_read != self.n_rows => {
                let what = format!("{} rows found, its footer says {}", self.rows_read, self.n_rows);
                Err(damaged(&self.path, what))
            }
            None if is_first => Ok(Some(self.empty.clone())),
            None => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::types::Int16Type;
    use arrow_array::*;
    use parquet::arrow::ArrowWriter;
    use parquet::file::properties::WriterProperties;
    use std::path::Path;
    use std::sync::Arc;

    fn write(path: &Path, batch: &RecordBatch, group_rows: usize) {
        let properties = WriterProperties::builder().set_max_row_group_row_count(Some(group_rows)).build();
        let file = File::create(path).expect("creates");
        let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).expect("writes");
        writer.write(batch).expect("writes");
        writer.close().expect("writes");
    }

    fn read(path: &Path) -> Result<Vec<RecordBatch>> {
        let mut reader = open(path.to_str().expect("UTF-8"), &ReadOptions::default())?;
        let mut batches = Vec::new();
        while let Some(batch) = reader.next_batch()? {
            batches.push(batch);
        }
        Ok(batches)
    }

    fn sample(n_rows: usize) -> RecordBatch {
        let ids = Int32Array::from_iter_values(0..n_rows as i32);
        let amounts = Decimal128Array::from_iter((0..n_rows).map(|i| (i % 7 != 0).then_some(i as i128 * 100 + 5)))
            .with_precision_and_scale(12, 2)
            .expect("valid");
        let ratios = Float32Array::from_iter((0..n_rows).map(|i| (i % 5 != 0).then_some(i as f32 / 8.0)));
        let grades: DictionaryArray<Int16Type> = (0..n_rows).map(|i| Some(["A", "B", "가"][i % 3])).collect();
        let flags = BooleanArray::from_iter((0..n_rows).map(|i| Some(i % 2 == 0)));
        let days = Date32Array::from_iter_values((0..n_rows).map(|i| i as i32 % 20_000));
        RecordBatch::try_from_iter([
            ("id", Arc::new(ids) as ArrayRef),
            ("amount", Arc::new(amounts)),
            ("ratio", Arc::new(ratios)),
            ("grade", Arc::new(grades)),
            ("flag", Arc::new(flags)),
            ("day", Arc::new(days)),
        ])
        .expect("valid")
    }

    #[test]
    fn every_type_comes_back_in_order() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("x.parquet");
        let written = sample(100_000);
        write(&path, &written, 30_000);
        let batches = read(&path).expect("reads");
        assert!(batches.len() >= 4);
        let all = arrow_select::concat::concat_batches(&batches[0].schema(), &batches).expect("one schema");
        assert_eq!(all, normalise(&written, &Zone::utc(), 0).expect("normalises"));
    }

    #[test]
    fn a_file_without_rows_has_its_schema() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("x.parquet");
        write(&path, &sample(0), 10);
        let batches = read(&path).expect("reads");
        assert_eq!((batches.len(), batches[0].num_rows(), batches[0].num_columns()), (1, 0, 6));
    }

    #[test]
    fn a_reader_may_stop_early() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("x.parquet");
        write(&path, &sample(200_000), 50_000);
        let mut reader = open(path.to_str().expect("UTF-8"), &ReadOptions::default()).expect("opens");
        assert_eq!(reader.next_batch().expect("reads").map(|b| b.num_rows()), Some(BATCH_ROWS));
    }

    #[test]
    fn damage_is_named() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("x.parquet");
        write(&path, &sample(1000), 1000);
        let whole = std::fs::read(&path).expect("reads");
        std::fs::write(&path, &whole[..whole.len() / 2]).expect("writes");
        let error = read(&path).expect_err("truncated").to_string();
        assert!(error.contains("x.parquet: not a complete Parquet file ("), "{error}");
        // The header of the first page overwritten, the footer left whole (values themselves carry no checksum).
        let mut holed = whole.clone();
        holed[4..24].fill(0xee);
        std::fs::write(&path, &holed).expect("writes");
        let error = read(&path).expect_err("damaged").to_string();
        assert!(error.contains("x.parquet: not a complete Parquet file ("), "{error}");
        std::fs::write(&path, b"").expect("writes");
        let error = read(&path).expect_err("empty").to_string();
        assert!(error.contains("x.parquet: not a complete Parquet file ("), "{error}");
    }

    #[test]
    fn refuses_a_column_no_table_keeps() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("x.parquet");
        let blob: ArrayRef = Arc::new(BinaryArray::from_vec(vec![b"\x00"]));
        write(&path, &RecordBatch::try_from_iter([("blob", blob)]).expect("valid"), 10);
        let error = read(&path).expect_err("refused").to_string();
        assert!(error.contains("x.parquet: column «blob» is of type Binary; allowed are integers"), "{error}");
    }
}
