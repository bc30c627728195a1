use serde_json::{Value, json};

use super::{
    BadToken, Good, append, base64url, deep, padded, prepend, set_spare_bits, standard_alphabet,
    with_spare_bits, with_special_characters,
};
use crate::testing::draft::Draft;

pub(super) fn make(kind: BadToken, good: &Good<'_>) -> String {
    use BadToken::*;
    let missing = |name| good.token().without(name).mint();
    match kind {
        IssMissing => missing("iss"),
        AudMissing => missing("aud"),
        ExpMissing => missing("exp"),
        SubMissing => missing("sub"),
        PayloadIsToken => {
            let draft = good.draft();
            draft.signed(draft.header_text(), draft.mint())
        }
        LivesTooLongWithoutIat => {
            let token = good.token().without("iat");
            let exp = token.draft().seconds(TEN_YEARS);
            token.claim("exp", exp).mint()
        }
        NewlineInPayload | PaddedPayload | StandardPayload | SpareBitsPayload => {
            let draft = good.draft();
            let header = base64url(draft.header_text());
            draft.signed_segments(&header, &segment(kind, &draft.claims_text()))
        }
        _ => {
            let draft = good.draft();
            if let Some(payload) = payload(kind, &draft.claims_text()) {
                return draft.signed(draft.header_text(), payload);
            }
            let (name, value) = claim(kind, good, &draft);
            good.with_claim(name, value)
        }
    }
}

/// A payload that is small and says that it is large.
pub(super) fn compressed(good: &Good<'_>) -> String {
    let mut draft = good.draft();
    draft.header.insert("zip".into(), json!("DEF"));
    draft.signed(draft.header_text(), deflated())
}

/// A payload that is not quite encoded as it has to be.
fn segment(kind: BadToken, text: &str) -> String {
    match kind {
        BadToken::NewlineInPayload => {
            let segment = base64url(text);
            let (left, right) = segment.split_at(segment.len() / 2);
            format!("{left}\n{right}")
        }
        BadToken::PaddedPayload => padded(&base64url(with_spare_bits(text))),
        BadToken::StandardPayload => standard_alphabet(&base64url(with_special_characters(text))),
        _ => set_spare_bits(&base64url(with_spare_bits(text))),
    }
}

