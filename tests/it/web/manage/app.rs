//! An application whose projects have tokens, with the routes mounted at `/projects/{project}/tokens`.

use std::cell::RefCell;

use keyfob::{
    Abilities, ApiTokens, IssuedToken, NewToken, Owner, Policy, TokenId,
    token::Actor,
    web::{
        Authenticator, Problem, Realm,
        auth::Account,
        manage::{Asked, Step},
    },
};
use regex::Regex;

use super::{actix, axum, contract::Contract};
use crate::{
    support::{World, after},
    web::{
        app::{Framework, Serve},
        http::{Request, Response, get, post},
    },
};

keyfob::abilities! {
    pub enum PanelAbility {
        ServersRead = "servers:read", "List and show servers";
        ServersCreate = "servers:create", "Create servers";
        ProjectWrite = "projects:{project}:write", "Change a project";
        Manage = "tokens:manage", "Manage tokens";
    }
}

/// The owner of the tokens that the cases are about.
pub const PROJECT: &str = "project:7";
pub const TOKENS: &str = "/projects/7/tokens";

/// Settings of the routes, whatever framework mounts them.
#[derive(Clone, Copy)]
pub struct Switches {
    pub tokens_manage: bool,
    pub revoke_presented: bool,
    pub public_path: Option<&'static str>,
    /// The routes lie inside of a layer of the application's, which takes sessions too.
    pub inside: bool,
}

impl Switches {
    pub const ALL: Self =
        Self { tokens_manage: true, revoke_presented: true, public_path: None, inside: false };
}

/// `Management` of either framework.
pub trait Settings {
    fn set(self, switches: Switches) -> Self;
}

macro_rules! settings {
    ($($management:ty),+) => {$(
        impl Settings for $management {
            fn set(self, switches: Switches) -> Self {
                let it = self.revoke_presented(switches.revoke_presented).openapi(true);
                let it = it.session_cookie("person");
                let it = match switches.tokens_manage {
                    true => it.tokens_may_manage("tokens:manage").unwrap(),
                    false => it,
                };
                match switches.public_path {
                    Some(path) => it.public_path(path),
                    None => it,
                }
            }
        }
    )+};
}

settings!(keyfob::web::axum::Management, keyfob::web::actix::Management);

/// The login of the application: the cookie names the person.
pub fn account(cookie: Option<&str>, asked: &Asked) -> Result<Account, Problem> {
    let login_required = || Problem::new(401, "login_required");
    let project = Owner::new(format!("project:{}", asked.parameter("project").unwrap()))?;
    if let Some(token) = asked.token() {
        assert!(token.can("tokens:manage"));
        let account = Account::new(project);
        let is_blunt = token.name().as_str() == "blunt";
        return Ok(if is_blunt { account.restricted_to(Abilities::none()) } else { account });
    }
    let person = cookie.ok_or_else(login_required)?;
    let member = Account::new(project).by(Actor::new(format!("user:{person}"))?);
    match person {
        "stranger" => Ok(Account::new(Owner::new("project:8")?)),
        "viewer" => {
            assert!(!asked.shows_secret() || asked.step() != Step::See);
            Ok(member.may_create(false).may_change(false))
        }
        "restricted" => Ok(member.restricted_to(Abilities::set(["servers:read"])?)),
        "nothing" => Ok(member.restricted_to(Abilities::none())),
        "careful" if asked.shows_secret() => Err(Problem::new(403, "password_required")),
        "owner" | "careful" => Ok(member),
        _ => Err(login_required()),
    }
}

/// The login as the layer of the application knows it.
pub fn session(cookie: Option<&str>) -> Result<Option<Account>, Problem> {
    let person = cookie.map(|it| Owner::new(format!("user:{it}"))).transpose()?;
    Ok(person.map(Account::new))
}

