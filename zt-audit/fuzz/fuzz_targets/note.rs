//! What passes as a signed note is written in one way only, and nobody's key verifies what nobody
//! signed. The input is a note, a verifier key and a signing key.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use zt_audit::note::{NoteError, SignedCheckpoint, SignedNote, SigningKey, VerifierKey};
use zt_core::random::SeededEntropy;

static KEY: LazyLock<VerifierKey> = LazyLock::new(|| {
    let key = SigningKey::generate("shop/1", &SeededEntropy::new(7)).unwrap();
    key.verifier()
});

fuzz_target!(|bytes: &[u8]| {
    if let Ok(note) = SignedNote::parse(bytes) {
        assert_eq!(note.encode().as_bytes(), bytes);
        assert!(bytes.starts_with(note.text().as_bytes()));
        assert!(matches!(
            note.verify(&KEY),
            Err(NoteError::Unsigned | NoteError::Signature)
        ));
    }
    if let Ok(signed) = SignedCheckpoint::parse(bytes) {
        assert_eq!(signed.encode().as_bytes(), bytes);
        assert!(signed.verify(&KEY).is_err());
        let text = signed.checkpoint().text();
        assert!(bytes.starts_with(text.as_bytes()));
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        if let Ok(key) = VerifierKey::parse(text) {
            assert_eq!(key.to_string(), text);
        }
        if let Ok(key) = SigningKey::parse(text) {
            assert_eq!(key.encode().as_str(), text);
            assert!(!format!("{key:?}").contains(text));
        }
    }
});
