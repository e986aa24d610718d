//! Arrow IPC: files and streams, as other programs on the same machine write them.

use super::physical::normalise;
use super::{BatchReader, ReadOptions, Source};
use crate::time::Zone;
use arrow_array::RecordBatch;
use arrow_ipc::reader::StreamReader;
use arrow_ipc::{RecordBatch as BatchHeader, root_as_message};
use arrow_schema::{ArrowError, SchemaRef};
use statera_core::{Error, Result};
use std::cell::Cell;
use std::fs::File;
use std::io::{BufReader, Cursor, Read, Seek, SeekFrom};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Arrow IPC files.
pub const SOURCE: Source = Source { name: "Arrow IPC", example: "loans.arrow", accepts, open };

/// First bytes of the file format, padded to 8 bytes; after more zeros, up to the writer's alignment, comes the stream
/// format, then a footer.
const MAGIC: [u8; 8] = *b"ARROW1\0\0";
/// Last bytes of the file format.
const END: [u8; 6] = *b"ARROW1";
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
    let place = |e: std::io::Error| Error::io(format!("{path}: {e}"));
    let mut file = File::open(path).map_err(place)?;
    let mut first = [0; MAGIC.len()];
    let is_file = file.read_exact(&mut first).is_ok() && first == MAGIC;
    if is_file {
        // A file is read as the stream that it holds; its end says whether it is whole.
        let mut last = [0; END.len()];
        let is_whole = file.seek(SeekFrom::End(-(END.len() as i64))).is_ok() && file.read_exact(&mut last).is_ok();
        if !is_whole || last != END {
            return Err(damaged(path, "its end is missing"));
        }
    }
    file.rewind().map_err(place)?;
    from_stream(Box::new(BufReader::new(file)), path, options)
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
    let stream = Checked::new(Cursor::new(first).chain(stream));
    let reader = guarded(origin, || StreamReader::try_new(stream, None))?.map_err(|e| damaged(origin, e))?;
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

fn damaged(origin: &str, error: impl std::fmt::Display) -> Error {
    Error::data(format!("{origin}: not a complete Arrow IPC file or stream ({error})"))
}

/// No buffer of a column is larger; the library asks for the memory that a message claims before it looks for the bytes, and
/// a process that cannot have it ends.
const MAX_BUFFER_BYTES: u64 = 1 << 32;

/// A stream that hands on whole messages whose sizes fit together and into memory.
struct Checked<R> {
    inner: R,
    message: Cursor<Vec<u8>>,
}

impl<R: Read> Checked<R> {
    fn new(inner: R) -> Self {
        Checked { inner, message: Cursor::default() }
    }

    /// Reads the next message: a mark, the length of its metadata, the metadata, the body. Nothing at the end.
    fn next_message(&mut self) -> std::io::Result<Vec<u8>> {
        let mut message = Vec::new();
        self.extend(&mut message, 4)?;
        let mut metadata_len = message.clone();
        if message == CONTINUATION {
            self.extend(&mut message, 4)?;
            metadata_len = message[4..].to_vec();
        }
        let Ok(metadata_len) = <[u8; 4]>::try_from(&metadata_len[..]).map(u32::from_le_bytes) else {
            return Ok(message);
        };
        let start = message.len();
        self.extend(&mut message, u64::from(metadata_len))?;
        let Ok(metadata) = root_as_message(&message[start..]) else { return Ok(message) };
        let refused = |what: &str| Err(std::io::Error::other(what.to_string()));
        let Ok(body_len) = u64::try_from(metadata.bodyLength()) else { return refused("a negative length") };
        let header = metadata.header_as_record_batch();
        let header = header.or_else(|| metadata.header_as_dictionary_batch().and_then(|d| d.data()));
        let claims = header.map_or(Vec::new(), compressed_buffers);
        let start = message.len();
        self.extend(&mut message, body_len)?;
        for at in claims {
            let Some(claim) = message.get(start..).and_then(|body| body.get(at..at.checked_add(8)?)) else {
                return refused("a buffer outside its message");
            };
            // -1 says that the bytes are not compressed.
            let claim = i64::from_le_bytes(claim.try_into().unwrap_or_default());
            if u64::try_from(claim).is_ok_and(|claim| claim > MAX_BUFFER_BYTES) {
                return refused("a buffer of over 4 GiB");
            }
        }
        Ok(message)
    }

    /// Adds the next `n` bytes, fewer at the end; memory grows with what is there, not with what is claimed.
    fn extend(&mut self, message: &mut Vec<u8>, n: u64) -> std::io::Result<()> {
        (&mut self.inner).take(n).read_to_end(message).map(|_| ())
    }
}

/// Where the compressed buffers of a batch begin in its body; each begins with its length when decompressed.
fn compressed_buffers(batch: BatchHeader) -> Vec<usize> {
    if batch.compression().is_none() {
        return Vec::new();
    }
    let buffers = batch.buffers().into_iter().flatten().filter(|b| b.length() > 0);
    buffers.map(|b| usize::try_from(b.offset()).unwrap_or(usize::MAX)).collect()
}

impl<R: Read> Read for Checked<R> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        if self.message.position() == self.message.get_ref().len() as u64 {
            self.message = Cursor::new(self.next_message()?);
        }
        self.message.read(out)
    }
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
            (Some(batch), _) => batch.map_err(|e| damaged(&self.origin, e))?,
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
    fn no_damaged_byte_makes_it_panic() {
        let batches = [batch((0..40).collect()), batch(vec![3])];
        let lz4 = Some(arrow_ipc::CompressionType::LZ4_FRAME);
        let zstd = Some(arrow_ipc::CompressionType::ZSTD);
        let read = |bytes: Vec<u8>| -> Result<usize> {
            let mut reader = from_stream(Box::new(Cursor::new(bytes)), "-", &ReadOptions::default())?;
            let mut n_rows = 0;
            while let Some(batch) = reader.next_batch()? {
                n_rows += batch.num_rows();
            }
            Ok(n_rows)
        };
        let mut n_errors = 0;
        for whole in [stream_of(&batches), file_of(&batches, lz4), file_of(&batches, zstd)] {
            for (at, flip) in (0..whole.len()).flat_map(|at| [1, 0x40, 0xff].map(|flip| (at, flip))) {
                let mut bytes = whole.clone();
                bytes[at] ^= flip;
                n_errors += usize::from(read(bytes).is_err());
            }
        }
        assert!(n_errors > 500, "{n_errors}");
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
