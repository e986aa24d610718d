//! Scoring against a plain walk, and what is refused.

use super::*;

/// A repeatable stream of numbers.
fn draws(mut state: u64) -> impl FnMut() -> u64 {
    move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    }
}

/// A random tree over columns with these numbers of codes.
fn random_tree(n_leaves: usize, n_codes: &[usize], next: &mut impl FnMut() -> u64) -> Tree {
    let mut nodes: Vec<Node> = Vec::new();
    // Place of each leaf: its parent and side.
    let mut places: Vec<Option<(usize, usize)>> = vec![None];
    while places.len() < n_leaves {
        let at = next() as usize % places.len();
        if let Some((parent, side)) = places[at] {
            nodes[parent].children[side] = nodes.len() as i32;
        }
        let column = next() as usize % n_codes.len();
        let mut left = [0_u64; 4];
        for code in 0..n_codes[column] {
            left[code >> 6] |= (next() & 1) << (code & 63);
        }
        left[0] = (left[0] | 1) & !2;
        let new = places.len();
        nodes.push(Node { column: column as u32, left, children: [!(at as i32), !(new as i32)] });
        places[at] = Some((nodes.len() - 1, 0));
        places.push(Some((nodes.len() - 1, 1)));
    }
    let leaves = (0..n_leaves).map(|_| next() as f64 / 1e9 - 1.0).collect();
    Tree { output: 0, nodes, leaves }
}

/// Trees of many sizes for each of `n_outputs` outputs; `is_whole` rounds their leaves.
fn random_forest(n_outputs: usize, is_whole: bool, next: &mut impl FnMut() -> u64) -> Forest {
    let edges: Vec<f64> = (0..250).map(|i| f64::from(i) * 0.5 - 40.0).collect();
    let coders = vec![
        Coder::Number { edges, sentinels: vec![-1.0, 999.0] },
        Coder::Number { edges: vec![0.0], sentinels: Vec::new() },
        Coder::Level { codes: (0..40).collect() },
    ];
    let n_codes: Vec<usize> = coders.iter().map(Coder::n_codes).collect();
    let sizes = (1..=34).chain([48, 63, 64, 90, 31, 31]);
    let mut trees: Vec<Tree> = sizes.map(|n| random_tree(n, &n_codes, next)).collect();
    trees.iter_mut().enumerate().for_each(|(i, tree)| tree.output = i % n_outputs);
    let mut base = vec![0.3; n_outputs];
    if is_whole {
        round(&mut base, &mut trees);
    }
    let forest = Forest::new(coders, base, trees).expect("the forest is well formed");
    assert_eq!(matches!(forest.layout.leaves, layout::Leaves::Whole { .. }), is_whole);
    forest
}

#[test]
fn margins_have_the_same_bits_alone_in_batches_and_at_every_level() {
    let mut next = draws(11);
    let n = 2_500;
    let numbers: Vec<f64> = (0..n)
        .map(|i| [f64::NAN, -1.0, 999.0, next() as f64 / 1e7 - 50.0][if i % 5 < 3 { 3 } else { i % 3 }])
        .collect();
    let signs: Vec<f64> = (0..n).map(|_| (next() % 3) as f64 - 1.0).collect();
    let levels: Vec<u32> = (0..n).map(|_| (next() % 50) as u32).collect();
    let columns = [Cells::Number(&numbers), Cells::Number(&signs), Cells::Level(&levels)];
    for (n_outputs, is_whole) in [(1, false), (1, true), (3, false), (3, true)] {
        let forest = random_forest(n_outputs, is_whole, &mut next);
        let expected = walked(&forest, &columns);
        for level in Level::available() {
            for size in [1, 7, 16, 17, 64, 511, 512, 513, 1000, 1024, 1025, n] {
                let mut got = vec![0.0; n * n_outputs];
                for start in (0..n).step_by(size) {
                    let rows = start..n.min(start + size);
                    let part = columns.map(|c| c.slice(rows.clone()));
                    let out = &mut got[rows.start * n_outputs..rows.end * n_outputs];
                    forest.score_at(level, &part, out).expect("the columns fit");
                }
                let same = got.iter().zip(&expected).all(|(a, b)| a.to_bits() == b.to_bits());
                assert!(same, "{n_outputs} outputs, whole: {is_whole}, {level:?}, batches of {size}");
            }
        }
    }
}

/// The margins by the forest's own coders and a walk per tree.
fn walked(forest: &Forest, columns: &[Cells]) -> Vec<f64> {
    let mut margins = Vec::new();
    for row in 0..columns[0].len() {
        let code = |c: usize| {
            let mut out = [0];
            assert!(forest.coders()[c].encode(columns[c].slice(row..row + 1), &mut out));
            out[0]
        };
        let mut sums = forest.base().to_vec();
        for tree in forest.trees() {
            sums[tree.output] += tree.leaves[tree.leaf(code)];
        }
        margins.extend(sums);
    }
    margins
}

