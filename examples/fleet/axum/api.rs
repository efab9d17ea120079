//! The API that tokens open. A handler says in its signature what a token must be allowed to do.

use axum::{Router, extract::State, routing::get};
use keyfob::web::{Allowed, JsonBody};

use crate::{
    App,
    abilities::{
        BackupsCreate, BackupsRead, CronsCreate, CronsRead, DatabasesRead, ServersCreate,
        ServersDelete, ServersRead, ServersUpdate, SitesCreate, SitesRead, SshKeysCreate,
        SshKeysRead,
    },
    answer::Answered,
    api,
    extract::Id,
    panel::Kind,
};

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/servers", get(list_servers).post(create_server))
        .route("/servers/{id}", get(show_server).patch(change_server).delete(delete_server))
        .route("/servers/{id}/sites", get(list_sites).post(create_site))
        .route("/servers/{id}/databases", get(list_databases))
        .route("/servers/{id}/ssh-keys", get(list_ssh_keys).post(create_ssh_key))
        .route("/servers/{id}/crons", get(list_crons).post(create_cron))
        .route("/sites/{id}/backups", get(list_backups).post(create_backup))
}

async fn list_servers(token: Allowed<ServersRead>, State(app): State<App>) -> Answered {
    api::list(&app.panel, token.owner(), Kind::Server, None).await
}

async fn create_server(
    token: Allowed<ServersCreate>,
    State(app): State<App>,
    body: JsonBody,
) -> Answered {
    api::create(&app.panel, token.owner(), Kind::Server, None, &body).await
}

async fn show_server(
    token: Allowed<ServersRead>,
    State(app): State<App>,
    Id(server): Id<i64>,
) -> Answered {
    api::show(&app.panel, token.owner(), Kind::Server, server).await
}

async fn change_server(
    token: Allowed<ServersUpdate>,
    State(app): State<App>,
    Id(server): Id<i64>,
    body: JsonBody,
) -> Answered {
    api::change(&app.panel, token.owner(), Kind::Server, server, &body).await
}

async fn delete_server(
    token: Allowed<ServersDelete>,
    State(app): State<App>,
    Id(server): Id<i64>,
) -> Answered {
    api::delete(&app.panel, token.owner(), Kind::Server, server).await
}

async fn list_sites(
    token: Allowed<SitesRead>,
    State(app): State<App>,
    Id(server): Id<i64>,
) -> Answered {
    api::list(&app.panel, token.owner(), Kind::Site, Some(server)).await
}

async fn create_site(
    token: Allowed<SitesCreate>,
    State(app): State<App>,
    Id(server): Id<i64>,
    body: JsonBody,
) -> Answered {
    api::create(&app.panel, token.owner(), Kind::Site, Some(server), &body).await
}

async fn list_databases(
    token: Allowed<DatabasesRead>,
    State(app): State<App>,
    Id(server): Id<i64>,
) -> Answered {
    api::list(&app.panel, token.owner(), Kind::Database, Some(server)).await
}

async fn list_ssh_keys(
    token: Allowed<SshKeysRead>,
    State(app): State<App>,
    Id(server): Id<i64>,
) -> Answered {
    api::list(&app.panel, token.owner(), Kind::SshKey, Some(server)).await
}

async fn create_ssh_key(
    token: Allowed<SshKeysCreate>,
    State(app): State<App>,
    Id(server): Id<i64>,
    body: JsonBody,
) -> Answered {
    api::create(&app.panel, token.owner(), Kind::SshKey, Some(server), &body).await
}

async fn list_crons(
    token: Allowed<CronsRead>,
    State(app): State<App>,
    Id(server): Id<i64>,
) -> Answered {
    api::list(&app.panel, token.owner(), Kind::Cron, Some(server)).await
}

async fn create_cron(
    token: Allowed<CronsCreate>,
    State(app): State<App>,
    Id(server): Id<i64>,
    body: JsonBody,
) -> Answered {
    api::create(&app.panel, token.owner(), Kind::Cron, Some(server), &body).await
}

async fn list_backups(
    token: Allowed<BackupsRead>,
    State(app): State<App>,
    Id(site): Id<i64>,
) -> Answered {
    api::list(&app.panel, token.owner(), Kind::Backup, Some(site)).await
}

async fn create_backup(
    token: Allowed<BackupsCreate>,
    State(app): State<App>,
    Id(site): Id<i64>,
    body: JsonBody,
) -> Answered {
    api::create(&app.panel, token.owner(), Kind::Backup, Some(site), &body).await
}
