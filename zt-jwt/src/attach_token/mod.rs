//! Tokens for the services that we call.