#[test]
fn a_scratch_serves_one_forest_after_another() {
    let mut next = draws(12);
    let mut scratch = Scratch::default();
    let columns: Vec<f64> = (0..600).map(|_| next() as f64 / 1e7 - 50.0).collect();
    let levels = vec![3; 600];
    let columns = [Cells::Number(&columns), Cells::Number(&columns), Cells::Level(&levels)];
    for (n_outputs, is_whole) in [(3, true), (1, true), (2, false), (1, false), (2, true)] {
        let forest = random_forest(n_outputs, is_whole, &mut next);
        let mut got = vec![0.0; 600 * n_outputs];
        forest.score_with(&mut scratch, &columns, &mut got).expect("the columns fit");
        assert_eq!(got, walked(&forest, &columns), "{n_outputs} outputs, whole: {is_whole}");
    }
}

#[test]
fn rounding_moves_a_leaf_little_and_only_once() {
    let mut next = draws(13);
    let check = |scale: f64, next: &mut dyn FnMut() -> u64| {
        let leaves = |n: usize, next: &mut dyn FnMut() -> u64| -> Vec<f64> {
            (0..n).map(|_| (next() as f64 / (1_u64 << 31) as f64 - 0.5) * scale).collect()
        };
        let before: Vec<Tree> =
            (1..80).map(|n| Tree { output: 0, nodes: Vec::new(), leaves: leaves(n, next) }).collect();
        let range: f64 = before.iter().map(|t| t.leaves.iter().fold(0.0, |m: f64, x| m.max(x.abs()))).sum();
        let (mut base, mut trees) = (vec![scale * 0.1], before.clone());
        round(&mut base, &mut trees);
        let moved =
            |a: &Tree, b: &Tree| a.leaves.iter().zip(&b.leaves).all(|(a, b)| (a - b).abs() <= range / 2_f64.powi(30));
        assert!(before.iter().zip(&trees).all(|(a, b)| moved(a, b)), "scale {scale}");
        assert!((base[0] - scale * 0.1).abs() <= range / 2_f64.powi(30), "scale {scale}");
        assert_ne!(before, trees, "scale {scale}");
        assert!(whole::units(&base, &trees).is_some(), "scale {scale}");
        assert!(whole::units(&base, &before).is_none(), "scale {scale}");
        let once = (base.clone(), trees.clone());
        round(&mut base, &mut trees);
        assert_eq!((base, trees), once, "scale {scale}");
    };
    [1e-200, 1e-3, 1.0, 0.7, 1e9, 1e200].into_iter().for_each(|scale| check(scale, &mut next));
}

#[test]
fn leaves_that_may_not_be_added_as_whole_numbers_are_told() {
    let check = |base: f64, leaves: &[f64], expected: Option<f64>| {
        let trees: Vec<Tree> = leaves.iter().map(|&x| Tree { output: 0, nodes: Vec::new(), leaves: vec![x] }).collect();
        assert_eq!(whole::units(&[base], &trees), expected.map(|unit| vec![unit]), "{base} and {leaves:?}");
    };
    check(0.5, &[0.25, -3.0], Some(0.25));
    check(0.125, &[0.25, -3.0], Some(0.125));
    check(0.0, &[0.0, -0.0], Some(1.0));
    // A walk gives -0.0 for a sum of negative zeros.
    check(-0.0, &[-0.0], None);
    check(0.0, &[1.0, 2.0_f64.powi(31) - 2.0], Some(1.0));
    check(0.0, &[1.0, 2.0_f64.powi(31) - 1.0], None);
    check(2.0_f64.powi(51), &[1.0], Some(1.0));
    check(2.0_f64.powi(52), &[1.0], None);
    check(0.0, &[5e-324], None);
    check(0.0, &[0.1, 0.7], None);
}

#[test]
fn codes_count_the_edges_below() {
    let edges: Vec<f64> = (0..253).map(f64::from).collect();
    for n in [0, 1, 2, 15, 16, 17, 100, 253] {
        let coder = Coder::Number { edges: edges[..n].to_vec(), sentinels: vec![7.5] };
        let values: Vec<f64> = (-10..600).map(|i| f64::from(i) * 0.5).chain([f64::NAN, f64::MAX, f64::MIN]).collect();
        let mut codes = vec![0; values.len()];
        assert!(coder.encode(Cells::Number(&values), &mut codes));
        for (x, code) in values.iter().zip(codes) {
            let below = edges[..n].iter().filter(|e| *e < x).count() as u8;
            let expected = if x.is_nan() {
                0
            } else if *x == 7.5 {
                1
            } else {
                2 + below
            };
            assert_eq!(code, expected, "{x} among {n} edges");
        }
    }
}

