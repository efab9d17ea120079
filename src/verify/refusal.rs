use crate::{
    store::StoreError,
    token::{MalformedToken, Owner},
};

use super::VerifyError;

/// A refusal, and the owner of the token if the current secret was proven.
pub(crate) struct Refusal {
    pub(super) reason: VerifyError,
    pub(super) owner: Option<Owner>,
}

impl From<VerifyError> for Refusal {
    fn from(reason: VerifyError) -> Self {
        Self { reason, owner: None }
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        VerifyError::from(error).into()
    }
}

impl From<MalformedToken> for Refusal {
    fn from(malformed: MalformedToken) -> Self {
        VerifyError::from(malformed).into()
    }
}
