//! Gini coefficient (accuracy ratio, Somers' D): 2 AUC - 1.

use super::{Interval, Metric, Needs, auc};
use crate::Task;

/// Gini coefficient, -1 … 1; its interval is DeLong's of the area.
pub(super) const GINI: Metric = Metric {
    name: "gini",
    title: "Gini",
    higher_is_better: true,
    needs: Needs::Margin,
    applies: |task| task == Task::Binary,
    compute: |sample| 2.0 * (auc::AUC.compute)(sample) - 1.0,
    interval: Some(|sample| {
        let area = auc::delong_interval(sample);
        Interval { value: 2.0 * area.value - 1.0, low: 2.0 * area.low - 1.0, high: 2.0 * area.high - 1.0 }
    }),
};
