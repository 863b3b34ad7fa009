//! The files of one model, to be read by name.

use std::borrow::Cow;
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

use sha2::{Digest, Sha256};

use super::bundle::{self, WeightFiles};
use super::sums::Sums;
use super::{
    CALIBRATION_FILE, CONFIG_FILE, HubConfig, NGRAMS_FILE, OpenFile, RegistryError, SAFETENSORS_FILE,
    SHARD_INDEX_FILE, SUMS_FILE, TOKENIZER_CONFIG_FILE, TOKENIZER_FILE, VOCABULARY_FILE,
};
use crate::plain_file::{open_file, read_up_to, sha256_of};

/// Digits of a revision that is made from the files themselves.
const REVISION_DIGITS: usize = 12;
/// Largest file of text that is read: the largest tokenizers that are published, of hundreds of languages, have 20 MB.
const MAX_TEXT_BYTES: u64 = 64 << 20;
/// Largest n-grams that are read: those of the built-in model have 10 MB.
const MAX_NGRAMS_BYTES: u64 = 512 << 20;

/// The files of one model bundle, wherever they are.
///
/// Names are those of files in the bundle's own folder: `..` and `/` are refused, since names of shards come out of a
/// file that somebody else wrote.
#[derive(Debug, Clone)]
pub struct ModelFiles {
    name: String,
    revision: String,
    place: Place,
}

#[derive(Debug, Clone)]
enum Place {
    Folder(PathBuf),
    Embedded(Vec<(&'static str, &'static [u8])>),
}

impl ModelFiles {
    /// The files of a folder.
    ///
    /// # Errors
    /// If there is no such folder, or a file of the model cannot be read.
    pub fn folder(path: impl AsRef<Path>) -> Result<Self, RegistryError> {
        let path = path.as_ref();
        if !path.is_dir() {
            return Err(RegistryError::NotAFolder { path: path.to_owned() });
        }
        // `.` and `models/..` have a name only once they are resolved.
        let resolved =
            path.canonicalize().map_err(|source| RegistryError::Read { path: path.to_owned(), source })?;
        let name = resolved.file_name().unwrap_or(resolved.as_os_str()).to_string_lossy().into_owned();
        let mut files = Self { name, revision: String::new(), place: Place::Folder(path.to_owned()) };
        files.revision = files.digest()?;
        Ok(files)
    }

    /// Files that lie in the binary.
    pub fn embedded(name: impl Into<String>, files: &[(&'static str, &'static [u8])]) -> Self {
        let place = Place::Embedded(files.to_vec());
        let mut files = Self { name: name.into(), revision: String::new(), place };
        files.revision = files.digest().unwrap_or_default();
        files
    }

    /// The files of a repository on a hub, downloaded if the cache lacks them. `revision` is a branch, a tag or a
    /// commit; the main branch if none is given.
    ///
    /// # Errors
    /// If the hub does not give the files or, offline, the cache does not have them; always in a binary that is built
    /// without the feature `hub`.
    pub fn fetch(repo: &str, revision: Option<&str>, config: &HubConfig) -> Result<Self, RegistryError> {
        super::source::check_hub_model(repo, revision)
            .map_err(|reason| RegistryError::InvalidHubSource { text: format!("hf://{repo}"), reason })?;
        #[cfg(feature = "hub")]
        return super::hub::fetch(repo, revision, config);
        #[cfg(not(feature = "hub"))]
        {
            let _ = config;
            Err(RegistryError::HubDisabled { repo: repo.to_owned() })
        }
    }

    /// The files of a hub's repository at a commit, in a folder of the cache.
    #[cfg(feature = "hub")]
    pub(super) fn snapshot(repo: &str, commit: &str, folder: PathBuf) -> Self {
        Self { name: repo.to_owned(), revision: commit.to_owned(), place: Place::Folder(folder) }
    }

    /// The model's name: the folder's, `owner/name` of one from a hub.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Which state of the model this is: the commit of one from a hub, else twelve hexadecimal digits that differ
    /// when its configuration, weights, tokenizer or calibration differ.
    pub fn revision(&self) -> &str {
        &self.revision
    }

    /// Whether the bundle has this file.
    pub fn contains(&self, file: &str) -> bool {
        match &self.place {
            Place::Folder(folder) => is_plain(file) && folder.join(file).is_file(),
            Place::Embedded(files) => files.iter().any(|(name, _)| *name == file),
        }
    }

    /// Whether the files that no model can do without are still there.
    pub fn are_there(&self) -> bool {
        self.contains(CONFIG_FILE) && self.weight_files().is_ok()
    }

