//! A declaration that was checked, with its columns worked out.

use super::declaration::{Direction, EdgeColumns, Feature, Neighbourhood, Network, Until, What};
use super::page_rank::MAX_DAMPING;
use statera_core::{Error, Result};
use std::collections::BTreeSet;

/// Most columns that a declaration makes.
const MAX_COLUMNS: usize = 1_000;
/// Most neighbours of a node that are looked at.
const MAX_NEIGHBOURS: usize = 1_000;
/// Most neighbours of a node that are sampled.
const MAX_FAN: usize = 100;
/// Most different choices of kinds; the edges of each are kept on their own.
const MAX_LAYERS: usize = 16;
/// How often PageRank is computed, and how likely its walk goes on, where nothing else is said.
const EVERY: i64 = 86_400_000_000;
const DAMPING: f64 = 0.85;

/// A checked declaration.
#[derive(Debug, Clone, PartialEq)]
pub struct Definition {
    pub(super) network: Network,
    /// Lists of kinds, of each of which there is a graph; an empty one is all kinds.
    pub(super) layers: Vec<Vec<String>>,
    /// Number columns of rows that neighbours' figures are of.
    pub(super) numbers: Vec<String>,
    pub(super) columns: Vec<Column>,
    digest: String,
    pub(super) neighbourhoods: Vec<Around>,
}

/// A neighbourhood that is sampled.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Around {
    /// Its columns, node by node.
    pub names: Vec<String>,
    /// The node column.
    pub node: usize,
    pub layer: usize,
    /// Microseconds of the window.
    pub span: i64,
    pub direction: Direction,
    /// What is told of a node behind its edges.
    pub of: Vec<Of>,
    pub fans: [usize; 2],
    pub seed: u64,
}

/// A column that is made.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Column {
    pub name: String,
    pub what: What,
    /// The node column; of pairs the first.
    pub node: usize,
    pub layer: usize,
    /// Microseconds of the window.
    pub span: i64,
    pub direction: Direction,
    pub of: Of,
    /// Microseconds between snapshots.
    pub every: i64,
    pub damping: f64,
}

/// What is told of neighbours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Of {
    Nothing,
    /// Their known frauds.
    Cases,
    /// A number column, by place.
    Number(usize),
}

impl Definition {
    /// Checks a declaration.
    ///
    /// # Errors
    /// Contradictions, values out of range, columns that would be made twice: the place, the value and what is allowed.
    pub fn new(network: Network) -> Result<Definition> {
        Definition::of(network).map_err(|e| e.at("network"))
    }

    fn of(network: Network) -> Result<Definition> {
        check(&network)?;
        let canonical = serde_json::to_vec(&network).map_err(|e| Error::request(e.to_string()))?;
        let mut definition = Definition {
            network: network.clone(),
            layers: Vec::new(),
            numbers: Vec::new(),
            columns: Vec::new(),
            digest: blake3::hash(&canonical).to_hex().to_string(),
            neighbourhoods: Vec::new(),
        };
        for (i, feature) in network.features.iter().enumerate() {
            definition.add(feature).map_err(|e| e.at(format!("feature {}", i + 1)))?;
        }
        for (i, neighbourhood) in network.neighbourhoods.iter().enumerate() {
            let place = |e: Error| e.at(format!("neighbourhood {} («{}»)", i + 1, neighbourhood.name));
            definition.add_neighbourhood(neighbourhood).map_err(place)?;
        }
        if network.cells_within.is_some() && definition.numbers.is_empty() {
            return Err(Error::request("cells_within: has no meaning where no figure is of a number column"));
        }
        let mut seen = BTreeSet::new();
        if let Some(name) = definition.column_names().find(|name| !seen.insert(*name)) {
            return Err(Error::request(format!("column «{name}» would be made twice")));
        }
        let (n, n_layers) = (definition.column_names().count(), definition.layers.len());
        if n > MAX_COLUMNS {
            return Err(Error::request(format!("{n} columns; allowed are {MAX_COLUMNS}")));
        }
        if n_layers > MAX_LAYERS {
            return Err(Error::request(format!("{n_layers} different choices of kinds; allowed are {MAX_LAYERS}")));
        }
        Ok(definition)
    }

    /// What was declared.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// What tells it from others: a digest of what was declared.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Columns that it makes.
    pub fn n_columns(&self) -> usize {
        self.columns.len() + self.neighbourhoods.iter().map(|n| n.names.len()).sum::<usize>()
    }

    /// Names of the columns that it makes, in their order.
    pub fn column_names(&self) -> impl Iterator<Item = &str> {
        let of_nodes = self.neighbourhoods.iter().flat_map(|n| &n.names);
        self.columns.iter().map(|c| c.name.as_str()).chain(of_nodes.map(String::as_str))
    }

