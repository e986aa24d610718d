//! Boosted trees in LightGBM's text format (version 4), so that a second program can check scores and attributions.
//!
//! What goes over exactly: every split, threshold and leaf value; missing cells (NaN) and the side they take; sets of
//! levels. A level is the code that the preparer gives it: 0 missing, 1 unknown, 2 rare, 3 + i for level i of the feature.
//! The base margin is added to the leaves of the first round, as LightGBM itself does. Covers are whole numbers there: of
//! weighted rows they are rounded, so that attributions differ by about 1e-9 of a leaf; margins do not.
//!
//! What the format cannot say is an error: a sentinel that stands on the other side of a split than its amount.

use super::GbdtModel;
use statera_core::{CODE_UNKNOWN, Error, FeatureSpec, Result, Task};
use statera_kernel::tree::{Coder, Node, Tree};
use std::collections::BTreeSet;
use std::fmt::Write;

/// `decision_type`: the node is one of levels.
const LEVELS: u8 = 1;
/// `decision_type`: missing cells go left.
const MISSING_LEFT: u8 = 2;
/// `decision_type`: missing cells are NaN.
const MISSING_IS_NAN: u8 = 8;
/// Greatest sum of a tree's covers; they are 32-bit there.
const MAX_COVER: f64 = (1u32 << 30) as f64;

impl GbdtModel {
    /// The model in LightGBM's text format: what `lightgbm.Booster(model_str=…)` reads. Features keep their order.
    ///
    /// # Errors
    /// A split that the format cannot say; the message names the feature.
    ///
    /// ```
    /// use statera_core::{Column, FeatureSpec, Frame, FrameSpec, Run};
    /// use statera_learn::gbdt::GbdtParams;
    ///
    /// # fn main() -> statera_core::Result<()> {
    /// let income = FeatureSpec { name: "income".into(), raw: 0, levels: None, sentinels: vec![], monotone: 0 };
    /// let spec = FrameSpec { features: vec![income], raw_columns: vec!["income".into()], ..FrameSpec::default() };
    /// let train = Frame {
    ///     spec: spec.into(),
    ///     n_rows: 200,
    ///     columns: vec![Column::Number((0..200).map(f64::from).collect())],
    ///     target: (0..200).map(|row| f64::from(u8::from(row < 90))).collect(),
    ///     ..Frame::default()
    /// };
    /// let params = GbdtParams { max_trees: 3, ..GbdtParams::default() };
    /// let text = params.fit_model(&train, &Frame::default(), &Run::new(1, 1))?.to_lightgbm()?;
    /// assert!(text.starts_with("tree\nversion=v4\n") && text.contains("feature_names=income\n"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn to_lightgbm(&self) -> Result<String> {
        let n_outputs = self.forest.n_outputs();
        let mut trees = Vec::new();
        for (at, (tree, covers)) in self.forest.trees().iter().zip(&self.covers).enumerate() {
            let base = if at < n_outputs { self.forest.base()[tree.output] } else { 0.0 };
            trees.push(format!("Tree={at}\n{}\n\n", self.tree_text(tree, &self.gains[at], covers, base)?));
        }
        let features = &self.spec.features;
        let infos: Vec<String> = features.iter().map(info).collect();
        let sizes: Vec<String> = trees.iter().map(|tree| tree.len().to_string()).collect();
        let num_class = if let Task::Classes(k) = self.params.task { k } else { 1 };
        Ok(format!(
            "tree\nversion=v4\nnum_class={num_class}\nnum_tree_per_iteration={n_outputs}\nlabel_index=0\n\
             max_feature_idx={}\nobjective={}\nfeature_names={}\nfeature_infos={}\ntree_sizes={}\n\n{}end of trees\n",
            features.len().saturating_sub(1),
            objective(self.params.task),
            names(features).join(" "),
            infos.join(" "),
            sizes.join(" "),
            trees.concat()
        ))
    }

    fn tree_text(&self, tree: &Tree, gains: &[f64], covers: &[f64], base: f64) -> Result<String> {
        let mut bits = Bits::default();
        let decisions = tree.nodes.iter().map(|node| self.decision(node, &mut bits)).collect::<Result<Vec<_>>>()?;
        let (leaf_counts, node_counts) = counts(tree, covers);
        let mut text = format!("num_leaves={}\nnum_cat={}\n", tree.leaves.len(), bits.boundaries.len());
        let mut line = |name: &str, values: Vec<String>| {
            // Writing to memory cannot fail.
            let _ = writeln!(text, "{name}={}", values.join(" "));
        };
        line("split_feature", strings(tree.nodes.iter().map(|n| n.column)));
        line("split_gain", strings(gains));
        line("threshold", decisions.iter().map(|d| d.threshold.clone()).collect());
        line("decision_type", strings(decisions.iter().map(|d| d.kind)));
        line("left_child", strings(tree.nodes.iter().map(|n| n.children[0])));
        line("right_child", strings(tree.nodes.iter().map(|n| n.children[1])));
        line("leaf_value", strings(tree.leaves.iter().map(|v| v + base)));
        line("leaf_count", strings(leaf_counts));
        line("internal_count", strings(node_counts));
        if !bits.boundaries.is_empty() {
            line("cat_boundaries", strings([0].into_iter().chain(bits.boundaries)));
            line("cat_threshold", strings(bits.words));
        }
        text += "is_linear=0\nshrinkage=1\n";
        Ok(text)
    }

    fn decision(&self, node: &Node, bits: &mut Bits) -> Result<Decision> {
        let column = node.column as usize;
        let is_left = |code: usize| node.left[code >> 6] >> (code & 63) & 1 == 1;
        let cannot = |what: &str| {
            let name = &self.spec.features[column].name;
            Err(Error::request(format!("feature «{name}»: LightGBM's format cannot say that {what}")))
        };
        match &self.forest.coders()[column] {
            Coder::Level { codes } => {
                if is_left(0) {
                    return cannot("missing and unknown levels are in the set of a split");
                }
                let in_set = |level: &usize| is_left(usize::from(codes[*level]));
                let levels: Vec<usize> = (0..codes.len()).filter(in_set).collect();
                Ok(Decision { kind: LEVELS, threshold: bits.add(&levels).to_string() })
            }
            Coder::Number { edges, sentinels } => {
                let first = 1 + sentinels.len();
                let n_left = (0..=edges.len()).take_while(|&bin| is_left(first + bin)).count();
                if (n_left..=edges.len()).any(|bin| is_left(first + bin)) {
                    return cannot("numbers between two edges go to one side");
                }
                let threshold = match n_left {
                    0 => -f64::MAX,
                    n if n > edges.len() => f64::MAX,
                    n => edges[n - 1],
                };
                for (at, &sentinel) in sentinels.iter().enumerate() {
                    if is_left(1 + at) != (sentinel <= threshold) {
                        return cannot(&format!("the sentinel {sentinel} is apart from the numbers beside it"));
                    }
                }
                let missing = if is_left(0) { MISSING_LEFT } else { 0 };
                Ok(Decision { kind: MISSING_IS_NAN | missing, threshold: threshold.to_string() })
            }
        }
    }
}

