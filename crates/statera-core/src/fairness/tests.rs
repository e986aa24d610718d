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
    let approved: Vec<f64> = oracle.margin.iter().map(|m| f64::from(u8::from(*m <= 0.6))).collect();
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
            let approval = own.approval_rate.expect("rows");
            near(1.0 - approval.value, theirs["declined"]);
            near(value(own.false_positive_rate), theirs["fpr"]);
            near(value(own.false_negative_rate), theirs["fnr"]);
            near(value(own.auc), case.auc[&own.group]);
            near(approval.value, case.approved[&own.group]);
            assert!(approval.low < approval.value && approval.value < approval.high);
        }
        let ratios = found.iter().filter_map(|g| g.approval_ratio).map(|r| r.figure.value);
        near(ratios.fold(1.0, f64::min), case.parity_ratio);
        let unequal = disparity(decided, &groups(&oracle.group), &rules).expect("rows").expect("three groups");
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
fn simple(n: usize, share: [f64; 2]) -> (Vec<f64>, Vec<f64>, Vec<f64>, Vec<Group>) {
    let target: Vec<f64> = (0..2 * n).map(|i| f64::from(u8::from(i % 3 == 0))).collect();
    let margins: Vec<f64> = (0..2 * n).map(|i| target[i] + (i % 7) as f64 * 0.1).collect();
    let approved = (0..2 * n).map(|i| f64::from(u8::from(((i % n) as f64) < share[i / n] * n as f64))).collect();
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
    let verdict = found[0].calibration_gap.map(|gap| gap.verdict);
    assert_eq!(verdict, Some(Verdict::Holds), "its own probabilities are judged for every group");
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
    let approved = take(&approved);
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
        assert!((a.approval_rate.expect("rows").value - b.approval_rate.expect("rows").value).abs() < 1e-12);
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
    assert_eq!(alone(&[group("a", &[0, 1])]), "fairness compares at least two groups; there is «a» alone");
    assert_eq!(alone(&[]), "fairness compares at least two groups; there is none");
    let refused = |approved: f64, weight: f64| {
        let (target, margins, _, groups) = simple(2, [0.5, 0.5]);
        let (approved, weight) = ([approved; 4], [1.0, weight, 1.0, 1.0]);
        let weight = Some(&weight[..]);
        let decided =
            Decided { target: &target, margins: &margins, probabilities: &margins, approved: &approved, weight };
        judge(decided, &groups, &Rules::default(), 1).expect_err("refused").to_string()
    };
    assert_eq!(refused(1.5, 1.0), "row 0: 1.5 of it is approved; allowed: 0 to 1");
    assert_eq!(refused(0.5, -1.0), "row 1: weight -1; allowed: 0 and above");
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
    let of = |approved: &[f64], groups: &[Group]| {
        let (target, margins, probabilities) = (&target[..], &margins[..], &probabilities[..]);
        let decided = Decided { target, margins, probabilities, approved, weight: None };
        disparity(decided, groups, &Rules::default()).expect("rows")
    };
    let found = of(&approved, &groups).expect("two large groups");
    assert!((found.approval_ratio.value - 2.0 / 3.0).abs() < 1e-12 && (found.approval_gap.value - 0.3).abs() < 1e-12);
    assert!(found.approval_ratio.low < 0.66 && found.approval_ratio.high > 0.68 && found.approval_ratio.high < 0.8);
    assert_eq!((found.least.as_str(), found.greatest.as_str()), ("b", "a"), "a small group is not judged");
    assert!(of(&approved, &groups[1..]).is_none(), "one large group");
    assert!(of(&[0.0; 600], &groups).is_none(), "nobody is approved");
}

