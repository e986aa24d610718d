//! The model families that can be trained. Adding one is its file and one line in [`MODELS`].

use crate::anomaly;
use crate::segment::CodeClusterModel;
use statera_core::{Dimension, Error, Estimator, Model, Parts, Point, Result, Task};
use statera_learn::cluster::ClusterModel;
use statera_learn::{gbdt, isolation, linear, scorecard};
use statera_nn::model::sequence::{self, Reader, SequenceParams};
use statera_nn::model::{
    AutoencoderModel, AutoencoderParams, GraphSageParams, NetworkModel, autoencoder, graphsage, mlp, realmlp, tabm,
    transformer,
};

/// Makes a learner with its default settings; the text is a `bins.toml` edited by the bank.
pub type MakeEstimator = fn(Task, Option<&str>) -> Result<Box<dyn Estimator>>;

/// Loads a saved model.
pub type Load = fn(&Parts) -> Result<Box<dyn Model>>;

/// Makes the learner at a point of its space, with the bank's `bins.toml`.
pub type MakeAt = fn(Task, Option<&str>, &Point) -> Result<Box<dyn Estimator>>;

/// What a search may change of a family's settings.
pub struct Tuning {
    /// The settings for a task; none where there is nothing to search.
    pub space: fn(Task) -> Vec<Dimension>,
    /// The learner at a point; at the defaults of the space it is the family's.
    pub at: MakeAt,
}

/// How a final model is made once the folds are fitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Last {
    /// One fit on all rows.
    Refit,
    /// The average of the fold models.
    FoldModels,
    /// The average of as many fits on all rows as there are folds, which differ by their seeds; where the rows are more than
    /// [`MANY_ROWS`], that of the fold models: the rows that a fold holds back are missed less there, and fits take longer.
    Seeds,
}

/// What a family cannot do without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// Columns are enough.
    Nothing,
    /// The steps of a sequence, or the points of an image.
    Sequence,
    /// The nodes of a neighbourhood.
    Neighbourhood,
}

/// See [`Last::Seeds`].
pub const MANY_ROWS: usize = 10_000;

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
    /// How the final model is made once the folds are fitted.
    pub last: Last,
    /// What it reads and has nothing to read without.
    pub needs: Needs,
    /// True if it can promise that risk rises or falls with a number.
    pub keeps_directions: bool,
    /// True if it can do the task.
    pub does: fn(Task) -> bool,
    /// Its learner.
    pub estimator: MakeEstimator,
    /// A smaller learner of the family that fits in a moment, where its usual one does not.
    pub quick: Option<MakeEstimator>,
    /// What a search may change; `None` if nothing.
    pub tuning: Option<Tuning>,
    /// Loads what [`Model::save`] wrote; every index and size is checked.
    pub load: Load,
}

/// The scorecard's name among [`MODELS`].
pub const SCORECARD: &str = scorecard::NAME;
/// Boosting's.
pub const BOOSTING: &str = gbdt::NAME;

