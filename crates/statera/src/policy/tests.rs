use super::*;
use statera_core::fairness::Group;

const POLICY: &str = r#"
version = "2026-1"
review_capacity = 0.2

[decision]
by = "cost"
bad_approved = 5
good_declined = 1

[[grade]]
name = "A"
from = 0
to = 0.05

[[grade]]
name = "B"
from = 0.05
to = 0.2

[[grade]]
name = "C"
from = 0.2
to = 1
"#;

#[test]
fn grades_and_decisions_follow_the_file() {
    let policy = Policy::parse(POLICY).expect("allowed");
    for (p, grade) in [(0.0, "A"), (0.049_999, "A"), (0.05, "B"), (0.2, "C"), (1.0, "C")] {
        assert_eq!(policy.grade_of(p), Some(grade), "{p}");
    }
    // Five to one: decline where 5 p reaches 1 − p.
    assert!((policy.decision.cutoff() - 1.0 / 6.0).abs() < 1e-15);
    // 100 rows at 0.005, 0.015 …: 17 lie below 1/6 (0.165 is the last); 20 are reviewed, ten on either side.
    let rows: Vec<f64> = (0..100).map(|i| f64::from(i) / 100.0 + 0.005).collect();
    let cutoffs = policy.cutoffs(&rows).expect("rows");
    assert!((cutoffs.review_from - 0.075).abs() < 1e-12 && (cutoffs.decline_from - 0.275).abs() < 1e-12, "{cutoffs:?}");
    let count = |d: Decision| rows.iter().filter(|p| cutoffs.decide(**p) == d).count();
    assert_eq!([Decision::Approve, Decision::Review, Decision::Decline].map(count), [7, 20, 73]);
    let all = Policy { review_capacity: 0.0, ..policy.clone() }.cutoffs(&[]).expect("no rows are needed");
    assert_eq!(all.decide(1.0 / 6.0), Decision::Decline);
    assert_eq!(all.decide(0.1666), Decision::Approve);
    // Where all rows are the same, none is reviewed beyond the capacity.
    let same = policy.cutoffs(&[0.1; 50]).expect("rows");
    assert!(same.review_from <= same.decline_from);
    assert_eq!(policy.review_note(&rows), None);
    let profit = DecisionRule::Profit { good: 0.08, bad: 0.45 };
    assert!((profit.cutoff() - 0.08 / 0.53).abs() < 1e-15);
}

#[test]
fn costs_have_a_cut_off_however_large_they_are() {
    let cutoff = |bad: f64, good: f64| DecisionRule::Cost { bad_approved: bad, good_declined: good }.cutoff();
    assert_eq!(cutoff(1e308, 1e308), 0.5);
    assert_eq!(cutoff(f64::MAX, f64::MAX / 3.0), 0.25);
    assert_eq!(cutoff(5.0, 1.0), 1.0 / 6.0);
    assert_eq!(DecisionRule::Profit { good: 1.5e308, bad: 0.5e308 }.cutoff(), 0.75);
}

#[test]
fn rows_of_one_probability_are_reviewed_all_or_none() {
    let policy = Policy::parse(POLICY).expect("allowed");
    let rows: Vec<f64> = (0..100).map(|i| if i < 50 { 0.1 } else { 0.5 }).collect();
    assert_eq!(
        policy.review_note(&rows).map(|n| n.english()).as_deref(),
        Some(
            "review_capacity is 20.0 %, and 0.0 % of rows like those of the training are reviewed: rows of one probability are \
             reviewed all or none, and no share below a ten-thousandth is told"
        )
    );
}

#[test]
fn reviews_stay_within_the_capacity() {
    let policy = Policy::parse(POLICY).expect("allowed");
    for n in [1usize, 2, 3, 7, 50, 333] {
        for shift in [0.0, 0.1, 0.3, 0.9] {
            for distinct in [1, 3, 1000] {
                let p = |i: usize| (shift + 0.7 * ((i * 7919) % distinct) as f64 / distinct as f64).min(1.0);
                let rows: Vec<f64> = (0..n).map(p).collect();
                let cutoffs = policy.cutoffs(&rows).expect("rows");
                let reviewed = rows.iter().filter(|p| cutoffs.decide(**p) == Decision::Review).count();
                assert!(reviewed as f64 <= 0.2 * n as f64, "{reviewed} of {n}, {cutoffs:?}");
                assert!(cutoffs.review_from <= cutoffs.decline_from);
            }
        }
    }
}

#[test]
fn a_policy_whose_rule_declines_somebody_declines_somebody_without_review() {
    let policy = Policy::parse(POLICY).expect("allowed");
    // The cut-off is 1/6. Of 100 rows six lie on one side of it; the capacity of 20 would take ten there.
    let check = |n_below: usize, expected: [usize; 3], note: &str| {
        let p = |i: usize| if i < n_below { 0.001 * (i + 1) as f64 } else { 0.5 + 0.001 * i as f64 };
        let rows: Vec<f64> = (0..100).map(p).collect();
        let cutoffs = policy.cutoffs(&rows).expect("rows");
        let count = |d: Decision| rows.iter().filter(|p| cutoffs.decide(**p) == d).count();
        assert_eq!([Decision::Approve, Decision::Review, Decision::Decline].map(count), expected, "{cutoffs:?}");
        assert_eq!(policy.review_note(&rows).map(|n| n.english()).as_deref(), Some(note));
    };
    let note = |reviewed: &str, below: &str, above: &str| {
        format!(
            "review_capacity is 20.0 %, and {reviewed} % of rows like those of the training are reviewed: at most half of the \
             capacity is taken on either side of the cut-off 0.1667, and never a whole side ({below} % lie below, {above} % above)"
        )
    };
    check(94, [84, 13, 3], &note("13.0", "94.0", "6.0"));
    check(6, [3, 13, 84], &note("13.0", "6.0", "94.0"));
    check(100, [90, 10, 0], &note("10.0", "100.0", "0.0"));
    check(99, [89, 10, 1], &note("10.0", "99.0", "1.0"));
    check(0, [0, 10, 90], &note("10.0", "0.0", "100.0"));
}

