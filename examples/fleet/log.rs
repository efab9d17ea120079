//! What is written to the log, on standard error: of a request its method, its route, the answer and the time it took.

use std::{env, io, time::Instant};

use tracing_subscriber::{
    filter::{LevelFilter, Targets},
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

/// That of the methods that there are, `BASELINE-CONTROL`.
const LONGEST_METHOD: usize = 16;

/// At the level `info`, unless `RUST_LOG` says otherwise, such as `warn,keyfob=info`.
pub(crate) fn to_stderr() {
    let levels = env::var("RUST_LOG").ok().and_then(|levels| levels.parse::<Targets>().ok());
    // PostgreSQL notes of each table that it was there.
    let usual = || {
        let notices = ("sqlx::postgres::notice", LevelFilter::WARN);
        Targets::new().with_default(LevelFilter::INFO).with_targets([notices])
    };
    tracing_subscriber::registry()
        .with(tracing_subscriber::fmt::layer().with_writer(io::stderr))
        .with(levels.unwrap_or_else(usual))
        .init();
}

/// The route as it is declared, and not the path: a client may have put a token into that, as into a method of its own.
pub(crate) fn request(method: &str, route: Option<&str>, status: u16, start: Instant) {
    let method = if method.len() <= LONGEST_METHOD { method } else { "…" };
    tracing::info!(method, route, status, took = ?start.elapsed(), "request");
}
