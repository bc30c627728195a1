//! The bodies that zt hands on: [`RequestBody`] to the inner service of a stack that looks at
//! bodies, [`ZtBody`] to the server.

mod collected;
mod request;
mod response;
mod whole;

pub use self::{
    collected::{CollectLimits, CollectedBody},
    request::RequestBody,
    response::ZtBody,
};
pub(crate) use self::{
    collected::{HOLLOW, Reading, Unread, broken},
    response::{Flow, Settle, Tail},
    whole::WholeBody,
};

/// The error type of zt's bodies.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
