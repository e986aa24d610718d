//! The one list of what can be asked.

use super::{Form, Operation};
use Form::{Fields, Json, Nothing, Other, Page};

/// A GET, which fails where there is nothing of that name.
const fn get(path: &'static str, tag: &'static str, summary: &'static str, gives: Form) -> Operation {
    let fails: &[u16] = if has_name(path) { &[404] } else { &[] };
    Operation { method: "GET", path, tag, summary, query: &[], takes: Nothing, status: 200, gives, fails }
}

/// Another method, which also fails where what is asked contradicts what is there.
const fn does(
    method: &'static str,
    path: &'static str,
    tag: &'static str,
    summary: &'static str,
    (takes, status, gives): (Form, u16, Form),
) -> Operation {
    let fails: &[u16] = if has_name(path) { &[404, 409] } else { &[409] };
    Operation { method, path, tag, summary, query: &[], takes, status, gives, fails }
}

/// What a page sends: it leads to another page.
const fn sends(path: &'static str, summary: &'static str) -> Operation {
    does("POST", path, "pages", summary, (Fields, 303, Nothing))
}

const fn has_name(path: &str) -> bool {
    let mut i = 0;
    while i < path.len() {
        if path.as_bytes()[i] == b'{' {
            return true;
        }
        i += 1;
    }
    false
}

