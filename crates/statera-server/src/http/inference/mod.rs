//! The Open Inference Protocol, version 2, over REST: scores only, for clients that speak it already.
//!
//! Nothing is decided and nothing is recorded: what decides about people goes through `/api/v1/decisions`. Errors are in the
//! protocol's form, `{"error": "…"}`. A null in a tensor's data, which the protocol does not know, is a missing cell.
//! Specification: <https://github.com/kserve/open-inference-protocol>.

mod answer;
mod tensor;
#[cfg(test)]
mod tests;

use crate::app::Shared;
use crate::compute::{Answers, Job, Lane, Rows, Wanted};
use crate::http::decisions::{blocking, json_of, json_response, lost, read_body, whole};
use crate::http::failure::Failure;
use crate::http::timings::{Stage, Way};
use crate::who::Who;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Serialize;
use statera_core::{Error, Result};
use statera_store::people::Role;
use std::time::Instant;
use tensor::Request;
use tokio::sync::oneshot;

/// The routes of the protocol.
pub fn routes() -> Router<Shared> {
    Router::new()
        .route("/v2", get(server))
        .route("/v2/health/live", get(live))
        .route("/v2/health/ready", get(ready))
        .route("/v2/models/{model}", get(model))
        .route("/v2/models/{model}/ready", get(model_ready))
        .route("/v2/models/{model}/infer", post(infer))
        .route("/v2/models/{model}/versions/{version}", get(version))
        .route("/v2/models/{model}/versions/{version}/ready", get(version_ready))
        .route("/v2/models/{model}/versions/{version}/infer", post(infer_version))
}

/// A failure in the protocol's form.
struct Refusal(Failure);

impl<T: Into<Failure>> From<T> for Refusal {
    fn from(e: T) -> Refusal {
        Refusal(e.into())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        #[derive(Serialize)]
        struct Body {
            error: String,
        }
        let Failure { status, message, retry_after_s, .. } = self.0;
        let mut response = (status, Json(Body { error: message })).into_response();
        if let Some(seconds) = retry_after_s {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

type Told = std::result::Result<Response, Refusal>;
type Asking = std::result::Result<Who, Failure>;
type Body = std::result::Result<Bytes, BytesRejection>;

#[derive(Serialize)]
struct Server {
    name: &'static str,
    version: &'static str,
    extensions: [&'static str; 0],
}

async fn server() -> Told {
    Ok(json_of(&Server { name: "statera", version: env!("CARGO_PKG_VERSION"), extensions: [] })?)
}

#[derive(Serialize)]
struct Live {
    live: bool,
}

async fn live() -> Told {
    Ok(json_of(&Live { live: true })?)
}

#[derive(Serialize)]
struct Ready {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    ready: bool,
}

async fn ready(State(app): State<Shared>) -> Told {
    if !app.models.status().is_ready() {
        return Err(Error::busy("not every model can answer yet").into());
    }
    // Scoring alone needs no store, but whoever sends work here means the server as a whole.
    let shared = app.clone();
    if !blocking(move || Ok(shared.store.is_ready())).await? {
        return Err(Error::busy("the store does not answer").into());
    }
    Ok(json_of(&Ready { name: None, ready: true })?)
}

async fn model(State(app): State<Shared>, who: Asking, Path(model): Path<String>) -> Told {
    described(&app, who?, &model, None)
}

async fn version(State(app): State<Shared>, who: Asking, Path((model, version)): Path<(String, String)>) -> Told {
    described(&app, who?, &model, Some(&version))
}

fn described(app: &Shared, who: Who, model: &str, version: Option<&str>) -> Told {
    sees(&who)?;
    let loaded = app.models.version(model, version)?;
    let versions = app.models.versions(model)?;
    Ok(json_of(&answer::described(&loaded, &versions))?)
}

async fn model_ready(State(app): State<Shared>, who: Asking, Path(model): Path<String>) -> Told {
    is_ready(&app, who?, &model, None)
}

async fn version_ready(State(app): State<Shared>, who: Asking, Path((model, version)): Path<(String, String)>) -> Told {
    is_ready(&app, who?, &model, Some(&version))
}

fn is_ready(app: &Shared, who: Who, model: &str, version: Option<&str>) -> Told {
    sees(&who)?;
    let loaded = app.models.version(model, version)?;
    Ok(json_of(&Ready { name: Some(loaded.name.clone()), ready: true })?)
}

/// Whoever has a role may see which models there are.
fn sees(who: &Who) -> Result<()> {
    who.needs(&[Role::Viewer, Role::Scorer, Role::Maker, Role::Checker, Role::Admin])
}

async fn infer(State(app): State<Shared>, who: Asking, way: Way, Path(model): Path<String>, body: Body) -> Told {
    inferred(&app, who?, way, (&model, None), body).await
}

async fn infer_version(
    State(app): State<Shared>,
    who: Asking,
    way: Way,
    Path((model, version)): Path<(String, String)>,
    body: Body,
) -> Told {
    inferred(&app, who?, way, (&model, Some(&version)), body).await
}

async fn inferred(app: &Shared, who: Who, way: Way, (model, version): (&str, Option<&str>), body: Body) -> Told {
    who.needs(&[Role::Scorer])?;
    let body = whole(body)?;
    let model = app.models.version(model, version)?;
    let started = Instant::now();
    let of_body = model.clone();
    let (id, asked, batch) = read_body(body, move |body| {
        let request = Request::parse(&body)?;
        request.check_outputs(&answer::outputs(&of_body))?;
        let (id, asked) = (request.id.clone(), request.outputs.clone());
        Ok((id, asked, request.batch(of_body.columns.inputs())?))
    })
    .await?;
    way.timings.since(Stage::Parse, started);
    let (tell, told) = oneshot::channel();
    let (of_model, deadline) = (model.clone(), way.deadline);
    let done = Box::new(move |answers: Result<Answers>| {
        if let Ok(answers) = &answers {
            way.scored(&answers.stages);
        }
        drop(tell.send(answers.and_then(|answers| answer::encode(&of_model, id.as_deref(), &asked, &answers))));
    });
    let lane = if who.urgent { Lane::Urgent } else { Lane::Plain };
    app.compute.submit(Job { model, rows: Rows::Columns(batch), wanted: Wanted::Scores, lane, deadline, done })?;
    let encoded = told.await.map_err(|_| lost())??;
    Ok(json_response(encoded))
}
