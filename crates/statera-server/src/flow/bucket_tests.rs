use super::*;
use statera_core::Rng;

const SECOND: u64 = 1_000_000_000;
const MS: u64 = 1_000_000;

/// Sends one request every `gap_ns` for `seconds`, and counts those that conform.
fn conforming(target: Target, gap_ns: u64, seconds: u64) -> u64 {
    let mut bucket = Bucket::default();
    let mut n = 0;
    let mut now = 0;
    while now < seconds * SECOND {
        if bucket.wait_ns(target, now) == 0 {
            bucket.take(target, now);
            n += 1;
        }
        now += gap_ns;
    }
    n
}

#[test]
fn the_rate_is_kept_to_the_request() {
    // Five times the rate for ten seconds: the burst of 100 once, then one each millisecond.
    let target = Target::per_second(1_000, 100, 10);
    assert_eq!(target.burst(), 100);
    assert_eq!(conforming(target, SECOND / 5_000, 10), 10_099);
    // Below and at the rate nothing is refused.
    assert_eq!(conforming(target, SECOND / 900, 10), 9_001);
    assert_eq!(conforming(target, SECOND / 1_000, 10), 10_000);
    assert_eq!(conforming(Target::NONE, 1_000, 1), 1_000_000);
}

#[test]
fn a_slow_rate_lets_its_least_burst_in_at_once() {
    let target = Target::per_second(2, 100, 3);
    let mut bucket = Bucket::default();
    for _ in 0..3 {
        assert_eq!(bucket.wait_ns(target, 0), 0);
        bucket.take(target, 0);
    }
    assert_eq!(bucket.wait_ns(target, 0), SECOND / 2, "one comes back after half a second");
    assert_eq!(bucket.wait_ns(target, SECOND / 2), 0);
    assert!(!bucket.is_full(SECOND));
    assert!(bucket.is_full(SECOND * 3 / 2));
}

#[test]
fn a_pause_gives_one_burst_and_no_more() {
    let target = Target::per_second(1_000, 20, 1);
    let mut bucket = Bucket::default();
    bucket.take(target, 0);
    let after_an_hour = 3_600 * SECOND;
    let mut n = 0;
    while bucket.wait_ns(target, after_an_hour) == 0 {
        bucket.take(target, after_an_hour);
        n += 1;
    }
    assert_eq!(n, 20);
}

#[test]
fn in_any_window_at_most_the_rate_and_the_bursts_come_in() {
    let mut rng = Rng::new(7);
    for percent in [0, 25, 50, 100] {
        let (rate, burst_ms) = (1_000, 50);
        let mut total = Total::new(rate, burst_ms, 1, percent);
        let mut now = 0;
        let mut let_in: Vec<u64> = Vec::new();
        for _ in 0..20_000 {
            now += rng.below(400) as u64 * 1_000;
            let urgent = rng.below(2) == 0;
            if total.wait_ns(urgent, now) == 0 {
                total.take(urgent, now);
                let_in.push(now);
            }
        }
        // Of the rate and, together as many, of the shares.
        let bursts = u64::from(rate * burst_ms / 1_000) * 2;
        for window in [MS, 10 * MS, 100 * MS, SECOND] {
            let mut first = 0;
            for (last, at) in let_in.iter().enumerate() {
                while let_in[first] + window < *at {
                    first += 1;
                }
                let n = (last - first + 1) as u64;
                let most = window * u64::from(rate) / SECOND + bursts + 1;
                assert!(n <= most, "{n} in {window} ns at {percent} %, at most {most}");
            }
        }
    }
}

/// How many urgent and other requests come in during ten seconds when that many of each come a second; the urgent ones
/// come first where they meet.
fn let_in(urgent_rate: u64, other_rate: u64) -> (u64, u64) {
    let mut total = Total::new(1_000, 20, 1, 25);
    let mut n = [0, 0];
    for us in 0..10_000_000_u64 {
        for (urgent, rate) in [(true, urgent_rate), (false, other_rate)] {
            let comes = rate > 0 && us % (1_000_000 / rate) == 0;
            if comes && total.wait_ns(urgent, us * 1_000) == 0 {
                total.take(urgent, us * 1_000);
                n[usize::from(urgent)] += 1;
            }
        }
    }
    (n[1], n[0])
}

#[test]
fn each_side_has_its_share_whatever_the_other_sends() {
    let (urgent, others) = let_in(200, 5_000);
    assert_eq!(urgent, 2_000, "below its share nothing urgent is refused");
    assert!((7_950..=8_050).contains(&others), "{others}");
    let (urgent, others) = let_in(5_000, 500);
    assert_eq!(others, 5_000, "nor of the others");
    assert!((4_950..=5_050).contains(&urgent), "{urgent}");
    let (urgent, others) = let_in(5_000, 5_000);
    assert!(urgent >= 2_500 && others >= 7_500 && urgent + others <= 10_050, "{urgent} and {others}");
}

#[test]
fn what_one_side_does_not_use_the_other_may() {
    let (urgent, _) = let_in(5_000, 0);
    let (_, others) = let_in(0, 5_000);
    assert!((9_990..=10_050).contains(&urgent) && (9_990..=10_050).contains(&others), "{urgent} and {others}");
}
