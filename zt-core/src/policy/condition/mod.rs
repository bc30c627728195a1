//! What is asked once the clauses of a rule match: grants and Cedar expressions.
//!
//! # What it protects against
//!
//! Rules that cannot say what matters (an amount, an hour, how long ago somebody proved who they
//! are), and answers that are taken for a yes because nobody could answer: a condition that fails, a
//! source that is late, a body that two programs read in two ways.
//!
//! # A request passes when
//!
//! 1. no denying rule that matches but for its condition has one that holds, or that fails
//!    (`policy-denied`);
//! 2. no whole Cedar policy that forbids is satisfied, and none that was asked fails
//!    (`policy-denied`);
//! 3. a rule allows it without a condition, or one that is asked in the order of the file has a
//!    condition that holds, or a whole Cedar policy permits it. One that fails before that denies
//!    the request, whatever stands behind it: what could not be answered is not passed over.
//! 4. A grant is held where [`ActiveGrants`] says so now; the permit ends with it, and with the
//!    first of all grants where an expression has read `context.grants`. The answer is cut within a
//!    second of such a grant being revoked.
//!
//! # Vocabulary
//!
//! A `when` is a Cedar expression, validated strictly in a schema that is made for its rule; an
//! error or a warning refuses the policy. What may be absent has to be asked for with `has`.
//!
//! | | type | |
//! |---|---|---|
//! | `principal` | `User`, `Service` or `Anonymous` | `User::"ISSUER#SUBJECT"`; `User::"#SUBJECT"` without an issuer; `Anonymous::"anonymous"` |
//! | `principal.subject` | String | absent of `Anonymous` |
//! | `principal.issuer`, `.tenant`, `.session`, `.acr` | String, optional | absent of `Anonymous` |
//! | `principal.roles`, `.scopes` | Set of String | empty of `Anonymous` |
//! | `principal.methods` | Set of String | how it was proved: `jwt`, `client-certificate`, .. |
//! | `context.peer` | Record, optional | the workload on the connection |
//! | `context.peer.spiffe_id`, `.trust_domain`, `.namespace`, `.service_account` | String, optional | |
//! | `context.peer.dns_names` | Set of String | |
//! | `context.peer.forwarded` | Boolean | a proxy vouches for it |
//! | `context.request.method` | String | |
//! | `context.request.path` | String | in its usual spelling: `/users/@me`, also where it was asked for as `/users/%40me` |
//! | `context.request.host` | String, optional | lower case, without the port; one that cannot be read, or two, refuse (`request-malformed`) |
//! | `context.request.params` | Record of String | what stands in the path for `{id}`, in its usual spelling: `@me`, `caf%C3%A9` |
//! | `context.client.address` | ipaddr, optional | the client's, as trusted proxies forwarded it |
//! | `context.time.now` | datetime | |
//! | `context.time.hour`, `.minute`, `.minute_of_day` | Long | in the policy's `time_zone` |
//! | `context.time.weekday`, `.date` | String | `monday`, `2026-03-29`; in the `time_zone` |
//! | `context.mfa_age` | Long, optional | seconds since the caller proved itself (`auth_time`); absent where it is not known or lies ahead |
//! | `context.grants` | Set of String | scopes of grants that are held now |
//! | `context.body.FIELD` | as declared | of the rule's or the operation's body |
//! | `context.GROUP.FIELD` | as declared | of an [`AttributeSource`](crate::authorize::AttributeSource) |
//!
//! An address is read in its usual form: one of IPv4 in IPv6 form is the IPv4 address, and a literal
//! `ip("::ffff:192.0.2.7")`, which none would ever be, refuses the policy.
//!
//! Declared types: `integer` Long, `boolean` Boolean, `text` String, `texts` Set of String, `time`
//! datetime, `address` ipaddr. What a rule says of the kind of its caller narrows the types of
//! `principal`. `action` and `resource` are for whole policies.
//!
//! # Whole policies
//!
//! Each has an `@id("..")`; templates are refused, and so is one whose
//! action and resource no request has together. A request has one action: the
//! operation with the closest template whose method and host it has, and `Action::"other"` where
//! it is none of them; groups of operations are actions that they are `in`. So a `forbid` for one
//! operation says nothing of an operation that is closer: name both, or a group of them. `resource` is
//! `Route::"/orders/{id}"`, the operation's template, or `Route::"other"`. Two operations that the
//! same request could be are refused. All are validated strictly
//! in one schema, and sorted by action when they are loaded, so a request runs those alone that can
//! apply to it; those that are of another type of principal by their head (`principal is Service`) are
//! not run.
//!
//! # Bodies
//!
//! A body is read where a condition that matters reads one, whether or not the grant of its rule is held: it
//! may be approved while the body arrives. It is refused unless every parser reads
//! it in the same way: one `Content-Type` of `application/json` or `application/..+json`, no
//! `Content-Encoding`, UTF-8 without a mark, no name twice in any object, also escaped, none that is
//! a declared one but for its case, at most 32 levels, nothing behind it (`request-malformed`). A
//! declared field has exactly the declared type, and is there unless it is optional
//! (`request-invalid`); `null` is no value. An integer is written without fraction and exponent,
//! is not `-0`, and lies within ±(2^53 − 1), where all parsers agree (RFC 7493 section 2.2).
//!
//! # Attributes
//!
//! Sources are asked only where a condition that matters reads their group; all of one request at
//! once, under one deadline. One that fails, panics or is late denies with `store-unavailable`; one
//! that leaves out what was declared, or says something of another type, with `policy-denied`.
//!
//! # Standards
//!
//! - RFC 8259, RFC 7493: JSON, and what of it is interoperable.
//! - RFC 3339 section 5.6: moments in a body, in capital letters, without leap seconds, from 1970.
//! - RFC 9110 section 9.3.2: a HEAD without an operation of its own is that of GET.
//!
//! # What it does not do
//!
//! It reads no claims of tokens: rules do (`caller.claims`). It has no fractions, and no entities but
//! the caller, so `in` among principals is equality. It keeps nothing that a source said. Comparing
//! addresses and moments with literals costs some microseconds each, which Cedar takes to parse
//! them; `caller.networks` is the quick way.

