use std::{convert::Infallible, sync::Arc, time::Duration};

use tokio::{net::TcpListener, sync::oneshot};
use zt_core::{
    clock::{Clock, ClockError, Sleep, Timestamp},
    secret::Secret,
};

use super::{
    bad::{self, BadToken},
    behaviour::{Behaviour, Endpoint},
    keys::TestKey,
    ring::Ring,
    server,
    state::State,
    token::TestToken,
};
use crate::{
    algorithm::{Algorithm, Algorithms},
    http::HttpService,
    key::KeySet,
    verifier::{Audience, Issuer, Verifier},
    verify_jwt::VerifyJwtLayer,
};

/// An issuer for tests. Clones are handles of the same issuer.
///
/// Its keys are named after algorithm and generation, such as `es256-1`: two issuers have other
/// keys under the same names. `ES256` is the usual algorithm; keys of every other asymmetric one
/// are published too, those of RSA, which take a tenth of a second to make, from when one was first
/// used on. [`with_algorithms`](Self::with_algorithms) says it otherwise.
#[derive(Debug, Clone)]
pub struct TestIssuer {
    state: Arc<State>,
    server: Option<Arc<Server>>,
}

/// The server runs for as long as the sender is there.
#[derive(Debug)]
struct Server {
    _running: oneshot::Sender<Infallible>,
}

/// # Beginning
impl TestIssuer {
    /// Keys and no socket, named `https://issuer.test`.
    #[must_use]
    pub fn offline() -> Self {
        Self::named("https://issuer.test")
    }

    /// As [`offline`](Self::offline), under another name.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self {
            state: Arc::new(State::new(name.into())),
            server: None,
        }
    }

    /// Serves metadata, keys and tokens on a free port of `127.0.0.1`, until the last handle is
    /// dropped. Its name is its address.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with its I/O driver, and where there is no free port.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port is free");
        let address = listener.local_addr().expect("a listener has an address");
        let state = Arc::new(State::new(format!("http://{address}")));
        let (running, stop) = oneshot::channel();
        tokio::spawn(server::serve(listener, state.clone(), stop));
        let server = Some(Arc::new(Server { _running: running }));
        Self { state, server }
    }

    /// Another clock than the machine's, such as a `ManualClock`; for all handles.
    #[must_use]
    pub fn with_clock(self, clock: impl Clock) -> Self {
        self.state.settings().clock = Arc::new(clock);
        self
    }

    /// Publishes keys of `algorithms` only, the first of which is the usual one. New keys are made;
    /// under algorithms that are not among them tokens can be minted, but nobody knows their keys.
    ///
    /// # Panics
    ///
    /// Where there is none.
    #[must_use]
    pub fn with_algorithms(self, algorithms: impl AsRef<[Algorithm]>) -> Self {
        *self.state.ring() = Ring::only(algorithms.as_ref());
        self
    }

    /// Registers a client of the token endpoint.
    #[must_use]
    pub fn with_client(self, id: &str, secret: &str) -> Self {
        let client = (id.into(), secret.into());
        self.state.settings().clients.push(client);
        self
    }

    /// Whom tokens of the token endpoint are for where the client names nobody by `audience` or
    /// `resource` (RFC 9068 section 3); `test` unless said otherwise.
    #[must_use]
    pub fn with_default_audience(self, audience: &str) -> Self {
        self.state.settings().default_audience = audience.into();
        self
    }

    /// How long tokens of the token endpoint live, in whole seconds; five minutes unless said
    /// otherwise.
    #[must_use]
    pub fn with_token_lifetime(self, lifetime: Duration) -> Self {
        self.state.settings().token_lifetime = lifetime;
        self
    }
}

/// # Minting
impl TestIssuer {
    /// Begins a token for `subject`.
    pub fn token(&self, subject: &str) -> TestToken {
        TestToken::new(self.state.clone(), subject)
    }

    /// A token that is bad in just this way, and otherwise good for `audience`.
    ///
    /// ```
    /// use zt_jwt::testing::{BadToken, TestIssuer};
    ///
    /// let issuer = TestIssuer::offline();
    /// let token = issuer.bad_token(BadToken::AlgNoneUnsigned, "orders");
    /// assert!(token.ends_with('.'));
    /// ```
    ///
    /// # Panics
    ///
    /// Where the issuer's clock has no time.
    #[must_use]
    pub fn bad_token(&self, kind: BadToken, audience: &str) -> String {
        bad::make(kind, self, audience)
    }

    /// As [`bad_token`](Self::bad_token), with a signature that does not hold either. Of such a
    /// token no claim may have been read: where
    /// [`is_about_claims`](BadToken::is_about_claims), the refusal has to be
    /// [`Refusal::Signature`](crate::Refusal::Signature).
    #[must_use]
    pub fn bad_token_with_broken_signature(&self, kind: BadToken, audience: &str) -> String {
        bad::break_signature(&self.bad_token(kind, audience))
    }
}

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

/// # Changing keys
///
/// All algorithms change at once. Verifiers of an offline issuer keep the keys that they have.
impl TestIssuer {
    /// Publishes the keys that will come next; they sign nothing yet.
    pub fn add_next_key(&self) {
        self.state.ring().add_next();
    }

    /// Signs with the next keys, made now where there are none; the former ones stay published.
    pub fn use_next_key(&self) {
        self.state.ring().use_next();
    }

    /// Publishes keys that no longer sign no more.
    pub fn retire_old_keys(&self) {
        self.state.ring().retire_old();
    }

    /// All at once: other keys sign, and the former ones are gone.
    pub fn rotate(&self) {
        let mut ring = self.state.ring();
        ring.use_next();
        ring.retire_old();
    }

    /// Other keys sign under the names of the former ones, as no issuer should do.
    pub fn swap_key_under_same_kid(&self) {
        self.state.ring().swap_current();
    }
}

/// # On the wire
impl TestIssuer {
    /// Answers in another way from now on, at every endpoint. Requests that wait are answered.
    pub fn behave(&self, behaviour: Behaviour) {
        for endpoint in Endpoint::ALL {
            self.behave_at(*endpoint, behaviour.clone());
        }
    }

    /// As [`behave`](Self::behave), at one endpoint.
    pub fn behave_at(&self, endpoint: Endpoint, behaviour: Behaviour) {
        self.state.behave(endpoint, behaviour);
    }

    /// For how long metadata and keys may be cached (`max-age`, in whole seconds); five minutes
    /// unless said otherwise.
    pub fn cache_for(&self, max_age: Duration) {
        self.state.settings().max_age = max_age;
    }

    /// How often keys were asked for, however it was answered.
    #[must_use]
    pub fn jwks_requests(&self) -> u64 {
        self.state.requests(Endpoint::Keys)
    }

    /// How often metadata was asked for.
    #[must_use]
    pub fn discovery_requests(&self) -> u64 {
        self.state.requests(Endpoint::Metadata)
    }

    /// How often the token endpoint was asked.
    #[must_use]
    pub fn token_requests(&self) -> u64 {
        self.state.requests(Endpoint::Token)
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
