//! What the endpoints answer when they behave, or misbehave in what they say.

use std::sync::Arc;

use http::{Response, StatusCode, header};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use zt_core::secret::constant_time_eq;

use super::{
    answer::{Asked, Part, plain, put},
    behaviour::{Behaviour, Endpoint},
    encode::{base64url, from_base64},
    state::State,
    token::TestToken,
};
use crate::algorithm::Algorithm;

pub(super) fn well(
    state: &Arc<State>,
    endpoint: Endpoint,
    behaviour: &Behaviour,
    asked: &Asked,
) -> Response<Part> {
    match endpoint {
        Endpoint::Metadata => cacheable(state, &metadata(state, behaviour), asked),
        Endpoint::Keys if *behaviour == Behaviour::NotModifiedAlways => {
            plain(StatusCode::NOT_MODIFIED, "")
        }
        Endpoint::Keys => cacheable(state, &keys(state, behaviour), asked),
        Endpoint::Token => token(state, asked).unwrap_or_else(Fault::answer),
    }
}

/// OpenID Connect Discovery 1.0 section 3, RFC 8414 section 2.
fn metadata(state: &State, behaviour: &Behaviour) -> Value {
    let name = &state.name;
    let keys = match behaviour {
        Behaviour::KeysAt(url) => url.clone(),
        _ => format!("{name}/jwks.json"),
    };
    let issuer = match behaviour {
        Behaviour::OtherIssuer => "https://other-issuer.test",
        _ => name,
    };
    let algorithms: Vec<_> = state.ring().published().iter().collect();
    json!({
        "issuer": issuer,
        "jwks_uri": keys,
        "token_endpoint": format!("{name}/token"),
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        "grant_types_supported": ["client_credentials"],
        // Required of a provider, and not there.
        "authorization_endpoint": format!("{name}/authorize"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": algorithms,
    })
}

fn keys(state: &State, behaviour: &Behaviour) -> Value {
    let mut set = state.ring().jwks();
    let Some(keys) = set["keys"].as_array_mut() else {
        return set;
    };
    match behaviour {
        Behaviour::EmptySet => keys.clear(),
        Behaviour::ManyKeys(count) => {
            let one = state.ring().current(Algorithm::Es256).jwk();
            keys.extend((0..*count).map(|number| {
                let mut key = one.clone();
                key["kid"] = json!(format!("another-{number}"));
                key
            }));
        }
        Behaviour::BadKeyAmong => drop(keys.splice(0..0, bad_keys())),
        _ => {}
    }
    set
}

/// Keys that nobody can use, each for another reason.
fn bad_keys() -> Vec<Value> {
    let short = base64url([0xc5; 64]);
    let coordinate = base64url([1; 32]);
    vec![
        json!(null),
        json!("a key"),
        json!({}),
        json!({ "kty": "XYZ", "kid": "bad-type" }),
        json!({ "kty": 7, "kid": "bad-type-of-type" }),
        json!({ "kty": "EC", "crv": "P-256", "kid": "bad-point", "alg": "ES256",
            "x": coordinate, "y": coordinate }),
        json!({ "kty": "EC", "crv": "secp256k1", "kid": "bad-curve", "x": coordinate,
            "y": coordinate }),
        json!({ "kty": "EC", "crv": "P-256", "kid": "bad-no-y", "x": coordinate }),
        json!({ "kty": "RSA", "kid": "bad-short", "alg": "RS256", "n": short, "e": "AQAB" }),
        json!({ "kty": "RSA", "kid": "bad-base64", "n": "+/==", "e": "AQAB" }),
        json!({ "kty": "OKP", "crv": "Ed448", "kid": "bad-ed448", "x": coordinate }),
        json!({ "kty": "OKP", "crv": "X25519", "kid": "bad-use", "use": "enc", "x": coordinate }),
        json!({ "kty": "oct", "kid": "bad-symmetric", "alg": "HS256", "k": coordinate }),
    ]
}

/// With an entity tag, and for how long it is fresh (RFC 9110 section 8.8.3, RFC 9111 section
/// 5.2.2).
fn cacheable(state: &State, value: &Value, asked: &Asked) -> Response<Part> {
    let text = value.to_string();
    let tag = format!("\"{}\"", base64url(Sha256::digest(&text)));
    let known = asked
        .head
        .headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|known| known.to_str().ok())
        .flat_map(|known| known.split(','))
        .any(|known| known.trim().trim_start_matches("W/") == tag || known.trim() == "*");
    let mut answer = if known {
        plain(StatusCode::NOT_MODIFIED, "")
    } else {
        json_answer(StatusCode::OK, text)
    };
    let age = state.settings().max_age.as_secs();
    put(&mut answer, header::ETAG, &tag);
    put(
        &mut answer,
        header::CACHE_CONTROL,
        &format!("public, max-age={age}"),
    );
    answer
}

