use std::io::Write;

use crate::{
    Bar, BenchError, Limit, Measured,
    numbers::{count, signed, span, times},
};

/// What a request through a bare `tower::service_fn` took where the peers were first measured, in
/// nanoseconds: another machine, and a harness of its own.
pub const BASELINE_SERVICE_FN: f64 = 215.0;
/// The same for a bare axum `Router`.
pub const BASELINE_AXUM: f64 = 1003.0;

/// Writes Markdown.
#[derive(Debug)]
pub struct Report<W> {
    out: W,
    bars: Vec<Bar>,
    floor: f64,
}

impl<W: Write> Report<W> {
    /// A report to `out`.
    pub const fn new(out: W) -> Self {
        Self {
            out,
            bars: Vec::new(),
            floor: 1.0,
        }
    }

    /// Writes the heading of a section.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn section(&mut self, name: &str) -> Result<(), BenchError> {
        writeln!(self.out, "\n## {name}")?;
        Ok(())
    }

    /// Writes a line of text.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn line(&mut self, text: &str) -> Result<(), BenchError> {
        writeln!(self.out, "\n{text}")?;
        Ok(())
    }

    /// Writes the table of a group.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn group(&mut self, group: &Measured) -> Result<(), BenchError> {
        writeln!(self.out, "\n**{}**\n", group.title)?;
        writeln!(
            self.out,
            "| | kind | median | p10–p90 | × base | Δ base | allocs | bytes | runs ± | |"
        )?;
        writeln!(self.out, "|---|---|---:|---:|---:|---:|---:|---:|---:|---|")?;
        for row in &group.rows {
            let (ratio, over) = group.base().map_or_else(
                || ("-".to_owned(), "-".to_owned()),
                |base| {
                    (
                        times(row.per_round(base, |mine, base| mine / base)),
                        signed(row.per_round(base, |mine, base| mine - base)),
                    )
                },
            );
            let spread = row.spread().map_or_else(
                || "-".to_owned(),
                |spread| format!("{:.0} %", spread * 100.0),
            );
            writeln!(
                self.out,
                "| {} | {} | {} | {} – {} | {ratio} | {over} | {} | {} | {spread} | {} |",
                row.name,
                row.kind.as_str(),
                span(row.median()),
                span(row.quantile(0.1)),
                span(row.quantile(0.9)),
                count(row.allocations.count),
                count(row.allocations.bytes),
                row.note,
            )?;
        }
        Ok(())
    }

    /// Writes a table of another kind.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn table(
        &mut self,
        title: &str,
        head: &[&str],
        rows: &[Vec<String>],
    ) -> Result<(), BenchError> {
        writeln!(self.out, "\n**{title}**\n")?;
        writeln!(self.out, "| {} |", head.join(" | "))?;
        writeln!(
            self.out,
            "|---{}|",
            "|---:".repeat(head.len().saturating_sub(1))
        )?;
        for row in rows {
            writeln!(self.out, "| {} |", row.join(" | "))?;
        }
        Ok(())
    }

    /// Notes this run's floor over the baseline's; absolute bars are scaled by it.
    pub const fn scale(&mut self, floor: f64) {
        self.floor = floor;
    }

    /// A bar of so many nanoseconds on the baseline's machine.
    #[must_use]
    pub const fn nanos(&self, at_most: f64) -> Limit {
        Limit::Nanos {
            at_most,
            floor: self.floor,
        }
    }

    /// Notes a bar, for the end.
    pub fn bar(&mut self, bar: Bar) {
        self.bars.push(bar);
    }

    /// Writes the bars.
    ///
    /// # Errors
    ///
    /// When they cannot be written.
    pub fn finish(mut self) -> Result<(), BenchError> {
        if !self.bars.is_empty() {
            writeln!(
                self.out,
                "\n## bars\n\n| | bar | found | |\n|---|---|---:|---|"
            )?;
            for bar in &self.bars {
                writeln!(self.out, "{}", bar.line())?;
            }
        }
        self.out.flush()?;
        Ok(())
    }
}
