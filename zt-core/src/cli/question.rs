//! A question from the command line.

use std::{future::Future, path::Path};

use serde_json::{Map, Value, json};

use super::{Surroundings, arguments::Arguments, failure::Failure, load};
use crate::policy::Question;

/// Options of a question, behind those of a policy.
pub(super) const ALL: &[&str] = &[
    "--environment",
    "--istio",
    "--namespace",
    "--root-namespace",
    "--label",
    "--port",
    "--address",
    "--trust-domain",
    "--trust-domain-alias",
    "--insecure-normalise-paths",
    "--insecure-without-provider",
    "--question",
    "--host",
    "--header",
    "--client",
    "--workload",
    "--kind",
    "--issuer",
    "--subject",
    "--tenant",
    "--scope",
    "--role",
    "--claims",
    "--method",
    "--body",
    "--now",
    "--grant",
    "--attribute",
];

pub(super) const HELP: &str = "\
who asks, and what:
      --workload ID        the SPIFFE ID on the connection
      --kind KIND          user, service, anonymous; with --subject
      --subject, --issuer, --tenant TEXT
      --scope, --role TEXT                may stand there several times
      --claims JSON        the claims of the token
      --method METHOD      how the caller was proved: jwt, service-token, client-certificate, signature
      --client ADDRESS     the client's address
      --host HOST          the `Host` field
      --header 'NAME: VALUE'              may stand there several times
      --body JSON          the body; what is no JSON is a text
      --now TIME           RFC 3339
      --grant SCOPE        a grant that is held; may stand there several times
      --attribute GROUP.NAME=JSON         a fact; may stand there several times
      --question FILE      all of it from a file, TOML or JSON; other options say more
";

/// `REQUEST` and what the options say of it.
pub(super) fn read(arguments: &Arguments, request: Option<&str>) -> Result<Question, Failure> {
    let mut question = match arguments.text("--question")? {
        Some(file) => of_file(file)?,
        None => Map::new(),
    };
    if let Some(request) = request {
        question.insert("request".to_owned(), json!(request));
    }
    let json_or_text = |text: &str| serde_json::from_str(text).unwrap_or_else(|_| json!(text));
    for (option, key) in [
        ("--host", "host"),
        ("--client", "client"),
        ("--workload", "workload"),
        ("--now", "now"),
    ] {
        if let Some(text) = arguments.text(option)? {
            question.insert(key.to_owned(), json!(text));
        }
    }
    if let Some(body) = arguments.text("--body")? {
        question.insert("body".to_owned(), json_or_text(body));
    }
    let grants = arguments.texts("--grant")?;
    if !grants.is_empty() {
        question.insert("grants".to_owned(), json!(grants));
    }
    for header in arguments.texts("--header")? {
        let (name, value) = header
            .split_once(':')
            .ok_or_else(|| arguments.usage("`--header` is `NAME: VALUE`"))?;
        within(
            &mut question,
            &["headers", name.trim()],
            json!(value.trim()),
            arguments,
        )?;
    }
    for attribute in arguments.texts("--attribute")? {
        let form = || arguments.usage("`--attribute` is `GROUP.NAME=JSON`");
        let (name, value) = attribute.split_once('=').ok_or_else(form)?;
        let (group, name) = name.split_once('.').ok_or_else(form)?;
        within(
            &mut question,
            &["attributes", group, name],
            json_or_text(value),
            arguments,
        )?;
    }
    for key in ["kind", "issuer", "subject", "tenant", "method"] {
        if let Some(text) = arguments.text(&format!("--{key}"))? {
            within(&mut question, &["caller", key], json!(text), arguments)?;
        }
    }
    for (option, key) in [("--scope", "scopes"), ("--role", "roles")] {
        let texts = arguments.texts(option)?;
        if !texts.is_empty() {
            within(&mut question, &["caller", key], json!(texts), arguments)?;
        }
    }
    if let Some(claims) = arguments.text("--claims")? {
        let claims: Value = serde_json::from_str(claims)
            .map_err(|_| arguments.usage("`--claims` is a JSON object"))?;
        within(&mut question, &["caller", "claims"], claims, arguments)?;
    }
    serde_json::from_value(Value::Object(question))
        .map_err(|error| arguments.usage(format!("the question: {error}")))
}

fn of_file(file: &str) -> Result<Map<String, Value>, Failure> {
    let text = load::text(Path::new(file))?;
    let wrong = |message: &dyn std::fmt::Display| Failure::usage(format!("`{file}`: {message}"));
    if text.trim_start().starts_with('{') {
        return serde_json::from_str(&text).map_err(|error| wrong(&error));
    }
    let mut table: toml::Table = text.parse().map_err(|error| wrong(&error))?;
    // JSON has no moments.
    as_texts(&mut table);
    let value = serde_json::to_value(table).map_err(|error| wrong(&error))?;
    match value {
        Value::Object(map) => Ok(map),
        _ => Err(wrong(&"it is no table")),
    }
}

fn as_texts(table: &mut toml::Table) {
    for (_, value) in table.iter_mut() {
        match value {
            toml::Value::Datetime(moment) => *value = toml::Value::String(moment.to_string()),
            toml::Value::Table(table) => as_texts(table),
            _ => {}
        }
    }
}

fn within(
    map: &mut Map<String, Value>,
    path: &[&str],
    value: Value,
    arguments: &Arguments,
) -> Result<(), Failure> {
    let Some((last, before)) = path.split_last() else {
        return Ok(());
    };
    let mut at = map;
    for name in before {
        let inner = at.entry((*name).to_owned()).or_insert_with(|| json!({}));
        at = inner
            .as_object_mut()
            .ok_or_else(|| arguments.usage(format!("`{name}` of the question is no table")))?;
    }
    at.insert((*last).to_owned(), value);
    Ok(())
}

/// Waits for an answer; the sources are the question's own, so it is there at once.
pub(super) fn answered<T>(answer: impl Future<Output = T>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .map_err(Failure::usage)?;
    Ok(runtime.block_on(answer))
}

/// For the commands whose arguments are a policy's file and a request, or a request alone.
pub(super) fn request<'a>(
    arguments: &'a Arguments,
    files: usize,
    _around: &mut Surroundings<'_>,
) -> Result<Option<&'a str>, Failure> {
    if arguments.positionals() > files + 1 {
        return Err(arguments.usage("one argument is too many"));
    }
    match arguments.positional(files) {
        Some(_) => arguments.needed(files, "REQUEST").map(Some),
        None => Ok(None),
    }
}
