//! Reject inference: declined applications, whose outcomes nobody has seen, train a scorecard or logistic regression too.
//!
//! A model of the accepted rows is fitted first and scores the declined ones. *Parcelling* (Siddiqi 2006, ch. 6): in each band of the
//! score as many of the declined are drawn as bad as the bad rate of the accepted in that band, times a factor, says. *Fuzzy
//! augmentation* (Siddiqi 2006, ch. 6; Crook & Banasik 2004): each declined row enters twice, as bad with the weight of its probability
//! times the factor, as good with the rest. Then the model is fitted again on both.
//!
//! **What this cannot know.** No outcome of the declined rows is observed. With a factor of 1 the model of the accepted rows is
//! extrapolated, and next to nothing changes (Crook & Banasik 2004): fuzzy augmentation of a logistic regression finds the same
//! coefficients again, because the weights are its own probabilities. Where acceptance depended on what the model does not see, the
//! declined are worse than it says, and how much is not in the data: a factor is an opinion, which only applications that were
//! accepted untested could prove. `tests/rejects.rs` shows both on rows whose outcomes are known.

#[cfg(test)]
mod tests;

use crate::note::Note;
use crate::project::{RejectInference, Settings};
use crate::rows;
use crate::scorer::Schema;
use crate::training_set::{TrainingSet, complete_numbers, complete_times, texts_of};
use arrow_array::RecordBatch;
use statera_core::{Column, Error, Frame, Kind, Matrix, Model, Result, Rng, Run};
use statera_data::conform::{self, InputColumn, RowOrigin};
use statera_data::infer::{MISSING_TOKENS, TextFormat};
use statera_data::preparer::Preparer;
use statera_data::source::{self, ReadOptions};
use statera_data::time::Zone;
use std::collections::BTreeMap;

/// Most declined applications.
const MAX_ROWS: usize = 10_000_000;
/// Bands of the score, where there are rows enough.
const N_BANDS: usize = 10;
/// Least accepted rows of a band: fewer say too little about its bad rate.
const MIN_ACCEPTED: usize = 30;

/// Declined applications.
pub(crate) struct Rejects {
    batch: RecordBatch,
    weight: Option<Vec<f64>>,
    /// Microseconds UTC; in trainings by time.
    time: Option<Vec<i64>>,
    method: Method,
    /// Of the rows.
    pub fingerprint: String,
}

/// How outcomes are inferred.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Method {
    inference: RejectInference,
    /// How many times as often as accepted rows of the same score they are assumed bad.
    factor: f64,
    seed: u64,
}

impl Rejects {
    /// Reads the declined applications at an address as the rows that a model of `schema` would score.
    ///
    /// # Errors
    /// Columns of the model, the weight or the time that are absent or of another kind; outcomes among the rows; no row.
    pub fn read(
        address: &str,
        set: &TrainingSet,
        schema: &Schema,
        settings: &Settings,
        formats: &BTreeMap<String, TextFormat>,
        run: &Run,
    ) -> Result<Rejects> {
        let place = source::label(address);
        let read = ReadOptions { types: BTreeMap::new(), tz: settings.tz.clone() };
        let zone = Zone::new(Some(&schema.tz))?;
        let inputs = inputs(set, schema, settings, formats)?;
        let mut reader = source::open(address, &read)?;
        let (mut batches, mut n_rows) = (Vec::new(), 0);
        run.progress.start("Reading declined applications", 0);
        while let Some(batch) = reader.next_batch()? {
            run.check()?;
            refuse_outcomes(&batch, &settings.target, n_rows).map_err(|e| e.at(&place))?;
            let origin = RowOrigin { zone: &zone, is_text: reader.is_text(), first_row: n_rows };
            n_rows += batch.num_rows();
            if n_rows > MAX_ROWS {
                return Err(Error::data(format!(
                    "{place}: more than {MAX_ROWS} declined applications; allowed: at most"
                )));
            }
            batches.push(conform::conform(&batch, &inputs, origin).map_err(|e| e.at(&place))?.batch);
        }
        run.progress.finish();
        let Some(first) = batches.first().filter(|_| n_rows > 0) else {
            return Err(Error::data(format!("{place}: no rows; declined applications are needed")));
        };
        let batch = arrow_select::concat::concat_batches(&first.schema(), &batches)
            .map_err(|e| Error::data(format!("{place}: {e}")))?;
        Rejects::of(batch, settings).map_err(|e| e.at(place))
    }

