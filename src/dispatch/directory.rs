//! Departments, areas, assignments and rules of one city (派单目录): data, never code.

use std::sync::{Arc, LazyLock};

use super::area::{Area, AreaIndex, Placement};
use super::grassroots::GrassrootsCap;
use super::policy::Policy;
use super::rule::{Facts, Rule, RuleWords, TimeLimits};
use crate::fault::{FileError, LabelIndex};
use crate::request::normalize_words;
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
/// assert_eq!(directory.areas_called("朝阳")[0].unit.as_deref(), Some("朝阳区人民政府"));
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
    /// Who must act on which requests.
    pub rules: Vec<Rule>,
    /// Which of department and territorial unit leads; the first that applies counts.
    pub policies: Vec<Policy>,
    /// How long the lead has, in hours, by urgency, where no rule says otherwise.
    pub time_limits: TimeLimits,
    /// From which share of requests the city wants to be warned that the grass roots get too much.
    pub grassroots: Option<GrassrootsCap>,
    /// The areas; each but the city lies in another.
    pub areas: Vec<Area>,
    pub(super) labels: LabelIndex,
    pub(super) words: RuleWords,
    pub(super) area_index: AreaIndex,
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
    /// The id of the department above it.
    pub parent: Option<String>,
    /// How operators reach it.
    pub contact: Option<String>,
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

impl Directory {
    /// The directory that ships with the program: usual departments and rules, and the districts of Beijing.
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

    /// The areas that a caller may mean: the one with this id, or else those with this name or alias, or whose unit has
    /// this name; in either script.
    pub fn areas_called(&self, hint: &str) -> Vec<&Area> {
        self.places_called(hint).into_iter().map(|place| &self.areas[place]).collect()
    }

    /// Where a request is about, by the caller's hint (see [`areas_called`](Self::areas_called)) and the normalised
    /// words. None if there is a hint but no such area.
    ///
    /// A place that the words name inside the hinted area is more exact than the hint. Without a hint the words alone say
    /// it: names of at least three characters and the areas' `mentions`, the longest that fits counts. A name that
    /// several areas bear means the one near another place that is named; where it stays unclear, and where several
    /// places are named, all are candidates, and the area is the smallest that holds them.
    pub fn place(&self, hint: &str, fields: &[&str]) -> Option<Placement> {
        let hinted = self.places_called(hint);
        (hint.trim().is_empty() || !hinted.is_empty()).then(|| self.area_index.place(&hinted, fields))
    }

    /// Ids of the area and of those around it, from the inside out.
    pub fn ids_around(&self, area: usize) -> Vec<&str> {
        self.area_index.around(area).map(|area| self.areas[area].id.as_str()).collect()
    }

    /// The rules that hold for a request, in the order in which they count.
    pub fn holding(&self, facts: &Facts<'_>) -> Vec<&Rule> {
        self.words.holding(&self.rules, facts)
    }

    /// The first policy that applies to a request of this category in these areas.
    pub fn policy(&self, category: Option<&str>, areas: &[&str]) -> Option<&Policy> {
        self.policies.iter().find(|policy| policy.applies(category, areas))
    }

