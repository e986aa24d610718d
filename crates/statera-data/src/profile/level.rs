//! The levels of a category.

use super::cells::Levels;
use serde::{Deserialize, Serialize};

/// Most levels listed by name.
pub const N_LEVELS_SHOWN: usize = 10;

/// A column of levels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LevelSummary {
    /// The most frequent levels, at most ten, most frequent first, ties in order of their text.
    pub top: Vec<LevelCount>,
    /// Levels not listed.
    pub n_other_levels: usize,
    /// Cells of the levels not listed.
    pub n_other: usize,
}

/// A level and its cells.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LevelCount {
    /// The level.
    pub level: String,
    /// Its cells.
    pub n: usize,
    /// Share of events among its cells with a known target, where the target is binary.
    pub rate: Option<f64>,
}

/// Lists the most frequent levels; `classes` are 0 and 1, anything else is unknown.
pub(super) fn summarise(levels: &Levels<'_>, classes: Option<&[u8]>) -> LevelSummary {
    let mut order: Vec<usize> = (0..levels.texts.len()).collect();
    order.sort_unstable_by_key(|&i| (std::cmp::Reverse(levels.counts[i]), levels.texts[i]));
    let shown = &order[..order.len().min(N_LEVELS_SHOWN)];
    let rates = classes.map(|classes| rates(levels, shown, classes));
    let top: Vec<LevelCount> = shown
        .iter()
        .enumerate()
        .map(|(place, &i)| LevelCount {
            level: levels.texts[i].to_owned(),
            n: levels.counts[i],
            rate: rates.as_ref().and_then(|r| r[place]),
        })
        .collect();
    let n_shown: usize = top.iter().map(|l| l.n).sum();
    LevelSummary {
        n_other_levels: order.len() - top.len(),
        n_other: levels.counts.iter().sum::<usize>() - n_shown,
        top,
    }
}

/// Share of events of each listed level.
fn rates(levels: &Levels<'_>, shown: &[usize], classes: &[u8]) -> Vec<Option<f64>> {
    let mut place = vec![usize::MAX; levels.texts.len()];
    for (i, &code) in shown.iter().enumerate() {
        place[code] = i;
    }
    let mut counts = vec![(0usize, 0usize); shown.len()];
    for (&code, &class) in levels.codes.iter().zip(classes) {
        if let Some(count) = place.get(code as usize).and_then(|&p| counts.get_mut(p))
            && class <= 1
        {
            count.0 += usize::from(class == 1);
            count.1 += 1;
        }
    }
    counts.iter().map(|&(events, known)| (known > 0).then(|| events as f64 / known as f64)).collect()
}
