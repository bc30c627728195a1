//! Access reviews: who may do this, and what may this caller do.
//!
//! # What it protects against
//!
//! Access that nobody remembers having given. A review answers from the policy in force itself, so it
//! cannot be out of date, and it leaves nothing out: whoever is permitted is permitted by something
//! that is listed.
//!
//! # What a review says
//!
//! A rule is listed where nothing that is known says that it cannot match. What is not known yet
//! stays with it as what it needs: of the caller in [`who_can`](CompiledPolicy::who_can), of the
//! request in [`what_can`](CompiledPolicy::what_can); a grant and a condition in any case.
//!
//! 1. **`allow`**: the rules by which it is permitted, in the order of the file;
//! 2. **`deny`**: the rules that may still say no. One that needs nothing more says no to all
//!    ([`Review::denied_by`]);
//! 3. **`cedar`**: whole Cedar policies, which are listed and not looked into;
//! 4. **`open`**: where the policy has no allowing rule and says by explicit option that this allows.
//!
//! Rules in dry run are not in force, and not listed.
//!
//! # What it does not do
//!
//! It does not know which callers there are, nor ask sources, grants and conditions: it shows what they
//! are asked. So more may be listed than there is; never less.

#[cfg(test)]
mod tests;

use std::{fmt, sync::Arc};

use serde::Serialize;

use super::{
    CompiledPolicy, Question, QuestionError,
    explain::words,
    facts::Facts,
    model::{Atom, Clause, Effect, Otherwise, PathPattern, Rule, Side},
    question::Asked,
};

/// What rules say of a request or a caller. Readable in a terminal (`Display`), and as JSON.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Review {
    /// What was asked.
    pub about: String,
    /// Why every such request is refused before any rule is looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// Rules by which it is permitted.
    pub allow: Vec<ReviewedRule>,
    /// Rules that may still say no.
    pub deny: Vec<ReviewedRule>,
    /// Whole Cedar policies, with what each says where it applies.
    pub cedar: Vec<ReviewedCedar>,
    /// What no rule speaks of is permitted, because the policy was loaded so.
    pub open: bool,
}

/// A rule, and what it still needs.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct ReviewedRule {
    /// The rule.
    pub rule: Arc<str>,
    /// The file that it stands in.
    pub file: Arc<str>,
    /// Its line there.
    pub line: usize,
    /// Methods that it is for; none: all that the request may have.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<String>,
    /// Hosts that it is for; none: all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    /// Templates of paths that it is for; none: all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
    /// What else has to hold, in words.
    pub needs: Vec<String>,
    /// The grant that has to be held.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grant: Option<Arc<str>>,
    /// The condition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when: Option<Arc<str>>,
}

/// A whole Cedar policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ReviewedCedar {
    /// Its `@id`.
    pub id: Arc<str>,
    /// `allow` (a `permit`) or `deny` (a `forbid`).
    pub effect: &'static str,
    /// The file that it stands in.
    pub file: Arc<str>,
}

