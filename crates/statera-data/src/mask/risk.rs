//! How well rows hide among each other: k-anonymity (Samarati & Sweeney 1998), l-diversity (Machanavajjhala et al. 2007) and
//! the prosecutor's risk of re-identification (El Emam & Dankar 2008).
//!
//! Rows with equal quasi-identifiers are an equivalence class; who knows a person's quasi-identifiers finds its row with
//! probability 1 / class size. Memory holds a digest of 64 bits and a count per class, and per class and sensitive value:
//! at n classes two fall together with a probability of n² / 2⁶⁵, 3 in a million at ten million.

use serde::Serialize;
use std::collections::HashMap;

/// Bounds of the sizes by which classes are shown, the last open.
const SIZES: &[(u32, u32)] = &[(1, 1), (2, 2), (3, 4), (5, 9), (10, 19), (20, 49), (50, 99), (100, u32::MAX)];

/// Collects rows.
pub struct RiskMeter {
    classes: HashMap<u64, u32>,
    /// By sensitive column: class and value, the class, and how often.
    sensitive: Vec<HashMap<u64, (u64, u32)>>,
    n_rows: u64,
}

/// What the rows are found to be.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Risk {
    /// Rows.
    pub n_rows: u64,
    /// Equivalence classes.
    pub n_classes: u64,
    /// Rows of the smallest class: the k of k-anonymity; 0 without rows.
    pub k: u32,
    /// Share of the rows that are alone in their class, 0 to 1.
    pub share_unique: f64,
    /// Highest risk of a row, 1 / k.
    pub risk_max: f64,
    /// Mean risk of the rows, classes / rows.
    pub risk_mean: f64,
    /// Classes by size.
    pub sizes: Vec<ClassSizes>,
    /// Of each sensitive column.
    pub diversity: Vec<Diversity>,
}

/// Classes of a range of sizes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClassSizes {
    /// Least rows of a class.
    pub from: u32,
    /// Most rows of a class; `None` for any number.
    pub to: Option<u32>,
    /// Classes.
    pub n_classes: u64,
    /// Rows in them.
    pub n_rows: u64,
}

/// How different a sensitive column is within the classes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Diversity {
    /// The column.
    pub column: String,
    /// Fewest different values in a class: distinct l-diversity.
    pub l: u32,
    /// Least exponential of the values' entropy in a class: entropy l-diversity.
    pub l_entropy: f64,
    /// Share of the rows whose class has one value, which is thereby known, 0 to 1.
    pub share_known: f64,
}

impl RiskMeter {
    /// An empty one for so many sensitive columns.
    pub fn new(n_sensitive: usize) -> RiskMeter {
        RiskMeter { classes: HashMap::new(), sensitive: vec![HashMap::new(); n_sensitive], n_rows: 0 }
    }

    /// Takes rows: the cells of each quasi-identifier and of each sensitive column. A missing cell is a value of its own.
    pub fn add(&mut self, quasi_identifiers: &[Vec<Option<String>>], sensitive: &[Vec<Option<String>>], n_rows: usize) {
        for row in 0..n_rows {
            let mut hasher = blake3::Hasher::new();
            for column in quasi_identifiers {
                add_cell(&mut hasher, column[row].as_deref());
            }
            let class = digest(&hasher);
            count(self.classes.entry(class).or_default());
            for (values, column) in self.sensitive.iter_mut().zip(sensitive) {
                let mut hasher = hasher.clone();
                add_cell(&mut hasher, column[row].as_deref());
                count(&mut values.entry(digest(&hasher)).or_insert((class, 0)).1);
            }
        }
        self.n_rows += n_rows as u64;
    }

    /// The figures; `sensitive` names the sensitive columns.
    pub fn finish(&self, sensitive: &[String]) -> Risk {
        let n_classes = self.classes.len() as u64;
        let k = self.classes.values().min().copied().unwrap_or(0);
        let sizes = SIZES.iter().map(|&(from, to)| {
            let of: Vec<u64> =
                self.classes.values().filter(|n| (from..=to).contains(n)).map(|n| u64::from(*n)).collect();
            let to = (to < u32::MAX).then_some(to);
            ClassSizes { from, to, n_classes: of.len() as u64, n_rows: of.iter().sum() }
        });
        let sizes: Vec<ClassSizes> = sizes.collect();
        let diversity = sensitive.iter().zip(&self.sensitive).map(|(column, values)| self.diversity(column, values));
        Risk {
            n_rows: self.n_rows,
            n_classes,
            k,
            share_unique: ratio(sizes[0].n_rows, self.n_rows),
            risk_max: ratio(u64::from(k > 0), u64::from(k)),
            risk_mean: ratio(n_classes, self.n_rows),
            diversity: diversity.collect(),
            sizes,
        }
    }

