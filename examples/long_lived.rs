//! A response that goes on for as long as its token is good. A WebSocket is kept open by the same loop.

use std::{convert::Infallible, error::Error, time::Duration};

use axum::body::{Body, BodyDataStream};
use axum::{Router, extract::State, http::Request, http::header::CONTENT_TYPE, routing::get};
use futures_util::{StreamExt, stream};
use keyfob::{
    ApiTokens, IssuedToken, NewToken, VerifiedToken, testing,
    web::{Authenticator, Realm, TokenAllowed, axum::TokenLayer},
};
use tokio::time::{Instant, Interval, interval, interval_at};
use tower::ServiceExt;

keyfob::abilities! {
    enum PanelAbility {
        EventsRead = "events:read", "Watch what happens";
    }
}

/// An open stream. The layer has judged the request that opened it, and judges it no more.
struct Live {
    tokens: ApiTokens,
    token: VerifiedToken,
    recheck: Interval,
    happens: Interval,
}

impl Live {
    /// The next event; `None` ends the stream.
    async fn next(mut self) -> Option<(Result<&'static str, Infallible>, Self)> {
        loop {
            tokio::select! {
                // What somebody does to a token, only the store knows. One that is down has not said yes: that ends the
                // stream as well, and the client comes back when there is an answer.
                _ = self.recheck.tick() => {
                    self.token = self.tokens.revalidate(&self.token).await.ok()?;
                    self.token.require("events:read").ok()?;
                }
                // When it ends by itself is known, and nothing is sent after that, however seldom the store is asked.
                _ = self.happens.tick() => {
                    let over = self.token.valid_until().is_some_and(|end| self.tokens.now() >= end);
                    return (!over).then_some((Ok("data: something happened\n\n"), self));
                }
            }
        }
    }
}

/// Every client waits for at most `every` after a revocation: some seconds in a service.
fn panel(tokens: &ApiTokens, every: Duration) -> Result<Router, Box<dyn Error>> {
    let watch = async move |State(tokens): State<ApiTokens>, token: TokenAllowed<EventsRead>| {
        let live = Live {
            tokens,
            token: VerifiedToken::clone(&token),
            recheck: interval_at(Instant::now() + every, every),
            happens: interval(Duration::from_millis(1)),
        };
        let events = stream::unfold(live, Live::next);
        ([(CONTENT_TYPE, "text/event-stream")], Body::from_stream(events))
    };
    let layer = TokenLayer::new(Authenticator::require(tokens.clone(), Realm::new("Acme API")?));
    Ok(Router::new().route("/events", get(watch)).layer(layer).with_state(tokens.clone()))
}

async fn open(panel: &Router, token: &IssuedToken) -> Result<BodyDataStream, Box<dyn Error>> {
    let (name, value) = token.header();
    let request = Request::get("/events").header(name, value).body(Body::empty())?;
    let mut events = panel.clone().oneshot(request).await?.into_body().into_data_stream();
    assert_eq!(events.by_ref().take(20).count().await, 20, "it goes on and on");
    Ok(events)
}

/// Reads on until the end, and gives up after so many events that there is none.
async fn must_end(events: BodyDataStream, why: &str) {
    assert!(events.take(10_000).count().await < 10_000, "{why}, and the stream goes on");
    println!("{why}: the stream has ended");
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let (tokens, clock) = testing::in_memory("acme");
    let revoked = testing::acting_as(&tokens, "user:42", ["events:read"]).await;
    let events = open(&panel(&tokens, Duration::from_millis(5))?, &revoked).await?;
    tokens.owned_by(&revoked.record.owner).revoke(revoked.record.id).await?;
    must_end(events, "revoked").await;

    let new = NewToken::new(revoked.record.owner, "short").abilities(["events:read"]);
    let expiring = tokens.issue(new.expires_in(time::Duration::MINUTE)).await?;
    let events = open(&panel(&tokens, Duration::from_secs(3_600))?, &expiring).await?;
    clock.advance(time::Duration::MINUTE);
    must_end(events, "expired").await;
    Ok(())
}

#[cfg(test)]
#[test]
fn a_stream_ends_with_its_token() {
    main().unwrap();
}
