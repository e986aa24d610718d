//! Arrow IPC: files and streams, as other programs on the same machine write them.

use super::physical::normalise;
use super::{BatchReader, ReadOptions, Source};
use crate::time::Zone;
use arrow_array::RecordBatch;
use arrow_ipc::reader::{FileReader, StreamReader};
use arrow_schema::{ArrowError, SchemaRef};
use statera_core::{Error, Result};
use std::cell::Cell;
use std::fs::File;
use std::io::{BufReader, Cursor, Read, Seek};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Arrow IPC files.
pub const SOURCE: Source = Source { name: "Arrow IPC", example: "loans.arrow", accepts, open };

/// First bytes of the file format, padded to 8 bytes; after more zeros, up to the writer's alignment, comes the stream
/// format, then a footer.
const MAGIC: [u8; 8] = *b"ARROW1\0\0";
/// First bytes of the stream format (since Arrow 0.15).
const CONTINUATION: [u8; 4] = [0xff; 4];

/// True if the address names an Arrow file.
pub fn accepts(address: &str) -> bool {
    let lower = address.to_ascii_lowercase();
    [".arrow", ".arrows", ".ipc", ".feather"].iter().any(|end| lower.ends_with(end)) && !address.contains("://")
}

/// True if the first bytes of a stream are those of Arrow IPC.
pub fn is_ipc(first_bytes: &[u8]) -> bool {
    first_bytes.starts_with(&CONTINUATION) || first_bytes.starts_with(&MAGIC[..6])
}

/// Opens a file of either format. Errors name the path.
pub fn open(path: &str, options: &ReadOptions) -> Result<Box<dyn BatchReader>> {
    let mut file = File::open(path).map_err(|e| Error::io(format!("{path}: {e}")))?;
    let mut first = [0; MAGIC.len()];
    let is_file = file.read_exact(&mut first).is_ok() && first == MAGIC;
    file.rewind().map_err(|e| Error::io(format!("{path}: {e}")))?;
    if !is_file {
        return from_stream(Box::new(BufReader::new(file)), path, options);
    }
    let zone = Zone::new(options.tz.as_deref())?;
    let reader = guarded(path, || FileReader::try_new_buffered(file, None))?.map_err(|e| damaged(path, &e))?;
    let schema = reader.schema();
    Ok(Box::new(IpcReader::new(Box::new(reader), schema, zone, path)))
}

/// Reads Arrow IPC of either format from a stream, such as standard input; `origin` names it in messages.
pub fn from_stream(
    mut stream: Box<dyn Read + Send>,
    origin: &str,
    options: &ReadOptions,
) -> Result<Box<dyn BatchReader>> {
    let zone = Zone::new(options.tz.as_deref())?;
    let mut first = next_bytes(&mut stream, origin)?;
    if first.is_empty() {
        return Err(Error::data(format!("{origin}: empty; allowed is Arrow IPC with at least a schema")));
    }
    if first == MAGIC {
        first.clear();
        while first.iter().all(|b| *b == 0) {
            first = next_bytes(&mut stream, origin)?;
            if first.is_empty() {
                break;
            }
        }
    }
    let stream = Cursor::new(first).chain(stream);
    let reader = guarded(origin, || StreamReader::try_new_buffered(stream, None))?.map_err(|e| damaged(origin, &e))?;
    let schema = reader.schema();
    Ok(Box::new(IpcReader::new(Box::new(reader), schema, zone, origin)))
}

/// The next 8 bytes, fewer at the end.
fn next_bytes(stream: &mut impl Read, origin: &str) -> Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(MAGIC.len());
    stream.take(MAGIC.len() as u64).read_to_end(&mut bytes).map_err(|e| Error::io(format!("{origin}: {e}")))?;
    Ok(bytes)
}

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// True while this thread reads a file whose damage may make the reading library panic; that becomes an error, and a
/// panic hook need not report it.
pub fn is_guarded() -> bool {
    GUARDED.get()
}

/// Reads with a library that checks most of what a file says of itself, and panics at the rest.
fn guarded<T>(origin: &str, read: impl FnOnce() -> T) -> Result<T> {
    GUARDED.set(true);
    let result = catch_unwind(AssertUnwindSafe(read));
    GUARDED.set(false);
    result.map_err(|_| {
        Error::data(format!("{origin}: not a complete Arrow IPC file or stream (its parts do not fit together)"))
    })
}

fn damaged(origin: &str, error: &ArrowError) -> Error {
    Error::data(format!("{origin}: not a complete Arrow IPC file or stream ({error})"))
}

type Batches = Box<dyn Iterator<Item = std::result::Result<RecordBatch, ArrowError>> + Send>;

struct IpcReader {
    batches: Batches,
    /// Sent as an empty batch where the stream holds none.
    empty: Option<SchemaRef>,
    zone: Zone,
    origin: String,
    n_rows: usize,
}

