//! When one thing that is asked for means another one, and when two exclude each other. What is not
//! certain is neither.

use crate::{
    identity::PrincipalKind,
    policy::model::{Atom, Clause, Networks, PathPattern, PathTemplate, Rule, Segment, Text},
};

/// Clauses with more pairs of atoms are not compared.
const MOST_PAIRS: usize = 10_000;

/// Whether `wide` matches every request that `narrow` matches.
pub(super) fn covers(wide: &Rule, narrow: &Rule) -> bool {
    wide.clauses
        .iter()
        .all(|wide| is_always(wide) || narrow.clauses.iter().any(|narrow| means(narrow, wide)))
}

/// Why a rule of these clauses can never match, if it cannot.
pub(crate) fn contradiction(clauses: &[Clause]) -> Option<String> {
    // Two negated clauses never exclude each other, and an operation may have many that are closer.
    let (mut before, mut positive): (Vec<&Clause>, Vec<&Clause>) = (Vec::new(), Vec::new());
    for clause in clauses {
        if is_never(clause) {
            return Some(format!("its {} leaves no choice", said(clause)));
        }
        let others = if clause.negated { &positive } else { &before };
        if let Some(other) = others.iter().find(|other| exclude(other, clause)) {
            return Some(match (said(other), said(clause)) {
                (one, two) if one == two => format!("what it says of {one} excludes itself"),
                (one, two) => format!("its {one} and its {two} exclude each other"),
            });
        }
        before.push(clause);
        if !clause.negated {
            positive.push(clause);
        }
    }
    None
}

fn is_always(clause: &Clause) -> bool {
    match clause.negated {
        true => clause.any.iter().all(|atom| *atom == Atom::Always(false)),
        false => clause.any.contains(&Atom::Always(true)),
    }
}

fn is_never(clause: &Clause) -> bool {
    match clause.negated {
        true => clause.any.contains(&Atom::Always(true)),
        false => clause.any.iter().all(|atom| *atom == Atom::Always(false)),
    }
}

/// Whether `wide` holds wherever `narrow` does.
fn means(narrow: &Clause, wide: &Clause) -> bool {
    if narrow == wide {
        return true;
    }
    if narrow.any.len().saturating_mul(wide.any.len()) > MOST_PAIRS {
        return false;
    }
    let each = |from: &[Atom], to: &[Atom], is: fn(&Atom, &Atom) -> bool| {
        from.iter().all(|from| to.iter().any(|to| is(from, to)))
    };
    match (narrow.negated, wide.negated) {
        (false, false) => each(&narrow.any, &wide.any, implies),
        (true, true) => each(&wide.any, &narrow.any, implies),
        (false, true) => exclude_all(&narrow.any, &wide.any),
        (true, false) => false,
    }
}

/// Whether both never hold together.
fn exclude(one: &Clause, two: &Clause) -> bool {
    if one.any.len().saturating_mul(two.any.len()) > MOST_PAIRS {
        return false;
    }
    let inside = |some: &Clause, none: &Clause| {
        some.any
            .iter()
            .all(|atom| none.any.iter().any(|other| implies(atom, other)))
    };
    match (one.negated, two.negated) {
        (false, false) => exclude_all(&one.any, &two.any),
        (false, true) => inside(one, two),
        (true, false) => inside(two, one),
        (true, true) => false,
    }
}

fn exclude_all(some: &[Atom], others: &[Atom]) -> bool {
    some.iter()
        .all(|one| others.iter().all(|other| excludes(one, other)))
}

/// Whether `wide` holds wherever `narrow` does.
fn implies(narrow: &Atom, wide: &Atom) -> bool {
    match (narrow, wide) {
        (Atom::Always(false), _) | (_, Atom::Always(true)) => true,
        (Atom::Issuer(narrow), Atom::Issuer(wide))
        | (Atom::Subject(narrow), Atom::Subject(wide))
        | (Atom::Tenant(narrow), Atom::Tenant(wide))
        | (Atom::Role(narrow), Atom::Role(wide))
        | (Atom::Scope(narrow), Atom::Scope(wide))
        | (Atom::Workload(narrow), Atom::Workload(wide))
        | (Atom::TrustDomain(narrow), Atom::TrustDomain(wide))
        | (Atom::Method(narrow), Atom::Method(wide)) => is_part(narrow, wide),
        (Atom::Host(narrow), Atom::Host(wide)) => is_part(&lower(narrow), &lower(wide)),
        (Atom::Claim(name, narrow), Atom::Claim(other, wide)) => {
            name == other && is_part(narrow, wide)
        }
        (Atom::Workload(id), Atom::TrustDomain(wide)) => {
            trust_domain_of(id).is_some_and(|domain| wide.is(domain))
        }
        (Atom::Client(narrow), Atom::Client(wide))
        | (Atom::Connection(narrow), Atom::Connection(wide)) => lie_in(narrow, wide),
        (Atom::Path(narrow), Atom::Path(wide)) => is_path_part(narrow, wide),
        (narrow, wide) => narrow == wide,
    }
}

