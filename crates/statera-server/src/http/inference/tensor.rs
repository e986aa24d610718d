//! Tensors of JSON, straight into columns.

use crate::http::json;
use arrow_array::{ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, RecordBatchOptions, StringArray};
use arrow_buffer::NullBuffer;
use arrow_schema::{Field, Schema};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, SeqAccess, Visitor};
use statera_core::{Error, Result};
use statera_data::conform::InputColumn;
use std::fmt;
use std::sync::Arc;

/// Most axes of a tensor's nested data.
const MAX_AXES: usize = 2;
/// Most characters of a request's id.
const MAX_ID_CHARS: usize = 256;

/// A request to score.
#[derive(Deserialize)]
pub(super) struct Request {
    /// The client's name for it, given back.
    #[serde(default)]
    pub id: Option<String>,
    inputs: Vec<Tensor>,
    /// What is wanted; nothing: everything.
    #[serde(default)]
    pub outputs: Vec<Output>,
}

/// An output that is wanted.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Output {
    pub name: String,
}

/// An input.
#[derive(Deserialize)]
struct Tensor {
    name: String,
    shape: Vec<usize>,
    datatype: Datatype,
    data: Data,
}

/// Types of the protocol that a column can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
enum Datatype {
    #[serde(rename = "FP64")]
    Fp64,
    #[serde(rename = "FP32")]
    Fp32,
    #[serde(rename = "INT64")]
    Int64,
    #[serde(rename = "INT32")]
    Int32,
    #[serde(rename = "BOOL")]
    Bool,
    #[serde(rename = "BYTES")]
    Bytes,
}

/// Elements in row-major order; 0 or nothing in the place of a null.
#[derive(Debug, Default)]
struct Data {
    values: Values,
    /// From the first null on: false for a null. Elements before it are there.
    valid: Option<Vec<bool>>,
}

/// Elements by what JSON says they are; the type that the tensor names may come after them.
#[derive(Debug, Default)]
enum Values {
    /// Nothing but nulls so far.
    #[default]
    None,
    Ints(Vec<i64>),
    Floats(Vec<f64>),
    Bools(Vec<bool>),
    Texts(Vec<String>),
}

impl Request {
    /// Reads a body.
    ///
    /// # Errors
    /// Text that is no such request; the message says where.
    pub(super) fn parse(body: &[u8]) -> Result<Request> {
        let request: Request = json::read(body)?;
        if let Some(id) = &request.id
            && id.chars().count() > MAX_ID_CHARS
        {
            return Err(Error::request(format!("id has more than {MAX_ID_CHARS} characters")));
        }
        Ok(request)
    }

    /// Refuses outputs that the model does not have.
    pub(super) fn check_outputs(&self, known: &[&str]) -> Result<()> {
        match self.outputs.iter().find(|o| !known.contains(&o.name.as_str())) {
            None => Ok(()),
            Some(output) => {
                let shown: String = output.name.chars().take(64).collect();
                Err(Error::request(format!("the model has no output «{shown}»; it has {}", known.join(", "))))
            }
        }
    }

    /// The rows as columns: a tensor for each column, of shape `[n]` or `[n, 1]`; or one tensor of shape `[n, k]` with the
    /// model's columns in their order.
    ///
    /// # Errors
    /// Shapes that do not fit the data, each other, or the model; elements that are not of their tensor's type.
    pub(super) fn batch(self, inputs: &[InputColumn]) -> Result<RecordBatch> {
        let mut columns: Vec<(String, ArrayRef)> = Vec::new();
        let mut tensors = self.inputs;
        let is_table = |t: &Tensor| t.shape.len() == 2 && (t.shape[1] != 1 || inputs.len() == 1);
        if tensors.len() == 1 && is_table(&tensors[0]) {
            let tensor = tensors.remove(0);
            let (n_rows, n_columns) = (tensor.shape[0], tensor.shape[1]);
            tensor.check_shape()?;
            if n_columns != inputs.len() {
                return Err(Error::request(format!(
                    "tensor «{}» has {n_columns} columns; the model reads {}",
                    cut(&tensor.name),
                    inputs.len()
                )));
            }
            for (at, input) in inputs.iter().enumerate() {
                columns.push((input.name.clone(), tensor.column(at, n_columns, n_rows)?));
            }
        }
        for tensor in tensors {
            tensor.check_shape()?;
            let ([n_rows] | [n_rows, 1]) = tensor.shape[..] else {
                return Err(Error::request(format!(
                    "tensor «{}» has shape {:?}; allowed: [n] or [n, 1] for each column, or one tensor [n, {}] alone",
                    cut(&tensor.name),
                    tensor.shape,
                    inputs.len()
                )));
            };
            let array = tensor.column(0, 1, n_rows)?;
            columns.push((tensor.name, array));
        }
        batch_of(columns)
    }
}

