//! What the fuzz target sees.

use rustls::crypto::aws_lc_rs::default_provider;
use zt_core::clock::Timestamp;

use super::{Choice, call::Partial, update};

/// Whether a response gives credentials.
pub(crate) fn read(response: &[u8]) -> bool {
    let now = Ok(Timestamp::from_secs(1_893_456_000));
    update::read(response, &Choice::First, &default_provider(), now).is_ok()
}

/// The messages of a stream that comes in pieces of `size`, and whether one was refused.
pub(crate) fn messages(stream: &[u8], size: usize) -> (Vec<Vec<u8>>, bool) {
    let mut partial = Partial::default();
    let mut found = Vec::new();
    for chunk in stream.chunks(size) {
        partial.unread = chunk.to_vec().into();
        loop {
            match partial.take() {
                Ok(Some(message)) => found.push(message.to_vec()),
                Ok(None) => break,
                Err(_) => return (found, true),
            }
        }
    }
    (found, false)
}
