use std::{fmt, sync::Arc};

use arc_swap::ArcSwapOption;

use super::{SignConfigError, text::is_sf_string};
use crate::signature::key::SigningKey;

/// What signatures are made with now.
///
/// Asked for each signature, so it must be quick. A [`NamedKey`] is always the same, a
/// [`RotatingSigner`] can be changed; one of your own can choose by what it likes.
pub trait SigningKeys: fmt::Debug + Send + Sync + 'static {
    /// The key; `None` where there is none, and nothing is signed or sent.
    fn current(&self) -> Option<Arc<NamedKey>>;
}

/// A key and the id under which others know it.
#[derive(Debug, Clone)]
pub struct NamedKey {
    id: Arc<str>,
    key: SigningKey,
}

impl NamedKey {
    /// `key`, which others know as `keyid`.
    ///
    /// # Errors
    ///
    /// [`SignConfigError::KeyId`], where `keyid` is empty or has other than visible ASCII and
    /// spaces.
    pub fn new(key: SigningKey, keyid: &str) -> Result<Self, SignConfigError> {
        if !is_sf_string(keyid) {
            return Err(SignConfigError::KeyId);
        }
        Ok(Self {
            id: keyid.into(),
            key,
        })
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The key.
    #[must_use]
    pub const fn key(&self) -> &SigningKey {
        &self.key
    }
}

impl SigningKeys for Arc<NamedKey> {
    fn current(&self) -> Option<Arc<NamedKey>> {
        Some(Self::clone(self))
    }
}

/// A key that is replaced while requests run. Clones share it.
///
/// Tell the other side of the new key first, [`replace`](Self::replace) it here, and have the other
/// side forget the old one when the signatures that were made with it have ended.
///
/// ```
/// use zt_core::{secret::Secret, signature::{key::SigningKey, sign::{RotatingSigner, SignRequestLayer}}};
///
/// let secret = |fill| Secret::new(vec![fill; 32]);
/// let keys = RotatingSigner::new(SigningKey::hmac_sha256(&secret(1))?, "orders-1")?;
/// let layer = SignRequestLayer::with_keys(keys.clone());
/// keys.replace(SigningKey::hmac_sha256(&secret(2))?, "orders-2")?;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct RotatingSigner(Arc<ArcSwapOption<NamedKey>>);

impl RotatingSigner {
    /// Signs with `key`, which others know as `keyid`. [`default`](Self::default) has no key yet.
    ///
    /// # Errors
    ///
    /// As [`NamedKey::new`].
    pub fn new(key: SigningKey, keyid: &str) -> Result<Self, SignConfigError> {
        let signer = Self::default();
        signer.replace(key, keyid)?;
        Ok(signer)
    }

    /// From now on signs with `key`, which others know as `keyid`.
    ///
    /// # Errors
    ///
    /// As [`NamedKey::new`]; the key is then the one it was.
    pub fn replace(&self, key: SigningKey, keyid: &str) -> Result<(), SignConfigError> {
        self.0.store(Some(Arc::new(NamedKey::new(key, keyid)?)));
        Ok(())
    }

    /// From now on signs nothing.
    pub fn clear(&self) {
        self.0.store(None);
    }
}

impl SigningKeys for RotatingSigner {
    fn current(&self) -> Option<Arc<NamedKey>> {
        self.0.load_full()
    }
}
