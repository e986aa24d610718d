//! Counts of decisions as they add up, and the figures that are told of them.

use super::scan::Fate;
use crate::http::decisions::Counts;
use serde::Serialize;
use statera::policy::Decision;
use statera_core::metric::{Z_95, wilson};
use std::collections::BTreeMap;

/// From what the model decided (none without a policy) to what holds now, by their names.
pub(super) type Direction = (&'static str, &'static str);

/// What a direction is called that begins where the model decided nothing.
const UNDECIDED: &str = "none";

impl Fate {
    /// Where the row was overridden to; none if nobody did, or if it was undone.
    pub(super) fn direction(&self) -> Option<Direction> {
        let person = self.person.as_ref()?;
        let from = person.from.map_or(UNDECIDED, Decision::name);
        (from != person.to.name()).then(|| (from, person.to.name()))
    }
}

/// True for a direction against what the model decided. A row that the policy sends to a person is settled by that, not
/// overridden.
fn is_against((from, _): Direction) -> bool {
    [Decision::Approve.name(), Decision::Decline.name()].contains(&from)
}

/// What became of rows.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Outcomes {
    pub good: u64,
    pub bad: u64,
    /// Only outcomes that are neither.
    pub other: u64,
    /// Good and bad ones of the same row.
    pub contradictory: u64,
    /// Nothing yet.
    pub unknown: u64,
}

impl Outcomes {
    fn count(&mut self, fate: &Fate) {
        let n = match (fate.is_good, fate.is_bad) {
            (true, true) => &mut self.contradictory,
            (true, false) => &mut self.good,
            (false, true) => &mut self.bad,
            (false, false) if fate.is_other => &mut self.other,
            (false, false) => &mut self.unknown,
        };
        *n += 1;
    }

    fn add(&mut self, more: &Outcomes) {
        self.good += more.good;
        self.bad += more.bad;
        self.other += more.other;
        self.contradictory += more.contradictory;
        self.unknown += more.unknown;
    }

    fn n_rows(&self) -> u64 {
        self.good + self.bad + self.other + self.contradictory + self.unknown
    }

    fn told(&self) -> OutcomesTold {
        OutcomesTold {
            decisions: self.n_rows(),
            good: self.good,
            bad: self.bad,
            other: self.other,
            contradictory: self.contradictory,
            unknown: self.unknown,
            bad_rate: Share::of(self.bad, self.good + self.bad),
        }
    }
}

/// Rows that people decided otherwise, by direction.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Acts(BTreeMap<Direction, Outcomes>);

impl Acts {
    pub(super) fn count(&mut self, direction: Direction, fate: &Fate) {
        self.0.entry(direction).or_default().count(fate);
    }

    /// All directions against the model's decisions, or all others.
    fn all(&self, against: bool) -> Outcomes {
        let mut all = Outcomes::default();
        self.0.iter().filter(|(direction, _)| is_against(**direction) == against).for_each(|(_, n)| all.add(n));
        all
    }

    fn directions(&self) -> Vec<DirectionTold> {
        let told = |(&(from, to), outcomes): (&Direction, &Outcomes)| DirectionTold { from, to, of: outcomes.told() };
        self.0.iter().map(told).collect()
    }

    /// What is told of a person or a reason; `n_overridden` is of all of them.
    pub(super) fn told(&self, n_overridden: u64) -> ActsTold {
        let overridden = self.all(true);
        ActsTold {
            share: Share::of(overridden.n_rows(), n_overridden),
            overridden: overridden.told(),
            settled: self.all(false).n_rows(),
            directions: self.directions(),
        }
    }
}

/// Counts of a version's decisions, or of all.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Figures {
    n_rows: u64,
    counts: Counts,
    n_undone: u64,
    acts: Acts,
    /// Of rows that stand as the model decided them.
    untouched: Outcomes,
}

impl Figures {
    /// Counts a request: its rows, how the model decided them, and what became of those of which more is known.
    pub(super) fn count(&mut self, n_rows: usize, counts: Option<Counts>, fates: &[Fate]) {
        self.n_rows += n_rows as u64;
        let counts = counts.unwrap_or_default();
        self.counts.approve += counts.approve;
        self.counts.review += counts.review;
        self.counts.decline += counts.decline;
        for fate in fates {
            match fate.direction() {
                Some(direction) => self.acts.count(direction, fate),
                None => {
                    self.untouched.count(fate);
                    self.n_undone += u64::from(fate.person.is_some());
                }
            }
        }
        self.untouched.unknown += n_rows.saturating_sub(fates.len()) as u64;
    }

