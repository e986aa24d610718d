//! Target rates: the generic cell rate algorithm (ITU-T I.371), which is a token bucket whose state is one number.
//!
//! A bucket holds its theoretical arrival time (TAT): when the next request would come if all came at the target's
//! rate. A request conforms while the TAT is at most the tolerance ahead of the clock, and then moves it on by one
//! interval. All times are nanoseconds since the server started, passed in: nothing here reads a clock.

/// Most requests a second that can be aimed at: an interval is at least a microsecond, so that rounding it to whole
/// nanoseconds costs less than a thousandth of the rate.
pub const MAX_RATE: u32 = 1_000_000;

const NS_PER_SECOND: u64 = 1_000_000_000;
const NS_PER_MS: u64 = 1_000_000;

/// What is aimed at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// Nanoseconds between requests; 0: as many as come.
    interval_ns: u64,
    /// How far ahead of the clock the theoretical arrival time may be for one more to conform.
    tolerance_ns: u64,
}

impl Target {
    /// No limit.
    pub const NONE: Target = Target { interval_ns: 0, tolerance_ns: 0 };

    /// `rate` requests a second (0: no limit; at most [`MAX_RATE`]), of which as many may come at once as the rate gives
    /// in `burst_ms`, but at least `burst_min`.
    pub fn per_second(rate: u32, burst_ms: u32, burst_min: u32) -> Target {
        if rate == 0 {
            return Target::NONE;
        }
        let interval_ns = NS_PER_SECOND / u64::from(rate.min(MAX_RATE));
        let burst = (u64::from(burst_ms) * NS_PER_MS / interval_ns).max(u64::from(burst_min)).max(1);
        Target { interval_ns, tolerance_ns: (burst - 1) * interval_ns }
    }

    /// How many may come at once after a pause; `u64::MAX` where there is no limit.
    pub fn burst(self) -> u64 {
        self.tolerance_ns.checked_div(self.interval_ns).map_or(u64::MAX, |n| n + 1)
    }
}

/// How much of a target is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bucket {
    /// The theoretical arrival time of the next request.
    tat_ns: u64,
}

impl Bucket {
    /// Nanoseconds until one more conforms; 0 if it does now.
    pub fn wait_ns(&self, target: Target, now_ns: u64) -> u64 {
        if target.interval_ns == 0 {
            return 0;
        }
        self.tat_ns.saturating_sub(now_ns.saturating_add(target.tolerance_ns))
    }

    /// Counts one request, whether it conforms or not: what does not conform is owed.
    pub fn take(&mut self, target: Target, now_ns: u64) {
        if target.interval_ns > 0 {
            self.tat_ns = self.tat_ns.max(now_ns).saturating_add(target.interval_ns);
        }
    }

    /// True if everything that was taken has come back: such a bucket can be forgotten.
    pub fn is_full(&self, now_ns: u64) -> bool {
        self.tat_ns <= now_ns
    }
}

/// The target of all requests together, divided into a share of the urgent ones and one of the others.
///
/// A request conforms if its own share has room, or if what is common has: so each side always gets its share, whatever
/// the other sends, and what one side does not use the other may. In any time `t` at most `rate · t` requests and the
/// bursts of the rate and of the shares are let in.
#[derive(Debug, Clone, Copy)]
pub struct Total {
    common: (Target, Bucket),
    /// Of the others, of the urgent ones.
    shares: [(Target, Bucket); 2],
}

impl Total {
    /// `rate` requests a second in all (0: no limit), with bursts as of [`Target::per_second`]; `urgent_percent` of it for
    /// urgent ones.
    pub fn new(rate: u32, burst_ms: u32, burst_min: u32, urgent_percent: u32) -> Total {
        let share = |percent: u32| {
            let share = u64::from(rate) * u64::from(percent) / 100;
            (Target::per_second(share as u32, burst_ms, 1), Bucket::default())
        };
        let urgent = urgent_percent.min(100);
        let common = (Target::per_second(rate, burst_ms, burst_min), Bucket::default());
        Total { common, shares: [share(100 - urgent), share(urgent)] }
    }

    /// Nanoseconds until one more may come in; 0: now.
    pub fn wait_ns(&self, urgent: bool, now_ns: u64) -> u64 {
        let (target, bucket) = self.common;
        let common = bucket.wait_ns(target, now_ns);
        match self.share(urgent) {
            Some((target, bucket)) => common.min(bucket.wait_ns(target, now_ns)),
            None => common,
        }
    }

    /// Counts one that may come in.
    pub fn take(&mut self, urgent: bool, now_ns: u64) {
        let (target, bucket) = &mut self.shares[usize::from(urgent)];
        if bucket.wait_ns(*target, now_ns) == 0 {
            bucket.take(*target, now_ns);
        }
        // The shares are parts of the rate: what is taken from them is not there for borrowing.
        self.common.1.take(self.common.0, now_ns);
    }

    /// None where there is no limit, or where the share is less than a request a second.
    fn share(&self, urgent: bool) -> Option<(Target, Bucket)> {
        let share = self.shares[usize::from(urgent)];
        (share.0 != Target::NONE).then_some(share)
    }
}

#[cfg(test)]
#[path = "bucket_tests.rs"]
mod tests;
