//! A scorecard at a glance: one line a characteristic, with the figures a validator asks for first.

use crate::pipeline::Contender;
use crate::variant::Variant;
use serde::{Deserialize, Serialize};
use statera_learn::scorecard::{Characteristic, Estimate, ScorecardModel};

/// A characteristic of a scorecard, on the card or left out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CardLine {
    /// The bank's name for it, else the feature's.
    pub characteristic: String,
    /// Bins, the special ones included.
    pub n_bins: usize,
    /// Information value.
    pub iv: f64,
    /// Information value that the rest of the card does not yet have; for one left out: what it would add.
    pub marginal_iv: f64,
    /// Coefficient, standard error, p-value and variance inflation factor; `None` if it is left out.
    pub estimate: Option<Estimate>,
    /// Most points that its bins give; the least are always 0. `None` if it is left out.
    pub most_points: Option<i32>,
    /// Why it is left out.
    pub left_out: Option<String>,
}

impl CardLine {
    fn of(c: &Characteristic) -> CardLine {
        let most = c.binning.bins.iter().map(|b| b.points).max();
        CardLine {
            characteristic: c.title().into(),
            n_bins: c.binning.bins.len(),
            iv: c.iv,
            marginal_iv: c.marginal_iv,
            estimate: c.estimate,
            most_points: most.filter(|_| c.estimate.is_some()),
            left_out: c.left_out.clone(),
        }
    }
}

/// The card of the scorecard among the contenders, that of a variant before the plain one: characteristics on it by
/// information value, then those left out; empty where none is a scorecard.
pub fn lines(contenders: &[Contender]) -> Vec<CardLine> {
    let of = |is_plain: bool| contenders.iter().filter(move |c| (c.variant == Variant::Plain) == is_plain);
    // The scorecard is refitted on all rows: its only member is the card that is used.
    let models = of(false).chain(of(true)).filter_map(|c| match c.scorer.members() {
        [only] => only.model.as_any().downcast_ref::<ScorecardModel>(),
        _ => None,
    });
    let mut lines: Vec<CardLine> = models.take(1).flat_map(ScorecardModel::characteristics).map(CardLine::of).collect();
    lines.sort_by(|a, b| a.estimate.is_none().cmp(&b.estimate.is_none()).then(b.iv.total_cmp(&a.iv)));
    lines
}
