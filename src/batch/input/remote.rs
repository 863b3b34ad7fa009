//! Files of an object store, `s3://bucket/2025/*.csv`: copied to a folder of this machine first, since most formats can
//! only be read from a file, and all of them are read twice.
//!
//! Credentials, region and endpoint come from the environment, as AWS's own tools read them (`AWS_ACCESS_KEY_ID`,
//! `AWS_SECRET_ACCESS_KEY`, `AWS_REGION`, `AWS_ENDPOINT`, `AWS_ALLOW_HTTP`).

use std::path::Path;

#[cfg(not(feature = "s3"))]
use super::InputError;

/// How such a file is named.
const SCHEME: &str = "s3://";

/// Whether an input is in an object store.
pub(in crate::batch) fn is_remote(input: &str) -> bool {
    input.starts_with(SCHEME)
}

/// What a copy is a copy of, if `file` lies in the folder of copies.
pub(super) fn name(file: &Path, copies: &Path) -> Option<String> {
    Some(format!("{SCHEME}{}", file.strip_prefix(copies).ok()?.display()))
}

#[cfg(not(feature = "s3"))]
pub(super) fn copy(input: &str, _: &Path) -> Result<Vec<std::path::PathBuf>, InputError> {
    let problem = "this program was built without object stores".to_owned();
    let hint = "build it with `--features s3`, or copy the files first";
    Err(InputError::Remote { input: input.to_owned(), problem, hint })
}

#[cfg(feature = "s3")]
pub(super) use objects::copy;

#[cfg(feature = "s3")]
mod objects {
    use std::fs::File;
    use std::io::{self, Write};
    use std::path::{Path, PathBuf};

    use futures_util::TryStreamExt;
    use glob::{MatchOptions, Pattern};
    use object_store::aws::AmazonS3Builder;
    use object_store::path::Path as Key;
    use object_store::{GetOptions, ObjectMeta, ObjectStore, ObjectStoreExt};

    use super::SCHEME;
    use crate::batch::input::InputError;
    use crate::batch::input::extension::{EXTENSIONS, has_extension};
    use crate::message::explain;

    /// How many bytes are asked for at once.
    const PIECE: u64 = 16 << 20;

    /// Patterns match as they do on a disk.
    const OPTIONS: MatchOptions = MatchOptions {
        case_sensitive: true,
        require_literal_separator: true,
        require_literal_leading_dot: true,
    };

    /// Copies the objects that are meant: one, all below a folder, or those of a pattern; in the order of their keys.
    pub(in crate::batch::input) fn copy(input: &str, copies: &Path) -> Result<Vec<PathBuf>, InputError> {
        let wrong = |problem: String| InputError::Remote {
            input: input.to_owned(),
            problem,
            hint: "check the name, and AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION and AWS_ENDPOINT",
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|source| InputError::Io { path: copies.to_owned(), source })?;
        runtime.block_on(async {
            let (bucket, key) = input[SCHEME.len()..].split_once('/').unwrap_or((&input[SCHEME.len()..], ""));
            let store = AmazonS3Builder::from_env().with_bucket_name(bucket).build();
            let store = store.map_err(|error| wrong(error.to_string()))?;
            let mut files = Vec::new();
            for object in objects(&store, key).await.map_err(wrong)? {
                let file = copies.join(bucket).join(object.location.as_ref());
                download(&store, &object, &file)
                    .await
                    .map_err(|source| InputError::Io { path: file.clone(), source })?;
                files.push(file);
            }
            if files.is_empty() { Err(InputError::NoFile { input: input.to_owned() }) } else { Ok(files) }
        })
    }

