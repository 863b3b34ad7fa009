//! Who acts (派单): the directory of a city, and the suggestion of departments for one request.
//!
//! Practice has two axes: the functional department (行业主管) and the territorial unit (属地). The [`Directory`] says who
//! there is on both, who answers for which category, and who must act by rule; [`suggest()`] joins it with what a model
//! has learned.

mod area;
mod directory;
mod grassroots;
mod load;
mod policy;
mod rule;
mod suggest;

pub use area::{Area, AreaLevel, AreaSource, Placement};
pub use directory::{Assignment, Department, Directory, LOCAL};
pub use grassroots::{GrassrootsCap, GrassrootsShare};
pub use policy::{Leadership, Policy};
pub use rule::{Action, Aspect, Clause, Conditions, Facts, Rule, TimeLimits};
pub use suggest::{
    DepartmentRole, DepartmentSuggestion, DispatchInput, Doubt, SUPPORTING_PROBABILITY, Suggestion, suggest,
};
