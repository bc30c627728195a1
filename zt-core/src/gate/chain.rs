use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{request::Parts, response};

use super::{Check, CheckBody, Guard, Later, Settlement, Step};
use crate::{
    body::RequestBody,
    context::{SecurityContext, Stage, Trail},
    decision::Denial,
};

/// How far a chain came.
#[derive(Debug)]
pub enum Progress {
    /// Every check let the request go on.
    Passed,
    /// A check waits.
    Waiting,
    /// A check refused.
    Refused(Denial),
}

impl Progress {
    /// A request whose body was to be verified, and was not, does not go on.
    #[inline]
    pub(super) fn unless_owing(self, cx: &SecurityContext) -> Self {
        if matches!(self, Self::Passed) && cx.owes_body() {
            return Self::Refused(unverified());
        }
        self
    }
}

#[cold]
fn unverified() -> Denial {
    Denial::misordered("nothing verifies the body that an authenticator asked to be verified")
}

/// A request on its way through a chain.
#[derive(Debug)]
pub struct Exchange<'a, B> {
    /// The head.
    pub parts: &'a mut Parts,
    /// The body, as the chain hands it on.
    pub body: &'a mut B,
    /// The context.
    pub cx: &'a mut SecurityContext,
}

/// Checks, one after the other: [`Root`], or a [`Link`] or [`BodyLink`] that adds one.
///
/// One chain runs in one gate: the request is split once, and where a check waits, the chain goes
/// on from there, because each slot remembers whether its check has answered.
pub trait Chain<B>: Send + Sync + 'static {
    /// Where the checks' guards and waits are kept.
    type Slots: Slots;

    /// Whether any check's findings are of use further in; see [`Check::HANDS_ON`].
    const HANDS_ON: bool;

    /// Runs what has not run yet. Without a `task` a check that waits is not polled.
    fn run(
        &self,
        slots: &mut Self::Slots,
        exchange: &mut Exchange<'_, B>,
        task: Option<&mut Context<'_>>,
    ) -> Progress;

    /// Visits the checks from the outermost to the innermost.
    fn describe(&self, visit: &mut dyn FnMut(Stage, &'static str));
}

/// The guards of a chain.
pub trait Slots: Default + Send + 'static {
    /// Whether any guard settles.
    const SETTLES: bool;

    /// Whether any guard meters the response's body.
    const METERS: bool;

    /// Whether any guard holds the handler.
    fn holds_handler(&self) -> bool;

    /// Asks each guard whether the handler may be called.
    fn poll_before_handler(
        &mut self,
        task: &mut Context<'_>,
        trail: &Arc<Trail>,
    ) -> Poll<Result<(), Denial>>;

    /// Asks each guard, from the innermost, whether the head may leave.
    fn poll_release(
        &mut self,
        task: &mut Context<'_>,
        head: &response::Parts,
        trail: &Arc<Trail>,
    ) -> Poll<Result<(), Denial>>;

    /// Shows each guard, from the innermost, the head that leaves.
    fn head(&mut self, head: &mut response::Parts, trail: &Arc<Trail>);

    /// Asks each guard that meters, from the innermost, whether a piece of the body may go out.
    fn poll_frame(
        &mut self,
        task: &mut Context<'_>,
        data: &Bytes,
        trail: &Arc<Trail>,
    ) -> Poll<Result<(), Denial>>;

    /// Settles each guard, from the innermost.
    fn settle(&mut self, settlement: &Settlement<'_>);
}

/// The beginning of every chain: it checks nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Root;

impl<B> Chain<B> for Root {
    type Slots = ();

    const HANDS_ON: bool = false;

    fn run(&self, (): &mut (), _: &mut Exchange<'_, B>, _: Option<&mut Context<'_>>) -> Progress {
        Progress::Passed
    }

    fn describe(&self, _: &mut dyn FnMut(Stage, &'static str)) {}
}

/// A chain that checks nothing and hands its context on, for the layers inside.
#[derive(Debug, Clone, Copy, Default)]
pub struct Opened;

impl<B> Chain<B> for Opened {
    type Slots = ();

    const HANDS_ON: bool = true;

    fn run(&self, (): &mut (), _: &mut Exchange<'_, B>, _: Option<&mut Context<'_>>) -> Progress {
        Progress::Passed
    }

    fn describe(&self, _: &mut dyn FnMut(Stage, &'static str)) {}
}

/// A chain and one more check.
#[derive(Clone)]
pub struct Link<A, C> {
    before: A,
    check: C,
}

impl<C: Check> Link<Root, C> {
    /// A chain of one check.
    pub const fn first(check: C) -> Self {
        Self {
            before: Root,
            check,
        }
    }
}

impl<A, C> Link<A, C> {
    /// `before`, then `check`.
    pub const fn new(before: A, check: C) -> Self {
        Self { before, check }
    }

    /// This chain, then `check`.
    pub const fn then<D: Check>(self, check: D) -> Link<Self, D> {
        Link {
            before: self,
            check,
        }
    }
}

impl<A, C> Link<A, C> {
    /// This chain, then `check`, which looks at the body.
    pub const fn then_body<D>(self, check: D) -> BodyLink<Self, D> {
        BodyLink {
            before: self,
            check,
        }
    }
}

impl<A, C> fmt::Debug for Link<A, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Link(..)")
    }
}

/// A chain and one more check that reads or replaces the body.
#[derive(Clone)]
pub struct BodyLink<A, C> {
    before: A,
    check: C,
}

impl<A, C> BodyLink<A, C> {
    /// `before`, then `check`.
    pub const fn new(before: A, check: C) -> Self {
        Self { before, check }
    }

    /// This chain, then `check`.
    pub const fn then<D: Check>(self, check: D) -> Link<Self, D> {
        Link {
            before: self,
            check,
        }
    }

    /// This chain, then `check`, which looks at the body too.
    pub const fn then_body<D>(self, check: D) -> BodyLink<Self, D> {
        BodyLink {
            before: self,
            check,
        }
    }
}

impl<A, C> fmt::Debug for BodyLink<A, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BodyLink(..)")
    }
}

/// What a slot holds.
#[derive(Default)]
pub enum Slot<G, X = ()> {
    /// The check has not run.
    #[default]
    Empty,
    /// It waits.
    Waiting(Later<G, X>),
    /// It passed.
    Held {
        /// Its guard.
        guard: G,
        /// Whether the guard has released the head.
        released: bool,
        /// Whether the guard has let the piece of the body go that waits for others.
        metered: bool,
    },
    /// It refused, and the stack only observes.
    Waived,
}

impl<G, X> fmt::Debug for Slot<G, X> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "Empty",
            Self::Waiting(_) => "Waiting",
            Self::Held { .. } => "Held",
            Self::Waived => "Waived",
        })
    }
}