impl CompiledPolicy {
    /// Who may send such a request: `POST /charge`, or with a host `POST https://pay.example/charge`.
    /// Where no host is said, any. Headers and addresses are what the caller may choose.
    ///
    /// ```
    /// # use zt_core::policy::{CompiledPolicy, PolicyOptions};
    /// # let text = r#"
    /// # [[rule]]
    /// # id = "orders-charge"
    /// # effect = "allow"
    /// # caller = { workload = "spiffe://shop.example/orders" }
    /// # methods = ["POST"]
    /// # path = "/charge"
    /// # "#;
    /// let policy = CompiledPolicy::from_toml(text, &PolicyOptions::new())?;
    /// let review = policy.who_can("POST /charge")?;
    /// assert_eq!(&*review.allow[0].rule, "orders-charge");
    /// assert_eq!(review.allow[0].needs, ["caller.workload is `spiffe://shop.example/orders`"]);
    /// assert!(policy.who_can("GET /charge")?.allow.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Where that is no request.
    pub fn who_can(&self, request: &str) -> Result<Review, QuestionError> {
        let asked = Asked::of(&Question::new(request), &[])?;
        let access = asked.access();
        let (path, usual) = match self.engine().spellings(&access) {
            Ok(spellings) => spellings,
            Err(denial) => {
                let why = denial.private_detail().unwrap_or(denial.code().as_str());
                return Ok(Review {
                    refused: Some(why.to_owned()),
                    ..self.review(request.to_owned(), &|_| Some(false))
                });
            }
        };
        let facts = Facts {
            host: access.host(),
            ..Facts::with_path(&access, &path)
        };
        let known = |facts: &Facts<'_>, atom: &Atom| match atom {
            Atom::Method(_) | Atom::Path(_) | Atom::Always(_) => Some(atom.holds(facts)),
            Atom::Host(_) => facts.host.map(|_| atom.holds(facts)),
            _ => None,
        };
        let written = |atom: &Atom| known(&facts, atom);
        let mut review = match usual {
            None => self.review(request.to_owned(), &written),
            // Denying rules are compared with the usual spelling too, as when a request is decided.
            Some(path) => {
                let path = path.as_str();
                let usual = |atom: &Atom| known(&Facts { path, ..facts }, atom);
                self.review_as(request.to_owned(), &written, Some(&usual))
            }
        };
        for rule in review.allow.iter_mut().chain(&mut review.deny) {
            rule.methods.clear();
            rule.paths.clear();
        }
        Ok(review)
    }

    /// What the caller of `question` may do: principal, workload and, where one is said, the
    /// client's address are as the question has them. Its request does not matter.
    ///
    /// # Errors
    ///
    /// As [`ask`](Self::ask).
    pub fn what_can(&self, question: &Question) -> Result<Review, QuestionError> {
        let asked = Asked::of(question, &self.document().attributes)?;
        let access = asked.access();
        let facts = Facts::with_path(&access, access.path());
        let about = match (facts.named(), facts.workload()) {
            (Some(who), Some(workload)) if who.subject() != workload => {
                format!(
                    "{} `{}` over `{workload}`",
                    who.kind().as_str(),
                    who.subject()
                )
            }
            (Some(who), _) => format!("{} `{}`", who.kind().as_str(), who.subject()),
            (None, Some(workload)) => format!("anybody over `{workload}`"),
            (None, None) => "anybody".to_owned(),
        };
        Ok(self.review(words::line(&about), &|atom| match atom {
            Atom::Always(_) => Some(atom.holds(&facts)),
            Atom::Client(_) | Atom::Nowhere | Atom::Connection(_) | Atom::Unconnected => {
                facts.client.map(|_| atom.holds(&facts))
            }
            atom => match atom.side() {
                Side::Principal | Side::Peer => Some(atom.holds(&facts)),
                Side::Request => None,
            },
        }))
    }

    fn review(&self, about: String, known: Known<'_>) -> Review {
        self.review_as(about, known, None)
    }

    /// Denying rules match also as `otherwise` has it; where they match both ways they are listed as
    /// what denies more. Allowing ones match only where what they leave out is left out both ways.
    fn review_as(&self, about: String, known: Known<'_>, otherwise: Option<Known<'_>>) -> Review {
        let engine = self.engine();
        let of = |effect: Effect| {
            let rules = engine
                .rules
                .iter()
                .filter(move |rule| rule.effect == effect)
                .filter(|rule| {
                    let mut left_out = rule.clauses.iter().filter(|it| it.leaves_out_paths());
                    let otherwise = otherwise.filter(|_| effect == Effect::Allow);
                    otherwise.is_none_or(|known| left_out.all(|it| left(it, known).is_some()))
                });
            let listed = rules.filter_map(|rule| {
                let first = reviewed(rule, known);
                let second = otherwise.filter(|_| effect == Effect::Deny);
                let second = second.and_then(|known| reviewed(rule, known));
                [first, second]
                    .into_iter()
                    .flatten()
                    .min_by_key(|rule| rule.needs.len())
            });
            listed.collect()
        };
        let allows = engine.rules.iter().any(|rule| rule.effect == Effect::Allow);
        Review {
            about,
            refused: None,
            allow: of(Effect::Allow),
            deny: of(Effect::Deny),
            cedar: self.cedar(),
            open: engine.otherwise == Otherwise::Allow && !allows,
        }
    }

    /// Loading has seen to it that each has an id.
    #[cfg(feature = "cedar")]
    fn cedar(&self) -> Vec<ReviewedCedar> {
        let mut found = Vec::new();
        for source in &self.document().cedar {
            let set: cedar_policy::PolicySet = source.text.parse().unwrap_or_default();
            found.extend(set.policies().map(|policy| ReviewedCedar {
                id: policy.annotation("id").unwrap_or("?").into(),
                effect: match policy.effect() {
                    cedar_policy::Effect::Permit => "allow",
                    cedar_policy::Effect::Forbid => "deny",
                },
                file: Arc::clone(&source.file),
            }));
        }
        found.sort_by(|a, b| (&a.file, &a.id).cmp(&(&b.file, &b.id)));
        found
    }

    /// Loading has refused them.
    #[cfg(not(feature = "cedar"))]
    const fn cedar(&self) -> Vec<ReviewedCedar> {
        Vec::new()
    }
}

/// Whether an atom holds, where that is known.
type Known<'k> = &'k dyn Fn(&Atom) -> Option<bool>;