#[cfg(feature = "cedar")]
mod cedar;
mod standing;
#[cfg(test)]
#[cfg_attr(
    not(feature = "cedar"),
    expect(dead_code, reason = "most of it serves the tests of Cedar")
)]
mod tests;

use std::sync::Arc;

use self::standing::StandingGrants;
use super::{
    PolicyError, PolicyErrors, PolicyOptions,
    compiled::RuleIndex,
    matcher::Found,
    model::{Document, Effect, Rule},
};
use crate::{
    authorize::{Access, ActiveGrant, ActiveGrants},
    body::CollectLimits,
    decision::Denial,
    gate::{Standing, Step},
};

/// The conditions of an engine's rules, compiled.
pub(crate) struct Conditions {
    #[cfg(not(feature = "cedar"))]
    grants: Option<Arc<dyn ActiveGrants>>,
    #[cfg(feature = "cedar")]
    cedar: Result<Arc<cedar::Cedar>, Option<Arc<dyn ActiveGrants>>>,
}

/// What rules and conditions say together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Judgement {
    /// Allowed by this rule, for as long as these grants are held.
    Permit {
        rule: Arc<str>,
        held: Vec<ActiveGrant>,
    },
    /// Denied by this rule.
    Deny { rule: Arc<str> },
    /// No rule says anything.
    Silent,
}

/// What whole policies say.
#[cfg_attr(
    not(feature = "cedar"),
    expect(dead_code, reason = "whole policies are Cedar's")
)]
enum Said {
    Deny(Arc<str>),
    Permit(Arc<str>),
    Nothing,
}

/// What is asked beyond grants.
trait Further {
    /// Whether the condition of a rule holds.
    fn when(&mut self, index: RuleIndex) -> Result<bool, Denial>;

    /// What whole policies say; where a rule `allowed` without a condition, only what denies.
    fn whole(&mut self, allowed: bool) -> Result<Said, Denial>;

    /// Grants that were read for conditions.
    fn held(&self) -> &[ActiveGrant];
}

