use super::proxy::{association, auc_of, folds_by_group, meet, parts};
use crate::{CODE_MISSING, Column, FIRST_LEVEL, Rng};

#[test]
fn parts_are_values_levels_or_ranges_of_equal_size() {
    let few = Column::Number(vec![3.0, 1.0, f64::NAN, 3.0, 2.0]);
    assert_eq!(parts(&few, 5), [3, 1, 0, 3, 2]);
    let many = parts(&Column::Number((0..100).map(f64::from).collect()), 4);
    assert_eq!([0, 24, 25, 50, 99].map(|i| many[i]), [1, 1, 2, 3, 4]);
    let levels = Column::Codes(vec![FIRST_LEVEL, FIRST_LEVEL, FIRST_LEVEL + 1, CODE_MISSING, FIRST_LEVEL + 1]);
    assert_eq!(parts(&levels, 2), [0, 0, 1, 2, 1], "the most frequent levels, then all others");
    assert_eq!(meet(&[0, 0, 1, 1, 0], &[7, 8, 7, 8, 8]), [0, 1, 2, 3, 1]);
}

#[test]
fn folds_hold_groups_in_equal_parts() {
    let group: Vec<usize> = (0..103).map(|i| usize::from(i % 5 == 0)).collect();
    let folds = folds_by_group(&group, 4, 7);
    for fold in 0..4 {
        let own = (0..103).filter(|&i| folds[i] == fold);
        let n_in = own.clone().filter(|&i| group[i] == 1).count();
        assert!((25..=26).contains(&own.count()) && (5..=6).contains(&n_in), "{n_in}");
    }
    assert_eq!(folds, folds_by_group(&group, 4, 7), "the same seed, the same folds");
}

#[test]
fn information_is_that_of_the_table_by_hand() {
    // 2 parts and 2 groups of 400, 100, 100 and 400 rows: H(group) = ln 2 and I = ln 2 + .8 ln .8 + .2 ln .2.
    let (mut part, mut group) = (Vec::new(), Vec::new());
    for (p, g, n) in [(0, 0, 400), (0, 1, 100), (1, 0, 100), (1, 1, 400)] {
        part.extend(vec![p; n]);
        group.extend(vec![g; n]);
    }
    let found = association(&part, &group, 2, &[1], &folds_by_group(&group, 5, 1)).unwrap();
    let bias = 1.0 / 2000.0;
    let by_hand = (2f64.ln() + 0.8 * 0.8f64.ln() + 0.2 * 0.2f64.ln() - bias) / 2f64.ln();
    assert!((found.information - by_hand).abs() < 1e-12, "{} for {by_hand}", found.information);
    // Of pairs of a row inside and one outside .8² + .2 · .8 are ranked rightly, counting ties half.
    assert!((found.auc.value - 0.8).abs() < 0.005 && found.auc.low < 0.79 && found.auc.high > 0.81, "{:?}", found.auc);
}

#[test]
fn what_tells_nothing_is_no_proxy_and_what_tells_all_is_one() {
    let mut rng = Rng::new(3);
    let n = 4000;
    let group: Vec<usize> = (0..n).map(|_| rng.below(3)).collect();
    let folds = folds_by_group(&group, 5, 1);
    let noise = parts(&Column::Number((0..n).map(|_| rng.normal()).collect()), 10);
    let found = association(&noise, &group, 3, &[0, 1, 2], &folds).unwrap();
    assert!(found.auc.low < 0.5 && found.auc.value < 0.53 && found.information < 0.005, "{found:?}");
    // Neither high nor low values tell the middle group, both together do: no monotone measure would find it.
    let shape = Column::Number(group.iter().map(|g| [0.0, 1.0, 2.0][*g] + 0.1 * rng.normal()).collect());
    let found = association(&parts(&shape, 10), &group, 3, &[0, 1, 2], &folds).unwrap();
    assert!(found.auc.value > 0.99 && found.information > 0.8, "{found:?}");
}

#[test]
fn two_columns_may_tell_what_neither_tells_alone() {
    let mut rng = Rng::new(4);
    let n = 2000;
    let draw = |rng: &mut Rng| (0..n).map(|_| rng.below(2)).collect::<Vec<_>>();
    let (a, b) = (draw(&mut rng), draw(&mut rng));
    let group: Vec<usize> = a.iter().zip(&b).map(|(a, b)| a ^ b).collect();
    let folds = folds_by_group(&group, 5, 1);
    let auc = |parts: &[usize]| association(parts, &group, 2, &[1], &folds).unwrap().auc.value;
    assert!(auc(&a) < 0.55 && auc(&b) < 0.55);
    assert_eq!(auc(&meet(&a, &b)), 1.0);
}

#[test]
fn a_group_without_rows_is_told_by_nothing() {
    assert!(association(&[0, 1], &[0, 0], 2, &[1], &[0, 1]).is_none());
    assert!(auc_of(&[0.1, 0.2], &[true, true], &[0, 0]).is_none());
}
