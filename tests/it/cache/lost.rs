//! A step whose end nobody knows leaves nothing behind in memory that is not so: not on this node, and on others no
//! longer than what is remembered may be old.

use std::future;

use futures_util::{FutureExt, future::BoxFuture};
use keyfob::{
    Ability, ApiTokens, IssuedToken, Policy, TokenChange, TokenRecord, TokenRotation,
    store::{
        StoreError, TokenStore,
        contract::{Change, Peek, Selection},
    },
    token::{Revocation, Suspension, TokenDigest},
};
use time::Duration;
use tokio::sync::mpsc::unbounded_channel;

use super::{STALENESS, building, cache, elsewhere, remembered};
use crate::support::cached::ROOM;
use crate::support::store_ext::StoreExt;
use crate::support::{World, after, on_every_store, verdict};

on_every_store! {
    whatever_becomes_of_a_step_no_node_goes_by_what_was_before_it
}

/// What becomes of a step of the store.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Done,
    /// It is done, and its answer is lost.
    Lost,
    /// It is done, and whoever asked goes before the answer comes.
    DroppedAfter,
    /// Whoever asked goes before the store has done anything.
    DroppedBefore,
    /// The store does nothing.
    Failed,
}

const ENDS: [End; 5] = [End::Done, End::Lost, End::DroppedAfter, End::DroppedBefore, End::Failed];

impl End {
    fn is_done(self) -> bool {
        matches!(self, Self::Done | Self::Lost | Self::DroppedAfter)
    }

    /// Runs what is to end so. It returns `Some` if there was an answer: whether that was a success.
    async fn meet<E>(
        self,
        world: &World,
        step: &'static str,
        act: impl Future<Output = Result<(), E>>,
    ) -> Option<bool> {
        let (reached, mut at_step) = unbounded_channel();
        let wait = move || {
            let _ = reached.send(());
            future::pending().boxed()
        };
        match self {
            Self::Done => {}
            Self::Lost => world.store.lose(step),
            Self::Failed => world.store.fail(&[step]),
            Self::DroppedAfter => world.store.after(step, wait),
            Self::DroppedBefore => world.store.before(step, wait),
        }
        let outcome = tokio::select! {
            outcome = act => Some(outcome.is_ok()),
            Some(()) = at_step.recv() => None,
        };
        world.store.heal();
        outcome
    }
}

/// The tokens of a case.
struct Cast {
    /// Whose verdict is looked at.
    subject: IssuedToken,
    /// Who else has a part in it.
    other: Option<IssuedToken>,
}

type Prepare = for<'a> fn(&'a World, &'a ApiTokens) -> BoxFuture<'a, Cast>;
type Act = for<'a> fn(&'a World, &'a ApiTokens, &'a Cast) -> BoxFuture<'a, Result<(), String>>;

/// What is done by a node, and what becomes of a token by it.
struct Case {
    name: &'static str,
    step: &'static str,
    prepare: Prepare,
    act: Act,
    before: &'static str,
    after: &'static str,
}

fn told<T, E: std::fmt::Debug>(outcome: Result<T, E>) -> Result<(), String> {
    outcome.map(drop).map_err(|error| format!("{error:?}"))
}

async fn plain(world: &World, tokens: &ApiTokens) -> Cast {
    let subject = tokens.issue(world.new_token("a").all_abilities()).await.unwrap();
    Cast { subject, other: None }
}

async fn suspended(world: &World, tokens: &ApiTokens) -> Cast {
    let cast = plain(world, tokens).await;
    tokens.owned_by(&world.owner).suspend(cast.subject.record.id).await.unwrap();
    cast
}

/// The child of another one.
async fn child(world: &World, tokens: &ApiTokens) -> Cast {
    let parent = plain(world, tokens).await.subject;
    let verified = tokens.verify(parent.plain.expose_secret()).await.unwrap();
    let new = world.new_token("b").all_abilities();
    let subject = tokens.issue_on_behalf_of(&verified, new).await.unwrap();
    Cast { subject, other: Some(parent) }
}

