//! What authentication adds to an HTTP request: CPU time of the server, keyfob beside a check that is written by hand.
//!
//! `cargo bench --bench http --features axum,actix`. The server has one core and the load the other. Each variant is an
//! application of its own behind a port of its own, so that all get the same bytes and route them at the same cost.
//! They take turns every few milliseconds, because a shared machine drifts: only ratios within a turn count.

#![allow(clippy::unwrap_used, reason = "a benchmark may panic")]
#![allow(clippy::cast_precision_loss, reason = "nanoseconds are not exact either")]

mod actix;
mod axum;
#[expect(dead_code, reason = "the bench of verification needs more of it")]
#[path = "../verify/bound.rs"]
mod bound;
#[path = "../verify/fixture.rs"]
mod fixture;
mod hand;
mod load;
mod machine;
mod server;
mod table;

use std::{
    env,
    time::{Duration, Instant},
};

use fixture::Fixture;
use load::Load;
use machine::Machine;
use server::Server;
use table::Sample;

const TOKENS: usize = 1_000;
const PATH: &str = "/servers";
const BODY: &str = "[]";

struct Plan {
    /// Each start of a server lays its memory out anew, which is worth more than more rounds in one layout.
    starts: usize,
    rounds: usize,
    /// How often a variant has its turn in a round.
    turns: usize,
}

const FULL: Plan = Plan { starts: 8, rounds: 4, turns: 25 };
/// What `cargo test` runs: each part once.
const TRIAL: Plan = Plan { starts: 1, rounds: 1, turns: 1 };
const WARM_UP: usize = 3;
const REQUESTS: usize = 1_000;

type Serve = fn(Fixture);
const FRAMEWORKS: [(&str, Serve); 2] = [("axum", axum::serve), ("actix", actix::serve)];

fn main() {
    if let Some(framework) = server::asked_for() {
        let (_, serve) = FRAMEWORKS.iter().find(|(name, _)| *name == framework).unwrap();
        let fixture = Fixture::new(TOKENS);
        server::announce(&fixture.tokens);
        return serve(fixture);
    }
    let machine = Machine::new();
    let plan = if env::args().any(|argument| argument == "--bench") { FULL } else { TRIAL };
    let Plan { starts, rounds, turns } = plan;
    println!("{machine}");
    println!("{starts} starts × {rounds} rounds × {turns} turns × {REQUESTS} requests a variant");
    for (framework, _) in FRAMEWORKS {
        let mut names = Vec::new();
        let mut samples = Vec::new();
        for _ in 0..plan.starts {
            let server = Server::start(framework, &machine);
            samples.extend(measure(&server, &plan));
            names = server.variants.iter().map(|(name, _)| name.clone()).collect();
        }
        table::print(framework, &names, &samples);
    }
}

/// Rounds in which every variant has its turns, in an order that is drawn anew each time.
fn measure(server: &Server, plan: &Plan) -> Vec<Vec<Sample>> {
    let mut loads: Vec<_> = server.variants.iter().map(|it| Load::connect(it.1)).collect();
    for (load, (name, _)) in loads.iter_mut().zip(&server.variants) {
        load.is_refused(&server.stranger(), table::checks(name));
    }
    let mut order: Vec<_> = (0..loads.len()).collect();
    let mut round = |turns| {
        let mut samples = vec![Vec::new(); order.len()];
        for _ in 0..turns {
            fastrand::shuffle(&mut order);
            for &variant in &order {
                samples[variant].push(turn(server, &mut loads[variant]));
            }
        }
        samples.iter().map(|turns| Sample::of_round(turns)).collect()
    };
    let _warm_up: Vec<_> = round(WARM_UP);
    (0..plan.rounds).map(|_| round(plan.turns)).collect()
}

fn turn(server: &Server, load: &mut Load) -> Sample {
    let (start, cpu) = (Instant::now(), server.cpu());
    load.run(&server.requests, REQUESTS);
    let (wall, cpu) = (start.elapsed(), server.cpu().saturating_sub(cpu));
    let of_one = |time: Duration| time.as_nanos() as f64 / REQUESTS as f64;
    Sample::of_turn(of_one(cpu), of_one(wall))
}
