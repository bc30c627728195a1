//! Any single change to what is covered is refused; any change that the standard allows is not.

use base64::{
    alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use proptest::prelude::*;

use super::*;

/// A message with something of everything.
fn draft() -> Draft {
    let mut draft = Draft::post(r#"{"amount":4200,"to":"shop"}"#)
        .header("x-dict", "a=1, b=2;x")
        .header("idempotency-key", "5f3a")
        .cover("\"x-dict\"")
        .cover("\"idempotency-key\"");
    draft.target = "/pay/now?cur=eur&x=%20y".into();
    draft.params(";created=NOW;keyid=\"k1\";alg=\"hmac-sha256\";nonce=\"n-1\";tag=\"pay\";zz=1")
}

/// One change.
#[derive(Debug, Clone)]
enum Change {
    Method(usize),
    TargetByte(usize, u8),
    HostByte(usize, u8),
    Covered { field: usize, at: usize, byte: u8 },
    DropCovered(usize),
    RepeatCovered(usize),
    InputByte(usize, u8),
    SignatureByte(usize, u8),
    SwapParams,
    SwapComponents(usize, usize),
    BodyByte(usize, u8),
    BodyCut(usize),
    BodyGrow(u8),
    Key(usize, u8),
}

const COVERED: [&str; 3] = ["content-digest", "x-dict", "idempotency-key"];

fn change() -> impl Strategy<Value = Change> {
    let at = 0_usize..400;
    prop_oneof![
        (0_usize..5).prop_map(Change::Method),
        (at.clone(), 1_u8..).prop_map(|(at, byte)| Change::TargetByte(at, byte)),
        (at.clone(), 1_u8..).prop_map(|(at, byte)| Change::HostByte(at, byte)),
        (0_usize..3, at.clone(), 1_u8..).prop_map(|(field, at, byte)| Change::Covered {
            field,
            at,
            byte
        }),
        (0_usize..3).prop_map(Change::DropCovered),
        (0_usize..3).prop_map(Change::RepeatCovered),
        (at.clone(), 1_u8..).prop_map(|(at, byte)| Change::InputByte(at, byte)),
        (at.clone(), 1_u8..).prop_map(|(at, byte)| Change::SignatureByte(at, byte)),
        Just(Change::SwapParams),
        (0_usize..7, 0_usize..7).prop_map(|(a, b)| Change::SwapComponents(a, b)),
        (at.clone(), 1_u8..).prop_map(|(at, byte)| Change::BodyByte(at, byte)),
        at.clone().prop_map(Change::BodyCut),
        any::<u8>().prop_map(Change::BodyGrow),
        (0_usize..32, 1_u8..).prop_map(|(at, byte)| Change::Key(at, byte)),
    ]
}

fn flip(text: &[u8], at: usize, byte: u8) -> Vec<u8> {
    let mut text = text.to_vec();
    let at = at % text.len();
    text[at] ^= byte;
    text
}

fn flip_header(
    request: &mut Request<Full<Bytes>>,
    name: &'static str,
    at: usize,
    byte: u8,
) -> bool {
    let changed = flip(request.headers()[name].as_bytes(), at, byte);
    let Ok(value) = HeaderValue::from_bytes(&changed) else {
        return false;
    };
    request.headers_mut().insert(name, value);
    true
}

/// The changed request, unless the change gives no request or nothing new.
fn apply(change: &Change) -> Option<(Request<Full<Bytes>>, [u8; 32])> {
    let mut draft = draft();
    let mut secret = SECRET;
    let mut request = draft.signed();
    match change {
        Change::Method(which) => {
            let other = ["GET", "PUT", "post", "POSt", "PATCH"][*which];
            *request.method_mut() = Method::from_bytes(other.as_bytes()).unwrap();
        }
        Change::TargetByte(at, byte) => {
            let target = flip(draft.target.as_bytes(), *at, *byte);
            let uri: http::Uri = String::from_utf8(target).ok()?.parse().ok()?;
            if uri.path_and_query()?.as_str() == draft.target {
                return None;
            }
            *request.uri_mut() = uri;
        }
        Change::HostByte(at, byte) => {
            if !flip_header(&mut request, "host", *at, *byte) {
                return None;
            }
            let host = request.headers()["host"].to_str().ok()?;
            // RFC 9110 section 4.2.3: hosts are alike whatever their case.
            if host.trim().eq_ignore_ascii_case(&draft.host) {
                return None;
            }
        }
        Change::Covered { field, at, byte } => {
            let name = COVERED[*field];
            if !flip_header(&mut request, name, *at, *byte) {
                return None;
            }
            // RFC 9421 section 2.1: blanks around a value are not part of it.
            let before = &draft.headers.iter().find(|(header, _)| header == name)?.1;
            if request.headers()[name].as_bytes().trim_ascii() == before.trim().as_bytes() {
                return None;
            }
        }
        Change::DropCovered(field) => drop(request.headers_mut().remove(COVERED[*field])),
        Change::RepeatCovered(field) => {
            let value = request.headers()[COVERED[*field]].clone();
            request.headers_mut().append(COVERED[*field], value);
        }
        Change::InputByte(at, byte) => {
            if !flip_header(&mut request, "signature-input", *at, *byte) {
                return None;
            }
        }
        Change::SignatureByte(at, byte) => {
            if !flip_header(&mut request, "signature", *at, *byte) {
                return None;
            }
        }
        Change::SwapParams => {
            let input = request.headers()["signature-input"].to_str().unwrap();
            let input = input.replace(
                ";keyid=\"k1\";alg=\"hmac-sha256\"",
                ";alg=\"hmac-sha256\";keyid=\"k1\"",
            );
            request
                .headers_mut()
                .insert("signature-input", input.parse().unwrap());
        }
        Change::SwapComponents(a, b) => {
            if a == b {
                return None;
            }
            let signature = draft.signature();
            draft.components.swap(*a, *b);
            let input = format!("sig1={}", draft.signature_params());
            let headers = request.headers_mut();
            headers.insert("signature-input", input.parse().unwrap());
            headers.insert("signature", format!("sig1=:{signature}:").parse().unwrap());
        }
        Change::BodyByte(at, byte) => {
            *request.body_mut() = Full::from(flip(draft.body.as_bytes(), *at, *byte));
        }
        Change::BodyCut(at) => {
            let cut = draft.body.as_bytes()[..at % draft.body.len()].to_vec();
            *request.body_mut() = Full::from(cut);
        }
        Change::BodyGrow(byte) => {
            let mut longer = draft.body.as_bytes().to_vec();
            longer.push(*byte);
            *request.body_mut() = Full::from(longer);
        }
        Change::Key(at, byte) => secret[*at] ^= byte,
    }
    Some((request, secret))
}

fn server_with(secret: [u8; 32], stream: bool) -> Server {
    let key = VerifyingKey::hmac_sha256(&Secret::new(secret.into())).unwrap();
    let policy = SignaturePolicy::strict();
    let policy = if stream { policy.stream() } else { policy };
    let replays = MemoryReplays::for_new_keys(policy.replay_window());
    let ring = KeyRing::new([KeyEntry::new("k1", key, "order-service")]).unwrap();
    Server::new(VerifySignatureLayer::new(policy, ring, replays).unwrap())
}

/// Changes of the fields that leave the same structured value: blanks where they may be, and bits and
/// padding of base64 that stand for nothing (RFC 9651 section 4.2.7).
fn says_the_same(request: &Request<Full<Bytes>>) -> bool {
    let good = draft().signed();
    let text = |request: &Request<Full<Bytes>>, name| {
        let value = String::from_utf8_lossy(request.headers()[name].as_bytes()).into_owned();
        value.replace([' ', '\t'], "")
    };
    let bytes = |request: &Request<Full<Bytes>>| {
        let value = text(request, "signature");
        let signature = value.strip_prefix("sig1=:")?.strip_suffix(':')?;
        loose().decode(signature).ok()
    };
    text(request, "signature-input") == text(&good, "signature-input")
        && (text(request, "signature") == text(&good, "signature")
            || bytes(request).is_some_and(|one| Some(one) == bytes(&good)))
}

/// Takes base64 for what it decodes to.
fn loose() -> GeneralPurpose {
    let config = GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent);
    GeneralPurpose::new(&alphabet::STANDARD, config)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_single_change_of_what_is_covered_is_refused(change in change(), stream: bool) {
        let Some((request, secret)) = apply(&change) else {
            return Err(TestCaseError::reject("not a change"));
        };
        let field_change = matches!(change, Change::InputByte(..) | Change::SignatureByte(..));
        prop_assume!(!field_change || !says_the_same(&request));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let server = server_with(secret, stream);
        let answer = runtime.block_on(server.ask(request));
        prop_assert!(!answer.passed(), "{change:?} passed");
        if !stream {
            prop_assert_eq!(server.handled(), 0);
        }
    }

    #[test]
    fn any_change_that_the_standard_allows_passes(
        added in prop::collection::vec(("[a-z]{1,8}", "[ -~]{0,20}"), 0..5),
        blanks in 0_usize..4,
        upper: bool,
        split: bool,
        order in 0_usize..24,
        http2: bool,
    ) {
        // Parameters stand in the order in which they were signed, whichever that is.
        let mut params = vec![
            format!(";created={}", now()),
            ";keyid=\"k1\"".to_owned(),
            ";nonce=\"n-1\"".to_owned(),
            ";zz=1".to_owned(),
        ];
        let mut order = order;
        let mut shuffled = String::new();
        while !params.is_empty() {
            let at = order % params.len();
            order /= params.len();
            shuffled += &params.remove(at);
        }
        let draft = draft().params(&shuffled);
        let mut request = draft.signed();
        let headers = request.headers_mut();
        for (name, value) in &added {
            let name = format!("x-added-{name}");
            headers.append(HeaderName::try_from(name).unwrap(), value.parse().unwrap());
        }
        // The value of a field is that of its lines, without the blanks around them.
        if split {
            headers.remove("x-dict");
            headers.append("x-dict", " a=1 ".parse().unwrap());
            headers.append("x-dict", "b=2;x".parse().unwrap());
        }
        // Structured fields may be written with more blanks.
        let wide = " ".repeat(blanks);
        let input = headers["signature-input"].to_str().unwrap().to_owned();
        let input = input.replace("\" \"", &format!("\" {wide}\"")).replace(";key", &format!("; {wide}key"));
        headers.insert("signature-input", input.parse().unwrap());
        if upper {
            headers.insert("host", draft.host.to_uppercase().parse().unwrap());
        }
        if http2 {
            let uri = format!("https://{}{}", draft.host, draft.target);
            *request.uri_mut() = uri.parse().unwrap();
            *request.version_mut() = http::Version::HTTP_2;
            request.headers_mut().remove("host");
        }
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let answer = runtime.block_on(server_with(SECRET, false).ask(request));
        prop_assert!(answer.passed(), "{answer:?}");
    }
}
