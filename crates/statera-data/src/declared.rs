//! What declarations of windows and of networks have in common.

use crate::window::step_name;

/// True of a value that is not written, because it holds where nothing is said.
pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Names, each where it comes first.
pub(crate) fn each_once<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut once: Vec<&str> = Vec::new();
    for name in names {
        if !once.contains(&name) {
            once.push(name);
        }
    }
    once
}

/// The columns of each of `n` steps of a sequence, the first step's first: NAME_COLUMN_1 to NAME_COLUMN_N.
pub(crate) fn step_columns(name: &str, of: &[&str], n: usize) -> Vec<Vec<String>> {
    (1..=n).map(|step| of.iter().map(|column| step_name(name, column, step)).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_once_and_steps_count_from_one() {
        assert_eq!(each_once(["b", "a", "b", "c", "a"].into_iter()), ["b", "a", "c"]);
        assert_eq!(step_columns("near", &["x", "y"], 2), [["near_x_1", "near_y_1"], ["near_x_2", "near_y_2"]]);
        assert!(is_default(&0) && !is_default(&1));
    }
}