/// Client credentials (RFC 6749 section 4.4).
fn token(state: &Arc<State>, asked: &Asked) -> Result<Response<Part>, Fault> {
    let form = Form::read(asked)?;
    let client = authenticate(state, asked, &form)?;
    match form.one("grant_type")? {
        Some("client_credentials") => {}
        Some(_) => return Err(Fault::UnsupportedGrantType),
        None => return Err(Fault::InvalidRequest),
    }
    let scope = form.one("scope")?;
    let mut audiences: Vec<_> = form.all("audience").chain(form.all("resource")).collect();
    let settings = state.settings().clone();
    if audiences.is_empty() {
        audiences.push(&settings.default_audience);
    }
    let mut builder = TestToken::new(state.clone(), &client)
        .client_id(&client)
        .lives(settings.token_lifetime);
    for audience in audiences {
        builder = builder.audience(audience);
    }
    if let Some(scope) = scope {
        builder = builder.scope(scope);
    }
    let mut answer = json!({
        "access_token": builder.mint(),
        "token_type": "Bearer",
        "expires_in": settings.token_lifetime.as_secs(),
    });
    if let Some(scope) = scope {
        answer["scope"] = json!(scope);
    }
    Ok(uncacheable(StatusCode::OK, &answer))
}

/// The client's id; by HTTP Basic or in the form, and never both (RFC 6749 section 2.3).
fn authenticate(state: &State, asked: &Asked, form: &Form) -> Result<String, Fault> {
    let basic = asked.head.headers.get(header::AUTHORIZATION);
    let (id, secret) = match (basic, form.one("client_secret")?) {
        (Some(_), Some(_)) => return Err(Fault::InvalidRequest),
        (Some(value), None) => basic_credentials(value.as_bytes()).ok_or(Fault::InvalidClient)?,
        (None, Some(secret)) => {
            let id = form.one("client_id")?.ok_or(Fault::InvalidClient)?;
            (id.to_owned(), secret.to_owned())
        }
        (None, None) => return Err(Fault::InvalidClient),
    };
    state
        .settings()
        .clients
        .iter()
        .any(|(known, good)| *known == id && constant_time_eq(good.as_bytes(), secret.as_bytes()))
        .then_some(id)
        .ok_or(Fault::InvalidClient)
}

/// Both halves are encoded as in a form before they are joined (RFC 6749 section 2.3.1).
fn basic_credentials(value: &[u8]) -> Option<(String, String)> {
    let value = std::str::from_utf8(value).ok()?;
    let (scheme, encoded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = String::from_utf8(from_base64(encoded.trim())?).ok()?;
    let (id, secret) = pair.split_once(':')?;
    let decode = |text: &str| {
        let member = format!("{text}=");
        let (decoded, _) = form_urlencoded::parse(member.as_bytes()).next()?;
        Some(decoded.into_owned())
    };
    Some((decode(id)?, decode(secret)?))
}

struct Form(Vec<(String, String)>);

impl Form {
    fn read(asked: &Asked) -> Result<Self, Fault> {
        let is_form = asked
            .head
            .headers
            .get(header::CONTENT_TYPE)
            .and_then(|kind| kind.to_str().ok())
            .is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
        if !is_form {
            return Err(Fault::InvalidRequest);
        }
        let members = form_urlencoded::parse(&asked.body).into_owned();
        Ok(Self(members.collect()))
    }

    fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |(member, _)| member == name)
            .map(|(_, value)| value.as_str())
    }

    /// RFC 6749 section 3.2: parameters are not repeated.
    fn one(&self, name: &str) -> Result<Option<&str>, Fault> {
        let mut values = self
            .0
            .iter()
            .filter(|(member, _)| member == name)
            .map(|(_, value)| value.as_str());
        let first = values.next();
        match values.next() {
            None => Ok(first),
            Some(_) => Err(Fault::InvalidRequest),
        }
    }
}

/// RFC 6749 section 5.2.
#[derive(Debug, Clone, Copy)]
enum Fault {
    InvalidRequest,
    InvalidClient,
    UnsupportedGrantType,
}

impl Fault {
    fn answer(self) -> Response<Part> {
        let (status, error) = match self {
            Self::InvalidRequest => (StatusCode::BAD_REQUEST, "invalid_request"),
            Self::InvalidClient => (StatusCode::UNAUTHORIZED, "invalid_client"),
            Self::UnsupportedGrantType => (StatusCode::BAD_REQUEST, "unsupported_grant_type"),
        };
        let mut answer = uncacheable(status, &json!({ "error": error }));
        if status == StatusCode::UNAUTHORIZED {
            put(
                &mut answer,
                header::WWW_AUTHENTICATE,
                "Basic realm=\"test\"",
            );
        }
        answer
    }
}

/// RFC 6749 section 5.1: tokens are not stored.
fn uncacheable(status: StatusCode, value: &Value) -> Response<Part> {
    let mut answer = json_answer(status, value.to_string());
    put(&mut answer, header::CACHE_CONTROL, "no-store");
    answer
}

fn json_answer(status: StatusCode, text: String) -> Response<Part> {
    let mut answer = Response::new(Part::from(text));
    *answer.status_mut() = status;
    put(&mut answer, header::CONTENT_TYPE, "application/json");
    answer
}
