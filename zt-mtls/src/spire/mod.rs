//! SPIFFE's Workload API as a source of [`Credentials`]: what SPIRE's agent, or another, says that we
//! are and whom we trust.
//!
//! 1. The agent listens at the address that [`Spire::at`] was given, or at the one in
//!    `SPIFFE_ENDPOINT_SOCKET` (SPIFFE_Workload_Endpoint section 4): `unix:///path` or `tcp://IP:port`.
//!    Nothing is encrypted on the way (3.1) and private keys come over it: an IP address that is not
//!    this host's own is refused, except by [`insecure_over_network`](Spire::insecure_over_network).
//! 2. `FetchX509SVID` is called with the header `workload.spiffe.io: true` (3), and its responses are
//!    read for as long as anybody has the credentials (SPIFFE_Workload_API sections 4.2 and 4.3).
//! 3. Each response is one [`Material`](crate::credentials::Material), put in force as a whole: our
//!    certificate and key, the bundle of each trust domain, the revocation lists. What a response
//!    leaves out is gone (4.4).
//! 4. We are the first identity of a response (section 5.3), or the first with the
//!    [hint](Spire::hint) or the [SPIFFE ID](Spire::spiffe_id) that was asked for.
//!
//! A response is not used, and the last good one kept, when
//!
//! 5. it is longer than [`MAX_RESPONSE`], has more than [`MAX_SVIDS`] identities, or cannot be read;
//! 6. it has no identity, or not the one that was asked for; or a mandatory field of one is empty (4.5);
//! 7. a certificate is not of the SPIFFE ID beside it, or the key not of the certificate;
//! 8. the certificate is no [X.509-SVID](crate::svid), or the bundle of its trust domain does not vouch
//!    for it now;
//! 9. there are two bundles of one trust domain that are not equal, or one of an identity's cannot be
//!    used, or a revocation list cannot be read. A federated trust domain whose bundle is empty, or cannot
//!    be used, is one that nobody vouches for: it is another's, who cannot keep our identity from us.
//!
//! After that, and when the stream ends, the agent is called again, at first soon and then with
//! pauses that grow to [`MAX_PAUSE`] and are never quite the same. `PermissionDenied` says that we have
//! no identity yet, and is one of these cases. `InvalidArgument` and `Unimplemented` are final
//! (SPIFFE_Workload_Endpoint section 6) where they are the first answer: [`connect`](Spire::connect)
//! fails. Later they are cases like the others, for the agent did answer before. An agent that neither
//! answers nor goes is noticed by a ping. [`Credentials::standing`] says how it stands, and
//! [`Credentials::register`] tells readiness when the certificate is about to end.
//!
//! ```no_run
//! use zt_mtls::{client::Connector, peer::Peers, spire::Spire};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let credentials = Spire::from_env()?.connect().await?;
//! let payments = Peers::parse(["spiffe://shop.example/payments"])?;
//! let connector = Connector::new(credentials, payments)?;
//! # Ok(())
//! # }
//! ```
//!
//! HTTP/2 is `h2`, the messages are read by `prost`, and the rest is here: the `spiffe` crate skips the
//! revocation lists of a response, and keeps its own time and chance.
//!
//! What it does not do: JWT-SVIDs; bundles without an identity (`FetchX509Bundles`). An identity that the
//! agent takes back (section 5.2.1) is shown until it ends, since a server has no other: whoever must not
//! accept it any more needs a revocation list. Our copy of a response is wiped; the key in the buffers of
//! HTTP/2 is not.

mod call;
mod config;
mod endpoint;
mod error;
mod follow;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
mod message;
#[cfg(test)]
mod tests;
mod update;

use std::{env, fmt, sync::Arc, time::Duration};

use rustls::crypto::CryptoProvider;
use serde::Deserialize;
use zt_core::{
    clock::{Clock, SystemClock},
    random::{Entropy, OsEntropy},
};

pub use self::{
    endpoint::{Endpoint, EndpointError},
    error::SpireError,
};
use crate::{credentials::Credentials, id::SpiffeId};

