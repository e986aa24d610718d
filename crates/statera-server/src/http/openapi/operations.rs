//! The one list of what can be asked.

use super::{Form, Operation};
use Form::{Json, Nothing, Other};

/// An operation without query and without failures of its own; the list changes what differs.
const PLAIN: Operation = Operation {
    method: "GET",
    path: "",
    tag: "",
    summary: "",
    query: &[],
    takes: Nothing,
    status: 200,
    gives: Nothing,
    fails: &[],
};

/// Every operation, by what it belongs to.
pub const OPERATIONS: &[Operation] = &[
    Operation {
        path: "/health/live",
        tag: "watching",
        summary: "Whether the process answers",
        gives: Json("Live"),
        ..PLAIN
    },
    Operation {
        path: "/health/ready",
        tag: "watching",
        summary: "Whether requests should come",
        gives: Json("Ready"),
        fails: &[503],
        ..PLAIN
    },
    Operation {
        path: "/metrics",
        tag: "watching",
        summary: "Counts and times, as Prometheus reads them",
        gives: Other("text/plain"),
        ..PLAIN
    },
    Operation {
        path: "/api/openapi.json",
        tag: "watching",
        summary: "This document",
        gives: Other("application/json"),
        ..PLAIN
    },
];
