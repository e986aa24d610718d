//! Sessions: kept, but not in the ledger, which has sign-ins.

use super::Writer;
use crate::people::{NewSession, Sessions};
use crate::sql::Value;
use statera_core::{Error, Result};

impl Writer {
    pub(crate) fn open_session(&mut self, session: &NewSession) -> Result<()> {
        // The clock's time, not the chain's, which stays ahead where the clock once was: sessions end by the clock.
        let now = (self.clock)();
        self.transact(|tx| {
            tx.connection.execute("DELETE FROM session WHERE expires_us <= $1", vec![now.into()])?;
            let sql = "INSERT INTO session (secret_digest, person, at_us, expires_us) VALUES ($1, $2, $3, $4)";
            let person = session.person.as_str().into();
            let values = vec![Value::from(&session.secret_digest), person, now.into(), session.expires_us.into()];
            tx.connection.execute(sql, values).map(drop)
        })
        .map_err(Error::from)
    }

    pub(crate) fn close_sessions(&mut self, which: &Which) -> Result<()> {
        self.transact(|tx| {
            match which {
                Which::One(digest) => {
                    tx.connection.execute("DELETE FROM session WHERE secret_digest = $1", vec![Value::from(digest)])
                }
                Which::Of(person) => {
                    tx.connection.execute("DELETE FROM session WHERE person = $1", vec![person.as_str().into()])
                }
            }
            .map(drop)
        })
        .map_err(Error::from)
    }
}

/// [`Sessions`] that can go to another thread.
pub(crate) enum Which {
    One([u8; 32]),
    Of(String),
}

impl From<Sessions<'_>> for Which {
    fn from(which: Sessions<'_>) -> Which {
        match which {
            Sessions::One(digest) => Which::One(*digest),
            Sessions::Of(person) => Which::Of(person.into()),
        }
    }
}
