//! The swap set: whom two scores judge differently, and what that is worth.

use super::{
    DEFAULT_BOOTSTRAP, Interval, Ranking, auc, bootstrap,
    sample::{check_finite, check_length, check_target, check_varied, check_weight},
};
use crate::{Error, Result, Rng, Task};
use serde::{Deserialize, Serialize};

/// Applicants whose outcome is known and whom both scores have judged.
#[derive(Debug, Clone, Copy)]
pub struct Applicants<'a> {
    /// 1 bad, 0 good.
    pub target: &'a [f64],
    /// The model's score; higher is riskier.
    pub model: &'a [f64],
    /// The bank's present score; higher is riskier (see [`orient`]).
    pub baseline: &'a [f64],
    /// Money lost if the row is bad, non-negative.
    pub amount: Option<&'a [f64]>,
    /// Importance weights, non-negative.
    pub weight: Option<&'a [f64]>,
}

/// What changes when the model takes the baseline's place. Numbers of applicants are sums of weights; positive figures
/// speak for the model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SwapSet {
    /// Share of the applicants that both scores approve, the least risky by each.
    pub approval_rate: f64,
    /// Applicants.
    pub n_rows: f64,
    /// Applicants approved.
    pub n_approved: f64,
    /// Share of bads among those that the model approves.
    pub bad_rate_model: f64,
    /// Share of bads among those that the baseline approves.
    pub bad_rate_baseline: f64,
    /// Applicants that the model approves and the baseline declines; as many are swapped out.
    pub n_swapped: f64,
    /// Bads among those swapped in.
    pub bads_swapped_in: f64,
    /// Bads among those swapped out.
    pub bads_swapped_out: f64,
    /// Bads that the baseline approves less those that the model approves.
    pub bads_avoided: Interval,
    /// The same in money: amounts of the bads avoided; `None` without amounts.
    pub money_avoided: Option<Interval>,
    /// Applicants that the model can approve at no higher bad rate than `bad_rate_baseline`, less those the baseline can.
    pub approvals_gained: Interval,
}

/// A score brought into the direction of risk.
#[derive(Debug, Clone, PartialEq)]
pub struct Oriented {
    /// The score, or its negative: higher is riskier.
    pub score: Vec<f64>,
    /// True if the given score falls with risk and was negated.
    pub flipped: bool,
    /// Area under the curve of `score`, at least 0.5.
    pub auc: f64,
}

/// Finds out whether a score rises or falls with risk by its area under the curve, and negates it if it falls.
///
/// `target` is 0 or 1. Fails where lengths differ, a score is not finite or there is one class only.
pub fn orient(target: &[f64], score: &[f64], weight: Option<&[f64]>) -> Result<Oriented> {
    let n = target.len();
    check_length("scores", score.len(), n, 1)?;
    check_finite("score", score, 1)?;
    check_target(Task::Binary, target)?;
    check_weight(weight, n)?;
    let weight = weight.map_or_else(|| vec![1.0; n], <[f64]>::to_vec);
    check_varied(Task::Binary, &(0..n).filter(|&i| weight[i] > 0.0).collect::<Vec<_>>(), target)?;
    let area = auc::area(score, target, &weight);
    let flipped = area < 0.5;
    let sign = if flipped { -1.0 } else { 1.0 };
    Ok(Oriented { score: score.iter().map(|s| sign * s).collect(), flipped, auc: area.max(1.0 - area) })
}

