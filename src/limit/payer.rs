use std::{
    fmt,
    hash::{Hash, Hasher},
};

use sha2::{Digest, Sha256};

use crate::token::{Actor, Owner, TokenId};

/// The party that a charge counts for: a token, a session, or an owner.
///
/// Each has buckets of its own. A token's id converts into its payer.
///
/// ```
/// use keyfob::{Owner, TokenId, limit::Payer, token::Actor};
///
/// let token = Payer::from(TokenId::from_u128(1));
/// let (owner, actor) = (Owner::new("project:7")?, Actor::new("user:42")?);
/// assert_ne!(Payer::session(&owner, &actor), Payer::owner(&owner));
/// assert_ne!(Payer::owner(&owner), token);
/// # Ok::<(), keyfob::InvalidValue>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payer {
    kind: Kind,
    /// Bytes, and not a number, keep the keys of buckets small: they need no alignment.
    id: [u8; 16],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Token,
    Session,
    Owner,
}

impl Payer {
    /// Returns the payer of all sessions in which an actor acts for an owner.
    #[must_use]
    pub fn session(owner: &Owner, actor: &Actor) -> Self {
        // Neither text has a control character, so the separator stands in none.
        Self { kind: Kind::Session, id: digest(&[owner.as_str(), "\0", actor.as_str()]) }
    }

    /// Returns the payer that all tokens and sessions of an owner share.
    #[must_use]
    pub fn owner(owner: &Owner) -> Self {
        Self { kind: Kind::Owner, id: digest(&[owner.as_str()]) }
    }
}

/// The first half of a SHA-256. To find two texts with the same half takes about 2^64 attempts.
fn digest(parts: &[&str]) -> [u8; 16] {
    let digest = parts.iter().fold(Sha256::new(), Sha256::chain_update);
    let digest: [u8; 32] = digest.finalize().into();
    std::array::from_fn(|place| digest[place])
}

impl From<TokenId> for Payer {
    fn from(id: TokenId) -> Self {
        Self { kind: Kind::Token, id: id.to_bytes() }
    }
}

impl Hash for Payer {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // A token's id and a digest are alike as rarely as two digests are.
        state.write_u128(u128::from_ne_bytes(self.id));
    }
}

/// As in the keys of a shared limiter: the id of a token, or `session:` or `owner:` and 32 hexadecimal digits.
impl fmt::Display for Payer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Kind::Token => TokenId::from_bytes(self.id).fmt(f),
            Kind::Session => write!(f, "session:{}", hex::encode(self.id)),
            Kind::Owner => write!(f, "owner:{}", hex::encode(self.id)),
        }
    }
}
