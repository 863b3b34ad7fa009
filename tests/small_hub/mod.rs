//! A hub as small as can be, served on loopback with the answers that the Hugging Face hub gives.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path as Segments, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use jiesu::registry::{HubConfig, ModelFiles, RegistryError};
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio::sync::oneshot;

pub(crate) const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
pub(crate) const REPO: &str = "owner/name";

/// What goes wrong when the weights are fetched; their HEAD always promises the whole file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The connection breaks after half of them.
    Cut,
    /// The answer ends after half of them, as if that were all.
    Short,
    /// As many other bytes.
    Altered,
    /// An error page in their place.
    ErrorPage,
}

/// What the hub holds and what it has been asked.
pub(crate) struct Shelf {
    address: String,
    pub(crate) commit: &'static str,
    pub(crate) files: HashMap<&'static str, Vec<u8>>,
    fault: Option<Fault>,
    /// The ETag of every file instead of its own.
    pub(crate) forged_etag: Option<&'static str>,
    /// Whatever commit is asked for, it gives its own.
    pub(crate) misleads: bool,
    pub(crate) requests: Vec<String>,
    pub(crate) tokens: Vec<Option<String>>,
}

/// A hub on loopback, gone when dropped.
pub(crate) struct Hub {
    pub(crate) shelf: Arc<Mutex<Shelf>>,
    pub(crate) cache: TempDir,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Hub {
    pub(crate) fn start(files: &[(&'static str, Vec<u8>)]) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let shelf = Arc::new(Mutex::new(Shelf {
            address: format!("http://{}", listener.local_addr().unwrap()),
            commit: COMMIT,
            files: files.iter().cloned().collect(),
            fault: None,
            forged_etag: None,
            misleads: false,
            requests: Vec::new(),
            tokens: Vec::new(),
        }));
        let router = Router::new()
            .route("/api/models/{owner}/{name}/revision/{revision}", get(info))
            .route("/api/models/{owner}/{name}/tree/{revision}", get(tree))
            .route("/{owner}/{name}/resolve/{revision}/{file}", get(resolve))
            .route("/storage/{file}", get(storage))
            .with_state(shelf.clone());
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                tokio::select! {
                    served = axum::serve(listener, router) => served.unwrap(),
                    _ = stopped => {}
                }
            });
        });
        Self { shelf, cache: tempfile::tempdir().unwrap(), stop: Some(stop), thread: Some(thread) }
    }

    pub(crate) fn config(&self) -> HubConfig {
        HubConfig {
            endpoint: self.shelf.lock().unwrap().address.clone(),
            token: None,
            cache_dir: self.cache.path().to_owned(),
            offline: false,
        }
    }

    pub(crate) fn offline(&self) -> HubConfig {
        HubConfig { offline: true, ..self.config() }
    }

    pub(crate) fn fetch(&self) -> Result<ModelFiles, RegistryError> {
        ModelFiles::fetch(REPO, None, &self.config())
    }

    pub(crate) fn set_fault(&self, fault: Option<Fault>) {
        self.shelf.lock().unwrap().fault = fault;
    }

    /// The files that were asked for since the last call, each once.
    pub(crate) fn files_asked_for(&self) -> Vec<String> {
        let requests = std::mem::take(&mut self.shelf.lock().unwrap().requests);
        let mut files: Vec<String> = requests
            .iter()
            .filter(|path| path.contains("/resolve/"))
            .map(|path| path.rsplit('/').next().unwrap().to_owned())
            .collect();
        files.sort();
        files.dedup();
        files
    }

    pub(crate) fn shut_down(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.shut_down();
    }
}

type Shared = State<Arc<Mutex<Shelf>>>;

fn note(shelf: &Shared, headers: &HeaderMap, path: String) {
    let token = headers.get(header::AUTHORIZATION).map(|value| value.to_str().unwrap().to_owned());
    let mut shelf = shelf.lock().unwrap();
    shelf.requests.push(path);
    shelf.tokens.push(token);
}

fn refusal(status: StatusCode, code: &'static str) -> Response {
    (status, [("x-error-code", code)], "{\"error\": \"no\"}").into_response()
}

