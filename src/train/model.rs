//! The encoder, the pooler and the heads that are trained together.

use candle_core::{Device, Result, Tensor};

use crate::classifier::{HeadConfig, Pooling};
use crate::encoder::BertConfig;

use super::bert::{Bert, Linear, PackedBatch, Parameter, Pass, Stored};
use super::blend::Blend;
use super::init::{InitError, Initializer};
use super::ngrams::ScoreMix;
use super::ops::{dropout, mean_pool};
use super::stacking::Stacking;

const POOLER: &str = "pooler.dense";

/// The weights of a head.
#[derive(Debug)]
struct Head {
    /// Its weights' name: `classifier`, `heads.<name>`, or `auxiliary.<number>` for one that only helps the encoder.
    weight_name: String,
    linear: Linear,
    /// How the scores of n-grams enter, where there are any.
    stacking: Option<Stacking>,
}

impl Head {
    /// Whether the bundle keeps it.
    fn is_kept(&self) -> bool {
        !self.weight_name.starts_with("auxiliary.")
    }
}

/// Everything that is trained.
#[derive(Debug)]
pub(crate) struct TrainableModel {
    bert: Bert,
    pooler: Option<Linear>,
    heads: Vec<Head>,
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
            Ok(Head { weight_name, linear, stacking: None })
        });
        Ok(Self {
            bert,
            pooler,
            heads: heads.collect::<std::result::Result<_, InitError>>()?,
            pooled_dropout: config.hidden_dropout_prob,
        })
    }

    /// Lets the scores of n-grams into the first heads.
    pub(crate) fn stack(&mut self, stackings: Vec<Stacking>) {
        for (head, stacking) in self.heads.iter_mut().zip(stackings) {
            head.stacking = Some(stacking);
        }
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

    /// (texts, labels), of the texts' vectors and, where there are any, the scores of their n-grams.
    pub(crate) fn logits(
        &self,
        head: usize,
        (pooled, scores): (&Tensor, Option<&Tensor>),
        pass: Pass,
    ) -> Result<Tensor> {
        let logits = self.heads[head].linear.forward(pooled, pass)?;
        match self.stacked(head, scores, pass)? {
            Some(stacked) => logits + stacked,
            None => Ok(logits),
        }
    }

    /// What the n-grams add to the logits of a head: (texts, labels). None where they have no say.
    pub(crate) fn stacked(&self, head: usize, scores: Option<&Tensor>, pass: Pass) -> Result<Option<Tensor>> {
        let stacking = self.heads[head].stacking.as_ref();
        stacking.zip(scores).map(|(stacking, scores)| stacking.forward(scores, pass)).transpose()
    }

    /// Makes the logits of a head what the blend says.
    pub(crate) fn settle(&self, head: usize, blend: &Blend) -> Result<()> {
        let Head { linear, stacking, .. } = &self.heads[head];
        stacking.iter().try_for_each(|stacking| stacking.scale(blend.ngrams))?;
        linear.rescale(blend.encoder, &blend.bias)
    }

    /// How the heads use the scores of n-grams; empty without any.
    pub(crate) fn mixes(&self) -> Result<Vec<ScoreMix>> {
        self.heads.iter().filter_map(|head| head.stacking.as_ref()).map(Stacking::mix).collect()
    }

    /// Everything that is trained, always in the same order.
    pub(crate) fn parameters(&self) -> Vec<Parameter<'_>> {
        let mut parameters = self.bert.parameters();
        parameters.extend(self.pooler.iter().flat_map(|pooler| pooler.parameters(POOLER)));
        for Head { weight_name, linear, stacking } in &self.heads {
            parameters.extend(linear.parameters(weight_name));
            parameters.extend(stacking.iter().map(|stacking| stacking.parameter(weight_name)));
        }
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

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use candle_core::D;

    use super::super::ops::{DropoutSource, Sequences, TokenRows};
    use super::*;
    use crate::classifier::{HeadWeights, ModelConfig, Problem};
    use crate::encoder::{Encoder, FusedEncoder, Precision, Threads, Weights};
    use crate::label::LabelSet;
    use crate::tokenizer::EncodedText;

    fn config() -> BertConfig {
        BertConfig {
            max_position_embeddings: 12,
            // Large enough that nothing is near zero.
            initializer_range: 0.3,
            ..BertConfig::new(30, 2, 16, 4, 24)
        }
    }

    fn heads() -> Vec<(String, HeadConfig)> {
        let head = |name: &str, labels: &[&str], problem| HeadConfig {
            name: name.to_owned(),
            problem,
            labels: LabelSet::new(labels.iter().copied()).unwrap(),
        };
        vec![
            ("classifier".to_owned(), head("category", &["a", "b", "c"], Problem::SingleLabelClassification)),
            ("heads.risks".to_owned(), head("risks", &["x", "y"], Problem::MultiLabelClassification)),
            ("auxiliary.0".to_owned(), head("other", &["p", "q"], Problem::SingleLabelClassification)),
        ]
    }

    fn model(pooling: Pooling) -> TrainableModel {
        let mut init = Initializer::fresh(None, 3, config().initializer_range);
        let mut model = TrainableModel::new(&mut init, &config(), pooling, heads()).unwrap();
        let kept: Vec<HeadConfig> = heads().into_iter().take(2).map(|(_, head)| head).collect();
        model.stack(Stacking::of_heads(&kept).unwrap());
        model
    }

    fn texts() -> Vec<EncodedText> {
        [7_u32, 2, 11]
            .into_iter()
            .map(|length| EncodedText {
                input_ids: (0..length).map(|i| (i * 5 + length) % 30).collect(),
                token_type_ids: (0..length).map(|i| u32::from(i > 2)).collect(),
                spans: vec![None; length as usize],
            })
            .collect()
    }

    fn batch() -> PackedBatch {
        let tokens = texts().into_iter().flat_map(|text| {
            let parts = text.input_ids.into_iter().zip(text.token_type_ids).zip(0..);
            parts
                .map(|((word, token_type), position)| TokenRows { word, position, token_type })
                .collect::<Vec<_>>()
        });
        PackedBatch {
            tokens: tokens.collect(),
            sequences: Sequences::new(texts().iter().map(EncodedText::len)),
        }
    }

    #[test]
    fn every_parameter_has_a_finite_gradient_that_is_not_zero() {
        for pooling in [Pooling::Mean, Pooling::ClsPooler] {
            let model = model(pooling);
            let source = DropoutSource::new(1, 1);
            let pass = Pass::Training(&source);
            let pooled = model.pooled(&batch(), pass).unwrap();
            let scores =
                Tensor::from_vec((1..=15_u8).map(f32::from).collect(), (3, 5), &Device::Cpu).unwrap();
            let loss = (0..heads().len())
                .map(|head| model.logits(head, (&pooled, Some(&scores)), pass).unwrap())
                .map(|logits| {
                    candle_nn::ops::log_softmax(&logits, D::Minus1).unwrap().get_on_dim(1, 0).unwrap()
                })
                .map(|logs| logs.sum_all().unwrap())
                .reduce(|a, b| (a + b).unwrap())
                .unwrap();
            let gradients = loss.backward().unwrap();
            for (name, var) in model.parameters() {
                let gradient =
                    gradients.get(var.as_tensor()).unwrap_or_else(|| panic!("{name} has no gradient"));
                let rows = match gradient.rank() {
                    1 => vec![gradient.to_vec1::<f32>().unwrap()],
                    _ => gradient.to_vec2::<f32>().unwrap(),
                };
                assert!(rows.iter().flatten().all(|g| g.is_finite()), "{name}");
                let occurs = |row: usize| {
                    let tokens = batch().tokens;
                    match name.as_str() {
                        "embeddings.word_embeddings.weight" => {
                            tokens.iter().any(|token| token.word as usize == row)
                        }
                        "embeddings.position_embeddings.weight" => row < 11,
                        _ => true,
                    }
                };
                for (row, gradient) in rows.iter().enumerate() {
                    let moves = gradient.iter().any(|g| *g != 0.0);
                    assert_eq!(moves, occurs(row), "{name}, row {row}, {pooling:?}");
                }
            }
        }
    }

    #[test]
    fn settled_heads_say_what_the_blend_says() {
        let model = model(Pooling::Mean);
        let scores = [0.3_f32, -1.0, 0.2, 0.5, -0.1];
        let pooled = model.pooled(&batch(), Pass::Inference).unwrap().narrow(0, 0, 1).unwrap();
        let scores_tensor = Tensor::new(&[scores], &Device::Cpu).unwrap();
        let row = |logits: Tensor| logits.to_vec2::<f32>().unwrap().concat();
        let encoder = || row(model.logits(0, (&pooled, None), Pass::Inference).unwrap());
        let ngrams = || row(model.stacked(0, Some(&scores_tensor), Pass::Inference).unwrap().unwrap());
        let blend = Blend { encoder: 0.5, ngrams: 3.0, bias: vec![0.1, -0.2, 0.0] };
        let wanted = blend.join(&encoder(), &ngrams());
        model.settle(0, &blend).unwrap();
        let mixed = model.mixes().unwrap()[0]
            .iter()
            .map(|mix| mix.iter().zip(scores).map(|(share, score)| share * score).sum::<f32>())
            .collect::<Vec<_>>();
        for ((encoder, ngrams), wanted) in encoder().into_iter().zip(mixed).zip(wanted) {
            assert!((encoder + ngrams - wanted).abs() < 1e-5);
        }
    }

    #[test]
    fn computes_the_logits_of_the_inference_path() {
        for pooling in [Pooling::Mean, Pooling::ClsPooler] {
            let model = model(pooling);
            let stored = model.stored().unwrap();
            assert!(
                stored.iter().all(|(name, _)| !name.contains("auxiliary")),
                "auxiliary heads are dropped"
            );
            let bare = |name: String| name.strip_prefix("bert.").map_or(name.clone(), str::to_owned);
            let weights =
                stored.into_iter().map(|(name, tensor)| (bare(name), tensor)).collect::<HashMap<_, _>>();
            let weights = Weights::from_map(weights).unwrap();
            let kept = heads().into_iter().take(2).map(|(_, head)| head).collect();
            let model_config = ModelConfig { bert: config(), pooling, max_tokens: 12, heads: kept };
            let head_weights = HeadWeights::load(&model_config, &weights).unwrap();
            let states = FusedEncoder::new(&config(), &weights, Precision::F32)
                .unwrap()
                .encode(&texts().iter().collect::<Vec<_>>(), head_weights.wanted_states(), Threads::All)
                .unwrap();
            let pooled = model.pooled(&batch(), Pass::Inference).unwrap();
            for (text, states) in states.texts().enumerate() {
                for (head, expected) in head_weights.logits(states).into_iter().enumerate() {
                    let logits = model.logits(head, (&pooled, None), Pass::Inference).unwrap();
                    let logits = logits.get(text).unwrap();
                    for (got, expected) in logits.to_vec1::<f32>().unwrap().into_iter().zip(expected) {
                        assert!((got - expected).abs() < 1e-4, "{got} instead of {expected}, {pooling:?}");
                    }
                }
            }
        }
    }
}
