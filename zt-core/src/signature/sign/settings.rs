//! What signers of requests and of responses are told alike.

/// The settings that a layer has because it signs. Its `settings()` gives them to be changed: a
/// `maker`, and the `limits` of a body.
macro_rules! signer_settings {
    ($layer:ty) => {
        impl $layer {
            /// Names the signature `label`, which is `sig1` otherwise. Nothing protects a label.
            ///
            /// # Errors
            ///
            /// Where it is no key of a dictionary (RFC 9651 section 3.1.2).
            pub fn label(
                mut self,
                label: &str,
            ) -> Result<Self, $crate::signature::sign::SignConfigError> {
                self.settings().maker.set_label(label)?;
                Ok(self)
            }

            /// Says what the signature is for (`tag`, RFC 9421 section 2.3).
            ///
            /// # Errors
            ///
            /// Where it is empty or has other than visible ASCII and spaces.
            pub fn tag(
                mut self,
                tag: &str,
            ) -> Result<Self, $crate::signature::sign::SignConfigError> {
                self.settings().maker.set_tag(tag)?;
                Ok(self)
            }

            /// Says that the signature ends `lifetime` (whole seconds) after it was made (`expires`). The
            /// other side may hold it for old before.
            ///
            /// # Errors
            ///
            /// Where it is shorter than a second.
            pub fn expires_after(
                mut self,
                lifetime: ::std::time::Duration,
            ) -> Result<Self, $crate::signature::sign::SignConfigError> {
                self.settings().maker.set_lifetime(lifetime)?;
                Ok(self)
            }

            /// Digests bodies with `algorithm`, instead of SHA-256.
            #[must_use]
            pub fn digest(mut self, algorithm: $crate::digest::DigestAlgorithm) -> Self {
                self.settings().maker.digest = algorithm;
                self
            }

            /// How much of a body is read, and for how long; 1 MiB and 30 s otherwise.
            #[must_use]
            pub fn body_limits(mut self, limits: $crate::body::CollectLimits) -> Self {
                self.settings().limits = limits;
                self
            }

            /// Which fields are structured, for `;sf` and `;key` of fields that no RFC defines.
            #[must_use]
            pub fn field_types(mut self, types: $crate::signature::base::FieldTypes) -> Self {
                self.settings().maker.types = types;
                self
            }

            /// Reads the time from `clock` instead of the machine's.
            #[must_use]
            pub fn clock(mut self, clock: impl $crate::clock::Clock) -> Self {
                self.settings().maker.clock = ::std::sync::Arc::new(clock);
                self
            }

            /// Takes nonces from `entropy` instead of the operating system.
            #[must_use]
            pub fn entropy(mut self, entropy: impl $crate::random::Entropy) -> Self {
                self.settings().maker.entropy = ::std::sync::Arc::new(entropy);
                self
            }
        }
    };
}

pub(in crate::signature) use signer_settings;
