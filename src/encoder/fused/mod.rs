//! The encoder that serves: packed sequences, fused layers, no padding and nothing allocated a layer.
//!
//! All tokens of a batch are rows of one matrix. A layer has two steps: attention, a task for each head of each text, and
//! all that concerns a token alone, a task for a block of tokens, from what the heads saw to the next layer's queries,
//! keys and values. Between the two, threads wait for each other; nowhere else.

use std::cell::RefCell;
use std::ops::Range;

use candle_core::bail;
use half::f16;
use half::slice::HalfFloatSliceExt as _;

use super::kernels::Threads;
use super::weights::WORD_EMBEDDINGS;
use super::{BertConfig, Encoder, HiddenStates, WantedStates, Weights, WeightsError};
use crate::tokenizer::EncodedText;

use attention::{Head, attend};
use layer::{Layer, Norm};

mod attention;
mod layer;

/// Most tokens of a block: what lies between two products stays in the second cache.
const MAX_BLOCK: usize = 72;
/// Blocks are cut where the products' inner loops are.
const BLOCK_STEP: usize = 6;

/// In which numbers linear layers compute. Everything else is 32-bit floats.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Precision {
    /// 32-bit floats.
    F32,
    /// 8-bit integers; see the module of the kernels for what is rounded. Word embeddings are 16-bit floats.
    #[default]
    Int8,
}

impl Precision {
    /// `float32` or `int8`.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "float32",
            Self::Int8 => "int8",
        }
    }
}

/// A BERT encoder with weights laid out for the processor's caches and vectors.
#[derive(Debug)]
pub struct FusedEncoder {
    embeddings: Embeddings,
    layers: Vec<Layer>,
    num_attention_heads: usize,
}

/// What lies between the steps of a layer, for all tokens of a batch.
#[derive(Debug, Default)]
struct Matrices {
    qkv: Vec<f32>,
    context: Vec<f32>,
}

thread_local! {
    // Kept from batch to batch, since memory that comes fresh from the system costs as much as a product.
    static MATRICES: RefCell<Matrices> = RefCell::default();
    static SCRATCH: RefCell<(attention::Scratch, layer::Scratch)> = RefCell::default();
}

impl FusedEncoder {
    /// Lays out weights with canonical names (no `bert.` prefix).
    ///
    /// # Errors
    /// If a weight is missing or has another shape than the configuration says.
    pub fn new(config: &BertConfig, weights: &Weights, precision: Precision) -> Result<Self, WeightsError> {
        let layers =
            (0..config.num_hidden_layers).map(|index| Layer::load(weights, index, config, precision));
        Ok(Self {
            embeddings: Embeddings::load(weights, config, precision)?,
            layers: layers.collect::<Result<_, _>>()?,
            num_attention_heads: config.num_attention_heads,
        })
    }
}

impl Encoder for FusedEncoder {
    fn encode(
        &self,
        texts: &[&EncodedText],
        wanted: WantedStates,
        threads: Threads,
    ) -> candle_core::Result<HiddenStates> {
        self.embeddings.check(texts)?;
        let hidden_size = self.embeddings.hidden_size;
        let lengths: Vec<usize> = texts.iter().map(|text| text.len()).collect();
        let mut rows = ContextRows::new(lengths.iter().copied());
        let mut states = vec![0.0; rows.len() * hidden_size];
        let Matrices { mut qkv, mut context } = MATRICES.take();
        qkv.resize(rows.len() * 3 * hidden_size, 0.0);
        context.resize(rows.len() * hidden_size, 0.0);
        let first_layer = self.layers.first();
        let tokens: Vec<_> =
            texts.iter().flat_map(|text| (0..text.len()).map(move |token| (*text, token))).collect();
        self.for_each_block((&mut states, &mut qkv), threads, |first, states, qkv, scratch| {
            self.embeddings.embed(&tokens[first..], states);
            if let Some(layer) = first_layer {
                layer.query_key_value.forward(states, qkv, scratch);
            }
        });
        for (index, layer) in self.layers.iter().enumerate() {
            let next = self.layers.get(index + 1);
            if next.is_none() && wanted == WantedStates::First {
                rows = ContextRows::new(lengths.iter().map(|_| 1));
                states = first_rows(&states, &lengths, hidden_size);
                context.truncate(states.len());
            }
            self.attend(&qkv, &lengths, &rows, (&mut context, threads));
            self.for_each_block((&mut states, &mut qkv), threads, |first, states, qkv, scratch| {
                rows.gather(
                    first..first + states.len() / hidden_size,
                    &context,
                    (self.first_head(), &mut scratch.context),
                );
                layer.finish(states, scratch);
                if let Some(next) = next {
                    next.query_key_value.forward(states, qkv, scratch);
                }
            });
        }
        MATRICES.set(Matrices { qkv, context });
        Ok(HiddenStates::new(states, hidden_size, rows.queries))
    }
}