/// The application, its tokens, and what a client sees of it.
pub struct Panel {
    pub world: World,
    pub tokens: ApiTokens,
    serve: Serve,
    /// What every answer is held to.
    pub contract: Contract,
    /// The texts of the tokens that requests name.
    texts: RefCell<Vec<(&'static str, String)>>,
}

impl Panel {
    pub async fn new(framework: Framework) -> Self {
        Self::with(framework, Policy::new(), Switches::ALL, |it| it).await
    }

    pub async fn with(
        framework: Framework,
        policy: Policy,
        switches: Switches,
        configure: impl FnOnce(Authenticator) -> Authenticator,
    ) -> Self {
        let world = World::memory().await;
        let tokens = world.builder().declare(PanelAbility::ALL).policy(policy).build().unwrap();
        let authenticator = Authenticator::require(tokens.clone(), Realm::new("Acme API").unwrap());
        let authenticator = configure(authenticator);
        let (serve, document) = match framework {
            Framework::Axum => axum::serve(authenticator, switches),
            Framework::Actix => actix::serve(authenticator, switches).await,
        };
        let contract = Contract::new(document);
        let panel = Self { world, tokens, serve, contract, texts: RefCell::default() };
        for (name, abilities) in [
            ("reader", &["servers:read"][..]),
            ("none", &[]),
            ("manager", &["servers:read", "tokens:manage"]),
        ] {
            let new = NewToken::named(name).abilities(abilities.to_vec());
            let _ = panel.issue(name, new).await;
        }
        panel
    }

    /// Issues a token that requests name by `{name}`.
    pub async fn issue(&self, name: &'static str, new: NewToken) -> IssuedToken {
        let issued = self.tokens.owned_by(Owner::new(PROJECT).unwrap()).issue(new).await.unwrap();
        self.name(name, &issued);
        issued
    }

    pub fn name(&self, name: &'static str, issued: &IssuedToken) {
        self.texts.borrow_mut().push((name, issued.plain.expose_secret().to_owned()));
    }

    /// A token for a case to be about.
    pub async fn target(&self) -> TokenId {
        let new = NewToken::named("target").abilities(["servers:read"]).expires_at(after(9_000));
        self.issue("target", new).await.record.id
    }

    pub async fn send(&self, mut request: Request) -> Response {
        for (_, value) in &mut request.headers {
            for (name, text) in self.texts.borrow().iter().rev() {
                if *value == format!("Bearer {{{name}}}").as_bytes() {
                    *value = format!("Bearer {text}").into_bytes();
                }
            }
        }
        let (method, path) = (request.method, request.path.clone());
        let response = (self.serve)(request).await;
        self.contract.hold(method, &path, &response);
        response
    }

    /// The same for a client that finds the routes elsewhere than the document says.
    pub async fn send_unchecked(&self, request: Request) -> Response {
        (self.serve)(request).await
    }

    /// The text of a token that requests name.
    pub fn text(&self, name: &str) -> String {
        let texts = self.texts.borrow();
        texts.iter().rev().find(|(it, _)| *it == name).unwrap().1.clone()
    }

    pub async fn told(&self, request: Request) -> (u16, String) {
        self.send(request).await.told()
    }
}

impl Request {
    /// Made by the page of the application, with the session of a person.
    pub fn by(self, person: &str) -> Self {
        self.header("cookie", person).header("sec-fetch-site", "same-origin")
    }
}

/// A request to the routes, with a body of JSON unless it is empty.
pub fn send(method: &'static str, path: &str, body: &str) -> Request {
    let request = Request { method, ..post(&format!("{TOKENS}{path}"), body) };
    if body.is_empty() { request } else { request.header("content-type", "application/json") }
}

pub fn list(query: &str) -> Request {
    get(format!("{TOKENS}{query}"))
}

/// An answer without what is random.
pub fn scrubbed(text: &str) -> String {
    let token = Regex::new("acme_[0-9A-Za-z]{22}_[0-9A-Za-z_-]+").unwrap();
    let text = token.replace_all(text, "acme_…").into_owned();
    let id = Regex::new("\\b(acme_)?[0-9A-Za-z]{22}\\b").unwrap();
    id.replace_all(&text, "${1}ID").into_owned()
}
