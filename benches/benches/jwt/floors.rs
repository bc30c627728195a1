//! The least that could do the work: the signature alone, and a cache of tokens alone.

use std::{io::Write, rc::Rc, sync::Arc};

use aws_lc_rs::digest;
use http::StatusCode;
use quick_cache::sync::Cache;
use sha2::{Digest, Sha256};
use tower::Service as _;
use zt_benches::{Group, Kind, Options, Outcome, Report, Template};

use super::mint::{Flaw, Kty, Mint};
use crate::bare::router;

pub(super) const SIGNATURE: &str = "aws-lc-rs, parsed key";
pub(super) const SIGNATURES: &str = "aws-lc-rs, another signature each time";

/// The signature alone under a key that was parsed before: over and over the same one, whose
/// course processors learn, and another one each time; and the same before axum.
pub(super) fn signature(group: &mut Group, mint: &Mint, template: &Template) -> Outcome {
    let floor = Rc::new(mint.floor()?);
    let (input, signature) = mint.parts(0, Flaw::None)?;
    floor.verify(input.as_bytes(), &signature)?;
    let mut forged = signature.clone();
    if let Some(byte) = forged.first_mut() {
        *byte ^= 1;
    }
    if floor.verify(input.as_bytes(), &forged).is_ok() {
        return Err("a forged signature passes".into());
    }
    let verify = {
        let floor = Rc::clone(&floor);
        move || floor.verify(input.as_bytes(), &signature).is_ok()
    };
    group.function(Kind::Floor, SIGNATURE, "no request", verify.clone());

    let all = (1..=super::TOKENS)
        .map(|number| mint.parts(number, Flaw::None))
        .collect::<Result<Vec<_>, _>>()?;
    let mut next = 0;
    group.function(Kind::Floor, SIGNATURES, "no request", move || {
        next = (next + 1) % all.len();
        all.get(next)
            .is_some_and(|(input, signature)| floor.verify(input.as_bytes(), signature).is_ok())
    });

    let mut axum = router();
    let service = tower::service_fn(move |request| {
        let good = verify();
        let answer = axum.call(request);
        async move {
            match good {
                true => answer.await,
                false => std::future::pending().await,
            }
        }
    });
    group
        .service(
            Kind::Floor,
            "aws-lc-rs, then axum",
            "the same signature; nothing is read",
            service,
            (template, StatusCode::OK),
            &[],
        )
        .map_err(Into::into)
}

/// What a cache of verified tokens cannot go below.
pub(super) fn cache(options: &Options, report: &mut Report<impl Write>) -> Outcome {
    /// As many tokens as fill it.
    const ENTRIES: usize = 10_000;

    let token = Mint::new(Kty::Es256)?.token(0, Flaw::None)?;
    let key: [u8; 32] = Sha256::digest(token.as_bytes()).into();
    let cache = Arc::new(Cache::new(ENTRIES + 1));
    for number in 0..ENTRIES {
        let other: [u8; 32] = Sha256::digest(number.to_le_bytes()).into();
        cache.insert(other, Arc::new(number));
    }
    cache.insert(key, Arc::new(ENTRIES));
    if cache.get(&key).is_none() {
        return Err("the cache does not keep what it is given".into());
    }

    let mut group = Group::new(format!(
        "floors of a cache of verified tokens, {} bytes",
        token.len()
    ));
    let text = token.clone();
    group.function(
        Kind::Floor,
        "SHA-256 of the token, aws-lc-rs",
        "",
        move || digest::digest(&digest::SHA256, text.as_bytes()),
    );
    let text = token.clone();
    group.function(Kind::Floor, "SHA-256 of the token, sha2", "", move || {
        Sha256::digest(text.as_bytes())
    });
    let known = Arc::clone(&cache);
    group.function(
        Kind::Floor,
        "quick_cache, a hit and a clone of its Arc",
        "10,001 entries",
        move || known.get(&key),
    );
    group.function(
        Kind::Floor,
        "SHA-256, a hit, a clone of its Arc",
        "",
        move || {
            let key: [u8; 32] = Sha256::digest(token.as_bytes()).into();
            cache.get(&key)
        },
    );
    report.group(&group.measure(options)?)?;
    Ok(())
}