    /// Checks that the files are still those that were found: whoever reads them opens them later. The files of a commit,
    /// and those in the binary, do not change.
    ///
    /// # Errors
    /// If they are others by now.
    pub fn check_unchanged(&self) -> Result<(), RegistryError> {
        let may_change = matches!(self.place, Place::Folder(_)) && self.revision.len() == REVISION_DIGITS;
        if may_change && self.digest()? != self.revision {
            return Err(RegistryError::Changed { dir: self.place_name() });
        }
        Ok(())
    }

    /// The content of a file other than weights; borrowed if it lies in the binary.
    ///
    /// # Errors
    /// If the name has a path in it, or the file is missing, cannot be read, or is larger than any that a model has.
    pub fn read(&self, file: &str) -> Result<Cow<'static, [u8]>, RegistryError> {
        match &self.place {
            Place::Folder(_) => {
                let max = if file == NGRAMS_FILE { MAX_NGRAMS_BYTES } else { MAX_TEXT_BYTES };
                let path = self.path(file)?;
                match open_file(&path).and_then(|opened| read_up_to(&opened, max)) {
                    Ok(Some(content)) => Ok(Cow::Owned(content)),
                    Ok(None) => Err(RegistryError::TooLarge { path, max }),
                    Err(source) => Err(self.cannot_read(file, path, source)),
                }
            }
            Place::Embedded(files) => match files.iter().find(|(name, _)| *name == file) {
                Some((_, content)) => Ok(Cow::Borrowed(content)),
                None => Err(self.missing(file)),
            },
        }
    }

    /// Opens a file, to be read a stretch at a time.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn open(&self, file: &str) -> Result<OpenFile, RegistryError> {
        match &self.place {
            Place::Folder(_) => {
                let path = self.path(file)?;
                OpenFile::on_disk(path.clone()).map_err(|source| self.cannot_read(file, path, source))
            }
            Place::Embedded(files) => match files.iter().find(|(name, _)| *name == file) {
                Some((_, content)) => Ok(OpenFile::in_memory(content)),
                None => Err(self.missing(file)),
            },
        }
    }

    /// The text of a file.
    ///
    /// # Errors
    /// As [`read`](Self::read), and if the file is not UTF-8.
    pub fn read_to_string(&self, file: &str) -> Result<String, RegistryError> {
        String::from_utf8(self.read(file)?.into_owned())
            .map_err(|_| RegistryError::NotUtf8 { dir: self.place_name(), file: file.to_owned() })
    }

    /// Where a file lies on disk, for libraries that insist on opening it themselves.
    ///
    /// # Errors
    /// If the name has a path in it, or the bundle lies in the binary.
    pub fn path(&self, file: &str) -> Result<PathBuf, RegistryError> {
        match &self.place {
            Place::Folder(folder) if is_plain(file) => Ok(folder.join(file)),
            Place::Folder(_) => Err(RegistryError::InvalidFileName { file: file.to_owned() }),
            Place::Embedded(_) => Err(self.missing(file)),
        }
    }

    /// How the bundle stores its weights.
    ///
    /// # Errors
    /// If it has none.
    pub fn weight_files(&self) -> Result<WeightFiles, RegistryError> {
        WeightFiles::find(|file| self.contains(file)).ok_or_else(|| self.missing(SAFETENSORS_FILE))
    }

    /// The shards that `model.safetensors.index.json` names, each once.
    ///
    /// # Errors
    /// If the index cannot be read, or names something that is not a file of this bundle.
    pub fn shards(&self) -> Result<Vec<String>, RegistryError> {
        let shards = bundle::shards(&self.read_to_string(SHARD_INDEX_FILE)?)
            .map_err(|reason| RegistryError::InvalidIndex { dir: self.place_name(), reason })?;
        match shards.iter().find(|shard| !is_plain(shard)) {
            Some(file) => Err(RegistryError::InvalidFileName { file: file.clone() }),
            None => Ok(shards),
        }
    }

    /// Checks the files against [`SUMS_FILE`], if the bundle has it.
    #[cfg(feature = "hub")]
    pub(super) fn check_sums(&self) -> Result<(), RegistryError> {
        if self.contains(SUMS_FILE) { self.digest().map(drop) } else { Ok(()) }
    }

    fn sums(&self) -> Result<Option<Sums>, RegistryError> {
        if !self.contains(SUMS_FILE) {
            return Ok(None);
        }
        let sums = Sums::parse(&self.read_to_string(SUMS_FILE)?);
        sums.map(Some).map_err(|reason| RegistryError::InvalidSums { dir: self.place_name(), reason })
    }

    /// Hashes what is there, and refuses what is not as [`SUMS_FILE`] says; whether it makes a model is for its readers
    /// to say.
    fn digest(&self) -> Result<String, RegistryError> {
        let mut names: Vec<String> = [
            CONFIG_FILE,
            TOKENIZER_FILE,
            VOCABULARY_FILE,
            TOKENIZER_CONFIG_FILE,
            CALIBRATION_FILE,
            NGRAMS_FILE,
        ]
        .map(str::to_owned)
        .into();
        if let Ok(weights) = self.weight_files() {
            names.push(weights.entry_file().to_owned());
            if weights == WeightFiles::Sharded {
                names.extend(self.shards().unwrap_or_default());
            }
        }
        let sums = self.sums()?;
        let lost = |name: &&String| {
            sums.as_ref().is_some_and(|sums| sums.of(name).is_some()) && !self.contains(name)
        };
        if let Some(file) = names.iter().find(lost) {
            return Err(RegistryError::MissingFile { dir: self.place_name(), file: file.clone() });
        }
        let mut hasher = Sha256::new();
        for name in names.iter().filter(|name| self.contains(name)) {
            let sum = self.sha256(name)?;
            if let Some(sums) = &sums {
                self.check_sum(name, sum, sums.of(name))?;
            }
            // Each file is hashed apart, so that no two bundles of different files run into the same bytes.
            hasher.update(Sha256::digest(name));
            hasher.update(sum);
        }
        Ok(hex::encode(hasher.finalize())[..REVISION_DIGITS].to_owned())
    }

    fn check_sum(&self, file: &str, found: [u8; 32], told: Option<[u8; 32]>) -> Result<(), RegistryError> {
        let (dir, file) = (self.place_name(), file.to_owned());
        match told {
            None => Err(RegistryError::NoSum { dir, file }),
            Some(told) if told == found => Ok(()),
            Some(told) => {
                let (told, found) = (hex::encode(told), hex::encode(found));
                Err(RegistryError::WrongSum { dir, file, told, found })
            }
        }
    }

    fn sha256(&self, file: &str) -> Result<[u8; 32], RegistryError> {
        match &self.place {
            Place::Folder(_) => {
                let path = self.path(file)?;
                sha256_of(&path).map_err(|source| self.cannot_read(file, path, source))
            }
            Place::Embedded(_) => Ok(Sha256::digest(self.read(file)?).into()),
        }
    }

    fn cannot_read(&self, file: &str, path: PathBuf, source: std::io::Error) -> RegistryError {
        if source.kind() == ErrorKind::NotFound {
            self.missing(file)
        } else {
            RegistryError::Read { path, source }
        }
    }

    fn missing(&self, file: &str) -> RegistryError {
        RegistryError::MissingFile { dir: self.place_name(), file: file.to_owned() }
    }

    fn place_name(&self) -> String {
        match &self.place {
            Place::Folder(folder) => folder.display().to_string(),
            Place::Embedded(_) => self.name.clone(),
        }
    }
}