/// Every family, the simplest first.
pub const MODELS: &[ModelFamily] = &[
    ModelFamily {
        name: scorecard::NAME,
        title: "Scorecard",
        about: "points per bin of each column, on a card that fits a page",
        fast: true,
        complexity: 1,
        last: Last::Refit,
        needs: Needs::Nothing,
        keeps_directions: true,
        does: |task| task == Task::Binary,
        estimator: |task, bins| {
            let bins = bins.map(scorecard::BinsFile::parse).transpose()?;
            Ok(Box::new(scorecard::ScorecardParams { task, bins, ..Default::default() }))
        },
        quick: None,
        tuning: Some(Tuning {
            space: scorecard::ScorecardParams::space,
            at: |task, bins, point| {
                let bins = bins.map(scorecard::BinsFile::parse).transpose()?;
                Ok(Box::new(scorecard::ScorecardParams::at(task, bins, point)))
            },
        }),
        load: |parts| Ok(Box::new(scorecard::ScorecardModel::load(parts)?)),
    },
    ModelFamily {
        name: linear::NAME,
        title: "Logistic regression",
        about: "a weighted sum of scaled columns with a ridge penalty (linear or softmax for other tasks)",
        fast: true,
        complexity: 2,
        last: Last::Refit,
        needs: Needs::Nothing,
        keeps_directions: true,
        does: |_| true,
        estimator: |task, _| Ok(Box::new(linear::LinearParams { task, ..Default::default() })),
        quick: None,
        tuning: Some(Tuning {
            space: linear::LinearParams::space,
            at: |task, _, point| Ok(Box::new(linear::LinearParams::at(task, point))),
        }),
        load: |parts| Ok(Box::new(linear::LinearModel::load(parts)?)),
    },
    ModelFamily {
        name: gbdt::NAME,
        title: "Gradient boosting",
        about: "hundreds of small trees, each correcting those before; the strongest default on credit tables",
        fast: true,
        complexity: 3,
        last: Last::FoldModels,
        needs: Needs::Nothing,
        keeps_directions: true,
        does: |_| true,
        estimator: |task, _| Ok(Box::new(gbdt::GbdtParams { task, ..Default::default() })),
        quick: None,
        tuning: Some(Tuning {
            space: gbdt::GbdtParams::space,
            at: |task, _, point| Ok(Box::new(gbdt::GbdtParams::at(task, point))),
        }),
        load: gbdt::load,
    },
    ModelFamily {
        name: gbdt::NAME_RARE,
        title: "Gradient boosting for rare events",
        about: "boosting of small trees that see few columns each, events weighing ten times as much",
        fast: false,
        complexity: 4,
        last: Last::Refit,
        needs: Needs::Nothing,
        keeps_directions: true,
        does: |task| task == Task::Binary,
        estimator: |_, _| Ok(Box::new(gbdt::GbdtParams::rare())),
        quick: None,
        tuning: None,
        load: gbdt::load,
    },
    ModelFamily {
        name: isolation::BOOSTED,
        title: "Gradient boosting with an anomaly score",
        about: "boosting that reads the score of an isolation forest beside the columns",
        fast: false,
        complexity: 5,
        last: Last::FoldModels,
        needs: Needs::Nothing,
        keeps_directions: false,
        does: isolation::does,
        estimator: |_, _| Ok(Box::new(isolation::BoostedParams::default())),
        quick: None,
        tuning: None,
        load: |parts| Ok(Box::new(isolation::BoostedModel::load(parts)?)),
    },
    ModelFamily {
        name: anomaly::BOOSTED,
        title: "Gradient boosting with an autoencoder's score",
        about: "boosting that reads beside the columns how badly an autoencoder rebuilds the row",
        fast: false,
        complexity: 6,
        last: Last::FoldModels,
        needs: Needs::Nothing,
        keeps_directions: false,
        does: autoencoder::does,
        estimator: |_, _| Ok(Box::new(anomaly::BoostedParams::default())),
        quick: Some(|_, _| {
            let detector = anomaly::Autoencoding::default().quick();
            Ok(Box::new(anomaly::BoostedParams { detector, ..Default::default() }))
        }),
        tuning: None,
        load: |parts| Ok(Box::new(anomaly::BoostedModel::load(parts)?)),
    },
    ModelFamily {
        name: mlp::NAME_TUTORIAL,
        title: "Tutorial network",
        about: "the network of the usual tutorials: dense layers of 64 and 32, Adam, batches of 32, 10 epochs",
        fast: false,
        complexity: 3,
        last: Last::Seeds,
        needs: Needs::Nothing,
        keeps_directions: false,
        does: |_| true,
        estimator: |task, _| Ok(Box::new(mlp::MlpParams::tutorial(task))),
        quick: None,
        tuning: None,
        load: |parts| Ok(Box::new(NetworkModel::load(parts)?)),
    },
    ModelFamily {
        name: mlp::NAME,
        title: "Neural network",
        about: "two dense layers on columns scaled by their quantiles",
        fast: false,
        complexity: 4,
        last: Last::Seeds,
        needs: Needs::Nothing,
        keeps_directions: false,
        does: |_| true,
        estimator: |task, _| Ok(Box::new(mlp::MlpParams { task, ..Default::default() })),
        quick: Some(|task, _| Ok(Box::new(mlp::MlpParams::quick(task)))),
        tuning: Some(Tuning {
            space: mlp::MlpParams::space,
            at: |task, _, point| Ok(Box::new(mlp::MlpParams::at(task, point))),
        }),
        load: |parts| Ok(Box::new(NetworkModel::load(parts)?)),
    },
    ModelFamily {
        name: realmlp::NAME,
        title: "RealMLP",
        about: "three dense layers with embeddings of numbers and a tuned way of training",
        fast: false,
        complexity: 5,
        last: Last::Seeds,
        needs: Needs::Nothing,
        keeps_directions: false,
        does: |_| true,
        estimator: |task, _| Ok(Box::new(realmlp::RealMlpParams { task, ..Default::default() })),
        quick: Some(|task, _| Ok(Box::new(realmlp::RealMlpParams { task, ..Default::default() }.quick()))),
        tuning: Some(Tuning {
            space: realmlp::RealMlpParams::space,
            at: |task, _, point| Ok(Box::new(realmlp::RealMlpParams::at(task, point))),
        }),
        load: |parts| Ok(Box::new(NetworkModel::load(parts)?)),
    },
    ModelFamily {
        name: tabm::NAME_MINI,
        title: "TabM-mini",
        about: "32 neural networks in one that share all but their first scaling and their last layer",
        fast: false,
        complexity: 6,
        last: Last::Seeds,
        needs: Needs::Nothing,
        keeps_directions: false,
        does: |_| true,
        estimator: |task, _| Ok(Box::new(tabm::TabmParams::mini(task))),
        quick: Some(|task, _| Ok(Box::new(tabm::TabmParams::mini(task).quick()))),
        tuning: Some(Tuning {
            space: tabm::TabmParams::space,
            at: |task, _, point| Ok(Box::new(tabm::TabmParams::mini(task).at(point))),
        }),
        load: |parts| Ok(Box::new(NetworkModel::load(parts)?)),
    },
    ModelFamily {
        name: tabm::NAME,
        title: "TabM",
        about: "32 neural networks in one that share their weight matrices; often the most accurate, and the slowest to fit",
        fast: false,
        complexity: 7,
        last: Last::Seeds,
        needs: Needs::Nothing,
        keeps_directions: false,
        does: |_| true,
        estimator: |task, _| Ok(Box::new(tabm::TabmParams { task, ..Default::default() })),
        quick: Some(|task, _| Ok(Box::new(tabm::TabmParams { task, ..Default::default() }.quick()))),
        tuning: Some(Tuning {
            space: tabm::TabmParams::space,
            at: |task, _, point| Ok(Box::new(tabm::TabmParams { task, ..Default::default() }.at(point))),
        }),
        load: |parts| Ok(Box::new(NetworkModel::load(parts)?)),
    },
    ModelFamily {
        name: sequence::CNN,
        title: "Convolutional network",
        about: "convolutions over images and over the steps of declared sequences, beside the other columns; needs an [image.NAME] or a [sequence.NAME]",
        fast: false,
        complexity: 8,
        last: Last::Seeds,
        needs: Needs::Sequence,
        keeps_directions: false,
        does: |_| true,
        estimator: |task, _| Ok(Box::new(SequenceParams::new(Reader::Cnn, task))),
        quick: Some(|task, _| Ok(Box::new(SequenceParams::new(Reader::Cnn, task).quick()))),
        tuning: Some(Tuning {
            space: SequenceParams::space,
            at: |task, _, point| Ok(Box::new(SequenceParams::new(Reader::Cnn, task).at(point))),
        }),
        load: |parts| Ok(Box::new(NetworkModel::load(parts)?)),
    },
    ModelFamily {
        name: sequence::GRU,
        title: "GRU",
        about: "gated recurrent units that read declared sequences step by step beside the other columns; needs a [sequence.NAME]",
        fast: false,
        complexity: 9,
        last: Last::Seeds,
        needs: Needs::Sequence,
        keeps_directions: false,
        does: |_| true,
        estimator: |task, _| Ok(Box::new(SequenceParams::new(Reader::Gru, task))),
        quick: Some(|task, _| Ok(Box::new(SequenceParams::new(Reader::Gru, task).quick()))),
        tuning: Some(Tuning {
            space: SequenceParams::space,
            at: |task, _, point| Ok(Box::new(SequenceParams::new(Reader::Gru, task).at(point))),
        }),
        load: |parts| Ok(Box::new(NetworkModel::load(parts)?)),
    },
    ModelFamily {
        name: sequence::LSTM,
        title: "LSTM",
        about: "long short-term memory that reads declared sequences step by step beside the other columns; needs a [sequence.NAME]",
        fast: false,
        complexity: 10,
        last: Last::Seeds,
        needs: Needs::Sequence,
        keeps_directions: false,
        does: |_| true,
        estimator: |task, _| Ok(Box::new(SequenceParams::new(Reader::Lstm, task))),
        quick: Some(|task, _| Ok(Box::new(SequenceParams::new(Reader::Lstm, task).quick()))),
        tuning: Some(Tuning {
            space: SequenceParams::space,
            at: |task, _, point| Ok(Box::new(SequenceParams::new(Reader::Lstm, task).at(point))),
        }),
        load: |parts| Ok(Box::new(NetworkModel::load(parts)?)),
    },
    ModelFamily {
        name: sequence::ATTENTION,
        title: "Attention over steps",
        about: "a small transformer over the steps of declared sequences, asked by the row's other columns; needs a [sequence.NAME]",
        fast: false,
        complexity: 11,
        last: Last::Seeds,
        needs: Needs::Sequence,
        keeps_directions: false,
        does: |_| true,
        estimator: |task, _| Ok(Box::new(SequenceParams::new(Reader::Attention, task))),
        quick: Some(|task, _| Ok(Box::new(SequenceParams::new(Reader::Attention, task).quick()))),
        tuning: Some(Tuning {
            space: SequenceParams::space,
            at: |task, _, point| Ok(Box::new(SequenceParams::new(Reader::Attention, task).at(point))),
        }),
        load: |parts| Ok(Box::new(NetworkModel::load(parts)?)),
    },
    ModelFamily {
        name: graphsage::NAME,
        title: "GraphSAGE",
        about: "two layers that read a node, its sampled neighbours and theirs, beside the other columns; needs a [[network.neighbourhood]]",
        fast: false,
        complexity: 12,
        last: Last::Seeds,
        needs: Needs::Neighbourhood,
        keeps_directions: false,
        does: |_| true,
        estimator: |task, _| Ok(Box::new(GraphSageParams { task, ..Default::default() })),
        quick: Some(|task, _| Ok(Box::new(GraphSageParams { task, ..Default::default() }.quick()))),
        tuning: Some(Tuning {
            space: GraphSageParams::space,
            at: |task, _, point| Ok(Box::new(GraphSageParams { task, ..Default::default() }.at(point))),
        }),
        load: |parts| Ok(Box::new(NetworkModel::load(parts)?)),
    },
    ModelFamily {
        name: transformer::NAME,
        title: "Transformer",
        about: "attention between columns, each a token; slow to fit",
        fast: false,
        complexity: 13,
        last: Last::Seeds,
        needs: Needs::Nothing,
        keeps_directions: false,
        does: |_| true,
        estimator: |task, _| Ok(Box::new(transformer::TransformerParams { task, ..Default::default() })),
        quick: Some(|task, _| Ok(Box::new(transformer::TransformerParams { task, ..Default::default() }.quick()))),
        tuning: Some(Tuning {
            space: transformer::TransformerParams::space,
            at: |task, _, point| Ok(Box::new(transformer::TransformerParams::at(task, point))),
        }),
        load: |parts| Ok(Box::new(NetworkModel::load(parts)?)),
    },
    ModelFamily {
        name: isolation::NAME,
        title: "Isolation forest",
        about: "how few random cuts set a row apart from others: an anomaly score that never learns the target",
        fast: false,
        complexity: 14,
        last: Last::Refit,
        needs: Needs::Nothing,
        keeps_directions: false,
        does: isolation::does,
        estimator: |_, _| Ok(Box::new(isolation::IsolationParams::default())),
        quick: None,
        tuning: None,
        load: |parts| Ok(Box::new(isolation::IsolationModel::load(parts)?)),
    },
    ModelFamily {
        name: autoencoder::NAME,
        title: "Autoencoder",
        about: "how badly a network rebuilds a row that it has squeezed: an anomaly score that never learns the target",
        fast: false,
        complexity: 15,
        last: Last::FoldModels,
        needs: Needs::Nothing,
        keeps_directions: false,
        does: autoencoder::does,
        estimator: |_, _| Ok(Box::new(AutoencoderParams::default())),
        quick: Some(|_, _| Ok(Box::new(AutoencoderParams::default().quick()))),
        tuning: None,
        load: |parts| Ok(Box::new(AutoencoderModel::load(parts)?)),
    },
];

