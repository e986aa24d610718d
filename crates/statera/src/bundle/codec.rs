//! Values as bytes and back: canonical JSON, safetensors, Parquet.

use arrow_array::{RecordBatch, RecordBatchReader};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use statera_core::{Error, Parts, Result, Tensor, TensorData};
use std::collections::{BTreeMap, HashMap};

/// A value as JSON with sorted keys, indented by two, ending in a line feed: equal values give equal bytes.
pub fn json(value: &impl Serialize) -> Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec_pretty(&self::value(value)?).map_err(internal)?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// A value as a JSON value; its maps are sorted.
pub fn value(value: &impl Serialize) -> Result<Value> {
    serde_json::to_value(value).map_err(internal)
}

/// A value from its JSON.
pub fn parse<T: DeserializeOwned>(name: &str, bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|e| Error::damaged(format!("{name}: {e}")))
}

fn internal(e: impl std::fmt::Display) -> Error {
    Error::io(format!("cannot be written: {e}"))
}

/// The members' tensors in one safetensors file, named `0/…`, `1/…`.
pub fn tensors(members: &[Parts]) -> Result<Vec<u8>> {
    tensors_with(members, None)
}

/// Where a safetensors file says what it holds.
const HEADER: &str = "statera";

/// The same with a description of what they are.
pub fn tensors_with(members: &[Parts], header: Option<&str>) -> Result<Vec<u8>> {
    let mut bytes: Vec<(String, Dtype, Vec<usize>, Vec<u8>)> = Vec::new();
    for (i, member) in members.iter().enumerate() {
        for (name, tensor) in &member.tensors {
            let (dtype, data) = match &tensor.data {
                TensorData::F64(v) => (Dtype::F64, v.iter().flat_map(|x| x.to_le_bytes()).collect()),
                TensorData::F32(v) => (Dtype::F32, v.iter().flat_map(|x| x.to_le_bytes()).collect()),
                TensorData::I32(v) => (Dtype::I32, v.iter().flat_map(|x| x.to_le_bytes()).collect()),
                TensorData::U8(v) => (Dtype::U8, v.clone()),
            };
            bytes.push((format!("{i}/{name}"), dtype, tensor.shape.clone(), data));
        }
    }
    let views = bytes
        .iter()
        .map(|(name, dtype, shape, data)| {
            TensorView::new(*dtype, shape.clone(), data).map(|view| (name.clone(), view)).map_err(internal)
        })
        .collect::<Result<Vec<_>>>()?;
    let header = header.map(|text| HashMap::from([(HEADER.to_string(), text.to_string())]));
    safetensors::serialize(views, header).map_err(internal)
}

/// The description that [`tensors_with`] wrote.
pub fn tensors_header(bytes: &[u8]) -> Result<Option<String>> {
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(|e| Error::damaged(e.to_string()))?;
    Ok(metadata.metadata().as_ref().and_then(|m| m.get(HEADER).cloned()))
}

/// The members' tensors from a safetensors file.
pub fn read_tensors(bytes: &[u8], n_members: usize) -> Result<Vec<BTreeMap<String, Tensor>>> {
    let damaged = |what: String| Error::damaged(format!("weights.safetensors: {what}"));
    let file = SafeTensors::deserialize(bytes).map_err(|e| damaged(e.to_string()))?;
    let mut members = vec![BTreeMap::new(); n_members];
    for (name, view) in file.tensors() {
        let (member, rest) = name.split_once('/').ok_or_else(|| damaged(format!("unexpected array «{name}»")))?;
        let member = member.parse::<usize>().ok().and_then(|i| members.get_mut(i));
        let member = member.ok_or_else(|| damaged(format!("array «{name}» of no member")))?;
        let data = view.data();
        let data = match view.dtype() {
            Dtype::F64 => TensorData::F64(data.chunks_exact(8).map(|b| f64::from_le_bytes(array(b))).collect()),
            Dtype::F32 => TensorData::F32(data.chunks_exact(4).map(|b| f32::from_le_bytes(array(b))).collect()),
            Dtype::I32 => TensorData::I32(data.chunks_exact(4).map(|b| i32::from_le_bytes(array(b))).collect()),
            Dtype::U8 => TensorData::U8(data.to_vec()),
            other => return Err(damaged(format!("array «{name}» has type {other:?}"))),
        };
        member.insert(rest.to_string(), Tensor { shape: view.shape().to_vec(), data });
    }
    Ok(members)
}

fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(bytes);
    out
}

/// A batch as a Parquet file.
pub fn parquet(batch: &RecordBatch) -> Result<Vec<u8>> {
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_created_by("statera".into())
        .build();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties)).map_err(internal)?;
    writer.write(batch).map_err(internal)?;
    writer.close().map_err(internal)?;
    Ok(bytes)
}

/// A batch from a Parquet file of one batch.
pub fn read_parquet(name: &str, bytes: &[u8]) -> Result<RecordBatch> {
    let damaged = |e: String| Error::damaged(format!("{name}: {e}"));
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::copy_from_slice(bytes))
        .and_then(|builder| builder.with_batch_size(1 << 16).build())
        .map_err(|e| damaged(e.to_string()))?;
    let schema = reader.schema();
    let batches = reader.collect::<std::result::Result<Vec<_>, _>>().map_err(|e| damaged(e.to_string()))?;
    arrow_select::concat::concat_batches(&schema, &batches).map_err(|e| damaged(e.to_string()))
}
