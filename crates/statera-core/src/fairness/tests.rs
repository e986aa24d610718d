use super::*;
use serde::Deserialize;
use std::collections::BTreeMap;

/// fairlearn's numbers (see `oracle/make_cases.py`).
#[derive(Deserialize)]
struct Oracle {
    group: Vec<String>,
    target: Vec<f64>,
    margin: Vec<f64>,
    weight: Vec<f64>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    weighted: bool,
    by_group: BTreeMap<String, BTreeMap<String, f64>>,
    auc: BTreeMap<String, f64>,
    parity_ratio: f64,
    odds_difference: f64,
    approved: BTreeMap<String, f64>,
}

fn groups(names: &[String]) -> Vec<Group> {
    let mut all: Vec<&String> = names.iter().collect();
    all.sort();
    all.dedup();
    let rows = |name: &String| (0..names.len()).filter(|&i| &names[i] == name).collect();
    all.into_iter().map(|name| Group { name: name.clone(), rows: rows(name) }).collect()
}

#[test]
fn figures_equal_fairlearns() {
    let oracle: Oracle = serde_json::from_str(include_str!("oracle/fairlearn.json")).expect("the oracle is JSON");
    let approved: Vec<bool> = oracle.margin.iter().map(|m| *m <= 0.6).collect();
    let probabilities: Vec<f64> = oracle.margin.iter().map(|m| 1.0 / (1.0 + (-m).exp())).collect();
    let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-9, "{a} against {b}");
    for case in oracle.cases {
        let decided = Decided {
            target: &oracle.target,
            margins: &oracle.margin,
            probabilities: &probabilities,
            approved: &approved,
            weight: case.weighted.then_some(&oracle.weight[..]),
        };
        // fairlearn knows no group that is too small.
        let rules = Rules { min_rows: 1, min_events: 1, ..Rules::default() };
        let found = judge(decided, &groups(&oracle.group), &rules, 1).expect("three groups");
        let value = |f: Option<Interval>| f.expect("a figure").value;
        for own in &found {
            let theirs = &case.by_group[&own.group];
            near(1.0 - own.approval_rate.value, theirs["declined"]);
            near(value(own.false_positive_rate), theirs["fpr"]);
            near(value(own.false_negative_rate), theirs["fnr"]);
            near(value(own.auc), case.auc[&own.group]);
            near(own.approval_rate.value, case.approved[&own.group]);
            assert!(
                own.approval_rate.low < own.approval_rate.value && own.approval_rate.value < own.approval_rate.high
            );
        }
        let ratios = found.iter().filter_map(|g| g.approval_ratio).map(|r| r.figure.value);
        near(ratios.fold(1.0, f64::min), case.parity_ratio);
        let unequal = disparity(decided, &groups(&oracle.group), &rules, 1).expect("rows").expect("three groups");
        near(unequal.approval_ratio.value, case.parity_ratio);
        let spread = |f: fn(&GroupFigures) -> Option<Interval>| {
            let all: Vec<f64> = found.iter().map(|g| value(f(g))).collect();
            all.iter().copied().fold(f64::MIN, f64::max) - all.iter().copied().fold(f64::MAX, f64::min)
        };
        // The true positive rate's spread is the false negative rate's.
        near(spread(|g| g.false_positive_rate).max(spread(|g| g.false_negative_rate)), case.odds_difference);
        assert_eq!(found.iter().filter(|g| g.is_reference).count(), 1);
    }
}

/// `n` rows of each of two groups of which `a` approves `share[0]` and `b` `share[1]`, with every third row an event.
fn simple(n: usize, share: [f64; 2]) -> (Vec<f64>, Vec<f64>, Vec<bool>, Vec<Group>) {
    let target: Vec<f64> = (0..2 * n).map(|i| f64::from(u8::from(i % 3 == 0))).collect();
    let margins: Vec<f64> = (0..2 * n).map(|i| target[i] + (i % 7) as f64 * 0.1).collect();
    let approved = (0..2 * n).map(|i| ((i % n) as f64) < share[i / n] * n as f64).collect();
    let group = |name: &str, rows: std::ops::Range<usize>| Group { name: name.into(), rows: rows.collect() };
    (target, margins, approved, vec![group("a", 0..n), group("b", n..2 * n)])
}

