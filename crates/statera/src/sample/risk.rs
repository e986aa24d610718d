//! The true probability of default, the bank's old card, and what the best possible model could reach.

use super::application::{
    APP, Application, BIRCHLAND, BROKER, BUSINESS, DEBT_CONSOLIDATION, FENWICK, HOME_IMPROVEMENT, MORTGAGE, NEVER, OWN,
    RENT, RETIRED, SELF_EMPLOYED, TEMPORARY, UNEMPLOYED, draw, logistic,
};
use rayon::prelude::*;
use statera_core::Rng;

/// Share of loans that default.
const DEFAULT_RATE: f64 = 0.08;
/// Multiplies [`raw_log_odds`] so that the attainable AUC is .80.
const SLOPE: f64 = 1.09;
/// Rows that the intercept is solved on.
const CALIBRATION_ROWS: usize = 20_000;

/// Log-odds of default up to intercept and slope. It holds hinges, ratios and interactions that a linear model cannot
/// write down, and neither sex nor age.
fn raw_log_odds(a: &Application) -> f64 {
    debts(a) + history(a) + work(a) + use_of_loan(a) + way_in(a) + economy(a.time)
}

/// Burden beyond what income carries; savings cushion it.
fn debts(a: &Application) -> f64 {
    let burden = a.burden();
    let over = (6.0 * (burden - 0.36)).clamp(0.0, 2.2);
    let cushion = (a.savings / a.instalment() / 5.0).tanh();
    let head = a.income / (1.0 + 0.6 * f64::from(a.dependants));
    let poor = (1.0 - head / 1300.0).max(0.0);
    over - cushion * (0.25 + 0.9 * logistic(12.0 * (burden - 0.4))) + 0.9 * poor
}

/// Card, inquiries, delinquencies.
fn history(a: &Application) -> f64 {
    let card = match a.utilisation {
        None => 0.25,
        Some(u) => 3.2 * (u - 0.65).max(0.0) + 4.0 * (0.2 - u).max(0.0),
    };
    let inquiries = f64::from(a.inquiries_6m.min(6));
    let hunger = if a.utilisation.is_some_and(|u| u > 0.6) && a.inquiries_6m >= 3 { 1.1 } else { 0.0 };
    let recency = match a.months_since_delinquency {
        NEVER => 0.0,
        months => 1.1 * (-f64::from(months) / 9.0).exp() + 0.1,
    };
    let young_file = 0.5 * (-f64::from(a.history_months) / 40.0).exp();
    card + 0.09 * inquiries + hunger + 0.35 * f64::from(a.delinquencies_24m).ln_1p() + recency + young_file
}

/// Kind and length of work; some regions are hard on temporary workers, and hidden incomes are bad ones.
fn work(a: &Application) -> f64 {
    let fresh = (-a.employment_years / 1.5).exp();
    let kind = match a.employment {
        TEMPORARY => 0.2 + 0.5 * fresh + if matches!(a.region, BIRCHLAND | FENWICK) { 1.1 } else { 0.0 },
        SELF_EMPLOYED => 0.1 + 1.2 * fresh,
        RETIRED => -0.25,
        UNEMPLOYED => 0.6,
        _ => 0.25 * fresh - 0.1,
    };
    let hidden = match (a.income_missing, a.employment) {
        (true, SELF_EMPLOYED) => 0.8,
        (true, _) => 0.2,
        _ => 0.0,
    };
    kind + hidden
}

/// What the loan is for, and who takes it for that.
fn use_of_loan(a: &Application) -> f64 {
    let purpose = match a.purpose {
        DEBT_CONSOLIDATION if a.debt_ratio > 0.25 => -0.6,
        DEBT_CONSOLIDATION => 0.6,
        HOME_IMPROVEMENT if matches!(a.housing, OWN | MORTGAGE) => -0.6,
        HOME_IMPROVEMENT => 0.45,
        BUSINESS if a.employment == SELF_EMPLOYED && a.employment_years > 2.0 => -0.4,
        BUSINESS => 0.7,
        _ => 0.0,
    };
    let long = if a.term_months >= 60 && a.income < 2200.0 { 0.6 } else { 0.0 };
    let rent = if a.housing == RENT { 0.15 } else { 0.0 };
    purpose + long + rent
}