impl<G: Guard, X: 'static> Slot<G, X> {
    /// Runs the check of this slot, or goes on with it; `Err` where the chain stops.
    ///
    /// Only a check that passes at once is worth inlining into every chain.
    #[inline(always)]
    fn fill(
        &mut self,
        parts: &mut Parts,
        body: &mut X,
        cx: &mut SecurityContext,
        task: Option<&mut Context<'_>>,
        start: impl FnOnce(&mut Parts, &mut X, &mut SecurityContext) -> Step<G, X>,
    ) -> Result<(), Progress> {
        if matches!(self, Self::Empty) {
            match start(parts, body, cx) {
                Step::Now(Ok(guard)) => {
                    *self = Self::Held {
                        guard,
                        released: false,
                        metered: false,
                    };
                    return Ok(());
                }
                Step::Now(Err(denial)) => return self.refused(denial, cx),
                Step::Later(later) => *self = Self::Waiting(later),
            }
        }
        self.resume(parts, body, cx, task)
    }

    /// Goes on with a check that waits.
    #[cold]
    fn resume(
        &mut self,
        parts: &mut Parts,
        body: &mut X,
        cx: &mut SecurityContext,
        task: Option<&mut Context<'_>>,
    ) -> Result<(), Progress> {
        let Self::Waiting(later) = self else {
            return Ok(());
        };
        let Some(task) = task else {
            return Err(Progress::Waiting);
        };
        match later.resume(task, parts, body, cx) {
            Poll::Pending => Err(Progress::Waiting),
            Poll::Ready(Err(denial)) => self.refused(denial, cx),
            Poll::Ready(Ok(guard)) => {
                *self = Self::Held {
                    guard,
                    released: false,
                    metered: false,
                };
                Ok(())
            }
        }
    }

    /// A check that refused stays waived where the stack only observes.
    #[cold]
    fn refused(&mut self, denial: Denial, cx: &SecurityContext) -> Result<(), Progress> {
        *self = Self::Waived;
        cx.waive(denial).map_err(Progress::Refused)
    }

    fn guard(&mut self) -> Option<&mut G> {
        if let Self::Held { guard, .. } = self {
            Some(guard)
        } else {
            None
        }
    }
}

