//! A browser, and applications for it to look at.

pub mod app;
pub mod browser;
mod fleet;
pub mod http;

pub use app::{App, Setup};
pub use browser::{Browser, How};
pub use fleet::Fleet;
