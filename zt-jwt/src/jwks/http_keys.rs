use std::{
    fmt,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{
    HeaderValue, Request, StatusCode, Uri,
    header::{ACCEPT, ETAG, IF_NONE_MATCH},
};
use http_body_util::Full;
use serde::Deserialize;

use super::{FetchError, FetchRequest, Fetched, KeySource, Validator, freshness::fresh_for};
use crate::{
    http::{Answer, EndpointError, HttpError, HttpService, endpoint},
    jose::json::is_strict_object,
};

/// Keys that are fetched over HTTP, from a known address or one that the issuer's metadata names.
pub struct HttpKeys {
    http: HttpService,
    place: Place,
}

enum Place {
    Known(Uri),
    Named(Box<Metadata>),
}

impl HttpKeys {
    /// From `jwks_url`.
    ///
    /// # Errors
    ///
    /// Where it is not an https address; plain http is for this machine only.
    pub fn jwks(jwks_url: &str, http: HttpService) -> Result<Self, EndpointError> {
        let place = Place::Known(endpoint(jwks_url, false)?);
        Ok(Self { http, place })
    }

    /// From the `jwks_uri` of the metadata of `issuer`, which is read again every hour, and
    /// whenever a fetch came to nothing.
    ///
    /// # Errors
    ///
    /// Where `issuer` is not an https address, or has a query or a fragment; plain http is for this
    /// machine only.
    pub fn oidc(issuer: &str, http: HttpService) -> Result<Self, EndpointError> {
        let place = Place::Named(Box::new(Metadata::of(issuer)?));
        Ok(Self { http, place })
    }

    async fn ask(&self, uri: Uri, request: &FetchRequest) -> Result<Fetched, FetchError> {
        let place = uri.to_string();
        // A tag of another place would ask this one about something that it never gave.
        let tag = request.known.as_ref().and_then(|it| it.tag_of(&place));
        let tag = tag.and_then(|tag| HeaderValue::from_bytes(tag).ok());
        let asked_with_tag = tag.is_some();

        let answer = get(&self.http, uri, JWKS_TYPES, tag, request).await?;
        let fresh_for = fresh_for(&answer.headers);
        match answer.status {
            // Only where something was asked that it could be an answer to.
            StatusCode::NOT_MODIFIED if asked_with_tag => Ok(Fetched::Unchanged { fresh_for }),
            StatusCode::OK => Ok(Fetched::New {
                validator: answer
                    .headers
                    .get(ETAG)
                    .filter(|tag| tag.len() <= MAX_TAG)
                    .map(|tag| Validator::new(&place, tag.as_bytes())),
                body: answer.body,
                fresh_for,
            }),
            other => Err(HttpError::Status(other).into()),
        }
    }
}

impl KeySource for HttpKeys {
    fn fetch(&self, request: FetchRequest) -> BoxFuture<'_, Result<Fetched, FetchError>> {
        Box::pin(async move {
            let uri = match &self.place {
                Place::Known(uri) => uri.clone(),
                Place::Named(metadata) => metadata.jwks_uri(&self.http, &request).await?,
            };
            self.ask(uri, &request).await
        })
    }
}

/// Where it asks, without a query, which may hold a secret.
impl fmt::Debug for HttpKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Known(uri) => {
                let (scheme, authority) = (uri.scheme_str(), uri.authority());
                write!(
                    f,
                    "HttpKeys({}://{}{})",
                    scheme.unwrap_or_default(),
                    authority.map_or("", |authority| authority.as_str()),
                    uri.path()
                )
            }
            Place::Named(metadata) => write!(f, "HttpKeys(keys of {})", metadata.issuer),
        }
    }
}

/// The metadata of an issuer (OpenID Connect Discovery 1.0 section 4, RFC 8414 section 3).
struct Metadata {
    issuer: Box<str>,
    /// Where it may stand, in the order in which the places are asked.
    documents: [Uri; 2],
    read: Mutex<Option<Read>>,
}

struct Read {
    jwks_uri: Uri,
    at: Duration,
}

/// Everything else that metadata says is of no use here.
#[derive(Deserialize)]
struct Document {
    issuer: String,
    jwks_uri: String,
}

