//! What happened, and can it be proved: the audit log of zt.
//!
//! [`AuditLog`] is an append-only file of JSON lines, each bound to the one before by its SHA-256,
//! written by one thread with one flush a batch. [`RecordAuditLayer`] puts a decision and an
//! outcome of every request into it, and holds a permit's effect until the permit is durable.
//! [`verify`], and the program `zt-audit verify FILE`, read a log and name the first record that is
//! not as it was written.
//!
//! # A record
//!
//! ```json
//! {"v":1,"idx":7,"ts":1893456000000000,"kind":"decision","prev":"<64 hex digits>",
//!  "request_id":"<32 hex digits>","decision":"permit","ack":"sync","method":"POST",
//!  "path":"/orders","rule":"orders.create","subject":"alice","principal":"user",
//!  "auth":["jwt"],"client_source":"peer","sum":"<16 hex digits>"}
//! ```
//!
//! (on one line). `prev` is the SHA-256 of the line before, without its newline; `sum` is the
//! beginning of the SHA-256 of the line up to it, and finds damage to the last line, which has no
//! successor yet. Times are microseconds since the epoch, spans are microseconds. Fields stand in a
//! fixed order; what is not known is absent. A value that is longer than its field keeps is cut,
//! and `<field>_sha256` has the hash of the whole. Control characters, line separators and
//! bidirectional controls are escaped, so that a path or a user agent cannot fake a line.
//!
//! Paths stand without their query. No header value but the user agent is recorded; credentials
//! appear as their id (`token`), never as themselves.
//!
//! | kind | it says |
//! |---|---|
//! | `decision` | who asked for what, from where, and what was decided by which rule |
//! | `outcome` | how the request ended, and how far the handler came |
//! | `admin`, `grant`, `budget`, `sanction`, `config`, `alert` | what else was done or noticed |
//! | `started`, `recovered`, `rolled-up` | the log's own: it was opened; half a record was moved aside; how many events had no place |
//!
//! # What the log proves, and what it does not
//!
//! Nobody can change, insert, drop or move a record without [`verify`] naming it, unless they also
//! write every later record anew. Whoever can write the file can do that, and can cut whole
//! records off its end; the file alone cannot tell. Keep the number of records and the last hash
//! somewhere else. Code inside the process can lie from now on, but not about what such a copy
//! covers.

pub mod cli;
mod first_form;
pub mod follow;
pub(crate) mod format;
mod log;
pub mod merkle;
pub mod note;
pub mod publish;
pub mod read;
mod record;
pub mod record_audit;
pub(crate) mod recover;
pub mod seal;
pub mod storage;
#[cfg(test)]
mod testing;
pub mod tree;
pub mod verify;

pub use self::{
    first_form::{BadRecord, Finding, Reason, Report, verify},
    log::{
        AuditLog, EraseError, Erased, Health, OpenError, Options, PruneError, Pruned, RotateError,
        SignError,
    },
    record::{OpenRecordError, open_record},
    record_audit::{CommitAuditLayer, RecordAuditLayer},
};
