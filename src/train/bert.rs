//! A BERT that can be trained: the twin of the inference encoder on packed sequences.
//!
//! Devlin et al., "BERT: Pre-training of Deep Bidirectional Transformers for Language Understanding" (2019).
//! Queries, keys and values are one weight here, and γ and β of a normalisation one tensor; they are three and two in
//! files, under the names that checkpoints use.

use candle_core::{Result, Tensor, Var};

use crate::encoder::{BertConfig, HiddenAct};

use super::init::{Fill, InitError, Initializer};
use super::ops::{
    Dropout, DropoutSource, Sequences, TokenRows, add_norm, attention, dropout, embed, layer_norm, linear,
    linear_activated,
};

/// Texts of a batch, one after the other without padding.
#[derive(Debug, Clone)]
pub(crate) struct PackedBatch {
    pub(crate) tokens: Vec<TokenRows>,
    pub(crate) sequences: Sequences,
}

/// What a pass through the network is for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pass<'a> {
    /// Dropout, and a graph for gradients.
    Training(&'a DropoutSource),
    /// Neither.
    Inference,
}

impl Pass<'_> {
    pub(super) fn weight(self, var: &Var) -> Tensor {
        match self {
            Self::Training(_) => var.as_tensor().clone(),
            Self::Inference => var.as_detached_tensor(),
        }
    }

    pub(super) fn dropout(self, probability: f64) -> Dropout {
        match self {
            Self::Training(source) => source.next(probability),
            Self::Inference => Dropout::OFF,
        }
    }
}

/// A trainable tensor under the name that the optimiser knows it by.
pub(crate) type Parameter<'a> = (String, &'a Var);
/// A tensor under the name that files know it by.
pub(crate) type Stored = (String, Tensor);

/// A weight and its bias.
#[derive(Debug)]
pub(crate) struct Linear {
    weight: Var,
    bias: Var,
}

impl Linear {
    /// Reads or makes `name.weight` and `name.bias`.
    pub(super) fn new(
        init: &mut Initializer,
        name: &str,
        width: usize,
        inner: usize,
    ) -> std::result::Result<Self, InitError> {
        Self::joined(init, &[name], width, inner)
    }

    /// Reads or makes several layers of one shape that are computed as one.
    fn joined(
        init: &mut Initializer,
        names: &[&str],
        width: usize,
        inner: usize,
    ) -> std::result::Result<Self, InitError> {
        let mut weights = Vec::new();
        let mut biases = Vec::new();
        for name in names {
            weights.push(init.tensor(&format!("{name}.weight"), &[width, inner], Fill::Normal)?);
            biases.push(init.tensor(&format!("{name}.bias"), &[width], Fill::Zeros)?);
        }
        Ok(Self {
            weight: Var::from_tensor(&Tensor::cat(&weights, 0)?)?,
            bias: Var::from_tensor(&Tensor::cat(&biases, 0)?)?,
        })
    }

    pub(super) fn forward(&self, x: &Tensor, pass: Pass) -> Result<Tensor> {
        linear(x, &pass.weight(&self.weight), &pass.weight(&self.bias))
    }

    fn forward_activated(&self, x: &Tensor, activation: HiddenAct, pass: Pass) -> Result<Tensor> {
        linear_activated(x, &pass.weight(&self.weight), &pass.weight(&self.bias), activation)
    }

    pub(super) fn parameters<'a>(&'a self, name: &str) -> [Parameter<'a>; 2] {
        [(format!("{name}.weight"), &self.weight), (format!("{name}.bias"), &self.bias)]
    }

    /// Makes what it gives `scale` times as large and adds to it.
    pub(super) fn rescale(&self, scale: f32, added: &[f32]) -> Result<()> {
        let scaled = |var: &Var| var.as_detached_tensor().affine(f64::from(scale), 0.0);
        self.weight.set(&scaled(&self.weight)?)?;
        self.bias.set(&(scaled(&self.bias)? + Tensor::new(added, self.bias.device())?)?)
    }

    pub(super) fn stored(&self, names: &[&str]) -> Result<Vec<Stored>> {
        let weights = self.weight.as_detached_tensor().chunk(names.len(), 0)?;
        let biases = self.bias.as_detached_tensor().chunk(names.len(), 0)?;
        let stored = names.iter().zip(weights.into_iter().zip(biases)).flat_map(|(name, (weight, bias))| {
            [(format!("{name}.weight"), weight), (format!("{name}.bias"), bias)]
        });
        Ok(stored.collect())
    }
}

