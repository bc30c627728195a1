use std::{fmt, net::IpAddr, sync::Arc};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{header, request::Parts};

use super::{
    StackError, ZeroTrust,
    builder::Onion,
    slots::{LimitsPeer, Nothing},
};
use crate::{
    authenticate::{Authenticate, Authenticated, Presented},
    authorize::{AnyAuthenticated, AuthorizeLayer},
    context::{SecurityContext, Stage},
    decision::{Challenge, Code, Denial},
    gate::{Check, Step},
    headers::SetSecurityHeadersLayer,
    identity::{AuthMethod, Principal, PrincipalKind},
    random::{self, OsEntropy},
    secret::Secret,
};

/// The stack of [`ZeroTrust::development`].
pub type Development = ZeroTrust<
    Onion<
        SetSecurityHeadersLayer,
        Nothing,
        LoopbackOnly,
        Authenticated<DevelopmentToken>,
        Nothing,
        Nothing,
        AuthorizeLayer<AnyAuthenticated>,
        Nothing,
        Nothing,
        Nothing,
    >,
>;

impl ZeroTrust {
    /// A stack for one's own machine: loopback peers only, one bearer token that is made now and
    /// printed once to standard error, everything permitted to whoever presents it, no record.
    ///
    /// # Errors
    ///
    /// When there is no randomness for the token.
    pub fn development() -> Result<Development, StackError> {
        let token = DevelopmentToken::generate()?;
        token.announce();
        Self::development_with(token)
    }

    /// As [`development`](Self::development), with a token that was made before and is not
    /// printed.
    ///
    /// # Errors
    ///
    /// None today; a stack can fail to build.
    pub fn development_with(token: DevelopmentToken) -> Result<Development, StackError> {
        Self::builder()
            .without_audit()
            .limit_peer(LoopbackOnly)
            .authenticate(token)
            .any_authenticated()
            .build()
    }
}

/// Refuses whoever does not come from this machine, or asks for another host (a web page that
/// had its name rebound to loopback does).
#[derive(Debug, Clone, Copy)]
pub struct LoopbackOnly;

impl Check for LoopbackOnly {
    type Guard = ();

    const NAME: &'static str = "loopback only";
    const STAGE: Stage = Stage::LimitPeer;

    fn check(&self, parts: &mut Parts, cx: &mut SecurityContext) -> Step<()> {
        // The peer itself, never a forwarded address.
        let Some(peer) = cx.client().peer() else {
            return Denial::misordered(
                "a development stack must see its peers: serve with connect info",
            )
            .into();
        };
        if !peer.ip().to_canonical().is_loopback() {
            return Denial::new(Code::PolicyDenied)
                .detail("not a loopback peer")
                .into();
        }
        if !host(parts).is_some_and(is_loopback_name) {
            return Denial::new(Code::Misdirected)
                .detail("not a loopback host")
                .into();
        }
        Step::pass(())
    }
}

impl LimitsPeer for LoopbackOnly {}

fn host(parts: &Parts) -> Option<&str> {
    let authority = match parts.uri.authority() {
        Some(authority) => authority.as_str(),
        None => parts.headers.get(header::HOST)?.to_str().ok()?,
    };
    let bracketed = authority
        .strip_prefix('[')
        .and_then(|rest| rest.split_once(']'));
    Some(match bracketed {
        Some((address, _)) => address,
        None => authority
            .split_once(':')
            .map_or(authority, |(host, _)| host),
    })
}

fn is_loopback_name(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// The bearer token of a development stack.
#[derive(Clone)]
pub struct DevelopmentToken {
    text: Arc<Secret>,
    principal: Arc<Principal>,
}

impl DevelopmentToken {
    /// 256 random bits.
    ///
    /// # Errors
    ///
    /// When there is no randomness.
    pub fn generate() -> Result<Self, random::EntropyError> {
        let bytes: [u8; 32] = random::bytes(&OsEntropy)?;
        let principal =
            Principal::assertion(PrincipalKind::User, "developer", AuthMethod::Development);
        Ok(Self {
            text: Arc::new(Secret::from(URL_SAFE_NO_PAD.encode(bytes).as_str())),
            principal: Arc::new(principal.finish()),
        })
    }

    /// The value for `Authorization: Bearer ...`.
    #[must_use]
    pub fn expose(&self) -> &str {
        std::str::from_utf8(self.text.expose()).unwrap_or_default()
    }

    #[expect(clippy::print_stderr, reason = "printing it once is what it is for")]
    fn announce(&self) {
        eprintln!("development token (this process only): {}", self.expose());
    }
}

impl fmt::Debug for DevelopmentToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DevelopmentToken(..)")
    }
}

impl Authenticate for DevelopmentToken {
    const NAME: &'static str = "development token";

    fn presented(&self, parts: &Parts, _: &SecurityContext) -> Presented {
        match parts.headers.get(header::AUTHORIZATION) {
            None => Presented::Absent,
            Some(_) => Presented::Mine,
        }
    }

    fn authenticate(&self, parts: &mut Parts, _: &mut SecurityContext) -> Step<Arc<Principal>> {
        let mut values = parts.headers.get_all(header::AUTHORIZATION).iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return Denial::new(Code::CredentialAmbiguous).into();
        };
        let token = value.as_bytes().split_at_checked(7).filter(|(scheme, _)| {
            // RFC 9110 section 11.1: schemes are compared without case.
            scheme.eq_ignore_ascii_case(b"Bearer ")
        });
        match token {
            Some((_, token)) if self.text.matches(token) => Step::pass(Arc::clone(&self.principal)),
            _ => Denial::new(Code::CredentialInvalid)
                .challenge(Challenge::new("Bearer"))
                .into(),
        }
    }

    fn challenges(&self) -> Vec<Challenge> {
        vec![Challenge::new("Bearer")]
    }
}
