//! Policies made of policies; the truth tables stand in the [module](super).

use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::request::Parts;

use super::{Access, Grounds, Policy, Verdict};
use crate::{
    body::CollectLimits,
    context::SecurityContext,
    decision::Denial,
    gate::{Later, Step},
};

/// Permits where every policy does. The rule is the last one's, the end the earliest.
pub fn all(policies: impl IntoPolicies) -> All {
    All(policies.into_policies())
}

/// Permits where one policy does, whatever others deny. The rule is that one's.
pub fn any(policies: impl IntoPolicies) -> Any {
    Any(policies.into_policies())
}

/// Permits where one policy does and none denies. The rule is the first one's that permits.
///
/// A function that returns `false` denies here, and overrides; return [`Verdict::NotApplicable`]
/// where it has nothing to say.
pub fn deny_overrides(policies: impl IntoPolicies) -> DenyOverrides {
    DenyOverrides(policies.into_policies())
}

/// Several policies: a tuple of up to eight, or a vector of shared ones.
pub trait IntoPolicies {
    /// The policies, in order.
    fn into_policies(self) -> Arc<[Arc<dyn Policy>]>;
}

impl IntoPolicies for Vec<Arc<dyn Policy>> {
    fn into_policies(self) -> Arc<[Arc<dyn Policy>]> {
        self.into()
    }
}

macro_rules! tuples {
    ($(($($policy:ident)+))+) => {$(
        impl<$($policy: Policy),+> IntoPolicies for ($($policy,)+) {
            fn into_policies(self) -> Arc<[Arc<dyn Policy>]> {
                #[expect(non_snake_case, reason = "named after their types")]
                let ($($policy,)+) = self;
                Arc::new([$(Arc::new($policy) as Arc<dyn Policy>),+])
            }
        }
    )+};
}

tuples! {
    (A)
    (A B)
    (A B C)
    (A B C D)
    (A B C D E)
    (A B C D E F)
    (A B C D E F G)
    (A B C D E F G H)
}

macro_rules! combinators {
    ($($name:ident $tally:ident $doc:literal)+) => {$(
        #[doc = $doc]
        #[derive(Clone)]
        pub struct $name(Arc<[Arc<dyn Policy>]>);

        impl Policy for $name {
            fn decide(&self, access: &Access<'_>) -> Step<Verdict> {
                run::<$tally>(&self.0, access)
            }

            fn needs_body(&self, access: &Access<'_>) -> Option<CollectLimits> {
                widest(&self.0, access)
            }

            fn edition(&self) -> Option<Arc<dyn Policy>> {
                editions(&self.0).map(|policies| Arc::new(Self(policies)) as _)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({} policies)"), self.0.len())
            }
        }
    )+};
}

combinators! {
    All EveryOne "Every policy permits; made by [`all`]."
    Any FirstPermit "One policy permits; made by [`any`]."
    DenyOverrides NoDeny "One policy permits and none denies; made by [`deny_overrides`]."
}

/// What the one that needs most of the body needs: who is asked in the end is not known before.
fn widest(policies: &[Arc<dyn Policy>], access: &Access<'_>) -> Option<CollectLimits> {
    let needs = policies.iter().filter_map(|one| one.needs_body(access));
    needs.reduce(|one, other| CollectLimits {
        bytes: one.bytes.max(other.bytes),
        deadline: one.deadline.max(other.deadline),
    })
}

/// The policies, each as it is now, where one of them is replaced while requests are decided.
fn editions(policies: &[Arc<dyn Policy>]) -> Option<Arc<[Arc<dyn Policy>]>> {
    policies.iter().find_map(|one| one.edition())?;
    let now = policies.iter();
    let now = now.map(|one| one.edition().unwrap_or_else(|| Arc::clone(one)));
    Some(now.collect())
}

/// What the policies that were asked have said.
trait Tally: Default + Send + 'static {
    /// Takes one more verdict in; `Some` where the answer is certain.
    fn add(&mut self, verdict: Verdict) -> Option<Verdict>;

    /// The answer, once all were asked.
    fn total(self) -> Verdict;
}

