//! Blocks of rows through a forest.

use super::layout::{Layout, Leaves, Step};
use super::sliced::{self, BITS_ROWS, BLOCK_BITS, Bits, BitsSums, Sums};
use super::{BLOCK_ROWS, Cells, Coder, Forest, encode};
use crate::dispatch::Level;
use std::ops::Range;

/// Rows that are walked at every level, as that is faster.
const FEW_ROWS: usize = 16;

/// Memory that scoring works in; to keep one for many calls saves time.
#[derive(Debug, Default)]
pub struct Scratch {
    /// A block per used column.
    codes: Vec<u8>,
    slots: Vec<Bits>,
    /// A block of sums per output, of the one kind or the other.
    whole: Vec<BitsSums<i32>>,
    real: Vec<BitsSums<f64>>,
}

impl Forest {
    /// Adds the margins of the rows of `columns` (one per coder, of equal length) to `out`, row-major
    /// `n_rows × n_outputs`; what `out` held is overwritten. Uses the widest level of the CPU.
    ///
    /// # Errors
    /// A message if a column is absent, has another length or is of another kind than its coder.
    ///
    /// # Panics
    /// If `out` has another length than `n_rows × n_outputs`.
    pub fn score(&self, columns: &[Cells], out: &mut [f64]) -> Result<(), String> {
        self.score_with(&mut Scratch::default(), columns, out)
    }

    /// [`Forest::score`] in memory that the caller keeps.
    ///
    /// # Errors
    /// As [`Forest::score`].
    ///
    /// # Panics
    /// As [`Forest::score`].
    pub fn score_with(&self, scratch: &mut Scratch, columns: &[Cells], out: &mut [f64]) -> Result<(), String> {
        self.score_blocks(Level::active(), scratch, columns, out)
    }

    /// [`Forest::score`] at a level, for tests of the bits.
    ///
    /// # Errors
    /// As [`Forest::score`], or if the CPU lacks the level.
    ///
    /// # Panics
    /// As [`Forest::score`].
    pub fn score_at(&self, level: Level, columns: &[Cells], out: &mut [f64]) -> Result<(), String> {
        if level > Level::detected() {
            return Err(format!("this CPU has no {level:?}"));
        }
        self.score_blocks(level, &mut Scratch::default(), columns, out)
    }

    fn score_blocks(
        &self,
        level: Level,
        scratch: &mut Scratch,
        columns: &[Cells],
        out: &mut [f64],
    ) -> Result<(), String> {
        let n_outputs = self.n_outputs();
        let n_rows = out.len() / n_outputs.max(1);
        assert!(out.len() == n_rows * n_outputs, "one margin per row and output");
        self.check_columns(columns, n_rows)?;
        let level = if n_rows > FEW_ROWS { level } else { Level::Baseline };
        scratch.codes.resize(self.used.len() * BLOCK_ROWS, 0);
        for start in (0..n_rows).step_by(BLOCK_ROWS) {
            let rows = start..n_rows.min(start + BLOCK_ROWS);
            for (&column, codes) in self.used.iter().zip(scratch.codes.chunks_exact_mut(BLOCK_ROWS)) {
                self.encode(level, column, columns[column].slice(rows.clone()), codes);
            }
            let out = &mut out[rows.start * n_outputs..rows.end * n_outputs];
            match level {
                Level::Baseline => self.walk_all(&scratch.codes, out),
                _ if rows.len() <= BITS_ROWS => self.score_sliced::<1>(level, scratch, out),
                _ => self.score_sliced::<2>(level, scratch, out),
            }
        }
        Ok(())
    }

    fn check_columns(&self, columns: &[Cells], n_rows: usize) -> Result<(), String> {
        if columns.len() != self.coders.len() {
            return Err(format!("there are {} columns, {} are needed", columns.len(), self.coders.len()));
        }
        for (i, (cells, coder)) in columns.iter().zip(&self.coders).enumerate() {
            if cells.len() != n_rows {
                return Err(format!("column {i} has {} rows, {n_rows} are needed", cells.len()));
            }
            match (cells, coder) {
                (Cells::Number(_), Coder::Number { .. }) | (Cells::Level(_), Coder::Level { .. }) => {}
                (Cells::Number(_), _) => return Err(format!("column {i} holds numbers, levels are needed")),
                (Cells::Level(_), _) => return Err(format!("column {i} holds levels, numbers are needed")),
            }
        }
        Ok(())
    }

    /// Writes the codes of a column's cells; the kinds were checked.
    fn encode(&self, level: Level, column: usize, cells: Cells, codes: &mut [u8]) {
        match (&self.compact_coders[column], &self.tables[column], cells) {
            (Coder::Number { sentinels, .. }, Some(table), Cells::Number(values)) => {
                encode::encode_numbers(level, table, sentinels, values, codes);
            }
            (coder, _, cells) => assert!(coder.encode(cells, codes), "the kinds of columns were checked"),
        }
    }

    /// Margins of a block's rows, tree by tree.
    fn walk_all(&self, codes: &[u8], out: &mut [f64]) {
        let n_outputs = self.n_outputs();
        out.chunks_exact_mut(n_outputs).for_each(|out| out.copy_from_slice(&self.base));
        for (i, tree) in self.compact_trees.iter().enumerate() {
            for (row, out) in out.chunks_exact_mut(n_outputs).enumerate() {
                out[tree.output] += self.leaf(i, codes, row);
            }
        }
    }