impl Metadata {
    fn of(issuer: &str) -> Result<Self, EndpointError> {
        let uri = endpoint(issuer, false)?;
        // RFC 8414 section 2: an issuer has neither query nor fragment.
        let (None, Some(scheme), Some(authority)) = (uri.query(), uri.scheme(), uri.authority())
        else {
            return Err(EndpointError(issuer.split('?').next().unwrap_or("").into()));
        };
        // Both standards take a slash at the end of the path away. The one puts its well-known
        // place behind the path (Discovery section 4.1), the other before it (RFC 8414 section 3.1).
        let path = uri.path().strip_suffix('/').unwrap_or(uri.path());
        let document = |place: String| {
            let uri = format!("{scheme}://{authority}{place}").parse();
            uri.map_err(|_| EndpointError(issuer.into()))
        };
        Ok(Self {
            issuer: issuer.into(),
            documents: [
                document(format!("{path}/.well-known/openid-configuration"))?,
                document(format!("/.well-known/oauth-authorization-server{path}"))?,
            ],
            read: Mutex::default(),
        })
    }

    /// Where the keys are, as it was read less than an hour ago, or is read now.
    ///
    /// Metadata that cannot be read again fails the fetch: an address that nobody vouches for any
    /// more is not asked, and the keys that are there do for as long as they are not too old.
    async fn jwks_uri(
        &self,
        http: &HttpService,
        request: &FetchRequest,
    ) -> Result<Uri, FetchError> {
        let now = request.clock.monotonic();
        let remembered = self
            .lock()
            .as_ref()
            .filter(|read| !request.retrying && now.saturating_sub(read.at) < REREAD)
            .map(|read| read.jwks_uri.clone());
        if let Some(uri) = remembered {
            return Ok(uri);
        }
        let jwks_uri = self.read(http, request).await?;
        *self.lock() = Some(Read {
            jwks_uri: jwks_uri.clone(),
            at: now,
        });
        Ok(jwks_uri)
    }

    async fn read(&self, http: &HttpService, request: &FetchRequest) -> Result<Uri, FetchError> {
        let [openid, oauth] = &self.documents;
        let mut answer = get(http, openid.clone(), JSON, None, request).await?;
        if answer.status == StatusCode::NOT_FOUND {
            answer = get(http, oauth.clone(), JSON, None, request).await?;
        }
        if answer.status != StatusCode::OK {
            return Err(HttpError::Status(answer.status).into());
        }
        self.judge(&answer.body)
    }

    fn judge(&self, body: &[u8]) -> Result<Uri, FetchError> {
        let unusable = |why: &str| FetchError::from(HttpError::Unusable(why.into()));
        // Of two `issuer`s, somebody else might believe the other one.
        if !is_strict_object(body) {
            return Err(unusable(
                "the metadata is not a JSON object with unique members",
            ));
        }
        let document: Document = serde_json::from_slice(body)
            .map_err(|_| unusable("the metadata does not name an issuer and its `jwks_uri`"))?;
        // RFC 8414 section 3.3: identical, or the metadata is not used.
        if document.issuer != *self.issuer {
            let found: String = document.issuer.chars().take(MAX_SHOWN).collect();
            return Err(FetchError::OtherIssuer {
                found: found.into(),
            });
        }
        let uri = endpoint(&document.jwks_uri, false)
            .map_err(|_| unusable("`jwks_uri` is not an address that may be asked"))?;
        // Plain http to this machine is for issuers on this machine; one out there does not get
        // to name what listens here.
        let [own, _] = &self.documents;
        if uri.scheme() != own.scheme() && uri.scheme() != Some(&http::uri::Scheme::HTTPS) {
            return Err(unusable("`jwks_uri` is not https, and the issuer is"));
        }
        Ok(uri)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Read>> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn get(
    http: &HttpService,
    uri: Uri,
    accept: HeaderValue,
    tag: Option<HeaderValue>,
    request: &FetchRequest,
) -> Result<Answer, HttpError> {
    let mut asked = Request::new(Full::<Bytes>::default());
    *asked.uri_mut() = uri;
    asked.headers_mut().insert(ACCEPT, accept);
    if let Some(tag) = tag {
        asked.headers_mut().insert(IF_NONE_MATCH, tag);
    }
    let (limit, deadline) = (request.max_bytes, request.deadline);
    http.send(asked, limit, deadline, &*request.clock).await
}

const JWKS_TYPES: HeaderValue =
    HeaderValue::from_static("application/jwk-set+json, application/json");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// How long metadata is believed.
const REREAD: Duration = Duration::from_secs(3_600);
/// The longest entity tag that is kept, in bytes.
const MAX_TAG: usize = 1_024;
/// How much of a foreign issuer's name goes into an error.
const MAX_SHOWN: usize = 256;
