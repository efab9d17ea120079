//! Several processes on one database.

use std::{thread, time::Duration};

use serde_json::json;

use super::{Account, Request, Server, Service};
use crate::support::{own_database::OwnDatabase, servers::url_of};

on_every_server! {
    on_sqlite_nodes_agree,
    on_postgresql_nodes_agree,
    on_postgresql_nodes_with_caches_tell_each_other,
    on_mariadb_nodes_agree,
    on_mariadb_nodes_with_caches_tell_each_other_through_redis,
}

/// So long that nothing that is read again in time is read again for its age.
const LONG: [&str; 2] = ["--max-staleness", "60"];

fn on_sqlite_nodes_agree(server: Server) {
    agree(&Service::start_several(server, &[], 3));
}

fn on_postgresql_nodes_agree(server: Server) {
    let database = OwnDatabase::create("KEYFOB_TEST_POSTGRES");
    agree(&Service::start_several(server, &["--database", &database.url()], 3));
}

fn on_postgresql_nodes_with_caches_tell_each_other(server: Server) {
    let database = OwnDatabase::create("KEYFOB_TEST_POSTGRES");
    let [how_long, seconds] = LONG;
    let settings = ["--database", &database.url(), how_long, seconds];
    agree(&Service::start_several(server, &settings, 3));
}

fn on_mariadb_nodes_agree(server: Server) {
    let database = OwnDatabase::create("KEYFOB_TEST_MYSQL");
    agree(&Service::start_several(server, &["--database", &database.url()], 3));
}

fn on_mariadb_nodes_with_caches_tell_each_other_through_redis(server: Server) {
    let database = OwnDatabase::create("KEYFOB_TEST_MYSQL");
    let [how_long, seconds] = LONG;
    let redis = url_of("KEYFOB_TEST_REDIS");
    let settings = ["--database", &database.url(), how_long, seconds, "--redis", &redis];
    agree(&Service::start_several(server, &settings, 3));
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
        assert_eq!(nodes[revoker].status(&token), 401);
        let is_known = || statuses() == [401, 401, 401];
        // A node with a cache is told in no time, and would find out by itself long after this.
        let is_told = (0..if nodes[0].has_cache() { 1_800 } else { 1 }).any(|_| {
            is_known() || {
                thread::sleep(Duration::from_millis(25));
                false
            }
        });
        assert!(is_told, "{:?}", statuses());
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
