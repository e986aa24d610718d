//! Applying a fitted preparer.

use super::cell::{category_cells, number_cells, time_cells};
use super::fit::{column, part_cells};
use super::{ColumnPlan, NumberPlan, Preparer};
use arrow_array::{ArrayRef, RecordBatch};
use rayon::prelude::*;
use statera_core::{CODE_MISSING, CODE_RARE, CODE_UNKNOWN, Column, Error, FIRST_LEVEL, Form, Frame, Matrix, Result};

impl Preparer {
    /// The features of every row of a batch; targets and weights are left empty.
    ///
    /// # Errors
    /// A column that is absent, of another type, or infinite somewhere.
    pub fn transform(&self, batch: &RecordBatch) -> Result<Frame> {
        let as_of = self.as_of.as_ref().map(|name| time_cells(name, column(batch, name)?)).transpose()?;
        let prepared: Vec<Vec<Column>> = (0..self.plans.len())
            .into_par_iter()
            .map(|raw| self.columns_of(raw, column(batch, &self.raw_columns[raw])?, as_of.as_deref()))
            .collect::<Result<_>>()?;
        let mut frame = Frame { spec: self.spec().clone(), n_rows: batch.num_rows(), ..Frame::default() };
        match self.form {
            Form::Codes => frame.columns = prepared.into_iter().flatten().collect(),
            Form::Dense => frame.dense = self.dense(&prepared, batch.num_rows()),
        }
        Ok(frame)
    }

    /// A raw column as numbers (winsorized) or codes: one column, or one per date part.
    fn columns_of(&self, raw: usize, cells: &ArrayRef, as_of: Option<&[Option<i64>]>) -> Result<Vec<Column>> {
        let name = &self.raw_columns[raw];
        match &self.plans[raw] {
            ColumnPlan::Number(plan) => Ok(vec![Column::Number(winsorized(number_cells(name, cells)?, plan))]),
            ColumnPlan::Category { .. } => {
                let cells = category_cells(name, cells)?;
                let table = &self.derived.codes[raw];
                let code = |cell: Option<&str>| {
                    cell.map_or(CODE_MISSING, |level| table.get(level).copied().unwrap_or(CODE_UNKNOWN))
                };
                Ok(vec![Column::Codes(cells.iter().map(code).collect())])
            }
            ColumnPlan::Time(parts) => {
                let cells = time_cells(name, cells)?;
                let zone = self.derived.zone.as_ref().ok_or_else(|| Error::damaged("preparer.json: no time zone"))?;
                let values = |(part, plan): &(_, NumberPlan)| {
                    Column::Number(winsorized(part_cells(*part, &cells, as_of, zone), plan))
                };
                Ok(parts.iter().map(values).collect())
            }
        }
    }

    /// One scaled row per row: numbers, their indicators, one-hot levels; in the order of the features.
    fn dense(&self, prepared: &[Vec<Column>], n_rows: usize) -> Matrix {
        let n_cols = self.spec().features.len();
        let mut data = vec![0f32; n_rows * n_cols];
        data.par_chunks_mut((n_cols * 1024).max(1)).enumerate().for_each(|(block, rows)| {
            let first = block * 1024;
            let mut at = 0;
            for (plan, columns) in self.plans.iter().zip(prepared) {
                at = match plan {
                    ColumnPlan::Number(plan) => fill_number(rows, n_cols, at, first, &columns[0], plan),
                    ColumnPlan::Time(parts) => parts
                        .iter()
                        .zip(columns)
                        .fold(at, |at, ((_, plan), column)| fill_number(rows, n_cols, at, first, column, plan)),
                    ColumnPlan::Category { levels, rare, has_missing } => {
                        let slots = Slots { levels: levels.len(), rare: !rare.is_empty(), missing: *has_missing };
                        fill_category(rows, n_cols, at, first, &columns[0], slots)
                    }
                };
            }
        });
        Matrix { data, n_cols }
    }
}

/// Greatest absolute value of a scaled number.
const SCALED_MAX: f64 = 1e30;

fn winsorized(mut cells: Vec<f64>, plan: &NumberPlan) -> Vec<f64> {
    if let Some([low, high]) = plan.limits {
        for cell in &mut cells {
            // `f64::max` would turn a missing cell into a limit.
            if !cell.is_nan() && !plan.sentinels.contains(cell) {
                *cell = cell.clamp(low, high);
            }
        }
    }
    cells
}

