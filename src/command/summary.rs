//! What a job of `jiesu batch` did, as a table for people.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;

use crate::batch::Outcome;

/// Most lines of a list.
const SHOWN: usize = 20;

/// Writes the counts of a job that is finished.
pub(super) fn write(
    out: &mut impl Write,
    outcome: &Outcome,
    output: &Path,
    rejects: &Path,
) -> io::Result<()> {
    let tally = &outcome.tally;
    let (answered, rejected) = (tally.answered, tally.rejects());
    writeln!(out, "{} rows read = {answered} answered + {rejected} rejected", answered + rejected)?;
    writeln!(out, "{} in `{}`", rows(answered), output.display())?;
    if rejected > 0 {
        writeln!(out, "{} in `{}`", rows(rejected), rejects.display())?;
        list(out, "rejects", &tally.rejected, rejected)?;
    }
    list(out, "categories 类别", &tally.categories, answered)?;
    list(out, "leads 主办", &tally.leads, answered)?;
    writeln!(
        out,
        "\naccepted 自动派单: {} of {answered} ({:.1} %)",
        tally.accepted,
        share(tally.accepted, answered)
    )?;
    if tally.unknown_areas > 0 {
        writeln!(
            out,
            "area unknown to the directory, so that the words placed it: {}",
            rows(tally.unknown_areas)
        )?;
    }
    let labelled = tally.labelled();
    if labelled > 0 {
        let kept = tally.label_kept;
        writeln!(
            out,
            "\nlabels of before: {kept} of {labelled} ({:.1} %) are the category's id or name",
            share(kept, labelled)
        )?;
        let moved = tally.labels.iter().flat_map(|(from, to)| {
            to.iter()
                .filter(move |(to, _)| *to != from)
                .map(move |(to, count)| (format!("{from} → {to}"), *count))
        });
        list(out, "from → to", &moved.collect(), labelled)?;
    }
    Ok(())
}

fn list(out: &mut impl Write, title: &str, counts: &BTreeMap<String, u64>, all: u64) -> io::Result<()> {
    let mut counts: Vec<_> = counts.iter().collect();
    counts.sort_by(|a, b| b.1.cmp(a.1));
    writeln!(out, "\n{title}")?;
    for (name, count) in counts.iter().take(SHOWN) {
        let name = if name.is_empty() { "none" } else { name };
        writeln!(out, "{count:>9}  {:>5.1} %  {name}", share(**count, all))?;
    }
    if counts.len() > SHOWN {
        let rest: u64 = counts[SHOWN..].iter().map(|(_, count)| **count).sum();
        writeln!(out, "{rest:>9}  {:>5.1} %  {} others", share(rest, all), counts.len() - SHOWN)?;
    }
    Ok(())
}

fn rows(count: u64) -> String {
    if count == 1 { "1 row".to_owned() } else { format!("{count} rows") }
}

fn share(part: u64, all: u64) -> f64 {
    100.0 * part as f64 / all.max(1) as f64
}