/// A payload that is not an object of claims, where `kind` is such a one.
fn payload(kind: BadToken, text: &str) -> Option<Vec<u8>> {
    use BadToken::*;
    let payload = match kind {
        PayloadEmpty => String::new(),
        PayloadArray => format!("[{text}]"),
        PayloadString => json!(text).to_string(),
        PayloadNumber => "1".into(),
        PayloadNull => "null".into(),
        PayloadByteOrderMark => format!("\u{feff}{text}"),
        PayloadLoneSurrogate => append(text, r#""x":"\ud800""#),
        PayloadControl => append(text, "\"x\":\"\u{1}\""),
        PayloadNan => append(text, "\"x\":NaN"),
        PayloadCutShort => text.trim_end_matches('}').into(),
        PayloadGoesOn => format!("{text}{text}"),
        PayloadTrailingComma => format!("{},}}", text.trim_end_matches('}')),
        PayloadDeep => append(text, &format!("\"x\":{}", deep(1000))),
        SubTwice => append(text, r#""sub":"admin""#),
        SubTwiceEscaped => append(text, r#""s\u0075b":"admin""#),
        ExpTwice => prepend(text, "\"exp\":1"),
        OtherTwice => append(text, r#""x":1,"x":1"#),
        TwiceWithin => append(text, r#""x":{"y":[{"z":1,"z":2}]}"#),
        PayloadNotUtf8 => {
            let head = text.trim_end_matches('}').as_bytes();
            return Some([head, b",\"x\":\"\xff\xfe\"}"].concat());
        }
        _ => return None,
    };
    Some(payload.into_bytes())
}

/// One claim that is not as it should be.
fn claim(kind: BadToken, good: &Good<'_>, draft: &Draft) -> (&'static str, Value) {
    use BadToken::*;
    let (iss, aud) = (good.issuer.name(), good.audience);
    let digits = |from_now| json!(draft.seconds(from_now).to_string());
    match kind {
        IssEmpty => ("iss", json!("")),
        IssOther => ("iss", json!("https://other-issuer.test")),
        IssPrefix => ("iss", json!(but_the_last(iss))),
        IssLonger => ("iss", json!(format!("{iss}.attacker.test"))),
        IssTrailingSlash => ("iss", json!(format!("{iss}/"))),
        IssOtherCase => ("iss", json!(iss.to_ascii_uppercase())),
        IssNull => ("iss", json!(null)),
        IssNumber => ("iss", json!(1)),
        IssArray => ("iss", json!([iss, "https://attacker.test"])),
        IssObject => ("iss", json!({ "name": iss })),
        AudOther => ("aud", json!("another-service")),
        AudOthers => ("aud", json!(["another-service", "a-third-service"])),
        AudEmpty => ("aud", json!("")),
        AudEmptyArray => ("aud", json!([])),
        AudPrefix => ("aud", json!(but_the_last(aud))),
        AudLonger => ("aud", json!(format!("{aud}-internal"))),
        AudOtherCase => ("aud", json!(other_case(aud))),
        AudList => ("aud", json!(format!("{aud} another-service"))),
        AudNull => ("aud", json!(null)),
        AudNumber => ("aud", json!(1)),
        AudTrue => ("aud", json!(true)),
        AudObject => ("aud", json!({ aud: true })),
        AudArrayWithNumber => ("aud", json!([aud, 1])),
        AudArrayOfArrays => ("aud", json!([[aud]])),
        ExpPast => ("exp", draft.seconds(-HOUR)),
        ExpPastFraction => ("exp", fraction(draft, -HOUR)),
        ExpZero => ("exp", json!(0)),
        ExpNull => ("exp", json!(null)),
        ExpString => ("exp", digits(HOUR)),
        ExpTrue => ("exp", json!(true)),
        ExpArray => ("exp", json!([draft.seconds(HOUR)])),
        ExpNegative => ("exp", json!(-1)),
        ExpHuge => ("exp", json!(1e300)),
        ExpMax => ("exp", json!(u64::MAX)),
        NbfFuture => ("nbf", draft.seconds(HOUR)),
        NbfString => ("nbf", digits(0)),
        NbfNull => ("nbf", json!(null)),
        NbfHuge => ("nbf", json!(1e300)),
        NbfNegative => ("nbf", json!(-1)),
        IatFuture => ("iat", draft.seconds(HOUR)),
        IatString => ("iat", digits(0)),
        IatNull => ("iat", json!(null)),
        IatHuge => ("iat", json!(1e300)),
        LivesTooLong => ("exp", draft.seconds(TEN_YEARS)),
        LivesTooLongAlready => ("iat", draft.seconds(-7 * 24 * HOUR)),
        SubEmpty => ("sub", json!("")),
        SubLong => ("sub", json!("a".repeat(3000))),
        SubNewline => ("sub", json!("ada\nadmin")),
        SubNul => ("sub", json!("admin\0")),
        SubNull => ("sub", json!(null)),
        SubNumber => ("sub", json!(1)),
        SubArray => ("sub", json!(["ada"])),
        JtiNumber => ("jti", json!(1)),
        IdTokenAtHash => ("at_hash", json!("MTIzNDU2Nzg5MDEyMzQ1Ng")),
        IdTokenCHash => ("c_hash", json!("MTIzNDU2Nzg5MDEyMzQ1Ng")),
        IdTokenNonce => ("nonce", json!("n-0S6_WzA2Mj")),
        KeycloakId => ("typ", json!("ID")),
        KeycloakRefresh => ("typ", json!("Refresh")),
        KeycloakOffline => ("typ", json!("Offline")),
        KeycloakLogout => ("typ", json!("Logout")),
        CognitoId => ("token_use", json!("id")),
        LogoutEvents => ("events", json!({ LOGOUT: {} })),
        CnfUnknown => ("cnf", json!({ "kitten": "purrs" })),
        CnfEmpty => ("cnf", json!({})),
        CnfCertificate => ("cnf", json!({ "x5t#S256": thumbprint() })),
        CnfKeyThumbprint => ("cnf", json!({ "jkt": thumbprint() })),
        CnfJwk => {
            let key = json!({ "kty": "OKP", "crv": "Ed25519", "x": thumbprint() });
            ("cnf", json!({ "jwk": key }))
        }
        CnfCertificateAndKey => {
            let both = json!({ "x5t#S256": thumbprint(), "jkt": thumbprint() });
            ("cnf", both)
        }
        CnfNotObject => ("cnf", json!("none")),
        CnfNull => ("cnf", json!(null)),
        other => unreachable!("{other:?} is not about claims"),
    }
}

const HOUR: i64 = 3600;
const TEN_YEARS: i64 = 10 * 365 * 24 * HOUR;
/// OpenID Connect Back-Channel Logout 1.0 section 2.4.
const LOGOUT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// Of a certificate, or key, that nobody has.
fn thumbprint() -> String {
    base64url([7; 32])
}

fn fraction(draft: &Draft, from_now: i64) -> Value {
    let seconds = draft.seconds(from_now).as_f64().unwrap_or_default();
    json!(seconds - 0.5)
}

fn but_the_last(text: &str) -> String {
    let mut text = text.to_owned();
    text.pop();
    text
}

/// Other letters, or one more where there are none.
fn other_case(text: &str) -> String {
    let flip = |letter: char| {
        if letter.is_ascii_uppercase() {
            letter.to_ascii_lowercase()
        } else {
            letter.to_ascii_uppercase()
        }
    };
    let other: String = text.chars().map(flip).collect();
    if other == text {
        format!("{text}A")
    } else {
        other
    }
}

/// `{}` and 4 MiB of spaces, compressed (RFC 1951).
fn deflated() -> Vec<u8> {
    const HEAD: [u8; 18] = [
        0xed, 0xc1, 0x01, 0x0d, 0x00, 0x00, 0x0c, 0x02, 0xa0, 0x2a, 0xef, 0xe9, 0xde, 0xdd, 0x20,
        0x02, 0xf9, 0x03,
    ];
    [HEAD.as_slice(), &[0; 4063], &[0x18, 0x57]].concat()
}
