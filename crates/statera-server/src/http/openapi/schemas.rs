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
    json!({
        "Failure": {
            "type": "object",
            "required": ["error", "message"],
            "properties": {
                "error": {
                    "type": "string",
                    "description": "A short name that programs can act on",
                    "enum": [
                        "bad_request", "unauthorized", "forbidden", "not_found", "method_not_allowed", "too_slow", "conflict",
                        "too_large", "unsupported_media_type", "too_many_requests", "unavailable", "deadline_passed", "internal"
                    ]
                },
                "message": { "type": "string", "description": "For people: the place, the value, what is allowed" }
            }
        },
        "Live": { "type": "object", "required": ["live"], "properties": { "live": { "const": true } } },
        "Ready": {
            "type": "object",
            "required": ["ready", "store", "models", "stopping"],
            "properties": {
                "ready": { "type": "boolean" },
                "store": { "type": "boolean", "description": "The database answers and takes what is written" },
                "models": { "type": "boolean", "description": "Every model that has an approved version is answered" },
                "stopping": { "type": "boolean", "description": "What was begun is finished, nothing new is taken" }
            }
        }
    })
}