/// The secret from before a rotation, which the first use of the new one ends.
async fn rotated(world: &World, tokens: &ApiTokens) -> Cast {
    let cast = plain(world, tokens).await;
    let rotation = TokenRotation::new().until_first_use();
    let own = tokens.owned_by(&world.owner);
    let new = own.rotate(cast.subject.record.id, rotation).await.unwrap();
    Cast { other: Some(new), ..cast }
}

const DESCENDANTS: &str = "revoke with descendants";

fn at_once() -> TokenRotation {
    TokenRotation::new().grace(Duration::ZERO)
}

macro_rules! case {
    ($name:expr; $step:literal on $prepare:ident, $before:literal => $after:literal,
     |$tokens:ident, $own:ident, $cast:ident| $act:expr) => {
        Case {
            name: $name,
            step: $step,
            prepare: |world, tokens| $prepare(world, tokens).boxed(),
            act: |world, $tokens, $cast| {
                async move {
                    let _ = $cast;
                    #[allow(unused_variables)]
                    let $own = $tokens.owned_by(&world.owner);
                    told($act.await)
                }
                .boxed()
            },
            before: $before,
            after: $after,
        }
    };
}

fn cases() -> Vec<Case> {
    vec![
        case!("revoke"; "revoke" on plain, "good" => "revoked",
            |tokens, own, cast| own.revoke(cast.subject.record.id)),
        case!("revoke many"; "revoke" on plain, "good" => "revoked",
            |tokens, own, cast| own.revoke_many(&[cast.subject.record.id])),
        case!("revoke all"; "revoke" on plain, "good" => "revoked",
            |tokens, own, cast| own.revoke_all()),
        case!(DESCENDANTS; "revoke" on child, "good" => "revoked",
            |tokens, own, cast| own.revoke_with_descendants(cast.other.as_ref().unwrap().record.id)),
        case!("revoke presented"; "revoke" on plain, "good" => "revoked",
            |tokens, own, cast| tokens.revoke_presented(cast.subject.plain.expose_secret())),
        case!("erase"; "erase" on plain, "good" => "unknown", |tokens, own, cast| own.erase()),
        case!("expire"; "change" on plain, "good" => "expired", |tokens, own, cast| {
            let change = TokenChange::new().expires_in(Duration::SECOND);
            own.change(cast.subject.record.id, change)
        }),
        case!("suspend"; "suspend" on plain, "good" => "suspended",
            |tokens, own, cast| own.suspend(cast.subject.record.id)),
        case!("resume"; "resume" on suspended, "suspended" => "good",
            |tokens, own, cast| own.resume(cast.subject.record.id)),
        case!("rotate"; "rotate" on plain, "good" => "retired_secret",
            |tokens, own, cast| own.rotate(cast.subject.record.id, at_once())),
        case!("rotate presented"; "rotate" on plain, "good" => "retired_secret",
        |tokens, own, cast| async {
            let token = tokens.verify(cast.subject.plain.expose_secret()).await.unwrap();
            tokens.rotate_presented(&token, at_once()).await
        }),
        case!("first use"; "first_use" on rotated, "good" => "retired_secret",
            |tokens, own, cast| tokens.verify(cast.other.as_ref().unwrap().plain.expose_secret())),
    ]
}

