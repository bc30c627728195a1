//! What happened, and can it be proved: the audit log of zt.
//!
//! [`AuditLog`] is a folder of append-only segments of JSON lines, hashed into a tree (RFC 6962),
//! written by one thread with one flush a batch, and signed each second (C2SP checkpoints).
//! [`RecordAuditLayer`] puts a decision and an outcome of every request into it, and holds a permit's
//! effect until the permit is durable. [`verify()`], and the program `zt-audit verify FOLDER`, read a
//! log and name the first record that is not as it was written; [`tree`] proves single records to a
//! stranger, and [`publish`] writes what other programs verify.
//!
//! # A record
//!
//! ```json
//! {"v":2,"idx":7,"ts":1893456000000000,"kind":"decision","origin":"shop/1","prev":"<64 hex digits>",
//!  "request_id":"<32 hex digits>","decision":"permit","ack":"sync","method":"POST",
//!  "route":"/orders/{id}","rule":"orders.create","issuer":"https://id.example","principal":"user",
//!  "auth":["jwt"],"client_source":"peer","sealed":[["<pseudonym, 32 hex digits>","<base64>"]]}
//! ```
//!
//! (on one line). `prev` is the leaf hash (RFC 6962) of the line before, without its newline. Times
//! are microseconds since the epoch, spans are microseconds. Fields stand in a fixed order; what is
//! not known is absent. A value that is longer than its field keeps is cut, and `<field>_sha256` has
//! the hash of the whole. Control characters, line separators, bidirectional controls and characters
//! that cannot be seen are escaped, so that a path or a user agent cannot fake a line.
//!
//! What is personal stands in `sealed`, by the person that it is about, and [`open_record`] puts it
//! back: of a decision that is `subject`, `token`, `path`, `peer_addr`, `client_addr`, `user_agent`
//! and the private `detail`. [`seal`] says how, and what it takes to forget somebody.
//!
//! Paths stand without their query. No header value but the user agent is recorded; credentials
//! appear as their id (`token`), never as themselves. What a request cost stands in the `budget`
//! records with its `request_id`.
//!
//! | kind | in the clear | sealed | about whom |
//! |---|---|---|---|
//! | `decision` | `request_id decision ack method route code status violates would_deny would_deny_rule would_deny_policy would_deny_version dry_run permitted rule policy version observed issuer principal auth tenant workload via client_source traceparent timings` | `path detail would_deny_detail subject token peer_addr client_addr user_agent` | issuer and subject, or the day |
//! | `outcome` | `request_id end handler code status grpc_status bytes elapsed` | | |
//! | `admin` | `action` | `author object detail` | the author, or the application |
//! | `grant` | `action id expires issuer author_issuer tenant` | `subject grant reason`; `author` | the subject; the author |
//! | `budget` | `action hold budgets[].limit,start,end currency nanos percent request_id` | `root detail`; `budgets[].subject`; `author` | the root; each subject; the author |
//! | `sanction` | `action target before expires`, `name` of keys and workloads | `name issuer reason`; `author` | the name; the author |
//! | `config` | `part action version detail` | | |
//! | `alert` | `detector score` | `subject evidence` | the subject |
//! | `started` `recovered` `gap` `key` | everything | | |
//! | `rolled-up` | the counts | `sources` | the day |
//! | `erased` | `action pseudonyms keys` | `author reason` | the author, or the application |
//! | `prune` | `before root` | `author` | the author |
//!
//! # What the log proves, and what it does not
//!
//! Nobody who can write the files, and has no key, can change, insert, drop or move a record that a
//! checkpoint covers without [`verify()`] naming it, nor cut such records off its end. What was
//! written since the last checkpoint, a second or less, they can write anew. They can put back an older
//! state of the whole folder: the writer refuses to go on with it, by what lies beside its keys, and
//! a reader who keeps a later checkpoint elsewhere sees it ([`Options::on_checkpoint`]). Code inside the process, and whoever has the signing key, can lie
//! from now on, but not about what such a copy covers.

pub mod cli;
pub mod follow;
pub(crate) mod format;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod log;
pub mod merkle;
pub mod note;
pub mod publish;
pub mod read;
mod record;
pub mod record_audit;
pub(crate) mod recover;
pub mod repair;
pub mod seal;
pub(crate) mod shown;
pub mod storage;
#[cfg(test)]
mod testing;
pub mod tree;
pub mod verify;

pub use self::{
    log::{
        AuditLog, EraseError, Erased, Health, OpenError, Options, PruneError, Pruned, RotateError,
        SignError,
    },
    record::{OpenRecordError, open_record},
    record_audit::{CommitAuditLayer, RecordAuditLayer},
    verify::{BadRecord, Finding, Reason, Report, Trust, verify},
};
