//! Settings from the command line, the environment and a file, as the program's user meets them.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fmt::Write;
use std::path::Path;

use assert_cmd::Command;
use clap::CommandFactory;
use jiesu::cli::Cli;
use jiesu::config;
use proptest::prelude::*;
use tempfile::TempDir;

/// Runs the program in `folder`, with only the variables `env` of its own.
fn jiesu(folder: &Path, args: &[&str], env: &[(&str, &str)]) -> (i32, String, String) {
    let mut command = Command::cargo_bin("jiesu").unwrap();
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("JIESU_") {
            command.env_remove(name);
        }
    }
    let output = command.args(args).current_dir(folder).envs(env.iter().copied()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// What `config show` says for a command line.
fn shown(folder: &Path, args: &[&str], env: &[(&str, &str)]) -> String {
    let (status, stdout, stderr) = jiesu(folder, &[&["config", "show"], args].concat(), env);
    assert_eq!((status, stderr.as_str()), (0, ""));
    stdout
}

/// The value that `config show` has for a flag, and where it comes from.
fn setting(shown: &str, flag: &str) -> (String, String) {
    let line = shown.lines().find(|line| line.trim_start_matches("# ").starts_with(&format!("{flag} ")));
    let (setting, origin) = line.unwrap().split_once("  # ").unwrap();
    let value = setting.split_once(" = ").map_or("", |(_, value)| value);
    (value.trim().trim_matches('"').to_owned(), origin.to_owned())
}

/// A folder with a file `jiesu.toml`.
fn folder(text: impl AsRef<[u8]>) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("jiesu.toml"), text).unwrap();
    folder
}

/// What the program says of a file `jiesu.toml` that it refuses.
fn refusal(text: impl AsRef<[u8]>) -> String {
    let folder = folder(text);
    let (status, stdout, stderr) = jiesu(folder.path(), &["directory", "check"], &[]);
    assert_eq!((status, stdout.as_str()), (2, ""));
    stderr
}

#[test]
fn every_flag_has_a_variable_and_a_key() {
    assert_eq!(config::uncovered(&config::with_env(Cli::command())), Vec::<String>::new());
}

#[test]
fn variables_with_names_of_their_own_keep_them() {
    let folder = folder("");
    for (variable, value, flag) in [
        ("JIESU_METRICS_LISTEN", "127.0.0.1:2", "metrics-listen"),
        ("JIESU_MAX_QUEUED_TEXTS", "3", "max-queued-texts"),
        ("JIESU_MAX_BATCH_TOKENS", "4", "max-batch-tokens"),
        ("JIESU_CACHE_MIB", "5", "cache-mib"),
        ("JIESU_RECORDS", "6", "records"),
        ("JIESU_SHUTDOWN_GRACE", "7", "shutdown-grace"),
        ("JIESU_LOG_FORMAT", "json", "log-format"),
        ("JIESU_MODEL", "9", "model"),
        ("JIESU_QUANTIZE", "none", "quantize"),
        ("JIESU_TAXONOMY", "11", "taxonomy"),
        ("JIESU_DIRECTORY", "12", "directory"),
        ("JIESU_RISK_RULES", "13", "risk-rules"),
        ("JIESU_THREADS", "14", "threads"),
    ] {
        let shown = shown(folder.path(), &["serve"], &[(variable, value)]);
        assert_eq!(setting(&shown, flag), (value.to_owned(), format!("environment {variable}")));
    }
    let shown = shown(folder.path(), &["serve"], &[("JIESU_LISTEN", "127.0.0.1:1,unix:a.sock")]);
    assert_eq!(setting(&shown, "listen").0, "[\"127.0.0.1:1\", \"unix:a.sock\"]");
}

#[test]
fn a_command_is_given_the_strongest_setting() {
    let folder = folder("[shared]\ntaxonomy = 'of-file.toml'\n[classify]\ntaxonomy = 'of-table.toml'\n");
    let read = |args: &[&str], env: &[(&str, &str)]| {
        let (status, _, stderr) = jiesu(folder.path(), args, env);
        assert_eq!(status, 2);
        stderr.split('`').nth(1).unwrap().to_owned()
    };
    let check = ["directory", "check"];
    assert_eq!(read(&check, &[]), "of-file.toml");
    assert_eq!(read(&["classify", "路灯坏了"], &[]), "of-table.toml");
    let env = [("JIESU_TAXONOMY", "of-variable.toml")];
    assert_eq!(read(&check, &env), "of-variable.toml");
    assert_eq!(read(&["directory", "check", "--taxonomy", "typed.toml"], &env), "typed.toml");
}

