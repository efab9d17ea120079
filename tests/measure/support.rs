//! What measurements share.

use std::time::Duration;

/// The shortest time that so many of a hundred do not exceed.
pub fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted[rank - 1]
}

/// Prints the middle, the late and the longest of these.
pub fn print(what: &str, times: &mut [Duration]) {
    times.sort_unstable();
    let [median, late, longest] = [50, 99, 100].map(|percent| percentile(times, percent));
    println!(
        "{what}: median {median:.1?}, 99th percentile {late:.1?}, longest {longest:.1?} ({} times)",
        times.len()
    );
}