/// A node's test.
struct Decision {
    kind: u8,
    /// A number, or the index of a set of levels.
    threshold: String,
}

/// The sets of levels of a tree: where each ends, and their bits.
#[derive(Default)]
struct Bits {
    boundaries: Vec<usize>,
    words: Vec<u32>,
}

impl Bits {
    /// Adds a set; its index.
    fn add(&mut self, levels: &[usize]) -> usize {
        let start = self.words.len();
        let n_words = levels.iter().max().map_or(1, |top| top / 32 + 1);
        self.words.resize(start + n_words, 0);
        for level in levels {
            self.words[start + level / 32] |= 1 << (level % 32);
        }
        self.boundaries.push(self.words.len());
        self.boundaries.len() - 1
    }
}

fn strings<T: ToString>(values: impl IntoIterator<Item = T>) -> Vec<String> {
    values.into_iter().map(|v| v.to_string()).collect()
}

fn objective(task: Task) -> String {
    match task {
        Task::Binary => "binary sigmoid:1".into(),
        Task::Classes(k) => format!("multiclass num_class:{k}"),
        Task::Regression => "regression".into(),
    }
}

/// Names without what separates them in the file, and still different.
fn names(features: &[FeatureSpec]) -> Vec<String> {
    let mut taken = BTreeSet::new();
    let mut name_of = |feature: &FeatureSpec| {
        let plain = |c: char| if c.is_whitespace() || c.is_control() || "\",:[]{}=".contains(c) { '_' } else { c };
        let mut name: String = feature.name.chars().map(plain).collect();
        while name.is_empty() || !taken.insert(name.clone()) {
            name.push('_');
        }
        name
    };
    features.iter().map(&mut name_of).collect()
}

/// What LightGBM notes of a feature's values: a range, or the levels.
fn info(feature: &FeatureSpec) -> String {
    match &feature.levels {
        Some(levels) => strings(0..=CODE_UNKNOWN as usize + 1 + levels.len()).join(":"),
        None => "[-inf:inf]".into(),
    }
}

/// Covers of leaves and nodes as whole numbers; those of a node are its leaves'.
fn counts(tree: &Tree, covers: &[f64]) -> (Vec<u64>, Vec<u64>) {
    let total: f64 = covers.iter().sum();
    let is_whole = covers.iter().all(|c| c.fract() == 0.0) && total <= MAX_COVER;
    let scale = if is_whole || total <= 0.0 { 1.0 } else { MAX_COVER / total };
    let leaves: Vec<u64> = covers.iter().map(|c| (c * scale).round() as u64).collect();
    let mut nodes = vec![0; tree.nodes.len()];
    // Children come after their parents.
    for (at, node) in tree.nodes.iter().enumerate().rev() {
        nodes[at] = node
            .children
            .iter()
            .map(|&child| usize::try_from(child).map_or_else(|_| leaves[!child as usize], |c| nodes[c]))
            .sum();
    }
    (leaves, nodes)
}