impl FusedEncoder {
    fn first_head(&self) -> Head {
        let hidden_size = self.embeddings.hidden_size;
        Head { hidden_size, width: hidden_size / self.num_attention_heads, index: 0 }
    }

    /// Does something with each block of tokens: its first row, its states, its queries, keys and values.
    fn for_each_block(
        &self,
        (states, qkv): (&mut [f32], &mut [f32]),
        threads: Threads,
        work: impl Fn(usize, &mut [f32], &mut [f32], &mut layer::Scratch) + Sync,
    ) {
        let hidden_size = self.embeddings.hidden_size;
        let share = (states.len() / hidden_size).div_ceil(threads.count()).next_multiple_of(BLOCK_STEP);
        let block = share.clamp(BLOCK_STEP, MAX_BLOCK);
        let blocks = states.chunks_mut(block * hidden_size).zip(qkv.chunks_mut(block * 3 * hidden_size));
        threads.for_each(blocks.enumerate(), |(index, (states, qkv))| {
            SCRATCH.with_borrow_mut(|(_, scratch)| work(index * block, states, qkv, scratch));
        });
    }

    /// What each head of each text sees, text after text, and in each text head after head.
    fn attend(
        &self,
        qkv: &[f32],
        lengths: &[usize],
        rows: &ContextRows,
        (context, threads): (&mut [f32], Threads),
    ) {
        let head = self.first_head();
        let (mut rest, mut start) = (context, 0);
        let tasks = lengths.iter().zip(&rows.queries).flat_map(|(length, queries)| {
            let qkv = &qkv[start * 3 * head.hidden_size..][..length * 3 * head.hidden_size];
            start += length;
            let (text, others) = std::mem::take(&mut rest).split_at_mut(queries * head.hidden_size);
            rest = others;
            let heads = text.chunks_mut(queries * head.width).enumerate();
            heads.map(move |(index, out)| (qkv, Head { index, ..head }, out))
        });
        threads.for_each(tasks, |(qkv, head, out)| {
            SCRATCH.with_borrow_mut(|(scratch, _)| attend(qkv, head, scratch, out));
        });
    }
}

/// The rows that the blocks of a layer work on, and where the heads left what they saw for each.
struct ContextRows {
    /// Rows of each text.
    queries: Vec<usize>,
    /// For each row the first row of its text and the rows of its text.
    places: Vec<(usize, usize)>,
}

impl ContextRows {
    fn new(queries: impl Iterator<Item = usize>) -> Self {
        let queries: Vec<usize> = queries.collect();
        let mut places = Vec::with_capacity(queries.iter().sum());
        for &count in &queries {
            let first = places.len();
            places.extend(std::iter::repeat_n((first, count), count));
        }
        Self { queries, places }
    }

    fn len(&self) -> usize {
        self.places.len()
    }

    /// Puts what the heads saw for each row side by side.
    fn gather(&self, rows: Range<usize>, context: &[f32], (head, out): (Head, &mut Vec<f32>)) {
        out.clear();
        for row in rows {
            let (first, count) = self.places[row];
            let text = &context[first * head.hidden_size..][..count * head.hidden_size];
            for head_rows in text.chunks_exact(count * head.width) {
                out.extend_from_slice(&head_rows[(row - first) * head.width..][..head.width]);
            }
        }
    }
}

/// The first row of each text.
fn first_rows(states: &[f32], lengths: &[usize], hidden_size: usize) -> Vec<f32> {
    let starts = lengths.iter().scan(0, |next, length| {
        let start = *next;
        *next += length;
        Some(start)
    });
    starts.flat_map(|start| &states[start * hidden_size..][..hidden_size]).copied().collect()
}

