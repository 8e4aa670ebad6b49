//! Tells what happens, with the time since the start, and keeps count of what did not.

use std::process::ExitCode;
use std::time::Instant;

/// The demo's voice.
pub struct Narrator {
    started: Instant,
    expectations: u32,
    failures: Vec<String>,
}

impl Narrator {
    /// Starts the clock.
    pub fn new() -> Narrator {
        Narrator {
            started: Instant::now(),
            expectations: 0,
            failures: Vec::new(),
        }
    }

    /// Tells what is done next.
    pub fn step(&self, text: &str) {
        println!("[{:6.2} s] {text}", self.started.elapsed().as_secs_f64());
    }

    /// Tells an expectation and whether it was met.
    pub fn expect(&mut self, what: &str, is_met: bool, found: &str) {
        self.expectations += 1;
        let mark = if is_met { "ok  " } else { "FAIL" };
        let found = if found.is_empty() {
            String::new()
        } else {
            format!(": {found}")
        };
        println!(
            "[{:6.2} s]   {mark} {what}{found}",
            self.started.elapsed().as_secs_f64()
        );
        if !is_met {
            self.failures.push(format!("{what}{found}"));
        }
    }

    /// Sums up; the exit code says whether every expectation was met.
    pub fn conclude(&self) -> ExitCode {
        let elapsed = self.started.elapsed().as_secs_f64();
        if self.failures.is_empty() {
            println!(
                "\nAll {} expectations met in {elapsed:.1} s.",
                self.expectations
            );
            return ExitCode::SUCCESS;
        }
        println!(
            "\n{} of {} expectations failed:",
            self.failures.len(),
            self.expectations
        );
        for failure in &self.failures {
            println!("  {failure}");
        }
        ExitCode::FAILURE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failed_expectation_fails_the_demo() {
        let mut narrator = Narrator::new();
        narrator.expect("a", true, "");
        assert_eq!(narrator.conclude(), ExitCode::SUCCESS);
        narrator.expect("b", false, "found c");
        assert_eq!(narrator.conclude(), ExitCode::FAILURE);
    }
}
