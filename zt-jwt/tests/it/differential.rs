//! Beside jsonwebtoken, on tokens that nobody would write by hand: whatever it refuses is refused
//! here too, and whatever is refused here alone is refused for a reason that can be shown on the
//! token.

use std::{cell::RefCell, collections::BTreeMap};

use aws_lc_rs::{
    hmac,
    rand::SystemRandom,
    rsa,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RSA_PKCS1_SHA256},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use futures_util::FutureExt;
use jsonwebtoken::{DecodingKey, Validation, crypto::aws_lc, errors::ErrorKind};
use proptest::{
    prelude::*,
    sample::{Index, select},
    test_runner::{Config, TestRunner},
};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Value, json};
use zt_core::clock::{Clock, SystemClock};
use zt_jwt::{Algorithm, Refusal, Verifier, testing::TestIssuer};

use crate::support::{AUDIENCE, base64url, from_base64url};

const CASES: u32 = 4_000;
const NAME: &str = "https://issuer.test";
const HOUR: u64 = 3_600;
const DAY: u64 = 24 * HOUR;

/// One algorithm, on both sides.
struct Side {
    algorithm: Algorithm,
    kid: Option<String>,
    signer: Signer,
    ours: Verifier,
    key: DecodingKey,
    /// `aud`, `iss`, `exp` and `nbf` are validated, as far as they are there.
    usual: Validation,
    /// They, and `sub`, have to be there as well.
    strict: Validation,
}

enum Signer {
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
    Rsa(rsa::KeyPair),
    Shared(Box<hmac::Key>),
}

impl Side {
    fn new(algorithm: Algorithm) -> Self {
        let issuer = TestIssuer::named(NAME);
        let public = || issuer.public_key_pem(algorithm);
        let private = || {
            let pem = issuer.private_key_pem(algorithm);
            let lines = pem.lines().filter(|line| !line.starts_with('-'));
            STANDARD.decode(lines.collect::<String>()).unwrap()
        };
        let (signer, key) = match algorithm {
            Algorithm::Es256 => {
                let curve = &ECDSA_P256_SHA256_FIXED_SIGNING;
                let pair = EcdsaKeyPair::from_pkcs8(curve, &private()).unwrap();
                let key = DecodingKey::from_ec_pem(public().as_bytes());
                (Signer::Ec(pair), key.unwrap())
            }
            Algorithm::EdDsa => {
                let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&private()).unwrap();
                let key = DecodingKey::from_ed_pem(public().as_bytes());
                (Signer::Ed(pair), key.unwrap())
            }
            Algorithm::Rs256 => {
                let pair = rsa::KeyPair::from_pkcs8(&private()).unwrap();
                let key = DecodingKey::from_rsa_pem(public().as_bytes());
                (Signer::Rsa(pair), key.unwrap())
            }
            _ => {
                let secret = issuer.secret();
                let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose());
                (
                    Signer::Shared(Box::new(key)),
                    DecodingKey::from_secret(secret.expose()),
                )
            }
        };
        let is_shared = algorithm.is_symmetric();
        let known = if is_shared {
            issuer.shared_secret_issuer(AUDIENCE, algorithm)
        } else {
            issuer.issuer(AUDIENCE).algorithms(algorithm)
        };
        let mut usual = Validation::new(algorithm.as_str().parse().unwrap());
        usual.set_audience(&[AUDIENCE]);
        usual.set_issuer(&[NAME]);
        usual.validate_nbf = true;
        usual.leeway = 30;
        let mut strict = usual.clone();
        strict.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        Self {
            algorithm,
            kid: (!is_shared).then(|| issuer.kid(algorithm)),
            signer,
            ours: Verifier::builder().issuer(known).build().unwrap(),
            key,
            usual,
            strict,
        }
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.signer {
            Signer::Ec(pair) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Signer::Ed(pair) => pair.sign(message).as_ref().to_vec(),
            Signer::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)
                    .unwrap();
                signature
            }
            Signer::Shared(key) => hmac::sign(key, message).as_ref().to_vec(),
        }
    }
}

