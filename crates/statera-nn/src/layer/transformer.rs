//! The pre-norm transformer block (Xiong et al. 2020): `z = x + A(N(x))`, `y = z + F(N(z))` with layer normalisation N,
//! multi-head self-attention A, and for each token F, a dense layer with GELU and a dense layer; dropout behind A and F.

use super::sequence::{Sequence, check_size};
use super::{Dense, Dropout, Layer, LayerNorm, MAX_SIZE, PerStep, Residual, SelfAttention, Sequential};
use crate::activation::Activation;
use crate::params::Params;
use statera_core::{Result, Rng};

/// The sizes of a transformer block.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Transformer {
    /// Rows whose steps are the tokens; their features are the block's width.
    pub sequence: Sequence,
    /// Heads of the attention, a divisor of the width.
    pub n_heads: usize,
    /// Hidden units of F; often 4 × the width.
    pub n_hidden: usize,
    /// The dropout behind A and F, in [0, 1).
    pub dropout: f32,
}

impl Transformer {
    /// Adds the block's parameters, named `name.…`, and returns it; `stream` and `stream` + 1 are its dropouts' streams.
    ///
    /// # Errors
    /// A size of 0, heads that do not divide the width, or a dropout outside [0, 1).
    pub fn block(&self, params: &mut Params, rng: &mut Rng, name: &str, stream: u64) -> Result<Sequential> {
        let (tokens, width) = (self.sequence, self.sequence.n_features);
        tokens.check()?;
        check_size("hidden units", self.n_hidden, 1..=MAX_SIZE)?;
        let per_token =
            |layer: Box<dyn Layer>| -> Result<Box<dyn Layer>> { Ok(Box::new(PerStep::new(tokens, layer)?)) };
        let norm = LayerNorm::new(params, &format!("{name}.norm1"), width)?;
        let attention = SelfAttention::new(params, rng, &format!("{name}.attention"), tokens, self.n_heads)?;
        let dropout = Dropout::checked(width, self.dropout, stream)?;
        let attend: Vec<Box<dyn Layer>> =
            vec![per_token(Box::new(norm))?, Box::new(attention), per_token(Box::new(dropout))?];
        let norm = LayerNorm::new(params, &format!("{name}.norm2"), width)?;
        let wide = Dense::new(params, rng, &format!("{name}.wide"), width, self.n_hidden, Activation::Gelu);
        let narrow = Dense::new(params, rng, &format!("{name}.narrow"), self.n_hidden, width, Activation::Identity);
        let dropout = Dropout::checked(width, self.dropout, stream.wrapping_add(1))?;
        let each: Vec<Box<dyn Layer>> = vec![Box::new(norm), Box::new(wide), Box::new(narrow), Box::new(dropout)];
        let each = per_token(Box::new(Sequential::new(each)))?;
        Ok(Sequential::new(vec![
            Box::new(Residual::of_steps(tokens, Box::new(Sequential::new(attend)))?),
            Box::new(Residual::of_steps(tokens, each)?),
        ]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check;
    use crate::layer::Counted;

    fn block(counted: Counted, dropout: f32) -> (Sequential, Params, Sequence) {
        let mut params = Params::default();
        let sequence = Sequence { n_steps: 4, n_features: 6, counted };
        let sizes = Transformer { sequence, n_heads: 2, n_hidden: 17, dropout };
        let block = sizes.block(&mut params, &mut Rng::new(1), "block", 0).expect("sizes are allowed");
        (block, params, sequence)
    }

    #[test]
    fn equals_pytorch() {
        for (name, counted) in [("transformer", Counted::All), ("transformer_lengths", Counted::Lengths)] {
            let (block, params, _) = block(counted, 0.0);
            check::torch_case(&block, &params, "transformer", name);
        }
    }

    #[test]
    fn gradients_are_those_of_finite_differences() {
        for (counted, dropout) in [(Counted::All, 0.0), (Counted::Lengths, 0.3)] {
            let (block, params, sequence) = block(counted, dropout);
            check::finite_differences_at(&block, &params, &check::sequences(&sequence, 6, 3), true);
        }
    }

    #[test]
    fn scores_have_the_same_bits_everywhere() {
        for counted in [Counted::All, Counted::Lengths] {
            let (block, params, sequence) = block(counted, 0.1);
            check::same_bits_everywhere(&block, &params, &check::sequences(&sequence, 37, 4));
        }
    }

    #[test]
    fn rejects_what_is_outside_the_range() {
        let sequence = Sequence { n_steps: 4, n_features: 6, counted: Counted::All };
        let fine = Transformer { sequence, n_heads: 2, n_hidden: 8, dropout: 0.1 };
        for (sizes, expected) in [
            (Transformer { n_heads: 5, ..fine }, "heads 5; allowed: divisors of the width 6"),
            (Transformer { n_hidden: 0, ..fine }, "hidden units 0; allowed: 1 to 65536"),
            (Transformer { dropout: 1.0, ..fine }, "dropout 1; allowed: at least 0, below 1"),
        ] {
            let made = sizes.block(&mut Params::default(), &mut Rng::new(1), "block", 0);
            assert_eq!(made.err().expect("not allowed").to_string(), expected);
        }
    }
}
