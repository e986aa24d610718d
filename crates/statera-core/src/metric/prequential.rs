//! Figures of scored transactions over prequential folds: the mean over the folds, with intervals that know that a card's
//! transactions belong together.
//!
//! Whole cards are drawn with replacement (the cluster bootstrap: Field & Welsh 2007), one draw for all folds and for both
//! models of a comparison, because the same cards stand in every fold. The folds' training rows are taken as they are.

use super::alert::{AlertQueue, Transactions};
use super::average_precision::average_precision_ranked;
use super::bootstrap::percentile_interval;
use super::recall_at_rate::recall_at_rate;
use super::{Difference, Interval, MIN_BOOTSTRAP, Measured, Ranking, area_ranked, check_varied};
use crate::{Error, Result, Rng, Task};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// The false-positive rate of the figure `recall_at_1_percent_fpr`.
const RATE: f64 = 0.01;

/// Draws before a replicate with a fold of one class is given up and the folds themselves stand in for it.
const MAX_REDRAWS: usize = 100;

/// Shares of the capacity at which [`ScoredFolds::by_capacity`] is usually asked.
pub const CAPACITY_STEPS: [f64; 10] = [0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0];

/// What a review costs and how many there are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reviewing {
    /// Cards reviewed a day, at least 1.
    pub capacity: usize,
    /// Money a review costs, 0 or more.
    pub cost: f64,
}

/// One fold, ranked once.
struct Fold {
    ranking: Ranking,
    target: Vec<f64>,
    /// Index of each row's card among the cards of all folds.
    card: Vec<u32>,
    queue: AlertQueue,
    /// The same of the queue's cards.
    queue_card: Vec<u32>,
    has_amounts: bool,
}

/// The test windows of prequential folds with one model's scores.
pub struct ScoredFolds {
    folds: Vec<Fold>,
    n_cards: usize,
}

/// What a capacity comes to, a day, mean over the folds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CapacityPoint {
    /// Cards reviewed a day.
    pub capacity: usize,
    /// Share of them that is caught.
    pub card_precision: Interval,
    /// Money saved a day less the cost of the reviews; `None` where no amounts are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub money_saved: Option<Interval>,
    /// Share of the fraudulent money that is saved, before costs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share_saved: Option<Interval>,
}

/// Weights of one draw, of one fold.
struct Drawn<'a> {
    fold: &'a Fold,
    weight: Vec<f64>,
    copies: Vec<u32>,
}

/// A figure of a fold, by name.
type Figure = (&'static str, fn(&Drawn<'_>, Reviewing) -> f64);

/// The figures of rankings and of reviewing; the last needs amounts.
const FIGURES: [Figure; 5] = [
    ("auc", |d, _| area_ranked(&d.fold.ranking, &d.fold.target, &d.weight)),
    ("average_precision", |d, _| average_precision_ranked(&d.fold.ranking, &d.fold.target, &d.weight)),
    ("recall_at_1_percent_fpr", |d, _| recall_at_rate(&d.fold.ranking, &d.fold.target, &d.weight, RATE)),
    ("card_precision", |d, reviewing| d.fold.queue.work_drawn(reviewing.capacity, &d.copies).card_precision),
    ("money_saved", |d, reviewing| {
        let worked = d.fold.queue.work_drawn(reviewing.capacity, &d.copies);
        (worked.saved - reviewing.cost * worked.reviewed) / d.fold.queue.n_days() as f64
    }),
];

