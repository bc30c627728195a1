//! Verifies the token of a request.