/// The swap set at an approval rate, with percentile bootstrap intervals of [`DEFAULT_BOOTSTRAP`] replicates.
///
/// Each score approves the share `approval_rate` of the applicants with the lowest risk; of applicants with equal
/// scores at the border each is approved in part, so no figure depends on the order of the rows. *Equal bad rate*: for
/// both scores the largest number of applicants, taken from the least risky up, whose bad rate does not exceed the
/// baseline's at `approval_rate`; measuring both alike keeps a score from gaining against itself.
///
/// Fails where lengths differ, a value is not finite, there is one class only, or the rate is not within 0 … 1.
pub fn swap_set(applicants: Applicants<'_>, approval_rate: f64, seed: u64) -> Result<SwapSet> {
    if !(approval_rate > 0.0 && approval_rate < 1.0) {
        return Err(Error::request(format!(
            "the approval rate is {approval_rate}; it must be greater than 0 and less than 1"
        )));
    }
    let book = Book::new(applicants)?;
    let figures = book.figures(&book.weight, approval_rate);
    let (mut bads, mut money, mut gained) = (Vec::new(), Vec::new(), Vec::new());
    let mut drawn = vec![0.0; book.weight.len()];
    for replicate in 0..DEFAULT_BOOTSTRAP {
        bootstrap::draw(&book.weight, &mut Rng::fork(seed, replicate as u64), &mut drawn);
        let figures = book.figures(&drawn, approval_rate);
        bads.push(figures.swapped_out - figures.swapped_in);
        money.push(figures.money);
        gained.push(figures.gained);
    }
    Ok(SwapSet {
        approval_rate,
        n_rows: figures.total,
        n_approved: approval_rate * figures.total,
        bad_rate_model: (figures.bads_baseline - figures.swapped_out + figures.swapped_in)
            / (approval_rate * figures.total),
        bad_rate_baseline: figures.bads_baseline / (approval_rate * figures.total),
        n_swapped: figures.swapped,
        bads_swapped_in: figures.swapped_in,
        bads_swapped_out: figures.swapped_out,
        bads_avoided: bootstrap::percentile_interval(figures.swapped_out - figures.swapped_in, bads),
        money_avoided: book.amount.is_some().then(|| bootstrap::percentile_interval(figures.money, money)),
        approvals_gained: bootstrap::percentile_interval(figures.gained, gained),
    })
}

/// Checked applicants of positive weight, ranked by both scores from the least risky up.
struct Book {
    target: Vec<f64>,
    weight: Vec<f64>,
    amount: Option<Vec<f64>>,
    by_model: Ranking,
    by_baseline: Ranking,
}

/// What one set of weights gives.
struct Figures {
    total: f64,
    bads_baseline: f64,
    swapped: f64,
    swapped_in: f64,
    swapped_out: f64,
    money: f64,
    gained: f64,
}

impl Book {
    fn new(a: Applicants<'_>) -> Result<Book> {
        let n = a.target.len();
        check_target(Task::Binary, a.target)?;
        check_weight(a.weight, n)?;
        for (plural, singular, score) in
            [("model scores", "model score", a.model), ("baseline scores", "baseline score", a.baseline)]
        {
            check_length(plural, score.len(), n, 1)?;
            check_finite(singular, score, 1)?;
        }
        if let Some(amount) = a.amount {
            check_length("amounts", amount.len(), n, 1)?;
            if let Some(row) = amount.iter().position(|&v| !(v >= 0.0 && v.is_finite())) {
                return Err(Error::data(format!(
                    "the amount of row {row} (from 0) is {}; it must be finite and at least 0",
                    amount[row]
                )));
            }
        }
        let rows: Vec<usize> = (0..n).filter(|&i| a.weight.is_none_or(|w| w[i] > 0.0)).collect();
        check_varied(Task::Binary, &rows, a.target)?;
        Ok(Book {
            target: rows.iter().map(|&r| a.target[r]).collect(),
            weight: rows.iter().map(|&r| a.weight.map_or(1.0, |w| w[r])).collect(),
            amount: a.amount.map(|amount| rows.iter().map(|&r| amount[r]).collect()),
            by_model: Ranking::new(rows.len(), |i| -a.model[rows[i]]),
            by_baseline: Ranking::new(rows.len(), |i| -a.baseline[rows[i]]),
        })
    }

