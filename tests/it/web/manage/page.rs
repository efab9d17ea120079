//! The settings page as documents: the same bytes on both frameworks. `tests/browser` looks at it as people do.

mod app;
mod changes;
mod documents;
mod forms;
mod rights;
