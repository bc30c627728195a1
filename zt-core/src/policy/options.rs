use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use crate::{
    authorize::{ActiveGrants, AttributeSource},
    clock::{Clock, SystemClock},
    state::Recorder,
};

/// What a policy is loaded with: where it runs, and what it may ask.
#[derive(Clone)]
#[must_use]
pub struct PolicyOptions {
    pub(crate) environment: Option<Arc<str>>,
    pub(crate) grants: Option<Arc<dyn ActiveGrants>>,
    pub(crate) attributes: BTreeMap<Arc<str>, Arc<dyn AttributeSource>>,
    pub(crate) attribute_deadline: Duration,
    pub(crate) max_body: usize,
    pub(crate) body_deadline: Duration,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) recorder: Option<Arc<dyn Recorder>>,
}

impl Default for PolicyOptions {
    fn default() -> Self {
        Self {
            environment: None,
            grants: None,
            attributes: BTreeMap::new(),
            attribute_deadline: Duration::from_secs(1),
            max_body: 64 * 1024,
            body_deadline: Duration::from_secs(10),
            clock: Arc::new(SystemClock),
            recorder: None,
        }
    }
}

impl PolicyOptions {
    /// Nothing is known but the requests themselves.
    pub fn new() -> Self {
        Self::default()
    }

    /// Where this process runs: `production`, `staging`. A policy that names environments is not
    /// loaded without it, nor in one that it does not name.
    pub fn environment(mut self, name: impl Into<Arc<str>>) -> Self {
        self.environment = Some(name.into());
        self
    }

    /// Who holds grants. A policy that asks for grants is not loaded without it.
    pub fn grants(mut self, grants: Arc<dyn ActiveGrants>) -> Self {
        self.grants = Some(grants);
        self
    }

    /// Where the facts of the group `name` come from. A policy that declares a group without a
    /// source is not loaded.
    pub fn attributes(mut self, name: impl Into<Arc<str>>, source: impl AttributeSource) -> Self {
        self.attributes.insert(name.into(), Arc::new(source));
        self
    }

    /// How long sources may take, all together; 1 s. Past it the request is denied.
    pub fn attribute_deadline(mut self, deadline: Duration) -> Self {
        self.attribute_deadline = deadline;
        self
    }

    /// The most bytes of a body that conditions look at, where an operation does not say; 64 KiB.
    /// A larger one is refused (`body-too-large`).
    pub fn max_body(mut self, bytes: usize) -> Self {
        self.max_body = bytes;
        self
    }

    /// How long a body may take to arrive; 10 s (`request-timeout`).
    pub fn body_deadline(mut self, deadline: Duration) -> Self {
        self.body_deadline = deadline;
        self
    }

    /// By which clock a policy is reloaded, and its age told; the system's.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Where loaded and refused policies are recorded (`config` events, part `policy`).
    pub fn recorder(mut self, recorder: Arc<dyn Recorder>) -> Self {
        self.recorder = Some(recorder);
        self
    }
}

impl fmt::Debug for PolicyOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PolicyOptions")
            .field("environment", &self.environment)
            .field("attributes", &self.attributes.keys())
            .finish_non_exhaustive()
    }
}
