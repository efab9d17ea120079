//! Nodes that tell each other what they change, over real servers.
//!
//! What they remember would be good for a minute, of which nothing passes: their clock stands still. So whatever shows
//! on another node shows by the signal.

#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "redis")]
mod redis;

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration as Wait,
};

use async_trait::async_trait;
use keyfob::{
    ApiTokens, Cache, IssuedToken, LastUsed, NewToken, TokenChange, TokenRotation,
    cluster::{self, Changed, Signal, SignalError},
    store::TokenStore,
    time::ManualClock,
};
use time::Duration;
use tokio::task::JoinHandle;

use crate::support::{RecordedEvents, START, answer_within, ids, owner, verdict};

/// Generous: other tests use the machine too.
const AT_MOST: Wait = Wait::from_secs(60);

/// A node that remembers for a minute, and listens.
struct Node {
    tokens: ApiTokens,
    events: RecordedEvents,
    background: JoinHandle<()>,
}

impl Node {
    /// One that hears the others.
    async fn start(store: Arc<dyn TokenStore>, signal: impl Signal) -> Self {
        let (signal, connected) = Watched::new(signal);
        let node = Self::unconnected(store, signal);
        soon(async || connected.load(SeqCst)).await;
        node
    }

    fn unconnected(store: Arc<dyn TokenStore>, signal: impl Signal) -> Self {
        let events = RecordedEvents::default();
        let tokens = ApiTokens::builder_on(store)
            .prefix("acme")
            .clock(ManualClock::at(START))
            .inline_observer(events.clone())
            .cache(Cache::for_up_to(Duration::MINUTE))
            .last_used(LastUsed::every(Duration::SECOND))
            .deadline(Duration::MINUTE)
            .signal(signal)
            .build()
            .unwrap();
        let background = tokio::spawn(tokens.background());
        Self { tokens, events, background }
    }

    async fn issue(&self) -> IssuedToken {
        self.tokens.issue(NewToken::new(owner("user:42"), "ci")).await.unwrap()
    }

    /// Makes sure that a token is remembered here.
    async fn remembers(&self, issued: &IssuedToken) {
        soon(async || {
            let before = self.lookups();
            verdict(&self.tokens, issued).await == "good" && self.lookups() == before
        })
        .await;
    }

    fn lookups(&self) -> u64 {
        self.tokens.cache_stats().unwrap().lookups
    }

    async fn comes_to_be(&self, issued: &IssuedToken, expected: &str) {
        soon(async || verdict(&self.tokens, issued).await == expected).await;
    }

    /// Waits for an event, and takes all that there are.
    async fn hears(&self, kind: &str) {
        soon(async || self.events.kinds().iter().any(|it| it == kind)).await;
    }
}

/// A signal that tells the test when it is connected, once the node knows.
#[derive(Debug)]
struct Watched<S>(S, Arc<AtomicBool>);

impl<S> Watched<S> {
    fn new(signal: S) -> (Self, Arc<AtomicBool>) {
        let connected = Arc::<AtomicBool>::default();
        (Self(signal, connected.clone()), connected)
    }
}

#[async_trait]
impl<S: Signal> Signal for Watched<S> {
    async fn send(&self, changed: &Changed) -> Result<(), SignalError> {
        self.0.send(changed).await
    }

    async fn listen(
        &self,
        on_message: &(dyn Fn(cluster::SignalMessage) + Send + Sync),
    ) -> Result<Infallible, SignalError> {
        let watched = |message| {
            let is_connected = message == cluster::SignalMessage::Connected;
            on_message(message);
            self.1.fetch_or(is_connected, SeqCst);
        };
        self.0.listen(&watched).await
    }
}

/// Waits until something is so, [`AT_MOST`] so long.
async fn soon(mut is_so: impl AsyncFnMut() -> bool) {
    answer_within(AT_MOST.as_secs(), async || is_so().await.then_some(())).await;
}

/// What is changed on one node shows on the other.
async fn what_one_changes_shows_on_the_other([here, there]: [&Node; 2]) {
    let own = here.tokens.owned_by(owner("user:42"));
    let issue = async || {
        let issued = here.issue().await;
        there.remembers(&issued).await;
        issued
    };
    let revoked = issue().await;
    own.revoke(revoked.record.id).await.unwrap();
    there.comes_to_be(&revoked, "revoked").await;

    let suspended = issue().await;
    own.suspend(suspended.record.id).await.unwrap();
    there.comes_to_be(&suspended, "suspended").await;
    own.resume(suspended.record.id).await.unwrap();
    there.comes_to_be(&suspended, "good").await;

    let rotated = issue().await;
    let rotation = TokenRotation::new().grace(Duration::ZERO);
    drop(own.rotate(rotated.record.id, rotation).await.unwrap());
    there.comes_to_be(&rotated, "retired_secret").await;

    let old = issue().await;
    let rotation = TokenRotation::new().until_first_use();
    let new = own.rotate(old.record.id, rotation).await.unwrap();
    there.remembers(&old).await;
    assert_eq!(verdict(&here.tokens, &new).await, "good");
    there.comes_to_be(&old, "retired_secret").await;

    let changed = issue().await;
    let change = TokenChange::new().abilities(["servers:read"]);
    own.change(changed.record.id, change).await.unwrap();
    soon(async || {
        let token = there.tokens.verify(changed.plain.expose_secret()).await;
        token.unwrap().can("servers:read")
    })
    .await;

    let erased = issue().await;
    own.erase().await.unwrap();
    there.comes_to_be(&erased, "unknown").await;
}

/// More than are told one by one.
async fn many_that_are_revoked_at_once_are_refused_on_the_other([here, there]: [&Node; 2]) {
    let mut issued = Vec::new();
    for _ in 0..150 {
        issued.push(here.issue().await);
    }
    for it in &issued {
        there.remembers(it).await;
    }
    let own = here.tokens.owned_by(owner("user:42"));
    let revoked = own.revoke_many(&ids(&issued)).await.unwrap();
    assert_eq!(revoked.len(), issued.len());
    for it in &issued {
        there.comes_to_be(it, "revoked").await;
    }
}

/// It holds no handle, and a connection that is silent does not keep it.
async fn listening_ends_with_the_last_handle(node: Node) {
    let Node { tokens, background, .. } = node;
    let other = tokens.clone();
    drop(tokens);
    assert!(!background.is_finished());
    drop(other);
    tokio::time::timeout(AT_MOST, background).await.unwrap().unwrap();
}

/// No connection is left to its database, so that this can be dropped.
async fn closing_ends_what_listens(node: Node) {
    let Node { tokens, background, .. } = node;
    let other = tokens.clone();
    tokens.close().await.unwrap();
    tokio::time::timeout(AT_MOST, background).await.unwrap().unwrap();
    tokio::time::timeout(AT_MOST, other.background()).await.unwrap();
    let issued = other.issue(NewToken::new(owner("user:42"), "ci")).await.unwrap();
    assert_eq!(verdict(&other, &issued).await, "good", "the handle goes on to work");
    other.close().await.unwrap();
}