/// Every operation, by what it belongs to.
pub const OPERATIONS: &[Operation] = &[
    get("/health/live", "watching", "Whether the process answers", Json("Live")),
    Operation { fails: &[503], ..get("/health/ready", "watching", "Whether requests should come", Json("Ready")) },
    get("/metrics", "watching", "Counts and times, as Prometheus reads them", Other("text/plain")),
    get("/api/openapi.json", "watching", "This document", Other("application/json")),
    // Decisions.
    does(
        "POST",
        "/api/v1/decisions",
        "decisions",
        "Decides about one row or many; all of them are one record, on disk before the answer leaves",
        (Json("DecisionsRequest"), 200, Json("DecisionsAnswer")),
    ),
    does(
        "POST",
        "/api/v1/transactions",
        "decisions",
        "Counts a transaction or many in the model's state, scores them and asks the rules; each is a record, on disk before the answer leaves, and is taken once by its id",
        (Json("TransactionsRequest"), 200, Json("TransactionsAnswer")),
    ),
    get("/api/v1/decisions/{id}", "decisions", "A decision, and what followed it", Json("Decision")),
    get(
        "/api/v1/decisions/{id}/replay",
        "decisions",
        "Makes the decision again from what is kept, and compares it to the last bit",
        Json("Replay"),
    ),
    Operation {
        query: &[("row", "Of a request of many, from 0"), ("language", "en, ko or zh")],
        ..get("/api/v1/decisions/{id}/explanation", "decisions", "A page to print for the customer", Page)
    },
    does(
        "POST",
        "/api/v1/decisions/{id}/override",
        "decisions",
        "A person decides otherwise, for a coded reason and within their authority",
        (Json("OverrideRequest"), 200, Json("OverrideAnswer")),
    ),
    does(
        "POST",
        "/api/v1/decisions/{id}/objection",
        "decisions",
        "The customer says that the input was wrong: the corrected input is decided anew, linked to the decision before",
        (Json("ObjectionRequest"), 200, Json("DecisionsAnswer")),
    ),
    does(
        "POST",
        "/api/v1/outcomes",
        "decisions",
        "What became of a decision",
        (Json("OutcomeRequest"), 200, Json("OutcomeAnswer")),
    ),
    does(
        "POST",
        "/api/v1/edges",
        "decisions",
        "Edges of the network that a model's transactions are counted in: who shares or pays what with whom, since when",
        (Json("EdgesRequest"), 200, Json("EdgesAnswer")),
    ),
    Operation {
        query: &[("days", "Decisions of the last so many days, 1 to 366; 30 if not given"), ("model", "Of one model")],
        ..get(
            "/api/v1/monitoring/overrides",
            "decisions",
            "How often people overrode decisions, in which direction, and what became of those and of the others",
            Json("OverrideReport"),
        )
    },
    // Alerts.
    Operation {
        query: &[
            ("model", "Of one model"),
            ("state", "open, assigned or closed; open and assigned if not given"),
            ("limit", "At most so many, 1 to 1,000; what the shift has room for if not given, and 1,000 after a place"),
            ("after", "Those alone that come after it: next of an answer to the same question"),
        ],
        ..get(
            "/api/v1/alerts",
            "alerts",
            "Cases of suspicious transactions, those with the most at stake first",
            Json("Alerts"),
        )
    },
    get(
        "/api/v1/alerts/{id}",
        "alerts",
        "A case: what its card did lately, what was done about it, cases that share a terminal or a device",
        Json("Alert"),
    ),
    does(
        "POST",
        "/api/v1/alerts/{id}/assign",
        "alerts",
        "Has somebody work on the case; who takes it over names who has it",
        (Json("AssignRequest"), 200, Json("Case")),
    ),
    does(
        "POST",
        "/api/v1/alerts/{id}/confirm",
        "alerts",
        "Its transactions are frauds: reports that of each, and closes the case",
        (Json("ConfirmRequest"), 200, Json("Case")),
    ),
    does(
        "POST",
        "/api/v1/alerts/{id}/dismiss",
        "alerts",
        "Its transactions are genuine: reports that of each, and closes the case",
        (Json("DismissRequest"), 200, Json("Case")),
    ),
    // The Open Inference Protocol.
    get("/v2", "inference", "The server", Json("InferenceServer")),
    get("/v2/health/live", "inference", "Whether the process answers", Json("Live")),
    get("/v2/health/ready", "inference", "Whether requests should come", Json("InferenceReady")),
    get("/v2/models/{model}", "inference", "Inputs and outputs of what answers for a model", Json("InferenceModel")),
    get("/v2/models/{model}/ready", "inference", "Whether the model answers", Json("InferenceReady")),
    does(
        "POST",
        "/v2/models/{model}/infer",
        "inference",
        "Scores rows; nothing is decided and nothing recorded",
        (Json("InferenceRequest"), 200, Json("InferenceAnswer")),
    ),
    get("/v2/models/{model}/versions/{version}", "inference", "The same of a version", Json("InferenceModel")),
    get("/v2/models/{model}/versions/{version}/ready", "inference", "Whether it answers", Json("InferenceReady")),
    does(
        "POST",
        "/v2/models/{model}/versions/{version}/infer",
        "inference",
        "Scores rows with a version",
        (Json("InferenceRequest"), 200, Json("InferenceAnswer")),
    ),
    // The registry.
    get("/api/v1/models", "registry", "All models", Json("Models")),
    does("POST", "/api/v1/models", "registry", "Begins a model", (Json("NewModel"), 201, Json("Acted"))),
    get("/api/v1/models/{model}", "registry", "A model, its versions, and which of them answer", Json("Model")),
    Operation {
        query: &[("note", "Why")],
        ..does(
            "POST",
            "/api/v1/models/{model}/versions",
            "registry",
            "Adds a bundle (a .zip) as the next version; it is checked and its golden rows are replayed",
            (Other("application/zip"), 201, Json("Acted")),
        )
    },
    does(
        "POST",
        "/api/v1/models/{model}/proposals",
        "registry",
        "Proposes a change of what answers; others approve it",
        (Json("NewProposal"), 201, Json("Acted")),
    ),
    does(
        "POST",
        "/api/v1/models/{model}/rollback",
        "registry",
        "Back to the champion before this one, at once",
        (Json("Why"), 200, Json("Acted")),
    ),
    does(
        "POST",
        "/api/v1/models/{model}/stop",
        "registry",
        "The backup model answers from now on, at once",
        (Json("Why"), 200, Json("Acted")),
    ),
    Operation {
        query: &[("state", "open, applied or rejected; all if not given")],
        ..get("/api/v1/proposals", "registry", "Proposed changes", Json("Proposals"))
    },
    does(
        "POST",
        "/api/v1/proposals/{id}/approve",
        "registry",
        "Approves; the last approval that is needed makes the change",
        (Json("Why"), 200, Json("Acted")),
    ),
    does(
        "POST",
        "/api/v1/proposals/{id}/reject",
        "registry",
        "Rejects, or withdraws one's own",
        (Json("Why"), 200, Json("Acted")),
    ),
    get("/api/v1/tiers", "registry", "Approvals that changes of each tier's models need", Json("Tiers")),
    does("PUT", "/api/v1/tiers/{tier}", "registry", "Sets how many", (Json("Tier"), 200, Json("Acted"))),
    // People and keys.
    get("/api/v1/me", "people", "Who asks", Json("Me")),
    does(
        "PUT",
        "/api/v1/me/password",
        "people",
        "Another password of one's own",
        (Json("PasswordChange"), 204, Nothing),
    ),
    does(
        "POST",
        "/api/v1/setup",
        "people",
        "Makes the first person, with the one-time link's token",
        (Json("Setup"), 201, Nothing),
    ),
    does("POST", "/api/v1/sessions", "people", "Signs in", (Json("SignIn"), 200, Json("SignedIn"))),
    does("DELETE", "/api/v1/sessions", "people", "Signs out", (Nothing, 204, Nothing)),
    get("/api/v1/people", "people", "All people", Json("People")),
    does("POST", "/api/v1/people", "people", "Adds a person", (Json("NewPerson"), 201, Nothing)),
    does(
        "PUT",
        "/api/v1/people/{name}/roles",
        "people",
        "What a person may from now on",
        (Json("Roles"), 204, Nothing),
    ),
    does(
        "PUT",
        "/api/v1/people/{name}/password",
        "people",
        "Another password; the person's sessions end",
        (Json("NewPassword"), 204, Nothing),
    ),
    does(
        "PUT",
        "/api/v1/people/{name}/disabled",
        "people",
        "Keeps a person out, or lets them in again",
        (Json("Disabled"), 204, Nothing),
    ),
    get("/api/v1/keys", "people", "All keys, without their secrets", Json("Keys")),
    does(
        "POST",
        "/api/v1/keys",
        "people",
        "Makes a key; it is shown this once",
        (Json("NewKey"), 201, Json("KeyMade")),
    ),
    does("DELETE", "/api/v1/keys/{prefix}", "people", "Ends a key", (Nothing, 204, Nothing)),
    // Pages.
    get("/", "pages", "Models and proposals", Page),
    get("/setup", "pages", "The first person", Page),
    sends("/setup", "Makes the first person"),
    get("/sign-in", "pages", "Signing in", Page),
    sends("/sign-in", "Signs in"),
    get("/sign-in/oidc", "pages", "Leads to the issuer", Nothing),
    get("/sign-in/oidc/callback", "pages", "Comes back from the issuer", Nothing),
    sends("/sign-out", "Signs out"),
    sends("/models/{model}/propose", "Proposes a change"),
    sends("/models/{model}/rollback", "Back to the champion before"),
    sends("/models/{model}/stop", "The backup model answers from now on"),
    sends("/proposals/{id}/approve", "Approves"),
    sends("/proposals/{id}/reject", "Rejects, or withdraws one's own"),
    get("/people", "pages", "All people", Page),
    sends("/people", "Adds a person"),
    sends("/people/{name}/roles", "What a person may from now on"),
    sends("/people/{name}/password", "Another password"),
    sends("/people/{name}/disabled", "Keeps a person out, or lets them in again"),
    get("/keys", "pages", "All keys", Page),
    does("POST", "/keys", "pages", "Makes a key; it is shown this once", (Fields, 200, Page)),
    sends("/keys/{prefix}/revoke", "Ends a key"),
    get("/account", "pages", "One's own account", Page),
    sends("/account/password", "Another password of one's own"),
];
