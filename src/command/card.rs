//! An answer as a card for people: aligned, coloured on a terminal, Chinese names first.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::assessment::{Assessment, DecisionAction, Evidence, EvidenceTarget, Label};
use crate::dispatch::{DepartmentRole, DepartmentSuggestion};
use crate::request::{Field, RequestText};

const NAME: Style = Style::new().bold();
const FAINT: Style = Style::new().dimmed();
const HEADING: Style = AnsiColor::Cyan.on_default();
const ACCEPT: Style = AnsiColor::Green.on_default().bold();
const REVIEW: Style = AnsiColor::Yellow.on_default().bold();
const ALARM: Style = AnsiColor::Red.on_default().bold();

/// Columns of a Chinese name, and of an English one.
const NAME_WIDTH: usize = 18;
const NAME_EN_WIDTH: usize = 43;
/// Columns of the quoted request and of a probability bar.
const QUOTE_WIDTH: usize = 72;
const BAR_WIDTH: usize = 20;

/// Writes one card and a blank line.
pub(super) fn write(out: &mut impl Write, request: &RequestText, answer: &Assessment) -> io::Result<()> {
    let title = request.original(Field::Title);
    if !title.trim().is_empty() {
        line(out, "标题", "title", &cut(title, QUOTE_WIDTH))?;
    }
    line(out, "诉求", "request", &cut(request.original(Field::Text), QUOTE_WIDTH))?;
    for (position, category) in answer.categories.iter().enumerate() {
        let style = if position == 0 { NAME } else { FAINT };
        let heading = if position == 0 { ("类别", "category") } else { ("", "") };
        let bar = bar(category.probability);
        line(out, heading.0, heading.1, &format!("{}  {HEADING}{bar}{HEADING:#}", named(category, style)))?;
    }
    for (heading, heading_en, label) in
        [("类型", "kind", &answer.kind), ("紧急程度", "urgency", &answer.urgency)]
    {
        if let Some(label) = label {
            let style = if matches!(label.id.as_str(), "urgent" | "critical") { ALARM } else { NAME };
            line(out, heading, heading_en, &named(label, style))?;
        }
    }
    for (heading, heading_en, labels, style) in
        [("风险", "risks", &answer.risks, ALARM), ("重点人群", "groups", &answer.groups, NAME)]
    {
        for (position, label) in labels.iter().enumerate() {
            let (heading, heading_en) = if position == 0 { (heading, heading_en) } else { ("", "") };
            line(out, heading, heading_en, &named(label, style))?;
        }
    }
    for department in &answer.departments {
        let (heading, heading_en) = match department.role {
            DepartmentRole::Lead => ("主办", "lead"),
            DepartmentRole::Supporting => ("协办", "supporting"),
            DepartmentRole::Territorial => ("属地", "territorial"),
        };
        line(out, heading, heading_en, &suggested(department))?;
    }
    write_evidence(out, &answer.evidence)?;
    let (action, style) = match answer.decision.action {
        DecisionAction::Accept => ("自动派单 accept", ACCEPT),
        DecisionAction::Review => ("人工复核 review", REVIEW),
    };
    let reasons: Vec<&str> = answer.decision.reasons.iter().map(|reason| reason.message.as_str()).collect();
    line(out, "决定", "decision", &format!("{style}{action}{style:#}  {}", reasons.join("; ")))?;
    let versions = format!(
        "{}@{}, taxonomy {}, directory {}",
        answer.model, answer.model_revision, answer.taxonomy_version, answer.directory_version
    );
    line(out, "版本", "versions", &format!("{FAINT}{versions}{FAINT:#}"))?;
    writeln!(out)
}

/// Writes the words that carried the category, and those that carried the lead where they are others.
fn write_evidence(out: &mut impl Write, evidence: &[Evidence]) -> io::Result<()> {
    let of = |target| -> Vec<&str> {
        evidence.iter().filter(|span| span.target == target).map(|span| span.text.as_str()).collect()
    };
    let (category, lead) = (of(EvidenceTarget::Category), of(EvidenceTarget::Lead));
    let lead = if lead == category { Vec::new() } else { lead };
    for (heading, heading_en, spans) in [("依据", "evidence", category), ("主办依据", "lead since", lead)]
    {
        for (position, span) in spans.into_iter().enumerate() {
            let (heading, heading_en) = if position == 0 { (heading, heading_en) } else { ("", "") };
            line(out, heading, heading_en, &format!("「{}」", cut(span, QUOTE_WIDTH)))?;
        }
    }
    Ok(())
}

fn line(out: &mut impl Write, heading: &str, heading_en: &str, content: &str) -> io::Result<()> {
    let heading = pad(heading, 9);
    writeln!(out, "{HEADING}{heading}{HEADING:#}{FAINT}{heading_en:<12}{FAINT:#}{content}")
}

fn named(label: &Label, style: Style) -> String {
    let name = pad(&label.name, NAME_WIDTH);
    let name_en = pad(&label.name_en, NAME_EN_WIDTH);
    format!("{style}{name}{style:#}{FAINT}{name_en}{FAINT:#}{}", percent(label.probability))
}

fn suggested(department: &DepartmentSuggestion) -> String {
    let name = pad(&department.name, NAME_WIDTH);
    let name_en = pad(&department.name_en, NAME_EN_WIDTH);
    let style = if department.role == DepartmentRole::Lead { NAME } else { Style::new() };
    // Units that only a rule or the area names have no probability.
    let probability =
        if department.probability > 0.0 { percent(department.probability) } else { " ".repeat(6) };
    let reason = &department.reason;
    format!("{style}{name}{style:#}{FAINT}{name_en}{FAINT:#}{probability}  {FAINT}{reason}{FAINT:#}")
}

fn bar(probability: f32) -> String {
    (0..BAR_WIDTH).filter(|&step| probability * BAR_WIDTH as f32 >= step as f32 + 0.5).map(|_| '█').collect()
}

fn percent(probability: f32) -> String {
    format!("{:>5.1}%", probability * 100.0)
}

fn pad(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(text.width()).max(1)))
}

/// The first `width` columns on one line.
fn cut(text: &str, width: usize) -> String {
    let mut columns = 0;
    let mut kept = String::new();
    for c in text.trim().chars().map(|c| if c.is_whitespace() { ' ' } else { c }).filter(|c| !c.is_control())
    {
        columns += c.width().unwrap_or(0);
        if columns > width {
            kept.push('…');
            break;
        }
        kept.push(c);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_by_columns_and_never_breaks_the_line() {
        assert_eq!(cut("路灯\n坏了", 20), "路灯 坏了");
        assert_eq!(cut("路灯坏了", 5), "路灯…");
        assert_eq!(cut("\u{1b}[31m路灯", 20), "[31m路灯");
    }

    #[test]
    fn pads_by_columns() {
        assert_eq!(pad("住建", 6), "住建  ");
        assert_eq!(pad("住房和城乡建设", 6), "住房和城乡建设 ");
    }
}
