use std::{sync::Arc, time::Duration};

use zt_core::{
    clock::{Clock, ClockError, Sleep, Timestamp},
    secret::Secret,
};

use super::{issuer::TestIssuer, keys::TestKey, server};
use crate::{
    algorithm::{Algorithm, Algorithms},
    http::HttpService,
    key::KeySet,
    verifier::{Audience, Issuer, Verifier},
    verify_jwt::VerifyJwtLayer,
};

/// # Verifying
impl TestIssuer {
    /// `iss`: where a started one is to be reached.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.state.name
    }

    /// The address of its keys.
    #[must_use]
    pub fn jwks_url(&self) -> String {
        format!("{}/jwks.json", self.state.name)
    }

    /// The address of its token endpoint.
    #[must_use]
    pub fn token_url(&self) -> String {
        format!("{}/token", self.state.name)
    }

    /// Its published keys as a JSON Web Key Set.
    #[must_use]
    pub fn jwks(&self) -> String {
        self.state.ring().jwks().to_string()
    }

    /// Its published keys as they are now.
    ///
    /// # Panics
    ///
    /// Never, where zt-jwt can read what it wrote.
    #[must_use]
    pub fn key_set(&self) -> KeySet {
        KeySet::parse(self.jwks().as_bytes()).expect("keys that were made here can be used")
    }

    /// The algorithms whose keys it publishes.
    #[must_use]
    pub fn algorithms(&self) -> Algorithms {
        self.state.ring().published()
    }

    /// This issuer as a verifier knows it. The keys of an offline one are those of now; those of a
    /// started one are fetched over plain HTTP and follow it.
    ///
    /// # Panics
    ///
    /// Where its name, given to [`named`](Self::named), cannot be an issuer's.
    pub fn issuer(&self, audience: impl Into<Audience>) -> Issuer {
        if self.server.is_none() {
            return Issuer::keys(self.name(), audience, self.key_set());
        }
        Issuer::oidc(self.name(), audience, self.http()).expect("loopback may be asked")
    }

    /// This issuer as a verifier knows it that shares its [`secret`](Self::secret), for one of
    /// `HS256`, `HS384`, `HS512`.
    ///
    /// # Panics
    ///
    /// Where `algorithm` is not symmetric.
    pub fn shared_secret_issuer(
        &self,
        audience: impl Into<Audience>,
        algorithm: Algorithm,
    ) -> Issuer {
        Issuer::shared_secret(self.name(), audience, algorithm, &self.secret())
            .expect("a secret that is long enough, for a symmetric algorithm")
    }

    /// What tokens are signed with unless said otherwise.
    pub(super) fn usual(&self) -> Algorithm {
        self.state.ring().usual
    }

    /// The key that signs under `algorithm` now.
    pub(super) fn key(&self, algorithm: Algorithm) -> Arc<TestKey> {
        self.state.ring().current(algorithm)
    }

    /// A verifier of its tokens on its clock.
    ///
    /// # Panics
    ///
    /// As [`issuer`](Self::issuer) does.
    #[must_use]
    pub fn verifier(&self, audience: impl Into<Audience>) -> Verifier {
        Verifier::builder()
            .issuer(self.issuer(audience))
            .clock(self.clock())
            .build()
            .expect("an issuer that can be verified")
    }

    /// A layer that verifies its tokens under `Authorization`.
    ///
    /// ```
    /// use std::convert::Infallible;
    /// use http::{Request, Response};
    /// use tower::{Layer, ServiceExt, service_fn};
    /// use zt_jwt::testing::{BadToken, TestIssuer};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// let issuer = TestIssuer::offline();
    /// let service = issuer.layer("orders").layer(service_fn(
    ///     |_: Request<String>| async { Ok::<_, Infallible>(Response::new(String::from("hello"))) },
    /// ));
    /// let call = async |token: String| {
    ///     let request = Request::get("/").header("authorization", format!("Bearer {token}"));
    ///     service.clone().oneshot(request.body(String::new()).unwrap()).await.unwrap().status()
    /// };
    ///
    /// assert_eq!(call(issuer.token("ada").audience("orders").mint()).await, 200);
    /// assert_eq!(call(issuer.bad_token(BadToken::ExpPast, "orders")).await, 401);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Panics
    ///
    /// As [`issuer`](Self::issuer) does.
    #[must_use]
    pub fn layer(&self, audience: impl Into<Audience>) -> VerifyJwtLayer {
        VerifyJwtLayer::new(self.verifier(audience))
    }

    /// Its clock.
    #[must_use]
    pub fn clock(&self) -> impl Clock + Clone + use<> {
        Shared(self.state.settings().clock.clone())
    }

    /// A client that speaks plain HTTP, follows no redirects, and reaches a started issuer.
    #[must_use]
    pub fn http(&self) -> HttpService {
        server::client()
    }

    /// The secret of its symmetric tokens: 64 bytes.
    #[must_use]
    pub fn secret(&self) -> Secret {
        Secret::new(self.state.settings().secret.to_vec())
    }

    /// The key that signs under `algorithm` now, as PKCS #8 in PEM.
    ///
    /// # Panics
    ///
    /// Where `algorithm` is symmetric.
    #[must_use]
    pub fn private_key_pem(&self, algorithm: Algorithm) -> String {
        self.key(algorithm).private_pem()
    }

    /// Its public half, as SubjectPublicKeyInfo in PEM.
    ///
    /// # Panics
    ///
    /// Where `algorithm` is symmetric.
    #[must_use]
    pub fn public_key_pem(&self, algorithm: Algorithm) -> String {
        self.key(algorithm).public_pem()
    }

    /// The name (`kid`) of the key that signs under `algorithm` now.
    ///
    /// # Panics
    ///
    /// Where `algorithm` is symmetric.
    #[must_use]
    pub fn kid(&self, algorithm: Algorithm) -> String {
        self.key(algorithm).kid.clone()
    }
}

/// A clock that somebody else has too.
#[derive(Debug, Clone)]
struct Shared(Arc<dyn Clock>);

impl Clock for Shared {
    fn now(&self) -> Result<Timestamp, ClockError> {
        self.0.now()
    }

    fn monotonic(&self) -> Duration {
        self.0.monotonic()
    }

    fn read(&self) -> (Result<Timestamp, ClockError>, Duration) {
        self.0.read()
    }

    fn sleep(&self, span: Duration) -> Sleep {
        self.0.sleep(span)
    }
}
