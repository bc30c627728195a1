use http::HeaderName;

use super::csp::Directive;

/// Headers that cannot be written as configured.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeadersError {
    /// Not the name of a header.
    #[error("`{0}` is not a header name")]
    Name(String),
    /// The value has bytes that cannot stand in a header.
    #[error("the value of `{0}` cannot stand in a header")]
    Value(HeaderName),
    /// The header frames or routes the message; a server writes it, not this layer.
    #[error("`{0}` belongs to the message itself and is not for this layer")]
    Framing(HeaderName),
    /// The header is forced and the layer has no value for it.
    #[error("`{0}` is to be forced and is not set")]
    NothingToForce(HeaderName),
    /// The configuration says two things about one header.
    #[error("`{0}` is configured more than once")]
    Conflict(HeaderName),
    /// There is an override of a policy that is not there.
    #[error("there is no content security policy to override")]
    NoPolicy,
    /// The content security policy is wrong.
    #[error(transparent)]
    Csp(#[from] CspError),
    /// The permissions policy is wrong.
    #[error(transparent)]
    Permissions(#[from] PermissionsError),
}

/// A content security policy that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CspError {
    /// There is no directive.
    #[error("the content security policy has no directives")]
    Empty,
    /// No such directive, or one that browsers no longer know.
    #[error("`{0}` is not a directive of a content security policy")]
    UnknownDirective(String),
    /// The directive stands there twice; browsers would ignore the second.
    #[error("the directive `{0}` is given more than once")]
    Duplicate(Directive),
    /// The directive has no value and needs one.
    #[error("the directive `{0}` needs a value; to permit nothing, say `'none'`")]
    NoValue(Directive),
    /// The directive takes no value, or none of this kind.
    #[error("the directive `{directive}` does not take `{value}`")]
    Misplaced {
        /// Which one.
        directive: Directive,
        /// What it was given.
        value: String,
    },
    /// `'none'` has company.
    #[error("in the directive `{0}`, `'none'` must stand alone")]
    NoneWithOthers(Directive),
    /// Nothing can be appended to the directive, only put in its place.
    #[error("the directive `{0}` is no list to append to")]
    NotAList(Directive),
    /// One of the values is wrong.
    #[error("in the directive `{directive}`: {error}")]
    Source {
        /// Where.
        directive: Directive,
        /// What is wrong.
        error: SourceError,
    },
}

/// A source that cannot stand in a content security policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// There is nothing.
    #[error("a source is empty")]
    Empty,
    /// A keyword without its quotes; a browser would take it for a host.
    #[error("`{0}` must stand in single quotes")]
    Unquoted(String),
    /// Quoted, and no keyword.
    #[error("`{0}` is not a keyword")]
    UnknownKeyword(String),
    /// It has a `;` or `,`, which would begin another directive or policy.
    #[error("`{0}` has a `;` or `,` in it")]
    Separator(String),
    /// It has a control character, white space, or a character that is not ASCII.
    #[error("`{0}` has a character that cannot stand in a policy")]
    Character(String),
    /// A nonce with a value; its value is not repeated here.
    #[error("a nonce that is written down can be guessed: say `'nonce'`, and each request has one")]
    FixedNonce,
    /// Not the base64 of a digest of this length.
    #[error("`{0}` is not the base64 of such a digest")]
    Hash(String),
    /// Neither a scheme (`https:`) nor a host, with scheme, port and path where wanted.
    #[error("`{0}` is neither a scheme nor a host")]
    Host(String),
}

/// A permissions policy that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PermissionsError {
    /// Not the name of a feature.
    #[error("`{0}` is not the name of a feature")]
    Feature(String),
    /// The feature stands there twice.
    #[error("the feature `{0}` is given more than once")]
    Duplicate(String),
    /// Not an origin: scheme, host and perhaps a port, without a path.
    #[error("`{0}` is not an origin")]
    Origin(String),
    /// `none` or `*` has company.
    #[error("`{0}` must stand alone in an allowlist")]
    NotAlone(&'static str),
    /// There is no feature.
    #[error("the permissions policy names no feature")]
    Empty,
}

/// For messages: nothing in it moves a terminal or hides.
pub(super) fn shown(text: &str) -> String {
    text.chars().fold(String::new(), |mut out, char| {
        if char == ' ' || char.is_ascii_graphic() {
            out.push(char);
        } else {
            out.extend(char.escape_default());
        }
        out
    })
}
