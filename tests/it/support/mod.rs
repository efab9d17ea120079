//! What the tests above the stores share: a world with a store, a clock and an ear for events.

pub mod cached;
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub mod company;
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub mod database;
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub mod engine;
#[cfg(feature = "redis")]
pub mod fake_redis;
#[cfg(all(feature = "postgres", feature = "mysql"))]
pub mod own_database;
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub mod plans;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(any(feature = "postgres", feature = "mysql", feature = "redis"))]
pub mod proxy;
mod random;
#[cfg(feature = "redis")]
pub mod redis;
#[cfg(any(feature = "postgres", feature = "mysql", feature = "redis"))]
pub mod servers;
mod spy;
pub mod store_ext;
#[cfg(any(feature = "postgres", feature = "mysql"))]
mod writers;

use std::{
    any::Any,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::SystemTime,
};

use keyfob::{
    ApiTokens, ApiTokensBuilder, Event, IssueError, IssuedToken, ManageError, NewToken, Owner,
    Policy, Timestamp, TokenId, TokenRecord, VerifyError,
    event::Observer,
    store::{
        CorruptRecord, MemoryStore, StoreError, TokenStore,
        contract::{InsertOutcome, InsertRules, SharedRecord},
    },
    time::{Clock, ManualClock},
};
use time::{Duration, OffsetDateTime, macros::datetime};

use self::store_ext::StoreExt;

#[cfg(any(feature = "postgres", feature = "mysql"))]
pub use self::writers::{
    new_owners_are_not_in_each_others_way, sixteen_writers_break_no_rule,
    sixty_four_inserts_reach_the_limit_exactly,
};
pub use self::{
    random::{Fixed, Random, Seeded},
    spy::{STEPS, Spy, WRITES, once},
};

pub const START: OffsetDateTime = datetime!(2026-01-31 08:00 UTC);

/// What a store can fail with, one of each kind.
pub const TROUBLES: [fn() -> StoreError; 4] = [
    || StoreError::Unavailable("gone".into()),
    || StoreError::Busy("locked".into()),
    || StoreError::Faulty("no such table".into()),
    || CorruptRecord::new(None, "digest").into(),
];

