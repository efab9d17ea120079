//! What the API does for the owner of a token, once that token is known to be allowed it.

use keyfob::Owner;
use serde_json::Map;

use crate::{
    answer::{Answer, Answered},
    extract::object,
    panel::{Kind, Panel},
};

pub(crate) async fn list(panel: &Panel, owner: &Owner, kind: Kind, on: Option<i64>) -> Answered {
    Ok(Answer::ok(&panel.list(owner, kind, on).await?))
}

pub(crate) async fn show(panel: &Panel, owner: &Owner, kind: Kind, id: i64) -> Answered {
    Ok(Answer::ok(&panel.get(owner, kind, id).await?))
}

pub(crate) async fn create(
    panel: &Panel,
    owner: &Owner,
    kind: Kind,
    on: Option<i64>,
    body: &[u8],
) -> Answered {
    let is_left_out = body.is_empty() && !kind.needs_body();
    let members = if is_left_out { Map::new() } else { object(body)? };
    Ok(Answer::created(&panel.create(owner, kind, on, members).await?))
}

pub(crate) async fn change(
    panel: &Panel,
    owner: &Owner,
    kind: Kind,
    id: i64,
    body: &[u8],
) -> Answered {
    Ok(Answer::ok(&panel.change(owner, kind, id, object(body)?).await?))
}

pub(crate) async fn delete(panel: &Panel, owner: &Owner, kind: Kind, id: i64) -> Answered {
    panel.delete(owner, kind, id).await?;
    Ok(Answer::no_content())
}
