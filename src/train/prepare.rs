//! From settings to a model and sets that can be trained: everything that can go wrong goes wrong here, before the
//! first step.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use crate::classifier::ngrams::NgramDocument;
use crate::classifier::{HeadConfig, ModelConfig, weight_prefix};
use crate::encoder::{BertConfig, Weights};
use crate::registry::{CONFIG_FILE, ModelFiles};
use crate::table::{Table, TableError};
use crate::tokenizer::TextTokenizer;

use super::TrainError;
use super::bundle::copy_tokenizer;
use super::dataset::{Excluded, RowCounts, TextRow, TextRows};
use super::evaluate::{HeadAnswers, HeadFigures, figures};
use super::example::Example;
use super::init::{Initializer, Vectors};
use super::loss::Target;
use super::model::TrainableModel;
use super::ngrams::{LinearModel, held_out_scores};
use super::objective::{Objective, TrainingSet};
use super::settings::{HeadColumn, Start, TrainSettings, default_epochs};
use super::stacking::Stacking;

/// What a label of a set that only helps the encoder counts for, beside one of the primary head.
const AUXILIARY_WEIGHT: f64 = 0.3;

/// Everything that a run needs.
pub(super) struct Prepared {
    pub(super) config: ModelConfig,
    pub(super) model: TrainableModel,
    pub(super) sets: Vec<TrainingSet>,
    pub(super) dev: Vec<Example>,
    /// The linear model beside the encoder.
    pub(super) ngrams: Option<Ngrams>,
    /// Most epochs.
    pub(super) epochs: usize,
    /// Name and SHA-256 of each file that the result depends on; of a base model, its revision.
    pub(super) digests: Vec<(String, String)>,
    /// What became of the rows, one a set, the main one first.
    pub(super) counts: Vec<(String, RowCounts)>,
    /// How many weights were made rather than read.
    pub(super) fresh_weights: Vec<String>,
}

/// A linear model over n-grams, and how good it is alone.
pub(super) struct Ngrams {
    pub(super) model: LinearModel,
    /// One a head; empty without dev rows.
    pub(super) figures: Vec<HeadFigures>,
}

/// All rows, read and held apart.
struct Rows {
    main: TextRows,
    dev: Option<TextRows>,
    auxiliary: Vec<TextRows>,
    crosswalks: Vec<TextRows>,
}

/// Reads data and weights; writes nothing but the tokenizer's files, into the output folder.
pub(super) fn prepare(settings: &TrainSettings) -> Result<Prepared, TrainError> {
    let mut rows = read_rows(settings)?;
    let heads = rows.main.heads(&settings.heads, &settings.label_orders)?;
    let auxiliary = auxiliary_heads(settings, &rows.auxiliary)?;
    rows.auxiliary.iter_mut().for_each(|set| rows.main.take_labels(set));
    copy_tokenizer(&settings.start, &settings.output)?;
    let tokenizer = TextTokenizer::load(&ModelFiles::folder(&settings.output)?)?;
    let (bert, mut init, base) = start(settings)?;
    tokenizer.check_vocab_size(base.as_ref().map_or("new", |files| files.name()), bert.vocab_size)?;
    if settings.max_tokens > bert.max_position_embeddings {
        return Err(TrainError::MaxTokens {
            asked: settings.max_tokens,
            positions: bert.max_position_embeddings,
        });
    }
    let named_heads = named(&heads, &auxiliary);
    if let Some(files) = &base {
        init.take_over_heads(files, &named_heads)?;
    }
    let mut model = TrainableModel::new(&mut init, &bert, settings.pooling, named_heads)?;
    let config = ModelConfig { bert, pooling: settings.pooling, max_tokens: settings.max_tokens, heads };
    let mut sets = training_sets(settings, &rows, (&config.heads, &auxiliary), &tokenizer)?;
    let labels: Vec<_> = config.heads.iter().map(|head| &head.labels).collect();
    let mut dev = match &rows.dev {
        Some(dev) => dev.encode(&labels, &tokenizer, settings.max_tokens)?,
        None => Vec::new(),
    };
    let ngrams =
        (settings.ngrams > 0).then(|| train_ngrams(settings, &rows, &config.heads, (&mut sets, &mut dev)));
    if ngrams.is_some() {
        model.stack(Stacking::of_heads(&config.heads)?);
    }
    let epochs =
        settings.epochs.unwrap_or_else(|| default_epochs(sets.iter().map(TrainingSet::epoch_tokens).sum()));
    let (mut digests, counts) = provenance(settings, rows);
    digests.extend(start_digests(&settings.start)?);
    Ok(Prepared { config, model, sets, dev, ngrams, epochs, digests, counts, fresh_weights: init.fresh })
}

