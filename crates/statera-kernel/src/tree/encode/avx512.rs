//! Codes with AVX-512: 8 numbers to a register.

use super::super::BLOCK_ROWS;
use super::grid::Grid;
use super::{EdgeTable, FIRST_BYTE, MAX_CODES};
use std::arch::x86_64::*;

/// Entries of a grid that two registers hold.
const IN_REGISTERS: usize = 16;
/// Numbers that are taken through a grid together: long enough that what was stored can be loaded without waiting.
const CHUNK: usize = 64;

/// Writes the code of each number; `out` has at least as many places.
#[target_feature(enable = "avx512f,avx512bw,avx512cd,avx512dq,avx512vl,popcnt")]
pub(super) fn encode_numbers(table: &EdgeTable, values: &[f64], out: &mut [u8]) {
    match table.grid(values.len()) {
        Some(grid) if grid.n_compares == 1 && grid.entries.len() <= IN_REGISTERS && grid.is_exact => {
            let mut entries = [0; IN_REGISTERS];
            entries[..grid.entries.len()].copy_from_slice(&grid.entries);
            eights(values, out, |x, out| few_entries(grid, &entries, x, out));
        }
        Some(grid) if grid.n_compares <= 2 => {
            let is_signed = grid.range[0] < 0.0;
            chunks(values, out, |x, out| match (is_signed, grid.is_exact, grid.n_compares) {
                (false, true, 1) => through_entries::<false, true, 1>(table, grid, x, out),
                (false, true, _) => through_entries::<false, true, 2>(table, grid, x, out),
                (true, true, 1) => through_entries::<true, true, 1>(table, grid, x, out),
                (_, _, 1) => through_entries::<true, false, 1>(table, grid, x, out),
                _ => through_entries::<true, false, 2>(table, grid, x, out),
            });
        }
        Some(grid) => super::through_grid(table, grid, values, out),
        None => search(table, values, out),
    }
}

/// Calls `work` with 8 values and 8 bytes of `out` at a time; the last values are filled up with NaN.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
fn eights(values: &[f64], out: &mut [u8], work: impl Fn(&[f64; 8], &mut [u8; 8])) {
    let ((values, last), (out, last_out)) = (values.as_chunks(), out[..values.len()].as_chunks_mut());
    for (values, out) in values.iter().zip(out) {
        work(values, out);
    }
    if !last.is_empty() {
        let (mut eight, mut codes) = ([f64::NAN; 8], [0; 8]);
        eight[..last.len()].copy_from_slice(last);
        work(&eight, &mut codes);
        last_out.copy_from_slice(&codes[..last.len()]);
    }
}

