use std::{fmt, future::Future, sync::Arc};

use crate::{
    token::{Ability, InvalidValue},
    verify::VerifiedToken,
    web::{
        JsonBody, Problem,
        auth::{Account, AuthContext, AuthLayer, Caller, RequestInfo},
    },
};

use super::{
    Answer, Asked, Step, Target,
    answer::{Answered, Done},
    bearer,
    document::{About, document},
    leaked::Leaked,
    routes::{self, By, Found, Operation, ROUTES, Route},
    tokens::Work,
};

/// Settings of the routes that manage tokens. [The module](super) describes the routes.
///
/// `Q` is the request of the framework, and `F` the future of an [`Account`]. Each adapter has the type with both filled
/// in.
#[must_use]
pub struct Management<Q: RequestInfo, F> {
    layer: AuthLayer<Q>,
    account: Arc<dyn Fn(Q, Asked) -> F + Send + Sync>,
    managing_ability: Option<Ability>,
    revokes_presented: bool,
    leaked: Arc<Leaked>,
    shows_document: bool,
    session_cookie: Option<String>,
    path: Option<String>,
}

impl<Q: RequestInfo, F> Management<Q, F> {
    pub(crate) fn of(
        layer: AuthLayer<Q>,
        account: impl Fn(Q, Asked) -> F + Send + Sync + 'static,
    ) -> Self {
        Self {
            layer,
            account: Arc::new(account),
            managing_ability: None,
            revokes_presented: false,
            leaked: Arc::default(),
            shows_document: false,
            session_cookie: None,
            path: None,
        }
    }

    /// Lets a token manage others if it has an ability, such as `tokens:manage`. The application is asked about such a token
    /// too: see [`Asked::token`]. Default: no token manages others; a request with a token is answered with 403.
    ///
    /// # Errors
    /// [`InvalidValue`] if the text is not one ability.
    pub fn tokens_may_manage(self, ability: &str) -> Result<Self, InvalidValue> {
        let ability = Ability::new(ability)?;
        if !crate::token::is_ability(ability.as_str()) {
            return Err(crate::token::Rule::MisplacedWildcard.broken_by("tokens_may_manage"));
        }
        Ok(Self { managing_ability: Some(ability), ..self })
    }

    /// Sets whether `POST /revoke-presented` revokes leaked tokens that anyone sends, without a login: a body
    /// `{"tokens": […]}` of at most 1,000 texts and 128 KiB. Default: `false`.
    ///
    /// The answer is 202 if every token among them is revoked, and does not tell which texts were tokens. Each address can
    /// send 60 such requests an hour. All clients share 60 if the layer has no `client_address`.
    pub fn revoke_presented(self, accepted: bool) -> Self {
        Self { revokes_presented: accepted, ..self }
    }

    /// Sets the path that clients see the routes at, for `Location` and the OpenAPI document. Set it if a proxy takes a prefix
    /// away. Default: the path of the request, with the values of its parameters.
    pub fn public_path(self, path: impl Into<String>) -> Self {
        Self { path: Some(path.into()), ..self }
    }

    /// Sets whether `GET /openapi.json` shows the [document](Self::document), without a login. Default: `false`.
    pub fn openapi(self, shown: bool) -> Self {
        Self { shows_document: shown, ..self }
    }

    /// Sets the name of the cookie of the application's login, for the OpenAPI document. Default: the document names no
    /// session.
    pub fn session_cookie(self, name: impl Into<String>) -> Self {
        Self { session_cookie: Some(name.into()), ..self }
    }

    /// Returns the OpenAPI 3.1 document of the routes as they are mounted at a path, such as `/account/tokens`.
    #[must_use]
    pub fn document(&self, path: &str) -> serde_json::Value {
        let authenticator = self.layer.authenticator();
        let declared = authenticator.tokens().policy().declared.unwrap_or_default();
        let about = About {
            mount: path.trim_end_matches('/'),
            realm: authenticator.realm(),
            abilities: declared.iter().map(|it| it.name).collect(),
            session_cookie: self.session_cookie.as_deref(),
            tokens_may_manage: self.managing_ability.is_some(),
        };
        document(&about, ROUTES.iter().filter(|route| self.is_on(route)))
    }

