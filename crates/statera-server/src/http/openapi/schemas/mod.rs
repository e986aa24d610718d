//! The forms of what is taken and given, as JSON Schema.

mod alerts;
mod decisions;
mod inference;
mod monitoring;
mod people;
mod registry;

use serde_json::{Map, Value, json};

/// All of them by name.
pub fn all() -> Map<String, Value> {
    [
        watching(),
        alerts::schemas(),
        decisions::schemas(),
        inference::schemas(),
        monitoring::schemas(),
        people::schemas(),
        registry::schemas(),
    ]
    .into_iter()
    .flat_map(|schemas| if let Value::Object(map) = schemas { map } else { Map::new() })
    .collect()
}

fn watching() -> Value {
    let errors = [
        "bad_request",
        "unauthorized",
        "forbidden",
        "not_found",
        "method_not_allowed",
        "too_slow",
        "conflict",
        "too_large",
        "unsupported_media_type",
        "too_many_requests",
        "unavailable",
        "deadline_passed",
        "internal",
    ];
    json!({
        "Failure": object(json!({
            "error": one_of(&errors),
            "message": text("For people: the place, the value, what is allowed"),
        }), json!({})),
        "Live": object(json!({ "live": { "const": true } }), json!({})),
        "Ready": object(json!({
            "ready": flag("All of the following, and the server is not about to stop"),
            "store": flag("The database answers and takes what is written"),
            "models": flag("Every model that has an approved version is answered"),
            "stopping": flag("What was begun is finished, nothing new is taken"),
        }), json!({ "why": text("Why the store does not take what is written, where it does not") })),
    })
}

/// An answer: fields that are always there, and others that may be.
fn object(required: Value, optional: Value) -> Value {
    let fields = |value: Value| if let Value::Object(map) = value { map } else { Map::new() };
    let required = fields(required);
    let names: Vec<&String> = required.keys().collect();
    let mut object = json!({ "type": "object", "required": names });
    object["properties"] = Value::Object(required.into_iter().chain(fields(optional)).collect());
    object
}

/// What is taken: other fields are refused.
fn request(required: Value, optional: Value) -> Value {
    let mut request = object(required, optional);
    request["additionalProperties"] = false.into();
    request
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

fn list(items: Value) -> Value {
    json!({ "type": "array", "items": items })
}

fn one_of(values: &[&str]) -> Value {
    json!({ "type": "string", "enum": values })
}

fn text(description: &str) -> Value {
    json!({ "type": "string", "description": description })
}

fn flag(description: &str) -> Value {
    json!({ "type": "boolean", "description": description })
}

fn integer(least: i64, description: &str) -> Value {
    json!({ "type": "integer", "minimum": least, "description": description })
}
