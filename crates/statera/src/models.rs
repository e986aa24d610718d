//! The model families that can be trained. Adding one is its file and one line in [`MODELS`].

use statera_core::{Error, Estimator, Model, Parts, Result, Task};
use statera_learn::{gbdt, linear, scorecard};
use statera_nn::model::sequence::{self, Reader, SequenceParams};
use statera_nn::model::{
    AutoencoderModel, AutoencoderParams, NetworkModel, autoencoder, mlp, realmlp, tabm, transformer,
};

/// Makes a learner with its default settings; the text is a `bins.toml` edited by the bank.
pub type MakeEstimator = fn(Task, Option<&str>) -> Result<Box<dyn Estimator>>;

/// A family of models.
pub struct ModelFamily {
    /// Name on the command line and in files.
    pub name: &'static str,
    /// Name in tables and reports.
    pub title: &'static str,
    /// What it is, in one sentence.
    pub about: &'static str,
    /// True if it is tried without being asked for.
    pub fast: bool,
    /// Rank by how easily a person follows its decisions; 1 is the simplest.
    pub complexity: u8,
    /// True if the final model averages the fold models; false if it is refitted once on all rows.
    pub bags: bool,
    /// True if it reads the steps of sequences and has nothing to read without one.
    pub needs_sequence: bool,
    /// True if it can do the task.
    pub does: fn(Task) -> bool,
    /// Its learner.
    pub estimator: MakeEstimator,
    /// A smaller learner of the family that fits in a moment, where its usual one does not.
    pub quick: Option<MakeEstimator>,
    /// Loads what [`Model::save`] wrote; every index and size is checked.
    pub load: fn(&Parts) -> Result<Box<dyn Model>>,
}

