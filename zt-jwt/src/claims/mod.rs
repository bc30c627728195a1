//! What a token says, read once its signature holds, in one pass.

mod read;
#[cfg(test)]
mod tests;
mod value;

use std::borrow::Cow;

use zt_core::clock::Timestamp;

/// The claims that decide something (RFC 7519 section 4.1, RFC 9068 section 2.2). Texts are borrowed
/// from the payload.
#[derive(Debug, Default)]
pub(crate) struct Claims<'a> {
    pub(crate) issuer: Option<Cow<'a, str>>,
    pub(crate) subject: Option<Cow<'a, str>>,
    /// One or several; `None` where there is no `aud`.
    pub(crate) audience: Option<Strings<'a>>,
    pub(crate) expires: Option<Timestamp>,
    pub(crate) not_before: Option<Timestamp>,
    pub(crate) issued: Option<Timestamp>,
    pub(crate) authenticated: Option<Timestamp>,
    pub(crate) token: Option<Cow<'a, str>>,
    pub(crate) session: Option<Cow<'a, str>>,
    pub(crate) context_class: Option<Cow<'a, str>>,
    pub(crate) client: Option<Cow<'a, str>>,
    /// `scope` (RFC 8693 section 4.2): one text with spaces between, or a list, as some issuers
    /// write it.
    pub(crate) scope: Option<Strings<'a>>,
    /// `scp`, which is as often the one as the other.
    pub(crate) scopes: Option<Strings<'a>>,
    pub(crate) roles: Option<Strings<'a>>,
    pub(crate) tenant: Option<Cow<'a, str>>,
    pub(crate) confirmation: Option<Confirmation>,
    pub(crate) marks: Marks,
    /// How many of the required claims are there.
    pub(crate) required: usize,
    /// Whether a claim that only the policy reads has a type that it cannot have. It says nothing
    /// as long as nobody knows whether the policy is that of the issuer that is named.
    pub(crate) misfit: bool,
}

/// One text, or several.
#[derive(Debug)]
pub(crate) enum Strings<'a> {
    One(Cow<'a, str>),
    Several(Vec<Cow<'a, str>>),
}

impl Strings<'_> {
    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        let (one, several) = match self {
            Self::One(one) => (Some(&**one), [].as_slice()),
            Self::Several(several) => (None, several.as_slice()),
        };
        one.into_iter().chain(several.iter().map(|text| &**text))
    }
}

/// What the token is bound to (RFC 7800 section 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Confirmation {
    /// `x5t#S256` (RFC 8705 section 3.1).
    Certificate([u8; 32]),
    /// `jkt` (RFC 9449 section 6.1).
    Key([u8; 32]),
    /// Something that cannot be proved here, or several things at once.
    Unknown,
}

/// What tells kinds of token apart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Marks {
    /// `nonce`, `at_hash`, `c_hash` or `s_hash`: an id token (OpenID Connect Core section 2).
    pub(crate) id_token: bool,
    /// `events`: a security event or logout token (RFC 8417 section 2.2).
    pub(crate) events: bool,
    /// What `typ` or `token_use` among the claims say, as Keycloak and Cognito write them.
    pub(crate) says: Option<Says>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Says {
    Access,
    Id,
    Other,
}

/// What the policy of an issuer reads besides.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted<'p> {
    /// The member that holds roles, where it is one of the outermost object.
    pub(crate) roles: Option<&'p str>,
    pub(crate) tenant: Option<&'p str>,
    pub(crate) required: &'p [Box<str>],
}
