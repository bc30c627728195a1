//! The log keeps what it promised, whatever the disk and the machine do.
//!
//! * [`simulated`]: the power goes, and the disk fails, at every operation in turn, over a disk in memory
//!   that drops, reorders and tears what was not synced.
//! * [`concurrent`]: the same while several callers write, so that a batch is made while another is flushed.
//! * [`process`]: a real process fails, and is killed, at every system call of opening, appending,
//!   rolling and closing.
//! * [`files`]: real files are deleted, exchanged and linked under a live log; real disks are full.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::string_slice,
    reason = "a test fails by panicking, and says what it skips"
)]

mod concurrent;
pub(crate) mod events;
mod files;
mod process;
mod simulated;
