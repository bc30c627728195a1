//! Records of the log's own that somebody waits for: a new key, an erasure, a pruning.

use std::{
    fmt,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
};

use zt_core::{clock::Timestamp, state::RecordError};

use crate::{merkle::Hash, record::Chain, seal::VaultError};

/// Writes the record at this index and time; asked again where the batch has to be written anew.
pub(super) type Append =
    dyn FnMut(&mut Chain, &mut Vec<u8>, u64, Timestamp) -> Result<Hash, VaultError> + Send;

pub(super) struct Order {
    append: Box<Append>,
    done: SyncSender<Result<(), RecordError>>,
}

/// Whoever waits for an order.
pub(super) struct Placed(Receiver<Result<(), RecordError>>);

impl Order {
    pub(super) fn new(
        append: impl FnMut(&mut Chain, &mut Vec<u8>, u64, Timestamp) -> Result<Hash, VaultError>
        + Send
        + 'static,
    ) -> (Self, Placed) {
        let (done, placed) = sync_channel(1);
        let append = Box::new(append);
        (Self { append, done }, Placed(placed))
    }

    pub(super) fn append(
        &mut self,
        chain: &mut Chain,
        out: &mut Vec<u8>,
        index: u64,
        at: Timestamp,
    ) -> Result<Hash, VaultError> {
        (self.append)(chain, out, index, at)
    }

    pub(super) fn done(self, result: Result<(), RecordError>) {
        // Whoever gave the order may be gone.
        let _ = self.done.try_send(result);
    }
}

impl Placed {
    /// Blocks until the record is durable.
    pub(super) fn wait(self) -> Result<(), RecordError> {
        self.0.recv().unwrap_or_else(|_| {
            Err(RecordError::Unavailable(
                "the writer ended before the record was durable".into(),
            ))
        })
    }
}

impl fmt::Debug for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Order")
    }
}
