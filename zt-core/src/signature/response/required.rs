//! What a response's signature covers of the request.

use std::sync::LazyLock;

use crate::signature::base::Component;

/// `@method`, `@authority`, `@path` and `@query` of the request (RFC 9421 section 2.4).
pub(super) static OF_THE_REQUEST: LazyLock<Vec<Component>> = LazyLock::new(|| {
    let all = [
        Component::METHOD,
        Component::AUTHORITY,
        Component::PATH,
        Component::QUERY,
    ];
    all.into_iter().map(Component::req).collect()
});
