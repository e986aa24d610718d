//! All parameters of a network in one arena.
//!
//! Optimizers, clipping, restoring the best weights and saving are loops over one slice; a layer keeps the ranges of
//! its own parameters.

use statera_core::{Error, Parts, Result, Rng, Tensor, TensorData};
use std::ops::{Deref, DerefMut, Range};

/// Floats of a cache line: slots, and parts of caches and scratches, begin at multiples of it.
pub const LINE: usize = 16;

/// The length rounded up to whole cache lines.
pub const fn padded(len: usize) -> usize {
    len.div_ceil(LINE) * LINE
}

/// Splits memory into parts of these lengths, each of which begins at a multiple of [`LINE`].
///
/// # Panics
/// If there is less than that.
pub fn split<const N: usize>(memory: &mut [f32], lens: [usize; N]) -> [&mut [f32]; N] {
    let mut rest = memory;
    lens.map(|len| {
        let (part, after) = std::mem::take(&mut rest).split_at_mut(padded(len));
        rest = after;
        &mut part[..len]
    })
}

/// Floats that begin at a cache line, so that no vector is split over two. Dereferences to a slice.
#[derive(Debug, Default)]
pub struct Buffer {
    memory: Vec<f32>,
    start: usize,
    len: usize,
}

impl Buffer {
    /// `len` zeros.
    pub fn zeros(len: usize) -> Buffer {
        let memory = vec![0.0; len + LINE];
        // An allocator may place floats anywhere; where alignment cannot be computed, only speed is lost.
        let start = memory.as_ptr().align_offset(LINE * size_of::<f32>()).min(LINE);
        Buffer { memory, start, len }
    }
}

impl Clone for Buffer {
    fn clone(&self) -> Buffer {
        let mut copy = Buffer::zeros(self.len);
        copy.copy_from_slice(self);
        copy
    }
}

impl Deref for Buffer {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        &self.memory[self.start..][..self.len]
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.memory[self.start..][..self.len]
    }
}

/// How the optimizer treats a slot.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Role {
    /// Trained: the learning rate and the weight decay are multiplied by these.
    Trained {
        /// Factor of the learning rate.
        lr_factor: f32,
        /// Factor of the weight decay; 0 for none.
        decay_factor: f32,
    },
    /// Not trained: the slot moves by this share of its "gradient" minus itself after each step, where the forward
    /// pass in training left the batch's statistic times [`crate::layer::Pass::share`] as the gradient (running
    /// means and variances of batch normalisation).
    Running {
        /// Share of the newest batch, in (0, 1].
        momentum: f32,
    },
}

impl Role {
    /// A weight matrix: decays.
    pub const WEIGHT: Role = Role::Trained { lr_factor: 1.0, decay_factor: 1.0 };
    /// A bias, scale or shift: does not decay.
    pub const BIAS: Role = Role::Trained { lr_factor: 1.0, decay_factor: 0.0 };
}

/// The start of a slot.
#[derive(Debug, Clone)]
pub enum Init {
    /// The same value everywhere.
    Constant(f32),
    /// Uniform between minus and plus this.
    Uniform(f32),
    /// Normal with mean 0 and this standard deviation.
    Normal(f32),
    /// −1 or 1, each as likely.
    Sign,
    /// These values.
    Values(Vec<f32>),
}

/// One array of parameters.
#[derive(Debug, Clone)]
pub struct Slot {
    /// Name, unique in the network: `layer.array`.
    pub name: String,
    /// Sizes, slowest first; the array is row-major.
    pub shape: Vec<usize>,
    /// Place in the arena; begins at a multiple of [`LINE`].
    pub range: Range<usize>,
    /// How the optimizer treats it.
    pub role: Role,
}

/// Adds the arrays of a layer.
pub struct OfLayer<'a> {
    params: &'a mut Params,
    layer: &'a str,
    rng: &'a mut Rng,
}

impl OfLayer<'_> {
    /// Adds the array `layer.part` and returns its place; as [`Params::add`].
    ///
    /// # Panics
    /// As it does.
    pub fn add(&mut self, part: &str, shape: &[usize], init: &Init, role: Role) -> Range<usize> {
        self.params.add(format!("{}.{part}", self.layer), shape, init, role, self.rng)
    }
}