/// Every family, the simplest first.
pub const MODELS: &[ModelFamily] = &[
    ModelFamily {
        name: scorecard::NAME,
        title: "Scorecard",
        about: "points per bin of each column, on a card that fits a page",
        fast: true,
        complexity: 1,
        bags: false,
        needs_sequence: false,
        does: |task| task == Task::Binary,
        estimator: |task, bins| {
            let bins = bins.map(scorecard::BinsFile::parse).transpose()?;
            Ok(Box::new(scorecard::ScorecardParams { task, bins, ..Default::default() }))
        },
        quick: None,
        load: |parts| Ok(Box::new(scorecard::ScorecardModel::load(parts)?)),
    },
    ModelFamily {
        name: linear::NAME,
        title: "Logistic regression",
        about: "a weighted sum of scaled columns with a ridge penalty (linear or softmax for other tasks)",
        fast: true,
        complexity: 2,
        bags: false,
        needs_sequence: false,
        does: |_| true,
        estimator: |task, _| Ok(Box::new(linear::LinearParams { task, ..Default::default() })),
        quick: None,
        load: |parts| Ok(Box::new(linear::LinearModel::load(parts)?)),
    },
    ModelFamily {
        name: gbdt::NAME,
        title: "Gradient boosting",
        about: "hundreds of small trees, each correcting those before; the strongest default on credit tables",
        fast: true,
        complexity: 3,
        bags: true,
        needs_sequence: false,
        does: |_| true,
        estimator: |task, _| Ok(Box::new(gbdt::GbdtParams { task, ..Default::default() })),
        quick: None,
        load: gbdt::load,
    },
    ModelFamily {
        name: mlp::NAME,
        title: "Neural network",
        about: "two dense layers on columns scaled by their quantiles",
        fast: false,
        complexity: 4,
        bags: true,
        needs_sequence: false,
        does: |_| true,
        estimator: |task, _| Ok(Box::new(mlp::MlpParams { task, ..Default::default() })),
        quick: Some(|task, _| Ok(Box::new(mlp::MlpParams::quick(task)))),
        load: |parts| Ok(Box::new(NetworkModel::load(parts)?)),
    },
    ModelFamily {
        name: realmlp::NAME,
        title: "RealMLP",
        about: "three dense layers with embeddings of numbers and a tuned way of training",
        fast: false,
        complexity: 5,
        bags: true,
        needs_sequence: false,
        does: |_| true,
        estimator: |task, _| Ok(Box::new(realmlp::RealMlpParams { task, ..Default::default() })),
        quick: Some(|task, _| Ok(Box::new(realmlp::RealMlpParams { task, ..Default::default() }.quick()))),
        load: |parts| Ok(Box::new(NetworkModel::load(parts)?)),
    },
    ModelFamily {
        name: tabm::NAME_MINI,
        title: "TabM-mini",
        about: "32 neural networks in one that share all but their first scaling and their last layer",
        fast: false,
        complexity: 6,
        bags: true,
        needs_sequence: false,
        does: |_| true,
        estimator: |task, _| Ok(Box::new(tabm::TabmParams::mini(task))),
        quick: Some(|task, _| Ok(Box::new(tabm::TabmParams::mini(task).quick()))),
        load: |parts| Ok(Box::new(NetworkModel::load(parts)?)),
    },
    ModelFamily {
        name: tabm::NAME,
        title: "TabM",
        about: "32 neural networks in one that share their weight matrices; often the most accurate, and the slowest to fit",
        fast: false,
        complexity: 7,
        bags: true,
        needs_sequence: false,
        does: |_| true,
        estimator: |task, _| Ok(Box::new(tabm::TabmParams { task, ..Default::default() })),
        quick: Some(|task, _| Ok(Box::new(tabm::TabmParams { task, ..Default::default() }.quick()))),
        load: |parts| Ok(Box::new(NetworkModel::load(parts)?)),
    },
    ModelFamily {
        name: sequence::CNN,
        title: "Convolutional network",
        about: "convolutions over the steps of declared sequences beside the other columns; needs a [sequence.NAME]",
        fast: false,
        complexity: 8,
        bags: true,
        needs_sequence: true,
        does: |_| true,
        estimator: |task, _| Ok(Box::new(SequenceParams::new(Reader::Cnn, task))),
        quick: Some(|task, _| Ok(Box::new(SequenceParams::new(Reader::Cnn, task).quick()))),
        load: |parts| Ok(Box::new(NetworkModel::load(parts)?)),
    },
    ModelFamily {
        name: sequence::GRU,
        title: "GRU",
        about: "gated recurrent units that read declared sequences step by step beside the other columns; needs a [sequence.NAME]",
        fast: false,
        complexity: 9,
        bags: true,
        needs_sequence: true,
        does: |_| true,
        estimator: |task, _| Ok(Box::new(SequenceParams::new(Reader::Gru, task))),
        quick: Some(|task, _| Ok(Box::new(SequenceParams::new(Reader::Gru, task).quick()))),
        load: |parts| Ok(Box::new(NetworkModel::load(parts)?)),
    },
    ModelFamily {
        name: sequence::LSTM,
        title: "LSTM",
        about: "long short-term memory that reads declared sequences step by step beside the other columns; needs a [sequence.NAME]",
        fast: false,
        complexity: 10,
        bags: true,
        needs_sequence: true,
        does: |_| true,
        estimator: |task, _| Ok(Box::new(SequenceParams::new(Reader::Lstm, task))),
        quick: Some(|task, _| Ok(Box::new(SequenceParams::new(Reader::Lstm, task).quick()))),
        load: |parts| Ok(Box::new(NetworkModel::load(parts)?)),
    },
    ModelFamily {
        name: transformer::NAME,
        title: "Transformer",
        about: "attention between columns, each a token; slow to fit",
        fast: false,
        complexity: 11,
        bags: true,
        needs_sequence: false,
        does: |_| true,
        estimator: |task, _| Ok(Box::new(transformer::TransformerParams { task, ..Default::default() })),
        quick: Some(|task, _| Ok(Box::new(transformer::TransformerParams { task, ..Default::default() }.quick()))),
        load: |parts| Ok(Box::new(NetworkModel::load(parts)?)),
    },
    ModelFamily {
        name: autoencoder::NAME,
        title: "Autoencoder",
        about: "how badly a network rebuilds a row that it has squeezed: an anomaly score that never learns the target",
        fast: false,
        complexity: 12,
        bags: true,
        needs_sequence: false,
        does: autoencoder::does,
        estimator: |_, _| Ok(Box::new(AutoencoderParams::default())),
        quick: Some(|_, _| Ok(Box::new(AutoencoderParams::default().quick()))),
        load: |parts| Ok(Box::new(AutoencoderModel::load(parts)?)),
    },
];