    /// The leaf's value of a block's row.
    fn leaf(&self, tree: usize, codes: &[u8], row: usize) -> f64 {
        let tree = &self.compact_trees[tree];
        tree.leaves[tree.leaf(|column| codes[self.slots[column] * BLOCK_ROWS + row])]
    }

    /// Margins of a block's rows, at most `V · 512`, at a vector level.
    fn score_sliced<const V: usize>(&self, level: Level, scratch: &mut Scratch, out: &mut [f64]) {
        let n_outputs = self.n_outputs();
        let n_rows = out.len() / n_outputs;
        let Scratch { codes, slots, whole, real } = scratch;
        slots.resize(slots.len().max(V * self.layout.n_slots), Bits([0; 8]));
        let slots = &mut slots.as_chunks_mut::<V>().0[..self.layout.n_slots];
        test_codes(level, &self.layout, codes, slots);
        match &self.layout.leaves {
            Leaves::Whole { units, .. } => {
                whole.clear();
                whole.resize(n_outputs * BLOCK_BITS, BitsSums([0; BITS_ROWS]));
                self.add_trees(level, codes, slots, n_rows, &mut Sums::Whole(whole));
                for (output, sums) in whole.chunks_exact(BLOCK_BITS).enumerate() {
                    let (base, unit) = (self.base[output], units[output]);
                    write(sums, sliced::whole_place, |sum| base + f64::from(sum) * unit, out, output, n_outputs);
                }
            }
            Leaves::Real(_) => {
                real.clear();
                for &base in &self.base {
                    real.resize(real.len() + BLOCK_BITS, BitsSums([base; BITS_ROWS]));
                }
                self.add_trees(level, codes, slots, n_rows, &mut Sums::Real(real));
                for (output, sums) in real.chunks_exact(BLOCK_BITS).enumerate() {
                    write(sums, sliced::real_place, |sum| sum, out, output, n_outputs);
                }
            }
        }
    }

    /// Adds every tree's leaf to the sums of the first `n_rows` rows of a block.
    fn add_trees<const V: usize>(
        &self,
        level: Level,
        codes: &[u8],
        slots: &mut [sliced::Slot<V>],
        n_rows: usize,
        sums: &mut Sums,
    ) {
        for step in &self.layout.steps {
            match step {
                Step::Program(program) => add_tree(level, &self.layout, program, slots, sums),
                &Step::Walk(tree) => self.add_walked(tree, codes, 0..n_rows, sums),
            }
        }
    }

    fn add_walked(&self, tree: usize, codes: &[u8], rows: Range<usize>, sums: &mut Sums) {
        let output = self.compact_trees[tree].output;
        let at = |row: usize| (output * BLOCK_BITS + row / BITS_ROWS, row % BITS_ROWS);
        match (sums, &self.layout.leaves) {
            (Sums::Whole(sums), Leaves::Whole { units, .. }) => {
                for row in rows {
                    let (bits, place) = (at(row).0, sliced::whole_place(at(row).1));
                    sums[bits].0[place] += (self.leaf(tree, codes, row) / units[output]) as i32;
                }
            }
            (Sums::Real(sums), _) => {
                for row in rows {
                    let (bits, place) = (at(row).0, sliced::real_place(at(row).1));
                    sums[bits].0[place] += self.leaf(tree, codes, row);
                }
            }
            _ => unreachable!("the sums are of the leaves' kind"),
        }
    }
}

/// Writes an output's margins; rows come in eights because their sums are 64 places apart.
fn write<T: Copy>(
    sums: &[BitsSums<T>],
    place: impl Fn(usize) -> usize,
    margin: impl Fn(T) -> f64,
    out: &mut [f64],
    output: usize,
    n_outputs: usize,
) {
    for (sums, out) in sums.iter().zip(out.chunks_mut(BITS_ROWS * n_outputs)) {
        for (eight, out) in out.chunks_mut(8 * n_outputs).enumerate() {
            let first = place(8 * eight);
            for (k, out) in out[output..].iter_mut().step_by(n_outputs).enumerate() {
                *out = margin(sums.0[first + 64 * k]);
            }
        }
    }
}

fn test_codes<const V: usize>(level: Level, layout: &Layout, codes: &[u8], slots: &mut [sliced::Slot<V>]) {
    match level {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: `score_at` checked that the CPU has the level.
        Level::Avx512 => unsafe { super::avx512::test_codes(layout, codes, BLOCK_ROWS, slots) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: `score_at` checked that the CPU has the level.
        _ => unsafe { super::avx2::test_codes(layout, codes, BLOCK_ROWS, slots) },
        #[cfg(not(target_arch = "x86_64"))]
        _ => unreachable!("only x86-64 has vector levels"),
    }
}

fn add_tree<const V: usize>(
    level: Level,
    layout: &Layout,
    program: &super::layout::Program,
    slots: &mut [sliced::Slot<V>],
    sums: &mut Sums,
) {
    match level {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: `score_at` checked that the CPU has the level.
        Level::Avx512 => unsafe { super::avx512::add_tree(layout, program, slots, sums) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: `score_at` checked that the CPU has the level.
        _ => unsafe { super::avx2::add_tree(layout, program, slots, sums) },
        #[cfg(not(target_arch = "x86_64"))]
        _ => unreachable!("only x86-64 has vector levels"),
    }
}
