use std::{collections::BTreeSet, fmt};

use bytes::Bytes;
use ipnet::IpNet;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::{MintRequest, TokenError, digest::StoredSecret, request::invalid};
use crate::clock::Timestamp;

/// What is known about a token; nothing of it is secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
#[serde(deny_unknown_fields)]
pub struct TokenRecord {
    /// Its id.
    pub id: String,
    /// Whom it names.
    pub subject: String,
    /// What people call it.
    pub name: String,
    /// Where it is good.
    pub environment: String,
    /// Its scopes.
    pub scopes: BTreeSet<String>,
    /// Its roles.
    pub roles: BTreeSet<String>,
    /// The organisation it acts for.
    pub tenant: Option<String>,
    /// The methods it is good for; `None` is all.
    pub methods: Option<BTreeSet<String>>,
    /// The paths it is good for; `None` is all.
    pub paths: Option<BTreeSet<String>>,
    /// The networks it is good from; `None` is all.
    pub networks: Option<BTreeSet<IpNet>>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Who made it; `None` is the application itself.
    pub created_by: Option<String>,
    /// When it ends.
    pub expires: Option<Timestamp>,
    /// Whether its current secret is a plain value that was imported.
    pub opaque: bool,
    /// When it got its current secret, where that is not its first.
    pub rotated_at: Option<Timestamp>,
    /// Until when the secret before the current one is good.
    pub previous_until: Option<Timestamp>,
    /// Who took it back, and why.
    pub revoked: Option<Revocation>,
    /// When it was last used, to the minute, as far as this process knows.
    #[serde(default)]
    pub last_used: Option<Timestamp>,
}

/// That a token was taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
#[serde(deny_unknown_fields)]
pub struct Revocation {
    /// When.
    pub at: Timestamp,
    /// Who did it.
    pub author: String,
    /// Why.
    pub reason: String,
}

impl TokenRecord {
    pub(super) fn new(
        id: String,
        request: MintRequest,
        environment: String,
        opaque: bool,
        now: Timestamp,
    ) -> Self {
        Self {
            id,
            subject: request.subject,
            name: request.name,
            environment,
            scopes: request.scopes,
            roles: request.roles,
            tenant: request.tenant,
            methods: request.methods,
            paths: request.paths,
            networks: request.networks,
            created_at: now,
            created_by: request.author,
            expires: request.expires,
            opaque,
            rotated_at: None,
            previous_until: None,
            revoked: None,
            last_used: None,
        }
    }
}

/// A token that was just made.
#[derive(Debug)]
#[non_exhaustive]
pub struct MintedToken {
    /// Its id.
    pub id: String,
    /// Its text, for the one who asked for it. It is kept nowhere.
    pub clear: ClearToken,
    /// What is known about it.
    pub record: TokenRecord,
}

/// The text of a token, to be shown once. It has no `Display`, no `Serialize`, nothing in `Debug`,
/// and is wiped when it is dropped.
pub struct ClearToken(SecretString);

impl ClearToken {
    pub(super) fn new(text: Vec<u8>) -> Self {
        // Base62 and underscores: it is text.
        let text = String::from_utf8(text).unwrap_or_default();
        Self(SecretString::from(text))
    }

    /// The text.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for ClearToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClearToken(..)")
    }
}

/// A token as it rests in the store.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Stored {
    format: u32,
    pub(super) record: TokenRecord,
    pub(super) current: StoredSecret,
    pub(super) previous: Option<Previous>,
}

/// The secret before the current one.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Previous {
    pub(super) secret: StoredSecret,
    pub(super) opaque: bool,
    pub(super) until: Timestamp,
}

const FORMAT: u32 = 1;

impl Stored {
    pub(super) const fn new(record: TokenRecord, current: StoredSecret) -> Self {
        Self {
            format: FORMAT,
            record,
            current,
            previous: None,
        }
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let stored: Self = serde_json::from_slice(bytes).ok()?;
        (stored.format == FORMAT).then_some(stored)
    }

    /// # Errors
    ///
    /// Where it cannot be written as JSON.
    pub(super) fn encode(&self) -> Result<Bytes, TokenError> {
        serde_json::to_vec(self)
            .map(Bytes::from)
            .or_else(|_| invalid("record", "it cannot be written"))
    }
}

/// The id; digests are nobody's business.
impl fmt::Debug for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stored")
            .field("id", &self.record.id)
            .finish_non_exhaustive()
    }
}