/// Calls `work` with [`CHUNK`] values and bytes of `out` at a time; the last values are filled up with NaN.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
fn chunks(values: &[f64], out: &mut [u8], work: impl Fn(&[f64; CHUNK], &mut [u8; CHUNK])) {
    let (whole, last) = values.as_chunks();
    let (whole_out, last_out) = out[..values.len()].as_chunks_mut();
    for (values, out) in whole.iter().zip(whole_out) {
        work(values, out);
    }
    if !last.is_empty() {
        let (mut filled, mut codes) = ([f64::NAN; CHUNK], [0; CHUNK]);
        filled[..last.len()].copy_from_slice(last);
        work(&filled, &mut codes);
        last_out.copy_from_slice(&codes[..last.len()]);
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load(values: &[f64; 8]) -> __m512d {
    // SAFETY: the array has 8 values.
    unsafe { _mm512_loadu_pd(values.as_ptr()) }
}

/// Asks for the numbers of the next block of rows: it comes when the other columns are done.
#[inline]
fn prefetch(values: &[f64; 8]) {
    // SAFETY: a prefetch does not read, and may name any address.
    unsafe { _mm_prefetch::<_MM_HINT_T1>(values.as_ptr().wrapping_add(BLOCK_ROWS).cast()) };
}

/// [`through_entries`] where two registers hold the entries.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
fn few_entries(grid: &Grid, entries: &[u64; IN_REGISTERS], values: &[f64; 8], out: &mut [u8; 8]) {
    prefetch(values);
    let x = load(values);
    // SAFETY: the array has two times 8 entries.
    let entries = unsafe {
        let from = entries.as_ptr().cast::<__m512i>();
        [_mm512_loadu_si512(from), _mm512_loadu_si512(from.add(1))]
    };
    let entries = _mm512_permutex2var_epi64(entries[0], buckets_of::<true>(grid, x), entries[1]);
    let edge = _mm512_castsi512_pd(_mm512_andnot_si512(_mm512_set1_epi64(FIRST_BYTE as i64), entries));
    let above = _mm512_cmp_pd_mask::<_CMP_LT_OQ>(edge, x);
    let codes = _mm512_mask_add_epi64(entries, above, entries, _mm512_set1_epi64(1));
    let codes = _mm512_maskz_cvtepi64_epi8(_mm512_cmp_pd_mask::<_CMP_ORD_Q>(x, x), codes);
    *out = _mm_cvtsi128_si64(codes).to_le_bytes();
}

/// Takes the entry of each number's bucket, and adds one to its code where the number is above its edge, and with N = 2 where it
/// is above the second. Entries are read one
/// by one: gathers are slow on CPUs whose microcode guards them.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
fn through_entries<const SIGNED: bool, const EXACT: bool, const N: usize>(
    table: &EdgeTable,
    grid: &Grid,
    values: &[f64; CHUNK],
    out: &mut [u8; CHUNK],
) {
    let mut entries = [0_u64; CHUNK];
    let mut sum = _mm512_setzero_pd();
    for (values, buckets) in values.as_chunks().0.iter().zip(entries.as_chunks_mut::<8>().0) {
        prefetch(values);
        let x = load(values);
        // NaN if some number is NaN or infinite.
        sum = _mm512_fmadd_pd(x, _mm512_setzero_pd(), sum);
        // SAFETY: 8 places of 64 bits are the register's.
        unsafe { _mm512_storeu_si512(buckets.as_mut_ptr().cast(), buckets_of::<SIGNED>(grid, x)) };
    }
    let mut seconds = [0.0; CHUNK];
    for (entry, second) in entries.iter_mut().zip(&mut seconds) {
        // The key ascends with x, so the bucket is at most that of the last edge.
        let bucket = *entry as usize;
        *entry = grid.entries[bucket];
        if N == 2 {
            *second = grid.seconds[bucket];
        }
    }
    let last_byte = _mm512_set1_epi64(FIRST_BYTE as i64);
    let mut is_unsure = false;
    let eights = values.as_chunks().0.iter().zip(entries.as_chunks::<8>().0).zip(seconds.as_chunks().0);
    for (((values, entries), seconds), out) in eights.zip(out.as_chunks_mut::<8>().0) {
        // SAFETY: 8 places of 64 bits are the register's.
        let entries = unsafe { _mm512_loadu_si512(entries.as_ptr().cast()) };
        let cut = |x: __m512i| _mm512_castsi512_pd(_mm512_andnot_si512(last_byte, x));
        let (edge, mut x) = (cut(entries), load(values));
        if !EXACT {
            // Without their last bytes, a number and an edge compare as they are or are equal.
            x = cut(_mm512_castpd_si512(x));
            is_unsure |= _mm512_cmp_pd_mask::<_CMP_EQ_OQ>(edge, x) != 0;
        }
        let above = _mm512_cmp_pd_mask::<_CMP_LT_OQ>(edge, x);
        let one = _mm512_set1_epi64(1);
        let mut codes = _mm512_mask_add_epi64(entries, above, entries, one);
        if N == 2 {
            let above = _mm512_cmp_pd_mask::<_CMP_LT_OQ>(load(seconds), load(values));
            codes = _mm512_mask_add_epi64(codes, above, codes, one);
        }
        *out = _mm_cvtsi128_si64(_mm512_cvtepi64_epi8(codes)).to_le_bytes();
    }
    if is_unsure || _mm512_cmp_pd_mask::<_CMP_UNORD_Q>(sum, sum) != 0 {
        super::through_grid(table, grid, values, out);
    }
}

/// The bucket of each number, taken as the nearest number between the first and the last edge.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
fn buckets_of<const SIGNED: bool>(grid: &Grid, x: __m512d) -> __m512i {
    let [low, high] = grid.range.map(|edge| _mm512_set1_pd(edge));
    let offset = _mm512_set1_pd(grid.offset);
    let offset_bits = _mm512_castpd_si512(offset);
    let low_key = _mm512_set1_epi64(grid.low_key);
    // For NaN both operations give their second operand, so the bucket is always one that the grid has.
    let inside = _mm512_min_pd(_mm512_max_pd(x, low), high);
    let distance = if SIGNED {
        let size = _mm512_castpd_si512(_mm512_add_pd(_mm512_abs_pd(inside), offset));
        let size = _mm512_sub_epi64(size, offset_bits);
        let is_negative = _mm512_movepi64_mask(_mm512_castpd_si512(inside));
        let key = _mm512_mask_sub_epi64(size, is_negative, _mm512_setzero_si512(), size);
        _mm512_sub_epi64(key, low_key)
    } else {
        let size = _mm512_castpd_si512(_mm512_add_pd(inside, offset));
        _mm512_sub_epi64(size, _mm512_add_epi64(low_key, offset_bits))
    };
    _mm512_srl_epi64(distance, _mm_cvtsi32_si128(grid.shift as i32))
}

/// Two comparisons with 16 edges each: every 16th edge tells the sixteenth of the table, its edges tell the place.
#[target_feature(enable = "avx512f,avx512bw,avx512cd,avx512dq,avx512vl,popcnt")]
fn search(table: &EdgeTable, values: &[f64], out: &mut [u8]) {
    let edges = &table.edges;
    // SAFETY: `at` is at most 240 and the table has more than 256 values.
    let load = |at: usize| unsafe {
        let from = edges.as_ptr().add(at.min(MAX_CODES - 16));
        [_mm512_loadu_pd(from), _mm512_loadu_pd(from.add(8))]
    };
    let count_below = |edges: [__m512d; 2], x: __m512d| {
        let masks = edges.map(|e| u32::from(_mm512_cmp_pd_mask::<_CMP_LT_OQ>(e, x)));
        (masks[0] | masks[1] << 8).count_ones() as usize
    };
    let pivots: [f64; 16] = std::array::from_fn(|i| edges[16 * i + 15]);
    // SAFETY: the array has 16 values.
    let pivots = unsafe { [_mm512_loadu_pd(pivots.as_ptr()), _mm512_loadu_pd(pivots.as_ptr().add(8))] };
    for (out, &value) in out.iter_mut().zip(values) {
        let x = _mm512_set1_pd(value);
        let start = 16 * count_below(pivots, x);
        let below = start + count_below(load(start), x);
        *out = if value.is_nan() { 0 } else { below as u8 + table.first_code };
    }
}
