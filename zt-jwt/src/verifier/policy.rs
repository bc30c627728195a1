use std::{sync::Arc, time::Duration};

use zt_core::identity::PrincipalKind;

use crate::algorithm::Algorithms;

/// Whom a token has to be meant for (`aud`, RFC 7519 section 4.1.3).
///
/// It has no default: a token that was made for another service is the commonest token there is.
#[derive(Debug, Clone)]
pub struct Audience(pub(crate) Option<Arc<[Box<str>]>>);

impl Audience {
    /// One of `names`, to the letter. With no names at all, nobody's tokens pass.
    pub fn one_of<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> Self {
        Self(Some(
            names.into_iter().map(|name| name.as_ref().into()).collect(),
        ))
    }

    /// Tokens for anybody, or for nobody in particular. Whoever runs another service of this
    /// issuer can use the tokens that it is shown here.
    #[must_use]
    pub const fn insecure_any() -> Self {
        Self(None)
    }
}

impl From<&str> for Audience {
    fn from(name: &str) -> Self {
        Self::one_of([name])
    }
}

impl<S: AsRef<str>, const N: usize> From<[S; N]> for Audience {
    fn from(names: [S; N]) -> Self {
        Self::one_of(names)
    }
}

/// What is asked of an issuer's tokens.
#[derive(Debug, Clone)]
pub(crate) struct Policy {
    pub(crate) name: Arc<str>,
    pub(crate) audience: Audience,
    pub(crate) algorithms: Algorithms,
    pub(crate) leeway: Duration,
    pub(crate) max_lifetime: Duration,
    /// RFC 9068: `typ` and every claim of section 2.2.
    pub(crate) strict: bool,
    pub(crate) kinds: Kinds,
    /// Where roles stand: members from the outermost object inwards.
    pub(crate) roles: Arc<[Box<str>]>,
    pub(crate) tenant: Option<Box<str>>,
    pub(crate) required: Arc<[Box<str>]>,
    pub(crate) principal: Option<PrincipalKind>,
}

/// Which kinds of token pass.
#[derive(Debug, Clone)]
pub(crate) struct Kinds {
    /// `typ`s in lower case, without `application/`.
    pub(crate) typ: Arc<[Box<str>]>,
    pub(crate) without_typ: bool,
    pub(crate) id_tokens: bool,
}

impl Policy {
    pub(crate) fn new(name: &str, audience: Audience, algorithms: Algorithms) -> Self {
        Self {
            name: name.into(),
            audience,
            algorithms,
            leeway: Duration::from_secs(30),
            max_lifetime: Duration::from_secs(86_400),
            strict: false,
            kinds: Kinds {
                typ: ["jwt", "at+jwt"].map(Into::into).into(),
                without_typ: true,
                id_tokens: false,
            },
            roles: ["roles".into()].into(),
            tenant: None,
            required: [].into(),
            principal: None,
        }
    }

    /// Whether a token of this `typ` may be what is asked for.
    pub(crate) fn takes_type(&self, typ: Option<&str>) -> bool {
        match typ {
            None => self.kinds.without_typ && !self.strict,
            // RFC 9068 section 4, whatever else was asked for.
            Some(typ) if self.strict && typ != "at+jwt" => false,
            Some(typ) => self.kinds.typ.iter().any(|known| **known == *typ),
        }
    }
}
