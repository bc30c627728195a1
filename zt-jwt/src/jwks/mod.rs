//! Keys that somebody else publishes, kept fresh away from requests.

mod http_keys;
mod remote;
mod settings;
mod source;

pub(crate) use self::remote::{Current, Missing, RemoteKeys};
pub use self::{
    http_keys::HttpKeys,
    settings::RefreshSettings,
    source::{FetchError, Fetched, KeySource, Validator},
};