    /// Of conformed rows.
    fn of(batch: RecordBatch, settings: &Settings) -> Result<Rejects> {
        let weight = settings.weight.as_ref().map(|name| complete_numbers(&batch, name, "a weight")).transpose()?;
        if let Some((row, w)) = weight.iter().flatten().enumerate().find(|(_, w)| **w < 0.0) {
            return Err(Error::data(format!("row {}: weight {w} is negative; a weight is 0 or more", row + 1)));
        }
        let time = settings.time.as_ref().map(|name| complete_times(&batch, name)).transpose()?;
        let inference = settings.reject_inference.unwrap_or(RejectInference::Parcelling);
        let factor = settings.reject_factor.unwrap_or(1.0);
        let method = Method { inference, factor, seed: settings.seed };
        let fingerprint = rows::fingerprint(&batch, &rows::row_digests(&batch));
        Ok(Rejects { batch, weight, time, method, fingerprint })
    }

    /// What must be known of a model that was fitted with them.
    pub fn warning(&self) -> Note {
        let Method { inference, factor, .. } = self.method;
        let code = match inference {
            RejectInference::Parcelling => "rejects_parcelling",
            RejectInference::Fuzzy => "rejects_fuzzy",
        };
        let fingerprint = &self.fingerprint[..self.fingerprint.len().min(12)];
        Note::new(code, &[("n", &self.batch.num_rows()), ("fingerprint", &fingerprint), ("factor", &factor)])
    }

    /// The rows that a model of accepted rows was fitted on, and beside them the declined ones with the outcomes that it lets
    /// assume. In trainings by time only applications up to the latest of the accepted rows take part.
    ///
    /// # Errors
    /// As the model's predictions.
    pub fn beside(&self, accepted: &Frame, model: &dyn Model, preparer: &Preparer) -> Result<Frame> {
        let mut declined = preparer.transform(&self.batch)?;
        declined.weight.clone_from(&self.weight);
        if let (Some(own), Some(of_accepted)) = (&self.time, &accepted.time) {
            let latest = of_accepted.iter().max().copied().unwrap_or(i64::MIN);
            let known: Vec<usize> = (0..own.len()).filter(|&row| own[row] <= latest).collect();
            declined = declined.take(&known);
        }
        if declined.n_rows == 0 {
            return Ok(accepted.clone());
        }
        let (of_accepted, of_declined) = (model.predict(accepted)?.margins, model.predict(&declined)?.margins);
        let weight = |frame: &Frame| (0..frame.n_rows).map(|row| frame.weight_of(row)).collect::<Vec<f64>>();
        match self.method.inference {
            RejectInference::Parcelling => {
                let known = Known { margins: &of_accepted, target: &accepted.target, weight: &weight(accepted) };
                declined.target = parcelling(known, &of_declined, &weight(&declined), self.method);
            }
            RejectInference::Fuzzy => {
                let (twice, target, weight) = fuzzy(&of_declined, &weight(&declined), self.method.factor);
                declined = Frame { target, weight: Some(weight), ..declined.take(&twice) };
            }
        }
        Ok(stacked(accepted, &declined))
    }
}

/// What is read of declined applications: the model's columns, and the weight and time that the training has.
fn inputs(
    set: &TrainingSet,
    schema: &Schema,
    settings: &Settings,
    formats: &BTreeMap<String, TextFormat>,
) -> Result<Vec<InputColumn>> {
    let mut inputs = schema.inputs.clone();
    for (name, kind) in [(&settings.weight, Kind::Number), (&settings.time, Kind::Time)] {
        let Some(name) = name.as_ref().filter(|name| inputs.iter().all(|input| input.name != **name)) else { continue };
        let schema = set.batch.schema();
        let field = schema.field_with_name(name).map_err(|e| Error::request(e.to_string()))?;
        let (data_type, text) = (field.data_type().clone(), formats.get(name).cloned());
        inputs.push(InputColumn { name: name.clone(), kind, data_type, text });
    }
    Ok(inputs)
}

/// A row whose outcome is known is no declined application: inference would throw away what was seen.
fn refuse_outcomes(batch: &RecordBatch, target: &str, first_row: usize) -> Result<()> {
    let Some(column) = batch.column_by_name(target) else { return Ok(()) };
    let texts = texts_of(column);
    let is_told = |text: &Option<String>| text.as_ref().is_some_and(|text| !MISSING_TOKENS.contains(&text.trim()));
    match texts.iter().position(is_told) {
        Some(row) => Err(Error::data(format!(
            "target «{target}», row {}: «{}»; declined applications have no outcome, and a row that has one belongs to the \
             table that is trained on",
            first_row + row + 1,
            texts[row].as_deref().unwrap_or_default()
        ))),
        None => Ok(()),
    }
}

/// Accepted rows with what a model says of them.
#[derive(Clone, Copy)]
struct Known<'a> {
    margins: &'a [f64],
    target: &'a [f64],
    weight: &'a [f64],
}