impl ScoredFolds {
    /// Ranks every fold.
    ///
    /// # Errors
    /// As [`AlertQueue::new`]; no folds; a fold without fraud or with nothing else.
    pub fn new(folds: &[Transactions<'_>]) -> Result<ScoredFolds> {
        if folds.is_empty() {
            return Err(Error::request("no folds; at least 1 is needed"));
        }
        let mut index: HashMap<u64, u32> = HashMap::new();
        let mut number = |card: &u64| {
            let next = index.len() as u32;
            *index.entry(*card).or_insert(next)
        };
        let one = |(i, rows): (usize, &Transactions<'_>)| -> Result<Fold> {
            let at = |e: Error| e.at(format!("fold {}", i + 1));
            let queue = AlertQueue::new(rows).map_err(at)?;
            let all: Vec<usize> = (0..rows.n_rows()).collect();
            check_varied(Task::Binary, &all, rows.target).map_err(at)?;
            Ok(Fold {
                ranking: Ranking::new(rows.n_rows(), |row| rows.score[row]),
                target: rows.target.to_vec(),
                card: rows.card.iter().map(&mut number).collect(),
                queue_card: queue.cards().iter().map(&mut number).collect(),
                queue,
                has_amounts: !rows.amount.is_empty(),
            })
        };
        let folds: Vec<Fold> = folds.iter().enumerate().map(one).collect::<Result<_>>()?;
        Ok(ScoredFolds { n_cards: index.len(), folds })
    }

    /// Every figure with its 95 % percentile interval of `n_bootstrap` (at least [`MIN_BOOTSTRAP`]) draws: `auc`,
    /// `average_precision`, `recall_at_1_percent_fpr`, `card_precision`, and where amounts are known `money_saved`, a day
    /// and less the cost of the reviews.
    ///
    /// # Errors
    /// A capacity of 0, a cost that is negative or not finite, too few replicates.
    pub fn measure(&self, reviewing: Reviewing, seed: u64, n_bootstrap: usize) -> Result<Vec<Measured>> {
        check(reviewing, n_bootstrap)?;
        let figures = self.figures();
        let value = |copies: &[u32]| self.means(figures, reviewing, copies);
        let values = value(&self.once());
        let draws: Vec<Vec<f64>> = (0..n_bootstrap).map(|r| value(&self.draw(seed, r))).collect();
        let measured = figures.iter().zip(values).enumerate().map(|(i, ((name, _), value))| Measured {
            name: (*name).to_string(),
            interval: percentile_interval(value, draws.iter().map(|d| d[i]).collect()),
        });
        Ok(measured.collect())
    }

    /// How much better this model is than `other` on the same folds, figure by figure, with intervals of the same draws for
    /// both.
    ///
    /// # Errors
    /// As [`ScoredFolds::measure`]; folds with other rows or other cards.
    pub fn gains_over(
        &self,
        other: &ScoredFolds,
        reviewing: Reviewing,
        seed: u64,
        n_bootstrap: usize,
    ) -> Result<Vec<Difference>> {
        check(reviewing, n_bootstrap)?;
        let same = |(a, b): (&Fold, &Fold)| a.card == b.card && a.target == b.target;
        if self.folds.len() != other.folds.len() || !self.folds.iter().zip(&other.folds).all(same) {
            return Err(Error::request(
                "the two models were scored on different transactions; a comparison needs the same",
            ));
        }
        let figures = if other.figures().len() < self.figures().len() { other.figures() } else { self.figures() };
        let gain = |copies: &[u32]| -> Vec<f64> {
            let [ours, theirs] = [self, other].map(|model| model.means(figures, reviewing, copies));
            ours.iter().zip(theirs).map(|(a, b)| a - b).collect()
        };
        let values = gain(&self.once());
        let draws: Vec<Vec<f64>> = (0..n_bootstrap).map(|r| gain(&self.draw(seed, r))).collect();
        let differences = figures.iter().zip(values).enumerate().map(|(i, ((name, _), value))| {
            let replicates: Vec<f64> = draws.iter().map(|d| d[i]).collect();
            Difference {
                metric: (*name).to_string(),
                standard_error: deviation(&replicates),
                gain: percentile_interval(value, replicates),
            }
        });
        Ok(differences.collect())
    }

    /// What each capacity comes to, `cost` being that of a review; see [`CAPACITY_STEPS`].
    ///
    /// # Errors
    /// As [`ScoredFolds::measure`].
    pub fn by_capacity(
        &self,
        capacities: &[usize],
        cost: f64,
        seed: u64,
        n_bootstrap: usize,
    ) -> Result<Vec<CapacityPoint>> {
        capacities.iter().try_for_each(|&capacity| check(Reviewing { capacity, cost }, n_bootstrap))?;
        let value = |copies: &[u32]| -> Vec<[f64; 3]> {
            let drawn = self.drawn(copies);
            capacities.iter().map(|&capacity| at_capacity(&drawn, Reviewing { capacity, cost })).collect()
        };
        let values = value(&self.once());
        let draws: Vec<Vec<[f64; 3]>> = (0..n_bootstrap).map(|r| value(&self.draw(seed, r))).collect();
        let has_amounts = self.folds.iter().all(|f| f.has_amounts);
        let points = capacities.iter().zip(values).enumerate().map(|(i, (&capacity, value))| {
            let interval = |f: usize| percentile_interval(value[f], draws.iter().map(|d| d[i][f]).collect());
            CapacityPoint {
                capacity,
                card_precision: interval(0),
                money_saved: has_amounts.then(|| interval(1)),
                share_saved: has_amounts.then(|| interval(2)),
            }
        });
        Ok(points.collect())
    }

    fn figures(&self) -> &'static [Figure] {
        let has_amounts = self.folds.iter().all(|f| f.has_amounts);
        if has_amounts { &FIGURES } else { &FIGURES[..FIGURES.len() - 1] }
    }

