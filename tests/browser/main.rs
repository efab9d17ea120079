//! The settings page in a real browser. `scripts/test` installs Debian's `chromium` and `chromium-driver`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::doc_markdown,
    reason = "helpers of tests are tests, and products have names"
)]

/// Makes a test of every function that is named, for every server of the example service.
macro_rules! on_every_server {
    ($($test:ident,)*) => {
        on_every_server!(@ axum: $($test)*);
        on_every_server!(@ actix: $($test)*);
    };
    (@ $server:ident: $($test:ident)*) => {
        mod $server {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $test() {
                    super::$test(stringify!($server)).await;
                }
            )*
        }
    };
}

mod accessible;
mod copying;
mod cpanel;
mod cross_site;
mod flagpal;
mod flusso;
mod flywp;
mod flywp_api;
mod hostile;
mod keyboard;
mod languages;
mod many;
mod picture;
mod scripts_off;
mod secret;
mod support;
