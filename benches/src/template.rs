use axum::body::Body;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Uri, header, request::Parts};

/// A request that is cloned for each call.
#[derive(Debug, Clone)]
pub struct Template {
    parts: Parts,
    body: Bytes,
}

impl Template {
    /// `GET path` with three headers, as the peers' baseline has it.
    #[must_use]
    pub fn get(path: &'static str) -> Self {
        let (mut parts, ()) = Request::new(()).into_parts();
        parts.uri = Uri::from_static(path);
        let headers = [
            (header::HOST, "shop.example"),
            (header::USER_AGENT, "bench/1.0"),
            (header::ACCEPT, "*/*"),
        ];
        for (name, value) in headers {
            parts.headers.insert(name, HeaderValue::from_static(value));
        }
        Self {
            parts,
            body: Bytes::new(),
        }
    }

    /// Another method.
    #[must_use]
    pub fn method(mut self, method: Method) -> Self {
        self.parts.method = method;
        self
    }

    /// One more header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.parts.headers.insert(name, value);
        self
    }

    /// An extension, as a server or an outer layer would put it there.
    #[must_use]
    pub fn extension<T: Clone + Send + Sync + 'static>(mut self, value: T) -> Self {
        self.parts.extensions.insert(value);
        self
    }

    /// A body, handed over in one piece.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// A request.
    #[must_use]
    pub fn request(&self) -> Request<Body> {
        let body = if self.body.is_empty() {
            Body::empty()
        } else {
            Body::from(self.body.clone())
        };
        Request::from_parts(self.parts.clone(), body)
    }
}
