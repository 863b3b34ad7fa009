//! The encoder, the pooler and the heads that are trained together.

use candle_core::{Device, Result, Tensor};

use crate::classifier::{HeadConfig, Pooling};
use crate::encoder::BertConfig;

use super::bert::{Bert, Linear, PackedBatch, Parameter, Pass, Stored};
use super::init::{InitError, Initializer};
use super::ops::{dropout, mean_pool};

const POOLER: &str = "pooler.dense";

/// A head: what it predicts and its weights.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) config: HeadConfig,
    /// Its weights' name: `classifier`, `heads.<name>`, or `auxiliary.<number>` for one that only helps the encoder.
    pub(crate) weight_name: String,
    linear: Linear,
}

impl Head {
    /// Whether the bundle keeps it.
    pub(crate) fn is_kept(&self) -> bool {
        !self.weight_name.starts_with("auxiliary.")
    }
}

/// Everything that is trained.
#[derive(Debug)]
pub(crate) struct TrainableModel {
    bert: Bert,
    pooler: Option<Linear>,
    pub(crate) heads: Vec<Head>,
    pooled_dropout: f64,
}

impl TrainableModel {
    /// Reads or makes all weights; `heads` come with their weights' names.
    pub(crate) fn new(
        init: &mut Initializer,
        config: &BertConfig,
        pooling: Pooling,
        heads: Vec<(String, HeadConfig)>,
    ) -> std::result::Result<Self, InitError> {
        let hidden = config.hidden_size;
        let bert = Bert::new(init, config)?;
        let pooler = match pooling {
            Pooling::ClsPooler => Some(Linear::new(init, POOLER, hidden, hidden)?),
            Pooling::Mean => None,
        };
        let heads = heads.into_iter().map(|(weight_name, config)| {
            let linear = Linear::new(init, &weight_name, config.labels.len(), hidden)?;
            Ok(Head { config, weight_name, linear })
        });
        Ok(Self {
            bert,
            pooler,
            heads: heads.collect::<std::result::Result<_, InitError>>()?,
            pooled_dropout: config.hidden_dropout_prob,
        })
    }

    /// One vector a text: (texts, hidden)
    pub(crate) fn pooled(&self, batch: &PackedBatch, pass: Pass) -> Result<Tensor> {
        let hidden_states = self.bert.forward(batch, pass)?;
        let pooled = match &self.pooler {
            None => mean_pool(&hidden_states, &batch.sequences)?,
            Some(pooler) => {
                let first: Vec<u32> = batch.sequences.ranges().map(|range| range.start as u32).collect();
                let first = Tensor::new(first, &Device::Cpu)?;
                pooler.forward(&hidden_states.index_select(&first, 0)?, pass)?.tanh()?
            }
        };
        dropout(&pooled, pass.dropout(self.pooled_dropout))
    }

    /// (texts, labels)
    pub(crate) fn logits(&self, head: usize, pooled: &Tensor, pass: Pass) -> Result<Tensor> {
        self.heads[head].linear.forward(pooled, pass)
    }

    /// Everything that is trained, always in the same order.
    pub(crate) fn parameters(&self) -> Vec<Parameter<'_>> {
        let mut parameters = self.bert.parameters();
        parameters.extend(self.pooler.iter().flat_map(|pooler| pooler.parameters(POOLER)));
        parameters.extend(self.heads.iter().flat_map(|head| head.linear.parameters(&head.weight_name)));
        parameters
    }

    /// The weights that a bundle has, under their names in files.
    pub(crate) fn stored(&self) -> Result<Vec<Stored>> {
        let mut stored = self.bert.stored()?;
        if let Some(pooler) = &self.pooler {
            stored.extend(pooler.stored(&[POOLER])?);
        }
        for stored in &mut stored {
            stored.0.insert_str(0, "bert.");
        }
        for head in self.heads.iter().filter(|head| head.is_kept()) {
            stored.extend(head.linear.stored(&[&head.weight_name])?);
        }
        Ok(stored)
    }
}
