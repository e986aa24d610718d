//! `/metrics`: what Prometheus reads. Labels are from closed lists (routes as patterns, methods, statuses, stages, models),
//! so that no client can make them grow.

use super::alerts::Gauges;
use super::decisions::Meters;
use super::failure::Failure;
use super::monitoring;
use super::timings::{Stage, Timings};
use crate::app::Shared;
use crate::flow::Reason;
use crate::flow::gate::Class;
use crate::retention;
use axum::extract::State;
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use prometheus::core::Collector;
use prometheus::{
    Gauge, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};
use statera_core::{Error, Result};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Upper bounds of latencies, seconds: fine around what is aimed at, a millisecond or two.
const SECONDS: &[f64] = &[
    25e-6, 50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 1.5e-3, 2e-3, 3e-3, 5e-3, 7.5e-3, 10e-3, 25e-3, 50e-3, 0.1, 0.25, 0.5,
    1.0, 2.5, 10.0,
];

/// What the rate of overrides is of.
const OVERRIDE_RATE: &str = "Share of the last 30 days' approvals and declines that people overrode, counted every ten \
                             minutes; not a number before that, without decisions, and where there are more than are \
                             counted";
/// What the versions above the limit are.
const OVERRIDE_FLAGS: &str = "Versions whose override rate is above the limit, or not known because more was decided than is \
                              counted";
/// The window of both.
const OVERRIDE_WINDOW: &str = "The last so many seconds whose decisions were all counted for the override rate; less than 30 \
                               days: more was decided than is counted";

/// Everything that is counted.
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    request_seconds: HistogramVec,
    stage_seconds: Vec<Histogram>,
    commit_seconds: Histogram,
    /// Of decisions.
    pub decisions: Arc<Meters>,
    /// Copied from where they are counted when somebody reads.
    pulled: Mutex<Pulled>,
}

struct Pulled {
    in_flight: IntGaugeVec,
    waiting: IntGaugeVec,
    refused: IntCounterVec,
    connections: IntGauge,
    connections_refused: IntCounter,
    log_lines_dropped: IntCounter,
    ready: IntGauge,
    /// Versions in memory, and failures to load them.
    model_versions: IntGaugeVec,
    model_failures: IntGauge,
    shadow_rows: IntCounterVec,
    resident_bytes: Gauge,
    /// Of the last thirty days, as they were counted last.
    override_rate: Gauge,
    override_rate_max: Gauge,
    override_flags: IntGauge,
    override_window: Gauge,
    alerts: Gauges,
    retention: retention::Gauges,
}

impl Metrics {
    /// With nothing counted.
    ///
    /// # Errors
    /// None that a user could cause: a name that is registered twice.
    pub fn new() -> Result<Metrics> {
        let registry = Registry::new();
        let stages = histograms(&registry, "statera_stage_seconds", "Time of a request by stage", "stage")?;
        let info = int_gauges(&registry, "statera_build_info", "1, with the version as label", &["version"])?;
        info.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let commits = "Time of the store's commits until they are on disk, each of a group of records";
        let commits = HistogramOpts::new("statera_store_commit_seconds", commits).buckets(SECONDS.to_vec());
        let requests = "Requests answered, by route, method and status";
        Ok(Metrics {
            requests: int_counters(&registry, "statera_requests_total", requests, &["route", "method", "status"])?,
            request_seconds: histograms(&registry, "statera_request_seconds", "Time to the answer, by route", "route")?,
            stage_seconds: Stage::ALL.iter().map(|s| stages.with_label_values(&[s.name()])).collect(),
            commit_seconds: registered(&registry, Histogram::with_opts(commits))?,
            decisions: Arc::new(Meters::new(&registry).map_err(wrong)?),
            pulled: Mutex::new(Pulled::new(&registry)?),
            registry,
        })
    }

    /// What the store tells how long its commits take.
    pub fn commit_timer(&self) -> statera_store::CommitTimer {
        let histogram = self.commit_seconds.clone();
        Box::new(move |time| histogram.observe(time.as_secs_f64()))
    }

