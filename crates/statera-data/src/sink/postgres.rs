//! A PostgreSQL table, created where it does not exist, filled by `COPY`.
//!
//! Rows and the count of them (table `statera_progress` in the same schema) are committed in one transaction per chunk, so
//! that a run continued after any crash writes each row exactly once, whether or not the last commit was confirmed. A
//! finished run stays in `statera_progress`: the same command again adds nothing. A new run is added to a table with rows only
//! where the caller asks for it; an unfinished one of another fingerprint is refused, because half of it would go unnoticed.

use super::cell::{Format, lines};
use super::{Encoding, Sink, SinkOptions, broken, check_schema};
use crate::database::{Address, quote, quote_table, runtime};
use arrow_array::RecordBatch;
use arrow_schema::{DataType, SchemaRef};
use sqlx::Executor;
use sqlx::postgres::PgConnection;
use statera_core::{Error, Result};
use tokio::runtime::Runtime;

/// First half of the advisory lock's key; the second is the table's number.
const LOCK: i32 = 0x0057_A7E4;
/// Columns of the progress table.
const PROGRESS: &str = "(target text NOT NULL, fingerprint text NOT NULL, rows bigint NOT NULL, finished boolean NOT NULL, \
                        updated timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (target, fingerprint))";
/// Fields of a `COPY`: null is an empty field.
const FORMAT: Format = Format { encoding: Encoding::Utf8, null: "" };

struct PostgresSink {
    schema: SchemaRef,
    chunk_rows: u64,
    session: Session,
    fingerprint: String,
    /// Rows of earlier runs.
    rows_done: u64,
    rows_written: u64,
    rows_committed: u64,
    is_finished: bool,
    is_broken: bool,
}

/// A connection that holds the table's lock.
struct Session {
    connection: PgConnection,
    /// Outlives the connection, which it drives.
    runtime: Runtime,
    address: Address,
    target: Target,
}

/// The table being written.
struct Target {
    /// Schema and name in double quotes.
    table: String,
    /// The progress table of its schema, in double quotes.
    progress: String,
    /// Schema and name as the catalogue has them: the key in the progress table.
    key: String,
    /// `(a, b, c)`.
    columns: String,
}

/// Opens `postgres://…?table=schema.name`.
pub(super) fn open(address: &str, schema: &SchemaRef, options: &SinkOptions) -> Result<Box<dyn Sink>> {
    let address = Address::parse(address)?;
    let table = match (&address.table, &address.query) {
        (Some(table), None) if !table.is_empty() => table.clone(),
        _ => {
            let label = &address.label;
            return Err(Error::request(format!("{label}: say where to write by ?table=name or ?table=schema.name")));
        }
    };
    let runtime = runtime()?;
    let (connection, target, progress) = runtime.block_on(async {
        let mut connection = address.connect().await?;
        let target = Target::prepare(&mut connection, &address, &table, schema).await?;
        let progress = target.progress(&mut connection, &address, options).await?;
        Ok::<_, Error>((connection, target, progress))
    })?;
    Ok(Box::new(PostgresSink {
        schema: schema.clone(),
        chunk_rows: options.chunk_rows.max(1) as u64,
        session: Session { connection, runtime, address, target },
        fingerprint: options.fingerprint.clone(),
        rows_done: progress.0,
        rows_written: progress.0,
        rows_committed: progress.0,
        is_finished: progress.1,
        is_broken: false,
    }))
}

/// The type of a column.
fn sql_type(data_type: &DataType) -> String {
    match data_type {
        DataType::Int64 => "bigint".into(),
        DataType::Float64 => "double precision".into(),
        DataType::Decimal128(precision, scale) => format!("numeric({precision}, {scale})"),
        DataType::Timestamp(..) => "timestamptz".into(),
        _ => "text".into(),
    }
}