    /// Rows that were decided otherwise than by the model.
    pub(super) fn n_overridden(&self) -> u64 {
        self.acts.all(true).n_rows()
    }

    /// What is told; `rate_max` is the limit of the settings. Where not all decisions were counted, of which overrides were,
    /// there is no rate.
    pub(super) fn told(&self, rate_max: f64, is_complete: bool) -> FiguresTold {
        let overridden = self.acts.all(true);
        let n_decided = (self.counts.approve + self.counts.decline) as u64;
        let (n, of) = (overridden.n_rows(), n_decided);
        let rate = if is_complete { Share::of(n, of) } else { Share { n, of, rate: None, low: None, high: None } };
        let verdict = if is_complete { Verdict::of(&rate, rate_max) } else { Verdict::Incomplete };
        FiguresTold {
            decisions: self.n_rows,
            approve: self.counts.approve as u64,
            review: self.counts.review as u64,
            decline: self.counts.decline as u64,
            verdict,
            override_rate: rate,
            undone: self.n_undone,
            directions: self.acts.directions(),
            overridden: overridden.told(),
            settled: self.acts.all(false).told(),
            not_overridden: self.untouched.told(),
        }
    }
}

/// A share with its 95 % interval (Wilson 1927); without rows, or where not all were counted, there is none.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Share {
    /// How many.
    pub n: u64,
    /// Of how many.
    pub of: u64,
    pub rate: Option<f64>,
    pub low: Option<f64>,
    pub high: Option<f64>,
}

impl Share {
    pub(super) fn of(n: u64, of: u64) -> Share {
        let rate = (of > 0).then(|| n as f64 / of as f64);
        let (low, high) = rate.map(|rate| wilson(rate, of as f64, Z_95)).unzip();
        Share { n, of, rate, low, high }
    }
}

/// A rate beside its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verdict {
    /// Nothing was decided.
    Nothing,
    /// At most the limit.
    Within,
    /// Above the limit, but so few decisions that chance may be the cause: the interval reaches down to the limit.
    Above,
    /// Above it with the whole interval.
    ClearlyAbove,
    /// Not known: more was decided than is counted.
    Incomplete,
}

impl Verdict {
    pub(super) fn of(rate: &Share, max: f64) -> Verdict {
        match (rate.rate, rate.low) {
            (Some(rate), _) if rate <= max => Verdict::Within,
            (Some(_), Some(low)) if low > max => Verdict::ClearlyAbove,
            (Some(_), _) => Verdict::Above,
            (None, _) => Verdict::Nothing,
        }
    }

    /// True where the limit is exceeded, or nobody can say that it is not.
    pub(crate) fn is_flagged(self) -> bool {
        matches!(self, Verdict::Above | Verdict::ClearlyAbove | Verdict::Incomplete)
    }
}

/// What became of some rows.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct OutcomesTold {
    pub decisions: u64,
    pub good: u64,
    pub bad: u64,
    /// Outcomes that count as neither.
    pub other: u64,
    /// Good and bad ones of one decision; in no rate.
    pub contradictory: u64,
    /// No outcome yet.
    pub unknown: u64,
    /// Bad ones of good and bad ones.
    pub bad_rate: Share,
}

/// One way in which people decided otherwise.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct DirectionTold {
    pub from: &'static str,
    pub to: &'static str,
    #[serde(flatten)]
    pub of: OutcomesTold,
}

/// What people did, of one person or for one reason.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct ActsTold {
    /// Of everything that was overridden.
    pub share: Share,
    pub overridden: OutcomesTold,
    /// Decided where the policy asked for a person, or where there was none.
    pub settled: u64,
    pub directions: Vec<DirectionTold>,
}

/// What is told of a version, or of all.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct FiguresTold {
    /// Rows that were decided or scored.
    pub decisions: u64,
    pub approve: u64,
    pub review: u64,
    pub decline: u64,
    /// Overridden of those that the model approved or declined.
    pub override_rate: Share,
    pub verdict: Verdict,
    /// Overridden and put back.
    pub undone: u64,
    pub directions: Vec<DirectionTold>,
    /// What became of those that were overridden, of those that a person had to decide, and of all others.
    pub overridden: OutcomesTold,
    pub settled: OutcomesTold,
    pub not_overridden: OutcomesTold,
}
