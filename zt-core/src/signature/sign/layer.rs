use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderName, Request, Response, request};
use http_body::Body;
use tower_layer::Layer;
use tower_service::Service;

use super::{
    CannotSign, NamedKey, SignConfigError, SignError, SignFuture, SigningKeys, maker::Maker,
    signer_settings, target::Target,
};
use crate::{
    body::{BoxError, CollectLimits},
    signature::{
        base::{Component, Message, UrlScheme},
        key::SigningKey,
    },
};

/// Signs the requests that a client sends; see the [module](super). Cheap to clone.
#[derive(Debug, Clone)]
pub struct SignRequestLayer(pub(super) Arc<Settings>);

/// The service that [`SignRequestLayer`] makes of `S`.
#[derive(Debug, Clone)]
pub struct SignRequest<S> {
    pub(super) inner: S,
    pub(super) layer: SignRequestLayer,
}

#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) maker: Maker,
    components: Vec<Component>,
    /// Whether requests without a body have the digest of nothing.
    always_digest: bool,
    relative: UrlScheme,
    pub(super) limits: CollectLimits,
}

signer_settings!(SignRequestLayer);

impl SignRequestLayer {
    /// Signs with `key`, which the called service knows as `keyid`.
    ///
    /// # Errors
    ///
    /// Where `keyid` is empty or has other than visible ASCII and spaces.
    pub fn new(key: SigningKey, keyid: &str) -> Result<Self, SignConfigError> {
        Ok(Self::with_keys(Arc::new(NamedKey::new(key, keyid)?)))
    }

    /// Signs with the key that `keys` say at the time, such as a
    /// [`RotatingSigner`](super::RotatingSigner).
    pub fn with_keys(keys: impl SigningKeys) -> Self {
        Self(Arc::new(Settings {
            maker: Maker::new(Arc::new(keys)),
            components: vec![
                Component::METHOD,
                Component::AUTHORITY,
                Component::PATH,
                Component::QUERY,
            ],
            always_digest: false,
            relative: UrlScheme::Https,
            limits: CollectLimits {
                bytes: 1024 * 1024,
                deadline: Duration::from_secs(30),
            },
        }))
    }

    /// Also covers `component`, after those that always are. A request that does not have it is not
    /// sent.
    ///
    /// # Errors
    ///
    /// Where it is covered already, is a field that the signature changes, or belongs to a response.
    pub fn cover(mut self, component: Component) -> Result<Self, SignConfigError> {
        self.add(component, None)?;
        Ok(self)
    }

    /// Also covers the field `name` of requests that have it.
    ///
    /// # Errors
    ///
    /// As [`cover`](Self::cover).
    pub fn also_if_present(mut self, name: HeaderName) -> Result<Self, SignConfigError> {
        let component = Component::field(name.as_str())
            .map_err(|_| SignConfigError::Component(name.as_str().into()))?;
        self.add(component, Some(name))?;
        Ok(self)
    }

    /// The scheme of requests whose URI does not say one, https otherwise: it tells which port goes
    /// without saying.
    #[must_use]
    pub fn relative_scheme(mut self, scheme: UrlScheme) -> Self {
        self.settings().relative = scheme;
        self
    }

    /// Signs the request of `parts`, as the layer does, for clients that are no tower services.
    ///
    /// `body` is the whole content, `None` where there is none. The request must be sent as it is
    /// now, to where its URI says, and once: each attempt is signed anew.
    ///
    /// # Errors
    ///
    /// Where it cannot be signed; it must not be sent then.
    pub fn sign(&self, parts: &mut request::Parts, body: Option<&Bytes>) -> Result<(), CannotSign> {
        self.sign_with(parts, body.map(AsRef::as_ref))
    }

    pub(super) fn sign_with(
        &self,
        parts: &mut request::Parts,
        body: Option<&[u8]>,
    ) -> Result<(), CannotSign> {
        let Settings {
            maker,
            components,
            always_digest,
            relative,
            ..
        } = &*self.0;
        maker.check_room(&parts.headers)?;
        // First where it goes, which costs least.
        Target::of_client(&parts.uri, &parts.headers, *relative)?;
        let mut covered = components.clone();
        let nothing: Option<&[u8]> = always_digest.then_some(&[]);
        if maker.digest(&mut parts.headers, body.or(nothing))? {
            covered.push(Component::CONTENT_DIGEST);
        }
        covered.extend(maker.further(&parts.headers));
        let target = Target::of_client(&parts.uri, &parts.headers, *relative)?;
        let message = target.message(&parts.method, &parts.uri, &parts.headers);
        let made = maker.make(covered, &Message::Request(message))?;
        made.attach(&mut parts.headers)
    }

    fn add(
        &mut self,
        component: Component,
        only_with: Option<HeaderName>,
    ) -> Result<(), SignConfigError> {
        of_a_request(&component)?;
        let Settings {
            maker, components, ..
        } = self.settings();
        maker.cover(component, only_with, components)
    }

    /// Also covers `component`, whether it is covered already or not.
    pub(super) fn require(&mut self, component: Component) -> Result<(), SignConfigError> {
        of_a_request(&component)?;
        let settings = self.settings();
        if component.as_str() == "\"content-digest\"" {
            settings.always_digest = true;
            return Ok(());
        }
        settings.maker.require(component, &settings.components)
    }

    pub(super) fn settings(&mut self) -> &mut Settings {
        Arc::make_mut(&mut self.0)
    }
}

/// RFC 9421 sections 2.2.9 and 2.4: a request has no status, and answers nothing.
fn of_a_request(component: &Component) -> Result<(), SignConfigError> {
    // A name, or what is quoted as a parameter's value, may have any letters.
    let answers = component.clone().req() == *component;
    if *component == Component::STATUS || answers {
        return Err(SignConfigError::Component(component.as_str().into()));
    }
    Ok(())
}

impl<S> Layer<S> for SignRequestLayer {
    type Service = SignRequest<S>;

    fn layer(&self, inner: S) -> SignRequest<S> {
        SignRequest {
            inner,
            layer: self.clone(),
        }
    }
}

impl<S, B, R> Service<Request<B>> for SignRequest<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
    B: Body<Data = Bytes> + From<Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<R>;
    type Error = SignError<S::Error>;
    type Future = SignFuture<S, B>;

    fn poll_ready(&mut self, task: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(task).map_err(SignError::Inner)
    }

    fn call(&mut self, request: Request<B>) -> SignFuture<S, B> {
        let (mut parts, body) = request.into_parts();
        if !body.is_end_stream() {
            // The one that was asked whether it is ready is the one that is called later.
            let clone = self.inner.clone();
            let ready = std::mem::replace(&mut self.inner, clone);
            return SignFuture::reading(self.layer.clone(), ready, parts, body);
        }
        match self.layer.sign_with(&mut parts, None) {
            Ok(()) => SignFuture::sent(self.inner.call(Request::from_parts(parts, body))),
            Err(why) => SignFuture::refused(why),
        }
    }
}
