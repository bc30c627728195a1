use std::{sync::Arc, time::Duration};

use serde::Serialize;

/// How the keys of one issuer stand, for administrators.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct KeysStatus {
    /// How many there are.
    pub keys: usize,
    /// How long ago the issuer gave or confirmed them; `None` where it never has.
    pub age: Option<Duration>,
    /// Whether they can be used: there are some, and they are not too old.
    pub usable: bool,
    /// Grows whenever a key is taken away or changed.
    pub epoch: u64,
    /// Keys of the last set that could not be used, and why.
    pub left_out: Arc<[String]>,
    /// Why the last fetch came to nothing; `None` where it did not.
    pub last_error: Option<Arc<str>>,
    /// How many fetches in a row have come to nothing.
    pub failures: u32,
    /// How many requests wait for keys.
    pub waiting: usize,
}
