//! `POST /api/v1/decisions`: scored in the pool, committed by the store's writer, then answered.
//!
//! The pool's callback writes the answer and hands the record to the writer, whose callback wakes the request: it sleeps once.

use super::answer::{self, Counts, Facts};
use super::request::Asked;
use super::{blocking, json_response, lost, now_us, read_body, recorded_or, request_name, whole};
use crate::app::Shared;
use crate::compute::{Answers, Explain, Job, Lane, Rows, Wake, Wanted};
use crate::http::alerts;
use crate::http::failure::Failure;
use crate::http::timings::{Stage, Way};
use crate::live::Ticket;
use crate::models::Chosen;
use crate::who::Who;
use arrow_array::RecordBatch;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::StatusCode;
use axum::response::Response;
use statera::reasons::Language;
use statera_core::{Error, Result};
use statera_store::act::Actor;
use statera_store::alert::AlertChange;
use statera_store::people::Role;
use statera_store::record::{Id, NewRecord, Part, RecordKind, Recorded, RequestName, StoredRecord};
use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use std::time::Instant;
use tokio::sync::oneshot;
use tokio::task::yield_now;

/// Decides about rows.
pub(super) async fn post(
    State(app): State<Shared>,
    who: Who,
    way: Way,
    body: std::result::Result<Bytes, BytesRejection>,
) -> std::result::Result<Response, Failure> {
    who.needs(&[Role::Scorer])?;
    let body = whole(body)?;
    let (explain, max_rows) = (app.settings.compute.explain, app.settings.compute.max_rows);
    let asked = read_body(body, move |body| Asked::parse(body, explain, max_rows)).await?;
    let request = request_name(&who, asked.request_id.as_deref(), "decisions", &asked.body)?;
    let id = Id::new(now_us());
    let named = request.clone();
    let routed = match asked.key() {
        Some(key) => app.models.route(&asked.model, key),
        None => app.models.route(&asked.model, &id.to_string()),
    };
    let chosen = match routed {
        Ok(chosen) => chosen,
        Err(e) => return answered(before_or(&app, named, e.into()).await?).await,
    };
    let rows = asked.pool_rows();
    let pending = Pending {
        id,
        kind: RecordKind::Decision,
        of: None,
        actor: who.actor,
        request,
        subjects: asked.subjects,
        body: asked.body,
        rows: asked.rows,
        explain: asked.explain,
        language: asked.language,
        objection: None,
        counted: None,
        ticket: None,
        chosen,
        way,
    };
    let told = match decide(&app, pending, rows, who.urgent).await {
        // Who is too busy now may be asked again, and needs no further work.
        Err(failure) if failure.status != StatusCode::SERVICE_UNAVAILABLE => before_or(&app, named, failure).await?,
        told => told?,
    };
    answered(told).await
}

/// The answer of before in the place of a failure: a model that was stopped or changed since does not take it back.
pub(super) async fn before_or(
    app: &Shared,
    request: Option<RequestName>,
    failure: Failure,
) -> std::result::Result<Told, Failure> {
    recorded_or(app, request, failure).await.map(|record| Told::Before(Box::new(record)))
}

/// A decision that is on its way.
pub(super) struct Pending {
    pub id: Id,
    pub kind: RecordKind,
    pub of: Option<Id>,
    pub actor: Actor,
    pub request: Option<RequestName>,
    /// By row.
    pub subjects: Vec<String>,
    pub body: Bytes,
    /// Where each row lies in the body.
    pub rows: Vec<Range<usize>>,
    pub explain: Explain,
    pub language: Language,
    /// The row of the decision before that it is about, and what was said.
    pub objection: Option<(usize, String)>,
    /// Of a transaction, what the state has counted.
    pub counted: Option<Counted>,
    /// Of a transaction: tells the state whether it was recorded.
    pub ticket: Option<Ticket>,
    pub chosen: Chosen,
    /// Where the time goes.
    pub way: Way,
}

/// A transaction of one row as the scorer sees it.
pub(super) struct Counted {
    /// Its place in the order of the state.
    pub number: u64,
    /// What the state has counted, as an object of JSON.
    pub windows: String,
    /// What the transaction has, and that.
    pub batch: RecordBatch,
    /// What it has that nobody reads.
    pub ignored: BTreeSet<String>,
}

