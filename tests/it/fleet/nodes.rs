//! Several processes on one database.

use std::env;

use serde_json::json;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::runtime::Runtime;

use super::{Account, Request, Server, Service};

on_every_server! {
    on_sqlite_nodes_agree,
    on_postgresql_nodes_agree,
}

fn on_sqlite_nodes_agree(server: Server) {
    agree(&Service::start_several(server, None, 3));
}

fn on_postgresql_nodes_agree(server: Server) {
    let database = OwnDatabase::create();
    agree(&Service::start_several(server, Some(&database.url()), 3));
}

fn agree(nodes: &[Service]) {
    a_login_on_one_holds_on_all(nodes);
    a_token_of_one_is_good_on_all_until_it_is_revoked_on_any(nodes);
    what_one_keeps_is_changed_and_deleted_on_another(nodes);
}

fn a_login_on_one_holds_on_all(nodes: &[Service]) {
    let cookie = nodes[0].log_in("grace").cookie;
    for service in nodes {
        let there = Account { service, cookie: cookie.clone() };
        assert_eq!(there.get("/account/tokens").status, 200);
    }
}

fn a_token_of_one_is_good_on_all_until_it_is_revoked_on_any(nodes: &[Service]) {
    for (maker, revoker) in [(0, 1), (1, 2), (2, 0)] {
        let token = nodes[maker].log_in("ada").issue("ci", &["servers:read"]);
        let statuses = || nodes.iter().map(|node| node.status(&token)).collect::<Vec<_>>();
        assert_eq!(statuses(), [200, 200, 200]);
        let revoked = nodes[revoker].log_in("ada").send(Request::delete(&token.path()));
        assert_eq!(revoked.status, 204, "{revoked:?}");
        assert_eq!(statuses(), [401, 401, 401]);
    }
}

fn what_one_keeps_is_changed_and_deleted_on_another(nodes: &[Service]) {
    let token = nodes[0].log_in("ada").create(&json!({ "name": "all", "abilities": "*" }));
    let token = token.json()["token"].as_str().unwrap().to_owned();
    let made = nodes[0]
        .call(&token, Request::post("/api/v1/servers").json(&json!({ "name": "web" })))
        .json();
    let path = format!("/api/v1/servers/{}", made["id"]);
    let site = Request::post(&format!("{path}/sites")).json(&json!({ "name": "blog" }));
    let site = nodes[1].call(&token, site);
    assert_eq!(site.status, 201, "{site:?}");
    let change = Request::patch(&path).json(&json!({ "region": "fsn" }));
    let changed = nodes[2].call(&token, change).json();
    assert_eq!(changed, json!({ "id": made["id"], "name": "web", "region": "fsn" }));
    assert_eq!(nodes[1].call(&token, Request::delete(&path)).status, 204);
    let backups = format!("/api/v1/sites/{}/backups", site.json()["id"]);
    for gone in [&path, &backups] {
        assert_eq!(nodes[0].call(&token, Request::get(gone)).status, 404, "{gone}");
    }
}

/// A database on the server that all tests share, which is gone when this is.
struct OwnDatabase {
    server: String,
    name: String,
}

impl OwnDatabase {
    fn create() -> Self {
        let server = env::var("KEYFOB_TEST_POSTGRES").unwrap_or_else(|_| {
            panic!("KEYFOB_TEST_POSTGRES is not set: run `scripts/servers run cargo test …`")
        });
        let database = Self { server, name: format!("fleet_{:016x}", fastrand::u64(..)) };
        database.run(format!("CREATE DATABASE {}", database.name));
        database
    }

    fn url(&self) -> String {
        let (server, _) = self.server.rsplit_once('/').unwrap();
        format!("{server}/{}", self.name)
    }

    fn run(&self, sql: String) {
        let run = async {
            let mut connection = PgConnection::connect(&self.server).await.unwrap();
            sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
        };
        Runtime::new().unwrap().block_on(run);
    }
}

impl Drop for OwnDatabase {
    fn drop(&mut self) {
        self.run(format!("DROP DATABASE {} WITH (FORCE)", self.name));
    }
}