#[test]
fn refuses_what_cannot_be_a_policy() {
    for (from, to, expected) in [
        (
            "to = 0.05",
            "to = 0.06",
            "policy.toml: grades «A» and «B» overlap: one ends at 0.06, the next begins at 0.05; allowed: the same number, grades in rising order",
        ),
        (
            "to = 0.05",
            "to = 0.04",
            "policy.toml: grades «A» and «B» leave a gap: one ends at 0.04, the next begins at 0.05; allowed: the same number, grades in rising order",
        ),
        (
            "from = 0\n",
            "from = 0.01\n",
            "policy.toml: the grades cover 0.01 to 1; allowed: 0 to 1, so that every probability has a grade",
        ),
        ("to = 1\n", "to = 0.1\n", "policy.toml: grade «C»: from 0.2 to 0.1; allowed: from below to, both from 0 to 1"),
        ("\"B\"", "\"A\"", "policy.toml: grade 2: the name «A» is empty or taken"),
        (
            "bad_approved = 5",
            "bad_approved = -5",
            "policy.toml: decision: bad_approved is -5; allowed: numbers above 0",
        ),
        ("capacity = 0.2", "capacity = 1.5", "policy.toml: review_capacity is 1.5; allowed: 0 to below 1"),
        ("\"2026-1\"", "\" \"", "policy.toml: version is empty; it names the policy beside every decision"),
    ] {
        let text = POLICY.replace(from, to);
        assert_ne!(text, POLICY);
        assert_eq!(Policy::parse(&text).expect_err("refused").to_string(), expected);
    }
    for text in
        [POLICY.replace("by = \"cost\"", "by = \"luck\""), POLICY.replace("to = 0.2", "upto = 0.2"), "grade = 1".into()]
    {
        let refused = Policy::parse(&text).expect_err("refused");
        assert!(refused.is_request() && refused.to_string().starts_with("policy.toml"), "{refused}");
    }
}

#[test]
fn a_cut_off_is_judged_by_what_it_would_have_done() {
    let target = [0.0, 0.0, 1.0, 0.0, 1.0, 1.0];
    let probabilities = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6];
    // The present score has its two lowest rows tied, of which one has the event.
    let baseline = [3.0, 1.0, 1.0, 4.0, 5.0, 6.0];
    let rows = Outcomes { target: &target, probabilities: &probabilities, baseline: Some(&baseline), weight: None };
    let groups = [
        Group { name: "a".into(), rows: vec![0, 2, 4] },
        Group { name: "b".into(), rows: vec![1, 3, 5] },
        Group { name: "c".into(), rows: vec![] },
    ];
    let rule = DecisionRule::Cost { bad_approved: 5.0, good_declined: 1.0 };
    let found = what_if(rows, &groups, &rule, &[0.35, 0.0, 0.15]).expect("rows");
    let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-12, "{a} against {b}");
    let model = &found[0].model;
    near(model.approval_rate, 0.5);
    let bad_rate = |a: Alternative| a.bad_rate.expect("some are approved");
    near(bad_rate(*model), 1.0 / 3.0);
    near(model.value.expect("costs"), (-5.0 - 1.0) / 6.0);
    assert_eq!(found[0].groups, [Some(2.0 / 3.0), Some(1.0 / 3.0), None]);
    // Three approvals of the present score: rows 1, 2 and 0.
    let present = found[0].baseline.expect("a present score");
    near(present.approval_rate, 0.5);
    near(bad_rate(present), 1.0 / 3.0);
    assert_eq!(found[0].baseline_groups, [Some(2.0 / 3.0), Some(1.0 / 3.0), None]);
    // Where nobody is approved, there is no bad rate.
    assert_eq!((found[1].model.approval_rate, found[1].model.bad_rate), (0.0, None));
    near(found[1].model.value.expect("costs"), -0.5);
    // One approval among two tied rows: half of each.
    near(bad_rate(found[2].baseline.expect("a present score")), 0.5);
    assert_eq!(found[2].groups, [Some(1.0 / 3.0), Some(0.0), None], "the model approves row 0");
    let [a, b, c] = found[2].baseline_groups[..] else { panic!("three groups") };
    near(a.expect("rows"), 0.5 / 3.0);
    near(b.expect("rows"), 0.5 / 3.0);
    assert_eq!(c, None);
    let weight = [2.0, 1.0, 1.0, 0.0, 1.0, 1.0];
    let weighted = what_if(Outcomes { weight: Some(&weight), ..rows }, &groups, &rule, &[0.35]).expect("rows");
    near(weighted[0].model.approval_rate, 4.0 / 6.0);
    near(bad_rate(weighted[0].model), 0.25);
    let cutoff = DecisionRule::Cutoff { decline_from: 0.3 };
    let plain = &what_if(Outcomes { baseline: None, ..rows }, &groups, &cutoff, &[0.3]).expect("rows")[0];
    assert_eq!((plain.model.value, plain.baseline, plain.baseline_groups.len()), (None, None, 0));
}
