//! Asks flow control on behalf of a request: after identification, and before the body is read.

use super::gate::Class;
use super::{Ask, Asker, Permit, Reason, Refusal};
use crate::app::Shared;
use crate::http::failure::Failure;
use crate::http::limits::Limits;
use crate::http::timings::{Stage, Timings};
use crate::who::{Peer, Who};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use statera_core::{Error, Result};
use statera_store::act::Actor;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Instant;

/// The header by which a request says that it matters less than its key: `everyday` or `batch`.
pub const PRIORITY: &str = "x-priority";

/// Lets a request in, maybe after waiting; its place is kept until the permit is dropped.
///
/// # Errors
/// Why it is not let in, as its client reads it.
pub async fn admit(app: &Shared, parts: &Parts) -> std::result::Result<Permit, Failure> {
    let who = parts.extensions.get::<Who>();
    let limits = parts.extensions.get::<Limits>().copied().unwrap_or_else(|| Limits::of(&app.settings.flow));
    let ask = ask(app, parts, who, &limits)?;
    let start = Instant::now();
    let permit = app.flow.admit(ask).await.map_err(|refusal| told(refusal, &ask))?;
    if let Some(timings) = parts.extensions.get::<Timings>() {
        timings.since(Stage::Queue, start);
    }
    Ok(permit)
}

fn ask<'a>(app: &Shared, parts: &'a Parts, who: Option<&'a Who>, limits: &Limits) -> Result<Ask<'a>> {
    let by = match who.map(|who| &who.actor) {
        Some(Actor::Key(prefix)) => Asker::Key(prefix),
        Some(Actor::Person(name)) => Asker::Person(name),
        Some(Actor::System) | None => Asker::Address(address(app, parts)),
    };
    // What is uploaded goes to a file piece by piece: its length is not what it takes in memory.
    let body_bytes = if limits.is_upload { 0 } else { limits.body_bytes };
    let class = class(&parts.headers, who.is_some_and(|who| who.urgent))?;
    let class = if body_bytes > app.settings.flow.batch_bytes { Class::Batch } else { class };
    let rate_per_second = who.map_or(0, |who| who.rate_per_second);
    Ok(Ask { by, rate_per_second, class, body_bytes, wait_until: limits.wait_until })
}

/// Where the request comes from; the machine itself where no connection is known.
fn address(app: &Shared, parts: &Parts) -> IpAddr {
    let origin = app.doorkeeper.proxies.origin(parts.extensions.get::<Peer>(), &parts.headers);
    origin.address.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
}

/// How much a request matters: what its key says, or less.
fn class(headers: &HeaderMap, is_urgent: bool) -> Result<Class> {
    let own = if is_urgent { Class::Urgent } else { Class::Everyday };
    let Some(said) = headers.get(PRIORITY) else { return Ok(own) };
    let class = Class::ALL.into_iter().find(|c| c.name().as_bytes() == said.as_bytes());
    let class = class.ok_or_else(|| {
        let names = Class::ALL.map(Class::name).join(", ");
        let said = String::from_utf8_lossy(said.as_bytes());
        Error::request(format!("header {PRIORITY}: «{said}»; allowed: {names}"))
    })?;
    Ok(class.max(own))
}

/// What who is refused reads.
fn told(refusal: Refusal, ask: &Ask<'_>) -> Failure {
    let full = StatusCode::SERVICE_UNAVAILABLE;
    let (status, message) = match refusal.reason {
        Reason::KeyRate => (StatusCode::TOO_MANY_REQUESTS, over_target(ask)),
        Reason::TotalRate => (full, "the server has all the requests that its target rate allows".into()),
        Reason::QueueFull => (full, "the server is full, and so is its queue".into()),
        Reason::GaveWay => {
            (full, "the server is full, and the place in its queue went to a more urgent request".into())
        }
        Reason::WaitedTooLong => (full, "the server is full, and no place became free in time".into()),
    };
    let seconds = refusal.retry_after.as_secs() + u64::from(refusal.retry_after.subsec_nanos() > 0);
    Failure::new(status, message).retry_after(u32::try_from(seconds).unwrap_or(u32::MAX).max(1))
}

fn over_target(ask: &Ask<'_>) -> String {
    let whose = match ask.by {
        Asker::Key(_) => "this key",
        Asker::Person(_) => "this person",
        Asker::Address(_) => "this address, without a key,",
    };
    match ask.rate_per_second {
        0 => format!("{whose} asks for more than the requests a second that the server aims at"),
        rate => format!("{whose} asks for more than its {rate} requests a second"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_may_say_that_it_matters_less_and_not_more() {
        let check = |said: &str, is_urgent, expected| {
            let mut headers = HeaderMap::new();
            headers.insert(PRIORITY, said.parse().expect("a header"));
            assert_eq!(class(&headers, is_urgent).map_err(|e| e.to_string()), expected);
        };
        check("batch", true, Ok(Class::Batch));
        check("everyday", true, Ok(Class::Everyday));
        check("urgent", true, Ok(Class::Urgent));
        check("urgent", false, Ok(Class::Everyday));
        check("now", true, Err("header x-priority: «now»; allowed: urgent, everyday, batch".into()));
        assert_eq!(class(&HeaderMap::new(), true), Ok(Class::Urgent));
    }
}
