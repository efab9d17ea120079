use std::{
    collections::HashMap,
    fmt, future,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
};

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use keyfob::{
    TokenId, TokenRecord,
    store::{
        KeyCount, StoreError, TokenStore,
        contract::{
            Counts, Deleted, Deletion, Filter, InsertOutcome, InsertRules, Page, Patch, Peek,
            Query, Revoked, Selection, UpdateOutcome, Use,
        },
    },
    token::{KeyId, Revocation},
};

/// Every step that writes.
pub const WRITES: &[&str] = &[
    "insert",
    "change",
    "rotate",
    "first_use",
    "rekey",
    "revoke",
    "suspend",
    "resume",
    "record_uses",
    "notice",
    "prune",
    "erase",
    "key_fingerprint",
];

/// A hook that does something the first time that it is called.
pub fn once(
    act: impl FnOnce() -> BoxFuture<'static, ()> + Send + 'static,
) -> impl Fn() -> BoxFuture<'static, ()> + Send + Sync + 'static {
    let act = Mutex::new(Some(act));
    move || match act.lock().unwrap().take() {
        Some(act) => act(),
        None => Box::pin(future::ready(())),
    }
}

/// A store around a store that counts the calls, and makes trouble where it is told to.
pub struct Spy {
    inner: Arc<dyn TokenStore>,
    calls: Mutex<Vec<&'static str>>,
    batches: Mutex<Vec<Vec<Use>>>,
    lookups: Mutex<Vec<Vec<TokenId>>>,
    trouble: Mutex<HashMap<&'static str, Trouble>>,
    cold: AtomicBool,
    everyone: Mutex<Option<TokenRecord>>,
}

#[derive(Clone)]
enum Trouble {
    Fail(Arc<dyn Fn() -> Option<StoreError> + Send + Sync>),
    Hang,
    Lose,
    Before(Hook),
    After(Hook),
}

type Hook = Arc<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>;

impl Spy {
    pub fn new(inner: Arc<dyn TokenStore>) -> Self {
        Self {
            inner,
            calls: Mutex::default(),
            batches: Mutex::default(),
            lookups: Mutex::default(),
            trouble: Mutex::default(),
            cold: AtomicBool::new(false),
            everyone: Mutex::default(),
        }
    }

    pub fn inner(&self) -> Arc<dyn TokenStore> {
        self.inner.clone()
    }