/// What came of it.
pub(crate) enum Told {
    /// On disk; the answer.
    New(Vec<u8>),
    /// The request was recorded before.
    Before(Box<StoredRecord>),
}

/// Scores, records and waits until it is on disk.
pub(super) async fn decide(
    app: &Shared,
    pending: Pending,
    rows: Rows,
    is_urgent: bool,
) -> std::result::Result<Told, Failure> {
    let (wake, told) = hand(app, pending, rows, is_urgent)?;
    // What other connections have sent meanwhile is read first, and scored together with this.
    yield_now().await;
    drop(wake);
    told.await.map_err(|_| lost())?.map_err(Failure::from)
}

/// Hands a decision to the pool; nobody is woken before what is given back is dropped.
pub(super) fn hand(
    app: &Shared,
    pending: Pending,
    rows: Rows,
    is_urgent: bool,
) -> Result<(Wake<'_>, oneshot::Receiver<Result<Told>>)> {
    let (tell, told) = oneshot::channel();
    let lane = if is_urgent { Lane::Urgent } else { Lane::Plain };
    let (model, wanted) = (pending.chosen.model.clone(), Wanted::Ruled(pending.explain));
    let (of_app, deadline) = (app.clone(), pending.way.deadline);
    let done = Box::new(move |answers| match answers {
        Err(e) => drop(tell.send(Err(e))),
        Ok(answers) => pending.record(&of_app, answers, tell),
    });
    let wake = app.compute.enqueue(Job { model, rows, wanted, lane, deadline, done })?;
    Ok((wake, told))
}

/// The answer as the client gets it.
pub(super) async fn answered(told: Told) -> std::result::Result<Response, Failure> {
    match told {
        Told::New(answer) => Ok(json_response(answer)),
        Told::Before(record) => Ok(json_response(blocking(move || answer::again(&record)).await?)),
    }
}

pub(crate) type Tell = oneshot::Sender<Result<Told>>;

impl Pending {
    /// On a thread of the pool: writes answer and record, hands a copy of the rows to the shadow, and the record to the writer.
    fn record(mut self, app: &Shared, mut answers: Answers, tell: Tell) {
        if let Some(counted) = &self.counted {
            answers.ignored.clone_from(&counted.ignored);
        }
        let ticket = self.ticket.take();
        let alert = self.suspicion(app, &answers);
        self.shadow(app, &answers);
        self.way.scored(&answers.stages);
        let timings = self.way.timings.clone();
        // Not the server itself: the writer's thread must not be the one that lets go of it last.
        let (meters, courier, chosen) = (app.metrics.decisions.clone(), app.courier.clone(), self.chosen.clone());
        let counts = answers.decided.as_deref().map(Counts::of);
        let (record, answer) = match self.written(answers) {
            Ok((record, answer)) => (NewRecord { alert, ..record }, answer),
            Err(e) => return drop(tell.send(Err(e))),
        };
        let (is_suspicious, is_counted) = (record.alert.is_some(), ticket.is_some());
        let handed = Instant::now();
        let done = Box::new(move |recorded: Result<Recorded>| {
            timings.since(Stage::Commit, handed);
            // Dropped in any other case, it has the state rebuilt.
            if let (Some(ticket), Ok(Recorded::New { .. })) = (ticket, &recorded) {
                ticket.recorded();
            }
            if let (Ok(Recorded::New { .. }), Some(counts)) = (&recorded, counts) {
                meters.decided(&chosen, counts);
            }
            if is_suspicious && matches!(recorded, Ok(Recorded::New { .. })) {
                meters.suspected(&chosen);
            }
            let told = recorded.map(|recorded| match recorded {
                Recorded::New { .. } => Told::New(answer),
                Recorded::Before(record) => Told::Before(record),
            });
            courier.tell(tell, told);
        });
        // A full queue drops the callback, and with it the request learns that nothing was written.
        let submitted =
            if is_counted { app.store.submit_counted(record, done) } else { app.store.submit(record, done) };
        if let Err(e) = submitted {
            tracing::debug!(error = %e, "a decision was not recorded, and is not answered");
        }
    }

    /// What makes a transaction suspicious.
    fn suspicion(&self, app: &Shared, answers: &Answers) -> Option<AlertChange> {
        self.counted.as_ref()?;
        let (place, subject) = self.rows.first().zip(self.subjects.first())?;
        let row = (&self.body[place.clone()], subject.as_str(), self.id);
        alerts::suspicion(alerts::desk(app), &self.chosen.model, answers, row).map(AlertChange::Suspect)
    }

