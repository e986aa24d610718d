//! The forms of what is taken and given, as JSON Schema.

use serde_json::{Map, Value, json};

/// All of them by name.
pub fn all() -> Map<String, Value> {
    [watching()]
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
        }), json!({})),
    })
}
