//! The state of a fit between two epochs, so that it goes on after an interruption as if there had been none.

use super::Curve;
use crate::optimizer::Optimizer;
use crate::params::Buffer;
use serde::{Deserialize, Serialize};
use statera_core::{Error, Parts, Result, Tensor, TensorData};

/// Names of the arrays.
mod array {
    pub const ORDER: &str = "order";
    pub const VALUES: &str = "values";
    pub const FIRST: &str = "optimizer.first";
    pub const SECOND: &str = "optimizer.second";
    pub const BEST: &str = "best.values";
    /// Not JSON, which has no NaN.
    pub const BEST_FIGURE: &str = "best.figure";
}

/// What is no array.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    curve: Curve,
    n_steps: usize,
    n_optimizer_steps: i32,
    best_epoch: Option<usize>,
}

/// What the epochs to come depend on; seeds and rates follow from their numbers.
pub(super) struct State<'a> {
    pub curve: &'a Curve,
    pub n_steps: usize,
    /// Each epoch shuffles the order of the one before.
    pub order: &'a [u32],
    pub values: &'a [f32],
    pub optimizer: &'a Optimizer,
    /// Epoch, figure and values.
    pub best: Option<(usize, f64, &'a [f32])>,
}

impl State<'_> {
    pub fn save(&self) -> Parts {
        let (n_optimizer_steps, [first, second]) = self.optimizer.memory();
        let header = Header {
            curve: self.curve.clone(),
            n_steps: self.n_steps,
            n_optimizer_steps,
            best_epoch: self.best.map(|b| b.0),
        };
        let mut parts = Parts { json: serde_json::json!(header), ..Parts::default() };
        let mut put = |name: &str, data| parts.tensors.insert(name.into(), Tensor::vector(data));
        put(array::ORDER, TensorData::I32(self.order.iter().map(|&row| row.cast_signed()).collect()));
        put(array::VALUES, TensorData::F32(self.values.to_vec()));
        put(array::FIRST, TensorData::F32(first.to_vec()));
        put(array::SECOND, TensorData::F32(second.to_vec()));
        if let Some((_, figure, values)) = self.best {
            put(array::BEST, TensorData::F32(values.to_vec()));
            put(array::BEST_FIGURE, TensorData::F64(vec![figure]));
        }
        parts
    }
}

/// A loaded [`State`] whose values and memory have gone to their places.
pub(super) struct Restored {
    pub curve: Curve,
    pub n_steps: usize,
    pub order: Vec<u32>,
    pub best: Option<(usize, f64, Buffer)>,
}

impl Restored {
    /// Takes everything from `parts`; `order` is one of the same rows.
    ///
    /// # Errors
    /// Arrays that do not fit the network or the rows.
    pub fn load(parts: &Parts, values: &mut [f32], optimizer: &mut Optimizer, order: &[u32]) -> Result<Restored> {
        let header = Header::deserialize(&parts.json);
        let header = header.map_err(|e| Error::damaged(format!("the state of a fit: {e}")))?;
        let fill = |to: &mut [f32], name: &str| -> Result<()> {
            let from = parts.f32s(name)?;
            if from.len() != to.len() {
                let (is, needs) = (from.len(), to.len());
                return Err(Error::damaged(format!(
                    "the state of a fit: {is} numbers of «{name}»; {needs} are needed"
                )));
            }
            to.copy_from_slice(from);
            Ok(())
        };
        let restored: Vec<u32> = parts.i32s(array::ORDER)?.iter().map(|row| row.cast_unsigned()).collect();
        let mut sorted = restored.clone();
        sorted.sort_unstable();
        if sorted.len() != order.len() || sorted.iter().enumerate().any(|(i, row)| *row as usize != i) {
            return Err(Error::damaged(format!("the state of a fit: no order of the {} rows", order.len())));
        }
        fill(values, array::VALUES)?;
        optimizer.restore(header.n_optimizer_steps, [parts.f32s(array::FIRST)?, parts.f32s(array::SECOND)?])?;
        let best = match header.best_epoch {
            Some(epoch) => {
                let mut best = Buffer::zeros(values.len());
                fill(&mut best, array::BEST)?;
                let figure = parts.f64s(array::BEST_FIGURE)?.first().copied().unwrap_or(f64::NAN);
                Some((epoch, figure, best))
            }
            None => None,
        };
        Ok(Restored { curve: header.curve, n_steps: header.n_steps, order: restored, best })
    }
}

