//! Texts to calibrated label probabilities: tokenizer, encoder, heads, calibration of one model bundle.

use std::cmp::Reverse;
use std::sync::Arc;

use rayon::prelude::*;

use crate::encoder::{Encoder, FusedEncoder, Precision, Threads, Weights, WeightsError};
use crate::registry::{CALIBRATION_FILE, CONFIG_FILE, ModelFiles, NGRAMS_FILE, RegistryError};
use crate::request::RequestText;
use crate::tokenizer::{EncodedText, TextTokenizer, TokenizerError};

mod calibration;
mod config;
mod evidence;
mod head;
pub(crate) mod ngrams;
mod prediction;

pub use calibration::{Calibration, CalibrationError, CertifiedThreshold, HeadCalibration};
pub(crate) use calibration::{Scaling, clopper_pearson};
pub use config::{HeadConfig, ModelConfig, ModelConfigError, PRIMARY_HEAD, Pooling, Problem};
pub use evidence::EvidenceSpan;
pub(crate) use head::weight_prefix;
pub use head::{ClassificationHead, HeadWeights};
pub use ngrams::NgramError;
pub use prediction::{DecisionRule, alarm, ranked, sigmoid, softmax, top};

use ngrams::{NgramDocument, NgramModel};

/// Most tokens that go through the encoder at once.
const MAX_BATCH_TOKENS: usize = 1024;

/// A model bundle that classifies texts.
#[derive(Debug)]
pub struct SequenceClassifier {
    name: String,
    revision: String,
    heads: Arc<[HeadConfig]>,
    calibration: Calibration,
    max_tokens: usize,
    pooling: Pooling,
    precision: Precision,
    tokenizer: TextTokenizer,
    encoder: Box<dyn Encoder>,
    head_weights: HeadWeights,
    ngrams: Option<NgramModel>,
}

/// What a model says about one text.
#[derive(Debug, Clone)]
pub struct Classification {
    heads: Arc<[HeadConfig]>,
    /// Calibrated probabilities of each head, in the order of its labels.
    probabilities: Vec<Vec<f32>>,
    /// Logits of each head as the model gave them.
    logits: Vec<Vec<f32>>,
    /// For each head that was to be explained, by its place, the spans that carried its top label.
    evidence: Vec<(usize, Vec<EvidenceSpan>)>,
}

/// A text as the classifier reads it.
#[derive(Debug, Clone, Copy)]
pub struct ClassifierInput<'a> {
    /// The words.
    pub text: &'a RequestText,
    /// What [`SequenceClassifier::encode`] made of them.
    pub encoded: &'a EncodedText,
    /// The heads whose answers are to be explained.
    pub explain: &'a [&'a str],
}

/// Why a bundle cannot be loaded, or a text not be classified.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// A file of the bundle is missing or cannot be read.
    #[error(transparent)]
    Files(#[from] RegistryError),
    /// `config.json` describes no classifier.
    #[error("model `{model}`: {source}")]
    Config {
        /// The model's name.
        model: String,
        /// What is wrong.
        source: ModelConfigError,
    },
    /// `calibration.json` does not fit the heads.
    #[error("model `{model}`: {source}")]
    Calibration {
        /// The model's name.
        model: String,
        /// What is wrong.
        source: CalibrationError,
    },
    /// `ngrams.safetensors` cannot be read or does not fit the heads.
    #[error("model `{model}`: {source}")]
    Ngrams {
        /// The model's name.
        model: String,
        /// What is wrong.
        source: NgramError,
    },
    /// The weights cannot be read, or one is missing.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The tokenizer cannot be built.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// The tensor library failed.
    #[error("the model's arithmetic failed: {0}")]
    Tensor(#[from] candle_core::Error),
    /// Weights that are damaged or overflow.
    #[error(
        "head `{head}` gave a logit that is not a finite number\nhint: the weights are damaged; load another model"
    )]
    NonFiniteLogits {
        /// The head's name.
        head: String,
    },
}

impl SequenceClassifier {
    /// Loads a bundle: `config.json`, the tokenizer, the weights, and `calibration.json` and `ngrams.safetensors` if
    /// they are there. The encoder computes in 8-bit integers.
    ///
    /// # Errors
    /// If a file is missing or malformed, or the files contradict each other.
    pub fn load(files: &ModelFiles) -> Result<Self, ModelError> {
        Self::load_in(files, Precision::default())
    }

