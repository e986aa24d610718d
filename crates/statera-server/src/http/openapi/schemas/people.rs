//! People, sessions, keys.

use super::{flag, integer, list, object, one_of, reference, request, text};
use serde_json::{Value, json};

/// The schemas of this file by name.
pub fn schemas() -> Value {
    let role = one_of(&["viewer", "scorer", "maker", "checker", "admin"]);
    let roles = || list(role.clone());
    let at = json!({ "type": "string", "format": "date-time" });
    let password = || json!({ "type": "string", "format": "password" });
    json!({
        "Me": object(json!({ "roles": roles() }), json!({ "person": text("Their name"), "key": text("Its prefix") })),
        "PasswordChange": request(json!({ "old": password(), "new": password() }), json!({})),
        "Setup": request(json!({ "token": text("Of the one-time link"), "name": text("Of the person"), "password": password() }), json!({})),
        "SignIn": request(json!({ "name": text("Of the person"), "password": password() }), json!({})),
        "SignedIn": object(json!({ "csrf": text("To be sent as X-CSRF-Token with whatever changes something") }), json!({})),
        "People": list(object(json!({
            "name": text("Of the person"),
            "roles": roles(),
            "has_password": flag("False: they sign in elsewhere"),
            "disabled": flag("They may not sign in"),
            "failures": integer(0, "Failed sign-ins since the last that succeeded"),
        }), json!({ "locked_until": { "anyOf": [at, { "type": "null" }] } }))),
        "NewPerson": request(json!({ "name": text("1 to 64 of letters, digits, «.», «-», «_», «@»"), "roles": roles() }), json!({
            "password": password(),
        })),
        "Roles": request(json!({ "roles": roles() }), json!({})),
        "NewPassword": request(json!({ "password": password() }), json!({})),
        "Disabled": request(json!({ "disabled": flag("True: may not sign in") }), json!({})),
        "Keys": list(reference("Key")),
        "Key": object(json!({
            "prefix": text("Its public half"),
            "label": text("What it is for"),
            "roles": roles(),
            "rate_per_second": integer(0, "Its target rate; 0: the server's"),
            "urgent": flag("Served before others: the payment path"),
            "revoked": flag("It may nothing any more"),
            "by": text("Who made it"),
            "at": at,
        }), json!({ "expires": { "anyOf": [at, { "type": "null" }] } })),
        "NewKey": request(json!({ "label": text("What it is for"), "roles": roles() }), json!({
            "rate_per_second": integer(0, "Its target rate; 0: the server's"),
            "urgent": flag("Served before others: the payment path"),
            "days": integer(1, "Until it ends; never if not given"),
        })),
        "KeyMade": object(json!({ "prefix": text("Its public half"), "key": text("The whole of it, shown this once") }), json!({})),
    })
}
