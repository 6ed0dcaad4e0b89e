//! Which measurements are made in which order, and how far they have come.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::apart::Job;
use super::options::Options;
use super::results::Results;
use super::scenario::{Contender, Scenario};

/// How many of the measurements that mostly wait run at a time.
const LANES: usize = 2;

/// Makes every measurement; one that fails does not stop the others.
pub fn run(options: &Options) -> Results {
    let (together, alone): (Vec<Job>, Vec<Job>) =
        jobs(options).into_iter().partition(|j| j.scenario.together());
    let progress = Progress::new(&together, &alone);
    let results = Mutex::new(Results::default());
    let measure = |job: &Job| {
        progress.tell(job);
        let outcome = job.run(options.against.as_deref());
        results.lock().unwrap_or_else(PoisonError::into_inner).add(job, outcome);
        progress.done(job);
    };
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..LANES {
            scope.spawn(|| {
                while let Some(job) = together.get(next.fetch_add(1, Relaxed)) {
                    measure(job);
                }
            });
        }
    });
    alone.iter().for_each(measure);
    results.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// What is made once first, then repetition by repetition, so that a change of the machine's mood meets all
/// contenders alike; they take turns in being first.
fn jobs(options: &Options) -> Vec<Job> {
    let runs = options.runs;
    let present = |contender: &Contender| *contender != Contender::Other || options.against.is_some();
    let of = |scenario: &Scenario, repetition: usize| {
        let scenario = *scenario;
        let mut contenders: Vec<Contender> =
            Contender::ALL.into_iter().filter(present).filter(|c| scenario.concerns(*c)).collect();
        let first = repetition % contenders.len().max(1);
        contenders.rotate_left(first);
        contenders.into_iter().map(move |contender| Job { scenario, contender, repetition, runs })
    };
    let (once, repeated): (Vec<Scenario>, Vec<Scenario>) =
        options.scenarios.iter().copied().partition(Scenario::once);
    let mut jobs: Vec<Job> = once.iter().flat_map(|scenario| of(scenario, 0)).collect();
    for repetition in 0..runs {
        jobs.extend(repeated.iter().flat_map(|scenario| of(scenario, repetition)));
    }
    jobs
}

/// Tells on standard error what is being measured and how long the rest will take.
struct Progress {
    start: Instant,
    count: usize,
    state: Mutex<State>,
}

struct State {
    told: usize,
    /// Estimated seconds of what is done and of everything, as they count for the clock.
    done: f64,
    all: f64,
}

impl Progress {
    fn new(together: &[Job], alone: &[Job]) -> Progress {
        let all = together.iter().chain(alone).map(cost).sum();
        let state = Mutex::new(State { told: 0, done: 0.0, all });
        Progress { start: Instant::now(), count: together.len() + alone.len(), state }
    }

    fn tell(&self, job: &Job) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.told += 1;
        // Estimates are for an unhurried machine; what is done says how this one is.
        let pace = if state.done > 60.0 { self.start.elapsed().as_secs_f64() / state.done } else { 1.0 };
        let left = Duration::from_secs_f64((state.all - state.done) * pace).as_secs();
        eprintln!(
            "bench: {} of {}: {}; about {} min {:02} s left",
            state.told,
            self.count,
            job.name(),
            left / 60,
            left % 60
        );
    }

    fn done(&self, job: &Job) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).done += cost(job);
    }
}

/// Seconds of the clock.
fn cost(job: &Job) -> f64 {
    let lanes = if job.scenario.together() { LANES } else { 1 };
    job.estimate().as_secs_f64() / lanes as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(line: &str) -> Vec<String> {
        let arguments: Vec<String> = line.split(' ').map(String::from).collect();
        jobs(&Options::parse(&arguments).unwrap().unwrap()).iter().map(Job::name).collect()
    }

    #[test]
    fn contenders_take_turns() {
        assert_eq!(
            planned("--runs 2 --only goodput_slow,cost_8"),
            [
                "cost_8 of bsbf",
                "goodput_slow of bsbf, run 1 of 2",
                "goodput_slow of kernel, run 1 of 2",
                "goodput_slow of kernel, run 2 of 2",
                "goodput_slow of bsbf, run 2 of 2",
            ]
        );
    }

    #[test]
    fn another_command_is_measured_where_the_manager_is() {
        let without = planned("--runs 1 --only carrier_idle_2,carrier_loaded_2");
        let with = planned("--runs 1 --only carrier_idle_2,carrier_loaded_2 --against true");
        let of_other: Vec<&String> = with.iter().filter(|name| !without.contains(name)).collect();
        assert_eq!(
            of_other,
            ["carrier_idle_2 of other, run 1 of 1", "carrier_loaded_2 of other, run 1 of 1"]
        );
    }
}
