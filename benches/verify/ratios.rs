//! keyfob against both bounds, interleaved: each round measures every side, and the median of the rounds' ratios is
//! what counts on a machine that is shared.

use std::{hint::black_box, time::Instant};

use crate::fixture::{ABILITY, Fixture};

pub const ROUNDS: usize = 201;
const VERIFICATIONS: usize = 5_000;

pub fn print(fixture: &Fixture) {
    let mut rounds = Vec::new();
    for round in 0..ROUNDS {
        let tokens = tokens_of(fixture, round);
        rounds.push([
            nanoseconds(&tokens, |token| fixture.bare.verify(token, 0, 1)),
            nanoseconds(&tokens, |token| fixture.fair.verify(token, 1).is_some()),
            nanoseconds(&tokens, |token| fixture.verify(token).is_ok_and(|it| it.can(ABILITY))),
        ]);
    }
    let median = |of: &dyn Fn(&[f64; 3]) -> f64| median(rounds.iter().map(of));
    println!(
        "{:>9} tokens: bare bound {:.0} ns, fair bound {:.0} ns, verify {:.0} ns; verify is {:.2} × the fair and {:.2} × \
         the bare bound (medians of {ROUNDS} interleaved rounds)",
        fixture.tokens.len(),
        median(&|round| round[0]),
        median(&|round| round[1]),
        median(&|round| round[2]),
        median(&|round| round[2] / round[1]),
        median(&|round| round[2] / round[0]),
    );
}

/// The tokens of a round, each round others.
pub fn tokens_of(fixture: &Fixture, round: usize) -> Vec<&str> {
    let tokens = fixture.tokens.iter().cycle().skip(round * VERIFICATIONS % fixture.tokens.len());
    tokens.take(VERIFICATIONS).map(String::as_str).collect()
}

pub fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// What one of them costs.
pub fn nanoseconds(tokens: &[&str], mut verify: impl FnMut(&str) -> bool) -> f64 {
    let start = Instant::now();
    for token in tokens {
        assert!(verify(black_box(token)));
    }
    start.elapsed().as_nanos() as f64 / tokens.len() as f64
}
