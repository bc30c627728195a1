use std::{fmt, net::SocketAddr, path::PathBuf, str::FromStr};

/// Where the agent listens (SPIFFE_Workload_Endpoint section 4).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Endpoint {
    /// `unix:///path` or `unix:/path`.
    Unix(PathBuf),
    /// `tcp://127.0.0.1:8081` or `tcp://[::1]:8081`.
    Tcp(SocketAddr),
}

/// Why a text is no address of an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EndpointError {
    /// The variable is not set.
    #[error("`SPIFFE_ENDPOINT_SOCKET` is not set")]
    Unset,
    /// Its scheme is neither `unix` nor `tcp`.
    #[error("the agent's address is no URI of the scheme `unix` or `tcp`")]
    Scheme,
    /// `unix:` with a host, or without an absolute path.
    #[error("the agent's address is not `unix://` and an absolute path")]
    Path,
    /// `tcp:` without an IP address and a port, or with more than that.
    #[error("the agent's address is not `tcp://`, an IP address and a port")]
    Socket,
    /// It has a query or a fragment.
    #[error("the agent's address has a query or a fragment")]
    MoreThanAddress,
}

impl Endpoint {
    /// Reads an address.
    ///
    /// # Errors
    ///
    /// When it is none.
    pub fn parse(address: &str) -> Result<Self, EndpointError> {
        let (scheme, rest) = address.split_once(':').ok_or(EndpointError::Scheme)?;
        let is = |name: &str| scheme.eq_ignore_ascii_case(name);
        if !is("unix") && !is("tcp") {
            return Err(EndpointError::Scheme);
        }
        if rest.contains(['?', '#']) {
            return Err(EndpointError::MoreThanAddress);
        }
        if is("unix") { unix(rest) } else { tcp(rest) }
    }

    /// Whether nobody else can listen there, or to it.
    pub(super) fn is_this_host(&self) -> bool {
        match self {
            Self::Unix(_) => true,
            Self::Tcp(address) => address.ip().to_canonical().is_loopback(),
        }
    }
}

fn unix(rest: &str) -> Result<Endpoint, EndpointError> {
    let path = match rest.strip_prefix("//") {
        // What follows is a host, which must be empty.
        Some(path) => path,
        None => rest,
    };
    let path = percent_encoding::percent_decode_str(path)
        .decode_utf8()
        .map_err(|_| EndpointError::Path)?;
    if !path.starts_with('/') || path.ends_with('/') || path.contains('\0') {
        return Err(EndpointError::Path);
    }
    Ok(Endpoint::Unix(PathBuf::from(path.as_ref())))
}

fn tcp(rest: &str) -> Result<Endpoint, EndpointError> {
    let address = rest.strip_prefix("//").ok_or(EndpointError::Socket)?;
    let address = SocketAddr::from_str(address).map_err(|_| EndpointError::Socket)?;
    if address.port() == 0 {
        return Err(EndpointError::Socket);
    }
    Ok(Endpoint::Tcp(address))
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(address: &str) -> Result<Self, EndpointError> {
        Self::parse(address)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp(address) => write!(f, "tcp://{address}"),
        }
    }
}