    pub(crate) fn layer(&self) -> &AuthLayer<Q> {
        &self.layer
    }

    fn is_on(&self, route: &Route) -> bool {
        match route.operation {
            Operation::RevokePresented => self.revokes_presented,
            Operation::Document => self.shows_document,
            _ => true,
        }
    }
}

/// A request that is not served: with the application's own response, or with a problem.
enum Refused<R> {
    Own(R),
    Problem(Problem),
}

impl<R> From<Problem> for Refused<R> {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl<Q: RequestInfo + Clone, R, F: Future<Output = Result<Account, R>>> Management<Q, F> {
    /// Answers a request. `body` reads a body of at most so many bytes, once the caller may send one. An error is the
    /// application's own response.
    pub(crate) async fn answer<B: Future<Output = Result<JsonBody, Problem>>>(
        &self,
        request: &Q,
        target: Option<Target>,
        parameters: Vec<(String, String)>,
        body: impl FnOnce(usize) -> B,
    ) -> Result<Answer, R> {
        let Some(target) = target.map(|it| it.mounted_at(self.path.as_deref())) else {
            return Ok(self.problem(Problem::not_found(), None));
        };
        let route = match routes::find(request.method(), &target, |it| self.is_on(it)) {
            Found::Route(route) => route,
            Found::OtherMethods(allow) => {
                let problem = Problem::method_not_allowed().header("allow", allow.into());
                return Ok(self.problem(problem, None));
            }
            Found::Nothing => return Ok(self.problem(Problem::not_found(), None)),
        };
        let mut auth = None;
        // actix gives what follows an `Upgrade` as the body, which has no end.
        let body = async || match route.body {
            Some(taken) => body(taken.longest).await,
            None => Ok(JsonBody::unread()),
        };
        let served = match route.by {
            By::Account(step) => {
                self.by_account(step, route, request, &target, parameters, body, &mut auth).await
            }
            By::Bearer => self.by_bearer(route, request, &target, body, &mut auth).await,
            By::Secret => self.by_secret(request).await.map_err(Refused::Problem),
            By::Anyone if route.operation == Operation::Document => {
                Ok(Done::ok(&self.document(target.mount())))
            }
            By::Anyone => self.by_anyone(request, body).await.map_err(Refused::Problem),
        };
        match served {
            Ok(mut done) => {
                if let Some(auth) = &auth {
                    done.headers.extend(auth.headers());
                }
                Ok(Answer::Done(done))
            }
            Err(Refused::Problem(problem)) => Ok(self.problem(problem, auth.as_ref())),
            Err(Refused::Own(response)) => Err(response),
        }
    }

    #[allow(clippy::too_many_arguments, reason = "each is a part of the request")]
    async fn by_account(
        &self,
        step: Step,
        route: &Route,
        request: &Q,
        target: &Target,
        parameters: Vec<(String, String)>,
        body: impl AsyncFnOnce() -> Result<JsonBody, Problem>,
        context: &mut Option<AuthContext>,
    ) -> Result<Done, Refused<R>> {
        let tokens = self.layer.authenticator().tokens();
        let asked = Asked::new(step, route.shows_secret(), parameters);
        let (account, token) = self.account_of(asked, request, context).await?;
        let may_take_it = match step {
            Step::See => true,
            Step::Create => account.creates(),
            Step::Change => account.changes(),
        };
        if !may_take_it {
            return Err(Problem::new(403, "step_not_allowed").into());
        }
        let own = match &token {
            Some((token, ability)) => tokens.managed_by(token, ability.clone()),
            None => tokens.owned_by(account.owner()),
        };
        // An owner who acts for themselves is not named as the actor, too.
        let is_owner = account.actor().as_str() == account.owner().as_str();
        let own = if is_owner { own } else { own.by(account.actor().clone()) };
        let own = own.restricted_to(account.abilities().clone());
        let body = body().await?;
        let mut grantable = vec![account.abilities().clone()];
        grantable.extend(token.map(|(token, _)| token.abilities().clone()));
        let owner = account.owner().clone();
        let work = Work { tokens, owner, own, grantable, target };
        Ok(work.answer(route.operation, request, &body).await?)
    }