/// Which sources set a flag, the strongest first: command line, environment, the command's table, the shared table.
type Sources = [bool; 4];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Of all sources that set a flag the strongest counts, whatever sets the others, and wherever a flag is typed.
    #[test]
    fn the_strongest_source_counts([cache, threads, model] in any::<[Sources; 3]>(), is_typed_early: bool) {
        let flags = [
            ("cache-mib", "JIESU_CACHE_MIB", cache),
            ("threads", "JIESU_THREADS", threads),
            ("model", "JIESU_MODEL", model),
        ];
        let (mut before, mut after, mut env) = (Vec::new(), vec!["serve".to_owned()], Vec::new());
        let (mut own, mut shared) = ("[serve]\n".to_owned(), "[shared]\n".to_owned());
        for (flag, variable, [typed, in_env, in_own, in_shared]) in flags {
            let number = |n: u8| if flag == "model" { format!("\"{n}\"") } else { n.to_string() };
            if typed {
                let line = if is_typed_early && flag == "threads" { &mut before } else { &mut after };
                line.push(format!("--{flag}=1"));
            }
            if in_env {
                env.push((variable, "2"));
            }
            if in_own {
                let _ = writeln!(own, "{flag} = {}", number(3));
            }
            if in_shared && flag != "cache-mib" {
                let _ = writeln!(shared, "{flag} = {}", number(4));
            }
        }
        let folder = folder(format!("{own}{shared}"));
        let words = ["config".to_owned(), "show".to_owned()];
        let line: Vec<&str> = before.iter().chain(&words).chain(&after).map(String::as_str).collect();
        let (status, shown, stderr) = jiesu(folder.path(), &line, &env);
        prop_assert_eq!((status, stderr.as_str()), (0, ""));
        for (flag, variable, sources) in flags {
            let strongest = sources.iter().position(|sets| *sets).filter(|&n| n < 3 || flag != "cache-mib");
            let (value, origin) = setting(&shown, flag);
            match strongest {
                Some(0) => prop_assert_eq!(origin, "command line"),
                Some(1) => prop_assert_eq!(origin, format!("environment {variable}")),
                Some(_) => prop_assert!(origin.starts_with("jiesu.toml:"), "{}", origin),
                None => prop_assert_eq!(origin, if flag == "threads" { "not set" } else { "default" }),
            }
            let default = match flag { "cache-mib" => "64", "threads" => "", _ => "built-in" };
            prop_assert_eq!(value, strongest.map_or(default.to_owned(), |n| (n + 1).to_string()));
        }
    }
}

#[test]
fn the_file_is_the_named_one_or_that_of_the_working_directory() {
    let folder = folder("[shared]\nthreads = 2\n");
    std::fs::write(folder.path().join("other.toml"), "[shared]\nthreads = 3\n").unwrap();
    let threads = |args: &[&str], env: &[(&str, &str)]| {
        setting(&shown(folder.path(), &[&["serve"], args].concat(), env), "threads")
    };
    assert_eq!(threads(&[], &[]), ("2".to_owned(), "jiesu.toml:2".to_owned()));
    assert_eq!(threads(&["--config", "other.toml"], &[]), ("3".to_owned(), "other.toml:2".to_owned()));
    assert_eq!(threads(&[], &[("JIESU_CONFIG", "other.toml")]).0, "3");
    assert_eq!(threads(&["--config", "jiesu.toml"], &[("JIESU_CONFIG", "other.toml")]).0, "2");
}

#[test]
fn a_named_file_that_cannot_be_read_is_an_error_and_an_unnamed_one_need_not_be_there() {
    let empty = tempfile::tempdir().unwrap();
    assert_eq!(jiesu(empty.path(), &["directory", "check"], &[]).0, 0);
    let named = |args: &[&str], env: &[(&str, &str)]| {
        let (status, _, stderr) = jiesu(empty.path(), &[&["directory", "check"], args].concat(), env);
        assert_eq!(status, 2);
        stderr
    };
    let missing = "error: cannot read `none.toml`: No such file or directory (os error 2)\n";
    assert_eq!(named(&["--config", "none.toml"], &[]), missing);
    assert_eq!(named(&[], &[("JIESU_CONFIG", "none.toml")]), missing);
    assert_eq!(named(&["--config", "."], &[]), "error: cannot read `.`: Is a directory (os error 21)\n");
    std::fs::create_dir(empty.path().join("jiesu.toml")).unwrap();
    assert_eq!(named(&[], &[]), "error: cannot read `jiesu.toml`: Is a directory (os error 21)\n");
}

#[test]
fn probes_do_not_depend_on_what_stands_in_the_file() {
    let folder = folder("[serve]\nlisten = 1 2\n");
    let health = |args: &[&str]| {
        let (status, _, stderr) = jiesu(folder.path(), &[&["health"], args].concat(), &[]);
        (status, stderr)
    };
    assert!(
        matches!(health(&["--endpoint", "http://127.0.0.1:9"]), (2, told) if told.contains("jiesu.toml:2"))
    );
    let alone = health(&["--endpoint", "http://127.0.0.1:9", "--config", "/dev/null"]);
    assert!(matches!(&alone, (1, told) if told.contains("127.0.0.1:9")), "{alone:?}");
}

