//! Found changes made smaller: column by column towards where the row is, as long as they still turn the decision.

use super::row::{Moves, Row};
use statera_core::Result;

/// Passes over the columns: one that shrank may let another one shrink further.
const MAX_PASSES: usize = 3;
/// Places between two that are tried at once: scoring a few rows takes hardly longer than one.
const POINTS: u64 = 15;

/// The changes made smaller, and false if the limit was reached before they were as small as they get.
///
/// # Errors
/// As [`Row::try_piece`].
pub(super) fn shrink(row: &mut Row<'_>, mut moves: Moves) -> Result<(Moves, bool)> {
    for _ in 0..MAX_PASSES {
        let before = moves.clone();
        let mut order: Vec<usize> = moves.iter().map(|(column, _)| *column).collect();
        let cost = |column: usize| {
            let place = before.iter().find(|m| m.0 == column).map_or(0, |m| m.1);
            row.columns[column].cost(place)
        };
        order.sort_by(|&a, &b| cost(b).total_cmp(&cost(a)).then(a.cmp(&b)));
        for column in order {
            match shrink_column(row, &moves, column)? {
                Some(smaller) => moves = smaller,
                None => return Ok((moves, false)),
            }
        }
        if moves == before {
            break;
        }
    }
    Ok((moves, true))
}

/// The changes with one column where it was or as near to that as still turns the decision; `None` if the limit was
/// reached.
fn shrink_column(row: &mut Row<'_>, moves: &Moves, column: usize) -> Result<Option<Moves>> {
    let Some(at) = moves.iter().position(|(moved, _)| *moved == column) else { return Ok(Some(moves.clone())) };
    if moves.len() > 1 {
        let mut without = moves.clone();
        without.remove(at);
        match turned(row, std::slice::from_ref(&without))? {
            None => return Ok(None),
            Some(turned) if turned[0] => return Ok(Some(without)),
            Some(_) => {}
        }
    }
    let mut best = moves.clone();
    if !row.columns[column].is_number() {
        return Ok(Some(best));
    }
    let place = moves[at].1;
    let sign = place.signum();
    // Between what does not turn the decision, or was not tried, and what does: POINTS places a round cut the rest to a
    // sixteenth, so that the loop ends.
    let mut low = row.columns[column].nearest(place).unsigned_abs() - 1;
    let mut high = place.unsigned_abs();
    while high > low + 1 {
        let between = high - low - 1;
        let n = between.min(POINTS);
        let sizes: Vec<u64> =
            (1..=n).map(|i| low + (u128::from(between + 1) * u128::from(i) / u128::from(n + 1)) as u64).collect();
        let with = |size: &u64| {
            let mut moves = best.clone();
            moves[at].1 = sign * *size as i64;
            moves
        };
        let tried: Vec<Moves> = sizes.iter().map(with).collect();
        let Some(turned) = turned(row, &tried)? else { return Ok(Some(best)) };
        match turned.iter().position(|turned| *turned) {
            Some(first) => {
                best = tried[first].clone();
                high = sizes[first];
                low = if first > 0 { sizes[first - 1] } else { low };
            }
            None => low = sizes[sizes.len() - 1],
        }
    }
    Ok(Some(best))
}

/// Which changes are answers: plausible, within the rules, approved. `None` if the limit was reached.
fn turned(row: &mut Row<'_>, tried: &[Moves]) -> Result<Option<Vec<bool>>> {
    let plausible: Vec<usize> = (0..tried.len()).filter(|&i| row.is_plausible(&tried[i])).collect();
    let of: Vec<Moves> = plausible.iter().map(|&i| tried[i].clone()).collect();
    let Some(found) = row.try_piece(&of, true)? else { return Ok(None) };
    let mut turned = vec![false; tried.len()];
    for (i, found) in plausible.into_iter().zip(found) {
        turned[i] = found.is_some_and(|tried| tried.is_approved);
    }
    Ok(Some(turned))
}
