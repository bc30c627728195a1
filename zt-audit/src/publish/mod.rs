//! A log as files that any C2SP tlog-tiles client can read, from a web server or a copy of the
//! folder, with no program of ours:
//!
//! ```text
//! out/checkpoint                       the signed checkpoint
//! out/tile/<L>/<N>                     256 hashes of a level of the tree
//! out/tile/<L>/<N>.p/<W>               the last ones, where there are fewer
//! out/tile/entries/<N>[.p/<W>]         256 records: two bytes of length (big-endian) and the bytes
//! ```
//!
//! Records are published as they are stored: personal fields stay sealed.
//!
//! # What is published, and in which order
//!
//! 1. What the log's signed checkpoint covers, and nothing after it.
//! 2. The checkpoint comes last, when everything that it covers is on the disk, and is exchanged
//!    whole. So what a client finds under a checkpoint is complete, also after a crash.
//! 3. Running it again writes what is new. What an earlier checkpoint covers is compared and never
//!    changed; what a run that was cut short left behind is written anew.
//! 4. A pruned log is published from its first record that is there on (the "minimum index" of
//!    C2SP tlog-tiles). What was published before it was pruned stays.
//! 5. Partial tiles of an earlier checkpoint are removed once the full ones are there.
//!
//! # Refusals
//!
//! Nothing is published, and [`PublishError`] says why, when the log has no checkpoint, or not one by
//! the key that was asked for; when its records do not have the root that was signed; when the
//! folder has another log, a later checkpoint of this one, or one that this log does not go on
//! from; when a published file is not what it was; when another process publishes there; when the
//! log lies within the folder, or the folder within the log.
//!
//! # What it does not do
//!
//! It serves nothing, and says nothing about whether a checkpoint is the newest: that is what
//! the timestamped signature on it and copies of it in other places are for.
//!
//! ```no_run
//! use zt_audit::publish::publish;
//!
//! let published = publish("/var/lib/shop/audit", "/srv/audit")?;
//! println!("{} records", published.size);
//! # Ok::<(), zt_audit::publish::PublishError>(())
//! ```

mod error;
mod out;
mod run;
#[cfg(test)]
mod tests;

use std::path::Path;

pub use self::{
    error::PublishError,
    run::{Publish, Published},
};

/// Publishes the log in `log` into the folder `out`, which is made where there is none; see the
/// [module](self). [`Publish`] has choices.
///
/// # Errors
///
/// As the module says.
pub fn publish(log: impl AsRef<Path>, out: impl AsRef<Path>) -> Result<Published, PublishError> {
    Publish::new().run(log, out)
}
