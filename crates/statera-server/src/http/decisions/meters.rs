//! What is counted of decisions: how they fall, how often people decide otherwise, what became of them.

use super::answer::Counts;
use crate::models::Chosen;
use prometheus::{IntCounterVec, Opts, Registry};

/// The counters. Labels are models of the registry and entries of the settings' lists.
pub struct Meters {
    decisions: IntCounterVec,
    overrides: IntCounterVec,
    outcomes: IntCounterVec,
    suspicious: IntCounterVec,
    closed: IntCounterVec,
}

impl Meters {
    /// With nothing counted, in a registry of metrics.
    ///
    /// # Errors
    /// A name that is registered twice.
    pub fn new(registry: &Registry) -> prometheus::Result<Meters> {
        let counter = |name: &str, help: &str, labels: &[&str]| -> prometheus::Result<IntCounterVec> {
            let counter = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(counter.clone()))?;
            Ok(counter)
        };
        let decisions = "Rows decided, by model, part (champion, challenger, backup) and decision";
        let overrides = "Decisions that people overrode, by model, new decision and coded reason";
        let outcomes = "What became of decisions, by model";
        let suspicious = "Transactions that opened a case or joined one, by model";
        let closed = "Cases that people closed, by model and verdict";
        Ok(Meters {
            decisions: counter("statera_decisions_total", decisions, &["model", "part", "decision"])?,
            overrides: counter("statera_overrides_total", overrides, &["model", "to", "reason"])?,
            outcomes: counter("statera_outcomes_total", outcomes, &["model", "outcome"])?,
            suspicious: counter("statera_suspicious_transactions_total", suspicious, &["model"])?,
            closed: counter("statera_alerts_closed_total", closed, &["model", "verdict"])?,
        })
    }

    /// Counts the rows of a request that is on disk.
    pub(super) fn decided(&self, chosen: &Chosen, counts: Counts) {
        for (name, n) in [("approve", counts.approve), ("review", counts.review), ("decline", counts.decline)] {
            if n > 0 {
                let labels = [chosen.model.name.as_str(), chosen.part.name(), name];
                self.decisions.with_label_values(&labels).inc_by(n as u64);
            }
        }
    }

    /// Counts a transaction that is one of a case.
    pub(super) fn suspected(&self, chosen: &Chosen) {
        self.suspicious.with_label_values(&[chosen.model.name.as_str()]).inc();
    }

    /// Counts a case that was closed.
    pub(crate) fn closed(&self, model: &str, verdict: &str) {
        self.closed.with_label_values(&[model, verdict]).inc();
    }

    /// Counts an override.
    pub(super) fn overridden(&self, model: &str, to: &str, reason: &str) {
        self.overrides.with_label_values(&[model, to, reason]).inc();
    }

    /// Counts an outcome.
    pub(crate) fn became(&self, model: &str, outcome: &str) {
        self.outcomes.with_label_values(&[model, outcome]).inc();
    }
}