/// Outcomes of declined rows: within each band of the margin as much of their weight is bad, drawn by the seed, as of the
/// accepted rows' weight, times the factor (at most all).
fn parcelling(accepted: Known<'_>, margins: &[f64], weight: &[f64], method: Method) -> Vec<f64> {
    let bands = bands(accepted.margins, margins);
    let band_of = |margin: f64| bands.partition_point(|edge| *edge <= margin);
    // Weight of all and of the bad by band.
    let mut sums = vec![[0.0; 2]; bands.len() + 1];
    for ((margin, y), w) in accepted.margins.iter().zip(accepted.target).zip(accepted.weight) {
        let sum = &mut sums[band_of(*margin)];
        sum[0] += w;
        sum[1] += w * y;
    }
    let mut order: Vec<usize> = (0..margins.len()).collect();
    Rng::fork(method.seed, 0x7265_6a65).shuffle(&mut order);
    let mut outcomes = vec![0.0; margins.len()];
    for (band, [all, bad]) in sums.into_iter().enumerate() {
        let own: Vec<usize> = order.iter().copied().filter(|&row| band_of(margins[row]) == band).collect();
        let share = if all > 0.0 { (method.factor * bad / all).min(1.0) } else { 0.0 };
        let wanted = share * own.iter().map(|&row| weight[row]).sum::<f64>();
        let mut taken = 0.0;
        for row in own {
            // A row is bad if the greater half of it still fits.
            if taken + 0.5 * weight[row] <= wanted {
                outcomes[row] = 1.0;
                taken += weight[row];
            }
        }
    }
    outcomes
}

/// Where bands of the margin begin, but for the first: at quantiles of all rows, and so far apart that each band holds enough
/// accepted rows; a band that does not is one with its neighbours.
fn bands(accepted: &[f64], declined: &[f64]) -> Vec<f64> {
    let sorted = |mut values: Vec<f64>| {
        values.sort_unstable_by(f64::total_cmp);
        values
    };
    let all = sorted(accepted.iter().chain(declined).copied().collect());
    let accepted = sorted(accepted.to_vec());
    let below = |edge: f64| accepted.partition_point(|m| *m < edge);
    let mut edges: Vec<f64> = Vec::new();
    for i in 1..N_BANDS {
        let edge = all[i * all.len() / N_BANDS];
        let before = edges.last().map_or(0, |last| below(*last));
        let is_new = edges.last().is_none_or(|last| *last < edge);
        if is_new && below(edge) - before >= MIN_ACCEPTED && accepted.len() - below(edge) >= MIN_ACCEPTED {
            edges.push(edge);
        }
    }
    edges
}

/// Declined rows twice: which row, as what, and with which weight; those whose weight is 0 are left out.
fn fuzzy(margins: &[f64], weight: &[f64], factor: f64) -> (Vec<usize>, Vec<f64>, Vec<f64>) {
    let bad = |row: usize| (factor / (1.0 + (-margins[row]).exp())).min(1.0);
    let as_bad = (0..margins.len()).map(|row| (row, 1.0, weight[row] * bad(row)));
    let as_good = (0..margins.len()).map(|row| (row, 0.0, weight[row] * (1.0 - bad(row))));
    let mut all = (Vec::new(), Vec::new(), Vec::new());
    for (row, target, weight) in as_bad.chain(as_good).filter(|(_, _, w)| *w > 0.0) {
        all.0.push(row);
        all.1.push(target);
        all.2.push(weight);
    }
    all
}

/// The rows of two frames of one preparer, without times and groups, which fits on them do not ask for.
fn stacked(a: &Frame, b: &Frame) -> Frame {
    let column = |(a, b): (&Column, &Column)| match (a, b) {
        (Column::Number(a), Column::Number(b)) => Column::Number([&a[..], &b[..]].concat()),
        (Column::Codes(a), Column::Codes(b)) => Column::Codes([&a[..], &b[..]].concat()),
        _ => unreachable!("frames of one preparer have columns of the same forms"),
    };
    let weight = |frame: &Frame| (0..frame.n_rows).map(|row| frame.weight_of(row)).collect::<Vec<f64>>();
    Frame {
        spec: a.spec.clone(),
        n_rows: a.n_rows + b.n_rows,
        columns: a.columns.iter().zip(&b.columns).map(column).collect(),
        dense: Matrix { data: [&a.dense.data[..], &b.dense.data[..]].concat(), n_cols: a.dense.n_cols },
        target: [&a.target[..], &b.target[..]].concat(),
        weight: Some([weight(a), weight(b)].concat()),
        time: None,
        group: None,
    }
}