impl Conditions {
    pub(crate) fn new(
        document: &Document,
        rules: &Arc<[Rule]>,
        options: &PolicyOptions,
    ) -> Result<Self, PolicyErrors> {
        let mut errors = Vec::new();
        for rule in rules.iter().filter(|rule| rule.grant.is_some()) {
            if options.grants.is_none() {
                let error = PolicyError::new(&rule.origin, "nobody says who holds grants")
                    .hint("`PolicyOptions::grants`");
                if !errors.contains(&error) {
                    errors.push(error);
                }
            }
        }
        #[cfg(not(feature = "cedar"))]
        errors.extend(needs_cedar(document, rules));
        #[cfg(feature = "cedar")]
        let cedar = cedar::Cedar::new(document, rules, options);
        #[cfg(feature = "cedar")]
        let cedar = match cedar {
            Ok(cedar) => cedar.ok_or_else(|| options.grants.clone()),
            Err(more) => {
                errors.extend(more.iter().cloned());
                Err(None)
            }
        };
        PolicyErrors::check(errors)?;
        Ok(Self {
            #[cfg(not(feature = "cedar"))]
            grants: options.grants.clone(),
            #[cfg(feature = "cedar")]
            cedar,
        })
    }

    /// Asks what matters, where anything has to be asked beyond what was found; that it is nothing is found
    /// quickly, and without allocation.
    pub(crate) fn ask(
        &self,
        rules: &Arc<[Rule]>,
        found: &Found,
        access: &Access<'_>,
    ) -> Option<Step<Judgement>> {
        #[cfg(feature = "cedar")]
        if let Ok(cedar) = &self.cedar
            && cedar.has_whole()
        {
            let seen = cedar.see(access);
            let matters = !found.conditional.is_empty() || cedar.matter(found, &seen);
            return matters.then(|| cedar.decide(rules, found, access, &seen));
        }
        (!found.conditional.is_empty()).then(|| self.decide(rules, found, access))
    }

    /// How much of the body has to be there before [`decide`](Self::decide).
    pub(crate) fn needs_body(
        &self,
        rules: &Arc<[Rule]>,
        found: &Found,
        access: &Access<'_>,
    ) -> Option<CollectLimits> {
        let _ = (rules, found, access);
        #[cfg(feature = "cedar")]
        if let Ok(cedar) = &self.cedar {
            return cedar.needs_body(rules, found, access);
        }
        None
    }

    /// Asks what matters; `found.deny` is none. Denying conditions come first. Whatever fails
    /// denies.
    pub(crate) fn decide(
        &self,
        rules: &Arc<[Rule]>,
        found: &Found,
        access: &Access<'_>,
    ) -> Step<Judgement> {
        #[cfg(feature = "cedar")]
        if let Ok(cedar) = &self.cedar {
            return cedar.decide(rules, found, access, &cedar.see(access));
        }
        let grants = self.grants();
        Step::Now(judge(grants, rules, found, access, &mut GrantsAlone))
    }

    /// What a permit stands on that these grants speak for.
    pub(crate) fn standing(
        &self,
        held: Vec<ActiveGrant>,
        access: &Access<'_>,
    ) -> Option<Arc<dyn Standing>> {
        if held.is_empty() {
            return None;
        }
        let (grants, who) = (Arc::clone(self.grants()?), Arc::clone(access.named()?));
        Some(Arc::new(StandingGrants { grants, who, held }))
    }

    fn grants(&self) -> Option<&Arc<dyn ActiveGrants>> {
        #[cfg(feature = "cedar")]
        return match &self.cedar {
            Ok(cedar) => cedar.grants(),
            Err(grants) => grants.as_ref(),
        };
        #[cfg(not(feature = "cedar"))]
        self.grants.as_ref()
    }
}

/// Where nothing is asked in Cedar.
struct GrantsAlone;

impl Further for GrantsAlone {
    /// Loading has refused such a rule.
    fn when(&mut self, _: RuleIndex) -> Result<bool, Denial> {
        Err(Denial::misordered("a condition that was not loaded"))
    }

    fn whole(&mut self, _: bool) -> Result<Said, Denial> {
        Ok(Said::Nothing)
    }

    fn held(&self) -> &[ActiveGrant] {
        &[]
    }
}