#[test]
fn all_faults_are_told_with_their_lines_and_what_is_meant() {
    let text =
        "[serve]\nlistne = '127.0.0.1:0'\ncache-mib = '64'\nlisten = 'here'\nlog-format = 'jsn'\n[srve]\n";
    assert_eq!(
        refusal(text),
        "error: jiesu.toml:2: unknown key `listne` in `[serve]`; is `listen` meant?
jiesu.toml:3: `cache-mib` expects a whole number, not a text
jiesu.toml:4: `listen` does not take `here`: write an address and a port such as `127.0.0.1:50051`, or `unix:` and a path such as `unix:/run/jiesu.sock`
jiesu.toml:5: `log-format` does not take `jsn`; it expects one of \"text\", \"json\"; is `json` meant?
jiesu.toml:6: this build of `jiesu` has no command `srve`; is `serve` meant?\n"
    );
    assert!(refusal("model = 'mine'\n").contains("jiesu.toml:1: `model` cannot stand outside of tables"));
    assert!(refusal("[serve\n").starts_with("error: jiesu.toml:1: "));
}

#[cfg(not(feature = "batch"))]
#[test]
fn a_table_of_a_command_that_this_build_lacks_is_an_error_that_says_so() {
    assert_eq!(
        refusal("[batch]\nresume = true\n"),
        "error: jiesu.toml:1: this build of `jiesu` has no command `batch`\n"
    );
}

#[test]
fn a_file_in_another_encoding_is_refused_and_a_byte_order_mark_is_not() {
    // `# 城市` in GB18030.
    let gb18030 = b"[serve]\n# \xb3\xc7\xca\xd0\ncache-mib = 1\n";
    assert_eq!(refusal(gb18030), "error: jiesu.toml:2: is not UTF-8; save the file in that encoding\n");
    let marked = folder("\u{feff}[serve]\r\ncache-mib = 1\r\n");
    assert_eq!(
        setting(&shown(marked.path(), &["serve"], &[]), "cache-mib"),
        ("1".to_owned(), "jiesu.toml:2".to_owned())
    );
}

#[test]
fn a_file_with_faults_does_not_stop_help() {
    let folder = folder("[srve]\n");
    for args in [&["--help"][..], &["help", "serve"], &["serve", "--help"], &["serve", "-h"], &["--version"]]
    {
        assert_eq!(jiesu(folder.path(), args, &[]).0, 0, "{args:?}");
    }
}

#[test]
fn a_flag_of_the_file_can_be_turned_off() {
    let folder = folder("[directory.test]\njson = true\n");
    let json = |args: &[&str], env: &[(&str, &str)]| {
        setting(&shown(folder.path(), &[&["directory", "test"], args].concat(), env), "json").0
    };
    assert_eq!(json(&[], &[]), "true");
    assert_eq!(json(&["--json=false"], &[]), "false");
    assert_eq!(json(&["--json=false"], &[("JIESU_DIRECTORY_TEST_JSON", "yes")]), "false");
    assert_eq!(json(&[], &[("JIESU_DIRECTORY_TEST_JSON", "0")]), "false");
}

#[test]
fn settings_that_exclude_each_other_yield_to_the_stronger_one() {
    let folder = folder("[bench]\nendpoint = 'http://127.0.0.1:1'\n");
    let shown = shown(folder.path(), &["bench", "--in-process"], &[]);
    assert_eq!(setting(&shown, "endpoint").1, "not set; jiesu.toml:2 yields to `--in-process`");
}

#[test]
fn what_is_shown_is_a_file_that_sets_the_same() {
    let folder =
        folder("[shared]\nmodel = 'm'\n[evaluate]\nlabel-column = '类别'\nslice = ['区', '时间:month']\n");
    let first = shown(folder.path(), &["evaluate"], &[]);
    std::fs::write(folder.path().join("shown.toml"), &first).unwrap();
    let again = shown(folder.path(), &["evaluate", "--config", "shown.toml"], &[]);
    let settings = |text: &str| toml::from_str::<toml::Table>(text).unwrap();
    assert_eq!(settings(&again), settings(&first));
    assert_eq!(setting(&first, "label-column"), ("类别".to_owned(), "jiesu.toml:4".to_owned()));
}

#[test]
fn every_command_is_shown_unless_one_is_asked_for() {
    let folder = folder("");
    let all = shown(folder.path(), &[], &[]);
    for table in ["[serve]\n", "\n[directory.check]\n", "\n[corrections.report]\n"] {
        assert!(all.contains(table), "{table} is not in:\n{all}");
    }
    assert!(!shown(folder.path(), &["directory"], &[]).contains("[serve]"));
    let (status, _, stderr) = jiesu(folder.path(), &["config", "show", "srve"], &[]);
    assert_eq!(status, 2);
    assert!(stderr.contains("unrecognized subcommand 'srve'"), "{stderr}");
}
