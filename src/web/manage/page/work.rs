//! The steps of the page: what is shown, and what is done with tokens.

use crate::{
    api_tokens::ApiTokens,
    manage::{ManageError, OwnerTokens},
    token::{Abilities, Owner, TokenId, TokenRecord, TokenState},
    web::Problem,
};

use super::{
    super::Target,
    choices::Offer,
    document::{Document, Reply},
    form::Form,
    markup::{AsMarkup, Markup},
    routes::Operation,
    texts::Message,
    view::{Said, Site},
    visitor::Choice,
};

/// A request of a person who may take its step.
pub(super) struct Work<'w> {
    pub(super) site: &'w Site,
    pub(super) tokens: &'w ApiTokens,
    pub(super) owner: &'w Owner,
    pub(super) own: OwnerTokens,
    pub(super) grantable: &'w [Abilities],
    pub(super) choices: &'w [Choice],
    pub(super) target: &'w Target,
}

pub(super) type Replied = Result<Reply, Problem>;

impl Work<'_> {
    pub(super) async fn answer(&self, operation: Operation, body: &[u8]) -> Replied {
        let form = Form::read(body);
        match operation {
            Operation::List => self.list().await,
            Operation::AskCreate => self.ask_create().await,
            Operation::Create => self.create(form).await,
            Operation::Show => self.show().await,
            Operation::Change => self.change(form).await,
            Operation::AskRotate => self.ask_rotate().await,
            Operation::Rotate => self.rotate(form).await,
            Operation::AskSuspend => self.ask_suspend().await,
            Operation::Suspend => self.suspend(form).await,
            Operation::Resume => self.resume(form).await,
            Operation::AskRevoke => self.ask_revoke().await,
            Operation::Revoke => self.revoke(form).await,
            Operation::AskRevokeAll => self.ask_revoke_all(false).await,
            Operation::RevokeMany => self.revoke_many(form).await,
            Operation::Asset => Err(Problem::internal()),
        }
    }

    /// The token of the path. A text that is no id is the id of no token.
    pub(super) fn id(&self) -> Result<TokenId, Problem> {
        self.target.segments[0].parse().map_err(|_| ManageError::NotFound.into())
    }

    pub(super) async fn record(&self) -> Result<TokenRecord, Problem> {
        Ok(self.own.get(self.id()?).await?)
    }

    pub(super) fn offer(&self) -> Offer<'_> {
        Offer {
            tokens: self.tokens,
            options: &self.site.options,
            t: &self.site.t,
            choices: self.choices,
            grantable: self.grantable,
        }
    }

    /// The value of a parameter of the query.
    pub(super) fn parameter(&self, name: &str) -> Option<String> {
        let mut pairs = form_urlencoded::parse(self.target.query.as_bytes());
        pairs.find(|(it, _)| it == name).map(|(_, value)| value.into_owned())
    }

    /// Refuses a form that the page did not send.
    pub(super) fn bad_form(&self) -> Replied {
        let t = &self.site.t;
        self.said(422, t.bad_form.to_string(), None, Vec::new())
    }

    /// A document that says something, with a link to the list.
    pub(super) fn said(
        &self,
        status: u16,
        heading: String,
        text: Option<Markup>,
        mut links: Vec<(String, String)>,
    ) -> Replied {
        links.push((self.site.t.to_list.to_string(), self.site.home().to_owned()));
        let title = heading.clone();
        let said = Said { site: self.site, heading, text, links };
        Ok(Document::new(status, title, &said)?.into())
    }

    pub(super) fn path(&self, id: TokenId, rest: &str) -> String {
        format!("{}/{id}{rest}", self.site.mount)
    }

    /// The outcome of a step as the query of the document after it tells it.
    pub(super) fn outcome(&self) -> Option<Markup> {
        let t = &self.site.t;
        // A small number, so that no text of a stranger gets here.
        let n = self.parameter("n").and_then(|it| it.parse::<u32>().ok()).map_or(1, u64::from);
        let text = match self.parameter("done")?.as_str() {
            "revoked" => t.done_revoked.n(n).plain(),
            "more" => format!("{} {}", t.done_revoked.n(n).plain(), t.done_more),
            "changed" => t.done_changed.to_string(),
            "less" => t.done_less.to_string(),
            "suspended" => t.done_suspended.to_string(),
            "resumed" => t.done_resumed.to_string(),
            _ => return None,
        };
        Some(Message::from(text).as_markup())
    }

    /// Why a token that has ended can't be changed.
    pub(super) fn ended(&self, record: &TokenRecord, state: TokenState) -> Markup {
        let t = &self.site.t;
        let text = match (state, &record.revocation, record.expires_at) {
            (TokenState::Revoked, Some(revocation), _) => t.was_revoked.at(revocation.at),
            (TokenState::Expired, _, Some(end)) => t.has_expired.at(end),
            (TokenState::Idle, ..) => return t.is_idle.as_markup(),
            _ => return t.cant_rotate.as_markup(),
        };
        text.as_markup()
    }
}