/// How the applicant came to the bank, and how well it knows the applicant.
fn way_in(a: &Application) -> f64 {
    let known = (f64::from(a.customer_months) / 24.0).min(1.0);
    match a.channel {
        BROKER => 0.55 * (1.0 - known),
        APP => 0.35 * (1.0 - known) - 0.1,
        _ => -0.3 * known,
    }
}

/// The economy over the three years: a slow worsening with a wave.
fn economy(time: f64) -> f64 {
    0.30 * time + 0.12 * (std::f64::consts::TAU * 1.5 * time).sin()
}

/// Intercept and slope of the true probability in one bank.
#[derive(Debug, Clone, Copy)]
pub(super) struct Truth {
    intercept: f64,
}

impl Truth {
    /// Solves the intercept so that a bank of that seed with 20,000 rows has a mean probability of 8 %.
    pub fn new(seed: u64) -> Truth {
        let raw: Vec<f64> = (0..CALIBRATION_ROWS)
            .into_par_iter()
            .map(|row| SLOPE * raw_log_odds(&draw(seed, row, CALIBRATION_ROWS)))
            .collect();
        let (mut low, mut high) = (-20.0, 20.0);
        for _ in 0..60 {
            let middle = 0.5 * (low + high);
            let mean = raw.iter().map(|x| logistic(middle + x)).sum::<f64>() / raw.len() as f64;
            if mean < DEFAULT_RATE {
                low = middle;
            } else {
                high = middle;
            }
        }
        Truth { intercept: 0.5 * (low + high) }
    }

    /// The true probability of default.
    pub fn probability(&self, a: &Application) -> f64 {
        logistic(self.intercept + SLOPE * raw_log_odds(a))
    }
}

/// The bank's card of ten years ago: linear in a few columns, with the weights of another time; higher is better, 300 to
/// 850. The noise stands for what was typed in by hand in those days.
pub(super) fn old_card(seed: u64, row: usize, a: &Application) -> u16 {
    let mut rng = Rng::fork(seed ^ 0x01dc_a4d0, row as u64);
    let home = if matches!(a.housing, OWN | MORTGAGE) { 10.0 } else { 0.0 };
    let points = 590.0 + 24.0 * (a.income / 2500.0).ln() + 1.2 * a.employment_years.min(15.0) + home
        - 30.0 * f64::from(a.delinquencies_24m.min(4))
        - 60.0 * (a.debt_ratio - 0.2)
        - 8.0 * f64::from(a.inquiries_6m.min(6))
        - 30.0 * a.utilisation.map_or(0.1, |u| u - 0.4)
        + 10.0 * rng.normal();
    points.round().clamp(300.0, 850.0) as u16
}

/// The AUC that the true probabilities have in expectation over outcomes drawn from them: the most that any model can
/// reach on average. `Σ pᵢ (1-pⱼ) [pᵢ > pⱼ]` over `Σ pᵢ (1-pⱼ)`, i ≠ j, a tie counting half; `None` if no pair of a
/// default and a non-default is possible.
///
/// ```
/// let auc = statera::sample::expected_auc(&[0.1, 0.5]).unwrap();
/// assert!((auc - 0.45 / (0.45 + 0.05)).abs() < 1e-12);
/// ```
pub fn expected_auc(probabilities: &[f64]) -> Option<f64> {
    let mut sorted = probabilities.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let bads: f64 = sorted.iter().sum();
    let goods: f64 = sorted.iter().map(|p| 1.0 - p).sum();
    let with_itself: f64 = sorted.iter().map(|p| p * (1.0 - p)).sum();
    let pairs = bads * goods - with_itself;
    let (mut goods_below, mut wins) = (0.0, 0.0);
    for tie in sorted.chunk_by(|a, b| a == b) {
        let (p, n) = (tie[0], tie.len() as f64);
        wins += n * p * goods_below + 0.5 * n * (n - 1.0) * p * (1.0 - p);
        goods_below += n * (1.0 - p);
    }
    (pairs > 0.0).then(|| wins / pairs)
}

