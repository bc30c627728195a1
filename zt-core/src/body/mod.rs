//! The bodies that zt hands on: [`RequestBody`] to the inner service of a stack that looks at
//! bodies, [`ZtBody`] to the server.

mod collected;
mod request;
mod response;

pub(crate) use self::response::{Settle, Tail};
pub use self::{
    collected::{CollectLimits, CollectedBody},
    request::RequestBody,
    response::ZtBody,
};

/// The error type of zt's bodies.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