    fn places_called(&self, hint: &str) -> Vec<usize> {
        let hint = normalize_words(hint);
        if hint.is_empty() {
            return Vec::new();
        }
        if let Some(place) = self.areas.iter().position(|area| area.id == hint) {
            return vec![place];
        }
        let bears = |area: &Area| {
            let mut names = [&area.name, &area.name_en].into_iter().chain(&area.aliases).chain(&area.unit);
            names.any(|name| name.trim().eq_ignore_ascii_case(&hint) || normalize_words(name) == hint)
        };
        (0..self.areas.len()).filter(|&place| bears(&self.areas[place])).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::area::AreaLevel;
    use super::*;

    #[test]
    fn the_built_in_directory_is_whole() {
        let directory = Directory::built_in();
        assert_eq!(directory.departments.len(), 44);
        assert_eq!(directory.assignments.len(), 20);
        assert_eq!(directory.areas_called("北京")[0].id, directory.city);
        let districts = directory.areas.iter().filter(|area| area.parent.as_deref() == Some("beijing"));
        assert_eq!(districts.clone().count(), 16);
        assert_eq!(directory.areas.iter().filter(|area| area.is_grassroots()).count(), 32, "streets");
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

    /// The built-in directory with two streets of one name.
    fn with_twin_streets() -> Directory {
        let streets = r#"
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

[[areas]]
id = "beijing.haidian.new.north"
name = "北社区"
name_en = "North"
mentions = ["北里"]
parent = "beijing.haidian.new"
population = 4200
"#;
        let text = format!("{}{streets}", include_str!("directory.toml"));
        Directory::parse("d.toml", &text, &Taxonomy::built_in()).unwrap()
    }

    #[test]
    fn a_caller_names_an_area_by_id_or_by_any_of_its_names() {
        let directory = with_twin_streets();
        let called = |hint| -> Vec<_> {
            directory.areas_called(hint).into_iter().map(|area| area.id.as_str()).collect()
        };
        assert_eq!(called(" 北京市朝阳区\n"), ["beijing.chaoyang"]);
        assert_eq!(called("朝陽區"), ["beijing.chaoyang"], "in either script");
        assert_eq!(called("朝阳区人民政府"), ["beijing.chaoyang"], "by its unit");
        assert_eq!(called("beijing.haidian"), ["beijing.haidian"], "an id comes before an alias");
        assert_eq!(called("新城街道"), ["beijing.chaoyang.new", "beijing.haidian.new"]);
        assert!(called("朝").is_empty() && called("").is_empty());
    }

    /// The area and the candidates.
    fn placed(hint: &str, words: &str) -> (String, Vec<String>) {
        let directory = with_twin_streets();
        let placement = directory.place(hint, &["", words]).unwrap();
        let id = |place: usize| directory.areas[place].id.clone();
        let area = placement.area.map(|(place, source)| format!("{source:?} {}", id(place)));
        (area.unwrap_or_default(), placement.candidates.into_iter().map(id).collect())
    }

    #[test]
    fn words_place_a_request_as_exactly_as_they_can() {
        assert_eq!(
            placed("", "北京市，朝阳区新城街道停水"),
            ("Text beijing.chaoyang.new".into(), vec![]),
            "the city tells nothing of which"
        );
        assert_eq!(placed("", "海淀区新城街道北社区停水"), ("Text beijing.haidian.new.north".into(), vec![]));
        assert_eq!(placed("", "北里停水"), ("Text beijing.haidian.new.north".into(), vec![]));
        assert_eq!(placed("", "我住在新城街道，就在海淀区"), ("Text beijing.haidian.new".into(), vec![]));
        assert_eq!(
            placed("", "朝阳产业园里停水"),
            (String::new(), vec![]),
            "too short a name to mean the area"
        );
        assert_eq!(placed("", "停水了"), (String::new(), vec![]));
    }

    #[test]
    fn what_several_areas_may_mean_comes_back_as_candidates() {
        let twins = vec!["beijing.chaoyang.new".to_owned(), "beijing.haidian.new".to_owned()];
        assert_eq!(placed("", "北京市新城街道停水"), ("Text beijing".into(), twins.clone()));
        assert_eq!(placed("新城街道", "停水了"), ("Hint beijing".into(), twins));
        let both = vec!["beijing.chaoyang".to_owned(), "beijing.haidian".to_owned()];
        assert_eq!(placed("", "从朝阳区到海淀区的公交"), ("Text beijing".into(), both));
    }

    #[test]
    fn a_hint_is_made_more_exact_by_the_words_but_not_moved() {
        assert_eq!(placed("海淀", "新城街道停水"), ("Text beijing.haidian.new".into(), vec![]));
        assert_eq!(placed("海淀", "停水"), ("Hint beijing.haidian".into(), vec![]));
        assert_eq!(placed("海淀", "我在朝阳区上班"), ("Hint beijing.haidian".into(), vec![]));
        assert_eq!(placed("新城街道", "北里停水"), ("Text beijing.haidian.new.north".into(), vec![]));
        assert_eq!(placed("新城街道", "朝阳区的路灯"), ("Hint beijing.chaoyang.new".into(), vec![]));
        assert_eq!(with_twin_streets().place("上海", &["", ""]), None);
    }

    #[test]
    fn an_area_is_as_large_as_its_depth_says() {
        let directory = with_twin_streets();
        let level = |id| directory.areas.iter().find(|area| area.id == id).unwrap().level;
        assert_eq!(level("beijing"), AreaLevel::City);
        assert_eq!(level("beijing.haidian"), AreaLevel::District);
        assert_eq!(level("beijing.haidian.new"), AreaLevel::Street);
        assert_eq!(level("beijing.haidian.new.north"), AreaLevel::Community);
    }
}
