use std::sync::Arc;

use super::{
    Clause, CspError, Directive, Source,
    clause::{Value, is_none},
    words,
};

/// What one route changes in the layer's policy: insert it into the extensions of its response.
///
/// The other directives stay as they are. Only the enforced policy is changed, and only where the
/// layer writes it: a policy that the handler wrote itself stands. Cheap to clone; make it once.
///
/// ```
/// use zt_core::headers::csp::{CspOverride, Directive, Source};
///
/// let maps = CspOverride::builder()
///     .append(Directive::ImgSrc, [Source::host("https://tiles.example.com")?])
///     .replace(Directive::FrameAncestors, [Source::SelfOrigin])
///     .build()?;
/// let mut response = http::Response::new("<html>…</html>");
/// response.extensions_mut().insert(maps);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct CspOverride(Arc<[Change]>);

#[derive(Debug, Clone)]
enum Change {
    Replace(Clause),
    Append(Clause),
    Remove(Directive),
}

impl Change {
    const fn directive(&self) -> Directive {
        match self {
            Self::Replace(clause) | Self::Append(clause) => clause.directive,
            Self::Remove(directive) => *directive,
        }
    }
}

impl CspOverride {
    /// Starts an override.
    pub const fn builder() -> CspOverrideBuilder {
        CspOverrideBuilder {
            changes: Ok(Vec::new()),
        }
    }

    pub(super) fn apply(&self, clauses: &[Clause]) -> Vec<Clause> {
        let mut clauses = clauses.to_vec();
        for change in &*self.0 {
            match change {
                Change::Replace(clause) => replace(&mut clauses, clause),
                Change::Append(clause) => append(&mut clauses, clause),
                Change::Remove(directive) => {
                    clauses.retain(|clause| clause.directive != *directive);
                }
            }
        }
        clauses
    }
}

fn find(clauses: &mut [Clause], directive: Directive) -> Option<&mut Clause> {
    clauses
        .iter_mut()
        .find(|clause| clause.directive == directive)
}

fn replace(clauses: &mut Vec<Clause>, clause: &Clause) {
    match find(clauses, clause.directive) {
        Some(own) => *own = clause.clone(),
        None => clauses.push(clause.clone()),
    }
}

/// Permits more. Where the directive is absent, what is appended joins the sources that hold in
/// its absence, or else a page would lose them; where nothing restricts it, nothing has to be said.
fn append(clauses: &mut Vec<Clause>, clause: &Clause) {
    if let Some(own) = find(clauses, clause.directive) {
        extend(&mut own.values, &clause.values);
        return;
    }
    let holds = clause
        .directive
        .fallbacks()
        .iter()
        .find_map(|directive| clauses.iter().find(|own| own.directive == *directive));
    if let Some(own) = holds {
        let mut values = own.values.clone();
        extend(&mut values, &clause.values);
        clauses.push(Clause {
            directive: clause.directive,
            values,
        });
    }
}

fn extend(values: &mut Vec<Value>, more: &[Value]) {
    values.retain(|value| !is_none(value));
    for value in more {
        if !values.contains(value) {
            values.push(value.clone());
        }
    }
}

/// Collects the changes of a [`CspOverride`]; the first error is told by [`build`](Self::build).
#[derive(Debug, Clone)]
#[must_use]
pub struct CspOverrideBuilder {
    changes: Result<Vec<Change>, CspError>,
}

impl CspOverrideBuilder {
    /// Puts a directive of sources in place of the policy's own, or adds it.
    pub fn replace(self, directive: Directive, sources: impl IntoIterator<Item = Source>) -> Self {
        self.push(|| Clause::new(directive, sources).map(Change::Replace))
    }

    /// As [`replace`](Self::replace), from the text of the value; for every directive.
    pub fn replace_text(self, directive: Directive, value: &str) -> Self {
        self.push(|| Clause::parse(directive, words(value)).map(Change::Replace))
    }

    /// Permits these sources too. Where the directive is absent, they join those of the directive
    /// that holds instead (`default-src`, in most cases); where none does, everything is permitted
    /// already and stays so.
    pub fn append(self, directive: Directive, sources: impl IntoIterator<Item = Source>) -> Self {
        self.push(|| appended(Clause::new(directive, sources)?))
    }

    /// As [`append`](Self::append), from the text of the value.
    pub fn append_text(self, directive: Directive, value: &str) -> Self {
        self.push(|| appended(Clause::parse(directive, words(value))?))
    }

    /// Takes a directive away.
    pub fn remove(self, directive: Directive) -> Self {
        self.push(|| Ok(Change::Remove(directive)))
    }

    /// The override.
    ///
    /// # Errors
    ///
    /// When nothing is changed, one directive is changed twice, a value is not what it seems, or
    /// something is appended to a directive that is no list (or `'none'` to any).
    pub fn build(self) -> Result<CspOverride, CspError> {
        let changes = self.changes?;
        if changes.is_empty() {
            return Err(CspError::Empty);
        }
        Ok(CspOverride(changes.into()))
    }

    pub(super) fn replace_clause(self, clause: Result<Clause, CspError>) -> Self {
        self.push(|| clause.map(Change::Replace))
    }

    pub(super) fn append_clause(self, clause: Result<Clause, CspError>) -> Self {
        self.push(|| appended(clause?))
    }

    fn push(mut self, change: impl FnOnce() -> Result<Change, CspError>) -> Self {
        self.changes = self.changes.and_then(|mut changes| {
            let change = change()?;
            let directive = change.directive();
            if changes.iter().any(|own| own.directive() == directive) {
                return Err(CspError::Duplicate(directive));
            }
            changes.push(change);
            Ok(changes)
        });
        self
    }
}

fn appended(clause: Clause) -> Result<Change, CspError> {
    let directive = clause.directive;
    if !directive.is_list() {
        return Err(CspError::NotAList(directive));
    }
    if clause.values.iter().any(is_none) {
        return Err(CspError::NoneWithOthers(directive));
    }
    Ok(Change::Append(clause))
}
