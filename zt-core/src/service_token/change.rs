//! How an act takes effect: recorded, written by compare-and-swap, taken into the view, announced.

use std::{future::Future, sync::Arc};

use super::{ServiceTokens, TokenError, TokenRecord, format::TokenId, record::Stored, view::Entry};
use crate::{
    clock::Timestamp,
    state::{AdminEvent, Event},
    store::{Expect, Swap},
};

impl ServiceTokens {
    /// Records `act`, and once that is durable does it. Where it fails after all, that is
    /// recorded too.
    pub(super) async fn perform(
        &self,
        act: Act,
        effect: impl Future<Output = Result<Arc<Entry>, TokenError>>,
    ) -> Result<Arc<Entry>, TokenError> {
        let Some(recorder) = &self.0.recorder else {
            return effect.await;
        };
        let at = self.0.clock.now()?;
        let mut event = act.event(at);
        recorder.record(Event::Admin(event.clone())).await?;
        let result = effect.await;
        if let Err(error) = &result {
            event.detail = Some(format!("not done: {error}"));
            recorder.record(Event::Admin(event)).detach();
        }
        result
    }

    pub(super) async fn insert(
        &self,
        key: Arc<str>,
        stored: Stored,
    ) -> Result<Arc<Entry>, TokenError> {
        let entry = {
            let _changing = self.0.replica.changing().await;
            let entry = self.put(&key, stored, Expect::Absent).await?;
            entry.ok_or(TokenError::Exists)?
        };
        self.0.replica.tell(&key).await;
        Ok(entry)
    }

    /// Changes the stored token by compare-and-swap, then the view.
    pub(super) async fn change(
        &self,
        entry: &Entry,
        mut edit: impl FnMut(&mut Stored) -> Result<(), TokenError>,
    ) -> Result<Arc<Entry>, TokenError> {
        let key = &entry.key;
        let changed = {
            let _changing = self.0.replica.changing().await;
            let mut changed = None;
            for _ in 0..TRIES {
                let found = self.0.store.get(key).await?.ok_or(TokenError::Unknown)?;
                let mut stored = Stored::decode(&found.value).ok_or(TokenError::Unknown)?;
                edit(&mut stored)?;
                changed = self
                    .put(key, stored, Expect::Version(found.version))
                    .await?;
                if changed.is_some() {
                    break;
                }
            }
            changed.ok_or(TokenError::Contended)?
        };
        self.0.replica.tell(key).await;
        Ok(changed)
    }

    /// Writes the token and takes it into the view; `None` where something else is there.
    async fn put(
        &self,
        key: &str,
        mut stored: Stored,
        expect: Expect,
    ) -> Result<Option<Arc<Entry>>, TokenError> {
        stored.record.last_used = None;
        let revoked = stored.record.revoked.as_ref().map(|it| it.at);
        let end = stored.record.expires.or(revoked);
        let kept_until = end.map(|end| end + self.0.config.retention());
        let value = stored.encode()?;
        // Made before the write: what cannot be looked up is not written either.
        let id = TokenId::from_text(&stored.record.id).ok_or(TokenError::Unknown)?;
        let entry = self
            .make_entry(key, stored, kept_until, self.used(id))
            .ok_or(TokenError::Unknown)?;
        let swap = self.0.store.put_if(key, value, kept_until, expect).await?;
        Ok(match swap {
            Swap::Done(_) => Some(self.write().put(entry)),
            Swap::Conflict => None,
        })
    }
}

/// An administrative act as it is recorded.
pub(super) struct Act {
    pub(super) action: &'static str,
    pub(super) object: String,
    pub(super) author: Option<String>,
    pub(super) detail: String,
}

impl Act {
    pub(super) fn on_new(action: &'static str, record: &TokenRecord) -> Self {
        Self {
            action,
            object: record.id.clone(),
            author: record.created_by.clone(),
            detail: format!("`{}` for `{}`", record.name, record.subject),
        }
    }

    fn event(self, at: Timestamp) -> AdminEvent {
        AdminEvent {
            at,
            author: self.author.map(Arc::from),
            action: self.action,
            object: self.object.into(),
            detail: Some(self.detail),
        }
    }
}

/// How often a change is tried where others change the same token.
const TRIES: usize = 16;
