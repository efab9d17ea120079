use std::{borrow::Borrow, fmt, future::Future, sync::Arc};

use crate::{
    token::{Ability, InvalidValue},
    verify::VerifiedToken,
    web::{
        Problem,
        auth::{Account, AuthContext, AuthLayer, RequestInfo},
        body::{MediaType, Taken},
    },
};

use super::{
    Answer, Asked, Step, Target,
    accounts::{Accounts, Admitted, Refused},
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
    accounts: Accounts<Q, F>,
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
            accounts: Accounts::new(layer, account),
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
    pub fn tokens_may_manage(mut self, ability: &str) -> Result<Self, InvalidValue> {
        let ability = Ability::new(ability)?;
        if !crate::token::is_ability(ability.as_str()) {
            return Err(crate::token::Rule::MisplacedWildcard.broken_by("tokens_may_manage"));
        }
        self.accounts.managing_ability = Some(ability);
        Ok(self)
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
    /// away. A parameter of the path, such as `{project}`, is replaced by its value. Default: the path of the request.
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
        let authenticator = self.layer().authenticator();
        let declared = authenticator.tokens().policy().declared.unwrap_or_default();
        let about = About {
            mount: path.trim_end_matches('/'),
            realm: authenticator.realm(),
            abilities: declared.iter().map(|it| it.name).collect(),
            session_cookie: self.session_cookie.as_deref(),
            tokens_may_manage: self.accounts.managing_ability.is_some(),
        };
        document(&about, ROUTES.iter().filter(|route| self.is_on(route)))
    }

    pub(crate) fn layer(&self) -> &AuthLayer<Q> {
        &self.accounts.layer
    }

    fn is_on(&self, route: &Route) -> bool {
        match route.operation {
            Operation::RevokePresented => self.revokes_presented,
            Operation::Document => self.shows_document,
            _ => true,
        }
    }
}

impl<Q, R, V, F> Management<Q, F>
where
    Q: RequestInfo + Clone,
    V: Borrow<Account>,
    F: Future<Output = Result<V, R>>,
{
    /// Answers a request. `body` reads a body, once the caller may send one. An error is the
    /// application's own response.
    pub(crate) async fn answer<B: Future<Output = Result<Vec<u8>, Problem>>>(
        &self,
        request: &Q,
        target: Option<Target>,
        parameters: Vec<(String, String)>,
        body: impl FnOnce(Taken) -> B,
    ) -> Result<Answer, R> {
        let Some(target) = target.map(|it| it.mounted_at(self.path.as_deref(), &parameters)) else {
            return Ok(self.problem(Problem::not_found(), None));
        };
        let on = ROUTES.iter().filter(|route| self.is_on(route));
        let route = match routes::find(&on, request.method(), &target) {
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
            Some(it) => body(Taken { media_type: MediaType::Json, longest: it.longest }).await,
            None => Ok(Vec::new()),
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
        body: impl AsyncFnOnce() -> Result<Vec<u8>, Problem>,
        context: &mut Option<AuthContext>,
    ) -> Result<Done, Refused<R>> {
        let asked = Asked::new(step, route.shows_secret(), parameters);
        let admitted = self.accounts.admit(asked, request, context).await?;
        admitted.require(step)?;
        let body = body().await?;
        let Admitted { owner, own, grantable, .. } = admitted;
        let work = Work { tokens: self.accounts.tokens(), owner, own, grantable, target };
        Ok(work.answer(route.operation, request, &body).await?)
    }

    async fn by_bearer(
        &self,
        route: &Route,
        request: &Q,
        target: &Target,
        body: impl AsyncFnOnce() -> Result<Vec<u8>, Problem>,
        context: &mut Option<AuthContext>,
    ) -> Result<Done, Refused<R>> {
        let authenticator = self.layer().authenticator();
        let verdict = match self.layer().step_or_session(request) {
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
        let from = self.layer().address_of(request);
        self.layer().authenticator().revoke_presented(request, from).await?;
        Ok(Done::no_content())
    }

    async fn by_anyone(
        &self,
        request: &Q,
        body: impl AsyncFnOnce() -> Result<Vec<u8>, Problem>,
    ) -> Answered {
        let authenticator = self.layer().authenticator();
        self.leaked.charge(authenticator, self.layer().address_of(request)).await?;
        self.leaked.revoke(authenticator, &body().await?).await
    }

    /// A problem in the form of the application, with the state of the rate limit.
    fn problem(&self, problem: Problem, auth: Option<&AuthContext>) -> Answer {
        Answer::Problem(self.layer().authenticator().in_form(problem, auth))
    }
}

impl<Q: RequestInfo, F> Clone for Management<Q, F> {
    fn clone(&self) -> Self {
        Self {
            accounts: self.accounts.clone(),
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
            .field("layer", self.layer())
            .field("managing_ability", &self.accounts.managing_ability)
            .field("revokes_presented", &self.revokes_presented)
            .field("shows_document", &self.shows_document)
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}
