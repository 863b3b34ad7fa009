//! Which of the two axes leads: the functional department (行业主管), the territorial unit (属地), or both (双派).

use serde::{Deserialize, Serialize};

use super::rule::Clause;

/// Who leads where a policy applies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Leadership {
    /// The functional department leads; the unit of the area is told.
    #[default]
    Functional,
    /// The unit of the area leads; the functional department supports it.
    Territorial,
    /// Both are sent the request, each for its part (双派).
    Both,
}

/// A policy of the city: who leads for some categories in some area.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// The stable identifier.
    pub id: String,
    /// The categories that it is about; empty for all.
    pub categories: Vec<String>,
    /// The area that it is about, with all that lie in it; none for the whole city.
    pub area: Option<String>,
    /// Who leads.
    pub lead: Leadership,
    /// The clause of the city's catalogue (派单目录) behind it.
    pub clause: Option<Clause>,
}

impl Policy {
    /// Whether the policy is about a request of this category, if it has one, in these areas: its own and those around.
    pub fn applies(&self, category: Option<&str>, areas: &[&str]) -> bool {
        let category_fits = self.categories.is_empty()
            || category.is_some_and(|c| self.categories.iter().any(|own| own == c));
        category_fits && self.area.as_deref().is_none_or(|area| areas.contains(&area))
    }

    /// Whether the policy is about every request that `other` is about; `lies_in(a, b)` says whether area `a` is `b` or
    /// lies in it.
    pub(super) fn covers(&self, other: &Self, lies_in: impl Fn(&str, &str) -> bool) -> bool {
        let categories = self.categories.is_empty()
            || !other.categories.is_empty() && other.categories.iter().all(|c| self.categories.contains(c));
        let area = match (&self.area, &other.area) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(own), Some(other)) => lies_in(other, own),
        };
        categories && area
    }
}