    fn diversity(&self, column: &str, values: &HashMap<u64, (u64, u32)>) -> Diversity {
        let mut counts: HashMap<u64, Vec<u32>> = HashMap::with_capacity(self.classes.len());
        for &(class, n) in values.values() {
            counts.entry(class).or_default().push(n);
        }
        let (mut l, mut l_entropy, mut n_known) = (u32::MAX, f64::INFINITY, 0);
        for of in counts.values_mut() {
            // In one order, so that the sum has the same bits in every run.
            of.sort_unstable();
            let n: u64 = of.iter().map(|n| u64::from(*n)).sum();
            let entropy: f64 = of.iter().map(|&v| f64::from(v) / n as f64).map(|p| -p * p.ln()).sum();
            l = l.min(of.len() as u32);
            l_entropy = l_entropy.min(entropy.exp());
            n_known += if of.len() == 1 { n } else { 0 };
        }
        let is_empty = counts.is_empty();
        Diversity {
            column: column.into(),
            l: if is_empty { 0 } else { l },
            l_entropy: if is_empty { 0.0 } else { l_entropy },
            share_known: ratio(n_known, self.n_rows),
        }
    }
}

/// A cell with its length before it, so that no two rows of cells run into the same bytes.
fn add_cell(hasher: &mut blake3::Hasher, cell: Option<&str>) {
    let len = cell.map_or(u64::MAX, |cell| cell.len() as u64);
    hasher.update(&len.to_le_bytes());
    hasher.update(cell.unwrap_or_default().as_bytes());
}

fn digest(hasher: &blake3::Hasher) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    u64::from_le_bytes(bytes)
}

/// More than four billion equal rows count as that many.
fn count(n: &mut u32) {
    *n = n.saturating_add(1);
}

fn ratio(of: u64, all: u64) -> f64 {
    if all == 0 { 0.0 } else { of as f64 / all as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(cells: &[&str]) -> Vec<Option<String>> {
        cells.iter().map(|c| (!c.is_empty()).then(|| c.to_string())).collect()
    }

    #[test]
    fn figures_are_those_counted_by_hand() {
        // Classes: (30, A) twice, (30, B) three times, (40, A) once, (none, A) once.
        let ages = column(&["30", "30", "30", "30", "30", "40", ""]);
        let places = column(&["A", "A", "B", "B", "B", "A", "A"]);
        let ill = column(&["flu", "flu", "flu", "cold", "cold", "flu", "cold"]);
        let mut meter = RiskMeter::new(1);
        let (first, rest) = (3, 4);
        let part = |c: &Vec<Option<String>>, from: usize, n: usize| c[from..from + n].to_vec();
        meter.add(&[part(&ages, 0, first), part(&places, 0, first)], &[part(&ill, 0, first)], first);
        meter.add(&[part(&ages, first, rest), part(&places, first, rest)], &[part(&ill, first, rest)], rest);
        let risk = meter.finish(&["ill".into()]);
        assert_eq!((risk.n_rows, risk.n_classes, risk.k), (7, 4, 1));
        assert_eq!((risk.share_unique, risk.risk_max, risk.risk_mean), (2.0 / 7.0, 1.0, 4.0 / 7.0));
        let sizes: Vec<(u64, u64)> = risk.sizes.iter().map(|s| (s.n_classes, s.n_rows)).collect();
        assert_eq!(sizes, [(2, 2), (1, 2), (1, 3), (0, 0), (0, 0), (0, 0), (0, 0), (0, 0)]);
        let d = &risk.diversity[0];
        // (30, A), (40, A) and (none, A) have one value each: four rows.
        assert_eq!((d.l, d.l_entropy, d.share_known), (1, 1.0, 4.0 / 7.0));
    }

    #[test]
    fn diversity_is_that_of_the_poorest_class() {
        let mut meter = RiskMeter::new(1);
        let classes = column(&["x", "x", "x", "x", "y", "y", "y"]);
        meter.add(&[classes], &[column(&["a", "a", "a", "b", "a", "b", "c"])], 7);
        let risk = meter.finish(&["s".into()]);
        let d = &risk.diversity[0];
        // Class x: p = 3/4, 1/4; exp of the entropy is 4 / 3^(3/4) = 1.7547654.
        assert_eq!((risk.k, d.l, d.share_known), (3, 2, 0.0));
        assert!((d.l_entropy - 4.0 / 3f64.powf(0.75)).abs() < 1e-12);
    }

    #[test]
    fn no_rows_are_no_risk() {
        let risk = RiskMeter::new(1).finish(&["s".into()]);
        assert_eq!((risk.k, risk.risk_max, risk.risk_mean, risk.diversity[0].l), (0, 0.0, 0.0, 0));
    }

    #[test]
    fn cells_do_not_run_into_each_other() {
        let mut meter = RiskMeter::new(0);
        meter.add(&[column(&["ab", "a", ""]), column(&["c", "bc", "abc"])], &[], 3);
        assert_eq!(meter.finish(&[]).n_classes, 3);
    }
}
