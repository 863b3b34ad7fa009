//! A text as tokens with what its labels teach each head, and many of them packed for the encoder.

use crate::tokenizer::EncodedText;

use super::bert::PackedBatch;
use super::loss::Target;
use super::ops::{Sequences, TokenRows};

/// A text ready for the encoder.
#[derive(Debug, Clone)]
pub(crate) struct Example {
    input_ids: Box<[u32]>,
    /// How many of the tokens are of the first segment.
    first_segment: usize,
    /// One a head that the set teaches.
    pub(crate) targets: Box<[Target]>,
    /// Further labels that would do, one list a head that the set teaches.
    pub(crate) also: Box<[Vec<usize>]>,
    /// What n-grams say of it, all heads one after the other; empty where nobody asked them.
    pub(crate) scores: Box<[f32]>,
}

impl Example {
    /// A text with one target for each head that it teaches.
    pub(crate) fn new(text: EncodedText, targets: Box<[Target]>, also: Box<[Vec<usize>]>) -> Self {
        let first_segment = text.token_type_ids.iter().filter(|segment| **segment == 0).count();
        Self { input_ids: text.input_ids.into(), first_segment, targets, also, scores: Box::default() }
    }

    /// The number of tokens.
    pub(crate) fn len(&self) -> usize {
        self.input_ids.len()
    }
}

/// Puts texts one after the other.
pub(crate) fn pack(examples: &[&Example]) -> PackedBatch {
    let tokens = examples.iter().flat_map(|example| {
        example.input_ids.iter().zip(0..).map(|(&word, position)| {
            let token_type = u32::from(position as usize >= example.first_segment);
            TokenRows { word, position, token_type }
        })
    });
    PackedBatch {
        tokens: tokens.collect(),
        sequences: Sequences::new(examples.iter().map(|example| example.len())),
    }
}
