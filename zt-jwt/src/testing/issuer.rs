use std::{convert::Infallible, sync::Arc, time::Duration};

use tokio::{net::TcpListener, sync::oneshot};
use zt_core::clock::Clock;

use super::{
    bad::{self, BadToken},
    ring::Ring,
    server,
    state::State,
    token::TestToken,
};
use crate::algorithm::Algorithm;

/// An issuer for tests. Clones are handles of the same issuer.
///
/// Its keys are named after algorithm and generation, such as `es256-1`: two issuers have other
/// keys under the same names. `ES256` is the usual algorithm; keys of every other asymmetric one
/// are published too, those of RSA, which take a tenth of a second to make, from when one was first
/// used on. [`with_algorithms`](Self::with_algorithms) says it otherwise.
#[derive(Debug, Clone)]
pub struct TestIssuer {
    pub(super) state: Arc<State>,
    pub(super) server: Option<Arc<Server>>,
}

/// The server runs for as long as the sender is there.
#[derive(Debug)]
pub(super) struct Server {
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
    /// Where the issuer's clock has no time, or its usual algorithm is symmetric.
    #[must_use]
    pub fn bad_token(&self, kind: BadToken, audience: &str) -> String {
        bad::make(kind, self, audience)
    }

    /// As [`bad_token`](Self::bad_token), with a signature that does not hold either. Of such a
    /// token no claim may have been read: where
    /// [`is_about_claims`](BadToken::is_about_claims), the refusal has to be
    /// [`Refusal::Signature`](crate::Refusal::Signature).
    ///
    /// # Panics
    ///
    /// As [`bad_token`](Self::bad_token) does.
    #[must_use]
    pub fn bad_token_with_broken_signature(&self, kind: BadToken, audience: &str) -> String {
        bad::break_signature(&self.bad_token(kind, audience))
    }
}
