//! `tree/`, kept by the keeper.

use super::core::Core;

pub(super) struct TreeKeeper;

impl TreeKeeper {
    pub(super) fn take(&mut self, core: &Core) {
        core.news.look().leaves.clear();
    }
}
