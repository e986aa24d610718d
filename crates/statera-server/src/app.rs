//! What every handler sees.

use crate::compute::Compute;
use crate::flow::Flow;
use crate::models::Models;
use crate::settings::Settings;
use crate::who::Doorkeeper;
use statera_store::Store;
use std::sync::Arc;

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
    /// Who may.
    pub doorkeeper: Doorkeeper,
}

/// As handlers have it.
pub type Shared = Arc<App>;
