//! GraphSAGE (Hamilton, Ying and Leskovec 2017) over the sampled neighbourhoods of a row's nodes: two layers of its mean aggregator
//! read each of them (`layer::GraphSage`), a dense layer what they made of them and the other columns.
//!
//! Which nodes and what is known of them at the time of the row is the neighbourhood's state, not the model's: the model sees
//! columns, as every model does.

use super::Architecture;
use super::fit::{NetworkParams, Recipe, estimator, fit};
use crate::activation::Activation;
use crate::input::{Input, Scaling};
use crate::layer::{Columns, Dense, Dropout, GraphSage, Layer, Sequential};
use crate::loss::Loss;
use crate::network::Network;
use crate::params::Params;
use crate::train::TrainParams;
use serde::{Deserialize, Serialize};
use statera_core::{Dimension, Error, Frame, Model, Point, Result, Rng, Run, Task};

/// The family's name in lists, on the command line and in bundles.
pub const NAME: &str = "graphsage";

/// Most units of a layer.
const MOST_UNITS: usize = 4096;
/// Rows that a fit sees at most, each as often as there are epochs …
const MOST_ROWS_SEEN: usize = 2_000_000;
/// … but every row this often.
const LEAST_EPOCHS: usize = 5;

/// What the family says where no neighbourhood is declared.
pub fn without_neighbourhood() -> Error {
    Error::request(format!(
        "{NAME} needs a neighbourhood: declare [[network.neighbourhood]] in the project file, or give --edges"
    ))
}

/// The shape of the network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shape {
    /// Units of both layers of GraphSAGE, 1 to 4096.
    pub units: usize,
    /// Width of the dense layer, 1 to 4096.
    pub hidden: usize,
    /// Share of the dense layer's numbers that are dropped in training, in [0, 1).
    pub dropout: f32,
}

impl Shape {
    /// Refuses shapes outside the allowed ranges.
    ///
    /// # Errors
    /// A request error that names the value and the range.
    pub fn check(&self) -> Result<()> {
        for (name, value) in [("units", self.units), ("hidden", self.hidden)] {
            if !(1..=MOST_UNITS).contains(&value) {
                return Err(Error::request(format!("{name} is {value}; allowed: 1 to {MOST_UNITS}")));
            }
        }
        if !(0.0..1.0).contains(&self.dropout) {
            return Err(Error::request(format!("dropout is {}; allowed: 0 to below 1", self.dropout)));
        }
        Ok(())
    }

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
        let columns = columns.then_same(rest);
        let (n_read, hidden) = (columns.n_out(), self.hidden);
        let dense = Dense::new(&mut params, rng, "hidden", n_read, hidden, Activation::Relu);
        let mut layers: Vec<Box<dyn Layer>> = vec![Box::new(columns), Box::new(dense)];
        if self.dropout > 0.0 {
            layers.push(Box::new(Dropout::new(hidden, self.dropout, 0)));
        }
        layers.push(Box::new(Dense::new(&mut params, rng, "output", hidden, n_outputs, Activation::Identity)));
        Ok(Network { params, layer: Box::new(Sequential::new(layers)), n_members: 1 })
    }
}

/// Settings of GraphSAGE.
#[derive(Debug, Clone, PartialEq)]
pub struct GraphSageParams {
    /// What is predicted. Default: binary.
    pub task: Task,
    /// The network. Default: 64 units in both layers, then 64 rectified units with dropout 0.2.
    pub shape: Shape,
    /// How numbers are scaled, a feature alike for all nodes. Default: minus the mean, by the standard deviation.
    pub scaling: Scaling,
    /// `None`, the default, for the task's: cross-entropy or squared error.
    pub loss: Option<Loss>,
    /// How it is trained. Default: as [`super::MlpParams`]. Of many rows a fit has fewer epochs: it sees two million rows, and all
    /// rows five times.
    pub train: TrainParams,
}

impl Default for GraphSageParams {
    fn default() -> Self {
        GraphSageParams {
            task: Task::Binary,
            shape: Shape { units: 64, hidden: 64, dropout: 0.2 },
            scaling: Scaling::Standard,
            loss: None,
            train: super::MlpParams::default().train,
        }
    }
}

/// What a search may change.
const SPACE: [Dimension; 5] = [
    Dimension::whole_log("units", 16, 256, 64),
    Dimension::whole_log("hidden", 16, 256, 64),
    Dimension::real_or_zero("dropout", 0.05, 0.5, 0.2),
    Dimension::log("learning_rate", 1e-4, 1e-2, 1e-3),
    Dimension::log_or_zero("weight_decay", 1e-6, 0.1, 1e-2),
];

impl GraphSageParams {
    /// The settings that a search may change.
    pub fn space(_: Task) -> Vec<Dimension> {
        SPACE.to_vec()
    }

    /// The learner at a point of [`GraphSageParams::space`].
    pub fn at(task: Task, point: &Point) -> GraphSageParams {
        let mut params = GraphSageParams { task, ..GraphSageParams::default() };
        (params.shape.units, params.shape.hidden) = (point.whole("units"), point.whole("hidden"));
        params.shape.dropout = point.real("dropout") as f32;
        params.train.learning_rate = point.real("learning_rate");
        params.train.weight_decay = point.real("weight_decay");
        params
    }

    /// The same with a smaller network and few epochs: fits in a moment, to try things out.
    #[must_use]
    pub fn quick(mut self) -> GraphSageParams {
        (self.shape.units, self.shape.hidden) = (16, 16);
        (self.train.batch_rows, self.train.learning_rate, self.train.epochs) = (64, 5e-3, 8);
        self
    }
}

impl NetworkParams for GraphSageParams {
    fn learn(&self, train: &Frame, valid: &Frame, run: &Run) -> Result<Box<dyn Model>> {
        self.shape.check()?;
        if train.spec.sequences.iter().all(|s| s.fans.is_none()) {
            return Err(without_neighbourhood());
        }
        let most_epochs = (MOST_ROWS_SEEN / train.n_rows.max(1)).max(LEAST_EPOCHS);
        let epochs = self.train.epochs.min(most_epochs);
        let recipe = Recipe {
            task: self.task,
            architecture: Architecture::GraphSage(self.shape.clone()),
            scaling: self.scaling,
            embed_above: usize::MAX,
            loss: self.loss.clone(),
            train: TrainParams { epochs, ..self.train.clone() },
        };
        fit(&recipe, train, valid, run)
    }

    fn training(&mut self) -> &mut TrainParams {
        &mut self.train
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
        let wide = GraphSageParams { shape: Shape { units: 0, ..quick.shape.clone() }, ..quick.clone() };
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
