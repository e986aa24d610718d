//! Shapley values beside their definition.

use super::super::shap::{Paths, Shares};
use super::{close, fit, margins, quick, sample};
use crate::gbdt::{GbdtModel, GbdtParams};
use statera_core::{Attributions, Background, Column, Frame, FrameSpec, Model, Rng, Task};
use statera_kernel::tree::{Cells, Coder, Forest, Node, Tree};

/// Shapley values of `n` players by their definition: of all coalitions, each as the set of its bits.
fn shapley(n: usize, value: impl Fn(usize) -> f64) -> Vec<f64> {
    let values: Vec<f64> = (0..1 << n).map(value).collect();
    // s! (n - s - 1)! / n! by s.
    let mut weights = vec![1.0 / n as f64];
    for s in 1..n {
        weights.push(weights[s - 1] * s as f64 / (n - s) as f64);
    }
    let of = |i: usize| {
        let without = (0..1_usize << n).filter(|s| s >> i & 1 == 0);
        without.map(|s| weights[s.count_ones() as usize] * (values[s | 1 << i] - values[s])).sum()
    };
    (0..n).map(of).collect()
}

fn against(background: &Frame) -> Background {
    Background { frame: Some(background.clone()) }
}

#[test]
fn path_dependent_attributions_are_shapley_values() {
    let train = sample(1_200, 50);
    let model = fit(&GbdtParams { max_trees: 6, ..quick() }, &train);
    let test = sample(20, 51);
    let got = model.attribute(&test, &Background::default()).expect("same features");
    let margin = margins(&model, &test);
    for (row, margin) in margin.into_iter().enumerate() {
        let expected = path_dependent(&model, &test, row);
        let of_raw = [expected[0] + expected[3], expected[1], expected[2]];
        assert!(close(got.of(row, 0), &of_raw, 1e-9), "row {row}: {:?} for {of_raw:?}", got.of(row, 0));
        let sum = got.base[0] + got.of(row, 0).iter().sum::<f64>();
        assert!((sum - margin).abs() < 1e-9);
    }
}

/// Over the subsets of the four features, by the covers of the trees.
fn path_dependent(model: &GbdtModel, frame: &Frame, row: usize) -> Vec<f64> {
    let one = frame.take(&[row]);
    let columns = model.columns(&one).expect("same features");
    let codes: Vec<u8> = (0..4)
        .map(|c| {
            let mut code = [0];
            assert!(model.forest.coders()[c].encode(columns[c], &mut code));
            code[0]
        })
        .collect();
    shapley(4, |known| {
        let trees = model.forest.trees().iter().zip(&model.covers);
        trees.map(|(tree, covers)| expectation(tree, covers, 0, &codes, known).0).sum()
    })
}

/// Mean leaf value below a node with the features in `known` fixed, and the rows below it.
fn expectation(tree: &Tree, covers: &[f64], at: i32, codes: &[u8], known: usize) -> (f64, f64) {
    let Ok(node) = usize::try_from(at) else { return (tree.leaves[!at as usize], covers[!at as usize]) };
    let node = &tree.nodes[node];
    let [left, right] = node.children.map(|child| expectation(tree, covers, child, codes, known));
    let cover = left.1 + right.1;
    if known >> node.column & 1 == 1 {
        let goes_left = node.next(codes[node.column as usize]) == node.children[0];
        return (if goes_left { left.0 } else { right.0 }, cover);
    }
    ((left.0 * left.1 + right.0 * right.1) / cover, cover)
}

/// Over the subsets of the features, by scoring rows that have the known cells of `row` and the others of each background row.
fn interventional(model: &GbdtModel, frame: &Frame, row: usize, background: &Frame) -> Vec<f64> {
    let known = frame.take(&vec![row; background.n_rows]);
    shapley(frame.columns.len(), |coalition| {
        let mut mixed = background.clone();
        for (i, column) in mixed.columns.iter_mut().enumerate() {
            if coalition >> i & 1 == 1 {
                *column = known.columns[i].clone();
            }
        }
        margins(model, &mixed).iter().sum::<f64>() / background.n_rows as f64
    })
}

#[test]
fn interventional_attributions_are_shapley_values() {
    // Missing cells, sentinels and levels on both sides; backgrounds of one word of bits, a part of one, and several.
    for (seed, n_background, max_leaves) in [(52, 1, 4), (53, 64, 8), (54, 100, 31), (55, 130, 15)] {
        let model = fit(&GbdtParams { max_trees: 6, max_leaves, ..quick() }, &sample(1_500, seed));
        let (test, background) = (sample(25, seed + 10), sample(n_background, seed + 20));
        let got = model.attribute(&test, &against(&background)).expect("same features");
        let mean = margins(&model, &background).iter().sum::<f64>() / n_background as f64;
        assert!((got.base[0] - mean).abs() < 1e-12);
        for (row, margin) in margins(&model, &test).into_iter().enumerate() {
            let expected = interventional(&model, &test, row, &background);
            let of_raw = [expected[0] + expected[3], expected[1], expected[2]];
            assert!(close(got.of(row, 0), &of_raw, 1e-9), "row {row}: {:?} for {of_raw:?}", got.of(row, 0));
            let sum = got.base[0] + got.of(row, 0).iter().sum::<f64>();
            assert!((sum - margin).abs() < 1e-9);
        }
    }
}

#[test]
fn a_row_that_is_the_background_has_no_attributions() {
    let model = fit(&quick(), &sample(1_000, 56));
    let row = sample(1, 57);
    let got = model.attribute(&row, &against(&row.take(&[0, 0, 0]))).expect("same features");
    assert_eq!((got.base, got.values), (margins(&model, &row), vec![0.0; 3]));
}