#[cfg(test)]
mod tests {
    use crate::model::mlp::tests::frame;
    use crate::model::{MlpParams, RealMlpParams, TabmParams};
    use serde_json::Value;
    use statera_core::{Checkpoints, Estimator, Kept, Progress, Result, Run, Task};
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::sync::{Arc, Mutex, OnceLock};

    /// Keeps every state in memory.
    #[derive(Default)]
    struct Memory(Mutex<Option<Kept>>);

    impl Checkpoints for Memory {
        fn open(&self, _: &Value) -> Result<()> {
            Ok(())
        }
        fn load(&self, _: &str) -> Result<Option<Kept>> {
            Ok(self.0.lock().expect("no panic").clone())
        }
        fn is_due(&self, _: bool) -> bool {
            true
        }
        fn save(&self, _: &str, kept: &Kept) -> Result<()> {
            *self.0.lock().expect("no panic") = Some(kept.clone());
            Ok(())
        }
    }

    /// Interrupts at the end of an epoch.
    struct Interrupter {
        epoch: usize,
        seen: AtomicUsize,
        flag: OnceLock<Arc<AtomicBool>>,
    }

    impl Progress for Interrupter {
        fn start(&self, _: &str, _: u64) {}
        fn update(&self, done: u64, _: &str) {
            self.seen.fetch_add(1, Ordering::Relaxed);
            if done as usize == self.epoch {
                self.flag.get().expect("set before the run").store(true, Ordering::Relaxed);
            }
        }
        fn finish(&self) {}
    }

    #[test]
    fn a_fit_that_is_continued_has_the_same_bytes_as_one_in_one_go() {
        let (train, valid) = (frame(Task::Binary, 700, 1), frame(Task::Binary, 300, 2));
        let descent = {
            let mut params = MlpParams::quick(Task::Binary);
            params.train.method = crate::optimizer::Method::Descent { momentum: 0.9 };
            (params.train.learning_rate, params.train.patience) = (0.05, None);
            params
        };
        let estimators: [(&str, Box<dyn Estimator>); 4] = [
            ("mlp", Box::new(MlpParams::quick(Task::Binary))),
            ("descent", Box::new(descent)),
            ("realmlp", Box::new(RealMlpParams::default().quick())),
            ("tabm", Box::new(TabmParams::default().quick())),
        ];
        for (name, estimator) in estimators {
            let whole = estimator.fit(&train, &valid, &Run::new(3, 2)).expect("it fits").save();
            for epoch in [1, 2, 5] {
                let memory = Arc::new(Memory::default());
                let interrupter = Arc::new(Interrupter { epoch, seen: AtomicUsize::new(0), flag: OnceLock::new() });
                let run = Run::new(3, 2).with_checkpoints(memory.clone()).keeping("fit");
                let first = run.clone().with_progress(interrupter.clone());
                interrupter.flag.set(first.cancel_flag()).expect("set once");
                let stopped = estimator.fit(&train, &valid, &first).err();
                assert!(stopped.is_some_and(|e| e.is_cancelled()), "{name}, epoch {epoch}");
                let after =
                    Arc::new(Interrupter { epoch: usize::MAX, seen: AtomicUsize::new(0), flag: OnceLock::new() });
                // A run of its own: the flag of the first stays set.
                let second = Run::new(3, 2).with_checkpoints(memory).keeping("fit").with_progress(after.clone());
                let model = estimator.fit(&train, &valid, &second).expect("it goes on");
                assert_eq!(model.save(), whole, "{name}, epoch {epoch}");
                let epochs = model.learning_curve().map_or(0, |c| c.n_units);
                let seen = after.seen.load(Ordering::Relaxed);
                assert_eq!(seen, epochs - epoch, "{name}: epochs that were done are not done again");
            }
        }
    }

    #[test]
    fn a_state_of_other_rows_or_another_network_is_refused() {
        let (train, valid) = (frame(Task::Binary, 300, 1), frame(Task::Binary, 100, 2));
        let memory = Arc::new(Memory::default());
        let run = Run::new(3, 2).with_checkpoints(memory.clone()).keeping("fit");
        let quick = MlpParams::quick(Task::Binary);
        quick.fit(&train, &valid, &run).expect("it fits");
        let refusal = |params: &MlpParams, rows: usize| {
            let rows: Vec<usize> = (0..rows).collect();
            params.fit(&train.take(&rows), &valid, &run).err().map(|e| e.to_string()).unwrap_or_default()
        };
        assert_eq!(refusal(&quick, 299), "the state of a fit: no order of the 299 rows");
        let mut wider = quick.clone();
        wider.shape.hidden = vec![64, 16];
        assert!(refusal(&wider, 300).contains("numbers of «values»;"), "{}", refusal(&wider, 300));
    }
}