    /// Where the edges of a row at `t` end, exclusive.
    pub(super) fn end(&self, t: i64) -> i64 {
        if self.network.until == Until::At { t.saturating_add(1) } else { t }
    }

    /// Cells of rows after this are told to a row at `t`.
    pub(super) fn cells_after(&self, t: i64) -> i64 {
        self.network.cells_within.map_or(i64::MIN, |within| t.saturating_sub(within.micros()))
    }

    /// Node columns whose nodes a fraud makes cases, by place.
    pub(super) fn case_nodes(&self) -> Vec<usize> {
        let cases = &self.network.cases;
        let is_case = |node: &String| cases.is_empty() || cases.contains(node);
        (0..self.network.nodes.len()).filter(|&i| is_case(&self.network.nodes[i])).collect()
    }

    /// The place of the graph of a choice of kinds.
    fn layer(&mut self, kinds: &[String]) -> usize {
        let mut kinds = kinds.to_vec();
        kinds.sort();
        place(&mut self.layers, kinds)
    }

    /// What a column tells of a node.
    fn told(&mut self, name: &String) -> Of {
        if self.network.label.as_ref() == Some(name) {
            return Of::Cases;
        }
        Of::Number(place(&mut self.numbers, name.clone()))
    }

    fn add_neighbourhood(&mut self, declared: &Neighbourhood) -> Result<()> {
        check_neighbourhood(declared, &self.network)?;
        let layer = self.layer(&declared.kinds);
        let of = declared.of.iter().map(|name| self.told(name)).collect();
        let node = declared.node.as_ref().and_then(|node| self.network.nodes.iter().position(|n| n == node));
        self.neighbourhoods.push(Around {
            names: declared.columns().concat(),
            node: node.unwrap_or(0),
            layer,
            span: declared.over.micros(),
            direction: declared.direction.unwrap_or_default(),
            of,
            fans: declared.fans,
            seed: declared.seed,
        });
        Ok(())
    }

    fn add(&mut self, feature: &Feature) -> Result<()> {
        check_feature(feature, &self.network)?;
        let layer = self.layer(&feature.kinds);
        let of = feature.of.as_ref().map_or(Of::Nothing, |name| self.told(name));
        for &what in &feature.what {
            for nodes in self.network.nodes_of(feature, what) {
                let node = self.network.nodes.iter().position(|n| *n == nodes[0]).unwrap_or(0);
                for &over in &feature.over {
                    self.columns.push(Column {
                        name: super::column_name(feature, &nodes, what, over),
                        what,
                        node,
                        layer,
                        span: over.micros(),
                        direction: feature.direction.unwrap_or_default(),
                        of,
                        every: feature.every.map_or(EVERY, crate::window::Span::micros),
                        damping: feature.damping.unwrap_or(DAMPING),
                    });
                }
            }
        }
        Ok(())
    }
}

/// The place of an item, which is added where it is not.
fn place<T: PartialEq>(items: &mut Vec<T>, item: T) -> usize {
    items.iter().position(|i| *i == item).unwrap_or_else(|| {
        items.push(item);
        items.len() - 1
    })
}

fn check(network: &Network) -> Result<()> {
    if network.features.is_empty() && network.neighbourhoods.is_empty() {
        return Err(Error::request("feature: none is declared; declare one, or leave [network] out"));
    }
    let nodes = &network.nodes;
    if !(1..=2).contains(&nodes.len()) || nodes.len() == 2 && nodes[0] == nodes[1] {
        return Err(Error::request(format!(
            "nodes: «{}» is not allowed; allowed are 1 or 2 columns",
            nodes.join(", ")
        )));
    }
    if let Some(case) = network.cases.iter().find(|case| !nodes.contains(case)) {
        return Err(Error::request(format!("cases: «{case}» is none of nodes; allowed are {}", nodes.join(", "))));
    }
    let n = network.max_neighbours;
    if !(1..=MAX_NEIGHBOURS).contains(&n) {
        return Err(Error::request(format!("max_neighbours: {n} is not allowed; allowed are 1 to {MAX_NEIGHBOURS}")));
    }
    if network.label.is_some() && network.label_delay.is_none() {
        return Err(Error::request(
            "label_delay: missing; a label is not known with its row (such as label_delay = \"7d\")",
        ));
    }
    let late = [
        ("positive", network.positive.is_some()),
        ("label_delay", network.label_delay.is_some()),
        ("label_time", network.label_time.is_some()),
        ("cases", !network.cases.is_empty()),
    ];
    if let Some((key, _)) = late.into_iter().find(|(_, given)| *given && network.label.is_none()) {
        return Err(Error::request(format!("{key}: has no meaning without label")));
    }
    if network.edges.live && network.are_rows_edges() {
        return Err(Error::request("edges: live: has no meaning where rows are the edges; leave it out"));
    }
    check_edges(&network.edges).map_err(|e| e.at("edges"))
}

