//! A bundle has roots, within bounds, and what it has makes the same bundle again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use zt_mtls::{
    bundle::{MAX_AUTHORITIES, TrustBundle},
    id::TrustDomain,
    verify::Trust,
};

fuzz_target!(|bytes: &[u8]| {
    let domain = || TrustDomain::parse("shop.example").unwrap();
    for bundle in [
        TrustBundle::from_jwks(domain(), bytes),
        TrustBundle::from_pem(domain(), bytes),
    ] {
        let Ok(bundle) = bundle else { continue };
        let roots = bundle.roots();
        assert!(!roots.is_empty() && roots.len() <= MAX_AUTHORITIES);
        let again = TrustBundle::new(domain(), roots.iter().cloned()).unwrap();
        assert_eq!(again.roots(), roots);
        let _ = Trust::spiffe([bundle]);
    }
});