    /// Counts an answer.
    pub fn answered(&self, route: &str, method: &Method, status: StatusCode, time: Duration, timings: &Timings) {
        self.requests.with_label_values(&[route, known(method), status.as_str()]).inc();
        // What is refused in microseconds would make the answers look faster than they are.
        if status != StatusCode::TOO_MANY_REQUESTS && status != StatusCode::SERVICE_UNAVAILABLE {
            self.request_seconds.with_label_values(&[route]).observe(time.as_secs_f64());
        }
        for (stage, histogram) in Stage::ALL.into_iter().zip(&self.stage_seconds) {
            let ns = timings.ns(stage);
            if ns > 0 {
                histogram.observe(ns as f64 / 1e9);
            }
        }
    }

    /// The text that Prometheus reads.
    ///
    /// # Errors
    /// None that a user could cause.
    pub fn text(&self, app: &Shared) -> Result<String> {
        // Held until the text is written: two readers would count the same increase twice.
        let pulled = self.pulled.lock().unwrap_or_else(PoisonError::into_inner);
        pulled.pull(app);
        TextEncoder::new().encode_to_string(&self.registry.gather()).map_err(wrong)
    }
}

impl Pulled {
    fn new(registry: &Registry) -> Result<Pulled> {
        let gauge = |name: &str, help: &str| registered(registry, IntGauge::new(name, help));
        let counter = |name: &str, help: &str| registered(registry, IntCounter::new(name, help));
        let rate = |name: &str, help: &str| registered(registry, Gauge::new(name, help));
        let versions = "1 for each version of a model that may answer";
        let shadow = "Rows of shadow challengers since they were loaded, by outcome";
        let refused = "Requests refused by flow control, by reason";
        Ok(Pulled {
            in_flight: int_gauges(registry, "statera_in_flight", "Units of work in flight, by class", &["class"])?,
            waiting: int_gauges(registry, "statera_waiting", "Requests that wait for a place, by class", &["class"])?,
            refused: int_counters(registry, "statera_refused_total", refused, &["reason"])?,
            connections: gauge("statera_connections", "Connections that are open")?,
            connections_refused: counter("statera_connections_refused_total", "Connections beyond the limits")?,
            log_lines_dropped: counter("statera_log_lines_dropped_total", "Log lines that nobody took in time")?,
            ready: gauge("statera_ready", "1 if /health/ready says so")?,
            model_versions: int_gauges(registry, "statera_model_version", versions, &["model", "version"])?,
            model_failures: gauge("statera_model_failures", "Versions that could not be loaded")?,
            shadow_rows: int_counters(registry, "statera_shadow_rows_total", shadow, &["model", "version", "outcome"])?,
            resident_bytes: rate("statera_resident_bytes", "Memory of the process that is resident")?,
            override_rate: rate("statera_override_rate", OVERRIDE_RATE)?,
            override_rate_max: rate("statera_override_rate_max", "The limit of override rates, from the settings")?,
            override_flags: gauge("statera_override_flags", OVERRIDE_FLAGS)?,
            override_window: rate("statera_override_window_seconds", OVERRIDE_WINDOW)?,
            alerts: Gauges::new(registry).map_err(wrong)?,
            retention: retention::Gauges::new(registry).map_err(wrong)?,
        })
    }

    fn pull(&self, app: &Shared) {
        let load = app.flow.load();
        for class in Class::ALL {
            let label = &[class.name()];
            self.in_flight.with_label_values(label).set(i64::from(load.in_flight[class as usize]));
            self.waiting.with_label_values(label).set(load.waiting[class as usize] as i64);
        }
        for reason in Reason::ALL {
            raise(&self.refused.with_label_values(&[reason.name()]), app.flow.refused(reason));
        }
        self.connections.set(app.guests.open() as i64);
        raise(&self.connections_refused, app.guests.refused());
        raise(&self.log_lines_dropped, crate::log::dropped());
        self.ready.set(i64::from(app.health.is_ready()));
        self.pull_models(app);
        self.alerts.pull(&app.alerts);
        self.retention.pull(&app.retention);
        self.resident_bytes.set(resident_bytes().unwrap_or(0.0));
        self.pull_overrides(app);
    }

    fn pull_overrides(&self, app: &Shared) {
        self.override_rate_max.set(app.settings.monitoring.override_rate_max);
        let report = app.monitoring.watched();
        let rate = report.as_ref().and_then(|report| report.total.override_rate.rate);
        self.override_rate.set(rate.unwrap_or(f64::NAN));
        self.override_window.set(report.as_ref().map_or(f64::NAN, |report| report.counted_us as f64 / 1e6));
        let flags = report.map_or(0, |r| r.versions.iter().filter(|v| v.figures.verdict.is_flagged()).count());
        self.override_flags.set(flags as i64);
    }

