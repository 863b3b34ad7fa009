//! `config.json` of a model bundle: a BERT's shape, its heads, and how texts are fed to it.
//!
//! A plain Hugging Face `BertForSequenceClassification` has one head, `classifier.*`, on the `[CLS]` pooler. A bundle
//! that `jiesu train` wrote may add a section `"jiesu"` with more heads (`heads.<name>.*` in the weights), mean
//! pooling, and the number of tokens that the model was trained on.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::encoder::{BertConfig, BertConfigError};
use crate::label::{LabelError, LabelSet};

/// Name of the head that is stored as `classifier.*`, unless the bundle says otherwise.
pub const PRIMARY_HEAD: &str = "category";

/// Everything that `config.json` says about a model.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelConfig {
    /// Shape of the encoder.
    pub bert: BertConfig,
    /// How hidden states become one vector a text.
    pub pooling: Pooling,
    /// Longest sequence that texts are cut to, special tokens included.
    pub max_tokens: usize,
    /// The heads; the first is stored as `classifier.*`.
    pub heads: Vec<HeadConfig>,
}

/// One classification head.
#[derive(Debug, Clone, PartialEq)]
pub struct HeadConfig {
    /// What it predicts: `category`, `kind`, `urgency`, `risks`, `groups`, `department`, or a user's own word.
    pub name: String,
    /// Whether its labels exclude each other.
    pub problem: Problem,
    /// Its labels in the order of its logits.
    pub labels: LabelSet,
}

/// Whether labels exclude each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Problem {
    /// Exactly one label holds: softmax.
    SingleLabelClassification,
    /// Each label holds or not: a sigmoid each.
    MultiLabelClassification,
}

/// How hidden states become one vector a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pooling {
    /// The hidden state of `[CLS]` through `pooler.dense` and tanh, as `BertForSequenceClassification` does.
    ClsPooler,
    /// The mean over all tokens of the text.
    Mean,
}

/// Why a `config.json` describes no classifier.
#[derive(Debug, thiserror::Error)]
pub enum ModelConfigError {
    /// Not JSON, or a field is missing or of the wrong type.
    #[error("config.json is not a BERT configuration: {0}")]
    Json(#[from] serde_json::Error),
    /// Another architecture.
    #[error("`model_type` is `{0}`; only `bert` is supported")]
    ModelType(String),
    /// Positions that are told in a way that the encoder does not know.
    #[error("`position_embedding_type` is `{0}`; only `absolute` is supported")]
    PositionEmbedding(String),
    /// The encoder's shape does not hold together.
    #[error(transparent)]
    Bert(#[from] BertConfigError),
    /// No labels: a base encoder, not a classifier.
    #[error(
        "config.json names no labels (`id2label`)\nhint: fine-tune this encoder first with `jiesu train --base`"
    )]
    NoLabels,
    /// Ids of `id2label` are not 0, 1, 2, …
    #[error("`id2label` has no label {0}; ids must be 0, 1, 2, …")]
    MissingId(usize),
    /// The labels of a head are no set.
    #[error("head `{head}`: {source}")]
    Labels {
        /// The head's name.
        head: String,
        /// What is wrong.
        source: LabelError,
    },
    /// Two heads have one name.
    #[error("head `{0}` stands in config.json twice")]
    DuplicateHead(String),
    /// `regression`, or something unheard of.
    #[error(
        "`problem_type` is `{0}`; only single_label_classification and multi_label_classification are supported"
    )]
    ProblemType(String),
    /// More tokens than the encoder has positions.
    #[error("`max_tokens` is {max_tokens}, but the encoder has {positions} positions; it must be 8 to that")]
    MaxTokens {
        /// What the bundle asks for.
        max_tokens: usize,
        /// What the encoder has.
        positions: usize,
    },
}

/// The parts of `config.json` that are not the encoder's shape.
#[derive(Deserialize)]
struct RawConfig {
    model_type: Option<String>,
    position_embedding_type: Option<String>,
    problem_type: Option<String>,
    id2label: Option<Map<String, Value>>,
    jiesu: Option<RawExtension>,
}

/// The section `"jiesu"`.
#[derive(Serialize, Deserialize)]
struct RawExtension {
    pooling: Pooling,
    max_tokens: usize,
    primary_head: String,
    #[serde(default)]
    heads: Vec<RawHead>,
}

#[derive(Serialize, Deserialize)]
struct RawHead {
    name: String,
    problem: Problem,
    labels: Vec<String>,
}

