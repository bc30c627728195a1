//! What is signed: a request or a response.

use http::{Method, StatusCode, Uri, Version};

use super::{
    component::Component,
    error::BaseError,
    fields::{Fields, is_line},
    identifier::{BS, Identifier, KEY, Kind, REQ, SF},
    types::FieldTypes,
};

/// The scheme of the URL that a client sees; a server behind a proxy that terminates TLS has to be
/// told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UrlScheme {
    /// `http`, whose port is 80.
    Http,
    /// `https`, whose port is 443.
    #[default]
    Https,
}

impl UrlScheme {
    /// `http` or `https`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// A request as its client sent it.
#[derive(Debug, Clone, Copy)]
pub struct RequestMessage<'a> {
    /// `@method`.
    pub method: &'a Method,
    /// The target as it first came: origin-form with HTTP/1.1, whole with HTTP/2. A client that hands
    /// a whole URL to an HTTP/1.1 connection sends only path and query: it gives those here, where
    /// `@request-target` is covered.
    pub uri: &'a Uri,
    /// Which of the two it is.
    pub version: Version,
    /// `@scheme`.
    pub scheme: UrlScheme,
    /// The host, and the port where one was named, as written; `@authority` is its normal form.
    pub authority: &'a str,
    /// The fields.
    pub fields: Fields<'a>,
}

/// A response, and the request that it answers.
#[derive(Debug, Clone, Copy)]
pub struct ResponseMessage<'a> {
    /// `@status`.
    pub status: StatusCode,
    /// The fields.
    pub fields: Fields<'a>,
    /// What `;req` is about.
    pub request: Option<RequestMessage<'a>>,
}

/// What is signed.
#[derive(Debug, Clone, Copy)]
pub enum Message<'a> {
    /// A request.
    Request(RequestMessage<'a>),
    /// A response.
    Response(ResponseMessage<'a>),
}

impl Message<'_> {
    /// The value of one component.
    ///
    /// # Errors
    ///
    /// Where the message has not what is named, or it cannot be said in one way only.
    pub fn component(
        &self,
        component: &Component,
        types: &FieldTypes,
    ) -> Result<String, BaseError> {
        let mut value = Vec::new();
        self.write(&component.identifier()?, types, &mut value)?;
        String::from_utf8(value).map_err(|_| BaseError::NotAscii)
    }

    /// Writes the value of `component`, one line of ASCII, to the end of `out`.
    pub(super) fn write(
        &self,
        component: &Identifier<'_>,
        types: &FieldTypes,
        out: &mut Vec<u8>,
    ) -> Result<(), BaseError> {
        let start = out.len();
        match (self, component.has(REQ)) {
            (Self::Request(_), true) => return Err(BaseError::ReqInRequest),
            (Self::Request(request), false) => request.write(component, types, out)?,
            (Self::Response(response), true) => {
                let request = response
                    .request
                    .as_ref()
                    .ok_or(BaseError::RequestNotKnown)?;
                request.write(component, types, out)?;
            }
            (Self::Response(response), false) => response.write(component, types, out)?,
        }
        // RFC 9421 section 2.5: no base with anything else than ASCII, or with a line that is none.
        let value = out.get(start..).unwrap_or_default();
        if !is_line(value) {
            return Err(BaseError::NotAscii);
        }
        Ok(())
    }
}

impl Message<'_> {
    /// How many bytes of the message have to be parsed for `component`. A plain field is copied, and
    /// only once.
    pub(super) fn parsed_for(&self, component: &Identifier<'_>) -> usize {
        let (request, fields) = match self {
            Self::Request(request) => (Some(request), request.fields),
            Self::Response(response) => match &response.request {
                Some(request) if component.has(REQ) => (Some(request), request.fields),
                _ => (None, response.fields),
            },
        };
        match component.kind {
            Kind::Field if component.has(SF | BS | KEY) => {
                let lengths = fields.lines(component.name).map(<[u8]>::len);
                lengths.fold(0, usize::saturating_add)
            }
            Kind::QueryParam => {
                let query = request.and_then(|request| request.uri.query());
                query.map_or(0, str::len)
            }
            _ => 0,
        }
    }
}

impl RequestMessage<'_> {
    fn write(
        &self,
        component: &Identifier<'_>,
        types: &FieldTypes,
        out: &mut Vec<u8>,
    ) -> Result<(), BaseError> {
        match component.kind {
            Kind::Field => self.fields.write(component, types, out),
            _ => self.write_derived(component, out),
        }
    }
}

impl ResponseMessage<'_> {
    fn write(
        &self,
        component: &Identifier<'_>,
        types: &FieldTypes,
        out: &mut Vec<u8>,
    ) -> Result<(), BaseError> {
        match component.kind {
            Kind::Field => self.fields.write(component, types, out),
            Kind::Status => {
                out.extend_from_slice(self.status.as_str().as_bytes());
                Ok(())
            }
            _ => Err(BaseError::RequestComponentInResponse),
        }
    }
}
