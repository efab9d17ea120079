use std::sync::Arc;

use smol_str::SmolStr;

use crate::{
    api_tokens::ApiTokens,
    limit::Charge,
    token::{AbilityTemplate, Filled, InvalidValue, Rule, is_ability_template},
    web::Problem,
};

use super::{
    AuthRequest,
    context::{AuthContext, Step, Verdict, misused},
    request_info::RequestInfo,
};

#[cfg(any(feature = "axum", feature = "actix"))]
use super::context::with_context;

/// What a route asks of a caller beside what its handler asks: an ability that is known at run time or built from the
/// path, and what the caller is charged. It goes inside of the layer that authenticates; with axum it is a tower layer,
/// with actix a middleware.
///
/// ```
/// use keyfob::{limit::Charge, testing, token::RateLimit, web::Guard};
/// use time::Duration;
///
/// # let (tokens, _) = testing::in_memory("acme");
/// // `GET /projects/42/builds` asks for `projects:42:read`.
/// let read = Guard::ability(&tokens, "projects:{id}:read")?;
///
/// // Of what a token may create in an hour, this takes five.
/// let hourly = Charge::new("create", RateLimit::new(100, Duration::HOUR)?)?;
/// let create = Guard::ability(&tokens, "projects:{id}:write")?.charge(hourly.cost(5)?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Guard(Arc<Asked>);

#[derive(Clone, Debug)]
struct Asked {
    ability: Option<SmolStr>,
    enforced: bool,
    charge: Option<Charge>,
}

impl Guard {
    /// Asks for an ability, such as `servers:read`, or one that is built from the path, such as `projects:{id}:write`.
    ///
    /// A parameter is named as in the route, whatever its name in the declared ability. Its value must be one segment of an
    /// ability. Otherwise the answer is 404. A refusal shows the template.
    ///
    /// # Errors
    /// [`InvalidValue`] if the text is neither, or fits no ability that the application has
    /// [declared](crate::ApiTokensBuilder::declare).
    pub fn ability(tokens: &ApiTokens, text: &str) -> Result<Self, InvalidValue> {
        if !is_ability_template(text) {
            let rule = "must be an ability, with {parameters} only for whole segments";
            return Err(Rule::from(format!("{rule}, and {text:?} is not")).broken_by("guard"));
        }
        if !tokens.policy().declares(|it| it.meets(AbilityTemplate::new(text))) {
            let rule = format!("must fit an ability that is declared, and {text:?} does not");
            return Err(Rule::from(rule).broken_by("guard"));
        }
        let ability = Some(text.into());
        Ok(Self(Arc::new(Asked { ability, enforced: true, charge: None })))
    }

    /// Asks for no ability, and charges the caller.
    #[must_use]
    pub fn charging(charge: Charge) -> Self {
        Self(Arc::new(Asked { ability: None, enforced: true, charge: Some(charge) }))
    }

    /// Charges the caller as well, before its abilities are checked. The payer is the token, or the owner and actor of the
    /// session, or the owner if the charge is [per owner](Charge::per_owner). The limit of the layer is charged too. The
    /// response tells of the limit of this guard. If either limit refuses the request, both charges are given back. The
    /// limiter is that of the layer's authenticator.
    ///
    /// One request is charged once by a guard, wherever its clones are mounted.
    #[must_use]
    pub fn charge(mut self, charge: Charge) -> Self {
        Arc::make_mut(&mut self.0).charge = Some(charge);
        self
    }

    /// Lets a caller pass that lacks the ability, and reports it as an [event](crate::Event::AbilityMissing).
    #[must_use]
    pub fn report_only(mut self) -> Self {
        Arc::make_mut(&mut self.0).enforced = false;
        self
    }

