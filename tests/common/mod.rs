//! What several tests and benches need: bundles with weights made from a formula, and texts.
#![allow(dead_code, reason = "each test file uses a part")]

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;

use candle_core::{Device, Tensor};
use jiesu::city::{City, CityFiles};
use jiesu::classifier::{HeadConfig, ModelConfig, Pooling, Problem, SequenceClassifier};
use jiesu::encoder::BertConfig;

use jiesu::label::LabelSet;
use jiesu::live::Source;
use jiesu::registry::ModelFiles;
use jiesu::taxonomy::Taxonomy;
use serde_json::Value;
use tonic::transport::Endpoint;

#[cfg(feature = "otel")]
pub(crate) mod collector;
#[cfg(feature = "batch")]
pub(crate) mod export;
pub(crate) mod texts;

/// Pieces of the tiny models, by id.
pub(crate) const VOCABULARY: [&str; 22] = [
    "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "路", "灯", "不", "亮", "小", "区", "物", "业", "乱", "收",
    "费", "公", "交", ",", "。", "a", "##b",
];

/// The shape of the tiny models.
pub(crate) fn tiny_bert() -> BertConfig {
    BertConfig { max_position_embeddings: 32, ..BertConfig::new(VOCABULARY.len(), 3, 16, 4, 40) }
}

/// A single-label head.
pub(crate) fn head<'a>(name: &str, labels: impl IntoIterator<Item = &'a str>) -> HeadConfig {
    HeadConfig {
        name: name.to_owned(),
        problem: Problem::SingleLabelClassification,
        labels: LabelSet::new(labels).unwrap(),
    }
}

/// A tiny model with the heads of the built-in taxonomy. Its answers mean nothing, but they are answers.
pub(crate) fn tiny_config() -> ModelConfig {
    let taxonomy = Taxonomy::built_in();
    let categories = taxonomy.categories.iter().map(|category| category.id.as_str());
    let kinds = taxonomy.kinds.iter().map(|kind| kind.id.as_str());
    ModelConfig {
        bert: tiny_bert(),
        pooling: Pooling::Mean,
        max_tokens: 32,
        heads: vec![
            head("category", categories),
            head("kind", kinds),
            head("department", ["housing_construction", "education", "local"]),
        ],
    }
}

/// Writes a bundle whose every weight is 0.3·sin(s + 0.7·i), s the sum of the name's bytes; layer norms' scales 1 more.
pub(crate) fn write_bundle(folder: &Path, config: &ModelConfig) {
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join("config.json"), config.to_json()).unwrap();
    fs::write(folder.join("vocab.txt"), VOCABULARY.join("\n")).unwrap();
    let weights: HashMap<String, Tensor> = weight_shapes(config)
        .into_iter()
        .map(|(name, shape)| {
            let seed = name.bytes().map(f64::from).sum::<f64>();
            let base = if name.ends_with("LayerNorm.weight") { 1.0 } else { 0.0 };
            let values: Vec<f32> = (0..shape.iter().product())
                .map(|i: usize| (base + 0.3 * (seed + 0.7 * i as f64).sin()) as f32)
                .collect();
            (name, Tensor::from_vec(values, shape, &Device::Cpu).unwrap())
        })
        .collect();
    candle_core::safetensors::save(&weights, folder.join("model.safetensors")).unwrap();
}

fn weight_shapes(config: &ModelConfig) -> Vec<(String, Vec<usize>)> {
    let (bert, hidden) = (&config.bert, config.bert.hidden_size);
    let mut shapes = Vec::new();
    let mut linear = |name: String, out: usize, inside: usize| {
        shapes.push((format!("{name}.weight"), vec![out, inside]));
        shapes.push((format!("{name}.bias"), vec![out]));
    };
    for layer in 0..bert.num_hidden_layers {
        let prefix = format!("bert.encoder.layer.{layer}");
        for part in ["query", "key", "value"] {
            linear(format!("{prefix}.attention.self.{part}"), hidden, hidden);
        }
        linear(format!("{prefix}.attention.output.dense"), hidden, hidden);
        linear(format!("{prefix}.intermediate.dense"), bert.intermediate_size, hidden);
        linear(format!("{prefix}.output.dense"), hidden, bert.intermediate_size);
    }
    if config.pooling == Pooling::ClsPooler {
        linear("bert.pooler.dense".to_owned(), hidden, hidden);
    }
    for (position, head) in config.heads.iter().enumerate() {
        let prefix = if position == 0 { "classifier".to_owned() } else { format!("heads.{}", head.name) };
        linear(prefix, head.labels.len(), hidden);
    }
    let mut norms = vec!["bert.embeddings".to_owned()];
    for layer in 0..bert.num_hidden_layers {
        norms.push(format!("bert.encoder.layer.{layer}.attention.output"));
        norms.push(format!("bert.encoder.layer.{layer}.output"));
    }
    for norm in norms {
        shapes.push((format!("{norm}.LayerNorm.weight"), vec![hidden]));
        shapes.push((format!("{norm}.LayerNorm.bias"), vec![hidden]));
    }
    let embeddings = [
        ("word", bert.vocab_size),
        ("position", bert.max_position_embeddings),
        ("token_type", bert.type_vocab_size),
    ];
    for (name, rows) in embeddings {
        shapes.push((format!("bert.embeddings.{name}_embeddings.weight"), vec![rows, hidden]));
    }
    shapes
}

