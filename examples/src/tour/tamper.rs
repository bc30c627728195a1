//! Copies of a log that somebody changed, each in another way; each is found.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use zt_audit::verify::Finding;

use super::Report;
use crate::{Result, audit};

/// What somebody did to the lines of a segment.
type Change = fn(Vec<String>) -> Option<Vec<String>>;

/// Changes copies of `log` in four ways, and gives a fifth the checkpoint of `other`.
pub(super) fn play(log: &Path, other: &Path, report: &mut Report) -> Result<()> {
    let ways: [(&str, Change); 4] = [
        ("a log with another word in a record", change_a_word),
        ("a log without one of its records", remove_a_record),
        (
            "a log with two records in each other's place",
            swap_two_records,
        ),
        ("a log whose end was cut off, cleanly", cut_the_end_off),
    ];
    for (what, change) in ways {
        let copy = Copy::of(log)?;
        if copy.edit(change)? {
            copy.found(what, report)?;
        } else {
            let nothing = "there is nothing to change".to_owned();
            report.fact(what, "found".to_owned(), nothing, false);
        }
    }
    let copy = Copy::of(log)?;
    fs::copy(other.join("checkpoint"), copy.0.join("checkpoint"))?;
    copy.found("a log with another service's checkpoint", report)
}

fn change_a_word(mut lines: Vec<String>) -> Option<Vec<String>> {
    let line = lines
        .iter_mut()
        .find(|line| line.contains(r#""decision":"deny""#))?;
    *line = line.replace(r#""decision":"deny""#, r#""decision":"permit""#);
    Some(lines)
}

fn remove_a_record(mut lines: Vec<String>) -> Option<Vec<String>> {
    let at = lines
        .iter()
        .position(|line| line.contains(r#""decision":"deny""#))?;
    lines.remove(at);
    Some(lines)
}

fn swap_two_records(mut lines: Vec<String>) -> Option<Vec<String>> {
    let mut denials = lines
        .iter()
        .enumerate()
        .filter(|(_, line)| line.contains(r#""decision":"deny""#))
        .map(|(at, _)| at);
    let (first, second) = (denials.next()?, denials.next()?);
    lines.swap(first, second);
    Some(lines)
}

/// To the end of an earlier batch: what is left agrees with itself.
fn cut_the_end_off(mut lines: Vec<String>) -> Option<Vec<String>> {
    let mut commits = lines
        .iter()
        .enumerate()
        .filter(|(_, line)| line.starts_with(r#"{"commit""#))
        .map(|(at, _)| at)
        .rev();
    let (_last, before) = (commits.next()?, commits.next()?);
    lines.truncate(before + 1);
    Some(lines)
}

/// A copy of a log, beside it; gone when it is dropped. Its key is that of the log.
struct Copy(PathBuf, PathBuf);

impl Copy {
    fn of(log: &Path) -> io::Result<Self> {
        let mut name = log.as_os_str().to_owned();
        name.push(".copy");
        let copy = Self(name.into(), audit::keys(log));
        copy_folder(log, &copy.0)?;
        Ok(copy)
    }

    /// Changes the lines of its last segment, where there is anything to change.
    fn edit(&self, change: Change) -> Result<bool> {
        let mut segments: Vec<PathBuf> = fs::read_dir(self.0.join("log"))?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<io::Result<_>>()?;
        segments.sort();
        let segment = segments.last().ok_or("a log without a segment")?;
        let lines: Vec<String> = fs::read_to_string(segment)?
            .lines()
            .map(str::to_owned)
            .collect();
        let Some(mut lines) = change(lines) else {
            return Ok(false);
        };
        lines.push(String::new());
        fs::write(segment, lines.join("\n"))?;
        Ok(true)
    }

    fn found(&self, what: &str, report: &mut Report) -> Result<()> {
        let found = audit::check_against(&self.0, &self.1)?;
        report.fact(
            what,
            "found".to_owned(),
            found.to_string(),
            matches!(found.finding, Finding::Tampered(_)) && found.exit_code() == 1,
        );
        Ok(())
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
