//! What a verification costs, beside the least that it could cost.
//!
//! `cargo bench --bench verify` prints criterion's figures, and at the end the interleaved ratios.

#![allow(clippy::unwrap_used, reason = "a benchmark may panic")]
#![allow(clippy::cast_precision_loss, reason = "nanoseconds are not exact either")]

mod alike;
mod bound;
mod fixture;
mod pepper;
mod ratios;

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion};
use futures_util::FutureExt;
use sha2::{Digest, Sha256};

use fixture::{ABILITY, Fixture};

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let small = Fixture::new(1_000);
    let large = Fixture::new(1_000_000);
    parts(&mut criterion, &small);
    for fixture in [&small, &large] {
        hits(&mut criterion, fixture);
    }
    misses(&mut criterion, &small);
    criterion.final_summary();
    for fixture in [&small, &large] {
        ratios::print(fixture);
    }
    pepper::print(&small);
    alike();
}

fn parts(criterion: &mut Criterion, fixture: &Fixture) {
    let token = fixture.tokens[0].as_str();
    let mut group = criterion.benchmark_group("part");
    group.bench_function("parse", |b| b.iter(|| fixture.keyfob.format().parse(black_box(token))));
    group.bench_function("parse, bound", |b| b.iter(|| bound::parse(black_box(token))));
    let secret = &token.as_bytes()[token.len() - 49..][..43];
    group.bench_function("digest", |b| b.iter(|| Sha256::digest(black_box(secret))));
    group.finish();
}

fn hits(criterion: &mut Criterion, fixture: &Fixture) {
    let mut group = criterion.benchmark_group("hit");
    let tokens = fixture.tokens.len();
    let mut next = fixture.tokens.iter().cycle();
    let mut next = || black_box(next.next().unwrap().as_str());
    group.bench_function(BenchmarkId::new("bare bound", tokens), |b| {
        b.iter(|| fixture.bare.verify(next(), 0, 1));
    });
    group.bench_function(BenchmarkId::new("fair bound", tokens), |b| {
        b.iter(|| fixture.fair.verify(next(), 1));
    });
    group.bench_function(BenchmarkId::new("verify", tokens), |b| {
        b.iter(|| fixture.verify(next()).is_ok_and(|token| token.can(ABILITY)));
    });
    group.finish();
}

/// Texts that are refused, each for another reason.
struct Refused {
    mistyped: String,
    unknown: String,
    wrong_secret: String,
}

impl Refused {
    fn new(fixture: &Fixture) -> Self {
        let token = fixture.tokens[0].as_str();
        let unknown = Fixture::new(1).tokens.remove(0);
        let last = if token.ends_with('0') { '1' } else { '0' };
        // The id of one token with the secret of another, and a checksum that fits.
        let mixed = format!("{}{}", &token[..28], &unknown[28..unknown.len() - 6]);
        Self {
            mistyped: format!("{}{last}", &token[..token.len() - 1]),
            wrong_secret: format!("{mixed}{}", checksum(&mixed)),
            unknown,
        }
    }
}

/// Refusals of tokens that were good.
fn alike() {
    let fixture = Fixture::new(1_000);
    let Refused { mistyped, unknown, wrong_secret } = Refused::new(&fixture);
    let [revoked, suspended] = [&fixture.tokens[1], &fixture.tokens[2]];
    let of = |text| {
        let token = fixture.verify(text).unwrap();
        (fixture.keyfob.owned_by(token.owner()), token.id())
    };
    let (own, id) = of(revoked);
    own.revoke(id).now_or_never().unwrap().unwrap();
    let (own, id) = of(suspended);
    own.suspend(id).now_or_never().unwrap().unwrap();
    let texts = [
        ("unknown", unknown.as_str()),
        ("wrong secret", &wrong_secret),
        ("revoked", revoked),
        ("suspended", suspended),
    ];
    alike::print(&fixture, &texts, ("mistyped", &mistyped));
}

fn misses(criterion: &mut Criterion, fixture: &Fixture) {
    let token = fixture.tokens[0].as_str();
    let Refused { mistyped, unknown, wrong_secret } = Refused::new(fixture);
    let mut group = criterion.benchmark_group("miss");
    for (name, presented) in [
        ("foreign", "ghp_16C7e42F292c6912E7710c838347Ae178B4a"),
        ("too short", &token[..40]),
        ("mistyped", &mistyped),
        ("unknown", &unknown),
        ("wrong secret", &wrong_secret),
    ] {
        assert!(fixture.verify(presented).is_err());
        group.bench_function(name, |b| b.iter(|| fixture.verify(black_box(presented))));
    }
    group.finish();
}

fn checksum(covered: &str) -> String {
    const DIGITS: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut rest = crc32fast::hash(covered.as_bytes()) as usize;
    let mut text = [0_u8; 6];
    for place in text.iter_mut().rev() {
        *place = DIGITS[rest % 62];
        rest /= 62;
    }
    text.map(char::from).iter().collect()
}