/// What a rule still needs; `None` where it cannot match.
fn reviewed(rule: &Rule, known: Known<'_>) -> Option<ReviewedRule> {
    let mut reviewed = ReviewedRule {
        rule: Arc::clone(&rule.id),
        file: Arc::clone(&rule.origin.file),
        line: rule.origin.line,
        methods: Vec::new(),
        hosts: Vec::new(),
        paths: Vec::new(),
        needs: Vec::new(),
        grant: rule.grant.clone(),
        when: rule.when.as_ref().map(|when| Arc::clone(&when.text)),
    };
    for clause in &rule.clauses {
        let Some(clause) = left(clause, known)? else {
            continue;
        };
        let list = match clause.any.first() {
            Some(Atom::Method(_)) => &mut reviewed.methods,
            Some(Atom::Host(_)) => &mut reviewed.hosts,
            Some(Atom::Path(_)) => &mut reviewed.paths,
            _ => &mut reviewed.needs,
        };
        // The first clause of its kind that is nothing else; a further one narrows it.
        match texts(&clause) {
            Some(texts) if !clause.negated && list.is_empty() => *list = texts,
            _ => reviewed.needs.push(words::clause(&clause)),
        }
    }
    Some(reviewed)
}

/// What of a clause is left to ask: nothing where it holds already; `None` where it cannot hold.
#[expect(
    clippy::option_option,
    reason = "that it cannot hold and that nothing is left are two things"
)]
fn left(clause: &Clause, known: Known<'_>) -> Option<Option<Clause>> {
    let answers: Vec<Option<bool>> = clause.any.iter().map(known).collect();
    if answers.contains(&Some(true)) {
        return (!clause.negated).then_some(None);
    }
    let open = clause.any.iter().zip(answers);
    let any: Vec<Atom> = open
        .filter(|(_, answer)| answer.is_none())
        .map(|(atom, _)| atom.clone())
        .collect();
    if any.is_empty() {
        return clause.negated.then_some(None);
    }
    Some(Some(Clause {
        negated: clause.negated,
        any,
    }))
}

/// What a clause of methods, hosts or paths alone says.
fn texts(clause: &Clause) -> Option<Vec<String>> {
    let kind = std::mem::discriminant(clause.any.first()?);
    let text = |atom: &Atom| match atom {
        Atom::Method(text) | Atom::Host(text) | Atom::Path(PathPattern::Text(text)) => {
            Some(text.to_string())
        }
        Atom::Path(PathPattern::Template(template)) => Some(template.to_string()),
        Atom::Path(PathPattern::Istio(template)) => Some(template.to_string()),
        _ => None,
    };
    let same = |atom: &&Atom| std::mem::discriminant(*atom) == kind;
    if !clause.any.iter().all(|atom| same(&atom)) {
        return None;
    }
    clause.any.iter().map(text).collect()
}

impl Review {
    /// A denying rule that says no to all of it, whoever asks and whatever else holds.
    #[must_use]
    pub fn denied_by(&self) -> Option<&ReviewedRule> {
        self.deny.iter().find(|rule| rule.is_unconditional())
    }
}

impl ReviewedRule {
    fn is_unconditional(&self) -> bool {
        let lists = [&self.methods, &self.hosts, &self.paths, &self.needs];
        lists.iter().all(|list| list.is_empty()) && self.grant.is_none() && self.when.is_none()
    }
}

impl fmt::Display for Review {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.about)?;
        if let Some(why) = &self.refused {
            return writeln!(f, "  is always refused: {why}");
        }
        if let Some(rule) = self.denied_by() {
            writeln!(f, "  is denied to all by the rule `{}`", rule.rule)?;
        }
        if self.open {
            writeln!(
                f,
                "  is permitted where no rule denies: the policy was loaded so"
            )?;
        }
        let permits = self.cedar.iter().any(|policy| policy.effect == "allow");
        if self.allow.is_empty() && !permits && !self.open {
            writeln!(f, "  is permitted by nothing")?;
        }
        for (heading, rules) in [
            ("permitted by", &self.allow),
            ("unless denied by", &self.deny),
        ] {
            if !rules.is_empty() {
                writeln!(f, "{heading}")?;
            }
            for rule in rules {
                rule.fmt(f)?;
            }
        }
        if !self.cedar.is_empty() {
            writeln!(f, "Cedar policies, which are not looked into")?;
        }
        for policy in &self.cedar {
            writeln!(f, "  {} `{}` ({})", policy.effect, policy.id, policy.file)?;
        }
        Ok(())
    }
}

impl fmt::Display for ReviewedRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  `{}` ({}:{})", self.rule, self.file, self.line)?;
        for (what, list) in [
            ("methods", &self.methods),
            ("hosts", &self.hosts),
            ("paths", &self.paths),
        ] {
            if !list.is_empty() {
                writeln!(f, "    {what}: {}", words::line(&list.join(", ")))?;
            }
        }
        for need in &self.needs {
            writeln!(f, "    where {need}")?;
        }
        if let Some(grant) = &self.grant {
            writeln!(f, "    where the grant `{grant}` is held")?;
        }
        match &self.when {
            Some(when) => writeln!(f, "    where `{}`", words::line(when)),
            None => Ok(()),
        }
    }
}