fn judged(n: usize, share: [f64; 2], rules: &Rules) -> Result<Vec<GroupFigures>> {
    let (target, margins, approved, groups) = simple(n, share);
    let probabilities = vec![1.0 / 3.0; 2 * n];
    let decided = Decided {
        target: &target,
        margins: &margins,
        probabilities: &probabilities,
        approved: &approved,
        weight: None,
    };
    judge(decided, &groups, rules, 1)
}

#[test]
fn verdicts_are_as_sure_as_the_rows_allow() {
    let ratio =
        |n, share| judged(n, share, &Rules::default()).expect("two groups")[1].approval_ratio.expect("compared");
    let fails = ratio(3000, [0.9, 0.6]);
    assert!((fails.figure.value - 2.0 / 3.0).abs() < 1e-12 && fails.verdict == Verdict::Fails, "{fails:?}");
    assert_eq!(ratio(3000, [0.9, 0.85]).verdict, Verdict::Holds);
    assert_eq!(ratio(300, [0.9, 0.72]).verdict, Verdict::Unclear);
    let small = judged(60, [0.9, 0.3], &Rules::default()).expect("two groups");
    assert!(small.iter().all(|g| g.is_small));
    assert!(small[1].approval_ratio.is_some_and(|r| r.verdict == Verdict::NotJudged));
    let found = judged(3000, [0.9, 0.6], &Rules::default()).expect("two groups");
    assert!(found[0].is_reference && found[0].approval_ratio.is_none());
    assert_eq!(found[0].calibration_gap.verdict, Verdict::Holds, "its own probabilities are judged for every group");
}

#[test]
fn a_weight_of_two_is_the_row_twice_and_of_zero_no_row() {
    let (target, margins, approved, groups) = simple(120, [0.8, 0.5]);
    let weight: Vec<f64> = (0..240).map(|i| (i / 3 % 3) as f64).collect();
    let probabilities = vec![0.3; 240];
    let decided = Decided {
        target: &target,
        margins: &margins,
        probabilities: &probabilities,
        approved: &approved,
        weight: Some(&weight),
    };
    let weighted = judge(decided, &groups, &Rules::default(), 1).expect("two groups");
    let repeated: Vec<usize> = (0..240).flat_map(|i| vec![i; i / 3 % 3]).collect();
    let take = |v: &[f64]| repeated.iter().map(|&i| v[i]).collect::<Vec<f64>>();
    let (target, margins, probabilities) = (take(&target), take(&margins), take(&probabilities));
    let approved: Vec<bool> = repeated.iter().map(|&i| approved[i]).collect();
    let rows = |range: std::ops::Range<usize>| (0..repeated.len()).filter(|&i| range.contains(&repeated[i])).collect();
    let groups = [Group { name: "a".into(), rows: rows(0..120) }, Group { name: "b".into(), rows: rows(120..240) }];
    let decided = Decided {
        target: &target,
        margins: &margins,
        probabilities: &probabilities,
        approved: &approved,
        weight: None,
    };
    let plain = judge(decided, &groups, &Rules::default(), 1).expect("two groups");
    for (a, b) in weighted.iter().zip(&plain) {
        assert!((a.approval_rate.value - b.approval_rate.value).abs() < 1e-12);
        assert!((a.auc.expect("both classes").value - b.auc.expect("both classes").value).abs() < 1e-12);
        assert!(a.n_rows < b.n_rows, "rows are counted once, whatever they weigh");
    }
}

