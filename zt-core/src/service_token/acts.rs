//! What administrators do. Each act is recorded first, then done, then told to other instances.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use zeroize::Zeroizing;

use super::{
    ClearToken, MintRequest, MintedToken, Revocation, ServiceTokens, TokenError, TokenRecord,
    change::Act,
    check::MAX_OPAQUE,
    digest::StoredSecret,
    format::{PREFIX, SECRET, TokenId, compose, random},
    record::{Previous, Stored},
    registry::{BY_DIGEST, BY_ID},
    request::{invalid, text},
    view::Entry,
};
use crate::{clock::Timestamp, secret::Secret};

/// The shortest value that can be imported, in bytes, and how many different ones it must have.
const MIN_OPAQUE: usize = 24;
const MIN_DISTINCT: usize = 10;

impl ServiceTokens {
    /// Makes a token. Its text is in the answer and nowhere else.
    ///
    /// # Errors
    ///
    /// Where a part of the request cannot be used, there is no place for more tokens, or clock,
    /// randomness, recorder or store cannot answer; there is no token then.
    pub async fn mint(&self, request: MintRequest) -> Result<MintedToken, TokenError> {
        let now = self.admit(&request)?;
        let environment = self.environment_of(&request);
        let id = TokenId::random(&*self.0.entropy)?;
        let (clear, secret) = self.new_secret(&environment, id)?;
        let key: Arc<str> = format!("{BY_ID}{id}").into();
        let record = TokenRecord::new(id.to_string(), request, environment, false, now);
        let act = Act::on_new("service-token.mint", &record);
        let stored = Stored::new(record, secret);
        let entry = self.perform(act, self.insert(key, stored)).await?;
        Ok(MintedToken {
            id: id.to_string(),
            clear,
            record: entry.shown(),
        })
    }

    /// Takes on a plain value that callers already hold: at least 24 visible ASCII characters, 10
    /// of them different, that do not begin with `ztk_`. It is kept as its digest, like any other.
    ///
    /// Nobody knows how such a value was made. Rotate it soon: the new secret is of our own making.
    ///
    /// # Errors
    ///
    /// As [`mint`](Self::mint); [`TokenError::Exists`] where the value is a token already.
    pub async fn import_opaque(
        &self,
        value: &Secret,
        request: MintRequest,
    ) -> Result<TokenRecord, TokenError> {
        let value = value.expose();
        check_opaque(value)?;
        let now = self.admit(&request)?;
        if self.read().find(&self.0.hasher.digests(value)).is_some() {
            return Err(TokenError::Exists);
        }
        let environment = self.environment_of(&request);
        let id = TokenId::random(&*self.0.entropy)?;
        let secret = self.0.hasher.store(value);
        let key: Arc<str> = format!("{BY_DIGEST}{}", secret.digest.hex()).into();
        let record = TokenRecord::new(id.to_string(), request, environment, true, now);
        let act = Act::on_new("service-token.import", &record);
        let stored = Stored::new(record, secret);
        let entry = self.perform(act, self.insert(key, stored)).await?;
        Ok(entry.shown())
    }

    /// Gives a token a new secret; the one before it is good for `overlap` more. Without overlap
    /// every earlier secret is good no longer. The token's end stays.
    ///
    /// # Errors
    ///
    /// Where there is no such token, it is revoked or expired, the secret before the current one
    /// is still good (unless `overlap` is zero), or clock, randomness, recorder or store cannot
    /// answer; the secrets are then what they were.
    pub async fn rotate(
        &self,
        id: &str,
        author: &str,
        overlap: Duration,
    ) -> Result<MintedToken, TokenError> {
        text("author", author)?;
        let now = self.0.clock.now()?;
        let until = now.checked_add(overlap).ok_or(TokenError::Invalid {
            field: "overlap",
            reason: "it ends later than can be named",
        })?;
        let entry = self.find(id).await?;
        can_rotate(&entry.record, now, overlap)?;
        let (clear, secret) = self.new_secret(&entry.record.environment, entry.id)?;
        let act = Act {
            action: "service-token.rotate",
            object: entry.record.id.clone(),
            author: Some(author.to_owned()),
            detail: format!("the secret before is good for {} s", overlap.as_secs()),
        };
        let change = self.change(&entry, |stored| {
            can_rotate(&stored.record, now, overlap)?;
            let before = std::mem::replace(&mut stored.current, secret.clone());
            let opaque = std::mem::replace(&mut stored.record.opaque, false);
            stored.previous = (!overlap.is_zero()).then_some(Previous {
                secret: before,
                opaque,
                until,
            });
            stored.record.previous_until = stored.previous.as_ref().map(|it| it.until);
            stored.record.rotated_at = Some(now);
            Ok(())
        });
        let entry = self.perform(act, change).await?;
        Ok(MintedToken {
            id: entry.record.id.clone(),
            clear,
            record: entry.shown(),
        })
    }