/// γ and β of a layer normalisation.
#[derive(Debug)]
struct Norm(Var);

impl Norm {
    fn new(init: &mut Initializer, name: &str, width: usize) -> std::result::Result<Self, InitError> {
        let gamma = init.tensor(&format!("{name}.weight"), &[width], Fill::Ones)?;
        let beta = init.tensor(&format!("{name}.bias"), &[width], Fill::Zeros)?;
        Ok(Self(Var::from_tensor(&Tensor::stack(&[gamma, beta], 0)?)?))
    }

    /// LN(residual + dropout(x))
    fn add(&self, x: &Tensor, residual: &Tensor, config: &BertConfig, pass: Pass) -> Result<Tensor> {
        let mask = pass.dropout(config.hidden_dropout_prob);
        add_norm(x, residual, &pass.weight(&self.0), config.layer_norm_eps, mask)
    }

    fn stored(&self, name: &str) -> Result<[Stored; 2]> {
        let norm = self.0.as_detached_tensor();
        Ok([(format!("{name}.weight"), norm.get(0)?), (format!("{name}.bias"), norm.get(1)?)])
    }
}

#[derive(Debug)]
struct Layer {
    name: String,
    qkv: Linear,
    attention_output: Linear,
    attention_norm: Norm,
    intermediate: Linear,
    output: Linear,
    output_norm: Norm,
}

const QUERY_KEY_VALUE: [&str; 3] = ["attention.self.query", "attention.self.key", "attention.self.value"];
const ATTENTION_OUTPUT: &str = "attention.output.dense";
const ATTENTION_NORM: &str = "attention.output.LayerNorm";
const INTERMEDIATE: &str = "intermediate.dense";
const OUTPUT: &str = "output.dense";
const OUTPUT_NORM: &str = "output.LayerNorm";

impl Layer {
    fn new(
        init: &mut Initializer,
        config: &BertConfig,
        index: usize,
    ) -> std::result::Result<Self, InitError> {
        let name = format!("encoder.layer.{index}");
        let (hidden, inner) = (config.hidden_size, config.intermediate_size);
        let part = |part: &str| format!("{name}.{part}");
        let qkv = QUERY_KEY_VALUE.map(part);
        Ok(Self {
            qkv: Linear::joined(init, &qkv.each_ref().map(String::as_str), hidden, hidden)?,
            attention_output: Linear::new(init, &part(ATTENTION_OUTPUT), hidden, hidden)?,
            attention_norm: Norm::new(init, &part(ATTENTION_NORM), hidden)?,
            intermediate: Linear::new(init, &part(INTERMEDIATE), inner, hidden)?,
            output: Linear::new(init, &part(OUTPUT), hidden, inner)?,
            output_norm: Norm::new(init, &part(OUTPUT_NORM), hidden)?,
            name,
        })
    }

    /// (tokens, hidden) to (tokens, hidden)
    fn forward(&self, x: &Tensor, sequences: &Sequences, config: &BertConfig, pass: Pass) -> Result<Tensor> {
        let qkv = self.qkv.forward(x, pass)?; // (tokens, 3 · hidden)
        let mask = pass.dropout(config.attention_probs_dropout_prob);
        let context = attention(&qkv, sequences, config.num_attention_heads, mask)?;
        let attended = self.attention_output.forward(&context, pass)?;
        let x = self.attention_norm.add(&attended, x, config, pass)?;
        let inner = self.intermediate.forward_activated(&x, config.hidden_act, pass)?; // (tokens, intermediate)
        let output = self.output.forward(&inner, pass)?;
        self.output_norm.add(&output, &x, config, pass)
    }

