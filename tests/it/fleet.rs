//! The example `fleet`, driven from outside as its users do: over HTTP, and by signals.

/// Makes a test of every function that is named, for every server. A name that was forgotten is a warning: nothing
/// calls the function.
macro_rules! on_every_server {
    ($($test:ident,)*) => {
        on_server!(axum: $($test)*);
        on_server!(actix: $($test)*);
    };
}

macro_rules! on_server {
    ($server:ident: $($test:ident)*) => {
        mod $server {
            $(
                #[test]
                fn $test() {
                    super::$test($crate::fleet::Server(stringify!($server)));
                }
            )*
        }
    };
}

mod api;
mod authorization;
mod current;
mod http;
mod life;
#[cfg(all(feature = "postgres", feature = "mysql", feature = "redis"))]
mod nodes;
mod ownership;
mod rate_limit;
mod refusals;
mod rotation;
mod routes;
mod service;
mod suspension;
mod terms;
mod tokens;

use serde_json::{Value, json};

use self::{
    http::{Request, Response},
    service::{Server, Service},
};

/// That of the service, by the host that requests name.
const ORIGIN: &str = "http://fleet";

/// Somebody who is logged in.
struct Account<'a> {
    service: &'a Service,
    cookie: String,
}

/// A token as it was issued, in JSON.
struct Issued {
    id: String,
    plain: String,
    json: Value,
}

impl Service {
    fn log_in(&self, account: &str) -> Account<'_> {
        let log_in = Request::post("/login").header("origin", ORIGIN);
        let answer = log_in.json(&json!({ "account": account })).send(self);
        assert_eq!(answer.status, 204, "{answer:?}");
        let cookie = answer.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
        Account { service: self, cookie }
    }

    fn call(&self, token: &str, request: Request) -> Response {
        request.bearer(token).send(self)
    }

    /// What the API answers to a token that may read servers.
    fn status(&self, token: &Issued) -> u16 {
        self.call(&token.plain, Request::get("/api/v1/servers")).status
    }
}

impl Account<'_> {
    fn send(&self, request: Request) -> Response {
        self.request(request).send(self.service)
    }

    /// The request as a page of the service makes it.
    fn request(&self, request: Request) -> Request {
        request.header("cookie", &self.cookie).header("origin", ORIGIN)
    }

    fn get(&self, path: &str) -> Response {
        self.send(Request::get(path))
    }

    fn create(&self, body: &Value) -> Response {
        self.send(Request::post("/account/tokens").json(body))
    }

    fn issue(&self, name: &str, abilities: &[&str]) -> Issued {
        Issued::read(&self.create(&json!({ "name": name, "abilities": abilities })))
    }

    /// Does something to a token, such as `rotate`.
    fn act(&self, token: &Issued, verb: &str, body: &Value) -> Response {
        self.send(Request::post(&format!("{}/{verb}", token.path())).json(body))
    }

    fn names(&self, query: &str) -> Vec<String> {
        let list = self.get(&format!("/account/tokens{query}"));
        assert_eq!(list.status, 200, "{list:?}");
        let list = list.json();
        let name = |token: &Value| token["name"].as_str().unwrap().to_owned();
        list["tokens"].as_array().unwrap().iter().map(name).collect()
    }
}

impl Issued {
    fn read(answer: &Response) -> Self {
        assert_eq!(answer.status, 201, "{answer:?}");
        let json = answer.json();
        let text = |member: &str| json[member].as_str().unwrap().to_owned();
        Self { id: text("id"), plain: text("token"), json }
    }

    fn path(&self) -> String {
        format!("/account/tokens/{}", self.id)
    }
}

/// Checks the status and code of a refusal.
#[track_caller]
fn assert_refused(answer: &Response, status: u16, code: &str) {
    assert_eq!((answer.status, answer.code().as_str()), (status, code), "{answer:?}");
}