/// A way to find segments, without an outcome.
pub struct Clustering {
    /// Name on the command line and in files.
    pub name: &'static str,
    /// Name in tables.
    pub title: &'static str,
    /// What it is, in one sentence.
    pub about: &'static str,
    /// What chooses the number of clusters.
    pub criterion: &'static str,
    /// True if it groups the codes of an autoencoder, false if it groups the columns themselves.
    pub on_code: bool,
    /// Loads what [`Model::save`] wrote.
    pub load: Load,
}

/// Chooses the number of clusters of k-means.
pub const SILHOUETTE: &str = "silhouette";
/// Chooses the number of components of a mixture.
pub const BIC: &str = "BIC";

/// Every clustering, the simplest first.
pub const CLUSTERINGS: &[Clustering] = &[
    Clustering {
        name: ClusterModel::KMEANS,
        title: "k-means",
        about: "each row belongs to the nearest of k middles",
        criterion: SILHOUETTE,
        on_code: false,
        load: |parts| Ok(Box::new(ClusterModel::load(parts)?)),
    },
    Clustering {
        name: ClusterModel::GMM,
        title: "Gaussian mixture",
        about: "each row has a probability of each of k normal distributions",
        criterion: BIC,
        on_code: false,
        load: |parts| Ok(Box::new(ClusterModel::load(parts)?)),
    },
    Clustering {
        name: CodeClusterModel::KMEANS,
        title: "k-means on codes",
        about: "k-means on what an autoencoder squeezes a row into",
        criterion: SILHOUETTE,
        on_code: true,
        load: |parts| Ok(Box::new(CodeClusterModel::load(parts)?)),
    },
    Clustering {
        name: CodeClusterModel::GMM,
        title: "Gaussian mixture on codes",
        about: "a Gaussian mixture on what an autoencoder squeezes a row into",
        criterion: BIC,
        on_code: true,
        load: |parts| Ok(Box::new(CodeClusterModel::load(parts)?)),
    },
];