impl Target {
    /// Finds or creates the table and the progress table beside it, and locks the table for this session.
    async fn prepare(
        connection: &mut PgConnection,
        address: &Address,
        table: &str,
        schema: &SchemaRef,
    ) -> Result<Target> {
        let failed = |e: sqlx::Error| address.error(&e);
        let quoted = quote_table(table);
        let columns: Vec<String> =
            schema.fields().iter().map(|f| format!("{} {}", quote(f.name()), sql_type(f.data_type()))).collect();
        create(connection, &quoted, &format!("({})", columns.join(", "))).await.map_err(failed)?;
        let (number, folder, name): (i32, String, String) = sqlx::query_as(
            "SELECT c.oid::int8::bit(32)::int4, n.nspname::text, c.relname::text FROM pg_catalog.pg_class c \
             JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = to_regclass($1)",
        )
        .bind(&quoted)
        .fetch_one(&mut *connection)
        .await
        .map_err(failed)?;
        let is_locked: bool = sqlx::query_scalar("SELECT pg_try_advisory_lock($1, $2)")
            .bind(LOCK)
            .bind(number)
            .fetch_one(&mut *connection)
            .await
            .map_err(failed)?;
        if !is_locked {
            return Err(Error::request(format!("{}: another process is writing table «{table}»", address.label)));
        }
        let names: Vec<String> = schema.fields().iter().map(|f| quote(f.name())).collect();
        let target = Target {
            table: format!("{}.{}", quote(&folder), quote(&name)),
            progress: format!("{}.\"statera_progress\"", quote(&folder)),
            key: format!("{folder}.{name}"),
            columns: format!("({})", names.join(", ")),
        };
        target.check_columns(connection, address, schema).await?;
        create(connection, &target.progress, PROGRESS).await.map_err(failed)?;
        Ok(target)
    }

    async fn check_columns(&self, connection: &mut PgConnection, address: &Address, schema: &SchemaRef) -> Result<()> {
        let present: Vec<String> = sqlx::query_scalar(
            "SELECT attname::text FROM pg_catalog.pg_attribute \
             WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped",
        )
        .bind(&self.table)
        .fetch_all(connection)
        .await
        .map_err(|e| address.error(&e))?;
        let missing: Vec<String> = schema
            .fields()
            .iter()
            .filter(|f| !present.contains(f.name()))
            .map(|f| format!("«{}» ({})", f.name(), sql_type(f.data_type())))
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        Err(Error::request(format!(
            "{}: table «{}» lacks {}; add them, or name a table that does not exist yet",
            address.label,
            self.key,
            missing.join(", ")
        )))
    }

    /// Rows of this run that are there, and whether it was finished.
    async fn progress(
        &self,
        connection: &mut PgConnection,
        address: &Address,
        options: &SinkOptions,
    ) -> Result<(u64, bool)> {
        let failed = |e: sqlx::Error| address.error(&e);
        let mine = format!("FROM {} WHERE target = $1 AND (fingerprint = $2 OR NOT finished)", self.progress);
        let sql = format!("SELECT fingerprint, rows, finished {mine}");
        let select = sqlx::query_as(&sql).bind(&self.key).bind(&options.fingerprint);
        let runs: Vec<(String, i64, bool)> = select.fetch_all(&mut *connection).await.map_err(failed)?;
        let sql = format!("SELECT EXISTS (SELECT 1 FROM {})", self.table);
        let has_rows: bool = sqlx::query_scalar(&sql).fetch_one(&mut *connection).await.map_err(failed)?;
        let (label, key) = (&address.label, &self.key);
        // Of an emptied table nothing is left to continue.
        if options.resume && has_rows {
            if let Some((_, rows, _)) = runs.iter().find(|run| run.0 != options.fingerprint) {
                return Err(Error::request(format!(
                    "{label}: table «{key}» holds {rows} rows of an unfinished run of another input or bundle; finish that \
                     run with its own command, write to another table, or delete its rows and start over"
                )));
            }
            if let Some((_, rows, finished)) = runs.first() {
                return Ok((u64::try_from(*rows).unwrap_or(0), *finished));
            }
        }
        if has_rows && !options.append {
            return Err(Error::request(format!(
                "{label}: table «{key}» holds rows already; empty it, name another table, or add to it with --append"
            )));
        }
        if !runs.is_empty() {
            let sql = format!("DELETE {mine}");
            let delete = sqlx::query(&sql).bind(&self.key).bind(&options.fingerprint);
            delete.execute(connection).await.map_err(failed)?;
        }
        Ok((0, false))
    }
}

