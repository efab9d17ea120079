//! What the rounds say, variant by variant.

/// What a request took, in nanoseconds, in one turn or in the turns of a round.
#[derive(Clone, Copy)]
pub struct Sample {
    cpu: f64,
    wall: f64,
    /// The part of the turns in which the server had its core for itself and was never short of work.
    undisturbed: f64,
}

impl Sample {
    pub fn of_turn(cpu: f64, wall: f64) -> Self {
        Self { cpu, wall, undisturbed: f64::from(u8::from(wall < cpu * 1.1)) }
    }

    /// The median of the undisturbed turns; of all where there is none.
    pub fn of_round(turns: &[Self]) -> Self {
        let calm: Vec<_> = turns.iter().filter(|turn| turn.undisturbed > 0.0).copied().collect();
        let counted = if calm.is_empty() { turns } else { &calm };
        let median = |of: fn(&Self) -> f64| Quartiles::of(counted, of).median;
        let undisturbed = calm.len() as f64 / turns.len() as f64;
        Self { cpu: median(|it| it.cpu), wall: median(|it| it.wall), undisturbed }
    }
}

const NONE: &str = "none";
const SHAPES: [&str; 2] = ["extractor", "layer"];

/// Whether a variant refuses a bad token.
pub fn checks(name: &str) -> bool {
    name.starts_with("hand-") || name.starts_with("keyfob-")
}

pub fn print(framework: &str, names: &[String], rounds: &[Vec<Sample>]) {
    let place = |name: &str| names.iter().position(|it| it == name).unwrap();
    let none = place(NONE);
    println!(
        "\n{framework:<24}{:>14}{:>30}{:>14}   of what is added by hand (quartiles)",
        "CPU a request", "added (quartiles)", "requests/s",
    );
    for (variant, name) in names.iter().enumerate() {
        let of = |figure: &dyn Fn(&[Sample]) -> f64| Quartiles::of(rounds, |round| figure(round));
        let added = |round: &[Sample], it: usize| round[it].cpu - round[none].cpu;
        let cpu = of(&|round| round[variant].cpu / 1e3);
        let percent = of(&|round| added(round, variant) / round[none].cpu * 100.0);
        let rate = of(&|round| 1e9 / round[variant].wall);
        let quartiles = format!("({:+.1} to {:+.1})", percent.low, percent.high);
        print!("{name:<24}{:>11.3} µs{:>+11.2} %", cpu.median, percent.median);
        print!("{quartiles:>17}{:>14.0}", rate.median);
        if name.starts_with("keyfob-") {
            let shape = SHAPES.iter().find(|shape| name.contains(*shape)).unwrap();
            let by_hand = place(&format!("hand-{shape}"));
            let ratio = of(&|round| added(round, variant) / added(round, by_hand));
            print!("   {:.2} × ({:.2} to {:.2})", ratio.median, ratio.low, ratio.high);
        }
        println!();
    }
    let samples: Vec<_> = rounds.iter().flatten().collect();
    let undisturbed = samples.iter().map(|it| it.undisturbed).sum::<f64>() / samples.len() as f64;
    println!(
        "The server had its core for itself in {:.0} % of the turns, and only these count; a round that has none counts \
         whole.",
        undisturbed * 100.0
    );
}

struct Quartiles {
    low: f64,
    median: f64,
    high: f64,
}

impl Quartiles {
    fn of<T>(all: &[T], figure: impl Fn(&T) -> f64) -> Self {
        let mut values: Vec<_> = all.iter().map(figure).collect();
        values.sort_by(f64::total_cmp);
        let at = |quarter: usize| values[(values.len() - 1) * quarter / 4];
        Self { low: at(1), median: at(2), high: at(3) }
    }
}
