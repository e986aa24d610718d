//! Whole networks beside PyTorch's.

use super::*;
use crate::activation::Activation;
use crate::check;
use statera_core::{Column, FeatureSpec, FrameSpec};

/// Three numbers and the three flags of a category.
fn input() -> Input {
    let feature =
        |name: &str, raw| FeatureSpec { name: name.into(), raw, levels: None, sentinels: vec![], monotone: 0 };
    let mut features = vec![feature("a", 0), feature("b", 1), feature("c", 2), feature("d", 3)];
    features[3].levels = Some(["x", "y", "z"].map(String::from).into());
    let raw_columns = features.iter().map(|f| f.name.clone()).collect();
    let numbers = (0..3).map(|j| Column::Number((0..30).map(|i| f64::from((i * 7 + j * 11) % 30)).collect()));
    let columns = numbers.chain([Column::Codes((0..30).map(|i| 3 + i % 3).collect())]).collect();
    let spec = FrameSpec { features, raw_columns, ..FrameSpec::default() }.into();
    let frame = Frame { spec, n_rows: 30, columns, target: vec![0.0; 30], ..Frame::default() };
    Input::fit(&frame, Scaling::Quantile, usize::MAX).expect("columns that vary")
}

#[test]
fn whole_networks_equal_pytorch() {
    let tabm = |mini: bool, bins: Option<usize>| {
        Architecture::Tabm(tabm::Shape { k: 4, width: 7, blocks: 2, dropout: 0.0, bins, embedding: 4, mini })
    };
    let tutorial = mlp::Shape { hidden: vec![64, 32], activation: Activation::Relu, dropout: 0.0 };
    let realmlp = realmlp::Shape { hidden: vec![8, 8], dropout: 0.0 };
    let edges = vec![vec![-1.0, -0.25, 0.5, 1.0]; 3];
    for (name, architecture, edges) in [
        ("tutorial", Architecture::Mlp(tutorial), &[][..]),
        ("tabm", tabm(false, Some(3)), &edges[..]),
        ("tabm_mini", tabm(true, None), &[][..]),
        ("realmlp", Architecture::RealMlp(realmlp), &[][..]),
    ] {
        let (input, rng) = (input(), &mut Rng::new(1));
        let network = architecture.build(&input, 1, edges, Categories::Codes, None, rng).expect("a network");
        check::torch_case(&*network.layer, &network.params, "network", name);
    }
}
