//! Attention over the steps of all sequences: a small transformer encoder (Vaswani et al. 2017).
//!
//! Each step is a token, its columns by a matrix of its sequence plus a learned vector for its place; what the row has beside its
//! sequences is one more, which stands for the row: of a payment, its own columns. In one block every token asks all, in the last
//! the row's token asks the steps; its vector goes on beside the row's columns, as the state of a recurrent layer does. A step all of
//! whose cells are missing has weight 0 and is passed over. The lines of an image are steps.

use super::{Reader, Shape};
use crate::input::StepsShape;
use crate::layer::{Columns, Encoder, Layer, StepColumns, StepTokens};
use crate::params::Params;
use statera_core::{Error, Result, Rng};

/// Most steps of all sequences: every one asks every other.
const MOST_STEPS: usize = 1024;
/// Heads where the width allows them.
const HEADS: [usize; 3] = [4, 2, 1];
/// Blocks in which all steps ask.
const BLOCKS: usize = 1;
/// Hidden units of a block by numbers of a token.
const HIDDEN: usize = 2;
/// The first stream of the encoder's dropouts; the dense layer has stream 0.
const STREAM: u64 = 1;

impl Shape {
    /// The layers that read rows of those sequences, in `n_columns` columns with the others, and put the others behind what they
    /// read.
    pub(super) fn attend(
        &self,
        params: &mut Params,
        rng: &mut Rng,
        sequences: &[StepsShape],
        n_columns: usize,
    ) -> Result<Vec<Box<dyn Layer>>> {
        debug_assert!(self.reader == Reader::Attention, "only attention reads all sequences at once");
        let n_rest = n_columns - sequences.iter().map(StepsShape::n_columns).sum::<usize>();
        let columns: Vec<StepColumns> = sequences.iter().map(step_columns).collect();
        let n_steps: usize = columns.iter().map(|c| c.n_steps).sum();
        if n_steps > MOST_STEPS {
            return Err(Error::request(format!("attention over {n_steps} steps; allowed: at most {MOST_STEPS}")));
        }
        let tokens = StepTokens::new(params, rng, "tokens", &columns, n_rest, self.units)?;
        let encoder = Encoder {
            n_tokens: tokens.n_tokens(),
            width: self.units,
            n_heads: HEADS.into_iter().find(|h| self.units.is_multiple_of(*h)).unwrap_or(1),
            n_hidden: HIDDEN * self.units,
            n_blocks: BLOCKS,
            dropout: self.dropout,
        };
        let encoder = encoder.layer(params, rng, "encoder", STREAM)?;
        let columns = Columns::default().then(Box::new(encoder)).then_same(n_rest);
        Ok(vec![Box::new(tokens), Box::new(columns)])
    }
}

/// A sequence as tokens take it.
fn step_columns(shape: &StepsShape) -> StepColumns {
    match shape.grid {
        // The points of a line lie together.
        Some([height, width]) => {
            StepColumns { n_steps: height, width: width * shape.width, has_weights: shape.is_masked }
        }
        None => StepColumns { n_steps: shape.n_steps, width: shape.width, has_weights: shape.is_masked },
    }
}