#[test]
fn a_grid_gives_the_codes_of_the_search() {
    let mut next = draws(5);
    let check = |name: &str, mut edges: Vec<f64>| {
        edges.sort_by(f64::total_cmp);
        edges.dedup();
        let near = |x: f64| [x, x.next_up(), x.next_down(), -x, x * 1.01];
        let mut values: Vec<f64> = edges.iter().flat_map(|&x| near(x)).collect();
        values.extend([f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, f64::MIN, 0.0, -0.0, 5e-324]);
        // As many as a grid is made for.
        while values.len() < 256 {
            values.extend_from_within(..);
        }
        for level in Level::available() {
            let mut codes = [vec![0; values.len()], vec![0; values.len()]];
            for (codes, table) in codes.iter_mut().zip([EdgeTable::with_grid, EdgeTable::new]) {
                encode::encode_numbers(level, &table(&edges, 1), &[7.0], &values, codes);
            }
            assert_eq!(codes[0], codes[1], "{name} at {level:?}");
        }
    };
    let mut unit = || next() as f64 / (1_u64 << 31) as f64;
    check("even", (0..250).map(f64::from).collect());
    check("skewed of both signs", (0..250).map(|i| (unit() * 40.0 - 20.0).exp() * f64::from(i % 3 - 1)).collect());
    check("uniform", (0..250).map(|_| unit() * 2.0 - 1.0).collect());
    check("a cluster and a distant edge", (0..30).map(|i| 1.0 + f64::from(i) * 1e-9).chain([1e12]).collect());
    check("extremes", (0..40).map(|i| f64::from(i - 20) * (f64::MAX / 20.0)).collect());
    let two = |i: i32| f64::from((i / 2) * (i / 2) * 2_000) + f64::from(i % 2) - 0.5;
    check("neighbours in pairs", (0..120).map(two).collect());
    check("neighbours in pairs of any digits", (0..120).map(|i| two(i) * 1.1 - 7e5).collect());
    check("least", (0..40).map(|i| f64::from(i) * 5e-324).collect());
}

#[test]
fn malformed_forests_are_refused() {
    let node = |column, left, children| Node { column, left: [left, 0, 0, 0], children };
    let check = |nodes: Vec<Node>, leaves: Vec<f64>, expected: &str| {
        let coders = vec![Coder::Level { codes: vec![0, 1, 2] }];
        let error = Forest::new(coders, vec![0.0], vec![Tree { output: 0, nodes, leaves }]).unwrap_err();
        assert_eq!(error, expected);
    };
    check(vec![], vec![], "tree 0: a tree has 0 nodes and 0 leaves");
    check(vec![], vec![f64::NAN], "tree 0: a leaf's value is not finite");
    check(vec![node(1, 1, [!0, !1])], vec![0.0; 2], "tree 0: a node splits column 1, there are 1");
    check(vec![node(0, 8, [!0, !1])], vec![0.0; 2], "tree 0: a node names code 3 of a column with 3 codes");
    check(vec![node(0, 7, [!0, !1])], vec![0.0; 2], "tree 0: node 0 sends every row to one side");
    check(vec![node(0, 1, [!0, 0])], vec![0.0; 2], "tree 0: node 0 has the earlier node 0 as a child");
    check(vec![node(0, 1, [!0, !0])], vec![0.0; 2], "tree 0: child -1 of node 0 is absent or has two parents");
    check(
        vec![node(0, 1, [!0, i32::MIN])],
        vec![0.0; 2],
        "tree 0: child -2147483648 of node 0 is absent or has two parents",
    );
}

#[test]
fn wrong_columns_are_refused() {
    let forest = random_forest(1, true, &mut draws(3));
    let check = |columns: &[Cells], expected: &str| {
        assert_eq!(forest.score(columns, &mut [0.0; 2]).unwrap_err(), expected);
    };
    let (numbers, levels) = ([0.0; 2], [0; 2]);
    check(&[], "there are 0 columns, 3 are needed");
    let short = [Cells::Number(&numbers[..1]), Cells::Number(&numbers), Cells::Level(&levels)];
    check(&short, "column 0 has 1 rows, 2 are needed");
    let kind = [Cells::Number(&numbers), Cells::Level(&levels), Cells::Level(&levels)];
    check(&kind, "column 1 holds levels, numbers are needed");
}
