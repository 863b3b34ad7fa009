//! Files of an object store, `s3://bucket/2025/*.csv`: copied to a folder of this machine first, since most formats can
//! only be read from a file, and all of them are read twice.
//!
//! Credentials, region and endpoint come from the environment, as AWS's own tools read them (`AWS_ACCESS_KEY_ID`,
//! `AWS_SECRET_ACCESS_KEY`, `AWS_REGION`, `AWS_ENDPOINT`, `AWS_ALLOW_HTTP`).

use std::path::{Path, PathBuf};

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
pub(super) fn copy(input: &str, _: &Path) -> Result<Vec<PathBuf>, InputError> {
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
    use glob::Pattern;
    use object_store::aws::AmazonS3Builder;
    use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};

    use super::{InputError, SCHEME};
    use crate::batch::input::find::{EXTENSIONS, has_extension};

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
            let mut copied = Vec::new();
            for object in objects(&store, key).await.map_err(wrong)? {
                let file = copies.join(bucket).join(object.location.as_ref());
                download(&store, &object, &file)
                    .await
                    .map_err(|source| InputError::Io { path: file.clone(), source })?;
                copied.push(file);
            }
            if copied.is_empty() { Err(InputError::NoFile { input: input.to_owned() }) } else { Ok(copied) }
        })
    }

    async fn objects(store: &impl ObjectStore, key: &str) -> Result<Vec<ObjectMeta>, String> {
        let told = |error: object_store::Error| error.to_string();
        let pattern = Pattern::new(key).map_err(|error| error.to_string())?;
        let is_pattern = key.contains(['*', '?', '[']);
        // Stores list by whole segments of a key.
        let folder = match key.find(['*', '?', '[']) {
            Some(first) => &key[..key[..first].rfind('/').unwrap_or(0)],
            None => key.trim_end_matches('/'),
        };
        if !is_pattern
            && !folder.is_empty()
            && let Ok(object) = store.head(&folder.into()).await
        {
            return Ok(vec![object]);
        }
        let prefix = (!folder.is_empty()).then(|| folder.into());
        let all: Vec<ObjectMeta> = store.list(prefix.as_ref()).try_collect().await.map_err(told)?;
        let is_meant = |object: &ObjectMeta| {
            let key = object.location.as_ref();
            if is_pattern { pattern.matches(key) } else { has_extension(Path::new(key), EXTENSIONS) }
        };
        let mut meant: Vec<_> = all.into_iter().filter(is_meant).collect();
        meant.sort_by(|a, b| a.location.cmp(&b.location));
        Ok(meant)
    }

    async fn download(store: &impl ObjectStore, object: &ObjectMeta, file: &Path) -> io::Result<()> {
        std::fs::create_dir_all(file.parent().unwrap_or(file))?;
        let mut chunks = store.get(&object.location).await?.into_stream();
        let mut out = File::create(file)?;
        while let Some(chunk) = chunks.try_next().await? {
            out.write_all(&chunk)?;
        }
        Ok(())
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