/// Whether both never hold together. Of roles, scopes and claims a caller has many.
fn excludes(one: &Atom, two: &Atom) -> bool {
    match (one, two) {
        (Atom::Always(false), _) | (_, Atom::Always(false)) => true,
        (Atom::Kind(one), Atom::Kind(two)) => one != two,
        (Atom::Kind(PrincipalKind::Anonymous), other)
        | (other, Atom::Kind(PrincipalKind::Anonymous)) => is_of_somebody(other),
        (Atom::Issuer(one), Atom::Issuer(two))
        | (Atom::Subject(one), Atom::Subject(two))
        | (Atom::Tenant(one), Atom::Tenant(two))
        | (Atom::Workload(one), Atom::Workload(two))
        | (Atom::TrustDomain(one), Atom::TrustDomain(two))
        | (Atom::Method(one), Atom::Method(two)) => are_apart(one, two),
        (Atom::Host(one), Atom::Host(two)) => are_apart(&lower(one), &lower(two)),
        (Atom::Workload(id), Atom::TrustDomain(domain))
        | (Atom::TrustDomain(domain), Atom::Workload(id)) => {
            trust_domain_of(id).is_some_and(|of_id| !domain.is(of_id))
        }
        (Atom::Client(one), Atom::Client(two)) | (Atom::Connection(one), Atom::Connection(two)) => {
            lie_apart(one, two)
        }
        (Atom::Path(PathPattern::Template(one)), Atom::Path(PathPattern::Template(two))) => {
            !overlap(one, two)
        }
        _ => false,
    }
}

/// What nobody who is anonymous has.
const fn is_of_somebody(atom: &Atom) -> bool {
    matches!(
        atom,
        Atom::Issuer(_)
            | Atom::Subject(_)
            | Atom::Tenant(_)
            | Atom::Role(_)
            | Atom::Scope(_)
            | Atom::Claim(..)
    )
}

/// Whether every text that is `narrow` is `wide`.
fn is_part(narrow: &Text, wide: &Text) -> bool {
    match (wide, narrow) {
        (Text::Present, Text::Present) => true,
        (Text::Present, Text::Exact(text) | Text::Prefix(text) | Text::Suffix(text)) => {
            !text.is_empty()
        }
        (wide, Text::Exact(text)) => wide.is(text),
        (Text::Prefix(wide), Text::Prefix(narrow)) => narrow.starts_with(&**wide),
        (Text::Suffix(wide), Text::Suffix(narrow)) => narrow.ends_with(&**wide),
        (Text::Prefix(wide) | Text::Suffix(wide), _) => wide.is_empty(),
        (Text::Exact(_), _) => false,
    }
}

/// Whether no text is both.
fn are_apart(one: &Text, two: &Text) -> bool {
    match (one, two) {
        (Text::Exact(text), other) | (other, Text::Exact(text)) => !other.is(text),
        (Text::Prefix(one), Text::Prefix(two)) => {
            !one.starts_with(&**two) && !two.starts_with(&**one)
        }
        (Text::Suffix(one), Text::Suffix(two)) => !one.ends_with(&**two) && !two.ends_with(&**one),
        _ => false,
    }
}

fn lower(text: &Text) -> Text {
    match text {
        Text::Present => Text::Present,
        Text::Exact(text) => Text::Exact(text.to_ascii_lowercase().into()),
        Text::Prefix(text) => Text::Prefix(text.to_ascii_lowercase().into()),
        Text::Suffix(text) => Text::Suffix(text.to_ascii_lowercase().into()),
    }
}