fn read_tables<P: AsRef<Path>>(paths: &[P]) -> Result<Vec<Table>, TableError> {
    paths.iter().map(|path| Table::read(path.as_ref())).collect()
}

fn read_rows(settings: &TrainSettings) -> Result<Rows, TrainError> {
    let mut excluded = Excluded::default();
    for table in read_tables(&settings.exclude_ids)? {
        // A list without ids would bar nothing, and nobody would notice.
        table.require_columns([&settings.columns.id])?;
        excluded.add_ids(&table, &settings.columns)?;
    }
    let mut dev = None;
    if let Some(path) = &settings.dev {
        let tables = read_tables(&[path])?;
        let rows = TextRows::read(&tables, &settings.columns, &settings.heads, &Excluded::default())?;
        excluded.add_ids(&tables[0], &settings.columns)?;
        excluded.add_texts(&rows);
        dev = Some(rows);
    }
    let read = |paths: &[&Path], heads: &[HeadColumn], excluded: &Excluded| -> Result<TextRows, TrainError> {
        Ok(TextRows::read(&read_tables(paths)?, &settings.columns, heads, excluded)?)
    };
    let paths: Vec<&Path> = settings.train.iter().map(AsRef::as_ref).collect();
    let mut main = read(&paths, &settings.heads, &excluded)?;
    if dev.is_none() && settings.dev_share > 0.0 {
        let held_out = main.hold_out(settings.dev_share, settings.seed);
        excluded.add_texts(&held_out);
        dev = Some(held_out);
    }
    let column = |column: &str| [HeadColumn::new(column, column)];
    Ok(Rows {
        main,
        dev,
        auxiliary: settings
            .auxiliary
            .iter()
            .map(|set| read(&[&set.path], &column(&set.column), &excluded))
            .collect::<Result<_, _>>()?,
        crosswalks: settings
            .crosswalks
            .iter()
            .map(|set| read(&[&set.path], &column(&set.column), &excluded))
            .collect::<Result<_, _>>()?,
    })
}

fn auxiliary_heads(settings: &TrainSettings, rows: &[TextRows]) -> Result<Vec<HeadConfig>, TrainError> {
    let mut heads = Vec::new();
    for (set, rows) in settings.auxiliary.iter().zip(rows) {
        let column = HeadColumn::new(set.path.display().to_string(), &set.column);
        heads.extend(rows.heads(&[column], &[])?);
    }
    Ok(heads)
}

/// Heads with the names of their weights, those that are kept first.
fn named(heads: &[HeadConfig], auxiliary: &[HeadConfig]) -> Vec<(String, HeadConfig)> {
    let kept =
        heads.iter().enumerate().map(|(position, head)| (weight_prefix(position, &head.name), head.clone()));
    let auxiliary =
        auxiliary.iter().enumerate().map(|(index, head)| (format!("auxiliary.{index}"), head.clone()));
    kept.chain(auxiliary).collect()
}

