//! `statera ledger`.

use super::arguments::{Erase, Ledger, LedgerCommand, Retain};
use super::{options, time};
use crate::console::{Console, counted};
use serde_json::json;
use statera_core::{Error, ErrorKind};
use statera_store::act::Actor;
use statera_store::retention::{self, Reach};
use statera_store::{Store, now_us, open_existing};
use std::io::BufRead;

pub fn run(args: &Ledger, console: &Console) -> anyhow::Result<()> {
    match &args.command {
        LedgerCommand::Erase(args) => erase(args, console),
        LedgerCommand::Retain(args) => retain(args, console),
    }
}

fn erase(args: &Erase, console: &Console) -> anyhow::Result<()> {
    let store = open_existing(&options(&args.place)?)?;
    let actor = actor(&*store, args.by.as_deref())?;
    let (mut n_subjects, mut n_parts, mut n_unknown) = (0, 0, 0);
    let mut one = |subject: &str, is_only: bool| -> anyhow::Result<()> {
        match store.erase(&actor, subject, &args.why) {
            Ok(n) => (n_subjects, n_parts) = (n_subjects + 1, n_parts + n),
            // One of many that is not there does not stop the others.
            Err(e) if e.kind() == ErrorKind::NotFound && !is_only => n_unknown += 1,
            Err(e) => return Err(e.into()),
        }
        Ok(())
    };
    if args.subject == "-" {
        for line in std::io::stdin().lock().lines() {
            let line = line.map_err(|e| Error::io(format!("standard input: {e}")))?;
            if !line.trim().is_empty() {
                one(line.trim(), false)?;
            }
        }
    } else {
        one(&args.subject, true)?;
    }
    if console.json {
        return console.print_json(&json!({ "subjects": n_subjects, "parts": n_parts, "unknown": n_unknown }));
    }
    console.line(format!(
        "{} erased: {} can never be read again here. Backups that are older still hold the keys; delete them in their turn.",
        counted(n_subjects, "subject", "subjects"),
        counted(n_parts as usize, "payload", "payloads")
    ));
    if n_unknown > 0 {
        console.line(format!("Of {} nothing was kept.", counted(n_unknown, "other", "others")));
    }
    Ok(())
}

fn retain(args: &Retain, console: &Console) -> anyhow::Result<()> {
    let age_us = retention::age_us(&args.older_than).map_err(|e| e.at(format!("--older-than {}", args.older_than)))?;
    let store = open_existing(&options(&args.place)?)?;
    let actor = actor(&*store, args.by.as_deref())?;
    // A server's own erasure by age is not done beside it.
    let _claim = store.claim(retention::CLAIM)?;
    let now_us = now_us();
    let before_us = if args.by.is_some() || args.clock_is_right {
        retention::before_us(&*store, age_us, now_us)?
    } else {
        unless_in_doubt(retention::reach(&*store, age_us, now_us)?, now_us)?
    };
    let n = store.retain(&actor, before_us, &args.why)?;
    if console.json {
        return console.print_json(&json!({ "before": time(before_us), "keys": n }));
    }
    console.line(format!("{} from before {} destroyed.", counted(n as usize, "key", "keys"), time(before_us)));
    Ok(())
}

/// The time before which everything is erased; an error where a wrong clock may be why there is so much.
fn unless_in_doubt(reach: Reach, now_us: i64) -> anyhow::Result<i64> {
    let told = match reach {
        Reach::Whole { before_us } => return Ok(before_us),
        Reach::Part { before_us, wanted_us } => format!(
            "everything from before {} would be erased, and what is sure for today is {}: it goes at most 60 days further than the last \
             time, and once a day",
            time(wanted_us),
            time(before_us)
        ),
        Reach::Nowhere { latest_us } => format!(
            "the clock says {}, more than 35 days after the ledger's last row ({})",
            time(now_us),
            time(latest_us)
        ),
    };
    let allowed =
        "a clock that is ahead would erase what is not old; if it is right, say so by --clock-is-right or --by PERSON";
    Err(Error::request(format!("{told}; {allowed}")).into())
}

/// Who does it: a person whom the store knows and has not shut out, or the system.
fn actor(store: &dyn Store, by: Option<&str>) -> anyhow::Result<Actor> {
    let Some(name) = by else { return Ok(Actor::System) };
    let person = store.person(name).map_err(|e| e.at(format!("--by {name}")))?;
    if person.disabled {
        return Err(Error::denied(format!("--by {name}: the account is disabled")).into());
    }
    Ok(Actor::Person(person.name))
}
