//! `statera registry`: through a server's interface, never on its store.
//!
//! The rule of several persons, the names in the ledger and the change of what answers at once hold in the server. A command
//! that opened the store itself would be a second writer beside it, and everything would have been done by «system»: who has
//! the files could then approve for two. So a person signs in here as on the pages, and a key may what keys may.

pub mod arguments;
mod overrides;
mod show;

use super::door::{Door, part, password, told};
use crate::args::Entrance;
use crate::console::{Console, counted};
use arguments::{ChangeKind, Registry, RegistryVerb as Verb};
use serde_json::{Value, json};
use statera::bundle::Bundle;
use statera_core::Error;

pub fn run(args: &Registry, console: &Console) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        if let Verb::Setup { link, name } = &args.verb {
            return setup(&args.entrance, link, name, console).await;
        }
        let door = Door::open(&args.entrance).await?;
        let done = act(&door, &args.verb, console).await;
        // A session that stays open would be one more to be stolen.
        door.close().await;
        done
    })
}

async fn setup(args: &Entrance, link: &str, name: &str, console: &Console) -> anyhow::Result<()> {
    let token = link.split_once("token=").map(|(_, token)| token.split('&').next().unwrap_or(token));
    let token = token.ok_or_else(|| Error::request("the link has no token; allowed: as `statera serve` printed it"))?;
    let server = link.split_once("/setup").map_or(args.server.as_str(), |(server, _)| server);
    let file = args.password_file.as_deref().ok_or_else(|| Error::request("--password-file is missing"))?;
    let door = Door::of_nobody(server, args.ca_file.as_deref())?;
    let password = password(file)?;
    door.post("/api/v1/setup", json!({ "token": token, "name": name, "password": *password })).await?;
    told(console, &json!({ "person": name }), &format!("{name} is the first admin"))
}

async fn act(door: &Door, verb: &Verb, console: &Console) -> anyhow::Result<()> {
    match verb {
        Verb::Setup { .. } => Ok(()),
        Verb::List => show::models(&door.get("/api/v1/models").await?, console),
        Verb::Proposals { open } => {
            let path = if *open { "/api/v1/proposals?state=open" } else { "/api/v1/proposals" };
            show::proposals(&door.get(path).await?, console)
        }
        Verb::People => show::people(&door.get("/api/v1/people").await?, console),
        Verb::Keys => show::keys(&door.get("/api/v1/keys").await?, console),
        Verb::Overrides { days, model } => {
            let model = model.as_deref().map_or_else(String::new, |model| format!("&model={}", part(model)));
            overrides::print(&door.get(&format!("/api/v1/monitoring/overrides?days={days}{model}")).await?, console)
        }
        Verb::AddModel { name, tier } => {
            let answer = door.post("/api/v1/models", json!({ "name": name, "tier": tier })).await?;
            told(console, &answer, &format!("model {name} is begun, in tier {tier}"))
        }
        Verb::AddVersion { model, bundle, note } => {
            let bytes = Bundle::packed(bundle)?;
            let answer = door.upload(&format!("/api/v1/models/{}/versions", part(model)), note, bytes).await?;
            told(console, &answer, &format!("{} is version {} of {model}", bundle.display(), answer["version"]))
        }
        Verb::AddKey { label, roles, rate, urgent, days } => {
            let body = json!({
                "label": label, "roles": roles, "rate_per_second": rate, "urgent": urgent, "days": days
            });
            let answer = door.post("/api/v1/keys", body).await?;
            // The key alone on standard output: it goes to a file as it is.
            console.note("the key is shown this once; keep it in a file that only its program can read");
            told(console, &answer, answer["key"].as_str().unwrap_or_default())
        }
        Verb::RevokeKey { prefix } => {
            let answer = door.delete(&format!("/api/v1/keys/{}", part(prefix))).await?;
            told(console, &answer, &format!("key {prefix} is revoked"))
        }
        Verb::AddPerson { name, roles, new_password_file } => {
            let secret = new_password_file.as_deref().map(password).transpose()?;
            let secret = secret.as_ref().map(|s| s.as_str());
            let body = json!({ "name": name, "roles": roles, "password": secret });
            let answer = door.post("/api/v1/people", body).await?;
            told(console, &answer, &format!("{name} may sign in as {}", roles.join(", ")))
        }
        other => govern(door, other, console).await,
    }
}

/// What changes what answers.
async fn govern(door: &Door, verb: &Verb, console: &Console) -> anyhow::Result<()> {
    match verb {
        Verb::Propose { model, change, version, shadow, per_mille, note } => {
            let change = change_of(*change, *version, *shadow, *per_mille)?;
            let path = format!("/api/v1/models/{}/proposals", part(model));
            let answer = door.post(&path, json!({ "change": change, "note": note })).await?;
            let id = answer["proposal"].as_str().unwrap_or_default();
            told(console, &answer, &format!("proposed as {id}; another person approves it"))
        }
        Verb::Approve { id, note } => {
            let answer = door.post(&format!("/api/v1/proposals/{}/approve", part(id)), json!({ "note": note })).await?;
            let is_made = answer["applied"] == true;
            told(console, &answer, if is_made { "approved; the change is made" } else { "approved; others must too" })
        }
        Verb::Reject { id, note } => {
            let answer = door.post(&format!("/api/v1/proposals/{}/reject", part(id)), json!({ "note": note })).await?;
            told(console, &answer, "rejected")
        }
        Verb::Rollback { model, note } => {
            let path = format!("/api/v1/models/{}/rollback", part(model));
            let answer = door.post(&path, json!({ "note": note })).await?;
            told(console, &answer, &format!("the champion before answers for {model} again"))
        }
        Verb::Stop { model, note } => {
            let answer = door.post(&format!("/api/v1/models/{}/stop", part(model)), json!({ "note": note })).await?;
            told(console, &answer, &format!("{model} is stopped: its backup answers, or people decide if it has none"))
        }
        Verb::Tier { tier, approvals } => {
            let answer = door.put(&format!("/api/v1/tiers/{tier}"), json!({ "approvals": approvals })).await?;
            let persons = counted(usize::from(*approvals), "other person", "other persons");
            told(console, &answer, &format!("changes of models in tier {tier} need the approval of {persons}"))
        }
        _ => Ok(()),
    }
}

fn change_of(kind: ChangeKind, version: Option<u32>, shadow: bool, per_mille: u16) -> anyhow::Result<Value> {
    let needed = || version.ok_or_else(|| Error::request("--version is missing: which one"));
    Ok(match kind {
        ChangeKind::Champion => json!({ "change": "champion", "version": needed()? }),
        ChangeKind::Backup => json!({ "change": "backup", "version": needed()? }),
        ChangeKind::Resume => json!({ "change": "resume" }),
        ChangeKind::NoChallenger => json!({ "change": "challenger", "challenger": null }),
        ChangeKind::Challenger => {
            let challenger = json!({ "version": needed()?, "shadow": shadow, "per_mille": per_mille });
            json!({ "change": "challenger", "challenger": challenger })
        }
    })
}
