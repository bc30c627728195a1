//! The harness behind `cargo bench -p zt-benches`: what a layer costs over none, beside peers and
//! floors, in one run.
//!
//! The candidates of a [`Group`] take turns in small batches, so that whatever the machine does
//! meanwhile happens to all of them; what is reported first is therefore the median of the
//! per-round *ratios* to the group's base, and only then the time. Every candidate is shown to
//! permit the good request and to refuse the bad one before it is timed.
//!
//! `README.md` holds the last table, with how it was measured.

mod allocations;
mod bars;
mod drive;
mod group;
mod numbers;
mod options;
mod report;
mod template;

pub use self::{
    allocations::Heap,
    bars::{Bar, Limit},
    drive::{Answer, carries, drive, shows},
    group::{Group, Kind, Measured, thread_time},
    numbers::{median, quantile, span, times},
    options::{Options, SECTIONS},
    report::{BASELINE_AXUM, BASELINE_SERVICE_FN, Report},
    template::Template,
};

/// What a section comes to.
pub type Outcome = Result<(), Box<dyn std::error::Error + Send + Sync>>;

/// Why a benchmark stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BenchError {
    /// An argument that nobody knows.
    #[error("`{0}` is neither a section nor an option; sections: {sections}", sections = SECTIONS.join(", "))]
    Argument(String),
    /// A candidate does not do what it claims; what it costs says nothing then.
    #[error("{candidate}: expected {expected}, found {found}")]
    Claim {
        /// The candidate.
        candidate: String,
        /// What it claims.
        expected: String,
        /// What it did.
        found: String,
    },
    /// A candidate that no group has.
    #[error("there is no candidate `{0}` in the group")]
    Candidate(String),
    /// The table could not be written.
    #[error(transparent)]
    Output(#[from] std::io::Error),
}
