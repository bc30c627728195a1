use std::fmt;

use super::RedisError;

/// What all keys of a store or a feed begin with; a hash tag, so that they stand in one slot.
#[derive(Clone)]
pub(super) struct Name(String);

/// How long a name may be, in bytes.
const MAX: usize = 64;

impl Name {
    pub(super) fn new(name: &str) -> Result<Self, RedisError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if name.is_empty() || name.len() > MAX || !name.bytes().all(allowed) {
            return Err(RedisError::Config(
                "a name has 1 to 64 ASCII letters, digits, `-`, `_` and `.`",
            ));
        }
        Ok(Self(name.to_owned()))
    }

    /// `{name}:part`.
    pub(super) fn key(&self, part: &str) -> Vec<u8> {
        format!("{{{}}}:{part}", self.0).into_bytes()
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}