async fn info(
    shelf: Shared,
    Segments((owner, name, revision)): Segments<(String, String, String)>,
    headers: HeaderMap,
) -> Response {
    note(&shelf, &headers, format!("/api/{owner}/{name}"));
    let commit = shelf.lock().unwrap().commit;
    match (name.as_str(), revision.as_str()) {
        ("absent", _) => refusal(StatusCode::NOT_FOUND, "RepoNotFound"),
        ("private", _) => refusal(StatusCode::UNAUTHORIZED, "RepoNotFound"),
        (_, "main" | "v1" | "refs/pr/1") => {
            format!("{{\"id\": \"{owner}/{name}\", \"sha\": \"{commit}\"}}").into_response()
        }
        (_, sha) if sha == commit || shelf.lock().unwrap().misleads => {
            format!("{{\"id\": \"{owner}/{name}\", \"sha\": \"{commit}\"}}").into_response()
        }
        _ => refusal(StatusCode::NOT_FOUND, "RevisionNotFound"),
    }
}

/// Large files lie in LFS.
fn is_lfs(file: &str) -> bool {
    Path::new(file).extension().is_some_and(|kind| kind != "json" && kind != "txt")
}

async fn tree(
    shelf: Shared,
    Segments((owner, name, _)): Segments<(String, String, String)>,
    headers: HeaderMap,
) -> Response {
    note(&shelf, &headers, format!("/api/{owner}/{name}/tree"));
    let entry = |(file, content): (&&str, &Vec<u8>)| {
        let lfs = if is_lfs(file) { r#", "lfs": {"oid": "00", "size": 1, "pointerSize": 1}"# } else { "" };
        format!(r#"{{"type": "file", "oid": "00", "size": {}, "path": "{file}"{lfs}}}"#, content.len())
    };
    let mut entries: Vec<String> = shelf.lock().unwrap().files.iter().map(entry).collect();
    entries.push(r#"{"type": "directory", "oid": "00", "path": "onnx"}"#.to_owned());
    format!("[{}]", entries.join(", ")).into_response()
}

fn sha256(content: &[u8]) -> String {
    Sha256::digest(content).iter().fold(String::new(), |digits, byte| format!("{digits}{byte:02x}"))
}

/// Small files come at once; for large ones the hub points to its storage.
async fn resolve(
    shelf: Shared,
    Segments((owner, name, _, file)): Segments<(String, String, String, String)>,
    headers: HeaderMap,
) -> Response {
    note(&shelf, &headers, format!("/{owner}/{name}/resolve/{file}"));
    let shelf = shelf.lock().unwrap();
    if name == "gated" {
        return refusal(StatusCode::FORBIDDEN, "GatedRepo");
    }
    let Some(content) = shelf.files.get(file.as_str()) else {
        return refusal(StatusCode::NOT_FOUND, "EntryNotFound");
    };
    let commit = ("x-repo-commit", shelf.commit.to_owned());
    let etag = format!("\"{}\"", sha256(content));
    if is_lfs(&file) {
        let location = ("location", format!("{}/storage/{file}", shelf.address));
        let size = ("x-linked-size", content.len().to_string());
        return (StatusCode::FOUND, [commit, location, size, ("x-linked-etag", etag)]).into_response();
    }
    // The ETag of a small file is the 40 digits of its git object.
    let etag = shelf.forged_etag.unwrap_or(&etag[1..41]);
    ([commit, ("etag", format!("\"{etag}\""))], content.clone()).into_response()
}

async fn storage(shelf: Shared, Segments(file): Segments<String>, method: Method) -> Response {
    let shelf = shelf.lock().unwrap();
    let content = shelf.files[file.as_str()].clone();
    let half = content[..content.len() / 2].to_vec();
    let Some(fault) = shelf.fault.filter(|_| method == Method::GET) else {
        return content.into_response();
    };
    match fault {
        Fault::Cut => {
            let body =
                tokio_stream::iter([Ok(Bytes::from(half)), Err(std::io::Error::other("the line went dead"))]);
            ([(header::CONTENT_LENGTH, content.len())], Body::from_stream(body)).into_response()
        }
        Fault::Short => half.into_response(),
        Fault::Altered => content.iter().map(|byte| !byte).collect::<Vec<u8>>().into_response(),
        Fault::ErrorPage => (StatusCode::FORBIDDEN, "<html>not for you</html>").into_response(),
    }
}