    async fn objects(store: &impl ObjectStore, key: &str) -> Result<Vec<ObjectMeta>, String> {
        let told = |error: object_store::Error| explain(&error);
        let pattern = Pattern::new(key).map_err(|error| error.to_string())?;
        let is_pattern = key.contains(['*', '?', '[']);
        // Stores list by whole segments of a key.
        let folder = match key.find(['*', '?', '[']) {
            Some(first) => &key[..key[..first].rfind('/').unwrap_or(0)],
            None => key.trim_end_matches('/'),
        };
        let prefix = Some(folder).filter(|folder| !folder.is_empty()).map(key_of).transpose()?;
        // Who may read what is in a folder need not be allowed to ask for an object of the folder's name.
        let mut denied = None;
        if let Some(key) = prefix.as_ref().filter(|_| !is_pattern) {
            match store.head(key).await {
                Ok(object) => return Ok(vec![object]),
                Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => denied = Some(told(error)),
            }
        }
        let all: Vec<ObjectMeta> = store
            .list(prefix.as_ref())
            .try_collect()
            .await
            .map_err(|error| denied.clone().unwrap_or_else(|| told(error)))?;
        let is_meant = |object: &ObjectMeta| {
            let key = object.location.as_ref();
            // Some programs mark a folder by an empty object.
            let is_marker = object.size == 0 && Path::new(key).extension().is_none();
            if is_pattern {
                pattern.matches_with(key, OPTIONS) && !is_marker
            } else {
                has_extension(Path::new(key), EXTENSIONS)
            }
        };
        let mut meant: Vec<_> = all.into_iter().filter(is_meant).collect();
        meant.sort_by(|a, b| a.location.cmp(&b.location));
        match denied {
            Some(problem) if meant.is_empty() => Err(problem),
            Some(_) | None => Ok(meant),
        }
    }

    /// A key as it stands; a path made of a text would be percent-encoded.
    fn key_of(text: &str) -> Result<Key, String> {
        Key::parse(text).map_err(|error| error.to_string())
    }

    /// Copies an object piece by piece: each has its own retries and time limit, and all are of one version.
    async fn download(store: &impl ObjectStore, object: &ObjectMeta, file: &Path) -> io::Result<()> {
        std::fs::create_dir_all(file.parent().unwrap_or(file))?;
        let mut out = File::create(file)?;
        let mut start = 0;
        while start < object.size {
            let end = object.size.min(start + PIECE);
            let if_match = object.e_tag.clone();
            let options = GetOptions { range: Some((start..end).into()), if_match, ..GetOptions::default() };
            out.write_all(&store.get_opts(&object.location, options).await?.bytes().await?)?;
            start = end;
        }
        if out.metadata()?.len() == object.size {
            Ok(())
        } else {
            Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the object store gave less than it has"))
        }
    }

    #[cfg(test)]
    mod tests {
        use object_store::PutPayload;
        use object_store::memory::InMemory;

        use super::*;

        #[tokio::test]
        async fn what_is_meant_is_found_as_on_a_disk_and_copied_whole() {
            let store = InMemory::new();
            let content = vec![7_u8; PIECE as usize + 1];
            for key in ["工单/一.csv", "工单/旧/二.csv", "工单/notes.docx"] {
                store.put(&key_of(key).unwrap(), PutPayload::from(content.clone())).await.unwrap();
            }
            for (key, found) in [
                ("工单", &["工单/一.csv", "工单/旧/二.csv"][..]),
                ("工单/", &["工单/一.csv", "工单/旧/二.csv"]),
                ("工单/*.csv", &["工单/一.csv"]),
                ("工单/**/*.csv", &["工单/一.csv", "工单/旧/二.csv"]),
                ("工单/*", &["工单/notes.docx", "工单/一.csv"]),
                ("工单/一.csv", &["工单/一.csv"]),
                ("投诉", &[]),
            ] {
                let objects = objects(&store, key).await.unwrap();
                let keys: Vec<_> = objects.iter().map(|object| object.location.as_ref()).collect();
                assert_eq!(keys, found, "{key}");
            }
            let object = objects(&store, "工单/一.csv").await.unwrap().remove(0);
            let folder = tempfile::tempdir().unwrap();
            let copy = folder.path().join("工单/一.csv");
            download(&store, &object, &copy).await.unwrap();
            assert!(std::fs::read(copy).unwrap() == content);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_called_like_its_object() {
        let copies = Path::new("out.csv.inputs");
        assert_eq!(
            name(&copies.join("hotline/2025/a.csv"), copies).as_deref(),
            Some("s3://hotline/2025/a.csv")
        );
        assert_eq!(name(Path::new("a.csv"), copies), None);
    }

    #[cfg(not(feature = "s3"))]
    #[test]
    fn a_program_without_object_stores_says_so() {
        let error = copy("s3://hotline/a.csv", Path::new("copies")).unwrap_err().to_string();
        assert!(error.contains("`--features s3`"), "{error}");
    }
}