    /// Loads a bundle as [`Self::load`] does, to compute in the precision given.
    ///
    /// # Errors
    /// As [`Self::load`], and if weights are rounded where floats are asked for.
    pub fn load_in(files: &ModelFiles, precision: Precision) -> Result<Self, ModelError> {
        let model = files.name();
        let config = ModelConfig::from_json(&files.read_to_string(CONFIG_FILE)?)
            .map_err(|source| ModelError::Config { model: model.to_owned(), source })?;
        let tokenizer = TextTokenizer::load(files)?;
        tokenizer.check_vocab_size(model, config.bert.vocab_size)?;
        let calibration = if files.contains(CALIBRATION_FILE) {
            Calibration::from_json(&files.read_to_string(CALIBRATION_FILE)?, &config.heads)
                .map_err(|source| ModelError::Calibration { model: model.to_owned(), source })?
        } else {
            Calibration::default()
        };
        let weights = Weights::load(files)?;
        let head_weights = HeadWeights::load(&config, &weights)?;
        let ngrams = files
            .contains(NGRAMS_FILE)
            .then(|| {
                NgramModel::from_bytes(&files.read(NGRAMS_FILE)?, &config.heads)
                    .map_err(|source| ModelError::Ngrams { model: model.to_owned(), source })
            })
            .transpose()?;
        let encoder = Box::new(FusedEncoder::new(&config.bert, &weights, precision)?);
        Ok(Self {
            name: model.to_owned(),
            revision: files.revision().to_owned(),
            heads: config.heads.into(),
            calibration,
            max_tokens: config.max_tokens,
            pooling: config.pooling,
            precision,
            tokenizer,
            encoder,
            head_weights,
            ngrams,
        })
    }

    /// The model's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// In which numbers the encoder computes.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// The commit or digest that the files were loaded at.
    pub fn revision(&self) -> &str {
        &self.revision
    }

    /// The heads, the primary one first.
    pub fn heads(&self) -> &[HeadConfig] {
        &self.heads
    }

    /// The head of that name.
    pub fn head(&self, name: &str) -> Option<&HeadConfig> {
        self.heads.iter().find(|head| head.name == name)
    }

    /// What was measured about the model's certainty.
    pub fn calibration(&self) -> &Calibration {
        &self.calibration
    }

    /// Which labels a head's probabilities stand for.
    pub fn decision_rule(&self, head: &HeadConfig) -> DecisionRule {
        let measured = self.calibration.head(&head.name).and_then(|head| head.decision_threshold);
        head.problem.decision_rule(measured)
    }

    /// Longest sequence that texts are cut to, in tokens.
    pub fn max_tokens(&self) -> usize {
        self.max_tokens
    }

