//! Facts about whole fits.
