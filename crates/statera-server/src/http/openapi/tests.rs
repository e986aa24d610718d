use super::*;
use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request};
use std::collections::BTreeSet;
use tower::ServiceExt;

#[test]
fn every_schema_that_is_named_exists_and_every_schema_is_named() {
    let document = made().to_string();
    let named: BTreeSet<&str> =
        document.split("#/components/schemas/").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    let schemas = schemas::all();
    let existing: BTreeSet<&str> = schemas.keys().map(String::as_str).collect();
    assert_eq!(named, existing);
}

#[test]
fn names_of_operations_are_distinct() {
    let ids: BTreeSet<String> = OPERATIONS.iter().map(operation_id).collect();
    assert_eq!(ids.len(), OPERATIONS.len());
    assert!(ids.contains("get_health_live"));
}

#[test]
fn an_operation_says_how_it_fails() {
    let operation = Operation {
        method: "POST",
        path: "/a/{id}/b",
        tag: "a",
        summary: "Does it",
        query: &[("limit", "At most")],
        takes: Form::Json("In"),
        status: 201,
        gives: Form::Json("Out"),
        fails: &[404],
    };
    let described = serde_json::to_value(described(&operation)).expect("JSON");
    assert_eq!(described["operationId"], "post_a_id_b");
    let statuses: Vec<&String> = described["responses"].as_object().expect("an object").keys().collect();
    assert_eq!(statuses, ["201", "400", "401", "403", "404", "408", "413", "415", "429", "503", "504"]);
    assert_eq!(described["responses"]["404"]["description"], "not_found");
    assert_eq!(described["parameters"][0]["name"], "id");
    assert_eq!(described["parameters"][1]["in"], "query");
    let schema = &described["requestBody"]["content"]["application/json"]["schema"]["$ref"];
    assert_eq!(schema, "#/components/schemas/In");
}

/// Paths of a router, as its debugging text has them: the router tells them in no other way.
fn paths(router: &Router<crate::app::Shared>) -> BTreeSet<String> {
    let text = format!("{router:?}");
    let paths = text.split('"').skip(1).step_by(2).filter(|text| text.starts_with('/'));
    paths.filter(|path| !path.contains("__private")).map(str::to_string).collect()
}

#[test]
fn the_document_has_every_route_and_no_other() {
    let router = super::super::routes().merge(super::super::watching());
    let paths = paths(&router);
    let listed: BTreeSet<String> = OPERATIONS.iter().map(|o| o.path.to_string()).collect();
    assert_eq!(paths, listed);
    let app = crate::http::tests::app();
    let router = router.with_state(app);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        for path in &paths {
            for method in [Method::GET, Method::POST, Method::PUT, Method::DELETE, Method::PATCH] {
                let is_listed = OPERATIONS.iter().any(|o| o.path == path && o.method == method.as_str());
                let request = Request::builder().method(&method).uri(path.replace(['{', '}'], "")).body(Body::empty());
                let response = router.clone().oneshot(request.expect("a request")).await.expect("an answer");
                let is_there = response.status() != StatusCode::METHOD_NOT_ALLOWED;
                assert_eq!(is_there, is_listed, "{method} {path}: {}", response.status());
            }
        }
    });
}

#[test]
fn what_the_document_has_is_what_the_table_of_access_has() {
    let of_document: BTreeSet<(&str, &str)> = OPERATIONS.iter().map(|o| (o.method, o.path)).collect();
    let of_table: BTreeSet<(&str, &str)> = access::ACCESS.iter().map(|r| (r.method, r.path)).collect();
    assert_eq!(of_document, of_table);
}