    /// Every card as often as it is.
    fn once(&self) -> Vec<u32> {
        vec![1; self.n_cards]
    }

    /// How often each card stands in replicate `r`, which depends on `seed` and `r` only.
    fn draw(&self, seed: u64, r: usize) -> Vec<u32> {
        let mut rng = Rng::fork(seed, r as u64);
        for _ in 0..MAX_REDRAWS {
            let mut copies = vec![0; self.n_cards];
            (0..self.n_cards).for_each(|_| copies[rng.below(self.n_cards)] += 1);
            let has = |fold: &Fold, y: f64| {
                fold.card.iter().zip(&fold.target).any(|(&c, &t)| t == y && copies[c as usize] > 0)
            };
            if self.folds.iter().all(|fold| has(fold, 0.0) && has(fold, 1.0)) {
                return copies;
            }
        }
        self.once()
    }

    fn drawn(&self, copies: &[u32]) -> Vec<Drawn<'_>> {
        let of_fold = |fold| Drawn::new(fold, copies);
        self.folds.iter().map(of_fold).collect()
    }

    /// The mean over the folds of each figure of a draw.
    fn means(&self, figures: &[Figure], reviewing: Reviewing, copies: &[u32]) -> Vec<f64> {
        let drawn = self.drawn(copies);
        let mean = |of: &Figure| drawn.iter().map(|d| (of.1)(d, reviewing)).sum::<f64>() / drawn.len() as f64;
        figures.iter().map(mean).collect()
    }
}

