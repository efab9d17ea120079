//! What a pepper adds to a verification, beside what it has to: one HMAC whose key is already in it, in place of one
//! block of SHA-256.

use std::hint::black_box;

use hmac::{Hmac, KeyInit, Mac};
use keyfob::token::{Pepper, PepperKey};
use sha2::{Digest, Sha256};

use crate::{
    fixture::{ABILITY, Fixture},
    ratios::{ROUNDS, median, nanoseconds, tokens_of},
};

const KEY: [u8; 32] = *b"0123456789abcdef0123456789abcdef";

struct Round {
    plain: f64,
    peppered: f64,
    hash: f64,
    hmac: f64,
}

pub fn print(plain: &Fixture) {
    let pepper = Pepper::new(PepperKey::new("bench", KEY).unwrap());
    let peppered = Fixture::with_pepper(plain.tokens.len(), Some(pepper));
    let keyed = Hmac::<Sha256>::new_from_slice(&KEY).unwrap();
    let rounds = (0..ROUNDS).map(|round| {
        let (of_plain, of_peppered) = (tokens_of(plain, round), tokens_of(&peppered, round));
        Round {
            plain: nanoseconds(&of_plain, |it| plain.verify(it).is_ok_and(|it| it.can(ABILITY))),
            peppered: nanoseconds(&of_peppered, |token| {
                peppered.verify(token).is_ok_and(|it| it.can(ABILITY))
            }),
            hash: nanoseconds(&of_plain, |token| {
                let digest: [u8; 32] = Sha256::digest(secret(token)).into();
                black_box(digest) != [0; 32]
            }),
            hmac: nanoseconds(&of_plain, |token| {
                let mut mac = keyed.clone();
                mac.update(black_box(&[7; 16]));
                mac.update(secret(token));
                let digest: [u8; 32] = mac.finalize().into_bytes().into();
                black_box(digest) != [0; 32]
            }),
        }
    });
    let rounds: Vec<_> = rounds.collect();
    let added = median(rounds.iter().map(|it| it.peppered - it.plain));
    let least = median(rounds.iter().map(|it| it.hmac - it.hash));
    println!(
        "{:>9} tokens: a pepper adds {added:.0} ns, one HMAC less one block of SHA-256 is {least:.0} ns: {:.2} × \
         (medians of {ROUNDS} interleaved rounds)",
        plain.tokens.len(),
        added / least,
    );
}

fn secret(token: &str) -> &[u8] {
    &token.as_bytes()[token.len() - 49..][..43]
}