    /// The record and the answer.
    fn written(self, answers: Answers) -> Result<(NewRecord, Vec<u8>)> {
        let model = &self.chosen.model;
        let counted = self.counted.as_ref();
        let state = counted.map(|counted| counted.number);
        let facts = Facts { state, ..Facts::of(&self.chosen, self.explain, self.language, &answers) };
        let mut contributions = answers.contributions.iter().peekable();
        // All rows' answers in one buffer; the parts are of the subjects, in the order in which they first appear.
        let mut told = Vec::with_capacity(256 * self.rows.len());
        let mut places = Vec::with_capacity(self.rows.len());
        let mut parts: Vec<Part> = Vec::new();
        let mut of_subject: HashMap<&str, usize> = HashMap::new();
        for (row, (place, subject)) in self.rows.iter().zip(&self.subjects).enumerate() {
            let start = told.len();
            answer::write_row(&mut told, model, self.language, &answers, row)?;
            places.push(start..told.len());
            let part = *of_subject.entry(subject).or_insert_with(|| {
                parts.push(Part { subject: subject.clone(), plain: b"{\"rows\":[".to_vec() });
                parts.len() - 1
            });
            let plain = &mut parts[part].plain;
            if plain.last() == Some(&b'}') {
                plain.push(b',');
            }
            let own = contributions.next_if(|(at, _)| *at == row).map(|(_, values)| values);
            let texts = (&self.body[place.clone()], counted.map(|c| c.windows.as_str()), &told[start..]);
            answer::write_doc(plain, (row, subject), texts, &answers, own)?;
        }
        for (i, part) in parts.iter_mut().enumerate() {
            part.plain.push(b']');
            if i == 0 && !answers.ignored.is_empty() {
                part.plain.extend_from_slice(b",\"ignored_columns\":");
                answer::write(&mut part.plain, &answers.ignored)?;
            }
            if let (0, Some((of_row, note))) = (i, &self.objection) {
                part.plain.extend_from_slice(b",\"of_row\":");
                answer::write(&mut part.plain, of_row)?;
                part.plain.extend_from_slice(b",\"note\":");
                answer::write(&mut part.plain, note)?;
            }
            part.plain.push(b'}');
        }
        let rows = places.into_iter().map(|place| &told[place]);
        let answer = answer::encode((self.id, self.of), &facts, rows, &answers.ignored, &[])?;
        let facts = serde_json::to_string(&facts).map_err(|e| Error::damaged(format!("facts: {e}")))?;
        let Pending { id, kind, of, request, actor, .. } = self;
        Ok((NewRecord { id, kind, of, request, actor, facts, parts, alert: None }, answer))
    }

    /// Has a copy of the rows scored by the shadow challenger when nothing else waits; compares, and keeps nothing else.
    fn shadow(&self, app: &Shared, answers: &Answers) {
        let Some((model, tally)) = self.chosen.shadow.clone() else { return };
        let n_rows = self.rows.len();
        let (of_champion, decided) = (answers.probabilities.clone(), answers.decided.clone());
        let compared = tally.clone();
        let done = Box::new(move |answers: Result<Answers>| {
            let Ok(answers) = answers else { return compared.add_failed(n_rows) };
            let k = answers.n_outputs.max(1);
            let pairs = answers.probabilities.chunks(k).zip(of_champion.chunks(k));
            for (row, (own, other)) in pairs.enumerate() {
                let difference = own.iter().zip(other).fold(0f64, |most, (a, b)| most.max((a - b).abs()));
                let decision = |all: &Option<Vec<statera::decision::Decided>>| all.as_ref().map(|d| d[row].decision);
                compared.add_scored(decision(&answers.decided) == decision(&decided), difference);
            }
        });
        let rows = match &self.counted {
            Some(counted) => Rows::Columns(counted.batch.clone()),
            None => Rows::Json { body: self.body.clone(), rows: self.rows.clone() },
        };
        let wanted = Wanted::Decisions(Explain::None);
        let job = Job { model, rows, wanted, lane: Lane::Shadow, deadline: None, done };
        if app.compute.submit(job).is_err() {
            tally.add_dropped(n_rows);
        }
    }
}
