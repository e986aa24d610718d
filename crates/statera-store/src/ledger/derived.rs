//! What follows from the acts in the ledger: they are all done again, from nothing, and what comes of it is compared with the
//! tables.

use crate::act::{Act, Actor};
use crate::keys::{hex, unhex};
use crate::people::{ApiKey, Person};
use crate::record::Id;
use crate::registry::Registry;
use crate::rules::people::People;
use crate::rules::{self, Area};
use uuid::Uuid;

/// Something that was done, as the ledger has it.
pub(crate) struct Deed {
    /// Its number over all chains.
    pub(crate) turn: u64,
    pub(crate) chain: String,
    pub(crate) seq: u64,
    pub(crate) at_us: i64,
    pub(crate) actor: Actor,
    /// None: an erasure, which changes neither registry nor people.
    pub(crate) act: Option<Act>,
    pub(crate) made: Option<Id>,
    pub(crate) secret: Option<String>,
}

/// Registry and people as the deeds make them. Secrets are their digests. What cannot have been done goes to `wrong`, with
/// the chain and the row.
pub(crate) fn replay(deeds: &mut [Deed], mut wrong: impl FnMut(&str, u64, String)) -> (Registry, People) {
    deeds.sort_by_key(|d| d.turn);
    let (mut registry, mut people) = (Registry::default(), People::default());
    let mut expected = 1;
    for deed in deeds.iter_mut() {
        if deed.turn != expected {
            let why =
                format!("its turn is {}, where {expected} is the next: what was done between is missing", deed.turn);
            wrong(&deed.chain, deed.seq, why);
        }
        expected = deed.turn + 1;
        let Some(act) = &mut deed.act else { continue };
        put_secret(act, deed.secret.as_deref(), &people);
        let done = match rules::area(act) {
            Area::Registry => {
                let made = deed.made.unwrap_or(Id(Uuid::nil()));
                rules::registry::apply(&mut registry, &deed.actor, act, deed.at_us, made).map(drop)
            }
            Area::People => rules::people::apply(&mut people, &deed.actor, act, deed.at_us).map(drop),
            Area::Note => Ok(()),
        };
        if let Err(e) = done {
            wrong(&deed.chain, deed.seq, format!("what it says cannot have been done: {e}"));
        }
    }
    (registry, people)
}

/// Digests stand for the secrets that the ledger does not have.
fn put_secret(act: &mut Act, secret: Option<&str>, people: &People) {
    let bytes = secret.and_then(unhex::<32>).unwrap_or_default();
    let text = secret.map(String::from);
    match act {
        Act::OfferSetup { token_digest, .. } => *token_digest = bytes,
        Act::Setup { token_digest, person } => {
            // That the token was right was seen when it was done; its digest is not kept.
            *token_digest = people.setup.map(|s| s.0).unwrap_or_default();
            person.password = text;
        }
        Act::AddPerson { person } => person.password = text,
        Act::SetPassword { password, .. } => *password = text.unwrap_or_default(),
        Act::AddKey { key } => key.secret_mac = bytes,
        _ => {}
    }
}

/// People of the tables with digests in the place of secrets.
pub(crate) fn without_secrets(people: People) -> People {
    let digest = |bytes: &[u8]| *blake3::hash(bytes).as_bytes();
    let person = |p: Person| Person { password: p.password.map(|t| hex(&digest(t.as_bytes()))), ..p };
    let key = |mut k: ApiKey| {
        k.key.secret_mac = digest(&k.key.secret_mac);
        k
    };
    People {
        people: people.people.into_iter().map(|(name, p)| (name, person(p))).collect(),
        keys: people.keys.into_iter().map(|(prefix, k)| (prefix, key(k))).collect(),
        setup: people.setup.map(|(token, expires_us)| (digest(&token), expires_us)),
    }
}

/// What of the tables is not what the ledger says, a sentence each.
pub(crate) fn differences(ledger: (&Registry, &People), tables: (&Registry, &People)) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut compare = |what: &str, names: [Vec<String>; 2], same: &dyn Fn(&str) -> bool| {
        let [mine, theirs] = names;
        for name in &mine {
            if !theirs.contains(name) {
                wrong.push(format!("{what} «{name}» of the ledger is missing from its table"));
            } else if !same(name) {
                wrong.push(format!("{what} «{name}» was changed in its table"));
            }
        }
        wrong.extend(
            theirs.iter().filter(|n| !mine.contains(n)).map(|n| format!("{what} «{n}» is unknown to the ledger")),
        );
    };
    let ((registry, people), (tabled, everybody)) = (ledger, tables);
    let models = |r: &Registry| r.models.keys().cloned().collect::<Vec<_>>();
    compare("model", [models(registry), models(tabled)], &|n| registry.models.get(n) == tabled.models.get(n));
    let tiers = |r: &Registry| r.tiers.keys().map(u8::to_string).collect::<Vec<_>>();
    compare("the tier", [tiers(registry), tiers(tabled)], &|n| {
        n.parse().is_ok_and(|t: u8| registry.tiers.get(&t) == tabled.tiers.get(&t))
    });
    let proposals = |r: &Registry| r.proposals.iter().map(|p| p.id.to_string()).collect::<Vec<_>>();
    compare("proposal", [proposals(registry), proposals(tabled)], &|n| {
        let find = |r: &Registry| r.proposals.iter().find(|p| p.id.to_string() == n).cloned();
        find(registry) == find(tabled)
    });
    let names = |p: &People| p.people.keys().cloned().collect::<Vec<_>>();
    compare("person", [names(people), names(everybody)], &|n| people.people.get(n) == everybody.people.get(n));
    let keys = |p: &People| p.keys.keys().cloned().collect::<Vec<_>>();
    compare("API key", [keys(people), keys(everybody)], &|n| people.keys.get(n) == everybody.keys.get(n));
    if people.setup != everybody.setup {
        wrong.push("the setup link was changed in its table".into());
    }
    if registry.revision != tabled.revision {
        wrong
            .push(format!("the registry's revision is {} where the ledger has {}", tabled.revision, registry.revision));
    }
    wrong
}
