//! Observers on threads of their own: whatever they do, it is nobody else's trouble, and nothing is lost silently.

use std::{
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, Sender, channel},
    },
    thread,
};

use futures_util::FutureExt;
use keyfob::{ApiTokens, Event, event::Observer};
use time::Duration;

use super::{Kept, told};
use crate::support::{RecordedEvents, World, first_use, on_every_store};

/// How many events wait for one observer.
const CAPACITY: u64 = 4_096;

on_every_store! {
    an_observer_that_hangs_holds_up_nothing
    an_observer_that_panics_fails_nothing_and_is_told_the_next_event
    every_observer_is_told_everything_in_order
}

/// Tells that it has begun with an event, and goes on when it may, or when nobody can let it any more.
struct Held {
    began: Sender<()>,
    may_go_on: Mutex<Receiver<()>>,
    kept: Kept,
}

impl Held {
    fn new() -> (Self, Receiver<()>, Sender<()>, Kept) {
        let ((began, begins), (goes_on, may_go_on)) = (channel(), channel());
        let kept = Kept::default();
        let held = Self { began, may_go_on: may_go_on.into(), kept: kept.clone() };
        (held, begins, goes_on, kept)
    }
}

impl Observer for Held {
    fn observe(&self, event: &Event) {
        let _ = self.began.send(());
        let _ = self.may_go_on.lock().unwrap().recv();
        self.kept.observe(event);
    }
}

/// Makes an event without any I/O.
async fn happen(tokens: &ApiTokens) {
    tokens.verify("nonsense").await.unwrap_err();
}

async fn an_observer_that_hangs_holds_up_nothing(world: World) {
    let (held, begins, goes_on, kept) = Held::new();
    let tokens = world.builder().observer(held).build().unwrap();
    happen(&tokens).await;
    begins.recv().unwrap();
    let issued = tokens.issue(world.new_token("a")).await.unwrap();
    tokens.verify(issued.plain.expose_secret()).await.map(drop).unwrap();
    tokens.owned_by(&world.owner).revoke(issued.record.id).await.unwrap();
    tokens.verify(issued.plain.expose_secret()).await.unwrap_err();
    told!(kept, [] => {});

    let (held, begins, goes_on_as_well, kept) = Held::new();
    let builder = world.builder().deadline(Duration::milliseconds(20)).observer(held);
    let tokens = builder.build().unwrap();
    happen(&tokens).await;
    begins.recv().unwrap();
    tokens.flush().await.unwrap();
    told!(kept, [] => {});
    drop((goes_on, goes_on_as_well));
}

/// Fails with each event that it has kept.
struct Failing(Kept);

impl Observer for Failing {
    fn observe(&self, event: &Event) {
        self.0.observe(event);
        panic!("an observer fails");
    }
}

async fn an_observer_that_panics_fails_nothing_and_is_told_the_next_event(world: World) {
    let (inline, queued, beside) = (Kept::default(), Kept::default(), Kept::default());
    let builder = world.builder().deadline(Duration::MINUTE);
    let builder = builder.inline_observer(Failing(inline.clone())).inline_observer(beside.clone());
    let tokens = builder.observer(Failing(queued.clone())).build().unwrap();
    let issued = tokens.issue(world.new_token("a")).await.unwrap();
    tokens.verify(issued.plain.expose_secret()).await.map(drop).unwrap();
    tokens.owned_by(&world.owner).revoke(issued.record.id).await.unwrap();
    tokens.flush().await.unwrap();
    for kept in [inline, queued, beside] {
        told!(kept, [Event::Issued { .. }, Event::FirstUse { .. }, Event::Revoked { .. }] => {});
    }
}

async fn every_observer_is_told_everything_in_order(world: World) {
    let (first, second) = (RecordedEvents::default(), RecordedEvents::default());
    let builder = world.builder().deadline(Duration::MINUTE);
    let tokens = builder.observer(first.clone()).observer(second.clone()).build().unwrap();
    let issued = tokens.issue(world.new_token("a")).await.unwrap();
    for _ in 0..100 {
        tokens.verify(issued.plain.expose_secret()).await.map(drop).unwrap();
        happen(&tokens).await;
    }
    tokens.owned_by(&world.owner).rename(issued.record.id, "b").await.unwrap();
    tokens.flush().await.unwrap();
    let told = world.events.take();
    assert_eq!((told.len(), &told[1]), (103, &first_use(&issued.record)));
    assert_eq!((first.take(), second.take()), (told.clone(), told));
}

