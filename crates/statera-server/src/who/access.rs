//! The one table of who may call what. What is not in it is refused to everyone.

use axum::http::Method;
use statera_store::people::Role::{self, Admin, Checker, Maker, Scorer, Viewer};
use std::collections::HashMap;
use std::sync::LazyLock;

/// Who may call a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Whoever reaches the server.
    Nobody,
    /// Whoever is identified.
    Anybody,
    /// Whoever has one of the roles, person or key.
    One(&'static [Role]),
    /// A person with one of the roles: what the rule of several persons is about, and what one could undo it with.
    Person(&'static [Role]),
}

/// A line of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// GET (HEAD with it), POST, PUT or DELETE.
    pub method: &'static str,
    /// As the router has it.
    pub path: &'static str,
    /// Who may.
    pub need: Need,
}

const fn rule(method: &'static str, path: &'static str, need: Need) -> Rule {
    Rule { method, path, need }
}

const ALL: Need = Need::One(&[Viewer, Scorer, Maker, Checker, Admin]);
const SEES: Need = Need::One(&[Viewer, Maker, Checker, Admin]);
const SCORES: Need = Need::One(&[Scorer]);
const ADMINS: Need = Need::Person(&[Admin]);
const MAKES: Need = Need::Person(&[Maker]);
const CHECKS: Need = Need::Person(&[Checker]);
/// What the desk that works on alerts sees and does.
const LOOKS: Need = Need::One(&[Viewer, Maker, Checker]);
const WORKS: Need = Need::Person(&[Maker, Checker]);

