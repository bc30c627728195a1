//! Verifiers by others, each asked for the same: signature, `iss`, `aud`, `exp` and `nbf`.

use std::sync::Arc;

use axum::{Router, body::Body, response::Response, routing::any};
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use huskarl_axum::{
    layers::ValidatorLayer,
    resource_server::{
        core::{
            EndpointUrl, Error,
            http::{HttpClient, HttpResponse, Idempotency},
            platform::MaybeSendBoxFuture,
        },
        validator::rfc9068::Rfc9068Validator,
    },
};
use jsonwebtoken_10::{Algorithm, DecodingKey, Validation, jwk::JwkSet};
use jwt_authorizer::{AuthError, IntoLayer as _, JwtAuthorizer};
use serde::Deserialize;
use tower::{Layer as _, util::MapResponse};
use tower_oauth2_resource_server::{
    claims::DefaultClaims, server::OAuth2ResourceServer, tenant::TenantConfiguration,
    validation::ClaimsValidationSpec,
};
use zt_benches::{Group, Kind, Outcome};

use super::{
    Requests,
    mint::{AUDIENCE, ISSUER, Kty, Mint},
};
use crate::bare::{router, wait};

/// What an application would read.
#[derive(Debug, Clone, Deserialize)]
#[expect(dead_code, reason = "reading them is what is measured")]
struct Claims {
    iss: String,
    sub: String,
    aud: String,
    client_id: String,
    exp: u64,
    iat: u64,
    nbf: u64,
    jti: String,
    scope: String,
}

/// The names of a peer, with a good token and with a forged one.
pub(super) type Names = (&'static str, &'static str);

const AUTHORIZER: Names = ("jwt-authorizer 0.15", "jwt-authorizer 0.15, forged");
const EXTRACTOR: Names = ("axum-jwt-auth 0.7", "axum-jwt-auth 0.7, forged");
const TOWER: Names = (
    "tower-oauth2-resource-server 0.12.5",
    "tower-oauth2-resource-server 0.12.5, forged",
);
const HUSKARL: Names = (
    "huskarl-axum 0.1 / -resource-server 0.11.12",
    "huskarl-axum 0.1 / -resource-server 0.11.12, forged",
);

/// The peers that verify this algorithm.
pub(super) const fn names(kty: Kty) -> &'static [Names] {
    match kty {
        // The other two take public keys only.
        Kty::Hs256 => &[AUTHORIZER, EXTRACTOR],
        _ => &[AUTHORIZER, EXTRACTOR, TOWER, HUSKARL],
    }
}

/// Adds them to `group`.
pub(super) fn add(group: &mut Group, mint: &Mint, requests: &Requests) -> Outcome {
    macro_rules! add {
        ($names:expr, $note:literal, $service:expr) => {{
            let (service, (good, forged)) = ($service, $names);
            let (ok, no) = (StatusCode::OK, StatusCode::UNAUTHORIZED);
            let again = service.clone();
            let refused = requests.refused();
            group.service(
                Kind::Peer,
                good,
                $note,
                service,
                (&requests.good, ok),
                &refused,
            )?;
            group.service(
                Kind::Peer,
                forged,
                "401",
                again,
                (&requests.forged, no),
                &[],
            )?;
        }};
    }
    add!(AUTHORIZER, "jsonwebtoken 9, ring", authorizer(mint)?);
    add!(
        EXTRACTOR,
        "jsonwebtoken 10, RustCrypto; an extractor",
        extractor(mint)?
    );
    let Some(jwks) = mint.jwks() else {
        return Ok(());
    };
    add!(
        TOWER,
        "jsonwebtoken 11, aws-lc-rs (opt-in)",
        tower_oauth2(jwks.clone())?
    );
    add!(HUSKARL, "RustCrypto; all of RFC 9068", huskarl(jwks)?);
    Ok(())
}

type Answered<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// An answer that jwt-authorizer can give, though it speaks axum 0.7.
struct Carried(Response);

