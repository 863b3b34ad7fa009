//! The whole page: its head with style, script and policy, and its sections in order.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest, Sha256};

use super::sections::{self, Section};
use super::words::{count, percent, term};
use crate::eval::report::ReportError;
use crate::eval::report::{ReportData, WhatWasEvaluated};

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

/// Makes the page: one HTML file that asks for no other.
///
/// # Errors
/// If `data` breaks a rule of [`ReportData::check`], or a plot cannot be drawn.
pub fn render(data: &ReportData) -> Result<String, ReportError> {
    data.check()?;
    let sections = sections::all(data)?;
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                // Before all that it is about.
                meta http-equiv="Content-Security-Policy" content=(policy());
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light";
                title { "Evaluation of " (data.what.head) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                (header(&data.what, &sections))
                main { @for section in &sections { (section) } }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    Ok(page.into_string())
}

/// What the page may do: look as its style says, and run its own script, known by its hash.
fn policy() -> String {
    let hash = BASE64_STANDARD.encode(Sha256::digest(SCRIPT));
    format!(
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{hash}'; img-src data:; \
         base-uri 'none'; form-action 'none'"
    )
}

fn header(what: &WhatWasEvaluated, sections: &[Section]) -> Markup {
    html! {
        header {
            h1 { (term("Evaluation report", "评测报告")) }
            p.lead {
                b { (what.head) }
                @if let Some(system) = &what.label_system { " as " b { (system) } }
                @if let Some(channel) = &what.channel { " by " b { (channel) } }
                " on " (count(what.rows)) " rows"
            }
            dl {
                div { dt { (term("Model", "模型")) } dd {
                    (what.model) " (" (what.model_revision) ")"
                    @if let Some(precision) = &what.precision { ", " (precision) }
                    @if let Some(endpoint) = &what.endpoint { ", asked at " (endpoint) }
                } }
                div { dt { (term("Rows", "数据")) } dd {
                    @for (index, file) in what.files.iter().enumerate() {
                        @if index > 0 { ", " }
                        (file)
                    }
                    @if what.rows_without_label > 0 {
                        "; " (count(what.rows_without_label)) " more without a label left out"
                    }
                } }
                div { dt { (term("Taxonomy", "分类体系")) } dd {
                    (what.taxonomy_version)
                    @if let Some(directory) = &what.directory_version { ", directory of departments " (directory) }
                } }
                div { dt { (term("Intervals", "区间")) } dd {
                    (percent(what.confidence_level)) ", " (count(what.resamples)) " bootstrap resamples, seed " (what.seed)
                } }
                div { dt { (term("Made", "生成")) } dd {
                    time datetime=(what.created) { (what.created) } " by version " (what.program_version)
                } }
            }
            @if sections.len() > 1 {
                nav aria-label="Sections" {
                    @for section in sections { a href={ "#" (section.id) } { (section.heading) } }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::report::sample::{bare, full};

    const HOSTILE: &str = r#"</textarea></script><script>alert("1")</script><img src=x onerror='a'>"#;

    type Change = fn(&mut ReportData);

    fn page(change: impl FnOnce(&mut ReportData)) -> String {
        let mut data = full();
        change(&mut data);
        render(&data).unwrap()
    }

    fn ids(page: &str) -> Vec<&str> {
        page.split("<section id=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect()
    }

    #[test]
    fn shows_every_section_in_order() {
        let expected = [
            "figures",
            "gates",
            "labels",
            "confusion",
            "reliability",
            "selective",
            "slices",
            "errors",
            "noise",
            "duplicates",
        ];
        assert_eq!(ids(&page(|_| ())), expected);
    }

    #[test]
    fn leaves_out_each_section_that_has_nothing_to_say() {
        let cases: [(&str, Change); 10] = [
            ("figures", |data| data.figures.clear()),
            ("gates", |data| data.gates.clear()),
            ("labels", |data| data.labels.clear()),
            ("confusion", |data| data.confusion_matrix = None),
            ("reliability", |data| data.reliability.clear()),
            ("selective", |data| data.risk_coverage = None),
            ("slices", |data| data.slices.clear()),
            ("errors", |data| data.errors.clear()),
            ("noise", |data| data.label_noise.clear()),
            ("duplicates", |data| data.duplicates.clear()),
        ];
        for (id, clear) in cases {
            let page = page(clear);
            assert!(!ids(&page).contains(&id), "{id}");
            assert!(!page.contains(&format!("href=\"#{id}\"")), "{id}");
            assert_eq!(ids(&page).len(), 9, "{id}");
        }
    }

    #[test]
    fn a_report_of_nothing_is_still_a_page() {
        let page = render(&bare()).unwrap();
        assert_eq!(ids(&page), [""; 0]);
        assert!(page.contains("Evaluation of category") && !page.contains("<nav"));
    }

    #[test]
    fn hostile_texts_stay_texts() {
        let page = page(|data| {
            let hostile = || HOSTILE.to_owned();
            data.what.head = hostile();
            data.what.files = vec![hostile()];
            data.figures[0].explanation = hostile();
            data.gates[0].slice = Some(hostile());
            data.labels[0].name = hostile();
            data.labels[0].id = hostile();
            if let Some(matrix) = &mut data.confusion_matrix {
                matrix.labels[0] = hostile();
            }
            for slice in &mut data.slices {
                slice.column = hostile();
                slice.value = hostile();
            }
            data.errors[0].text = hostile();
            data.errors[0].title = Some(hostile());
            data.errors[0].reason = hostile();
            data.label_noise[0].text = hostile();
            data.label_noise[0].id = hostile();
            data.duplicates[0].labels[0].ids = vec![hostile()];
        });
        assert_eq!(page.matches("<script").count(), 1);
        assert_eq!(page.matches("</script").count(), 1);
        for never in ["<img", "</textarea", "alert(\"1\")"] {
            assert!(!page.contains(never), "{never}");
        }
        for attribute in ["aria-label=\"", "id=\"", "class=\"", "data-sort=\""] {
            for value in page.split(attribute).skip(1) {
                assert!(!value.split('"').next().unwrap().contains(['<', '>']), "{attribute}");
            }
        }
    }

    #[test]
    fn asks_for_nothing_from_anywhere() {
        let page = page(|_| ()).replace("http://www.w3.org/2000/svg", "");
        for never in ["http:", "https:", "//", "url(", "@import", "src="] {
            let page = if never == "//" { page.replace(SCRIPT, "") } else { page.clone() };
            assert!(!page.contains(never), "{never}");
        }
    }

    #[test]
    fn the_policy_names_the_script_that_is_there() {
        let page = page(|_| ());
        let script = page.split("<script>").nth(1).unwrap().split("</script>").next().unwrap();
        let hash = BASE64_STANDARD.encode(Sha256::digest(script));
        assert!(page.contains(&format!("script-src 'sha256-{hash}'")));
        assert!(script.lines().count() < 120);
        for never in ["eval(", "innerHTML", "insertAdjacentHTML", "document.write"] {
            assert!(!script.contains(never), "{never}");
        }
    }

    #[test]
    fn every_plot_says_what_it_shows() {
        let page = page(|_| ());
        let plots = page.matches("<figure").count();
        assert!(plots >= 6, "{plots} plots");
        for figure in page.split("<figure").skip(1) {
            let figure = figure.split("</figure>").next().unwrap();
            assert!(figure.contains("<figcaption") && figure.contains("role=\"img\""));
            let says = figure.split("aria-label=\"").nth(1).unwrap().split('"').next().unwrap();
            assert!(says.len() > 20 && says.ends_with('.'), "{says}");
        }
    }
}
