//! 32 rows to a register.

use super::layout::{Flat, Layout, MAX_VECTOR_LEAVES, NO_SET, Run, Test};
use super::{BLOCK_ROWS, GROUP_ROWS, place};
use std::arch::x86_64::*;

/// Registers to a group of rows.
const PARTS: usize = GROUP_ROWS / 32;

/// Adds a tree's leaves to the margins of 64 rows of a block, from row `start`.
///
/// # Panics
/// If the rows are not within a block of margins and of every view.
#[target_feature(enable = "avx2")]
pub(super) fn add_tree(
    layout: &Layout,
    flat: &Flat,
    leaves: &[f64; MAX_VECTOR_LEAVES],
    codes: &[u8],
    start: usize,
    margins: &mut [f64],
) {
    assert!(margins.len() == BLOCK_ROWS && start + GROUP_ROWS <= BLOCK_ROWS, "margins are a block");
    let mut marks = [_mm256_set1_epi8(flat.start as i8); PARTS];
    for test in &layout.tests[flat.path.clone()] {
        let to = _mm256_set1_epi32(test.to as i32);
        for (mark, stays) in marks.iter_mut().zip(staying(layout, test, codes, start)) {
            *mark = _mm256_blendv_epi8(to, *mark, stays);
        }
    }
    for test in &layout.tests[flat.rest.clone()] {
        let (at, to) = (_mm256_set1_epi32(test.at as i32), _mm256_set1_epi32(test.to as i32));
        for (mark, stays) in marks.iter_mut().zip(staying(layout, test, codes, start)) {
            let moves = _mm256_andnot_si256(stays, _mm256_cmpeq_epi8(*mark, at));
            *mark = _mm256_blendv_epi8(*mark, to, moves);
        }
    }
    let mut leaf = [0_u8; GROUP_ROWS];
    for (part, mark) in marks.into_iter().enumerate() {
        // SAFETY: two times 32 bytes are the array's 64.
        unsafe { _mm256_storeu_si256(leaf.as_mut_ptr().add(32 * part).cast(), mark) };
    }
    let margins = &mut margins[start..start + GROUP_ROWS];
    for (row, leaf) in leaf.into_iter().enumerate() {
        margins[place(row)] += leaves[usize::from(leaf) & (MAX_VECTOR_LEAVES - 1)];
    }
}

/// All bits set in each byte whose code stays at the test's node.
#[inline]
#[target_feature(enable = "avx2")]
fn staying(layout: &Layout, test: &Test, codes: &[u8], start: usize) -> [__m256i; PARTS] {
    let from = test.view as usize + start;
    assert!(from + GROUP_ROWS <= codes.len(), "codes are a block per view");
    std::array::from_fn(|part| {
        // SAFETY: the group is within the codes (asserted above).
        let codes = unsafe { _mm256_loadu_si256(codes.as_ptr().add(from + 32 * part).cast()) };
        if test.set == NO_SET {
            is_within(codes, _mm256_set1_epi32(test.limit as i32))
        } else {
            let runs = &layout.sets[test.set as usize];
            runs.iter().fold(_mm256_setzero_si256(), |inside, run| _mm256_or_si256(inside, inside_run(codes, *run)))
        }
    })
}

/// All bits set in each byte that is at most the limit's.
#[inline]
#[target_feature(enable = "avx2")]
fn is_within(codes: __m256i, limit: __m256i) -> __m256i {
    _mm256_cmpeq_epi8(_mm256_min_epu8(codes, limit), codes)
}

/// All bits set in each byte whose code is in the run.
#[inline]
#[target_feature(enable = "avx2")]
fn inside_run(codes: __m256i, run: Run) -> __m256i {
    is_within(_mm256_sub_epi8(codes, _mm256_set1_epi8(run.first as i8)), _mm256_set1_epi8(run.span as i8))
}
