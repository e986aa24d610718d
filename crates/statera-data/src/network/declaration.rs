//! The declaration of figures of a network, as the `[network]` table of a project file and the bundle's `network.toml` write it.

use crate::declared::{each_once, is_default, step_columns};
use crate::window::Span;
use serde::{Deserialize, Serialize};
use statera_core::{Error, Result};
use std::collections::BTreeMap;

/// Whose edges are looked at, and what is told of them. [`Definition`](super::Definition) is what comes out when it is checked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// The column with the time of a row.
    pub time: String,
    /// Columns of a row that name nodes, one or two. Of two, as those of a transfer, the row goes from the first to the second.
    pub nodes: Vec<String>,
    /// Whether edges of the very time of a row are seen by it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub until: Until,
    /// The column that tells a fraud, 1 or 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The value of the label that is the event; without it 1, 1.0 and true are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub positive: Option<String>,
    /// How long after a row its label is taken to be known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label_delay: Option<Span>,
    /// The column with the time at which a label became known; where it has none, the delay says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label_time: Option<String>,
    /// Node columns whose nodes a fraud makes cases; without them all of `nodes`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cases: Vec<String>,
    /// Of a node with more neighbours in a window, cycles and neighbours are of that many of the latest, 1 to 1000.
    #[serde(default = "neighbours", skip_serializing_if = "is_neighbours")]
    pub max_neighbours: usize,
    /// How far back the last row of a node is looked for whose cells are told; without it without end, and where
    /// figures are made as rows come by the longest window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cells_within: Option<Span>,
    /// Where edges are and what their columns are.
    pub edges: EdgeColumns,
    /// The figures.
    #[serde(default, rename = "feature", skip_serializing_if = "Vec::is_empty")]
    pub features: Vec<Feature>,
    /// Sampled neighbourhoods, for models that read what is around a node.
    #[serde(default, rename = "neighbourhood", skip_serializing_if = "Vec::is_empty")]
    pub neighbourhoods: Vec<Neighbourhood>,
}

/// The columns of a table of edges, and what they may be used for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EdgeColumns {
    /// Name in the project file's `[sources]`; without one edges are given by `--edges`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The node that an edge comes from.
    #[serde(default = "from")]
    pub from: String,
    /// The node that it goes to.
    #[serde(default = "to")]
    pub to: String,
    /// Since when it is known.
    #[serde(default = "time")]
    pub time: String,
    /// Money that flows along it, 0 or more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<String>,
    /// What the two have to do with each other: device, address, payment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// What edges may be used for. They tell of people who have asked for nothing: what is not named is not allowed.
    pub purpose: Vec<String>,
    /// What single columns may be used for, where that is less.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub purposes: BTreeMap<String, Vec<String>>,
    /// The column that tells whether both ends agreed to that use; edges without consent are passed over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consent: Option<String>,
    /// What becomes of edges from a node to itself.
    #[serde(default, skip_serializing_if = "is_default")]
    pub self_edges: SelfEdges,
    /// True if a server that counts transactions is sent the edges as they come; without it, where rows are no edges themselves, rows
    /// bring the figures.
    #[serde(default, skip_serializing_if = "is_default")]
    pub live: bool,
}

/// Figures over some windows.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Feature {
    /// The figures.
    pub what: Vec<What>,
    /// The windows: with `7d`, edges of the seven days before the row.
    pub over: Vec<Span>,
    /// Node columns that it is of; without them all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<String>,
    /// Kinds of edges; without them all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kinds: Vec<String>,
    /// Of neighbours: a number column of their last row, or the label, of which their known frauds are counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    /// Of neighbours: which. Of PageRank: where cases lead to. Without it both ways.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direction: Option<Direction>,
    /// Of PageRank: how often it is computed; a day if not given, counted from midnight UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<Span>,
    /// Of PageRank: how likely a walk goes on, .85 if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub damping: Option<f64>,
}

/// A node, a sample of its neighbours and a sample of each one's neighbours, each with what is known of it: columns for models that
/// read them as what is around a node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Neighbourhood {
    /// Name; its columns are NAME_COLUMN_1 (the node itself), then those of its neighbours, then those of the first neighbour's
    /// neighbours, of the second's, … ; where there are fewer the columns are missing.
    pub name: String,
    /// The node column; without it the first of the network's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// What is told of each node beside [`EDGES`]: number columns of its last row, and for the label its known frauds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub of: Vec<String>,
    /// The window.
    pub over: Span,
    /// Neighbours of the node, and of each of these, that are sampled, each 1 to 100; 10 and 5 if not given.
    #[serde(default = "fans", skip_serializing_if = "are_fans")]
    pub fans: [usize; 2],
    /// Kinds of edges; without them all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kinds: Vec<String>,
    /// Which neighbours; without it both ways.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direction: Option<Direction>,
    /// What samples are drawn by; another seed draws others.
    #[serde(default = "seed", skip_serializing_if = "is_seed")]
    pub seed: u64,
}