    /// Classifies texts; answers come in the order of the texts.
    ///
    /// # Errors
    /// If the arithmetic fails or yields what is no number.
    pub fn classify<'a>(
        &self,
        texts: impl IntoIterator<Item = &'a RequestText>,
    ) -> Result<Vec<Classification>, ModelError> {
        let texts: Vec<&RequestText> = texts.into_iter().collect();
        let encoded = texts.par_iter().map(|text| self.encode(text)).collect::<Result<Vec<_>, _>>()?;
        let input = |(text, encoded)| ClassifierInput { text, encoded, explain: &[] };
        self.classify_encoded(&texts.into_iter().zip(&encoded).map(input).collect::<Vec<_>>(), Threads::All)
    }

    /// Turns a text into token ids, cut to what the model can read.
    ///
    /// # Errors
    /// If the tokenizer library fails, which no text is known to make it do.
    pub fn encode(&self, text: &RequestText) -> Result<EncodedText, TokenizerError> {
        self.tokenizer.encode(text, self.max_tokens)
    }

    /// Classifies texts that [`encode`](Self::encode) has been through, on so many threads; answers come in the order of
    /// the texts.
    ///
    /// # Errors
    /// If the arithmetic fails or yields what is no number.
    pub fn classify_encoded(
        &self,
        texts: &[ClassifierInput<'_>],
        threads: Threads,
    ) -> Result<Vec<Classification>, ModelError> {
        // Long texts first, so that no thread begins one when the others are done.
        let mut order: Vec<usize> = (0..texts.len()).collect();
        order.sort_by_key(|&index| Reverse(texts[index].encoded.len()));
        let batches = batches(&order, texts);
        // A thread that works alone waits for nobody, as long as there is a batch for each.
        let enough = batches.len() >= threads.count();
        let (across, within) = if enough { (threads, Threads::One) } else { (Threads::One, threads) };
        let answers = across.map(batches, |batch| self.classify_batch(batch, texts, within));
        let answers: Vec<_> = answers.into_iter().collect::<Result<_, _>>()?;
        let mut answers: Vec<(usize, Classification)> = answers.into_iter().flatten().collect();
        answers.sort_unstable_by_key(|(index, _)| *index);
        Ok(answers.into_iter().map(|(_, answer)| answer).collect())
    }

    /// Classifies the texts of a batch, named by their indices.
    fn classify_batch(
        &self,
        batch: &[usize],
        texts: &[ClassifierInput<'_>],
        threads: Threads,
    ) -> Result<Vec<(usize, Classification)>, ModelError> {
        let inputs: Vec<&EncodedText> = batch.iter().map(|&index| texts[index].encoded).collect();
        let states = self.encoder.encode(&inputs, self.head_weights.wanted_states(), threads)?;
        let states: Vec<_> = batch.iter().zip(states.texts()).collect();
        let answers =
            threads.map(states, |(&index, states)| Ok((index, self.classify_states(states, texts[index])?)));
        answers.into_iter().collect()
    }

    /// `states` is (tokens, hidden_size).
    fn classify_states(
        &self,
        states: &[f32],
        input: ClassifierInput<'_>,
    ) -> Result<Classification, ModelError> {
        let mut logits = self.head_weights.logits(states);
        let ngrams = self.ngrams.as_ref().map(|model| {
            let document = NgramDocument::new(input.text);
            let vector = model.vocabulary.vector(&document);
            (model, document, vector)
        });
        if let Some((model, _, vector)) = &ngrams {
            for (logits, scores) in logits.iter_mut().zip(model.scores(vector)) {
                logits.iter_mut().zip(scores).for_each(|(logit, score)| *logit += score);
            }
        }
        for (head, logits) in self.heads.iter().zip(&logits) {
            if !logits.iter().all(|logit| logit.is_finite()) {
                return Err(ModelError::NonFiniteLogits { head: head.name.clone() });
            }
        }
        let probabilities = self
            .heads
            .iter()
            .zip(&logits)
            .map(|(head, logits)| {
                let measured = self.calibration.head(&head.name);
                measured.map_or(Scaling::NONE, HeadCalibration::scaling).probabilities(head.problem, logits)
            })
            .collect();
        let explained =
            (0..self.heads.len()).filter(|&head| input.explain.contains(&self.heads[head].name.as_str()));
        let explained = explained.filter(|_| match self.pooling {
            Pooling::Mean => true,
            // Behind the pooler's tanh no token's share can be told apart.
            Pooling::ClsPooler => false,
        });
        let evidence = explained.map(|head| {
            let label = top(&logits[head]);
            let mut contributions = self.head_weights.contributions(states, head, label);
            if let Some((model, document, vector)) = &ngrams {
                let characters = model.contributions(document, vector, head, label);
                evidence::add_by_place(&mut contributions, input.encoded, characters);
            }
            (head, evidence::spans(input.text, input.encoded, &contributions))
        });
        let evidence = evidence.collect();
        Ok(Classification { heads: Arc::clone(&self.heads), probabilities, logits, evidence })
    }
}

impl Classification {
    /// Calibrated probabilities of a head, in the order of its labels.
    pub fn head(&self, name: &str) -> Option<&[f32]> {
        let index = self.heads.iter().position(|head| head.name == name)?;
        Some(&self.probabilities[index])
    }

    /// The spans that carried the top label of a head that was to be explained, strongest first; empty where the model
    /// cannot tell.
    pub fn evidence(&self, name: &str) -> &[EvidenceSpan] {
        let of_head = |(head, _): &&(usize, Vec<EvidenceSpan>)| self.heads[*head].name == name;
        self.evidence.iter().find(of_head).map_or(&[], |(_, spans)| spans)
    }

    /// A head's logits as the model gave them, in the order of its labels.
    pub fn logits(&self, name: &str) -> Option<&[f32]> {
        let index = self.heads.iter().position(|head| head.name == name)?;
        Some(&self.logits[index])
    }

    /// A head's labels with their probabilities, most probable first.
    pub fn ranked(&self, name: &str) -> Option<Vec<(&str, f32)>> {
        let index = self.heads.iter().position(|head| head.name == name)?;
        let labels = &self.heads[index].labels;
        Some(
            ranked(&self.probabilities[index])
                .map(|(id, probability)| (labels.name(id), probability))
                .collect(),
        )
    }
}

/// Cuts `order`, sorted by length, into batches of at most [`MAX_BATCH_TOKENS`] tokens.
fn batches<'a>(order: &'a [usize], texts: &[ClassifierInput<'_>]) -> Vec<&'a [usize]> {
    let mut batches = Vec::new();
    let mut rest = order;
    while !rest.is_empty() {
        let mut tokens = 0;
        let fits = rest
            .iter()
            .take_while(|&&index| {
                tokens += texts[index].encoded.len();
                tokens <= MAX_BATCH_TOKENS
            })
            .count()
            .max(1);
        let (batch, remaining) = rest.split_at(fits);
        batches.push(batch);
        rest = remaining;
    }
    batches
}
