use std::{
    fmt,
    hash::{Hash, Hasher},
    net::IpAddr,
};

use sha2::{Digest, Sha256};

use crate::token::{Actor, Owner, TokenId};

/// The party that a charge counts for: a token, a session, an owner, or an address.
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
    Address,
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

impl Payer {
    /// Returns the payer of all requests from an address. Addresses of IPv6 share one for each /64, because a client has
    /// all of those. `None`: the payer of all whose address is not known.
    #[must_use]
    pub fn address(address: Option<IpAddr>) -> Self {
        let id = match address.map(|it| it.to_canonical()) {
            None => [u8::MAX; 16],
            Some(IpAddr::V4(address)) => address.to_ipv6_mapped().octets(),
            Some(IpAddr::V6(address)) => {
                let octets = address.octets();
                std::array::from_fn(|place| if place < 8 { octets[place] } else { 0 })
            }
        };
        Self { kind: Kind::Address, id }
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

/// As in the keys of a shared limiter: the id of a token, or `session:`, `owner:` or `address:` and 32 hexadecimal
/// digits.
impl fmt::Display for Payer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Kind::Token => TokenId::from_bytes(self.id).fmt(f),
            Kind::Session => write!(f, "session:{}", hex::encode(self.id)),
            Kind::Owner => write!(f, "owner:{}", hex::encode(self.id)),
            Kind::Address => write!(f, "address:{}", hex::encode(self.id)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_pays_for_all_that_its_client_has() {
        let payer = |text: &str| Payer::address(text.parse().ok());
        for (one, other) in [
            ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9"),
            ("192.0.2.7", "::ffff:192.0.2.7"),
            ("", "no address"),
        ] {
            assert_eq!(payer(one), payer(other), "{one} {other}");
        }
        for (one, other) in [
            ("2001:db8:1:2::1", "2001:db8:1:3::1"),
            ("192.0.2.7", "192.0.2.8"),
            ("192.0.2.7", ""),
            ("::ffff:0:0:1", "0.0.0.1"),
        ] {
            assert_ne!(payer(one), payer(other), "{one} {other}");
        }
        let id = TokenId::from_bytes(payer("192.0.2.7").id);
        assert_ne!(Payer::from(id), payer("192.0.2.7"), "nor for a token");
    }
}