/// Where the address of the agent stands (SPIFFE_Workload_Endpoint section 4).
pub const ENDPOINT_VARIABLE: &str = "SPIFFE_ENDPOINT_SOCKET";
/// The most bytes of a response; gRPC's own default.
pub const MAX_RESPONSE: usize = 4 << 20;
/// The most identities in a response.
pub const MAX_SVIDS: usize = 64;
/// How long the agent may take to be reached and to answer.
pub const FIRST_ANSWER: Duration = Duration::from_secs(30);
/// The first pause between two calls.
pub const MIN_PAUSE: Duration = Duration::from_millis(200);
/// The longest pause between two calls.
pub const MAX_PAUSE: Duration = Duration::from_secs(10);

/// The Workload API of an agent on this host; see the [module](self).
///
/// As in a configuration, where each member may be left out:
///
/// ```
/// use zt_mtls::spire::Spire;
///
/// let text = r#"{"endpoint": "unix:///run/spire/agent.sock", "hint": "internal"}"#;
/// let spire: Spire = serde_json::from_str(text)?;
/// # let _ = spire;
/// # Ok::<_, serde_json::Error>(())
/// ```
#[derive(Clone, Deserialize)]
#[serde(try_from = "config::Written")]
pub struct Spire {
    endpoint: Endpoint,
    over_network: bool,
    choice: Choice,
    patience: Option<Duration>,
    provider: Arc<CryptoProvider>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

/// Which identity of several.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Choice {
    First,
    Hint(Arc<str>),
    Id(SpiffeId),
}

impl Spire {
    /// The agent at the address that `SPIFFE_ENDPOINT_SOCKET` has.
    ///
    /// # Errors
    ///
    /// When the variable is not set, or is no such address.
    pub fn from_env() -> Result<Self, EndpointError> {
        let value = env::var_os(ENDPOINT_VARIABLE).ok_or(EndpointError::Unset)?;
        Self::at(value.to_str().ok_or(EndpointError::Scheme)?)
    }

    /// The agent at `address`, such as `unix:///run/spire/agent.sock`.
    ///
    /// # Errors
    ///
    /// When it is no such address.
    pub fn at(address: &str) -> Result<Self, EndpointError> {
        Ok(Self {
            endpoint: Endpoint::parse(address)?,
            over_network: false,
            choice: Choice::First,
            patience: None,
            provider: Arc::new(rustls::crypto::aws_lc_rs::default_provider()),
            clock: Arc::new(SystemClock),
            entropy: Arc::new(OsEntropy),
        })
    }

    /// Of several identities, the one whose hint is this (SPIFFE_Workload_API section 5.2.1).
    #[must_use]
    pub fn hint(mut self, hint: impl Into<Arc<str>>) -> Self {
        self.choice = Choice::Hint(hint.into());
        self
    }

    /// Of several identities, this one.
    #[must_use]
    pub fn spiffe_id(mut self, id: SpiffeId) -> Self {
        self.choice = Choice::Id(id);
        self
    }

    /// How long [`connect`](Self::connect) waits for an identity. By default, for as long as it takes.
    #[must_use]
    pub const fn patience(mut self, span: Duration) -> Self {
        self.patience = Some(span);
        self
    }

    /// Lets private keys come in the clear from another host. Only where the network itself keeps
    /// everybody else from reading and from answering (SPIFFE_Workload_Endpoint section 3).
    #[must_use]
    pub const fn insecure_over_network(mut self) -> Self {
        self.over_network = true;
        self
    }

    /// With another provider of cryptography.
    #[must_use]
    pub fn provider(mut self, provider: Arc<CryptoProvider>) -> Self {
        self.provider = provider;
        self
    }

    /// With another clock.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// With another source of chance, for the pauses.
    #[must_use]
    pub fn entropy(mut self, entropy: impl Entropy) -> Self {
        self.entropy = Arc::new(entropy);
        self
    }

    /// Waits for the first identity. From then on a task replaces the credentials by each response,
    /// until the last clone of them is dropped.
    ///
    /// # Errors
    ///
    /// When the agent says that asking is of no use, when there was no identity within the
    /// [patience](Self::patience), or when the address is another host's.
    pub async fn connect(self) -> Result<Credentials, SpireError> {
        if !self.over_network && !self.endpoint.is_this_host() {
            return Err(SpireError::OverNetwork(self.endpoint.to_string().into()));
        }
        follow::connect(Arc::new(self)).await
    }
}

impl fmt::Debug for Spire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spire")
            .field("endpoint", &self.endpoint)
            .field("choice", &self.choice)
            .finish_non_exhaustive()
    }
}