impl ModelFamily {
    /// Its name in tables for a task: the linear model is no logistic regression where a number is predicted.
    pub fn title_for(&self, task: Task) -> &'static str {
        if self.name == linear::NAME && task == Task::Regression { "Ridge regression" } else { self.title }
    }
}

/// The family of that name.
///
/// # Errors
/// An unknown name; the message lists what there is.
pub fn family(name: &str) -> Result<&'static ModelFamily> {
    MODELS.iter().find(|m| m.name == name).ok_or_else(|| {
        let names: Vec<&str> = MODELS.iter().map(|m| m.name).collect();
        Error::request(format!("no model «{name}»; there are {}, and all", names.join(", ")))
    })
}

/// The candidates for a task: those named, `all` that can do it with the declared sequences, or the fast ones of them when
/// none is named.
///
/// # Errors
/// An unknown name, or a family that cannot do the task or needs a sequence where none is declared.
pub fn candidates(names: &[String], task: Task, has_sequence: bool) -> Result<Vec<&'static ModelFamily>> {
    let can = |m: &&ModelFamily| (m.does)(task) && (has_sequence || !m.needs_sequence);
    if names.is_empty() {
        return Ok(MODELS.iter().filter(|m| m.fast && can(m)).collect());
    }
    if names.iter().any(|n| n == "all") {
        return Ok(MODELS.iter().filter(can).collect());
    }
    let mut chosen: Vec<&'static ModelFamily> = Vec::new();
    for name in names {
        let found = family(name)?;
        if !(found.does)(task) {
            return Err(Error::request(format!(
                "model «{name}» cannot predict {}; leave it out of --models",
                task_title(task)
            )));
        }
        if found.needs_sequence && !has_sequence {
            return Err(sequence::without_sequence(name));
        }
        if !chosen.iter().any(|m| m.name == found.name) {
            chosen.push(found);
        }
    }
    chosen.sort_by_key(|m| m.complexity);
    Ok(chosen)
}

/// A task in words.
pub fn task_title(task: Task) -> String {
    match task {
        Task::Binary => "one of two classes".into(),
        Task::Classes(k) => format!("one of {k} classes"),
        Task::Regression => "a number".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_that_read_sequences_are_candidates_where_one_is_declared() {
        let names = |given: &[&str], has_sequence| {
            let given: Vec<String> = given.iter().map(|n| n.to_string()).collect();
            candidates(&given, Task::Binary, has_sequence).map(|c| c.iter().map(|m| m.name).collect::<Vec<_>>())
        };
        let all = names(&["all"], true).expect("all");
        assert_eq!(all.len(), MODELS.len());
        let plain = names(&["all"], false).expect("all");
        assert!(plain.contains(&"mlp") && !["cnn", "gru", "lstm"].iter().any(|n| plain.contains(n)), "{plain:?}");
        assert_eq!(names(&[], true).expect("fast"), names(&[], false).expect("fast"));
        assert_eq!(names(&["lstm", "mlp"], true).expect("named"), ["mlp", "lstm"]);
        let error = names(&["mlp", "lstm"], false).expect_err("no sequence");
        assert!(error.is_request());
        let expected = "lstm needs a sequence: declare [sequence.NAME] steps = [[…], […]] in the project file";
        assert_eq!(error.to_string(), expected);
    }
}
