//! Cases of suspicious transactions, and what people do about them.

use super::{flag, integer, list, object, one_of, reference, request, text};
use serde_json::{Value, json};

/// The schemas of this file by name.
pub fn schemas() -> Value {
    let id = || json!({ "type": "string", "format": "uuid" });
    let at = || json!({ "type": "string", "format": "date-time" });
    let number = |about: &str| json!({ "type": "number", "minimum": 0, "description": about });
    let note = || text("At most 4,000 characters; kept under the card");
    let case = || {
        let required = json!({
            "id": id(),
            "model": text("Its name"),
            "state": one_of(&["open", "assigned", "closed"]),
            "waiting": integer(0, "Transactions that wait for an answer, at most 1,000"),
            "opened": at(),
            "last": at(),
        });
        let optional = json!({
            "expected_loss": number("Of the transactions that wait the sum of probability times amount"),
            "probability_sum": number("In its place where the model's amounts are not known"),
            "assigned": text("Who works on it"),
            "verdict": one_of(&["confirmed", "dismissed"]),
            "closed": at(),
        });
        (required, optional)
    };
    let with = |required: Value, optional: Value| {
        let (mut all, mut more) = case();
        for (to, from) in [(&mut all, required), (&mut more, optional)] {
            if let (Some(to), Value::Object(from)) = (to.as_object_mut(), from) {
                to.extend(from);
            }
        }
        object(all, more)
    };
    json!({
        "Alerts": object(json!({
            "shift": object(json!({
                "began": at(), "ends": at(),
                "capacity": integer(1, "Cases of a shift"),
                "done": integer(0, "Cases that were closed in it"),
                "left": integer(0, "Cases that it has room for yet"),
            }), json!({})),
            "alerts": list(reference("Case")),
            "n_all": integer(0, "Cases that were asked for, with after those that come after it, at most 100,000"),
            "below": integer(0, "How many of them are not shown"),
        }), json!({
            "next": text("Where there are cases below: what after is given to read on; where alerts is empty, from the first of them"),
        })),
        "Case": with(json!({}), json!({})),
        "Alert": with(
            json!({
                "steps": list(json!({ "type": "object", "description": "What was done: at, by, step, number, to, from, reason, n_labels, note" })),
                "timeline": list(object(json!({
                    "decision": id(), "recorded": at(), "suspicious": flag("It is one of the case"),
                }), json!({
                    "at_stake": number("Of one of the case"),
                    "outcome": text("What was said of it"),
                    "transaction": text("Its own id; this and what follows for those who may see it"),
                    "time": text("As it was sent"), "amount": text("As it was sent"),
                    "sent": reference("Row"), "answer": reference("RowAnswer"),
                    "erased": at(),
                }))),
                "neighbours": list(with(json!({ "shared": list(text("Name of a key that both have")) }), json!({}))),
            }),
            json!({ "card": text("Whose, for those who may see it") }),
        ),
        "AssignRequest": request(json!({ "to": text("Name of a person who is maker or checker") }), json!({
            "from": text("Who has it, where it is taken over from somebody else"), "note": note(),
        })),
        "ConfirmRequest": request(json!({}), json!({
            "transactions": list(text("The id of a transaction of the card; all of the case that wait if not given")), "note": note(),
        })),
        "DismissRequest": request(json!({ "reason": text("One of the settings' dismiss_reasons") }), json!({ "note": note() })),
    })
}
