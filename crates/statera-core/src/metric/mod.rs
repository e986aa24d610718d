//! Figures that judge a model.