fn start(settings: &TrainSettings) -> Result<(BertConfig, Initializer, Option<ModelFiles>), TrainError> {
    let (mut config, files, vectors) = match &settings.start {
        Start::Base(path) => {
            let files = ModelFiles::folder(path)?;
            let text = files.read_to_string(CONFIG_FILE)?;
            let config = serde_json::from_str(&text)
                .map_err(|source| TrainError::BaseConfig { path: path.join(CONFIG_FILE), source })?;
            (config, Some(files), None)
        }
        Start::Fresh { vocabulary, vectors, shape } => {
            let text = fs::read_to_string(vocabulary)
                .map_err(|source| TrainError::Io { path: vocabulary.clone(), source })?;
            let mut shape = BertConfig { vocab_size: text.lines().count(), ..shape.clone() };
            let vectors = vectors.as_deref().map(Vectors::read).transpose()?;
            if let Some(vectors) = &vectors {
                if vectors.rows != shape.vocab_size {
                    return Err(TrainError::VectorCount { vectors: vectors.rows, pieces: shape.vocab_size });
                }
                shape.hidden_size = vectors.width;
            }
            (shape, None, vectors)
        }
    };
    config.check()?;
    if let Some(dropout) = settings.dropout {
        config.hidden_dropout_prob = dropout;
        config.attention_probs_dropout_prob = dropout;
    }
    let range = config.initializer_range;
    let init = match &files {
        Some(files) => Initializer::from_checkpoint(Weights::load(files)?, settings.seed, range),
        None => Initializer::fresh(vectors, settings.seed, range),
    };
    Ok((config, init, files))
}

/// Trains the n-grams, and notes their scores in all examples that teach or measure the heads: examples that teach are
/// scored by n-grams that never saw their words, as those that measure are anyway. A crosswalk's rows may well be rows of
/// the main set.
fn train_ngrams(
    settings: &TrainSettings,
    rows: &Rows,
    heads: &[HeadConfig],
    (sets, dev): (&mut [TrainingSet], &mut [Example]),
) -> Ngrams {
    let documents =
        |rows: &TextRows| -> Vec<NgramDocument> { rows.rows.par_iter().map(TextRow::ngrams).collect() };
    let (main, helping) = sets.split_at_mut(1);
    let main = &mut main[0].examples;
    let mut texts = documents(&rows.main);
    let model = LinearModel::train(&texts, (main, heads), (settings.ngrams, settings.seed));
    texts.extend(rows.crosswalks.iter().flat_map(documents));
    let all = rows.main.rows.iter().chain(rows.crosswalks.iter().flat_map(|set| &set.rows));
    let lots: Vec<u16> = all.map(|row| row.lot(settings.seed)).collect();
    let scores = held_out_scores(&model.vocabulary, (&texts, &lots), (main, heads), settings.seed);
    let crosswalks = helping[rows.auxiliary.len()..].iter_mut().flat_map(|set| &mut set.examples);
    main.iter_mut().chain(crosswalks).zip(scores).for_each(|(example, scores)| example.scores = scores);
    let of_dev = rows.dev.as_ref().map(documents).unwrap_or_default();
    dev.par_iter_mut().zip(&of_dev).for_each(|(example, text)| example.scores = model.scores(text));
    let mut first = 0;
    let answers = heads.iter().enumerate().map(|(position, head)| {
        let own = first..first + head.labels.len();
        first = own.end;
        let logits = dev.iter().map(|example| example.scores[own.clone()].to_vec()).collect();
        HeadAnswers { logits, ..HeadAnswers::none_yet(dev, position) }
    });
    let figures = figures(heads, &answers.collect::<Vec<_>>());
    Ngrams { model, figures }
}

