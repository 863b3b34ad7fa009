//! Downloads from a Hugging Face hub or a mirror of it: the one door to the `hf-hub` crate.
//!
//! The revision is resolved to a commit first, and every file is fetched at that commit, so that a model is never put
//! together from two states of a repository. Only the files that make up a model are fetched. Of what `hf-hub` brings,
//! the length is compared with what the hub announced, and the SHA-256 where the hub knows it: `hf-hub` 1.0 does not
//! look at the status of the answer that carries a file, and would keep a mirror's error page as weights.
//!
//! Everything that `hf-hub` would take from the process environment is given to it from [`HubConfig`].

use std::path::{Path, PathBuf};
use std::time::Duration;

use hf_hub::progress::{DownloadEvent, ProgressEvent, ProgressHandler};
use hf_hub::repository::RepoTreeEntry;
use hf_hub::{HFClient, HFClientSync, HFError, HFRepositorySync, RepoTypeModel};
use indicatif::{ProgressBar, ProgressStyle};

use super::bundle::{self, WeightFiles};
use super::files::is_plain;
use super::{CONFIG_FILE, HubConfig, HubToken, ModelFiles, RegistryError};
use crate::message;
use crate::plain_file::sha256_of;

/// What the hub calls the newest state of a repository.
const MAIN_BRANCH: &str = "main";
/// A blocked hub drops packets silently; the system alone would wait for minutes.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest silence within an answer.
const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// Tries after a first failure to connect.
const RETRIES: usize = 2;
/// How often to wait, ten seconds each, for another process that downloads the same file.
const LOCK_WAITS: usize = 90;
/// Largest file that is fetched: ten times what BERT's largest sizes take in 32-bit floats.
const MAX_FILE_BYTES: u64 = 16 << 30;

/// A repository at a revision, and how to reach it.
struct Hub<'a> {
    repository: HFRepositorySync<RepoTypeModel>,
    repo: &'a str,
    revision: &'a str,
    config: &'a HubConfig,
}

/// A file of the repository as the hub lists it.
struct Listed {
    name: String,
    size: u64,
    /// Whether it is stored in LFS, whose ETag is the SHA-256 of the content.
    lfs: bool,
}

/// Fetches a model, or finds it in the cache.
pub(super) fn fetch(
    repo: &str,
    revision: Option<&str>,
    config: &HubConfig,
) -> Result<ModelFiles, RegistryError> {
    let revision = revision.unwrap_or(MAIN_BRANCH);
    let (owner, name) = repo.split_once('/').unwrap_or_default();
    if !config.endpoint.starts_with("http://") && !config.endpoint.starts_with("https://") {
        return Err(RegistryError::InvalidEndpoint { endpoint: config.endpoint.clone() });
    }
    let client = client(config).map_err(|error| {
        if let HFError::Url(_) = error {
            return RegistryError::InvalidEndpoint { endpoint: config.endpoint.clone() };
        }
        download_error(repo, config, &error)
    })?;
    let hub = Hub { repository: client.model(owner, name), repo, revision, config };
    if config.offline { hub.find() } else { hub.download() }
}

fn client(config: &HubConfig) -> Result<HFClientSync, HFError> {
    let user_agent = concat!("jiesu/", env!("CARGO_PKG_VERSION"));
    let http = reqwest::Client::builder()
        .user_agent(user_agent)
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(READ_TIMEOUT)
        .build()?;
    HFClient::builder()
        .endpoint(&config.endpoint)
        .cache_dir(&config.cache_dir)
        // Without a token, `hf-hub` would look for one itself. What cannot stand in a header, it leaves out.
        .token(config.token.as_ref().map_or("\n", HubToken::reveal))
        .user_agent(user_agent)
        .client(http)
        .retry_max_attempts(RETRIES)
        .build_sync()
}