fn check_edges(edges: &EdgeColumns) -> Result<()> {
    let mut names = edges.names();
    names.extend(edges.consent.as_deref());
    let mut seen = BTreeSet::new();
    if let Some(name) = names.iter().find(|name| !seen.insert(**name)) {
        return Err(Error::request(format!("column «{name}» has two roles; a column has one")));
    }
    match edges.purposes.keys().find(|name| !names.contains(&name.as_str())) {
        Some(name) => {
            Err(Error::request(format!("purposes: column «{name}» is not read; allowed are {}", names.join(", "))))
        }
        None => Ok(()),
    }
}

fn check_neighbourhood(declared: &Neighbourhood, network: &Network) -> Result<()> {
    let refused = |message: String| Err(Error::request(message));
    if declared.name.is_empty() {
        return refused("name: is empty; its columns begin with it".into());
    }
    if let Some(node) = declared.node.as_ref().filter(|node| !network.nodes.contains(node)) {
        return refused(format!("node: «{node}» is none of the network's; allowed are {}", network.nodes.join(", ")));
    }
    if let Some(n) = declared.fans.iter().find(|n| !(1..=MAX_FAN).contains(*n)) {
        return refused(format!("fans: {n} is not allowed; allowed are 1 to {MAX_FAN}"));
    }
    if !declared.kinds.is_empty() && network.edges.kind.is_none() {
        return refused("kinds: the edges have no column of kinds; name it with network.edges.kind".into());
    }
    if declared.of.iter().any(|of| network.label_time.as_ref() == Some(of)) {
        return refused("of: when a label became known is not known with a row".into());
    }
    Ok(())
}

fn check_feature(feature: &Feature, network: &Network) -> Result<()> {
    let any = |is: fn(What) -> bool| feature.what.iter().copied().find(|what| is(*what));
    let refused = |message: String| Err(Error::request(message));
    if feature.what.is_empty() || feature.over.is_empty() {
        return refused("what and over are empty; name at least one figure and one window".into());
    }
    if let Some(node) = feature.nodes.iter().find(|node| !network.nodes.contains(node)) {
        return refused(format!("nodes: «{node}» is none of the network's; allowed are {}", network.nodes.join(", ")));
    }
    if !feature.kinds.is_empty() && network.edges.kind.is_none() {
        return refused("kinds: the edges have no column of kinds; name it with network.edges.kind".into());
    }
    if let (Some(what), None) = (any(What::is_of_amounts), &network.edges.amount) {
        return refused(format!("what: {} needs network.edges.amount", what.name()));
    }
    if let Some(what) = any(What::is_of_pairs).filter(|_| network.nodes.len() != 2) {
        return refused(format!("what: {} is of rows with two nodes", what.name()));
    }
    if let Some(what) = any(What::is_of_pairs).filter(|_| !feature.nodes.is_empty()) {
        return refused(format!("nodes: has no meaning for {}, which is of both", what.name()));
    }
    check_neighbours(feature, network)?;
    let is_ranked = feature.what.contains(&What::Pagerank);
    if is_ranked && network.label.is_none() {
        return refused("what: pagerank starts at known cases; declare network.label and network.label_delay".into());
    }
    if let Some(key) = [("every", feature.every.is_some()), ("damping", feature.damping.is_some())]
        .into_iter()
        .find_map(|(key, given)| (given && !is_ranked).then_some(key))
    {
        return refused(format!("{key}: has no meaning without pagerank"));
    }
    match feature.damping {
        Some(d) if !(d > 0.0 && d <= MAX_DAMPING) => {
            refused(format!("damping: {d} is not allowed; allowed is above 0 and at most {MAX_DAMPING}"))
        }
        _ => Ok(()),
    }
}

/// What only neighbours have.
fn check_neighbours(feature: &Feature, network: &Network) -> Result<()> {
    let of_neighbours = feature.what.iter().find(|what| what.is_of_neighbours());
    match (of_neighbours, &feature.of) {
        (Some(what), None) => {
            return Err(Error::request(format!(
                "of: missing; {} is of a number column, or of the label for known frauds",
                what.name()
            )));
        }
        (None, Some(of)) => {
            return Err(Error::request(format!("of: «{of}» has no meaning without neighbour_mean or neighbour_max")));
        }
        _ => {}
    }
    if feature.of.is_some() && feature.of == network.label_time {
        return Err(Error::request("of: when a label became known is not known with a row"));
    }
    let is_directed = of_neighbours.is_some() || feature.what.contains(&What::Pagerank);
    match feature.direction {
        Some(direction) if !is_directed => Err(Error::request(format!(
            "direction: {} has no meaning without neighbours or pagerank",
            direction.name()
        ))),
        _ => Ok(()),
    }
}