/// A token in the making: names and values are JSON text, so that they can be written, and be
/// wrong, in any way. `$ALG` and `$KID` stand for the right ones.
#[derive(Debug, Clone)]
struct Case {
    side: Index,
    /// Whose key signs, where it is not the right one.
    signed_by: Option<Index>,
    header: Vec<(String, String)>,
    claims: Vec<(String, String)>,
    /// Spaces around members.
    space: &'static str,
    changes: Vec<Change>,
}

/// What happens to a token on its way.
#[derive(Debug, Clone)]
enum Change {
    Flip(Index, char),
    Insert(Index, char),
    Delete(Index),
    SwapSegments(Index, Index),
    Repeat(Index),
    /// Another header over the same signature.
    Header(String, String),
    Truncate(Index),
}

impl Case {
    fn token(&self, sides: &[Side]) -> String {
        let side = self.side.get(sides);
        let space = self.space;
        let object = |members: &[(String, String)]| {
            let members = members
                .iter()
                .map(|(name, value)| format!("{space}{name}:{space}{value}"));
            format!("{{{}{space}}}", members.collect::<Vec<_>>().join(","))
        };
        let fill = |members: &[(String, String)]| {
            let kid = side.kid.as_deref().unwrap_or("any");
            object(members)
                .replace("$ALG", side.algorithm.as_str())
                .replace("$KID", kid)
        };
        let header = fill(&self.header);
        let signed = format!("{}.{}", base64url(&header), base64url(fill(&self.claims)));
        let signer = self.signed_by.map_or(side, |other| other.get(sides));
        let token = format!("{signed}.{}", base64url(signer.sign(signed.as_bytes())));
        self.changes
            .iter()
            .fold(token, |token, change| change.of(&token, &header))
    }
}

impl Change {
    fn of(&self, token: &str, header: &str) -> String {
        let mut letters: Vec<char> = token.chars().collect();
        if letters.is_empty() {
            return String::new();
        }
        let mut segments: Vec<&str> = token.split('.').collect();
        match self {
            Self::Flip(at, letter) => letters[at.index(token.len())] = *letter,
            Self::Insert(at, letter) => letters.insert(at.index(token.len()), *letter),
            Self::Delete(at) => drop(letters.remove(at.index(token.len()))),
            Self::Truncate(at) => letters.truncate(at.index(token.len())),
            Self::SwapSegments(a, b) => {
                let count = segments.len();
                segments.swap(a.index(count), b.index(count));
                return segments.join(".");
            }
            Self::Repeat(at) => {
                let again = segments[at.index(segments.len())];
                segments.push(again);
                return segments.join(".");
            }
            Self::Header(name, value) => {
                let inner = header.trim_end_matches('}');
                let other = base64url(format!("{inner},{name}:{value}}}"));
                segments[0] = &other;
                return segments.join(".");
            }
        }
        letters.into_iter().collect()
    }
}

/// JSON text of `value`.
fn text(value: Value) -> String {
    value.to_string()
}

/// `text` as a JSON string in which every character is an escape.
fn escaped(text: &str) -> String {
    let units = text.encode_utf16().map(|unit| format!("\\u{unit:04x}"));
    format!("\"{}\"", units.collect::<String>())
}

/// A member: its value is good in most cases, and in some it is not there, or wrong.
fn member(
    name: &'static str,
    good: Vec<String>,
    missing: u32,
    bad: Vec<String>,
) -> BoxedStrategy<Option<(String, String)>> {
    let name = text(json!(name));
    let spelled = name.clone();
    let value = prop_oneof![
        60 => select(good).prop_map(Some),
        missing => Just(None),
        2 => select(bad).prop_map(Some),
        // Of any type whatever.
        1 => any_json().prop_map(|value| Some(text(value))),
    ];
    (value, prop::bool::weighted(0.02))
        .prop_map(move |(value, escape)| {
            let plain = spelled.trim_matches('"');
            let name = if escape { escaped(plain) } else { name.clone() };
            value.map(|value| (name, value))
        })
        .boxed()
}