/// `n` rows in each group of a true approval rate, drawn; every third row is an event, and probabilities say so.
fn drawn(rng: &mut Rng, n: usize, rates: &[f64], use_figures: impl FnOnce(Decided<'_>, &[Group])) {
    let target: Vec<f64> = (0..rates.len() * n).map(|i| f64::from(u8::from(i % 3 == 0))).collect();
    let margins: Vec<f64> = (0..target.len()).map(|i| (i % 7) as f64).collect();
    let probabilities = vec![1.0 / 3.0; target.len()];
    let approved: Vec<f64> = (0..target.len()).map(|i| f64::from(u8::from(rng.uniform() < rates[i / n]))).collect();
    let group = |g: usize| Group { name: g.to_string(), rows: (g * n..(g + 1) * n).collect() };
    let groups: Vec<Group> = (0..rates.len()).map(group).collect();
    let (target, margins, probabilities, approved) = (&target[..], &margins[..], &probabilities[..], &approved[..]);
    use_figures(Decided { target, margins, probabilities, approved, weight: None }, &groups);
}

#[test]
fn the_intervals_of_a_disparity_hold_though_its_groups_were_chosen_by_the_rows() {
    // All six groups are approved alike, so that of any two the ratio is 1 and the gap 0.
    let mut rng = Rng::new(3);
    let mut n_hold = 0;
    for _ in 0..300 {
        drawn(&mut rng, 200, &[0.8; 6], |decided, groups| {
            let found = disparity(decided, groups, &Rules::default()).expect("rows").expect("six groups");
            let (ratio, gap) = (found.approval_ratio, found.approval_gap);
            assert!(ratio.low <= ratio.value && ratio.value <= 1.0 && ratio.value <= ratio.high);
            n_hold += usize::from(ratio.high >= 1.0 && gap.low <= 0.0);
        });
    }
    assert!(n_hold >= 276, "{n_hold} of 300 hold; 95 % should");
}

#[test]
fn a_rule_that_holds_for_all_groups_seldom_fails_for_one_of_them() {
    let rules = Rules { n_bootstrap: 40, ..Rules::default() };
    let n_failing = |rates: &[f64], rules: &Rules| {
        let mut rng = Rng::new(4);
        let mut n_failing = 0;
        for _ in 0..300 {
            drawn(&mut rng, 300, rates, |decided, groups| {
                let found = judge(decided, groups, rules, 1).expect("groups");
                let fails = |g: &GroupFigures| g.approval_ratio.is_some_and(|r| r.verdict == Verdict::Fails);
                n_failing += usize::from(found.iter().any(fails));
            });
        }
        n_failing
    };
    // Seven groups exactly at the limit, and eight that are all alike where nothing below the reference is allowed.
    let at_limit = n_failing(&[0.9, 0.72, 0.72, 0.72, 0.72, 0.72, 0.72, 0.72], &rules);
    let alike = n_failing(&[0.8; 8], &Rules { approval_ratio: 1.0, ..rules.clone() });
    assert!(at_limit <= 9 && alike <= 24, "{at_limit} and {alike} of 300; one of twenty may");
    let worse = n_failing(&[0.9, 0.55], &rules);
    assert!(worse >= 285, "{worse} of 300: what fails is found");
}

#[test]
fn where_all_rows_agree_the_rest_of_the_world_may_not() {
    let rules = Rules { min_events: 0, n_bootstrap: 40, ..Rules::default() };
    let n = 120;
    let mut target = vec![0.0; 2 * n];
    target[..n / 2].fill(1.0);
    let margins: Vec<f64> = (0..2 * n).map(|i| f64::from(u8::from(i < n / 2))).collect();
    let probabilities = vec![0.04; 2 * n];
    let approved = vec![1.0; 2 * n];
    let group = |name: &str, rows: std::ops::Range<usize>| Group { name: name.into(), rows: rows.collect() };
    let groups = [group("a", 0..n), group("b", n..2 * n)];
    let (target, margins, probabilities, approved) = (&target[..], &margins[..], &probabilities[..], &approved[..]);
    let found = judge(Decided { target, margins, probabilities, approved, weight: None }, &groups, &rules, 1);
    let found = found.expect("two groups");
    let near = |found: f64, expected: f64| assert!((found - expected).abs() < 1e-12, "{found} for {expected}");
    // Wilson: all of n rows leave n / (n + z²) at the least.
    let z2 = Z_95 * Z_95;
    let least = |n: f64| n / (n + z2);
    let (a, b) = (&found[0], &found[1]);
    for approval in [a.approval_rate, b.approval_rate] {
        let approval = approval.expect("rows");
        near(approval.low, least(120.0));
        near(approval.high, 1.0);
    }
    near(a.false_positive_rate.expect("good rows").high, 1.0 - least(60.0));
    near(a.false_negative_rate.expect("bad rows").low, least(60.0));
    // The area is 1 in every draw: as many independent pairs as there are rows of one class.
    near(a.auc.expect("both classes").low, least(60.0));
    // Nobody of b has the event: .04 less what that may be, which lies on both sides of the limit of .05 at the level of two.
    let gap = b.calibration_gap.expect("rows");
    near(gap.figure.high, 0.04);
    let two = chi_squared_of_two();
    near(gap.figure.low, 0.04 - two / (120.0 + two));
    let ratio = b.approval_ratio.expect("compared");
    // Of two shares of 1 the ratio is the lower end of one.
    near(ratio.figure.low, least(120.0));
    near(ratio.figure.high, 1.0 / least(120.0));
}

/// scipy.stats.norm.ppf(1 - .05 / 4) ** 2
fn chi_squared_of_two() -> f64 {
    5.023886187314895
}

#[test]
fn a_group_without_weight_is_marked_and_the_others_are_judged() {
    let (target, margins, approved, mut groups) = simple(300, [0.9, 0.6]);
    groups.push(Group { name: "c".into(), rows: vec![] });
    let mut weight = vec![1.0; 600];
    let judged = |weight: &[f64]| {
        let weight = Some(weight);
        let decided =
            Decided { target: &target, margins: &margins, probabilities: &[0.3; 600], approved: &approved, weight };
        judge(decided, &groups, &Rules::default(), 1).expect("three groups")
    };
    let found = judged(&weight);
    assert!(found[1].approval_ratio.is_some_and(|r| r.verdict != Verdict::NotJudged));
    weight[300..].fill(0.0);
    for empty in [&found[2], &judged(&weight)[1]] {
        assert!(empty.is_small && !empty.is_reference && empty.n_rows == 0, "{empty:?}");
        assert!(empty.approval_rate.is_none() && empty.event_rate.is_none() && empty.calibration_gap.is_none());
    }
    let found = judged(&weight);
    assert!(found[0].is_reference && found[0].approval_rate.is_some());
    assert!(judged(&[0.0; 600]).iter().all(|g| g.is_small && !g.is_reference));
}

#[test]
fn rows_that_are_approved_in_part_count_in_part() {
    let (target, margins, _, groups) = simple(200, [0.5, 0.5]);
    let approved: Vec<f64> = (0..400).map(|i| if i < 200 { 0.75 } else { 0.25 }).collect();
    let probabilities = vec![0.3; 400];
    let decided = Decided {
        target: &target,
        margins: &margins,
        probabilities: &probabilities,
        approved: &approved,
        weight: None,
    };
    let found = judge(decided, &groups, &Rules::default(), 1).expect("two groups");
    let rate = |g: &GroupFigures| g.approval_rate.expect("rows").value;
    assert!((rate(&found[0]) - 0.75).abs() < 1e-12 && (rate(&found[1]) - 0.25).abs() < 1e-12);
    let declined = found[1].false_positive_rate.expect("good rows");
    assert!((declined.value - 0.75).abs() < 1e-12);
}

#[test]
fn what_nothing_beats_is_optimal() {
    let figures = [(0.80, Some(0.70)), (0.78, Some(0.90)), (0.77, Some(0.85)), (0.80, Some(0.70)), (0.99, None)];
    assert_eq!(pareto_optimal(&figures), [true, true, false, true, false]);
}
