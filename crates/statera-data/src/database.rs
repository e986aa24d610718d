//! PostgreSQL addresses and connections, shared by source and sink. No message ever holds a password.

use futures_util::future::{Either, select};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection, Executor};
use statera_core::{Error, Result};
use std::pin::pin;
use std::time::Duration;

/// How long a server may take to answer the first time.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Parameters of an address that belong to the connection.
const CONNECTION_PARAMETERS: [&str; 12] = [
    "application_name",
    "dbname",
    "host",
    "hostaddr",
    "options",
    "password",
    "port",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "user",
];

/// True if the address is one of PostgreSQL.
pub(crate) fn accepts(address: &str) -> bool {
    address.starts_with("postgres://") || address.starts_with("postgresql://")
}

/// A parsed address: where to connect, and what to read or write there.
pub(crate) struct Address {
    options: PgConnectOptions,
    /// The database in messages: name, host, port and user.
    pub(crate) label: String,
    /// The parameter `query`, percent-decoded.
    pub(crate) query: Option<String>,
    /// The parameter `table`, percent-decoded.
    pub(crate) table: Option<String>,
}

impl Address {
    /// Parses `postgres://user:password@host:port/database?…`. User, password, host and port that are left out come from
    /// the environment (`PGUSER`, …) and from `~/.pgpass`, as with every PostgreSQL program.
    pub(crate) fn parse(address: &str) -> Result<Address> {
        let (base, parameters) = address.split_once('?').unwrap_or((address, ""));
        let (mut query, mut table, mut kept) = (None, None, Vec::new());
        for parameter in parameters.split('&').filter(|p| !p.is_empty()) {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            match name {
                "query" => query = Some(percent_decode(value)?),
                "table" => table = Some(percent_decode(value)?),
                _ if CONNECTION_PARAMETERS.contains(&name) || name.starts_with("options[") => kept.push(parameter),
                // Only the name: a password with a bare «&» or «?» would end up here.
                _ => {
                    return Err(Error::request(format!(
                        "the PostgreSQL address has a parameter that is not known; allowed are query, table, {} \
                         (in a password or a query write ? as %3F, & as %26)",
                        CONNECTION_PARAMETERS.join(", ")
                    )));
                }
            }
        }
        let base = if kept.is_empty() { base.to_string() } else { format!("{base}?{}", kept.join("&")) };
        let options: PgConnectOptions = base.parse().map_err(|_| {
            Error::request(
                "the PostgreSQL address cannot be read; allowed is postgres://user:password@host:5432/database?query=SELECT… \
                 with special characters of user and password written as %40 (@), %3A (:), %2F (/)",
            )
        })?;
        let options = options.application_name("statera").disable_statement_logging();
        Ok(Address { label: label(&options), options, query, table })
    }

    /// Connects, within ten seconds; errors say what to check.
    pub(crate) async fn connect(&self) -> Result<PgConnection> {
        let connecting = pin!(PgConnection::connect_with(&self.options));
        let waiting = pin!(tokio::time::sleep(CONNECT_TIMEOUT));
        match select(connecting, waiting).await {
            Either::Left((connection, _)) => {
                let mut connection = connection.map_err(|e| self.refused(&e))?;
                end_with_the_client(&mut connection).await;
                Ok(connection)
            }
            Either::Right(_) => Err(self.unreachable("no answer within 10 seconds")),
        }
    }

    fn unreachable(&self, what: &str) -> Error {
        Error::io(format!(
            "cannot reach {}: {what}; check that the server runs, that host and port are right, and that no firewall \
             stands between",
            self.label
        ))
    }

    fn refused(&self, error: &sqlx::Error) -> Error {
        match error {
            sqlx::Error::Io(e) => self.unreachable(&e.to_string()),
            sqlx::Error::Tls(e) => Error::io(format!(
                "cannot connect to {}: {e}; check the parameters sslmode and sslrootcert",
                self.label
            )),
            sqlx::Error::Database(e) => Error::io(format!(
                "cannot connect to {}: {}; check user, password (in the address, PGPASSWORD or ~/.pgpass) and database",
                self.label,
                e.message()
            )),
            other => Error::io(format!("cannot connect to {}: {other}", self.label)),
        }
    }

