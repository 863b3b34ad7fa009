//! Words to token ids: `[CLS] title [SEP] text [SEP]`, cut to what the model can read.
//!
//! A text that is too long keeps its head and its tail, since requests open with the matter and close with what is
//! asked for. Sun et al., "How to Fine-Tune BERT for Text Classification?" (2019), found the same for reviews.

use std::panic::catch_unwind;

use ahash::AHashMap;
use serde::Deserialize;
use tokenizers::models::ModelWrapper;
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::{Encoding, Tokenizer};

use crate::registry::{ModelFiles, RegistryError, TOKENIZER_CONFIG_FILE, TOKENIZER_FILE, VOCABULARY_FILE};
use crate::request::{Field, RequestText};

/// Fewest tokens that a sequence may be cut to.
pub const MIN_TOKENS: usize = 8;
/// Share of a sequence that a long title may take.
const TITLE_SHARE: (usize, usize) = (1, 4);
/// Share of a long text's tokens that its head gets; the tail gets the rest.
const HEAD_SHARE: (usize, usize) = (3, 4);
/// Longest word that may be looked for in the vocabulary, in characters; published tokenizers have 100. The time that it
/// takes grows with its square, and Latin letters without a space are one word.
const MAX_WORD_CHARS: usize = 200;

/// Turns request texts into token ids with a model's own vocabulary.
#[derive(Debug, Clone)]
pub struct TextTokenizer {
    inner: Tokenizer,
    cls: u32,
    sep: u32,
}

/// Why a bundle's tokenizer cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TokenizerError {
    /// A file is missing or cannot be read.
    #[error(transparent)]
    Files(#[from] RegistryError),
    /// Neither way of describing a tokenizer is there.
    #[error("model `{model}` has neither tokenizer.json nor vocab.txt")]
    Missing {
        /// The model's name.
        model: String,
    },
    /// A file is there but says nothing usable.
    #[error("`{file}` of model `{model}` describes no tokenizer: {reason}")]
    Invalid {
        /// The model's name.
        model: String,
        /// The file at fault.
        file: &'static str,
        /// What the tokenizer library or the parser says.
        reason: String,
    },
    /// The vocabulary lacks a token that BERT needs.
    #[error("the vocabulary of model `{model}` lacks `{token}`")]
    MissingToken {
        /// The model's name.
        model: String,
        /// `[CLS]`, `[SEP]` or `[UNK]`.
        token: &'static str,
    },
    /// The tokenizer knows more pieces than the encoder has embeddings.
    #[error(
        "the tokenizer of model `{model}` has {pieces} pieces, but `vocab_size` in config.json is {vocab_size}"
    )]
    VocabularyTooLarge {
        /// The model's name.
        model: String,
        /// Pieces of the tokenizer.
        pieces: usize,
        /// Rows of the embedding table.
        vocab_size: usize,
    },
    /// The tokenizer library refused a text.
    #[error("the tokenizer failed on a text: {0}")]
    Encode(String),
}

/// A request text as token ids, special tokens included, never padded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedText {
    /// Ids in the model's vocabulary.
    pub input_ids: Vec<u32>,
    /// 0 for the first segment (the title, or the text when there is no title), 1 for the second.
    pub token_type_ids: Vec<u32>,
    /// Where each token stands; `None` for special tokens.
    pub spans: Vec<Option<TokenSpan>>,
}

/// Bytes of a field's normalised words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenSpan {
    /// The field that the token is from.
    pub field: Field,
    /// First byte.
    pub start: usize,
    /// Byte after the last.
    pub end: usize,
}

/// The parts of `tokenizer_config.json` that a WordPiece tokenizer needs; defaults are `BertTokenizer`'s.
#[derive(Deserialize)]
struct BertTokenization {
    #[serde(default = "yes")]
    do_lower_case: bool,
    #[serde(default = "yes")]
    tokenize_chinese_chars: bool,
    strip_accents: Option<bool>,
}

fn yes() -> bool {
    true
}

