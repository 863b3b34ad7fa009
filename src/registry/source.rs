//! What a user may name as a model.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use super::{HubConfig, ModelFiles, RegistryError};

/// Name of the built-in model, as it is typed and shown.
const BUILT_IN: &str = "built-in";
/// What a model on a hub starts with.
const SCHEME: &str = "hf://";

/// Where a model comes from.
///
/// As text: `built-in`, `hf://owner/name`, `hf://owner/name@revision`; anything else is a folder.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ModelSource {
    /// The bundle in the binary.
    #[default]
    BuiltIn,
    /// A folder.
    Local(PathBuf),
    /// A repository on a Hugging Face hub, or on a mirror of it.
    Hub {
        /// `owner/name`.
        repo: String,
        /// Branch, tag or commit; the hub's main branch if none is given.
        revision: Option<String>,
    },
}

impl ModelSource {
    /// Brings the model's files within reach, downloading them where needed.
    ///
    /// The hub is asked as the process environment says ([`HubConfig::from_environment`]); `built_in` makes the
    /// files of the built-in model.
    ///
    /// # Errors
    /// If the folder cannot be read, or the hub does not give the files.
    pub fn open(&self, built_in: impl FnOnce() -> ModelFiles) -> Result<ModelFiles, RegistryError> {
        match self {
            Self::BuiltIn => Ok(built_in()),
            Self::Local(path) => ModelFiles::folder(path),
            Self::Hub { repo, revision } => {
                ModelFiles::fetch(repo, revision.as_deref(), &HubConfig::from_environment())
            }
        }
    }
}

impl fmt::Display for ModelSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuiltIn => f.write_str(BUILT_IN),
            Self::Local(path) => path.display().fmt(f),
            Self::Hub { repo, revision: None } => write!(f, "{SCHEME}{repo}"),
            Self::Hub { repo, revision: Some(revision) } => write!(f, "{SCHEME}{repo}@{revision}"),
        }
    }
}

impl FromStr for ModelSource {
    type Err = RegistryError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let Some(rest) = text.strip_prefix(SCHEME) else {
            return match text {
                "" => Err(RegistryError::EmptySource),
                BUILT_IN => Ok(Self::BuiltIn),
                path => Ok(Self::Local(path.into())),
            };
        };
        let (repo, revision) = match rest.split_once('@') {
            Some((repo, revision)) => (repo, Some(revision)),
            None => (rest, None),
        };
        check_hub_model(repo, revision)
            .map_err(|reason| RegistryError::InvalidHubSource { text: text.to_owned(), reason })?;
        Ok(Self::Hub { repo: repo.to_owned(), revision: revision.map(str::to_owned) })
    }
}

/// Both parts become folders of the cache and segments of an address, so they must not climb out of either.
pub(super) fn check_hub_model(repo: &str, revision: Option<&str>) -> Result<(), &'static str> {
    let (owner, name) = repo.split_once('/').ok_or("the owner is missing")?;
    if owner.is_empty() || name.is_empty() {
        return Err("the owner or the name is empty");
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if !owner.chars().all(allowed) || !name.chars().all(allowed) {
        return Err("owner and name are made of letters, digits, `-`, `_` and `.`");
    }
    if [owner, name].iter().any(|part| part.starts_with('.') || part.contains("..")) {
        return Err("owner and name may not start with `.` or contain `..`");
    }
    let Some(revision) = revision else { return Ok(()) };
    if revision.is_empty() {
        return Err("the revision after `@` is empty");
    }
    if revision.chars().any(|c| c.is_control() || c.is_whitespace() || "\\:?*".contains(c)) {
        return Err("the revision contains a character that no branch, tag or commit has");
    }
    if revision.split('/').any(|part| part.is_empty() || part.starts_with('.')) {
        return Err("a part of the revision is empty or starts with `.`");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> ModelSource {
        text.parse().unwrap()
    }

    #[test]
    fn reads_every_kind_of_source() {
        assert_eq!(parse("built-in"), ModelSource::BuiltIn);
        assert_eq!(parse("models/mine"), ModelSource::Local("models/mine".into()));
        assert_eq!(parse("owner/name"), ModelSource::Local("owner/name".into()));
        assert_eq!(parse("hf://owner/name"), ModelSource::Hub { repo: "owner/name".into(), revision: None });
        let pull_request = ModelSource::Hub { repo: "o/n-1.0_x".into(), revision: Some("refs/pr/1".into()) };
        assert_eq!(parse("hf://o/n-1.0_x@refs/pr/1"), pull_request);
    }

    #[test]
    fn refuses_malformed_hub_sources() {
        let malformed = [
            "hf://",
            "hf://name",
            "hf:///name",
            "hf://owner/",
            "hf://owner/name/file",
            "hf://../name",
            "hf://owner/..",
            "hf://owner/a..b",
            "hf://所有者/name",
            "hf://owner/name@",
            "hf://owner/name@../main",
            "hf://owner/name@/etc",
            "hf://owner/name@a//b",
            "hf://owner/name@a b",
            "hf://owner/name@a\\b",
        ];
        for text in malformed {
            let error = text.parse::<ModelSource>().expect_err(text).to_string();
            assert!(error.contains(text) && error.contains("hint: write `hf://owner/name`"), "{error}");
        }
        assert!("".parse::<ModelSource>().is_err());
    }

    #[test]
    fn opens_the_built_in_model_and_folders() {
        let built_in = || ModelFiles::embedded("default", &[]);
        assert_eq!(ModelSource::default().open(built_in).unwrap().name(), "default");
        let folder = tempfile::tempdir().unwrap();
        assert!(ModelSource::Local(folder.path().into()).open(built_in).is_ok());
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_back(text in "(hf://)?[a-z/@.-]{1,12}") {
            if let Ok(source) = text.parse::<ModelSource>() {
                prop_assert_eq!(source.to_string(), text);
            }
        }
    }
}
