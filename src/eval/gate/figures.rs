//! The figures that a gate is held against, however they came about.

use super::{Bound, End};
use crate::fault::closest;
use crate::message::quoted;

/// How many names a message shows.
const SHOWN_NAMES: usize = 12;

/// A figure of an evaluation, and how sure it is. A number that is not known is NaN.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Found {
    /// The figure itself.
    pub value: f64,
    /// The lower end of its 95 % interval.
    pub low: f64,
    /// The upper end of its 95 % interval.
    pub high: f64,
    /// How many rows it was counted on: for a figure of one label, those that it is a share of.
    pub rows: usize,
    /// Whether more is better.
    pub higher_is_better: bool,
}

/// Why there is no such figure, and which ones there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Missing {
    /// No figure has the id.
    Figure {
        /// The ids of the figures that there are.
        known: Vec<String>,
    },
    /// No label has the name.
    Label {
        /// The labels that there are.
        known: Vec<String>,
    },
    /// The figure is of one label, and none was named.
    NeedsLabel {
        /// The labels that there are.
        known: Vec<String>,
    },
    /// The figure is of no one label, and one was named.
    NotOfLabels,
    /// Figures of one label are counted on all rows, and a slice was named too.
    LabelInSlice,
    /// The rows are not sliced by such a column.
    Column {
        /// The columns that they are sliced by.
        known: Vec<String>,
    },
    /// No row has the value in the column.
    Slice {
        /// The values that there are.
        known: Vec<String>,
    },
}

/// What a gate is held against: the figures of an evaluation, by their ids.
pub trait Figures {
    /// The figure `id` of all rows, or of those with `slice`, a column and a value; of one `label` where it is such a figure.
    ///
    /// # Errors
    /// If there is no such figure.
    fn figure(&self, id: &str, label: Option<&str>, slice: Option<(&str, &str)>) -> Result<Found, Missing>;
}

impl Found {
    /// One of its numbers.
    pub fn end(self, end: End) -> f64 {
        match end {
            End::Low => self.low,
            End::Value => self.value,
            End::High => self.high,
        }
    }
}

impl Missing {
    /// What there is none of, and what there is, for whoever wrote `bound`.
    pub(super) fn told(&self, bound: &Bound) -> String {
        let Bound { figure, label, slice, .. } = bound;
        let label = label.as_deref().unwrap_or_default();
        let (column, value) = slice.as_ref().map_or(("", ""), |slice| (&slice.column, &slice.value));
        let no = |what: &str, name: &str, known: &[String]| {
            let meant = closest(name, known.iter().map(String::as_str));
            let there_is = if meant.is_empty() { "; there is" } else { " There is" };
            format!("there is no {what} `{name}`{meant}{there_is} {}", some(known))
        };
        match self {
            Self::Figure { known } => no("figure", figure, known),
            Self::Label { known } => no("label", label, known),
            Self::NeedsLabel { known } => {
                format!("`{figure}` is of one label; name it with `label`; there is {}", some(known))
            }
            Self::LabelInSlice => {
                format!("`{figure}` of one label is not told of a slice; remove `label` or `slice`")
            }
            Self::NotOfLabels => format!("`{figure}` is not of one label; remove `label`"),
            Self::Column { known } if known.is_empty() => {
                format!("the rows are not sliced by `{column}`; add `--slice {column}`")
            }
            Self::Column { known } => no("slice by column", column, known),
            Self::Slice { known } => no(&format!("row whose `{column}` is"), value, known),
        }
    }
}

/// The first of some names.
fn some(names: &[String]) -> String {
    match names.get(..SHOWN_NAMES) {
        _ if names.is_empty() => "none".to_owned(),
        Some(shown) if names.len() > shown.len() => {
            format!("{} and {} more", quoted(shown), names.len() - shown.len())
        }
        Some(_) | None => quoted(names),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lists_of_names_are_cut() {
        let names: Vec<String> = (0..14).map(|name| name.to_string()).collect();
        assert!(some(&names).ends_with("`11` and 2 more"));
        assert_eq!(some(&[]), "none");
    }
}
