//! Tables that the page's script sorts and filters.
//!
//! Without the script a table shows all its rows in the order given. A cell holds what it is sorted by apart from what it
//! shows, so that `12 345` sorts as a number and a label sorts by its name alone.

use maud::{Markup, html};

use super::words::{Term, count, decimal, interval, text};
use crate::eval::report::Estimate;

/// The heading of a column.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column {
    heading: Term,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Ids,
    Words,
    Numbers,
    Prose,
}

/// A column of ids, as narrow as they are.
pub(super) const fn ids(heading: Term) -> Column {
    Column { heading, kind: Kind::Ids }
}

/// A column of short words, flush left.
pub(super) const fn words(heading: Term) -> Column {
    Column { heading, kind: Kind::Words }
}

/// A column of numbers, flush right.
pub(super) const fn numbers(heading: Term) -> Column {
    Column { heading, kind: Kind::Numbers }
}

/// A column of sentences, which takes the room that the others leave.
pub(super) const fn prose(heading: Term) -> Column {
    Column { heading, kind: Kind::Prose }
}

/// What stands in one cell.
#[derive(Debug)]
pub(super) struct Cell {
    shown: Markup,
    /// What the cell is sorted by, where that is not what it shows.
    sort: Option<String>,
}

impl Cell {
    /// What the caller makes up.
    pub(super) fn markup(shown: Markup) -> Self {
        Self { shown, sort: None }
    }

    /// Words from outside.
    pub(super) fn text(words: &str) -> Self {
        Self::markup(text(words))
    }

    /// A count.
    pub(super) fn count(number: u64) -> Self {
        Self { shown: html! { (count(number)) }, sort: Some(number.to_string()) }
    }

    /// A number with decimals.
    pub(super) fn number(number: f64) -> Self {
        Self { shown: html! { (decimal(number)) }, sort: Some(number.to_string()) }
    }

    /// A figure with its interval beside it; empty, and sorted last, if there is none.
    pub(super) fn estimate(estimate: Option<Estimate>) -> Self {
        let shown = html! {
            // The room for the interval is kept where there is none, so that the figures stand in one column.
            @if let Some(estimate) = estimate { (decimal(estimate.value)) span.ci { (interval(estimate)) } }
        };
        Self { shown, sort: estimate.map(|estimate| estimate.value.to_string()) }
    }
}

/// A table of `N` columns.
#[derive(Debug)]
pub(super) struct Table<const N: usize> {
    id: &'static str,
    caption: &'static str,
    columns: [Column; N],
    rows: Vec<[Cell; N]>,
}

impl<const N: usize> Table<N> {
    /// An empty table; its id is unique on the page, and its caption is for those who hear the page.
    pub(super) fn new(id: &'static str, caption: &'static str, columns: [Column; N]) -> Self {
        Self { id, caption, columns, rows: Vec::new() }
    }

    /// Adds rows below those that there are.
    pub(super) fn rows(mut self, rows: impl IntoIterator<Item = [Cell; N]>) -> Self {
        self.rows.extend(rows);
        self
    }
}

impl<const N: usize> maud::Render for Table<N> {
    fn render(&self) -> Markup {
        html! {
            table.sortable id=(self.id) {
                caption { (self.caption) }
                thead { tr {
                    @for column in &self.columns {
                        th scope="col" class=(column.class()) data-kind=(column.sorts_as()) {
                            (column.heading.en) span.zh lang="zh-Hans" { (column.heading.zh) }
                        }
                    }
                } }
                tbody {
                    @for row in &self.rows {
                        tr {
                            @for (column, cell) in self.columns.iter().zip(row) {
                                td class=(column.class()) data-sort=[cell.sort.as_deref()] { (cell.shown) }
                            }
                        }
                    }
                }
            }
        }
    }
}

impl Column {
    fn class(self) -> &'static str {
        match self.kind {
            Kind::Ids => "ids",
            Kind::Words => "words",
            Kind::Numbers => "num",
            Kind::Prose => "prose",
        }
    }

    fn sorts_as(self) -> &'static str {
        if self.kind == Kind::Numbers { "number" } else { "text" }
    }
}

#[cfg(test)]
mod tests {
    use maud::Render;

    use super::super::words::term;
    use super::*;

    #[test]
    fn numbers_carry_what_they_are_sorted_by() {
        let columns = [words(term("label", "标签")), numbers(term("rows", "行数"))];
        let table = Table::new("t", "Rows", columns).rows([[Cell::text("住房"), Cell::count(12_345)]]);
        let html = table.render().into_string();
        assert!(html.contains(r#"<td class="num" data-sort="12345">12"#), "{html}");
        assert!(html.contains(r#"<th scope="col" class="num" data-kind="number">rows"#), "{html}");
    }

    #[test]
    fn a_figure_that_is_not_there_leaves_its_cell_empty() {
        let table = Table::new("t", "F1", [numbers(term("F1", "F1"))]).rows([[Cell::estimate(None)]]);
        assert!(table.render().into_string().contains(r#"<td class="num"></td>"#));
    }
}
