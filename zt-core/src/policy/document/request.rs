//! What a rule says of a request: methods, hosts, paths.

use std::collections::HashSet;

use http::Method;

use super::{
    pattern::{checked, is_host},
    table::{Str, Table, Value},
};
use crate::{
    policy::{
        facts::usual_spelling,
        model::{Atom, Clause, Effect, PathPattern, PathTemplate, Segment, Text},
    },
    validate::{PathAllowances, PathError, check_path},
};

/// Templates have no more segments.
const MOST_SEGMENTS: usize = 64;

/// All of them, where none is wrong; each is looked at.
pub(super) fn all<T>(found: impl Iterator<Item = Option<T>>) -> Option<Vec<T>> {
    let found: Vec<Option<T>> = found.collect();
    found.into_iter().collect()
}

/// `methods`: upper-case tokens (RFC 9110 section 9.1: methods are case-sensitive).
pub(super) fn methods(value: &Value<'_>, what: &str) -> Option<Vec<Method>> {
    all(value.texts(what)?.iter().map(method))
}

pub(super) fn method(written: &Str<'_>) -> Option<Method> {
    let text = written.text;
    let method = Method::from_bytes(text.as_bytes()).ok();
    if method.is_some() && !text.bytes().any(|byte| byte.is_ascii_lowercase()) && text != "*" {
        return method;
    }
    let hint = if text == "*" {
        "leave it out for every method".to_owned()
    } else if method.is_some() {
        format!("write `{}`", text.to_ascii_uppercase())
    } else {
        "a token, like `GET`".to_owned()
    };
    written.refuse_with(format!("`{text}` is not a method in upper case"), hint);
    None
}

pub(super) fn hosts(value: &Value<'_>) -> Option<Vec<Text>> {
    checked(value, "hosts", is_host)
}

/// `path` or `paths`, not both.
pub(super) fn paths(table: &mut Table<'_>) -> Option<Vec<PathTemplate>> {
    let (one, several) = (table.get("path"), table.get("paths"));
    let texts = match (one, several) {
        (None, None) => return None,
        (Some(one), None) => vec![one.text("path")?],
        (None, Some(several)) => {
            several.list("paths")?;
            several.texts("paths")?
        }
        (Some(one), Some(_)) => {
            one.source
                .refuse_with(&one.at, "`path` and `paths` are both said", "keep `paths`");
            return None;
        }
    };
    all(texts.iter().map(template))
}

/// A rule that denies GET denies HEAD as well, which routers answer with the handlers of GET (RFC 9110
/// section 9.3.2). One that allows GET does not allow HEAD.
pub(super) fn method_clause(methods: &[Method], effect: Effect) -> Option<Clause> {
    let atom = |method: &Method| Atom::Method(Text::exact(method.as_str()));
    let has = |method| methods.contains(method);
    let head = effect == Effect::Deny && has(&Method::GET) && !has(&Method::HEAD);
    let also = head.then_some(&Method::HEAD);
    (!methods.is_empty()).then(|| Clause::any(methods.iter().chain(also).map(atom)))
}

pub(super) fn path_clause(paths: impl IntoIterator<Item = PathTemplate>) -> Clause {
    let atom = |path| Atom::Path(PathPattern::Template(path));
    Clause::any(paths.into_iter().map(atom))
}

/// `/orders/{id}`, `/files/{rest..}`.
pub(super) fn template(written: &Str<'_>) -> Option<PathTemplate> {
    let text = written.text;
    let refuse = |message: String, hint: &str| {
        written.refuse_with(message, hint);
        None
    };
    let Some(inner) = text.strip_prefix('/') else {
        return refuse(
            format!("the path `{text}` does not begin with a slash"),
            "rules compare paths, without scheme, host and query",
        );
    };
    let mut template = PathTemplate {
        segments: Vec::new(),
        rest: None,
    };
    let mut names = HashSet::new();
    let mut plain = String::new();
    let mut segments = inner.split('/').peekable();
    while let Some(segment) = segments.next() {
        let Some(name) = parameter(segment) else {
            if segment.contains(['{', '}']) {
                return refuse(
                    format!("`{segment}` is neither a name nor a parameter"),
                    "a parameter is a whole segment: `{id}`, or `{rest..}` at the end; \
                     encode a brace that is meant (`%7B`, `%7D`)",
                );
            }
            plain.push('/');
            plain.push_str(segment);
            template.segments.push(Segment::Literal(segment.into()));
            continue;
        };
        plain.push_str("/x");
        let (name, rest) = match name.strip_suffix("..") {
            Some(name) => (name, true),
            None => (name, false),
        };
        if !is_parameter_name(name) {
            return refuse(
                format!("`{segment}` has no sound name"),
                "a name of letters, digits and `_`, no digit first: `{id}`, or `{rest..}` at the end",
            );
        }
        if !names.insert(name) {
            return refuse(
                format!("two parameters of `{text}` are named `{name}`"),
                "give each its own name",
            );
        }
        if !rest {
            template.segments.push(Segment::Parameter(name.into()));
        } else if segments.peek().is_none() {
            template.rest = Some(name.into());
        } else {
            return refuse(
                format!("`{segment}` does not stand at the end of `{text}`"),
                "only the last segment takes all that follows",
            );
        }
    }
    if template.segments.len() > MOST_SEGMENTS {
        return refuse(
            format!("the path has more than {MOST_SEGMENTS} segments"),
            "a `{rest..}` takes many",
        );
    }
    match check_path(plain.as_bytes(), PathAllowances::NONE) {
        Ok(()) => match spelled_apart(&template) {
            None => Some(template),
            Some((segment, usual)) => refuse(
                format!("`{segment}` is not in its usual spelling"),
                &format!("write `{usual}`: a request that is denied is so in every spelling"),
            ),
        },
        Err(error) => refuse(
            format!("no request has the path `{text}`: {error}"),
            hint_for(error),
        ),
    }
}

/// A literal that has another spelling, and that.
fn spelled_apart(template: &PathTemplate) -> Option<(&str, String)> {
    template.segments.iter().find_map(|segment| match segment {
        Segment::Literal(text) => Some((&**text, usual_spelling(text)?)),
        Segment::Parameter(_) => None,
    })
}

fn parameter(segment: &str) -> Option<&str> {
    segment
        .strip_prefix('{')?
        .strip_suffix('}')
        .filter(|name| !name.contains(['{', '}']))
}

fn is_parameter_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes
        .next()
        .is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn hint_for(error: PathError) -> &'static str {
    match error {
        PathError::Character => {
            "encode what is not ASCII (`caf%C3%A9`); a query is not part of a path"
        }
        PathError::EmptySegment | PathError::DotSegment => {
            "such requests are refused before any rule is read"
        }
        PathError::EncodedUnreserved => "write the letter itself",
        PathError::EncodedSlash => "such requests are refused; leave the segment to a parameter",
        _ => "write it as it stands in a request line",
    }
}
