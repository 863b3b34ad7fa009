//! A correction (退单/改派): what was suggested for a request, and what people decided later.

use std::fmt;

use serde::Serialize;

use super::error::Violation;

/// Longest id, in characters.
const MAX_ID_CHARS: usize = 128;
/// Longest note and title, in characters.
const MAX_NOTE_CHARS: usize = 500;
/// Longest text, in characters.
const MAX_TEXT_CHARS: usize = 10_000;
/// Most ids in a list.
const MAX_IDS: usize = 64;

/// Why people decided otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CorrectionReason {
    /// 属地不符: it is not in the area of the department.
    AreaMismatch,
    /// 职责不符: it is not among the duties of the department.
    DutyMismatch,
    /// 信息不全: the request does not say what the department needs to know.
    MissingInformation,
    /// 重复: the request was made before.
    Duplicate,
    /// 其他.
    Other,
}

impl CorrectionReason {
    /// All reasons.
    pub const ALL: [Self; 5] =
        [Self::AreaMismatch, Self::DutyMismatch, Self::MissingInformation, Self::Duplicate, Self::Other];

    /// The reason's id, which stays the same.
    pub fn id(self) -> &'static str {
        match self {
            Self::AreaMismatch => "area_mismatch",
            Self::DutyMismatch => "duty_mismatch",
            Self::MissingInformation => "missing_information",
            Self::Duplicate => "duplicate",
            Self::Other => "other",
        }
    }

    /// The reason's name, in Chinese.
    pub fn name(self) -> &'static str {
        match self {
            Self::AreaMismatch => "属地不符",
            Self::DutyMismatch => "职责不符",
            Self::MissingInformation => "信息不全",
            Self::Duplicate => "重复",
            Self::Other => "其他",
        }
    }

    /// The reason with this id.
    pub fn from_id(id: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.id() == id)
    }
}

/// What the service suggested.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct SuggestedDispatch {
    /// The category.
    pub category: String,
    /// The lead department (主办).
    pub lead: String,
    /// The supporting departments (协办).
    pub supporting: Vec<String>,
    /// The territorial unit (属地), where one was suggested.
    pub territorial: Option<String>,
    /// The dispatch rules that fired.
    pub rules: Vec<String>,
}

/// What people decided.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct DecidedDispatch {
    /// The category.
    pub category: String,
    /// The lead department (主办).
    pub lead: String,
    /// The supporting departments (协办).
    pub supporting: Vec<String>,
    /// The territorial unit (属地), where there is one.
    pub territorial: Option<String>,
}

/// What the suggestion was made with.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct CorrectionVersions {
    /// The model.
    pub model: Option<String>,
    /// Its revision.
    pub model_revision: Option<String>,
    /// The version of the taxonomy.
    pub taxonomy: Option<String>,
    /// The version of the directory.
    pub directory: Option<String>,
}

/// Where what was suggested, and the versions that it was made with, come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suggestion {
    /// The caller stated them; to state others later is another correction.
    Stated,
    /// They were looked up for a caller that did not, and may be others when it calls again.
    FilledIn,
}

/// A later decision of an operator or a department on a request.
///
/// `Debug` shows the lengths of note, title and text only, so that nobody logs the words by accident.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Correction {
    /// The request, at most 128 characters. It has one correction.
    pub request_id: String,
    /// What the service suggested.
    pub suggested: SuggestedDispatch,
    /// What people decided.
    pub decided: DecidedDispatch,
    /// Who decided: an id that means something to the caller only, at most 128 characters.
    pub decided_by: String,
    /// Why.
    pub reason: CorrectionReason,
    /// What else there is to say, with personal data masked by the caller; at most 500 characters.
    pub note: Option<String>,
    /// The request's title, with personal data masked by the caller; at most 500 characters.
    pub title: Option<String>,
    /// The request's text, with personal data masked by the caller; at most 10,000 characters.
    pub text: Option<String>,
    /// What the suggestion was made with.
    pub versions: CorrectionVersions,
}

/// A correction as it lies in the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RecordedCorrection {
    /// Its id: later corrections have larger ones.
    pub id: i64,
    /// When it was recorded, in milliseconds since 1970; never before the one before.
    pub recorded_at: i64,
    /// What it says.
    #[serde(flatten)]
    pub correction: Correction,
}