fn any_json() -> BoxedStrategy<Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        Just(json!(AUDIENCE)),
        Just(json!(NAME)),
    ];
    leaf.prop_recursive(4, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-z]{1,4}", inner, 0..4).prop_map(Value::from_iter),
        ]
    })
    .boxed()
}

fn strings<const N: usize>(values: [Value; N]) -> Vec<String> {
    values.map(text).to_vec()
}

fn claims(now: u64) -> BoxedStrategy<Vec<(String, String)>> {
    let wrong = || {
        strings([
            json!(null),
            json!("1"),
            json!(-1),
            json!(1e300),
            json!([now]),
        ])
    };
    let and = |mut some: Vec<String>, others: Vec<String>| {
        some.extend(others);
        some
    };
    let dates = and(
        vec![(now + 600).to_string(), (now + 1_800).to_string()],
        vec![format!("{}.5", now + 700), format!("{}.0e0", now + 800)],
    );
    let bad_exp = and(
        wrong(),
        strings([
            json!(now - HOUR),
            json!(0),
            json!(u64::MAX),
            json!(now + 400 * DAY),
        ]),
    );
    let past = strings([json!(now - 600), json!(now), json!(now - HOUR)]);
    let future = |now: u64| strings([json!(now + HOUR), json!(now + 2 * DAY), json!(u64::MAX)]);
    let old = strings([json!(now - 30 * DAY), json!(0)]);
    let long = "a".repeat(2_100);
    let subjects = vec![
        text(json!("ada")),
        text(json!("ада ☕ 𝄞")),
        escaped("ada"),
        escaped("𝄞"),
        r#""a\/b\"c""#.into(),
    ];
    let bad_subjects = strings([
        json!(""),
        json!(7),
        json!(["ada"]),
        json!("a\nb"),
        json!(long),
    ]);
    let audiences = and(
        strings([json!(AUDIENCE), json!([AUDIENCE]), json!(["x", AUDIENCE])]),
        vec![escaped(AUDIENCE)],
    );
    let bad_audiences = strings([
        json!("payments"),
        json!(["payments"]),
        json!([]),
        json!(7),
        json!({ AUDIENCE: 1 }),
        json!([AUDIENCE, 7]),
        json!("orders "),
    ]);
    let names = vec![text(json!(NAME)), escaped(NAME)];
    let bad_names = strings([
        json!("https://other.test"),
        json!([NAME]),
        json!([NAME, "x"]),
        json!(7),
        json!(""),
    ]);
    let words = || strings([json!("x"), json!("orders:read orders:write")]);
    let thumbprint = base64url([7; 32]);
    let bindings = strings([
        json!({}),
        json!({ "jkt": thumbprint.clone() }),
        json!({ "x5t#S256": thumbprint }),
        json!({ "kid": "x" }),
    ]);
    let rare = |name, good| member(name, good, 2_000, strings([json!(7)]));
    let registered = [
        member("exp", dates, 1, bad_exp),
        member("nbf", past.clone(), 30, and(wrong(), future(now))),
        member("iat", past, 30, and(and(wrong(), future(now)), old)),
        member("sub", subjects, 1, bad_subjects),
        member("aud", audiences, 1, bad_audiences),
        member("iss", names, 1, bad_names),
        member("jti", words(), 30, strings([json!(7), json!(null)])),
        member("scope", words(), 60, strings([json!(["x"]), json!(null)])),
        member("sid", words(), 60, strings([json!(7)])),
        member(
            "roles",
            strings([json!(["a"]), json!("a")]),
            60,
            strings([json!({})]),
        ),
        rare("nonce", words()),
        rare("at_hash", words()),
        rare("events", strings([json!({})])),
        rare(
            "typ",
            strings([json!("ID"), json!("Bearer"), json!("Refresh")]),
        ),
        rare("token_use", strings([json!("id"), json!("access")])),
        rare("cnf", bindings),
    ];
    let others = prop::collection::vec(
        ("[a-zA-Z0-9_ \u{e9}]{1,6}", any_json())
            .prop_map(|(name, value)| (text(json!(format!("x-{name}"))), text(value))),
        0..3,
    );
    let deep = prop::bool::weighted(0.01)
        .prop_map(|deep| deep.then(|| ("\"x\"".into(), "[".repeat(60) + &"]".repeat(60))));
    (members(registered.to_vec()), others, deep, twice())
        .prop_map(|(mut members, others, deep, twice)| {
            members.extend(others);
            members.extend(deep);
            twice.apply(&mut members);
            members
        })
        .prop_shuffle()
        .boxed()
}

