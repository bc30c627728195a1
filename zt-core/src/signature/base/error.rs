//! What goes wrong, in words.

/// Why there is no signature base, or why a component, a label or a parameter cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BaseError {
    /// `;tr`: intermediaries may drop trailers.
    #[error("components of trailers are not supported")]
    Trailer,
    /// Not one string with parameters.
    #[error("the component identifier does not parse")]
    Identifier,
    /// Neither a lower-case field name nor the name of a derived component.
    #[error("the component name is no lower-case field name")]
    Name,
    /// A name with `@` that is in no standard.
    #[error("the derived component is unknown")]
    UnknownDerived,
    /// `@signature-params` is the end of every base and no component (RFC 9421 section 2.3).
    #[error("`@signature-params` is listed as a component")]
    SignatureParamsListed,
    /// A parameter of a component that is not understood (RFC 9421 section 2.5).
    #[error("a component has an unknown parameter")]
    UnknownParameter,
    /// `;key` or `;name` that is no string, a flag that has a value.
    #[error("a component parameter has a value of the wrong type")]
    ParameterValue,
    /// A parameter twice; which of the two is meant depends on the reader.
    #[error("a component has a parameter twice")]
    ParameterRepeated,
    /// `;name` elsewhere than at `@query-param`; `;sf`, `;key` and `;bs` of a derived component.
    #[error("a component has a parameter that does not apply to it")]
    ParameterNotApplicable,
    /// `;bs` together with `;sf` or `;key`.
    #[error("a component has parameters that exclude one another")]
    IncompatibleParameters,
    /// `@query-param` without `;name`.
    #[error("`@query-param` has no `name`")]
    QueryParamWithoutName,
    /// One identifier twice, in whatever order its parameters stand.
    #[error("a component is listed twice")]
    DuplicateComponent,
    /// `;req` in the signature of a request.
    #[error("`;req` in the signature of a request")]
    ReqInRequest,
    /// `;req`, and the request is not known.
    #[error("the request that this response answers is not known")]
    RequestNotKnown,
    /// A component of a request without `;req` in the signature of a response.
    #[error("a component of a request in the signature of a response")]
    RequestComponentInResponse,
    /// `@status` of a request.
    #[error("`@status` of a request")]
    StatusInRequest,
    /// The message has no such field.
    #[error("the field is absent")]
    FieldAbsent,
    /// `;sf` or `;key` of a field whose type is not in [`FieldTypes`](super::FieldTypes).
    #[error("the structured type of the field is not known")]
    FieldTypeUnknown,
    /// `;key` of a field that is no dictionary.
    #[error("the field is not a dictionary")]
    NotADictionary,
    /// `;sf` or `;key` of a value that is not what its type says.
    #[error("the value of the field does not parse")]
    FieldValue,
    /// `;key` of a member that is not there.
    #[error("the dictionary has no such member")]
    KeyAbsent,
    /// `@query-param` of a name that the query has not.
    #[error("the query has no such parameter")]
    QueryParamAbsent,
    /// `@query-param` of a name that the query has more than once.
    #[error("the query has the parameter more than once")]
    QueryParamRepeated,
    /// A value that decodes to no UTF-8: the standard would have several of them look alike.
    #[error("the query parameter is not UTF-8")]
    QueryParamEncoding,
    /// No authority, or what cannot be one, or one with a user.
    #[error("the authority is not a host with an optional port")]
    Authority,
    /// `*` and the target of `CONNECT` have no path.
    #[error("the request target has no path")]
    NoPath,
    /// A target that only `CONNECT` may have.
    #[error("the request target does not suit the method")]
    RequestTarget,
    /// A value with bytes outside of ASCII, or with a line end in it (RFC 9421 section 2.5).
    #[error("the signature base is not ASCII")]
    NotAscii,
    /// More than 64 KiB to parse: many components, each a part of one long field or query.
    #[error("the components have too much to be parsed")]
    TooLarge,
    /// A parameter of a signature that no structured string can hold.
    #[error("a parameter is not printable ASCII")]
    ParameterNotAscii,
    /// A label or a member that no structured dictionary can have.
    #[error("not a key of a structured dictionary")]
    Key,
}

/// Why `Signature-Input` and `Signature` cannot be read. All of them are `credential-malformed`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FieldError {
    /// More bytes, signatures, components or parameters than are read.
    #[error("the signature fields are too large")]
    TooLarge,
    /// Not a dictionary (RFC 9651 section 3.2).
    #[error("a signature field is not a dictionary")]
    NotADictionary,
    /// The field is there and has no member.
    #[error("a signature field is empty")]
    Empty,
    /// A label twice in one field; which of the two is meant depends on the reader.
    #[error("a label occurs twice")]
    DuplicateLabel,
    /// A member of `Signature-Input` that is no inner list.
    #[error("a member of `Signature-Input` is not an inner list")]
    NotAnInnerList,
    /// A component that is no string.
    #[error("a component is not a string")]
    ComponentNotString,
    /// `created` or `expires` that is no integer; `nonce`, `alg`, `keyid` or `tag` that is no string.
    #[error("a signature parameter is of the wrong type")]
    ParameterType,
    /// A parameter of a signature or of a component twice; which of the two is meant depends on the
    /// reader.
    #[error("a parameter occurs twice")]
    ParameterRepeated,
    /// A member of `Signature` that is no byte sequence.
    #[error("a member of `Signature` is not a byte sequence")]
    NotBytes,
    /// `Signature` without `Signature-Input`.
    #[error("`Signature` without `Signature-Input`")]
    InputAbsent,
    /// `Signature-Input` without `Signature`.
    #[error("`Signature-Input` without `Signature`")]
    SignatureAbsent,
    /// A label of `Signature` that `Signature-Input` has not.
    #[error("a label of `Signature` is not in `Signature-Input`")]
    LabelWithoutInput,
    /// A label of `Signature-Input` that `Signature` has not.
    #[error("a label of `Signature-Input` is not in `Signature`")]
    LabelWithoutSignature,
    /// What `Accept-Signature` asks for cannot be covered.
    #[error("a component cannot be covered: {0}")]
    Component(BaseError),
}