impl Correction {
    /// What is wrong with the fields, all at once; their names are those of the protocol.
    ///
    /// [`Corrections::record`](super::Corrections::record) asks this too.
    pub fn violations(&self) -> Vec<Violation> {
        let Self { request_id, suggested, decided, decided_by, reason: _, note, title, text, versions } =
            self;
        let mut check = Check(Vec::new());
        check.required("request_id", request_id);
        // Rules alone may have suggested nobody.
        check.length("suggested.category", &suggested.category, MAX_ID_CHARS);
        check.length("suggested.lead", &suggested.lead, MAX_ID_CHARS);
        check.ids("suggested.supporting", &suggested.supporting);
        check.optional("suggested.territorial", suggested.territorial.as_ref(), MAX_ID_CHARS);
        check.ids("rules", &suggested.rules);
        check.required("decided.category", &decided.category);
        check.required("decided.lead", &decided.lead);
        check.ids("decided.supporting", &decided.supporting);
        check.optional("decided.territorial", decided.territorial.as_ref(), MAX_ID_CHARS);
        check.required("decided_by", decided_by);
        check.optional("note", note.as_ref(), MAX_NOTE_CHARS);
        check.optional("title", title.as_ref(), MAX_NOTE_CHARS);
        check.optional("text", text.as_ref(), MAX_TEXT_CHARS);
        check.optional("model", versions.model.as_ref(), MAX_ID_CHARS);
        check.optional("model_revision", versions.model_revision.as_ref(), MAX_ID_CHARS);
        check.optional("taxonomy_version", versions.taxonomy.as_ref(), MAX_ID_CHARS);
        check.optional("directory_version", versions.directory.as_ref(), MAX_ID_CHARS);
        check.0
    }

    /// How many bytes its words and ids take.
    pub(super) fn bytes(&self) -> usize {
        let Self { request_id, suggested, decided, decided_by, reason: _, note, title, text, versions } =
            self;
        let ids = [&suggested.supporting, &suggested.rules, &decided.supporting].into_iter().flatten();
        let optional = [&suggested.territorial, &decided.territorial, note, title, text].into_iter().chain([
            &versions.model,
            &versions.model_revision,
            &versions.taxonomy,
            &versions.directory,
        ]);
        [request_id, &suggested.category, &suggested.lead, &decided.category, &decided.lead, decided_by]
            .into_iter()
            .chain(ids)
            .chain(optional.flatten())
            .map(String::len)
            .sum()
    }

    /// The fields in which `other` says something else, as the protocol names them; what was suggested and the
    /// versions count where they were stated.
    pub(super) fn differences(&self, other: &Self, suggestion: Suggestion) -> Vec<&'static str> {
        let stated = match suggestion {
            Suggestion::Stated => self.suggestion_differences(other),
            Suggestion::FilledIn => Vec::new(),
        };
        let (decided, others) = (&self.decided, &other.decided);
        let fields = [
            ("request_id", self.request_id != other.request_id),
            ("decided.category", decided.category != others.category),
            ("decided.lead", decided.lead != others.lead),
            ("decided.supporting", decided.supporting != others.supporting),
            ("decided.territorial", decided.territorial != others.territorial),
            ("decided_by", self.decided_by != other.decided_by),
            ("reason", self.reason != other.reason),
            ("note", self.note != other.note),
            ("title", self.title != other.title),
            ("text", self.text != other.text),
        ];
        differing(fields).chain(stated).collect()
    }

    fn suggestion_differences(&self, other: &Self) -> Vec<&'static str> {
        let (suggested, others) = (&self.suggested, &other.suggested);
        let (versions, other_versions) = (&self.versions, &other.versions);
        let fields = [
            ("suggested.category", suggested.category != others.category),
            ("suggested.lead", suggested.lead != others.lead),
            ("suggested.supporting", suggested.supporting != others.supporting),
            ("suggested.territorial", suggested.territorial != others.territorial),
            ("rules", suggested.rules != others.rules),
            ("model", versions.model != other_versions.model),
            ("model_revision", versions.model_revision != other_versions.model_revision),
            ("taxonomy_version", versions.taxonomy != other_versions.taxonomy),
            ("directory_version", versions.directory != other_versions.directory),
        ];
        differing(fields).collect()
    }
}

