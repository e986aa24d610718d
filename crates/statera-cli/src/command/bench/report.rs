//! What a load came to: figures for people and for machines.

use super::load::Loaded;
use super::plan::{Pace, Plan, Target};
use super::tally::{SERVICE, Second, Tally, Times};
use serde::Serialize;

/// Upper ends of the picture's bars, milliseconds; the last bar has the rest.
const ENDS_MS: [f64; 20] = [
    0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0, 7.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 5000.0,
];
/// Share of the target's rate that must be reached: the last answers end after the last second.
const RATE_SHARE: f64 = 0.99;
/// A request that is sent later than this, milliseconds, is late.
const LATE_MS: f64 = 1.0;

/// A load's figures.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Where to.
    pub url: String,
    /// Requests a second; of a closed loop it is not known beforehand.
    pub rate: Option<f64>,
    /// Seconds that were counted, to the last answer.
    pub seconds: f64,
    /// Connections.
    pub connections: usize,
    /// Requests that differ by more than their names.
    pub n_different: usize,
    /// Requests that were due.
    pub n_requests: u64,
    /// Good answers.
    pub n_good: u64,
    /// Good answers a second.
    pub good_per_second: f64,
    /// Rows of good answers a second.
    pub rows_per_second: f64,
    /// Of good answers, from when the request was due.
    pub latency: Option<Quantiles>,
    /// Of good answers, from when the request was sent: what a client that waits for each answer would have seen.
    pub service: Option<Quantiles>,
    /// Of 429 and 503, from when the request was due.
    pub refusals: Option<Quantiles>,
    /// Share of the requests that were sent more than a millisecond late, because every connection was busy or the client slow.
    pub share_late: f64,
    /// Share of the requests without a good answer.
    pub share_bad: f64,
    /// By kind.
    pub problems: Vec<ProblemCount>,
    /// Where the time of sampled requests went.
    pub stages: Vec<Stage>,
    /// How many latencies lie where.
    pub picture: Vec<Bar>,
    /// Second by second.
    pub timeline: Vec<Second>,
    /// What was to be reached.
    pub verdict: Option<Verdict>,
    /// True if the user ended it.
    pub is_interrupted: bool,
}

/// Milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Quantiles {
    pub n: u64,
    pub mean_ms: f64,
    pub p50_ms: f64,
    pub p90_ms: f64,
    pub p99_ms: f64,
    pub p99_9_ms: f64,
    pub max_ms: f64,
}

/// How often something went wrong.
#[derive(Debug, Serialize)]
pub struct ProblemCount {
    pub kind: String,
    pub n: u64,
    /// What the server or the machine said the first time.
    pub example: String,
}

/// A stage of a request.
#[derive(Debug, Serialize)]
pub struct Stage {
    pub name: String,
    #[serde(flatten)]
    pub times: Quantiles,
    /// Mean over the mean time from sent to answered.
    pub share: f64,
}

/// A bar of the picture.
#[derive(Debug, PartialEq, Serialize)]
pub struct Bar {
    pub from_ms: f64,
    /// None: no end.
    pub to_ms: Option<f64>,
    pub n: u64,
}

/// Whether the target was reached.
#[derive(Debug, Serialize)]
pub struct Verdict {
    pub pass: bool,
    pub checks: Vec<Check>,
}

/// One of its conditions.
#[derive(Debug, Serialize)]
pub struct Check {
    /// What was measured and what was allowed, in words.
    pub words: String,
    pub pass: bool,
}

impl Report {
    /// The figures of a load.
    pub fn of(loaded: &Loaded) -> Report {
        let Loaded { plan, tally, is_interrupted } = loaded;
        let n_good = tally.latency.len();
        let n_bad: u64 = tally.problems.values().map(|p| p.n).sum();
        let n_requests = n_good + n_bad;
        let seconds = seconds(plan, tally, *is_interrupted);
        let good_per_second = n_good as f64 / seconds;
        let problems = tally.problems.iter();
        let mut report = Report {
            url: plan.url.text.clone(),
            rate: match plan.pace {
                Pace::Open { rate } => Some(rate),
                Pace::Closed => None,
            },
            seconds,
            connections: plan.connections,
            n_different: plan.requests.n_different(),
            n_requests,
            n_good,
            good_per_second,
            rows_per_second: good_per_second * plan.rows_each as f64,
            latency: quantiles(&tally.latency),
            service: quantiles(&tally.service),
            refusals: quantiles(&tally.refusal),
            share_late: share_late(&tally.lag),
            share_bad: if n_requests == 0 { 0.0 } else { n_bad as f64 / n_requests as f64 },
            problems: problems
                .map(|(kind, p)| ProblemCount { kind: kind.to_string(), n: p.n, example: p.example.clone() })
                .collect(),
            stages: stages(tally),
            picture: picture(&tally.latency),
            timeline: tally.seconds.clone(),
            verdict: None,
            is_interrupted: *is_interrupted,
        };
        report.verdict = plan.target.map(|target| verdict(&report, target));
        report
    }
}

