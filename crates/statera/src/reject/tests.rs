use super::*;

/// Four bad of ten in the low band of accepted rows, eight of ten in the high one.
fn accepted() -> (Vec<f64>, Vec<f64>) {
    let margins = (0..80).map(|i| if i < 40 { -1.0 } else { 1.0 }).collect();
    let target = (0..80).map(|i| f64::from(u8::from(i % 10 < if i < 40 { 4 } else { 8 }))).collect();
    (margins, target)
}

#[test]
fn parcels_have_the_bad_rate_of_the_accepted_times_the_factor() {
    let (margins, target) = accepted();
    let weight = vec![1.0; 80];
    let known = Known { margins: &margins, target: &target, weight: &weight };
    let declined: Vec<f64> = (0..120).map(|i| if i < 20 { -1.0 } else { 1.0 }).collect();
    let count = |factor, seed, weight: &[f64]| {
        let method = Method { inference: RejectInference::Parcelling, factor, seed };
        let outcomes = parcelling(known, &declined, weight, method);
        (outcomes[..20].iter().sum::<f64>(), outcomes[20..].iter().sum::<f64>(), outcomes)
    };
    let ones = vec![1.0; 120];
    let (low, high, outcomes) = count(1.0, 1, &ones);
    assert_eq!((low, high), (8.0, 80.0), "40 % of 20 and 80 % of 100");
    let (low, high, _) = count(1.5, 1, &ones);
    assert_eq!((low, high), (12.0, 100.0), "60 % of 20, and never more than all");
    assert_eq!(outcomes, count(1.0, 1, &ones).2, "the same seed, the same rows");
    assert_ne!(outcomes, count(1.0, 2, &ones).2);
    // Of half the rows' weight in ten rows of the low band: 40 % of the weight, to within half a row.
    let heavy: Vec<f64> = (0..120).map(|i| if i < 10 { 3.0 } else { 1.0 }).collect();
    let (_, _, outcomes) = count(1.0, 1, &heavy);
    let bad: f64 = (0..20).map(|i| outcomes[i] * heavy[i]).sum();
    assert!((bad - 16.0).abs() <= 1.5, "{bad} of 40");
}

#[test]
fn bands_hold_enough_accepted_rows() {
    let line: Vec<f64> = (0..1000).map(f64::from).collect();
    assert_eq!(bands(&line, &[]).len(), N_BANDS - 1);
    // Declined rows beyond all accepted ones share the band of the riskiest of these.
    let beyond: Vec<f64> = (0..1000).map(|i| 2000.0 + f64::from(i)).collect();
    let edges = bands(&line, &beyond);
    assert_eq!(edges, [200.0, 400.0, 600.0, 800.0]);
    assert!(bands(&line[..50], &beyond).is_empty(), "one band where accepted rows are few");
}

#[test]
fn fuzzy_rows_enter_twice_with_the_weights_of_their_outcomes() {
    let margin = (0.3f64 / 0.7).ln();
    let (rows, target, weight) = fuzzy(&[margin, 40.0], &[2.0, 1.0], 1.0);
    assert_eq!((&rows[..], &target[..]), (&[0, 1, 0][..], &[1.0, 1.0, 0.0][..]), "what weighs nothing is left out");
    assert!((weight[0] - 0.6).abs() < 1e-12 && (weight[2] - 1.4).abs() < 1e-12, "{weight:?}");
    let (_, _, weight) = fuzzy(&[margin], &[2.0], 2.0);
    assert!((weight[0] - 1.2).abs() < 1e-12 && (weight[1] - 0.8).abs() < 1e-12, "{weight:?}");
}
