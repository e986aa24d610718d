//! The look of every page that Statera writes: own styles, system fonts, light and dark, for screen, phone and paper.

/// The style sheet, to stand inside `<style>`.
pub const STYLE: &str = include_str!("page.css");