#[test]
fn what_rows_cannot_say_is_not_said() {
    let (mut target, margins, approved, groups) = simple(150, [0.8, 0.5]);
    target[150..].fill(0.0);
    let probabilities = vec![0.3; 300];
    let decided = Decided {
        target: &target,
        margins: &margins,
        probabilities: &probabilities,
        approved: &approved,
        weight: None,
    };
    let found = judge(decided, &groups, &Rules::default(), 1).expect("two groups");
    assert!(found[1].auc.is_none() && found[1].false_negative_rate.is_none() && found[1].false_positive_rate.is_some());
    assert!(found[1].is_small, "no events");
}

#[test]
fn refuses_what_cannot_be_compared() {
    let alone = |groups: &[Group]| {
        let (target, margins, approved, _) = simple(10, [0.5, 0.5]);
        let decided =
            Decided { target: &target, margins: &margins, probabilities: &margins, approved: &approved, weight: None };
        judge(decided, groups, &Rules::default(), 1).expect_err("refused").to_string()
    };
    let group = |name: &str, rows: &[usize]| Group { name: name.into(), rows: rows.to_vec() };
    assert_eq!(
        alone(&[group("a", &[0, 1]), group("b", &[])]),
        "fairness compares at least two groups with rows; there is «a» alone"
    );
    assert_eq!(alone(&[]), "fairness compares at least two groups with rows; there is none");
    for (change, expected) in [
        ((|r: &mut Rules| r.min_rows = 0) as fn(&mut Rules), "min_rows is 0; allowed: 1 and above"),
        (|r| r.approval_ratio = 1.2, "approval_ratio is 1.2; allowed: above 0, at most 1"),
        (|r| r.auc_gap = f64::NAN, "auc_gap is NaN; allowed: 0 to 1"),
        (|r| r.proxy_auc = 0.3, "proxy_auc is 0.3; allowed: 0.5 to 1"),
        (|r| r.proxy_gain = 0.6, "proxy_gain is 0.6; allowed: 0 to 0.5"),
        (|r| r.n_bootstrap = 5, "n_bootstrap is 5; allowed: 40 to 10000"),
    ] {
        let mut rules = Rules::default();
        change(&mut rules);
        let refused = judged(200, [0.9, 0.5], &rules).expect_err("refused").to_string();
        assert_eq!(refused, format!("fairness rules «2026-2»: {expected}"));
    }
}

#[test]
fn disparity_is_of_the_least_and_the_greatest_approval_rate() {
    let (target, margins, approved, mut groups) = simple(300, [0.9, 0.6]);
    groups.push(Group { name: "few".into(), rows: (0..20).collect() });
    let probabilities = vec![0.3; 600];
    let of = |approved: &[bool], groups: &[Group]| {
        let (target, margins, probabilities) = (&target[..], &margins[..], &probabilities[..]);
        let decided = Decided { target, margins, probabilities, approved, weight: None };
        disparity(decided, groups, &Rules::default(), 1).expect("rows")
    };
    let found = of(&approved, &groups).expect("two large groups");
    assert!((found.approval_ratio.value - 2.0 / 3.0).abs() < 1e-12 && (found.approval_gap.value - 0.3).abs() < 1e-12);
    assert!(found.approval_ratio.low < 0.66 && found.approval_ratio.high > 0.68 && found.approval_ratio.high < 0.8);
    assert_eq!((found.least.as_str(), found.greatest.as_str()), ("b", "a"), "a small group is not judged");
    assert!(of(&approved, &groups[1..]).is_none(), "one large group");
    assert!(of(&[false; 600], &groups).is_none(), "nobody is approved");
}

#[test]
fn what_nothing_beats_is_optimal() {
    let figures = [(0.80, Some(0.70)), (0.78, Some(0.90)), (0.77, Some(0.85)), (0.80, Some(0.70)), (0.99, None)];
    assert_eq!(pareto_optimal(&figures), [true, true, false, true, false]);
}
