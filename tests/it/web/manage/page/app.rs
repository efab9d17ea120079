//! An application whose projects have a settings page at `/projects/{project}/settings/tokens`.

use std::{future::ready, rc::Rc};

use ::axum::Router;
use ::http::request::Parts;
use ::tower::ServiceExt;
use actix_web::{
    App, HttpRequest,
    test::{TestRequest, init_service},
};
use futures_util::FutureExt;
use keyfob::{
    Abilities, ApiTokens, NewToken, Owner, Policy, TokenId, TokenRecord,
    token::Actor,
    web::{
        Authenticator, Problem, Realm, actix,
        auth::Account,
        axum,
        manage::{
            Asked,
            page::{Choice, PageOptions, Visitor},
        },
    },
};
use regex::Regex;

use crate::{
    support::{Seeded, World},
    web::{
        actix_app::erase,
        app::{Framework, Serve},
        axum_app::{answer, translate},
        http::{Request, Response, get, post},
    },
};

keyfob::abilities! {
    pub enum PanelAbility {
        ServersRead = "servers:read", "List and show servers";
        ServersCreate = "servers:create", "Create servers";
        SitesRead = "sites:read", "List sites";
        ProjectWrite = "projects:{project}:write", "Change a project";
    }
}

pub const PAGE: &str = "/projects/7/settings/tokens";

pub struct Setup {
    pub policy: Policy,
    pub options: PageOptions,
    pub public_path: Option<&'static str>,
    pub in_layout: bool,
}

impl Default for Setup {
    fn default() -> Self {
        let (policy, options) = (Policy::new(), PageOptions::new().application("Acme"));
        Self { policy, options, public_path: None, in_layout: false }
    }
}

pub struct Site {
    pub world: World,
    pub tokens: ApiTokens,
    serve: Serve,
}

/// The person that a cookie names.
fn know(cookie: Option<&str>, asked: &Asked, in_layout: bool) -> Result<Visitor, Problem> {
    let person = cookie.ok_or(Problem::new(401, "login_required"))?;
    let project = asked.parameter("project").unwrap();
    let member = Account::new(Owner::new(format!("project:{project}"))?)
        .by(Actor::new(format!("user:{person}"))?);
    let account = match person {
        "viewer" => member.may_create(false).may_change(false),
        "creator" => member.may_change(false),
        "restricted" => member.restricted_to(Abilities::set(["servers:read"])?),
        "careful" if asked.shows_secret() => return Err(Problem::new(403, "password_required")),
        _ => member,
    };
    let visitor = Visitor::new(account).choices([Choice::new("projects:7:write", "Change “Shop”")]);
    if !in_layout {
        return Ok(visitor);
    }
    Ok(visitor.layout(|parts| {
        format!(
            "<html><title>{}</title>{}<nav></nav>{}</html>",
            parts.title, parts.head, parts.main
        )
    }))
}

impl Site {
    pub async fn new(framework: Framework) -> Self {
        Self::with(framework, Setup::default()).await
    }

    pub async fn with(framework: Framework, setup: Setup) -> Self {
        let world = World::memory().await;
        let builder = world.builder().declare(PanelAbility::ALL).policy(setup.policy);
        let tokens = builder.entropy(Seeded::new(7)).build().unwrap();
        let authenticator = Authenticator::require(tokens.clone(), Realm::new("Acme API").unwrap());
        let Setup { options, public_path, in_layout, .. } = setup;
        let serve: Serve = match framework {
            Framework::Axum => {
                let page = axum::SettingsPage::new(authenticator, move |parts: Parts, asked| {
                    let cookie = parts.headers.get("cookie").map(|it| it.to_str().unwrap());
                    ready(know(cookie, &asked, in_layout))
                });
                let page = page.options(options);
                let page = public_path.into_iter().fold(page, axum::SettingsPage::public_path);
                let path = "/projects/{project}/settings/tokens";
                let router: Router = Router::new().nest(path, axum::token_page(page));
                Rc::new(move |request| {
                    let router = router.clone();
                    async move { answer(router.oneshot(translate(request)).await).await }
                        .boxed_local()
                })
            }
            Framework::Actix => {
                let page =
                    actix::SettingsPage::new(authenticator, move |request: HttpRequest, asked| {
                        let cookie = request.headers().get("cookie").map(|it| it.to_str().unwrap());
                        ready(know(cookie, &asked, in_layout))
                    });
                let page = page.options(options);
                let page = public_path.into_iter().fold(page, actix::SettingsPage::public_path);
                let page = actix::token_page("/projects/{project}/settings/tokens", page);
                erase(init_service(App::new().service(page)).await, TestRequest::to_request)
            }
        };
        Self { world, tokens, serve }
    }

    pub fn own(&self) -> keyfob::OwnerTokens {
        self.tokens.owned_by(Owner::new("project:7").unwrap())
    }

    pub async fn issue(&self, new: NewToken) -> TokenRecord {
        self.own().issue(new).await.unwrap().record
    }

    pub async fn token(&self) -> TokenId {
        self.issue(NewToken::named("ci").abilities(["servers:read"])).await.id
    }

    pub async fn get(&self, id: TokenId) -> TokenRecord {
        self.own().get(id).await.unwrap()
    }

    pub async fn count(&self) -> u64 {
        self.own().count().await.unwrap().total()
    }

    pub async fn send(&self, request: Request) -> Response {
        (self.serve)(request).await
    }

    /// Looks at a document as the owner.
    pub async fn look(&self, path: &str) -> Response {
        self.send(see(path).by("owner")).await
    }

    /// Sends a form as the owner.
    pub async fn submit(&self, path: &str, form: &str) -> Response {
        self.send(form_to(path, form).by("owner")).await
    }
}

pub fn see(path: &str) -> Request {
    get(format!("{PAGE}{path}"))
}

pub fn form_to(path: &str, form: &str) -> Request {
    let form_type = "application/x-www-form-urlencoded";
    post(&format!("{PAGE}{path}"), form).header("content-type", form_type)
}

impl Response {
    pub fn heading(&self) -> &str {
        let heading = self.body.split_once("<h1>").map(|(_, rest)| rest);
        let heading = heading.and_then(|it| it.split_once("</h1>"));
        heading.unwrap_or_else(|| panic!("{self}")).0
    }

    /// The value of an attribute of the first tag that has a text in it.
    pub fn field(&self, tag: &str) -> String {
        let pattern = Regex::new(&format!("<[^>]*{}[^>]*>", regex::escape(tag))).unwrap();
        let tag = pattern.find(&self.body).unwrap_or_else(|| panic!("no {tag} in {self}")).as_str();
        let value = tag.split_once("value=\"").map(|(_, rest)| rest);
        value.and_then(|it| it.split_once('"')).map(|(it, _)| it.to_owned()).unwrap_or_default()
    }

    pub fn problems(&self) -> Vec<String> {
        let pattern = Regex::new("<li><a href=\"#kf-([a-z_]+)\">[^<]*</a>: ([^<]*)</li>").unwrap();
        let found = pattern.captures_iter(&self.body);
        found.map(|it| format!("{}: {}", &it[1], &it[2])).collect()
    }
}
