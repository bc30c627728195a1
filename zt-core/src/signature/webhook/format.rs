use std::{fmt, time::Duration};

use http::HeaderName;

/// Whose way of signing it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WebhookFormat {
    /// Standard Webhooks 1.0: `webhook-id`, `webhook-timestamp`, `webhook-signature`.
    Standard,
    /// GitHub's: `X-Hub-Signature-256`.
    GitHub,
    /// Stripe's: `Stripe-Signature`.
    Stripe,
}

pub(super) static WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
pub(super) static WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
static WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");
static STRIPE_SIGNATURE: HeaderName = HeaderName::from_static("stripe-signature");
static X_HUB_SIGNATURE_256: HeaderName = HeaderName::from_static("x-hub-signature-256");
static X_HUB_SIGNATURE: HeaderName = HeaderName::from_static("x-hub-signature");

impl WebhookFormat {
    /// The header that has the signature.
    #[must_use]
    pub fn signature_header(self) -> &'static HeaderName {
        match self {
            Self::Standard => &WEBHOOK_SIGNATURE,
            Self::GitHub => &X_HUB_SIGNATURE_256,
            Self::Stripe => &STRIPE_SIGNATURE,
        }
    }

    /// A header of the same sender whose signature is not accepted: GitHub's SHA-1.
    pub(super) fn retired_header(self) -> Option<&'static HeaderName> {
        match self {
            Self::GitHub => Some(&X_HUB_SIGNATURE),
            Self::Standard | Self::Stripe => None,
        }
    }

    /// As it stands in names: `standard`, `github`, `stripe`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::GitHub => "github",
            Self::Stripe => "stripe",
        }
    }

    /// How far the timestamp may be from now, unless the application says otherwise; `None` where
    /// there is no timestamp.
    #[must_use]
    pub const fn default_tolerance(self) -> Option<Duration> {
        match self {
            Self::Standard | Self::Stripe => Some(Duration::from_secs(300)),
            Self::GitHub => None,
        }
    }
}

impl fmt::Display for WebhookFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
