//! JSON Lines, plain or gzip: one flat object per line.
//!
//! Every scalar becomes text exactly as it is written, so that no digit of a number is lost; kinds are found later. The
//! columns are the keys of the first four blocks (about 4 MiB) in the order of their first appearance; a key that appears
//! only later is an error, because a stream's columns cannot change.

use super::block::{Block, Blocks, Cut, Cutter};
use super::csv::Places;
use super::encoding::{Encoding, TextInput};
use super::input::{ends_in, open_file};
use super::{BatchReader, ReadOptions, Source, SourceFacts};
use arrow_array::builder::StringBuilder;
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema};
use memchr::memchr_iter;
use rayon::prelude::*;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use statera_core::{Error, Result};
use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, OnceLock};

/// Files of JSON Lines.
pub(super) const SOURCE: Source = Source {
    name: "JSON Lines",
    example: "loans.jsonl or .ndjson, also .gz",
    accepts: |address| ends_in(address, &[".jsonl", ".ndjson"]),
    open: |address, _: &ReadOptions| open(address),
};

/// Blocks whose keys are the columns.
const SAMPLE_BLOCKS: usize = 4;

fn open(path: &str) -> Result<Box<dyn BatchReader>> {
    let input = TextInput::new(open_file(path)?, path);
    let encoding = input.encoding();
    let cut = Cut { separator: b',', terminator: b'\n', quoted: false };
    let mut cutter = Cutter::new(input)?;
    let mut sample = VecDeque::new();
    while sample.len() < SAMPLE_BLOCKS
        && let Some(block) = cutter.next_block(cut)?
    {
        sample.push_back(block);
    }
    let names = find_names(&sample, path)?;
    if names.is_empty() {
        return Err(Error::data(format!("{path}: empty; expected one JSON object per line")));
    }
    let fields: Vec<Field> = names.iter().map(|n| Field::new(n, DataType::Utf8, true)).collect();
    Ok(Box::new(JsonReader {
        origin: path.to_string(),
        columns: names.into_iter().enumerate().map(|(i, n)| (n, i)).collect(),
        schema: Arc::new(Schema::new(fields)),
        encoding,
        sample,
        blocks: Blocks::start(cutter, cut),
        ready: VecDeque::new(),
        failure: None,
        places: Places::default(),
    }))
}

/// Keys of all objects in the order of their first appearance.
fn find_names(blocks: &VecDeque<Block>, origin: &str) -> Result<Vec<String>> {
    let mut seen = std::collections::HashSet::new();
    let mut names = Vec::new();
    for block in blocks {
        for (line, text) in lines(block) {
            for (key, _) in flat_object(text, origin, line)?.0 {
                if !seen.contains(key.as_ref()) {
                    seen.insert(key.to_string());
                    names.push(key.to_string());
                }
            }
        }
    }
    Ok(names)
}

/// A file of JSON Lines being read.
struct JsonReader {
    origin: String,
    columns: HashMap<String, usize>,
    schema: Arc<Schema>,
    encoding: Arc<OnceLock<Encoding>>,
    /// Blocks read for their keys, not yet delivered.
    sample: VecDeque<Block>,
    blocks: Blocks,
    ready: VecDeque<(RecordBatch, Option<u64>)>,
    failure: Option<Error>,
    places: Places,
}

impl BatchReader for JsonReader {
    fn is_text(&self) -> bool {
        true
    }

    fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        if self.ready.is_empty() && self.failure.is_none() {
            self.parse_more();
        }
        if let Some((batch, line)) = self.ready.pop_front() {
            self.places.push(batch.num_rows(), line);
            return Ok(Some(batch));
        }
        self.failure.clone().map_or(Ok(None), Err)
    }

    fn facts(&self) -> SourceFacts {
        let encoding = self.encoding.get().map_or("UTF-8", |e| e.name());
        SourceFacts { encoding: Some(encoding.to_string()), ..Default::default() }
    }

    fn place(&self, row: usize) -> String {
        self.places.describe(&self.origin, row)
    }
}

