//! How the hub is reached: the variables that Hugging Face's own tools read, resolved here and nowhere else.

use std::fmt;
use std::path::PathBuf;

/// The public hub.
const DEFAULT_ENDPOINT: &str = "https://huggingface.co";

/// Address, credentials and cache of a hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubConfig {
    /// Address of the hub or of a mirror, without a slash at its end.
    pub endpoint: String,
    /// Sent with every request if there is one.
    pub token: Option<HubToken>,
    /// Where downloaded files are kept, in the layout that Hugging Face's tools share.
    pub cache_dir: PathBuf,
    /// Use the cache alone.
    pub offline: bool,
}

/// A secret that proves to the hub who asks; never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct HubToken(String);

impl HubToken {
    /// Takes a token; none if it is blank.
    pub fn new(token: &str) -> Option<Self> {
        let token = token.trim();
        (!token.is_empty()).then(|| Self(token.to_owned()))
    }

    /// The secret itself.
    #[cfg(feature = "hub")]
    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for HubToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HubToken(…)")
    }
}

impl HubConfig {
    /// Reads the process environment.
    pub fn from_environment() -> Self {
        Self::from_variables(|name| std::env::var(name).ok())
    }

    /// Reads variables through `variable`.
    ///
    /// | what | from, in this order |
    /// |---|---|
    /// | endpoint | `HF_ENDPOINT`, `https://huggingface.co` |
    /// | token | `HF_TOKEN`, the file `HF_TOKEN_PATH`, the file `token` in Hugging Face's folder |
    /// | cache | `HF_HUB_CACHE`, `HUGGINGFACE_HUB_CACHE`, `hub` in Hugging Face's folder |
    /// | Hugging Face's folder | `HF_HOME`, `$XDG_CACHE_HOME/huggingface`, `~/.cache/huggingface` |
    /// | offline | `HF_HUB_OFFLINE` is 1, true, yes or on |
    ///
    /// A blank variable counts as none. `HF_HUB_DISABLE_IMPLICIT_TOKEN`, if set, leaves the token out.
    pub fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| {
            variable(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
        };
        let user_cache = || {
            let user = set("HOME").or_else(|| set("USERPROFILE"));
            user.map_or_else(std::env::temp_dir, PathBuf::from).join(".cache")
        };
        let home = set("HF_HOME").map_or_else(
            || set("XDG_CACHE_HOME").map_or_else(user_cache, PathBuf::from).join("huggingface"),
            PathBuf::from,
        );
        let file_token = |path: PathBuf| HubToken::new(&std::fs::read_to_string(path).ok()?);
        let token = match set("HF_HUB_DISABLE_IMPLICIT_TOKEN") {
            Some(_) => None,
            None => set("HF_TOKEN")
                .and_then(|token| HubToken::new(&token))
                .or_else(|| file_token(set("HF_TOKEN_PATH")?.into()))
                .or_else(|| file_token(home.join("token"))),
        };
        let endpoint = set("HF_ENDPOINT").unwrap_or_else(|| DEFAULT_ENDPOINT.to_owned());
        Self {
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            token,
            cache_dir: set("HF_HUB_CACHE")
                .or_else(|| set("HUGGINGFACE_HUB_CACHE"))
                .map_or_else(|| home.join("hub"), PathBuf::from),
            offline: set("HF_HUB_OFFLINE")
                .is_some_and(|value| ["1", "true", "yes", "on"].contains(&value.to_lowercase().as_str())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(variables: &[(&str, &str)]) -> HubConfig {
        HubConfig::from_variables(|name| {
            variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn an_empty_environment_means_the_public_hub() {
        let config = config(&[("HOME", "/home/someone"), ("HF_ENDPOINT", " "), ("HF_TOKEN", "")]);
        assert_eq!(config.endpoint, "https://huggingface.co");
        assert_eq!(config.token, None);
        assert_eq!(config.cache_dir, PathBuf::from("/home/someone/.cache/huggingface/hub"));
        assert!(!config.offline);
    }

    #[test]
    fn the_narrower_variable_wins() {
        let cache = |variables: &[(&str, &str)]| config(variables).cache_dir;
        assert_eq!(cache(&[("XDG_CACHE_HOME", "/x")]), PathBuf::from("/x/huggingface/hub"));
        assert_eq!(cache(&[("XDG_CACHE_HOME", "/x"), ("HF_HOME", "/h")]), PathBuf::from("/h/hub"));
        assert_eq!(cache(&[("HF_HOME", "/h"), ("HUGGINGFACE_HUB_CACHE", "/o")]), PathBuf::from("/o"));
        assert_eq!(cache(&[("HUGGINGFACE_HUB_CACHE", "/o"), ("HF_HUB_CACHE", "/c")]), PathBuf::from("/c"));
        assert_eq!(config(&[("HF_ENDPOINT", "https://hf-mirror.com/")]).endpoint, "https://hf-mirror.com");
    }

    #[test]
    fn offline_is_said_in_four_ways() {
        for yes in ["1", "true", "YES", "on"] {
            assert!(config(&[("HF_HUB_OFFLINE", yes)]).offline, "{yes}");
        }
        for no in ["0", "false", "", "off"] {
            assert!(!config(&[("HF_HUB_OFFLINE", no)]).offline, "{no}");
        }
    }

    #[test]
    fn the_token_comes_from_a_variable_or_a_file() {
        let home = tempfile::tempdir().unwrap();
        let home_text = home.path().to_str().unwrap();
        assert_eq!(config(&[("HF_HOME", home_text)]).token, None);
        std::fs::write(home.path().join("token"), "of-home\n").unwrap();
        std::fs::write(home.path().join("other"), "of-path\n").unwrap();
        let other = home.path().join("other");
        let variables =
            [("HF_HOME", home_text), ("HF_TOKEN_PATH", other.to_str().unwrap()), ("HF_TOKEN", "of-variable")];
        for (count, expected) in [(1, "of-home"), (2, "of-path"), (3, "of-variable")] {
            assert_eq!(config(&variables[..count]).token, HubToken::new(expected));
        }
        let disabled = config(&[("HF_TOKEN", "t"), ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")]);
        assert_eq!(disabled.token, None);
    }

    #[test]
    fn debug_output_hides_the_token() {
        assert!(!format!("{:?}", config(&[("HF_TOKEN", "secret")])).contains("secret"));
    }
}
