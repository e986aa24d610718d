//! `policy.toml`: from a probability to a grade and a decision.
//!
//! Grades are ranges of the probability on a master scale that covers 0 to 1. A row is approved below one probability and
//! declined from another; what lies between is reviewed by people. Both follow from what mistakes cost or what loans
//! earn, given as the file says it; how many rows can be reviewed decides how far apart they lie.

#[cfg(test)]
mod tests;
mod what_if;

pub use what_if::{Alternative, Outcomes, WhatIf, what_if};
pub(crate) use what_if::{ascending, shares_at_rate};

use crate::note::Note;
use serde::{Deserialize, Serialize};
use statera_core::{Error, Result};
use statera_data::toml_text;

/// Name of the file in a bundle, and its place in messages.
pub const POLICY_FILE: &str = "policy.toml";

/// Most grades of a master scale.
const MAX_GRADES: usize = 100;

/// The whole file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// Which policy this is; stands beside every decision.
    pub version: String,
    /// Where approval ends.
    pub decision: DecisionRule,
    /// Share of the rows that people can review, 0 (the default) to below 1.
    #[serde(default)]
    pub review_capacity: f64,
    /// The master scale, from the lowest probability to the highest; without one rows have no grade.
    #[serde(default)]
    pub grade: Vec<Grade>,
}

/// Where approval ends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "snake_case", deny_unknown_fields)]
pub enum DecisionRule {
    /// By what mistakes cost, in any unit, both above 0: decline from the probability at which both cost the same.
    Cost {
        /// Of approving a row that has the event.
        bad_approved: f64,
        /// Of declining a row that has not.
        good_declined: f64,
    },
    /// By what loans earn, in any unit or as a share of the amount, both above 0: decline where a loan earns nothing.
    Profit {
        /// Earned by a loan without the event.
        good: f64,
        /// Lost by a loan with it.
        bad: f64,
    },
    /// At a probability of the bank's own, above 0 and below 1.
    Cutoff {
        /// Declined from here.
        decline_from: f64,
    },
}

/// A range of probabilities.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grade {
    /// Such as `A1`; unique.
    pub name: String,
    /// Lowest probability in it.
    pub from: f64,
    /// Lowest probability above it; 1 belongs to the last grade.
    pub to: f64,
}

/// What is done with a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Below [`Cutoffs::review_from`].
    Approve,
    /// Between the two.
    Review,
    /// From [`Cutoffs::decline_from`].
    Decline,
}

impl Decision {
    /// Its name in files.
    pub fn name(self) -> &'static str {
        match self {
            Decision::Approve => "approve",
            Decision::Review => "review",
            Decision::Decline => "decline",
        }
    }
}

/// What a policy comes to for a model: `policy.json` of its bundle.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cutoffs {
    /// Reviewed from this probability.
    pub review_from: f64,
    /// Declined from this probability, which is at least the other.
    pub decline_from: f64,
}

impl Cutoffs {
    /// What is done with a row of a probability.
    pub fn decide(&self, probability: f64) -> Decision {
        if probability >= self.decline_from {
            Decision::Decline
        } else if probability >= self.review_from {
            Decision::Review
        } else {
            Decision::Approve
        }
    }
}

impl DecisionRule {
    /// The probability from which approving costs more than declining.
    pub fn cutoff(&self) -> f64 {
        match *self {
            // p · bad = (1 − p) · good
            DecisionRule::Cost { bad_approved: bad, good_declined: good } | DecisionRule::Profit { good, bad } => {
                let both = good + bad;
                // The halves of two numbers have a sum where the numbers have none.
                if both.is_finite() { good / both } else { good / 2.0 / (good / 2.0 + bad / 2.0) }
            }
            DecisionRule::Cutoff { decline_from } => decline_from,
        }
    }