impl IpcReader {
    fn new(batches: Batches, schema: SchemaRef, zone: Zone, origin: &str) -> Self {
        IpcReader { batches, empty: Some(schema), zone, origin: origin.into(), n_rows: 0 }
    }
}

impl BatchReader for IpcReader {
    fn is_text(&self) -> bool {
        false
    }

    fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        let next = guarded(&self.origin, || self.batches.next())?;
        let batch = match (next, self.empty.take()) {
            (Some(batch), _) => batch.map_err(|e| damaged(&self.origin, &e))?,
            (None, Some(schema)) => RecordBatch::new_empty(schema),
            (None, None) => return Ok(None),
        };
        let rows = normalise(&batch, &self.zone, self.n_rows).map_err(|e| e.at(&self.origin))?;
        self.n_rows += batch.num_rows();
        Ok(Some(rows))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{ArrayRef, Int32Array, Int64Array};
    use arrow_ipc::writer::{FileWriter, IpcWriteOptions, StreamWriter};
    use std::sync::Arc;

    fn batch(values: Vec<i32>) -> RecordBatch {
        RecordBatch::try_from_iter([("x", Arc::new(Int32Array::from(values)) as ArrayRef)]).expect("valid")
    }

    fn stream_of(batches: &[RecordBatch]) -> Vec<u8> {
        let mut writer = StreamWriter::try_new(Vec::new(), &batches[0].schema()).expect("writes");
        batches.iter().for_each(|b| writer.write(b).expect("writes"));
        writer.into_inner().expect("writes")
    }

    fn file_of(batches: &[RecordBatch], compression: Option<arrow_ipc::CompressionType>) -> Vec<u8> {
        let options = IpcWriteOptions::default().try_with_compression(compression).expect("compiled in");
        let mut writer = FileWriter::try_new_with_options(Vec::new(), &batches[0].schema(), options).expect("writes");
        batches.iter().for_each(|b| writer.write(b).expect("writes"));
        writer.into_inner().expect("writes")
    }

    fn all(mut reader: Box<dyn BatchReader>) -> Result<Vec<i64>> {
        let mut rows = Vec::new();
        while let Some(batch) = reader.next_batch()? {
            let column = batch.column(0).as_any().downcast_ref::<Int64Array>().expect("Int64").clone();
            rows.extend(column.values());
        }
        Ok(rows)
    }

    fn from_bytes(bytes: Vec<u8>) -> Result<Vec<i64>> {
        all(from_stream(Box::new(Cursor::new(bytes)), "standard input", &ReadOptions::default())?)
    }

    #[test]
    fn reads_both_formats_from_streams_and_files() {
        let batches = [batch(vec![1, 2]), batch(vec![3])];
        let lz4 = Some(arrow_ipc::CompressionType::LZ4_FRAME);
        let zstd = Some(arrow_ipc::CompressionType::ZSTD);
        let folder = tempfile::tempdir().expect("a temporary folder");
        for bytes in [stream_of(&batches), file_of(&batches, None), file_of(&batches, lz4), file_of(&batches, zstd)] {
            assert!(is_ipc(&bytes));
            let path = folder.path().join("x.arrow");
            std::fs::write(&path, &bytes).expect("writes");
            assert_eq!(from_bytes(bytes).expect("reads"), [1, 2, 3]);
            let path = path.to_str().expect("UTF-8");
            assert!(accepts(path));
            assert_eq!(all(open(path, &ReadOptions::default()).expect("opens")).expect("reads"), [1, 2, 3]);
        }
    }

    #[test]
    fn a_stream_without_rows_has_its_schema() {
        let bytes = stream_of(&[batch(vec![])]);
        let mut reader = from_stream(Box::new(Cursor::new(bytes)), "-", &ReadOptions::default()).expect("opens");
        let first = reader.next_batch().expect("reads").expect("one batch");
        assert_eq!((first.num_rows(), first.schema().field(0).name().as_str()), (0, "x"));
        assert!(reader.next_batch().expect("reads").is_none());
    }

    #[test]
    fn damage_is_named() {
        let whole = stream_of(&[batch(vec![1, 2, 3])]);
        let error = from_bytes(whole[..whole.len() / 2].to_vec()).expect_err("truncated");
        assert!(error.to_string().starts_with("standard input: not a complete Arrow IPC file or stream ("), "{error}");
        let error = from_bytes(Vec::new()).expect_err("empty");
        assert_eq!(error.to_string(), "standard input: empty; allowed is Arrow IPC with at least a schema");
        let error = open("no/such.arrow", &ReadOptions::default()).err().expect("missing");
        assert!(error.to_string().starts_with("no/such.arrow: "), "{error}");
    }
}