impl TextTokenizer {
    /// Reads `tokenizer.json`, or else `vocab.txt` with an optional `tokenizer_config.json`.
    ///
    /// # Errors
    /// If the files are missing or malformed, or the vocabulary lacks a special token.
    pub fn load(files: &ModelFiles) -> Result<Self, TokenizerError> {
        let model = files.name();
        let inner = if files.contains(TOKENIZER_FILE) {
            let bytes = files.read(TOKENIZER_FILE)?;
            described(&bytes).map_err(|reason| TokenizerError::Invalid {
                model: model.to_owned(),
                file: TOKENIZER_FILE,
                reason,
            })?
        } else if files.contains(VOCABULARY_FILE) {
            word_piece(files)?
        } else {
            return Err(TokenizerError::Missing { model: model.to_owned() });
        };
        if let ModelWrapper::WordPiece(word_piece) = inner.get_model()
            && word_piece.max_input_chars_per_word > MAX_WORD_CHARS
        {
            let reason = format!("`max_input_chars_per_word` is above {MAX_WORD_CHARS}");
            return Err(TokenizerError::Invalid { model: model.to_owned(), file: TOKENIZER_FILE, reason });
        }
        Self::new(inner, model)
    }

    fn new(mut inner: Tokenizer, model: &str) -> Result<Self, TokenizerError> {
        // A literal `[SEP]` in somebody's words is text; cutting and joining is done here.
        inner.set_encode_special_tokens(true);
        inner.with_padding(None);
        inner.with_truncation(None).map_err(|error| TokenizerError::Encode(error.to_string()))?;
        let special = |token: &'static str| {
            inner.token_to_id(token).ok_or(TokenizerError::MissingToken { model: model.to_owned(), token })
        };
        let (cls, sep) = (special("[CLS]")?, special("[SEP]")?);
        Ok(Self { inner, cls, sep })
    }

    /// Checks that every id has an embedding.
    ///
    /// # Errors
    /// If the vocabulary is larger than the embedding table.
    pub fn check_vocab_size(&self, model: &str, vocab_size: usize) -> Result<(), TokenizerError> {
        // Ids may have gaps, so the largest one counts.
        let pieces = self.inner.get_vocab(true).into_values().max().map_or(0, |id| id as usize + 1);
        if pieces > vocab_size {
            return Err(TokenizerError::VocabularyTooLarge { model: model.to_owned(), pieces, vocab_size });
        }
        Ok(())
    }

    /// Encodes a request into at most `max_tokens` tokens (at least [`MIN_TOKENS`]), cutting a long title at its end
    /// and a long text in its middle.
    ///
    /// # Errors
    /// If the tokenizer library fails, which no text is known to make it do.
    pub fn encode(&self, request: &RequestText, max_tokens: usize) -> Result<EncodedText, TokenizerError> {
        let max_tokens = max_tokens.max(MIN_TOKENS);
        let title = self.pieces(request.normalized(Field::Title))?;
        let text = self.pieces(request.normalized(Field::Text))?;
        let mut encoded = EncodedText::with_capacity(max_tokens.min(title.len() + text.len() + 3));
        encoded.push_special(self.cls, 0);
        let mut segment = 0;
        if !title.is_empty() {
            // A title may also have what a short text leaves: all but that and three special tokens.
            let share = max_tokens * TITLE_SHARE.0 / TITLE_SHARE.1;
            let budget = share.max(max_tokens.saturating_sub(text.len() + 3));
            encoded.push_pieces(&title, 0..title.len().min(budget), Field::Title, segment);
            encoded.push_special(self.sep, segment);
            segment = 1;
        }
        let budget = max_tokens - encoded.len() - 1;
        if text.len() <= budget {
            encoded.push_pieces(&text, 0..text.len(), Field::Text, segment);
        } else {
            let head = budget * HEAD_SHARE.0 / HEAD_SHARE.1;
            encoded.push_pieces(&text, 0..head, Field::Text, segment);
            encoded.push_pieces(&text, text.len() - (budget - head)..text.len(), Field::Text, segment);
        }
        encoded.push_special(self.sep, segment);
        Ok(encoded)
    }

    fn pieces(&self, words: &str) -> Result<Encoding, TokenizerError> {
        self.inner.encode(words, false).map_err(|error| TokenizerError::Encode(error.to_string()))
    }
}

