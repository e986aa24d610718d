//! The figures of a network that hold where edges are given and none are declared.

use super::purpose;
use crate::project::{Settings, Window};
use statera_core::{Error, Result};
use statera_data::network::{Direction, EdgeColumns, Feature, Neighbourhood, Network, SelfEdges, Until, What};
use statera_data::window::Span;
use statera_nn::model::graphsage;

/// Name of the neighbourhood where none is declared.
const NEIGHBOURHOOD: &str = "near";
/// How far back the amount of a node's last row is looked for: as far as the longest window.
const CELLS_WITHIN: &str = "90d";
/// Neighbours that are looked at.
const MAX_NEIGHBOURS: usize = 64;

/// Figures of the nodes that the settings name: of a transaction card and terminal (from one account to another), of other rows
/// the group.
///
/// Columns `from`, `to` and `time` of the edges are read, and `amount` where there is one; where edges do not have these, columns
/// that are called as those of the rows: a table of transfers is one of edges. Where `graphsage` is among the candidates that are
/// named, a neighbourhood of the first node is sampled. Giving edges says that they may be used for the
/// model's purpose.
///
/// # Errors
/// Settings without a time or a node; a label delay that is no length of time.
pub fn network(settings: &Settings, edge_columns: &[String]) -> Result<Network> {
    let missing = |what: &str| {
        Error::request(format!(
            "edges: {what}; name it, or say what is told of the edges by [network] in a project file (docs/network.md)"
        ))
    };
    let time = settings
        .time
        .clone()
        .ok_or_else(|| missing("rows have no time (--time COL), so that all edges would be later"))?;
    let mut nodes: Vec<String> = [&settings.card, &settings.terminal].into_iter().flatten().cloned().collect();
    if nodes.is_empty() {
        nodes.extend(settings.group.clone());
    }
    if nodes.is_empty() {
        return Err(missing("rows name no node (--card and --terminal COL, or --group COL)"));
    }
    let label_delay = settings.label_delay.as_deref().map(label_delay).transpose()?;
    let label = label_delay.map(|_| settings.target.clone());
    let has = |name: &str| edge_columns.iter().any(|column| column == name);
    // As the rows call it, where edges do not have the standard name.
    let called = |standard: &str, own: Option<&String>| {
        own.filter(|own| !has(standard) && has(own)).map_or(standard.to_string(), Clone::clone)
    };
    let (from, to) = (called("from", nodes.first()), called("to", nodes.get(1)));
    let (edge_time, amount) = (called("time", Some(&time)), called("amount", settings.amount.as_ref()));
    let amount = Some(amount).filter(|name| has(name));
    let features = features(nodes.len() == 2, amount.is_some(), label.as_ref())?;
    let wants_nodes = settings.models.iter().any(|name| name == graphsage::NAME);
    let neighbourhoods = if wants_nodes { vec![neighbourhood(settings, label.as_ref())?] } else { Vec::new() };
    let has_cells = wants_nodes && settings.amount.is_some();
    let cells_within = has_cells.then(|| Span::parse(CELLS_WITHIN)).transpose()?;
    Ok(Network {
        time,
        nodes,
        until: Until::Before,
        positive: settings.positive.clone().filter(|_| label.is_some()),
        label,
        label_delay,
        label_time: None,
        cases: Vec::new(),
        max_neighbours: MAX_NEIGHBOURS,
        cells_within,
        edges: EdgeColumns {
            source: None,
            from,
            to,
            time: edge_time,
            amount,
            kind: None,
            purpose: vec![purpose(settings).into()],
            purposes: std::collections::BTreeMap::new(),
            consent: None,
            self_edges: SelfEdges::Refuse,
            live: false,
        },
        features,
        neighbourhoods,
    })
}

/// A delay as long as that of the settings, or longer: a month has at most 31 days.
fn label_delay(text: &str) -> Result<Span> {
    let days = match Window::parse(text).map_err(|e| e.at("label_delay"))? {
        Window::Days(n) => n,
        Window::Months(n) => n.saturating_mul(31),
    };
    Span::parse(&format!("{days}d")).map_err(|e| e.at("label_delay"))
}

/// What is around the first node in the thirty days before: of each node its edges, the amount of its last row, its known frauds.
fn neighbourhood(settings: &Settings, label: Option<&String>) -> Result<Neighbourhood> {
    let of = settings.amount.iter().chain(label).cloned().collect();
    Ok(Neighbourhood::new(NEIGHBOURHOOD, of, Span::parse("30d")?))
}

fn features(is_pair: bool, has_amount: bool, label: Option<&String>) -> Result<Vec<Feature>> {
    let feature = |what: &[What], over: &[&str]| -> Result<Feature> {
        let over = over.iter().map(|text| Span::parse(text)).collect::<Result<_>>()?;
        Ok(Feature { what: what.to_vec(), over, ..Feature::default() })
    };
    let mut features = vec![
        feature(&[What::FanIn, What::FanOut], &["1d", "7d", "30d"])?,
        feature(&[What::Cycles2, What::Cycles3], &["30d"])?,
    ];
    if has_amount {
        features.push(feature(&[What::AmountIn, What::AmountOut], &["1d", "7d"])?);
    }
    if is_pair {
        features.push(feature(&[What::Closes2, What::Closes3], &["7d", "30d"])?);
    }
    if let Some(label) = label {
        let known = feature(&[What::NeighbourMean, What::NeighbourMax], &["90d"])?;
        features.push(Feature { of: Some(label.clone()), ..known });
        for direction in [Direction::In, Direction::Out] {
            features.push(Feature { direction: Some(direction), ..feature(&[What::Pagerank], &["90d"])? });
        }
    }
    Ok(features)
}