/// The clusterings of those names; those on columns where none is named.
///
/// # Errors
/// An unknown name; the message lists what there is.
pub fn clusterings(names: &[String]) -> Result<Vec<&'static Clustering>> {
    let known: Vec<&str> = CLUSTERINGS.iter().map(|c| c.name).collect();
    if let Some(name) = names.iter().find(|n| *n != "all" && !known.contains(&n.as_str())) {
        let known = known.join(", ");
        return Err(Error::request(format!("«{name}» finds no segments; allowed are {known}, and all")));
    }
    let is_named =
        |c: &&Clustering| names.iter().any(|n| n == "all" || n == c.name) || (names.is_empty() && !c.on_code);
    Ok(CLUSTERINGS.iter().filter(is_named).collect())
}

/// The name and the loader of a stored model, of whichever list.
pub fn stored(name: &str) -> Option<(&'static str, Load)> {
    let family = MODELS.iter().find(|m| m.name == name).map(|m| (m.name, m.load));
    family.or_else(|| CLUSTERINGS.iter().find(|c| c.name == name).map(|c| (c.name, c.load)))
}

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

/// What candidates must be able to do.
#[derive(Debug, Clone, Copy)]
pub struct Demands {
    /// What is predicted.
    pub task: Task,
    /// True if a sequence is declared.
    pub has_sequence: bool,
    /// True if a neighbourhood is.
    pub has_neighbourhood: bool,
    /// True if risk must rise or fall with some column.
    pub has_directions: bool,
}

