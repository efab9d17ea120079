//! Managers who may not grant everything: people with a part of the abilities, and tokens that manage others.
//!
//! | step | on a token that goes beyond the manager |
//! |---|---|
//! | see, suspend, revoke | allowed |
//! | change | allowed, as long as the token can do no more afterwards |
//! | add abilities that the manager may grant | allowed, if the token exceeds the manager in its abilities only |
//! | rotate, resume, extend | [`BeyondAccount`](ManageError::BeyondAccount): it would put more into the manager's hands |
//!
//! A manager could otherwise lend its abilities to a token that outlives it.
//!
//! A store applies such a step only to the version that was judged: another actor can make the token stronger meanwhile.

use crate::{
    api_tokens::{
        ApiTokens,
        policy::{Bounds, extends},
    },
    store::contract::Change,
    token::{Abilities, Ability, Actor, Fields, TokenRecord},
    verify::{VerifiedToken, VerifyError},
};

use super::owner_tokens::{ManageError, OwnerTokens};

/// A token that manages others, by an ability of its own.
#[derive(Clone, Debug)]
pub(crate) struct Manager {
    pub(super) token: VerifiedToken,
    pub(super) ability: Ability,
}

/// The bounds of a manager, as they are now.
pub(super) struct Within {
    bounds: Vec<Bounds>,
}

impl ApiTokens {
    /// Manages the tokens of a token's owner, as far as that token reaches, if it has an ability such as `tokens:manage`.
    /// The actor is `token:` and its id, unless [another](OwnerTokens::by) is set.
    ///
    /// It revokes and suspends any token. It issues tokens as [`issue_on_behalf_of`](Self::issue_on_behalf_of) does, and
    /// is their parent. It rotates, resumes and extends only tokens that it could issue, and not itself. It is looked up
    /// again for each such step, and a secret that a rotation has replaced can take none.
    ///
    /// ```
    /// # futures_executor::block_on(async {
    /// # use keyfob::{Ability, ApiTokens, NewToken, Owner, TokenRotation, store::MemoryStore};
    /// # let tokens = ApiTokens::builder(MemoryStore::new()).prefix("acme").build().unwrap();
    /// # let owner = Owner::new("user:42").unwrap();
    /// let strong = tokens.issue(NewToken::new(&owner, "strong").all_abilities()).await.unwrap().record.id;
    /// let ci = NewToken::new(&owner, "ci").abilities(["tokens:manage", "builds:*"]);
    /// let ci = tokens.issue(ci).await.unwrap();
    ///
    /// let ci = tokens.verify(ci.plain.expose_secret()).await.unwrap();
    /// let own = tokens.managed_by(&ci, Ability::new("tokens:manage").unwrap());
    /// let job = own.issue(NewToken::named("job").abilities(["builds:write"])).await.unwrap();
    /// assert_eq!(job.record.parent(), Some(ci.id()));
    /// let rotated = own.rotate(strong, TokenRotation::new()).await;
    /// assert!(rotated.is_err());
    /// own.revoke(strong).await.unwrap();
    /// # });
    /// ```
    pub fn managed_by(&self, token: &VerifiedToken, ability: Ability) -> OwnerTokens {
        let by = Actor::new(format!("token:{}", token.id())).ok();
        let manager = Some(Manager { token: token.clone(), ability });
        OwnerTokens { by, manager, ..self.owned_by(token.owner()) }
    }
}

impl OwnerTokens {
    /// Restricts the actor to granting abilities. New tokens have no others, and a change adds no others. The actor
    /// rotates, resumes and extends only tokens without others, and revokes and suspends any token. Default: all abilities.
    ///
    /// ```
    /// # futures_executor::block_on(async {
    /// # use keyfob::{Abilities, ApiTokens, ManageError, NewToken, Owner, TokenChange, store::MemoryStore};
    /// # let tokens = ApiTokens::builder(MemoryStore::new()).prefix("acme").build().unwrap();
    /// # let project = Owner::new("project:7").unwrap();
    /// # let new = NewToken::new(&project, "deploy").abilities(["servers:read", "servers:delete"]);
    /// # let id = tokens.issue(new).await.unwrap().record.id;
    /// let member = tokens.owned_by(&project).restricted_to(Abilities::set(["servers:read"])?);
    /// // The token has `servers:delete` too. Its name can be changed, its expiry can't become later.
    /// member.rename(id, "old-deploy").await?;
    /// let less = TokenChange::new().abilities(["servers:read"]);
    /// member.change(id, less).await?;
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    pub fn restricted_to(mut self, abilities: Abilities) -> Self {
        self.grantable = Some(abilities).filter(|it| !it.is_all());
        self
    }

    /// Returns `true` if the manager may not grant everything.
    pub(super) fn is_bounded(&self) -> bool {
        self.manager.is_some() || self.grantable.is_some()
    }

    /// Reads the bounds of the manager again: the managing token may have been revoked or changed since.
    pub(super) async fn within(&self) -> Result<Within, ManageError> {
        let mut bounds: Vec<_> =
            self.grantable.clone().map(Bounds::Abilities).into_iter().collect();
        if let Some(Manager { token, ability }) = &self.manager {
            let manager = self.tokens.revalidate_stored(token).await;
            let manager = manager.map_err(|reason| match reason {
                VerifyError::Store(error) => ManageError::Store(error),
                _ => ManageError::BeyondAccount,
            })?;
            // The tokens that it grants would outlive the grace of a replaced secret.
            if !manager.is_current() || !manager.can(ability.as_str()) {
                return Err(ManageError::BeyondAccount);
            }
            bounds.push(Bounds::Token(manager.record().clone()));
        }
        Ok(Within { bounds })
    }
}

impl Within {
    /// The version that a step must find, as it was judged by these bounds.
    pub(super) fn version(&self, judged: &TokenRecord) -> Option<u32> {
        (!self.bounds.is_empty()).then_some(judged.version)
    }

    /// Lets only a token pass that the manager could issue, and not the manager itself.
    pub(super) fn admit(&self, token: &TokenRecord) -> Result<(), ManageError> {
        self.admit_other(token)?;
        let is_within = self.bounds.iter().all(|it| it.cover(token));
        if is_within { Ok(()) } else { Err(ManageError::BeyondAccount) }
    }

    /// Lets only a change pass after which the token can do no more, or no more than the manager may grant.
    pub(super) fn admit_change(
        &self,
        before: &TokenRecord,
        change: &Change,
    ) -> Result<(), ManageError> {
        self.admit_other(before)?;
        let mut after = before.clone();
        change.set(&mut after);
        let mut fields = Fields::default();
        for bounds in &self.bounds {
            if !bounds.cover_added(&after.abilities, &before.abilities) {
                fields.refuse("abilities", bounds.rule());
            }
        }
        if !fields.is_empty() {
            return Err(fields.into_error().into());
        }
        if extends(before, &after) {
            return self.admit(&after);
        }
        // Otherwise a manager could lend its abilities to a token that outlives it.
        let adds = !before.abilities.cover(&after.abilities);
        let is_within = self.bounds.iter().all(|it| it.cover_all_but_abilities(&after));
        if adds && !is_within { Err(ManageError::BeyondAccount) } else { Ok(()) }
    }

    fn admit_other(&self, token: &TokenRecord) -> Result<(), ManageError> {
        let is_manager =
            |it: &Bounds| matches!(it, Bounds::Token(manager) if manager.id == token.id);
        if self.bounds.iter().any(is_manager) { Err(ManageError::BeyondAccount) } else { Ok(()) }
    }
}
