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
#[derive(Clone, Debug)]
pub struct Asked {
    step: Step,
    token: Option<VerifiedToken>,
    parameters: Vec<(String, String)>,
}

impl Asked {
    pub(super) fn new(
        step: Step,
        token: Option<VerifiedToken>,
        parameters: Vec<(String, String)>,
    ) -> Self {
        Self { step, token, parameters }
    }

    /// The step, so that the application can ask for the password again before a token is created.
    #[must_use]
    pub fn step(&self) -> Step {
        self.step
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
