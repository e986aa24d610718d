//! What Prometheus reads of the queue: counted in the store now and then, and copied where somebody reads.

use super::AlertsSettings;
use prometheus::{Gauge, IntGauge, IntGaugeVec, Opts, Registry};
use statera_core::Result;
use statera_store::Store;
use statera_store::alert::CaseCounts;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Between two counts.
const EVERY: Duration = Duration::from_secs(10);

/// The last count.
#[derive(Default)]
pub struct Watch {
    last: Mutex<Option<(Instant, Seen)>>,
}

/// A count and when it was made, microseconds since 1970 UTC.
#[derive(Debug, Clone, Copy)]
struct Seen {
    counts: CaseCounts,
    at_us: i64,
    capacity: u32,
}

impl Watch {
    fn last(&self) -> MutexGuard<'_, Option<(Instant, Seen)>> {
        // It is replaced as a whole.
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts, if the last count is old.
    ///
    /// # Errors
    /// A store that does not answer.
    pub fn look(&self, store: &dyn Store, settings: &AlertsSettings) -> Result<()> {
        if self.last().as_ref().is_some_and(|(at, _)| at.elapsed() < EVERY) {
            return Ok(());
        }
        self.count(store, settings)
    }

    /// Counts.
    ///
    /// # Errors
    /// A store that does not answer.
    pub fn count(&self, store: &dyn Store, settings: &AlertsSettings) -> Result<()> {
        let at_us = statera_store::now_us();
        let counts = store.case_counts(settings.kept_us(at_us), settings.shift(at_us).began_us)?;
        *self.last() = Some((Instant::now(), Seen { counts, at_us, capacity: settings.capacity }));
        Ok(())
    }
}

/// The gauges.
pub struct Gauges {
    waiting: IntGaugeVec,
    shift: IntGaugeVec,
    oldest_seconds: IntGauge,
    within_capacity: Gauge,
}

impl Gauges {
    /// With nothing counted, in a registry of metrics.
    ///
    /// # Errors
    /// A name that is registered twice.
    pub fn new(registry: &Registry) -> prometheus::Result<Gauges> {
        let waiting = Opts::new("statera_alerts", "Cases that wait for nobody yet (open) or somebody (assigned)");
        let shift = Opts::new("statera_alerts_shift", "Cases of this shift: opened, confirmed, dismissed");
        let share = "Share of the waiting cases that this shift has room for; 1 where none waits";
        let gauges = Gauges {
            waiting: IntGaugeVec::new(waiting, &["state"])?,
            shift: IntGaugeVec::new(shift, &["what"])?,
            oldest_seconds: IntGauge::new("statera_alerts_oldest_seconds", "Age of the oldest waiting case")?,
            within_capacity: Gauge::new("statera_alerts_within_capacity", share)?,
        };
        registry.register(Box::new(gauges.waiting.clone()))?;
        registry.register(Box::new(gauges.shift.clone()))?;
        registry.register(Box::new(gauges.oldest_seconds.clone()))?;
        registry.register(Box::new(gauges.within_capacity.clone()))?;
        Ok(gauges)
    }

    /// Copies the last count.
    pub fn pull(&self, watch: &Watch) {
        let Some((_, Seen { counts, at_us, capacity })) = *watch.last() else { return };
        let set = |gauges: &IntGaugeVec, label: &str, n: u64| gauges.with_label_values(&[label]).set(n as i64);
        set(&self.waiting, "open", counts.open);
        set(&self.waiting, "assigned", counts.assigned);
        set(&self.shift, "opened", counts.opened);
        set(&self.shift, "confirmed", counts.confirmed);
        set(&self.shift, "dismissed", counts.dismissed);
        let age_us = counts.oldest_us.map_or(0, |opened_us| (at_us - opened_us).max(0));
        self.oldest_seconds.set(age_us / 1_000_000);
        let left = u64::from(capacity).saturating_sub(counts.confirmed + counts.dismissed);
        let waiting = counts.open + counts.assigned;
        self.within_capacity.set(if waiting == 0 { 1.0 } else { left.min(waiting) as f64 / waiting as f64 });
    }
}
