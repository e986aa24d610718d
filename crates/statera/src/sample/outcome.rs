//! Who defaults, and how the loans were paid month by month.

use statera_core::Rng;

/// Months after origination in which a loan can default.
pub(super) const PERFORMANCE_MONTHS: usize = 12;

/// Strata of log-odds, a quarter wide, over -10 to 10.
const STRATA: usize = 80;

/// Draws defaults so that every row defaults with exactly its own probability while the number of defaults among rows of
/// like probability is the expected one, give or take one: systematic sampling with a random point in each unit of
/// accumulated probability (Deville, *Une nouvelle méthode de tirage à probabilités inégales*, 1998), within strata of
/// probability. Independent draws would scatter the default rate of 20,000 rows by ±.2 % and blur what the sample is to show.
pub(super) struct Lottery {
    strata: Vec<Cell>,
    rng: Rng,
}

/// A unit of accumulated probability, of which one row is drawn.
#[derive(Clone, Copy)]
struct Cell {
    /// Probability accumulated so far, below 1.
    filled: f64,
    /// The row whose probability covers this point defaults; negative if the cell's row has been drawn already.
    point: f64,
}

impl Lottery {
    pub fn new(seed: u64) -> Lottery {
        let mut rng = Rng::fork(seed, 0x10_77e4);
        // Each stratum starts at a random place of its cell, as if rows had come before.
        let strata = (0..STRATA).map(|_| Cell { filled: 0.0, point: rng.uniform() }).collect();
        Lottery { strata, rng }
    }

    /// Whether the next row, of that probability (above 0, below 1), defaults.
    pub fn draw(&mut self, probability: f64) -> bool {
        let log_odds = (probability / (1.0 - probability)).ln();
        let stratum = ((log_odds + 10.0) * 4.0).clamp(0.0, STRATA as f64 - 1.0) as usize;
        let cell = &mut self.strata[stratum];
        let end = cell.filled + probability;
        let covered = cell.point >= cell.filled && cell.point < end;
        if end < 1.0 {
            cell.filled = end;
            return covered;
        }
        // The row fills this cell and begins the next. Its part there counts only if it was not drawn here, and then with
        // the conditional probability that makes the two parts add up to its own.
        let (here, beyond) = (1.0 - cell.filled, end - 1.0);
        let again = !covered && self.rng.uniform() * (1.0 - here) < beyond;
        let rest = beyond + (1.0 - beyond) * self.rng.uniform();
        *cell = Cell { filled: beyond, point: if again { -1.0 } else { rest } };
        covered || again
    }
}

/// Days past due at the end of each of the months after origination. The highest is at least 90 exactly if the loan defaults.
pub(super) fn payments(seed: u64, row: usize, probability: f64, default: bool) -> [u16; PERFORMANCE_MONTHS] {
    let mut rng = Rng::fork(seed ^ 0x9a_1d, row as u64);
    let careless = (0.02 + 0.6 * probability).min(0.3);
    let mut days: [u16; PERFORMANCE_MONTHS] =
        std::array::from_fn(|_| if rng.uniform() < careless { 1 + rng.below(29) as u16 } else { 0 });
    let day = rng.below(30) as u16;
    if default {
        // 90 days are reached in months 3 to 12, later ones more often; arrears grow by a month each month.
        let reached = 3 + (10.0 * rng.uniform().sqrt()) as usize;
        for (i, days) in days.iter_mut().enumerate() {
            let month = i + 1;
            if month + 3 > reached {
                *days = day + 90 + 30 * month as u16 - 30 * reached as u16;
            }
        }
    } else if rng.uniform() < (0.02 + 0.7 * probability).min(0.4) {
        // Arrears that are cured: one or two months over 30 days.
        let first = rng.below(PERFORMANCE_MONTHS);
        days[first] = 30 + day;
        if first + 1 < PERFORMANCE_MONTHS && rng.uniform() < 0.35 {
            days[first + 1] = 60 + day;
        }
    }
    days
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_defaults_with_its_own_probability() {
        let p = [0.02, 0.3, 0.31, 0.29, 0.7, 0.72, 0.02, 0.3, 0.69, 0.05, 0.3, 0.71];
        let mut hits = [0u32; 12];
        let runs = 40_000;
        for seed in 0..runs {
            let mut lottery = Lottery::new(seed);
            for (hit, &p) in hits.iter_mut().zip(&p) {
                *hit += u32::from(lottery.draw(p));
            }
        }
        for (hit, p) in hits.iter().zip(p) {
            let share = f64::from(*hit) / runs as f64;
            let error = (p * (1.0 - p) / runs as f64).sqrt();
            assert!((share - p).abs() < 4.5 * error, "{share} instead of {p}");
        }
    }

    #[test]
    fn counts_are_the_expected_ones() {
        for seed in 0..50 {
            let mut lottery = Lottery::new(seed);
            let defaults = (0..1000).filter(|_| lottery.draw(0.137)).count();
            assert!((136..=138).contains(&defaults), "{defaults}");
        }
    }

    #[test]
    fn payments_agree_with_the_outcome() {
        let mut indeterminate = 0;
        for row in 0..4000 {
            for default in [false, true] {
                let days = payments(5, row, 0.08, default);
                let most = *days.iter().max().unwrap();
                assert_eq!(most >= 90, default, "{days:?}");
                indeterminate += usize::from(!default && most >= 30);
            }
        }
        assert!((150..500).contains(&indeterminate), "{indeterminate}");
    }
}