/// Asks the policies; where one waits, the rest go along.
fn run<T: Tally>(policies: &Arc<[Arc<dyn Policy>]>, access: &Access<'_>) -> Step<Verdict> {
    let mut round = Round::<T>::default();
    match round.advance(policies, access) {
        Ok(result) => Step::Now(result),
        Err(waiting) => {
            let policies = Arc::clone(policies);
            let mut waiting = Some(waiting);
            Step::Later(Later::poll_fn(move |task, parts, cx| {
                round.poll(&policies, &mut waiting, task, parts, cx)
            }))
        }
    }
}

/// How many policies were asked, and what they said.
#[derive(Default)]
struct Round<T> {
    asked: usize,
    tally: T,
}

impl<T: Tally> Round<T> {
    /// Asks on until the answer is there; `Err` where a policy waits.
    fn advance(
        &mut self,
        policies: &[Arc<dyn Policy>],
        access: &Access<'_>,
    ) -> Result<Result<Verdict, Denial>, Later<Verdict>> {
        while let Some(policy) = policies.get(self.asked) {
            self.asked = self.asked.saturating_add(1);
            match policy.decide(access) {
                Step::Now(Ok(verdict)) => {
                    if let Some(verdict) = self.tally.add(verdict) {
                        return Ok(Ok(verdict));
                    }
                }
                Step::Now(Err(denial)) => return Ok(Err(denial)),
                Step::Later(later) => return Err(later),
            }
        }
        Ok(Ok(std::mem::take(&mut self.tally).total()))
    }

    fn poll(
        &mut self,
        policies: &[Arc<dyn Policy>],
        waiting: &mut Option<Later<Verdict>>,
        task: &mut Context<'_>,
        parts: &mut Parts,
        cx: &mut SecurityContext,
    ) -> Poll<Result<Verdict, Denial>> {
        while let Some(later) = waiting {
            let verdict = ready!(later.poll(task, parts, cx))?;
            if let Some(verdict) = self.tally.add(verdict) {
                return Poll::Ready(Ok(verdict));
            }
            match self.advance(policies, &Access::new(parts, cx)) {
                Ok(verdict) => return Poll::Ready(verdict),
                Err(later) => *waiting = Some(later),
            }
        }
        Poll::Ready(Err(Denial::misordered(
            "a policy was polled after it had answered",
        )))
    }
}

/// [`all`]: one that has nothing to say keeps the rest from permitting, not from denying.
#[derive(Default)]
struct EveryOne {
    grounds: Option<Grounds>,
    silent: bool,
}

impl Tally for EveryOne {
    fn add(&mut self, verdict: Verdict) -> Option<Verdict> {
        match verdict {
            Verdict::Permit(grounds) => {
                self.grounds = Some(match self.grounds.take() {
                    Some(before) => grounds.bound_by(before),
                    None => grounds,
                });
            }
            Verdict::NotApplicable => self.silent = true,
            deny @ Verdict::Deny(_) => return Some(deny),
        }
        None
    }

    fn total(self) -> Verdict {
        match self.grounds {
            Some(grounds) if !self.silent => Verdict::Permit(grounds),
            _ => Verdict::NotApplicable,
        }
    }
}

/// [`any`]: of several denials the first is told.
#[derive(Default)]
struct FirstPermit(Option<Denial>);

impl Tally for FirstPermit {
    fn add(&mut self, verdict: Verdict) -> Option<Verdict> {
        match verdict {
            permit @ Verdict::Permit(_) => return Some(permit),
            Verdict::NotApplicable => {}
            Verdict::Deny(denial) => drop(self.0.get_or_insert(denial)),
        }
        None
    }

    fn total(self) -> Verdict {
        self.0.map_or(Verdict::NotApplicable, Verdict::Deny)
    }
}

/// [`deny_overrides`].
#[derive(Default)]
struct NoDeny(Option<Grounds>);

impl Tally for NoDeny {
    fn add(&mut self, verdict: Verdict) -> Option<Verdict> {
        match verdict {
            Verdict::Permit(grounds) => drop(self.0.get_or_insert(grounds)),
            Verdict::NotApplicable => {}
            deny @ Verdict::Deny(_) => return Some(deny),
        }
        None
    }

    fn total(self) -> Verdict {
        self.0.map_or(Verdict::NotApplicable, Verdict::Permit)
    }
}