impl EncodedText {
    fn with_capacity(tokens: usize) -> Self {
        Self {
            input_ids: Vec::with_capacity(tokens),
            token_type_ids: Vec::with_capacity(tokens),
            spans: Vec::with_capacity(tokens),
        }
    }

    /// The number of tokens, at least 2.
    #[expect(clippy::len_without_is_empty, reason = "`[CLS]` and `[SEP]` are always there")]
    pub fn len(&self) -> usize {
        self.input_ids.len()
    }

    fn push_special(&mut self, id: u32, segment: u32) {
        self.input_ids.push(id);
        self.token_type_ids.push(segment);
        self.spans.push(None);
    }

    fn push_pieces(&mut self, pieces: &Encoding, range: std::ops::Range<usize>, field: Field, segment: u32) {
        self.input_ids.extend(&pieces.get_ids()[range.clone()]);
        self.token_type_ids.extend(std::iter::repeat_n(segment, range.len()));
        let spans = pieces.get_offsets()[range].iter();
        self.spans.extend(spans.map(|&(start, end)| Some(TokenSpan { field, start, end })));
    }
}

/// The tokenizer that a `tokenizer.json` describes.
fn described(json: &[u8]) -> Result<Tokenizer, String> {
    // The library panics on some descriptions that break off, rather than to tell of it.
    match catch_unwind(|| Tokenizer::from_bytes(json)) {
        Ok(read) => read.map_err(|error| error.to_string()),
        Err(_) => Err("it is damaged".to_owned()),
    }
}

fn word_piece(files: &ModelFiles) -> Result<Tokenizer, TokenizerError> {
    let config = if files.contains(TOKENIZER_CONFIG_FILE) {
        files.read_to_string(TOKENIZER_CONFIG_FILE)?
    } else {
        "{}".to_owned()
    };
    let config: BertTokenization =
        serde_json::from_str(&config).map_err(|error| TokenizerError::Invalid {
            model: files.name().to_owned(),
            file: TOKENIZER_CONFIG_FILE,
            reason: error.to_string(),
        })?;
    let vocabulary: AHashMap<String, u32> = files
        .read_to_string(VOCABULARY_FILE)?
        .lines()
        .zip(0..)
        .map(|(piece, id)| (piece.to_owned(), id))
        .collect();
    if !vocabulary.contains_key("[UNK]") {
        return Err(TokenizerError::MissingToken { model: files.name().to_owned(), token: "[UNK]" });
    }
    let model =
        WordPiece::builder().vocab(vocabulary).unk_token("[UNK]".to_owned()).build().map_err(|error| {
            TokenizerError::Invalid {
                model: files.name().to_owned(),
                file: VOCABULARY_FILE,
                reason: error.to_string(),
            }
        })?;
    let BertTokenization { tokenize_chinese_chars, strip_accents, do_lower_case } = config;
    let mut tokenizer = Tokenizer::new(model);
    tokenizer
        .with_normalizer(Some(BertNormalizer::new(
            true,
            tokenize_chinese_chars,
            strip_accents,
            do_lower_case,
        )))
        .map_err(|error| TokenizerError::Encode(error.to_string()))?
        .with_pre_tokenizer(Some(BertPreTokenizer));
    Ok(tokenizer)
}

#[cfg(test)]
mod tests {
    use super::*;

    const VOCABULARY: &str = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n路\n灯\n不\n亮\n[\n]\nsep\n##s\n修\n,";

    fn tokenizer() -> TextTokenizer {
        let files = ModelFiles::embedded("test", &[("vocab.txt", VOCABULARY.as_bytes())]);
        TextTokenizer::load(&files).unwrap()
    }

    fn pieces(encoded: &EncodedText) -> Vec<&str> {
        encoded.input_ids.iter().map(|&id| VOCABULARY.lines().nth(id as usize).unwrap()).collect()
    }

    #[test]
    fn title_and_text_are_two_segments() {
        let request = RequestText::new("路灯", "不亮").unwrap();
        let encoded = tokenizer().encode(&request, 16).unwrap();
        assert_eq!(pieces(&encoded), ["[CLS]", "路", "灯", "[SEP]", "不", "亮", "[SEP]"]);
        assert_eq!(encoded.token_type_ids, [0, 0, 0, 0, 1, 1, 1]);
    }

