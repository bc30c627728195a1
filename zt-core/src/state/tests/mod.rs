mod streams;

use std::sync::Arc;

use bytes::Bytes;

use crate::{
    clock::Timestamp,
    store::{BoxFuture, Expect, Store, StoreError, Swap, Version, Versioned},
};

/// A store that is always empty.
#[derive(Debug)]
pub(crate) struct Shelf;

impl Shelf {
    pub(crate) fn shared() -> Arc<dyn Store> {
        Arc::new(Self)
    }
}

impl Store for Shelf {
    fn get<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Option<Versioned>, StoreError>> {
        Box::pin(async { Ok(None) })
    }

    fn put_if<'a>(
        &'a self,
        _: &'a str,
        _: Bytes,
        _: Option<Timestamp>,
        _: Expect,
    ) -> BoxFuture<'a, Result<Swap, StoreError>> {
        Box::pin(async { Err(StoreError::Full) })
    }

    fn remove<'a>(&'a self, _: &'a str, _: Version) -> BoxFuture<'a, Result<Swap, StoreError>> {
        Box::pin(async { Ok(Swap::Conflict) })
    }

    fn scan<'a>(
        &'a self,
        _: &'a str,
        _: Option<&'a str>,
        _: usize,
    ) -> BoxFuture<'a, Result<Vec<(String, Versioned)>, StoreError>> {
        Box::pin(async { Ok(Vec::new()) })
    }
}