#[tokio::test]
async fn a_flush_waits_until_an_observer_was_told_everything() {
    let world = World::memory().await;
    let (held, begins, goes_on, kept) = Held::new();
    let tokens = world.builder().deadline(Duration::HOUR).observer(held).build().unwrap();
    happen(&tokens).await;
    begins.recv().unwrap();
    let mut flush = Box::pin(tokens.flush());
    assert!(flush.as_mut().now_or_never().is_none(), "it was not told yet");
    happen(&tokens).await;
    drop(goes_on);
    flush.await.unwrap();
    assert!(!kept.take().is_empty());
    tokens.flush().await.unwrap();
    assert_eq!(begins.try_iter().count(), 1, "two events, and no other");
}

#[tokio::test]
async fn events_that_wait_take_no_more_than_16_mib() {
    let world = World::memory().await;
    let (held, begins, goes_on, kept) = Held::new();
    let tokens = world.builder().deadline(Duration::HOUR).observer(held).build().unwrap();
    happen(&tokens).await;
    begins.recv().unwrap();
    let abilities: Vec<_> = (0..100).map(|it| format!("a{it:0>99}")).collect();
    let metadata = serde_json::json!({ "a": "x".repeat(4_000) });
    let issue = async |name: &str| {
        let new = world.new_token(name).abilities(&abilities).metadata(metadata.clone());
        drop(tokens.issue(new).await.unwrap());
    };
    for number in 0..1_500 {
        issue(&number.to_string()).await;
    }
    drop(goes_on);
    tokens.flush().await.unwrap();
    let told = kept.take();
    let told = told.iter().filter(|it| matches!(it, Event::Issued { .. })).count();
    assert!((700..1_200).contains(&told), "{told} of about 17 KiB each");
    for number in 0..20 {
        issue(&format!("later {number}")).await;
    }
    tokens.flush().await.unwrap();
    assert_eq!(kept.take().len(), 20, "and all had room again");
}

#[tokio::test]
async fn what_is_let_go_is_told_exactly() {
    let world = World::memory().await;
    let (held, begins, goes_on, kept) = Held::new();
    let tokens = world.builder().deadline(Duration::HOUR).observer(held).build().unwrap();
    happen(&tokens).await;
    begins.recv().unwrap();
    for _ in 0..CAPACITY + 1_000 {
        happen(&tokens).await;
    }
    drop(goes_on);
    tokens.flush().await.unwrap();
    happen(&tokens).await;
    tokens.flush().await.unwrap();
    let told = kept.take();
    let dropped = told.iter().filter(|it| !matches!(it, Event::Refused { .. }));
    let dropped: Vec<_> = dropped.collect();
    assert!(matches!(dropped[..], [Event::EventsDropped { events: 1_000, .. }]), "{dropped:?}");
    assert_eq!(told.len() as u64, 1 + CAPACITY + 1 + 1, "and all others were told");
}

/// Counts what it is told of, slowly, and says so at its end.
struct Slow {
    count: Arc<Mutex<(u64, u64)>>,
    ended: Sender<()>,
}

impl Observer for Slow {
    fn observe(&self, event: &Event) {
        thread::yield_now();
        let mut count = self.count.lock().unwrap();
        match event {
            Event::EventsDropped { events, .. } => count.1 += events,
            _ => count.0 += 1,
        }
    }
}

impl Drop for Slow {
    fn drop(&mut self) {
        let _ = self.ended.send(());
    }
}

#[tokio::test]
async fn with_the_last_handle_everything_is_told_and_the_thread_ends() {
    let (threads, each) = (4, 10_000);
    let ((ended, end), count) = (channel(), Arc::<Mutex<(u64, u64)>>::default());
    let builder = World::memory().await.builder();
    let tokens = builder.observer(Slow { count: count.clone(), ended }).build().unwrap();
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                for _ in 0..each {
                    tokens.verify("nonsense").now_or_never().unwrap().unwrap_err();
                }
            });
        }
    });
    let another = tokens.clone();
    drop(tokens);
    assert!(end.try_recv().is_err(), "there is a handle");
    drop(another);
    end.recv().unwrap();
    let (told, dropped) = *count.lock().unwrap();
    assert_eq!(told + dropped, threads * each, "{dropped} were let go");
}

#[test]
fn an_observer_whose_application_was_not_built_goes_with_it() {
    let ((ended, end), count) = (channel(), Arc::default());
    let builder = ApiTokens::builder(keyfob::store::MemoryStore::new());
    assert!(builder.observer(Slow { count, ended }).build().is_err(), "it has no prefix");
    end.recv().unwrap();
}
