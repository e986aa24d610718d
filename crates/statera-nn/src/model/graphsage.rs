//! GraphSAGE (Hamilton, Ying and Leskovec 2017) over the sampled neighbourhoods of a row's nodes: two layers of its mean aggregator
//! read each of them (`layer::GraphSage`), a dense layer what they made of them and the other columns.
//!
//! Which nodes and what is known of them at the time of the row is the neighbourhood's state, not the model's: the model sees
//! columns, as every model does.

use super::Architecture;
use super::fit::{NetworkParams, estimator};
use super::reader::{ReaderParams, ReaderShape, Sizes};
use crate::input::Input;
use crate::layer::{Columns, GraphSage};
use crate::network::Network;
use crate::params::Params;
use statera_core::{Error, Frame, Model, Result, Rng, Run, Task};

/// The family's name in lists, on the command line and in bundles.
pub const NAME: &str = "graphsage";

/// What the family says where no neighbourhood is declared.
pub fn without_neighbourhood() -> Error {
    Error::request(format!(
        "{NAME} needs a neighbourhood: declare [[network.neighbourhood]] in the project file, or give --edges"
    ))
}

/// The shape of the network: units of both layers of GraphSAGE, and the dense layer.
pub type Shape = Sizes;

impl Shape {
    /// The network with random weights.
    ///
    /// # Errors
    /// An input without neighbourhoods, or with too many columns.
    pub fn build(&self, input: &Input, n_outputs: usize, rng: &mut Rng) -> Result<Network> {
        let (mut params, mut columns, mut rest) = (Params::default(), Columns::default(), input.n_columns());
        let shapes = input.sequences();
        if shapes.is_empty() {
            return Err(without_neighbourhood());
        }
        for (i, shape) in shapes.into_iter().enumerate() {
            let Some(fans) = shape.fans.filter(|_| shape.is_masked) else { return Err(without_neighbourhood()) };
            rest -= shape.n_columns();
            let name = format!("neighbourhood{i}");
            columns = columns.then(Box::new(GraphSage::new(&mut params, rng, &name, fans, shape.width, self.units)?));
        }
        Ok(self.network(params, rng, vec![Box::new(columns.then_same(rest))], n_outputs))
    }
}

impl ReaderShape for Shape {
    const MAY_SCALE_BY_QUANTILES: bool = false;

    fn sizes(&self) -> Sizes {
        *self
    }

    fn with_sizes(self, sizes: Sizes) -> Shape {
        sizes
    }

    fn architecture(self) -> Architecture {
        Architecture::GraphSage(self)
    }

    fn check_frame(&self, frame: &Frame) -> Result<()> {
        if frame.spec.sequences.iter().all(|s| s.fans.is_none()) {
            return Err(without_neighbourhood());
        }
        Ok(())
    }
}

/// Settings of GraphSAGE.
pub type GraphSageParams = ReaderParams<Shape>;

impl Default for GraphSageParams {
    fn default() -> Self {
        ReaderParams::of(Shape::default(), Task::Binary)
    }
}

