//! Help for the tests of applications: tokens in memory, a clock that stands still, and requests on somebody's behalf.
//!
//! Nothing is mocked: a token is issued, and a request with it goes the way of all requests.
//!
//! ```
//! # futures_executor::block_on(async {
//! use keyfob::testing;
//!
//! let (tokens, clock) = testing::in_memory("acme");
//! let ada = testing::acting_as(&tokens, "user:42", ["servers:read"]).await;
//!
//! // For `http::request::Builder::header`, actix's `TestRequest::insert_header`, or any client's.
//! let (name, value) = ada.header();
//! assert_eq!(name, "authorization");
//! assert!(value.starts_with("Bearer acme_"));
//!
//! assert!(tokens.verify(ada.plain.expose_secret()).await.is_ok());
//! # clock.advance(time::Duration::DAY);
//! # });
//! ```
//!
//! # On a database
//! A test of sqlx's, such as `#[sqlx::test]`, drops its database at the end, and a connection that still listens would
//! keep it. So it ends what runs in the background before:
//!
//! ```no_run
//! # use keyfob::{ApiTokens, store::MemoryStore};
//! # #[cfg(feature = "postgres")]
//! // With `#[sqlx::test]`, which gives a pool of a database of the test's own.
//! async fn a_token_of_the_application(pool: sqlx::PgPool) -> Result<(), Box<dyn std::error::Error>> {
//!     use keyfob::{cluster::PostgresSignal, store::PostgresStore};
//!
//!     let store = PostgresStore::with_pool(pool).await?;
//!     let signal = PostgresSignal::of(&store);
//!     let tokens = ApiTokens::builder(store).prefix("acme").signal(signal).build()?;
//!     tokio::spawn(tokens.background());
//!     // … the test …
//!     tokens.close().await?;
//!     Ok(())
//! }
//! ```

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, SystemTime},
};

pub use crate::api_tokens::entropy::{Entropy, SystemEntropy};

use crate::{
    api_tokens::ApiTokens,
    cluster::signal::Changed,
    issue::NewToken,
    store::{MemoryStore, TokenStore},
    time::ManualClock,
    token::{IssuedToken, Owner, RareFields, TokenRecord},
};

/// The fields of a record that few tokens have, for keyfob's own tests.
#[doc(hidden)]
pub fn rare_of(record: &mut TokenRecord) -> &mut RareFields {
    record.rare_mut()
}

/// 2026-01-01T00:00:00Z, in seconds since 1970: where the clock of [`in_memory`] stands.
const START: u64 = 1_767_225_600;

/// Tokens on a store in memory, and their clock, which stands at 2026-01-01T00:00:00Z until it is moved.
///
/// # Panics
/// Where the prefix is none.
#[must_use]
pub fn in_memory(prefix: &str) -> (ApiTokens, ManualClock) {
    let clock = ManualClock::at(SystemTime::UNIX_EPOCH + Duration::from_secs(START));
    let tokens = ApiTokens::builder(MemoryStore::new()).prefix(prefix).clock(clock.clone()).build();
    (tokens.unwrap_or_else(|error| panic!("{error}")), clock)
}

/// Issues a token, with which requests are made on an owner's behalf. It has a name of its own, such as `acting-as-7`.
/// A token that is to be more than that is [issued](ApiTokens::issue) by the test itself.
///
/// # Panics
/// Where the owner is none or the token is not issued.
pub async fn acting_as<T: Into<String>>(
    tokens: &ApiTokens,
    owner: &str,
    abilities: impl IntoIterator<Item = T>,
) -> IssuedToken {
    static NUMBER: AtomicU64 = AtomicU64::new(1);
    let owner = Owner::new(owner).unwrap_or_else(|error| panic!("the owner {owner:?}: {error}"));
    let name = format!("acting-as-{}", NUMBER.fetch_add(1, Relaxed));
    let issued = tokens.issue(NewToken::new(owner, name).abilities(abilities)).await;
    issued.unwrap_or_else(|error| panic!("{error}"))
}

/// The store of a handle as it is used there, with its cache and its deadline: for keyfob's own tests.
#[doc(hidden)]
#[must_use]
pub fn store_of(tokens: &ApiTokens) -> impl TokenStore + Clone + use<> {
    tokens.shared_store()
}

/// Evicts what another node has published: for keyfob's own tests.
#[doc(hidden)]
pub fn evict(tokens: &ApiTokens, changed: &Changed) {
    tokens.evict(changed);
}

impl IssuedToken {
    /// The header of a request that is made with this token: for tests.
    #[must_use]
    pub fn header(&self) -> (&'static str, String) {
        ("authorization", format!("Bearer {}", self.plain.expose_secret()))
    }
}
