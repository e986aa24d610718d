use super::*;
use http_body_util::BodyExt;
use std::collections::VecDeque;

/// A body whose pieces come one after another with a pause before each.
struct Slow {
    pieces: VecDeque<(Duration, usize)>,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl HttpBody for Slow {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        let Some((pause, bytes)) = self.pieces.front().copied() else { return Poll::Ready(None) };
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep(pause)));
        ready!(sleep.as_mut().poll(cx));
        self.sleep = None;
        self.pieces.pop_front();
        Poll::Ready(Some(Ok(Frame::data(Bytes::from(vec![b'x'; bytes])))))
    }
}

/// The fate of a body of such pieces (milliseconds, bytes), and after how many milliseconds it is decided. Allowed are 1,000
/// bytes within 200 ms, 10 a millisecond after the first 40.
fn fate(pieces: &[(u64, usize)]) -> (Fate, u64) {
    let pieces = pieces.iter().map(|(ms, bytes)| (Duration::from_millis(*ms), *bytes)).collect();
    let watch = Watch::default();
    let bounded = Bounded {
        inner: Body::new(Slow { pieces, sleep: None }),
        watch: watch.clone(),
        bytes_max: 1_000,
        bytes: 0,
        grace: Duration::from_millis(40),
        timeout: Duration::from_millis(200),
        bytes_per_second_min: 10_000,
        waited: None,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    runtime.block_on(async {
        let start = Instant::now();
        let whole = bounded.collect().await;
        assert_eq!(whole.is_ok(), watch.fate() == Fate::Fine);
        (watch.fate(), start.elapsed().as_millis() as u64)
    })
}

#[test]
fn a_body_is_bounded_in_bytes() {
    assert_eq!(fate(&[(0, 600), (0, 400)]).0, Fate::Fine);
    assert_eq!(fate(&[(0, 600), (0, 401)]).0, Fate::TooLarge);
}

#[test]
fn a_body_is_bounded_in_time_and_by_its_rate() {
    let slow = |pieces: &[(u64, usize)], from_ms: u64| {
        let (fate, ms) = fate(pieces);
        assert_eq!(fate, Fate::TooSlow);
        // Timers are never early; how late they are is the machine's affair, so the upper bound is wide.
        assert!((from_ms..from_ms + 5_000).contains(&ms), "{ms} ms, expected {from_ms}");
    };
    // Nothing comes after the first bytes: they have earned 10 ms beside the first 40.
    slow(&[(0, 100), (10_000, 1)], 50);
    // One byte each 10 ms is far below the least rate.
    slow(&[(10, 1); 100], 40);
    // Bytes that come fast enough buy time up to the whole that is allowed, and no more.
    slow(&[(0, 900), (10_000, 1)], 130);
    assert_eq!(fate(&[(0, 900), (60, 100)]).0, Fate::Fine);
}
