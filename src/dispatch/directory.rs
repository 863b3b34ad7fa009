//! Departments, areas and assignments of one city (派单目录): data, never code.

use std::sync::{Arc, LazyLock};

use crate::fault::{FileError, LabelIndex};
use crate::taxonomy::Taxonomy;

/// Id of the department that stands for whichever street or township a request belongs to (属地).
pub const LOCAL: &str = "local";

/// Who there is to act in one city, and who answers for what, in one version.
///
/// ```
/// use jiesu::dispatch::Directory;
///
/// let directory = Directory::built_in();
/// assert_eq!(directory.department_by_label("住建").unwrap().id, "housing_construction");
/// assert_eq!(directory.assignment("housing").unwrap().lead, "housing_construction");
/// assert_eq!(directory.area("朝阳").unwrap().unit.as_deref(), Some("朝阳区人民政府"));
/// ```
#[derive(Debug, Clone)]
pub struct Directory {
    /// The version that answers are stamped with.
    pub version: String,
    /// The id of the area that is the whole city.
    pub city: String,
    /// The departments.
    pub departments: Vec<Department>,
    /// Who answers for a category; each category of the taxonomy has one.
    pub assignments: Vec<Assignment>,
    /// The areas; each but the city lies in another.
    pub areas: Vec<Area>,
    pub(super) labels: LabelIndex,
}

/// One functional department (行业主管), or [`LOCAL`].
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Department {
    /// The stable identifier, such as `housing_construction`.
    pub id: String,
    /// The Chinese name.
    pub name: String,
    /// The English name.
    pub name_en: String,
    /// Other Chinese names, in models' labels and in records.
    pub aliases: Vec<String>,
    /// What the department answers for, in Chinese.
    pub duties: String,
}

/// Who answers for one category when nothing else is known.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Assignment {
    /// The category's id.
    pub category: String,
    /// The id of the department that leads (主办), never [`LOCAL`].
    pub lead: String,
    /// The ids of the departments that support it (协办), in the order of the directory.
    pub supporting: Vec<String>,
}

/// A place that a unit acts for (属地): a city, a district.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Area {
    /// The stable identifier, such as `beijing.chaoyang`.
    pub id: String,
    /// The Chinese name.
    pub name: String,
    /// The English name.
    pub name_en: String,
    /// Other names.
    pub aliases: Vec<String>,
    /// The Chinese name of the unit that acts for the area; none for a whole city, where departments act.
    pub unit: Option<String>,
    /// The id of the area that this one lies in.
    pub parent: Option<String>,
}

impl Directory {
    /// The directory that ships with the program: usual departments, and the districts of Beijing.
    ///
    /// # Panics
    /// Never: a test reads the file that is built in.
    pub fn built_in() -> Arc<Self> {
        static BUILT_IN: LazyLock<Arc<Directory>> = LazyLock::new(|| {
            let directory = Directory::built_in_for(&Taxonomy::built_in());
            Arc::new(directory.expect("the built-in directory holds together"))
        });
        Arc::clone(&BUILT_IN)
    }

    /// The directory that ships with the program, for the categories of another taxonomy than the one that ships.
    ///
    /// # Errors
    /// If the taxonomy has other categories; the deployment then needs its own directory.
    pub fn built_in_for(taxonomy: &Taxonomy) -> Result<Self, FileError> {
        Ok(Self::parse("directory.toml", include_str!("directory.toml"), taxonomy)?)
    }

    /// The department with this id.
    pub fn department(&self, id: &str) -> Option<&Department> {
        self.department_by_label(id).filter(|department| department.id == id)
    }

    /// The department that a model's label or a record's entry stands for: its id, a name or an alias, in any case.
    pub fn department_by_label(&self, label: &str) -> Option<&Department> {
        self.labels.get(label).map(|position| &self.departments[position])
    }

    /// The assignment of a category.
    pub fn assignment(&self, category: &str) -> Option<&Assignment> {
        self.assignments.iter().find(|assignment| assignment.category == category)
    }

    /// The area that a caller means: by id, or else by a name or an alias. A hint that fits several areas finds none.
    pub fn area(&self, hint: &str) -> Option<&Area> {
        let hint = hint.trim();
        if let Some(area) = self.areas.iter().find(|area| area.id == hint) {
            return Some(area);
        }
        let mut fitting = self.areas.iter().filter(|area| {
            let mut names = [&area.name, &area.name_en].into_iter().chain(&area.aliases);
            names.any(|name| name.trim().eq_ignore_ascii_case(hint))
        });
        fitting.next().filter(|_| fitting.next().is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_directory_is_whole() {
        let directory = Directory::built_in();
        assert_eq!(directory.departments.len(), 44);
        assert_eq!(directory.assignments.len(), 20);
        assert_eq!(directory.area("北京").unwrap().id, directory.city);
        let districts = directory.areas.iter().filter(|area| area.parent.as_deref() == Some("beijing"));
        assert_eq!(districts.clone().count(), 16);
        assert!(districts.clone().all(|area| area.unit == Some(format!("{}人民政府", area.name))));
        assert!(directory.department(LOCAL).is_some());
        assert_eq!(Taxonomy::built_in().category_by_label("住房物业").unwrap().id, "housing");
        assert_eq!(
            directory.assignment("housing").unwrap().lead,
            directory.department_by_label("住建").unwrap().id
        );
    }

    #[test]
    fn departments_are_found_by_any_of_their_names() {
        let directory = Directory::built_in();
        for label in ["traffic_police", "交警", " 公安局交通管理局 ", "Traffic Police"] {
            assert_eq!(directory.department_by_label(label).unwrap().id, "traffic_police");
        }
        assert!(directory.department("交警").is_none(), "an id is an id");
        assert!(directory.department_by_label("").is_none());
    }

    #[test]
    fn areas_are_found_by_id_or_by_an_unambiguous_name() {
        let text = format!(
            "{}{}",
            include_str!("directory.toml"),
            r#"
[[areas]]
id = "beijing.chaoyang.new"
name = "新城街道"
name_en = "New Town"
parent = "beijing.chaoyang"

[[areas]]
id = "beijing.haidian.new"
name = "新城街道"
name_en = "New Town"
aliases = ["beijing.haidian"]
parent = "beijing.haidian"
"#
        );
        let directory = Directory::parse("d.toml", &text, &Taxonomy::built_in()).unwrap();
        assert_eq!(directory.area(" 北京市朝阳区\n").unwrap().id, "beijing.chaoyang");
        assert_eq!(directory.area("beijing.haidian").unwrap().name, "海淀区", "an id comes before an alias");
        assert_eq!(directory.area("新城街道"), None);
        assert_eq!(directory.area("朝"), None);
        assert_eq!(directory.area(""), None);
    }
}
