use serde_json::{Value, json};

use super::{BadToken, Good, segments};
use crate::algorithm::Algorithm;

pub(super) fn make(kind: BadToken, good: &Good<'_>) -> String {
    use BadToken::*;
    match kind {
        AlgNoneUnsigned => unsigned(good, "none"),
        AlgNoneTitleUnsigned => unsigned(good, "None"),
        AlgNoneUpperUnsigned => unsigned(good, "NONE"),
        AlgNoneMixedUnsigned => unsigned(good, "nOnE"),
        AlgNoneTwoSegments => unsigned(good, "none").trim_end_matches('.').into(),
        AlgMissing => good.token().without_header("alg").mint(),
        AlgEdDsaLowerCase => {
            let token = good.token().algorithm(Algorithm::EdDsa);
            token.header("alg", "eddsa").mint()
        }
        CritUnknown => with(good, &[("crit", json!(["x"])), ("x", json!(1))]),
        CritDuplicated => with(good, &[("crit", json!(["x", "x"])), ("x", json!(1))]),
        CritB64 => with(good, &[("crit", json!(["b64"])), ("b64", json!(false))]),
        CritB64True => with(good, &[("crit", json!(["b64"])), ("b64", json!(true))]),
        PayloadCompressed => super::claims::compressed(good),
        HeaderOfJwe => with(good, &[("enc", json!("A256GCM"))]),
        _ => {
            let (name, value) = parameter(kind, good);
            with(good, &[(name, value)])
        }
    }
}

/// One parameter that is not as it should be.
fn parameter(kind: BadToken, good: &Good<'_>) -> (&'static str, Value) {
    use BadToken::*;
    let usual = good.draft().header;
    let [alg, kid, typ] = ["alg", "kid", "typ"].map(|name| usual[name].as_str().unwrap_or(""));
    match kind {
        AlgNone => ("alg", json!("none")),
        AlgNoneTitle => ("alg", json!("None")),
        AlgNoneUpper => ("alg", json!("NONE")),
        AlgNoneMixed => ("alg", json!("nOnE")),
        AlgEmpty => ("alg", json!("")),
        AlgNull => ("alg", json!(null)),
        AlgNumber => ("alg", json!(256)),
        AlgArray => ("alg", json!([alg])),
        AlgObject => ("alg", json!({ "name": alg })),
        AlgLowerCase => ("alg", json!(alg.to_ascii_lowercase())),
        AlgSpace => ("alg", json!(format!("{alg} "))),
        AlgNul => ("alg", json!(format!("{alg}\0"))),
        AlgEs256k => ("alg", json!("ES256K")),
        AlgEd448 => ("alg", json!("Ed448")),
        AlgHs1 => ("alg", json!("HS1")),
        AlgRs1 => ("alg", json!("RS1")),
        AlgEncryption => ("alg", json!("RSA-OAEP")),
        AlgDir => ("alg", json!("dir")),
        CritEmpty => ("crit", json!([])),
        CritRegistered => ("crit", json!(["alg"])),
        CritAbsent => ("crit", json!(["x"])),
        CritNotArray => ("crit", json!("x")),
        CritNull => ("crit", json!(null)),
        B64False => ("b64", json!(false)),
        B64True => ("b64", json!(true)),
        TypDpop => ("typ", json!("dpop+jwt")),
        TypLogout => ("typ", json!("logout+jwt")),
        TypLogoutLong => ("typ", json!("application/logout+jwt")),
        TypSecurityEvent => ("typ", json!("secevent+jwt")),
        TypSecurityEventCase => ("typ", json!("SecEvent+JWT")),
        TypIntrospection => ("typ", json!("token-introspection+jwt")),
        TypAuthorizationRequest => ("typ", json!("oauth-authz-req+jwt")),
        TypSelectiveDisclosure => ("typ", json!("dc+sd-jwt")),
        TypUnknown => ("typ", json!("kittens")),
        TypEmpty => ("typ", json!("")),
        TypNumber => ("typ", json!(1)),
        TypArray => ("typ", json!([typ])),
        CtyJwt => ("cty", json!("JWT")),
        CtyNumber => ("cty", json!(1)),
        JwkString => ("jwk", json!("{}")),
        X5cString => ("x5c", json!("MIIB")),
        JkuNumber => ("jku", json!(1)),
        KidNumber => ("kid", json!(1)),
        KidArray => ("kid", json!([kid])),
        KidObject => ("kid", json!({ "name": kid })),
        KidLong => ("kid", json!("k".repeat(1 << 10))),
        KidHuge => ("kid", json!("k".repeat(1 << 20))),
        other => unreachable!("{other:?} is not about the header"),
    }
}

fn with(good: &Good<'_>, parameters: &[(&str, Value)]) -> String {
    let token = parameters
        .iter()
        .fold(good.token(), |token, (name, value)| {
            token.header(name, value.clone())
        });
    token.mint()
}

fn unsigned(good: &Good<'_>, alg: &str) -> String {
    let token = good.with_header("alg", alg);
    let [header, payload, _] = segments(&token);
    format!("{header}.{payload}.")
}
