//! How tokens are ended for good: named ones, all of an owner, and what descends from one.
//!
//! It works in steps of a thousand tokens, each committed and each with a deadline of its own. A step reports its
//! tokens at once, also where a later one fails.

use std::{collections::BTreeSet, mem, time::Instant};

use crate::{
    api_tokens::ApiTokens,
    cluster::signal::{Changed, MOST},
    event::Event,
    store::{
        StoreError,
        contract::{Revoked, STEP, Selection},
    },
    token::{Actor, Owner, Reason, Revocation, TokenId},
};

use super::{
    operator::OperatorTokens,
    owner_tokens::{ManageError, OwnerTokens},
};

/// The number of parents whose children a step looks for.
const PARENTS: usize = 100;

impl OwnerTokens {
    /// Revokes a token, for good. Once this returns, the next verification on this node fails. A token that is revoked
    /// already stays as it is.
    ///
    /// # Errors
    /// [`ManageError::NotFound`] also where it is somebody else's.
    pub async fn revoke(&self, id: TokenId) -> Result<(), ManageError> {
        let mut ending = self.ending();
        let found = ending.named(&[id]).await;
        let found = ending.finish(found).await?;
        if found.1.is_empty() { Err(ManageError::NotFound) } else { Ok(()) }
    }

    /// Revokes those of these tokens that the owner has, and returns which of them were not revoked before.
    ///
    /// It works in steps of 1,000 tokens, each with a [deadline](crate::ApiTokensBuilder::deadline) of its own. If one
    /// fails, what was revoked before stays revoked, and calling this again goes on. Each step is reported as
    /// [`Event::Revoked`].
    ///
    /// ```
    /// # futures_executor::block_on(async {
    /// # use keyfob::{ApiTokens, NewToken, Owner, store::MemoryStore, token::{Actor, Reason}};
    /// # let tokens = ApiTokens::builder(MemoryStore::new()).prefix("acme").build().unwrap();
    /// # let owner = Owner::new("project:7").unwrap();
    /// # let id = tokens.issue(NewToken::new(owner.clone(), "ci")).await.unwrap().record.id;
    /// let own = tokens.owned_by(&owner).by(Actor::new("user:42").unwrap());
    /// let own = own.because(Reason::new("laptop stolen").unwrap());
    /// assert_eq!(own.revoke_many(&[id]).await.unwrap(), [id]);
    /// assert_eq!(own.revoke_many(&[id]).await.unwrap(), [], "it was revoked before");
    /// # });
    /// ```
    ///
    /// # Errors
    /// [`ManageError::Store`]
    pub async fn revoke_many(&self, ids: &[TokenId]) -> Result<Vec<TokenId>, ManageError> {
        let mut ending = self.ending();
        let found = ending.named(ids).await;
        Ok(ending.finish(found).await?.0)
    }

    /// Revokes all tokens of the owner, in steps as [`revoke_many`](Self::revoke_many), and returns which were not
    /// revoked before. Once this returns, every token is revoked that existed when it began.
    ///
    /// # Errors
    /// [`ManageError::Store`]
    pub async fn revoke_all(&self) -> Result<Vec<TokenId>, ManageError> {
        let mut ending = self.ending();
        let outcome = ending.all_of(&self.owner, None).await;
        Ok(ending.finish(outcome).await?.0)
    }

    /// Revokes tokens of the owner as [`revoke_all`](Self::revoke_all) does, and begins no step after an instant. It
    /// returns how many were not revoked before, and `true` if there may be more: then call it again.
    ///
    /// ```
    /// # futures_executor::block_on(async {
    /// # use keyfob::{ApiTokens, NewToken, Owner, store::MemoryStore};
    /// # let tokens = ApiTokens::builder(MemoryStore::new()).prefix("acme").build().unwrap();
    /// # let owner = Owner::new("user:42").unwrap();
    /// # let _ = tokens.issue(NewToken::new(&owner, "ci")).await.unwrap();
    /// use std::time::{Duration, Instant};
    ///
    /// let until = Instant::now() + Duration::from_secs(20);
    /// assert_eq!(tokens.owned_by(&owner).revoke_all_until(until).await.unwrap(), (1, false));
    /// # });
    /// ```
    ///
    /// # Errors
    /// [`ManageError::Store`]
    pub async fn revoke_all_until(&self, until: Instant) -> Result<(usize, bool), ManageError> {
        let mut ending = self.ending();
        let outcome = ending.all_of(&self.owner, Some(until)).await;
        let (revoked, more) = ending.finish(outcome).await?;
        Ok((revoked.len(), more))
    }

    /// Revokes a token and every token that was issued on its behalf, or on behalf of those, and returns which were not
    /// revoked before. It works in steps as [`revoke_many`](Self::revoke_many).
    ///
    /// The token itself comes first, and then those nearest to it: no token goes on issuing others once its children
    /// are looked for. They are found through revoked tokens as well, but not through one that was erased.
    ///
    /// # Errors
    /// [`ManageError::NotFound`] also where it is somebody else's.
    pub async fn revoke_with_descendants(&self, id: TokenId) -> Result<Vec<TokenId>, ManageError> {
        let mut ending = self.ending();
        let outcome = ending.family(id).await;
        match ending.finish(outcome).await? {
            (revoked, true) => Ok(revoked),
            (_, false) => Err(ManageError::NotFound),
        }
    }

