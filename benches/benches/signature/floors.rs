//! The least that could do the work.

use aws_lc_rs::signature::{ED25519, ParsedPublicKey};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest, Sha256};
use zt_benches::{Group, Kind, Outcome};
use zt_core::signature::replay::ReplayKey;

use super::{
    memory::Busy,
    sign::{Algorithm, Order, SECRET, SHARED_ID, body},
};

pub(super) const ED25519_VERIFY: &str = "Ed25519 verify, aws-lc-rs, parsed key";
pub(super) const HMAC: &str = "HMAC-SHA256 of the base, keyed state";
pub(super) const HASH: &str = "SHA-256 of the body";

/// Adds those of `shared` and `public`, the same request.
pub(super) fn add(group: &mut Group, shared: &Order<'_>, public: &Order<'_>) -> Outcome {
    let base = shared.sketch()?.base().into_bytes();
    let keyed = Hmac::<Sha256>::new_from_slice(&SECRET)?;
    let tag = keyed.clone().chain_update(&base).finalize().into_bytes();
    group.function(Kind::Floor, HMAC, "no request", move || {
        let mac = keyed.clone().chain_update(&base);
        mac.verify_slice(&tag).is_ok()
    });
    if shared.length > 0 {
        let body = body(shared.length);
        group.function(Kind::Floor, HASH, "no request", move || {
            Sha256::digest(&body)
        });
    }
    let sketch = public.sketch()?;
    let [_, (_, field)] = sketch.fields(public.keys, Algorithm::Ed25519);
    let signature = field.trim_start_matches("sig1=:").trim_end_matches(':');
    let signature = BASE64.decode(signature)?;
    let base = sketch.base().into_bytes();
    let key = ParsedPublicKey::new(&ED25519, public.keys.public()?)?;
    key.verify_sig(&base, &signature)?;
    group.function(Kind::Floor, ED25519_VERIFY, "no request", move || {
        key.verify_sig(&base, &signature).is_ok()
    });
    Ok(())
}

/// What remembering takes by itself.
pub(super) fn memory(group: &mut Group, busy: &Busy) -> Outcome {
    let busy = busy.another()?;
    group.function(
        Kind::Floor,
        "MemoryReplays, one sighting",
        "1,000 a second, 65 s: 65,000 to 130,000 entries",
        move || busy.see(SHARED_ID),
    );
    group.function(Kind::Floor, "ReplayKey of a nonce", "", || {
        ReplayKey::of_nonce(SHARED_ID, "k3r2pp5k7z50gnwpyemdA1Bq")
    });
    Ok(())
}