/// Runs scenarios, each an `async fn(World)` of the module above, against every store.
macro_rules! on_every_store {
    (@each $attributes:tt $world:ident $($scenario:ident)+) => {
        $($crate::support::on_every_store! { @one $attributes $world $scenario })+
    };
    (@one [$($attribute:tt)+] $world:ident $scenario:ident) => {
        $($attribute)+
        async fn $scenario() {
            super::$scenario($crate::support::World::$world().await).await;
        }
    };
    ($(#[$attribute:meta])+ => $($scenario:ident)+) => {
        mod memory {
            $crate::support::on_every_store! { @each [$(#[$attribute])+] memory $($scenario)+ }
        }
        #[cfg(feature = "sqlite")]
        mod sqlite {
            $crate::support::on_every_store! { @each [$(#[$attribute])+] sqlite $($scenario)+ }
        }
        #[cfg(feature = "postgres")]
        mod postgres {
            $crate::support::on_every_store! { @each [$(#[$attribute])+] postgres $($scenario)+ }
        }
        #[cfg(feature = "mysql")]
        mod mysql {
            $crate::support::on_every_store! { @each [$(#[$attribute])+] mysql $($scenario)+ }
        }
    };
    ($($scenario:ident)+) => {
        $crate::support::on_every_store! { #[tokio::test] => $($scenario)+ }
    };
}
pub(crate) use on_every_store;

/// A store that is watched, a clock that stands still, and every event as text.
pub struct World {
    pub store: Arc<Spy>,
    pub clock: ManualClock,
    pub events: RecordedEvents,
    pub owner: Owner,
    pub stranger: Owner,
    /// Where the store's file lies, gone with the world.
    #[allow(dead_code, reason = "no other store has a file to look into")]
    pub directory: Option<tempfile::TempDir>,
    /// What else is gone with the world.
    _place: Option<Box<dyn Any + Send + Sync>>,
}

impl World {
    pub fn new(store: Arc<dyn TokenStore>, directory: Option<tempfile::TempDir>) -> Self {
        Self {
            store: Arc::new(Spy::new(store)),
            clock: ManualClock::at(START),
            events: RecordedEvents::default(),
            owner: owner("user:42"),
            stranger: owner("user:43"),
            directory,
            _place: None,
        }
    }

    /// With a store in a place that is gone with the world.
    #[allow(dead_code, reason = "only a store on a server has a place")]
    pub fn in_place(store: Arc<dyn TokenStore>, place: impl Any + Send + Sync) -> Self {
        Self { _place: Some(Box::new(place)), ..Self::new(store, None) }
    }

    #[allow(clippy::unused_async, reason = "worlds are made alike")]
    pub async fn memory() -> Self {
        Self::new(Arc::new(MemoryStore::new()), None)
    }

    #[cfg(feature = "sqlite")]
    pub async fn sqlite() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("tokens.db");
        let store = keyfob::store::SqliteStore::open(path).await.unwrap();
        Self::new(Arc::new(store), Some(directory))
    }

    #[cfg(feature = "postgres")]
    pub async fn postgres() -> Self {
        let schema = postgres::Schema::new();
        Self::in_place(Arc::new(schema.store().await), schema)
    }

    #[cfg(feature = "mysql")]
    pub async fn mysql() -> Self {
        let tables = crate::mysql::Tables::new();
        Self::in_place(Arc::new(tables.store().await), tables)
    }

    pub fn builder(&self) -> ApiTokensBuilder {
        let builder = ApiTokens::builder_on(self.store.clone()).prefix("acme");
        builder.clock(self.clock.clone()).inline_observer(self.events.clone())
    }

    pub fn tokens(&self) -> ApiTokens {
        self.builder().build().unwrap()
    }

    /// A handle whose users may ask for no more than this.
    pub fn with(&self, policy: Policy) -> ApiTokens {
        self.builder().policy(policy).build().unwrap()
    }

    pub fn new_token(&self, name: &str) -> NewToken {
        NewToken::new(self.owner.clone(), name)
    }

    pub async fn issue_many(&self, tokens: &ApiTokens, count: usize) -> Vec<IssuedToken> {
        let mut issued = Vec::new();
        for number in 0..count {
            issued.push(tokens.issue(self.new_token(&format!("token {number}"))).await.unwrap());
        }
        self.events.take();
        self.store.take_calls();
        issued
    }

    /// A token that came into the store with fields that can't be asked for yet.
    pub async fn plant(&self, alter: impl FnOnce(&mut TokenRecord)) -> IssuedToken {
        let nowhere = ApiTokens::builder(MemoryStore::new()).prefix("acme");
        let nowhere = nowhere.clock(self.clock.clone()).build().unwrap();
        let mut issued = nowhere.issue(self.new_token("planted")).await.unwrap();
        alter(&mut issued.record);
        complete(&mut issued.record);
        let outcome = self.store.insert(&issued.record, &InsertRules::none()).await.unwrap();
        assert_eq!(outcome, InsertOutcome::Inserted);
        self.store.take_calls();
        issued
    }

    /// Puts the clock forward to so many seconds after its start, or back to them.
    pub fn at(&self, seconds: i64) {
        self.clock.set(after(seconds).datetime());
    }

    /// What is stored of a token, without what is only noted.
    pub async fn stored(&self, issued: &IssuedToken) -> SharedRecord {
        self.store.one(issued.record.id).await.unwrap().unwrap()
    }
}

/// Adds what stands beside a previous secret in a record that a rotation wrote.
pub fn complete(record: &mut TokenRecord) {
    if record.previous.is_some() && record.generation == 0 {
        record.generation = 1;
        record.first_used_at = Some(record.created_at);
    }
    if record.generation > 0 {
        record.rotated_at.get_or_insert(record.created_at);
    }
}

/// A clock of a machine that sleeps: only the wall clock goes on meanwhile.
#[derive(Clone, Debug)]
pub struct SleepyClock {
    pub awake: ManualClock,
    slept: Arc<AtomicU64>,
}

impl SleepyClock {
    pub fn new() -> Self {
        Self { awake: ManualClock::at(START), slept: Arc::default() }
    }

    pub fn sleep(&self, seconds: u64) {
        self.slept.fetch_add(seconds, SeqCst);
    }
}

impl Clock for SleepyClock {
    fn now(&self) -> SystemTime {
        self.awake.now() + std::time::Duration::from_secs(self.slept.load(SeqCst))
    }

    fn elapsed(&self) -> std::time::Duration {
        self.awake.elapsed()
    }
}

/// Listens to events and keeps their `Debug`.
#[derive(Clone, Default)]
pub struct RecordedEvents(Arc<Mutex<Vec<String>>>);

impl RecordedEvents {
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    /// The kinds of the events since the last time.
    pub fn kinds(&self) -> Vec<String> {
        let kind = |event: &String| event.split(' ').next().unwrap_or_default().to_owned();
        self.take().iter().map(kind).collect()
    }

    /// How many events began with this since the last time.
    pub fn count(&self, beginning: &str) -> usize {
        self.take().iter().filter(|event| event.starts_with(beginning)).count()
    }
}

impl Observer for RecordedEvents {
    fn observe(&self, event: &Event) {
        self.0.lock().unwrap().push(format!("{event:?}"));
        // A panic here would be caught, so a shape that is wrong is an event that no test expects.
        let json = serde_json::to_value(event).unwrap_or_default();
        let id = event.id().filter(|_| json.get("ids").is_none() && json.get("record").is_none());
        let owner = event.owner().map(Owner::as_str);
        let is_told = json["event"] == event.code()
            && json["id"].as_str() == id.map(|it| it.to_string()).as_deref()
            && json["owner"].as_str() == owner;
        if !is_told {
            self.0.lock().unwrap().push(format!("WrongJson {json} of {event:?}"));
        }
    }
}

/// Waits until something is so, a minute at most.
pub async fn eventually(mut is_so: impl AsyncFnMut() -> bool) {
    answer_within(60, async || is_so().await.then_some(())).await;
}

/// Asks until there is something, so many seconds at most.
pub async fn answer_within<T>(seconds: u64, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let asking = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    let at_most = std::time::Duration::from_secs(seconds);
    tokio::time::timeout(at_most, asking).await.unwrap()
}

pub fn owner(text: &str) -> Owner {
    Owner::new(text).unwrap()
}

/// An instant so many seconds after the clock's start.
pub fn after(seconds: i64) -> Timestamp {
    Timestamp::from(START + Duration::seconds(seconds))
}

pub fn ids(issued: &[IssuedToken]) -> Vec<TokenId> {
    issued.iter().map(|it| it.record.id).collect()
}

/// The one field that was refused.
#[track_caller]
pub fn wrong_field(outcome: Result<impl std::fmt::Debug, ManageError>) -> &'static str {
    match outcome {
        Err(ManageError::Invalid(invalid)) => {
            assert_eq!(invalid.errors.len(), 1, "{invalid}");
            invalid.errors[0].name
        }
        other => panic!("{other:?}"),
    }
}

/// What is told when a new token is used for the first time, from nowhere in particular.
pub fn first_use(record: &TokenRecord) -> String {
    let (id, owner) = (record.id, &record.owner);
    format!("FirstUse {{ id: {id:?}, owner: {owner:?}, generation: 0, from: None }}")
}

/// The fields that an issue was refused for.
#[track_caller]
pub fn wrong_fields(outcome: Result<IssuedToken, IssueError>) -> Vec<&'static str> {
    match outcome {
        Err(IssueError::Invalid(invalid)) => invalid.errors.iter().map(|it| it.name).collect(),
        other => panic!("{other:?}"),
    }
}

/// `good`, or the code of the reason why a token is refused.
pub async fn verdict(tokens: &ApiTokens, issued: &IssuedToken) -> &'static str {
    code_of(&tokens.verify(issued.plain.expose_secret()).await)
}

/// See [`verdict`].
pub fn code_of<T>(outcome: &Result<T, VerifyError>) -> &'static str {
    outcome.as_ref().map_or_else(VerifyError::code, |_| "good")
}

/// The secret of a token: what stands between the id and the checksum.
pub fn secret_of(issued: &IssuedToken) -> &str {
    let text = issued.plain.expose_secret();
    &text[text.len() - 49..text.len() - 6]
}

/// A text with the checksum of a token behind it.
pub fn checked(body: &str) -> String {
    format!("{body}{}", checksum_digits(crc32fast::hash(body.as_bytes())))
}

/// A checksum as it is written.
pub fn checksum_digits(mut checksum: u32) -> String {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut digits = ['0'; 6];
    for digit in digits.iter_mut().rev() {
        *digit = DIGITS[checksum as usize % 62].into();
        checksum /= 62;
    }
    digits.into_iter().collect()
}