/// A tiny model in a folder of its own, and a city.
pub(crate) struct Tiny {
    model: tempfile::TempDir,
    city: CityFiles,
}

impl Tiny {
    pub(crate) fn new(city: CityFiles) -> Self {
        let model = tempfile::tempdir().unwrap();
        write_bundle(model.path(), &tiny_config());
        Self { model, city }
    }
}

impl Source for Tiny {
    fn load_model(&self) -> jiesu::error::Result<SequenceClassifier> {
        Ok(SequenceClassifier::load(&ModelFiles::folder(self.model.path())?)?)
    }

    fn load_city(&self) -> jiesu::error::Result<City> {
        City::load(&self.city)
    }

    fn has_model(&self) -> bool {
        self.model.path().join("model.safetensors").exists()
    }

    fn model_name(&self) -> String {
        self.model.path().display().to_string()
    }
}

/// The metrics that are served at an address, as text.
pub(crate) fn metrics_page(address: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("application/openmetrics-text"), "{head}");
    assert!(body.ends_with("# EOF\n"), "{body}");
    body.to_owned()
}

/// `jiesu serve` with a tiny model, in a process of its own that does not outlive a failed test.
pub(crate) struct Served {
    process: Child,
    /// Where it listens, by the message that says so.
    addresses: HashMap<String, String>,
    /// What it says after that. Somebody must read it, or the service would wait for that.
    log: Option<JoinHandle<Vec<String>>>,
    model: tempfile::TempDir,
}

impl Served {
    /// Starts it with further arguments and environment variables, and waits until it serves.
    pub(crate) fn start(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let model = tempfile::tempdir().unwrap();
        write_bundle(model.path(), &tiny_config());
        Self::start_with(model, arguments, environment)
    }

    /// Starts it with the model in this folder, which may hold none.
    pub(crate) fn start_with(
        model: tempfile::TempDir,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_jiesu"));
        command.args(["serve", "--listen", "127.0.0.1:0", "--log-format", "json", "--model"]);
        command.arg(model.path()).args(arguments).env("RUST_LOG", "info");
        command.envs(environment.iter().copied()).stderr(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let mut log = BufReader::new(process.stderr.take().unwrap()).lines().map(Result::unwrap);
        let mut addresses = HashMap::new();
        while !addresses.contains_key("serving") {
            let line: Value = serde_json::from_str(&log.next().unwrap()).unwrap();
            let fields = ["message", "address"].map(|field| line["fields"][field].as_str());
            if let [Some(message), Some(address)] = fields {
                addresses.insert(message.to_owned(), address.to_owned());
            }
        }
        let log = std::thread::spawn(move || log.collect());
        Self { process, addresses, log: Some(log), model }
    }

    /// Where it listens, by the message of the log that says so.
    pub(crate) fn address(&self, message: &str) -> &str {
        &self.addresses[message]
    }

    /// Where it answers calls.
    pub(crate) fn endpoint(&self) -> Endpoint {
        Endpoint::from_shared(format!("http://{}", self.address("serving"))).unwrap()
    }

    /// Its metrics, where it was told to serve them.
    pub(crate) fn metrics(&self) -> String {
        metrics_page(self.address("metrics"))
    }

    /// The folder of its model.
    pub(crate) fn model(&self) -> &Path {
        self.model.path()
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.process.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    /// Asks it to end, waits, and returns what it has said since it serves.
    pub(crate) fn terminate(mut self) -> Vec<String> {
        self.signal("-TERM");
        assert!(self.process.wait().unwrap().success());
        self.log.take().unwrap().join().unwrap()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // It has ended already where the test asked it to.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
