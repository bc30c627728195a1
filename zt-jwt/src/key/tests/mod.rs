mod signatures;
pub(crate) mod signer;