/// Creates a table unless it is there: asked first, because a user may be allowed to fill a table and not to create one.
async fn create(connection: &mut PgConnection, table: &str, columns: &str) -> sqlx::Result<()> {
    let exists: bool =
        sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL").bind(table).fetch_one(&mut *connection).await?;
    if !exists {
        connection.execute(format!("CREATE TABLE IF NOT EXISTS {table} {columns}").as_str()).await?;
    }
    Ok(())
}

impl Session {
    /// Runs a statement without parameters or rows.
    fn execute(&mut self, sql: &str) -> Result<()> {
        self.runtime.block_on(self.connection.execute(sql)).map(|_| ()).map_err(|e| self.address.error(&e))
    }

    fn copy(&mut self, blocks: Vec<Vec<u8>>) -> Result<()> {
        let sql = format!("COPY {} {} FROM STDIN (FORMAT csv)", self.target.table, self.target.columns);
        let copied = self.runtime.block_on(async {
            let mut copy = self.connection.copy_in_raw(&sql).await?;
            for block in blocks {
                copy.send(block).await?;
            }
            copy.finish().await
        });
        copied.map(|_| ()).map_err(|e| self.address.error(&e))
    }

    fn note(&mut self, fingerprint: &str, rows: u64, finished: bool) -> Result<()> {
        let sql = format!(
            "INSERT INTO {} (target, fingerprint, rows, finished) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (target, fingerprint) DO UPDATE SET rows = $3, finished = $4, updated = now()",
            self.target.progress
        );
        let rows = i64::try_from(rows).map_err(|_| Error::data(format!("{rows} rows are more than a table holds")))?;
        let insert = sqlx::query(&sql).bind(&self.target.key).bind(fingerprint).bind(rows).bind(finished);
        self.runtime.block_on(insert.execute(&mut self.connection)).map(|_| ()).map_err(|e| self.address.error(&e))
    }
}

impl PostgresSink {
    /// True while a transaction is open.
    fn is_open(&self) -> bool {
        self.rows_written > self.rows_committed
    }

    fn write_rows(&mut self, rows: &RecordBatch) -> Result<()> {
        check_schema(&self.schema, rows)?;
        let blocks = lines(rows, FORMAT, self.rows_written)?;
        if !self.is_open() {
            self.session.execute("BEGIN")?;
        }
        self.session.copy(blocks)?;
        self.rows_written += rows.num_rows() as u64;
        if self.rows_written - self.rows_committed >= self.chunk_rows {
            self.commit(false)?;
        }
        Ok(())
    }

    fn commit(&mut self, finished: bool) -> Result<()> {
        if !self.is_open() {
            self.session.execute("BEGIN")?;
        }
        self.session.note(&self.fingerprint, self.rows_written, finished)?;
        self.session.execute("COMMIT")?;
        self.rows_committed = self.rows_written;
        self.is_finished = finished;
        Ok(())
    }
}

impl Sink for PostgresSink {
    fn rows_done(&self) -> u64 {
        self.rows_done
    }

    fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        if rows.num_rows() == 0 {
            return Ok(());
        }
        if self.is_broken || self.is_finished {
            return Err(broken(&self.session.address.label));
        }
        let result = self.write_rows(rows);
        self.is_broken = result.is_err();
        result
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        if self.is_broken {
            return Err(broken(&self.session.address.label));
        }
        if !self.is_finished {
            self.commit(true)?;
        }
        // Everything is committed; the server ends the session a moment after this process does, so the lock goes first.
        self.session.execute("SELECT pg_advisory_unlock_all()")
    }
}
