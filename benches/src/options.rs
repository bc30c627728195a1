use std::time::Duration;

use crate::BenchError;

/// The sections, in the order in which they run.
pub const SECTIONS: &[&str] = &[
    "tower",
    "gate",
    "headers",
    "validate",
    "limit",
    "budget",
    "service_token",
    "jwt",
    "signature",
    "mtls",
    "authorize",
    "policy",
    "audit",
    "stack",
    "whole",
];

/// What was asked for on the command line.
#[derive(Debug, Clone)]
pub struct Options {
    /// Rounds of a run: each candidate has one batch a round.
    pub rounds: usize,
    /// Runs of a group.
    pub runs: usize,
    /// How long a batch should take.
    pub batch: Duration,
    sections: Vec<String>,
    /// Only the candidate of this name; for profilers.
    pub only: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            rounds: 151,
            runs: 1,
            batch: Duration::from_millis(2),
            sections: Vec::new(),
            only: None,
        }
    }
}

impl Options {
    /// Reads `--quick`, `--runs N`, `--only CANDIDATE` and names of sections.
    ///
    /// Without `--bench`, which `cargo bench` passes and `cargo test --all-targets` does not, the
    /// candidates are shown to do what they claim and measured quickly.
    ///
    /// # Errors
    ///
    /// [`BenchError::Argument`] for anything else.
    pub fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Self, BenchError> {
        let mut options = Self::default();
        let mut quick = true;
        let mut asked = false;
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--bench" => quick = false,
                "--quick" => asked = true,
                "--runs" => {
                    options.runs = arguments
                        .next()
                        .and_then(|runs| runs.parse().ok())
                        .filter(|runs| *runs > 0)
                        .ok_or(BenchError::Argument(argument))?;
                }
                "--only" => {
                    options.only = Some(arguments.next().ok_or(BenchError::Argument(argument))?);
                }
                name if SECTIONS.contains(&name) => options.sections.push(argument),
                _ => return Err(BenchError::Argument(argument)),
            }
        }
        if quick || asked {
            options.rounds = 11;
            options.batch = Duration::from_micros(500);
        }
        Ok(options)
    }

    /// Whether few rounds are enough.
    #[must_use]
    pub const fn is_quick(&self) -> bool {
        self.rounds < 100
    }

    /// Whether `section` was asked for; all are where none was named.
    #[must_use]
    pub fn wants(&self, section: &str) -> bool {
        self.sections.is_empty() || self.sections.iter().any(|name| name == section)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Options, BenchError> {
        Options::parse(arguments.iter().map(|argument| (*argument).to_owned()))
    }

    #[test]
    fn sections_are_selected_by_name() {
        let options = parse(&["--bench", "gate", "--runs", "3"]).unwrap();
        assert!(options.wants("gate") && !options.wants("tower"));
        assert_eq!((options.runs, options.rounds), (3, 151));
        assert!(parse(&[]).unwrap().wants("tower"));
    }

    #[test]
    fn what_cargo_bench_did_not_start_is_quick() {
        assert_eq!(parse(&["gate"]).unwrap().rounds, 11);
        assert_eq!(parse(&["--quick", "--bench"]).unwrap().rounds, 11);
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        for arguments in [
            &["--runs"][..],
            &["--runs", "0"],
            &["--only"],
            &["nosuchsection"],
        ] {
            assert!(matches!(parse(arguments), Err(BenchError::Argument(_))));
        }
    }
}
