//! Which workloads may come in, and [`RequirePeer`], which asks for one of them.

mod peers;
mod principals;
mod require;
#[cfg(test)]
mod tests;

pub(crate) use self::require::asking_for_another_connection;
pub use self::{
    peers::{Peers, PeersError},
    require::{RequirePeer, RequirePeerLayer},
};
