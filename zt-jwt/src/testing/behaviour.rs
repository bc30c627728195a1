use std::time::Duration;

/// How a started issuer answers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Behaviour {
    /// As it should.
    #[default]
    Well,
    /// Connections are closed without an answer.
    Down,
    /// As it should, after a while on the issuer's clock; at once when told to behave otherwise.
    Slow(Duration),
    /// Not at all, until told to behave otherwise; then in that way.
    Hanging,
    /// With 10 MiB of otherwise good JSON.
    Huge,
    /// Keys: its own, and so many others whose ids are all different.
    ManyKeys(usize),
    /// 200 with a page, as a captive portal does.
    Html,
    /// 302 to this address.
    Redirect(String),
    /// 500.
    ServerError,
    /// 429 with `Retry-After` in whole seconds.
    TooManyRequests(Duration),
    /// Keys: 304, whatever was asked. Elsewhere as it should.
    NotModifiedAlways,
    /// Metadata: good, of another issuer (RFC 8414 section 3.3). Elsewhere as it should.
    OtherIssuer,
    /// Metadata: keys stand at this address. Elsewhere as it should.
    KeysAt(String),
    /// Keys: its own among some that nobody can use: of unknown types, off their curve, too short,
    /// for encryption, symmetric. Elsewhere as it should.
    BadKeyAmong,
    /// Keys: none. Elsewhere as it should.
    EmptySet,
    /// 200 and `application/json` for something that is not JSON.
    Garbage,
    /// Half of the answer, then the connection is closed.
    CutShort,
}

/// Which address of a started issuer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Endpoint {
    /// `/.well-known/openid-configuration` and `/.well-known/oauth-authorization-server`.
    Metadata,
    /// `/jwks.json`.
    Keys,
    /// `/token`.
    Token,
}

impl Endpoint {
    /// Every endpoint there is.
    pub const ALL: &[Self] = &[Self::Metadata, Self::Keys, Self::Token];
}

/// How each endpoint behaves.
#[derive(Debug, Clone, Default)]
pub(super) struct Behaviours([Behaviour; 3]);

impl Behaviours {
    pub(super) fn of(&self, endpoint: Endpoint) -> &Behaviour {
        &self.0[endpoint as usize]
    }

    pub(super) fn set(&mut self, endpoint: Endpoint, behaviour: Behaviour) {
        self.0[endpoint as usize] = behaviour;
    }
}
