use std::fmt;

use redis::{Cmd, Script};

/// A step that the server takes as a whole, in Lua.
///
/// It is sent by its hash, and whole where the server does not know it.
pub struct RedisScript {
    hash: String,
    text: String,
}

impl RedisScript {
    /// `text` finds the id of the server's process (see [`RedisClient`](super::RedisClient)) in
    /// `ARGV[1]`, and the caller's arguments behind it.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self {
            hash: Script::new(text).get_hash().to_owned(),
            text: text.to_owned(),
        }
    }

    pub(super) fn by_hash(&self) -> Cmd {
        let mut command = redis::cmd("EVALSHA");
        command.arg(&self.hash);
        command
    }

    pub(super) fn whole(&self) -> Cmd {
        let mut command = redis::cmd("EVAL");
        command.arg(&self.text);
        command
    }
}

impl fmt::Debug for RedisScript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RedisScript").field(&self.hash).finish()
    }
}
