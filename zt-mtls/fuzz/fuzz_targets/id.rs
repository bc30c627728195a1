//! A SPIFFE ID is the same as its parts, and in one form only.

#![no_main]

use libfuzzer_sys::fuzz_target;
use zt_mtls::id::{MAX_ID, MAX_TRUST_DOMAIN, SpiffeId, TrustDomain};

fuzz_target!(|text: &str| {
    if let Ok(id) = SpiffeId::parse(text) {
        assert_eq!(id.as_str(), text);
        assert_eq!(format!("{}{}", id.trust_domain().id(), id.path()), text);
        assert!(text.len() <= MAX_ID && text.is_ascii() && !text.ends_with('/'));
        assert!(!text.contains(['%', '?', '#', '@', '\\', ' ']));
        assert_eq!(text.matches(':').count(), 1);
        assert!(!id.path().split('/').skip(1).any(|segment| matches!(segment, "" | "." | "..")));
        assert!(id.is_member_of(&id.trust_domain()));
    }
    if let Ok(domain) = TrustDomain::parse(text) {
        assert!(text.len() <= MAX_TRUST_DOMAIN);
        assert!(SpiffeId::parse(&domain.id()).is_ok());
        assert_eq!(text, text.to_ascii_lowercase());
    }
});
