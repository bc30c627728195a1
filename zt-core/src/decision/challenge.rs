use http::HeaderValue;

/// One `WWW-Authenticate` challenge (RFC 9110 section 11.6.1): a scheme and its parameters.
///
/// Built at configuration time where it can be, so that a refusal only clones it.
///
/// ```
/// use zt_core::decision::Challenge;
///
/// let challenge = Challenge::new("Bearer").with("realm", "orders");
/// assert_eq!(challenge.header_value(), r#"Bearer realm="orders""#);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge(HeaderValue);

impl Challenge {
    /// A challenge without parameters. A `scheme` that is not a token (RFC 9110 section 5.6.2)
    /// becomes `Bearer`.
    #[must_use]
    pub fn new(scheme: &'static str) -> Self {
        let token = !scheme.is_empty()
            && scheme
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte));
        Self(HeaderValue::from_static(if token {
            scheme
        } else {
            "Bearer"
        }))
    }

    /// Adds `name="value"`; characters that a quoted string cannot hold are left out.
    #[must_use]
    pub fn with(self, name: &'static str, value: &str) -> Self {
        let mut text = self.0.as_bytes().to_vec();
        text.extend_from_slice(if text.contains(&b' ') { b", " } else { b" " });
        text.extend_from_slice(name.as_bytes());
        text.extend_from_slice(b"=\"");
        for byte in value.bytes() {
            match byte {
                b'"' | b'\\' => text.extend_from_slice(&[b'\\', byte]),
                b' '..=b'~' => text.push(byte),
                _ => {}
            }
        }
        text.push(b'"');
        Self(HeaderValue::from_bytes(&text).unwrap_or(self.0))
    }

    /// As it goes into the header.
    #[must_use]
    pub const fn header_value(&self) -> &HeaderValue {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_cannot_leave_their_quotes() {
        let challenge = Challenge::new("Bearer")
            .with("realm", "a\"b\\c\r\nd")
            .with("error", "x");
        assert_eq!(
            challenge.header_value(),
            r#"Bearer realm="a\"b\\cd", error="x""#
        );
        assert_eq!(Challenge::new("Bad scheme").header_value(), "Bearer");
    }
}
