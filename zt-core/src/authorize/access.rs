use std::{fmt, sync::Arc};

use http::{HeaderMap, Method, Uri, request::Parts};

use crate::{
    body::CollectedBody,
    clock::Timestamp,
    context::{ClientAddress, SecurityContext, host_of},
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

    /// The target as the client sent it: what the stack saw first, or, where the stack stands inside
    /// a router of axum (feature `axum`), what that saw first.
    #[must_use]
    pub fn original_uri(&self) -> &'a Uri {
        self.cx.first_uri(self.parts)
    }

    /// The headers, without those that claim an identity where `ValidateRequest` has run.
    #[must_use]
    pub const fn headers(&self) -> &'a HeaderMap {
        &self.parts.headers
    }

    /// The host that the request is for: of its target, or else of its one `Host` field; without its
    /// port and the dot that may end a name. `None` where that is not a host, where target and field say
    /// different things, where there are several fields, and where an IPv6 address is written otherwise
    /// than it usually is (RFC 5952).
    #[must_use]
    pub fn host(&self) -> Option<&'a str> {
        host_of(self.original_uri(), self.parts)
    }

    /// The body, where it was read for a policy that [needs it](super::Policy::needs_body).
    #[must_use]
    pub fn body(&self) -> Option<&'a CollectedBody> {
        self.cx.body()
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
