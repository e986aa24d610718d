//! statera
