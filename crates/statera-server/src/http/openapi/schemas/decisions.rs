//! Decisions and what follows them.

use super::{integer, list, object, one_of, reference, request, text};
use serde_json::{Value, json};

/// What every request that is recorded may be named by.
fn request_id() -> Value {
    text(
        "The client's name for the request, 1 to 128 characters: sent again, it gets the same answer; another body is a conflict",
    )
}

fn row_number() -> Value {
    integer(0, "The row, of a request of many, from 0")
}

/// The schemas of this file by name.
pub fn schemas() -> Value {
    let decided = one_of(&["approve", "review", "decline"]);
    let language = one_of(&["en", "ko", "zh"]);
    json!({
        "Row": { "type": "object", "description": "Cells by the names of the columns of the model and of its rules", "additionalProperties": {
            "type": ["string", "number", "boolean", "null"] } },
        "DecisionsRequest": request(json!({ "model": text("Its name") }), json!({
            "request_id": request_id(),
            "subject": text("Whom the row is about, as the bank names them; they can be erased by it"),
            "row": reference("Row"),
            "rows": list(request(json!({ "row": reference("Row") }), json!({ "subject": text("Whom the row is about") }))),
            "explain": one_of(&["adverse", "all", "none"]),
            "language": language,
        })),
        "DecisionsAnswer": object(json!({
            "id": { "type": "string", "format": "uuid" },
            "model": text("Its name"),
            "version": integer(1, "Which of its versions decided"),
            "digest": text("Of the bundle"),
            "part": one_of(&["champion", "challenger", "backup"]),
            "decisions": list(reference("RowAnswer")),
        }), json!({
            "of": { "type": "string", "format": "uuid", "description": "The decision before, of an objection" },
            "policy": text("Version of the policy"),
            "ignored_columns": list(json!({ "type": "string" })),
            "erased": list(text("When a subject was erased since")),
        })),
        "TransactionsRequest": request(json!({ "model": text("Its name; its champion has windows") }), json!({
            "subject": text("Whom the transaction is about, as the bank names them; they can be erased by it"),
            "row": reference("Row"),
            "rows": list(request(json!({ "row": reference("Row") }), json!({ "subject": text("Whom the row is about") }))),
            "explain": one_of(&["adverse", "all", "none"]),
            "language": language,
        })),
        "TransactionsAnswer": { "description": "Of one row as that of a decision; of rows a list in their order", "anyOf": [
            reference("DecisionsAnswer"),
            object(json!({ "transactions": list(object(json!({ "status": integer(200, "As that of a request of its own") }), json!({
                "answer": reference("DecisionsAnswer"),
                "error": text("A short name that programs can act on"),
                "message": text("For people"),
            }))) }), json!({})),
        ] },
        "RowAnswer": object(json!({ "row": row_number() }), json!({
            "probability": { "type": "number", "minimum": 0, "maximum": 1 },
            "prediction": { "type": "number" },
            "class": text("The likeliest"),
            "probabilities": { "type": "object", "additionalProperties": { "type": "number" } },
            "grade": text("Of the policy"),
            "decision": decided,
            "action": { "type": "string", "enum": ["allow", "challenge", "hold", "block"],
                "description": "Of the rules, where the bundle has some: it stands beside the decision and does not change it" },
            "rules": list(object(json!({ "code": text("Of the rule"), "text": text("Its name") }), json!({}))),
            "shadow_rules": list(text("The code of a rule in shadow that holds")),
            "reasons": list(object(json!({ "code": text("Of the bank's reasons"), "text": text("What the customer is told") }), json!({}))),
        })),
        "Decision": object(json!({
            "id": { "type": "string", "format": "uuid" },
            "kind": one_of(&["decision", "override", "objection", "outcome", "alert", "edges"]),
            "at": { "type": "string", "format": "date-time" },
            "actor": { "description": "Who asked" },
            "facts": { "type": "object", "description": "Without personal data, as the ledger has them" },
            "ledger": object(json!({ "chain": text("Which"), "seq": integer(1, "Its row") }), json!({})),
            "later": list(json!({ "type": "object", "description": "What followed: id, kind, at, actor, facts" })),
        }), json!({
            "of": { "type": "string", "format": "uuid" },
            "rows": list(json!({ "type": "object", "description": "Input, answer and margins, for those who may see them" })),
            "note": text("What was said with an objection"),
            "erased": list(text("When parts of it were erased")),
        })),
        "Replay": object(json!({
            "id": { "type": "string", "format": "uuid" },
            "result": one_of(&["identical", "different", "erased"]),
            "model": text("Its name"),
            "version": integer(1, "Which decided"),
            "digest": text("Of the bundle"),
            "decided_by": text("The program that decided"),
            "replayed_by": text("The program that replayed"),
            "rows_compared": integer(0, "Rows that are kept"),
        }), json!({
            "erased": list(text("«erased on …»")),
            "differences": list(json!({ "type": "object", "description": "row, what, recorded, replayed" })),
            "reasons": { "type": "object", "description": "Codes by row, where the request asked for none" },
        })),
        "OverrideRequest": request(json!({
            "decision": decided,
            "reason": text("Its code"),
            "note": text("Why, 1 to 4,000 characters"),
        }), json!({ "request_id": request_id(), "row": row_number() })),
        "OverrideAnswer": object(json!({
            "id": { "type": "string", "format": "uuid" },
            "of": { "type": "string", "format": "uuid" },
            "to": decided,
            "reason": text("Its code"),
        }), json!({ "row": row_number(), "from": decided, "model": text("Its name"), "version": integer(1, "Which decided"), "digest": text("Of the bundle") })),
        "ObjectionRequest": request(json!({}), json!({
            "request_id": request_id(),
            "row": row_number(),
            "input": reference("Row"),
            "note": text("What the customer says, at most 4,000 characters"),
            "language": language,
        })),
        "OutcomeRequest": request(json!({
            "outcome": text("One of the settings' outcomes: paid, late, defaulted, fraud, genuine, cancelled"),
        }), json!({
            "decision": { "type": "string", "format": "uuid", "description": "Which; or transaction and model" },
            "transaction": text("The transaction's own id"),
            "model": text("Its model"),
            "request_id": request_id(), "row": row_number(), "on": { "type": "string", "format": "date" } })),
        "EdgesRequest": request(json!({
            "model": text("Its name"),
            "edges": list(reference("Row")),
        }), json!({
            "request_id": request_id(),
            "subject": text("Whom they are about, if it is one; they can be erased by it"),
            "table": text("The name of their table, as the model was trained: another is refused"),
        })),
        "EdgesAnswer": object(json!({
            "id": { "type": "string", "format": "uuid" },
            "model": text("Its name"),
            "version": integer(1, "Of the model, when they came"),
            "state": integer(1, "The place in the order in which the state took what it has"),
            "edges": integer(1, "Edges that the request had"),
            "new": integer(0, "Of them those that are counted from now on"),
            "known": integer(0, "Those that came before"),
            "unseen": integer(0, "Those that no transaction to come sees: older than every window, or of a kind that no figure reads"),
            "left_out": integer(0, "Those without consent, and from a node to itself"),
        }), json!({ "ignored_columns": list(text("A column that nobody reads")) })),
        "OutcomeAnswer": object(json!({
            "id": { "type": "string", "format": "uuid" },
            "of": { "type": "string", "format": "uuid" },
            "outcome": text("As it was told"),
        }), json!({ "row": row_number(), "model": text("Its name"), "version": integer(1, "Which decided"),
            "label": { "type": "object", "description": "What the state of a transaction's model has learnt: number, is_fraud, when_us" },
            "kept_label": { "type": "object", "description": "The same where the state knew it, or its windows have no use for it" } })),
    })
}
