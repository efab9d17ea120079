//! The steps that an account takes with tokens of its owner.

use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::json;

use crate::{
    api_tokens::ApiTokens,
    manage::{ManageError, OwnerTokens},
    token::{Abilities, AbilityTemplate, DeclaredAbility, Owner, TokenId},
    web::{
        Problem, TokenPageResource,
        auth::RequestInfo,
        request::{self, Revoke},
    },
};

use super::{
    Target,
    answer::{Answered, Done},
    headers,
    routes::Operation,
};

/// For so long one request goes on revoking all tokens.
const REVOKES_FOR: Duration = Duration::from_secs(20);

/// A request that somebody makes who may take its step.
pub(super) struct Work<'w> {
    pub(super) tokens: &'w ApiTokens,
    pub(super) owner: Owner,
    pub(super) own: OwnerTokens,
    /// The abilities that can be granted: those that all of these permit.
    pub(super) grantable: Vec<Abilities>,
    pub(super) target: &'w Target,
}

impl Work<'_> {
    pub(super) async fn answer(
        self,
        operation: Operation,
        request: &impl RequestInfo,
        body: &[u8],
    ) -> Answered {
        let Self { tokens, own, target, .. } = &self;
        // A text that is no id is the id of no token.
        let id = |it: &Self| -> Result<TokenId, Problem> {
            it.target.segments[0].parse().map_err(|_| ManageError::NotFound.into())
        };
        let takes_version = matches!(operation, Operation::Change | Operation::Rotate);
        let is_read = matches!(request.method(), "GET" | "HEAD");
        if !is_read && !takes_version {
            headers::no_version(request)?;
        }
        let record = match operation {
            Operation::List => {
                let page = own.list(request::list(&target.query)?).await?;
                return Ok(Done::ok(&TokenPageResource::new(&page, tokens.now())));
            }
            Operation::Create => {
                let mut new = request::new_token(self.owner.clone(), body)?;
                if let Some(key) = headers::idempotency_key(request)? {
                    new = new.idempotency_key(key);
                }
                return Ok(Done::issued(&own.issue(new).await?, target));
            }
            Operation::Abilities => return Ok(self.abilities()),
            Operation::RevokeMany => return self.revoke_many(body).await,
            Operation::Show => own.get(id(&self)?).await?,
            Operation::Change => {
                let mut change = request::token_change(body)?;
                if let Some(version) = headers::expected_version(request)? {
                    change = change.if_version(version);
                }
                own.change(id(&self)?, change).await?
            }
            Operation::Rotate => {
                let rotation = headers::rotation(request, body)?;
                return Ok(Done::issued(&own.rotate(id(&self)?, rotation).await?, target));
            }
            Operation::Suspend => {
                let asked = request::suspension(body)?;
                let own = match asked.reason {
                    Some(reason) => own.clone().because(reason),
                    None => own.clone(),
                };
                match asked.until {
                    Some(until) => own.suspend_until(id(&self)?, until).await?,
                    None => own.suspend(id(&self)?).await?,
                }
            }
            Operation::Resume => {
                request::nothing(body)?;
                own.resume(id(&self)?).await?
            }
            Operation::Revoke => {
                own.revoke(id(&self)?).await?;
                return Ok(Done::no_content());
            }
            Operation::Document
            | Operation::RevokePresented
            | Operation::ShowCurrent
            | Operation::RotateCurrent
            | Operation::RevokeCurrent => return Err(Problem::internal()),
        };
        Ok(Done::token(&record, tokens.now()))
    }

    async fn revoke_many(&self, body: &[u8]) -> Answered {
        Ok(Done::ok(&match request::revoke(body)? {
            Revoke::Ids(ids) => json!({ "revoked": self.own.revoke_many(&ids).await? }),
            Revoke::All => {
                let until = Instant::now() + REVOKES_FOR;
                let (count, more) = self.own.revoke_all_until(until).await?;
                json!({ "count": count, "more": more })
            }
        }))
    }

    fn abilities(&self) -> Done {
        let policy = self.tokens.policy();
        let declared = policy.declared.unwrap_or_default().iter();
        let abilities: Vec<_> = declared
            .filter(|declared| self.grantable.iter().all(|it| may_be_granted(declared, it)))
            .map(Described::from)
            .collect();
        let all = self.grantable.iter().all(Abilities::is_all) && policy.allows_all_abilities();
        Done::ok(&json!({ "abilities": abilities, "all": all }))
    }
}

/// A declared ability, for people.
#[derive(Debug, Serialize)]
pub(super) struct Described {
    name: &'static str,
    description: &'static str,
}

impl From<&DeclaredAbility> for Described {
    fn from(declared: &DeclaredAbility) -> Self {
        Self { name: declared.name, description: declared.description }
    }
}

/// Returns `true` if abilities permit a declared one, or for a template one that it stands for.
pub(super) fn may_be_granted(declared: &DeclaredAbility, abilities: &Abilities) -> bool {
    let template = AbilityTemplate::new(declared.name);
    abilities.as_set().is_none_or(|set| set.iter().any(|held| template.is_within(held)))
}