/// A node's edges in the window, which of every node of a neighbourhood are told.
pub const EDGES: &str = "edges";

/// Which edges a row sees.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Until {
    /// Those before its time.
    #[default]
    Before,
    /// Those of its time too.
    At,
}

/// What becomes of edges from a node to itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SelfEdges {
    /// They are an error.
    #[default]
    Refuse,
    /// They are passed over.
    LeaveOut,
}

/// A way along edges.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Against them: to those that they come from.
    In,
    /// Along them.
    Out,
    /// Both.
    #[default]
    Any,
}

/// A figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// Different nodes that edges come from.
    FanIn,
    /// Different nodes that edges go to.
    FanOut,
    /// Edges that come in.
    EdgesIn,
    /// Edges that go out.
    EdgesOut,
    /// Money that comes in.
    AmountIn,
    /// Money that goes out.
    AmountOut,
    /// Nodes with an edge to and one from the node.
    #[serde(rename = "cycles_2")]
    Cycles2,
    /// Pairs (u, v) with edges from the node to u, from u to v and from v to the node.
    #[serde(rename = "cycles_3")]
    Cycles3,
    /// 1 if an edge goes from the second node to the first: the row closes a cycle of two.
    #[serde(rename = "closes_2")]
    Closes2,
    /// Nodes by which two edges lead from the second node to the first: the row closes so many cycles of three.
    #[serde(rename = "closes_3")]
    Closes3,
    /// The mean over neighbours.
    NeighbourMean,
    /// The largest of the neighbours.
    NeighbourMax,
    /// Share of its steps that a walk from the known cases is at the node: PageRank, personalised.
    Pagerank,
}

impl What {
    /// Its word in declarations and names of columns.
    pub fn name(self) -> &'static str {
        match self {
            What::FanIn => "fan_in",
            What::FanOut => "fan_out",
            What::EdgesIn => "edges_in",
            What::EdgesOut => "edges_out",
            What::AmountIn => "amount_in",
            What::AmountOut => "amount_out",
            What::Cycles2 => "cycles_2",
            What::Cycles3 => "cycles_3",
            What::Closes2 => "closes_2",
            What::Closes3 => "closes_3",
            What::NeighbourMean => "neighbour_mean",
            What::NeighbourMax => "neighbour_max",
            What::Pagerank => "pagerank",
        }
    }

    /// True if it is of neighbours' cells or frauds.
    pub(super) fn is_of_neighbours(self) -> bool {
        matches!(self, What::NeighbourMean | What::NeighbourMax)
    }

    /// True if it is of two nodes of a row.
    pub(super) fn is_of_pairs(self) -> bool {
        matches!(self, What::Closes2 | What::Closes3)
    }

    /// True if it is of amounts.
    pub(super) fn is_of_amounts(self) -> bool {
        matches!(self, What::AmountIn | What::AmountOut)
    }

    /// True if its cells are whole numbers.
    pub(super) fn is_whole(self) -> bool {
        !self.is_of_amounts() && !self.is_of_neighbours() && self != What::Pagerank
    }
}

impl Direction {
    /// Its word.
    pub fn name(self) -> &'static str {
        match self {
            Direction::In => "in",
            Direction::Out => "out",
            Direction::Any => "any",
        }
    }
}

/// The name of a figure's column. Every place that names one asks here.
///
/// `account_fan_in_7d`; `account_device_fan_out_30d` of edges of a kind; `account_neighbour_max_amount_30d`, and with a direction
/// `account_neighbour_max_amount_in_30d`; `account_pagerank_30d`; `from_account_to_account_closes_3_7d` of two nodes.
pub fn column_name(feature: &Feature, nodes: &[String], what: What, over: Span) -> String {
    let mut parts = nodes.to_vec();
    parts.extend(feature.kinds.iter().cloned());
    parts.push(what.name().into());
    parts.extend(feature.of.clone().filter(|_| what.is_of_neighbours()));
    let is_directed = what.is_of_neighbours() || what == What::Pagerank;
    let direction = feature.direction.filter(|d| is_directed && *d != Direction::Any);
    parts.extend(direction.map(|d| d.name().to_string()));
    parts.push(over.to_string());
    parts.join("_")
}