/// A tree whose path tests 14 features one after the other, the first of them twice: its leaves have up to 14 elements.
fn long_path() -> (Forest, Vec<Vec<f64>>, FrameSpec) {
    let mut nodes: Vec<Node> = (0..15_u32)
        .map(|i| Node {
            column: i % 14,
            left: [if i == 14 { 0b111 } else { 0b1 }, 0, 0, 0],
            children: [!(i as i32), i as i32 + 1],
        })
        .collect();
    nodes[14].children[1] = !15;
    let leaves: Vec<f64> = (0..16).map(|i| f64::from(i * i % 7) - 2.0).collect();
    let covers = vec![(0..16).map(|i| f64::from(i + 3)).collect()];
    let coders = vec![Coder::Level { codes: vec![0, 1, 2, 3] }; 14];
    let forest = Forest::new(coders, vec![0.5], vec![Tree { output: 0, nodes, leaves }]).expect("it is a tree");
    let features = (0..14).map(|i| super::feature(&format!("f{i}"), i)).collect();
    let raw_columns = (0..14).map(|i| format!("f{i}")).collect();
    (forest, covers, FrameSpec { features, raw_columns, ..FrameSpec::default() })
}

fn cells_of(columns: &[Vec<u32>]) -> Vec<Cells<'_>> {
    columns.iter().map(|c| Cells::Level(c)).collect()
}

#[test]
fn long_paths_have_shapley_values_too() {
    let (forest, covers, spec) = long_path();
    let (paths, shares) = (Paths::new(&forest, &spec), Shares::new(&forest, &covers, &spec));
    let mut rng = Rng::new(58);
    // Rows get far, so that long leaves count.
    let mut rows = |n: usize| -> Vec<Vec<u32>> {
        (0..14).map(|_| (0..n).map(|_| if rng.below(6) == 0 { 0 } else { 1 + rng.below(3) as u32 }).collect()).collect()
    };
    let (test, background) = (rows(12), rows(70));
    let tree = &forest.trees()[0];
    let margin = |code: &dyn Fn(usize) -> u32| 0.5 + tree.leaves[tree.leaf(|column| code(column) as u8)];
    let base = vec![(0..70).map(|b| margin(&|c| background[c][b])).sum::<f64>() / 70.0];
    let with =
        paths.interventional(&forest, &cells_of(&test), 12, (&cells_of(&background), 70), base).expect("same columns");
    let without = shares.attribute(&forest, &cells_of(&test), 12).expect("same columns");
    for row in 0..12 {
        let expected = shapley(14, |s| {
            let mixed = |b: usize| margin(&|c| if s >> c & 1 == 1 { test[c][row] } else { background[c][b] });
            (0..70).map(mixed).sum::<f64>() / 70.0
        });
        assert!(close(with.of(row, 0), &expected, 1e-12), "row {row}: {:?} for {expected:?}", with.of(row, 0));
        let codes: Vec<u8> = test.iter().map(|c| c[row] as u8).collect();
        let expected = shapley(14, |s| expectation(tree, &covers[0], 0, &codes, s).0);
        assert!(close(without.of(row, 0), &expected, 1e-12), "row {row}: {:?} for {expected:?}", without.of(row, 0));
    }
}

#[test]
fn attributions_of_a_row_have_the_same_bits_in_any_batch_and_with_any_threads() {
    let model = fit(&GbdtParams { max_leaves: 31, ..quick() }, &sample(3_000, 59));
    let (rows, background) = (sample(5_000, 60), sample(100, 61));
    for background in [Background::default(), against(&background)] {
        let with = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads start");
            pool.install(|| model.attribute(&rows, &background)).expect("same features")
        };
        let all = with(1);
        assert_eq!(all, with(3));
        for row in [0, 63, 64, 4_095, 4_096, 4_999] {
            let alone = model.attribute(&rows.take(&[row]), &background).expect("same features");
            assert_eq!(alone.values, all.of(row, 0), "row {row}");
        }
    }
}

#[test]
fn unusable_backgrounds_are_refused() {
    let model = fit(&quick(), &sample(500, 62));
    let check = |change: fn(&mut Frame), expected: &str| {
        let mut background = sample(3, 1);
        change(&mut background);
        let error = model.attribute(&sample(2, 63), &against(&background)).unwrap_err();
        assert_eq!(error.to_string(), expected);
    };
    check(|f| *f = f.take(&[]), "boosting: the background has no rows, at least one is needed");
    check(|f| drop(f.columns.pop()), "boosting: 3 features, the model has 4");
    check(|f| f.columns[0] = Column::Codes(vec![0; 3]), "feature «a» must hold numbers, as in training");
}

#[test]
fn attributions_sum_to_the_margin_of_every_class() {
    let mut train = sample(1_000, 60);
    train.target = (0..1_000).map(|i| f64::from(i % 3)).collect();
    let params = GbdtParams { task: Task::Classes(3), max_leaves: 40, min_rows_per_leaf: 2, ..quick() };
    let model = fit(&params, &train);
    for background in [Background::default(), against(&sample(40, 64))] {
        let Attributions { n_outputs, n_raw, base, values, .. } =
            model.attribute(&train, &background).expect("same features");
        assert_eq!((n_outputs, n_raw), (3, 3));
        for (i, margin) in margins(&model, &train).into_iter().enumerate() {
            let sum = base[i % 3] + values[i * 3..][..3].iter().sum::<f64>();
            assert!((sum - margin).abs() < 1e-9, "{sum} for {margin}");
        }
    }
}
