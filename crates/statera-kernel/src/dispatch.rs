//! Which vector instructions run: detected once, overridable for tests.
//!
//! A kernel is written once as a generic function over `Instructions` and compiled three times by `by_level!`, each time
//! with the instructions of a [`Level`]. Rust neither reassociates nor contracts floating-point operations, so the three
//! differ in speed alone; the tests of each kernel compare their bits.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, PoisonError};

mod instructions;
mod singles;

#[cfg(target_arch = "x86_64")]
pub(crate) use instructions::{Avx2, Avx512};
pub(crate) use instructions::{Instructions, LANES, Sse2};
pub(crate) use singles::{SINGLES, Singles};

/// A set of vector instructions, poorest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Level {
    /// What every x86-64 CPU has (SSE2); fused multiply-add is emulated exactly. Also every other architecture.
    Baseline = 1,
    /// AVX2 with fused multiply-add (Intel since 2013, AMD since 2015).
    Avx2Fma = 2,
    /// AVX-512 F, BW, CD, DQ and VL (Intel servers since 2017, AMD since 2022).
    Avx512 = 3,
}

/// The level in use; 0 until the first call of [`Level::active`].
static ACTIVE: AtomicU8 = AtomicU8::new(0);
/// Held while [`with_level`] overrides the level, so that concurrent tests do not override each other.
static OVERRIDE: Mutex<()> = Mutex::new(());

impl Level {
    /// Every level, poorest first.
    pub const ALL: [Level; 3] = [Level::Baseline, Level::Avx2Fma, Level::Avx512];

    /// The richest level of this CPU.
    pub fn detected() -> Level {
        #[cfg(target_arch = "x86_64")]
        {
            // The standard library asks the CPU once and remembers.
            let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
            let avx512 = is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("avx512cd")
                && is_x86_feature_detected!("popcnt");
            match (avx2, avx512) {
                (true, true) => Level::Avx512,
                (true, false) => Level::Avx2Fma,
                _ => Level::Baseline,
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        Level::Baseline
    }

    /// The level that kernels use when none is given: the detected one, unless [`with_level`] overrides it.
    pub fn active() -> Level {
        match ACTIVE.load(Ordering::Relaxed) {
            1 => Level::Baseline,
            2 => Level::Avx2Fma,
            3 => Level::Avx512,
            _ => {
                let level = Level::detected();
                // A concurrent override wins: only the undetected state is replaced.
                let _ = ACTIVE.compare_exchange(0, level as u8, Ordering::Relaxed, Ordering::Relaxed);
                level
            }
        }
    }

    /// The levels that this CPU can run, poorest first.
    pub fn available() -> impl Iterator<Item = Level> {
        Level::ALL.into_iter().filter(|&level| level <= Level::detected())
    }
}

/// Runs `work` with every kernel of the process, on all threads, limited to `level` (or to the CPU's own where that is
/// poorer). For tests that compare bits over levels: calls on several threads wait for each other, and a call inside
/// `work` would wait for ever.
pub fn with_level<R>(level: Level, work: impl FnOnce() -> R) -> R {
    /// Puts the former level back, also when `work` panics.
    struct Restore(u8);
    impl Drop for Restore {
        fn drop(&mut self) {
            ACTIVE.store(self.0, Ordering::Relaxed);
        }
    }
    let _held = OVERRIDE.lock().unwrap_or_else(PoisonError::into_inner);
    let _restore = Restore(Level::active() as u8);
    ACTIVE.store(level.min(Level::detected()) as u8, Ordering::Relaxed);
    work()
}

/// Calls a generic `#[inline(always)]` function over `Instructions` in the version compiled for a level; a level that the CPU
/// lacks is replaced by the richest that it has.
///
/// `by_level!(level, body(a: A, b: B) -> R)` calls `body::<I>(a, b)` with the `Instructions` of the level.
macro_rules! by_level {
    ($level:expr, $body:ident($($arg:ident : $ty:ty),* $(,)?) $(-> $ret:ty)?) => {{
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2,fma")]
        fn avx2($($arg: $ty),*) $(-> $ret)? {
            $body::<$crate::dispatch::Avx2>($($arg),*)
        }
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl")]
        fn avx512($($arg: $ty),*) $(-> $ret)? {
            $body::<$crate::dispatch::Avx512>($($arg),*)
        }
        let level: $crate::dispatch::Level = $level;
        match level.min($crate::dispatch::Level::detected()) {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the level is at most the detected one, so the CPU has AVX2 and FMA.
            $crate::dispatch::Level::Avx2Fma => unsafe { avx2($($arg),*) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the level is at most the detected one, so the CPU has these parts of AVX-512.
            $crate::dispatch::Level::Avx512 => unsafe { avx512($($arg),*) },
            _ => $body::<$crate::dispatch::Sse2>($($arg),*),
        }
    }};
}
pub(crate) use by_level;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_override_holds_for_the_call_and_never_exceeds_the_cpu() {
        let before = Level::active();
        for level in Level::ALL {
            let inside = with_level(level, || std::thread::spawn(Level::active).join());
            assert_eq!(inside.ok(), Some(level.min(Level::detected())));
        }
        let panicked = std::panic::catch_unwind(|| with_level(Level::Baseline, || panic!("inside")));
        assert!(panicked.is_err());
        assert_eq!(with_level(before, Level::active), before, "the former level is back after a panic");
    }

    #[test]
    fn the_baseline_is_always_available() {
        let levels: Vec<Level> = Level::available().collect();
        assert_eq!(levels.first(), Some(&Level::Baseline));
        assert_eq!(levels.last(), Some(&Level::detected()));
    }
}
