use super::*;
use zt_core::gate::Later;

/// A check that waits for good.
#[derive(Clone)]
pub(super) struct Waits;

impl Check for Waits {
    type Guard = ();
    const NAME: &'static str = "waits";
    const STAGE: Stage = Stage::Commit;

    fn check(&self, parts: &mut Parts, _: &mut SecurityContext) -> Step<()> {
        if parts.headers.contains_key("x-done") {
            return Step::pass(());
        }
        parts.headers.insert("x-done", "once".parse().unwrap());
        Step::Later(Later::new(async {
            tokio::task::yield_now().await;
            tokio::task::yield_now().await;
            Ok(())
        }))
    }
}
