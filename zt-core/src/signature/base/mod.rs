//! The signature base (RFC 9421 section 2): from a message, and from what `Signature-Input` says is
//! covered, to the bytes that are signed. Types of `http` only; nothing here decides anything.

use std::{fmt, str::FromStr};

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, Version};

/// `Signature-Input` (RFC 9421 section 4.1).
pub const SIGNATURE_INPUT: HeaderName = HeaderName::from_static("signature-input");
/// `Signature` (RFC 9421 section 4.2).
pub const SIGNATURE: HeaderName = HeaderName::from_static("signature");
/// `Accept-Signature` (RFC 9421 section 5.1).
pub const ACCEPT_SIGNATURE: HeaderName = HeaderName::from_static("accept-signature");

/// The field lines of a message, together with those that were taken off it.
#[derive(Debug, Clone, Copy)]
pub struct Fields<'a> {
    pub(super) headers: &'a HeaderMap,
    pub(super) stripped: &'a [(HeaderName, HeaderValue)],
}

impl<'a> Fields<'a> {
    /// The fields of `headers`.
    #[must_use]
    pub const fn new(headers: &'a HeaderMap) -> Self {
        Self {
            headers,
            stripped: &[],
        }
    }

    /// With `stripped`, which stood in the message when it was signed.
    #[must_use]
    pub const fn with_stripped(mut self, stripped: &'a [(HeaderName, HeaderValue)]) -> Self {
        self.stripped = stripped;
        self
    }
}

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

/// A request as its client sent it.
#[derive(Debug, Clone, Copy)]
pub struct RequestMessage<'a> {
    /// `@method`.
    pub method: &'a Method,
    /// The target as it first came: origin-form with HTTP/1.1, whole with HTTP/2.
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

/// What a structured field is (RFC 9651 section 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StructuredType {
    /// An item.
    Item,
    /// A list.
    List,
    /// A dictionary.
    Dictionary,
}

/// Which fields are structured, and as what: `;sf` and `;key` of a field that is not named here are
/// refused (RFC 9421 section 2.1.1).
#[derive(Debug, Clone)]
pub struct FieldTypes(());

impl Default for FieldTypes {
    /// The fields of RFCs that are structured.
    fn default() -> Self {
        unimplemented!()
    }
}

impl FieldTypes {
    /// Also `name`.
    #[must_use]
    pub fn with(self, name: HeaderName, kind: StructuredType) -> Self {
        unimplemented!()
    }
}

/// A component identifier (RFC 9421 section 2): a name and its parameters.
///
/// ```text
/// Component::METHOD, Component::field("date")?, Component::query_param("pet"),
/// r#""content-digest";req"#.parse()?
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Component(());

impl Component {
    /// A field of the message.
    ///
    /// # Errors
    ///
    /// Where `name` is not a lower-case field name.
    pub fn field(name: &str) -> Result<Self, BaseError> {
        unimplemented!()
    }

    /// `@query-param` of `name`.
    #[must_use]
    pub fn query_param(name: &str) -> Self {
        unimplemented!()
    }

    // METHOD, AUTHORITY, PATH, QUERY, .. as constants; sf(), bs(), key(&str), req()
}

impl FromStr for Component {
    type Err = BaseError;

    fn from_str(text: &str) -> Result<Self, BaseError> {
        unimplemented!()
    }
}

impl fmt::Display for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        unimplemented!()
    }
}

/// Why there is no signature base.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BaseError {
    /// `;tr`: intermediaries may drop trailers.
    #[error("components of trailers are not supported")]
    Trailer,
    // and one variant a reason, see the rules in components.json
}

/// Why `Signature-Input` and `Signature` cannot be read. All of them are `credential-malformed`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FieldError {
    /// More bytes, signatures, components or parameters than are read.
    #[error("the signature fields are too large")]
    TooLarge,
    // not a dictionary, duplicate label, not an inner list, not bytes, one field without the other,
    // a label of one that the other has not, a parameter of the wrong type ..
}

/// How much of the signature fields is read.
#[derive(Debug, Clone, Copy)]
pub struct FieldLimits {
    /// Bytes of either field.
    pub bytes: usize,
    /// Signatures of one message.
    pub signatures: usize,
    /// Components of one signature.
    pub components: usize,
}

/// Memory for reading signatures, to be used again: what one request needed is there for the next.
#[derive(Debug, Default)]
pub struct Scratch {}

/// What a message says about its signatures.
#[derive(Debug)]
pub struct Signatures<'s>(&'s Scratch);

/// One signature of a message. Nothing that it says is proved yet.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'s>(&'s Scratch);

/// What a signature says of itself (RFC 9421 section 2.3). Unknown parameters are in the base.
#[derive(Debug, Clone, Copy, Default)]
pub struct Params<'s> {
    /// When it was made, in seconds since the epoch.
    pub created: Option<i64>,
    /// When it ends.
    pub expires: Option<i64>,
    /// A value that is used once.
    pub nonce: Option<&'s str>,
    /// The algorithm, which a key knows better.
    pub alg: Option<&'s str>,
    /// Which key.
    pub keyid: Option<&'s str>,
    /// What the signature is for.
    pub tag: Option<&'s str>,
}

impl<'s> Signatures<'s> {
    /// Reads `Signature-Input` and `Signature`; `None` where there is neither.
    ///
    /// # Errors
    ///
    /// Where they cannot be read.
    pub fn read(
        fields: Fields<'_>,
        limits: &FieldLimits,
        scratch: &'s mut Scratch,
    ) -> Result<Option<Self>, FieldError> {
        unimplemented!()
    }

    /// In the order of `Signature-Input`.
    pub fn candidates(&self) -> impl Iterator<Item = Candidate<'s>> {
        std::iter::empty()
    }
}

impl<'s> Candidate<'s> {
    /// Its label, which nothing protects.
    #[must_use]
    pub fn label(&self) -> &'s str {
        unimplemented!()
    }

    /// Its parameters.
    #[must_use]
    pub fn params(&self) -> Params<'s> {
        unimplemented!()
    }

    /// How many components are covered.
    #[must_use]
    pub fn len(&self) -> usize {
        unimplemented!()
    }

    /// Whether exactly `component` is covered.
    #[must_use]
    pub fn covers(&self, component: &Component) -> bool {
        unimplemented!()
    }

    /// The covered components, in order, in their canonical form.
    pub fn components(&self) -> impl Iterator<Item = &'s str> {
        std::iter::empty()
    }

    /// The signature.
    #[must_use]
    pub fn signature(&self) -> &'s [u8] {
        unimplemented!()
    }

    /// The components and parameters in their canonical form: the value of `@signature-params`.
    #[must_use]
    pub fn signature_params(&self) -> &'s str {
        unimplemented!()
    }

    /// Writes the signature base of `message` to the end of `out`.
    ///
    /// # Errors
    ///
    /// Where the message has not what is covered, or it cannot be said in one way only.
    pub fn write_base(
        &self,
        message: &Message<'_>,
        types: &FieldTypes,
        out: &mut Vec<u8>,
    ) -> Result<(), BaseError> {
        unimplemented!()
    }
}

/// What is to be signed: components and parameters, in the order in which they were added.
///
/// ```text
/// let input = InputBuilder::new([Component::METHOD, ..])?.created(now).keyid("k")?.nonce(..)?.build();
/// input.signature_params()  // for the field: label=..
/// input.write_base(&message, &types, &mut out)?
/// ```
#[derive(Debug, Clone)]
pub struct InputBuilder(());
