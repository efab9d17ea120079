//! The OpenAPI document of the routes: the table of routes and the schemas beside it, with the settings of the
//! application.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::web::Problem;

use super::routes::{By, Operation, Route};

/// The schemas and the parameters.
const COMPONENTS: &str = include_str!("schemas.json");

const LIST_PARAMETERS: [&str; 8] =
    ["sort", "state", "q", "ability", "unused_days", "expiring_days", "per_page", "cursor"];

/// The settings of the application that the document tells.
#[derive(Debug)]
pub(super) struct About<'a> {
    pub(super) mount: &'a str,
    pub(super) realm: &'a str,
    pub(super) abilities: Vec<&'static str>,
    /// The name of the cookie of the login, if the application has told it.
    pub(super) session_cookie: Option<&'a str>,
    pub(super) tokens_may_manage: bool,
}

pub(super) fn document<'r>(about: &About<'_>, routes: impl Iterator<Item = &'r Route>) -> Value {
    let mut paths = Map::new();
    for route in routes {
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.method.to_ascii_lowercase()] = operation(route, about);
    }
    // A file of this crate, which a test reads.
    let mut components: Value = serde_json::from_str(COMPONENTS).unwrap_or_default();
    if !about.abilities.is_empty() {
        components["schemas"]["Ability"]["examples"] = json!(about.abilities);
    }
    components["securitySchemes"] = security_schemes(about);
    // `/` is the mount itself: a path of the document stands behind it.
    if let Some(root) = paths.remove("/") {
        paths.insert(String::new(), root);
    }
    let paths: Map<_, _> =
        paths.into_iter().map(|(path, item)| (format!("{}{path}", about.mount), item)).collect();
    json!({
        "openapi": "3.1.0",
        "info": { "title": format!("{}: tokens", about.realm), "version": "1" },
        "paths": paths,
        "components": components,
    })
}

fn security_schemes(about: &About<'_>) -> Value {
    let mut schemes = json!({
        "token": { "type": "http", "scheme": "bearer", "description": "A token of this service." },
    });
    if let Some(cookie) = about.session_cookie {
        schemes["session"] = json!({ "type": "apiKey", "in": "cookie", "name": cookie });
    }
    schemes
}

fn operation(route: &Route, about: &About<'_>) -> Value {
    let mut operation = json!({
        "operationId": operation_id(route.operation),
        "summary": route.summary,
        "responses": responses(route),
    });
    let parameters = parameters(route);
    if !parameters.is_empty() {
        let reference = |name: &&str| json!({ "$ref": format!("#/components/parameters/{name}") });
        operation["parameters"] = parameters.iter().map(reference).collect();
    }
    if let Some(body) = route.body {
        operation["requestBody"] = json!({
            "required": body.is_required,
            "content": { "application/json": { "schema": schema(body.schema) } },
        });
    }
    let token = json!({ "token": [] });
    let session = about.session_cookie.map(|_| json!({ "session": [] }));
    operation["security"] = match route.by {
        By::Account(_) => {
            let token = about.tokens_may_manage.then_some(token);
            session.into_iter().chain(token).collect()
        }
        By::Bearer | By::Secret => json!([token]),
        By::Anyone => json!([]),
    };
    operation
}

fn operation_id(operation: Operation) -> &'static str {
    match operation {
        Operation::List => "list_tokens",
        Operation::Create => "create_token",
        Operation::Abilities => "list_abilities",
        Operation::Document => "show_document",
        Operation::RevokeMany => "revoke_tokens",
        Operation::RevokePresented => "revoke_presented_tokens",
        Operation::ShowCurrent => "show_current_token",
        Operation::RotateCurrent => "rotate_current_token",
        Operation::RevokeCurrent => "revoke_current_token",
        Operation::Show => "show_token",
        Operation::Change => "change_token",
        Operation::Revoke => "revoke_token",
        Operation::Rotate => "rotate_token",
        Operation::Suspend => "suspend_token",
        Operation::Resume => "resume_token",
    }
}

fn parameters(route: &Route) -> Vec<&'static str> {
    let id = route.path.contains("{id}").then_some("id");
    let header = match route.operation {
        Operation::Create => Some("Idempotency-Key"),
        Operation::Change | Operation::Rotate | Operation::RotateCurrent => Some("If-Match"),
        _ => None,
    };
    let list = (route.operation == Operation::List).then_some(LIST_PARAMETERS);
    id.into_iter().chain(header).chain(list.into_iter().flatten()).collect()
}

fn responses(route: &Route) -> Value {
    let (status, body) = route.gives;
    let mut responses = Map::new();
    let mut success = json!({ "description": "Done." });
    if let Some(body) = body {
        success["content"] = json!({ "application/json": { "schema": schema(body) } });
    }
    if status == 201 {
        success["headers"] = json!({ "Location": { "schema": { "type": "string" } } });
    }
    responses.insert(status.to_string(), success);
    for status in refusals(route) {
        let problem = json!({
            "description": Problem::new(status, "").title(),
            "content": { "application/problem+json": { "schema": schema("Problem") } },
        });
        responses.insert(status.to_string(), problem);
    }
    responses.into()
}

/// The statuses of all refusals of a route.
pub(super) fn refusals(route: &Route) -> BTreeSet<u16> {
    let by: &[u16] = match route.by {
        By::Account(_) | By::Bearer => &[400, 401, 403, 429, 500, 503],
        By::Secret => &[400, 401, 500, 503],
        By::Anyone if route.body.is_some() => &[400, 503],
        By::Anyone => &[],
    };
    let body: &[u16] = if route.body.is_some() { &[400, 413, 415, 422] } else { &[] };
    [by, body, route.refuses].concat().into_iter().collect()
}

fn schema(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}
