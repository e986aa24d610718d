//! The rules beside a model, and the columns that a row brings where they are asked.

use super::Loaded;
use crate::compute::{Columns, Wanted};
use statera::bundle::Bundle;
use statera::rules::Ruling;
use statera_core::Result;

/// The rules of a bundle, made ready for rows.
pub struct Rules {
    /// The rules.
    pub ruling: Ruling,
    /// What a row brings that they are asked about: the columns of the model, then those that they read besides.
    pub columns: Columns,
}

impl Rules {
    /// Of a bundle; `None` if it has no rules.
    ///
    /// # Errors
    /// None that a bundle which was read could cause.
    pub fn of(bundle: &Bundle) -> Result<Option<Rules>> {
        let Some(ruling) = bundle.ruling()? else { return Ok(None) };
        let schema = bundle.scorer.schema();
        let columns =
            Columns::with_rules(schema.inputs.clone(), &ruling.compiled.inputs, &schema.tz, schema.id.clone())?;
        let columns = if bundle.windows.is_some() { columns.with_windows() } else { columns };
        Ok(Some(Rules { ruling, columns }))
    }
}

impl Loaded {
    /// The columns that a row of JSON brings.
    pub(crate) fn asked(&self, wanted: Wanted) -> &Columns {
        match (&self.rules, wanted) {
            (Some(rules), Wanted::Ruled(_)) => &rules.columns,
            _ => &self.columns,
        }
    }
}
