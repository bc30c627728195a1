//! Tokens from an issuer's token endpoint.

mod assertion;
mod authentication;
mod config;
mod response;

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{
    HeaderValue, Method, Request, Uri,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE},
};
use http_body_util::Full;
use zt_core::{
    clock::Clock,
    random::{Entropy, OsEntropy},
};

use self::authentication::{Prepared, form};
#[cfg(test)]
pub(super) use self::response::{Granted, granted};
pub use self::{authentication::ClientAuthentication, config::ClientCredentialsConfig};
use super::{AttachableToken, ConfigError, SourceError, TokenSource};
use crate::http::{HttpService, endpoint, without_secrets};

/// Tokens that an issuer gives to this client itself (RFC 6749 section 4.4).
///
/// The endpoint is https or on this machine, and a redirect is not followed. An answer is used when
///
/// 1. its status is 200, its type `application/json`, it has at most 16 KiB and arrives in time;
/// 2. it is a JSON object whose members are unique at any depth;
/// 3. `token_type` is `Bearer`, in whatever case (RFC 6749 section 5.1);
/// 4. `access_token` has the characters of one (RFC 6750 section 2.1);
/// 5. `expires_in` is a whole number of seconds, from 1 to those of 366 days; where it is missing,
///    [`assume_lifetime_seconds`](ClientCredentialsConfig::assume_lifetime_seconds) was configured.
///
/// The token's time counts from before the request was sent. Of an error only its known `error`
/// code is kept. That the granted scope is the requested one is for the called services to say.
pub struct ClientCredentials {
    endpoint: Uri,
    prepared: Prepared,
    /// The form, as far as it is the same each time.
    form: Bytes,
    assume: Option<Duration>,
    deadline: Duration,
    http: HttpService,
    entropy: Arc<dyn Entropy>,
}

/// The largest answer.
const MAX_ANSWER: usize = 16 * 1024;

impl ClientCredentials {
    /// Asks as `config` says, through `http`.
    ///
    /// # Errors
    ///
    /// Where the configuration does not make sense.
    pub fn new(config: ClientCredentialsConfig, http: HttpService) -> Result<Self, ConfigError> {
        config.check()?;
        let address =
            endpoint(&config.token_endpoint, false).map_err(|_| ConfigError::TokenEndpoint)?;
        let mut fields = vec![("grant_type", "client_credentials".to_owned())];
        if !config.scopes.is_empty() {
            fields.push(("scope", config.scopes.join(" ")));
        }
        // RFC 8707 section 2: one parameter for each.
        fields.extend(config.resources.iter().map(|uri| ("resource", uri.clone())));
        fields.extend(config.audience.clone().map(|name| ("audience", name)));
        let fields: Vec<_> = fields
            .iter()
            .map(|(name, value)| (*name, value.as_bytes()))
            .collect();
        Ok(Self {
            form: Bytes::from_owner(form(&fields)),
            prepared: Prepared::new(&config)?,
            endpoint: address,
            assume: config.assume_lifetime_seconds.map(seconds),
            deadline: seconds(config.deadline_seconds),
            http,
            entropy: Arc::new(OsEntropy),
        })
    }

    /// Another source of randomness, for the ids of assertions.
    #[must_use]
    pub fn with_entropy(mut self, entropy: impl Entropy) -> Self {
        self.entropy = Arc::new(entropy);
        self
    }

    fn request(&self, clock: &dyn Clock) -> Result<Request<Full<Bytes>>, SourceError> {
        let credential = self.prepared.credential(clock, &*self.entropy)?;
        let body = match credential.form {
            None => self.form.clone(),
            Some(form) => joined(&self.form, &form),
        };
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        request.uri_mut().clone_from(&self.endpoint);
        let headers = request.headers_mut();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        headers.insert(CONTENT_TYPE, form);
        if let Some(value) = credential.authorization {
            headers.insert(AUTHORIZATION, value);
        }
        Ok(request)
    }
}

impl TokenSource for ClientCredentials {
    fn fetch<'a>(
        &'a self,
        clock: &'a dyn Clock,
    ) -> BoxFuture<'a, Result<AttachableToken, SourceError>> {
        Box::pin(async move {
            // Its time runs from when the issuer made it, which is after this.
            let asked = clock.now()?;
            let request = self.request(clock)?;
            let answer = self
                .http
                .send(request, MAX_ANSWER, self.deadline, clock)
                .await?;
            let granted = response::granted(&answer)?;
            let good = granted
                .expires_in
                .or(self.assume)
                .ok_or(SourceError::Unusable(
                    "the issuer does not say how long the token is good",
                ))?;
            Ok(granted.token.expiring(asked + good))
        })
    }
}

impl fmt::Debug for ClientCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientCredentials")
            .field("endpoint", &without_secrets(&self.endpoint.to_string()))
            .field("authentication", &self.prepared)
            .finish_non_exhaustive()
    }
}

fn seconds(seconds: u32) -> Duration {
    Duration::from_secs(seconds.into())
}

fn joined(first: &[u8], second: &[u8]) -> Bytes {
    let mut all = zeroize::Zeroizing::new(Vec::with_capacity(first.len() + 1 + second.len()));
    all.extend_from_slice(first);
    all.push(b'&');
    all.extend_from_slice(second);
    Bytes::from_owner(all)
}
