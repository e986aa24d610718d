//! Rows that occur more than once.

use super::hash::{fold, of_bytes};
use crate::Table;
use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::DataType;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use statera_core::{Result, Run};

/// Rows hashed by one task.
const BLOCK_ROWS: usize = 65_536;

/// Counts of repeated rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Duplicates {
    /// Rows equal, cell by cell, to an earlier row.
    pub n_exact: usize,
    /// The same with the columns of `without` left aside; equal to `n_exact` where there are none.
    pub n_without_ids: usize,
    /// Columns left aside: those in which nearly every cell differs, and the declared id.
    pub without: Vec<String>,
}

/// Counts repeated rows by 128-bit hashes (two different rows collide with a probability below 1e-25 at a million rows). `is_id`
/// tells, per column, whether to leave it aside in the second count.
pub(super) fn count(table: &Table, is_id: &[bool], run: &Run) -> Result<Duplicates> {
    let without: Vec<String> =
        table.columns.iter().zip(is_id).filter(|(_, id)| **id).map(|(c, _)| c.name.clone()).collect();
    // Without any other column every row would be the same.
    let two_counts = !without.is_empty() && without.len() < table.columns.len();
    let blocks: Vec<RecordBatch> = table
        .batches
        .iter()
        .flat_map(|b| (0..b.num_rows()).step_by(BLOCK_ROWS).map(|at| b.slice(at, BLOCK_ROWS.min(b.num_rows() - at))))
        .collect();
    let hashes: Vec<Vec<(u128, u128)>> = blocks
        .par_iter()
        .map(|block| {
            run.check()?;
            Ok(hash_rows(block, is_id))
        })
        .collect::<Result<_>>()?;
    let all: Vec<u128> = hashes.iter().flatten().map(|h| h.0).collect();
    let rest: Vec<u128> = if two_counts { hashes.iter().flatten().map(|h| h.1).collect() } else { Vec::new() };
    drop(hashes);
    let (n_exact, n_rest) = rayon::join(|| n_repeated(all), || n_repeated(rest));
    Ok(Duplicates { n_exact, n_without_ids: if two_counts { n_rest } else { n_exact }, without })
}

/// Values that occur before.
fn n_repeated(mut values: Vec<u128>) -> usize {
    values.sort_unstable();
    values.windows(2).filter(|pair| pair[0] == pair[1]).count()
}

/// Per row, a hash of all cells and one of the cells that are not ids.
fn hash_rows(block: &RecordBatch, is_id: &[bool]) -> Vec<(u128, u128)> {
    let mut out = vec![([1u64, 2u64], [3u64, 4u64]); block.num_rows()];
    for (array, &id) in block.columns().iter().zip(is_id) {
        for_each_key(array, |row, key| {
            let (all, rest) = &mut out[row];
            mix(all, key);
            if !id {
                mix(rest, key);
            }
        });
    }
    let join = |[a, b]: [u64; 2]| u128::from(a) << 64 | u128::from(b);
    out.into_iter().map(|(all, rest)| (join(all), join(rest))).collect()
}

/// Adds two words of a cell to two words of a row's state.
fn mix(state: &mut [u64; 2], key: [u64; 2]) {
    state[0] = fold(state[0], key[0]).wrapping_add(state[1]);
    state[1] = fold(state[1] ^ 0x5851_f42d_4c95_7f2d, key[1]);
}

/// Calls `f` with each row and two words that stand for its cell.
fn for_each_key(array: &ArrayRef, mut f: impl FnMut(usize, [u64; 2])) {
    const NOTHING: [u64; 2] = [0x2545_f491_4f6c_dd1d, 0x9e6c_63d0_985e_2c91];
    let mut each = |row: usize, key: Option<[u64; 2]>| f(row, key.unwrap_or(NOTHING));
    let word = |w: u64| [w, w.rotate_left(32)];
    match array.data_type() {
        DataType::Int64 => {
            array.as_primitive::<Int64Type>().iter().enumerate().for_each(|(r, v)| each(r, v.map(|v| word(v as u64))));
        }
        DataType::Float64 => array.as_primitive::<Float64Type>().iter().enumerate().for_each(|(r, v)| {
            each(r, v.filter(|v| !v.is_nan()).map(|v| word((v + 0.0).to_bits())));
        }),
        DataType::Decimal128(_, _) => array
            .as_primitive::<Decimal128Type>()
            .iter()
            .enumerate()
            .for_each(|(r, v)| each(r, v.map(|v| [v as u64, (v >> 64) as u64]))),
        DataType::Utf8 => {
            array.as_string::<i32>().iter().enumerate().for_each(|(r, v)| each(r, v.map(|v| text_key(v.as_bytes()))))
        }
        // The other types were refused when the columns were read.
        _ => array
            .as_primitive::<TimestampMicrosecondType>()
            .iter()
            .enumerate()
            .for_each(|(r, v)| each(r, v.map(|v| word(v as u64)))),
    }
}

/// Two words of a text; short texts are their own words.
fn text_key(text: &[u8]) -> [u64; 2] {
    if text.len() <= 8 {
        let mut word = [0u8; 8];
        word[..text.len()].copy_from_slice(text);
        [u64::from_le_bytes(word), text.len() as u64]
    } else {
        let half = text.len() / 2;
        let (a, b) = (of_bytes(text), of_bytes(&text[half..]));
        [a, fold(b, of_bytes(&text[..half]))]
    }
}
