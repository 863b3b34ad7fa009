//! The departments that may lead or help, with what speaks for each.

use super::{DepartmentRole, DepartmentSuggestion, DispatchInput, WHISTLE_PROBABILITY};
use crate::dispatch::directory::{Department, Directory, LOCAL};
use crate::dispatch::rule::Rule;

/// How surely a department helps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Help {
    /// Nothing says that it does.
    #[default]
    Unsaid,
    /// The learned head names it.
    Learned,
    /// The learned head finds it likely enough to call for it.
    Likely,
    /// A rule for this lead calls for it.
    Called,
}

/// A department that may be listed.
pub(super) struct Candidate<'a> {
    pub(super) department: &'a Department,
    pub(super) probability: f32,
    /// Whether the learned head is a reason to list it.
    learned: bool,
    pub(super) help: Help,
    /// The rules that name it.
    rules: Vec<&'a Rule>,
    /// The category whose assignment is a reason to list it.
    pub(super) category: Option<&'a str>,
}

impl<'a> Candidate<'a> {
    pub(super) fn new(department: &'a Department) -> Self {
        Self {
            department,
            probability: 0.0,
            learned: false,
            help: Help::default(),
            rules: Vec::new(),
            category: None,
        }
    }

    pub(super) fn is_functional(&self) -> bool {
        self.department.id != LOCAL
    }

    pub(super) fn reasons(&self) -> Vec<String> {
        let rules = self.rules.iter().map(|rule| format!("rule:{}", rule.id));
        let learned = self.learned.then(|| "learned".to_owned());
        rules.chain(learned).chain(self.category.map(|category| format!("directory:{category}"))).collect()
    }

    pub(super) fn suggestion(&self, role: DepartmentRole) -> DepartmentSuggestion {
        DepartmentSuggestion {
            id: self.department.id.clone(),
            name: self.department.name.clone(),
            name_en: self.department.name_en.clone(),
            role,
            probability: self.probability,
            reason: self.reasons().join("+"),
            clause: clause(&self.rules),
        }
    }
}

/// The first clause of the rules that has one.
pub(super) fn clause(rules: &[&Rule]) -> String {
    let clause = rules.iter().find_map(|rule| rule.then.clause.as_ref());
    clause.map_or_else(String::new, |clause| format!("{} {}", clause.id, clause.text))
}

/// All departments for which something speaks, by falling probability; equals keep the order of the head or of the
/// directory.
pub(super) struct Candidates<'a> {
    pub(super) all: Vec<Candidate<'a>>,
    /// Chance of a department among all, where the probabilities are those of a learned head.
    pub(super) chance: Option<f32>,
}

impl<'a> Candidates<'a> {
    /// Those that the learned head names, or else those that lead the categories.
    pub(super) fn new(directory: &'a Directory, input: &DispatchInput<'a>) -> Self {
        let mut candidates = Self { all: Vec::new(), chance: None };
        // Labels that name one department count together.
        for &(label, probability) in input.departments.unwrap_or_default() {
            if let Some(department) = directory.department_by_label(label) {
                candidates.add(department, probability).learned = true;
            }
        }
        if candidates.all.iter().any(Candidate::is_functional) {
            candidates.chance = Some(1.0 / directory.departments.len() as f32);
        } else {
            candidates.add_assigned(directory, input.categories);
        }
        candidates.sort();
        candidates
    }

    /// The departments that lead the categories, each through the first, and so likeliest, category that it leads.
    fn add_assigned(&mut self, directory: &'a Directory, categories: &[(&str, f32)]) {
        for &(category, probability) in categories {
            let Some(assignment) = directory.assignment(category) else { continue };
            if let Some(department) = directory.department(&assignment.lead) {
                self.add(department, probability).category.get_or_insert(&assignment.category);
            }
        }
    }

    fn add(&mut self, department: &'a Department, probability: f32) -> &mut Candidate<'a> {
        let candidate = self.of(department);
        let probability = if probability.is_nan() { 0.0 } else { probability.clamp(0.0, 1.0) };
        candidate.probability = (candidate.probability + probability).min(1.0);
        candidate
    }

    /// The candidate that is this department, new if it is none yet.
    pub(super) fn of(&mut self, department: &'a Department) -> &mut Candidate<'a> {
        let position = self.all.iter().position(|candidate| candidate.department.id == department.id);
        let position = position.unwrap_or_else(|| {
            self.all.push(Candidate::new(department));
            self.all.len() - 1
        });
        &mut self.all[position]
    }

    pub(super) fn sort(&mut self) {
        self.all.sort_by(|a, b| b.probability.total_cmp(&a.probability));
    }

    /// The likeliest functional department.
    pub(super) fn likeliest(&self) -> Option<&Candidate<'a>> {
        self.all.iter().find(|candidate| candidate.is_functional())
    }

    /// Notes which rules name a department as the lead, and which departments the learned head names as helping.
    pub(super) fn add_reasons(&mut self, directory: &'a Directory, input: &DispatchInput<'a>) {
        for rule in input.rules {
            if let Some(department) = rule.then.lead.as_deref().and_then(|lead| directory.department(lead)) {
                self.of(department).rules.push(rule);
            }
        }
        for &(label, probability) in input.supporting {
            if let Some(department) = directory.department_by_label(label) {
                let candidate = self.of(department);
                let likely = probability >= WHISTLE_PROBABILITY;
                candidate.learned = true;
                candidate.help = candidate.help.max(if likely { Help::Likely } else { Help::Learned });
            }
        }
        self.sort();
    }

    /// Takes out the lead: the department that a rule binds the request to, or else the likeliest functional one.
    pub(super) fn take_lead(&mut self, binding: Option<&str>) -> Option<Candidate<'a>> {
        let leads = |candidate: &Candidate<'_>| match binding {
            Some(lead) => candidate.department.id == lead,
            None => candidate.is_functional(),
        };
        self.all.iter().position(leads).map(|position| self.all.remove(position))
    }

    /// How many functional departments are likely enough to help.
    pub(super) fn likely_helping(&self) -> usize {
        self.all
            .iter()
            .filter(|candidate| candidate.help >= Help::Likely && candidate.is_functional())
            .count()
    }

    /// Marks the departments that rules for this lead name as helping.
    pub(super) fn support(&mut self, directory: &'a Directory, lead: Option<&str>, rules: &[&'a Rule]) {
        for rule in rules {
            let named = rule.then.supporting.iter().filter(|id| Some(id.as_str()) != lead);
            for department in named.filter_map(|id| directory.department(id)) {
                let candidate = self.of(department);
                candidate.help = Help::Called;
                candidate.rules.push(rule);
            }
        }
    }
}