fn header() -> BoxedStrategy<Vec<(String, String)>> {
    let some = |name, values| member(name, values, 1_200, strings([json!(7)]));
    let algorithms = strings([
        json!("none"),
        json!("HS256"),
        json!("RS256"),
        json!("es256"),
        json!("Ed25519"),
    ]);
    let words = || strings([json!("x")]);
    let registered = [
        member("alg", vec!["\"$ALG\"".into()], 1, algorithms),
        member(
            "typ",
            strings([json!("JWT"), json!("at+jwt"), json!("application/at+JWT")]),
            30,
            strings([json!("dpop+jwt"), json!("logout+jwt"), json!(""), json!(7)]),
        ),
        member(
            "kid",
            vec!["\"$KID\"".into()],
            20,
            strings([json!("other"), json!(""), json!("k".repeat(300)), json!(7)]),
        ),
        some("cty", strings([json!("JWT"), json!("json")])),
        some("crit", strings([json!(["x"]), json!([]), json!(["b64"])])),
        some("b64", strings([json!(false), json!(true)])),
        some("jku", strings([json!("https://attacker.test")])),
        some("x5u", words()),
        some("x5t", words()),
        some("x5c", strings([json!(["AA"])])),
        some("zip", strings([json!("DEF")])),
        some("enc", strings([json!("A128GCM")])),
        some("nonce", words()),
        some("url", words()),
        some(
            "jwk",
            strings([json!({}), json!({ "kty": "oct", "k": "AA" })]),
        ),
        some("x-other", strings([json!({ "a": [1] })])),
    ];
    (members(registered.to_vec()), twice())
        .prop_map(|(mut members, twice)| {
            twice.apply(&mut members);
            members
        })
        .prop_shuffle()
        .boxed()
}

type Member = BoxedStrategy<Option<(String, String)>>;

fn members(each: Vec<Member>) -> BoxedStrategy<Vec<(String, String)>> {
    each.prop_map(|members| members.into_iter().flatten().collect())
        .boxed()
}

/// Which member is there twice, if any, with which value.
#[derive(Debug, Clone)]
struct Twice(Option<(Index, Option<Value>)>);

fn twice() -> impl Strategy<Value = Twice> {
    let which = (any::<Index>(), prop::option::of(any_json()));
    prop::option::weighted(0.03, which).prop_map(Twice)
}

impl Twice {
    fn apply(self, members: &mut Vec<(String, String)>) {
        if let Some((index, other)) = self.0
            && !members.is_empty()
        {
            let (name, value) = index.get(members).clone();
            members.push((name, other.map_or(value, text)));
        }
    }
}

fn change() -> BoxedStrategy<Change> {
    let letter = || select("AQgw019_-+/=. \n\u{e9}".chars().collect::<Vec<_>>());
    let at = any::<Index>;
    prop_oneof![
        (at(), letter()).prop_map(|(at, letter)| Change::Flip(at, letter)),
        (at(), letter()).prop_map(|(at, letter)| Change::Insert(at, letter)),
        at().prop_map(Change::Delete),
        at().prop_map(Change::Truncate),
        at().prop_map(Change::Repeat),
        (at(), at()).prop_map(|(a, b)| Change::SwapSegments(a, b)),
        select(vec![
            ("\"alg\"", "\"none\""),
            ("\"x\"", "1"),
            ("\"kid\"", "\"x\"")
        ])
        .prop_map(|(name, value)| Change::Header(name.into(), value.into())),
    ]
    .boxed()
}

fn case(now: u64) -> impl Strategy<Value = Case> {
    let changes = prop_oneof![
        4 => Just(Vec::new()),
        1 => prop::collection::vec(change(), 1..3),
    ];
    let other = prop::option::weighted(0.03, any::<Index>());
    let space = select(vec!["", "", " ", "\n\t"]);
    (any::<Index>(), other, header(), claims(now), space, changes).prop_map(
        |(side, signed_by, header, claims, space, changes)| Case {
            side,
            signed_by,
            header,
            claims,
            space,
            changes,
        },
    )
}