/// One batch of columns of one length.
fn batch_of(columns: Vec<(String, ArrayRef)>) -> Result<RecordBatch> {
    let n_rows = columns.first().map_or(0, |(_, array)| array.len());
    if let Some((name, array)) = columns.iter().find(|(_, array)| array.len() != n_rows) {
        let (first, n) = (cut(&columns[0].0), array.len());
        return Err(Error::request(format!(
            "tensor «{}» has {n} rows and «{first}» {n_rows}; all must have the same",
            cut(name)
        )));
    }
    let fields: Vec<Field> =
        columns.iter().map(|(name, array)| Field::new(name, array.data_type().clone(), true)).collect();
    let arrays = columns.into_iter().map(|(_, array)| array).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(n_rows));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &options)
        .map_err(|e| Error::request(e.to_string()))
}

fn cut(name: &str) -> String {
    name.chars().take(64).collect()
}

impl Tensor {
    fn check_shape(&self) -> Result<()> {
        let wanted = self.shape.iter().try_fold(1usize, |product, &n| product.checked_mul(n));
        let n = self.data.len();
        if wanted == Some(n) {
            return Ok(());
        }
        Err(Error::request(format!(
            "tensor «{}»: shape {:?} does not fit {n} elements of data",
            cut(&self.name),
            self.shape
        )))
    }

    /// Every `step`-th element from `at` on, as the tensor's type.
    fn column(&self, at: usize, step: usize, n_rows: usize) -> Result<ArrayRef> {
        fn picked<T: Clone>(values: &[T], at: usize, step: usize) -> Vec<T> {
            if step == 1 { values.to_vec() } else { values.iter().skip(at).step_by(step).cloned().collect() }
        }
        let nulls = self.data.valid.as_ref().map(|valid| NullBuffer::from(picked(valid, at, step)));
        let float = |v: f64| if self.datatype == Datatype::Fp32 { f64::from(v as f32) } else { v };
        let is_float = matches!(self.datatype, Datatype::Fp64 | Datatype::Fp32);
        let wrong = |found: &str| {
            let (name, datatype) = (cut(&self.name), self.datatype);
            Error::request(format!("tensor «{name}» is {datatype}, but its data are {found}"))
        };
        Ok(match &self.data.values {
            Values::None => arrow_array::new_null_array(&arrow_schema::DataType::Utf8, n_rows),
            Values::Floats(values) if is_float => {
                let values: Vec<f64> = picked(values, at, step).into_iter().map(float).collect();
                Arc::new(Float64Array::new(values.into(), nulls))
            }
            Values::Ints(values) if is_float => {
                let values = picked(values, at, step).into_iter().map(|v| {
                    let exact = float_of(v).ok_or_else(|| {
                        Error::request(format!("tensor «{}»: {v} has more digits than a double holds", cut(&self.name)))
                    });
                    exact.map(float)
                });
                Arc::new(Float64Array::new(values.collect::<Result<Vec<f64>>>()?.into(), nulls))
            }
            Values::Ints(values) if matches!(self.datatype, Datatype::Int64 | Datatype::Int32) => {
                let values = picked(values, at, step);
                let is_beyond = |v: &&i64| self.datatype == Datatype::Int32 && i32::try_from(**v).is_err();
                if let Some(v) = values.iter().find(is_beyond) {
                    return Err(Error::request(format!("tensor «{}»: {v} is no INT32", cut(&self.name))));
                }
                Arc::new(Int64Array::new(values.into(), nulls))
            }
            Values::Bools(values) if self.datatype == Datatype::Bool => {
                Arc::new(BooleanArray::new(picked(values, at, step).into(), nulls))
            }
            Values::Texts(values) if self.datatype == Datatype::Bytes => {
                let texts = values.iter().enumerate().skip(at).step_by(step);
                let is_there = |i: usize| self.data.valid.as_ref().is_none_or(|valid| valid[i]);
                Arc::new(texts.map(|(i, text)| is_there(i).then_some(text)).collect::<StringArray>())
            }
            Values::Floats(_) => return Err(wrong("numbers with a fraction")),
            Values::Ints(_) => return Err(wrong("whole numbers")),
            Values::Bools(_) => return Err(wrong("true and false")),
            Values::Texts(_) => return Err(wrong("text")),
        })
    }
}

impl fmt::Display for Datatype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Datatype::Fp64 => "FP64",
            Datatype::Fp32 => "FP32",
            Datatype::Int64 => "INT64",
            Datatype::Int32 => "INT32",
            Datatype::Bool => "BOOL",
            Datatype::Bytes => "BYTES",
        })
    }
}

/// The double of a whole number, if it is the same number.
fn float_of(value: i64) -> Option<f64> {
    let float = value as f64;
    (float as i128 == i128::from(value)).then_some(float)
}