fn judge(
    grants: Option<&Arc<dyn ActiveGrants>>,
    rules: &[Rule],
    found: &Found,
    access: &Access<'_>,
    further: &mut impl Further,
) -> Result<Judgement, Denial> {
    let holds = |index, rule: &Rule, further: &mut dyn Further| {
        asked(grants, index, rule, access, further)
            .map_err(|denial| denial.by_rule(Arc::clone(&rule.id)))
    };
    let of = |effect| {
        found
            .candidates(rules)
            .filter(move |(_, rule)| rule.effect == effect)
    };
    for (index, rule) in of(Effect::Deny) {
        if holds(index, rule, further)?.is_some() {
            return Ok(Judgement::Deny {
                rule: Arc::clone(&rule.id),
            });
        }
    }
    let allowed = found.allow.and_then(|index| rules.get(index as usize));
    let said = further.whole(allowed.is_some())?;
    if let Said::Deny(rule) = said {
        return Ok(Judgement::Deny { rule });
    }
    let permit = |rule: &Arc<str>, grant: Option<ActiveGrant>, further: &dyn Further| {
        Ok(Judgement::Permit {
            rule: Arc::clone(rule),
            held: grant.into_iter().chain(further.held().to_vec()).collect(),
        })
    };
    if let Some(rule) = allowed {
        return permit(&rule.id, None, further);
    }
    for (index, rule) in of(Effect::Allow) {
        if let Some(held) = holds(index, rule, further)? {
            return permit(&rule.id, held, further);
        }
    }
    match said {
        Said::Permit(rule) => permit(&rule, None, further),
        _ => Ok(Judgement::Silent),
    }
}

/// `Some` where both grant and condition hold, with the grant where there is one.
fn asked(
    grants: Option<&Arc<dyn ActiveGrants>>,
    index: RuleIndex,
    rule: &Rule,
    access: &Access<'_>,
    further: &mut dyn Further,
) -> Result<Option<Option<ActiveGrant>>, Denial> {
    let Some(grant) = held(grants, rule, access)? else {
        return Ok(None);
    };
    if rule.when.is_some() && !further.when(index)? {
        return Ok(None);
    }
    Ok(Some(grant))
}

/// `None` where the caller does not hold the grant that the rule asks for; otherwise the grant,
/// where it asks for one.
fn held(
    grants: Option<&Arc<dyn ActiveGrants>>,
    rule: &Rule,
    access: &Access<'_>,
) -> Result<Option<Option<ActiveGrant>>, Denial> {
    let Some(scope) = &rule.grant else {
        return Ok(Some(None));
    };
    let Some(grants) = grants else {
        return Err(Denial::misordered("a grant that nobody can tell about"));
    };
    let Some(who) = access.named() else {
        return Ok(None);
    };
    Ok(grants.active(who, scope, access.now())?.map(Some))
}

/// Rules that match but for grants and conditions.
trait Candidates {
    fn candidates<'r>(&self, rules: &'r [Rule]) -> impl Iterator<Item = (RuleIndex, &'r Rule)>;
}

impl Candidates for Found {
    fn candidates<'r>(&self, rules: &'r [Rule]) -> impl Iterator<Item = (RuleIndex, &'r Rule)> {
        let indices = self.conditional.iter();
        indices.filter_map(|index| Some((*index, rules.get(*index as usize)?)))
    }
}

/// What is written in Cedar, where nothing reads it.
#[cfg(not(feature = "cedar"))]
fn needs_cedar(document: &Document, rules: &[Rule]) -> Vec<PolicyError> {
    let hint = |error: PolicyError| error.hint("build with the feature `cedar` of zt-core");
    let whens = rules.iter().filter_map(|rule| rule.when.as_ref());
    let mut errors: Vec<_> = whens
        .map(|when| {
            hint(PolicyError::new(
                &when.origin,
                "`when` needs the feature `cedar`",
            ))
        })
        .collect();
    errors.extend(document.cedar.iter().map(|file| {
        let origin = super::model::Origin {
            file: Arc::clone(&file.file),
            ..Default::default()
        };
        hint(PolicyError::new(
            &origin,
            "Cedar policies need the feature `cedar`",
        ))
    }));
    errors
}
