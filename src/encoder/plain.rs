//! candle-transformers' BERT behind [`Encoder`]: padded batches, no fusion. Simple, and what others are measured against.

use std::fmt;

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::bert;

use super::{BertConfig, Encoder, HiddenAct, HiddenStates, Threads, WantedStates, Weights};
use crate::tokenizer::EncodedText;

/// A BERT encoder run by candle-transformers.
pub struct PlainEncoder {
    model: bert::BertModel,
    pad_token_id: u32,
    /// The last segment that has an embedding; a few models know one only.
    last_token_type: u32,
}

impl PlainEncoder {
    /// Builds the encoder from weights with canonical names (no `bert.` prefix).
    ///
    /// # Errors
    /// If a weight is missing, has another shape than the configuration says, or is rounded.
    pub fn new(config: &BertConfig, weights: &Weights) -> candle_core::Result<Self> {
        let weights = weights.to_map().map_err(candle_core::Error::wrap)?;
        let builder = VarBuilder::from_tensors(weights, DType::F32, &Device::Cpu);
        let model = bert::BertModel::load(builder, &candle_config(config))?;
        let last_token_type = config.type_vocab_size.saturating_sub(1) as u32;
        Ok(Self { model, pad_token_id: config.pad_token_id as u32, last_token_type })
    }
}

impl Encoder for PlainEncoder {
    /// All states, on the threads that candle takes.
    fn encode(
        &self,
        texts: &[&EncodedText],
        _: WantedStates,
        _: Threads,
    ) -> candle_core::Result<HiddenStates> {
        let lengths: Vec<usize> = texts.iter().map(|text| text.len()).collect();
        let longest = lengths.iter().copied().max().unwrap_or(0);
        let padded = |values: fn(&EncodedText) -> &[u32], padding: u32| {
            let mut padded = Vec::with_capacity(texts.len() * longest);
            for text in texts {
                let values = values(text);
                padded.extend_from_slice(values);
                padded.extend(std::iter::repeat_n(padding, longest - values.len()));
            }
            Tensor::from_vec(padded, (texts.len(), longest), &Device::Cpu)
        };
        let input_ids = padded(|text| &text.input_ids, self.pad_token_id)?;
        let token_type_ids = padded(|text| &text.token_type_ids, 0)?.minimum(self.last_token_type)?;
        let mask = texts
            .iter()
            .flat_map(|text| {
                let ones = std::iter::repeat_n(1u32, text.len());
                ones.chain(std::iter::repeat_n(0, longest - text.len()))
            })
            .collect::<Vec<u32>>();
        let mask = Tensor::from_vec(mask, (texts.len(), longest), &Device::Cpu)?;
        // (batch, longest, hidden_size)
        let states = self.model.forward(&input_ids, &token_type_ids, Some(&mask))?;
        let rows = lengths
            .iter()
            .enumerate()
            .map(|(row, &length)| states.get(row)?.narrow(0, 0, length))
            .collect::<candle_core::Result<Vec<_>>>()?;
        let states = Tensor::cat(&rows, 0)?;
        Ok(HiddenStates::new(states.flatten_all()?.to_vec1()?, states.dim(1)?, lengths))
    }
}

impl fmt::Debug for PlainEncoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlainEncoder").finish_non_exhaustive()
    }
}

pub(super) fn candle_config(config: &BertConfig) -> bert::Config {
    bert::Config {
        vocab_size: config.vocab_size,
        hidden_size: config.hidden_size,
        num_hidden_layers: config.num_hidden_layers,
        num_attention_heads: config.num_attention_heads,
        intermediate_size: config.intermediate_size,
        hidden_act: match config.hidden_act {
            HiddenAct::Gelu => bert::HiddenAct::Gelu,
            HiddenAct::GeluNew => bert::HiddenAct::GeluApproximate,
            HiddenAct::Relu => bert::HiddenAct::Relu,
        },
        max_position_embeddings: config.max_position_embeddings,
        type_vocab_size: config.type_vocab_size,
        layer_norm_eps: config.layer_norm_eps,
        pad_token_id: config.pad_token_id,
        ..bert::Config::default()
    }
}
