use std::{fmt, future::Future, sync::Arc};

use crate::web::{
    Problem,
    auth::{AuthLayer, RequestInfo},
    body::{MediaType, Taken},
    credentials::one,
};

use super::{
    super::{
        Answer, Asked, Target,
        accounts::{Accounts, Refused},
        answer::Done,
        routes::{Found, find},
    },
    document::Reply,
    form::LONGEST,
    options::PageOptions,
    problem,
    routes::{ROUTES, Route},
    view::Site,
    visitor::{Layout, Visitor},
    work::Work,
};

/// Settings of the page. [The module](super) describes the page.
///
/// `Q` is the request of the framework, and `F` the future of a [`Visitor`]. Each adapter has the type with both filled in.
#[must_use]
pub struct SettingsPage<Q: RequestInfo, F> {
    accounts: Accounts<Q, F>,
    options: Arc<PageOptions>,
    path: Option<String>,
}

impl<Q: RequestInfo, F> SettingsPage<Q, F> {
    pub(crate) fn of(
        layer: AuthLayer<Q>,
        visitor: impl Fn(Q, Asked) -> F + Send + Sync + 'static,
    ) -> Self {
        Self { accounts: Accounts::new(layer, visitor), options: Arc::default(), path: None }
    }

    /// Sets the options. Default: [`PageOptions::new`].
    pub fn options(self, options: PageOptions) -> Self {
        Self { options: Arc::new(options), ..self }
    }

    /// Sets the path that browsers see the page at. Set it if a proxy takes a prefix away. A parameter of the path, such as
    /// `{project}`, is replaced by its value. Default: the path of the request.
    pub fn public_path(self, path: impl Into<String>) -> Self {
        Self { path: Some(path.into()), ..self }
    }

    pub(crate) fn layer(&self) -> &AuthLayer<Q> {
        &self.accounts.layer
    }

    /// The document for a person who is not known.
    fn site(&self, mount: &str, language: Option<&str>, request: &Q) -> Site {
        let accepted = one(request.header("accept-language")).ok().flatten();
        let accepted = accepted.and_then(|it| std::str::from_utf8(it).ok());
        Site {
            t: self.options.languages.choose(language, accepted).clone(),
            options: self.options.clone(),
            mount: mount.to_owned(),
            is_in_layout: false,
            creates: false,
            changes: false,
        }
    }
}

impl<Q, R, F> SettingsPage<Q, F>
where
    Q: RequestInfo + Clone,
    F: Future<Output = Result<Visitor, R>>,
{
    /// Answers a request. `body` reads a form, once the person may send one. An error is the application's own response.
    pub(crate) async fn answer<B: Future<Output = Result<Vec<u8>, Problem>>>(
        &self,
        request: &Q,
        target: Option<Target>,
        parameters: Vec<(String, String)>,
        body: impl FnOnce(Taken) -> B,
    ) -> Result<Answer, R> {
        let target = target.map(|it| it.mounted_at(self.path.as_deref(), &parameters));
        let Some(target) = target else {
            let site = self.site("", None, request);
            return Ok(Answer::Done(problem::document(&site, None, &Problem::not_found(), false)));
        };
        let mut site = self.site(target.mount(), None, request);
        let mut layout = None;
        let answer = self.reply(request, &target, parameters, body, &mut site, &mut layout).await;
        let problem = match answer {
            Ok(done) => return Ok(Answer::Done(done)),
            Err(Refused::Own(response)) => return Err(response),
            Err(Refused::Problem(problem)) => problem,
        };
        let is_read = matches!(request.method(), "GET" | "HEAD");
        Ok(Answer::Done(problem::document(&site, layout, &problem, is_read)))
    }

    async fn reply<B: Future<Output = Result<Vec<u8>, Problem>>>(
        &self,
        request: &Q,
        target: &Target,
        parameters: Vec<(String, String)>,
        body: impl FnOnce(Taken) -> B,
        site: &mut Site,
        layout: &mut Option<Layout>,
    ) -> Result<Done, Refused<R>> {
        let route: &Route = match find(&ROUTES.iter(), request.method(), target) {
            Found::Route(route) => route,
            Found::OtherMethods(allow) => {
                let problem = Problem::method_not_allowed().header("allow", allow.into());
                return Err(problem.into());
            }
            Found::Nothing => return Err(Problem::new(404, "no_such_page").into()),
        };
        let Some(step) = route.step else {
            let asset = target.segments.last().and_then(|it| self.options.assets.find(it));
            return Ok(asset.ok_or(Problem::new(404, "no_such_page"))?);
        };
        let asked = Asked::new(step, route.shows_secret, parameters);
        let mut admitted = self.accounts.admit(asked, request, &mut None).await?;
        *site = self.site(target.mount(), admitted.answer.language.as_deref(), request);
        site.creates = admitted.may(super::super::Step::Create);
        site.changes = admitted.may(super::super::Step::Change);
        *layout = admitted.answer.layout.take();
        site.is_in_layout = layout.is_some();
        admitted.require(step)?;
        let taken = Taken { media_type: MediaType::Form, longest: LONGEST };
        let sent = if request.method() == "POST" { body(taken).await? } else { Vec::new() };
        let work = Work {
            site,
            tokens: self.accounts.tokens(),
            owner: &admitted.owner,
            own: admitted.own.clone(),
            grantable: &admitted.grantable,
            choices: &admitted.answer.choices,
            target,
        };
        Ok(match work.answer(route.operation, &sent).await? {
            Reply::Document(document) => document.finish(site, layout.take())?,
            Reply::SeeOther(path) => Done::see_other(path),
        })
    }
}

impl<Q: RequestInfo, F> Clone for SettingsPage<Q, F> {
    fn clone(&self) -> Self {
        Self {
            accounts: self.accounts.clone(),
            options: self.options.clone(),
            path: self.path.clone(),
        }
    }
}

impl<Q: RequestInfo, F> fmt::Debug for SettingsPage<Q, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SettingsPage")
            .field("layer", self.layer())
            .field("options", &self.options)
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}
