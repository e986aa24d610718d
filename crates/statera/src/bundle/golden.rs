//! Golden rows: synthetic rows with the scores they had when the bundle was written, replayed whenever it is loaded.

use super::codec;
use crate::scorer::Scorer;
use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{ArrayRef, Float64Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema};
use statera_core::{Error, Result};
use std::sync::Arc;

/// Columns of the expected scores start with this; a raw column with such a name would be taken for one.
const EXPECTED: &str = "expected score ";

/// The rows with their scores as Parquet.
pub fn write(rows: &RecordBatch, scorer: &Scorer) -> Result<Vec<u8>> {
    let scored = scorer.score(rows)?;
    let mut fields: Vec<Arc<Field>> = rows.schema().fields().iter().cloned().collect();
    let mut arrays: Vec<ArrayRef> = rows.columns().to_vec();
    for (what, values) in [("margin", &scored.margins), ("probability", &scored.probabilities)] {
        for output in 0..scored.n_outputs {
            let column = values.iter().skip(output).step_by(scored.n_outputs).copied();
            fields.push(Arc::new(Field::new(format!("{EXPECTED}{what} {output}"), DataType::Float64, false)));
            arrays.push(Arc::new(Float64Array::from_iter_values(column)));
        }
    }
    let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays);
    codec::parquet(&batch.map_err(|e| Error::io(e.to_string()))?)
}

/// Scores the rows again and compares every bit.
pub fn replay(bytes: &[u8], scorer: &Scorer) -> Result<()> {
    let batch = codec::read_parquet("golden.parquet", bytes)?;
    let scored = scorer.score(&batch).map_err(|e| Error::damaged(format!("golden.parquet: {e}")))?;
    let mut compared = 0;
    for (what, values) in [("margin", &scored.margins), ("probability", &scored.probabilities)] {
        for output in 0..scored.n_outputs {
            let name = format!("{EXPECTED}{what} {output}");
            let expected = batch
                .column_by_name(&name)
                .and_then(|c| c.as_primitive_opt::<Float64Type>())
                .ok_or_else(|| Error::damaged(format!("golden.parquet: no column «{name}»")))?;
            for (row, &want) in expected.values().iter().enumerate() {
                let got = values[row * scored.n_outputs + output];
                if got.to_bits() != want.to_bits() {
                    return Err(Error::damaged(format!(
                        "golden row {} gives {what} {got:?}; it was {want:?} when the bundle was written",
                        row + 1
                    )));
                }
                compared += 1;
            }
        }
    }
    if compared == 0 { Err(Error::damaged("golden.parquet has no rows")) } else { Ok(()) }
}
