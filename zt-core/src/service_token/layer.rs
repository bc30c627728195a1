use std::{fmt, sync::Arc};

use http::{HeaderMap, HeaderName, HeaderValue, header::AUTHORIZATION, request::Parts};

use super::{
    ServiceTokens, TokenScheme, TokenSource,
    check::{Question, Refused},
    format::PREFIX,
};
use crate::{
    authenticate::{Authenticate, Presented},
    context::SecurityContext,
    decision::{Challenge, Code, Denial},
    gate::Step,
    identity::Principal,
};

/// Lets requests pass that present a good service token; see the [module](super).
#[derive(Clone)]
pub struct VerifyServiceTokenLayer(Arc<Inner>);

/// The service that [`VerifyServiceTokenLayer`] makes of `S`.
pub type VerifyServiceToken<S> = <VerifyServiceTokenLayer as tower_layer::Layer<S>>::Service;

crate::impl_authenticate_layer!(VerifyServiceTokenLayer);

struct Inner {
    tokens: ServiceTokens,
    /// For requests without a credential.
    asked: Vec<Challenge>,
    /// For requests with one that is not good (RFC 6750 section 3.1).
    refused: Vec<Challenge>,
}

static X_SERVICE_TOKEN: HeaderName = HeaderName::from_static("x-service-token");

impl VerifyServiceTokenLayer {
    /// Verifies tokens of `tokens`, from where its configuration says they are.
    #[must_use]
    pub fn new(tokens: ServiceTokens) -> Self {
        let config = &tokens.0.config;
        let own = Challenge::new("ServiceToken").with("realm", &config.realm);
        let shared = Challenge::new("Bearer").with("realm", &config.realm);
        let asked = match (config.source, config.scheme) {
            (TokenSource::Header, _) | (_, TokenScheme::ServiceToken) => vec![own],
            (TokenSource::Authorization, TokenScheme::Bearer) => vec![shared],
            (TokenSource::Either, TokenScheme::Bearer) => vec![own, shared],
        };
        let refused = asked
            .iter()
            .map(|challenge| challenge.clone().with("error", "invalid_token"))
            .collect();
        Self(Arc::new(Inner {
            tokens,
            asked,
            refused,
        }))
    }

    /// What `headers` carry of ours.
    fn find<'a>(&self, headers: &'a HeaderMap) -> Found<'a> {
        let source = self.0.tokens.0.config.source;
        let own = match source {
            TokenSource::Authorization => Found::Absent,
            TokenSource::Header | TokenSource::Either => in_header(headers),
        };
        let shared = match source {
            TokenSource::Header => Found::Absent,
            TokenSource::Authorization | TokenSource::Either => self.in_authorization(headers),
        };
        match (own, shared) {
            (Found::Absent, found) | (found, Found::Absent | Found::Foreign) => found,
            _ => Found::Several,
        }
    }

    fn in_authorization<'a>(&self, headers: &'a HeaderMap) -> Found<'a> {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let Some(first) = values.next() else {
            return Found::Absent;
        };
        let Some(other) = values.next() else {
            return self.credential(first).map_or(Found::Foreign, Found::One);
        };
        let mut all = [first, other].into_iter().chain(values);
        if all.any(|value| self.credential(value).is_some()) {
            return Found::Several;
        }
        Found::Foreign
    }

    /// The credential of an `Authorization` value, where it is ours (RFC 9110 section 11.6.2).
    fn credential<'a>(&self, value: &'a HeaderValue) -> Option<&'a [u8]> {
        let config = &self.0.tokens.0.config;
        let value = value.as_bytes();
        let blank = value.iter().position(|byte| *byte == b' ');
        let (scheme, rest) = value.split_at_checked(blank.unwrap_or(value.len()))?;
        let credential = rest.trim_ascii_start();
        match config.scheme {
            TokenScheme::ServiceToken => scheme
                .eq_ignore_ascii_case(b"ServiceToken")
                .then_some(credential),
            TokenScheme::Bearer => (scheme.eq_ignore_ascii_case(b"Bearer")
                && (config.opaque_bearer || credential.starts_with(PREFIX.as_bytes())))
            .then_some(credential),
        }
    }

    fn verify(&self, parts: &Parts, cx: &SecurityContext) -> Result<Arc<Principal>, Denial> {
        let presented = match self.find(&parts.headers) {
            Found::One(presented) => presented,
            Found::Several => return Err(Code::CredentialAmbiguous.into()),
            Found::Absent | Found::Foreign => {
                return Err(Denial::misordered(
                    "a service token was verified that was not presented",
                ));
            }
        };
        if presented.is_empty() || !presented.iter().all(u8::is_ascii_graphic) {
            return Err(Code::CredentialMalformed.into());
        }
        let question = Question {
            presented,
            method: &parts.method,
            path: parts.uri.path(),
            client: cx.client().client(),
            now: cx.now(),
        };
        self.0
            .tokens
            .verify(&question)
            .map_err(|refused| self.denial(refused))
    }

    #[cold]
    fn denial(&self, Refused { refusal, id }: Refused) -> Denial {
        let code = refusal.code();
        let why = refusal.why();
        let denial = Denial::new(code).detail(match id {
            Some(id) => format!("service token `{id}`: {why}"),
            None => format!("service token: {why}"),
        });
        if code.status() == http::StatusCode::UNAUTHORIZED {
            return self
                .0
                .refused
                .iter()
                .cloned()
                .fold(denial, Denial::challenge);
        }
        denial
    }
}

/// What a request carries of ours.
#[derive(Clone, Copy)]
enum Found<'a> {
    Absent,
    Foreign,
    One(&'a [u8]),
    Several,
}

fn in_header(headers: &HeaderMap) -> Found<'_> {
    let mut values = headers.get_all(&X_SERVICE_TOKEN).iter();
    match (values.next(), values.next()) {
        (None, _) => Found::Absent,
        (Some(value), None) => Found::One(value.as_bytes()),
        (Some(_), Some(_)) => Found::Several,
    }
}

impl Authenticate for VerifyServiceTokenLayer {
    const NAME: &'static str = "VerifyServiceToken";

    fn presented(&self, parts: &Parts, _: &SecurityContext) -> Presented {
        match self.find(&parts.headers) {
            Found::Absent => Presented::Absent,
            Found::Foreign => Presented::Foreign,
            Found::One(_) | Found::Several => Presented::Mine,
        }
    }

    fn authenticate(&self, parts: &mut Parts, cx: &mut SecurityContext) -> Step<Arc<Principal>> {
        let proved = self.verify(parts, cx);
        // Kept out of `Debug` and out of HPACK's tables (RFC 7541 section 7.1.3) from here on.
        for name in [&X_SERVICE_TOKEN, &AUTHORIZATION] {
            if let Some(value) = parts.headers.get_mut(name) {
                value.set_sensitive(true);
            }
        }
        proved.into()
    }

    fn challenges(&self) -> Vec<Challenge> {
        self.0.asked.clone()
    }
}

impl fmt::Debug for VerifyServiceTokenLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("VerifyServiceTokenLayer")
            .field(&self.0.tokens)
            .finish()
    }
}
