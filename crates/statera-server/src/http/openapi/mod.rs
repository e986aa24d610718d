//! `/api/openapi.json`: an OpenAPI 3.1 document of every route, made of the list [`OPERATIONS`]. A test compares the list with
//! the router, both ways.

mod operations;
mod schemas;

pub use operations::OPERATIONS;

use super::failure;
use crate::who::access::{self, Need};
use crate::who::one_of;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// One method of one path.
#[derive(Debug, Clone, Copy)]
pub struct Operation {
    /// In capitals.
    pub method: &'static str,
    /// As the router has it.
    pub path: &'static str,
    /// What it belongs to.
    pub tag: &'static str,
    /// What it does, in a line.
    pub summary: &'static str,
    /// Parameters of the query: name, what it is.
    pub query: &'static [(&'static str, &'static str)],
    /// The form of the body.
    pub takes: Form,
    /// The status when it is done.
    pub status: u16,
    /// The form of the answer.
    pub gives: Form,
    /// How it may fail beside what every request may meet.
    pub fails: &'static [u16],
}

/// What a body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// There is none.
    Nothing,
    /// JSON of a named schema.
    Json(&'static str),
    /// A page of HTML.
    Page,
    /// The fields of a form, as pages send them.
    Fields,
    /// Another type of content: bytes.
    Other(&'static str),
}

#[derive(Serialize)]
struct Document {
    openapi: &'static str,
    info: Info,
    tags: Vec<Tag>,
    paths: BTreeMap<&'static str, BTreeMap<String, Described>>,
    components: Components,
}

#[derive(Serialize)]
struct Info {
    title: &'static str,
    version: &'static str,
    description: &'static str,
}

#[derive(Serialize)]
struct Tag {
    name: &'static str,
}

#[derive(Serialize)]
struct Described {
    #[serde(rename = "operationId")]
    operation_id: String,
    tags: [&'static str; 1],
    summary: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    parameters: Vec<Parameter>,
    #[serde(rename = "requestBody", skip_serializing_if = "Option::is_none")]
    request_body: Option<Value>,
    responses: BTreeMap<String, Value>,
    security: Vec<BTreeMap<&'static str, [&'static str; 0]>>,
}

#[derive(Serialize)]
struct Parameter {
    name: String,
    #[serde(rename = "in")]
    place: &'static str,
    required: bool,
    description: &'static str,
    schema: Value,
}

#[derive(Serialize)]
struct Components {
    schemas: Map<String, Value>,
    #[serde(rename = "securitySchemes")]
    security_schemes: Value,
}

const ABOUT: &str = "Decisions, their ledger, and the registry of models. Every error has the form of the schema Failure. \
                     A request that is refused by flow control is answered 429 (its key asks for too much) or 503 (the server \
                     is full), with Retry-After in seconds. Headers of every request: x-request-id (its name in logs and \
                     answer), x-deadline-ms (how long an answer is worth waiting for), x-priority (everyday or batch: it \
                     matters less than its key), x-timings (the answer has server-timing).";

/// How any operation may fail.
const ALWAYS: &[u16] = &[400, 429, 503, 504];
/// And one that not everybody may do.
const OF_PEOPLE: &[u16] = &[401, 403];
/// And one that takes a body.
const OF_BODIES: &[u16] = &[408, 413, 415];

/// Answers `/api/openapi.json`.
pub async fn document() -> impl IntoResponse {
    static TEXT: LazyLock<String> = LazyLock::new(|| made().to_string());
    ([(header::CONTENT_TYPE, "application/json")], TEXT.as_str())
}

/// The document.
pub fn made() -> Value {
    let mut paths: BTreeMap<&'static str, BTreeMap<String, Described>> = BTreeMap::new();
    let mut tags: Vec<Tag> = Vec::new();
    for operation in OPERATIONS {
        if tags.iter().all(|tag| tag.name != operation.tag) {
            tags.push(Tag { name: operation.tag });
        }
        paths.entry(operation.path).or_default().insert(operation.method.to_lowercase(), described(operation));
    }
    let document = Document {
        openapi: "3.1.0",
        info: Info { title: "Statera", version: env!("CARGO_PKG_VERSION"), description: ABOUT },
        tags,
        paths,
        components: Components {
            schemas: schemas::all(),
            security_schemes: json!({
                "key": { "type": "http", "scheme": "bearer", "description": "An API key: prefix.secret" },
                "session": { "type": "apiKey", "in": "cookie", "name": "session", "description": "A person who signed in" },
            }),
        },
    };
    // Text, numbers and lists: there is nothing in it that JSON has not.
    serde_json::to_value(document).unwrap_or_default()
}

fn described(operation: &Operation) -> Described {
    let text = || json!({ "type": "string" });
    let names = operation.path.split('{').skip(1).filter_map(|rest| rest.split('}').next());
    let in_path = names.map(|name| Parameter {
        name: name.to_string(),
        place: "path",
        required: true,
        description: "",
        schema: text(),
    });
    let in_query = operation.query.iter().map(|(name, about)| Parameter {
        name: (*name).to_string(),
        place: "query",
        required: false,
        description: about,
        schema: text(),
    });
    let need = access::ACCESS.iter().find(|r| (r.method, r.path) == (operation.method, operation.path)).map(|r| r.need);
    let is_open = need == Some(Need::Nobody);
    let body = content(operation.takes);
    let done = StatusCode::from_u16(operation.status).ok().and_then(|s| s.canonical_reason()).unwrap_or("Done");
    let mut responses = BTreeMap::new();
    responses.insert(operation.status.to_string(), response(done, content(operation.gives)));
    let of_people = if is_open { &[][..] } else { OF_PEOPLE };
    let of_bodies = if body.is_some() { OF_BODIES } else { &[] };
    for status in ALWAYS.iter().chain(of_people).chain(of_bodies).chain(operation.fails) {
        let name = StatusCode::from_u16(*status).map_or("failure", failure::name);
        responses.insert(status.to_string(), response(name, content(Form::Json("Failure"))));
    }
    Described {
        operation_id: operation_id(operation),
        tags: [operation.tag],
        summary: operation.summary,
        description: need.map(needs),
        parameters: in_path.chain(in_query).collect(),
        request_body: body.map(|content| json!({ "required": true, "content": content })),
        responses,
        security: if is_open { Vec::new() } else { ["key", "session"].map(|s| BTreeMap::from([(s, [])])).to_vec() },
    }
}

/// Who may, in words.
fn needs(need: Need) -> String {
    match need {
        Need::Nobody => "Whoever reaches the server".into(),
        Need::Anybody => "Any key, and any person who is signed in".into(),
        Need::One(roles) => format!("Keys and people with {}", one_of(roles)),
        Need::Person(roles) => format!("People with {}; no keys", one_of(roles)),
    }
}

/// A name that programs can be made of: `post_api_v1_decisions`.
fn operation_id(operation: &Operation) -> String {
    let words = operation.path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let mut id = operation.method.to_lowercase();
    for word in words {
        id.push('_');
        id += word;
    }
    id
}

fn response(about: &str, content: Option<Value>) -> Value {
    match content {
        Some(content) => json!({ "description": about, "content": content }),
        None => json!({ "description": about }),
    }
}

fn content(form: Form) -> Option<Value> {
    let of = |kind: &str, schema: Value| {
        let mut content = Map::new();
        content.insert(kind.to_string(), json!({ "schema": schema }));
        Some(Value::Object(content))
    };
    match form {
        Form::Nothing => None,
        Form::Json(name) => of("application/json", json!({ "$ref": format!("#/components/schemas/{name}") })),
        Form::Page => of("text/html", json!({ "type": "string" })),
        Form::Fields => of("application/x-www-form-urlencoded", json!({ "type": "object" })),
        Form::Other(kind) => of(kind, json!({ "type": "string" })),
    }
}

#[cfg(test)]
mod tests;