    /// The account that makes a request, and the token that it makes it by, with the ability to manage others.
    async fn account_of(
        &self,
        asked: Asked,
        request: &Q,
        context: &mut Option<AuthContext>,
    ) -> Result<(Account, Option<(VerifiedToken, Ability)>), Refused<R>> {
        let judged = match self.layer.step_or_session(request) {
            Ok(judged) => judged.verdict().await?,
            Err(question) => {
                let account = self.ask(request, asked).await?;
                *context = Some(question.made_by(account.clone())?);
                return Ok((account, None));
            }
        };
        let auth = context.insert(judged);
        let Some(token) = auth.caller().and_then(Caller::token).cloned() else {
            // A layer of the application has found a session, or none. It may know less than is asked for here.
            let account = self.ask(request, asked).await?;
            *context = Some(self.layer.made_by(auth.clone(), account.clone(), request)?);
            return Ok((account, None));
        };
        let ability = self.may_manage(auth)?;
        let account = self.ask(request, asked.by(token.clone())).await?;
        if account.owner() != token.owner() || account.abilities().is_none() {
            return Err(auth.refused_for(auth.required_caller()?, &[]).into());
        }
        Ok((account, Some((token, ability))))
    }

    /// Asks the application which account takes a step, no longer than the deadline.
    async fn ask(&self, request: &Q, asked: Asked) -> Result<Account, Refused<R>> {
        let answer = (self.account)(request.clone(), asked);
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

    async fn by_bearer(
        &self,
        route: &Route,
        request: &Q,
        target: &Target,
        body: impl AsyncFnOnce() -> Result<JsonBody, Problem>,
        context: &mut Option<AuthContext>,
    ) -> Result<Done, Refused<R>> {
        let authenticator = self.layer.authenticator();
        let verdict = match self.layer.step_or_session(request) {
            Ok(judged) => judged.verdict().await?,
            Err(question) => question.made_by_nobody()?,
        };
        let auth = context.insert(verdict);
        let token: VerifiedToken = auth.required_token()?.clone();
        let body = body().await?;
        let (tokens, limit) = (authenticator.tokens(), auth.limit());
        Ok(match route.operation {
            Operation::RotateCurrent => {
                bearer::rotate(tokens, &token, request, &body, target).await?
            }
            _ => bearer::show(tokens, &token, limit).await?,
        })
    }

    /// It works in any state, without an ability and whatever the rate limit, which a thief may be using up.
    async fn by_secret(&self, request: &Q) -> Answered {
        let from = self.layer.address_of(request);
        self.layer.authenticator().revoke_presented(request, from).await?;
        Ok(Done::no_content())
    }

    async fn by_anyone(
        &self,
        request: &Q,
        body: impl AsyncFnOnce() -> Result<JsonBody, Problem>,
    ) -> Answered {
        let authenticator = self.layer.authenticator();
        self.leaked.charge(authenticator, self.layer.address_of(request)).await?;
        self.leaked.revoke(authenticator, &body().await?).await
    }

    /// A problem in the form of the application, with the state of the rate limit.
    fn problem(&self, problem: Problem, auth: Option<&AuthContext>) -> Answer {
        Answer::Problem(self.layer.authenticator().in_form(problem, auth))
    }
}

impl<Q: RequestInfo, F> Clone for Management<Q, F> {
    fn clone(&self) -> Self {
        Self {
            layer: self.layer.clone(),
            account: self.account.clone(),
            managing_ability: self.managing_ability.clone(),
            revokes_presented: self.revokes_presented,
            leaked: self.leaked.clone(),
            shows_document: self.shows_document,
            session_cookie: self.session_cookie.clone(),
            path: self.path.clone(),
        }
    }
}

impl<Q: RequestInfo, F> fmt::Debug for Management<Q, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Management")
            .field("layer", &self.layer)
            .field("managing_ability", &self.managing_ability)
            .field("revokes_presented", &self.revokes_presented)
            .field("shows_document", &self.shows_document)
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}