/// Every route of the server.
pub const ACCESS: &[Rule] = &[
    // Of machines that watch, without personal data.
    rule("GET", "/health/live", Need::Nobody),
    rule("GET", "/health/ready", Need::Nobody),
    rule("GET", "/metrics", ALL),
    rule("GET", "/api/openapi.json", Need::Nobody),
    // Decisions.
    rule("POST", "/api/v1/decisions", SCORES),
    rule("GET", "/api/v1/decisions/{id}", Need::One(&[Viewer, Scorer, Checker])),
    rule("GET", "/api/v1/decisions/{id}/replay", Need::One(&[Viewer, Checker])),
    rule("GET", "/api/v1/decisions/{id}/explanation", Need::One(&[Scorer, Checker])),
    rule("POST", "/api/v1/decisions/{id}/override", CHECKS),
    rule("POST", "/api/v1/decisions/{id}/objection", Need::One(&[Scorer, Checker])),
    rule("POST", "/api/v1/transactions", SCORES),
    rule("POST", "/api/v1/outcomes", SCORES),
    rule("POST", "/api/v1/edges", SCORES),
    rule("GET", "/api/v1/monitoring/overrides", SEES),
    // Alerts.
    rule("GET", "/api/v1/alerts", LOOKS),
    rule("GET", "/api/v1/alerts/{id}", LOOKS),
    rule("POST", "/api/v1/alerts/{id}/assign", WORKS),
    rule("POST", "/api/v1/alerts/{id}/confirm", WORKS),
    rule("POST", "/api/v1/alerts/{id}/dismiss", WORKS),
    // The Open Inference Protocol.
    rule("GET", "/v2", Need::Nobody),
    rule("GET", "/v2/health/live", Need::Nobody),
    rule("GET", "/v2/health/ready", Need::Nobody),
    rule("GET", "/v2/models/{model}", ALL),
    rule("GET", "/v2/models/{model}/ready", ALL),
    rule("POST", "/v2/models/{model}/infer", SCORES),
    rule("GET", "/v2/models/{model}/versions/{version}", ALL),
    rule("GET", "/v2/models/{model}/versions/{version}/ready", ALL),
    rule("POST", "/v2/models/{model}/versions/{version}/infer", SCORES),
    // The registry.
    rule("GET", "/api/v1/models", ALL),
    rule("GET", "/api/v1/models/{model}", ALL),
    rule("POST", "/api/v1/models", Need::One(&[Maker])),
    rule("POST", "/api/v1/models/{model}/versions", Need::One(&[Maker])),
    rule("POST", "/api/v1/models/{model}/proposals", MAKES),
    rule("POST", "/api/v1/models/{model}/rollback", CHECKS),
    rule("POST", "/api/v1/models/{model}/stop", Need::Person(&[Maker, Checker, Admin])),
    rule("GET", "/api/v1/proposals", SEES),
    rule("POST", "/api/v1/proposals/{id}/approve", CHECKS),
    rule("POST", "/api/v1/proposals/{id}/reject", Need::Person(&[Maker, Checker])),
    rule("GET", "/api/v1/tiers", SEES),
    rule("PUT", "/api/v1/tiers/{tier}", ADMINS),
    // People and keys.
    rule("GET", "/api/v1/me", Need::Anybody),
    rule("POST", "/api/v1/setup", Need::Nobody),
    rule("POST", "/api/v1/sessions", Need::Nobody),
    rule("DELETE", "/api/v1/sessions", Need::Anybody),
    rule("PUT", "/api/v1/me/password", Need::Person(&[Viewer, Scorer, Maker, Checker, Admin])),
    rule("GET", "/api/v1/people", ADMINS),
    rule("POST", "/api/v1/people", ADMINS),
    rule("PUT", "/api/v1/people/{name}/roles", ADMINS),
    rule("PUT", "/api/v1/people/{name}/password", ADMINS),
    rule("PUT", "/api/v1/people/{name}/disabled", ADMINS),
    rule("GET", "/api/v1/keys", ADMINS),
    rule("POST", "/api/v1/keys", ADMINS),
    rule("DELETE", "/api/v1/keys/{prefix}", ADMINS),
    // Pages.
    rule("GET", "/setup", Need::Nobody),
    rule("POST", "/setup", Need::Nobody),
    rule("GET", "/sign-in", Need::Nobody),
    rule("POST", "/sign-in", Need::Nobody),
    rule("GET", "/sign-in/oidc", Need::Nobody),
    rule("GET", "/sign-in/oidc/callback", Need::Nobody),
    rule("POST", "/sign-out", Need::Anybody),
    rule("GET", "/", Need::Anybody),
    rule("POST", "/models/{model}/propose", MAKES),
    rule("POST", "/models/{model}/rollback", CHECKS),
    rule("POST", "/models/{model}/stop", Need::Person(&[Maker, Checker, Admin])),
    rule("POST", "/proposals/{id}/approve", CHECKS),
    rule("POST", "/proposals/{id}/reject", Need::Person(&[Maker, Checker])),
    rule("GET", "/people", ADMINS),
    rule("POST", "/people", ADMINS),
    rule("POST", "/people/{name}/roles", ADMINS),
    rule("POST", "/people/{name}/password", ADMINS),
    rule("POST", "/people/{name}/disabled", ADMINS),
    rule("GET", "/keys", ADMINS),
    rule("POST", "/keys", ADMINS),
    rule("POST", "/keys/{prefix}/revoke", ADMINS),
    rule("GET", "/account", Need::Anybody),
    rule("POST", "/account/password", Need::Person(&[Viewer, Scorer, Maker, Checker, Admin])),
];

impl Rule {
    /// True for what browsers show: who is not signed in is led to the page for that.
    pub fn is_page(&self) -> bool {
        !["/api/", "/v2", "/health", "/metrics"].iter().any(|start| self.path.starts_with(start))
    }
}

/// What the table says of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// Its line.
    Rule(&'static Rule),
    /// The path has lines, but not for that method.
    OtherMethod,
    /// Nothing.
    Nothing,
}

/// Looks a call up; `path` is the router's pattern, not what the client wrote.
pub fn find(method: &Method, path: &str) -> Found {
    static BY_PATH: LazyLock<HashMap<&str, Vec<&Rule>>> = LazyLock::new(|| {
        let mut by_path: HashMap<&str, Vec<&Rule>> = HashMap::new();
        for rule in ACCESS {
            by_path.entry(rule.path).or_default().push(rule);
        }
        by_path
    });
    let Some(rules) = BY_PATH.get(path) else { return Found::Nothing };
    let method = if method == Method::HEAD { "GET" } else { method.as_str() };
    rules.iter().find(|rule| rule.method == method).map_or(Found::OtherMethod, |rule| Found::Rule(rule))
}

#[cfg(test)]
#[path = "access_tests.rs"]
mod tests;
