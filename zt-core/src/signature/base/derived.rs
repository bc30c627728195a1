//! What is derived from the control data of a request (RFC 9421 section 2.2).

use http::{Method, Version};

use super::{
    error::BaseError,
    identifier::{Identifier, Kind},
    message::{RequestMessage, UrlScheme},
    query,
};

impl RequestMessage<'_> {
    pub(super) fn write_derived(
        &self,
        component: &Identifier<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), BaseError> {
        match component.kind {
            Kind::Method => out.extend_from_slice(self.method.as_str().as_bytes()),
            Kind::Authority => self.write_authority(out)?,
            Kind::Scheme => out.extend_from_slice(self.scheme.as_str().as_bytes()),
            Kind::TargetUri => self.write_target_uri(out)?,
            Kind::RequestTarget => self.write_request_target(out)?,
            Kind::Path => match self.form() {
                Form::Path => out.extend_from_slice(self.path()),
                Form::Asterisk | Form::Authority => return Err(BaseError::NoPath),
            },
            Kind::Query => {
                // Section 2.2.7: a query that is absent reads as one that is empty.
                out.push(b'?');
                out.extend_from_slice(self.uri.query().unwrap_or_default().as_bytes());
            }
            Kind::QueryParam => {
                let query = self.uri.query().unwrap_or_default();
                query::write_parameter(query, component.argument, out)?;
            }
            Kind::Status => return Err(BaseError::StatusInRequest),
            Kind::Field => return Err(BaseError::Name),
        }
        Ok(())
    }

    /// Section 2.2.3: in lower case, and without the port of the scheme.
    fn write_authority(&self, out: &mut Vec<u8>) -> Result<(), BaseError> {
        let port = match self.scheme {
            UrlScheme::Http => ":80",
            UrlScheme::Https => ":443",
        };
        let authority = self.authority;
        let authority = authority.strip_suffix(port).unwrap_or(authority);
        if authority.is_empty() || !authority.bytes().all(is_of_authority) {
            return Err(BaseError::Authority);
        }
        let start = out.len();
        out.extend_from_slice(authority.as_bytes());
        if let Some(written) = out.get_mut(start..) {
            written.make_ascii_lowercase();
        }
        Ok(())
    }

    /// Section 2.2.2. The authority is in its normal form: the URL that a client signs and the field
    /// that its library sends differ in nothing else.
    fn write_target_uri(&self, out: &mut Vec<u8>) -> Result<(), BaseError> {
        out.extend_from_slice(self.scheme.as_str().as_bytes());
        out.extend_from_slice(b"://");
        self.write_authority(out)?;
        // RFC 9112 section 3.3: `*` and the target of CONNECT leave path and query empty.
        if self.form() == Form::Path {
            self.write_path_and_query(out);
        }
        Ok(())
    }

    /// Section 2.2.5: as on the request line, or path and query where there is none.
    fn write_request_target(&self, out: &mut Vec<u8>) -> Result<(), BaseError> {
        match self.form() {
            Form::Asterisk => out.push(b'*'),
            Form::Authority if self.method != Method::CONNECT => {
                return Err(BaseError::RequestTarget);
            }
            Form::Authority => {
                let authority = self.uri.authority().ok_or(BaseError::RequestTarget)?;
                out.extend_from_slice(authority.as_str().as_bytes());
            }
            Form::Path => {
                if self.version <= Version::HTTP_11
                    && let (Some(scheme), Some(authority)) =
                        (self.uri.scheme_str(), self.uri.authority())
                {
                    out.extend_from_slice(scheme.as_bytes());
                    out.extend_from_slice(b"://");
                    out.extend_from_slice(authority.as_str().as_bytes());
                }
                self.write_path_and_query(out);
            }
        }
        Ok(())
    }

    fn write_path_and_query(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.path());
        if let Some(query) = self.uri.query() {
            out.push(b'?');
            out.extend_from_slice(query.as_bytes());
        }
    }

    /// Section 2.2.6: as sent, and an empty one is `/`.
    fn path(&self) -> &[u8] {
        match self.uri.path().as_bytes() {
            b"" => b"/",
            path => path,
        }
    }

    fn form(&self) -> Form {
        if self.uri.path() == "*" {
            Form::Asterisk
        } else if self.uri.scheme().is_none() && self.uri.authority().is_some() {
            Form::Authority
        } else {
            Form::Path
        }
    }
}

/// What the target has (RFC 9112 section 3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Path,
    Authority,
    Asterisk,
}

/// Host and port (RFC 3986 section 3.2); a user has no place here (RFC 9110 section 4.2.4).
const fn is_of_authority(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'-' | b'.'
                | b'_'
                | b'~'
                | b'%'
                | b':'
                | b'['
                | b']'
                | b'!'
                | b'$'
                | b'&'
                | b'\''
                | b'('
                | b')'
                | b'*'
                | b'+'
                | b','
                | b';'
                | b'='
        )
}