    /// What a row brings by its outcome (`is_bad`) and decision: money earned, or minus what a mistake costs; `None` if the
    /// policy names neither.
    pub fn value(&self, is_bad: bool, is_approved: bool) -> Option<f64> {
        Some(match (self, is_bad, is_approved) {
            (DecisionRule::Cost { bad_approved, .. }, true, true) => -bad_approved,
            (DecisionRule::Cost { good_declined, .. }, false, false) => -good_declined,
            (DecisionRule::Profit { good, .. }, false, true) => *good,
            (DecisionRule::Profit { bad, .. }, true, true) => -bad,
            (DecisionRule::Cutoff { .. }, ..) => return None,
            _ => 0.0,
        })
    }

    fn check(&self) -> Result<()> {
        let above_0 = |name: &str, value: f64| {
            if value > 0.0 && value.is_finite() {
                return Ok(());
            }
            Err(Error::request(format!("decision: {name} is {value}; allowed: numbers above 0")))
        };
        match *self {
            DecisionRule::Cost { bad_approved, good_declined } => {
                above_0("bad_approved", bad_approved)?;
                above_0("good_declined", good_declined)
            }
            DecisionRule::Profit { good, bad } => {
                above_0("good", good)?;
                above_0("bad", bad)
            }
            DecisionRule::Cutoff { decline_from } if decline_from > 0.0 && decline_from < 1.0 => Ok(()),
            DecisionRule::Cutoff { decline_from } => Err(Error::request(format!(
                "decision: decline_from is {decline_from}; allowed: probabilities above 0 and below 1"
            ))),
        }
    }
}

impl Policy {
    /// Reads and checks the text of the file.
    ///
    /// # Errors
    /// Text that is not TOML, unknown keys, numbers outside their ranges, grades that overlap or leave gaps; the message names
    /// the file, the place, the value and what is allowed.
    pub fn parse(text: &str) -> Result<Policy> {
        let policy: Policy = toml_text::read(text, POLICY_FILE)?;
        policy.check().map_err(|e| e.at(POLICY_FILE))?;
        Ok(policy)
    }

    fn check(&self) -> Result<()> {
        if self.version.trim().is_empty() {
            return Err(Error::request("version is empty; it names the policy beside every decision"));
        }
        self.decision.check()?;
        if !(0.0..1.0).contains(&self.review_capacity) {
            let value = self.review_capacity;
            return Err(Error::request(format!("review_capacity is {value}; allowed: 0 to below 1")));
        }
        if self.grade.len() > MAX_GRADES {
            return Err(Error::request(format!("{} grades; allowed: at most {MAX_GRADES}", self.grade.len())));
        }
        let Some((first, last)) = self.grade.first().zip(self.grade.last()) else { return Ok(()) };
        for (i, grade) in self.grade.iter().enumerate() {
            let Grade { name, from, to } = grade;
            if name.trim().is_empty() || self.grade[..i].iter().any(|g| g.name == *name) {
                return Err(Error::request(format!("grade {}: the name «{name}» is empty or taken", i + 1)));
            }
            if from.is_nan() || to.is_nan() || from >= to {
                return Err(Error::request(format!(
                    "grade «{name}»: from {from} to {to}; allowed: from below to, both from 0 to 1"
                )));
            }
        }
        for pair in self.grade.windows(2) {
            let (end, begin) = (pair[0].to, pair[1].from);
            let what = match begin.total_cmp(&end) {
                std::cmp::Ordering::Equal => continue,
                std::cmp::Ordering::Less => "overlap",
                std::cmp::Ordering::Greater => "leave a gap",
            };
            return Err(Error::request(format!(
                "grades «{}» and «{}» {what}: one ends at {end}, the next begins at {begin}; allowed: the same number, \
                 grades in rising order",
                pair[0].name, pair[1].name
            )));
        }
        if first.from != 0.0 || last.to != 1.0 {
            return Err(Error::request(format!(
                "the grades cover {} to {}; allowed: 0 to 1, so that every probability has a grade",
                first.from, last.to
            )));
        }
        Ok(())
    }

    /// The grade of a probability; `None` without a master scale.
    pub fn grade_of(&self, probability: f64) -> Option<&str> {
        let above = self.grade.partition_point(|g| g.from <= probability);
        self.grade.get(above.checked_sub(1)?).map(|g| g.name.as_str())
    }

