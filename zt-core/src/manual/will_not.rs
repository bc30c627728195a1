//! What zt will not do.
//!
//! # Because it would weaken the rest
//!
//! - **Fail open.** There is no switch that lets requests pass while a store, the clock or the audit log
//!   is down. [`insecure_observe_only`](crate::stack::Builder::insecure_observe_only) has a date, and
//!   does not cover those.
//! - **Guess.** Two credentials, two hosts, a path with two readings: refused, not repaired. Nothing is
//!   normalised.
//! - **Explain refusals to callers.** A code and one sentence; the rest is in the audit record.
//! - **Trust a network.** A call from inside is asked for its credential like any other.
//! - **Skip a check for speed.**
//! - **Home-made cryptography, or formats of its own on the wire** where a standard exists.
//!
//! # Because somebody else does it
//!
//! - **TLS, header timeouts, connection limits**: your server. Slow heads never reach zt.
//! - **CORS, CSRF tokens, compression, request timeouts**: tower-http, outside or inside; the README says
//!   which goes where.
//! - **Logging people in**: sessions, passwords, reset mails. zt takes the word of whoever does it, through
//!   [`Authenticate`](crate::authenticate::Authenticate).
//! - **What a handler lets its caller do.** A policy sees the request, not the row in the database. Take the
//!   [`Principal`](crate::identity::Principal) and ask.
//! - **Volumetric floods**: whoever stands in front.
//! - **Protection from code in the same process.** `Principal::assertion` can be called by anything that is
//!   linked in. Searching for `assertion(` lists every place that vouches for somebody.
//!
//! # Not yet
//!
//! Client certificates and proofs of possession for tokens (DPoP). Codes and stages are reserved for them,
//! and nothing answers with those codes today.