#[test]
fn whatever_jsonwebtoken_refuses_is_refused_and_whatever_is_refused_besides_has_a_reason() {
    // The process's default cannot be told from features where others of a workspace enable more.
    let _ = aws_lc::DEFAULT_PROVIDER.install_default();
    let sides = [
        Algorithm::Es256,
        Algorithm::EdDsa,
        Algorithm::Rs256,
        Algorithm::Hs256,
    ]
    .map(Side::new);
    let now = SystemClock.now().unwrap().as_secs();
    let counts = RefCell::new(Counts::default());
    let config = Config {
        cases: CASES,
        failure_persistence: None,
        ..Config::default()
    };
    let outcome = TestRunner::new(config).run(&case(now), |case| {
        let token = case.token(&sides);
        let verdict = judge(case.side.get(&sides), &token, now)?;
        *counts.borrow_mut().0.entry(verdict).or_default() += 1;
        Ok(())
    });
    if let Err(failed) = outcome {
        panic!("{failed}");
    }
    counts.into_inner().finish();
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    BothAccept,
    BothRefuse,
    /// It cannot read a header that can be read here: see [`Parts::they_mind`].
    OnlyTheirs(&'static str),
    OnlyOurs(&'static str),
}

#[derive(Default)]
struct Counts(BTreeMap<Verdict, u32>);

impl Counts {
    fn finish(self) {
        for (verdict, count) in &self.0 {
            println!("{count:>6}  {verdict:?}");
        }
        let count = |verdict| self.0.get(&verdict).copied().unwrap_or_default();
        let only_ours = self
            .0
            .iter()
            .filter(|(verdict, _)| matches!(verdict, Verdict::OnlyOurs(_)));
        let reasons = only_ours.clone().count();
        let only_ours: u32 = only_ours.map(|(_, count)| count).sum();
        // Neither side says the same of everything.
        assert!(count(Verdict::BothAccept) > CASES / 5, "{:?}", self.0);
        assert!(count(Verdict::BothRefuse) > CASES / 10, "{:?}", self.0);
        assert!(only_ours > CASES / 50 && reasons >= 8, "{:?}", self.0);
    }
}

fn judge(side: &Side, token: &str, now: u64) -> Result<Verdict, TestCaseError> {
    let decode = |validation| jsonwebtoken::decode::<Value>(token, &side.key, validation);
    let (theirs, strictly) = (decode(&side.usual), decode(&side.strict));
    let ours = side.ours.verify(token, None).now_or_never();
    let ours = ours.expect("keys that are there");
    let parts = Parts::read(token);
    match (ours, theirs) {
        (Ok(principal), Ok(theirs)) => {
            prop_assert!(strictly.is_ok(), "accepted without a claim: {token}");
            let subject = theirs.claims["sub"].as_str();
            prop_assert_eq!(subject, Some(principal.subject()));
            prop_assert_eq!(principal.issuer(), Some(NAME));
            Ok(Verdict::BothAccept)
        }
        (Err(_), Err(_)) => Ok(Verdict::BothRefuse),
        (Ok(_), Err(error)) => match parts.as_ref().and_then(Parts::they_mind) {
            // It could not read the header, so it has not looked any further.
            Some(why) if matches!(error.kind(), ErrorKind::Json(_)) => Ok(Verdict::OnlyTheirs(why)),
            _ => Err(TestCaseError::fail(format!("they say {error}: {token}"))),
        },
        (Err(refused), Ok(_)) => {
            let refusal = refused.refusal();
            let reason = parts.and_then(|parts| parts.explains(refusal, side, token, now));
            match reason {
                Some(why) => Ok(Verdict::OnlyOurs(why)),
                None => Err(TestCaseError::fail(format!("why {refusal:?}: {token}"))),
            }
        }
    }
}

/// A token as a lenient reader sees it: of two members the last one.
struct Parts {
    header: Value,
    claims: Value,
    header_text: Vec<u8>,
    claims_text: Vec<u8>,
}

impl Parts {
    fn read(token: &str) -> Option<Self> {
        let mut segments = token.split('.').map(from_base64url);
        let (header_text, claims_text) = (segments.next()??, segments.next()??);
        Some(Self {
            header: serde_json::from_slice(&header_text).ok()?,
            claims: serde_json::from_slice(&claims_text).ok()?,
            header_text,
            claims_text,
        })
    }

    /// Parameters of other standards (RFC 7516, RFC 8555), and keys that a token brings along:
    /// here they are not read at all (RFC 7515 section 4: ignored when not understood).
    fn they_mind(&self) -> Option<&'static str> {
        let is_text = |value: &Value| value.is_string() || value.is_null();
        let minds = |name| self.header.get(name).is_some_and(|value| !is_text(value));
        if ["zip", "enc", "nonce", "url"].into_iter().any(minds) {
            Some("the type of `zip`, `enc`, `nonce` or `url`")
        } else if self.header.get("jwk").is_some_and(Value::is_object) {
            Some("a `jwk` that is no key")
        } else if self.header["alg"] == "Ed25519" {
            Some("`Ed25519`, which is a newer name of `EdDSA` (RFC 9864)")
        } else {
            None
        }
    }

    /// Why a token is refused here that jsonwebtoken accepts, where the token shows that reason.
    fn explains(
        &self,
        refusal: Refusal,
        side: &Side,
        token: &str,
        now: u64,
    ) -> Option<&'static str> {
        let header = |name| self.header.get(name);
        let claim = |name| self.claims.get(name);
        let has = |name| claim(name).is_some();
        let seconds = |name| claim(name).and_then(Value::as_f64);
        let (shown, why) = match refusal {
            Refusal::TooLong => (token.len() > 8 * 1_024, "longer than 8 KiB"),
            Refusal::HeaderJson => (
                !is_strict(&self.header_text),
                "a header with a member twice, or too deep",
            ),
            Refusal::PayloadJson => (
                !is_strict(&self.claims_text),
                "claims with a member twice, or too deep",
            ),
            Refusal::Critical => (header("crit").is_some(), "`crit`"),
            Refusal::Unencoded => (header("b64").is_some(), "`b64`"),
            Refusal::HeaderType => (self.has_header_of_wrong_type(), "a parameter's type"),
            Refusal::Type => (self.is_of_another_type(), "`typ` or `cty`"),
            Refusal::UnknownKey => {
                let kid = header("kid").and_then(Value::as_str);
                (
                    kid.is_some() && kid != side.kid.as_deref(),
                    "an unknown `kid`",
                )
            }
            Refusal::ClaimType => (self.has_claim_of_wrong_type(), "a claim's type"),
            Refusal::Issuer => (!has("iss"), "no `iss`"),
            Refusal::Audience => (!has("aud"), "no `aud`"),
            Refusal::Subject => {
                let is_subject = |text: &str| {
                    (1..=2_048).contains(&text.len()) && !text.chars().any(char::is_control)
                };
                let subject = claim("sub").and_then(Value::as_str);
                (!subject.is_some_and(is_subject), "`sub` that is no subject")
            }
            Refusal::IssuedInFuture => {
                let issued = seconds("iat").unwrap_or_default();
                (issued > as_f64(now + 30), "`iat` to come")
            }
            Refusal::Lifetime => {
                let issued = seconds("iat").unwrap_or(as_f64(now));
                let expires = seconds("exp").unwrap_or_default();
                (expires - issued > as_f64(DAY), "a life of more than a day")
            }
            Refusal::Kind => {
                let marks = ["nonce", "at_hash", "events", "typ", "token_use"];
                (marks.into_iter().any(has), "another kind of token")
            }
            Refusal::Binding => (claim("cnf").is_some_and(Value::is_object), "`cnf`"),
            // Of the rest, jsonwebtoken says the same.
            _ => (false, ""),
        };
        shown.then_some(why)
    }

    fn has_header_of_wrong_type(&self) -> bool {
        let header = |name| self.header.get(name);
        let texts = ["kid", "typ", "cty", "jku", "x5u", "x5t", "x5t#S256"];
        let is_long = header("kid")
            .and_then(Value::as_str)
            .is_some_and(|kid| kid.len() > 256);
        let is_list = |value: &Value| {
            let items = value.as_array();
            items.is_some_and(|items| items.iter().all(Value::is_string))
        };
        is_long
            || texts
                .into_iter()
                .filter_map(header)
                .any(|value| !value.is_string())
            || header("x5c").is_some_and(|value| !is_list(value))
            || header("jwk").is_some_and(|value| !value.is_object())
    }

    fn is_of_another_type(&self) -> bool {
        let media_type = |name| {
            let text = self.header.get(name).and_then(Value::as_str)?;
            let text = text.to_ascii_lowercase();
            Some(
                text.strip_prefix("application/")
                    .unwrap_or(&text)
                    .to_owned(),
            )
        };
        let typ = media_type("typ");
        typ.is_some_and(|typ| typ != "jwt" && typ != "at+jwt")
            || media_type("cty").is_some_and(|cty| cty == "jwt")
    }

    fn has_claim_of_wrong_type(&self) -> bool {
        let claim = |name: &&str| self.claims.get(*name);
        let is_date = |value: &Value| {
            let date = value.as_f64();
            date.is_some_and(|date| (0.0..=253_402_300_799.0).contains(&date))
        };
        let is_texts = |value: &Value| {
            let items = value.as_array();
            value.is_string() || items.is_some_and(|items| items.iter().all(Value::is_string))
        };
        let wrong = |names: &[&str], is_right: &dyn Fn(&Value) -> bool| {
            names.iter().filter_map(claim).any(|value| !is_right(value))
        };
        wrong(&["exp", "nbf", "iat"], &is_date)
            || wrong(&["iss", "sub", "jti"], &Value::is_string)
            || wrong(&["sid", "scope"], &|value| {
                value.is_string() || value.is_null()
            })
            || wrong(&["aud"], &is_texts)
            || wrong(&["roles"], &|value| is_texts(value) || value.is_null())
            || wrong(&["cnf"], &Value::is_object)
    }
}