    /// The cut-offs, given the probabilities of rows like those that will be decided: as many as can be reviewed are, at most
    /// half of them on either side of the rule's cut-off. Where that would be all rows of a side, half of those are, so that a
    /// policy whose rule declines (or approves) somebody does so without review too.
    ///
    /// # Errors
    /// No probabilities although rows are to be reviewed.
    pub fn cutoffs(&self, probabilities: &[f64]) -> Result<Cutoffs> {
        let cutoff = self.decision.cutoff();
        if self.review_capacity == 0.0 {
            return Ok(Cutoffs { review_from: cutoff, decline_from: cutoff });
        }
        let mut sorted = probabilities.to_vec();
        sorted.sort_by(f64::total_cmp);
        if sorted.is_empty() {
            return Err(Error::data("there are no rows to tell how many would be reviewed"));
        }
        let Band { n_below, below, above, .. } = self.band(&sorted);
        // At most as many as the capacity allows; ties at an end are decided without review.
        let decline_from = if above == 0 { cutoff } else { sorted[n_below + above].max(cutoff) };
        let review_from = if below == 0 {
            cutoff
        } else {
            // There is a row before these, because a whole side is never taken.
            let first = n_below - below;
            let is_tied = sorted[first - 1] == sorted[first];
            let from = if is_tied { sorted.partition_point(|p| *p <= sorted[first]) } else { first };
            sorted.get(from).copied().unwrap_or(cutoff).min(cutoff)
        };
        Ok(Cutoffs { review_from, decline_from })
    }

    /// What the bank should know of its `review_capacity`: that fewer rows are reviewed than could be, because too few lie on
    /// one side of the rule's cut-off, or because rows of one probability have one decision; `None` if nine of ten can be.
    pub fn review_note(&self, probabilities: &[f64]) -> Option<Note> {
        let mut sorted = probabilities.to_vec();
        sorted.sort_by(f64::total_cmp);
        let Band { n_below, below, above, most } = self.band(&sorted);
        let n_above = sorted.len() - n_below;
        let percent = |n: usize| format!("{:.1}", 100.0 * n as f64 / sorted.len() as f64);
        let capacity = format!("{:.1}", 100.0 * self.review_capacity);
        if below + above >= most {
            let cutoffs = self.cutoffs(&sorted).ok()?;
            let reviewed = sorted.iter().filter(|p| cutoffs.decide(**p) == Decision::Review).count();
            let is_met = reviewed as f64 >= 0.9 * self.review_capacity * sorted.len() as f64;
            let values: [(&str, &dyn std::fmt::Display); 2] =
                [("capacity", &capacity), ("reviewed", &percent(reviewed))];
            return (!is_met).then(|| Note::new("review_ties", &values));
        }
        Some(Note::new(
            "review_capacity",
            &[
                ("capacity", &capacity),
                ("reviewed", &percent(below + above)),
                ("cutoff", &format!("{:.4}", self.decision.cutoff())),
                ("below", &percent(n_below)),
                ("above", &percent(n_above)),
            ],
        ))
    }

    /// Which of ascending probabilities are reviewed.
    fn band(&self, sorted: &[f64]) -> Band {
        let cutoff = self.decision.cutoff();
        let most = (self.review_capacity * sorted.len() as f64).floor() as usize;
        let n_below = sorted.partition_point(|p| *p < cutoff);
        let of_side = |half: usize, n: usize| if half < n { half } else { n / 2 };
        let (below, above) = (of_side(most / 2, n_below), of_side(most - most / 2, sorted.len() - n_below));
        Band { n_below, below, above, most }
    }
}

/// Rows around a cut-off.
struct Band {
    /// Rows below the cut-off.
    n_below: usize,
    /// Of them those that are reviewed, the nearest.
    below: usize,
    /// Rows from the cut-off that are reviewed.
    above: usize,
    /// As many as the capacity allows.
    most: usize,
}