/// The fields that are said to differ.
fn differing<const N: usize>(fields: [(&'static str, bool); N]) -> impl Iterator<Item = &'static str> {
    fields.into_iter().filter_map(|(field, differs)| differs.then_some(field))
}

impl fmt::Debug for Correction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let chars = |words: &Option<String>| words.as_ref().map(|words| words.chars().count());
        f.debug_struct("Correction")
            .field("request_id", &self.request_id)
            .field("suggested", &self.suggested)
            .field("decided", &self.decided)
            .field("decided_by", &self.decided_by)
            .field("reason", &self.reason)
            .field("note_chars", &chars(&self.note))
            .field("title_chars", &chars(&self.title))
            .field("text_chars", &chars(&self.text))
            .field("versions", &self.versions)
            .finish()
    }
}

/// Gathers what is wrong with the fields.
struct Check(Vec<Violation>);

impl Check {
    fn required(&mut self, field: &'static str, id: &str) {
        if id.trim().is_empty() {
            self.0.push(Violation { field, problem: "is empty".to_owned() });
        }
        self.length(field, id, MAX_ID_CHARS);
    }

    fn optional(&mut self, field: &'static str, words: Option<&String>, max: usize) {
        if let Some(words) = words {
            self.length(field, words, max);
        }
    }

    fn ids(&mut self, field: &'static str, ids: &[String]) {
        if ids.len() > MAX_IDS {
            let problem = format!("has {} ids; at most {MAX_IDS} are accepted", ids.len());
            self.0.push(Violation { field, problem });
        } else if let Some(id) =
            ids.iter().find(|id| id.trim().is_empty() || id.chars().count() > MAX_ID_CHARS)
        {
            self.required(field, id);
        }
    }

    fn length(&mut self, field: &'static str, words: &str, max: usize) {
        let chars = words.chars().count();
        if chars > max {
            let problem = format!("has {chars} characters; at most {max} are accepted");
            self.0.push(Violation { field, problem });
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A request about a street lamp that went to the housing department, and should not have.
    pub(in crate::records) fn street_lamp(request_id: &str) -> Correction {
        let words = |words: &str| words.to_owned();
        Correction {
            request_id: words(request_id),
            suggested: SuggestedDispatch {
                category: words("housing"),
                lead: words("housing_bureau"),
                supporting: vec![words("police")],
                territorial: Some(words("east_street")),
                rules: vec![words("estate_first"), words("area")],
            },
            decided: DecidedDispatch {
                category: words("street_lighting"),
                lead: words("city_management"),
                supporting: vec![],
                territorial: None,
            },
            decided_by: words("operator-7"),
            reason: CorrectionReason::DutyMismatch,
            note: Some(words("市政道路，不在小区内")),
            title: Some(words("路灯不亮")),
            text: Some(words("小区北门外的路灯坏了一周")),
            versions: CorrectionVersions { model: Some(words("tiny")), ..CorrectionVersions::default() },
        }
    }

    #[test]
    fn reasons_are_found_by_their_ids() {
        for reason in CorrectionReason::ALL {
            assert_eq!(CorrectionReason::from_id(reason.id()), Some(reason));
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.id());
        }
        assert_eq!(CorrectionReason::from_id("whim"), None);
    }

    #[test]
    fn every_violation_is_told_with_the_name_of_the_protocol() {
        let mut correction = street_lamp("");
        correction.decided.lead = "长".repeat(129);
        correction.suggested.rules = vec![String::new()];
        correction.note = Some("长".repeat(501));
        correction.title = Some("长".repeat(501));
        correction.text = Some("长".repeat(10_001));
        correction.versions.taxonomy = Some("长".repeat(129));
        let fields: Vec<_> = correction.violations().iter().map(|violation| violation.field).collect();
        assert_eq!(
            fields,
            ["request_id", "rules", "decided.lead", "note", "title", "text", "taxonomy_version"]
        );
    }

    #[test]
    fn fields_of_the_greatest_length_are_accepted() {
        let mut correction = street_lamp(&"长".repeat(128));
        (correction.note, correction.title) = (Some("长".repeat(500)), Some("长".repeat(500)));
        correction.text = Some("长".repeat(10_000));
        assert_eq!(correction.violations(), []);
    }

    #[test]
    fn debug_output_hides_the_words() {
        let shown = format!("{:?}", street_lamp("r1"));
        assert!(shown.contains("city_management") && !shown.contains('灯'), "{shown}");
    }

    #[test]
    fn corrections_are_equal_where_no_field_differs() {
        let first = street_lamp("r1");
        assert_eq!(first.differences(&first.clone(), Suggestion::Stated), Vec::<&str>::new());
        let mut second = first.clone();
        second.decided.supporting = vec!["police".to_owned()];
        second.suggested.rules.clear();
        second.versions.directory = Some("2".to_owned());
        let stated = ["decided.supporting", "rules", "directory_version"];
        assert_eq!(first.differences(&second, Suggestion::Stated), stated);
        assert_eq!(first.differences(&second, Suggestion::FilledIn), ["decided.supporting"]);
    }
}
