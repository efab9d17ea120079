//! The problem that each error is, by reference and by value.

use crate::{
    issue::IssueError,
    limit::LimitError,
    manage::{ManageError, RotateError},
    store::StoreError,
    token::{InvalidFields, InvalidValue, MissingAbility},
    verify::VerifyError,
};

use super::{Problem, credentials::CredentialsError, request::RequestError};

/// Within a layer, the challenge names the realm of the layer. Elsewhere it names none.
impl From<&VerifyError> for Problem {
    fn from(reason: &VerifyError) -> Self {
        Self::refused_in(None, reason)
    }
}

/// As for a [`VerifyError`].
impl From<&MissingAbility> for Problem {
    fn from(missing: &MissingAbility) -> Self {
        Self::insufficient_scope_in(None, &[missing.required.as_str()])
    }
}

/// As for a [`VerifyError`].
impl From<&CredentialsError> for Problem {
    fn from(_: &CredentialsError) -> Self {
        Self::unreadable(None)
    }
}

impl From<&InvalidFields> for Problem {
    fn from(invalid: &InvalidFields) -> Self {
        Self::validation_failed(invalid)
    }
}

impl From<&InvalidValue> for Problem {
    fn from(invalid: &InvalidValue) -> Self {
        Self::invalid_fields([(invalid.name, invalid.rule.to_string())])
    }
}

impl From<&StoreError> for Problem {
    fn from(error: &StoreError) -> Self {
        Self::store(error)
    }
}

impl From<&LimitError> for Problem {
    fn from(error: &LimitError) -> Self {
        match error {
            LimitError::Reached(limited) => {
                Self::rate_limited(limited.retry_after).with_quota(&limited.quota, false)
            }
            LimitError::Unavailable(_) => Self::store_unavailable(),
            LimitError::Corrupt(_) => Self::internal(),
        }
    }
}

impl From<&IssueError> for Problem {
    fn from(error: &IssueError) -> Self {
        match error {
            IssueError::Invalid(invalid) => Self::validation_failed(invalid),
            IssueError::NameTaken => Self::new(409, "name_taken"),
            IssueError::LimitReached { .. } => Self::new(409, "token_limit_reached"),
            IssueError::AlreadyIssued(id) => Self::already_issued(*id),
            IssueError::DelegationNotAllowed => Self::new(403, "delegation_not_allowed"),
            IssueError::Entropy(_) | IssueError::WrongOwner => Self::internal(),
            IssueError::Store(error) => Self::store(error),
        }
    }
}

impl From<&RotateError> for Problem {
    fn from(error: &RotateError) -> Self {
        match error {
            RotateError::Manage(error) => Self::from(error),
            RotateError::PrefixNotAccepted | RotateError::Refused { .. } => {
                Self::new(409, "token_not_active")
            }
            RotateError::Conflict => Self::new(409, "rotation_conflict"),
            RotateError::InGrace => Self::new(409, "rotation_in_grace"),
            RotateError::Entropy(_) => Self::internal(),
        }
    }
}

impl From<&ManageError> for Problem {
    fn from(error: &ManageError) -> Self {
        match error {
            ManageError::NotFound => Self::not_found(),
            ManageError::Invalid(invalid) => Self::validation_failed(invalid),
            ManageError::NameTaken => Self::new(409, "name_taken"),
            ManageError::LimitReached { .. } => Self::new(409, "token_limit_reached"),
            ManageError::VersionMismatch { .. } => Self::new(412, "version_mismatch"),
            ManageError::BeyondAccount => Self::new(403, "beyond_account"),
            ManageError::NotActive(_) => Self::new(409, "token_not_active"),
            ManageError::Store(error) => Self::store(error),
        }
    }
}

/// So that `?` takes each error as it is.
macro_rules! from_owned {
    ($($error:ty)+) => {
        $(impl From<$error> for Problem {
            fn from(error: $error) -> Self {
                Self::from(&error)
            }
        })+
    };
}

from_owned! {
    CredentialsError InvalidFields InvalidValue IssueError LimitError ManageError MissingAbility
    RequestError RotateError StoreError VerifyError
}