    /// Takes a token back, with every secret it has. In force in this process when the call
    /// returns; there is no way back.
    ///
    /// # Errors
    ///
    /// Where there is no such token, or clock, recorder or store cannot answer; it is then as good
    /// as before. [`TokenError::Unannounced`] where it is revoked but the feed cannot answer.
    pub async fn revoke(&self, id: &str, author: &str, reason: &str) -> Result<(), TokenError> {
        text("author", author)?;
        text("reason", reason)?;
        let now = self.0.clock.now()?;
        let entry = self.find(id).await?;
        let act = Act {
            action: "service-token.revoke",
            object: entry.record.id.clone(),
            author: Some(author.to_owned()),
            detail: reason.to_owned(),
        };
        let change = self.change(&entry, |stored| {
            stored.record.revoked.get_or_insert_with(|| Revocation {
                at: now,
                author: author.to_owned(),
                reason: reason.to_owned(),
            });
            Ok(())
        });
        self.perform(act, change).await?;
        self.0
            .replica
            .announce_pending()
            .await
            .map_err(TokenError::Unannounced)
    }

    fn admit(&self, request: &MintRequest) -> Result<Timestamp, TokenError> {
        let now = self.0.clock.now()?;
        request.check(now)?;
        let mut view = self.write();
        if view.len() >= self.0.config.max_tokens {
            view.drop_gone(now);
        }
        if view.len() >= self.0.config.max_tokens {
            return Err(TokenError::Full);
        }
        Ok(now)
    }

    fn environment_of(&self, request: &MintRequest) -> String {
        let own = &self.0.config.environment;
        request.environment.as_ref().unwrap_or(own).clone()
    }

    fn new_secret(
        &self,
        environment: &str,
        id: TokenId,
    ) -> Result<(ClearToken, StoredSecret), TokenError> {
        let secret = Zeroizing::new(random::<SECRET>(&*self.0.entropy)?);
        let text = compose(environment, id, &secret);
        let stored = self.0.hasher.store(&text);
        Ok((ClearToken::new(text), stored))
    }

    /// The token with this id, looked for in the store where another instance may have made it.
    async fn find(&self, id: &str) -> Result<Arc<Entry>, TokenError> {
        let id = TokenId::from_text(id).ok_or(TokenError::Unknown)?;
        let known = self.read().get(id).cloned();
        if let Some(entry) = known {
            return Ok(entry);
        }
        self.refresh().await?;
        self.read().get(id).cloned().ok_or(TokenError::Unknown)
    }
}

fn can_rotate(record: &TokenRecord, now: Timestamp, overlap: Duration) -> Result<(), TokenError> {
    if record.revoked.is_some() {
        return Err(TokenError::Revoked);
    }
    if record.expires.is_some_and(|end| end <= now) {
        return Err(TokenError::Expired);
    }
    match record.previous_until {
        // The older secret may still be in use somewhere: it is not cut off unasked.
        Some(until) if now < until && !overlap.is_zero() => {
            Err(TokenError::RotationUnderway { until })
        }
        _ => Ok(()),
    }
}

fn check_opaque(value: &[u8]) -> Result<(), TokenError> {
    const FIELD: &str = "value";
    if value.len() < MIN_OPAQUE || value.len() > MAX_OPAQUE {
        return invalid(FIELD, "it is shorter than 24 bytes or longer than 256");
    }
    if !value.iter().all(u8::is_ascii_graphic) {
        return invalid(FIELD, "it has characters that a header value cannot carry");
    }
    if value.starts_with(PREFIX.as_bytes()) {
        return invalid(FIELD, "it begins with `ztk_`");
    }
    let distinct: BTreeSet<&u8> = value.iter().collect();
    if distinct.len() < MIN_DISTINCT {
        return invalid(FIELD, "it has fewer than 10 different characters");
    }
    Ok(())
}
