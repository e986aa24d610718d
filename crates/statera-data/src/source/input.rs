//! Bytes of files and of standard input: gzip is opened by its first bytes, whatever the name says.

use super::{BatchReader, ReadOptions, csv};
use flate2::read::MultiGzDecoder;
use statera_core::{Error, Result};
use std::fs::File;
use std::io::{self, Cursor, ErrorKind, Read};

/// A stream of bytes that a reading thread may own.
pub(super) type Input = Box<dyn Read + Send>;

/// What messages call standard input.
const STANDARD_INPUT: &str = "standard input";

/// Opens a file, decompressing gzip.
pub(super) fn open_file(path: &str) -> Result<Input> {
    let fails = |e: io::Error| match e.kind() {
        ErrorKind::NotFound => Error::io(format!("{path}: no such file")),
        _ => Error::io(format!("{path}: {e}")),
    };
    let file = File::open(path).map_err(fails)?;
    if file.metadata().map_err(fails)?.is_dir() {
        return Err(Error::request(format!("{path}: a folder; give a file, or a pattern such as {path}/*.csv")));
    }
    decompressed(Box::new(file)).map_err(|e| read_error(path, &e))
}

/// Opens what comes on standard input: Arrow IPC by its first bytes, else CSV (gzip too).
pub(super) fn open_standard_input(options: &ReadOptions) -> Result<Box<dyn BatchReader>> {
    open_stream(Box::new(io::stdin()), STANDARD_INPUT, options)
}

/// Opens a stream of Arrow IPC or CSV.
fn open_stream(input: Input, origin: &str, options: &ReadOptions) -> Result<Box<dyn BatchReader>> {
    let input = decompressed(input).map_err(|e| read_error(origin, &e))?;
    let (head, input) = peeked(input, 6).map_err(|e| read_error(origin, &e))?;
    if head.starts_with(b"ARROW1") || head.starts_with(&[0xFF; 4]) {
        return open_arrow_stream(input, origin, options);
    }
    csv::open_input(input, origin)
}

/// Opens Arrow IPC that comes on a stream.
fn open_arrow_stream(_input: Input, origin: &str, _options: &ReadOptions) -> Result<Box<dyn BatchReader>> {
    Err(Error::request(format!("{origin}: Arrow IPC; this build reads CSV only")))
}

/// The first `n` bytes (fewer at the end of the stream), and the stream with them still in front.
fn peeked(mut input: Input, n: usize) -> io::Result<(Vec<u8>, Input)> {
    let mut head = Vec::with_capacity(n);
    input.by_ref().take(n as u64).read_to_end(&mut head)?;
    let whole = Box::new(Cursor::new(head.clone()).chain(input));
    Ok((head, whole))
}

/// The stream, decompressed if it begins like gzip.
fn decompressed(input: Input) -> io::Result<Input> {
    let (head, input) = peeked(input, 2)?;
    Ok(if head == [0x1F, 0x8B] { Box::new(Gzip(MultiGzDecoder::new(input))) } else { input })
}

/// A gzip stream whose errors say what is wrong with the file.
struct Gzip(MultiGzDecoder<Input>);

impl Read for Gzip {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.read(into).map_err(|e| match e.kind() {
            ErrorKind::UnexpectedEof => io::Error::new(ErrorKind::InvalidData, "the gzip data are truncated"),
            ErrorKind::InvalidInput | ErrorKind::InvalidData => {
                io::Error::new(ErrorKind::InvalidData, format!("the gzip data are damaged ({e})"))
            }
            _ => e,
        })
    }
}

/// An error of reading `origin`: the data's fault if the bytes are wrong, else the machine's.
pub(super) fn read_error(origin: &str, e: &io::Error) -> Error {
    match e.kind() {
        ErrorKind::InvalidData => Error::data(format!("{origin}: {e}")),
        _ => Error::io(format!("{origin}: {e}")),
    }
}

/// True if `address` ends in one of `endings` (in lower case, with the dot) or in one of them and `.gz`.
pub(super) fn ends_in(address: &str, endings: &[&str]) -> bool {
    let lower = address.to_lowercase();
    let name = lower.strip_suffix(".gz").unwrap_or(&lower);
    endings.iter().any(|ending| name.ends_with(ending))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::cast::AsArray;

    #[test]
    fn a_stream_is_csv_unless_it_begins_like_arrow() {
        let open = |bytes: &'static [u8]| open_stream(Box::new(bytes), STANDARD_INPUT, &ReadOptions::default());
        let mut reader = open(b"a,b\n1,2\n").unwrap();
        let batch = reader.next_batch().unwrap().unwrap();
        assert_eq!(batch.column(1).as_string::<i32>().value(0), "2");
        assert_eq!(reader.place(0), "standard input, line 2");
        let Err(e) = open(b"") else { panic!("an empty stream was accepted") };
        assert_eq!(e.to_string(), "standard input: empty; expected column names and rows");
    }

    #[test]
    fn says_what_is_wrong_with_a_path() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().to_str().unwrap();
        let Err(e) = open_file(folder) else { panic!("a folder was opened") };
        assert_eq!(e.to_string(), format!("{folder}: a folder; give a file, or a pattern such as {folder}/*.csv"));
        let Err(e) = open_file("no/such.csv") else { panic!("a missing file was opened") };
        assert_eq!(e.to_string(), "no/such.csv: no such file");
    }
}
