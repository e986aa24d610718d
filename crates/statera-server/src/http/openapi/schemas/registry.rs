//! Models, versions, proposals.

use super::{flag, integer, list, object, one_of, reference, request, text};
use serde_json::{Value, json};

/// The schemas of this file by name.
pub fn schemas() -> Value {
    let at = json!({ "type": "string", "format": "date-time" });
    let number = || integer(1, "A version's number");
    let challenger = request(
        json!({
            "version": number(),
            "shadow": flag("It scores a copy of the rows and never answers"),
            "per_mille": { "type": "integer", "minimum": 1, "maximum": 1000, "description": "Its share of the requests" },
        }),
        json!({}),
    );
    json!({
        "Models": list(reference("Model")),
        "Model": object(json!({
            "name": text("Its name"),
            "tier": { "type": "integer", "minimum": 1, "maximum": 4, "description": "1 is the most consequential" },
            "route": reference("Route"),
            "versions": list(object(json!({
                "number": number(), "digest": text("Of its bundle"), "note": text("Why it was added"), "by": text("By whom"), "at": at,
            }), json!({}))),
        }), json!({})),
        "Route": object(json!({}), json!({
            "champion": { "type": ["integer", "null"], "description": "The version that decides" },
            "before": list(number()),
            "challenger": { "anyOf": [reference("Challenger"), { "type": "null" }] },
            "backup": { "type": ["integer", "null"], "description": "The one that answers after an emergency stop" },
            "stopped": flag("True after an emergency stop"),
        })),
        "Challenger": challenger,
        "NewModel": request(json!({
            "name": text("1 to 64 of a–z, 0–9, «-», «_», beginning with a letter"),
            "tier": { "type": "integer", "minimum": 1, "maximum": 4 },
        }), json!({})),
        "NewProposal": request(json!({ "change": reference("Change"), "note": text("Why") }), json!({})),
        "Change": { "oneOf": [
            request(json!({ "change": { "const": "champion" }, "version": number() }), json!({})),
            request(json!({ "change": { "const": "challenger" } }), json!({ "challenger": { "anyOf": [reference("Challenger"), { "type": "null" }] } })),
            request(json!({ "change": { "const": "backup" }, "version": number() }), json!({})),
            request(json!({ "change": { "const": "resume" } }), json!({})),
        ] },
        "Proposals": list(object(json!({
            "id": { "type": "string", "format": "uuid" },
            "model": text("Its name"),
            "change": reference("Change"),
            "note": text("Why"),
            "by": text("Who proposed"),
            "at": at,
            "state": one_of(&["open", "applied", "rejected"]),
            "approved_by": list(json!({ "type": "string" })),
        }), json!({
            "approvals_needed": { "type": ["integer", "null"], "description": "By the model's tier; null: it allows nothing" },
            "rejected_by": { "type": ["string", "null"] },
            "rejected_why": { "type": ["string", "null"] },
        }))),
        "Why": request(json!({}), json!({ "note": text("Why; a rollback, a stop and a rejection need it") })),
        "Acted": object(json!({ "applied": flag("True if what answers was changed") }), json!({
            "version": number(), "proposal": { "type": "string", "format": "uuid" },
        })),
        "Tiers": { "type": "object", "additionalProperties": { "type": "integer" }, "description": "Approvals by tier" },
        "Tier": request(json!({ "approvals": { "type": "integer", "minimum": 1, "maximum": 5 } }), json!({})),
    })
}