impl JsonReader {
    /// Parses the next blocks, one for each worker thread.
    fn parse_more(&mut self) {
        let blocks: Vec<Result<Block>> =
            if self.sample.is_empty() { self.blocks.next() } else { self.sample.drain(..).map(Ok).collect() };
        let (columns, schema, origin) = (&self.columns, &self.schema, &self.origin);
        let parsed: Vec<Result<(RecordBatch, Option<u64>)>> =
            blocks.into_par_iter().map(|block| parse(&block?, columns, schema, origin)).collect();
        for one in parsed {
            match one {
                Ok(parsed) => self.ready.push_back(parsed),
                Err(e) => {
                    self.failure = Some(e);
                    break;
                }
            }
        }
    }
}

/// Lines that are not blank, with their numbers.
fn lines(block: &Block) -> impl Iterator<Item = (u64, &[u8])> {
    let numbered = (block.line..).zip(block.text.split(|&b| b == b'\n'));
    numbered.filter(|(_, line)| !line.iter().all(u8::is_ascii_whitespace))
}

/// The rows of a block, and the line of the first if no blank line is among them.
fn parse(
    block: &Block,
    columns: &HashMap<String, usize>,
    schema: &Arc<Schema>,
    origin: &str,
) -> Result<(RecordBatch, Option<u64>)> {
    let mut builders: Vec<StringBuilder> = columns.iter().map(|_| StringBuilder::new()).collect();
    let mut n_rows = 0usize;
    for (line, text) in lines(block) {
        for (key, value) in flat_object(text, origin, line)?.0 {
            let Some(&column) = columns.get(key.as_ref()) else {
                return Err(Error::data(format!(
                    "{origin}, line {line}: the key «{key}» does not appear in the first 4 MiB; every key must"
                )));
            };
            let builder = &mut builders[column];
            if arrow_array::builder::ArrayBuilder::len(builder) > n_rows {
                return Err(Error::data(format!("{origin}, line {line}: the key «{key}» is given twice")));
            }
            builder.append_option(scalar_text(value, &key, origin, line)?);
        }
        n_rows += 1;
        for builder in &mut builders {
            if arrow_array::builder::ArrayBuilder::len(builder) < n_rows {
                builder.append_null();
            }
        }
    }
    let arrays: Vec<ArrayRef> = builders.into_iter().map(|mut b| Arc::new(b.finish()) as ArrayRef).collect();
    let batch = RecordBatch::try_new(schema.clone(), arrays).map_err(|e| Error::data(format!("{origin}: {e}")))?;
    let all_lines = memchr_iter(b'\n', block.text.trim_ascii_end()).count() + 1;
    let line = (n_rows == all_lines && n_rows > 0).then_some(block.line);
    Ok((batch, line))
}

/// A scalar as it is written, strings without quotes and escapes; `None` for null.
fn scalar_text<'a>(value: &'a RawValue, key: &str, origin: &str, line: u64) -> Result<Option<Cow<'a, str>>> {
    let text = value.get();
    match text.as_bytes().first() {
        Some(b'{' | b'[') => Err(Error::data(format!(
            "{origin}, line {line}: the value of «{key}» is nested; expected text, a number, true, false or null"
        ))),
        Some(b'n') => Ok(None),
        Some(b'"') => {
            let s: String = serde_json::from_str(text)
                .map_err(|e| Error::data(format!("{origin}, line {line}: the value of «{key}»: {e}")))?;
            Ok(Some(Cow::Owned(s)))
        }
        _ => Ok(Some(Cow::Borrowed(text))),
    }
}

/// The object on a line.
fn flat_object<'a>(text: &'a [u8], origin: &str, line: u64) -> Result<FlatObject<'a>> {
    serde_json::from_slice(text).map_err(|e| {
        // The parser counts lines within the text it was given; only the column is of use.
        let what = e.to_string();
        let what = what.split(" at line ").next().unwrap_or(&what);
        Error::data(format!(
            "{origin}, line {line}, character {}: {what}; expected one flat JSON object per line",
            e.column()
        ))
    })
}

/// Keys and unparsed values in their order.
struct FlatObject<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for FlatObject<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = FlatObject<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some((Key(key), value)) = map.next_entry::<Key, &RawValue>()? {
                    entries.push((key, value));
                }
                Ok(FlatObject(entries))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

/// A key, borrowed where it has no escapes.
#[derive(serde::Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);