    #[test]
    fn without_a_title_there_is_one_segment() {
        let encoded = tokenizer().encode(&RequestText::new("", "路灯").unwrap(), 16).unwrap();
        assert_eq!(pieces(&encoded), ["[CLS]", "路", "灯", "[SEP]"]);
        assert_eq!(encoded.token_type_ids, [0; 4]);
    }

    #[test]
    fn a_literal_separator_is_text() {
        let encoded = tokenizer().encode(&RequestText::new("", "路[SEP]灯").unwrap(), 16).unwrap();
        assert_eq!(pieces(&encoded), ["[CLS]", "路", "[", "sep", "]", "灯", "[SEP]"]);
    }

    #[test]
    fn a_long_text_keeps_its_head_and_its_tail() {
        let words = format!("路灯{}修", "不".repeat(500));
        let request = RequestText::new("", &words).unwrap();
        let encoded = tokenizer().encode(&request, 12).unwrap();
        assert_eq!(encoded.len(), 12);
        assert_eq!(pieces(&encoded)[..4], ["[CLS]", "路", "灯", "不"]);
        assert_eq!(pieces(&encoded)[9..], ["不", "修", "[SEP]"]);
    }

    #[test]
    fn a_long_title_leaves_most_room_to_the_text() {
        let request = RequestText::new(&"路".repeat(400), &"灯".repeat(400)).unwrap();
        let encoded = tokenizer().encode(&request, 100).unwrap();
        assert_eq!(encoded.len(), 100);
        assert_eq!(encoded.spans.iter().flatten().filter(|span| span.field == Field::Title).count(), 25);
    }

    #[test]
    fn spans_slice_the_normalised_words() {
        let request = RequestText::new("", "路燈SEPS，修").unwrap();
        let encoded = tokenizer().encode(&request, 16).unwrap();
        let slices: Vec<_> = encoded
            .spans
            .iter()
            .flatten()
            .map(|span| &request.normalized(Field::Text)[span.start..span.end])
            .collect();
        assert_eq!(slices, ["路", "灯", "SEP", "S", ",", "修"]);
    }

    fn of_json(json: String) -> String {
        let files = ModelFiles::embedded("test", &[("tokenizer.json", json.into_bytes().leak())]);
        TextTokenizer::load(&files).unwrap_err().to_string()
    }

    #[test]
    fn a_tokenizer_that_could_take_long_on_a_text_is_refused() {
        let mut json = serde_json::to_value(&tokenizer().inner).unwrap();
        json["model"]["max_input_chars_per_word"] = 1_000_000_000.into();
        let error = of_json(json.to_string());
        assert!(error.ends_with("`max_input_chars_per_word` is above 200"), "{error}");
    }

    #[test]
    fn a_description_that_is_nested_without_end_is_refused() {
        for open in ["[", r#"{"model": "#] {
            let error = of_json(open.repeat(100_000));
            assert!(error.starts_with("`tokenizer.json` of model `test` describes no tokenizer"), "{error}");
        }
    }

    #[test]
    fn a_description_that_breaks_off_is_refused_wherever_it_does() {
        let json = serde_json::to_string(&tokenizer().inner).unwrap();
        for end in (1..json.len()).filter(|end| json.is_char_boundary(*end)) {
            let error = of_json(json[..end].to_owned());
            assert!(error.starts_with("`tokenizer.json` of model `test` describes no tokenizer"), "{error}");
        }
        let error = of_json(r#"{"version": "1.0", "decoder": Null}"#.to_owned());
        assert!(error.ends_with("it is damaged"), "{error}");
    }

    #[test]
    fn says_what_a_vocabulary_lacks() {
        let files = ModelFiles::embedded("test", &[("vocab.txt", b"[UNK]\n[CLS]")]);
        let error = TextTokenizer::load(&files).unwrap_err().to_string();
        assert_eq!(error, "the vocabulary of model `test` lacks `[SEP]`");
        let error = tokenizer().check_vocab_size("test", 3).unwrap_err().to_string();
        assert!(error.contains("15 pieces"), "{error}");
    }
}
