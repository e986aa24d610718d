//! A transformer encoder over weighed tokens that ends in the vector of the first: pre-norm blocks (Xiong et al. 2020) in which all
//! tokens ask all, then one in which the first asks, and a layer normalisation.
//!
//! With layer normalisation N, attention A over the tokens' weights and for each token F, a dense layer with GELU and a dense
//! layer: `z = x + A(N(x))`, `y = z + F(N(z))`, dropout behind A and F; the last block computes z and y of the first token alone.

use super::sequence::{MAX_SIZE, Sequence, check_size};
use super::{
    Columns, Dense, Dropout, Layer, LayerNorm, PerStep, Queries, Residual, Sequential, Shortcut, WeightedAttention,
};
use crate::activation::Activation;
use crate::params::Params;
use statera_core::{Result, Rng};

/// The sizes of an encoder.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Encoder {
    /// Tokens of a row, of which the first stands for the row and has no weight of its own.
    pub n_tokens: usize,
    /// Numbers of a token.
    pub width: usize,
    /// Heads of the attention, a divisor of the width.
    pub n_heads: usize,
    /// Hidden units of F.
    pub n_hidden: usize,
    /// Blocks in which all tokens ask, before the one in which the first does.
    pub n_blocks: usize,
    /// The dropout behind A and F, in [0, 1).
    pub dropout: f32,
}

impl Encoder {
    /// Adds the encoder's parameters, named `name.…`, and returns it: from `[tokens | weights]` to the first token's vector. From
    /// `stream` on, two a block, are its dropouts' streams.
    ///
    /// # Errors
    /// A size of 0, heads that do not divide the width, or a dropout outside [0, 1).
    pub fn layer(&self, params: &mut Params, rng: &mut Rng, name: &str, stream: u64) -> Result<Sequential> {
        check_size("hidden units", self.n_hidden, 1..=MAX_SIZE)?;
        let tokens = Sequence::new(self.n_tokens, self.width)?;
        let n_weights = self.n_tokens - 1;
        let per_token =
            |layer: Box<dyn Layer>| -> Result<Box<dyn Layer>> { Ok(Box::new(PerStep::new(tokens, layer)?)) };
        let beside =
            |layer: Box<dyn Layer>| -> Box<dyn Layer> { Box::new(Columns::default().then(layer).then_same(n_weights)) };
        let mut layers: Vec<Box<dyn Layer>> = Vec::new();
        for block in 0..=self.n_blocks {
            let (name, stream) = (format!("{name}.{block}"), stream.wrapping_add(2 * block as u64));
            let queries = if block == self.n_blocks { Queries::First } else { Queries::All };
            let norm = LayerNorm::new(params, &format!("{name}.norm1"), self.width)?;
            let size = (self.n_tokens, self.width);
            let attention = format!("{name}.attention");
            let attention = WeightedAttention::new(params, rng, &attention, size, self.n_heads, queries)?;
            let dropout: Box<dyn Layer> = Box::new(Dropout::checked(self.width, self.dropout, stream)?);
            let norm = beside(per_token(Box::new(norm))?);
            let each = self.each(params, rng, &name, stream.wrapping_add(1))?;
            if queries == Queries::All {
                let attend: Vec<Box<dyn Layer>> = vec![norm, Box::new(attention), per_token(dropout)?];
                layers.push(Box::new(Shortcut::passing(Box::new(Sequential::new(attend)))?));
                layers.push(beside(per_token(each)?));
            } else {
                let attend: Vec<Box<dyn Layer>> = vec![norm, Box::new(attention), dropout];
                layers.push(Box::new(Shortcut::ending(Box::new(Sequential::new(attend)))?));
                layers.push(each);
            }
        }
        layers.push(Box::new(LayerNorm::new(params, &format!("{name}.norm"), self.width)?));
        Ok(Sequential::new(layers))
    }