/// The candidates for a task: those named, `all` that can do what is demanded, or the fast ones of them when none is named.
///
/// # Errors
/// An unknown name, or a family that cannot do the task, needs a sequence where none is declared, or cannot keep directions.
pub fn candidates(names: &[String], demands: Demands) -> Result<Vec<&'static ModelFamily>> {
    let Demands { task, has_sequence, has_neighbourhood, has_directions } = demands;
    let has = |needs: Needs| match needs {
        Needs::Nothing => true,
        Needs::Sequence => has_sequence,
        Needs::Neighbourhood => has_neighbourhood,
    };
    let can = |m: &&ModelFamily| (m.does)(task) && has(m.needs) && (m.keeps_directions || !has_directions);
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
        match found.needs {
            needs if has(needs) => {}
            Needs::Neighbourhood => return Err(graphsage::without_neighbourhood()),
            _ => return Err(sequence::without_sequence(name)),
        }
        if has_directions && !found.keeps_directions {
            return Err(Error::request(format!(
                "model «{name}» cannot promise that risk rises or falls with a column (monotone); leave it out of --models, \
                 or the directions"
            )));
        }
        if !chosen.iter().any(|m| m.name == found.name) {
            chosen.push(found);
        }
    }
    chosen.sort_by_key(|m| m.complexity);
    Ok(chosen)
}

