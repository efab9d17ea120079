use std::fmt;

use crate::verify::VerifiedToken;

/// The kind of a step that somebody wants to take with tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// List tokens, show one, list the abilities that can be granted.
    See,
    /// Create a token.
    Create,
    /// Change, rotate, suspend, resume or revoke tokens.
    Change,
}

/// The question that the application answers for each request: which account takes this step?
#[derive(Clone)]
pub struct Asked {
    step: Step,
    shows_secret: bool,
    token: Option<VerifiedToken>,
    parameters: Vec<(String, String)>,
}

impl Asked {
    pub(super) fn new(step: Step, shows_secret: bool, parameters: Vec<(String, String)>) -> Self {
        Self { step, shows_secret, token: None, parameters }
    }

    pub(super) fn by(self, token: VerifiedToken) -> Self {
        Self { token: Some(token), ..self }
    }

    /// The step.
    #[must_use]
    pub fn step(&self) -> Step {
        self.step
    }

    /// Returns `true` if the answer shows the plain text of a token: the token is created or rotated. An application can ask
    /// for the password again then. `/current/rotate`, by which a token rotates itself, does not ask the application.
    ///
    /// ```
    /// use keyfob::web::{Problem, auth::Account, manage::Asked};
    ///
    /// /// The application's own session. It notes when the password was last confirmed.
    /// struct Session { account: Account, is_confirmed: bool }
    ///
    /// async fn account(session: Option<Session>, asked: Asked) -> Result<Account, Problem> {
    ///     let session = session.ok_or(Problem::new(401, "login_required"))?;
    ///     if asked.shows_secret() && !session.is_confirmed {
    ///         return Err(Problem::new(403, "password_required"));
    ///     }
    ///     Ok(session.account)
    /// }
    /// ```
    #[must_use]
    pub fn shows_secret(&self) -> bool {
        self.shows_secret
    }

    /// The token that makes the request, if no session does. The application is asked about a token only if
    /// [tokens may manage](super::Management::tokens_may_manage) others, and this one has the ability. Return the account that
    /// the path is about, as for a session. If its owner is not the token's, the answer is 403.
    ///
    /// ```
    /// use keyfob::{Owner, web::{Problem, auth::Account, manage::Asked}};
    ///
    /// // Mounted at `/projects/{project}/tokens`.
    /// async fn account(asked: Asked) -> Result<Account, Problem> {
    ///     let project = asked.parameter("project").ok_or(Problem::not_found())?;
    ///     let account = Account::new(Owner::new(format!("project:{project}"))?);
    ///     if asked.token().is_some() {
    ///         return Ok(account);
    ///     }
    ///     // Here the application looks for a session, and for the person's place in this project.
    ///     Err(Problem::new(401, "login_required"))
    /// }
    /// ```
    #[must_use]
    pub fn token(&self) -> Option<&VerifiedToken> {
        self.token.as_ref()
    }

    /// The value of a parameter of the path that the routes are mounted at, decoded: `project` of
    /// `/projects/{project}/tokens`. The client has chosen it: check that the person is a member of that project.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let mut parameters = self.parameters.iter();
        parameters.find(|(it, _)| it == name).map(|(_, value)| value.as_str())
    }
}

/// It does not show the parameters: a client can put a token there.
impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asked")
            .field("step", &self.step)
            .field("token", &self.token)
            .finish_non_exhaustive()
    }
}
