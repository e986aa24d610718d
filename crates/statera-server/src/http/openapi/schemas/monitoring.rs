//! What became of decisions.

use super::{flag, integer, list, object, one_of, reference, text};
use serde_json::{Value, json};

/// The schemas of this file by name.
pub fn schemas() -> Value {
    let count = |about: &str| integer(0, about);
    let direction = one_of(&["approve", "review", "decline", "none"]);
    let rate = |about: &str| json!({ "type": ["number", "null"], "minimum": 0, "maximum": 1, "description": about });
    let outcomes = json!({
        "decisions": count("All of them"),
        "good": count("With a good outcome"),
        "bad": count("With a bad outcome"),
        "other": count("With outcomes that count as neither"),
        "contradictory": count("With a good and a bad outcome; in no rate"),
        "unknown": count("Without an outcome yet"),
        "bad_rate": reference("Share"),
    });
    let figures = json!({
        "decisions": count("Rows that were decided or scored"),
        "approve": count("By the model"),
        "review": count("By the model"),
        "decline": count("By the model"),
        "override_rate": reference("Share"),
        "verdict": one_of(&["nothing", "within", "above", "clearly_above", "incomplete"]),
        "undone": count("Overridden and put back"),
        "directions": list(reference("OverrideDirection")),
        "overridden": reference("OutcomesOfDecisions"),
        "settled": reference("OutcomesOfDecisions"),
        "not_overridden": reference("OutcomesOfDecisions"),
    });
    let acts = json!({
        "share": reference("Share"),
        "overridden": reference("OutcomesOfDecisions"),
        "settled": count("Decided where the policy asked for a person, or where there was none"),
        "directions": list(reference("OverrideDirection")),
    });
    json!({
        "Share": object(json!({
            "n": count("How many"),
            "of": count("Of how many"),
            "rate": rate("n / of; null of none, and of overrides where complete is false"),
            "low": rate("Of the 95 % interval (Wilson)"),
            "high": rate("Of the same"),
        }), json!({})),
        "OutcomesOfDecisions": object(outcomes.clone(), json!({})),
        "OverrideDirection": object(with(json!({ "from": direction.clone(), "to": direction }), &outcomes), json!({})),
        "OverrideReport": object(json!({
            "from": { "type": "string", "format": "date-time" },
            "overrides_from": { "type": "string", "format": "date-time" },
            "to": { "type": "string", "format": "date-time" },
            "days": integer(1, "As asked"),
            "complete": flag("False: more was recorded than is read at once; from is later than was asked, and rates are null"),
            "records": count("That were read"),
            "unreadable": count("Whose facts cannot be read"),
            "earlier": count("Rows whose overrides or outcomes are in the window, while their decisions are older"),
            "override_rate_max": { "type": "number", "description": "The limit of the settings" },
            "total": object(figures.clone(), json!({})),
            "versions": list(object(
                with(json!({ "model": text("Its name"), "version": integer(1, "Which") }), &figures), json!({}),
            )),
            "persons": list(object(with(json!({ "person": text("Who decided last") }), &acts), json!({}))),
            "reasons": list(object(with(json!({ "reason": text("Its code") }), &acts), json!({}))),
        }), json!({})),
    })
}

/// The fields of both.
fn with(mut fields: Value, more: &Value) -> Value {
    if let (Some(fields), Some(more)) = (fields.as_object_mut(), more.as_object()) {
        fields.extend(more.clone());
    }
    fields
}
