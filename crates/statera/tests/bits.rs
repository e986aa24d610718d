//! Invariant 1: a row has the same bits alone or in any batch, with any number of threads, at any level of instructions.

mod common;

use common::{settings, table};
use statera::given::Given;
use statera::models::MODELS;
use statera::pipeline;
use statera::scorer::Scored;
use statera_core::{Run, Task};
use statera_kernel::dispatch::{Level, with_level};
use std::collections::BTreeMap;

#[test]
fn a_row_has_the_same_bits_everywhere() {
    let n = 2500;
    let rows = table(n, 21).batches[0].clone();
    for family in MODELS.iter().filter(|m| (m.does)(Task::Binary)) {
        let run = Run::new(1, 2);
        let trained =
            pipeline::train(table(1500, 20), &settings("bad", family.name), &BTreeMap::new(), &Given::default(), &run)
                .unwrap();
        let scorer = trained.bundle.scorer;
        let score = |size: usize| {
            let mut all = Scored { n_outputs: 1, ..Scored::default() };
            for first in (0..n).step_by(size) {
                let part = scorer.score(&rows.slice(first, size.min(n - first))).unwrap();
                all.margins.extend(part.margins);
                all.probabilities.extend(part.probabilities);
            }
            all
        };
        let bits = |scored: &Scored| -> Vec<u64> {
            scored.margins.iter().chain(&scored.probabilities).map(|v| v.to_bits()).collect()
        };
        let whole = bits(&score(n));
        for size in [1, 7, 1000] {
            assert!(bits(&score(size)) == whole, "{}: batches of {size}", family.name);
        }
        for threads in [1, 2, 5] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            assert!(pool.install(|| bits(&score(n))) == whole, "{}: {threads} threads", family.name);
        }
        for level in Level::ALL {
            assert!(with_level(level, || bits(&score(n))) == whole, "{}: {level:?}", family.name);
        }
    }
}