/// Whether a name is that of a file in the folder itself, on any system.
pub(super) fn is_plain(file: &str) -> bool {
    let mut components = Path::new(file).components();
    matches!((components.next(), components.next()), (Some(Component::Normal(name)), None) if name == file)
        && !file.contains(['/', '\\', ':', '\0'])
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: (&str, &[u8]) = ("config.json", b"{}");
    const WEIGHTS: (&str, &[u8]) = ("model.safetensors", b"weights");

    fn folder_of(files: &[(&str, &[u8])]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in files {
            std::fs::write(folder.path().join(name), content).unwrap();
        }
        folder
    }

    #[test]
    fn a_folder_and_the_binary_read_alike() {
        let folder = folder_of(&[CONFIG, WEIGHTS]);
        let on_disk = ModelFiles::folder(folder.path()).unwrap();
        let in_binary = ModelFiles::embedded("default", &[CONFIG, WEIGHTS]);
        assert_eq!(on_disk.name(), folder.path().file_name().unwrap().to_str().unwrap());
        assert_eq!(in_binary.name(), "default");
        for files in [&on_disk, &in_binary] {
            assert!(files.contains("config.json") && !files.contains("vocab.txt"));
            assert_eq!(files.read("model.safetensors").unwrap(), WEIGHTS.1);
            let open = files.open("model.safetensors").unwrap();
            assert_eq!(open.size(), 7);
            assert_eq!(open.read(3..7).unwrap(), b"ghts".as_slice());
            assert_eq!(open.read(0..3).unwrap(), b"wei".as_slice());
            assert!(matches!(files.open("vocab.txt"), Err(RegistryError::MissingFile { .. })));
            assert_eq!(files.read_to_string("config.json").unwrap(), "{}");
            assert!(
                matches!(files.read("vocab.txt"), Err(RegistryError::MissingFile { file, .. }) if file == "vocab.txt")
            );
            assert_eq!(files.weight_files().unwrap(), WeightFiles::SafeTensors);
        }
        assert!(matches!(in_binary.read("config.json").unwrap(), Cow::Borrowed(_)));
    }

    #[test]
    fn files_that_change_after_they_were_found_are_noticed() {
        let folder = folder_of(&[CONFIG, WEIGHTS]);
        let files = ModelFiles::folder(folder.path()).unwrap();
        files.check_unchanged().unwrap();
        std::fs::write(folder.path().join(WEIGHTS.0), b"half of").unwrap();
        assert!(matches!(files.check_unchanged(), Err(RegistryError::Changed { .. })));
    }

    #[test]
    fn a_file_that_the_digests_name_must_be_there() {
        let sum =
            |(name, content): (&str, &[u8])| format!("{}  {name}\n", hex::encode(Sha256::digest(content)));
        let sums = sum(CONFIG) + &sum(WEIGHTS) + &sum((NGRAMS_FILE, b"lost"));
        let folder = folder_of(&[CONFIG, WEIGHTS, (SUMS_FILE, sums.as_bytes())]);
        let error = ModelFiles::folder(folder.path()).unwrap_err();
        assert!(matches!(&error, RegistryError::MissingFile { file, .. } if file == NGRAMS_FILE), "{error}");
    }

    #[test]
    fn the_revision_changes_with_the_model_and_nothing_else() {
        let revision = |files: &[(&str, &[u8])]| {
            let folder = folder_of(files);
            ModelFiles::folder(folder.path()).unwrap().revision().to_owned()
        };
        let original = revision(&[CONFIG, WEIGHTS]);
        assert_eq!(original.len(), 12);
        assert!(original.chars().all(|c| c.is_ascii_hexdigit()));
        assert_eq!(original, ModelFiles::embedded("x", &[WEIGHTS, CONFIG]).revision());
        assert_eq!(original, revision(&[CONFIG, WEIGHTS, ("README.md", b"a card")]));
        assert_ne!(original, revision(&[CONFIG, ("model.safetensors", b"other")]));
        assert_ne!(original, revision(&[CONFIG, WEIGHTS, ("calibration.json", b"{}")]));
        assert_ne!(original, revision(&[CONFIG, WEIGHTS, ("vocab.txt", b"")]));
    }

    #[test]
    fn a_changed_shard_changes_the_revision() {
        let index: (&str, &[u8]) =
            ("model.safetensors.index.json", br#"{"weight_map": {"x": "a", "y": "b"}}"#);
        let revision = |shard: &[u8]| {
            let folder = folder_of(&[CONFIG, index, ("a", b"1"), ("b", shard)]);
            ModelFiles::folder(folder.path()).unwrap().revision().to_owned()
        };
        assert_ne!(revision(b"2"), revision(b"3"));
    }

    #[test]
    fn refuses_names_with_a_path_in_them() {
        let folder = folder_of(&[CONFIG]);
        let files = ModelFiles::folder(folder.path().join(".")).unwrap();
        for name in
            ["../config.json", "./config.json", "a/b", "/etc/passwd", "..", ".", "", "a\\b", "config.json/"]
        {
            assert!(matches!(files.read(name), Err(RegistryError::InvalidFileName { .. })), "{name}");
            assert!(!files.contains(name), "{name}");
        }
    }

    #[test]
    fn refuses_what_is_no_folder() {
        let folder = folder_of(&[CONFIG]);
        for path in [folder.path().join("config.json"), folder.path().join("absent")] {
            let error = ModelFiles::folder(&path).unwrap_err();
            assert!(matches!(&error, RegistryError::NotAFolder { .. }));
            assert!(error.to_string().contains("hint:"), "{error}");
        }
    }

    #[test]
    fn refuses_text_that_is_not_utf8() {
        let folder = folder_of(&[("vocab.txt", b"\xff")]);
        let files = ModelFiles::folder(folder.path()).unwrap();
        assert!(matches!(files.read_to_string("vocab.txt"), Err(RegistryError::NotUtf8 { .. })));
    }

    #[cfg(not(feature = "hub"))]
    #[test]
    fn a_binary_without_the_hub_says_how_to_get_one() {
        let error = ModelFiles::fetch("owner/name", None, &HubConfig::from_environment()).unwrap_err();
        assert!(error.to_string().contains("--features hub"), "{error}");
    }
}
