//! Windowed features: what happened lately, by key, declared once and counted in the same way in a table and as events happen.
//!
//! A [`Definition`] is a checked [`Windows`] declaration. [`sweep`](sweep::sweep) makes the columns of a whole table; a [`State`]
//! makes those of an event when it happens. Both give the same bits: sums are of whole numbers, so that adding and taking away is
//! exact, and one function ([`figure`](self)) makes a figure of them. A window `w` at time t holds the events of (t − w, t], of one
//! key in the order (time, id); moved back by d it holds those of (t − d − w, t − d]. A label counts from when it was known. Where a
//! `resolution` is declared windows are rounded to tiles of that length, in both ways alike (`tile.rs`).
//!
//! Deliberately absent: windows over numbers of rows (a sequence has its last N events), windows that jump.

mod declaration;
mod definition;
mod events;
mod figure;
mod group;
mod index;
mod plan;
mod refusal;
mod ring;
mod slab;
mod snapshot;
mod span;
mod state;
mod sweep;
mod tile;
mod waiting;
mod whole;

pub use declaration::{Feature, NumberColumn, SINCE_LAST, Shift, Steps, What, Windows, column_name, step_name};
pub use definition::{Definition, MAX_EVENTS, MAX_UNITS, NumberPlan};
pub use events::Events;
pub(crate) use events::{FRAUD, NO_KEY, codes, complete_times, label_cells};
pub use refusal::Refusal;
pub use span::Span;
pub use state::{Limits, State, Taken, WhenFull};
pub use sweep::{arrays, column_infos, sweep, sweep_rows, with_columns};

#[cfg(test)]
mod tests;
