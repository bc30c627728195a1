//! Not here yet: see CHANGELOG.