    fn parameters(&self) -> Vec<Parameter<'_>> {
        let name = |part: &str| format!("{}.{part}", self.name);
        let mut parameters = Vec::new();
        parameters.extend(self.qkv.parameters(&name("attention.self.qkv")));
        parameters.extend(self.attention_output.parameters(&name(ATTENTION_OUTPUT)));
        parameters.push((name(ATTENTION_NORM), &self.attention_norm.0));
        parameters.extend(self.intermediate.parameters(&name(INTERMEDIATE)));
        parameters.extend(self.output.parameters(&name(OUTPUT)));
        parameters.push((name(OUTPUT_NORM), &self.output_norm.0));
        parameters
    }

    fn stored(&self) -> Result<Vec<Stored>> {
        let name = |part: &str| format!("{}.{part}", self.name);
        let mut stored = self.qkv.stored(&QUERY_KEY_VALUE.map(name).each_ref().map(String::as_str))?;
        stored.extend(self.attention_output.stored(&[&name(ATTENTION_OUTPUT)])?);
        stored.extend(self.attention_norm.stored(&name(ATTENTION_NORM))?);
        stored.extend(self.intermediate.stored(&[&name(INTERMEDIATE)])?);
        stored.extend(self.output.stored(&[&name(OUTPUT)])?);
        stored.extend(self.output_norm.stored(&name(OUTPUT_NORM))?);
        Ok(stored)
    }
}

/// Embeddings and layers.
#[derive(Debug)]
pub(crate) struct Bert {
    config: BertConfig,
    word: Var,
    position: Var,
    token_type: Var,
    norm: Norm,
    layers: Vec<Layer>,
}

/// The word embeddings, which start from vectors where some are given.
pub(crate) const WORD_EMBEDDINGS: &str = "embeddings.word_embeddings.weight";
const POSITION_EMBEDDINGS: &str = "embeddings.position_embeddings.weight";
const TOKEN_TYPE_EMBEDDINGS: &str = "embeddings.token_type_embeddings.weight";
const EMBEDDING_NORM: &str = "embeddings.LayerNorm";

impl Bert {
    /// Reads or makes all weights.
    pub(crate) fn new(init: &mut Initializer, config: &BertConfig) -> std::result::Result<Self, InitError> {
        let hidden = config.hidden_size;
        let mut table = |name: &str, rows: usize| {
            Ok::<_, InitError>(Var::from_tensor(&init.tensor(name, &[rows, hidden], Fill::Normal)?)?)
        };
        Ok(Self {
            word: table(WORD_EMBEDDINGS, config.vocab_size)?,
            position: table(POSITION_EMBEDDINGS, config.max_position_embeddings)?,
            token_type: table(TOKEN_TYPE_EMBEDDINGS, config.type_vocab_size)?,
            norm: Norm::new(init, EMBEDDING_NORM, hidden)?,
            layers: (0..config.num_hidden_layers)
                .map(|index| Layer::new(init, config, index))
                .collect::<std::result::Result<_, _>>()?,
            config: config.clone(),
        })
    }

    /// Hidden states of the last layer: (tokens, hidden)
    pub(crate) fn forward(&self, batch: &PackedBatch, pass: Pass) -> Result<Tensor> {
        let [word, position, token_type] =
            [&self.word, &self.position, &self.token_type].map(|var| pass.weight(var));
        let embedded = embed(&word, &position, &token_type, batch.tokens.clone())?;
        let embedded = layer_norm(&embedded, &pass.weight(&self.norm.0), self.config.layer_norm_eps)?;
        let mut x = dropout(&embedded, pass.dropout(self.config.hidden_dropout_prob))?;
        for layer in &self.layers {
            x = layer.forward(&x, &batch.sequences, &self.config, pass)?;
        }
        Ok(x)
    }

    /// Everything that is trained, always in the same order.
    pub(crate) fn parameters(&self) -> Vec<Parameter<'_>> {
        let mut parameters = vec![
            (WORD_EMBEDDINGS.to_owned(), &self.word),
            (POSITION_EMBEDDINGS.to_owned(), &self.position),
            (TOKEN_TYPE_EMBEDDINGS.to_owned(), &self.token_type),
            (EMBEDDING_NORM.to_owned(), &self.norm.0),
        ];
        parameters.extend(self.layers.iter().flat_map(Layer::parameters));
        parameters
    }

    /// The weights as files have them, without the prefix `bert.`.
    pub(crate) fn stored(&self) -> Result<Vec<Stored>> {
        let mut stored = vec![
            (WORD_EMBEDDINGS.to_owned(), self.word.as_detached_tensor()),
            (POSITION_EMBEDDINGS.to_owned(), self.position.as_detached_tensor()),
            (TOKEN_TYPE_EMBEDDINGS.to_owned(), self.token_type.as_detached_tensor()),
        ];
        stored.extend(self.norm.stored(EMBEDDING_NORM)?);
        for layer in &self.layers {
            stored.extend(layer.stored()?);
        }
        Ok(stored)
    }
}