    /// Returns `true` if both are one guard, as clones are.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Judges a request that [`authenticate`](super::Authenticator::authenticate) has let in. A layer of a framework
    /// does this by itself. It returns the context after the charge, whose [headers](AuthContext::headers) tell of it.
    ///
    /// ```
    /// # futures_executor::block_on(async {
    /// use keyfob::{limit::Charge, testing, token::RateLimit, web::{Authenticator, Guard, Realm, auth::AuthRequest}};
    ///
    /// # let (tokens, _) = testing::in_memory("acme");
    /// # let ada = testing::acting_as(&tokens, "user:42", ["servers:create"]).await;
    /// # let (name, value) = ada.header();
    /// let daily = Charge::new("create", RateLimit::new(100, time::Duration::DAY)?)?.per_owner();
    /// let guard = Guard::ability(&tokens, "servers:create")?.charge(daily);
    /// let authenticator = Authenticator::require(tokens, Realm::new("Acme API")?);
    ///
    /// let request = AuthRequest::new("POST", "/servers").headers([(name, value.as_bytes())]);
    /// let auth = authenticator.authenticate(&request).await?;
    /// let auth = guard.check(auth, request).await?;
    /// assert!(auth.headers().contains(&("x-ratelimit-remaining", "99".to_owned())));
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// The [`Problem`] to answer with. If a limit refuses the request, everything that it was charged is given back.
    pub async fn check(&self, auth: AuthContext, mut request: AuthRequest<'_>) -> Verdict {
        let charged = auth.charged.clone();
        let verdict = match self.judge(auth.again(), &mut request) {
            Ok(step) => step.verdict().await,
            Err(problem) => Err(problem),
        };
        let Err(problem) = &verdict else { return verdict };
        auth.refused();
        if problem.is_by_limit() {
            for charged in charged.iter().flat_map(|it| it.and_before()) {
                charged.refund_at_once();
                charged.refund().await;
            }
        }
        verdict
    }

    /// Judges a request that was let in by a layer further out.
    #[cfg(any(feature = "axum", feature = "actix"))]
    pub(crate) fn step(&self, request: &mut impl RequestInfo) -> Step {
        let auth = with_context(request, |it| Ok(it.again()));
        let step = auth.and_then(|auth| self.judge(auth, request));
        match step.unwrap_or_else(|problem| Step::Now(Err(problem))) {
            Step::Now(verdict) => Step::Now(verdict.inspect_err(|_| {
                request.with_context(|auth| auth.map(AuthContext::refused));
            })),
            Step::Later(verdict) => {
                let left = request.with_context(|it| Some(it?.clone()));
                Step::Later(Box::pin(async move {
                    verdict.await.inspect_err(|_| left.iter().for_each(AuthContext::refused))
                }))
            }
        }
    }

    fn judge(&self, auth: AuthContext, request: &mut impl RequestInfo) -> Result<Step, Problem> {
        let Asked { ability, enforced, charge } = &*self.0;
        if let Some(template) = ability {
            auth.asked(request, || asked(template, *enforced));
        }
        if auth.caller.is_none() && !enforced {
            return Ok(Step::Now(Ok(auth)));
        }
        auth.required_caller()?;
        let charged = match charge {
            Some(charge) => {
                let authenticator = auth.authenticator.clone();
                authenticator.charge(auth, *charge, Some(self.clone()))
            }
            None => Step::Now(Ok(auth)),
        };
        Ok(match charged {
            Step::Now(verdict) => {
                Step::Now(verdict.and_then(|it| self.require(it, self.fill(request)?)))
            }
            Step::Later(verdict) => {
                // The request is elsewhere once that has waited.
                let (guard, filled) = (self.clone(), self.fill(request));
                Step::Later(Box::pin(async move { guard.require(verdict.await?, filled?) }))
            }
        })
    }

    /// The ability that this request asks for. `None`: the path names no such thing.
    fn fill(&self, request: &mut impl RequestInfo) -> Result<Option<String>, Problem> {
        let Some(template) = &self.0.ability else { return Ok(None) };
        let filled = AbilityTemplate::new(template).fill(|name| request.parameter(name));
        ability_of(filled, request)
    }

    fn require(&self, auth: AuthContext, required: Option<String>) -> Verdict {
        let Asked { ability, enforced, .. } = &*self.0;
        if let Some(template) = ability {
            if required.is_none() && *enforced {
                return Err(auth.authenticator.not_found(auth.quota()));
            }
            let caller = auth.required_caller()?;
            if !required.is_some_and(|required| caller.can(&required)) {
                auth.lacking(caller, &[template], *enforced)?;
            }
        }
        Ok(auth)
    }
}

/// An ability as a log of guards shows it.
pub(super) fn asked(template: &str, enforced: bool) -> String {
    format!("{template}{}", if enforced { "" } else { " (report only)" })
}

/// The ability that a request asks for. `None`: the path names no such thing.
pub(super) fn ability_of(
    filled: Filled,
    request: &impl RequestInfo,
) -> Result<Option<String>, Problem> {
    match filled {
        Filled::Ability(ability) => Ok(Some(ability)),
        Filled::Nothing => Ok(None),
        Filled::NoParameter if request.route().is_none() => Ok(None),
        Filled::NoParameter => {
            Err(misused(request, "an ability names a parameter that the route does not have"))
        }
    }
}