/// Refuses the text of a `bins.toml` that is none, or that is of other `columns`, before long work.
///
/// # Errors
/// What the file's parser refuses, by line and value; a feature that is no part of a column.
pub fn check_bins(text: &str, columns: Option<&[&str]>) -> Result<()> {
    let bins = scorecard::BinsFile::parse(text)?;
    let Some(columns) = columns else { return Ok(()) };
    // A part of a date is named after its column.
    let is_of = |name: &str, column: &str| {
        name.strip_prefix(column).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
    };
    match bins.feature.iter().find(|f| !columns.iter().any(|c| is_of(&f.name, c))) {
        None => Ok(()),
        Some(f) => Err(Error::request(format!(
            "bins.toml: there is no column «{}»; the features are {}",
            f.name,
            columns.join(", ")
        ))),
    }
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
    fn the_defaults_of_a_space_are_the_familys_defaults() {
        for task in [Task::Binary, Task::Classes(3), Task::Regression] {
            let at = |space: fn(Task) -> Vec<Dimension>| Point::default_of(&space(task));
            let point = at(scorecard::ScorecardParams::space);
            let card = scorecard::ScorecardParams { task, ..Default::default() };
            assert_eq!(scorecard::ScorecardParams::at(task, None, &point), card);
            if !matches!(task, Task::Classes(_)) {
                let point = at(linear::LinearParams::space);
                let line = linear::LinearParams { task, ..Default::default() };
                assert_eq!(linear::LinearParams::at(task, &point), line);
            }
            let trees = gbdt::GbdtParams { task, ..Default::default() };
            assert_eq!(gbdt::GbdtParams::at(task, &at(gbdt::GbdtParams::space)), trees);
            let network = mlp::MlpParams { task, ..Default::default() };
            assert_eq!(mlp::MlpParams::at(task, &at(mlp::MlpParams::space)), network);
            let network = realmlp::RealMlpParams { task, ..Default::default() };
            assert_eq!(realmlp::RealMlpParams::at(task, &at(realmlp::RealMlpParams::space)), network);
            for network in [tabm::TabmParams::mini(task), tabm::TabmParams { task, ..Default::default() }] {
                assert_eq!(network.clone().at(&at(tabm::TabmParams::space)), network);
            }
            for reader in [Reader::Cnn, Reader::Gru, Reader::Lstm, Reader::Attention] {
                let network = SequenceParams::new(reader, task);
                assert_eq!(network.clone().at(&at(SequenceParams::space)), network);
            }
            let network = GraphSageParams { task, ..Default::default() };
            assert_eq!(network.clone().at(&at(GraphSageParams::space)), network);
            let network = transformer::TransformerParams { task, ..Default::default() };
            assert_eq!(transformer::TransformerParams::at(task, &at(transformer::TransformerParams::space)), network);
        }
    }

    #[test]
    fn families_that_read_sequences_are_candidates_where_one_is_declared() {
        let names = |given: &[&str], has_sequence| {
            let given: Vec<String> = given.iter().map(|n| n.to_string()).collect();
            let demands = Demands { task: Task::Binary, has_sequence, has_neighbourhood: false, has_directions: false };
            candidates(&given, demands).map(|c| c.iter().map(|m| m.name).collect::<Vec<_>>())
        };
        let all = names(&["all"], true).expect("all");
        let of_nodes = MODELS.iter().filter(|m| m.needs == Needs::Neighbourhood).count();
        assert_eq!(all.len() + of_nodes, MODELS.len());
        let error = names(&["graphsage"], true).expect_err("no neighbourhood").to_string();
        let expected =
            "graphsage needs a neighbourhood: declare [[network.neighbourhood]] in the project file, or give --edges";
        assert_eq!(error, expected);
        let plain = names(&["all"], false).expect("all");
        assert!(
            plain.contains(&"mlp")
                && !["cnn", "gru", "lstm", "attention", "graphsage"].iter().any(|n| plain.contains(n)),
            "{plain:?}"
        );
        assert_eq!(names(&[], true).expect("fast"), names(&[], false).expect("fast"));
        assert_eq!(names(&["lstm", "mlp"], true).expect("named"), ["mlp", "lstm"]);
        let error = names(&["mlp", "lstm"], false).expect_err("no sequence");
        assert!(error.is_request());
        let directed =
            Demands { task: Task::Binary, has_sequence: false, has_neighbourhood: true, has_directions: true };
        let all: Vec<&str> = candidates(&["all".into()], directed).expect("all").iter().map(|m| m.name).collect();
        assert_eq!(all, ["scorecard", "logistic", "boosting", "boosting_rare"]);
        let refused = candidates(&["mlp".into()], directed).map(|_| ()).expect_err("no promise").to_string();
        assert!(refused.starts_with("model «mlp» cannot promise that risk rises or falls with a column"), "{refused}");
        let expected = "lstm needs a sequence: declare [sequence.NAME] steps = [[…], […]] in the project file";
        assert_eq!(error.to_string(), expected);
    }
}
