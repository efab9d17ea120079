//! A request without a token of ours, which a session of the application's own login may make.

use std::{future::Future, net::IpAddr, time::Instant};

use crate::{event::Event, time::timer::in_time, web::Problem};

use super::{
    Account, Caller,
    context::{AuthContext, Verdict},
};

/// Why a request has no credential of ours.
#[derive(Clone, Copy, Debug)]
pub(super) enum NoToken {
    Missing,
    /// It is a proxy's JWT, another scheme's, or anything else that does not look like ours.
    Foreign,
    /// It can't be read, and does not look like ours.
    Unreadable,
}

/// The question to the application whether a session makes a request.
#[derive(Debug)]
pub(crate) struct SessionQuestion {
    pub(super) nobody: AuthContext,
    pub(super) no_token: NoToken,
    /// Whether a session may make this request: see [`cross_site`](super::cross_site).
    pub(super) is_admitted: bool,
}

impl SessionQuestion {
    /// The same with the answer to whether a session may make the request.
    pub(super) fn admitted(self, is_admitted: bool) -> Self {
        Self { is_admitted, ..self }
    }

    /// Asks the application once, no longer than the deadline, and judges the request by the answer. An error is a text
    /// for people.
    pub(crate) async fn ask(
        self,
        answer: impl Future<Output = Result<Option<Account>, String>>,
    ) -> Verdict {
        let authenticator = self.nobody.authenticator.clone();
        match authenticator.session_in_time(answer).await? {
            Ok(Some(account)) => self.made_by(account),
            Ok(None) => self.made_by_nobody(),
            Err(error) => Err(authenticator.session_failed(&error)),
        }
    }

    /// Judges a request that the session of an account makes.
    pub(crate) fn made_by(self, account: Account) -> Verdict {
        let Self { nobody, is_admitted, .. } = self;
        nobody.made_by(account, is_admitted)
    }

    /// Judges a request that no session makes either.
    pub(crate) fn made_by_nobody(self) -> Verdict {
        let Self { mut nobody, no_token, .. } = self;
        nobody.session_was_asked = true;
        let authenticator = nobody.authenticator.clone();
        authenticator.without_token(nobody, no_token)
    }
}

impl AuthContext {
    /// Judges a request that the session of an account makes.
    pub(super) fn made_by(mut self, account: Account, is_admitted: bool) -> Verdict {
        self.session_was_asked = true;
        if !is_admitted {
            return Err(self.authenticator.cross_site(&account, self.from));
        }
        self.called_by(Caller::by_session(account)).holding_something()
    }
}

impl super::Authenticator {
    /// Waits no longer than the deadline. `None`: it has passed.
    pub(crate) async fn in_time<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        in_time(Instant::now() + self.rules.tokens.deadline(), future).await
    }

    /// Waits for what the application answers about a session, no longer than the deadline.
    pub(crate) async fn session_in_time<T>(
        &self,
        answer: impl Future<Output = T>,
    ) -> Result<T, Problem> {
        let answer = self.in_time(answer).await;
        answer.ok_or_else(|| {
            let deadline = self.rules.tokens.deadline();
            self.session_failed(&format!("no answer within {} ms", deadline.as_millis()))
        })
    }

    #[cold]
    fn cross_site(&self, account: &Account, from: Option<IpAddr>) -> Problem {
        self.rules.tokens.report(|| Event::CrossSiteRefused {
            owner: account.owner().clone(),
            actor: account.actor().clone(),
            from,
        });
        self.finish(Problem::cross_site_request(), None)
    }

    #[cold]
    fn session_failed(&self, error: &str) -> Problem {
        let format = self.rules.tokens.format();
        self.rules
            .tokens
            .report(|| Event::SessionFailed { error: format.without_tokens(error).into_owned() });
        self.finish(Problem::store_unavailable(), None)
    }
}
