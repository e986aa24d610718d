//! What every handler sees.

use crate::compute::Compute;
use crate::flow::Flow;
use crate::flow::turns::Turns;
use crate::http::decisions::Courier;
use crate::http::health::Health;
use crate::http::metrics::Metrics;
use crate::models::Models;
use crate::serve::Guests;
use crate::settings::Settings;
use crate::who::Doorkeeper;
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
    pub models: Models,
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
    /// What is counted.
    pub metrics: Metrics,
    /// Brings answers from the writer's thread.
    pub courier: Arc<Courier>,
}

/// As handlers have it.
pub type Shared = Arc<App>;

impl App {
    /// Opens the store that the settings name, and everything over it. The settings are checked already.
    ///
    /// # Errors
    /// A store that cannot be opened, secrets that cannot be read.
    pub fn open(settings: Settings) -> Result<Shared> {
        let serve = &settings.serve;
        let folder = serve.store_folder();
        let store = statera_store::open(&StoreOptions {
            queue: serve.queue,
            checkpoint_every: (serve.checkpoint_rows, serve.checkpoint_seconds),
            ..StoreOptions::at(&serve.store, Some(&folder))?
        })?;
        App::over(settings, &folder, store)
    }

    /// The same over a store that is open already, whose key files lie in `folder`.
    ///
    /// # Errors
    /// Secrets that cannot be read; settings of an area that are out of their range.
    pub fn over(settings: Settings, folder: &Path, store: Arc<dyn Store>) -> Result<Shared> {
        let app = Arc::new(App {
            doorkeeper: Doorkeeper::open(&settings.who, folder, store.clone(), Arc::new(statera_store::now_us))?,
            models: Models::open(settings.models.clone(), store.clone())?,
            compute: Compute::start(&settings.compute)?,
            flow: Flow::new(&settings.flow),
            replays: Turns::new("replays and explanations", REPLAYS, REPLAYS_WAITING),
            guests: Guests::new(settings.serve.connections, settings.serve.connections_per_address),
            health: Health::default(),
            metrics: Metrics::new()?,
            courier: Arc::default(),
            store,
            settings,
        });
        let changed = Arc::downgrade(&app);
        app.doorkeeper.when_registry_changes(move || {
            let Some(app) = changed.upgrade() else { return };
            if let Err(e) = app.models.refresh() {
                tracing::warn!(error = %e, "a change of the registry is not in force yet");
            }
        });
        app.store.time_commits(app.metrics.commit_timer());
        let courier = app.courier.clone();
        app.store.announce_groups(Box::new(move |group| courier.note(group)));
        app.look();
        Ok(app)
    }

    /// Looks whether requests should come. Waits for the database for up to a second.
    pub fn look(&self) {
        self.health.note(self.store.is_ready(), self.models.status().is_ready());
    }
}
