//! The API that tokens open. A handler says in its signature what a token must be allowed to do.

use actix_web::{
    http::Method,
    web::{self, Data, ServiceConfig},
};
use keyfob::web::{Allowed, JsonBody, actix::TokenMiddleware};

use super::resource;
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

pub(super) fn routes(config: &mut ServiceConfig, tokens: &TokenMiddleware) {
    let resource = |path, routes| resource(path, Some(tokens), routes);
    config
        .service(resource(
            "/servers",
            vec![
                (Method::GET, web::route().to(list_servers)),
                (Method::POST, web::route().to(create_server)),
            ],
        ))
        .service(resource(
            "/servers/{id}",
            vec![
                (Method::GET, web::route().to(show_server)),
                (Method::PATCH, web::route().to(change_server)),
                (Method::DELETE, web::route().to(delete_server)),
            ],
        ))
        .service(resource(
            "/servers/{id}/sites",
            vec![
                (Method::GET, web::route().to(list_sites)),
                (Method::POST, web::route().to(create_site)),
            ],
        ))
        .service(resource(
            "/servers/{id}/databases",
            vec![(Method::GET, web::route().to(list_databases))],
        ))
        .service(resource(
            "/servers/{id}/ssh-keys",
            vec![
                (Method::GET, web::route().to(list_ssh_keys)),
                (Method::POST, web::route().to(create_ssh_key)),
            ],
        ))
        .service(resource(
            "/servers/{id}/crons",
            vec![
                (Method::GET, web::route().to(list_crons)),
                (Method::POST, web::route().to(create_cron)),
            ],
        ))
        .service(resource(
            "/sites/{id}/backups",
            vec![
                (Method::GET, web::route().to(list_backups)),
                (Method::POST, web::route().to(create_backup)),
            ],
        ));
}

async fn list_servers(token: Allowed<ServersRead>, app: Data<App>) -> Answered {
    api::list(&app.panel, token.owner(), Kind::Server, None).await
}

async fn create_server(token: Allowed<ServersCreate>, app: Data<App>, body: JsonBody) -> Answered {
    api::create(&app.panel, token.owner(), Kind::Server, None, &body).await
}

async fn show_server(token: Allowed<ServersRead>, app: Data<App>, Id(server): Id<i64>) -> Answered {
    api::show(&app.panel, token.owner(), Kind::Server, server).await
}

async fn change_server(
    token: Allowed<ServersUpdate>,
    app: Data<App>,
    Id(server): Id<i64>,
    body: JsonBody,
) -> Answered {
    api::change(&app.panel, token.owner(), Kind::Server, server, &body).await
}

async fn delete_server(
    token: Allowed<ServersDelete>,
    app: Data<App>,
    Id(server): Id<i64>,
) -> Answered {
    api::delete(&app.panel, token.owner(), Kind::Server, server).await
}

async fn list_sites(token: Allowed<SitesRead>, app: Data<App>, Id(server): Id<i64>) -> Answered {
    api::list(&app.panel, token.owner(), Kind::Site, Some(server)).await
}

async fn create_site(
    token: Allowed<SitesCreate>,
    app: Data<App>,
    Id(server): Id<i64>,
    body: JsonBody,
) -> Answered {
    api::create(&app.panel, token.owner(), Kind::Site, Some(server), &body).await
}

async fn list_databases(
    token: Allowed<DatabasesRead>,
    app: Data<App>,
    Id(server): Id<i64>,
) -> Answered {
    api::list(&app.panel, token.owner(), Kind::Database, Some(server)).await
}

async fn list_ssh_keys(
    token: Allowed<SshKeysRead>,
    app: Data<App>,
    Id(server): Id<i64>,
) -> Answered {
    api::list(&app.panel, token.owner(), Kind::SshKey, Some(server)).await
}

async fn create_ssh_key(
    token: Allowed<SshKeysCreate>,
    app: Data<App>,
    Id(server): Id<i64>,
    body: JsonBody,
) -> Answered {
    api::create(&app.panel, token.owner(), Kind::SshKey, Some(server), &body).await
}

async fn list_crons(token: Allowed<CronsRead>, app: Data<App>, Id(server): Id<i64>) -> Answered {
    api::list(&app.panel, token.owner(), Kind::Cron, Some(server)).await
}

async fn create_cron(
    token: Allowed<CronsCreate>,
    app: Data<App>,
    Id(server): Id<i64>,
    body: JsonBody,
) -> Answered {
    api::create(&app.panel, token.owner(), Kind::Cron, Some(server), &body).await
}

async fn list_backups(token: Allowed<BackupsRead>, app: Data<App>, Id(site): Id<i64>) -> Answered {
    api::list(&app.panel, token.owner(), Kind::Backup, Some(site)).await
}

async fn create_backup(
    token: Allowed<BackupsCreate>,
    app: Data<App>,
    Id(site): Id<i64>,
    body: JsonBody,
) -> Answered {
    api::create(&app.panel, token.owner(), Kind::Backup, Some(site), &body).await
}
