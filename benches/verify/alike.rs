//! How far apart refusals are that must look alike, and, as a control, one that need not.

use crate::{
    fixture::Fixture,
    ratios::{ROUNDS, median, nanoseconds},
};

const REFUSALS: usize = 2_000;

/// The texts are verified in turn within each round, so that what the machine does besides falls on all of them.
pub fn print(fixture: &Fixture, texts: &[(&str, &str)], control: (&str, &str)) {
    let all: Vec<_> = texts.iter().chain([&control]).collect();
    let mut rounds = vec![Vec::new(); all.len()];
    for _ in 0..ROUNDS {
        for ((_, text), rounds) in all.iter().zip(&mut rounds) {
            let texts = vec![*text; REFUSALS];
            rounds.push(nanoseconds(&texts, |text| fixture.verify(text).is_err()));
        }
    }
    let medians: Vec<_> = rounds.iter().map(|rounds| median(rounds.iter().copied())).collect();
    for ((name, _), median) in all.iter().zip(&medians) {
        println!("    {name}: {median:.0} ns");
    }
    let (control, alike) = medians.split_last().unwrap();
    let least = alike.iter().copied().fold(f64::INFINITY, f64::min);
    let most = alike.iter().copied().fold(0.0, f64::max);
    println!(
        "refusals that look alike differ by at most {:.0} ns, the control by {:.0} ns (medians of {ROUNDS} interleaved \
         rounds)",
        most - least,
        least - control,
    );
}