    fn pull_models(&self, app: &Shared) {
        // What answers no more is no longer told.
        self.model_versions.reset();
        self.model_failures.set(app.models.status().failures.len() as i64);
        for (model, version) in app.models.answering() {
            self.model_versions.with_label_values(&[model.as_str(), &version.to_string()]).set(1);
        }
        for (model, version, counts) in app.models.tallies() {
            let version = version.to_string();
            let outcomes = [
                ("agreed", counts.agreed),
                ("disagreed", counts.scored.saturating_sub(counts.agreed)),
                ("dropped", counts.dropped),
                ("failed", counts.failed),
            ];
            for (outcome, n) in outcomes {
                let counter = self.shadow_rows.with_label_values(&[model.as_str(), &version, outcome]);
                // A challenger that was loaded again counts from the beginning.
                if n < counter.get() {
                    counter.reset();
                }
                raise(&counter, n);
            }
        }
    }
}

/// Answers `/metrics`.
pub async fn metrics(State(app): State<Shared>) -> Response {
    monitoring::refresh(&app);
    match app.metrics.text(&app) {
        Ok(text) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response(),
        Err(e) => Failure::from(e).into_response(),
    }
}

/// Brings a counter to what was counted elsewhere.
fn raise(counter: &IntCounter, to: u64) {
    counter.inc_by(to.saturating_sub(counter.get()));
}

/// The method, if it is one that the server has.
fn known(method: &Method) -> &str {
    const KNOWN: [Method; 7] =
        [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::DELETE, Method::PATCH, Method::OPTIONS];
    KNOWN.iter().find(|known| *known == method).map_or("other", Method::as_str)
}

/// Resident memory of this process, bytes, where the system tells it.
fn resident_bytes() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: f64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kib * 1_024.0)
}

fn wrong(e: prometheus::Error) -> Error {
    Error::io(format!("metrics: {e}"))
}

fn registered<C: Collector + Clone + 'static>(registry: &Registry, made: prometheus::Result<C>) -> Result<C> {
    let metric = made.map_err(wrong)?;
    registry.register(Box::new(metric.clone())).map_err(wrong)?;
    Ok(metric)
}

fn histograms(registry: &Registry, name: &str, help: &str, label: &str) -> Result<HistogramVec> {
    let options = HistogramOpts::new(name, help).buckets(SECONDS.to_vec());
    registered(registry, HistogramVec::new(options, &[label]))
}

fn int_gauges(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec> {
    registered(registry, IntGaugeVec::new(Opts::new(name, help), labels))
}

fn int_counters(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec> {
    registered(registry, IntCounterVec::new(Opts::new(name, help), labels))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_of_clients_own_making_are_one_label() {
        assert_eq!(known(&Method::POST), "POST");
        assert_eq!(known(&Method::from_bytes(b"SMUGGLE").expect("a method")), "other");
    }

    #[test]
    fn refusals_do_not_make_answers_look_fast() {
        let metrics = Metrics::new().expect("metrics");
        let timings = Timings::default();
        timings.add(Stage::Score, Duration::from_micros(40));
        let answered = |status| metrics.answered("/r", &Method::GET, status, Duration::from_millis(4), &timings);
        answered(StatusCode::OK);
        answered(StatusCode::SERVICE_UNAVAILABLE);
        let text = TextEncoder::new().encode_to_string(&metrics.registry.gather()).expect("text");
        for line in [
            "statera_requests_total{method=\"GET\",route=\"/r\",status=\"200\"} 1",
            "statera_requests_total{method=\"GET\",route=\"/r\",status=\"503\"} 1",
            "statera_request_seconds_count{route=\"/r\"} 1",
            "statera_request_seconds_bucket{route=\"/r\",le=\"0.003\"} 0",
            "statera_request_seconds_bucket{route=\"/r\",le=\"0.005\"} 1",
            "statera_stage_seconds_bucket{stage=\"score\",le=\"0.00005\"} 2",
        ] {
            assert!(text.lines().any(|l| l == line), "«{line}» is not in\n{text}");
        }
    }
}