/// Word, position and token type embeddings and their normalisation.
#[derive(Debug)]
struct Embeddings {
    words: WordTable,
    positions: Vec<f32>,
    token_types: Vec<f32>,
    norm: Norm,
    hidden_size: usize,
}

/// By far the largest part of a small model, of which a text needs a few rows. Half precision moves a word by less than a
/// thousandth.
#[derive(Debug)]
enum WordTable {
    Float(Vec<f32>),
    Half(Vec<f16>),
}

impl WordTable {
    fn load(weights: &Weights, shape: &[usize], precision: Precision) -> Result<Self, WeightsError> {
        Ok(match precision {
            Precision::F32 => Self::Float(weights.values(WORD_EMBEDDINGS, shape)?),
            Precision::Int8 => Self::Half(weights.halves(WORD_EMBEDDINGS, shape)?),
        })
    }

    /// How many numbers.
    fn len(&self) -> usize {
        match self {
            Self::Float(table) => table.len(),
            Self::Half(table) => table.len(),
        }
    }

    fn copy(&self, row: Range<usize>, to: &mut [f32]) {
        match self {
            Self::Float(table) => to.copy_from_slice(&table[row]),
            Self::Half(table) => table[row].convert_to_f32_slice(to),
        }
    }
}

impl Embeddings {
    fn load(weights: &Weights, config: &BertConfig, precision: Precision) -> Result<Self, WeightsError> {
        let hidden_size = config.hidden_size;
        let table = |name: &str, rows: usize| {
            weights.values(&format!("embeddings.{name}.weight"), &[rows, hidden_size])
        };
        Ok(Self {
            words: WordTable::load(weights, &[config.vocab_size, hidden_size], precision)?,
            positions: table("position_embeddings", config.max_position_embeddings)?,
            token_types: table("token_type_embeddings", config.type_vocab_size)?,
            norm: Norm::load(weights, "embeddings.LayerNorm", config)?,
            hidden_size,
        })
    }

    /// Refuses what has no embedding.
    fn check(&self, texts: &[&EncodedText]) -> candle_core::Result<()> {
        let (words, positions) =
            (self.words.len() / self.hidden_size, self.positions.len() / self.hidden_size);
        for text in texts {
            if text.len() > positions {
                bail!("a text has {} tokens, but the encoder has {positions} positions", text.len());
            }
            if let Some(id) = text.input_ids.iter().find(|id| **id as usize >= words) {
                bail!("token {id} has no embedding, there are {words}");
            }
        }
        Ok(())
    }