fn training_sets(
    settings: &TrainSettings,
    rows: &Rows,
    (heads, auxiliary): (&[HeadConfig], &[HeadConfig]),
    tokenizer: &TextTokenizer,
) -> Result<Vec<TrainingSet>, TrainError> {
    let balance = (settings.label_smoothing, settings.class_weights);
    let labels: Vec<_> = heads.iter().chain(auxiliary).map(|head| &head.labels).collect();
    let examples = rows.main.encode(&labels, tokenizer, settings.max_tokens)?;
    let own = heads.iter().enumerate().map(|(position, head)| {
        let weight = if position == 0 { 1.0 } else { settings.other_heads_weight };
        Objective::labels((position, head), weight, balance, (&examples, position))
    });
    let helping = || (heads.len()..).zip(auxiliary).zip(&settings.auxiliary);
    let taken = helping().map(|((position, head), set)| {
        let is_known = |example: &&Example| example.targets[position] != Target::Missing;
        let share = examples.iter().filter(is_known).count() as f64 / examples.len() as f64;
        let weight = AUXILIARY_WEIGHT * set.weight * share;
        Objective::labels((position, head), weight, balance, (&examples, position))
    });
    let objectives = own.chain(taken).collect();
    let mut sets = vec![TrainingSet { objectives, examples, weight: 1.0 }];
    for (((index, head), set), rows) in helping().zip(&rows.auxiliary) {
        let examples = rows.encode(&[&head.labels], tokenizer, settings.max_tokens)?;
        let objective = Objective::labels((index, head), AUXILIARY_WEIGHT, balance, (&examples, 0));
        sets.push(TrainingSet { objectives: vec![objective], examples, weight: set.weight });
    }
    for (rows, set) in rows.crosswalks.iter().zip(&settings.crosswalks) {
        let system = &set.crosswalk;
        if let Some(label) = rows.unknown_label(0, &system.labels) {
            return Err(TrainError::SystemLabel { path: set.path.clone(), label });
        }
        let shares = system.by_label(&heads[0].labels).map_err(|categories| {
            TrainError::SystemCategories { path: set.path.clone(), categories: categories.join(", ") }
        })?;
        let examples = rows.encode(&[&system.labels], tokenizer, settings.max_tokens)?;
        sets.push(TrainingSet {
            objectives: vec![Objective::crosswalk(0, shares)],
            examples,
            weight: set.weight,
        });
    }
    Ok(sets)
}

/// Names of files and what they held.
type Digests = Vec<(String, String)>;

/// What the weights start from.
fn start_digests(start: &Start) -> Result<Digests, TrainError> {
    match start {
        Start::Base(path) => {
            Ok(vec![(path.display().to_string(), ModelFiles::folder(path)?.revision().to_owned())])
        }
        Start::Fresh { vocabulary, vectors, .. } => std::iter::once(vocabulary)
            .chain(vectors)
            .map(|path| {
                let content =
                    fs::read(path).map_err(|source| TrainError::Io { path: path.clone(), source })?;
                Ok((path.display().to_string(), hex::encode(Sha256::digest(&content))))
            })
            .collect(),
    }
}

fn provenance(settings: &TrainSettings, rows: Rows) -> (Digests, Vec<(String, RowCounts)>) {
    let mut digests = Vec::new();
    let mut counts = vec![("training set".to_owned(), rows.main.counts)];
    let names =
        settings.auxiliary.iter().map(|set| &set.path).chain(settings.crosswalks.iter().map(|set| &set.path));
    let helping: Vec<TextRows> = rows.auxiliary.into_iter().chain(rows.crosswalks).collect();
    counts.extend(names.zip(&helping).map(|(path, rows)| (path.display().to_string(), rows.counts)));
    for rows in std::iter::once(rows.main).chain(rows.dev).chain(helping) {
        digests.extend(rows.digests);
    }
    (digests, counts)
}

impl Initializer {
    /// Keeps the heads of a base model whose labels are those of a head to be trained; drops the others.
    fn take_over_heads(
        &mut self,
        files: &ModelFiles,
        heads: &[(String, HeadConfig)],
    ) -> Result<(), TrainError> {
        // A base without labels has no heads worth keeping.
        let old = files.read_to_string(CONFIG_FILE).map(|text| ModelConfig::from_json(&text))?;
        let old = old.map(|config| named(&config.heads, &[])).unwrap_or_default();
        let mut kept = HashMap::new();
        for (name, head) in heads {
            let same = old.iter().find(|(_, old)| old.labels == head.labels && old.problem == head.problem);
            if let Some((old_name, _)) = same {
                kept.insert(old_name.clone(), name.clone());
            }
        }
        self.rename_heads(&kept);
        Ok(())
    }
}
