//! The policy file: TOML, read strictly.
//!
//! What the file says and means stands in [`policy`](super). Everything that is wrong is told at
//! once, with its place, and a hint where one is to be had.
//!
//! Bounds: a file has at most [`LARGEST_FILE`] bytes, a policy 100,000 rules and 10,000
//! operations, rules leave out closer operations 250,000 times, a text has 8 KiB, a
//! condition 64 KiB, a path 64 segments, a body 64 fields.

use std::{ops::Range, sync::Arc};

use sha2::{Digest, Sha256};
use toml::de::{DeTable, DeValue};

use self::{
    environment::Environments,
    rules::Rules,
    source::Source,
    table::{Str, Table, Value},
};
use super::{
    PolicyErrors, PolicyOptions,
    database::Database,
    model::{Document, Effect, Rule, SourceText, turns_around},
};

mod caller;
mod closer;
mod environment;
pub(super) mod file;
mod hint;
mod operation;
mod pattern;
mod request;
mod roles;
mod rule;
mod rules;
mod source;
mod table;
#[cfg(test)]
mod tests;

/// A file has no more bytes.
pub(super) const LARGEST_FILE: usize = 16 * 1024 * 1024;
/// It names no more files.
const MOST_FILES: usize = 256;

/// Reads the main file; `others` are the Cedar files that it names, by name.
pub(super) fn parse(
    main: &SourceText,
    others: &dyn Fn(&str) -> Result<Arc<str>, String>,
    options: &PolicyOptions,
) -> Result<Document, PolicyErrors> {
    let source = Source::new(main);
    if main.text.len() > LARGEST_FILE {
        source.refuse(
            &(0..0),
            format!("the file is larger than {LARGEST_FILE} bytes"),
        );
        return Err(PolicyErrors::new(source.into_errors()));
    }
    if let Some(at) = source.too_deep() {
        source.refuse(&(at..at), "values lie too deep in one another");
        return Err(PolicyErrors::new(source.into_errors()));
    }
    if let Some(at) = main.text.find(turns_around) {
        source.refuse_with(
            &(at..at),
            "a letter that turns text around",
            "the file would be shown otherwise than it is read; write the letters one by one",
        );
        return Err(PolicyErrors::new(source.into_errors()));
    }
    let (root, errors) = DeTable::parse_recoverable(&main.text);
    for error in errors {
        let at = error.span().unwrap_or(0..0);
        source.refuse(&at, format!("this is not TOML: {}", error.message()));
    }
    if !source.is_sound() {
        return Err(PolicyErrors::new(source.into_errors()));
    }
    let document = read(
        Table::new(&source, 0..0, root.get_ref()),
        main,
        others,
        options,
    );
    PolicyErrors::check(source.into_errors())?;
    Ok(document)
}

fn read<'t>(
    mut root: Table<'t>,
    main: &SourceText,
    others: &dyn Fn(&str) -> Result<Arc<str>, String>,
    options: &PolicyOptions,
) -> Document {
    let source = root.source;
    let name = root.text("policy");
    let is_named = root.has("policy");
    let name = name.filter(|name| pattern::is_name(name, "a policy"));
    let version = root.text("version");
    let version = version.filter(|text| pattern::is_name(text, "a version"));
    let time_zone = root.text("time_zone");
    let deny_all = root.get("deny_all");
    let environments = Environments::read(root.table("environments"), source, options);
    let (names, permissions) = roles::read(root.table("resources"), root.table("roles"));
    let attributes = operation::attributes(root.table("attributes"));
    let operations = operation::operations(root.table("operations"));
    let cedar = cedar(root.table("cedar"), others);
    let rules = root.get("rule");
    let database = root.get("database");
    root.finish("the policy");

    let mut all = Rules::default();
    all.permissions(permissions, &environments);
    let context = rule::Context {
        names: &names,
        environments: &environments,
        operations: &closer::Operations::new(&operations),
    };
    all.written(rules.as_ref(), &context);
    names.finish();
    let rules = all.finish(source);
    check_effect(source, &rules, !cedar.is_empty(), deny_all.as_ref());
    let database = database.and_then(|value| {
        if !is_named {
            value.source.refuse_with(
                &value.at,
                "`[database]` stands in a policy without a name, by which its roles are known",
                "say `policy = \"NAME\"`: of one name, two files would take each other's roles apart",
            );
        }
        read_database(&value, &rules)
    });
    Document {
        name: name.map_or_else(|| stem(&main.file), |name| pattern::shared(&name)),
        version: version.map_or_else(|| digest(main, &cedar), |text| pattern::shared(&text)),
        rules,
        operations,
        attributes,
        cedar,
        time_zone_origin: time_zone
            .as_ref()
            .map_or_else(Default::default, |zone| source.origin(zone.at.start)),
        time_zone: time_zone.map(|zone| pattern::shared(&zone)),
        database,
        ..Document::default()
    }
}