/// Seconds that good answers are divided by: the planned ones, or more if the last answer came later. What ends by its
/// number of requests ends with the last answer.
fn seconds(plan: &Plan, tally: &Tally, is_interrupted: bool) -> f64 {
    let planned = plan.until - plan.counted_from;
    let needed = tally.last.saturating_sub(plan.counted_from);
    let by_number = plan.n_requests < plan.n_due_before(plan.until);
    let counted = if is_interrupted || by_number { needed } else { needed.max(planned) };
    counted.as_secs_f64().max(1e-9)
}

fn quantiles(times: &Times) -> Option<Quantiles> {
    let ms = |share: f64| times.value_at_quantile(share) as f64 / 1e6;
    (!times.is_empty()).then(|| Quantiles {
        n: times.len(),
        mean_ms: times.mean() / 1e6,
        p50_ms: ms(0.5),
        p90_ms: ms(0.9),
        p99_ms: ms(0.99),
        p99_9_ms: ms(0.999),
        max_ms: times.max() as f64 / 1e6,
    })
}

fn share_late(lag: &Times) -> f64 {
    if lag.is_empty() { 0.0 } else { 1.0 - lag.quantile_below((LATE_MS * 1e6) as u64) }
}

fn stages(tally: &Tally) -> Vec<Stage> {
    let whole = tally.stages.iter().find(|(name, _)| name == SERVICE).map_or(f64::NAN, |(_, times)| times.mean() / 1e6);
    let stage = |(name, times): &(String, Times)| {
        quantiles(times).map(|times| Stage { name: name.clone(), share: times.mean_ms / whole, times })
    };
    tally.stages.iter().filter_map(stage).collect()
}

/// Bars from the first to the last that has an answer.
fn picture(times: &Times) -> Vec<Bar> {
    let mut bars: Vec<Bar> = Vec::new();
    let (mut from_ms, mut below) = (0.0, 0);
    for to_ms in ENDS_MS.iter().copied().map(Some).chain([None]) {
        let upto = to_ms.map_or(times.len(), |ms| times.count_between(0, (ms * 1e6) as u64));
        bars.push(Bar { from_ms, to_ms, n: upto - below });
        (from_ms, below) = (to_ms.unwrap_or(from_ms), upto);
    }
    let first = bars.iter().position(|b| b.n > 0).unwrap_or(bars.len());
    let end = bars.iter().rposition(|b| b.n > 0).map_or(first, |last| last + 1);
    bars.drain(first..end).collect()
}

fn verdict(report: &Report, target: Target) -> Verdict {
    let least = target.rate * RATE_SHARE;
    let rate = report.good_per_second;
    let p99 = report.latency.map(|l| l.p99_ms);
    let checks = vec![
        Check {
            words: format!("{rate:.1} good answers a second, at least {least:.1} (99 % of {})", target.rate),
            pass: rate >= least,
        },
        Check {
            words: match p99 {
                Some(ms) => format!("99 % within {ms:.2} ms, at most {} ms", target.p99_ms),
                None => "no good answer".into(),
            },
            pass: p99.is_some_and(|ms| ms <= target.p99_ms),
        },
        Check {
            words: format!(
                "{:.3} % without a good answer, at most {:.3} %",
                100.0 * report.share_bad,
                100.0 * target.errors
            ),
            pass: report.share_bad <= target.errors,
        },
    ];
    Verdict { pass: checks.iter().all(|c| c.pass), checks }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::bench::tally::times;

    #[test]
    fn the_picture_has_every_answer_once() {
        let mut found = times(3);
        for ms in [0.15, 0.16, 0.6, 4.0, 9_000.0] {
            found.saturating_record((ms * 1e6) as u64);
        }
        let bars = picture(&found);
        assert_eq!(bars.iter().map(|b| b.n).sum::<u64>(), 5);
        assert_eq!(bars[0], Bar { from_ms: 0.1, to_ms: Some(0.2), n: 2 });
        assert_eq!(bars.last(), Some(&Bar { from_ms: 5000.0, to_ms: None, n: 1 }));
        assert!(picture(&times(3)).is_empty());
    }

    #[test]
    fn quantiles_are_those_of_the_values() {
        let mut found = times(3);
        (1..=1000).for_each(|i| found.saturating_record(i * 1_000_000));
        let q = quantiles(&found).expect("values");
        for (ms, expected) in
            [(q.p50_ms, 500.0), (q.p90_ms, 900.0), (q.p99_ms, 990.0), (q.p99_9_ms, 999.0), (q.max_ms, 1000.0)]
        {
            assert!((ms / expected - 1.0).abs() < 2e-3, "{ms} for {expected}");
        }
        assert!(quantiles(&times(3)).is_none());
    }
}
