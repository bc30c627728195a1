//! The seeds of the fuzz targets are what their names say.

use std::path::Path;

use crate::{
    jose::{Compact, base64url::encode},
    key::{Found, KeySet, VerificationKey},
    refusal::Refusal,
};

/// Whether each file of `target` whose name says so is `good`.
fn judge(target: &str, good: impl Fn(&[u8]) -> bool) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds");
    let (mut permitted, mut denied) = (0, 0);
    for file in std::fs::read_dir(folder.join(target)).unwrap() {
        let file = file.unwrap();
        let name = file.file_name().into_string().unwrap();
        let good = good(&std::fs::read(file.path()).unwrap());
        if name.starts_with("permit_") {
            assert!(good, "{target} {name}");
            permitted += 1;
        } else if name.starts_with("deny_") {
            assert!(!good, "{target} {name}");
            denied += 1;
        }
    }
    assert!(permitted > 1, "{target} {permitted} {denied}");
}

#[test]
fn tokens() {
    let keys = include_bytes!("../../../fuzz/signed/keys.json");
    let keys = KeySet::parse(keys).unwrap();
    let verify = |token: &[u8]| {
        let token = Compact::split(token, 8192)?;
        let header = token.header()?;
        match keys.find(header.kid.as_deref(), header.algorithm) {
            Found::Key(key) => token.verify(header.algorithm, key)?.decode(),
            _ => Err(Refusal::UnknownKey),
        }
    };
    judge("token", |token| verify(token).is_ok());
}

#[test]
fn headers() {
    judge("header", |json| {
        let token = format!("{}.e30.AA", encode(json));
        let token = Compact::split(token.as_bytes(), 8192);
        token.and_then(|token| token.header().map(|_| ())).is_ok()
    });
}

#[test]
fn keys() {
    judge("jwk", |text| {
        VerificationKey::from_jwk(text).is_ok()
            || VerificationKey::from_pem(text, crate::Algorithm::EdDsa).is_ok()
            || VerificationKey::from_der(text, crate::Algorithm::EdDsa).is_ok()
    });
    judge("jwks", |json| KeySet::parse(json).is_ok());
}
