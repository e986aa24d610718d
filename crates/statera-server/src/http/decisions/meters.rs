//! What is counted of decisions: how they fall, how often people decide otherwise, what became of them.

use super::answer::Counts;
use crate::models::{Chosen, Models};
use prometheus::{Gauge, GaugeVec, IntCounterVec, IntGaugeVec, Opts, Registry};
use statera_core::{Error, Result};

/// The counters. Labels are models of the registry and entries of the settings' lists.
pub struct Meters {
    decisions: IntCounterVec,
    overrides: IntCounterVec,
    outcomes: IntCounterVec,
    waiting: Gauge,
    bundles: Gauge,
    load_failures: Gauge,
    shadow_rows: IntGaugeVec,
    shadow_difference: GaugeVec,
}

impl Meters {
    /// With nothing counted, in a registry of metrics.
    ///
    /// # Errors
    /// None that a user could cause: a name that is registered twice.
    pub fn new(registry: &Registry) -> Result<Meters> {
        let wrong = |e: prometheus::Error| Error::io(format!("metrics: {e}"));
        let make = || -> prometheus::Result<Meters> {
            let counter = |name: &str, help: &str, labels: &[&str]| IntCounterVec::new(Opts::new(name, help), labels);
            let gauge = |name: &str, help: &str| Gauge::new(name, help);
            let rows = Opts::new(
                "statera_shadow_rows",
                "Rows of shadow challengers since they were loaded, by what came of them",
            );
            let difference =
                Opts::new("statera_shadow_mean_difference", "Mean absolute difference from the champion's score");
            let decided = "Rows decided, by model, part (champion, challenger, backup) and decision";
            Ok(Meters {
                decisions: counter("statera_decisions_total", decided, &["model", "part", "decision"])?,
                overrides: counter(
                    "statera_overrides_total",
                    "Decisions that people overrode, by model, new decision and coded reason",
                    &["model", "to", "reason"],
                )?,
                outcomes: counter(
                    "statera_outcomes_total",
                    "What became of decisions, by model",
                    &["model", "outcome"],
                )?,
                waiting: gauge("statera_compute_waiting", "Requests that wait to be scored")?,
                bundles: gauge("statera_bundles", "Bundles in memory")?,
                load_failures: gauge("statera_bundle_failures", "Versions that could not be loaded")?,
                shadow_rows: IntGaugeVec::new(rows, &["model", "version", "came"])?,
                shadow_difference: GaugeVec::new(difference, &["model", "version"])?,
            })
        };
        let meters = make().map_err(wrong)?;
        let all: [Box<dyn prometheus::core::Collector>; 8] = [
            Box::new(meters.decisions.clone()),
            Box::new(meters.overrides.clone()),
            Box::new(meters.outcomes.clone()),
            Box::new(meters.waiting.clone()),
            Box::new(meters.bundles.clone()),
            Box::new(meters.load_failures.clone()),
            Box::new(meters.shadow_rows.clone()),
            Box::new(meters.shadow_difference.clone()),
        ];
        all.into_iter().try_for_each(|metric| registry.register(metric)).map_err(wrong)?;
        Ok(meters)
    }

    /// Counts the rows of a request that is on disk.
    pub(super) fn decided(&self, chosen: &Chosen, counts: Counts) {
        for (name, n) in [("approve", counts.approve), ("review", counts.review), ("decline", counts.decline)] {
            if n > 0 {
                self.decisions.with_label_values(&[&chosen.model.name, chosen.part.name(), name]).inc_by(n as u64);
            }
        }
    }

    /// Counts an override.
    pub(super) fn overridden(&self, model: &str, to: &str, reason: &str) {
        self.overrides.with_label_values(&[model, to, reason]).inc();
    }

    /// Counts an outcome.
    pub(crate) fn became(&self, model: &str, outcome: &str) {
        self.outcomes.with_label_values(&[model, outcome]).inc();
    }

    /// Copies what is counted elsewhere, when somebody reads.
    pub(crate) fn pull(&self, models: &Models, n_waiting: usize) {
        self.waiting.set(n_waiting as f64);
        let status = models.status();
        self.bundles.set(status.n_loaded as f64);
        self.load_failures.set(status.failures.len() as f64);
        // Challengers that are no longer tried are no longer shown.
        self.shadow_rows.reset();
        self.shadow_difference.reset();
        for (model, version, counts) in models.tallies() {
            let version = version.to_string();
            for (came, n) in [
                ("scored", counts.scored),
                ("agreed", counts.agreed),
                ("dropped", counts.dropped),
                ("failed", counts.failed),
            ] {
                let n = i64::try_from(n).unwrap_or(i64::MAX);
                self.shadow_rows.with_label_values(&[&model, &version, came]).set(n);
            }
            self.shadow_difference.with_label_values(&[&model, &version]).set(counts.mean_difference);
        }
    }
}
