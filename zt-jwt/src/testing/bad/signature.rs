use std::sync::{Arc, LazyLock};

use serde_json::{Value, json};

use super::{BadToken, Good, append, base64url, from_base64url, segments};
use crate::{
    algorithm::Algorithm,
    testing::{
        TestIssuer,
        draft::{Draft, Signer},
        encode::{base64, ecdsa_der},
    },
};

pub(super) fn make(kind: BadToken, good: &Good<'_>) -> String {
    use BadToken::*;
    match kind {
        KidUnknown | KidEmpty | KidOtherCase | KidLonger | KidPath | KidUrl | KidSql
        | KidCommand | KidNul | KidOfOtherAlgorithm => good.with_header("kid", kid(kind, good)),
        HsWithPem | HsWithPemTrimmed | HsWithPemSpace | HsWithDer | HsWithJwk | HsWithJwks
        | HsWithNothing | HsWithKid | HsWithoutKid | Hs512WithPem | HsWithSecret => {
            confused(kind, good)
        }
        RelabelledPs256 => relabelled(good, Algorithm::Rs256, "PS256"),
        RelabelledEs384 => relabelled(good, Algorithm::Es256, "ES384"),
        RelabelledEdDsa => relabelled(good, Algorithm::Es256, "EdDSA"),
        RelabelledEs256k => relabelled(good, Algorithm::Es256, "ES256K"),
        Es256AsEs384 => signed_as(good, Algorithm::Es384),
        Es256AsEdDsa => signed_as(good, Algorithm::EdDsa),
        EmbeddedJwkOwnKid | EmbeddedJwk | EmbeddedJku | EmbeddedX5u | EmbeddedX5c
        | EmbeddedEverything | WrongKey => self_made(kind, good),
        AnotherIssuersKey => anothers(good.draft()),
        AnotherIssuersToken => anothers(good.token().claim("iss", ANOTHER.name()).draft()),
        EdDsaZero | EdDsaIdentity => changed(good, Algorithm::EdDsa, |signature| {
            let mut zero = vec![0; signature.len()];
            if let (EdDsaIdentity, Some(first)) = (kind, zero.first_mut()) {
                *first = 1;
            }
            zero
        }),
        MlDsaZero => changed(good, Algorithm::MlDsa44, |signature| {
            vec![0; signature.len()]
        }),
        ZeroSignature | ZeroS | OrderSignature | OnesSignature | DerSignature | SwappedHalves => {
            changed(good, Algorithm::Es256, |signature| ecdsa(kind, &signature))
        }
        ShortSignature | LongSignature | LeadingZeroSignature | OneByteSignature
        | DoubledSignature | FlippedBit => {
            changed(good, usual(good), |signature| bytes(kind, signature))
        }
        _ => moved(kind, good),
    }
}

fn usual(good: &Good<'_>) -> Algorithm {
    good.issuer.usual()
}

/// Another issuer, whose keys have the same names. There is one only, since RSA keys take long to
/// make.
static ANOTHER: LazyLock<TestIssuer> =
    LazyLock::new(|| TestIssuer::named("https://another-issuer.test"));

fn anothers(mut draft: Draft) -> String {
    draft.signer = ANOTHER
        .token("")
        .algorithm(draft.signer.algorithm())
        .draft()
        .signer;
    draft.mint()
}

fn kid(kind: BadToken, good: &Good<'_>) -> String {
    let kid = good.issuer.kid(usual(good));
    match kind {
        BadToken::KidUnknown => "unknown".into(),
        BadToken::KidEmpty => String::new(),
        BadToken::KidOtherCase => kid.to_ascii_uppercase(),
        BadToken::KidLonger => format!("{kid} "),
        BadToken::KidPath => "../../../../dev/null".into(),
        BadToken::KidUrl => "https://attacker.test/key".into(),
        BadToken::KidSql => "x' UNION SELECT 'secret' -- ".into(),
        BadToken::KidCommand => "x | sleep 10".into(),
        BadToken::KidNul => format!("{kid}\0"),
        _ => {
            let other = if usual(good) == Algorithm::EdDsa {
                Algorithm::Es256
            } else {
                Algorithm::EdDsa
            };
            good.issuer.kid(other)
        }
    }
}

/// A symmetric signature with what everybody knows (RFC 8725 section 2.1).
fn confused(kind: BadToken, good: &Good<'_>) -> String {
    let mut draft = good.draft();
    let Signer::Key(key) = draft.signer.clone() else {
        unreachable!("the usual algorithm has a key pair")
    };
    let pem = key.public_pem();
    let mut algorithm = Algorithm::Hs256;
    let secret = match kind {
        BadToken::HsWithPemTrimmed => pem.trim_end().into(),
        BadToken::HsWithPemSpace => format!("\n  {pem}").into_bytes(),
        BadToken::HsWithDer => key.public_der(),
        BadToken::HsWithJwk => key.jwk().to_string().into_bytes(),
        BadToken::HsWithJwks => good.issuer.jwks().into_bytes(),
        BadToken::HsWithNothing => Vec::new(),
        BadToken::HsWithKid => key.kid.clone().into_bytes(),
        BadToken::HsWithSecret => good.issuer.secret().expose().to_vec(),
        BadToken::HsWithoutKid => {
            draft.header.remove("kid");
            pem.into_bytes()
        }
        BadToken::Hs512WithPem => {
            algorithm = Algorithm::Hs512;
            pem.into_bytes()
        }
        _ => pem.into_bytes(),
    };
    draft.header.insert("alg".into(), json!(algorithm));
    draft.signer = Signer::Secret(algorithm, secret);
    draft.mint()
}

