//! The bodies that zt hands on: [`RequestBody`] to the inner service of a stack that looks at
//! bodies, [`ZtBody`] to the server.

mod collected;
mod request;
mod response;
mod room;
mod whole;

pub use self::{
    collected::{CollectLimits, CollectedBody},
    request::RequestBody,
    response::ZtBody,
    room::BodyRoom,
};
pub(crate) use self::{
    collected::{HOLLOW, Reading, Unread, broken},
    response::{Flow, Settle, Tail},
    room::TakenRoom,
    whole::WholeBody,
};

/// The error type of zt's bodies.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
