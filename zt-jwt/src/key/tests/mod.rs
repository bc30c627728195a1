mod forms;
mod jwk;
mod secrets;
mod seeds;
mod set;
mod signatures;
pub(crate) mod signer;