/// Bins of log-odds in which [`Attainable`] counts, over -16 to 16.
const BINS: usize = 1 << 15;

/// The AUC of the true probabilities, in expectation and against the drawn outcomes, in constant memory: probabilities
/// are counted in bins of .001 of log-odds, which moves an AUC by less than .0001.
#[derive(Debug, Clone)]
pub(super) struct Attainable {
    expected: Vec<[f64; 2]>,
    drawn: Vec<[u64; 2]>,
}

impl Attainable {
    pub fn new() -> Attainable {
        Attainable { expected: vec![[0.0; 2]; BINS], drawn: vec![[0; 2]; BINS] }
    }

    pub fn add(&mut self, probability: f64, default: bool) {
        let log_odds = (probability / (1.0 - probability)).ln();
        let bin = ((log_odds + 16.0) / 32.0 * BINS as f64).clamp(0.0, BINS as f64 - 1.0) as usize;
        self.expected[bin][0] += 1.0 - probability;
        self.expected[bin][1] += probability;
        self.drawn[bin][usize::from(default)] += 1;
    }

    pub fn expected(&self) -> Option<f64> {
        auc_of_bins(self.expected.iter().copied())
    }

    pub fn drawn(&self) -> Option<f64> {
        auc_of_bins(self.drawn.iter().map(|&[goods, bads]| [goods as f64, bads as f64]))
    }
}

fn auc_of_bins(bins: impl Iterator<Item = [f64; 2]>) -> Option<f64> {
    let (mut goods, mut bads, mut wins) = (0.0, 0.0, 0.0);
    for [g, b] in bins {
        wins += b * (goods + 0.5 * g);
        goods += g;
        bads += b;
    }
    (goods * bads > 0.0).then(|| wins / (goods * bads))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expected_auc_by_hand_and_by_enumeration() {
        assert_eq!(expected_auc(&[]), None);
        assert_eq!(expected_auc(&[0.3]), None);
        assert_eq!(expected_auc(&[0.3, 0.3]), Some(0.5));
        let p = [0.1, 0.2, 0.2, 0.7, 0.9];
        let (mut wins, mut pairs) = (0.0, 0.0);
        for i in 0..p.len() {
            for j in (0..p.len()).filter(|&j| j != i) {
                let weight = p[i] * (1.0 - p[j]);
                pairs += weight;
                wins += weight
                    * if p[i] > p[j] {
                        1.0
                    } else if p[i] == p[j] {
                        0.5
                    } else {
                        0.0
                    };
            }
        }
        assert!((expected_auc(&p).unwrap() - wins / pairs).abs() < 1e-12);
    }

    #[test]
    fn binned_auc_is_the_exact_one() {
        let truth = Truth::new(3);
        let p: Vec<f64> = (0..5000).map(|row| truth.probability(&draw(3, row, 5000))).collect();
        let mut bins = Attainable::new();
        p.iter().for_each(|&p| bins.add(p, false));
        assert_eq!(bins.drawn(), None);
        // The exact one leaves a row out against itself, which at 5,000 rows is .0001.
        assert!((bins.expected().unwrap() - expected_auc(&p).unwrap()).abs() < 2e-4);
    }

    #[test]
    fn sex_and_age_do_not_enter_the_probability() {
        let truth = Truth::new(1);
        for row in 0..200 {
            let a = draw(1, row, 200);
            let other = Application { female: !a.female, age: 99 - a.age, ..a.clone() };
            assert_eq!(truth.probability(&a), truth.probability(&other));
        }
    }
}