/// Writes a number and its indicators from feature `at` on; returns the feature after them.
fn fill_number(rows: &mut [f32], n_cols: usize, at: usize, first: usize, column: &Column, plan: &NumberPlan) -> usize {
    let Column::Number(cells) = column else { return at };
    let scale = 1.0 / plan.sd;
    let n_sentinels = plan.sentinels.len();
    for (i, row) in rows.chunks_exact_mut(n_cols).enumerate() {
        let value = cells[first + i];
        let sentinel = plan.sentinels.iter().position(|&s| s == value);
        let amount = if value.is_nan() || sentinel.is_some() { plan.median } else { value };
        // Beyond what a 32-bit float holds, more makes no difference; an infinite cell would make a margin undefined.
        row[at] = ((amount - plan.mean) * scale).clamp(-SCALED_MAX, SCALED_MAX) as f32;
        if plan.has_missing {
            row[at + 1] = f32::from(u8::from(value.is_nan()));
        }
        if let Some(s) = sentinel {
            row[at + 1 + usize::from(plan.has_missing) + s] = 1.0;
        }
    }
    at + 1 + usize::from(plan.has_missing) + n_sentinels
}

#[derive(Clone, Copy)]
struct Slots {
    levels: usize,
    rare: bool,
    missing: bool,
}

/// Writes one-hot levels from feature `at` on; an unknown level is all zeros. Returns the feature after them.
fn fill_category(rows: &mut [f32], n_cols: usize, at: usize, first: usize, column: &Column, slots: Slots) -> usize {
    let Column::Codes(codes) = column else { return at };
    let rare_at = at + slots.levels;
    let missing_at = rare_at + usize::from(slots.rare);
    for (i, row) in rows.chunks_exact_mut(n_cols).enumerate() {
        match codes[first + i] {
            CODE_MISSING if slots.missing => row[missing_at] = 1.0,
            CODE_RARE if slots.rare => row[rare_at] = 1.0,
            code if code >= FIRST_LEVEL => row[at + (code - FIRST_LEVEL) as usize] = 1.0,
            _ => {}
        }
    }
    missing_at + usize::from(slots.missing)
}

#[cfg(test)]
mod tests {
    use super::super::*;
    use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
    use statera_core::Column;
    use std::sync::Arc;

