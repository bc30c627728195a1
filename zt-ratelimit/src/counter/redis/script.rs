//! The steps, each one script.

use redis::{Cmd, Pipeline, Script, cmd};

/// A step that the server knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Reserve,
    Extend,
    Settle,
    Read,
    Adjust,
    Holds,
    Expire,
    Restore,
    Begin,
}

/// All steps, ready to be loaded.
#[derive(Debug)]
pub(super) struct Scripts(Vec<(Step, Script, String)>);

impl Scripts {
    /// With `shifted`, the clock of the server is moved on by a key: for tests.
    pub(super) fn new(shifted: bool) -> Self {
        let clock = if shifted { CLOCK_SHIFTED } else { CLOCK };
        let step = |step, body: &[&str]| {
            let code = [&[clock, PRELUDE], body].concat().concat();
            (step, Script::new(&code), code)
        };
        Self(vec![
            step(Step::Reserve, &[include_str!("lua/reserve.lua")]),
            step(Step::Extend, &[include_str!("lua/extend.lua")]),
            step(Step::Settle, &[include_str!("lua/settle.lua")]),
            step(Step::Read, &[CELL, include_str!("lua/read.lua")]),
            step(Step::Adjust, &[CELL, include_str!("lua/adjust.lua")]),
            step(Step::Holds, &[include_str!("lua/holds.lua")]),
            step(Step::Expire, &[include_str!("lua/expire.lua")]),
            step(Step::Restore, &[include_str!("lua/restore.lua")]),
            step(Step::Begin, &[include_str!("lua/begin.lua")]),
        ])
    }

    /// The beginning of a call: over the bucket of `generation_key`, for who counts in `generation`.
    pub(super) fn call(
        &self,
        step: Step,
        generation_key: &str,
        generation: &str,
        grace: u64,
    ) -> Cmd {
        let mut call = cmd("EVALSHA");
        let found = self.0.iter().find(|(other, ..)| *other == step);
        call.arg(found.map_or("", |(_, script, _)| script.get_hash()));
        call.arg(1).arg(generation_key).arg(generation).arg(grace);
        call
    }

    /// What makes a server know them.
    pub(super) fn load(&self) -> Pipeline {
        let mut all = redis::pipe();
        for (_, _, code) in &self.0 {
            all.cmd("SCRIPT").arg("LOAD").arg(code).ignore();
        }
        all
    }
}

const CLOCK: &str = include_str!("lua/clock.lua");
const CLOCK_SHIFTED: &str = include_str!("lua/clock_shifted.lua");
const PRELUDE: &str = include_str!("lua/prelude.lua");
const CELL: &str = include_str!("lua/cell.lua");