impl From<AuthError> for Carried {
    fn from(error: AuthError) -> Self {
        Self(http::Response::from(error).map(Body::new))
    }
}

fn authorizer(mint: &Mint) -> Answered<impl Peer> {
    let authorizer = match mint.jwks() {
        Some(jwks) => JwtAuthorizer::<Claims>::from_jwks_text(&jwks),
        None => JwtAuthorizer::from_secret(Mint::SECRET),
    };
    let validation = jwt_authorizer::Validation::new()
        .iss(&[ISSUER])
        .aud(&[AUDIENCE])
        .nbf(true);
    let layer = wait(authorizer.validation(validation).build())??.into_layer();
    let carried = layer.layer(MapResponse::new(router(), Carried));
    Ok(MapResponse::new(carried, |Carried(response)| response))
}

fn extractor(mint: &Mint) -> Answered<impl Peer> {
    let (algorithm, key) = match mint.jwks() {
        Some(jwks) => {
            let set: JwkSet = serde_json::from_str(&jwks)?;
            let key = set.keys.first().ok_or("the set has no key")?;
            let algorithm = match mint.kty {
                Kty::Es256 => Algorithm::ES256,
                Kty::EdDsa => Algorithm::EdDSA,
                Kty::Rs256 | Kty::Hs256 => Algorithm::RS256,
            };
            (algorithm, DecodingKey::from_jwk(key)?)
        }
        None => {
            let key = DecodingKey::from_secret(Mint::SECRET.as_bytes());
            (Algorithm::HS256, key)
        }
    };
    let mut validation = Validation::new(algorithm);
    validation.set_issuer(&[ISSUER]);
    validation.set_audience(&[AUDIENCE]);
    validation.validate_nbf = true;
    let decoder = axum_jwt_auth::LocalDecoder::new(vec![key], validation)?;
    let decoder: axum_jwt_auth::Decoder<Claims> = Arc::new(decoder);
    let ok = any(|_: axum_jwt_auth::Claims<Claims>| async { "ok" });
    Ok(Router::new()
        .route("/orders", ok.clone())
        .route("/orders/{id}", ok)
        .with_state(decoder))
}

fn tower_oauth2(jwks: String) -> Answered<impl Peer> {
    let claims = ClaimsValidationSpec::recommended(ISSUER, &vec![AUDIENCE.to_owned()]);
    let tenant = TenantConfiguration::static_builder(jwks)
        .claims_validation(claims)
        .build()?;
    let server = OAuth2ResourceServer::<DefaultClaims>::builder().add_tenant(tenant);
    let layer = wait(server.build())??.into_layer::<Body>();
    Ok(layer.layer(router()))
}

fn huskarl(jwks: String) -> Answered<impl Peer> {
    let validator = Rfc9068Validator::builder()
        .issuer(ISSUER)
        .audience(AUDIENCE)
        .jwks_uri("https://issuer.example/jwks".parse::<EndpointUrl>()?)
        .jwks_source(Fixed(jwks.into()));
    let validator = wait(validator.build())??;
    let layer = ValidatorLayer::builder().validator(validator).build();
    Ok(layer.authenticated().layer(router()))
}

/// The key endpoint, without a network.
struct Fixed(Bytes);

impl HttpClient for Fixed {
    fn execute(
        &self,
        _: Request<Bytes>,
        _: Idempotency,
    ) -> MaybeSendBoxFuture<'_, Result<HttpResponse, Error>> {
        Box::pin(async {
            Ok(HttpResponse {
                status: StatusCode::OK,
                headers: HeaderMap::new(),
                body: self.0.clone(),
            })
        })
    }
}

/// What can be measured.
trait Peer: tower::Service<Request<Body>, Response = Response> + Clone + 'static {}

impl<S> Peer for S where S: tower::Service<Request<Body>, Response = Response> + Clone + 'static {}
