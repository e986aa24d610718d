//! What the protocol's clients read.

use super::tensor::Output;
use crate::compute::Answers;
use crate::models::Loaded;
use arrow_schema::DataType;
use serde::Serialize;
use statera_core::{Error, Result, Task};

/// A model as the protocol describes it.
#[derive(Serialize)]
pub(super) struct Description<'a> {
    name: &'a str,
    versions: Vec<String>,
    platform: &'static str,
    inputs: Vec<TensorOf<'a>>,
    outputs: Vec<TensorOf<'a>>,
}

#[derive(Serialize)]
struct TensorOf<'a> {
    name: &'a str,
    datatype: &'static str,
    /// −1 stands for the number of rows.
    shape: Vec<i64>,
}

pub(super) fn described<'a>(model: &'a Loaded, versions: &[u32]) -> Description<'a> {
    let input = |input: &'a statera_data::conform::InputColumn| TensorOf {
        name: &input.name,
        datatype: match input.data_type {
            DataType::Int64 => "INT64",
            DataType::Float64 | DataType::Decimal128(..) => "FP64",
            _ => "BYTES",
        },
        shape: vec![-1],
    };
    let k = model.bundle.scorer.schema().task.n_outputs() as i64;
    let output = |name: &&'static str| TensorOf {
        name,
        datatype: if *name == "class" { "BYTES" } else { "FP64" },
        shape: if *name == "probabilities" { vec![-1, k] } else { vec![-1] },
    };
    Description {
        name: &model.name,
        versions: versions.iter().map(u32::to_string).collect(),
        platform: "statera",
        inputs: model.columns.inputs().iter().map(input).collect(),
        outputs: outputs(model).iter().map(output).collect(),
    }
}

/// Names of a model's outputs.
pub(super) fn outputs(model: &Loaded) -> Vec<&'static str> {
    match model.bundle.scorer.schema().task {
        Task::Binary => vec!["probability"],
        Task::Regression => vec!["prediction"],
        Task::Classes(_) => vec!["probabilities", "class"],
    }
}

#[derive(Serialize)]
struct Response<'a> {
    model_name: &'a str,
    model_version: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    outputs: Vec<Out<'a>>,
}

#[derive(Serialize)]
struct Out<'a> {
    name: &'static str,
    datatype: &'static str,
    shape: Vec<usize>,
    data: Values<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Values<'a> {
    Numbers(&'a [f64]),
    Texts(Vec<&'a str>),
}

/// The answer of scored rows.
pub(super) fn encode(model: &Loaded, id: Option<&str>, asked: &[Output], answers: &Answers) -> Result<Vec<u8>> {
    let (n, k) = (answers.n_rows(), answers.n_outputs);
    let is_asked = |name: &&'static str| asked.is_empty() || asked.iter().any(|o| o.name == **name);
    let out = |name: &'static str| match name {
        "class" => {
            let classes = &model.bundle.scorer.schema().classes;
            let likeliest = |row: &[f64]| (0..row.len()).fold(0, |best, i| if row[i] > row[best] { i } else { best });
            let texts = answers.margins.chunks_exact(k).map(|row| classes[likeliest(row)].as_str()).collect();
            Out { name, datatype: "BYTES", shape: vec![n], data: Values::Texts(texts) }
        }
        _ => {
            let shape = if name == "probabilities" { vec![n, k] } else { vec![n] };
            Out { name, datatype: "FP64", shape, data: Values::Numbers(&answers.probabilities) }
        }
    };
    let response = Response {
        model_name: &model.name,
        model_version: model.version.to_string(),
        id,
        outputs: outputs(model).into_iter().filter(is_asked).map(out).collect(),
    };
    let mut bytes = Vec::with_capacity(128 + 22 * answers.probabilities.len());
    serde_json::to_writer(&mut bytes, &response).map_err(|e| Error::damaged(e.to_string()))?;
    Ok(bytes)
}
