//! Clustering: k-means and Gaussian mixtures over the rows of a matrix, how many clusters there are, and how stable they
//! are under resampling.
//!
//! Learners work on [`Points`], an n × d matrix of any origin: prepared columns of a table, or what a network makes of
//! them. Sums over rows run in blocks of fixed size and are added in their order, so that a fit has the same bits for any
//! number of threads. A fitted model gives a margin for each cluster (minus the squared distance, or the logarithm of weight
//! times density), so that it is scored like any model of k classes; margins are exact sums over columns.
//!
//! Deliberately absent: hierarchical and density clustering, whose results cannot score a new row in constant time.

mod gmm;
mod kmeans;
mod model;
mod quality;
#[cfg(test)]
mod tests;

pub use gmm::{Covariance, Gmm, GmmParams};
pub use kmeans::{KMeans, KMeansParams};
pub use model::{ClusterModel, Mixture};
pub use quality::{Stability, stability};
pub use quality::{adjusted_rand_index, silhouette};

use rayon::prelude::*;
use statera_core::{Error, Result, Run};
use std::collections::HashSet;

/// Rows that are summed as one; part of a fit's definition.
const BLOCK_ROWS: usize = 1024;

/// Rows to be clustered.
#[derive(Debug, Clone, Copy)]
pub struct Points<'a> {
    /// Row-major `n_rows × n_cols`, finite; columns of like scale, since distances add them up.
    pub data: &'a [f32],
    /// Columns.
    pub n_cols: usize,
    /// How much each row counts, positive; `None` is 1 for each.
    pub weight: Option<&'a [f64]>,
}

impl<'a> Points<'a> {
    /// Rows.
    pub fn n_rows(&self) -> usize {
        self.data.len().checked_div(self.n_cols).unwrap_or(0)
    }

    /// A row.
    pub fn row(&self, row: usize) -> &'a [f32] {
        &self.data[row * self.n_cols..][..self.n_cols]
    }

    /// How much a row counts.
    pub fn weight_of(&self, row: usize) -> f64 {
        self.weight.map_or(1.0, |w| w[row])
    }

    /// Refuses points that cannot make `k` clusters.
    fn check(&self, k: usize) -> Result<()> {
        let n = self.n_rows();
        if k == 0 {
            return Err(Error::request("0 clusters; allowed: 1 and above"));
        }
        if self.n_cols == 0 || n == 0 {
            return Err(Error::data(format!("{n} rows of {} columns; at least one of each is needed", self.n_cols)));
        }
        if self.data.len() != n * self.n_cols || self.weight.is_some_and(|w| w.len() != n) {
            let cells = self.data.len();
            return Err(Error::request(format!(
                "{cells} cells are not rows of {} columns with a weight each",
                self.n_cols
            )));
        }
        if let Some(at) = self.data.iter().position(|v| !v.is_finite()) {
            let (row, column) = (at / self.n_cols + 1, at % self.n_cols);
            return Err(Error::data(format!("row {row}, column {column}: {}; allowed: finite numbers", self.data[at])));
        }
        if let Some(row) = (0..n).find(|&i| !(self.weight_of(i) > 0.0 && self.weight_of(i).is_finite())) {
            return Err(Error::data(format!("row {}: weight {}; allowed: above 0", row + 1, self.weight_of(row))));
        }
        let mut distinct: HashSet<Vec<u32>> = HashSet::new();
        for row in self.data.chunks_exact(self.n_cols) {
            // Adding 0 makes one value of 0 and -0.
            distinct.insert(row.iter().map(|v| (v + 0.0).to_bits()).collect());
            if distinct.len() >= k {
                return Ok(());
            }
        }
        let n = statera_core::text::counted(distinct.len(), "distinct row", "distinct rows");
        Err(Error::data(format!("{n}; {k} clusters need at least {k}")))
    }

    /// What `f` makes of each block of rows, in their order; `f` gets the first row and the rows' cells.
    fn blocks<T: Send>(&self, run: &Run, f: impl Fn(usize, &'a [f32]) -> T + Sync) -> Result<Vec<T>> {
        run.check()?;
        let blocks = self.data.par_chunks(BLOCK_ROWS * self.n_cols).enumerate();
        Ok(blocks.map(|(i, cells)| f(i * BLOCK_ROWS, cells)).collect())
    }
}

/// The place of the greatest of margins; of equals the first.
fn greatest(row: &[f64]) -> usize {
    (1..row.len()).fold(0, |best, j| if row[j] > row[best] { j } else { best })
}
