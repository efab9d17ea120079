//! Servers that all tests share, as `scripts/servers run` tells them, and what a test leaves on them: nothing.

use std::env;

/// What names a server.
pub fn url_of(variable: &str) -> String {
    let url = env::var(variable);
    url.unwrap_or_else(|_| panic!("{variable} is not set: run `scripts/servers run cargo test …`"))
}

/// Does something on a server when a test is over. The runtime of the test may be the one that waits for it.
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub fn clean_up<F: Future<Output = sqlx::Result<()>>>(work: impl FnOnce() -> F + Send + 'static) {
    let working = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.unwrap().block_on(async {
            tokio::time::timeout(std::time::Duration::from_secs(60), work()).await.unwrap()
        })
    });
    let worked = working.join();
    if !std::thread::panicking() {
        worked.unwrap().unwrap();
    }
}
