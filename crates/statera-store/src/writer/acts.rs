//! What people do, each in a transaction of its own with its row of the ledger.

use super::{Tx, Writer};
use crate::act::{Act, Acted, Actor};
use crate::ledger::body;
use crate::record::Id;
use crate::rules::{self, Area};
use crate::sql::Attempt;
use crate::sql::migrate::{meta_int, set_meta};
use crate::state;
use statera_core::{Error, Result};

/// PostgreSQL's advisory lock under which everything is done that has a turn.
const TURN_LOCK: i64 = 0x0057_A7EE;

impl Writer {
    pub(crate) fn act(&mut self, actor: &Actor, act: &Act) -> Result<Acted> {
        self.transact(|tx| tx.act(actor, act)).map_err(Error::from)
    }
}

impl Tx<'_> {
    /// The number of what is done now, over all processes. From here on no other process does anything that has one.
    pub(crate) fn take_turn(&mut self) -> Attempt<u64> {
        if !self.connection.is_sqlite() {
            self.connection.execute("SELECT pg_advisory_xact_lock($1)", vec![TURN_LOCK.into()])?;
        }
        let turn = meta_int(self.connection, "turn")? + 1;
        set_meta(self.connection, "turn", &turn.to_string())?;
        Ok(turn as u64)
    }

    fn act(&mut self, actor: &Actor, act: &Act) -> Attempt<Acted> {
        let turn = self.take_turn()?;
        let id = Id::new(self.at_us);
        let acted = match rules::area(act) {
            Area::Registry => {
                let old = state::load_registry(self.connection, false)?;
                let mut new = old.clone();
                let acted = rules::registry::apply(&mut new, actor, act, self.at_us, id)?;
                state::save_registry(self.connection, &old, &new)?;
                acted
            }
            Area::People => {
                let old = state::load_people(self.connection)?;
                rules::people::refuse_twin(&old, act)?;
                let mut new = old.clone();
                let acted = rules::people::apply(&mut new, actor, act, self.at_us)?;
                state::save_people(self.connection, &old, &new)?;
                acted
            }
            Area::Note => {
                if let Act::Note { what } = act {
                    rules::check_note("the note", what)?;
                }
                Acted::default()
            }
        };
        let body = body::of_act(turn, act, acted.proposal, rules::secret(act))?;
        self.append(actor_json(actor)?, body);
        Ok(acted)
    }
}

/// An actor as rows of the ledger have it.
pub(crate) fn actor_json(actor: &Actor) -> Result<String> {
    serde_json::to_string(actor).map_err(|e| Error::request(format!("the actor: {e}")))
}