/// The arena. What lies between slots is 0 and stays so.
#[derive(Debug, Clone, Default)]
pub struct Params {
    /// All values.
    pub values: Buffer,
    /// The arrays in it, ascending.
    pub slots: Vec<Slot>,
}

impl Params {
    /// Adds an array and returns its place.
    ///
    /// # Panics
    /// If the name is taken, or `Init::Values` has another length than the shape.
    pub fn add(
        &mut self,
        name: impl Into<String>,
        shape: &[usize],
        init: &Init,
        role: Role,
        rng: &mut Rng,
    ) -> Range<usize> {
        let name = name.into();
        assert!(self.slots.iter().all(|s| s.name != name), "the parameter «{name}» exists");
        let start = self.values.len();
        let range = start..start + shape.iter().product::<usize>();
        let mut values = Buffer::zeros(padded(range.end));
        values[..start].copy_from_slice(&self.values);
        let slot = &mut values[range.clone()];
        match init {
            Init::Constant(c) => slot.fill(*c),
            Init::Uniform(bound) => slot.fill_with(|| ((rng.uniform() * 2.0 - 1.0) * f64::from(*bound)) as f32),
            Init::Normal(deviation) => slot.fill_with(|| (rng.normal() * f64::from(*deviation)) as f32),
            Init::Sign => slot.fill_with(|| if rng.uniform() < 0.5 { -1.0 } else { 1.0 }),
            Init::Values(given) => slot.copy_from_slice(given),
        }
        self.values = values;
        self.slots.push(Slot { name, shape: shape.to_vec(), range: range.clone(), role });
        range
    }

    /// For adding the arrays of a layer, whose names begin with the layer's.
    pub fn of<'a>(&'a mut self, layer: &'a str, rng: &'a mut Rng) -> OfLayer<'a> {
        OfLayer { params: self, layer, rng }
    }

    /// The array of that name.
    pub fn slot(&self, name: &str) -> Option<&Slot> {
        self.slots.iter().find(|s| s.name == name)
    }

    /// Replaces the values of an array.
    ///
    /// # Errors
    /// An unknown name, another number of values than the array has, or a value that is not finite.
    pub fn set(&mut self, name: &str, values: &[f32]) -> Result<()> {
        let range = match self.slot(name) {
            Some(slot) if slot.range.len() == values.len() => slot.range.clone(),
            Some(slot) => {
                let (is, needs) = (values.len(), slot.range.len());
                return Err(Error::damaged(format!("array «{name}» has {is} numbers; this network needs {needs}")));
            }
            None => return Err(Error::damaged(format!("array «{name}» is not part of this network"))),
        };
        if let Some(i) = values.iter().position(|v| !v.is_finite()) {
            return Err(Error::damaged(format!("array «{name}», number {i}: {}; allowed: finite numbers", values[i])));
        }
        self.values[range].copy_from_slice(values);
        Ok(())
    }

    /// Takes every array from a saved model.
    ///
    /// # Errors
    /// An array that is missing, of another shape, or not finite.
    pub fn load(&mut self, parts: &Parts) -> Result<()> {
        for slot in self.slots.clone() {
            let values = parts.f32s(&slot.name)?;
            let shape = parts.tensors.get(&slot.name).map_or(&[][..], |t| &t.shape);
            if shape != slot.shape {
                let (name, needs) = (&slot.name, &slot.shape);
                return Err(Error::damaged(format!(
                    "array «{name}» has the shape {shape:?}; this network needs {needs:?}"
                )));
            }
            self.set(&slot.name, values)?;
        }
        Ok(())
    }

    /// Adds every array to a saved model.
    pub fn save(&self, parts: &mut Parts) {
        for slot in &self.slots {
            let data = TensorData::F32(self.values[slot.range.clone()].to_vec());
            parts.tensors.insert(slot.name.clone(), Tensor { shape: slot.shape.clone(), data });
        }
    }

    /// Trained numbers.
    pub fn n_trained(&self) -> usize {
        self.slots.iter().filter(|s| matches!(s.role, Role::Trained { .. })).map(|s| s.range.len()).sum()
    }
}
