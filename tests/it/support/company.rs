//! Others who write while a test has the store.

use std::{
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc::{self, Receiver},
    },
    thread,
};

use keyfob::{
    ApiTokens, NewToken, Policy, TokenRotation,
    store::TokenStore,
    token::{Pepper, PepperKey},
};
use time::Duration;

use super::{database::answer, owner};

const WRITERS: usize = 16;
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);

/// Sixteen, each at an owner's tokens of its own, until this is dropped: then each of them must have come through
/// without an error, tried again where the store was busy.
///
/// What looks at the tokens of all owners does not mind theirs: they do not expire, their digests have a key, and they
/// are created and revoked today.
pub struct Company {
    is_leaving: Arc<AtomicBool>,
    outcomes: Receiver<Result<(), String>>,
}

impl Company {
    /// All of them are at it.
    pub async fn on(store: impl TokenStore + 'static) -> Self {
        let key = PepperKey::new("company", [1, 2].repeat(16)).unwrap();
        let tokens = ApiTokens::builder(store).prefix("acme").pepper(Pepper::new(key));
        let tokens = tokens
            .policy(Policy::new().unique_names(true).limit_per_owner(2))
            .deadline(Duration::MINUTE);
        let tokens = tokens.build().unwrap();
        let (is_leaving, at_it) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let (told, outcomes) = mpsc::channel();
        for number in 0..WRITERS {
            let (tokens, told) = (tokens.clone(), told.clone());
            let (is_leaving, at_it) = (is_leaving.clone(), at_it.clone());
            tokio::spawn(async move {
                let mut outcome = write(&tokens, number).await;
                at_it.fetch_add(1, Ordering::Relaxed);
                while outcome.is_ok() && !is_leaving.load(Ordering::Relaxed) {
                    outcome = write(&tokens, number).await;
                }
                told.send(outcome.map_err(|error| format!("{error:?}")))
            });
        }
        answer(async || (at_it.load(Ordering::Relaxed) == WRITERS).then_some(())).await;
        Self { is_leaving, outcomes }
    }
}

impl Drop for Company {
    fn drop(&mut self) {
        self.is_leaving.store(true, Ordering::Relaxed);
        for _ in 0..WRITERS {
            // An error is also that one has not come to an end.
            let outcome = self.outcomes.recv_timeout(PATIENCE);
            if !thread::panicking() {
                outcome.unwrap().unwrap();
            }
        }
    }
}

/// The life of a token.
async fn write(tokens: &ApiTokens, number: usize) -> Result<(), Box<dyn Error + Send + Sync>> {
    let owner = owner(&format!("company:{number}"));
    let own = tokens.owned_by(&owner);
    let id = tokens.issue(NewToken::new(owner.clone(), "old")).await?.record.id;
    own.rename(id, "new").await?;
    let issued = own.rotate(id, TokenRotation::new()).await?;
    tokens.verify(issued.plain.expose_secret()).await?;
    tokens.flush().await?;
    Ok(own.revoke(id).await?)
}