#[expect(clippy::cast_precision_loss, reason = "times of this century")]
fn as_f64(seconds: u64) -> f64 {
    seconds as f64
}

/// Whether every object has members of different names, no deeper than 32 levels: by another
/// reader than the one under test.
fn is_strict(json: &[u8]) -> bool {
    let mut reader = serde_json::Deserializer::from_slice(json);
    Strict(0).deserialize(&mut reader).is_ok()
}

#[derive(Clone, Copy)]
struct Strict(usize);

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        if self.0 > 33 {
            return Err(serde::de::Error::custom("too deep"));
        }
        reader.deserialize_any(self)
    }
}

macro_rules! anything {
    ($($visit:ident: $type:ty,)*) => {
        $(fn $visit<E>(self, _: $type) -> Result<(), E> {
            Ok(())
        })*
    };
}

impl<'de> Visitor<'de> for Strict {
    type Value = ();

    anything! { visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64, visit_str: &str, }

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(Self(self.0 + 1))?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let mut names = std::collections::HashSet::new();
        while let Some(name) = members.next_key::<String>()? {
            members.next_value_seed(Self(self.0 + 1))?;
            if !names.insert(name) {
                return Err(serde::de::Error::custom("twice"));
            }
        }
        Ok(())
    }
}

/// The reader above tells what it has to tell.
#[test]
fn the_reader_of_the_oracle_is_strict() {
    assert!(is_strict(br#"{"a":{"b":[{"c":1},{"c":1}]},"b":1}"#));
    assert!(!is_strict(br#"{"a":1,"\u0061":1}"#));
    assert!(!is_strict(br#"{"a":[{"b":1,"b":1}]}"#));
    assert!(!is_strict(("[".repeat(60) + &"]".repeat(60)).as_bytes()));
    let parsed: Result<IgnoredAny, _> = serde_json::from_str(&("[".repeat(60) + &"]".repeat(60)));
    assert!(parsed.is_ok());
}
