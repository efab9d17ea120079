//! Tokens that were really issued, on every side of the comparison.

use futures_util::FutureExt;
use keyfob::{
    ApiTokens, LastUsed, NewToken, Owner, VerifiedToken, VerifyError, store::MemoryStore,
    token::Pepper,
};

use crate::bound::{Bare, Fair};

pub const ABILITY: &str = "servers:read";

pub struct Fixture {
    pub keyfob: ApiTokens,
    pub bare: Bare,
    pub fair: Fair,
    pub tokens: Vec<String>,
}

impl Fixture {
    /// Tokens without a pepper.
    pub fn new(tokens: usize) -> Self {
        Self::with_pepper(tokens, None)
    }

    /// Tokens with an owner each, a name, three abilities and an expiry, in an order that no cache foresees.
    pub fn with_pepper(tokens: usize, pepper: Option<Pepper>) -> Self {
        let mut keyfob = ApiTokens::builder(MemoryStore::new()).prefix("acme");
        if let Some(pepper) = pepper {
            keyfob = keyfob.pepper(pepper);
        }
        // Each token has been used before in this interval, as it is with tokens that come thousands of times a second.
        let keyfob = keyfob.last_used(LastUsed::default().capacity(tokens)).build().unwrap();
        let mut fixture =
            Self { keyfob, bare: Bare::default(), fair: Fair::default(), tokens: Vec::new() };
        for i in 0..tokens {
            let new = NewToken::new(Owner::new(format!("user:{i}")).unwrap(), "ci-deploy")
                .abilities(["servers:create", ABILITY, "sites:*"])
                .expires_in(time::Duration::days(365));
            let issued = fixture.keyfob.issue(new).now_or_never().unwrap().unwrap();
            fixture.tokens.push(issued.plain.expose_secret().to_owned());
        }
        shuffle(&mut fixture.tokens);
        for token in &fixture.tokens {
            fixture.bare.insert(token);
            fixture.fair.insert(token);
            assert!(fixture.verify(token).is_ok());
        }
        fixture
    }

    pub fn verify(&self, token: &str) -> Result<VerifiedToken, VerifyError> {
        self.keyfob.verify(token).now_or_never().unwrap()
    }
}

/// The same order in every run.
fn shuffle<T>(items: &mut [T]) {
    let mut state = 88_172_645_463_325_252_u64;
    for i in (1..items.len()).rev() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        items.swap(i, usize::try_from(state % (i as u64 + 1)).unwrap());
    }
}
