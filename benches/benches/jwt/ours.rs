//! `VerifyJwt`, cold, forged and known.

use http::StatusCode;
use tower::Layer;
use zt_benches::{Group, Kind, Outcome};
use zt_core::{
    gate::{GateLayer, Opened, Settings},
    secret::Secret,
};
use zt_jwt::{
    Algorithm, CacheBounds, Issuer, KeySet, TokenCache, Verifier, VerifierBuilder,
    verify_jwt::VerifyJwtLayer,
};

use super::{
    Answered, Requests,
    mint::{AUDIENCE, ISSUER, Kty, Mint},
};
use crate::bare::{BARE, Bare, router};

pub(super) const COLD: &str = "VerifyJwt, without a cache";
pub(super) const MISSING: &str = "VerifyJwt, another token each time";
pub(super) const FORGED: &str = "VerifyJwt, forged";
pub(super) const HIT: &str = "VerifyJwt, known";

/// Adds it to `group`, around axum.
pub(super) fn add(group: &mut Group, mint: &Mint, requests: &Requests) -> Outcome {
    let (ok, unauthorized) = (StatusCode::OK, StatusCode::UNAUTHORIZED);
    let (good, forged) = ((&requests.good, ok), (&requests.forged, unauthorized));
    let refused = requests.refused();
    let cold = VerifyJwtLayer::new(verifier(mint)?.without_cache().build()?).layer(router());
    group.service(Kind::Zt, COLD, "", cold, good, &refused)?;
    let small = CacheBounds {
        entries: 64,
        ..CacheBounds::default()
    };
    let full = VerifyJwtLayer::new(verifier(mint)?.cache(TokenCache::new(small)).build()?);
    group.in_turn(
        Kind::Zt,
        MISSING,
        "looked up, verified, kept; another one goes",
        full.layer(router()),
        &requests.rotation,
        ok,
    )?;
    let cached = VerifyJwtLayer::new(verifier(mint)?.build()?).layer(router());
    group.service(Kind::Zt, FORGED, "401", cached.clone(), forged, &[])?;
    group.service(Kind::Zt, HIT, "from the cache", cached, good, &refused)?;
    Ok(())
}

/// The rows of one algorithm in the group without axum.
pub(super) fn bare(group: &mut Group, mint: &Mint, requests: &Requests) -> Outcome {
    let (ok, unauthorized) = (StatusCode::OK, StatusCode::UNAUTHORIZED);
    let (good, forged) = ((&requests.good, ok), (&requests.forged, unauthorized));
    let (cold, refused, hit) = match mint.kty {
        Kty::Es256 => {
            group.service(Kind::Base, BARE, "", Bare, good, &[])?;
            let opened = GateLayer::new(Opened, Settings::shared_default()).layer(Bare);
            group.service(
                Kind::Zt,
                "gate without checks",
                "hands its context on",
                opened,
                good,
                &[],
            )?;
            ("ES256, without a cache", "ES256, forged", "ES256, known")
        }
        Kty::EdDsa => ("EdDSA, without a cache", "EdDSA, forged", "EdDSA, known"),
        Kty::Rs256 => ("RS256, without a cache", "RS256, forged", "RS256, known"),
        Kty::Hs256 => ("HS256, without a cache", "HS256, forged", "HS256, known"),
    };
    let service = VerifyJwtLayer::new(verifier(mint)?.without_cache().build()?).layer(Bare);
    group.service(Kind::Zt, cold, "", service, good, &requests.refused())?;
    let service = VerifyJwtLayer::new(verifier(mint)?.build()?).layer(Bare);
    group.service(Kind::Zt, refused, "401", service.clone(), forged, &[])?;
    group.service(Kind::Zt, hit, "", service, good, &[])?;
    Ok(())
}

pub(crate) fn verifier(mint: &Mint) -> Answered<VerifierBuilder> {
    let issuer = match mint.jwks() {
        Some(jwks) => Issuer::keys(ISSUER, AUDIENCE, KeySet::parse(jwks.as_bytes())?),
        None => Issuer::shared_secret(
            ISSUER,
            AUDIENCE,
            Algorithm::Hs256,
            &Secret::new(Mint::SECRET.into()),
        )?,
    };
    Ok(Verifier::builder().issuer(issuer))
}
