//! The loop that takes connections, from the start to the end of the process.
//!
//! On one core everything runs on one thread (besides what scores, what writes and what logs); on more, connections are
//! spread over threads. The end comes in steps, within a bounded time: nothing new is taken, what is worked on is answered, the
//! store is closed after its last record.

mod connection;
mod guests;
mod settings;
mod watched;

#[cfg(test)]
mod tests;

pub use guests::Guests;
pub use settings::ServeSettings;

use crate::app::{App, Shared};
use crate::log::Log;
use crate::settings::Settings;
use crate::who::Peer;
use crate::{http, tls};
use axum::Router;
use connection::Manners;
use statera_core::{Error, Result};
use statera_store::retention::latest_us;
use statera_store::{Store, now_us};
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::sync::watch;

/// How often it is looked whether the server is to stop.
const LOOK: Duration = Duration::from_millis(50);
/// How often readiness is looked at.
const PULSE: Duration = Duration::from_secs(1);
/// After a connection that the system could not give: it has no more descriptors, and trying at once finds none either.
const EXHAUSTED: Duration = Duration::from_millis(50);
/// Seconds by which the ledger may be ahead of the clock: clocks of several machines differ a little.
const AHEAD_S: i64 = 60;
/// Threads that wait for disks, databases and costly hashes.
const WAITING_THREADS: usize = 32;
/// The whole answer to a connection beyond the limits; written without waiting, read or not.
const TOO_MANY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nretry-after: 1\r\n\
connection: close\r\ncontent-length: 73\r\n\r\n{\"error\":\"unavailable\",\"message\":\"too many connections; try again later\"}";

/// What is known once the server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Started {
    /// Where it listens.
    pub address: SocketAddr,
    /// True: with TLS.
    pub is_tls: bool,
    /// Where the store is, without what is secret of it.
    pub store: String,
    /// The token that makes the first admin, if nobody exists yet.
    pub setup_token: Option<String>,
    /// True if it can answer already.
    pub is_ready: bool,
}

/// Serves until `stop` is set, then ends in order. The settings are checked already.
///
/// # Errors
/// What keeps it from starting: an address that is taken, a store that cannot be opened, secrets that cannot be read.
pub fn serve(settings: Settings, started: impl FnOnce(&Started), stop: &AtomicBool) -> Result<()> {
    // The address first: it tells that another server runs, before anything of its store is touched.
    let listener = listen(&settings.serve.listen)?;
    let address = listener.local_addr()?;
    let log = Log::start(&settings.log)?;
    let acceptor = settings.who.tls.as_ref().map(tls::Acceptor::open).transpose()?;
    let runtime = runtime(settings.serve.threads)?;
    let app = App::open(settings)?;
    app.courier.serve(runtime.handle());
    let setup_token = app.doorkeeper.offer_setup()?;
    started(&Started {
        address,
        is_tls: acceptor.is_some(),
        store: app.settings.serve.store_shown(),
        setup_token,
        is_ready: app.health.is_ready(),
    });
    tracing::info!(version = env!("CARGO_PKG_VERSION"), %address, "listening");
    warn_of_clock(&*app.store);
    let router = http::router(app.clone());
    let outcome = runtime.block_on(attend(app.clone(), router, listener, acceptor, stop));
    // Whoever still waits for something is left. The store is closed whoever has it: a thread that waits for an object store may
    // have it for longer than the process has to end, and the last checkpoint would not be signed.
    runtime.shutdown_timeout(Duration::from_secs(1));
    let store = app.store.clone();
    drop(app);
    store.close();
    tracing::info!("stopped");
    drop(log);
    outcome
}

/// Says so where the ledger is ahead of the clock: the time of its rows never falls, so that every new one has that of the last,
/// until the clock has passed it.
fn warn_of_clock(store: &dyn Store) {
    match ahead_s(store, now_us()) {
        Ok(seconds) if seconds > AHEAD_S => tracing::warn!(
            seconds,
            "the last row of the ledger is ahead of this machine's clock, and new rows get its time; set the clock right"
        ),
        Ok(_) => {}
        Err(e) => tracing::warn!(error = %e, "the ledger's time could not be read"),
    }
}

/// Seconds by which the last row of the ledger is ahead of a time; less than 0: behind it.
fn ahead_s(store: &dyn Store, now_us: i64) -> Result<i64> {
    Ok(latest_us(store)?.saturating_sub(now_us) / 1_000_000)
}

