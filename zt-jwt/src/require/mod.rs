//! What a token has to carry besides: claims, and how its holder was authenticated.