/// A good signature, under another name of what made it.
fn relabelled(good: &Good<'_>, signed: Algorithm, says: &str) -> String {
    good.token().algorithm(signed).header("alg", says).mint()
}

/// An `ES256` signature that goes for one of `algorithm`.
fn signed_as(good: &Good<'_>, algorithm: Algorithm) -> String {
    let mut draft = good.token().algorithm(algorithm).draft();
    draft.signer = good.token().algorithm(Algorithm::Es256).draft().signer;
    draft.mint()
}

/// RFC 8725 section 2.8, RFC 7515 section 10.7: a key that comes with the token says nothing.
fn self_made(kind: BadToken, good: &Good<'_>) -> String {
    use BadToken::*;
    let mut draft = good.draft();
    let right = good.issuer.kid(usual(good));
    let kid = if kind == EmbeddedJwkOwnKid {
        "attacker".to_owned()
    } else {
        right
    };
    let key = ANOTHER.key(usual(good)).renamed(&kid);
    let mut put = |name: &str, value: Value| drop(draft.header.insert(name.into(), value));
    put("kid", json!(kid));
    let all = kind == EmbeddedEverything;
    if all || matches!(kind, EmbeddedJwk | EmbeddedJwkOwnKid) {
        put("jwk", key.jwk());
    }
    if all || kind == EmbeddedJku {
        put("jku", json!("https://attacker.test/jwks.json"));
    }
    if all || kind == EmbeddedX5u {
        put("x5u", json!("https://attacker.test/certificate.pem"));
    }
    if all || kind == EmbeddedX5c {
        put("x5c", json!([base64(key.public_der())]));
    }
    draft.signer = Signer::Key(Arc::new(key));
    draft.mint()
}

fn changed(
    good: &Good<'_>,
    algorithm: Algorithm,
    change: impl FnOnce(Vec<u8>) -> Vec<u8>,
) -> String {
    let token = good.token().algorithm(algorithm).mint();
    let [header, payload, signature] = segments(&token);
    let signature = base64url(change(from_base64url(signature)));
    format!("{header}.{payload}.{signature}")
}

fn ecdsa(kind: BadToken, signature: &[u8]) -> Vec<u8> {
    let (r, s) = signature.split_at(32);
    match kind {
        BadToken::ZeroSignature => vec![0; 64],
        BadToken::ZeroS => [r, &[0; 32]].concat(),
        BadToken::OrderSignature => [P256_ORDER, P256_ORDER].concat(),
        BadToken::OnesSignature => vec![0xff; 64],
        BadToken::DerSignature => ecdsa_der(signature),
        _ => [s, r].concat(),
    }
}

fn bytes(kind: BadToken, mut signature: Vec<u8>) -> Vec<u8> {
    match kind {
        BadToken::ShortSignature => drop(signature.pop()),
        BadToken::LongSignature => signature.push(0),
        BadToken::LeadingZeroSignature => signature.insert(0, 0),
        BadToken::OneByteSignature => signature.truncate(1),
        BadToken::DoubledSignature => signature.extend_from_within(..),
        _ => {
            if let Some(byte) = signature.last_mut() {
                *byte ^= 1;
            }
        }
    }
    signature
}

/// A good signature beside something else than was signed.
fn moved(kind: BadToken, good: &Good<'_>) -> String {
    use BadToken::*;
    let draft = good.draft();
    let token = draft.mint();
    let [header, payload, signature] = segments(&token);
    let claims = draft.claims_text();
    let swap_header = |text: String| format!("{}.{payload}.{signature}", base64url(text));
    match kind {
        AnotherTokensSignature => {
            let other = good.token().mint();
            format!("{header}.{payload}.{}", segments(&other)[2])
        }
        SignatureOfPayload => signed_over(&draft, payload),
        SignatureOfDecoded => signed_over(&draft, &format!("{}.{claims}", draft.header_text())),
        SwappedPayload => {
            let other = good.with_claim("sub", "mallory");
            format!("{header}.{}.{signature}", segments(&other)[1])
        }
        SpaceInPayload => {
            let other = base64url(format!("{claims} "));
            format!("{header}.{other}.{signature}")
        }
        SwappedHeader => swap_header(append(&draft.header_text(), "\"x\":1")),
        ChangedTyp => swap_header(draft.header_text().replace("at+jwt", "JWT")),
        DetachedPayload => format!("{header}..{signature}"),
        other => unreachable!("{other:?} is not about the signature"),
    }
}

fn signed_over(draft: &Draft, text: &str) -> String {
    let signature = base64url(draft.signer.sign(text.as_bytes()));
    let [header, claims] = [draft.header_text(), draft.claims_text()].map(base64url);
    format!("{header}.{claims}.{signature}")
}

/// NIST SP 800-186 section 3.2.1.3.
const P256_ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];