    /// y from z, of one token.
    fn each(&self, params: &mut Params, rng: &mut Rng, name: &str, stream: u64) -> Result<Box<dyn Layer>> {
        let norm = LayerNorm::new(params, &format!("{name}.norm2"), self.width)?;
        let wide = Dense::new(params, rng, &format!("{name}.wide"), self.width, self.n_hidden, Activation::Gelu);
        let narrow = format!("{name}.narrow");
        let narrow = Dense::new(params, rng, &narrow, self.n_hidden, self.width, Activation::Identity);
        let dropout = Dropout::checked(self.width, self.dropout, stream)?;
        let layers: Vec<Box<dyn Layer>> = vec![Box::new(norm), Box::new(wide), Box::new(narrow), Box::new(dropout)];
        Ok(Box::new(Residual::new(Box::new(Sequential::new(layers)))?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check;
    use crate::layer::{Math, Mode};
    use crate::workspace::Workspace;

    const SIZES: Encoder = Encoder { n_tokens: 4, width: 6, n_heads: 2, n_hidden: 7, n_blocks: 1, dropout: 0.0 };

    fn encoder(sizes: Encoder) -> (Sequential, Params) {
        let mut params = Params::default();
        let layer = sizes.layer(&mut params, &mut Rng::new(1), "e", 0).expect("sizes are allowed");
        (layer, params)
    }

    fn rows(n_rows: usize, weight: impl Fn(usize, usize) -> f32) -> Vec<f32> {
        let mut rng = Rng::new(3);
        let row = |i: usize| {
            let tokens: Vec<f32> = (0..24).map(|_| rng.normal() as f32).collect();
            tokens.into_iter().chain((0..3).map(|j| weight(i, j))).collect::<Vec<f32>>()
        };
        (0..n_rows).flat_map(row).collect()
    }

    #[test]
    fn gradients_are_those_of_finite_differences() {
        for sizes in [SIZES, Encoder { n_blocks: 0, dropout: 0.3, ..SIZES }] {
            let (layer, params) = encoder(sizes);
            let x = rows(5, |i, j| if i == 0 { 1.0 } else { 0.2 + 0.2 * ((i + j) % 3) as f32 });
            check::finite_differences_at(&layer, &params, &x, true);
        }
    }

    #[test]
    fn scores_have_the_same_bits_everywhere_and_ignore_what_has_no_weight() {
        let (layer, params) = encoder(Encoder { n_blocks: 2, dropout: 0.1, ..SIZES });
        let x = rows(37, |i, j| f32::from(u8::from((i + j) % 3 > 0)));
        check::same_bits_everywhere(&layer, &params, &x);
        let mut moved = x.clone();
        for row in moved.chunks_exact_mut(27) {
            for j in 0..3 {
                if row[24 + j] == 0.0 {
                    row[6 * (j + 1)..][..6].iter_mut().for_each(|v| *v = 11.0 - 3.0 * *v);
                }
            }
        }
        assert_ne!(x, moved);
        let score = |x: &[f32]| -> Vec<u32> {
            let mut work = Workspace::forward_only(&layer, 37);
            let y = work.forward(&layer, &params.values, x, 37, Mode::Evaluate, Math::Score);
            y.iter().map(|v| v.to_bits()).collect()
        };
        assert_eq!(score(&x), score(&moved));
    }

    #[test]
    fn rejects_what_is_outside_the_range() {
        for (sizes, expected) in [
            (Encoder { n_heads: 5, ..SIZES }, "heads 5; allowed: divisors of the width 6"),
            (Encoder { n_hidden: 0, ..SIZES }, "hidden units 0; allowed: 1 to 65536"),
            (Encoder { n_tokens: 0, ..SIZES }, "steps 0; allowed: 1 to 65536"),
            (Encoder { dropout: 1.0, ..SIZES }, "dropout 1; allowed: at least 0, below 1"),
        ] {
            let made = sizes.layer(&mut Params::default(), &mut Rng::new(1), "e", 0);
            assert_eq!(made.err().expect("not allowed").to_string(), expected);
        }
    }
}
