//! How many edges are below a number.
//!
//! A search over 255 edges costs more than a node of every tree, so a forest's edges come with a [`Grid`]: the bits of
//! `|x| + offset`, shifted to some buckets, tell how many edges are in earlier buckets, and one to four comparisons with the
//! edges of x's own bucket tell the rest. The sum is monotone in |x| (rounding is), nearly linear below the offset and
//! logarithmic above it, and the comparisons are exact, so a grid changes the time and never the code. It is made when
//! enough cells come at once to be worth it: a server that scores row by row has neither the wait nor the memory.

use super::MAX_CODES;
use crate::dispatch::Level;
use grid::Grid;
use std::sync::OnceLock;

#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
mod grid;

/// Cells that come at once from which on a forest's columns get their grids: in a table more of them follow.
const GRID_CELLS: usize = 256;
/// Edges readable behind the last of 255, so that a grid's comparisons need no bound.
const PADDING: usize = 8;
/// The lowest byte of a number's bits.
const FIRST_BYTE: u64 = 0xff;

/// Edges padded with +∞ to more than 256, for a search without branches.
#[derive(Debug, Clone)]
pub(super) struct EdgeTable {
    edges: Box<[f64; MAX_CODES + PADDING]>,
    /// Halvings needed.
    n_steps: u32,
    /// Code of a number below all edges.
    first_code: u8,
    n_edges: usize,
    /// Made when first needed; `None` inside where it would not help.
    grid: OnceLock<Option<Grid>>,
}

impl EdgeTable {
    /// A table for a few cells.
    pub(super) fn new(edges: &[f64], n_sentinels: usize) -> EdgeTable {
        let mut table = Box::new([f64::INFINITY; MAX_CODES + PADDING]);
        table[..edges.len()].copy_from_slice(edges);
        EdgeTable {
            edges: table,
            n_steps: usize::BITS - edges.len().leading_zeros(),
            first_code: (1 + n_sentinels) as u8,
            n_edges: edges.len(),
            grid: OnceLock::from(None),
        }
    }

    /// A table that will be used for many cells, if not at once: its grid takes as long as encoding thousands, and some
    /// ten thousand bytes.
    pub(super) fn with_grid(edges: &[f64], n_sentinels: usize) -> EdgeTable {
        EdgeTable { grid: OnceLock::new(), ..EdgeTable::new(edges, n_sentinels) }
    }

    /// The grid for so many cells.
    fn grid(&self, n_cells: usize) -> Option<&Grid> {
        let make = || Grid::new(&self.edges[..self.n_edges], self.first_code);
        if n_cells < GRID_CELLS { self.grid.get()?.as_ref() } else { self.grid.get_or_init(make).as_ref() }
    }
}

/// Writes the code of each number.
///
/// # Panics
/// If `out` is shorter than the values.
pub(super) fn encode_numbers(level: Level, table: &EdgeTable, sentinels: &[f64], values: &[f64], out: &mut [u8]) {
    assert!(out.len() >= values.len(), "one code per cell");
    match level.min(Level::detected()) {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the features were detected.
        Level::Avx512 => unsafe { avx512::encode_numbers(table, values, out) },
        _ => match table.grid(values.len()) {
            Some(grid) => through_grid(table, grid, values, out),
            None => search(table, values, out),
        },
    }
    for (i, sentinel) in sentinels.iter().enumerate() {
        for (code, value) in out.iter_mut().zip(values) {
            *code = if value == sentinel { 1 + i as u8 } else { *code };
        }
    }
}

/// Takes each number's start from the grid and compares with edges from there: those of its bucket, then edges above it.
fn through_grid(table: &EdgeTable, grid: &Grid, values: &[f64], out: &mut [u8]) {
    let last = MAX_CODES + PADDING - grid.n_compares;
    for (out, &x) in out.iter_mut().zip(values) {
        let start = grid.starts[grid.bucket(x)];
        let edges = &table.edges[usize::from(start).min(last)..][..grid.n_compares];
        let below = edges.iter().filter(|edge| **edge < x).count() as u8;
        *out = if x.is_nan() { 0 } else { start.wrapping_add(table.first_code).wrapping_add(below) };
    }
}

/// 16 searches side by side so that their memory reads overlap.
#[inline(always)]
fn search(table: &EdgeTable, values: &[f64], out: &mut [u8]) {
    const SIDE: usize = 16;
    let edges = &table.edges;
    for (out, values) in out.chunks_mut(SIDE).zip(values.chunks(SIDE)) {
        let mut x = [f64::NAN; SIDE];
        x[..values.len()].copy_from_slice(values);
        let mut below = [0_usize; SIDE];
        for step in (0..table.n_steps).rev() {
            let half = 1 << step;
            for (n, &x) in below.iter_mut().zip(&x) {
                // `below` stays under 256 - half, the mask only tells the compiler so.
                *n += if edges[(*n + half - 1) & (MAX_CODES - 1)] < x { half } else { 0 };
            }
        }
        for ((out, &n), &x) in out.iter_mut().zip(&below).zip(&x) {
            *out = if x.is_nan() { 0 } else { n as u8 + table.first_code };
        }
    }
}
