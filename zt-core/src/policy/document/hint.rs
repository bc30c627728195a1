//! "Did you mean": the closest of what is known.

/// Longer names are not compared.
const LONGEST: usize = 64;
/// No more names than these are listed.
const MOST_NAMES: usize = 20;

/// The name that was probably meant, or else what there is.
pub(super) fn among<'a>(found: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    let close = known
        .iter()
        .filter(|name| name.len() <= LONGEST && found.len() <= LONGEST)
        .map(|name| (distance(found, name), *name))
        .filter(|(distance, name)| *distance <= (name.len().max(found.len()) / 3).max(1))
        .min();
    match close {
        Some((_, name)) => format!("did you mean `{name}`?"),
        None if known.is_empty() => "there is none".to_owned(),
        None => {
            let names: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
            let (shown, more) = names.split_at(names.len().min(MOST_NAMES));
            let more = match more.len() {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            format!("known are {}{more}", shown.join(", "))
        }
    }
}

/// How many characters have to be changed, added, left out or swapped with their neighbour (the
/// restricted form of Damerau and Levenshtein).
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let first: Vec<usize> = (0..=to.len()).collect();
    let (mut before, mut row) = (first.clone(), first);
    let mut previous = None;
    for (at, letter) in from.chars().enumerate() {
        let mut next = vec![at + 1];
        for (column, other) in to.iter().enumerate() {
            let cell =
                |row: &[usize], column: usize| row.get(column).copied().unwrap_or(usize::MAX - 1);
            let mut best = (cell(&row, column) + usize::from(letter != *other))
                .min(cell(&row, column + 1) + 1)
                .min(cell(&next, column) + 1);
            if let Some(left) = column.checked_sub(1)
                && previous == Some(*other)
                && to.get(left) == Some(&letter)
            {
                best = best.min(cell(&before, left) + 1);
            }
            next.push(best);
        }
        before = std::mem::replace(&mut row, next);
        previous = Some(letter);
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_counted_in_characters() {
        for (from, to, is) in [
            ("path", "path", 0),
            ("pth", "path", 1),
            ("paht", "path", 1),
            ("", "path", 4),
            ("path", "", 4),
            ("kitten", "sitting", 3),
            ("é", "e", 1),
        ] {
            assert_eq!(distance(from, to), is, "{from} {to}");
        }
    }

    #[test]
    fn the_closest_name_is_meant() {
        assert_eq!(among("pth", ["paths", "path"]), "did you mean `path`?");
        assert_eq!(among("xyz", ["path", "id"]), "known are `path`, `id`");
        assert_eq!(among("xyz", []), "there is none");
        let many: Vec<String> = (0..25).map(|at| format!("name-{at}")).collect();
        let hint = among("q", many.iter().map(String::as_str));
        assert!(hint.ends_with("`name-19` and 5 more"), "{hint}");
    }
}
