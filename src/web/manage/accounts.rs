//! The accounts that make requests, as the application knows them.

use std::{borrow::Borrow, future::Future, sync::Arc};

use crate::{
    api_tokens::ApiTokens,
    manage::OwnerTokens,
    token::{Abilities, Ability, Owner},
    verify::VerifiedToken,
    web::{
        Problem,
        auth::{Account, AuthContext, AuthLayer, Caller, RequestInfo},
    },
};

use super::{Asked, Step};

/// Asks the application which account makes a request.
pub(super) struct Accounts<Q: RequestInfo, F> {
    pub(super) layer: AuthLayer<Q>,
    ask: Arc<dyn Fn(Q, Asked) -> F + Send + Sync>,
    pub(super) managing_ability: Option<Ability>,
}

/// A request that is not served: with the application's own response, or with a problem.
pub(super) enum Refused<R> {
    Own(R),
    Problem(Problem),
}

impl<R> From<Problem> for Refused<R> {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

/// An account that makes a request, with its tokens.
pub(super) struct Admitted<V> {
    /// The answer of the application.
    pub(super) answer: V,
    pub(super) owner: Owner,
    pub(super) own: OwnerTokens,
    /// The abilities that can be granted: those that all of these permit.
    pub(super) grantable: Vec<Abilities>,
    creates: bool,
    changes: bool,
}

impl<V> Admitted<V> {
    pub(super) fn may(&self, step: Step) -> bool {
        match step {
            Step::See => true,
            Step::Create => self.creates,
            Step::Change => self.changes,
        }
    }

    /// Refuses a step that the account may not take.
    pub(super) fn require(&self, step: Step) -> Result<(), Problem> {
        if self.may(step) { Ok(()) } else { Err(Problem::new(403, "step_not_allowed")) }
    }
}

impl<Q: RequestInfo, F> Accounts<Q, F> {
    pub(super) fn new(
        layer: AuthLayer<Q>,
        ask: impl Fn(Q, Asked) -> F + Send + Sync + 'static,
    ) -> Self {
        Self { layer, ask: Arc::new(ask), managing_ability: None }
    }

    pub(super) fn tokens(&self) -> &ApiTokens {
        self.layer.authenticator().tokens()
    }
}

impl<Q, R, V, F> Accounts<Q, F>
where
    Q: RequestInfo + Clone,
    V: Borrow<Account>,
    F: Future<Output = Result<V, R>>,
{
    /// The account that makes a request. `context` is set once a session or a token is known.
    pub(super) async fn admit(
        &self,
        asked: Asked,
        request: &Q,
        context: &mut Option<AuthContext>,
    ) -> Result<Admitted<V>, Refused<R>> {
        let (answer, token) = self.account_of(asked, request, context).await?;
        let account: &Account = answer.borrow();
        let owner = account.owner().clone();
        let own = match &token {
            Some((token, ability)) => self.tokens().managed_by(token, ability.clone()),
            None => self.tokens().owned_by(&owner),
        };
        // An owner who acts for themselves is not named as the actor, too.
        let is_owner = account.actor().as_str() == owner.as_str();
        let own = if is_owner { own } else { own.by(account.actor().clone()) };
        let own = own.restricted_to(account.abilities().clone());
        let mut grantable = vec![account.abilities().clone()];
        grantable.extend(token.map(|(token, _)| token.abilities().clone()));
        let (creates, changes) = (account.creates(), account.changes());
        Ok(Admitted { answer, owner, own, grantable, creates, changes })
    }

    /// The answer of the application, and the token that makes the request, with the ability to manage others.
    async fn account_of(
        &self,
        asked: Asked,
        request: &Q,
        context: &mut Option<AuthContext>,
    ) -> Result<(V, Option<(VerifiedToken, Ability)>), Refused<R>> {
        let judged = match self.layer.step_or_session(request) {
            Ok(judged) => judged.verdict().await?,
            Err(question) => {
                let answer = self.ask(request, asked).await?;
                *context = Some(question.made_by(answer.borrow().clone())?);
                return Ok((answer, None));
            }
        };
        let auth = context.insert(judged);
        let Some(token) = auth.caller().and_then(Caller::token).cloned() else {
            // A layer of the application has found a session, or none. It may know less than is asked for here.
            let answer = self.ask(request, asked).await?;
            let account = answer.borrow().clone();
            *context = Some(self.layer.made_by(auth.clone(), account, request)?);
            return Ok((answer, None));
        };
        let ability = self.may_manage(auth)?;
        let answer = self.ask(request, asked.by(token.clone())).await?;
        let account: &Account = answer.borrow();
        if account.owner() != token.owner() || account.abilities().is_none() {
            return Err(auth.refused_for(auth.required_caller()?, &[]).into());
        }
        Ok((answer, Some((token, ability))))
    }

    /// Asks the application which account takes a step, no longer than the deadline.
    async fn ask(&self, request: &Q, asked: Asked) -> Result<V, Refused<R>> {
        let answer = (self.ask)(request.clone(), asked);
        let answer = self.layer.authenticator().session_in_time(answer).await?;
        answer.map_err(Refused::Own)
    }

    /// The ability by which the token of a request manages others.
    fn may_manage(&self, auth: &AuthContext) -> Result<Ability, Problem> {
        let ability = self.managing_ability.as_ref();
        let caller = auth.required_caller()?;
        if let Some(ability) = ability.filter(|ability| caller.can(ability.as_str())) {
            return Ok(ability.clone());
        }
        let required = ability.map(Ability::as_str);
        Err(auth.refused_for(caller, required.as_slice()))
    }
}

impl<Q: RequestInfo, F> Clone for Accounts<Q, F> {
    fn clone(&self) -> Self {
        Self {
            layer: self.layer.clone(),
            ask: self.ask.clone(),
            managing_ability: self.managing_ability.clone(),
        }
    }
}