impl ModelConfig {
    /// Reads the text of a `config.json`.
    ///
    /// # Errors
    /// If it is not JSON, not a BERT, names no labels, or its parts contradict each other.
    pub fn from_json(text: &str) -> Result<Self, ModelConfigError> {
        let raw: RawConfig = serde_json::from_str(text)?;
        if let Some(model_type) = raw.model_type.filter(|model_type| model_type != "bert") {
            return Err(ModelConfigError::ModelType(model_type));
        }
        let positions = raw.position_embedding_type.filter(|positions| positions != "absolute");
        if let Some(positions) = positions {
            return Err(ModelConfigError::PositionEmbedding(positions));
        }
        let bert: BertConfig = serde_json::from_str(text)?;
        bert.check()?;
        let problem = match raw.problem_type.as_deref() {
            None | Some("single_label_classification") => Problem::SingleLabelClassification,
            Some("multi_label_classification") => Problem::MultiLabelClassification,
            Some(other) => return Err(ModelConfigError::ProblemType(other.to_owned())),
        };
        let labels = ordered_labels(raw.id2label.ok_or(ModelConfigError::NoLabels)?)?;
        let extension = raw.jiesu.unwrap_or_else(|| RawExtension {
            pooling: Pooling::ClsPooler,
            max_tokens: bert.max_position_embeddings,
            primary_head: PRIMARY_HEAD.to_owned(),
            heads: Vec::new(),
        });
        let (pooling, max_tokens) = (extension.pooling, extension.max_tokens);
        if max_tokens > bert.max_position_embeddings || max_tokens < 8 {
            let positions = bert.max_position_embeddings;
            return Err(ModelConfigError::MaxTokens { max_tokens, positions });
        }
        let primary = RawHead { name: extension.primary_head, problem, labels };
        let mut heads: Vec<HeadConfig> = Vec::new();
        for RawHead { name, problem, labels } in std::iter::once(primary).chain(extension.heads) {
            if heads.iter().any(|head| head.name == name) {
                return Err(ModelConfigError::DuplicateHead(name));
            }
            let labels = LabelSet::new(labels)
                .map_err(|source| ModelConfigError::Labels { head: name.clone(), source })?;
            heads.push(HeadConfig { name, problem, labels });
        }
        Ok(Self { bert, pooling, max_tokens, heads })
    }

    /// Writes the text of a `config.json` that [`from_json`](Self::from_json) reads back.
    ///
    /// # Panics
    /// If there is no head.
    pub fn to_json(&self) -> String {
        let (primary, others) = self.heads.split_first().expect("a model has a head");
        // Other tools would compute a mean-pooled model's answers wrongly; they may load its encoder, though.
        let architecture = match self.pooling {
            Pooling::ClsPooler => "BertForSequenceClassification",
            Pooling::Mean => "BertModel",
        };
        let mut config = json!({
            "architectures": [architecture],
            "model_type": "bert",
            "problem_type": primary.problem,
            "id2label": primary.labels.iter().enumerate()
                .map(|(id, label)| (id.to_string(), label.into())).collect::<Map<_, Value>>(),
            "label2id": primary.labels.iter().enumerate()
                .map(|(id, label)| (label.to_owned(), id.into())).collect::<Map<_, Value>>(),
            "jiesu": RawExtension {
                pooling: self.pooling,
                max_tokens: self.max_tokens,
                primary_head: primary.name.clone(),
                heads: others.iter().map(|head| RawHead {
                    name: head.name.clone(),
                    problem: head.problem,
                    labels: head.labels.iter().map(str::to_owned).collect(),
                }).collect(),
            },
        });
        if let (Value::Object(all), Ok(Value::Object(bert))) = (&mut config, serde_json::to_value(&self.bert))
        {
            all.extend(bert);
        }
        format!("{config:#}\n")
    }
}

fn ordered_labels(mut id2label: Map<String, Value>) -> Result<Vec<String>, ModelConfigError> {
    (0..id2label.len())
        .map(|id| match id2label.remove(&id.to_string()) {
            Some(Value::String(label)) => Ok(label),
            Some(other) => Ok(other.to_string()),
            None => Err(ModelConfigError::MissingId(id)),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &str = r#"{
        "model_type": "bert", "vocab_size": 10, "hidden_size": 8, "num_hidden_layers": 1,
        "num_attention_heads": 2, "intermediate_size": 16, "id2label": {"1": "b", "0": "a"}
    }"#;

    #[test]
    fn a_plain_checkpoint_has_one_head_on_the_pooler() {
        let config = ModelConfig::from_json(PLAIN).unwrap();
        assert_eq!(config.pooling, Pooling::ClsPooler);
        assert_eq!(config.max_tokens, 512);
        assert_eq!(config.heads.len(), 1);
        assert_eq!(config.heads[0].labels.iter().collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn what_is_written_is_read_back() {
        let mut config = ModelConfig::from_json(PLAIN).unwrap();
        config.pooling = Pooling::Mean;
        config.max_tokens = 256;
        config.heads.push(HeadConfig {
            name: "risks".into(),
            problem: Problem::MultiLabelClassification,
            labels: LabelSet::new(["fraud"]).unwrap(),
        });
        assert_eq!(ModelConfig::from_json(&config.to_json()).unwrap(), config);
    }

    #[test]
    fn refuses_what_is_no_bert_classifier() {
        let refuse = |text: &str| ModelConfig::from_json(text).unwrap_err().to_string();
        assert!(refuse("[]").contains("not a BERT configuration"));
        assert!(refuse(&PLAIN.replace("\"bert\"", "\"roberta\"")).contains("`roberta`"));
        assert!(
            refuse(&PLAIN.replace("\"num_attention_heads\": 2", "\"num_attention_heads\": 3"))
                .contains("divisible")
        );
        assert!(refuse(&PLAIN.replace("\"0\": \"a\"", "\"2\": \"a\"")).contains("no label 0"));
        assert!(refuse(&PLAIN.replace("\"0\": \"a\"", "\"0\": \"b\"")).contains("head `category`"));
        assert!(refuse(&PLAIN.replace("id2label", "labels")).contains("names no labels"));
    }
}
