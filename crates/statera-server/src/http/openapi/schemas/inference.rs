//! The Open Inference Protocol, version 2.

use super::{flag, list, object, one_of, reference, text};
use serde_json::{Value, json};

/// The schemas of this file by name.
pub fn schemas() -> Value {
    let shape = |about: &str| json!({ "type": "array", "items": { "type": "integer" }, "description": about });
    let datatype = one_of(&["FP64", "FP32", "INT64", "INT32", "BOOL", "BYTES"]);
    let tensor_of = object(
        json!({ "name": text("A column"), "datatype": datatype, "shape": shape("−1 stands for the number of rows") }),
        json!({}),
    );
    let tensor = object(
        json!({
            "name": text("A column; or any name, for one tensor of all columns"),
            "shape": shape("[n], [n, 1], or [n, k] with the model's columns in their order"),
            "datatype": datatype,
            "data": { "type": "array", "description": "In row-major order, flat or nested; null is a missing cell" },
        }),
        json!({}),
    );
    json!({
        "InferenceServer": object(json!({
            "name": text("statera"), "version": text("Of the program"), "extensions": list(json!({ "type": "string" })),
        }), json!({})),
        "InferenceReady": object(json!({ "ready": flag("Always true; else the status is 503 or 404") }), json!({ "name": text("The model") })),
        "InferenceModel": object(json!({
            "name": text("The model"),
            "versions": list(json!({ "type": "string" })),
            "platform": text("statera"),
            "inputs": list(reference("InferenceTensorOf")),
            "outputs": list(reference("InferenceTensorOf")),
        }), json!({})),
        "InferenceTensorOf": tensor_of,
        "InferenceTensor": tensor,
        "InferenceRequest": object(json!({ "inputs": list(reference("InferenceTensor")) }), json!({
            "id": text("Given back"),
            "outputs": list(object(json!({ "name": text("An output that is wanted; all if none is named") }), json!({}))),
        })),
        "InferenceAnswer": object(json!({
            "model_name": text("The model"),
            "model_version": text("Which of its versions scored"),
            "outputs": list(reference("InferenceTensor")),
        }), json!({ "id": text("As it was asked") })),
    })
}
