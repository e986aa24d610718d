//! What every handler sees.

use crate::compute::Compute;
use crate::flow::Flow;
use crate::flow::turns::Turns;
use crate::http::alerts::Watch;
use crate::http::decisions::{Courier, Names};
use crate::http::health::Health;
use crate::http::metrics::Metrics;
use crate::http::monitoring::Monitoring;
use crate::live::Lives;
use crate::models::Models;
use crate::objects;
use crate::retention::Retention;
use crate::serve::Guests;
use crate::settings::Settings;
use crate::who::{Clock, Doorkeeper};
use statera_core::Result;
use statera_store::{Store, StoreOptions};
use std::path::Path;
use std::sync::Arc;

/// Replays and explanations at once.
const REPLAYS: usize = 2;
/// Those that wait for one.
const REPLAYS_WAITING: usize = 16;

/// The parts of the running server.
pub struct App {
    /// As configured.
    pub settings: Settings,
    /// What is kept.
    pub store: Arc<dyn Store>,
    /// The bundles that answer.
    pub models: Arc<Models>,
    /// What counts transactions.
    pub lives: Lives,
    /// The pool that scores.
    pub compute: Compute,
    /// Who is let in, and how fast.
    pub flow: Flow,
    /// Decisions that are made again, to be compared or explained: each may read a bundle that is in memory no more and takes
    /// a thread for as long, and keys and sessions are looked up on the same threads.
    pub replays: Turns,
    /// Who may.
    pub doorkeeper: Doorkeeper,
    /// Connections that are open.
    pub guests: Guests,
    /// Whether requests should come.
    pub health: Health,
    /// How the queue of alerts stands.
    pub alerts: Watch,
    /// What is counted.
    pub metrics: Metrics,
    /// What becomes of decisions.
    pub monitoring: Monitoring,
    /// Names of requests on their way, of which a state learns before the store.
    pub names: Names,
    /// Brings answers from the writer's thread.
    pub courier: Arc<Courier>,
    /// Erases what is older than the bank keeps it.
    pub retention: Retention,
}

/// As handlers have it.
pub type Shared = Arc<App>;

impl App {
    /// Opens the store that the settings name, and everything over it. The settings are checked already. Bundles that only this
    /// server's folder has are put into the object store meanwhile, if there is one; it need not answer.
    ///
    /// # Errors
    /// A store that cannot be opened, secrets that cannot be read.
    pub fn open(settings: Settings) -> Result<Shared> {
        let serve = &settings.serve;
        let folder = serve.store_folder();
        let store = statera_store::open(&StoreOptions {
            queue: serve.queue,
            checkpoint_every: (serve.checkpoint_rows, serve.checkpoint_seconds),
            objects: objects::open(&settings.bundles, settings.who.upload_bytes_max)?,
            ..StoreOptions::at(&serve.store, Some(&folder))?
        })?;
        if !settings.bundles.object_store.is_empty() {
            let store = store.clone();
            std::thread::Builder::new().name("bundles".into()).spawn(move || share(&*store))?;
        }
        App::over(settings, &folder, store)
    }

    /// The same over a store that is open already, whose key files lie in `folder`.
    ///
    /// # Errors
    /// Secrets that cannot be read; settings of an area that are out of their range.
    pub fn over(settings: Settings, folder: &Path, store: Arc<dyn Store>) -> Result<Shared> {
        App::by_clock(settings, folder, store, Arc::new(statera_store::now_us))
    }

    /// The same by another clock.
    ///
    /// # Errors
    /// As [`App::over`].
    pub fn by_clock(settings: Settings, folder: &Path, store: Arc<dyn Store>, clock: Clock) -> Result<Shared> {
        let models = Arc::new(Models::open(settings.models.clone(), store.clone())?);
        let lives = Lives::open(settings.transactions.clone(), store.clone(), models.clone(), folder.into())?;
        let app = Arc::new(App {
            doorkeeper: Doorkeeper::open(&settings.who, folder, store.clone(), clock.clone())?,
            retention: Retention::open(&settings.retention, store.clone(), clock)?,
            models,
            lives,
            compute: Compute::start(&settings.compute)?,
            flow: Flow::new(&settings.flow),
            replays: Turns::new("replays and explanations", REPLAYS, REPLAYS_WAITING),
            guests: Guests::new(settings.serve.connections, settings.serve.connections_per_address),
            health: Health::default(),
            alerts: Watch::default(),
            metrics: Metrics::new()?,
            monitoring: Monitoring::default(),
            names: Names::default(),
            courier: Arc::default(),
            store,
            settings,
        });
        let changed = Arc::downgrade(&app);
        app.doorkeeper.when_registry_changes(move |names_another| {
            let Some(app) = changed.upgrade() else { return };
            let done = if names_another { app.models.refresh() } else { app.models.follow() };
            if let Err(e) = done {
                tracing::warn!(error = %e, "a change of the registry is not in force yet");
            }
        });
        app.store.time_commits(app.metrics.commit_timer());
        let courier = app.courier.clone();
        app.store.announce_groups(Box::new(move |group| courier.note(group)));
        app.look();
        Ok(app)
    }

    /// Looks whether requests should come, and how the queue of alerts stands. Waits for the database for up to a second to
    /// learn the first; the second is left out where it does not answer.
    pub fn look(&self) {
        let unready = self.store.unready();
        self.health.note(unready, self.models.status().is_ready());
        if unready.is_none()
            && let Err(e) = self.alerts.look(&*self.store, &self.settings.alerts)
        {
            tracing::debug!(error = %e, "the queue of alerts was not counted");
        }
    }
}

/// Puts the bundles of the time before there was an object store there. What fails is tried again at the next start.
fn share(store: &dyn Store) {
    let told = "not every bundle of this folder is in the object store; other servers may lack some";
    match store.share_bundles() {
        Ok(shared) => {
            if shared.n_new > 0 {
                tracing::info!(bundles = shared.n_new, "bundles of this folder were put into the object store");
            }
            for failure in shared.failures {
                tracing::warn!(digest = failure.digest, error = %failure.error, "{told}");
            }
            if let Some(e) = shared.stopped {
                tracing::warn!(error = %e, "{told}");
            }
        }
        Err(e) => tracing::warn!(error = %e, "{told}"),
    }
}
