//! What the figures are measured on, and who runs where on it.

use std::{fmt, fs};

use core_affinity::CoreId;

pub struct Machine {
    cores: Vec<CoreId>,
}

impl Machine {
    pub fn new() -> Self {
        let machine = Self { cores: core_affinity::get_core_ids().unwrap_or_default() };
        machine.pin(1);
        machine
    }

    /// Starts a process there, which stays there; this one keeps the second core.
    pub fn on_first_core<T>(&self, start: impl FnOnce() -> T) -> T {
        self.pin(0);
        let started = start();
        self.pin(1);
        started
    }

    fn pin(&self, place: usize) {
        if let Some(core) = self.cores.get(place) {
            assert!(core_affinity::set_for_current(*core));
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = info.lines().find_map(|line| line.strip_prefix("model name"));
        let model = model.unwrap_or("unknown").trim_start_matches([' ', '\t', ':']);
        match self.cores.len() {
            0 | 1 => write!(f, "one core, which server and load have to share, {model}"),
            cores => write!(f, "{cores} cores, one for the server and one for the load, {model}"),
        }
    }
}