fn listen(address: &str) -> Result<TcpListener> {
    let told = |e: std::io::Error| match e.kind() {
        ErrorKind::AddrInUse => {
            Error::request(format!("{address} is taken by another program; name another address with --listen"))
        }
        ErrorKind::PermissionDenied => {
            Error::request(format!("{address} may not be listened on by this user; ports below 1024 are the system's"))
        }
        ErrorKind::AddrNotAvailable => Error::request(format!("{address} is no address of this machine")),
        ErrorKind::InvalidInput => {
            Error::request(format!("listen: «{address}»; allowed: an address and a port, as 127.0.0.1:8420"))
        }
        _ => Error::request(format!("listen: {address}: {e}")),
    };
    let listener = TcpListener::bind(address).map_err(told)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// One thread on one core: handing requests from thread to thread would only cost.
fn runtime(threads: usize) -> Result<Runtime> {
    let threads = if threads > 0 { threads } else { std::thread::available_parallelism().map_or(1, usize::from) };
    let mut builder = match threads {
        1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    if threads > 1 {
        builder.worker_threads(threads);
    }
    Ok(builder.enable_io().enable_time().max_blocking_threads(WAITING_THREADS).build()?)
}

/// Takes connections until `stop` is set, then waits for those that are there.
async fn attend(
    app: Shared,
    router: Router,
    listener: TcpListener,
    acceptor: Option<tls::Acceptor>,
    stop: &AtomicBool,
) -> Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let (stopping, stopped) = watch::channel(false);
    let host = Arc::new(Host { router, acceptor, manners: app.settings.serve.manners() });
    tokio::spawn(pulse(app.clone()));
    let mut look = tokio::time::interval(LOOK);
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, address)) => welcome(&app, &host, stream, address, stopped.clone()),
                Err(e) => {
                    tracing::warn!(error = %e, "a connection could not be taken");
                    tokio::time::sleep(EXHAUSTED).await;
                }
            },
            _ = look.tick() => if stop.load(Ordering::Relaxed) { break },
        }
    }
    drop(listener);
    app.health.stop();
    let _ = stopping.send(true);
    let time = Duration::from_millis(app.settings.serve.stop_ms.into());
    if tokio::time::timeout(time, app.guests.all_gone()).await.is_err() {
        tracing::warn!(connections = app.guests.open(), "stopped with connections open");
    }
    Ok(())
}

/// What all connections share.
struct Host {
    router: Router,
    acceptor: Option<tls::Acceptor>,
    manners: Manners,
}

/// Gives a connection a task of its own, if there is room.
fn welcome(app: &Shared, host: &Arc<Host>, stream: TcpStream, address: SocketAddr, stopped: watch::Receiver<bool>) {
    let stands_for_many = app.doorkeeper.proxies.has(address.ip().to_canonical());
    let Some(guest) = app.guests.welcome(address.ip(), stands_for_many) else {
        if host.acceptor.is_none() {
            let _ = stream.try_write(TOO_MANY);
        }
        return;
    };
    let host = host.clone();
    tokio::spawn(async move {
        let _guest = guest;
        // Answers are written whole: waiting for more to send would only delay them.
        let _ = stream.set_nodelay(true);
        let peer = |is_tls, subject| Peer { address, is_tls, subject };
        let router = host.router.clone();
        match &host.acceptor {
            None => connection::converse(stream, peer(false, None), router, &host.manners, stopped).await,
            Some(acceptor) => match acceptor.accept(stream).await {
                Ok((stream, subject)) => {
                    connection::converse(stream, peer(true, subject), router, &host.manners, stopped).await;
                }
                Err(e) => tracing::debug!(error = %e, "no handshake"),
            },
        }
    });
}

/// Looks once a second whether the server is ready, and tells what was refused since.
async fn pulse(app: Shared) {
    let mut beat = tokio::time::interval(PULSE);
    let mut told = 0;
    loop {
        beat.tick().await;
        let looking = app.clone();
        // The database may take its time; a look that hangs is followed by none.
        let _ = tokio::task::spawn_blocking(move || looking.look()).await;
        let refused: u64 = crate::flow::Reason::ALL.iter().map(|reason| app.flow.refused(*reason)).sum();
        if refused > told {
            tracing::warn!(requests = refused - told, "refused by flow control");
            told = refused;
        }
    }
}