impl<B, A, C> Chain<B> for Link<A, C>
where
    A: Chain<B>,
    C: Check,
{
    type Slots = (A::Slots, Slot<C::Guard>);

    const HANDS_ON: bool = A::HANDS_ON || (C::PRESENT && C::HANDS_ON);

    #[inline]
    fn run(
        &self,
        slots: &mut Self::Slots,
        exchange: &mut Exchange<'_, B>,
        mut task: Option<&mut Context<'_>>,
    ) -> Progress {
        match self.before.run(&mut slots.0, exchange, task.as_deref_mut()) {
            Progress::Passed => {}
            stopped => return stopped,
        }
        if !C::PRESENT {
            return Progress::Passed;
        }
        let Exchange { parts, cx, .. } = exchange;
        let filled = slots.1.fill(parts, &mut (), cx, task, |parts, (), cx| {
            if let Err(denial) = cx.enter(C::STAGE, C::NAME) {
                return Step::Now(Err(denial));
            }
            if !cx.measures() {
                return self.check.check(parts, cx);
            }
            timed(C::NAME, parts, cx, |parts, cx| self.check.check(parts, cx))
        });
        filled.map_or_else(|stopped| stopped, |()| Progress::Passed)
    }

    fn describe(&self, visit: &mut dyn FnMut(Stage, &'static str)) {
        self.before.describe(visit);
        if C::PRESENT {
            visit(C::STAGE, C::NAME);
        }
    }
}

impl<B, A, C> Chain<RequestBody<B>> for BodyLink<A, C>
where
    B: 'static,
    A: Chain<RequestBody<B>>,
    C: CheckBody<B>,
{
    type Slots = (A::Slots, Slot<C::Guard, RequestBody<B>>);

    const HANDS_ON: bool = A::HANDS_ON || C::PRESENT;

    fn run(
        &self,
        slots: &mut Self::Slots,
        exchange: &mut Exchange<'_, RequestBody<B>>,
        mut task: Option<&mut Context<'_>>,
    ) -> Progress {
        match self.before.run(&mut slots.0, exchange, task.as_deref_mut()) {
            Progress::Passed => {}
            stopped => return stopped,
        }
        if !C::PRESENT {
            return Progress::Passed;
        }
        let Exchange { parts, body, cx } = exchange;
        let filled = slots.1.fill(parts, body, cx, task, |parts, body, cx| {
            if let Err(denial) = cx.enter(C::STAGE, C::NAME) {
                return Step::Now(Err(denial));
            }
            if !cx.measures() {
                return self.check.check(parts, body, cx);
            }
            timed(C::NAME, parts, cx, |parts, cx| {
                self.check.check(parts, body, cx)
            })
        });
        filled.map_or_else(|stopped| stopped, |()| Progress::Passed)
    }

    fn describe(&self, visit: &mut dyn FnMut(Stage, &'static str)) {
        self.before.describe(visit);
        if C::PRESENT {
            visit(C::STAGE, C::NAME);
        }
    }
}

/// Measures the part of a check that does not wait.
#[cold]
fn timed<T>(
    name: &'static str,
    parts: &mut Parts,
    cx: &mut SecurityContext,
    check: impl FnOnce(&mut Parts, &mut SecurityContext) -> T,
) -> T {
    let before = cx.settings().clock().monotonic();
    let step = check(parts, cx);
    let took = cx.settings().clock().monotonic().saturating_sub(before);
    cx.time(name, took);
    step
}

impl Slots for () {
    const SETTLES: bool = false;
    const METERS: bool = false;

    fn holds_handler(&self) -> bool {
        false
    }

    fn poll_before_handler(
        &mut self,
        _: &mut Context<'_>,
        _: &Arc<Trail>,
    ) -> Poll<Result<(), Denial>> {
        Poll::Ready(Ok(()))
    }

    fn poll_release(
        &mut self,
        _: &mut Context<'_>,
        _: &response::Parts,
        _: &Arc<Trail>,
    ) -> Poll<Result<(), Denial>> {
        Poll::Ready(Ok(()))
    }

    fn head(&mut self, _: &mut response::Parts, _: &Arc<Trail>) {}

    fn poll_frame(
        &mut self,
        _: &mut Context<'_>,
        _: &Bytes,
        _: &Arc<Trail>,
    ) -> Poll<Result<(), Denial>> {
        Poll::Ready(Ok(()))
    }

    fn settle(&mut self, _: &Settlement<'_>) {}
}

impl<S, G, X> Slots for (S, Slot<G, X>)
where
    S: Slots,
    G: Guard,
    X: 'static,
{
    const SETTLES: bool = S::SETTLES || G::SETTLES;
    const METERS: bool = S::METERS || G::METERS;

    fn holds_handler(&self) -> bool {
        let here = matches!(&self.1, Slot::Held { guard, .. } if guard.holds_handler());
        here || self.0.holds_handler()
    }

    fn poll_before_handler(
        &mut self,
        task: &mut Context<'_>,
        trail: &Arc<Trail>,
    ) -> Poll<Result<(), Denial>> {
        ready!(self.0.poll_before_handler(task, trail))?;
        match self.1.guard() {
            Some(guard) if guard.holds_handler() => guard.poll_before_handler(task, trail),
            _ => Poll::Ready(Ok(())),
        }
    }

    fn poll_release(
        &mut self,
        task: &mut Context<'_>,
        head: &response::Parts,
        trail: &Arc<Trail>,
    ) -> Poll<Result<(), Denial>> {
        if let Slot::Held {
            guard,
            released: released @ false,
            ..
        } = &mut self.1
        {
            let result = ready!(guard.poll_release(task, head, trail));
            *released = true;
            result?;
        }
        self.0.poll_release(task, head, trail)
    }

    fn head(&mut self, head: &mut response::Parts, trail: &Arc<Trail>) {
        if let Some(guard) = self.1.guard() {
            guard.head(head, trail);
        }
        self.0.head(head, trail);
    }

    fn poll_frame(
        &mut self,
        task: &mut Context<'_>,
        data: &Bytes,
        trail: &Arc<Trail>,
    ) -> Poll<Result<(), Denial>> {
        if G::METERS
            && let Slot::Held {
                guard,
                metered: metered @ false,
                ..
            } = &mut self.1
        {
            // What a stack that only observes lets pass is asked of those further out all the same.
            ready!(guard.poll_frame(task, data, trail)).or_else(|denial| trail.waive(denial))?;
            *metered = true;
        }
        ready!(self.0.poll_frame(task, data, trail))?;
        // All have let it go; the next piece is asked about anew.
        if let Slot::Held { metered, .. } = &mut self.1 {
            *metered = false;
        }
        Poll::Ready(Ok(()))
    }

    fn settle(&mut self, settlement: &Settlement<'_>) {
        if let Some(guard) = self.1.guard().filter(|_| G::SETTLES) {
            // One that panics must not keep those further out, the audit record among them, from
            // settling; and where this is a `Drop` in a panic, a second one would abort.
            let settled = catch_unwind(AssertUnwindSafe(|| guard.settle(settlement)));
            if settled.is_err() {
                tracing::error!(
                    request_id = %settlement.trail.request_id(),
                    "a guard panicked while it settled"
                );
            }
        }
        self.0.settle(settlement);
    }
}