    /// Fills rows with the first of the tokens.
    fn embed(&self, tokens: &[(&EncodedText, usize)], states: &mut [f32]) {
        let row = |index: usize| index * self.hidden_size..(index + 1) * self.hidden_size;
        // A few models know one token type only.
        let last_token_type = self.token_types.len() / self.hidden_size - 1;
        for (state, (text, token)) in states.chunks_exact_mut(self.hidden_size).zip(tokens) {
            self.words.copy(row(text.input_ids[*token] as usize), state);
            let position = &self.positions[row(*token)];
            let token_type = (text.token_type_ids[*token] as usize).min(last_token_type);
            let token_type = &self.token_types[row(token_type)];
            for ((state, position), token_type) in state.iter_mut().zip(position).zip(token_type) {
                *state = *state + position + token_type;
            }
        }
        self.norm.apply(states);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use candle_core::{DType, Device, Shape, Tensor};
    use candle_nn::{VarBuilder, VarMap};
    use candle_transformers::models::bert;
    use rand::{Rng as _, SeedableRng as _};
    use rand_chacha::ChaCha8Rng;

    use super::super::{HiddenAct, PlainEncoder};
    use super::*;

    const VOCABULARY: usize = 50;

    /// Weights of all layers that candle-transformers asks for, as they come from a seed.
    fn weights(config: &BertConfig) -> Weights {
        let asked = VarMap::new();
        let builder = VarBuilder::from_varmap(&asked, DType::F32, &Device::Cpu);
        bert::BertModel::load(builder, &super::super::plain::candle_config(config)).unwrap();
        let asked = asked.data().lock().unwrap();
        let named: BTreeMap<_, _> = asked.iter().collect();
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let mut draw = |name: &str, shape: &Shape| {
            let center = if name.ends_with("LayerNorm.weight") { 1.0 } else { 0.0 };
            let values = (0..shape.elem_count()).map(|_| center + random.random_range(-0.2..0.2));
            Tensor::from_vec(values.collect::<Vec<f32>>(), shape, &Device::Cpu).unwrap()
        };
        let tensors = named.into_iter().map(|(name, var)| (name.clone(), draw(name, var.shape())));
        Weights::from_map(tensors.collect()).unwrap()
    }

    fn text(tokens: usize) -> EncodedText {
        EncodedText {
            input_ids: (0..tokens).map(|token| ((token * 31 + tokens * 7) % VOCABULARY) as u32).collect(),
            token_type_ids: (0..tokens).map(|token| u32::from(token > tokens / 2)).collect(),
            spans: vec![None; tokens],
        }
    }

    /// A shape whose widths are whole in no vector and no panel.
    fn config() -> BertConfig {
        BertConfig { hidden_act: HiddenAct::Gelu, ..BertConfig::new(VOCABULARY, 3, 78, 3, 101) }
    }

    /// Differences of the rows that both gave: the largest, and the mean.
    fn differences(got: &HiddenStates, expected: &HiddenStates) -> (f32, f32) {
        let rows = got.texts().zip(expected.texts());
        let all: Vec<f32> = rows.flat_map(|(a, b)| a.iter().zip(b)).map(|(a, b)| (a - b).abs()).collect();
        (all.iter().copied().fold(0.0, f32::max), all.iter().sum::<f32>() / all.len() as f32)
    }

    #[test]
    fn gives_the_states_of_candle_transformers_for_texts_of_all_lengths_at_once() {
        let weights = weights(&config());
        let texts: Vec<EncodedText> = [1, 2, 17, 100, 5, 64, 131, 3].map(text).into();
        let texts: Vec<&EncodedText> = texts.iter().collect();
        let plain = PlainEncoder::new(&config(), &weights).unwrap();
        let expected = plain.encode(&texts, WantedStates::All, Threads::All).unwrap();
        let fused = FusedEncoder::new(&config(), &weights, Precision::F32).unwrap();
        for threads in [Threads::One, Threads::All] {
            for wanted in [WantedStates::All, WantedStates::First] {
                let got = fused.encode(&texts, wanted, threads).unwrap();
                let rows = if wanted == WantedStates::All { texts[3].len() } else { 1 };
                assert_eq!(got.texts().nth(3).unwrap().len(), rows * config().hidden_size);
                assert!(differences(&got, &expected).0 < 2e-5, "{wanted:?} {threads:?}");
            }
        }
        let int8 = FusedEncoder::new(&config(), &weights, Precision::Int8).unwrap();
        let got = int8.encode(&texts, WantedStates::All, Threads::All).unwrap();
        // Of states whose variance is one.
        let (_, mean) = differences(&got, &expected);
        assert!(mean < 0.04, "{mean}");
    }

    #[test]
    fn a_text_has_the_same_states_to_the_last_bit_alone_and_in_a_batch() {
        let encoder = FusedEncoder::new(&config(), &weights(&config()), Precision::Int8).unwrap();
        let texts: Vec<EncodedText> = [40, 7, 90].map(text).into();
        let together =
            encoder.encode(&texts.iter().collect::<Vec<_>>(), WantedStates::All, Threads::One).unwrap();
        for (text, states) in texts.iter().zip(together.texts()) {
            let alone = encoder.encode(&[text], WantedStates::All, Threads::All).unwrap();
            assert_eq!(alone.texts().next().unwrap(), states);
        }
    }

    #[test]
    fn refuses_tokens_that_have_no_embedding() {
        let encoder = FusedEncoder::new(&config(), &weights(&config()), Precision::F32).unwrap();
        let encode = |text: &EncodedText| {
            encoder.encode(&[text], WantedStates::All, Threads::One).unwrap_err().to_string()
        };
        assert!(encode(&text(513)).contains("513 tokens, but the encoder has 512 positions"));
        let stranger = EncodedText { input_ids: vec![50], token_type_ids: vec![0], spans: vec![None] };
        assert!(encode(&stranger).contains("token 50 has no embedding, there are 50"));
    }
}
