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
    /// for the password again then.
    ///
    /// ```
    /// use keyfob::web::{Problem, auth::Account, manage::Asked};
    ///
    /// struct Session { account: Account, asked_for_password: bool }
    ///
    /// fn account(session: Session, asked: &Asked) -> Result<Account, Problem> {
    ///     if asked.shows_secret() && !session.asked_for_password {
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
    /// [tokens may manage](super::Management::tokens_may_manage) others. Its owner must be that of the account; otherwise the
    /// answer is 403.
    #[must_use]
    pub fn token(&self) -> Option<&VerifiedToken> {
        self.token.as_ref()
    }

    /// The value of a parameter of the path that the routes are mounted at, decoded: `project` of
    /// `/projects/{project}/tokens`.
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
