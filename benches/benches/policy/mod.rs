//! A policy in a file: what a decision costs, whatever the number of rules.

#[cfg(feature = "peers")]
mod conditions;
mod segmentation;

use std::io::Write;

use zt_benches::{Options, Outcome, Report};

pub(crate) fn run(options: &Options, report: &mut Report<impl Write>) -> Outcome {
    report.section("policy")?;
    segmentation::run(options, report)?;
    #[cfg(feature = "peers")]
    conditions::run(options, report)?;
    Ok(())
}
