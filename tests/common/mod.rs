//! What several tests need: tiny bundles with weights made from a formula, and a server on a real socket.
#![allow(dead_code, reason = "each test file uses a part")]

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use candle_core::{Device, Tensor};
use jiesu::classifier::{HeadConfig, ModelConfig, Pooling, Problem};
use jiesu::encoder::BertConfig;
use jiesu::label::LabelSet;
use jiesu::taxonomy::Taxonomy;

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