impl<'a> Drawn<'a> {
    fn new(fold: &'a Fold, copies: &[u32]) -> Drawn<'a> {
        let of = |card: &u32| copies[*card as usize];
        Drawn {
            weight: fold.card.iter().map(|card| f64::from(of(card))).collect(),
            copies: fold.queue_card.iter().map(of).collect(),
            fold,
        }
    }
}

/// Card precision, money saved a day after costs, and the share of the fraudulent money saved: means over the folds.
fn at_capacity(drawn: &[Drawn<'_>], reviewing: Reviewing) -> [f64; 3] {
    let mut sums = [0.0; 3];
    for d in drawn {
        let worked = d.fold.queue.work_drawn(reviewing.capacity, &d.copies);
        sums[0] += worked.card_precision;
        sums[1] += (worked.saved - reviewing.cost * worked.reviewed) / d.fold.queue.n_days() as f64;
        sums[2] += if worked.at_stake > 0.0 { worked.saved / worked.at_stake } else { 0.0 };
    }
    sums.map(|sum| sum / drawn.len() as f64)
}

fn deviation(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt()
}

fn check(reviewing: Reviewing, n_bootstrap: usize) -> Result<()> {
    let Reviewing { capacity, cost } = reviewing;
    if capacity == 0 {
        return Err(Error::request("the capacity is 0 cards a day; it must be at least 1"));
    }
    if !(cost >= 0.0 && cost.is_finite()) {
        return Err(Error::request(format!("the cost of a review is {cost}; it must be finite and at least 0")));
    }
    if n_bootstrap < MIN_BOOTSTRAP {
        return Err(Error::request(format!("{n_bootstrap} bootstrap replicates; at least {MIN_BOOTSTRAP} are needed")));
    }
    Ok(())
}

/// The figure of that name.
pub fn measured(figures: &[Measured], name: &str) -> Option<Interval> {
    figures.iter().find(|m| m.name == name).map(|m| m.interval)
}

#[cfg(test)]
mod tests {
    use super::*;

    const REVIEWING: Reviewing = Reviewing { capacity: 3, cost: 2.0 };

    /// Forty cards over ten days; a fifth are fraudulent on some day, and the score tells half of it.
    struct Table {
        day: Vec<i64>,
        card: Vec<u64>,
        target: Vec<f64>,
        score: Vec<f64>,
        amount: Vec<f64>,
    }

    impl Table {
        fn new(seed: u64, signal: f64) -> Table {
            let mut rng = Rng::new(seed);
            let mut noise = Rng::new(seed + 1000);
            let mut table = Table { day: vec![], card: vec![], target: vec![], score: vec![], amount: vec![] };
            for row in 0..400 {
                let card = rng.below(40) as u64;
                let y = f64::from(u8::from(card.is_multiple_of(5) && rng.uniform() < 0.5));
                table.day.push(row / 40);
                table.card.push(card);
                table.target.push(y);
                table.score.push(signal * y + noise.normal());
                table.amount.push((rng.uniform() * 100.0).round());
            }
            table
        }
        fn rows(&self) -> Transactions<'_> {
            Transactions {
                day: &self.day,
                card: &self.card,
                target: &self.target,
                score: &self.score,
                amount: &self.amount,
            }
        }
    }

    #[test]
    fn figures_are_means_over_the_folds_with_intervals_around_them() {
        let tables = [Table::new(1, 2.0), Table::new(2, 2.0)];
        let folds = ScoredFolds::new(&[tables[0].rows(), tables[1].rows()]).unwrap();
        let figures = folds.measure(REVIEWING, 7, 60).unwrap();
        assert_eq!(figures, folds.measure(REVIEWING, 7, 60).unwrap());
        let names: Vec<&str> = figures.iter().map(|m| m.name.as_str()).collect();
        assert_eq!(names, ["auc", "average_precision", "recall_at_1_percent_fpr", "card_precision", "money_saved"]);
        let single = |t: &Table| {
            let worked = AlertQueue::new(&t.rows()).unwrap().work(3);
            (worked.card_precision, (worked.saved - 2.0 * worked.reviewed) / 10.0)
        };
        let (a, b) = (single(&tables[0]), single(&tables[1]));
        assert!((measured(&figures, "card_precision").unwrap().value - (a.0 + b.0) / 2.0).abs() < 1e-12);
        assert!((measured(&figures, "money_saved").unwrap().value - (a.1 + b.1) / 2.0).abs() < 1e-9);
        for m in &figures {
            assert!(m.interval.low < m.interval.value && m.interval.value < m.interval.high, "{m:?}");
        }
        let curve = folds.by_capacity(&[1, 3, 40], 2.0, 7, 60).unwrap();
        assert_eq!(curve[1].card_precision, measured(&figures, "card_precision").unwrap());
        assert_eq!(curve[1].money_saved, measured(&figures, "money_saved"));
        // With a review for every card each fraudulent card is caught on its first day, and all the money is saved.
        assert_eq!(curve[2].share_saved.unwrap().value, 1.0);
    }

    /// i = np.arange(300); card = (i * 7) % 23; u = (i * np.sqrt(3)) % 1; y = ((card % 5 == 0) & (u > .5)).astype(int);
    /// score = (i * np.sqrt(2)) % 1 + .3 * y; day = i // 30
    #[test]
    fn figures_are_those_of_the_handbook_and_of_scikit_learn() {
        let i: Vec<f64> = (0..300).map(f64::from).collect();
        let card: Vec<u64> = (0..300).map(|i| (i * 7) % 23).collect();
        let is_fraud = |row: usize| card[row].is_multiple_of(5) && (i[row] * 3f64.sqrt()).fract() > 0.5;
        let target: Vec<f64> = (0..300).map(|row| f64::from(u8::from(is_fraud(row)))).collect();
        let score: Vec<f64> = (0..300).map(|row| (i[row] * 2f64.sqrt()).fract() + 0.3 * target[row]).collect();
        let day: Vec<i64> = (0..300).map(|i| i / 30).collect();
        let table = Transactions { day: &day, card: &card, target: &target, score: &score, amount: &[] };
        // `card_precision` of `../shared/bench/handbook.py` with k = 1, 3, 8.
        let queue = AlertQueue::new(&table).unwrap();
        for (capacity, expected) in [(1, 0.5), (3, 0.16666666666666666), (8, 0.0625)] {
            let precision = queue.work(capacity).card_precision;
            assert!((precision - expected).abs() < 1e-12, "{capacity}: {precision}");
        }
        // roc_auc_score, average_precision_score, and the last point of roc_curve at a rate of at most .01 and .1.
        let figures = ScoredFolds::new(&[table]).unwrap().measure(REVIEWING, 1, 40).unwrap();
        let expected = [
            ("auc", 0.7966576819407009),
            ("average_precision", 0.5257229505899496),
            ("recall_at_1_percent_fpr", 0.3142857142857143),
        ];
        for (name, expected) in expected {
            let value = measured(&figures, name).unwrap().value;
            assert!((value - expected).abs() < 1e-12, "{name}: {value}");
        }
        let ranking = Ranking::new(300, |row| score[row]);
        assert!((recall_at_rate(&ranking, &target, &[1.0; 300], 0.1) - 0.4857142857142857).abs() < 1e-12);
    }

    #[test]
    fn a_better_model_is_better_by_more_than_its_interval_and_a_model_not_than_itself() {
        let (good, poor) = (Table::new(3, 3.0), Table::new(3, 0.2));
        let [a, b] = [&good, &poor].map(|t| ScoredFolds::new(&[t.rows()]).unwrap());
        let gains = a.gains_over(&b, REVIEWING, 1, 100).unwrap();
        let auc = &gains[0];
        assert!(auc.metric == "auc" && auc.gain.low > 0.1 && auc.standard_error > 0.0, "{auc:?}");
        for gain in a.gains_over(&a, REVIEWING, 1, 40).unwrap() {
            assert_eq!((gain.gain.value, gain.gain.low, gain.gain.high), (0.0, 0.0, 0.0));
        }
        let other = ScoredFolds::new(&[Table::new(4, 1.0).rows()]).unwrap();
        let refused = a.gains_over(&other, REVIEWING, 1, 40).unwrap_err().to_string();
        assert_eq!(refused, "the two models were scored on different transactions; a comparison needs the same");
    }

    #[test]
    fn cards_move_together_in_a_draw() {
        // Every row of a card has the same score and target, so that rows drawn alone would halve the interval and more.
        let rows = 4000;
        let card: Vec<u64> = (0..rows).map(|i| i % 20).collect();
        let target: Vec<f64> = card.iter().map(|c| f64::from(u8::from(c % 2 == 0))).collect();
        let score: Vec<f64> = card.iter().map(|c| ((c * 7) % 20) as f64).collect();
        let table = Transactions { day: &vec![0; 4000], card: &card, target: &target, score: &score, amount: &[] };
        let figures = ScoredFolds::new(&[table]).unwrap().measure(REVIEWING, 5, 200).unwrap();
        assert!(measured(&figures, "money_saved").is_none());
        let auc = measured(&figures, "auc").unwrap();
        assert!(auc.high - auc.low > 0.2, "{auc:?}");
    }

    #[test]
    fn says_what_is_wrong() {
        let table = Table::new(1, 1.0);
        let folds = ScoredFolds::new(&[table.rows()]).unwrap();
        let refuse = |reviewing, n, expected: &str| {
            assert_eq!(folds.measure(reviewing, 1, n).unwrap_err().to_string(), expected);
        };
        refuse(Reviewing { capacity: 0, cost: 0.0 }, 40, "the capacity is 0 cards a day; it must be at least 1");
        refuse(
            Reviewing { capacity: 1, cost: -1.0 },
            40,
            "the cost of a review is -1; it must be finite and at least 0",
        );
        refuse(REVIEWING, 39, "39 bootstrap replicates; at least 40 are needed");
        let good = Transactions { target: &[0.0; 400], ..table.rows() };
        assert_eq!(
            ScoredFolds::new(&[good]).map(|_| ()).unwrap_err().to_string(),
            "fold 1: the target is 0 on all 400 rows; at least 2 different classes are needed"
        );
        assert_eq!(ScoredFolds::new(&[]).map(|_| ()).unwrap_err().to_string(), "no folds; at least 1 is needed");
    }
}
