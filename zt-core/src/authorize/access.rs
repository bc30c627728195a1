use std::{fmt, sync::Arc};

use http::{HeaderMap, Method, Uri, request::Parts};

use crate::{
    clock::Timestamp,
    context::{ClientAddress, SecurityContext},
    identity::{PeerIdentity, Principal},
    state::Route,
};

/// What a policy is asked about: one request, and what was proved about it.
#[derive(Clone, Copy)]
pub struct Access<'a> {
    parts: &'a Parts,
    cx: &'a SecurityContext,
}

impl<'a> Access<'a> {
    /// The request whose head and context these are.
    #[must_use]
    pub const fn new(parts: &'a Parts, cx: &'a SecurityContext) -> Self {
        Self { parts, cx }
    }

    /// The method.
    #[must_use]
    pub const fn method(&self) -> &'a Method {
        &self.parts.method
    }

    /// The raw path, as the router behind the layer will read it. Inside a nested router that is
    /// what the outer one left of it; see [`original_uri`](Self::original_uri).
    #[must_use]
    pub fn path(&self) -> &'a str {
        self.parts.uri.path()
    }

    /// The target as it was when the stack first saw the request.
    #[must_use]
    pub fn original_uri(&self) -> &'a Uri {
        self.cx.trail().uri()
    }

    /// The headers, without those that claim an identity where `ValidateRequest` has run.
    #[must_use]
    pub const fn headers(&self) -> &'a HeaderMap {
        &self.parts.headers
    }

    /// The whole head.
    #[must_use]
    pub const fn parts(&self) -> &'a Parts {
        self.parts
    }

    /// The route, where the request has one in the table.
    #[must_use]
    pub fn route(&self) -> Option<&'a Route> {
        self.cx.route()
    }

    /// Who asks, where that was proved; an anonymous caller has a principal that
    /// [says so](Principal::is_anonymous).
    #[must_use]
    pub const fn principal(&self) -> Option<&'a Arc<Principal>> {
        self.cx.principal()
    }

    /// Who asks, unless nobody in particular does.
    #[must_use]
    pub fn named(&self) -> Option<&'a Arc<Principal>> {
        self.principal()
            .filter(|principal| !principal.is_anonymous())
    }

    /// The workload on the connection.
    #[must_use]
    pub fn peer(&self) -> Option<&'a Arc<PeerIdentity>> {
        self.cx.peer()
    }

    /// Where the request comes from.
    #[must_use]
    pub fn client(&self) -> &'a ClientAddress {
        self.cx.client()
    }

    /// The request's one `now`.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.cx.now()
    }

    /// Everything else that is known.
    #[must_use]
    pub const fn context(&self) -> &'a SecurityContext {
        self.cx
    }
}

/// Method and principal; paths and headers may be personal.
impl fmt::Debug for Access<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access")
            .field("method", self.method())
            .field("principal", &self.principal())
            .finish_non_exhaustive()
    }
}
