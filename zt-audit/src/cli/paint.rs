//! Colours, where they are wanted.

use super::{arguments::Arguments, failure::Failure};

/// Whether to colour, and how.
#[derive(Debug, Clone, Copy)]
pub(super) struct Paint(bool);

/// What a piece of output is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Good,
    Warning,
    Bad,
    Faint,
    Plain,
}

impl Paint {
    /// No colours.
    #[cfg(test)]
    pub(super) const PLAIN: Self = Self(false);
    /// Colours.
    #[cfg(test)]
    pub(super) const COLOURED: Self = Self(true);

    /// As `--color` says; `auto` where it says nothing.
    pub(super) fn chosen(arguments: &Arguments, terminal: bool) -> Result<Self, Failure> {
        match arguments.text("--color")? {
            None | Some("auto") => Ok(Self(terminal)),
            Some("always") => Ok(Self(true)),
            Some("never") => Ok(Self(false)),
            Some(other) => Err(arguments.usage(format!(
                "`--color` is `auto`, `always` or `never`, not `{other}`"
            ))),
        }
    }

    /// `text`, which is escaped already, in its colour.
    pub(super) fn tone(self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Good => "32",
            Tone::Warning => "33",
            Tone::Bad => "31",
            Tone::Faint => "2",
            Tone::Plain => return text.to_owned(),
        };
        if self.0 {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }
}
