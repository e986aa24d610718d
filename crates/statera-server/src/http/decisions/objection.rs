//! `POST /api/v1/decisions/{id}/objection`: the customer says that the input was wrong. The corrected input is decided by
//! what answers today, in one record that is linked to the decision it is about.

use super::answer::Facts;
use super::ask::{Pending, answered, before_or, decide};
use super::overriding::{check_note, subject_of};
use super::{blocking, following_id, parsed, readable_decision, request_name, row_of, whole};
use crate::app::Shared;
use crate::compute::{Explain, Rows, Wanted};
use crate::http::failure::Failure;
use crate::http::timings::Way;
use crate::who::Who;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use statera::reasons::Language;
use statera_core::{Error, Result};
use statera_store::people::Role;
use statera_store::record::{Id, RecordKind};
use std::fmt;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    #[serde(default)]
    request_id: Option<String>,
    /// Of a request of many, from 0.
    #[serde(default)]
    row: usize,
    /// Columns whose cells are to be others; the rest of the row stays.
    #[serde(default)]
    input: Pairs,
    #[serde(default)]
    note: String,
    #[serde(default)]
    language: Option<Language>,
}

/// The keys and values of an object, in their order.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Pairs(pub Vec<(String, String)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Pairs;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of columns")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some((key, value)) = map.next_entry::<String, Box<RawValue>>()? {
                    pairs.push((key, value.get().to_string()));
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

/// Decides about the corrected input.
pub(super) async fn post(
    State(app): State<Shared>,
    who: Who,
    way: Way,
    Path(of): Path<String>,
    body: std::result::Result<Bytes, BytesRejection>,
) -> std::result::Result<Response, Failure> {
    who.needs(&[Role::Scorer, Role::Checker])?;
    let of: Id = of.parse()?;
    let body = whole(body)?;
    let asked: Body = parsed(&body)?;
    check_note(&asked.note, false)?;
    let request = request_name(&who, asked.request_id.as_deref(), &format!("objection {of}"), &body)?;
    let (shared, asker, named) = (app.clone(), who.clone(), request.clone());
    let pending = blocking(move || {
        let record = readable_decision(&*shared.store, &asker, of)?;
        let facts = Facts::read(&record)?;
        let row = row_of(&record, asked.row)?;
        if row.windows.is_some() {
            return Err(Error::conflict(
                "a transaction cannot be decided anew, because it has happened; allowed: an override by a person",
            ));
        }
        let subject = subject_of(&record, &row.subject);
        // As the subject's next request would be: by the same share of a challenger.
        let chosen = shared.models.route(&facts.model, &subject)?;
        let is_read = |column: &str| {
            chosen.model.asked(Wanted::Ruled(Explain::None)).inputs().iter().any(|input| input.name == column)
        };
        let body = Bytes::from(corrected(row.input.get(), asked.input, is_read)?);
        Ok(Pending {
            id: following_id(of),
            kind: RecordKind::Objection,
            of: Some(of),
            actor: asker.actor,
            request,
            chosen,
            subjects: vec![subject],
            rows: std::iter::once(0..body.len()).collect(),
            body,
            explain: if facts.explain == Explain::None { Explain::Adverse } else { facts.explain },
            language: asked.language.unwrap_or(facts.language),
            objection: Some((asked.row, asked.note)),
            counted: None,
            ticket: None,
            way,
        })
    })
    .await;
    let pending = match pending {
        Ok(pending) => pending,
        Err(failure) => return answered(before_or(&app, named, failure).await?).await,
    };
    let rows = Rows::Json { body: pending.body.clone(), rows: pending.rows.clone() };
    let told = match decide(&app, pending, rows, who.urgent).await {
        Err(failure) if failure.status != StatusCode::SERVICE_UNAVAILABLE => before_or(&app, named, failure).await?,
        told => told?,
    };
    answered(told).await
}

/// The row with the corrections in it. A column that the row does not have may be added where it is read today: models and
/// rules may have come to read it since.
fn corrected(input: &str, corrections: Pairs, is_read: impl Fn(&str) -> bool) -> Result<Vec<u8>> {
    let Pairs(mut cells) =
        serde_json::from_str(input).map_err(|e| Error::damaged(format!("the recorded input: {e}")))?;
    for (column, value) in corrections.0 {
        match cells.iter_mut().find(|(name, _)| *name == column) {
            Some((_, cell)) => *cell = value,
            None if is_read(&column) => cells.push((column, value)),
            None => {
                let known: Vec<&str> = cells.iter().map(|(name, _)| name.as_str()).collect();
                let shown: String = column.chars().take(64).collect();
                return Err(Error::request(format!(
                    "input: the decision's row has no column «{shown}»; it has {}",
                    known.join(", ")
                )));
            }
        }
    }
    let mut out = Vec::with_capacity(input.len() + 64);
    for (i, (column, value)) in cells.iter().enumerate() {
        out.push(if i == 0 { b'{' } else { b',' });
        super::answer::write(&mut out, column)?;
        out.push(b':');
        out.extend_from_slice(value.as_bytes());
    }
    if cells.is_empty() {
        out.push(b'{');
    }
    out.push(b'}');
    Ok(out)
}

#[cfg(test)]
mod tests {
    use crate::testing::{DECLINED, Server, other_program};
    use crate::who::Who;
    use axum::http::StatusCode;
    use serde_json::json;
    use statera_store::people::Role;

    #[test]
    fn nobody_adds_to_a_decision_that_they_may_not_read() {
        let server = Server::new(Default::default());
        let id = server.decide(DECLINED)["id"].as_str().expect("an id").to_string();
        let objection = format!("/api/v1/decisions/{id}/objection");
        let outcome = json!({"decision": id, "outcome": "paid"}).to_string();
        let both = [(objection.as_str(), "{}"), ("/api/v1/outcomes", outcome.as_str())];
        for (path, body) in both {
            let (status, told) = server.json(&other_program(), "POST", path, body);
            assert_eq!(status, StatusCode::NOT_FOUND, "{told}");
            // The same words as of a decision that is not there.
            assert_eq!(told["message"], json!(format!("there is no record {id}")));
        }
        // A key that may look may report, too.
        let reporting = Who { roles: [Role::Scorer, Role::Viewer].into(), ..other_program() };
        for (path, body) in both {
            assert_eq!(server.json(&reporting, "POST", path, body).0, StatusCode::OK);
        }
    }
}
