//! Keys that somebody else publishes, kept fresh away from requests.
//!
//! A token is as good as the key that it is checked with, and that key comes from a server that may
//! be slow, down, moved or broken while strangers send tokens that name keys of their own invention.
//! So no request fetches keys for itself, no stranger decides how often the issuer is asked, and
//! keys that the issuer has not confirmed for a day are not keys any more.
//!
//! # How keys come, stay and go
//!
//! 1. Requests read a snapshot, without a lock. A set replaces it whole, or does not touch it.
//! 2. **Asking.** One `GET` at a time to each issuer, over https (plain http on this machine only);
//!    1 MiB and five seconds at most for everything that belongs to it; any answer but `200`, or
//!    `304` to a question with an entity tag, is a failure; redirects are not followed. The content
//!    type is not looked at: what is no key set does not parse.
//! 3. **Discovery.** The metadata of an issuer stands at `/.well-known/openid-configuration` behind
//!    its path, or, where that is `404`, at `/.well-known/oauth-authorization-server` before it. It
//!    must be one JSON object without repeated members whose `issuer` is the configured one, to the
//!    letter. It is read again every hour, and whenever a fetch has come to nothing.
//! 4. **A set** has 100 keys at most. Keys that cannot be used are left out one by one. After a
//!    failure the last good set stays; only a set that has no key of use takes all keys away, since
//!    that is the issuer's word, and it counts as a failure, so that it is soon asked again.
//! 5. **Refresh** in the background after 75 to 95 % of what `Cache-Control: max-age` leaves, which
//!    counts as a minute where it is less and as an hour where it is more; without a word from the
//!    issuer it is ten minutes. After a failure one second, then twice as long each time, up to a
//!    minute, all of it jittered.
//! 6. **An unknown key** starts a fetch, unless one is on its way, which is then joined, or one has
//!    ended less than ten seconds ago, whoever asked for it and whatever came of it. The fetch does
//!    not end with the request that started it, and 10,000 requests may wait for it.
//! 7. **Taking back.** A key that is gone from a set, or is another one under the same id, is gone
//!    here with that fetch, and so is everything that was remembered as verified.
//! 8. **Age.** Keys that were neither given nor confirmed (`304`) for a day are not used.
//!
//! All figures are defaults of [`RefreshSettings`].
//!
//! # What a refusal looks like
//!
//! A key that the issuer does not have is the caller's mistake: `credential-invalid`. Keys that
//! cannot be had are nobody's here: `keys-unavailable`, 503, with `Retry-After`.
//!
//! | the key endpoint | tokens under known keys | tokens under unknown keys |
//! |---|---|---|
//! | is slow, sends 10 MB, HTML, a redirect, 10,000 keys | pass | `keys-unavailable`; asked again after the cooldown |
//! | sends a set without a key of use | `keys-unavailable` | `keys-unavailable` |
//! | is dead for an hour | pass | `keys-unavailable` |
//! | is dead for two days | `keys-unavailable` after the first, and again at its first answer they pass | `keys-unavailable` |
//! | was dead when this process started | | `keys-unavailable` until its first answer |
//! | adds a key | pass | pass; the first of them waits for the fetch |
//! | removes a key, or swaps it under the same id | tokens under the old one: `credential-invalid` from the next fetch on | |
//! | has one bad key among good ones | pass | those under the bad one: `credential-invalid` |
//!
//! A stranger who sprays ids of keys causes one fetch in each cooldown, and costs a few loads of
//! atomics each time.
//!
//! # What an operator sees
//!
//! - `WARN keys could not be fetched` with the source, why, and how many times in a row;
//! - `WARN some keys cannot be used` with which and why, once for each change;
//! - `INFO the keys have changed` with how many there are, and whether all earlier ones stayed;
//! - a readiness probe that fails while there are no keys, or only keys that are too old; it has
//!   them fetched then, under the rules of an unknown key.
//!
//! No log shows the query of an address, a token, or a key.
//!
//! # What a proxy in front of the issuer can break
//!
//! One that answers `200` with a page of its own, or `304` to whatever it is asked, hides changes; the
//! first fails, the second lasts until it stops. One that redirects from http to https, or to another
//! host, has to be named by its final address. `Age` counts as the answer says.
//!
//! # Example
//!
//! Keys from somewhere else than HTTP: a source says what it found, or that nothing has changed.
//!
//! ```
//! use futures_util::future::BoxFuture;
//! use zt_core::clock::SystemClock;
//! use zt_jwt::jwks::{FetchError, FetchRequest, Fetched, KeySource, Validator};
//!
//! /// A file that somebody else writes.
//! #[derive(Debug)]
//! struct Mounted(std::path::PathBuf);
//!
//! impl KeySource for Mounted {
//!     fn fetch(&self, request: FetchRequest) -> BoxFuture<'_, Result<Fetched, FetchError>> {
//!         Box::pin(async move {
//!             let place = self.0.to_string_lossy();
//!             let body = std::fs::read(&self.0)
//!                 .map_err(|error| FetchError::Other(error.to_string().into()))?;
//!             let tag = body.len().to_be_bytes(); // better: a digest
//!             if request.known.is_some_and(|known| known.tag_of(&place) == Some(&tag)) {
//!                 return Ok(Fetched::Unchanged { fresh_for: None });
//!             }
//!             let validator = Some(Validator::new(&place, &tag));
//!             Ok(Fetched::New { body: body.into(), validator, fresh_for: None })
//!         })
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let source = Mounted("/nowhere/jwks.json".into());
//! let error = source.fetch(FetchRequest::new(SystemClock)).await.unwrap_err();
//! assert!(matches!(error, FetchError::Other(_)));
//! # }
//! ```
//!
//! # Standards
//!
//! RFC 7517 section 5 (key sets; members that are not understood are ignored, keys that are not are
//! left out), RFC 8414 sections 2, 3.1 and 3.3, OpenID Connect Discovery 1.0 sections 4.1 to 4.3,
//! RFC 9110 sections 8.8.3, 13.1.2 and 15.4.5 (entity tags), RFC 9111 sections 4.2.1, 4.2.3 and 5.2.2
//! (freshness; `s-maxage`, `Expires` and heuristics are not used).
//!
//! # What it does not do
//!
//! It does not follow `jku` or `x5u` of a token, nor any address that a caller has named. It does
//! not check signatures on metadata (`signed_metadata`) or on key sets, and keeps nothing on disk:
//! a process that starts while the issuer is down refuses until it has keys.

mod flight;
mod freshness;
mod http_keys;
mod keeper;
mod remote;
mod schedule;
mod settings;
mod source;
mod status;
#[cfg(test)]
mod tests;

pub(crate) use self::remote::{Current, CurrentKeys, Missing, RemoteKeys};
pub use self::{
    http_keys::HttpKeys,
    settings::RefreshSettings,
    source::{FetchError, FetchRequest, Fetched, KeySource, Validator},
    status::KeysStatus,
};