impl Network {
    /// The node columns that a figure's columns are of, a list a column.
    pub(super) fn nodes_of(&self, feature: &Feature, what: What) -> Vec<Vec<String>> {
        if what.is_of_pairs() {
            return vec![self.nodes.clone()];
        }
        let named = if feature.nodes.is_empty() { &self.nodes } else { &feature.nodes };
        named.iter().map(|node| vec![node.clone()]).collect()
    }

    /// True if rows are the edges: both ends are among their nodes, and the times of both are one.
    pub fn are_rows_edges(&self) -> bool {
        let edges = &self.edges;
        self.nodes.contains(&edges.from) && self.nodes.contains(&edges.to) && edges.time == self.time
    }

    /// Names of all columns that it makes, in their order: feature by feature, figure by figure, node by node; then neighbourhood by
    /// neighbourhood.
    pub fn column_names(&self) -> Vec<String> {
        let mut names = Vec::new();
        for feature in &self.features {
            for what in &feature.what {
                for nodes in self.nodes_of(feature, *what) {
                    names.extend(feature.over.iter().map(|over| column_name(feature, &nodes, *what, *over)));
                }
            }
        }
        names.extend(self.neighbourhoods.iter().flat_map(|n| n.columns().into_iter().flatten()));
        names
    }

    /// Names of the columns of rows that it reads, each once.
    pub fn inputs(&self) -> Vec<&str> {
        let own = [Some(&self.time), self.label.as_ref(), self.label_time.as_ref()];
        let of = self.features.iter().filter_map(|f| f.of.as_ref());
        let of = of.chain(self.neighbourhoods.iter().flat_map(|n| &n.of));
        each_once(own.into_iter().flatten().chain(&self.nodes).chain(of).map(String::as_str))
    }

    /// Refuses edges whose columns may not be used for what a model is for.
    ///
    /// # Errors
    /// A column of the edges without that purpose.
    pub fn check_purpose(&self, purpose: &str) -> Result<()> {
        let edges = &self.edges;
        for column in edges.names() {
            let allowed = edges.purposes.get(column).unwrap_or(&edges.purpose);
            if !allowed.iter().any(|p| p == purpose) {
                let allowed = if allowed.is_empty() { "nothing".into() } else { allowed.join(", ") };
                return Err(Error::request(format!(
                    "network.edges: column «{column}» may be used for {allowed}, not for {purpose}; without the consent of those \
                     it tells of it is no input"
                )));
            }
        }
        Ok(())
    }
}

impl Neighbourhood {
    /// A neighbourhood of the first node over a window, with what is told of nodes.
    pub fn new(name: &str, of: Vec<String>, over: Span) -> Neighbourhood {
        Neighbourhood {
            name: name.into(),
            node: None,
            of,
            over,
            fans: fans(),
            kinds: Vec::new(),
            direction: None,
            seed: seed(),
        }
    }

    /// Nodes: one, its neighbours, and theirs.
    pub fn n_nodes(&self) -> usize {
        let [a, b] = self.fans;
        b.saturating_add(1).saturating_mul(a).saturating_add(1)
    }

    /// The columns of each node, in their order.
    pub fn columns(&self) -> Vec<Vec<String>> {
        let told: Vec<&str> = std::iter::once(EDGES).chain(self.of.iter().map(String::as_str)).collect();
        step_columns(&self.name, &told, self.n_nodes())
    }
}

impl EdgeColumns {
    /// The columns that are read of every edge, but for the one that tells of the consent.
    pub fn names(&self) -> Vec<&str> {
        let optional = [&self.amount, &self.kind].into_iter().flatten();
        [&self.from, &self.to, &self.time].into_iter().chain(optional).map(String::as_str).collect()
    }
}

fn from() -> String {
    "from".into()
}

fn to() -> String {
    "to".into()
}

fn time() -> String {
    "time".into()
}

/// Neighbours that are sampled where nothing else is said, and by what.
fn fans() -> [usize; 2] {
    [10, 5]
}

fn are_fans(given: &[usize; 2]) -> bool {
    *given == fans()
}

fn seed() -> u64 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_seed(given: &u64) -> bool {
    *given == seed()
}

/// Neighbours that are looked at where nothing else is said.
fn neighbours() -> usize {
    64
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_neighbours(n: &usize) -> bool {
    *n == neighbours()
}