/// For every step: {done, lost, dropped, failed} × {this node, another node} × {remembered, not}.
async fn whatever_becomes_of_a_step_no_node_goes_by_what_was_before_it(world: World) {
    let node = || {
        building(&world)
            .policy(Policy::new().delegation(Ability::new("tokens:issue").unwrap()))
            .build()
            .unwrap()
    };
    for case in cases() {
        for (end, is_warm) in ENDS.iter().flat_map(|end| [(*end, true), (*end, false)]) {
            let (here, there) = (node(), node());
            let cast = (case.prepare)(&world, &node()).await;
            let subject = &cast.subject;
            for node in [&here, &there].into_iter().filter(|_| is_warm) {
                assert_eq!(verdict(node, subject).await, case.before, "{}", case.name);
                assert_eq!(remembered(&world, node, subject).await, case.before, "{}", case.name);
            }
            let met = end.meet(&world, case.step, (case.act)(&world, &here, &cast)).await;
            let expected = match end {
                End::Done => Some(true),
                End::Lost | End::Failed => Some(false),
                End::DroppedAfter | End::DroppedBefore => None,
            };
            assert_eq!(met, expected, "{} {end:?}", case.name);
            // An expiry is in a second.
            world.clock.advance(Duration::SECOND);
            let about = format!("{} {end:?}, warm: {is_warm}", case.name);
            let stored = verdict(&elsewhere(&world), subject).await;
            // Of several steps, only the first has ended so.
            if case.name != DESCENDANTS || end == End::Done {
                let expected = if end.is_done() { case.after } else { case.before };
                assert_eq!(stored, expected, "{about}");
            }
            assert_eq!(verdict(&here, subject).await, stored, "here: {about}");
            world.clock.advance(STALENESS);
            assert_eq!(verdict(&there, subject).await, stored, "elsewhere: {about}");
            world.store.inner().erase(&world.owner).await.unwrap();
        }
    }
}

type Step = for<'a> fn(&'a dyn TokenStore, &'a Planted) -> BoxFuture<'a, Result<(), StoreError>>;

struct Planted {
    record: TokenRecord,
    world: World,
}

macro_rules! steps {
    ($($step:literal: |$store:ident, $it:ident| $act:expr;)+) => {
        vec![$(($step, (|$store, $it| async move { $act.await.map(drop) }.boxed()) as Step)),+]
    };
}

fn digest(byte: u8) -> TokenDigest {
    TokenDigest::from_bytes([byte; 32], None)
}

fn steps() -> Vec<(&'static str, Step)> {
    steps! {
        "change": |store, it| async { store.change(it.record.id, None, &Change::default()).await };
        "suspend": |store, it| async {
            store.suspend(it.record.id, &Suspension::new(after(1))).await
        };
        "resume": |store, it| async { store.resume(it.record.id, after(1)).await };
        "first_use": |store, it| async {
            store.mark_first_use(it.record.id, &it.record.digest, after(1)).await
        };
        "rekey": |store, it| async { store.rekey(it.record.id, &it.record.digest, &digest(8)).await };
        "notice": |store, it| async {
            store.claim_notice(it.record.id, after(10_000), 7).await
        };
        "revoke": |store, it| async {
            let all = Selection::AllOf(it.world.owner.clone());
            store.end(&all, &Revocation::new(after(1))).await
        };
        "erase": |store, it| async { store.erase(&it.world.owner).await };
    }
}

/// The cache by itself, for the steps of which no verdict tells.
#[tokio::test]
async fn whatever_becomes_of_a_step_the_cache_forgets_what_it_is_about() {
    for (step, act) in steps() {
        for end in ENDS.into_iter().filter(|it| it.is_done()) {
            let world = World::memory().await;
            let issued = world.plant(|it| it.expires_at = Some(after(10_000))).await;
            world.store.forget();
            let cache = cache(&world, ROOM);
            let id = issued.record.id;
            cache.one(id).await.unwrap();
            assert!(matches!(cache.peek(id), Peek::Cached(_)), "{step}");
            let planted = Planted { record: issued.record, world };
            let met = end.meet(&planted.world, step, act(&*cache, &planted)).await;
            assert_eq!(met, [Some(true), Some(false), None][end as usize], "{step} {end:?}");
            let held = cache.peek(id);
            let is_forgotten = match &held {
                Peek::Found(held) => held.revocation.is_some(),
                Peek::Miss | Peek::Absent => true,
                Peek::Cached(_) => false,
            };
            assert!(is_forgotten, "{step} {end:?}: {held:?}");
        }
    }
}
