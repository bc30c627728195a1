//! Webhooks.

mod builder;
mod claim;
mod error;
mod format;
mod keys;
mod layer;
mod proof;

pub use self::{
    builder::WebhookBuilder,
    claim::{ClaimError, WebhookClaim},
    error::WebhookError,
    format::WebhookFormat,
    layer::{VerifyWebhook, VerifyWebhookLayer},
};

#[cfg(test)]
mod tests;