impl Hub<'_> {
    /// Looks in the cache alone.
    fn find(&self) -> Result<ModelFiles, RegistryError> {
        let folder = self
            .repository
            .snapshot_download()
            .revision(self.revision)
            .local_files_only(true)
            .send()
            .map_err(|error| {
                let absent = matches!(error, HFError::LocalEntryNotFound { .. });
                if absent { self.not_cached("file") } else { self.explain(&error) }
            })?;
        let commit = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let files = ModelFiles::snapshot(self.repo, &commit, folder);
        let contains = |file: &str| files.contains(file);
        bundle::description(contains).map_err(|missing| self.not_cached(missing))?;
        let weights = WeightFiles::find(contains).ok_or_else(|| self.not_cached("weights"))?;
        if weights == WeightFiles::Sharded
            && let Some(shard) = files.shards()?.iter().find(|shard| !files.contains(shard))
        {
            return Err(self.not_cached(&format!("`{shard}`")));
        }
        files.check_sums()?;
        Ok(files)
    }

    /// Fetches what the cache lacks.
    fn download(&self) -> Result<ModelFiles, RegistryError> {
        let info =
            self.repository.info().revision(self.revision).send().map_err(|error| self.explain(&error))?;
        // The commit becomes the name of a folder, so the hub is not taken at its word.
        let commit = info
            .sha
            .filter(|sha| is_commit(sha))
            .ok_or_else(|| self.failed("the hub names no commit for this revision"))?;
        if is_commit(self.revision) && !self.revision.eq_ignore_ascii_case(&commit) {
            return Err(self.failed(&format!("asked for this commit, the hub gives another, {commit}")));
        }
        let listing = self.list(&commit)?;
        let contains = |file: &str| listing.iter().any(|listed| listed.name == file);
        let not_found = |file: &str| RegistryError::HubFileNotFound {
            repo: self.repo.to_owned(),
            revision: self.revision.to_owned(),
            file: file.to_owned(),
        };

        let description = bundle::description(contains).map_err(not_found)?;
        let weights = WeightFiles::find(contains).ok_or_else(|| not_found("weights"))?;
        let get = |file: &str| -> Result<PathBuf, RegistryError> {
            let listed = listing
                .iter()
                .find(|listed| listed.name == file)
                .ok_or_else(|| not_found(&format!("`{file}`")))?;
            self.get(listed, &commit)
        };
        for file in description.into_iter().chain([weights.entry_file()]) {
            get(file)?;
        }
        let folder = get(CONFIG_FILE)?.parent().unwrap_or(Path::new("")).to_owned();
        let files = ModelFiles::snapshot(self.repo, &commit, folder);
        if weights == WeightFiles::Sharded {
            for shard in files.shards()? {
                get(&shard)?;
            }
        }
        files.check_sums()?;
        self.remember(&files, &commit)?;
        Ok(files)
    }

    /// The files in the repository's own folder.
    fn list(&self, commit: &str) -> Result<Vec<Listed>, RegistryError> {
        let tree =
            self.repository.list_tree().revision(commit).send().map_err(|error| self.explain(&error))?;
        let file = |entry| match entry {
            RepoTreeEntry::File { path, size, lfs, .. } => {
                Some(Listed { name: path, size, lfs: lfs.is_some() })
            }
            RepoTreeEntry::Directory { .. } => None,
        };
        Ok(tree.into_iter().filter_map(file).filter(|listed| is_plain(&listed.name)).collect())
    }

    /// Brings one file into the cache and checks it; what is damaged is thrown away and fetched once more.
    fn get(&self, listed: &Listed, commit: &str) -> Result<PathBuf, RegistryError> {
        if listed.size > MAX_FILE_BYTES {
            let (file, size) = (&listed.name, listed.size);
            return Err(self.failed(&format!("`{file}` would take {size} bytes, as no model's file does")));
        }
        let mut damage = String::new();
        for again in [false, true] {
            let (path, fresh) = self.download_file(&listed.name, commit, again)?;
            match damage_of(&path, listed, fresh).map_err(|error| self.failed(&error.to_string()))? {
                None => return Ok(path),
                Some(found) => {
                    damage = found;
                    tracing::warn!(file = listed.name, damage, "threw away a damaged download");
                    // The entry in the snapshot is a link; what it points at must go as well.
                    for stale in [path.canonicalize().ok(), Some(path)].into_iter().flatten() {
                        std::fs::remove_file(stale).ok();
                    }
                }
            }
        }
        Err(RegistryError::Damaged { repo: self.repo.to_owned(), file: listed.name.clone(), reason: damage })
    }

    /// Where a file lies in the cache, and whether it has only now been brought there.
    fn download_file(&self, file: &str, commit: &str, force: bool) -> Result<(PathBuf, bool), RegistryError> {
        let cached = || {
            let found =
                self.repository.download_file().filename(file).revision(commit).local_files_only(true);
            found.send().ok()
        };
        if !force && let Some(path) = cached() {
            return Ok((path, false));
        }
        let bar = progress_bar(file);
        let mut waits = 0;
        let outcome = loop {
            let download =
                self.repository.download_file().filename(file).revision(commit).force_download(force);
            match download.progress(Meter(bar.clone())).send() {
                Err(HFError::CacheLockTimeout { .. }) if waits < LOCK_WAITS => {
                    waits += 1;
                    tracing::info!(file, "waiting for another process that downloads this file");
                }
                outcome => break outcome,
            }
        };
        bar.finish_and_clear();
        let path = outcome.map_err(|error| self.explain(&error))?;
        self.check_place(&path, commit)?;
        Ok((path, true))
    }

    /// `hf-hub` makes names of files and folders out of what the hub's headers say, whatever that is; what did not come
    /// to lie where it belongs is not used.
    fn check_place(&self, path: &Path, commit: &str) -> Result<(), RegistryError> {
        // <cache>/models--owner--name/snapshots/<commit>/<file>, a link into <cache>/models--owner--name/blobs
        let repository = path.ancestors().nth(3).unwrap_or(Path::new(""));
        let (blobs, blob) = (repository.join("blobs").canonicalize(), path.canonicalize());
        let is_blob = matches!((blobs, blob), (Ok(blobs), Ok(blob)) if blob.parent() == Some(&blobs));
        if path.parent().and_then(Path::file_name) != Some(commit.as_ref()) || !is_blob {
            // The link alone: what it points at is not ours.
            std::fs::remove_file(path).ok();
            let place = path.display();
            return Err(self.failed(&format!("a file of commit {commit} came to lie at `{place}`, outside of its place in the cache; the hub's headers are forged")));
        }
        Ok(())
    }

    /// Notes in the cache which commit a branch or tag means, once all of it is there, for later use offline.
    fn remember(&self, files: &ModelFiles, commit: &str) -> Result<(), RegistryError> {
        if self.revision == commit {
            return Ok(());
        }
        // <cache>/models--owner--name/snapshots/<commit>/config.json, as all of Hugging Face's tools lay it out
        let config = files.path(CONFIG_FILE)?;
        let Some(repository) = config.ancestors().nth(3) else { return Ok(()) };
        let note = repository.join("refs").join(self.revision);
        let written = std::fs::create_dir_all(note.parent().unwrap_or(repository))
            .and_then(|()| std::fs::write(&note, commit));
        written.map_err(|error| self.failed(&format!("cannot write `{}`: {error}", note.display())))
    }

    /// Turns what `hf-hub` says into what a user can do about it.
    fn explain(&self, error: &HFError) -> RegistryError {
        let repo = self.repo.to_owned();
        let endpoint = self.config.endpoint.clone();
        let (status, code) = answer(error);
        if let Some(status @ (401 | 403)) = status {
            return RegistryError::AccessDenied {
                repo,
                endpoint,
                status,
                with_token: self.config.token.is_some(),
            };
        }
        if status == Some(404) {
            // Of a repository that does not exist `hf-hub` says that the revision was not found, too.
            if code == Some("RepoNotFound") || self.revision == MAIN_BRANCH {
                return RegistryError::RepositoryNotFound { repo, endpoint };
            }
            return RegistryError::RevisionNotFound { repo, revision: self.revision.to_owned(), endpoint };
        }
        if let HFError::EntryNotFound { path, .. } = error {
            let (revision, file) = (self.revision.to_owned(), format!("`{path}`"));
            return RegistryError::HubFileNotFound { repo, revision, file };
        }
        if let HFError::Request { source, .. } = error
            && (source.is_connect() || source.is_timeout())
        {
            return RegistryError::Unreachable { endpoint, reason: message::explain(error) };
        }
        download_error(self.repo, self.config, error)
    }

    fn failed(&self, reason: &str) -> RegistryError {
        RegistryError::Download {
            repo: self.repo.to_owned(),
            endpoint: self.config.endpoint.clone(),
            reason: reason.to_owned(),
        }
    }

    fn not_cached(&self, missing: &str) -> RegistryError {
        RegistryError::NotCached {
            repo: self.repo.to_owned(),
            revision: self.revision.to_owned(),
            missing: missing.to_owned(),
            cache_dir: self.config.cache_dir.clone(),
        }
    }
}