    pub fn take_calls(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.calls.lock().unwrap())
    }

    pub fn take_batches(&self) -> Vec<Vec<Use>> {
        std::mem::take(&mut self.batches.lock().unwrap())
    }

    /// The ids of each look-up, in order.
    pub fn take_lookups(&self) -> Vec<Vec<TokenId>> {
        std::mem::take(&mut self.lookups.lock().unwrap())
    }

    /// From now on nothing is known without asking.
    pub fn forget(&self) {
        self.cold.store(true, SeqCst);
    }

    /// From now on there is a token like this one with every id.
    pub fn invent(&self, template: &TokenRecord) {
        *self.everyone.lock().unwrap() = Some(template.clone());
    }

    pub fn fail(&self, steps: &[&'static str]) {
        self.fail_with(steps, || StoreError::Unavailable("the disk is gone".into()));
    }

    pub fn fail_with(
        &self,
        steps: &[&'static str],
        error: impl Fn() -> StoreError + Send + Sync + 'static,
    ) {
        self.trouble_with(steps, move || Some(error()));
    }

    /// The steps fail so many times in all.
    pub fn fail_times(&self, steps: &[&'static str], times: usize, error: fn() -> StoreError) {
        let left = AtomicUsize::new(times);
        self.trouble_with(steps, move || {
            let failed = left.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1));
            failed.is_ok().then(error)
        });
    }

    fn trouble_with(
        &self,
        steps: &[&'static str],
        error: impl Fn() -> Option<StoreError> + Send + Sync + 'static,
    ) {
        let trouble = Trouble::Fail(Arc::new(error));
        let mut troubles = self.trouble.lock().unwrap();
        troubles.extend(steps.iter().map(|step| (*step, trouble.clone())));
    }

    /// The step never ends.
    pub fn hang(&self, step: &'static str) {
        self.trouble.lock().unwrap().insert(step, Trouble::Hang);
    }

    /// The step is done, and its answer does not come: that is trouble to whoever asked.
    pub fn lose(&self, step: &'static str) {
        self.trouble.lock().unwrap().insert(step, Trouble::Lose);
    }

    /// Does something just before the step.
    pub fn before(
        &self,
        step: &'static str,
        hook: impl Fn() -> BoxFuture<'static, ()> + Send + Sync + 'static,
    ) {
        self.trouble.lock().unwrap().insert(step, Trouble::Before(Arc::new(hook)));
    }

    /// Does something between the step and its answer.
    pub fn after(
        &self,
        step: &'static str,
        hook: impl Fn() -> BoxFuture<'static, ()> + Send + Sync + 'static,
    ) {
        self.trouble.lock().unwrap().insert(step, Trouble::After(Arc::new(hook)));
    }

    pub fn heal(&self) {
        self.trouble.lock().unwrap().clear();
    }

    async fn enter(&self, step: &'static str) -> Result<(), StoreError> {
        self.calls.lock().unwrap().push(step);
        let trouble = self.trouble.lock().unwrap().get(step).cloned();
        match trouble {
            None | Some(Trouble::After(_) | Trouble::Lose) => Ok(()),
            Some(Trouble::Fail(error)) => error().map_or(Ok(()), Err),
            Some(Trouble::Hang) => future::pending().await,
            Some(Trouble::Before(hook)) => {
                hook().await;
                Ok(())
            }
        }
    }
}

impl Spy {
    fn note_uses(&self, uses: &[Use]) {
        self.batches.lock().unwrap().push(uses.to_vec());
    }

    async fn leave(&self, step: &'static str) -> Result<(), StoreError> {
        let trouble = self.trouble.lock().unwrap().get(step).cloned();
        match trouble {
            Some(Trouble::After(hook)) => hook().await,
            Some(Trouble::Lose) => return Err(StoreError::Unavailable("it was cut off".into())),
            _ => {}
        }
        Ok(())
    }
}

impl fmt::Debug for Spy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

macro_rules! watched {
    ($($step:ident($($argument:ident: $type:ty),*) -> $answer:ty $(=> $note:ident($noted:ident))?;)+) => {
        /// Every step.
        pub const STEPS: &[&str] = &[
            "find", "find_many", "prune", "erase", "change", "rotate", "first_use", "rekey", "suspend", "resume", "notice",
            $(stringify!($step)),+
        ];

        #[async_trait]
        impl TokenStore for Spy {
            fn peek(&self, id: TokenId) -> Peek {
                if let Some(mut record) = self.everyone.lock().unwrap().clone() {
                    record.id = id;
                    return Peek::Found(record.into());
                }
                let cold = self.cold.load(SeqCst);
                let answer = if cold { Peek::Miss } else { self.inner.peek(id) };
                let mut calls = self.calls.lock().unwrap();
                // Memory that knows nothing may be asked again before the store is.
                if calls.last() != Some(&"peek") || !matches!(answer, Peek::Miss) {
                    calls.push("peek");
                }
                answer
            }

            $(async fn $step(&self, $($argument: $type),*) -> Result<$answer, StoreError> {
                $(self.$note($noted);)?
                self.enter(stringify!($step)).await?;
                let answer = self.inner.$step($($argument),*).await;
                self.leave(stringify!($step)).await?;
                answer
            })+

            /// To look up one token is a step of its own.
            async fn find(&self, ids: &[TokenId]) -> Result<Page, StoreError> {
                self.lookups.lock().unwrap().push(ids.to_vec());
                let step = if ids.len() == 1 { "find" } else { "find_many" };
                self.enter(step).await?;
                let answer = self.inner.find(ids).await;
                self.leave(step).await?;
                answer
            }

            /// A list is a step of its own by what it is for.
            async fn list(&self, query: &Query) -> Result<Page, StoreError> {
                let step = match &query.filter {
                    Filter { expires: Some(_), .. } => "expiring",
                    Filter { created_before: Some(_), .. } => "unused",
                    _ => "page",
                };
                self.enter(step).await?;
                let answer = self.inner.list(query).await;
                self.leave(step).await?;
                answer
            }

            /// Each kind of deletion is a step of its own.
            async fn delete(&self, deletion: &Deletion, limit: u32) -> Result<Deleted, StoreError> {
                let step = if matches!(deletion, Deletion::AllOf(_)) { "erase" } else { "prune" };
                self.enter(step).await?;
                let answer = self.inner.delete(deletion, limit).await;
                self.leave(step).await?;
                answer
            }

            /// Each kind of patch is a step of its own.
            async fn update(&self, id: TokenId, patch: &Patch) -> Result<UpdateOutcome, StoreError> {
                self.enter(patch.code()).await?;
                let answer = self.inner.update(id, patch).await;
                self.leave(patch.code()).await?;
                answer
            }
        }
    };
}

watched! {
    insert(record: &TokenRecord, rules: &InsertRules) -> InsertOutcome;
    revoke(selection: &Selection, revocation: &Revocation, limit: u32) -> Revoked;
    record_uses(uses: &[Use]) -> () => note_uses(uses);
    count(filter: &Filter) -> Counts;
    count_by_key() -> Vec<KeyCount>;
    key_fingerprint(key: &KeyId, value: &[u8; 32]) -> [u8; 32];
}