    fn ending(&self) -> Ending<'_> {
        Ending::new(&self.tokens, Some(&self.owner), self.by.as_ref(), self.because.as_ref())
    }
}

impl OperatorTokens {
    /// Revokes tokens, whosever they are, and returns which were not revoked before. It works in steps as
    /// [`OwnerTokens::revoke_many`].
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn revoke_many(&self, ids: &[TokenId]) -> Result<Vec<TokenId>, StoreError> {
        let mut ending = Ending::new(&self.tokens, None, self.by.as_ref(), self.because.as_ref());
        let found = ending.named(ids).await;
        Ok(ending.finish(found).await?.0)
    }
}

impl ApiTokens {
    pub(crate) fn revocation(&self, by: Option<&Actor>, because: Option<&Reason>) -> Revocation {
        let (by, reason) = (by.cloned(), because.cloned());
        Revocation { by, reason, ..Revocation::new(self.now()) }
    }
}

/// A revocation that takes several steps. Other nodes hear of it also where nobody waits for its end.
struct Ending<'a> {
    tokens: &'a ApiTokens,
    /// Whose the tokens are, if they are all of one.
    owner: Option<&'a Owner>,
    revocation: Revocation,
    changed: Vec<TokenId>,
    /// The tokens that the other nodes are still to be told of, and no more than one beyond those told one by one.
    unpublished: Vec<TokenId>,
}

impl<'a> Ending<'a> {
    fn new(
        tokens: &'a ApiTokens,
        owner: Option<&'a Owner>,
        by: Option<&Actor>,
        because: Option<&Reason>,
    ) -> Self {
        let revocation = tokens.revocation(by, because);
        Self { tokens, owner, revocation, changed: Vec::new(), unpublished: Vec::new() }
    }

    async fn step(&mut self, selection: &Selection) -> Result<Revoked, StoreError> {
        let revoked = self.tokens.store().revoke(selection, &self.revocation, STEP).await;
        let revoked = self.tokens.report_error(revoked)?;
        if !revoked.changed.is_empty() {
            let revocation = self.revocation.clone();
            self.tokens.report(|| Event::revoked(&revoked.changed, selection.owner(), revocation));
        }
        self.changed.extend(&revoked.changed);
        let room = (MOST + 1).saturating_sub(self.unpublished.len());
        self.unpublished.extend(revoked.found.iter().take(room));
        Ok(revoked)
    }

    /// Revokes named tokens, and returns those that there are.
    async fn named(&mut self, ids: &[TokenId]) -> Result<Vec<TokenId>, StoreError> {
        let ids: BTreeSet<_> = ids.iter().copied().collect();
        let ids: Vec<_> = ids.into_iter().collect();
        let mut found = Vec::new();
        for ids in ids.chunks(STEP as usize) {
            let selection = Selection::Tokens { ids: ids.to_vec(), owner: self.owner.cloned() };
            found.extend(self.step(&selection).await?.found);
        }
        Ok(found)
    }

    /// Revokes all tokens of an owner, in steps of which none begins after an instant. Returns `true` if there may be
    /// more.
    async fn all_of(&mut self, owner: &Owner, until: Option<Instant>) -> Result<bool, StoreError> {
        let selection = Selection::AllOf(owner.clone());
        let mut is_first = true;
        let mut more = true;
        while more && (is_first || until.is_none_or(|until| Instant::now() < until)) {
            more = self.step(&selection).await?.more;
            if !more {
                break;
            }
            // The others need not wait for the end. What they read meanwhile, they are told of then.
            if mem::take(&mut is_first) {
                self.tokens.publish(Changed::owner(owner)).await;
            }
        }
        if self.unpublished.is_empty() {
            // It may repeat one whose end nobody knew, so that nobody has told it.
            self.tokens.publish(Changed::owner(owner)).await;
        }
        Ok(more)
    }

    /// A token, and what descends from it. Parents can form a circle, which only damage brings about.
    async fn family(&mut self, id: TokenId) -> Result<bool, StoreError> {
        let mut parents = self.named(&[id]).await?;
        let exists = !parents.is_empty();
        let mut seen = BTreeSet::from([id]);
        while !parents.is_empty() {
            let mut children = Vec::new();
            for parents in parents.chunks(PARENTS) {
                let mut after = None;
                loop {
                    let selection = Selection::ChildrenOf { parents: parents.to_vec(), after };
                    let Revoked { found, more, .. } = self.step(&selection).await?;
                    after = found.last().copied().or(after);
                    children.extend(found.into_iter().filter(|child| seen.insert(*child)));
                    if !more {
                        break;
                    }
                }
            }
            // They may be anybody's.
            if !children.is_empty() {
                self.owner = None;
            }
            parents = children;
        }
        Ok(exists)
    }

    /// Tells the other nodes, also where a step failed: what was done before is done.
    async fn finish<T>(
        mut self,
        outcome: Result<T, StoreError>,
    ) -> Result<(Vec<TokenId>, T), StoreError> {
        self.tokens.publish(Changed::of(&self.unpublished, self.owner)).await;
        self.unpublished.clear();
        outcome.map(|done| (mem::take(&mut self.changed), done))
    }
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.tokens.publish_later(&self.unpublished);
    }
}
