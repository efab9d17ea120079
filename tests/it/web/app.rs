//! An application that is built on either framework, from one description.

use std::{cell::Cell, rc::Rc};

use futures_util::future::LocalBoxFuture;
use keyfob::web::{Authenticator, TrustedProxies};

use super::{
    actix_app, axum_app,
    http::{Request, Response},
    sessions::Sessions,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framework {
    Axum,
    Actix,
}

/// A framework, and whether limits are counted where several nodes share them.
#[derive(Clone, Copy, Debug)]
pub struct Ground {
    pub framework: Framework,
    pub shared: bool,
}

impl From<Framework> for Ground {
    fn from(framework: Framework) -> Self {
        Self { framework, shared: false }
    }
}

/// What stands before the routes of [`every_route`], and in the application's state.
#[derive(Clone)]
pub struct Setup {
    pub authenticator: Authenticator,
    pub layer: bool,
    /// What stands around the layer, or in its place.
    pub outer: Option<Outer>,
    pub address: Address,
    pub sessions: Option<Sessions>,
}

#[derive(Clone)]
pub enum Outer {
    /// The same layer once more.
    Itself,
    Another(Authenticator),
    /// The same authenticator, in a layer that takes sessions.
    TakesSessions(Sessions),
    /// The same authenticator, in a layer that takes none.
    TakesNone,
}

/// How the client's address is found.
#[derive(Clone)]
pub enum Address {
    Unknown,
    Connection,
    Proxies(TrustedProxies),
}

/// Answers requests as they are.
pub type Serve = Rc<dyn Fn(Request) -> LocalBoxFuture<'static, Response>>;

impl Setup {
    pub fn new(authenticator: Authenticator) -> Self {
        Self { authenticator, layer: true, outer: None, address: Address::Unknown, sessions: None }
    }

    pub fn without_layer(self) -> Self {
        Self { layer: false, ..self }
    }

    pub fn under(self, outer: Outer) -> Self {
        Self { outer: Some(outer), ..self }
    }

    pub fn address(self, address: Address) -> Self {
        Self { address, ..self }
    }

    pub fn or_session(self, sessions: &Sessions) -> Self {
        Self { sessions: Some(sessions.clone()), ..self }
    }
}

impl Framework {
    pub async fn serve(self, setup: Setup) -> Serve {
        match self {
            Self::Axum => axum_app::serve(setup),
            Self::Actix => actix_app::serve(setup).await,
        }
    }
}

thread_local! {
    static HANDLED: Cell<usize> = const { Cell::new(0) };
}

/// A handler was called.
pub fn handled() {
    HANDLED.set(HANDLED.get() + 1);
}

/// How many handlers this test has called since the last time.
pub fn take_handled() -> usize {
    HANDLED.take()
}

/// The routes of the application, handed to the macro that builds them for a framework.
macro_rules! every_route {
    ($build:ident) => {
        $build! {
            get "/open" => open;
            get "/absent" => absent;
            get "/own-body" => own_body;
            get "/errors/refused" => refused;
            get "/errors/lacking" => lacking;
            get "/errors/invalid" => invalid;
            get "/authenticated" => authenticated;
            get "/token/authenticated" => token_authenticated;
            get "/token/allowed" => token_allowed;
            get "/allowed" => allowed;
            get "/maybe" => maybe;
            get "/any" => any;
            get "/all" => all;
            get "/trial" => trial;
            get "/trial/maybe" => trial_maybe;
            get "/trial/any" => trial_any;
            get "/trial/all" => trial_all;
            get "/trial/none" => trial_none;
            get "/own-headers" => own_headers;
            get "/sensitive" => sensitive;
            post "/json" => json;
            any "/any-method" => authenticated;
            get "/state/authenticated" => state_authenticated;
            get "/state/allowed" => state_allowed;
            get "/state/maybe" => state_maybe;
            get "/state/maybe/two" => state_maybe_two;
            get "/state/results" => state_results;
            get "/state/two" => state_two;
            get "/state/beside" => state_beside;
            get "/state/served" => state_served;
            get "/guarded" => open, guard("servers:read");
            get "/guarded/create" => open, guard("servers:create");
            get "/guarded/all" => all, guard("servers:read");
            get "/projects/{id}" => open, guard("projects:{id}:write");
            get "/projects/{id}/{part}" => open, guard("projects:{id}:{part}");
            get "/trial/projects/{id}" => open, guard("projects:{id}:write").report_only();
            get "/typed/trial/{id}" => typed_trial;
            get "/typed/any/{id}" => typed_any;
            get "/typed/all/{id}" => typed_all;
            get "/typed/maybe/{id}" => typed_maybe;
            get "/typed/misnamed/{other}" => typed;
            get "/typed/{id}" => typed;
            get "/state/typed/misnamed/{other}" => state_typed;
            get "/state/typed/{id}" => state_typed;
            get "/misnamed/{other}" => open, guard("projects:{id}:write");
            get "/charged" => allowed, Guard::charging(five());
            get "/charged/{id}" => open, guard("projects:{id}:write").charge(five());
            get "/seldom" => allowed, Guard::charging(seldom());
            get "/shared" => authenticated, Guard::charging(seldom().per_owner());
            get "/costly" => allowed, Guard::charging(costly());
            get "/own-headers/charged" => own_headers, Guard::charging(five());
        }
    };
}
pub(super) use every_route;
