//! Single-precision numbers a few at a time: what kernels over several slices are made of.
//!
//! A block is copied into an array, computed there and copied back, so that the compiler need not prove that slices
//! do not overlap. A last block that is not full has zeros behind its numbers.

/// Numbers of a block.
pub(crate) const LANES: usize = 16;

/// One block.
pub(crate) type Block = [f32; LANES];

/// The `len` numbers from `at` on, `len` ≤ [`LANES`].
#[inline(always)]
pub(crate) fn load(values: &[f32], at: usize, len: usize) -> Block {
    let mut block = [0.0; LANES];
    if len == LANES {
        block.copy_from_slice(&values[at..][..LANES]);
    } else {
        block[..len].copy_from_slice(&values[at..][..len]);
    }
    block
}

/// Writes the first `len` numbers of a block from `at` on.
#[inline(always)]
pub(crate) fn store(block: &Block, values: &mut [f32], at: usize, len: usize) {
    if len == LANES {
        values[at..][..LANES].copy_from_slice(block);
    } else {
        values[at..][..len].copy_from_slice(&block[..len]);
    }
}

/// The places of the blocks of `n` numbers: where each begins and how long it is.
#[inline(always)]
pub(crate) fn blocks(n: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..n).step_by(LANES).map(move |at| (at, (n - at).min(LANES)))
}

/// The block of `f` of each place.
#[inline(always)]
pub(crate) fn each(f: impl Fn(usize) -> f32) -> Block {
    let mut out = [0.0; LANES];
    for (l, out) in out.iter_mut().enumerate() {
        *out = f(l);
    }
    out
}

/// The sum of the lanes in a fixed tree.
#[inline(always)]
pub(crate) fn sum(mut lanes: Block) -> f32 {
    let mut width = LANES;
    while width > 1 {
        width /= 2;
        for l in 0..width {
            lanes[l] += lanes[l + width];
        }
    }
    lanes[0]
}
