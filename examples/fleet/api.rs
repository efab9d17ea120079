//! The API that tokens open. A handler says in its signature what a token must be allowed to do.

use axum::{Json, Router, extract::State, http::StatusCode, routing::get};
use keyfob::web::axum::{Allowed, JsonBody, TokenLayer};
use serde_json::{Map, Value};

use crate::{
    App,
    abilities::{
        BackupsCreate, BackupsRead, CronsCreate, CronsRead, DatabasesRead, ServersCreate,
        ServersDelete, ServersRead, ServersUpdate, SitesCreate, SitesRead, SshKeysCreate,
        SshKeysRead,
    },
    extract::{Id, object},
    failure::Failure,
    panel::{Kind, Panel},
};

type Found = Result<Json<Value>, Failure>;
type Created = Result<(StatusCode, Json<Value>), Failure>;

pub(crate) fn routes(tokens: TokenLayer) -> Router<App> {
    let routes = Router::new()
        .route("/servers", get(list_servers).post(create_server))
        .route("/servers/{id}", get(show_server).patch(change_server).delete(delete_server))
        .route("/servers/{id}/sites", get(list_sites).post(create_site))
        .route("/servers/{id}/databases", get(list_databases))
        .route("/servers/{id}/ssh-keys", get(list_ssh_keys).post(create_ssh_key))
        .route("/servers/{id}/crons", get(list_crons).post(create_cron))
        .route("/sites/{id}/backups", get(list_backups).post(create_backup))
        .route_layer(tokens);
    Router::new().nest("/api/v1", routes)
}

async fn list_servers(token: Allowed<ServersRead>, State(panel): State<Panel>) -> Found {
    Ok(Json(panel.list(token.owner(), Kind::Server, None).await?))
}

async fn create_server(
    token: Allowed<ServersCreate>,
    State(panel): State<Panel>,
    body: JsonBody,
) -> Created {
    let server = panel.create(token.owner(), Kind::Server, None, object(&body)?).await?;
    Ok((StatusCode::CREATED, Json(server)))
}

async fn show_server(
    token: Allowed<ServersRead>,
    State(panel): State<Panel>,
    Id(server): Id<i64>,
) -> Found {
    Ok(Json(panel.get(token.owner(), Kind::Server, server).await?))
}

async fn change_server(
    token: Allowed<ServersUpdate>,
    State(panel): State<Panel>,
    Id(server): Id<i64>,
    body: JsonBody,
) -> Found {
    Ok(Json(panel.change(token.owner(), Kind::Server, server, object(&body)?).await?))
}

async fn delete_server(
    token: Allowed<ServersDelete>,
    State(panel): State<Panel>,
    Id(server): Id<i64>,
) -> Result<StatusCode, Failure> {
    panel.delete(token.owner(), Kind::Server, server).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn list_sites(
    token: Allowed<SitesRead>,
    State(panel): State<Panel>,
    Id(server): Id<i64>,
) -> Found {
    Ok(Json(panel.list(token.owner(), Kind::Site, Some(server)).await?))
}

async fn create_site(
    token: Allowed<SitesCreate>,
    State(panel): State<Panel>,
    Id(server): Id<i64>,
    body: JsonBody,
) -> Created {
    let site = panel.create(token.owner(), Kind::Site, Some(server), object(&body)?).await?;
    Ok((StatusCode::CREATED, Json(site)))
}

async fn list_databases(
    token: Allowed<DatabasesRead>,
    State(panel): State<Panel>,
    Id(server): Id<i64>,
) -> Found {
    Ok(Json(panel.list(token.owner(), Kind::Database, Some(server)).await?))
}

async fn list_ssh_keys(
    token: Allowed<SshKeysRead>,
    State(panel): State<Panel>,
    Id(server): Id<i64>,
) -> Found {
    Ok(Json(panel.list(token.owner(), Kind::SshKey, Some(server)).await?))
}

async fn create_ssh_key(
    token: Allowed<SshKeysCreate>,
    State(panel): State<Panel>,
    Id(server): Id<i64>,
    body: JsonBody,
) -> Created {
    let ssh_key = panel.create(token.owner(), Kind::SshKey, Some(server), object(&body)?).await?;
    Ok((StatusCode::CREATED, Json(ssh_key)))
}

async fn list_crons(
    token: Allowed<CronsRead>,
    State(panel): State<Panel>,
    Id(server): Id<i64>,
) -> Found {
    Ok(Json(panel.list(token.owner(), Kind::Cron, Some(server)).await?))
}

async fn create_cron(
    token: Allowed<CronsCreate>,
    State(panel): State<Panel>,
    Id(server): Id<i64>,
    body: JsonBody,
) -> Created {
    let cron = panel.create(token.owner(), Kind::Cron, Some(server), object(&body)?).await?;
    Ok((StatusCode::CREATED, Json(cron)))
}

async fn list_backups(
    token: Allowed<BackupsRead>,
    State(panel): State<Panel>,
    Id(site): Id<i64>,
) -> Found {
    Ok(Json(panel.list(token.owner(), Kind::Backup, Some(site)).await?))
}

/// It takes a body for a name, and needs none.
async fn create_backup(
    token: Allowed<BackupsCreate>,
    State(panel): State<Panel>,
    Id(site): Id<i64>,
    body: JsonBody,
) -> Created {
    let members = if body.is_empty() { Map::new() } else { object(&body)? };
    let backup = panel.create(token.owner(), Kind::Backup, Some(site), members).await?;
    Ok((StatusCode::CREATED, Json(backup)))
}