fn is_commit(revision: &str) -> bool {
    revision.len() == 40 && revision.chars().all(|c| c.is_ascii_hexdigit())
}

/// How a file differs from what the hub announced; `fresh` ones are read through.
fn damage_of(path: &Path, listed: &Listed, fresh: bool) -> std::io::Result<Option<String>> {
    let length = std::fs::metadata(path)?.len();
    if length != listed.size {
        return Ok(Some(format!("{length} bytes instead of {}", listed.size)));
    }
    // The cache names what a link points at by its ETag.
    let blob = path.canonicalize()?;
    let etag = blob.file_name().unwrap_or_default().to_string_lossy();
    if fresh && listed.lfs && etag.len() == 64 && hex::encode(sha256_of(&blob)?) != etag.to_lowercase() {
        return Ok(Some(format!("its SHA-256 is not {etag}")));
    }
    Ok(None)
}

/// Status and error code of the hub's answer, if there was one.
fn answer(error: &HFError) -> (Option<u16>, Option<&str>) {
    let (HFError::Http { context }
    | HFError::AuthRequired { context }
    | HFError::Forbidden { context }
    | HFError::RepoNotFound { context: Some(context), .. }
    | HFError::RevisionNotFound { context: Some(context), .. }) = error
    else {
        return (None, None);
    };
    (Some(context.status.as_u16()), context.error_code.as_deref())
}

fn download_error(repo: &str, config: &HubConfig, error: &HFError) -> RegistryError {
    RegistryError::Download {
        repo: repo.to_owned(),
        endpoint: config.endpoint.clone(),
        reason: message::explain(error),
    }
}

/// A bar on the terminal; invisible where standard error is none.
fn progress_bar(file: &str) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::no_length().with_style(style).with_message(file.to_owned())
}

/// Moves a bar as a download proceeds.
struct Meter(ProgressBar);

impl ProgressHandler for Meter {
    fn on_progress(&self, event: &ProgressEvent) {
        let ProgressEvent::Download(event) = event else { return };
        match event {
            DownloadEvent::Start { total_bytes, .. } => {
                self.0.set_length(*total_bytes);
                tracing::info!(file = self.0.message(), bytes = total_bytes, "downloading");
            }
            DownloadEvent::Progress { files } => {
                for file in files {
                    self.0.set_position(file.bytes_completed);
                }
            }
            DownloadEvent::AggregateProgress { bytes_completed, .. } => self.0.set_position(*bytes_completed),
            DownloadEvent::Complete => {}
        }
    }
}