/// The trust domain of all SPIFFE IDs that are `id`, where they have one.
pub(super) fn trust_domain_of(id: &Text) -> Option<&str> {
    let (id, whole) = match id {
        Text::Exact(id) => (id, true),
        Text::Prefix(id) => (id, false),
        Text::Present | Text::Suffix(_) => return None,
    };
    let rest = id.strip_prefix("spiffe://")?;
    match rest.split_once('/') {
        Some((domain, _)) => Some(domain),
        None => whole.then_some(rest),
    }
}

fn lie_in(narrow: &Networks, wide: &Networks) -> bool {
    if narrow == wide {
        return true;
    }
    if narrow.written.len().saturating_mul(wide.written.len()) > MOST_PAIRS {
        return false;
    }
    let mut narrow = narrow.written.iter();
    narrow.all(|narrow| wide.written.iter().any(|wide| wide.contains(narrow)))
}

fn lie_apart(one: &Networks, two: &Networks) -> bool {
    if one.written.len().saturating_mul(two.written.len()) > MOST_PAIRS {
        return false;
    }
    one.written.iter().all(|one| {
        let mut others = two.written.iter();
        others.all(|two| !one.contains(two) && !two.contains(one))
    })
}

fn is_path_part(narrow: &PathPattern, wide: &PathPattern) -> bool {
    match (narrow, wide) {
        (PathPattern::Template(narrow), PathPattern::Template(wide)) => {
            is_template_part(narrow, wide)
        }
        (PathPattern::Text(narrow), PathPattern::Text(wide)) => is_part(narrow, wide),
        (narrow, wide) => narrow == wide,
    }
}

/// Whether every path that `narrow` matches is one that `wide` matches.
fn is_template_part(narrow: &PathTemplate, wide: &PathTemplate) -> bool {
    // `{rest..}` takes one segment at least, be it an empty one.
    let least = |path: &PathTemplate| path.segments.len() + usize::from(path.rest.is_some());
    let as_long = match (&wide.rest, &narrow.rest) {
        (None, None) => narrow.segments.len() == wide.segments.len(),
        (None, Some(_)) => false,
        (Some(_), _) => {
            least(narrow) >= least(wide) && narrow.segments.len() >= wide.segments.len()
        }
    };
    as_long
        && narrow
            .segments
            .iter()
            .zip(&wide.segments)
            .all(|pair| match pair {
                (Segment::Literal(narrow), Segment::Literal(wide)) => narrow == wide,
                (Segment::Literal(narrow), Segment::Parameter(_)) => !narrow.is_empty(),
                (Segment::Parameter(_), Segment::Parameter(_)) => true,
                (Segment::Parameter(_), Segment::Literal(_)) => false,
            })
}

/// Whether some path is matched by both.
pub(crate) fn overlap(one: &PathTemplate, two: &PathTemplate) -> bool {
    let reaches = |long: &PathTemplate, short: &PathTemplate| {
        long.segments.len() == short.segments.len() && short.rest.is_some() == long.rest.is_some()
            || short.rest.is_some() && (long.segments.len() > short.segments.len())
            || short.rest.is_some() && long.rest.is_some()
    };
    (reaches(one, two) || reaches(two, one))
        && one
            .segments
            .iter()
            .zip(&two.segments)
            .all(|pair| match pair {
                (Segment::Literal(one), Segment::Literal(two)) => one == two,
                (Segment::Literal(text), Segment::Parameter(_))
                | (Segment::Parameter(_), Segment::Literal(text)) => !text.is_empty(),
                (Segment::Parameter(_), Segment::Parameter(_)) => true,
            })
}

/// What a clause is about, as files call it.
fn said(clause: &Clause) -> &'static str {
    match clause.any.first() {
        Some(Atom::Kind(_)) => "`kind`",
        Some(Atom::Issuer(_)) => "`issuer`",
        Some(Atom::Subject(_)) => "`subject`",
        Some(Atom::Tenant(_)) => "`tenant`",
        Some(Atom::Role(_)) => "`roles`",
        Some(Atom::Scope(_)) => "`scopes`",
        Some(Atom::Claim(..)) => "`claims`",
        Some(Atom::Workload(_)) => "`workload`",
        Some(Atom::TrustDomain(_)) => "`trust_domain`",
        Some(Atom::Client(_) | Atom::Nowhere | Atom::Connection(_) | Atom::Unconnected) => {
            "`networks`"
        }
        Some(Atom::Method(_)) => "`methods`",
        Some(Atom::Host(_)) => "`hosts`",
        Some(Atom::Path(_)) => "`paths`",
        Some(Atom::Istio(_) | Atom::Always(_)) | None => "choices",
    }
}