    fn figures(&self, weight: &[f64], rate: f64) -> Figures {
        let total: f64 = weight.iter().sum();
        let (model, baseline) =
            (approved(&self.by_model, weight, rate * total), approved(&self.by_baseline, weight, rate * total));
        let mut f = Figures {
            total,
            bads_baseline: 0.0,
            swapped: 0.0,
            swapped_in: 0.0,
            swapped_out: 0.0,
            money: 0.0,
            gained: 0.0,
        };
        for row in 0..weight.len() {
            let (w, bad, swap) = (weight[row], weight[row] * self.target[row], model[row] - baseline[row]);
            f.bads_baseline += bad * baseline[row];
            f.swapped += w * swap.max(0.0);
            f.swapped_in += bad * swap.max(0.0);
            f.swapped_out += bad * (-swap).max(0.0);
            f.money -= bad * swap * self.amount.as_ref().map_or(0.0, |a| a[row]);
        }
        let bad_rate = f.bads_baseline / (rate * total);
        f.gained =
            self.approvable(&self.by_model, weight, bad_rate) - self.approvable(&self.by_baseline, weight, bad_rate);
        f
    }

    /// The largest weight, from the least risky up, whose share of bads is at most `bad_rate`.
    fn approvable(&self, ranking: &Ranking, weight: &[f64], bad_rate: f64) -> f64 {
        // The baseline's own bad rate must count as reached although it has been rounded.
        let within = |bads: f64, weight: f64| bads <= bad_rate * weight * (1.0 + 1e-12);
        let (mut above, mut bads, mut largest) = (0.0, 0.0, 0.0);
        ranking.sweep(
            weight,
            |row| self.target[row],
            |all, hit| {
                if within(bads + hit, above + all) {
                    largest = above + all;
                } else if within(bads, above) {
                    // Somewhere in this run of equal scores the share passes the bad rate.
                    let share = hit / all;
                    largest = ((bads - above * share) / (bad_rate - share)).clamp(above, above + all);
                }
                above += all;
                bads += hit;
            },
        );
        largest
    }
}