estimator!(GraphSageParams);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{MlpParams, NetworkModel};
    use statera_core::{Background, Column, Estimator, FeatureSpec, FrameSpec, Parts, Sequence as Declared, metric};

    const FANS: [usize; 2] = [4, 2];
    const N_NODES: usize = 1 + 4 + 8;

    /// Nodes of two columns around a row's node, of which the later ones may not be there, and a column of the row. The target is
    /// whether the mean of the neighbours' sizes, each in the light of whether its own neighbours are good, and the row's column are large.
    fn frame(n: usize, seed: u64) -> Frame {
        let mut rng = Rng::new(seed);
        let mut columns = vec![Vec::new(); 2 * N_NODES + 1];
        let mut target = Vec::new();
        for _ in 0..n {
            let n_there = rng.below(FANS[0] + 1);
            let mut cells = vec![[f64::NAN; 2]; N_NODES];
            cells[0] = [rng.normal(), rng.normal()];
            let mut sum = 0.0;
            for u in 0..n_there {
                cells[1 + u] = [rng.normal(), rng.normal()];
                let own: Vec<f64> = (0..FANS[1])
                    .map(|w| {
                        let value = rng.normal();
                        cells[1 + FANS[0] + u * FANS[1] + w] = [rng.normal(), value];
                        value
                    })
                    .collect();
                let light = own.iter().sum::<f64>() / FANS[1] as f64;
                sum += if cells[1 + u][0] * light > 0.0 { 1.0 } else { -1.0 };
            }
            let plain = rng.normal();
            let mean = sum / n_there.max(1) as f64;
            target.push(f64::from(u8::from(mean + 0.5 * plain > 0.0)));
            cells.iter().flatten().chain([&plain]).zip(&mut columns).for_each(|(cell, column)| column.push(*cell));
        }
        let feature =
            |raw: usize| FeatureSpec { name: format!("x{raw}"), raw, levels: None, sentinels: vec![], monotone: 0 };
        let features: Vec<FeatureSpec> = (0..columns.len()).map(feature).collect();
        let raw_columns = features.iter().map(|f| f.name.clone()).collect();
        let steps = (0..N_NODES).map(|node| vec![2 * node, 2 * node + 1]).collect();
        let sequences = vec![Declared { name: "near".into(), steps, grid: None, fans: Some(FANS) }];
        Frame {
            spec: FrameSpec { features, raw_columns, sequences }.into(),
            n_rows: n,
            columns: columns.into_iter().map(Column::Number).collect(),
            target,
            ..Frame::default()
        }
    }

    fn area(model: &dyn Model, frame: &Frame) -> f64 {
        metric::area(&model.predict(frame).expect("scores").margins, &frame.target, &vec![1.0; frame.n_rows])
    }

    #[test]
    fn learns_what_neighbours_and_theirs_tell_better_than_a_network_of_columns() {
        let (train, valid, test) = (frame(3000, 1), frame(500, 2), frame(1000, 3));
        let columns = area(&*quick_mlp().fit(&train, &valid, &Run::new(1, 2)).expect("it fits"), &test);
        let mut params = GraphSageParams::default().quick();
        (params.train.epochs, params.shape.units) = (30, 32);
        let ours = area(&*params.fit(&train, &valid, &Run::new(1, 2)).expect("it fits"), &test);
        assert!(ours > columns + 0.03 && ours > 0.85, "{ours}, of columns {columns}");
    }

    fn quick_mlp() -> MlpParams {
        let mut params = MlpParams::default();
        params.shape.hidden = vec![64, 64];
        (params.train.batch_rows, params.train.epochs) = (64, 40);
        params
    }

    #[test]
    fn returns_from_its_parts_and_attributions_add_up() {
        let train = frame(300, 1);
        for task in [Task::Binary, Task::Regression] {
            let mut params = GraphSageParams { task, ..Default::default() }.quick();
            params.train.epochs = 2;
            let model = params.fit(&train, &frame(100, 2), &Run::new(1, 2)).expect("it fits");
            let parts = model.save();
            let text = serde_json::to_string(&parts.json).expect("JSON");
            let again = Parts { json: serde_json::from_str(&text).expect("JSON"), ..parts.clone() };
            let again = NetworkModel::load(&again).expect("loads");
            assert_eq!(again.save(), parts);
            let scores = model.predict(&train).expect("scores");
            assert_eq!(again.predict(&train).expect("scores"), scores);
            let alone = model.predict(&train.take(&[17])).expect("scores").margins[0];
            assert_eq!(alone.to_bits(), scores.margins[17].to_bits());
            let rows = train.take(&(0..10).collect::<Vec<_>>());
            let parts = model.attribute(&rows, &Background::default()).expect("parts");
            for row in 0..10 {
                let sum = parts.base[0] + parts.of(row, 0).iter().sum::<f64>() + parts.remainder_of(row, 0);
                assert!((sum - scores.row(row)[0]).abs() < 1e-9, "row {row}");
            }
            let mut damaged = model.save();
            damaged.json["input"]["sequences"][0]["fans"] = serde_json::json!([2, 4]);
            assert!(NetworkModel::load(&damaged).is_err());
            let mut damaged = model.save();
            damaged.json["input"]["sequences"][0]["masks"] = serde_json::json!([[0]]);
            assert!(NetworkModel::load(&damaged).is_err());
        }
    }

    #[test]
    fn refuses_frames_without_a_neighbourhood_and_settings_that_cannot_be() {
        let train = frame(100, 1);
        let fit = |params: &GraphSageParams, sequences: Vec<Declared>| {
            let spec = FrameSpec { sequences, ..(*train.spec).clone() };
            let train = Frame { spec: spec.into(), ..train.clone() };
            let fitted = params.fit(&train, &Frame::default(), &Run::new(1, 1));
            fitted.err().map(|e| e.to_string()).unwrap_or_default()
        };
        let quick = GraphSageParams::default().quick();
        let own = train.spec.sequences[0].clone();
        let wide = GraphSageParams { shape: Shape { units: 0, ..quick.shape }, ..quick.clone() };
        let cases = [
            (fit(&quick, vec![]), "graphsage needs a neighbourhood: declare [[network.neighbourhood]]"),
            (fit(&quick, vec![Declared { fans: None, ..own.clone() }]), "graphsage needs a neighbourhood"),
            (
                fit(&quick, vec![Declared { fans: Some([3, 2]), ..own.clone() }]),
                "sequence «near»: 13 nodes; 2 neighbours of each of 3 do not fit",
            ),
            (fit(&wide, vec![own]), "units is 0; allowed: 1 to 4096"),
        ];
        for (message, expected) in cases {
            assert!(message.contains(expected), "«{message}», expected «{expected}»");
        }
    }
}
