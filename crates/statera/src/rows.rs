//! Digests of rows: exact duplicates and the fingerprint of a table.

use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::DataType;
use rayon::prelude::*;
use std::collections::HashSet;

/// A digest of every row: BLAKE3 over its cells with their lengths and presence, cut to 128 bits.
pub fn row_digests(batch: &RecordBatch) -> Vec<[u8; 16]> {
    let digest = |row: usize| {
        let mut bytes = Vec::with_capacity(16 * batch.num_columns());
        for column in batch.columns() {
            push_cell(&mut bytes, column, row);
        }
        let mut digest = [0; 16];
        digest.copy_from_slice(&blake3::hash(&bytes).as_bytes()[..16]);
        digest
    };
    (0..batch.num_rows()).into_par_iter().with_min_len(1024).map(digest).collect()
}

fn push_cell(bytes: &mut Vec<u8>, column: &ArrayRef, row: usize) {
    if column.is_null(row) {
        return bytes.push(0);
    }
    bytes.push(1);
    match column.data_type() {
        DataType::Int64 => bytes.extend(column.as_primitive::<Int64Type>().value(row).to_le_bytes()),
        DataType::Float64 => bytes.extend(column.as_primitive::<Float64Type>().value(row).to_bits().to_le_bytes()),
        DataType::Decimal128(..) => bytes.extend(column.as_primitive::<Decimal128Type>().value(row).to_le_bytes()),
        DataType::Timestamp(..) => {
            bytes.extend(column.as_primitive::<TimestampMicrosecondType>().value(row).to_le_bytes());
        }
        _ => {
            if let Some(text) = column.as_string_opt::<i32>() {
                bytes.extend((text.value(row).len() as u64).to_le_bytes());
                bytes.extend(text.value(row).as_bytes());
            }
        }
    }
}

/// The rows that do not repeat an earlier one, ascending.
pub fn distinct_rows(digests: &[[u8; 16]]) -> Vec<usize> {
    let mut seen = HashSet::with_capacity(digests.len());
    (0..digests.len()).filter(|&row| seen.insert(digests[row])).collect()
}

/// A fingerprint of a table's names and cells, independent of how it was stored.
pub fn fingerprint(batch: &RecordBatch, digests: &[[u8; 16]]) -> String {
    let mut hasher = blake3::Hasher::new();
    for field in batch.schema().fields() {
        hasher.update(&(field.name().len() as u64).to_le_bytes());
        hasher.update(field.name().as_bytes());
    }
    for digest in digests {
        hasher.update(digest);
    }
    hasher.finalize().to_hex().to_string()
}

/// The same of some columns of a table, whatever the order in which they are named or stand; `None` if one is not there.
pub fn fingerprint_of<'a>(batch: &RecordBatch, names: impl Iterator<Item = &'a str>) -> Option<String> {
    let schema = batch.schema();
    let mut places: Vec<(&str, usize)> = names.map(|n| Some((n, schema.index_of(n).ok()?))).collect::<Option<_>>()?;
    places.sort_unstable();
    let places: Vec<usize> = places.into_iter().map(|(_, place)| place).collect();
    let own = batch.project(&places).ok()?;
    Some(fingerprint(&own, &row_digests(&own)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{Int64Array, StringArray};
    use std::sync::Arc;

    #[test]
    fn only_exact_repeats_are_repeats() {
        let a: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), Some(1), None, Some(1), None]));
        let b: ArrayRef = Arc::new(StringArray::from(vec![Some("x"), Some("y"), Some(""), Some("x"), None]));
        let batch = RecordBatch::try_from_iter([("a", a), ("b", b)]).expect("equal lengths");
        assert_eq!(distinct_rows(&row_digests(&batch)), [0, 1, 2, 4]);
    }
}