/// The part of each row that is approved, 0 … 1, when the weight `wanted` is approved in the ranking's order.
fn approved(ranking: &Ranking, weight: &[f64], wanted: f64) -> Vec<f64> {
    let mut part = vec![0.0; weight.len()];
    let mut above = 0.0;
    for run in ranking.runs() {
        let all: f64 = run.iter().map(|&row| weight[row as usize]).sum();
        let share = if above + all <= wanted { 1.0 } else { ((wanted - above) / all).max(0.0) };
        if share == 0.0 {
            break;
        }
        for &row in run {
            part[row as usize] = share;
        }
        above += all;
    }
    part
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGET: [f64; 10] = [0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 1.0, 1.0];
    const MODEL: [f64; 10] = [0.1, 0.2, 0.3, 0.7, 0.5, 0.4, 0.9, 0.6, 0.8, 1.0];
    const BASELINE: [f64; 10] = [0.1, 0.2, 0.9, 0.3, 0.4, 0.5, 0.5, 0.7, 0.8, 1.0];

    fn applicants<'a>() -> Applicants<'a> {
        Applicants { target: &TARGET, model: &MODEL, baseline: &BASELINE, amount: None, weight: None }
    }

    #[test]
    fn figures_are_those_counted_by_hand() {
        // At half approved the model takes rows 0 1 2 5 4, all good. The baseline takes rows 0 1 3 4 and half of each of 5
        // and 6, which tie: 1.5 bads. So row 2 and half of row 5 come in; row 3 and half of row 6 go out, all of them bad.
        let amount: Vec<f64> = (0..10).map(|i| 100.0 * f64::from(i)).collect();
        let swap = swap_set(Applicants { amount: Some(&amount), ..applicants() }, 0.5, 1).unwrap();
        assert_eq!((swap.n_rows, swap.n_approved, swap.n_swapped), (10.0, 5.0, 1.5));
        assert_eq!((swap.bads_swapped_in, swap.bads_swapped_out, swap.bads_avoided.value), (0.0, 1.5, 1.5));
        assert_eq!(swap.money_avoided.unwrap().value, 300.0 + 0.5 * 600.0);
        assert_eq!((swap.bad_rate_model, swap.bad_rate_baseline), (0.0, 0.3));
        // At a bad rate of .3 the model approves six goods and then bads until b / (6 + b) = .3: 6 / .7 in all, but rows
        // come one by one: 2 of 8 is .25, 3 of 9 is .33, so it ends within the third bad: (6 + 2 + x), (2 + x) / (8 + x) = .3.
        // The baseline has (rate after each run) 0 0 1/3 1/4 2/6 2/7 3/8 ...: it passes .3 within row 8, at (2 + x) / (7 + x).
        let (model, baseline) = (8.0 + 0.4 / 0.7, 7.0 + 0.1 / 0.7);
        assert!((swap.approvals_gained.value - (model - baseline)).abs() < 1e-9, "{:?}", swap.approvals_gained);
        assert!(swap.bads_avoided.low <= 1.5 && swap.bads_avoided.high >= 1.5);
    }

    #[test]
    fn a_score_gains_nothing_against_itself_and_weights_are_repetitions() {
        let same = swap_set(Applicants { model: &BASELINE, ..applicants() }, 0.45, 1).unwrap();
        for figure in [same.bads_avoided, same.approvals_gained] {
            assert_eq!((figure.value, figure.low, figure.high), (0.0, 0.0, 0.0));
        }
        let mut weight = [1.0; 10];
        (weight[3], weight[5]) = (2.0, 0.0);
        let weighted = swap_set(Applicants { weight: Some(&weight), ..applicants() }, 0.4, 1).unwrap();
        let rows = [0, 1, 2, 3, 3, 4, 6, 7, 8, 9];
        let [target, model, baseline] = [TARGET, MODEL, BASELINE].map(|v| rows.map(|r| v[r]));
        let repeated = Applicants { target: &target, model: &model, baseline: &baseline, amount: None, weight: None };
        let repeated = swap_set(repeated, 0.4, 1).unwrap();
        assert!((weighted.bads_avoided.value - repeated.bads_avoided.value).abs() < 1e-12);
        assert!((weighted.approvals_gained.value - repeated.approvals_gained.value).abs() < 1e-12);
        assert_eq!(weighted.n_swapped, repeated.n_swapped);
    }

    #[test]
    fn orients_a_score_that_falls_with_risk() {
        let points: Vec<f64> = MODEL.iter().map(|m| 600.0 - 100.0 * m).collect();
        let found = orient(&TARGET, &points, None).unwrap();
        // The model's order wins all pairs of a good and a bad.
        assert!(found.flipped && found.auc == 1.0 && found.score[0] == -points[0]);
        assert!(!orient(&TARGET, &MODEL, None).unwrap().flipped);
    }

    #[test]
    fn refuses_what_has_no_swap_set() {
        let check = |a: Applicants<'_>, rate: f64, expected: &str| {
            assert_eq!(swap_set(a, rate, 1).unwrap_err().to_string(), expected);
        };
        check(applicants(), 1.0, "the approval rate is 1; it must be greater than 0 and less than 1");
        check(
            Applicants { baseline: &BASELINE[..9], ..applicants() },
            0.5,
            "9 baseline scores for 10 targets; 10 are needed",
        );
        let amount = [0.0, -1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
        check(
            Applicants { amount: Some(&amount), ..applicants() },
            0.5,
            "the amount of row 1 (from 0) is -1; it must be finite and at least 0",
        );
        check(
            Applicants { target: &[0.0; 10], ..applicants() },
            0.5,
            "the target is 0 on all 10 rows; at least 2 different classes are needed",
        );
        let lost = [f64::NAN; 10];
        assert_eq!(
            orient(&TARGET, &lost, None).unwrap_err().to_string(),
            "the score of row 0 (from 0) is NaN; it must be finite"
        );
    }
}