    fn batch() -> RecordBatch {
        let amount: ArrayRef = Arc::new(Float64Array::from(vec![Some(1.0), Some(2.0), None, Some(999.0), Some(3.0)]));
        let level: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), Some("a"), Some("b"), None, Some("c")]));
        let count: ArrayRef = Arc::new(Int64Array::from(vec![5, 5, 5, 5, 5]));
        // 2024-03-05 (a Tuesday) 14:00 UTC, then the same day 20:00 (already Wednesday in Seoul), …
        let times = vec![1_709_647_200, 1_709_668_800, 1_709_647_200, 1_709_647_200, 1_709_647_200];
        let time: ArrayRef = Arc::new(
            TimestampMicrosecondArray::from(times.into_iter().map(|s: i64| s * 1_000_000).collect::<Vec<_>>())
                .with_timezone("UTC"),
        );
        RecordBatch::try_from_iter([("amount", amount), ("level", level), ("count", count), ("time", time)])
            .expect("columns of equal length")
    }

    fn params(form: Form) -> PreparerParams {
        PreparerParams {
            form,
            columns: vec![
                ("amount".into(), Kind::Number),
                ("level".into(), Kind::Category),
                ("count".into(), Kind::Number),
                ("time".into(), Kind::Time),
            ],
            rare_rows: 2.0,
            sentinels: [("amount".to_string(), vec!["999".to_string()])].into(),
            tz: "Asia/Seoul".into(),
            ..PreparerParams::default()
        }
    }

    #[test]
    fn codes_keep_the_four_kinds_of_nothing_apart() {
        // The level «c» is seen only outside the training rows, «b» once.
        let preparer = Preparer::fit(&params(Form::Codes), &batch(), &[0, 1, 2, 3], None).expect("fits");
        let frame = preparer.transform(&batch()).expect("transforms");
        let Column::Number(amount) = &frame.columns[0] else { panic!("amount is a number") };
        assert!(amount[2].is_nan());
        assert_eq!(amount[3], 999.0);
        assert_eq!(frame.spec.features[0].sentinels, vec![999.0]);
        assert_eq!(frame.columns[1], Column::Codes(vec![3, 3, 2, 0, 1]));
        let names: Vec<&str> = frame.spec.features.iter().map(|f| f.name.as_str()).collect();
        assert_eq!(names, ["amount", "level", "count", "time month", "time day", "time weekday", "time hour"]);
        // 14:00 UTC is 23:00 of Tuesday in Seoul; 20:00 UTC is 05:00 of Wednesday there.
        assert_eq!(frame.columns[5], Column::Number(vec![2.0, 3.0, 2.0, 2.0, 2.0]));
        assert_eq!(frame.columns[6], Column::Number(vec![23.0, 5.0, 23.0, 23.0, 23.0]));
    }

    #[test]
    fn dense_rows_are_scaled_and_flagged() {
        let preparer = Preparer::fit(&params(Form::Dense), &batch(), &[0, 1, 2, 3], None).expect("fits");
        let frame = preparer.transform(&batch()).expect("transforms");
        let names: Vec<&str> = frame.spec.features.iter().map(|f| f.name.as_str()).collect();
        assert_eq!(
            names[..7],
            ["amount", "amount is missing", "amount = 999", "level = a", "level is rare", "level is missing", "count"]
        );
        // Amounts 1, 2 and the median 1 twice: mean 1.25, deviation sqrt(3)/4.
        let sd = 3f64.sqrt() / 4.0;
        let expected = [[-0.25 / sd, 0.0, 0.0], [0.75 / sd, 0.0, 0.0], [-0.25 / sd, 1.0, 0.0], [-0.25 / sd, 0.0, 1.0]];
        for (row, want) in expected.iter().enumerate() {
            for (got, want) in frame.dense.row(row).iter().zip(want) {
                assert!((f64::from(*got) - want).abs() < 1e-6, "row {row}: {got} against {want}");
            }
        }
        assert_eq!(frame.dense.row(4)[3..6], [0.0, 0.0, 0.0], "an unknown level is all zeros");
        assert_eq!(frame.dense.row(0)[6], 0.0, "a constant column is zero");
    }

    #[test]
    fn same_rows_alone_and_after_a_round_trip() {
        for form in [Form::Codes, Form::Dense] {
            let fitted = Preparer::fit(&params(form), &batch(), &[0, 1, 2, 3], None).expect("fits");
            let text = serde_json::to_string(&fitted).expect("plain data");
            let loaded = Preparer::from_json(&text).expect("round trip");
            assert_eq!(serde_json::to_string(&loaded).expect("plain data"), text);
            let all = loaded.transform(&batch()).expect("transforms");
            for row in 0..5 {
                let alone = loaded.transform(&batch().slice(row, 1)).expect("transforms");
                let taken = all.take(&[row]);
                assert_eq!(format!("{:?}", alone.columns), format!("{:?}", taken.columns));
                assert_eq!(alone.dense, taken.dense);
            }
        }
    }

    #[test]
    fn a_weight_of_two_is_the_row_twice() {
        let weight = [2.0, 1.0, 0.0, 1.0, 1.0];
        let weighted = Preparer::fit(&params(Form::Dense), &batch(), &[0, 1, 2, 3, 4], Some(&weight)).expect("fits");
        let repeated = Preparer::fit(&params(Form::Dense), &batch(), &[0, 0, 1, 3, 4], None).expect("fits");
        assert_eq!(serde_json::to_value(&weighted).ok(), serde_json::to_value(&repeated).ok());
    }

    #[test]
    fn a_column_that_is_empty_in_a_fold_is_a_constant() {
        for form in [Form::Codes, Form::Dense] {
            let params = PreparerParams {
                columns: vec![("amount".into(), Kind::Number), ("level".into(), Kind::Category)],
                ..params(form)
            };
            let late = |n: usize| {
                let amount: ArrayRef = Arc::new(Float64Array::from(vec![None, None, Some(1e308), None]));
                let level: ArrayRef = Arc::new(StringArray::from(vec![None, None, Some("late"), None]));
                RecordBatch::try_from_iter_with_nullable([("amount", amount, true), ("level", level, true)])
                    .expect("equal")
                    .slice(0, n)
            };
            let preparer = Preparer::fit(&params, &late(2), &[0, 1], None).expect("an empty column is no error here");
            let frame = preparer.transform(&late(4)).expect("transforms");
            assert!(frame.dense.data.iter().all(|v| v.is_finite()));
            assert_eq!(frame.n_rows, 4);
        }
    }

    #[test]
    fn errors_name_the_place() {
        let fails = |edit: fn(&mut PreparerParams), batch: RecordBatch| {
            let mut p = params(Form::Codes);
            edit(&mut p);
            Preparer::fit(&p, &batch, &[0, 1, 2, 3], None).expect_err("must fail").to_string()
        };
        let infinite: ArrayRef = Arc::new(Float64Array::from(vec![1.0, f64::INFINITY, 0.0, 0.0, 0.0]));
        let only = |p: &mut PreparerParams| p.columns = vec![("x".into(), Kind::Number)];
        let with = |x: ArrayRef| RecordBatch::try_from_iter([("x", x)]).expect("one column");
        let cases = [
            (fails(only, with(infinite)), "column «x», row 2: inf is infinite; numbers must be finite or missing"),
            (
                fails(|p| p.tz = "Mars/Base".into(), batch()),
                "time zone «Mars/Base» is not known; use an IANA name such as Asia/Seoul",
            ),
            (fails(|p| p.winsorize = Some(0.5), batch()), "winsorize is 0.5; it must be at least 0 and below 0.5"),
            (fails(|p| p.columns.push(("ghost".into(), Kind::Number)), batch()), "column «ghost» is missing"),
            (
                fails(|p| p.sentinels = [("amount".into(), vec!["never".into()])].into(), batch()),
                "--missing amount=never: column «amount» holds numbers, and «never» is none",
            ),
        ];
        for (got, want) in cases {
            assert_eq!(got, want);
        }
    }
}
