//! What calls cost, side by side: each round measures every side, and the median of the rounds' ratios is what counts
//! on a machine that is shared.

use std::{future::Future, ops::Range, time::Instant};

use futures_util::future::{BoxFuture, join_all};

const ROUNDS: usize = 31;

/// One way to do it.
pub struct Side {
    name: &'static str,
    /// How often each round does it.
    calls: usize,
    share: Box<dyn Fn(Range<usize>) -> BoxFuture<'static, ()>>,
}

impl Side {
    pub fn new<F: Future<Output = ()> + Send + 'static>(
        name: &'static str,
        calls: usize,
        share: impl Fn(Range<usize>) -> F + 'static,
    ) -> Self {
        Self { name, calls, share: Box::new(move |calls| Box::pin(share(calls))) }
    }

    /// What a call costs where so many callers share them, in nanoseconds.
    async fn measure(&self, callers: usize, first: usize) -> f64 {
        let each = self.calls / callers;
        let start = Instant::now();
        let callers = (0..callers).map(|caller| {
            let first = first + caller * each;
            tokio::spawn((self.share)(first..first + each))
        });
        join_all(callers).await.into_iter().for_each(Result::unwrap);
        start.elapsed().as_nanos() as f64 / self.calls as f64
    }
}

/// A side that does something with `$on` for each call, which it knows by its number.
macro_rules! side {
    ($name:literal, $calls:literal, $on:expr, |$it:ident, $call:ident| $work:expr) => {{
        let on = $on.clone();
        $crate::rounds::Side::new($name, $calls, move |calls| {
            let $it = on.clone();
            async move {
                for $call in calls {
                    $work.await;
                }
            }
        })
    }};
}
pub(crate) use side;

/// What a side has to cost beside the first one.
pub enum Goal {
    /// So many times as much at the most.
    Cost(f64),
    /// So little that as many more can be done in the same time at the least.
    Throughput(f64),
}

/// Prints how sides compare with the first one, each with its goal.
pub async fn compare(title: &str, callers: usize, first: Side, others: Vec<(Side, Goal)>) {
    let mut rounds = Vec::new();
    for round in 0..ROUNDS {
        let mut costs = Vec::new();
        for side in [&first].into_iter().chain(others.iter().map(|(side, _)| side)) {
            costs.push(side.measure(callers, round * side.calls).await);
        }
        rounds.push(costs);
    }
    let median = |of: &dyn Fn(&Vec<f64>) -> f64| median(rounds.iter().map(of));
    println!("{title}, callers: {callers} (medians of {ROUNDS} interleaved rounds)");
    println!("    {}: {:.2} µs", first.name, median(&|costs| costs[0]) / 1_000.0);
    for (place, (side, goal)) in (1..).zip(&others) {
        let cost = median(&|costs| costs[place]) / 1_000.0;
        let times = median(&|costs| costs[place] / costs[0]);
        let compared = match goal {
            Goal::Cost(most) => format!("{times:.2} × the cost, goal ≤ {most}"),
            Goal::Throughput(least) => {
                format!("{:.1} × the throughput, goal ≥ {least}", times.recip())
            }
        };
        println!("    {}: {cost:.2} µs, {compared}", side.name);
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