/// A policy that allows nothing says so.
fn check_effect(source: &Source<'_>, rules: &[Rule], cedar: bool, deny_all: Option<&Value<'_>>) {
    let says = deny_all.and_then(|value| value.flag("deny_all"));
    let in_force = |rule: &&Rule| !rule.dry_run;
    let allows = cedar
        || rules
            .iter()
            .filter(in_force)
            .any(|rule| rule.effect == Effect::Allow);
    if let (Some(true), Some(value)) = (says, deny_all) {
        if allows {
            value.source.refuse_with(
                &value.at,
                "`deny_all` stands beside rules that allow",
                "leave out the one or the other",
            );
        }
        return;
    }
    if allows || !source.is_sound() {
        return;
    }
    let message = if rules.is_empty() {
        "this policy has no rule in force"
    } else if rules.iter().all(|rule| rule.dry_run) {
        "this policy is nothing but dry run"
    } else {
        "this policy allows nothing"
    };
    let hint = "where every request is to be denied, say `deny_all = true`";
    source.refuse_with(&(0..0), message, hint);
}

/// `[database]`
fn read_database(section: &Value<'_>, rules: &[Rule]) -> Option<Database> {
    let DeValue::Table(table) = section.value else {
        return section.is_no("database", "a table");
    };
    let mut errors = Vec::new();
    let origin = |at: Range<usize>| section.source.origin(at.start);
    let database = super::database::parse(table, section.at.clone(), rules, &origin, &mut errors);
    for error in errors {
        section.source.report(error);
    }
    Some(database)
}

/// `[cedar]`
fn cedar(
    table: Option<Table<'_>>,
    others: &dyn Fn(&str) -> Result<Arc<str>, String>,
) -> Vec<SourceText> {
    let Some(mut table) = table else {
        return Vec::new();
    };
    let files = table.get("files").and_then(|value| {
        value.list("files")?;
        value.texts("files")
    });
    if !table.has("files") {
        table.source.refuse_with(
            &table.at,
            "`cedar` names no files",
            "say `files = [\"NAME.cedar\"]`",
        );
    }
    table.finish("`cedar`");
    let files = files.unwrap_or_default();
    if files.len() > MOST_FILES {
        table_is_full(files.last());
        return Vec::new();
    }
    let one = |file: &Str<'_>| {
        if !is_inside(file.text) {
            file.refuse_with(
                format!("`{}` leaves the folder of the policy", file.text),
                "name a file beside it, or in a folder below it, with slashes",
            );
            return None;
        }
        match others(file.text) {
            Ok(text) if text.contains(turns_around) => {
                file.refuse(format!(
                    "`{}` has a letter that turns text around",
                    file.text
                ));
                None
            }
            Ok(text) => Some(SourceText {
                file: pattern::shared(file),
                text,
            }),
            Err(message) => {
                file.refuse(message);
                None
            }
        }
    };
    files.iter().filter_map(one).collect()
}

fn table_is_full(last: Option<&Str<'_>>) {
    if let Some(last) = last {
        last.refuse(format!("more than {MOST_FILES} files"));
    }
}

/// A relative path of plain names.
fn is_inside(file: &str) -> bool {
    file.split('/').all(|name| {
        !matches!(name, "" | "." | "..")
            && !name.contains(['\\', ':'])
            && !name.chars().any(char::is_control)
    })
}

/// The name of a file without its folder and its ending.
fn stem(file: &str) -> Arc<str> {
    let name = file.rsplit(['/', '\\']).next().unwrap_or(file);
    let stem = name.split_once('.').map_or(name, |(stem, _)| stem);
    Arc::from(if stem.is_empty() { "policy" } else { stem })
}

/// The beginning of SHA-256 over all texts, each with its name and length before it.
fn digest(main: &SourceText, cedar: &[SourceText]) -> Arc<str> {
    let mut hash = Sha256::new();
    hash.update(main.text.len().to_string());
    hash.update("\n");
    hash.update(main.text.as_bytes());
    for SourceText { file, text } in cedar {
        hash.update(format!("{}\n{file}{}\n", file.len(), text.len()));
        hash.update(text.as_bytes());
    }
    let digest = hash.finalize();
    let hex: String = digest
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    hex.into()
}