    /// An error of the server in a message: what the database says, and where.
    pub(crate) fn error(&self, error: &sqlx::Error) -> Error {
        match error {
            // The statement is wrong, or the rows are: classes 22, 23 and 42 of SQLSTATE; the rest is the machine.
            sqlx::Error::Database(e) => {
                let message = format!("{}: {}", self.label, e.message());
                match e.code().as_deref().and_then(|c| c.get(..2)) {
                    Some("42" | "3F" | "25") => Error::request(message),
                    Some("22" | "23") => Error::data(message),
                    _ => Error::io(message),
                }
            }
            sqlx::Error::Io(e) => Error::io(format!("{}: the connection broke ({e})", self.label)),
            other => Error::io(format!("{}: {other}", self.label)),
        }
    }
}

/// Asks the server to give up a query whose client is gone; by default it would go on for nobody, with its locks. Servers
/// before 14 and some systems cannot; then it stays as it is.
async fn end_with_the_client(connection: &mut PgConnection) {
    let _ = connection.execute("SET client_connection_check_interval = '1s'").await;
}

fn label(options: &PgConnectOptions) -> String {
    let place = match options.get_socket() {
        Some(socket) => format!("the socket {} (port {})", socket.display(), options.get_port()),
        None => format!("host {}, port {}", options.get_host(), options.get_port()),
    };
    let database = options.get_database().unwrap_or(options.get_username());
    format!("PostgreSQL database «{database}» at {place}, as user «{}»", options.get_username())
}

/// Decodes `%20`; a `%` without two hexadecimal digits stays (a query's `LIKE 'a%'`).
fn percent_decode(text: &str) -> Result<String> {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let code = text.get(at + 1..at + 3).filter(|_| bytes[at] == b'%').filter(|c| !c.starts_with('+'));
        match code.and_then(|c| u8::from_str_radix(c, 16).ok()) {
            Some(byte) => {
                decoded.push(byte);
                at += 3;
            }
            None => {
                decoded.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8(decoded)
        .map_err(|_| Error::request("the PostgreSQL address: its query or table is not UTF-8 after percent-decoding"))
}

/// A name in double quotes, as SQL takes any name.
pub(crate) fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// `schema.name` or `name` with every part in double quotes.
pub(crate) fn quote_table(table: &str) -> String {
    table.splitn(2, '.').map(quote).collect::<Vec<_>>().join(".")
}

/// A runtime for the current thread.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Error::io(format!("cannot start the network runtime: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_and_table_leave_the_address() {
        let address = Address::parse(
            "postgres://ann:s%40fe@db.bank:6432/loans?sslmode=disable&query=SELECT%20a%2Bb%20LIKE%20'x%'",
        )
        .expect("parses");
        assert_eq!(address.query.as_deref(), Some("SELECT a+b LIKE 'x%'"));
        assert_eq!(address.label, "PostgreSQL database «loans» at host db.bank, port 6432, as user «ann»");
        let address = Address::parse("postgresql://ann@%2Ftmp%2Fpg/loans?table=risk.scores").expect("parses");
        assert_eq!(address.table.as_deref(), Some("risk.scores"));
        assert_eq!(quote_table("risk.my \"scores\""), "\"risk\".\"my \"\"scores\"\"\"");
        assert_eq!(address.label, "PostgreSQL database «loans» at the socket /tmp/pg (port 5432), as user «ann»");
    }

    #[test]
    fn passwords_are_in_no_message() {
        for address in
            ["postgres://ann:se?cret@db/loans", "postgres://ann:secret@db:port/loans", "postgres://ann:se/cret@db"]
        {
            if let Err(error) = Address::parse(address) {
                assert!(!error.to_string().contains("cret"), "{error}");
                assert!(error.is_request());
            }
        }
        let error = Address::parse("postgres://ann:secret@db/loans?qeury=1").err().expect("unknown parameter");
        assert!(error.to_string().starts_with("the PostgreSQL address has a parameter that is not known"), "{error}");
    }

    #[test]
    fn an_unreachable_server_is_named() {
        // Port 1 of the loopback: nothing listens there.
        let address = Address::parse("postgres://ann:secret@127.0.0.1:1/loans").expect("parses");
        let error = runtime().expect("starts").block_on(address.connect()).expect_err("nobody listens").to_string();
        assert!(
            error.starts_with(
                "cannot reach PostgreSQL database «loans» at host 127.0.0.1, port 1, as user «ann»: Connection refused"
            ),
            "{error}"
        );
        assert!(error.ends_with(
            "check that the server runs, that host and port are right, and that no firewall stands between"
        ));
    }
}
