//! The limits that groups are judged by. They are a bank's own decision and change with the law, so they are a file with a
//! version, never a constant in code; the file that ships is a start.

use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// Version of the rules that ship.
pub const RULES_VERSION: &str = "2026-2";

/// When a group counts as treated worse than another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    /// Which rules these are; stands in every report.
    pub version: String,
    /// Rows from which a group is judged, 1 and above.
    pub min_rows: usize,
    /// Rows with the event, and without it, from which a group is judged.
    pub min_events: usize,
    /// Least approval rate as a share of the reference group's, above 0 and at most 1.
    pub approval_ratio: f64,
    /// Most by which the area under the curve may lie below the reference group's, 0 to 1.
    pub auc_gap: f64,
    /// Most by which mean probability and share of events may differ, 0 to 1.
    pub calibration_gap: f64,
    /// Most by which an error rate may lie above the reference group's, 0 to 1.
    pub error_rate_gap: f64,
    /// Area under the curve above which a column that tells a protected group is a proxy of it, 0.5 to 1. Default: 0.7.
    #[serde(default = "proxy_auc")]
    pub proxy_auc: f64,
    /// Least area by which columns together must tell a group better than the best of them to be shown as a proxy, 0 to 0.5.
    /// Default: 0.02.
    #[serde(default = "proxy_gain")]
    pub proxy_gain: f64,
    /// Bootstrap replicates that tell how well areas under the curve are known, 40 to 10,000.
    pub n_bootstrap: usize,
}

/// From where an area counts as acceptable discrimination (Hosmer & Lemeshow 2000, § 5.2.4).
fn proxy_auc() -> f64 {
    0.7
}

fn proxy_gain() -> f64 {
    0.02
}

impl Rules {
    /// Refuses limits outside their ranges.
    ///
    /// # Errors
    /// A request error that names the limit, its value and its range.
    pub fn check(&self) -> Result<()> {
        let refuse = |name: &str, value: String, allowed: &str| {
            Err(Error::request(format!("fairness rules «{}»: {name} is {value}; allowed: {allowed}", self.version)))
        };
        if self.min_rows == 0 {
            return refuse("min_rows", "0".into(), "1 and above");
        }
        if !(self.approval_ratio > 0.0 && self.approval_ratio <= 1.0) {
            return refuse("approval_ratio", self.approval_ratio.to_string(), "above 0, at most 1");
        }
        let gaps = [
            ("auc_gap", self.auc_gap),
            ("calibration_gap", self.calibration_gap),
            ("error_rate_gap", self.error_rate_gap),
        ];
        if let Some((name, value)) = gaps.into_iter().find(|(_, v)| !(0.0..=1.0).contains(v)) {
            return refuse(name, value.to_string(), "0 to 1");
        }
        if !(0.5..=1.0).contains(&self.proxy_auc) {
            return refuse("proxy_auc", self.proxy_auc.to_string(), "0.5 to 1");
        }
        if !(0.0..=0.5).contains(&self.proxy_gain) {
            return refuse("proxy_gain", self.proxy_gain.to_string(), "0 to 0.5");
        }
        if !(40..=10_000).contains(&self.n_bootstrap) {
            return refuse("n_bootstrap", self.n_bootstrap.to_string(), "40 to 10000");
        }
        Ok(())
    }

    /// True of a group that is shown, but not judged.
    pub fn is_small(&self, n_rows: usize, n_events: usize) -> bool {
        n_rows < self.min_rows || n_events < self.min_events || n_rows - n_events < self.min_events
    }
}

impl Default for Rules {
    /// Four fifths; gaps of five points, of ten for error rates; proxies from an area of 0.7; at least 100 rows, 10 of them
    /// with the event.
    fn default() -> Self {
        Rules {
            version: RULES_VERSION.into(),
            min_rows: 100,
            min_events: 10,
            approval_ratio: 0.8,
            auc_gap: 0.05,
            calibration_gap: 0.05,
            error_rate_gap: 0.1,
            proxy_auc: proxy_auc(),
            proxy_gain: proxy_gain(),
            n_bootstrap: 200,
        }
    }
}