impl Data {
    fn len(&self) -> usize {
        match (&self.values, &self.valid) {
            (Values::None, valid) => valid.as_ref().map_or(0, Vec::len),
            (Values::Ints(v), _) => v.len(),
            (Values::Floats(v), _) => v.len(),
            (Values::Bools(v), _) => v.len(),
            (Values::Texts(v), _) => v.len(),
        }
    }

    fn push_null(&mut self) {
        let n = self.len();
        match &mut self.values {
            Values::None => {}
            Values::Ints(v) => v.push(0),
            Values::Floats(v) => v.push(0.0),
            Values::Bools(v) => v.push(false),
            Values::Texts(v) => v.push(String::new()),
        }
        self.valid.get_or_insert_with(|| vec![true; n]).push(false);
    }

    fn push_int(&mut self, value: i64) -> std::result::Result<(), &'static str> {
        match &mut self.values {
            Values::Ints(v) => v.push(value),
            Values::Floats(v) => v.push(float_of(value).ok_or("a whole number has more digits than a double holds")?),
            Values::None => self.values = Values::Ints(self.begun(0, value)),
            _ => return Err("numbers and other things are mixed"),
        }
        self.pushed();
        Ok(())
    }

    fn push_float(&mut self, value: f64) -> std::result::Result<(), &'static str> {
        if let Values::Ints(ints) = &self.values {
            let floats: Option<Vec<f64>> = ints.iter().map(|&v| float_of(v)).collect();
            self.values = Values::Floats(floats.ok_or("a whole number has more digits than a double holds")?);
        }
        match &mut self.values {
            Values::Floats(v) => v.push(value),
            Values::None => self.values = Values::Floats(self.begun(0.0, value)),
            _ => return Err("numbers and other things are mixed"),
        }
        self.pushed();
        Ok(())
    }

    fn push_bool(&mut self, value: bool) -> std::result::Result<(), &'static str> {
        match &mut self.values {
            Values::Bools(v) => v.push(value),
            Values::None => self.values = Values::Bools(self.begun(false, value)),
            _ => return Err("true, false and other things are mixed"),
        }
        self.pushed();
        Ok(())
    }

    fn push_text(&mut self, value: &str) -> std::result::Result<(), &'static str> {
        match &mut self.values {
            Values::Texts(v) => v.push(value.into()),
            Values::None => self.values = Values::Texts(self.begun(String::new(), value.into())),
            _ => return Err("text and other things are mixed"),
        }
        self.pushed();
        Ok(())
    }

    /// The first element after nulls alone.
    fn begun<T: Clone>(&self, nothing: T, first: T) -> Vec<T> {
        let mut values = vec![nothing; self.len()];
        values.push(first);
        values
    }

    fn pushed(&mut self) {
        if let Some(valid) = &mut self.valid {
            valid.push(true);
        }
    }
}

impl<'de> Deserialize<'de> for Data {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Data, D::Error> {
        let mut data = Data::default();
        deserializer.deserialize_seq(Elements { data: &mut data, axis: 1 })?;
        Ok(data)
    }
}

/// Reads the elements of an array, or of the arrays in it.
struct Elements<'a> {
    data: &'a mut Data,
    axis: usize,
}

impl<'de> Visitor<'de> for Elements<'_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of numbers, text, true, false or null, nested at most once")
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> std::result::Result<(), A::Error> {
        while seq.next_element_seed(Element { data: self.data, axis: self.axis })?.is_some() {}
        Ok(())
    }
}

/// Reads one element.
struct Element<'a> {
    data: &'a mut Data,
    axis: usize,
}

impl<'de> DeserializeSeed<'de> for Element<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> std::result::Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Element<'_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, text, true, false or null")
    }
    fn visit_u64<E: serde::de::Error>(self, value: u64) -> std::result::Result<(), E> {
        let value = i64::try_from(value).map_err(|_| E::custom(format!("{value} is above 2^63 - 1")))?;
        self.data.push_int(value).map_err(E::custom)
    }
    fn visit_i64<E: serde::de::Error>(self, value: i64) -> std::result::Result<(), E> {
        self.data.push_int(value).map_err(E::custom)
    }
    fn visit_f64<E: serde::de::Error>(self, value: f64) -> std::result::Result<(), E> {
        self.data.push_float(value).map_err(E::custom)
    }
    fn visit_bool<E: serde::de::Error>(self, value: bool) -> std::result::Result<(), E> {
        self.data.push_bool(value).map_err(E::custom)
    }
    fn visit_str<E: serde::de::Error>(self, value: &str) -> std::result::Result<(), E> {
        self.data.push_text(value).map_err(E::custom)
    }
    fn visit_unit<E: serde::de::Error>(self) -> std::result::Result<(), E> {
        self.data.push_null();
        Ok(())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> std::result::Result<(), A::Error> {
        if self.axis >= MAX_AXES {
            return Err(A::Error::custom(format!("arrays are nested more than {MAX_AXES} deep")));
        }
        Elements { data: self.data, axis: self.axis + 1 }.visit_seq(seq)
    }
}
