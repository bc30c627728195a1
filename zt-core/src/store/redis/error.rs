use std::sync::Arc;

use crate::{state::FeedError, store::StoreError};

/// Why a Redis server was of no use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RedisError {
    /// What it was configured with cannot be meant.
    #[error("the configuration is wrong: {0}")]
    Config(&'static str),
    /// It cannot be reached, is late, or failed. A write may have happened all the same.
    #[error("{0}")]
    Unavailable(Arc<str>),
    /// It is a replica, or forgets by itself what it is given.
    #[error("the server must not be used: {0}")]
    Unfit(Arc<str>),
    /// It has lost what was in it.
    #[error("{0}")]
    Lost(Arc<str>),
    /// It has no memory left.
    #[error("the server has no memory left")]
    Full,
}

impl RedisError {
    pub(super) fn unavailable(why: &str) -> Self {
        Self::Unavailable(why.into())
    }

    /// What the server, or the way to it, says. Keys and values are not in it.
    pub(super) fn of(error: &redis::RedisError) -> Self {
        let code = error.code().unwrap_or_default();
        let detail = error.detail().unwrap_or_default();
        // Up to its sixth edition a server wraps the error that ended a script.
        if code == "OOM" || detail.contains("OOM command not allowed") {
            return Self::Full;
        }
        match code {
            "ZTLOST" => Self::Lost(detail.into()),
            "" => Self::Unavailable(error.category().into()),
            code => Self::Unavailable(format!("the server answers {code}").into()),
        }
    }
}

impl From<RedisError> for StoreError {
    fn from(error: RedisError) -> Self {
        match error {
            RedisError::Full => Self::Full,
            other => Self::Unavailable(other.to_string().into()),
        }
    }
}

impl From<RedisError> for FeedError {
    fn from(error: RedisError) -> Self {
        Self::Unavailable(error.to_string().into())
    }
}
