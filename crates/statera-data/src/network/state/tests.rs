//! What a state forgets, and when.

use super::*;
use crate::window::Refusal;
use arrow_array::{ArrayRef, RecordBatch, StringArray, TimestampMicrosecondArray};

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;

fn definition() -> Arc<Definition> {
    let text = "time = \"at\"\nnodes = [\"a\", \"b\"]\nedges = { purpose = [\"fraud\"] }\n\
                [[feature]]\nwhat = [\"fan_in\"]\nover = [\"1d\"]\n";
    Arc::new(Definition::new(crate::toml_text::read(text, "test").unwrap()).unwrap())
}

/// Without bounds but those of numbers, and of how late rows may be.
fn limits(max_nodes: u32, max_edges: u32, max_behind: i64) -> NetworkLimits {
    NetworkLimits { max_nodes, max_edges, max_ahead: i64::MAX, max_behind }
}

/// A row that is an edge.
fn event(definition: &Definition, from: &str, to: &str, time: i64) -> (Rows, Edges) {
    let text = |cell: &str| -> ArrayRef { Arc::new(StringArray::from(vec![cell])) };
    let at: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![time]).with_timezone("UTC"));
    let batch = RecordBatch::try_from_iter([("from", text(from)), ("to", text(to)), ("time", at)]).unwrap();
    let edges = Edges::of(&batch, definition).unwrap();
    let nodes = vec![edges.from.clone(), edges.to.clone()];
    (Rows { times: vec![time], nodes, numbers: Vec::new(), known: vec![i64::MAX] }, edges)
}

fn check(state: &mut NetworkState, from: &str, to: &str, time: i64) -> Result<(), Refusal> {
    let (rows, edges) = event(&state.definition().clone(), from, to, time);
    state.check("7", (&rows, 0), &edges, None)
}

/// Takes a row; gives what is kept then.
fn take(state: &mut NetworkState, from: &str, to: &str, time: i64) -> Result<[usize; 2], Refusal> {
    let (rows, edges) = event(&state.definition().clone(), from, to, time);
    state.check("7", (&rows, 0), &edges, None)?;
    let mut out = vec![f64::NAN; state.definition().n_columns()];
    state.advance(&rows, 0, &edges, &mut out);
    Ok(state.n_kept())
}

fn bytes(state: &NetworkState) -> Vec<u8> {
    let mut bytes = Vec::new();
    state.snapshot(&mut bytes).unwrap();
    bytes
}

#[test]
fn a_row_that_is_refused_or_not_taken_leaves_time_and_edges_as_they_were() {
    let mut state = NetworkState::new(definition(), limits(4, 2, DAY));
    let start = 20_000 * DAY;
    assert_eq!(take(&mut state, "u", "v", start), Ok([2, 1]));
    assert_eq!(take(&mut state, "w", "v", start + 1), Ok([3, 2]));
    let before = (bytes(&state), state.n_kept());
    let too_many_edges = Err(Refusal::TooManyEdges { limit: 2 });
    assert_eq!(check(&mut state, "u", "v", start + DAY), too_many_edges);
    // There will be room, once it is taken, which others may have something against.
    assert_eq!(check(&mut state, "x", "y", start + 30 * DAY), Ok(()));
    assert_eq!((bytes(&state), state.n_kept()), before);
    // Neither is too late now, nor has room.
    assert_eq!(check(&mut state, "u", "v", start), too_many_edges);
    assert_eq!((bytes(&state), state.n_kept()), before);
    assert_eq!(take(&mut state, "x", "y", start + 30 * DAY), Ok([2, 1]));
    let far_past = check(&mut state, "u", "v", start);
    assert!(matches!(far_past, Err(Refusal::FarPast { .. })), "{far_past:?}");
}

#[test]
fn nodes_that_a_row_wants_are_no_room_for_it() {
    let mut state = NetworkState::new(definition(), limits(3, 9, DAY));
    assert_eq!(take(&mut state, "u", "v", 20_000 * DAY), Ok([2, 1]));
    state.set_limits(limits(2, 9, DAY));
    assert_eq!(check(&mut state, "u", "x", 20_001 * DAY), Err(Refusal::TooManyNodes { limit: 2 }));
    // Of the two one may go, and the other comes again.
    assert_eq!(take(&mut state, "u", "x", 20_030 * DAY), Ok([2, 1]));
}

#[test]
fn room_is_found_behind_the_nodes_that_are_looked_at_first() {
    let mut state = NetworkState::new(definition(), limits(1_000, 1_000, DAY));
    for i in 0..100 {
        take(&mut state, &format!("u{i}"), &format!("v{i}"), 20_000 * DAY).unwrap();
    }
    // Far more than are allowed from now on: all nodes have to be looked at.
    state.set_limits(limits(1_000, 10, DAY));
    assert_eq!(state.n_kept(), [200, 100], "what rows see stays");
    assert_eq!(check(&mut state, "x", "y", 20_001 * DAY), Err(Refusal::TooManyEdges { limit: 10 }));
    assert_eq!(take(&mut state, "x", "y", 20_030 * DAY), Ok([2, 1]));
}

#[test]
fn a_replay_keeps_what_later_limits_ask_for_and_takes_what_came_late() {
    let definition = definition();
    let (start, all) = (20_000 * DAY, limits(u32::MAX, u32::MAX, 365 * DAY));
    let mut replayed = NetworkState::new(definition.clone(), all);
    replayed.replay(2 * DAY);
    let mut plain = NetworkState::new(definition, limits(u32::MAX, u32::MAX, DAY));
    for i in 0..200 {
        let (from, to, time) = (format!("u{i}"), format!("v{i}"), start + i * DAY);
        let [_, n_edges] = take(&mut replayed, &from, &to, time).unwrap();
        assert!(n_edges < 60, "{n_edges} edges of {i} are kept");
        take(&mut plain, &from, &to, time).unwrap();
        // One that had been admitted under wider limits.
        if i % 50 == 49 {
            take(&mut replayed, "late", "v", time - 40 * DAY).unwrap();
        }
    }
    replayed.set_limits(limits(20, 5, DAY));
    assert_eq!(replayed.n_kept(), [4, 2], "of the last two days");
    assert_eq!(bytes(&replayed), bytes(&plain));
    take(&mut replayed, "x", "y", start + 200 * DAY).unwrap();
}
