//! Who acts (派单): the directory of a city, and the suggestion of departments for one request.
//!
//! Practice has two axes: the functional department (行业主管) and the territorial unit (属地). The [`Directory`] says
//! who there is on both and who answers for which category; [`suggest()`] joins it with what a model has learned.

mod directory;
mod load;
mod suggest;

pub use directory::{Area, Assignment, Department, Directory, LOCAL};
pub use suggest::{DepartmentRole, DepartmentSuggestion, DispatchInput, SUPPORTING_PROBABILITY, suggest};
