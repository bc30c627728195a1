use futures_util::future::BoxFuture;

use super::{FetchError, Fetched, KeySource, Validator};
use crate::http::{EndpointError, HttpService};

/// Keys that are fetched over HTTP, from a known address or one that the issuer's metadata names.
#[derive(Debug)]
pub struct HttpKeys {
    _http: HttpService,
}

impl HttpKeys {
    /// From `jwks_url`.
    ///
    /// # Errors
    ///
    /// Where it is not an https address; plain http is for this machine only.
    pub fn jwks(_jwks_url: &str, http: HttpService) -> Result<Self, EndpointError> {
        Ok(Self { _http: http })
    }

    /// From the `jwks_uri` of the metadata of `issuer`.
    ///
    /// # Errors
    ///
    /// Where `issuer` is not an https address; plain http is for this machine only.
    pub fn oidc(_issuer: &str, http: HttpService) -> Result<Self, EndpointError> {
        Ok(Self { _http: http })
    }
}

impl KeySource for HttpKeys {
    fn fetch(&self, _known: Option<Validator>) -> BoxFuture<'_, Result<Fetched, FetchError>> {
        unimplemented!()
    }
}
