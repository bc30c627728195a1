//! What the other side asks for with `Accept-Signature`.

use std::time::Duration;

use super::{SignConfigError, SignRequestLayer};
use crate::signature::base::AcceptSignature;

/// How long signatures are good where the other side wants an end and none was set.
const LIFETIME: Duration = Duration::from_secs(60);

impl SignRequestLayer {
    /// As this layer, with everything that `asked` wants besides (RFC 9421 section 5.2): its label,
    /// components, tag and nonce; `expires`, after 60 s where
    /// [`expires_after`](Self::expires_after) says nothing else.
    ///
    /// For the request that is sent again after a 401, which
    /// [`AcceptSignature::read`] reads. Where `asked` has a nonce, every signature of the layer has
    /// that one, so it is good for one request.
    ///
    /// # Errors
    ///
    /// [`SignConfigError::Unsatisfiable`], where it wants a key id or an algorithm that is not that
    /// of the key at this time, or a parameter that is not registered.
    /// [`SignConfigError::Component`], where it wants what no request has.
    pub fn satisfying(&self, asked: &AcceptSignature) -> Result<Self, SignConfigError> {
        let mut layer = self.clone().label(asked.label())?;
        for component in asked.components() {
            layer.require(component.clone())?;
        }
        let maker = &mut layer.settings().maker;
        for (name, value) in asked.parameters() {
            let good = match (name, value) {
                ("created", None) => true,
                ("expires", None) => {
                    maker.lifetime.get_or_insert(LIFETIME);
                    true
                }
                ("nonce", Some(nonce)) => {
                    maker.nonce_given = Some(nonce.into());
                    true
                }
                ("tag", Some(tag)) => {
                    maker.set_tag(tag)?;
                    true
                }
                ("keyid", Some(keyid)) => {
                    let named = maker.keys.current();
                    named.is_some_and(|named| named.id() == keyid)
                }
                ("alg", Some(alg)) => {
                    let named = maker.keys.current();
                    named.is_some_and(|named| named.key().algorithm().as_str() == alg)
                }
                _ => false,
            };
            if !good {
                return Err(SignConfigError::Unsatisfiable(name.into()));
            }
        }
        Ok(layer)
    }
}
